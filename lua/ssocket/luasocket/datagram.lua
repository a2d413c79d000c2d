-- Sending and receiving of datagram sockets of both kinds, UDP and Unix.

local descriptor = require "ssocket.luasocket.descriptor"
local object = require "ssocket.luasocket.object"
local socket = require "ssocket"
local timeouts = require "ssocket.luasocket.timeouts"

local datagram = { SIZE = 8192 }

local MOST = 2 ^ 24 -- bytes; longer than any datagram
local sample = socket.udp()
local send, recv, recvfrom = sample.send, sample.recv, sample.recvfrom

function datagram.new(class)
    local self = setmetatable({ sock = socket.udp(), block = -1, total = -1, both = false }, class)
    descriptor.changed(self)
    return self
end

-- Gives the object another socket of ssocket.
function datagram.attach(self, sock)
    self.sock = sock
    timeouts.apply(self)
    descriptor.changed(self)
end

function datagram.close(self)
    descriptor.close(self)
    descriptor.changed(self)
end

-- LuaSocket's text for an error of a call that sends or receives.
function datagram.text_of(err)
    return err == socket.ERROR_CLOSED and "refused" or object.text[err]
end

-- Called by a method whose second argument says how many bytes of a datagram are wanted. Negative: LuaSocket would want
-- more than there is memory.
function datagram.check_size(size)
    if size == nil then
        return datagram.SIZE
    end
    local number = type(size) ~= "table" and tonumber(size)
    if not number then
        object.misuse(2, 2, ("number expected, got %s"):format(type(size)))
    end
    return math.min(object.truncate(number, 53), MOST)
end

function datagram.send_to_peer(self, data)
    local ok, err = timeouts.call(self, send, self.sock, data)
    if not ok then
        return nil, datagram.text_of(err)
    end
    return #data
end

-- A closed object gives "".
function datagram.receive(self, size)
    if size < 0 then
        return nil, "out of memory"
    end
    local data, err = timeouts.call(self, recv, self.sock, math.max(size, 1))
    if not data and err == socket.ERROR_CLOSED then
        return ""
    elseif not data then
        return nil, datagram.text_of(err)
    end
    return size == 0 and "" or data
end

-- Returns the data and ssocket's address, or nil and the text, or ERROR_CLOSED for a closed object.
function datagram.receive_from(self, size)
    if size < 0 then
        return nil, "out of memory"
    end
    local data, address, err = timeouts.call(self, recvfrom, self.sock, math.max(size, 1))
    if not data then
        return nil, err == socket.ERROR_CLOSED and err or datagram.text_of(err)
    end
    return size == 0 and "" or data, address
end

-- What the objects of a group share that are made of datagrams.
function datagram.methods(group)
    local methods = {}

    function methods.close(self)
        object.check(self, group)
        datagram.close(self)
        return 1
    end

    function methods.dirty(self)
        object.check(self, group)
        return false
    end

    object.add(methods, timeouts.methods(group, descriptor.changed))
    object.add(methods, descriptor.methods(group, socket.udp, datagram.attach))
    return methods
end

return datagram
