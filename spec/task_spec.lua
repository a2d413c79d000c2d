-- Tasks themselves: their beginning, their end, who hears of it, cancelling.

local t = require "support.t"
local tools = require "support.tools"
local tasks = require "support.tasks"
local each_wait = require "support.waits"

local socket = t.socket
local spawn, join = tasks.spawn, tasks.join

-- What PUC 5.1 can't do while a task waits; LuaJIT can.
local is_puc_51 = _VERSION == "Lua 5.1" and not _G.jit

-- A program that meddles with the coroutine of a task, and then sees whether others go on.
local meddle = [[
    require "support.waits"(function(name, make)
        if name ~= "NAME" then return end
        local case = make()
        local co
        local task = spawn(function()
            co = coroutine.running()
            case.call(-1)
            case.call(0.05) -- perhaps in the main program
        end)
        socket.sleep(0)
        pcall(function() MEDDLE end)
        pcall(socket.sleep, 0)
        if case.peer then case.peer:settimeout(0.1) end -- it may wait for what was not written
        if case.wake then pcall(case.wake) end
        for _ = 1, 3 do pcall(socket.sleep, 0.001) end
        pcall(task.wait, task, 0)
        task:status()
        task:cancel()
        for _ = 1, 3 do pcall(socket.sleep, 0.001) end
        local a, b = socket.pair()
        local other = spawn(a.read, a, 2)
        socket.sleep(0)
        b:write "ok"
        print(select(2, other:wait(1)))
    end)
]]

