-- Servers on cqueues, plain or over TLS: a coroutine for each client.
local contest = require "contest"
local page = require "page"
local cqueues = contest.library "cqueues"
local socket = contest.library "cqueues.socket"

local server = {}

-- Calls `serve(client)` in a coroutine for each client; n are to come (0: any number).
function server.serve_all(host, n, serve)
    local listener = assert(socket.listen { host = host, port = 0, nodelay = true })
    assert(listener:listen())
    contest.port((select(3, listener:localname())))
    for client in listener:clients() do
        contest.came(n)
        cqueues.running():wrap(function()
            client:setmode("b", "bn")
            client:settimeout(60)
            client:onerror(function(_, _, why) return why end) -- instead of raising
            serve(client)
            client:close()
        end)
    end
end

-- It reads lines.
local function read_head(client)
    local lines = {}
    local line
    repeat
        line = client:read "*L"
        lines[#lines + 1] = line
    until not line or line == "\r\n"
    return line and table.concat(lines)
end

function server.http(client)
    local head = read_head(client)
    while head do
        local text, stays = page.answer(head)
        head = client:write(text) and stays and read_head(client)
    end
end

return server
