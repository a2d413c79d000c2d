-- tls.client and tls.server with `keep`, for a loop of one's own: a handshake that is not over in time goes on with the
-- next call.

local t = require "support.t"
local tasks = require "support.tasks"
local support = require "support.tls"

local socket, sys = t.socket, t.sys

if not support.is_built() then
    describe("ssocket.tls in a loop of one's own", function()
        pending "is not built: OpenSSL is missing"
    end)
    return
end

local tls = require "ssocket.tls"

local UNFINISHED = tls.ERROR_HANDSHAKE

-- What such a call has returned is "go on later"; returns what it waits for.
local function is_kept(ok, err, awaited)
    assert.is_nil(ok)
    assert.equal(socket.ERROR_TIMEOUT, err)
    assert.is_true(awaited == "read" or awaited == "write", tostring(awaited))
    return awaited
end

local function is_over(results)
    return results[1] or results[2] ~= socket.ERROR_TIMEOUT
end

local function wait_for(s, awaited)
    local list = { s }
    assert(socket.select(awaited == "read" and list or nil, awaited == "write" and list or nil, 10 * t.slow))
end

-- Calls shake() until the handshake is over, each time when the socket is ready. Returns its results, and how often it
-- was called.
local function go_on(s, shake)
    local calls, results = 1, t.pack(shake())
    while not is_over(results) do
        wait_for(s, is_kept(results[1], results[2], results[3]))
        results = t.pack(shake())
        calls = calls + 1
    end
    return results, calls
end

-- Calls of both ends in turn, each of which is to be over in few of them.
local function alternate(client, server)
    local first, second = { nil, socket.ERROR_TIMEOUT }, { nil, socket.ERROR_TIMEOUT }
    local rounds = 0
    repeat
        first = is_over(first) and first or t.pack(client())
        second = is_over(second) and second or t.pack(server())
        rounds = rounds + 1
        assert(rounds < 100, "no end")
    until is_over(first) and is_over(second)
    return first, second
end

local function talk(a, b)
    a:settimeout(10)
    b:settimeout(10)
    assert.equal(4, a:write "ping")
    assert.equal("ping", b:read(4))
    assert.equal(4, b:write "pong")
    assert.equal("pong", a:read(4))
    assert.equal(1, a:close())
    assert.equal("", b:readall()) -- close_notify
    assert.equal(1, b:close())
end

-- Waits until the system says that of a process (proc(5)).
local function await_state(pid, wanted)
    local limit, state = sys.now() + 20 * t.slow, nil
    repeat
        assert(sys.now() < limit, "it does not sleep")
        local file = assert(io.open(("/proc/%d/stat"):format(pid)))
        state = file:read("*a"):match "%) (%a)"
        file:close()
    until state == wanted
end

-- A pair of sockets without time, contexts for them, and the calls of both ends.
local function ends(options)
    local a, b = assert(socket.pair())
    a:settimeout(0)
    b:settimeout(0)
    local client = support.context(options and options.client or { ca = "ca.pem" })
    local server = support.context(options and options.server or { cert = "a.pem" })
    local function shake_client()
        return tls.client(a, "a.test", client, true)
    end
    local function shake_server()
        return tls.server(b, server, true)
    end
    return a, b, shake_client, shake_server, client, server
end

