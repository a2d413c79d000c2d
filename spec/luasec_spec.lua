-- Connections of LuaSec: wrap, handshakes of each kind, and what a connection tells of itself.

local t = require "support.t"
local luasec = require "support.luasec"

local CONNECTION = "^SSL connection: 0?x?%x+$"

-- The results of a call, which must be these and no more.
local function gives(expected, ...)
    assert.same(t.pack((table.unpack or _G.unpack)(expected, 1, expected.n or #expected)), t.pack(...))
end

local function closed(...)
    for i = 1, select("#", ...) do
        local s = select(i, ...)
        s:close()
    end
end

-- The bytes with which a client begins, and the client.
local function hello(socket, ssl)
    local a, b = luasec.sockets(socket)
    local client = assert(ssl.wrap(a, luasec.client()))
    client:settimeout(0)
    gives({ false, "wantread" }, client:dohandshake())
    b:settimeout(0)
    local _, _, bytes = b:receive(65536)
    b:settimeout(10)
    return client, b, bytes
end

-- Takes what has come from one socket to the other, a byte at a time, with f called after each.
local function trickle(from, to, f)
    local byte = from:receive(1)
    while byte do
        assert(to:send(byte))
        f()
        byte = from:receive(1)
    end
end

luasec.each("ssl.wrap", function(socket, ssl, kind)
    it("takes the socket over", function()
        local a, b = luasec.sockets(socket)
        local fd = a:getfd()
        local s = assert(ssl.wrap(a, luasec.client()))
        assert.equal(fd, s:getfd())
        assert.equal(-1, a:getfd())
        gives({ nil, "closed", 0, n = 3 }, a:send "x")
        a:close()
        a = nil
        t.collect()
        assert.is_nil(a)
        s:settimeout(0)
        gives({ false, "wantread" }, s:dohandshake()) -- the descriptor is open
        closed(s, b)
    end)

    it("takes over a socket that has been in use", function()
        local a, b = luasec.sockets(socket)
        a:send "STARTTLS\r\n"
        assert.equal("STARTTLS", b:receive())
        b:send "220 go on\r\n"
        assert.equal("220 go on", a:receive())
        a, b = assert(ssl.wrap(a, luasec.client())), assert(ssl.wrap(b, luasec.server()))
        local first, second = luasec.handshakes(socket, a, b)
        assert.is_true(first[1] and second[1])
        local received, sent = a:getstats() -- of the connection alone
        assert.equal(0, received)
        assert.equal(0, sent)
        a:send "x\n"
        assert.equal("x", b:receive())
        closed(a, b)
    end)

    it("takes parameters or a context, which may serve again", function()
        local client, server = assert(ssl.newcontext(luasec.client())), assert(ssl.newcontext(luasec.server()))
        for _ = 1, 2 do
            closed(luasec.pair(socket, ssl, client, server))
            closed(luasec.pair(socket, ssl, client, luasec.server()))
        end
    end)

    it("keeps the context that only the connection needs", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client { alpn = { "x" } }, luasec.server { alpn = { "x" } })
        t.collect()
        local first, second = luasec.handshakes(socket, a, b)
        assert.is_true(first[1] and second[1])
        assert.equal("x", a:getalpn())
        closed(a, b)
    end)

    it("leaves the socket alone when the parameters are wrong", function()
        local a, b = luasec.sockets(socket)
        local fd = a:getfd()
        gives({ nil, "invalid protocol (foo)", n = 2 }, ssl.wrap(a, { mode = "client", protocol = "foo" }))
        local s, err = ssl.wrap(a, { mode = "foo", protocol = "any" })
        assert.is_nil(s)
        assert.matches("^invalid mode", err)
        for _, wrong in ipairs { "any", 5, true, { n = 0 } } do
            assert.is_false(pcall(ssl.wrap, a, wrong))
        end
        assert.is_false(pcall(ssl.wrap, a))
        assert.is_false(pcall(ssl.wrap, a, a))
        assert.equal(fd, a:getfd())
        assert.equal(1, a:send "x")
        assert.equal("x", b:receive(1))
        closed(a, b)
    end)

    it("takes over whatever has getfd and setfd", function()
        local a, b = luasec.sockets(socket)
        local given = {}
        local other = {}
        function other.getfd(self)
            assert.equal(other, self)
            return a:getfd()
        end
        function other.setfd(self, fd)
            assert.equal(other, self)
            given[#given + 1] = fd
            return a:setfd(fd)
        end
        local s = assert(ssl.wrap(other, luasec.client()))
        assert.same({ -1 }, given)
        assert.equal(-1, a:getfd())
        local server = assert(ssl.wrap(b, luasec.server()))
        local first, second = luasec.handshakes(socket, s, server)
        assert.is_true(first[1] and second[1])
        closed(s, server)
    end)

    it("takes a Unix socket", function()
        local unix = kind.is_real and require "socket.unix" or require "ssocket.luasocket.unix"
        local listener = unix.stream()
        local path = require("support.place").tmpdir() .. "/s"
        assert(listener:bind(path))
        assert(listener:listen())
        local a = unix.stream()
        assert(a:connect(path))
        local b = assert(listener:accept())
        listener:close()
        local client, server = assert(ssl.wrap(a, luasec.client())), assert(ssl.wrap(b, luasec.server()))
        local first, second = luasec.handshakes(socket, client, server)
        assert.is_true(first[1] and second[1])
        client:send "over a path\n"
        assert.equal("over a path", server:receive())
        closed(client, server)
    end)

    it("shows what it is", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        assert.matches(CONNECTION, tostring(a))
        a:close()
        assert.matches("^SSL connection: 0?x?%x+ %(closed%)$", tostring(a))
        b:close()
    end)

    it("has the methods of LuaSec where others look for them", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        local methods = getmetatable(a).__index
        for _, name in ipairs {
            "close",
            "dirty",
            "dohandshake",
            "exportkeyingmaterial",
            "getalpn",
            "getfd",
            "getfinished",
            "getpeercertificate",
            "getpeerchain",
            "getpeerfinished",
            "getpeerverification",
            "getsniname",
            "getstats",
            "info",
            "receive",
            "send",
            "setstats",
            "settimeout",
            "sni",
            "want",
        } do
            assert.equal("function", type(methods[name]), name)
            assert.is_false(pcall(methods[name]), name)
            assert.is_false(pcall(methods[name], {}), name)
        end
        closed(a, b)
    end)

    it("gives the descriptor back when nobody needs the connection", function()
        local before = t.fds()
        local a, b = luasec.sockets(socket)
        assert.equal(before + 2, t.fds())
        assert(ssl.wrap(a, luasec.client()))
        assert(ssl.wrap(b, luasec.server()))
        a, b = nil, nil
        t.collect()
        t.collect()
        assert.is_nil(a or b)
        assert.equal(before, t.fds())
    end)

    it("is collected quietly, with the socket of another object", function()
        local before = t.fds()
        for _ = 1, 3 do
            local a, b = luasec.sockets(socket)
            local other = {}
            function other.getfd()
                return a:getfd()
            end
            function other.setfd(_, fd)
                return a:setfd(fd)
            end
            local client, server = assert(ssl.wrap(other, luasec.client())), assert(ssl.wrap(b, luasec.server()))
            luasec.handshakes(socket, client, server)
        end
        t.collect()
        t.collect()
        assert.equal(before, t.fds())
    end)

    -- ---- handshakes ----

    it("tells where a handshake waits", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        a:settimeout(0)
        b:settimeout(0)
        assert.equal("nothing", a:want())
        gives({ false, "wantread" }, b:dohandshake())
        assert.equal("read", b:want())
        gives({ false, "wantread" }, a:dohandshake())
        assert.equal("read", a:want())
        local first, second = luasec.handshakes(socket, a, b)
        gives({ true }, first[1])
        gives({ true }, second[1])
        gives({ true }, a:dohandshake()) -- again
        assert.equal("nothing", a:want())
        closed(a, b)
    end)

    it("shakes hands in one call with another program, as a client", function()
        local s, p = luasec.with_python(
            socket,
            [[
            s = server_context(argv[0] + "/a.pem").wrap_socket(s, server_side=True)
            say(s.version()); s.sendall(b"hello\n"); say(s.recv(3).decode()); s.unwrap()
            ]],
            luasec.path ""
        )
        s = assert(ssl.wrap(s, luasec.client()))
        s:settimeout(10)
        gives({ true }, s:dohandshake())
        assert.equal("TLSv1.3", p:line())
        assert.equal("hello", s:receive())
        assert.equal(3, s:send "abc")
        assert.equal("abc", p:line())
        gives({ nil, "closed", "", n = 3 }, s:receive())
        s:close()
        p:finish()
    end)

    it("shakes hands in one call with another program, as a server", function()
        local s, p = luasec.with_python(
            socket,
            [[
            s = client_context(argv[0] + "/ca.crt").wrap_socket(s, server_hostname="a.test")
            say(s.version()); s.sendall(b"hello\n"); say(s.recv(3).decode()); s.unwrap()
            ]],
            luasec.path ""
        )
        s = assert(ssl.wrap(s, luasec.server()))
        s:settimeout(10)
        gives({ true }, s:dohandshake())
        assert.equal("TLSv1.3", p:line())
        assert.equal("hello", s:receive())
        assert.equal(3, s:send "abc")
        assert.equal("abc", p:line())
        gives({ nil, "closed", "", n = 3 }, s:receive())
        assert.equal("a.test", s:getsniname())
        s:close()
        p:finish()
    end)

    it("takes bytes as they come, one at a time", function()
        local a, x = luasec.sockets(socket)
        local y, b = luasec.sockets(socket)
        local client, server = assert(ssl.wrap(a, luasec.client())), assert(ssl.wrap(b, luasec.server()))
        for _, s in ipairs { client, server, x, y } do
            s:settimeout(0)
        end
        local ended = {}
        local function shake(s)
            return function()
                local ok, err = s:dohandshake()
                assert(ok or err == "wantread", err)
                ended[s] = ok
            end
        end
        shake(client)()
        local deadline = t.now() + 10
        while not (ended[client] and ended[server]) do
            trickle(x, y, shake(server))
            trickle(y, x, shake(client))
            assert(t.now() < deadline)
        end
        client:send "one\n"
        local got = ""
        trickle(x, y, function()
            local line, _, partial = server:receive("*l", got)
            got = line or partial
        end)
        assert.equal("one", got)
        closed(client, server, x, y)
    end)

    it("does not keep select awake with half a greeting", function()
        local client, raw, bytes = hello(socket, ssl)
        local a, b = luasec.sockets(socket)
        local server = assert(ssl.wrap(b, luasec.server()))
        server:settimeout(0)
        for _, piece in ipairs { bytes:sub(1, 3), bytes:sub(4, 100) } do
            a:send(piece)
            assert.equal(server, socket.select({ server }, nil, 10)[1])
            gives({ false, "wantread" }, server:dohandshake())
            assert.is_false(server:dirty())
            local readable, _, err = socket.select({ server }, nil, 0.02)
            assert.same({}, readable)
            assert.equal("timeout", err)
        end
        a:send(bytes:sub(101))
        assert.equal(server, socket.select({ server }, nil, 10)[1])
        gives({ false, "wantread" }, server:dohandshake())
        assert.equal("\22", a:receive(1)) -- it has answered
        closed(client, raw, a, server)
    end)

    it("waits as long as a time-out says, and goes on after it", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        for _, mode in ipairs { "b", "t" } do
            assert.equal(1, a:settimeout(-1, "b"))
            assert.equal(1, a:settimeout(0.05, mode))
            gives({ false, "wantread" }, t.takes(0.045, a.dohandshake, a))
        end
        a:settimeout(nil, "t")
        local first, second = luasec.handshakes(socket, a, b)
        assert.is_true(first[1] and second[1])
        closed(a, b)
    end)

    it("waits no longer for a peer that sends a byte now and then", function()
        local s, p = luasec.with_python(
            socket,
            [[
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            data = bytes([22, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xfb, 3, 3]) + bytes(16000)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(data)): s.send(data[i:i + 1]); time.sleep(0.005)
            ]]
        )
        s = assert(ssl.wrap(s, luasec.client()))
        s:settimeout(0.15)
        gives({ false, "wantread" }, t.takes(0.145, s.dohandshake, s))
        s:close()
        p:kill()
    end)

    it("tells of a peer that goes away before the end", function()
        local client, raw = hello(socket, ssl)
        raw:close()
        client:settimeout(10)
        local ok, err = client:dohandshake()
        assert.is_false(ok)
        assert(err == "closed" or err == "unexpected eof while reading", err)
        gives({ nil, "closed", 0, n = 3 }, client:send "x")
        gives({ nil, "closed", "", n = 3 }, client:receive())
        client:close()
    end)

    it("tells of a peer that speaks something else", function()
        local client, raw = hello(socket, ssl)
        raw:send "220 mail.test ESMTP ready\r\n"
        client:settimeout(10)
        local ok, err = client:dohandshake()
        assert.is_false(ok)
        assert(err == "wrong version number" or err == "packet length too long", err)
        closed(client, raw)

        local a, b = luasec.sockets(socket)
        local server = assert(ssl.wrap(b, luasec.server()))
        server:settimeout(10)
        a:send "GET / HTTP/1.0\r\n\r\n"
        gives({ false, "http request" }, server:dohandshake())
        closed(a, server)
    end)

    it("tells of a socket that was closed before", function()
        local a, b = luasec.sockets(socket)
        a:close()
        local s = assert(ssl.wrap(a, luasec.client()))
        assert.equal(-1, s:getfd())
        local ok, err = s:dohandshake()
        assert.is_false(ok)
        assert.is_string(err)
        closed(s, b)
    end)

    -- ---- what it tells ----

    it("tells of the cipher", function()
        local a, b = luasec.pair(socket, ssl)
        local info = {
            algbits = 256,
            authentication = "any",
            bits = 256,
            cipher = "TLS_AES_256_GCM_SHA384",
            encryption = "AESGCM(256)",
            export = false,
            key = "any",
            mac = "AEAD",
            protocol = "TLSv1.3",
        }
        assert.same(info, a:info())
        assert.same(info, b:info())
        for field, value in pairs(info) do
            gives({ value }, a:info(field))
        end
        gives({ nil, n = 1 }, a:info "compression")
        gives({ nil, n = 1 }, a:info "other")
        closed(a, b)
    end)

    it("tells of the cipher of TLS 1.2", function()
        local client = luasec.client { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES128-SHA256" }
        local a, b = luasec.pair(socket, ssl, client)
        assert.same({
            algbits = 128,
            authentication = "ECDSA",
            bits = 128,
            cipher = "ECDHE-ECDSA-AES128-SHA256",
            encryption = "AES(128)",
            export = false,
            key = "ECDH",
            mac = "SHA256",
            protocol = "TLSv1.2",
        }, a:info())
        closed(a, b)
    end)

    it("has nothing to tell before its handshake and after its end", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        local function silent()
            gives({ nil, "closed", n = 2 }, a:info())
            gives({ nil, "closed", n = 2 }, a:info "cipher")
            gives({ nil, "closed", n = 2 }, a:info "compression")
            gives({ nil, "closed", n = 2 }, a:getpeercertificate())
            gives({ nil, "closed", n = 2 }, a:getpeerchain())
            gives({ false, "closed" }, a:getpeerverification())
            gives({ nil, "closed", n = 2 }, a:getfinished())
            assert.is_nil((a:getpeerfinished()))
            assert.is_false(a:dirty())
            gives({ nil, "closed", 0, n = 3 }, a:send "x")
            gives({ nil, "closed", "", n = 3 }, a:receive())
            gives({ nil, "closed", "", n = 3 }, a:receive "*a")
            gives({ nil, "closed", "pre", n = 3 }, a:receive(5, "pre"))
            assert.equal("nothing", a:want())
        end
        silent()
        luasec.handshakes(socket, a, b)
        gives({ n = 0 }, a:close())
        silent()
        gives({ n = 0 }, a:close())
        assert.equal(-1, a:getfd())
        b:close()
    end)

    if not kind.is_real then -- which crashes, or closes a descriptor of somebody else
        it("wants something that has a descriptor", function()
            for _, wrong in ipairs { 5, "x", {}, true } do
                assert.is_false(pcall(ssl.wrap, wrong, luasec.client()))
            end
            assert.is_false(pcall(ssl.wrap, nil, luasec.client()))
        end)

        it("outlives calls after its end", function()
            local a, b = luasec.pair(socket, ssl)
            closed(a, b)
            gives({ false, "closed" }, a:dohandshake())
            assert.is_nil((a:getalpn()))
            assert.is_nil((a:getsniname()))
            pcall(a.sni, a, "a.test")
            pcall(b.sni, b, {})
        end)

        it("has no certificates of a client that sent none", function()
            local a, b = luasec.pair(socket, ssl)
            assert.same({}, b:getpeerchain())
            closed(a, b)
        end)
    end

    it("knows the peer's certificates", function()
        local a, b = luasec.pair(socket, ssl)
        assert.equal("CN=a", luasec.name(a:getpeercertificate()))
        assert.equal("CN=a", luasec.name(a:getpeercertificate(1)))
        gives({ nil, n = 1 }, a:getpeercertificate(2))
        gives({ nil, "invalid certificate index", n = 2 }, a:getpeercertificate(0))
        gives({ nil, "invalid certificate index", n = 2 }, a:getpeercertificate(-1))
        assert.is_false(pcall(a.getpeercertificate, a, "first"))
        gives({ nil, n = 1 }, b:getpeercertificate())
        local chain = a:getpeerchain()
        assert.equal(1, #chain)
        closed(a, b)
        assert.equal("CN=a", luasec.name(chain[1])) -- outlives the connection
    end)

    it("knows what both have said last in the handshake", function()
        for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
            local a, b = luasec.pair(socket, ssl, luasec.client { protocol = protocol })
            local ours, theirs = a:getfinished(), a:getpeerfinished()
            assert.is_true(#ours >= 12)
            assert.equal(ours, b:getpeerfinished())
            assert.equal(theirs, b:getfinished())
            assert.not_equal(ours, theirs)
            closed(a, b)
        end
    end)

    it("makes the same keys of a label at both ends", function()
        local a, b = luasec.pair(socket, ssl)
        local key = a:exportkeyingmaterial("EXPORTER-Channel-Binding", 32, "")
        assert.equal(32, #key)
        assert.equal(key, b:exportkeyingmaterial("EXPORTER-Channel-Binding", 32, ""))
        assert.equal(a:exportkeyingmaterial("EXPORTER-x", 16), b:exportkeyingmaterial("EXPORTER-x", 16))
        assert.not_equal(key, a:exportkeyingmaterial("EXPORTER-Other", 32, ""))
        closed(a, b)
    end)
end)
