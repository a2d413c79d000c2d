-- LuaSec's scenarios: each is run on LuaSocket with LuaSec, where they are installed, and on ssocket's two modules.

local busted = require "busted"
local t = require "support.t"
local tls = require "support.tls"

local luasec = {
    now = t.now,
    path = tls.path,
    text = tls.text,
    python = tls.python,
}

-- ---- what is tested ----

-- Debian has no lua-sec for Lua 5.5; where it has one, CI has it.
local function is_installed()
    local ok, err = pcall(function()
        return require "socket" and require "ssl"
    end)
    assert(ok or _VERSION == "Lua 5.5" or os.getenv "CI" ~= "true", err)
    return ok
end

local kinds = {}
if is_installed() then
    kinds[1] = { name = "LuaSec", socket = require "socket", ssl = require "ssl", is_real = true }
end
if tls.is_built() then
    kinds[#kinds + 1] = {
        name = "ssocket.luasec",
        socket = require "ssocket.luasocket",
        ssl = require "ssocket.luasec",
    }
end
luasec.kinds = kinds

-- A describe block with certificates, and in it one for each kind of modules, whose tests define(socket, ssl, kind)
-- makes.
function luasec.each(subject, define)
    busted.describe(subject, function()
        t.guard()
        tls.certificates "luasec_certificates.sh"
        for _, kind in ipairs(kinds) do
            busted.describe("with " .. kind.name, function()
                define(kind.socket, kind.ssl, kind)
            end)
        end
        if not kinds[1] then
            busted.pending "there is neither LuaSec nor OpenSSL"
        end
    end)
end

-- ---- contexts ----

-- The parameters of a server with the certificate NAME, or of a client, with `more` in them: cafile, certificate and
-- key are names of files in the directory there; false takes a field away.
local function parameters(mode, name, more)
    local all = {
        mode = mode,
        protocol = "any",
        certificate = name and luasec.path(name .. ".crt"),
        key = name and luasec.path(name .. ".key"),
    }
    for field, value in pairs(more or {}) do
        local is_file = field == "cafile" or field == "certificate" or field == "key"
        all[field] = is_file and value and luasec.path(value) or value or nil
    end
    return all
end

function luasec.server(more)
    return parameters("server", "a", more)
end

function luasec.client(more)
    return parameters("client", nil, more)
end

-- The common name of a certificate, as "CN=name".
function luasec.name(certificate)
    for _, entry in ipairs(certificate:subject()) do
        if entry.name == "commonName" then
            return "CN=" .. entry.value
        end
    end
end

-- ---- connections ----

-- Two connected sockets: the one that connected, and the accepted one. A wait in one of them has a limit.
function luasec.sockets(socket)
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(10)
    local _, port = listener:getsockname()
    local a = assert(socket.connect("127.0.0.1", port))
    local b = assert(listener:accept())
    listener:close()
    for _, s in ipairs { a, b } do
        s:settimeout(10)
        s:setoption("tcp-nodelay", true) -- what is sent in two pieces is there at once
    end
    return a, b
end

-- One step of a handshake, and after it where it waits: nil when it is over.
local function step(s, results)
    local ok, err = s:dohandshake()
    if ok or (err ~= "wantread" and err ~= "wantwrite") then
        results[1], results[2] = ok, err
        return nil
    end
    return err
end

-- Waits until one of those that wait can go on.
local function wait_for(socket, waits)
    local reading, writing = {}, {}
    for s, what in pairs(waits) do
        local list = what == "wantread" and reading or writing
        list[#list + 1] = s
    end
    local _, _, err = socket.select(reading, writing, 10)
    assert(err == nil, err)
end

-- Handshakes of two connections at once, without a wait in either: {ok, err} of both.
function luasec.handshakes(socket, a, b)
    local results = { [a] = {}, [b] = {} }
    local waits = { [a] = "wantwrite", [b] = "wantread" }
    a:settimeout(0)
    b:settimeout(0)
    repeat
        for s in pairs(results) do
            waits[s] = waits[s] and step(s, results[s])
        end
        local ended = results[a][1] == false and b or results[b][1] == false and a
        if ended and waits[ended] then
            waits[ended] = step(ended, results[ended])
            break -- the alert of the one that failed is there; what comes after it is nobody's
        end
        if next(waits) then
            wait_for(socket, waits)
        end
    until not next(waits)
    a:settimeout(10)
    b:settimeout(10)
    return results[a], results[b]
end

-- Wraps two connected sockets: the client and the server, before their handshake. The parameters may be contexts.
function luasec.wrapped(socket, ssl, client, server)
    local a, b = luasec.sockets(socket)
    return assert(ssl.wrap(a, client)), assert(ssl.wrap(b, server))
end

-- Two connections after their handshake, client first.
function luasec.pair(socket, ssl, client, server)
    local a, b = luasec.wrapped(socket, ssl, client or luasec.client(), server or luasec.server())
    local first, second = luasec.handshakes(socket, a, b)
    assert(first[1], first[2])
    assert(second[1], second[2])
    a:settimeout(0) -- reads the server's tickets: who closes with bytes unread resets the connection
    local _, err = a:receive(1)
    assert(err == "wantread", err)
    a:settimeout(10)
    return a, b
end

-- How a handshake ended: "ok", or the text of its error; client first. Both connections are closed.
function luasec.outcome(socket, ssl, client, server)
    local a, b = luasec.wrapped(socket, ssl, client, server)
    local first, second = luasec.handshakes(socket, a, b)
    a:close()
    b:close()
    return first[1] and "ok" or first[2], second[1] and "ok" or second[2]
end

-- ---- other programs ----

-- A Python peer with its end of a connection: f(s, p), s is a plain socket of the module.
function luasec.with_python(socket, code, ...)
    local p = tls.python("with listen() as l: s = l.accept()[0]\n" .. require("support.peer").dedent(code), ...)
    local s = assert(socket.connect("127.0.0.1", p:number()))
    s:settimeout(10)
    return s, p
end

return luasec
