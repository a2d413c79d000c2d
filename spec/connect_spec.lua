local space = require "support.space"
local t = require "support.t"
local socket = t.socket

-- A port of 127.0.0.1 that refuses: it is bound and nobody listens. Free it with peer:say().
local function refusing_port()
    local p = t.python [[
        s = socket.socket(); s.bind(("127.0.0.1", 0)); say(s.getsockname()[1]); hear()
    ]]
    return p:number(), p
end

-- A Python peer that accepts one connection and says what it received until the end; and its port.
local function receiver(host)
    local p = t.python(
        [[
        l = listen(host=argv[0]); s, peer = l.accept()
        say(peer[0], peer[1]); say(drain(s).decode())
        ]],
        host or "127.0.0.1"
    )
    return p:number(), p
end

describe("connect", function()
    t.guard()

    local hosts = {
        { given = "127.0.0.1", on = "127.0.0.1" },
        { given = "localhost", on = "127.0.0.1" },
        { given = "::1", on = "::1" },
        { given = "[::1]", on = "::1" },
        { given = "0:0:0:0:0:0:0:1", on = "::1" },
        { given = "::ffff:127.0.0.1", on = "127.0.0.1" },
    }
    for _, host in ipairs(hosts) do
        it("reaches a Python server at " .. host.given, function()
            local port, p = receiver(host.on)
            local s = socket.tcp()
            assert.is_true(s:connect(host.given, port))
            assert.equal(5, s:write "hello")
            assert.equal(host.on .. " " .. s:getsockname()[2], p:line())
            s:close()
            assert.equal("hello\n", p:finish())
        end)
    end

    for name, convert in pairs {
        ["an integral float"] = function(port)
            return port + 0.0
        end,
        ["a numeral"] = tostring,
    } do
        it("takes a port that is " .. name, function()
            local listener, address = t.listener()
            local s = socket.tcp()
            assert.is_true(s:connect("127.0.0.1", convert(address[2])))
            assert.equal(address[2], s:getpeername()[2])
            listener:close()
            s:close()
        end)
    end

    for _, kind in ipairs(t.kinds) do
        it("takes the address that getsockname returned for a listener of kind " .. kind, function()
            local listener, address = t.listener(kind)
            local s = socket.tcp()
            assert.is_true(s:connect(address))
            local accepted = assert(listener:accept())
            assert.equal(2, accepted:write "hi")
            assert.equal("hi", s:read(2))
            assert.equal(tostring(address), tostring(s:getpeername()))
            listener:close()
            accepted:close()
            s:close()
        end)
    end

    it("opens a descriptor: -1 before, a number of the system after, an integer", function()
        local listener, address = t.listener()
        local s = socket.tcp()
        assert.equal("-1", tostring(s:fileno()))
        assert.equal("<tcpsock: -1>", tostring(s))
        assert(s:connect(address))
        assert.is_true(t.sys.isopen(s:fileno()))
        assert.matches("^%d+$", tostring(s:fileno()))
        assert.equal("<tcpsock: " .. s:fileno() .. ">", tostring(s))
        listener:close()
        s:close()
    end)

    it("shows ports as integers and the family of both ends", function()
        local client, accepted = t.connected()
        for _, address in ipairs { client:getsockname(), client:getpeername(), accepted:getpeername() } do
            assert.equal("127.0.0.1", address[1])
            assert.matches("^%d+$", tostring(address[2]))
            assert.equal("inet", address.family)
            assert.equal("127.0.0.1:" .. address[2], tostring(address))
        end
        assert.same(client:getsockname(), accepted:getpeername())
        client:close()
        accepted:close()
    end)

    it("writes an IPv6 address with brackets", function()
        local client, accepted = t.connected "inet6"
        local address = client:getpeername()
        assert.equal("::1", address[1])
        assert.equal("inet6", address.family)
        assert.equal("[::1]:" .. address[2], tostring(address))
        client:close()
        accepted:close()
    end)

    -- pitfall: a failed bind or connect that leaves the object stuck
    it("is refused where nobody listens, and can then connect with its options kept", function()
        local port, p = refusing_port()
        local listener, address = t.listener()
        local s = socket.tcp()
        s:settimeout(5)
        assert(s:setopt(socket.OPT_TCP_NODELAY, true))
        t.fails(socket.ERROR_REFUSED, nil, s:connect("127.0.0.1", port))
        assert.equal(-1, s:fileno())
        assert.is_true(s:connect(address))
        assert.is_true(s:getopt(socket.OPT_TCP_NODELAY))
        assert.equal(5, s:gettimeout())
        p:say "done"
        p:finish()
        listener:close()
        s:close()
    end)

    it("can be refused often without leaking a descriptor", function()
        local port, p = refusing_port()
        local before = t.fds()
        local s = socket.tcp()
        for _ = 1, 100 do
            t.fails(socket.ERROR_REFUSED, nil, s:connect("127.0.0.1", port))
        end
        assert.equal(before, t.fds())
        p:kill()
    end)

    it("fails on a connected socket, which goes on working", function()
        local client, accepted = t.connected()
        t.fails(t.text "EISCONN", nil, client:connect(client:getpeername()))
        assert.equal(2, client:write "on")
        assert.equal("on", accepted:read(2))
        client:close()
        accepted:close()
    end)

    -- pitfall: connect after bind refused
    it("uses the local address of a bound socket", function()
        local port, p = receiver()
        local s = socket.tcp()
        assert(s:bind("127.0.0.2", 0))
        local own = s:getsockname()
        assert.is_true(s:connect("127.0.0.1", port))
        assert.equal("127.0.0.2 " .. own[2], p:line())
        assert.same(own, s:getsockname())
        s:close()
        p:finish()
    end)

    it("leaves a bound socket able to connect after a refusal, whatever the time", function()
        local refusing, r = refusing_port()
        local port, p = receiver()
        local s = socket.tcp()
        assert(s:bind("127.0.0.1", 0))
        for _, timeout in ipairs { 0.05, 5, -1 } do
            s:settimeout(timeout)
            t.fails(socket.ERROR_REFUSED, nil, s:connect("127.0.0.1", refusing))
        end
        s:settimeout(0.09)
        assert.is_true(s:connect("127.0.0.1", port))
        s:close()
        r:kill()
        p:finish()
    end)

    it("reports a network that cannot be reached", function()
        local s = socket.tcp()
        t.fails(socket.ERROR_UNREACHABLE, nil, s:connect("255.255.255.255", 80))
        assert.equal(-1, s:fileno())
    end)
end)

