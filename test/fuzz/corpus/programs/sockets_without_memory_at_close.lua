-- While the state is closed a finalizer opens sockets, which get no finalizer in Lua 5.4, and memory runs out.
local socket = require "ssocket"
local function open() refuse(18, 100000) for _ = 1, 10 do socket.pair() end end
if newproxy then Kept = newproxy(true) getmetatable(Kept).__gc = open else Kept = setmetatable({}, { __gc = open }) end
