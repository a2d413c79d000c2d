-- LuaSocket's names: dns, what a look-up that fails says, hosts of any kind that come from outside.

local luasocket = require "support.luasocket"
local space = require "support.space"
local t = require "support.t"

local is, raises = luasocket.is, luasocket.raises

local UNKNOWN = 'nil, "host or service not provided, or not known"'

-- A label has 63 characters: nobody is asked for this name.
local NOWHERE = ("x"):rep(64)

luasocket.describe("dns.toip and dns.tohostname", function(socket)
    local dns = socket.dns

    it("know this host, with all that they have found", function()
        for _, host in ipairs { "127.0.0.1", "localhost" } do
            for name, first in pairs { toip = "127.0.0.1", tohostname = "localhost" } do
                local got = t.pack(dns[name](host))
                assert.equal(2, got.n)
                assert.equal(first, got[1])
                assert.equal("localhost", got[2].name)
                assert.equal("table", type(got[2].alias))
                assert.equal("127.0.0.1", got[2].ip[1])
            end
        end
    end)

    it("do not know a name that there is not", function()
        is('nil, "host not found"', dns.toip(NOWHERE))
        is('nil, "host not found"', dns.tohostname(NOWHERE))
    end)

    it("need one", function()
        for _, name in ipairs { "toip", "tohostname" } do
            raises("string expected, got no value", dns[name])
            raises("string expected, got table", dns[name], {})
        end
    end)
end)

luasocket.describe("dns.getaddrinfo", function(socket)
    local getaddrinfo = socket.dns.getaddrinfo

    it("gives each address with its family", function()
        assert.same({ { addr = "127.0.0.1", family = "inet" } }, (getaddrinfo "127.0.0.1"))
        assert.same({ { addr = "::1", family = "inet6" } }, (getaddrinfo "::1"))
        assert.same({ { addr = "0.0.0.0", family = "inet" } }, (getaddrinfo "0.0.0.0"))
        assert.equal(1, t.pack(getaddrinfo "::1").n)
        for _, mapped in ipairs { "::ffff:127.0.0.1", "0:0::FFFF:7f00:1" } do
            assert.same({ { addr = "::ffff:127.0.0.1", family = "inet6" } }, (getaddrinfo(mapped)))
            is('nil, "host not found"', socket.dns.toip(mapped))
        end
        local found = false
        for _, one in ipairs(assert(getaddrinfo "localhost")) do
            found = found or one.addr == "127.0.0.1" and one.family == "inet"
        end
        assert.is_true(found)
    end)

    it("says what is wrong", function()
        is(UNKNOWN, getaddrinfo(NOWHERE))
        is(UNKNOWN, getaddrinfo "")
        is(UNKNOWN, getaddrinfo(("x."):rep(500)))
        raises("string expected, got no value", getaddrinfo)
        raises("string expected, got table", getaddrinfo, {})
    end)
end)

luasocket.describe("dns.getnameinfo", function(socket)
    local getnameinfo = socket.dns.getnameinfo

    local function gives(names, service, ...)
        local got = t.pack(...)
        assert.same(names, got[1])
        assert.equal(service, got[2])
        assert.equal(service and 2 or 1, got.n)
    end

    it("gives the names of a host, and that of a service", function()
        gives({ "localhost" }, nil, getnameinfo "127.0.0.1")
        gives({ "localhost" }, "http", getnameinfo("127.0.0.1", "80"))
        gives({ "localhost" }, "http", getnameinfo("127.0.0.1", "http"))
        gives({ "localhost" }, "http", getnameinfo("127.0.0.1", 80))
        gives({ "localhost" }, "12345", getnameinfo("127.0.0.1", "12345"))
        gives({}, "http", getnameinfo(nil, "80"))
        gives({}, "domain", getnameinfo(nil, "domain"))
    end)

    it("says what is wrong", function()
        is(UNKNOWN, getnameinfo(NOWHERE))
        is('nil, "service not supported for socket type"', getnameinfo("127.0.0.1", "no-such-service"))
        local ok, err = pcall(getnameinfo)
        assert.is_false(ok)
        assert.matches("host and serv cannot be both nil", err)
        raises("string expected, got table", getnameinfo, {})
    end)
end)

luasocket.describe("dns.gethostname", function(socket)
    it("gives this host's", function()
        local p = t.python "say(socket.gethostname())"
        is(('"%s"'):format(p:line()), socket.dns.gethostname())
        p:finish()
    end)
end)

