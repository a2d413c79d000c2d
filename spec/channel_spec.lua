-- Channels: values handed from task to task, and to the main program.

local t = require "support.t"
local tools = require "support.tools"
local tasks = require "support.tasks"

local socket = t.socket
local spawn, join = tasks.spawn, tasks.join

-- What comes out of a channel until it is closed.
local function drain(channel)
    local values = {}
    local value, err = channel:get(10)
    while value ~= nil do
        values[#values + 1] = value
        value, err = channel:get(10)
    end
    assert.equal(socket.ERROR_CLOSED, err)
    return values
end

local function count_to(n)
    local numbers = {}
    for i = 1, n do
        numbers[i] = i
    end
    return numbers
end

local capacities = { 0, 1, 2, 7, 1000 }

describe("a channel", function()
    tasks.guard()

    for _, capacity in ipairs(capacities) do
        it(("of capacity %d hands values on in their order"):format(capacity), function()
            local channel = socket.channel(capacity)
            spawn(function()
                for i = 1, 300 do
                    assert.same(t.pack(true), t.pack(channel:put(i)))
                end
                assert.equal(1, channel:close())
            end)
            assert.same(count_to(300), tasks.run(drain, channel))
        end)

        it(("of capacity %d hands them on in bursts, to and fro"):format(capacity), function()
            local channel = socket.channel(capacity)
            local taken = 0
            spawn(function()
                for i = 1, 200 do
                    assert(channel:put(i))
                    if i % 9 == 0 then
                        tasks.settle()
                    end
                end
            end)
            for i = 1, 200 do
                assert.equal(i, channel:get(10))
                taken = i
                if i % 14 == 0 then
                    tasks.settle()
                end
            end
            assert.equal(200, taken)
        end)

        it(("of capacity %d takes so many and lets the next giver wait"):format(capacity), function()
            local channel = socket.channel(capacity)
            local put = 0
            local giver = spawn(function()
                for i = 1, capacity + 2 do
                    assert(channel:put(i))
                    put = i
                end
            end)
            tasks.settle()
            for _ = 1, capacity / 50 do
                tasks.settle()
            end
            assert.equal(capacity, put)
            assert.equal("waiting", giver:status())
            t.fails(socket.ERROR_TIMEOUT, nil, channel:put("one more", 0))
            for i = 1, capacity + 2 do
                assert.equal(i, channel:get(5))
                tasks.settle()
                assert.equal(math.min(capacity + i, capacity + 2), put)
            end
            t.fails(socket.ERROR_TIMEOUT, nil, channel:get(0))
        end)

        it(("of capacity %d gives each value to one taker, with many of both"):format(capacity), function()
            local channel = socket.channel(capacity)
            local seen, givers, takers = {}, {}, {}
            for g = 1, 20 do
                givers[g] = spawn(function()
                    for i = 1, 30 do
                        assert(channel:put(g * 1000 + i))
                        if (g + i) % 5 == 0 then
                            socket.sleep(0)
                        end
                    end
                end)
            end
            for i = 1, 13 do
                takers[i] = spawn(function()
                    local last = {}
                    local value = channel:get()
                    while value do
                        local g, n = math.floor(value / 1000), value % 1000
                        assert(not seen[value], "twice")
                        assert(n > (last[g] or 0), "out of order")
                        seen[value], last[g] = true, n
                        if value % 7 == 0 then
                            socket.sleep(0)
                        end
                        value = channel:get()
                    end
                end)
            end
            for g = 1, 20 do
                join(givers[g])
            end
            channel:close()
            for i = 1, 13 do
                join(takers[i])
            end
            local n = 0
            for _ in pairs(seen) do
                n = n + 1
            end
            assert.equal(600, n)
        end)
    end

    it("has no capacity unless it is given one", function()
        for _, channel in ipairs { socket.channel(), socket.channel(nil), socket.channel(0) } do
            t.fails(socket.ERROR_TIMEOUT, nil, channel:put(1, 0))
        end
        assert.is_true(socket.channel(1.0):put(1, 0))
    end)

    it("hands on values of every type, false among them, as they are", function()
        local object = setmetatable({}, { __eq = error, __index = error })
        for _, capacity in ipairs { 0, 3 } do
            local channel = socket.channel(capacity)
            for _, value in ipairs {
                false, true, 0, -1.5, "", "a\0b", object, print, coroutine.create(function() end), socket.tcp(),
                channel, math.huge,
            } do
                local giver = spawn(channel.put, channel, value)
                local got = channel:get(5)
                assert.is_true(rawequal(value, got))
                assert.is_true(join(giver))
                local taker = spawn(channel.get, channel)
                tasks.settle()
                assert.is_true(channel:put(value))
                got = join(taker)
                assert.is_true(rawequal(value, got))
            end
            local nan = tools.nan
            spawn(channel.put, channel, nan)
            local got = channel:get(5)
            assert.is_true(got ~= got)
        end
    end)

    it("does not take nil, in whatever way it is said", function()
        local channel = socket.channel(5)
        t.rejects(channel.put, channel)
        t.rejects(channel.put, channel, nil)
        t.rejects(channel.put, channel, nil, 1)
        local taker = spawn(channel.get, channel)
        tasks.settle()
        t.rejects(channel.put, channel, nil)
        assert.equal("waiting", taker:status())
        channel:close()
        t.rejects(channel.put, channel, nil)
    end)

    it("serves those who wait in the order in which they came", function()
        local channel, order = socket.channel(), {}
        for i = 1, 10 do
            spawn(function()
                local value = channel:get()
                order[#order + 1] = i .. value
            end)
        end
        tasks.settle()
        for i = 1, 10 do
            assert.is_true(channel:put("v" .. i))
        end
        socket.run()
        for i = 1, 10 do
            assert.equal(i .. "v" .. i, order[i])
        end
        order = {}
        for i = 1, 10 do
            spawn(function()
                assert(channel:put(i))
                order[#order + 1] = i
            end)
        end
        tasks.settle()
        for i = 1, 10 do
            assert.equal(i, channel:get())
        end
        socket.run()
        assert.same(count_to(10), order)
    end)

    it("gives the main program what tasks put, and tasks what it puts", function()
        local channel, back = socket.channel(), socket.channel(3)
        spawn(function()
            local value = channel:get()
            while value do
                assert(back:put(value * 2))
                value = channel:get()
            end
            back:close()
        end)
        for i = 1, 200 do
            assert.is_true(channel:put(i))
            assert.equal(2 * i, back:get())
        end
        channel:close()
        t.fails(socket.ERROR_CLOSED, nil, back:get())
    end)

    -- So many calls that did not wait: the main program and a task let others run in between.
    for calls = 60, 70, 2 do
        it(("misses nobody after %d calls that did not wait"):format(calls), function()
            local a, b = socket.pair()
            local function busy()
                for _ = 1, calls do
                    assert(a:write "x")
                end
                assert(b:read(calls))
            end
            for _, capacity in ipairs { 0, 1 } do
                local channel = socket.channel(capacity)
                local function exchange()
                    local giver = spawn(channel.put, channel, "value")
                    busy()
                    assert.equal("value", channel:get(5))
                    join(giver)
                    local taker = spawn(channel.get, channel)
                    busy()
                    assert.is_true(channel:put("value", 5))
                    assert.equal("value", join(taker))
                    t.fails(socket.ERROR_TIMEOUT, nil, channel:get(0))
                end
                exchange()
                tasks.run(exchange)
            end
            a:close()
            b:close()
        end)
    end

    it("lets a thousand tasks pass a value round", function()
        local first = socket.channel()
        local last = first
        for _ = 1, 1000 do
            local from, to = last, socket.channel()
            spawn(function()
                assert(to:put(from:get() + 1))
            end)
            last = to
        end
        spawn(first.put, first, 0)
        assert.equal(1000, last:get(20))
    end)

    it("carries a long stream and keeps nothing of it", function()
        local n = math.floor(50000 / t.slow)
        for _, capacity in ipairs { 0, 16 } do
            local channel = socket.channel(capacity)
            spawn(function()
                for i = 1, n do
                    assert(channel:put("value " .. i))
                end
                channel:close()
            end)
            local before, i = nil, 0
            local value = channel:get()
            while value do
                i = i + 1
                assert(value == "value " .. i)
                if i == 1000 or i == n - 100 then
                    t.collect()
                    before = before or collectgarbage "count"
                end
                value = channel:get()
            end
            assert.equal(n, i)
            t.collect()
            assert.is_true(collectgarbage "count" - before < 256) -- a table of all strings may grow at any time
        end
    end)

    it("keeps what is in it alive, and lets go of what was taken", function()
        local weak = setmetatable({}, { __mode = "v" })
        for _, capacity in ipairs { 0, 4 } do
            local channel = socket.channel(capacity)
            weak.value = {}
            local giver = spawn(function(value)
                return channel:put(value)
            end, weak.value)
            tasks.settle()
            t.collect()
            assert.is_table(weak.value)
            assert.is_table((channel:get(5)))
            join(giver)
            giver = nil -- luacheck: ignore
            t.collect()
            assert.is_nil(weak.value)
        end
    end)

    it("lets go of what was withdrawn", function()
        local weak = setmetatable({}, { __mode = "v" })
        local channel = socket.channel()
        weak.first, weak.second = {}, {}
        local first = spawn(channel.put, channel, weak.first, 0.001)
        local second = spawn(channel.put, channel, weak.second)
        tasks.settle()
        second:cancel()
        assert.same({ true, nil, socket.ERROR_TIMEOUT }, { first:wait() })
        assert.same({ true, nil, socket.ERROR_CANCELLED }, { second:wait() })
        first, second = nil, nil -- luacheck: ignore
        t.collect()
        assert.same({}, { weak.first, weak.second })
        t.fails(socket.ERROR_TIMEOUT, nil, channel:get(0))
    end)

    it("is collected with what is in it", function()
        local weak = setmetatable({}, { __mode = "v" })
        do
            weak.channel, weak.value = socket.channel(3), {}
            assert(weak.channel:put(weak.value))
        end
        t.collect()
        assert.same({}, { weak.channel, weak.value })
    end)
end)

describe("a time-out of a channel", function()
    tasks.guard()

    tasks.everywhere("of 0 never waits, of more waits so long", function()
        local channel, full = socket.channel(), socket.channel(1)
        assert.is_true(full:put(1, 0))
        for _, seconds in ipairs { 0, 0.01 } do
            t.takes(seconds, function()
                t.fails(socket.ERROR_TIMEOUT, nil, channel:get(seconds))
            end)
            t.takes(seconds, function()
                t.fails(socket.ERROR_TIMEOUT, nil, channel:put("lost?", seconds))
            end)
            t.takes(seconds, function()
                t.fails(socket.ERROR_TIMEOUT, nil, full:put("lost?", seconds))
            end)
        end
        assert.equal(1, full:get(0))
        t.fails(socket.ERROR_TIMEOUT, nil, full:get(0))
        t.fails(socket.ERROR_TIMEOUT, nil, channel:get(0))
    end)

    tasks.everywhere("that is nil or negative is none", function()
        local channel = socket.channel()
        for _, seconds in ipairs { -1, math.huge, 1e300 } do
            local giver = spawn(function()
                socket.sleep(0.002)
                return channel:put("late", seconds)
            end)
            assert.equal("late", channel:get(seconds))
            assert.is_true(join(giver))
        end
        spawn(channel.put, channel, "now", nil)
        assert.equal("now", channel:get(nil))
    end)

    it("withdraws what was put, and only that", function()
        local channel = socket.channel(1)
        local results, givers = {}, {}
        for i = 1, 5 do
            givers[i] = spawn(function()
                results[i] = t.pack(channel:put(i, i % 2 == 0 and 0.002 or nil))
            end)
        end
        socket.sleep(0.01)
        join(givers[2]) -- a busy machine may have begun it only now
        join(givers[4])
        for _, expected in ipairs { 1, 3, 5 } do
            assert.equal(expected, channel:get(1))
        end
        t.fails(socket.ERROR_TIMEOUT, nil, channel:get(0.001))
        for i = 1, 5 do
            local withdrawn = t.pack(nil, socket.ERROR_TIMEOUT)
            assert.same(i % 2 == 0 and withdrawn or t.pack(true), results[i])
        end
    end)

    it("of a taker leaves the value to the next", function()
        local channel = socket.channel()
        local first = spawn(channel.get, channel, 0.001)
        local second = spawn(channel.get, channel)
        socket.sleep(0.005)
        t.fails(socket.ERROR_TIMEOUT, nil, select(2, first:wait()))
        assert.is_true(channel:put("value"))
        assert.equal("value", join(second))
    end)
end)

describe("cancelling one who waits at a channel", function()
    tasks.guard()

    it("takes the giver's value back", function()
        local channel = socket.channel()
        local first, second = spawn(channel.put, channel, 1), spawn(channel.put, channel, 2)
        tasks.settle()
        first:cancel()
        assert.equal(2, channel:get(5))
        assert.same({ true, nil, socket.ERROR_CANCELLED }, { first:wait() })
        assert.is_true(join(second))
        t.fails(socket.ERROR_TIMEOUT, nil, channel:get(0))
    end)

    it("leaves the value to the next taker", function()
        local channel = socket.channel()
        local first, second = spawn(channel.get, channel), spawn(channel.get, channel)
        tasks.settle()
        first:cancel()
        assert.is_true(channel:put "value")
        assert.same({ true, nil, socket.ERROR_CANCELLED }, { first:wait() })
        assert.equal("value", join(second))
    end)

    -- A value that has been handed over is not lost, whichever of the two is told first.
    it("who has been given a value already, does not lose the value", function()
        local channel = socket.channel()
        local taker = spawn(channel.get, channel)
        tasks.settle()
        assert.is_true(channel:put "given")
        taker:cancel()
        assert.equal("given", join(taker))
        local giver = spawn(channel.put, channel, "taken")
        tasks.settle()
        assert.equal("taken", channel:get())
        giver:cancel()
        assert.is_true(join(giver))
    end)
end)

describe("close of a channel", function()
    tasks.guard()

    it("ends what is put afterwards, and what is taken when nothing is left", function()
        for _, capacity in ipairs(capacities) do
            local channel = socket.channel(capacity)
            for i = 1, math.min(capacity, 3) do
                assert.is_true(channel:put(i))
            end
            assert.equal(1, channel:close())
            assert.equal(1, channel:close())
            t.fails(socket.ERROR_CLOSED, nil, channel:put(9))
            t.fails(socket.ERROR_CLOSED, nil, channel:put(9, 0))
            for i = 1, math.min(capacity, 3) do
                assert.equal(i, channel:get())
            end
            for _ = 1, 2 do
                t.fails(socket.ERROR_CLOSED, nil, channel:get())
                t.fails(socket.ERROR_CLOSED, nil, channel:get(0))
            end
        end
    end)

    it("wakes all takers", function()
        local channel, all = socket.channel(2), {}
        for i = 1, 10 do
            all[i] = spawn(channel.get, channel)
        end
        tasks.settle()
        channel:close()
        for i = 1, 10 do
            assert.same(t.pack(true, nil, socket.ERROR_CLOSED), t.pack(all[i]:wait(5)))
        end
    end)

    it("wakes all givers, whose values were not put", function()
        for _, capacity in ipairs { 0, 2 } do
            local channel, all = socket.channel(capacity), {}
            for i = 1, 5 do
                all[i] = spawn(channel.put, channel, i)
            end
            tasks.settle()
            channel:close()
            for i = 1, 5 do
                local expected = i <= capacity and t.pack(true, true) or t.pack(true, nil, socket.ERROR_CLOSED)
                assert.same(expected, t.pack(all[i]:wait(5)))
            end
            for i = 1, capacity do
                assert.equal(i, channel:get())
            end
            t.fails(socket.ERROR_CLOSED, nil, channel:get())
        end
    end)

    it("wakes the main program", function()
        local channel = socket.channel()
        spawn(function()
            socket.sleep(0.002)
            channel:close()
        end)
        t.fails(socket.ERROR_CLOSED, nil, channel:get())
        channel = socket.channel()
        spawn(function()
            socket.sleep(0.002)
            channel:close()
        end)
        t.fails(socket.ERROR_CLOSED, nil, channel:put "x")
    end)

    it("does not take back what was handed over", function()
        local channel = socket.channel()
        local taker = spawn(channel.get, channel)
        tasks.settle()
        assert.is_true(channel:put "value")
        channel:close()
        assert.equal("value", join(taker))
    end)

    it("may be what a local <close> variable of Lua 5.4 does", function()
        local chunk = (loadstring or load)( -- luacheck: globals loadstring
            "local channel = ...; do local own <close> = channel end"
        )
        if not chunk then
            return -- an older Lua
        end
        local channel = socket.channel()
        chunk(channel)
        t.fails(socket.ERROR_CLOSED, nil, channel:get())
    end)
end)

describe("values of a channel", function()
    tasks.guard()

    local can_loop = _VERSION ~= "Lua 5.1" or _G.jit -- a for loop may wait in a task

    local function by_hand(channel)
        local values, next_value = {}, channel:values()
        local value, err = next_value()
        while value ~= nil do
            values[#values + 1] = value
            value, err = next_value()
        end
        return values, err
    end

    local function by_loop(channel)
        local values = {}
        for value, err in channel:values() do
            assert.is_nil(err)
            values[#values + 1] = value
        end
        return values
    end

    -- Puts those values from a task, and closes the channel.
    local function give(capacity, values)
        local channel = socket.channel(capacity)
        spawn(function()
            for _, value in ipairs(values) do
                assert.is_true(channel:put(value))
                socket.sleep(0)
            end
            channel:close()
        end)
        return channel
    end

    tasks.everywhere("are all that is put until it is closed, false among them", function()
        local values = { 1, false, "x", false, true }
        for _, capacity in ipairs(capacities) do
            local got, err = by_hand(give(capacity, values))
            assert.same(values, got)
            assert.equal(socket.ERROR_CLOSED, err)
            if can_loop then
                assert.same(values, by_loop(give(capacity, values)))
            end
        end
    end)

    tasks.everywhere("are those that are left in a channel that is closed, in a for loop on every Lua", function()
        local channel = socket.channel(200)
        for i = 1, 150 do
            assert.is_true(channel:put(i))
        end
        channel:close()
        assert.same(count_to(150), by_loop(channel))
        assert.same({}, by_loop(channel))
        t.fails(socket.ERROR_CLOSED, nil, channel:values()(nil, "what a for loop passes"))
    end)

    it("go to one of several who take them, and wait for the next", function()
        local channel, seen, takers = socket.channel(), {}, {}
        for i = 1, 5 do
            takers[i] = spawn(function()
                local values = by_hand(channel)
                for _, value in ipairs(values) do
                    assert(not seen[value], "twice")
                    seen[value] = true
                end
                return #values
            end)
        end
        for i = 1, 50 do
            assert.is_true(channel:put(i))
        end
        channel:close()
        local sum = 0
        for i = 1, 5 do
            sum = sum + join(takers[i])
        end
        assert.equal(50, sum)
    end)

    it("end in a task that is cancelled, where the next call that waits says why", function()
        local channel = socket.channel(5)
        local task = spawn(function()
            local values, err = by_hand(channel)
            return #values, err, select(2, socket.sleep(1))
        end)
        tasks.settle()
        assert.is_true(channel:put(false))
        tasks.settle()
        task:cancel()
        local cancelled = socket.ERROR_CANCELLED
        assert.same(t.pack(true, 1, cancelled, cancelled), t.pack(task:wait(5)))
        task = spawn(function()
            local values = by_hand(channel)
            return #values, socket.sleep(1)
        end)
        assert.is_true(channel:put "there already")
        task:cancel()
        assert.same(t.pack(true, 1, nil, cancelled), t.pack(task:wait(5)))
    end)

    it("keep their channel alive, and let go of what was taken", function()
        local channel, weak = socket.channel(1), setmetatable({}, { __mode = "v" })
        local next_value = channel:values()
        weak.channel = channel
        weak.value = {}
        assert.is_true(channel:put(weak.value))
        channel = nil -- luacheck: ignore
        t.collect()
        assert.equal("table", type(next_value()))
        t.collect()
        assert.is_nil(weak.value)
        assert.is_truthy(weak.channel)
        next_value = nil -- luacheck: ignore
        t.collect()
        assert.is_nil(weak.channel)
    end)

    it("are those of channels alone", function()
        local values = socket.channel().values
        tools.misuse(tools.field, { values = values }, "values", 1, { n = 1, socket.tcp() }, "channel expected")
        tools.misuse(tools.field, { values = values }, "values", 1, { n = 0 }, "channel expected")
    end)
end)
