-- Tasks in the background: socket.run does not wait for them, and they keep nobody from being told of a deadlock.

local t = require "support.t"
local tasks = require "support.tasks"

local socket = t.socket
local spawn, join = tasks.spawn, tasks.join

-- A task in the background that counts how often it has slept.
local function reaper()
    local seen = { n = 0 }
    seen.task = spawn(function()
        while socket.sleep(0.001) do
            seen.n = seen.n + 1
        end
    end):background()
    return seen
end

describe("a task in the background", function()
    tasks.guard()

    it("is what background returns, each time, and a task as any other", function()
        local task = spawn(socket.sleep, 0.001)
        assert.equal(task, task:background())
        assert.equal(task, task:background())
        assert.equal("ready", task:status())
        assert.is_true(join(task))
        assert.equal(task, task:background()) -- it has ended
        local ok, err = spawn(error, "as any other", 0):background():wait()
        assert.is_nil(ok)
        assert.equal("as any other", err)
        socket.run()
    end)

    it("is not waited for by run, and goes on in the next one and beside other waits", function()
        local seen = reaper()
        socket.run()
        assert.equal(0, seen.n)
        assert.equal("ready", seen.task:status())
        local done
        spawn(function()
            while seen.n < 3 do
                socket.sleep(0.001)
            end
            done = true
        end)
        socket.run()
        assert.is_true(done)
        assert.equal("waiting", seen.task:status())
        local before = seen.n
        t.takes(0, socket.run)
        assert.equal(before, seen.n)
        while seen.n < before + 3 do
            assert.is_true(socket.sleep(0.001))
        end
        assert.is_true(seen.task:cancel())
        assert.is_true((seen.task:wait(5)))
    end)

    it("may put itself there, and what it starts is not there", function()
        local order, task = {}, nil
        task = spawn(function()
            task:background()
            spawn(function()
                socket.sleep(0.002)
                order[#order + 1] = "child"
            end)
            socket.sleep(1000)
            order[#order + 1] = "never"
        end)
        socket.run()
        assert.same({ "child" }, order)
        assert.equal("waiting", task:status())
    end)

    it("ends and is counted no more, whichever way it ends", function()
        local left = spawn(socket.sleep, 0.005)
        local ways = {
            spawn(function() end), spawn(error, "raised", 0), spawn(socket.sleep, 1000), spawn(coroutine.yield),
        }
        for i = 1, #ways do
            ways[i]:background()
        end
        ways[3]:cancel()
        socket.run()
        assert.same({ "done", "failed", "done", "done" }, {
            ways[1]:status(), ways[2]:status(), ways[3]:status(), ways[4]:status(),
        })
        assert.equal("done", left:status())
        assert.equal("raised", select(2, ways[2]:wait()))
        assert.is_false(socket.loop():step(0))
        assert.is_true(spawn(socket.sleep, 0.001) ~= nil and socket.loop():step(0)) -- none is counted twice
        socket.run()
    end)

    it("that fails is told of like others", function()
        local told
        function socket.onerror(_, message)
            told = message
        end
        spawn(function()
            spawn(error, "in the background", 0):background()
            socket.sleep(0.001)
        end)
        socket.run()
        t.collect()
        socket.run()
        assert.matches("in the background", told, 1, true)
    end)

    it("is not a task that loop:step says is left, but has its turn", function()
        local seen, loop = reaper(), socket.loop()
        t.takes(0, function()
            assert.is_false(loop:step())
            assert.is_false(loop:step(10))
        end)
        assert.equal("waiting", seen.task:status())
        assert.is_true(loop:timeout() <= 0.001)
        while seen.n < 2 do
            loop:step(0)
        end
        local other = spawn(socket.sleep, 0.001)
        assert.is_true(loop:step(0))
        while loop:step() do
            assert.equal("waiting", other:status())
        end
        assert.equal("done", other:status())
    end)
end)

describe("a deadlock is told though there are tasks in the background", function()
    tasks.guard()

    local none = "deadlock: there is no task that could wake this call"

    local function deadlock(n)
        return ("deadlock: %d tasks wait, and nothing is left that could wake them"):format(n)
    end

    it("which sleep, or wait for a descriptor", function()
        local seen = reaper()
        local a, b = socket.pair()
        local watcher = spawn(function()
            return socket.select({ a })
        end):background()
        local channel = socket.channel()
        tasks.settle()
        tasks.raises(none, channel.get, channel)
        local taker = spawn(channel.get, channel)
        tasks.raises(deadlock(1), socket.run)
        tasks.raises(deadlock(1), taker.wait, taker)
        assert.is_true(channel:put "still works")
        assert.equal("still works", join(taker))
        assert.equal(1, b:write "x")
        assert.equal(a, join(watcher)[1])
        seen.task:cancel()
        a:close()
        b:close()
    end)

    it("but not before one that is ready has had its turn", function()
        local channel = socket.channel()
        spawn(channel.put, channel, "at once"):background()
        assert.equal("at once", channel:get())
        reaper()
        spawn(function()
            coroutine.yield()
            channel:put "a turn later"
        end):background()
        assert.equal("a turn later", channel:get())
    end)

    it("nor before one for which data has come", function()
        local a, b = socket.pair()
        local channel = socket.channel()
        local reader = spawn(function()
            while channel:put(a:read(1)) do end
        end):background()
        tasks.settle()
        for byte in ("abc"):gmatch "." do
            assert.equal(1, b:write(byte))
            assert.equal(byte, channel:get())
        end
        tasks.raises(none, channel.get, channel)
        reader:cancel()
        a:close()
        b:close()
    end)

    it("nor while somebody else has a time or a descriptor", function()
        reaper()
        local channel = socket.channel()
        spawn(function()
            socket.sleep(0.005)
            channel:put "slept"
        end)
        assert.equal("slept", channel:get())
        local a, b = socket.pair()
        spawn(function()
            channel:put(a:read(1))
        end)
        spawn(function()
            socket.sleep(0.005)
            b:write "x"
        end):background() -- which is no matter: the one that reads waits for the world
        assert.equal("x", channel:get())
        t.fails(socket.ERROR_TIMEOUT, nil, channel:get(0.005))
        a:close()
        b:close()
    end)

    it("nor of those whose end somebody waits for", function()
        local function slow()
            socket.sleep(0.005)
            return "slept"
        end
        assert.equal("slept", select(2, spawn(slow):background():wait()))
        local outer = spawn(function()
            return spawn(slow):background():wait()
        end):background()
        local _, ok, result = outer:wait()
        assert.is_true(ok)
        assert.equal("slept", result)
        spawn(function()
            assert(spawn(slow):background():wait())
        end)
        socket.run()
    end)
end)
