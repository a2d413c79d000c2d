-- <close> variables of tasks: closed however a task ends, after its traceback was taken, and what becomes of errors.

local t = require "support.t"
local tasks = require "support.tasks"

if _VERSION < "Lua 5.4" then
    return
end

-- Text, since older Luas cannot read such variables.
local common = [[
local log = {}

-- A variable that notes with which error it is closed, and then calls f with it.
local function noted(name, f)
    return setmetatable({}, { __close = function(_, err)
        log[#log + 1] = { name = name, err = err }
        if f then f(err) end
    end })
end

local function names()
    local all = {}
    for i, entry in ipairs(log) do all[i] = entry.name end
    return table.concat(all, " ")
end

local function has(text, part) assert(tostring(text):find(part, 1, true), tostring(text)) end
]]

local function it_holds(name, code)
    it(name, function()
        tasks.alone_fine(common .. code, 20)
    end)
end

describe("<close> variables of a task that raises", function()
    t.guard()

    it_holds("are closed one after the other, with the error, after the traceback was taken", [[
        local object = {}
        local function culprit() error(object) end
        local task = spawn(function()
            local a <close> = noted "a"
            local b <close> = noted "b"
            socket.sleep(0.001)
            local c <close> = noted "c"
            culprit()
        end)
        local ok, err, traceback = task:wait(5)
        assert(ok == nil and err == object)
        has(traceback, "table value")
        has(traceback, "culprit")
        assert(names() == "c b a", names())
        for i = 1, 3 do assert(log[i].err == object) end
    ]])

    it_holds("are closed before anybody is told", [[
        local order = {}
        local task = spawn(function()
            local a <close> = noted("a", function() order[#order + 1] = "closed" end)
            socket.sleep(0.001)
            error "own"
        end)
        local joiner = spawn(function() task:wait() order[#order + 1] = "told" end)
        assert(task:wait(5) == nil)
        order[#order + 1] = "main"
        joiner:wait(5)
        assert(order[1] == "closed" and #order == 3)
    ]])

    it_holds("replace the error by their own: each gets the one before, the text tells of both", [[
        local task = spawn(function()
            local a <close> = noted("a", function() error("third", 0) end)
            local b <close> = noted("b", function() error("second", 0) end)
            error("first", 0)
        end)
        local ok, err, text = task:wait(5)
        assert(ok == nil and err == "third", err)
        assert(names() == "b a" and log[1].err == "first" and log[2].err == "second")
        has(text, "third")
        has(text, "first")
        has(text, "stack traceback")
    ]])

    it_holds("replace the error by one that is no text", [[
        local object = {}
        local task = spawn(function()
            local a <close> = noted("a", function() error(object) end)
            error("first", 0)
        end)
        local ok, err, text = task:wait(5)
        assert(ok == nil and err == object)
        has(text, "table value")
        has(text, "first")
    ]])

    it_holds("replace an error without a value", [[
        local task = spawn(function()
            local a <close> = noted("a", function() error("second", 0) end)
            error(nil)
        end)
        local ok, err, text = task:wait(5)
        assert(ok == nil and err == "second" and type(text) == "string")
        assert(spawn(function() local a <close> = noted "b" error(nil) end):wait(5) == nil)
        assert(log[2].name == "b")
    ]])

    it_holds("are told of by socket.onerror as by wait", [[
        local told
        socket.onerror = function(_, message) told = message end
        spawn(function()
            local a <close> = noted("a", function() error("second", 0) end)
            error("first", 0)
        end)
        socket.sleep(0.01)
        has(told, "first")
        has(told, "second")
    ]])

    it_holds("may be channels and sockets: others go on", [[
        local ch, full = socket.channel(), socket.channel()
        local a, b = socket.pair()
        local task = spawn(function()
            local x <close> = ch
            local y <close> = full
            local z <close> = a
            socket.sleep(0.002)
            error "own"
        end)
        local getter, giver, reader = spawn(ch.get, ch), spawn(full.put, full, 1), spawn(b.read, b, 1)
        for _, waiter in ipairs { getter, giver, reader } do
            local ok, value, err = waiter:wait(5)
            assert(ok == true and value == nil and err == socket.ERROR_CLOSED, err)
        end
        assert(task:wait(5) == nil and a:fileno() == -1)
    ]])

    it_holds("may be a lock: who wants it has it", [[
        local lock = socket.channel(1)
        local function with_lock(f)
            lock:put(true)
            local release <close> = noted("lock", function() lock:get(0) end)
            f()
        end
        local first = spawn(with_lock, function() socket.sleep(0.001) error "own" end)
        local second = spawn(with_lock, function() return socket.sleep(0.001) end)
        assert(first:wait(5) == nil)
        assert(second:wait(5) == true)
    ]])

    it_holds("may use what need not wait, and hear what has to", [[
        local ch, a, b = socket.channel(1), socket.pair()
        local results = {}
        local task
        task = spawn(function()
            local v <close> = noted("v", function()
                results.put, results.get = ch:put("x"), ch:get()
                results.written, results.read = b:write "abc", a:read(2)
                results.late = select(2, ch:get(0))
                results.status = task:status()
                results.wait = { pcall(ch.get, ch) }
                results.sleep = { pcall(socket.sleep, 1) }
                results.read_more = { pcall(a.read, a, 100) }
                results.join = { pcall(spawn(socket.sleep, 5).wait, spawn(socket.sleep, 0.01)) }
                results.own = { pcall(task.wait, task) }
                results.run = { pcall(socket.run) }
                for i = 1, 300 do assert(ch:put(i, 0) and ch:get(0) == i) end
                results.spawned = spawn(function() socket.sleep(0.001) return "spawned" end)
            end)
            socket.sleep(0.001)
            error "own"
        end)
        local ok, err = task:wait(5)
        has(err, "own")
        assert(results.put == true and results.get == "x" and results.written == 3 and results.read == "ab")
        assert(results.late == socket.ERROR_TIMEOUT and results.status ~= "done")
        for _, name in ipairs { "wait", "sleep", "read_more", "join" } do
            assert(results[name][1] == false, name)
            has(results[name][2], "cannot wait here")
        end
        assert(results.own[1] == false and results.run[1] == false)
        has(results.own[2], "a task cannot wait for itself")
        assert(select(2, results.spawned:wait(5)) == "spawned")
        assert(a:read(1, 0) == "c")
    ]])

    it_holds("of many tasks, with a collector that is always at work", [[
        collectgarbage("generational")
        collectgarbage("incremental", 50, 1000)
        local closed = 0
        for round = 1, 20 do
            local all = {}
            for i = 1, 50 do
                all[i] = spawn(function()
                    local a <close> = noted("a", function()
                        closed = closed + 1
                        if i % 3 == 0 then error("x" .. i, 0) end
                    end)
                    if i % 2 == 0 then socket.sleep(0.0001) end
                    error("y" .. i, 0)
                end)
            end
            for i = 1, 50 do
                local ok, err = all[i]:wait(5)
                assert(ok == nil and err == (i % 3 == 0 and "x" or "y") .. i)
            end
            log = {}
        end
        assert(closed == 1000)
    ]])
end)

describe("<close> variables of a task", function()
    t.guard()

    it_holds("are closed when it was cancelled and raises", [[
        local task = spawn(function()
            local a <close> = noted "a"
            assert(socket.sleep(5))
        end)
        socket.sleep(0.001)
        task:cancel()
        local ok, err = task:wait(5)
        assert(ok == nil and err == socket.ERROR_CANCELLED, err)
        assert(names() == "a")
        has(log[1].err, socket.ERROR_CANCELLED)
    ]])

    it_holds("and their errors when it was cancelled do not end the loop", [[
        local told = 0
        socket.onerror = function() told = told + 1 end
        local task = spawn(function()
            local a <close> = noted("a", function() error "late" end)
            assert(socket.sleep(5))
        end)
        socket.sleep(0.001)
        task:cancel()
        local ok, err = task:wait(5)
        assert(ok == nil and err == socket.ERROR_CANCELLED)
        task = nil
        collectgarbage() collectgarbage()
        socket.sleep(0.001)
        assert(told == 0 and names() == "a")
    ]])

    it_holds("are closed when its coroutine was resumed by the program and has raised", [[
        local co
        local task = spawn(function()
            co = coroutine.running()
            local a <close> = noted("a", function() error "late" end)
            socket.sleep(0.01)
            error "own"
        end)
        socket.sleep(0)
        assert(not coroutine.resume(co))
        local ok, err = task:wait(5)
        has(err, "resumed or closed by the program")
        assert(names() == "a")
        has(log[1].err, "own")
    ]])

    it_holds("are not closed twice when the program has closed its coroutine", [[
        local co
        local task = spawn(function()
            co = coroutine.running()
            local a <close> = noted "a"
            socket.sleep(0.01)
        end)
        socket.sleep(0)
        assert(coroutine.close(co))
        assert(task:wait(5) == nil)
        assert(names() == "a" and log[1].err == nil)
    ]])

    it_holds("are closed as Lua does when it returns, and may wait then", [[
        local task = spawn(function()
            local a <close> = noted("a", function() socket.sleep(0.001) end)
            socket.sleep(0.001)
            return "end"
        end)
        local ok, value = task:wait(5)
        assert(ok and value == "end" and names() == "a")
    ]])

    it_holds("are closed when a stack overflows", [[
        local function deep(n)
            local a <close> = n == 0 and noted "a" or nil
            return 1 + deep(n + 1)
        end
        local ok, err = spawn(deep, 0):wait(20)
        assert(ok == nil)
        has(err, "overflow")
        assert(names() == "a")
    ]])
end)

describe("a finalizer", function()
    t.guard()

    it_holds("that runs while a task ends hears that it cannot wait for that", [[
        local task, said
        local function trap()
            setmetatable({}, { __gc = function()
                if task and task:status() ~= "done" and task:status() ~= "failed" then
                    local ok, err = pcall(task.wait, task)
                    if not ok then said = err end
                end
                if not said then trap() end
            end })
        end
        if _VERSION >= "Lua 5.5" then collectgarbage("param", "pause", 1)
        else collectgarbage("incremental", 1, 10000) end
        local limit, round = socket.now() + 10, 0
        trap()
        repeat
            round = round + 1
            local garbage = ("x"):rep(round % 101 * 32) -- so that the collector comes at another time in each round
            task = spawn(function()
                local t = { #garbage }
                for i = 1, 100 do t[i] = i end
                return table.unpack(t)
            end)
            task:wait(5)
        until said or socket.now() > limit
        assert(said, "none has run there")
        assert(said:find("cannot wait", 1, true), said)
    ]])
end)
