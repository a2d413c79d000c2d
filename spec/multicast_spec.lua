-- Multicast and broadcast over the loopback interface.

local t = require "support.t"
local tools = require "support.tools"

local socket = t.socket

-- Administratively scoped groups of this process alone, as the same spec may run beside it: a socket that has joined
-- no group gets what is for a group that any socket of this machine has joined (ip(7), IP_MULTICAST_ALL).
local pid = t.sys.getpid()
local V4 = ("239.255.%d.%d"):format(math.floor(pid / 250) % 250, pid % 250)
local V6 = ("ff02::7:7:%x"):format(pid % 65536)

-- Python: u is a socket of the group's family that sends to it on the interface, and no further than this machine.
local SENDER = [[
    group, index = argv[0], int(argv[1])
    def sender():
        if ":" in group:
            u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 0)
            return u, lambda port: (group, port, 0, index)
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4s4si", b"", b"", index))
        u.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        return u, lambda port: (group, port)
]]

-- The first interface over which Python hears its own datagrams to the group: name, number. The loopback interface
-- comes first, but has no route for IPv6 multicast on many machines. Nil when there is none.
local function interface_for(group)
    local p = t.python(SENDER .. [[
    for index, name in sorted(socket.if_nameindex()):
        r = socket.socket(socket.AF_INET6 if ":" in group else socket.AF_INET, socket.SOCK_DGRAM)
        r.settimeout(0.5)
        try:
            r.bind(("", 0))
            if ":" in group:
                r.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                             socket.inet_pton(socket.AF_INET6, group) + struct.pack("i", index))
            else:
                r.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                             socket.inet_aton(group) + struct.pack("4si", b"", index))
            u, to = sender()
            u.sendto(b"x", to(r.getsockname()[1])); r.recv(9)
            say(name, index); break
        except OSError: pass
    else: say("none 0")
    ]], group, 0)
    local name, index = p:line():match "(%S+) (%d+)"
    p:finish()
    if name ~= "none" then
        return name, tonumber(index)
    end
end

-- A Python peer that sends each line that it hears to the group.
local function python_sender(group, port, index)
    return t.python(SENDER .. [[
    u, to = sender()
    while True: u.sendto(hear().encode(), to(int(argv[2]))); say("sent")
    ]], group, index, port)
end

local LO = tools.on_linux and "lo" or "lo0"

for _, case in ipairs { { "IPv4", V4, "0.0.0.0" }, { "IPv6", V6, "::" } } do
    local family, group, any = tools.unpack(case)

    describe(family .. " multicast", function()
        t.guard()

        it("arrives after join and no more after leave, on an interface given by name or number", function()
            local name, index = interface_for(group)
            if not name then
                return pending("no interface here carries " .. family .. " multicast")
            end
            for _, interface in ipairs { name, index } do
                local u = socket.udp()
                assert(u:bind(any, 0))
                local p = python_sender(group, u:getsockname()[2], index)
                local function sends(text, seconds)
                    p:say(text)
                    assert.equal("sent", p:line())
                    u:settimeout(seconds)
                end
                sends("before", 0)
                assert.same({ nil, socket.ERROR_TIMEOUT }, { u:recv() })
                assert.is_true(u:join(group, interface))
                sends("while", 5)
                assert.equal("while", (u:recv()))
                assert.is_true(u:leave(group, interface))
                sends("after", 0)
                assert.same({ nil, socket.ERROR_TIMEOUT }, { u:recv() })
                p:kill()
                u:close()
            end
        end)

        it("can be joined without an interface, once", function()
            local u = socket.udp()
            assert(u:bind(any, 0))
            local ok, err = u:join(group)
            if ok then
                assert.same({ nil, socket.ERROR_INUSE }, { u:join(group) })
                assert.is_true(u:leave(group))
            else -- a machine without a route for multicast
                assert.is_truthy(err == t.text "ENODEV" or err == t.text "EADDRNOTAVAIL")
            end
            u:close()
        end)

        it("opens a fresh socket in the family of the group", function()
            local u = socket.udp()
            assert.is_true(u:join(group, LO))
            assert.is_true(u:fileno() >= 0)
            assert.equal(family == "IPv4" and "inet" or "inet6", u:getsockname().family)
            assert.is_true(u:bind(any, 0))
            u:close()
        end)

        it("can not be left without having been joined", function()
            local u = socket.udp()
            assert(u:bind(any, 0))
            assert.same({ nil, t.text "EADDRNOTAVAIL" }, { u:leave(group, LO) })
            u:close()
            assert.same({ nil, socket.ERROR_CLOSED }, { u:leave(group, LO) })
        end)

        it("on an interface that is none fails with the system's text", function()
            local u = socket.udp()
            assert(u:bind(any, 0))
            for _, none in ipairs { "no-such-if", ("x"):rep(300), 2 ^ 30 } do
                assert.same({ nil, t.text "ENODEV" }, { u:join(group, none) })
            end
            u:close()
        end)
    end)
end

describe("a group", function()
    t.guard()

    it("is a numeric multicast address, anything else is not found", function()
        local u = socket.udp()
        for _, none in ipairs { "127.0.0.1", "::1", "localhost", "", "239.0.0.01", "239.1", "unix:/x", "240.0.0.1" } do
            assert.same({ nil, socket.ERROR_NOTFOUND }, { u:join(none, LO) })
        end
        assert.equal(-1, u:fileno())
    end)

    it("of the other family fails and harms nothing", function()
        local u = socket.udp()
        assert(u:bind("127.0.0.1", 0))
        local ok, err = u:join(V6, LO)
        assert.is_nil(ok)
        assert.is_string(err)
        assert.is_true(u:join(V4, LO))
        u:close()
    end)
end)

describe("sending to a group", function()
    t.guard()

    -- Over the loopback interface everything is heard; where the default route leads elsewhere the option counts.
    it("obeys OPT_IP_MULTICAST_LOOP: off, this machine does not hear it", function()
        local receiver = socket.udp()
        assert(receiver:bind("0.0.0.0", 0))
        local port = receiver:getsockname()[2]
        if not receiver:join(V4) then
            receiver:close()
            return pending "no route for multicast here"
        end
        for _, loop in ipairs { true, false } do
            local sender = socket.udp()
            assert.is_true(sender:setopt(socket.OPT_IP_MULTICAST_LOOP, loop))
            assert.is_true(sender:setopt(socket.OPT_IP_MULTICAST_TTL, 0))
            assert.is_true(sender:sendto("heard", V4, port))
            receiver:settimeout(loop and 5 or 0)
            assert.equal(loop and "heard" or nil, (receiver:recv()))
            sender:close()
        end
        receiver:close()
    end)
end)

describe("broadcast", function()
    t.guard()

    it("needs OPT_BROADCAST, else it is ERROR_ACCESS", function()
        local u, receiver = socket.udp(), socket.udp()
        assert(receiver:bind("0.0.0.0", 0))
        assert(u:bind("127.0.0.1", 0))
        local port = receiver:getsockname()[2]
        assert.same({ nil, socket.ERROR_ACCESS }, { u:sendto("x", "127.255.255.255", port) })
        assert.is_true(u:setopt(socket.OPT_BROADCAST, true))
        assert.is_true(u:sendto("to all", "127.255.255.255", port))
        receiver:settimeout(5)
        assert.equal("to all", (receiver:recv()))
        u:close()
        receiver:close()
    end)
end)
