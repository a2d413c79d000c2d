-- Whom LuaSec trusts: nobody is checked unless the parameters say so; where they do, nothing goes through unchecked.

local t = require "support.t"
local peer = require "support.peer"
local luasec = require "support.luasec"

local VERSIONS = { "tlsv1_2", "tlsv1_3" }
local DEMAND = { "peer", "fail_if_no_peer_cert" }
local UNKNOWN = "unable to get local issuer certificate"
local UNKNOWN_LIST = { { UNKNOWN, "unable to verify the first certificate" } }

-- The parameters of an end that has the certificate NAME (nil: none), and `more`.
local function with(name, more)
    local all = { certificate = name and name .. ".crt", key = name and name .. ".key" }
    for field, value in pairs(more or {}) do
        all[field] = value
    end
    return all
end

local CHAIN = { certificate = "chain.crt", key = "leaf.key" }
local function trusting(more)
    return with(nil, { verify = "peer", cafile = more and more.cafile or "ca.crt", depth = more and more.depth })
end

-- ---- a client checks its server: name, client, server, its error or getpeerverification's result, the alert ----

local FAILED = "certificate verify failed"
local servers = {
    { "checks nobody", {}, {}, UNKNOWN },
    { "checks nobody when it has authorities, but tells", { cafile = "ca.crt" }, {} },
    { "checks nobody, and tells of another authority", { cafile = "other.crt" }, {}, UNKNOWN },
    { "checks nobody, and tells of the date", { cafile = "ca.crt" }, with "expired", "certificate has expired" },
    { "checks nobody with none", { verify = "none", cafile = "other.crt" }, {}, UNKNOWN },
    { "takes what its authority has signed", trusting(), {} },
    { "takes what an authority in a directory has signed", { verify = "peer", capath = "authorities" }, {} },
    { "takes what an authority of its authority has signed", trusting(), CHAIN },
    { "takes any name", trusting(), with "b" },
    { "refuses without authorities", { verify = "peer" }, {}, FAILED, "unknown ca" },
    { "refuses what another has signed", trusting { cafile = "other.crt" }, {}, FAILED, "unknown ca" },
    { "refuses what has expired", trusting(), with "expired", FAILED, "certificate expired" },
    { "refuses a client's certificate", trusting(), with "client", FAILED, "unsupported certificate" },
    { "refuses a chain with a hole", trusting(), with "leaf", FAILED, "unknown ca" },
    { "refuses a chain without its root", trusting { cafile = "middle.crt" }, CHAIN, FAILED, "unknown ca" },
    { "refuses with client_once alone", { verify = "client_once", cafile = "other.crt" }, {}, FAILED, "unknown ca" },
    { "refuses with a list", { verify = { "none", "peer" }, cafile = "other.crt" }, {}, FAILED, "unknown ca" },
    {
        "refuses with fail_if_no_peer_cert alone",
        { verify = { "fail_if_no_peer_cert" }, cafile = "other.crt" },
        {},
        FAILED,
        "unknown ca",
    },
    { "takes a chain of the depth", trusting { depth = 1 }, CHAIN },
    { "refuses a longer chain", trusting { depth = 0 }, CHAIN, FAILED, "unknown ca" },
    { "needs no depth for what the root has signed", trusting { depth = 0 }, {} },
}

local function listing(more)
    return with(nil, { verify = "peer", cafile = "ca-and-list.pem", verifyext = more or "crl_check" })
end

local lists = {
    { "takes what is not on the list", listing(), {} },
    { "refuses what is on the list", listing(), with "revoked", FAILED, "certificate revoked" },
    { "does not look at the list unasked", with(nil, { verify = "peer", cafile = "ca-and-list.pem" }), with "revoked" },
    {
        "refuses when there is no list",
        { verify = "peer", cafile = "ca.crt", verifyext = "crl_check" },
        {},
        FAILED,
        "unknown ca",
    },
    { "refuses without authorities", { verify = "peer", verifyext = "crl_check" }, {}, FAILED, "unknown ca" },
    { "wants the lists of all", listing { "crl_check", "crl_check_chain" }, CHAIN, FAILED, "unknown ca" },
    {
        "tells of a missing list",
        { cafile = "ca.crt", verifyext = "crl_check" },
        {},
        "unable to get certificate CRL",
    },
}

