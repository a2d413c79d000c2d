local t = require "support.t"
local calls = require "support.waiting"
local socket = t.socket


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

describe("a time-out", function()
    t.guard()

    -- pitfall: zero meaning "for ever"; sub-millisecond waits that return at once
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

    -- pitfall: milliseconds in an int (over 24.8 days). The last ones are more than any clock counts.
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
            return t.readsome(s, 4, 4)
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

    -- pitfall: the kernel's ETIMEDOUT under another name
    it("calls the kernel's own time-out by the same name", function()
        local p = t.python(full)
        local s = socket.tcp()
        assert(s:setopt(socket.OPT_TCP_USER_TIMEOUT, 100))
        t.fails(socket.ERROR_TIMEOUT, nil, s:connect("127.0.0.1", p:number()))
        p:kill()
    end)
end)
