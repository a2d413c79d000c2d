-- The worlds in which the same specs run: the main program, and with SSOCKET_WORLD=task a task. There the body of
-- each test is spawned, and what surrounds it (guards, before_each, after_each) stays in the main program, which waits.
-- With SSOCKET_WORLD=tls and SSOCKET_WORLD=tls-task the same two, and the streams that specs get speak TLS
-- (support.over_tls).

local name = os.getenv "SSOCKET_WORLD" or ""
local world = { in_tasks = name == "task" or name == "tls-task", in_tls = name == "tls" or name == "tls-task" }
assert(world.in_tasks or world.in_tls or name == "", "there is no such world: " .. name)

-- What Lua programs that specs start begin with.
world.prelude = world.in_tls and 'require("support.over_tls").replace_pair(require "ssocket")\n' or ""

-- Ends a test that makes no sense in a task. The reason is shown with it.
function world.only_in_main(reason)
    if world.in_tasks then
        error { only_in_main = reason }
    end
end

local function wait_for(task, element)
    local ok, err, traceback = task:wait()
    if ok then
        return
    end
    if type(err) == "table" and rawget(err, "only_in_main") then
        element.env.pending(err.only_in_main)
    end
    world.traceback = traceback
    error(err, 0)
end

local function spawn_body(element)
    local body = element.run
    world.traceback = nil
    function element.run()
        -- Each spec file has a module table of its own.
        wait_for(require("ssocket").spawn(body), element)
    end
    return nil, true
end

-- Calls f that many calls further up the stack. What it leaves in its registers is then above all that still runs:
-- LuaJIT's collector looks at every slot of the frames of running functions, also at those that hold nothing any more,
-- and kept alive what a test had dropped.
local function call_above(depth, f)
    if depth == 0 then
        f()
    else
        call_above(depth - 1, f)
    end
    return nil -- this call is no tail call, then, and has its frame
end

local function call_body_above(element)
    local body = element.run
    function element.run()
        call_above(60, body)
    end
    return nil, true
end

-- SSOCKET_COLLECT="50 generational": while a test runs, the collector is at work at each 50th allocation (testcollect).
local every, mode = (os.getenv "SSOCKET_COLLECT" or ""):match "^(%d+) ?(%a*)$"

local function collect_in_body(element)
    local collect, body = require "testcollect", element.run
    local function stop(ok, ...)
        collect.stop()
        if not ok then
            error((...), 0)
        end
    end
    function element.run()
        collect.start(tonumber(every), mode ~= "" and mode or nil)
        stop(pcall(body))
    end
    return nil, true
end

-- Where it went wrong is where the task was, not where it was waited for.
local function show_task(_, _, _, trace)
    if trace and world.traceback then
        trace.traceback = world.traceback
    end
    return nil, true
end

-- The tasks' own descriptor is there before the first test counts descriptors.
local function open_poller()
    require("ssocket").loop():pollfd()
    package.loaded.ssocket = nil
end

local function file_of(busted, element)
    while element.descriptor ~= "file" do
        element = busted.parent(element)
    end
    return "/" .. element.name
end

-- Tests that make no sense over TLS are shown as pending, with the reason.
local function leave_out(busted, full_name)
    return function(element)
        local reason = require("support.left_out_tls").reason(file_of(busted, element), full_name(element))
        if reason then
            function element.run()
                element.env.pending(reason)
            end
        end
        return nil, true
    end
end

-- To be called by the output handler, before it subscribes itself.
function world.enter(busted, full_name)
    if every then
        open_poller() -- the module has its way to the allocator from now on
        busted.subscribe({ "test", "start" }, collect_in_body)
    end
    if world.in_tls then
        open_poller() -- handshakes with both ends here need a task
    end
    if world.in_tasks then
        open_poller()
        busted.subscribe({ "test", "start" }, spawn_body)
        busted.subscribe({ "failure" }, show_task)
        busted.subscribe({ "error" }, show_task)
    else
        busted.subscribe({ "test", "start" }, call_body_above)
    end
    if world.in_tls then
        busted.subscribe({ "test", "start" }, leave_out(busted, full_name))
    end
end

return world
