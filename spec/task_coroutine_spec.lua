-- socket.coroutine: coroutines of the program's own in which a task's calls wait.

local t = require "support.t"
local tasks = require "support.tasks"
local each_wait = require "support.waits"

local socket = t.socket
local spawn, join = tasks.spawn, tasks.join
local lua = coroutine -- Lua's own library
local coroutine = socket.coroutine

-- Calls f in a coroutine within `depth` - 1 others.
local function within(depth, f)
    local co = coroutine.wrap(f)
    for _ = 2, depth do
        local inner = co
        co = coroutine.wrap(function()
            return inner()
        end)
    end
    return co()
end

describe("socket.coroutine has Lua's functions", function()
    t.guard()

    it("all that this Lua has", function()
        for name, f in pairs(lua) do
            assert.equal("function", type(coroutine[name]), name)
            assert.is_true(coroutine[name] == f or name == "resume" or name == "wrap" or name == "close", name)
        end
    end)

    local function same(name, f, ...)
        local own, ours = t.pack(pcall(f, lua, ...)), t.pack(pcall(f, coroutine, ...))
        assert.equal(own.n, ours.n, name)
        for i = 1, own.n do
            assert.equal(own[i], ours[i], name)
        end
    end

    local cases = {
        ["values in and out"] = function(c)
            local co = c.create(function(...)
                local a = c.yield(select("#", ...), ...)
                return a, nil
            end)
            local said = t.pack(c.resume(co, 1, nil, nil))
            local rest = t.pack(c.resume(co, "x"))
            return said.n, said[2], said[3], rest.n, rest[2], c.status(co)
        end,
        ["an error"] = function(c)
            local co = c.create(function()
                error "broken"
            end)
            local ok, err = c.resume(co)
            return ok, err, c.status(co), c.resume(co)
        end,
        ["an error object of wrap"] = function(c)
            local object = setmetatable({}, {
                __tostring = function()
                    return "object"
                end,
            })
            local ok, err = pcall(c.wrap(function()
                error(object)
            end))
            return ok, err == object
        end,
        ["an error text of wrap"] = function(c)
            local f = c.wrap(function()
                error("broken", 0)
            end)
            local function call()
                local result = f()
                return result
            end
            return call()
        end,
        ["a dead one of wrap"] = function(c)
            local f = c.wrap(function() end)
            f()
            local result = f()
            return result
        end,
        ["the running coroutine"] = function(c)
            local co
            co = c.create(function()
                return c.running() == co, c.status(co)
            end)
            return c.resume(co)
        end,
        ["the one that resumes"] = function(c)
            local outer
            outer = c.create(function()
                return c.resume(c.create(function()
                    return c.status(outer), (c.resume(outer))
                end))
            end)
            return c.resume(outer)
        end,
        ["too many arguments"] = function(c)
            return (c.resume(c.create(select), (table.unpack or unpack)({}, 1, 7000)))
        end,
        ["no coroutine"] = function(c)
            return (pcall(c.resume, 1)), (pcall(c.wrap, 1)), (pcall(c.resume))
        end,
    }
    for name, case in pairs(cases) do
        it("that do the same: " .. name .. ", in the main program and in a task", function()
            same(name, case)
            tasks.run(same, name, case)
        end)
    end

    it("whose argument errors name the program's line", function()
        local own = socket.coroutine
        local line = "^spec/task_coroutine_spec.lua:%d+: bad argument #1 to "
        local function misuse()
            own.resume(5) -- no tail call, which leaves no line
            return true
        end
        local _, err = pcall(misuse)
        assert.truthy(err:match(line .. "'resume' %(coroutine expected, got number%)$"), err)
        _, err = pcall(function()
            own.wrap "f"
            return true
        end)
        assert.truthy(err:match(line .. "'wrap' %(function expected, got string%)$"), err)
    end)

    if lua.close then
        it("that close the variables of a wrapped one that fails", function()
            local code = [[
                local coroutine, closed = ...
                local f = coroutine.wrap(function()
                    local v <close> = setmetatable({}, { __close = function() closed.n = closed.n + 1 end })
                    coroutine.yield()
                    error "broken"
                end)
                f()
                return pcall(f)
            ]]
            local closed = { n = 0 }
            assert.is_false(tasks.run(assert(loadstring or load)(code), coroutine, closed))
            assert.equal(1, closed.n)
        end)
    end
end)

