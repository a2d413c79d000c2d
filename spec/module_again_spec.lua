-- The module loaded again, or from a copy of its file: one module all the same.

local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"

local function it_holds(name, code)
    it(name, function()
        tasks.alone_fine(("local file = %q\n"):format(tools.module) .. code, 20)
    end)
end

describe("the module, loaded again,", function()
    t.guard()

    it_holds("is the same table, keeps onerror, and loses no failure", [[
        local told = {}
        socket.onerror = function(_, message) told[#told + 1] = message:match "[^\n]*" end
        local onerror = socket.onerror
        spawn(function() error("before", 0) end)
        local kept = spawn(function() error("kept", 0) end)
        package.loaded.ssocket = nil
        local again = require "ssocket"
        assert(again == socket and again.onerror == onerror)
        again.sleep(0.01)
        assert(#told == 1 and told[1] == "before", told[1])
        assert(select(2, kept:wait(0)) == "kept")
    ]])

    it_holds("from a copy of its file as well, works with the first", [[
        local copy = os.tmpname()
        local from, to = assert(io.open(file, "rb")), assert(io.open(copy, "wb"))
        to:write(from:read "*a")
        from:close()
        to:close()
        local open, err = package.loadlib(copy, "luaopen_ssocket")
        os.remove(copy)
        local a, b = socket.pair()
        local ch = socket.channel()
        local reader = spawn(a.read, a, 2)
        socket.sleep(0)
        local other = assert(open, err)()
        assert(other == socket)
        local c, d = other.pair()
        local late = other.spawn(function() return c:read(2) end)
        other.spawn(function() b:write "xy" d:write "zw" ch:put "v" end)
        assert(ch:get(5) == "v")
        assert(select(2, reader:wait(5)) == "xy" and select(2, late:wait(5)) == "zw")
        b:write "1"
        d:write "2"
        assert(#other.select({ a, c }, nil, 5) == 2)
        assert(b:write "3" and a:read(2) == "13")
    ]])

    it_holds("refuses to be beside another build of its version", [[
        local key
        for k in pairs(debug.getregistry()) do
            if type(k) == "string" and k:find "^ss%d.*%.layout$" then key = k end
        end
        local layout = debug.getregistry()[key]
        debug.getregistry()[key] = layout + 1
        package.loaded.ssocket = nil
        local ok, err = pcall(require, "ssocket")
        assert(not ok and err:find("another build of ssocket", 1, true), err)
        debug.getregistry()[key] = layout
        package.loaded.ssocket = nil -- Lua 5.1 remembers that it has failed
        assert(require "ssocket" == socket)
    ]])
end)
