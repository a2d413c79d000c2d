-- Signals that finalizers take while the state closes, before and after the module's own finalizer.
local S
local function finalizer(f)
    if newproxy then
        local p = newproxy(true)
        getmetatable(p).__gc = f
        return p
    end
    return setmetatable({}, { __gc = f })
end
local kept = {}
local function take()
    kept[#kept + 1] = S.signals "USR1"
    kept[#kept + 1] = S.signals "USR2"
end
kept[1] = finalizer(take)
S = require "ssocket"
kept[2] = S.signals "HUP"
kept[3] = finalizer(take)
