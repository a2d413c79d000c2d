-- An echo server for many clients at once: one task each, which reads and writes as if it were alone.
--
--   lua examples/echo_tasks.lua [host [port [clients]]]
--
-- Listens on 127.0.0.1 and a free port unless told otherwise, and ends when so many clients have come and
-- gone (never, without a number).

local socket = require "ssocket"

local host, port, limit = arg[1] or "127.0.0.1", arg[2] or 0, tonumber(arg[3]) or math.huge

local listener = socket.tcp()
assert(listener:setopt(socket.OPT_TCP_REUSEADDR, true))
assert(listener:bind(host, port))
assert(listener:listen())
io.stdout:setvbuf "line"
print("listening on " .. tostring(listener:getsockname()))
socket.onerror = print -- a task that fails ends alone; this tells of it

-- While this waits for its client, the others go on. One that sends and never reads is waited for in write, and not
-- read from meanwhile, so that it costs no more than one piece of memory.
local function echo(client)
    client:settimeout(60) -- seconds for it to say something, and again to take the answer
    local data = client:readsome(65536)
    while data and client:write(data) do
        data = client:readsome(65536)
    end
    client:close()
end

local come = 0
repeat
    local client, err = listener:accept()
    if client then
        come = come + 1
        socket.spawn(echo, client)
    else -- out of descriptors: who comes stays in the queue meanwhile
        io.stderr:write("echo_tasks: ", err, "\n")
        socket.sleep(0.1)
    end
until come == limit or err == socket.ERROR_CLOSED
listener:close()
socket.run() -- until the last client has gone
