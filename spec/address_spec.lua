-- How a host, a port and an address value are written, and how addresses come back.
-- A datagram socket's connect sends nothing, so that any address can be tried.

local t = require "support.t"
local tools = require "support.tools"

local socket = t.socket

-- The address that a connected datagram socket was given, as it comes back.
local function through_connect(...)
    local u = socket.udp()
    local ok, err = u:connect(...)
    local addr = ok and assert(u:getpeername())
    u:close()
    return addr or nil, err
end

-- An interface with a link-local IPv6 address, and that address; nil when there is none.
local function link_local()
    local file = io.open "/proc/net/if_inet6"
    if file then
        local hex, name = ("\n" .. file:read "*a"):match "\n(fe80%x+) %x+ %x+ %x+ %x+ +(%S+)"
        file:close() -- a guard would count it for as long as the collector leaves it open
        return hex and hex:gsub("%x%x%x%x", "%0:"):sub(1, -2), name
    end
end

describe("a host", function()
    t.guard()

    local literals = { -- written, as it comes back, family
        { "127.0.0.1", "127.0.0.1", "inet" },
        { "127.255.0.9", "127.255.0.9", "inet" },
        { "::1", "::1", "inet6" },
        { "[::1]", "::1", "inet6" },
        { "0:0:0:0:0:0:0:1", "::1", "inet6" },
        { "0000:0000:0000:0000:0000:0000:0000:0001", "::1", "inet6" },
        { "::0:1", "::1", "inet6" },
        { "::ffff:127.0.0.1", "127.0.0.1", "inet" },
    }

    it("may be an IPv4 or an IPv6 literal, in brackets too", function()
        tools.each(literals, function(case)
            local addr = assert(through_connect(case[1], 9))
            assert.same({ case[2], 9, case[3] }, { addr[1], addr[2], addr.family })
        end)
    end)

    it("may be a name", function()
        local addr = assert(through_connect("localhost", 9))
        assert.is_truthy(addr[1] == "127.0.0.1" or addr[1] == "::1")
        assert.is_truthy(t.sys.musl or through_connect("LOCALHOST", 9)) -- musl tells them apart in /etc/hosts
    end)

    it("may carry the scope of a link-local address, which comes back and can be given again", function()
        local host, interface = link_local()
        if not host then
            return pending "no interface here has a link-local address"
        end
        local u = socket.udp()
        assert(u:bind(host .. "%" .. interface, 0))
        local addr = u:getsockname()
        assert.equal("inet6", addr.family)
        assert.matches("^fe80::.*%%" .. interface .. "$", addr[1])
        local sender = socket.udp()
        assert(sender:sendto("scoped", addr))
        u:settimeout(5)
        assert.equal("scoped", (u:recv()))
        local bracketed = assert(through_connect("[" .. addr[1] .. "]", 9))
        assert.equal(addr[1], bracketed[1])
        u:close()
        sender:close()
    end)

    -- pitfall: home-made dotted-quad parsing that takes "127.0.0.01" or "+127. 0.0.1"
    local no_hosts = {
        "127.0.0.01", "127.00.0.1", "0127.0.0.1", "127.1", "127.0.1", "2130706433", "0", "0x7f000001", "0x7f.0.0.1",
        "127.0.0.0x1", "256.0.0.1", "127.0.0.256", "127.0.0.1.1", "127.0.0.", ".127.0.0.1", "127..0.1", "....", "1.",
        "+127. 0.0.1", "127.0.0.1 ", " 127.0.0.1", "127.0.0.1\n", "127.0.0.1\r", "\t127.0.0.1", "-127.0.0.1",
        "name.1", "name.0x1f", "",
        " ", "local host", " localhost", "localhost ", "local\nhost", "local\1host", "local\127host",
        ":", ":::", "::1::", "1::2::3", "::g", "::1 ", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::12345", "::1.2.3",
        "::ffff:127.0.0.01", "127.0.0.1:80", "localhost:80", "[::1", "::1]", "[]", "[[::1]]", "[::1]:80", "[::1]x",
        "fe80::1%no-such-interface", "fe80::1%", ("x"):rep(256), ("1"):rep(5000), ("a."):rep(200),
    }

    it("that can be none is not found, without being looked up", function()
        t.deadline(2, tools.each, no_hosts, function(host)
            for _, make in ipairs { socket.tcp, socket.udp } do
                assert.same({ nil, socket.ERROR_NOTFOUND }, { make():connect(host, 9) })
            end
            assert.same({ nil, socket.ERROR_NOTFOUND }, { socket.tcp():bind(host, 0) })
            assert.same({ nil, socket.ERROR_NOTFOUND }, { socket.resolve(host) })
        end)
    end)

    -- pitfall: a host cut at an embedded NUL ("127.0.0.1\0.evil" binds)
    it("with a NUL in it is misuse", function()
        for _, host in ipairs { "127.0.0.1\0.evil", "localhost\0", "\0", "::1\0", "*\0" } do
            for _, s in ipairs { socket.tcp(), socket.udp() } do
                tools.misuse(tools.method, s, "connect", 1, { host, 80 })
                tools.misuse(tools.method, s, "bind", 1, { host, 0 })
                assert.equal(-1, s:fileno())
            end
            tools.misuse(tools.method, socket.udp(), "sendto", 2, { "data", host, 80 })
            tools.misuse(tools.field, socket, "resolve", 1, { host })
        end
    end)

    -- pitfall: resolver errors translated from errno ("Unknown error")
    it("that is not found is so in the resolver's words", function()
        assert.equal("Name or service not known", select(2, socket.tcp():connect("127.1", 80)))
    end)
end)

