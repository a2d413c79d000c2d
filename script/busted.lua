-- Runs busted under the Lua that runs this file. The command `busted` itself belongs to one Lua (or is a
-- shell script, when luarocks installed it), and the specs are to run under each.

-- In Lua 5.5 the variables of a `for` are constant. The Penlight that busted needs was there before and assigns
-- to some; a file that does not compile for this reason is given local variables of the same names.
local function with_local(source, line, name)
    local lines = {}
    for text in (source .. "\n"):gmatch("(.-)\n") do
        lines[#lines + 1] = text
    end
    for i = line, 1, -1 do
        local variables = lines[i]:match("^%s*for%s+(.-)%s+in%s.*%sdo%s*$")
        if variables and (" " .. variables:gsub(",", " ") .. " "):find("%s" .. name .. "%s") then
            lines[i] = lines[i] .. " local " .. name .. " = " .. name
            return table.concat(lines, "\n")
        end
    end
end

local function load_file(path)
    local file = assert(io.open(path))
    local source = file:read("a")
    file:close()
    local chunk, err
    repeat
        chunk, err = load(source, "@" .. path)
        local line, name = (err or ""):match(":(%d+): attempt to assign to const variable '([^']+)'")
        source = name and with_local(source, tonumber(line), name)
    until not source
    return assert(chunk, err)
end

if _VERSION == "Lua 5.5" then
    table.insert(package.searchers, 2, function(name)
        local path, err = package.searchpath(name, package.path)
        if path then
            return load_file(path), path
        end
        return err
    end)
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
