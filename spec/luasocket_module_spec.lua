-- What the module of LuaSocket's calls has: names, constants, times, sinks and sources, and how it is put in place.

local luasocket = require "support.luasocket"
local t = require "support.t"

local is, raises = luasocket.is, luasocket.raises
local sys = t.sys

local FUNCTIONS = {
    "bind",
    "choose",
    "connect",
    "connect4",
    "connect6",
    "gettime",
    "newtry",
    "protect",
    "select",
    "sink",
    "skip",
    "sleep",
    "source",
    "tcp",
    "tcp4",
    "tcp6",
    "try",
    "udp",
    "udp4",
    "udp6",
    "__unload",
}

local METHODS = {
    tcp = "accept bind close connect dirty getfamily getfd getoption getpeername getsockname getstats gettimeout "
        .. "listen receive send setfd setoption setpeername setsockname setstats settimeout shutdown",
    udp = "close dirty getfamily getfd getoption getpeername getsockname gettimeout receive receivefrom send sendto "
        .. "setfd setoption setpeername setsockname settimeout",
    stream = "accept bind close connect dirty getfd getsockname getstats listen receive send setfd setoption "
        .. "setpeername setsockname setstats settimeout shutdown",
    dgram = "bind close connect dirty getfd getsockname gettimeout receive receivefrom send sendto setfd setoption "
        .. "setpeername setsockname settimeout",
}

luasocket.describe("the module", function(socket, tested)
    it("has every name", function()
        for _, name in ipairs(FUNCTIONS) do
            assert.equal("function", type(socket[name]), name)
        end
        for _, name in ipairs { "dns", "sinkt", "sourcet" } do
            assert.equal("table", type(socket[name]), name)
        end
        for _, name in ipairs { "getaddrinfo", "gethostname", "getnameinfo", "tohostname", "toip" } do
            assert.equal("function", type(socket.dns[name]), name)
        end
        assert.matches("^LuaSocket 3%.", socket._VERSION)
        assert.equal(8192, socket._DATAGRAMSIZE)
        assert.equal(-1, socket._SOCKETINVALID)
        assert.equal(2048, socket.BLOCKSIZE)
        assert.is_true(socket._SETSIZE >= 1024)
        assert.is_nil(socket._DEBUG)
    end)

    for kind, list in pairs(METHODS) do
        it("makes objects whose metatable has the methods, and takes new ones, for " .. kind, function()
            local s = (socket[kind] or tested.unix[kind])()
            local methods = getmetatable(s).__index
            for name in list:gmatch "%S+" do
                assert.equal("function", type(methods[name]), name)
                assert.equal(methods[name], s[name])
            end
            assert.equal(methods.class, s.class)
            assert.is_nil(s.nosuch)
            methods.added = function(self, x)
                return self.class, x
            end
            is(('"%s", 5'):format(s.class), s:added(5))
            methods.added = nil
            s:close()
        end)
    end

    it("has Unix sockets beside it, in a module that is called", function()
        local unix = tested.unix
        assert.equal(unix.stream, unix.tcp)
        assert.equal(unix.dgram, unix.udp)
        local s = unix()
        assert.equal("unixstream{master}", s.class)
        assert.matches("^unixstream{master}: 0x%x+$", tostring(s))
        s:close()
    end)

    it("skips results", function()
        is("3", socket.skip(1, 2, 3))
        is("2, 3", socket.skip(0, 2, 3))
        is("nil, 5", socket.skip("1", true, nil, 5))
        is("", socket.skip(5, 1, 2))
        raises("number expected, got no value", socket.skip)
    end)
end)

luasocket.describe("the clock", function(socket)
    it("is the wall's, with fractions", function()
        local fraction = false
        for _ = 1, 5 do
            local before, now, after = sys.wall_clock(), socket.gettime(), sys.wall_clock()
            assert.is_true(before - 0.1 <= now and now <= after + 1, now)
            fraction = fraction or now % 1 ~= 0
        end
        assert.is_true(fraction)
    end)

    it("is waited for by sleep, which gives nothing", function()
        is("", luasocket.takes(0.02, socket.sleep, 0.02))
        is("", luasocket.takes(0.02, socket.sleep, "0.02"))
        is("", t.takes(0, socket.sleep, 0))
        is("", t.takes(0, socket.sleep, -5))
        is("", t.takes(0, socket.sleep, -math.huge))
        raises("number expected, got no value", socket.sleep)
        raises("number expected, got string", socket.sleep, "x")
    end)

    it("is waited for amid signals", function()
        local before = sys.disposition(sys.SIGUSR1, "count")
        local pid = sys.getpid()
        luasocket.later(0.01, function()
            sys.kill(pid, sys.SIGUSR1)
        end)
        is("", luasocket.takes(0.05, socket.sleep, 0.05))
        sys.disposition(sys.SIGUSR1, before)
    end)
end)

