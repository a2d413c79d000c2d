-- Shows the module at work: `./demo`, or by hand
--
--   lua examples/demo.lua              against a server that it starts itself
--   lua examples/demo.lua host:port    fetches a page from a web server
--   lua examples/demo.lua https://host/path    the same over TLS, with https_client.lua
--
-- Ends with status 1 when something did not behave as described in docs/reference.md.

local socket = require "ssocket"

local LIFE = 30 -- seconds after which the server ends, whatever happened to its client

-- ---- showing ----

local function shown(value)
    if type(value) ~= "string" then
        return tostring(value)
    end
    return '"' .. value:gsub("\r", "\\r"):gsub("\n", "\\n") .. '"'
end

local function list(...)
    local parts = {}
    for i = 1, select("#", ...) do
        parts[i] = shown((select(i, ...)))
    end
    return table.concat(parts, ", ")
end

-- Prints a call and its results. `expected`: what these must look like, or nil.
local function step(call, expected, ...)
    local results = list(...)
    print(results == "" and "  " .. call or ("  %-42s -> %s"):format(call, results))
    if expected and results ~= expected then
        error(("%s gave %s and not %s"):format(call, results, expected), 0)
    end
end

local function title(text)
    print("\n" .. text)
end

-- ---- the server: one client after another, on TCP and a Unix socket; datagrams in between ----

local answers = {}

function answers.greet(client, next_line)
    client:write "hello"
    next_line() -- the rest comes when the client has said something
    client:write ", world"
end

-- Three lines, cut in unlucky places.
function answers.lines(client)
    for _, piece in ipairs { "alpha\r\nbe", "ta\r", "\ngamma" } do
        client:write(piece)
        socket.sleep(0.05)
    end
end

function answers.who(client)
    client:write { "a server on ", tostring(client:getsockname()), "\n" }
end

-- True: the server is to end.
local function serve(client)
    client:settimeout(5)
    local next_line = client:readuntil("\n", false, 1000)
    local command = next_line()
    if answers[command] then
        answers[command](client, next_line)
    end
    client:close()
    return command == "quit"
end

local function welcome(listener)
    local client, err = listener:accept()
    if client then
        return serve(client)
    end
    io.stderr:write("accept: ", err, "\n")
    socket.sleep(0.1) -- out of descriptors: clients may have gone then
end

local function answer(udpsock)
    local data, addr = udpsock:recvfrom()
    if data then
        udpsock:sendto(data:upper(), addr)
    end
end

local function bound(sock, ...)
    sock:settimeout(5) -- a client that select has told of may be gone when accept comes
    assert(sock:bind(...))
    return sock
end

local function run_server(path)
    local tcp, unix = bound(socket.tcp(), "127.0.0.1", 0), bound(socket.tcp(), path)
    local udp = bound(socket.udp(), "127.0.0.1", 0)
    assert(tcp:listen())
    assert(unix:listen())
    print(tcp:getsockname()[2])
    print(udp:getsockname()[2])
    io.stdout:flush()
    local finish, done = socket.now() + LIFE, false
    while not done and socket.now() < finish do
        for _, sock in ipairs(socket.select({ tcp, unix, udp }, nil, finish - socket.now()) or {}) do
            if sock == udp then
                answer(udp)
            else
                done = welcome(sock) or done
            end
        end
    end
    os.remove((path:gsub("^unix:", "")))
end

-- ---- the client ----

local function read_what_there_is(port)
    title "A client: connect, write, read with a deadline"
    local sock = socket.tcp()
    step("sock:settimeout(5)", "", sock:settimeout(5))
    step(("sock:connect(\"127.0.0.1\", %d)"):format(port), "true", sock:connect("127.0.0.1", port))
    step('sock:write("greet\\n")', "6", sock:write "greet\n")
    step("sock:settimeout(1)", "", sock:settimeout(1))
    step("sock:read(1024)", 'nil, "Operation timed out", "hello"', sock:read(1024))
    step('sock:write("go on\\n")', "6", sock:write "go on\n")
    step("sock:settimeout(5)", "", sock:settimeout(5))
    step("sock:read(7)", '", world"', sock:read(7))
    step("sock:read(1)", 'nil, "Connection closed", ""', sock:read(1))
    step("sock:close()", "1", sock:close())
