-- Tasks and fork: the child has them all, and nothing that it does disturbs the parent's.

local t = require "support.t"
local tasks = require "support.tasks"

local socket, sys = t.socket, t.sys
local spawn, join = tasks.spawn, tasks.join

-- Runs f in a child; returns what waits for its end and for success. Its error is what fails. While it runs it has the
-- parent's tasks as well, which share their sockets: what is for the parent is sent when it has ended.
local function fork(f)
    local near, far = assert(sys.socketpair(sys.SOCK_STREAM))
    local pid = assert(sys.fork())
    if pid == 0 then
        sys.watchdog(20)
        local ok, err = pcall(f)
        if not ok then
            sys.send(far, tostring(err), 5)
        end
        sys._exit(ok and 0 or 1)
    end
    sys.close(far)
    return function()
        local said = sys.read(near, 65536, 20 * t.slow)
        local how, code = sys.wait(pid, 20 * t.slow)
        sys.close(near)
        assert.same({ "", "exit", 0 }, { said, how, code })
    end
end

-- What the parent has at the fork: a reader, a writer, an acceptor, a sleeper, one at a channel; and what wakes them.
-- The sleeper sleeps for so many seconds, or 0.05.
local function situation(seconds)
    local self = { channel = socket.channel() }
    self.a, self.b = socket.pair()
    self.c, self.d = t.connected()
    self.listener, self.address = t.listener()
    self.reader = spawn(function()
        return self.a:read(10)
    end)
    self.writer = spawn(function()
        return self.c:write(t.much)
    end)
    self.acceptor = spawn(function()
        local s = assert(self.listener:accept())
        return s:close()
    end)
    self.sleeper = spawn(socket.sleep, (seconds or 0.05) * t.slow)
    self.getter = spawn(self.channel.get, self.channel)
    tasks.settle()
    assert(self.b:write "12345")
    tasks.settle()
    return self
end

