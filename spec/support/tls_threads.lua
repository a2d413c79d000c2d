-- What each of some threads does in its own Lua state (test/host/threads.c): loads ssocket.tls, shakes hands with the
-- thread at the other end of the descriptor that it is given, and then with itself, and leaves connections and a
-- handshake to the end of the state. Certificates are in the directory SSOCKET_CERTIFICATES.

local number, fd, partner = ...
local socket = require "ssocket"
local tls = require "ssocket.tls"

local directory = os.getenv "SSOCKET_CERTIFICATES"
local ctx = assert(tls.context {
    ca = directory .. "/ca.pem",
    cert = directory .. "/a.pem",
    client_ca = directory .. "/ca.pem",
    alpn = { "x" },
})

local function shake(s, as_server)
    s:settimeout(20)
    local ok, err, reason
    if as_server then
        ok, err, reason = tls.server(s, ctx)
    else
        ok, err, reason = tls.client(s, "a.test", ctx)
    end
    assert(ok, tostring(err) .. " " .. tostring(reason))
    local info = assert(tls.info(s))
    assert(info.verified and info.alpn == "x" and info.peer.subject == "CN=a")
    return info
end

-- Both write blocks and read the other's, at the same time.
local function exchange(s, from, to)
    local mine, theirs = tostring(from):rep(1000), tostring(to):rep(1000)
    for _ = 1, 10 do
        assert(s:write(mine) == #mine)
        assert(s:read(#theirs) == theirs)
    end
end

-- Twice, the second time resumed.
local function with_itself()
    local kept = {}
    for i = 1, 2 do
        local a, b = assert(socket.pair())
        local server = socket.spawn(function()
            shake(b, true)
            exchange(b, number, number)
        end)
        local info = shake(a, false)
        exchange(a, number, number)
        assert(server:wait(20))
        assert(info.resumed == (i == 2))
        kept[i] = { a, b }
    end
    return kept
end

local other = assert(socket.fromfd(fd))
shake(other, number < partner)
exchange(other, number, partner)
if number % 4 < 2 then
    other:close()
end
_G.kept = { other, with_itself() }
local a, b = assert(socket.pair())
socket.spawn(tls.client, a, "a.test", ctx)
socket.sleep(0)
_G.kept[3] = b
