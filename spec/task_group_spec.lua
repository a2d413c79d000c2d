-- socket.group: tasks that are waited for together, and whose first failure ends the others.

local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"

local socket = t.socket
local spawn, join, everywhere, alone = tasks.spawn, tasks.join, tasks.everywhere, tasks.alone
local coroutine = socket.coroutine

local LIMIT = 10 * t.slow

local function sleep(seconds)
    return socket.sleep(seconds or 1000)
end

local function fail(message)
    error(message, 0)
end

-- The results of g:wait, which must end in time.
local function outcome(g)
    local results = t.pack(g:wait(LIMIT))
    assert.not_equal(socket.ERROR_TIMEOUT, results[2])
    return results
end

describe("socket.group", function()
    tasks.guard()

    everywhere("waits until all its tasks have ended", function()
        local g, ended = socket.group(), 0
        for i = 1, 5 do
            local task = g:spawn(function(...)
                assert.same({ n = 3, i, nil, nil }, t.pack(...))
                socket.sleep(i / 500)
                ended = ended + 1
                return i
            end, i, nil, nil)
            assert.truthy(tostring(task):find "^<task: ")
        end
        assert.equal("<group: 5>", tostring(g))
        assert.same({ n = 1, true }, outcome(g))
        assert.equal(5, ended)
        assert.equal("<group: 0>", tostring(g))
        assert.same({ n = 1, true }, outcome(g))
        assert.same({ n = 1, true }, t.pack(g:wait(0)))
    end)

    everywhere("has tasks that can be waited for and cancelled as any", function()
        local g = socket.group()
        local first, second = g:spawn(tostring, 12), g:spawn(sleep)
        assert.equal("12", join(first))
        assert.is_true(second:cancel())
        local ok, err = join(second)
        assert.same({ nil, socket.ERROR_CANCELLED }, { ok, err })
        assert.same({ n = 1, true }, outcome(g))
    end)

    everywhere("is done at once when it is empty, and takes tasks after a wait", function()
        local g = socket.group()
        assert.same({ n = 1, true }, t.pack(g:wait(0)))
        assert.same({ n = 1, true }, t.pack(g:wait()))
        local task = g:spawn(sleep, 0.001)
        assert.same({ n = 1, true }, outcome(g))
        assert.equal("done", task:status())
    end)

    everywhere("takes tasks from its own tasks", function()
        local g, n = socket.group(), 0
        local function more(depth)
            n = n + 1
            if depth > 0 then
                g:spawn(more, depth - 1)
                g:spawn(more, depth - 1)
            end
        end
        g:spawn(more, 4)
        assert.same({ n = 1, true }, outcome(g))
        assert.equal(31, n)
    end)

    everywhere("tells the first failure with its traceback, and cancels the others", function()
        local g, told = socket.group(), {}
        for i = 1, 3 do
            g:spawn(function()
                told[i] = select(2, sleep())
                fail "of one that was cancelled"
            end)
        end
        local function raise()
            socket.sleep(0.001)
            error "broken"
        end
        local failed = g:spawn(raise)
        for _ = 1, 3 do
            local ok, err, traceback = g:wait(LIMIT)
            assert.is_nil(ok)
            assert.truthy(err:find("task_group_spec.lua:%d+: broken$"), err)
            assert.truthy(traceback:find("stack traceback", 1, true) and traceback:find("broken", 1, true), traceback)
        end
        local cancelled = socket.ERROR_CANCELLED
        assert.same({ cancelled, cancelled, cancelled }, told)
        assert.equal("failed", failed:status())
    end)

    everywhere("passes an error object on as it is", function()
        local g, object = socket.group(), {}
        g:spawn(error, object)
        local ok, err = g:wait(LIMIT)
        assert.is_true(ok == nil and err == object)
    end)

    everywhere("waits for those that a failure has cancelled", function()
        local g, tidied = socket.group(), false
        g:spawn(function()
            sleep()
            for _ = 1, 20 do
                coroutine.yield()
            end
            tidied = true
        end)
        g:spawn(fail, "broken")
        assert.equal("broken", outcome(g)[2])
        assert.is_true(tidied)
    end)

    everywhere("starts cancelled tasks after a failure", function()
        local g = socket.group()
        g:spawn(fail, "broken")
        outcome(g)
        local late = g:spawn(sleep)
        local ok, err = join(late)
        assert.same({ nil, socket.ERROR_CANCELLED }, { ok, err })
        assert.equal("broken", outcome(g)[2])
    end)

    everywhere("cancels its tasks, waits well for those that return, and starts cancelled ones from then on", function()
        local g, n = socket.group(), 0
        local function count()
            local _, err = sleep()
            assert.equal(socket.ERROR_CANCELLED, err)
            n = n + 1
        end
        g:spawn(count)
        g:spawn(count)
        tasks.settle()
        assert.is_true(g:cancel())
        assert.is_true(g:cancel())
        assert.same({ n = 1, true }, outcome(g))
        assert.is_false(g:cancel())
        g:spawn(count)
        assert.same({ n = 1, true }, outcome(g))
        assert.equal(3, n)
    end)

    everywhere("tells that tasks which were cancelled have raised, unless another has failed", function()
        local g = socket.group()
        g:spawn(function()
            assert(sleep())
        end)
        tasks.settle()
        g:cancel()
        assert.same({ n = 2, nil, socket.ERROR_CANCELLED }, outcome(g))
        g = socket.group()
        local cancelled = g:spawn(function()
            assert(sleep())
        end)
        local other = g:spawn(sleep, 0.01)
        cancelled:cancel()
        assert.is_true(join(other)) -- it was not cancelled
        assert.same({ n = 2, nil, socket.ERROR_CANCELLED }, outcome(g))
        g:spawn(fail, "broken")
        assert.equal("broken", outcome(g)[2])
    end)

    everywhere("lets its tasks go on after a time-out", function()
        local g, ch = socket.group(), socket.channel()
        local task = g:spawn(ch.get, ch)
        for _, seconds in ipairs { 0, 0.01 } do
            assert.same({ n = 2, nil, socket.ERROR_TIMEOUT }, t.pack(g:wait(seconds)))
        end
        assert.same({ n = 2, nil, socket.ERROR_TIMEOUT }, t.pack(socket.within(0.01, g.wait, g)))
        assert.equal("waiting", task:status())
        assert.is_true(ch:put "value")
        assert.same({ n = 1, true }, outcome(g))
        assert.equal("value", join(task))
    end)

    it("has many wait for it", function()
        local g = socket.group()
        g:spawn(sleep, 0.01)
        local waiters = {}
        for i = 1, 5 do
            waiters[i] = spawn(g.wait, g)
        end
        assert.same({ n = 1, true }, outcome(g))
        for i = 1, 5 do
            assert.is_true(join(waiters[i]))
        end
    end)

    it("tells a waiting task that was cancelled, and does not pass that on", function()
        local g = socket.group()
        local task = g:spawn(sleep)
        local waiter = spawn(g.wait, g)
        tasks.settle()
        waiter:cancel()
        local ok, err = join(waiter)
        assert.same({ nil, socket.ERROR_CANCELLED }, { ok, err })
        assert.equal("waiting", task:status())
        g:cancel()
        outcome(g)
    end)

    it("may be waited for in a coroutine of a task", function()
        local g = socket.group()
        g:spawn(sleep, 0.001)
        assert.is_true(tasks.run(function()
            local co = coroutine.wrap(function()
                return g:wait()
            end)
            local ok = co()
            return ok
        end))
    end)

    it("refuses a wait in one of its own tasks, until that has left it", function()
        local g = socket.group()
        local task = g:spawn(function()
            local ok, err = pcall(g.wait, g)
            return ok, err
        end)
        local ok, err = join(task)
        assert.is_false(ok)
        assert.truthy(err:find("a task cannot wait for its own group", 1, true), err)
        local inner = socket.group()
        assert.is_true(join(g:spawn(inner.wait, inner)))
    end)

    it("counts one of its tasks whose coroutine the program has resumed as failed", function()
        local g, co = socket.group(), nil
        g:spawn(function()
            co = _G.coroutine.running()
            sleep(0.02)
        end)
        local other = g:spawn(sleep)
        tasks.settle()
        _G.coroutine.resume(co, "stranger")
        assert.truthy(outcome(g)[2]:find("was resumed or closed", 1, true))
        assert.equal("done", other:status())
    end)

    everywhere("raises an argument error for anything else", function()
        local g = socket.group()
        for _, value in ipairs { 1, "x", {}, true, io.stdout } do
            tools.misuse(tools.method, g, "spawn", 1, { value }, "function expected")
            tools.misuse(tools.field, g, "spawn", 1, { value }, "group expected")
            tools.misuse(tools.field, g, "wait", 1, { value }, "group expected")
            tools.misuse(tools.field, g, "cancel", 1, { value }, "group expected")
        end
        tools.misuse(tools.method, g, "wait", 1, { "soon" }, "seconds (a number) expected")
        tools.misuse(tools.method, g, "wait", 1, { tools.nan }, "NaN")
        assert.equal("group", getmetatable(g))
        assert.is_nil(g.__gc)
        assert.same({ n = 1, true }, t.pack(g:wait(0)))
    end)
end)