describe("a port", function()
    t.guard()

    -- pitfall: ports as floats (8080.0)
    it("is an integer, an integral float or a numeral", function()
        for _, port in ipairs { 1, 80, 8080.0, 65535, "80", "65535", 2 ^ 15 } do
            local addr = assert(through_connect("127.0.0.1", port))
            assert.equal(tonumber(port), addr[2])
            assert.is_true(tools.is_integer(addr[2]))
        end
    end)

    -- pitfall: a port that wraps (70000 to 4464, -1 to 65535) or loses its fraction
    it("outside of 0 to 65535, with a fraction or of another type is misuse", function()
        local ports = { 65536, 70000, -1, -65536, 80.5, 2 ^ 32, 2 ^ 32 + 80, 2 ^ 53, 2 ^ 63, -2 ^ 63, 1e300, tools.nan,
            math.huge, -math.huge, "", "http", "80x", "80.5", "70000", "-1", {}, true, print }
        for _, port in ipairs(ports) do
            for _, s in ipairs { socket.tcp(), socket.udp() } do
                tools.misuse(tools.method, s, "connect", 2, { "127.0.0.1", port })
                tools.misuse(tools.method, s, "bind", 2, { "::1", port })
            end
            tools.misuse(tools.method, socket.udp(), "sendto", 3, { "data", "127.0.0.1", port })
            if port ~= "http" and port ~= "80x" then -- names of services to resolve
                tools.misuse(tools.field, socket, "resolve", 2, { "127.0.0.1", port })
            end
        end
    end)

    it("that was forgotten is misuse", function()
        for _, host in ipairs { "127.0.0.1", "localhost", "::1", "@name", "unixpath", "UNIX:" } do
            tools.misuse(tools.method, socket.tcp(), "connect", nil, { host })
            tools.misuse(tools.method, socket.udp(), "bind", nil, { host })
            tools.misuse(tools.method, socket.udp(), "sendto", nil, { "data", host })
        end
    end)

    it("of 0 lets the system choose one in bind", function()
        for _, make in ipairs { socket.tcp, socket.udp } do
            local s = make()
            assert(s:bind("127.0.0.1", 0))
            assert.is_true(s:getsockname()[2] > 0)
            s:close()
        end
    end)
end)

