-- A task waits with a socket when the state is closed, and its finalizer runs before that of the socket.
local socket = require "ssocket"
socket.spawn(function() end)
local u = socket.udp()
u:bind("127.0.0.1", 0)
socket.spawn(function() u:recvmany(4, 100) end)
socket.sleep(0.001)
