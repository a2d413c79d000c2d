-- socket.within: one deadline for all calls that a function makes.

local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"
local each_wait = require "support.waits"

local socket = t.socket
local spawn, join, everywhere = tasks.spawn, tasks.join, tasks.everywhere
local within = socket.within
local lua = coroutine -- Lua's own library
local coroutine = socket.coroutine

local SOON, LATE = 0.03, 3 -- seconds: of a deadline; until which at most a call with that deadline may take

-- f(...) returns nil and ERROR_TIMEOUT, and takes so long; returns the seconds.
local function times_out(f, ...)
    local before = t.now()
    local results = t.pack(f(...))
    local seconds = t.now() - before
    assert.same({ nil, socket.ERROR_TIMEOUT }, { results[1], results[2] })
    assert.is_true(seconds < LATE * t.slow, seconds)
    return seconds
end

local function waits_forever(s)
    return s:read(1)
end

-- Two ends of a connection, closed when f has returned.
local function with_pair(f)
    return function()
        local a, b = socket.pair()
        f(a, b)
        a:close()
        b:close()
    end
end

describe("socket.within", function()
    tasks.guard()

    everywhere("returns what the function returns, and passes its arguments", function()
        local function count(...)
            return select("#", ...), ...
        end
        assert.same({ n = 4, 3, nil, "x" }, t.pack(within(5, count, nil, "x", nil)))
        assert.same({ n = 1, 0 }, t.pack(within(math.huge, count)))
        assert.same({ n = 0 }, t.pack(within(0, function() end)))
        local callable = setmetatable({}, {
            __call = function(_, x)
                return "called", x
            end,
        })
        assert.same({ n = 2, "called", 1 }, t.pack(within(1, callable, 1)))
    end)

    it("passes more values than a C function may hold in Lua 5.1", function()
        local many = {}
        for i = 1, 200 do
            many[i] = i
        end
        assert.equal(200, select("#", within(1, function(...)
            return ...
        end, tools.unpack(many))))
    end)

    each_wait(function(name, make)
        everywhere("ends " .. name .. " whatever its own time-out is", function()
            for _, seconds in ipairs { -1, 1000 } do
                local case = make()
                local before = t.now()
                case:check_failed(socket.ERROR_TIMEOUT, t.pack(within(SOON, case.call, seconds)))
                local took = t.now() - before
                assert.is_true(took >= SOON and took < LATE * t.slow, took)
                case:drop()
            end
        end)

        everywhere("leaves " .. name .. " its own time-out if that is sooner", function()
            local case = make()
            local before = t.now()
            case:check_failed(socket.ERROR_TIMEOUT, t.pack(within(1000, case.call, SOON)))
            assert.is_true(t.now() - before < LATE * t.slow)
            case:drop()
        end)

        everywhere("that is over has " .. name .. " say so at once", function()
            local case = make()
            case:check_failed(socket.ERROR_TIMEOUT, t.pack(within(0, case.call, -1)))
            case:drop()
        end)
    end)

    everywhere("cuts sleeping short", function()
        assert.is_true(times_out(within, SOON, socket.sleep, 1000) >= SOON)
        times_out(within, 0, socket.sleep, 0.001)
        assert.is_true(within(1000, socket.sleep, 0.001))
        assert.is_true(within(0, socket.sleep, 0))
        assert.is_true(within(0, socket.sleep, -1))
    end)

    everywhere("bounds all calls together", with_pair(function(a, b)
        local n = 0
        local seconds = times_out(within, 0.2, function()
            local data, err
            repeat
                assert.equal(1, b:write "x")
                data, err = a:read(1)
                n = n + 1
            until not data or not socket.sleep(0.02)
            return nil, err or socket.ERROR_TIMEOUT
        end)
        assert.is_true(n > 1 and seconds >= 0.2, n)
    end))

    everywhere("that is over hands out what is there", with_pair(function(a, b)
        local ch = socket.channel(1)
        assert.is_true(ch:put "value")
        assert.equal(3, b:write "abc")
        within(0, function()
            assert.equal("a", a:read(1))
            assert.equal("bc", a:read(2))
            assert.equal("value", ch:get())
            assert.is_true(ch:put "another")
            times_out(ch.put, ch, "one more")
            times_out(a.read, a, 1)
        end)
        assert.equal("another", ch:get())
    end))

    everywhere("nests: the sooner deadline counts", with_pair(function(a)
        within(1000, function()
            times_out(within, SOON, waits_forever, a)
            assert.is_true(socket.sleep(0.001))
        end)
        within(SOON, function()
            times_out(within, 1000, waits_forever, a)
            times_out(within, math.huge, waits_forever, a)
            times_out(socket.sleep, 0.001)
        end)
        assert.is_true(socket.sleep(0.001))
    end))

    everywhere("raises the function's error as it is, and bounds nothing after it", function()
        local object = {}
        local ok, err = pcall(within, 0, function()
            error(object)
        end)
        assert.is_true(not ok and err == object)
        assert.is_true(socket.sleep(0.001))
        local function broken()
            error "broken"
        end
        local _, traceback = xpcall(function()
            local results = t.pack(within(0, broken))
            return results
        end, debug.traceback)
        assert.truthy(traceback:find("broken", 1, true) and traceback:find("within_spec.lua", 1, true), traceback)
        assert.is_true(socket.sleep(0.001))
    end)

    everywhere("is not left behind by many errors", function()
        for _ = 1, 1000 do
            pcall(within, 0, error)
        end
        assert.is_true(socket.sleep(0.001))
        t.collect()
        assert.is_true(socket.sleep(0.001))
        times_out(within, 0, socket.sleep, 1)
    end)

    everywhere("holds deep in functions that call each other", function()
        local function deep(n)
            if n == 0 then
                return socket.sleep(1000)
            end
            local ok, err = deep(n - 1)
            return ok, err
        end
        times_out(within, SOON, deep, 1000)
    end)

    everywhere("bounds select of nothing, and resolve", function()
        local readers, writers, err = within(SOON, socket.select, {}, {})
        assert.same({ nil, nil, socket.ERROR_TIMEOUT }, { readers, writers, err })
        assert.is_table(within(1000, socket.resolve, "127.0.0.1", 1))
        times_out(within, 0, socket.resolve, "localhost", 1)
    end)

    everywhere("bounds a close that lingers", function()
        local s, address = t.listener()
        local client = socket.tcp()
        assert(client:setopt(socket.OPT_LINGER, 1000))
        assert(client:connect(address))
        local _, peer = t.joined(client, assert(s:accept()))
        client:settimeout(0)
        repeat
            local sent = client:write(t.much)
        until not sent
        local before = t.now()
        assert.equal(1, within(SOON, client.close, client))
        assert.is_true(t.now() - before < LATE * t.slow)
        peer:close()
        s:close()
    end)

    it("bounds a close that lingers where no task was ever started", function()
        assert.same({ "1\ttrue\n", "exit 0" }, { tasks.alone [[
            local listener, client = socket.tcp(), socket.tcp()
            assert(listener:bind("127.0.0.1", 0) and listener:listen())
            assert(client:setopt(socket.OPT_LINGER, 1000) and client:connect(listener:getsockname()))
            local peer = assert(listener:accept())
            client:settimeout(0)
            local text = ("x"):rep(1000000)
            repeat until not client:write(text)
            local before = socket.now()
            print(socket.within(0.03, client.close, client), socket.now() - before < 5)
            peer:close()
        ]] })
    end)

    it("refuses other arguments before it calls anything, and tells where", function()
        local function never()
            error "called"
        end
        for _, case in ipairs {
            { 1, {}, "seconds (a number) expected, got no value" },
            { 1, { "soon", never }, "seconds (a number) expected, got string" },
            { 1, { -1, never }, "seconds must be 0 or more; math.huge: no deadline" },
            { 1, { -math.huge, never }, "seconds must be 0 or more" },
            { 1, { tools.nan, never }, "seconds must not be NaN" },
            { 2, { 1 }, "function expected, got no value" },
            { 2, { 1, {} }, "function expected, got table" },
            { 2, { 1, "print" }, "function expected, got string" },
        } do
            tools.misuse(tools.field, socket, "within", case[1], case[2], case[3])
        end
        local line
        local _, message = pcall(function()
            line = debug.getinfo(1, "l").currentline + 1
            local result = within(-1, never)
            return result
        end)
        assert.truthy(message:find("within_spec.lua:" .. line .. ":", 1, true), message)
    end)

    -- What the debug library puts where the deadline was is no deadline.
    everywhere("does without a deadline that the debug library has replaced", function()
        for _, value in ipairs { 5, "x", {}, io.stdout, false, print } do
            local done = within(0, function()
                local replaced = 0
                for level = 1, 10 do
                    local info = debug.getinfo(level, "S")
                    if info and info.short_src == "socket.within" and debug.setlocal(level, 1, value) then
                        replaced = replaced + 1
                    end
                end
                assert.is_true(replaced > 0)
                return socket.sleep(0.001)
            end)
            assert.is_true(done)
        end
        t.collect()
        times_out(within, SOON, socket.sleep, 1000)
    end)
end)

