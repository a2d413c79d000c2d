-- An echo server for many clients at once: select tells whom to read from and whom to write to.
--
--   lua examples/echo_tcp.lua [host [port [clients]]]
--
-- Listens on 127.0.0.1 and a free port unless told otherwise, and ends when so many clients have come and
-- gone (never, without a number).

local socket = require "ssocket"

local host, port, limit = arg[1] or "127.0.0.1", arg[2] or 0, tonumber(arg[3]) or math.huge

local listener = socket.tcp()
assert(listener:setopt(socket.OPT_TCP_REUSEADDR, true))
assert(listener:bind(host, port))
assert(listener:listen())
listener:settimeout(0) -- a client that select has told of may be gone when accept comes
print("listening on " .. tostring(listener:getsockname()))
io.stdout:flush()

local PATIENCE = 60 -- seconds for a client to say something, and again to take the answer
local PAUSE = 0.1 -- seconds after which accept is tried again

-- What each client has sent and not got back yet. A client is read from only when that is nothing, so one
-- that sends and never reads makes the server hold no more than one piece of it.
local owed, leaves_at = {}, {}
local come, gone, accept_at = 0, 0, 0

local function welcome()
    local client, err = listener:accept()
    if client then
        client:settimeout(0)
        owed[client], leaves_at[client] = "", socket.now() + PATIENCE
        come = come + 1
    elseif err ~= socket.ERROR_TIMEOUT then -- out of descriptors: who comes stays in the queue meanwhile
        io.stderr:write("echo_tcp: ", err, "\n")
        accept_at = socket.now() + PAUSE
    end
end

local function dismiss(client)
    client:close()
    owed[client], leaves_at[client] = nil, nil
    gone = gone + 1
end

local function send(client)
    local _, err, sent = client:write(owed[client])
    if not err then
        owed[client], leaves_at[client] = "", socket.now() + PATIENCE
    elseif err == socket.ERROR_TIMEOUT then
        owed[client] = owed[client]:sub(sent + 1)
    else
        dismiss(client)
    end
end

local function receive(client)
    local data, err = client:readsome(65536)
    if data then
        owed[client], leaves_at[client] = data, socket.now() + PATIENCE
        send(client) -- most of the time it can be written at once
    elseif err ~= socket.ERROR_TIMEOUT then
        dismiss(client)
    end
end

while gone < limit do
    local readers, writers, now = {}, {}, socket.now()
    if come < limit and now >= accept_at then
        readers[1] = listener
    end
    for client, data in pairs(owed) do
        if now >= leaves_at[client] then
            dismiss(client)
        else
            table.insert(data == "" and readers or writers, client)
        end
    end
    -- Not for ever: the clock is looked at again.
    local readable, writable, err = socket.select(readers, writers, now < accept_at and PAUSE or 1)
    if err and err ~= socket.ERROR_TIMEOUT then
        error(err, 0)
    end
    for _, sock in ipairs(readable or {}) do
        if sock == listener then
            welcome()
        else
            receive(sock)
        end
    end
    for _, client in ipairs(writable or {}) do
        send(client)
    end
end
listener:close()
