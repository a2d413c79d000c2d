-- LuaSocket's UDP sockets: classes, addresses, datagrams, refusals, what is closed.

local luasocket = require "support.luasocket"
local t = require "support.t"

local is, raises = luasocket.is, luasocket.raises

-- A socket that is bound to host, with a limit on its waits, and its port.
local function bound(socket, host)
    local s = socket.udp()
    assert(s:setsockname(host or "127.0.0.1", 0))
    assert(s:settimeout(10))
    return s, tonumber((select(2, s:getsockname())))
end

-- One whose peer is the port, with a limit on its waits, and its own port.
local function joined(socket, port, host)
    local s = socket.udp()
    assert(s:setpeername(host or "127.0.0.1", port))
    assert(s:settimeout(10))
    return s, tonumber((select(2, s:getsockname())))
end

-- A port at which nobody listens.
local function free_port(socket)
    local s, port = bound(socket)
    s:close()
    return port
end

local function close_all(...)
    for _, s in ipairs { ... } do
        is("1", s:close())
    end
end

luasocket.describe("a UDP socket", function(socket)
    it("has no descriptor before it has an address", function()
        local s = socket.udp()
        assert.equal("udp{unconnected}", s.class)
        is("-1", s:getfd())
        is('"inet4"', s:getfamily())
        is('nil, "Bad file descriptor"', s:getsockname())
        is("-1, -1", s:gettimeout())
        is("false", s:dirty())
        is("1", s:close())
    end)

    it("has one from the beginning where its family is given", function()
        for name, family in pairs { udp4 = "inet4", udp6 = "inet6" } do
            local s = socket[name]()
            assert.is_true(s:getfd() >= 0)
            is(('"%s"'):format(family), s:getfamily())
            local any = family == "inet4" and '"0.0.0.0", "0", "inet"' or '"::", "0", "inet6"'
            is(any, s:getsockname())
            is("1", s:close())
            is("-1", s:getfd())
        end
    end)

    it("becomes connected, and unconnected again", function()
        local a, port = bound(socket)
        local b = socket.udp()
        local shown = tostring(b):match "0x%x+$"
        assert.equal("udp{unconnected}: " .. shown, tostring(b))
        is("1", b:setpeername("127.0.0.1", port))
        assert.equal("udp{connected}", b.class)
        assert.equal("udp{connected}: " .. shown, tostring(b))
        is(('"127.0.0.1", %d, "inet"'):format(port), b:getpeername())
        is("1", b:setpeername "*")
        assert.equal("udp{unconnected}", b.class)
        is("1", b:setpeername "*")
        is("1", b:setpeername("127.0.0.1", tostring(port)))
        is("1", b:setpeername("*", 5))
        assert.equal("udp{unconnected}: " .. shown, tostring(b))
        close_all(a, b)
    end)

    it("has methods for each class, and no others", function()
        local a, b = socket.udp(), joined(socket, 9)
        raises("udp{connected} expected", a.send, a, "x")
        raises("udp{connected} expected", a.getpeername, a)
        for _, name in ipairs { "sendto", "receivefrom", "setsockname" } do
            raises("udp{unconnected} expected", b[name], b, "x", "127.0.0.1", 9)
        end
        for _, name in ipairs { "receive", "setpeername", "close", "getfd", "setfd", "dirty", "getsockname" } do
            for _, other in ipairs { socket.tcp(), "x", {}, io.stdout, false } do
                raises("udp{any} expected", a[name], other, "*")
            end
            raises("udp{any} expected", a[name])
        end
        raises("tcp{any} expected", socket.tcp().close, a)
        for _, name in ipairs { "connect", "bind", "listen", "accept", "shutdown", "getstats", "setstats" } do
            assert.is_nil(a[name])
        end
        close_all(a, b)
    end)

    it("keeps both of its times", function()
        local s = socket.udp()
        is("1", s:settimeout(2))
        is("1", s:settimeout("3", "total"))
        is("2, 3", s:gettimeout())
        is("1", s:settimeout(nil, "t"))
        is("2, -1", s:gettimeout())
        is("1", s:settimeout(0.5, "block"))
        is("0.5, -1", s:gettimeout())
        raises("invalid timeout mode", s.settimeout, s, 3, "x")
        s:close()
    end)
end)

