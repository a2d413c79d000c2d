-- A finalizer starts a task while the first call that needs tasks makes what they need.
local socket = require "ssocket"
local function spawn() socket.spawn(socket.sleep, 0.0001) end
pcall(function() collectgarbage("setpause", 0) collectgarbage("setstepmul", 1000000) end)
for _ = 1, 500 do local _ = { {} } end
if newproxy then getmetatable(newproxy(true)).__gc = spawn else setmetatable({}, { __gc = spawn }) end
socket.run()
