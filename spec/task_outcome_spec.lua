-- What tasks are started with and leave: any number of values, kept whole while collectors and finalizers are at work.

local t = require "support.t"
local tasks = require "support.tasks"

local function it_holds(name, code)
    it(name, function()
        tasks.alone_fine([[
            local unpack = table.unpack or unpack
            local counts = { 0, 1, 2, 7, 8, 9, 16, 17, 200, 239, 240, 241, 247, 248, 249, 250, 1000, 5000 }

            -- The collector works where values go. Where they are made and compared it would take most of the time.
            local function values(n)
                local all = {}
                collectgarbage("stop")
                for i = 1, n do all[i] = "v" .. i end
                collectgarbage("restart")
                return all
            end

            -- All n values, the first of them where `from` says.
            local function check(n, from, ...)
                assert(select("#", ...) == from - 1 + n, select("#", ...) .. " values, not " .. n)
                local all = { ... }
                collectgarbage("stop")
                for i = 1, n do assert(all[from - 1 + i] == "v" .. i) end
                collectgarbage("restart")
            end

            local function litter()
                local x = {}
                for k = 1, 50 do x[k] = { {} } end
            end

            -- A finalizer that comes back with each collection.
            local function again(f)
                local function run() f() again(f) end
                if newproxy then getmetatable(newproxy(true)).__gc = run else setmetatable({}, { __gc = run }) end
            end

            if _VERSION == "Lua 5.4" then collectgarbage("incremental", 1, 10000)
            elseif _VERSION ~= "Lua 5.5" then collectgarbage("setpause", 1) collectgarbage("setstepmul", 10000) end
        ]] .. code, 60)
    end)
end

describe("values", function()
    t.guard()

    it_holds("go into tasks", [[
        for round = 1, 3 do
            for _, n in ipairs(counts) do
                local got
                local task = spawn(function(...) got = true check(n, 1, ...) end, unpack(values(n)))
                litter()
                local ok, err, text = task:wait(10)
                assert(ok == true and got, text)
            end
        end
        for n = 1001, 1300 do
            local task = spawn(function(...) check(n, 1, ...) end, unpack(values(n)))
            litter()
            assert(task:wait(10))
        end
    ]])

    it_holds("go into tasks that wait first", [[
        for _, n in ipairs(counts) do
            local task = spawn(function(...) socket.sleep(0.0005) check(n, 1, ...) return ... end, unpack(values(n)))
            litter()
            check(n, 2, task:wait(10))
        end
    ]])

    it_holds("go into C functions", [[
        for _, n in ipairs(counts) do
            local ok, count = spawn(select, "#", unpack(values(n))):wait(10)
            assert(ok and count == n)
        end
    ]])

    it_holds("come out of tasks, again and again", [[
        for _, n in ipairs(counts) do
            local task = spawn(function() socket.sleep(0) return unpack(values(n)) end)
            for _ = 1, 3 do
                check(n, 2, task:wait(10))
                litter()
            end
        end
    ]])

    it_holds("come out of tasks to a task that has waited, or the text says that they are too many", [[
        local few = _VERSION == "Lua 5.1" -- LuaJIT too
        for _, n in ipairs(counts) do
            local task = spawn(function() socket.sleep(0.0005) litter() return unpack(values(n)) end)
            local seen
            local joiner = spawn(function()
                local got = { n = 0 }
                local function keep(...) got = { n = select("#", ...), ... } end
                keep(task:wait())
                if few and n + 1 > 248 then
                    assert(got.n == 2 and got[1] == nil)
                    assert(got[2]:find("more than 247 results", 1, true), got[2])
                    seen = "too many"
                else
                    check(n, 2, unpack(got, 1, got.n))
                    seen = "all"
                end
                check(n, 2, task:wait())
            end)
            local ok, err, text = joiner:wait(10)
            assert(ok, text)
            assert(seen == ((few and n + 1 > 248) and "too many" or "all"))
        end
    ]])

    it_holds("come out of tasks to many tasks", [[
        local task = spawn(function() socket.sleep(0.001) return unpack(values(200)) end)
        local joiners = {}
        for i = 1, 100 do
            joiners[i] = spawn(function() litter() check(200, 2, task:wait()) return i end)
        end
        for i = 1, 100 do assert(select(2, joiners[i]:wait(10)) == i) end
    ]])
end)

