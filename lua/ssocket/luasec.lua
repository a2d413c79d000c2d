-- LuaSec's `ssl` on ssocket.tls. docs/from-luasec.md is its guide.
--
-- LuaSec's defaults are kept: nobody is verified unless the program asks for it.

local config = require "ssocket.luasec.config"
local connection = require "ssocket.luasec.connection"
local context = require "ssocket.luasec.context"
local newcontext = require "ssocket.luasec.newcontext"
local wrap = require "ssocket.luasec.wrap"
local x509 = require "ssocket.luasec.x509"

local luasec = {
    _VERSION = "1.2.0",
    _COPYRIGHT = "ssocket.luasec, the calls of LuaSec 1.2.0",
    config = config,
    loadcertificate = x509.load,
    newcontext = newcontext,
    wrap = wrap,
}

-- ---- the modules below `ssl`, as LuaSec has them ----

local core = {
    SOCKET_INVALID = -1,
    create = connection.create,
    compression = connection.methods.compression,
    setfd = connection.methods.setfd,
}

-- The cipher as SSL_CIPHER_description(3) has it, its bits twice, and the version.
function core.info(conn)
    local info = conn:info()
    if not info then
        return nil
    end
    local text = ("%s %s Kx=%s Au=%s Enc=%s Mac=%s\n"):format(
        info.cipher,
        info.protocol,
        info.key,
        info.authentication,
        info.encryption,
        info.mac
    )
    return text, info.bits, info.algbits, info.protocol
end

function core.copyright()
    return luasec._COPYRIGHT
end

function core.setmethod(name, method)
    connection.methods[name] = method
end

local MODULES = {
    ssl = luasec,
    ["ssl.config"] = config,
    ["ssl.context"] = context,
    ["ssl.core"] = core,
    ["ssl.x509"] = { load = x509.load },
}

-- Puts all of them in LuaSec's place, for what is required from now on. LuaSec's own `ssl.https` then runs on this.
function luasec.install()
    for name, module in pairs(MODULES) do
        package.loaded[name] = module
    end
    package.loaded["ssl.https"] = nil
    return luasec
end

return luasec