describe("a task", function()
    tasks.guard()

    it("runs a function with all of its arguments, and wait hands out all of its results", function()
        for _, values in ipairs {
            t.pack(), t.pack(nil), t.pack(1), t.pack(nil, nil), t.pack(false), t.pack(1, nil, "x", nil),
            t.pack(nil, {}, print, nil), t.pack(tools.unpack({}, 1, 1000)),
        } do
            local seen
            local task = spawn(function(...)
                seen = t.pack(...)
                return ...
            end, tools.unpack(values, 1, values.n))
            local results = t.pack(task:wait())
            assert.same(values, seen)
            assert.is_true(results[1])
            assert.same(values, t.pack(tools.unpack(results, 2, results.n)))
        end
    end)

    it("may wait between its arguments and its results", function()
        local function slowly(...)
            socket.sleep(0.001)
            return select("#", ...), ...
        end
        assert.same({ true, 3, nil, "x", n = 5 }, t.pack(spawn(slowly, nil, "x", nil):wait()))
    end)

    it("begins at the next wait of its maker, not before", function()
        local began = false
        local task = spawn(function()
            began = true
        end)
        assert.is_false(began)
        assert.equal("ready", task:status())
        socket.sleep(0)
        assert.is_true(began)
        assert.equal("done", task:status())
    end)

    it("begins after those that were there before it", function()
        local order = {}
        local function note(name)
            order[#order + 1] = name
        end
        spawn(function()
            note(1)
            spawn(note, 4)
        end)
        spawn(note, 2)
        spawn(note, 3)
        socket.run()
        assert.same({ 1, 2, 3, 4 }, order)
    end)

    it("tells its state, also as text", function()
        local channel, task, within = socket.channel()
        task = spawn(function()
            within = task:status() .. tostring(task)
            channel:get()
        end)
        local function check(state)
            assert.equal(state, task:status())
            assert.equal("<task: " .. state .. ">", tostring(task))
        end
        check "ready"
        tasks.settle()
        assert.equal("ready<task: ready>", within)
        check "waiting"
        assert.is_true(channel:put(1))
        join(task)
        check "done"
        task = spawn(error, "x")
        task:wait()
        check "failed"
    end)

    it("waits in the middle of calls, loops and closures of its own", function()
        local function deep(n)
            if n == 0 then
                return socket.sleep(0.001) and "bottom"
            end
            local result = deep(n - 1) -- no tail call
            return result
        end
        assert.equal("bottom", tasks.run(deep, 150))
    end)

    it("may be made by another task, and thousands deep", function()
        local function chain(n)
            if n == 0 then
                return "last"
            end
            return select(2, spawn(chain, n - 1):wait())
        end
        assert.equal("last", tasks.run(chain, 3000))
    end)

    it("that says coroutine.yield lets the others run, and goes on", function()
        local order = {}
        local function take_turns(name)
            for i = 1, 3 do
                order[#order + 1] = name .. i
                assert.equal(0, select("#", coroutine.yield("dropped", i)))
            end
        end
        spawn(take_turns, "a")
        spawn(take_turns, "b")
        socket.run()
        assert.equal("a1 b1 a2 b2 a3 b3", table.concat(order, " "))
    end)

    it("lives on when nobody holds it", function()
        local done = 0
        for i = 1, 10 do
            socket.spawn(function()
                socket.sleep(0.001 * i)
                done = done + 1
            end)
        end
        for _ = 1, 5 do
            t.collect()
            socket.sleep(0.001)
        end
        socket.run()
        assert.equal(10, done)
    end)

    it("is collected with its results once it has ended and nobody holds it", function()
        local weak = setmetatable({}, { __mode = "v" })
        do
            weak.result = {}
            weak.task = socket.spawn(function(result)
                weak.co = coroutine.running()
                socket.sleep(0)
                return result
            end, weak.result)
            t.collect()
            assert.is_table(weak.result)
            assert.is_true(weak.task:wait())
        end
        t.collect()
        assert.same({}, { weak.task, weak.result, weak.co })
    end)

    it("keeps its results until its handle goes", function()
        local task = socket.spawn(function()
            return { "kept" }
        end)
        socket.run()
        t.collect()
        assert.same({ true, { "kept" } }, { task:wait(0) })
    end)

    -- The call that it waits in has nothing but the task's stack to keep what it needs.
    it("keeps alive what it waits with", function()
        local a, b = socket.pair()
        local function text(i)
            return (tostring(i) .. ";"):rep(30000)
        end
        local writer = spawn(function()
            local sent = 0
            for i = 1, 20 do
                sent = sent + a:write { text(i), text(-i) }
            end
            return sent
        end)
        local reader = spawn(b.read, b, 60000)
        local expected, got = {}, {}
        for i = 1, 20 do
            expected[i] = text(i) .. text(-i)
        end
        expected = table.concat(expected)
        got[1] = join(reader)
        while #table.concat(got) < #expected do
            t.collect()
            got[#got + 1] = assert(b:readsome(100000))
        end
        assert.is_true(table.concat(got) == expected)
        assert.equal(#expected, join(writer))
        a:close()
        b:close()
    end)

    it("that writes a table of pieces is not disturbed when others empty the table", function()
        local a, b = socket.pair()
        local pieces = {}
        for i = 1, 50 do
            pieces[i] = (tostring(i) .. ";"):rep(20000)
        end
        local expected = table.concat(pieces)
        local writer = spawn(function()
            return a:write(pieces)
        end)
        tasks.settle()
        for i = 1, 50 do
            pieces[i] = nil
        end
        t.collect()
        for i = 1, 50 do
            pieces[i] = ("J"):rep(40000 + i) -- where the others were
        end
        assert.is_true(b:read(#expected) == expected)
        assert.equal(#expected, join(writer))
        a:close()
        b:close()
    end)

    -- As a debugger does, or a scheduler that knows of no tasks: coroutine.running() gives the coroutine away.
    local meddling = { resumed = "coroutine.resume(co, 'nonsense', 1)" }
    if coroutine.close then
        meddling.closed = "coroutine.close(co)"
        meddling["resumed and closed"] = "coroutine.resume(co) coroutine.close(co)"
    end
    for how, code in pairs(meddling) do
        each_wait(function(name)
            it(("whose coroutine is %s while it waits in %s breaks nothing"):format(how, name), function()
                local program = meddle:gsub("NAME", name):gsub("MEDDLE", code)
                assert.same({ "ok\n", "exit 0" }, { tasks.alone(program, 3) })
            end)
        end)
    end
end)

describe("socket.run", function()
    tasks.guard()

    it("returns nothing when no task is left, and at once when there is none", function()
        local steps = 0
        assert.equal(0, select("#", socket.run()))
        for i = 1, 3 do
            spawn(function()
                socket.sleep(0.005 * i)
                spawn(function()
                    socket.sleep(0.005)
                    steps = steps + 1
                end)
            end)
        end
        assert.equal(0, select("#", socket.run()))
        assert.equal(3, steps)
    end)

    it("raises inside a task", function()
        tasks.raises("socket.run inside a task", tasks.run, socket.run)
    end)

    it("works in a coroutine of the main program", function()
        local done
        spawn(function()
            socket.sleep(0.001)
            done = true
        end)
        coroutine.wrap(function()
            socket.run()
        end)()
        assert.is_true(done)
    end)
end)

describe("task:wait", function()
    tasks.guard()

    tasks.everywhere("gives the results again and again, at once after the end", function()
        local task = spawn(function()
            socket.sleep(0.002)
            return "a", nil
        end)
        for _ = 1, 3 do
            assert.same({ true, "a", nil, n = 3 }, t.pack(task:wait()))
        end
        assert.same({ true, "a", nil, n = 3 }, t.pack(task:wait(0)))
        assert.same({ true, "a", nil, n = 3 }, t.pack(task:wait(5)))
    end)

    tasks.everywhere("times out, and the task goes on", function()
        local channel = socket.channel()
        local task = spawn(channel.get, channel)
        t.takes(0, function()
            t.fails(socket.ERROR_TIMEOUT, nil, task:wait(0))
        end)
        t.takes(0.03, function()
            t.fails(socket.ERROR_TIMEOUT, nil, task:wait(0.03))
        end)
        assert.is_true(channel:put "late")
        assert.same({ true, "late" }, { task:wait(5) })
    end)

    tasks.everywhere("without a time or with a negative one waits to the end", function()
        for _, time in ipairs { -1, -0.5, math.huge, 1e300 } do
            assert.is_true(spawn(socket.sleep, 0.002):wait(time))
        end
        assert.is_true(spawn(socket.sleep, 0.002):wait(nil))
    end)

    it("may be called by many at once", function()
        local channel = socket.channel()
        local task = spawn(channel.get, channel)
        local waiting = {}
        for i = 1, 50 do
            waiting[i] = spawn(function()
                return task:wait(i % 5 == 0 and 0.001 or nil)
            end)
        end
        socket.sleep(0.005)
        for i = 5, #waiting, 5 do
            join(waiting[i]) -- a busy machine may have begun some of them only now
        end
        assert.is_true(channel:put "value")
        assert.same({ true, "value" }, { task:wait() })
        for i, waiter in ipairs(waiting) do
            local expected = i % 5 == 0 and { true, nil, socket.ERROR_TIMEOUT } or { true, true, "value" }
            assert.same(expected, { waiter:wait() })
        end
    end)

    it("of a task for itself raises", function()
        local task
        task = spawn(function()
            task:wait(0.01)
        end)
        tasks.raises("a task cannot wait for itself", join, task)
    end)

    tasks.everywhere("hears of the end of a task that never waits, whatever was called before", function()
        local a, b = socket.pair()
        for calls = 0, 130 do
            for _ = 1, calls do
                assert(a:write "x")
            end
            assert.same({ true, "end" }, {
                spawn(function()
                    return "end"
                end):wait(5),
            })
            assert(calls == 0 or #b:read(calls) == calls)
        end
        a:close()
        b:close()
    end)

    tasks.everywhere("may be asked again and again with no time, and the task still runs", function()
        local task = spawn(function()
            for _ = 1, 20 do
                socket.sleep(0)
            end
            return "done"
        end)
        local n = 0
        while task:wait(0) == nil do
            n = n + 1
            assert(n < 100000, "the task never gets its turn")
        end
        assert.equal("done", select(2, task:wait(0)))
    end)
end)

describe("an error in a task", function()
    tasks.guard()

    local function fail_here(value)
        error(value, 0)
    end

    tasks.everywhere("reaches those who wait: its value and a traceback, each time", function()
        local object = setmetatable({}, {
            __tostring = function()
                return "object"
            end,
        })
        for _, value in ipairs { "text", 42, object, true, false } do
            local task = spawn(function()
                socket.sleep(0)
                fail_here(value)
            end)
            for _ = 1, 2 do
                local results = t.pack(task:wait())
                assert.equal(3, results.n)
                assert.is_nil(results[1])
                assert.equal(value, results[2])
                assert.is_string(results[3])
                assert.matches("stack traceback", results[3], 1, true)
                assert.matches("task_spec.lua", results[3], 1, true)
            end
            assert.equal("failed", task:status())
        end
    end)

    it("may be nil", function()
        local results = t.pack(spawn(error):wait())
        assert.equal(3, results.n)
        assert.is_nil(results[1])
        assert.is_string(results[3])
    end)

    it("has its place in the message, and the traceback begins with the message", function()
        local _, message, traceback = spawn(function()
            return t.nothing.field
        end):wait()
        assert.matches("^[^\n]*task_spec.lua:%d+: attempt to index", message)
        assert.equal(message, traceback:sub(1, #message))
        assert.matches("\nstack traceback:\n", traceback, 1, true)
    end)

    it("of a stack that is full is one like any other", function()
        local function deeper()
            return 1 + deeper()
        end
        local ok, message = spawn(deeper):wait()
        assert.is_nil(ok)
        assert.matches("stack overflow", message)
    end)

    it("reaches all who wait", function()
        local task = spawn(function()
            socket.sleep(0.002)
            error("shared", 0)
        end)
        local waiting = {}
        for i = 1, 10 do
            waiting[i] = spawn(function()
                local ok, message = task:wait()
                return ok, message
            end)
        end
        for _, waiter in ipairs(waiting) do
            assert.same({ true, nil, "shared" }, { waiter:wait() })
        end
    end)

    it("ends no other task", function()
        local bad, good = spawn(error, "bad", 0), spawn(function()
            socket.sleep(0.005)
            return "good"
        end)
        assert.equal("good", join(good))
        t.fails("bad", select(3, bad:wait()), bad:wait())
    end)

    it("is not seen by a wait that timed out or was cancelled", function()
        local function fail_later()
            socket.sleep(0.1)
            error("unseen", 0)
        end
        local bad = spawn(fail_later)
        assert.is_nil(bad:wait(0))
        assert.is_nil(bad:wait(0.001))
        local waiter = spawn(bad.wait, bad)
        tasks.settle()
        waiter:cancel()
        tasks.settle()
        bad, waiter = nil, nil -- luacheck: ignore
        local message = tasks.raises("unseen", socket.run)
        assert.matches("stack traceback", message, 1, true)
        assert.matches("task_spec.lua", message, 1, true)
    end)
end)

describe("an error that nobody waits for", function()
    tasks.guard()

    it("is raised by run when all tasks have ended, and once", function()
        local ended = 0
        for i = 1, 5 do
            socket.spawn(function()
                socket.sleep(0.001 * i)
                ended = ended + 1
                if i == 2 then
                    error "number two"
                end
            end)
        end
        local message = tasks.raises("number two", socket.run)
        assert.matches("stack traceback", message, 1, true)
        assert.equal(5, ended)
        socket.run()
    end)

    it("is raised with all others, the first first", function()
        for i = 1, 3 do
            socket.spawn(function()
                socket.sleep(0.002 * (4 - i))
                error("number " .. i, 0)
            end)
        end
        local message = tasks.raises("number 3", socket.run)
        local third, second, first = message:find("number 3", 1, true), message:find("number 2", 1, true),
            message:find("number 1", 1, true)
        assert.equal(1, third)
        assert.is_true(third < second and second < first)
        socket.run()
    end)

    it("is one that run keeps for those who hold the task", function()
        local task = socket.spawn(error, "held", 0)
        socket.run()
        assert.equal("failed", task:status())
        assert.equal("held", select(2, task:wait()))
        task = nil -- luacheck: ignore
        socket.run()
    end)

    it("is raised when the handle goes without having been asked", function()
        local task = socket.spawn(error, "dropped", 0)
        socket.run()
        assert.equal("failed", task:status())
        task = nil -- luacheck: ignore
        tasks.raises("dropped", socket.run)
        socket.run()
    end)

    it("is none when the task was cancelled", function()
        do
            local task = socket.spawn(function()
                assert(socket.sleep(100))
            end)
            tasks.settle()
            task:cancel()
        end
        socket.run()
    end)

    it("is looked for by the collector only when there is one that nobody has seen", function()
        local task = socket.spawn(function()
            assert(socket.sleep(100))
        end)
        tasks.settle()
        task:cancel()
        socket.run()
        local weak = setmetatable({}, { __mode = "k" })
        collectgarbage "stop"
        weak[{}] = true
        socket.run()
        local left = next(weak)
        collectgarbage "restart"
        assert.is_not_nil(left)
    end)

    it("is none when the task was waited for", function()
        for _ = 1, 3 do
            socket.spawn(function()
                socket.spawn(error, "seen"):wait()
            end)
        end
        socket.run()
    end)

    it("is neither printed nor lost", function()
        local said, ended = tasks.alone [[
            for i = 1, 3 do spawn(error, "error " .. i, 0) end
            io.stderr:write("before ")
            local ok, message = pcall(socket.run)
            for i = 1, 3 do assert(message:find("error " .. i, 1, true)) end
            io.stderr:write("after")
        ]]
        assert.same({ "before after", "exit 0" }, { said, ended })
    end)

    it("goes to socket.onerror instead, with the task and a traceback", function()
        local seen = {}
        socket.onerror = function(...)
            seen[#seen + 1] = t.pack(...)
        end
        socket.spawn(function()
            socket.sleep(0.001)
            error("for onerror", 0)
        end)
        socket.run()
        assert.equal(1, #seen)
        assert.equal(2, seen[1].n)
        local task, message = seen[1][1], seen[1][2]
        assert.equal("failed", task:status())
        assert.matches("^for onerror\nstack traceback:", message)
        local ok, value, traceback = task:wait()
        assert.same({ nil, "for onerror", message }, { ok, value, traceback })
        task, seen = nil, nil -- luacheck: ignore
        socket.run() -- it is not told twice
    end)

    it("goes to socket.onerror while the program waits, not only in run", function()
        local seen
        socket.onerror = function(_, message)
            seen = message
        end
        socket.spawn(error, "meanwhile", 0)
        tasks.settle()
        t.collect()
        socket.spawn(socket.sleep, 0.001)
        socket.sleep(0.01)
        assert.matches("^meanwhile\n", seen)
    end)

    it("goes to socket.onerror in the order of the ends", function()
        local seen = {}
        socket.onerror = function(_, message)
            seen[#seen + 1] = message:match "^(.-)\n"
        end
        for i = 1, 20 do
            socket.spawn(error, "e" .. i, 0)
        end
        socket.run()
        table.sort(seen)
        local expected = {}
        for i = 1, 20 do
            expected[i] = "e" .. i
        end
        table.sort(expected)
        assert.same(expected, seen)
    end)

    it("comes out of run when onerror fails itself, and the next is not lost", function()
        local n = 0
        socket.onerror = function(_, message)
            n = n + 1
            error("onerror " .. n .. ": " .. message, 0)
        end
        for i = 1, 3 do
            socket.spawn(error, "task " .. i, 0)
        end
        for i = 1, 3 do
            tasks.raises("onerror " .. i .. ": task", socket.run)
        end
        assert.equal(3, n)
        socket.run()
    end)

    it("is what a wait gives though onerror has to be told of another, whose own failure comes later", function()
        socket.onerror = function()
            error("onerror fails", 0)
        end
        local other = socket.spawn(error, "another", 0)
        local task = socket.spawn(function()
            socket.sleep(0.01)
            assert.equal("failed", other:status())
            other = nil
            t.collect()
            error("has been waited for", 0)
        end)
        local ok, err = task:wait()
        assert.is_nil(ok)
        assert.equal("has been waited for", err)
        tasks.raises("onerror fails", socket.sleep, 0.01)
        socket.onerror = nil
        socket.run()
    end)

    it("may be dealt with by an onerror that waits and makes tasks", function()
        local said = {}
        socket.onerror = function(_, message)
            socket.sleep(0.002)
            said[#said + 1] = join(spawn(function()
                socket.sleep(0.001)
                return message:match "^(.-)\n"
            end))
        end
        local other = spawn(socket.sleep, 0.02)
        socket.spawn(error, "one", 0)
        socket.spawn(error, "two", 0)
        socket.run()
        assert.equal("done", other:status())
        table.sort(said)
        assert.same({ "one", "two" }, said)
    end)
end)

describe("task:cancel", function()
    tasks.guard()

    each_wait(function(name, make)
        it("ends " .. name .. " at once, with what it has", function()
            local case = make()
            local after, took
            local task = spawn(function()
                local began = t.now()
                local results = t.pack(case.call(30))
                took, after = t.now() - began, t.pack(case.call(30))
                return results
            end)
            tasks.settle()
            assert.equal("waiting", task:status())
            assert.is_true(task:cancel())
            local results = join(task)
            assert.is_true(took < 5 * t.slow)
            case:check_failed(socket.ERROR_CANCELLED, results)
            local closes = name == "finish" -- however it ends
            local second = after[case.nils and case.nils + 1 or 2]
            assert.equal(closes and socket.ERROR_CLOSED or socket.ERROR_CANCELLED, second)
            assert.is_false(task:cancel())
            if case.socket and not closes and not name:find "connect" then -- nothing of it is left
                results = t.pack(case.call(0))
                assert.equal(socket.ERROR_TIMEOUT, results[case.nils and case.nils + 1 or 2])
            end
            case:drop()
        end)
    end)

    it("ends sleep", function()
        local task = spawn(function()
            local results = t.pack(socket.sleep(30))
            return results, t.pack(socket.sleep(30))
        end)
        tasks.settle()
        assert.is_true(task:cancel())
        local first, second = t.deadline(5, join, task)
        assert.same(t.pack(nil, socket.ERROR_CANCELLED), first)
        assert.same(t.pack(nil, socket.ERROR_CANCELLED), second)
    end)

    it("loses no byte: a write tells what was sent, and what a read did not take stays", function()
        local a, b = socket.pair()
        local task = spawn(function()
            return a:write(t.much)
        end)
        tasks.settle()
        task:cancel()
        local value, err, sent = join(task)
        t.fails(socket.ERROR_CANCELLED, sent, value, err, sent)
        a:close()
        assert.is_true(b:readall() == t.much:sub(1, sent))
        b:close()
    end)

    it("leaves calls that need not wait as they are", function()
        local a, b = socket.pair()
        local task = spawn(function()
            socket.sleep(30)
            local results = { a:write "x", b:read(1), a:write "yz\n", b:readsome(1), b:readuntil "\n"() }
            results[#results + 1] = select(3, b:read(1))
            a:write "more"
            results[#results + 1] = b:read(4) -- the last read has left nothing there
            local channel = socket.channel(1)
            channel:put "v"
            results[#results + 1] = channel:get()
            results[#results + 1] = select(2, spawn(tostring, "w"):wait())
            return results
        end)
        tasks.settle()
        task:cancel()
        assert.same({ 1, "x", 3, "y", "z", "", "more", "v", socket.ERROR_CANCELLED }, join(task))
        a:close()
        b:close()
    end)

    it("before the task begins: it runs, and its first wait ends", function()
        local began
        local task = spawn(function(...)
            began = t.pack(...)
            return socket.sleep(30)
        end, 1, nil)
        assert.is_true(task:cancel())
        assert.is_true(task:cancel())
        assert.same(t.pack(true, nil, socket.ERROR_CANCELLED), t.pack(t.deadline(5, task.wait, task)))
        assert.same(t.pack(1, nil), began)
    end)

    it("of oneself ends one's next wait", function()
        local task
        task = spawn(function()
            return task:cancel(), socket.sleep(30)
        end)
        assert.same({ true, true, nil, socket.ERROR_CANCELLED }, { t.deadline(5, task.wait, task) })
    end)

    it("after the end is false", function()
        for _, f in ipairs { tostring, error } do
            local task = spawn(f, "x")
            task:wait()
            assert.is_false(task:cancel())
            assert.is_false(task:cancel())
        end
    end)

    it("of a task that then raises gives ERROR_CANCELLED to those who wait", function()
        local task = spawn(function()
            assert(socket.sleep(30))
        end)
        local waiter = spawn(task.wait, task)
        tasks.settle()
        task:cancel()
        assert.same(t.pack(nil, socket.ERROR_CANCELLED), t.pack(task:wait()))
        assert.same(t.pack(true, nil, socket.ERROR_CANCELLED), t.pack(waiter:wait()))
        assert.equal("failed", task:status())
    end)

    it("of one who waits for a task leaves that one alone", function()
        local gate = socket.channel()
        local other = spawn(function()
            assert(gate:get())
            return "other"
        end)
        local waiter = spawn(other.wait, other)
        tasks.settle()
        waiter:cancel()
        assert.same({ true, nil, socket.ERROR_CANCELLED }, { waiter:wait() })
        assert(gate:put(true))
        assert.equal("other", join(other))
    end)

    it("in a row goes through tasks that wait for each other", function()
        local first = spawn(socket.sleep, 30)
        local last = first
        for _ = 1, 20 do
            last = spawn(function(before)
                return before:wait()
            end, last)
        end
        tasks.settle()
        first:cancel()
        local results = t.pack(t.deadline(5, last.wait, last))
        assert.equal(socket.ERROR_CANCELLED, results[results.n])
    end)

    it("that is ignored starves nobody", function()
        local ticks = tasks.ticker()
        local stop = false
        local task = spawn(function()
            local n = 0
            while not stop do
                socket.sleep(30)
                n = n + 1
            end
            return n
        end)
        tasks.settle()
        task:cancel()
        local limit = t.now() + 5 * t.slow
        while ticks.n < 5 and t.now() < limit do
            socket.sleep(0.001)
        end
        stop = true
        assert.is_true(join(task) > 1)
        assert.is_true(ticks.n >= 5)
    end)

    it("of many thousands at once ends them all", function()
        local all = {}
        for i = 1, 3000 do
            all[i] = socket.spawn(socket.sleep, 30 + i)
        end
        tasks.settle()
        for i = #all, 1, -1 do
            assert.is_true(all[i]:cancel())
        end
        t.deadline(5, socket.run)
        for _, task in ipairs(all) do
            assert.equal("done", task:status())
        end
    end)
end)

describe("sleep", function()
    tasks.guard()

    tasks.everywhere("takes its time also after many calls that did not wait", function()
        local a, b = socket.pair()
        for calls = 61, 67 do
            for _ = 1, calls do
                assert(a:write "x")
            end
            t.takes(0.005, socket.sleep, 0.005)
            b:read(calls)
        end
        a:close()
        b:close()
    end)

    tasks.everywhere("takes its time and gives true", function()
        for _, seconds in ipairs { 0, -1, 0.001, 0.02 } do
            t.takes(math.max(0, seconds), function()
                assert.same(t.pack(true), t.pack(socket.sleep(seconds)))
            end)
        end
    end)

    it("in many tasks ends in the order of their times", function()
        local order, began, seconds = {}, {}, {}
        for i = 1, 40 do
            seconds[i] = 0.02 + i * 17 % 41 * 0.002
            spawn(function()
                began[i] = t.now()
                socket.sleep(seconds[i])
                order[#order + 1] = i
            end)
        end
        spawn(function()
            began[41] = t.now()
        end)
        t.takes(0.1, socket.run)
        assert.equal(40, #order)
        for last = 2, 40 do -- a task's sleep began after it and before the next one
            for first = 1, last - 1 do
                local a, b = order[first], order[last]
                assert.is_true(began[a] + seconds[a] <= began[b + 1] + seconds[b])
            end
        end
    end)

    it("of 0 gives each other task one turn", function()
        local turns = { 0, 0, 0 }
        local function count(i)
            for n = 1, 10 do
                turns[i] = n
                socket.sleep(0)
                for other = 1, 3 do
                    assert(math.abs(turns[other] - n) <= 1, turns[other])
                end
            end
        end
        local all = { spawn(count, 1), spawn(count, 2), spawn(count, 3) }
        for i = 1, 3 do
            join(all[i])
        end
    end)
end)

describe("when nothing is left that could wake those who wait", function()
    tasks.guard()

    local function deadlock(n)
        return ("deadlock: %d tasks wait, and nothing is left that could wake them"):format(n)
    end

    it("run raises, and everything goes on working", function()
        local channel = socket.channel()
        local all = {}
        for i = 1, 3 do
            all[i] = spawn(channel.get, channel)
        end
        tasks.raises(deadlock(3), socket.run)
        for i = 1, 3 do
            assert.is_true(channel:put(i))
        end
        socket.run()
        for i = 1, 3 do
            assert.equal(i, join(all[i]))
        end
    end)

    it("a wait of the main program raises", function()
        local channel = socket.channel()
        tasks.raises("deadlock: there is no task that could wake this call", channel.get, channel)
        local task = spawn(channel.get, channel)
        tasks.raises(deadlock(1), task.wait, task)
        tasks.raises(deadlock(1), socket.channel().put, socket.channel(), "x")
        assert.is_true(channel:put "still works")
        assert.equal("still works", join(task))
    end)

    it("a ring of tasks that wait for each other raises", function()
        local all = {}
        for i = 1, 4 do
            all[i] = spawn(function()
                return all[i % 4 + 1]:wait()
            end)
        end
        tasks.raises(deadlock(4), socket.run)
        all[2]:cancel()
        socket.run()
        assert.same({ true, true, true, nil, socket.ERROR_CANCELLED }, { all[4]:wait() })
    end)

    it("nothing raises as long as there is a time or a descriptor", function()
        local channel = socket.channel()
        local getter = spawn(channel.get, channel)
        t.takes(0.01, function()
            assert.is_true(socket.sleep(0.01))
        end)
        t.fails(socket.ERROR_TIMEOUT, nil, getter:wait(0.01))
        t.fails(socket.ERROR_TIMEOUT, nil, socket.channel():get(0.01))
        local a, b = socket.pair()
        local reader = spawn(function()
            return channel:put(a:read(1))
        end)
        local p = t.python([[
            s = socket.socket(fileno=os.dup(0)); hear(); time.sleep(0.02)
        ]])
        p:say "go"
        t.fails(socket.ERROR_TIMEOUT, nil, getter:wait(0.01))
        assert(b:write "x")
        assert.equal("x", join(getter))
        assert.is_true(join(reader))
        p:finish()
        a:close()
        b:close()
    end)
end)

describe("where a task's coroutine can't be suspended", function()
    tasks.guard()

    local function waits()
        return socket.sleep(0.001)
    end

    -- Each runs f and gives its error.
    local places = {
        ["table.sort"] = function(f)
            table.sort({ 3, 2, 1 }, f)
        end,
        ["string.gsub"] = function(f)
            return (("x"):gsub(".", f))
        end,
    }
    if is_puc_51 then
        places.pcall = function(f)
            local ok, err = pcall(f)
            assert(ok, err)
        end
        places.xpcall = function(f)
            local ok, err = xpcall(f, tostring)
            assert(ok, err)
        end
        places["for ... in"] = function(f)
            local n = 0
            for _ in f do
                n = n + 1
                assert(n < 9)
            end
        end
        places["a metamethod"] = function(f)
            return setmetatable({}, { __index = f }).x
        end
    end

    for name, place in pairs(places) do
        it("a call that would wait raises: " .. name, function()
            local ok, err = spawn(place, waits):wait()
            assert.is_nil(ok)
            if _VERSION == "Lua 5.2" or name == "a metamethod" then -- Lua can't be asked
                assert.is_truthy(err:find("cannot wait here", 1, true) or err:find "attempt to yield")
            else
                assert.matches("cannot wait here", err, 1, true)
                assert.matches("socket.spawn(f):wait()", err, 1, true)
            end
            if is_puc_51 and name ~= "a metamethod" then
                assert.matches("local line = iterator()", err, 1, true)
            end
        end)

        it("a call that need not wait works: " .. name, function()
            local a, b = socket.pair()
            local got
            tasks.run(function()
                assert(a:write "12345")
                assert(b:readsome(3) == "123")
                assert(b:readsome(3) == "45")
                assert(a:write "67")
                pcall(place, function()
                    got = got or b:readsome(3)
                end)
            end)
            assert.equal("67", got)
            a:close()
            b:close()
        end)
    end

    it("the socket, and the task, are as before", function()
        local a, b = socket.pair()
        local task = spawn(function()
            local failed = spawn(function()
                table.sort({ 2, 1 }, function()
                    return a:read(1) == "x"
                end)
            end)
            assert(not failed:wait())
            return a:read(3)
        end)
        tasks.settle()
        assert(b:write "abc")
        assert.equal("abc", join(task))
        a:close()
        b:close()
    end)

    if not is_puc_51 then
        it("is not in pcall, xpcall and for ... in", function()
            local a, b = socket.pair()
            local task = spawn(function()
                local lines = {}
                for line in b:readuntil "\n" do
                    lines[#lines + 1] = line
                end
                local ok, data = pcall(b.read, b, 3)
                return table.concat(lines, ","), ok, data, select(2, xpcall(waits, tostring)), pcall(error, "e", 0)
            end)
            for _, piece in ipairs { "one", "\ntwo\n", "th", "ree\n" } do
                tasks.settle()
                assert(a:write(piece))
            end
            tasks.settle()
            a:close()
            assert.same({ "one,two,three", true, nil, true, false, "e" }, { join(task) })
            b:close()
        end)

        it("is not in an error that pcall catches after a wait", function()
            assert.same({ false, "late" }, {
                tasks.run(pcall, function()
                    socket.sleep(0.001)
                    error("late", 0)
                end),
            })
        end)
    end
end)

describe("coroutines that are no tasks", function()
    tasks.guard()

    local advice = "this call would block, but this coroutine is not a task"

    it("raise in a task where they would have to wait", function()
        local task = spawn(function()
            local ok, err = coroutine.resume(coroutine.create(function()
                socket.sleep(0.001)
            end))
            return ok, err
        end)
        local ok, err = join(task)
        assert.is_false(ok)
        assert.matches(advice, err, 1, true)
        assert.matches("local coroutine = socket.coroutine", err, 1, true)
    end)

    each_wait(function(name, make)
        it("raise in a task instead of " .. name .. ", and nothing is left behind", function()
            local case = make()
            local task = spawn(function()
                local ok, err = coroutine.resume(coroutine.create(case.call), 30)
                return ok, err, t.pack(case.call(0.005))
            end)
            local ok, err, results = join(task)
            assert.is_false(ok)
            assert.matches(advice, err, 1, true)
            if not name:find "connect" then
                assert.equal(socket.ERROR_TIMEOUT, results[case.nils and case.nils + 1 or 2])
            end
            case:drop()
        end)
    end)

    it("may make calls there that need not wait", function()
        local a, b = socket.pair()
        local task = spawn(function()
            local seen = {}
            local generator = coroutine.wrap(function()
                for _ = 1, 3 do
                    assert(a:write "abc")
                    coroutine.yield(b:readsome(10))
                end
            end)
            for i = 1, 3 do
                seen[i] = generator()
                socket.sleep(0)
            end
            return table.concat(seen)
        end)
        assert.equal("abcabcabc", join(task))
        a:close()
        b:close()
    end)

    it("wait and run tasks like the main program, when that resumes them", function()
        local ticks = tasks.ticker()
        local a, b = socket.pair()
        spawn(function()
            local limit = t.now() + 5 * t.slow
            while ticks.n < 5 and t.now() < limit do
                socket.sleep(0)
            end
            assert(b:write "for the coroutine")
        end)
        local co = coroutine.wrap(function()
            local first = coroutine.yield(a:read(3))
            return first, a:read(14)
        end)
        assert.equal("for", co())
        assert.is_true(ticks.n >= 5)
        assert.same({ 1, " the coroutine" }, { co(1) })
        a:close()
        b:close()
    end)

    it("may wait within each other, several deep", function()
        local function nest(n)
            if n == 0 then
                return join(spawn(function()
                    socket.sleep(0.002)
                    return "inner"
                end))
            end
            socket.sleep(0)
            return coroutine.wrap(nest)(n - 1)
        end
        spawn(socket.sleep, 0.01)
        assert.equal("inner", nest(20))
    end)
end)

describe("misuse", function()
    tasks.guard()

    local nan = tools.nan

    it("of spawn is refused", function()
        local callable = setmetatable({}, { __call = print })
        for _, value in ipairs { false, 1, "x", {}, coroutine.create(function() end), callable } do
            tools.misuse(tools.field, socket, "spawn", 1, { value })
        end
        tools.misuse(tools.field, socket, "spawn", 1, { n = 0 })
        socket.run()
    end)

    it("of times and capacities is refused", function()
        local task, channel = spawn(socket.now), socket.channel(5)
        for _, time in ipairs { "x", "", true, {}, print, nan } do
            tools.misuse(tools.method, task, "wait", 1, { time })
            tools.misuse(tools.method, channel, "get", 1, { time })
            tools.misuse(tools.method, channel, "put", 2, { 1, time })
            tools.misuse(tools.field, socket, "sleep", 1, { time })
            tools.misuse(tools.method, socket.loop(), "step", 1, { time })
        end
        for _, capacity in ipairs { "x", true, {}, print, nan, -1, 1.5, 2 ^ 60, math.huge } do
            tools.misuse(tools.field, socket, "channel", 1, { capacity })
        end
        tools.misuse(tools.method, channel, "put", 1, { n = 0 })
        tools.misuse(tools.method, channel, "put", 1, { nil, n = 1 })
        t.fails(socket.ERROR_TIMEOUT, nil, channel:get(0)) -- nothing was put
    end)

    it("of a method on something else is refused, and told what was expected", function()
        local of = {
            task = { spawn(socket.now), "wait", "cancel", "status" },
            channel = { socket.channel(), "put", "get", "close" },
            loop = { socket.loop(), "pollfd", "events", "timeout", "step" },
        }
        for class, methods in pairs(of) do
            for i = 2, #methods do
                for _, stranger in ipairs { false, true, 1, "x", {}, print, socket.tcp(), io.stdout } do
                    tools.misuse(tools.field, methods[1], methods[i], 1, { stranger, 1 }, class .. " expected")
                end
                tools.misuse(tools.field, methods[1], methods[i], 1, { n = 0 }, class .. " expected")
            end
        end
        tools.misuse(tools.field, of.task[1], "wait", 1, { socket.channel() }, "task expected, got channel")
    end)

    it("can not reach what is inside", function()
        for class, value in pairs { task = spawn(socket.now), channel = socket.channel(), loop = socket.loop() } do
            assert.equal(class, getmetatable(value))
            for _, event in ipairs { "__gc", "__close", "__index", "__tostring", "__name", "__metatable", "nothing" } do
                assert.is_nil(value[event])
            end
            assert.is_false(pcall(setmetatable, value, {}))
            assert.is_false(pcall(function()
                value.field = 1
            end))
        end
    end)

    it("of task:wait raises in a task as well, and does not end the task", function()
        assert.is_true(tasks.run(function()
            if is_puc_51 then
                return (not pcall(socket.sleep, "x")) and socket.sleep(0)
            end
            return not pcall(socket.sleep, "x") and not pcall(spawn(socket.now).wait, nil) and socket.sleep(0)
        end))
    end)
end)
