-- What a connection's end tells of the other one: certificates, verification, and what was agreed on.

local ciphers = require "ssocket.luasec.ciphers"
local tls = require "ssocket.tls"
local x509 = require "ssocket.luasec.x509"

local peer = {}

-- The peer's certificates, its own first; empty where it has given none.
local function certificates(conn)
    if not conn.certificates then
        local info = tls.info(conn.sock)
        conn.certificates = x509.load_all(table.concat(info and info.chain or {}))
    end
    return conn.certificates
end

function peer.certificate(conn, n)
    if n < 1 then
        return nil, "invalid certificate index"
    end
    return certificates(conn)[n]
end

function peer.chain(conn)
    local list = {}
    for i, cert in ipairs(certificates(conn)) do
        list[i] = cert
    end
    return list
end

-- ---- verification ----

-- "text (depth 1)"
local function split_depth(text)
    local plain, depth = text:match "^(.*) %(depth (%d+)%)$"
    return plain or text, tonumber(depth) or 0
end

local function errors_by_certificate(info)
    local list = {}
    for _, err in ipairs(info.errors or { info.unverified }) do
        local text, depth = split_depth(err)
        list[depth + 1] = list[depth + 1] or {}
        table.insert(list[depth + 1], text)
    end
    return list
end

-- Errors by the position of their certificate in the chain, where the handshake went on in spite of them; otherwise a
-- text.
function peer.verification(conn)
    local info = tls.info(conn.sock)
    if not info then
        return false, "closed"
    elseif not info.unverified or not info.peer then
        return true
    end
    if not conn.ctx.verifyext.lsec_continue then
        return false, (split_depth(info.unverified))
    end
    return false, errors_by_certificate(info)
end

-- ---- what was agreed on ----

function peer.describe(conn)
    local info = tls.info(conn.sock)
    if not info then
        return nil
    end
    local result = ciphers.describe(info.cipher)
    result.protocol = info.version
    return result
end

function peer.protocol(conn)
    local info = tls.info(conn.sock)
    return info and info.alpn
end

function peer.server_name(conn)
    local info = tls.info(conn.sock)
    return info and info.name
end

return peer