describe("connect to a name with several addresses", function()
    t.guard()

    -- A name with a dead IPv6 and a live IPv4 address, or the other way round, needs a hosts file of our own:
    -- the client runs in a mount namespace where it stands in the place of the system's.
    local script = [[
        local socket = require "ssocket"
        local s = socket.tcp()
        s:settimeout(10)
        assert(s:connect("twofold.test", %d))
        print(s:getpeername().family)
        s:close()
    ]]

    local function namespace(dir)
        local hosts = assert(io.open(dir .. "/hosts", "w"))
        hosts:write "::1 twofold.test\n127.0.0.1 twofold.test\n"
        hosts:close()
        local mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return { "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, dir .. "/hosts" }
    end

    local function allowed(argv)
        local p = t.spawn(argv, true)
        return pcall(p.finish, p)
    end

    for kind, other in pairs { inet = "inet6", inet6 = "inet" } do
        -- pitfall: only the first address of a name tried
        it("tries the other when the " .. other .. " one refuses", function()
            local probe = namespace(t.tmpdir())
            probe[#probe + 1] = "true"
            if not allowed(probe) then
                return pending "mount namespaces are not allowed here"
            end
            local listener, address = t.listener(kind)
            local p = t.lua(script:format(address[2]), namespace(t.tmpdir()))
            assert.equal(kind .. "\n", p:finish())
            listener:close()
        end)
    end
end)

describe("a connection to itself", function()
    t.guard()

    -- Prints what connect says of its own port, which must be free afterwards. In a space nobody else takes it.
    local chosen_port = [[
        local host, timeout = "%s", %d
        local IPPROTO_IP, IP_LOCAL_PORT_RANGE = 0, 51 -- Linux since 6.3, ip(7)
        local s, listener = socket.tcp(), socket.tcp()
        assert(s:bind(host, 0))
        local port = s:getsockname()[2]
        s:close()
        local before = inside.descriptors()
        s:settimeout(timeout)
        s:setopt(IPPROTO_IP, IP_LOCAL_PORT_RANGE, port + (port - 65536) * 65536) -- both bounds in 32 bits, with a sign
        print(select(2, s:connect(host, port)))
        inside.equal(before, inside.descriptors())
        assert(listener:bind(host, port))
    ]]

    for _, host in ipairs { "127.0.0.1", "::1", "127.0.0.1 within a deadline" } do
        it("is refused where the system has chosen the port, and leaves it free: " .. host, function()
            local here = space.open() or pending(space.why)
            local said = here:lua(chosen_port:format(host:match "%S+", host:find " " and 5 or -1)):gsub("\n$", "")
            if said == t.text "EINVAL" or said == t.text "ENOPROTOOPT" then
                return pending "this system cannot choose among ports"
            end
            assert.equal(socket.ERROR_REFUSED, said)
        end)

        it("is refused on a socket that is bound without a port: " .. host, function()
            local s = socket.tcp()
            s:settimeout(host:find " " and 5 or -1)
            assert(s:bind(host:match "%S+", 0))
            t.fails(socket.ERROR_REFUSED, nil, s:connect(s:getsockname()))
            local listener, address = t.listener(host:find ":" and "inet6" or "inet")
            assert(s:connect(address))
            listener:close()
            s:close()
        end)
    end

    it("is made where the program has bound the socket to that port", function()
        local here = space.open() or pending(space.why)
        here:lua [[
            local s = socket.tcp()
            assert(s:bind("127.0.0.1", 0))
            local port = s:getsockname()[2]
            s:close()
            s:settimeout(5)
            assert(s:bind("127.0.0.1", port))
            assert(s:connect("127.0.0.1", port))
            assert(s:write "me")
            inside.equal("me", s:read(2))
            s:close()
        ]]
    end)
end)
