-- LuaSocket's exceptions: try raises a table that only protect takes for one.

local socket = require "ssocket"

local try = {}

local EXCEPTION = { __metatable = false }

local function do_nothing() end

function try.newtry(finalizer)
    finalizer = finalizer == nil and do_nothing or finalizer
    return function(...)
        if (...) then
            return ...
        end
        finalizer()
        error(setmetatable({ (select(2, ...)) }, EXCEPTION), 0)
    end
end

local function outcome(ok, ...)
    if ok then
        return ...
    end
    local err = ...
    if type(err) == "table" and debug.getmetatable(err) == EXCEPTION then
        return nil, err[1]
    end
    error(err, 0)
end

-- The results of coroutine.resume once `co` has ended. What it yields before is for who has called us.
local function run_to_end(co, ok, ...)
    if ok and coroutine.status(co) ~= "dead" then
        return run_to_end(co, socket.coroutine.resume(co, coroutine.yield(...)))
    end
    return ok, ...
end

-- As pcall, in which a task cannot wait in Lua 5.1.
local function call_in_coroutine(f, ...)
    if not coroutine.running() then
        return pcall(f, ...)
    end
    local co = coroutine.create(function(...)
        return f(...)
    end)
    return run_to_end(co, socket.coroutine.resume(co, ...))
end

local tried = coroutine.wrap(function()
    return pcall(coroutine.yield, "can wait")
end)()
local protected = tried == "can wait" and pcall or call_in_coroutine

function try.protect(f)
    return function(...)
        return outcome(protected(f, ...))
    end
end

return try
