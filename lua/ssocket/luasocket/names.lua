-- getsockname and getpeername of IP sockets.

local object = require "ssocket.luasocket.object"
local socket = require "ssocket"

local names = {}

-- What LuaSocket says where it hands the system a descriptor that is not open.
function names.text_of(err)
    return err == socket.ERROR_CLOSED and object.system.EBADF or object.text[err]
end

-- ssocket shows an IPv4 address of an IPv6 socket as IPv4.
function names.host_of(self, address)
    if self.family == "inet6" and address.family == "inet" then
        return "::ffff:" .. address[1]
    end
    return address[1]
end

local function shown(self, address, err)
    if not address then
        return nil, names.text_of(err)
    end
    return names.host_of(self, address), address[2], self.family or "unspec"
end

-- Adds the two methods for the class or group that each needs.
function names.add_methods(methods, any, with_peer)
    function methods.getsockname(self)
        object.check(self, any)
        local host, port, family = shown(self, self.sock:getsockname())
        if not host then
            return nil, port
        end
        return host, tostring(port), family
    end

    function methods.getpeername(self)
        object.check(self, with_peer)
        return shown(self, self.sock:getpeername())
    end
end

return names
