-- LuaSec's connections. The stream half is that of the LuaSocket bridge.
--
-- `transport` is the socket. It is `sock` as well, on which the stream half works, once it is TLS; until then that is a
-- closed one, so that no plain byte can come or go.

local context = require "ssocket.luasec.context"
local failures = require "ssocket.luasec.failures"
local handshake = require "ssocket.luasec.handshake"
local object = require "ssocket.luasocket.object"
local peer = require "ssocket.luasec.peer"
local socket = require "ssocket"
local stream = require "ssocket.luasocket.stream"
local timeouts = require "ssocket.luasocket.timeouts"
local tls = require "ssocket.tls"
local x509 = require "ssocket.luasec.x509"

local CONNECTION = "SSL:Connection"

local connection = {}
local methods = {}
local class = { __index = methods, __name = CONNECTION, [CONNECTION] = true } -- the last as a group of object.check

connection.methods = methods

local half = stream.methods(CONNECTION, CONNECTION)
for name, method in pairs(half) do
    methods[name] = method
end
methods.settimeout = timeouts.methods(CONNECTION, stream.changed).settimeout
methods.shutdown = nil -- LuaSec has none

function class.__tostring(conn)
    return "SSL connection: " .. conn.address .. (conn.state == "closed" and " (closed)" or "")
end

local function check_connection(conn)
    if getmetatable(conn) ~= class then
        local got = conn == nil and "no value" or type(conn)
        error(("bad argument #1 to '?' (%s expected, got %s)"):format(CONNECTION, got), 3)
    end
    return conn
end

-- Whether it can be asked about the handshake's outcome.
local function is_connected(conn)
    return check_connection(conn).state == "connected"
end

-- A connection without a socket, in a context that has a mode.
function connection.create(ctx)
    if not context.is(ctx) then
        error("bad argument #1 to 'create' (invalid context)", 2)
    elseif not ctx.mode then
        return nil, "invalid mode"
    end
    local conn = { ctx = ctx, server = ctx.mode == "server", state = "new", block = -1, total = -1 }
    conn.address = tostring(conn):match "0x%x+" or tostring(conn)
    conn.sock, conn.transport = socket.tcp(), socket.tcp()
    stream.init(conn)
    return setmetatable(conn, class)
end

local guard_class = {}

function guard_class.__gc(guard)
    guard.transport:close()
end

-- A connection that is merely dropped says its close_notify, as LuaSec's do. Finalizers run in the reverse order in
-- which their objects were made: the guard is newer than the transport, which the connection itself need not be. Tables
-- have no finalizers in Lua 5.1 and LuaJIT.
local function close_when_collected(conn)
    if newproxy then -- luacheck: ignore 113
        local transport, proxy = conn.transport, newproxy(true) -- luacheck: ignore 113
        getmetatable(proxy).__gc = function()
            transport:close()
        end
        conn.guard = proxy
    else
        conn.guard = setmetatable({ transport = conn.transport }, guard_class)
    end
end

-- Both time-outs bound the whole of a handshake's call.
local function handshake_timeout(conn)
    if conn.block >= 0 and conn.total >= 0 then
        return math.min(conn.block, conn.total)
    end
    return math.max(conn.block, conn.total)
end

local function become_connected(conn)
    stream.attach(conn, conn.transport)
    timeouts.apply(conn)
    stream.set_client(conn)
    close_when_collected(conn)
end

-- ---- the handshake ----

-- Takes the descriptor that setfd has told of.
local function take_number(conn)
    if conn.number then
        local sock, err = socket.fromfd(conn.number)
        if not sock then
            return nil, err
        end
        conn.transport, conn.number = sock, nil
    end
    return conn.transport:fileno() >= 0, "Bad file descriptor"
end

function methods:dohandshake()
    check_connection(self)
    if self.state == "connected" then
        return true
    elseif self.state == "closed" then
        return false, "closed"
    end
    local taken, why = take_number(self)
    if not taken then
        return false, why
    end
    self.transport:settimeout(handshake_timeout(self))
    local ok, err = handshake.run(self)
    if ok then
        become_connected(self)
        return true
    end
    return false, err
end

-- What tls.client takes for a name.
local function is_server_name(name)
    if name:find ":" then
        return socket.resolve(name, 0, 0) ~= nil -- an address, which needs no look-up
    end
    local labels = name:gsub("%.$", "")
    local has_empty = ("." .. labels .. "."):find("..", 1, true)
    return #labels <= 253 and not has_empty and not labels:find "[^A-Za-z0-9%.%-_]"
end

local function check_contexts(list)
    for name, ctx in pairs(list) do
        if type(name) ~= "string" then
            error("bad argument #2 to '?' (invalid hostname)", 3)
        elseif not context.is(ctx) or ctx.mode ~= "server" then
            error("bad argument #2 to '?' (invalid context)", 3)
        end
    end
end

