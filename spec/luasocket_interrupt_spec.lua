-- Signals during calls of LuaSocket's streams: they end no call. Where a handler raises an error, or a task is
-- cancelled in a call, no byte is lost.

local luasocket = require "support.luasocket"
local t = require "support.t"

local is = luasocket.is
local sys = t.sys

local function close_all(...)
    for _, s in ipairs { ... } do
        is("1", s:close())
    end
end

local function settimeouts(s, block, total)
    is("1", s:settimeout(block))
    is("1", s:settimeout(total, "t"))
end

-- Another process sends data and, after a while, SIGUSR1 again and again.
local function send_and_signal(fd, data)
    local parent = sys.getpid()
    luasocket.later(0.005, function()
        local silent = assert(sys.socketpair(sys.SOCK_STREAM))
        sys.send(fd, data, 5)
        for _ = 1, 2000 do
            sys.read(silent, 1, 0.005)
            sys.kill(parent, sys.SIGUSR1)
        end
    end)
end

local TIMEOUTS = { { nil, nil }, { 20, nil }, { nil, 20 }, { 20, 20 } }

local function shown(timeouts)
    return (", with block %s, total %s"):format(tostring(timeouts[1]), tostring(timeouts[2]))
end

-- Calls f for each pair of time-outs and pattern with a pattern that "ab\rcdef\r" does not end, and a function that
-- sends the rest and checks what comes then.
local function each_call(f)
    for _, timeouts in ipairs(TIMEOUTS) do
        for _, row in ipairs {
            { "*l", "*l", "abcdefghi" },
            { "*a", "*a", "ab\rcdef\rghi\n" },
            { 100, 15, "ab\rcdef\rghi\n" },
        } do
            f(row[1] .. shown(timeouts), timeouts, row[1], function(s, other)
                assert(other:send "ghi\n")
                close_all(other)
                assert.equal("pre" .. row[3], s:receive(row[2], "pre"))
                assert.equal(12, (s:getstats()))
                is('nil, "closed", ""', s:receive())
                close_all(s)
            end)
        end
    end
end

luasocket.describe("a signal", function(socket, tested)
    local before
    before_each(function()
        before = sys.disposition(sys.SIGUSR1, "count")
        sys.caught()
    end)
    after_each(function()
        luasocket.end_children() -- before the signal would end this process
        sys.disposition(sys.SIGUSR1, before)
    end)

    for _, timeouts in ipairs { { 0.1, nil }, { nil, 0.1 }, { 0.1, 5 }, { 5, 0.1 } } do
        it("neither ends a call nor makes it longer" .. shown(timeouts), function()
            if tested.real and timeouts[2] == 5 then
                return -- after each signal it waits anew
            end
            local s, other = luasocket.pair(socket)
            settimeouts(s, timeouts[1], timeouts[2])
            send_and_signal(other:getfd(), "ab")
            local limit = t.now() + 20
            repeat -- a busy machine may not let the other process run in time
                local data, err = luasocket.takes(0.1, s.receive, s, 5)
                is('nil, "timeout"', data, err)
            until sys.caught() >= 3 or t.now() > limit
            assert.is_true(t.now() <= limit)
            close_all(s, other)
        end)
    end
end)