describe("a coroutine of the program's own that makes a call", function()
    tasks.guard()

    each_wait(function(name, make)
        for _, depth in ipairs { 1, 3 } do
            it(("that waits (%s), %d deep, gets its results"):format(name, depth), function()
                local case = make()
                local task = spawn(function()
                    return within(depth, function()
                        return case.call(10)
                    end)
                end)
                tasks.settle()
                assert.equal("waiting", task:status())
                if case.wake then -- nothing makes room in a full listener's queue
                    case.wake()
                    local results = t.pack(join(task))
                    for i, good in ipairs(case.good) do
                        assert.equal(good, results[i])
                    end
                end
                task:cancel()
                tasks.settle()
                case:drop()
            end)
        end

        it("that waits (" .. name .. ") too long, or is cancelled, is told", function()
            local function error_of(case, seconds)
                return t.pack(within(2, function()
                    return case.call(seconds)
                end))[(case.nils or 1) + 1]
            end
            local timed_out, cancelled = make(), make()
            local first, second = spawn(error_of, timed_out, 0.005), spawn(error_of, cancelled, -1)
            tasks.settle()
            assert(second:cancel())
            assert.equal(name ~= "sleep" and socket.ERROR_TIMEOUT or nil, join(first))
            assert.equal(socket.ERROR_CANCELLED, join(second))
            timed_out:drop()
            cancelled:drop()
        end)
    end)

    it("gives what it yields, over a slow link", function()
        local s, p = t.with_python [[
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for c in b"ab\ncde\n\nf\n":
                s.sendall(bytes([c])); time.sleep(0.01)
            s.close()
        ]]
        local lines = tasks.run(function()
            local next_line = coroutine.wrap(function()
                local record, data = s:readuntil "\n", ""
                local line = record() -- by hand: Lua 5.1 cannot wait in an iterator
                while line do
                    data = data .. line .. ";"
                    coroutine.yield(data)
                    line = record()
                end
            end)
            local seen = {}
            local line = next_line()
            while line do
                seen[#seen + 1] = line
                line = next_line()
            end
            return seen
        end)
        assert.same({ "ab;", "ab;cde;", "ab;cde;;", "ab;cde;;f;" }, lines)
        s:close()
        p:finish()
    end)

    it("waits in the main program too, while the tasks run", function()
        local a, b = socket.pair()
        spawn(function()
            socket.sleep(0.002)
            assert(b:write "x")
        end)
        assert.equal(
            "x",
            within(3, function()
                return a:read(1)
            end)
        )
        a:close()
        b:close()
    end)

    it("waits as deep as coroutines go", function()
        local a, b = socket.pair()
        local task = spawn(within, 100, function()
            return a:read(2)
        end)
        for _, c in ipairs { "x", "y" } do
            tasks.settle()
            assert(b:write(c))
        end
        assert.equal("xy", join(task))
        a:close()
        b:close()
    end)

    it("waits many times", function()
        assert.equal(
            2000,
            tasks.run(within, 2, function()
                local n = 0
                for _ = 1, 2000 do
                    assert(socket.sleep(0))
                    n = n + 1
                end
                return n
            end)
        )
    end)

    it("gives others their turn by a sleep of no time", function()
        local order = {}
        local function note(name)
            order[#order + 1] = name
        end
        local first = socket.spawn(function()
            local co = socket.coroutine.wrap(function()
                for i = 1, 3 do
                    note(i)
                    socket.sleep(0)
                end
            end)
            co()
        end)
        local second = socket.spawn(function()
            for _ = 1, 3 do
                note "second"
                socket.sleep(0)
            end
        end)
        assert(first:wait(10))
        assert(second:wait(10))
        assert.same({ 1, "second", 2, "second", 3, "second" }, order)
    end)

    it("raises where Lua's own library is on the way, and names the remedy", function()
        local function sleeps()
            return socket.sleep(0.001)
        end
        tasks.run(function()
            local direct = t.pack(lua.resume(lua.create(sleeps)))
            local below = t.pack(lua.resume(lua.create(function()
                return coroutine.resume(coroutine.create(sleeps))
            end)))
            local above = t.pack(coroutine.resume(coroutine.create(function()
                return lua.resume(lua.create(sleeps))
            end)))
            for _, got in ipairs { direct[2], below[3], above[3] } do
                assert.matches("this call would block, but this coroutine is not a task", got, 1, true)
                assert.matches("socket.coroutine", got, 1, true)
            end
            assert.is_true(within(1, sleeps)) -- and nothing is left of that
        end)
    end)

    it("of Lua's own library does not count as a turn of its task", function()
        local ticks = tasks.ticker(0)
        local a, b = socket.pair()
        a:settimeout(0)
        tasks.run(function()
            local call = lua.wrap(function()
                while true do
                    for _ = 1, 70 do
                        a:read(1)
                    end
                    lua.yield()
                end
            end)
            local n = ticks.n
            for _ = 1, 100 do
                call()
                a:read(1) -- here it can be suspended
            end
            assert(ticks.n > n + 10, ticks.n - n)
        end)
        a:close()
        b:close()
    end)

    it("raises where it cannot wait: in a metamethod that resumes it, or one that calls", function()
        tasks.run(function()
            local object = setmetatable({}, {
                __lt = function()
                    return within(1, function()
                        return socket.sleep(0.001)
                    end)
                end,
            })
            local ok, err = coroutine.resume(coroutine.create(function()
                table.sort { object, object, object }
            end))
            assert.is_false(ok)
            -- Lua 5.2 finds out in lua_yield.
            assert.truthy(err:find("cannot wait here", 1, true) or err:find("attempt to yield", 1, true), err)
        end)
    end)

    it("is left alone by others that resume it while its call waits", function()
        local a, b = socket.pair()
        local co = coroutine.create(function()
            return within(2, function()
                return a:read(2)
            end)
        end)
        local task = spawn(function()
            return coroutine.resume(co)
        end)
        tasks.settle()
        for _, f in ipairs { function(f) return f() end, tasks.run } do
            local ok, err = f(function()
                return coroutine.resume(co, 1, 2)
            end)
            assert.is_false(ok)
            assert.matches("waits in a call", err, 1, true)
            assert.equal("suspended", lua.status(co))
        end
        assert(b:write "xy")
        local ok, data = join(task)
        assert.is_true(ok)
        assert.equal("xy", data)
        assert.equal("dead", coroutine.status(co))
        a:close()
        b:close()
    end)

    it("is resumed again after Lua's own library, or it is dead, and the task goes on", function()
        local a, b = socket.pair()
        local inner
        local task = spawn(function()
            local co = coroutine.create(function()
                inner = coroutine.create(function()
                    return a:read(2)
                end)
                return coroutine.resume(inner)
            end)
            return coroutine.resume(co)
        end)
        tasks.settle()
        lua.resume(inner, "instead of the results")
        assert(b:write "xy")
        local ok, inner_ok, err = join(task)
        assert.is_true(ok)
        assert.is_false(inner_ok)
        assert.matches("cannot resume", err, 1, true)
        assert.equal("xy", a:read(2))
        a:close()
        b:close()
    end)

    -- Three coroutines, each in the one before; the last waits. `closed` tells whose variables have been closed.
    local function nested(a, closed)
        local cos = {}
        local body = lua.close and (loadstring or load) [[
            local n, closed, f = ...
            local v <close> = setmetatable({}, { __close = function() closed[n] = true end })
            return f()
        ]]
        local function start(n)
            return body(n, closed, function()
                if n == 3 then
                    return a:read(1)
                end
                cos[n + 1] = coroutine.create(start)
                return coroutine.resume(cos[n + 1], n + 1)
            end)
        end
        cos[1] = coroutine.create(start)
        return cos
    end

    for which = 1, lua.close and 3 or 0 do
        for name, library in pairs { ["Lua's own library"] = lua, ["socket.coroutine"] = coroutine } do
            local title = ("is closed while that waits (number %d of 3) by %s: its resumer is told"):format(which, name)
            it(title, function()
                local a, b = socket.pair()
                local closed = {}
                local cos = nested(a, closed)
                local task = spawn(function()
                    return t.pack(coroutine.resume(cos[1], 1))
                end)
                tasks.settle()
                assert.is_true(library.close(cos[which]))
                assert.is_true(closed[which])
                if library == lua then -- that tells nobody: the wait must end by itself
                    assert(b:write "x")
                end
                local results = join(task)
                assert.is_false(results[which])
                assert.matches("cannot resume dead coroutine", results[which + 1], 1, true)
                if library == coroutine then
                    assert(b:write "x")
                end
                assert.equal("x", a:read(1)) -- nobody waits on it any more
                a:close()
                b:close()
            end)
        end
    end

    it("may be collected with all in it when the task that resumed it is cancelled", function()
        local a, b = socket.pair()
        for _ = 1, 20 do
            local task = spawn(function()
                within(3, function()
                    a:read(1)
                    error "enough"
                end)
            end)
            tasks.settle()
            task:cancel()
            tasks.settle()
            collectgarbage()
        end
        assert(b:write "x")
        assert.equal("x", a:read(1))
        a:close()
        b:close()
    end)

    it("finds the end of the C stack as Lua's own coroutines do", function()
        if jit then
            return -- its own find none
        end
        local function nest()
            return socket.coroutine.wrap(nest)()
        end
        local ok, err = pcall(nest)
        assert.is_false(ok)
        assert.truthy(tostring(err):find("stack overflow", 1, true), err)
    end)
end)
