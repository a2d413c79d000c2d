-- LuaSocket's datagram sockets of the Unix domain: names, datagrams, what a failure leaves.

local luasocket = require "support.luasocket"
local t = require "support.t"

local is, raises = luasocket.is, luasocket.raises

-- A socket that is bound, with a limit on its waits, and its name.
local function bound(unix)
    local s, path = unix.dgram(), t.tmpdir() .. "/s"
    assert(s:bind(path))
    assert(s:settimeout(10))
    return s, path
end

luasocket.describe("a datagram socket of the Unix domain", function(_, tested)
    local unix = tested.unix

    it("has a descriptor at once, and no name", function()
        for _, make in ipairs { unix.dgram, unix.udp } do
            local s = make()
            assert.equal("unixdgram{unconnected}", s.class)
            assert.matches("^unixdgram{unconnected}: 0x%x+$", tostring(s))
            assert.is_true(s:getfd() >= 0)
            is('""', s:getsockname())
            is("-1, -1", s:gettimeout())
            is("1", s:close())
            is("1", s:close())
        end
    end)

    it("sends to a name, and tells the name of a sender", function()
        local a, path = bound(unix)
        local b, mine = bound(unix)
        local nameless = unix.dgram()
        is(('"%s"'):format(path), a:getsockname())
        is("2", nameless:sendto("hi", path))
        is('"hi", ""', a:receivefrom())
        is("2", b:sendto("ho", path))
        is(('"ho", "%s"'):format(mine), a:receivefrom())
        is("6", a:sendto("answer", mine))
        is('"ans"', b:receive(3))
        is("0", b:sendto("", path))
        is(('"", "%s"'):format(mine), a:receivefrom(0))
        for _, s in ipairs { a, b, nameless } do
            is("1", s:close())
        end
    end)

    it("leaves its file behind", function()
        local s, path = bound(unix)
        s:close()
        is('nil, "address already in use"', unix.dgram():bind(path))
        is('nil, "connection refused"', unix.dgram():sendto("x", path))
        assert.is_true(os.remove(path))
        is('nil, "No such file or directory"', unix.dgram():sendto("x", path))
    end)

    it("becomes connected", function()
        for _, name in ipairs { "connect", "setpeername" } do
            local a, path = bound(unix)
            local b = unix.dgram()
            raises("unixdgram{connected} expected", b.send, b, "x")
            is("1", b[name](b, path))
            assert.equal("unixdgram{connected}", b.class)
            is("5", b:send "hello")
            is('"hello"', a:receive())
            is("1", b[name](b, path)) -- again
            for _, other in ipairs { "sendto", "receivefrom", "bind" } do
                raises("unixdgram{unconnected} expected", b[other], b, "x", path)
            end
            b:settimeout(0)
            is('nil, "timeout"', b:receive())
            a:close()
            is('nil, "connection refused"', b:send "x")
            b:close()
        end
    end)

    it("has lost its descriptor after a connect that fails", function()
        local a, path = bound(unix)
        local b = unix.dgram()
        is('nil, "No such file or directory"', b:connect(path .. "x"))
        assert.equal("unixdgram{unconnected}", b.class)
        is("-1", b:getfd())
        is('nil, "closed"', b:connect(path))
        a:close()
    end)

    it("has lost its descriptor after a bind that fails", function()
        local a, path = bound(unix)
        local b = unix.dgram()
        is('nil, "address already in use"', b:bind(path))
        is("-1", b:getfd())
        is('nil, "Bad file descriptor"', b:bind(path .. "x"))
        a:close()
    end)

    it("takes names of up to 107 bytes", function()
        local s = unix.dgram()
        local long = ("x"):rep(108)
        is('nil, "path too long"', s:bind(long))
        is('nil, "path too long"', s:connect(long))
        is('nil, "path too long"', s:sendto("x", long))
        assert.is_true(s:getfd() >= 0)
        is('nil, "No such file or directory"', s:sendto("x", long:sub(2)))
        s:close()
        local dir = t.tmpdir()
        s = unix.dgram()
        local path = dir .. "/" .. ("x"):rep(107 - #dir - 1)
        is("1", s:bind(path))
        is(('"%s"'):format(path), s:getsockname())
        s:close()
    end)

    it("cuts datagrams to 8192 bytes unless told", function()
        local a, path = bound(unix)
        local b = unix.dgram()
        local data = t.random(9000)
        b:sendto(data, path)
        assert.is_true(data:sub(1, 8192) == a:receive())
        b:sendto(data, path)
        assert.is_true(data == a:receive(20000))
        a:settimeout(0.02)
        is('nil, "timeout"', luasocket.takes(0.02, a.receive, a))
        is('nil, "timeout"', luasocket.takes(0.02, a.receivefrom, a))
        a:close()
        b:close()
    end)

    it("says what LuaSocket says once it is closed", function()
        local a, path = bound(unix)
        local b = unix.dgram()
        b:connect(path)
        a:close()
        b:close()
        is('""', a:receive())
        is('"", ""', a:receivefrom())
        is('nil, "refused"', a:sendto("x", path))
        is('nil, "Bad file descriptor"', a:getsockname())
        is('nil, "refused"', b:send "x")
        is("-1", b:getfd())
    end)

    it("has no methods of streams", function()
        local s = unix.dgram()
        for _, name in ipairs { "getpeername", "getoption", "getfamily", "shutdown", "accept", "listen", "getstats" } do
            assert.is_nil(s[name])
        end
        raises("string expected, got no value", s.sendto, s)
        raises("string expected, got no value", s.sendto, s, "x")
        raises("unixdgram{any} expected", s.receive, unix.stream())
        s:close()
    end)
end)
