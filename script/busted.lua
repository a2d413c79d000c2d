-- Runs busted under the Lua that runs this file. The command `busted` itself belongs to one Lua (or is a
-- shell script, when luarocks installed it), and the specs are to run under each.

if _VERSION == "Lua 5.5" then
    dofile("script/lua55.lua")
end

-- Two modules in C of which busted needs three functions, for a Lua that has busted but not them (script/luas).
local stand_in = {
    system = { gettime = os.time, monotime = os.clock, sleep = function() end },
    term = {
        isatty = function()
            return false
        end,
    },
}
for name, module in pairs(stand_in) do
    if not pcall(require, name) then
        package.loaded[name] = module
    end
end

require("busted.runner")({ standalone = false })
