-- copas on LuaSocket, as its manual describes it: a handler for each client, plain LuaSocket calls through a wrapper.
local contest = require "contest"
local copas = contest.library "copas"
local page = require "page"
local socket = require "socket"

local FD_SETSIZE = 1024 -- LuaSocket's select takes no descriptor beyond
local MESSAGE = 64 -- bytes, which an echo server on LuaSocket has to know
local work = {}

local function serve_all(host, n, size, handler)
    if size + 10 > FD_SETSIZE then
        contest.skip("its select has room for " .. FD_SETSIZE .. " descriptors")
    end
    local listener = assert(socket.bind(host, 0, 4096))
    contest.port((select(2, listener:getsockname())))
    copas.addserver(listener, function(client)
        contest.came(n)
        client:setoption("tcp-nodelay", true)
        handler(copas.wrap(client))
    end)
    copas.loop()
end

function work.echo(host, _, n, size)
    serve_all(host, n, size, function(client)
        local data = client:receive(MESSAGE)
        while data and client:send(data) do
            data = client:receive(MESSAGE)
        end
    end)
end

-- It reads lines.
local function read_head(client)
    local lines = {}
    local line
    repeat
        line = client:receive "*l"
        lines[#lines + 1] = line
    until not line or line == ""
    lines[#lines + 1] = "\r\n"
    return line and table.concat(lines, "\r\n")
end

function work.http(host, _, n, size)
    serve_all(host, n, size, function(client)
        local head = read_head(client)
        while head do
            local text, stays = page.answer(head)
            head = client:send(text) and stays and read_head(client)
        end
    end)
end

contest.run(work)
