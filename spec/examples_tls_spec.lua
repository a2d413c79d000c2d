-- The examples with TLS, run as a person would run them, against programs that nobody here wrote.

local support = require "support.tls"
local t = require "support.t"

if not support.is_built() then
    return
end

local sys = t.sys

local LIMIT = 20 * t.slow -- seconds for an example to end

local function run(path, ...)
    local argv = {}
    for word in (os.getenv "SSOCKET_LUA" or "lua"):gmatch "%S+" do
        argv[#argv + 1] = word
    end
    argv[#argv + 1] = path
    for i = 1, select("#", ...) do
        argv[#argv + 1] = tostring((select(i, ...)))
    end
    return t.spawn(argv, true)
end

local function example(name, ...)
    return run("examples/" .. name .. ".lua", ...)
end

-- Waits for the end with this status. Returns what it still said.
local function ends(status, p)
    local rest = p:rest(LIMIT)
    local how, code = sys.wait(p.pid, LIMIT)
    p:forget()
    assert.equal("exit", how, rest)
    assert.equal(status, code, rest)
    return rest
end

local function listening(p)
    p.port = p:await "listening on":match ":(%d+)$"
    return p
end

local function read_file(path)
    local file = io.open(path, "rb")
    if not file then
        return nil
    end
    local data = file:read "*a"
    file:close()
    return data
end

-- A copy of a program in which these strings are replaced, each of which is in it once: the path.
local function with_changes(code, changes)
    local path = t.tmpdir() .. "/program.lua"
    for from, to in pairs(changes) do
        local first, last = code:find(from, 1, true)
        assert(first and not code:find(from, last + 1, true), from)
        code = code:sub(1, first - 1) .. to .. code:sub(last + 1)
    end
    local file = assert(io.open(path, "wb"))
    file:write(code)
    file:close()
    return path
end

-- The program below a heading.
local function program(document, title, changes)
    return with_changes(read_file(document):match("\n## " .. title .. "\n.-```lua\n(.-\n)```"), changes)
end

local function write_file(path, data)
    local file = assert(io.open(path, "wb"))
    file:write(data)
    file:close()
end

-- Python's own web server over TLS, on a directory with these files.
local function web(files)
    local dir = t.tmpdir()
    for name, data in pairs(files) do
        write_file(dir .. "/" .. name, data)
    end
    local p = support.python(
        [[
        import http.server
        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args): super().__init__(*args, directory=argv[0])
            def log_message(self, *args): pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = server_context(argv[1]).wrap_socket(server.socket, server_side=True)
        say(server.server_port)
        server.serve_forever()
        ]],
        dir,
        support.path "a.pem"
    )
    p.port = p:number()
    return p
end

-- A server in Python that gives these answers (a Python expression, a list), each over a connection of its own. `end`:
-- what it does then.
local function answering(answers, ending)
    local p = support.python(
        [[
        l = listen()
        c = server_context(argv[0])
        for answer in ]] .. answers .. [[:
            s = c.wrap_socket(l.accept()[0], server_side=True)
            head = b""
            while not head.endswith(b"\r\n\r\n"): head += s.recv(1000)
            for piece in answer if isinstance(answer, list) else [answer]: s.sendall(piece)
            ]] .. (ending or "s = s.unwrap()") .. "\n" .. [[
            s.close()
        ]],
        support.path "a.pem"
    )
    p.port = p:number()
    return p
end

local function get(p, path, ...)
    return example("https_client", "--ca", support.path "ca.pem", ("https://127.0.0.1:%d%s"):format(p.port, path), ...)
end

-- A mail server in Python. `behind`: what it says in one segment with its answer to STARTTLS.
local function mail(offer, behind, code)
    local p = support.python(
        [[
        s = accept(); c = server_context(argv[0])
        f = s.makefile("rb")
        s.sendall(b"220 mail.test ready\r\n")
        say(f.readline()[:5])
        s.sendall(b"250-mail.test\r\n250-SIZE 1000\r\n250 ]] .. offer .. [[\r\n")
        said = f.readline(); say(said)
        if said == b"STARTTLS\r\n":
            s.sendall(b"]] .. (code or "220") .. [[ go on\r\n]] .. (behind or "") .. [[")
            try: s = c.wrap_socket(s, server_side=True)
            except (ssl.SSLError, OSError) as e: say("no TLS"); sys.exit()
            f = s.makefile("rb")
            say(f.readline()[:5]); s.sendall(b"250-mail.test\r\n250 AUTH PLAIN\r\n")
            say(f.readline()); s.sendall(b"221 bye\r\n"); s.unwrap()
        ]],
        support.path "a.pem"
    )
    p.port = p:number()
    return p
end

local CHUNKED = "Transfer-Encoding: chunked\\r\\n\\r\\n"

describe("examples/https_client.lua", function()
    t.guard()
    support.certificates()

    it("prints a page", function()
        local s = web { ["index.html"] = "welcome" }
        assert.equal("welcome", ends(0, get(s, "/")))
        assert.equal("welcome", ends(0, get(s, "")))
        s:kill()
    end)

    it("fetches a file, and tells of progress", function()
        local data = ("0123456789abcdef"):rep(200000)
        local s, path = web { big = data }, t.tmpdir() .. "/big"
        local said = ends(0, get(s, "/big", path))
        assert.is_truthy(said:find("\r3200000 of 3200000 bytes", 1, true), said)
        assert.is_true(data == read_file(path))
        assert.is_nil(read_file(path .. ".part"))
        s:kill()
    end)

    for name, case in pairs {
        ["chunks"] = {
            "b'" .. CHUNKED .. "5;x=y\\r\\nhello\\r\\n00C\\r\\n, wide world\\r\\n0\\r\\nA: b\\r\\n\\r\\n'",
            "hello, wide world",
        },
        ["pieces"] = { "*(bytes([x]) for x in b'Content-Length: 5\\r\\n\\r\\nhello')", "hello" },
        ["a body that the closure of TLS ends"] = { "b'\\r\\nhello'", "hello" },
        ["an interim answer"] = { "b'\\r\\nHTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'", "ok", "103 Early" },
        ["no body"] = { "b'\\r\\n'", "", "204 None" },
    } do
        it("takes " .. name, function()
            local s = answering(("[[b'HTTP/1.1 %s\\r\\n', %s]]"):format(case[3] or "200 OK", case[1]))
            assert.equal(case[2], ends(0, get(s, "/")))
            s:finish()
        end)
    end

    for name, case in pairs {
        ["a length that is not reached"] = {
            "Content-Length: 9\\r\\n\\r\\nhello",
            "cut short: Connection closed: 4 bytes",
        },
        ["a chunk that is cut"] = { CHUNKED .. "9\\r\\nhello", "cut short: Connection closed: 4 b" },
        ["no last chunk"] = { CHUNKED .. "5\\r\\nhello\\r\\n", "cut short: Connection closed" },
        ["a chunk of another size"] = { CHUNKED .. "4\\r\\nhello\\r\\n", "without an end" },
        ["a wrong chunk"] = { CHUNKED .. "-1\\r\\nhello", "a chunk without a size" },
        ["two lengths"] = { "Content-Length: 5\\r\\nContent-Length: 6\\r\\n\\r\\nhello", "two values: content-length" },
        ["a wrong length"] = { "Content-Length: 5x\\r\\n\\r\\nhello", "not a length: 5x" },
        ["an unknown coding"] = { "Transfer-Encoding: gzip\\r\\n\\r\\nhello", "unknown transfer coding: gzip" },
    } do
        it("says why and leaves no file: " .. name, function()
            local s, path = answering(("[b'HTTP/1.1 200 OK\\r\\n%s']"):format(case[1]), "pass"), t.tmpdir() .. "/page"
            -- Python's close sends no close_notify: what is not whole is told by ERROR_EOF.
            local said = ends(1, get(s, "/", path))
            local expected = case[2]:gsub("Connection closed", "TLS stream truncated")
            assert.is_truthy(said:find(expected, 1, true), said)
            assert.is_nil(read_file(path))
            assert.is_nil(read_file(path .. ".part"))
            s:finish()
        end)
    end

    it("does not take a connection that was cut for the end of the page", function()
        local s = answering("[b'HTTP/1.1 200 OK\\r\\n\\r\\nhello']", "pass")
        assert.equal("hellohttps_client: cut short: TLS stream truncated\n", ends(1, get(s, "/")))
        s:finish()
    end)

    it("follows redirects, though not for ever, nor out of TLS", function()
        local s = answering "[b'HTTP/1.1 302 Found\\r\\nLocation: /b\\r\\n\\r\\n', b'HTTP/1.1 200 OK\\r\\n\\r\\nhere']"
        assert.equal("here", ends(0, get(s, "/")))
        s:finish()
        s = answering "[b'HTTP/1.1 302 Found\\r\\nLocation: /\\r\\n\\r\\n'] * 6"
        assert.equal("https_client: too many redirects\n", ends(1, get(s, "/")))
        s:finish()
        s = answering "[b'HTTP/1.1 302 Found\\r\\nLocation: http://a.test/\\r\\n\\r\\n']"
        assert.is_truthy(ends(1, get(s, "/")):find("https://host[:port]/path expected", 1, true))
        s:finish()
    end)

    it("says what the server refuses", function()
        local s = web {}
        assert.is_truthy(ends(1, get(s, "/none")):find "^https_client: HTTP/1.0 404 File not found\n$")
        s:kill()
    end)

    it("asks nobody who does not prove the name", function()
        local s = web { ["index.html"] = "welcome" }
        local url = ("https://localhost:%d/"):format(s.port)
        local said = ends(1, example("https_client", "--ca", support.path "ca.pem", url))
        assert.is_truthy(said:find("Certificate verify failed: hostname mismatch (depth 0)", 1, true), said)
        said = ends(1, example("https_client", ("https://127.0.0.1:%d/"):format(s.port)))
        assert.is_truthy(said:find("^https_client: Certificate verify failed: "), said)
        s:kill()
    end)

    it("takes no address with which a request could be split", function()
        for _, url in ipairs { "http://a.test/", "https://a.test/\r\nx:y", "https://a.test:99999/", "https://a b/" } do
            assert.is_truthy(ends(1, example("https_client", url)):find("^https_client: " .. url:sub(1, 5)))
        end
        ends(2, example "https_client")
    end)
end)

describe("examples/demo.lua", function()
    t.guard()
    support.certificates()

    it("shows a connection that is verified, and one that is refused", function()
        local text = ends(0, example "demo")
        for _, line in ipairs {
            'tls.client(sock, "demo.test", ctx)         -> true',
            'sock:read(5)                               -> "hello"',
            '-> nil, "Certificate verify failed", "',
            'sock:write("secret")                       -> nil, "Connection closed", 0',
        } do
            assert.truthy(text:find(line, 1, true), line .. "\nin:\n" .. text)
        end
        assert.is_nil(text:find "[^\n -~]") -- plain ASCII
    end)

    it("says so where there is no openssl program", function()
        local code = read_file "examples/demo.lua"
        local text = ends(0, run(with_changes(code, { ['"openssl req '] = '"openssl-is-not-here req ' })))
        assert.truthy(text:find("the program openssl is needed for a certificate", 1, true), text)
    end)

    it("fails when a wrong name is taken", function()
        local path = with_changes(read_file "examples/demo.lua", {
            ['= tls.client(sock, "other.test", ctx)'] = '= tls.client(sock, "demo.test", ctx)',
        })
        assert.truthy(ends(1, run(path)):find 'demo: tls.client%(.-%) gave true')
    end)

    it("fetches a page over TLS, with the other example", function()
        local s = web { ["index.html"] = "welcome" }
        local said = ends(1, example("demo", ("https://127.0.0.1:%d/"):format(s.port)))
        assert.truthy(said:find "^https_client: Certificate verify failed: ", said)
        s:kill()
    end)
end)

describe("examples/https_server.lua", function()
    t.guard()
    support.certificates()

    local function site(name)
        local dir = t.tmpdir() .. "/" .. name
        assert(os.execute("mkdir " .. dir))
        write_file(dir .. "/fullchain.pem", support.text(name .. ".crt"))
        write_file(dir .. "/privkey.pem", support.text(name .. ".key"))
        return dir
    end

    local function server()
        local a = site "a"
        return listening(example("https_server", "127.0.0.1", 0, "a.test", a, "b.test", site "b")), a
    end

    local function curl(s, name, ...)
        local resolve = ("%s:%s:127.0.0.1"):format(name, s.port)
        local url = ("https://%s:%s/"):format(name, s.port)
        local ca = support.path "ca.pem"
        return t.spawn({ "curl", "-sS", "--noproxy", "*", "--cacert", ca, "--resolve", resolve, url, ... }, true)
    end

    it("serves two names, each with its certificate, to curl", function()
        local s = server()
        assert.equal("This is a.test.\n", ends(0, curl(s, "a.test")))
        assert.equal("This is b.test.\n", ends(0, curl(s, "b.test")))
        local other = ends(60, curl(s, "c.test")) -- it gets the first certificate, which is for another name
        assert.is_truthy(other:find "certificate")
        s:kill()
    end)

    it("keeps connections, and answers for the name of the handshake alone", function()
        local s = server()
        local p = support.python(
            [[
            import http.client
            c = client_context(argv[1])
            s = c.wrap_socket(connect(argv[0]), server_hostname="b.test")
            def ask(path, host):
                s.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, host))
                r = http.client.HTTPResponse(s); r.begin(); say(r.status, r.read().decode().strip())
            ask(b"/", b"b.test"); ask(b"/", b"B.test:443"); ask(b"/", b"a.test"); ask(b"/none", b"b.test")
            s.sendall(b"nonsense\r\n\r\n")
            say(drain(s).startswith(b"HTTP/1.1 400 "))
            ]],
            s.port,
            support.path "ca.pem"
        )
        local expected = "200 This is b.test.\n200 This is b.test.\n421 Connect to that name.\n"
        assert.equal(expected .. "404 There is nothing here.\nTrue\n", p:finish(LIMIT))
        s:kill()
    end)

    it("goes on while one is silent, another speaks no TLS, and a third does not trust it", function()
        local s = server()
        local p = support.python(
            [[
            silent, plain = connect(argv[0]), connect(argv[0])
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n"); say(drain(plain) == b"")
            try: client_context(argv[1]).wrap_socket(connect(argv[0]), server_hostname="a.test")
            except ssl.SSLError as e: say("refused")
            hear()
            ]],
            s.port,
            support.path "other.pem"
        )
        assert.equal("True", p:line(LIMIT))
        assert.equal("refused", p:line(LIMIT))
        s:await "handshake: TLS protocol error"
        s:await "handshake: TLS alert received: unknown_ca"
        assert.equal("This is a.test.\n", ends(0, curl(s, "a.test")))
        p:say ""
        p:finish()
        s:kill()
    end)

    it("waits for no handshake for ever", function()
        local path = t.tmpdir() .. "/server.lua"
        local text, changes = read_file("examples/https_server.lua"):gsub("HANDSHAKE = 10", "HANDSHAKE = 0.3")
        assert.equal(1, changes)
        write_file(path, text)
        local s = listening(run(path, "127.0.0.1", 0, "a.test", site "a"))
        local p = t.python('say(drain(connect(argv[0])) == b"")', s.port)
        assert.equal("True\n", p:finish(LIMIT))
        s:await "handshake: Operation timed out"
        s:kill()
    end)

    it("reads certificates again on SIGHUP, while connections go on", function()
        local s, dir = server()
        local p = support.python(
            [[
            c = client_context(argv[1])
            def open_it():
                s = c.wrap_socket(connect(argv[0]), server_hostname="a.test")
                say(s.getpeercert()["serialNumber"]); return s
            first = open_it(); hear()
            second = open_it()
            for s in (first, second):
                s.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
                say(drain(s).endswith(b"This is a.test.\n"))
            ]],
            s.port,
            support.path "ca.pem"
        )
        local old = p:line(LIMIT)
        write_file(dir .. "/privkey.pem", "half")
        sys.kill(s.pid, t.SIGHUP or 1)
        s:await "certificates not read: a.test: "
        local sign = ("cd '%s' && printf 'subjectAltName=DNS:a.test' >again.ext && openssl x509 -req -in a.csr "
            .. "-CA ca.crt -CAkey ca.key -set_serial 0x77 -days 9 -extfile again.ext -out again.crt 2>again.log")
        local status = os.execute(sign:format(support.dir))
        assert.is_true(status == true or status == 0)
        write_file(dir .. "/fullchain.pem", support.text "again.crt")
        write_file(dir .. "/privkey.pem", support.text "a.key")
        sys.kill(s.pid, t.SIGHUP or 1)
        s:await "certificates read again"
        p:say ""
        local new = p:line(LIMIT)
        assert.is_true(old ~= new)
        assert.equal("77", new)
        assert.equal("True\nTrue\n", p:finish(LIMIT))
        s:kill()
    end)

    it("says which certificate it cannot read", function()
        local said = ends(1, example("https_server", "127.0.0.1", 0, "a.test", "/nowhere"))
        assert.is_truthy(said:find("a.test: cert: /nowhere", 1, true), said)
        ends(2, example("https_server", "127.0.0.1", 0))
    end)
end)

