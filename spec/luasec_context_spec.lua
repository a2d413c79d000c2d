-- Contexts of LuaSec: each parameter of newcontext, what it does to a connection, and what is said of a wrong one.

local t = require "support.t"
local luasec = require "support.luasec"

-- What newcontext says of parameters that it does not take. OpenSSL's reasons in parentheses differ from run to run:
-- LuaSec tells of the oldest error that nobody has asked for.
local function fails(ssl, pattern, parameters)
    local ctx, err = ssl.newcontext(parameters)
    assert.is_nil(ctx)
    assert(tostring(err):find("^" .. pattern .. "$"), "another error: " .. tostring(err))
end

local function raises(ssl, text, parameters)
    local ok, err = pcall(ssl.newcontext, parameters)
    assert.is_false(ok)
    assert(tostring(err):find(text, 1, true), "another error: " .. tostring(err))
end

local function get(more)
    return luasec.server(more)
end

-- The version, the cipher and the curve's key exchange that both ends settle on.
local function settled(socket, ssl, client, server)
    local a, b = luasec.pair(socket, ssl, luasec.client(client), luasec.server(server))
    local of_a, of_b = a:info(), b:info()
    assert.same(of_a, of_b)
    a:close()
    b:close()
    return of_a.protocol, of_a.cipher
end

local function outcome(socket, ssl, client, server)
    return luasec.outcome(socket, ssl, luasec.client(client), luasec.server(server))
end

