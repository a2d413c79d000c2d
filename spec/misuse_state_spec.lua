-- Calls at the wrong time, and any calls at all in any order: a documented failure or an argument error, never a crash,
-- a leaked descriptor or a wait without end.

local t = require "support.t"
local tools = require "support.tools"
local tasks = require "support.tasks"
local calls = require "support.kinds".calls

local socket = t.socket
local CLOSED = socket.ERROR_CLOSED

-- What each call gives on a socket without a descriptor.
local without_descriptor = {
    tcpsock = {
        { "listen", {}, { nil, CLOSED, n = 2 } },
        { "accept", {}, { nil, CLOSED, n = 2 } },
        { "write", { "x" }, { nil, CLOSED, 0, n = 3 } },
        { "write", { { "x", "y" } }, { nil, CLOSED, 0, n = 3 } },
        { "read", { 1 }, { nil, CLOSED, "", n = 3 } },
        { "read", { 0 }, { nil, CLOSED, "", n = 3 } },
        { "readall", {}, { nil, CLOSED, "", n = 3 } },
        { "shutdown", { socket.SHUT_WR }, { nil, CLOSED, n = 2 } },
        { "sendfd", { "x", 0 }, { nil, CLOSED, 0, n = 3 } },
        { "recvfd", { 1 }, { nil, CLOSED, n = 2 } },
        { "detach", {}, { nil, CLOSED, n = 2 } },
        { "getopt", { socket.OPT_TCP_KEEPALIVE }, { nil, CLOSED, n = 2 } },
        { "getopt", { t.sys.SOL_SOCKET, t.sys.SO_TYPE }, { nil, CLOSED, n = 2 } },
        { "getpeername", {}, { nil, CLOSED, n = 2 } },
        { "getsockname", {}, { nil, CLOSED, n = 2 } },
        { "pending", {}, { 0, n = 1 } },
        { "fileno", {}, { -1, n = 1 } },
        { "gettimeout", {}, { -1, n = 1 } },
        { "close", {}, { 1, n = 1 } },
    },
    udpsock = {
        { "connect", {}, { nil, CLOSED, n = 2 } },
        { "send", { "x" }, { nil, CLOSED, n = 2 } },
        { "recv", {}, { nil, CLOSED, n = 2 } },
        { "recvfrom", {}, { nil, nil, CLOSED, n = 3 } },
        { "recvmany", { 1, 1 }, { nil, nil, CLOSED, n = 3 } },
        { "sendmany", { { "x" } }, { nil, CLOSED, 0, n = 3 } },
        { "leave", { "224.0.0.251" }, { nil, CLOSED, n = 2 } },
        { "detach", {}, { nil, CLOSED, n = 2 } },
        { "getopt", { socket.OPT_BROADCAST }, { nil, CLOSED, n = 2 } },
        { "getpeername", {}, { nil, CLOSED, n = 2 } },
        { "getsockname", {}, { nil, CLOSED, n = 2 } },
        { "fileno", {}, { -1, n = 1 } },
        { "gettimeout", {}, { -1, n = 1 } },
        { "close", {}, { 1, n = 1 } },
    },
}

local makers = { tcpsock = socket.tcp, udpsock = socket.udp }

local function used(class)
    local s = makers[class]()
    assert(s:bind("127.0.0.1", 0))
    assert.equal(1, s:close())
    return s
end

for class, cases in pairs(without_descriptor) do
    describe("a " .. class .. " without a descriptor", function()
        t.guard()
        for _, case in ipairs(cases) do
            local name, args, results = case[1], case[2], case[3]
            it(("answers %s as documented, before and after"):format(tools.show(name, args)), function()
                for _, s in ipairs { makers[class](), used(class) } do
                    assert.same(results, t.pack(s[name](s, tools.unpack(args))))
                end
            end)
        end
    end)
end

describe("a stream socket without a descriptor", function()
    t.guard()
    it("has nothing for readuntil and readsome", function()
        for _, s in ipairs { socket.tcp(), used "tcpsock" } do
            assert.same({ nil, CLOSED, "", n = 3 }, t.pack(s:readuntil "\n"()))
            local data, err = s:readsome(1)
            assert.same({ nil, CLOSED }, { data, err })
        end
    end)
end)