-- Every other call of a socket whose handshake is not over.
local function is_refused_by_others(s, ctx)
    t.fails(UNFINISHED, 0, s:write "plain")
    t.fails(UNFINISHED, 0, s:write { "plain ", "too" })
    t.fails(UNFINISHED, 0, s:write "")
    t.fails(UNFINISHED, "", s:read(1))
    t.fails(UNFINISHED, nil, s:readsome(1))
    t.fails(UNFINISHED, "", s:readline(10))
    t.fails(UNFINISHED, "", s:readall(10))
    t.fails(UNFINISHED, nil, s:peek(1))
    t.fails(UNFINISHED, "", s:readuntil "\n"())
    t.fails(UNFINISHED, nil, s:shutdown(socket.SHUT_WR))
    t.fails(UNFINISHED, nil, s:shutdown(socket.SHUT_RD))
    t.fails(UNFINISHED, nil, tls.hello(s))
    assert.equal(0, s:pending())
    assert.is_nil(tls.info(s))
    t.fails("TLS is in use", nil, s:detach())
    t.fails(t.text "EOPNOTSUPP", 0, s:sendfd("x", 0))
    t.fails(t.text "EOPNOTSUPP", nil, tls.export(s, "EXPORTER-label", 32))
    t.fails(t.text "EOPNOTSUPP", nil, tls.binding(s, "tls-exporter"))
    local other = support.context { ca = "ca.pem", cert = "a.pem" }
    t.fails(UNFINISHED, nil, tls.client(s, "a.test", other, true))
    t.fails(UNFINISHED, nil, tls.client(s, "a.test", nil, true))
    t.fails(UNFINISHED, nil, tls.client(s, "b.test", ctx, true))
    t.fails(UNFINISHED, nil, tls.client(s, "127.0.0.1", ctx, true))
    t.fails(UNFINISHED, nil, tls.server(s, other, true))
end

