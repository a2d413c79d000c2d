-- Peers that mean harm, beyond those that other specs have: they flood, they never end a line, they vanish before they
-- are accepted. Nobody else must be kept from running, no deadline moved, no memory taken beyond what was allowed.

local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"

local socket, sys = t.socket, t.sys

-- Sends x as fast as it can, until we are gone.
local FLOOD = [[
    data = b"x" * 65536
    try:
        while True: s.sendall(data)
    except OSError: pass
]]

local MEASURED = tools.on_linux and t.slow == 1 -- neither a sanitizer nor valgrind keeps what was freed

local function resident()
    t.collect()
    return t.status "VmRSS"
end

-- ---- lines without end ----

describe("a line that never ends", function()
    tasks.guard()

    for _, max in ipairs { 1, 4096, 300000 } do
        tasks.everywhere(("takes no more memory than its limit of %d allows"):format(max), function()
            local s, p = t.with_python(FLOOD)
            local next_line = s:readuntil("\n", false, max)
            local function take(n)
                for i = 1, n do
                    if i % 100 == 0 then -- a large heap lets more garbage grow
                        collectgarbage()
                    end
                    local line, err, partial = next_line()
                    if line or err ~= socket.ERROR_LIMIT or #partial ~= max or partial:find "[^x]" then
                        error(("%s, %s, %d bytes"):format(tostring(line), err, #tostring(partial)))
                    end
                end
            end
            local rounds = math.ceil(math.min(2e4, 64e6 / max) / t.slow)
            take(math.ceil(rounds / 4))
            local before = MEASURED and resident()
            take(rounds)
            local after = MEASURED and resident()
            -- 60 MB of lines have been garbage meanwhile, of which the allocator may keep a part.
            assert.is_true(not MEASURED or after - before < 16384, tostring(before) .. " " .. tostring(after))
            assert.is_true(s:pending() <= 2 * max + 2 * 65536, s:pending())
            s:close() -- which ends the peer
            p:finish()
        end)
    end

    tasks.everywhere("ends a readall at its limit, and what had come is not lost", function()
        local s, p = t.with_python(FLOOD)
        local data, err, partial = s:readall(100000)
        t.fails(socket.ERROR_LIMIT, nil, data, err)
        assert.equal(("x"):rep(100000), partial)
        assert.equal(("x"):rep(1000), s:read(1000))
        s:close()
        p:finish()
    end)
end)

-- ---- floods ----

describe("a flood", function()
    tasks.guard()

    -- Each of these is given some seconds, begins to count when the flood has begun, and returns how long it took, and
    -- how many bytes it has handed out in one piece at its end.

    local function until_time(seconds, step, ...)
        local began = t.now()
        repeat
            step(...)
            local took = t.now() - began
        until took >= seconds
        return t.now() - began
    end

    -- One call that must end at its deadline although there is always more.
    local function one_call(call)
        return function(seconds)
            local s, p = t.with_python(FLOOD)
            assert(s:setopt(socket.OPT_RCVBUF, 65536)) -- or a second brings gigabytes, and fresh memory may be dear
            assert(s:read(1))
            s:settimeout(seconds)
            local began = t.now()
            local data, err, partial = call(s)
            local took = t.now() - began
            t.fails(socket.ERROR_TIMEOUT, nil, data, err)
            s:close()
            p:kill()
            return took, partial and #partial or 0
        end
    end

    -- Calls that never have to wait.
    local function many_calls(call)
        return function(seconds)
            local s, p = t.with_python(FLOOD)
            assert(s:read(1))
            local took = until_time(seconds, call, s)
            s:close()
            p:kill()
            return took
        end
    end

    local function datagrams(size, call)
        return function(seconds)
            local u = socket.udp()
            u:settimeout(10)
            assert(u:bind("127.0.0.1", 0))
            local p = t.python([[
                u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                data = bytes(int(argv[1]))
                try:
                    u.connect(("127.0.0.1", int(argv[0])))
                    while True: u.send(data)
                except OSError: pass
            ]], u:getsockname()[2], size)
            assert(u:recv())
            local took = until_time(seconds, call, u)
            u:close()
            p:kill()
            return took
        end
    end

    local floods = {
        ["one read"] = one_call(function(s)
            return s:read(2 ^ 40)
        end),
        ["one readuntil"] = one_call(function(s)
            return s:readuntil "\n"()
        end),
        ["one readall"] = one_call(function(s)
            return s:readall()
        end),
        ["many reads"] = many_calls(function(s)
            assert(s:read(100))
        end),
        ["many readsomes"] = many_calls(function(s)
            assert(s:readsome(65536))
        end),
        ["many limits"] = many_calls(function(s)
            assert.equal(socket.ERROR_LIMIT, select(2, s:readuntil("\n", false, 100)()))
        end),
        ["an echo to one who never reads"] = one_call(function(s)
            local data, err = s:readsome(65536)
            while data do
                data, err = s:write(data)
                if data then
                    data, err = s:readsome(65536)
                end
            end
            return nil, err
        end),
        ["empty datagrams"] = datagrams(0, function(u)
            assert.equal("", u:recv())
        end),
        ["the largest datagrams"] = datagrams(65507, function(u)
            assert.equal(65507, #assert(u:recv()))
        end),
        ["datagrams by the hundred"] = datagrams(100, function(u)
            for _, data in ipairs((assert(u:recvmany(100, 100)))) do
                assert.equal(100, #data)
            end
        end),
        ["connections that are reset"] = function(seconds)
            local listener, address = t.listener()
            listener:settimeout(10)
            local p = t.python([[
                try:
                    while True: reset(connect(argv[0]))
                except OSError: pass
            ]], address[2])
            assert(listener:accept()):close()
            local took = until_time(seconds, function()
                assert(listener:accept()):close()
            end)
            listener:close()
            p:kill()
            return took
        end,
    }

    -- What it takes to hand out a piece of many bytes belongs to the program that has asked for it. Its own time of the
    -- processor is what a call is answerable for: on a busy machine the flood has all the time of the others.
    local COPIES = 6 -- a buffer that doubles is copied twice, then the string is made; and as much again
    local function flooded(flood)
        local seconds, began = 0.1 * t.slow, os.clock()
        local took, bytes = flood(seconds)
        local cpu = os.clock() - began
        local more = t.slow + COPIES * t.copy_cost(bytes or 0)
        assert.is_true(took >= seconds, took)
        assert.is_true(cpu < seconds + more, ("%.3f s of the processor"):format(cpu))
        return 2 * more
    end

    for name, flood in pairs(floods) do
        it("keeps no task from running and moves no deadline: " .. name, function()
            local ticks = tasks.ticker()
            local more = tasks.join(tasks.spawn(flooded, flood), 20)
            assert.is_true(ticks.n >= 5, ticks.n)
            assert.is_true(ticks.longest < more, ticks.longest)
        end)

        it("of the main program keeps no task from running: " .. name, function()
            local ticks = tasks.ticker()
            flooded(flood)
            assert.is_true(ticks.n >= 5, ticks.n)
        end)
    end
end)

-- ---- peers that vanish ----

describe("connections that vanish before they are accepted", function()
    tasks.guard()

    local KEPT, GONE, QUIET = 20, 40, 1

    -- Each that stays says "hello"; all others are gone at once. They come when the peer is told to go.
    local function start(address)
        local p = t.python([[
            kept = []; say("ready"); hear()
            for i in range(int(argv[1])):
                s = connect(argv[0]); s.sendall(b"hello"); kept.append(s)
                for k in range(2): s = connect(argv[0]); (reset if k else lambda s: s.close())(s)
            say("made"); hear()
        ]], address[2], KEPT)
        assert(p:line() == "ready")
        return p
    end

    local function go(p)
        p:say "go"
        assert.equal("made", p:line())
    end

    -- Accepts until nobody has come for a second. Returns how many said hello, and how many there were.
    local function accept_all(listener)
        listener:settimeout(QUIET)
        local hellos, all = 0, 0
        local began = t.now()
        local s, err = listener:accept()
        while s do
            s:settimeout(5)
            all = all + 1
            if s:read(5) == "hello" then
                hellos = hellos + 1
            end
            s:close()
            began = t.now()
            s, err = listener:accept()
        end
        assert.equal(socket.ERROR_TIMEOUT, err)
        local took = t.now() - began
        assert.is_true(took >= QUIET and took < QUIET + 2 * t.slow, took)
        return hellos, all
    end

    -- Accepts in a child process, whose exit status says how many said hello.
    local function accept_in_child(listener)
        local pid = assert(sys.fork())
        if pid == 0 then
            sys.watchdog(30)
            local ok, hellos = pcall(accept_all, listener)
            sys._exit(ok and hellos or 255)
        end
        return pid
    end

    local function hellos_of(pid)
        local how, code = sys.wait(pid, 20 * t.slow)
        assert.equal("exit", how)
        assert.is_true(code <= KEPT, code)
        return code
    end

    local function count_all(...)
        local hellos, all = 0, 0
        for _, task in ipairs { ... } do
            local h, n = tasks.join(task, 20)
            hellos, all = hellos + h, all + n
        end
        return hellos, all
    end

    tasks.everywhere("hold up nobody, and those that stay are served", function()
        local listener, address = t.listener()
        local p = start(address)
        go(p)
        local hellos, all = accept_all(listener)
        assert.equal(KEPT, hellos)
        assert.is_true(all >= KEPT and all <= KEPT + GONE, all)
        listener:close()
        p:kill()
    end)

    -- Each connection is reported to every acceptor, and all but one find it gone.
    it("or that another acceptor takes, hold up no acceptor in a task and none in a process", function()
        local listener, address = t.listener()
        local second = assert(socket.fromfd(assert(sys.dup(listener:fileno()))))
        local p = start(address)
        local child = accept_in_child(listener) -- before there are tasks, which would accept in it as well
        local ticks = tasks.ticker()
        local first_task, second_task = tasks.spawn(accept_all, listener), tasks.spawn(accept_all, second)
        tasks.settle()
        go(p)
        local hellos = count_all(first_task, second_task)
        assert.equal(KEPT, hellos + hellos_of(child))
        assert.is_true(ticks.longest < 0.5 * t.slow, ticks.longest)
        listener:close()
        second:close()
        p:kill()
    end)

    it("or that another acceptor takes, hold up no process of several that wait", function()
        local listener, address = t.listener()
        local p = start(address)
        local children = { accept_in_child(listener), accept_in_child(listener), accept_in_child(listener) }
        go(p)
        local hellos = accept_all(listener)
        for _, child in ipairs(children) do
            hellos = hellos + hellos_of(child)
        end
        assert.equal(KEPT, hellos)
        listener:close()
        p:kill()
    end)
end)

describe("a peer that ends its side, goes on listening, and then resets", function()
    tasks.guard()

    tasks.everywhere("is read to its end, written to, and lost with an error that says so", function()
        local s, p = t.with_python [[
            s.sendall(b"bye"); s.shutdown(socket.SHUT_WR)
            say(take(s, 5).decode()); hear(); reset(s); say("reset")
        ]]
        t.fails(socket.ERROR_CLOSED, "bye", s:read(10))
        assert.equal(5, s:write "hello")
        assert.equal("hello", p:line())
        p:say "reset"
        assert.equal("reset", p:line())
        local n, err, sent = s:write(t.much)
        assert.is_nil(n)
        assert.is_true(err == socket.ERROR_RESET or err == socket.ERROR_CLOSED, err)
        assert.is_true(sent >= 0 and sent < #t.much)
        s:close()
        p:finish()
    end)
end)

-- ---- datagrams ----

describe("datagrams of all sizes, one after another", function()
    t.guard()

    local sizes = { 0, 65507, 1, 0, 1400, 0, 65507, 2, 0 }

    -- Byte k of datagram i, the first of 0, is i; Python sends them all before the first is taken.
    local function queued(host)
        local u = socket.udp()
        u:settimeout(5)
        assert(u:setopt(socket.OPT_RCVBUF, 1000000))
        assert(u:bind(host, 0))
        local argv = { host, u:getsockname()[2], tools.unpack(sizes) }
        local p = t.python([[
            u = socket.socket(socket.AF_INET6 if ":" in argv[0] else socket.AF_INET, socket.SOCK_DGRAM)
            u.connect((argv[0], int(argv[1])))
            for i, size in enumerate(argv[2:]): u.send(bytes([i]) * int(size))
        ]], tools.unpack(argv))
        p:finish()
        return u
    end

    local function check(i, size, data, cut)
        local expected = string.char(i - 1):rep(math.min(sizes[i], size))
        assert.is_true(data == expected, ("datagram %d has %d bytes"):format(i, #data))
        if cut ~= nil then
            assert.equal(sizes[i] > size, cut)
        end
    end

    for _, host in ipairs { "127.0.0.1", "::1" } do
        for _, size in ipairs { 1, 2, 1400, 65506, 65507 } do
            local where = (" of %d bytes from %s, and what is cut is said to be"):format(size, host)

            it("are told apart by recv and recvfrom" .. where, function()
                local u = queued(host)
                for i = 1, #sizes do
                    local data, err, _
                    if i % 2 == 0 then
                        data, err = u:recv(size)
                    else
                        data, _, err = u:recvfrom(size)
                    end
                    assert.is_true(err == nil or err == socket.ERROR_TRUNCATED, err)
                    check(i, size, data, err ~= nil)
                end
                u:close()
            end)

            it("are told apart by recvmany" .. where, function()
                local u, i = queued(host), 0
                while i < #sizes do
                    local datas, _, err = u:recvmany(4, size)
                    local cut = false
                    for _, data in ipairs(datas) do
                        i = i + 1
                        check(i, size, data)
                        cut = cut or sizes[i] > size
                    end
                    assert.equal(cut and socket.ERROR_TRUNCATED or nil, err)
                end
                u:close()
            end)
        end
    end
end)
