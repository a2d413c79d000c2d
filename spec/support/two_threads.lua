-- What each of two threads does in its own Lua state (test/host/threads.c): exchanges with itself over every kind of
-- socket, and with the other thread over the descriptor that it is given.

local number, fd = ...
local socket = require "ssocket"

local function connected()
    local listener, client = socket.tcp(), socket.tcp()
    assert(client:setopt(socket.OPT_LINGER, 0)) -- thousands of rounds leave no TIME_WAIT behind
    assert(listener:bind("127.0.0.1", 0) and listener:listen())
    assert(client:connect(listener:getsockname()))
    return client, assert(listener:accept())
end

local function stream_with_itself(a, b)
    for i = 1, 20 do
        local line = ("thread %d line %d"):format(number, i)
        assert(a:write { line, "\n" } == #line + 1)
        assert(b:readuntil "\n"() == line)
    end
end

local function datagrams_with_itself()
    local u = socket.udp()
    u:settimeout(5)
    assert(u:bind("127.0.0.1", 0))
    for i = 1, 20 do
        assert(u:sendto(number .. ":" .. i, u:getsockname()))
        assert(u:recv() == number .. ":" .. i)
    end
end

-- Both write a block and read the other's, at the same time.
local function with_the_other(s)
    local mine, theirs = tostring(number):rep(1000), tostring(3 - number):rep(1000)
    for _ = 1, 100 do
        assert(s:write(mine) == #mine)
        assert(s:read(#theirs) == theirs)
    end
    local reads = assert(socket.select(nil, { s }, 5))
    assert(#reads == 0)
end

local other = assert(socket.fromfd(fd))
other:settimeout(10)
stream_with_itself(connected())
stream_with_itself(socket.pair())
datagrams_with_itself()
with_the_other(other)
for _ = 1, 20 do
    assert(select(2, socket.tcp():connect("127.1", 80)) == socket.ERROR_NOTFOUND)
    assert(socket.resolve("localhost", 80, 5))
end
