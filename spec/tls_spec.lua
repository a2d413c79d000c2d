-- ssocket.tls: handshakes, verification, reading and writing, ends, and what may go wrong, with itself and with other
-- programs.

local t = require "support.t"
local tasks = require "support.tasks"
local support = require "support.tls"

local socket = t.socket

if not support.is_built() then
    describe("ssocket.tls", function()
        pending "is not built: OpenSSL is missing"
    end)
    return
end

local tls = require "ssocket.tls"

local function is_closed(s)
    assert.equal(-1, s:fileno())
end

-- The results of a failed handshake; the socket is closed, and never plain again.
local function is_refused(err, reason, s, results)
    assert.is_nil(results[1])
    assert.equal(err, results[2])
    if reason then
        assert.is_string(results[3])
        assert.is_truthy(results[3]:find(reason, 1, true), results[3])
    end
    is_closed(s)
    t.fails(socket.ERROR_CLOSED, 0, s:write "plain")
end

describe("ssocket.tls", function()
    tasks.guard()
    support.certificates()

    it("has eight functions, five errors and a version", function()
        for _, name in ipairs { "binding", "client", "connect", "context", "export", "hello", "info", "server" } do
            assert.is_function(tls[name], name)
        end
        assert.equal("Certificate verify failed", tls.ERROR_CERTIFICATE)
        assert.equal("TLS alert received", tls.ERROR_ALERT)
        assert.equal("TLS protocol error", tls.ERROR_PROTOCOL)
        assert.equal("TLS stream truncated", tls.ERROR_EOF)
        assert.equal("TLS handshake not finished", tls.ERROR_HANDSHAKE)
        assert.is_truthy(tls._OPENSSL:find "^OpenSSL %d")
    end)

    describe("a client", function()
        local function server_of(cert)
            return support.with_python(
                [[
                c = server_context(argv[0])
                try:
                    s = c.wrap_socket(s, server_side=True)
                    s.sendall(b"hello")
                    say(s.recv(100).decode())
                except (ssl.SSLError, OSError) as e:
                    say("failed", getattr(e, "reason", None))
            ]],
                support.path(cert)
            )
        end

        it("verifies chain and name, and then reads and writes", function()
            local s, p = server_of "a.pem"
            assert.is_true(tls.client(s, "a.test", support.context { ca = "ca.pem" }))
            assert.equal("hello", s:read(5))
            assert.equal(3, s:write "bye")
            assert.equal("bye", p:line())
            assert.equal(1, s:close())
            p:finish()
        end)

        it("matches wildcards and addresses", function()
            for _, name in ipairs { "x.wild.test", "A.Test", "a.test.", "127.0.0.1", "::1" } do
                local s, p = server_of "a.pem"
                local ok, err, reason = tls.client(s, name, support.context { ca = "ca.pem" })
                assert.is_true(ok, name .. ": " .. tostring(err) .. " " .. tostring(reason))
                assert.equal("hello", s:read(5))
                s:close()
                p:finish()
            end
        end)

        local function refuses(cert, name, options, reason)
            local s, p = server_of(cert)
            local results = t.pack(tls.client(s, name, support.context(options)))
            is_refused(tls.ERROR_CERTIFICATE, reason, s, results)
            assert.is_truthy(p:line():find "^failed")
            p:finish()
        end

        it("refuses another name", function()
            refuses("a.pem", "b.test", { ca = "ca.pem" }, "hostname mismatch (depth 0)")
            refuses("a.pem", "x.y.wild.test", { ca = "ca.pem" }, "hostname mismatch (depth 0)")
            refuses("a.pem", "127.0.0.2", { ca = "ca.pem" }, "IP address mismatch (depth 0)")
        end)

        it("refuses a certificate that nobody has signed, or another authority", function()
            refuses("self.pem", "a.test", { ca = "ca.pem" }, "self-signed certificate (depth 0)")
            refuses("a.pem", "a.test", { ca = "other.pem" }, "(depth 0)")
            refuses("a.pem", "a.test", {}, "(depth 0)")
        end)

        it("refuses an expired certificate", function()
            refuses("expired.pem", "a.test", { ca = "ca.pem" }, "certificate has expired (depth 0)")
        end)

        it("without a context trusts the system's authorities alone", function()
            local s, p = server_of "self.pem"
            local results = t.pack(tls.client(s, "a.test"))
            is_refused(tls.ERROR_CERTIFICATE, "self-signed certificate", s, results)
            p:finish()
        end)

        it("looks for the system's authorities again when there were none", function()
            tasks.alone_fine(
                ([[
                local tls, ca, cert, path = require "ssocket.tls", %q, %q, %q
                sys.setenv("SSL_CERT_DIR", nil)
                sys.setenv("SSL_CERT_FILE", path)
                local server = assert(tls.context { cert = cert })
                local function shake_hands()
                    local a, b = socket.pair()
                    a:settimeout(10)
                    b:settimeout(10)
                    local task = spawn(tls.server, b, server)
                    local ok, err = tls.client(a, "a.test")
                    task:wait(10)
                    return ok, err
                end
                for _ = 1, 2 do
                    local ok, err = shake_hands()
                    assert(not ok and err == tls.ERROR_CERTIFICATE, err)
                end
                local file = assert(io.open(path, "wb"))
                file:write(ca)
                file:close()
                assert(shake_hands())
                os.remove(path)
                assert(shake_hands())
            ]]):format(support.text "ca.pem", support.path "a.pem", support.path "later.pem"),
                20
            )
        end)

        it("trusts a certificate that is given as authority, or any where asked to", function()
            for _, options in ipairs { { ca = "self.crt" }, { verify = false } } do
                local s, p = server_of "self.pem"
                assert.is_true(tls.client(s, "a.test", support.context(options)))
                assert.equal(options.verify == nil, tls.info(s).verified)
                assert.equal("hello", s:read(5))
                s:close()
                p:finish()
            end
        end)

        it("ends at its timeout with a silent server, and closes the socket", function()
            local s, p = support.with_python "s.recv(100000); hear()"
            s:settimeout(0.3)
            local results = t.pack(t.takes(0.3, tls.client, s, "a.test", support.context { ca = "ca.pem" }))
            is_refused(socket.ERROR_TIMEOUT, nil, s, results)
            p:say ""
            p:finish()
        end)

        it("fails as truncated when the peer ends it in good order", function()
            local user_canceled, close_notify = "\21\3\3\0\2\1\90", "\21\3\3\0\2\1\0"
            for _, bytes in ipairs { close_notify, user_canceled .. close_notify } do
                local a, b = assert(socket.pair())
                a:settimeout(10)
                b:write(bytes)
                is_refused(tls.ERROR_EOF, "close_notify", a, t.pack(tls.client(a, "a.test")))
                b:close()
            end
        end)

        it("ends with a server that speaks something else, or goes away", function()
            local s, p = support.with_python 's.sendall(b"220 mail.test ready\\r\\n"); s.recv(1000)'
            local results = t.pack(tls.client(s, "a.test", support.context { ca = "ca.pem" }))
            is_refused(tls.ERROR_PROTOCOL, "wrong version number", s, results)
            p:finish()
            s, p = support.with_python "s.recv(1000); s.close()"
            results = t.pack(tls.client(s, "a.test", support.context { ca = "ca.pem" }))
            is_refused(tls.ERROR_EOF, "close_notify", s, results)
            p:finish()
        end)
    end)

    describe("tls.connect", function()
        it("connects, shakes hands and returns the socket", function()
            local p = support.python(
                [[
                s = server_context(argv[0]).wrap_socket(accept(), server_side=True)
                s.sendall(b"x" * 10); s.unwrap()
            ]],
                support.path "a.pem"
            )
            local s = assert(tls.connect("127.0.0.1", p:number(), support.context { ca = "ca.pem" }, 10))
            assert.equal(10, s:gettimeout())
            assert.equal(("x"):rep(10), s:readall())
            s:close()
            p:finish()
        end)

        it("has one timeout for all", function()
            local listener, address = t.listener()
            local ctx = support.context { ca = "ca.pem" }
            t.fails(socket.ERROR_TIMEOUT, nil, t.takes(0.3, tls.connect, "127.0.0.1", address[2], ctx, 0.3))
            listener:close()
            local s, err = tls.connect("127.0.0.1", address[2], ctx, 5)
            assert.is_nil(s)
            assert.equal(socket.ERROR_REFUSED, err)
        end)

        it("names a wrong argument", function()
            assert.is_truthy(t.rejects(tls.connect, "", 1):find "'connect'")
            t.rejects(tls.connect, "a\0b", 1)
            t.rejects(tls.connect, "a", {})
            local here = debug.getinfo(1, "S").short_src
            for _, port in ipairs { "http", -1, 1.5 } do
                local err = t.rejects(function()
                    local s = tls.connect("a", port)
                    return s
                end)
                assert.equal(here, err:match "^(.-):%d+: bad argument #2 to 'connect'")
            end
            t.rejects(tls.connect, "a", 65536)
            t.rejects(tls.connect, "a", 1, {})
            t.rejects(tls.connect, "a", 1, nil, "soon")
        end)
    end)

    describe("a server", function()
        it("serves Python and openssl s_client", function()
            local listener, address = t.listener()
            local p = support.python(
                [[
                c = client_context(argv[1])
                s = c.wrap_socket(connect(argv[0]), server_hostname="a.test")
                s.sendall(b"ping"); say(take(s, 4).decode(), s.version())
            ]],
                address[2],
                support.path "ca.pem"
            )
            local s = assert(listener:accept())
            s:settimeout(10)
            assert.is_true(tls.server(s, support.context { cert = "a.pem" }))
            assert.equal("ping", s:read(4))
            s:write "pong"
            assert.equal("pong TLSv1.3", p:line())
            s:close()
            p:finish()
            p = t.spawn({
                "openssl",
                "s_client",
                "-connect",
                "127.0.0.1:" .. address[2],
                "-CAfile",
                support.path "ca.pem",
                "-verify_return_error",
                "-quiet",
                "-tls1_2",
                "-servername",
                "a.test",
            }, true)
            s = assert(listener:accept())
            s:settimeout(10)
            assert.is_true(tls.server(s, support.context { cert = "a.pem" }))
            assert.equal("TLSv1.2", tls.info(s).version)
            assert.equal("a.test", tls.info(s).name)
            p:say "a line"
            assert.equal("a line\n", s:read(7))
            s:write "an answer\n"
            p:await "an answer"
            s:close()
            p:kill()
            listener:close()
        end)

        it("is told by the client that it is not trusted", function()
            local listener, address = t.listener()
            local p = support.python(
                [[
                try: client_context(argv[1]).wrap_socket(connect(argv[0]), server_hostname="a.test")
                except ssl.SSLError as e: say(e.reason)
            ]],
                address[2],
                support.path "other.pem"
            )
            local s = assert(listener:accept())
            s:settimeout(10)
            local results = t.pack(tls.server(s, support.context { cert = "a.pem" }))
            is_refused(tls.ERROR_ALERT, "unknown_ca", s, results)
            p:finish()
            listener:close()
        end)

        it("ends at its timeout with a silent client", function()
            local a, b = assert(socket.pair())
            a:settimeout(0.2)
            local results = t.pack(t.takes(0.2, tls.server, a, support.context { cert = "a.pem" }))
            is_refused(socket.ERROR_TIMEOUT, nil, a, results)
            b:settimeout(5)
            assert.equal("", b:readall())
            b:close()
        end)

        it("needs a context with a certificate", function()
            local a, b = assert(socket.pair())
            assert.is_truthy(t.rejects(tls.server, a, support.context()):find "certificate")
            t.rejects(tls.server, a)
            t.rejects(tls.server, a, {})
            a:write "still plain"
            b:settimeout(5)
            assert.equal("still plain", b:read(11))
            a:close()
            b:close()
        end)

        local function with_clients(client_options, server_options)
            local a, b = assert(socket.pair())
            local client, server =
                support.shake(a, b, support.context(client_options), support.context(server_options))
            return a, b, client, server
        end

        it("asks for a certificate of the client, and refuses those without", function()
            local wants = { cert = "a.pem", client_ca = "ca.pem" }
            local a, b, client, server = with_clients({ ca = "ca.pem", cert = "client.pem" }, wants)
            assert.is_true(client[1])
            assert.is_true(server[1])
            assert.is_true(tls.info(b).verified)
            assert.equal("CN=client", tls.info(b).peer.subject)
            a:close()
            b:close()
            a, b, client, server = with_clients({ ca = "ca.pem" }, wants)
            is_refused(tls.ERROR_CERTIFICATE, "no certificate", b, server)
            assert.is_true(client[1]) -- in TLS 1.3 it learns of that with its first read
            t.fails(tls.ERROR_ALERT, "", a:read(1))
            assert.equal("certificate_required", tls.info(a).reason)
            t.fails(tls.ERROR_ALERT, 0, a:write "x")
            a:close()
            a, b, client, server = with_clients({ ca = "ca.pem", cert = "self.pem" }, wants)
            is_refused(tls.ERROR_CERTIFICATE, "self-signed", b, server)
            assert.is_true(client[1])
            t.fails(tls.ERROR_ALERT, "", a:read(1))
            a:close()
        end)

        it("writes to a client whose certificate is too large for a ticket", function()
            os.execute(([[cd '%s' && {
                printf 'subjectAltName=DNS:client.test'
                i=0
                while [ $i -lt 2300 ]; do printf ',DNS:name-%%06d.client.test' $i; i=$((i + 1)); done
                echo
            } >wide.ext && openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -set_serial 77 -days 3650 \
                -extfile wide.ext -out wide.crt 2>log && cat wide.crt client.key >wide.pem]]):format(support.dir))
            local a, b = support.pair(
                { ca = "ca.pem", cert = "wide.pem" },
                { cert = "a.pem", client_ca = "ca.pem" }
            )
            assert.is_true(#tls.info(b).peer.pem > 60000)
            local data = ("x"):rep(50000) -- fits into the system's buffers
            assert.equal(#data, b:write(data))
            assert.equal(data, a:read(#data))
            a:close()
            b:close()
        end)

        it("lets those without a certificate in where it is optional", function()
            local wants = { cert = "a.pem", client_ca = "ca.pem", client_optional = true }
            local a, b, client, server = with_clients({ ca = "ca.pem" }, wants)
            assert.is_true(client[1])
            assert.is_true(server[1])
            assert.is_false(tls.info(b).verified)
            assert.is_nil(tls.info(b).peer)
            a:close()
            b:close()
            a, b, client, server = with_clients({ ca = "ca.pem", cert = "self.pem" }, wants)
            is_refused(tls.ERROR_CERTIFICATE, nil, b, server)
            assert.is_true(client[1])
            a:close()
        end)

        it("chooses a protocol, or refuses", function()
            local a, b = support.pair(
                { ca = "ca.pem", alpn = { "http/1.1", "h2" } },
                { cert = "a.pem", alpn = { "h2", "http/1.1" } }
            )
            assert.equal("h2", tls.info(a).alpn)
            assert.equal("h2", tls.info(b).alpn)
            a:close()
            b:close()
            a, b = support.pair({ ca = "ca.pem" }, { cert = "a.pem", alpn = { "h2" } })
            assert.is_nil(tls.info(a).alpn)
            a:close()
            b:close()
            local client, server
            a, b, client, server = with_clients({ ca = "ca.pem", alpn = { "x" } }, { cert = "a.pem", alpn = { "y" } })
            is_refused(tls.ERROR_ALERT, "no_application_protocol", a, client)
            is_refused(tls.ERROR_PROTOCOL, nil, b, server)
        end)
    end)

    describe("a connection", function()
        it("carries much in both directions at once, in tasks", function()
            local a, b = support.pair()
            local n = math.floor(8 * 1024 * 1024 / t.slow)
            local data = t.random(n)
            local function sender(s)
                return function()
                    assert(s:write(data) == n)
                    return true
                end
            end
            local function receiver(s)
                return function()
                    return s:read(n) == data
                end
            end
            local all = {}
            for _, f in ipairs { sender(a), receiver(a), sender(b), receiver(b) } do
                all[#all + 1] = tasks.spawn(f)
            end
            for _, task in ipairs(all) do
                local ok, same = task:wait(30 * t.slow)
                assert.is_true(ok and same)
            end
            a:close()
            b:close()
        end)

        it("reads lines, arrays of strings, and nothing", function()
            local a, b = support.pair()
            assert.equal(0, a:write "")
            assert.equal(12, a:write { "one\n", "", "two", "\n", "end\n" })
            local lines = {}
            for line in b:readuntil "\n" do
                lines[#lines + 1] = line
                if #lines == 3 then
                    break
                end
            end
            assert.same({ "one", "two", "end" }, lines)
            a:close()
            b:close()
        end)

        it("is ready in select when decrypted bytes are in memory", function()
            local a, b = support.pair()
            a:write "one"
            a:write "two"
            a:write "three"
            assert.equal("o", b:read(1))
            for _, rest in ipairs { "ne", "two", "three" } do
                assert.equal(1, #socket.select({ b }, nil, 0))
                assert.equal(rest, b:read(#rest))
            end
            assert.equal(0, #(socket.select({ b }, nil, 0) or {}))
            a:close()
            b:close()
        end)

        it("tells the peer's closure from a truncation", function()
            local a, b = support.pair()
            a:write "body"
            a:close()
            assert.equal("body", b:readall())
            t.fails(socket.ERROR_CLOSED, "", b:read(1))
            b:close()
            a, b = support.pair()
            a:write "bo"
            a = nil -- luacheck: ignore
            t.collect()
            t.fails(tls.ERROR_EOF, "bo", b:readall())
            t.fails(tls.ERROR_EOF, "", b:read(1))
            t.fails(tls.ERROR_EOF, 0, b:write "x")
            assert.is_string(tls.info(b).reason)
            b:close()
        end)

        it("ends one direction", function()
            local a, b = support.pair()
            a:write "question"
            assert.is_true(a:shutdown(socket.SHUT_WR))
            t.fails(socket.ERROR_CLOSED, 0, a:write "more")
            assert.equal("question", b:readall())
            b:write "answer"
            b:close()
            assert.equal("answer", a:readall())
            a:close()
        end)

        for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
            -- Over a pair, or over TCP where two sockets are given.
            local function versioned(a, b)
                local conf = { MinProtocol = version, MaxProtocol = version }
                a, b = support.pair({ ca = "ca.pem", conf = conf }, { cert = "a.pem", conf = conf }, a, b)
                assert.equal(version, tls.info(a).version)
                return a, b
            end

            -- Until the system has ended the connection.
            local function await_disconnected(s)
                local limit = socket.now() + 10 * t.slow
                while s:getpeername() do
                    assert.is_true(socket.now() < limit)
                    socket.sleep(0.001)
                end
            end

            it("is finished with a peer that has ended and is gone, " .. version, function()
                for _, connect in ipairs { socket.pair, t.connected } do
                    for _, reads_first in ipairs { true, false } do
                        local a, b = versioned(connect())
                        assert.equal(3, a:write "all")
                        assert.equal("all", b:read(3))
                        assert.equal(5, b:write "words")
                        b:close()
                        if reads_first then
                            assert.equal("words", a:readall())
                        end
                        assert.is_true(a:finish(reads_first and 0 or 5))
                        is_closed(a)
                    end
                end
            end)

            it("is not finished with a peer that is gone without an end, " .. version, function()
                for _, connect in ipairs { socket.pair, t.connected } do
                    local a, b = versioned(connect())
                    assert.equal(5, b:write "words")
                    b = nil -- luacheck: ignore
                    t.collect()
                    t.fails(tls.ERROR_EOF, nil, a:finish())
                    is_closed(a)
                end
            end)

            it("is not finished when a write came too late for the peer, " .. version, function()
                local a, b = versioned(t.connected())
                b:close()
                t.fails(socket.ERROR_CLOSED, "", a:read(1))
                assert.equal(4, a:write "lost")
                await_disconnected(a)
                t.fails(socket.ERROR_RESET, nil, a:finish())
                is_closed(a)
            end)

            it("is not finished with a peer that has not read, " .. version, function()
                local a, b = versioned()
                local fd = b:fileno()
                assert.equal(4, a:write "lost")
                b:shutdown(socket.SHUT_WR)
                assert.equal(fd, b:fileno())
                b = nil -- luacheck: ignore
                t.collect()
                t.fails(socket.ERROR_RESET, nil, a:finish())
                is_closed(a)
            end)

            it("goes on with reading when the end of both directions times out, " .. version, function()
                local client, accepted, listener = t.narrow()
                listener:close()
                local a, b = versioned(client, accepted)
                a:settimeout(0.2)
                local _, err, sent = a:write(t.much)
                assert.equal(socket.ERROR_TIMEOUT, err)
                t.fails(socket.ERROR_TIMEOUT, nil, a:shutdown(socket.SHUT_RDWR))
                assert.equal(5, b:write "words")
                a:settimeout(20)
                assert.equal("words", a:read(5))
                local ender = tasks.spawn(a.shutdown, a, socket.SHUT_RDWR)
                assert.equal(t.much:sub(1, sent), b:readall(#t.much))
                local _, ok = ender:wait(10)
                assert.is_true(ok)
                t.fails(socket.ERROR_CLOSED, "", a:read(1))
                t.fails(socket.ERROR_CLOSED, 0, a:write "x")
                a:close()
                b:close()
            end)

            it("reads what is decrypted after the end of its input, and writes, " .. version, function()
                local a, b = versioned()
                b:write "one"
                b:write "two"
                assert.equal("o", a:read(1))
                assert.is_true(a:shutdown(socket.SHUT_RD))
                assert.equal("netwo", a:read(5))
                t.fails(socket.ERROR_CLOSED, "", a:read(1))
                assert.equal(2, a:write "on")
                assert.equal("on", b:read(2))
                a:close()
                b:close()
            end)

            it("ends each direction after the system has ended the connection, " .. version, function()
                for _, how in ipairs { socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR } do
                    local a, b = versioned(t.connected())
                    b:close()
                    t.fails(socket.ERROR_CLOSED, "", a:read(1))
                    assert.is_true(a:shutdown(socket.SHUT_WR)) -- the peer answers with a reset
                    await_disconnected(a)
                    assert.is_true(a:shutdown(how))
                    t.fails(socket.ERROR_CLOSED, "", a:read(1))
                    assert.is_true(a:finish())
                end
            end)
        end

        it("goes on after a write that timed out", function()
            local client, accepted, listener = t.narrow()
            listener:close()
            local a, b = support.pair(nil, nil, client, accepted)
            a:settimeout(0.2)
            local _, err, sent = a:write(t.much)
            assert.equal(socket.ERROR_TIMEOUT, err)
            assert.is_true(sent > 0 and sent < #t.much)
            a:settimeout(20)
            local writer = tasks.spawn(function()
                return a:write "and the rest"
            end)
            assert.equal(t.much:sub(1, sent) .. "and the rest", b:read(sent + 12))
            local _, n = writer:wait(10)
            assert.equal(12, n)
            a:close()
            b:close()
        end)

        it("does not lose what was written when it is closed at once", function()
            local client, accepted = t.connected()
            local a, b = support.pair(nil, nil, client, accepted)
            a:write(("x"):rep(20000))
            b:write "nobody reads this"
            a:close()
            assert.equal(20000, #assert(b:readall()))
            b:close()
        end)

        it("refuses detach, a second handshake, and descriptors beside its bytes", function()
            local a, b = support.pair()
            local fd, err = a:detach()
            assert.is_nil(fd)
            assert.equal("TLS is in use", err)
            t.fails(t.text "EISCONN", nil, tls.client(a, "a.test", support.context { ca = "ca.pem" }))
            t.fails(t.text "EISCONN", nil, tls.hello(b))
            t.fails(t.text "EOPNOTSUPP", 0, a:sendfd("x", 0))
            a:write "still there"
            assert.equal("still there", b:read(11))
            a:close()
            b:close()
        end)

        it("is of the process that made it", function()
            local a, b = support.pair()
            local pid = assert(t.sys.fork())
            if pid == 0 then
                t.sys.watchdog(20)
                local _, err, sent = a:write "x"
                local _, other = b:read(1)
                a:close()
                t.sys._exit(err == tls.ERROR_PROTOCOL and sent == 0 and other == err and 0 or 1)
            end
            assert.same({ "exit", 0 }, { t.sys.wait(pid, 20 * t.slow) })
            a:write "unharmed"
            assert.equal("unharmed", b:read(8))
            a:close()
            b:close()
        end)

        it("of which the handshake waits is busy", function()
            local a, b = assert(socket.pair())
            local server = tasks.spawn(tls.server, a, support.context { cert = "a.pem" })
            tasks.settle()
            t.fails(socket.ERROR_BUSY, 0, a:write "x")
            t.fails(socket.ERROR_BUSY, nil, tls.server(a, support.context { cert = "a.pem" }))
            server:cancel()
            local _, ok, err = server:wait(5)
            assert.is_nil(ok)
            assert.equal(socket.ERROR_CANCELLED, err)
            is_closed(a)
            b:close()
        end)

        it("is busy where the turn before its handshake makes another one", function()
            local c, d = assert(socket.pair())
            local client, server = support.context { ca = "ca.pem" }, support.context { cert = "a.pem" }
            local seen = {}
            for calls = 0, 80 do -- with one number of them a turn is due in the last one
                local a, b = assert(socket.pair())
                a:settimeout(10)
                b:settimeout(10)
                local peer, inner = tasks.spawn(tls.server, b, server), nil
                socket.spawn(error, "failed")
                socket.sleep(0)
                socket.onerror = function()
                    inner = t.pack(tls.client(a, "a.test", client))
                end
                t.collect()
                for _ = 1, calls do
                    c:write "x"
                end
                local outer = t.pack(tls.client(a, "a.test", client))
                assert.is_true(peer:wait(10))
                assert.is_true(inner[1] ~= outer[1], tostring(inner[2]) .. ", " .. tostring(outer[2]))
                seen[outer[2] or "ok"] = true
                b:write "x"
                assert.equal("x", a:read(1))
                assert.equal(calls, #assert(d:read(calls)))
                a:close()
                b:close()
            end
            assert.is_true(seen[socket.ERROR_BUSY])
            c:close()
            d:close()
        end)

        it("is closed by another task in its handshake", function()
            local a, b = assert(socket.pair())
            local client = tasks.spawn(tls.client, a, "a.test", support.context { ca = "ca.pem" })
            tasks.settle()
            a:close()
            local _, ok, err = client:wait(5)
            assert.is_nil(ok)
            assert.equal(socket.ERROR_CLOSED, err)
            b:close()
        end)
    end)

    describe("an upgrade", function()
        it("takes what is in the buffer for the peer's first bytes", function()
            local s, p = support.with_python(
                [[
                c = client_context(argv[0])
                i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
                tls = c.wrap_bio(i, o, server_hostname="a.test")
                def shake():
                    try: tls.do_handshake(); return True
                    except ssl.SSLWantReadError: return False
                shake()
                s.sendall(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + o.read())
                while not shake(): i.write(s.recv(65536))
                s.sendall(o.read())
                tls.write(b"after\n"); s.sendall(o.read())
                say("done"); hear()
            ]],
                support.path "ca.pem"
            )
            local lines = s:readuntil "\n"
            assert.is_truthy(lines():find "^PROXY")
            assert.is_true(tls.server(s, support.context { cert = "a.pem" }))
            assert.equal("after", lines())
            p:say ""
            s:close()
            p:finish()
        end)

        it("never takes plain bytes behind STARTTLS for data", function()
            local s, p = support.with_python [[
                s.sendall(b"STARTTLS\r\nNOOP\r\n" + b"x" * 100)
                s.recv(1000); hear()
            ]]
            assert.equal("STARTTLS\r", s:readuntil "\n"())
            local results = t.pack(tls.server(s, support.context { cert = "a.pem" }))
            is_refused(tls.ERROR_PROTOCOL, nil, s, results)
            p:say ""
            p:finish()
        end)
    end)

    describe("tls.hello", function()
        it("tells of the ClientHello and takes nothing", function()
            local a, b = assert(socket.pair())
            a:settimeout(10)
            b:settimeout(10)
            local client = tasks.spawn(
                tls.client,
                a,
                "A.test",
                support.context { ca = "ca.pem", alpn = { "h2", "x" } }
            )
            for _ = 1, 2 do
                local hello = assert(tls.hello(b))
                assert.equal("a.test", hello.name)
                assert.same({ "h2", "x" }, hello.alpn)
                table.sort(hello.versions)
                assert.same({ "TLSv1.2", "TLSv1.3" }, hello.versions)
            end
            assert.is_true(tls.server(b, support.context { cert = "a.pem" }))
            local _, ok = client:wait(10)
            assert.is_true(ok)
            a:write "x"
            assert.equal("x", b:read(1))
            a:close()
            b:close()
        end)

        it("leaves a plain client plain", function()
            local a, b = assert(socket.pair())
            a:write "GET / HTTP/1.0\r\n\r\n"
            b:settimeout(5)
            t.fails(tls.ERROR_PROTOCOL, nil, tls.hello(b))
            assert.equal("GET / HTTP/1.0\r\n\r\n", b:read(18))
            b:settimeout(0.1)
            t.fails(socket.ERROR_TIMEOUT, nil, tls.hello(b))
            a:close()
            b:close()
        end)

        local function client_hello(options)
            local c, d = assert(socket.pair())
            c:settimeout(0)
            options.ca = "ca.pem"
            t.fails(socket.ERROR_TIMEOUT, nil, tls.client(c, "a.test", support.context(options)))
            d:settimeout(5)
            local bytes = assert(d:readall())
            d:close()
            assert.is_true(#bytes > 100)
            return bytes
        end

        for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
            it("fails as truncated when the peer closes after any of its bytes, " .. version, function()
                local bytes = client_hello { conf = { MaxProtocol = version } }
                for cut = 0, #bytes do
                    local a, b = assert(socket.pair())
                    b:settimeout(10)
                    a:write(bytes:sub(1, cut))
                    a:close()
                    if cut < #bytes then
                        t.fails(tls.ERROR_EOF, nil, tls.hello(b))
                        t.fails(tls.ERROR_EOF, nil, tls.hello(b))
                    else
                        assert.equal("a.test", assert(tls.hello(b)).name)
                    end
                    assert.equal(bytes:sub(1, cut), b:readall()) -- open, plain, and nothing taken
                    b:close()
                end
            end)
        end

        it("fails as truncated when the peer closes while it waits", function()
            local a, b = assert(socket.pair())
            b:settimeout(10)
            local task = tasks.spawn(tls.hello, b)
            a:write(client_hello({}):sub(1, 50))
            tasks.settle()
            a:close()
            local _, hello, err = task:wait(10)
            assert.is_nil(hello)
            assert.equal(tls.ERROR_EOF, err)
            assert.equal(50, #b:readall())
            b:close()
        end)

        it("sees a ClientHello that comes in pieces", function()
            local a, b = assert(socket.pair())
            local bytes = client_hello {}
            b:settimeout(10)
            local task = tasks.spawn(tls.hello, b)
            for i = 1, #bytes do
                a:write(bytes:sub(i, i))
                tasks.settle()
            end
            local _, hello = task:wait(10)
            assert.equal("a.test", hello.name)
            assert.equal(bytes, b:read(#bytes))
            a:close()
            b:close()
        end)
    end)

    describe("resumption", function()
        for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
            it("of " .. version .. " is automatic for the same name, context and port", function()
                local client = support.context { ca = "ca.pem", conf = { MaxProtocol = version } }
                local server = support.context { cert = "a.pem", conf = { MinProtocol = version } }
                local resumed = {}
                for i = 1, 3 do
                    local a, b = assert(socket.pair())
                    local one, other = support.shake(a, b, client, server, i == 3 and "x.wild.test" or nil)
                    assert.is_true(one[1] and other[1])
                    assert.equal(version, tls.info(a).version)
                    b:write "x"
                    assert.equal("x", a:read(1))
                    resumed[i] = tls.info(a).resumed
                    assert.equal(resumed[i], tls.info(b).resumed)
                    assert.is_true(tls.info(a).verified)
                    assert.equal("CN=a", tls.info(a).peer.subject)
                    a:close()
                    b:close()
                end
                assert.same({ false, true, false }, resumed)
            end)
        end

        it("is not of another server context's, nor where it is off", function()
            local client = support.context { ca = "ca.pem", cert = "client.pem" }
            for _, options in ipairs {
                { cert = "a.pem" },
                { cert = "a.pem", client_ca = "ca.pem" },
                { cert = "a.pem", sessions = 0 },
            } do
                local a, b = assert(socket.pair())
                local one, other = support.shake(a, b, client, support.context(options))
                assert.is_true(one[1] and other[1])
                b:write "x"
                assert.equal("x", a:read(1))
                assert.is_false(tls.info(a).resumed)
                a:close()
                b:close()
            end
        end)

        it("works with shared ticket keys", function()
            local keys = { t.random(80), t.random(80, 2) }
            local client = support.context { ca = "ca.pem" }
            for i = 1, 3 do
                local a, b = assert(socket.pair())
                local server = support.context { cert = "a.pem", ticket_keys = keys }
                local one, other = support.shake(a, b, client, server)
                assert.is_true(one[1] and other[1])
                b:write "x"
                assert.equal("x", a:read(1))
                assert.equal(i > 1, tls.info(b).resumed)
                a:close()
                b:close()
            end
        end)

        -- Whether the next connection of `client` is resumed, which has got a ticket then if the server gives any.
        local function is_resumed(client, server)
            local a, b = assert(socket.pair())
            local one, other = support.shake(a, b, client, server)
            assert(one[1] and other[1], tostring(other[2]) .. ": " .. tostring(other[3]))
            b:write "x"
            assert.equal("x", a:read(1))
            local resumed = tls.info(b).resumed
            a:close()
            b:close()
            return resumed
        end

        it("goes on when a new ticket key comes before the old ones", function()
            local one, two, three = t.random(80), t.random(80, 2), t.random(80, 3)
            local client = support.context { ca = "ca.pem" }
            local function with(...)
                return support.context { cert = "a.pem", ticket_keys = { ... } }
            end
            assert.is_false(is_resumed(client, with(one)))
            assert.is_true(is_resumed(client, with(two, one)))
            assert.is_true(is_resumed(client, with(three, two)))
            assert.is_false(is_resumed(client, with(one)))
        end)

        it("is not of a server whose files of trust are others by now", function()
            local client = support.context { ca = "ca.pem", cert = "client.pem" }
            local keys = t.random(80)
            local function server(trusted)
                local file = assert(io.open(support.path "trusted.pem", "wb"))
                file:write(support.text(trusted))
                file:close()
                return support.context { cert = "a.pem", client_ca = "trusted.pem", ticket_keys = keys }
            end
            assert.is_false(is_resumed(client, server "ca.pem"))
            assert.is_true(is_resumed(client, server "ca.pem"))
            local a, b = assert(socket.pair())
            local _, other = support.shake(a, b, client, server "other.pem")
            is_refused(tls.ERROR_CERTIFICATE, nil, b, other)
            a:close()
        end)
    end)

    describe("tls.info", function()
        it("describes the connection and the peer's certificate", function()
            local a, b = support.pair()
            local info, other = tls.info(a), tls.info(b)
            assert.equal("TLSv1.3", info.version)
            assert.is_truthy(info.cipher:find "^TLS_")
            assert.is_string(info.group)
            assert.equal("a.test", info.name)
            assert.equal("a.test", other.name)
            assert.is_false(info.server)
            assert.is_true(other.server)
            assert.is_true(info.verified)
            assert.is_nil(info.reason)
            assert.is_nil(other.peer)
            local peer = info.peer
            assert.equal("CN=a", peer.subject)
            assert.equal("CN=ca of the specs", peer.issuer)
            assert.same({ "a.test", "*.wild.test", "127.0.0.1", "::1" }, peer.names)
            assert.is_true(peer.notbefore <= os.time() and peer.notafter > os.time() + 3000 * 86400)
            assert.equal(64, #peer.sha256:match "^[0-9a-f]+$")
            assert.is_truthy(peer.serial:find "^[0-9a-f]+$")
            assert.is_truthy(support.text("a.crt"):find(peer.pem, 1, true))
            assert.same({ peer.pem }, info.chain)
            a:close()
            assert.is_nil(tls.info(a))
            b:close()
        end)

        it("describes a certificate of which the dates are none", function()
            local path, file = support.path
            os.execute(("openssl x509 -in '%s' -outform DER -out '%s'"):format(path "a.crt", path "date.der"))
            file = assert(io.open(path "date.der", "rb"))
            local der = file:read "*a"
            file:close()
            local month = assert(der:find("\23\13%d+Z", 1)) + 4 -- UTCTime, and its 13 bytes: YYMMDDhhmmssZ
            file = assert(io.open(path "date.der", "wb"))
            file:write(der:sub(1, month - 1), "99", der:sub(month + 2))
            file:close()
            os.execute(("openssl x509 -inform DER -in '%s' -out '%s'"):format(path "date.der", path "date.crt"))
            local a, b = support.pair({ verify = false }, { cert = "date.crt", key = "a.key" })
            local peer = tls.info(a).peer
            assert.is_nil(peer.notbefore)
            assert.is_true(peer.notafter > os.time())
            assert.equal("CN=a", peer.subject)
            a:close()
            b:close()
        end)

        it("is nil for a plain socket", function()
            local a, b = assert(socket.pair())
            assert.is_nil(tls.info(a))
            a:close()
            b:close()
            t.rejects(tls.info, socket.udp())
            t.rejects(tls.info, "x")
        end)
    end)

    describe("keys of a connection", function()
        it("are the same on both sides", function()
            local a, b = support.pair()
            for _, kind in ipairs { "tls-exporter", "tls-server-end-point" } do
                assert.equal(32, #assert(tls.binding(a, kind)))
                assert.equal(tls.binding(a, kind), tls.binding(b, kind))
            end
            t.fails(t.text "EOPNOTSUPP", nil, tls.binding(a, "tls-unique"))
            t.rejects(tls.binding, a, "tls")
            t.rejects(tls.binding, a, "tls-exporter\0x")
            local long = ("c"):rep(65536)
            assert.equal(tls.export(a, "EXPERIMENTAL", 9, long), tls.export(b, "EXPERIMENTAL", 9, long))
            assert.equal(tls.export(a, "EXPERIMENTAL", 50), tls.export(b, "EXPERIMENTAL", 50))
            assert.equal(tls.export(a, "EXPERIMENTAL", 9, "c"), tls.export(b, "EXPERIMENTAL", 9, "c"))
            assert.is_true(tls.export(a, "EXPERIMENTAL", 9, "c") ~= tls.export(a, "EXPERIMENTAL", 9))
            a:close()
            b:close()
            t.fails(socket.ERROR_CLOSED, nil, tls.export(a, "EXPERIMENTAL", 50))
            a, b = support.pair(nil, { cert = "a.pem", conf = { MaxProtocol = "TLSv1.2" } })
            for _, kind in ipairs { "tls-exporter", "tls-server-end-point", "tls-unique" } do
                assert.is_string(tls.binding(a, kind))
                assert.equal(tls.binding(a, kind), tls.binding(b, kind))
            end
            t.fails(t.text "EOPNOTSUPP", nil, tls.export(a, "EXPERIMENTAL", 9, long))
            long = long:sub(2)
            assert.equal(tls.export(a, "EXPERIMENTAL", 9, long), tls.export(b, "EXPERIMENTAL", 9, long))
            a:close()
            b:close()
        end)

        it("are refused in TLS 1.2 without the extended master secret", function()
            local old = { MaxProtocol = "TLSv1.2", Options = "-ExtendedMasterSecret" }
            local a, b = support.pair({ ca = "ca.pem", conf = old }, { cert = "a.pem" })
            for _, s in ipairs { a, b } do
                t.fails(t.text "EOPNOTSUPP", nil, tls.export(s, "EXPERIMENTAL", 50))
                t.fails(t.text "EOPNOTSUPP", nil, tls.binding(s, "tls-exporter"))
                assert.equal(12, #assert(tls.binding(s, "tls-unique")))
            end
            a:close()
            b:close()
        end)

        it("are not a certificate's where a server with several has resumed", function()
            local client = support.context { ca = "ca.pem" }
            for _, names in ipairs { { "a.pem" }, { "a.pem", "rsa.pem" } } do
                local server = support.context { cert = names }
                for i = 1, 2 do
                    local a, b = assert(socket.pair())
                    local one, other = support.shake(a, b, client, server)
                    assert.is_true(one[1] and other[1])
                    assert(b:write "x")
                    assert.equal("x", a:read(1))
                    assert.equal(i == 2, tls.info(b).resumed)
                    if i == 2 and #names == 2 then
                        t.fails(t.text "EOPNOTSUPP", nil, tls.binding(b, "tls-server-end-point"))
                    else
                        local bytes = assert(tls.binding(b, "tls-server-end-point"))
                        assert.equal(bytes, tls.binding(a, "tls-server-end-point"))
                    end
                    a:close()
                    b:close()
                end
            end
        end)
    end)

    describe("tls.context", function()
        local function fails(pattern, options)
            local ctx, err = tls.context(options)
            assert.is_nil(ctx)
            assert.is_truthy(err:find(pattern), err)
        end

        it("names the option and the file of a failure", function()
            local path = support.path
            fails("^cert: /nowhere: No such file", { cert = "/nowhere" })
            fails("^ca: /nowhere: No such file", { ca = "/nowhere" })
            fails("^cert: .*no certificate", { cert = path "a.key" })
            fails("^cert: .*no private key", { cert = path "a.crt" })
            fails("^cert: .*a.der: ", { cert = path "a.der" })
            fails("^key: .*does not fit", { cert = path "a.crt", key = path "b.key" })
            fails("^key: ", { key = path "a.key" })
            fails("^cert: .*b.pem: another certificate has a key", { cert = { path "a.pem", path "b.pem" } })
            fails("^ca: .*no hashed certificates", { ca = support.dir })
            fails("^cert: .*no password", { cert = path "locked.pem" })
            fails("^cert: .*password", { cert = path "locked.pem", password = "wrong" })
            fails("^conf: Nonsense: ", { conf = { Nonsense = "1" } })
            fails("^conf: Groups: ", { conf = { Groups = "no such group" } })
            fails("^context: no version", { min = "1.3", conf = { MaxProtocol = "TLSv1.2" } })
            fails("^context: no version", { conf = { MaxProtocol = "TLSv1.1" } })
            fails("^context: no version", { conf = { MinProtocol = "TLSv1.3", MaxProtocol = "TLSv1.2" } })
            fails("^context: no version", { min = "1.3", conf = { Protocol = "-TLSv1.3" } })
            fails("^keylog: /nowhere/log: ", { keylog = "/nowhere/log" })
            os.execute("mkfifo '" .. path "fifo" .. "'")
            fails("^ca: .*fifo: ", { ca = path "fifo" })
            local reader = assert(io.open(path "fifo", "r+")) -- does not wait for a writer, and once it is gone...
            fails("^keylog: .*fifo: Invalid argument", { keylog = path "fifo" })
            reader:close()
            assert.is_truthy(tls.context { cert = path "locked.pem", password = "secret" })
        end)

        it("takes texts as well as files", function()
            local ctx = assert(tls.context {
                cert = support.text "a.crt",
                key = support.text "a.key",
                ca = { "system", support.text "ca.pem", support.path "other.pem" },
            })
            local a, b = assert(socket.pair())
            local one, other = support.shake(a, b, ctx, ctx)
            assert.is_true(one[1] and other[1])
            a:close()
            b:close()
        end)

        it("raises for misuse", function()
            for _, options in ipairs {
                { verfiy = false },
                { ["ca\0x"] = "system" },
                { min = "1.3\0x" },
                { "x" },
                { verify = 1 },
                { ca = 1 },
                { ca = {} },
                { ca = "" },
                { ca = "a\0b" },
                { alpn = { "" } },
                { alpn = { ("x"):rep(256) } },
                { min = "1.1" },
                { sessions = -1 },
                { sessions = 1.5 },
                { ticket_keys = { "short" } },
                { conf = { 1 } },
                { client_optional = true },
            } do
                t.rejects(tls.context, options)
            end
            t.rejects(tls.context, "x")
            local a, b = assert(socket.pair())
            for _, name in ipairs { "", ".", "a..b", ".a", "a b", "ä.test", "a\0" } do
                t.rejects(tls.client, a, name)
            end
            t.rejects(tls.client, a)
            t.rejects(tls.client, a, "a.test", {})
            a:close()
            b:close()
            t.fails(socket.ERROR_CLOSED, nil, tls.client(a, "a.test"))
        end)

        it("writes a key log only where asked to", function()
            local log = support.path "keys.log"
            local a, b = support.pair { ca = "ca.pem", keylog = log }
            assert.is_truthy(support.text("keys.log"):find "CLIENT_HANDSHAKE_TRAFFIC_SECRET %x+ %x+\n")
            a:close()
            b:close()
        end)

        it("allows TLS 1.3 alone", function()
            local a, b = assert(socket.pair())
            local client, server = support.shake(
                a,
                b,
                support.context { ca = "ca.pem", conf = { MaxProtocol = "TLSv1.2" } },
                support.context { cert = "a.pem", min = "1.3" }
            )
            is_refused(tls.ERROR_ALERT, "protocol_version", a, client)
            is_refused(tls.ERROR_PROTOCOL, nil, b, server)
        end)
    end)

    it("ends with the Lua state, connections and all", function()
        tasks.alone_fine(
            ([[
            local tls = require "ssocket.tls"
            local ctx = assert(tls.context { cert = %q, ca = %q })
            local a, b = socket.pair()
            local server = spawn(function() assert(tls.server(b, ctx)) end)
            assert(tls.client(a, "a.test", ctx))
            assert(server:wait(10))
            a:write "x"
            assert(b:read(1) == "x")
            _G.kept = { a, b, ctx }
        ]]):format(support.path "a.pem", support.path "ca.pem"),
            20
        )
    end)
end)
