local t = require "support.t"
local socket = t.socket

-- A socket that times out at once and the bare other end, which has sent data.
local function polled_wire(data)
    local s, wire = t.wire()
    s:settimeout(0)
    wire:send(data or "")
    return s, wire
end

describe("readuntil", function()
    t.guard()

    it("returns the data before each delimiter, and at the end what is left", function()
        local s, wire = t.wire()
        wire:send "one\r\ntwo\r\n\r\nlast"
        wire:close()
        local reader = s:readuntil "\r\n"
        assert.equal("one", reader())
        assert.equal("two", reader())
        assert.equal("", reader())
        t.fails(socket.ERROR_CLOSED, "last", reader())
        t.fails(socket.ERROR_CLOSED, "", reader())
        s:close()
    end)

    it("works in a for loop, which ends with the stream", function()
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

    -- pitfall: a delimiter that takes nil for `inclusive` as an error
    for name, given in pairs {
        ["is left out"] = { n = 1, "\n" },
        ["is nil"] = { n = 2, "\n", nil },
        ["is false"] = { n = 2, "\n", false },
        ["is true"] = { n = 2, "\n", true },
    } do
        it("gives lines with their delimiter only if inclusive is true: it " .. name, function()
            local s, wire = t.wire()
            wire:send "a\nb\n\nc"
            wire:close()
            local ending = given[2] and "\n" or ""
            local reader = s:readuntil((table.unpack or unpack)(given, 1, given.n)) -- luacheck: globals unpack
            assert.equal("a" .. ending, reader())
            assert.equal("b" .. ending, reader())
            assert.equal(ending, reader())
            t.fails(socket.ERROR_CLOSED, "c", reader())
            s:close()
        end)
    end

    -- Delimiters that overlap themselves, that are special elsewhere, and that hold any bytes.
    -- pitfall: "aab" in "aaab" missed, "ABAC" in "ABABAC" missed
    local finds = {
        { "aab", "aaab", "a" },
        { "aab", "aaaaaaab", "aaaaa" },
        { "ABAC", "ABABAC", "AB" },
        { "aa", "baa", "b" },
        { "abab", "abaabab", "aba" },
        { "aabab", "aabaabab", "aab" },
        { "%d+", "12%d+", "12" },
        { "[", "a.[", "a." },
        { ".", "a%.", "a%" },
        { "^$", "$^$", "$" },
        { "\0", "a\0", "a" },
        { "\0\0", "a\0b\0\0", "a\0b" },
        { "\255\254", "\255\255\254", "\255" },
        { "x", "x", "" },
        { 42, "a42", "a" },
        { ("ab"):rep(40) .. "c", ("ab"):rep(60) .. "c", ("ab"):rep(20) },
    }
    for _, case in ipairs(finds) do
        local pattern, sent, expected = case[1], case[2], case[3]
        it(("finds %s in %s, sent whole and byte by byte"):format(t.show(pattern), t.show(sent)), function()
            local s, wire = polled_wire(sent .. "rest")
            assert.equal(expected, s:readuntil(pattern)())
            assert.equal("rest", s:read(4))
            s:settimeout(5)
            for i = 1, #sent do
                wire:send(sent:sub(i, i))
            end
            assert.equal(expected .. pattern, s:readuntil(pattern, true)())
            s:settimeout(0)
            local got = ""
            for i = 1, #sent do
                wire:send(sent:sub(i, i))
                local data, _, partial = s:readuntil(pattern)()
                got = got .. (data or partial)
            end
            assert.equal(expected, got)
            wire:close()
            s:close()
        end)
    end

    -- pitfall: match state kept over a time-out while the bytes were handed out
    it("finds a delimiter that a pause has split, and keeps its start back on the time-out", function()
        local s, wire = polled_wire "hello\r"
        local reader = s:readuntil "\r\n"
        t.fails(socket.ERROR_TIMEOUT, "hello", reader())
        assert.equal(1, s:pending())
        t.fails(socket.ERROR_TIMEOUT, "", reader())
        wire:send "\nworld\r\n"
        assert.equal("", reader())
        assert.equal("world", reader())
        wire:close()
        s:close()
    end)

    it("gives out the start of a delimiter that did not go on", function()
        local s, wire = polled_wire "a\r"
        local reader = s:readuntil "\r\n"
        t.fails(socket.ERROR_TIMEOUT, "a", reader())
        wire:send "b\r\r"
        t.fails(socket.ERROR_TIMEOUT, "\rb\r", reader())
        wire:send "\n"
        assert.equal("", reader())
        wire:close()
        s:close()
    end)

    -- pitfall: a last line without delimiter lost
    it("gives out all that is left, the start of a delimiter too, when the stream ends", function()
        local s, wire = polled_wire "abc\r"
        wire:close()
        t.fails(socket.ERROR_CLOSED, "abc\r", s:readuntil "\r\n"())
        s:close()
    end)

    it("gives out all that is left with a reset", function()
        local s, p = t.with_python "s.sendall(b'one\\ntwo\\r'); reset(s)"
        p:finish()
        local reader = s:readuntil "\r\n"
        t.fails(socket.ERROR_RESET, "one\ntwo\r", reader())
        s:close()
    end)

    it("lets read take what a time-out kept back", function()
        local s, wire = polled_wire "ab\r"
        t.fails(socket.ERROR_TIMEOUT, "ab", s:readuntil "\r\n"())
        wire:send "\ncd"
        assert.equal("\r\nc", s:read(3))
        t.fails(socket.ERROR_TIMEOUT, "d", s:readuntil "\r\n"())
        wire:close()
        s:close()
    end)

    it("shares the buffer with other iterators, read and readsome", function()
        local s, wire = polled_wire "a:b\nc:d\n0123456789tail"
        local field, line = s:readuntil ":", s:readuntil "\n"
        assert.equal("a", field())
        assert.equal("b", line())
        assert.equal("c:", s:readuntil(":", true)())
        assert.equal("d\n", s:read(2))
        assert.equal("01234", t.readsome(s, 5, 5))
        assert.equal("56789", s:read(5))
        t.fails(socket.ERROR_TIMEOUT, "tail", line())
        wire:close()
        s:close()
    end)

    -- pitfall: an iterator that outlives or loses its socket
    it("gives an iterator that keeps its socket alive", function()
        local s, wire = t.wire()
        local reader = s:readuntil "\n"
        s = nil -- luacheck: ignore
        t.collect()
        wire:send "alive\n"
        assert.equal("alive", reader())
        wire:close()
        t.fails(socket.ERROR_CLOSED, "", reader())
    end)

    it("on a fresh or closed socket gives an iterator whose calls fail", function()
        local s, wire = t.wire()
        wire:send "a\nb\n"
        local reader = s:readuntil "\n"
        assert.equal("a", reader())
        s:close()
        t.fails(socket.ERROR_CLOSED, "", reader())
        t.fails(socket.ERROR_CLOSED, "", s:readuntil "\n"())
        t.fails(socket.ERROR_CLOSED, "", socket.tcp():readuntil "\n"())
        wire:close()
    end)
end)

describe("readuntil with a limit", function()
    t.guard()

    local LIMIT, TIMEOUT, CLOSED = socket.ERROR_LIMIT, socket.ERROR_TIMEOUT, socket.ERROR_CLOSED

    -- delimiter, limit, what is sent; then the results one after the other: data, or {err, partial}.
    local cases = {
        { "exactly at the limit", "\n", 3, "abc\n", "abc", { TIMEOUT, "" } },
        { "one over the limit", "\n", 3, "abcd\n", { LIMIT, "abc" }, "d", { TIMEOUT, "" } },
        { "far over the limit", "\n", 3, "abcdefgh\n", { LIMIT, "abc" }, { LIMIT, "def" }, "gh" },
        { "a limit of 1", "\n", 1, "ab\n\n", { LIMIT, "a" }, "b", "" },
        { "over the limit without a delimiter", "\n", 3, "abcd", { LIMIT, "abc" }, { TIMEOUT, "d" } },
        { "at the limit without a delimiter", "\n", 3, "abc", { TIMEOUT, "abc" } },
        { "at the limit, a delimiter may come", "ab", 3, "xxxa", { TIMEOUT, "xxx" } },
        { "at the limit, no delimiter can come", "ab", 3, "xxxb", { LIMIT, "xxx" }, { TIMEOUT, "b" } },
        { "a delimiter begins at the limit", "ab", 3, "xxxab", "xxx", { TIMEOUT, "" } },
        { "a delimiter begins over the limit", "ab", 3, "xxxxab", { LIMIT, "xxx" }, "x" },
        { "its start over the limit", "ab", 3, "xxxxa", { LIMIT, "xxx" }, { TIMEOUT, "x" } },
        { "an overlapping start", "aab", 2, "aaaa", { TIMEOUT, "aa" } },
        { "an overlapping start over the limit", "aab", 2, "aaaaa", { LIMIT, "aa" }, { TIMEOUT, "a" } },
        { "a limit far away", "\n", 2 ^ 53, "abc\n", "abc" },
    }
    for _, case in ipairs(cases) do
        for _, inclusive in ipairs { false, true } do
            local how = inclusive and "inclusive" or "exclusive"
            it(("with %s, limit %.0f: %s, %s"):format(t.show(case[2]), case[3], case[1], how), function()
                local s, wire = polled_wire(case[4])
                local reader = s:readuntil(case[2], inclusive, case[3])
                for i = 5, #case do
                    local expected = case[i]
                    if type(expected) == "string" then
                        assert.equal(expected .. (inclusive and case[2] or ""), reader())
                    else
                        t.fails(expected[1], expected[2], reader())
                    end
                end
                wire:close()
                s:close()
            end)
        end
    end

    it("at the end of the stream counts the start of a delimiter as data", function()
        local s, wire = polled_wire "xxxa"
        wire:close()
        local reader = s:readuntil("ab", false, 3)
        t.fails(LIMIT, "xxx", reader())
        t.fails(CLOSED, "a", reader())
        t.fails(CLOSED, "", reader())
        s:close()
    end)

    it("at the end of the stream gives what is exactly at the limit", function()
        local s, wire = polled_wire "xxx"
        wire:close()
        t.fails(CLOSED, "xxx", s:readuntil("ab", false, 3)())
        s:close()
    end)

    it("is met as soon as the bytes are there, without waiting for more", function()
        local s, wire = t.wire()
        s:settimeout(30)
        wire:send "abcd"
        t.deadline(5, function()
            t.fails(LIMIT, "abc", s:readuntil("\n", false, 3)())
        end)
        wire:close()
        s:close()
    end)

    it("may be nil", function()
        local s, wire = polled_wire "abc\n"
        assert.equal("abc", s:readuntil("\n", nil, nil)())
        wire:close()
        s:close()
    end)
end)
