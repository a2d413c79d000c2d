-- TCP sockets of LuaSocket's calls but for connect (luasocket_connect_spec) and the stream (luasocket_stream_spec).

local luasocket = require "support.luasocket"
local t = require "support.t"

local is, raises = luasocket.is, luasocket.raises
local sys = t.sys

-- Sockets of each class; they are closed by their finalizers.
local function of_each_class(socket)
    local client, accepted = luasocket.pair(socket)
    return {
        ["tcp{master}"] = socket.tcp4(),
        ["tcp{client}"] = client,
        ["tcp{server}"] = assert(socket.bind("127.0.0.1", 0)),
    }, accepted
end

-- ---- classes ----

luasocket.describe("the class of a TCP socket", function(socket)
    it("is master, with a descriptor if it has a family", function()
        local s, s4, s6 = socket.tcp(), socket.tcp4(), socket.tcp6()
        is('"tcp{master}", "tcp{master}", "tcp{master}"', s.class, s4.class, s6.class)
        is("-1", s:getfd())
        is("true, true", sys.isopen(s4:getfd()), sys.isopen(s6:getfd()))
        is("1, 1, 1", s:close(), s4:close(), s6:close())
    end)

    it("stays master when a bind fails, or works", function()
        local server, s = assert(socket.bind("127.0.0.1", 0)), socket.tcp()
        local _, port = server:getsockname()
        is('nil, "address already in use"', s:bind("127.0.0.1", port))
        assert.equal("tcp{master}", s.class)
        is("1", s:bind("127.0.0.1", 0))
        assert.equal("tcp{master}", s.class)
        s:close()
        server:close()
    end)

    it("is server after listen, and client of what it accepts", function()
        local server = socket.tcp()
        assert(server:bind("127.0.0.1", 0))
        is("1", server:listen())
        assert.equal("tcp{server}", server.class)
        local client = luasocket.dial(socket, server)
        local accepted = server:accept()
        is('"tcp{client}", "tcp{client}"', client.class, accepted.class)
        server:close()
        assert.equal("tcp{server}", server.class)
        client:close()
        accepted:close()
    end)

    it("is client after a connect that failed as well", function()
        local s = socket.tcp()
        is('nil, "connection refused"', s:connect("127.0.0.1", luasocket.closed_port()))
        assert.equal("tcp{client}", s.class)
        s:close()
        assert.equal("tcp{client}", s.class)
    end)

    it("begins what tostring gives, the rest of which stays the same", function()
        local s = socket.tcp()
        local address = tostring(s):match "^tcp{master}: (0x%x+)$"
        assert.is_string(address)
        s:connect("127.0.0.1", luasocket.closed_port())
        assert.equal("tcp{client}: " .. address, tostring(s))
        s:close()
        assert.equal("tcp{client}: " .. address, tostring(s))
    end)

    it("has a table of methods that can be seen and added to", function()
        local s, other = socket.tcp(), socket.tcp()
        local methods = getmetatable(s).__index
        assert.equal("table", type(methods))
        assert.equal(methods.settimeout, s.settimeout)
        assert.is_nil(s.nosuch)
        function methods.nosuch(self, more)
            return self.class, more
        end
        is('"tcp{master}", 7', other:nosuch(7))
        methods.nosuch = nil
        assert.is_nil(other.nosuch)
        s:close()
        other:close()
    end)
end)

-- Which classes each method is for; those that are for any stand below.
local wanted = {
    ["tcp{master}"] = { "bind", "setsockname", "listen" },
    ["tcp{client}"] = { "send", "receive", "shutdown", "getstats", "setstats" },
    ["tcp{server}"] = { "accept" },
}
local any = {
    "connect", "setpeername", "close", "getfd", "setfd", "dirty", "getfamily", "getsockname", "getpeername",
    "getoption", "setoption", "settimeout", "gettimeout",
}

