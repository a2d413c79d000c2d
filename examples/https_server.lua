-- A web server over TLS: several names on one port, each with its certificate, and one task for each connection.
--
--   lua examples/https_server.lua host port name directory [name directory...]
--
-- A directory has fullchain.pem and privkey.pem, as certbot leaves them in /etc/letsencrypt/live/NAME. On SIGHUP they
-- are read again: new connections get the new certificates, those that are open go on.

local socket = require "ssocket"
local tls = require "ssocket.tls"

local HANDSHAKE = 10 -- seconds for the whole handshake
local PATIENCE = 60 -- seconds for a request to come, and again for the answer to be taken

local names = {}
for i = 3, #arg, 2 do
    names[#names + 1] = { name = arg[i]:lower(), directory = arg[i + 1] }
end
if not (names[1] and names[#names].directory) then
    io.stderr:write "usage: https_server.lua host port name directory [name directory...]\n"
    os.exit(2)
end

-- Contexts by name; who sends no name, or another one, gets the first.
local function load_contexts()
    local contexts = {}
    for _, site in ipairs(names) do
        local ctx, err = tls.context {
            cert = site.directory .. "/fullchain.pem",
            key = site.directory .. "/privkey.pem",
            alpn = { "http/1.1" },
        }
        if not ctx then
            return nil, site.name .. ": " .. err
        end
        contexts[site.name], contexts.default = ctx, contexts.default or ctx
    end
    return contexts
end

local contexts = assert(load_contexts())

local function page(status, text, stays)
    local head = "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%s\r\n%s"
    return head:format(status, #text, stays and "" or "Connection: close\r\n", text)
end

-- What is sent, and whether the connection stays. It ends after a request with a body, which nobody here reads.
local function answer(head, name)
    local fields, path, minor = head:lower(), head:match "^GET (/[^%s?]*)%S* HTTP/1%.(%d)\r\n"
    local has_body = fields:find("\r\ncontent-length:", 1, true) or fields:find("\r\ntransfer-encoding:", 1, true)
    local stays = path and minor == "1" and not has_body and not fields:find "\r\nconnection:[^\r]*close"
    local host = fields:match "\r\nhost:[ \t]*([^\r:]*)"
    if not path then
        return page("400 Bad Request", "Ask for a page.\n", false), false
    elseif contexts[name or ""] and host ~= name then -- the certificate was for another name
        return page("421 Misdirected Request", "Connect to that name.\n", stays), stays
    elseif path ~= "/" then
        return page("404 Not Found", "There is nothing here.\n", stays), stays
    end
    return page("200 OK", ("This is %s.\n"):format(contexts[name or ""] and name or names[1].name), stays), stays
end

local function serve(client)
    client:settimeout(HANDSHAKE)
    local hello, err, reason = tls.hello(client)
    local ok = hello
    if hello then
        ok, err, reason = tls.server(client, contexts[hello.name or ""] or contexts.default)
    end
    if not ok then -- no TLS, a client that does not trust the certificate, or nobody there
        print("handshake: " .. err .. (reason and ": " .. reason or ""))
        return client:close()
    end
    client:settimeout(PATIENCE)
    local next_head = client:readuntil("\r\n\r\n", true, 8192)
    repeat -- not in `for`, where Lua 5.1 lets no task wait
        local head = next_head()
        local text, stays = answer(head or "", hello.name)
    until not (head and client:write(text) and stays)
    client:settimeout(5)
    client:finish(2 * 1024 * 1024) -- the rest of what comes is read and dropped, or the answer may be lost
end

-- A new certificate is a new context. Where it cannot be read, the old ones stay.
local function reload(signals)
    while signals:get() do
        local fresh, err = load_contexts()
        contexts = fresh or contexts
        print(fresh and "certificates read again" or "certificates not read: " .. err)
    end
end

io.stdout:setvbuf "line"
socket.onerror = print -- a task that fails ends alone; this tells of it
socket.spawn(reload, assert(socket.signals "HUP"))
local listener = socket.tcp()
assert(listener:setopt(socket.OPT_TCP_REUSEADDR, true))
assert(listener:setopt(socket.OPT_TCP_NODELAY, true)) -- the connections have it from here
assert(listener:bind(arg[1], arg[2]))
assert(listener:listen())
print("listening on " .. tostring(listener:getsockname()))
repeat -- out of descriptors, who comes stays in the queue, and others may have left when we look again
    local client, err = listener:accept()
    if client then socket.spawn(serve, client) else print("accept: " .. err) end
until err == socket.ERROR_CLOSED or err and not socket.sleep(0.1)
