-- Stream sockets to begin with: listeners, connections, and somebody at the other end.

local peer = require "support.peer"
local place = require "support.place"
local server = require "support.server"
local socket = require "ssocket"
local sys = require "testsys"

local streams = {}

-- What bind takes, for each kind of stream socket.
local binders = {
    inet = function()
        return "127.0.0.1", 0
    end,
    inet6 = function()
        return "::1", 0
    end,
    unix = function()
        return "unix:" .. place.tmpdir() .. "/s"
    end,
    abstract = place.abstract,
}

streams.kinds = { "inet", "inet6", "unix", "abstract" }

-- A listening socket of a kind ("inet" unless given) and its address; options {name = value} are set before.
function streams.listener(kind, options)
    local s = socket.tcp()
    for option, value in pairs(options or {}) do
        assert(s:setopt(option, value))
    end
    assert(s:bind(binders[kind or "inet"]()))
    assert(s:listen())
    return s, assert(s:getsockname())
end

-- Both ends of a connection made with this module: client, server.
function streams.connected(kind)
    local listener, address = streams.listener(kind)
    local client = socket.tcp()
    assert(client:connect(address))
    local accepted = assert(listener:accept())
    listener:close()
    return client, accepted
end

-- Both ends of a connection that a test has made by itself.
function streams.joined(client, accepted)
    return client, accepted
end

-- One end of such a connection, the one that has connected and the one that was accepted, where two tasks or processes
-- have one each: both have to call this, at the same time.
function streams.dialed(client)
    return client
end

function streams.accepted(accepted)
    return accepted
end

-- A TCP connection as t.connected gives it that holds few bytes which nobody reads: t.much is more, both ways.
streams.much = ("x"):rep(1024):rep(4096)

function streams.narrow()
    local few = { [socket.OPT_RCVBUF] = 65536, [socket.OPT_SNDBUF] = 65536 }
    local listener, address = streams.listener("inet", few)
    local client = socket.tcp()
    for option, value in pairs(few) do
        assert(client:setopt(option, value))
    end
    assert(client:connect(address))
    local accepted = assert(listener:accept())
    return client, accepted, listener
end

-- The bare other end of a pair, without the module: what was sent is there when send returns.
local Wire = {}
Wire.__index = Wire
local wires = {} -- that are open

function Wire:send(data)
    assert(sys.send(self.fd, data, 10))
end

-- Some bytes, at most max; "" at the end of the stream.
function Wire:receive(max)
    return assert(sys.read(self.fd, max or 65536, 10))
end

function Wire:close()
    if wires[self] then
        sys.close(self.fd)
        wires[self] = nil
    end
end

function streams.close_wires()
    for wire in pairs(wires) do
        wire:close()
    end
end

-- A stream socket of the module and the bare other end of it.
function streams.wire()
    local near, far = assert(sys.socketpair(sys.SOCK_STREAM))
    local wire = setmetatable({ fd = far }, Wire)
    wires[wire] = true
    return assert(socket.fromfd(near)), wire
end

-- A socket that is connected to a Python peer, which runs code with its end as `s`.
function streams.with_python(code, ...)
    local listener, address = streams.listener()
    local p = peer.python("s = connect(argv.pop(0))\n" .. peer.dedent(code), address[2], ...)
    listener:settimeout(10)
    local s = assert(listener:accept())
    listener:close()
    s:settimeout(10)
    return s, p
end

-- nginx, redis or memcached: peer with port, or with path if unix is true.
function streams.server(name, unix)
    return server.start(name, place.tmpdir(), unix)
end

-- What a read says where the other end was dropped, and not closed.
streams.DROPPED = socket.ERROR_CLOSED
-- What a write says after a read has been told of a reset.
streams.AFTER_RESET = socket.ERROR_CLOSED
-- How many bytes that count as sent the socket itself may hold after a time-out.
streams.HELD = 0

-- How many of n bytes count as sent that the system has refused.
function streams.refused(_)
    return 0
end

-- Reads to the end of a stream whose other end was closed after it had sent so much.
function streams.check_rest(s, sent)
    assert(s:readall() == sent)
end

-- A server, a socket that is connected to it over TCP or over a Unix socket, and what connects another one.
function streams.started(name, unix)
    local running = streams.server(name, unix)
    local function connect(s)
        if unix then
            return assert(s:connect("unix:" .. running.path))
        end
        return assert(s:connect("127.0.0.1", running.port))
    end
    local s = socket.tcp()
    s:settimeout(20)
    connect(s)
    return s, running, connect
end

return streams
