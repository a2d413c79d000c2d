-- A web server that keeps connections, as HTTP/1.1 wants it: one task each, and plain calls in it.
--
--   lua examples/http_server.lua [host [port]]
--
-- Listens on 127.0.0.1 and a free port unless told otherwise. Ten thousand connections need as many descriptors and a
-- few more: `ulimit -n 11000`.

local socket = require "ssocket"

-- The whole answer, for a connection that stays (true) and for one that does not.
local function page(status, text)
    local whole = ("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s"):format(status, #text, text)
    return { [true] = whole, [false] = (whole:gsub("\r\n", "\r\nConnection: close\r\n", 1)) }
end

local pages = { ["/"] = page("200 OK", "Hello, world!\n"), ["/about"] = page("200 OK", socket._VERSION .. "\n") }
local missing, bad = page("404 Not Found", "There is nothing here.\n"), page("400 Bad Request", "Ask for a page.\n")

-- What is sent, and whether the connection stays. It ends after a request with a body, which nobody here reads.
local function answer(head)
    local fields, path, minor = head:lower(), head:match "^GET (/[^%s?]*)%S* HTTP/1%.(%d)\r\n"
    local has_body = fields:find("\r\ncontent-length:", 1, true) or fields:find("\r\ntransfer-encoding:", 1, true)
    local ends = has_body or minor ~= "1" or fields:find("close", 1, true) and fields:find "\r\nconnection:[^\r]*close"
    return (pages[path] or path and missing or bad)[not ends], not ends
end

-- Until the client ends, or takes too long, or sends more than a head may have.
local function serve(client)
    client:settimeout(60) -- seconds for a whole head to come, and again for the answer to be taken
    local next_head = client:readuntil("\r\n\r\n", true, 8192)
    repeat -- not in `for`, where Lua 5.1 lets no task wait
        local head = next_head()
        local text, stays = answer(head or "")
    until not (head and client:write(text) and stays)
    -- To close while a body comes in would reset the connection, and may cost the client its answer. So the rest is
    -- read and dropped: 2 MiB at most, and for 5 seconds.
    client:settimeout(5)
    client:finish(2 * 1024 * 1024)
end

io.stdout:setvbuf "line"
socket.onerror = print -- a task that fails ends alone; this tells of it
local listener = socket.tcp()
assert(listener:setopt(socket.OPT_TCP_REUSEADDR, true))
assert(listener:setopt(socket.OPT_TCP_NODELAY, true)) -- the connections have it from here
assert(listener:bind(arg[1] or "127.0.0.1", arg[2] or 0))
assert(listener:listen())
print("listening on " .. tostring(listener:getsockname()))
repeat -- out of descriptors, who comes stays in the queue, and others may have left when we look again
    local client, err = listener:accept()
    if client then socket.spawn(serve, client) else print("accept: " .. err) end
until err == socket.ERROR_CLOSED or err and not socket.sleep(0.1)
