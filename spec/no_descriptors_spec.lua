-- The limit on descriptors is lowered to 0 when the sockets are open (setrlimit(2)), as a program does that wants no
-- more of them. What is open goes on; what needs another descriptor says so; nothing spins, and every wait ends.

local t = require "support.t"
local tools = require "support.tools"

-- What each program begins with. `quick` runs a call that must not use the processor while it waits.
local PRELUDE = [[
    local socket, sys = require "ssocket", require "testsys"
    local NO_MORE = sys.strerror(sys.EMFILE)

    local function quick(seconds, f, ...)
        local began, used = sys.now(), os.clock()
        local function check(...)
            local took, spent = sys.now() - began, os.clock() - used
            assert(took >= seconds and took < seconds + 2 * SLOW, ("took %.3f s"):format(took))
            assert(spent < 0.1 * SLOW, ("used %.3f s of the processor"):format(spent))
            return ...
        end
        return check(f(...))
    end

    local function fails(err, value, ...)
        local first, second = ...
        local got = first == nil and second or first
        assert(value == nil and got == err, ("%s, %s and not %s"):format(tostring(value), tostring(got), err))
    end

    local function timed(s)
        s:settimeout(0.2)
        return s
    end

    local a, b = socket.pair()
    local listener, client, u, late = timed(socket.tcp()), timed(socket.tcp()), timed(socket.udp()), timed(socket.tcp())
    assert(timed(a) and timed(b) and listener:bind("127.0.0.1", 0) and listener:listen())
    assert(client:connect(listener:getsockname()) and u:bind("127.0.0.1", 0) and late:bind("127.0.0.1", 0))
    socket.loop():pollfd()
    local had = sys.nofile()
    assert(sys.nofile(0) == 0)
]]

-- Runs the code in the main program, or in a task.
local function run(code, in_task)
    local prelude = PRELUDE:gsub("SLOW", tostring(t.slow))
    if in_task then
        code = "local task = socket.spawn(function() " .. code .. " end) assert(task:wait(20))"
    end
    tools.run_lua(prelude .. code .. "\nsys.nofile(had)", 30) -- sanitizers look at the process when it ends
end