luasocket.describe("a method of a TCP socket", function(socket)
    for class, methods in pairs(wanted) do
        it("for " .. class .. " is refused by the other classes", function()
            local sockets = of_each_class(socket)
            for other, s in pairs(sockets) do
                for _, name in ipairs(methods) do
                    assert.is_function(s[name])
                    if other ~= class then
                        raises(class .. " expected", s[name], s, "x", 1)
                    end
                end
            end
        end)
    end

    it("for any class is refused by what is no TCP socket", function()
        local s, u = socket.tcp(), socket.udp()
        for _, name in ipairs(any) do
            for _, wrong in ipairs { false, 1, "s", {}, print, io.stdout, u } do
                raises("tcp{any} expected", s[name], wrong, "x", 1)
            end
            raises("tcp{any} expected", s[name])
        end
        s:close()
        u:close()
    end)

    it("for one class is refused by what is no TCP socket", function()
        local s, u = socket.tcp(), socket.udp()
        for class, methods in pairs(wanted) do
            for _, name in ipairs(methods) do
                for _, wrong in ipairs { false, 1, "s", {}, print, io.stdout, u } do
                    raises(class .. " expected", s[name], wrong, "x", 1)
                end
                raises(class .. " expected", s[name])
            end
        end
        s:close()
        u:close()
    end)

    it("is there under both of its names", function()
        local server, s = socket.tcp(), socket.tcp()
        is("1", server:setsockname("127.0.0.1", 0))
        is("1", server:listen())
        local host, port = server:getsockname()
        is("1", s:setpeername(host, port))
        s:close()
        server:close()
    end)
end)

-- ---- bind, listen, accept ----

luasocket.describe("a TCP server", function(socket)
    it("is bound and tells its name: host, port as a string, family", function()
        for host, family in pairs { ["127.0.0.1"] = "inet", ["::1"] = "inet6" } do
            local s = family == "inet" and socket.tcp() or socket.tcp6()
            is("1", s:bind(host, 0))
            local got = t.pack(s:getsockname())
            assert.equal(3, got.n)
            assert.equal(host, got[1])
            assert.is_truthy(type(got[2]) == "string" and got[2]:find "^%d+$" and got[2] ~= "0")
            assert.equal(family, got[3])
            is('nil, "Transport endpoint is not connected"', s:getpeername())
            s:close()
        end
    end)

    it("takes a port as a number, a numeral or the name of a service", function()
        local probe = assert(socket.bind("127.0.0.4", 0)) -- nobody else uses ports of this address
        local _, port = probe:getsockname()
        probe:close()
        for _, given in ipairs { port, tonumber(port) } do
            local s = socket.tcp4()
            assert(s:setoption("reuseaddr", true))
            is("1", s:bind("127.0.0.4", given))
            assert.equal(port, (select(2, s:getsockname())))
            s:close()
        end
        local s = socket.tcp4()
        is('nil, "service not supported for socket type"', s:bind("127.0.0.1", "no-such-service"))
        s:close()
    end)

    it("is bound to all addresses of its family with *", function()
        for _, made in ipairs { "tcp", "tcp4", "tcp6" } do
            local s = socket[made]()
            is("1", s:bind("*", 0))
            local host, _, family = s:getsockname()
            is(made == "tcp6" and '"::", "inet6"' or '"0.0.0.0", "inet"', host, family)
            s:close()
        end
    end)

    it("of IPv6 leaves the port of IPv4 to others", function()
        local ok
        local tries = 0
        repeat -- somebody else may have it
            tries = tries + 1
            local s6, s4 = socket.tcp6(), socket.tcp4()
            is("1", s6:bind("::", 0))
            is("1", s6:listen())
            ok = s4:bind("0.0.0.0", select(2, s6:getsockname()))
            s4:close()
            s6:close()
        until ok or tries == 10
        is("1", ok)
    end)

    it("is refused an address that is none of ours, or is taken, or comes twice", function()
        local s = socket.tcp4()
        is('nil, "Cannot assign requested address"', s:bind("192.0.2.77", 0))
        is("1", s:bind("127.0.0.1", 0))
        is('nil, "Invalid argument"', s:bind("127.0.0.1", 0))
        assert(s:listen())
        local other = socket.tcp4()
        local _, port = s:getsockname()
        is('nil, "address already in use"', other:bind("127.0.0.1", port))
        assert.equal("tcp{master}", other.class)
        other:close()
        s:close()
    end)

    it("is refused an address of another family", function()
        local s4, s6 = socket.tcp4(), socket.tcp6()
        is('nil, "Address family for hostname not supported"', s4:bind("::1", 0))
        is('nil, "Address family for hostname not supported"', s6:bind("127.0.0.1", 0))
        s4:close()
        s6:close()
    end)

    it("listens without an address, if it has a descriptor", function()
        local s = socket.tcp4()
        is("1", s:listen())
        local host, port, family = s:getsockname()
        is('"0.0.0.0", "inet"', host, family)
        local client = assert(socket.connect("127.0.0.1", port))
        local accepted = assert(s:accept())
        accepted:close()
        client:close()
        s:close()
    end)

    it("does not listen without a descriptor", function()
        local s = socket.tcp()
        is('nil, "Bad file descriptor"', s:listen())
        assert.equal("tcp{master}", s.class)
        s:close()
        is('nil, "Bad file descriptor"', s:listen())
    end)

    for title, backlog in pairs { ["a number"] = 1, ["a numeral"] = "5", ["a fraction"] = 2.5 } do
        it("listens with a backlog that is " .. title, function()
            local s = socket.tcp4()
            local ok, got = pcall(s.listen, s, backlog)
            if backlog == 2.5 and not ok then -- what lauxlib says of it, from Lua 5.3 on
                assert.is_truthy(tostring(got):find "number has no integer representation")
            else
                is("true, 1", ok, got)
            end
            s:close()
        end)
    end

    it("accepts in the order in which they came, and times out when there is nobody", function()
        local server = assert(socket.bind("127.0.0.1", 0))
        is("1", server:settimeout(0))
        is('nil, "timeout"', server:accept())
        local host, port = server:getsockname()
        local first, second = assert(socket.connect(host, port)), assert(socket.connect(host, port))
        for _, client in ipairs { first, second } do
            local accepted = assert(server:accept())
            local _, from = client:getsockname()
            is(('"127.0.0.1", %s, "inet"'):format(from), accepted:getpeername())
            is("-1, -1", accepted:gettimeout())
            accepted:close()
        end
        is('nil, "timeout"', server:accept())
        first:close()
        second:close()
        is("1", server:settimeout(0.03))
        is('nil, "timeout"', luasocket.takes(0.03, server.accept, server))
        server:close()
    end)

    it("gives one result when it accepts", function()
        local server = assert(socket.bind("127.0.0.1", 0))
        local client = luasocket.dial(socket, server)
        local got = t.pack(server:accept())
        assert.equal(1, got.n)
        got[1]:close()
        client:close()
        server:close()
    end)

    it("that is closed accepts nobody", function()
        local server = assert(socket.bind("127.0.0.1", 0))
        is("1", server:close())
        is('nil, "closed"', server:accept())
        is('nil, "Bad file descriptor"', server:getsockname())
        is('nil, "Bad file descriptor"', server:getpeername())
    end)

    it("that becomes a client is none any more", function()
        local server, other = assert(socket.bind("127.0.0.1", 0)), assert(socket.bind("127.0.0.1", 0))
        local host, port = other:getsockname()
        is('nil, "already connected"', server:connect(host, port))
        assert.equal("tcp{client}", server.class)
        server:close()
        other:close()
    end)
end)

