-- luv, as libuv's guide describes it: callbacks, and read_start, whose pieces are put together here.
local contest = require "contest"
local meter = require "meter"
local page = require "page"
local uv = contest.library "luv"

local PARTS = 16
local find, sub = string.find, string.sub
local work = {}

local function finish(ops)
    meter.stop(ops)
    uv.stop()
end

local function dial(host, port, connected)
    local s = uv.new_tcp()
    s:connect(host, port, function(err)
        assert(not err, err)
        connected(s)
    end)
end

function work.pingpong(host, port, n, size)
    dial(host, port, function(s)
        local data, left, have = meter.random(size), n, 0
        local function written(err)
            if err then error(err) end
        end
        s:nodelay(true)
        s:read_start(function(err, chunk)
            if err then error(err) end
            have = have + #chunk
            if have < size then return end
            have, left = 0, left - 1
            if left > 0 then
                s:write(data, written)
            else
                finish(n)
            end
        end)
        meter.start()
        s:write(data, written)
    end)
end

function work.pingpong_udp(host, port, n, size)
    local u, data, left = uv.new_udp(), meter.random(size), n
    local function sent(err)
        if err then error(err) end
    end
    assert(u:connect(host, port))
    u:recv_start(function(err, chunk)
        if err then error(err) end
        if not chunk then return end -- nothing more to read for now
        left = left - 1
        if left > 0 then
            u:send(data, nil, nil, sent)
        else
            finish(n)
        end
    end)
    meter.start()
    u:send(data, nil, nil, sent)
end

-- The next write is made when the last has gone out.
local function write_many(s, data, n)
    local left = n
    local function written(err)
        if err then error(err) end
        left = left - 1
        if left > 0 then
            s:write(data, written)
        else
            finish(n)
        end
    end
    meter.start()
    s:write(data, written)
end

function work.write(host, port, n, size)
    dial(host, port, function(s)
        write_many(s, meter.random(size), n)
    end)
end

-- A table is gathered by the system.
function work.write_list(host, port, n, size)
    local list = {}
    for i = 1, PARTS do
        list[i] = meter.random(size)
    end
    dial(host, port, function(s)
        write_many(s, list, n)
    end)
end

-- Pieces of `size` bytes out of chunks that are larger.
local function read_small(s, n, size)
    local rest, got = "", 0
    s:read_start(function(err, chunk)
        if err then error(err) end
        chunk = rest .. chunk
        local from = 1
        while from + size - 1 <= #chunk and got < n do
            local _ = sub(chunk, from, from + size - 1)
            got = got + 1
            from = from + size
        end
        rest = sub(chunk, from)
        if got == n then
            s:read_stop()
            finish(n)
        end
    end)
end

-- Pieces that many chunks go into: collected and joined once.
local function read_large(s, n, size)
    local parts, have, got = {}, 0, 0
    s:read_start(function(err, chunk)
        if err then error(err) end
        parts[#parts + 1] = chunk
        have = have + #chunk
        while have >= size and got < n do
            local last = parts[#parts]
            local over = have - size
            parts[#parts] = sub(last, 1, #last - over)
            local _ = table.concat(parts)
            parts, have = { sub(last, #last - over + 1) }, over
            got = got + 1
        end
        if got == n then
            s:read_stop()
            finish(n)
        end
    end)
end

function work.read(host, port, n, size)
    dial(host, port, function(s)
        meter.start()
        if size < 65536 then
            read_small(s, n, size)
        else
            read_large(s, n, size)
        end
    end)
end

function work.lines(host, port, n, _, delimiter)
    dial(host, port, function(s)
        local rest, got = "", 0
        local width = #delimiter
        meter.start()
        s:read_start(function(err, chunk)
            if err then error(err) end
            chunk = rest .. chunk
            local from, at = 1, find(chunk, delimiter, 1, true)
            while at and got < n do
                local _ = sub(chunk, from, at - 1)
                got = got + 1
                from = at + width
                at = find(chunk, delimiter, from, true)
            end
            rest = sub(chunk, from)
            if got == n then
                s:read_stop()
                finish(n)
            end
        end)
    end)
end

function work.connect(host, port, n)
    local left = n
    local function next_one()
        local s = uv.new_tcp()
        s:connect(host, port, function(err)
            if err then error(err) end
            s:close()
            left = left - 1
            if left > 0 then
                next_one()
            else
                finish(n)
            end
        end)
    end
    meter.start()
    next_one()
end

function work.accept(host, _, n, size)
    local listener, accepted = uv.new_tcp(), 0
    assert(listener:bind(host, 0))
    assert(listener:listen(4096, function(err)
        if err then error(err) end
        local s = uv.new_tcp()
        listener:accept(s)
        s:close()
        accepted = accepted + 1
        if accepted % size == 0 then
            meter.stop(size)
            if accepted >= n then
                uv.stop()
            else
                meter.start()
            end
        end
    end))
    io.write("port ", listener:getsockname().port, "\n")
    io.flush()
    meter.start()
end

function work.idle(host, port, _, size)
    contest.weigh(size, function(list, i)
        dial(host, port, function(s)
            list[i] = s
            uv.stop()
        end)
        uv.run()
    end)
end

-- All that comes from a client goes to the function that make_received(client) gives.
local function serve_all(host, n, make_received)
    local listener = uv.new_tcp()
    assert(listener:bind(host, 0))
    assert(listener:listen(4096, function(err)
        assert(not err, err)
        local client = uv.new_tcp()
        assert(listener:accept(client))
        contest.came(n)
        client:nodelay(true)
        local received = make_received(client)
        client:read_start(function(_, chunk)
            if chunk then
                received(chunk)
            else
                client:close()
            end
        end)
    end))
    contest.port(listener:getsockname().port)
end

function work.echo(host, _, n)
    serve_all(host, n, function(client)
        return function(chunk)
            client:write(chunk)
        end
    end)
end

function work.http(host, _, n)
    serve_all(host, n, function(client)
        local rest = ""
        return function(chunk)
            chunk = rest .. chunk
            local from, _, to = 1, find(chunk, "\r\n\r\n", 1, true)
            while to do
                local text, stays = page.answer(sub(chunk, from, to))
                client:write(text)
                if not stays then
                    return client:close()
                end
                from = to + 1
                _, to = find(chunk, "\r\n\r\n", from, true)
            end
            rest = sub(chunk, from)
        end
    end)
end

contest.run(work)
if arg[1] ~= "idle" then
    uv.run()
end
