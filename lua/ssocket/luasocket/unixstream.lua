-- LuaSocket's unixstream{master}, unixstream{client} and unixstream{server}.

local descriptor = require "ssocket.luasocket.descriptor"
local names = require "ssocket.luasocket.names"
local object = require "ssocket.luasocket.object"
local options = require "ssocket.luasocket.options"
local socket = require "ssocket"
local stream = require "ssocket.luasocket.stream"
local timeouts = require "ssocket.luasocket.timeouts"
local unix_address = require "ssocket.luasocket.unix_address"

local ANY, MASTER, CLIENT, SERVER =
    "unixstream{any}", "unixstream{master}", "unixstream{client}", "unixstream{server}"
local text = object.text
local sample = socket.tcp()
local connect_sock, accept_sock = sample.connect, sample.accept

local classes = {}
local methods = stream.methods(CLIENT, ANY)

function methods.bind(self, path)
    object.check(self, MASTER)
    local address = unix_address.of(object.check_string(path, 2))
    if not address then
        return nil, unix_address.TOO_LONG
    elseif self.sock:fileno() < 0 then
        return nil, object.system.EBADF
    end
    local ok, err = self.sock:bind(address)
    if not ok then
        stream.close(self)
        return nil, text[err]
    end
    return 1
end

function methods.connect(self, path)
    object.check(self, MASTER)
    local address = unix_address.of(object.check_string(path, 2))
    if not address then
        return nil, unix_address.TOO_LONG
    elseif self.sock:fileno() < 0 then
        return nil, "closed"
    end
    local ok, err = timeouts.call(self, connect_sock, self.sock, address)
    if not ok then
        stream.close(self)
        return nil, text[err]
    end
    setmetatable(self, classes[CLIENT])
    stream.set_client(self)
    return 1
end

methods.setsockname, methods.setpeername = methods.bind, methods.connect

function methods.listen(self, backlog)
    object.check(self, MASTER)
    backlog = backlog == nil and 32 or object.truncate(object.check_number(backlog, 2), 32)
    local ok, err = self.sock:listen(backlog)
    if not ok then
        return nil, names.text_of(err)
    end
    setmetatable(self, classes[SERVER])
    return 1
end

function methods.accept(self)
    object.check(self, SERVER)
    local sock, err = timeouts.call(self, accept_sock, self.sock)
    if not sock then
        return nil, text[err]
    end
    return stream.new(classes[CLIENT], sock, true)
end

methods.getsockname = unix_address.getsockname(ANY)

function methods.close(self)
    object.check(self, ANY)
    stream.close(self)
    return 1
end

object.add(methods, timeouts.methods(ANY, stream.changed))
methods.gettimeout = nil -- LuaSocket's has none
object.add(methods, descriptor.methods(ANY, socket.tcp, stream.attach))
options.add_methods(methods, ANY, options.unixstream)

for _, name in ipairs { MASTER, CLIENT, SERVER } do
    classes[name] = object.class(name, methods, ANY)
end

-- A new object.
return function()
    local self = stream.new(classes[MASTER], socket.tcp(), false)
    local ok, err = self.sock:open "unix"
    if not ok then
        return nil, text[err]
    end
    return self
end
