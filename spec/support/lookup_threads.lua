-- What each of some threads does in its own Lua state (test/host/lookup_threads.c), with support/nameserver.py: looks
-- names up while the other does, and leaves look-ups under way when it ends.

local number, round = ...
local socket = require "ssocket"

local function is(expected, host)
    local found = assert(socket.resolve(host, number, 20))
    assert(found[1][1] == expected and found[1][2] == number, host)
end

for _ = 1, 5 do
    is("127.0.0.1", "four.test")
    is("::1", "six.test")
    assert(select(2, socket.resolve("nxdomain.test", 80, 20)) == socket.ERROR_NOTFOUND)
end

-- Some that never end, some that end now, one that still waits in the queue, and one in a socket.
local silent = round % 4 == 0 and 9 or 1
for _ = 1, silent do
    assert(select(2, socket.resolve("silent.test.", 80, 0)) == socket.ERROR_TIMEOUT)
end
for i = 1, 4 do
    socket.resolve("late-" .. i .. ".test", 80, (number + i) * 0.0005)
end
local s = socket.tcp()
s:settimeout(0.001)
s:connect("silent.test.", 80)

-- And some in tasks, which wait for them when the state is closed.
for _ = 1, 2 do
    socket.spawn(socket.resolve, "silent.test.", 80, 20)
    socket.spawn(function()
        is("127.0.0.1", "four.test")
    end)
end
socket.sleep(0.002)
