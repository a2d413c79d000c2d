-- Every file in examples/, run as a person would run it, with peers that nobody here wrote on the other side.

local peer = require "support.peer"
local t = require "support.t"

local sys = t.sys

local LIMIT = 20 * t.slow -- seconds for an example to end

-- Starts a program under the Lua that runs the specs; its errors come with its output.
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

-- The same with so many descriptors.
local function run_within(descriptors, path, ...)
    local lua, args = os.getenv "SSOCKET_LUA" or "lua", table.concat({ path, ... }, " ")
    return t.spawn({ "sh", "-c", ("ulimit -n %d && exec %s %s"):format(descriptors, lua, args) }, true)
end

local function example_within(descriptors, name, ...)
    return run_within(descriptors, "examples/" .. name .. ".lua", ...)
end

-- Starts a server among the examples; it says where it listens.
local function listening(p)
    p.where = p:await "listening on":match "listening on (.*)$"
    p.port = p.where:match ":(%d+)$"
    return p
end

local function server(name, ...)
    return listening(example(name, ...))
end

-- Waits for the end: exit status, what it still said.
local function ending(p)
    local rest = p:rest(LIMIT)
    local how, code = sys.wait(p.pid, LIMIT)
    p:forget()
    assert.equal("exit", how, rest)
    return code, rest
end

-- It ends well. Returns what it still said.
local function well(p)
    local code, rest = ending(p)
    assert.equal(0, code, rest)
    return rest
end

-- It ends with status 1. Returns what it still said.
local function badly(p)
    local code, rest = ending(p)
    assert.equal(1, code, rest)
    return rest
end

-- A port of this machine on which nobody listens, until the function returned with it is called.
local function refusing()
    local owner = t.socket.tcp()
    assert(owner:bind("127.0.0.1", 0))
    return owner:getsockname()[2], function()
        owner:close()
    end
end

local function write_file(path, data)
    local file = assert(io.open(path, "wb"))
    file:write(data)
    file:close()
end

-- A socket's path cannot be opened, so that alone tells nothing.
local function is_gone(path)
    local ok, err = os.remove(path)
    return not ok and err:find(t.text "ENOENT", 1, true) ~= nil
end

local function read_file(path)
    local file = assert(io.open(path, "rb"))
    local data = file:read "*a"
    file:close()
    return data
end

-- A copy of an example with another number in it, so that its patience is over soon: the path.
local function hurried(name, number, hasty)
    local path = t.tmpdir() .. "/" .. name .. ".lua"
    local text, changes = read_file("examples/" .. name .. ".lua"):gsub(number:gsub("%p", "%%%0"), hasty)
    assert.equal(1, changes, number)
    write_file(path, text)
    return path
end

-- A copy of an example in which a method (once in its text) fails at its first two calls: the path.
local function failing(name, method, results)
    local path = t.tmpdir() .. "/" .. name .. ".lua"
    local text, changes = read_file("examples/" .. name .. ".lua"):gsub("([%a_]+):" .. method .. "%(%)", "failing(%1)")
    assert.equal(1, changes, method)
    local before = [[
        local calls = 0
        local function failing(sock)
            calls = calls + 1
            if calls <= 2 then return %s end
            return sock:%s()
        end
    ]]
    write_file(path, before:format(results, method):gsub("\n *", " ") .. text)
    return path
end

-- Programs of the text, which serve port 7777: on a free port instead, with so many descriptors.
local function program_within(descriptors, document, title)
    local path = t.tmpdir() .. "/program.lua"
    local code = read_file(document):match("## " .. title .. ".-```lua\n(.-)\n```")
    local said = 'io.stdout:setvbuf "line" assert(listener:listen()) print("listening on", listener:getsockname())'
    local text, changes = code:gsub("7777", "0"):gsub("assert%(listener:listen%(%)%)", said)
    assert.equal(1, changes)
    write_file(path, text)
    local s = run_within(descriptors, path)
    s.port = s:await "listening on":match ":(%d+)$"
    return s
end

-- The server says again and again that it has no descriptors, ten times a second at most. `started`: before the first.
local function says_want_of_descriptors(s, prefix, started)
    local first, count = nil, 0
    repeat
        assert.equal(prefix .. t.text "EMFILE", s:line())
        first, count = first or t.now(), count + 1
    until count > 1 and t.now() - first > 0.3
    assert.truthy(count <= (t.now() - started) / 0.1 + 1, count)
end

-- More clients come than the server has descriptors for; when the first have gone, it serves the others: `ask` (in
-- Python) is true of each of them.
local function outlives_want_of_descriptors(s, prefix, ask)
    local started, p = t.now(), t.python(
        [[
        socks = [connect(argv[0]) for i in range(30)]
        hear()
        for s in socks[:20]: s.close()
        def ask(s):
            ]] .. ask .. [[

        say(all(ask(s) for s in socks[20:]))
        ]],
        s.port
    )
    says_want_of_descriptors(s, prefix, started)
    p:say "on"
    assert.equal("True\n", p:finish(LIMIT))
    s:kill()
end

-- A client that says nothing sees its end, and one that takes nothing sees its connection broken off.
local function outlasts_nobody(s)
    local p = t.python(
        [[
        silent, deaf = connect(argv[0]), connect(argv[0])
        say(drain(silent) == b"")
        try:
            while True: deaf.sendall(bytes(1 << 16))
        except (ConnectionResetError, BrokenPipeError): say("broken off")
        ]],
        s.port
    )
    assert.equal("True\nbroken off\n", p:finish(LIMIT))
    s:kill()
end

-- Python's own web server, on a directory with these files. Ends when it is killed.
local function web(files)
    local dir = t.tmpdir()
    for name, data in pairs(files) do
        write_file(dir .. "/" .. name, data)
    end
    local p = t.python(
        [[
        import http.server
        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args): super().__init__(*args, directory=argv[0])
            def log_message(self, *args): pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        say(server.server_port)
        server.serve_forever()
        ]],
        dir
    )
    p.port = p:number()
    return p
end