describe("socket.within and coroutines", function()
    tasks.guard()

    everywhere("bounds what waits in coroutines that run in it, at any depth", with_pair(function(a)
        for depth = 1, 4 do
            local co = coroutine.wrap(waits_forever)
            for _ = 2, depth do
                local inner = co
                co = coroutine.wrap(function(s)
                    local data, err = inner(s)
                    return data, err
                end)
            end
            times_out(within, SOON, co, a)
        end
    end))

    everywhere("bounds the coroutine in which it was called, and those that this resumes", with_pair(function(a)
        times_out(coroutine.wrap(function()
            return within(SOON, waits_forever, a)
        end))
        times_out(coroutine.wrap(function()
            return within(SOON, coroutine.wrap(function()
                local co = coroutine.wrap(waits_forever)
                local data, err = co(a)
                return data, err
            end))
        end))
    end))

    it("bounds coroutines that the main program resumes with Lua's own library", with_pair(function(a)
        t.only_in_main "in a task such a coroutine cannot wait"
        local co = lua.wrap(waits_forever)
        times_out(within, SOON, co, a)
        co = lua.wrap(function()
            return within(SOON, waits_forever, a)
        end)
        times_out(co)
    end))

    everywhere("is left behind by a yield, and holds again inside", function()
        local ended
        local co = coroutine.wrap(function()
            ended = t.pack(within(SOON, function()
                coroutine.yield "out"
                return socket.sleep(1000)
            end))
            coroutine.yield(socket.sleep(0.001))
        end)
        assert.equal("out", co())
        assert.is_true(socket.sleep(2 * SOON))
        assert.is_true(co())
        assert.same({ n = 2, nil, socket.ERROR_TIMEOUT }, ended)
    end)

    everywhere("ends with a coroutine that is dropped in it", function()
        local co = coroutine.wrap(function()
            within(0, coroutine.yield)
        end)
        co()
        co = nil -- luacheck: ignore
        assert.is_true(socket.sleep(0.001))
        t.collect()
        assert.is_true(socket.sleep(0.001))
    end)

    everywhere("does not bound a coroutine that was begun in it and goes on outside", function()
        local co
        within(0, function()
            co = coroutine.wrap(function()
                coroutine.yield()
                return socket.sleep(0.001)
            end)
            co()
        end)
        assert.is_true(co())
    end)
end)