end

local function read_lines(port)
    title "Lines that arrive in pieces"
    local sock = socket.tcp()
    sock:settimeout(5)
    assert(sock:connect("127.0.0.1", port))
    assert(sock:write "lines\n")
    local next_line = sock:readuntil "\r\n"
    step('next_line = sock:readuntil("\\r\\n")')
    step("next_line()", '"alpha"', next_line())
    step("next_line()", '"beta"', next_line())
    step("next_line()", 'nil, "Connection closed", "gamma"', next_line())
    sock:close()
end

local function use_unix(path)
    title "The same over a Unix socket"
    local sock = socket.tcp()
    sock:settimeout(5)
    step(("sock:connect(%q)"):format(path), "true", sock:connect(path))
    step('sock:write { "who", "\\n" }', "4", sock:write { "who", "\n" })
    step("sock:readall()", ('"a server on %s\\n"'):format(path), sock:readall())
    sock:close()
end

local function be_refused()
    title "A port on which nobody listens"
    local owner, sock = bound(socket.tcp(), "127.0.0.1", 0), socket.tcp()
    local addr = owner:getsockname() -- bound and not listening: nobody else can take it meanwhile
    sock:settimeout(5)
    step(("sock:connect(\"127.0.0.1\", %d)"):format(addr[2]), 'nil, "Connection refused"', sock:connect(addr))
    owner:close()
end

local function exchange_datagrams(port)
    title "UDP"
    local sock = socket.udp()
    sock:settimeout(5)
    step(("sock:sendto(\"ping\", \"127.0.0.1\", %d)"):format(port), "true", sock:sendto("ping", "127.0.0.1", port))
    step("sock:recvfrom()", ('"PING", 127.0.0.1:%d'):format(port), sock:recvfrom())
    sock:close()
end

-- A certificate for demo.test and its key, in two files; nil where there is no openssl program.
local function make_certificate(cert, key)
    local command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=demo "
        .. "-addext subjectAltName=DNS:demo.test -keyout '%s' -out '%s' 2>/dev/null"
    local status = os.execute(command:format(key, cert))
    return status == true or status == 0
end

-- A socket whose peer answers a handshake with that certificate, in a task.
local function beside_tls_server(tls, ctx)
    local sock, peer = assert(socket.pair())
    sock:settimeout(5)
    peer:settimeout(5)
    socket.spawn(function()
        if tls.server(peer, ctx) then
            peer:write "hello"
        end
        peer:close()
    end)
    return sock
end

local function shake_hands(tls, cert, key)
    local server_ctx = assert(tls.context { cert = cert, key = key })
    local ctx = assert(tls.context { ca = cert })
    step(("ctx = tls.context { ca = %q }"):format(cert), "")
    local sock = beside_tls_server(tls, server_ctx)
    step('tls.client(sock, "demo.test", ctx)', "true", tls.client(sock, "demo.test", ctx))
    local info = tls.info(sock)
    step("tls.info(sock).version, .cipher", nil, info.version, info.cipher)
    step("sock:read(5)", '"hello"', sock:read(5))
    sock:close()
    sock = beside_tls_server(tls, server_ctx)
    local ok, err, reason = tls.client(sock, "other.test", ctx)
    step('tls.client(sock, "other.test", ctx)', list(nil, tls.ERROR_CERTIFICATE, reason), ok, err, reason)
    step('sock:write("secret")', 'nil, "Connection closed", 0', sock:write "secret")
end

