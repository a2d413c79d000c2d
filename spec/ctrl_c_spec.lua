-- Signals whose handlers set a hook, as those of `lua`, luajit and luaposix do: a call that waits lets the hook run,
-- which may raise. The programs are processes of their own.

local space = require "support.space"
local t = require "support.t"
local tools = require "support.tools"

local sys = t.sys
local LIMIT = 20 * t.slow

-- `go` says that the next call waits. The functions are global, as in a program of one line.
local PRELUDE = [[
    socket, sys = require "ssocket", require "testsys"
    function much() return ("x"):rep(2 ^ 24) end -- only where it is needed: there are a hundred of these programs
    function go() io.stdout:write("waits\n") io.stdout:flush() end
    function say(...) print(...) io.stdout:flush() end
    -- A TCP port whose queue is full, so that connecting to it takes long.
    function full_port()
        listener = assert(socket.listen("127.0.0.1", 0, { backlog = 0 }))
        held = {}
        repeat
            local s = socket.tcp()
            s:settimeout(0.05)
            held[#held + 1] = s
        until not s:connect(listener:getsockname())
        return listener:getsockname()[2]
    end
]]

local function start(code, ...)
    local argv = { ... }
    for word in (os.getenv "SSOCKET_LUA" or "lua"):gmatch "%S+" do
        argv[#argv + 1] = word
    end
    argv[#argv + 1] = "-e"
    argv[#argv + 1] = PRELUDE .. code
    return t.spawn(argv, true)
end

-- Whether the first thread of the process sleeps; it runs until it does (proc(5)).
local function sleeps(pid)
    local file = assert(io.open(("/proc/%d/stat"):format(pid)))
    local state = file:read("*a"):match "%) (%a)"
    file:close()
    return state == "S"
end

local function await_sleep(pid)
    local limit = sys.now() + LIMIT
    repeat
        assert(sys.now() < limit, "it does not sleep")
    until sleeps(pid)
end

-- How often it has begun to sleep.
local function sleeps_begun(pid)
    local file = assert(io.open(("/proc/%d/status"):format(pid)))
    local text = file:read "*a"
    file:close()
    return tonumber(text:match "\nvoluntary_ctxt_switches:%s*(%d+)")
end

-- Sends the signal once the program has said that it waits, and does.
local function signal_waiting(p, number)
    p:await "waits"
    await_sleep(p.pid)
    assert(sys.kill(p.pid, number))
end

local function check_end(p)
    local said = p:rest(LIMIT)
    local how, code = sys.wait(p.pid, LIMIT)
    p:forget()
    assert.truthy(said:find("interrupted!", 1, true), said)
    assert.truthy(said:find("stack traceback:", 1, true), said)
    assert.same({ "exit", 1 }, { how, code }, said)
end

local function check_interrupted(p)
    signal_waiting(p, sys.SIGINT)
    check_end(p)
end

local on_linux = tools.on_linux and it or pending

-- Each waits, without a deadline unless it says so.
local waits = {
    ["accept"] = [[ local l = socket.listen("127.0.0.1", 0) go() l:accept() ]],
    ["accept within a time"] = [[ local l = socket.listen("127.0.0.1", 0) l:settimeout(30) go() l:accept() ]],
    ["read"] = [[ local a, b = socket.pair() go() a:read(1) ]],
    ["read, the second time"] = [[ local a, b = socket.pair() b:write "xy" a:read(1) a:read(1) go() a:read(1) ]],
    ["read of TCP"] = [[
        local l = socket.listen("127.0.0.1", 0)
        local s = socket.connect(l:getsockname())
        local a = l:accept() go() a:read(10)
    ]],
    ["read with some of it there"] = [[ local a, b = socket.pair() b:write "xy" go() a:read(10) ]],
    ["read within a time"] = [[ local a, b = socket.pair() a:settimeout(30) go() a:read(1) ]],
    ["read within a short time"] = [[
        local a, b = socket.pair() a:settimeout(0.09) go() repeat a:read(1) until false
    ]],
    ["readsome"] = [[ local a, b = socket.pair() go() a:readsome(10) ]],
    ["readall"] = [[ local a, b = socket.pair() b:write "xy" go() a:readall() ]],
    ["readuntil"] = [[ local a, b = socket.pair() b:write "xy" go() a:readuntil "\n"() ]],
    ["readline"] = [[ local a, b = socket.pair() b:write "xy" go() a:readline() ]],
    ["peek"] = [[ local a, b = socket.pair() go() a:peek() ]],
    ["finish"] = [[ local a, b = socket.pair() go() a:finish() ]],
    ["recvfd"] = [[ local a, b = socket.pair() go() a:recvfd(1) ]],
    ["write"] = [[ local a, b = socket.pair() local text = much() go() a:write(text) ]],
    ["write of TCP"] = [[
        local l = socket.listen("127.0.0.1", 0)
        local s = socket.connect(l:getsockname())
        local a, text = l:accept(), much() go() a:write(text)
    ]],
    ["write of many strings"] = [[
        local a, b = socket.pair()
        local list = {} for i = 1, 3000 do list[i] = ("x"):rep(1000) end
        go() a:write(list)
    ]],
    ["write within a time"] = [[
        local a, b = socket.pair() local text = much() a:settimeout(30) go() a:write(text)
    ]],
    ["connect within a time"] = [[
        local port = full_port() local s = socket.tcp() s:settimeout(30) go() s:connect("127.0.0.1", port)
    ]],
    ["connect of a bound socket"] = [[
        local port = full_port() local s = socket.tcp() s:bind("127.0.0.1", 0) s:settimeout(30)
        go() s:connect("127.0.0.1", port)
    ]],
    ["connect to a Unix socket"] = [[
        local l = socket.tcp() assert(l:bind("unix:@ctrl_c" .. sys.getpid())) l:listen(0)
        local first, s = socket.tcp(), socket.tcp()
        assert(first:connect(l:getsockname())) go() s:connect(l:getsockname())
    ]],
    ["socket.connect"] = [[ local port = full_port() go() socket.connect("127.0.0.1", port, 30) ]],
    ["sleep"] = [[ go() socket.sleep(30) ]],
    ["sleep without end"] = [[ go() socket.sleep(math.huge) ]],
    ["select"] = [[ local a, b = socket.pair() go() socket.select({ a }) ]],
    ["select within a time"] = [[ local a, b = socket.pair() go() socket.select({ a }, nil, 30) ]],
    ["recv of datagrams"] = [[ local s = socket.udp() s:bind("127.0.0.1", 0) go() s:recv() ]],
    ["recvfrom"] = [[ local s = socket.udp() s:bind("127.0.0.1", 0) go() s:recvfrom() ]],
    ["recvfrom within a time"] = [[
        local s = socket.udp() s:bind("127.0.0.1", 0) s:settimeout(30) go() s:recvfrom()
    ]],
    ["recvmany"] = [[ local s = socket.udp() s:bind("127.0.0.1", 0) go() s:recvmany(10, 100) ]],
    ["send of Unix datagrams"] = [[
        local r, s = socket.udp(), socket.udp()
        assert(r:bind("unix:@ctrl_c" .. sys.getpid())) assert(s:connect(r:getsockname()))
        go() repeat s:send "x" until false
    ]],
    ["sendmany of Unix datagrams"] = [[
        local r, s = socket.udp(), socket.udp()
        assert(r:bind("unix:@ctrl_c" .. sys.getpid())) assert(s:connect(r:getsockname()))
        local list = {} for i = 1, 2000 do list[i] = "x" end
        go() s:sendmany(list)
    ]],
    ["run"] = [[ socket.spawn(socket.sleep, 30) go() socket.run() ]],
    ["run, the tasks being busy"] = [[
        socket.spawn(function() while true do socket.sleep(0.001) end end) go() socket.run()
    ]],
    ["loop:step"] = [[
        local loop = socket.loop()
        socket.spawn(socket.sleep, 30) go() while loop:step() do end
    ]],
    ["accept beside tasks"] = [[
        socket.spawn(function() while true do socket.sleep(0.001) end end)
        local l = socket.listen("127.0.0.1", 0) go() l:accept()
    ]],
    ["read beside tasks"] = [[
        socket.spawn(socket.sleep, 30)
        local a, b = socket.pair() a:settimeout(20) go() a:read(1)
    ]],
    ["sleep beside tasks"] = [[ socket.spawn(socket.sleep, 30) go() socket.sleep(20) ]],
    ["select beside tasks"] = [[
        socket.spawn(socket.sleep, 30)
        local a, b = socket.pair() go() socket.select({ a })
    ]],
    ["channel:get"] = [[ socket.spawn(socket.sleep, 30) local ch = socket.channel() go() ch:get() ]],
    ["channel:put"] = [[ socket.spawn(socket.sleep, 30) local ch = socket.channel() go() ch:put(1) ]],
    ["task:wait"] = [[ local task = socket.spawn(socket.sleep, 30) go() task:wait() ]],
    ["a call in a coroutine of the main program, on LuaJIT"] = [[
        if not jit then go() socket.sleep(30) end
        local a, b = socket.pair() go() assert(coroutine.resume(coroutine.create(function() a:read(1) end)))
    ]],
}

describe("Ctrl-C", function()
    t.guard()

    for name, code in pairs(waits) do
        on_linux("ends " .. name, function()
            check_interrupted(start(code))
        end)
    end

    on_linux("ends sendmany of Unix datagrams after some of them", function()
        local r = t.socket.udp()
        local name = "unix:@ctrl_c_some" .. sys.getpid()
        assert(r:bind(name))
        local p = start(([[
            local s = socket.udp() assert(s:connect(%q))
            local list = {} for i = 1, 2000 do list[i] = "x" end
            go() s:sendmany(list)
        ]]):format(name))
        p:await "waits"
        await_sleep(p.pid)
        local before = sleeps_begun(p.pid)
        assert(r:recvfrom()) -- room for one more
        local limit = sys.now() + LIMIT
        while sleeps_begun(p.pid) == before do
            assert(sys.now() < limit, "it does not go on")
        end
        assert(sys.kill(p.pid, sys.SIGINT))
        check_end(p)
        r:close()
    end)

    on_linux("ends a look-up", function()
        local here = space.open(nil, "timeout:9 attempts:2") or pending(space.why)
        here:nameserver()
        for _, code in ipairs {
            'go() socket.tcp():connect("silent.test.", 80)',
            'go() socket.resolve("silent.test.")',
            'local s = socket.tcp() s:settimeout(30) go() s:connect("silent.test.", 80)',
            'socket.spawn(socket.sleep, 30) go() socket.resolve("silent.test.", 80)',
        } do
            check_interrupted(start(code, tools.unpack(here:enter())))
        end
    end)

    on_linux("ends a connect to another machine, which does not answer", function()
        local here = space.open() or pending(space.why)
        check_interrupted(start('go() socket.tcp():connect("2001:db8::2", 80)', tools.unpack(here:enter())))
    end)

    on_linux("ends a server with tasks", function()
        local argv = {}
        for word in (os.getenv "SSOCKET_LUA" or "lua"):gmatch "%S+" do
            argv[#argv + 1] = word
        end
        argv[#argv + 1] = "examples/echo_tasks.lua"
        local p = t.spawn(argv, true)
        local address = p:await("listening on"):match "on (.*)$"
        local client = assert(t.socket.connect(address))
        assert(client:write "hello")
        assert.equal("hello", client:read(5))
        await_sleep(p.pid) -- on LuaJIT a task that computes may get the error
        assert(sys.kill(p.pid, sys.SIGINT))
        local said = p:rest(LIMIT)
        assert.same({ "exit", 1 }, { sys.wait(p.pid, LIMIT) }, said)
        p:forget()
        assert.truthy(said:find("interrupted!", 1, true), said)
        client:close()
    end)

    on_linux("is raised in the main program, not in the tasks", function()
        local p = start [[
            local a, b = socket.pair()
            socket.spawn(function() say("task", a:read(1)) end)
            socket.spawn(function() say("task", socket.sleep(30)) end)
            go()
            local ok, err = pcall(socket.run)
            say("main", ok, err)
            b:write "x"
            os.exit(0)
        ]]
        signal_waiting(p, sys.SIGINT)
        assert.truthy(p:finish(LIMIT):match "^main\tfalse\t.*interrupted!\n$")
    end)

    on_linux("loses nothing: the tasks and the calls go on afterwards", function()
        local p = start [[
            local a, b = socket.pair()
            local ch = socket.channel()
            b:write "ab"
            go()
            say(pcall(a.read, a, 4))
            b:write "cd"
            say(a:read(4))
            local task = socket.spawn(function() return a:read(4) end)
            local getter = socket.spawn(function() return ch:get() end)
            b:write "efgh"
            say(select(2, task:wait()))
            say(ch:put(1, 5), getter:wait())
        ]]
        signal_waiting(p, sys.SIGINT)
        local said = p:finish(LIMIT)
        assert.truthy(said:match "^false\t.*interrupted!\nabcd\nefgh\ntrue\ttrue\t1\n$", said)
    end)

    -- A task makes ready what the main program waits for, and then is interrupted. On LuaJIT the error is the task's.
    on_linux("takes nothing from a call that was about to end", function()
        local p = start [[
            sys.hook(sys.SIGUSR2, true, function() error "interrupted!" end) -- lua takes one SIGINT, and no second
            local l = socket.listen("127.0.0.1", 0)
            local from, to, other = socket.udp(), socket.udp(), socket.udp()
            to:bind("127.0.0.1", 0)
            other:bind("127.0.0.1", 0)
            local signals = socket.signals("USR1")
            local a, b = socket.pair()
            local function check(name, call, prepare)
                local task = socket.spawn(function()
                    prepare()
                    socket.sleep(0) -- both are ready in the next turn
                    sys.kill(sys.getpid(), sys.SIGUSR2)
                    socket.sleep(0)
                end)
                local ok, value = pcall(call)
                local ended, err = task:wait()
                say(name, ok or value:match "interrupted!" or value, ended or err:match "interrupted!" or err)
                say(ok and value or call())
            end
            local client = socket.tcp()
            check("accept", function()
                local s, err = l:accept()
                return s and s:read(5) or err
            end, function()
                client:connect(l:getsockname())
                client:write "hello"
            end)
            check("recvfrom", function()
                return (to:recvfrom())
            end, function()
                from:sendto("datagram", to:getsockname())
            end)
            check("recvmany", function()
                return other:recvmany(1, 100)[1]
            end, function()
                from:sendto("other", other:getsockname())
            end)
            check("get", function()
                return (signals:get())
            end, function()
                sys.kill(sys.getpid(), sys.SIGUSR1)
            end)
            check("read", function()
                return a:read(5)
            end, function()
                b:write "bytes"
            end)
        ]]
        local expected = {}
        for _, pair in ipairs {
            "accept hello", "recvfrom datagram", "recvmany other", "get USR1", "read bytes",
        } do
            local name, value = pair:match "^(%S+) (%S+)$"
            expected[#expected + 1] = name .. (jit and "\ttrue\tinterrupted!" or "\tinterrupted!\ttrue")
            expected[#expected + 1] = value
        end
        assert.same(expected, { p:finish(LIMIT):match(("([^\n]*)\n"):rep(#expected)) })
    end)
end)

describe("a hook that a signal handler sets", function()
    t.guard()

    for _, restart in ipairs { "false", "true" } do
        local set = "sys.hook(sys.SIGUSR1, " .. restart .. ", function() %s end) "
        local how = restart == "true" and " (SA_RESTART)" or ""

        local function check(expected, hook, code)
            local p = start(set:format(hook) .. code)
            signal_waiting(p, sys.SIGUSR1)
            assert.equal(expected, p:finish(LIMIT))
        end

        on_linux("runs when the signal comes, and the call goes on" .. how, function()
            check("hook\nabcd\n", [[say "hook" b:write "cd"]], [[
                a, b = socket.pair() b:write "ab" go() say(a:read(4))
            ]])
            check("hook\nabcd\n", [[say "hook" b:write "cd"]], [[
                a, b = socket.pair() a:settimeout(20) b:write "ab" go() say(a:read(4))
            ]])
            check("hook\ntrue\n", [[say "hook"]], [[ go() say(socket.sleep(0.5)) ]])
            check("hook\n1\n", [[say "hook" b:write "x"]], [[
                a, b = socket.pair() go() say(#socket.select({ a }))
            ]])
            check("hook\n1\n", [[say "hook" ch:put(1, 0)]], [[
                ch = socket.channel(1) socket.spawn(socket.sleep, 0.5) go() say(ch:get())
            ]])
            check("hook\n1\ntrue\n2\n", [[say "hook" say(ch:get(0))]], [[
                ch = socket.channel(1) ch:put(1) socket.spawn(socket.sleep, 0.5) go() say(ch:put(2)) say(ch:get())
            ]])
            check("hook\ntrue\t1\n", [[say "hook" ch:put(1) socket.sleep(0)]], [[
                ch = socket.channel(1)
                local task = socket.spawn(function() return ch:get() end)
                socket.spawn(socket.sleep, 0.5)
                go() say(task:wait())
            ]])
            check("hook\n16777216\n", [[
                say "hook" socket.spawn(function() while b:readsome(2 ^ 20) do end end)
            ]], [[ a, b = socket.pair() text = much() go() say(("%.0f"):format(a:write(text))) ]])
        end)

        on_linux("may close the socket that the call waits on" .. how, function()
            local closed = "nil\t" .. t.socket.ERROR_CLOSED
            check(closed .. "\t\n", "a:close()", [[ a, b = socket.pair() b:write "ab" go() say(a:read(4)) ]])
            check(closed .. "\n", "l:close()", [[ l = socket.listen("127.0.0.1", 0) go() say(l:accept()) ]])
            check(closed .. "\n", "s:close()", [[ s = socket.udp() s:bind("127.0.0.1", 0) go() say(s:recv()) ]])
            check("nil\tnil\t" .. t.text "EBADF" .. "\n", "a:close()", [[
                a, b = socket.pair() go() say(socket.select({ a, b }))
            ]])
            check("nil\tnil\t" .. t.text "EBADF" .. "\n", "a:close()", [[
                a, b = socket.pair() socket.spawn(socket.sleep, 30):background() go() say(socket.select({ a, b }))
            ]])
        end)

        on_linux("may take what the call has received" .. how, function()
            for _, call in ipairs { 'readuntil ";"()', "read(5)", "readline()" } do
                local expected = ({ ['readuntil ";"()'] = "de", ["read(5)"] = "de;\nf", ["readline()"] = "de;" })[call]
                check("abc\n" .. expected .. "\n", [[say(a:read(3)) b:write "de;\nf"]], [[
                    a, b = socket.pair() b:write "abc" go() say(a:]] .. call .. [[)
                ]])
            end
        end)

        on_linux("may start tasks, which run while the call goes on" .. how, function()
            check("task\nxy\n", [[socket.spawn(function() say "task" b:write "xy" end)]], [[
                a, b = socket.pair() go() say(a:read(2))
            ]])
            check("task\ntrue\n", [[socket.spawn(say, "task")]], [[ go() say(socket.sleep(0.3)) ]])
            check("task\n1\n", [[socket.spawn(function() say "task" b:write "xy" end)]], [[
                a, b = socket.pair() go() say(#socket.select({ a }))
            ]])
        end)

        on_linux("may raise, and what the call holds is freed" .. how, function()
            check("false\toops\t0\n", [[error("oops", 0)]], [[
                local port = full_port()
                local before = #sys.fds()
                local s = socket.tcp()
                s:settimeout(30)
                go()
                local ok, err = pcall(s.connect, s, "127.0.0.1", port)
                say(ok, err, #sys.fds() - before)
            ]])
        end)
    end

    -- One that stays, as a debugger's or a profiler's does.
    on_linux("does not make a call longer that many signals interrupt", function()
        local p = start [[
            sys.disposition(sys.SIGUSR1, "count_restart")
            debug.sethook(function() end, "crl")
            local a, b = socket.pair()
            local l = socket.listen("127.0.0.1", 0)
            go()
            for _, seconds in ipairs { 0.06, 0.2 } do
                a:settimeout(seconds)
                l:settimeout(seconds)
                for _, call in ipairs {
                    function() return a:read(1) end, function() return a:readuntil "\n"() end,
                    function() return l:accept() end,
                    function() return select(2, socket.select({ a }, nil, seconds)) end,
                    function() return socket.sleep(seconds) end,
                } do
                    local began = sys.now()
                    call()
                    local took = sys.now() - began
                    assert(took >= seconds and took < seconds + 2, took)
                end
            end
            debug.sethook()
            say(sys.caught() > 20 and "many signals" or "few signals")
        ]]
        p:await "waits"
        local sender = space.signals(p)
        assert.equal("many signals", p:line(LIMIT))
        sender:kill()
        p:finish(LIMIT)
    end)
end)
