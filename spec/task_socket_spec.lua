-- Sockets in tasks: what waits, what does not, who may wait with whom, and that no byte and no end is missed.

local t = require "support.t"
local tools = require "support.tools"
local tasks = require "support.tasks"
local each_wait = require "support.waits"

local unpack = unpack or table.unpack -- luacheck: ignore
local socket, sys = t.socket, t.sys
local spawn, join = tasks.spawn, tasks.join

local function close_all(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

-- Data whose every part is different.
local function text(n, seed)
    return t.random(n, seed)
end

-- Long enough for others to run meanwhile, also where a large write is looked at byte by byte.
local BRIEF = 0.04 * t.slow

describe("while a call waits", function()
    tasks.guard()

    each_wait(function(name, make)
        it("in " .. name .. " in a task, the others run, until its time is over", function()
            local case, ticks = make(), tasks.ticker(0)
            local before = ticks.n
            local results = t.takes(BRIEF, tasks.run, function()
                return t.pack(case.call(BRIEF))
            end)
            case:check_failed(socket.ERROR_TIMEOUT, results)
            assert.is_true(ticks.n - before >= 2, ticks.n - before)
            case:drop()
        end)

        it("in " .. name .. " in the main program, tasks run, until its time is over", function()
            local case, ticks = make(), tasks.ticker(0)
            local before = ticks.n
            case:check_failed(socket.ERROR_TIMEOUT, t.pack(t.takes(BRIEF, case.call, BRIEF)))
            assert.is_true(ticks.n - before >= 2, ticks.n - before)
            case:drop()
        end)

        it("in " .. name .. ", no time means at once, in a task and beside one", function()
            local case = make()
            local results = t.takes(0, tasks.run, function()
                return t.pack(case.call(0))
            end)
            case:check_failed(socket.ERROR_TIMEOUT, results)
            case:drop()
            case = make()
            tasks.ticker()
            case:check_failed(socket.ERROR_TIMEOUT, t.pack(t.takes(0, case.call, 0)))
            case:drop()
        end)

        it("in " .. name .. ", it ends as soon as it can, with the same results everywhere", function()
            for _, where in ipairs { "task", "main" } do
                local case = make()
                if not case.wake then
                    case:drop()
                    return
                end
                local results
                if where == "task" then
                    local task = spawn(function()
                        return t.pack(case.call(20))
                    end)
                    tasks.settle()
                    case.wake()
                    results = t.deadline(5, join, task)
                else
                    local waker = spawn(function()
                        socket.sleep(0.002)
                        case.wake()
                    end)
                    results = t.pack(t.deadline(5, case.call, 20))
                    join(waker)
                end
                case:check_good(results)
                case:drop()
            end
        end)
    end)

    it("for a name, the others run", function()
        local listener, address = t.listener()
        local turns, looking = 0, true
        spawn(function()
            while looking do
                socket.sleep(0)
                turns = turns + 1
            end
        end)
        local task = spawn(function()
            local s = socket.tcp()
            assert(s:connect("localhost", address[2]))
            local addresses = assert(socket.resolve("localhost", 80))
            looking = false
            assert(s:write(addresses[1][1]))
            s:close()
            return true
        end)
        listener:settimeout(10)
        local accepted = assert(listener:accept())
        assert.matches("^[%d.:]+$", accepted:readall())
        assert.is_true(join(task))
        assert.is_true(turns >= 4, turns)
        close_all(accepted, listener)
    end)

    it("each of many keeps its own time", function()
        local all = {}
        each_wait(function(name, make)
            for i = 1, 3 do
                local seconds = 0.02 * i
                local case = make()
                local task = spawn(function()
                    local began = t.now()
                    local results = t.pack(case.call(seconds))
                    return t.now() - began, results
                end)
                all[#all + 1] = { name = name, case = case, task = task, seconds = seconds }
            end
        end)
        for _, one in ipairs(all) do
            local took, results = join(one.task)
            one.case:check_failed(socket.ERROR_TIMEOUT, results)
            assert.is_true(took >= one.seconds and took < one.seconds + 0.5 * t.slow, one.name .. ": " .. took)
            one.case:drop()
        end
    end)

    it("the time of a call in a task is that of its beginning, whatever others set", function()
        local a, b = socket.pair()
        a:settimeout(0.02)
        local task = spawn(function()
            return a:read(1)
        end)
        tasks.settle()
        a:settimeout(-1)
        t.takes(0.0, function()
            assert.same({ true, nil, socket.ERROR_TIMEOUT, "" }, { task:wait(5) })
        end)
        close_all(a, b)
    end)

    it("a drip does not make its time longer", function()
        local a, b = socket.pair()
        local drip = spawn(function()
            while socket.sleep(0) and b:write "x" do end -- luacheck: ignore
        end)
        a:settimeout(0.05)
        for _, call in ipairs {
            function()
                return a:read(1000000)
            end,
            function()
                return a:readuntil "\n"()
            end,
            function()
                return a:readall()
            end,
        } do
            local data, err, partial = t.takes(0.05, tasks.run, call)
            t.fails(socket.ERROR_TIMEOUT, partial, data, err, partial)
            assert.is_true(#partial >= 2, partial)
        end
        drip:cancel()
        close_all(a, b)
    end)

    for _, where in ipairs { "main program", "task" } do
        it("a flood does not make its time longer, in the " .. where, function()
            local a, b = socket.pair()
            local flood = spawn(function()
                local data = ("x"):rep(100000)
                while b:write(data) do end -- luacheck: ignore
            end)
            a:settimeout(0.05)
            local function call()
                local began = t.now()
                local data, err = a:readuntil "\n"()
                return t.now() - began, data, err
            end
            local run = where == "task" and tasks.run or function(f)
                return f()
            end
            local took, data, err = run(call)
            t.fails(socket.ERROR_TIMEOUT, nil, data, err)
            assert.is_true(took >= 0.05 and took < 1.5 * t.slow, took)
            flood:cancel()
            close_all(a, b)
            tasks.settle()
        end)
    end
end)

describe("one reader and one writer", function()
    tasks.guard()

    it("may wait on a socket at once, and a line may go each way", function()
        local a, b = socket.pair()
        local data = text(3000000, 7)
        local reader = spawn(function()
            return a:read(10)
        end)
        local writer = spawn(function()
            return a:write(data)
        end)
        tasks.settle()
        assert.equal("waiting", reader:status())
        assert.equal("waiting", writer:status())
        assert(b:write "0123456789")
        assert.equal("0123456789", join(reader))
        assert.equal("waiting", writer:status())
        assert.is_true(b:read(#data) == data)
        assert.equal(#data, join(writer))
        close_all(a, b)
    end)

    -- What else reads (or writes) there is refused at once; what goes the other way is not.
    local function check_busy(f)
        tasks.run(f)
        f()
    end

    it("and no second reader: ERROR_BUSY, and the first goes on", function()
        local a, b = socket.pair()
        local reader = spawn(function()
            return a:read(4)
        end)
        tasks.settle()
        assert(b:write "ab")
        tasks.settle()
        check_busy(function()
            for _, seconds in ipairs { 0, 5 } do
                a:settimeout(seconds)
                t.fails(socket.ERROR_BUSY, "", a:read(1))
                t.fails(socket.ERROR_BUSY, "", a:readuntil "x"())
                t.fails(socket.ERROR_BUSY, "", a:readall())
                t.fails(socket.ERROR_BUSY, nil, a:readsome(1))
                assert.equal(1, t.at_once(a.write, a, "!"))
            end
        end)
        assert(b:write "cd")
        assert.equal("abcd", join(reader))
        assert.equal("!!!!", t.readsome(b, 10, 4))
        close_all(a, b)
    end)

    it("and no second writer: ERROR_BUSY, and not a byte of it is sent", function()
        local a, b = socket.pair()
        local writer = spawn(function()
            return a:write(t.much)
        end)
        tasks.settle()
        assert(b:write "input")
        check_busy(function()
            for _, seconds in ipairs { 0, 5 } do
                a:settimeout(seconds)
                t.fails(socket.ERROR_BUSY, 0, a:write "y")
            end
            a:settimeout(0)
            local data = t.at_once(a.read, a, 1)
            assert.is_true(data == "i" or data == "n")
        end)
        assert.is_true(b:read(#t.much) == t.much)
        assert.equal(#t.much, join(writer))
        close_all(a, b)
    end)

    it("and no second writer where there is room again before the first goes on", function()
        local a, b = socket.pair()
        local writer = spawn(function()
            return a:write(t.much)
        end)
        tasks.settle()
        local data = b:read(131072)
        t.fails(socket.ERROR_BUSY, 0, a:write "y")
        assert.is_true(data .. b:read(#t.much - #data) == t.much)
        assert.equal(#t.much, join(writer))
        close_all(a, b)
    end)

    for _, what in ipairs { "string", "array" } do
        it(("sends a %s that is cut as one, however many calls there were before"):format(what), function()
            for before = 60, 66 do
                local a, b = socket.pair()
                local elsewhere, far = socket.pair()
                assert(a:setopt(socket.OPT_SNDBUF, 1))
                assert(a:write(("x"):rep(500)))
                local got = {}
                local reader = spawn(function()
                    got[1] = b:read(500) -- makes room
                    local sent, err = a:write "-"
                    assert(sent or err == socket.ERROR_BUSY, err)
                    got[2] = b:readall()
                end)
                for _ = 1, before do
                    assert(elsewhere:write "q")
                end
                local message = ("M"):rep(4000)
                assert.equal(4000, a:write(what == "string" and message or { message:sub(1, 1), message:sub(2) }))
                assert(a:shutdown(socket.SHUT_WR)) -- over TLS close alone says nothing where there is no room
                a:close()
                join(reader)
                local whole = table.concat(got)
                assert.is_truthy(whole:find(message, 1, true), before)
                close_all(b, elsewhere, far)
            end
        end)
    end

    for _, count in ipairs { 4, 40 } do
        it(("sends an array of %d strings as it was, whatever becomes of it"):format(count), function()
            local a, b = socket.pair()
            local pieces = {}
            for i = 1, count do
                pieces[i] = t.random(i == 1 and 10 or 300000, i) -- the first one is gone when it waits
            end
            local whole = table.concat(pieces)
            local writer = spawn(function()
                return a:write(pieces)
            end)
            tasks.settle()
            for i = 1, count do
                pieces[i] = nil
            end
            t.collect()
            assert.is_true(b:read(#whole) == whole)
            assert.equal(#whole, join(writer))
            close_all(a, b)
        end)
    end

    it("of datagrams likewise", function()
        local u, peer = socket.udp(), socket.udp()
        assert(u:bind("127.0.0.1", 0))
        assert(peer:connect(u:getsockname()))
        local reader = spawn(function()
            return u:recv()
        end)
        tasks.settle()
        check_busy(function()
            t.fails(socket.ERROR_BUSY, nil, u:recv())
            assert.same({ nil, nil, socket.ERROR_BUSY, n = 3 }, t.pack(u:recvfrom()))
            assert.same({ nil, nil, socket.ERROR_BUSY, n = 3 }, t.pack(u:recvmany(1, 10)))
            assert(u:sendto("other way", peer:getsockname()))
        end)
        assert(peer:send "x")
        assert.equal("x", join(reader))
        close_all(u, peer)
    end)

    each_wait(function(name, make)
        it("is what " .. name .. " is alone", function()
            local case = make()
            if not case.socket then
                case:drop()
                return
            end
            local task = spawn(case.call, -1)
            tasks.settle()
            assert.equal("waiting", task:status())
            check_busy(function()
                local results = t.pack(case.call(0))
                assert.equal(socket.ERROR_BUSY, results[(case.nils or 1) + 1])
            end)
            if case.socket.connect then
                check_busy(function()
                    t.fails(socket.ERROR_BUSY, nil, case.socket:connect("127.0.0.1", 1))
                    t.fails(socket.ERROR_BUSY, nil, case.socket:bind("127.0.0.1", 0))
                end)
            end
            assert.equal("waiting", task:status())
            task:cancel()
            task:wait(5)
            case:drop()
        end)
    end)

    it("is free again after an error, a time-out, an end", function()
        local a, b = socket.pair()
        for _, f in ipairs {
            function()
                a:settimeout(0.001)
                a:read(1)
            end,
            function()
                a:settimeout(-1)
                pcall(table.sort, { 3, 2, 1 }, function()
                    a:read(1)
                end)
            end,
            function()
                coroutine.resume(coroutine.create(function()
                    a:read(1)
                end))
            end,
        } do
            local task = spawn(f)
            task:wait(5)
            a:settimeout(0)
            t.fails(socket.ERROR_TIMEOUT, "", a:read(1))
        end
        close_all(a, b)
    end)

    it("leaves calls alone that never wait", function()
        local a, b = socket.pair()
        local reader = spawn(function()
            return a:read(2)
        end)
        tasks.settle()
        assert(b:write "1")
        tasks.settle()
        assert.equal(1, a:pending())
        assert.is_true(a:fileno() >= 0)
        assert.equal("unix:", a:getpeername())
        assert.is_true(a:setopt(socket.OPT_SNDBUF, 65536))
        assert.is_number(a:getopt(socket.OPT_SNDBUF))
        assert.same({ nil, nil, socket.ERROR_TIMEOUT }, { t.select_in_vain({ b }, nil, 0) })
        assert.is_true(a:shutdown(socket.SHUT_WR))
        assert.equal("", b:readall())
        assert(b:write "2")
        assert.equal("12", join(reader))
        close_all(a, b)
    end)
end)

describe("close by another task", function()
    tasks.guard()

    each_wait(function(name, make)
        it("wakes the one that waits in " .. name, function()
            for _, where in ipairs { "task", "main" } do
                local case = make()
                if not case.socket then
                    case:drop()
                    return
                end
                local fd = case.socket:fileno()
                local results
                if where == "task" then
                    local task = spawn(function()
                        return t.pack(case.call(20))
                    end)
                    tasks.settle()
                    assert.equal(1, case.socket:close())
                    results = t.deadline(5, join, task)
                else
                    spawn(function()
                        socket.sleep(0.002)
                        case.socket:close()
                    end)
                    results = t.pack(t.deadline(5, case.call, 20))
                end
                case:check_failed(socket.ERROR_CLOSED, results)
                assert.equal(-1, case.socket:fileno())
                assert.is_true(fd < 0 or not sys.isopen(fd))
                case:drop()
            end
        end)
    end)

    it("wakes reader and writer", function()
        local a, b = socket.pair()
        local reader = spawn(function()
            return a:read(4)
        end)
        local writer = spawn(function()
            return a:write(t.much)
        end)
        tasks.settle()
        assert(b:write "ab")
        tasks.settle()
        a:close()
        assert.same({ true, nil, socket.ERROR_CLOSED, "ab" }, { reader:wait() })
        local ok, value, err, sent = writer:wait()
        assert.same({ true, nil, socket.ERROR_CLOSED }, { ok, value, err })
        assert.is_true(sent > 0 and sent < #t.much)
        t.check_rest(b, t.much:sub(1, sent))
        b:close()
    end)

    it("wakes nobody who waits on another socket", function()
        local a, b = socket.pair()
        local c, d = socket.pair()
        local reader = spawn(function()
            return c:read(1)
        end)
        tasks.settle()
        a:close()
        tasks.settle()
        assert.equal("waiting", reader:status())
        assert(d:write "x")
        assert.equal("x", join(reader))
        close_all(b, c, d)
    end)

    it("ends a call of the main program that lets others run first", function()
        local a, b = socket.pair()
        assert.equal(1000, b:write(("x"):rep(1000)))
        spawn(a.close, a)
        local n, data, err, partial = 0
        repeat
            data, err, partial = a:read(1)
            n = n + 1
        until not data or n == 1000
        assert.same({ socket.ERROR_CLOSED, "" }, { err, partial })
        assert.is_true(n < 100, n)
        b:close()
    end)

    it("leaves a socket as new, at once: the same task may connect it and use it", function()
        local listener, address = t.listener()
        local s = socket.tcp()
        for round = 1, 3 do
            assert(s:connect(address))
            local _, accepted = t.joined(s, assert(listener:accept()))
            local reader = spawn(function()
                return s:read(1)
            end)
            tasks.settle()
            local function again()
                s:close()
                assert(s:connect(address))
                local _, other = t.joined(s, assert(listener:accept()))
                assert(other:write "new")
                assert.equal("new", s:read(3))
                other:close()
            end
            if round == 1 then
                again()
            else
                tasks.run(again)
            end
            assert.same({ true, nil, socket.ERROR_CLOSED, "" }, { reader:wait() })
            close_all(accepted, s)
        end
        listener:close()
    end)

    -- Both are ready in the same turn, and the one that comes first closes what the other has just been given.
    for name, make in pairs {
        read = function(s)
            return s:read(50000)
        end,
        readuntil = function(s)
            return s:readuntil "\n"()
        end,
        readsome = function(s)
            return t.readsome(s, 60000, 50000)
        end,
    } do
        it("in the turn in which " .. name .. " ends gives what was read, or ERROR_CLOSED, no other bytes", function()
            for _, first in ipairs { "closer", "reader" } do
                local a, b = socket.pair()
                local c, d = socket.pair()
                local sent = text(49999, 3):gsub("\n", "-") .. "\n"
                spawn(function()
                    c:read(1)
                    a:close()
                end)
                local reader = spawn(make, a)
                tasks.settle()
                for _, who in ipairs(first == "closer" and { "c", "r" } or { "r", "c" }) do
                    assert((who == "c" and d or b):write(who == "c" and "x" or sent))
                end
                local ok, data, err = reader:wait(5)
                assert.is_true(ok)
                if data then
                    assert.is_true(data == sent or data == sent:sub(1, -2))
                else
                    assert.equal(socket.ERROR_CLOSED, err)
                end
                close_all(a, b, c, d)
            end
        end)
    end

    for name, call in pairs {
        recv = function(u)
            return u:recv()
        end,
        recvfrom = function(u)
            return u:recvfrom()
        end,
        recvmany = function(u)
            local datas, _, err = u:recvmany(10, 9000)
            return datas and table.concat(datas), err
        end,
    } do
        it("in the turn in which " .. name .. " ends gives that datagram, or ERROR_CLOSED, no other bytes", function()
            for _, first in ipairs { "closer", "reader" } do
                local u, peer = socket.udp(), socket.udp()
                assert(u:bind("127.0.0.1", 0))
                assert(peer:connect(u:getsockname()))
                local c, d = socket.pair()
                local sent = text(8000, 5)
                spawn(function()
                    c:read(1)
                    u:close()
                end)
                local reader = spawn(call, u)
                tasks.settle()
                for _, who in ipairs(first == "closer" and { "c", "r" } or { "r", "c" }) do
                    if who == "c" then
                        assert(d:write "x")
                    else
                        assert(peer:send(sent))
                    end
                end
                local results = t.pack(reader:wait(5))
                assert.is_true(results[1])
                if results[2] then
                    assert.is_true(results[2] == sent)
                else
                    assert.equal(socket.ERROR_CLOSED, results[4] or results[3])
                end
                close_all(u, peer, c, d)
            end
        end)
    end

    it("in the turn in which accept has ended loses no connection and no descriptor", function()
        local listener, address = t.listener()
        local c, d = socket.pair()
        spawn(function()
            c:read(1)
            listener:close()
        end)
        local acceptor = spawn(listener.accept, listener)
        tasks.settle()
        assert(d:write "x")
        local client = socket.tcp()
        assert(client:connect(address))
        local ok, accepted, err = acceptor:wait(5)
        assert.is_true(ok)
        if accepted then
            accepted:close()
        else
            assert.equal(socket.ERROR_CLOSED, err)
        end
        close_all(client, listener, c, d)
    end)

    it("of a pair's other end gives the reader the end, in any order of reads and closes", function()
        for round = 1, 50 do
            local a, b = socket.pair()
            local got = spawn(function()
                local first = t.readsome(a, 100, 4)
                return first, a:readall()
            end)
            if round % 2 == 0 then
                tasks.settle()
            end
            assert(b:write "data")
            if round % 3 == 0 then
                tasks.settle()
            end
            b:close()
            assert.same({ true, "data", "" }, { got:wait(5) })
            a:close()
        end
    end)

    it("may be followed by another socket with the same descriptor", function()
        for _ = 1, 20 do
            local a, b = socket.pair()
            local reader = spawn(function()
                return a:read(1)
            end)
            tasks.settle()
            local fd = a:fileno()
            a:close()
            local c, d = socket.pair()
            assert.is_true(c:fileno() == fd or d:fileno() == fd)
            local new = spawn(function()
                return c:read(3)
            end)
            tasks.settle()
            assert.same({ true, nil, socket.ERROR_CLOSED, "" }, { reader:wait(5) })
            assert.equal("waiting", new:status())
            assert(d:write "new")
            assert.equal("new", join(new))
            close_all(b, c, d)
        end
    end)

    -- A call that was cancelled has ended, but its task has not gone on yet.
    local reads = {
        read = function(s)
            return s:read(100)
        end,
        readall = function(s)
            return s:readall()
        end,
        readuntil = function(s)
            return s:readuntil "\n"()
        end,
    }
    for name, call in pairs(reads) do
        it("leaves what has come to who was just cancelled in " .. name, function()
            local a, b = socket.pair()
            b:write "partial"
            local task = spawn(call, a)
            tasks.settle()
            task:cancel()
            a:close()
            t.fails(socket.ERROR_CLOSED, "partial", join(task))
            b:close()
        end)
    end

    it("leaves its bytes to a read of the main program", function()
        local a, b = socket.pair()
        b:write "ab"
        spawn(function()
            socket.sleep(0.002)
            a:close()
        end)
        t.fails(socket.ERROR_CLOSED, "ab", a:read(5))
        b:close()
    end)

    it("leaves what comes over the next connection to others", function()
        local listener, address = t.listener()
        local a, b = socket.pair()
        local task = spawn(a.read, a, 100)
        tasks.settle()
        task:cancel()
        a:close()
        assert(a:connect(address))
        local _, peer = t.joined(a, assert(listener:accept()))
        peer:write "for others"
        a:settimeout(5)
        assert.equal("for", a:read(3))
        t.fails(socket.ERROR_CLOSED, "", join(task))
        assert.equal(" others", a:read(7))
        close_all(a, b, peer, listener)
    end)
end)

describe("detach by another task", function()
    tasks.guard()

    it("wakes those who wait, and gives the descriptor away open", function()
        local a, b = socket.pair()
        local reader = spawn(function()
            return a:read(1)
        end)
        local writer = spawn(function()
            return a:write(t.much)
        end)
        tasks.settle()
        local fd = assert(a:detach())
        assert.same({ true, nil, socket.ERROR_CLOSED, "" }, { reader:wait(5) })
        assert.equal(socket.ERROR_CLOSED, select(3, writer:wait(5)))
        local again = assert(socket.fromfd(fd))
        local task = spawn(function()
            return again:read(2)
        end)
        tasks.settle()
        assert(b:write "go")
        assert.equal("go", join(task))
        close_all(again, b)
    end)

    it("is refused while bytes are pending, and nobody is woken", function()
        local a, b = socket.pair()
        local reader = spawn(function()
            return a:read(4)
        end)
        tasks.settle()
        assert(b:write "ab")
        tasks.settle()
        t.fails("Unread bytes are pending", nil, a:detach())
        assert(b:write "cd")
        assert.equal("abcd", join(reader))
        close_all(a, b)
    end)
end)

describe("shutdown by another task", function()
    tasks.guard()

    it("ends what reads there", function()
        local a, b = t.connected()
        local reader = spawn(function()
            return a:read(1)
        end)
        tasks.settle()
        assert(a:shutdown(socket.SHUT_RD))
        assert.same({ true, nil, socket.ERROR_CLOSED, "" }, { reader:wait(5) })
        close_all(a, b)
    end)

    it("ends what writes there", function()
        local a, b = t.connected()
        local writer = spawn(function()
            return a:write(t.much .. t.much)
        end)
        tasks.settle()
        assert(a:shutdown(socket.SHUT_WR))
        local ok, value, err = writer:wait(5)
        assert.same({ true, nil, socket.ERROR_CLOSED }, { ok, value, err })
        close_all(a, b)
    end)
end)

describe("select beside tasks", function()
    tasks.guard()

    it("sees the last of many become ready when the tasks are over", function()
        tasks.run(tostring, 1)
        local all = {}
        for i = 1, 40, 2 do
            all[i], all[i + 1] = socket.pair()
        end
        local s, p = t.with_python [[
            select.select([], [], [], 0.2)
            s.sendall(b"x")
            s.recv(1)
        ]]
        all[#all + 1] = s
        local reads = t.deadline(5, socket.select, all, nil, 20)
        assert.same({ s }, reads)
        assert.equal("x", s:read(1))
        close_all(unpack(all))
        p:finish()
    end)

    tasks.everywhere("finds what is ready among sockets and numbers", function()
        local a, b = socket.pair()
        local c, d = socket.pair()
        local near, far = sys.socketpair(sys.SOCK_STREAM)
        local waker = spawn(function()
            socket.sleep(0.003)
            assert(sys.send(far, "x", 5))
        end)
        local readers, writers = socket.select({ a, near, c:fileno() }, nil, 5)
        assert.same({ { near }, {} }, { readers, writers })
        join(waker)
        assert(d:write "y")
        readers, writers = socket.select({ a, near, c }, { b, d }, 5)
        assert.same({ 2, 2 }, { #readers, #writers })
        assert.is_true(readers[1] == near and readers[2] == c and writers[1] == b and writers[2] == d)
        sys.close(near)
        sys.close(far)
        close_all(a, b, c, d)
    end)

    tasks.everywhere("knows of bytes that are in the buffer already", function()
        local a, b = socket.pair()
        assert(b:write "one\ntwo")
        assert.equal("one", a:readuntil "\n"())
        local readers = t.takes(0, socket.select, { a, b }, nil, 5)
        assert.is_true(#readers == 1 and readers[1] == a)
        close_all(a, b)
    end)

    it("may be waited in by many, for the same descriptor, ours and foreign", function()
        local a, b = socket.pair()
        local near, far = sys.socketpair(sys.SOCK_STREAM)
        local all = {}
        for i = 1, 20 do
            all[i] = spawn(function()
                local list = i % 2 == 0 and { a } or { near }
                local readers, _, err = socket.select(list, nil, i == 20 and 0.005 or 10)
                return readers and #readers, err
            end)
        end
        tasks.settle()
        assert.same({ true, nil, socket.ERROR_TIMEOUT }, { all[20]:wait(5) })
        assert(b:write "x")
        for i = 2, 18, 2 do
            assert.equal(1, join(all[i]))
        end
        assert.equal("waiting", all[1]:status())
        assert(sys.send(far, "y", 5))
        for i = 1, 19, 2 do
            assert.equal(1, join(all[i]))
        end
        sys.close(near)
        sys.close(far)
        close_all(a, b)
    end)

    -- Only one of them gets the byte, and the others must wait on for the next.
    it("wakes all, and those who come too late wait again", function()
        local near, far = sys.socketpair(sys.SOCK_STREAM)
        sys.nonblock(near, true)
        local got = 0
        for _ = 1, 5 do
            spawn(function()
                repeat
                    assert(socket.select({ near }, nil, 10))
                    local data = sys.read(near, 1, 0)
                until data
                got = got + 1
            end)
        end
        tasks.settle()
        for i = 1, 5 do
            assert(sys.send(far, "x", 5))
            tasks.settle()
            assert.equal(i, got)
        end
        sys.close(near)
        sys.close(far)
    end)

    it("may be waited in while another task reads the same socket", function()
        local a, b = socket.pair()
        local reader = spawn(function()
            return a:read(2)
        end)
        local selector = spawn(function()
            return #socket.select({ a }, nil, 10)
        end)
        tasks.settle()
        assert(b:write "x")
        assert.equal(1, join(selector))
        assert(b:write "y")
        assert.equal("xy", join(reader))
        close_all(a, b)
    end)

    for how, what in pairs { close = "closed", detach = "given away" } do
        it("is told when a socket in it is " .. what, function()
            local a, b = socket.pair()
            local c, d = socket.pair()
            local selectors = {}
            for i = 1, 4 do
                selectors[i] = spawn(function()
                    return t.pack(socket.select(i % 2 == 0 and { c, a } or nil, i % 2 == 1 and { a } or nil, 10))
                end)
                if i % 2 == 1 then
                    a:settimeout(0)
                    a:write(t.much)
                end
            end
            tasks.settle()
            local fd = a[how](a)
            for i = 1, 4 do
                assert.same(t.pack(nil, nil, t.text "EBADF"), join(selectors[i]))
            end
            if how == "detach" then
                sys.close(fd)
            end
            close_all(a, b, c, d)
        end)
    end

    it("takes an end of stream and an error for readiness", function()
        local a, b = socket.pair()
        local selector = spawn(function()
            return #socket.select({ a }, nil, 10)
        end)
        tasks.settle()
        b:close()
        assert.equal(1, join(selector))
        assert.equal(1, #tasks.run(socket.select, { a }, nil, 10))
        a:close()
    end)

    tasks.everywhere("of a pipe sees its data and its end", function()
        local p = t.python [[
            time.sleep(0.01); say("x"); hear()
        ]]
        local readers = socket.select({ p.stdout }, nil, 10)
        assert.same({ p.stdout }, readers)
        assert.equal("x", p:line())
        assert.same({ nil, nil, socket.ERROR_TIMEOUT }, { socket.select({ p.stdout }, nil, 0.005) })
        p:say "end"
        assert.same({ p.stdout }, (socket.select({ p.stdout }, nil, 10)))
        p:finish()
    end)

    tasks.everywhere("of a regular file never waits", function()
        local path = t.tmpdir() .. "/file"
        local before = {}
        for _, fd in ipairs(sys.fds()) do
            before[fd] = true
        end
        local file = assert(io.open(path, "w"))
        for _, fd in ipairs(sys.fds()) do
            if not before[fd] then
                local readers, writers = t.takes(0, socket.select, { fd }, { fd }, 10)
                assert.same({ { fd }, { fd } }, { readers, writers })
            end
        end
        file:close()
    end)

    tasks.everywhere("of nothing is a sleep", function()
        t.takes(0.01, function()
            assert.same({ nil, nil, socket.ERROR_TIMEOUT }, { socket.select(nil, nil, 0.01) })
        end)
    end)

    it("of very many wakes for the one that is ready", function()
        local all, others = {}, {}
        for i = 1, 150 do
            all[i], others[i] = socket.pair()
        end
        local selector = spawn(function()
            local readers = socket.select(all, nil, 10)
            return #readers, readers[1]
        end)
        tasks.settle()
        assert(others[77]:write "x")
        local n, which = join(selector)
        assert.is_true(n == 1 and which == all[77])
        close_all(tools.unpack(all))
        close_all(tools.unpack(others))
    end)
end)

describe("the end of a stream", function()
    tasks.guard()

    -- Bytes and end come in one report of the poller, or in two; on each kind of socket; read in each way.
    local readers = {
        readall = function(s)
            return (s:readall())
        end,
        readsome = function(s)
            local pieces = {}
            repeat
                local piece, err = s:readsome(1000)
                pieces[#pieces + 1] = piece
            until err
            return table.concat(pieces)
        end,
        read = function(s)
            local _, err, partial = s:read(1000000)
            assert.equal(socket.ERROR_CLOSED, err)
            return partial
        end,
        readuntil = function(s)
            local lines, iterator = {}, s:readuntil("\n", true)
            local line, _, partial = iterator()
            while line do
                lines[#lines + 1] = line
                line, _, partial = iterator()
            end
            return table.concat(lines) .. partial
        end,
    }
    local ways = { "close", "shutdown" }
    for _, kind in ipairs { "inet", "unix", "pair" } do
        for name, read in pairs(readers) do
            it(("is seen by %s on %s, with the bytes or after them"):format(name, kind), function()
                for round = 1, 36 do
                    local a, b
                    if kind == "pair" then
                        a, b = socket.pair()
                    else
                        a, b = t.connected(kind)
                    end
                    local data = text(({ 0, 10, 65536, 120000 })[round % 4 + 1], round)
                    local reader = spawn(read, a)
                    if round % 3 > 0 then
                        tasks.settle()
                    end
                    assert.equal(#data, round % 9 < 5 and b:write(data) or tasks.run(b.write, b, data))
                    if round % 3 > 1 then
                        tasks.settle()
                    end
                    if ways[round % 2 + 1] == "close" then
                        b:close()
                    else
                        assert(b:shutdown(socket.SHUT_WR))
                    end
                    assert.is_true(join(reader, 5) == data)
                    close_all(a, b)
                end
            end)
        end
    end

    it("is seen after the exact bytes that were asked for, whenever it comes", function()
        for round = 1, 20 do
            local a, b = t.connected(round % 2 == 0 and "inet" or "unix")
            local reader = spawn(function()
                local first = a:read(5)
                local _, err = a:read(1)
                return first, err
            end)
            if round % 3 == 0 then
                tasks.settle()
            end
            assert(b:write "12345")
            if round % 5 == 0 then
                tasks.settle()
            end
            b:close()
            assert.same({ true, "12345", socket.ERROR_CLOSED }, { reader:wait(5) })
            a:close()
        end
    end)

    it("of one direction leaves the other open", function()
        local p = t.python [[
            s = accept(); data = drain(s); s.sendall(data.upper() * 1000); s.close()
        ]]
        local s = socket.tcp()
        local task = spawn(function(port)
            assert(s:connect("127.0.0.1", port))
            assert(s:write "question")
            assert(s:shutdown(socket.SHUT_WR))
            return s:readall()
        end, p:number())
        assert.is_true(join(task) == ("QUESTION"):rep(1000))
        p:finish()
        s:close()
    end)

    it("by a reset is ERROR_RESET for reader and writer, and what came before is kept", function()
        local s, p = t.with_python "s.sendall(b'last words'); hear(); reset(s)"
        local reader = spawn(function()
            return s:read(1000)
        end)
        local writer = spawn(function()
            return s:write(t.much .. t.much)
        end)
        s:settimeout(-1)
        while s:pending() < 10 do
            socket.sleep(0.001)
        end
        p:say "go"
        local ok, value, err, partial = reader:wait(10)
        assert.same({ true, nil, socket.ERROR_RESET, "last words" }, { ok, value, err, partial })
        ok, value, err = writer:wait(10)
        assert.is_true(ok and value == nil)
        assert.is_true(err == socket.ERROR_RESET or err == socket.ERROR_CLOSED, err)
        p:finish()
        s:close()
    end)

    -- The number of the descriptor is the next one's who opens one, and the attempt was under way as it was closed.
    for _, how in ipairs { "is closed", "is cancelled and closed", "is lost and closed" } do
        it("by a connect that " .. how .. " is not that of the one who gets the number next", function()
            local full = socket.tcp()
            assert(full:bind("127.0.0.1", 0))
            assert(full:listen(0))
            local first, listener, far = socket.tcp(), t.listener "inet", socket.tcp()
            assert(first:connect(full:getsockname()))
            assert(far:connect(listener:getsockname()))
            local s, co = socket.tcp(), nil
            assert(s:bind("127.0.0.1", 0))
            local fd = s:fileno()
            local task = spawn(function()
                co = coroutine.running()
                return s:connect(full:getsockname())
            end)
            tasks.settle()
            assert.equal("waiting", task:status())
            if how == "is cancelled and closed" then
                task:cancel()
            elseif how == "is lost and closed" then
                pcall(coroutine.close or coroutine.resume, co)
            end
            s:close()
            local near = assert(listener:accept())
            assert.equal(fd, near:fileno())
            pcall(join, task)
            task, co = nil, nil -- luacheck: ignore
            t.collect()
            assert(near:write "here")
            assert.equal("here", far:read(4))
            assert.truthy(near:getpeername())
            close_all(full, first, listener, far, near)
        end)
    end

    -- A listener whose queue is full, who is in it, a socket whose connect waits, the task where it does. The socket is
    -- bound: others have no descriptor until they are connected.
    local function connecting()
        local full, first, s = socket.tcp(), socket.tcp(), socket.tcp()
        assert(full:bind("127.0.0.1", 0))
        assert(full:listen(0))
        local address = full:getsockname()
        assert(first:connect(address))
        assert(s:bind("127.0.0.1", 0))
        local task = spawn(s.connect, s, address)
        tasks.settle()
        assert.equal("waiting", task:status())
        return full, first, s, task
    end

    for how, option in pairs { name = { socket.OPT_ERROR }, number = { t.sys.SOL_SOCKET, t.sys.SO_ERROR } } do
        it("by a connect that is refused while under way is told though getopt has taken it by " .. how, function()
            local full, first, s, task = connecting()
            close_all(full, first)
            local deadline, taken = socket.now() + 10, 0
            while taken == 0 and socket.now() < deadline do -- no task has its turn meanwhile
                taken = s:getopt(unpack(option))
            end
            assert.equal(t.sys.ECONNREFUSED, taken)
            assert.same({ true, nil, socket.ERROR_REFUSED }, { task:wait(10) })
            local listener, other = t.listener "inet"
            assert.same({ true, true }, { spawn(s.connect, s, other):wait(10) }) -- it is told once
            local peer = assert(listener:accept())
            assert(peer:write "x" and peer:close())
            assert.same({ true, "x" }, { spawn(s.readall, s):wait(10) }) -- and not to readers of the next connection
            close_all(s, listener)
        end)
    end

    it("is not seen by a connect under way in what getopt tells of other options", function()
        local full, first, s, task = connecting()
        assert.is_true(s:getopt(socket.OPT_RCVBUF) > 0)
        assert.is_true(s:getopt(t.sys.SOL_SOCKET, t.sys.SO_SNDBUF) > 0)
        local accepted = assert(full:accept()) -- there is room now, of which the system hears when it tries again
        assert.same({ true, true }, { task:wait(10) })
        close_all(full, first, s, accepted)
    end)

    tasks.everywhere("by a reset leaves a socket that can't be connected again before it is closed", function()
        local listener, address = t.listener "inet"
        local s = socket.tcp()
        assert(s:bind("127.0.0.1", 0))
        assert(s:connect(address))
        local _, peer = t.joined(s, assert(listener:accept()))
        assert(peer:write "the old stream")
        assert.equal("the ", s:read(4))
        assert(peer:setopt(socket.OPT_LINGER, 0))
        peer:close()
        repeat
            local sent, err = s:write "x"
        until not sent and err ~= socket.ERROR_TIMEOUT
        for _ = 1, 2 do
            t.fails(t.text "EISCONN", nil, s:connect(address))
        end
        close_all(s, listener)
    end)

    tasks.everywhere("by a refusal leaves a socket that is bound fit to listen", function()
        local s, other, address = socket.tcp(), t.listener "inet"
        assert(s:bind("127.0.0.1", 0))
        other:close()
        assert.same({ nil, socket.ERROR_REFUSED }, { s:connect(address) })
        assert.same({ nil, socket.ERROR_REFUSED }, { s:connect(address) })
        assert.is_true(s:listen())
        s:close()
    end)

    it("by a refusal ends connect and a datagram's recv", function()
        local listener, address = t.listener()
        listener:close()
        local s, u = socket.tcp(), socket.udp()
        assert.same({ true, nil, socket.ERROR_REFUSED }, { spawn(s.connect, s, address):wait(5) })
        assert(u:connect(address))
        local reader = spawn(function()
            return u:recv()
        end)
        tasks.settle()
        assert(u:send "x")
        assert.same({ true, nil, socket.ERROR_REFUSED }, { reader:wait(5) })
        u:close()
    end)
end)

describe("many connections at once", function()
    tasks.guard()

    local ECHO = [[
        import threading
        def serve(s):
            while True:
                piece = s.recv(65536)
                if not piece: break
                s.sendall(piece)
            s.close()
        l = listen(400)
        for i in range(int(argv[0])):
            s = l.accept()[0]
            threading.Thread(target=serve, args=(s,), daemon=False).start()
    ]]

    -- Each writes and reads at the same time, more than the buffers between hold.
    local function exchange(port, data)
        local s = socket.tcp()
        assert(s:connect("127.0.0.1", port))
        local writer = spawn(function()
            local sent = assert(s:write(data))
            assert(s:shutdown(socket.SHUT_WR))
            return sent
        end)
        local got = assert(s:readall())
        assert(got == data, "other bytes came back")
        s:close()
        return join(writer, 20)
    end

    it("exchange what they are given, byte for byte, both ways at once", function()
        local n = 200
        local p = t.python(ECHO, n)
        local port = p:number()
        local all, sizes = {}, {}
        for i = 1, n do
            sizes[i] = i % 50 == 0 and 3000000 or i % 10 == 0 and 200000 + i or 1 + i * 37 % 5000
            all[i] = spawn(function()
                return exchange(port, text(sizes[i], i))
            end)
        end
        for i = 1, n do
            assert.equal(sizes[i], join(all[i], 20))
        end
        p:finish()
    end)

    it("are served by a task each, with a hash of what came", function()
        local n = 200
        local listener, address = t.listener("inet")
        assert(listener:listen(400))
        spawn(function()
            for _ = 1, n do
                local s = assert(listener:accept())
                spawn(function()
                    local header = assert(s:readuntil "\n"())
                    local data = assert(s:read(tonumber(header)))
                    assert(s:write(("%d\n"):format(sys.crc32(data))))
                    assert(s:readall() == "")
                    s:close()
                end)
            end
        end)
        local p = t.python(
            [[
            n = int(argv[1])
            all = [connect(argv[0]) for i in range(n)]
            data = [os.urandom(1 + i * i * 7 % 100000) for i in range(n)]
            for s, d in zip(all, data): s.sendall(b"%d\n" % len(d) + d[:len(d) // 2])
            for s, d in zip(all, data): s.sendall(d[len(d) // 2:])
            ok = [int(s.makefile().readline()) == digest(d) for s, d in zip(all, data)]
            for s in all: s.close()
            say(sum(ok))
            ]],
            address[2],
            n
        )
        spawn(function() -- the peer's answer is waited for beside the tasks
            assert(socket.select({ p.stdout }, nil, 20))
        end)
        socket.run()
        assert.equal(n, p:number())
        p:finish()
        listener:close()
    end)
end)

describe("the main program beside tasks", function()
    tasks.guard()

    it("finds a line of which a task has read the beginning when it was the main program's turn", function()
        local a, b = socket.pair()
        b:settimeout(5)
        local next_line = b:readuntil "\n"
        assert(a:write "xabcdef" and b:read(1) == "x") -- the rest has come, and is no line
        for _ = 1, 100 do -- the next call lets others run first
            assert(a:write "")
        end
        local task = spawn(function()
            local data = b:read(6)
            assert(a:write "\n")
            return data
        end)
        assert.equal("", next_line())
        assert.same({ true, "abcdef" }, { task:wait(5) })
        close_all(a, b)
    end)

    it("talks with a task over every kind of stream", function()
        for _, kind in ipairs(t.kinds) do
            local listener, address = t.listener(kind)
            spawn(function()
                local s = t.accepted(assert(listener:accept()))
                local lines = s:readuntil "\n"
                local line = lines()
                while line do
                    assert(s:write { line:upper(), "\n" })
                    line = lines()
                end
                s:close()
            end)
            local s = socket.tcp()
            assert(s:connect(address))
            t.dialed(s)
            local lines = s:readuntil "\n"
            for i = 1, 100 do
                assert(s:write("line " .. i .. "\n"))
                assert.equal("LINE " .. i, lines())
            end
            assert(s:shutdown(socket.SHUT_WR))
            assert.equal("", s:readall())
            socket.run()
            close_all(s, listener)
        end
    end)

    it("talks with a task over datagrams, one by one and in batches", function()
        local u, echo = socket.udp(), socket.udp()
        assert(u:bind("127.0.0.1", 0))
        assert(echo:bind("127.0.0.1", 0))
        assert(u:connect(echo:getsockname()))
        local task = spawn(function()
            local n = 0
            while n < 220 do
                local datas, addresses = assert(echo:recvmany(16, 100))
                n = n + #datas
                for i, data in ipairs(datas) do
                    assert(echo:sendto(data:upper(), addresses[i]))
                end
            end
            return n
        end)
        for i = 1, 100 do
            assert(u:send("x" .. i))
            assert.equal("X" .. i, u:recv())
        end
        for _ = 1, 10 do
            assert.equal(12, u:sendmany { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l" })
            local got = {}
            while #got < 12 do
                for _, data in ipairs(assert((u:recvmany(20, 10)))) do
                    got[#got + 1] = data
                end
            end
            assert.equal("ABCDEFGHIJKL", table.concat(got))
        end
        assert.equal(220, join(task))
        close_all(u, echo)
    end)

    it("is told of data that came while it did something else", function()
        local a, b = socket.pair()
        local c, d = socket.pair()
        spawn(function()
            c:read(1)
        end)
        for i = 1, 50 do
            tasks.settle()
            assert(b:write(i .. ";"))
            if i % 2 == 0 then
                tasks.settle()
            end
            assert.equal(tostring(i), (a:readuntil ";"()))
        end
        d:close()
        close_all(a, b, c)
    end)
end)

describe("nobody starves", function()
    tasks.guard()

    -- More than one wait of the poller tells of, while somebody keeps the thread until all deadlines are over.
    it("and what has come before a deadline is not told that it is over, however much has", function()
        local soft, hard = sys.nofile()
        local want = t.fds() + 2 * 600 + 50
        if want > soft and (want > hard or not sys.nofile(want)) then
            return pending("not permitted: descriptors are limited to " .. hard)
        end
        local readers, others = {}, {}
        for i = 1, 600 do
            local a, b = socket.pair()
            a:settimeout(0.5 * t.slow)
            others[i] = { a, b }
            readers[i] = tasks.spawn(a.read, a, 1)
        end
        tasks.settle()
        for i = 1, #others do
            assert(sys.send(others[i][2]:fileno(), "x", 5))
        end
        local began = t.now()
        repeat
            local waited = t.now() - began
        until waited > 0.55 * t.slow
        for i, reader in ipairs(readers) do
            assert.equal("x", (tasks.join(reader)))
            others[i][1]:close()
            others[i][2]:close()
        end
        sys.nofile(soft)
    end)

    local function flood_by_reading(stopped, a, b)
        if not a then
            a, b = socket.pair()
        end
        local chunk = ("x"):rep(8192)
        while not stopped() do
            assert(b:write(chunk))
            assert(a:read(#chunk))
        end
        close_all(a, b)
    end

    local floods = {
        ["read and write"] = flood_by_reading,
        ["send and recv"] = function(stopped)
            local u = socket.udp()
            assert(u:bind("127.0.0.1", 0))
            assert(u:connect(u:getsockname()))
            while not stopped() do
                assert(u:send "x")
                assert(u:recv())
            end
            u:close()
        end,
        ["readuntil"] = function(stopped)
            local a, b = socket.pair()
            local lines = a:readuntil "\n"
            while not stopped() do
                assert(b:write(("line\n"):rep(100)))
                for _ = 1, 100 do
                    assert(lines())
                end
            end
            close_all(a, b)
        end,
        ["read with no time"] = function(stopped)
            local a, b = socket.pair()
            a:settimeout(0)
            while not stopped() do
                a:read(1)
            end
            close_all(a, b)
        end,
        select = function(stopped)
            local a, b = socket.pair()
            while not stopped() do
                assert(socket.select(nil, { a }, 1))
            end
            close_all(a, b)
        end,
        accept = function(stopped)
            local listener = t.listener()
            listener:settimeout(0)
            while not stopped() do
                listener:accept()
            end
            listener:close()
        end,
        ["channel:put and get"] = function(stopped)
            local channel = socket.channel(4)
            while not stopped() do
                assert(channel:put(1))
                assert(channel:get())
            end
        end,
        ["channel:get with no time"] = function(stopped)
            local channel = socket.channel(4)
            while not stopped() do
                channel:get(0)
            end
        end,
        ["task:wait"] = function(stopped)
            local done = spawn(socket.now)
            while not stopped() do
                done:wait()
            end
        end,
        ["task:wait with no time"] = function(stopped)
            local other = spawn(socket.sleep, 100)
            while not stopped() do
                other:wait(0)
            end
            other:cancel()
        end,
        sleep = function(stopped)
            while not stopped() do
                socket.sleep(0)
            end
        end,
        ["coroutine.yield"] = function(stopped)
            while not stopped() do
                coroutine.yield()
            end
        end,
    }

    -- Ends by itself when the others do not get their turn.
    local function stopper(limit)
        local n = 0
        local self = { stop = false }
        function self.stopped()
            n = n + 1
            return self.stop or n > limit
        end
        function self.count()
            return n
        end
        return self
    end

    for name, flood in pairs(floods) do
        it("beside a task whose call never has to wait: " .. name, function()
            local stop = stopper(200000)
            local task = spawn(flood, stop.stopped)
            local ticks = tasks.ticker()
            local limit = t.now() + 3 * t.slow
            while ticks.n < 5 and t.now() < limit do
                socket.sleep(0.001)
            end
            stop.stop = true
            join(task)
            assert.is_true(ticks.n >= 5, ticks.n)
            assert.is_true(ticks.longest < 1 * t.slow)
            assert.is_true(stop.count() < 200000)
        end)

        if name ~= "coroutine.yield" then
            it("beside the main program whose call never has to wait: " .. name, function()
                local ticks, stop = tasks.ticker(), stopper(200000)
                local limit = t.now() + 3 * t.slow
                flood(function()
                    return stop.stopped() or ticks.n >= 5 or t.now() > limit
                end)
                assert.is_true(ticks.n >= 5, ticks.n)
            end)
        end
    end

    it("among many floods at once", function()
        local turns, stop, pairs_of = {}, false, {}
        for i = 1, 10 do
            pairs_of[i] = { socket.pair() } -- before, since a handshake takes turns as well
        end
        for i = 1, 10 do
            turns[i] = 0
            spawn(flood_by_reading, function()
                turns[i] = turns[i] + 1
                return stop
            end, pairs_of[i][1], pairs_of[i][2])
        end
        local limit = t.now() + 5 * t.slow
        repeat
            socket.sleep(0.001)
        until turns[1] >= 100 or t.now() > limit
        stop = true
        socket.run()
        local least, most = math.huge, 0
        for i = 1, 10 do
            least, most = math.min(least, turns[i]), math.max(most, turns[i])
        end
        assert.is_true(least >= 10 and most - least <= 64, least .. " to " .. most)
    end)

    it("beside one call that moves very much", function()
        local a, b = socket.pair()
        local size = 100000000
        local data = ("x"):rep(size)
        local sum, seen, most, turns = 0, 0, 0, 0
        spawn(function()
            while socket.sleep(0) and sum < size do
                turns, most, seen = turns + 1, math.max(most, sum - seen), sum
            end
        end)
        local writer = spawn(function()
            return a:write(data)
        end)
        while sum < size do
            sum = sum + #assert(b:read(math.min(size - sum, 1000000)))
        end
        assert.equal(size, join(writer))
        assert.is_true(most <= 2 ^ 25, ("%d bytes in a turn, of %d"):format(most, turns)) -- whatever the clock says
        close_all(a, b)
    end)
end)

describe("accept in a task when descriptors run out", function()
    tasks.guard()

    -- Valgrind keeps the limit itself, after it has accepted, and closes the connection.
    local it = t.slow < 10 and it or pending

    it("returns the system's error, spins nowhere, and goes on after a sleep", function()
        local listener, address = t.listener()
        local first, second = socket.tcp(), socket.tcp()
        assert(first:connect(address))
        local soft = sys.nofile()
        local errors = {}
        local ticks = tasks.ticker()
        local task = spawn(function()
            local accepted, err = listener:accept()
            while not accepted do
                errors[#errors + 1] = err
                socket.sleep(0.005)
                accepted, err = listener:accept()
            end
            return accepted
        end)
        local spare = sys.dup(0)
        sys.close(spare)
        sys.nofile(spare)
        local before = ticks.n
        local limit = t.now() + 10
        repeat
            socket.sleep(0.005)
        until #errors >= 3 and ticks.n >= before + 3 or t.now() > limit
        sys.nofile(soft)
        local _, accepted = t.joined(first, join(task))
        assert.is_true(#errors <= ticks.n, #errors .. " errors in " .. ticks.n .. " ticks") -- a sleep after each
        assert.equal(t.text "EMFILE", errors[1])
        assert(accepted:write "x")
        assert(second:connect(address))
        assert(listener:accept()):close()
        close_all(accepted, first, second, listener)
    end)

    it("ends a waiting accept with the error when the peer comes then", function()
        local listener, address = t.listener()
        local client = socket.tcp()
        assert(client:bind("127.0.0.1", 0)) -- has its descriptor
        local task = spawn(listener.accept, listener)
        tasks.settle()
        local soft = sys.nofile()
        local spare = sys.dup(0)
        sys.close(spare)
        sys.nofile(spare)
        local connected, err = client:connect(address)
        local results = t.pack(task:wait(5))
        sys.nofile(soft)
        assert.is_true(connected, err)
        assert.is_true(results[1])
        if not results[2] then
            assert.equal(t.text "EMFILE", results[3])
            listener:settimeout(10)
            results[2] = assert(listener:accept())
        end
        close_all(results[2], client, listener)
    end)
end)

-- What was prepared for one stream is not for another.
describe("a call of the main program that first gives others their turn", function()
    tasks.guard()

    -- The 65th call in a row that does not wait lets the task run.
    local function call_until_turn(first, has_run)
        local results
        for i = 1, 100 do
            results = t.pack(first(i))
            if has_run() then
                return results
            end
        end
        error "no turn was given"
    end

    for name, case in pairs {
        read = { { nil, socket.ERROR_CLOSED, "", n = 3 }, function(a) return a:read(1) end },
        readsome = { { nil, socket.ERROR_CLOSED, n = 2 }, function(a) return a:readsome(1) end },
        write = { { nil, socket.ERROR_CLOSED, 0, n = 3 }, function(a) return a:write { "s" } end },
    } do
        it("is told when they have closed its socket and opened it again: " .. name, function()
            local listener, addr = t.listener()
            local a, b = socket.pair()
            local other
            assert(b:write(("x"):rep(100)))
            socket.sleep(0)
            local task = spawn(function()
                a:close()
                assert(a:connect(addr))
                other = assert(listener:accept())
                assert(other:write "another stream")
            end)
            a:settimeout(0)
            assert.same(case[1], call_until_turn(function()
                return case[2](a)
            end, function()
                return other ~= nil
            end))
            join(task)
            a:settimeout(5)
            assert.equal("another stream", a:read(14))
            a:close()
            assert.equal("", other:readall())
            close_all(b, other, listener)
        end)
    end

    it("does not connect a socket that they have connected", function()
        local listener, s, u = socket.tcp(), socket.tcp(), socket.udp()
        local addr = t.abstract()
        assert(listener:bind(addr) and listener:listen())
        assert(u:bind("127.0.0.1", 0))
        local me = u:getsockname()
        local first, before = spawn(t.now), #sys.fds()
        call_until_turn(function()
            return u:sendto("q", me)
        end, function()
            return first:status() == "done"
        end)
        local task = spawn(s.connect, s, addr)
        for _ = 1, 64 do
            assert(u:sendto("q", me))
        end
        assert.equal("ready", task:status())
        t.fails(socket.ERROR_CLOSED, nil, s:connect(addr))
        assert.is_true(join(task))
        assert.equal(before + 1, #sys.fds())
        close_all(s, u, listener)
    end)
end)