describe("a handshake that is kept", function()
    tasks.guard()
    support.certificates()

    for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
        tasks.everywhere("waits nowhere, with both ends in one loop, " .. version, function()
            local a, b, client, server = ends { client = { ca = "ca.pem", conf = { MaxProtocol = version } } }
            assert.equal("read", is_kept(server()))
            assert.equal("read", is_kept(client()))
            assert.equal("read", is_kept(client()))
            local first, second = alternate(client, server)
            assert.same({ true, n = 1 }, first)
            assert.same({ true, n = 1 }, second)
            assert.equal(version, tls.info(a).version)
            assert.is_true(tls.info(a).verified)
            t.fails(t.text "EISCONN", nil, client())
            t.fails(t.text "EISCONN", nil, server())
            talk(a, b)
        end)

        it("goes on with each byte, " .. version, function()
            local a, near = assert(socket.pair())
            local far, b = assert(socket.pair())
            for _, s in ipairs { a, near, far, b } do
                s:settimeout(0)
            end
            local client = support.context { ca = "ca.pem", conf = { MaxProtocol = version } }
            local server = support.context { cert = "a.pem", conf = { MaxProtocol = version } }
            local results = {
                [a] = t.pack(tls.client(a, "a.test", client, true)),
                [b] = t.pack(tls.server(b, server, true)),
            }
            local passed = 0
            local function pass(from, to, s, shake)
                local byte = from:readsome(1)
                if byte then
                    assert.equal(1, to:write(byte))
                    passed = passed + 1
                    results[s] = is_over(results[s]) and results[s] or t.pack(shake())
                end
                return byte
            end
            repeat
                local there = pass(near, far, b, function()
                    return tls.server(b, server, true)
                end)
                local back = pass(far, near, a, function()
                    return tls.client(a, "a.test", client, true)
                end)
            until not there and not back
            assert.same({ true, n = 1 }, results[a])
            assert.same({ true, n = 1 }, results[b])
            assert.is_true(passed > 500)
            a:close()
            b:close()
            near:close()
            far:close()
        end)
    end

    tasks.everywhere("goes on with Python and OpenSSL at the other end", function()
        local s, p = support.with_python(
            [[
            s = server_context(argv[0]).wrap_socket(s, server_side=True)
            s.sendall(b"hello"); say(s.recv(100).decode())
            ]],
            support.path "a.pem"
        )
        s:settimeout(0)
        local ctx = support.context { ca = "ca.pem" }
        local results, calls = go_on(s, function()
            return tls.client(s, "a.test", ctx, true)
        end)
        assert.same({ true, n = 1 }, results)
        assert.is_true(calls > 1)
        s:settimeout(10)
        assert.equal("hello", s:read(5))
        s:write "bye"
        assert.equal("bye", p:line())
        s:close()
        p:finish()
        local listener, address = t.listener()
        p = t.spawn({
            "openssl",
            "s_client",
            "-connect",
            "127.0.0.1:" .. address[2],
            "-CAfile",
            support.path "ca.pem",
            "-verify_return_error",
            "-quiet",
            "-servername",
            "a.test",
        }, true)
        s = assert(listener:accept())
        s:settimeout(0)
        ctx = support.context { cert = "a.pem" }
        results = go_on(s, function()
            return tls.server(s, ctx, true)
        end)
        assert.same({ true, n = 1 }, results)
        s:settimeout(10)
        p:say "a line"
        assert.equal("a line\n", s:read(7))
        s:close()
        p:kill()
        listener:close()
    end)

    it("waits for room where the peer takes nothing", function()
        local a, b, client, server = ends()
        local junk = ("x"):rep(65536)
        local full = 0
        repeat
            local n, _, some = a:write(junk)
            full = full + (n or some)
        until not n
        assert.equal("write", is_kept(client()))
        assert.equal("write", is_kept(client()))
        t.fails(UNFINISHED, 0, a:write "plain")
        b:settimeout(10)
        assert.equal(full, #b:read(full))
        b:settimeout(0)
        wait_for(a, "write")
        local first, second = alternate(client, server)
        assert.is_true(first[1])
        assert.is_true(second[1])
        talk(a, b)
    end)

    it("says no plain byte, and hears none, before its end", function()
        local a, b, client, server, ctx = ends()
        is_kept(client())
        is_refused_by_others(a, ctx)
        is_kept(server())
        is_refused_by_others(b)
        local first, second = alternate(client, server)
        assert.is_true(first[1])
        assert.is_true(second[1])
        talk(a, b)
    end)

    it("goes on from half a ClientHello", function()
        local a, near = assert(socket.pair())
        local far, b = assert(socket.pair())
        b:settimeout(0)
        local client = tasks.spawn(tls.client, a, "a.test", support.context { ca = "ca.pem" })
        local ctx = support.context { cert = "a.pem" }
        near:settimeout(10)
        local hello = assert(near:readsome(65536))
        far:write(hello:sub(1, 100))
        t.fails(socket.ERROR_TIMEOUT, nil, tls.hello(b))
        assert.equal("read", is_kept(tls.server(b, ctx, true)))
        assert.equal(socket.ERROR_TIMEOUT, (select(3, t.select_in_vain({ b }, nil, 0))))
        assert.equal("read", is_kept(tls.server(b, ctx, true)))
        far:write(hello:sub(101))
        assert.equal("read", is_kept(tls.server(b, ctx, true)))
        far:settimeout(10)
        assert.equal(22, far:readsome(65536):byte()) -- ServerHello
        client:cancel()
        for _, s in ipairs { a, near, far, b } do
            s:close()
        end
    end)

    it("takes what is in the buffer for the peer's first bytes", function()
        local a, b, client, server = ends()
        a:write "EHLO\r\n"
        is_kept(client())
        b:settimeout(10)
        assert.equal("EHLO", b:readline(100)) -- and the ClientHello is in the buffer
        assert.is_true(b:pending() > 100)
        b:settimeout(0)
        is_kept(server())
        local first, second = alternate(client, server)
        assert.is_true(first[1])
        assert.is_true(second[1])
        talk(a, b)
    end)

    it("is closed where it fails, as any other", function()
        local a, b, client, server = ends { client = { ca = "other.pem" } }
        local first, second = alternate(client, server)
        assert.is_nil(first[1])
        assert.equal(tls.ERROR_CERTIFICATE, first[2])
        assert.is_truthy(first[3]:find "depth 0")
        assert.is_nil(second[1])
        assert.equal(tls.ERROR_ALERT, second[2])
        assert.equal("unknown_ca", second[3])
        assert.equal(-1, a:fileno())
        assert.equal(-1, b:fileno())
        t.fails(socket.ERROR_CLOSED, 0, a:write "plain")
    end)

    it("is closed where bytes that are no TLS come later", function()
        local a, b, client = ends()
        is_kept(client())
        b:write "220 mail.test ready\r\n"
        t.fails(tls.ERROR_PROTOCOL, "wrong version number", client())
        assert.equal(-1, a:fileno())
        b:close()
    end)

    it("goes on without a context, too", function()
        local a, b, _, server = ends()
        local function client()
            return tls.client(a, "a.test", nil, true)
        end
        is_kept(client())
        t.fails(UNFINISHED, nil, tls.client(a, "a.test", support.context(), true))
        local first = alternate(client, server)
        assert.equal(tls.ERROR_CERTIFICATE, first[2]) -- the system trusts other authorities
        b:close()
    end)

    it("ends the socket with a call that does not keep it", function()
        local a, b, client, _, ctx = ends()
        is_kept(client())
        a:settimeout(0.05)
        t.fails(socket.ERROR_TIMEOUT, nil, tls.client(a, "a.test", ctx))
        assert.equal(-1, a:fileno())
        b:close()
    end)

    it("ends well in a call that does not keep it", function()
        local a, b, client, _, ctx, server = ends()
        is_kept(client())
        a:settimeout(10)
        b:settimeout(10)
        local peer = tasks.spawn(tls.server, b, server)
        assert.is_true(tls.client(a, "a.test", ctx))
        assert.is_true(tasks.join(peer))
        talk(a, b)
    end)

    tasks.everywhere("has the socket's time-out in each call", function()
        local a, b, client, server = ends()
        is_kept(client())
        a:settimeout(0.1)
        is_kept(t.takes(0.1, client))
        is_kept(t.takes(0.1, client))
        local _, err, awaited = t.takes(0.1, socket.within, 0.1, function()
            a:settimeout(-1)
            return client()
        end)
        assert.equal(socket.ERROR_TIMEOUT, err)
        assert.equal("read", awaited)
        local peer = tasks.spawn(function()
            return go_on(b, server)
        end)
        assert.is_true(client())
        assert.is_true(tasks.join(peer)[1])
        talk(a, b)
    end)

    it("is kept after many calls that did not wait", function()
        local a, b, client, server = ends()
        local other, end_of_other = assert(socket.pair())
        tasks.spawn(socket.sleep, 1000)
        for _ = 1, 100 do
            other:write "x"
            is_kept(client())
        end
        tasks.run(function()
            for _ = 1, 300 do
                is_kept(server())
            end
        end)
        local first, second = alternate(client, server)
        assert.is_true(first[1])
        assert.is_true(second[1])
        talk(a, b)
        other:close()
        end_of_other:close()
    end)

    it("begins in the turn before a call, where one is due", function()
        local c, d = assert(socket.pair())
        for calls = 0, 80 do -- with one number of them a turn is due in the last one
            local a, b, client, server = ends()
            tasks.spawn(socket.sleep, 1000)
            local first, second = tasks.run(function()
                for _ = 1, calls do
                    c:write "x"
                end
                is_kept(client())
                t.fails(UNFINISHED, 0, a:write "plain")
                return alternate(client, server)
            end)
            assert.is_true(first[1])
            assert.is_true(second[1])
            assert.equal(calls, #assert(d:read(calls)))
            a:close()
            b:close()
        end
        c:close()
        d:close()
    end)

    it("is busy while one of its calls waits, and goes on", function()
        local a, b, client, server, ctx = ends()
        is_kept(client())
        a:settimeout(10)
        local waiting = tasks.spawn(client)
        tasks.settle()
        t.fails(socket.ERROR_BUSY, nil, tls.client(a, "a.test", ctx, true))
        t.fails(socket.ERROR_BUSY, 0, a:write "plain")
        t.fails(socket.ERROR_BUSY, nil, tls.hello(a))
        b:settimeout(10)
        assert.is_true(server())
        assert.is_true(tasks.join(waiting))
        talk(a, b)
    end)

    it("stays kept where the turn before a call makes its socket busy", function()
        t.only_in_main "in a task a call that waits for its turn keeps others off its socket"
        local a, b, client, server = ends()
        is_kept(client())
        local reader = tasks.spawn(function()
            for _ = 1, 100 do -- one of them waits for a turn first
                t.fails(UNFINISHED, "", a:read(1))
            end
        end)
        local calls, results = 1, t.pack(client())
        while results[2] == socket.ERROR_TIMEOUT and calls < 100 do
            calls, results = calls + 1, t.pack(client())
        end
        assert.same({ nil, socket.ERROR_BUSY, n = 2 }, results)
        t.fails(socket.ERROR_BUSY, nil, client())
        tasks.join(reader)
        local first, second = alternate(client, server)
        assert.is_true(first[1])
        assert.is_true(second[1])
        talk(a, b)
    end)

    it("is closed by a call that is cancelled", function()
        local a, b, client = ends()
        is_kept(client())
        a:settimeout(10)
        local waiting = tasks.spawn(client)
        tasks.settle()
        waiting:cancel()
        local _, ok, err = assert(waiting:wait(10))
        assert.same({ nil, socket.ERROR_CANCELLED }, { ok, err })
        assert.equal(-1, a:fileno())
        t.fails(socket.ERROR_CLOSED, nil, client())
        b:close()
    end)

    it("goes on in a cancelled task whose calls do not wait", function()
        local a, b, client, server = ends()
        local task = tasks.spawn(function()
            socket.sleep(1000)
            return alternate(client, server)
        end)
        tasks.settle()
        task:cancel()
        local first, second = tasks.join(task)
        assert.is_true(first[1])
        assert.is_true(second[1])
        talk(a, b)
    end)

    it("is closed by an error in the middle of a call, and its socket is sound", function()
        tasks.alone_fine(
            ([[
                local tls = require "ssocket.tls"
                local a, b = socket.pair()
                a:settimeout(0)
                local ctx = assert(tls.context { ca = %q })
                local function client() return tls.client(a, "a.test", ctx, true) end
                local ok, err, awaited = client()
                assert(not ok and err == socket.ERROR_TIMEOUT and awaited == "read")
                a:settimeout(10)
                spawn(function() error "of a task" end)
                socket.onerror = function() error "of the handler" end
                local came, why = pcall(client)
                assert(not came and why:find "of the handler" and a:fileno() == -1, why)
                collectgarbage()
                collectgarbage()
                b:settimeout(5)
                b:readall()
                b:close()
            ]]):format(support.path "ca.pem"),
            20
        )
    end)

    it("is closed by an interrupt", function()
        local p = t.lua(([[
            local socket = require "ssocket"
            local tls = require "ssocket.tls"
            local a, b = socket.pair()
            local ctx = assert(tls.context { ca = %q })
            local function client() return tls.client(a, "a.test", ctx, true) end
            a:settimeout(0)
            assert(select(3, client()) == "read")
            a:settimeout(20)
            io.stdout:write "waits\n"
            io.stdout:flush()
            local ok, why = pcall(client)
            assert(not ok and tostring(why):find "interrupted!", why)
            assert(a:fileno() == -1 and select(2, client()) == socket.ERROR_CLOSED)
            b:settimeout(5)
            assert(#assert(b:readall()) > 100) -- the ClientHello, and nothing behind it
            print "fine"
        ]]):format(support.path "ca.pem"))
        p:await "waits"
        await_state(p.pid, "S")
        assert(sys.kill(p.pid, sys.SIGINT))
        assert.equal("fine", p:line())
        p:finish()
    end)

    it("is closed in between, without a plain byte", function()
        local a, b, client, server = ends()
        is_kept(client())
        is_kept(server())
        assert.equal(1, a:close())
        t.fails(socket.ERROR_CLOSED, nil, client())
        t.fails(tls.ERROR_EOF, "the connection has ended without close_notify", server())
        assert.equal(-1, b:fileno())
        a, b, client = ends()
        is_kept(client())
        b:settimeout(10)
        local head = assert(b:read(5))
        assert.equal(22, head:byte())
        assert.equal(head:byte(4) * 256 + head:byte(5), #b:read(head:byte(4) * 256 + head:byte(5)))
        a:finish()
        assert.equal(-1, a:fileno())
        assert.equal("", b:readall())
        b:close()
    end)

    it("makes a closed socket plain again for a new connection", function()
        local listener, address = t.listener()
        local s = assert(socket.connect(address))
        local first = assert(listener:accept())
        s:settimeout(0)
        is_kept(tls.client(s, "a.test", support.context { ca = "ca.pem" }, true))
        s:close()
        first:close()
        s:settimeout(10)
        assert(s:connect(address))
        local second = assert(listener:accept())
        second:settimeout(10)
        s:write "plain"
        assert.equal("plain", second:read(5))
        s:close()
        second:close()
        listener:close()
    end)

    it("is collected in between", function()
        local before = t.fds()
        for _ = 1, 3 do
            local b, server = (function()
                local _, far, client, server = ends()
                is_kept(client())
                return far, server
            end)()
            t.collect()
            b:settimeout(10)
            t.fails(tls.ERROR_EOF, "the connection has ended without close_notify", server())
        end
        t.collect()
        assert.equal(before, t.fds())
    end)

    it("outlives its context, and ends with the Lua state", function()
        local a, b = assert(socket.pair())
        a:settimeout(0)
        is_kept(tls.client(a, "a.test", support.context { ca = "ca.pem" }, true))
        t.collect()
        t.fails(UNFINISHED, "", a:read(1))
        a:close()
        b:close()
        tasks.alone_fine(
            ([[
                local tls = require "ssocket.tls"
                kept, other = socket.pair()
                kept:settimeout(0)
                assert(select(3, tls.client(kept, "a.test", tls.context { ca = %q }, true)) == "read")
            ]]):format(support.path "ca.pem"),
            20
        )
    end)

    it("stays with the process that has begun it", function()
        local a, b, client, server = ends()
        is_kept(client())
        is_kept(server())
        local pid = assert(sys.fork())
        if pid == 0 then
            sys.watchdog(20)
            local _, unread = a:read(1)
            local _, unsaid = a:write ""
            local ok, err = client()
            local refused = unread == tls.ERROR_PROTOCOL and unsaid == tls.ERROR_PROTOCOL
            sys._exit(refused and not ok and err == tls.ERROR_PROTOCOL and a:fileno() == -1 and 0 or 1)
        end
        assert.same({ "exit", 0 }, { sys.wait(pid, 20 * t.slow) })
        local first, second = alternate(client, server)
        assert.is_true(first[1])
        assert.is_true(second[1])
        talk(a, b)
    end)

    it("names a wrong argument", function()
        local a, b, _, _, ctx, server = ends()
        assert.is_truthy(t.rejects(tls.client, a, "a.test", ctx, 1):find "keep")
        assert.is_truthy(t.rejects(tls.server, b, server, "yes"):find "keep")
        a:write "still plain"
        assert.equal("still plain", b:read(11))
        a:close()
        b:close()
    end)

    it("counts its memory for the collector once", function()
        local a, b, client, server = ends()
        is_kept(client())
        is_kept(server())
        t.collect()
        collectgarbage "stop"
        local before = collectgarbage "count"
        for _ = 1, 20 do
            is_kept(server())
        end
        local grown = collectgarbage "count" - before
        collectgarbage "restart"
        assert.is_true(grown < 20 * 8, grown .. " KiB")
        a:close()
        b:close()
    end)
end)
