-- What options do, beyond being set: REUSEADDR, REUSEPORT, LINGER, IP_TOS, ERROR, numeric levels, names that are none.

local t = require "support.t"
local tools = require "support.tools"

local socket, sys = t.socket, t.sys

local function close_all(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

-- Every class of socket, fresh and with a descriptor.
local function each_socket(f)
    for _, make in ipairs { socket.tcp, socket.udp } do
        local fresh, bound = make(), make()
        assert(bound:bind("127.0.0.1", 0))
        f(fresh)
        f(bound)
        bound:close()
    end
end

describe("OPT_TCP_REUSEADDR", function()
    t.guard()

    -- pitfall: options that can not be set between creation and bind, so REUSEADDR never does its work
    it("set before bind lets a server start again while its old connections last", function()
        local old, s = socket.tcp(), socket.tcp()
        assert(old:setopt(socket.OPT_TCP_REUSEADDR, true) and old:bind("127.0.0.1", 0) and old:listen())
        local addr = old:getsockname()
        local p = t.python("s = connect(argv[0]); drain(s); say('closed')", addr[2])
        old:settimeout(5)
        local accepted = assert(old:accept())
        old:close()
        assert.same({ nil, socket.ERROR_INUSE }, { s:bind(addr) })
        assert.is_true(s:setopt(socket.OPT_TCP_REUSEADDR, true))
        assert.is_true(s:bind(addr))
        assert.is_true(s:listen())
        close_all(accepted, s)
        assert.equal("closed", p:line())
        p:finish()
    end)

    it("does not let two servers listen at one address", function()
        local first, second = socket.tcp(), socket.tcp()
        for _, s in ipairs { first, second } do
            assert(s:setopt(socket.OPT_TCP_REUSEADDR, true))
        end
        assert(first:bind("127.0.0.1", 0))
        assert(first:listen())
        local ok, err = second:bind(first:getsockname())
        if ok then
            ok, err = second:listen()
        end
        assert.same({ nil, socket.ERROR_INUSE }, { ok, err })
        close_all(first, second)
    end)
end)

describe("OPT_REUSEPORT", function()
    t.guard()
    it("set on both lets two sockets have one address", function()
        for _, make in ipairs { socket.tcp, socket.udp } do
            for _, reuse in ipairs { false, true } do
                local first, second = make(), make()
                assert(first:setopt(socket.OPT_REUSEPORT, reuse) and second:setopt(socket.OPT_REUSEPORT, reuse))
                assert(first:bind("127.0.0.1", 0))
                local ok, err = second:bind(first:getsockname())
                assert.same({ reuse or nil, not reuse and socket.ERROR_INUSE or nil }, { ok, err })
                close_all(first, second)
            end
        end
    end)
end)

describe("OPT_LINGER", function()
    t.guard()

    it("is seconds or false, with and without a descriptor", function()
        each_socket(function(s)
            for _, value in ipairs { 0, 5, false, 17.0, 1 } do
                assert.is_true(s:setopt(socket.OPT_LINGER, value))
                local got = s:getopt(socket.OPT_LINGER)
                assert.equal(value, got)
                assert.is_true(got == false or tools.is_integer(got))
            end
            for _, wrong in ipairs { true, -1, 1.5, tools.nan, math.huge, "x", {}, print } do
                tools.misuse(tools.method, s, "setopt", 2, { socket.OPT_LINGER, wrong })
            end
            tools.misuse(tools.method, s, "setopt", 2, { socket.OPT_LINGER })
            assert.equal(1, s:getopt(socket.OPT_LINGER))
        end)
    end)

    it("is false before anybody sets it", function()
        local s = socket.tcp()
        assert(s:bind("127.0.0.1", 0))
        assert.is_false(s:getopt(socket.OPT_LINGER))
        s:close()
    end)

    it("of 0 makes close reset the connection", function()
        local s, p = t.with_python [[
            say("ready")
            try: say(s.recv(9))
            except ConnectionResetError: say("reset")
        ]]
        assert.equal("ready", p:line())
        assert.is_true(s:setopt(socket.OPT_LINGER, 0))
        s:close()
        assert.equal("reset", p:line())
        p:finish()
    end)
end)

describe("OPT_IP_TOS", function()
    t.guard()

    -- Set before there is a descriptor and with it. "::ffff:127.0.0.1": IPv4 packets of an IPv6 socket. 13: IP_RECVTOS
    -- on Linux, which Python does not name.
    for _, case in ipairs { { "127.0.0.1", "IP" }, { "::1", "IPV6" }, { "::ffff:127.0.0.1", "IP" } } do
        local host, family = case[1], case[2]
        it("is in the datagrams to " .. host, function()
            local p = t.python([[
                six = argv[0] == "IPV6"
                u = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
                u.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1) if six else
                               (socket.IPPROTO_IP, 13 if sys.platform == "linux" else socket.IP_RECVTOS, 1)))
                u.bind(("::1" if six else "127.0.0.1", 0)); say(u.getsockname()[1])
                for _ in range(2):
                    level, kind, value = u.recvmsg(9, 99)[1][0]
                    say(value[0])
            ]], family)
            local port = p:number()
            local s = socket.udp()
            assert.is_true(s:setopt(socket.OPT_IP_TOS, 184))
            assert(s:bind(host == "::ffff:127.0.0.1" and "::" or host, 0))
            assert(s:sendto("1", host, port))
            assert.equal(184, p:number())
            assert.is_true(s:setopt(socket.OPT_IP_TOS, 41))
            assert(s:sendto("2", host, port))
            assert.equal(41, p:number())
            p:finish()
            s:close()
        end)
    end

    it("that the system refuses is set in neither family", function()
        local number = tools.python_constants { "IPPROTO_IP", "IP_TOS" }
        local s = socket.udp()
        assert(s:bind("::1", 0))
        t.fails(t.text "EINVAL", nil, s:setopt(socket.OPT_IP_TOS, 300))
        assert.equal(0, (s:getopt(socket.OPT_IP_TOS)))
        assert.equal(0, (s:getopt(number.IPPROTO_IP, number.IP_TOS)))
        s:close()
    end)

    it("is the traffic class of an IPv6 socket", function()
        local number = tools.python_constants { "IPPROTO_IPV6", "IPV6_TCLASS" }
        for _, make in ipairs { socket.tcp, socket.udp } do
            local s = make()
            assert(s:bind("::1", 0))
            assert.is_true(s:setopt(socket.OPT_IP_TOS, 184))
            assert.equal(184, (s:getopt(number.IPPROTO_IPV6, number.IPV6_TCLASS)))
            s:close()
        end
    end)
