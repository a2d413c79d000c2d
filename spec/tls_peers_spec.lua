-- TLS with other programs, as client and as server: Python and Node in each combination of version, key, resumption,
-- client certificate and ALPN; openssl, socat, nginx, curl and wget (which has GnuTLS) as far as they go.

local t = require "support.t"
local peer = require "support.peer"
local tasks = require "support.tasks"
local support = require "support.tls"

local socket = t.socket

if not support.is_built() then
    describe("ssocket.tls and other programs", function()
        pending "is not built: OpenSSL is missing"
    end)
    return
end

local tls = require "ssocket.tls"

local SIZES = { 1, 16383, 16384, 16385, 1024 * 1024 }
local MUCH = 10 * 1024 * 1024
local CLASSES = { a = "P-256", rsa = "RSA-2048", ed25519 = "Ed25519" }

local cycle = {}
for i = 0, 250 do
    cycle[#cycle + 1] = string.char(i)
end
cycle = table.concat(cycle)

-- n bytes as the peers make them.
local function pattern(n)
    return cycle:rep(math.floor(n / 251) + 1):sub(1, n)
end

-- script/setup installs them; in CI none may be missing.
local function has(program)
    local status = os.execute(("PATH=$PATH:/usr/sbin command -v %s >/dev/null 2>&1"):format(program))
    return status == true or status == 0 or os.getenv "CI" == "true"
end

-- it, or pending where the program is missing.
local function it_with(program, name, f)
    if has(program) then
        it(name, f)
    else
        pending(name .. ": there is no " .. program)
    end
end

local function read_file(name)
    local file = assert(io.open(name, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

local programs = {
    python3 = function(...)
        return t.python(read_file "spec/support/tls_peer.py", ...)
    end,
    node = function(...)
        local argv = { "node", "spec/support/tls_peer.js" }
        for i = 1, select("#", ...) do
            argv[#argv + 1] = tostring((select(i, ...)))
        end
        return peer.spawn(argv)
    end,
}

-- ---- cases ----

-- All eight of a version and a key; those that are resumed come after those that begin a session.
local function cases_of(version, key, act)
    local cases = {}
    for _, certificate in ipairs { "-", "client" } do
        for _, alpn in ipairs { "-", "x" } do
            for _, resumed in ipairs { "-", "resumed" } do
                cases[#cases + 1] = {
                    version = version,
                    key = key,
                    certificate = certificate,
                    alpn = alpn,
                    resumed = resumed,
                    act = act or "echo",
                }
            end
        end
    end
    return cases
end

local function kind_of(case)
    return table.concat({ case.version, case.key, case.certificate, case.alpn }, "/")
end

local function text_of(case)
    return table.concat({ kind_of(case), case.resumed, case.act }, "/")
end

local function texts_of(cases)
    local texts = {}
    for i, case in ipairs(cases) do
        texts[i] = text_of(case)
    end
    return (table.unpack or _G.unpack)(texts)
end

local function our_context(case, are_server)
    local options = {
        alpn = case.alpn ~= "-" and { case.alpn } or nil,
        conf = { MinProtocol = case.version, MaxProtocol = case.version },
    }
    if are_server then
        options.cert = case.key .. ".pem"
        options.client_ca = case.certificate ~= "-" and "ca.pem" or nil
    else
        options.ca = "ca.pem"
        options.cert = case.certificate ~= "-" and "client.pem" or nil
    end
    return support.context(options)
end

-- What the peer says after its handshake, and what we say.
local function check_handshake(case, s, p, are_server)
    local theirs = are_server and case.key or case.certificate
    local expected = table.concat({ case.version, case.resumed, case.alpn, theirs }, " ")
    assert.equal(expected, p:line())
    local info = assert(tls.info(s))
    assert.equal(case.version, info.version)
    assert.equal(case.resumed ~= "-", info.resumed)
    assert.equal(case.alpn ~= "-" and case.alpn or nil, info.alpn)
    assert.equal(not are_server or case.certificate ~= "-", info.verified)
    local ours = are_server and case.certificate or case.key
    assert.equal(ours ~= "-" and "CN=" .. ours or nil, info.peer and info.peer.subject)
end

local acts = {}

function acts.echo(s)
    assert.equal(0, s:write "")
    for _, n in ipairs(SIZES) do
        local data = pattern(n)
        assert.equal(n, s:write(data))
        local got, err = s:read(n)
        assert(data == got, ("another echo of %d bytes: %s"):format(n, tostring(err)))
    end
    assert.is_true(s:shutdown(socket.SHUT_WR))
    local got, err = s:readall()
    assert(pattern(100000) == got, "another answer after the half-close: " .. tostring(err))
    t.fails(socket.ERROR_CLOSED, "", s:read(1))
end

function acts.both(s, p)
    local data = pattern(MUCH)
    s:settimeout(50)
    local writer = tasks.spawn(function()
        return s:write(data)
    end)
    local reader = tasks.spawn(function()
        return s:read(MUCH) == data
    end)
    assert.equal(MUCH, tasks.join(writer, 50))
    assert.is_true(tasks.join(reader, 50))
    assert.equal("same", p:line(50))
    assert.is_true(s:shutdown(socket.SHUT_WR))
    assert.equal("", s:readall())
end

function acts.die(s, p)
    assert.equal("half", s:read(4))
    p:kill()
    t.fails(tls.ERROR_EOF, " a body", s:read(100))
    t.fails(tls.ERROR_EOF, "", s:readall())
end

-- Runs f for each case; a failure tells of which.
local function each_case(cases, f)
    for _, case in ipairs(cases) do
        local ok, err = pcall(f, case)
        if not ok then
            error(text_of(case) .. ": " .. tostring(type(err) == "table" and err.message or err), 0)
        end
    end
end

-- make(case, are_server) is called once for cases of one kind: sessions are of one context.
local function contexts_of(are_server)
    local contexts = {}
    return function(case)
        local kind = kind_of(case)
        contexts[kind] = contexts[kind] or our_context(case, are_server)
        return contexts[kind]
    end
end

local function end_of(cases, p)
    if cases[#cases].act ~= "die" then
        p:finish()
    end
end

local function we_are_client(program, cases)
    local p = programs[program]("server", support.dir, 0, texts_of(cases))
    local port, context = p:number(), contexts_of(false)
    each_case(cases, function(case)
        local s = socket.tcp()
        s:settimeout(10)
        assert(s:connect("127.0.0.1", port))
        local ok, err, reason = tls.client(s, "a.test", context(case))
        assert(ok, tostring(err) .. " " .. tostring(reason))
        check_handshake(case, s, p, false)
        acts[case.act](s, p)
        s:close()
    end)
    end_of(cases, p)
end

local function we_are_server(program, cases)
    local listener, address = t.listener()
    listener:settimeout(10)
    local p = programs[program]("client", support.dir, address[2], texts_of(cases))
    local context = contexts_of(true)
    each_case(cases, function(case)
        local s = assert(listener:accept())
        s:settimeout(10)
        local ok, err, reason = tls.server(s, context(case))
        assert(ok, tostring(err) .. " " .. tostring(reason))
        check_handshake(case, s, p, true)
        acts[case.act](s, p)
        s:close()
    end)
    end_of(cases, p)
    listener:close()
end

local function one_case(version, act)
    return { { version = version, key = "a", certificate = "-", alpn = "-", resumed = "-", act = act } }
end

for _, program in ipairs { "python3", "node" } do
    for _, side in ipairs { { "a client of ", we_are_client }, { "a server of ", we_are_server } } do
        local run = side[2]

        describe(side[1] .. program, function()
            tasks.guard()
            support.certificates()

            for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
                for _, key in ipairs { "rsa", "a", "ed25519" } do
                    it_with(program, ("echoes and half-closes: %s, %s"):format(version, CLASSES[key]), function()
                        run(program, cases_of(version, key))
                    end)
                end

                it_with(program, "carries 10 MiB each way at once, " .. version, function()
                    run(program, one_case(version, "both"))
                end)

                it_with(program, "tells of a truncation when the peer is killed, " .. version, function()
                    run(program, one_case(version, "die"))
                end)
            end
        end)
    end
end

-- ---- programs that take no orders ----

local function connect_to(port, ctx)
    local s = socket.tcp()
    s:settimeout(10)
    assert(s:connect("127.0.0.1", port))
    local ok, err, reason = tls.client(s, "a.test", ctx)
    assert(ok, tostring(err) .. " " .. tostring(reason))
    return s
end

-- Twice in each version, so that the second connection is resumed: f(version, number, ctx).
local function twice(options, f)
    for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
        options.conf = { MinProtocol = version, MaxProtocol = version }
        local ctx = support.context(options)
        for i = 1, 2 do
            f(version, i, ctx)
        end
    end
end

local function check_info(s, version, resumed)
    assert.equal(version, tls.info(s).version)
    assert.equal(resumed, tls.info(s).resumed)
end

-- Serves one HTTP request of a program; returns what the program put out, and tls.info.
local function serve_program(listener, ctx, argv, answer)
    local p = peer.spawn(argv)
    local s = assert(listener:accept())
    s:settimeout(10)
    local ok, err, reason = tls.server(s, ctx)
    assert(ok, tostring(err) .. " " .. tostring(reason))
    local line = s:readuntil "\r\n"
    repeat
        local text = assert(line())
    until text == ""
    local info = tls.info(s)
    s:write { "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ", tostring(#answer), "\r\n\r\n", answer }
    s:close()
    return p:finish(), info
end

local function argv_of(program, port)
    if program == "curl" then
        return {
            "curl",
            "-qsS",
            "--noproxy",
            "*",
            "--resolve",
            "a.test:" .. port .. ":127.0.0.1",
            "--cacert",
            support.path "ca.pem",
            "--cert",
            support.path "client.crt",
            "--key",
            support.path "client.key",
            "https://a.test:" .. port .. "/",
        }
    end
    return {
        "wget",
        "--no-config",
        "--no-proxy",
        "--no-hsts",
        "-qO-",
        "--ca-certificate=" .. support.path "ca.pem",
        "--certificate=" .. support.path "client.crt",
        "--private-key=" .. support.path "client.key",
        "https://127.0.0.1:" .. port .. "/",
    }
end

describe("a server of other programs", function()
    tasks.guard()
    support.certificates()

    for _, program in ipairs { "curl", "wget" } do
        for _, key in ipairs { "rsa", "a", "ed25519" } do
            it_with(program, ("answers %s with %s"):format(program, CLASSES[key]), function()
                local listener, address = t.listener()
                listener:settimeout(10)
                for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
                    local ctx = support.context {
                        cert = key .. ".pem",
                        client_ca = "ca.pem",
                        alpn = { "http/1.1" },
                        conf = { MinProtocol = version, MaxProtocol = version },
                    }
                    for _, n in ipairs { 0, 1, 16384, 1024 * 1024 } do
                        local answer = pattern(n)
                        local got, info = serve_program(listener, ctx, argv_of(program, address[2]), answer)
                        assert(got == answer, ("another answer of %d bytes"):format(n))
                        assert.equal(version, info.version)
                        assert.equal("CN=client", info.peer.subject)
                        assert.equal(program == "curl" and "http/1.1" or nil, info.alpn)
                    end
                end
                listener:close()
            end)
        end
    end

    it_with("openssl", "resumes sessions of openssl s_client", function()
        local listener, address = t.listener()
        listener:settimeout(10)
        twice({ cert = "rsa.pem", client_ca = "ca.pem" }, function(version, i, ctx)
            local p = peer.spawn {
                "openssl",
                "s_client",
                "-quiet",
                "-verify_quiet",
                "-servername",
                "a.test",
                "-connect",
                "127.0.0.1:" .. address[2],
                "-CAfile",
                support.path "ca.pem",
                "-verify_return_error",
                "-cert",
                support.path "client.pem",
                i == 1 and "-sess_out" or "-sess_in",
                support.path(version .. ".session"),
            }
            local s = assert(listener:accept())
            s:settimeout(10)
            local ok, err, reason = tls.server(s, ctx)
            assert(ok, tostring(err) .. " " .. tostring(reason))
            check_info(s, version, i == 2)
            for _, n in ipairs { 1, 16383, 16384, 16385 } do
                local data = pattern(n)
                p:send(data)
                assert.is_true(data == s:read(n))
                assert.equal(n, s:write(data))
                assert.is_true(data == p:take(n))
            end
            s:close()
            p:finish()
        end)
        listener:close()
    end)
end)

describe("a client of other programs", function()
    tasks.guard()
    support.certificates()

    -- The server's tickets are longer than its records. Between it and the client stands a relay, which lets the first
    -- record of them through; the others come together with a line.
    local RELAY = [[
        LINE, CHANGE = 5 + 301 + 17, b"\x14"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(argv[1]); listener.listen(); say("listening") # what is sent there has come at once
        client, server, held, holding = listener.accept()[0], connect(argv[0]), b"", False
        def records():
            found, at = [], 0
            while len(held) - at > 5:
                end = at + 5 + int.from_bytes(held[at + 3:at + 5], "big")
                found.append(end - at); at = end
            return found if at == len(held) else []
        while records()[-1:] != [LINE]:
            for s in select.select([client, server], [], [])[0]:
                data = s.recv(65536)
                if s is client: server.sendall(data); holding = holding or data[:1] == CHANGE
                elif holding: held += data
                else: client.sendall(data)
        first = records()[0]
        client.sendall(held[:first]); say(len(records())); hear()
        client.sendall(held[first:]); say("all")
        server.sendall(drain(client))
    ]]

    -- A client that has received the beginning of a ticket, and the relay.
    local function begin_ticket()
        local path = t.tmpdir() .. "/relay"
        local p = peer.spawn({
            "openssl",
            "s_server",
            "-rev",
            "-accept",
            "127.0.0.1:0",
            "-cert",
            support.path "a.crt",
            "-key",
            support.path "a.key",
            "-CAfile",
            support.path "ca.pem",
            "-Verify",
            "1",
            "-max_send_frag",
            "512",
        }, true)
        local relay = t.python(RELAY, p:await("ACCEPT"):match ":(%d+)$", path)
        assert.equal("listening", relay:line())
        local s = assert(socket.connect("unix:" .. path, 10))
        assert(tls.client(s, "a.test", support.context { ca = "ca.pem", cert = "client.pem" }))
        assert(s:write { ("x"):rep(300), "\n" })
        assert.is_true(relay:number() > 3)
        s:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, nil, s:readsome(1))
        s:settimeout(10)
        return s, relay
    end

    -- Calls f in a task, in the turn in which the rest has come: no event has been looked for.
    local function end_ticket(relay, f)
        tasks.join(tasks.spawn(function()
            relay:say "go on"
            assert.equal("all", relay:line())
            f()
        end))
    end

    it_with("openssl", "tells a select of data that a write has received, with the rest of a message", function()
        local s, relay = begin_ticket()
        local selecting = tasks.spawn(socket.select, { s }, nil, 10)
        tasks.settle()
        end_ticket(relay, function()
            assert(s:write "x")
        end)
        local _, ready = assert(selecting:wait(10))
        assert.equal(s, ready[1])
        assert.equal(("x"):rep(300), (s:readline()))
        s:close()
    end)

    it_with("openssl", "lets a write go on for which a read has received the rest of a message", function()
        local s, relay = begin_ticket()
        local writing = tasks.spawn(s.write, s, "x")
        tasks.settle()
        assert.equal("waiting", writing:status())
        end_ticket(relay, function()
            assert.equal(("x"):rep(300), (s:readline()))
        end)
        assert.equal(1, (tasks.join(writing)))
        s:close()
    end)

    it_with("openssl", "resumes sessions of openssl s_server", function()
        for _, key in ipairs { "rsa", "a", "ed25519" } do
            local p = peer.spawn({
                "openssl",
                "s_server",
                "-rev",
                "-accept",
                "127.0.0.1:0",
                "-cert",
                support.path(key .. ".crt"),
                "-key",
                support.path(key .. ".key"),
                "-CAfile",
                support.path "ca.pem",
                "-Verify",
                "1",
                "-verify_return_error",
                "-alpn",
                "x",
            }, true)
            local port = tonumber(p:await("ACCEPT"):match ":(%d+)$")
            twice({ ca = "ca.pem", cert = "client.pem", alpn = { "x" } }, function(version, i, ctx)
                local s = connect_to(port, ctx)
                check_info(s, version, i == 2)
                assert.equal("x", tls.info(s).alpn)
                for _, n in ipairs { 1, 1000, 16000 } do
                    local text = ("<"):rep(n - 1) .. ">"
                    s:write { text, "\n" }
                    assert.equal(text:reverse() .. "\n", s:read(n + 1))
                end
                s:close()
            end)
            p:kill()
        end
    end)

    it_with("socat", "echoes through socat", function()
        local p = t.socat_server(
            ("OPENSSL-LISTEN:0,bind=127.0.0.1,cert=%s,cafile=%s,verify=1"):format(
                support.path "rsa.pem",
                support.path "ca.pem"
            ),
            "PIPE"
        )
        local s = connect_to(p.port, support.context { ca = "ca.pem", cert = "client.pem" })
        for _, n in ipairs { 1, 16383, 16384, 16385 } do
            local data = pattern(n)
            assert.equal(n, s:write(data))
            assert.is_true(data == s:read(n))
        end
        s:close()
        p:kill()
    end)

    it_with("nginx", "resumes sessions of nginx", function()
        local dir = support.dir
        local conf = assert(io.open(dir .. "/nginx.conf", "w"))
        conf:write((([[
            daemon off; master_process off; pid DIR/nginx.pid; error_log stderr notice;
            events { worker_connections 64; }
            http {
                access_log off; client_body_temp_path DIR; proxy_temp_path DIR; fastcgi_temp_path DIR;
                uwsgi_temp_path DIR; scgi_temp_path DIR; ssl_session_cache builtin; ssl_protocols TLSv1.2 TLSv1.3;
                ssl_client_certificate DIR/ca.pem; ssl_verify_client on;
                server {
                    listen unix:DIR/nginx.sock ssl; server_name a.test; root DIR;
                    ssl_certificate DIR/rsa.crt; ssl_certificate_key DIR/rsa.key;
                    ssl_certificate DIR/a.crt; ssl_certificate_key DIR/a.key;
                    location /hello {
                        return 200 "$ssl_protocol $ssl_session_reused $ssl_server_name $ssl_client_s_dn";
                    }
                }
            }
        ]]):gsub("DIR", dir)))
        conf:close()
        local p = peer.spawn({ "nginx", "-p", dir, "-c", dir .. "/nginx.conf", "-e", "stderr" }, true)
        p:await 'using the "'
        twice({ ca = "ca.pem", cert = "client.pem", alpn = { "http/1.1" } }, function(version, i, ctx)
            local s = socket.tcp()
            s:settimeout(10)
            assert(s:connect("unix:" .. dir .. "/nginx.sock"))
            local ok, err, reason = tls.client(s, "a.test", ctx)
            assert(ok, tostring(err) .. " " .. tostring(reason))
            check_info(s, version, i == 2)
            assert.equal("http/1.1", tls.info(s).alpn)
            s:write "GET /hello HTTP/1.0\r\n\r\n"
            local answer = assert(s:readall())
            local expected = ("\r\n\r\n%s %s a.test CN=client"):format(version, i == 2 and "r" or ".")
            assert.equal(expected, answer:sub(-#expected))
            s:close()
        end)
        t.sys.kill(p.pid, t.sys.SIGTERM)
        p:kill()
    end)
end)
