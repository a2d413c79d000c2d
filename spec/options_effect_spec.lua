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

    it("takes integers only", function()
        each_socket(function(s)
            for _, wrong in ipairs { 1.5, tools.nan, math.huge, {}, print, "x", socket.OPT_TCP_NODELAY } do
                tools.misuse(tools.method, s, "getopt", 2, { sys.SOL_SOCKET, wrong })
                tools.misuse(tools.method, s, "setopt", 2, { sys.SOL_SOCKET, wrong, 1 })
                tools.misuse(tools.method, s, "setopt", 3, { sys.SOL_SOCKET, sys.SO_KEEPALIVE, wrong })
            end
            tools.misuse(tools.method, s, "getopt", 2, { sys.SOL_SOCKET })
            tools.misuse(tools.method, s, "setopt", nil, { sys.SOL_SOCKET, sys.SO_KEEPALIVE })
            tools.misuse(tools.method, s, "getopt", nil, { 1.5 })
            tools.misuse(tools.method, s, "getopt", nil, { tools.nan, 1 })
        end)
    end)
end)

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
        local s, gone = socket.tcp(), t.listener()
        local addr = gone:getsockname()
        gone:close()
        assert(s:setopt(socket.OPT_TCP_NODELAY, true))
        assert.same({ nil, socket.ERROR_REFUSED }, { s:connect(addr) })
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
