// As tls_peer.py, in Node.
"use strict";
const fs = require("fs"), tls = require("tls"), net = require("net"), { once } = require("events");
const SIZES = [1, 16383, 16384, 16385, 1 << 20], MUCH = 10 << 20;
const [role, where, port, ...cases] = process.argv.slice(2);
const file = (name) => fs.readFileSync(where + "/" + name);
const contexts = {}, sessions = {};
const ticketKeys = Buffer.alloc(48, 7);
const say = (...words) => process.stdout.write(words.join(" ") + "\n");
setTimeout(() => process.exit(8), 60000).unref();

function optionsOf(version, key, certificate, alpn) {
    const o = { minVersion: version, maxVersion: version, ca: file("ca.pem"), allowHalfOpen: true };
    if (role === "server") Object.assign(o, { cert: file(key + ".crt"), key: file(key + ".key"), ticketKeys });
    else o.servername = "a.test";
    if (certificate !== "-" && role === "server") Object.assign(o, { requestCert: true, rejectUnauthorized: true });
    if (certificate !== "-" && role === "client") Object.assign(o, { cert: file("client.crt"), key: file("client.key") });
    if (alpn !== "-") o.ALPNProtocols = ["other", alpn];
    return o;
}

function pattern(n) {
    const data = Buffer.alloc(n);
    for (let i = 0; i < n; i++) data[i] = i % 251;
    return data;
}

async function take(s, n) {
    for (;;) {
        const data = s.read(n);
        if (data && data.length === n) return data;
        if (data || s.readableEnded) throw new Error("short");
        await once(s, "readable");
    }
}

const acts = {
    async echo(s) {
        for (const n of SIZES) s.write(await take(s, n));
        const ended = once(s, "end");
        s.on("data", () => { throw new Error("more data"); });
        await ended;
        s.end(pattern(100000));
    },
    async both(s) {
        const data = pattern(MUCH);
        s.write(data);
        say((await take(s, MUCH)).equals(data) ? "same" : "not the same");
        s.end();
    },
    async die(s) {
        s.write("half a body");
        await new Promise(() => {}); // and is killed
    },
};

async function serve(text, secure) {
    const [version, key, certificate, alpn, resumed, act] = text.split("/");
    const kind = [version, key, certificate, alpn].join();
    const s = await secure(kind, optionsOf(version, key, certificate, alpn), resumed !== "-");
    const peer = s.getPeerCertificate();
    say(s.getProtocol(), s.isSessionReused() ? "resumed" : "-", s.alpnProtocol || "-", (peer.subject || { CN: "-" }).CN);
    s.on("session", (session) => { sessions[kind] = session; });
    const closed = once(s, "close");
    s.on("error", (e) => { console.error(e); process.exit(7); });
    await acts[act](s);
    if (act !== "die" && role === "client") await once(s.resume(), "end").catch(() => {});
    await closed;
}

async function asClient(kind, options, resumed) {
    const s = tls.connect({ ...options, host: "127.0.0.1", port: Number(port), session: resumed ? sessions[kind] : undefined });
    s.on("session", (session) => { sessions[kind] = session; });
    await once(s, "secureConnect");
    return s;
}

const waiting = [];
let arrived = () => {};
const listener = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (s) => { waiting.push(s); arrived(); });

async function accept() {
    while (waiting.length === 0) await new Promise((resolve) => { arrived = resolve; });
    return waiting.shift();
}

async function asServer(kind, options) {
    contexts[kind] = contexts[kind] || tls.createServer(options);
    const secured = once(contexts[kind], "secureConnection");
    contexts[kind].once("tlsClientError", (e) => { console.error(e); process.exit(6); });
    contexts[kind].emit("connection", await accept());
    return (await secured)[0];
}

(async () => {
    if (role === "server") {
        listener.listen(0, "127.0.0.1");
        await once(listener, "listening");
        say(listener.address().port);
    }
    for (const text of cases) await serve(text, role === "server" ? asServer : asClient);
    process.exit(0);
})().catch((e) => { console.error(e); process.exit(5); });
