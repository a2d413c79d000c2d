-- ssocket.tls: blocking calls with a timeout.
local contest = require "contest"
local meter = require "meter"
local server = require "server_on_ssocket"
local socket = contest.library "ssocket"
local tls = contest.library "ssocket.tls"

local PIECE, MESSAGE = 65536, 64
local directory = os.getenv "BENCH_CERTIFICATES"
local work = {}

local function client_context(sessions)
    return assert(tls.context { ca = directory .. "/ca.pem", sessions = sessions })
end

local function dial(host, port, ctx)
    local s = socket.tcp()
    s:settimeout(10)
    if contest.counting then
        assert(s:setopt(socket.OPT_RCVBUF, 212992)) -- for data that is to be there before the work begins
    end
    assert(s:setopt(socket.OPT_TCP_NODELAY, true))
    assert(s:connect(host, port))
    local ok, err, reason = tls.client(s, "a.test", ctx)
    if not ok then error(reason or err) end
    return s
end

local function open(host, port)
    return dial(host, port, client_context(0))
end

function work.tls_pingpong(host, port, n, size)
    local s, data = open(host, port), meter.random(size)
    meter.start()
    for _ = 1, n do
        local ok, err = s:write(data)
        if not ok then error(err) end
        ok, err = s:read(size)
        if not ok then error(err) end
    end
    meter.stop(n)
end

function work.tls_write(host, port, n, size)
    local s, data = open(host, port), meter.random(size)
    meter.start()
    for _ = 1, n do
        local ok, err = s:write(data)
        if not ok then error(err) end
    end
    meter.stop(n)
end

function work.tls_read(host, port, n, size)
    local s = open(host, port)
    meter.start()
    for _ = 1, n do
        local data, err = s:read(size)
        if not data then error(err) end
    end
    meter.stop(n)
end

-- Whatever comes, in units of `size`.
function work.tls_readsome(host, port, n, size)
    local s, have, goal = open(host, port), 0, n * size
    meter.start()
    while have < goal do
        local data, err = s:readsome(PIECE)
        if not data then error(err) end
        have = have + #data
    end
    meter.stop(n)
end

function work.tls_lines(host, port, n, _, delimiter)
    local next_line = open(host, port):readuntil(delimiter)
    meter.start()
    for _ = 1, n do
        local line, err = next_line()
        if not line then error(err) end
    end
    meter.stop(n)
end

-- A connection, with a message and its answer. The ticket comes with that.
local function connect_many(host, port, n, sessions)
    local ctx, message = client_context(sessions), ("m"):rep(MESSAGE)
    local function connect_once()
        local s = dial(host, port, ctx)
        assert(s:write(message))
        assert(s:read(MESSAGE))
        s:close()
    end
    connect_once()
    meter.start()
    for _ = 1, n do
        connect_once()
    end
    meter.stop(n)
end

function work.tls_connect(host, port, n)
    connect_many(host, port, n, 0)
end

function work.tls_connect_resumed(host, port, n)
    connect_many(host, port, n, 64)
end

local function serve_many(host, n, sessions)
    local ctx = assert(tls.context { cert = directory .. "/a.pem", sessions = sessions })
    local listener = socket.tcp()
    assert(listener:bind(host, 0))
    assert(listener:listen())
    contest.port(listener:getsockname()[2])
    local function serve_once()
        local s = assert(listener:accept())
        s:settimeout(10)
        assert(s:setopt(socket.OPT_TCP_NODELAY, true))
        assert(tls.server(s, ctx))
        assert(s:write(assert(s:read(MESSAGE))))
        assert(select(2, s:read(1)) == socket.ERROR_CLOSED)
        s:close()
    end
    serve_once()
    meter.start()
    for _ = 1, n do
        serve_once()
    end
    meter.stop(n)
end

function work.tls_serve(host, _, n)
    serve_many(host, n, 0)
end

function work.tls_serve_resumed(host, _, n)
    serve_many(host, n, 64)
end

-- tls.client with a context or without, on a connection whose peer is silent: the handshake begins, and the time is up.
local function begin_client(ctx)
    local s, peer = assert(socket.pair())
    s:settimeout(0)
    local _, err, reason = tls.client(s, "a.test", ctx)
    if err ~= socket.ERROR_TIMEOUT then error(reason or err) end
    s:close()
    peer:close()
end

-- OpenSSL itself has begun before, with another context.
function work.tls_context()
    begin_client(client_context())
    meter.start()
    begin_client()
    meter.stop(1)
end

local function begin_clients(n, ctx)
    begin_client(ctx)
    meter.start()
    for _ = 1, n do
        begin_client(ctx)
    end
    meter.stop(n)
end

function work.tls_context_again(_, _, n)
    begin_clients(n)
end

function work.tls_context_own(_, _, n)
    begin_clients(n, client_context())
end

-- Each with a task that waits for input.
function work.tls_idle(host, port, _, size)
    local ctx = client_context(0)
    contest.weigh(size, function(list, i)
        local s = dial(host, port, ctx)
        s:settimeout(socket.FOREVER or math.huge)
        list[i] = s
        socket.spawn(function()
            s:readsome(PIECE)
        end)
        socket.sleep(0)
    end)
    os.exit(0) -- the tasks go on waiting
end

function work.tls_http(host, _, n)
    local ctx = assert(tls.context { cert = directory .. "/a.pem", alpn = { "http/1.1" } })
    server.serve_all(host, n, function(client)
        client:settimeout(10)
        assert(tls.server(client, ctx))
        server.http(client)
    end)
end

contest.run(work)
