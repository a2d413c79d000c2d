-- LuaSec's calls in tasks: each that waits suspends its task alone.

local t = require "support.t"
local tasks = require "support.tasks"
local tls = require "support.tls"
local luasec = require "support.luasec"

if not tls.is_built() then
    describe("ssocket.luasec in tasks", function()
        pending "is not built: OpenSSL is missing"
    end)
    return
end

local spawn = tasks.spawn
local kind = luasec.kinds[#luasec.kinds]
local socket, ssl = kind.socket, kind.ssl

describe("ssocket.luasec in tasks", function()
    tasks.guard()
    tls.certificates "luasec_certificates.sh"

    -- Two connections whose handshakes wait for each other.
    local function pair(client, server)
        local a, b = luasec.wrapped(socket, ssl, client or luasec.client(), server or luasec.server())
        a:settimeout(10)
        b:settimeout(10)
        local other = spawn(function()
            return b:dohandshake()
        end)
        assert(a:dohandshake())
        assert(tasks.join(other, 10))
        return a, b
    end

    it("shakes hands with itself", function()
        local a, b = pair()
        local echo = spawn(function()
            local line = b:receive()
            b:send(line .. "\n")
            return b:receive "*a"
        end)
        a:send "one\n"
        assert.equal("one", a:receive())
        a:send "two"
        a:close()
        assert.equal("two", tasks.join(echo, 10))
        b:close()
    end)

    it("lets others go on in every wait", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        local ticks = tasks.ticker()
        local function ticked(f, ...)
            local before = ticks.n
            local results = t.pack(f(...))
            assert(ticks.n > before, "nobody else went on")
            return results
        end
        b:settimeout(0.05)
        assert.same({ false, "wantread", n = 2 }, ticked(b.dohandshake, b))
        luasec.handshakes(socket, a, b)
        b:settimeout(0.05)
        assert.same({ nil, "wantread", "", n = 3 }, ticked(b.receive, b))
        a:settimeout(0.05)
        assert.equal("wantwrite", ticked(a.send, a, ("x"):rep(8 * 1024 * 1024))[2])
        ticks.task:cancel()
        b:close()
        a:close()
    end)

    it("sends and receives at once", function()
        local a, b = pair()
        local data = t.random(3000000)
        local function both(s)
            local sender = spawn(function()
                return s:send(data)
            end)
            local got = s:receive(#data)
            return got == data and tasks.join(sender, 10)
        end
        local other = spawn(both, b)
        assert.equal(#data, both(a))
        assert.equal(#data, tasks.join(other, 10))
        a:close()
        b:close()
    end)

    it("is closed by another task while it waits", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        b:settimeout(10)
        local waiting = spawn(function()
            return t.pack(b:dohandshake())
        end)
        tasks.settle()
        b:close()
        local results = tasks.join(waiting, 10)
        assert.is_false(results[1])
        assert.equal("closed", results[2])
        a:close()

        a, b = pair()
        waiting = spawn(function()
            return t.pack(b:receive())
        end)
        tasks.settle()
        b:close()
        assert.same({ nil, "closed", "", n = 3 }, tasks.join(waiting, 10))
        a:close()
    end)

    it("is left in a call by a task that is cancelled", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        b:settimeout(10)
        local waiting = spawn(function()
            b:dohandshake()
        end)
        tasks.settle()
        waiting:cancel()
        tasks.settle()
        b:settimeout(0)
        assert.same({ false, "closed" }, { b:dohandshake() }) -- a handshake that is cancelled is over
        a:close()
        b:close()

        a, b = pair()
        waiting = spawn(function()
            b:receive()
        end)
        tasks.settle()
        waiting:cancel()
        tasks.settle()
        a:send "line\n"
        b:settimeout(10)
        assert.equal("line", b:receive())
        a:close()
        b:close()
    end)

    it("serves many at once", function()
        local listener = assert(socket.bind("127.0.0.1", 0, 64))
        listener:settimeout(10)
        local _, port = listener:getsockname()
        local ctx = assert(ssl.newcontext(luasec.server()))
        local server = spawn(function()
            for _ = 1, 20 do
                local plain = assert(listener:accept())
                spawn(function()
                    local s = assert(ssl.wrap(plain, ctx))
                    s:settimeout(10)
                    assert(s:dohandshake())
                    s:send(s:receive() .. "\n")
                    s:close()
                end)
            end
        end)
        local clients = {}
        local client = assert(ssl.newcontext(luasec.client()))
        for i = 1, 20 do
            clients[i] = spawn(function()
                local s = assert(ssl.wrap(assert(socket.connect("127.0.0.1", port)), client))
                s:settimeout(10)
                assert(s:dohandshake())
                s:send(i .. "\n")
                local line = s:receive()
                s:close()
                return line
            end)
        end
        for i = 1, 20 do
            assert.equal(tostring(i), tasks.join(clients[i], 10))
        end
        tasks.join(server, 10)
        listener:close()
    end)
end)