luasocket.describe("an error that a signal raises in receive", function(socket, tested)
    if tested.real then
        return -- whose calls run no hook while they wait
    end
    local raises = false
    before_each(function()
        raises = false
    end)
    after_each(function()
        luasocket.end_children()
        sys.disposition(sys.SIGUSR1, "default")
    end)

    -- receive of what the other end has sent, amid signals, ends with the error of a handler.
    local function interrupt(s, other, data, ...)
        sys.hook(sys.SIGUSR1, false, function()
            if raises then
                raises = false
                error("interrupted!", 0)
            end
        end)
        send_and_signal(other:getfd(), data)
        raises = true
        is('false, "interrupted!"', pcall(s.receive, s, ...))
        luasocket.end_children()
    end

    each_call(function(title, timeouts, unending, check)
        it("loses no byte of " .. title, function()
            t.only_in_main "a hook belongs to one coroutine"
            local s, other = luasocket.pair(socket)
            settimeouts(s, timeouts[1], timeouts[2])
            interrupt(s, other, "ab\rc", unending)
            interrupt(s, other, "def\r", unending, "gone")
            check(s, other)
        end)
    end)

    -- Calls f with a hook that raises an error at the n-th instruction. Returns whether it has, and when.
    local function raise_at(n, f)
        local seen, raised = 0, nil
        local hook, mask, count = debug.gethook()
        local ok = pcall(function()
            debug.sethook(function()
                seen = seen + 1
                if seen == n then
                    raised = t.now()
                    error("interrupted!", 0)
                end
            end, "", 1)
            f()
        end)
        debug.sethook(hook, mask, count)
        return not ok, raised
    end

    it("loses no byte at whatever instruction it is raised before the last wait", function()
        t.only_in_main "a hook belongs to one coroutine"
        local s, other = luasocket.pair(socket)
        local BLOCK = 0.05
        for _, what in ipairs { 100, "*l", "*a" } do
            local n = 0
            repeat
                n = n + 1
                assert(other:send "abcdef")
                socket.select({ s }, nil, 10)
                settimeouts(s, BLOCK, 20)
                local began = t.now()
                local raised, at = raise_at(n, function()
                    s:receive(what)
                end)
                local is_waiting_over = not raised or at - began >= BLOCK
                settimeouts(s, is_waiting_over and 0 or 5, nil)
                local data, _, partial = s:receive(6)
                if not is_waiting_over then
                    assert.equal("abcdef", data or partial, "at instruction " .. n)
                end
            until is_waiting_over
            assert.is_true(n > 10)
        end
        close_all(s, other)
    end)

    it("leaves what has come to any other receive, and dirty says so", function()
        t.only_in_main "a hook belongs to one coroutine"
        local s, other = luasocket.pair(socket)
        for _, timeouts in ipairs(TIMEOUTS) do
            settimeouts(s, timeouts[1], timeouts[2])
            interrupt(s, other, "abcdef", 100)
            settimeouts(s, 5, nil)
            is('"a", nil, nil', s:receive(1))
            local readable = socket.select({ s }, nil, 5)
            assert.equal(s, readable[1])
            is('"", nil, nil', s:receive(0))
            is('"bc", nil, nil', s:receive(2))
            assert(other:send "gh\n")
            is('"defgh", nil, nil', s:receive())
            is("false", s:dirty())
        end
        close_all(s, other)
    end)
end)

luasocket.describe("a task that is cancelled in receive", function(socket, tested)
    if tested.real then
        return -- has no tasks
    end
    local spawn, sleep = t.socket.spawn, t.socket.sleep
    t.socket.loop():pollfd() -- the descriptor of all tasks is there before any are counted

    -- Data comes while a task waits for more, and the task is cancelled. Returns what it has got.
    local function cancel(s, other, data, ...)
        local task = spawn(s.receive, s, ...)
        sleep(0)
        assert(other:send(data))
        for _ = 1, 10 do
            sleep(0)
        end
        task:cancel()
        local ok, none, err, partial = task:wait()
        is('true, nil, "Task cancelled"', ok, none, err)
        return partial
    end

    for _, timeouts in ipairs(TIMEOUTS) do
        for _, pattern in ipairs { "*l", "*a", 100 } do
            it("gives what has come to it, and the rest to others, of " .. pattern .. shown(timeouts), function()
                local s, other = luasocket.pair(socket)
                settimeouts(s, timeouts[1], timeouts[2])
                local first = cancel(s, other, "abc", pattern)
                local second = cancel(s, other, "def", pattern, "pre")
                assert.equal("pre", second:sub(1, 3))
                assert(other:send "ghi")
                close_all(other)
                assert.equal("abcdefghi", first .. second:sub(4) .. assert(s:receive "*a"))
                assert.equal(9, (s:getstats()))
                close_all(s)
            end)
        end
    end
end)