end)

describe("OPT_ERROR", function()
    t.guard()

    it("is the pending error's number, once, then 0", function()
        local gone, u = socket.udp(), socket.udp()
        assert(gone:bind("127.0.0.1", 0))
        assert(u:connect(gone:getsockname()))
        gone:close()
        assert(u:send "anybody?")
        local first = u:getopt(socket.OPT_ERROR)
        assert.is_true(tools.is_integer(first))
        assert.equal(sys.ECONNREFUSED, first)
        assert.equal(0, u:getopt(socket.OPT_ERROR))
        u:settimeout(0)
        assert.same({ nil, socket.ERROR_TIMEOUT }, { u:recv() }) -- no call tells of it again
        u:close()
    end)

    it("is read only", function()
        each_socket(function(s)
            for _, value in ipairs { 0, 1, true, false } do
                tools.misuse(tools.method, s, "setopt", nil, { socket.OPT_ERROR, value })
            end
        end)
        assert.same({ nil, socket.ERROR_CLOSED }, { socket.tcp():getopt(socket.OPT_ERROR) })
    end)
end)

describe("an option by numbers", function()
    t.guard()

    it("is any integer option of the system", function()
        local s = socket.tcp()
        assert(s:bind("127.0.0.1", 0))
        assert.equal(sys.SOCK_STREAM, s:getopt(sys.SOL_SOCKET, sys.SO_TYPE))
        assert.is_true(s:setopt(sys.SOL_SOCKET, sys.SO_KEEPALIVE, 1))
        assert.is_true(s:getopt(sys.SOL_SOCKET, sys.SO_KEEPALIVE) ~= 0)
        assert.is_true(s:getopt(socket.OPT_TCP_KEEPALIVE))
        assert.is_true(s:setopt(sys.SOL_SOCKET, sys.SO_KEEPALIVE, 0))
        assert.is_false(s:getopt(socket.OPT_TCP_KEEPALIVE))
        s:close()
    end)

    it("that the system does not have is the system's text", function()
        each_socket(function(s)
            if s:fileno() >= 0 then
                assert.same({ nil, t.text "ENOPROTOOPT" }, { s:getopt(sys.SOL_SOCKET, 9999) })
                assert.same({ nil, t.text "ENOPROTOOPT" }, { s:setopt(sys.SOL_SOCKET, 9999, 1) })
                assert.is_nil((s:getopt(-1, -1)))
                assert.is_string((select(2, s:setopt(-1, -1, -1))))
            end
        end)
    end)

    it("takes integers only, and strings as values", function()
        each_socket(function(s)
            for _, wrong in ipairs { 1.5, tools.nan, math.huge, {}, print, "x", socket.OPT_TCP_NODELAY } do
                tools.misuse(tools.method, s, "getopt", 2, { sys.SOL_SOCKET, wrong })
                tools.misuse(tools.method, s, "setopt", 2, { sys.SOL_SOCKET, wrong, 1 })
                tools.misuse(tools.method, s, "getopt", 3, { sys.SOL_SOCKET, sys.SO_KEEPALIVE, wrong })
                if type(wrong) ~= "string" then
                    tools.misuse(tools.method, s, "setopt", 3, { sys.SOL_SOCKET, sys.SO_KEEPALIVE, wrong })
                end
            end
            tools.misuse(tools.method, s, "getopt", 2, { sys.SOL_SOCKET })
            tools.misuse(tools.method, s, "setopt", nil, { sys.SOL_SOCKET, sys.SO_KEEPALIVE })
            tools.misuse(tools.method, s, "getopt", nil, { 1.5 })
            tools.misuse(tools.method, s, "getopt", nil, { tools.nan, 1 })
        end)
    end)
end)

