-- What objects of LuaSocket's calls cost, and that nothing of them stays.

local luasocket = require "support.luasocket"
local t = require "support.t"

local N = math.floor(1000 / t.slow)

local function count()
    t.collect()
    return collectgarbage "count" * 1024
end

-- f(n) takes no more memory the second time, and leaves no descriptor. Bytes of Lua's accounts.
local function check_flat(f, n)
    f(n)
    local fds, before = t.fds(), count()
    f(n)
    local grown = count() - before
    assert.is_true(grown < 60000, grown)
    assert.equal(fds, t.fds())
end

luasocket.describe("dropped objects", function(socket, tested)
    local unix = tested.unix
    local makers = {
        tcp4 = socket.tcp4,
        udp4 = socket.udp4,
        stream = unix.stream,
        dgram = unix.dgram,
        server = function()
            return (assert(socket.bind("127.0.0.1", 0)))
        end,
        both_ends = function()
            return { luasocket.pair(socket) }
        end,
        connected = function()
            local s = socket.udp()
            assert(s:setpeername("127.0.0.1", 9))
            return s
        end,
        refused = function()
            local s = socket.tcp4()
            assert(not s:connect("127.0.0.1", 1))
            return s
        end,
        timed = function()
            local s = socket.udp4()
            s:settimeout(0)
            assert(not s:receivefrom())
            return s
        end,
    }

    local function make_many(make, before)
        local kept = {}
        for i = 1, 20 do
            kept[i] = make()
        end
        assert.is_true(t.fds() >= before + #kept)
    end

    for name, make in pairs(makers) do
        it("are collected, and their descriptors closed, such as " .. name, function()
            local before = t.fds()
            for _ = 1, 5 do
                make_many(make, before)
                t.collect()
                if jit then
                    jit.flush()
                    t.collect()
                end
                assert.equal(before, t.fds())
            end
        end)
    end

    it("are not kept by select, sinks, sources or exceptions", function()
        check_flat(function(n)
            for _ = 1, n / 50 do
                local a, b = luasocket.pair(socket)
                socket.select({ a, b }, { a, b }, 0)
                local sink, source = socket.sink("close-when-done", a), socket.source("until-closed", b)
                sink "x"
                sink(nil)
                assert(source() == "x")
                local read = socket.protect(function()
                    return socket.newtry(function()
                        b:close()
                    end)(b:receive())
                end)
                assert(not read())
            end
        end, N)
    end)
end)

luasocket.describe("nothing is left of", function(socket)
    it("many connections", function()
        check_flat(function(n)
            local server = assert(socket.bind("127.0.0.1", 0))
            for _ = 1, n / 5 do
                local a = luasocket.dial(socket, server)
                local b = server:accept()
                a:send "a line\r\nand more"
                assert(b:receive() == "a line")
                a:close()
                assert(b:receive "*a" == "and more")
                b:close()
            end
            server:close()
        end, N)
    end)

    it("many calls on one connection", function()
        check_flat(function(n)
            local a, b = luasocket.pair(socket)
            for i = 1, n do
                a:send(i .. "\n")
                b:settimeout(10)
                assert(b:receive() == tostring(i))
                a:send "12345"
                assert(b:receive(10, "12345") == "1234512345")
                b:settimeout(0)
                assert(select(2, b:receive()) == "timeout")
                socket.select({ b }, nil, 0)
                a:setoption("tcp-nodelay", true)
            end
            a:close()
            b:close()
        end, N)
    end)

    it("many failures", function()
        check_flat(function(n)
            local s = socket.udp4()
            for _ = 1, n do
                assert(not s:setsockname("192.0.2.77", 0))
                assert(not pcall(s.send, s, "x"))
                assert(not pcall(s.setoption, s, "none"))
                assert(not socket.protect(socket.try)(nil, "x"))
            end
            s:close()
        end, N)
    end)
end)

luasocket.describe("an object", function(socket, tested)
    if tested.real then
        return -- has a buffer of 8 KiB in itself
    end

    -- Bytes of Lua's accounts for each of the objects that make gives.
    local function cost(n, make)
        local all = {}
        for i = 1, n do
            all[i] = 0
        end
        local before = count()
        for i = 1, n do
            all[i] = make()
        end
        local each = (count() - before) / n
        assert.equal(n, #all)
        return each
    end

    it("costs little", function()
        for name, most in pairs { tcp = 1000, udp = 1000, tcp4 = 1000, udp4 = 1000 } do
            local each = cost(100, socket[name])
            assert.is_true(each < most, name .. " " .. each)
        end
    end)

    it("that is connected, and has read, costs little too", function()
        local server = assert(socket.bind("127.0.0.1", 0))
        local peers = {}
        local each = cost(100, function()
            local a = luasocket.dial(socket, server)
            peers[#peers + 1] = assert(server:accept())
            a:settimeout(5)
            a:send "line\n"
            peers[#peers]:receive()
            return a
        end)
        assert.is_true(each < 2 * 1500, each)
        server:close()
    end)
end)