luasocket.describe("addresses of a UDP socket", function(socket)
    it("are those that it is bound to", function()
        local s = socket.udp()
        is("1", s:setsockname("127.0.0.1", 0))
        local host, port, family = s:getsockname()
        is('"127.0.0.1", "inet"', host, family)
        assert.equal("string", type(port))
        is('nil, "Invalid argument"', s:setsockname("127.0.0.1", 0))
        is('nil, "address already in use"', socket.udp():setsockname("127.0.0.1", port))
        s:close()
        s = socket.udp()
        is("1", s:setsockname("localhost", 0)) -- a name
        s:close()
    end)

    it("are all of one family with *", function()
        for name, expected in pairs { udp = '"0.0.0.0", "inet"', udp4 = '"0.0.0.0", "inet"', udp6 = '"::", "inet6"' } do
            local s = socket[name]()
            is("1", s:setsockname("*", 0))
            local host, _, family = s:getsockname()
            is(expected, host, family)
            s:close()
        end
        local six = socket.udp6()
        is("true", six:getoption "ipv6-v6only")
        six:close()
    end)

    it("that cannot be bound leave the socket as it was", function()
        local s = socket.udp4()
        is('nil, "Cannot assign requested address"', s:setsockname("192.0.2.77", 0))
        is('nil, "host or service not provided, or not known"', s:setsockname("300.1.1.1", 0))
        is("1", s:setsockname("127.0.0.1", 0))
        s:close()
    end)

    it("of a peer may be a name, and a service", function()
        local s = socket.udp()
        is("1", s:setpeername("localhost", 9))
        is("1", s:setpeername("127.0.0.1", "domain"))
        is('"127.0.0.1", 53, "inet"', s:getpeername())
        is('nil, "host or service not provided, or not known"', s:setpeername("300.1.1.1", 9))
        is('nil, "service not supported for socket type"', s:setpeername("127.0.0.1", "no-such-service"))
        s:close()
    end)

    it("belong to the family of the socket", function()
        local six, four = socket.udp(), socket.udp4()
        is("1", six:setpeername("::1", 9))
        is('"inet6"', six:getfamily())
        is('"::1", 9, "inet6"', six:getpeername())
        is('nil, "Address family for hostname not supported"', six:setpeername("127.0.0.1", 9))
        is('nil, "Address family for hostname not supported"', four:setpeername("::1", 9))
        is('nil, "Address family for hostname not supported"', four:sendto("x", "::1", 9))
        is('"inet4"', four:getfamily())
        close_all(six, four)
    end)

    it("of IPv4 stand as mapped ones in a socket for both", function()
        local six = socket.udp6()
        is("1", six:setoption("ipv6-v6only", false))
        is("1", six:setsockname("*", 0))
        is("1", six:settimeout(10))
        local four = joined(socket, (select(2, six:getsockname())))
        is("2", four:send "hi")
        local data, host, port = six:receivefrom()
        is('"hi", "::ffff:127.0.0.1"', data, host)
        is("2", six:sendto("ho", host, port))
        is('"ho"', four:receive())
        is("1", six:setpeername("::ffff:127.0.0.1", port))
        is(('"::ffff:127.0.0.1", %d, "inet6"'):format(port), six:getpeername())
        close_all(six, four)
    end)

    it("of IPv4, mapped, are out of reach of a socket for IPv6 alone", function()
        local six, four = socket.udp6(), socket.udp4()
        is('nil, "Network is unreachable"', six:setpeername("::ffff:127.0.0.1", 9))
        is('nil, "Invalid argument"', six:setsockname("::ffff:127.0.0.1", 0))
        is("1", four:setpeername("::ffff:127.0.0.1", 9))
        is('"127.0.0.1", 9, "inet"', four:getpeername())
        close_all(six, four)
    end)

    it("are needed as arguments", function()
        local s = socket.udp()
        raises("string expected, got no value", s.setsockname, s)
        raises("string expected, got no value", s.setsockname, s, "*")
        raises("string expected, got no value", s.setpeername, s)
        raises("string expected, got no value", s.setpeername, s, "127.0.0.1")
        raises("string expected, got no value", s.sendto, s)
        raises("string expected, got table", s.sendto, s, "x", {}, 1)
        raises("string expected, got no value", s.sendto, s, "x", "127.0.0.1")
        is("-1", s:getfd())
        s:close()
    end)
end)