-- The numbers are Linux's; struct linger is two ints.
describe("an option by numbers as bytes", function()
    t.guard()

    local SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO, TCP, TCP_CONGESTION = 13, 20, 21, 6, 13
    local function int_bytes(n)
        local s = socket.udp()
        assert(s:bind("127.0.0.1", 0))
        local datagram = s:getopt(sys.SOL_SOCKET, sys.SO_TYPE, 4) -- 2 on all systems
        s:close()
        return datagram == "\2\0\0\0" and string.char(n, 0, 0, 0) or string.char(0, 0, 0, n)
    end

    if not tools.on_linux then
        return
    end
    local ONE = int_bytes(1)

    it("is any option of the system", function()
        local s = socket.tcp()
        assert(s:bind("127.0.0.1", 0))
        local linger = ONE .. int_bytes(3)
        assert.is_true(s:setopt(sys.SOL_SOCKET, SO_LINGER, linger))
        assert.equal(3, s:getopt(socket.OPT_LINGER))
        assert.equal(linger, s:getopt(sys.SOL_SOCKET, SO_LINGER, 100))
        assert.equal(linger:sub(1, 5), s:getopt(sys.SOL_SOCKET, SO_LINGER, 5))
        assert.is_true(s:setopt(TCP, TCP_CONGESTION, "reno"))
        assert.equal("reno", s:getopt(TCP, TCP_CONGESTION, 65536):match "^%a+")
        assert.equal(int_bytes(sys.SOCK_STREAM), s:getopt(sys.SOL_SOCKET, sys.SO_TYPE, 4))
        assert.same({ nil, t.text "EINVAL" }, { s:setopt(sys.SOL_SOCKET, SO_LINGER, "") })
        assert.equal(3, s:getopt(socket.OPT_LINGER))
        s:close()
    end)

    it("is kept for the next descriptor, the latest value of either type", function()
        local s = socket.tcp()
        local level, keepalive = sys.SOL_SOCKET, sys.SO_KEEPALIVE
        assert.same({ nil, socket.ERROR_CLOSED }, { s:getopt(level, keepalive, 4) })
        for _, value in ipairs { ONE, 0, int_bytes(0), ONE } do
            assert.is_true(s:setopt(level, keepalive, value))
            assert.equal(value, s:getopt(level, keepalive))
        end
        for _ = 1, 2 do
            assert(s:bind("127.0.0.1", 0))
            assert.is_true(s:getopt(socket.OPT_TCP_KEEPALIVE))
            s:close()
            assert.equal(ONE, s:getopt(level, keepalive))
        end
    end)

    it("leaves the error of a stream pending, as by name", function()
        local s, gone = socket.tcp(), t.listener()
        local addr = gone:getsockname()
        gone:close()
        assert.is_nil((s:connect(addr)))
        assert(s:bind("127.0.0.1", 0))
        assert.equal(int_bytes(0), s:getopt(sys.SOL_SOCKET, 4, 4)) -- SO_ERROR
        s:close()
    end)

    it("is misuse where the module uses it itself, or with a wrong size", function()
        each_socket(function(s)
            for _, number in ipairs { SO_RCVTIMEO, SO_SNDTIMEO } do
                tools.misuse(tools.method, s, "setopt", 2, { sys.SOL_SOCKET, number, ("x"):rep(16) })
            end
            for _, size in ipairs { 0, -1, 65537 } do
                tools.misuse(tools.method, s, "getopt", 3, { sys.SOL_SOCKET, sys.SO_TYPE, size })
            end
            tools.misuse(tools.method, s, "setopt", 3, { sys.SOL_SOCKET, SO_LINGER, ("x"):rep(65537) })
        end)
    end)
end)

