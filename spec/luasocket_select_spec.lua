-- LuaSocket's select: lists of anything that has a descriptor, results that are arrays and reverse maps.

local luasocket = require "support.luasocket"
local t = require "support.t"

local is, raises = luasocket.is, luasocket.raises

-- select gave these two lists, as arrays and as maps, and as third result the text, if any.
local function gives(readers, writers, err, ...)
    local got = t.pack(...)
    assert.equal(err and 3 or 2, got.n)
    for k, expected in ipairs { readers, writers } do
        local list, fields = got[k], 0
        for i, object in ipairs(expected) do
            assert.is_true(rawequal(object, list[i]), ("list %d has another object at %d"):format(k, i))
            is(tostring(i), list[object])
        end
        for _ in pairs(list) do
            fields = fields + 1
        end
        assert.equal(2 * #expected, fields)
    end
    assert.equal(err, got[3])
end

-- Objects with a method getfd that gives so many.
local function with_fd(fd, more)
    local object = more or {}
    function object:getfd()
        assert.equal(object, self)
        return fd
    end
    return object
end

-- A server and both ends of two connections to it, by their descriptors.
local function sockets(socket)
    local server = assert(socket.bind("127.0.0.1", 0))
    local a = luasocket.dial(socket, server)
    local b = assert(server:accept())
    local c = luasocket.dial(socket, server)
    local d = assert(server:accept())
    local all = { server, a, b, c, d }
    table.sort(all, function(one, other)
        return one:getfd() < other:getfd()
    end)
    return server, a, b, c, d, all
end

-- Waits until each of them has something to read.
local function await(socket, ...)
    for _, s in ipairs { ... } do
        assert.equal(s, socket.select({ s }, nil, 10)[1])
    end
end

local function close_all(list)
    for _, s in ipairs(list) do
        s:close()
    end
end

luasocket.describe("select", function(socket)
    it("gives what is ready by descriptor, whatever the order of the lists", function()
        local server, a, b, c, d, all = sockets(socket)
        a:send "x"
        c:send "y"
        local late = luasocket.dial(socket, server)
        await(socket, server, b, d)
        local ready, writable = {}, {}
        for _, s in ipairs(all) do
            ready[#ready + 1] = (s == server or s == b or s == d) and s or nil
            writable[#writable + 1] = s ~= server and s or nil
        end
        gives(ready, writable, nil, socket.select({ d, c, b, a, server }, { a, d, b, c, server }, 5))
        gives({ b }, { b }, nil, socket.select({ a, b }, { b }))
        gives({ b }, {}, nil, socket.select({ b }, nil, -1))
        gives({}, { a }, nil, socket.select(nil, { a }, "0"))
        late:close()
        close_all(all)
    end)

    it("gives empty lists and a text when the time is up", function()
        local _, a, _, _, _, all = sockets(socket)
        gives({}, {}, "timeout", luasocket.takes(0.02, socket.select, { a }, nil, 0.02))
        gives({}, {}, "timeout", luasocket.takes(0, socket.select, { a }, {}, 0))
        gives({}, {}, "timeout", luasocket.takes(0.02, socket.select, nil, nil, 0.02))
        gives({}, {}, "timeout", luasocket.takes(0.02, socket.select, {}, {}, "0.02"))
        close_all(all)
    end)

    it("ends its wait when something comes", function()
        local _, a, b, _, _, all = sockets(socket)
        local fd = a:getfd()
        luasocket.later(0.03, function()
            t.sys.send(fd, "x", 5)
        end)
        gives({ b }, {}, nil, t.deadline(5, socket.select, { b }, nil, 10))
        close_all(all)
    end)

    it("puts what has bytes in its buffer first, and does not wait then", function()
        local _, a, b, c, d, all = sockets(socket)
        a:send "line\nx"
        is('"line"', (b:receive()))
        c:send "line\nx"
        is('"line"', (d:receive()))
        local first = with_fd(a:getfd(), {
            dirty = function()
                return true
            end,
        })
        local list = { d, first, b }
        if b:dirty() and d:dirty() then -- else they come by descriptor
            gives(list, {}, nil, t.deadline(5, socket.select, list, nil, 10))
        end
        gives({ first }, { c }, nil, t.deadline(5, socket.select, { c, first }, { c }, 10))
        is('"x"', (b:receive(1)))
        gives({}, {}, "timeout", socket.select({ b }, nil, 0))
        close_all(all)
    end)

    it("tells of an end, of a connection, of a datagram, and of one that is refused", function()
        local server, a, b, _, _, all = sockets(socket)
        a:shutdown "send"
        gives({ b }, {}, nil, socket.select({ b }, nil, 5))
        local late = luasocket.dial(socket, server)
        gives({ server }, {}, nil, socket.select({ server }, { server }, 5))
        local u, v = socket.udp(), socket.udp()
        u:setsockname("127.0.0.1", 0)
        v:setpeername(u:getsockname())
        v:send "x"
        await(socket, u)
        gives({ u }, { u }, nil, socket.select({ u }, { u }, 5))
        u:close()
        v:send "x"
        await(socket, v)
        gives({ v }, { v }, nil, socket.select({ v }, { v }, 5))
        v:close()
        late:close()
        close_all(all)
    end)
end)

luasocket.describe("the lists of select", function(socket)
    it("take whatever has a method getfd", function()
        local _, a, b, _, _, all = sockets(socket)
        a:send "x"
        await(socket, b)
        for _, fd in ipairs { b:getfd(), tostring(b:getfd()), b:getfd() + 0.5 } do
            local object = with_fd(fd)
            gives({ object }, { object }, nil, socket.select({ object }, { object }, 0))
        end
        local inherited = setmetatable({}, { __index = with_fd(b:getfd()) })
        function inherited.getfd(self)
            assert.equal(inherited, self)
            return b:getfd()
        end
        gives({ inherited }, {}, nil, socket.select({ inherited }, nil, 0))
        close_all(all)
    end)

    it("ignore what has no descriptor", function()
        local _, a, b, _, _, all = sockets(socket)
        a:send "x"
        await(socket, b)
        local closed = socket.tcp4()
        closed:close()
        for _, other in ipairs {
            {},
            "text",
            socket.tcp(),
            closed,
            with_fd(nil),
            with_fd(-1),
            with_fd(-0.5),
            with_fd "none",
            with_fd {},
            with_fd(true),
            with_fd(-1, { dirty = error }), -- which is not asked then
        } do
            gives({ b }, { b }, nil, socket.select({ other, b, other }, { other, b }, 0))
            gives({}, {}, "timeout", socket.select({ other }, { other }, 0))
        end
        close_all(all)
    end)

    it("raise what their elements raise", function()
        local _, a, _, _, _, all = sockets(socket)
        local reason = {}
        local raising = {
            getfd = function()
                error(reason)
            end,
        }
        for _, lists in ipairs { { { raising } }, { {}, { a, raising } } } do
            local ok, err = pcall(socket.select, lists[1], lists[2], 0)
            assert.is_false(ok)
            assert.equal(reason, err)
        end
        local unclean = with_fd(a:getfd(), { dirty = raising.getfd })
        local ok, err = pcall(socket.select, { unclean }, nil, 0)
        assert.is_false(ok)
        assert.equal(reason, err)
        gives({}, { unclean }, nil, socket.select(nil, { unclean }, 0)) -- for reading alone
        gives({}, { a }, nil, socket.select({ a }, { a }, 0))
        for _, element in ipairs { 1, true, print } do
            assert.has_error(function()
                socket.select({ element }, nil, 0)
            end)
        end
        assert.has_error(function()
            socket.select({ { getfd = 5 } }, nil, 0)
        end)
        close_all(all)
    end)

    it("are looked at from 1 to the first nil, by __index too", function()
        local _, a, b, c, _, all = sockets(socket)
        a:send "x"
        local asked = {}
        local list = setmetatable({}, {
            __index = function(_, i)
                asked[#asked + 1] = i
                return ({ c, b })[i]
            end,
        })
        gives({ b }, {}, nil, socket.select(list, nil, 5))
        assert.equal(3, asked[#asked])
        gives({}, {}, "timeout", socket.select({ nil, b }, nil, 0))
        gives({}, {}, "timeout", socket.select({ [0] = b, [3] = b, x = b }, nil, 0))
        close_all(all)
    end)

    it("are tables or nil", function()
        raises("table expected, got number", socket.select, 1, nil, 0)
        raises("table expected, got string", socket.select, nil, "x", 0)
        raises("number expected, got string", socket.select, {}, {}, "x")
    end)

    it("may have one object in both, and one descriptor under two objects", function()
        local _, a, b, _, _, all = sockets(socket)
        local other = with_fd(b:getfd())
        gives({}, { b }, nil, socket.select({ b }, { b }, 0))
        a:send "x"
        await(socket, b)
        gives({ b }, { b }, nil, socket.select({ b }, { b }, 0))
        gives({ other }, { other }, nil, socket.select({ b }, { other }, 0)) -- the last one stands for both
        gives({ b }, { b }, nil, socket.select({ other }, { b }, 0))
        gives({ other }, {}, nil, socket.select({ b, other }, nil, 0))
        gives({ b }, {}, nil, socket.select({ b, b }, nil, 0))
        close_all(all)
    end)

    it("take sinks and sources", function()
        local _, a, b, _, _, all = sockets(socket)
        a:send "x"
        await(socket, b)
        local sink, source = socket.sink("keep-open", b), socket.source("until-closed", b)
        assert.equal(b:getfd(), sink:getfd())
        assert.equal(b:getfd(), source:getfd())
        is("false, false", sink:dirty(), source:dirty())
        gives({ source }, {}, nil, socket.select({ source }, nil, 0))
        gives({}, { sink }, nil, socket.select(nil, { sink }, 0))
        gives({ sink }, { sink }, nil, socket.select({ source }, { sink }, 0))
        close_all(all)
    end)
end)

-- Where the bridge is meant to differ.
luasocket.describe("select, other than LuaSocket's,", function(socket, tested)
    if tested.real then
        return
    end

    it("takes descriptors of any height", function()
        local soft, hard = t.sys.nofile()
        if t.fds() + 1200 > hard then
            return pending("not permitted: descriptors are limited to " .. hard)
        end
        t.sys.nofile(math.max(soft, t.fds() + 1200))
        local all, expected = {}, {}
        for i = 1, 1100 do
            all[i] = socket.udp4()
            expected[i] = all[i]
        end
        assert.is_true(all[1100]:getfd() > 1024)
        assert.is_true(socket._SETSIZE > all[1100]:getfd())
        gives({}, expected, nil, socket.select(all, all, 0))
        gives({}, {}, "timeout", socket.select(all, nil, 0))
        all[1100]:setsockname("127.0.0.1", 0)
        all[1]:sendto("x", all[1100]:getsockname())
        gives({ all[1100] }, {}, nil, socket.select(all, nil, 5))
        close_all(all)
        t.sys.nofile(soft)
    end)

    -- LuaSocket says the same where select(2) does, which on some systems passes over it.
    it("raises for a descriptor that nothing is behind", function()
        local near, far = t.sys.socketpair(t.sys.SOCK_STREAM)
        t.sys.close(near)
        t.sys.close(far)
        for _, lists in ipairs { { { with_fd(near) } }, { nil, { with_fd(near) } } } do
            local ok, err = pcall(socket.select, lists[1], lists[2], 0)
            assert.is_false(ok)
            assert.matches("select failed", err)
        end
    end)
end)