describe("examples/starttls.lua", function()
    t.guard()
    support.certificates()

    local function ask(p, ...)
        return example("starttls", "--ca", support.path "ca.pem", "127.0.0.1", p.port, ...)
    end

    it("asks again over TLS", function()
        local p = mail "STARTTLS"
        local said = ends(0, ask(p))
        assert.is_truthy(said:find "^TLSv1.3, [%w_]+, certificate of CN=a\nmail.test\nAUTH PLAIN\n$", said)
        assert.equal("b'EHLO '\nb'STARTTLS\\r\\n'\nb'EHLO '\nb'QUIT\\r\\n'\n", p:finish(LIMIT))
    end)

    it("does not go on in plain text where nothing is offered, or it is refused", function()
        local p = mail "HELP"
        local said = ends(1, ask(p))
        assert.equal("starttls: 127.0.0.1: no STARTTLS; it is not asked in plain text\n", said)
        assert.equal("b'EHLO '\nb''\n", p:finish(LIMIT))
        p = mail("STARTTLS", "", "454")
        assert.equal("starttls: 454 go on\n", ends(1, ask(p)))
        assert.is_truthy(p:finish(LIMIT):find "no TLS")
    end)

    it("takes nothing that was said before TLS", function()
        local p = mail("STARTTLS", "250 AUTH PLAIN\\r\\n")
        assert.equal("starttls: 127.0.0.1: TLS protocol error", ends(1, ask(p)):match "^starttls: [^:]*: [^:\n]*")
        assert.is_truthy(p:finish(LIMIT):find "no TLS")
    end)

    it("says nothing to a server that is another one", function()
        local p = mail "STARTTLS"
        local said = ends(1, ask(p, "b.test"))
        assert.is_truthy(said:find("Certificate verify failed: hostname mismatch", 1, true), said)
        assert.is_truthy(p:finish(LIMIT):find "no TLS")
    end)

    it("says so when the server speaks no SMTP", function()
        local p = t.python 's = accept(); s.sendall(b"SSH-2.0-x\\r\\n"); drain(s)'
        assert.equal("starttls: this is not SMTP\n", ends(1, example("starttls", "127.0.0.1", p:number())))
        p:finish()
        ends(2, example "starttls")
    end)
end)