local function continuing(ca, verify)
    return { verify = verify or "peer", cafile = ca, verifyext = "lsec_continue" }
end

local continued = {
    { "tells of another authority", continuing "other.crt", {}, UNKNOWN_LIST },
    { "tells of another authority with none", continuing("other.crt", "none"), {}, UNKNOWN_LIST },
    { "has nothing to tell", continuing "ca.crt", {} },
    { "tells of the date", continuing "ca.crt", with "expired", { { "certificate has expired" } } },
    { "tells at which depth", continuing "other.crt", CHAIN, { [2] = { UNKNOWN } } },
}

-- ---- a server checks its client: as above, and what the client is told in TLS 1.2 and in TLS 1.3 ----

local NO_CERTIFICATE = "peer did not return a certificate"
local function demanding(more)
    local all = { verify = DEMAND, cafile = "ca.crt" }
    for field, value in pairs(more or {}) do
        all[field] = value
    end
    return all
end

local clients = {
    { "checks nobody", with "stranger", { cafile = "ca.crt" } },
    { "asks, and takes none for an answer", {}, { verify = "peer", cafile = "ca.crt" } },
    { "takes what its authority has signed", with "client", demanding() },
    { "takes it with all ways to verify", with "client", demanding { verify = { "client_once", "peer" } } },
    {
        "demands a certificate",
        {},
        demanding(),
        NO_CERTIFICATE,
        { "alert handshake failure", "alert certificate required" },
    },
    {
        "demands a certificate even if it goes on after errors",
        {},
        demanding { verifyext = "lsec_continue" },
        NO_CERTIFICATE,
        { "alert handshake failure", "alert certificate required" },
    },
    { "refuses what another has signed", with "stranger", demanding(), FAILED, { "unknown ca", "unknown ca" } },
    {
        "refuses what another has signed even if it only asks",
        with "stranger",
        { verify = "peer", cafile = "ca.crt" },
        FAILED,
        { "unknown ca", "unknown ca" },
    },
    { "refuses without authorities", with "client", { verify = "peer" }, FAILED, { "unknown ca", "unknown ca" } },
    {
        "refuses a server's certificate",
        with "serving",
        demanding(),
        FAILED,
        { "unsupported certificate", "unsupported certificate" },
    },
    { "takes it where the purpose is ignored", with "serving", demanding { verifyext = "lsec_ignore_purpose" } },
    {
        "refuses what another has signed where the purpose is ignored",
        with "stranger",
        demanding { verifyext = "lsec_ignore_purpose" },
        FAILED,
        { "unknown ca", "unknown ca" },
    },
}

