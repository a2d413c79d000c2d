-- The program of script/long-run: messages and connections in great numbers in one process, in rounds. In each round
-- every kind of work is done once; in odd rounds by the main program, in even ones by tasks, two of each at once.
-- What came and what was sent is summed up (CRC-32) at both ends. After each round the process is looked at.
--
--   lua long_run.lua MESSAGES CONNECTIONS ROUNDS
--
-- The peer is spec/support/long_run_peer.py, or for UDP, requests and connections this process itself.

local socket = require "ssocket"
local sys = require "testsys"

local MESSAGES, CONNECTIONS, ROUNDS = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
local here = arg[0]:match "^(.*)/[^/]*$"
local crc32 = sys.crc32
local total = { messages = 0, connections = 0, bytes = 0 }

-- What is sent from here: 1,000 random messages of 1 to 200 bytes, and 64 datagrams.
local texts = {}
for i = 1, 1000 do
    texts[i] = sys.random(1 + (i * 7919) % 200, i)
end
local datagrams = {}
for i = 1, 64 do
    datagrams[i] = sys.random(64, 5000 + i)
end

local function count(messages, bytes)
    total.messages, total.bytes = total.messages + messages, total.bytes + bytes
end

local function same(expected, got, what)
    if expected ~= got then
        error(("%s: the sums are %s and %s"):format(what, tostring(expected), tostring(got)), 0)
    end
end

-- ---- the peer ----

-- A connection from the peer, which is told to make it and what to do there. One after another: they come unnamed.
local function ask(at, command)
    assert(at.busy:put(true))
    assert(at.control:write { command, "\n" })
    local s = assert(at.listener:accept())
    assert(at.busy:get())
    s:settimeout(60)
    return s
end

-- Accepted connections have OPT_LINGER 0 from here. Who closes first resets, then, and no port stays in TIME-WAIT.
local function listen(address, port)
    local listener = socket.tcp()
    listener:settimeout(60)
    assert(listener:setopt(socket.OPT_LINGER, 0))
    assert(listener:bind(address, port))
    assert(listener:listen())
    return listener
end

local function start_peer()
    local listener = listen("127.0.0.1", 0)
    assert(sys.spawn { "python3", here .. "/long_run_peer.py", tostring(listener:getsockname()[2]) })
    local control = assert(listener:accept())
    control:settimeout(60)
    return { listener = listener, control = control, busy = socket.channel(1) }
end

-- The peer's sum comes last on the same connection, as text of ten digits.
local function peers_sum(s)
    local sum = tonumber((assert(s:read(10))))
    s:close()
    return sum
end

-- ---- kinds of work: each is given how many messages it is to move ----

local kinds = {}

function kinds.lines(at, n)
    local s = ask(at, "lines " .. n)
    local next_line, sum, bytes = s:readuntil("\n", true, 1000), 0, 0
    for _ = 1, n do
        local line = assert(next_line())
        sum, bytes = crc32(line, sum), bytes + #line
    end
    same(peers_sum(s), sum, "lines")
    count(n, bytes)
end

-- Four digits say how long the record is.
function kinds.records(at, n)
    local s, sum, bytes = ask(at, "records " .. n), 0, 0
    for _ = 1, n do
        local head = assert(s:read(4))
        local record = assert(s:read(tonumber(head)))
        sum, bytes = crc32(record, crc32(head, sum)), bytes + 4 + #record
    end
    same(peers_sum(s), sum, "records")
    count(n, bytes)
end

