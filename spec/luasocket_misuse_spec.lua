-- What LuaSocket's calls say of arguments that make no sense, and programs that mean no good.

local luasocket = require "support.luasocket"
local t = require "support.t"

local is, raises = luasocket.is, luasocket.raises
local sys = t.sys

local function close_all(...)
    for _, s in ipairs { ... } do
        is("1", s:close())
    end
end

-- The values at the end of a row. Where nils are among them, row.n says how long it is.
local function arguments(row)
    return (unpack or table.unpack)(row, 3, row.n or #row)
end

-- ---- argument errors ----

-- Text, method, arguments.
local errors = {
    ["tcp{master}"] = {
        { "string expected, got no value", "connect" },
        { "string expected, got no value", "connect", "127.0.0.1" },
        { "string expected, got nil", "connect", nil, 1, n = 4 },
        { "string expected, got nil", "connect", "127.0.0.1", nil, n = 4 },
        { "string expected, got table", "connect", {}, 1 },
        { "string expected, got boolean", "connect", true, 1 },
        { "string expected, got table", "connect", "127.0.0.1", {} },
        { "string expected, got no value", "setpeername" },
        { "string expected, got no value", "bind" },
        { "string expected, got no value", "bind", "127.0.0.1" },
        { "string expected, got nil", "bind", "127.0.0.1", nil, n = 4 },
        { "string expected, got table", "bind", "127.0.0.1", {} },
        { "string expected, got function", "setsockname", print, 0 },
        { "number expected, got string", "listen", "x" },
        { "number expected, got table", "listen", {} },
        { "number expected, got string", "settimeout", "x" },
        { "number expected, got table", "settimeout", {} },
        { "number expected, got boolean", "settimeout", true },
        { "string expected, got table", "settimeout", 1, {} },
        { "invalid timeout mode", "settimeout", 1, 1 },
        { "number expected, got no value", "setfd" },
        { "number expected, got nil", "setfd", nil, n = 3 },
        { "string expected, got no value", "setoption" },
        { "string expected, got table", "setoption", {} },
        { "unsupported option `nosuch'", "setoption", "nosuch", 1 },
        { "unsupported option `" .. ("y"):rep(35) .. "'", "setoption", ("y"):rep(50), 1 },
        { "boolean expected, got no value", "setoption", "keepalive" },
        { "boolean expected, got nil", "setoption", "keepalive", nil, n = 4 },
        { "boolean expected, got number", "setoption", "keepalive", 1 },
        { "boolean expected, got string", "setoption", "tcp-nodelay", "true" },
        { "table expected, got no value", "setoption", "linger" },
        { "table expected, got boolean", "setoption", "linger", true },
        { "boolean 'on' field expected", "setoption", "linger", {} },
        { "boolean 'on' field expected", "setoption", "linger", { on = 1, timeout = 1 } },
        { "number 'timeout' field expected", "setoption", "linger", { on = true } },
        { "number 'timeout' field expected", "setoption", "linger", { on = true, timeout = "x" } },
        { "string expected, got no value", "getoption" },
        { "string expected, got table", "getoption", {} },
        { "unsupported option `nosuch'", "getoption", "nosuch" },
        { "unsupported option `ipv6-v6only'", "getoption", "ipv6-v6only" },
        { "unsupported option `" .. ("y"):rep(35) .. "'", "getoption", ("y"):rep(50) },
    },
    ["tcp{client}"] = {
        { "string expected, got no value", "send" },
        { "string expected, got nil", "send", nil, n = 3 },
        { "string expected, got table", "send", {} },
        { "string expected, got boolean", "send", true },
        { "number expected, got string", "send", "x", "y" },
        { "number expected, got table", "send", "x", 1, {} },
        { "string expected, got table", "receive", {} },
        { "string expected, got boolean", "receive", true },
        { "string expected, got function", "receive", print },
        { "string expected, got table", "receive", "*l", {} },
        { "string expected, got boolean", "receive", "*a", true },
        { "string expected, got table", "receive", 5, {} },
        { "invalid receive pattern", "receive", "l" },
        { "invalid receive pattern", "receive", "" },
        { "invalid receive pattern", "receive", "*n" },
        { "invalid receive pattern", "receive", "-1" },
        { "invalid receive pattern", "receive", -1 },
        { "invalid receive pattern", "receive", -1, "prefix" },
        { "invalid option 'x'", "shutdown", "x" },
        { "invalid option '1'", "shutdown", 1 },
        { "invalid option ''", "shutdown", "" },
        { "number expected, got string", "setstats", "x" },
        { "number expected, got table", "setstats", nil, {}, n = 4 },
    },
    socket = {
        { "string expected, got no value", "connect" },
        { "string expected, got no value", "connect", "127.0.0.1" },
        { "string expected, got table", "connect", {}, 1 },
        { "string expected, got table", "connect", "127.0.0.1", 1, {} },
        { "string expected, got table", "connect", "127.0.0.1", 1, "127.0.0.1", {} },
        { "invalid option 'x'", "connect", "127.0.0.1", 1, nil, nil, "x", n = 7 },
    },
}

luasocket.describe("an argument error", function(socket)
    it("of a socket that is nothing yet is raised before anything is done", function()
        local s = socket.tcp4()
        local fd = s:getfd()
        for _, row in ipairs(errors["tcp{master}"]) do
            raises(row[1], s[row[2]], s, arguments(row))
            is(('"tcp{master}", %d, -1, -1'):format(fd), s.class, s:getfd(), s:gettimeout())
        end
        is('"0.0.0.0", "0", "inet"', s:getsockname())
        close_all(s)
    end)

    it("of a stream is raised before anything is done", function()
        local client, accepted = luasocket.pair(socket)
        assert(accepted:send "line\n")
        for _, row in ipairs(errors["tcp{client}"]) do
            raises(row[1], client[row[2]], client, arguments(row))
        end
        is("0, 0", (client:getstats()), (select(2, client:getstats())))
        is('"line", nil, nil', client:receive())
        is("6, nil, nil", client:send "answer")
        is('"answer", nil, nil', accepted:receive(6))
        close_all(client, accepted)
    end)

    it("of a function is raised, and no descriptor is left", function()
        local before = t.fds()
        for _, row in ipairs(errors.socket) do
            raises(row[1], socket[row[2]], arguments(row))
        end
        assert.equal(before, t.fds())
        raises("string expected, got nil", socket.bind)
        raises("string expected, got table", socket.bind, {}, 1)
    end)

    it("is one on a closed socket as well", function()
        local client, accepted = luasocket.pair(socket)
        close_all(client)
        raises("invalid receive pattern", client.receive, client, "*n")
        raises("string expected, got no value", client.send, client)
        raises("invalid option 'x'", client.shutdown, client, "x")
        raises("unsupported option `nosuch'", client.setoption, client, "nosuch", 1)
        close_all(accepted)
    end)
end)

-- ---- hosts and ports from outside ----

luasocket.describe("a host or port that makes no sense", function(socket, tested)
    local hosts = {
        "", " ", ("x"):rep(100000), ("a."):rep(200), "no-such-host.invalid", "[::1]", "127.0.0.1:80", "\255\1",
    }

    it("is never found, and nothing is raised", function()
        for _, host in ipairs(hosts) do
            for _, made in ipairs { "tcp", "tcp4", "tcp6" } do
                local s = socket[made]()
                local ok, err = s:connect(host, 80)
                is('nil, "string"', ok, type(err))
                close_all(s)
                s = socket[made]()
                is('nil, "host or service not provided, or not known"', s:bind(host, 0))
                close_all(s)
            end
            is('nil, "host or service not provided, or not known"', socket.connect(host, 80))
            is('nil, "host or service not provided, or not known"', socket.bind(host, 0))
        end
    end)

    it("with a NUL in it is no other host", function()
        if tested.real then
            return -- which reads up to the NUL
        end
        local server = assert(socket.bind("127.0.0.1", 0))
        local _, port = server:getsockname()
        for _, host in ipairs { "127.0.0.1\0", "127.0.0.1\0.example.org", "\0", "\0127.0.0.1", "*\0" } do
            local s, bound = socket.tcp(), socket.tcp()
            for _, results in ipairs {
                t.pack(s:connect(host, port)), t.pack(bound:bind(host, 0)),
                t.pack(socket.connect(host, port)), t.pack(socket.bind(host, 0)),
                t.pack(socket.connect("127.0.0.1", port, host, 0)),
            } do
                assert.equal(2, results.n)
                assert.is_nil(results[1])
                assert.is_string(results[2])
            end
            close_all(s, bound)
        end
        close_all(server)
    end)

    it("is a port that no service has", function()
        for _, port in ipairs { -1, "-1", 1.5, "0x50", ("9"):rep(1000), "no such service", 1e30, "80x" } do
            is('nil, "service not supported for socket type"', socket.connect("127.0.0.1", port))
            is('nil, "service not supported for socket type"', socket.bind("127.0.0.1", port))
            local s = socket.tcp4()
            is('nil, "service not supported for socket type"', s:connect("127.0.0.1", port))
            close_all(s)
            s = socket.tcp4()
            is('nil, "service not supported for socket type"', s:bind("127.0.0.1", port))
            close_all(s)
        end
    end)

    -- As strtoul(3) reads it into an int of C.
    it("may be a port that wraps round, and none where an int of it is negative", function()
        local server = assert(socket.bind("127.0.0.1", 0))
        local _, port = server:getsockname()
        for _, more in ipairs { "%d", " +%d", "000000000000000000000000000%d" } do
            close_all((assert(socket.connect("127.0.0.1", more:format(port)))))
        end
        for _, more in ipairs { 65536, 2 ^ 31 - 65536, 2 ^ 32, 2 ^ 52 } do
            close_all((assert(socket.connect("127.0.0.1", ("%.0f"):format(port + more)))))
        end
        for _, wrong in ipairs {
            "2147483648", "4294967295", "9223372036854775807", "18446744073709551616", ("9"):rep(50),
        } do
            is('nil, "service not supported for socket type"', socket.connect("127.0.0.1", wrong))
            is('nil, "service not supported for socket type"', socket.udp():setpeername("127.0.0.1", wrong))
            is('nil, "Servname not supported for ai_socktype"', socket.udp():sendto("x", "127.0.0.1", wrong))
        end
        close_all(server)
    end)

    it("is a service of the protocol, and of no other", function()
        local s, u = socket.tcp4(), socket.udp4()
        is('nil, "service not supported for socket type"', u:setpeername("127.0.0.1", "http"))
        is('nil, "service not supported for socket type"', u:setsockname("127.0.0.1", "http"))
        is('nil, "service not supported for socket type"', s:bind("127.0.0.1", "tftp"))
        is('nil, "service not supported for socket type"', s:connect("127.0.0.1", "tftp"))
        is("1", u:setpeername("127.0.0.1", "tftp"))
        is('"127.0.0.1", 69, "inet"', u:getpeername())
        close_all(s, u)
    end)

    it("is * to which one connects on this machine", function()
        local server = assert(socket.bind("*", 0))
        local _, port = server:getsockname()
        local s = socket.tcp()
        is("1", s:connect("*", port))
        is('"inet4"', s:getfamily())
        close_all(s, server)
    end)
end)

-- ---- numbers ----

luasocket.describe("a number that is very large or none", function(socket, tested)
    for _, size in ipairs { 1e9, 2 ^ 40, 2 ^ 53 } do
        it(("of bytes to receive gives what there is: %g"):format(size), function()
            local client, accepted = luasocket.pair(socket)
            assert(client:send "abc")
            accepted:settimeout(0)
            is('nil, "timeout", "abc"', accepted:receive(size))
            is('nil, "timeout", "pre"', accepted:receive(size, "pre"))
            assert(client:send "de")
            close_all(client)
            is('nil, "closed", "prede"', accepted:receive(size, "pre"))
            close_all(accepted)
        end)
    end

    it("of an index to send is beyond the end", function()
        local client, accepted = luasocket.pair(socket)
        is("3, nil, nil", client:send("abc", 1, 2 ^ 53))
        is("3, nil, nil", client:send("abc", -2 ^ 53))
        is("3, nil, nil", client:send("abc", -2 ^ 53, 2 ^ 53))
        is("2, nil, nil", client:send("abc", 1.9, 2.9))
        is('"abcabcabcab", nil, nil', accepted:receive(11))
        close_all(client, accepted)
    end)

    -- What LuaSocket makes of these is the C compiler's choice.
    for title, value in pairs { ["infinite"] = math.huge, ["less than any"] = -math.huge, ["not one"] = 0 / 0 } do
        it("does no harm: " .. title, function()
            if tested.real then
                return
            end
            local client, accepted = luasocket.pair(socket)
            client:settimeout(0)
            accepted:settimeout(0)
            for _, call in ipairs {
                function() return accepted:receive(value) end,
                function() return accepted:receive(value, "prefix") end,
                function() return client:send("abc", value) end,
                function() return client:send("abc", 1, value) end,
                function() return client:send("abc", value, value) end,
                function() return client:setstats(value, value, value) end,
                function() return client:getstats() end,
                function() return client:setoption("linger", { on = true, timeout = value }) end,
                function() return client:setoption("tcp-keepidle", value) end,
                function() return socket.connect("127.0.0.1", value) end,
                function() return socket.bind("127.0.0.1", value) end,
                function() return socket.bind("127.0.0.1", 0, value) end,
            } do
                local ok, err = t.deadline(5, pcall, call)
                if not ok then
                    assert.is_string(err)
                    assert.is_truthy(err:find "bad argument" or err:find "bad self", err)
                end
            end
            t.collect() -- the server, where there is one
            accepted:settimeout(5)
            client:settimeout(5)
            assert(accepted:send "line\n")
            is('"line", nil, nil', client:receive())
            close_all(client, accepted)
        end)
    end

    it("of seconds may be infinite", function()
        local client, accepted = luasocket.pair(socket)
        if not tested.real then
            is("1", client:settimeout(math.huge))
            is("1", client:settimeout(math.huge, "t"))
        end
        is("1", client:settimeout(1e9))
        is("1", client:settimeout(1e9, "t"))
        assert(accepted:send "line\n")
        is('"line", nil, nil', client:receive())
        close_all(client, accepted)
    end)
end)

-- ---- programs that mean no good ----

local new_proxy = newproxy or function() end

-- Calls f when what is returned is collected.
local function at_collection(f)
    local proxy = new_proxy(true)
    if proxy then
        getmetatable(proxy).__gc = f
        return proxy
    end
    return setmetatable({}, { __gc = f })
end

luasocket.describe("a finalizer", function(socket)
    it("may use a socket that is collected with it", function()
        local results = {}
        do
            local client, accepted = luasocket.pair(socket)
            client:settimeout(0)
            assert(accepted:send "line\nmore")
            assert(client:receive())
            local function finalize()
                -- What the socket says depends on which of both is finalized first; nothing may crash.
                for _, call in ipairs { "getfd", "receive", "dirty", "getsockname", "getstats", "close", "close" } do
                    results[#results + 1] = call .. tostring((pcall(client[call], client)))
                end
                results[#results + 1] = tostring(pcall(client.send, client, "x"))
            end
            at_collection(finalize)
            close_all(accepted)
        end
        t.collect()
        t.collect()
        assert.equal(8, #results)
    end)

    it("may close the socket that a call is about", function()
        local client, accepted = luasocket.pair(socket)
        client:settimeout(0)
        local closed = false
        local function finalize()
            closed = true
            client:close()
        end
        at_collection(finalize)
        local limit = t.now() + 10
        local ok, err
        repeat
            assert(t.now() < limit, "no finalizer was called")
            ok, err = pcall(client.receive, client, "*l", ("p"):rep(100))
            if not closed then
                collectgarbage "step"
            end
        until closed
        is("true", ok)
        assert.is_nil(err)
        is('nil, "closed", ""', client:receive())
        close_all(client, accepted)
    end)
end)

luasocket.describe("an object that a program has changed", function(socket, tested)
    it("does no harm", function()
        if tested.real then
            return -- its objects are userdata
        end
        local methods = getmetatable(socket.tcp()).__index
        local names = {}
        for name, method in pairs(methods) do
            if type(method) == "function" then
                names[#names + 1] = name
            end
        end
        table.sort(names)
        -- An empty one of the class, one whose fields are gone, and one whose fields are something else.
        local function forge(spoil)
            for _, class in ipairs { "master", "client", "server" } do
                local client, accepted = luasocket.pair(socket)
                local s = class == "client" and client or class == "server" and assert(socket.bind("127.0.0.1", 0))
                    or socket.tcp4()
                s:settimeout(0)
                local forged = spoil(s)
                for _, name in ipairs(names) do
                    local ok, err = pcall(forged[name], forged, "x", 1)
                    assert.is_true(ok or type(err) == "string", name)
                end
                assert.is_string(tostring(forged))
                pcall(socket.select, { forged }, { forged }, 0)
                pcall(client.close, client)
                close_all(accepted)
            end
        end
        forge(function(s)
            return setmetatable({}, getmetatable(s))
        end)
        forge(function(s)
            for field in pairs(s) do
                s[field] = nil
            end
            return s
        end)
        forge(function(s)
            for field in pairs(s) do
                s[field] = "x"
            end
            return s
        end)
        forge(function(s)
            for field in pairs(s) do
                s[field] = {}
            end
            return s
        end)
    end)
end)

luasocket.describe("a call within a coroutine", function(socket)
    it("waits as it does outside", function()
        local client, accepted = luasocket.pair(socket)
        client:settimeout(0.02)
        local run = coroutine.wrap(function()
            is('nil, "timeout", ""', luasocket.takes(0.02, client.receive, client))
            is("4, nil, nil", accepted:send "abc\n")
            is('"abc", nil, nil', client:receive())
            coroutine.yield "yielded"
            is("4, nil, nil", client:send "def\n")
            return "done"
        end)
        t.only_in_main "in a task a coroutine of one's own does not wait"
        assert.equal("yielded", run())
        assert.equal("done", run())
        is('"def", nil, nil', accepted:receive())
        close_all(client, accepted)
    end)
end)

luasocket.describe("without descriptors", function(socket, tested)
    it("sockets are not made, and say so", function()
        local server = assert(socket.bind("127.0.0.1", 0))
        local host, port = server:getsockname()
        local client = assert(socket.connect(host, port))
        local kept = {}
        local soft = sys.nofile()
        finally(function()
            sys.nofile(soft)
        end)
        sys.nofile(#sys.fds() + 8)
        local s, err
        repeat
            s, err = socket.tcp4()
            kept[#kept + 1] = s
        until not s
        is('nil, "Too many open files"', s, err)
        is('nil, "Too many open files"', socket.tcp6())
        is('nil, "Too many open files"', socket.udp4())
        is('nil, "Too many open files"', tested.unix.stream())
        is('nil, "Too many open files"', socket.connect(host, port))
        is('nil, "Too many open files"', socket.bind("127.0.0.1", 0))
        is('nil, "Too many open files"', server:accept())
        local none = socket.tcp()
        is('nil, "Too many open files"', none:connect(host, port))
        is('nil, "Too many open files"', none:connect(host, port))
        for _, one in ipairs(kept) do
            close_all(one)
        end
        close_all(assert(server:accept()), client, server, none)
    end)
end)