describe("without a descriptor to be had", function()
    t.guard()

    for place, in_task in pairs { ["in the main program"] = false, ["in a task"] = true } do
        it("what is open goes on " .. place, function()
            run([[
                assert(a:write "one\ntwo" == 7)
                assert(b:readuntil "\n"() == "one" and b:read(3) == "two")
                fails(socket.ERROR_TIMEOUT, quick(0.2, b.read, b, 1))
                assert(u:sendto("datagram", u:getsockname()) and u:recv() == "datagram")
                fails(socket.ERROR_TIMEOUT, quick(0.2, u.recv, u))
                assert(quick(0.2, socket.sleep, 0.2))
                local all = 0
                repeat
                    local n, err, sent = a:write(("x"):rep(100000))
                    all = all + (n or sent)
                until err == socket.ERROR_TIMEOUT
                assert(#b:read(all) == all)
                a:close()
                fails(socket.ERROR_CLOSED, b:read(1))
            ]], in_task)
        end)

        it("what needs one says so " .. place, function()
            run([[
                fails(NO_MORE, socket.pair())
                fails(NO_MORE, socket.tcp():connect(listener:getsockname()))
                fails(NO_MORE, socket.udp():bind("127.0.0.1", 0))
                fails(NO_MORE, quick(0, listener.accept, listener))
                fails(NO_MORE, quick(0, socket.resolve, "localhost", 80, 5))
                assert(socket.resolve("127.0.0.1", 80))
            ]], in_task)
        end)

        it("select and a connect under way end " .. place, function()
            run([[
                fails(socket.ERROR_TIMEOUT, quick(0, socket.select, { b }, nil, 0))
                fails(socket.ERROR_TIMEOUT, quick(0.2, socket.select, { b }, nil, 0.2))
                a:write "x"
                local readers = assert(quick(0, socket.select, { b }, nil, 5))
                assert(#readers == 1 and readers[1] == b)
                assert(quick(0, late.connect, late, listener:getsockname()))
            ]], in_task)
        end)
    end

    -- Nobody has made a poller before the limit: `limit` lets poll(2) do its work, or not.
    for limit, how in pairs { next = "poll", ["0"] = "select" } do
        it("tasks wait by " .. how .. ", and many that are always ready keep nobody waiting", function()
            local prelude = PRELUDE:gsub("SLOW", tostring(t.slow)):gsub("socket.loop.*$", "")
            local code = ([[
                local near, far, passed, stop = {}, {}, 0, false
                for i = 1, 300 do
                    near[i], far[i] = socket.pair()
                end
                local high, other = socket.pair()
                local next = assert(sys.dup(0)) -- no number below it is free
                sys.close(next)
                local limit, had = LIMIT, sys.nofile()
                assert(high:fileno() > 600 and sys.nofile(limit) == limit)
                local reader = socket.spawn(function()
                    timed(high)
                    fails(socket.ERROR_TIMEOUT, quick(0.2, high.read, high, 1))
                    high:settimeout(10)
                    return high:read(1)
                end)
                assert(quick(0.3, socket.sleep, 0.3))
                local function pass_on(s)
                    s:write "x"
                    while not stop and passed < 50000 and s:read(1) do
                        passed = passed + 1
                        s:write "x"
                    end
                end
                for i = 1, 300 do
                    socket.spawn(pass_on, near[i])
                    socket.spawn(pass_on, far[i])
                end
                socket.sleep(0)
                assert(other:write "y")
                local ok, data = reader:wait(20)
                stop = true
                assert(ok and data == "y" and passed < 10000, passed)
            ]]):gsub("LIMIT", limit)
            tools.run_lua(prelude .. code .. "\nsys.nofile(had)", 30) -- sanitizers look at the process when it ends
        end)
    end

    it("tasks begin, wait and are told what needs one, before one of them has waited for a descriptor", function()
        local prelude = PRELUDE:gsub("SLOW", tostring(t.slow)):gsub("socket.loop%(%):pollfd%(%)", [[
            local function next_free()
                local fd = assert(sys.dup(0))
                sys.close(fd)
                return fd
            end
            local free = next_free()
            local channel = socket.channel()
            local function give()
                assert(quick(0.1, socket.sleep, 0.1))
                return channel:put "value"
            end
            local giver = socket.spawn(give)
            assert(channel:get() == "value" and giver:wait() and next_free() == free)
        ]])
        tools.run_lua(prelude .. [[
            giver = socket.spawn(give)
            assert(channel:get() == "value" and giver:wait())
            local task = socket.spawn(listener.accept, listener)
            socket.run()
            local ok, client, err = task:wait()
            assert(ok and client == nil and err == NO_MORE, tostring(err))
            local function read()
                fails(socket.ERROR_TIMEOUT, quick(0.2, b.read, b, 1))
                b:settimeout(5)
                return b:read(1)
            end
            task = socket.spawn(read)
            assert(socket.sleep(0.25) and a:write "x" and select(2, task:wait(5)) == "x")
            sys.nofile(had)
            b:settimeout(0.2)
            task = socket.spawn(read)
            assert(socket.sleep(0.25) and a:write "y" and select(2, task:wait(5)) == "y")
        ]], 30)
    end)

    it("tasks wake each other, and their waits end", function()
        run [[
            local channel = socket.channel()
            local reader = socket.spawn(function()
                return b:read(4), channel:get()
            end)
            local writer = socket.spawn(function()
                assert(quick(0.1, socket.sleep, 0.1))
                assert(a:write "data")
                return channel:put "value"
            end)
            local ok, data, value = quick(0.1, reader.wait, reader, 20)
            assert(ok and data == "data" and value == "value", tostring(data))
            assert(writer:wait(20))
            fails(socket.ERROR_TIMEOUT, quick(0.2, b.read, b, 1))
        ]]
    end)
end)
