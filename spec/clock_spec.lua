-- What time-outs are measured by, and the shortest and longest of them: nothing, a billionth of a second, thirty days
-- and no end at all, for every call that can wait (support.waits).

local each = require "support.waits"
local space = require "support.space"
local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"

local socket, sys = t.socket, t.sys
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "spec"
local program = tools.build .. "/host_wall_clock"
local script = here .. "/support/wall_clock.lua"

describe("the wall clock put forward and back by hours", function()
    t.guard()

    it("moves no deadline, and is not asked", function()
        local said, how, status = tools.run({ program, script }, 60 * t.slow)
        if status == 3 then
            return pending(said)
        end
        assert.same({ "", "exit", 0 }, { said, how, status })
    end)

    it("moves no deadline of a look-up", function()
        if not tools.on_linux then
            return pending "namespaces are Linux's"
        end
        local inside = space.open() or pending(space.why)
        inside:nameserver()
        assert.equal("", inside:run(program, script, "silent.test."):finish(60 * t.slow))
    end)

    -- What waits until a moment of that clock without asking for it. The names are in the module as NUL-ended text.
    it("is not waited for by the system on the module's behalf", function()
        local file = assert(io.open(tools.module, "rb"))
        local module = file:read "*a"
        file:close()
        local function names(name)
            return module:find("\0" .. name .. "\0", 1, true) or module:find("\0" .. name .. "@", 1, true)
        end
        assert.is_truthy(names "clock_gettime")
        for _, name in ipairs {
            "pthread_cond_timedwait", "pthread_mutex_timedlock", "pthread_timedjoin_np", "sem_timedwait",
            "mq_timedreceive", "mq_timedsend", "timer_settime", "timerfd_settime", "clock_nanosleep", "setitimer",
            "alarm", "gettimeofday",
        } do
            assert.is_falsy(names(name), name)
        end
    end)
end)

-- ---- short ----

describe("a time-out of", function()
    tasks.guard()

    each(function(name, make)
        for _, seconds in ipairs { 0, 1e-9 } do
            tasks.everywhere(("%g s ends %s at once"):format(seconds, name), function()
                local case = make()
                local began = t.now()
                local results = t.pack(case.call(seconds))
                assert.is_true(t.now() - began < 0.5 * t.slow)
                case:check_failed(socket.ERROR_TIMEOUT, results)
                case:drop()
            end)
        end
    end)

    for _, seconds in ipairs { 0, 1e-9, -1, -math.huge } do
        tasks.everywhere(("%g s is a short sleep"):format(seconds), function()
            assert.is_true(t.deadline(0.5, socket.sleep, seconds))
        end)
    end
end)

-- ---- long ----

local DAYS = 2592000
local long = { [DAYS] = "thirty days", [math.huge] = "infinity" }

-- Whether a process waits for something.
local function waits(pid)
    local file = assert(io.open("/proc/" .. pid .. "/stat"))
    local text = file:read "*a"
    file:close()
    return text:match "%) (%a)" == "S"
end

local function wake_when_it_waits(parent, wake)
    local limit = t.now() + 10 * t.slow
    repeat
        socket.sleep(0.002)
    until waits(parent) or t.now() > limit
    wake()
end

-- A child process that makes a call of this process succeed once it waits. What only this process has it can't reach.
local function wake_from_outside(wake)
    local parent = sys.getpid()
    local child = assert(sys.fork())
    if child ~= 0 then
        return child
    end
    local ok = pcall(wake_when_it_waits, parent, wake)
    return sys._exit(ok and 0 or 1)
end

local function ended_well(child)
    assert.same({ "exit", 0 }, { sys.wait(child, 20) })
end

for seconds, shown in pairs(long) do
    describe("a time-out of " .. shown, function()
        tasks.guard()

        each(function(name, make)
            local function prepare()
                local case = make()
                return case, case.wake or function() -- a full TCP listener: the system tries again after a second
                    assert(case.peer:accept()):close()
                end
            end

            it("lets " .. name .. " wait in a task until it can go on", function()
                local case, wake = prepare()
                local task = tasks.spawn(function()
                    return t.pack(case.call(seconds))
                end)
                socket.sleep(0.02)
                assert.equal("waiting", task:status())
                wake()
                case:check_good(tasks.join(task))
                case:drop()
            end)

            it("lets " .. name .. " wait in the main program beside tasks until it can go on", function()
                local case, wake = prepare()
                local woken = false
                tasks.spawn(function()
                    socket.sleep(0.02)
                    woken = true
                    wake()
                end)
                local results = t.pack(case.call(seconds))
                assert.is_true(woken)
                case:check_good(results)
                case:drop()
            end)

            -- Only this process can end the others.
            if tools.on_linux and name ~= "wait" and not name:find "^channel" then
                it("lets " .. name .. " wait in the main program alone until it can go on", function()
                    local case, wake = prepare()
                    local child = wake_from_outside(wake)
                    case:check_good(t.pack(case.call(seconds)))
                    ended_well(child)
                    case:drop()
                end)
            end
        end)

        it("is one for look-ups", function()
            assert.equal("127.0.0.1", socket.resolve("127.0.0.1", 80, seconds)[1][1])
            assert.is_table(socket.resolve("localhost", 80, seconds))
            assert.is_table(tasks.run(socket.resolve, "localhost", 80, seconds))
        end)

        it("is a sleep that a task's cancel ends", function()
            local task = tasks.spawn(socket.sleep, seconds)
            socket.sleep(0.02)
            assert.equal("waiting", task:status())
            assert(task:cancel())
            assert.same({ true, nil, socket.ERROR_CANCELLED }, { task:wait(5) })
        end)

        for _, beside in ipairs { "", "socket.spawn(socket.sleep, 1000)" } do
            it("is a sleep in the main program that lasts " .. (beside == "" and "alone" or "beside tasks"), function()
                local p = t.lua(([[
                    local socket = require "ssocket"
                    %s
                    print "sleeps"
                    io.stdout:flush()
                    print(socket.sleep(tonumber "%s" or math.huge))
                ]]):format(beside, seconds))
                assert.equal("sleeps", p:line())
                assert.is_nil((sys.read(p.stdout, 1, 0.1))) -- it says nothing, nor does it end
                p:kill()
            end)
        end

        local it = tools.on_linux and it or pending

        it("lets loop:step wait until a task can go on", function()
            t.only_in_main "in a task the loop runs already"
            local a, b = socket.pair()
            local task = tasks.spawn(function()
                a:settimeout(seconds)
                return a:read(1)
            end)
            local loop = socket.loop()
            loop:step(0)
            assert.equal("waiting", task:status())
            local left = loop:timeout()
            assert.is_true(left == nil or left > DAYS - 60 and left <= seconds, tostring(left))
            local child = wake_from_outside(function()
                assert(b:write "x")
            end)
            repeat
                loop:step(seconds)
            until task:status() == "done"
            assert.equal("x", tasks.join(task))
            ended_well(child)
            a:close()
            b:close()
        end)
    end)
end