-- In the parent: each of them ends as if there had been no child.
local function check_all(self)
    assert(self.b:write "67890")
    assert.equal("1234567890", join(self.reader))
    assert.is_true(self.d:read(#t.much) == t.much)
    assert.equal(#t.much, join(self.writer))
    local client = socket.tcp()
    assert(client:connect(self.address))
    assert.equal(1, join(self.acceptor))
    assert(self.channel:put "value")
    assert.equal("value", join(self.getter))
    assert.is_true(join(self.sleeper))
    for _, s in ipairs { client, self.a, self.b, self.c, self.d, self.listener } do
        s:close()
    end
end

describe("after a fork", function()
    tasks.guard()

    it("the child makes tasks of its own, and the parent's go on", function()
        local all = situation()
        local wait = fork(function()
            local a, b = socket.pair()
            local reader = socket.spawn(a.read, a, 3)
            socket.sleep(0.002)
            assert(b:write "abc")
            assert(select(2, reader:wait(5)) == "abc")
        end)
        wait()
        check_all(all)
    end)

    it("the child goes on with its copies, whose sockets they share", function()
        local a, b = socket.pair()
        local reader = spawn(function()
            return a:read(3)
        end)
        local sleeper = spawn(socket.sleep, 0.01)
        tasks.settle()
        local wait = fork(function()
            assert(sleeper:wait(5))
            assert(b:write "for")
            local ok, data = reader:wait(5)
            assert(ok and data == "for")
        end)
        wait() -- the child has taken those bytes
        assert.equal("waiting", reader:status())
        assert(b:write "own")
        assert.equal("own", join(reader))
        assert.is_true(join(sleeper))
        a:close()
        b:close()
    end)

    -- The parent has registered what the child goes on with, and can't take that back once it has closed its own.
    it("the child goes on with a socket that the parent has closed, and does not wake the parent", function()
        local a, b = socket.pair()
        local reader = spawn(a.read, a, 1)
        tasks.settle()
        local wait = fork(function()
            local near, far, began = a:fileno(), b:fileno(), os.clock()
            repeat
                assert(sys.send(far, "x", 5))
                assert(sys.read(near, 1, 5) == "x")
            until os.clock() - began > 0.4
        end)
        a:close()
        t.fails(socket.ERROR_CLOSED, "", join(reader))
        local began = os.clock()
        socket.sleep(0.3)
        assert.is_true(os.clock() - began < 0.03 * t.slow, "it is woken again and again")
        wait()
        b:close()
    end)

    it("the child may close all sockets, and the parent's tasks still hear of theirs", function()
        local all = situation()
        local wait = fork(function()
            for _, key in ipairs { "a", "b", "c", "d", "listener" } do
                all[key]:close()
            end
            local ok, data, err = all.reader:wait(5)
            assert(ok and data == nil and err == socket.ERROR_CLOSED)
            assert(all.sleeper:wait(5))
        end)
        wait()
        check_all(all)
    end)

    it("the child may cancel all tasks, and end by itself", function()
        local all = situation(3) -- still asleep when it is cancelled, also on a slow machine
        local wait = fork(function()
            for _, key in ipairs { "reader", "writer", "acceptor", "sleeper", "getter" } do
                assert(all[key]:cancel())
                all[key]:wait(5)
            end
            socket.run()
        end)
        wait()
        check_all(all)
    end)

    -- With its own descriptor, which is bound: the child has the very same connect under way.
    it("the child may end or close a socket that connects, and the parent's goes on", function()
        for _, how in ipairs { "exit", "cancel", "close" } do
            local listener, address = t.listener()
            assert(listener:listen(0))
            local queue = {} -- it is full
            for i = 1, 2 do
                queue[i] = socket.tcp()
                queue[i]:settimeout(0.1)
                queue[i]:connect(address)
            end
            local s = socket.tcp()
            assert(s:bind("127.0.0.1", 0))
            s:settimeout(20)
            local connecting = spawn(s.connect, s, address)
            tasks.settle()
            assert.equal("waiting", connecting:status())
            io.stdout:flush() -- the child writes what is left there when it exits
            fork(function()
                if how == "close" then
                    s:close()
                elseif how == "cancel" then
                    connecting:cancel()
                    connecting:wait(5)
                else
                    os.exit(0, true)
                end
            end)()
            listener:settimeout(5)
            local first = assert(listener:accept())
            assert.is_true(join(connecting, 15))
            for _, one in ipairs { first, s, listener, queue[1], queue[2] } do
                one:close()
            end
        end
    end)

    -- A fork must not catch a thread that ends: sanitizers hold locks of their own there, which the child inherits.
    local function wait_for_threads()
        local limit = t.now() + 10 * t.slow
        while true do
            local status = io.open "/proc/self/status"
            local n = status and tonumber(status:read("*a"):match "Threads:%s*(%d+)") or 1
            if status then
                status:close()
            end
            if n == 1 then
                return
            end
            assert(t.now() < limit, n .. " threads")
        end
    end

    -- With sanitizers a child that leaks the parent's resolver does not exit with 0.
    it("the child frees what look-ups before the fork have left, whether it looks up a name or not", function()
        assert(socket.resolve("localhost", 1, 5))
        wait_for_threads()
        for _, n in ipairs { 0, 1, 2 } do
            io.stdout:flush()
            fork(function()
                for _ = 1, n do
                    assert(socket.resolve("localhost", 1, 5))
                end
                wait_for_threads()
                os.exit(0, true)
            end)()
        end
    end)

    it("the child may end without a word, while the parent waits", function()
        local all = situation()
        local wait = fork(function() end)
        wait()
        check_all(all)
    end)

    it("the child may do nothing at all for long, and be gone later", function()
        local all = situation()
        local near, far = sys.socketpair(sys.SOCK_STREAM)
        local wait = fork(function()
            sys.close(near)
            sys.read(far, 1, 10)
        end)
        check_all(all)
        sys.close(near)
        sys.close(far)
        wait()
    end)

    it("by a task, both go on in it", function()
        local a, b = socket.pair()
        local pid = tasks.run(function()
            local other = spawn(a.read, a, 2)
            socket.sleep(0.001)
            local child = assert(sys.fork())
            if child == 0 then
                sys.watchdog(20)
                socket.sleep(0.001)
                local sent = b:write "me"
                local ok, data = other:wait(5)
                sys._exit(sent == 2 and ok and data == "me" and 0 or 1)
            end
            assert.same({ "exit", 0 }, { sys.wait(child, 20) })
            socket.sleep(0.001)
            assert(b:write "we")
            assert.equal("we", join(other))
            return child
        end)
        assert.is_true(pid > 0)
        a:close()
        b:close()
    end)

    it("grandchildren do as well", function()
        local all = situation()
        local wait = fork(function()
            assert(select(2, spawn(tostring, "child"):wait(5)) == "child")
            fork(function()
                assert(all.sleeper:wait(5))
                assert(select(2, spawn(tostring, "grandchild"):wait(5)) == "grandchild")
            end)()
            assert(all.sleeper:wait(5))
        end)
        wait()
        check_all(all)
    end)

    it("the loop's descriptor is the child's own", function()
        local a, b = socket.pair()
        local reader = spawn(function()
            return a:read(1)
        end)
        tasks.settle()
        local before = sys.fdname(socket.loop():pollfd())
        local wait = fork(function()
            local loop = socket.loop()
            assert(loop:step(0))
            assert(sys.isopen(loop:pollfd()))
            b:write "x"
            assert(socket.select({ loop:pollfd() }, nil, 5))
            while loop:step(5) do
                assert(reader:status() ~= "done") -- one step may have been for nothing
            end
            assert(reader:status() == "done")
        end)
        wait()
        assert.equal(before, sys.fdname(socket.loop():pollfd()))
        assert(b:write "y")
        assert.equal("y", join(reader))
        a:close()
        b:close()
    end)

    it("many children leave no descriptor behind in the parent", function()
        local sleeper = spawn(socket.sleep, 100)
        tasks.settle()
        local before = t.fds()
        for _ = 1, 20 do
            fork(function()
                socket.sleep(0.001)
            end)()
            socket.sleep(0)
        end
        assert.equal(before, t.fds())
        sleeper:cancel()
    end)
end)
