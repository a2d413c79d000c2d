-- Fetches many pages of a web server, so many of them at the same time: tasks that take paths from a channel.
--
--   lua examples/downloads.lua at_once host port path...

local socket = require "ssocket"

local at_once, host, port = tonumber(arg[1]), arg[2], arg[3]

if not at_once or not arg[4] then
    io.stderr:write "usage: downloads.lua at_once host port path...\n"
    os.exit(2)
end

local PATIENCE = 60 -- seconds for a page, however it comes
local LONGEST = 8192 -- bytes before the page itself

-- Bounds the next call by what is left until `finish`.
local function bounded(sock, finish)
    sock:settimeout(math.max(0, finish - socket.now()))
    return sock
end

-- The status line, and the length of the page if the server tells it.
local function read_head(sock, finish)
    local head, err = bounded(sock, finish):readuntil("\r\n\r\n", true, LONGEST)()
    if not head then
        return nil, err
    end
    return head:match "^[^\r\n]*", nil, tonumber(head:lower():match "\r\ncontent%-length:%s*(%d+)%s*\r\n")
end

local function read_body(sock, finish, length)
    local got = 0
    while not length or got < length do
        local data, err = bounded(sock, finish):readsome(65536)
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
    local finish = socket.now() + PATIENCE
    local ok, err = bounded(sock, finish):connect(host, port)
    if ok then
        ok, err = bounded(sock, finish):write(("GET %s HTTP/1.0\r\nHost: %s\r\n\r\n"):format(path, host))
    end
    if not ok then
        return nil, err
    end
    local status, why, length = read_head(sock, finish)
    if not status then
        return nil, why
    end
    local bytes, broken = read_body(sock, finish, length)
    return bytes and status, broken, bytes
end

local failed = 0

local function report(path, status, err, bytes)
    if status then
        print(("%-30s %s, %d bytes"):format(path, status, bytes))
    else
        failed = failed + 1
        print(("%-30s %s"):format(path, err))
    end
end

local paths = socket.channel()

local function work()
    local path = paths:get()
    while path do
        local sock = socket.tcp()
        report(path, fetch(sock, path))
        sock:close()
        path = paths:get()
    end
end

for _ = 1, at_once do
    socket.spawn(work)
end
for i = 4, #arg do
    paths:put(arg[i]) -- waits until a task takes it, and so one that has nothing else to do
end
paths:close() -- there is nothing more
socket.run()
os.exit(failed == 0 and 0 or 1)
