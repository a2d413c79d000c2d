-- getoption and setoption. Unlike LuaSocket's, an option that is set before there is a descriptor is kept.

local connect = require "ssocket.luasocket.connect"
local multicast = require "ssocket.luasocket.multicast"
local object = require "ssocket.luasocket.object"
local socket = require "ssocket"

local options = {}

local LINUX_TCP, LINUX_TCP_FASTOPEN_CONNECT = 6, 30 -- tcp(7); ssocket has no name for the option

local function got(value)
    if value == nil then
        return nil, "getsockopt failed"
    end
    return value
end

-- ---- kinds of options: what each has to set, a function that checks the value, and to get ----

local function setter(opt, checked)
    return function(self, value)
        value = checked(value)
        return opt ~= nil and self.sock:setopt(opt, value)
    end
end

local function getter(opt)
    return function(self)
        return got((self.sock:getopt(opt)))
    end
end

local function check_boolean(value)
    if type(value) ~= "boolean" then
        object.misuse(3, 3, ("boolean expected, got %s"):format(value == nil and "no value" or type(value)))
    end
    return value
end

-- LuaSocket takes 0 for what is no number.
local function to_int(value)
    return object.truncate(type(value) ~= "table" and tonumber(value) or 0, 32)
end

local function check_device(value)
    if type(value) ~= "string" then
        object.misuse(3, 3, ("string expected, got %s"):format(value == nil and "no value" or type(value)))
    end
    return value:match "^%Z*"
end

local function boolean(opt)
    return { set = setter(opt, check_boolean), get = getter(opt) }
end

local function integer(opt)
    return { set = setter(opt, to_int), get = getter(opt) }
end

local function set_only(option)
    return { set = option.set }
end

-- ---- options of a kind of their own ----

local function set_linger(self, value)
    if type(value) ~= "table" then
        object.misuse(2, 3, ("table expected, got %s"):format(value == nil and "no value" or type(value)))
    end
    local on, seconds = value.on, tonumber(value.timeout)
    if type(on) ~= "boolean" then
        object.misuse(2, 3, "boolean 'on' field expected")
    elseif not seconds then
        object.misuse(2, 3, "number 'timeout' field expected")
    end
    seconds = object.truncate(seconds, 53) % 65536
    self.linger = on and seconds or self.linger
    return self.sock:setopt(socket.OPT_LINGER, on and seconds)
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
    return socket.OPT_TCP_FASTOPEN and self.sock:setopt(LINUX_TCP, LINUX_TCP_FASTOPEN_CONNECT, to_int(value))
end

-- ---- the tables ----

local reuseaddr = boolean(socket.OPT_TCP_REUSEADDR)
local reuseport = boolean(socket.OPT_REUSEPORT)
local keepalive = boolean(socket.OPT_TCP_KEEPALIVE)
local v6only = boolean(socket.OPT_IPV6_V6ONLY)
local receive_buffer, send_buffer = integer(socket.OPT_RCVBUF), integer(socket.OPT_SNDBUF)
local linger = { set = set_linger, get = get_linger }
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
    ["tcp-fastopen-connect"] = { set = set_fastopen_connect },
    ["ipv6-v6only"] = set_only(v6only),
    ["recv-buffer-size"] = receive_buffer,
    ["send-buffer-size"] = send_buffer,
    ["bindtodevice"] = { set = setter(socket.OPT_BINDTODEVICE, check_device), get = getter(socket.OPT_BINDTODEVICE) },
    ["linger"] = linger,
    ["error"] = pending_error,
}

options.udp = {
    ["dontroute"] = boolean(socket.OPT_DONTROUTE),
    ["broadcast"] = boolean(socket.OPT_BROADCAST),
    ["reuseaddr"] = reuseaddr,
    ["reuseport"] = reuseport,
    ["ip-multicast-if"] = multicast.interface,
    ["ip-multicast-ttl"] = set_only(multicast.of_family("inet", integer(socket.OPT_IP_MULTICAST_TTL))),
    ["ip-multicast-loop"] = multicast.of_family("inet", boolean(socket.OPT_IP_MULTICAST_LOOP)),
    ["ip-add-membership"] = { set = multicast.member("inet", "join") },
    ["ip-drop-membership"] = { set = multicast.member("inet", "leave") },
    ["ipv6-unicast-hops"] = multicast.of_family("inet6", integer(socket.OPT_IP_TTL)),
    ["ipv6-multicast-hops"] = multicast.of_family("inet6", integer(socket.OPT_IP_TTL)), -- a fault of LuaSocket's
    ["ipv6-multicast-loop"] = multicast.of_family("inet6", boolean(socket.OPT_IP_MULTICAST_LOOP)),
    ["ipv6-add-membership"] = { set = multicast.member("inet6", "join") },
    ["ipv6-drop-membership"] = { set = multicast.member("inet6", "leave") },
    ["ipv6-v6only"] = v6only,
    ["recv-buffer-size"] = receive_buffer,
    ["send-buffer-size"] = send_buffer,
    ["error"] = pending_error,
}

-- Unix sockets take these and do nothing about them.
local function ignored_by_unix(option)
    return {
        set = function(self, value)
            value = check_boolean(value)
            return self.sock:fileno() >= 0
        end,
    }
end

options.unixstream = {
    ["keepalive"] = ignored_by_unix(keepalive),
    ["reuseaddr"] = ignored_by_unix(reuseaddr),
    ["linger"] = set_only(linger),
}

options.unixdgram = { ["reuseaddr"] = ignored_by_unix(reuseaddr) }

-- ---- the methods ----

-- The row of an option, or nil and what is wrong with the name.
local function find_option(list, name, way)
    local option = list[name]
    if option and option[way] then
        return option
    end
    return nil, ("unsupported option `%.35s'"):format(name)
end

-- Adds setoption for the class's group, and getoption for kinds that have it.
function options.add_methods(methods, group, list, with_get)
    function methods.setoption(self, name, value)
        object.check(self, group)
        name = object.check_string(name, 2)
        local option, why = find_option(list, name, "set")
        if not option then
            object.misuse(1, 2, why)
        end
        local ok = option.set(self, value)
        if not ok then
            return nil, "setsockopt failed"
        end
        return 1
    end

    if not with_get then
        return
    end
    function methods.getoption(self, name)
        object.check(self, group)
        name = object.check_string(name, 2)
        local option, why = find_option(list, name, "get")
        if not option then
            object.misuse(1, 2, why)
        end
        return option.get(self)
    end
end

return options
