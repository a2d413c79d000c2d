local t = require "support.t"
local socket = t.socket

local MIB = 1024 * 1024

-- A socket that times out at once and the bare other end, which has sent data.
local function polled_wire(data)
    local s, wire = t.wire()
    s:settimeout(0)
    wire:send(data or "")
    return s, wire
end

describe("readsome", function()
    t.guard()

    it("returns what is there, at most what is asked", function()
        local s, wire = t.wire()
        wire:send "abcdef"
        assert.equal("abc", t.readsome(s, 3, 3))
        assert.equal("def", t.readsome(s, 1000, 3))
        wire:send "g"
        assert.equal("g", s:readsome(1))
        wire:close()
        s:close()
    end)

    it("gives buffered bytes without waiting for others", function()
        local s, wire = t.wire()
        wire:send "line\nmore"
        assert.equal("line", s:readuntil "\n"())
        assert.equal("mo", t.readsome(s, 2, 2))
        assert.equal("re", t.readsome(s, 100, 2))
        assert.equal(0, s:pending())
        wire:close()
        s:close()
    end)

    it("waits for the first byte, not for more", function()
        local s, p = t.with_python "hear(); s.sendall(b'x'); hear()"
        s:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, nil, s:readsome(100))
        s:settimeout(10)
        p:say "send"
        assert.equal("x", s:readsome(100))
        p:say "end"
        p:finish()
        s:close()
    end)

    it("fails as closed at the end of the stream, each time", function()
        local s, wire = t.wire()
        wire:send "end"
        wire:close()
        assert.equal("end", t.readsome(s, 100, 3))
        t.fails(socket.ERROR_CLOSED, nil, s:readsome(100))
        t.fails(socket.ERROR_CLOSED, nil, s:readsome(100))
        s:close()
    end)

    it("fails on a reset, on a fresh and on a closed socket", function()
        local s, p = t.with_python "reset(s)"
        p:finish()
        t.fails(socket.ERROR_RESET, nil, s:readsome(100))
        s:close()
        t.fails(socket.ERROR_CLOSED, nil, s:readsome(100))
        t.fails(socket.ERROR_CLOSED, nil, socket.tcp():readsome(100))
    end)

    it("of a huge maximum takes memory for what is there", function()
        local s, wire = polled_wire "abc"
        local before = t.status "VmPeak"
        assert.equal("abc", t.readsome(s, 2 ^ 40, 3))
        t.fails(socket.ERROR_TIMEOUT, nil, s:readsome(2 ^ 53))
        assert.is_true(t.status "VmPeak" - before < 64 * 1024)
        wire:close()
        s:close()
    end)
end)

describe("readall", function()
    t.guard()

    for _, size in ipairs { 0, 1, 65536, 20 * MIB } do
        it("returns all of " .. size .. " bytes until the peer closes", function()
            local s, p = t.with_python(
                "data = os.urandom(int(argv[0])); s.sendall(data); s.close(); say(digest(data))",
                size
            )
            local data = assert(s:readall())
            assert.equal(size, #data)
            assert.equal(p:number(), t.sys.crc32(data))
            p:finish()
            s:close()
        end)
    end

    it("is empty after the end, each time", function()
        local s, wire = t.wire()
        wire:send "abc"
        wire:close()
        assert.equal("abc", s:readall())
        assert.equal("", s:readall())
        assert.equal("", s:readall(1))
        s:close()
    end)

    it("begins with what the buffer holds", function()
        local s, wire = t.wire()
        wire:send "head\n\nbo"
        assert.equal("head", s:readuntil "\n\n"())
        wire:send "dy"
        wire:close()
        assert.equal("body", s:readall())
        s:close()
    end)

    it("gives what had come when the time is up, and goes on after it", function()
        local s, wire = polled_wire "abc"
        t.fails(socket.ERROR_TIMEOUT, "abc", s:readall())
        t.fails(socket.ERROR_TIMEOUT, "", s:readall())
        wire:send "def"
        wire:close()
        assert.equal("def", s:readall())
        s:close()
    end)

    it("gives what had come before a reset", function()
        local s, p = t.with_python "s.sendall(b'abc'); reset(s)"
        p:finish()
        t.fails(socket.ERROR_RESET, "abc", s:readall())
        s:close()
    end)

    it("fails on a fresh and on a closed socket", function()
        t.fails(socket.ERROR_CLOSED, "", socket.tcp():readall())
        local s, wire = t.wire()
        wire:send "abc"
        s:close()
        t.fails(socket.ERROR_CLOSED, "", s:readall())
        wire:close()
    end)

    it("is not stopped by a limit that is met exactly", function()
        local s, wire = t.wire()
        wire:send "abc"
        wire:close()
        assert.equal("abc", s:readall(3))
        s:close()
    end)

    it("fails over its limit with the first bytes, and loses none of the others", function()
        local s, wire = t.wire()
        wire:send "abcdefgh"
        s:settimeout(30) -- not waited for: the limit is passed already
        t.deadline(5, function()
            t.fails(socket.ERROR_LIMIT, "abc", s:readall(3))
        end)
        wire:close()
        t.fails(socket.ERROR_LIMIT, "def", s:readall(3))
        assert.equal("gh", s:readall(3))
        s:close()
    end)

    it("at its limit waits for the end or for one byte more", function()
        local s, wire = polled_wire "abc"
        t.fails(socket.ERROR_TIMEOUT, "abc", s:readall(3))
        wire:close()
        s:close()
    end)
end)

describe("pending", function()
    t.guard()

    it("counts the bytes that wait in the module's buffer", function()
        local s, wire = polled_wire()
        assert.equal("0", tostring(s:pending()))
        t.read_ahead(s, function(text)
            wire:send(text)
            assert.equal(0, s:pending())
        end, "line", "12345")
        assert.equal("5", tostring(s:pending()))
        assert.equal("123", s:read(3))
        assert.equal(2, s:pending())
        assert.equal("45", s:readsome(9))
        assert.equal(0, s:pending())
        wire:close()
        s:close()
    end)

    it("is 0 again once the socket is closed", function()
        local s, wire = polled_wire()
        t.read_ahead(s, function(text)
            wire:send(text)
        end, "line", "rest")
        s:close()
        assert.equal(0, s:pending())
        wire:close()
    end)
end)
