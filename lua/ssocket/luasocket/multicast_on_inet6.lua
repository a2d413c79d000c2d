-- The options of IPv4 multicast on IPv6 sockets, which Linux has there beside those of IPv6. ssocket's own are those of
-- the socket's family, so these go by their numbers.

local socket = require "ssocket"

local IPPROTO_IP = 0
local MULTICAST_IF, MULTICAST_TTL, MULTICAST_LOOP, ADD_MEMBERSHIP, DROP_MEMBERSHIP = 32, 33, 34, 35, 36 -- ip(7)

if not socket.OPT_BINDTODEVICE then -- another system, with other numbers
    return {}
end

local function to_bytes(address)
    return string.char(address:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
end

local function set(number, to_value)
    return function(self, value)
        return self.sock:setopt(IPPROTO_IP, number, to_value(value))
    end
end

local function get(number, size, from_value)
    return function(self)
        local value = self.sock:getopt(IPPROTO_IP, number, size)
        if value == nil then
            return nil, "getsockopt failed"
        end
        return from_value(value)
    end
end

local function same(value)
    return value
end

-- struct ip_mreq
local function to_request(value)
    return to_bytes(value.group) .. to_bytes(value.interface or "0.0.0.0")
end

return {
    interface = {
        set = set(MULTICAST_IF, to_bytes),
        get = get(MULTICAST_IF, 4, function(bytes)
            return ("%d.%d.%d.%d"):format(bytes:byte(1, 4))
        end),
    },
    ttl = { set = set(MULTICAST_TTL, same) },
    loop = {
        set = set(MULTICAST_LOOP, function(value)
            return value and 1 or 0
        end),
        get = get(MULTICAST_LOOP, nil, function(value)
            return value ~= 0
        end),
    },
    join = { set = set(ADD_MEMBERSHIP, to_request) },
    leave = { set = set(DROP_MEMBERSHIP, to_request) },
}