luasocket.describe("socket.bind", function(socket)
    it("makes a server for numeric hosts, names and *", function()
        for host, expected in pairs { ["127.0.0.1"] = "127.0.0.1", ["::1"] = "::1", ["*"] = "0.0.0.0" } do
            local got = t.pack(socket.bind(host, 0))
            assert.equal(1, got.n)
            local server = got[1]
            assert.equal("tcp{server}", server.class)
            assert.equal(expected, (server:getsockname()))
            is("true", server:getoption "reuseaddr")
            server:close()
        end
        local server = assert(socket.bind("localhost", 0, 5))
        assert.equal("tcp{server}", server.class)
        server:close()
    end)

    it("gives back nil and the error, and no descriptor", function()
        local before = t.fds()
        local server = assert(socket.bind("127.0.0.1", 0))
        local _, port = server:getsockname()
        is('nil, "address already in use"', socket.bind("127.0.0.1", port))
        is('nil, "Cannot assign requested address"', socket.bind("192.0.2.77", 0))
        server:close()
        assert.equal(before, t.fds())
    end)
end)

-- ---- names, families, descriptors ----

luasocket.describe("the names of a TCP socket", function(socket)
    for host, family in pairs { ["127.0.0.1"] = "inet", ["::1"] = "inet6" } do
        it("are those of both ends, with " .. host, function()
            local client, accepted = luasocket.pair(socket, host)
            local _, here, own = client:getsockname()
            local _, there = accepted:getsockname()
            assert.equal("string", type(here))
            assert.equal(family, own)
            is(('"%s", %s, "%s"'):format(host, there, family), client:getpeername())
            is(('"%s", %s, "%s"'):format(host, here, family), accepted:getpeername())
            assert.equal(family == "inet" and "inet4" or "inet6", client:getfamily())
            assert.equal(family == "inet" and "inet4" or "inet6", accepted:getfamily())
            client:close()
            accepted:close()
        end)
    end

    it("are unknown before there is a descriptor, and after it", function()
        local s = socket.tcp()
        is('nil, "Bad file descriptor"', s:getsockname())
        is('nil, "Bad file descriptor"', s:getpeername())
        is('"inet4"', s:getfamily())
        s:close()
        is('nil, "Bad file descriptor"', s:getsockname())
        is('nil, "Bad file descriptor"', s:getpeername())
        is('"inet4"', s:getfamily())
    end)

    it("are those of no address on one that is not bound", function()
        local s4, s6 = socket.tcp4(), socket.tcp6()
        is('"0.0.0.0", "0", "inet"', s4:getsockname())
        is('"::", "0", "inet6"', s6:getsockname())
        is('nil, "Transport endpoint is not connected"', s4:getpeername())
        is('nil, "Transport endpoint is not connected"', s6:getpeername())
        is('"inet4", "inet6"', s4:getfamily(), s6:getfamily())
        s4:close()
        s6:close()
        is('"inet4", "inet6"', s4:getfamily(), s6:getfamily())
    end)

    it("tell of an IPv4 peer in the form of IPv6", function()
        local server = socket.tcp6()
        assert(server:setoption("ipv6-v6only", false))
        is("1", server:bind("::", 0))
        is("1", server:listen())
        local _, port = server:getsockname()
        local client = assert(socket.connect("127.0.0.1", port))
        local accepted = assert(server:accept())
        local _, from = client:getsockname()
        is(('"::ffff:127.0.0.1", %s, "inet6"'):format(from), accepted:getpeername())
        is(('"::ffff:127.0.0.1", "%s", "inet6"'):format(port), accepted:getsockname())
        is('"inet6"', accepted:getfamily())
        accepted:close()
        client:close()
        server:close()
    end)
end)

