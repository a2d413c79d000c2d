-- While the state is being closed a finalizer looks a name up after so many calls that the tasks run first. In Lua 5.2
-- one of them collects, which ends the loop before the look-up waits.
local socket = require "ssocket"
local channel = socket.channel(1)
local function look_up()
    for _ = 1, 70 do
        channel:put(1, 0)
        channel:get(0)
    end
    socket.spawn(socket.sleep, 0.01)
    socket.spawn(collectgarbage)
    socket.resolve("localhost", 1, 0.001)
end
if newproxy then Kept = newproxy(true) getmetatable(Kept).__gc = look_up
else Kept = setmetatable({}, { __gc = look_up }) end