-- Programs of the text, with names of hosts and files of this place. They listen on a free port, and say on which.
local LISTEN = 'assert(socket.listen("127.0.0.1", 7777))'
local LISTEN_HERE = [[(function()
    io.stdout:setvbuf "line"
    local l = assert(socket.listen("127.0.0.1", 0))
    print("listening on", l:getsockname())
    return l
end)()]]

local ASK = [[
    c = client_context(argv[1])
    def ask(name):
        s = c.wrap_socket(connect(argv[0]), server_hostname=name)
        say(s.getpeercert()["subject"][0][0][1], drain(s).decode().strip())
]]

local function ask_server(s, code)
    local p = support.python(require("support.peer").dedent(ASK) .. code, s.port, support.path "ca.pem")
    return p:finish(LIMIT)
end

for document, title in pairs { ["docs/tls.md"] = "A client", ["README.md"] = "TLS" } do
    describe(document, function()
        t.guard()
        support.certificates()

        it("has a client that fetches a page", function()
            local s = answering "[b'HTTP/1.0 200 OK\\r\\n\\r\\nwelcome']"
            local ctx = ("require('ssocket.tls').context { ca = %q }"):format(support.path "ca.pem")
            local here = ('"127.0.0.1", %d, %s, 10'):format(s.port, ctx)
            local path = program(document, title, { ['"example.com", 443, nil, 10'] = here })
            assert.equal("HTTP/1.0 200 OK\r\n\r\nwelcome\n", ends(0, run(path)))
            s:finish()
        end)
    end)
