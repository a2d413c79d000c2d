-- A chat server that ends in good order: on SIGTERM and Ctrl-C it takes no more clients, tells those it has, waits for
-- them for a while, and leaves.
--
--   lua examples/chat_server.lua [host [port [patience]]]
--
-- Listens on 127.0.0.1 and a free port unless told otherwise. `patience`: seconds for the clients to leave (5).

local socket = require "ssocket"

local BEHIND = 100 -- lines that a client may have before it
local LONGEST = 1000 -- bytes in a line
local patience = tonumber(arg[3]) or 5

io.stdout:setvbuf "line"
socket.onerror = print -- tasks that fail

local members = {} -- by client: its inbox and its task

local function tell(text, except)
    for client, member in pairs(members) do
        if client ~= except and not member.inbox:put(text, 0) then
            client:close() -- it is too far behind; both its tasks notice
        end
    end
end

local function deliver(client, inbox)
    local text = inbox:get()
    while text and client:write(text) do
        text = inbox:get()
    end
end

local function attend(client, inbox)
    local delivery = socket.spawn(deliver, client, inbox)
    local line = client:readline(LONGEST)
    while line do
        tell(line .. "\n", client)
        line = client:readline(LONGEST)
    end
    members[client] = nil
    inbox:close() -- what is in it is still delivered
    delivery:wait(patience)
    client:close()
end

local function serve(listener)
    local client, err
    repeat
        client, err = listener:accept()
        if client then
            local inbox = socket.channel(BEHIND)
            members[client] = { inbox = inbox }
            members[client].task = socket.spawn(attend, client, inbox)
        elseif err ~= socket.ERROR_CLOSED then -- out of descriptors: who comes stays in the queue meanwhile
            print("chat_server: " .. err)
            socket.sleep(0.1)
        end
    until err == socket.ERROR_CLOSED
end

-- Each client reads the last line, and the end after it; whoever has not left in time is cut off.
local function say_goodbye()
    local deadline, waiting = socket.now() + patience, {}
    tell "The server ends.\n"
    for client, member in pairs(members) do
        waiting[client] = member
        member.inbox:close()
    end
    for _, member in pairs(waiting) do
        member.task:wait(math.max(0, deadline - socket.now()))
    end
    for client in pairs(waiting) do
        client:close()
    end
end

local stop = assert(socket.signals("TERM", "INT"))
local listener = assert(socket.listen(arg[1] or "127.0.0.1", arg[2] or 0))
print("listening on " .. tostring(listener:getsockname()))
socket.spawn(serve, listener)
print(stop:get() .. ": ending")
stop:close() -- from here on, the next one ends it at once
listener:close()
say_goodbye()
socket.run()
print "ended"
