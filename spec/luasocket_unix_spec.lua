-- LuaSocket's Unix sockets: the module, classes, names, errors. What streams carry: luasocket_stream_spec; datagrams:
-- luasocket_udp_unix_spec.

local luasocket = require "support.luasocket"
local t = require "support.t"

local is, raises = luasocket.is, luasocket.raises
local sys = t.sys

local function close_all(...)
    for _, s in ipairs { ... } do
        is("1", s:close())
    end
end

local LONG = ("x"):rep(108)

luasocket.describe("the module of Unix sockets", function(_, tested)
    local unix = tested.unix

    it("makes streams and datagram sockets, and is called for streams", function()
        local all = { unix(), unix.stream(), unix.tcp(), unix.dgram(), unix.udp() }
        for i, s in ipairs(all) do
            assert.equal(i <= 3 and "unixstream{master}" or "unixdgram{unconnected}", s.class)
            assert.equal(s.class, tostring(s):match "^(.*): 0x%x+$")
            assert.is_true(sys.isopen(s:getfd()))
            assert.is_nil(s.nosuch)
        end
        for _, s in ipairs(all) do
            close_all(s)
        end
    end)

    it("gives each class its methods, and no others", function()
        local stream, dgram = unix.stream(), unix.dgram()
        local names = {
            [stream] = "accept bind close connect dirty getfd getsockname getstats listen receive send setfd setoption "
                .. "setpeername setsockname setstats settimeout shutdown",
            [dgram] = "bind close connect dirty getfd getsockname gettimeout receive receivefrom send sendto setfd "
                .. "setoption setpeername setsockname settimeout",
        }
        for s, expected in pairs(names) do
            for name in expected:gmatch "%S+" do
                assert.is_function(s[name], name)
            end
            for _, name in ipairs { "getpeername", "getoption", "getfamily" } do
                assert.is_nil(s[name], name)
            end
        end
        assert.is_nil(stream.gettimeout)
        assert.is_nil(stream.sendto)
        assert.is_nil(dgram.getstats)
        assert.is_nil(dgram.shutdown)
        assert.is_nil(dgram.listen)
        close_all(stream, dgram)
    end)
end)

-- ---- streams ----

