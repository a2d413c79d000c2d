---@meta ssocket.luasocket.unix
-- Made by script/gen-docs.lua from docs/api.lua: change that file and run `make docs`.

---LuaSocket's Unix sockets.
---@class ssocket.luasocket.unix
local unix = {}

---A `unixstream{master}`, with its descriptor. `unix.tcp` is the same.
---@return table? object # with the methods of LuaSocket's manual
---@return string? err
function unix.stream() end

---The same function as `unix.stream`.
---@return table? object # with the methods of LuaSocket's manual
---@return string? err
function unix.tcp() end

---A `unixdgram{unconnected}`, with its descriptor. `unix.udp` is the same.
---@return table? object # with the methods of LuaSocket's manual
---@return string? err
function unix.dgram() end

---The same function as `unix.dgram`.
---@return table? object # with the methods of LuaSocket's manual
---@return string? err
function unix.udp() end

return unix
