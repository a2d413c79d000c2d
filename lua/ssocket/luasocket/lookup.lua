-- Addresses by LuaSocket's rules for hosts and ports, whatever a program hands in: ssocket raises an error for a
-- malformed host or port, LuaSocket never does.

local object = require "ssocket.luasocket.object"
local services = require "ssocket.luasocket.services"
local socket = require "ssocket"

local lookup = {}

local ANY_LOCAL = { { "0.0.0.0", family = "inet" }, { "::", family = "inet6" } }
local LOOPBACK = { { "::1", family = "inet6" }, { "127.0.0.1", family = "inet" } }

lookup.UNKNOWN = object.text[socket.ERROR_NOTFOUND]
lookup.OTHER_FAMILY = "Address family for hostname not supported" -- gai_strerror(EAI_ADDRFAMILY)
lookup.NO_SERVICE = "service not supported for socket type"

local NO_ADDRESS = "No address associated with hostname" -- gai_strerror(EAI_NODATA)
local ULONG_MAX = "18446744073709551615"

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

-- strtoul(3), of which int keeps 32 bits.
local function to_unsigned(digits, is_negative)
    if #digits > #ULONG_MAX or #digits == #ULONG_MAX and digits > ULONG_MAX then
        return 2 ^ 32 - 1
    end
    local value = 0
    for digit in digits:gmatch "%d" do
        value = (value * 10 + tonumber(digit)) % 2 ^ 32
    end
    return is_negative and -value % 2 ^ 32 or value
end

-- The port of a string, or nil, as glibc's getaddrinfo reads it: too large a number wraps round, and one that is
-- negative as an int is no port.
function lookup.port_number(text)
    if text == "" or text == "*" then
        return 0
    end
    local sign, digits = text:match "^%s*([+-]?)0*(%d+)$"
    local value = digits and to_unsigned(digits, sign == "-")
    return value and value < 2 ^ 31 and value % 65536 or nil
end

function lookup.is_numeral(text)
    return text:find "^%s*[+-]?%d+$" ~= nil
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

local function resolve_host(host, port, family)
    return socket.resolve(host, port, -1, family)
end

-- An IPv4 address that is written as one of IPv6. ssocket makes one of IPv4 of it.
local function resolve_mapped(host, port, family)
    local found, err = socket.resolve(host, port, -1)
    if found and found[1].family == "inet" and family ~= "inet" then
        found[1] = { "::ffff:" .. found[1][1], found[1][2], family = "inet6" }
    end
    return found, err
end

-- All addresses of a host, of one family or of both, or nil and LuaSocket's text.
function lookup.resolve(host, port, family)
    if lookup.is_no_host(host) then
        return nil, lookup.UNKNOWN
    end
    local resolve = host:find "^[0:]+:[fF][fF][fF][fF]:" and resolve_mapped or resolve_host
    local found, err, exists = resolve(host, port, family)
    if found then
        return found
    elseif exists then
        return nil, lookup.is_numeric(host) and lookup.OTHER_FAMILY or NO_ADDRESS
    end
    return nil, object.text[err]
end

-- The number of a port, or nil: it is a name that the system may know. Then LuaSocket's text, if it does not.
local function port_for(text, protocol)
    local number = lookup.port_number(text)
    if number then
        return number
    elseif not is_service(text) then
        return nil, lookup.NO_SERVICE
    end
    local port, is_of_others = services.port(text, protocol)
    return port, is_of_others and lookup.NO_SERVICE or nil
end

local function resolve_at(star, host, port, family, protocol)
    local number, no_service = port_for(port, protocol or "tcp")
    if no_service then
        return nil, no_service
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

-- What to connect to: "*" is this machine. A service is one of TCP, unless `protocol` is "udp".
function lookup.remote(host, port, family, protocol)
    return resolve_at(LOOPBACK, host, port, family, protocol)
end

-- What to bind to: "*" is any address of this machine.
function lookup.here(host, port, family, protocol)
    return resolve_at(ANY_LOCAL, host, port, family, protocol)
end

return lookup
