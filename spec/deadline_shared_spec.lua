local t = require "support.t"
local socket = t.socket

-- A time-out is kept by the kernel on a descriptor where that saves system calls. That others have the same listener,
-- or that the kernel hands the time-out on or counts it anew, must not show.
describe("a time-out holds", function()
    t.guard()

    -- f(...) must time out after 0.3 s.
    local function times_out(f, ...)
        local results = t.pack(t.takes(0.3, f, ...))
        assert.is_nil(results[1])
        assert.equal(socket.ERROR_TIMEOUT, results[2])
        return results[3]
    end

    for _, kind in ipairs { "inet", "unix" } do
        it("for what a listener of kind " .. kind .. " accepts after a time-out of its own", function()
            local listener, address = t.listener(kind)
            listener:settimeout(0.3)
            times_out(listener.accept, listener)
            local client = socket.tcp()
            assert(client:connect(address))
            local _, accepted = t.joined(client, assert(listener:accept()))
            accepted:settimeout(0.3)
            assert.equal("", times_out(accepted.read, accepted, 1))
            accepted:close()
            client:close()
            listener:close()
        end)
    end

    -- The same listening descriptor under two owners, as two processes have it after a fork.
    local function shared()
        local a, address = t.listener()
        return a, assert(socket.fromfd(assert(t.sys.dup(a:fileno())))), address
    end

    it("when another owner of the listener set another one", function()
        local a, b = shared()
        a:settimeout(0.3)
        times_out(a.accept, a)
        b:settimeout(2)
        local client = socket.tcp()
        assert(client:connect(a:getsockname()))
        assert(b:accept()):close()
        client:close()
        b:settimeout(0.9)
        t.fails(socket.ERROR_TIMEOUT, nil, b:accept())
        times_out(a.accept, a)
        times_out(a.accept, a)
        a:close()
        b:close()
    end)

    it("when another owner of the listener waits without one", function()
        local b, a, address = shared()
        a:settimeout(0)
        b:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, nil, a:accept())
        t.fails(socket.ERROR_TIMEOUT, nil, b:accept())
        b:settimeout(-1)
        local client = socket.tcp()
        assert(client:connect(address))
        assert(b:accept()):close()
        t.takes(0, function()
            t.fails(socket.ERROR_TIMEOUT, nil, a:accept())
        end)
        a:settimeout(0.3)
        times_out(a.accept, a)
        client:close()
        a:close()
        b:close()
    end)

    it("when a child process waits at the listener in another mode", function()
        local listener, address = t.listener()
        listener:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, nil, listener:accept())
        local pid = assert(t.sys.fork())
        if pid == 0 then
            listener:settimeout(-1)
            local accepted = listener:accept()
            t.sys._exit(accepted and accepted:write "hi" == 2 and 0 or 1)
        end
        local client = socket.tcp()
        client:settimeout(10)
        assert(client:connect(address))
        assert.equal("hi", client:read(2)) -- by the child
        assert.same({ "exit", 0 }, { t.sys.wait(pid, 10) })
        t.takes(0, function()
            t.fails(socket.ERROR_TIMEOUT, nil, listener:accept())
        end)
        client:close()
        listener:close()
    end)

    -- Two owners of one descriptor, in two processes or in one.
    for name, call in pairs {
        recv = function(s)
            return s:recv()
        end,
        read = function(s)
            return s:read(1)
        end,
    } do
        local function socket_for()
            if name == "read" then
                local a, b = socket.pair()
                return a, b
            end
            local u = socket.udp()
            assert(u:bind("127.0.0.1", 0))
            return u, u
        end

        it("for " .. name .. " when a child process waits on the same descriptor without one", function()
            local s, other = socket_for()
            s:settimeout(0.3)
            times_out(call, s)
            local p = t.python "say(hear())"
            local pid = assert(t.sys.fork())
            if pid == 0 then
                s:settimeout(-1)
                p:say "waiting"
                call(s)
                t.sys._exit(0)
            end
            assert.equal("waiting", p:line())
            times_out(call, s)
            t.sys.kill(pid, t.sys.SIGKILL)
            t.sys.wait(pid, 10)
            p:finish()
            s:close()
            other:close()
        end)

        it("for " .. name .. " when another owner in the process has another one", function()
            local s, other = socket_for()
            local twin = assert(socket.fromfd(assert(t.sys.dup(s:fileno()))))
            for _, one in ipairs { s, twin, s } do
                one:settimeout(1)
                t.takes(1, call, one)
                for _, short in ipairs { twin, s } do
                    short:settimeout(0.3)
                    times_out(call, short)
                end
            end
            twin:close()
            s:close()
            other:close()
        end)
    end

    it("of 0 for accept when another owner of the listener has handed it out", function()
        local a, b = shared()
        a:settimeout(0)
        b:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, nil, a:accept())
        t.fails(socket.ERROR_TIMEOUT, nil, b:accept())
        local fd = assert(a:detach())
        t.takes(0, function()
            t.fails(socket.ERROR_TIMEOUT, nil, b:accept())
        end)
        b:close()
        assert(socket.fromfd(fd)):close()
    end)

    -- Takes a little each 0.1 s, so that a kernel that counts its time for each piece anew never gives up.
    local function slow(kind, path)
        local p = t.python(
            [[
            s = socket.socket(socket.AF_UNIX, getattr(socket, argv[0])); s.bind(argv[1])
            if argv[0] == "SOCK_STREAM": s.listen()
            say("up")
            if argv[0] == "SOCK_STREAM": s = s.accept()[0]
            while True: time.sleep(0.1); s.recv(65536)
            ]],
            kind,
            path
        )
        p:line()
        return p
    end

    it("for a write to a Unix socket that is read slowly", function()
        local path = t.tmpdir() .. "/s"
        local p = slow("SOCK_STREAM", path)
        local s = socket.tcp()
        assert(s:connect("unix:" .. path))
        s:settimeout(0.3)
        local sent = times_out(s.write, s, t.much)
        assert.is_true(sent > 0 and sent < #t.much)
        p:kill()
        s:close()
    end)

    local function fill(path)
        local u = socket.udp()
        u:settimeout(0)
        local ok
        repeat
            ok = u:sendto("x", "unix:" .. path)
        until not ok
        return u
    end

    local many = {}
    for i = 1, 1000 do
        many[i] = "x"
    end

    it("for sendmany to a slow receiver", function()
        local path = t.tmpdir() .. "/s"
        local p = slow("SOCK_DGRAM", path)
        local u = fill(path)
        u:settimeout(0.3)
        assert.is_true(times_out(u.sendmany, u, many, "unix:" .. path) < #many)
        p:kill()
        u:close()
    end)

    for name, call in pairs {
        sendto = function(u, address)
            return u:sendto("x", address)
        end,
        sendmany = function(u, address)
            return u:sendmany(many, address)
        end,
    } do
        it("for the first " .. name .. " of a socket, to a full receiver", function()
            local path = t.tmpdir() .. "/s"
            local r = socket.udp()
            assert(r:bind("unix:" .. path))
            local other = fill(path)
            local u = socket.udp()
            u:settimeout(0.3)
            times_out(call, u, "unix:" .. path)
            u:close()
            other:close()
            r:close()
        end)
    end

    -- Connected after most of the time has gone; a machine that is too busy for that gets another try.
    local function late(tries)
        local path = t.tmpdir() .. "/s"
        local p = t.python(
            [[
            s = socket.socket(socket.AF_UNIX); s.bind(argv[0]); s.listen(0)
            a = socket.socket(socket.AF_UNIX); a.connect(argv[0])
            say("full"); hear(); time.sleep(0.74)
            x = s.accept()[0]; y = s.accept()[0]
            hear()
            ]],
            path
        )
        p:line()
        local s = socket.tcp()
        s:settimeout(0.8)
        p:say "now"
        local ok, err = s:connect("unix:" .. path)
        if ok then
            return s, p
        end
        s:close()
        p:kill()
        assert(err == socket.ERROR_TIMEOUT and tries > 1, err)
        return late(tries - 1)
    end

    it("for a write after a connect that had to wait", function()
        local s, p = late(5)
        local ok, err = t.takes(0.8, s.write, s, t.much)
        t.fails(socket.ERROR_TIMEOUT, nil, ok, err)
        p:kill()
        s:close()
    end)
end)
