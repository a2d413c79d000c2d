-- TLS in specs: certificates, contexts, connections with both ends here, peers in Python and OpenSSL's own programs.

local busted = require "busted"
local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"

local socket = t.socket

local support = { socket = socket }

-- Whether the module was built (OpenSSL may be missing).
function support.is_built()
    local file = io.open(tools.build .. "/ssocket/tls.so", "rb")
    if file then
        file:close()
    end
    return file ~= nil
end

-- In a describe block: support.dir is a directory of its own with what certificates.sh of spec/support, or another
-- script there, makes (kept.sh). (os.execute crashes under the thread sanitizer.)
function support.certificates(script)
    local sys = t.sys
    local function run(...)
        local said, how, status = tools.run({ ... }, 120 * t.slow)
        assert(how == "exit" and status == 0, said)
    end
    busted.lazy_setup(function()
        support.dir = assert(sys.mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/ssocket-certs-XXXXXX"))
        run("spec/support/kept.sh", script or "certificates.sh", support.dir)
    end)
    busted.lazy_teardown(function()
        run("rm", "-rf", support.dir)
    end)
end

function support.path(name)
    return support.dir .. "/" .. name
end

function support.text(name)
    local file = assert(io.open(support.path(name), "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

local function paths(names)
    if type(names) == "string" then
        return support.path(names)
    end
    local all = {}
    for i, name in ipairs(names) do
        all[i] = support.path(name)
    end
    return all
end

-- A context; the options ca, cert, client_ca and key are names of files in the directory, or lists of them.
function support.context(options)
    local tls = require "ssocket.tls"
    local all = {}
    for name, value in pairs(options or {}) do
        all[name] = value
        if name == "ca" or name == "cert" or name == "client_ca" or name == "key" then
            all[name] = paths(value)
        end
    end
    return assert(tls.context(all))
end

-- Handshakes on two connected sockets. Returns the results of tls.client and of tls.server, each as t.pack has them.
function support.shake(a, b, client_ctx, server_ctx, name)
    local tls = require "ssocket.tls"
    a:settimeout(10)
    b:settimeout(10)
    local server = tasks.spawn(function()
        return t.pack(tls.server(b, server_ctx))
    end)
    local client = t.pack(tls.client(a, name or "a.test", client_ctx))
    local _, result = assert(server:wait(10))
    return client, result
end

-- Both ends of a TLS connection, over a pair unless two sockets are given.
function support.pair(client_options, server_options, a, b)
    if not a then
        a, b = assert(socket.pair())
    end
    local client, server = support.shake(
        a,
        b,
        support.context(client_options or { ca = "ca.pem" }),
        support.context(server_options or { cert = "a.pem" })
    )
    assert(client[1], client[2] and (client[2] .. ": " .. tostring(client[3])))
    assert(server[1], server[2] and (server[2] .. ": " .. tostring(server[3])))
    return a, b
end

local PYTHON = [[
import ssl
def server_context(cert, ca=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(cert)
    if ca: c.load_verify_locations(ca); c.verify_mode = ssl.CERT_REQUIRED
    return c
def client_context(ca, cert=None):
    c = ssl.create_default_context(cafile=ca)
    if cert: c.load_cert_chain(cert)
    return c
]]

-- A Python peer, which has the functions above.
function support.python(code, ...)
    return t.python(PYTHON .. require("support.peer").dedent(code), ...)
end

-- A socket that is connected to a Python peer, whose end is `s`; plain so far.
function support.with_python(code, ...)
    return t.with_python(PYTHON .. require("support.peer").dedent(code), ...)
end

return support
