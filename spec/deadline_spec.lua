local t = require "support.t"
local socket = t.socket

local MIB = 1024 * 1024

describe("one deadline holds for a whole call", function()
    t.guard()
    local COPIES = 6 -- a buffer that doubles is copied twice, then the string is made; and as much again

    -- pitfall: the timeout restarted at each piece, so that a slow peer (here a byte each 20 ms) holds a call for ever
    local drip = [[
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True: s.sendall(b"x"); time.sleep(0.02)
        except OSError: pass
    ]]
    for name, call in pairs {
        read = function(s)
            return s:read(100000)
        end,
        readuntil = function(s)
            return s:readuntil "\n"()
        end,
        readall = function(s)
            return s:readall()
        end,
    } do
        for _, seconds in ipairs { 0.09, 0.25 } do
            it(("when %s gets a drop each 20 ms for %g s"):format(name, seconds), function()
                local s, p = t.with_python(drip)
                assert.equal("x", s:read(1)) -- it drips
                s:settimeout(seconds * t.slow)
                local data, err, partial = t.takes(seconds * t.slow, call, s)
                assert.is_nil(data)
                assert.equal(socket.ERROR_TIMEOUT, err)
                assert.is_true(#partial >= 1 and #partial <= 20 * t.slow)
                assert.equal(("x"):rep(#partial), partial)
                s:close()
                p:finish()
            end)
        end
    end

    -- Data that never stops to come must not keep a call beyond its time. What has come must still be handed out, which
    -- takes some copies. Such a call works all the time, so the processor time tells how long it went
    -- on, whatever else the machine does. A call that does not look at the clock may end by chance: hence rounds.
    for name, call in pairs {
        read = function(s)
            return s:read(2 ^ 30)
        end,
        readuntil = function(s)
            return s:readuntil "\n"()
        end,
        readall = function(s)
            return s:readall()
        end,
    } do
        it("when " .. name .. " is flooded", function()
            for _ = 1, 3 do
                local s, p = t.with_python(
                    [[
                    if argv.pop(): os.fork()
                    try:
                        while True: s.sendall(bytes(1 << 20))
                    except OSError: pass
                    ]],
                    t.in_tls and "" or "twice" -- a connection over TLS is one process's
                )
                assert(s:read(MIB))
                s:settimeout(0.05)
                local started, worked = t.now(), os.clock()
                local data, err, partial = call(s)
                local took = os.clock() - worked
                t.fails(socket.ERROR_TIMEOUT, nil, data, err)
                assert.is_true(t.now() - started >= 0.05)
                local allowed = 0.3 * t.slow + COPIES * t.copy_cost(#partial)
                assert.is_true(took < allowed, ("worked %.3f s, more than %.3f s"):format(took, allowed))
                s:close()
                p:finish()
            end
        end)
    end

    it("when write is drained slowly", function()
        local s, p = t.with_python [[
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            say("ready")
            while s.recv(16384): time.sleep(0.01)
        ]]
        assert(s:setopt(socket.OPT_SNDBUF, 65536))
        p:line()
        s:settimeout(0.25)
        local ok, err, sent = t.takes(0.25, s.write, s, t.much)
        assert.is_nil(ok)
        assert.equal(socket.ERROR_TIMEOUT, err)
        assert.is_true(sent > 0 and sent < #t.much)
        p:kill()
        s:close()
    end)
end)