describe("a host and a port in one string", function()
    t.guard()

    it("are an address wherever one is taken", function()
        for text, as in pairs {
            ["127.0.0.1:80"] = "127.0.0.1:80", ["127.0.0.1:0080"] = "127.0.0.1:80", ["[::1]:65535"] = "[::1]:65535",
            ["[::ffff:127.0.0.1]:1"] = "127.0.0.1:1",
        } do
            assert.equal(as, tostring(assert(through_connect(text))))
        end
        local addr = assert(through_connect("localhost:9"))
        assert.equal(9, addr[2])
        local listener, client, u = socket.tcp(), socket.tcp(), socket.udp()
        assert(listener:bind("127.0.0.1:0"))
        assert(listener:listen())
        assert(client:connect(tostring(listener:getsockname())))
        assert.equal(tostring(listener:getsockname()), tostring(client:getpeername()))
        assert(u:bind("*:0"))
        assert(u:sendto("whole", "127.0.0.1:" .. u:getsockname()[2]))
        assert.equal(1, u:sendmany({ "many" }, "127.0.0.1:" .. u:getsockname()[2]))
        u:settimeout(5)
        assert.equal("whole", (u:recv()))
        local data, from = u:recvfrom()
        assert.equal("many", data)
        assert(u:sendto("again", tostring(from)))
        assert.equal("again", (u:recv()))
    end)

    it("that are no host are not found", function()
        for _, text in ipairs { "127.1:80", "[]:80", "[localhost]:80", "[::g]:80", " :80", "*:80" } do
            assert.same({ nil, socket.ERROR_NOTFOUND }, { socket.tcp():connect(text) })
        end
    end)

    it("of another form are misuse, and named", function()
        for _, text in ipairs { "", ":", ":80", "::1:80", "::1", "[::1]", "[::1]80", "localhost:", "localhost:http",
            "127.0.0.1:80 ", "127.0.0.1:+80", "127.0.0.1:8x", "a:b:80" } do
            tools.misuse(tools.method, socket.tcp(), "connect", 2, { text })
            tools.misuse(tools.method, socket.udp(), "sendto", 3, { "data", text })
        end
        for _, text in ipairs { "127.0.0.1:65536", "127.0.0.1:4294967376", "[::1]:" .. ("9"):rep(400), "a\0b:80" } do
            tools.misuse(tools.method, socket.tcp(), "connect", 1, { text })
            tools.misuse(tools.method, socket.udp(), "sendto", 2, { "data", text })
        end
    end)

    it("are a path when there is a slash, and take no port beside them", function()
        local path = t.tmpdir() .. "/s:80"
        local listener = socket.tcp()
        assert(listener:bind(path))
        assert.equal("unix:" .. path, listener:getsockname())
        listener:close()
        assert.same({ nil, socket.ERROR_NOTFOUND }, { socket.tcp():connect("127.0.0.1:80", 80) })
    end)
end)

describe("a table as an address", function()
    t.guard()

    it("is misuse when it is not what the module returns", function()
        local cases = { {}, { "127.0.0.1" }, { nil, 80 }, { "127.0.0.1", {} }, { "127.0.0.1", "x" },
            { "127.0.0.1", 70000 }, { "127.0.0.1", -1 }, { "127.0.0.1", 80.5 }, { "127.0.0.1", tools.nan },
            { "127.0.0.1\0.evil", 80 }, { {}, 80 }, { true, 80 }, { print, print }, { { "127.0.0.1", 80 } } }
        tools.each(cases, function(forged)
            for _, s in ipairs { socket.tcp(), socket.udp() } do
                tools.misuse(tools.method, s, "connect", 1, { forged })
                tools.misuse(tools.method, s, "bind", 1, { forged })
            end
            tools.misuse(tools.method, socket.udp(), "sendto", 2, { "data", forged })
        end)
    end)

    it("is misuse when a returned one was spoilt", function()
        for field, values in pairs { [1] = { "127.0.0.1\0", {}, false }, [2] = { 70000, -1, 1.5, "x", {}, false } } do
            for _, value in ipairs(values) do
                local addr = assert(through_connect("127.0.0.1", 9))
                addr[field] = value
                tools.misuse(tools.method, socket.tcp(), "connect", 1, { addr })
            end
        end
    end)

    it("may raise an error of its own, which comes through", function()
        local trap = setmetatable({}, {
            __index = function()
                error "trapped"
            end,
        })
        local ok = pcall(socket.tcp().connect, socket.tcp(), trap)
        assert.is_false(ok)
    end)
end)
