-- Open descriptors that travel beside the bytes of a Unix stream. Python stands at the other end.

local t = require "support.t"
local peer = require "support.peer"
local tasks = require "support.tasks"
local socket, sys = t.socket, t.sys
local spawn, join = tasks.spawn, tasks.join

-- A Unix socket that is connected to a Python peer, which runs code with its end as `s`.
local function with_python(code, ...)
    local listener, address = t.listener "abstract"
    local connect = "s = socket.socket(socket.AF_UNIX); s.connect(bytes.fromhex(argv.pop(0)))\n"
    local p = t.python(connect .. peer.dedent(code), t.hex("\0" .. address:sub(7)), ...)
    listener:settimeout(10)
    local s = assert(listener:accept())
    listener:close()
    s:settimeout(10)
    return s, p
end

local function pair()
    local a, b = socket.pair()
    a:settimeout(10)
    b:settimeout(10)
    return a, b
end

local function close_all(...)
    for i = 1, select("#", ...) do
        select(i, ...):close()
    end
end

-- A descriptor to be passed, and what tells whether a copy of it is still open somewhere.
local function traced()
    local near, far = sys.socketpair(sys.SOCK_STREAM)
    return near, {
        is_gone = function() -- at its end once nobody has a copy
            return sys.read(far, 1, 0) == ""
        end,
        close = function()
            sys.close(far)
        end,
    }
end

-- Fills a until it takes no more. Returns how many bytes it took.
local function fill(a)
    local before = a:gettimeout()
    a:settimeout(0)
    local _, _, sent = a:write(t.much)
    local all = sent
    repeat -- byte by byte: room that is too small for a piece is none
        _, _, sent = a:write "x"
        all = all + (sent or 1)
    until sent == 0
    a:settimeout(before)
    return all
end

