// As tls_peer.py, in Node.
"use strict";
const fs = require("fs"), tls = require("tls"), net = require("net"), { once } = require("events");
const SIZES = [1, 16383, 16384, 16385, 1 << 20], MUCH = 10 << 20;
const [role, where, port, ...cases] = process.argv.slice(2);
const file = (name) => fs.readFileSync(where + "/" + name);
const contexts = {}, sessions = {}, names = {};
const ticketKeys = Buffer.alloc(48, 7);
const say = (...words) => process.stdout.write(words.join(" ") + "\n");
setTimeout(() => process.exit(8), 60000).unref();

function optionsOf(version, key, certificate, alpn) {
    const o = { minVersion: version, maxVersion: version, ca: file("ca.pem"), allowHalfOpen: true };
    if (role === "server") Object.assign(o, { cert: file(key + ".crt"), key: file(key + ".key"), ticketKeys });
    else o.servername = "a.test";
    if (certificate !== "-" && role === "server") Object.assign(o, { requestCert: true, rejectUnauthorized: true });
    if (certificate !== "-" && role === "client")
        Object.assign(o, { cert: file("client.crt"), key: file("client.key") });
    if (alpn !== "-") o.ALPNProtocols = ["other", alpn];
    return o;
}

function pattern(n) {
    const data = Buffer.alloc(n, Buffer.from(Array.from({ length: 251 }, (_, i) => i)));
    return data;
}

// What arrives from now on, for take.
function collect(s) {
    Object.assign(s, { chunks: [], collected: 0, wake() {} });
    s.on("data", (chunk) => { s.chunks.push(chunk); s.collected += chunk.length; s.wake(); });
}

async function take(s, n) {
    while (s.collected < n) await new Promise((resolve) => { s.wake = resolve; });
    const all = Buffer.concat(s.chunks);
    s.chunks = [all.subarray(n)];
    s.collected -= n;
    return all.subarray(0, n);
}

const acts = {
    async echo(s) {
        for (const n of SIZES) s.write(await take(s, n));
        await s.ended;
        if (s.collected > 0) throw new Error("more data");
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
    const { subject } = s.getPeerCertificate() || {};
    names[kind] = subject ? subject.CN : names[kind] || "-"; // Node has none of a server whose session is resumed
    say(s.getProtocol(), s.isSessionReused() ? "resumed" : "-", s.alpnProtocol || "-", names[kind]);
    const closed = once(s, "close");
    s.ended = once(s, "end");
    s.on("error", (e) => { console.error(e); process.exit(7); });
    collect(s);
    await acts[act](s);
    await closed;
}

async function asClient(kind, options, resumed) {
    const session = resumed ? sessions[kind] : undefined;
    const s = tls.connect({ ...options, host: "127.0.0.1", port: Number(port), session });
    s.on("session", (session) => { sessions[kind] = session; });
    await once(s, "secureConnect");
    return s;
}

const waiting = [];
let arrived = () => {};
const listener = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (s) => {
    waiting.push(s);
    arrived();
});

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