luasec.each("ssl.newcontext", function(socket, ssl, kind)
    it("has the module's fields", function()
        assert.equal("function", type(ssl.wrap))
        assert.equal("function", type(ssl.newcontext))
        assert.equal("function", type(ssl.loadcertificate))
        assert.equal("1.2.0", ssl._VERSION)
        assert.equal("string", type(ssl._COPYRIGHT))
        local config = ssl.config
        assert.same({ ec = true }, config.algorithms)
        assert.is_true(config.capabilities.alpn)
        assert.is_true(config.capabilities.curves_list)
        assert.is_true(config.protocols.tlsv1_2)
        assert.is_true(config.protocols.tlsv1_3)
        assert.is_true(config.options.no_tlsv1_2)
        assert.is_true(config.options.all)
        assert.is_true(config.curves.prime256v1)
        assert.is_true(config.curves["P-384"])
    end)

    it("shows what it is", function()
        assert.matches("^SSL context: 0?x?%x+$", tostring(assert(ssl.newcontext(get()))))
    end)

    it("wants a table, a protocol and a mode", function()
        assert.is_false(pcall(ssl.newcontext))
        raises(ssl, "string expected, got n", { mode = "client" }) -- "nil" or "no value"
        raises(ssl, "string expected, got table", { mode = "client", protocol = {} })
        raises(ssl, "string expected, got n", { protocol = "any" })
        raises(ssl, "string expected, got table", { protocol = "any", mode = {} })
    end)

    it("tells of a protocol that it does not know", function()
        for _, name in ipairs { "foo", "", "sslv2", "sslv3", "TLSv1_2", "tlsv1.2", 3 } do
            local ctx, err = ssl.newcontext { mode = "client", protocol = name }
            assert.is_nil(ctx)
            assert.equal("invalid protocol (" .. name .. ")", err)
        end
    end)

    it("knows no other mode", function()
        local parameters = { mode = "foo", protocol = "any" }
        if not kind.is_real then -- which tells of it in wrap, by a fault of its own
            fails(ssl, "invalid mode %(foo%)", parameters)
            return
        end
        local a, b = luasec.sockets(socket)
        local s, err = ssl.wrap(a, assert(ssl.newcontext(parameters)))
        assert.is_nil(s)
        assert.equal("invalid mode", err)
        a:close()
        b:close()
    end)

    -- ---- protocols and options ----

    for name, version in pairs { any = "TLSv1.3", sslv23 = "TLSv1.3", tlsv1_2 = "TLSv1.2", tlsv1_3 = "TLSv1.3" } do
        it("speaks what the protocol says: " .. name, function()
            assert.equal(version, (settled(socket, ssl, { protocol = name })))
            assert.equal(version, (settled(socket, ssl, nil, { protocol = name })))
        end)
    end

    it("finds no version that both have", function()
        local client, server = outcome(socket, ssl, { protocol = "tlsv1_2" }, { protocol = "tlsv1_3" })
        assert.equal("tlsv1 alert protocol version", client)
        assert.equal("unsupported protocol", server)
    end)

    it("takes versions away by options", function()
        assert.equal("TLSv1.2", (settled(socket, ssl, { options = "no_tlsv1_3" })))
        assert.equal("TLSv1.2", (settled(socket, ssl, nil, { options = { "all", "no_sslv2", "no_tlsv1_3" } })))
        local client, server = outcome(socket, ssl, { options = "no_tlsv1_3" }, { options = { "no_tlsv1_2" } })
        assert.matches("^tlsv1 alert ", client)
        assert.not_equal("ok", server)
    end)

    it("has no version at all where the options take away what the protocol says", function()
        local a, b = luasec.sockets(socket)
        local s, err = ssl.wrap(a, luasec.client { protocol = "tlsv1_2", options = "no_tlsv1_2" })
        if s then -- LuaSec tells later
            local ok
            ok, err = s:dohandshake()
            assert.is_false(ok)
            s:close()
        end
        assert.equal("no protocols available", err)
        a:close()
        b:close()
    end)

    it("takes each option that its config names", function()
        for name in pairs(ssl.config.options) do
            assert(ssl.newcontext(get { options = { name } }))
        end
    end)

    it("tells of an option that it does not know", function()
        fails(ssl, "invalid option %(foo%)", get { options = "foo" })
        fails(ssl, "invalid option %(%)", get { options = "" })
        fails(ssl, "invalid option %(foo%)", get { options = { "all", "foo" } })
        fails(ssl, "invalid option %(no_tlsv1_3 %)", get { options = { "no_tlsv1_3 " } })
        raises(ssl, "string expected, got boolean", get { options = true })
        raises(ssl, "string expected, got table", get { options = { {} } })
        assert(ssl.newcontext(get { options = {} }))
    end)

    it("lets the server's order of ciphers decide where an option says so", function()
        local client = { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384" }
        local server = { ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256" }
        local _, cipher = settled(socket, ssl, client, server)
        assert.equal("ECDHE-ECDSA-AES128-GCM-SHA256", cipher)
        server.options = "cipher_server_preference"
        _, cipher = settled(socket, ssl, client, server)
        assert.equal("ECDHE-ECDSA-AES256-GCM-SHA384", cipher)
    end)

    -- ---- ciphers and curves ----

    it("speaks with the ciphers that were said", function()
        local client = { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305" }
        local version, cipher = settled(socket, ssl, client)
        assert.equal("TLSv1.2", version)
        assert.equal("ECDHE-ECDSA-CHACHA20-POLY1305", cipher)
        version, cipher = settled(socket, ssl, nil, { ciphersuites = "TLS_CHACHA20_POLY1305_SHA256" })
        assert.equal("TLSv1.3", version)
        assert.equal("TLS_CHACHA20_POLY1305_SHA256", cipher)
    end)

    it("leaves the suites of TLS 1.3 alone when ciphers are said", function()
        local version = settled(socket, ssl, { ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305" })
        assert.equal("TLSv1.3", version)
    end)

    it("finds no cipher that both have", function()
        local client, server = outcome(
            socket,
            ssl,
            { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" },
            { ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" }
        )
        assert.matches("alert handshake failure$", client) -- OpenSSL 3.0 says "sslv3" before it
        assert.equal("no shared cipher", server)
    end)

    it("tells of ciphers that it does not know", function()
        fails(ssl, "error setting cipher list %(.+%)", get { ciphers = "foo" })
        fails(ssl, "error setting cipher list %(.+%)", get { ciphers = "" })
        fails(ssl, "error setting cipher list %(.+%)", get { ciphersuites = "foo" })
        raises(ssl, "string expected, got table", get { ciphers = {} })
        raises(ssl, "string expected, got table", get { ciphersuites = {} })
    end)

    it("takes curves, alone and as a list", function()
        assert(ssl.newcontext(get { curve = "prime256v1" }))
        assert(ssl.newcontext(get { curve = "secp384r1" }))
        assert(ssl.newcontext(get { curveslist = "X25519:P-256" }))
        fails(ssl, "elliptic curve 'foo' not supported", get { curve = "foo" })
        fails(ssl, 'unknown elliptic curve in "foo"', get { curveslist = "foo" })
        fails(ssl, 'unknown elliptic curve in "P%-256:foo"', get { curveslist = "P-256:foo" })
        raises(ssl, "string expected, got table", get { curve = {} })
    end)

    it("finds no curve that both have", function()
        local client, server = outcome(socket, ssl, { curveslist = "X25519" }, { curveslist = "P-256" })
        assert.matches("alert handshake failure$", client) -- OpenSSL 3.0 says "sslv3" before it
        assert.equal("no suitable key share", server)
        assert.equal("TLSv1.3", (settled(socket, ssl, { curveslist = "X25519:P-384" }, { curve = "secp384r1" })))
    end)

    it("wants a function for Diffie-Hellman's parameters", function()
        fails(ssl, "invalid DH parameter type", get { dhparam = "x" })
        assert(ssl.newcontext(get { dhparam = function() end }))
    end)

    -- ---- keys and certificates ----

    it("tells of files that are not there or hold something else", function()
        fails(ssl, "error loading private key %(.+%)", get { key = "none" })
        fails(ssl, "error loading private key %(.+%)", get { key = "a.crt" })
        fails(ssl, "error loading certificate %(.+%)", get { key = false, certificate = "none" })
        fails(ssl, "error loading certificate %(.+%)", get { key = false, certificate = "a.key" })
        fails(ssl, "error loading certificate %(.+%)", get { key = false, certificate = "." })
        fails(ssl, "error loading CA locations %(.+%)", get { cafile = "none" })
        fails(ssl, "error loading CA locations %(.+%)", get { cafile = "a.key" })
        fails(ssl, "error loading CA locations %(.+%)", get { cafile = "." })
        raises(ssl, "string expected, got table", { mode = "client", protocol = "any", key = {} })
        raises(ssl, "string expected, got table", { mode = "client", protocol = "any", certificate = {} })
        raises(ssl, "string expected, got table", { mode = "client", protocol = "any", cafile = {} })
    end)

    it("takes a directory of authorities that is not there", function()
        assert(ssl.newcontext(get { capath = "/none" }))
    end)

    it("tells of a key that is another certificate's", function()
        fails(ssl, "private key does not match public key", get { key = "b.key" })
    end)

    it("takes a key or a certificate alone", function()
        assert(ssl.newcontext(get { key = false }))
        assert(ssl.newcontext(get { certificate = false }))
    end)

    it("shakes no hands without a certificate", function()
        local client, server = outcome(socket, ssl, nil, { key = false, certificate = false })
        assert.matches("alert handshake failure$", client) -- OpenSSL 3.0 says "sslv3" before it
        assert.equal("no shared cipher", server)
    end)

    it("opens a locked key with a password, or with what a function says", function()
        assert(ssl.newcontext(get { key = "locked.key", password = "secret" }))
        local calls = {}
        assert(ssl.newcontext(get {
            key = "locked.key",
            password = function(...)
                calls[#calls + 1] = select("#", ...)
                return "secret"
            end,
        }))
        assert.same({ 0 }, calls)
    end)

    it("tells of a password that does not open the key", function()
        local function no()
            return "wrong"
        end
        local function nothing() end
        for _, password in ipairs { "wrong", "", "secret ", ("x"):rep(5000), no, nothing } do
            fails(ssl, "error loading private key %(.+%)", get { key = "locked.key", password = password })
        end
        fails(ssl, "invalid password type", get { key = "locked.key", password = 5 })
        fails(ssl, "invalid password type", get { key = "locked.key", password = {} })
    end)

    -- LuaSec keeps the key's file open then.
    if not kind.is_real then
        it("passes on what the password function raises", function()
            local function raise()
                error("no password today", 0)
            end
            local ok, err = pcall(ssl.newcontext, get { key = "locked.key", password = raise })
            assert.is_false(ok)
            assert.equal("no password today", err)
        end)
    end

    it("needs no password for a key that has none, and no key for a password", function()
        assert(ssl.newcontext(get { password = "unneeded" }))
        assert(ssl.newcontext(get { key = false, password = 5 }))
    end)

    it("takes a list of certificates, and then no other", function()
        local one = { certificate = luasec.path "a.crt", key = luasec.path "locked.key", password = "secret" }
        local ctx = assert(ssl.newcontext(get { certificates = { one }, certificate = "none", key = "none" }))
        local a, b = luasec.pair(socket, ssl, luasec.client(), ctx)
        assert.equal("CN=a", luasec.name(a:getpeercertificate()))
        a:close()
        b:close()
        assert(ssl.newcontext(get { certificates = {}, certificate = "none" }))
        local wrong = { certificate = luasec.path "a.crt", key = luasec.path "b.key" }
        fails(ssl, "private key does not match public key", get { certificates = { wrong } })
    end)

    it("sends the chain that stands in the certificate's file", function()
        local a, b = luasec.pair(socket, ssl, luasec.client(), get { certificate = "chain.crt", key = "leaf.key" })
        local chain = a:getpeerchain()
        assert.equal(2, #chain)
        assert.equal("CN=leaf", luasec.name(chain[1]))
        assert.equal("CN=middle", luasec.name(chain[2]))
        assert.equal("CN=leaf", luasec.name(a:getpeercertificate(1)))
        assert.equal("CN=middle", luasec.name(a:getpeercertificate(2)))
        assert.is_nil(a:getpeercertificate(3))
        a:close()
        b:close()
    end)

    -- ---- verification's parameters ----

    it("takes ways to verify, alone and as a list", function()
        for _, way in ipairs { "none", "peer", "client_once", "fail_if_no_peer_cert" } do
            assert(ssl.newcontext(get { verify = way }))
            assert(ssl.newcontext(get { verify = { way } }))
        end
        assert(ssl.newcontext(get { verify = {} }))
        assert(ssl.newcontext(get { verify = false }))
        fails(ssl, "invalid verify option %(foo%)", get { verify = "foo" })
        fails(ssl, "invalid verify option %(%)", get { verify = "" })
        fails(ssl, "invalid verify option %(foo%)", get { verify = { "peer", "foo" } })
        raises(ssl, "string expected, got boolean", get { verify = true })
    end)

    it("takes more ways to verify", function()
        assert(ssl.newcontext(get { verifyext = "lsec_continue" }))
        local all = { "lsec_continue", "lsec_ignore_purpose", "crl_check", "crl_check_chain" }
        assert(ssl.newcontext(get { verifyext = all }))
        assert(ssl.newcontext(get { verifyext = {} }))
        fails(ssl, "invalid verify option %(foo%)", get { verifyext = "foo" })
        fails(ssl, "invalid verify option %(peer%)", get { verifyext = { "crl_check", "peer" } })
    end)

    it("takes more ways to verify after it was made", function()
        local ctx = assert(ssl.newcontext(get()))
        assert.is_true(ctx:setverifyext "lsec_continue")
        assert.is_true(ctx:setverifyext("crl_check", "crl_check_chain"))
        assert.is_true(ctx:setverifyext())
        local ok, err = ctx:setverifyext "foo"
        assert.is_false(ok)
        assert.equal("invalid verify option (foo)", err)
    end)

    it("takes a number for the depth", function()
        assert(ssl.newcontext(get { depth = 3 }))
        assert(ssl.newcontext(get { depth = "3" }))
        raises(ssl, "number expected, got string", get { depth = "deep" })
    end)

    -- ---- ALPN's parameters ----

    it("takes protocols as the mode allows", function()
        for mode, takes_string in pairs { client = true, server = false } do
            local function with(alpn)
                return { mode = mode, protocol = "any", alpn = alpn }
            end
            assert(ssl.newcontext(with { "x", "y" }))
            assert(ssl.newcontext(with { ("x"):rep(255) }))
            fails(ssl, "invalid ALPN parameter", with(5))
            fails(ssl, "invalid ALPN list %(empty%)", with {})
            fails(ssl, "invalid ALPN name %(empty string%)", with { "" })
            fails(ssl, "invalid ALPN name %(length > 255%)", with { ("x"):rep(256) })
            assert.is_nil(ssl.newcontext(with { 5 }))
            if takes_string then
                assert(ssl.newcontext(with "x"))
                fails(ssl, "invalid ALPN name %(empty string%)", with "")
                fails(ssl, "invalid ALPN parameter", with(function() end))
            else
                fails(ssl, "invalid ALPN parameter", with "x")
                assert(ssl.newcontext(with(function() end)))
            end
        end
    end)

    it("is collected with all that it holds", function()
        for _ = 1, 20 do
            assert(ssl.newcontext(get { alpn = { "x" }, dhparam = function() end, verifyext = "lsec_continue" }))
        end
        t.collect()
    end)
end)
