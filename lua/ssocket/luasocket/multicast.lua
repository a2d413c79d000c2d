-- Options of UDP sockets for multicast: the interface that datagrams leave by, and membership in groups. What the fields
-- of an option are, options.lua says.

local lookup = require "ssocket.luasocket.lookup"
local object = require "ssocket.luasocket.object"
local socket = require "ssocket"

local multicast = {}

local function is_ipv4(value)
    return lookup.is_v4(tostring(value))
end

local function is_ipv6(value)
    return tostring(value):find "^[%x.]*:[%x:.]*$" ~= nil
end

-- As lua_isstring.
local function is_text(value)
    return type(value) == "string" or type(value) == "number"
end

-- ---- the interface ----

local function check_interface(value)
    if type(value) ~= "string" then
        object.misuse(2, 3, ("string expected, got %s"):format(value == nil and "no value" or type(value)))
    elseif value ~= "*" and not is_ipv4(value) then
        object.misuse(2, 3, "ip expected")
    end
    return value == "*" and "0.0.0.0" or value
end

local function set_interface(self, value)
    return self.sock:setopt(socket.OPT_IP_MULTICAST_IF, value)
end

local function get_interface(self)
    local address = self.sock:getopt(socket.OPT_IP_MULTICAST_IF)
    if type(address) ~= "string" then
        return nil, "getsockopt failed"
    end
    return address
end

multicast.interface = { check = check_interface, set = set_interface, get = get_interface, family = "inet" }

-- ---- membership ----

local function check_group(value, is_address)
    if type(value) ~= "table" then
        object.misuse(3, 3, ("table expected, got %s"):format(value == nil and "no value" or type(value)))
    elseif not is_text(value.multiaddr) then
        object.misuse(3, 3, "string 'multiaddr' field expected")
    elseif not is_address(value.multiaddr) then
        object.misuse(3, 3, "invalid 'multiaddr' ip address")
    end
end

local function check_ipv4(value)
    check_group(value, is_ipv4)
    local address = value.interface
    if not is_text(address) then
        object.misuse(2, 3, "string 'interface' field expected")
    elseif address ~= "*" and not is_ipv4(address) then
        object.misuse(2, 3, "invalid 'interface' ip address")
    end
    return { group = value.multiaddr, interface = address ~= "*" and address or nil }
end

local function check_ipv6(value)
    check_group(value, is_ipv6)
    local index = value.interface
    if index ~= nil and not tonumber(index) then
        object.misuse(2, 3, "number 'interface' field expected")
    end
    index = object.truncate(tonumber(index) or 0, 32)
    return { group = value.multiaddr, interface = index ~= 0 and index or nil }
end

-- The option that makes the socket `join` or `leave` a group.
function multicast.member(family, call)
    local function set(self, value)
        local index = tonumber(value.interface)
        if index and index < 0 then
            return nil
        end
        local ok = self.sock[call](self.sock, value.group, value.interface)
        self.family = ok and family or self.family
        return ok
    end
    return { check = family == "inet" and check_ipv4 or check_ipv6, set = set, family = family }
end

return multicast
