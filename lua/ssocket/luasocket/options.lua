-- getoption and setoption. Unlike LuaSocket's, an option that is set before there is a descriptor is kept.

local connect = require "ssocket.luasocket.connect"
local descriptor = require "ssocket.luasocket.descriptor"
local multicast = require "ssocket.luasocket.multicast"
local multicast_on_inet6 = require "ssocket.luasocket.multicast_on_inet6"
local object = require "ssocket.luasocket.object"
local socket = require "ssocket"

local options = {}

local LINUX_TCP, LINUX_TCP_FASTOPEN_CONNECT = 6, 30 -- tcp(7); ssocket has no name for the option

-- An option has `check`, by which setoption checks and turns its argument, `set` and `get`, as far as LuaSocket has
-- them, and `family` if sockets of the other one lack it, or have `other_family`, a table with another `set` and `get`.

-- ---- kinds of options ----

local function setter(opt)
    return function(self, value)
        return opt ~= nil and self.sock:setopt(opt, value)
    end
end

local function getter(opt)
    return function(self)
        local value = opt ~= nil and self.sock:getopt(opt)
        if value == nil then
            return nil, "getsockopt failed"
        end
        return value
    end
end

local function check_boolean(value)
    if type(value) ~= "boolean" then
        object.misuse(2, 3, ("boolean expected, got %s"):format(value == nil and "no value" or type(value)))
    end
    return value
end

-- LuaSocket takes 0 for what is no number.
local function to_int(value)
    return object.truncate(type(value) ~= "table" and tonumber(value) or 0, 32)
end

local function check_device(value)
    if type(value) ~= "string" then
        object.misuse(2, 3, ("string expected, got %s"):format(value == nil and "no value" or type(value)))
    end
    return value:match "^%Z*"
end

local function boolean(opt, family)
    return { check = check_boolean, set = setter(opt), get = getter(opt), family = family }
end

local function integer(opt, family)
    return { check = to_int, set = setter(opt), get = getter(opt), family = family }
end

local function set_only(option)
    return { check = option.check, set = option.set, family = option.family }
end

-- ---- options of a kind of their own ----

local function check_linger(value)
    if type(value) ~= "table" then
        object.misuse(2, 3, ("table expected, got %s"):format(value == nil and "no value" or type(value)))
    elseif type(value.on) ~= "boolean" then
        object.misuse(2, 3, "boolean 'on' field expected")
    elseif not tonumber(value.timeout) then
        object.misuse(2, 3, "number 'timeout' field expected")
    end
    return { on = value.on, seconds = object.truncate(tonumber(value.timeout), 53) % 65536 }
end

local function set_linger(self, value)
    self.linger = value.on and value.seconds or self.linger
    return self.sock:setopt(socket.OPT_LINGER, value.on and value.seconds)
end

-- When it is off, the system still tells the time that was set before.
local function get_linger(self)
    local seconds = self.sock:getopt(socket.OPT_LINGER)
    if seconds == nil then
        return nil, "getsockopt failed"
    end
    return { on = seconds ~= false, timeout = seconds or self.linger or 0 }
end

local function set_fastopen_connect(self, value)
    return socket.OPT_TCP_FASTOPEN and self.sock:setopt(LINUX_TCP, LINUX_TCP_FASTOPEN_CONNECT, value)
end

local device = {
    check = check_device,
    set = setter(socket.OPT_BINDTODEVICE),
    get = getter(socket.OPT_BINDTODEVICE),
}

-- An option of IPv4 that Linux has on IPv6 sockets too.
local function on_both(option, name)
    option.other_family = multicast_on_inet6[name]
    return option
end

-- ---- the tables ----

local reuseaddr = boolean(socket.OPT_TCP_REUSEADDR)
local reuseport = boolean(socket.OPT_REUSEPORT)
local keepalive = boolean(socket.OPT_TCP_KEEPALIVE)
local v6only = boolean(socket.OPT_IPV6_V6ONLY)
local receive_buffer, send_buffer = integer(socket.OPT_RCVBUF), integer(socket.OPT_SNDBUF)
local linger = { check = check_linger, set = set_linger, get = get_linger }
local pending_error = { get = connect.take_error }

