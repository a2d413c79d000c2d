-- LuaSocket's unixdgram{unconnected} and unixdgram{connected}.

local datagram = require "ssocket.luasocket.datagram"
local object = require "ssocket.luasocket.object"
local options = require "ssocket.luasocket.options"
local socket = require "ssocket"
local timeouts = require "ssocket.luasocket.timeouts"
local unix_address = require "ssocket.luasocket.unix_address"

local ANY, UNCONNECTED, CONNECTED = "unixdgram{any}", "unixdgram{unconnected}", "unixdgram{connected}"
local text = object.text
local sendto_sock = socket.udp().sendto

local classes = {}
local methods = {}

-- Binds or connects. A failure closes the descriptor.
local function set_address(self, address, call)
    local ok, err = self.sock[call](self.sock, address)
    if not ok then
        datagram.close(self)
        return nil, text[err]
    end
    return 1
end

function methods.bind(self, path)
    object.check(self, UNCONNECTED)
    local address = unix_address.of(object.check_string(path, 2))
    if not address then
        return nil, unix_address.TOO_LONG
    elseif self.sock:fileno() < 0 then
        return nil, object.system.EBADF
    end
    return set_address(self, address, "bind")
end

function methods.connect(self, path)
    object.check(self, ANY)
    local address = unix_address.of(object.check_string(path, 2))
    if not address then
        return nil, unix_address.TOO_LONG
    elseif self.sock:fileno() < 0 then
        return nil, "closed"
    end
    local ok, err = set_address(self, address, "connect")
    if not ok then
        return nil, err
    end
    setmetatable(self, classes[CONNECTED])
    return 1
end

methods.setsockname, methods.setpeername = methods.bind, methods.connect

function methods.send(self, data)
    object.check(self, CONNECTED)
    data = object.check_string(data, 2)
    return datagram.send_to_peer(self, data)
end

function methods.sendto(self, data, path)
    object.check(self, UNCONNECTED)
    data = object.check_string(data, 2)
    local address = unix_address.of(object.check_string(path, 3))
    if not address then
        return nil, unix_address.TOO_LONG
    elseif self.sock:fileno() < 0 then
        return nil, "refused"
    end
    local ok, err = timeouts.call(self, sendto_sock, self.sock, data, address)
    if not ok then
        return nil, datagram.text_of(err)
    end
    return #data
end

function methods.receive(self, size)
    object.check(self, ANY)
    size = datagram.check_size(size)
    return datagram.receive(self, size)
end

-- On a closed object LuaSocket tells of an empty datagram from nobody.
function methods.receivefrom(self, size)
    object.check(self, UNCONNECTED)
    size = datagram.check_size(size)
    local data, address = datagram.receive_from(self, size)
    if data then
        return data, unix_address.path(address)
    elseif address == socket.ERROR_CLOSED then
        return "", ""
    end
    return nil, address
end

methods.getsockname = unix_address.getsockname(ANY)

object.add(methods, datagram.methods(ANY))
options.add_methods(methods, ANY, options.unixdgram)

for _, name in ipairs { UNCONNECTED, CONNECTED } do
    classes[name] = object.class(name, methods, ANY)
end

-- A new object.
return function()
    local self = datagram.new(classes[UNCONNECTED])
    local ok, err = self.sock:open "unix"
    if not ok then
        return nil, text[err]
    end
    return self
end
