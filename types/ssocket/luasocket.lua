---@meta ssocket.luasocket
-- Made by script/gen-docs.lua from docs/api.lua: change that file and run `make docs`.

---LuaSocket's programs.
---@class ssocket.luasocket
local luasocket = {}

---Puts this module in the place of `socket` and `socket.core`, and `ssocket.luasocket.unix` in that of
---`socket.unix`, for all that is required from now on. What has required LuaSocket's own before keeps it.
---@return ssocket.luasocket socket # the module
function luasocket.install() end

return luasocket
