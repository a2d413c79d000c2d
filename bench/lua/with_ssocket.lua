-- ssocket, as its reference describes it: blocking calls with a timeout.
local contest = require "contest"
local meter = require "meter"
local server = require "server_on_ssocket"
local socket = contest.library "ssocket"

local PARTS, BATCH = 16, 64
local work = {}

local function dial(host, port)
    local s = socket.tcp()
    s:settimeout(10)
    if contest.counting then
        assert(s:setopt(socket.OPT_RCVBUF, 212992)) -- for data that is to be there before the work begins
    end
    assert(s:connect(host, port))
    return s
end

local function ping(s, n, size)
    local data = meter.random(size)
    assert(s:setopt(socket.OPT_TCP_NODELAY, true))
    meter.start()
    for _ = 1, n do
        local ok, err = s:write(data)
        if not ok then error(err) end
        ok, err = s:read(size)
        if not ok then error(err) end
    end
    meter.stop(n)
end

function work.pingpong(host, port, n, size)
    ping(dial(host, port), n, size)
end

function work.pingpong_spinning(host, port, n, size)
    if not socket.OPT_SPIN then
        contest.skip "no OPT_SPIN"
    end
    local s = dial(host, port)
    assert(s:setopt(socket.OPT_SPIN, 1000))
    ping(s, n, size)
end

local function dial_udp(host, port)
    local u = socket.udp()
    u:settimeout(10)
    assert(u:connect(host, port))
    return u
end

function work.pingpong_udp(host, port, n, size)
    local u, data = dial_udp(host, port), meter.random(size)
    meter.start()
    for _ = 1, n do
        local ok, err = u:send(data)
        if not ok then error(err) end
        ok, err = u:recv(size)
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

local function random_list(n, size)
    local list = {}
    for i = 1, n do
        list[i] = meter.random(size)
    end
    return list
end

function work.write_each(host, port, n, size)
    local s, list = dial(host, port), random_list(PARTS, size)
    meter.start()
    for _ = 1, n do
        for i = 1, PARTS do
            local ok, err = s:write(list[i])
            if not ok then error(err) end
        end
    end
    meter.stop(n)
end

function work.write_list(host, port, n, size)
    local s, list = dial(host, port), random_list(PARTS, size)
    meter.start()
    for _ = 1, n do
        local ok, err = s:write(list)
        if not ok then error(err) end
    end
    meter.stop(n)
end

function work.read(host, port, n, size)
    local s = dial(host, port)
    for _ = 1, contest.counting and size >= 65536 and 8 or 0 do
        assert(s:read(size)) -- the first ones grow their buffer in steps, and how many there are is chance
    end
    meter.start()
    for _ = 1, n do
        local data, err = s:read(size)
        if not data then error(err) end
    end
    meter.stop(n)
end

function work.records(host, port, n, _, delimiter)
    local s = dial(host, port)
    local next_record = s:readuntil(delimiter)
    meter.start()
    for _ = 1, n do
        local record, err = next_record()
        if not record then error(err) end
    end
    meter.stop(n)
end

work.lines = work.records

function work.send(host, port, n, size)
    local u, list = dial_udp(host, port), random_list(BATCH, size)
    meter.start()
    for _ = 1, n, BATCH do
        local sent, err = u:sendmany(list)
        if not sent then error(err) end
    end
    meter.stop(n)
end

function work.send_each(host, port, n, size)
    local u, data = dial_udp(host, port), meter.random(size)
    meter.start()
    for _ = 1, n do
        local ok, err = u:send(data)
        if not ok then error(err) end
    end
    meter.stop(n)
end

local function open_receiver(host)
    local u = socket.udp()
    u:settimeout(10)
    assert(u:bind(host, 0))
    io.write("port ", u:getsockname()[2], "\n")
    io.flush()
    return u
end

function work.receive(host, _, n, size)
    local u, got = open_receiver(host), 0
    meter.start()
    while got < n do
        local list, _, err = u:recvmany(BATCH, size)
        if not list then error(err) end
        got = got + #list
    end
    meter.stop(got)
end

function work.receive_each(host, _, n, size)
    local u = open_receiver(host)
    meter.start()
    for _ = 1, n do
        local data, err = u:recv(size)
        if not data then error(err) end
    end
    meter.stop(n)
end

function work.connect(host, port, n)
    meter.start()
    for _ = 1, n do
        local s = socket.tcp()
        local ok, err = s:connect(host, port)
        if not ok then error(err) end
        s:close()
    end
    meter.stop(n)
end

function work.accept(host, _, n, size)
    local listener = socket.tcp()
    assert(listener:bind(host, 0))
    assert(listener:listen())
    io.write("port ", listener:getsockname()[2], "\n")
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

local function dial_many(host, port, n)
    local list = {}
    for i = 1, n do
        list[i] = dial(host, port)
    end
    return list
end

function work.select(host, port, n, size)
    local list = dial_many(host, port, size)
    meter.start()
    for _ = 1, n do
        local ready, _, err = socket.select(list, nil)
        if not ready then error(err) end
        assert(ready[1] == list[size])
    end
    meter.stop(n)
end

function work.idle(host, port, _, size)
    contest.weigh(size, function(list, i)
        list[i] = dial(host, port)
    end)
end

function work.echo(host, _, n)
    server.serve_all(host, n, function(client)
        client:settimeout(60)
        local data = client:readsome(65536)
        while data and client:write(data) do
            data = client:readsome(65536)
        end
        client:close()
    end)
end

function work.http(host, _, n)
    server.serve_all(host, n, server.http)
end

contest.run(work)
