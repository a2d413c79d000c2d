-- Finalizers that raise errors while a call is at work (up to Lua 5.3 and in LuaJIT the error comes out of whatever
-- was allocating), and what programs do before the call is tried again. When a finalizer runs is the collector's
-- business, so each program says what must hold whether it came in the middle of something or not.

local t = require "support.t"
local peer = require "support.peer"
local tools = require "support.tools"

-- arm(f) leaves garbage whose finalizer calls f and raises an error; fire() lets the collector at it.
local PRELUDE = [[
local socket = require "ssocket"
local unpack = unpack or table.unpack
local function arm(f)
    collectgarbage()
    collectgarbage()
    collectgarbage "stop"
    local function finalizer()
        if f then f() end
        error "fin"
    end
    if newproxy then
        getmetatable(newproxy(true)).__gc = finalizer
    else
        setmetatable({}, { __gc = finalizer })
    end
    if _VERSION >= "Lua 5.5" then
        collectgarbage("param", "stepmul", 1000000)
    else
        collectgarbage("setstepmul", 1000000)
    end
end
local function fire(...)
    collectgarbage "restart"
    return pcall(...)
end
local sleep = socket.sleep
local N = 60000
local text = ("z"):rep(N)
]]

local function alone(code)
    return function()
        tools.run_lua(PRELUDE .. peer.dedent(code))
    end
end

describe("a finalizer that raises", function()
    t.guard()

    it("while a task's bytes are made into a string leaves them for the task, or for who reads first", alone [[
        local a, b = socket.pair()
        local got
        socket.spawn(function() got = a:read(N) end)
        sleep(0)
        b:settimeout(0)
        assert(b:write(text) == N)
        arm()
        fire(sleep, 0.1)
        a:settimeout(0)
        local _, err, partial = a:read(N + 1)
        assert(err == socket.ERROR_TIMEOUT or err == socket.ERROR_BUSY, err)
        pcall(sleep, 0.1)
        assert((got or "") .. partial == text)
        assert(a:pending() == 0)
        local more, closed = a:read(1)
        assert(not more and (got and closed == socket.ERROR_TIMEOUT or closed == socket.ERROR_BUSY), closed)
    ]])

    it("and closes the socket meanwhile ends the task's call as closed", alone [[
        local a, b = socket.pair()
        local results
        socket.spawn(function() results = { a:read(N) } end)
        sleep(0)
        b:settimeout(0)
        assert(b:write(text) == N)
        local closed
        arm(function() closed = true a:close() end)
        fire(sleep, 0.1)
        pcall(sleep, 0.1)
        assert(results and (results[1] == text or results[2] == socket.ERROR_CLOSED), results and results[2])
        assert(a:pending() == 0 and (a:fileno() == -1) == (closed == true))
    ]])

    it("and closes the task's coroutine meanwhile loses that task alone", alone [[
        if not coroutine.close then return end
        local a, b = socket.pair()
        local co
        local task = socket.spawn(function() co = coroutine.running() return #a:read(N) end)
        local other = socket.spawn(function() sleep(0.05) return "fine" end)
        socket.spawn(function() -- its end is followed by the other's results
            sleep(0.01)
            arm(function() coroutine.close(co) end)
            assert(b:write(text) == N)
            collectgarbage "restart"
        end)
        local ok, n = task:wait(1)
        assert(ok and n == N or n:find("closed by the program", 1, true), n)
        assert(select(2, other:wait(1)) == "fine")
        assert(a:write "more" == 4)
    ]])

    it("while a task's datagram is made into a string leaves that datagram for the task", alone [[
        local u, v = socket.udp(), socket.udp()
        assert(u:bind("127.0.0.1", 0) and v:bind("127.0.0.1", 0))
        local got
        local task = socket.spawn(function() got = u:recv(65000) end)
        sleep(0)
        assert(v:sendto(("A"):rep(40000), u:getsockname()))
        arm()
        fire(sleep, 0.1)
        assert(v:sendto(("B"):rep(100), u:getsockname()))
        u:settimeout(0.1)
        u:recv()
        pcall(sleep, 0.1)
        assert(got == ("A"):rep(40000) or got == ("B"):rep(100) or task:status() == "waiting")
    ]])

    it("while the main program begins to wait leaves no call behind", alone [[
        for _ = 1, 3 do
            local a, b = socket.pair()
            local ticker = socket.spawn(function() while sleep(0.05) do end end)
            sleep(0)
            a:settimeout(0.1)
            local read = a.read
            arm()
            fire(read, a, 10)
            local _, err = a:read(10)
            assert(err == socket.ERROR_TIMEOUT, err)
            local function deep(n)
                return n > 0 and select("#", deep(n - 1)) or #{ text:byte(1, 3000) }
            end
            deep(150)
            pcall(sleep, 0.2)
            assert(b:write "0123456789" and a:read(10) == "0123456789")
            ticker:cancel()
            socket.run()
        end
    ]])

    it("while a task's outcome is kept lets it end all the same", alone [[
        local task = socket.spawn(function()
            arm()
            collectgarbage "restart"
            return 1
        end)
        local joiner = socket.spawn(task.wait, task)
        pcall(socket.run)
        pcall(socket.run)
        assert(task:status() == "done" or task:status() == "failed", task:status())
        assert(joiner:status() == "done", joiner:status())
        task:wait()
    ]])

    it("twice ends the task, and what is stuck then is told", alone [[
        local a, b = socket.pair()
        do
            local x = a
            socket.spawn(function() x:read(N) end)
        end
        sleep(0)
        b:settimeout(0)
        assert(b:write(text) == N)
        local channel = socket.channel()
        local get = channel.get
        arm()
        fire(sleep, 0.05)
        arm()
        local ok, err = fire(get, channel)
        assert(not ok and type(err) == "string")
        collectgarbage()
        assert(#{ text:byte(1, 3000) } == 3000)
    ]])

    it("and closes the socket leaves no bytes in it for another connection", alone [[
        local a, b = socket.pair()
        a:settimeout(1)
        b:settimeout(0)
        assert(b:write(text) == N)
        local read = a.read
        local closed
        arm(function() closed = true a:close() end)
        fire(read, a, N)
        if closed then
            assert(a:fileno() == -1 and a:pending() == 0, a:pending())
            assert(select(2, a:read(3)) == socket.ERROR_CLOSED)
            local listener = socket.tcp()
            assert(listener:bind("127.0.0.1", 0) and listener:listen() and a:connect(listener:getsockname()))
            assert(a:pending() == 0, a:pending())
        end
    ]])
end)

describe("a task whose coroutine the program closes", function()
    t.guard()

    it("is told of, also when its socket is garbage before that", alone [[
        local co, other
        socket.spawn(function()
            local a
            co = coroutine.running()
            a, other = socket.pair()
            a:read(1)
        end)
        sleep(0.01)
        if coroutine.close then
            assert(coroutine.close(co))
            co = nil
            for _ = 1, 3 do collectgarbage() end
            local garbage = {}
            for i = 1, 2000 do garbage[i] = ("x"):rep(50 + i % 400) .. i end
            local ok, err = pcall(socket.run)
            assert(not ok and err:find "resumed or closed", err)
        end
    ]])
end)