options.tcp = {
    ["keepalive"] = keepalive,
    ["reuseaddr"] = reuseaddr,
    ["reuseport"] = reuseport,
    ["tcp-nodelay"] = boolean(socket.OPT_TCP_NODELAY),
    ["tcp-keepidle"] = integer(socket.OPT_TCP_KEEPIDLE),
    ["tcp-keepcnt"] = integer(socket.OPT_TCP_KEEPCNT),
    ["tcp-keepintvl"] = integer(socket.OPT_TCP_KEEPINTVL),
    ["tcp-defer-accept"] = set_only(integer(socket.OPT_TCP_DEFER_ACCEPT)),
    ["tcp-fastopen"] = set_only(integer(socket.OPT_TCP_FASTOPEN)),
    ["tcp-fastopen-connect"] = { check = to_int, set = set_fastopen_connect },
    ["ipv6-v6only"] = set_only(v6only),
    ["recv-buffer-size"] = receive_buffer,
    ["send-buffer-size"] = send_buffer,
    ["bindtodevice"] = device,
    ["linger"] = linger,
    ["error"] = pending_error,
}

options.udp = {
    ["dontroute"] = boolean(socket.OPT_DONTROUTE),
    ["broadcast"] = boolean(socket.OPT_BROADCAST),
    ["reuseaddr"] = reuseaddr,
    ["reuseport"] = reuseport,
    ["ip-multicast-if"] = on_both(multicast.interface, "interface"),
    ["ip-multicast-ttl"] = on_both(set_only(integer(socket.OPT_IP_MULTICAST_TTL, "inet")), "ttl"),
    ["ip-multicast-loop"] = on_both(boolean(socket.OPT_IP_MULTICAST_LOOP, "inet"), "loop"),
    ["ip-add-membership"] = on_both(multicast.member("inet", "join"), "join"),
    ["ip-drop-membership"] = on_both(multicast.member("inet", "leave"), "leave"),
    ["ipv6-unicast-hops"] = integer(socket.OPT_IP_TTL, "inet6"),
    ["ipv6-multicast-hops"] = integer(socket.OPT_IP_TTL, "inet6"), -- a fault of LuaSocket's
    ["ipv6-multicast-loop"] = boolean(socket.OPT_IP_MULTICAST_LOOP, "inet6"),
    ["ipv6-add-membership"] = multicast.member("inet6", "join"),
    ["ipv6-drop-membership"] = multicast.member("inet6", "leave"),
    ["ipv6-v6only"] = v6only,
    ["recv-buffer-size"] = receive_buffer,
    ["send-buffer-size"] = send_buffer,
    ["error"] = pending_error,
}

-- Unix sockets take these and do nothing about them.
local ignored_by_unix = {
    check = check_boolean,
    set = function(self)
        return self.sock:fileno() >= 0
    end,
}

options.unixstream = {
    ["keepalive"] = ignored_by_unix,
    ["reuseaddr"] = ignored_by_unix,
    ["linger"] = set_only(linger),
}

options.unixdgram = { ["reuseaddr"] = ignored_by_unix }

-- ---- the methods ----

local unavailable = {
    set = function() end,
    get = function()
        return nil, "getsockopt failed"
    end,
}

-- The option as a socket of the object's family has it.
local function option_of(self, option)
    if not option.family or not self.family or self.family == option.family then
        return option
    end
    return option.other_family or unavailable
end

-- Adds setoption for the class's group, and getoption for kinds that have it.
function options.add_methods(methods, group, list, with_get)
    local function find_option(name, way)
        local option = list[name]
        if not option or not option[way] then
            object.misuse(2, 2, ("unsupported option `%.35s'"):format(name))
        end
        return option
    end

    function methods.setoption(self, name, value)
        object.check(self, group)
        local option = find_option(object.check_string(name, 2), "set")
        value = option.check(value)
        if descriptor.is_gone(self) or not option_of(self, option).set(self, value) then
            return nil, "setsockopt failed"
        end
        return 1
    end

    function methods.getoption(self, name)
        object.check(self, group)
        local option = find_option(object.check_string(name, 2), "get")
        if descriptor.is_gone(self) then
            return nil, "getsockopt failed"
        end
        return option_of(self, option).get(self)
    end

    methods.getoption = with_get and methods.getoption or nil
end

return options
