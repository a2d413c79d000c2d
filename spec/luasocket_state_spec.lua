-- What an object knows of itself: options that were set before, whether bytes are there, its name.

local luasocket = require "support.luasocket"
local space = require "support.space"
local t = require "support.t"

local is = luasocket.is

t.socket.loop():pollfd() -- the tasks' own descriptor is there before any is counted

luasocket.describe("what an object knows", function(socket, tested)
    it("of its options ends with it", function()
        local s = assert(socket.tcp4())
        is("1", s:setoption("reuseaddr", true))
        is("true", s:getoption "reuseaddr")
        s:close()
        is('nil, "getsockopt failed"', s:getoption "reuseaddr")
    end)

    it("is the same text before and after a close", function()
        local s = assert(socket.tcp4())
        local address = tostring(s):match "^tcp{master}: (%S+)$"
        assert.truthy(address)
        assert.equal("tcp{master}: " .. address, tostring(s))
        s:close()
        assert.equal("tcp{master}: " .. address, tostring(s))
    end)

    it("of writers comes in the order of their descriptors, whatever they have to read", function()
        local a, b = luasocket.pair(socket)
        local c, d = luasocket.pair(socket)
        local first, second = a, c
        if first:getfd() > second:getfd() then
            first, second = second, first
        end
        local other = second == a and b or d
        assert(other:send "line\nrest")
        second:settimeout(10)
        is('"line", nil, nil', second:receive "*l")
        local _, writers = socket.select(nil, { first, second }, 10)
        assert.is_true(writers[1] == first and writers[2] == second)
        for _, s in ipairs { a, b, c, d } do
            s:close()
        end
    end)

    it("is asked of those that stand before it", function()
        local a, b = luasocket.pair(socket)
        local stand_in = setmetatable({ dirty = function() return true end }, {
            __index = function(_, name)
                local value = b[name]
                return type(value) == "function" and function(_, ...) return value(b, ...) end or value
            end,
        })
        local readers = socket.select({ stand_in }, nil, 0)
        assert.is_true(readers[1] == stand_in)
        local answering = setmetatable({}, { __index = function() return function() error("asked", 0) end end })
        assert.same({ false, "asked" }, { pcall(socket.select, { answering }, nil, 0) })
        local plain = { plain = true, getfd = function() return b:getfd() end }
        assert(a:send "x")
        assert.is_true(socket.select({ plain }, nil, 10)[1] == plain)
        a:close()
        b:close()
    end)

    if not tested.real then -- LuaSocket keeps no option that was set before there is a descriptor, and has no tasks
        it("of IPv6 alone is what the program has said before", function()
            for _, make in ipairs { socket.udp, socket.tcp } do
                for _, only in ipairs { true, false } do
                    local s = make()
                    is("1", s:setoption("ipv6-v6only", only))
                    if s.setsockname then
                        is("1", s:setsockname("::", 0))
                    else
                        is("1", s:bind("::", 0))
                    end
                    assert.equal(only, s.sock:getopt(t.socket.OPT_IPV6_V6ONLY))
                    s:close()
                end
            end
        end)

        it("of a connect that is cancelled is that, and no other address is tried", function()
            local here = space.open "host.test 192.0.2.2 192.0.2.3" or pending(space.why) -- both are silent
            here:lua [[
                local bridge = require "ssocket.luasocket"
                for _, make in ipairs { bridge.tcp, bridge.tcp4 } do
                    local s = make()
                    local task = socket.spawn(function() return s:connect("host.test", 80) end)
                    repeat socket.sleep(0.01) until s:getfd() >= 0 and inside.attempts() > 0
                    task:cancel()
                    local _, ok, err = task:wait(10)
                    inside.equal("nil " .. socket.ERROR_CANCELLED, tostring(ok) .. " " .. tostring(err))
                    s:close()
                end
            ]]
        end)

        it("of bytes is nothing while a call with both time-outs waits for the first", function()
            local a, b = luasocket.pair(socket)
            b:settimeout(10)
            b:settimeout(10, "t")
            local task = t.socket.spawn(b.receive, b, 1)
            t.socket.sleep(0)
            assert.is_false(b:dirty())
            assert(a:send "x")
            assert.same({ true, "x" }, { task:wait(10) })
            a:close()
            b:close()
        end)
    end
end)