describe("OPT_IP_MULTICAST_IF", function()
    t.guard()

    local lo = tools.on_linux and "lo" or "lo0"
    local p = t.python("say(socket.if_nametoindex(argv[0]))", lo)
    local index = p:number()
    p:finish()

    for _, case in ipairs { { "127.0.0.1", "127.0.0.1", "0.0.0.0" }, { "::1", index, 0 } } do
        local host, name, none = tools.unpack(case)
        it("is a name, an index or an address, on a socket of " .. host, function()
            local u = socket.udp()
            assert(u:bind(host, 0))
            for _, value in ipairs { lo, index, tostring(index), "127.0.0.1", "::1", "::ffff:127.0.0.1" } do
                assert.is_true(u:setopt(socket.OPT_IP_MULTICAST_IF, value))
                assert.equal(name, u:getopt(socket.OPT_IP_MULTICAST_IF))
                assert.is_true(u:setopt(socket.OPT_IP_MULTICAST_IF, host == "::1" and "::" or "0.0.0.0"))
                assert.equal(none, u:getopt(socket.OPT_IP_MULTICAST_IF))
            end
            assert.is_true(u:setopt(socket.OPT_IP_MULTICAST_IF, lo))
            local long = ("x"):rep(300)
            for _, value in ipairs { "no-such-if", "192.0.2.1", "2001:db8::1", "", "localhost", long, 2 ^ 30 } do
                local ok, err = u:setopt(socket.OPT_IP_MULTICAST_IF, value)
                assert.is_nil(ok)
                assert.is_true(err == t.text "ENODEV" or err == t.text "EADDRNOTAVAIL", err)
                assert.equal(name, u:getopt(socket.OPT_IP_MULTICAST_IF))
            end
            assert.is_true(u:setopt(socket.OPT_IP_MULTICAST_IF, 0))
            assert.equal(none, u:getopt(socket.OPT_IP_MULTICAST_IF))
            u:close()
        end)

        it("is kept for a descriptor of " .. host, function()
            for _, value in ipairs { lo, index, "127.0.0.1" } do
                local u = socket.udp()
                assert.is_true(u:setopt(socket.OPT_IP_MULTICAST_IF, value))
                assert.equal(value, u:getopt(socket.OPT_IP_MULTICAST_IF))
                assert(u:bind(host, 0))
                assert.equal(name, u:getopt(socket.OPT_IP_MULTICAST_IF))
                u:close()
                assert.equal(value, u:getopt(socket.OPT_IP_MULTICAST_IF))
                assert(u:setopt(socket.OPT_IP_MULTICAST_IF, "no-such-if"))
                assert.same({ nil, t.text "ENODEV" }, { u:bind(host, 0) })
            end
        end)
    end

    it("decides where datagrams to a group leave", function()
        local u, receiver = socket.udp(), socket.udp()
        local group = "239.255.77.10"
        assert(receiver:bind("0.0.0.0", 0))
        assert(receiver:join(group, lo))
        assert.is_true(u:setopt(socket.OPT_IP_MULTICAST_IF, "127.0.0.1"))
        assert.is_true(u:sendto("here", group, receiver:getsockname()[2]))
        receiver:settimeout(5)
        local data, from = receiver:recvfrom()
        assert.same({ "here", "127.0.0.1" }, { data, from[1] })
        close_all(u, receiver)
    end)

    it("takes integers from 0 on and strings without NUL", function()
        local u = socket.udp()
        for _, wrong in ipairs { true, -1, 1.5, tools.nan, 2 ^ 31, {}, print, "lo\0" } do
            tools.misuse(tools.method, u, "setopt", 2, { socket.OPT_IP_MULTICAST_IF, wrong })
        end
        tools.misuse(tools.method, u, "setopt", 2, { socket.OPT_IP_MULTICAST_IF })
        tools.misuse(tools.method, socket.tcp(), "getopt", 1, { socket.OPT_IP_MULTICAST_IF })
    end)
end)

