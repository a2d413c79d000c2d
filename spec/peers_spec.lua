-- Real protocols with real servers: HTTP with nginx, and socat as server and as client.
local t = require "support.t"
local socket = t.socket

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

for _, unix in ipairs { false, true } do
    local over = unix and " over a Unix socket" or " over TCP"

    describe("nginx" .. over, function()
        t.guard()

        it("answers several requests on one connection", function()
            local s = t.started("nginx", unix)
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
            local s = t.started("nginx", unix)
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
            local s, server = t.started("nginx", unix)
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
            local s, server = t.started("nginx", unix)
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
            local s, server = t.started("nginx", unix)
            local data = t.random(1000000)
            put_file(server, "data", data)
            assert(s:write "GET /data HTTP/1.0\r\n\r\n")
            assert.equal(200, (head(s)))
            assert.is_true(data == s:readall())
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
