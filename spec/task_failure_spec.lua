-- A failed task that nobody can wait for is told to socket.onerror before the loop sleeps: whatever main waits
-- in, without garbage being made, and without collecting for nothing.

local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"

local common = [[
local a, b = socket.pair()
local told, heard = 0, nil
socket.onerror = function(_, message) told, heard = told + 1, message b:write "!" end

-- Counts full collections from now on.
local collections = 0
local function sentinel()
    local proxy = newproxy and newproxy(true) or setmetatable({}, { __gc = true })
    getmetatable(proxy).__gc = function() collections = collections + 1 sentinel() end
end
local function count_collections()
    collectgarbage() collectgarbage()
    sentinel()
end

local function fail(message) spawn(function() error(message or "own", 0) end) end
]]

local function it_holds(name, code)
    it(name, function()
        tasks.alone_fine(common .. code, 30)
    end)
end

describe("a failed task that nobody can wait for", function()
    t.guard()

    -- `wait` ends well as soon as socket.onerror has been called, and not before ten seconds else.
    for _, place in ipairs {
        { "reads", "a:settimeout(10) assert(a:read(1) == '!')" },
        { "accepts",
            [[local l = socket.tcp() l:bind("127.0.0.1", 0) l:listen() l:settimeout(10)
              socket.onerror = function() told = told + 1 socket.tcp():connect(l:getsockname()) end
              assert(l:accept())]] },
        { "selects", "assert(#socket.select({ a }, nil, 10) == 1)" },
        { "gets",
            "local ch = socket.channel() socket.onerror = function() told = 1 ch:put(1, 0) end assert(ch:get(10))" },
        { "waits for a task", "local r = spawn(a.read, a, 1) assert(r:wait(10))" },
        { "runs", "spawn(a.read, a, 1) assert(pcall(socket.run))" },
        { "sleeps", "socket.sleep(0.3)" },
        { "steps the loop", "spawn(a.read, a, 1) while socket.loop():step(10) do end" },
    } do
        for _, with in ipairs { { "alone", "" }, { "beside another", "spawn(socket.sleep, 20) " } } do
            if with[2] == "" or (place[1] ~= "runs" and place[1] ~= "steps the loop") then -- these end with the last
                it_holds("is told of while the main program " .. place[1] .. ", " .. with[1], with[2] .. [[
                    local began = socket.now()
                    fail()
                    ]] .. place[2] .. [[

                    assert(told == 1, "not told")
                    assert(socket.now() - began < 9, "told too late")
                ]])
            end
        end
    end

    it_holds("is told of though it fails much later, in the middle of a wait", [[
        spawn(function() socket.sleep(0.02) error("late", 0) end)
        a:settimeout(10)
        assert(a:read(1) == "!" and told == 1 and heard:find("late", 1, true))
    ]])

    it_holds("has its connection closed then", [[
        local c, d = socket.pair()
        spawn(function(s) s:read(1) error "own" end, c)
        c = nil
        d:write "x"
        d:settimeout(10)
        local data, err = d:read(1)
        assert(data == nil and err == socket.ERROR_CLOSED, err)
        assert(told == 1)
    ]])

    it_holds("is told of in the words of its error object, if that has any", [[
        local function object(tostring) return setmetatable({}, { __tostring = tostring }) end
        local silent, wrong = object(error), object(function() return {} end)
        local waiting = object(function() socket.sleep(1) end)
        local texts = { [object(function() return "own words" end)] = "own words", [silent] = "table value",
            [wrong] = "table value", [waiting] = "table value", [{}] = "table value" }
        for value, text in pairs(texts) do
            heard = nil
            spawn(error, value)
            local limit = socket.now() + 10
            while not heard and socket.now() < limit do socket.sleep(0.01) end
            assert(heard:find(text, 1, true), heard)
            assert(heard:find("traceback", 1, true), heard)
            local _, got, said = spawn(error, value):wait(5)
            assert(got == value and said:find(text, 1, true) and said:find("traceback", 1, true), said)
        end
    ]])

    it_holds("is told of though its error object cancels the task as it is asked for its words", [[
        local task
        task = spawn(function()
            error(setmetatable({}, { __tostring = function() return "cancelled: " .. tostring(task:cancel()) end }))
        end)
        local _, value, text = task:wait(5)
        assert(type(value) == "table" and text:find("cancelled: false", 1, true), text)
    ]])

    -- Modes of the collector (Lua 5.4); elsewhere there is one. The task has lived long when it fails.
    for _, mode in ipairs { "generational", "incremental" } do
        it_holds("is told of at once when the collector is " .. mode, [[
            pcall(collectgarbage, "]] .. mode .. [[")
            local held = {}
            for i = 1, 20000 do held[i] = { i } end
            spawn(function() socket.sleep(0.02) error("late", 0) end)
            for i = 1, 5 do collectgarbage "step" socket.sleep(0.001) end
            a:settimeout(10)
            assert(a:read(1) == "!" and told == 1 and heard:find("late", 1, true))
        ]])
    end

    it_holds("costs at most a collection; no failure, none", [[
        local ticker = spawn(function() while socket.sleep(0.0005) do end end)
        count_collections()
        socket.sleep(0.05)
        local before = collections
        for i = 1, 20 do
            fail()
            local n = told
            while told == n do socket.sleep(0.001) end
        end
        assert(told == 20)
        assert(collections - before <= 20 + 5, collections - before)
        before = collections
        socket.sleep(0.2)
        assert(collections - before <= 2, collections) -- the program's own garbage
        ticker:cancel()
    ]])

    it_holds("costs none when its handle was waited for", [[
        count_collections()
        local before = collections
        for i = 1, 20 do
            local task = spawn(error, "own")
            assert(task:wait(5) == nil)
            socket.sleep(0.002)
        end
        assert(told == 0)
        assert(collections - before <= 1, collections - before)
    ]])

    it_holds("costs none when it was cancelled", [[
        count_collections()
        local before = collections
        for i = 1, 10 do
            spawn(function() socket.sleep(5) error "own" end):cancel()
            socket.sleep(0.002)
        end
        assert(told == 0)
        assert(collections - before <= 1, collections - before)
    ]])

    it_holds("and many at once cost few collections", [[
        socket.onerror = function() told = told + 1 end
        count_collections()
        local before = collections
        for i = 1, 300 do fail(i) end
        local limit = socket.now() + 20
        while told < 300 and socket.now() < limit do socket.sleep(0.01) end
        assert(told == 300, told)
        assert(collections - before <= 20, collections - before)
    ]])

    it_holds("is one of thousands that are told of all the same", [[
        local n = 0
        socket.onerror = function(task, message) n = n + (task and 1 or tonumber(message:match "^(%d+) tasks more")) end
        for _ = 1, 5000 do fail() end
        socket.sleep(0.5)
        socket.run()
        assert(n == 5000, n)
    ]])

    it_holds("whose handle the program has is told of when that is gone", [[
        local task = spawn(error, "own")
        socket.sleep(0.01)
        assert(told == 0)
        task = nil
        collectgarbage() collectgarbage()
        socket.sleep(0.001)
        assert(told == 1)
    ]])

    -- As a loop drives it that waits for the descriptor, for no longer than loop:timeout says.
    for _, after in ipairs { { "beside another", true }, { "as the last", false } } do
        it_holds("is told of in two steps of another loop, " .. after[1], ([[
            local loop = socket.loop()
            local other = %s and spawn(a.read, a, 1)
            fail()
            local steps = 0
            repeat
                loop:step(0)
                steps = steps + 1
            until loop:timeout() == nil
            assert(told == 1, "not told, and nothing is left to do")
            assert(steps <= 2, steps)
        ]]):format(tostring(after[2])))
    end

    it_holds("is told while the last of the others ends, which is no deadlock", [[
        local other
        socket.onerror = function()
            told = told + 1
            socket.sleep(0.02)
            assert(other:status() == "done")
        end
        other = spawn(socket.sleep, 0.005)
        fail()
        assert(pcall(socket.run))
        assert(told == 1)
    ]])

    -- The program's own collection comes first: the failure is known when the next turn begins.
    for _, call in ipairs { "socket.run()", "assert(other:wait())", "assert(other:wait(10))" } do
        it_holds("may have an onerror that waits for what has called it: " .. call, ([[
            local other
            local function fail_at_once()
                fail()
                spawn(function() collectgarbage() collectgarbage() end)
            end
            socket.onerror = function()
                told = told + 1
                if told < 3 then fail_at_once() end
                if other then assert(other:wait()) end
            end
            for _, when in ipairs { "now", "later" } do
                told = 0
                other = spawn(socket.sleep, when == "now" and 0 or 0.005)
                fail_at_once()
                %s
                assert(other:status() == "done")
                other = nil
                socket.run()
                assert(told == 3, told)
            end
        ]]):format(call))
    end

    for _, limit in ipairs { "", "60" } do
        it_holds("lets a step end at once when onerror has run the last task: limit " .. limit, ([[
            socket.onerror = function()
                told = told + 1
                socket.run()
            end
            fail()
            socket.sleep(0)
            socket.sleep(0)
            collectgarbage()
            collectgarbage()
            local other = spawn(socket.sleep, 0.001)
            assert(socket.loop():step(%s) == false)
            assert(other:status() == "done")
            assert(told == 1, told)
        ]]):format(limit))
    end

    it_holds("or a hook that raises wherever a function returns leaves no value too many", [[
        for n = 1, 60 do
            local other, count = spawn(function() socket.sleep(0) return "value" end), 0
            local ok, done, value = pcall(function()
                debug.sethook(function()
                    count = count + 1
                    if count == n then debug.sethook() error("from the hook", 0) end
                end, "r")
                local done, value = other:wait(5)
                debug.sethook()
                return done, value
            end)
            assert(not ok or done == nil or done == true and value == "value", value)
        end
    ]])

    -- Not LuaJIT, which is asked by a hook whether coroutines can run.
    if not _G.jit then
        it_holds("or a hook that raises while the main program waits is heard: it may be Ctrl-C", [[
            local other, heard, fired, waits = spawn(socket.sleep, 20), 0, nil, false
            for _, event in ipairs { "c", "r" } do
                for n = 1, 40 do
                    local count = 0
                    fired = false
                    local ok, err = pcall(function()
                        debug.sethook(function()
                            count = waits and count + 1 or count
                            if count == n then debug.sethook() fired = true error("from the hook", 0) end
                        end, event)
                        waits = true
                        socket.sleep(0.0001)
                        waits = false
                        debug.sethook()
                    end)
                    waits = false
                    assert(ok ~= fired, event .. n)
                    heard = heard + (ok and 0 or 1)
                end
            end
            assert(heard > 10, heard)
            other:cancel()
        ]])
    end

    for _, call in ipairs { "put", "get" } do
        it_holds("whose onerror raises ends a call that waits, without harm: " .. call, ([[
            local ch, closed = socket.channel(), false
            socket.onerror = function() error("from onerror", 0) end
            fail()
            local ok, err = pcall(ch.%s, ch, %s)
            assert(not ok and err == "from onerror", err)
            socket.onerror = nil
            assert(tostring(ch) == "<channel: 0 of 0>")
            assert(select(2, ch:put("late", 0)) == socket.ERROR_TIMEOUT)
            assert(select(2, ch:get(0)) == socket.ERROR_TIMEOUT)
            local getter = spawn(function() return ch:get(10) end)
            assert(ch:put("new", 10))
            assert(select(2, getter:wait(10)) == "new")
            local weak = setmetatable({}, { __mode = "v" })
            for i = 1, 3 do
                socket.onerror = function() error("from onerror", 0) end
                fail()
                weak[i] = {}
                assert(not pcall(ch.put, ch, weak[i], 5))
            end
            socket.onerror = nil
            collectgarbage() collectgarbage()
            assert(next(weak) == nil, "a value is kept that was not put")
        ]]):format(call, call == "put" and '"value", 10' or "10"))
    end

    if _VERSION > "Lua 5.1" then
        it_holds("leaves a collector alone that was stopped", [[
            collectgarbage() collectgarbage()
            collectgarbage "stop"
            sentinel()
            fail()
            socket.sleep(0.1)
            assert(collections == 0 and told == 0)
            assert(not collectgarbage "isrunning")
            collectgarbage "restart"
            collectgarbage() collectgarbage()
            socket.sleep(0.01)
            assert(told == 1)
        ]])
    end
end)

