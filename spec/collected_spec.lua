local t = require "support.t"
local peer = require "support.peer"
local tools = require "support.tools"

-- Each case is a program of its own with a small heap, in which the collector is at work at every allocation of Lua's
-- (test/support/testcollect.c): what nothing keeps alive is gone at once. `apart` runs a function whose registers go
-- with it.
local PRELUDE = [[
local socket, sys, collect = require "ssocket", require "testsys", require "testcollect"
local spawn = socket.spawn
local function apart(f, ...)
    return coroutine.wrap(f)(...)
end
local function fds()
    return #sys.fds()
end
local function is(expected, got)
    if got ~= expected then
        error(("%s, not %s"):format(tostring(got), tostring(expected)), 2)
    end
end
local function listening()
    local s = socket.tcp()
    assert(s:bind("127.0.0.1", 0) and s:listen())
    return s
end
socket.loop():pollfd() -- the module's own memory is not what is refused
]]

local MODES = _VERSION >= "Lua 5.4" and { "incremental", "generational" } or { "incremental" }

local function alone(code)
    return function()
        for _, mode in ipairs(MODES) do
            local start = ("collect.start(%s, %q)\n"):format(os.getenv "SSOCKET_COLLECT_EVERY" or "1", mode)
            local finish = "\nassert(collect.stop() > 10)\nprint 'well'"
            assert.equal("well\n", tools.run_lua(PRELUDE .. start .. peer.dedent(code) .. finish))
        end
    end
end