if socket.OPT_BINDTODEVICE then
    describe("OPT_BINDTODEVICE", function()
        t.guard()

        it("is the name of an interface", function()
            each_socket(function(s)
                local open = s:fileno() >= 0
                local ok, err = s:setopt(socket.OPT_BINDTODEVICE, "lo")
                if err == t.text "EPERM" then -- before Linux 5.7
                    return
                end
                assert.is_true(ok)
                assert.equal("lo", s:getopt(socket.OPT_BINDTODEVICE))
                assert(open or s:bind("127.0.0.1", 0))
                assert.equal("lo", s:getopt(socket.OPT_BINDTODEVICE))
                for _, none in ipairs { "no-such-if", "lo5678901234567", "lo56789012345678", ("x"):rep(300) } do
                    assert.same({ nil, t.text "ENODEV" }, { s:setopt(socket.OPT_BINDTODEVICE, none) })
                end
                assert.equal("lo", s:getopt(socket.OPT_BINDTODEVICE))
                s:close()
                assert(s:setopt(socket.OPT_BINDTODEVICE, "no-such-if"))
                assert.same({ nil, t.text "ENODEV" }, { s:bind("127.0.0.1", 0) })
                assert(s:setopt(socket.OPT_BINDTODEVICE, "") and s:bind("127.0.0.1", 0))
                assert.equal("", s:getopt(socket.OPT_BINDTODEVICE))
                s:close()
            end)
        end)

        it("takes strings without NUL", function()
            each_socket(function(s)
                for _, wrong in ipairs { true, 1, {}, print, "lo\0" } do
                    tools.misuse(tools.method, s, "setopt", 2, { socket.OPT_BINDTODEVICE, wrong })
                end
            end)
        end)
    end)
end

if socket.OPT_IP_FREEBIND then
    describe("OPT_IP_FREEBIND", function()
        t.guard()
        it("lets bind take addresses that this machine does not have", function()
            for _, host in ipairs { "192.0.2.7", "2001:db8::7" } do -- RFC 5737, RFC 3849
                for _, make in ipairs { socket.tcp, socket.udp } do
                    local s = make()
                    assert.same({ nil, t.text "EADDRNOTAVAIL" }, { s:bind(host, 0) })
                    assert.is_true(s:setopt(socket.OPT_IP_FREEBIND, true))
                    assert.is_true(s:bind(host, 0))
                    assert.is_true(s:getopt(socket.OPT_IP_FREEBIND))
                    assert.equal(host, s:getsockname()[1])
                    s:close()
                end
            end
        end)
    end)
end

if socket.OPT_PEERCRED then
    describe("OPT_PEERCRED", function()
        t.guard()

        it("tells the process at the other end", function()
            local path = t.tmpdir() .. "/s"
            local listener = socket.tcp()
            assert(listener:bind(path) and listener:listen())
            local p = t.python([[
                s = socket.socket(socket.AF_UNIX); s.connect(argv[0])
                say(os.getpid()); say(os.getuid()); say(os.getgid()); hear()
            ]], path)
            listener:settimeout(5)
            local accepted = assert(listener:accept())
            local cred = accepted:getopt(socket.OPT_PEERCRED)
            assert.same({ pid = p:number(), uid = p:number(), gid = p:number() }, cred)
            assert.is_true(tools.is_integer(cred.pid) and tools.is_integer(cred.uid))
            p:say "done"
            p:finish()
            close_all(accepted, listener)
        end)

        it("is read only, and of Unix sockets with a peer", function()
            each_socket(function(s)
                local err = s:fileno() >= 0 and t.text "ENOTCONN" or socket.ERROR_CLOSED
                assert.same({ nil, err }, { s:getopt(socket.OPT_PEERCRED) })
                tools.misuse(tools.method, s, "setopt", nil, { socket.OPT_PEERCRED, 1 })
            end)
            local a, b = socket.pair()
            assert.equal(sys.getpid(), a:getopt(socket.OPT_PEERCRED).pid)
            close_all(a, b)
        end)
    end)
