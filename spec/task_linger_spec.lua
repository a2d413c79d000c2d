-- close with OPT_LINGER among tasks: it waits in its task alone, as long as the peer has not taken all.

local t = require "support.t"
local tasks = require "support.tasks"

local socket, sys = t.socket, t.sys

local function listening()
    local listener = socket.tcp()
    assert(listener:bind("127.0.0.1", 0) and listener:listen())
    return listener
end

-- Both ends of a connection to it, which is closed.
local function connect_to(listener)
    local client = socket.tcp()
    assert(client:connect(listener:getsockname()))
    local accepted = assert(listener:accept())
    listener:close()
    return t.joined(client, accepted)
end

-- More bytes on their way than the buffers take; their number.
local function fill(near)
    near:settimeout(0)
    local sent = 0
    repeat
        local n, _, part = near:write(t.much)
        sent = sent + (n or part or 0)
    until not n
    near:settimeout(-1)
    return sent
end

-- A connection over TCP: `near` lingers, `far` has not read.
local function unread(seconds)
    local near, far = connect_to(listening())
    assert(near:setopt(socket.OPT_LINGER, seconds))
    return near, far, fill(near)
end

-- The same; `near` was accepted by a listener that has the option, and it was handed down.
local function unread_by_accepted(seconds)
    local listener = listening()
    assert(listener:setopt(socket.OPT_LINGER, seconds))
    local far, near = connect_to(listener)
    return near, far, fill(near)
end

local function is_open(fd)
    for _, open in ipairs(sys.fds()) do
        if open == fd then
            return true
        end
    end
    return false
end

describe("close with OPT_LINGER", function()
    tasks.guard()

    for name, make in pairs { [""] = unread, ["of an accepted socket, from its listener, "] = unread_by_accepted } do
        tasks.everywhere(name .. "lets others run, and ends when the time is over", function()
            local ticks = tasks.ticker()
            local near, far = make(1)
            local fd, before = near:fileno(), ticks.n
            assert.equal(1, near:getopt(socket.OPT_LINGER))
            t.takes(0.9, near.close, near)
            assert.is_true(ticks.n - before > 20, "the others have stood still")
            assert.is_true(ticks.longest < 0.5 * t.slow, "the others have stood still")
            assert.is_false(is_open(fd))
            assert.equal(-1, near:fileno())
            far:close()
            ticks.task:cancel()
        end)

        it(name .. "is 1 when the peer has taken all, and all has arrived", function()
            local near, far, sent = make(30)
            local closing = tasks.spawn(near.close, near)
            tasks.settle()
            assert.equal("waiting", closing:status())
            local got = 0
            repeat
                local data = far:readsome(65536)
                got = got + (data and #data or 0)
            until not data
            assert.equal(1, (tasks.join(closing)))
            assert.is_true(got <= sent and got >= sent - t.HELD, got .. " of " .. sent)
            far:close()
        end)

        it(name .. "does not make the collector wait for a handle that is lost", function()
            local near, far = make(5)
            tasks.spawn(socket.sleep, 0.01)
            assert.is_true(near:fileno() > 0)
            near = nil -- luacheck: ignore
            t.deadline(1, t.collect)
            far:close()
        end)
    end

    tasks.everywhere("waits no longer than the timeout", function()
        for _, seconds in ipairs { 0, 0.05 } do
            local near, far = unread(30)
            local fd = near:fileno()
            near:settimeout(seconds)
            assert.equal(1, t.takes(seconds, near.close, near))
            assert.is_false(is_open(fd))
            far:close()
        end
    end)

    it("waits no longer than the timeout in a program without tasks", function()
        tasks.alone_fine(
            [[
            local listener, near = socket.tcp(), socket.tcp()
            assert(listener:bind("127.0.0.1", 0) and listener:listen())
            assert(near:connect(listener:getsockname()))
            local far = assert(listener:accept())
            assert(near:setopt(socket.OPT_LINGER, 30))
            near:settimeout(0)
            repeat until not near:write(("x"):rep(1000000))
            near:settimeout(0.05)
            assert(near:close() == 1 and near:fileno() == -1)
        ]],
            20
        )
    end)

    it("of an accepted socket is that of the listener, as long as nobody changes it", function()
        local listener = listening()
        assert(listener:setopt(socket.OPT_LINGER, 30))
        local far, near = connect_to(listener)
        fill(near)
        assert(near:setopt(socket.OPT_LINGER, false))
        tasks.spawn(socket.sleep, 0.01)
        t.deadline(1, near.close, near)
        far:close()
    end)

    it("of 0 on a listener resets what it has accepted", function()
        local listener = listening()
        assert(listener:setopt(socket.OPT_LINGER, 0))
        local far, near = connect_to(listener)
        tasks.spawn(socket.sleep, 0.01)
        assert.equal(1, near:close())
        -- close_notify has gone before
        t.fails(t.in_tls and socket.ERROR_CLOSED or socket.ERROR_RESET, "", far:read(1))
        far:close()
    end)

    it("waits no longer when the peer has reset the connection", function()
        local near, far = unread(30)
        local closing = tasks.spawn(near.close, near)
        tasks.settle()
        assert.equal("waiting", closing:status())
        assert(far:setopt(socket.OPT_LINGER, 0))
        far:close()
        t.deadline(5, function()
            assert.equal(1, (tasks.join(closing)))
        end)
    end)

    it("closes the descriptor also when its task is cancelled", function()
        local near, far = unread(30)
        local fd = near:fileno()
        local closing = tasks.spawn(near.close, near)
        tasks.settle()
        closing:cancel()
        tasks.settle()
        closing:wait(5)
        assert.is_false(is_open(fd))
        far:close()
    end)

    -- Whoever has the same descriptor writes on, and what it is set to stays.
    local function check_untouched(near, far)
        assert.equal(5, near:getopt(socket.OPT_LINGER))
        assert.equal(5, near:write "hello")
        assert.equal("hello", far:read(5))
        assert(near:setopt(socket.OPT_LINGER, 0))
        near:close()
        far:close()
    end

    local function lingering()
        local near, far = t.connected()
        assert(near:setopt(socket.OPT_LINGER, 5))
        far:settimeout(5)
        return near, far
    end

    it("leaves the stream to others who have the descriptor", function()
        local near, far = lingering()
        local copy = assert(socket.fromfd(assert(sys.dup(near:fileno()))))
        assert.equal(1, tasks.join(tasks.spawn(copy.close, copy)))
        copy = assert(socket.fromfd(assert(sys.dup(near:fileno()))))
        assert.is_true(copy:fileno() > 0)
        copy = nil -- luacheck: ignore
        t.collect()
        check_untouched(near, far)
    end)

    it("leaves the stream to the parent when a child closes or collects it", function()
        for _, how in ipairs { "close", "collect" } do
            local near, far = lingering()
            local pid = assert(sys.fork())
            if pid == 0 then
                sys.watchdog(20)
                if how == "close" then
                    socket.spawn(near.close, near)
                    socket.run()
                end
                near = nil -- luacheck: ignore
                t.collect()
                sys._exit(0)
            end
            assert.same({ "exit", 0 }, { sys.wait(pid, 20 * t.slow) })
            check_untouched(near, far)
        end
    end)
end)
