-- ssocket.tls and peers that are slow, silent, hostile or merely unusual: faults that other bindings to TLS have had.
--
-- Of those some are tested in other files (tls_spec, tls_context_spec, tls_stream_spec, tls_process_spec, and
-- test/unit/test_tls_*.c), and some cannot occur: no call tells the program to wait for "read" or "write", so none can
-- wait for the wrong one; kernel TLS is not used, for our BIO has no socket to give it, so it sends no freed memory;
-- OpenSSL's asynchronous jobs are never switched on, so that their stacks meet none of a coroutine; OpenSSL's texts are
-- reasons for people and no error that a program compares; and tls.client returns after its handshake only, so that
-- nothing can ask for a certificate before.

local t = require "support.t"
local peer = require "support.peer"
local tasks = require "support.tasks"
local support = require "support.tls"

local socket = t.socket

if not support.is_built() then
    describe("ssocket.tls and hostile peers", function()
        pending "is not built: OpenSSL is missing"
    end)
    return
end

local tls = require "ssocket.tls"

local prelude = assert(io.open "spec/support/tls_hostile.py")
local PRELUDE = prelude:read "*a"
prelude:close()

-- A socket that is connected to a Python peer with what tls_hostile.py has; argv[0] is the server's certificate.
local function with_python(code, ...)
    return support.with_python(PRELUDE .. peer.dedent(code), support.path "a.pem", ...)
end

local function client_of(code, ...)
    local s, p = with_python(code, ...)
    local ok, err, reason = tls.client(s, "a.test", support.context { ca = "ca.pem" })
    assert(ok, tostring(err) .. " " .. tostring(reason))
    return s, p
end

local function server_of(code, options)
    local s, p = with_python(code)
    local ok, err, reason = tls.server(s, support.context(options or { cert = "a.pem" }))
    assert(ok, tostring(err) .. " " .. tostring(reason))
    return s, p
end

-- The processor time that f(...) takes, and its results.
local function cost_of(f, ...)
    local began = os.clock()
    local results = t.pack(f(...))
    return os.clock() - began, results
end

local function is_closed_to_plain(s)
    assert.equal(-1, s:fileno())
    t.fails(socket.ERROR_CLOSED, 0, s:write "plain")
end

local function narrow_pair()
    local client, accepted, listener = t.narrow()
    listener:close()
    return support.pair(nil, nil, client, accepted)
end

