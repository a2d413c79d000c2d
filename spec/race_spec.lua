-- Connecting to hosts with several addresses (RFC 8305): a network in which some of them are dead, see support.space.
-- When which attempt begins is tested without time in test/unit/test_race.c; here real connections are made.

local space = require "support.space"
local t = require "support.t"

local dead_and_alive = "host.test 2001:db8::2 192.0.2.1"

describe("connect to a host", function()
    t.guard()

    -- First what the resolver says comes first: without that the test would show nothing.
    local one_dead = [[
        local listener, port = inside.listen "%s"
        inside.equal("%s", inside.hosts(socket.resolve "host.test"))
        local s = socket.tcp()
        local before = inside.descriptors()
        for _, timeout in ipairs { -1, 5 } do
            s:settimeout(timeout)
            assert(inside.takes(0.25, 0.9, s.connect, s, "host.test", port))
            inside.equal("%s", s:getpeername()[1])
            inside.equal(before + 1, inside.descriptors())
            inside.equal(0, inside.attempts())
            assert(listener:accept()):close()
            s:close()
        end
    ]]

    it("whose IPv6 address is dead takes a quarter of a second", function()
        local here = space.open(dead_and_alive) or pending(space.why)
        here:lua(one_dead:format("192.0.2.1", "2001:db8::2 192.0.2.1", "192.0.2.1"))
    end)

    it("whose IPv4 address is dead, and comes first, takes a quarter of a second", function()
        if t.sys.musl then
            return pending "other resolvers put IPv6 first"
        end
        local here = space.open "host.test 192.0.2.2 2001:db8:1::1" or pending(space.why)
        here:lua(one_dead:format("2001:db8:1::1", "192.0.2.2 2001:db8:1::1", "2001:db8:1::1"))
    end)

    it("with five dead addresses of one family takes no longer", function()
        local five = "host.test 2001:db8::2 2001:db8::3 2001:db8::4 2001:db8::5 2001:db8::6"
        local here = space.open(five .. " 192.0.2.1") or pending(space.why)
        here:lua [[
            local _, port = inside.listen "192.0.2.1"
            inside.equal("192.0.2.1", socket.resolve("host.test")[6][1])
            local s = socket.tcp()
            assert(inside.takes(0.25, 0.9, s.connect, s, "host.test", port))
        ]]
    end)

    -- Six of IPv6 and four of IPv4; 2001:db8:1::1 is the resolver's last, and ours.
    local ten = "host.test 2001:db8:1::1 2001:db8::2 2001:db8::3 2001:db8::4 2001:db8::5 2001:db8::6"
        .. " 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5"

    it("with ten addresses reaches the last when the others are dead", function()
        if t.sys.musl then
            return pending "other resolvers do not put a deprecated address last"
        end
        local here = space.open(ten) or pending(space.why)
        here:lua [[
            local _, port = inside.listen "2001:db8:1::1"
            local found = socket.resolve "host.test"
            inside.equal(10, #found)
            inside.equal("2001:db8:1::1", found[10][1])
            local s = socket.tcp()
            s:settimeout(20)
            local before = inside.descriptors()
            assert(inside.takes(9 * 0.25, 5, s.connect, s, "host.test", port))
            inside.equal("2001:db8:1::1", s:getpeername()[1])
            inside.equal(before + 1, inside.descriptors())
            inside.equal(0, inside.attempts())
        ]]
    end)

    local ten_here = "host.test"
    for i = 1, 10 do
        ten_here = ten_here .. " 127.0.1." .. i
    end

    it("with ten addresses reaches the last at once when the others refuse", function()
        local here = space.open(ten_here) or pending(space.why)
        here:lua [[
            local found = socket.resolve "host.test"
            inside.equal(10, #found)
            local _, port = inside.listen(found[10][1])
            local s = socket.tcp()
            s:settimeout(20)
            assert(inside.takes(0, 0.9, s.connect, s, "host.test", port))
            inside.equal(found[10][1], s:getpeername()[1])
        ]]
    end)

    it("both of whose addresses refuse is refused", function()
        local here = space.open "host.test 2001:db8::1 192.0.2.1" or pending(space.why)
        here:lua [[
            local listener, port = inside.listen "127.0.0.1"
            local s, before = socket.tcp(), inside.descriptors()
            for _, timeout in ipairs { -1, 5 } do
                s:settimeout(timeout)
                inside.fails(socket.ERROR_REFUSED, inside.takes(0, 0.9, s.connect, s, "host.test", port))
                inside.equal(-1, s:fileno())
            end
            inside.equal(before, inside.descriptors())
            assert(s:connect("127.0.0.1", port)) -- and can still do it
        ]]
    end)

    it("one of whose addresses refuses while the network of the other is unreachable is refused", function()
        local hosts = "six.test 2001:db8:2::7 192.0.2.1\nfour.test 198.51.100.7 2001:db8::1"
        local here = space.open(hosts) or pending(space.why)
        here:lua [[
            local s = socket.tcp()
            s:settimeout(5)
            inside.fails(socket.ERROR_REFUSED, inside.takes(0, 0.9, s.connect, s, "six.test", 81))
            inside.fails(socket.ERROR_REFUSED, inside.takes(0, 0.9, s.connect, s, "four.test", 81))
        ]]
    end)

    -- Those of host.test have a route that says so, to net.test's there is none.
    it("of which none can be reached says whether the host or the network can't", function()
        local hosts = "host.test 2001:db8:2::7 198.51.100.7\nnet.test 203.0.113.7"
        local here = space.open(hosts) or pending(space.why)
        here:lua [[
            local s = socket.tcp()
            inside.fails(socket.ERROR_NOROUTE, inside.takes(0, 0.9, s.connect, s, "host.test", 80))
            inside.fails(socket.ERROR_UNREACHABLE, inside.takes(0, 0.9, s.connect, s, "net.test", 80))
        ]]
    end)
end)

describe("the deadline of a connect", function()
    t.guard()

    it("ends it when all addresses are dead, and nothing is left", function()
        local here = space.open "host.test 2001:db8::2 192.0.2.2\nalive.test 192.0.2.1" or pending(space.why)
        here:lua [[
            local _, port = inside.listen "192.0.2.1"
            local s, before = socket.tcp(), inside.descriptors()
            for _, seconds in ipairs { 0.05, 0.3 } do
                s:settimeout(seconds)
                inside.fails(socket.ERROR_TIMEOUT, inside.takes(seconds, 0.9, s.connect, s, "host.test", port))
                inside.equal(-1, s:fileno())
                inside.equal(0, inside.attempts())
                inside.settle() -- a look-up that took longer than that
                inside.equal(before, inside.descriptors())
            end
            s:settimeout(10)
            assert(s:connect("alive.test", port))
        ]]
    end)

    it("holds when one address refuses and the other is dead", function()
        local here = space.open "host.test 2001:db8::1 192.0.2.2" or pending(space.why)
        here:lua [[
            local s = socket.tcp()
            s:settimeout(0.4)
            inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.4, 0.9, s.connect, s, "host.test", 81))
        ]]
    end)

    it("of a dead numeric address is kept", function()
        local here = space.open() or pending(space.why)
        here:lua [[
            local s = socket.tcp()
            for _, seconds in ipairs { 0.05, 0.2 } do
                s:settimeout(seconds)
                for _, host in ipairs { "192.0.2.2", "2001:db8::2" } do
                    inside.fails(socket.ERROR_TIMEOUT, inside.takes(seconds, 0.9, s.connect, s, host, 80))
                    inside.equal(-1, s:fileno())
                end
            end
            inside.equal(0, inside.attempts())
        ]]
    end)

    -- Loopback connections are there when connect(2) returns, unless the kernel is busy and puts the work off.
    it("of 0 connects what can be connected at once", function()
        local here = space.open() or pending(space.why)
        here:lua [[
            local s = socket.tcp()
            s:settimeout(0)
            local before = inside.descriptors()
            for _, host in ipairs { "127.0.0.1", "::1", "fe80::1%lo" } do
                local listener, port = inside.listen(host)
                local limit = sys.now() + 20
                repeat
                    local ok, err = inside.takes(0, 0.9, s.connect, s, host, port)
                    assert(ok or err == socket.ERROR_TIMEOUT and s:fileno() == -1, err)
                    assert(ok or sys.now() < limit, host)
                    socket.sleep(ok and 0 or 0.01)
                until ok
                s:close()
                listener:close()
            end
            inside.fails(socket.ERROR_TIMEOUT, inside.takes(0, 0.9, s.connect, s, "192.0.2.2", 80))
            inside.equal(before, inside.descriptors())
            inside.equal(0, inside.attempts())
        ]]
    end)

    -- An attempt is due 250 ms after the last one all the same.
    it("and the next attempt are not moved by signals", function()
        local here = space.open(dead_and_alive) or pending(space.why)
        local p = here:start_lua [[
            sys.disposition(sys.SIGUSR1, "count")
            local _, port = inside.listen "192.0.2.1"
            local s = socket.tcp()
            s:settimeout(5)
            print "ready"
            io.stdout:flush()
            io.read()
            assert(inside.takes(0.25, 0.9, s.connect, s, "host.test", port))
            s:close()
            s:settimeout(0.4)
            inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.4, 0.9, s.connect, s, "2001:db8::2", port))
            assert(sys.caught() > 5)
            sys.disposition(sys.SIGUSR1, "ignore") -- the handler goes with its module
        ]]
        assert.equal("ready", p:line())
        local signals = space.signals(p)
        p:say "go"
        local said = p:rest()
        signals:kill()
        assert.equal("", said)
        p:finish()
    end)
