-- Real protocols with real servers: what the module is for.
local t = require "support.t"
local socket = t.socket

-- A server and a socket that is connected to it, over TCP or over a Unix socket.
local function started(name, unix)
    local server = t.server(name, unix)
    local s = socket.tcp()
    s:settimeout(20)
    local function connect(to)
        if unix then
            return assert(to:connect("unix:" .. server.path))
        end
        return assert(to:connect("127.0.0.1", server.port))
    end
    connect(s)
    return s, server, connect
end

-- ---- HTTP ----

local function request(s, method, path, extra)
    assert(s:write { method, " ", path, " HTTP/1.1\r\nHost: here\r\n", extra or "", "\r\n" })
end

-- Status and headers (names in lower case) of the answer.
local function head(s)
    local line = s:readuntil "\r\n"
    local status = tonumber(assert(line()):match "^HTTP/1.1 (%d+)")
    local headers = {}
    for text in line do
        if text == "" then
            return status, headers
        end
        local name, value = text:match "^(.-): (.*)$"
        headers[name:lower()] = value
    end
end

local function dechunk(s)
    local pieces = {}
    local line = s:readuntil "\r\n"
    repeat
        local size = tonumber(assert(line()), 16)
        pieces[#pieces + 1] = assert(s:read(size))
        assert.equal("", line())
    until size == 0
    return table.concat(pieces), #pieces - 1
end

local function body(s, headers)
    if headers["transfer-encoding"] == "chunked" then
        return dechunk(s)
    end
    return assert(s:read(headers["content-length"]))
end

local function put_file(server, name, data)
    local file = assert(io.open(server.dir .. "/" .. name, "wb"))
    file:write(data)
    file:close()
end

-- ---- Redis ----

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

    describe("nginx" .. over, function()
        t.guard()

        it("answers several requests on one connection", function()
            local s = started("nginx", unix)
            for _ = 1, 3 do
                request(s, "GET", "/hello")
                local status, headers = head(s)
                assert.equal(200, status)
                assert.equal("hello\n", body(s, headers))
            end
            request(s, "GET", "/nothing")
            local status, headers = head(s)
            assert.equal(404, status)
            assert.matches("404 Not Found", body(s, headers))
            s:close()
        end)

        it("answers requests that were sent in one go", function()
            local s = started("nginx", unix)
            local one = "GET /hello HTTP/1.1\r\nHost: here\r\n\r\n"
            assert(s:write { one, one, one, one, one })
            for _ = 1, 5 do
                local status, headers = head(s)
                assert.equal(200, status)
                assert.equal("hello\n", body(s, headers))
            end
            assert.equal(0, s:pending())
            s:close()
        end)

        it("sends a file of 5 MiB, whole and in parts", function()
            local s, server = started("nginx", unix)
            local data = t.random(5 * 1024 * 1024 + 7)
            put_file(server, "data", data)
            request(s, "GET", "/data")
            local _, headers = head(s)
            assert.is_true(data == body(s, headers))
            request(s, "GET", "/data", "Range: bytes=100-299\r\n")
            local status, part = head(s)
            assert.equal(206, status)
            assert.is_true(data:sub(101, 300) == body(s, part))
            request(s, "HEAD", "/data")
            status, headers = head(s)
            assert.equal(200, status)
            assert.equal(tostring(#data), headers["content-length"])
            s:close()
        end)

        it("sends chunks", function()
            local s, server = started("nginx", unix)
            local data = t.random(300000)
            put_file(server, "data", data)
            request(s, "GET", "/chunked/data")
            local _, headers = head(s)
            assert.equal("chunked", headers["transfer-encoding"])
            local got, chunks = body(s, headers)
            assert.is_true(data == got)
            assert.is_true(chunks > 1)
            s:close()
        end)

        it("closes after the answer when asked to", function()
            local s, server = started("nginx", unix)
            local data = t.random(1000000)
            put_file(server, "data", data)
            assert(s:write "GET /data HTTP/1.0\r\n\r\n")
            assert.equal(200, (head(s)))
            assert.is_true(data == s:readall())
            t.fails(socket.ERROR_CLOSED, "", s:read(1))
            s:close()
        end)
    end)

    describe("Redis" .. over, function()
        t.guard()

        it("keeps values of any bytes", function()
            local s = started("redis", unix)
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
            local s = started("redis", unix)
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
            local s, _, connect = started("redis", unix)
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
            local s, _, connect = started("redis", unix)
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
            local s = started("redis", unix)
            assert.equal("OK", ask(s, "QUIT"))
            t.fails(socket.ERROR_CLOSED, "", s:read(1))
            s:close()
        end)
    end)

    describe("memcached" .. over, function()
        t.guard()

        it("keeps values of any bytes", function()
            local s = started("memcached", unix)
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
            local s = started("memcached", unix)
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

describe("socat", function()
    t.guard()

    for _, listen in ipairs { "TCP-LISTEN:0,bind=127.0.0.1", "TCP6-LISTEN:0,bind=[::1]" } do
        it("echoes as " .. listen, function()
            local p = t.socat_server(listen, "PIPE")
            local s = socket.tcp()
            s:settimeout(10)
            assert(s:connect(listen:find "TCP6" and "::1" or "127.0.0.1", p.port))
            for round = 1, 50 do
                local data = t.random(round * 331, round)
                assert.equal(#data, s:write(data))
                assert.is_true(data == s:read(#data))
            end
            assert(s:shutdown(socket.SHUT_WR))
            t.fails(socket.ERROR_CLOSED, "", s:read(1))
            s:close()
            p:finish()
        end)
    end

    it("is served as a client that sends a file and takes the answer", function()
        local listener, address = t.listener()
        listener:settimeout(10)
        local p = t.socat("-t", "10", "-", "TCP:127.0.0.1:" .. address[2])
        local s = assert(listener:accept())
        p:send "a line\nand a rest"
        p:eof()
        assert.equal("a line", s:readuntil "\n"())
        assert.equal("and a rest", s:readall())
        assert(s:write { "thank", " ", "you" })
        s:close()
        assert.equal("thank you", p:finish())
        listener:close()
    end)

    it("sorts lines that come from us through a program", function()
        local p = t.socat_server("TCP-LISTEN:0,bind=127.0.0.1", "EXEC:sort")
        local s = socket.tcp()
        s:settimeout(10)
        assert(s:connect("127.0.0.1", p.port))
        assert(s:write { "pear\n", "apple\n", "fig\n" })
        assert(s:shutdown(socket.SHUT_WR))
        assert.equal("apple\nfig\npear\n", s:readall())
        s:close()
        p:finish()
    end)
end)
