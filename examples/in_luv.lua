-- ssocket's tasks in a program that is driven by luv: callbacks and tasks go on side by side.
--
--   lua examples/in_luv.lua
--
-- A task serves lines in capital letters; its clients are sockets of luv, with callbacks.

local socket = require "ssocket"
local uv = require "luv"

local CLIENTS = 3

socket.onerror = print -- tasks that fail: nothing here calls socket.run, which would tell of them

-- The bridge: before luv waits the tasks have their turn, and luv waits for what they wait for. It keeps uv.run from
-- returning while there are tasks, and does not when there are none.
local function drive(loop)
    local before, descriptor, timer = uv.new_prepare(), uv.new_poll(loop:pollfd()), uv.new_timer()
    local function nothing() end
    descriptor:start(loop:events(), nothing)
    descriptor:unref()
    before:start(function()
        local tasks_left = loop:step(0)
        local seconds = loop:timeout()
        timer:stop()
        if seconds then
            timer:start(math.ceil(seconds * 1000), 0, nothing)
        end
        if tasks_left then
            before:ref()
        else
            before:unref()
        end
    end)
end

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

local left = CLIENTS

local function finish(client, name, text)
    print(name .. " got " .. text:gsub("\n$", ""))
    client:close()
    left = left - 1
    if left == 0 then
        listener:close() -- does not wait: in a callback a call that waits would hold up luv
    end
end

local function ask(name)
    local client, text = uv.new_tcp(), ""
    client:connect("127.0.0.1", port, function(err)
        assert(not err, err)
        client:write(name .. "\n")
        client:read_start(function(read_err, data)
            assert(not read_err, read_err)
            text = text .. (data or "")
            if not data or text:find("\n", 1, true) then
                finish(client, name, text)
            end
        end)
    end)
end

drive(socket.loop())
socket.spawn(accept)
for i = 1, CLIENTS do
    ask("client " .. i)
end
uv.run()
