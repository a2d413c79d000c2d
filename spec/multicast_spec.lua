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

describe("an interface", function()
    t.guard()

    it("may be given by any of its addresses", function()
        for _, case in ipairs { { V4, "127.0.0.1" }, { V4, "::1" }, { V6, "::1" }, { V6, "127.0.0.1" } } do
            local u = socket.udp()
            assert.is_true(u:join(case[1], case[2]))
            assert.same({ nil, socket.ERROR_INUSE }, { u:join(case[1], LO) })
            assert.is_true(u:leave(case[1], LO))
            u:close()
        end
    end)

    it("that has not got the address is none", function()
        for _, none in ipairs { "192.0.2.1", "2001:db8::1", "127.0.0.1:80", "localhost" } do
            local u = socket.udp()
            assert.same({ nil, t.text "ENODEV" }, { u:join(V4, none) })
            assert.equal(-1, u:fileno())
        end
    end)
end)

describe("one source of a group", function()
    t.guard()

    -- Over the loopback interface, on which Linux lets a sender choose any address of 127/8.
    it("is heard alone, until left", function()
        if not tools.on_linux then
            return
        end
        local u, near, far = socket.udp(), socket.udp(), socket.udp()
        assert(u:bind("0.0.0.0", 0))
        local port = u:getsockname()[2]
        for _, sender in ipairs { near, far } do
            assert(sender:setopt(socket.OPT_IP_MULTICAST_IF, LO))
            assert(sender:bind(sender == near and "127.0.0.2" or "127.0.0.3", 0))
        end
        local function send()
            assert(far:sendto("far", V4, port))
            assert(near:sendto("near", V4, port))
        end
        assert.is_true(u:join(V4, LO, "127.0.0.2"))
        u:settimeout(5)
        send()
        assert.equal("near", (u:recv()))
        assert.is_true(u:join(V4, LO, "127.0.0.3"))
        send()
        assert.same({ "far", "near" }, { (u:recv()), (u:recv()) })
        assert.is_true(u:leave(V4, LO, "127.0.0.2"))
        send()
        assert.equal("far", (u:recv()))
        assert.is_true(u:leave(V4, LO, "127.0.0.3"))
        send()
        u:settimeout(0)
        assert.same({ nil, socket.ERROR_TIMEOUT }, { u:recv() })
        for _, s in ipairs { u, near, far } do
            s:close()
        end
    end)

    it("is an address of the group's family", function()
        for _, case in ipairs { { V4, "::1", "2001:db8::1" }, { V6, "127.0.0.1", "192.0.2.1" } } do
            local u = socket.udp()
            local group, other, another = tools.unpack(case)
            assert.same({ nil, t.text "EAFNOSUPPORT" }, { u:join(group, LO, other) })
            assert.same({ nil, t.text "EAFNOSUPPORT" }, { u:join(group, LO, another) })
            for _, none in ipairs { group, "localhost", "", "239.0.0.01", "unix:/x" } do
                assert.same({ nil, socket.ERROR_NOTFOUND }, { u:join(group, LO, none) })
            end
            assert.equal(-1, u:fileno())
            tools.misuse(tools.method, u, "join", 3, { group, LO, "127.0.0.1\0" })
            tools.misuse(tools.method, u, "join", 3, { "x", "no-such-if", {} })
            assert.is_true(u:join(group, LO, group == V4 and "127.0.0.1" or "::1"))
            assert.same({ nil, t.text "EADDRNOTAVAIL" }, { u:join(group, LO, group == V4 and "127.0.0.1" or "::1") })
            u:close()
        end
    end)
end)

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
