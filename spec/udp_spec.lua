-- Datagrams over IPv4 and IPv6, with Python at the other end where the other end matters.

local t = require "support.t"
local tools = require "support.tools"

local socket = t.socket

local hosts = { "127.0.0.1", "::1" }

local function bound(host)
    local u = socket.udp()
    assert(u:bind(host or "127.0.0.1", 0))
    u:settimeout(5)
    return u
end

-- Two sockets, the first connected to the second.
local function pair_of(host)
    local receiver, sender = bound(host), socket.udp()
    sender:settimeout(5)
    assert(sender:connect(receiver:getsockname()))
    return sender, receiver
end

local function close_all(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

-- Tells its port and sends each datagram back to where it came from, until one says "end".
local function python_echo(host)
    local p = t.python([[
        u = socket.socket(socket.AF_INET6 if ":" in argv[0] else socket.AF_INET, socket.SOCK_DGRAM)
        u.bind((argv[0], 0)); say(u.getsockname()[1])
        while True:
            data, peer = u.recvfrom(1 << 16)
            if data == b"end": break
            u.sendto(data, peer)
    ]], host)
    return p, p:number()
end

describe("datagrams exchanged with Python", function()
    t.guard()

    -- An empty datagram, every byte, the most that IPv4 carries.
    local payloads = { "hello", "", "\0", "\r\n\0\255", t.random(1400, 1), t.random(65507, 2) }

    for _, host in ipairs(hosts) do
        it("come back as they were sent to " .. host, function()
            local p, port = python_echo(host)
            local connected, loose = socket.udp(), socket.udp()
            assert.is_true(connected:connect(host, port))
            connected:settimeout(5)
            loose:settimeout(5)
            for _, data in ipairs(payloads) do
                assert.is_true(connected:send(data))
                assert.equal(data, connected:recv())
                assert.is_true(loose:sendto(data, host, port))
                local back, from, err = loose:recvfrom()
                assert.same({ host, port }, { from[1], from[2] })
                assert.is_true(back == data and err == nil)
                assert.is_true(loose:send(data, host, port))
                assert.equal(data, loose:recv())
            end
            assert(loose:sendto("end", host, port))
            p:finish()
            close_all(connected, loose)
        end)
    end

    it("may be sent from a bound socket, whose address the peer sees", function()
        local p = t.python [[
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0))
            say(u.getsockname()[1]); say(u.recvfrom(9)[1][1])
        ]]
        local u = bound()
        assert(u:sendto("x", "127.0.0.1", p:number()))
        assert.equal(u:getsockname()[2], p:number())
        p:finish()
        u:close()
    end)
end)

describe("an empty datagram", function()
    t.guard()

    -- pitfall: an empty datagram taken for "closed"
    it("is data, and the socket goes on", function()
        local sender, receiver = pair_of()
        for _ = 1, 3 do
            assert(sender:send "")
        end
        assert(sender:send "after")
        assert.same({ "" }, { receiver:recv() })
        assert.same({ "" }, { receiver:recv(1) })
        assert.equal("", (receiver:recvfrom()))
        assert.equal("after", (receiver:recv()))
        close_all(sender, receiver)
    end)
end)

describe("a datagram longer than asked for", function()
    t.guard()

    -- pitfall: truncation unseen; an error in the second place where the third is documented
    it("gives its beginning and says that it was cut", function()
        local sender, receiver = pair_of()
        local function sent(data)
            assert(sender:send(data))
            return receiver
        end
        assert.same({ "0123", socket.ERROR_TRUNCATED }, { sent "01234":recv(4) })
        local data, from, err = sent "01234":recvfrom(4)
        assert.same({ "0123", sender:getsockname()[2], socket.ERROR_TRUNCATED }, { data, from[2], err })
        assert.same({ t.random(1), socket.ERROR_TRUNCATED }, { sent(t.random(65507)):recv(1) })
        for _, exact in ipairs { 5, 6, 65535, 2 ^ 20, 2 ^ 31, 2 ^ 40, 2 ^ 53 } do
            assert.same({ "01234" }, { sent "01234":recv(exact) })
        end
        close_all(sender, receiver)
    end)

    it("loses its end, not the next datagram", function()
        local sender, receiver = pair_of()
        assert(sender:send "first one" and sender:send "next")
        assert.same({ "f", socket.ERROR_TRUNCATED }, { receiver:recv(1) })
        assert.same({ "next" }, { receiver:recv() })
        close_all(sender, receiver)
    end)
end)

describe("a datagram too long to send", function()
    t.guard()

    it("is refused with ERROR_TOOBIG, and the socket goes on", function()
        local sender, receiver = pair_of()
        for _, n in ipairs { 65508, 70000, 10 * 2 ^ 20 } do
            assert.same({ nil, socket.ERROR_TOOBIG }, { sender:send(("x"):rep(n)) })
            assert.same({ nil, socket.ERROR_TOOBIG }, { sender:sendto(("x"):rep(n), receiver:getsockname()) })
        end
        assert(sender:send "short")
        assert.equal("short", (receiver:recv()))
        close_all(sender, receiver)
    end)
end)

