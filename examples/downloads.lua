-- Fetches many pages of a web server at the same time: one coroutine each, and select wakes those that can go on.
--
--   lua examples/downloads.lua host port path...

local socket = require "ssocket"

local host, port = arg[1], arg[2]

if not arg[3] then
    io.stderr:write "usage: downloads.lua host port path...\n"
    os.exit(2)
end

local PATIENCE = 10 -- seconds without any news before all that is left is given up
local LONGEST = 8192 -- bytes in a header line

-- Each of these runs in a coroutine and does what the call of the same name does, except that instead of waiting
-- it yields what it waits for. Bytes that came with a time-out are kept: the next try goes on behind them.

local function write(sock, data)
    local _, err, sent = sock:write(data)
    while err == socket.ERROR_TIMEOUT do
        coroutine.yield("write", sock)
        data = data:sub(sent + 1)
        _, err, sent = sock:write(data)
    end
    return not err, err
end

local function read_line(sock, next_line)
    local head = ""
    while #head <= LONGEST do
        local data, err, partial = next_line()
        if data then
            return (head .. data):gsub("\r$", ""), nil
        elseif err ~= socket.ERROR_TIMEOUT then
            return nil, err
        end
        head = head .. partial
        coroutine.yield("read", sock)
    end
    return nil, socket.ERROR_LIMIT
end

local function read_some(sock)
    local data, err = sock:readsome(65536)
    while err == socket.ERROR_TIMEOUT do
        coroutine.yield("read", sock)
        data, err = sock:readsome(65536)
    end
    return data, err
end

-- The status line, and the length of the body if the server tells it.
local function read_head(sock)
    -- With "\r\n" as the delimiter a "\r" whose "\n" is still on its way stays in the buffer and makes the
    -- socket readable for select again and again; a single byte cannot be split.
    local next_line = sock:readuntil("\n", false, LONGEST)
    local status, err = read_line(sock, next_line)
    local length
    local line = status
    while line and line ~= "" do
        line, err = read_line(sock, next_line)
        length = length or line and tonumber(line:lower():match "^content%-length:%s*(%d+)%s*$")
    end
    return line and status, err, length
end

local function read_body(sock, length)
    local got = 0
    while not length or got < length do
        local data, err = read_some(sock)
        if not data then
            if err == socket.ERROR_CLOSED and not length then
                return got -- the end of the connection is the end of the page
            end
            return nil, ("%s after %d bytes"):format(err, got)
        end
        got = got + #data
    end
    return got
end

local function fetch(sock, path)
    sock:settimeout(5)
    -- The one step that waits: an attempt to connect is given up with its deadline.
    local ok, err = sock:connect(host, port)
    sock:settimeout(0)
    if ok then
        ok, err = write(sock, ("GET %s HTTP/1.0\r\nHost: %s\r\n\r\n"):format(path, host))
    end
    if not ok then
        return nil, err
    end
    local status, why, length = read_head(sock)
    if not status then
        return nil, why
    end
    local bytes, broken = read_body(sock, length)
    return bytes and status, broken, bytes
end

-- The scheduler: who waits for what, and how many have failed.

local waiting = { read = {}, write = {} }
local failed = 0

local function report(path, status, err, bytes)
    if status then
        print(("%-30s %s, %d bytes"):format(path, status, bytes))
    else
        failed = failed + 1
        print(("%-30s %s"):format(path, err))
    end
end

local function download(path)
    local sock = socket.tcp()
    report(path, fetch(sock, path))
    sock:close()
end

local function resume(co, ...)
    local ok, direction, sock = coroutine.resume(co, ...)
    if not ok then
        error(direction, 0)
    elseif coroutine.status(co) == "suspended" then
        waiting[direction][sock] = co
    end
end

local function sockets(direction)
    local list = {}
    for sock in pairs(waiting[direction]) do
        list[#list + 1] = sock
    end
    return list
end

local function wake(list, direction)
    for _, sock in ipairs(list) do
        local co = waiting[direction][sock]
        waiting[direction][sock] = nil
        resume(co)
    end
end

for i = 3, #arg do
    resume(coroutine.create(download), arg[i])
end

while next(waiting.read) or next(waiting.write) do
    local readable, writable, err = socket.select(sockets "read", sockets "write", PATIENCE)
    if not readable then
        io.stderr:write("downloads: ", err, "\n")
        os.exit(1)
    end
    wake(readable, "read")
    wake(writable, "write")
end
os.exit(failed == 0 and 0 or 1)