describe("a finalizer that runs while an outcome is kept", function()
    t.guard()

    it_holds("may wait for that task, without time", [[
        local task
        again(function() if task then pcall(task.wait, task, 0) task:status() tostring(task) task:cancel() end end)
        for i = 1, 2000 do
            task = spawn(function() litter() return "x", "y", {}, {} end)
            socket.run()
            local ok, x, y = task:wait(0)
            assert(ok == true and x == "x" and y == "y", tostring(x))
        end
    ]])

    it_holds("may wait for that task, as long as it takes", [[
        local task
        again(function() if task then pcall(task.wait, task) end end)
        for i = 1, 1000 do
            task = spawn(function() litter() return "x", {} end)
            local ok, x = task:wait(5)
            assert(ok == true and x == "x")
            task = spawn(function() litter() error({}) end)
            local ok, err, text = task:wait(5)
            assert(ok == nil and type(err) == "table" and type(text) == "string")
        end
    ]])

    it_holds("may begin tasks, and use channels", [[
        local ch, began, ended = socket.channel(1000000), 0, 0
        again(function()
            if began < 5000 then
                began = began + 1
                spawn(function() ended = ended + 1 ch:put(ended) end)
            end
        end)
        for i = 1, 500 do
            local task = spawn(function() litter() return "x", {} end)
            local ok, x = task:wait(5)
            assert(ok == true and x == "x")
        end
        began = 5000
        socket.run()
        for i = 1, ended do assert(ch:get(0) == i) end
    ]])
end)

describe("a debug hook", function()
    t.guard()

    it_holds("that waits raises or waits, and comes to its end", [[
        for _, mask in ipairs { "l", "c", "r" } do
            for beside = 0, 1 do
                local other = beside == 1 and spawn(socket.sleep, 0.2)
                local n, busy = 0, false
                local function hook()
                    if n < 50 and not busy then
                        busy = true
                        n = n + 1
                        pcall(socket.sleep, 0.0001)
                        busy = false
                    end
                end
                debug.sethook(hook, mask)
                local x = 1
                for i = 1, 5 do x = tostring(x) end
                debug.sethook()
                assert(n > 0 or mask ~= "l") -- LuaJIT does not tell of all calls
                if other then other:cancel() other:wait() end
            end
        end
    ]])

    it_holds("that waits without regard to itself comes to its end", [[
        local other = spawn(socket.sleep, 0.05)
        local calls = 0
        local function hook() calls = calls + 1 pcall(socket.sleep, 0.001) local x = 1 end
        debug.sethook(hook, "l")
        local y = 1
        y = 2
        debug.sethook()
        assert(calls > 0 and other:wait(5))
    ]])

    it_holds("that waits in a task raises there, or waits", [[
        local task = spawn(function()
            local said = {}
            local busy
            debug.sethook(function()
                if busy then return end
                busy = true
                said[#said + 1] = { pcall(socket.sleep, 0.001) }
                busy = false
            end, "l")
            local x = 1
            x = 2
            debug.sethook()
            return #said
        end)
        local ok, n, text = task:wait(5)
        assert(ok and n > 0, text)
    ]])
end)

describe("C functions that are nested deeply", function()
    t.guard()

    local nest = [[
        local function nest(n, f)
            if n == 0 then return f() end
            local result
            string.gsub("x", "x", function() result = nest(n - 1, f) end)
            return result
        end
    ]]

    it_holds("are told of, and no task is said to have failed for them", nest .. [[
        local seen = {}
        for n = 150, 199 do
            local began
            local ok, result = pcall(nest, n, function()
                local task = spawn(function() began = true return "v" end)
                return select(2, assert(task:wait(10)))
            end)
            assert(ok and result == "v" or result:find "C stack overflow" and not began, n .. ": " .. tostring(result))
            seen[ok] = true
            socket.run()
        end
        assert(seen[true] and (jit or seen[false]), "not deep enough")
    ]])

    if not _G.jit then
        it_holds("leave nothing in the channel that one of them could not put", nest .. [[
            local ch = socket.channel()
            local weak = setmetatable({}, { __mode = "v" })
            local function put()
                local value = {}
                weak[#weak + 1] = value
                return ch:put(value)
            end
            spawn(function() socket.sleep(0.01) end)
            for n = 1, 5 do
                local ok, why = pcall(nest, 190, put)
                assert(not ok and why:find "C stack overflow", why)
            end
            collectgarbage() collectgarbage()
            assert(next(weak) == nil)
        ]])
    end
end)

describe("a call to put that Lua does not suspend", function()
    t.guard()

    it_holds("leaves no more than its last value in the channel", [[
        local ch = socket.channel()
        local weak = setmetatable({}, { __mode = "v" })
        local function deep(n, f)
            if n == 0 then return f() end
            local result = deep(n - 1, f)
            return result
        end
        local function put()
            local value = {}
            weak[#weak + 1] = value
            return ch:put(value)
        end
        local task = spawn(function()
            for _ = 1, 20 do
                string.gsub("x", "x", function() assert(not pcall(deep, 150, put)) end)
            end
            return ch:get(0)
        end)
        local ok, value, err = task:wait(10)
        assert(ok and value == nil and err == socket.ERROR_TIMEOUT)
        collectgarbage() collectgarbage()
        local n = 0
        for _ in pairs(weak) do n = n + 1 end
        assert(n <= 1, n)
    ]])
end)