local function use_tls()
    title "TLS"
    local built, tls = pcall(require, "ssocket.tls")
    if not built then
        return print "  ssocket.tls is not there: it is built where OpenSSL is (Debian: libssl-dev)"
    end
    local cert, key = os.tmpname(), os.tmpname()
    local ok, err = true, nil
    if make_certificate(cert, key) then
        ok, err = pcall(shake_hands, tls, cert, key)
    else
        print "  the program openssl is needed for a certificate"
    end
    os.remove(cert)
    os.remove(key)
    if not ok then
        error(err, 0)
    end
    socket.run()
end

local function use_server(tcp_port, udp_port, path)
    local lua = rawget(_G, "jit") and jit.version or _VERSION
    print(("%s on %s, and a server on 127.0.0.1:%d and %s"):format(socket._VERSION, lua, tcp_port, path))
    read_what_there_is(tcp_port)
    read_lines(tcp_port)
    use_unix(path)
    be_refused()
    exchange_datagrams(udp_port)
    use_tls()
end

-- ---- both together ----

local function quoted(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The command of the Lua that runs this file. Under the sanitizers it takes a special one, which the specs tell.
local function this_lua()
    local first = 0
    while arg[first - 1] do
        first = first - 1
    end
    return os.getenv "SSOCKET_LUA" or quoted(arg[first])
end

local function server_command(path)
    return table.concat({ this_lua(), quoted(arg[0]), "--serve", quoted(path) }, " ")
end

local function stop_server(path)
    local sock = socket.tcp()
    sock:settimeout(5)
    if sock:connect(path) then
        sock:write "quit\n"
    end
    sock:close()
end

local function demo()
    local name = os.tmpname()
    os.remove(name) -- tmpname has made a file there
    local path = "unix:" .. name
    local pipe = assert(io.popen(server_command(path)))
    local tcp_port, udp_port = tonumber(pipe:read()), tonumber(pipe:read())
    local ok, err = tcp_port and udp_port, "the server did not start"
    if ok then
        ok, err = pcall(use_server, tcp_port, udp_port, path)
        stop_server(path)
    end
    pipe:close() -- waits for its end
    os.remove(name) -- if it could not do that itself
    if not ok then
        error(err, 0)
    end
    print "\nNext: README.md lists all calls, examples/ has servers and clients, docs/reference.md says the rest."
end

-- ---- a real web server ----

local PATIENCE = 10 -- seconds for the whole page
local LONGEST = 16 * 1024 * 1024 -- bytes

-- Bounds the next call by what is left until `finish`.
local function bounded(sock, finish)
    sock:settimeout(math.max(0, finish - socket.now()))
    return sock
end

local function print_head(sock, finish)
    local next_line = sock:readuntil("\n", false, 8192)
    local line, err
    repeat
        bounded(sock, finish)
        line, err = next_line()
        line = assert(line, err):gsub("\r$", "")
        print("  " .. line)
    until line == ""
end

local function fetch(host, port)
    local sock, finish = socket.tcp(), socket.now() + PATIENCE
    local ok, err = bounded(sock, finish):connect(host, port)
    if not ok then
        error(("%s:%s: %s"):format(host, port, err), 0)
    end
    print(("connected to %s, from %s"):format(tostring(sock:getpeername()), tostring(sock:getsockname())))
    assert(bounded(sock, finish):write { "GET / HTTP/1.0\r\nHost: ", host, "\r\n\r\n" })
    print_head(sock, finish)
    local body = assert(bounded(sock, finish):readall(LONGEST))
    print(("  %d bytes"):format(#body))
    sock:close()
end

local function main(what, path)
    if what == "--serve" then
        return run_server(path)
    elseif not what then
        return demo()
    end
    if what:lower():find "^https://" then
        return dofile((arg[0]:match "^.*/" or "") .. "https_client.lua") -- with the same arguments
    end
    local host, port = what:match "^(.+):(%d+)$"
    if not host then
        error("host:port or https://host/path expected, got " .. what, 0)
    end
    fetch(host, port)
end

local ok, err = pcall(main, arg[1], arg[2])
if not ok then
    io.stderr:write("demo: ", tostring(err), "\n")
end
os.exit(ok and 0 or 1)
