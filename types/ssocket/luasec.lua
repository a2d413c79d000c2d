---@meta ssocket.luasec
-- Made by script/gen-docs.lua from docs/api.lua: change that file and run `make docs`.

---LuaSec's module.
---@class ssocket.luasecmodule
local luasecmodule = {}

---Puts the module in the place of `ssl`, `ssl.core`, `ssl.context`, `ssl.config` and `ssl.x509`, for all that
---is required later. LuaSec's own `ssl.https` then runs on it.
---@return ssocket.luasecmodule luasec # the module
function luasecmodule.install() end

---A context of a table with LuaSec's parameters, and one of ours: `verify_name = true` has a client with
---`verify = "peer"` verify the name of `conn:sni(name)` as well.
---@param params table as LuaSec's manual has them
---@return table? ctx # for `luasec.wrap`
---@return string? err
function luasecmodule.newcontext(params) end

---A connection that takes the socket over: an object of `ssocket.luasocket`, which has none from then on, a
---stream socket of this module, or an object with `getfd` and `setfd`. `conn:dohandshake()` comes next.
---@param sock any a connected socket
---@param params table a context, or the table for one
---@return table? conn # with LuaSec's methods
---@return string? err
function luasecmodule.wrap(sock, params) end

---The first certificate of a text in PEM, as an object with LuaSec's methods.
---@param text string in PEM
---@return table? cert # `nil` where there is none
function luasecmodule.loadcertificate(text) end

return luasecmodule