-- A client names the server, a server gives its contexts by name: in a table that it may change until a client comes.
function methods:sni(names, strict)
    check_connection(self)
    local expected = self.server and "table" or "string"
    names = type(names) == "number" and tostring(names) or names
    if type(names) ~= expected then
        local got = names == nil and "no value" or type(names)
        error(("bad argument #2 to '?' (%s expected, got %s)"):format(expected, got), 2)
    elseif self.server then
        check_contexts(names)
        self.contexts, self.strict = names, strict and true or false
    else
        self.name = is_server_name(names) and names or nil
    end
end

function methods:getsniname()
    check_connection(self)
    return self.state == "connected" and peer.server_name(self) or not self.server and self.name or nil
end

-- ---- data ----

-- The words for a failure of the stream, which has LuaSocket's.
local function explain(conn, err, awaited)
    if err == "timeout" then
        conn.awaited = awaited
        return "want" .. awaited
    end
    local info = tls.info(conn.sock)
    return failures.text(err, info and info.reason, conn.ctx)
end

local function finish_send(conn, last, err, sent)
    if last then
        conn.awaited = nil
        return last, nil, nil
    end
    err = explain(conn, err, "write")
    conn.owes = err == "wantwrite" or nil
    return nil, err, sent
end

-- What the last send has handed to TLS, and the system has not taken yet, goes out first: a program that has nothing to
-- send behind it must hear of it as well.
local function send_owed(conn)
    local ok, err = conn.sock:write ""
    conn.owes = not ok or nil
    return ok, err
end

function methods:send(data, i, j)
    check_connection(self)
    if self.owes then
        local ok, err = send_owed(self)
        if not ok then
            return finish_send(self, nil, object.text[err], math.max(0, (tonumber(i) or 1) - 1))
        end
    end
    return finish_send(self, half.send(self, data, i, j))
end

-- Where the program has chosen so, an end without close_notify is an end.
local function is_end(conn, pattern, partial)
    local ignores = conn.ctx.options.ignore_unexpected_eof
    return ignores and partial ~= "" and type(pattern) == "string" and pattern:find "^%*a"
end

local function finish_receive(conn, pattern, data, err, partial)
    if data then
        conn.awaited = nil
        return data, nil, nil
    elseif err == tls.ERROR_EOF and is_end(conn, pattern, partial) then
        return partial, nil, nil
    end
    return nil, explain(conn, err, "read"), partial
end

function methods:receive(pattern, prefix)
    return finish_receive(check_connection(self), pattern, half.receive(self, pattern, prefix))
end

function methods:want()
    check_connection(self)
    return self.state ~= "closed" and self.awaited or "nothing"
end

-- ---- the descriptor ----

function methods:getfd()
    check_connection(self)
    return self.number or self.transport:fileno()
end

-- Before the handshake alone. The number may still be another object's: it is taken with the first use.
function methods:setfd(fd)
    check_connection(self)
    if self.state ~= "new" then
        error("bad argument #1 to '?' (invalid SSL object state)", 2)
    elseif type(fd) ~= "number" then
        error(("bad argument #2 to '?' (number expected, got %s)"):format(fd == nil and "no value" or type(fd)), 2)
    end
    self.transport, self.number = socket.tcp(), fd >= 0 and fd or nil
end

function methods:close()
    check_connection(self)
    self.transport:close()
    self.state = "closed"
end

-- ---- what the handshake has brought ----

function methods:getpeercertificate(n)
    if not is_connected(self) then
        return nil, "closed"
    end
    return peer.certificate(self, n == nil and 1 or tonumber(n) or error("bad argument #2 to '?' (number expected)", 2))
end

function methods:getpeerchain()
    if not is_connected(self) then
        return nil, "closed"
    end
    return peer.chain(self)
end

function methods:getlocalcertificate()
    if not is_connected(self) then
        return nil, "closed"
    end
    return context.certificates(self.ctx)[1]
end

function methods:getlocalchain()
    if not is_connected(self) then
        return nil, "closed"
    end
    return context.certificates(self.ctx)
end

function methods:getpeerverification()
    if not is_connected(self) then
        return false, "closed"
    end
    return peer.verification(self)
end

function methods:getalpn()
    check_connection(self)
    return self.state == "connected" and peer.protocol(self) or nil
end

function methods:compression()
    if not is_connected(self) then
        return nil, "closed"
    end
    return nil -- ssocket.tls has none
end

-- All of it, or one field.
function methods:info(field)
    if not is_connected(self) then
        return nil, "closed"
    end
    local info = peer.describe(self) or {}
    if field then
        return info[field]
    end
    return info
end

function methods:exportkeyingmaterial(label, length, ctx)
    if not is_connected(self) then
        return nil
    end
    return tls.export(self.sock, label, length, ctx)
end

-- Channel binding, RFC 5929: the first Finished message of a connection of TLS 1.2.
function methods:gettlsunique()
    if not is_connected(self) then
        return nil, "closed"
    end
    return tls.binding(self.sock, "tls-unique")
end

local function finished(conn, kind)
    if not is_connected(conn) then
        return nil, "closed"
    end
    return tls.binding(conn.sock, kind)
end

function methods:getfinished()
    return finished(self, "finished")
end

function methods:getpeerfinished()
    return finished(self, "peer-finished")
end

methods.loadcertificate = function(_, text)
    return x509.load(text)
end

return connection
