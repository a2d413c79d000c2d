local t = require "support.t"
local socket = t.socket

local MIB = 1024 * 1024


describe("settimeout and gettimeout", function()
    t.guard()

    it("begin with -1, no limit", function()
        assert.equal(-1, socket.tcp():gettimeout())
    end)

    for _, seconds in ipairs { 0, 1, 0.25, 1e-9, -1, -2.5, 86400 * 365, 1e300, math.huge, -math.huge } do
        it("give back " .. seconds .. " as it was set, and return nothing else", function()
            local s = socket.tcp()
            assert.equal(0, select("#", s:settimeout(seconds)))
            assert.equal(seconds, s:gettimeout())
        end)
    end
end)

-- Calls that wait for ever if nobody stops them. Each gets a connected socket whose peer does nothing.
local calls = {
    read = function(s)
        t.fails(socket.ERROR_TIMEOUT, "", s:read(10))
    end,
    readuntil = function(s)
        t.fails(socket.ERROR_TIMEOUT, "", s:readuntil "\n"())
    end,
    readsome = function(s)
        t.fails(socket.ERROR_TIMEOUT, nil, s:readsome(10))
    end,
    readall = function(s)
        t.fails(socket.ERROR_TIMEOUT, "", s:readall())
    end,
    write = function(s)
        local ok, err = s:write(t.much)
        t.fails(socket.ERROR_TIMEOUT, nil, ok, err)
    end,
}

describe("a time-out", function()
    t.guard()

    for name, call in pairs(calls) do
        for _, seconds in ipairs { 0, 0.0004, 0.02, 0.12 } do
            it(("of %g s ends %s, not before and not long after"):format(seconds, name), function()
                local client, accepted, listener = t.narrow()
                client:settimeout(seconds)
                t.takes(seconds, call, client)
                accepted:close()
                client:close()
                listener:close()
            end)
        end
    end

    it("can be changed between calls, to none as well", function()
        local s, p = t.with_python "hear(); time.sleep(0.3); s.sendall(b'late'); hear()"
        for _, seconds in ipairs { 0.15, 0.03, 0, 0.11 } do
            s:settimeout(seconds)
            t.takes(seconds, calls.read, s)
        end
        s:settimeout(-1)
        p:say "now"
        t.deadline(10, function()
            assert.equal("late", s:read(4))
        end)
        s:settimeout(0.15)
        t.takes(0.15, calls.read, s)
        p:say "end"
        p:finish()
        s:close()
    end)

    -- More than 24.8 days are more milliseconds than an int holds; the last ones are more than any clock counts.
    for _, seconds in ipairs { 2147484, 3e6, 2 ^ 31, 4294968, 1e10, 1e19, 1e300, math.huge } do
        it(("of %g s does not wrap around: a late byte is waited for"):format(seconds), function()
            local s, p = t.with_python "hear(); time.sleep(0.1); s.sendall(b'x'); hear()"
            s:settimeout(seconds)
            p:say "now"
            assert.equal("x", s:read(1))
            p:say "end"
            p:finish()
            s:close()
        end)
    end

    for name, read in pairs {
        read = function(s)
            return s:read(4)
        end,
        readuntil = function(s)
            return s:readuntil("\n", true)()
        end,
        readsome = function(s)
            return s:readsome(4)
        end,
    } do
        it("of 0 is enough for " .. name .. " to get what has come", function()
            local s, wire = t.wire()
            s:settimeout(0)
            wire:send "abc\n"
            assert.equal("abc\n", read(s))
            wire:close()
            s:close()
        end)
    end
end)