end)

describe("a socket that has won a race", function()
    t.guard()

    it("has the options that were set before", function()
        local here = space.open(dead_and_alive) or pending(space.why)
        here:lua(([[
            local SOL_SOCKET, SO_BROADCAST = %d, %d
            local _, port = inside.listen "192.0.2.1"
            local s = socket.tcp()
            s:settimeout(5)
            assert(s:setopt(socket.OPT_TCP_NODELAY, true))
            assert(s:setopt(socket.OPT_TCP_KEEPALIVE, true))
            assert(s:setopt(socket.OPT_IPV6_V6ONLY, true)) -- means nothing to the IPv4 attempt
            assert(s:setopt(socket.OPT_IP_TTL, 17))
            assert(s:setopt(SOL_SOCKET, SO_BROADCAST, 1))
            assert(s:connect("host.test", port))
            inside.equal("inet", s:getpeername().family)
            inside.equal(true, s:getopt(socket.OPT_TCP_NODELAY))
            inside.equal(true, s:getopt(socket.OPT_TCP_KEEPALIVE))
            inside.equal(17, s:getopt(socket.OPT_IP_TTL))
            inside.equal(1, s:getopt(SOL_SOCKET, SO_BROADCAST))
            inside.equal(5, s:gettimeout())
        ]]):format(t.sys.SOL_SOCKET, t.sys.SO_BROADCAST))
    end)

    it("keeps deadlines and waits like any other", function()
        local here = space.open(dead_and_alive) or pending(space.why)
        here:lua [[
            local listener, port = inside.listen "192.0.2.1"
            local s = socket.tcp()
            s:settimeout(5)
            assert(s:connect("host.test", port))
            local other = assert(listener:accept())
            for _, seconds in ipairs { 0.05, 0.15 } do
                s:settimeout(seconds)
                inside.fails(socket.ERROR_TIMEOUT, inside.takes(seconds, 0.9, s.read, s, 1))
                local much = ("x"):rep(8 * 1024 * 1024)
                inside.fails(socket.ERROR_TIMEOUT, inside.takes(seconds, 0.9, s.write, s, much))
            end
            s:settimeout(-1)
            assert(other:write "hello")
            inside.equal("hello", s:read(5))
        ]]
    end)
end)

