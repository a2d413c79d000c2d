-- Connects on sockets that were opened: the descriptor stays, and an attempt goes on when its call has ended.

local space = require "support.space"
local t = require "support.t"
local tasks = require "support.tasks"

local socket = t.socket
local TIMEOUT, REFUSED, ALREADY = socket.ERROR_TIMEOUT, socket.ERROR_REFUSED, t.text "EALREADY"

-- A listener whose queue is full. Its system asks again after a second: then it finds room, or nobody.
local function full_listener(...)
    local listener = socket.tcp()
    listener:settimeout(5)
    if ... then
        assert(listener:bind(...))
    else
        assert(listener:bind("127.0.0.1", 0))
    end
    assert(listener:listen(0))
    return listener, listener:getsockname(), assert(socket.connect(listener:getsockname()))
end

local function opened(timeout, family)
    local s = socket.tcp()
    s:settimeout(timeout)
    assert(s:open(family or "inet"))
    return s
end

-- A socket whose connect is under way, with the listener and its address.
local function connecting(timeout)
    local listener, address, first = full_listener()
    local s = opened(timeout or 0)
    t.fails(TIMEOUT, nil, s:connect(address))
    return s, listener, address, first
end

local function close_all(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

-- Waits until the attempt has ended.
local function await(s)
    local _, writers = socket.select({}, { s }, 10)
    assert.same({ s }, writers)
end

-- It is connected: bytes come through.
local function check_connected(s, listener)
    listener:settimeout(5)
    s:settimeout(5)
    local accepted = assert(listener:accept())
    assert.equal(2, s:write "hi")
    accepted:settimeout(5)
    assert.equal("hi", accepted:read(2))
    accepted:close()
end

describe("connect on an opened socket", function()
    tasks.guard()

    for _, kind in ipairs(t.kinds) do
        it("connects at once where it can, and keeps the descriptor: " .. kind, function()
            local listener, address = t.listener(kind)
            for _, timeout in ipairs { 0, 0.05, 5, -1 } do
                local s = opened(timeout, (kind:gsub("abstract", "unix")))
                local fd = s:fileno()
                assert.is_true(s:connect(address))
                assert.equal(fd, s:fileno())
                t.fails(t.text "EISCONN", nil, s:connect(address))
                check_connected(s, listener)
                s:close()
            end
            listener:close()
        end)
    end

    it("goes on after a timeout of 0: select tells when it has ended, and the same call gives its outcome", function()
        local s, listener, address, first = connecting()
        local fd = s:fileno()
        assert.is_true(fd >= 0)
        t.fails(TIMEOUT, nil, s:connect(address))
        t.fails(TIMEOUT, nil, s:connect("127.0.0.1", address[2]))
        local _, writers = socket.select({}, { s }, 0)
        assert.same({}, writers or {})
        listener:accept():close()
        await(s)
        t.deadline(0.5, function()
            assert.is_true(s:connect(address))
        end)
        assert.equal(fd, s:fileno())
        assert.equal(tostring(address), tostring(s:getpeername()))
        t.fails(t.text "EISCONN", nil, s:connect(address))
        check_connected(s, listener)
        close_all(s, listener, first)
    end)

    for _, timeout in ipairs { 0.03, 0.15 } do -- waited for with poll, and in the kernel
        it(("goes on after a deadline of %g s, and the next call waits on"):format(timeout), function()
            local s, listener, address, first = connecting(timeout)
            t.takes(timeout, function()
                t.fails(TIMEOUT, nil, s:connect(address))
            end)
            listener:accept():close()
            s:settimeout(timeout == 0.03 and 5 or -1)
            assert.is_true(s:connect(address))
            check_connected(s, listener)
            close_all(s, listener, first)
        end)
    end

    it("gives a refusal once, and can connect again with the same descriptor", function()
        local s, listener, address, first = connecting()
        local fd = s:fileno()
        listener:close()
        await(s)
        t.fails(REFUSED, nil, s:connect(address))
        t.fails(REFUSED, nil, s:connect(address)) -- of an attempt of its own
        assert.equal(fd, s:fileno())
        local other, place = t.listener()
        s:settimeout(5)
        assert.is_true(s:connect(place))
        assert.equal(fd, s:fileno())
        check_connected(s, other)
        close_all(s, other, first)
    end)

    it("is refused within its time as well", function()
        local s, listener, address, first = connecting(0.05)
        listener:close()
        s:settimeout(5)
        t.fails(REFUSED, nil, s:connect(address))
        close_all(s, first)
    end)

    it("takes no other address meanwhile, and leaves the attempt alone then", function()
        local s, listener, address, first = connecting()
        local other, place = t.listener()
        for _, timeout in ipairs { 0, 5, -1 } do
            s:settimeout(timeout)
            t.fails(ALREADY, nil, s:connect(place))
        end
        t.fails(t.text "EAFNOSUPPORT", nil, s:connect("unix:/nowhere"))
        t.fails(t.text "EAFNOSUPPORT", nil, s:connect("::1", 9))
        listener:accept():close()
        await(s)
        t.fails(ALREADY, nil, s:connect(place)) -- until the outcome is told
        assert.is_true(s:connect(address))
        close_all(s, listener, first, other)
    end)

    it("goes on when the task that waits is cancelled", function()
        local s, listener, address, first = connecting()
        s:settimeout(-1)
        local task = tasks.spawn(s.connect, s, address)
        tasks.settle()
        t.fails(socket.ERROR_BUSY, nil, s:connect(address))
        task:cancel()
        t.fails(socket.ERROR_CANCELLED, nil, select(2, task:wait()))
        s:settimeout(0)
        t.fails(TIMEOUT, nil, s:connect(address))
        listener:accept():close()
        s:settimeout(5)
        local again = tasks.spawn(s.connect, s, address)
        assert.same({ true, true }, { again:wait() })
        check_connected(s, listener)
        close_all(s, listener, first)
    end)

    it("ends when another task closes the socket, which is then as new", function()
        local s, listener, address, first = connecting()
        s:settimeout(-1)
        local task = tasks.spawn(s.connect, s, address)
        tasks.settle()
        s:close()
        t.fails(socket.ERROR_CLOSED, nil, select(2, task:wait()))
        local other, place = t.listener()
        assert.is_true(s:connect(place))
        check_connected(s, other)
        close_all(s, listener, first, other)
    end)

    it("is forgotten with close and with detach", function()
        local other, place = t.listener()
        for _, leave in ipairs { "close", "detach" } do
            local s, listener, _, first = connecting()
            local fd = assert(s[leave](s))
            if leave == "detach" then
                t.sys.close(fd)
            end
            s:settimeout(5)
            assert(s:open "inet")
            assert.is_true(s:connect(place))
            check_connected(s, other)
            close_all(s, listener, first)
        end
        other:close()
    end)

    it("is dropped with a lost socket", function()
        local s, listener, _, first = connecting() -- luacheck: ignore
        local before = t.fds()
        s = nil -- luacheck: ignore
        t.collect()
        assert.equal(before - 1, t.fds())
        close_all(listener, first)
    end)

    it("keeps the time of other calls", function()
        local s, listener, address, first = connecting()
        for _, timeout in ipairs { 0, 0.05, 0.15 } do
            s:settimeout(timeout)
            t.takes(timeout, function()
                t.fails(TIMEOUT, "", s:read(1))
            end)
            t.takes(timeout, function()
                local n, err, sent = s:write "x"
                assert.same({ nil, TIMEOUT, 0 }, { n, err, sent })
            end)
        end
        t.fails(t.text "ENOTCONN", nil, s:getpeername())
        assert.equal("127.0.0.1", s:getsockname()[1])
        listener:accept():close()
        s:settimeout(5)
        assert.equal(1, s:write "x") -- waits for the connection
        local accepted = assert(listener:accept())
        assert.equal("x", (accepted:read(1)))
        assert.is_true(s:connect(address))
        close_all(s, listener, first, accepted)
    end)

    it("tells of a failure that getopt has told of", function()
        local s, listener, address, first = connecting()
        listener:close()
        await(s)
        assert.equal(t.sys.ECONNREFUSED, s:getopt(socket.OPT_ERROR))
        t.fails(REFUSED, nil, s:connect(address))
        close_all(s, first)
    end)

    it("is never taken for connected when a read was told of the failure", function()
        local s, listener, address, first = connecting()
        listener:close()
        s:settimeout(5)
        t.fails(REFUSED, "", s:read(1))
        t.fails(t.text "ECONNABORTED", nil, s:connect(address))
        t.fails(REFUSED, nil, s:connect(address))
        close_all(s, first)
    end)

    it("tells of a failure that a write was told of", function()
        local s, listener, address, first = connecting()
        listener:close()
        await(s)
        s:settimeout(5)
        local _, err = s:write "x"
        assert.equal(REFUSED, err)
        t.fails(REFUSED, nil, s:connect(address))
        local other, place = t.listener()
        assert.is_true(s:connect(place))
        check_connected(s, other)
        close_all(s, first, other)
    end)

    it("is broken off by shutdown", function()
        local s, listener, address, first = connecting()
        s:shutdown(socket.SHUT_RDWR)
        s:settimeout(5)
        local ok, err = s:connect(address)
        assert.is_nil(ok)
        assert.is_true(err == socket.ERROR_RESET or err == t.text "ECONNABORTED", err) -- Linux says the first
        local other, place = t.listener()
        assert.is_true(s:connect(place))
        check_connected(s, other)
        close_all(s, listener, first, other)
    end)

    it("connects from the address that it is bound to", function()
        local listener, address, first = full_listener()
        local s = opened(0)
        assert(s:bind("127.0.0.9", 0))
        local own = tostring(s:getsockname())
        t.fails(TIMEOUT, nil, s:connect(address))
        listener:accept():close()
        await(s)
        assert.is_true(s:connect(address))
        assert.equal(own, tostring(s:getsockname()))
        check_connected(s, listener)
        close_all(s, listener, first)
    end)

    it("has nothing under way at a Unix listener whose queue is full, and tries again", function()
        local listener, address, first = full_listener(t.abstract())
        local other, place = t.listener "unix"
        local s = opened(0, "unix")
        local fd = s:fileno()
        t.fails(TIMEOUT, nil, s:connect(address))
        s:settimeout(0.05)
        t.fails(TIMEOUT, nil, s:connect(address))
        local second = opened(0, "unix")
        t.fails(TIMEOUT, nil, second:connect(address))
        assert.is_true(second:connect(place))
        check_connected(second, other)
        listener:accept():close()
        assert.is_true(s:connect(address))
        assert.equal(fd, s:fileno())
        check_connected(s, listener)
        close_all(s, second, listener, first, other)
    end)

    it("takes a name that has one address of its family", function()
        local listener, address = t.listener()
        local s = opened(5)
        assert.is_true(s:connect("localhost", address[2]))
        check_connected(s, listener)
        close_all(s, listener)
    end)

    it("takes no name with several addresses of its family, or none", function()
        local names = "two.test 127.0.0.2 127.0.0.3\nsix.test ::1\nboth.test ::1 127.0.0.1"
        local here = space.open(names) or pending(space.why)
        here:lua(([[
            local MANY, NONE = %q, %q
            local listener, port = inside.listen "127.0.0.1"
            local function check()
                for _, timeout in ipairs { -1, 5 } do
                    local s = socket.tcp()
                    s:settimeout(timeout)
                    assert(s:open "inet")
                    local fd = s:fileno()
                    inside.fails(MANY, s:connect("two.test", port))
                    inside.fails(NONE, s:connect("six.test", port))
                    inside.equal(fd, s:fileno())
                    assert(s:connect("both.test", port))
                    inside.equal(fd, s:fileno())
                    s:close()
                    assert(s:open "inet6")
                    inside.fails(NONE, s:connect("two.test", port))
                    inside.fails(socket.ERROR_REFUSED, s:connect("six.test", port))
                    assert(s:connect("127.0.0.1", port)) -- through IPv6
                    s:close()
                end
            end
            check()
            assert(socket.spawn(check):wait(20))
        ]]):format(t.text "EDESTADDRREQ", t.text "EAFNOSUPPORT"))
    end)

    it("leaves one attempt, which ends with the socket", function()
        local here = space.open() or pending(space.why)
        here:lua [[
            local s = socket.tcp()
            assert(s:open "inet")
            for _, timeout in ipairs { 0, 0.03, 0.15 } do
                s:settimeout(timeout)
                inside.fails(socket.ERROR_TIMEOUT, s:connect("192.0.2.2", 9))
                inside.equal(1, inside.attempts())
            end
            s:close()
            inside.equal(0, inside.attempts())
        ]]
    end)

    it("ends when another owner of the descriptor connects elsewhere", function()
        local s, silent, _, first = connecting()
        local listener = assert(socket.listen("127.0.0.1", 0))
        local new = assert(socket.fromfd(s:detach()))
        new:settimeout(5)
        assert.is_true(new:connect(listener:getsockname()))
        assert.same(listener:getsockname(), new:getpeername())
        check_connected(new, listener)
        close_all(new, listener, silent, first)
    end)

    it("does not pass for the connect of a call whose coroutine is gone", function()
        local silent, address, first = full_listener()
        local listener = assert(socket.listen("127.0.0.1", 0))
        local s, co = socket.tcp(), nil
        assert(s:bind("127.0.0.1", 0))
        local task = tasks.spawn(function()
            co = coroutine.running()
            return s:connect(address)
        end)
        tasks.settle()
        pcall(coroutine.close or coroutine.resume, co)
        task:wait(5)
        s:settimeout(5)
        assert.is_true(s:connect(listener:getsockname()))
        assert.same(listener:getsockname(), s:getpeername())
        check_connected(s, listener)
        close_all(s, listener, silent, first)
    end)
end)