-- ---- anything goes ----

local nan, inf = tools.nan, math.huge

-- Hosts that are not looked up, values of every type, numbers of every size.
local addresses = { "127.0.0.1", "::1", "1.5", "unix:", "unix:@", "/nowhere/at/all", "unix:/nowhere/at/all", {},
    { "::1", 9 } }
local values = { nil, true, false, "", "x", "\0", "unix:", 0, 1, 2, -1, 1.5, 16, 65535, 65536, 2 ^ 31, 2 ^ 40, 2 ^ 53,
    2 ^ 63, -2 ^ 63, 1e300, nan, inf, -inf, {}, { 1 }, { "a", "b" }, { {} }, print, io.stdout,
    coroutine.create(function() end),
    socket.tcp(), socket.udp(), socket.OPT_TCP_NODELAY, socket.OPT_LINGER, socket.OPT_RCVBUF, socket.OPT_ERROR, n = 37 }
local takes_address = { connect = 1, bind = 1, sendto = 2, send = 2, sendmany = 2, join = 1, leave = 1 }

-- The same numbers in each run (Lehmer); 1..n
local seed = 20
local function pick(n)
    seed = seed * 16807 % 2147483647
    return seed % n + 1
end

local function random_args(name)
    local args = { n = pick(4) - 1 }
    for i = 1, args.n do
        if takes_address[name] == i then
            args[i] = addresses[pick(#addresses)]
        else
            args[i] = values[pick(values.n)]
        end
    end
    return args
end

local function is_documented(ok, result, err)
    if not ok then
        return tostring(result):find "bad argument" ~= nil
    end
    return result ~= nil or err == nil or type(err) == "string"
end

-- One call with anything; descriptors that it gives away are closed.
local function random_call(s, name)
    local args = random_args(name)
    s:settimeout(0)
    local ok, result, err = pcall(tools.method, s, name, tools.unpack(args, 1, args.n))
    assert(is_documented(ok, result, err), tools.show(name, args) .. " gives " .. tostring(result))
    if name == "detach" and ok and result then
        t.sys.close(result)
    elseif name == "recvfd" and ok and type(err) == "number" then
        t.sys.close(err)
    elseif name == "readuntil" and ok then
        result()
    end
end

local starts = {
    tcpsock = {
        function()
            return socket.tcp()
        end,
        function()
            return socket.pair()
        end,
        function()
            return t.connected()
        end,
        function()
            return (t.listener())
        end,
    },
    udpsock = {
        function()
            return socket.udp()
        end,
        function()
            local u = socket.udp()
            assert(u:bind("127.0.0.1", 0))
            return u
        end,
    },
}

describe("any calls with any arguments in any order", function()
    t.guard()
    for class, methods in pairs(calls) do
        for number, start in ipairs(starts[class] or {}) do
            it(("leave a %s (%d) in order"):format(class, number), function()
                local names = {}
                for name in pairs(methods) do
                    names[#names + 1] = name
                end
                table.sort(names)
                for _ = 1, 40 do
                    local s, peer = start()
                    for _ = 1, 40 do
                        random_call(s, names[pick(#names)])
                    end
                    assert.equal(1, s:close())
                    assert.equal(-1, s:fileno())
                    if peer then
                        peer:close()
                    end
                end
            end)
        end
    end
end)

-- The debug library has the finalizer. The memory of the socket is another's next; calls of the first must not notice.
describe("a finalizer that is called by hand", function()
    tasks.guard()

    local function finalize(s)
        debug.getmetatable(s).__gc(s)
    end

    local function pair()
        local a, b = socket.pair()
        a:settimeout(5)
        b:settimeout(5)
        return a, b
    end

    -- Among so many is one with the memory of the last.
    local function many_pairs()
        local ends = {}
        for i = 1, 40, 2 do
            ends[i], ends[i + 1] = pair()
        end
        return ends
    end

    it("closes the socket, which has no methods any more", function()
        local a, b = pair()
        finalize(a)
        assert.is_false(pcall(function() return a:fileno() end))
        assert.same({ nil, t.DROPPED, "", n = 3 }, t.pack(b:read(1)))
        assert.is_false(pcall(finalize, a))
        assert.is_false(pcall(socket.select, { a }, nil, 0))
        assert.is_false(pcall(b.read, a, 1))
    end)

    it("leaves nothing to call, also where the metatable is set again", function()
        local s = socket.tcp()
        local mt = debug.getmetatable(s)
        finalize(s)
        debug.setmetatable(s, mt)
        assert.is_truthy(t.rejects(s.fileno, s):find("open socket expected", 1, true))
        finalize(s)
        assert.is_false(pcall(tostring, s))
        assert.is_false(pcall(socket.select, { s }, nil, 0))
    end)

    it("ends the iterator, which has none of another stream's lines", function()
        local a, b = pair()
        local next_line = a:readuntil "\n"
        b:write "one\ntwo\n"
        assert.equal("one", next_line())
        finalize(a)
        local ends = many_pairs()
        for i = 1, 40, 2 do
            ends[i]:write "other\n"
            ends[i + 1]:write "other\n"
        end
        assert.same({ nil, socket.ERROR_CLOSED, "", n = 3 }, t.pack(next_line()))
        for i = 1, 40 do
            assert.equal("other\n", ends[i]:read(6))
        end
    end)

    -- While the argument is made into what is sent, or room for an operation on a name. The collector comes at once.
    for name, call in pairs {
        ["write a number"] = "a.write(a, 1.5)",
        ["pass a descriptor"] = "a.sendfd(a, 1.5, 0)",
        connect = "a.connect(a, 'localhost', 1)",
        bind = "a.bind(a, 'localhost', 0)",
        accept = "a.accept(a)",
        ["send a number"] = "u.send(u, 1.5)",
        ["sendto a name"] = "u.sendto(u, 'x', 'localhost', 9)",
        ["connect to a peer"] = "u.connect(u, 'localhost', 9)",
        sendmany = "u.sendmany(u, { 'x', 1.5 }, '127.0.0.1', 9)",
    } do
        it("is noticed by a call that it comes into: " .. name, function()
            local said = tools.run_lua(([[
                local socket, collect = require "ssocket", require "testcollect"
                local finalize = debug.getmetatable(socket.tcp()).__gc
                local finalize_udp = debug.getmetatable(socket.udp()).__gc
                local plain = package.loaded["support.over_tls"] or socket -- no finalizer can wait for a handshake
                local a, b = socket.pair()
                local u = socket.udp()
                local others, us = {}, {}
                local function finalizer()
                    finalize(a)
                    finalize_udp(u)
                    for i = 1, 40, 2 do
                        others[i], others[i + 1] = plain.pair()
                        us[i] = socket.udp()
                    end
                end
                if newproxy then getmetatable(newproxy(true)).__gc = finalizer
                else setmetatable({}, { __gc = finalizer }) end
                a:settimeout(0)
                u:settimeout(0)
                local function call() %s end
                collect.start(1)
                local ok, err = pcall(call)
                collect.stop()
                for i = 1, #others do
                    others[i]:settimeout(0)
                    assert(select(2, others[i]:read(1)) == socket.ERROR_TIMEOUT)
                end
                for i = 1, 40, 2 do
                    assert(not us[i] or us[i]:fileno() == -1)
                end
                print "well"
            ]]):format(call))
            assert.equal("well\n", said)
        end)
    end

    it("ends calls that wait in tasks", function()
        local ends = {}
        for name, call in pairs {
            read = function(s) return s:read(5) end,
            lines = function(s) return s:readuntil "\n" () end,
            select = function(s) return select(2, socket.select({ s }, nil, 5)) end,
        } do
            local a, b = pair()
            local task = tasks.spawn(call, a)
            tasks.settle()
            finalize(a)
            ends[#ends + 1] = many_pairs()
            for _, s in ipairs(ends[#ends]) do
                s:write "other\n"
            end
            local got = t.pack(task:wait(5))
            assert.same({ true, nil }, { got[1], got[2] }, name)
            assert.equal(name == "select" and "Bad file descriptor" or socket.ERROR_CLOSED, got[3], name)
            b:close()
        end
        for _, list in ipairs(ends) do
            for _, s in ipairs(list) do
                assert.equal("other\n", s:read(6))
            end
        end
    end)
end)
