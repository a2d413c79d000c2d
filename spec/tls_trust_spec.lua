-- ssocket.tls: whom a context trusts, and for what: another name than that of the connection, a report instead of a
-- refusal, a limit for chains, and protocols that need not agree.

local t = require "support.t"
local tasks = require "support.tasks"
local support = require "support.tls"

local socket = t.socket

if not support.is_built() then
    describe("what a context trusts", function()
        pending "is not built: OpenSSL is missing"
    end)
    return
end

local tls = require "ssocket.tls"

-- A handshake of two contexts, or of their options. Returns both sockets, and the results of the client and of the
-- server.
local function shake(client, server, name)
    local a, b = assert(socket.pair())
    client = type(client) == "table" and support.context(client) or client
    server = type(server) == "table" and support.context(server) or server
    local first, second = support.shake(a, b, client, server, name)
    return a, b, first, second
end

local function close(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

-- Both ends have succeeded; returns what they know of each other.
local function is_done(a, b, client, server)
    assert.is_true(client[1], tostring(client[2]) .. ": " .. tostring(client[3]))
    assert.is_true(server[1], tostring(server[2]) .. ": " .. tostring(server[3]))
    local first, second = tls.info(a), tls.info(b)
    b:write "x" -- and a ticket
    assert.equal("x", a:read(1))
    a:write "y"
    assert.equal("y", b:read(1))
    close(a, b)
    return first, second
end

-- This end has refused the peer's certificate, and is closed.
local function is_refused(s, results, reason)
    assert.is_nil(results[1])
    assert.equal(tls.ERROR_CERTIFICATE, results[2])
    assert.is_truthy(results[3]:find(reason, 1, true), results[3])
    assert.equal(-1, s:fileno())
end

local function is_misuse(text, options)
    local err = t.rejects(tls.context, options)
    assert.is_truthy(err:find(text, 1, true), err)
end

describe("the name that a context verifies", function()
    tasks.guard()
    support.certificates()

    it("is another one than that of the connection, which is still sent", function()
        local options = { ca = "ca.pem", verify_name = "A.test." }
        local first, second = is_done(shake(options, { cert = "a.pem" }, "b.test"))
        assert.is_true(first.verified)
        assert.equal("b.test", first.name)
        assert.equal("b.test", second.name)
    end)

    it("may be an address, or belong to a connection of one", function()
        local first, second = is_done(shake({ ca = "ca.pem", verify_name = "127.0.0.1" }, { cert = "a.pem" }, "b.test"))
        assert.is_true(first.verified)
        assert.equal("b.test", second.name)
        first, second = is_done(shake({ ca = "ca.pem", verify_name = "x.wild.test" }, { cert = "a.pem" }, "127.0.0.9"))
        assert.is_true(first.verified)
        assert.is_nil(second.name)
    end)

    it("is verified", function()
        local a, b, client = shake({ ca = "ca.pem", verify_name = "b.test" }, { cert = "a.pem" }, "a.test")
        is_refused(a, client, "hostname mismatch (depth 0)")
        close(a, b)
        a, b, client = shake({ ca = "ca.pem", verify_name = "127.0.0.2" }, { cert = "a.pem" }, "127.0.0.1")
        is_refused(a, client, "IP address mismatch (depth 0)")
        close(a, b)
    end)

    it("is none, and then the chain alone", function()
        for _, name in ipairs { "b.test", "127.0.0.9" } do
            local first = is_done(shake({ ca = "ca.pem", verify_name = false }, { cert = "a.pem" }, name))
            assert.is_true(first.verified)
        end
        local a, b, client = shake({ ca = "other.pem", verify_name = false }, { cert = "a.pem" }, "a.test")
        is_refused(a, client, "(depth 0)")
        close(a, b)
        a, b, client = shake({ ca = "ca.pem", verify_name = false }, { cert = "expired.pem" }, "a.test")
        is_refused(a, client, "certificate has expired (depth 0)")
        close(a, b)
    end)

    it("is not asked of a server's clients", function()
        local options = { cert = "a.pem", client_ca = "ca.pem", verify_name = "a.test" }
        local _, second = is_done(shake({ ca = "ca.pem", cert = "client.pem" }, options))
        assert.is_true(second.verified)
    end)

    it("leaves a session to connections of the same name", function()
        local client = support.context { ca = "ca.pem", verify_name = "a.test", cert = "client.pem" }
        local server = support.context { cert = "a.pem" }
        is_done(shake(client, server, "b.test"))
        assert.is_true(is_done(shake(client, server, "b.test")).resumed)
        assert.is_false(is_done(shake(client, server, "c.test")).resumed)
    end)

    it("has the form of a name", function()
        for _, name in ipairs { "", "a\0b", "a b", ".test", ("x"):rep(300) } do
            is_misuse("option 'verify_name': name", { verify_name = name })
        end
        is_misuse("option 'verify_name': string or false expected, got number", { verify_name = 1 })
        is_misuse("option 'verify_name': string or false expected, got boolean", { verify_name = true })
        is_misuse("option 'verify_name': option 'verify' is false", { verify = false, verify_name = "a.test" })
        assert(tls.context { verify = false, verify_name = false })
    end)
end)

describe("verification that reports", function()
    tasks.guard()
    support.certificates()

    local REPORTS = { ca = "ca.pem", verify = "report" }

    it("says nothing where all is well", function()
        local first = is_done(shake(REPORTS, { cert = "a.pem" }))
        assert.is_true(first.verified)
        assert.is_nil(first.unverified)
        first = is_done(shake({ ca = "ca.pem" }, { cert = "a.pem" }))
        assert.is_nil(first.unverified)
        first = is_done(shake({ verify = false }, { cert = "self.pem" }))
        assert.is_false(first.verified)
        assert.is_nil(first.unverified)
    end)

    for cert, reason in pairs {
        ["self.pem"] = "self-signed certificate (depth 0)",
        ["expired.pem"] = "certificate has expired (depth 0)",
        ["b.pem"] = "hostname mismatch (depth 0)",
    } do
        for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
            it("goes on with " .. cert .. " and says why it would not, " .. version, function()
                local client = support.context { ca = "ca.pem", verify = "report", conf = { MaxProtocol = version } }
                local server = support.context { cert = cert }
                local first = is_done(shake(client, server))
                assert.equal(version, first.version)
                assert.is_false(first.verified)
                assert.equal(reason, first.unverified)
                assert.is_string(first.peer.pem)
            end)
        end
    end

    it("says the first of several reasons, and of a resumed session the same", function()
        local client, server = support.context(REPORTS), support.context { cert = "b.pem", sessions = 64 }
        local first = is_done(shake(client, server))
        local again = is_done(shake(client, server))
        assert.is_true(again.resumed)
        assert.is_false(again.verified)
        assert.equal("hostname mismatch", again.unverified)
        assert.equal("hostname mismatch (depth 0)", first.unverified)
        server = support.context { cert = "client.pem" } -- which is not for servers, and not for that name
        first = is_done(shake(client, server, "b.test"))
        again = is_done(shake(client, server, "b.test"))
        assert.is_truthy(first.unverified:find "certificate purpose", first.unverified)
        assert.is_true(again.resumed)
        assert.equal(first.unverified, again.unverified .. " (depth 0)")
    end)

    it("does not make a certificate good for another context", function()
        local server = support.context { cert = "b.pem" }
        is_done(shake(REPORTS, server))
        local a, b, client = shake({ ca = "ca.pem" }, server)
        is_refused(a, client, "hostname mismatch")
        close(a, b)
    end)

    local WANTS = { cert = "a.pem", client_ca = "ca.pem", verify = "report" }

    it("goes on with a client's certificate that is bad", function()
        for cert, reason in pairs {
            ["self.pem"] = "self-signed certificate (depth 0)",
            ["old_client.pem"] = "certificate has expired (depth 0)",
        } do
            local _, second = is_done(shake({ ca = "ca.pem", cert = cert }, WANTS))
            assert.is_false(second.verified)
            assert.equal(reason, second.unverified)
        end
        local _, second = is_done(shake({ ca = "ca.pem", cert = "client.pem" }, WANTS))
        assert.is_true(second.verified)
        assert.is_nil(second.unverified)
    end)

    it("still demands one, unless it is optional", function()
        local a, b, _, server = shake({ ca = "ca.pem" }, WANTS)
        is_refused(b, server, "no certificate")
        close(a, b)
        local optional = { cert = "a.pem", client_ca = "ca.pem", client_optional = true, verify = "report" }
        local _, second = is_done(shake({ ca = "ca.pem" }, optional))
        assert.is_false(second.verified)
        assert.is_nil(second.peer)
        assert.equal("the peer has given no certificate", second.unverified)
        _, second = is_done(shake({ ca = "ca.pem" }, { cert = "a.pem", verify = "report" }))
        assert.is_nil(second.unverified) -- it has not asked
    end)

    for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
        local keys = t.random(80, 3)

        local function server_of(options)
            local all = { cert = "a.pem", client_ca = "ca.pem", ticket_keys = keys }
            for name, value in pairs(options) do
                all[name] = value
            end
            return support.context(all)
        end

        -- A client that has a session of that server.
        local function client_with_session(cert, server)
            local client = support.context { ca = "ca.pem", cert = cert, conf = { MaxProtocol = version } }
            is_done(shake(client, server))
            return client
        end

        it("leaves no session to a strict context with the same keys, " .. version, function()
            local lenient, strict = server_of { verify = "report" }, server_of {}
            local client = client_with_session("self.pem", lenient)
            local _, second = is_done(shake(client, lenient))
            assert.is_true(second.resumed)
            assert.is_false(second.verified)
            assert.equal("self-signed certificate", second.unverified)
            local a, b, _, server = shake(client, strict)
            is_refused(b, server, "self-signed certificate")
            close(a, b)
        end)

        it("leaves no session of a good client to it either, " .. version, function()
            local client = client_with_session("client.pem", server_of { verify = "report" })
            local _, second = is_done(shake(client, server_of {}))
            assert.is_false(second.resumed)
            assert.is_true(second.verified)
        end)

        it("resumes in another context that is like it, " .. version, function()
            for _, options in ipairs { { verify = "report" }, { depth = 0 }, { depth = 7 }, {} } do
                local client = client_with_session("client.pem", server_of(options))
                local _, second = is_done(shake(client, server_of(options)))
                assert.is_true(second.resumed)
            end
        end)

        it("leaves no session to a context that takes shorter chains, " .. version, function()
            local client = client_with_session("deep.pem", server_of {})
            local a, b, _, server = shake(client, server_of { depth = 0 })
            is_refused(b, server, "certificate chain too long")
            close(a, b)
            client = client_with_session("deep.pem", server_of { depth = 1 })
            a, b, _, server = shake(client, server_of { depth = 0 })
            is_refused(b, server, "certificate chain too long")
            close(a, b)
        end)

        it("lets no client escape a demand by the name that it sends, " .. version, function()
            local asks_nothing = support.context { cert = "a.pem", ticket_keys = keys }
            local reports = server_of { verify = "report", client_optional = true }
            local demands = server_of {}
            local contexts = { ["a.test"] = asks_nothing, ["x.wild.test"] = reports, ["y.wild.test"] = demands }
            local client = support.context {
                ca = "ca.pem",
                verify_name = "a.test",
                conf = { MaxProtocol = version },
            }

            -- The server chooses a context by the name.
            local function connect(name)
                local a, b = assert(socket.pair())
                a:settimeout(10)
                b:settimeout(10)
                local server = tasks.spawn(function()
                    local hello = assert(tls.hello(b))
                    local results = t.pack(tls.server(b, contexts[hello.name] or demands))
                    if results[1] then
                        b:write(hello.name)
                    end
                    return results
                end)
                local ok = tls.client(a, name, client)
                local data = ok and a:read(#name)
                local results = tasks.join(server)
                close(a, b)
                return data, results
            end

            for _ = 1, 2 do
                assert.equal("a.test", (connect "a.test"))
                assert.equal("x.wild.test", (connect "x.wild.test"))
                for _, name in ipairs { "y.wild.test", "unknown.test" } do
                    local data, results = connect(name)
                    assert.is_nil(data or nil)
                    assert.same({ nil, tls.ERROR_CERTIFICATE }, { results[1], results[2] })
                end
            end
        end)
    end

    it("is a boolean or that word", function()
        is_misuse("option 'verify': a boolean or \"report\" expected", { verify = "none" })
        is_misuse("option 'verify': a boolean or \"report\" expected", { verify = "report\0" })
        is_misuse("option 'verify': boolean or \"report\" expected, got number", { verify = 1 })
    end)
end)

describe("the depth of chains", function()
    tasks.guard()
    support.certificates()

    it("limits the authorities between a server's certificate and the anchor", function()
        for _, depth in ipairs { 1, 2, 65536 } do
            assert.is_true(is_done(shake({ ca = "ca.pem", depth = depth }, { cert = "deep.pem" })).verified)
        end
        assert.is_true(is_done(shake({ ca = "ca.pem" }, { cert = "deep.pem" })).verified)
        assert.is_true(is_done(shake({ ca = "ca.pem", depth = 0 }, { cert = "a.pem" })).verified)
        assert.is_true(is_done(shake({ ca = "middle.crt", depth = 0 }, { cert = "deep.pem" })).verified)
        local a, b, client = shake({ ca = "ca.pem", depth = 0 }, { cert = "deep.pem" })
        is_refused(a, client, "certificate chain too long")
        close(a, b)
    end)

    it("limits those of a client's", function()
        local options = { cert = "a.pem", client_ca = "ca.pem", depth = 0 }
        local a, b, _, server = shake({ ca = "ca.pem", cert = "deep.pem" }, options)
        is_refused(b, server, "certificate chain too long")
        close(a, b)
        options.depth = 1
        local _, second = is_done(shake({ ca = "ca.pem", cert = "deep.pem" }, options))
        assert.is_true(second.verified)
    end)

    it("is a whole number", function()
        for _, depth in ipairs { -1, 0.5, 65537, 0 / 0 } do
            is_misuse("option 'depth': a whole number from 0 to 65536 expected", { depth = depth })
        end
        is_misuse("option 'depth': number expected, got boolean", { depth = true })
    end)
end)

describe("a protocol that is optional", function()
    tasks.guard()
    support.certificates()

    local OPTIONAL = { cert = "a.pem", alpn = { "h2", "http/1.1" }, alpn_optional = true }

    it("lets a client in with which nothing is in common", function()
        local first, second = is_done(shake({ ca = "ca.pem", alpn = "smtp" }, OPTIONAL))
        assert.is_nil(first.alpn)
        assert.is_nil(second.alpn)
    end)

    it("is chosen all the same", function()
        local first, second = is_done(shake({ ca = "ca.pem", alpn = { "http/1.1", "h2" } }, OPTIONAL))
        assert.equal("h2", first.alpn)
        assert.equal("h2", second.alpn)
        first = is_done(shake({ ca = "ca.pem" }, OPTIONAL))
        assert.is_nil(first.alpn)
    end)

    it("is so for Python too", function()
        local s, p = support.with_python(
            [[
            c = client_context(argv[0]); c.set_alpn_protocols(["smtp"])
            s = c.wrap_socket(s, server_hostname="a.test"); say(s.selected_alpn_protocol())
            ]],
            support.path "ca.pem"
        )
        s:settimeout(10)
        assert.is_true(tls.server(s, support.context(OPTIONAL)))
        assert.equal("None", p:line())
        s:close()
        p:finish()
    end)

    it("is refused without the option", function()
        local a, b, client, server = shake({ ca = "ca.pem", alpn = "smtp" }, { cert = "a.pem", alpn = "h2" })
        assert.same({ nil, tls.ERROR_ALERT, "no_application_protocol" }, { client[1], client[2], client[3] })
        assert.same({ nil, tls.ERROR_PROTOCOL }, { server[1], server[2] })
        close(a, b)
    end)

    it("needs protocols", function()
        is_misuse("option 'alpn_optional': there is no option 'alpn'", { alpn_optional = true })
        is_misuse("option 'alpn_optional': boolean expected, got string", { alpn = "h2", alpn_optional = "yes" })
    end)
end)