luasocket.describe("a Unix stream", function(_, tested)
    local unix = tested.unix

    it("is master, server, client", function()
        local path = t.tmpdir() .. "/s"
        local server, client = unix.stream(), unix.stream()
        is("1", server:bind(path))
        assert.equal("unixstream{master}", server.class)
        is("1", server:listen())
        assert.equal("unixstream{server}", server.class)
        is("1", client:connect(path))
        assert.equal("unixstream{client}", client.class)
        local accepted = server:accept()
        assert.equal("unixstream{client}", accepted.class)
        close_all(client, accepted, server)
        is('"unixstream{server}", "unixstream{client}"', server.class, client.class)
    end)

    it("refuses methods of other classes, and what is no Unix stream", function()
        local path = t.tmpdir() .. "/s"
        local server, client, master = unix.stream(), unix.stream(), unix.stream()
        assert(server:bind(path))
        assert(server:listen())
        assert(client:connect(path))
        local by_class = {
            ["unixstream{master}"] = { master, "bind", "setsockname", "listen", "connect", "setpeername" },
            ["unixstream{client}"] = { client, "send", "receive", "shutdown", "getstats", "setstats" },
            ["unixstream{server}"] = { server, "accept" },
        }
        local others = { master, client, server, unix.dgram(), tested.socket.tcp(), false, 1, {}, print }
        for class, row in pairs(by_class) do
            for i = 2, #row do
                for _, s in ipairs(others) do
                    if s ~= row[1] then
                        raises(class .. " expected", master[row[i]], s, "x")
                    end
                end
                raises(class .. " expected", master[row[i]])
            end
        end
        for _, name in ipairs { "close", "getfd", "setfd", "dirty", "getsockname", "setoption", "settimeout" } do
            for i = 4, #others do
                raises("unixstream{any} expected", master[name], others[i], 1)
            end
        end
        close_all(master, client, server, others[4], others[5])
    end)

    it("has a name that is the path alone, and none unless bound", function()
        local path = t.tmpdir() .. "/s"
        local server, client = unix.stream(), unix.stream()
        is('""', server:getsockname())
        is("1", server:bind(path))
        is(('"%s"'):format(path), server:getsockname())
        assert(server:listen(5))
        assert(client:connect(path))
        is('""', client:getsockname())
        local accepted = assert(server:accept())
        is(('"%s"'):format(path), accepted:getsockname())
        close_all(client, accepted, server)
        is('nil, "Bad file descriptor"', server:getsockname())
        is('nil, "Bad file descriptor"', client:getsockname())
    end)

    it("leaves its file when it is closed", function()
        local path = t.tmpdir() .. "/s"
        local s = unix.stream()
        assert(s:bind(path))
        close_all(s)
        s = unix.stream()
        is('nil, "address already in use"', s:bind(path))
        close_all(s)
        assert.is_true(os.remove(path))
    end)

    it("takes a relative name for a path", function()
        local name = ("ssocket-spec-%d"):format(sys.getpid())
        local server, client = unix.stream(), unix.stream()
        is("1", server:bind(name))
        finally(function()
            os.remove(name)
        end)
        is(('"%s"'):format(name), server:getsockname())
        is("1", server:listen())
        is("1", client:connect(name))
        local other = unix.stream()
        is("1", other:connect("./" .. name))
        close_all(client, other, server)
    end)

    for _, call in ipairs { "bind", "connect" } do
        it("is closed by a " .. call .. " that fails, and stays a master", function()
            local s = unix.stream()
            local fd = s:getfd()
            is('nil, "No such file or directory"', s[call](s, t.tmpdir() .. "/none/s"))
            is('"unixstream{master}", -1', s.class, s:getfd())
            is("false", sys.isopen(fd))
            is('nil, "closed"', s:connect(t.tmpdir() .. "/s"))
            is('nil, "Bad file descriptor"', s:getsockname())
            close_all(s)
        end)

        it("is told by " .. call .. " that a path is too long", function()
            local s = unix.stream()
            is('nil, "path too long"', s[call](s, LONG))
            is('nil, "path too long"', s[call](s, ("x"):rep(100000)))
            close_all(s)
            s = unix.stream()
            is('nil, "No such file or directory"', s[call](s, "no-such-dir/" .. ("x"):rep(95))) -- 107 bytes
            close_all(s)
        end)

        it("has " .. call .. " take a string", function()
            local s = unix.stream()
            raises("string expected, got no value", s[call], s)
            raises("string expected, got table", s[call], s, {})
            raises("string expected, got nil", s[call], s, nil)
            is("true", sys.isopen(s:getfd()))
            close_all(s)
        end)
    end

    it("tells why it does not connect", function()
        local dir = t.tmpdir()
        assert(io.open(dir .. "/file", "w")):close()
        local bound, dgram = unix.stream(), unix.dgram()
        assert(bound:bind(dir .. "/bound"))
        assert(dgram:bind(dir .. "/dgram"))
        for name, err in pairs {
            file = "connection refused",
            bound = "connection refused",
            dgram = "Protocol wrong type for socket",
            none = "No such file or directory",
        } do
            local s = unix.stream()
            is(('nil, "%s"'):format(err), s:connect(dir .. "/" .. name))
            is('nil, "closed"', s:connect(dir .. "/" .. name))
            close_all(s)
        end
        local s = unix.stream()
        is('nil, "Invalid argument"', s:connect "")
        close_all(s, bound, dgram)
    end)

    it("does not listen without a name", function()
        local s = unix.stream()
        is('nil, "Invalid argument"', s:listen())
        assert.equal("unixstream{master}", s.class)
        close_all(s)
        is('nil, "Bad file descriptor"', s:listen())
    end)

    it("is bound twice only to be closed", function()
        local dir = t.tmpdir()
        local s = unix.stream()
        is("1", s:bind(dir .. "/1"))
        is('nil, "Invalid argument"', s:bind(dir .. "/2"))
        is("-1", s:getfd())
        close_all(s)
    end)

    it("has some name when it is bound to none", function()
        local s = unix.stream()
        is("1", s:bind "")
        local name = s:getsockname()
        assert.is_truthy(name == "" or not tested.real and name:find "^%z%x+$") -- LuaSocket sees the NUL as its end
        is("1", s:listen())
        close_all(s)
    end)

    it("connects without time, and nobody comes to accept without time", function()
        local path = t.tmpdir() .. "/s"
        local server, client = unix.stream(), unix.stream()
        assert(server:bind(path))
        assert(server:listen())
        is("1", server:settimeout(0))
        is('nil, "timeout"', server:accept())
        is("1", server:settimeout(0.02))
        is('nil, "timeout"', luasocket.takes(0.02, server.accept, server))
        is("1", client:settimeout(0))
        is("1", client:connect(path))
        local got = t.pack(server:accept())
        assert.equal(1, got.n)
        close_all(got[1], client, server)
        is('nil, "closed"', server:accept())
    end)

    it("has three options that can be set, and none that can be read", function()
        local s = unix.stream()
        is("1", s:setoption("keepalive", true))
        is("1", s:setoption("reuseaddr", true))
        is("1", s:setoption("linger", { on = true, timeout = 1 }))
        raises("unsupported option `tcp-nodelay'", s.setoption, s, "tcp-nodelay", true)
        raises("unsupported option `" .. ("x"):rep(35) .. "'", s.setoption, s, ("x"):rep(50), true)
        assert(s:setoption("linger", { on = false, timeout = 0 }))
        close_all(s)
    end)

    it("is shut down in one direction or both, also when it is closed", function()
        local client, accepted = luasocket.unix_pair(unix)
        is("1", client:shutdown "send")
        is('nil, "closed", ""', accepted:receive())
        is("4, nil, nil", accepted:send "back")
        is('"back", nil, nil', client:receive(4))
        is('nil, "closed", 0', client:send "x")
        is("1", client:shutdown "receive")
        is('nil, "closed", ""', client:receive())
        is("1", accepted:shutdown())
        close_all(client, accepted)
        is("1", client:shutdown "both")
    end)

    it("makes each call on it say that it is closed", function()
        local client, accepted = luasocket.unix_pair(unix)
        close_all(client)
        is("-1", client:getfd())
        is('nil, "closed", 0', client:send "abc")
        is('nil, "closed", ""', client:receive())
        is('nil, "closed", ""', client:receive(0))
        is("false", client:dirty())
        is('nil, "setsockopt failed"', client:setoption("keepalive", true))
        is("1", client:settimeout(1))
        close_all(client, accepted)
    end)
end)

