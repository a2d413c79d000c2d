-- LuaSocket's exceptions: try, newtry, protect.

local luasocket = require "support.luasocket"
local t = require "support.t"

local is = luasocket.is

local YIELDS = _VERSION ~= "Lua 5.1" -- a protected function that is LuaSocket's

luasocket.describe("try", function(socket)
    it("passes all through if the first is true", function()
        is("1, nil, 3", socket.try(1, nil, 3))
        is('""', socket.try "")
    end)

    it("raises a table with the error in it, whose metatable is hidden", function()
        for _, first in ipairs { "nil", "false" } do
            local ok, err = pcall(socket.try, first == "false" and false or nil, "reason", "more")
            assert.is_false(ok)
            assert.equal("table", type(err))
            assert.equal("reason", err[1])
            assert.is_false(getmetatable(err))
        end
        local ok, err = pcall(socket.try)
        assert.is_false(ok)
        assert.equal("table", type(err))
    end)
end)

luasocket.describe("newtry", function(socket)
    it("calls the finalizer before it raises, without arguments, and not else", function()
        local calls = {}
        local try = socket.newtry(function(...)
            calls[#calls + 1] = select("#", ...)
        end)
        is("1, 2", try(1, 2))
        assert.same({}, calls)
        is('nil, "reason"', socket.protect(function()
            try(nil, "reason")
        end)())
        assert.same({ 0 }, calls)
    end)

    it("has the finalizer's error come out instead", function()
        local try = socket.newtry(function()
            error("finalizer", 0)
        end)
        is('false, "finalizer"', pcall(try, nil, "reason"))
        is('false, "finalizer"', pcall(socket.protect(try), nil, "reason"))
    end)

    it("does without a finalizer", function()
        is('nil, "reason"', socket.protect(socket.newtry())(nil, "reason"))
        is("5", socket.protect(socket.newtry())(5))
    end)
end)

luasocket.describe("protect", function(socket, tested)
    it("passes arguments and results through", function()
        local f = socket.protect(function(...)
            return select("#", ...), ...
        end)
        is("0", f())
        is('3, 5, nil, "x"', f(5, nil, "x"))
        is("", socket.protect(function() end)(1))
    end)

    it("turns what try raises into nil and the error", function()
        local reason = {}
        is('nil, "reason"', socket.protect(socket.try)(false, "reason", "more"))
        is("nil, nil", socket.protect(socket.try)(nil))
        local got = t.pack(socket.protect(socket.try)(nil, reason))
        assert.equal(2, got.n)
        assert.equal(reason, got[2])
    end)

    it("passes on any other error as the same value", function()
        local alike = setmetatable({ "reason" }, { __metatable = false })
        for _, reason in ipairs { {}, { "reason" }, "text", 5, print, alike } do
            local ok, err = pcall(socket.protect(error), reason, 0)
            assert.is_false(ok)
            assert.is_true(rawequal(reason, err))
        end
    end)

    it("stands in itself", function()
        local inner = socket.protect(function()
            socket.try(nil, "inner")
        end)
        is('nil, "inner"', inner())
        is('nil, "outer"', socket.protect(function()
            local ok, err = inner()
            assert(not ok and err == "inner")
            socket.try(nil, "outer")
        end)())
        is('nil, "inner"', socket.protect(function()
            socket.try(inner())
        end)())
    end)

    it("takes anything, and fails when that is called", function()
        assert.is_false((pcall(socket.protect(5))))
        is('5', socket.protect(setmetatable({}, {
            __call = function(_, x)
                return x
            end,
        }))(5))
    end)

    -- The bridge's also where LuaJIT's pcall can.
    if YIELDS or _G.jit and not tested.real then
        it("takes functions that yield", function()
            local co = coroutine.wrap(function()
                return socket.protect(function(...)
                    local x = coroutine.yield(...)
                    socket.try(nil, x)
                end)(1, 2)
            end)
            is("1, 2", co())
            is('nil, "reason"', co "reason")
        end)
    end
end)
