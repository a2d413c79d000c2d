-- What each of some threads does in its own Lua state (test/host/threads.c): exchanges with itself over every kind of
-- socket, alone and between tasks, and with another thread over the descriptor that it is given.

local number, fd, partner = ...
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
    local mine, theirs = tostring(number):rep(1000), tostring(partner):rep(1000)
    for _ = 1, 100 do
        assert(s:write(mine) == #mine)
        assert(s:read(#theirs) == theirs)
    end
    local reads = assert(socket.select(nil, { s }, 5))
    assert(#reads == 0)
end

-- Some tasks pass numbers on over sockets and a channel; others sleep, look names up and are cancelled.
local function tasks_with_themselves()
    local ch, sum = socket.channel(2), 0
    local a, b = socket.pair()
    local lines = b:readuntil "\n"
    socket.spawn(function()
        for i = 1, 50 do
            assert(a:write(i .. "\n"))
        end
        a:close()
    end)
    socket.spawn(function()
        local line = lines()
        while line do
            assert(ch:put(tonumber(line)))
            line = lines()
        end
        ch:close()
    end)
    for _ = 1, 3 do
        socket.spawn(function()
            local value = ch:get(10)
            while value do
                sum = sum + value
                socket.sleep(0.0001)
                value = ch:get(10)
            end
        end)
    end
    for port = 1, 4 do
        socket.spawn(function()
            assert(assert(socket.resolve("localhost", port, 10))[1][2] == port)
        end)
    end
    local endless = socket.spawn(socket.sleep, 1000)
    endless:cancel()
    socket.run()
    assert(sum == 50 * 51 / 2)
end

-- The state is closed while tasks wait and look-ups are under way.
local function leave_some()
    local a, b = socket.pair()
    socket.spawn(b.read, b, 1)
    for _ = 1, 3 do
        socket.spawn(socket.resolve, "localhost", 80, 10)
    end
    socket.spawn(socket.sleep, 1000)
    socket.sleep(0)
    assert(a:write "")
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
tasks_with_themselves()
leave_some()
