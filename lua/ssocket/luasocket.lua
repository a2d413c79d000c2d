-- LuaSocket's module `socket` on ssocket. docs/from-luasocket.md is the guide.

local tcp = require "ssocket.luasocket.tcp"

local luasocket = {}

local function add(functions)
    for name, f in pairs(functions) do
        luasocket[name] = f
    end
end

add(tcp.functions)

return luasocket
