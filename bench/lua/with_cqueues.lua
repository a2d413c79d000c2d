-- cqueues, as its manual describes it: code in a coroutine of a controller, binary modes, "n" where each
-- write is to leave at once, and buffers of 64 KiB for bulk.
local contest = require "contest"
local meter = require "meter"
local page = require "page"
local cqueues = contest.library "cqueues"
local socket = contest.library "cqueues.socket"

local BUFFER = 65536
local work = {}

local function dial(host, port)
    local s = socket.connect(host, port)
    s:settimeout(10)
    assert(s:connect())
    s:setmode("b", "bn")
    return s
end

function work.pingpong(host, port, n, size)
    local s, data = dial(host, port), meter.random(size)
    meter.start()
    for _ = 1, n do
        local ok, err = s:write(data)
        if not ok then error(err) end
        ok, err = s:read(size)
        if not ok then error(err) end
    end
    meter.stop(n)
end

function work.write(host, port, n, size)
    local s, data = dial(host, port), meter.random(size)
    meter.start()
    for _ = 1, n do
        local ok, err = s:write(data)
        if not ok then error(err) end
    end
    meter.stop(n)
end

function work.read(host, port, n, size)
    local s = dial(host, port)
    s:setbufsiz(BUFFER, BUFFER)
    meter.start()
    for _ = 1, n do
        local data, err = s:read(size)
        if not data then error(err) end
    end
    meter.stop(n)
end

-- In text mode CR LF becomes LF, so that "*l" takes both.
function work.lines(host, port, n, _, delimiter)
    local s = dial(host, port)
    s:setmode(delimiter == "\n" and "b" or "t", "bn")
    s:setbufsiz(BUFFER, BUFFER)
    meter.start()
    for _ = 1, n do
        local line, err = s:read("*l")
        if not line then error(err) end
    end
    meter.stop(n)
end

function work.connect(host, port, n)
    meter.start()
    for _ = 1, n do
        local s = socket.connect(host, port)
        assert(s:connect())
        s:close()
    end
    meter.stop(n)
end

function work.accept(host, _, n, size)
    local listener = assert(socket.listen(host, 0))
    assert(listener:listen())
    local _, _, port = listener:localname()
    io.write("port ", port, "\n")
    io.flush()
    for _ = 1, n, size do
        meter.start()
        for _ = 1, size do
            local s, err = listener:accept()
            if not s then error(err) end
            s:close()
        end
        meter.stop(size)
    end
end

function work.idle(host, port, _, size)
    contest.weigh(size, function(list, i)
        list[i] = dial(host, port)
    end)
end

-- A coroutine for each client.
local function serve_all(host, n, serve)
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

-- A negative size takes what there is.
function work.echo(host, _, n)
    serve_all(host, n, function(client)
        local data = client:read(-BUFFER)
        while data and client:write(data) do
            data = client:read(-BUFFER)
        end
    end)
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

function work.http(host, _, n)
    serve_all(host, n, function(client)
        local head = read_head(client)
        while head do
            local text, stays = page.answer(head)
            head = client:write(text) and stays and read_head(client)
        end
    end)
end

local controller = cqueues.new()
controller:wrap(contest.run, work)
assert(controller:loop())
