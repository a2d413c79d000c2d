local t = require "support.t"
local socket = t.socket

-- Connects from Python n times, says "connected", and waits for a word before it ends.
local function clients(port, n, host)
    return t.python(
        [[
        all = [connect(argv[0], argv[2]) for i in range(int(argv[1]))]
        say("connected"); hear()
        ]],
        port,
        n,
        host or "127.0.0.1"
    )
end

describe("bind", function()
    t.guard()

    for host, family in pairs { ["127.0.0.1"] = "inet", localhost = "inet", ["::1"] = "inet6", ["[::1]"] = "inet6" } do
        -- pitfall: sockets without getsockname (port 0 is then useless)
        it("lets the system choose a port on " .. host .. ", and getsockname tells it", function()
            local s = socket.tcp()
            assert.is_true(s:bind(host, 0))
            local address = s:getsockname()
            assert.equal(family, address.family)
            assert.is_true(address[2] > 0 and address[2] < 65536)
            assert(s:listen())
            local p = clients(address[2], 1, address[1])
            assert.equal("connected", p:line())
            p:say "end"
            p:finish()
            s:close()
        end)
    end

    -- pitfall: a failed bind that leaves the object stuck
    it("fails where the address is in use, and then works elsewhere", function()
        local listener, address = t.listener()
        local s = socket.tcp()
        t.fails(socket.ERROR_INUSE, nil, s:bind(address))
        assert.equal(-1, s:fileno())
        assert.is_true(s:bind("127.0.0.1", 0))
        s:close()
        listener:close()
    end)

    it("fails for an address of another machine, and then works here", function()
        local s = socket.tcp()
        t.fails(t.text "EADDRNOTAVAIL", nil, s:bind("192.0.2.1", 0))
        assert.equal(-1, s:fileno())
        assert.is_true(s:bind("127.0.0.1", 0))
        s:close()
    end)

    it("fails on a bound socket, which goes on working", function()
        local s, address = t.listener()
        local ok, err = s:bind("127.0.0.1", 0)
        assert.is_nil(ok)
        assert.equal(t.text "EINVAL", err)
        assert.same(address, s:getsockname())
        local client = socket.tcp()
        assert.is_true(client:connect(address))
        client:close()
        s:close()
    end)

    -- The side that closes first keeps the address in TIME_WAIT. It can be taken again only by a socket that has
    -- set REUSEADDR before bind, and from a socket that had.
    local function address_in_time_wait()
        local listener = socket.tcp()
        assert(listener:setopt(socket.OPT_TCP_REUSEADDR, true))
        assert(listener:bind("127.0.0.1", 0))
        assert(listener:listen())
        local address = listener:getsockname()
        local p = t.python("s = connect(argv[0]); drain(s); s.close(); say('closed')", address[2])
        listener:settimeout(10)
        assert(listener:accept()):close()
        assert.equal("closed", p:line())
        p:finish()
        listener:close()
        return address
    end

    -- pitfall: options that cannot be set between creation and bind, so that REUSEADDR never does its work
    it("takes an address in TIME_WAIT again with OPT_TCP_REUSEADDR set before, and not without", function()
        local address = address_in_time_wait()
        local s = socket.tcp()
        t.fails(socket.ERROR_INUSE, nil, s:bind(address))
        assert(s:setopt(socket.OPT_TCP_REUSEADDR, true))
        assert.is_true(s:bind(address))
        s:close()
    end)

    it("gives a socket that has no peer yet", function()
        local s = socket.tcp()
        assert(s:bind("127.0.0.1", 0))
        t.fails(t.text "ENOTCONN", nil, s:getpeername())
        s:close()
    end)

    it("cannot be done where all descriptors are taken, and can afterwards", function()
        local soft = t.sys.nofile()
        local s = socket.tcp()
        local spare = t.sys.dup(0)
        t.sys.close(spare) -- the lowest free number: everything below it is taken
        t.sys.nofile(spare)
        local ok, err = s:bind("127.0.0.1", 0)
        t.sys.nofile(soft)
        t.fails(t.text "EMFILE", nil, ok, err)
        assert.is_true(s:bind("127.0.0.1", 0))
        s:close()
    end)
end)

describe("listen", function()
    t.guard()

    it("fails on a fresh socket, which is not open", function()
        t.fails(socket.ERROR_CLOSED, nil, socket.tcp():listen())
    end)

    it("can be called again", function()
        local s = t.listener()
        assert.is_true(s:listen(5))
        s:close()
    end)

    it("lets as many wait by default as the system allows", function()
        local file = assert(io.open "/proc/sys/net/core/somaxconn")
        local most = file:read "*n"
        file:close()
        local s, address = t.listener "abstract"
        local waiting = {}
        for i = 1, math.min(most, 500) do
            waiting[i] = socket.tcp()
            waiting[i]:settimeout(0)
            assert.is_true(waiting[i]:connect(address))
        end
        for _, client in ipairs(waiting) do
            client:close()
        end
        s:close()
    end)

    for _, backlog in ipairs { 0, -1, -1000000 } do
        it("with a backlog of " .. backlog .. " lets hardly anybody wait", function()
            local s = socket.tcp()
            assert(s:bind(t.abstract()))
            assert.is_true(s:listen(backlog))
            local first, second = socket.tcp(), socket.tcp()
            second:settimeout(0)
            assert.is_true(first:connect(s:getsockname()))
            t.fails(socket.ERROR_TIMEOUT, nil, second:connect(s:getsockname()))
            first:close()
            second:close()
            s:close()
        end)
    end
end)

