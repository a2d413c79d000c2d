-- Channels against a plain queue, and with takers and givers that never come back.

local t = require "support.t"
local tasks = require "support.tasks"

local socket = t.socket

describe("a channel", function()
    tasks.guard()

    it("lets go of what several have waited to put whose coroutines the program has resumed", function()
        local ch, weak, coroutines = socket.channel(), setmetatable({}, { __mode = "k" }), {}
        for i = 1, 3 do
            tasks.spawn(function()
                coroutines[i] = coroutine.running()
                local value = {}
                weak[value] = true
                ch:put(value)
            end)
        end
        tasks.settle()
        for i = 1, 3 do
            coroutine.resume(coroutines[i])
        end
        t.fails(socket.ERROR_TIMEOUT, nil, ch:get(0))
        coroutines = nil -- luacheck: ignore
        tasks.settle()
        t.collect()
        assert.is_nil(next(weak))
        pcall(socket.run)
        t.collect()
        pcall(socket.run)
    end)

    it("gives what it has promised to whoever has waited for it, and the next value to who comes later", function()
        local ch, got = socket.channel(1), {}
        local early = tasks.spawn(function()
            got.first = ch:get()
        end)
        tasks.settle()
        local giver = tasks.spawn(function()
            return ch:put "A" and ch:put "B"
        end)
        local late = tasks.spawn(function()
            got.late = ch:get(5)
        end)
        tasks.join(giver)
        tasks.join(late)
        tasks.join(early)
        assert.same({ first = "A", late = "B" }, got)
    end)

    it("keeps order at each size, like a plain queue, by random operations", function()
        for seed = 1, 30 do
            local random = t.random(3000, seed)
            local ch = socket.channel(seed % 2 == 0 and 100 or 2 ^ 31 - 2)
            local queue, first, last = {}, 1, 0
            local phase = 0
            for i = 1, #random do
                if i % 150 == 0 then
                    phase = random:byte(i) % 3 -- mostly put, mostly get, both
                end
                local puts = random:byte(i) % 4 < (phase == 0 and 3 or phase == 1 and 1 or 2)
                if puts then
                    local ok = ch:put(i, 0)
                    assert.equal(last - first + 1 < 100 or seed % 2 == 1, ok == true)
                    if ok then
                        last = last + 1
                        queue[last] = i
                    end
                elseif first > last then
                    t.fails(socket.ERROR_TIMEOUT, nil, ch:get(0))
                else
                    assert.equal(queue[first], ch:get(0))
                    first = first + 1
                end
            end
            while first <= last do
                assert.equal(queue[first], ch:get(0))
                first = first + 1
            end
            ch:close()
        end
    end)

    it("gives the value to the next taker when the first was resumed by a stranger", function()
        for woken = 0, 1 do
            local ch = socket.channel(1)
            local co
            local first = tasks.spawn(function()
                co = coroutine.running()
                return ch:get()
            end)
            tasks.settle()
            local second = woken == 1 and tasks.spawn(ch.get, ch)
            tasks.settle()
            if woken == 1 then
                assert.is_true(ch:put "value")
            end
            assert(coroutine.resume(co, "stranger"))
            if woken == 0 then
                second = tasks.spawn(ch.get, ch)
                tasks.settle()
                assert.is_true(ch:put("value", 0))
            end
            assert.same({ true, "value" }, { second:wait(5) })
            assert.is_nil((first:wait(5)))
        end
    end)

    it("keeps the value when there is no other taker", function()
        for woken = 0, 1 do
            local ch = socket.channel(1)
            local co
            local first = tasks.spawn(function()
                co = coroutine.running()
                return ch:get()
            end)
            tasks.settle()
            if woken == 1 then
                assert.is_true(ch:put("value", 0))
            end
            assert(coroutine.resume(co, "stranger"))
            if woken == 0 then
                assert.is_true(ch:put("value", 0))
            end
            first:wait(5)
            assert.equal("value", ch:get(0))
        end
    end)

    it("takes no value of a giver that was resumed by a stranger", function()
        local ch = socket.channel()
        local co
        local first = tasks.spawn(function()
            co = coroutine.running()
            return ch:put "withdrawn"
        end)
        local second = tasks.spawn(ch.put, ch, "second")
        tasks.settle()
        assert(coroutine.resume(co, "stranger"))
        assert.equal("second", ch:get(5))
        t.fails(socket.ERROR_TIMEOUT, nil, ch:get(0))
        assert.is_true(tasks.join(second))
        assert.is_nil((first:wait(5)))
    end)
end)
