local t = require "support.t"
local tasks = require "support.tasks"
local socket = t.socket
local LIMIT, TIMEOUT, CLOSED = socket.ERROR_LIMIT, socket.ERROR_TIMEOUT, socket.ERROR_CLOSED

-- A socket that times out at once and the bare other end, which has sent data.
local function polled_wire(data)
    local s, wire = t.wire()
    s:settimeout(0)
    wire:send(data or "")
    return s, wire
end

-- The results of a call have these values and no more.
local function gives(expected, ...)
    assert.same({ n = #expected, (table.unpack or unpack)(expected) }, t.pack(...)) -- luacheck: globals unpack
end

-- Until a task's call has received `n` bytes: select alone may report data that is not there yet.
local function wait_until_received(s, n)
    local limit = t.now() + 5 * t.slow
    while s:pending() < n do
        assert(t.now() < limit, "the task has received too little")
        socket.sleep(0.001)
    end
end

describe("readuntil by size", function()
    tasks.guard()

    -- What is sent; delimiter, inclusive, size; then the pieces: { piece } or { piece, true }.
    local cases = {
        { "abcdefgh\nx\n\n", "\n", false, 3, { "abc" }, { "def" }, { "gh", true }, { "x", true }, { "", true } },
        { "abcdef\n", "\n", false, 3, { "abc" }, { "def" }, { "", true } },
        { "abcdefgh\nx\n\n", "\n", true, 3, { "abc" }, { "def" }, { "gh\n", true }, { "x\n", true }, { "\n", true } },
        { "abcdef\n", "\n", true, 3, { "abc" }, { "def" }, { "\n", true } },
        { "abcde\r\n\r\n", "\r\n", false, 3, { "abc" }, { "de", true }, { "", true } },
        { "abcde\r\n\r\n", "\r\n", true, 3, { "abc" }, { "de" }, { "\r\n", true }, { "\r\n", true } },
        { "a\rb\r\n", "\r\n", false, 1, { "a" }, { "\r" }, { "b" }, { "", true } },
        { "aaaab", "aab", false, 1, { "a" }, { "a" }, { "", true } },
        { "abcd", "abcd", false, 1, { "", true } },
        { "abc--end", "--end", false, 2 ^ 40, { "abc", true } },
    }
    for _, case in ipairs(cases) do
        local sent, pattern, inclusive, size = case[1], case[2], case[3], case[4]
        local how = inclusive and "inclusive" or "exclusive"
        it(("cuts %s at %s, %s, into pieces of %.0f"):format(t.show(sent), t.show(pattern), how, size), function()
            local s, wire = polled_wire(sent)
            local next_line = s:readuntil(pattern, inclusive)
            for i = 5, #case do
                gives(case[i], next_line(size))
            end
            t.fails(TIMEOUT, "", next_line(size))
            wire:close()
            s:close()
        end)
    end

    it("gives pieces that do not depend on how the bytes come", function()
        local s, wire = t.wire()
        s:settimeout(5)
        local next_line = s:readuntil("--\r\n", true)
        local task = tasks.spawn(function()
            local pieces = {}
            for _ = 1, 4 do
                local piece, last = next_line(5)
                pieces[#pieces + 1] = piece .. (last and "|" or "")
            end
            return table.concat(pieces, " ")
        end)
        for byte in ("abcde-f--\r\n-\r--\r\n"):gmatch "." do
            socket.sleep(0)
            wire:send(byte)
        end
        local ok, got = task:wait()
        assert.is_true(ok)
        assert.equal("abcde -f --\r\n| -\r", got)
        gives({ "--\r\n", true }, next_line(5))
        wire:close()
        s:close()
    end)

    it("gives the rest of a record without a size, and says that it is the rest", function()
        local s, wire = polled_wire "abcdef\nghi\njkl\n"
        local next_line = s:readuntil "\n"
        gives({ "ab" }, next_line(2))
        gives({ "cdef", true }, next_line())
        gives({ "ghi" }, next_line())
        gives({ "jk" }, next_line(2))
        gives({ "l", true }, next_line(nil))
        wire:close()
        s:close()
    end)

    it("takes no record before for a size in a loop", function()
        local s, wire = t.wire()
        wire:send "1\n2\n3\n"
        wire:close()
        local lines = {}
        for line in s:readuntil "\n" do
            lines[#lines + 1] = line
        end
        assert.same({ "1", "2", "3" }, lines)
        s:close()
    end)

    it("keeps the record over a time-out: nothing is lost, and nothing given twice", function()
        local s, wire = polled_wire "abcde\r"
        local next_line = s:readuntil "\r\n"
        gives({ "abc" }, next_line(3))
        t.fails(TIMEOUT, "de", next_line(3))
        t.fails(TIMEOUT, "", next_line(3))
        wire:send "f\r"
        t.fails(TIMEOUT, "\rf", next_line(9))
        wire:send "\ng\r\n"
        gives({ "", true }, next_line())
        gives({ "g" }, next_line())
        wire:close()
        s:close()
    end)

    it("begins a record that a time-out cuts", function()
        local s, wire = polled_wire "ab"
        local next_line = s:readuntil "\n"
        t.fails(TIMEOUT, "ab", next_line(3))
        wire:send "c\n"
        gives({ "c", true }, next_line())
        wire:close()
        s:close()
    end)

    it("gives the rest as partial at the end of the stream, at most the size of it", function()
        local s, wire = polled_wire "abcde--"
        wire:close()
        local next_line = s:readuntil "---"
        gives({ "abc" }, next_line(3))
        gives({ "de-" }, next_line(3))
        t.fails(CLOSED, "-", next_line(3))
        t.fails(CLOSED, "", next_line(3))
        t.fails(CLOSED, "", next_line())
        s:close()
    end)

    it("gives what is left with a reset", function()
        local s, p = t.with_python "s.sendall(b'one-two'); reset(s)"
        p:finish()
        local next_line = s:readuntil "\n"
        gives({ "one-" }, next_line(4))
        t.fails(socket.ERROR_RESET, "two", next_line(4))
        s:close()
    end)

    it("counts the whole record against max", function()
        local s, wire = polled_wire "abcdefg\nhijkl\nmnopq\n"
        local next_line = s:readuntil("\n", false, 5)
        gives({ "abc" }, next_line(3))
        t.fails(LIMIT, "de", next_line(3))
        gives({ "fg" }, next_line()) -- what follows counts as a record of its own
        gives({ "hij" }, next_line(3))
        gives({ "kl", true }, next_line(3))
        gives({ "mn" }, next_line(2))
        gives({ "opq", true }, next_line())
        wire:send "123456\n"
        gives({ "12345" }, next_line(5))
        t.fails(LIMIT, "", next_line(5))
        gives({ "6", true }, next_line(5))
        wire:close()
        s:close()
    end)

    it("counts what a time-out has given against max", function()
        local s, wire = polled_wire "abc"
        local next_line = s:readuntil("\n", false, 5)
        t.fails(TIMEOUT, "abc", next_line(4))
        wire:send "def\n"
        t.fails(LIMIT, "de", next_line(4))
        gives({ "f" }, next_line())
        wire:close()
        s:close()
    end)

    it("begins anew on another connection", function()
        local listener, address = t.listener()
        local s = socket.tcp()
        s:settimeout(5)
        local next_line = s:readuntil("\n", false, 4)
        for _ = 1, 2 do
            assert(s:connect(address))
            local _, accepted = t.joined(s, assert(listener:accept()))
            assert(accepted:write "abcd\n")
            gives({ "abc" }, next_line(3))
            s:close()
            t.fails(CLOSED, "", next_line(3))
            accepted:close()
        end
        assert(s:connect(address))
        local _, accepted = t.joined(s, assert(listener:accept()))
        assert(accepted:write "abcd\n")
        gives({ "abcd" }, next_line())
        accepted:close()
        listener:close()
        s:close()
    end)

    it("leaves the record to the other reading calls", function()
        local s, wire = polled_wire "abcdefgh\nij\n"
        local next_line = s:readuntil "\n"
        gives({ "ab" }, next_line(2))
        assert.equal("cd", s:read(2))
        gives({ "ef" }, next_line(2))
        assert.equal("gh", s:readline())
        gives({ "ij", true }, next_line(8))
        wire:close()
        s:close()
    end)

    it("needs no memory for a long record", function()
        local size = 64 * 1024 * 1024 / (t.slow > 1 and 16 or 1)
        local p = t.python(
            [[
            l = listen(); s = l.accept()[0]
            block = b"x" * 65536
            for i in range(int(argv[0]) // 65536): s.sendall(block)
            s.sendall(b"\r\nend"); s.close()
            ]],
            ("%d"):format(size)
        )
        local s = socket.tcp()
        s:settimeout(30)
        assert(s:connect("127.0.0.1", p:number()))
        local next_line, n, most = s:readuntil "\r\n", 0, 0
        collectgarbage()
        t.reset_peak()
        local before = t.status "VmHWM"
        local piece, last
        repeat
            piece, last = next_line(10000)
            n = n + #assert(piece, last)
            most = math.max(most, #piece)
            if n % 1000000 == 0 then
                collectgarbage() -- the pieces are Lua's
            end
        until last
        assert.equal(size, n)
        assert.equal(10000, most)
        if before and t.slow == 1 then
            assert.is_true(t.status "VmHWM" - before < 16 * 1024)
        end
        t.fails(CLOSED, "end", next_line(10000))
        p:finish()
        s:close()
    end)

    it("waits in a task, and keeps other readers off", function()
        local s, wire = t.wire()
        s:settimeout(5)
        local next_line = s:readuntil "\n"
        local reader = tasks.spawn(function()
            return next_line(3)
        end)
        local other = tasks.spawn(function()
            return next_line(2)
        end)
        socket.sleep(0)
        socket.sleep(0)
        t.fails(socket.ERROR_BUSY, "", select(2, other:wait()))
        wire:send "abcd\n"
        assert.same({ true, "abc" }, { reader:wait() })
        gives({ "d", true }, next_line(3))
        wire:close()
        s:close()
    end)

    it("keeps the record when its task is cancelled", function()
        local s, wire = t.wire()
        s:settimeout(5)
        local next_line = s:readuntil("\n", false, 4)
        local reader = tasks.spawn(function()
            return next_line(4)
        end)
        wire:send "ab"
        wait_until_received(s, 2)
        reader:cancel()
        t.fails(socket.ERROR_CANCELLED, "ab", select(2, reader:wait()))
        wire:send "cde\n"
        t.fails(LIMIT, "cd", next_line(9))
        wire:close()
        s:close()
    end)

    it("hands out what a task's call had received when the socket is closed", function()
        local s, wire = t.wire()
        s:settimeout(5)
        local next_line = s:readuntil "\n"
        local reader = tasks.spawn(function()
            return next_line(4)
        end)
        wire:send "ab"
        wait_until_received(s, 2)
        s:close()
        t.fails(CLOSED, "ab", select(2, reader:wait()))
        wire:close()
    end)

    it("rejects a size that is none, and one that has no room for the delimiter", function()
        local s, wire = polled_wire "abc\r\n"
        local next_line = s:readuntil("\r\n", true)
        for _, bad in ipairs { 0, -1, 1.5, "x", {}, true } do
            t.rejects(next_line, bad)
        end
        assert.truthy(t.rejects(next_line, 1):find("size must be 2 or more", 1, true))
        gives({ "abc\r\n" }, next_line())
        s:close()
        t.rejects(next_line, 0)
        wire:close()
    end)
end)
