local t = require "support.t"
local socket = t.socket

socket.loop():pollfd() -- the tasks' own descriptor is there before any is counted

local LIMIT, TIMEOUT, CLOSED = socket.ERROR_LIMIT, socket.ERROR_TIMEOUT, socket.ERROR_CLOSED

-- What is sent, then what each call gives: a line, or {err, partial}. END: the stream ends there.
local END = {}
local cases = {
    { "LF and CR LF", nil, "one\ntwo\r\n\n\r\n", "one", "two", "", "", { TIMEOUT, "" } },
    { "a last line without LF", nil, "one\nlast", END, "one", "last", { CLOSED, "" }, { CLOSED, "" } },
    { "nothing after the last LF", nil, "one\n", END, "one", { CLOSED, "" } },
    { "an empty stream", nil, "", END, { CLOSED, "" } },
    { "a CR at the end of the stream", nil, "one\r", END, "one\r", { CLOSED, "" } },
    { "CRs elsewhere", nil, "a\rb\r\r\n\rc\n", "a\rb\r", "\rc" },
    { "NULs", nil, "\0\0\na\0\r\n", "\0\0", "a\0" },
    { "a time-out", nil, "abc", { TIMEOUT, "abc" }, { TIMEOUT, "" } },
    { "exactly the limit", 3, "abc\nabc\r\n", "abc", "abc" },
    { "one over the limit", 3, "abcd\r\n", { LIMIT, "abc" }, "d" },
    { "far over the limit", 3, "abcdefgh\n", { LIMIT, "abc" }, { LIMIT, "def" }, "gh" },
    { "the limit, and more may come", 3, "abc", { TIMEOUT, "abc" } },
    { "the limit and a CR", 3, "abc\r", { TIMEOUT, "abc" }, { TIMEOUT, "" } },
    { "over the limit, no LF yet", 3, "abcd", { LIMIT, "abc" }, { TIMEOUT, "d" } },
    { "over the limit by a CR that is data", 3, "abc\rd", { LIMIT, "abc" }, { TIMEOUT, "\rd" } },
    { "the limit at the end of the stream", 3, "abc", END, "abc", { CLOSED, "" } },
    { "a CR over the limit at the end of the stream", 3, "abc\r", END, { LIMIT, "abc" }, "\r", { CLOSED, "" } },
    { "a limit of 1", 1, "\n\r\na\na\r\nab\n", "", "", "a", "a", { LIMIT, "a" }, "b" },
    { "a limit far away", 2 ^ 53, "abc\n", "abc" },
}

describe("readline", function()
    t.guard()

    for _, case in ipairs(cases) do
        it("with " .. case[1] .. (case[2] and (", limit %.0f"):format(case[2]) or ""), function()
            local s, wire = t.wire()
            s:settimeout(0)
            wire:send(case[3])
            for i = 4, #case do
                local expected = case[i]
                if expected == END then
                    wire:close()
                elseif type(expected) == "table" then
                    t.fails(expected[1], expected[2], s:readline(case[2]))
                else
                    assert.equal(expected, (s:readline(case[2])))
                end
            end
            wire:close()
            s:close()
        end)
    end

    it("finds an ending that a pause has split", function()
        local s, wire = t.wire()
        s:settimeout(0)
        wire:send "hello\r"
        t.fails(TIMEOUT, "hello", s:readline())
        assert.equal(1, s:pending())
        t.fails(TIMEOUT, "", s:readline())
        wire:send "\nworld\r"
        assert.equal("", s:readline())
        t.fails(TIMEOUT, "world", s:readline())
        wire:send "!\n"
        assert.equal("\r!", s:readline())
        wire:close()
        s:close()
    end)

    it("is met by its limit as soon as the bytes are there", function()
        local s, wire = t.wire()
        s:settimeout(30)
        wire:send "abcd"
        t.deadline(5, function()
            t.fails(LIMIT, "abc", s:readline(3))
        end)
        wire:close()
        s:close()
    end)

    it("takes 1 MiB unless told otherwise, and not a byte more", function()
        local mib = ("x"):rep(2 ^ 20)
        local s, p = t.with_python "s.sendall(b'x' * 2**20 + b'\\r\\n' + b'x' * 2**20 + b'y\\n'); hear()"
        assert.equal(mib, s:readline())
        t.fails(LIMIT, mib, s:readline())
        assert.equal("y", s:readline())
        p:say "end"
        p:finish()
        s:close()
    end)

    it("gives what is left with a reset, on a fresh and a closed socket nothing", function()
        local s, p = t.with_python "s.sendall(b'one\\ntwo\\r'); reset(s)"
        p:finish()
        local line, err, partial = s:readline()
        if line then -- it came before the reset
            assert.equal("one", line)
            line, err, partial = s:readline()
        end
        t.fails(socket.ERROR_RESET, "two\r", line, err, partial:match "two\r$")
        s:close()
        t.fails(CLOSED, "", s:readline())
        t.fails(CLOSED, "", socket.tcp():readline())
    end)

    it("shares the buffer with the other reading calls", function()
        local s, wire = t.wire()
        wire:send "a\nb:c\r\n12345d\n"
        assert.equal("a", s:readline())
        assert.equal("b", s:readuntil ":"())
        assert.equal("c", s:readline())
        assert.equal("12345", s:read(5))
        assert.equal("d", s:readline())
        wire:close()
        s:close()
    end)

    it("in a task gives the bytes it had taken when another task closes the socket", function()
        local s, wire = t.wire()
        local task = socket.spawn(function()
            return s:readline()
        end)
        socket.sleep(0)
        wire:send "ab\r"
        socket.sleep(0.05) -- a turn after it has come
        s:close()
        local _, line, err, partial = task:wait(5)
        t.fails(CLOSED, "ab\r", line, err, partial)
        wire:close()
    end)
end)
