-- No descriptor is left, but lost sockets hold some: the collector is run once, and the call tried once more. Each
-- program is a process of its own, as this is done at most once a second.

local t = require "support.t"
local tools = require "support.tools"

local PRELUDE = [[
    local socket, sys = require "ssocket", require "testsys"
    local NO_MORE = sys.strerror(sys.EMFILE)
    local listener, client, waiting = socket.tcp(), socket.tcp(), socket.tcp()
    local u, fresh = socket.udp(), socket.udp()
    for _, s in ipairs { listener, client, waiting, u, fresh } do
        s:settimeout(5)
    end
    assert(listener:bind("127.0.0.1", 0) and listener:listen() and u:bind("127.0.0.1", 0))
    local addr = listener:getsockname()
    assert(waiting:connect(addr) and client:bind("127.0.0.1", 0))
    local function lose()
        for _ = 1, 12 do
            assert(socket.udp():bind("127.0.0.1", 0))
        end
    end
    local function on_collect(f)
        if newproxy then
            getmetatable(newproxy(true)).__gc = f
        else
            setmetatable({}, { __gc = f })
        end
    end
    local had
    local function take_all()
        had = had or sys.nofile()
        local next = assert(sys.dup(0)) -- no number below it is free
        sys.close(next)
        assert(sys.nofile(next) == next)
    end
    local function fails(err, value, ...)
        local first, second = ...
        local got = first == nil and second or first
        assert(value == nil and got == err, ("%s, %s and not %s"):format(tostring(value), tostring(got), err))
    end
]]

-- Runs the code in the main program, or in a task. `SPEND`: sockets are lost, and no descriptor is left.
local function run(code, in_task)
    if in_task then
        code = "local task = socket.spawn(function() " .. code .. " end) assert(task:wait(20))"
    end
    code = code:gsub("SPEND", "collectgarbage() lose() take_all()")
    tools.run_lua(PRELUDE .. code .. "\nsys.nofile(had)", 30) -- sanitizers look at the process when it ends
end

local calls = {
    connect = "assert(socket.tcp():connect(addr))",
    ["connect to a name"] = [[
        local s = socket.tcp()
        s:settimeout(5)
        assert(s:connect("localhost", addr[2]))
    ]],
    bind = 'assert(socket.tcp():bind("127.0.0.1", 0))',
    open = 'assert(socket.udp():open "inet6")',
    ["bind to all addresses"] = 'assert(socket.udp():bind("*", 0))',
    accept = "assert(listener:accept()):close()",
    sendto = 'assert(socket.udp():sendto("x", u:getsockname())) assert(u:recv() == "x")',
    ["connect of datagrams"] = "assert(socket.udp():connect(u:getsockname()))",
    join = 'assert(socket.udp():join("239.255.77.13", "127.0.0.1"))',
    ["join of an interface by name"] = 'assert(fresh:join("239.255.77.13", "lo"))',
    pair = "local a, b = assert(socket.pair()) assert(a and b)",
    resolve = 'assert(socket.resolve("localhost", 1, 5))',
    nameinfo = 'assert(socket.nameinfo("127.0.0.1", 5))',
    ["socket.connect"] = "assert(socket.connect(addr, 5))",
    ["socket.listen"] = 'assert(socket.listen("127.0.0.1", 0))',
}

describe("where lost sockets hold the last descriptors", function()
    t.guard()

    for place, in_task in pairs { ["in the main program"] = false, ["in a task"] = true } do
        for name, code in pairs(calls) do
            it(name .. " succeeds " .. place, function()
                run("SPEND " .. code, in_task)
            end)
        end

        it("a second call within a second fails " .. place, function()
            run([[
                SPEND
                assert(socket.tcp():bind("127.0.0.1", 0))
                kept = {}
                repeat
                    kept[#kept + 1] = socket.udp()
                until not kept[#kept]:bind("127.0.0.1", 0)
                local s, collected = socket.tcp(), false
                on_collect(function() collected = true end)
                fails(NO_MORE, s:bind("127.0.0.1", 0))
                assert(not collected)
            ]], in_task)
        end)

        it("a finalizer may close the listener meanwhile " .. place, function()
            run([[
                on_collect(function() listener:close() end)
                SPEND
                on_collect(function() listener:close() end)
                fails(socket.ERROR_CLOSED, listener:accept())
            ]], in_task)
        end)

        it("a finalizer may open the socket meanwhile " .. place, function()
            run([[
                SPEND
                on_collect(function() u:close() assert(fresh:bind("0.0.0.0", 0)) end)
                assert(fresh:join("239.255.77.13", 1)) -- the index of the loopback interface
                assert(fresh:getsockname()[2] > 0 and u:fileno() == -1)
            ]], in_task)
        end)

        it("an error of a finalizer loses nothing " .. place, function()
            run([[
                SPEND
                on_collect(function() error "of the finalizer" end)
                local ok, accepted = pcall(listener.accept, listener)
                if not ok then
                    assert(tostring(accepted):find "of the finalizer", accepted)
                    collectgarbage()
                    accepted = assert(listener:accept())
                end
                accepted:write "x"
                assert(waiting:read(1) == "x")
            ]], in_task)
        end)
    end

    it("an accept that has waited in its task goes on", function()
        run [[
            assert(listener:accept()):close()
            local accepted
            local task = socket.spawn(function() accepted = assert(listener:accept()) end)
            socket.sleep(0)
            SPEND
            assert(client:connect(addr))
            assert(task:wait(5))
            accepted:write "x"
            assert(client:read(1) == "x")
        ]]
    end)

    it("an accept that has waited in its task is ERROR_CLOSED when a finalizer closes the listener", function()
        run [[
            assert(listener:accept()):close()
            local results
            local task = socket.spawn(function() results = { listener:accept() } end)
            socket.sleep(0)
            SPEND
            on_collect(function() listener:close() end)
            assert(client:connect(addr))
            assert(task:wait(5))
            fails(socket.ERROR_CLOSED, results[1], results[2])
        ]]
    end)

    it("an accept that has waited in its task is ERROR_CLOSED when a finalizer has it listen anew", function()
        run [[
            assert(listener:accept()):close()
            local results
            listener:settimeout(5)
            local task = socket.spawn(function() results = { listener:accept() } end)
            socket.sleep(0)
            SPEND
            on_collect(function()
                listener:close()
                assert(listener:bind("127.0.0.1", 0) and listener:listen())
            end)
            assert(client:connect(addr))
            assert(task:wait(10))
            fails(socket.ERROR_CLOSED, results[1], results[2])
        ]]
    end)

    it("an accept that has waited in its task fails when a finalizer cancels that", function()
        run [[
            assert(listener:accept()):close()
            local results
            local task = socket.spawn(function() results = { listener:accept() } end)
            socket.sleep(0)
            SPEND
            on_collect(function() task:cancel() end)
            assert(client:connect(addr))
            assert(task:wait(5))
            fails(NO_MORE, results[1], results[2])
        ]]
    end)

    it("the descriptor of the loop is made", function()
        run [[
            local loop = socket.loop()
            SPEND
            assert(loop:pollfd())
        ]]
    end)

    it("a collector that the program has stopped is left alone", function()
        if not pcall(collectgarbage, "isrunning") then
            return
        end
        run [[
            SPEND
            collectgarbage "stop"
            fails(NO_MORE, socket.tcp():bind("127.0.0.1", 0))
            collectgarbage "restart"
            assert(socket.tcp():bind("127.0.0.1", 0))
        ]]
    end)
end)
