-- Bytes over LuaSec's connections: send and receive with all that they take, time-outs, statistics, cut streams.

local t = require "support.t"
local luasec = require "support.luasec"

local function closed(...)
    for i = 1, select("#", ...) do
        local s = select(i, ...)
        s:close()
    end
end

local function gives(expected, ...)
    assert.same(t.pack((table.unpack or _G.unpack)(expected, 1, expected.n)), t.pack(...))
end

-- The results of a send that failed, and of a receive.
local function fails(err, last, ...)
    gives({ nil, err, last, n = 3 }, ...)
end

local function succeeds(value, ...)
    gives({ value, nil, nil, n = 3 }, ...)
end

luasec.each("streams of LuaSec", function(socket, ssl, kind)
    local function pair(...)
        return luasec.pair(socket, ssl, ...)
    end

    -- A connection to a Python peer that speaks TLS.
    local function with_python(code)
        local s, p = luasec.with_python(
            socket,
            "s = server_context(argv[0] + '/a.pem').wrap_socket(s, server_side=True)\n"
                .. require("support.peer").dedent(code),
            luasec.path ""
        )
        s = assert(ssl.wrap(s, luasec.client()))
        s:settimeout(10)
        assert(s:dohandshake())
        return s, p
    end

    -- ---- send ----

    it("sends what the indices say", function()
        local a, b = pair()
        for _, case in ipairs {
            { 10, "abcdefghij", "abcdefghij" },
            { 10, "defghij", "abcdefghij", 4 },
            { 6, "def", "abcdefghij", 4, 6 },
            { 9, "hi", "abcdefghij", -3, -2 },
            { 10, "j", "abcdefghij", 10, 20 },
            { 2, "ab", "abcdefghij", -20, 2 },
            { 11, "", "abcdefghij", 12 },
            { 19, "", "abcdefghij", 20, 30 },
            { 3, "", "abcdefghij", 4, 2 },
            { 0, "", "" },
            { 6, "123456", 123456 },
            { 3, "bc", "abcd", "2", "3" },
        } do
            succeeds(case[1], a:send((table.unpack or _G.unpack)(case, 3)))
            if case[2] ~= "" then
                assert.equal(case[2], (b:receive(#case[2])))
            end
        end
        assert.is_false(pcall(a.send, a))
        assert.is_false(pcall(a.send, a, {}))
        assert.is_false(pcall(a.send, a, "x", "first"))
        closed(a, b)
    end)

    -- Sends data while the peer reads only what is there, and nothing more: the peer has all of it in the end.
    local function send_in_parts(n)
        local a, b = pair()
        local data = t.random(n)
        a:settimeout(0)
        b:settimeout(0)
        local received, waits, from = {}, 0, 1
        repeat
            local last, err, part = a:send(data, from)
            assert(last or err == "wantwrite", err)
            if not last then
                assert(part >= from - 1 and part <= n, tostring(part))
                from, waits = part + 1, waits + 1
                local _, why, more = b:receive(n)
                received[#received + 1] = more
                assert(not more or why == "wantread", why)
            end
        until last
        b:settimeout(10)
        local got = assert(b:receive(n, table.concat(received)))
        assert(got == data, "other bytes")
        assert(waits > 0)
        closed(a, b)
    end

    it("sends a part when there is no room, and the rest later", function()
        for _, n in ipairs { 4194304, 5000000 } do -- of the first, the end is what waits for room
            send_in_parts(n)
        end
    end)

    it("waits for room as long as a time-out says", function()
        local a, b = pair()
        local data = ("x"):rep(8 * 1024 * 1024)
        a:settimeout(0.02)
        local last, err, part = t.takes(0.015, a.send, a, data)
        assert.is_nil(last)
        assert.equal("wantwrite", err)
        assert(part > 0 and part < #data, tostring(part))
        closed(a, b)
    end)

    it("sends much through a peer that echoes", function()
        local s, p = with_python [[
            n = 0
            while n < 3000000: data = s.recv(65536); s.sendall(data[:1] if n == 0 else b""); n += len(data)
            say(n); s.close()
        ]]
        succeeds(3000000, s:send(("x"):rep(3000000)))
        assert.equal("3000000", p:line())
        assert.equal("x", s:receive(1))
        s:close()
        p:finish()
    end)

    -- ---- receive ----

    it("receives lines", function()
        local a, b = pair()
        a:send "one\ntwo\r\n\rth\rree\n\nlast"
        for _, line in ipairs { "one", "two", "three", "" } do
            succeeds(line, b:receive())
        end
        a:close()
        fails("closed", "last", b:receive "*l")
        fails("closed", "", b:receive "*l")
        b:close()
    end)

    it("receives lines with a prefix", function()
        local a, b = pair()
        a:send "b\r\nc"
        succeeds("a\rb", b:receive("*l", "a\r"))
        b:settimeout(0)
        fails("wantread", "-c", b:receive("*l", "-"))
        fails("wantread", "-c", b:receive("*l", "-c"))
        a:send "d\n"
        b:settimeout(10)
        succeeds("-cd", b:receive("*l", "-c"))
        closed(a, b)
    end)

    it("receives a number of bytes, those of the prefix with them", function()
        local a, b = pair()
        a:send "abcdefghij"
        succeeds("abc", b:receive(3))
        succeeds("xde", b:receive(3, "x"))
        succeeds("xyz", b:receive(3, "xyz"))
        succeeds("xyzw", b:receive(3, "xyzw"))
        succeeds("f", b:receive "1")
        succeeds("g", b:receive(1.9))
        succeeds("", b:receive(0))
        a:close()
        fails("closed", "xhij", b:receive(9, "x"))
        succeeds("xyz", b:receive(3, "xyz"))
        fails("closed", "", b:receive(1))
        fails("closed", "", b:receive(0))
        b:close()
    end)

    it("receives all", function()
        local a, b = pair()
        a:send "one\r\ntwo"
        b:settimeout(0.01)
        fails("wantread", "one\r\ntwo", b:receive "*a")
        a:send "three"
        a:close()
        b:settimeout(10)
        succeeds("twothree", b:receive("*a", "two"))
        fails("closed", "", b:receive "*a")
        fails("closed", "x", b:receive("*a", "x"))
        b:close()
    end)

    it("raises on patterns that it does not know", function()
        local a, b = pair()
        for _, wrong in ipairs { "x", "", "l", "*n", -1, {}, true } do
            assert.is_false(pcall(b.receive, b, wrong), tostring(wrong))
        end
        assert.is_false(pcall(b.receive, b, "*l", {}))
        closed(a, b)
    end)

    it("keeps what came when time is over", function()
        local a, b = pair()
        a:send "part"
        assert.equal(1, b:settimeout(0.02))
        fails("wantread", "part", b:receive())
        fails("wantread", "", b:receive(3))
        b:settimeout(0)
        fails("wantread", "", b:receive "*a")
        a:send "line\nrest"
        b:settimeout(10)
        succeeds("line", b:receive())
        b:settimeout(0)
        fails("wantread", "rest", b:receive(10))
        closed(a, b)
    end)

    it("waits as long as either time-out says", function()
        local a, b = pair()
        for _, mode in ipairs { "b", "t", "block", "total", "r" } do
            b:settimeout(nil)
            assert.equal(1, b:settimeout(0.02, mode))
            fails("wantread", "", t.takes(0.015, b.receive, b))
            b:settimeout(nil, mode)
        end
        b:settimeout(10)
        b:settimeout(0.02, "t")
        fails("wantread", "", t.takes(0.015, b.receive, b))
        b:settimeout(10, "t")
        b:settimeout(0.02, "b")
        fails("wantread", "", t.takes(0.015, b.receive, b))
        assert.is_false(pcall(b.settimeout, b, "soon"))
        assert.is_false(pcall(b.settimeout, b, 1, "x"))
        assert.is_false(pcall(b.settimeout, b, 1, {}))
        closed(a, b)
    end)

    it("waits for all that a call asks for", function()
        local s, p = with_python [[
            for piece in (b"a", b"b\r", b"\n", b"12", b"345", b"all", b" of it"):
                hear(); s.sendall(piece)
            hear(); s.unwrap()
        ]]
        p:send "\n\n\n"
        succeeds("ab", s:receive())
        p:send "\n\n"
        succeeds("12345", s:receive(5))
        p:send "\n\n\n"
        succeeds("all of it", s:receive "*a")
        s:close()
        p:finish()
    end)

    it("takes more than a record", function()
        local a, b = pair()
        local data = t.random(100000)
        succeeds(#data, a:send(data))
        local got = assert(b:receive(#data))
        assert(got == data, "other bytes")
        closed(a, b)
    end)

    -- ---- dirty and select ----

    it("is dirty while it has bytes that select does not see", function()
        local a, b = pair()
        assert.is_false(b:dirty())
        a:send "abc\ndef"
        assert.equal(b, socket.select({ b }, nil, 10)[1])
        succeeds("abc", b:receive())
        assert.is_true(b:dirty())
        local readable, writable, err = socket.select({ b }, nil, 10)
        assert.same({ b, [b] = 1 }, readable)
        assert.same({}, writable)
        assert.is_nil(err)
        succeeds("def", b:receive(3))
        assert.is_false(b:dirty())
        closed(a, b)
    end)

    it("does not keep select awake with a record that has not come in full", function()
        local a, x = luasec.sockets(socket)
        local y, d = luasec.sockets(socket)
        local client, server = assert(ssl.wrap(a, luasec.client())), assert(ssl.wrap(d, luasec.server()))
        local function relay()
            for _, way in ipairs { { x, y }, { y, x } } do
                way[1]:settimeout(0)
                local _, _, bytes = way[1]:receive(100000)
                assert(way[2]:send(bytes))
            end
        end
        client:settimeout(0)
        server:settimeout(0)
        local deadline = t.now() + 10
        local first, second
        repeat
            first, second = first or client:dohandshake(), second or server:dohandshake()
            relay()
            assert(t.now() < deadline)
        until first and second
        client:send "a line\n"
        local _, _, record = x:receive(100000)
        y:send(record:sub(1, -2))
        assert.equal(server, socket.select({ server }, nil, 10)[1])
        fails("wantread", "", server:receive())
        assert.is_false(server:dirty())
        local readable, _, err = socket.select({ server }, nil, 0.02)
        assert.same({}, readable)
        assert.equal("timeout", err)
        y:send(record:sub(-1))
        assert.equal(server, socket.select({ server }, nil, 10)[1])
        succeeds("a line", server:receive())
        closed(client, server, x, y)
    end)

    it("stands in select beside plain sockets", function()
        local a, b = pair()
        local plain, other = luasec.sockets(socket)
        a:send "x"
        local readable = socket.select({ b, plain }, { a }, 10)
        assert.equal(b, readable[1])
        assert.is_nil(readable[2])
        other:send "x"
        local _, writable = socket.select({ plain }, { a, b, plain }, 10)
        assert.equal(1, writable[a] and 1)
        assert.equal(3, #writable)
        closed(a, b, plain, other)
    end)

    -- ---- statistics ----

    it("counts bytes", function()
        local a, b = pair()
        local received, sent, age = a:getstats()
        assert.equal(0, received)
        assert.equal(0, sent)
        assert(age >= 0 and age < 60)
        a:send "abc\r\ndef"
        b:receive()
        assert.equal(8, select(2, a:getstats()))
        received, sent = b:getstats()
        assert.equal(5, received)
        assert.equal(0, sent)
        b:receive(1)
        assert.equal(6, (b:getstats()))
        assert.equal(1, a:setstats(10, 20, 3600))
        received, sent, age = a:getstats()
        assert.equal(10, received)
        assert.equal(20, sent)
        assert(age >= 3600 and age < 3660)
        assert.equal(1, a:setstats())
        a:send "x"
        received, sent = a:getstats()
        assert.equal(10, received)
        assert.equal(21, sent)
        closed(a, b)
    end)

    -- ---- ends ----

    it("says that it was closed, and has what came before", function()
        local a, b = pair()
        a:send "before"
        a:close()
        fails("closed", "before", b:receive(100))
        fails("closed", "", b:receive(100))
        b:close()
        fails("closed", 0, b:send "x")
        fails("closed", 3, b:send("abcdef", 4))
        succeeds(9, b:send("abcdef", 10))
    end)

    -- LuaSec's text is OpenSSL's; versions before 3 have none.
    local function is_cut(err)
        assert(err == "unexpected eof while reading" or err == "closed" or err == "System error", err)
    end

    it("has what came before a stream was cut, and says so", function()
        local s, p = with_python [[
            s.sendall(b"half a line"); hear(); s.detach(); os._exit(0)
        ]]
        assert.equal("half", s:receive(4))
        p:send "\n"
        local line, err, partial = s:receive()
        assert.is_nil(line)
        is_cut(err)
        assert.equal(" a line", partial)
        if not kind.is_real then -- which may spin then
            line, err, partial = s:receive()
            assert.is_nil(line)
            is_cut(err)
            assert.equal("", partial)
        end
        s:close()
        p:finish()
    end)

    it("does not take a cut stream for a whole one", function()
        local s, p = with_python [[
            s.sendall(b"half of all"); s.detach(); os._exit(0)
        ]]
        local all, err, partial = s:receive "*a"
        assert.is_nil(all)
        assert.equal("unexpected eof while reading", err)
        assert.equal("half of all", partial)
        s:close()
        p:finish()
    end)

    it("takes a cut stream for a whole one where an option says so", function()
        local s, p = luasec.with_python(
            socket,
            [[
            s = server_context(argv[0] + '/a.pem').wrap_socket(s, server_side=True)
            s.sendall(b"half of all"); s.detach(); os._exit(0)
            ]],
            luasec.path ""
        )
        s = assert(ssl.wrap(s, luasec.client { options = "ignore_unexpected_eof" }))
        s:settimeout(10)
        assert(s:dohandshake())
        succeeds("half of all", s:receive "*a")
        s:close()
        p:finish()
    end)

    it("is over after bytes that are no record", function()
        local s, p = with_python [[
            fd = s.detach(); os.write(fd, b"this is no TLS"); hear()
        ]]
        local line, err, partial = s:receive()
        assert.is_nil(line)
        assert.is_string(err)
        assert.not_equal("wantread", err)
        assert.equal("", partial)
        if not kind.is_real then -- which may spin then
            line, err = s:receive()
            assert.is_nil(line)
            assert.is_string(err)
            assert.not_equal("wantread", err)
        end
        s:close()
        p:send "\n"
        p:finish()
    end)

    it("tells its peer of the close", function()
        local s, p = with_python [[
            s.suppress_ragged_eofs = False
            say(s.recv(10) == b"")
        ]]
        s:close()
        assert.equal("True", p:line())
        p:finish()
    end)

    it("closes without waiting for anybody", function()
        local a, b = pair()
        a:settimeout(0)
        a:send(("x"):rep(8 * 1024 * 1024)) -- there is no room left
        if not kind.is_real then -- whose close blocks then
            t.deadline(1, a.close, a)
            b:close()
        else
            closed(b, a)
        end
    end)

    it("is collected with its descriptor", function()
        local before = t.fds()
        local a, b = pair()
        a:send "x"
        a = nil
        t.collect()
        t.collect()
        assert.is_nil(a)
        fails("closed", "x", b:receive(2))
        b:close()
        assert.equal(before, t.fds())
    end)
end)
