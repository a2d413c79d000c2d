-- The handshake of a connection, which goes on over as many calls as it takes.

local alpn = require "ssocket.luasec.alpn"
local context = require "ssocket.luasec.context"
local failures = require "ssocket.luasec.failures"
local socket = require "ssocket"
local tls = require "ssocket.tls"

local handshake = {}

-- An address is not sent to the server.
local NO_NAME = "0.0.0.0"
local HANDSHAKE_FAILURE, UNRECOGNIZED_NAME = 40, 112 -- alerts
local AWAITED = { read = "wantread", write = "wantwrite" }

-- A socket that has failed is closed, and what follows says so.
local function end_handshake(conn, err, reason)
    conn.state, conn.awaited = "closed", nil
    conn.transport:close()
    return false, failures.text(err, reason, conn.ctx)
end

-- Refuses a client before ssocket.tls knows of it, with a fatal alert in plain, RFC 8446 section 5.1.
local function refuse(conn, alert, text)
    conn.transport:write("\21\3\3\0\2\2" .. string.char(alert))
    return end_handshake(conn, text)
end

local function await(conn, awaited)
    conn.awaited = awaited
    return false, AWAITED[awaited]
end

local function finish(conn, ok, err, reason)
    if ok then
        conn.state, conn.awaited, conn.native = "connected", nil, nil
        return true
    elseif err == socket.ERROR_TIMEOUT and AWAITED[reason] then
        return await(conn, reason)
    elseif err == socket.ERROR_BUSY then
        return false, err -- another task's call goes on
    end
    return end_handshake(conn, err, reason)
end

-- ---- a client ----

-- True, or the results of the call.
local function prepare_client(conn)
    local ctx = conn.ctx
    if ctx.verify_name and not conn.name then
        return end_handshake(conn, "there is no name to verify: sni() tells it")
    end
    local err
    conn.native, err = context.native(ctx, false, ctx.protocols)
    if not conn.native then
        return end_handshake(conn, err)
    end
    return true
end

local function shake_client(conn)
    if not conn.native then
        local ok, err = prepare_client(conn)
        if not ok then
            return false, err
        end
    end
    return finish(conn, tls.client(conn.transport, conn.name or NO_NAME, conn.native, true))
end

-- ---- a server ----

-- `name` is in lower case, the program's may be in any.
local function find_name(contexts, name)
    local found = contexts[name]
    if found then
        return found
    end
    for key, ctx in pairs(contexts) do
        if type(key) == "string" and key:lower() == name then
            return ctx
        end
    end
end

-- A context that serves a name of its own, the usual one, or nil: the name is unknown, and the server is strict.
local function context_for(conn, name)
    local named = conn.contexts and name and find_name(conn.contexts, name)
    if named then
        return context.is(named) and named or nil
    elseif not conn.contexts or not name then
        return conn.ctx
    end
    return not conn.strict and conn.ctx or nil
end

local function offered_protocols(ctx, offered)
    if not ctx.choose_protocols then
        return ctx.protocols
    end
    local list = offered and ctx.choose_protocols((alpn.encode(offered)))
    return list and alpn.decode(list)
end

-- Waits for what the choice of a context needs. True, or the results of the call.
local function choose(conn)
    local hello = {}
    if conn.contexts or conn.ctx.choose_protocols then
        local err
        hello, err = tls.hello(conn.transport)
        if err == socket.ERROR_TIMEOUT then
            return await(conn, "read")
        elseif err == socket.ERROR_BUSY then
            return false, err
        end
        hello = hello or {} -- what is wrong with it the handshake says
        conn.chosen_by = hello.name or ""
    end
    local ctx = context_for(conn, hello.name)
    if not ctx then
        return refuse(conn, UNRECOGNIZED_NAME, "callback failed")
    elseif not context.can_serve(ctx) then
        return refuse(conn, HANDSHAKE_FAILURE, "no shared cipher")
    end
    local err
    conn.native, err = context.native(ctx, true, offered_protocols(ctx, hello.alpn), conn.ctx)
    conn.ctx = ctx
    if not conn.native then
        return end_handshake(conn, err)
    end
    return true
end

local function shake_server(conn)
    if not conn.native then
        local ok, err = choose(conn)
        if not ok then
            return false, err
        end
    end
    local ok, err, reason = tls.server(conn.transport, conn.native, true)
    local info = ok and conn.chosen_by and tls.info(conn.transport)
    if info and (info.name or "") ~= conn.chosen_by then -- the look at the greeting had failed, for lack of memory
        return end_handshake(conn, "the context was chosen without the client's name")
    end
    return finish(conn, ok, err, reason)
end

function handshake.run(conn)
    if conn.server then
        return shake_server(conn)
    end
    return shake_client(conn)
end

return handshake
