-- ssl.wrap: a connection on a socket that is connected.

local connection = require "ssocket.luasec.connection"
local context = require "ssocket.luasec.context"
local newcontext = require "ssocket.luasec.newcontext"
local socket = require "ssocket"
local stream = require "ssocket.luasocket.stream"

local NATIVE = "tcpsock" -- what getmetatable says of a stream socket

-- Takes the descriptor of an object with getfd and setfd, such as LuaSocket's own.
local function take_descriptor(object)
    local fd = object:getfd()
    object:setfd(-1) -- before another one can own it
    local sock, err = socket.fromfd(fd)
    if not sock then
        object:setfd(fd)
    end
    return sock, err
end

-- Takes the socket out of an object of the bridge, which has none from then on, as after setfd(-1).
local function take_socket(object)
    local sock = object.sock
    if object.left or object.taken then
        return nil, "bytes of the connection have been read already"
    end
    stream.attach(object, socket.tcp())
    return sock
end

local function take(object)
    if getmetatable(object) == NATIVE then
        return object
    elseif type(object) == "table" and getmetatable(object.sock) == NATIVE then
        return take_socket(object)
    end
    return take_descriptor(object)
end

local function wrap(object, params)
    local ctx, why = params, nil
    if type(params) == "table" and not context.is(params) then
        ctx, why = newcontext(params)
    end
    local conn
    if ctx or params == nil then
        conn, why = connection.create(ctx)
    end
    if not conn then
        return nil, why
    end
    conn.transport, why = take(object)
    if not conn.transport then
        return nil, why
    end
    return conn
end

return wrap