describe("a handshake", function()
    tasks.guard()
    support.certificates()

    for _, version in ipairs { "TLSv1_2", "TLSv1_3" } do
        it("ends at its timeout wherever the server stops, " .. version, function()
            local p = support.python(
                PRELUDE .. peer.dedent [[
                version = getattr(ssl.TLSVersion, argv[1])
                def flight(t): # what it answers to what has come
                    try: t.tls.do_handshake()
                    except ssl.SSLWantReadError: pass
                    return list(records(t.out.read()))
                n, most = 0, 1
                with listen() as l:
                    while n < most:
                        s = l.accept()[0]
                        t = served(s, argv[0], 0, version)
                        t.into.write(s.recv(65536))
                        answer = flight(t)
                        most = len(answer) if version == ssl.TLSVersion.TLSv1_3 else len(answer) + 1
                        s.sendall(b"".join(answer[:n]))
                        say("last" if n + 1 == most else "more")
                        rest = drain(s)
                        say("plain" if b"plain" in rest else "nothing")
                        s.close()
                        n += 1
            ]],
                support.path "a.pem",
                version
            )
            local port, more = p:number(), "more"
            local ctx = support.context { ca = "ca.pem" }
            while more == "more" do
                local s = socket.tcp()
                assert(s:connect("127.0.0.1", port))
                s:settimeout(0.1)
                t.fails(socket.ERROR_TIMEOUT, nil, t.takes(0.1, tls.client, s, "a.test", ctx))
                is_closed_to_plain(s)
                more = p:line()
                assert.equal("nothing", p:line())
            end
            p:finish()
        end)
    end

    it("has one deadline however slowly the bytes come", function()
        local s, p = with_python [[
            t = served(s, argv[0])
            t.into.write(s.recv(65536))
            try: t.tls.do_handshake()
            except ssl.SSLWantReadError: pass
            for byte in t.out.read():
                try: s.sendall(bytes([byte]))
                except OSError: break
                if select.select([s], [], [], 0.02)[0]: break
        ]]
        s:settimeout(0.4)
        local ctx = support.context { ca = "ca.pem" }
        t.fails(socket.ERROR_TIMEOUT, nil, t.takes(0.4, tls.client, s, "a.test", ctx))
        is_closed_to_plain(s)
        p:finish()
    end)

    it("of a hundred silent clients does not keep others from being served", function()
        local listener, address = t.listener()
        local ctx, silent = support.context { cert = "a.pem" }, {}
        local function serve(s)
            s:settimeout(50)
            if tls.server(s, ctx) then
                s:write(s:read(4))
            end
            s:close()
        end
        tasks.spawn(function()
            local s = listener:accept()
            while s do
                tasks.spawn(serve, s)
                s = listener:accept()
            end
        end)
        for i = 1, 101 do
            silent[i] = socket.tcp()
            silent[i]:settimeout(10)
            assert(silent[i]:connect(address))
            tasks.settle()
        end
        local s = table.remove(silent)
        assert(tls.client(s, "a.test", support.context { ca = "ca.pem" }))
        s:write "ping"
        assert.equal("ping", s:read(4))
        s:close()
        for _, one in ipairs(silent) do
            one:close()
        end
        listener:close()
    end)

    it("refuses what was smuggled in behind the answer to STARTTLS, and never goes on in plain text", function()
        local s, p = with_python [[
            s.recv(100)
            s.sendall(b"220 go ahead\r\n250 smuggled\r\n")
            say(b"secret" in drain(s))
        ]]
        s:write "STARTTLS\r\n"
        assert.equal("220 go ahead\r", s:readuntil "\n"())
        local ok, err = tls.client(s, "a.test", support.context { ca = "ca.pem" })
        assert.is_nil(ok)
        assert.equal(tls.ERROR_PROTOCOL, err)
        t.fails(socket.ERROR_CLOSED, 0, s:write "secret")
        t.fails(socket.ERROR_CLOSED, "", s:read(1))
        assert.equal("False", p:line())
        p:finish()
    end)

    it("of a client without a certificate fails with the alert's name, also where it writes first", function()
        local a, b = assert(socket.pair())
        local client = support.shake(
            a,
            b,
            support.context { ca = "ca.pem" },
            support.context { cert = "a.pem", client_ca = "ca.pem" }
        )
        assert.is_true(client[1])
        a:write "a request"
        t.fails(tls.ERROR_ALERT, "", a:read(1))
        assert.equal("certificate_required", tls.info(a).reason)
        a:close()
    end)

    it("writes no key log because the environment says so", function()
        local log = support.path "environment.log"
        t.sys.setenv("SSLKEYLOGFILE", log)
        local a, b = support.pair()
        t.sys.setenv("SSLKEYLOGFILE", nil)
        assert.is_nil(io.open(log))
        a:close()
        b:close()
    end)

    it("of TLS 1.2 without extended master secret gives no tls-exporter", function()
        local s, p = server_of [[
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
            c.maximum_version = ssl.TLSVersion.TLSv1_2
            c.options |= 1 # SSL_OP_NO_EXTENDED_MASTER_SECRET
            t = Tls(s, c, server_hostname="a.test"); t.shake(); t.flush()
            hear()
        ]]
        assert.equal("TLSv1.2", tls.info(s).version)
        t.fails(t.text "EOPNOTSUPP", nil, tls.binding(s, "tls-exporter"))
        p:say ""
        s:close()
        p:finish()
    end)
end)

