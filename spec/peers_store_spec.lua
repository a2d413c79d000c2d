-- Real protocols with real servers: Redis and memcached.
local t = require "support.t"
local socket = t.socket

-- A command as an array of pieces that write can send.
local function command(...)
    local pieces = { "*", select("#", ...), "\r\n" }
    for i = 1, select("#", ...) do
        local word = tostring((select(i, ...)))
        for _, piece in ipairs { "$", #word, "\r\n", word, "\r\n" } do
            pieces[#pieces + 1] = piece
        end
    end
    return pieces
end

-- The next reply: a string, a number, a list, or nil and the text of an error.
local function reply(s, line)
    line = line or s:readuntil "\r\n"
    local text = assert(line())
    local kind, rest = text:sub(1, 1), text:sub(2)
    if kind == "+" then
        return rest
    elseif kind == ":" then
        return tonumber(rest)
    elseif kind == "-" then
        return nil, rest
    elseif kind == "$" then
        return rest ~= "-1" and assert(s:read(rest + 2)):sub(1, -3) or nil
    end
    local list = {}
    for i = 1, tonumber(rest) do
        list[i] = reply(s, line)
    end
    return list
end

local function ask(s, ...)
    assert(s:write(command(...)))
    return reply(s)
end

for _, unix in ipairs { false, true } do
    local over = unix and " over a Unix socket" or " over TCP"

    describe("Redis" .. over, function()
        t.guard()

        it("keeps values of any bytes", function()
            local s = t.started("redis", unix)
            assert.equal("PONG", ask(s, "PING"))
            for _, value in ipairs { "", "\r\n", "\0\r\n\0", t.random(1000000), ("\r\n"):rep(1000) } do
                assert.equal("OK", ask(s, "SET", "key", value))
                assert.is_true(value == ask(s, "GET", "key"))
            end
            assert.is_nil(ask(s, "GET", "another"))
            assert.matches("^ERR", select(2, ask(s, "NONSENSE")))
            s:close()
        end)

        it("answers 10000 commands sent in one write, in order", function()
            local s = t.started("redis", unix)
            local pieces = {}
            for _ = 1, 10000 do
                pieces[#pieces + 1] = "INCR n\r\n"
            end
            assert.equal(80000, s:write(pieces))
            local line = s:readuntil "\r\n"
            for i = 1, 10000 do
                assert.is_true(line() == ":" .. i)
            end
            assert.equal(0, s:pending())
            s:close()
        end)

        it("passes messages from one connection to another", function()
            local s, _, connect = t.started("redis", unix)
            local publisher = socket.tcp()
            connect(publisher)
            assert.same({ "subscribe", "news", 1 }, ask(s, "SUBSCRIBE", "news"))
            for _, text in ipairs { "first", "second\r\n" } do
                assert.equal(1, ask(publisher, "PUBLISH", "news", text))
                assert.same({ "message", "news", text }, reply(s))
            end
            publisher:close()
            s:close()
        end)

        it("may answer long after a time-out, and nothing of the answer is lost", function()
            local s, _, connect = t.started("redis", unix)
            local pusher = socket.tcp()
            connect(pusher)
            assert(s:write(command("BLPOP", "queue", 0)))
            s:settimeout(0.03)
            for _ = 1, 3 do
                t.fails(socket.ERROR_TIMEOUT, "", s:readuntil "\r\n"())
            end
            assert.equal(1, ask(pusher, "RPUSH", "queue", "job"))
            s:settimeout(20)
            assert.same({ "queue", "job" }, reply(s))
            pusher:close()
            s:close()
        end)

        it("closes when told to", function()
            local s = t.started("redis", unix)
            assert.equal("OK", ask(s, "QUIT"))
            t.fails(socket.ERROR_CLOSED, "", s:read(1))
            s:close()
        end)
    end)

    describe("memcached" .. over, function()
        t.guard()

        it("keeps values of any bytes", function()
            local s = t.started("memcached", unix)
            local line = s:readuntil "\r\n"
            for _, value in ipairs { "", "\r\nEND\r\n", t.random(500000) } do
                assert(s:write { "set key 7 0 ", #value, "\r\n", value, "\r\n" })
                assert.equal("STORED", line())
                assert(s:write "get key\r\n")
                local size = assert(line()):match "^VALUE key 7 (%d+)$"
                assert.is_true(value == s:read(size))
                assert.equal("", line())
                assert.equal("END", line())
            end
            s:close()
        end)

        it("answers many gets in one, and closes when told to", function()
            local s = t.started("memcached", unix)
            local sets, keys, expected = {}, {}, {}
            for i = 1, 200 do
                sets[i] = ("set k%d 0 0 %d noreply\r\n%d\r\n"):format(i, #tostring(i), i)
                keys[i] = " k" .. i
                expected[i] = ("VALUE k%d 0 %d\r\n%d"):format(i, #tostring(i), i)
            end
            assert(s:write(sets))
            assert(s:write { "get", table.concat(keys), "\r\n" })
            assert.equal(table.concat(expected, "\r\n") .. "\r\n", s:readuntil "END\r\n"())
            assert(s:write "quit\r\n")
            t.fails(socket.ERROR_CLOSED, "", s:read(1))
            s:close()
        end)
    end)
end
