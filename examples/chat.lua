-- A chat: what one client says, all the others hear.
--
--   lua examples/chat.lua [host [port]]         then, in some terminals, nc 127.0.0.1 PORT
--
-- Listens on 127.0.0.1 and a free port unless told otherwise. Each client has two tasks: one reads what it says, the
-- other writes what it is to hear, from a channel of its own. So nobody waits for a client that is slow to read; one
-- that has fallen too far behind is put out, and so is one that says nothing for long.

local socket = require "ssocket"

local LONGEST = 1000 -- bytes in a line
local BEHIND = 100 -- lines that a client may have before it
local PATIENCE = 600 -- seconds for a client to say a line, and to take one
local FAREWELL = 5 -- seconds for the last lines to be taken

io.stdout:setvbuf "line"
socket.onerror = print -- tasks that fail

local inboxes = {} -- by client

local function others(speaker)
    local list = {}
    for client in pairs(inboxes) do
        if client ~= speaker then
            list[#list + 1] = client
        end
    end
    return list
end

-- Waits for nobody: a channel that is full refuses. But after 64 calls others have a turn, and clients come and go
-- then, which a loop over `inboxes` itself would not bear.
local function tell_others(speaker, text)
    for _, client in ipairs(others(speaker)) do
        local inbox = inboxes[client]
        if inbox and not inbox:put(text, 0) then
            inboxes[client] = nil
            client:close() -- both its tasks notice
        end
    end
end

local function deliver(client, inbox)
    local text = inbox:get()
    while text and client:write(text) do
        text = inbox:get()
    end
end

local function listen_to(client, name)
    local next_line = client:readuntil("\n", true, LONGEST)
    local line = next_line()
    while line do
        tell_others(client, name .. ": " .. line)
        line = next_line()
    end
end

local function attend(client)
    client:settimeout(PATIENCE)
    local name, inbox = tostring(client:getpeername()), socket.channel(BEHIND)
    local delivery = socket.spawn(deliver, client, inbox)
    inboxes[client] = inbox
    tell_others(client, name .. " has come\n")
    listen_to(client, name)
    inboxes[client] = nil
    tell_others(client, name .. " has gone\n")
    inbox:close() -- what is in it is still delivered
    delivery:wait(FAREWELL)
    client:shutdown(socket.SHUT_WR)
    client:settimeout(FAREWELL)
    client:readall(65536) -- to close with input unread, after too long a line, may cost it the last lines
    client:close()
end

local listener = socket.tcp()
assert(listener:setopt(socket.OPT_TCP_REUSEADDR, true))
assert(listener:bind(arg[1] or "127.0.0.1", arg[2] or 0))
assert(listener:listen())
print("listening on " .. tostring(listener:getsockname()))
repeat
    local client, err = listener:accept()
    if client then
        socket.spawn(attend, client)
    else -- out of descriptors: who comes stays in the queue meanwhile
        print("chat: " .. err)
        socket.sleep(0.1)
    end
until err == socket.ERROR_CLOSED
