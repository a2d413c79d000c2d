-- LuaSocket's module `socket.unix`.

local dgram = require "ssocket.luasocket.unixdgram"
local stream = require "ssocket.luasocket.unixstream"

local unix = { stream = stream, tcp = stream, dgram = dgram, udp = dgram }

return setmetatable(unix, {
    __call = function()
        return stream()
    end,
})
