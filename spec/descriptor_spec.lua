local t = require "support.t"
local socket, sys = t.socket, t.sys

describe("pair", function()
    t.guard()

    it("gives two connected stream sockets without names", function()
        local a, b = socket.pair()
        assert.equal("tcpsock", getmetatable(a))
        for _, s in ipairs { a, b } do
            assert.equal("unix:", s:getsockname())
            assert.equal("unix:", s:getpeername())
            assert.equal(-1, s:gettimeout())
        end
        assert.equal(3, a:write "to\n")
        assert.equal(5, b:write "fro\0\n")
        assert.equal("to", b:readuntil "\n"())
        assert.equal("fro\0", a:readuntil "\n"())
        a:close()
        t.fails(socket.ERROR_CLOSED, "", b:read(1))
        t.fails(socket.ERROR_CLOSED, 0, b:write "x")
        b:close()
    end)

    it("fails where there is room for one descriptor only, and leaks none", function()
        local soft = sys.nofile()
        local first = sys.dup(0)
        local second = sys.dup(0)
        sys.close(first)
        sys.close(second)
        sys.nofile(second)
        local enforced = not sys.socketpair(sys.SOCK_STREAM) -- not under valgrind, which counts by itself
        local a, err = socket.pair()
        sys.nofile(soft)
        if not enforced then
            return pending "the limit on descriptors is not enforced here"
        end
        t.fails(t.text "EMFILE", nil, a, err)
    end)
end)

describe("descriptors", function()
    t.guard()

    local makers = {
        connect = function()
            return t.connected()
        end,
        accept = function()
            local client, accepted = t.connected()
            return accepted, client
        end,
        bind = function()
            return (t.listener())
        end,
        pair = function()
            return socket.pair()
        end,
        ["pair's second"] = function()
            local a, b = socket.pair()
            return b, a
        end,
        fromfd = function()
            return t.wire()
        end,
    }
    for name, make in pairs(makers) do
        it("of " .. name .. " are close-on-exec and not inherited", function()
            local s, other = make()
            assert.is_true(sys.cloexec(s:fileno()))
            local p = t.python("print(os.path.exists('/proc/self/fd/' + argv[0]))", s:fileno())
            assert.equal("False\n", p:finish())
            s:close()
            if other then
                other:close()
            end
        end)
    end
end)

describe("descriptor 0", function()
    t.guard()

    local saved
    before_each(function()
        saved = sys.dup(0)
    end)
    after_each(function()
        sys.dup2(saved, 0)
        sys.close(saved)
    end)

    it("is a descriptor like any other for connect", function()
        local listener, address = t.listener()
        local s = socket.tcp()
        sys.close(0)
        assert.is_true(s:connect(address))
        assert.equal(0, s:fileno())
        assert.equal("<tcpsock: 0>", tostring(s))
        local accepted = assert(listener:accept())
        assert.equal(2, s:write "hi")
        assert.equal("hi", accepted:read(2))
        assert.equal(1, accepted:write "x")
        assert.equal("x", s:read(1))
        t.fails(t.text "EISCONN", nil, s:connect(address))
        assert.equal(1, s:close())
        assert.is_false(sys.isopen(0))
        assert.equal(-1, s:fileno())
        accepted:close()
        listener:close()
    end)

    it("is one for bind, listen, accept and the collector", function()
        local s = socket.tcp()
        sys.close(0)
        assert.is_true(s:bind("127.0.0.1", 0))
        assert.equal(0, s:fileno())
        assert.is_true(s:listen())
        local client = socket.tcp()
        assert.is_true(client:connect(s:getsockname()))
        local accepted = assert(s:accept())
        s:close()
        local again = socket.tcp()
        assert(again:bind("127.0.0.1", 0))
        assert.equal(0, again:fileno())
        again = nil -- luacheck: ignore
        t.collect()
        assert.is_false(sys.isopen(0))
        accepted:close()
        client:close()
    end)

    it("is one for accept, pair, detach and fromfd", function()
        local listener, address = t.listener()
        local client = socket.tcp()
        assert(client:connect(address))
        sys.close(0)
        local accepted = assert(listener:accept())
        assert.equal(0, accepted:fileno())
        assert.equal(0, accepted:detach())
        assert.is_true(sys.isopen(0))
        accepted = assert(socket.fromfd(0))
        assert.equal(0, accepted:fileno())
        accepted:close()
        local a, b = socket.pair()
        assert.equal(0, a:fileno())
        a:close()
        b:close()
        client:close()
        listener:close()
    end)
end)

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

    it("fails on a fresh and on a closed socket", function()
        t.fails(socket.ERROR_CLOSED, nil, socket.tcp():detach())
        local s, wire = t.wire()
        s:close()
        t.fails(socket.ERROR_CLOSED, nil, s:detach())
        wire:close()
    end)
end)
