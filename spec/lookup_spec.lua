-- Name look-up under the deadline: with a name server (support/nameserver.py) that is silent, late or away, in a
-- network of our own (support.space). The threads themselves are tested in test/unit/test_lookup.c.
--
-- SSOCKET_LONG=1 in the environment: a thousand look-ups that take 0.2 s each, as a dead name server would have it.

local space = require "support.space"
local t = require "support.t"
local tools = require "support.tools"

-- Asks again after 3 s, since a question may be lost when there are many, and gives up after 15.
local PATIENT = "timeout:3 attempts:5"

local here_dir = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "spec"

describe("a look-up", function()
    t.guard()

    -- Every call that takes a name, on a socket that is new and stays so.
    it("that nobody answers ends at the deadline, whatever the call", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua [[
            local calls = {
                function(s, ...) return s[1]:connect(...) end,
                function(s, ...) return s[1]:bind(...) end,
                function(s, ...) return s[2]:bind(...) end,
                function(s, ...) return s[2]:connect(...) end,
                function(s, ...) return s[2]:sendto("data", ...) end,
                function(s, ...) return s[2]:send("data", ...) end,
                function(s, ...) return s[2]:sendmany({ "data" }, ...) end,
                function(s, ...) return s[2]:connect { ... } end,
                function(s, host, port) return socket.resolve(host, port, s[1]:gettimeout()) end,
            }
            local s = { socket.tcp(), socket.udp() }
            s[1]:settimeout(0.11)
            s[2]:settimeout(0.11)
            for _, call in ipairs(calls) do
                inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.11, 0.9, call, s, "silent.test.", 80))
                inside.equal(-1, s[1]:fileno())
                inside.equal(-1, s[2]:fileno())
                inside.equal(0, inside.count "anon_inode:[eventfd]")
            end
        ]]
    end)

    -- To about a millisecond: the best of five counts, each has taken its time.
    it("of 0.2 s takes 0.2 s", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua [[
            local s, best = socket.tcp(), math.huge
            s:settimeout(0.2)
            for _ = 1, 5 do
                local began = sys.now()
                inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.2, 0.9, s.connect, s, "silent.test.", 80))
                best = math.min(best, sys.now() - began)
            end
            assert(best < 0.25, best)
        ]]
    end)

    local storm = [[
        local function look_up(n, host, seconds)
            local s, ends = socket.tcp(), {}
            s:settimeout(seconds)
            local most = { lookups = 0, descriptors = 0 }
            local fastest = math.huge -- of fifty: each ends in time, though the machine may be busy now and then
            for i = 1, n do
                local began = sys.now()
                local ok, err = s:connect(host, 81)
                assert(ok == nil)
                fastest = math.min(fastest, sys.now() - began)
                if i % 50 == 0 then
                    assert(fastest < seconds + 0.02, fastest)
                    fastest = math.huge
                end
                ends[err] = (ends[err] or 0) + 1
                for what in pairs(i % 10 == 0 and most or {}) do
                    most[what] = math.max(most[what], inside[what]())
                end
            end
            return ends, most
        end
    ]]

    -- Once in a few seconds: the machine may be busy, while the others last until the server is told to answer.
    local quick = [[
        local function finds_quickly(host, address)
            local took, limit = nil, sys.now() + 10
            repeat
                local began = sys.now()
                inside.equal(address, inside.hosts(assert(socket.resolve(host, 80, 20))))
                took = sys.now() - began
                assert(took < 0.05 or began < limit, took)
            until took < 0.05
        end
    ]]

    -- The system's own words: names_spec.lua compares them.
    local AGAIN = t.sys.musl and "Try again" or "Temporary failure in name resolution"

    it("that is refused, since its coroutine is not a task or the task is cancelled, begins none", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua [[
            local function refused()
                local co = coroutine.create(function() return socket.resolve("silent.test.", 80, 5) end)
                local ok, err = coroutine.resume(co)
                assert(not ok and err:find("would block", 1, true), err)
            end
            local function cancelled()
                inside.fails(socket.ERROR_CANCELLED, socket.resolve("silent.test.", 80, 5))
            end
            assert(socket.spawn(refused):wait(5))
            local task = socket.spawn(cancelled)
            task:cancel()
            assert(task:wait(5))
            inside.equal(0, inside.lookups())
        ]]
    end)

    -- As many threads as the documentation states; each may have two sockets to ask with.
    it("is given up a thousand times without growing threads, descriptors or memory", function()
        local here = space.open() or pending(space.why)
        local seconds = os.getenv "SSOCKET_LONG" and 0.2 or 0.002
        t.sys.watchdog(math.ceil(1000 * seconds * 8 + 60 * t.slow))
        here:nameserver()
        here:start_lua(storm .. quick .. ([[
            local seconds, sanitized, again = %g, %s, %q
            local before = inside.descriptors()
            look_up(1000, "silent.test.", 0.002)
            inside.settle()
            local memory = inside.memory()
            local ends, most = look_up(1000, "silent.test.", seconds)
            finds_quickly("localhost", "::1 127.0.0.1")
            inside.equal(1000, ends[socket.ERROR_TIMEOUT] + (ends[again] or 0))
            assert(most.lookups <= 64 + 256, most.lookups)
            assert(most.descriptors <= before + 2 * (64 + 256), most.descriptors)
            inside.settle()
            inside.equal(before, inside.descriptors())
            local grown = inside.memory() - memory
            assert(sanitized or grown < 1024, grown .. " KiB")
        ]]):format(seconds, tostring(t.slow > 1), AGAIN)):finish(1000 * seconds * 8 + 60 * t.slow)
    end)

    -- The answer comes when the call has just ended, or is about to.
    it("may end at the same moment as its deadline", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua(storm .. [[
            local before, given_up, done = inside.descriptors(), 0, 0
            for i = 1, 10 do
                local ends = look_up(20, "late-3.test", 0.0027 + i * 0.00015)
                given_up, done = given_up + (ends[socket.ERROR_TIMEOUT] or 0), done + (ends[socket.ERROR_REFUSED] or 0)
            end
            inside.equal(200, given_up + done)
            inside.settle()
            inside.equal(before, inside.descriptors())
        ]])
    end)

    it("whose answer is late succeeds if there is time", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua [[
            local listener, port = inside.listen "::1"
            for _, timeout in ipairs { -1, 5 } do
                local s = socket.tcp()
                s:settimeout(timeout)
                assert(inside.takes(0.2, 0.9, s.connect, s, "late-200.test", port))
                inside.equal(2, #inside.takes(0.2, 0.9, socket.resolve, "late-200.test", port, timeout))
            end
            inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.1, 0.9, socket.resolve, "late-500.test", port, 0.1))
            inside.equal(2, #socket.resolve("late-1.test", port, 5)) -- the answer to the other goes to nobody
            inside.settle()
        ]]
    end)

    it("takes from the time of the call that it is part of", function()
        local here = space.open "dead.test 2001:db8::2" or pending(space.why)
        here:nameserver()
        here:lua [[
            local s = socket.tcp()
            s:settimeout(0.3)
            inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.3, 0.9, s.connect, s, "late-400.test", 81))
            inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.3, 0.9, s.connect, s, "dead.test", 81))
            local u = socket.udp()
            for _, each in ipairs { s, u } do
                each:settimeout(5)
            end
            inside.fails(socket.ERROR_REFUSED, inside.takes(0.2, 0.9, s.connect, s, "late-200.test", 81))
            assert(inside.takes(0.2, 0.9, u.sendto, u, "data", "late-200.test", 81))
        ]]
    end)

    it("has no time when there is none", function()
        local here = space.open "host.test 192.0.2.1" or pending(space.why)
        here:nameserver()
        here:lua [[
            local calls = {
                function(s, ...) return s[1]:connect(...) end,
                function(s, ...) return s[1]:bind(...) end,
                function(s, ...) return s[2]:connect(...) end,
                function(s, ...) return s[2]:sendto("data", ...) end,
                function(s, ...) return socket.resolve((...), 81, 0) end,
            }
            local before = inside.descriptors()
            for _, host in ipairs { "host.test", "localhost", "four.test", "silent.test." } do
                for _, call in ipairs(calls) do
                    local s = { socket.tcp(), socket.udp() }
                    s[1]:settimeout(0)
                    s[2]:settimeout(0)
                    inside.fails(socket.ERROR_TIMEOUT, inside.takes(0, 0.9, call, s, host, 81))
                    inside.equal(0, inside.count "anon_inode:[eventfd]")
                    inside.equal(-2, s[1]:fileno() + s[2]:fileno())
                end
            end
            inside.settle()
            inside.equal(before, inside.descriptors())
        ]]
    end)

    -- "held.test" is answered when we say so: there is time to look from outside how many threads the program has.
    local function threads_of(p)
        local file = assert(io.open("/proc/" .. p.pid .. "/status"))
        local text = file:read "*a"
        file:close()
        return tonumber(text:match "\nThreads:%s*(%d+)")
    end

    local function held(here, timeout)
        local server = here:nameserver()
        local p = here:start_lua(([[
            assert(socket.resolve("localhost", 80, 20)) -- what comes with the first thread is there
            inside.settle()
            print "ready"
            io.stdout:flush()
            io.read()
            inside.equal("::1 127.0.0.1", inside.hosts(assert(socket.resolve("held.test", 80, %g))))
        ]]):format(timeout))
        assert.equal("ready", p:line())
        local before, limit = threads_of(p), t.now() + 20
        p:say "go"
        repeat
            assert(t.now() < limit, "the question does not come")
            server:say "count"
        until server:number() == 2
        local threads = threads_of(p) - before
        server:say "go"
        p:finish()
        return threads
    end

    it("is made by a thread of its own under a deadline", function()
        local here = space.open() or pending(space.why)
        assert.equal(1, held(here, 20))
    end)

    it("is made by a thread of its own also without a deadline", function()
        local here = space.open() or pending(space.why)
        assert.equal(1, held(here, -1))
    end)

    it("is not needed for a numeric host", function()
        local here = space.open() or pending(space.why)
        local server = here:nameserver()
        here:lua [[
            local _, port = inside.listen "127.0.0.1"
            local calls = {
                function(host) return socket.resolve(host, port, 5) end,
                function(host) local s = socket.tcp() s:settimeout(5) return s:bind(host, 0) end,
                function(host) local u = socket.udp() u:settimeout(5) return u:sendto("data", host, port) end,
                function(host) local u = socket.udp() u:settimeout(5) return u:connect(host, port) end,
            }
            for _, host in ipairs { "127.0.0.1", "::1", "[::1]", "fe80::1%lo", "::ffff:127.0.0.1" } do
                for _, call in ipairs(calls) do
                    assert(call(host))
                end
            end
            local s = socket.tcp()
            s:settimeout(5)
            assert(s:connect("127.0.0.1", port))
        ]]
        server:say "count"
        assert.equal(0, server:number())
    end)

    it("waits for its turn when 64 are under way, until its deadline, unless the hosts file has it", function()
        local here = space.open("host.test 192.0.2.1", PATIENT) or pending(space.why)
        local server = here:nameserver()
        local other_case = t.sys.musl and "host.test" or "HOST.test" -- musl tells them apart in /etc/hosts
        local p = here:start_lua(quick .. ([[
            local OTHER_CASE = %q
            local crowd = inside.crowd(64, "held.test", 20)
            inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.1, 0.9, socket.resolve, "four.test", 80, 0.1))
            local queued = socket.spawn(socket.resolve, "four.test", 80, 20)
            for i = 65, 300 do
                crowd[i] = socket.spawn(socket.resolve, "held.test", 80, 20)
            end
            finds_quickly("host.test", "192.0.2.1")
            finds_quickly(OTHER_CASE, "192.0.2.1")
            finds_quickly("localhost", "::1 127.0.0.1")
            inside.equal("waiting", queued:status())
            crowd[1]:cancel() -- which makes place, though it goes on
            inside.equal("127.0.0.1", inside.hosts(select(2, assert(queued:wait(20)))))
            print "go"
            io.stdout:flush()
            for i = 2, #crowd do
                inside.equal("::1 127.0.0.1", inside.hosts(select(2, assert(crowd[i]:wait(20)))))
            end
            inside.settle()
        ]]):format(other_case))
        assert.equal("go", p:line())
        server:say "go"
        p:finish()
    end)

    it("fails at once while 256 go on that were given up, unless the hosts file has the name", function()
        local here = space.open("host.test 192.0.2.1", PATIENT) or pending(space.why)
        local server = here:nameserver()
        local p = here:start_lua(quick .. ([[
            local again = %q
            socket.spawn(finds_quickly, "localhost", "::1 127.0.0.1") -- the loop has its descriptor
            socket.run()
            inside.settle()
            local before = inside.descriptors()
            inside.abandon(256, "held.test")
            inside.equal(256, inside.lookups())
            local s, u = socket.tcp(), socket.udp()
            for _, each in ipairs { s, u } do
                each:settimeout(20)
            end
            for _ = 1, 1000 do
                inside.fails(again, socket.resolve("four.test", 80, 20))
            end
            inside.fails(again, inside.takes(0, 0.9, s.connect, s, "four.test", 80))
            inside.fails(again, inside.takes(0, 0.9, u.sendto, u, "data", "four.test", 80))
            inside.fails(again, select(2, socket.spawn(socket.resolve, "four.test", 80):wait(20)))
            inside.fails(socket.ERROR_TIMEOUT, socket.resolve("four.test", 80, 0))
            finds_quickly("localhost", "::1 127.0.0.1")
            finds_quickly("host.test", "192.0.2.1")
            inside.equal("192.0.2.1", inside.hosts(select(2, socket.spawn(socket.resolve, "host.test", 80):wait(20))))
            print "go"
            io.stdout:flush()
            inside.settle() -- and nothing of them is left
            inside.equal(before, inside.descriptors())
            inside.equal("127.0.0.1", inside.hosts(socket.resolve("four.test", 80, 20)))
        ]]):format(AGAIN))
        assert.equal("go", p:line())
        server:say "go"
        p:finish()
    end)

    it("fails in the system's words when there is no descriptor for it", function()
        local here = space.open "host.test 192.0.2.1" or pending(space.why)
        here:lua(([[
            local s = socket.tcp()
            s:settimeout(5)
            local soft = sys.nofile()
            sys.nofile(0)
            local ok, err = s:connect("host.test", 81)
            sys.nofile(soft)
            inside.fails(%q, ok, err)
            inside.fails(socket.ERROR_REFUSED, s:connect("host.test", 81))
        ]]):format(t.text "EMFILE"))
    end)

    -- The program gets them, the call goes on, and no thread of ours takes them away.
    it("is not disturbed by signals", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        local p = here:start_lua [[
            sys.disposition(sys.SIGUSR1, "count")
            print "ready"
            io.stdout:flush()
            io.read()
            local s = socket.tcp()
            s:settimeout(0.3)
            inside.fails(socket.ERROR_REFUSED, inside.takes(0.2, 0.9, s.connect, s, "late-200.test", 81))
            inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.3, 0.9, s.connect, s, "silent.test.", 81))
            assert(sys.caught() > 5)
            sys.disposition(sys.SIGUSR1, "ignore") -- the handler goes with its module
            assert(not sys.blocked(sys.SIGUSR1))
        ]]
        assert.equal("ready", p:line())
        local signals = space.signals(p)
        p:say "go"
        local said = p:rest()
        signals:kill()
        assert.equal("", said)
        p:finish()
    end)