luasec.each("trust of LuaSec", function(socket, ssl, kind)
    local function directory(parameters)
        parameters.capath = parameters.capath and luasec.path(parameters.capath)
        return parameters
    end

    -- Both ends before the handshake, in that version.
    local function ends(version, client, server)
        client = directory(luasec.client(client))
        client.protocol = version
        return luasec.wrapped(socket, ssl, client, luasec.server(server))
    end

    local function verification(s)
        local ok, err = s:getpeerverification()
        return ok or err
    end

    -- What an end that has refused the other, and the other, say: in TLS 1.3 a client hears of it later.
    local function refused(s, results)
        if results[1] then
            local _, err = s:receive()
            return err
        end
        return results[2]
    end

    -- f(version) for each version; a failure tells which.
    local function each_version(f)
        for _, version in ipairs(VERSIONS) do
            local ok, err = pcall(f, version)
            if not ok then
                error(version .. ": " .. tostring(type(err) == "table" and err.message or err), 0)
            end
        end
    end

    local function check_server(case)
        each_version(function(version)
            local a, b = ends(version, case[2], case[3])
            local first, second = luasec.handshakes(socket, a, b)
            if case[5] then
                assert.same({ false, case[4] }, first)
                assert.is_false(second[1])
                assert(second[2]:find(case[5], 1, true), second[2])
            else
                assert.same({ true }, first)
                assert.same({ true }, second)
                assert.same(case[4] or true, verification(a))
                assert.is_true(verification(b))
            end
            a:close()
            b:close()
        end)
    end

    local function check_client(case)
        each_version(function(version)
            local a, b = ends(version, case[2], case[3])
            local first, second = luasec.handshakes(socket, a, b)
            if case[4] then
                assert.same({ false, case[4] }, second)
                local err = refused(a, first)
                assert(err:find(case[5][version == "tlsv1_3" and 2 or 1], 1, true), err)
            else
                assert.same({ true }, first)
                assert.same({ true }, second)
            end
            a:close()
            b:close()
        end)
    end

    for what, cases in pairs {
        ["a client that "] = servers,
        ["a client that, with lists of what was revoked, "] = lists,
        ["a client that goes on after errors and "] = continued,
    } do
        for _, case in ipairs(cases) do
            it(what .. case[1], function()
                check_server(case)
            end)
        end
    end

    for _, case in ipairs(clients) do
        it("a server that " .. case[1], function()
            check_client(case)
        end)
    end

    it("knows what a client's certificate was worth", function()
        for name, expected in pairs { client = true, stranger = UNKNOWN_LIST } do
            local server = demanding { verifyext = "lsec_continue" }
            local a, b = luasec.pair(socket, ssl, luasec.client(with(name)), luasec.server(server))
            assert.equal("CN=" .. name, luasec.name(b:getpeercertificate()))
            assert.equal("CN=" .. name, luasec.name(b:getpeerchain()[1]))
            assert.same(expected, verification(b))
            local _, list = b:getpeerverification()
            if list then
                list[1] = nil -- it is a copy
                assert.same(expected, verification(b))
            end
            a:close()
            b:close()
        end
    end)

    it("has what was set after the context was made", function()
        local ctx = assert(ssl.newcontext(luasec.client { verify = "peer", cafile = "other.crt" }))
        ctx:setverifyext "lsec_continue"
        local a, b = luasec.pair(socket, ssl, ctx)
        assert.same(UNKNOWN_LIST, verification(a))
        a:close()
        b:close()
        ctx:setverifyext()
        local client = luasec.outcome(socket, ssl, ctx, luasec.server())
        assert.equal(FAILED, client)
    end)

    if not kind.is_real then -- which goes by the length, which Lua may see in more ways than one
        it("takes no list with a hole for a shorter one", function()
            local with_holes = { { nil, "peer" }, { "none", nil, "peer" }, { [2] = "peer" }, { "none", [4] = "peer" } }
            for _, verify in ipairs(with_holes) do
                local ok, ctx = pcall(ssl.newcontext, luasec.client { verify = verify, cafile = "other.crt" })
                if ok and ctx then
                    assert.equal(FAILED, (luasec.outcome(socket, ssl, ctx, luasec.server())))
                end
            end
        end)
    end

    -- ---- servers with contexts for names ----

    -- The handshake of a client that names b.test, where the server has another context for that name. Returns what
    -- both say, "ok" or an error.
    local function named(version, client, server, name_server)
        local a, b = ends(version, client, server)
        name_server.certificate, name_server.key = "b.crt", "b.key"
        b:sni { ["b.test"] = assert(ssl.newcontext(luasec.server(name_server))) }
        a:sni "b.test"
        local first, second = luasec.handshakes(socket, a, b)
        local certificate = first[1] and luasec.name(a:getpeercertificate())
        assert(not certificate or certificate == "CN=b", certificate)
        local said = second[1] and "ok" or refused(a, first)
        a:close()
        b:close()
        return said, second[1] and "ok" or second[2]
    end

    it("demands a certificate also of clients that name a server", function()
        each_version(function(version)
            local _, server = named(version, {}, demanding(), {})
            assert.equal(NO_CERTIFICATE, server)
            _, server = named(version, {}, demanding(), { cafile = "ca.crt" })
            assert.equal(NO_CERTIFICATE, server)
            _, server = named(version, {}, demanding(), demanding())
            assert.equal(NO_CERTIFICATE, server)
        end)
    end)

    it("checks the certificate with the authorities of the name", function()
        each_version(function(version)
            local other = { cafile = "other.crt" }
            local _, server = named(version, with "client", demanding(), { cafile = "ca.crt" })
            assert.equal("ok", server)
            _, server = named(version, with "client", demanding(), {})
            assert.equal(FAILED, server)
            _, server = named(version, with "client", demanding(), other)
            assert.equal(FAILED, server)
            _, server = named(version, with "stranger", demanding(), other)
            assert.equal("ok", server)
            _, server = named(version, with "stranger", demanding(), demanding())
            assert.equal(FAILED, server)
        end)
    end)

    -- ---- other programs ----

    it("is refused by another program, and refuses it", function()
        local p = peer.spawn({
            "openssl",
            "s_server",
            "-no_ticket",
            "-accept",
            "127.0.0.1:0",
            "-naccept",
            "3",
            "-cert",
            luasec.path "a.pem",
            "-CAfile",
            luasec.path "ca.crt",
            "-Verify",
            "1",
            "-verify_return_error",
            "-rev",
        }, true)
        local port = tonumber(p:await("ACCEPT"):match ":(%d+)$")
        local function connect(parameters)
            local s = assert(socket.connect("127.0.0.1", port))
            s = assert(ssl.wrap(s, luasec.client(parameters)))
            s:settimeout(10)
            return s, s:dohandshake()
        end
        local s, ok, err = connect(with("client", { verify = "peer", cafile = "ca.crt" }))
        assert.is_true(ok, err)
        s:send "abc\n"
        assert.equal("cba", s:receive())
        s:close()
        s, ok = connect(with("stranger", { verify = "peer", cafile = "ca.crt" }))
        assert.is_true(ok)
        err = select(2, s:receive())
        assert(err:find("unknown ca", 1, true), err)
        s:close()
        s, ok, err = connect(with("client", { verify = "peer", cafile = "other.crt" }))
        assert.is_false(ok)
        assert.equal(FAILED, err)
        s:close()
        p:kill()
    end)

    it("checks the certificate of another program", function()
        local listener = assert(socket.bind("127.0.0.1", 0))
        listener:settimeout(10)
        local _, port = listener:getsockname()
        local ctx = assert(ssl.newcontext(luasec.server(demanding())))
        for _, name in ipairs { "client", "stranger" } do
            local p = t.python(
                [[
                import ssl
                c = ssl.create_default_context(cafile=argv[1] + "ca.crt")
                c.load_cert_chain(argv[1] + argv[2] + ".crt", argv[1] + argv[2] + ".key")
                s = c.wrap_socket(connect(argv[0]), server_hostname="a.test")
                try: say(s.recv(100).decode())
                except ssl.SSLError as e: say(e.reason)
                ]],
                math.floor(port),
                luasec.path "",
                name
            )
            local s = assert(ssl.wrap(assert(listener:accept()), ctx))
            s:settimeout(10)
            local ok, err = s:dohandshake()
            if name == "client" then
                assert.is_true(ok, err)
                assert.equal("CN=client", luasec.name(s:getpeercertificate()))
                s:send "welcome"
                assert.equal("welcome", p:line())
            else
                assert.is_false(ok)
                assert.equal(FAILED, err)
                assert.equal("TLSV1_ALERT_UNKNOWN_CA", p:line())
            end
            s:close()
            p:finish()
        end
        listener:close()
    end)

    if not kind.is_real then -- of which the name's own demand is not heard
        it("hears the demand of a name", function()
            each_version(function(version)
                local _, server = named(version, {}, {}, demanding())
                assert.equal(NO_CERTIFICATE, server)
                _, server = named(version, with "client", {}, demanding())
                assert.equal("ok", server)
                _, server = named(version, with "stranger", {}, demanding())
                assert.equal(FAILED, server)
            end)
        end)
    end
end)
