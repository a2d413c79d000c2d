-- A task whose coroutine the program closes, or resumes to its end, while it waits: noticed before the loop sleeps.

local t = require "support.t"
local tasks = require "support.tasks"

local socket = t.socket
local spawn = tasks.spawn
local TEXT = "the coroutine of a task was resumed or closed by the program"

local function silent(ch)
    return spawn(ch.get, ch)
end

-- Starts a task that waits in `wait`, and ends its coroutine. `mixed`: so many tasks more wait beside it.
local function lose(how, wait, mixed)
    local quiet, others, co = socket.channel(), {}, nil
    for i = 1, mixed do
        others[i] = silent(quiet)
    end
    local task = spawn(function()
        co = coroutine.running()
        wait()
    end)
    tasks.settle()
    assert.equal("waiting", task:status())
    how(co)
    return task, function()
        for _, other in ipairs(others) do
            other:cancel()
        end
    end
end

local hows = {
    resumed = function(co)
        coroutine.resume(co)
        assert.equal("dead", coroutine.status(co))
    end,
    closed = coroutine.close,
}

describe("a task whose coroutine was lost", function()
    tasks.guard()

    for name, how in pairs(hows) do
        for _, mixed in ipairs { 0, 12, 100 } do
            local beside = name .. " beside " .. mixed .. " others"

            it("fails at once in what waits for it, " .. beside, function()
                for _, wait in ipairs {
                    function() socket.sleep(1000) end,
                    function() socket.channel():get() end,
                    function() socket.channel():put(1) end,
                    function() socket.select({ socket.channel() }, nil, 1000) end,
                } do
                    local task, stop = lose(how, wait, mixed)
                    local began = t.now()
                    t.fails(TEXT, nil, task:wait(20))
                    assert.is_true(t.now() - began < 5)
                    stop()
                end
            end)

            it("is no deadlock, " .. beside, function()
                local task, stop = lose(how, function() socket.channel():get() end, mixed)
                t.fails(TEXT, nil, task:wait())
                stop()
            end)

            it("leaves its socket to others, " .. beside, function()
                local a, b = socket.pair()
                local task, stop = lose(how, function() b:read(4) end, mixed)
                assert(a:write "data")
                if mixed < 16 then
                    socket.sleep(0.0001)
                else
                    socket.sleep(0.2 * t.slow)
                end
                assert.equal("failed", task:status())
                b:settimeout(5)
                assert.equal("data", b:read(4))
                t.fails(TEXT, nil, task:wait(5))
                stop()
                a:close()
                b:close()
            end)
        end
    end

    it("is told of as a failure when nobody can wait for it", function()
        local heard
        socket.onerror = function(_, message)
            heard = message
        end
        do
            local co
            socket.spawn(function()
                co = coroutine.running()
                socket.sleep(1000)
            end)
            tasks.settle()
            coroutine.resume(co)
        end
        local limit = t.now() + 10
        while not heard and t.now() < limit do
            socket.sleep(0.001)
        end
        assert.is_truthy(heard and heard:find(TEXT, 1, true))
    end)

    it("is told apart from those that have not begun, and from those that wait again", function()
        local late, ch = {}, socket.channel()
        for i = 1, 30 do
            late[i] = spawn(function()
                for _ = 1, 3 do
                    coroutine.yield()
                    socket.sleep(0.001)
                end
                return i
            end)
        end
        local inner = spawn(function()
            local get = socket.coroutine.wrap(function()
                return ch:get()
            end)
            return get()
        end)
        socket.sleep(0.002)
        assert(ch:put "inner")
        for i = 1, 30 do
            assert.equal(i, tasks.join(late[i]))
        end
        assert.equal("inner", tasks.join(inner))
    end)

    it("costs a program with many tasks no more than some turns", function()
        local said, how = tasks.alone [[
            local ch = socket.channel()
            for _ = 1, 2000 do spawn(ch.get, ch) end
            socket.sleep(0)
            local cpu = os.clock()
            for _ = 1, 100 do socket.sleep(0.002) end
            assert(os.clock() - cpu < 0.1, os.clock() - cpu)
            ch:close()
            socket.run()
            print "well"
        ]]
        assert.equal("well\n", said)
        assert.equal("exit 0", how)
    end)
end)
