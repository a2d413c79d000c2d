-- An echo server on a Unix socket, one client after another: the simplest server there is.
--
--   lua examples/echo_unix.lua [path [clients]]
--
-- Listens on an abstract name that the system chooses unless a path is given, and ends after so many
-- clients (never, without a number).

local socket = require "ssocket"

local path, limit = arg[1], tonumber(arg[2]) or math.huge

local listener = socket.tcp()
assert(listener:bind("unix:" .. (path or "")))
assert(listener:listen())
-- An abstract name may hold any bytes; those that the system chooses can be printed.
print("listening on " .. listener:getsockname())
io.stdout:flush()

local PATIENCE = 60 -- seconds for a client, whatever it does: the next one waits for its end

-- Bounds the next call by what is left until `finish`.
local function bounded(sock, finish)
    sock:settimeout(math.max(0, finish - socket.now()))
    return sock
end

local function serve(client)
    local finish = socket.now() + PATIENCE
    local data, err
    repeat
        data, err = bounded(client, finish):readsome(65536)
        if data then
            data, err = bounded(client, finish):write(data)
        end
    until not data
    client:close()
    return err
end

local served = 0
repeat
    local client, err = listener:accept()
    if client then
        served = served + 1
        local why = serve(client)
        if why ~= socket.ERROR_CLOSED then
            io.stderr:write("client ", served, ": ", why, "\n")
        end
    else -- out of descriptors: who comes stays in the queue meanwhile
        io.stderr:write("accept: ", err, "\n")
        socket.sleep(0.1)
    end
until served == limit or err == socket.ERROR_CLOSED
listener:close()
if path then
    os.remove(path) -- closing leaves the file
end
