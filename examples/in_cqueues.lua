-- ssocket's tasks in a program that is driven by cqueues: both kinds of coroutine go on side by side.
--
--   lua examples/in_cqueues.lua
--
-- A task serves lines in capital letters; coroutines of cqueues are its clients, through cqueues' own sockets.

local cqueues = require "cqueues"
local cqsocket = require "cqueues.socket"
local socket = require "ssocket"

local CLIENTS = 3

socket.onerror = print -- tasks that fail: nothing here calls socket.run, which would tell of them

local function serve(client)
    client:settimeout(60)
    local next_line = client:readuntil("\n", true, 1000)
    local line = next_line()
    while line and client:write(line:upper()) do
        line = next_line()
    end
    client:shutdown(socket.SHUT_WR) -- after too long a line: to close with input unread may cost it the answers
    client:settimeout(5)
    client:readall(65536)
    client:close()
end

local listener = socket.tcp()
assert(listener:bind("127.0.0.1", 0))
assert(listener:listen())
local port = listener:getsockname()[2]

-- The listener is closed when all clients are done; accept then gives ERROR_CLOSED. Out of descriptors, it is tried
-- again later, unless this task is cancelled: then sleep fails.
local function accept()
    repeat
        local client, err = listener:accept()
        if client then
            socket.spawn(serve, client)
        else
            print("accept: " .. err)
        end
    until err == socket.ERROR_CLOSED or err and not socket.sleep(0.1)
end

local controller = cqueues.new()

-- The bridge: cqueues waits for what the tasks wait for, and they have their turn when that has come.
controller:wrap(function()
    local loop = socket.loop()
    while loop:step(0) do
        cqueues.poll(loop)
    end
end)

local left = CLIENTS

local function ask(name)
    local sock = assert(cqsocket.connect("127.0.0.1", port))
    sock:write(name, "\n")
    sock:flush()
    print(name .. " got " .. sock:read "*l")
    sock:close()
    left = left - 1
    if left == 0 then
        listener:close() -- does not wait: here a call that waits would hold up cqueues
    end
end

socket.spawn(accept)
for i = 1, CLIENTS do
    controller:wrap(ask, "client " .. i)
end
assert(controller:loop())
