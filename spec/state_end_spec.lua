-- Finalizers that use the module while the Lua state is being closed: whatever is left of it works or says that the
-- state is being closed, nothing crashes and no descriptor stays open.

local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"

local CLOSING = "the Lua state is being closed"

-- What was made before: pair, peer, udp, listener, ch, task, loop, waiting. `try` notes errors.
local common = [[
local socket = {}
local pair, peer, udp, listener, ch, task, loop, waiting
local said = {}

-- Lua 5.3 may never end a full collection in a finalizer at the end of a state, without this module as well:
-- lgc.c, runafewfinalizers with g->gcfinnum 0.
local collectgarbage = _VERSION == "Lua 5.3" and function() end or collectgarbage

local function try(name, f, ...)
    local ok, err = pcall(f, ...)
    if not ok then said[#said + 1] = name .. ": " .. tostring(err) end
end

local function at_end(f)
    keep = keep or {}
    if newproxy then
        local proxy = newproxy(true)
        getmetatable(proxy).__gc = f
        keep[#keep + 1] = proxy
    else
        keep[#keep + 1] = setmetatable({}, { __gc = f })
    end
end

local function use_all()
    try("old stream", function() pair:write "x" peer:settimeout(0.01) peer:read(1) end)
    try("old datagrams", function() udp:sendto("x", "127.0.0.1", 9) udp:settimeout(0) udp:recv() end)
    try("old listener", function() listener:settimeout(0) listener:accept() end)
    try("old channel", function() ch:put(1, 0) ch:get(0) ch:close() end)
    try("old task", function() task:status() task:cancel() task:wait(0) end)
    try("old task waits", function() waiting:wait(0.01) end)
    try("old loop", function() loop:step(0) loop:pollfd() loop:timeout() end)
    try("pair", function() local a, b = socket.pair() a:write "x" b:settimeout(0.01) b:read(2) b:close() end)
    try("tcp", function() local s = socket.tcp() s:bind("127.0.0.1", 0) s:listen() s:settimeout(0) s:accept() end)
    try("connect", function() local s = socket.tcp() s:settimeout(0.01) s:connect("127.0.0.1", 1) end)
    try("udp", function() local s = socket.udp() s:sendto("x", "127.0.0.1", 9) s:settimeout(0) s:recvmany(3) end)
    try("resolve", function() socket.resolve("127.0.0.1", 80) socket.resolve("localhost", 80, 1) end)
    try("select", function() local a, b = socket.pair() socket.select({ a, b }, { a }, 0.001) end)
    try("channel", function() local c = socket.channel(1) c:put(1, 0) c:get(0) end)
    try("loop", function() socket.loop():step(0) socket.loop():pollfd() end)
    try("spawn", function()
        local c = socket.channel()
        local s = socket.spawn(function() collectgarbage() socket.sleep(0.001) c:get(0.001) error "own" end)
        socket.spawn(function() local a, b = socket.pair() b:settimeout(0.001) b:read(1) end)
        socket.sleep(0.003)
        s:wait(0.01)
    end)
    try("run", socket.run)
    try("sleep", socket.sleep, 0.001)
    try("collect", collectgarbage)
    try("fields", function() return tostring(pair), tostring(ch), tostring(task), tostring(loop), tostring(udp) end)
    try("close", function() pair:close() peer:close() udp:close() listener:close() end)
end

-- What a program has before its end.
local function make_all()
    pair, peer = socket.pair()
    udp, listener, ch = socket.udp(), socket.tcp(), socket.channel(2)
    udp:bind("127.0.0.1", 0)
    listener:bind("127.0.0.1", 0)
    listener:listen()
    task = socket.spawn(function() error "lost" end)
    loop = socket.loop()
    local nobody = socket.channel()
    waiting = socket.spawn(function() nobody:get() end)
    socket.spawn(function() local a = socket.pair() a:settimeout(0.1) a:read(1) end) -- its peer may never be collected
    socket.sleep(0.001)
end

-- What may be heard: that the state is closed, that a finalizer can't do that (it may run inside a task), that an
-- object has lost its class, and what the program's tasks have failed with.
local expected = {
    "the Lua state is being closed", "cannot wait", "not a task", "attempt to yield", "inside a task", "nil value",
    "bad argument", "userdata", "deadlock", "lost", "own",
}

local function is_expected(line)
    for _, part in ipairs(expected) do
        if line:find(part, 1, true) then return true end
    end
end

local function show()
    for _, line in ipairs(said) do
        if not is_expected(line) then print(line) end
    end
    io.stdout:flush()
end
]]

-- The order in which finalizers run is the opposite of that in which they were made.
local programs = {
    ["after everything else"] = "at_end(function() use_all() show() end) socket = require 'ssocket' make_all()",
    ["before everything else"] = "socket = require 'ssocket' make_all() at_end(function() use_all() show() end)",
    ["when no task was ever made"] = [[
        at_end(function() use_all() show() end)
        socket = require 'ssocket'
        pair, peer = socket.pair()
        at_end(function() use_all() end)
    ]],
    ["again and again"] = [[
        at_end(use_all)
        socket = require 'ssocket'
        at_end(use_all)
        make_all()
        at_end(use_all)
        local first = waiting
        at_end(function() use_all() first:cancel() try("wait", first.wait, first, 0.01) end)
        make_all()
        at_end(function() use_all() show() end)
    ]],
    ["and makes finalizers that do so"] = [[
        local function more() at_end(use_all) use_all() end
        at_end(more)
        socket = require 'ssocket'
        make_all()
        at_end(function() more() show() end)
    ]],
    ["from a loop that was in use"] = [[
        at_end(function() use_all() show() end)
        socket = require 'ssocket'
        socket.spawn(function() end)
        socket.run()
        make_all()
        at_end(function()
            socket.spawn(function() collectgarbage() socket.sleep(0) socket.sleep(0.002) end)
            socket.spawn(socket.sleep, 0.002)
            socket.loop():pollfd()
            try("run", socket.run)
        end)
    ]],
    ["with onerror"] = [[
        at_end(function() use_all() show() end)
        socket = require 'ssocket'
        make_all()
        socket.onerror = function() use_all() end
        for i = 1, 20 do socket.spawn(error, "lost") end
        socket.sleep(0)
        for i = 1, 20 do socket.spawn(error, "lost") end
    ]],
    ["within os.exit"] = [[
        at_end(function() use_all() show() end)
        socket = require 'ssocket'
        make_all()
        at_end(function() use_all() show() end)
        if _VERSION > "Lua 5.1" then os.exit(true, true) end
    ]],
}

describe("the end of the Lua state", function()
    t.guard()

    for name, program in pairs(programs) do
        it("stands a finalizer that uses all there is, " .. name, function()
            local said, how, status = tools.run({
                "sh", "-c", "exec " .. os.getenv "SSOCKET_LUA" .. ' -e "$0"', common .. program,
            }, 30 * t.slow)
            assert.equal("", tasks.without_last_failures(said))
            assert.same({ "exit", 0 }, { how, status })
        end)

        it("closes all descriptors, " .. name, function()
            local said, how, status = tools.run({
                "sh", "-c", tools.build .. '/host_descriptors "$0"', common .. program,
            }, 60 * t.slow)
            assert.equal("", tasks.without_last_failures(said))
            assert.same({ "exit", 0 }, { how, status })
        end)
    end

    -- Lua frees what it could not call the finalizer of. At some of these depths the end of the C stack is met.
    it("closes a socket whose finalizer did not fit on the C stack", function()
        local said, how, status = tools.run({
            "sh", "-c", tools.build .. '/host_descriptors "$0"', [[
                local socket = require "ssocket"
                local function down(depth)
                    for _ = 1, 3 do socket.pair() socket.udp():bind("127.0.0.1", 0) end
                    collectgarbage()
                    collectgarbage()
                    if depth > 0 then
                        pcall(string.gsub, "x", "x", function() down(depth - 1) end)
                    end
                end
                down(215)
                local a, b = socket.pair()
                a:write "still works"
                assert(b:read(11) == "still works")
                for fd = 0, 2000 do pcall(socket.select, { fd }, nil, 0) end
            ]],
        }, 60 * t.slow)
        assert.equal("", said)
        assert.same({ "exit", 0 }, { how, status })
    end)

    it("is told by the text of what is refused", function()
        local said, how = tasks.alone [[
            local proxy
            local function at_end()
                local function refused(f, ...)
                    local ok, err = pcall(f, ...)
                    print(not ok and err)
                end
                refused(socket.spawn, print)
                refused(socket.channel)
                refused(socket.loop)
                refused(socket.pair)
                refused(socket.tcp)
                refused(socket.udp)
            end
            if newproxy then proxy = newproxy(true) getmetatable(proxy).__gc = at_end
            else proxy = setmetatable({}, { __gc = at_end }) end
            keep = proxy
            package.loaded.ssocket = nil
        ]]
        assert.equal("exit 0", how)
        for line in said:gmatch "[^\n]+" do
            assert.is_true(line == "false" or line:find(CLOSING, 1, true) ~= nil, said)
        end
    end)
end)