describe("a peer", function()
    t.guard()

    -- pitfall: UDP that cannot change its peer
    it("can be changed at any time, and dissolved", function()
        local u, a, b = bound(), bound(), bound()
        for _, peer in ipairs { a, b, a } do
            assert.is_true(u:connect(peer:getsockname()))
            assert.equal(peer:getsockname()[2], u:getpeername()[2])
            assert(u:send "for you")
            assert.equal("for you", (peer:recv()))
        end
        assert.is_true(u:connect())
        assert.same({ nil, t.text "ENOTCONN" }, { u:getpeername() })
        assert.same({ nil, t.text "EDESTADDRREQ" }, { u:send "to nobody" })
        assert(b:sendto("from anyone", "127.0.0.1", u:getsockname()[2]))
        assert.equal("from anyone", (u:recv()))
        close_all(u, a, b)
    end)

    it("is the only one whose datagrams arrive", function()
        local u, friend, stranger = bound(), bound(), bound()
        assert(u:connect(friend:getsockname()))
        assert(stranger:sendto("no", u:getsockname()))
        assert(friend:sendto("yes", u:getsockname()))
        assert.equal("yes", (u:recv()))
        u:settimeout(0)
        assert.same({ nil, socket.ERROR_TIMEOUT }, { u:recv() })
        close_all(u, friend, stranger)
    end)

    it("does not stop sendto to somebody else", function()
        local u, a, b = bound(), bound(), bound()
        assert(u:connect(a:getsockname()))
        assert(u:sendto("b", b:getsockname()) and u:send("also b", b:getsockname()) and u:send "a")
        assert.same({ "b", "also b", "a" }, { (b:recv()), (b:recv()), (a:recv()) })
        close_all(u, a, b)
    end)

    -- pitfall: refusals (ICMP) swallowed
    it("that does not listen is refused", function()
        for _, host in ipairs(hosts) do
            local gone, u = bound(host), socket.udp()
            assert(u:connect(gone:getsockname()))
            gone:close()
            u:settimeout(5)
            assert(u:send "anybody?")
            assert.same({ nil, socket.ERROR_REFUSED }, { u:recv() })
            assert(u:send "anybody?")
            assert.same({ nil, nil, socket.ERROR_REFUSED }, { u:recvfrom() })
            assert(u:send "anybody?")
            assert.same({ nil, nil, socket.ERROR_REFUSED }, { u:recvmany(1, 1) })
            u:close()
        end
    end)

    it("that listens again is reached after a refusal", function()
        local gone, u = bound(), socket.udp()
        local addr = gone:getsockname()
        assert(u:connect(addr))
        gone:close()
        assert(u:send "anybody?")
        u:settimeout(5)
        assert.same({ nil, socket.ERROR_REFUSED }, { u:recv() })
        assert(gone:bind(addr) and u:send "now?")
        assert.equal("now?", (gone:recv()))
        close_all(gone, u)
    end)
end)

describe("a network without a route", function()
    t.guard()
    it("is ERROR_UNREACHABLE", function()
        local u = bound "0.0.0.0"
        local dontroute = tools.python_constants({ "SO_DONTROUTE" }).SO_DONTROUTE
        assert(u:setopt(t.sys.SOL_SOCKET, dontroute, 1)) -- only networks that this machine is part of
        assert.same({ nil, socket.ERROR_UNREACHABLE }, { u:sendto("x", "198.51.100.7", 9) })
        u:close()
    end)
end)

describe("a failed call", function()
    t.guard()

    -- pitfall: a failed bind or connect that leaves the object stuck
    it("leaves a fresh socket fresh", function()
        local u, taken = socket.udp(), bound()
        assert.same({ nil, socket.ERROR_INUSE }, { u:bind(taken:getsockname()) })
        assert.same({ nil, socket.ERROR_NOTFOUND }, { u:connect("127.1", 80) })
        assert.same({ nil, t.text "ENOENT" }, { u:connect "unix:/nowhere/at/all" })
        assert.equal(-1, u:fileno())
        assert.same({ nil, t.text "ENOENT" }, { u:sendto("x", "unix:/nowhere/at/all") })
        assert.equal(-1, u:fileno())
        assert.is_true(u:bind("::1", 0))
        u:close()
        assert.is_true(u:sendto("x", taken:getsockname()))
        assert.equal("x", (taken:recv()))
        close_all(u, taken)
    end)

    it("of a second bind is the system's, and the first one stays", function()
        local u = bound()
        local port = u:getsockname()[2]
        assert.same({ nil, t.text "EINVAL" }, { u:bind("127.0.0.1", 0) })
        assert.equal(port, u:getsockname()[2])
        u:close()
    end)
end)

