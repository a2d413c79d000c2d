-- LuaSec on LuaSocket, as its manual describes it: a connected socket is wrapped. It verifies the chain, not the name.
local contest = require "contest"
local meter = require "meter"
local ssl = contest.library "ssl"
local socket = contest.library "socket"

local PIECE, MESSAGE = 65536, 64
local directory = os.getenv "BENCH_CERTIFICATES"
local work = {}

local function client_context()
    return assert(ssl.newcontext {
        mode = "client", protocol = "any", options = "all", verify = "peer", cafile = directory .. "/ca.pem",
    })
end

local function dial(host, port, ctx)
    local s = assert(socket.tcp())
    s:settimeout(10)
    assert(s:connect(host, port))
    s:setoption("tcp-nodelay", true)
    s = assert(ssl.wrap(s, ctx))
    s:settimeout(10)
    s:sni "a.test"
    assert(s:dohandshake())
    return s
end

local function open(host, port)
    return dial(host, port, client_context())
end

function work.tls_pingpong(host, port, n, size)
    local s, data = open(host, port), meter.random(size)
    meter.start()
    for _ = 1, n do
        local ok, err = s:send(data)
        if not ok then error(err) end
        ok, err = s:receive(size)
        if not ok then error(err) end
    end
    meter.stop(n)
end

function work.tls_write(host, port, n, size)
    local s, data = open(host, port), meter.random(size)
    meter.start()
    for _ = 1, n do
        local ok, err = s:send(data)
        if not ok then error(err) end
    end
    meter.stop(n)
end

local function receive_all(s, n, what)
    meter.start()
    for _ = 1, n do
        local data, err = s:receive(what)
        if not data then error(err) end
    end
    meter.stop(n)
end

function work.tls_read(host, port, n, size)
    receive_all(open(host, port), n, size)
end

function work.tls_lines(host, port, n)
    receive_all(open(host, port), n, "*l")
end

-- What there is: a receive that does not wait, and select where there is nothing.
local function receive_some(s)
    local data, err, part = s:receive(PIECE)
    while not data and part == "" do
        if err ~= "wantread" then error(err) end
        socket.select({ s }, nil, 10)
        data, err, part = s:receive(PIECE)
    end
    return data or part
end

function work.tls_readsome(host, port, n, size)
    local s, have, goal = open(host, port), 0, n * size
    s:settimeout(0)
    meter.start()
    while have < goal do
        have = have + #receive_some(s)
    end
    meter.stop(n)
end

function work.tls_connect(host, port, n)
    local ctx, message = client_context(), ("m"):rep(MESSAGE)
    local function connect_once()
        local s = dial(host, port, ctx)
        assert(s:send(message))
        assert(s:receive(MESSAGE))
        s:close()
    end
    connect_once()
    meter.start()
    for _ = 1, n do
        connect_once()
    end
    meter.stop(n)
end

function work.tls_serve(host, _, n)
    local ctx = assert(ssl.newcontext {
        mode = "server", protocol = "any", options = "all",
        certificate = directory .. "/a.pem", key = directory .. "/a.pem",
    })
    local listener = assert(socket.bind(host, 0, 4096))
    contest.port((select(2, listener:getsockname())))
    local function serve_once()
        local s = assert(listener:accept())
        s:setoption("tcp-nodelay", true)
        s = assert(ssl.wrap(s, ctx))
        s:settimeout(10)
        assert(s:dohandshake())
        assert(s:send(assert(s:receive(MESSAGE))))
        assert(not s:receive(1))
        s:close()
    end
    serve_once()
    meter.start()
    for _ = 1, n do
        serve_once()
    end
    meter.stop(n)
end

contest.run(work)
