-- select: what counts as ready, what comes back, and how long it waits.

local t = require "support.t"
local tools = require "support.tools"

local socket = t.socket
local TIMEOUT, BAD = socket.ERROR_TIMEOUT, t.text "EBADF"

local function close_all(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

local function udp()
    local u = socket.udp()
    assert(u:bind("127.0.0.1", 0))
    return u
end

-- select's three results, with limits on the wait
local function now(reads, writes)
    return t.pack(socket.select(reads, writes, 0))
end

local function soon(reads, writes)
    return t.pack(socket.select(reads, writes, 10))
end

local NOTHING = { nil, nil, TIMEOUT, n = 3 }

-- The same values in the same order, not only equal ones.
local function assert_list(expected, got)
    assert.is_table(got)
    assert.equal(#expected, #got)
    for i, v in ipairs(expected) do
        assert.is_true(rawequal(v, got[i]) and type(v) == type(got[i]), "element " .. i)
    end
end

local function assert_ready(reads, writes, results)
    assert.is_nil(results[3])
    assert_list(reads, results[1])
    assert_list(writes, results[2])
end

describe("select", function()
    t.guard()

    it("finds nothing to read where nothing was sent, and room to write", function()
        local a, b = socket.pair()
        assert.same(NOTHING, now({ a, b }))
        assert_ready({}, { a, b }, now({ a, b }, { a, b }))
        assert_ready({}, { b }, now(nil, { b }))
        close_all(a, b)
    end)

    -- pitfall: only one ready descriptor returned
    it("gives all that are ready, in the order passed, each as often as passed", function()
        local a, b = socket.pair()
        local c, d = socket.pair()
        local u = udp()
        assert(a:write "x" and c:write "x" and u:sendto("x", u:getsockname()))
        assert_ready({ d, u, b }, {}, soon({ d, a, u, c, b }))
        assert_ready({ b, b, d, b }, { a, b, a }, soon({ b, b, a, d, b }, { a, b, a }))
        close_all(a, b, c, d, u)
    end)

    it("gives numbers back as numbers and sockets as sockets", function()
        local a, b = socket.pair()
        assert(a:write "x")
        local fd = b:fileno()
        assert_ready({ fd, b, fd }, { fd, b }, soon({ fd, b, a:fileno(), fd }, { fd, b }))
        assert.is_true(tools.is_integer(soon({ fd })[1][1]))
        close_all(a, b)
    end)

    it("takes no lists, empty lists, and leaves those that it was given as they were", function()
        for _, lists in ipairs { { nil, nil }, { {}, nil }, { nil, {} }, { {}, {} } } do
            assert.same(NOTHING, t.pack(t.takes(0.01, socket.select, lists[1], lists[2], 0.01)))
        end
        local a, b = socket.pair()
        assert(a:write "x")
        local reads, writes = { a, b }, { a }
        local results = soon(reads, writes)
        assert_ready({ b }, { a }, results)
        assert_list({ a, b }, reads)
        assert_list({ a }, writes)
        assert.is_false(rawequal(writes, results[2]))
        close_all(a, b)
    end)

    it("says that a listening socket is readable when a connection waits", function()
        for _, kind in ipairs(t.kinds) do
            local listener, addr = t.listener(kind)
            assert.same(NOTHING, now({ listener }))
            local client = socket.tcp()
            assert(client:connect(addr))
            assert_ready({ listener }, {}, soon({ listener }))
            local _, accepted = t.joined(client, assert(listener:accept()))
            assert.same(NOTHING, now({ listener }))
            close_all(listener, client, accepted)
        end
    end)

    -- pitfall: bytes already in the module's buffer not counted as readable
    it("says that a stream with buffered bytes is readable, also when named by its number", function()
        local a, b = socket.pair()
        t.read_ahead(b, function(text)
            assert(a:write(text))
        end, "line", "rest")
        local fd = b:fileno()
        assert_ready({ b, fd }, {}, t.pack(t.deadline(5, socket.select, { b, fd, a })))
        assert_ready({ fd }, {}, now({ fd }))
        assert(b:read(4) == "rest")
        assert.same(NOTHING, now({ b, fd }))
        close_all(a, b)
    end)

    it("says what else is ready beside buffered bytes", function()
        local a, b = socket.pair()
        local c, d = socket.pair()
        assert(a:write "line\nrest" and b:readuntil "\n"() and c:write "x")
        assert_ready({ d, b }, { c }, soon({ d, c, b }, { c }))
        close_all(a, b, c, d)
    end)

    it("says that the end of a stream is readable", function()
        local s, p = t.with_python "s.close(); say('closed')"
        assert.equal("closed", p:line())
        assert_ready({ s }, {}, soon({ s }))
        assert.same({ nil, socket.ERROR_CLOSED, "" }, { s:read(1) })
        p:finish()
        s:close()
    end)

    it("says that an error or a hang-up is ready in whichever list it stands", function()
        local s, p = t.with_python "hear(); reset(s); say('reset')"
        s:settimeout(0)
        s:write(("x"):rep(2 ^ 24)) -- nothing more goes in
        assert.same(NOTHING, now({ s }, { s }))
        p:say "reset"
        assert.equal("reset", p:line())
        assert_ready({}, { s }, soon(nil, { s }))
        assert_ready({ s }, {}, soon({ s }))
        assert_ready({ s }, { s }, soon({ s }, { s }))
        p:finish()
        local gone, u = udp(), socket.udp()
        assert(u:connect(gone:getsockname()))
        gone:close()
        assert(u:send "anybody?")
        assert_ready({ u }, {}, soon({ u }))
        assert.same({ nil, socket.ERROR_REFUSED }, { u:recv() })
        local a, b = socket.pair()
        b:close()
        assert_ready({ a }, { a }, soon({ a }, { a }))
        close_all(s, u, a)
    end)

    it("says that a full stream is writable again when the peer has read", function()
        local a, b = socket.pair()
        a:settimeout(0)
        local _, _, sent = a:write(("x"):rep(2 ^ 24))
        assert.same(NOTHING, now(nil, { a }))
        assert(b:read(sent - t.HELD))
        assert_ready({}, { a }, soon(nil, { a }))
        close_all(a, b)
    end)
end)

describe("select of what is not open", function()
    t.guard()

    it("is the system's text for EBADF, in either list, first or last, ready others or not", function()
        local a, b = socket.pair()
        assert(a:write "x")
        local closed = udp()
        local closed_fd = closed:fileno()
        closed:close()
        for _, bad in ipairs { closed, socket.tcp(), socket.udp(), closed_fd, 100000 } do
            local cases = { { { bad } }, { nil, { bad } }, { { b, bad } }, { { bad }, { a } }, { { b }, { a, bad } } }
            for _, lists in ipairs(cases) do
                assert.same({ nil, nil, BAD, n = 3 }, now(lists[1], lists[2]))
            end
        end
        close_all(a, b)
    end)

    -- pitfall: an element that is no number looping for ever
    it("is misuse when it is neither socket nor number, named by list and index", function()
        local a, b = socket.pair()
        for _, wrong in ipairs { true, "x", {}, print, 1.5, tools.nan, 1e300, io.stdout } do
            tools.misuse(tools.field, socket, "select", 1, { { a, b, wrong, a }, {}, 0 }, "3")
            tools.misuse(tools.field, socket, "select", 2, { { a }, { b, wrong }, 0 }, "2")
        end
        close_all(a, b)
    end)
end)

describe("select's time", function()
    t.guard()

    it("is bounded as asked, fractions too, and 0 does not wait", function()
        local a, b = socket.pair()
        for _, seconds in ipairs { 0, 1e-9, 0.0004, 0.002, 0.05, 0.15 } do
            assert.same(NOTHING, t.pack(t.takes(seconds, socket.select, { a, b }, nil, seconds)))
        end
        close_all(a, b)
    end)

    it("is without limit when negative, infinite or absent, and may be very long", function()
        local s, p = t.with_python "while True: hear(); time.sleep(0.02); s.send(b'x')"
        for _, seconds in ipairs { -1, -0.001, math.huge, 3e6, 2 ^ 31, 1e300, false } do
            p:say "go"
            assert_ready({ s }, {}, t.pack(socket.select({ s }, nil, seconds or nil)))
            assert(s:read(1))
        end
        p:kill()
        s:close()
    end)

    it("is not bounded by the sockets' own time-outs", function()
        local a, b = socket.pair()
        a:settimeout(0)
        b:settimeout(0)
        assert.same(NOTHING, t.pack(t.takes(0.03, socket.select, { a, b }, nil, 0.03)))
        close_all(a, b)
    end)

    -- pitfall: sets reused in altered form after EINTR; EINTR counted as failure, or restarting the full wait
    it("and sets survive signals", function()
        local s, p = t.with_python "while True: hear(); time.sleep(0.05); s.send(b'x')"
        local a, b = socket.pair()
        tools.amid_signals(function()
            assert.same(NOTHING, t.pack(t.takes(0.05, socket.select, { a, s, b }, nil, 0.05)))
            p:say "go"
            assert_ready({ s }, {}, soon { a, s, b })
            assert(s:read(1) == "x")
        end)
        p:kill()
        close_all(s, a, b)
    end)
end)
