-- While the state is closed a finalizer opens sockets, and another one sets an option of one that is closed again.
local socket = require "ssocket"
local a
local function finalizer(f)
    if not newproxy then return setmetatable({}, { __gc = f }) end
    local p = newproxy(true)
    getmetatable(p).__gc = f
    return p
end
Kept = finalizer(function() if a then a:setopt(socket.OPT_TCP_NODELAY, true) end end)
Kept2 = finalizer(function() a = socket.pair() a:close() end)