luasocket.describe("sinks", function(socket)
    it("send what they are given, and keep the connection or close it at the end", function()
        for _, mode in ipairs { "keep-open", "default", "close-when-done" } do
            local a, b = luasocket.pair(socket)
            local sink = socket.sink(mode, a)
            is("3, nil, nil", sink "abc")
            is("1", sink(nil))
            is('"abc"', (b:receive(3)))
            is(mode == "close-when-done" and "-1" or ("%d"):format(a:getfd()), a:getfd())
            a:close()
            is('nil, "closed", 0', sink "x")
            b:close()
        end
    end)
end)

luasocket.describe("sources", function(socket)
    it("by-length give so many bytes, by blocks, and then nothing", function()
        local a, b = luasocket.pair(socket)
        local data = t.random(5000)
        a:send(data .. "x")
        local source = socket.source("by-length", b, 5000)
        local chunks = { source(), source(), source() }
        assert.equal(2048, #chunks[1])
        assert.is_true(data == table.concat(chunks))
        is("nil", source())
        is('"x"', (b:receive(1)))
        a:close()
        is('nil, "closed"', socket.source("by-length", b, 5)())
        b:close()
    end)

    it("until-closed give all that comes, and close the socket", function()
        for _, mode in ipairs { "until-closed", "default" } do
            local a, b = luasocket.pair(socket)
            local data = t.random(3000)
            a:send(data)
            a:close()
            local source = socket.source(mode, b)
            local first, second = source(), source()
            assert.equal(2048, #first)
            assert.is_true(data == first .. second)
            is("nil", source())
            is("-1", b:getfd())
        end
    end)

    it("tell of what went wrong", function()
        local a, b = luasocket.pair(socket)
        b:settimeout(0)
        is('nil, "timeout"', socket.source("until-closed", b)())
        is('nil, "timeout"', socket.source("by-length", b, 1)())
        a:close()
        b:close()
    end)
end)

luasocket.describe("choose", function(socket)
    it("calls what stands under a name, or the default", function()
        local function show(...)
            return "shown", ...
        end
        local choose = socket.choose { shown = show, default = show, ["nil"] = show }
        is('"shown", 1, 2', choose("shown", 1, 2))
        is('"shown", table, 2', choose({}, 2))
        is('"shown", nil, nil', choose())
        assert.error_matches(function()
            choose "none"
        end, "unknown key %(none%)")
        for _, name in ipairs { "sink", "source" } do
            assert.error_matches(function()
                socket[name] "none"
            end, "unknown key %(none%)")
        end
    end)

    it("finds what programs add", function()
        for name, list in pairs { sink = "sinkt", source = "sourcet" } do
            socket[list].added = function(s, more)
                return s, more
            end
            is('"s", 5', socket[name]("added", "s", 5))
            socket[list].added = nil
        end
    end)
end)

-- Programs in which the bridge takes the place of LuaSocket.
describe("install", function()
    t.guard()

    local function run(code)
        t.lua('local bridge = require "ssocket.luasocket"\n' .. code):finish()
    end

    it("has the three modules required from then on", function()
        run [[
            bridge.install()
            assert(require "socket" == bridge)
            assert(require "socket.core" == bridge)
            assert(require "socket.unix" == bridge.unix)
            assert(require "ssocket.luasocket.unix" == bridge.unix)
            assert(require "ssocket.luasocket" == bridge)
            bridge.install()
            assert(require "socket" == bridge)
        ]]
    end)

    it("replaces LuaSocket where it was loaded before", function()
        run [[
            pcall(require, "socket")
            package.loaded.socket = package.loaded.socket or {}
            bridge.install()
            assert(require "socket" == bridge)
            assert(require "socket.core" == bridge)
        ]]
    end)

    it("is what it takes: before it nothing is replaced, no global is set, SIGPIPE is left alone", function()
        run [[
            local sys = require "testsys"
            assert(package.loaded.socket == nil and package.loaded["socket.core"] == nil)
            local globals = {}
            for name in pairs(_G) do globals[name] = true end
            bridge.install()
            local s = bridge.bind("127.0.0.1", 0)
            local host, port = s:getsockname()
            local a = assert(bridge.connect(host, port))
            local b = s:accept()
            b:close()
            a:send "x"
            a:send "x"
            for name in pairs(_G) do assert(globals[name], name) end
            assert(sys.disposition(sys.SIGPIPE) == "default")
        ]]
    end)
end)
