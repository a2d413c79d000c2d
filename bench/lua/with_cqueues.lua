-- cqueues, as its manual describes it: code in a coroutine of a controller, binary modes, "n" where each
-- write is to leave at once, and buffers of 64 KiB for bulk.
local contest = require "contest"
local meter = require "meter"
local cqueues = contest.library "cqueues"
local server = require "server_on_cqueues"
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

-- A negative size takes what there is.
function work.echo(host, _, n)
    server.serve_all(host, n, function(client)
        local data = client:read(-BUFFER)
        while data and client:write(data) do
            data = client:read(-BUFFER)
        end
    end)
end

function work.http(host, _, n)
    server.serve_all(host, n, server.http)
end

local controller = cqueues.new()
controller:wrap(contest.run, work)
assert(controller:loop())
