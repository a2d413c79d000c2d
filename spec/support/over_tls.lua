-- SSOCKET_WORLD=tls: both ends of the connected streams that specs get speak TLS. socket.pair, t.connected, t.narrow,
-- t.joined, t.dialed, t.accepted and t.wire have this module at both ends, t.with_python has Python's ssl at the other
-- one. In Lua programs that specs start socket.pair does (world.prelude). The server gives no tickets: they would come
-- like data, and select would tell of them.

local peer = require "support.peer"
local sys = require "testsys"

local over_tls = {}

local LIMIT = 10 * (tonumber(os.getenv "SSOCKET_SLOW") or 1) -- seconds for a handshake, or for the other end

local directory = os.getenv "SSOCKET_CERTIFICATES" -- where spec/support/certificates.sh was run (script/spec)
local contexts

local function make_contexts(tls)
    return {
        client = assert(tls.context { ca = directory .. "/ca.pem" }),
        server = assert(tls.context { cert = directory .. "/a.pem", sessions = 0 }),
    }
end

-- One context for each side serves all specs of a process.
local function context_of(side)
    local tls = require "ssocket.tls"
    contexts = contexts or make_contexts(tls)
    return contexts[side], tls
end

-- A handshake within LIMIT; the socket keeps its time-out.
local function shake_as_client(s)
    local ctx, tls = context_of "client"
    local seconds = s:gettimeout()
    s:settimeout(LIMIT)
    assert(tls.client(s, "a.test", ctx))
    s:settimeout(seconds)
    return s
end

local function shake_as_server(s)
    local ctx, tls = context_of "server"
    local seconds = s:gettimeout()
    s:settimeout(LIMIT)
    assert(tls.server(s, ctx))
    s:settimeout(seconds)
    return s
end

-- Both ends, which are here: the server's end shakes hands in a task.
local function shake(socket, client, server)
    local task = socket.spawn(shake_as_server, server)
    shake_as_client(client)
    assert(task:wait(LIMIT))
    return client, server
end

-- The other end of a stream, with the calls of a wire of support.streams.
local Wire = {}
Wire.__index = Wire

function Wire:send(data)
    assert(#data == assert(self.sock:write(data)))
end

function Wire:receive(max)
    local data, err = self.sock:readsome(max or 65536)
    if not data and err == self.closed then
        return ""
    end
    return assert(data, err)
end

function Wire:close()
    self.sock:close()
end

local wires = setmetatable({}, { __mode = "k" })

local function close_wires()
    for wire in pairs(wires) do
        wire:close()
    end
end

local function wire(socket)
    local near, far = assert(sys.socketpair(sys.SOCK_STREAM))
    local s, other = assert(socket.fromfd(near)), assert(socket.fromfd(far))
    shake(socket, s, other)
    other:settimeout(LIMIT)
    local self = setmetatable({ sock = other, fd = far, closed = socket.ERROR_CLOSED }, Wire)
    wires[self] = true
    return s, self
end

-- A peer's `s`, which has the calls of a socket. It says close_notify where the system would send a FIN: in close, in
-- shutdown and at the end of the program; not in reset, nor when it is killed.
local PYTHON = [[
import ssl, atexit
class Layer:
    def __init__(self, raw, cert):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert)
        context.num_tickets = 0
        self.raw, self.into, self.out = raw, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.into, self.out, server_side=True)
        self.run(self.tls.do_handshake)
        atexit.register(self.close)
    def __getattr__(self, name): # setsockopt, fileno, settimeout
        return getattr(self.raw, name)
    def __enter__(self): return self
    def __exit__(self, *about): self.close()
    def flush(self):
        data = self.out.read()
        if data: self.raw.sendall(data)
    def fill(self):
        data = self.raw.recv(16384) # the rest stays in the kernel, as without TLS
        if data: self.into.write(data)
        else: self.into.write_eof()
    def run(self, f, *args):
        while True:
            try:
                result = f(*args)
            except ssl.SSLWantReadError:
                self.flush(); self.fill()
            else:
                self.flush(); return result
    def recv(self, n):
        try: return self.run(self.tls.read, n)
        except ssl.SSLZeroReturnError: return b""
    def sendall(self, data):
        data = memoryview(data).cast("B")
        for at in range(0, len(data), 1 << 20):
            self.run(self.tls.write, data[at:at + (1 << 20)])
    def send(self, data):
        self.sendall(data); return len(data)
    def notify(self):
        unread = self.into.read() # unwrap looks for the peer's close_notify, and fails where data come first
        try: self.tls.unwrap()
        except ssl.SSLError: pass
        if unread: self.into.write(unread)
        self.flush()
    def shutdown(self, how):
        if how != socket.SHUT_RD: self.notify()
        self.raw.shutdown(how)
    def close(self):
        atexit.unregister(self.close)
        if self.raw.fileno() < 0: return
        try: self.notify()
        except OSError: pass
        self.drop()
        self.raw.close()
    def drop(self): # a close_notify that nobody has read would make the system reset the connection
        self.raw.setblocking(False)
        try: self.raw.recv(64)
        except OSError: pass
def reset(s):
    s = getattr(s, "raw", s)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()
s = Layer(connect(argv.pop(0)), argv.pop(0))
]]

local function with_python(streams, code, ...)
    local listener, address = streams.listener()
    local p = peer.python(PYTHON .. peer.dedent(code), address[2], directory .. "/a.pem", ...)
    listener:settimeout(LIMIT)
    local s = assert(listener:accept())
    listener:close()
    shake_as_client(s)
    s:settimeout(10)
    return s, p
end

-- Replaces what hands out connected streams in the module; over_tls.pair is the plain one then.
function over_tls.replace_pair(socket)
    over_tls.pair = socket.pair
    function socket.pair(...)
        local a, b = over_tls.pair(...)
        if not a then
            return a, b
        end
        return shake(socket, a, b)
    end
end

-- The same in the module and in support.streams.
function over_tls.install(streams, socket)
    local plain = { connected = streams.connected, narrow = streams.narrow }
    over_tls.replace_pair(socket)
    streams.DROPPED, streams.HELD = require("ssocket.tls").ERROR_EOF, 65536
    streams.AFTER_RESET = socket.ERROR_RESET -- each later call has the error that ended the stream
    function streams.refused(n)
        return n -- they are encrypted
    end
    streams.dialed, streams.accepted = shake_as_client, shake_as_server
    function streams.joined(client, accepted)
        return shake(socket, client, accepted)
    end
    -- What has waited in the socket is gone with it, and no close_notify is sent then.
    function streams.check_rest(s, sent)
        local all, err, part = s:readall()
        assert(all or err == streams.DROPPED, err)
        local got = all or part
        assert(got == sent:sub(1, #got) and #sent - #got <= (all and 0 or streams.HELD))
    end
    function streams.connected(kind)
        return shake(socket, plain.connected(kind))
    end
    function streams.narrow()
        local client, accepted, listener = plain.narrow()
        shake(socket, client, accepted)
        return client, accepted, listener
    end
    function streams.wire()
        return wire(socket)
    end
    function streams.with_python(...)
        return with_python(streams, ...)
    end
    streams.close_wires = close_wires
end

return over_tls
