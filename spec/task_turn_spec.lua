-- Calls that need not wait: others have their turn after some of them where a task can be suspended, and nowhere
-- does one raise since it cannot.

local t = require "support.t"
local tasks = require "support.tasks"

local socket = t.socket

local N = 300

-- Calls that need not wait, each once; they raise when they fail.
local function calls()
    local ch = socket.channel(1)
    local a, b = socket.pair()
    local function channel()
        assert(ch:put(1, 0))
        assert(ch:get(0) == 1)
    end
    local function waiting_channel() -- as long as need be, which is not at all
        assert(ch:put(1))
        assert(ch:get() == 1)
    end
    local function stream()
        assert(b:write "x" == 1)
        assert(a:read(1) == "x")
    end
    local function select_ready()
        assert(#select(2, socket.select(nil, { b }, 0)) == 1)
    end
    local ended = socket.spawn(function() end)
    ended:wait()
    local function joined()
        assert(ended:wait(0))
    end
    return { channel, waiting_channel, stream, select_ready, joined }, function()
        a:close()
        b:close()
    end
end

-- Where they are made: each runs f N times.
local places = {
    ["the body"] = function(f)
        for _ = 1, N do
            f()
        end
    end,
    ["a metamethod"] = function(f)
        local object = setmetatable({}, { __index = f, __eq = f, __concat = f })
        for _ = 1, N / 3 do
            local _ = object.field
            _ = object .. "x"
            _ = object.other
        end
    end,
    ["one metamethod"] = function(f)
        local object = setmetatable({}, { __index = function()
            for _ = 1, N do
                f()
            end
        end })
        return object.field
    end,
    ["a finalizer"] = function(f)
        local done
        local function run()
            for _ = 1, N do
                f()
            end
            done = true
        end
        if _G.newproxy then
            getmetatable(_G.newproxy(true)).__gc = run
        else
            setmetatable({}, { __gc = run })
        end
        collectgarbage()
        collectgarbage()
        assert(done, "it has raised")
    end,
    ["a debug hook"] = function(f)
        local err, busy
        local hook, mask, count = debug.gethook()
        debug.sethook(function()
            if busy then
                return
            end
            busy = true
            for _ = 1, N do
                local ok, why = pcall(f)
                err = err or (not ok and why or nil)
            end
        end, "l")
        local _ = 1
        debug.sethook(hook, mask, count)
        assert(busy and not err, err)
    end,
    ["a handler of xpcall"] = function(f)
        local _, result = xpcall(error, function()
            for _ = 1, N do
                f()
            end
            return "done"
        end)
        assert(result == "done", result)
    end,
    ["table.sort"] = function(f)
        local list = {}
        for i = 1, 100 do
            list[i] = (i * 37) % 101
        end
        table.sort(list, function(x, y)
            f()
            return x < y
        end)
    end,
    ["string.gsub"] = function(f)
        string.gsub(("x"):rep(N), "x", function()
            f()
        end)
    end,
    ["an iterator"] = function(f)
        local n = 0
        for _ in function()
            f()
            n = n + 1
            return n < N and n or nil
        end do
            assert(n)
        end
    end,
    ["pcall"] = function(f)
        for _ = 1, N do
            assert(pcall(f))
        end
    end,
    ["a coroutine of the task's"] = function(f)
        local co = coroutine.wrap(function()
            for _ = 1, N do
                f()
                coroutine.yield(true)
            end
        end)
        for _ = 1, N do
            assert(co())
        end
    end,
    ["deep recursion"] = function(f)
        local function deep(n)
            if n == 0 then
                for _ = 1, N do
                    f()
                end
            else
                deep(n - 1)
            end
            return n
        end
        deep(5000)
    end,
    ["load"] = function(f)
        local n = 0
        assert(load(function()
            f()
            n = n + 1
            return n < N and " " or nil
        end))
    end,
    ["tail calls"] = function(f)
        local function tail(n)
            f()
            if n > 0 then
                return tail(n - 1)
            end
        end
        tail(N)
    end,
}

describe("calls that need not wait", function()
    tasks.guard()

    for name, place in pairs(places) do
        tasks.everywhere("raise nothing inside " .. name, function()
            local all, close = calls()
            local other = tasks.spawn(function()
                while socket.sleep(0) do
                    assert(true)
                end
            end)
            for _, f in ipairs(all) do
                place(f)
            end
            other:cancel()
            close()
        end)
    end
end)

describe("another task has its turn", function()
    tasks.guard()

    -- Whether another task goes on while `body` makes calls that need not wait, as many as it likes.
    local function is_fair(body)
        local ch = socket.channel(1)
        local turns = 0
        local other = tasks.spawn(function()
            while socket.sleep(0) do
                turns = turns + 1
            end
        end)
        local task = tasks.spawn(function()
            local function call()
                assert(ch:put(1, 0) and ch:get(0))
            end
            socket.sleep(0)
            local before = turns
            body(call)
            return turns - before
        end)
        local seen = tasks.join(task)
        other:cancel()
        return seen >= 5, seen
    end

    it("while a task makes such calls in its body", function()
        assert(is_fair(function(call)
            for _ = 1, 1000 do
                call()
            end
        end))
    end)

    it("while it does so in a function that its body calls", function()
        local function named(call)
            for _ = 1, 1000 do
                call()
            end
        end
        assert(is_fair(function(call)
            named(call)
            return true
        end))
    end)

    -- What one has used of its turn is not counted against the next.
    it("of its own, whatever the one before has called", function()
        local ch = socket.channel(1)
        local order = {}
        local function short(name)
            for _ = 1, 25 do
                assert(ch:put(1, 0) and ch:get(0))
            end
            order[#order + 1] = name
        end
        local last
        for _, name in ipairs { "a", "b", "c", "d", "e" } do
            last = tasks.spawn(short, name)
        end
        tasks.join(last)
        assert.equal("abcde", table.concat(order))
    end)

    it("while it does so with a socket", function()
        local a, b = socket.pair()
        assert(is_fair(function()
            for _ = 1, 1000 do
                assert(b:write "x")
                assert(a:read(1))
            end
        end))
        a:close()
        b:close()
    end)

    if _VERSION > "Lua 5.1" or _G.jit then
        it("while it does so inside pcall", function()
            assert(is_fair(function(call)
                local ok = pcall(function()
                    for _ = 1, 1000 do
                        call()
                    end
                end)
                assert(ok)
            end))
        end)
    end

    it("while it does so many calls deep", function()
        local function deep(n, call)
            if n == 0 then
                for _ = 1, 1000 do
                    call()
                end
            else
                deep(n - 1, call)
            end
            return n
        end
        assert(is_fair(function(call)
            deep(30, call)
        end))
    end)
end)

describe("the price of a call that need not wait", function()
    tasks.guard()

    it("does not grow with the depth of the stack", function()
        local ch = socket.channel(1)
        local function at_depth(n)
            if n > 0 then
                local seconds = at_depth(n - 1)
                return seconds
            end
            local best = math.huge
            for _ = 1, 5 do
                local began = os.clock()
                for _ = 1, 3000 do
                    ch:put(1, 0)
                    ch:get(0)
                end
                best = math.min(best, os.clock() - began)
            end
            return best
        end
        local shallow = tasks.run(at_depth, 50)
        local deep = tasks.run(at_depth, 5000)
        assert.is_true(deep < 20 * shallow + 0.05, ("%g s at 50, %g s at 5000"):format(shallow, deep))
    end)
end)

describe("in a cancelled task", function()
    tasks.guard()

    -- What `call` returns N times in a row, in a task that was cancelled before: it must be the same each time.
    local function results_of(call)
        local seen = {}
        local task = tasks.spawn(function()
            socket.sleep(10)
            for _ = 1, N do
                local value, err = call()
                seen[tostring(value) .. " " .. tostring(err)] = true
            end
            return next(seen), next(seen, (next(seen)))
        end)
        socket.sleep(0)
        task:cancel()
        return tasks.join(task)
    end

    it("a call without time ends for want of time, however many there have been", function()
        local ch, a, b = socket.channel(), socket.pair()
        a:settimeout(0)
        local other = tasks.spawn(socket.sleep, 10)
        local expected = "nil " .. socket.ERROR_TIMEOUT
        assert.same({ expected }, { results_of(function()
            return ch:get(0)
        end) })
        assert.same({ expected }, { results_of(function()
            return ch:put(1, 0)
        end) })
        assert.same({ expected }, { results_of(function()
            return other:wait(0)
        end) })
        assert.same({ expected }, { results_of(function()
            return (a:read(1)), socket.ERROR_TIMEOUT
        end) })
        assert.same({ expected }, { results_of(function()
            local readable, _, err = t.select_in_vain({ a }, nil, 0)
            return readable and readable[1], err
        end) })
        other:cancel()
        a:close()
        b:close()
    end)

    it("what a task has ended with can be had, however often", function()
        local ended = tasks.spawn(function()
            return "result"
        end)
        for _, time in ipairs { 0, 10 } do
            assert.same({ "true result" }, { results_of(function()
                return ended:wait(time)
            end) })
        end
    end)

    it("socket.sleep(0) fails each time: a loop that computes ends", function()
        assert.same({ "nil " .. socket.ERROR_CANCELLED }, { results_of(function()
            return socket.sleep(0)
        end) })
    end)
end)

describe("a look-up in a task", function()
    tasks.guard()

    -- Steps of the loop that are farther apart than its timeout find the answer.
    local function check_begins(count)
        local loop, a, b = socket.loop(), socket.pair()
        local task = tasks.spawn(function()
            for _ = 1, count do
                assert(a:write "x")
            end
            return socket.resolve("localhost", 80, 0.1)
        end)
        assert.is_true(loop:step(0))
        local over = t.now() + 1 -- time enough for the thread that looks it up
        while t.now() < over do
        end
        while loop:step(0) do
        end
        local ok, list, err = task:wait(5)
        assert.same({ true, nil }, { ok, err })
        assert.equal(80, list[1][2])
        a:close()
        b:close()
    end

    it("begins at once", function()
        check_begins(0)
    end)

    it("begins at once when others are to have their turn first", function()
        check_begins(64)
    end)
end)

describe("a read without time, after a turn,", function()
    tasks.guard()

    tasks.everywhere("tells of the end that is there", function()
        local streams, others = {}, {}
        for i = 1, 70 do -- the turn comes before one of them
            streams[i], others[i] = t.connected()
            assert(others[i]:write "abc")
            assert(#assert(socket.select({ streams[i] }, nil, 10)) == 1)
            assert(streams[i]:shutdown(socket.SHUT_RD))
            streams[i]:settimeout(0)
        end
        for _, s in ipairs(streams) do
            t.fails(socket.ERROR_CLOSED, "abc", s:read(10))
        end
        for i, s in ipairs(streams) do
            s:close()
            others[i]:close()
        end
    end)
end)
