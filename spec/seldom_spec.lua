-- What programs seldom come to: the last descriptor, calls in a state that is being closed, settings that are handed
-- down.

local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"
local weather = require "support.weather"

local socket, sys = t.socket, t.sys

-- Runs f while this process can have no more descriptors.
local function without_descriptors(f)
    local soft = sys.nofile()
    local spare = assert(sys.dup(0)) -- the lowest that is free
    sys.close(spare)
    sys.nofile(spare)
    local ok, err = pcall(f)
    sys.nofile(soft)
    assert(ok, err)
end

local SO_RCVTIMEO, SO_SNDTIMEO = 20, 21 -- on Linux

describe("without a free descriptor", function()
    tasks.guard()

    it("a datagram socket takes no peer, sends nothing and stays as it is", function()
        local u = socket.udp()
        without_descriptors(function()
            t.fails(t.text "EMFILE", nil, u:connect("127.0.0.1", 9))
            t.fails(t.text "EMFILE", nil, u:sendto("x", "127.0.0.1", 9))
            t.fails(t.text "EMFILE", nil, u:bind("*", 0))
        end)
        assert.equal(-1, u:fileno())
        assert.is_true(u:bind("127.0.0.1", 0))
        assert.is_true(u:sendto("x", u:getsockname()))
        assert.equal("x", u:recv())
        u:close()
    end)

    it("tasks are made, wait and go on, also those who wait for descriptors", function()
        t.only_in_main "the first task is there"
        local said = tools.run_lua [[
            local socket, sys = require "ssocket", require "testsys"
            local a, b = socket.pair()
            local c, d = socket.pair()
            local soft, spare = sys.nofile(), sys.dup(0)
            sys.close(spare)
            sys.nofile(spare)
            local reader = socket.spawn(a.read, a, 4)
            local writer = socket.spawn(function()
                socket.sleep(0.001)
                b:write "ab"
                assert(#socket.select({ c }, { d }, 5) == 0)
                b:write "cd"
                return "written"
            end)
            assert(socket.sleep(0.01))
            assert(select(2, writer:wait(5)) == "written")
            assert(select(2, reader:wait(5)) == "abcd")
            assert(socket.loop():pollfd() == nil)
            c:settimeout(0.01)
            assert(select(2, c:read(1)) == socket.ERROR_TIMEOUT)
            local late = socket.spawn(c.read, c, 1)
            socket.sleep(0)
            sys.nofile(soft)
            d:write "x"
            assert(select(2, late:wait(5)) == "x")
            assert(socket.loop():pollfd() >= 0)
            print "all"
        ]]
        assert.equal("all\n", said)
    end)

    it("a child process runs its tasks without a poller of its own", function()
        t.only_in_main "the child would end within the loop"
        local near, far = assert(sys.socketpair(sys.SOCK_STREAM))
        local pid = assert(sys.fork())
        if pid == 0 then
            local ok, err = pcall(function()
                local task = socket.spawn(socket.sleep, 0.001)
                local soft = sys.nofile()
                without_descriptors(function()
                    sys.nofile(0) -- the parent's poller goes first, and its number must not do
                    t.fails(t.text "EMFILE", nil, socket.loop():pollfd())
                    socket.run()
                end)
                sys.nofile(soft)
                assert(task:wait(0))
            end)
            sys.send(far, ok and "" or tostring(err), 5)
            sys._exit(ok and 0 or 1)
        end
        sys.close(far)
        assert.equal("", sys.read(near, 65536, 20 * t.slow))
        assert.same({ "exit", 0 }, { sys.wait(pid, 20 * t.slow) })
        sys.close(near)
    end)
end)

-- For a Python peer: waits until the process with that number sleeps.
local ASLEEP = [[
def await_sleep(pid):
    while open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "S": pass
]]

describe("what is small", function()
    t.guard()

    it("arrives whole when there is room for a part of it, and for the rest later", function()
        t.only_in_main "tasks never wait in the kernel"
        local taker = "hear(); await_sleep(argv[0]); data = drain(s); say(len(data), digest(data))"
        local s, p = t.with_python(ASLEEP .. taker, sys.getpid())
        local sent = {}
        p:say "go" -- reads when this process sleeps, since there is no more room
        for i = 1, 3000 do
            local data = t.random(3000, i)
            sent[i] = data
            assert.equal(3000, s:write(i % 2 == 0 and data or { data:sub(1, 500), data:sub(501) }))
        end
        s:close()
        local whole = table.concat(sent)
        assert.equal(("%d %.0f\n"):format(#whole, sys.crc32(whole)), p:finish())
    end)
end)

describe("a task that goes on after it was cancelled", function()
    tasks.guard()

    it("is told so by each call that would have to wait, its turn or not", function()
        local a, b = socket.pair()
        a:settimeout(3)
        local task
        task = tasks.spawn(function()
            task:cancel()
            local began = t.now()
            for _ = 1, 300 do
                t.fails(socket.ERROR_CANCELLED, "", a:read(1))
                assert.is_true(t.now() - began < 2, "it has waited")
            end
            assert.equal(1, b:write "x")
            assert.equal("x", a:read(1))
        end)
        tasks.join(task)
        a:close()
        b:close()
    end)
end)

describe("what a descriptor is told for a wait", function()
    t.guard()

    it("is not left on an accepted socket that is to wait for ever", function()
        t.only_in_main "tasks never wait in the kernel"
        local listener, silent = socket.tcp(), socket.tcp()
        assert(listener:bind("127.0.0.1", 0) and silent:bind("127.0.0.1", 0))
        listener:settimeout(3)
        t.fails(socket.ERROR_REFUSED, nil, listener:connect(silent:getsockname()))
        silent:close()
        assert.equal(2, listener:getopt(sys.SOL_SOCKET, SO_SNDTIMEO))
        assert(listener:listen())
        local p = t.python(ASLEEP .. "s = connect(argv[0]); hear(); await_sleep(argv[1]); say(len(drain(s)))",
            listener:getsockname()[2], sys.getpid())
        listener:settimeout(3 * t.slow) -- Python begins
        local accepted = assert(listener:accept())
        assert.equal(2, accepted:getopt(sys.SOL_SOCKET, SO_SNDTIMEO)) -- handed down by the system
        accepted:settimeout(0)
        while accepted:write(t.much) do -- until there is no room
            assert(true)
        end
        accepted:settimeout(-1)
        p:say "go" -- reads when this process sleeps, which it does in the kernel
        assert.equal(#t.much, accepted:write(t.much))
        assert.equal(1000000, accepted:getopt(sys.SOL_SOCKET, SO_SNDTIMEO)) -- 11 days, so that signals end the wait
        accepted:close()
        listener:close()
        assert.is_true(tonumber(p:line()) > #t.much)
        p:finish()
    end)

    it("is not left on one that is given away", function()
        t.only_in_main "tasks never wait in the kernel"
        local a, b = socket.pair()
        b:settimeout(1.5)
        t.fails(socket.ERROR_TIMEOUT, "", b:read(1))
        local fd = b:fileno()
        assert.equal(1, b:getopt(sys.SOL_SOCKET, SO_RCVTIMEO))
        assert.equal(fd, b:detach())
        local other = assert(socket.fromfd(fd))
        assert.equal(0, other:getopt(sys.SOL_SOCKET, SO_RCVTIMEO))
        a:close()
        other:close()
    end)
end)

describe("an open socket", function()
    t.guard()

    it("is bound to a port of its family when none was named", function()
        local u = socket.udp()
        assert(u:join("239.255.77.9", "lo"))
        assert.is_true(u:bind("*", 0))
        assert.equal("0.0.0.0", u:getsockname()[1])
        assert.is_true(u:getsockname()[2] > 0)
        u:close()
    end)

    it("cannot be bound twice", function()
        for _, s in ipairs { socket.tcp(), socket.udp() } do
            assert(s:bind("*", 0))
            local name = tostring(s:getsockname())
            t.fails(t.text "EINVAL", nil, s:bind("*", 0))
            assert.equal(name, tostring(s:getsockname()))
            s:close()
        end
    end)

    it("whose datagrams may have been joined is not given away while some wait", function()
        if weather.is_bad then
            return pending "whether they may be was tried once, in another weather, and perhaps in vain"
        end
        local u, v = socket.udp(), socket.udp()
        assert(u:bind("127.0.0.1", 0))
        assert(v:connect(u:getsockname()))
        u:settimeout(5)
        assert(v:send "one")
        assert.same({ "one" }, (u:recvmany(1, 100)))
        assert(v:send "two")
        assert(socket.select({ u }, nil, 5))
        t.fails("Unread bytes are pending", nil, u:detach())
        assert.equal("two", u:recv())
        local fd = assert(u:detach())
        sys.close(fd)
        v:close()
    end)
end)

describe("a descriptor of a family that is not ours", function()
    t.guard()

    it("stays the caller's", function()
        local AF_NETLINK = 16
        local fd = sys.socket(AF_NETLINK, sys.SOCK_DGRAM)
        if not fd then
            return pending "there is no such family here"
        end
        t.fails(t.text "EAFNOSUPPORT", nil, socket.fromfd(fd))
        assert.is_true(sys.isopen(fd))
        sys.close(fd)
    end)
end)

describe("the text of", function()
    t.guard()

    it("a loop and an address", function()
        assert.equal("<loop>", tostring(socket.loop()))
        local s = socket.tcp()
        assert(s:bind("127.0.0.1", 0))
        local text = debug.getmetatable(s:getsockname()).__tostring
        assert.matches("address expected", t.rejects(text, {}))
        s:close()
    end)
end)

describe("failures that nobody has seen", function()
    tasks.guard()

    it("are counted where they are too many to be kept", function()
        t.only_in_main "socket.run is called"
        for i = 1, 1010 do
            socket.spawn(error, "failure " .. i)
        end
        local err = tasks.raises("and 10 tasks more", socket.run)
        assert.matches("another task failed", err, 1, true)
        socket.run() -- each is told once
    end)

    it("are counted for socket.onerror as well, which is told of the kept ones and of how many more", function()
        t.only_in_main "socket.run is called"
        for i = 1, 1010 do
            socket.spawn(error, "failure " .. i)
        end
        for _ = 1, 3 do
            socket.loop():step(0)
            t.collect() -- their handles go before anybody asks
        end
        local n, more = 0, nil
        function socket.onerror(task, message)
            n = n + (task and 1 or 0)
            more = not task and message or more
        end
        socket.run()
        assert.same({ 1000, "10 tasks more have failed" }, { n, more })
    end)
end)

describe("a channel", function()
    tasks.guard()

    -- After 64 calls that did not wait it is the others' turn, and one of them, whose time has come before, takes the
    -- value.
    it("gives without time to one who comes while it is his turn", function()
        local ch = socket.channel()
        local got, gave
        tasks.spawn(function()
            socket.sleep(0.001)
            got = ch:get(5)
        end)
        local giver = tasks.spawn(function()
            local own, due = socket.channel(1), t.now() + 0.01
            while t.now() < due do -- the other's sleep is over, and nobody has seen that yet
                assert(own)
            end
            for _ = 1, 32 do
                assert(own:put(1) and own:get())
            end
            gave = ch:put("value", 0)
        end)
        tasks.join(giver)
        tasks.settle()
        assert.is_true(gave)
        assert.equal("value", got)
    end)
end)

describe("in a Lua state that is being closed", function()
    t.guard()

    it("the last finalizers find nothing that still works, and nothing that breaks", function()
        local said = tools.run_lua [[
            local held = {}
            local function finalizer()
                local socket = held.socket
                for name, argument in pairs { spawn = print, run = 1, channel = 1, loop = 1 } do
                    local ok, err = pcall(socket[name], argument)
                    print(ok, (tostring(err):gsub("^.*: ", "")))
                end
                for _, name in ipairs { "task", "channel" } do
                    local gc = held[name .. "_gc"]
                    gc(held[name])
                    local object = held[name]
                    print((pcall(function() return (object.close or object.status)(object) end)))
                end
                held.tasks_gc(held.tasks)
            end
            if newproxy then
                held.proxy = newproxy(true)
                getmetatable(held.proxy).__gc = finalizer
            else
                held.first = setmetatable({}, { __gc = finalizer })
            end
            local socket = require "ssocket"
            held.socket = socket
            held.channel, held.task = socket.channel(), socket.spawn(socket.sleep, 100)
            socket.spawn(held.channel.get, held.channel)
            socket.sleep(0)
            held.task_gc = debug.getmetatable(held.task).__gc
            held.channel_gc = debug.getmetatable(held.channel).__gc
            for _, value in pairs(debug.getregistry()) do
                local mt = type(value) == "userdata" and debug.getmetatable(value)
                if mt and mt.__gc and value ~= held.channel and not mt.__index and not mt.__name then
                    held.tasks, held.tasks_gc = value, mt.__gc
                end
            end
        ]]
        assert.equal(("false\tthe Lua state is being closed\n"):rep(4) .. "false\nfalse\n", said)
    end)
end)
