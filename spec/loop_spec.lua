-- The loop in the hands of somebody else: by hand, by cqueues, by luv.

local t = require "support.t"
local tasks = require "support.tasks"

local socket = t.socket
local spawn, join = tasks.spawn, tasks.join
local loop = socket.loop()

describe("socket.loop()", function()
    tasks.guard()

    it("has nothing to do without tasks", function()
        assert.equal("r", loop:events())
        assert.is_nil(loop:timeout())
        assert.is_false(loop:step())
        assert.is_false(loop:step(0))
        assert.is_false(loop:step(5))
    end)

    it("is always the same loop", function()
        assert.equal(loop:pollfd(), socket.loop():pollfd())
        assert.is_true(t.sys.isopen(loop:pollfd()))
        assert.is_true(t.sys.cloexec(loop:pollfd()))
    end)

    it("begins a task at the next step, and not before", function()
        local began, ended
        spawn(function()
            began = true
            socket.sleep(0)
            ended = true
        end)
        assert.equal(0, loop:timeout())
        assert.is_nil(began)
        assert.is_true(loop:step(0))
        assert.is_true(began)
        assert.is_nil(ended)
        assert.equal(0, loop:timeout())
        assert.is_false(loop:step(0))
        assert.is_true(ended)
    end)

    it("tells how long nothing has to be done, and is right", function()
        local task = spawn(socket.sleep, 0.03)
        assert.is_true(loop:step(0))
        local left = loop:timeout()
        assert.is_true(left > 0 and left <= 0.03, left)
        assert.is_true(loop:step(0)) -- too early
        assert.equal("waiting", task:status())
        while loop:timeout() > 0 do -- luacheck: ignore
        end
        assert.is_false(loop:step(0))
        assert.equal("done", task:status())
        assert.is_nil(loop:timeout())
    end)

    it("has no time of its own when all wait for descriptors only", function()
        local a, b = socket.pair()
        local task = spawn(function()
            return a:read(1)
        end)
        loop:step(0)
        assert.is_nil(loop:timeout())
        assert(b:write "x")
        join(task)
        a:close()
        b:close()
    end)

    it("has a descriptor that is readable when a task can go on, and not otherwise", function()
        local a, b = socket.pair()
        local task = spawn(function()
            local lines = {}
            for i = 1, 3 do
                lines[i] = a:readuntil "\n"()
            end
            return table.concat(lines, ",")
        end)
        loop:step(0)
        local fd = loop:pollfd()
        loop:step(0) -- takes what the socket's registration has told
        for i = 1, 3 do
            -- select, with no time, runs no task
            assert.same({ nil, nil, socket.ERROR_TIMEOUT }, { socket.select({ fd }, nil, 0) })
            assert(b:write("line " .. i .. "\n"))
            assert.same({ fd }, (socket.select({ fd }, nil, 0)))
            assert.equal("waiting", task:status())
            assert.equal(i < 3, loop:step(0))
            loop:step(0)
        end
        assert.equal("line 1,line 2,line 3", join(task))
        a:close()
        b:close()
    end)

    it("waits in step for at most the time given, or until something happens", function()
        local a, b = socket.pair()
        local task = spawn(function()
            return a:read(1)
        end)
        loop:step(0)
        loop:step(0)
        t.takes(0.02, function()
            assert.is_true(loop:step(0.02))
        end)
        t.takes(0, function()
            assert.is_true(loop:step(0))
        end)
        local sleeper = spawn(socket.sleep, 0.01)
        loop:step(0)
        t.takes(0.005, function()
            repeat
                assert.is_true(loop:step())
            until sleeper:status() == "done"
        end)
        assert(b:write "x")
        t.deadline(5, function()
            while loop:step() do -- luacheck: ignore
            end
        end)
        assert.equal("done", task:status())
        a:close()
        b:close()
    end)

    it("runs all that there is to run when it alone is used", function()
        local n = 0
        for i = 1, 100 do
            spawn(function()
                local a, b = socket.pair()
                local writer = spawn(a.write, a, t.random(100000, i))
                assert(b:read(100000) == t.random(100000, i))
                join(writer)
                socket.sleep(0.0001 * i)
                a:close()
                b:close()
                n = n + 1
            end)
        end
        local limit = t.now() + 10 * t.slow
        while loop:step(loop:timeout()) do
            assert(t.now() < limit)
        end
        assert.equal(100, n)
    end)

    it("can't be stepped by a task", function()
        tasks.raises("inside a task", tasks.run, function()
            loop:step(0)
        end)
    end)

    it("tells the others to hear onerror, too", function()
        local seen
        socket.onerror = function(_, message)
            seen = message
        end
        socket.spawn(error, "in a step", 0)
        local other = spawn(socket.sleep, 100)
        loop:step(0)
        t.collect()
        loop:step(0)
        assert.matches("^in a step", seen)
        other:cancel()
    end)

    it("does not fall silent for ever when nothing is left that could wake anybody", function()
        local said, ended = tasks.alone(
            [[
            local channel = socket.channel()
            spawn(function() channel:get() end)
            local loop = socket.loop()
            loop:step(0)
            print(pcall(loop.step, loop))
            ]],
            2
        )
        assert.equal("exit 0", ended)
        assert.matches("deadlock: 1 tasks wait", said, 1, true)
    end)
end)

