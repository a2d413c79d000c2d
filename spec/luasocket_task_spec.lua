-- The bridge to LuaSocket in tasks: each call that waits suspends its task alone; cancelling, closing, sharing.

local each_wait = require "support.luasocket_waits"
local luasocket = require "support.luasocket"
local space = require "support.space"
local t = require "support.t"
local tasks = require "support.tasks"

local bridge = require "ssocket.luasocket"
local native = t.socket

local results = luasocket.results
local spawn, join = tasks.spawn, tasks.join

local BRIEF = 0.015 * t.slow

-- The results of a call that failed with the text.
local function failed(case, text)
    return (case.failed:gsub("%%s", function()
        return '"' .. text .. '"'
    end))
end

-- A task that makes the call, with its results as text.
local function waiting(case, seconds)
    local task = spawn(function()
        return results(case.call(seconds))
    end)
    tasks.settle()
    return task
end

local function describe_bridge(title, body)
    luasocket.describe(title, function(_, tested)
        if not tested.real then
            describe("in tasks", function()
                tasks.guard()
                body()
            end)
        end
    end)
end

describe_bridge("a wait", function()
    each_wait(function(name, make)
        it("in " .. name .. " lets the others run, until its time is over", function()
            local case, ticks = make(), tasks.ticker(0)
            local before = ticks.n
            local task = waiting(case, BRIEF)
            assert.equal(failed(case, "timeout"), t.takes(0, join, task))
            assert.is_true(ticks.n - before >= 2, ticks.n - before)
            case = make()
            assert.equal(failed(case, "timeout"), results(t.takes(0, tasks.run, case.call, 0)))
        end)

        it("in " .. name .. ", it ends as soon as it can", function()
            local case = make()
            local task = waiting(case)
            if case.wake then
                case.wake()
                assert.equal(case.good, t.deadline(5, join, task))
            end
            task:cancel()
        end)

        it("in " .. name .. ", cancelling its task ends it, and what waits after it", function()
            local case = make()
            local task = spawn(function()
                local first = results(case.call())
                return first, results(case.call())
            end)
            tasks.settle()
            task:cancel()
            local first, second = t.deadline(5, join, task)
            assert.equal(failed(case, native.ERROR_CANCELLED), first)
            assert.not_matches("timeout", second)
        end)

        it("in " .. name .. ", closing its object in another task ends it", function()
            local case = make()
            local task = waiting(case)
            if case.closes then
                assert.equal(1, case.closes:close())
                local expected = failed(case, "closed")
                if case.as_closed then
                    expected = results(case.call())
                end
                assert.equal(expected, t.deadline(5, join, task))
                assert.equal(-1, case.closes:getfd())
            end
            task:cancel()
        end)
    end)

    it("in the main program lets the tasks run", function()
        local ticks = tasks.ticker(0)
        local _, b = luasocket.pair(bridge)
        b:settimeout(BRIEF)
        for _, wait in ipairs {
            function()
                return (select(2, b:receive()))
            end,
            function()
                return (select(3, bridge.select({ b }, nil, BRIEF)))
            end,
            function()
                return (select(3, bridge.select(nil, nil, BRIEF)))
            end,
        } do
            local before = ticks.n
            assert.equal("timeout", luasocket.takes(BRIEF, wait))
            assert.is_true(ticks.n - before >= 2, ticks.n - before)
        end
        b:close()
    end)

    it("sleep takes its time and gives nothing", function()
        local ticks = tasks.ticker(0)
        local before = ticks.n
        assert.equal("", results(luasocket.takes(BRIEF, tasks.run, bridge.sleep, BRIEF)))
        assert.is_true(ticks.n - before >= 2, ticks.n - before)
        local task = spawn(bridge.sleep, 1000)
        tasks.settle()
        task:cancel()
        t.deadline(5, join, task)
    end)

    it("twenty wait no longer than one", function()
        local all = {}
        local began = t.now()
        for i = 1, 20 do
            all[i] = spawn(bridge.sleep, 0.05)
        end
        for _, task in ipairs(all) do
            join(task)
        end
        assert.is_true(t.now() - began < 0.5 * t.slow)
    end)

    it("a look-up lets the others run", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua [[
            local ls = require "ssocket.luasocket"
            local turns = 0
            local ticker = socket.spawn(function()
                while socket.sleep(0) do turns = turns + 1 end
            end)
            for _, call in ipairs {
                function() return ls.dns.getaddrinfo "late-40.test." end,
                function() return ls.dns.toip "late-40.test." end,
                function() return ls.connect("late-40.test.", 1) end,
                function() return ls.udp():setpeername("late-40.test.", 1) end,
            } do
                local before = turns
                local ok, err = socket.spawn(call):wait(10)
                assert(ok, err)
                assert(turns - before >= 2, turns - before)
            end
            ticker:cancel()
        ]]
    end)
end)