describe("recvfd", function()
    t.guard()

    it("gives the descriptor beside the bytes, and others do not inherit it", function()
        local s, p = with_python [[
            r, w = os.pipe(); os.write(w, b"through the pipe"); os.close(w)
            socket.send_fds(s, [b"here it is"], [r])
        ]]
        local data, fd = s:recvfd(100)
        assert.equal("here it is", data)
        assert.is_true(sys.cloexec(fd))
        assert.equal("through the pipe", sys.read(fd, 100, 5))
        sys.close(fd)
        t.fails(socket.ERROR_CLOSED, nil, s:recvfd(1))
        s:close()
        p:finish()
    end)

    it("gives bytes without one as well", function()
        local a, b = pair()
        assert(a:write "plain")
        assert.same({ "pl", nil, n = 2 }, t.pack(b:recvfd(2)))
        assert.same({ "ain", nil, n = 2 }, t.pack(b:recvfd(100)))
        assert.equal(0, b:pending())
        close_all(a, b)
    end)

    it("gives the first of several and closes the others", function()
        local s, p = with_python [[
            pipes = [os.pipe() for _ in range(100)]
            for i, (r, w) in enumerate(pipes): os.write(w, b"%d" % i)
            socket.send_fds(s, [b"x"], [r for r, w in pipes])
            for r, w in pipes: os.close(r)
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            hear()
            def reads(w):
                try: return os.write(w, b"!")
                except BrokenPipeError: return 0
            say(*[i for i, (r, w) in enumerate(pipes) if reads(w)])
        ]]
        local before = t.fds()
        local data, fd = s:recvfd(1)
        assert.equal("x", data)
        assert.equal(before + 1, t.fds())
        assert.equal("0", sys.read(fd, 100, 5))
        p:say "received"
        assert.equal("0", p:line())
        sys.close(fd)
        s:close()
        p:finish()
    end)

    it("takes no byte more than it is asked for, so that each descriptor comes with its own", function()
        local a, b = pair()
        local names = {}
        for i = 1, 3 do
            local near, trace = traced()
            assert.is_true(a:sendfd(("%d;"):format(i):rep(3), near))
            names[i] = { sys.fdname(near), trace }
            sys.close(near)
        end
        for i = 1, 3 do
            local data, fd = b:recvfd(2) -- some of them
            assert.equal(i .. ";", data)
            assert.equal(names[i][1], sys.fdname(fd))
            sys.close(fd)
            assert.same({ (i .. ";"):rep(2), nil, n = 2 }, t.pack(b:recvfd(4)))
            names[i][2].close()
        end
        close_all(a, b)
    end)

    it("never gives what comes with a later message", function()
        local a, b = pair()
        assert(a:sendfd("first", 0) and a:sendfd("second", 1))
        for _, expected in ipairs { { "first", 0 }, { "second", 1 } } do
            local data, fd = b:recvfd(65536)
            assert.equal(expected[1], data)
            assert.equal(sys.fdname(expected[2]), sys.fdname(fd))
            sys.close(fd)
        end
        close_all(a, b)
    end)

    it("gives buffered bytes first, in order", function()
        local a, b = pair()
        t.read_ahead(b, function(text)
            assert(a:write(text))
        end, "line", "ahead")
        assert(a:sendfd("x", 0))
        assert.same({ "ah", nil, n = 2 }, t.pack(b:recvfd(2)))
        assert.same({ "ead", nil, n = 2 }, t.pack(b:recvfd(100)))
        local data, fd = b:recvfd(100)
        assert.equal("x", data)
        sys.close(fd)
        close_all(a, b)
    end)

    it("gives the data and says so when there is no room for the descriptor", function()
        local a, b = pair()
        local near, trace = traced()
        assert(a:sendfd("still there", near))
        sys.close(near)
        local had = sys.nofile()
        sys.nofile(0)
        local got = t.pack(b:recvfd(100))
        sys.nofile(had)
        assert.same({ "still there", nil, t.text "EMFILE", n = 3 }, got)
        assert.is_true(trace.is_gone())
        assert(a:write "more") -- that was said once
        assert.same({ "more", nil, n = 2 }, t.pack(b:recvfd(100)))
        trace.close()
        close_all(a, b)
    end)

    it("waits until its deadline", function()
        local a, b = pair()
        b:settimeout(0.1)
        t.takes(0.1, function()
            t.fails(socket.ERROR_TIMEOUT, nil, b:recvfd(1))
        end)
        b:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, nil, b:recvfd(1))
        b:settimeout(10)
        local p = t.python "hear(); time.sleep(0.1); say(1)"
        p:say "go"
        p:number()
        assert(a:sendfd("x", 0))
        local data, fd = b:recvfd(1)
        assert.equal("x", data)
        sys.close(fd)
        p:finish()
        close_all(a, b)
    end)

    it("is of Unix streams alone", function()
        local a, b = t.connected()
        t.fails(t.text "EOPNOTSUPP", nil, a:recvfd(1))
        t.fails(t.text "EOPNOTSUPP", 0, b:sendfd("x", 0))
        t.fails(t.text "EOPNOTSUPP", 0, b:sendfd("x", a))
        assert.equal(1, a:write "y")
        assert.equal("y", b:read(1))
        close_all(a, b)
        t.fails(socket.ERROR_CLOSED, nil, a:recvfd(1))
    end)

    -- The kernel puts the sender's identity in front of the descriptor (unix(7), SO_PASSCRED), and a descriptor of the
    -- sender's process behind it (SO_PASSPIDFD).
    it("finds the descriptor beside what an option by number adds", function()
        local SO_PASSCRED, SO_PASSPIDFD = 16, 76
        local a, b = pair()
        assert(b:setopt(sys.SOL_SOCKET, SO_PASSCRED, 1))
        b:setopt(sys.SOL_SOCKET, SO_PASSPIDFD, 1) -- since Linux 6.5
        assert(a:sendfd("x", 0))
        local before = t.fds()
        local data, fd = b:recvfd(1)
        assert.equal("x", data)
        assert.equal(sys.fdname(0), sys.fdname(fd))
        assert.equal(before + 1, t.fds())
        sys.close(fd)
        close_all(a, b)
    end)
end)

describe("a descriptor that nobody asked for", function()
    t.guard()

    for name, read in pairs {
        read = function(s)
            return s:read(3)
        end,
        readsome = function(s)
            return s:readsome(3)
        end,
        readuntil = function(s)
            return s:readuntil ";"() .. ";"
        end,
        ["a large read"] = function(s)
            return s:read(3 * 100000):sub(1, 3)
        end,
    } do
        it("is closed by " .. name, function()
            local a, b = pair()
            local near, trace = traced()
            local writer = name == "a large read" and spawn(function()
                return a:sendfd(("ab;"):rep(100000), near)
            end)
            assert(writer or a:sendfd("ab;", near))
            assert.equal("ab;", read(b))
            assert.is_true(not writer or join(writer))
            sys.close(near)
            assert.is_true(trace.is_gone())
            trace.close()
            close_all(a, b)
        end)
    end

    it("is closed with the socket that it has come to", function()
        local a, b = pair()
        local near, trace = traced()
        assert(a:sendfd("x", near))
        sys.close(near)
        assert.is_false(trace.is_gone())
        b:close()
        assert.is_true(trace.is_gone())
        trace.close()
        a:close()
    end)
end)

