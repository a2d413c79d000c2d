-- select over tasks and channels, beside sockets: what counts as ready, what wakes it, and what it leaves behind.

local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"

local socket = t.socket
local spawn, settle, join = tasks.spawn, tasks.settle, tasks.join
local NOTHING = { nil, nil, socket.ERROR_TIMEOUT, n = 3 }

local function now(reads, writes)
    return t.pack(socket.select(reads, writes, 0))
end

local function soon(reads, writes)
    return t.pack(socket.select(reads, writes, 10 * t.slow))
end

local function assert_list(expected, got)
    assert.equal(#expected, #got)
    for i, v in ipairs(expected) do
        assert.is_true(rawequal(v, got[i]), "element " .. i)
    end
end

local function assert_ready(reads, writes, results)
    assert.is_nil(results[3])
    assert_list(reads, results[1])
    assert_list(writes, results[2])
end

-- A select in a task of its own that waits by now.
local function begin(reads, writes, seconds)
    local task = spawn(socket.select, reads, writes, seconds or 10 * t.slow)
    settle()
    return task
end

describe("select of tasks", function()
    tasks.guard()

    tasks.everywhere("gives those that have ended, in either list, however they did", function()
        local slow = spawn(socket.sleep, 1000)
        local done, failed, cancelled = spawn(tostring, 1), spawn(error, "own", 0), spawn(socket.sleep, 1000)
        cancelled:cancel()
        socket.sleep(0.001)
        assert_ready({ done, failed, done }, { cancelled }, soon({ done, slow, failed, done }, { slow, cancelled }))
        assert_ready({}, { done }, now(nil, { done, slow }))
        assert.same(NOTHING, now({ slow }, { slow }))
        slow:cancel()
        cancelled:wait(5)
        local _, err = failed:wait(5)
        assert.equal("own", err)
    end)

    tasks.everywhere("waits for the first of several", function()
        local gates = { socket.channel(), socket.channel(), socket.channel() }
        local all = {}
        for i, gate in ipairs(gates) do
            all[i] = spawn(gate.get, gate)
        end
        for _, i in ipairs { 2, 3, 1 } do
            spawn(gates[i].put, gates[i], i)
            assert_ready({ all[i] }, {}, soon(all))
            assert.equal(i, join(all[i]))
            all[i] = spawn(socket.sleep, 1000)
        end
        for _, task in ipairs(all) do
            task:cancel()
        end
    end)

    tasks.everywhere("takes nothing of a task's error", function()
        local heard
        socket.onerror = function(_, message)
            heard = message
        end
        do
            local failed = socket.spawn(error, "nobody waits")
            assert_ready({ failed }, {}, soon { failed })
        end
        t.collect()
        t.collect()
        socket.sleep(0.001)
        assert.is_truthy(heard and heard:find("nobody waits", 1, true))
    end)

    it("wakes several selects and waits alike", function()
        local gate = socket.channel()
        local task = spawn(gate.get, gate)
        local waits = { begin({ task }), begin(nil, { task, task }), spawn(task.wait, task), begin({ task }) }
        assert(gate:put "over")
        for i, wait in ipairs(waits) do
            local reads, writes = join(wait)
            if i == 3 then
                assert.same({ true, "over" }, { reads, writes })
            else
                assert_ready(i == 2 and {} or { task }, i == 2 and { task, task } or {}, { reads, writes })
            end
        end
    end)

    it("is misuse of a task's own task", function()
        local task
        task = spawn(function()
            tools.misuse(tools.field, socket, "select", 2, { {}, { task } }, "1")
        end)
        join(task)
    end)
end)

describe("select of channels", function()
    tasks.guard()

    tasks.everywhere("tells that get would not wait: for a value, a waiting put, a closed channel", function()
        local kept, direct, closed = socket.channel(2), socket.channel(), socket.channel()
        assert.same(NOTHING, now({ kept, direct, closed }))
        assert(kept:put "a")
        local putter = spawn(direct.put, direct, "b")
        closed:close()
        socket.sleep(0)
        assert_ready({ closed, kept, direct }, {}, soon({ closed, kept, direct }))
        assert.equal("a", kept:get(0))
        assert.equal("b", direct:get(0))
        join(putter)
        assert_ready({ closed }, { closed }, soon({ kept, direct, closed }, { direct, closed }))
    end)

    tasks.everywhere("tells that put would not wait: for room, a waiting get, a closed channel", function()
        local kept, direct, closed = socket.channel(1), socket.channel(), socket.channel()
        local getter = spawn(direct.get, direct)
        closed:close()
        socket.sleep(0)
        assert_ready({}, { kept, direct, closed }, now(nil, { kept, direct, closed }))
        assert(kept:put(1, 0) and direct:put(2, 0))
        assert.equal(2, join(getter))
        assert_ready({}, { closed }, now(nil, { kept, direct, closed }))
    end)

    -- Each event, with what makes it, wakes exactly the select that waits for it.
    local events = {
        { "a put into its room", "reads", 1, function(ch) return ch.put, ch, "v" end },
        { "a put that waits", "reads", 0, function(ch) return ch.put, ch, "v" end },
        { "a get that waits", "writes", 0, function(ch) return ch.get, ch end },
        { "a get that makes room", "writes", 1, function(ch) return ch.get, ch end, "full" },
        { "a close", "reads", 0, function(ch) return ch.close, ch end },
        { "a close", "writes", 1, function(ch) return ch.close, ch end, "full" },
    }
    for _, event in ipairs(events) do
        local name, list, capacity, action, full = event[1], event[2], event[3], event[4], event[5]
        tasks.everywhere("is woken by " .. name .. ": " .. list, function()
            local ch = socket.channel(capacity)
            if full then
                assert(ch:put("v", 0))
            end
            local reads, writes = list == "reads" and { ch } or {}, list == "writes" and { ch } or {}
            assert.same(NOTHING, now(reads, writes))
            local late = spawn(function()
                socket.sleep(0.002)
                local f, on, value = action(ch)
                return f(on, value)
            end)
            assert_ready(reads, writes, soon(reads, writes))
            late:cancel()
        end)
    end

    it("is woken when the call to which a value was promised never takes it", function()
        local ch, co = socket.channel(), nil
        local getter = spawn(function()
            co = coroutine.running()
            ch:get()
        end)
        settle()
        local chosen = begin { ch }
        assert(ch:put "promised")
        coroutine.resume(co) -- the task's call is lost
        assert_ready({ ch }, {}, t.pack(join(chosen)))
        assert.equal("promised", ch:get(0))
        assert.is_nil((getter:wait(5)))
    end)

    tasks.everywhere("goes on waiting when somebody else has taken the value first", function()
        local ch = socket.channel(1)
        local taken = 0
        local chosen = begin { ch }
        local rival = spawn(function()
            for _ = 1, 20 do
                socket.select({ ch }, nil, 10)
                taken = taken + (ch:get(0) and 1 or 0)
            end
        end)
        for i = 1, 3 do
            assert(ch:put(i))
            assert(ch:get(0)) -- before any of them runs
            settle()
            assert.equal("waiting", chosen:status())
        end
        assert.equal(0, taken)
        assert(ch:put "last")
        assert_ready({ ch }, {}, t.pack(join(chosen)))
        rival:cancel()
    end)

    it("says in the main program what is ready when it returns", function()
        local ch, taken = socket.channel(1), 0
        local rival = spawn(function()
            while socket.select({ ch }) and taken < 5 do
                taken = taken + (ch:get(0) and 1 or 0)
            end
        end)
        settle()
        local giver = spawn(function()
            for i = 1, 20 do
                socket.sleep(0.001)
                ch:put(i)
            end
        end)
        while taken < 5 do
            local reads, _, err = socket.select({ ch }, nil, 0.5)
            if reads then
                assert(ch:get(0))
            end
            assert(reads or err == socket.ERROR_TIMEOUT)
        end
        rival:cancel()
        giver:cancel()
        ch:close()
    end)

    it("leaves values to calls that wait for them, which are first", function()
        local ch = socket.channel()
        local chosen, got = begin { ch }, spawn(ch.get, ch)
        settle()
        assert(ch:put "for get")
        assert.equal("for get", join(got))
        assert.equal("waiting", chosen:status())
        spawn(ch.put, ch, "for select")
        assert_ready({ ch }, {}, t.pack(join(chosen)))
        assert.equal("for select", ch:get(0))
    end)

    it("serves selects that come again in turn", function()
        local ch, served = socket.channel(1), {}
        for i = 1, 4 do
            spawn(function()
                while socket.select({ ch }, nil, 10 * t.slow) do
                    if ch:get(0) then
                        served[#served + 1] = i
                    end
                end
            end)
        end
        settle()
        for i = 1, 12 do
            assert(ch:put(i))
            settle()
        end
        for i = 1, 12 do
            assert.equal((i - 1) % 4 + 1, served[i])
        end
    end)
end)

describe("select of all kinds at once", function()
    tasks.guard()

    tasks.everywhere("gives sockets, numbers, tasks and channels that are ready in the order passed", function()
        local a, b = socket.pair()
        local ch, done, slow = socket.channel(1), spawn(tostring, 1), spawn(socket.sleep, 1000)
        local fd = b:fileno()
        socket.sleep(0)
        assert_ready({ done }, { ch, a }, now({ ch, b, slow, done, fd }, { ch, slow, a }))
        assert(a:write "x" and ch:put(1))
        assert_ready({ fd, done, ch, b, ch }, { a }, soon({ fd, done, ch, slow, b, ch }, { ch, a }))
        assert(b:read(1) and ch:get(0))
        assert.same(NOTHING, t.pack(t.takes(0.02, socket.select, { ch, b, slow, fd }, { slow }, 0.02)))
        slow:cancel()
        a:close()
        b:close()
    end)

    tasks.everywhere("is woken by each of them", function()
        local a, b = socket.pair()
        local ch, gate = socket.channel(), socket.channel()
        local task = spawn(gate.get, gate)
        local list = { ch, b, task }
        for _, wake in ipairs {
            { 2, function() return a:write "x" and function() return b:read(1) end end },
            { 1, function() spawn(ch.put, ch, 1) return function() return ch:get(1) end end },
            { 2, function() return a:write "y" and function() return b:read(1) end end },
            { 3, function() return gate:put(true) and join end },
        } do
            local took
            local waker = spawn(function()
                socket.sleep(0.001)
                took = wake[2]()
            end)
            assert_ready({ list[wake[1]] }, {}, soon(list))
            join(waker)
            assert(took(task))
        end
        a:close()
        b:close()
    end)

    it("fails when a socket among them is closed, and says so of a closed one", function()
        local a, b = socket.pair()
        local ch = socket.channel()
        local chosen = begin { ch, b }
        b:close()
        assert.same({ nil, nil, t.text "EBADF", n = 3 }, t.pack(join(chosen)))
        assert.same({ nil, nil, t.text "EBADF", n = 3 }, now({ ch, b }))
        ch:close()
        assert.same({ nil, nil, t.text "EBADF", n = 3 }, now({ ch }, { b }))
        assert_ready({ ch }, {}, now { ch })
        a:close()
    end)

    it("takes a thousand channels, of which it hears without delay", function()
        local list, waits = {}, {}
        for i = 1, 1000 do
            list[i] = socket.channel(1)
        end
        for i = 1, 20 do
            waits[i] = begin(list)
        end
        assert(list[777]:put "x")
        for i = 1, 20 do
            assert_ready({ list[777] }, {}, t.pack(join(waits[i])))
        end
        assert_ready({ list[777] }, {}, soon(list))
    end)

    it("is a deadlock when nothing can ever make one ready", function()
        local said, how = tasks.alone [[
            local ch = socket.channel()
            for _, lists in ipairs { { { ch } }, { nil, { ch } }, { { ch }, { ch } } } do
                local ok, err = pcall(socket.select, lists[1], lists[2])
                assert(not ok and err:find("deadlock: there is no task that could wake", 1, true), err)
            end
            local first, second
            first = spawn(function() return socket.select({ ch, second }) end)
            second = spawn(function() return socket.select(nil, { ch, first }) end)
            local ok, err = pcall(socket.select, { first, second })
            assert(not ok and err:find("deadlock: 2 tasks wait", 1, true), err)
            ok, err = pcall(socket.run)
            assert(not ok and err:find("deadlock: 2 tasks wait", 1, true), err)
            ch:close()
            assert(#socket.select({ first, second }) > 0)
            socket.run()
            local sleeper = spawn(socket.sleep, 1000):background()
            assert(select(3, socket.select({ sleeper }, nil, 0.01)) == socket.ERROR_TIMEOUT)
            local background = spawn(socket.sleep, 0.02):background()
            assert(socket.select({ background })[1] == background)
            print "well"
        ]]
        assert.equal("well\n", said)
        assert.equal("exit 0", how)
    end)
end)

-- What a call takes in, and leaves in the buffer, makes no event: the select must hear of it all the same.
describe("select of a socket from which another call takes bytes", function()
    tasks.guard()

    -- Runs take(a, b) in a task, in the turn in which 100 bytes have come to b, while a task waits in select for
    -- `element`.
    local function is_told(element_of, take)
        local a, b = socket.pair()
        local selecting = begin { element_of(b) }
        local taking = spawn(function()
            assert(a:write(("x"):rep(100)))
            take(b)
        end)
        assert_ready({ element_of(b) }, {}, t.pack(join(selecting)))
        join(taking)
        a:close()
        b:close()
    end

    local function itself(s)
        return s
    end

    for name, take in pairs {
        ["a read"] = function(b) assert.equal("x", (b:read(1))) end,
        ["readsome"] = function(b) assert.equal("x", (b:readsome(1))) end,
        ["readuntil"] = function(b) assert.equal("", b:readuntil("x")()) end,
        ["peek"] = function(b) assert.equal("x", (b:peek(1))) end,
        ["a read whose limit is exceeded"] = function(b) t.fails(socket.ERROR_LIMIT, "x", b:readall(1)) end,
        ["a read that has no time to wait"] = function(b)
            b:settimeout(0)
            assert.equal("x", (b:read(1)))
        end,
    } do
        it("is told by " .. name, function()
            is_told(itself, take)
        end)
    end

    it("is told where it has the number of the descriptor", function()
        is_told(function(s) return s:fileno() end, function(b) assert.equal("x", (b:read(1))) end)
    end)

    it("is told by a read that has not got all, and waits on", function()
        local a, b = socket.pair()
        local selecting = begin { b }
        local reading = spawn(b.read, b, 3)
        settle()
        assert(a:write "xx")
        assert_ready({ b }, {}, t.pack(join(selecting)))
        assert(a:write "x")
        assert.equal("xxx", (join(reading)))
        a:close()
        b:close()
    end)

    it("is told by the main program", function()
        local a, b = socket.pair()
        local selecting = begin { b }
        assert(a:write(("x"):rep(100)))
        assert.equal("x", (b:read(1)))
        assert_ready({ b }, {}, t.pack(join(selecting)))
        a:close()
        b:close()
    end)

    it("is told in the main program", function()
        local a, b = socket.pair()
        local reading = spawn(function()
            socket.sleep(0.01)
            assert(a:write(("x"):rep(100)))
            return b:read(1)
        end)
        assert_ready({ b }, {}, soon { b })
        assert.equal("x", (join(reading)))
        a:close()
        b:close()
    end)

    it("is told of datagrams that the system has handed over at once", function()
        local a, b = socket.udp(), socket.udp()
        assert(b:bind("127.0.0.1", 0))
        assert(a:connect(b:getsockname()))
        assert(a:send "w")
        assert.same({ "w" }, (b:recvmany(1, 10))) -- from now on the system joins them, where it can
        local selecting = begin { b }
        local taking = spawn(function()
            assert(a:sendmany { "x", "y", "z", "u", "v" })
            return b:recvmany(2, 10)
        end)
        assert_ready({ b }, {}, t.pack(join(selecting)))
        assert.same({ "x", "y" }, (join(taking)))
        assert.same({ "z", "u", "v" }, { (b:recv()), (b:recv()), (b:recv()) })
        a:close()
        b:close()
    end)

    it("waits on where all was taken", function()
        local a, b = socket.pair()
        local selecting = begin({ b }, nil, 0.05)
        join(spawn(function() -- in one turn
            assert(a:write "x")
            assert.equal("x", (b:read(1)))
        end))
        assert.same(NOTHING, t.pack(join(selecting)))
        a:close()
        b:close()
    end)
end)

describe("a select that ends", function()
    tasks.guard()

    it("leaves nothing behind: time-out, cancelled, closed, its coroutine gone", function()
        local ch, gate = socket.channel(), socket.channel()
        local task = spawn(gate.get, gate)
        local lists = { ch, task, ch }
        assert.same(NOTHING, t.pack(join(begin(lists, lists, 0.002))))
        assert.same(NOTHING, t.pack(socket.select(lists, lists, 0.002)))
        local cancelled = begin(lists, lists)
        cancelled:cancel()
        assert.same({ nil, nil, socket.ERROR_CANCELLED, n = 3 }, t.pack(join(cancelled)))
        local co
        local resumed = spawn(function()
            co = coroutine.running()
            socket.select(lists, lists)
        end)
        settle()
        coroutine.resume(co)
        co = nil -- luacheck: ignore
        t.collect()
        spawn(ch.put, ch, 1)
        settle()
        assert.equal(1, ch:get(0))
        assert.is_nil((resumed:wait(5)))
        assert(gate:put(true))
        join(task)
        ch:close()
    end)

    it("keeps what it waits for alive, though the list does not", function()
        local gate = socket.channel()
        local list = { socket.channel(), spawn(gate.get, gate) }
        local chosen, weak = begin(list), setmetatable({ list[1], list[2] }, { __mode = "v" })
        list[1], list[2] = nil, nil
        t.collect()
        assert.is_not_nil(weak[1])
        assert.is_not_nil(weak[2])
        assert.is_true(gate:put(true))
        local reads = join(chosen)
        assert.same({}, reads) -- the lists should have stayed as they were
        t.collect()
    end)

    it("may be that of a state that is closed meanwhile", function()
        local said, how = tasks.alone [[
            local ch, a, b = socket.channel(), socket.pair()
            local other = spawn(socket.sleep, 1000)
            for i = 1, 10 do
                spawn(socket.select, { ch, other, a }, { ch, other })
                spawn(function() socket.coroutine.wrap(function() socket.select({ other, ch }) end)() end)
            end
            socket.sleep(0.001)
            print "well"
        ]]
        assert.equal("well\n", tasks.without_last_failures(said))
        assert.equal("exit 0", how)
    end)

    it("waits in a coroutine of the program too", function()
        local ch = socket.channel()
        local task = spawn(function()
            local step = socket.coroutine.wrap(function()
                coroutine.yield(#socket.select({ ch }))
                return "end"
            end)
            return step(), step()
        end)
        settle()
        assert(ch:put(1, 0) == nil)
        local putter = spawn(ch.put, ch, 1)
        assert.same({ 1, "end" }, { join(task) })
        ch:get(0)
        join(putter)
    end)

    -- A sanitizer or LuaJIT's allocator tells what is written to freed memory.
    it("leaves an ended task when its coroutine is closed while a turn is due", function()
        local end_coroutine = coroutine.close or coroutine.resume
        for _ = 1, 20 do
            local co
            local list = { spawn(function() end) }
            join(list[1])
            local task = spawn(function(tasks_of_list)
                co = coroutine.running()
                for _ = 1, 64 do
                    socket.select(tasks_of_list, nil, 0)
                end
                socket.select(tasks_of_list) -- lets the others run first
            end, list)
            list = nil -- luacheck: ignore 311
            join(spawn(function()
                pcall(end_coroutine, co)
                co = nil
                collectgarbage()
                collectgarbage()
            end))
            task:wait(10)
        end
    end)
end)
