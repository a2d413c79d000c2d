-- LuaSocket's module `socket` on ssocket, for programs that are written for LuaSocket. docs/reference.md#luasocket.

local dns = require "ssocket.luasocket.dns"
local object = require "ssocket.luasocket.object"
local select_objects = require "ssocket.luasocket.select"
local socket = require "ssocket"
local sources = require "ssocket.luasocket.sources"
local tcp = require "ssocket.luasocket.tcp"
local try = require "ssocket.luasocket.try"
local udp = require "ssocket.luasocket.udp"
local unix = require "ssocket.luasocket.unix"

local luasocket = {
    _VERSION = "LuaSocket 3.0.0", -- what LuaSocket 3.1.0 says
    _SETSIZE = 1048576, -- programs ask for it; select has no limit
    _SOCKETINVALID = -1,
    dns = dns,
    unix = unix,
    select = select_objects,
    gettime = socket.time,
    newtry = try.newtry,
    protect = try.protect,
    try = try.newtry(),
}

object.add(luasocket, tcp.functions)
object.add(luasocket, udp.functions)
sources.add_to(luasocket)

-- ---- time and small things ----

function luasocket.sleep(seconds)
    seconds = object.check_number(seconds, 1)
    socket.sleep(seconds > 0 and seconds or 0)
end

function luasocket.skip(count, ...)
    count = object.truncate(object.check_number(count, 1), 32)
    return select(math.max(count, 0) + 1, ...)
end

function luasocket.__unload() end

-- ---- connect and bind in one call ----

function luasocket.connect4(host, port, here, here_port)
    return luasocket.connect(host, port, here, here_port, "inet")
end

function luasocket.connect6(host, port, here, here_port)
    return luasocket.connect(host, port, here, here_port, "inet6")
end

-- A server at one address, or nil, the error, and whether another address makes no sense.
local function listen_at(address, port, backlog)
    local make = address.family == "inet" and luasocket.tcp4 or luasocket.tcp6
    local server, err = make()
    if not server then
        return nil, err, true
    end
    server:setoption("reuseaddr", true)
    local ok
    ok, err = server:bind(address.addr, port)
    if ok then
        ok, err = server:listen(backlog)
    end
    if not ok then
        server:close()
        return nil, err
    end
    return server
end

function luasocket.bind(host, port, backlog)
    local addresses, err = dns.getaddrinfo(host == "*" and "0.0.0.0" or host)
    if not addresses then
        return nil, err
    end
    local server, hopeless
    for _, address in ipairs(addresses) do
        server, err, hopeless = listen_at(address, port, backlog)
        if server or hopeless then
            break
        end
    end
    if not server then
        return nil, err
    end
    return server
end

-- Puts the module in place of LuaSocket's, for all that is required later. Returns the module.
function luasocket.install()
    package.loaded["socket"] = luasocket
    package.loaded["socket.core"] = luasocket
    package.loaded["socket.unix"] = unix
    return luasocket
end

return luasocket