describe_bridge("sharing", function()
    it("read and write at once", function()
        local a, b = luasocket.pair(bridge)
        local data = t.random(300000)
        local echo = spawn(function()
            local got = 0
            while got < #data do
                local piece = assert(b:receive(math.min(8192, #data - got)))
                assert(b:send(piece))
                got = got + #piece
            end
        end)
        local writer = spawn(function()
            return a:send(data)
        end)
        assert.equal(data, (tasks.run(a.receive, a, #data)))
        assert.equal(#data, join(writer))
        join(echo)
        a:close()
        b:close()
    end)

    it("do not both read: the second is told so, and the first has all bytes", function()
        local a, b = luasocket.pair(bridge)
        local first = spawn(function()
            return b:receive()
        end)
        tasks.settle()
        local second = t.pack(tasks.run(b.receive, b))
        assert.same({ nil, native.ERROR_BUSY, "", n = 3 }, second)
        a:send "line\n"
        assert.equal("line", (join(first)))
        a:close()
        b:close()
    end)

    it("each have their own sockets' times", function()
        local a, b = luasocket.pair(bridge)
        b:settimeout(BRIEF)
        local task = spawn(function()
            return b:receive()
        end)
        tasks.settle()
        b:settimeout(1000) -- for the next call
        assert.equal("timeout", (select(2, t.deadline(5, join, task))))
        a:close()
        b:close()
    end)
end)

describe_bridge("select", function()
    local function two_pairs()
        local a, b = luasocket.pair(bridge)
        local c, d = luasocket.pair(bridge)
        return a, b, c, d
    end

    it("goes on with the rest when one of its sockets is closed", function()
        local a, b, c, d = two_pairs()
        local task = spawn(function()
            local r, w, err = bridge.select({ b, d }, nil, 10)
            return r[1], #r, #w, err
        end)
        tasks.settle()
        b:close()
        tasks.settle()
        c:send "x"
        local first, reads, writes, err = t.deadline(5, join, task)
        assert.equal(d, first)
        assert.equal("1, 0, nil", results(reads, writes, err))
        for _, s in ipairs { a, c, d } do
            s:close()
        end
    end)

    it("goes on when its lists are emptied and collected", function()
        local a, b, c, d = two_pairs()
        local list = { b, d }
        local task = spawn(function()
            local r = bridge.select(list, nil, 10)
            return #r
        end)
        tasks.settle()
        list[1], list[2] = nil, nil
        b = nil -- luacheck: ignore 311
        t.collect()
        c:send "x"
        assert.equal(1, t.deadline(5, join, task))
        for _, s in ipairs { a, c, d } do
            s:close()
        end
    end)

    it("sees what another one reads, and many may wait on one socket", function()
        local a, b, c, d = two_pairs()
        local all = {}
        for i = 1, 3 do
            all[i] = spawn(function()
                return #bridge.select({ b }, nil, 10)
            end)
        end
        tasks.settle()
        a:send "x"
        for _, task in ipairs(all) do
            assert.equal(1, t.deadline(5, join, task))
        end
        for _, s in ipairs { a, b, c, d } do
            s:close()
        end
    end)
end)

describe_bridge("protect", function()
    it("has calls in it wait, and try's errors come out", function()
        local a, b = luasocket.pair(bridge)
        local closed
        local read = bridge.protect(function(pattern, ...)
            local try = bridge.newtry(function()
                closed = true
            end)
            return try(b:receive(pattern)), ...
        end)
        local task = spawn(function()
            local line, more, none, last = read("*l", 1, nil, 3)
            local ok, err = read "*l"
            return line, more, none, last, ok, err
        end)
        tasks.settle()
        a:send "line\n"
        tasks.settle()
        a:close()
        assert.equal('"line", 1, nil, 3, nil, "closed"', results(t.deadline(5, join, task)))
        assert.is_true(closed)
        b:close()
    end)

    it("passes on other errors as the same value", function()
        local reason = {}
        local ok, err = tasks.run(pcall, bridge.protect(function()
            bridge.sleep(0)
            error(reason)
        end))
        assert.is_false(ok)
        assert.equal(reason, err)
    end)

    it("stands in itself, and waits at each level", function()
        local inner = bridge.protect(function()
            bridge.sleep(0.001)
            bridge.try(nil, "inner")
        end)
        local outer = bridge.protect(function()
            bridge.sleep(0.001)
            bridge.try(inner())
        end)
        assert.equal('nil, "inner"', results(tasks.run(outer)))
    end)

    it("is ended with its task", function()
        local a, b = luasocket.pair(bridge)
        local task = spawn(bridge.protect(function()
            return bridge.try(b:receive())
        end))
        tasks.settle()
        task:cancel()
        assert.equal(('nil, "%s"'):format(native.ERROR_CANCELLED), results(t.deadline(5, join, task)))
        a:close()
        b:close()
    end)
end)

describe_bridge("a coroutine", function()
    it("needs not wait where it has no time, which is Copas' way", function()
        local a, b = luasocket.pair(bridge)
        b:settimeout(0)
        tasks.run(function()
            local co = coroutine.wrap(function()
                coroutine.yield(results(b:receive()))
                return results(b:receive())
            end)
            assert.equal('nil, "timeout", ""', co())
            a:send "line\n"
            assert.equal('"line", nil, nil', co())
        end)
        a:close()
        b:close()
    end)
end)
