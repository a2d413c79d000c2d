-- While the state is closed a finalizer starts a task that looks a name up, and does not wait for it.
local socket = require "ssocket"
socket.spawn(function() end)
local function look_up()
    socket.spawn(function() socket.resolve("localhost", 1, 0.0003) end)
    socket.spawn(function() end):wait()
end
if newproxy then Kept = newproxy(true) getmetatable(Kept).__gc = look_up
else Kept = setmetatable({}, { __gc = look_up }) end