end

describe("an option by name", function()
    t.guard()

    it("that is none is misuse", function()
        local none = { "", "nodelay", "TCP_NODELAY", "OPT_TCP_NODELAY", "tcp_nodelay ", "tcp_nodelay\0",
            ("x"):rep(1e5) }
        each_socket(function(s)
            for _, name in ipairs(none) do
                tools.misuse(tools.method, s, "getopt", 1, { name })
                tools.misuse(tools.method, s, "setopt", 1, { name, true })
            end
        end)
    end)

    it("may be written as the string that the constant is", function()
        local s = socket.tcp()
        assert.is_true(s:setopt("tcp_nodelay", true))
        assert.is_true(s:getopt "tcp_nodelay")
    end)
end)

describe("kept options", function()
    t.guard()

    it("of IPv6 are nothing to an IPv4 socket", function()
        for _, make in ipairs { socket.tcp, socket.udp } do
            local s = make()
            assert(s:setopt(socket.OPT_IPV6_V6ONLY, true))
            assert.is_true(s:bind("127.0.0.1", 0))
            s:close()
        end
    end)

    it("of TCP and IP are nothing to a Unix socket, the others applied", function()
        for _, make in ipairs { socket.tcp, socket.udp } do
            local s = make()
            assert(s:setopt(socket.OPT_IPV6_V6ONLY, true))
            assert(make == socket.udp or s:setopt(socket.OPT_TCP_NODELAY, true))
            assert(make == socket.tcp or s:setopt(socket.OPT_IP_MULTICAST_TTL, 3))
            assert(s:setopt(socket.OPT_SNDBUF, 30000))
            assert.is_true(s:bind("unix:" .. t.tmpdir() .. "/s"))
            assert.is_true(s:getopt(socket.OPT_SNDBUF) >= 30000)
            s:close()
            assert.is_true(s:getopt(socket.OPT_IPV6_V6ONLY))
        end
    end)
end)

describe("a failed call", function()
    t.guard()
    it("keeps the options for the next try", function()
        local s, silent = socket.tcp(), socket.tcp()
        assert(silent:bind("127.0.0.1", 0)) -- and does not listen
        assert(s:setopt(socket.OPT_TCP_NODELAY, true))
        assert.same({ nil, socket.ERROR_REFUSED }, { s:connect(silent:getsockname()) })
        silent:close()
        assert.is_true(s:getopt(socket.OPT_TCP_NODELAY))
        local listener, here = t.listener()
        assert(s:connect(here))
        assert.is_true(s:getopt(socket.OPT_TCP_NODELAY))
        close_all(s, listener)
    end)
end)

describe("an option that has a number for each family", function()
    t.guard()

    local IPV6 = 41 -- IPPROTO_IPV6; the numbers are Linux's
    local numbers = tools.on_linux
            and { OPT_IP_TTL = 16, OPT_IP_MULTICAST_TTL = 18, OPT_IP_MULTICAST_LOOP = 19, OPT_IP_TOS = 67 }
        or {}

    for name, number in pairs(numbers) do
        it("sets that of IPv6 on a socket of IPv6: " .. name, function()
            local value = name == "OPT_IP_MULTICAST_LOOP" and { false, 0 } or { 44, 44 }
            for _, make in ipairs { socket.udp, name == "OPT_IP_TTL" and socket.tcp or nil } do
                local s = make()
                assert(s:bind("::1", 0))
                assert.is_true(s:setopt(socket[name], value[1]))
                assert.equal(value[2], s:getopt(IPV6, number))
                assert.equal(value[1], s:getopt(socket[name]))
                s:close()
            end
        end)
    end
end)
