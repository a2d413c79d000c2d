-- Random calls of the whole module, in tasks and in the main program, against a model: what is read is what was
-- written, a datagram and a value of a channel arrive once and whole, every call and every task ends, no descriptor
-- stays.
--
--   TIME=seconds lua calls.lua       new seeds for so long (60)
--   SEED=n lua calls.lua             that run alone
--   lua calls.lua FILE               the seeds that stand in a file, one a line
--
-- Each run says its seed before it begins. A run that hangs ends the program after 30 seconds. In runs with seeds from
-- 10^9 on most streams are TLS, and the calls of ssocket.tls are among the others; new seeds are of both kinds in turn.

local socket = require "ssocket"
local pool = require "ssocket.pool"
local sys = require "testsys"

local unpack = table.unpack or _G.unpack
local TIMEOUT, CLOSED, LIMIT = socket.ERROR_TIMEOUT, socket.ERROR_CLOSED, socket.ERROR_LIMIT
local BUSY, CANCELLED, RESET = socket.ERROR_BUSY, socket.ERROR_CANCELLED, socket.ERROR_RESET
local TRUNCATED = socket.ERROR_TRUNCATED

local HANGS = 30 -- seconds
local TLS_SEEDS = 1e9 -- the first

-- What all streams carry, each from a place of its own. Few letters, so that delimiters are everywhere.
local noise = sys.random(2 ^ 18, 7):gsub(".", function(c)
    return ("aaaaabbb\r\n\n;\0x"):sub(c:byte() % 14 + 1, c:byte() % 14 + 1)
end)
local delimiters = { "\n", "\r\n", ";", "ab", "aab", "abaa", "\0", "a;b\n", "xxxx" }

-- None is a name that somebody else would be asked for.
local nobody = ("b"):rep(64)

-- Of one run at a time
local pick, failure, links, ends, udps, channels, tasks, wild, datagrams, values, last_id, n_tasks, self, taken, shared
local urn -- the acts of this run, each as often as it is likely
local secret -- contexts; nil: a run without TLS

-- The module, where it was built, and the text of a certificate for a.test with its key.
local tls, pem

-- Numbers 1..n from one seed (Lehmer), the same on every Lua.
local function dice(seed)
    local state = seed * 7919 % 2147483646 + 1
    return function(n)
        state = state * 16807 % 2147483647
        return math.floor(state / 7) % n + 1
    end
end

