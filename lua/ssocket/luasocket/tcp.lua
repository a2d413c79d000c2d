-- LuaSocket's tcp{master}, tcp{client} and tcp{server}.

local connect = require "ssocket.luasocket.connect"
local descriptor = require "ssocket.luasocket.descriptor"
local lookup = require "ssocket.luasocket.lookup"
local names = require "ssocket.luasocket.names"
local object = require "ssocket.luasocket.object"
local options = require "ssocket.luasocket.options"
local socket = require "ssocket"
local stream = require "ssocket.luasocket.stream"
local timeouts = require "ssocket.luasocket.timeouts"

local ANY, MASTER, CLIENT, SERVER = "tcp{any}", "tcp{master}", "tcp{client}", "tcp{server}"
local text = object.text
local sample = socket.tcp()
local accept_sock = sample.accept

local tcp = {}
local classes = {}

-- An object over ssocket's socket, of a class and family.
function tcp.wrap(sock, class, family)
    local self = setmetatable({ sock = sock, family = family, block = -1, total = -1, both = false }, classes[class])
    stream.init(self)
    if class == CLIENT then
        stream.set_client(self)
    end
    return self
end

local function new(family)
    local self = tcp.wrap(socket.tcp(), MASTER, family)
    if family then
        local ok, err = connect.open(self, family)
        if not ok then
            return nil, text[err]
        end
    end
    return self
end

-- ---- methods ----

local methods = stream.methods(CLIENT, ANY)

local function bind_address(self, address, family)
    if family ~= address.family or self.sock:fileno() < 0 then
        local ok, err = connect.open(self, address.family)
        if not ok then
            return nil, err, family
        end
    end
    local ok, err = self.sock:bind(address)
    return ok, err, address.family
end

-- Binds to the first address of the host, in that family, that can be had.
local function bind(self, host, port, wanted)
    local addresses, err = lookup.here(host, port, wanted)
    if not addresses then
        return nil, err
    end
    local ok
    local family = self.family
    for _, address in ipairs(addresses) do
        ok, err, family = bind_address(self, address, family)
        if ok then
            self.family = family
            return 1
        end
    end
    return nil, text[err]
end

function methods.bind(self, host, port)
    object.check(self, MASTER)
    host = object.check_string(host, 2)
    port = object.check_string(port, 3)
    return bind(self, host, port, self.family)
end

local function connect_to(self, host, port)
    local addresses, err = lookup.remote(host, port, self.family)
    if not addresses then
        return nil, err
    end
    return connect.try(self, addresses)
end

function methods.connect(self, host, port)
    object.check(self, ANY)
    host = object.check_string(host, 2)
    port = object.check_string(port, 3)
    local ok, err = connect_to(self, host, port)
    setmetatable(self, classes[CLIENT])
    stream.set_client(self)
    if ok then
        return 1
    end
    return nil, err
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
    return tcp.wrap(sock, CLIENT, self.family)
end

function methods.close(self)
    object.check(self, ANY)
    stream.close(self)
    return 1
end

function methods.getfamily(self)
    object.check(self, ANY)
    return self.family == "inet6" and "inet6" or "inet4"
end

names.add_methods(methods, ANY, ANY)

-- ---- classes ----

object.add(methods, timeouts.methods(ANY, stream.changed))
object.add(methods, descriptor.methods(ANY, socket.tcp, stream.attach))
options.add_methods(methods, ANY, options.tcp, true)

for _, name in ipairs { MASTER, CLIENT, SERVER } do
    classes[name] = object.class(name, methods, ANY)
end
tcp.classes = classes

-- ---- functions of the module ----

local FAMILIES = { unspec = true, inet = true, inet6 = true }

local function connected(host, port, here, here_port, family)
    local self = tcp.wrap(socket.tcp(), MASTER)
    local ok, err = 1, nil
    if here then
        ok, err = bind(self, here, here_port, family ~= "unspec" and family or nil)
    end
    if ok then
        ok, err = connect_to(self, host, port)
    end
    if not ok then
        self.sock:close()
        return nil, err
    end
    setmetatable(self, classes[CLIENT])
    stream.set_client(self)
    return self
end

tcp.functions = {}
local functions = tcp.functions

function functions.tcp()
    return new()
end

function functions.tcp4()
    return new "inet"
end

function functions.tcp6()
    return new "inet6"
end

function functions.connect(host, port, here, here_port, family)
    host = object.check_string(host, 1)
    port = object.check_string(port, 2)
    here = here ~= nil and object.check_string(here, 3) or nil
    here_port = here_port == nil and "0" or object.check_string(here_port, 4)
    family = family == nil and "unspec" or object.check_string(family, 5)
    if not FAMILIES[family] then
        object.misuse(1, 5, ("invalid option '%s'"):format(family))
    end
    return connected(host, port, here, here_port, family)
end

return tcp
