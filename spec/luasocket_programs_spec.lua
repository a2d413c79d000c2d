-- Programs that were written for LuaSocket, as they are installed: on LuaSocket itself, and on the bridge, in the main
-- program and in a task.

local luasocket = require "support.luasocket"
local t = require "support.t"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "spec"

-- Whether a module is installed. It is not loaded: some change those that are.
local function installed(name)
    local file = name:gsub("%.", "/")
    for template in (package.path .. ";" .. package.cpath):gmatch "[^;]+" do
        local found = io.open((template:gsub("%?", file)))
        if found then
            found:close()
            return true
        end
    end
    return false
end

local function need(...)
    for _, name in ipairs { ... } do
        if not installed(name) then
            pending(name .. " is not installed")
        end
    end
end

-- support/luasocket_servers.py, and its port.
local function serving(which)
    local file = assert(io.open(here .. "/support/luasocket_servers.py"))
    local p = t.python(file:read "*a", which)
    file:close()
    return p, p:number()
end

-- What programs in other Luas begin with: `is(expected, value)`, `port`.
local PRELUDE = [[
local port = PORT
local function is(expected, value)
    if expected ~= value then
        error(("%s and not %s"):format(tostring(value), tostring(expected)), 2)
    end
end
]]

local INSTALL = 'require "ssocket.luasocket".install()\n'
local IN_TASK = [[
-- Lua 5.1's own pcall ends where a call has to wait.
local spawn = require "ssocket".spawn
local task = spawn(program, _VERSION == "Lua 5.1" and not jit and function(f, ...)
    return spawn(f, ...):wait()
end or pcall)
local ok, err, traceback = task:wait(20)
if not ok then error(traceback or err, 0) end
]]

