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

-- Until the client ends, or stays silent or deaf for a minute.
local function serve(client)
    client:settimeout(60)
    local data, err
    repeat
        data, err = client:readsome(65536)
        if data then
            data, err = client:write(data)
        end
    until not data
    client:close()
    return err
end

local served = 0
while served < limit do
    local err = serve(assert(listener:accept()))
    served = served + 1
    if err ~= socket.ERROR_CLOSED then
        io.stderr:write("client ", served, ": ", err, "\n")
    end
end
listener:close()
if path then
    os.remove(path) -- closing leaves the file
end
