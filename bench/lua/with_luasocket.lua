-- LuaSocket, as its manual describes it: settimeout, send, receive with "*l" or a number.
local contest = require "contest"
local meter = require "meter"
local socket = contest.library "socket"

local PARTS = 16
local work = {}

local function dial(host, port)
    local s = assert(socket.tcp())
    s:settimeout(10)
    assert(s:connect(host, port))
    return s
end

function work.pingpong(host, port, n, size)
    local s, data = dial(host, port), meter.random(size)
    s:setoption("tcp-nodelay", true)
    meter.start()
    for _ = 1, n do
        local ok, err = s:send(data)
        if not ok then error(err) end
        ok, err = s:receive(size)
        if not ok then error(err) end
    end
    meter.stop(n)
end

local function dial_udp(host, port)
    local u = assert(socket.udp())
    u:settimeout(10)
    assert(u:setpeername(host, port))
    return u
end

function work.pingpong_udp(host, port, n, size)
    local u, data = dial_udp(host, port), meter.random(size)
    meter.start()
    for _ = 1, n do
        local ok, err = u:send(data)
        if not ok then error(err) end
        ok, err = u:receive(size)
        if not ok then error(err) end
    end
    meter.stop(n)
end

function work.write(host, port, n, size)
    local s, data = dial(host, port), meter.random(size)
    meter.start()
    for _ = 1, n do
        local ok, err = s:send(data)
        if not ok then error(err) end
    end
    meter.stop(n)
end

-- It has no gathering write; joining the strings first is what one does.
function work.write_list(host, port, n, size)
    local s, list = dial(host, port), {}
    for i = 1, PARTS do
        list[i] = meter.random(size)
    end
    meter.start()
    for _ = 1, n do
        local ok, err = s:send(table.concat(list))
        if not ok then error(err) end
    end
    meter.stop(n)
end

function work.read(host, port, n, size)
    local s = dial(host, port)
    meter.start()
    for _ = 1, n do
        local data, err = s:receive(size)
        if not data then error(err) end
    end
    meter.stop(n)
end

-- Takes lines with and without CR.
function work.lines(host, port, n)
    local s = dial(host, port)
    meter.start()
    for _ = 1, n do
        local line, err = s:receive("*l")
        if not line then error(err) end
    end
    meter.stop(n)
end

function work.send(host, port, n, size)
    local u, data = dial_udp(host, port), meter.random(size)
    meter.start()
    for _ = 1, n do
        local ok, err = u:send(data)
        if not ok then error(err) end
    end
    meter.stop(n)
end

local function print_port(s)
    local _, port = s:getsockname()
    io.write("port ", port, "\n")
    io.flush()
end

function work.receive(host, _, n, size)
    local u = assert(socket.udp())
    u:settimeout(10)
    assert(u:setsockname(host, 0))
    print_port(u)
    meter.start()
    for _ = 1, n do
        local data, err = u:receive(size)
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
    local listener = assert(socket.bind(host, 0, 4096))
    print_port(listener)
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

function work.select(host, port, n, size)
    local list = {}
    for i = 1, size do
        list[i] = dial(host, port)
    end
    meter.start()
    for _ = 1, n do
        local ready, _, err = socket.select(list, nil)
        if not ready[1] then error(err) end
        assert(ready[1] == list[size])
    end
    meter.stop(n)
end

function work.http(host, port, n)
    local http = contest.library "socket.http"
    local page = ("http://%s:%d/"):format(host, port)
    meter.start()
    for _ = 1, n do
        local body, code = http.request(page)
        if code ~= 200 or #body ~= 14 then error(code) end
    end
    meter.stop(n)
end

function work.idle(host, port, _, size)
    contest.weigh(size, function(list, i)
        list[i] = dial(host, port)
    end)
end

contest.run(work)
