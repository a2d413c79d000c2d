-- While the state is being closed a finalizer starts a task that looks names up where it can't wait, which raises.
local socket = require "ssocket"
local s = socket.tcp()
local function in_c(f, ...)
    local args, n = { ... }, select("#", ...)
    pcall(string.gsub, "x", "x", function() f((unpack or table.unpack)(args, 1, n)) end)
end
local function look_up()
    socket.spawn(function()
        in_c(socket.resolve, "localhost", 1, 0.0001)
        in_c(s.connect, s, "localhost", 1)
    end):wait()
end
if newproxy then Kept = newproxy(true) getmetatable(Kept).__gc = look_up
else Kept = setmetatable({}, { __gc = look_up }) end