-- Programs hand on what users, headers and redirects say.
luasocket.describe("a host from outside", function(socket, tested)
    local HOSTS = {
        "", "\0", NOWHERE, ("x"):rep(5000), ("x."):rep(500), "a..b", ("%s"):rep(300), ("\255"):rep(70),
    }

    if not tested.real then -- which would ask a name server
        for _, host in ipairs { "[::1]", "unix:/tmp/s", "unix:", "a/b", "127.0.0.1/8" } do
            HOSTS[#HOSTS + 1] = host
        end
    end

    -- No address of the machine is that.
    local function check(first, err, ...)
        assert.is_nil(first)
        assert.equal("string", type(err))
        assert.equal(0, select("#", ...))
    end

    for _, host in ipairs(HOSTS) do
        it("never raises, such as " .. t.show(host), function()
            for _, name in ipairs { "toip", "tohostname", "getaddrinfo", "getnameinfo" } do
                check(socket.dns[name](host))
            end
            check(socket.connect(host, 9))
            check(socket.bind(host, 0))
            local s, u = socket.tcp(), socket.udp()
            check(s:bind(host, 0))
            check(u:setsockname(host, 0))
            check(u:setpeername(host, 9))
            check(u:sendto("x", host, 9))
            check(s:connect(host, 9))
            s:close()
            u:close()
        end)
    end

    it("is taken up to its first NUL, or refused", function()
        local server = assert(socket.bind("127.0.0.1", 0))
        local client, err = socket.connect("127.0.0.1\0.example.org", (select(2, server:getsockname())))
        if not client then
            is(UNKNOWN, client, err)
        else
            client:close()
        end
        server:close()
    end)
end)

-- What resolvers say, in a network of our own.
luasocket.describe("a look-up", function(_, tested)
    local BEGIN = ('local ls = require "%s"\n'):format(tested.real and "socket" or "ssocket.luasocket")

    it("tells of names, aliases and addresses, and why there are none", function()
        local here = space.open "host.test 192.0.2.1 192.0.2.2\nhost.test 2001:db8::1" or pending(space.why)
        here:nameserver()
        here:lua(BEGIN .. [[
            local dns, equal = ls.dns, inside.equal
            local function fails(text, ...) inside.fails(text, ...) end
            local ip, all = dns.toip "host.test"
            equal("192.0.2.1", ip)
            equal("host.test", all.name)
            equal("192.0.2.1 192.0.2.2", table.concat(all.ip, " "))
            equal("host.test", dns.tohostname "192.0.2.1")
            equal("ptr.test", dns.tohostname "192.0.2.7")
            ip, all = dns.toip "alias.test."
            equal("127.0.0.1", ip)
            equal("both.test", all.name)
            equal("alias.test", all.alias[1])
            equal(0, #select(2, dns.toip "both.test.").alias)
            equal("both.test", dns.tohostname "alias.test.")
            local list = dns.getaddrinfo "host.test"
            equal(3, #list)
            equal("ptr.test", dns.getnameinfo "192.0.2.7"[1])
            equal("192.0.2.66", dns.getnameinfo "192.0.2.66"[1])

            local unknown = "host or service not provided, or not known"
            fails(unknown, dns.getaddrinfo "nxdomain.test.")
            fails("temporary failure in name resolution", dns.getaddrinfo "servfail.test.")
            fails("No address associated with hostname", dns.getaddrinfo "nodata.test.")
            fails("No address associated with hostname", ls.connect("nodata.test.", 80))
            fails("No address associated with hostname", ls.tcp4():connect("six.test.", 80))
            fails(unknown, ls.connect("nxdomain.test.", 80))
            fails("temporary failure in name resolution", ls.tcp():connect("servfail.test.", 80))
            fails("host not found", dns.toip "nxdomain.test.")
            fails("host not found", dns.tohostname "192.0.2.66")
            fails("Host name lookup failure", dns.toip "servfail.test.")
            fails("No address associated with name", dns.toip "nodata.test.")
            fails("No address associated with name", dns.toip "six.test.")
        ]])
    end)

    it("has its time whatever that of the socket is", function()
        local here = space.open(nil, "timeout:5 attempts:1") or pending(space.why)
        here:nameserver()
        here:lua(BEGIN .. [[
            local s = ls.tcp()
            s:settimeout(0.01)
            inside.fails("connection refused", inside.takes(0.03, 2, s.connect, s, "late-40.test.", 1))
        ]])
    end)
end)
