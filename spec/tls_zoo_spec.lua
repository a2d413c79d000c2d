-- Certificates of all kinds: what our client and our server say of them, and that Python's ssl says the same. Files of
-- tls.context that are not as they should be. (Go's crypto/tls is not asked.)

local busted = require "busted"
local t = require "support.t"
local tasks = require "support.tasks"
local support = require "support.tls"
local peer = require "support.peer"

local socket = t.socket

if not support.is_built() then
    describe("ssocket.tls", function()
        pending "is not built: OpenSSL is missing"
    end)
    return
end

local tls = require "ssocket.tls"
local cases = require "support.certificate_cases"

local path = support.path

local function title(case)
    local what = case[3] == true and "is good" or "is refused: " .. case[3]
    local name = case[2] and " for " .. case[2] or ""
    local ca = case.ca and " by " .. case.ca or ""
    local crl = case.crl and " with " .. table.concat(case.crl, ", ") or ""
    return (case[1] or "none") .. name .. ca .. crl .. " " .. what
end

-- Python

local function line_of(kind, case)
    local fields = { kind, case[1] or "", case.key or "leaf.key", case.ca or "root.crt", case[2] or "" }
    return table.concat(fields, "\t") .. "\t" .. table.concat(case.crl or {}, ",")
end

-- Asks one process for all of them.
local function judge()
    local argv = { peer.python3, "-I", "-S", "spec/support/certificate_judge.py", support.dir }
    local python = peer.spawn(argv, true)
    for kind, all in pairs(cases) do
        for _, case in ipairs(all) do
            python:say(line_of(kind, case))
            case.verdict = python:line():match "([^\t]*)$"
        end
    end
    python:eof()
    python:finish()
end

-- A verification error is OpenSSL's text, in Python without a depth; for names Python has its own.
local function plain(text)
    text = text:gsub(" %(depth %d+%)$", "")
    text = text:gsub("^(Hostname mismatch), certificate is not valid for .*$", "%1")
    text = text:gsub("^(IP address mismatch), certificate is not valid for .*$", "%1")
    return text:lower()
end

local function agrees_with_python(case)
    for _, text in ipairs(case.python or { case[3] == true and "ok" or case[3] }) do
        if plain(text) == plain(case.verdict) then
            return
        end
    end
    error("Python says: " .. case.verdict, 0)
end

-- ssocket

local function paths(names)
    local all = {}
    for i, name in ipairs(names or {}) do
        all[i] = path(name)
    end
    return names and all
end

local function judging_options(case)
    return { crl = paths(case.crl), ca = case.ca or "root.crt" }
end

-- The security level is that of the side that does not judge.
local function judged_options(case, version)
    return {
        cert = case[1] or nil,
        key = case[1] and (case.key or "leaf.key") or nil,
        conf = { CipherString = "DEFAULT:@SECLEVEL=0", MaxProtocol = version },
    }
end

local function close_all(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

local function is_refused(case, s, results)
    assert.is_nil(results[1])
    assert.same({ case.err or tls.ERROR_CERTIFICATE, case[3] }, { results[2], results[3] })
    assert.equal(-1, s:fileno())
    t.fails(socket.ERROR_CLOSED, 0, s:write "plain")
end

local function is_good(judging, judged, results)
    assert.same({ true }, { results[1], results[2], results[3] })
    assert.is_true(tls.info(judging).verified)
    judged:write "x"
    assert.equal("x", judging:read(1))
end

local function judge_server(case, version)
    local a, b = assert(socket.pair())
    local judging, judged = support.context(judging_options(case)), support.context(judged_options(case, version))
    local client, server = support.shake(a, b, judging, judged, case[2])
    if case[3] == true then
        is_good(a, b, client)
        assert.is_true(server[1])
    else
        is_refused(case, a, client)
        assert.equal(tls.ERROR_ALERT, server[2])
    end
    close_all(a, b)
end

-- In TLS 1.3 the client learns of a refusal with its first read.
local function learns_of_refusal(client, s, version)
    if version == "TLSv1.2" then
        assert.equal(tls.ERROR_ALERT, client[2])
    else
        assert.is_true(client[1], client[3])
        t.fails(tls.ERROR_ALERT, "", s:read(1))
    end
end

local function judge_client(case, version)
    local judging, judged = judging_options(case), judged_options(case, version)
    judging.client_ca, judging.ca, judging.cert, judging.key = judging.ca, nil, "good.crt", "leaf.key"
    judged.ca = "root.crt"
    local a, b = assert(socket.pair())
    local client, server = support.shake(a, b, support.context(judged), support.context(judging))
    if case[3] == true then
        assert.is_true(client[1], client[3])
        is_good(b, a, server)
    else
        is_refused(case, b, server)
        learns_of_refusal(client, a, version)
    end
    close_all(a, b)
end

local GOOD = { cert = "good.crt", key = "leaf.key" }

describe("certificates", function()
    tasks.guard()
    support.certificates "certificate_zoo.sh"
    busted.lazy_setup(judge)

    local function judges(all, judge_one)
        for _, case in ipairs(all) do
            it(title(case), function()
                judge_one(case, "TLSv1.3")
                judge_one(case, "TLSv1.2")
                agrees_with_python(case)
            end)
        end
    end

    describe("of a server:", function()
        judges(cases.server, judge_server)

        it("is taken, whatever it is, by a client that does not verify, which says so", function()
            local client = support.context { verify = false, sessions = 0 }
            for _, case in ipairs(cases.server) do
                if case[3] ~= true and not case.err then
                    local a, b = assert(socket.pair())
                    local result = support.shake(a, b, client, support.context(judged_options(case)), case[2])
                    assert.is_true(result[1], result[3])
                    local info = tls.info(a)
                    assert.is_false(info.verified)
                    assert.is_truthy(support.text(case[1]):find(info.peer.pem, 1, true))
                    close_all(a, b)
                end
            end
        end)
    end)

    describe("of a client:", function()
        judges(cases.client, judge_client)

        it("that are bad are refused where they are optional, too", function()
            for _, name in ipairs { "expired.crt", "other-leaf.crt", "server-use.crt" } do
                local a, b = assert(socket.pair())
                local wants = { cert = "good.crt", key = "leaf.key", client_ca = "root.crt", client_optional = true }
                local has = { ca = "root.crt", cert = name, key = "leaf.key" }
                local _, server = support.shake(a, b, support.context(has), support.context(wants))
                assert.equal(tls.ERROR_CERTIFICATE, server[2], name)
                assert.equal(-1, b:fileno())
                a:close()
            end
        end)
    end)

    describe("names", function()
        local function names_of(cert)
            local a, b = support.pair({ verify = false }, { cert = cert, key = "leaf.key" })
            local names = tls.info(a).peer.names
            close_all(a, b)
            return names
        end

        it("in tls.info are whole, and without those that have a control byte", function()
            assert.same({ "b.test" }, names_of "nul-and-good.crt")
            assert.same({ "a.test,DNS:b.test" }, names_of "comma.crt")
            assert.same({}, names_of "nul.crt")
            assert.same({}, names_of "bytes-as-name.crt")
            assert.same({}, names_of "empty.crt")
            assert.same({}, names_of "cn-only.crt")
            assert.same({}, names_of "uri.crt")
            assert.same({ "127.0.0.1", "::1" }, names_of "address.crt")
            assert.equal(10000, #names_of "many.crt")
        end)

        it("are sent without a trailing dot and in lower case, addresses not at all", function()
            local ctx = support.context { ca = "root.crt" }
            local sent = { ["a.test."] = "a.test", ["B.Test"] = "b.test", ["127.0.0.1"] = false, ["::1"] = false }
            for name, expected in pairs(sent) do
                local a, b = assert(socket.pair())
                a:settimeout(10)
                b:settimeout(10)
                local client = tasks.spawn(tls.client, a, name, ctx)
                assert.equal(expected or nil, assert(tls.hello(b)).name)
                local hello = b:read(b:pending())
                assert.is_nil(hello:find(name, 1, true))
                b:close()
                assert(client:wait(10))
            end
        end)
    end)

    describe("in a resumed connection", function()
        -- A connection that gives the client a session; whether it was resumed itself, on both sides.
        local function connect(client, server)
            local a, b = assert(socket.pair())
            local one, other = support.shake(a, b, client, server)
            assert.same({ true, true }, { one[1], other[1] })
            b:write "x"
            assert.equal("x", a:read(1))
            local mine, its = tls.info(a), tls.info(b)
            close_all(a, b)
            return mine, its
        end

        for _, version in ipairs { "TLSv1.3", "TLSv1.2" } do
            local conf = { MaxProtocol = version }

            it("are the client's of the first one, " .. version, function()
                local has = { ca = "root.crt", cert = "client-use.crt", key = "leaf.key", conf = conf }
                local client = support.context(has)
                local server = support.context { cert = "good.crt", key = "leaf.key", client_ca = "root.crt" }
                for i = 1, 3 do
                    local mine, its = connect(client, server)
                    assert.same({ i > 1, i > 1 }, { mine.resumed, its.resumed })
                    assert.is_true(its.verified)
                    assert.equal("CN=client-use", its.peer.subject)
                end
            end)

            it("are not taken for another name, " .. version, function()
                local client = support.context { ca = "root.crt", conf = conf }
                local server = support.context(GOOD)
                assert.is_false(connect(client, server).resumed)
                local a, b = assert(socket.pair())
                local one, other = support.shake(a, b, client, server, "b.test")
                assert.same({ tls.ERROR_CERTIFICATE, "hostname mismatch (depth 0)" }, { one[2], one[3] })
                assert.equal(tls.ERROR_ALERT, other[2])
                assert.is_true(connect(client, server).resumed)
            end)
        end
    end)

    describe("files:", function()
        local function works(client, server)
            local a, b = support.pair(client, server)
            assert.is_true(tls.info(a).verified)
            close_all(a, b)
        end

        -- The error of a context with one file wrong, whose name stands in it.
        local function fails(why, option, name, others)
            local options = { [option] = path(name) }
            for other, value in pairs(others or {}) do
                options[other] = value
            end
            local ctx, err = tls.context(options)
            assert.is_nil(ctx)
            assert.equal(("%s: %s: %s"):format(option, path(name), why), err)
        end

        -- The system's text for what reading this file comes to.
        local function why_not(file)
            local f, err = io.open(file, "rb")
            if f then
                err = select(2, f:read(1))
                f:close()
            end
            return (assert(err):gsub("^.*: ", ""))
        end

        local function with_cert(password)
            return { cert = path "good.crt", password = password }
        end

        local LOCKED = "the key is encrypted, and there is no password"
        local WRONG = "the key cannot be decrypted with this password"
        local NO_CERT, NO_LIST = "no certificate (PEM) in it", "no revocation list (PEM) in it"
        local NO_KEY = "no private key (PEM) in it that OpenSSL can read"
        local NO_HASHES = "no hashed certificates in the directory (openssl rehash makes them)"

        it("an encrypted key needs its password", function()
            for _, name in ipairs { "locked.key", "locked-old.key" } do
                fails(LOCKED, "key", name, with_cert())
                for _, password in ipairs { "wrong", "", "Secret", ("x"):rep(100000) } do
                    fails(WRONG, "key", name, with_cert(password))
                end
                works({ ca = "root.crt" }, { cert = "good.crt", key = name, password = "secret" })
            end
            fails(LOCKED, "cert", "locked.pem")
            fails(WRONG, "cert", "locked.pem", { password = "wrong" })
            works({ ca = "root.crt" }, { cert = "locked.pem", password = "secret" })
            works({ ca = "root.crt" }, { cert = "good.crt", key = "leaf.key", password = "not needed" })
        end)

        it("a key has to be that of its certificate", function()
            fails("the key does not fit the certificate", "key", "other.key", with_cert())
            fails("the key does not fit the certificate", "key", "ed25519.key", with_cert())
            local certs = paths { "good.crt", "ed25519.crt" }
            assert(tls.context { cert = certs, key = paths { "leaf.key", "ed25519.key" } })
            local ctx, err = tls.context { cert = certs, key = paths { "ed25519.key", "leaf.key" } }
            assert.is_nil(ctx)
            assert.equal(("key: %s: the key does not fit the certificate"):format(path "ed25519.key"), err)
            ctx, err = tls.context { cert = paths { "good.crt", "p384.crt" }, key = paths { "leaf.key", "p384.key" } }
            assert.is_nil(ctx)
            assert.equal(("cert: %s: another certificate has a key of this type as well"):format(path "p384.crt"), err)
        end)

        it("a certificate and its key may be in one file, in any order", function()
            works({ ca = "root.crt" }, { cert = "one.pem" })
            works({ ca = "root.crt" }, { cert = "key-first.pem" })
            works({ ca = "one.pem" }, { cert = "one.pem" })
            fails(NO_KEY, "cert", "good.crt")
        end)

        it("lines may end in CR LF, and text may stand around", function()
            works({ ca = "root-crlf.crt" }, { cert = "crlf.pem" })
            works(
                { ca = "root.crt" },
                { cert = "crlf.pem", key = "crlf.pem", client_ca = "root-crlf.crt", client_optional = true }
            )
            assert(tls.context { cert = support.text "crlf.pem", ca = support.text "root-crlf.crt" })
        end)

        it("DER is no PEM, and one kind is not another", function()
            for option, text in pairs { cert = NO_CERT, ca = NO_CERT, client_ca = NO_CERT, crl = NO_LIST } do
                fails(text, option, "good.der")
                fails(text, option, "leaf.key")
                fails(text, option, "empty")
            end
            fails(NO_LIST, "crl", "root.crl.der")
            fails(NO_LIST, "crl", "root.crt")
            for _, name in ipairs { "leaf.der", "good.crt", "empty", "good.der" } do
                fails(NO_KEY, "key", name, with_cert())
            end
        end)

        it("a directory is good for authorities alone, and with hash links", function()
            fails(NO_HASHES, "ca", "directory")
            fails(NO_HASHES, "client_ca", "directory")
            for _, option in ipairs { "cert", "key", "crl" } do
                fails(why_not(path "directory"), option, "directory", option == "key" and with_cert() or nil)
            end
            works({ ca = "hashed" }, GOOD)
            works(
                { ca = "root.crt", cert = "good.crt", key = "leaf.key" },
                { cert = "good.crt", key = "leaf.key", client_ca = "hashed" }
            )
        end)

        local all = { "cert", "key", "ca", "client_ca", "crl" }

        it("a FIFO, a device and a socket are not read", function()
            local listener = assert(socket.tcp())
            assert(listener:bind("unix:" .. path "socket"))
            listener:close()
            for _, option in ipairs(all) do
                local others = option == "key" and path "good.crt" or nil
                for _, name in ipairs { path "fifo", path "socket", "/dev/null", "/dev/zero" } do
                    local ctx, err = t.deadline(5, tls.context, { cert = others, [option] = name })
                    assert.is_nil(ctx)
                    assert.is_truthy(err:find(("%s: %s: "):format(option, name), 1, true), err)
                    assert.is_nil(err:find("PEM", 1, true), err)
                    if name ~= path "socket" then
                        assert.is_truthy(err:find("not a regular file", 1, true), err)
                    end
                end
            end
        end)

        -- The beginning of a command: a shell with a certificate's path and what follows as its arguments.
        local function shell(command)
            return { "sh", "-c", command, "sh", path "root.crt" }
        end

        it("a pipe is refused at once, also one with a writer, and what it brings is taken as text", function()
            local p = t.lua(
                [[
                    local tls = require "ssocket.tls"
                    for _, name in ipairs { "/dev/stdin", "/dev/fd/0" } do
                        local ctx, err = tls.context { ca = name }
                        assert(not ctx and err:find("not a regular file", 1, true), err)
                    end
                    print "refused"
                    io.stdout:flush()
                    assert(tls.context { ca = io.read "*a" })
                    print "taken"
                ]],
                shell 'shift; cat | "$@"'
            )
            assert.equal("refused", p:line())
            p:send(support.text "root.crt")
            p:eof()
            assert.equal("taken\n", p:finish())
        end)

        it("a file on standard input is read", function()
            local p = t.lua(
                [[assert(require "ssocket.tls".context { ca = "/dev/stdin" }) print "taken"]],
                shell 'file=$1; shift; exec "$@" <"$file"'
            )
            assert.equal("taken\n", p:finish())
        end)

        it("a file is read to its end, whatever size it is said to have", function()
            local environ = io.open("/proc/self/environ", "rb")
            if not environ then
                return pending "no procfs"
            end
            environ:close()
            local p = t.lua(
                [[assert(require "ssocket.tls".context { ca = "/proc/self/environ" }) print "taken"]],
                shell 'TEXT="before\n$(cat "$1")\nafter"; export TEXT; shift; exec "$@"'
            )
            assert.equal("taken\n", p:finish())
        end)

        it("one that is larger than 64 MiB is refused unread", function()
            assert(os.execute(("truncate -s 67108865 '%s'"):format(path "large")))
            for _, option in ipairs(all) do
                fails("larger than 64 MiB", option, "large", option == "key" and with_cert() or nil)
            end
            assert(os.execute(("truncate -s 67108864 '%s'"):format(path "large")))
            fails(NO_CERT, "ca", "large")
            os.remove(path "large")
        end)

        it("one that is absent or cannot be read is named with the system's text", function()
            assert(os.execute(("cd '%s' && cp good.crt unreadable && chmod 0 unreadable"):format(support.dir)))
            local root_reads_it = io.open(path "unreadable", "rb")
            if root_reads_it then
                root_reads_it:close()
            end
            for _, option in ipairs(all) do
                local others = option == "key" and with_cert() or nil
                for _, name in ipairs { "absent", "good.crt/x" } do
                    fails(why_not(path(name)), option, name, others)
                end
                if not root_reads_it then
                    fails(why_not(path "unreadable"), option, "unreadable", others)
                end
            end
        end)

        it("the wrong one of an array is named, and a text by its option alone", function()
            for option, good in pairs { ca = "root.crt", client_ca = "root.crt", crl = "root.crl" } do
                local ctx, err = tls.context { [option] = paths { good, "absent", "other.crt" } }
                assert.is_nil(ctx)
                assert.equal(("%s: %s: %s"):format(option, path "absent", why_not(path "absent")), err)
            end
            local cert, key = support.text "good.crt", support.text "other.key"
            local ctx, err = tls.context { cert = cert, key = key }
            assert.is_nil(ctx)
            assert.equal("key: the key does not fit the certificate", err)
            ctx, err = tls.context { ca = support.text "leaf.key" }
            assert.is_nil(ctx)
            assert.equal("ca: " .. NO_CERT, err)
        end)

        it("damaged certificates are refused, in a chain and among authorities, too", function()
            for _, option in ipairs { "ca", "client_ca", "cert" } do
                for _, name in ipairs { "cut.crt", "damaged.crt", "damaged-chain.pem", "damaged-roots.crt" } do
                    local key = option == "cert" and path "leaf.key" or nil
                    local ctx, err = tls.context { [option] = path(name), key = key }
                    assert.is_nil(ctx)
                    assert.is_truthy(err:find(("%s: %s: "):format(option, path(name)), 1, true), err)
                end
            end
        end)
    end)
end)