-- Runs code in another Lua, to its end. What it says on either stream is told when it fails.
local function run_alone(code)
    local argv = {}
    for word in (os.getenv "SSOCKET_LUA" or "lua"):gmatch "%S+" do
        argv[#argv + 1] = word
    end
    argv[#argv + 1] = "-e"
    argv[#argv + 1] = code
    assert.equal("", t.spawn(argv, true):finish(20))
end

-- Runs a program; on the bridge once in the main program and once in a task.
local function run(tested, port, code)
    local program = PRELUDE:gsub("PORT", tostring(port)) .. "local function program(pcall)\n" .. code .. "\nend\n"
    if tested.real then
        return run_alone(program .. "program(pcall)")
    end
    run_alone(INSTALL .. program .. "program(pcall)\n" .. IN_TASK)
end

luasocket.describe("socket.http", function(_, tested)
    it("talks to nginx", function()
        need("socket.http", "ltn12", "mime.core")
        local server = t.server "nginx"
        local file = assert(io.open(server.dir .. "/data", "wb"))
        file:write(("0123456789"):rep(30000))
        file:close()
        run(tested, server.port, [[
            local http, ltn12 = require "socket.http", require "ltn12"
            local at = "http://127.0.0.1:" .. port
            local body, code, headers, status = http.request(at .. "/hello")
            is("hello\n", body)
            is(200, code)
            is("6", headers["content-length"])
            is("HTTP/1.1 200 OK", status)
            is(404, (select(2, http.request(at .. "/nothing"))))
            is(300000, #http.request(at .. "/data"))
            body, code, headers = http.request(at .. "/chunked/data")
            is("chunked", headers["transfer-encoding"])
            is(("0123456789"):rep(30000), body)
            local pieces = {}
            local ok
            ok, code, headers = http.request {
                url = at .. "/data", sink = ltn12.sink.table(pieces), headers = { range = "bytes=5-9" },
            }
            is(1, ok)
            is(206, code)
            is("56789", table.concat(pieces))
            ok, code, headers = http.request { url = at .. "/data", method = "HEAD" }
            is("300000", headers["content-length"])
            is("connection refused", (select(2, http.request "http://127.0.0.1:1/")))
        ]])
    end)

    it("posts, is redirected, and notices an end that comes too early", function()
        need("socket.http", "ltn12", "mime.core")
        local p, port = serving "http"
        run(tested, port, [[
            local http, ltn12 = require "socket.http", require "ltn12"
            local at = "http://127.0.0.1:" .. port
            is("a body", http.request(at .. "/", "a body"))
            local sent = ("x"):rep(100000)
            for _, length in ipairs { "none", tostring(#sent) } do
                local got = {}
                local ok, code, headers = http.request {
                    url = at .. "/", method = "POST", source = ltn12.source.string(sent),
                    sink = ltn12.sink.table(got), headers = { ["content-length"] = length ~= "none" and length or nil },
                }
                is("1 200", tostring(ok) .. " " .. tostring(code))
                is("POST", headers["x-method"])
                is(sent, table.concat(got))
            end
            local body, code = http.request(at .. "/moved")
            is("/there", body)
            is(200, code)
            is(302, (select(2, http.request { url = at .. "/moved", redirect = false })))
            is("half", http.request(at .. "/cut") or "half")
            local ok, err = http.request { url = at .. "/cut" }
            is("closed", not ok and err or "closed")
            http.TIMEOUT = 0.02
            is("timeout", (select(2, http.request(at .. "/slow"))))
            http.TIMEOUT = 60
        ]])
        p:kill()
    end)

    if not tested.real then
        it("makes twenty requests at once, in tasks", function()
            need("socket.http", "ltn12", "mime.core")
            local p, port = serving "http"
            run_alone(INSTALL .. PRELUDE:gsub("PORT", tostring(port)) .. [[
                local native, http = require "ssocket", require "socket.http"
                local began, all = native.now(), {}
                for i = 1, 20 do
                    all[i] = native.spawn(http.request, "http://127.0.0.1:" .. port .. "/slow")
                end
                for i = 1, 20 do
                    local ok, body, code = all[i]:wait(20)
                    is("/slow", body)
                    is(200, code)
                end
                local took = native.now() - began
                assert(took < 2.5 * (tonumber(os.getenv "SSOCKET_SLOW") or 1), took) -- one after the other takes 4 s
            ]])
            p:kill()
        end)
    end
end)

luasocket.describe("socket.smtp", function(_, tested)
    it("sends a message", function()
        need("socket.smtp", "ltn12", "mime.core")
        local p, port = serving "smtp"
        run(tested, port, [[
            local smtp = require "socket.smtp"
            local ok, err = smtp.send {
                from = "<a@example.org>", rcpt = { "<b@example.org>", "<c@example.org>" },
                source = smtp.message {
                    headers = { subject = "A subject" },
                    body = "first\r\n.second\r\n",
                },
                server = "127.0.0.1", port = port, domain = "here",
            }
            is(1, ok)
            is(nil, err)
            is("connection refused", (select(2, smtp.send {
                from = "<a@example.org>", rcpt = "<b@example.org>", source = smtp.message { body = "x" },
                server = "127.0.0.1", port = 1,
            })))
        ]])
        for _ = 1, tested.real and 1 or 2 do
            assert.equal("EHLO here", p:line())
            assert.equal("MAIL FROM:<a@example.org>", p:line())
            assert.equal("RCPT TO:<b@example.org>", p:line())
            assert.equal("RCPT TO:<c@example.org>", p:line())
            assert.equal("DATA", p:line())
            assert.matches("[Ss]ubject: A subject", p:await "ubject")
            p:await "first"
            assert.equal("..second", p:line())
            p:await "QUIT"
        end
        p:kill()
    end)
end)

luasocket.describe("ltn12 and mime", function(_, tested)
    it("pump through sockets", function()
        need("ltn12", "mime", "mime.core")
        run(tested, 0, [[
            local socket, ltn12, mime = require "socket", require "ltn12", require "mime"
            local server = assert(socket.bind("127.0.0.1", 0))
            local host, port = server:getsockname()
            local a = assert(socket.connect(host, port))
            local b = server:accept()
            local data = ("0123456789"):rep(3000)
            local filter = ltn12.filter.chain(mime.encode "base64", mime.wrap "base64")
            local source = ltn12.source.chain(ltn12.source.string(data), filter)
            is(1, ltn12.pump.all(source, socket.sink("close-when-done", a)))
            local got = {}
            source = ltn12.source.chain(socket.source("until-closed", b), mime.decode "base64")
            is(1, ltn12.pump.all(source, (ltn12.sink.table(got))))
            is(data, table.concat(got))
            is(-1, a:getfd())
            is(-1, b:getfd())
            server:close()
        ]])
    end)
end)

luasocket.describe("redis-lua", function(_, tested)
    it("talks to Redis", function()
        need "redis"
        local server = t.server "redis"
        run(tested, server.port, [[
            local redis = require "redis"
            local client = redis.connect("127.0.0.1", port)
            is(true, client:ping())
            is(true, client:set("key", "a value\r\nof two lines"))
            is("a value\r\nof two lines", client:get "key")
            is(nil, client:get "none")
            client:del "list"
            for i = 1, 50 do client:rpush("list", i) end
            is("1 2 3", table.concat(client:lrange("list", 0, 2), " "))
            is(50, client:llen "list")
            local big = ("x"):rep(300000)
            client:set("big", big)
            is(big, client:get "big")
            if _VERSION == "Lua 5.1" then -- a fault of redis-lua's own in others
                local replies = client:pipeline(function(p)
                    for i = 1, 100 do p:incrby("count", i) end
                    p:del "count"
                end)
                is(5050, replies[100])
            end
            local ok, err = pcall(client.lrange, client, "key", 0, 1)
            assert(not ok)
            assert(tostring(err.message or err):find "WRONGTYPE", err)
            client:quit()
            ok, err = pcall(redis.connect, "127.0.0.1", 1)
            assert(not ok)
        ]])
    end)
end)

luasocket.describe("Copas", function(_, tested)
    it("serves its own clients", function()
        need("copas", "coxpcall")
        run(tested, 0, [[
            local socket, copas = require "socket", require "copas"
            local server = assert(socket.bind("127.0.0.1", 0))
            local host, port = server:getsockname()
            local served, done = 0, 0
            copas.addserver(server, function(s)
                s = copas.wrap(s)
                while true do
                    local line = s:receive "*l"
                    if not line then break end
                    s:send(line:upper() .. "\n")
                end
                served = served + 1
            end)
            for i = 1, 10 do
                copas.addthread(function()
                    local s = socket.tcp()
                    assert(copas.connect(s, host, port))
                    s = copas.wrap(s)
                    for k = 1, 5 do
                        assert(s:send(("line %d %d\n"):format(i, k)))
                        is(("LINE %d %d"):format(i, k), s:receive "*l")
                    end
                    local big = ("x"):rep(200000)
                    assert(s:send(big .. "\n"))
                    is(big:upper(), s:receive "*l")
                    s.socket:close()
                    done = done + 1
                end)
            end
            local limit = socket.gettime() + 8
            while (done < 10 or served < 10) and socket.gettime() < limit do copas.step(1) end
            is(10, done)
            is(10, served)
            server:close()
        ]])
    end)

    it("has socket.http make requests beside each other", function()
        need("copas", "coxpcall", "socket.http", "ltn12", "mime.core")
        local p, at = serving "http"
        run(tested, at, [[
            local copas = require "copas"
            package.loaded["socket.http"] = nil
            local socket, http, ltn12 = require "socket", require "socket.http", require "ltn12"
            local done, began = 0, socket.gettime()
            for i = 1, 20 do
                copas.addthread(function()
                    local got = {}
                    local ok, code = http.request {
                        url = "http://127.0.0.1:" .. port .. "/slow", sink = ltn12.sink.table(got),
                        create = function()
                            local s = copas.wrap(socket.tcp())
                            function s:connect(...) return copas.connect(self.socket, ...) end
                            function s:settimeout() return 1 end
                            function s:receive(...) return copas.receive(self.socket, ...) end
                            function s:close() return self.socket:close() end
                            return s
                        end,
                    }
                    is("1 200", tostring(ok) .. " " .. tostring(code))
                    is("/slow", table.concat(got))
                    done = done + 1
                end)
            end
            while done < 20 and socket.gettime() < began + 8 do copas.step(1) end
            is(20, done)
            assert(socket.gettime() - began < 2.5 * (tonumber(os.getenv "SSOCKET_SLOW") or 1))
        ]])
        p:kill()
    end)
end)

describe("docs/from-luasocket.md", function()
    t.guard()

    local file = assert(io.open "docs/from-luasocket.md")
    local programs = {}
    for code in file:read("*a"):gmatch "```lua\n(.-)\n```" do
        programs[#programs + 1] = code
    end
    file:close()

    -- What the program prints, with a server's port instead of 8080.
    local function output_of(code, port)
        local program, changes = code:gsub("8080", tostring(port))
        assert.equal(1, changes)
        local argv = {}
        for word in ((os.getenv "SSOCKET_LUA" or "lua") .. " -e"):gmatch "%S+" do
            argv[#argv + 1] = word
        end
        argv[#argv + 1] = program
        return t.spawn(argv, true):finish(20)
    end

    it("has two programs", function()
        assert.equal(2, #programs)
    end)

    it("has a first program that works as it stands", function()
        local p = t.python [[
            s = accept(); line = take(s, 6); s.sendall(line.upper()); say(drain(s) == b"")
        ]]
        assert.equal("HELLO\n", output_of(programs[1], p:number()))
        assert.equal("True\n", p:finish())
    end)

    it("has a program that asks for twenty pages at once", function()
        need("socket.http", "mime.core")
        local p, port = serving "http"
        local lines = {}
        for line in output_of(programs[2], port):gmatch "[^\n]+" do
            lines[#lines + 1] = line
        end
        table.sort(lines)
        local expected = {}
        for i = 1, 20 do
            expected[i] = ("%d\t200\t%d"):format(i, #("/" .. i))
        end
        table.sort(expected)
        assert.same(expected, lines)
        p:kill()
    end)
end)
