-- The options of datagram sockets that LuaSocket has for one address family each.

local object = require "ssocket.luasocket.object"
local socket = require "ssocket"

local multicast = {}

local is_v4, is_v6 = "^%d+%.%d+%.%d+%.%d+$", "^[%x.]*:[%x:.]*$"

local function is_other_family(self, family)
    return self.family and self.family ~= family
end

-- The option, on sockets of that family alone.
function multicast.of_family(family, option)
    return {
        set = function(self, value)
            local ok = option.set(self, value)
            return ok and not is_other_family(self, family)
        end,
        get = function(self)
            if is_other_family(self, family) then
                return nil, "getsockopt failed"
            end
            return option.get(self)
        end,
    }
end

-- ---- the interface that datagrams leave by ----

local function set_interface(self, value)
    if type(value) ~= "string" then
        object.misuse(2, 3, ("string expected, got %s"):format(value == nil and "no value" or type(value)))
    elseif value ~= "*" and not value:find(is_v4) then
        object.misuse(2, 3, "ip expected")
    end
    return not is_other_family(self, "inet")
        and self.sock:setopt(socket.OPT_IP_MULTICAST_IF, value == "*" and "0.0.0.0" or value)
end

local function get_interface(self)
    local address = not is_other_family(self, "inet") and self.sock:getopt(socket.OPT_IP_MULTICAST_IF)
    if type(address) ~= "string" then
        return nil, "getsockopt failed"
    end
    return address
end

multicast.interface = { set = set_interface, get = get_interface }

-- ---- membership ----

-- These raise errors for the caller's caller, setoption.

local function check_group(value, pattern)
    if type(value) ~= "table" then
        object.misuse(3, 3, ("table expected, got %s"):format(value == nil and "no value" or type(value)))
    end
    local group = value.multiaddr
    if type(group) ~= "string" and type(group) ~= "number" then
        object.misuse(3, 3, "string 'multiaddr' field expected")
    elseif not tostring(group):find(pattern) then
        object.misuse(3, 3, "invalid 'multiaddr' ip address")
    end
    return group
end

local function check_v4_interface(value)
    local address = value.interface
    if type(address) ~= "string" and type(address) ~= "number" then
        object.misuse(3, 3, "string 'interface' field expected")
    elseif address ~= "*" and not tostring(address):find(is_v4) then
        object.misuse(3, 3, "invalid 'interface' ip address")
    end
    return address ~= "*" and address or nil
end

local function check_v6_interface(value)
    local index = value.interface
    if index ~= nil and not tonumber(index) then
        object.misuse(3, 3, "number 'interface' field expected")
    end
    index = object.truncate(tonumber(index) or 0, 32)
    return index ~= 0 and index or nil
end

-- What sets membership: `call` is ssocket's "join" or "leave".
function multicast.member(family, call)
    local pattern = family == "inet" and is_v4 or is_v6
    local check_interface = family == "inet" and check_v4_interface or check_v6_interface
    return function(self, value)
        local group = check_group(value, pattern)
        local interface = check_interface(value)
        if is_other_family(self, family) or type(interface) == "number" and interface < 0 then
            return nil
        end
        local ok = self.sock[call](self.sock, group, interface)
        self.family = ok and family or self.family
        return ok
    end
end

return multicast