describe("accept", function()
    t.guard()

    for _, kind in ipairs(t.kinds) do
        it("gives the connection of a peer of kind " .. kind, function()
            local client, accepted = t.connected(kind)
            assert.equal("<tcpsock: " .. accepted:fileno() .. ">", tostring(accepted))
            assert.same(client:getsockname(), accepted:getpeername())
            assert.same(client:getpeername(), accepted:getsockname())
            assert.equal(3, client:write "a\0b")
            assert.equal("a\0b", accepted:read(3))
            assert.equal(1, accepted:write "c")
            assert.equal("c", client:read(1))
            client:close()
            accepted:close()
        end)
    end

    it("gives a socket with default settings, whatever those of the listener", function()
        local s, address = t.listener()
        s:settimeout(5)
        local p = clients(address[2], 1)
        local accepted = assert(s:accept())
        assert.equal(-1, accepted:gettimeout())
        assert.equal(0, accepted:pending())
        assert.equal(5, s:gettimeout())
        accepted:close()
        s:close()
        p:kill()
    end)

    -- pitfall: accepted sockets left in another blocking mode than their listener, so that a write with a timeout hangs
    for _, timeout in ipairs { -1, 0, 0.02, 5 } do
        it("with time-out " .. timeout .. " gives a socket that keeps its own deadlines", function()
            local client, first, s = t.narrow()
            first:close()
            client:close()
            assert(client:connect(s:getsockname()))
            s:settimeout(timeout)
            local accepted = assert(s:accept())
            accepted:settimeout(0.15)
            t.takes(0.15, function()
                t.fails(socket.ERROR_TIMEOUT, "", accepted:read(1))
            end)
            t.takes(0.15, function()
                local ok, err, sent = accepted:write(t.much)
                assert.is_nil(ok)
                assert.equal(socket.ERROR_TIMEOUT, err)
                assert.is_true(sent > 0)
            end)
            client:close()
            accepted:close()
            s:close()
        end)
    end

    it("times out when nobody comes: at once for 0, else after the time", function()
        local s = t.listener()
        for _, seconds in ipairs { 0, 0.03, 0.15 } do
            s:settimeout(seconds)
            t.takes(seconds, function()
                t.fails(socket.ERROR_TIMEOUT, nil, s:accept())
            end)
        end
        s:close()
    end)

    it("without a time-out waits for a peer that comes late", function()
        local s, address = t.listener()
        local p = t.python("time.sleep(0.15); connect(argv[0])", address[2])
        local accepted = assert(s:accept())
        accepted:close()
        p:finish()
        s:close()
    end)

    -- pitfall: ECONNABORTED, EINTR and EAGAIN reported as errors
    it("is no failure when a peer goes away before it is accepted", function()
        local s, address = t.listener()
        local p = t.python(
            [[
            for i in range(3): reset(connect(argv[0]))
            say("gone"); s = connect(argv[0]); hear()
            ]],
            address[2]
        )
        assert.equal("gone", p:line())
        s:settimeout(5)
        repeat
            local accepted = assert(s:accept())
            accepted:settimeout(0)
            local _, err = accepted:read(1)
            accepted:close()
        until err == socket.ERROR_TIMEOUT -- the one that is still there
        p:say "end"
        p:finish()
        s:close()
    end)

    it("fails on a fresh socket and on one that does not listen", function()
        local s = socket.tcp()
        t.fails(socket.ERROR_CLOSED, nil, s:accept())
        assert(s:bind("127.0.0.1", 0))
        t.fails(t.text "EINVAL", nil, s:accept())
        s:close()
    end)

    it("fails where all descriptors are taken, and works when there are some again", function()
        local s, address = t.listener()
        local first, second = socket.tcp(), socket.tcp()
        assert(first:connect(address))
        local soft = t.sys.nofile()
        local spare = t.sys.dup(0)
        t.sys.close(spare)
        t.sys.nofile(spare)
        local accepted, err = s:accept()
        t.sys.nofile(soft)
        t.fails(t.text "EMFILE", nil, accepted, err)
        assert(second:connect(address))
        s:settimeout(10)
        accepted = assert(s:accept())
        accepted:close()
        first:close()
        second:close()
        s:close()
    end)
end)
