-- Addresses by LuaSocket's rules for hosts and ports, whatever a program hands in: ssocket raises an error for a
-- malformed host or port, LuaSocket never does.

local object = require "ssocket.luasocket.object"
local socket = require "ssocket"

local lookup = {}

local ANY_LOCAL = { { "0.0.0.0", family = "inet" }, { "::", family = "inet6" } }
local LOOPBACK = { { "::1", family = "inet6" }, { "127.0.0.1", family = "inet" } }

lookup.UNKNOWN = object.text[socket.ERROR_NOTFOUND]
lookup.OTHER_FAMILY = "Address family for hostname not supported" -- gai_strerror(EAI_ADDRFAMILY)
lookup.NO_SERVICE = "service not supported for socket type"

-- A host that ssocket would take for something else, or refuse as misuse.
function lookup.is_no_host(host)
    return host == "" or host:find "[%[%]/]" or host:find("\0", 1, true) or host:find "^unix:"
end

function lookup.is_v4(host)
    if not host:find "^%d+%.%d+%.%d+%.%d+$" then
        return false
    end
    for part in host:gmatch "%d+" do
        if tonumber(part) > 255 then
            return false
        end
    end
    return true
end

function lookup.is_numeric(host)
    return host:find(":", 1, true) ~= nil or lookup.is_v4(host)
end

-- The port of a string, or nil, as glibc's getaddrinfo reads it: too large a number wraps round.
function lookup.port_number(text)
    if text == "" or text == "*" then
        return 0
    end
    local digits = text:match "^%s*%+?(%d+)$"
    return digits and tonumber(digits) % 65536
end

local function is_service(text)
    return text:find "^%w[%w_.+/*-]*$" and not tonumber(text)
end

local function addresses_at(list, port, family)
    local found = {}
    for _, address in ipairs(list) do
        if not family or family == address.family then
            found[#found + 1] = { address[1], port, family = address.family }
        end
    end
    return found
end

-- All addresses of a host, of one family or of both, or nil and LuaSocket's text.
function lookup.resolve(host, port, family)
    if lookup.is_no_host(host) then
        return nil, lookup.UNKNOWN
    end
    local found, err, exists = socket.resolve(host, port, -1, family)
    if found then
        return found
    elseif exists and family and lookup.is_numeric(host) then
        return nil, lookup.OTHER_FAMILY
    end
    return nil, object.text[err]
end

local function resolve_at(star, host, port, family)
    local number = lookup.port_number(port)
    if not number and not is_service(port) then
        return nil, lookup.NO_SERVICE
    elseif host ~= "*" then
        return lookup.resolve(host, number or port, family)
    elseif number then
        return addresses_at(star, number, family)
    end
    local found, err = socket.resolve("127.0.0.1", port)
    if not found then
        return nil, object.text[err]
    end
    return addresses_at(star, found[1][2], family)
end

-- What to connect to: "*" is this machine.
function lookup.remote(host, port, family)
    return resolve_at(LOOPBACK, host, port, family)
end

-- What to bind to: "*" is any address of this machine.
function lookup.here(host, port, family)
    return resolve_at(ANY_LOCAL, host, port, family)
end

return lookup
