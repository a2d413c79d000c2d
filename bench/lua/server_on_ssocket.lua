-- Servers on ssocket as in the examples, plain or over TLS: a task for each client.
local contest = require "contest"
local page = require "page"
local socket = contest.library "ssocket"

local server = {}

-- Calls `serve(client)` in a task for each client; n are to come (0: any number).
function server.serve_all(host, n, serve)
    socket.onerror = error
    local listener = socket.tcp()
    assert(listener:setopt(socket.OPT_TCP_NODELAY, true))
    assert(listener:bind(host, 0))
    assert(listener:listen())
    contest.port(listener:getsockname()[2])
    while true do
        local client = assert(listener:accept())
        contest.came(n)
        socket.spawn(serve, client)
    end
end

function server.http(client)
    client:settimeout(60)
    local next_head = client:readuntil("\r\n\r\n", true, 8192)
    local head = next_head()
    while head do
        local text, stays = page.answer(head)
        head = client:write(text) and stays and next_head()
    end
    client:close()
end

return server
