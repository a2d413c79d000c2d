-- Addresses as getpeername, getsockname, recvfrom, recvmany and resolve return them, and as they go back in.

local t = require "support.t"
local tools = require "support.tools"

local socket = t.socket

local function udp_at(...)
    local u = socket.udp()
    assert(u:bind(...))
    u:settimeout(5)
    return u
end

local function close_all(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

-- All that a returned IP address promises.
local function check_ip(addr, host, family, port)
    assert.is_table(addr)
    assert.equal(host, addr[1])
    assert.equal(family, addr.family)
    assert.is_true(tools.is_integer(addr[2]))
    assert.is_nil(tostring(addr[2]):find(".", 1, true))
    assert.is_true(addr[2] > 0 and addr[2] <= 65535)
    assert.is_true(port == nil or port == addr[2])
    assert.is_nil(addr[3])
    local shown = family == "inet6" and "[%s]:%d" or "%s:%d"
    assert.equal(shown:format(host, addr[2]), tostring(addr))
end

local both = { { "127.0.0.1", "inet" }, { "::1", "inet6" } }

describe("an address that comes back", function()
    t.guard()

    -- pitfall: sockets without getsockname (port 0 is then useless); ports and descriptors as floats
    it("shows host, integer port, family and text, for streams", function()
        for _, case in ipairs(both) do
            local client, server = t.connected(case[2])
            local port = server:getsockname()[2]
            check_ip(client:getpeername(), case[1], case[2], port)
            check_ip(server:getpeername(), case[1], case[2], client:getsockname()[2])
            close_all(client, server)
        end
    end)

    it("shows the same for datagrams", function()
        for _, case in ipairs(both) do
            local a, b = udp_at(case[1], 0), udp_at(case[1], 0)
            assert(a:sendto("1", b:getsockname()) and a:sendto("2", b:getsockname()))
            local data, from = b:recvfrom()
            assert.equal("1", data)
            check_ip(from, case[1], case[2], a:getsockname()[2])
            local _, all = b:recvmany(1, 9)
            check_ip(all[1], case[1], case[2], a:getsockname()[2])
            close_all(a, b)
        end
    end)

    it("agrees with what Python sees from the other side", function()
        local s, p = t.with_python [[
            me, you = s.getsockname(), s.getpeername(); say(*me); say(*you); hear()
        ]]
        local peer, own = s:getpeername(), s:getsockname()
        assert.equal(p:line(), peer[1] .. " " .. peer[2])
        assert.equal(p:line(), own[1] .. " " .. own[2])
        p:say "done"
        p:finish()
        s:close()
    end)

    it("is a new table each time, so that changing one harms nobody", function()
        local u = udp_at("127.0.0.1", 0)
        local first = u:getsockname()
        local port = first[2]
        first[1], first[2], first.family = "spoilt", 0, nil
        check_ip(u:getsockname(), "127.0.0.1", "inet", port)
        u:close()
    end)
end)

describe("a dual-stack socket", function()
    t.guard()

    it("bound to * takes IPv4 and IPv6, and shows each as what it is", function()
        local listener = socket.tcp()
        assert(listener:bind("*", 0))
        assert(listener:listen())
        listener:settimeout(5)
        local port = listener:getsockname()[2]
        for _, case in ipairs(both) do
            local p = t.python("s = connect(argv[0], argv[1]); hear()", port, case[1])
            local s = assert(listener:accept())
            local peer, own = s:getpeername(), s:getsockname()
            assert.same({ case[1], case[2] }, { peer[1], peer.family })
            assert.same({ case[1], case[2], port }, { own[1], own.family, own[2] })
            p:say "done"
            p:finish()
            s:close()
        end
        listener:close()
    end)

    it("answers IPv4 and IPv6 senders of datagrams by the address they came from", function()
        local u = udp_at("*", 0)
        local port = u:getsockname()[2]
        for _, case in ipairs(both) do
            local sender = udp_at(case[1], 0)
            assert(sender:sendto("ping", case[1], port))
            local data, from = u:recvfrom()
            assert.equal("ping", data)
            check_ip(from, case[1], case[2], sender:getsockname()[2])
            assert(u:sendto("by value", from))
            assert(u:sendto("by name", from[1], from[2]))
            assert.same({ "by value", "by name" }, { (sender:recv()), (sender:recv()) })
            sender:close()
            assert.equal(port, u:getsockname()[2])
        end
        u:close()
    end)

    it("may be connected to either family", function()
        for _, case in ipairs(both) do
            local u, peer = udp_at("*", 0), udp_at(case[1], 0)
            assert(u:connect(peer:getsockname()))
            check_ip(u:getpeername(), case[1], case[2], peer:getsockname()[2])
            check_ip(u:getsockname(), case[1], case[2])
            assert(u:send "ping")
            assert.equal("ping", (peer:recv()))
            close_all(u, peer)
        end
    end)

    it("bound to the IPv6 address :: is one as well, unless OPT_IPV6_V6ONLY says otherwise", function()
        for _, only in ipairs { false, true } do
            local u = socket.udp()
            assert(u:setopt(socket.OPT_IPV6_V6ONLY, only))
            assert(u:bind("::", 0))
            local v4 = socket.udp()
            assert(v4:sendto("x", "127.0.0.1", u:getsockname()[2]))
            u:settimeout(only and 0 or 5)
            local data = u:recv()
            assert.equal(not only and "x" or nil, data)
            close_all(u, v4)
        end
    end)
end)

describe("a returned address given again", function()
    t.guard()

    it("serves sendto, send, connect and sendmany", function()
        for _, name in ipairs { "inet", "inet6", "unix" } do
            local where = { inet = { "127.0.0.1", 0 }, inet6 = { "::1", 0 }, unix = { "unix:" .. t.tmpdir() .. "/r" } }
            local receiver = udp_at(tools.unpack(where[name]))
            local addr = receiver:getsockname()
            local sender = socket.udp()
            assert(sender:sendto("1", addr) and sender:send("2", addr))
            assert.equal(1, sender:sendmany({ "3" }, addr))
            assert(sender:connect(addr) and sender:send "4")
            for i = 1, 4 do
                assert.equal(tostring(i), (receiver:recv()))
            end
            close_all(receiver, sender)
        end
    end)

    it("serves connect and bind of streams, and of what resolve gave", function()
        local listener, addr = t.listener()
        local client = socket.tcp()
        assert(client:connect(addr))
        client:close()
        listener:close()
        local resolved = assert(socket.resolve("127.0.0.1", addr[2]))[1]
        assert(client:setopt(socket.OPT_TCP_REUSEADDR, true))
        assert(client:bind(resolved))
        assert.same({ addr[1], addr[2] }, { client:getsockname()[1], client:getsockname()[2] })
        client:close()
    end)

    -- pitfall: the number of arguments overwriting a socket's family, so that a sendto to a path breaks the next one
    it("may be of a family that the socket has not, which fails and harms nothing", function()
        local receiver, sender = udp_at("127.0.0.1", 0), udp_at("127.0.0.1", 0)
        for _, other in ipairs { { "unix:/nowhere/at/all" }, { "::1", 9 }, { t.abstract() } } do
            local ok, err = sender:sendto("lost", tools.unpack(other))
            assert.is_nil(ok)
            assert.is_string(err)
            assert(sender:sendto("kept", receiver:getsockname()))
            assert.equal("kept", (receiver:recv()))
        end
        close_all(receiver, sender)
    end)
end)

describe("resolve", function()
    t.guard()

    it("gives an array of addresses with the port asked for, else 0", function()
        for _, case in ipairs(both) do
            for _, port in ipairs { 0, 80, 65535 } do
                local found = assert(socket.resolve(case[1], port))
                assert.equal(1, #found)
                assert.same({ case[1], port, case[2] }, { found[1][1], found[1][2], found[1].family })
            end
            assert.equal(0, socket.resolve(case[1])[1][2])
        end
    end)

    it("finds names", function()
        local found = assert(socket.resolve("localhost", 80, 5))
        assert.is_true(#found >= 1)
        for _, addr in ipairs(found) do
            assert.is_truthy(addr[1] == "127.0.0.1" or addr[1] == "::1")
            assert.equal(80, addr[2])
        end
    end)

    it("takes a numeric host also when there is no time at all", function()
        assert.equal("127.0.0.1", assert(socket.resolve("127.0.0.1", 80, 0))[1][1])
        assert.equal("::1", assert(socket.resolve("[::1]", 80, 0))[1][1])
    end)

    -- pitfall: only the first address of a name tried
    it("names the addresses that connect tries, to the last", function()
        for _, addr in ipairs(assert(socket.resolve "localhost")) do
            local listener = socket.tcp()
            assert(listener:bind(addr))
            assert(listener:listen())
            local client = socket.tcp()
            assert(client:connect("localhost", listener:getsockname()[2]))
            assert.equal(addr[1], client:getpeername()[1])
            close_all(client, listener)
        end
    end)
end)