-- ---- datagram sockets ----

luasocket.describe("a Unix datagram socket", function(_, tested)
    local unix = tested.unix

    -- Two that are bound, and their paths.
    local function two()
        local dir = t.tmpdir()
        local a, b = unix.dgram(), unix.dgram()
        is("1, 1", a:bind(dir .. "/a"), b:bind(dir .. "/b"))
        a:settimeout(5)
        b:settimeout(5)
        return a, b, dir .. "/a", dir .. "/b"
    end

    it("refuses methods of the other class, and what is no Unix datagram socket", function()
        local a, b, _, to = two()
        is("1", a:connect(to))
        for _, name in ipairs { "sendto", "receivefrom", "bind", "setsockname" } do
            raises("unixdgram{unconnected} expected", b[name], a, "x", to)
            raises("unixdgram{unconnected} expected", b[name], false, "x", to)
        end
        raises("unixdgram{connected} expected", b.send, b, "x")
        raises("unixdgram{connected} expected", b.send, 1, "x")
        local stream = unix.stream()
        for _, name in ipairs { "close", "receive", "connect", "setpeername", "getfd", "setfd", "dirty", "getsockname",
            "setoption", "settimeout", "gettimeout" } do
            raises("unixdgram{any} expected", b[name], stream, 1)
            raises("unixdgram{any} expected", b[name], {}, 1)
            raises("unixdgram{any} expected", b[name])
        end
        close_all(a, b, stream)
    end)

    it("has a name that is the path alone", function()
        local a, b, from = two()
        is(('"%s"'):format(from), a:getsockname())
        local s = unix.dgram()
        is('""', s:getsockname())
        close_all(a, b, s)
        is('nil, "Bad file descriptor"', s:getsockname())
    end)

    it("has two time-outs", function()
        local s = unix.dgram()
        is("-1, -1", s:gettimeout())
        is("1, 1", s:settimeout(0.02), s:settimeout(5, "t"))
        is("0.02, 5", s:gettimeout())
        assert(s:bind(t.tmpdir() .. "/s"))
        is('nil, "timeout"', luasocket.takes(0.02, s.receive, s))
        is('nil, "timeout"', luasocket.takes(0.02, s.receivefrom, s))
        close_all(s)
    end)

    it("tells why a datagram is not sent", function()
        local a, b, _, to = two()
        is('nil, "No such file or directory"', a:sendto("x", to .. "-none"))
        is('nil, "path too long"', a:sendto("x", LONG))
        is('nil, "Message too long"', a:sendto(("x"):rep(4 * 1024 * 1024), to))
        is("true", sys.isopen(a:getfd()))
        is("1", a:connect(to))
        close_all(b)
        is('nil, "connection refused"', a:send "x")
        is('nil, "Transport endpoint is not connected"', a:send "x")
        close_all(a)
    end)

    for _, call in ipairs { "bind", "connect" } do
        it("is closed by a " .. call .. " that fails, and stays unconnected", function()
            local s = unix.dgram()
            is('nil, "No such file or directory"', s[call](s, t.tmpdir() .. "/none/s"))
            is('"unixdgram{unconnected}", -1', s.class, s:getfd())
            is('nil, "closed"', s:connect(t.tmpdir() .. "/s"))
            close_all(s)
        end)

        it("is told by " .. call .. " that a path is too long", function()
            local s = unix.dgram()
            is('nil, "path too long"', s[call](s, LONG))
            close_all(s)
        end)
    end

    it("is not connected to a stream, and not bound to what is there", function()
        local a, b, from = two()
        local dir = t.tmpdir()
        local server, s = unix.stream(), unix.dgram()
        assert(server:bind(dir .. "/s"))
        assert(server:listen())
        is('nil, "Protocol wrong type for socket"', s:connect(dir .. "/s"))
        local other = unix.dgram()
        is('nil, "address already in use"', other:bind(from))
        close_all(a, b, server, s, other)
    end)
end)