describe("at the end of the Lua state", function()
    t.guard()

    it("socket.onerror is called for what has failed", function()
        local said, how = tasks.alone [[
            socket.onerror = function(_, message) print("told: " .. message:match("[^\n]*"):match "%a*$") end
            keep = spawn(error, "kept")
            spawn(error, "lost")
            socket.loop():step(0)
        ]]
        assert.equal("exit 0", how)
        local lines = {}
        for line in said:gmatch "[^\n]+" do
            lines[#lines + 1] = line
        end
        table.sort(lines)
        assert.same({ "told: kept", "told: lost" }, lines)
    end)

    it("nothing is said of what was waited for, was cancelled or ended well", function()
        local said, how = tasks.alone [[
            socket.onerror = function(_, message) print("told: " .. message) end
            seen = spawn(error, "seen")
            seen:wait(5)
            cancelled = spawn(function() assert(socket.sleep(5)) end)
            socket.sleep(0)
            cancelled:cancel()
            ended = spawn(socket.sleep, 0)
            waits = spawn(socket.sleep, 5)
            socket.sleep(0.001)
        ]]
        assert.equal("exit 0", how)
        assert.equal("", said)
    end)

    if _VERSION > "Lua 5.3" then
        it("there is a warning when socket.onerror is not set", function()
            local lua = os.getenv "SSOCKET_LUA"
            for _, option in ipairs { "-W", "" } do
                local said, how, status = tools.run({ "sh", "-c", "exec " .. lua .. " " .. option .. ' -e "$0"', [[
                    local socket = require "ssocket"
                    socket.spawn(error, "lost")
                    socket.loop():step(0)
                ]] }, 20 * t.slow)
                assert.same({ "exit", 0 }, { how, status })
                if option == "-W" then
                    assert.truthy(said:find("a task failed: lost", 1, true), said)
                else
                    assert.equal("", said)
                end
            end
        end)
    end
end)

describe("failures that a finalizer reports", function()
    tasks.guard()

    it("while socket.onerror is looked for are not reported as none", function()
        tasks.alone_fine(
            [[
            local collect, told, none = require "testcollect", 0, 0
            function socket.onerror(task)
                told, none = told + 1, none + (task and 0 or 1)
            end
            local function step() pcall(function() socket.loop():step(0) end) end
            local function sentinel()
                if newproxy then getmetatable(newproxy(true)).__gc = step else setmetatable({}, { __gc = step }) end
            end
            for every = 1, 12 do -- the finalizer is to come between two allocations
                collect.start(every)
                for _ = 1, 100 do
                    spawn(error, "x") sentinel() sentinel() step()
                end
                collect.stop()
            end
            assert(told > 0 and none == 0, none)
        ]],
            30
        )
    end)
end)
