-- LuaSocket's udp{unconnected} and udp{connected}.

local connect = require "ssocket.luasocket.connect"
local datagram = require "ssocket.luasocket.datagram"
local lookup = require "ssocket.luasocket.lookup"
local names = require "ssocket.luasocket.names"
local object = require "ssocket.luasocket.object"
local options = require "ssocket.luasocket.options"
local socket = require "ssocket"
local timeouts = require "ssocket.luasocket.timeouts"

local ANY, UNCONNECTED, CONNECTED = "udp{any}", "udp{unconnected}", "udp{connected}"

-- gai_strerror's own texts, which LuaSocket passes on here.
local NOT_NUMERIC = socket.ERROR_NOTFOUND
local NO_SERVICE = "Servname not supported for ai_socktype"

local text = object.text
local sample = socket.udp()

local udp = {}
local classes = {}
local methods = {}

local function new_udp(family)
    local self = datagram.new(classes[UNCONNECTED])
    self.family = family
    if family then
        local ok, err = connect.open(self, family)
        if not ok then
            return nil, text[err]
        end
    end
    return self
end

-- ---- sending ----

function methods.send(self, data)
    object.check(self, CONNECTED)
    data = object.check_string(data, 2)
    return datagram.send_to_peer(self, data)
end

local LOOPBACK = { inet = "127.0.0.1", inet6 = "::1" }

-- The address of a numeric host and port, and its family, or nil and the resolver's own text.
local function numeric(self, host, port)
    host = host == "*" and LOOPBACK[self.family or "inet6"] or host
    local number = lookup.port_number(port)
    local family = lookup.is_v4(host) and "inet" or host:find "^[%x.]*:[%x:.]*%%?[%w._-]*$" and "inet6"
    if not family or not number then
        return nil, not number and lookup.is_numeral(port) and NO_SERVICE or NOT_NUMERIC
    elseif self.family and self.family ~= family then
        return nil, lookup.OTHER_FAMILY
    end
    return host, number, family
end

function methods.sendto(self, data, host, port)
    object.check(self, UNCONNECTED)
    data = object.check_string(data, 2)
    host = object.check_string(host, 3)
    port = object.check_string(port, 4)
    local address, number, family = numeric(self, host, port)
    if not address then
        return nil, number
    elseif not self.family and self.sock:fileno() < 0 then
        local opened, why = connect.open(self, family)
        if not opened then
            return nil, text[why]
        end
        self.family = family
    elseif self.sock:fileno() < 0 then
        return nil, "refused"
    end
    local ok, err = timeouts.call(self, sample.sendto, self.sock, data, address, number)
    if not ok then
        return nil, err == NOT_NUMERIC and err or datagram.text_of(err)
    end
    return #data
end

-- ---- receiving ----

function methods.receive(self, size)
    object.check(self, ANY)
    size = datagram.check_size(size)
    return datagram.receive(self, size)
end

function methods.receivefrom(self, size)
    object.check(self, UNCONNECTED)
    size = datagram.check_size(size)
    local data, address = datagram.receive_from(self, size)
    if not data then
        return nil, address == socket.ERROR_CLOSED and "ai_family not supported" or address
    end
    return data, names.host_of(self, address), address[2]
end

-- ---- addresses ----

local function dissolve(self)
    self.sock:connect()
    setmetatable(self, classes[UNCONNECTED])
    return 1
end

function methods.setpeername(self, host, port)
    object.check(self, ANY)
    host = object.check_string(host, 2)
    if host == "*" then
        return dissolve(self)
    end
    port = object.check_string(port, 3)
    local addresses, err = lookup.remote(host, port, self.family, "udp")
    local ok = addresses
    if addresses then
        ok, err = connect.first(self, addresses, sample.connect)
    end
    if not ok then
        return nil, err
    end
    setmetatable(self, classes[CONNECTED])
    return 1
end

function methods.setsockname(self, host, port)
    object.check(self, UNCONNECTED)
    host = object.check_string(host, 2)
    port = object.check_string(port, 3)
    local addresses, err = lookup.here(host, port, self.family, "udp")
    if not addresses then
        return nil, err
    end
    return connect.first(self, addresses, sample.bind)
end

names.add_methods(methods, ANY, CONNECTED)

function methods.getfamily(self)
    object.check(self, ANY)
    return self.family == "inet6" and "inet6" or "inet4"
end

-- ---- the rest ----

object.add(methods, datagram.methods(ANY))
options.add_methods(methods, ANY, options.udp, true)

for _, name in ipairs { UNCONNECTED, CONNECTED } do
    classes[name] = object.class(name, methods, ANY)
end

udp.functions = { _DATAGRAMSIZE = datagram.SIZE }

function udp.functions.udp()
    return new_udp()
end

function udp.functions.udp4()
    return new_udp "inet"
end

function udp.functions.udp6()
    return new_udp "inet6"
end

return udp
