-- For the host wall_clock, in which the wall clock jumps by hours each time that it is asked: every call that can wait
-- ends at its deadline, in the main program and in tasks, and nobody asks that clock.
--
--   wall_clock wall_clock.lua [HOST]      HOST: a name that nobody answers is looked up as well

local host = ...
local each = require "support.waits"
local t = require "support.t"

local socket = t.socket
local asked = _G.asked
local times = { 0, 0.03, 0.15 } -- kept by ppoll, and by the kernel's own time-outs as well

local function in_time(name, seconds, began)
    local took = t.now() - began
    if took < seconds or took > seconds + 2 * t.slow then
        error(("%s took %.3f s, not %g s"):format(name, took, seconds), 0)
    end
end

local function jumps()
    asked()
    local first, least = os.time(), math.huge
    for _ = 1, 10 do
        local second = os.time()
        least, first = math.min(least, math.abs(second - first)), second
    end
    assert(least >= 3600 and asked() == 11, "the wall clock does not jump")
end

local function check_call(name, make, seconds)
    local case = make()
    local began = t.now()
    local results = t.pack(case.call(seconds))
    in_time(name, seconds, began)
    case:check_failed(socket.ERROR_TIMEOUT, results)
    case:drop()
end

local others = {
    sleep = function(seconds)
        assert(socket.sleep(seconds))
    end,
    ["sleep of many"] = function(seconds)
        local tasks = {}
        for i = 1, 10 do
            tasks[i] = socket.spawn(socket.sleep, seconds)
        end
        for i = 1, 10 do
            assert(tasks[i]:wait())
        end
    end,
}
if host then
    others.resolve = function(seconds)
        t.fails(socket.ERROR_TIMEOUT, nil, socket.resolve(host, 80, seconds))
    end
    others["connect to a name"] = function(seconds)
        local s = socket.tcp()
        s:settimeout(seconds)
        t.fails(socket.ERROR_TIMEOUT, nil, s:connect(host, 80))
    end
end

local function check_all()
    for _, seconds in ipairs(times) do
        each(function(name, make)
            check_call(name, make, seconds)
        end)
        for name, call in pairs(others) do
            local began = t.now()
            call(seconds)
            in_time(name, seconds, began)
        end
    end
end

local function check_step()
    for _, seconds in ipairs(times) do
        local sleeper, began = socket.spawn(socket.sleep, 100), t.now()
        socket.loop():step(0)
        socket.loop():step(seconds)
        in_time("loop:step", seconds, began)
        local left = socket.loop():timeout()
        assert(left > 100 - seconds - 2 * t.slow and left <= 100, left)
        sleeper:cancel()
        sleeper:wait()
    end
end

jumps()
local first = socket.now()
check_all()
local task = socket.spawn(check_all)
local ok, _, traceback = task:wait()
assert(ok, traceback)
check_step()
local took = socket.now() - first
assert(took > 0 and took < 60 * t.slow, took)
assert(asked() == 0, "somebody asks the wall clock")