describe("sendfd", function()
    t.guard()

    it("passes a number, which stays open", function()
        local s, p = with_python [[
            data, fds, flags, address = socket.recv_fds(s, 100, 10)
            say(data.decode(), len(fds)); os.write(fds[0], b"from Python")
        ]]
        local near, far = sys.socketpair(sys.SOCK_STREAM)
        assert.same({ true, n = 1 }, t.pack(s:sendfd("take this", near)))
        assert.equal("take this 1", p:line())
        assert.is_true(sys.isopen(near))
        assert.equal("from Python", sys.read(far, 100, 5))
        sys.close(near)
        sys.close(far)
        s:close()
        p:finish()
    end)

    it("hands a socket over, which is then as a new one", function()
        local s, p = with_python [[
            data, fds, flags, address = socket.recv_fds(s, 100, 10)
            c = socket.socket(fileno=fds[0])
            say(os.get_blocking(c.fileno()), *[c.getsockopt(socket.SOL_SOCKET, o, 16) == bytes(16)
                for o in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO)])
            c.sendall(b"hello from elsewhere"); say(drain(c).decode())
        ]]
        local client, accepted = t.connected()
        accepted:settimeout(0.3) -- the kernel gets some of it
        t.fails(socket.ERROR_TIMEOUT, "", accepted:read(1))
        assert.is_true(s:sendfd("yours", accepted))
        assert.equal(-1, accepted:fileno())
        assert.equal(0.3, accepted:gettimeout())
        assert.equal("True True True", p:line())
        client:settimeout(10)
        assert.equal("hello", client:read(5))
        assert(client:write "bye")
        client:shutdown(socket.SHUT_WR)
        assert.equal("bye", p:line())
        p:finish()
        assert.equal(" from elsewhere", client:readall())
        close_all(client, s)
    end)

    it("hands a listener and a datagram socket over", function()
        local s, p = with_python [[
            for _ in range(2):
                data, fds, flags, address = socket.recv_fds(s, 1, 10)
                c = socket.socket(fileno=fds[0])
                if c.type == socket.SOCK_STREAM: c = c.accept()[0]
                say(os.get_blocking(c.fileno()), c.recv(100).decode())
        ]]
        local listener, address = t.listener()
        listener:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, nil, listener:accept()) -- it does not block any more
        local u = socket.udp()
        assert(u:bind("127.0.0.1", 0))
        local to = assert(u:getsockname())
        assert(s:sendfd("l", listener) and s:sendfd("u", u))
        assert.same({ -1, -1 }, { listener:fileno(), u:fileno() })
        local client = socket.tcp()
        client:settimeout(10)
        assert(client:connect(address))
        assert(client:write "stream")
        assert.equal("True stream", p:line())
        assert(u:sendto("datagram", to))
        assert.equal("True datagram", p:line())
        p:finish()
        close_all(s, client, u)
    end)

    it("comes back by fromfd", function()
        local a, b = pair()
        local c, d = pair()
        assert(a:sendfd("x", c))
        local _, fd = b:recvfd(1)
        c = assert(socket.fromfd(fd))
        assert(c:write "round")
        assert.equal("round", d:read(5))
        close_all(a, b, c, d)
    end)

    it("keeps a socket in which bytes are pending", function()
        local a, b = pair()
        local c, d = pair()
        t.read_ahead(c, function(text)
            assert(d:write(text))
        end, "line", "rest")
        t.fails("Unread bytes are pending", 0, a:sendfd("x", c))
        assert.equal("rest", c:read(4))
        assert.is_true(a:sendfd("y", c))
        local data, fd = b:recvfd(10)
        assert.equal("y", data) -- and nothing of the call that failed
        sys.close(fd)
        close_all(a, b, d)
    end)

    it("fails when there is no such descriptor, and sends nothing", function()
        local a, b = pair()
        local closed = sys.dup(0)
        sys.close(closed)
        t.fails(t.text "EBADF", 0, a:sendfd("x", closed))
        t.fails(t.text "EBADF", 0, a:sendfd("x", socket.tcp()))
        local gone = pair()
        gone:close()
        t.fails(t.text "EBADF", 0, a:sendfd("x", gone))
        assert(a:write "y")
        assert.equal("y", b:readsome(10))
        b:close()
        local c, d = pair()
        t.fails(socket.ERROR_CLOSED, 0, a:sendfd("x", c))
        assert.is_true(c:fileno() >= 0)
        a:close()
        t.fails(socket.ERROR_CLOSED, 0, a:sendfd("x", c))
        assert.equal(1, c:write "!")
        close_all(c, d)
    end)

    it("does not hand a socket over before there is room for a byte", function()
        local a, b = pair()
        local c, d = pair()
        local all = fill(a)
        a:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, 0, a:sendfd("x", c))
        a:settimeout(0.1)
        t.takes(0.1, function()
            t.fails(socket.ERROR_TIMEOUT, 0, a:sendfd("x", c))
        end)
        assert.equal(2, c:write "on")
        assert.equal("on", d:read(2))
        assert.equal(all, #b:read(all))
        assert.is_true(a:sendfd("x", c))
        local data, fd = b:recvfd(1)
        assert.equal("x", data)
        sys.close(fd)
        close_all(a, b, d)
    end)

    it("tells by the bytes sent that the descriptor has gone, when the deadline ends it half-way", function()
        local a, b = pair()
        local c, d = pair()
        a:settimeout(0.1)
        local ok, err, sent = a:sendfd(t.much, c)
        assert.same({ nil, socket.ERROR_TIMEOUT }, { ok, err })
        assert.is_true(sent > 0 and sent < #t.much)
        assert.equal(-1, c:fileno())
        local data, fd = b:recvfd(1)
        assert.equal("x", data)
        assert.equal(sent - 1, #b:read(sent - 1))
        c = assert(socket.fromfd(fd))
        assert(c:write "whole")
        assert.equal("whole", d:read(5))
        a:settimeout(10)
        assert.is_true(a:sendfd("behind", 0)) -- nothing was left half-done
        data, fd = b:recvfd(100)
        assert.equal("behind", data)
        sys.close(fd)
        close_all(a, b, c, d)
    end)

    it("sends long data whole", function()
        local s, p = with_python [[
            data, fds, flags, address = socket.recv_fds(s, 1, 10)
            data += drain(s)
            say(len(data), zlib.crc32(data), len(fds))
        ]]
        local data = t.random(1000000)
        assert.is_true(s:sendfd(data, 0))
        s:shutdown(socket.SHUT_WR)
        local check = t.python("say(zlib.crc32(sys.stdin.buffer.read()))")
        check:send(data)
        check:eof()
        assert.equal("1000000 " .. check:line() .. " 1", p:line())
        check:finish()
        p:finish()
        s:close()
    end)

    -- Who received a copy may change the mode of both.
    it("knows that the socket whose number it passed is another's as well", function()
        local s, p = with_python [[
            data, fds, flags, address = socket.recv_fds(s, 1, 10)
            os.set_blocking(fds[0], False); say("done"); hear()
        ]]
        local c, d = pair()
        assert.is_true(s:sendfd("x", c:fileno()))
        assert.equal("done", p:line())
        c:settimeout(0.2)
        t.takes(0.2, function()
            t.fails(socket.ERROR_TIMEOUT, "", c:read(1))
        end)
        c:settimeout(-1)
        p:say "on"
        p:finish()
        assert(d:write "z")
        assert.equal("z", c:read(1))
        close_all(s, c, d)
    end)
end)

describe("descriptors in tasks", function()
    tasks.guard()

    it("come while others go on", function()
        local a, b = pair()
        local receiver = spawn(function()
            return b:recvfd(10)
        end)
        tasks.settle()
        local near = sys.dup(0)
        assert.is_true(a:sendfd("late", near))
        sys.close(near)
        local data, fd = join(receiver)
        assert.equal("late", data)
        sys.close(fd)
        close_all(a, b)
    end)

    it("wait for room, and go with the first byte", function()
        local a, b = pair()
        local c, d = pair()
        local all = fill(a)
        local sender = spawn(function()
            return a:sendfd(t.much, c)
        end)
        tasks.settle()
        assert.is_true(c:fileno() >= 0)
        assert.equal(2, c:write "in") -- it is ours as long as it has not gone
        assert.equal("in", d:read(2))
        assert.equal(all, #b:read(all))
        local data, fd = b:recvfd(1)
        assert.equal("x", data)
        assert.equal(-1, c:fileno())
        assert.equal(#t.much - 1, #b:read(#t.much - 1))
        assert.is_true(join(sender))
        c = assert(socket.fromfd(fd))
        assert(d:write "out")
        assert.equal("out", c:read(3))
        close_all(a, b, c, d)
    end)

    it("stay when bytes come meanwhile, or the socket is closed", function()
        for _, how in ipairs { "read", "close", "reopen" } do
            local a, b = pair()
            local c, d = pair()
            local all = fill(a)
            local sender = spawn(function()
                return a:sendfd("x", c)
            end)
            tasks.settle()
            if how == "read" then
                t.read_ahead(c, function(text)
                    assert(d:write(text))
                end, "line", "rest")
            else
                c:close()
            end
            local listener
            if how == "reopen" then
                listener = socket.tcp()
                assert(listener:bind(t.abstract()) and listener:listen())
                assert(c:connect(listener:getsockname()))
            end
            assert.equal(all, #b:read(all))
            local err = how == "read" and "Unread bytes are pending" or t.text "EBADF"
            t.fails(err, 0, join(sender))
            assert.equal(how ~= "close", c:fileno() >= 0)
            close_all(a, b, c, d)
            if listener then
                listener:close()
            end
        end
    end)

    it("end the calls of others on a socket that goes", function()
        local a, b = pair()
        local c, d = pair()
        local reader = spawn(function()
            return c:read(1)
        end)
        tasks.settle()
        assert.is_true(a:sendfd("x", c))
        t.fails(socket.ERROR_CLOSED, "", join(reader))
        local _, fd = b:recvfd(1)
        c = assert(socket.fromfd(fd))
        local task = spawn(function()
            return c:read(2)
        end)
        tasks.settle()
        assert(d:write "go")
        assert.equal("go", join(task))
        close_all(a, b, c, d)
    end)

    it("are read and written by one task each", function()
        local a, b = pair()
        local all = fill(a)
        local sender = spawn(function()
            return a:sendfd("x", 0)
        end)
        local reader = spawn(function()
            return a:recvfd(1)
        end)
        tasks.settle()
        t.fails(socket.ERROR_BUSY, 0, a:sendfd("y", 0))
        t.fails(socket.ERROR_BUSY, 0, a:write "y")
        t.fails(socket.ERROR_BUSY, nil, a:recvfd(1))
        t.fails(socket.ERROR_BUSY, "", a:read(1))
        assert.equal(all, #b:read(all))
        assert.is_true(join(sender))
        assert(b:sendfd("z", 0))
        local data, fd = join(reader)
        assert.equal("z", data)
        sys.close(fd)
        close_all(a, b)
    end)

    it("stay when the call is cancelled or its socket is closed", function()
        local a, b = pair()
        local c, d = pair()
        fill(a)
        local sender = spawn(function()
            return a:sendfd("x", c)
        end)
        local reader = spawn(function()
            return a:recvfd(1)
        end)
        tasks.settle()
        sender:cancel()
        reader:cancel()
        t.fails(socket.ERROR_CANCELLED, 0, join(sender))
        t.fails(socket.ERROR_CANCELLED, nil, join(reader))
        sender = spawn(function()
            return a:sendfd("x", c)
        end)
        reader = spawn(function()
            return a:recvfd(1)
        end)
        tasks.settle()
        a:close()
        t.fails(socket.ERROR_CLOSED, 0, join(sender))
        t.fails(socket.ERROR_CLOSED, nil, join(reader))
        assert.equal(2, c:write "on")
        assert.equal("on", d:read(2))
        close_all(b, c, d)
    end)

    it("find what has come with bytes that a try has taken", function()
        local a, b = pair()
        for i = 1, 200 do -- more than run before another turn
            local near = sys.dup(0)
            assert(a:sendfd(tostring(i), near))
            sys.close(near)
            local data, fd = b:recvfd(10)
            assert.equal(tostring(i), data)
            sys.close(fd)
        end
        close_all(a, b)
    end)
end)

describe("wrong arguments", function()
    t.guard()

    it("of sendfd and recvfd are named before anything is done", function()
        local a, b = pair()
        local function rejects(text, ...)
            assert.is_truthy(t.rejects(...):find(text, 1, true))
        end
        rejects("data (a string) expected, got no value", a.sendfd, a)
        rejects("data (a string) expected, got table", a.sendfd, a, {}, 0)
        rejects("data must not be empty", a.sendfd, a, "", 0)
        rejects("fd (a socket or a descriptor's number) expected, got no value", a.sendfd, a, "x")
        rejects("fd (a socket or a descriptor's number) expected, got table", a.sendfd, a, "x", {})
        rejects("fd must be 0 or more", a.sendfd, a, "x", -1)
        rejects("fd must be a whole number", a.sendfd, a, "x", 1.5)
        rejects("fd must be 2147483647 or less", a.sendfd, a, "x", 2 ^ 31)
        rejects("a socket cannot be sent over itself", a.sendfd, a, "x", a)
        rejects("max must be 1 or more", a.recvfd, a, 0)
        rejects("max (a number) expected, got no value", a.recvfd, a)
        assert(a:write "!")
        assert.equal("!", b:readsome(10))
        close_all(a, b)
    end)
end)