describe("tostring of a datagram socket", function()
    t.guard()
    it("shows its descriptor", function()
        local u = bound()
        assert.equal(("<udpsock: %d>"):format(u:fileno()), tostring(u))
        assert.is_true(tools.is_integer(u:fileno()))
        u:close()
        assert.equal("<udpsock: -1>", tostring(u))
    end)
end)

describe("dissolving the peer", function()
    t.guard()

    local function peer_of(host)
        local v = socket.udp()
        assert(v:bind(host:find ":" and "::1" or "127.0.0.1", 0))
        v:settimeout(5)
        return v
    end

    -- pitfall: Linux takes the port away when the system has chosen it (udp(7) does not say so)
    for _, host in ipairs { "127.0.0.1", "0.0.0.0", "::1", "::", "*" } do
        for _, chosen in ipairs { "the system", "the program" } do
            it("keeps the port that " .. chosen .. " chose at " .. host, function()
                local u, v = socket.udp(), peer_of(host)
                u:settimeout(5)
                assert(u:bind(host, 0))
                if chosen == "the program" then
                    local told = u:getsockname()
                    u:close()
                    assert(u:bind(told))
                end
                local told = u:getsockname()
                for round = 1, 2 do
                    assert(u:connect(v:getsockname()))
                    assert(u:send "from the peer's")
                    local _, from = v:recvfrom()
                    assert.equal(told[2], from[2])
                    assert(v:sendto("waits " .. round, from))
                    assert.is_true(u:connect())
                    assert.same(told, u:getsockname())
                    assert.is_nil((u:getpeername()))
                    assert(v:sendto("hello", from))
                    assert.same({ "waits " .. round, "hello" }, { (u:recv()), (u:recv()) })
                end
                u:close()
                v:close()
            end)
        end
    end

    it("keeps the port of a socket that was never bound, and hears all addresses again", function()
        local u, v = socket.udp(), peer_of "127.0.0.1"
        assert(u:connect(v:getsockname()))
        local port = u:getsockname()[2]
        assert.is_true(u:connect())
        assert.same({ "0.0.0.0", port }, { u:getsockname()[1], u:getsockname()[2] })
        assert(u:connect("::1", 9)) -- the program has not bound it: it may change its family
        u:close()
        v:close()
    end)

    it("keeps groups, options and datagrams that wait in the socket", function()
        local u, v = socket.udp(), peer_of "127.0.0.1"
        u:settimeout(5)
        assert(u:bind("0.0.0.0", 0))
        assert(u:join("239.255.77.12", tools.on_linux and "lo" or "lo0"))
        local device = socket.OPT_BINDTODEVICE and u:setopt(socket.OPT_BINDTODEVICE, "lo")
        local port = u:getsockname()[2]
        for _ = 1, 4 do
            assert(v:sendto("x", "127.0.0.1", port))
        end
        assert.equal(1, #u:recvmany(1, 10))
        assert(u:connect(v:getsockname()))
        assert.is_true(u:connect())
        assert.equal(port, u:getsockname()[2])
        assert.equal(device and "lo", device and u:getopt(socket.OPT_BINDTODEVICE))
        local n = 0
        repeat
            n = n + #u:recvmany(1, 10)
        until n == 3
        assert(v:setopt(socket.OPT_IP_MULTICAST_IF, "127.0.0.1"))
        assert(v:sendto("group", "239.255.77.12", port))
        assert.equal("group", (u:recv()))
        u:close()
        v:close()
    end)

    -- A second socket may share the port while both allow that; it is what takes the port.
    it("is ERROR_INUSE when somebody has taken the port meanwhile, and unbound", function()
        for _, host in ipairs { "0.0.0.0", "::" } do
            local u, other = socket.udp(), socket.udp()
            assert(u:setopt(socket.OPT_TCP_REUSEADDR, true) and other:setopt(socket.OPT_TCP_REUSEADDR, true))
            assert(u:bind(host, 0))
            assert(other:bind(u:getsockname()))
            assert(other:setopt(socket.OPT_TCP_REUSEADDR, false))
            assert(u:connect(host == "::" and "::1" or "127.0.0.1", 9))
            if tools.on_linux then
                assert.same({ nil, socket.ERROR_INUSE }, { u:connect() })
                assert.equal(0, u:getsockname()[2])
                assert.is_nil((u:getpeername()))
            end
            assert.is_true(u:sendto("goes on", host == "::" and "::1" or "127.0.0.1", 9))
            u:close()
            other:close()
        end
    end)

    it("of a socket that is not open is ERROR_CLOSED", function()
        assert.same({ nil, socket.ERROR_CLOSED }, { socket.udp():connect() })
    end)
end)
