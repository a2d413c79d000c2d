-- A task that reads a megabyte, for a host that has memory for the bytes, but never for the string as well. Returns the
-- function to run.

local size, piece = 2 ^ 20, ("x"):rep(2 ^ 10)

local function send(a)
    for _ = 1, size / #piece do
        assert(a:write(piece))
    end
end

local function count(b)
    local n = 0
    while n < size do
        n = n + #assert(b:readsome(10000))
    end
    return n
end

-- closed = how often a variable of the reading task was.
local closed, expected = 0, 0

local function read(b)
    return b:read(size)
end

if _VERSION >= "Lua 5.4" then
    expected = 1
    read = load([[
        local value, size = ...
        return function(b)
            local guarded <close> = value
            return b:read(size)
        end
    ]])(
        setmetatable({}, {
            __close = function()
                closed = closed + 1
            end,
        }),
        size
    )
end

return function()
    closed = 0
    local socket = require "ssocket"
    local a, b = socket.pair()
    local reader = socket.spawn(read, b)
    local watcher = socket.spawn(reader.wait, reader)
    local sender = socket.spawn(send, a)
    local ok, err = pcall(socket.run)
    assert(not ok and err == "not enough memory") -- it may be over soon, and so it is tried again
    assert(pcall(socket.run), "it is tried for ever")
    assert(sender:status() == "done" and reader:status() == "failed")
    local none, reason, traceback = reader:wait()
    assert(none == nil and reason == "not enough memory")
    assert(traceback:find "stack traceback", traceback)
    local _, first, second = watcher:wait()
    assert(first == nil and second == reason)
    assert(closed == expected, closed)
    assert(count(b) == size) -- no byte is lost
end