-- The lines of the output in alphabetical order: downloads end in any order.
local function sorted(text)
    local lines = {}
    for line in text:gmatch "[^\n]+" do
        lines[#lines + 1] = line
    end
    table.sort(lines)
    return lines
end

describe("examples/echo_tcp.lua", function()
    t.guard()

    it("serves clients at once, whichever speaks first", function()
        local s = server("echo_tcp", "127.0.0.1", 0, 3)
        local p = t.python(
            [[
            a, b, c = (connect(argv[0]) for i in range(3))
            for s, data in ((c, b"third"), (a, b"first"), (b, b"second"), (c, b"again")):
                s.sendall(data)
                say(take(s, len(data)).decode())
            for s in (a, b, c): s.close()
            ]],
            s.port
        )
        assert.equal("third\nfirst\nsecond\nagain\n", p:finish())
        well(s)
    end)

    it("serves others while a client does not read, and owes it every byte", function()
        local s = server("echo_tcp", "127.0.0.1", 0, 2)
        local p = t.python(
            [[
            deaf = connect(argv[0]); deaf.setblocking(False)
            piece, sent, full = os.urandom(1 << 16), 0, 0
            while full < 20: # until the server reads no more
                try: sent += deaf.send(piece[sent % len(piece):]); full = 0
                except BlockingIOError: full += 1; select.select([], [deaf], [], 0.01)
            s = connect(argv[0]); s.sendall(b"still there?")
            say(take(s, 12).decode()); s.close()
            deaf.setblocking(True); deaf.shutdown(socket.SHUT_WR)
            data = drain(deaf)
            say(data == (piece * (sent // len(piece) + 1))[:sent])
            ]],
            s.port
        )
        assert.equal("still there?\nTrue\n", p:finish(LIMIT))
        well(s)
    end)

    it("lives on when a client breaks off", function()
        local s = server("echo_tcp", "127.0.0.1", 0, 2)
        local p = t.python(
            [[
            broken = connect(argv[0]); broken.sendall(b"x"); take(broken, 1); reset(broken)
            s = connect(argv[0]); s.sendall(b"hello"); say(take(s, 5).decode()); s.close()
            ]],
            s.port
        )
        assert.equal("hello\n", p:finish())
        well(s)
    end)

    it("goes on when it is out of descriptors, and does not spin", function()
        local s = listening(example_within(20, "echo_tcp"))
        outlives_want_of_descriptors(s, "echo_tcp: ", 's.sendall(b"hello"); return take(s, 5) == b"hello"')
    end)

    it("waits for no client for ever, silent or deaf", function()
        local s = listening(run(hurried("echo_tcp", "PATIENCE = 60", "PATIENCE = 0.3")))
        outlasts_nobody(s)
    end)

    it("says why when its port is taken", function()
        local first = server "echo_tcp"
        local second = example("echo_tcp", "127.0.0.1", first.port)
        assert.truthy(badly(second):find(t.socket.ERROR_INUSE, 1, true))
        first:kill()
    end)
end)

describe("examples/echo_tasks.lua", function()
    t.guard()

    it("serves clients at once, whichever speaks first", function()
        local s = server("echo_tasks", "127.0.0.1", 0, 3)
        local p = t.python(
            [[
            a, b, c = (connect(argv[0]) for i in range(3))
            for s, data in ((c, b"third"), (a, b"first"), (b, b"second"), (c, b"again")):
                s.sendall(data)
                say(take(s, len(data)).decode())
            for s in (a, b, c): s.close()
            ]],
            s.port
        )
        assert.equal("third\nfirst\nsecond\nagain\n", p:finish())
        assert.equal("", well(s))
    end)

    it("serves others while a client does not read, and owes it every byte", function()
        local s = server("echo_tasks", "127.0.0.1", 0, 3)
        local p = t.python(
            [[
            broken = connect(argv[0]); broken.sendall(b"x"); take(broken, 1); reset(broken)
            deaf = connect(argv[0]); deaf.setblocking(False)
            piece, sent, full = os.urandom(1 << 16), 0, 0
            while full < 20: # until the server reads no more
                try: sent += deaf.send(piece[sent % len(piece):]); full = 0
                except BlockingIOError: full += 1; select.select([], [deaf], [], 0.01)
            s = connect(argv[0]); s.sendall(b"still there?")
            say(take(s, 12).decode()); s.close()
            deaf.setblocking(True); deaf.shutdown(socket.SHUT_WR)
            data = drain(deaf)
            say(data == (piece * (sent // len(piece) + 1))[:sent])
            ]],
            s.port
        )
        assert.equal("still there?\nTrue\n", p:finish(LIMIT))
        assert.equal("", well(s))
    end)

    it("goes on when it is out of descriptors, and does not spin", function()
        local s = listening(example_within(20, "echo_tasks"))
        outlives_want_of_descriptors(s, "echo_tasks: ", 's.sendall(b"hello"); return take(s, 5) == b"hello"')
    end)

    it("waits for no client for ever, silent or deaf", function()
        local s = listening(run(hurried("echo_tasks", "settimeout(60)", "settimeout(0.3)")))
        outlasts_nobody(s)
    end)
end)

describe("examples/records.lua", function()
    t.guard()

    local CLIENT = [[
        s = connect(argv[0]); f = s.makefile("rb")
        def record(data): return b"%d:%s," % (len(data), data)
        def answer():
            n = b""
            while not n.endswith(b":"):
                byte = f.read(1)
                if not byte: return None
                n += byte
            return f.read(int(n[:-1]) + 1)[:-1]
    ]]

    it("answers each record, however it arrives, and who sends slowly delays nobody", function()
        local s = server("records", "127.0.0.1", 0, 2)
        local slow = t.python(peer.dedent(CLIENT) .. peer.dedent [[
            s.sendall(b"5:he"); say("begun"); hear()
            for byte in b"llo,0:,3:a": s.sendall(bytes([byte]))
            say(answer(), answer()); s.sendall(b"bc,"); say(answer())
            s.shutdown(socket.SHUT_WR); say(answer())
        ]], s.port)
        assert.equal("begun", slow:line())
        local quick = t.python(peer.dedent(CLIENT) .. peer.dedent [[
            big = os.urandom(65536)
            s.sendall(record(b"one") + record(b"two,2:") + record(big))
            say(answer(), answer(), answer() == big[::-1])
        ]], s.port)
        assert.equal("b'eno' b':2,owt' True\n", quick:finish())
        slow:say "go on"
        assert.equal("b'olleh' b''\nb'cba'\nNone\n", slow:finish())
        assert.equal("", well(s))
    end)

    it("puts out who sends anything else, or too much, after the answers before it", function()
        local bad = { "x:", "3:abc;", "65537:", "12345678:", "99999999999", "-1:,", ":," }
        local s = server("records", "127.0.0.1", 0, #bad)
        for _, data in ipairs(bad) do
            local p = t.python(peer.dedent(CLIENT) .. peer.dedent [[
                s.sendall(record(b"well") + argv[1].encode() + b"x" * 10000)
                say(answer(), answer())
            ]], s.port, data)
            assert.equal("b'llew' None\n", p:finish())
            assert.truthy(s:line():find "^a client is put out: ")
        end
        assert.equal("", well(s))
    end)

    it("goes on when it is out of descriptors, and does not spin", function()
        local s = listening(example_within(20, "records"))
        outlives_want_of_descriptors(s, "records: ", 's.sendall(b"2:hi,"); return take(s, 5) == b"2:ih,"')
    end)

    it("waits for no client for ever, silent or deaf", function()
        local s = listening(run(hurried("records", "settimeout(60)", "settimeout(0.3)")))
        local p = t.python(peer.dedent(CLIENT) .. "\ns.sendall(b'5:h'); say(answer())", s.port)
        assert.equal("None\n", p:finish())
        assert.equal("a client is put out: Operation timed out", s:line())
        s:kill()
    end)
end)

-- What every Python client of the web server can use: get a page, over a connection that is kept.
local HTTP = [[
import http.client, resource
def page(c, path, **headers):
    c.request("GET", path, headers=headers)
    r = c.getresponse()
    return r.status, r.read().decode(), r.getheader("Connection")
def client(port):
    return http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
]]

local function http_client(code, port, ...)
    return t.python(HTTP .. peer.dedent(code), port, ...)
end

describe("examples/http_server.lua", function()
    t.guard()

    it("has fewer than forty lines", function()
        local count = 0
        for line in io.lines "examples/http_server.lua" do
            if not line:find "^%s*$" and not line:find "^%s*%-%-" then
                count = count + 1
            end
        end
        assert.truthy(count < 40, count)
    end)

    it("answers many requests on one connection", function()
        local s = server "http_server"
        local p = http_client(
            [[
            c = client(argv[0])
            say(page(c, "/")); own = c.sock.getsockname()
            say(page(c, "/about?x=y")[0], page(c, "/none")[0])
            say(page(c, "/"), c.sock.getsockname() == own)
            say(page(c, "/", Connection="Close"))
            say(page(c, "/"), c.sock.getsockname() == own)
            ]],
            s.port
        )
        local hello = "(200, 'Hello, world!\\n', None)"
        assert.equal(hello, p:line())
        assert.equal("200 404", p:line())
        assert.equal(hello .. " True", p:line())
        assert.equal("(200, 'Hello, world!\\n', 'close')", p:line())
        assert.equal(hello .. " False", p:line())
        p:finish()
        s:kill()
    end)

    it("answers what is no request with 400, and ends there", function()
        local s = server "http_server"
        local p = http_client(
            [[
            for request in ("GET /", "POST / HTTP/1.1", "GET x HTTP/1.1", "nonsense", "GET / HTTP/2.0"):
                c = connect(argv[0]); c.sendall(request.encode() + b"\r\nHost: x\r\n\r\n")
                say(drain(c).split(b"\r\n")[0].decode())
            ]],
            s.port
        )
        assert.equal(("HTTP/1.1 400 Bad Request\n"):rep(5), p:finish())
        s:kill()
    end)

    it("keeps a connection for HTTP/1.1 without a body only", function()
        local s = server "http_server"
        local p = http_client(
            [[
            for request in ("GET / HTTP/1.0\r\n", "GET / HTTP/1.1\r\nContent-Length: 2\r\n",
                    "GET / HTTP/1.1\r\nTransfer-encoding: chunked\r\n", "GET / HTTP/1.1\r\nCONNECTION: a, close\r\n"):
                c = connect(argv[0]); c.sendall(request.encode() + b"\r\n")
                data = drain(c).split(b"\r\n")
                say(data[0].decode(), b"Connection: close" in data)
            ]],
            s.port
        )
        assert.equal(("HTTP/1.1 200 OK True\n"):rep(4), p:finish())
        s:kill()
    end)

    it("takes requests that come together, byte by byte, and in no time too many", function()
        local s = server "http_server"
        local p = http_client(
            [[
            c = connect(argv[0]); c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            c.sendall(b"GET / HTTP/1.1\r\n\r\n" * 200); c.shutdown(socket.SHUT_WR)
            say(drain(c).count(b"Hello, world!\n"))
            c = connect(argv[0]); c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n": c.sendall(bytes([byte]))
            say(drain(c).count(b"Hello, world!\n"))
            c = connect(argv[0])
            try:
                c.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 10000); say(drain(c))
            except ConnectionResetError: say(b"")
            ]],
            s.port
        )
        assert.equal("200\n1\nb''\n", p:finish())
        s:kill()
    end)

    it("goes on when it is out of descriptors, and does not spin", function()
        local s = listening(example_within(20, "http_server"))
        local ask = [[s.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"); return drain(s).count(b"Hello") == 1]]
        outlives_want_of_descriptors(s, "accept: ", ask)
    end)

    it("answers a request whose body it does not read, and the client gets all of it", function()
        local s = server "http_server"
        local p = http_client(
            [[
            for size in (1, 10000, 1 << 20):
                c = connect(argv[0])
                c.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
                say(drain(c).endswith(b"\r\n\r\nAsk for a page.\n"))
                c.close()
            c = connect(argv[0]); c.sendall(b"GET / HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
            say(drain(c).endswith(b"Hello, world!\n"))
            for byte in b"the body.": c.sendall(bytes([byte])); time.sleep(0.01) # it still takes it
            say(c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            ]],
            s.port
        )
        assert.equal(("True\n"):rep(4) .. "0\n", p:finish(LIMIT))
        s:kill()
    end)

    it("takes of such a body no more than some, and waits for it no longer than a while", function()
        local s = listening(run(hurried("http_server", "settimeout(5)", "settimeout(0.2)")))
        local p = http_client(
            [[
            def end_of(pause, size):
                c = connect(argv[0]); c.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
                sent = 0
                try:
                    while sent < 1 << 28: c.sendall(bytes(size)); sent += size; time.sleep(pause)
                except (ConnectionResetError, BrokenPipeError): return sent
            say(end_of(0, 1 << 16) < 1 << 28)
            say(end_of(0.01, 1) < 1 << 16)
            ]],
            s.port
        )
        assert.equal("True\nTrue\n", p:finish(LIMIT))
        s:kill()
    end)

    it("holds ten thousand connections and serves them all", function()
        local wanted = 10000
        local p = http_client(
            [[
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            n = min(int(argv[1]), hard - 100)
            resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, hard))
            say(n)
            port = hear()
            socks = [connect(port) for i in range(n)]
            count = 0
            for i in range(2):
                for s in socks: s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                for s in socks: count += take(s, 53).endswith(b"\r\n\r\nHello, world!\n")
            say(count)
            say(page(client(port), "/")[0])
            ]],
            0,
            math.floor(wanted / t.slow)
        )
        local n = p:number()
        local s = listening(example_within(n + 100, "http_server"))
        p:say(s.port)
        assert.equal(2 * n, p:number(3 * LIMIT))
        assert.equal("200\n", p:finish(LIMIT))
        s:kill()
    end)
end)

describe("examples/chat_server.lua", function()
    t.guard()

    local CLIENT = [[
        s = connect(argv[0]); f = s.makefile("rw", newline="\n")
        say("here")
        for line in f:
            say(line.strip())
            if "ends" in line and argv[1] == "polite": break
        if argv[1] == "polite": s.close()
        say("gone"); hear()
    ]]

    for _, name in ipairs { "SIGTERM", "SIGINT" } do
        it("tells everybody on " .. name .. ", and waits for them", function()
            local s = server("chat_server", "127.0.0.1", 0, 20)
            local one, two = t.python(CLIENT, s.port, "polite"), t.python(CLIENT, s.port, "polite")
            assert.equal("here", one:line())
            assert.equal("here", two:line())
            local third = assert(t.socket.connect("127.0.0.1", s.port))
            assert(third:write "hello\n")
            assert.equal("hello", one:line())
            assert.equal("hello", two:line())
            assert(sys.kill(s.pid, sys[name]))
            assert.equal(name:sub(4) .. ": ending", s:line())
            assert.equal("The server ends.", third:readline())
            third:close()
            for _, client in ipairs { one, two } do
                assert.equal("The server ends.", client:line())
                assert.equal("gone", client:line())
                client:kill()
            end
            assert.equal("ended\n", well(s))
        end)
    end

    it("cuts off who does not leave in time", function()
        local s = server("chat_server", "127.0.0.1", 0, 0.2)
        local client = t.python(CLIENT, s.port, "stubborn")
        assert.equal("here", client:line())
        local second = assert(t.socket.connect("127.0.0.1", s.port))
        assert(second:write "hello\n")
        assert.equal("hello", client:line())
        assert(sys.kill(s.pid, sys.SIGTERM))
        assert.equal("The server ends.", client:line())
        assert.equal("gone", client:line())
        assert.equal("TERM: ending\nended\n", well(s))
        second:close()
        client:kill()
    end)
end)

describe("examples/chat.lua", function()
    t.guard()

    it("tells each line to all the others, and who comes and goes", function()
        local s = server "chat"
        local p = t.python(
            [[
            def name(s): return "%s:%d" % s.getsockname()
            a = connect(argv[0]); fa = a.makefile("rb")
            b = connect(argv[0]); fb = b.makefile("rb")
            say(fa.readline().decode().rstrip() == name(b) + " has come")
            a.sendall(b"hel"); a.sendall(b"lo\nagain\n")
            say(fb.readline().decode() == name(a) + ": hello\n")
            say(fb.readline().decode() == name(a) + ": again\n")
            b.sendall(b"bye\n"); b.shutdown(socket.SHUT_WR); ended = time.time()
            say(fa.readline().decode() == name(b) + ": bye\n")
            say(fa.readline().decode() == name(b) + " has gone\n")
            say(fb.readline() == b"", time.time() - ended < 4)
            ]],
            s.port
        )
        assert.equal(("True\n"):rep(5) .. "True True\n", p:finish())
        s:kill()
    end)

    it("tells everybody everything while many come and go", function()
        local s = server "chat"
        local p = t.python(
            [[
            socks = [connect(argv[0]) for i in range(90)] # a task has its turn for 64 calls
            names = ["%s:%d" % c.getsockname() for c in socks]
            def heard(i): # each of those who come later, once, in any order
                f = socks[i].makefile("r")
                return sorted(f.readline() for later in names[i + 1:])
            say([i for i in range(90) if heard(i) != sorted(name + " has come\n" for name in names[i + 1:]) ])
            said = ["%s: %d\n" % (names[0], i) for i in range(30)]
            for i in range(1, 41):
                if i <= 30: socks[0].sendall(b"%d\n" % (i - 1))
                socks[i].close()
                if i <= 20: socks.append(connect(argv[0]))
            def lines(s):
                f, count, heard = s.makefile("r"), 0, []
                while count < 40 + 20 + 30: heard.append(f.readline()); count += 1
                return [line for line in heard if ": " in line]
            say([i for i in range(41, 90) if lines(socks[i]) != said])
            ]],
            s.port
        )
        assert.equal("[]\n[]\n", p:finish(LIMIT))
        s:kill()
    end)

    it("goes on when it is out of descriptors, and does not spin", function()
        local s = listening(example_within(20, "chat"))
        outlives_want_of_descriptors(s, "chat: ", "s.shutdown(socket.SHUT_WR); return drain(s) is not None")
    end)

    it("puts a client out that says nothing for long, or too much at once, and tells it what it has to hear", function()
        local s = listening(run(hurried("chat", "PATIENCE = 600", "PATIENCE = 0.3")))
        local p = t.python([[say(drain(connect(argv[0])) == b"")]], s.port)
        assert.equal("True\n", p:finish())
        s:kill()
        s = server "chat"
        p = t.python(
            [[
            a = connect(argv[0]); b = connect(argv[0]); fa = a.makefile("rb")
            fa.readline(); a.sendall(b"hello\n"); b.sendall(b"x" * 2000)
            say(drain(b).endswith(b": hello\n"), fa.readline().endswith(b" has gone\n"))
            for i in range(20): b.sendall(b"x" * 1000); time.sleep(0.01) # it is no broken connection
            say(b.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            ]],
            s.port
        )
        assert.equal("True True\n0\n", p:finish())
        s:kill()
    end)

    it("is delayed by no client that does not read, and puts it out", function()
        local s = server "chat"
        local p = t.python(
            [[
            deaf = connect(argv[0])
            speaker = connect(argv[0]); take(deaf, 10)
            hearer = connect(argv[0]); f = hearer.makefile("rb")
            speaker.makefile("rb").readline()
            worst, line, lines = 0, b"x" * 900 + b"\n", 0
            gone = b""
            while not gone.endswith(b" has gone\n"):
                start = time.time()
                speaker.sendall(line); gone = f.readline()
                worst = max(worst, time.time() - start); lines += 1
                if gone.endswith(b"x\n"): gone = b""
            say(lines > 100, worst < 5)
            say(gone.decode().split()[0] == "%s:%d" % deaf.getsockname())
            ]],
            s.port
        )
        assert.equal("True True\nTrue\n", p:finish(LIMIT))
        s:kill()
    end)
end)

-- Runs an example that needs another module, and again where there are too few descriptors twice.
local function with(module, name)
    local there = t.lua(("print(pcall(require, %q))"):format(module)):finish():find "^true"
    if not there then
        pending("no " .. module .. " for this Lua")
    end
    local lines = {
        "accept: Connection closed",
        "client 1 got CLIENT 1",
        "client 2 got CLIENT 2",
        "client 3 got CLIENT 3",
    }
    assert.same(lines, sorted(well(example(name))))
    table.insert(lines, 2, "accept: Too many open files")
    table.insert(lines, 2, "accept: Too many open files")
    assert.same(lines, sorted(well(run(failing(name, "accept", 'nil, "Too many open files"')))))
end

describe("examples/in_cqueues.lua", function()
    t.guard()

    it("has tasks and cqueues' coroutines go on side by side, and ends", function()
        with("cqueues", "in_cqueues")
    end)
end)

describe("examples/in_luv.lua", function()
    t.guard()

    it("has tasks and luv's callbacks go on side by side, and ends", function()
        with("luv", "in_luv")
    end)
end)

describe("examples/echo_unix.lua", function()
    t.guard()

    it("serves one client after another and removes its path", function()
        local path = t.tmpdir() .. "/echo"
        local s = server("echo_unix", path, 2)
        assert.equal("unix:" .. path, s.where)
        for _, text in ipairs { "one", "two" } do
            local p = t.socat("-t", "10", "-", "UNIX-CONNECT:" .. path)
            p:send(text)
            assert.equal(text, p:take(#text))
            p:eof()
            p:finish()
        end
        assert.equal("", well(s))
        assert.is_true(is_gone(path))
    end)

    it("goes on when it is out of descriptors, and does not spin", function()
        local s = server("echo_unix", "", 1)
        local started, p = t.now(), t.python(
            [[
            import resource
            if not hasattr(resource, "prlimit"): say("no prlimit"); sys.exit()
            pid, path = int(argv[0]), "\0" + argv[1]
            in_use = [int(fd) for fd in os.listdir("/proc/%d/fd" % pid)]
            free = min(set(range(len(in_use) + 1)) - set(in_use))
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, before[1]))
            s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(path); say("connected")
            hear(); resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            s.sendall(b"hello"); say(take(s, 5) == b"hello")
            ]],
            s.pid,
            s.where:match "@(.*)$"
        )
        if p:line() == "no prlimit" then
            s:kill()
            pending "no prlimit(2) here"
        end
        says_want_of_descriptors(s, "accept: ", started)
        p:say "on"
        assert.equal("True\n", p:finish())
        assert.truthy(well(s))
    end)

    it("serves the next one when a client has had its time, whatever it does", function()
        local s = listening(run(hurried("echo_unix", "PATIENCE = 60", "PATIENCE = 0.3")))
        local p = t.python(
            [[
            s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect("\0" + argv[0])
            try:
                while True:
                    s.sendall(b"x")
                    if take(s, 1) != b"x": break
                    time.sleep(0.01)
            except (ConnectionResetError, BrokenPipeError): pass
            s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect("\0" + argv[0])
            say(drain(s) == b"") # its time is over soon as well
            ]],
            s.where:match "@(.*)$"
        )
        assert.equal("True\n", p:finish())
        assert.equal("client 1: " .. t.socket.ERROR_TIMEOUT, s:line())
        s:kill()
    end)

    it("takes a name of the system's choice", function()
        local s = server("echo_unix", "", 1)
        assert.truthy(s.where:find "^unix:@%x+$")
        local p = t.socat("-t", "10", "-", "ABSTRACT-CONNECT:" .. s.where:match "@(.*)$")
        p:send "hello"
        assert.equal("hello", p:take(5))
        p:eof()
        p:finish()
        well(s)
    end)
end)

-- Answers each line in capital letters, by Python's own server class; says its port.
local LINE_SERVER = [[
    import socketserver
    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(line.upper())
                self.wfile.flush()
            self.wfile.write(b"bye")
    server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
    say(server.server_address[1])
    server.handle_request()
    server.server_close()
]]

describe("examples/line_client.lua", function()
    t.guard()

    it("prints an answer to each line, then what the server still says", function()
        local s = t.python(LINE_SERVER)
        local p = example("line_client", "127.0.0.1", s:number())
        p:say "one"
        assert.equal("ONE", p:line())
        p:say ""
        assert.equal("", p:line())
        p:say "two"
        assert.equal("TWO", p:line())
        p:eof()
        assert.equal("bye", well(p))
        s:finish()
    end)

    it("connects to a path, and takes a last line that has no end", function()
        local path = t.tmpdir() .. "/lines"
        local s = t.python(
            [[
            with socket.socket(socket.AF_UNIX) as l:
                l.bind(argv[0]); l.listen(); say("ready")
                s = l.accept()[0]
            take(s, len("who\r\n")); s.sendall(b"nobody"); s.shutdown(socket.SHUT_WR)
            say(drain(s) == b"")
            ]],
            path
        )
        s:line()
        local p = example("line_client", "unix:" .. path)
        p:say "who"
        assert.equal("nobody", p:line())
        p:eof()
        well(p)
        assert.equal("True\n", s:finish())
    end)

    it("prints what has come of an answer in time, and ends with status 1", function()
        local s = t.python [[ s = accept(); s.sendall(b"so far"); say("sent"); drain(s) ]]
        local p = run(hurried("line_client", "settimeout(5)", "settimeout(0.3)"), "127.0.0.1", s:number())
        assert.equal("sent", s:line())
        p:say "one"
        assert.equal("so farline_client: Operation timed out\n", badly(p))
        s:finish()
    end)

    it("says why when nobody listens, and ends with status 1", function()
        local port, release = refusing()
        assert.equal("line_client: Connection refused\n", badly(example("line_client", "127.0.0.1", port)))
        release()
    end)
end)

describe("examples/udp_ping.lua", function()
    t.guard()

    it("goes on when the system has no datagram for it", function()
        local started = t.now()
        local s = listening(run(failing("udp_ping", "recvfrom", 'nil, nil, "Cannot allocate memory"'), "serve"))
        local p = t.python(
            [[
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10)
            s.connect(("127.0.0.1", int(argv[0]))); s.send(b"ping"); say(s.recv(2000) == b"ping")
            ]],
            s.port
        )
        assert.equal("udp_ping: Cannot allocate memory", s:line())
        assert.equal("udp_ping: Cannot allocate memory", s:line())
        assert.truthy(t.now() - started >= 0.1)
        assert.equal("True\n", p:finish())
        s:kill()
    end)

    it("answers pings, empty ones too", function()
        local s = server("udp_ping", "serve", "127.0.0.1", 0, 3)
        local p = t.python(
            [[
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10)
            s.connect(("127.0.0.1", int(argv[0])))
            for data in (b"a", b"", b"b" * 1000):
                s.send(data); say(s.recv(2000) == data)
            ]],
            s.port
        )
        assert.equal("True\nTrue\nTrue\n", p:finish())
        well(s)
    end)

    it("counts answers, and neither lost nor late ones", function()
        local s = t.python [[
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(("127.0.0.1", 0)); say(s.getsockname()[1])
            first, addr = s.recvfrom(2000) # no answer until the second has come, and to that none at all
            second, addr = s.recvfrom(2000)
            s.sendto(first, addr)
            third, addr = s.recvfrom(2000)
            s.sendto(third, addr)
        ]]
        local p = example("udp_ping", "127.0.0.1", s:number(), 3)
        assert.equal("1: Operation timed out", p:line())
        assert.equal("2: Operation timed out", p:line())
        assert.truthy(p:line():find "^3: [%d.]+ ms$")
        assert.equal("1 of 3 answered\n", badly(p))
        s:finish()
    end)

    it("is told when nobody has the port", function()
        local owner = t.socket.udp()
        assert(owner:bind("127.0.0.1", 0))
        local port = owner:getsockname()[2]
        owner:close()
        local p = example("udp_ping", "127.0.0.1", port, 1)
        assert.equal("1: Connection refused\n0 of 1 answered\n", badly(p))
    end)
end)

describe("examples/proxy.lua", function()
    t.guard()

    it("loses nothing and passes the end of either direction on", function()
        -- The server answers only when it has seen the end of what the client sends.
        local target = t.python [[
            s = accept(); data = drain(s)
            say(len(data), digest(data))
            answer = os.urandom(5000000); say(digest(answer))
            s.sendall(answer); s.close()
        ]]
        local s = server("proxy", "127.0.0.1", target:number(), 0, 1)
        local p = t.python(
            [[
            s = connect(argv[0]); data = os.urandom(4000000)
            s.sendall(data); s.shutdown(socket.SHUT_WR)
            say(len(data), digest(data)); say(digest(drain(s)))
            ]],
            s.port
        )
        assert.equal(p:line(LIMIT), target:line(LIMIT))
        assert.equal(p:line(LIMIT), target:line(LIMIT))
        p:finish()
        target:finish()
        assert.equal("", well(s))
    end)

    it("copies both ways at once, however slow one side is", function()
        -- More than all buffers on the way hold: the proxy has to keep parts of its pieces for later.
        local target = t.python [[
            import threading
            with socket.socket() as l:
                l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                l.bind(("127.0.0.1", 0)); l.listen(); say(l.getsockname()[1]); s = l.accept()[0]
            data = os.urandom(20000000); say(digest(data))
            writer = threading.Thread(target=s.sendall, args=(data,)); writer.start()
            hear() # the client cannot send any more by now
            say(digest(take(s, 20000000)))
            writer.join(); s.close()
        ]]
        local s = server("proxy", "127.0.0.1", target:number(), 0, 1)
        local p = t.python(
            [[
            import threading
            s = connect(argv[0]); data = os.urandom(20000000); say(digest(data))
            s.setblocking(False); view = memoryview(data); sent = full = 0
            while full < 20:
                try: sent += s.send(view[sent:]); full = 0
                except BlockingIOError: full += 1; select.select([], [s], [], 0.01)
            say(sent < len(data)); s.setblocking(True)
            writer = threading.Thread(target=s.sendall, args=(view[sent:],)); writer.start()
            say(digest(drain(s)))
            writer.join(); s.close()
            ]],
            s.port
        )
        local sent_down, sent_up = target:line(LIMIT), p:line(LIMIT)
        assert.equal("True", p:line(LIMIT))
        target:say "read"
        assert.equal(sent_up, target:line(LIMIT))
        assert.equal(sent_down, p:line(LIMIT))
        p:finish()
        target:finish()
        well(s)
    end)

    it("passes a broken connection on", function()
        local target = t.python [[ s = accept(); say(take(s, 1) == b"x"); say(drain(s) == b""); s.close() ]]
        local s = server("proxy", "127.0.0.1", target:number(), 0, 1)
        local p = t.python([[ s = connect(argv[0]); s.sendall(b"x"); hear(); reset(s) ]], s.port)
        assert.equal("True", target:line())
        p:say "break it"
        p:finish()
        assert.equal("True\n", target:finish())
        assert.equal("proxy: Connection reset by peer\n", well(s))
    end)

    it("serves several connections at once", function()
        local s = web { a = "first page", b = ("x"):rep(300000) }
        local proxy = server("proxy", "127.0.0.1", s.port, 0, 3)
        -- One that says nothing does not hold up the others.
        local p = t.python(
            [[
            import urllib.request
            silent = connect(argv[0])
            for name in ("a", "b"):
                with urllib.request.urlopen("http://127.0.0.1:%s/%s" % (argv[0], name), timeout=10) as page:
                    say(len(page.read()))
            silent.close()
            ]],
            proxy.port
        )
        assert.equal("10\n300000\n", p:finish(LIMIT))
        well(proxy)
        s:kill()
    end)

    local function outlives_want(descriptors)
        local target = t.socat_server("TCP-LISTEN:0,bind=127.0.0.1,fork", "EXEC:cat")
        local s = listening(example_within(descriptors, "proxy", "127.0.0.1", target.port))
        local started, p = t.now(), t.python(
            [[
            socks = [connect(argv[0]) for i in range(30)]
            hear()
            for s in socks: s.close()
            served = False
            while not served: # those that have gone are still passed on before it
                try:
                    s = connect(argv[0]); s.sendall(b"hello"); served = take(s, 5) == b"hello"
                except ConnectionError: pass
            say(served)
            ]],
            s.port
        )
        local accept_failed = s:line() == "proxy: " .. t.text "EMFILE"
        if accept_failed then
            says_want_of_descriptors(s, "proxy: ", started)
        end
        p:say "on"
        assert.equal("True\n", p:finish(LIMIT))
        s:kill()
        target:kill()
        return accept_failed
    end

    it("goes on when it is out of descriptors, and does not spin", function()
        -- It takes two for a connection. With the one number the client's is not there, with the other the target's.
        assert.are_not.equal(outlives_want(20), outlives_want(21))
    end)

    it("ends connections on which nothing happens", function()
        local target = t.python [[ s = accept(); say(drain(s) == b"") ]]
        local s = listening(run(hurried("proxy", "IDLE = 300", "IDLE = 0.3"), "127.0.0.1", target:number(), 0, 1))
        local p = t.python([[say(drain(connect(argv[0])) == b"")]], s.port)
        assert.equal("True\n", p:finish())
        assert.equal("True\n", target:finish())
        assert.equal("proxy: Operation timed out\n", well(s))
    end)

    it("ends the connection when the target refuses it", function()
        local port, release = refusing()
        local s = server("proxy", "127.0.0.1", port, 0, 1)
        local p = t.python([[say(drain(connect(argv[0])) == b"")]], s.port)
        assert.equal("True\n", p:finish())
        assert.equal("proxy: 127.0.0.1: Connection refused\n", well(s))
        release()
    end)
end)

describe("examples/downloads.lua", function()
    t.guard()

    it("fetches pages of any size", function()
        local s = web { a = "", b = "x", c = t.random(100000), d = t.random(2000000) }
        local p = example("downloads", 3, "127.0.0.1", s.port, "/a", "/b", "/c", "/d", "/none")
        local lines = sorted(well(p))
        for i, bytes in ipairs { 0, 1, 100000, 2000000 } do
            local wanted = ("^/%s +HTTP/1.0 200 OK, %d bytes$"):format(("abcd"):sub(i, i), bytes)
            assert.truthy(lines[i]:find(wanted), lines[i])
        end
        assert.truthy(lines[5]:find "^/none +HTTP/1.0 404 ")
        s:kill()
    end)

    it("has as many of them under way as it is told", function()
        -- Nobody is answered before all have asked.
        local s = t.python [[
            with listen() as l: socks = [l.accept()[0] for i in range(20)]
            for s in socks:
                head = b""
                while not head.endswith(b"\r\n\r\n"): head += s.recv(1)
            for s in socks: s.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1000); s.close()
        ]]
        local paths = {}
        for i = 1, 20 do
            paths[i] = ("/%02d"):format(i)
        end
        local p = example("downloads", 20, "127.0.0.1", s:number(), (table.unpack or unpack)(paths))
        local lines = sorted(well(p))
        assert.equal(20, #lines)
        for i, line in ipairs(lines) do
            assert.truthy(line:find(("^/%02d +HTTP/1.0 200 OK, 1000 bytes$"):format(i)), line)
        end
        s:finish()
    end)

    it("has no more of them under way", function()
        local s = t.python [[
            with listen() as l:
                socks = [l.accept()[0] for i in range(3)]
                say(select.select([l], [], [], 0.2)[0] == [])
                for i in range(5):
                    s = socks.pop(0)
                    head = b""
                    while not head.endswith(b"\r\n\r\n"): head += s.recv(1)
                    s.sendall(b"HTTP/1.0 200 OK\r\n\r\nx"); s.close()
                    if i < 2: socks.append(l.accept()[0])
                say(select.select([l], [], [], 0)[0] == [])
        ]]
        local p = example("downloads", 3, "127.0.0.1", s:number(), "/a", "/b", "/c", "/d", "/e")
        assert.equal(5, #sorted(well(p)))
        assert.equal("True\nTrue\n", s:finish())
    end)

    it("understands an answer that comes byte by byte", function()
        local s = t.python [[
            s = accept(); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            take(s, len("GET /slow HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"))
            for byte in b"HTTP/1.0 200 Fine\r\nContent-Length: 7\r\n\r\nabcdefg":
                s.sendall(bytes([byte])); time.sleep(0.002)
            hear()
        ]]
        local p = example("downloads", 3, "127.0.0.1", s:number(), "/slow")
        assert.truthy(well(p):find "^/slow +HTTP/1.0 200 Fine, 7 bytes\n$")
        s:say "done"
        s:finish()
    end)

    it("waits for a page as long as it says, however it comes", function()
        local s = t.python [[
            s = accept()
            try:
                s.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                while True: s.sendall(b"x"); time.sleep(0.01)
            except (ConnectionResetError, BrokenPipeError): pass
        ]]
        local p = run(hurried("downloads", "PATIENCE = 60", "PATIENCE = 0.5"), 1, "127.0.0.1", s:number(), "/slow")
        assert.truthy(badly(p):find "^/slow +Operation timed out")
        s:finish()
    end)

    it("reports pages that break off, endless headers and refused connections", function()
        local s = t.python [[
            with listen() as l: socks = [l.accept()[0] for i in range(2)]
            for s in socks:
                path = take(s, len("GET /x HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"))[4:6]
                if path == b"/a": s.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nabc")
                else: s.sendall(b"HTTP/1.0 200 OK\r\nX: " + b"x" * 10000)
                s.shutdown(socket.SHUT_WR)
            for s in socks: drain(s)
        ]]
        local p = example("downloads", 3, "127.0.0.1", s:number(), "/a", "/b")
        local lines = sorted(badly(p))
        assert.truthy(lines[1]:find "^/a +Connection closed after 3 bytes$", lines[1])
        assert.truthy(lines[2]:find "^/b +Limit exceeded$", lines[2])
        s:finish()
        local port, release = refusing()
        assert.truthy(badly(example("downloads", 3, "127.0.0.1", port, "/c")):find "^/c +Connection refused\n$")
        release()
    end)
end)

-- A server that tells whether a request has come with one segment (on Linux: its count is tcpi_data_segs_in).
local ONE_SEGMENT = [[
    s = accept(); data = first = s.recv(1000)
    while not data.endswith(b"\r\n\r\n"): data += s.recv(1000)
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 156) if sys.platform == "linux" else b""
    segments = len(info) == 156 and struct.unpack("I", info[152:])[0]
    say(first == data and (not segments or segments == 1))
    s.sendall(b"answer"); s.close()
]]

describe("examples/client.lua", function()
    t.guard()

    it("prints a page that is shorter than it asks for", function()
        local s = web { ["index.html"] = "welcome" }
        local text = well(example("client", "127.0.0.1", s.port))
        assert.truthy(text:find "^HTTP/1.0 200 OK\r\n")
        assert.truthy(text:find "\r\n\r\nwelcome$")
        s:kill()
    end)

    it("asks with one segment", function()
        local s = t.python(ONE_SEGMENT)
        assert.equal("answer", well(example("client", "127.0.0.1", s:number())))
        assert.equal("True\n", s:finish())
    end)

    it("prints what has come when the server stays silent", function()
        local s = t.python [[
            s = accept()
            head = take(s, len("GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"))
            s.sendall(b"so far"); say(head == b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            drain(s)
        ]]
        assert.equal("so far", well(example("client", "127.0.0.1", s:number())))
        assert.equal("True\n", s:finish())
    end)

    it("says why when nobody listens", function()
        local port, release = refusing()
        assert.equal("127.0.0.1: Connection refused\n", badly(example("client", "127.0.0.1", port)))
        release()
    end)
end)

-- The script that starts the processes, with a Lua that others may come before (valgrind).
local function prefork(each, ...)
    local lua = "LUA=" .. (os.getenv "SSOCKET_LUA" or "lua")
    return t.spawn({ "env", lua, "EACH=" .. each, "examples/prefork.sh", ... }, true)
end

-- describe("examples/prefork.lua": all of it is run by the script.
describe("examples/prefork.sh", function()
    t.guard()

    it("loses no client while workers end and are replaced", function()
        local s = listening(prefork(3, "master", "2", "127.0.0.1", "0", "30"))
        local p = t.python(
            [[
            socks = [connect(argv[0]) for i in range(30)]
            for i, s in enumerate(socks): s.sendall(b"%d\n" % i)
            answers = []
            while socks: # in any order: a worker that is to be replaced waits for its clients to go
                for s in select.select(socks, [], [], 20)[0]:
                    answers.append(s.recv(100).decode().strip().split(": ")); s.close(); socks.remove(s)
            say(sorted(int(n) for name, n in answers) == list(range(30)))
            say(*sorted(set(name for name, n in answers)))
            ]],
            s.port
        )
        assert.equal("True", p:line(LIMIT))
        assert.truthy(p:finish():find "^worker %d")
        assert.equal("", well(s))
    end)

    -- Both come while the master is stopped, the worker first.
    it("tells the end to a worker that comes as the last client does", function()
        local dir = t.tmpdir()
        local s = server("prefork", "master", dir .. "/s", "127.0.0.1", 0, 1)
        local p = t.python(
            [[
            import fcntl, termios
            def join():
                s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(argv[0]); return s
            def unread(s):
                return struct.unpack("i", fcntl.ioctl(s, termios.TIOCOUTQ, b"1234"))[0]
            first = join(); first.sendall(b"?")
            limit = time.monotonic() + 20
            while unread(first): assert time.monotonic() < limit, "nobody takes it"
            os.kill(int(argv[2]), signal.SIGSTOP)
            second = join(); client = connect(argv[1])
            os.kill(int(argv[2]), signal.SIGCONT)
            data, fds, flags, address = socket.recv_fds(first, 1, 1)
            say(data.decode(), len(fds)); say(first.recv(1), second.recv(1))
            ]],
            dir .. "/s",
            s.port,
            s.pid
        )
        assert.equal("c 1", p:line(LIMIT))
        assert.equal("b'' b''", p:line(LIMIT))
        p:finish()
        assert.equal("", well(s))
    end)

    it("goes on when a worker is killed", function()
        local dir = t.tmpdir()
        local s = server("prefork", "master", dir .. "/s", "127.0.0.1", 0, 4)
        local lost = example("prefork", "worker", dir .. "/s", "lost", 100)
        local p = t.python(
            [[
            def ask(s):
                s.sendall(b"hello\n"); say(s.recv(100).decode().strip())
            s = connect(argv[0]); ask(s)
            hear(); waiting = connect(argv[0]); hear(); ask(waiting)
            for i in range(2): ask(connect(argv[0]))
            ]],
            s.port
        )
        assert.equal("lost: hello", p:line())
        lost:kill()
        p:say "it is gone"
        local heir = example("prefork", "worker", dir .. "/s", "heir", 3)
        p:say "there is another"
        assert.equal(("heir: hello\n"):rep(3), p:finish(LIMIT))
        assert.equal("", well(heir))
        assert.equal("", well(s))
    end)

    it("starts processes that share a port", function()
        local owner = t.socket.tcp() -- of the port; it does not listen
        assert(owner:setopt(t.socket.OPT_REUSEPORT, true))
        assert(owner:bind("127.0.0.1", 0))
        local s = prefork(0, "alone", "2", "127.0.0.1", owner:getsockname()[2], "5")
        listening(s)
        listening(s)
        local p = t.python(
            [[
            answers = []
            while len(answers) < 10:
                try:
                    s = connect(argv[0]); s.sendall(b"hello\n")
                    data = s.recv(100)
                    if data: answers.append(data.decode())
                    s.close()
                except (ConnectionResetError, ConnectionRefusedError, BrokenPipeError): pass
            say(sorted(answers) == ["process 1: hello\n"] * 5 + ["process 2: hello\n"] * 5)
            ]],
            s.port
        )
        assert.equal("True\n", p:finish(LIMIT))
        well(s)
        owner:close()
    end)
end)

describe("examples/redis_pool.lua", function()
    t.guard()

    -- Runs it with these lines of input.
    local function ask(text, ...)
        local p = example("redis_pool", ...)
        p:send(text)
        p:eof()
        return p
    end

    for name, unix in pairs { ["TCP"] = false, ["a Unix socket"] = true } do
        it("sends commands together over " .. name .. ", and prints the answers in order", function()
            local s = t.server("redis", unix)
            local address = unix and { "unix:" .. s.path } or { "127.0.0.1", s.port }
            local unpack = table.unpack or _G.unpack
            local text = "set a 1\nget a\nincr a\n\n\nget none\nrpush l x y\nlrange l 0 -1\nlrange l 5 6\nnonsense\n"
            assert.equal(
                "OK\n1\n2\nnothing\n2\n[x, y]\n[]\nerror: ERR unknown command",
                well(ask(text, 2, unpack(address))):match "^(.-command)"
            )
            local groups = {}
            for i = 1, 20 do
                groups[i] = ("incr b\nset c%d %s\nget c%d\n"):format(i, ("v"):rep(i), i)
            end
            local said = well(ask(table.concat(groups, "\n"), 3, unpack(address)))
            local numbers, i = {}, 0
            for number, value in said:gmatch "(%d+)\nOK\n(v+)\n" do
                i = i + 1
                numbers[tonumber(number)] = true
                assert.equal(i, #value)
            end
            assert.equal(20, #numbers)
            assert.equal(20, i)
            assert.equal("nothing\n", well(ask("get none", 1, unpack(address))))
            local stats = well(ask("info stats", 1, unpack(address)))
            local received = tonumber(stats:match "total_connections_received:(%d+)")
            assert.is_true(received <= 2 + 3 + 1 + 1, received)
            s:kill()
        end)
    end

    it("tries once more when a connection from the pool ends, and only once", function()
        local s = t.python [[
            l = listen()
            def ask(s, answer):
                data = b""
                while not data.endswith(b"PING\r\n"): data += s.recv(100)
                if answer: s.sendall(answer)
                else: s.close()
            a, _ = l.accept(); ask(a, b"+one\r\n"); ask(a, None)
            b, _ = l.accept(); ask(b, b"+two\r\n"); drain(b)
            c, _ = l.accept(); ask(c, b"+one\r\n"); ask(c, None)
            d, _ = l.accept(); ask(d, None)
            say(drain(l.accept()[0]) == b"")
        ]]
        local port = s:number()
        assert.equal("one\ntwo\n", well(ask("PING\n\nPING\n", 1, "127.0.0.1", port)))
        assert.equal("one\nConnection closed\n", badly(ask("PING\n\nPING\n", 1, "127.0.0.1", port)))
        t.socket.connect("127.0.0.1", port, 5):close() -- nobody has come before
        assert.equal("True\n", s:finish())
    end)

    it("says why when the server is not there, or is another one", function()
        local port, release = refusing()
        assert.equal("Connection refused\n", badly(ask("PING\n", 1, "127.0.0.1", port)))
        release()
        local s = t.python [[ s = accept(); take(s, 10); s.sendall(b"HTTP/1.1 400 Bad Request\r\n"); drain(s) ]]
        assert.equal("this is not Redis\n", badly(ask("PING\n", 1, "127.0.0.1", s:number())))
        s:finish()
    end)
end)

describe("examples/demo.lua", function()
    t.guard()

    it("does what it says and leaves nothing behind", function()
        local text = well(example "demo")
        for _, line in ipairs {
            'sock:read(1024)                            -> nil, "Operation timed out", "hello"',
            'next_line()                                -> nil, "Connection closed", "gamma"',
            '-> nil, "Connection refused"',
            '-> "PING", 127.0.0.1:',
            "Next: README.md",
        } do
            assert.truthy(text:find(line, 1, true), line .. "\nin:\n" .. text)
        end
        local path = text:match "and unix:([^\n]*)"
        assert.is_true(is_gone(path))
        assert.is_nil(text:find "[^\n -~]") -- plain ASCII
    end)

    it("has a server that goes on when it is out of descriptors", function()
        local text = well(run(failing("demo", "accept", 'nil, "Too many open files"')))
        assert.truthy(text:find("accept: Too many open files\n", 1, true), text)
    end)

    it("fails when the server is not what it should be", function()
        local wrong = t.tmpdir() .. "/demo.lua"
        write_file(wrong, (read_file("examples/demo.lua"):gsub("data:upper%(%)", "data")))
        local text = badly(run(wrong))
        assert.truthy(text:find('demo: sock:recvfrom() gave "ping", 127', 1, true), text)
        assert.is_true(is_gone(text:match "and unix:([^\n]*)"))
    end)

    it("fetches a page from a web server", function()
        local s = web { ["index.html"] = ("x"):rep(12345) }
        local text = well(example("demo", "127.0.0.1:" .. s.port))
        assert.truthy(text:find("HTTP/1.0 200 OK\n", 1, true))
        assert.truthy(text:find("Content-Length: 12345\n", 1, true))
        assert.truthy(text:find "\n  12345 bytes\n$")
        s:kill()
    end)

    it("says why when the web server is not there", function()
        local port, release = refusing()
        local text = badly(example("demo", "127.0.0.1:" .. port))
        assert.equal(("demo: 127.0.0.1:%d: Connection refused\n"):format(port), text)
        release()
    end)
end)

describe("README.md", function()
    t.guard()

    it("has a server that goes on when it is out of descriptors, and does not spin", function()
        local s = program_within(20, "README.md", "A server for many clients")
        outlives_want_of_descriptors(s, "", 's.sendall(b"hello"); return take(s, 5) == b"hello"')
    end)

    it("has a client that asks with one segment", function()
        local s, path = t.python(ONE_SEGMENT), t.tmpdir() .. "/client.lua"
        local here = ('"127.0.0.1", %d'):format(s:number())
        write_file(path, (read_file("README.md"):match("```lua\n(.-\n)```"):gsub('"example.com", 80', here)))
        assert.equal("answer", well(run(path)))
        assert.equal("True\n", s:finish())
    end)
end)

describe("docs/tasks.md", function()
    t.guard()

    it("has a server that goes on when it is out of descriptors, and does not spin", function()
        local s = program_within(20, "docs/tasks.md", "A server")
        outlives_want_of_descriptors(s, "", 's.sendall(b"hello\\n"); return take(s, 6) == b"HELLO\\n"')
    end)

    it("has a server that breaks off no connection in which a line is too long", function()
        local s = program_within(20, "docs/tasks.md", "A server")
        local p = t.python(
            [[
            s = connect(argv[0]); s.sendall(b"first\nsecond\n" + b"x" * 2000)
            say(drain(s).decode().split())
            for i in range(20): s.sendall(b"x" * 1000); time.sleep(0.01)
            say(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            ]],
            s.port
        )
        assert.equal("['FIRST', 'SECOND']\n0\n", p:finish())
        s:kill()
    end)
end)

describe("examples", function()
    it("are what the benchmark measures: its web servers answer as the example does", function()
        local function body_of(path)
            return (assert(read_file(path):match "answer%(head%)\n(.-)\nend\n"))
        end
        assert.equal(body_of "examples/http_server.lua", body_of "bench/lua/page.lua")
    end)

    it("are all run by this file, or by the one of those with TLS", function()
        local source = read_file "spec/examples_spec.lua" .. read_file "spec/examples_tls_spec.lua"
        local list = assert(io.popen "ls examples")
        for name in list:lines() do
            assert.truthy(source:find('describe("examples/' .. name, 1, true), name)
        end
        list:close()
    end)
end)