describe("with the collector at work at every allocation", function()
    t.guard()

    it("every call does what it does", function()
        local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "spec"
        alone(([[
            local all_calls = assert(loadfile %q)
            for _ = 1, 3 do
                all_calls()()
            end
        ]]):format(here .. "/support/all_calls.lua"))()
    end)

    it(
        "what was dropped is closed",
        alone [[
            local before = fds()
            apart(function()
                for i = 1, 50 do
                    local s = i % 2 == 0 and socket.udp() or socket.tcp()
                    assert(s:bind("127.0.0.1", 0))
                    socket.pair()
                end
            end)
            for _ = 1, 5 do
                local _ = { {} }
            end
            assert(fds() < before + 10, fds())
            collectgarbage()
            collectgarbage()
            is(before, fds())
        ]]
    )

    it(
        "an accepted socket, its address and its name are whole",
        alone [[
            local listener = listening()
            for _ = 1, 10 do
                local client = socket.tcp()
                assert(client:connect(listener:getsockname()))
                local accepted = assert(listener:accept())
                is(tostring(client:getsockname()), tostring(accepted:getpeername()))
                assert(client:write { "a", ("b"):rep(3000), "c\n" })
                is(3002, #accepted:readuntil("\n")())
            end
        ]]
    )

    it(
        "datagrams and their senders are whole",
        alone [[
            local u, v = socket.udp(), socket.udp()
            assert(u:bind("127.0.0.1", 0) and v:bind("127.0.0.1", 0))
            u:settimeout(5)
            for i = 1, 10 do
                local sent = {}
                for n = 1, 20 do
                    sent[n] = ("datagram %d of %d"):format(n, i)
                end
                is(20, v:sendmany(sent, u:getsockname()))
                local n = 0
                while n < 20 do
                    local datas, addrs = assert(u:recvmany(20, 100))
                    for k = 1, #datas do
                        n = n + 1
                        is(sent[n], datas[k])
                        is(tostring(v:getsockname()), tostring(addrs[k]))
                    end
                end
            end
        ]]
    )
end)

describe("with the collector at work at every allocation, a task that waits", function()
    t.guard()

    it(
        "in a read keeps its socket, that nobody else has",
        alone [[
            local peers, said = {}, {}
            for i = 1, 10 do
                apart(function()
                    local a, b = socket.pair()
                    peers[i] = a
                    spawn(function()
                        b:settimeout(20)
                        said[i] = assert(b:read(1000)) .. assert(b:readuntil "\n"()) .. assert(b:readall())
                    end)
                end)
            end
            socket.sleep(0)
            for i = 1, 10 do
                assert(peers[i]:write(("x"):rep(600)))
                socket.sleep(0)
                assert(peers[i]:write { ("y"):rep(400), "line\n", "rest" })
                peers[i]:close()
            end
            socket.run()
            for i = 1, 10 do
                is(("x"):rep(600) .. ("y"):rep(400) .. "linerest", said[i])
            end
        ]]
    )

    it(
        "for a line keeps the iterator, its pattern and its socket",
        alone [[
            local a, seen = nil, {}
            local b
            a, b = socket.pair()
            local lines = b:readuntil(table.concat { "-", "-", ("="):rep(100), "end", tostring(12) }, true)
            b = nil
            for i = 1, 10 do
                local _ = ("?"):rep(100 + i)
            end
            spawn(function(next_line)
                local line = next_line()
                while line do
                    seen[#seen + 1] = line
                    line = next_line()
                end
            end, lines)
            lines = nil
            for i = 1, 10 do
                socket.sleep(0)
                assert(a:write(i .. "--" .. ("="):rep(100) .. "en"))
                socket.sleep(0)
                assert(a:write "d12")
            end
            a:close()
            socket.run()
            is(10, #seen)
            for i = 1, 10 do
                is(i .. "--" .. ("="):rep(100) .. "end12", seen[i])
            end
        ]]
    )

    it(
        "in a write keeps the strings, though their table is emptied",
        alone [[
            local a, b = socket.pair()
            assert(a:setopt(socket.OPT_SNDBUF, 4096))
            local size, sum = 20000, 0
            local pieces = {}
            for i = 1, 10 do
                pieces[i] = string.char(64 + i):rep(size)
            end
            local task = spawn(function()
                a:settimeout(20)
                local sent = assert(a:write(pieces))
                a:close()
                return sent
            end)
            socket.sleep(0)
            is("waiting", task:status())
            for i = 1, 10 do
                pieces[i] = nil
            end
            for i = 1, 10 do
                local _ = ("?"):rep(size + i)
            end
            for i = 1, 10 do
                is(string.char(64 + i):rep(size), b:read(size))
            end
            is(10 * size, select(2, task:wait(5)))
        ]]
    )

    it(
        "in a write keeps a string that nothing else has",
        alone [[
            local a, b = socket.pair()
            assert(a:setopt(socket.OPT_SNDBUF, 4096))
            local task = spawn(function()
                a:settimeout(20)
                return a:write(("0123456789"):rep(30000))
            end)
            socket.sleep(0)
            is("waiting", task:status())
            is(("0123456789"):rep(30000), b:read(300000))
            is(300000, select(2, task:wait(5)))
        ]]
    )

    it(
        "in accept or connect keeps what it has",
        alone [[
            local listener = listening()
            local addr = listener:getsockname()
            local got = 0
            for _ = 1, 5 do
                spawn(function()
                    local s = socket.tcp()
                    assert(s:connect(addr[1], addr[2]))
                    assert(s:write "hello")
                end)
            end
            spawn(function(s)
                for _ = 1, 5 do
                    local accepted = assert(s:accept())
                    spawn(function(c)
                        is("hello", c:readall())
                        got = got + 1
                    end, accepted)
                end
            end, listener)
            listener = nil
            socket.run()
            is(5, got)
        ]]
    )

    it(
        "for a name keeps its look-up",
        alone [[
            local found = 0
            for i = 1, 5 do
                spawn(function()
                    local addrs = assert(socket.resolve("localhost", i, 20))
                    is(i, addrs[1][2])
                    found = found + 1
                end)
            end
            socket.run()
            is(5, found)
        ]]
    )

    it(
        "for datagrams keeps its socket, and those who send theirs",
        alone [[
            local u = socket.udp()
            assert(u:bind("127.0.0.1", 0))
            local addr, got = u:getsockname(), 0
            spawn(function(s)
                s:settimeout(20)
                while got < 10 do
                    local data, from = assert(s:recvfrom())
                    is("n" .. from[2], data)
                    got = got + 1
                end
            end, u)
            u = nil
            for _ = 1, 10 do
                spawn(function()
                    local s = socket.udp()
                    assert(s:bind("127.0.0.1", 0))
                    assert(s:sendto("n" .. s:getsockname()[2], addr))
                end)
            end
            socket.run()
            is(10, got)
        ]]
    )

    it(
        "at a channel that only tasks have hands its values over",
        alone [[
            local sum = 0
            for capacity = 0, 3 do
                local ch = socket.channel(capacity)
                for n = 1, 3 do
                    spawn(function(c)
                        for i = 1, 10 do
                            assert(c:put({ n * 100 + i }))
                        end
                    end, ch)
                end
                spawn(function(c)
                    for _ = 1, 30 do
                        local value = assert(c:get())
                        sum = sum + value[1]
                    end
                end, ch)
            end
            socket.run()
            is(4 * (10 * 600 + 3 * 55), sum)
        ]]
    )

    it(
        "for another gets its results or its error, though nobody has the other",
        alone [[
            local results = {}
            for i = 1, 10 do
                spawn(function()
                    local ok, a, b = spawn(function()
                        socket.sleep(0.001)
                        if i % 2 == 0 then
                            error({ i })
                        end
                        return "a" .. i, { i }
                    end):wait()
                    results[i] = i % 2 == 0 and not ok and a[1] or ok and a == "a" .. i and b[1]
                end)
            end
            socket.run()
            for i = 1, 10 do
                is(i, results[i])
            end
        ]]
    )

    it(
        "in select keeps its list and the sockets in it",
        alone [[
            local a, b = socket.pair()
            local ready
            local task = spawn(function(s)
                ready = socket.select({ s }, nil, 20)
            end, b)
            b = nil
            for _ = 1, 5 do
                socket.sleep(0)
            end
            is("waiting", task:status())
            assert(a:write "x")
            assert(task:wait(5))
            is("x", ready[1]:read(1))
        ]]
    )

    it(
        "in select while its list is emptied goes on without what was in it",
        alone [[
            local a, b = socket.pair()
            local list = { b }
            b = nil
            local task = spawn(socket.select, list, nil, 20)
            socket.sleep(0)
            is("waiting", task:status())
            list[1] = nil
            for _ = 1, 5 do
                socket.sleep(0)
                collectgarbage()
            end
            a:write "x"
            local ok, reads = task:wait(5)
            is(true, ok)
            is(0, reads and #reads or 0)
        ]]
    )

    it(
        "ends when the socket is closed by a finalizer",
        alone [[
            local a, b = socket.pair()
            local err
            spawn(function()
                err = select(2, b:read(1))
            end)
            socket.sleep(0)
            local closed
            apart(function()
                local function close()
                    closed = b:close()
                end
                if newproxy then
                    getmetatable(newproxy(true)).__gc = close
                else
                    setmetatable({}, { __gc = close })
                end
            end)
            for _ = 1, 20 do
                local _ = { {} }
            end
            collectgarbage()
            is(1, closed)
            socket.run()
            is(socket.ERROR_CLOSED, err)
            a:close()
        ]]
    )

    -- In PUC Lua 5.1 collections within a finalizer, as newproxy makes its table, run finalizers again, without end.
    local it_beyond_51 = (_VERSION ~= "Lua 5.1" or rawget(_G, "jit")) and it or pending
    it_beyond_51(
        "loses no byte to finalizers that read from its socket while its results are made",
        alone [[
            local a, b = socket.pair()
            local budget, stolen, got, held = 0, {}, {}, nil
            local function steal()
                if budget > 0 and b:pending() > 0 then
                    budget = budget - 1
                    b:settimeout(0)
                    stolen[#stolen + 1] = b:read(1)
                    b:settimeout(5)
                end
            end
            -- Held until the finalizer has ended: in LuaJIT the collector is at work within finalizers, too.
            local function trap()
                local function finalizer()
                    trap()
                    steal()
                    held = nil
                end
                if newproxy then
                    held = newproxy(true)
                    getmetatable(held).__gc = finalizer
                else
                    held = setmetatable({}, { __gc = finalizer })
                end
            end
            trap()
            held = nil
            b:settimeout(5)
            local task = spawn(function()
                for _ = 1, 20 do
                    got[#got + 1] = assert(b:read(40))
                    got[#got + 1] = assert(b:readuntil "\n"())
                    got[#got + 1] = assert(b:readsome(10))
                end
            end)
            while task:status() ~= "done" do
                budget = 3
                assert(task:status() ~= "failed" and a:write(("x"):rep(60) .. "\n" .. ("y"):rep(10)))
                socket.sleep(0)
            end
            budget = 0
            a:close()
            got[#got + 1] = assert(b:readall())
            local text = table.concat(got) .. table.concat(stolen)
            local _, ys = text:gsub("y", "")
            local _, xs = text:gsub("x", "")
            is(xs, 6 * ys)
            assert(#stolen > 0)
        ]]
    )

    it(
        "is told of nobody's errors, each once",
        alone [[
            local seen = {}
            function socket.onerror(task, message)
                is("failed", task:status())
                seen[#seen + 1] = message:match "mine (%d+)"
            end
            for i = 1, 20 do
                spawn(function()
                    socket.sleep(i % 3 / 1000)
                    error("mine " .. i)
                end)
            end
            socket.run()
            is(20, #seen)
        ]]
    )

    it(
        "and never gets what it waits for is gone with the Lua state",
        alone [[
            local a, b = socket.pair()
            for _ = 1, 5 do
                local ch = socket.channel()
                spawn(ch.get, ch)
                spawn(ch.put, ch, {})
                spawn(ch.get, socket.channel())
                spawn(socket.sleep, 1000)
                spawn(socket.resolve, "localhost", 1, 20)
            end
            spawn(b.read, b, 1)
            spawn(a.read, a, 1)
            a, b = nil, nil
            socket.sleep(0.01)
        ]]
    )
end)

describe("a finalizer that loads the module", function()
    t.guard()

    -- One that runs while the module is loaded for the first time; what it makes there stays good.
    it("makes sockets as good as any", function()
        local said = tools.run_lua [[
            local collect, sys = require "testcollect", require "testsys"
            local made = {}
            local function litter()
                local function finalizer()
                    if #made < 10 then
                        made[#made + 1] = require "ssocket".udp()
                        litter()
                    end
                end
                if newproxy then getmetatable(newproxy(true)).__gc = finalizer
                else setmetatable({}, { __gc = finalizer }) end
            end
            litter()
            collect.start(1)
            local socket = require "ssocket"
            collect.stop()
            for _ = 1, 5 do
                collectgarbage()
                local _ = ("x"):rep(5000)
            end
            for i = 1, #made do
                assert(made[i]:bind("127.0.0.1", 0) and made[i]:fileno() >= 0 and made[i]:close())
            end
            print((#made > 0 or _VERSION >= "Lua 5.4") and "well") -- there a finalizer cannot load it first
        ]]
        assert.equal("well\n", said)
    end)
end)

describe("sockets that a program drops", function()
    t.guard()

    -- In its own pace Lua 5.3 would leave thousands open.
    it("are closed before descriptors run out", function()
        local said = tools.run_lua(([[
            local socket, most = require "ssocket", 0
            for i = 1, %d do
                local a, b = socket.pair()
                local u = socket.udp()
                assert(a and u:bind("127.0.0.1", 0))
                most = math.max(most, u:fileno())
            end
            print(most < 1000 or most)
        ]]):format(t.in_tls and 2000 or 10000), 30) -- a handshake takes a millisecond
        assert.equal("true\n", said)
    end)
end)
