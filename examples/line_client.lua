-- Sends the lines of standard input to a server and prints a line of answer to each.
--
--   lua examples/line_client.lua host port
--   lua examples/line_client.lua unix:/path

local socket = require "ssocket"

if not arg[1] then
    io.stderr:write "usage: line_client.lua host port | unix:/path\n"
    os.exit(2)
end

local LONGEST = 65536 -- bytes in a line; without a limit a server could fill the memory

-- Prints what came before the error, too.
local function stop(err, partial)
    io.write(partial or "")
    io.stdout:flush()
    io.stderr:write("line_client: ", err, "\n")
    os.exit(1)
end

local sock = socket.tcp()
sock:settimeout(5)
local ok, err = sock:connect(arg[1], arg[2])
if not ok then
    stop(err)
end

-- One byte as the delimiter serves both ends of line, "\n" and "\r\n".
local next_line = sock:readuntil("\n", false, LONGEST)

local function answer()
    local line, why, partial = next_line()
    if why == socket.ERROR_CLOSED and partial ~= "" then
        line = partial -- the last line, without its end
    end
    return line or stop(why, partial)
end

for line in io.lines() do
    local sent, why = sock:write { line, "\r\n" }
    if not sent then
        stop(why)
    end
    print((answer():gsub("\r$", "")))
    io.stdout:flush()
end

-- We have no more to say; what the server still says is printed as it is.
assert(sock:shutdown(socket.SHUT_WR))
local rest, why, partial = sock:readall(LONGEST)
if not rest then
    stop(why, partial)
end
io.write(rest)
sock:close()
