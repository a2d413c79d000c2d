-- cqueues with contexts of luaossl, as their manuals describe them: code in a coroutine of a controller, binary modes,
-- and buffers of 64 KiB for bulk.
local contest = require "contest"
local meter = require "meter"
local cqueues = contest.library "cqueues"
local context = contest.library "openssl.ssl.context"
local server = require "server_on_cqueues"
local pkey = require "openssl.pkey"
local socket = require "cqueues.socket"
local ssl = require "openssl.ssl"
local store = require "openssl.x509.store"
local verify_param = require "openssl.x509.verify_param"
local x509 = require "openssl.x509"

local BUFFER, MESSAGE = 65536, 64
local directory = os.getenv "BENCH_CERTIFICATES"
local work = {}

local function contents(name)
    local file = assert(io.open(directory .. "/" .. name))
    local text = file:read "*a"
    file:close()
    return text
end

local function client_context()
    local ctx, trusted = context.new("TLS", false), store.new()
    trusted:add(x509.new(contents "ca.pem"))
    ctx:setStore(trusted)
    ctx:setVerify(context.VERIFY_PEER)
    return ctx
end

local function server_context()
    local ctx, pem = context.new("TLS", true), contents "a.pem"
    ctx:setCertificate(x509.new(pem))
    ctx:setPrivateKey(pkey.new(pem))
    return ctx
end

-- What verifies the server's name, and tells it.
local function layer(ctx)
    local s, param = ssl.new(ctx), verify_param.new()
    param:setHost "a.test"
    s:setParam(param)
    s:setHostName "a.test"
    return s
end

local function dial(host, port, ctx)
    local s = socket.connect { host = host, port = port, nodelay = true }
    s:settimeout(10)
    assert(s:connect())
    s:setmode("b", "bn")
    assert(s:starttls(layer(ctx)))
    return s
end

local function open(host, port)
    return dial(host, port, client_context())
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

local function read_all(host, port, n, what)
    local s = open(host, port)
    s:setbufsiz(BUFFER, BUFFER)
    meter.start()
    for _ = 1, n do
        local data, err = s:read(what)
        if not data then error(err) end
    end
    meter.stop(n)
end

function work.tls_read(host, port, n, size)
    read_all(host, port, n, size)
end

function work.tls_lines(host, port, n)
    read_all(host, port, n, "*l")
end

-- A negative size takes what there is.
function work.tls_readsome(host, port, n, size)
    local s, have, goal = open(host, port), 0, n * size
    s:setbufsiz(BUFFER, BUFFER)
    meter.start()
    while have < goal do
        local data, err = s:read(-BUFFER)
        if not data then error(err) end
        have = have + #data
    end
    meter.stop(n)
end

function work.tls_connect(host, port, n)
    local ctx, message = client_context(), ("m"):rep(MESSAGE)
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

function work.tls_serve(host, _, n)
    local ctx, listener = server_context(), assert(socket.listen { host = host, port = 0, nodelay = true })
    assert(listener:listen())
    contest.port((select(3, listener:localname())))
    local function serve_once()
        local s = assert(listener:accept())
        s:settimeout(10)
        s:setmode("b", "bn")
        assert(s:starttls(ctx))
        assert(s:write(assert(s:read(MESSAGE))))
        assert(not s:read(1))
        s:close()
    end
    serve_once()
    meter.start()
    for _ = 1, n do
        serve_once()
    end
    meter.stop(n)
end

function work.tls_http(host, _, n)
    local ctx = server_context()
    server.serve_all(host, n, function(client)
        assert(client:starttls(ctx))
        server.http(client)
    end)
end

local controller = cqueues.new()
controller:wrap(contest.run, work)
assert(controller:loop())
