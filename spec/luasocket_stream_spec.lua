-- send and receive of LuaSocket's streams. Both ends are in this process, so that what was sent is there.

local luasocket = require "support.luasocket"
local t = require "support.t"

local is, raises = luasocket.is, luasocket.raises

local describe_streams = luasocket.describe_streams

local function close_all(...)
    for _, s in ipairs { ... } do
        is("1", s:close())
    end
end

-- ---- send ----

describe_streams("send", function(connected)
    -- Index of the first and of the last byte as given, the result, and what arrives of "abcdefghij".
    for _, row in ipairs {
        { nil, nil, 10, "abcdefghij" },
        { 1, nil, 10, "abcdefghij" },
        { 3, nil, 10, "cdefghij" },
        { 3, 5, 5, "cde" },
        { 10, 10, 10, "j" },
        { -3, nil, 10, "hij" },
        { -3, -2, 9, "hi" },
        { 0, nil, 10, "abcdefghij" },
        { 0, 3, 3, "abc" },
        { -20, 2, 2, "ab" },
        { 4, 20, 10, "defghij" },
        { 4, 2, 3, "" },
        { 11, nil, 10, "" },
        { 12, nil, 11, "" },
        { 20, 30, 19, "" },
        { 1, 0, 0, "" },
        { 5, -20, 4, "" },
        { "3", "5", 5, "cde" },
    } do
        local i, j, last, arrives = row[1], row[2], row[3], row[4]
        it(("of (%s, %s) gives %d"):format(tostring(i), tostring(j), last), function()
            local client, accepted = connected()
            is(last .. ", nil, nil", client:send("abcdefghij", i, j))
            is("10, nil, nil", client:send "0123456789")
            is(("%q, nil, nil"):format(arrives .. "0123456789"), accepted:receive(#arrives + 10))
            close_all(client, accepted)
        end)
    end

    it("of nothing gives the index before it", function()
        local client, accepted = connected()
        is("0, nil, nil", client:send "")
        is("0, nil, nil", client:send("", 1, 0))
        is("1, nil, nil", client:send("", 2))
        close_all(client, accepted)
    end)

    it("takes numbers for their digits", function()
        local client, accepted = connected()
        is("3, nil, nil", client:send(123))
        is("3, nil, nil", client:send(0.5))
        is('"1230.5", nil, nil', accepted:receive(6))
        close_all(client, accepted)
    end)

    it("takes any bytes", function()
        local all = {}
        for i = 0, 255 do
            all[#all + 1] = string.char(i)
        end
        local bytes = table.concat(all)
        local client, accepted = connected()
        is("256, nil, nil", client:send(bytes))
        assert.equal(t.hex(bytes), t.hex(assert(accepted:receive(256))))
        close_all(client, accepted)
    end)

    it("says how far it came when there is no room, and goes on from there", function()
        local client, accepted = connected()
        local data = t.random(1024 * 1024):rep(8)
        client:settimeout(0)
        accepted:settimeout(5)
        local last, got, rounds = 0, {}, 0
        while last < #data do
            local before, all, err, partial = last, client:send(data, last + 1)
            last = all or partial
            assert.equal(all == nil and "timeout" or nil, err)
            assert.equal(all == nil, partial ~= nil)
            assert.is_true(last > before)
            got[#got + 1] = assert(accepted:receive(last - before))
            rounds = rounds + 1
        end
        assert.is_true(rounds > 1)
        assert.is_true(table.concat(got) == data)
        close_all(client, accepted)
    end)

    it("to an end that is gone is closed", function()
        local client, accepted = connected()
        close_all(accepted)
        local ok, err, last
        local limit = t.now() + 10
        repeat -- TCP hears of it with the answer to what it sends first
            ok, err, last = client:send "x"
            assert.is_true(t.now() < limit)
        until not ok
        is('nil, "closed", 0', ok, err, last)
        is('nil, "closed", 3', client:send("abcdefghij", 4))
        is('nil, "closed", ""', client:receive())
        close_all(client)
    end)
end)

luasocket.describe("send without time", function(_, tested)
    it("and without room has sent nothing", function()
        local client, accepted = luasocket.unix_pair(tested.unix) -- TCP makes room later on
        luasocket.fill(client)
        is('nil, "timeout", 0', client:send(("x"):rep(1024 * 1024)))
        is('nil, "timeout", 6', client:send("abcdefghij", 7, 8))
        is("6, nil, nil", client:send("abcdefghij", 7, 6))
        close_all(client, accepted)
    end)
end)

-- ---- receive ----

describe_streams("receive of a line", function(connected)
    it("gives what is before the line feed, without it", function()
        local client, accepted = connected()
        assert(client:send "one\ntwo\n\nfour\n")
        is('"one", nil, nil', accepted:receive())
        is('"two", nil, nil', accepted:receive "*l")
        is('"", nil, nil', accepted:receive(nil))
        is('"four", nil, nil', accepted:receive "*line")
        close_all(client, accepted)
    end)

    it("drops every carriage return", function()
        local client, accepted = connected()
        assert(client:send "a\r\n\rb\rc\r\r\n\r\nd\r")
        is('"a", nil, nil', accepted:receive())
        is('"bc", nil, nil', accepted:receive())
        is('"", nil, nil', accepted:receive())
        close_all(client)
        is('nil, "closed", "d"', accepted:receive())
        close_all(accepted)
    end)

    it("keeps NUL and every other byte", function()
        local client, accepted = connected()
        assert(client:send "a\0b\255\n")
        assert.equal("a\0b\255", accepted:receive())
        close_all(client, accepted)
    end)

    it("begins with the prefix, whose carriage returns stay", function()
        local client, accepted = connected()
        assert(client:send "two\r\nthree")
        is([["on\13\10e two", nil, nil]], accepted:receive("*l", "on\r\ne "))
        close_all(client)
        is([[nil, "closed", "\13three"]], accepted:receive("*l", "\r"))
        is([[nil, "closed", "\13"]], accepted:receive("*l", "\r"))
        is('nil, "closed", ""', accepted:receive "*l")
        is('nil, "closed", "7"', accepted:receive("*l", 7))
        close_all(accepted)
    end)

    it("without an end gives what there is, which is gone then", function()
        local client, accepted = connected()
        accepted:settimeout(0)
        is('nil, "timeout", ""', accepted:receive())
        assert(client:send "ab\rc\r")
        is('nil, "timeout", "abc"', accepted:receive())
        is('nil, "timeout", ""', accepted:receive())
        assert(client:send "\nnext\r")
        is('"", nil, nil', accepted:receive())
        is('nil, "timeout", "next"', accepted:receive())
        assert(client:send "\r more\n")
        is('"next more", nil, nil', accepted:receive("*l", "next"))
        close_all(client, accepted)
    end)

    it("may be long", function()
        local client, accepted = connected()
        local line = ("0123456789"):rep(5000) -- more than any buffer of theirs, less than the system takes
        assert(client:send(line .. "\n" .. line .. "\r\nrest\n"))
        assert.is_true(line == accepted:receive())
        assert.is_true("x" .. line == accepted:receive("*l", "x"))
        is('"rest", nil, nil', accepted:receive())
        close_all(client, accepted)
    end)
end)

describe_streams("receive of all", function(connected)
    it("gives everything up to the end", function()
        local client, accepted = connected()
        assert(client:send "one\r\ntwo\0")
        close_all(client)
        is([["one\13\10two\0", nil, nil]], accepted:receive "*a")
        is('nil, "closed", ""', accepted:receive "*a")
        is('nil, "closed", ""', accepted:receive "*a")
        close_all(accepted)
    end)

    it("begins with the prefix, which is no news", function()
        local client, accepted = connected()
        assert(client:send "more")
        close_all(client)
        is('"some more", nil, nil', accepted:receive("*a", "some "))
        is('nil, "closed", "some "', accepted:receive("*all", "some "))
        close_all(accepted)
    end)

    it("without an end gives what there is, which is gone then", function()
        local client, accepted = connected()
        accepted:settimeout(0)
        is('nil, "timeout", ""', accepted:receive "*a")
        is('nil, "timeout", "pre"', accepted:receive("*a", "pre"))
        assert(client:send "abc\r\n")
        is([[nil, "timeout", "preabc\13\10"]], accepted:receive("*a", "pre"))
        is('nil, "timeout", ""', accepted:receive "*a")
        assert(client:send "def")
        close_all(client)
        is('"preabcdef", nil, nil', accepted:receive("*a", "preabc"))
        close_all(accepted)
    end)

    it("may be much", function()
        local client, accepted = connected()
        local data = t.random(50000)
        assert(client:send(data))
        close_all(client)
        assert.is_true("pre" .. data == accepted:receive("*a", "pre"))
        close_all(accepted)
    end)
end)

describe_streams("receive of a number of bytes", function(connected)
    it("gives so many", function()
        local client, accepted = connected()
        assert(client:send "abc\r\ndefghij")
        is('"abc", nil, nil', accepted:receive(3))
        is([["\13\10", nil, nil]], accepted:receive "2")
        is('"de", nil, nil', accepted:receive(2.9))
        is('"f", nil, nil', accepted:receive "1.5")
        is('"ghi", nil, nil', accepted:receive "0x3")
        close_all(client)
        is('nil, "closed", "j"', accepted:receive(2))
        is('nil, "closed", ""', accepted:receive(2))
        close_all(accepted)
    end)

    it("counts the prefix", function()
        local client, accepted = connected()
        assert(client:send "defg")
        is('"abcde", nil, nil', accepted:receive(5, "abc"))
        close_all(client)
        is('nil, "closed", "abcfg"', accepted:receive(6, "abc"))
        is('nil, "closed", "abc"', accepted:receive(6, "abc"))
        close_all(accepted)
    end)

    it("gives the prefix, whole, where that is enough", function()
        local client, accepted = connected()
        accepted:settimeout(0)
        is('"abc", nil, nil', accepted:receive(3, "abc"))
        is('"abc", nil, nil', accepted:receive(2, "abc"))
        is('"abc", nil, nil', accepted:receive(0, "abc"))
        is('"12", nil, nil', accepted:receive(2, 12))
        assert(client:send "x")
        is('"abc", nil, nil', accepted:receive(3, "abc"))
        is('"x", nil, nil', accepted:receive(1))
        close_all(client, accepted)
        is('"abc", nil, nil', accepted:receive(3, "abc"))
    end)

    it("without enough gives what there is, which is gone then", function()
        local client, accepted = connected()
        accepted:settimeout(0)
        is('nil, "timeout", ""', accepted:receive(3))
        assert(client:send "abc\r\n")
        is([[nil, "timeout", "abc\13\10"]], accepted:receive(6))
        is('nil, "timeout", "pre"', accepted:receive(6, "pre"))
        assert(client:send "de")
        is('nil, "timeout", "prede"', accepted:receive(6, "pre"))
        close_all(client, accepted)
    end)

    for _, size in ipairs { 1, 8191, 8192, 8193, 50000 } do
        it("gives " .. size .. " bytes between others", function()
            local client, accepted = connected()
            local data = t.random(size)
            assert(client:send("line\n" .. data .. "end"))
            is('"line", nil, nil', accepted:receive())
            assert.is_true("pre" .. data == accepted:receive(size + 3, "pre"))
            is('"end", nil, nil', accepted:receive(3))
            close_all(client, accepted)
        end)
    end
end)

describe_streams("receive of 0 bytes", function(connected)
    it("is nothing when a byte is there, which stays", function()
        local client, accepted = connected()
        assert(client:send "abc\ndef")
        is('"", nil, nil', accepted:receive(0))
        is('"", nil, nil', accepted:receive(0.5))
        is('"a", nil, nil', accepted:receive(1))
        is('"", nil, nil', accepted:receive(0))
        is('"bc", nil, nil', accepted:receive())
        is('"", nil, nil', accepted:receive "0")
        is('"def", nil, nil', accepted:receive(3))
        close_all(client, accepted)
    end)

    it("waits for one, or for the end", function()
        local client, accepted = connected()
        accepted:settimeout(0)
        is('nil, "timeout", ""', accepted:receive(0))
        accepted:settimeout(0.02)
        is('nil, "timeout", ""', luasocket.takes(0.02, accepted.receive, accepted, 0))
        assert(client:send "abc")
        is('"", nil, nil', accepted:receive(0))
        close_all(client)
        is('"", nil, nil', accepted:receive(0))
        is('"abc", nil, nil', accepted:receive(3))
        is('nil, "closed", ""', accepted:receive(0))
        close_all(accepted)
        is('nil, "closed", ""', accepted:receive(0))
    end)

    it("is told of all that is read ahead of it", function()
        local client, accepted = connected()
        assert(client:send "abc")
        is('"", nil, nil', accepted:receive(0))
        close_all(client)
        is('"abc", nil, nil', accepted:receive "*a")
        close_all(accepted)
    end)
end)

-- ---- what there is to know of a stream ----

describe_streams("dirty", function(connected)
    it("is false while nothing is left over, and no value is none", function()
        local client, accepted = connected()
        is("false", accepted:dirty())
        assert(client:send "abc")
        is("false", accepted:dirty())
        is('"abc", nil, nil', accepted:receive(3))
        is("false", accepted:dirty())
        close_all(client, accepted)
        is("false", accepted:dirty())
    end)

    it("is true, or the system still has what is left over", function()
        local client, accepted = connected()
        assert(client:send "one\ntwo\n")
        is('"one", nil, nil', accepted:receive())
        local dirty, waiting = accepted:dirty(), t.sys.read(accepted:getfd(), 1, 0)
        assert.is_boolean(dirty)
        assert.equal(not dirty, waiting ~= nil)
        close_all(client, accepted)
    end)

    it("is false at the end and when the rest has been read", function()
        local client, accepted = connected()
        assert(client:send "one\ntwo")
        is('"one", nil, nil', accepted:receive())
        close_all(client)
        is('nil, "closed", "two"', accepted:receive())
        is("false", accepted:dirty())
        close_all(accepted)
    end)
end)

describe_streams("getstats", function(connected)
    it("counts what was received, with carriage returns and line feeds, and sent", function()
        local client, accepted = connected()
        local received, sent, age = client:getstats()
        is("0, 0", received, sent)
        assert.is_true(age >= 0 and age < 60)
        assert(client:send "one\r\ntwo three")
        assert(client:send("abcdef", 3, 4))
        assert.equal(16, (select(2, client:getstats())))
        is('"one", nil, nil', accepted:receive())
        assert.equal(5, (accepted:getstats()))
        is('"prtwo", nil, nil', accepted:receive(5, "pr"))
        assert.equal(8, (accepted:getstats()))
        is('" three", nil, nil', accepted:receive(6))
        is('"", nil, nil', accepted:receive(0))
        assert.equal(14, (accepted:getstats()))
        assert(client:send "rest\r")
        close_all(client)
        is('nil, "closed", "cdrest"', accepted:receive())
        is("21, 0", accepted:getstats(), (select(2, accepted:getstats())))
        close_all(accepted)
        is("21, 0", accepted:getstats(), (select(2, accepted:getstats())))
    end)

    it("counts partials, and what receive of all gives", function()
        local client, accepted = connected()
        accepted:settimeout(0)
        assert(client:send "abc")
        is('nil, "timeout", "abc"', accepted:receive(5))
        assert.equal(3, (accepted:getstats()))
        assert(client:send "de")
        is('nil, "timeout", "de"', accepted:receive "*a")
        assert.equal(5, (accepted:getstats()))
        assert(client:send "fghi")
        close_all(client)
        is('"prefghi", nil, nil', accepted:receive("*a", "pre"))
        assert.equal(9, (accepted:getstats()))
        close_all(accepted)
    end)

    it("counts what a send that failed has sent", function()
        local client, accepted = connected()
        client:settimeout(0)
        local _, err, last = client:send(("x"):rep(8 * 1024 * 1024))
        assert.equal("timeout", err)
        assert.equal(last, (select(2, client:getstats())))
        close_all(client, accepted)
    end)

    it("gives an age that grows", function()
        local client, accepted = connected()
        local _, _, first = client:getstats()
        local limit = t.now() + 10
        repeat
            assert.is_true(t.now() < limit)
        until select(3, client:getstats()) > first
        close_all(client, accepted)
    end)

    it("gives what setstats has set, which counts on", function()
        local client, accepted = connected()
        is("1", client:setstats(100, 200, 300))
        local received, sent, age = client:getstats()
        is("100, 200", received, sent)
        assert.is_true(age >= 300 and age < 310)
        assert(client:send "abc")
        assert(accepted:send "x")
        assert(client:receive(1))
        is("101", (client:getstats()))
        assert.equal(203, (select(2, client:getstats())))
        is("1", client:setstats())
        is("101", (client:getstats()))
        is("1", client:setstats(nil, 5))
        received, sent, age = client:getstats()
        is("101, 5", received, sent)
        assert.is_true(age >= 300 and age < 310)
        is("1", client:setstats("7", "8", "0.5"))
        received, sent, age = client:getstats()
        is("7, 8", received, sent)
        assert.is_true(age >= 0.5 and age < 10)
        close_all(client, accepted)
    end)
end)

-- ---- reset ----

luasocket.describe("a stream that is reset", function(socket)
    -- A client that was sent the data, and then the connection was reset.
    local function reset_after(data)
        local client, accepted = luasocket.pair(socket)
        assert(accepted:send(data))
        is('"", nil, nil', client:receive(0)) -- it has come
        assert(accepted:setoption("linger", { on = true, timeout = 0 }))
        close_all(accepted)
        return client
    end

    it("gives what had come before and then closed, in each way of receiving", function()
        for _, row in ipairs {
            { "*l", nil, "a\rbc", "abc" },
            { "*a", nil, "a\rbc", "a\\13bc" },
            { 10, nil, "a\rbc", "a\\13bc" },
            { "*l", "pre", "abc", "preabc" },
            { 10, "pre", "abc", "preabc" },
        } do
            local client = reset_after(row[3])
            -- LuaSocket has it in its buffer after receive(0); what comes with the error is the same.
            is(('nil, "closed", "%s"'):format(row[4]), client:receive(row[1], row[2]))
            is('nil, "closed", ""', client:receive())
            is('nil, "closed", 0', client:send "x")
            close_all(client)
        end
    end)
end)

luasocket.describe("a pattern of receive", function(socket)
    it("is checked before anything is read", function()
        local client, accepted = luasocket.pair(socket)
        assert(client:send "abc\n")
        for _, pattern in ipairs { "*n", "*x", "*", "*L" } do
            raises("invalid receive pattern", accepted.receive, accepted, pattern)
        end
        for _, pattern in ipairs { "l", "a", "", "-1", -1, -0.5 } do
            raises("invalid receive pattern", accepted.receive, accepted, pattern)
        end
        is('"abc", nil, nil', accepted:receive())
        close_all(client, accepted)
    end)
end)