-- pitfall: Linux takes a second connect(2) for the end of the first when that was in progress as it returned
describe("a connected socket", function()
    t.guard()

    it("cannot connect again, whether it had time to wait or not", function()
        local socket = t.socket
        local listener, address = t.listener()
        for _, timeout in ipairs { -1, 5, 0.05 } do
            for _, again in ipairs { address, { "127.0.0.2", address[2] } } do
                local s = socket.tcp()
                s:settimeout(timeout)
                assert(s:connect(address))
                t.fails(t.text "EISCONN", nil, s:connect(again))
                assert.same(address, s:getpeername())
                s:close()
            end
        end
        listener:close()
    end)

    it("cannot connect again after a race", function()
        local here = space.open(dead_and_alive) or pending(space.why)
        here:lua(([[
            local listener, port = inside.listen "192.0.2.1"
            local s = socket.tcp()
            s:settimeout(5)
            assert(s:connect("host.test", port))
            local peer = tostring(s:getpeername())
            inside.fails(%q, s:connect("host.test", port))
            inside.fails(%q, s:connect("192.0.2.2", port))
            inside.equal(peer, tostring(s:getpeername()))
        ]]):format(t.text "EISCONN", t.text "EISCONN"))
    end)
end)

describe("a bound socket", function()
    t.guard()

    it("passes over what its family cannot reach", function()
        local here = space.open "host.test 2001:db8::2 192.0.2.1\nsix.test 2001:db8::2" or pending(space.why)
        here:lua(([[
            local _, port = inside.listen "192.0.2.1"
            local s = socket.tcp()
            assert(s:bind("127.0.0.1", 0))
            local own, fd = tostring(s:getsockname()), s:fileno()
            s:settimeout(5)
            inside.fails(%q, inside.takes(0, 0.9, s.connect, s, "six.test", port))
            assert(inside.takes(0, 0.9, s.connect, s, "host.test", port))
            inside.equal(own, tostring(s:getsockname()))
            inside.equal(fd, s:fileno())
        ]]):format(t.text "EAFNOSUPPORT"))
    end)

    -- Listeners whose queue is full are silent; their addresses keep the order of the hosts file.
    local full = [[
        local kept = {}
        local function full(host, port)
            local listener = socket.tcp()
            assert(listener:bind(host, port or 0) and listener:listen(0))
            kept[#kept + 1] = assert(socket.connect(listener:getsockname()))
            return listener, listener:getsockname()[2]
        end
        local function listen(host, port)
            local listener = socket.tcp()
            assert(listener:bind(host, port) and listener:listen())
            return listener
        end
        local function bound(timeout)
            local s = socket.tcp()
            assert(s:bind("127.0.0.1", 0))
            s:settimeout(timeout)
            return s
        end
    ]]
    local two_names = "host.test 127.0.0.2 127.0.0.3\ndead.test 127.0.0.2 127.0.0.4"

    for _, where in ipairs { "in the main program", "in a task" } do
        it("reaches the next address when the first is silent, within a deadline or without: " .. where, function()
            local here = space.open(two_names) or pending(space.why)
            here:lua(full .. ([[
                local function check()
                    local silent, port = full "127.0.0.2"
                    local listener = listen("127.0.0.3", port)
                    inside.equal("127.0.0.2 127.0.0.3", inside.hosts(socket.resolve "host.test"))
                    for _, timeout in ipairs { -1, 0.6, 5 } do
                        local s = bound(timeout)
                        local fd = s:fileno()
                        assert(inside.takes(0.25, 0.55, s.connect, s, "host.test", port))
                        inside.equal("127.0.0.3", s:getpeername()[1])
                        inside.equal("127.0.0.1", s:getsockname()[1])
                        inside.equal(fd, s:fileno())
                        inside.equal(0, inside.attempts())
                        s:close()
                    end
                    silent:close()
                    listener:close()
                end
                if %q == "in a task" then
                    assert(socket.spawn(check):wait(20))
                else
                    check()
                end
            ]]):format(where))
        end)
    end

    it("comes back to one that is slow when all are silent", function()
        local here = space.open(two_names) or pending(space.why)
        here:lua(full .. [[
            local slow, port = full "127.0.0.2"
            local silent = full("127.0.0.3", port)
            local done = inside.fork(function()
                socket.sleep(0.35)
                assert(slow:accept())
            end)
            local s = bound(20)
            assert(inside.takes(0.5, 1.4, s.connect, s, "host.test", port))
            inside.equal("127.0.0.2", s:getpeername()[1])
            done()
            silent:close()
        ]])
    end)

    it("gives each a share of the deadline then, in a task too", function()
        local here = space.open(two_names) or pending(space.why)
        here:lua(full .. [[
            local silent, port = full "127.0.0.2"
            local slow = full("127.0.0.3", port)
            local done = inside.fork(function()
                socket.sleep(1)
                assert(slow:accept())
            end)
            local s = bound(5.1)
            assert(socket.spawn(inside.takes, 2.5, 4, s.connect, s, "host.test", port):wait(20))
            inside.equal("127.0.0.3", s:getpeername()[1])
            done()
            silent:close()
        ]])
    end)

    it("times out when all stay silent, and is refused when one says so", function()
        local here = space.open(two_names) or pending(space.why)
        here:lua(full .. [[
            local silent, port = full "127.0.0.2"
            local other = full("127.0.0.4", port)
            local s = bound(0.7)
            inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.7, 1.5, s.connect, s, "dead.test", port))
            inside.equal(0, inside.attempts())
            s:settimeout(3)
            inside.fails(socket.ERROR_REFUSED, inside.takes(2.25, 2.9, s.connect, s, "host.test", port))
            inside.equal(0, inside.attempts())
            silent:close()
            other:close()
        ]])
    end)

    it("can connect after a deadline has passed", function()
        local here = space.open() or pending(space.why)
        here:lua [[
            local _, port = inside.listen "192.0.2.1"
            local s = socket.tcp()
            assert(s:bind("192.0.2.1", 4000)) -- a port that Linux has chosen goes back to it when a connect fails
            local own = tostring(s:getsockname())
            for _, seconds in ipairs { 0, 0.05, 0.2 } do
                s:settimeout(seconds)
                inside.fails(socket.ERROR_TIMEOUT, inside.takes(seconds, 0.9, s.connect, s, "192.0.2.2", port))
            end
            inside.equal(0, inside.attempts())
            s:settimeout(5)
            assert(s:connect("192.0.2.1", port))
            inside.equal(own, tostring(s:getsockname()))
        ]]
    end)
