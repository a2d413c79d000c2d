-- Output handler for busted: TAP, a plan at the end, each failure with its place, message and traceback.
-- The handler that busted brings dies on a spec that does not compile, before it has said why.
-- "# file @ line: name" goes before each test, so that the log of a run that hangs names the one that did.
local pretty = require("pl.pretty")
local weather = require("support.weather")
local world = require("support.world")

local function say(...)
    io.write(...)
    io.write("\n")
    io.flush()
end

local function comment(text)
    say("# ", (tostring(text):gsub("^\n+", ""):gsub("\n", "\n#   ")))
end

local function place(element, trace)
    local at = element.trace or trace or {}
    return (at.short_src or element.name or "?") .. " @ " .. (at.currentline or 0)
end

return function(options)
    local busted = require("busted")
    local handler = require("busted.outputHandlers.base")()
    local count = 0

    local function result(word, text)
        count = count + 1
        say(word, " ", count, " - ", (text:gsub("\n", " ")))
    end

    local function fail(element, message, trace)
        result("not ok", handler.getFullName(element))
        comment(place(element, trace))
        comment(type(message) == "string" and message or pretty.write(message))
        if trace and trace.traceback then
            comment(trace.traceback)
        end
    end

    -- A test that fails is reported at its end, so that it counts once, whatever fails in it first.
    local cause

    function handler.started(element)
        cause = nil
        say("# ", place(element), ": ", (handler.getFullName(element):gsub("\n", " ")))
        return nil, true
    end

    function handler.went_wrong(element, _, message, trace)
        if element.descriptor == "it" then
            cause = cause or { message, trace }
        else
            fail(element, message, trace)
        end
        return nil, true
    end

    function handler.ended(element, _, status, trace)
        if status == "success" then
            result("ok", handler.getFullName(element))
        elseif status == "pending" then
            result("ok", "# SKIP " .. handler.getFullName(element))
        else
            fail(element, cause and cause[1], cause and cause[2] or trace)
        end
        return nil, true
    end

    function handler.finished()
        say("1..", tostring(count))
        return nil, true
    end

    weather.enter(busted, handler.getFullName)
    world.enter(busted, handler.getFullName)
    busted.subscribe({ "test", "start" }, handler.started)
    busted.subscribe({ "test", "end" }, handler.ended)
    busted.subscribe({ "failure" }, handler.went_wrong)
    busted.subscribe({ "error" }, handler.went_wrong)
    busted.subscribe({ "suite", "end" }, handler.finished)
    handler.options = options
    return handler
end