end

describe("README.md", function()
    t.guard()
    support.certificates()

    it("has a server with TLS", function()
        local code = read_file("README.md"):match "\n## TLS\n.-```lua.-```.-```lua\n(.-\n)```"
        local path = with_changes(code, {
            ['"server.pem"'] = ("%q"):format(support.path "a.pem"),
            [LISTEN] = LISTEN_HERE,
        })
        local s = listening(run(path))
        assert.equal("a hello\n", ask_server(s, 'ask("a.test")'))
        s:kill()
    end)
end)

describe("docs/tls.md", function()
    t.guard()
    support.certificates()

    local function started(title, changes)
        changes[LISTEN] = LISTEN_HERE
        return listening(run(program("docs/tls.md", title, changes)))
    end

    local function quoted(name)
        return ("%q"):format(support.path(name))
    end

    it("has a server, which goes on when a client is silent or speaks no TLS", function()
        local s = started("A server", { ['"server.pem"'] = quoted "a.pem" })
        local said = ask_server(s, 'x, y = connect(argv[0]), connect(argv[0]); y.sendall(b"hi\\n" * 9); ask("a.test")')
        assert.equal("a hello\n", said)
        s:await "TLS protocol error"
        s:kill()
    end)

    it("has a server with two names", function()
        local s = started("Two names on one port", {
            ['["a.example"]'] = '["a.test"]',
            ['["b.example"]'] = '["b.test"]',
            ['"a.pem"'] = quoted "a.pem",
            ['"b.pem"'] = quoted "b.pem",
        })
        assert.equal("a this is a.test\nb this is b.test\n", ask_server(s, 'ask("a.test"); ask("b.test")'))
        s:kill()
    end)

    it("has a server that asks for certificates", function()
        local changes = { ['"server.pem"'] = quoted "a.pem", ['"clients-ca.pem"'] = quoted "ca.pem" }
        local s = started("Client certificates", changes)
        local p = support.python(
            [[
            c = client_context(argv[1], argv[2])
            say(drain(c.wrap_socket(connect(argv[0]), server_hostname="a.test")).decode().strip())
            ]],
            s.port,
            support.path "ca.pem",
            support.path "client.pem"
        )
        assert.equal("welcome\n", p:finish(LIMIT))
        assert.equal("CN=client\n", ends(0, s))
    end)

    it("has a client with an authority of its own", function()
        local s = web {}
        local where = ('"127.0.0.1", %d'):format(s.port)
        local changes = { ['"company-ca.pem"'] = quoted "ca.pem", ['"intranet.example", 443'] = where }
        assert.equal("TLSv1.3\n", ends(0, run(program("docs/tls.md", "An authority of your own", changes))))
        s:kill()
    end)

    it("has a certificate that comes through a pipe", function()
        local path = program("docs/tls.md", "Files and texts", { ["cat server.pem"] = "cat " .. support.path "a.pem" })
        assert.equal("true\n", ends(0, run(path)))
    end)

    it("has a client of STARTTLS", function()
        for offer, expected in pairs { STARTTLS = "encrypted\n", HELP = "no STARTTLS" } do
            local p = mail(offer)
            local path = program("docs/tls.md", "STARTTLS", {
                ['"mail.example.com"'] = '"127.0.0.1"',
                ["587"] = p.port,
                ["tls.client(s, host)"] = ("tls.client(s, host, tls.context { ca = %s })"):format(quoted "ca.pem"),
            })
            local said = ends(offer == "STARTTLS" and 0 or 1, run(path))
            assert.is_truthy(said:find(expected, 1, true), said)
            p:kill()
        end
    end)

    it("has a server that reads its certificate again", function()
        local dir = t.tmpdir()
        local function install(name)
            write_file(dir .. "/fullchain.pem", support.text(name .. ".crt"))
            write_file(dir .. "/privkey.pem", support.text(name .. ".key"))
        end
        install "a"
        local s = started("Certificates that are renewed", {
            ['"/etc/letsencrypt/live/example.com"'] = ("%q"):format(dir),
        })
        assert.equal("a hello\n", ask_server(s, 'ask("a.test")'))
        write_file(dir .. "/privkey.pem", "half")
        sys.kill(s.pid, 1)
        s:await "key: "
        assert.equal("a hello\n", ask_server(s, 'ask("a.test")'))
        install "b"
        sys.kill(s.pid, 1)
        s:await "certificate read again"
        assert.equal("b hello\n", ask_server(s, 'ask("b.test")'))
        s:kill()
    end)

    it("names the errors, options and functions that there are", function()
        local tls, text = require "ssocket.tls", read_file "docs/tls.md"
        local seen = 0
        for name in text:gmatch "%f[%w]tls%.([%a_]+)" do
            if name ~= "md" then
                assert.is_truthy(tls[name], name)
                seen = seen + 1
            end
        end
        assert.is_true(seen > 20)
    end)
end)
