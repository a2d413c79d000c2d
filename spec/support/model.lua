-- What the reading calls of a stream must give, too simple to be wrong: all bytes that came and were not given
-- out stand in one string, and each call looks at all of it. Never waits: without enough bytes, time is up.
local socket = require "ssocket"

local TIMEOUT, CLOSED, LIMIT = socket.ERROR_TIMEOUT, socket.ERROR_CLOSED, socket.ERROR_LIMIT

local Model = {}
Model.__index = Model

local function new_model()
    return setmetatable({ bytes = "", ended = false }, Model)
end

-- Gives out n bytes and skips some more.
function Model:give(n, skip)
    local data = self.bytes:sub(1, n)
    self.bytes = self.bytes:sub(n + (skip or 0) + 1)
    return data
end

function Model:fail(n)
    return nil, self.ended and CLOSED or TIMEOUT, self:give(n)
end

function Model:read(size)
    if #self.bytes >= size then
        return self:give(size)
    end
    return self:fail(#self.bytes)
end

-- Without its third result, which readsome does not have.
function Model:readsome(max)
    if self.bytes ~= "" then
        return self:give(math.min(max, #self.bytes))
    end
    return nil, self.ended and CLOSED or TIMEOUT
end

function Model:readall(max)
    if max and #self.bytes > max then
        return nil, LIMIT, self:give(max)
    elseif self.ended then
        return self:give(#self.bytes)
    end
    return self:fail(#self.bytes)
end

-- How many bytes at the end may be the start of the delimiter: as many as possible, but not all of it.
local function start_at_end(bytes, delimiter)
    for n = math.min(#bytes, #delimiter - 1), 1, -1 do
        if bytes:sub(-n) == delimiter:sub(1, n) then
            return n
        end
    end
    return 0
end

function Model:readuntil(delimiter, inclusive, max)
    local at = self.bytes:find(delimiter, 1, true)
    local kept = (at or self.ended) and 0 or start_at_end(self.bytes, delimiter)
    local before = at and at - 1 or #self.bytes - kept -- bytes that stand before any delimiter
    if max and before > max then
        return nil, LIMIT, self:give(max)
    elseif not at then
        return self:fail(before)
    elseif inclusive then
        return self:give(before + #delimiter)
    end
    return self:give(before, #delimiter)
end

return new_model