luasocket.describe("datagrams", function(socket)
    for _, host in ipairs { "127.0.0.1", "::1" } do
        it("go both ways, with the address of the sender, at " .. host, function()
            local a, port = bound(socket, host)
            local b = socket.udp() -- unopened: takes the family
            is("5", b:sendto("hello", host, port))
            local data, from, at = a:receivefrom()
            local _, bport = b:getsockname()
            is(('"hello", "%s", %s'):format(host, bport), data, from, at)
            is("6", a:sendto("answer", from, tostring(at)))
            b:settimeout(10)
            is(('"answer", "%s", %d'):format(host, port), b:receivefrom())
            close_all(a, b)
        end)
    end

    it("between sockets that have peers", function()
        local a, port = bound(socket)
        local b, bport = joined(socket, port)
        is("1", a:setpeername("127.0.0.1", bport))
        is("3", a:send "abc")
        is("2", b:send(12)) -- numbers are data
        is('"abc"', b:receive())
        is('"12"', a:receive())
        raises("string expected, got no value", b.send, b)
        close_all(a, b)
    end)

    it("may be empty", function()
        local a, port = bound(socket)
        local b, bport = joined(socket, port)
        is("0", b:send "")
        is('""', a:receive())
        is("0", b:send "")
        is(('"", "127.0.0.1", %d'):format(bport), a:receivefrom())
        close_all(a, b)
    end)

    it("are cut to the size asked for, 8192 unless given", function()
        local a, port = bound(socket)
        local b, bport = joined(socket, port)
        for _, case in ipairs { { 3, "hel" }, { "2", "he" }, { 2.7, "he" }, { 0, "" }, { 100, "hello" } } do
            is("5", b:send "hello")
            is(('"%s"'):format(case[2]), a:receive(case[1]))
            is("5", b:send "hello")
            is(('"%s", "127.0.0.1", %d'):format(case[2], bport), a:receivefrom(case[1]))
        end
        for _, name in ipairs { "receive", "receivefrom" } do
            b:send(("x"):rep(9000))
            assert.equal(8192, #a[name](a))
            b:send(("x"):rep(9000))
            assert.equal(9000, #a[name](a, 10000))
            raises("number expected, got string", a[name], a, "x")
        end
        a:settimeout(0)
        is('nil, "timeout"', a:receive()) -- the rest is gone
        close_all(a, b)
    end)

    it("are bytes of any kind, the longest included", function()
        local a, port = bound(socket)
        local b = joined(socket, port)
        local data = t.random(65507)
        is("65507", b:send(data))
        assert.is_true(data == a:receive(65507))
        is('nil, "Message too long"', b:send(data .. "x"))
        is('nil, "Message too long"', socket.udp():sendto(data .. "x", "127.0.0.1", port))
        close_all(a, b)
    end)

    it("that do not come are waited for no longer than is allowed", function()
        for _, mode in ipairs { "b", "t" } do
            for _, name in ipairs { "receive", "receivefrom" } do
                local s = bound(socket)
                s:settimeout(nil)
                s:settimeout(0.02, mode)
                is('nil, "timeout"', luasocket.takes(0.02, s[name], s))
                s:settimeout(0, mode)
                is('nil, "timeout"', luasocket.takes(0, s[name], s))
                s:settimeout(10, mode == "b" and "t" or "b") -- the shorter one counts
                s:settimeout(0.02, mode)
                is('nil, "timeout"', luasocket.takes(0.02, s[name], s))
                s:close()
            end
        end
    end)

    it("are sent to numeric addresses alone", function()
        local s = socket.udp()
        is('nil, "Name or service not known"', s:sendto("x", "localhost", 9))
        is('nil, "Name or service not known"', s:sendto("x", "", 9))
        is('nil, "Name or service not known"', s:sendto("x", "127.0.0.1", "http"))
        is("-1", s:getfd())
        s:close()
    end)

    it("that were refused make the next call fail, once", function()
        local s = joined(socket, free_port(socket))
        local function send_in_vain()
            is("1", s:send "x")
            assert.equal(s, socket.select({ s }, nil, 10)[1])
        end
        send_in_vain()
        is('nil, "connection refused"', s:send "x")
        send_in_vain()
        is('nil, "connection refused"', s:receive())
        s:settimeout(0)
        is('nil, "timeout"', s:receive())
        send_in_vain()
        is('"connection refused"', (s:getoption "error"))
        is('nil, "timeout"', s:receive())
        s:close()
    end)
end)

luasocket.describe("a UDP socket that is closed", function(socket)
    it("says so in the ways of LuaSocket", function()
        local s, peered = bound(socket), joined(socket, 9)
        close_all(s, peered, s, peered)
        is("-1", s:getfd())
        is('""', s:receive())
        is('nil, "refused"', s:sendto("x", "127.0.0.1", 9))
        is('nil, "Bad file descriptor"', s:getsockname())
        assert.equal("udp{connected}", peered.class)
        is('nil, "refused"', peered:send "x")
        is('""', peered:receive())
        is('nil, "Bad file descriptor"', peered:getpeername())
    end)

    it("was never open, and says the same", function()
        local s = socket.udp()
        is('""', s:receive())
        is('""', s:receive(100))
    end)

    -- LuaSocket's address is then what happens to stand in memory.
    it("has no datagram with an address", function()
        local s = socket.udp()
        local data, host = s:receivefrom()
        assert.is_true(data == nil or data == "", data)
        assert.equal("string", type(host))
        s:close()
    end)

    it("may be opened again", function()
        local s = bound(socket)
        s:close()
        is("1", s:setsockname("127.0.0.1", 0))
        assert.is_true(s:getfd() >= 0)
        s:close()
        is("1", s:setpeername("127.0.0.1", 9))
        is('"127.0.0.1", 9, "inet"', s:getpeername())
        s:close()
    end)
end)

luasocket.describe("the descriptor of a UDP socket", function(socket)
    it("is given up and taken up by setfd, which closes nothing", function()
        local a, port = bound(socket)
        local fd = a:getfd()
        is("", a:setfd(-1))
        is("-1", a:getfd())
        local other = socket.udp()
        other:setfd(fd)
        is(("%d"):format(fd), other:getfd())
        local host, at = other:getsockname() -- the family is another matter: the object was told of none
        is(('"127.0.0.1", "%d"'):format(port), host, at)
        other:settimeout(10)
        local b = joined(socket, port)
        is("2", b:send "hi")
        is('"hi"', other:receive())
        raises("number expected, got no value", a.setfd, a)
        raises("number expected, got string", a.setfd, a, "x")
        close_all(a, b, other)
    end)
end)