describe("socket.within and tasks", function()
    tasks.guard()

    everywhere("does not bound tasks that it starts", function()
        local task = within(0, spawn, socket.sleep, 2 * SOON)
        times_out(within, SOON, task.wait, task)
        assert.is_true(join(task))
    end)

    it("does not bound tasks that run while the main program waits in it", function()
        local task = spawn(function()
            local ok = socket.sleep(SOON)
            return ok
        end)
        local results = t.pack(within(LATE, task.wait, task))
        assert.same({ n = 2, true, true }, results)
    end)

    it("has one for each task", function()
        local ended = {}
        for i = 1, 3 do
            spawn(function()
                times_out(within, i * SOON, socket.sleep, 1000)
                ended[#ended + 1] = i
            end)
        end
        while #ended < 3 do
            assert.is_true(socket.sleep(0.005))
        end
        assert.same({ 1, 2, 3 }, ended)
    end)

    it("tells a cancelled task in it that it was cancelled", function()
        local task = spawn(function()
            return within(1000, socket.sleep, 1000)
        end)
        tasks.settle()
        assert.is_true(task:cancel())
        local ok, err = join(task)
        assert.same({ nil, socket.ERROR_CANCELLED }, { ok, err })
    end)

    it("ends a run, whose tasks go on with the next", function()
        t.only_in_main "a task cannot run the tasks"
        local a, b = socket.pair()
        local task = spawn(a.read, a, 1)
        times_out(within, 0, socket.run)
        times_out(within, SOON, socket.run)
        assert.equal("waiting", task:status())
        assert(b:write "x")
        assert.equal(0, select("#", within(1000, socket.run)))
        assert.equal("done", task:status())
        assert.equal(0, select("#", within(0, socket.run)))
        a:close()
        b:close()
    end)

    it("ends a run although the tasks could never end", function()
        t.only_in_main "a task cannot run the tasks"
        local channel = socket.channel()
        local task = spawn(channel.get, channel)
        times_out(within, SOON, socket.run)
        channel:close()
        assert.is_nil((join(task)))
    end)

    it("raises out of a run that a failed task ends, and leaves no timer", function()
        t.only_in_main "a task cannot run the tasks"
        spawn(error, "broken", 0)
        local ok, err = pcall(within, 1000, socket.run)
        assert.is_true(not ok and err:find("broken", 1, true) ~= nil, err)
        assert.is_nil(socket.loop():timeout())
    end)

    it("raises an error of onerror out of a run, and leaves no timer", function()
        t.only_in_main "a task cannot run the tasks"
        function socket.onerror()
            error("from onerror", 0)
        end
        spawn(error, "broken", 0)
        local sleeper = spawn(socket.sleep, 0.01)
        local ok, err = pcall(within, 1000, socket.run)
        socket.onerror = nil
        assert.same({ false, "from onerror" }, { ok, err })
        assert.is_true(join(sleeper))
        assert.is_nil(socket.loop():timeout())
    end)

    it("bounds the turn of a loop", function()
        t.only_in_main "a task cannot run the tasks"
        local task = spawn(socket.sleep, 1000)
        local loop, before = socket.loop(), t.now()
        within(SOON, function()
            assert.is_true(loop:step())
            assert.is_true(loop:step())
        end)
        assert.is_true(t.now() - before < LATE * t.slow)
        task:cancel()
        join(task)
    end)

    it("bounds a coroutine of socket.coroutine that one of Lua's own has resumed", function()
        t.only_in_main "in a task, coroutines of Lua's own cannot wait"
        local inner = function()
            return within(SOON, function()
                return socket.coroutine.wrap(function()
                    return socket.sleep(1000)
                end)()
            end)
        end
        t.fails(socket.ERROR_TIMEOUT, nil, coroutine.wrap(inner)())
    end)

    it("lets a sleep of no time give others their turn", function()
        tasks.run(function()
            local order = {}
            local function note(name)
                order[#order + 1] = name
            end
            local first = spawn(function()
                within(100, function()
                    note "first"
                    socket.sleep(0)
                    note "first again"
                end)
                return true
            end)
            local second = spawn(note, "second")
            join(first)
            join(second)
            assert.same({ "first", "second", "first again" }, order)
        end)
    end)

    it("is over for the sleep of a cancelled task, which is told that it is cancelled", function()
        tasks.run(function()
            local task = spawn(function()
                socket.sleep(1000)
                return within(0, socket.sleep, 1)
            end)
            tasks.settle()
            task:cancel()
            assert.same({ nil, socket.ERROR_CANCELLED }, { join(task) })
        end)
    end)

    it("shows Lua 5.1 nothing that harms", function()
        local env = getfenv and getfenv(within) -- luacheck: ignore 113
        assert.is_true(not env or pcall(env.leave))
    end)
end)