describe("a group of background tasks", function()
    tasks.guard()

    it("is waited for, and does not keep a run", function()
        t.only_in_main "a task cannot run the tasks"
        local g = socket.group()
        g:spawn(sleep):background()
        socket.run()
        g:spawn(fail, "broken"):background()
        assert.equal("broken", outcome(g)[2])
    end)

    it("can be in a deadlock", function()
        t.only_in_main "a deadlock raises in the main program"
        local g, ch = socket.group(), socket.channel()
        g:spawn(ch.get, ch):background()
        tasks.raises("deadlock", g.wait, g)
        local waiter = spawn(g.wait, g)
        tasks.raises("deadlock", socket.run)
        g:cancel()
        assert.is_true(join(waiter))
    end)

    it("is no deadlock as long as a background task may end", function()
        t.only_in_main "a deadlock raises in the main program"
        local g = socket.group()
        g:spawn(sleep, 0.01):background()
        local waiter = spawn(g.wait, g)
        socket.run()
        assert.is_true(join(waiter))
    end)
end)

describe("a group that is lost", function()
    tasks.guard()

    it("has its tasks cancelled", function()
        local told
        local function begin()
            local g = socket.group()
            g:spawn(function()
                told = select(2, sleep())
            end)
            tasks.settle()
        end
        join(spawn(begin))
        t.collect()
        tasks.settle()
        assert.equal(socket.ERROR_CANCELLED, told)
    end)

    it("is kept by whoever waits for it", function()
        local ended
        local waiter = spawn(function()
            local g = socket.group()
            g:spawn(function()
                ended = socket.sleep(0.02)
            end)
            return g:wait()
        end)
        tasks.settle()
        t.collect()
        assert.is_true(join(waiter))
        assert.is_true(ended)
    end)

    it("has its failure told if nobody has asked", function()
        local messages = {}
        function socket.onerror(task, message)
            messages[#messages + 1] = message
            assert.equal("failed", task:status())
        end
        join(spawn(function()
            local g = socket.group()
            g:spawn(fail, "of nobody")
            tasks.settle()
        end))
        t.collect()
        join(spawn(tasks.settle))
        assert.equal(1, #messages)
        assert.truthy(messages[1]:find("of nobody", 1, true), messages[1])
    end)

    it("has its failure raised by run", function()
        assert.same({ "false\ttrue\n", "exit 0" }, { alone [[
            socket.group():spawn(function() error "of nobody" end)
            local ok, err = pcall(socket.run)
            print(ok, err:find("of nobody", 1, true) ~= nil)
        ]] })
    end)

    it("has not if it has told it, or is still there", function()
        local messages = 0
        function socket.onerror()
            messages = messages + 1
        end
        local kept = socket.group()
        kept:spawn(fail, "kept")
        join(spawn(function()
            local g = socket.group()
            g:spawn(fail, "told")
            assert(g:wait(LIMIT) == nil)
        end))
        t.collect()
        join(spawn(tasks.settle))
        assert.equal(0, messages)
        assert.equal("kept", outcome(kept)[2])
    end)

    it("ends a wait whose coroutine the program has closed", function()
        if not _G.coroutine.close then
            return
        end
        local co
        local waiter = spawn(function()
            local g = socket.group()
            g:spawn(sleep)
            co = _G.coroutine.running()
            return g:wait()
        end)
        tasks.settle()
        _G.coroutine.close(co)
        t.collect()
        tasks.settle()
        local ok, err = waiter:wait(LIMIT)
        assert.is_nil(ok)
        assert.truthy(err:find("was resumed or closed", 1, true), err)
    end)

    it("at the end of the Lua state leaves nothing undone", function()
        for _, code in ipairs {
            [[ local g = socket.group() g:spawn(socket.sleep, 1000) socket.sleep(0) print "end" ]],
            [[ local g = socket.group() g:spawn(socket.sleep, 1000) socket.sleep(0) print "end" os.exit(0, true) ]],
            [[ socket.group():spawn(socket.sleep, 1000) print "end" ]],
            [[
                local g = socket.group()
                local later = setmetatable({}, { __gc = function() pcall(g.cancel, g) pcall(g.wait, g, 0)
                    pcall(g.spawn, g, print) end })
                g:spawn(function() socket.sleep(1000) return later end)
                socket.sleep(0)
                print "end"
            ]],
        } do
            assert.same({ "end\n", "exit 0" }, { alone(code) })
        end
    end)
end)

describe("a group in a <close> variable", function()
    tasks.guard()

    it("cancels its tasks and does not wait", function()
        if not _G.coroutine.close then
            return
        end
        local load_text = _G.loadstring or load
        local block = assert(load_text [[
            local socket, f = ...
            local g <close> = socket.group()
            local task = g:spawn(f)
            socket.sleep(0)
            return task
        ]])
        local task = block(socket, sleep)
        assert.equal("waiting", task:status())
        local ok, err = join(task)
        assert.same({ nil, socket.ERROR_CANCELLED }, { ok, err })
    end)
end)

describe("a group that lives long", function()
    tasks.guard()

    it("holds nothing of tasks that have ended", function()
        local weak, g = setmetatable({}, { __mode = "k" }), socket.group()
        for i = 1, 500 do
            weak[g:spawn(tostring, i)] = true
            if i % 20 == 0 then
                tasks.settle()
            end
        end
        assert.same({ n = 1, true }, outcome(g))
        t.collect()
        assert.is_nil(next(weak))
    end)
end)