local function one_of(list)
    return list[pick(#list)]
end

-- The first is kept, since a task may have been cancelled and then nobody hears of its error.
local function fail(...)
    failure = failure or debug.traceback(string.format(...), 2)
    error(failure, 0)
end

local function check(good, ...)
    if not good then
        fail(...)
    end
end

local function one_of_errors(err, ...)
    for i = 1, select("#", ...) do
        if err == select(i, ...) then
            return true
        end
    end
    fail("the error is %s", tostring(err))
end

local function in_main()
    return not coroutine.running() or select(2, coroutine.running()) == true
end

-- ---- streams ----

-- One direction of a connection: `sent` and `got` are bytes; `loose`: the end may come early.
local function new_flow()
    return { base = pick(50000), sent = 0, got = 0 }
end

local function new_end(sock, out, incoming)
    local e = { sock = sock, out = out, incoming = incoming, epoch = 0 }
    ends[#ends + 1] = e
    wild[#wild + 1] = sock
    return e
end

local function tcp_pair()
    local listener, client = socket.tcp(), socket.tcp()
    client:setopt(socket.OPT_LINGER, 0)
    listener:settimeout(5)
    assert(listener:bind(one_of { "127.0.0.1", "127.0.0.1", "::1" }, 0))
    assert(listener:listen())
    client:settimeout(5)
    assert(client:connect(assert(listener:getsockname())))
    local accepted = assert(listener:accept())
    accepted:setopt(socket.OPT_LINGER, 0)
    if pick(3) == 1 then
        wild[#wild + 1] = listener
    else
        listener:close()
    end
    return client, accepted, true
end

local secure -- below

local function link()
    local there, back = new_flow(), new_flow()
    local kind = pick(4)
    local a, b
    if kind == 1 then -- its other end is a bare descriptor, driven by hand
        local fd, other = sys.socketpair(sys.SOCK_STREAM)
        a = new_end(assert(socket.fromfd(fd)), there, back)
        links[#links + 1] = { a = a, peer = other }
        return
    elseif kind == 2 then
        local one, two, resets = tcp_pair()
        a, b = new_end(one, there, back), new_end(two, back, there)
        a.resets, b.resets = resets, resets
    else
        local one, two = socket.pair()
        a, b = new_end(assert(one, two), there, back), new_end(two, back, there)
    end
    a.other, b.other = b, a
    links[#links + 1] = { a = a, b = b }
    if secret and pick(4) > 1 then
        secure(a, b)
    end
end

local function text_of(flow, from, n)
    return noise:sub(flow.base + from + 1, flow.base + from + n)
end

local function took(flow, data, skipped)
    check(type(data) == "string", "no bytes, but %s", type(data))
    local expected = text_of(flow, flow.got, #data)
    check(data == expected, "at %d: %d bytes %q, and not %q", flow.got, #data, data:sub(1, 40), expected:sub(1, 40))
    if skipped then
        check(skipped == text_of(flow, flow.got + #data, #skipped), "at %d: no delimiter behind it", flow.got)
    end
    flow.got = flow.got + #data + #(skipped or "")
end

-- How many bytes stand before the next delimiter.
local function before(flow, delimiter)
    local from = flow.base + flow.got + 1
    local at = noise:find(delimiter, from, true)
    return at and at - from or #noise
end

local readers = {}

function readers.read(e)
    local n = one_of { 0, 1, 2, 5, 30, 1000, 70000 }
    local data, err, partial = e.sock:read(n)
    check(not data or #data == n, "read(%d) gave %d", n, #(data or ""))
    check(data or #partial < n, "read(%d) failed with %d", n, #(partial or ""))
    return data, err, partial
end

function readers.readsome(e)
    local n = one_of { 1, 2, 7, 100, 5000, 100000 }
    local data, err = e.sock:readsome(n)
    check(not data or (#data >= 1 and #data <= n), "readsome(%d) gave %d", n, #(data or ""))
    return data, err, ""
end

function readers.peek(e)
    local n = one_of { 1, 2, 7, 100, 100000 }
    local data, err = e.sock:peek(n)
    local flow = e.incoming
    if data then
        check(#data >= 1 and #data <= n and #data <= 65536, "peek(%d) gave %d", n, #data)
        check(data == text_of(flow, flow.got, #data), "peek at %d gave others", flow.got)
        return nil, TIMEOUT, ""
    end
    return data, err, ""
end

function readers.readall(e)
    local n = pick(2) == 1 and one_of { 0, 3, 500 } or nil
    local data, err, partial = e.sock:readall(n)
    check(not data or not n or #data <= n, "readall(%s) gave %d", tostring(n), #(data or ""))
    check(err ~= LIMIT or #partial == n, "readall(%s): limit at %d", tostring(n), #(partial or ""))
    return data, err, partial, nil, data ~= nil
end

-- A call of an iterator by size, or in mid-record: `it.given` bytes of the record have been given.
local function read_piece(e, it, size)
    local call, delimiter, inclusive, max = unpack(it, 1, 4)
    local data, err, partial = call(size)
    local flow = e.incoming
    local length = before(flow, delimiter)
    if data and err == true then
        local whole = length + (inclusive and #delimiter or 0)
        check(#data == whole and whole <= (size or whole), "%d bytes before %q, not %d", #data, delimiter, whole)
        check(not max or it.given + length <= max, "more than %s", tostring(max))
        it.given = 0
        return data, nil, nil, not inclusive and delimiter or nil
    elseif data then
        it.given = it.given + #data
        local is_cut = inclusive and #data == length and length < size
        check(#data == size and size <= length or is_cut, "a piece of %d, %q at %d", #data, delimiter, length)
        check(not max or it.given <= max, "more than %s in pieces", tostring(max))
        return data
    end
    check(err ~= LIMIT or it.given + #partial == max, "%q: limit %s: %q", delimiter, tostring(max), partial)
    check(#partial <= length + #delimiter, "%q: %s, and partial %q, at %d", delimiter, err, partial, length)
    local goes_on = err == TIMEOUT or err == socket.ERROR_CANCELLED or err == socket.ERROR_BUSY
    it.given = goes_on and it.given + #partial or 0
    return nil, err, partial
end

function readers.readuntil(e)
    local delimiter, inclusive = one_of(delimiters), pick(2) == 1
    local max = pick(3) == 1 and one_of { 1, 2, 8, 50 } or nil
    if not e.iterator or pick(3) == 1 then
        e.iterator = { e.sock:readuntil(delimiter, inclusive, max), delimiter, inclusive, max, e.epoch, given = 0 }
    end
    local call, epoch
    call, delimiter, inclusive, max, epoch = unpack(e.iterator, 1, 5)
    if epoch ~= e.epoch then
        e.iterator = nil
        return nil, TIMEOUT, ""
    end
    local size = pick(3) == 1 and one_of { 2, 3, 10, 500 } or nil
    if (size and not (inclusive and size < #delimiter)) or e.iterator.given > 0 then
        return read_piece(e, e.iterator, size and math.max(size, #delimiter))
    end
    local data, err, partial = call()
    local flow = e.incoming
    local length = before(flow, delimiter)
    if data then
        local whole = length + (inclusive and #delimiter or 0)
        check(#data == whole, "%d bytes before %q, and not %d", #data, delimiter, whole)
        check(not max or length <= max, "more than %s", tostring(max))
        return data, nil, nil, not inclusive and delimiter or nil
    elseif err == LIMIT then
        local cut = flow.got + length + #delimiter > flow.sent + (flow.under_way or 0) -- by the end of the stream
        local good = max and #partial == max and (length > max or cut)
        check(good, "%q: limit %s: %q, at %d", delimiter, tostring(max), partial, length)
    elseif partial then
        check(#partial < length + #delimiter, "%q: %s, and partial %q, at %d", delimiter, err, partial, length)
    end
    return nil, err, partial
end

function readers.readline(e)
    local max = pick(3) == 1 and one_of { 1, 2, 8, 50 } or nil
    local data, err, partial = e.sock:readline(max)
    if not data then
        check(err ~= LIMIT or #partial == max, "readline(%s): limit at %d", tostring(max), #(partial or ""))
        return nil, err, partial
    end
    local flow = e.incoming
    check(not data:find "\n" and (not max or #data <= max), "readline(%s) gave %q", tostring(max), data:sub(1, 40))
    local behind = text_of(flow, flow.got + #data, 2)
    if before(flow, "\n") > #data + 1 or flow.got + #data >= flow.sent + (flow.under_way or 0) then
        return data -- the end of the stream has ended it
    end
    return data, nil, nil, behind:sub(1, 1) == "\n" and "\n" or "\r\n"
end

local reader_names = { "peek", "readline", "read", "readsome", "readall", "readuntil", "readuntil", "readuntil" }

-- A connection of TLS that has ended badly has ended for both directions, and each later call has the same error.
local function note_failure(e, err)
    if not e.is_tls or (err ~= RESET and err ~= tls.ERROR_EOF) or e.dead then
        return
    end
    check(err ~= tls.ERROR_EOF or e.incoming.loose, "the peer has not closed, and the stream is truncated")
    check((e.failure or err) == err, "it has failed with %s, and now %s", tostring(e.failure), err)
    e.failure = err == tls.ERROR_EOF and err or nil
    e.incoming.loose, e.out.loose = true, true
end

-- The one who reads there.
local function read(e)
    local flow, epoch, was_dead = e.incoming, e.epoch, e.dead
    if was_dead then
        return
    end
    e.reading = true
    local data, err, partial, skipped, at_end = readers[one_of(reader_names)](e)
    e.reading = false
    if data then
        took(flow, data, skipped)
    else
        took(flow, partial)
        one_of_errors(err, TIMEOUT, CLOSED, LIMIT, CANCELLED, RESET, unpack(e.failures or {}))
    end
    note_failure(e, err)
    check(e.writer_is_raw or flow.got <= flow.sent + (flow.under_way or 0), "more came than was sent")
    flow.loose = flow.loose or err == RESET
    if (err == CLOSED or at_end) and not e.dead and e.epoch == epoch and not flow.loose then
        flow.ended = true
    end
end

local function pieces_of(data)
    local array = {}
    local at = 1
    while at <= #data do
        local n = one_of { 1, 3, 100, 5000 }
        array[#array + 1] = data:sub(at, at + n - 1)
        at = at + n
    end
    return array
end

-- The one who writes there.
local function write(e)
    local flow = e.out
    local n = one_of { 0, 1, 2, 9, 60, 300, 4000, 70000 }
    if e.dead or flow.sent + n > 150000 then
        return
    end
    local data = text_of(flow, flow.sent, n)
    e.writing, flow.under_way = true, n
    local count, err, sent
    local form = pick(3)
    if form == 1 then
        count, err, sent = e.sock:write(pieces_of(data))
    elseif form == 2 then
        count, err, sent = e.sock:write("12" .. data .. "3", 3, -2)
    else
        count, err, sent = e.sock:write(data)
    end
    e.writing, flow.under_way = false, 0
    check(count == nil or count == n, "write of %d gave %s", n, tostring(count))
    if not count then
        check(sent >= 0 and sent <= n, "%d of %d were sent", sent, n)
        one_of_errors(err, TIMEOUT, CLOSED, RESET, CANCELLED, unpack(e.failures or {}))
    end
    note_failure(e, err)
    flow.sent = flow.sent + (count or sent)
end

-- Somebody who reads or writes where a task waits already. Nothing may happen but that he is told.
local function intrude(e)
    if in_main() or e.dead then
        return
    end
    if e.reading then
        local data, err = e.sock:readsome(10)
        check(data == nil, "two readers")
        one_of_errors(err, BUSY, CANCELLED, CLOSED)
    elseif e.writing then
        local count, err, sent = e.sock:write "intruder"
        check(count == nil and sent == 0, "two writers")
        one_of_errors(err, BUSY, CANCELLED, CLOSED)
    end
end

-- Closing loses what has come and was not read, and then the system may reset the connection.
local function close(e)
    if e.dead then
        return
    end
    e.dead = true
    e.incoming.loose = true
    e.out.loose = e.resets or e.incoming.got < e.incoming.sent + (e.incoming.under_way or 0) or e.writer_is_raw
        or e.is_tls -- close_notify may have no room
    check(e.sock:close() == 1 and e.sock:fileno() == -1, "close")
end

local function shut(e)
    if e.dead then
        return
    end
    local how = one_of { socket.SHUT_WR, socket.SHUT_WR, socket.SHUT_RD, socket.SHUT_RDWR }
    if how ~= socket.SHUT_WR then
        e.incoming.loose = true
        e.out.loose = e.out.loose or e.resets -- by Linux, when data comes after both directions are shut
    end
    local ok, err = e.sock:shutdown(how)
    check(ok or type(err) == "string", "shutdown")
end

local function move(e)
    if e.dead or e.reading or e.writing then
        return
    end
    local fd, err = e.sock:detach()
    if not fd then
        check(err == (e.is_tls and "TLS is in use" or "Unread bytes are pending"), "detach: %s", tostring(err))
        return
    end
    local old = e.sock
    e.epoch = e.epoch + 1
    e.sock = assert(socket.fromfd(fd))
    check(old:fileno() == -1 and e.sock:fileno() == fd, "who owns it?")
    wild[#wild + 1] = old
end

-- Its descriptor, or a socket that is another's after that, goes out and comes back.
local function pass(e)
    if e.dead then
        return
    end
    local out, into = socket.pair()
    local fresh, other = socket.pair()
    local what = pick(2) == 1 and fresh or e.sock:fileno()
    local data = ("x"):rep(one_of { 1, 2, 100, 5000 })
    local ok, err = out:sendfd(data, what)
    check(ok or type(err) == "string", "sendfd")
    check(not ok or what ~= fresh or fresh:fileno() == -1, "who owns it?")
    local came, fd
    if ok then
        local max = one_of { 1, 3, 5000 }
        came, fd = into:recvfd(max)
        if came then
            check(came == data:sub(1, max), "recvfd(%d) gave %d", max, #came)
            check(type(fd) == "number", "what was sent has not come: %s", tostring(fd))
            sys.close(fd)
        else
            check(fd == CANCELLED, "recvfd: %s", tostring(fd))
        end
    end
    out:close()
    into:close()
    fresh:close()
    other:close()
end

local function look(e)
    local s = e.sock
    local pending = s:pending()
    check(pending >= 0 and pending <= #noise and pending % 1 == 0, "%s bytes are pending", tostring(pending))
    check(tostring(s) == ("<tcpsock: %d>"):format(s:fileno()), "its name is %s", tostring(s))
    check(e.dead or s:getsockname() ~= nil, "it has no address")
end

local function set(e)
    local timeout = one_of { 0, 0.0005, 0.002, 0.01, -1, 1e300 }
    e.sock:settimeout(in_main() and 0.001 or timeout)
end

-- The bare descriptor at the other end. What is not sent as a whole is of unknown length.
local function raw(l)
    if not l.peer then
        return
    end
    local act = pick(8)
    local out, incoming = l.a.incoming, l.a.out
    if act <= 4 then
        local n = pick(300)
        if out.sent + n < 150000 and not l.unsure then
            out.under_way = n
            local ok = sys.send(l.peer, text_of(out, out.sent, n), 0)
            out.under_way = 0
            out.sent = out.sent + (ok and n or 0)
            l.unsure = not ok
            l.a.writer_is_raw = l.unsure
        end
    elseif act <= 7 then
        local data = sys.read(l.peer, pick(20000), 0)
        if data then
            took(incoming, data)
        end
    else
        out.loose = true
        incoming.loose = true
        sys.close(l.peer)
        l.peer = nil
    end
end

-- ---- datagrams ----

local function new_udp()
    local u = { sock = socket.udp() }
    u.sock:settimeout(0.001)
    if pick(3) == 1 then
        assert(u.sock:bind "unix:")
    else
        assert(u.sock:bind("127.0.0.1", 0))
    end
    u.address = assert(u.sock:getsockname())
    u.is_unix = type(u.address) == "string"
    udps[#udps + 1] = u
end

local function new_datagram()
    last_id = last_id + 1
    local data = last_id .. ":" .. noise:sub(pick(1000), 1000 + one_of { 0, 5, 900, 9000 })
    datagrams[last_id] = data
    return data
end

local function send_to(u, v)
    if u.is_unix ~= v.is_unix then
        return
    end
    u.sock:settimeout(in_main() and 0.001 or one_of { 0, 0.002 })
    if pick(2) == 1 then
        local ok, err = u.sock:sendto(new_datagram(), v.address)
        check(ok or type(err) == "string", "sendto")
    else
        local many = {}
        for i = 1, pick(6) do
            many[i] = new_datagram()
        end
        local n, err, sent = u.sock:sendmany(many, v.address)
        check(n == #many or (n == nil and type(err) == "string" and sent <= #many), "sendmany")
    end
end

local function arrived(data, size, err)
    local id = tonumber(data:match "^%d+" or "x")
    if #data < 8 and err == TRUNCATED then
        return
    end
    local whole = datagrams[id]
    check(whole, "datagram %s was not sent, or has come before", data:sub(1, 20))
    check(data == whole:sub(1, size), "another datagram than was sent")
    check((err == TRUNCATED) == (#whole > size), "%d of %d bytes, and %s", #data, #whole, tostring(err))
    datagrams[id] = nil
end

local function receive(u)
    u.sock:settimeout(in_main() and 0.001 or one_of { 0, 0.002, 0.01 })
    local size = one_of { 10, 100, 65535 }
    if pick(2) == 1 then
        local data, address, err = u.sock:recvfrom(size)
        if data then
            check(address ~= nil, "nobody sent it")
            arrived(data, size, err)
        else
            check(address == nil and type(err) == "string", "recvfrom")
        end
    else
        local datas, addresses, err = u.sock:recvmany(pick(5), 65535)
        for i = 1, #(datas or {}) do
            check(addresses[i], "nobody sent it")
            arrived(datas[i], 65535)
        end
        check(datas or type(err) == "string", "recvmany")
    end
end

-- ---- channels ----

local function put(ch)
    last_id = last_id + 1
    local id = last_id
    values[id] = { state = "under way" }
    local ok, err = ch:put(id, in_main() and 0.001 or one_of { 0, 0.001, -1 })
    if not ok then
        one_of_errors(err, TIMEOUT, CLOSED, CANCELLED)
    end
    local value = values[id]
    check(ok or value.state ~= "got", "value %d was got, and put says %s", id, tostring(err))
    if value.state ~= "got" then
        value.state = ok and "put" or "withdrawn"
    end
end

local function take(ch, timeout)
    if not timeout and not in_main() and pick(8) == 1 then
        return ch:values()()
    end
    return ch:get(timeout or (in_main() and 0.001 or one_of { 0, 0.001, -1 }))
end

local function get(ch, timeout)
    local id, err = take(ch, timeout)
    if id == nil then
        return one_of_errors(err, TIMEOUT, CLOSED, CANCELLED) and false
    end
    check(values[id] and (values[id].state == "put" or values[id].state == "under way"), "value %s, which is %s",
        tostring(id), values[id] and values[id].state or "nobody's")
    values[id].state = "got"
    return true
end

-- ---- tasks and the rest ----

local function spawn(f, ...)
    if n_tasks >= 40 then
        return
    end
    n_tasks = n_tasks + 1
    local task
    task = socket.spawn(function(...)
        self[coroutine.running()] = task
        return f(...)
    end, ...)
    tasks[#tasks + 1] = task
end

local function background(task)
    check(task:background() == task, "background")
end

-- Calls that wait on a channel or sleep, within a deadline; perhaps an error leaves it, in a coroutine that is dropped.
local function hurry()
    local ch, seconds = one_of(channels), one_of { 0, 0.0005, 0.002, math.huge }
    local limited = seconds < 1
    if pick(4) == 1 then
        local ok, err = coroutine.resume(coroutine.create(function()
            return socket.within(seconds, error, "on purpose", 0)
        end))
        check(not ok and err == "on purpose", "within raises: %s", tostring(err))
        return
    end
    check(socket.within(seconds, function()
        for _ = 1, pick(3) do
            local slept, why = socket.sleep(one_of { 0, 0.001 })
            check(slept or why == CANCELLED or (limited and why == TIMEOUT), "sleep says %s", tostring(why))
        end
        get(ch, limited and -1 or 0)
        return "returned"
    end) == "returned", "within")
end

local function small_task(n, last)
    for _ = 1, n do
        socket.sleep(one_of { 0, 0, 0.001, 0.003 })
    end
    if last == 1 then
        error({ "of no class" })
    elseif last == 2 then
        error("on purpose", 0)
    end
    return n, last
end

-- A group of small tasks, which is waited for, cancelled or lost.
local function gather()
    local group, fails = socket.group(), false
    for _ = 1, pick(3) do
        local n, last = pick(3), pick(9)
        fails = fails or last <= 2
        group:spawn(small_task, n, last)
    end
    local how = pick(3)
    if how == 1 then
        group:cancel()
    elseif how == 2 then
        return
    end
    local ok, err, traceback = group:wait(in_main() and 0.01 or one_of { 0, 0.002, 5 })
    if ok then
        check(not fails, "a failed task is not told")
    elseif err ~= TIMEOUT and err ~= CANCELLED then
        check(fails and type(traceback) == "string", "a failure that none was: %s", tostring(err))
        group:wait(0)
    end
end

local function wait(task)
    if task == self[coroutine.running() or 0] then
        return
    end
    local status = task:status()
    local results = { task:wait(in_main() and 0.001 or one_of { 0, 0.002, 0.02 }) }
    check(results[1] == true or results[1] == nil, "wait")
    if status == "done" then
        check(results[1], "it was done, and wait says %s", tostring(results[2]))
    end
end

local function select_some()
    local list, other = {}, {}
    for _ = 1, pick(4) do
        local e = one_of(ends)
        list[#list + 1] = pick(3) == 1 and e.sock:fileno() or e.sock
        other[#other + 1] = one_of(udps).sock
        local task = #tasks > 0 and one_of(tasks)
        for _, either in ipairs { list, other } do
            either[#either + 1] = pick(4) == 1 and one_of(channels) or nil
            either[#either + 1] = pick(4) == 1 and task ~= self[coroutine.running() or 0] and task or nil
        end
        list[#list + 1] = pick(4) == 1 and taken.signals or nil
    end
    local reads, writes, err = socket.select(list, pick(2) == 1 and other or nil, one_of { 0, 0.001, 0.004 })
    check(reads and #reads <= #list and #writes <= #other or type(err) == "string", "select")
end

-- ---- signals ----

-- `taken.raised`: one was raised since the last was got. Those that come close together may be one.
local function raise()
    taken.raised, taken.any = true, true
    check(sys.kill(sys.getpid(), sys.SIGUSR1), "kill")
end

local function get_signal(timeout)
    local got, err = taken.signals:get(timeout)
    if got then
        check(got == "USR1" and taken.any, "no such signal was raised: %s", got)
        taken.raised = false
    else
        one_of_errors(err, TIMEOUT, CANCELLED)
    end
    return got
end

-- ---- a pool ----

local MAX, KEYS = 2, { "a", "b", "a\0b" }

local function new_shared()
    local options = { max = MAX, idle = 1, timeout = one_of { 0.002, 1 } }
    shared = { pool = pool.new(options), peers = {}, known = {}, out = {} }
end

local function dial()
    local sock, peer = socket.pair()
    shared.peers[sock] = assert(peer)
    return sock
end

local function count_out(key)
    local n = 0
    for _, other in pairs(shared.out) do
        n = n + (other == key and 1 or 0)
    end
    return n
end

-- Gives a connection back in one of several ways; after some of them nobody may get it.
local function give_back(key, sock, peer)
    local how = pick(5)
    shared.out[sock] = nil
    if how == 1 then
        check(shared.pool:drop(key, sock), "drop")
    elseif how == 2 then
        peer:settimeout(0)
        peer:write "unasked"
    elseif how == 3 then
        peer:close()
    end
    local spoiled = how <= 3
    local ok, err = shared.pool:put(key, sock)
    check(ok and not spoiled or not ok and type(err) == "string", "put after %d: %s", how, tostring(ok or err))
    check(not spoiled or sock:fileno() == -1, "a connection that nobody can use stays open")
end

-- A connection is one caller's at a time, sound, and of at most MAX.
local function use_pool()
    local key = one_of(KEYS)
    local sock, reused = shared.pool:get(key, dial, one_of { 0, 0.001, 0.004 })
    if not sock then
        one_of_errors(reused, TIMEOUT, CANCELLED)
        return
    end
    check(not shared.out[sock], "it is somebody else's")
    check(reused == (shared.known[sock] or false), "reused is %s", tostring(reused))
    shared.out[sock], shared.known[sock] = key, true
    check(count_out(key) <= MAX, "too many are out")
    local peer = shared.peers[sock]
    if pick(2) == 1 then
        socket.sleep(one_of { 0, 0.0005 })
    end
    sock:settimeout(0)
    peer:settimeout(0)
    local data = ("x"):rep(pick(100))
    local sent, err = sock:write(data)
    check(sent == #data or err == CANCELLED, "a connection from the pool: %s", tostring(err))
    local came, why = peer:read(sent or 0)
    check(not sent or came == data or why == CANCELLED, "its other end: %s", tostring(why))
    if came ~= data then -- the bytes stay, and the next would get an answer that is not his
        shared.out[sock] = nil
        check(shared.pool:drop(key, sock), "drop")
        return
    end
    give_back(key, sock, peer)
end

local function leave_pool()
    shared.pool:close()
    for sock, peer in pairs(shared.peers) do
        peer:close()
        check(sock:fileno() == -1, "the pool has closed, and a connection of it is open")
    end
    local sock, err = shared.pool:get("a", dial, 0)
    check(not sock and err == CLOSED, "a pool that is closed gave %s", tostring(sock or err))
end

local function name()
    local host = one_of { "localhost", "127.0.0.1", "::1", "127.1", nobody, "", "a b", "[::1]" }
    local port = one_of { pick(65535), "http", "tftp", "none" }
    local list, err = socket.resolve(host, port, one_of { 0, 0.001, 0.2 }, one_of { "inet", "inet6", nil })
    check(list and #list > 0 and type(list.canonical) == "string" or type(err) == "string", "resolve")
    local found, service = socket.nameinfo(list and list[1] or "127.0.0.1", one_of { 0, 0.001, 0.2 })
    check(type(service) == "string" and (not found or found ~= ""), "nameinfo")
    list, err = socket.interfaces()
    check(list and #list > 0 or type(err) == "string", "interfaces")
end

-- ---- anything, with arguments of any kind ----

local long = ("x"):rep(70000)

local texts = { "", nobody, "\n", "\0", "127.0.0.1", "::1", "localhost", "unix:", "unix:@\0", "unix:/nowhere/at/all",
    "239.1.2.3", "7", "a\0b", long }

local function number()
    return one_of { 0, 1, 2, -1, 7, 80, 1.5, 65535, 65536, 2 ^ 31, 2 ^ 53, 1e300, -1e300, 0 / 0 }
end

local function anything()
    if secret and pick(8) == 1 then
        return one_of(secret.all)
    end
    local kind = pick(16)
    if kind <= 4 then
        return number()
    elseif kind <= 7 then
        return one_of(texts)
    elseif kind == 8 then
        return one_of { true, false }
    elseif kind == 9 then
        return one_of { {}, { 1, "a" }, { {} }, { "127.0.0.1", 1 }, { "::1", 0, family = "inet" }, { long, "" } }
    elseif kind == 10 then
        return nil
    elseif kind == 11 then
        return one_of(wild)
    elseif kind == 12 then
        return one_of(channels)
    elseif kind == 13 then
        return tasks[1] and one_of(tasks)
    elseif kind == 14 then
        return one_of { socket.OPT_LINGER, socket.OPT_ERROR, socket.OPT_RCVBUF, socket.OPT_SPIN, socket.OPT_REUSEPORT,
            socket.OPT_IP_MULTICAST_IF, socket.OPT_PEERCRED, socket.OPT_BINDTODEVICE }
    elseif kind == 15 then
        return one_of { print, io.stdout, coroutine.create(number), socket }
    end
    return one_of { socket.SHUT_RD, socket.SHUT_RDWR, socket.OPT_TCP_NODELAY, socket.OPT_BROADCAST }
end

local function arguments()
    local args, n = {}, pick(5) - 1
    for i = 1, n do
        args[i] = anything()
    end
    return args, n
end

local stream_calls = { "bind", "connect", "listen", "accept", "read", "readsome", "readuntil", "readall", "write",
    "peek", "readline", "finish", "sendfd", "recvfd", "pending", "shutdown", "close", "setopt", "getopt", "getsockname",
    "getpeername", "fileno", "gettimeout", "detach", "open" }
local datagram_calls = { "bind", "connect", "send", "sendto", "sendmany", "recv", "recvfrom", "recvmany", "join",
    "leave", "close", "setopt", "getopt", "getsockname", "getpeername", "fileno", "gettimeout", "detach", "accept",
    "open" }

-- Whatever a call raises is a text about its arguments or about waiting. Nothing is known of its results.
local function answered(ok, ...)
    local first, second = ...
    if not ok then
        check(type(first) == "string" or first == nil, "raised a %s", type(first))
        return
    end
    if type(second) == "function" and in_main() then
        return
    end
    return first, second
end

local modelled

-- A call by its name, with arguments of any kind, on a socket of nobody's.
local function wild_call()
    local s = one_of(wild)
    local call = one_of(tostring(s):find "^<tcp" and stream_calls or datagram_calls)
    local args, n = arguments()
    if modelled(s) or (call == "sendfd" and modelled(args[2])) then
        return
    end
    s:settimeout(in_main() and 0.001 or one_of { 0, 0.001, 0.01 })
    local fd, passed = answered(pcall(s[call], s, unpack(args, 1, n)))
    if call == "detach" and type(fd) == "number" then
        sys.close(fd)
    elseif call == "recvfd" and type(passed) == "number" then
        sys.close(passed)
    elseif call == "accept" and fd then
        wild[#wild + 1] = fd
    elseif call == "readuntil" and type(fd) == "function" then
        answered(pcall(fd))
    end
end

-- A wrong type in the first place, so that nothing waits and nothing is changed.
local function misuse()
    local bad = one_of { {}, print, true, socket }
    local e = one_of(ends)
    local sock, ch = e.sock, one_of(channels)
    local calls = {
        { sock.read, sock, bad }, { sock.readsome, sock, 0 }, { sock.readuntil, sock, "" }, { sock.write, sock, print },
        { sock.write, sock, { "a", {} } },
        { sock.write, sock, "a", bad }, { sock.write, sock, { "a" }, 1 }, { sock.shutdown, sock, 99 },
        { sock.settimeout, sock, 0 / 0 },
        { sock.setopt, sock, "no such", 1 }, { sock.connect, sock, "a" }, { sock.read, ch, 1 }, { ch.get, sock },
        { ch.values, sock }, { ch.put, ch, nil }, { ch.get, ch, {} }, { socket.select, { bad } }, { socket.sleep, {} },
        { socket.spawn, {} }, { socket.signals }, { socket.signals, "USR1", "KILL" }, { taken.signals.get, sock },
        { socket.channel, -1 }, { socket.fromfd, -1 }, { socket.fromfd, 1.5 }, { socket.resolve, "a\0b" },
        { socket.resolve, "a", "" }, { socket.nameinfo, "a" }, { socket.strerror, -1 },
        { socket.errname, bad }, { socket.connect, bad }, { socket.listen, bad, 0 },
        { sock.sendfd, sock, "", 0 }, { sock.recvfd, sock, bad },
        { sock.read, bad, 1 }, { socket.pair().close, ch }, { sock.readall, sock, -1 },
        { sock.peek, sock, 0 }, { sock.finish, sock, -1 }, { sock.readline, sock, bad },
    }
    local call = one_of(calls)
    local ok, err = pcall(unpack(call, 1, 4))
    check(not ok, "misuse is taken")
    check(type(err) == "string" and err:find "bad ", "misuse: %s", tostring(err))
end

local function new_wild()
    local s = pick(2) == 1 and socket.tcp() or socket.udp()
    wild[#wild + 1] = s
    return s
end

-- Somebody connects to somebody, while both may be closed.
local function meet()
    local listener, client = socket.tcp(), new_wild()
    listener:settimeout(0.01)
    client:settimeout(0.01)
    if not listener:bind("127.0.0.1", 0) or not listener:listen(1) then
        return
    end
    client:connect(pick(2) == 1 and "localhost" or "127.0.0.1", (listener:getsockname() or { 0, 1 })[2])
    local accepted = listener:accept()
    if accepted then
        accepted:write "hello"
        wild[#wild + 1] = accepted
    end
    wild[#wild + 1] = listener
end

function modelled(s)
    for _, e in ipairs(ends) do
        if e.sock == s and not e.dead then
            return true
        end
    end
    for _, u in ipairs(udps) do
        if u.sock == s then
            return true
        end
    end
    return false
end

-- Each as likely as often it stands here.
local acts = {
    { 4, function() intrude(one_of(ends)) end },
    { 1, function() close(one_of(ends)) end },
    { 2, function() shut(one_of(ends)) end },
    { 3, function() move(one_of(ends)) end },
    { 1, function() pass(one_of(ends)) end },
    { 5, function() look(one_of(ends)) end },
    { 4, function() set(one_of(ends)) end },
    { 8, function() raw(one_of(links)) end },
    { 4, function() send_to(one_of(udps), one_of(udps)) end },
    { 4, function() receive(one_of(udps)) end },
    { 5, function() put(one_of(channels)) end },
    { 5, function() get(one_of(channels)) end },
    { 1, function() if pick(8) == 1 then one_of(channels):close() end end },
    { 3, function() spawn(small_task, pick(6), pick(9)) end },
    { 2, function() if tasks[1] then one_of(tasks):cancel() end end },
    { 1, function() if tasks[1] then background(one_of(tasks)) end end },
    { 2, function() if tasks[1] then wait(one_of(tasks)) end end },
    { 4, select_some },
    { 3, hurry },
    { 1, raise },
    { 2, function() get_signal(one_of { 0, 0.001, 0.004 }) end },
    { 3, use_pool },
    { 2, gather },
    { 1, name },
    { 6, wild_call },
    { 3, misuse },
    { 1, new_wild },
    { 1, meet },
    { 3, function() socket.sleep(one_of { 0, 0, 0.0005, 0.002 }) end },
    { 1, function() collectgarbage(one_of { "step", "collect" }) end },
    { 1, function()
        local loop = socket.loop()
        local timeout = loop:timeout()
        check(loop:pollfd() and loop:events() == "r" and (timeout == nil or timeout >= 0), "loop")
        if in_main() then
            loop:step(one_of { 0, 0.001 })
        end
    end },
}

local function urn_of(...)
    local balls = {}
    for _, list in ipairs { ... } do
        for _, act in ipairs(list) do
            for _ = 1, act[1] do
                balls[#balls + 1] = act[2]
            end
        end
    end
    return balls
end

-- ---- TLS ----

local client_options = { {}, { cert = true }, { verify = false }, { sessions = 0 },
    { conf = { MaxProtocol = "TLSv1.2" } }, { alpn = { "a", "b" } }, { min = "1.3" } }
local server_options = { {}, { client_ca = true, client_optional = true }, { sessions = 0 }, { alpn = "b" },
    { conf = { MaxProtocol = "TLSv1.2" }, sessions = 2 }, { ticket_keys = { ("k"):rep(80) } } }

local function new_context(options, usual)
    local all = { [usual] = pem }
    for option, value in pairs(options) do
        all[option] = (option == "cert" or option == "client_ca") and pem or value
    end
    return assert(tls.context(all))
end

local function new_secret()
    local client, server = new_context(one_of(client_options), "ca"), new_context(one_of(server_options), "cert")
    secret = { client = client, server = server, all = { client, server, assert(tls.context()) } }
end

-- Both ends of a link shake hands, which fails only where one wants 1.3 and the other has 1.2. Then they are closed.
function secure(a, b)
    a.sock:settimeout(10)
    b.sock:settimeout(10)
    local server = socket.spawn(tls.server, b.sock, secret.server)
    local ok, err, reason = tls.client(a.sock, "a.test", secret.client)
    local _, done, why, more = server:wait(10)
    a.sock:settimeout(-1)
    b.sock:settimeout(-1)
    if ok and done then
        a.is_tls, b.is_tls = true, true
        a.is_server, b.is_server = false, true
        a.failures, b.failures = { tls.ERROR_EOF }, { tls.ERROR_EOF }
        return
    end
    check(reason or more, "a handshake: %s, %s", tostring(err), tostring(why))
    check(a.sock:fileno() == -1 and b.sock:fileno() == -1, "a handshake has failed, and its socket is open")
    a.dead, b.dead = true, true
end

local bindings = { "tls-exporter", "tls-server-end-point", "tls-unique" }

local function ask(e)
    local info = tls.info(e.sock)
    check((info ~= nil) == (e.is_tls and not e.dead or false), "info: %s", type(info))
    if not info then
        return
    end
    check(info.server == e.is_server, "which side is it?")
    check(info.name == "a.test" and (info.server or info.peer.names[1] == "a.test"), "names")
    check(info.version == "TLSv1.2" or info.version == "TLSv1.3", "version")
    local kind = one_of(bindings)
    local here, there = tls.binding(e.sock, kind), tls.binding(e.other.sock, kind)
    check(not here or not there or here == there, "%s: two values of one connection", kind)
    here, there = tls.export(e.sock, "EXPERIMENTAL", 40), tls.export(e.other.sock, "EXPERIMENTAL", 40)
    check(not here or not there or here == there, "two keys of one connection")
end

-- A handshake that somebody disturbs. Whatever its end: the socket is TLS, or closed.
local server_names = { "a.test", "a.test", "A.TEST.", "b.test", "127.0.0.1", "::1" }

local already = socket.strerror(sys.EISCONN)

local function ended(sock, ok, err, reason)
    check(ok == true or (ok == nil and type(err) == "string"), "handshake: %s, %s", tostring(ok), tostring(err))
    check(reason == nil or type(reason) == "string", "a reason is a %s", type(reason))
    local began = err ~= BUSY and err ~= already
    check(ok or not began or sock:fileno() == -1, "a handshake has failed with %s, and the socket is open", err)
end

local function shake_client(sock)
    ended(sock, tls.client(sock, one_of(server_names), pick(3) > 1 and secret.client or one_of(secret.all)))
end

local function shake_server(sock)
    local ctx = secret.server
    if pick(2) == 1 then
        local hello, err = tls.hello(sock)
        check(hello and type(hello.versions) == "table" or type(err) == "string", "hello: %s", tostring(err))
        if not hello and sock:fileno() == -1 then
            return
        end
    end
    ended(sock, tls.server(sock, ctx))
end

-- What somebody does to a socket in mid-handshake.
local disturbances = {
    function() end,
    function(sock) sock:close() end,
    function(sock) sock:settimeout(0) end,
    function(sock) sock:shutdown(one_of { socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR }) end,
    function(sock) sock:write(one_of { "GET / HTTP/1.0\r\n\r\n", long, "\22\3\1\0\2\1\0" }) end,
    function(sock) sock:write "\21\3\3\0\2\2\40" end, -- an alert
    function(sock) sock:readsome(100) end,
    function(sock) tls.hello(sock) end,
    function(sock) tls.client(sock, "a.test", secret.client) end,
    function(_, task) if task then task:cancel() end end,
    function() collectgarbage() end,
}

local function shake_hands()
    local a, b = socket.pair()
    a:settimeout(one_of { 0, 0.001, 0.01, 0.05 })
    b:settimeout(one_of { 0, 0.001, 0.01, 0.05 })
    local server = pick(8) > 1 and socket.spawn(shake_server, b) or nil
    local client = socket.spawn(shake_client, a)
    for _ = 1, pick(3) - 1 do
        socket.sleep(one_of { 0, 0, 0.0005, 0.002 })
        local disturb, sock = one_of(disturbances), one_of { a, b }
        sock:settimeout(0.001)
        disturb(sock, one_of { client, server })
    end
    if pick(4) == 1 then
        return -- they are dropped
    end
    for _, task in ipairs { client, server } do
        local _, err = task:wait(in_main() and 0.1 or 1)
        check(err == nil or one_of_errors(err, TIMEOUT, CANCELLED), "a handshake fails")
    end
    wild[#wild + 1] = a
    wild[#wild + 1] = b
end

-- Options of any kind: a context, or a text that names one of them, or misuse. None writes a file.
local option_names = { "alpn", "ca", "cert", "client_ca", "client_optional", "conf", "crl", "key", "min", "password",
    "sessions", "ticket_keys", "verify", "verfiy", 1 }
local option_values = {
    function() return pem end,
    function() return pem end,
    function() return pem:sub(pick(#pem)) end,
    function() return pem:sub(1, pick(#pem)) .. pem end,
    function() return { pem, pem } end,
    function() return pem:gsub("A", "B", pick(9)) .. "" end,
    function() return one_of { "system", "1.2", "1.3", "/dev/null", "/", "/etc/ssl/certs", "/nowhere", "h2" } end,
    function() return one_of { { "h2", "http/1.1" }, { ("x"):rep(255) }, { ("x"):rep(256) }, { "" }, {} } end,
    function() return one_of { { ("k"):rep(80) }, { ("k"):rep(80), ("l"):rep(80) }, { ("k"):rep(79) } } end,
    function() return { [one_of { "Groups", "Ciphersuites", "MinProtocol", "Options", "", "x" }] = one_of(texts) } end,
    function() return { Groups = "X25519:P-256", Ciphersuites = "TLS_AES_128_GCM_SHA256" } end,
    function() return one_of { true, false, 0, 1, 64, 65536, 65537, -1, 0.5 } end,
    anything,
}

local function new_options()
    local options = {}
    for _ = 1, pick(4) do
        options[one_of(option_names)] = one_of(option_values)()
    end
    options.keylog = pick(8) == 1 and one_of { "/dev/null", "/nowhere/at/all", "", "\0" } or nil
    return options
end

local function make_context()
    local options = new_options()
    local ok, ctx, err = pcall(tls.context, options)
    if not ok then
        check(type(ctx) == "string" and ctx:find "bad argument", "context raises: %s", tostring(ctx))
        return
    end
    check(ctx == nil and type(err) == "string" or tostring(ctx) == "<tls.context>", "context: %s", tostring(err))
    if ctx then
        secret.all[math.min(#secret.all + 1, 3 + pick(5))] = ctx
    end
end

local tls_calls = { "binding", "client", "connect", "context", "export", "hello", "info", "server" }

local function wild_tls()
    local call, s = one_of(tls_calls), one_of(wild)
    local args, n = arguments()
    if call == "connect" then
        answered(pcall(tls.connect, one_of { "127.0.0.1", "::1", "a b" }, pick(65535), nil, 0.01))
    elseif call == "context" then
        answered(pcall(tls.context, unpack(args, 1, n)))
    elseif not modelled(s) then
        s:settimeout(in_main() and 0.001 or one_of { 0, 0.001, 0.01 })
        answered(pcall(tls[call], s, unpack(args, 1, n)))
    end
end

local function misuse_tls()
    local sock, bad = one_of(ends).sock, one_of { {}, print, true, socket }
    local calls = {
        { tls.client, bad, "a.test" }, { tls.client, sock, bad }, { tls.client, sock, "" },
        { tls.client, sock, "a\0b" }, { tls.client, sock, "a..b" }, { tls.client, sock, "a.test", bad },
        { tls.server, sock }, { tls.server, sock, bad }, { tls.server, sock, secret.all[3] }, { tls.hello, bad },
        { tls.info, bad }, { tls.binding, sock, "tls" }, { tls.binding, sock, bad }, { tls.export, sock, "", 1 },
        { tls.export, sock, "x", 0 }, { tls.export, sock, bad, 1 },
        { tls.export, sock, "x", 1, bad }, { tls.connect, bad, 1 }, { tls.connect, "a.test", bad },
        { tls.connect, "a.test", 1, bad }, { tls.context, { verfiy = true } }, { tls.context, { "ca" } },
        { tls.context, { ca = true } }, { tls.context, { min = "1.1" } }, { tls.context, { client_optional = true } },
        { tls.context, print }, { tls.info, one_of(udps).sock }, { tls.server, one_of(udps).sock, secret.server },
    }
    local ok, err = pcall(unpack(one_of(calls), 1, 5))
    check(not ok and type(err) == "string" and err:find "bad ", "misuse of TLS: %s", tostring(err))
end

local tls_acts = {
    { 5, function() ask(one_of(ends)) end },
    { 5, shake_hands },
    { 3, make_context },
    { 6, wild_tls },
    { 3, misuse_tls },
}

local plain_urn, tls_urn = urn_of(acts), urn_of(acts, tls_acts)

local function load_tls()
    local found, module = pcall(require, "ssocket.tls")
    if not found then
        return false
    end
    local file = assert(io.open((arg[0]:match "^(.*)/" or ".") .. "/tls.pem", "rb"))
    tls, pem = module, file:read "*a"
    file:close()
    assert(tls.context()) -- what the library keeps for good is there before descriptors are counted
    return true
end

-- ---- a run ----

-- Each direction of each end has one who acts there: this is what he does, one step after another.
local function actor(e, call)
    return function()
        if pick(2) == 1 then
            if in_main() then
                e.sock:settimeout(0.001)
            end
            call(e)
        else
            one_of(urn)()
        end
    end
end

-- Lua 5.1 keeps a task from waiting inside pcall, where these make their calls.
local function life(step, n)
    for _ = 1, n do
        step()
    end
end

local function new_world()
    links, ends, udps, channels, tasks, wild = {}, {}, {}, {}, {}, {}
    datagrams, values, last_id, n_tasks, self = {}, {}, 0, 0, {}
    taken = { signals = assert(socket.signals "USR1") }
    new_shared()
    if secret then
        new_secret()
    end
    for _ = 1, pick(3) do
        link()
    end
    for _ = 1, 2 + pick(2) do
        new_udp()
    end
    for _ = 1, 2 do
        channels[#channels + 1] = socket.channel(pick(4) - 1)
    end
    new_wild()
end

local function live()
    local steps, actors = pick(60), {}
    for i = 1, #ends do
        actors[#actors + 1] = actor(ends[i], read)
        actors[#actors + 1] = actor(ends[i], write)
    end
    local in_tasks = pick(4) > 1
    for _, step in ipairs(actors) do
        if in_tasks then
            spawn(life, step, steps)
        end
    end
    for _ = 1, steps do
        if in_tasks then
            one_of(urn)()
        else
            one_of(actors)()
        end
    end
end

-- Every task ends when it is asked to, and nobody has failed who should not have.
local function end_tasks()
    for _ = 1, 3 do
        for i = 1, #tasks do
            tasks[i]:cancel()
        end
        socket.sleep(0)
    end
    for i = 1, #tasks do
        local _, err = tasks[i]:wait(10)
        check(err ~= TIMEOUT, "a task does not end")
        local status = tasks[i]:status()
        check(status == "done" or status == "failed", "it has ended, and is %s", status)
        local meant = err == CANCELLED or err == "on purpose" or type(err) == "table"
        check(status == "done" or meant, "a task: %s", tostring(err))
    end
end

-- What is still on its way arrives, and then the end does.
local function drain(e)
    local flow = e.incoming
    if e.dead or flow.loose or flow.ended or e.writer_is_raw or not e.other then
        return
    end
    if not e.other.dead and e.is_tls then -- which may have to wait until somebody reads
        e.other.sock:settimeout(5)
        socket.spawn(e.other.sock.shutdown, e.other.sock, socket.SHUT_WR)
    elseif not e.other.dead then
        e.other.sock:shutdown(socket.SHUT_WR)
    end
    e.sock:settimeout(5)
    local data, err = e.sock:readall()
    check(data, "the rest: %s", tostring(err))
    took(flow, data)
    flow.ended = true
end

local function check_ends()
    for _, e in ipairs(ends) do
        drain(e)
    end
    for _, e in ipairs(ends) do
        local flow = e.incoming
        check(e.writer_is_raw or not flow.ended or flow.loose or flow.got == flow.sent, "%d of %d bytes came", flow.got,
            flow.sent)
        close(e)
    end
    for _, ch in ipairs(channels) do
        while get(ch, 0) do
        end
    end
    check(not taken.raised or get_signal(1), "a signal is lost")
    for id, value in pairs(values) do
        check(value.state == "got" or value.state == "withdrawn", "value %d is %s", id, value.state)
    end
end

local function leave()
    if taken then
        taken.signals:close()
    end
    if shared then
        leave_pool()
    end
    for _, l in ipairs(links or {}) do
        if l.peer then
            sys.close(l.peer)
        end
    end
    for _, list in ipairs { wild or {}, udps or {}, ends or {} } do
        for _, s in ipairs(list) do
            s = type(s) == "table" and s.sock or s
            s:settimeout(0)
            s:close()
        end
    end
    links, ends, udps, channels, tasks, wild, datagrams, values, self = nil, nil, nil, nil, nil, nil, nil, nil, nil
    taken, shared, secret = nil, nil, nil
    collectgarbage()
    collectgarbage()
    socket.onerror = function() end
    socket.run()
    collectgarbage()
    socket.onerror = nil
end

local function describe_descriptors()
    local names = {}
    for _, fd in ipairs(sys.fds()) do
        names[#names + 1] = fd .. " " .. tostring(sys.fdname(fd))
    end
    return table.concat(names, ", ")
end

-- A look-up that was given up has a thread that ends by itself, and descriptors of its own until then.
local function descriptors_come_down_to(expected)
    local limit = sys.now() + 10
    while #sys.fds() > expected and sys.now() < limit do
        socket.sleep(0.01)
    end
    return #sys.fds() == expected
end

local function run(seed)
    io.write("seed ", string.format("%d", seed), "\n")
    io.flush()
    sys.watchdog(HANGS)
    failure, pick = nil, dice(seed)
    secret = seed >= TLS_SEEDS and {} or nil
    urn = secret and tls_urn or plain_urn
    local fds = #sys.fds()
    local ok, err = xpcall(function()
        new_world()
        live()
        end_tasks()
        check_ends()
    end, debug.traceback)
    if ok or not failure then
        local left, why = pcall(leave)
        ok, err = ok and left, ok and why or err
    end
    if ok and not descriptors_come_down_to(fds) then
        ok, err = false, ("%d descriptors, and %d before: %s"):format(#sys.fds(), fds, describe_descriptors())
    end
    sys.watchdog(0)
    if failure or not ok then
        return false, failure or err
    end
    return true
end

-- ---- which runs ----

local passed, failed = 0, 0

local function try(seed)
    if seed >= TLS_SEEDS and not (tls or load_tls()) then
        return true
    end
    local ok, why = run(seed)
    if ok then
        passed = passed + 1
        return true
    end
    failed = failed + 1
    io.write("not ok - seed ", string.format("%d", seed), ": ", tostring(why), "\n")
    return false
end

socket.loop():pollfd() -- the tasks' own descriptor is there before any is counted
pcall(socket.resolve, "localhost")

if os.getenv "SEED" then
    try(tonumber(os.getenv "SEED"))
elseif arg[1] then
    for line in io.lines(arg[1]) do
        local seed = tonumber(line:match "^%d+")
        if seed and not try(seed) then
            break -- what it has left would disturb the next
        end
    end
else
    local stop = sys.now() + tonumber(os.getenv "TIME" or 60)
    local seed = os.time() % 1000000 * 1000
    while sys.now() < stop and try(seed) and try(seed + TLS_SEEDS) do
        seed = seed + 1
    end
end
io.write(string.format("%d passed, %d failed\n", passed, failed))
os.exit(failed == 0 and passed > 0 and 0 or 1, true) -- closed, so that a leak checker finds nothing in its memory
