-- Tasks in specs: none is left behind, waiting for one has a limit, a neighbour that tells whether it can run.

local busted = require "busted"
local t = require "support.t"
local tools = require "support.tools"
local world = require "support.world"

local socket = t.socket

local tasks = {}
local live = setmetatable({}, { __mode = "k" })

-- As socket.spawn; what is still there after the test is cancelled.
function tasks.spawn(f, ...)
    local task = socket.spawn(f, ...)
    live[task] = true
    return task
end

-- Lets all tasks run until each waits for something that is not there yet.
function tasks.settle()
    for _ = 1, 10 do
        socket.sleep(0)
    end
end

-- Runs the loop by hand until no task is left; false when some never end.
local function finish_all()
    local loop, limit = socket.loop(), t.now() + 5 * t.slow
    while loop:step(0) do
        if t.now() > limit then
            return false
        end
    end
    return true
end

local function leave_none()
    socket.onerror = nil
    for task in pairs(live) do
        task:cancel()
    end
    local ended = finish_all()
    t.collect()
    if not ended then
        error("tasks that never end are left", 0)
    end
    socket.run() -- raises what nobody has seen
end

-- As t.guard, for tests with tasks.
function tasks.guard()
    busted.after_each(leave_none)
    t.guard()
end

local function results_of(ok, ...)
    if ok then
        return ...
    end
    local value, traceback = ...
    if type(value) == "string" then
        error(traceback or "the task has not ended: " .. value, 0)
    end
    error(value, 0)
end

-- The results of a task, which must end well and in time.
function tasks.join(task, limit)
    return results_of(task:wait((limit or 10) * t.slow))
end

-- The results of f(...), run in a task.
function tasks.run(f, ...)
    return tasks.join(tasks.spawn(f, ...), 20)
end

-- Defines the test three times: the main program alone, the main program beside a task, a task.
function tasks.everywhere(name, f)
    busted.it(name .. ", in the main program", f)
    busted.it(name .. ", in the main program while there are tasks", function()
        tasks.spawn(socket.sleep, 1000)
        f()
    end)
    busted.it(name .. ", in a task", function()
        tasks.run(f)
    end)
end

-- A task that sleeps `period` seconds (0.001; 0: a turn of the loop) again and again: how often (n), and the longest
-- time between (longest).
function tasks.ticker(period)
    local ticks = { n = 0, longest = 0 }
    local last
    ticks.task = tasks.spawn(function()
        last = t.now()
        while socket.sleep(period or 0.001) do
            local now = t.now()
            ticks.n, ticks.longest, last = ticks.n + 1, math.max(ticks.longest, now - last), now
        end
    end)
    tasks.settle()
    return ticks
end

-- f(...) raises an error with the text in it; returns its message.
function tasks.raises(text, f, ...)
    local ok, err = pcall(f, ...)
    assert(not ok, "nothing is raised")
    assert(tostring(err):find(text, 1, true), tostring(err))
    return err
end

-- Runs code in a Lua of its own, with `socket`, `sys` and `spawn`: what it says on both streams, and how it ends
-- ("exit 0").
function tasks.alone(code, limit)
    local begin = 'local socket, sys = require "ssocket", require "testsys"; local spawn = socket.spawn\n'
    local said, how, status = tools.run({
        "sh",
        "-c",
        "exec " .. os.getenv "SSOCKET_LUA" .. ' -e "$0"',
        world.prelude .. begin .. code,
    }, (limit or 10) * t.slow)
    return said, tostring(how) .. " " .. tostring(status)
end

-- Without what newer LuaJITs print of a finalizer that fails, as far as that tells of failed tasks: other Luas hand it
-- to lua_warning, which is off, or say nothing.
function tasks.without_last_failures(said)
    if not _G.jit then
        return said
    end
    local kept, inside = {}, false
    for line in said:gmatch "[^\n]*\n" do
        local begins = line:find("^ERROR in finalizer: a task failed: ")
        inside = begins or inside and (line:find "^\t" or line:find "^stack traceback:" or line:find "^\n")
            or line:find "^another task failed: "
        kept[#kept + 1] = not inside and line or nil
    end
    return table.concat(kept)
end

-- The same for code that must come to its end, without a word.
function tasks.alone_fine(code, limit)
    local said, how = tasks.alone(code .. '\nprint "fine"', limit)
    assert(said == "fine\n" and how == "exit 0", how .. ": " .. said)
end

-- Poller and all are made: descriptors are counted from here on.
socket.loop():pollfd()
tasks.spawn(function()
    socket.sleep(0)
end)
socket.run()

return tasks
