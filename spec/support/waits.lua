-- Every call that can wait, each where it does. A function makes the situation, a table:
--   call(seconds)  waits, for at most so long (negative: without end)
--   socket         on which it waits, if it is one
--   wake()         makes the call succeed; `good` are its results then
--   nils           how many nils come before the error
--   partial        what comes behind it: a value, or a function that checks it
--   reads, writes  its direction

local busted_assert = require "luassert"
local t = require "support.t"

local socket = t.socket

-- ---- streams ----

local function reading(call, wake, good, partial)
    return function()
        local s, peer = socket.pair()
        busted_assert.equal(3, peer:write "abc")
        return {
            call = function(seconds)
                s:settimeout(seconds)
                return call(s)
            end,
            wake = function()
                return wake(peer)
            end,
            socket = s, peer = peer, good = { good }, partial = partial, reads = true,
        }
    end
end

local function says(text)
    return function(peer)
        assert(peer:write(text) == #text)
    end
end

local function some(n)
    assert(n > 0 and n < #t.much, n)
end

local function writing()
    local s, peer = socket.pair()
    return {
        call = function(seconds)
            s:settimeout(seconds)
            return s:write(t.much)
        end,
        wake = function()
            assert(peer:read(#t.much) == t.much)
        end,
        socket = s, peer = peer, good = { #t.much }, partial = some, writes = true,
    }
end

local function accepting()
    local s, address = t.listener()
    return {
        call = function(seconds)
            s:settimeout(seconds)
            local accepted, err = s:accept()
            if not accepted then
                return accepted, err
            end
            accepted:close()
            return true
        end,
        wake = function()
            local client = socket.tcp()
            assert(client:connect(address))
            client:close()
        end,
        socket = s, good = { true }, reads = true,
    }
end

-- A listener whose queue is full.
local function full_listener(...)
    local listener = socket.tcp()
    assert(listener:bind(...))
    assert(listener:listen(0))
    local first = socket.tcp()
    assert(first:connect(listener:getsockname()))
    return listener, first
end

local function connecting(...)
    local listener, first = full_listener(...)
    local s = socket.tcp()
    local address = listener:getsockname()
    return {
        call = function(seconds)
            s:settimeout(seconds)
            return s:connect(address)
        end,
        wake = function()
            assert(listener:accept()):close()
        end,
        socket = s, peer = listener, also = first, good = { true }, reads = true, writes = true,
    }
end

-- ---- datagrams ----

local function receiving(call, nils, good)
    return function()
        local s, peer = socket.udp(), socket.udp()
        assert(s:bind("127.0.0.1", 0))
        assert(peer:connect(s:getsockname()))
        return {
            call = function(seconds)
                s:settimeout(seconds)
                return call(s)
            end,
            wake = function()
                assert(peer:send "abc")
            end,
            socket = s, peer = peer, good = good, nils = nils, reads = true,
        }
    end
end

local function sending(call, partial, good)
    return function()
        local peer, s = socket.udp(), socket.udp()
        assert(peer:bind(t.abstract()))
        assert(s:connect(peer:getsockname()))
        s:settimeout(0)
        repeat
            local ok = s:send "filler"
        until not ok
        return {
            call = function(seconds)
                s:settimeout(seconds)
                return call(s)
            end,
            wake = function()
                peer:settimeout(0)
                while peer:recv() do end -- luacheck: ignore
            end,
            socket = s, peer = peer, good = good, partial = partial, writes = true,
        }
    end
end

-- ---- others ----

local function selecting()
    local s, peer = socket.pair()
    local function is_there() -- bad weather calls ready what is not
        s:settimeout(0)
        return s:read(1)
    end
    return {
        call = function(seconds)
            local until_then = t.now() + seconds
            local readers, writers, err = socket.select({ s }, {}, seconds)
            while t.bad_weather and readers and not is_there() do
                local left = seconds < 0 and -1 or math.max(until_then - t.now(), 0)
                readers, writers, err = socket.select({ s }, {}, left)
            end
            return readers and #readers, writers and #writers, err
        end,
        wake = function()
            assert(peer:write "x")
        end,
        peer = peer, also = s, good = { 1, 0 }, nils = 2,
    }
end

local function waiting()
    local channel = socket.channel()
    local other = socket.spawn(function()
        return channel:get()
    end)
    return {
        call = function(seconds)
            return other:wait(seconds)
        end,
        wake = function()
            assert(channel:put "done")
        end,
        other = other, good = { true, "done" },
    }
end

local function getting()
    local channel = socket.channel()
    return {
        call = function(seconds)
            return channel:get(seconds)
        end,
        wake = function()
            assert(channel:put "value")
        end,
        good = { "value" },
    }
end

local function putting()
    local channel = socket.channel()
    return {
        call = function(seconds)
            return channel:put("value", seconds)
        end,
        wake = function()
            assert(channel:get() == "value")
        end,
        good = { true },
    }
end

local waits = {
    read = reading(function(s)
        return s:read(6)
    end, says "def", "abcdef", "abc"),
    readuntil = reading(function(s)
        return s:readuntil "\n"()
    end, says "def\n", "abcdef", "abc"),
    readline = reading(function(s)
        return s:readline()
    end, says "def\n", "abcdef", "abc"),
    readall = reading(function(s)
        return s:readall()
    end, function(peer)
        assert(peer:shutdown(socket.SHUT_WR))
    end, "abc", "abc"),
    readsome = reading(function(s)
        local data, err, partial = t.readsome(s, 10, 3)
        if data ~= "abc" then
            return data, err, partial
        end
        return t.readsome(s, 10, 3)
    end, says "def", "def"),
    peek = reading(function(s)
        local data, err = s:peek(10)
        if not data or ("abc"):sub(1, #data) ~= data then
            return data, err
        end
        assert(s:read(3) == "abc") -- nothing is there to be seen then
        data, err = s:peek(10)
        return data and ("def"):sub(1, #data) == data and "def" or data, err
    end, says "def", "def"),
    finish = reading(function(s)
        return s:finish()
    end, function(peer)
        assert(peer:shutdown(socket.SHUT_WR))
    end, true),
    write = writing,
    accept = accepting,
    ["connect to a full Unix listener"] = function()
        return connecting(t.abstract())
    end,
    ["connect to a full TCP listener"] = function()
        local case = connecting("127.0.0.1", 0)
        case.wake = nil -- the system tries again after a second
        return case
    end,
    recv = receiving(function(u)
        return u:recv()
    end, 1, { "abc" }),
    recvfrom = receiving(function(u)
        local data, from, err = u:recvfrom()
        return data, from and from.family, err
    end, 2, { "abc", "inet" }),
    recvmany = receiving(function(u)
        local datas, addresses, err = u:recvmany(10, 100)
        return datas and table.concat(datas, ","), addresses and #addresses, err
    end, 2, { "abc", 1 }),
    send = sending(function(u)
        return u:send "more"
    end, nil, { true }),
    sendmany = sending(function(u)
        return u:sendmany { "one", "two" }
    end, 0, { 2 }),
    select = selecting,
    wait = waiting,
    ["channel:get"] = getting,
    ["channel:put"] = putting,
}

local Case = {}
Case.__index = Case

-- What the call returned is its failure with that error.
function Case:check_failed(err, results)
    local nils = self.nils or 1
    for i = 1, nils do
        busted_assert.is_nil(results[i])
    end
    busted_assert.equal(err, results[nils + 1])
    local partial = self.partial
    if type(partial) == "function" then
        partial(results[nils + 2])
    else
        busted_assert.equal(partial, results[nils + 2])
    end
end

function Case:check_good(results)
    for i, value in ipairs(self.good) do
        busted_assert.equal(value, results[i])
    end
    busted_assert.equal(#self.good, #results)
end

function Case:drop()
    if self.other then
        self.other:cancel()
    end
    for _, key in ipairs { "socket", "peer", "also" } do
        if self[key] then
            self[key]:close()
        end
    end
end

local names = {}
for name in pairs(waits) do
    names[#names + 1] = name
end
table.sort(names)

-- Visits each: f(name, make).
return function(f)
    for _, name in ipairs(names) do
        f(name, function()
            return setmetatable(waits[name](), Case)
        end)
    end
end
