local t = require "support.t"
local socket = t.socket

describe("close", function()
    t.guard()

    it("returns 1, also on a closed and on a fresh socket", function()
        local s, wire = t.wire()
        assert.equal(1, s:close())
        assert.equal(1, s:close())
        assert.equal(1, socket.tcp():close())
        wire:close()
    end)

    it("frees the descriptor and forgets its number", function()
        local s, wire = t.wire()
        local fd, before = s:fileno(), t.fds()
        s:close()
        assert.equal(before - 1, t.fds())
        assert.is_false(t.sys.isopen(fd))
        assert.equal(-1, s:fileno())
        assert.equal("<tcpsock: -1>", tostring(s))
        wire:close()
    end)

    it("never touches a descriptor that got the same number later", function()
        local s, wire = t.wire()
        local fd = s:fileno()
        s:close()
        local other = assert(t.sys.dup(wire.fd))
        assert.equal(fd, other)
        assert.equal(1, s:close())
        s = nil -- luacheck: ignore
        t.collect()
        assert.is_true(t.sys.isopen(other))
        t.sys.close(other)
        wire:close()
    end)

    -- pitfall: a close that fails and leaves the number behind for somebody else's descriptor to be closed later
    it("forgets the number even when the system's close fails", function()
        local s, wire = t.wire()
        local fd = s:fileno()
        t.sys.close(fd) -- behind the module's back
        s:close()
        assert.equal(-1, s:fileno())
        local other = assert(t.sys.dup(wire.fd))
        assert.equal(fd, other)
        s:close()
        s = nil -- luacheck: ignore
        t.collect()
        assert.is_true(t.sys.isopen(other))
        t.sys.close(other)
        wire:close()
    end)

    it("ends the stream for the peer", function()
        local s, p = t.with_python "say(drain(s).decode())"
        assert(s:write "bye")
        s:close()
        assert.equal("bye\n", p:finish())
    end)

    it("makes a socket as new: it connects again, keeps its settings, and none of the old bytes", function()
        local listener, address = t.listener()
        local s = socket.tcp()
        s:settimeout(7)
        assert(s:setopt(socket.OPT_TCP_NODELAY, true))
        for round = 1, 3 do
            assert.is_true(s:connect(address))
            assert.is_true(s:getopt(socket.OPT_TCP_NODELAY))
            local _, accepted = t.joined(s, assert(listener:accept()))
            assert(accepted:write(round .. "\nold bytes"))
            assert.equal(tostring(round), s:readuntil "\n"())
            accepted:close()
            s:close()
            assert.equal(7, s:gettimeout())
            assert.equal(0, s:pending())
        end
        assert.is_true(s:bind("127.0.0.1", 0))
        s:close()
        listener:close()
    end)

    it("may change the family the next time", function()
        local s = socket.tcp()
        for _, kind in ipairs { "inet", "unix", "inet6", "abstract" } do
            local listener, address = t.listener(kind)
            assert.is_true(s:connect(address))
            s:close()
            listener:close()
        end
    end)
end)

describe("the collector", function()
    t.guard()

    it("closes a socket that nobody holds, and the peer sees the end", function()
        local s, other = socket.pair()
        local before = t.fds()
        assert(s:write "x")
        s = nil -- luacheck: ignore
        t.collect()
        assert.equal(before - 1, t.fds())
        assert.equal("x", other:read(1))
        t.fails(t.DROPPED, "", other:read(1))
        other:close()
    end)

    it("closes listeners, accepted and bound sockets as well", function()
        local before = t.fds()
        do
            local listener, address = t.listener()
            local client, bound = socket.tcp(), socket.tcp()
            assert(client:connect(address))
            assert(bound:bind("127.0.0.1", 0))
            assert(listener:accept())
        end
        t.collect()
        assert.equal(before, t.fds())
    end)
end)

describe("a local <close> variable of Lua 5.4", function()
    t.guard()

    local chunk = (loadstring or load)( -- luacheck: globals loadstring
        [[
        local make, fail = ...
        local s <close> = make()
        if fail then error "stop" end
        return s:fileno()
        ]]
    )
    if not chunk then
        return -- an older Lua
    end

    for name, fail in pairs { ["the end of the block"] = false, ["an error"] = true } do
        it("closes its socket at " .. name, function()
            local held, other
            local ok, fd = pcall(chunk, function()
                held, other = socket.pair()
                return held
            end, fail)
            assert.equal(not fail, ok)
            assert.equal(-1, held:fileno())
            assert.is_true(fail or not t.sys.isopen(fd))
            t.fails(fail and t.DROPPED or socket.ERROR_CLOSED, "", other:read(1))
            other:close()
        end)
    end

    it("may hold a socket that is closed already", function()
        assert.equal(-1, chunk(socket.tcp))
    end)
end)

describe("shutdown", function()
    t.guard()

    it("of the sending side ends the stream for the peer, who can still answer", function()
        local s, p = t.with_python "data = drain(s); s.sendall(data.upper()); s.close()"
        assert(s:write "question")
        assert.is_true(s:shutdown(socket.SHUT_WR))
        assert.equal("QUESTION", s:readall())
        p:finish()
        s:close()
    end)

    it("of the receiving side ends what we read, not what we write", function()
        local s, wire = t.wire()
        assert.is_true(s:shutdown(socket.SHUT_RD))
        t.fails(socket.ERROR_CLOSED, "", s:read(1))
        assert.equal(2, s:write "on")
        assert.equal("on", wire:receive())
        wire:close()
        s:close()
    end)

    it("of both sides ends both", function()
        local s, wire = t.wire()
        assert.is_true(s:shutdown(socket.SHUT_RDWR))
        t.fails(socket.ERROR_CLOSED, "", s:read(1))
        t.fails(socket.ERROR_CLOSED, 0, s:write "x")
        assert.equal("", wire:receive())
        wire:close()
        s:close()
    end)

    it("fails on a socket without a peer", function()
        local s = socket.tcp()
        assert(s:bind("127.0.0.1", 0))
        t.fails(t.text "ENOTCONN", nil, s:shutdown(socket.SHUT_WR))
        s:close()
    end)

    it("has integer constants", function()
        for _, name in ipairs { "SHUT_RD", "SHUT_WR", "SHUT_RDWR" } do
            assert.matches("^%d+$", tostring(socket[name]))
        end
    end)
end)