end)

describe("look-ups under way", function()
    t.guard()

    -- In the second look-up of a child, glibc's resolver would go on with the state of a thread of the parent's.
    it("stay behind when the process forks; the child has new ones", function()
        local here = space.open(nil, PATIENT) or pending(space.why)
        local server = here:nameserver()
        local p = here:start_lua [[
            inside.abandon(256, "held.test")
            local function try()
                local s = socket.tcp()
                inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.05, 0.9, socket.resolve, "silent.test.", 80, 0.05))
                s:settimeout(20)
                inside.fails(socket.ERROR_REFUSED, s:connect("four.test", 81))
                inside.equal("127.0.0.1", inside.hosts(socket.resolve("four.test", 80)))
                collectgarbage()
            end
            local first, second = inside.fork(try), inside.fork(try)
            first()
            second()
            print "go"
            io.stdout:flush()
            inside.settle()
            try()
        ]]
        assert.equal("go", p:line(20))
        server:say "shared"
        assert.equal(0, server:number())
        server:say "go"
        p:finish()
    end)

    -- What becomes of the parent's is of no interest to the child, whose task has one of its own.
    for fate, code in pairs {
        ["is given up"] = "task:cancel() task:wait(20)",
        ["is waited for"] = "check(task)",
        ["stays under way"] = "",
    } do
        it("by a task are begun anew in a child process, while the parent's " .. fate, function()
            local here = space.open() or pending(space.why)
            here:nameserver()
            here:lua((([[
                local listener, port = inside.listen "::1"
                local function connect(timeout)
                    local s = socket.tcp()
                    s:settimeout(timeout)
                    assert(s:connect("late-200.test", port))
                    return { s:getpeername() }
                end
                local function send(timeout)
                    local u = socket.udp()
                    u:settimeout(timeout)
                    assert(u:sendto("data", "late-200.test", port))
                    return { { "::1" } }
                end
                local function resolve(timeout)
                    return socket.resolve("late-200.test", port, timeout)
                end
                local function check(task)
                    local ok, found = assert(task:wait(20))
                    inside.equal("::1", found[1][1])
                end
                for _, look_up in ipairs { resolve, connect, send } do
                    for _, timeout in ipairs { -1, 20 } do
                        collectgarbage() -- sockets that are gone do not count
                        collectgarbage()
                        local before = inside.questions()
                        local task = socket.spawn(look_up, timeout)
                        socket.sleep(0)
                        inside.equal("waiting", task:status())
                        inside.await_question(before)
                        local wait = inside.fork(function()
                            check(task)
                        end)
                        CODE
                        wait()
                        task:cancel()
                        inside.settle()
                    end
                end
            ]]):gsub("CODE", code)))
        end)
    end

    it("keep their deadline in a child process, however the parent's end", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua [[
            local function check(task)
                inside.fails(socket.ERROR_TIMEOUT, select(2, assert(task:wait(20))))
            end
            for _, cancels in ipairs { true, false } do
                local began = sys.now()
                local before = inside.questions()
                local task = socket.spawn(socket.resolve, "silent.test.", 80, 0.5)
                inside.await_question(before)
                local wait = inside.fork(function()
                    inside.takes(0, 0.9, check, task)
                    assert(sys.now() - began > 0.499)
                end)
                if cancels then
                    task:cancel()
                else
                    check(task)
                end
                wait()
            end
            inside.settle()
        ]]
    end)

    -- A task forks, and the main program of both waits in its call.
    it("by the main program are begun anew as well", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua [[
            local pid
            local before = inside.questions()
            local forker = socket.spawn(function()
                inside.await_question(before) -- at the fork no thread holds the C library's locks
                pid = assert(sys.fork())
            end)
            local ok, err = pcall(function()
                inside.equal("::1 127.0.0.1", inside.hosts(assert(socket.resolve("late-200.test", 80, 20))))
                assert(forker:wait(20))
            end)
            if pid == 0 then
                io.write(ok and "" or err)
                io.stdout:flush()
                sys._exit(ok and 0 or 1)
            end
            assert(ok, err)
            local how, code = sys.wait(pid, 20)
            inside.equal("exit 0", how .. " " .. code)
        ]]
    end)

    it("of which the child drops its copies go on in the parent", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua [[
            local task = socket.spawn(socket.resolve, "late-200.test", 80, 20)
            socket.sleep(0)
            inside.fork(function()
                local before = inside.descriptors()
                task:cancel()
                inside.fails(socket.ERROR_CANCELLED, select(2, task:wait(20)))
                inside.equal(0, inside.count "anon_inode:[eventfd]")
            end)()
            inside.equal("::1 127.0.0.1", inside.hosts(select(2, assert(task:wait(20)))))
            inside.settle()
        ]]
    end)

    -- Silent look-ups last a second, which the program's end does not wait for.
    for _, code in ipairs { "os.exit(0)", "os.exit(0, true)", "" } do
        it("do not keep a program from ending" .. (code ~= "" and " by " .. code or ""), function()
            local here = space.open() or pending(space.why)
            here:nameserver()
            local p = here:start_lua([[
                for _ = 1, 20 do
                    inside.fails(socket.ERROR_TIMEOUT, socket.resolve("silent.test.", 80, 0.001))
                end
                local s = socket.tcp()
                s:settimeout(0.001)
                inside.fails(socket.ERROR_TIMEOUT, s:connect("silent.test.", 80))
                assert(inside.lookups() > 0)
                print(sys.now())
                io.stdout:flush()
            ]] .. code)
            local ending = p:number()
            assert.equal("", p:finish())
            assert.is_true(t.now() - ending < 0.7 * t.slow, t.now() - ending)
        end)
    end

    -- The module is unloaded with each round's last state, or would be.
    for _, n in ipairs { 2, 8 } do
        it("of " .. n .. " states in as many threads go on while these are closed", function()
            local here = space.open() or pending(space.why)
            here:nameserver()
            local script = here_dir .. "/support/lookup_threads.lua"
            local rounds = math.ceil((t.slow > 1 and 10 or 16) / n)
            local p = here:run(tools.build .. "/host_lookup_threads", script, tools.module, rounds, n)
            local closing_ms = tonumber((p:finish(60 * t.slow)))
            assert.is_true(closing_ms < 500 * t.slow, closing_ms .. " ms")
        end)
    end
end)