end)

describe("a connect that a signal interrupts while a Unix listener's queue is full", function()
    t.guard()

    -- It goes on with a new descriptor; what the kernel was told about the first does not hold for that.
    it("gives a socket that keeps deadlines", function()
        local socket, sys = t.socket, t.sys
        local name = t.abstract()
        local p = t.python(
            [[
            l = socket.socket(socket.AF_UNIX); l.bind("\0" + argv[0]); l.listen(0); say("ready")
            hear(); time.sleep(0.05); os.kill(int(argv[1]), signal.SIGUSR1)
            time.sleep(0.05); accepted = [l.accept(), l.accept()]
            select.select([sys.stdin], [], [], 10)
            ]],
            name:match "@(.*)",
            sys.getpid()
        )
        assert.equal("ready", p:line())
        local first, s = socket.tcp(), socket.tcp()
        assert(first:connect(name))
        sys.disposition(sys.SIGUSR1, "count")
        p:say "go"
        s:settimeout(0.6)
        local ok, err = s:connect(name)
        sys.disposition(sys.SIGUSR1, "default")
        assert.is_true(ok, err)
        assert.equal(1, sys.caught())
        ok, err = t.takes(0.6, s.write, s, t.much)
        t.fails(socket.ERROR_TIMEOUT, nil, ok, err)
        first:close()
        s:close()
        p:kill()
    end)
end)
