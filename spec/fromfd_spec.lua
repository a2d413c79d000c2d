local t = require "support.t"
local socket, sys = t.socket, t.sys

describe("fromfd", function()
    t.guard()

    it("gives a stream socket that owns the descriptor", function()
        local near, far = sys.socketpair(sys.SOCK_STREAM)
        assert.is_false(sys.cloexec(near))
        local s = assert(socket.fromfd(near))
        assert.equal("<tcpsock: " .. near .. ">", tostring(s))
        assert.equal(-1, s:gettimeout())
        assert.is_true(sys.cloexec(near))
        assert(sys.send(far, "in\n", 5))
        assert.equal("in", s:readuntil "\n"())
        assert.equal(3, s:write "out")
        assert.equal("out", sys.read(far, 10, 5))
        s:close()
        assert.is_false(sys.isopen(near))
        sys.close(far)
    end)

    local kinds = {
        { "tcpsock", "AF_INET", "SOCK_STREAM", { "127.0.0.1", 0 } },
        { "tcpsock", "AF_INET6", "SOCK_STREAM", { "::1", 0 } },
        { "udpsock", "AF_INET", "SOCK_DGRAM", { "127.0.0.1", 0 } },
        { "udpsock", "AF_INET6", "SOCK_DGRAM", { "::1", 0 } },
        { "tcpsock", "AF_UNIX", "SOCK_STREAM", {} },
        { "udpsock", "AF_UNIX", "SOCK_DGRAM", {} },
    }
    for _, kind in ipairs(kinds) do
        it(("asks the system: %s, %s is a %s"):format(kind[2], kind[3], kind[1]), function()
            local fd = sys.socket(sys[kind[2]], sys[kind[3]])
            local s = assert(socket.fromfd(fd))
            assert.equal(kind[1], getmetatable(s))
            assert.equal(("<%s: %d>"):format(kind[1], fd), tostring(s))
            assert.is_true(s:bind(kind[4][1] or t.abstract(), kind[4][2]))
            assert.equal(fd, s:fileno())
            s:close()
            assert.is_false(sys.isopen(fd))
        end)
    end

    it("takes a listening socket, whose accept works", function()
        local listener, address = t.listener()
        local s = assert(socket.fromfd(assert(listener:detach())))
        s:settimeout(5)
        local p = t.python("connect(argv[0]).sendall(b'hello')", address[2])
        local accepted = assert(s:accept())
        assert.equal("hello", accepted:readall())
        p:finish()
        accepted:close()
        s:close()
    end)

    it("takes a descriptor that does not wait: the deadlines of the socket hold all the same", function()
        local near, far = sys.socketpair(sys.SOCK_STREAM)
        sys.nonblock(near, true)
        local s = assert(socket.fromfd(near))
        s:settimeout(0.15)
        t.takes(0.15, function()
            t.fails(socket.ERROR_TIMEOUT, "", s:read(1))
        end)
        s:settimeout(-1)
        local p = t.python "time.sleep(0.1); say(1)"
        p:number()
        assert(sys.send(far, "x", 5))
        assert.equal("x", s:read(1))
        p:finish()
        s:close()
        sys.close(far)
    end)

    it("leaves to the caller what it cannot take", function()
        local before = t.fds()
        local pipe = sys.dup(0)
        t.fails(t.text "ENOTSOCK", nil, socket.fromfd(pipe))
        assert.is_true(sys.isopen(pipe))
        sys.close(pipe)
        t.fails(t.text "EBADF", nil, socket.fromfd(pipe))
        local near, far = sys.socketpair(sys.SOCK_SEQPACKET)
        t.fails(t.text "EPROTOTYPE", nil, socket.fromfd(near))
        assert.is_true(sys.isopen(near))
        sys.close(near)
        sys.close(far)
        assert.equal(before, t.fds())
    end)

    it("refuses a descriptor that a socket owns already", function()
        local s, wire = t.wire()
        t.fails(t.text "EBUSY", nil, socket.fromfd(s:fileno()))
        wire:send "x"
        assert.equal("x", s:read(1))
        local fd = assert(s:detach())
        s = assert(socket.fromfd(fd))
        assert.equal(fd, s:fileno())
        s:close()
        wire:close()
    end)

    -- Linux says ECONNABORTED to the first connect then.
    it("takes a descriptor whose connect has failed under way, elsewhere, to connect it", function()
        local p = t.python([[
            import errno, subprocess
            full = socket.socket()
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            others = [socket.socket() for _ in range(4)]
            for s in others:
                s.setblocking(False)
                s.connect_ex(full.getsockname())
            s = others.pop()
            full.close()
            select.select([], [s], [], 10)
            assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
            s.setblocking(True)
            good = socket.create_server(("127.0.0.1", 0))
            code = "s = require('ssocket').fromfd(%d) s:settimeout(5) print(s:connect('127.0.0.1', %d))"
            code %= s.fileno(), good.getsockname()[1]
            done = subprocess.run([argv[0], "-e", code], pass_fds=[s.fileno()], capture_output=True, text=True)
            say(done.stdout.strip())
        ]], os.getenv "SSOCKET_LUA")
        assert.equal("true", p:line())
        p:finish()
    end)
end)

describe("detach", function()
    t.guard()

    it("hands the descriptor to the caller, and leaves a socket as new", function()
        local s, wire = t.wire()
        s:settimeout(3)
        local number = s:fileno()
        local fd = assert(s:detach())
        assert.equal(number, fd)
        assert.equal(-1, s:fileno())
        assert.equal(3, s:gettimeout())
        t.fails(socket.ERROR_CLOSED, "", s:read(1))
        assert.equal(1, s:close())
        local listener, address = t.listener()
        assert.is_true(s:connect(address))
        s = nil -- luacheck: ignore
        t.collect()
        assert(sys.send(fd, "mine", 5))
        assert.equal("mine", wire:receive())
        sys.close(fd)
        wire:close()
        listener:close()
    end)

    it("is refused while bytes are pending, which stay", function()
        local s, wire = t.wire()
        wire:send "line\nrest"
        assert.equal("line", s:readuntil "\n"())
        t.fails("Unread bytes are pending", nil, s:detach())
        assert.equal("rest", s:read(4))
        local fd = assert(s:detach())
        sys.close(fd)
        wire:close()
    end)

    -- A listener that has tried to connect before has a time-out in the kernel, and hands it down.
    it("leaves no time-out on the descriptor, wherever it came from", function()
        local other, nobody = t.listener()
        other:close()
        local listener = socket.tcp()
        listener:settimeout(5)
        assert(listener:bind("127.0.0.1", 0))
        t.fails(socket.ERROR_REFUSED, nil, listener:connect(nobody))
        assert(listener:listen())
        local client = socket.tcp()
        client:settimeout(5)
        assert(client:connect(listener:getsockname()))
        for _, s in ipairs { assert(listener:accept()), client, listener } do
            local again = assert(socket.fromfd(assert(s:detach())))
            for _, opt in ipairs { sys.SO_RCVTIMEO, sys.SO_SNDTIMEO } do
                assert.equal(0, (again:getopt(sys.SOL_SOCKET, opt))) -- the seconds of it
            end
            again:close()
        end
    end)

    it("fails on a fresh and on a closed socket", function()
        t.fails(socket.ERROR_CLOSED, nil, socket.tcp():detach())
        local s, wire = t.wire()
        s:close()
        t.fails(socket.ERROR_CLOSED, nil, s:detach())
        wire:close()
    end)
end)
