-- Every call of the bridge to LuaSocket that can wait, each where it does. A function makes the situation, a table:
--   call(seconds)  waits, for at most so long (nil: without end)
--   failed         its results when it fails, as luasocket.results has them, with %s for the error
--   wake()         makes the call succeed; `good` are its results then, as text
--   keep           the ends that nobody looks at, lest they are collected
--   closes         the object on which it waits, if closing that ends the call
--   as_closed      the call then gives what it gives of a socket that is closed already, and no failure

local luasocket = require "support.luasocket"
local t = require "support.t"
local tasks = require "support.tasks"

local bridge = require "ssocket.luasocket"

local function receiving(pair, pattern, prefix, sent, good, partial)
    return function()
        local a, b = pair()
        if partial then
            a:send(partial)
            assert(bridge.select({ b }, nil, 10)[1])
        end
        return {
            call = function(seconds)
                b:settimeout(seconds)
                return b:receive(pattern, prefix)
            end,
            failed = ('nil, %%s, "%s"'):format((prefix or "") .. (partial or "")),
            wake = function()
                a:send(sent)
                if pattern == "*a" then
                    a:close()
                end
            end,
            good = ('"%s", nil, nil'):format(good),
            closes = b,
            keep = a,
        }
    end
end

local function tcp_pair()
    return luasocket.pair(bridge)
end

local function unix_pair()
    return luasocket.unix_pair(bridge.unix)
end

-- More than there is room for: TCP finds some more room later on.
local MUCH = ("x"):rep(4 * 1024 * 1024)

local function sending(pair)
    return function()
        local a, b = pair()
        luasocket.fill(a)
        return {
            call = function(seconds)
                a:settimeout(seconds)
                local last, err = a:send(MUCH)
                return last, err
            end,
            failed = "nil, %s",
            wake = function()
                tasks.spawn(function()
                    local err
                    repeat
                        err = select(2, b:receive(65536))
                    until err
                end)
            end,
            good = #MUCH .. ", nil",
            closes = a,
            keep = b,
        }
    end
end

local function accepting()
    local server = assert(bridge.bind("127.0.0.1", 0))
    local keep = {}
    return {
        call = function(seconds)
            server:settimeout(seconds)
            local s, err = server:accept()
            if not s then
                return s, err
            end
            s:close()
            return s.class
        end,
        failed = "nil, %s",
        wake = function()
            keep[1] = luasocket.dial(bridge, server)
        end,
        good = '"tcp{client}"',
        closes = server,
        keep = keep,
    }
end

-- The queue of the server is full.
local function connecting()
    local server = bridge.tcp4()
    assert(server:bind("127.0.0.1", 0))
    assert(server:listen(0))
    local client = luasocket.dial(bridge, server)
    local s = bridge.tcp()
    return {
        call = function(seconds)
            s:settimeout(seconds)
            return s:connect("127.0.0.1", (select(2, server:getsockname())))
        end,
        failed = "nil, %s",
        closes = s,
        keep = client,
    }
end

local function datagram(name, connected)
    return function()
        local a, b = bridge.udp(), bridge.udp()
        assert(a:setsockname("127.0.0.1", 0))
        assert(b:setpeername(a:getsockname()))
        if connected then
            assert(a:setpeername(b:getsockname()))
        end
        return {
            call = function(seconds)
                a:settimeout(seconds)
                local data, err = a[name](a)
                if data then
                    return data
                end
                return data, err
            end,
            failed = "nil, %s",
            wake = function()
                b:send "hello"
            end,
            good = '"hello"',
            closes = a,
            as_closed = true,
        }
    end
end

local function unix_datagram()
    local a, b, path = bridge.unix.dgram(), bridge.unix.dgram(), t.tmpdir() .. "/s"
    assert(a:bind(path))
    return {
        call = function(seconds)
            a:settimeout(seconds)
            return a:receive()
        end,
        failed = "nil, %s",
        wake = function()
            b:sendto("hello", path)
        end,
        good = '"hello"',
        closes = a,
        as_closed = true,
    }
end

local function selecting(reading)
    return function()
        local a, b = unix_pair()
        if not reading then
            luasocket.fill(a)
        end
        return {
            call = function(seconds)
                local r, w, err = bridge.select(reading and { b } or {}, reading and {} or { a }, seconds)
                return #r, #w, err
            end,
            failed = "0, 0, %s",
            wake = function()
                if reading then
                    a:send "x"
                else
                    b:settimeout(0)
                    while select(2, b:receive(65536)) ~= "timeout" do -- luacheck: ignore 542
                    end
                end
            end,
            good = reading and "1, 0, nil" or "0, 1, nil",
            keep = { a, b },
        }
    end
end

local function selecting_nothing()
    return {
        call = function(seconds)
            local r, w, err = bridge.select(nil, nil, seconds)
            return #r, #w, err
        end,
        failed = "0, 0, %s",
    }
end

local function sourcing()
    local a, b = tcp_pair()
    return {
        call = function(seconds)
            b:settimeout(seconds)
            return bridge.source("by-length", b, 5)()
        end,
        failed = "nil, %s",
        wake = function()
            a:send "hello"
        end,
        good = '"hello"',
        closes = b,
    }
end

-- Both times are set, and the shorter one ends the call.
local function both_times(mode)
    return function()
        local a, b = tcp_pair()
        return {
            call = function(seconds)
                b:settimeout(seconds and mode == "t" and seconds * 100 or seconds)
                b:settimeout(seconds and mode == "b" and seconds * 100 or seconds, "t")
                return b:receive()
            end,
            failed = 'nil, %s, ""',
            closes = b,
            keep = a,
        }
    end
end

local cases = {
    ["receive of a line"] = receiving(tcp_pair, nil, nil, "c\r\nmore", "abc", "ab"),
    ["receive of all"] = receiving(tcp_pair, "*a", nil, "c", "abc", "ab"),
    ["receive of a number"] = receiving(tcp_pair, 5, nil, "cde", "abcde", "ab"),
    ["receive with a prefix"] = receiving(tcp_pair, 5, "xy", "e", "xyabe", "ab"),
    ["receive of nothing"] = receiving(tcp_pair, 0, nil, "c", ""),
    ["receive over Unix"] = receiving(unix_pair, "*l", nil, "c\n", "abc", "ab"),
    send = sending(tcp_pair),
    ["send over Unix"] = sending(unix_pair),
    accept = accepting,
    connect = connecting,
    ["receive of a datagram"] = datagram("receive", true),
    ["receive of any datagram"] = datagram "receive",
    receivefrom = datagram "receivefrom",
    ["receive of a Unix datagram"] = unix_datagram,
    ["select for reading"] = selecting(true),
    ["select for writing"] = selecting(false),
    ["select of nothing"] = selecting_nothing,
    ["a source"] = sourcing,
    ["receive with a block time in the total"] = both_times "b",
    ["receive with a total time in the block"] = both_times "t",
}

-- Calls f(name, make) for each case, in the order of the names.
return function(f)
    local names = {}
    for name in pairs(cases) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        f(name, cases[name])
    end
end
