-- What one call gets in fair weather, and several get in bad weather (script/bad-weather), where system calls pass on
-- less than there is, or call ready what is not. In fair weather these are just that one call.

local assert = require "luassert"
local socket = require "ssocket"

local bad = require("support.weather").is_bad

local pieces = { bad_weather = bad }

-- s:readsome(max) where `len` bytes are there or on their way: all of them.
function pieces.readsome(s, max, len)
    local data, err = s:readsome(max)
    while bad and data and #data < len do
        local more
        more, err = s:readsome(max - #data)
        data = more and data .. more
    end
    return data, err
end

-- send(text) sends a line with a rest behind it; s reads the line and has all of the rest in its buffer then. What bad
-- weather leaves in the system is read, and the text sent again until it comes in one.
function pieces.read_ahead(s, send, line, rest)
    local function exchange()
        send(line .. "\n" .. rest)
        assert.equal(line, s:readuntil "\n"())
    end
    exchange()
    while bad and s:pending() < #rest do
        assert.equal(rest, s:read(#rest))
        exchange()
    end
    assert.equal(#rest, s:pending())
end

-- u:recvmany(count, size) where n datagrams are there or on their way: all of them.
function pieces.recvmany(u, count, size, n)
    local datas, addrs, err = u:recvmany(count, size)
    while bad and datas and #datas < n do
        local more, from, why = u:recvmany(count - #datas, size)
        if not more then
            return nil, nil, why
        end
        for i, data in ipairs(more) do
            datas[#datas + 1], addrs[#addrs + 1] = data, from[i]
        end
        err = err or why
    end
    return datas, addrs, err
end

-- socket.select where nothing will become ready to be read.
function pieces.select_in_vain(...)
    local readers, writers, err = socket.select(...)
    while bad and readers do
        readers, writers, err = socket.select(...)
    end
    return readers, writers, err
end

-- Whether a write has taken bytes: over TLS those are on their way although its time was over.
local function has_taken(partial)
    return type(partial) == "number" and partial > 0
end

-- f(...), a call without time for which everything is there.
function pieces.at_once(f, ...)
    local value, err, partial = f(...)
    while bad and not value and err == socket.ERROR_TIMEOUT and not has_taken(partial) do
        value, err, partial = f(...)
    end
    if bad and has_taken(partial) then
        return partial
    end
    return value, err, partial
end

return pieces
