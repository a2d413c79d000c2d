-- A web server that keeps connections, as HTTP/1.1 wants it: one task each, and plain calls in it.
--
--   lua examples/http_server.lua [host [port]]
--
-- Listens on 127.0.0.1 and a free port unless told otherwise. Ten thousand connections need as many descriptors and a
-- few more: `ulimit -n 11000`.

local socket = require "ssocket"

local pages = { ["/"] = "Hello, world!\n", ["/about"] = "This is " .. socket._VERSION .. ".\n" }

-- What is sent, and whether the connection stays. It ends after a request with a body, which nobody here reads.
local function answer(head)
    local path, minor = head:match "^GET (/[^%s?]*)%S* HTTP/1%.(%d)\r\n"
    local fields = head:lower()
    local stays = not fields:find("\r\ncontent-length:", 1, true) and not fields:find("\r\ntransfer-encoding:", 1, true)
    stays = stays and minor == "1" and not (fields:find("close", 1, true) and fields:find "\r\nconnection:[^\r]*close")
    local status = pages[path] and "HTTP/1.1 200 OK" or path and "HTTP/1.1 404 Not Found" or "HTTP/1.1 400 Bad Request"
    local text = pages[path] or "There is nothing here.\n"
    local length = "\r\nContent-Length: " .. #text .. "\r\n\r\n"
    return status .. (stays and "" or "\r\nConnection: close") .. length .. text, stays
end

-- Until the client ends, or takes too long, or sends more than a head may have.
local function serve(client)
    client:settimeout(60) -- seconds for a whole head to come, and again for the answer to be taken
    local next_head = client:readuntil("\r\n\r\n", true, 8192)
    local head = next_head()
    while head do
        local text, stays = answer(head)
        head = client:write(text) and stays and next_head()
    end
    client:close()
end

io.stdout:setvbuf "line"
socket.onerror = print -- a task that fails ends alone; this tells of it
local listener = socket.tcp()
assert(listener:setopt(socket.OPT_TCP_REUSEADDR, true))
assert(listener:setopt(socket.OPT_TCP_NODELAY, true)) -- the connections have it from here
assert(listener:bind(arg[1] or "127.0.0.1", arg[2] or 0))
assert(listener:listen())
print("listening on " .. tostring(listener:getsockname()))
while true do
    local client, err = listener:accept()
    if client then
        socket.spawn(serve, client)
    else -- out of descriptors: who comes stays in the queue, and others may have left when we look again
        print("accept: " .. err)
        socket.sleep(0.1)
    end
end