-- Tasks that talk with each other and with a Python peer, while the other loop's own timer ticks.
local PROGRAM = [[
    local listener = socket.tcp()
    assert(listener:bind("127.0.0.1", 0) and listener:listen())
    print(listener:getsockname()[2])
    io.stdout:flush()
    local done = 0
    spawn(function()
        for _ = 1, 20 do
            local s = assert(listener:accept())
            spawn(function()
                local lines = s:readuntil "\n"
                local line = lines()
                while line do
                    socket.sleep(0.001)
                    assert(s:write { line:upper(), "\n" })
                    line = lines()
                end
                s:close()
                done = done + 1
            end)
        end
    end)
    local loop = socket.loop()
]]

local DRIVERS = {
    cqueues = [[
        local cqueues = require "cqueues"
        local driver, ticks = cqueues.new(), 0
        driver:wrap(function()
            while loop:step(0) do
                cqueues.poll(loop)
            end
        end)
        driver:wrap(function()
            while done < 20 do
                cqueues.sleep(0.001)
                ticks = ticks + 1
            end
        end)
        assert(driver:loop())
        print(done, ticks > 3)
    ]],
    luv = [[
        local uv = require "luv"
        local poll, timer, ticker, ticks = uv.new_poll(loop:pollfd()), uv.new_timer(), uv.new_timer(), 0
        local function step()
            if not loop:step(0) then
                poll:stop()
                timer:stop()
                ticker:stop()
                return
            end
            local timeout = loop:timeout()
            timer:stop()
            if timeout then
                timer:start(math.ceil(timeout * 1000), 0, step)
            end
        end
        poll:start("r", step)
        ticker:start(1, 1, function() ticks = ticks + 1 end)
        step()
        uv.run()
        print(done, ticks > 3)
    ]],
}

describe("tasks driven by", function()
    tasks.guard()

    for name, driver in pairs(DRIVERS) do
        it(name .. " serve their peers while its own timers run", function()
            local said, ended = tasks.alone(('io.write(tostring((pcall(require, %q))))'):format(name))
            assert.equal("exit 0", ended)
            if said ~= "true" then
                return pending(name .. " is not installed for this Lua")
            end
            local p = t.lua('local socket = require "ssocket"; local spawn = socket.spawn\n' .. PROGRAM .. driver)
            local peer = t.python(
                [[
                all = [connect(argv[0]) for i in range(20)]
                files = [s.makefile() for s in all]
                for n in range(5):
                    for i, s in enumerate(all): s.sendall(b"line %d of %d\n" % (n, i))
                    for i, f in enumerate(files): assert f.readline() == "LINE %d OF %d\n" % (n, i)
                for s in all: s.shutdown(socket.SHUT_WR)
                for f in files: assert f.read() == ""
                say("done")
                ]],
                p:line()
            )
            assert.equal("done", peer:line())
            assert.equal("20\ttrue\n", p:finish())
            peer:finish()
        end)
    end
end)