describe("one deadline holds for a whole call", function()
    t.guard()

    -- A byte each 20 ms: a time-out that began again with each piece would never end.
    local drip = [[
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True: s.sendall(b"x"); time.sleep(0.02)
        except OSError: pass
    ]]
    for name, call in pairs {
        read = function(s)
            return s:read(100000)
        end,
        readuntil = function(s)
            return s:readuntil "\n"()
        end,
        readall = function(s)
            return s:readall()
        end,
    } do
        for _, seconds in ipairs { 0.09, 0.25 } do
            it(("when %s gets a drop each 20 ms for %g s"):format(name, seconds), function()
                local s, p = t.with_python(drip)
                assert.equal("x", s:read(1)) -- it drips
                s:settimeout(seconds)
                local data, err, partial = t.takes(seconds, call, s)
                assert.is_nil(data)
                assert.equal(socket.ERROR_TIMEOUT, err)
                assert.is_true(#partial >= 1 and #partial <= 20 * t.slow)
                assert.equal(("x"):rep(#partial), partial)
                s:close()
                p:finish()
            end)
        end
    end

    -- Data that never stops to come must not keep a call beyond its time. The bound is tight, since a call that does
    -- not look at the clock ends by chance; so the best of three counts.
    for name, call in pairs {
        read = function(s)
            return s:read(2 ^ 31 - 1)
        end,
        readuntil = function(s)
            return s:readuntil "\n"()
        end,
        readall = function(s)
            return s:readall()
        end,
    } do
        it("when " .. name .. " is flooded", function()
            local best = math.huge
            for _ = 1, 3 do
                local s, p = t.with_python [[
                    os.fork()
                    try:
                        while True: s.sendall(bytes(1 << 20))
                    except OSError: pass
                ]]
                assert(s:read(MIB))
                s:settimeout(0.05)
                local started = t.now()
                local data, err = call(s)
                best = math.min(best, t.now() - started)
                t.fails(socket.ERROR_TIMEOUT, nil, data, err)
                s:close()
                p:finish()
            end
            assert.is_true(best >= 0.05 and best < 0.15 * t.slow, ("took %.3f s"):format(best))
        end)
    end

    it("when write is drained slowly", function()
        local s, p = t.with_python [[
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            say("ready")
            while s.recv(16384): time.sleep(0.01)
        ]]
        assert(s:setopt(socket.OPT_SNDBUF, 65536))
        p:line()
        s:settimeout(0.25)
        local ok, err, sent = t.takes(0.25, s.write, s, t.much)
        assert.is_nil(ok)
        assert.equal(socket.ERROR_TIMEOUT, err)
        assert.is_true(sent > 0 and sent < #t.much)
        p:kill()
        s:close()
    end)
end)

describe("connect with a time-out", function()
    t.guard()

    -- A listener whose queue is full answers nobody.
    local full = [[
        l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(0)
        waiting = [socket.socket() for i in range(4)]
        for c in waiting: c.setblocking(False); c.connect_ex(l.getsockname())
        say(l.getsockname()[1]); hear()
    ]]

    it("gives up in time and can then connect elsewhere", function()
        local p = t.python(full)
        local port = p:number()
        local s = socket.tcp()
        for _, seconds in ipairs { 0, 0.03, 0.2 } do
            s:settimeout(seconds)
            t.takes(seconds, function()
                t.fails(socket.ERROR_TIMEOUT, nil, s:connect("127.0.0.1", port))
            end)
            assert.equal(-1, s:fileno())
        end
        local listener, address = t.listener()
        s:settimeout(5)
        assert.is_true(s:connect(address))
        listener:close()
        s:close()
        p:kill()
    end)

    it("gives up in time on a Unix socket, and is let in when there is room", function()
        local listener = socket.tcp()
        local address = t.abstract()
        assert(listener:bind(address))
        assert(listener:listen(0))
        local first, second = socket.tcp(), socket.tcp()
        assert(first:connect(address))
        for _, seconds in ipairs { 0, 0.03, 0.15 } do
            second:settimeout(seconds)
            t.takes(seconds, function()
                t.fails(socket.ERROR_TIMEOUT, nil, second:connect(address))
            end)
        end
        assert(listener:accept()):close()
        assert.is_true(second:connect(address))
        listener:close()
        first:close()
        second:close()
    end)

    it("calls the kernel's own time-out by the same name", function()
        local p = t.python(full)
        local s = socket.tcp()
        assert(s:setopt(socket.OPT_TCP_USER_TIMEOUT, 100))
        t.fails(socket.ERROR_TIMEOUT, nil, s:connect("127.0.0.1", p:number()))
        p:kill()
    end)
end)

describe("signals that interrupt a call", function()
    t.guard()

    local before
    before_each(function()
        before = t.sys.disposition(t.sys.SIGUSR1, "count")
        t.sys.caught()
    end)
    after_each(function()
        t.sys.disposition(t.sys.SIGUSR1, before)
    end)

    -- Sends us SIGUSR1 each 3 ms until it is killed.
    local function signals()
        local p = t.python [[
            say("go")
            while True: os.kill(os.getppid(), signal.SIGUSR1); time.sleep(0.003)
        ]]
        p:line()
        return p
    end

    for name, call in pairs(calls) do
        for _, seconds in ipairs { 0.06, 0.2 } do
            it(("neither end %s nor make it longer than %g s"):format(name, seconds), function()
                local client, accepted, listener = t.narrow()
                client:settimeout(seconds)
                local p = signals()
                t.takes(seconds, call, client)
                p:kill()
                assert.is_true(t.sys.caught() >= 5)
                client:close()
                accepted:close()
                listener:close()
            end)
        end
    end

    it("do not end calls without a time-out: accept, read, readuntil and write go on", function()
        local p = signals()
        local listener, address = t.listener()
        local late = t.python(
            [[
            time.sleep(0.1); s = connect(argv[0])
            time.sleep(0.1); s.sendall(b"ab"); time.sleep(0.05); s.sendall(b"cd")
            time.sleep(0.1); s.sendall(b"ef\n"); time.sleep(0.1); say(len(drain(s)))
            ]],
            address[2]
        )
        local s = assert(listener:accept())
        assert.equal("abcd", s:read(4))
        assert.equal("ef", s:readuntil "\n"())
        assert.equal(#t.much, s:write(t.much))
        s:close()
        assert.equal(#t.much, late:number())
        late:finish()
        p:kill()
        assert.is_true(t.sys.caught() >= 20)
        listener:close()
    end)

    it("do not end an accept or a connect before its time", function()
        local p = signals()
        local listener = t.listener()
        listener:settimeout(0.15)
        t.takes(0.15, function()
            t.fails(socket.ERROR_TIMEOUT, nil, listener:accept())
        end)
        listener:close()
        local full = socket.tcp()
        assert(full:bind(t.abstract()))
        assert(full:listen(0))
        local first, second = socket.tcp(), socket.tcp()
        assert(first:connect(full:getsockname()))
        second:settimeout(0.15)
        t.takes(0.15, function()
            t.fails(socket.ERROR_TIMEOUT, nil, second:connect(full:getsockname()))
        end)
        p:kill()
        full:close()
        first:close()
        second:close()
    end)
end)
