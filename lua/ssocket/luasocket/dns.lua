-- LuaSocket's table `dns`.

local lookup = require "ssocket.luasocket.lookup"
local object = require "ssocket.luasocket.object"
local socket = require "ssocket"

local dns = {}

-- The texts of hstrerror(3), but for the first.
local NO_HOST = "host not found"
local NO_DATA = "No address associated with name"
local BY_SYMBOL = { EAI_AGAIN = "Host name lookup failure", EAI_FAIL = "Unknown server error" }

local function failure_of(err)
    return nil, BY_SYMBOL[socket.errname(err) or ""] or NO_HOST
end

local function by_address(ip)
    local name, err = socket.nameinfo(ip)
    if not name then
        return failure_of(err)
    end
    return { name = name, alias = {}, ip = { ip } }
end

-- The resolver tells one canonical name; the name that was asked for is an alias then.
local function by_name(host)
    local found, err, exists = socket.resolve(host, 0, -1, "inet")
    if not found then
        if exists then
            return nil, NO_DATA
        end
        return failure_of(err)
    end
    local info = { name = found.canonical, alias = {}, ip = {} }
    local asked = host:gsub("%.$", "")
    if found.canonical:lower() ~= asked:lower() then
        info.alias[1] = asked
    end
    for i, address in ipairs(found) do
        info.ip[i] = address[1]
    end
    return info
end

local function host_info(host)
    if host == "" then
        return nil, "Unknown server error"
    elseif lookup.is_no_host(host) or host:find(":", 1, true) then
        return nil, NO_HOST
    elseif lookup.is_v4(host) then
        return by_address(host)
    end
    return by_name(host)
end

function dns.toip(host)
    local info, err = host_info(object.check_string(host, 1))
    if not info then
        return nil, err
    end
    return info.ip[1], info
end

function dns.tohostname(host)
    local info, err = host_info(object.check_string(host, 1))
    if not info then
        return nil, err
    end
    return info.name, info
end

function dns.getaddrinfo(host)
    local found, err = lookup.resolve(object.check_string(host, 1), 0)
    if not found then
        return nil, err
    end
    local list = {}
    for i, address in ipairs(found) do
        list[i] = { family = address.family, addr = address[1] }
    end
    return list
end

-- The name of an address, or else the address, and the name of the service at its port.
local function names_of(address)
    local name, service = socket.nameinfo(address)
    if name then
        return name, service
    end
    local _, at_port = socket.nameinfo { "127.0.0.1", address[2], family = "inet" }
    return address[1], at_port
end

function dns.getnameinfo(host, service)
    host = host ~= nil and object.check_string(host, 1) or nil
    service = service ~= nil and object.check_string(service, 2) or nil
    if not host and not service then
        error("host and serv cannot be both nil", 2)
    end
    local find = service and lookup.remote or lookup.resolve
    local found, err = find(host or "127.0.0.1", service or 0)
    if not found then
        return nil, err
    end
    local names, service_name = {}, nil
    for i, address in ipairs(found) do
        names[i], service_name = names_of(address)
    end
    if not host then
        names = {}
    end
    if service then
        return names, service_name
    end
    return names
end

function dns.gethostname()
    local name, err = socket.hostname()
    if not name then
        return nil, object.text[err]
    end
    return name
end

return dns
