-- What a program yields, resumes tasks with and hands out of them is never taken for a call that waits: each of these
-- programs runs in a process of its own, and what it does comes to a plain end.

local t = require "support.t"
local tasks = require "support.tasks"

local lasts = _VERSION > "Lua 5.3" -- coroutine.close, <close>

local common = [[
local unpack = table.unpack or unpack

-- The light userdata that a suspended coroutine shows.
local function marks(co)
    local found = {}
    for level = 0, 3 do
        for i = 1, 400 do
            local ok, name, value = pcall(debug.getlocal, co, level, i)
            if not ok or not name then break end
            if type(value) == "userdata" and not debug.getmetatable(value) then found[#found + 1] = value end
        end
    end
    return found
end

local function turns(n) for _ = 1, n or 6 do socket.sleep(0) end end

-- Calls that wait, and what makes each go on.
local function waits()
    local ch, full, a, b = socket.channel(), socket.channel(), socket.pair()
    local listener = socket.tcp()
    listener:bind("127.0.0.1", 0)
    listener:listen()
    local slow = socket.spawn(ch.get, ch)
    return {
        { "sleep", function() return socket.sleep(0.001) end, function() end },
        { "get", function() return full:get() end, function() full:put("x", 1) end },
        { "put", function() return full:put("x") end, function() full:get(1) end },
        { "read", function() return a:read(1) end, function() b:write "x" end },
        { "select", function() return (socket.select({ a }, nil)) end, function() b:write "x" end },
        { "accept", function() return (listener:accept()) end, function()
            socket.tcp():connect(listener:getsockname())
        end },
        { "wait", function() return slow:wait() end, function() ch:put("x", 1) end },
        { "turn", function() return socket.sleep(0) end, function() end },
    }
end
]]

-- The program says "fine" and nothing else.
local function survives(name, code)
    it(name, function()
        tasks.alone_fine(common .. code, 30)
    end)
end

describe("a task that yields by itself", function()
    t.guard()

    survives("its handle, before any call has waited", [[
        local task
        task = spawn(function() coroutine.yield(task) return "end" end)
        socket.run()
        assert(select(2, task:wait()) == "end")
    ]])

    survives("anything, before and after each call that waits, with any number of values", [[
        local function values(task, mark, other)
            return { task, mark or true, other, coroutine.running() or true, socket.loop(), socket.channel(),
                (socket.pair()), socket.udp(), "s", 1.5, false, {}, print, function() end, io.stdout }
        end
        for i = 1, 8 do
            for after = 0, 1 do
                for n = 0, 6 do
                    local wait, co, mark, other, task = waits()[i]
                    task = spawn(function()
                        co = coroutine.running()
                        if after == 1 then assert(wait[2]()) end
                        for _, value in ipairs(values(task, mark, other)) do
                            local v = {}
                            for k = 1, n do v[k] = task end
                            v[n + 1] = value
                            assert(select("#", coroutine.yield(unpack(v, 1, n + 1))) == 0)
                        end
                        for _, value in ipairs(values(task, mark, other)) do
                            local v = {}
                            for k = 1, n do v[k] = k % 2 == 0 and value or mark end
                            v[n + 1] = mark or value
                            assert(select("#", coroutine.yield(unpack(v, 1, n + 1))) == 0)
                        end
                        assert(wait[2]())
                        return wait[1]
                    end)
                    local sleeper = spawn(function() other = coroutine.running() socket.sleep(5) end)
                    turns(2)
                    other = marks(other)[1]
                    mark = marks(co)[1]
                    if after == 1 then wait[3]() end
                    turns(50)
                    wait[3]()
                    local ok, said = task:wait(10)
                    assert(ok and said == wait[1], tostring(said))
                    sleeper:cancel()
                    sleeper:wait()
                    collectgarbage()
                end
            end
        end
    ]])

    survives("what a call has left that could not wait", [[
        for pad = 0, 6 do
            local ch, co, mark = socket.channel()
            local task = spawn(function()
                co = coroutine.running()
                socket.sleep(0.005)
                local function deep(n)
                    if n > 0 then local r = deep(n - 1) return r end
                    local r = string.gsub("a", "a", function() return (ch:get()) end)
                    return r
                end
                local ok = pcall(deep, 150)
                assert(not ok)
                local ok = pcall(string.gsub, "a", "a", function() return (ch:get()) end)
                assert(not ok)
                local v = {}
                for i = 1, pad do v[i] = i end
                v[pad + 1] = mark
                coroutine.yield(unpack(v, 1, pad + 1))
                coroutine.yield(unpack(v, 1, pad + 1))
                return "end"
            end)
            turns(1)
            mark = marks(co)[1]
            socket.sleep(0.02)
            turns()
            ch:put("x", 0)
            turns()
            assert(task:status() == "done" and select(2, task:wait(0)) == "end")
        end
    ]])

    survives("what a metamethod has left that could not wait", [[
        for pad = 0, 6 do
            local ch, co, mark = socket.channel()
            local object = setmetatable({}, { __index = function() return (ch:get(0.001)) end })
            local function deep(n)
                if n > 0 then local r = deep(n - 1) return r end
                local r = object.field
                return r
            end
            local task = spawn(function()
                co = coroutine.running()
                socket.sleep(0.005)
                pcall(deep, 150) -- Lua 5.1 raises
                local v = {}
                for i = 1, pad do v[i] = i end
                v[pad + 1] = mark
                coroutine.yield(unpack(v, 1, pad + 1))
                return "end"
            end)
            turns(1)
            mark = marks(co)[1]
            local ok, said = task:wait(5)
            assert(ok and said == "end")
        end
    ]])

    survives("in coroutine.wrap as its body", [[
        local ch = socket.channel()
        for n = 0, 4 do
            local body = coroutine.wrap(function(...)
                local v = { ... }
                for i = 1, 3 do coroutine.yield(unpack(v)) end
                return ...
            end)
            local v = {}
            for i = 1, n do v[i] = ch end
            local task = spawn(body, unpack(v))
            local got = { task:wait(5) }
            assert(got[1] == true and #got == n + 1)
        end
        local task = spawn(coroutine.wrap(function() ch:get() end))
        local ok, err = task:wait(5)
        assert(not ok and err:find("this coroutine is not a task", 1, true), err)
    ]])

    survives("with C functions as its body", [[
        local a, b = socket.pair()
        local ch = socket.channel()
        local task
        task = spawn(coroutine.yield, 1, 2, ch, a)
        assert(task:wait(5) == true)
        local reader = spawn(a.read, a, 2)
        local getter = spawn(ch.get, ch)
        local sleeper = spawn(socket.sleep, 0.001)
        local joiner = spawn(reader.wait, reader)
        local failed = spawn(error, ch)
        local selected = spawn(select, "#", a, b, ch)
        turns()
        b:write "xy"
        ch:put("value", 1)
        local ok, got, data = joiner:wait(5)
        assert(ok and got == true and data == "xy")
        assert(select(2, getter:wait(5)) == "value")
        assert(select(2, sleeper:wait(5)) == true)
        assert(select(2, failed:wait(5)) == ch)
        assert(select(2, selected:wait(5)) == 3)
    ]])
end)

describe("a task's coroutine that the program resumes", function()
    t.guard()

    -- `by` runs what it is given: in the main program, in another task, in another coroutine of the main program
    for _, by in ipairs {
        { "by the main program", "local function by(f) f() end" },
        { "by another task", "local function by(f) assert(spawn(f):wait(5)) end" },
        { "by another coroutine", "local function by(f) assert(coroutine.resume(coroutine.create(f))) end" },
    } do
        survives(by[1] .. ", with anything, while each call waits", by[2] .. [[

            for i = 1, 8 do
                for kind = 1, 5 do
                    local wait, co, mark, task = waits()[i]
                    task = spawn(function()
                        co = coroutine.running()
                        wait[2]()
                        coroutine.yield(1, 2, task)
                        for n = 0, 6 do
                            local v = {}
                            for k = 1, n do v[k] = mark end
                            v[n + 1] = mark
                            coroutine.yield(unpack(v, 1, n + 1))
                        end
                    end)
                    turns(1)
                    mark = marks(co)[1]
                    by(function()
                        for _ = 1, kind do
                            if coroutine.status(co) == "suspended" then
                                local value = kind % 2 == 1 and mark or task
                                coroutine.resume(co, value, task, value, mark)
                            end
                        end
                    end)
                    wait[3]()
                    turns()
                    socket.sleep(0.003)
                    turns()
                    if task:status() ~= "waiting" then
                        local ok, err = task:wait(0)
                        assert(not ok and err:find("resumed or closed by the program", 1, true), tostring(err))
                    end
                    task:cancel()
                    turns()
                    assert(task:status() == "failed", task:status())
                    task:wait(0)
                    collectgarbage()
                end
            end
        ]])
    end

    survives("by itself, which Lua refuses", [[
        local task = spawn(function()
            local co = coroutine.running()
            local ok, err = coroutine.resume(co, co)
            assert(not ok and err:find "cannot resume")
            socket.sleep(0.001)
            assert(not coroutine.resume(co))
            return coroutine.status(co)
        end)
        local ok, status = task:wait(5)
        assert(ok and status == "running")
    ]])

    survives("by a task that it has started, while it waits for that", [[
        local outer, co
        outer = spawn(function()
            co = coroutine.running()
            local inner = spawn(function()
                local ok, err = coroutine.resume(co, outer)
                return ok, err
            end)
            return inner:wait(5)
        end)
        local ok, err = outer:wait(5)
        assert(not ok and err:find("resumed or closed", 1, true))
    ]])

    survives("before it has begun", [[
        local all, handles = {}, {}
        for i = 1, 20 do
            local before = {}
            handles[i] = spawn(function() all[i] = coroutine.running() socket.sleep(0.001) return i end)
        end
        turns(1)
        for i = 1, 20, 2 do coroutine.resume(all[i]) end
        for i = 1, 20 do
            local ok, err = handles[i]:wait(5)
            assert((i % 2 == 0 and ok and err == i) or (not ok and err:find("resumed or closed", 1, true)))
        end
    ]])

    survives("to its end, and to its error", [[
        for _, ends in ipairs { function() return 1, 2, 3 end, error, function() error({}) end } do
            local co
            local task = spawn(function() co = coroutine.running() socket.sleep(0.002) ends() end)
            turns(1)
            coroutine.resume(co)
            assert(coroutine.status(co) == "dead")
            local ok, err = task:wait(5)
            assert(not ok and err:find("resumed or closed", 1, true))
        end
    ]])
end)

if lasts then
    describe("a task's coroutine that the program closes", function()
        t.guard()

        survives("while each call waits", [[
            for i = 2, 7 do -- those that do not go on by themselves
                for _, how in ipairs { 0, 1 } do
                    local wait, co, closed = waits()[i]
                    local task = spawn(function()
                        co = coroutine.running()
                        local v <close> = setmetatable({}, { __close = function() closed = true end })
                        wait[2]()
                    end)
                    turns(1)
                    if how == 0 then
                        assert(coroutine.close(co))
                    else
                        assert(spawn(coroutine.close, co):wait(5))
                    end
                    assert(closed)
                    wait[3]()
                    collectgarbage()
                    local ok, err = task:wait(5)
                    assert(not ok and err:find("resumed or closed", 1, true))
                end
            end
        ]])

        survives("after it has yielded by itself, and then another task is begun in its place", [[
            local co
            local task = spawn(function() co = coroutine.running() while true do coroutine.yield(co) end end)
            turns(2)
            coroutine.close(co)
            local others = {}
            for i = 1, 50 do others[i] = spawn(function() socket.sleep(0.001) return i end) end
            for i = 1, 50 do assert(select(2, others[i]:wait(5)) == i) end
            assert(not task:wait(5))
        ]])

        survives("or that closes itself", [[
            local closed
            local task = spawn(function()
                local v <close> = setmetatable({}, { __close = function() closed = true end })
                socket.sleep(0.001)
                local ok, err = pcall(coroutine.close, coroutine.running()) -- Lua 5.5 ends it here, without results
                assert(not ok and err:find "cannot close a running coroutine")
                return "end"
            end)
            local ok, said = task:wait(5)
            assert(ok and closed)
            assert(said == "end" or _VERSION > "Lua 5.4")
        ]])
    end)
end

if _VERSION >= "Lua 5.5" then
    describe("the coroutine in which the main program waits", function()
        t.guard()

        for name, code in pairs {
            ["socket.onerror closes"] = [[
                socket.onerror = close
                spawn(error, "x")
            ]],
            ["a finalizer closes"] = [[
                setmetatable({}, { __gc = close })
                spawn(error, "x") -- which makes the loop collect
            ]],
            ["a finalizer closes at some time"] = [[
                ANY = true -- perhaps outside of the wait
                a:settimeout(0.1)
                spawn(function() setmetatable({}, { __gc = close }) collectgarbage() end)
                for _ = 1, 100 do
                    spawn(function() setmetatable({}, { __gc = close }) return {}, {}, {} end)
                end
                spawn(error, "x")
            ]],
        } do
            it("is one that " .. name .. ", which leaves no harm", function()
                tasks.alone_fine([[
                    local a, b = socket.pair()
                    local closed = 0
                    local function close()
                        if coroutine.running() ~= main then
                            closed = closed + 1
                            coroutine.close(coroutine.running())
                        end
                    end
                    main = coroutine.running()
                    a:settimeout(10)
                    local co = coroutine.create(function() ]] .. code .. [[
                        local ok, err = pcall(a.read, a, 1)
                        return ok, err
                    end)
                    local ok, read, err = coroutine.resume(co)
                    assert(ok and closed > 0)
                    assert(err and err:find("has closed the coroutine", 1, true) or ANY, err)
                    assert(coroutine.status(co) == "dead")
                    co = nil
                    socket.onerror = function() end
                    socket.run() -- all that is left still works
                    spawn(function() assert(b:write "hello") end)
                    assert(a:read(5) == "hello")
                    socket.run()
                ]])
            end)
        end
    end)
end