-- One by one and sixteen at a time, in turns.
function kinds.writes(at, n)
    local s, sum, bytes, i = ask(at, "take"), 0, 0, 0
    while i < n do
        local batch = {}
        for k = 1, math.min(i % 3 == 0 and 16 or 1, n - i) do
            batch[k] = texts[(i * 31 + k) % #texts + 1]
            sum = crc32(batch[k], sum)
            bytes = bytes + #batch[k]
        end
        assert(s:write(#batch == 1 and batch[1] or batch))
        i = i + #batch
    end
    assert(s:shutdown(socket.SHUT_WR))
    same(sum, peers_sum(s), "writes")
    count(n, bytes)
end

-- A batch is taken before the next one is sent, so that none is lost for want of room.
function kinds.datagrams(_, n)
    local receiver, sender = socket.udp(), socket.udp()
    receiver:settimeout(60)
    assert(receiver:bind("127.0.0.1", 0))
    assert(sender:connect(receiver:getsockname()))
    local sent, came = 0, 0
    for _ = 1, n / #datagrams do
        assert(sender:sendmany(datagrams) == #datagrams)
        local left = #datagrams
        while left > 0 do
            local batch = assert(receiver:recvmany(left, 100))
            left = left - #batch
            came = crc32(table.concat(batch), came)
        end
        sent = crc32(table.concat(datagrams), sent)
    end
    same(sent, came, "datagrams")
    count(n, n * 64)
    receiver:close()
    sender:close()
end

-- A request and its answer, each seen by who sends and who takes it. The other end is a task.
function kinds.requests(_, n)
    local a, b = socket.pair()
    local came = 0
    local other = socket.spawn(function()
        local next_line = b:readuntil("\n", true, 1000)
        local line = next_line()
        while line do
            came = crc32(line, came)
            assert(b:write(line))
            line = next_line()
        end
    end)
    local next_line, sent, back, bytes = a:readuntil("\n", true, 1000), 0, 0, 0
    for i = 1, n / 2 do
        local line = "request " .. i .. "\n"
        sent, bytes = crc32(line, sent), bytes + 2 * #line
        assert(a:write(line))
        back = crc32(assert(next_line()), back)
    end
    a:close()
    assert(other:wait())
    b:close()
    same(sent, came, "requests")
    same(sent, back, "answers")
    count(n, bytes)
end

-- ---- connections, each with one message ----

local function serve(client, sums)
    local text = client:read(10)
    sums.came = (sums.came + crc32(assert(text))) % 2 ^ 32
    client:close()
end

local function connect_once(address, i, sums)
    local text = ("%010d"):format(i)
    local s = socket.tcp()
    s:settimeout(60)
    assert(s:connect(address))
    assert(s:write(text))
    sums.sent = (sums.sent + crc32(text)) % 2 ^ 32
    return s
end

-- Alone: both ends in turn. With tasks: a server that gives each a task, and the caller as the client.
local connect_many = {}

function connect_many.main(listener, n, sums)
    local address = listener:getsockname()
    for i = 1, n do
        local s = connect_once(address, i, sums)
        serve(assert(listener:accept()), sums)
        s:close()
    end
end

function connect_many.tasks(listener, n, sums)
    local address = listener:getsockname()
    local server = socket.spawn(function()
        for _ = 1, n do
            socket.spawn(serve, assert(listener:accept()), sums)
        end
    end)
    for i = 1, n do
        local s = connect_once(address, i, sums)
        s:readsome(1) -- its end
        s:close()
    end
    assert(server:wait())
end

local function connections(how, n)
    for _, where in ipairs { "inet", "unix" } do
        local listener
        if where == "inet" then
            listener = listen("127.0.0.1", 0)
        else
            listener = listen("unix:@ssocket-long-run-" .. sys.getpid() .. "-" .. how)
        end
        local sums = { sent = 0, came = 0 }
        connect_many[how](listener, n / 2, sums)
        same(sums.sent, sums.came, "connections")
        listener:close()
    end
    total.connections = total.connections + n
    count(n, n * 10)
end

-- ---- rounds ----

-- Of the messages, rounded up to whole batches of datagrams; the rest comes with the connections.
local shares = { lines = 0.4, records = 0.15, writes = 0.15, datagrams = 0.128, requests = 0.072 }

local function in_round(kind)
    return math.ceil(MESSAGES * shares[kind] / ROUNDS / 128) * 128
end

local function in_main(at)
    for kind in pairs(shares) do
        kinds[kind](at, in_round(kind))
    end
    connections("main", CONNECTIONS / ROUNDS)
end

-- Each kind twice at once, half of it each.
local function in_tasks(at)
    local tasks = {}
    for kind in pairs(shares) do
        for _ = 1, 2 do
            tasks[#tasks + 1] = socket.spawn(kinds[kind], at[#tasks % 2 + 1], math.floor(in_round(kind) / 2))
        end
    end
    tasks[#tasks + 1] = socket.spawn(connections, "tasks", CONNECTIONS / ROUNDS)
    for _, task in ipairs(tasks) do
        local ok, err, traceback = task:wait()
        assert(ok, traceback or err)
    end
end

local function resident()
    local file = assert(io.open "/proc/self/status")
    local text = file:read "*a"
    file:close()
    return tonumber(text:match "VmRSS:%s*(%d+)")
end

local began, clock = socket.now(), os.clock()
local peers = { start_peer(), start_peer() }
socket.loop():pollfd()
print "round  seconds  messages  connections       MiB  resident KiB  Lua KiB  descriptors"
for round = 1, ROUNDS do
    if round % 2 == 1 then
        in_main(peers[1])
    else
        in_tasks(peers)
    end
    collectgarbage()
    collectgarbage()
    print(("%5d  %7.1f  %8d  %11d  %8.1f  %12d  %7.0f  %11d"):format(round, socket.now() - began, total.messages,
        total.connections, total.bytes / 2 ^ 20, resident(), collectgarbage "count", #sys.fds()))
    io.stdout:flush()
end
print(("processor %.1f s"):format(os.clock() - clock))
