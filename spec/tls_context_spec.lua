-- ssocket.tls: what contexts share and what they keep apart, how often the system's store is read, and that connections
-- go on when the program has dropped what they were made with.

local t = require "support.t"
local tasks = require "support.tasks"
local support = require "support.tls"

local socket = t.socket

if not support.is_built() then
    describe("contexts of ssocket.tls", function()
        pending "is not built: OpenSSL is missing"
    end)
    return
end

local tls = require "ssocket.tls"

local function close_all(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

-- A connection over TCP or a pair, in which the client gets a session. Whether it was resumed, the same on both sides.
local function connect(client, server)
    local a, b = assert(socket.pair())
    local one, other = support.shake(a, b, client, server)
    assert.same({ true, true }, { one[1], other[1] }, one[3] or other[3])
    b:write "x"
    assert.equal("x", a:read(1))
    local resumed = tls.info(a).resumed
    assert.equal(resumed, tls.info(b).resumed)
    close_all(a, b)
    return resumed
end

describe("a session", function()
    tasks.guard()
    support.certificates()

    for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
        it("is not resumed where others are trusted, though the ticket keys are the same, " .. version, function()
            local keys = { t.random(80) }
            local client = support.context { ca = "ca.pem", cert = "client.pem", conf = { MaxProtocol = version } }
            for _, trust in ipairs {
                {},
                { client_ca = "ca.pem" },
                { client_ca = "ca.pem", client_optional = true },
            } do
                trust.cert, trust.ticket_keys = "a.pem", keys
                assert.is_false(connect(client, support.context(trust)))
                assert.is_true(connect(client, support.context(trust))) -- another context that trusts the same
            end
        end)
    end

    -- A client without a certificate comes back with the session of a server that asked for none.
    it("lets nobody in where a certificate is asked for", function()
        for _, keys in ipairs { { t.random(80) }, false } do
            local client = support.context { ca = "ca.pem" }
            local free = support.context { cert = "a.pem", ticket_keys = keys or nil }
            local asks = support.context { cert = "a.pem", ticket_keys = keys or nil, client_ca = "ca.pem" }
            connect(client, free)
            assert.is_true(connect(client, free))
            local a, b = assert(socket.pair())
            local _, server = support.shake(a, b, client, asks)
            assert.same({ tls.ERROR_CERTIFICATE, "the peer has given no certificate" }, { server[2], server[3] })
            close_all(a, b)
        end
    end)
end)

describe("a context chosen after tls.hello", function()
    tasks.guard()
    support.certificates()

    -- Looks at the ClientHello, in a task that waits in between, and then serves with this context.
    local function serve(client_options, server_options)
        local a, b = assert(socket.pair())
        a:settimeout(10)
        b:settimeout(10)
        local server = tasks.spawn(function()
            assert.equal("a.test", assert(tls.hello(b)).name)
            socket.sleep(0)
            return t.pack(tls.server(b, support.context(server_options)))
        end)
        local client = t.pack(tls.client(a, "a.test", support.context(client_options)))
        return a, b, client, tasks.join(server)
    end

    it("is the one whose demands count", function()
        local a, b, _, server = serve({ ca = "ca.pem" }, { cert = "a.pem", client_ca = "ca.pem" })
        assert.equal(tls.ERROR_CERTIFICATE, server[2])
        close_all(a, b)
        a, b, _, server = serve({ ca = "ca.pem", cert = "self.pem" }, { cert = "a.pem", client_ca = "ca.pem" })
        assert.equal(tls.ERROR_CERTIFICATE, server[2])
        close_all(a, b)
        a, b, _, server = serve({ ca = "ca.pem", conf = { MaxProtocol = "TLSv1.2" } }, { cert = "a.pem", min = "1.3" })
        assert.equal(tls.ERROR_PROTOCOL, server[2])
        close_all(a, b)
        a, b, _, server = serve({ ca = "ca.pem", alpn = { "x" } }, { cert = "a.pem", alpn = { "y" } })
        assert.equal(tls.ERROR_PROTOCOL, server[2])
        close_all(a, b)
    end)

    it("is the one whose certificate, protocols and groups are used", function()
        local a, b, client, server = serve({ ca = "ca.pem", cert = "client.pem", alpn = { "x", "y" } }, {
            cert = "rsa.pem",
            client_ca = "ca.pem",
            alpn = { "y" },
            conf = { Groups = "P-384" },
        })
        assert.same({ true, true }, { client[1], server[1] })
        assert.equal("CN=rsa", tls.info(a).peer.subject)
        assert.equal("CN=client", tls.info(b).peer.subject)
        assert.is_true(tls.info(b).verified)
        assert.equal("y", tls.info(a).alpn)
        assert.is_truthy(tls.info(a).group:find "384")
        close_all(a, b)
    end)
end)

describe("a connection", function()
    tasks.guard()
    support.certificates()

    it("goes on when its context and the coroutine that made that are collected", function()
        local made = setmetatable({}, { __mode = "k" })
        local function in_coroutine(f, ...)
            local co = coroutine.create(f)
            made[co] = true
            local _, result = assert(coroutine.resume(co, ...))
            return result
        end
        local log = support.path "collected.log"
        local client = in_coroutine(support.context, { ca = "ca.pem", alpn = { "x" }, keylog = log })
        local server = in_coroutine(support.context, { cert = "a.pem", alpn = { "x" } })
        made[client], made[server] = true, true
        t.collect()
        local a, b = assert(socket.pair())
        a:settimeout(10)
        b:settimeout(10)
        local task = tasks.spawn(tls.server, b, server)
        local other = tasks.spawn(tls.client, a, "a.test", client)
        client, server = nil, nil -- luacheck: ignore
        t.collect()
        assert.is_true(tasks.join(task))
        assert.is_true(tasks.join(other))
        task, other = nil, nil -- luacheck: ignore
        t.collect()
        for i = 1, 3 do
            b:write(("x"):rep(20000)) -- behind a ticket, which the collected context keeps or drops
            assert.equal(20000, #assert(a:read(20000)))
            a:write "y"
            assert.equal("y", b:read(1))
            assert.equal("x", tls.info(i % 2 == 0 and a or b).alpn)
            t.collect()
        end
        assert.is_nil(next(made))
        close_all(a, b)
    end)
end)

describe("connections that a program drops", function()
    tasks.guard()
    support.certificates()

    -- Their memory is OpenSSL's: the collector knows of it only what it is told.
    it("are collected before they have taken much memory", function()
        if t.slow > 1 or not io.open "/proc/self/status" then
            return pending "resident memory says nothing here"
        end
        tasks.alone_fine(
            ([[
            local tls = require "ssocket.tls"
            local ctx = assert(tls.context { cert = %q, ca = %q })
            local function resident() -- KiB
                for line in io.lines "/proc/self/status" do
                    local kib = line:match "^VmRSS:%%s*(%%d+)"
                    if kib then return tonumber(kib) end
                end
            end
            local function drop(n)
                for _ = 1, n do
                    local a, b = socket.pair()
                    local server = spawn(function() return assert(tls.server(b, ctx)) end)
                    assert(tls.client(a, "a.test", ctx))
                    assert(server:wait(10))
                    assert(a:write "x" and b:read(1) == "x" and b:write "y" and a:read(1) == "y")
                end
            end
            local heap = {} -- of a program: what makes the collector work seldom
            for i = 1, 30000 do heap[i] = { i } end
            collectgarbage()
            drop(10)
            local before = resident()
            drop(1000) -- 34 MiB, if they were all kept
            local more = resident() - before
            heap[1] = 0
            assert(more < 16 * 1024, more .. " KiB")
            ]]):format(support.path "a.pem", support.path "ca.pem"),
            30
        )
    end)
end)

-- Programs of their own: what is asked for once in a Lua state is asked for anew there.
describe("the system's store", function()
    tasks.guard()
    support.certificates()

    -- The authority of the specs is the system's only one. `ca` is removed by the program.
    local function alone(code)
        tasks.alone_fine(
            ([[
            local ca = os.tmpname()
            local file = assert(io.open(ca, "wb"))
            file:write(%q)
            file:close()
            sys.setenv("SSL_CERT_FILE", ca)
            sys.setenv("SSL_CERT_DIR", "/nowhere")
            local tls = require "ssocket.tls"
            local server = assert(tls.context { cert = %q })
            local function connect(ctx)
                local a, b = socket.pair()
                local task = spawn(function()
                    assert(tls.server(b, server))
                    return b:write "x"
                end)
                local ok, err, reason = tls.client(a, "a.test", ctx)
                assert(ok, tostring(err) .. " " .. tostring(reason))
                assert(task:wait(10))
                assert(a:read(1) == "x")
                local info = tls.info(a)
                a:close()
                b:close()
                return info
            end
            ]]):format(support.text "ca.pem", support.path "a.pem") .. code,
            20
        )
    end

    it("is trusted where nothing else is said, and read once however many connections there are", function()
        alone [[
            assert(connect().verified)
            os.remove(ca) -- whoever reads it again finds nothing
            for _ = 1, 20 do
                local info = connect()
                assert(info.verified and info.resumed) -- its sessions are those of one context
            end
            for _ = 1, 20 do
                local info = connect(assert(tls.context()))
                assert(info.verified and not info.resumed)
            end
        ]]
    end)

    it("is not looked for where another is named", function()
        alone(([[
            os.remove(ca)
            assert(connect(assert(tls.context { ca = %q })).verified)
        ]]):format(support.path "ca.pem"))
    end)
end)