describe("a read over TLS", function()
    tasks.guard()
    support.certificates()

    it("waits for the rest of a record without using the processor", function()
        local s, p = client_of [[
            t = served(s, argv[0]); t.shake(); t.flush()
            record = t.pack(b"x" * 1000)
            s.sendall(record[:500]); hear()
            s.sendall(record[500:]); hear()
        ]]
        s:settimeout(0.5)
        local cost, results = cost_of(t.takes, 0.5, s.read, s, 1)
        t.fails(socket.ERROR_TIMEOUT, "", results[1], results[2], results[3])
        assert(cost < 0.1 * t.slow, cost .. " s of processor time")
        assert.equal(0, #(socket.select({ s }, nil, 0) or {})) -- from memory nothing can be given
        p:say ""
        s:settimeout(10)
        assert.equal(("x"):rep(1000), s:read(1000))
        p:say ""
        s:close()
        p:finish()
    end)

    it("is ready as long as one of three records of a segment is left", function()
        local s, p = client_of [[
            t = served(s, argv[0]); t.shake(); t.flush()
            s.sendall(t.pack(b"one") + t.pack(b"two") + t.pack(b"three")); hear()
        ]]
        for _, word in ipairs { "one", "two", "three" } do
            assert.equal(s, socket.select({ s }, nil, 10)[1])
            assert.equal(word, s:read(#word))
        end
        s:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, "", s:read(1))
        p:say ""
        s:close()
        p:finish()
    end)

    it("gets data that come in one segment with tickets", function()
        local s, p = client_of [[
            t = served(s, argv[0], 2); t.shake()
            s.sendall(t.out.read() + t.pack(b"behind the tickets")); hear()
        ]]
        assert.equal(s, socket.select({ s }, nil, 10)[1])
        assert.equal("behind the tickets", s:read(18))
        p:say ""
        s:close()
        p:finish()
    end)

    it("ends at its deadline and not with a message that carries no data", function()
        local s, p = client_of [[
            t = served(s, argv[0], 8); t.shake()
            for ticket in records(t.out.read()):
                s.sendall(ticket)
                if select.select([sys.stdin], [], [], 0.05)[0]: break
            hear()
        ]]
        s:settimeout(0.5)
        t.fails(socket.ERROR_TIMEOUT, "", t.takes(0.5, s.read, s, 1))
        p:say ""
        s:close()
        p:finish()
    end)

    it("after a bad record fails for ever, as a write does, and gives none of its bytes", function()
        local s, p = client_of [[
            t = served(s, argv[0]); t.shake(); t.flush()
            good = t.pack(b"good")
            bad = bytearray(t.pack(b"forged")); bad[-1] ^= 1
            s.sendall(good + bytes(bad) + t.pack(b"later")); say(len(drain(s)) > 0)
        ]]
        t.fails(tls.ERROR_PROTOCOL, "good", s:read(100))
        for _ = 1, 2 do
            t.fails(tls.ERROR_PROTOCOL, "", s:read(1))
            t.fails(tls.ERROR_PROTOCOL, 0, s:write "x")
        end
        assert.is_string(tls.info(s).reason)
        s:close()
        assert.equal("True", p:line())
        p:finish()
    end)

    it("cuts a flood of KeyUpdates off", function()
        local s, p = server_of [[
            t = OpenSSL(s, TLS13)
            t.write(b"x")
            hear()
            n = 0
            while n < 2000000 and t.update_key(0): n += 1
            say(n)
        ]]
        assert.equal("x", s:read(1))
        p:say ""
        local cost, results = cost_of(tasks.run, s.read, s, 1)
        t.fails(tls.ERROR_PROTOCOL, "", results[1], results[2], results[3])
        assert.equal("too many messages without data", tls.info(s).reason)
        assert(cost < 0.2 * t.slow, cost .. " s of processor time")
        s:close()
        assert.is_true(p:number(30) < 2000000) -- 54 MB, more than lie in buffers
        p:finish()
    end)

    it("takes KeyUpdates between data, also those that want an answer", function()
        local s, p = server_of [[
            t = OpenSSL(s, TLS13)
            for i in range(300):
                assert t.update_key(i % 2)
                t.write(b"data")
            say(t.read(10).decode())
        ]]
        assert.equal(("data"):rep(300), s:read(1200))
        s:write "all there"
        assert.equal("all there", p:line())
        s:close()
        p:finish()
    end)

    it("refuses to renegotiate at little cost", function()
        local s, p = server_of([[
            t = OpenSSL(s, TLS12)
            t.write(b"x")
            n = 0
            while n < 1000 and t.renegotiate(): n += 1
            say(n); hear()
        ]])
        assert.equal("x", s:read(1))
        local cost, results = cost_of(s.read, s, 1)
        assert.is_nil(results[1])
        assert.equal(tls.ERROR_ALERT, results[2])
        assert(cost < 0.2 * t.slow, cost .. " s of processor time")
        assert.equal(0, p:number())
        p:say ""
        s:close()
        p:finish()
    end)
end)

describe("a write over TLS", function()
    tasks.guard()
    support.certificates()

    it("of nothing sends nothing", function()
        local a, b = support.pair()
        for _, ends in ipairs { { a, b }, { b, a } } do
            assert.equal(0, ends[1]:write "")
            assert.equal(0, ends[1]:write { "", "" })
            ends[2]:settimeout(0)
            t.fails(socket.ERROR_TIMEOUT, "", ends[2]:read(1))
            assert.equal(0, #(socket.select({ ends[2] }, nil, 0) or {}))
        end
        a:close()
        b:close()
    end)

    it("that times out is followed by other data of that length", function()
        local a, b = narrow_pair()
        local expected, timeouts = {}, 0
        a:settimeout(0)
        for i = 1, 1000 do
            local data = ("%08d"):format(i):rep(2048)
            local n, err, sent = a:write(data)
            timeouts = timeouts + (n and 0 or 1)
            assert(n or err == socket.ERROR_TIMEOUT, err)
            expected[i] = data:sub(1, n or sent)
            if timeouts == 20 then
                break
            end
            if timeouts > 0 then
                b:settimeout(0)
                local got, _, partial = b:read(10000)
                expected.got = (expected.got or "") .. (got or partial)
            end
        end
        assert.equal(20, timeouts)
        local all = table.concat(expected)
        a:settimeout(10)
        b:settimeout(10)
        local closer = tasks.spawn(a.shutdown, a, socket.SHUT_WR)
        assert.is_true(all == expected.got .. assert(b:readall()))
        assert.is_true(tasks.join(closer))
        a:close()
        b:close()
    end)

    it("that is blocked does not keep a read from answering a KeyUpdate", function()
        local s, p = server_of [[
            t = OpenSSL(s, TLS13)
            hear()
            for i in range(10):
                assert t.update_key(1)
                t.write(b"data")
            hear()
            n = 16 << 20
            while n > 0:
                got = len(t.read(min(n, 65536)))
                assert got > 0
                n -= got
            say("all"); hear()
        ]]
        s:settimeout(30)
        local data = ("x"):rep(1024):rep(16 * 1024)
        local writer = tasks.spawn(s.write, s, data)
        tasks.settle()
        p:say ""
        assert.equal(("data"):rep(10), tasks.run(s.read, s, 40))
        p:say ""
        assert.equal(#data, tasks.join(writer, 40))
        assert.equal("all", p:line(30))
        p:say ""
        s:close()
        p:finish()
    end)

    it("to a client that never reads does not keep the server from reading", function()
        local s, p = server_of [[
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
            t = Tls(s, c, server_hostname="a.test"); t.shake(); t.flush()
            for _ in range(64): s.sendall(t.pack(b"x" * 16384))
            hear()
        ]]
        assert.equal(1, s:write "!")
        assert.equal(1024 * 1024, #assert(s:read(1024 * 1024)))
        p:say ""
        s:close()
        p:finish()
    end)

    it("to a peer that is gone raises no signal", function()
        tasks.alone_fine(
            ([[
            local tls = require "ssocket.tls"
            sys.disposition(sys.SIGPIPE, "default")
            local ctx = assert(tls.context { cert = %q, ca = %q })
            local a, b = socket.pair()
            local server = spawn(function() assert(tls.server(b, ctx)) end)
            assert(tls.client(a, "a.test", ctx))
            assert(server:wait(10))
            b:close()
            for _ = 1, 3 do assert(a:write "x" == nil) end
            a:close()
        ]]):format(support.path "a.pem", support.path "ca.pem"),
            20
        )
    end)
end)

describe("the end of a TLS connection", function()
    tasks.guard()
    support.certificates()

    local function full_pair()
        local a, b = narrow_pair()
        a:settimeout(0.05)
        local _, err = a:write(t.much)
        assert.equal(socket.ERROR_TIMEOUT, err)
        return a, b
    end

    it("does not wait while much is unsent", function()
        local least = math.huge
        for _ = 1, 5 do
            local a, b = full_pair()
            a:settimeout(50)
            local cost, results = cost_of(t.deadline, 5, a.close, a)
            least = math.min(least, cost)
            assert.equal(1, results[1])
            local got, err, partial = b:readall()
            assert.is_nil(got)
            assert.equal(tls.ERROR_EOF, err)
            assert.is_true(#partial > 0)
            b:close()
        end
        assert(least < 0.001 * t.slow, least .. " s of processor time")
    end)

    it("does not wait in a finalizer either", function()
        local a, b = full_pair()
        a:settimeout(50)
        a = nil -- luacheck: ignore
        t.deadline(5, t.collect)
        local _, err = b:readall()
        assert.equal(tls.ERROR_EOF, err)
        b:close()
    end)

    it("does not make the peer lose what was written before, though its own bytes lie unread", function()
        local s, p = server_of [[
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
            t = Tls(s, c, server_hostname="a.test"); t.shake(); t.flush()
            s.sendall(t.pack(b"nobody reads this" * 100)); say("sent"); hear()
            say(len(t.take(100000)))
            t.into.write(drain(s)); say(len(t.tls.read(1))) # 0: the closure
        ]]
        assert.equal("sent", p:line())
        assert.equal(s, socket.select({ s }, nil, 10)[1])
        assert.equal(100000, s:write(("x"):rep(100000)))
        s:close()
        p:say ""
        assert.equal("100000", p:line())
        assert.equal("0", p:line())
        p:finish()
    end)

    it("in a child process sends nothing, and the parent's connection goes on", function()
        local a, b = support.pair()
        local pid = assert(t.sys.fork())
        if pid == 0 then
            t.sys.watchdog(20)
            local _, err, sent = a:write "x"
            local _, other = a:read(1)
            local closed = a:close()
            b = nil
            t.collect()
            t.sys._exit(err == tls.ERROR_PROTOCOL and sent == 0 and other == err and closed == 1 and not b and 0 or 1)
        end
        assert.same({ "exit", 0 }, { t.sys.wait(pid, 20 * t.slow) })
        for _, ends in ipairs { { a, b }, { b, a } } do
            ends[2]:settimeout(0)
            t.fails(socket.ERROR_TIMEOUT, "", ends[2]:read(1))
            ends[2]:settimeout(10)
            assert.equal(8, ends[1]:write "unharmed")
            assert.equal("unharmed", ends[2]:read(8))
        end
        a:close()
        assert.equal("", b:readall())
        b:close()
    end)
end)

describe("OpenSSL's queue of errors", function()
    tasks.guard()
    support.certificates()
    local sys = t.sys

    -- f(...), with an error of somebody else in the queue.
    local function amid_errors(f, ...)
        assert.is_true(sys.openssl_fail())
        assert.is_true(sys.openssl_error() ~= 0)
        return f(...)
    end

    it("may hold errors of others before any call", function()
        for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
            local options = { cert = "a.pem", ca = "ca.pem", conf = { MaxProtocol = version } }
            local ctx = amid_errors(support.context, options)
            local a, b = assert(socket.pair())
            local client, server = amid_errors(support.shake, a, b, ctx, ctx)
            assert.is_true(client[1])
            assert.is_true(server[1])
            for _, ends in ipairs { { a, b }, { b, a } } do
                assert.equal(5, amid_errors(ends[1].write, ends[1], "hello"))
                assert.equal(1, #amid_errors(socket.select, { ends[2] }, nil, 10))
                assert.equal("hello", amid_errors(ends[2].read, ends[2], 5))
                ends[2]:settimeout(0)
                t.fails(socket.ERROR_TIMEOUT, "", amid_errors(ends[2].read, ends[2], 1))
                ends[2]:settimeout(10)
            end
            assert.equal("a.test", amid_errors(tls.info, a).name)
            assert.is_string(amid_errors(tls.export, a, "EXPERIMENTAL", 9))
            assert.is_string(amid_errors(tls.binding, a, "tls-server-end-point"))
            assert.is_true(amid_errors(a.shutdown, a, socket.SHUT_WR))
            assert.equal("", amid_errors(b.readall, b))
            assert.equal(1, amid_errors(b.close, b))
            assert.equal("", amid_errors(a.readall, a))
            a:close()
        end
    end)

    it("is empty after each call, also one that fails", function()
        local function is_empty(...)
            assert.equal(0, sys.openssl_error())
            return ...
        end
        amid_errors(support.context)
        is_empty()
        is_empty(tls.context { cert = "/nowhere" })
        is_empty(tls.context { cert = support.path "a.crt" })
        is_empty(tls.context { cert = support.path "locked.pem" })
        is_empty(tls.context { conf = { Nonsense = "x" } })
        local a, b = support.pair()
        is_empty()
        is_empty(a:write "x")
        is_empty(b:read(1))
        is_empty(tls.info(a))
        is_empty(tls.binding(a, "tls-unique"))
        is_empty(a:close())
        is_empty(b:readall())
        is_empty(b:write "x")
        is_empty(b:close())
        for _, name in ipairs { "a.test", "b.test" } do
            a, b = assert(socket.pair())
            local client, server = support.context { ca = "other.pem" }, support.context { cert = "a.pem" }
            is_empty(support.shake(a, b, client, server, name))
            a:close()
            b:close()
        end
        a, b = assert(socket.pair())
        b:write "GET / HTTP/1.0\r\n\r\n"
        is_empty(tls.hello(a))
        is_empty(tls.server(a, support.context { cert = "a.pem" }))
        b:close()
    end)
end)

describe("a key with a password", function()
    t.guard()
    support.certificates()

    it("that is not given is refused at once and asks nobody on the terminal", function()
        local p = t.python(
            [[
            import pty
            pid, terminal = pty.fork()
            if pid == 0: os.execv("/bin/sh", ["sh", "-c", 'exec ' + argv[0] + ' -e "$0"', argv[1] ])
            said = b""
            while True:
                if not select.select([terminal], [], [], 10)[0]: said += b"(waits)"; break
                try: piece = os.read(terminal, 1000)
                except OSError: break # Linux: all who had it open are gone
                if not piece: break
                said += piece
            os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
            say(repr(said.decode()))
        ]],
            os.getenv "SSOCKET_LUA",
            ('io.write((require "ssocket.tls".context { cert = %q }) and "taken" or "refused")'):format(
                support.path "locked.pem"
            )
        )
        assert.equal("'refused'", p:line(20))
        p:finish()
    end)
end)
