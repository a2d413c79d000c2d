local t = require "support.t"
local socket = t.socket

socket.loop():pollfd() -- the tasks' own descriptor is there before any is counted

local function told(ok, err)
    return tostring(ok), tostring(err)
end

describe("finish", function()
    t.guard()

    it("delivers what was written although input is unread", function()
        local s, p = t.with_python [[
            s.sendall(b"x" * 200000)
            say("sent")
            hear()
            data = drain(s)
            say(data.decode())
            s.close()
        ]]
        p:line()
        assert.equal("xx", s:read(2))
        assert.equal(6, s:write "answer")
        p:say "read"
        assert.is_true(s:finish())
        assert.equal(-1, s:fileno())
        assert.equal(0, s:pending())
        assert.equal("answer\n", p:finish())
    end)

    it("is told of bytes that a peer that had ended has refused", function()
        for _, data in ipairs { "x", ("x"):rep(1000) } do
            local s, p = t.with_python "s.close(); say(1); hear()"
            p:line()
            assert.equal(#data, s:write(data))
            local ok, err = s:finish()
            assert.is_nil(ok)
            assert.equal(socket.ERROR_RESET, err)
            assert.equal(-1, s:fileno())
        end
    end)

    -- The system forgets a socket that has ended its side, and refuses what comes then. It is looked for by both ports:
    -- connections of other programs may have one of them.
    it("is content with a peer that refuses nothing but the end", function()
        for _, ends_first in ipairs { true, false } do
            local s, p = t.with_python [[
                ports, TCP_LINGER2 = (":%04X" % s.getsockname()[1], ":%04X" % s.getpeername()[1]), 8
                s.setsockopt(socket.IPPROTO_TCP, TCP_LINGER2, 1)
                s.close()
                def is_there():
                    pairs = [line.split()[1:3] for line in open("/proc/net/tcp")]
                    return any((a[8:], b[8:]) == ports for a, b in pairs)
                while is_there(): time.sleep(0.01)
                say(1)
                hear()
            ]]
            p:line()
            assert.is_true(not ends_first or s:shutdown(socket.SHUT_WR))
            assert.same({ true }, { s:finish() })
        end
    end)

    it("ends writing first: the peer sees the end while it still sends", function()
        local s, p = t.with_python "data = drain(s); s.sendall(b'y' * 1000); say(len(data)); s.close()"
        assert.equal(3, s:write "abc")
        assert.is_true(s:finish())
        assert.equal("3\n", p:finish())
    end)

    it("drops at most what it is told, what is in the buffer included", function()
        for _, case in ipairs { { 5, true }, { 4, nil }, { 0, nil } } do
            local s, wire = t.wire()
            wire:send "l\n12345"
            assert.equal("l", s:readline())
            wire:close()
            local ok, err = s:finish(case[1])
            assert.equal(case[2], ok)
            assert.equal(not ok and socket.ERROR_LIMIT or nil, err)
            assert.equal(-1, s:fileno())
        end
    end)

    it("with 0 is content with a peer that has ended", function()
        local s, wire = t.wire()
        wire:close()
        assert.is_true(s:finish(0))
    end)

    it("drops 1 MiB unless told otherwise", function()
        for bytes, expected in pairs { [2 ^ 20] = "true nil", [2 ^ 20 + 1] = "nil " .. socket.ERROR_LIMIT } do
            local s, p = t.with_python("s.sendall(b'x' * int(float(argv[0]))); s.close()", bytes)
            assert.equal(expected, ("%s %s"):format(told(s:finish())))
            p:kill()
        end
    end)

    it("closes also when its time is over", function()
        local s, wire = t.wire()
        s:settimeout(0.1)
        t.fails(socket.ERROR_TIMEOUT, nil, t.takes(0.1, s.finish, s))
        assert.equal(-1, s:fileno())
        assert.equal("", wire:receive())
        wire:close()
    end)

    it("closes when the peer has reset the connection, and says so", function()
        local s, p = t.with_python "reset(s)"
        p:finish()
        t.fails(socket.ERROR_RESET, nil, s:finish())
        assert.equal(-1, s:fileno())
    end)

    it("is told of a reset by a peer that is gone and had not read", function()
        local s, p = t.with_python "take(s, 1); s.close(); say('closed'); hear()"
        s:write(("x"):rep(100000))
        p:line()
        t.fails(socket.ERROR_RESET, nil, s:finish())
        p:say "end"
        p:finish()
    end)

    it("is told of a reset that a write was told of before", function()
        local s, p = t.with_python "take(s, 1); s.close(); say('closed'); hear()"
        s:write(("x"):rep(100000))
        p:line()
        assert.is_nil((s:write "x"))
        t.fails(socket.ERROR_RESET, nil, s:finish())
        p:say "end"
        p:finish()
    end)

    it("after both sides have ended is a success", function()
        local s, p = t.with_python "s.close()"
        p:finish()
        t.fails(socket.ERROR_CLOSED, "", s:read(1))
        assert(s:shutdown(socket.SHUT_WR))
        assert.is_true(s:finish())
    end)

    it("waits for the confirmation of a peer that ended first", function()
        local s, p = t.with_python "s.shutdown(socket.SHUT_WR); hear(); say(len(drain(s)))"
        t.fails(socket.ERROR_CLOSED, "", s:read(1))
        s:settimeout(0.2)
        local bytes, _, sent = s:write(t.much:rep(16))
        assert.is_nil(bytes)
        t.fails(socket.ERROR_TIMEOUT, nil, t.takes(0.2, s.finish, s))
        p:say "read" -- the system goes on to deliver
        local got = tonumber(p:finish())
        assert.is_true(got <= sent and got >= sent - t.HELD, got .. " of " .. sent)
    end)

    it("delivers whatever OPT_LINGER says", function()
        for _, linger in ipairs { 0, 5 } do
            local s, p = t.with_python "s.shutdown(socket.SHUT_WR); hear(); say(drain(s).decode())"
            assert(s:setopt(socket.OPT_LINGER, linger))
            assert.equal(6, s:write "answer")
            assert.is_true(s:finish())
            assert.equal(linger, s:getopt(socket.OPT_LINGER) or linger)
            p:say "read"
            assert.equal("answer\n", p:finish())
        end
    end)

    it("fails on a fresh, a closed, an unconnected and a listening socket, and closes those", function()
        t.fails(socket.ERROR_CLOSED, nil, socket.tcp():finish())
        local s = socket.tcp()
        assert(s:bind("127.0.0.1", 0))
        t.fails(t.text "ENOTCONN", nil, s:finish())
        t.fails(socket.ERROR_CLOSED, nil, s:finish())
        local listener = t.listener()
        t.fails(t.text "ENOTCONN", nil, listener:finish())
        assert.equal(-1, listener:fileno())
    end)

    it("leaves a socket alone that another task uses", function()
        local s, wire = t.wire()
        local task = socket.spawn(function()
            return s:read(3)
        end)
        socket.sleep(0)
        t.fails(socket.ERROR_BUSY, nil, s:finish())
        wire:send "abc"
        local _, data = task:wait(5)
        assert.equal("abc", data)
        assert.equal(2, s:write "ok")
        assert.equal("ok", wire:receive())
        wire:close()
        assert.is_true(s:finish())
    end)

    it("in a task lets others run, and ends when they close the socket, or cancel it", function()
        local s, wire = t.wire()
        local task = socket.spawn(function()
            return s:finish()
        end)
        socket.sleep(0)
        s:close()
        local _, ok, err = task:wait(5)
        t.fails(socket.ERROR_CLOSED, nil, ok, err)
        local other, far = t.wire()
        task = socket.spawn(function()
            return other:finish()
        end)
        socket.sleep(0)
        task:cancel()
        _, ok, err = task:wait(5)
        t.fails(socket.ERROR_CANCELLED, nil, ok, err)
        assert.equal(-1, other:fileno())
        wire:close()
        far:close()
    end)
end)
