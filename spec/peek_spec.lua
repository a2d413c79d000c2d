local t = require "support.t"
local socket = t.socket

socket.loop():pollfd() -- the tasks' own descriptor is there before any is counted

describe("peek", function()
    t.guard()

    it("gives what comes next and leaves it there", function()
        local s, wire = t.wire()
        wire:send "abcdef"
        assert.equal("a", s:peek())
        assert.equal("a", s:peek(nil))
        local seen = s:peek(4)
        assert.equal(("abcdef"):sub(1, #seen), seen)
        assert.is_true(#seen <= 4 and (t.bad_weather or #seen == 4))
        assert.is_true(s:pending() >= #seen)
        assert.equal("abcd", s:read(4))
        assert.equal("e", s:peek())
        assert.equal("ef", t.readsome(s, 10, 2))
        wire:close()
        s:close()
    end)

    it("gives bytes that are there without waiting for others", function()
        local s, wire = t.wire()
        wire:send "line\nmo"
        assert.equal("line", s:readuntil "\n"())
        s:settimeout(30)
        t.deadline(5, function()
            assert.equal("m", s:peek(1000):sub(1, 1))
        end)
        assert.equal("mo", s:read(2))
        wire:close()
        s:close()
    end)

    it("waits for the first byte", function()
        local s, p = t.with_python "hear(); s.sendall(b'x'); hear()"
        s:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, nil, s:peek())
        s:settimeout(10)
        p:say "send"
        assert.equal("x", s:peek(9))
        p:say "end"
        p:finish()
        s:close()
    end)

    it("gives at most 64 KiB, however much is in the buffer", function()
        local s, p = t.with_python "s.sendall(b'x' * 300000); hear()"
        s:settimeout(0.3)
        local _, _, partial = s:readuntil(("x"):rep(300001))()
        assert.equal("", partial) -- all of it may be the delimiter's start: it is kept
        assert.equal(300000, s:pending())
        assert.equal(65536, #s:peek(2 ^ 40))
        assert.equal(65535, #s:peek(65535))
        assert.equal(300000, s:pending())
        assert.equal(("x"):rep(300000), s:read(300000))
        p:say "end"
        p:finish()
        s:close()
    end)

    it("fails as closed at the end of the stream, on a fresh and on a closed socket, and as reset", function()
        local s, wire = t.wire()
        wire:send "x"
        wire:close()
        assert.equal("x", s:peek(2))
        assert.equal("x", s:read(1))
        t.fails(socket.ERROR_CLOSED, nil, s:peek())
        t.fails(socket.ERROR_CLOSED, nil, s:peek())
        s:close()
        t.fails(socket.ERROR_CLOSED, nil, s:peek())
        t.fails(socket.ERROR_CLOSED, nil, socket.tcp():peek())
        local r, p = t.with_python "reset(s)"
        p:finish()
        t.fails(socket.ERROR_RESET, nil, r:peek(10))
        r:close()
    end)

    it("keeps the socket readable for select", function()
        local s, wire = t.wire()
        wire:send "x"
        assert.equal("x", s:peek())
        assert.same({ s }, (socket.select({ s }, nil, 0)))
        assert.equal(t.in_tls and "TLS is in use" or "Unread bytes are pending", select(2, s:detach()))
        wire:close()
        s:close()
    end)

    it("in a task ends when another task closes the socket", function()
        local s, wire = t.wire()
        local task = socket.spawn(function()
            return s:peek(3)
        end)
        socket.sleep(0)
        s:close()
        local _, data, err = task:wait(5)
        t.fails(socket.ERROR_CLOSED, nil, data, err)
        wire:close()
    end)
end)