luasocket.describe("close of a TCP socket", function(socket)
    it("is 1, however often, in each class", function()
        for _, s in pairs((of_each_class(socket))) do
            local fd = s:getfd()
            is("1", s:close())
            is("1", s:close())
            is("-1", s:getfd())
            is("false", sys.isopen(fd))
        end
    end)

    it("ends what the other end reads", function()
        local client, accepted = luasocket.pair(socket)
        client:close()
        is('nil, "closed", ""', accepted:receive())
        accepted:close()
    end)

    it("makes each call on it say so", function()
        local client, accepted = luasocket.pair(socket)
        client:close()
        is('nil, "closed", 0', client:send "abc")
        is('nil, "closed", 3', client:send("abcdef", 4))
        is("2, nil, nil", client:send("abc", 3, 2))
        is('nil, "closed", ""', client:receive())
        is('nil, "closed", "pre"', client:receive("*a", "pre"))
        is('"pre", nil, nil', client:receive(2, "pre"))
        is("1", client:shutdown())
        is("false", client:dirty())
        is("1", client:settimeout(1))
        is("1, -1", client:gettimeout())
        is('nil, "setsockopt failed"', client:setoption("keepalive", true))
        is('nil, "getsockopt failed"', client:getoption "keepalive")
        accepted:close()
    end)
end)

luasocket.describe("shutdown of a TCP socket", function(socket)
    it("of sending ends what the other end reads, which can still answer", function()
        local client, accepted = luasocket.pair(socket)
        is("3, nil, nil", client:send "abc")
        is("1", client:shutdown "send")
        is('"abc", nil, nil', accepted:receive "*a")
        is("6, nil, nil", accepted:send "answer")
        accepted:close()
        is('"answer", nil, nil', client:receive "*a")
        is('nil, "closed", 0', client:send "more")
        client:close()
    end)

    it("of receiving ends what this end reads, which can still send", function()
        local client, accepted = luasocket.pair(socket)
        is("1", client:shutdown "receive")
        is('nil, "closed", ""', client:receive())
        is("4, nil, nil", client:send "more")
        is('"more", nil, nil', accepted:receive(4))
        client:close()
        accepted:close()
    end)

    it("is of both unless told, and 1 again and after close", function()
        for _, how in ipairs { "both", false } do
            local client, accepted = luasocket.pair(socket)
            is("1", client:shutdown(how or nil))
            is('nil, "closed", 0', client:send "abc")
            is('nil, "closed", ""', client:receive())
            is('nil, "closed", ""', accepted:receive())
            is("1", client:shutdown(how or nil))
            client:close()
            is("1", client:shutdown "send")
            accepted:close()
        end
    end)
end)
