local t = require "support.t"
local socket = t.socket

local MIB = 1024 * 1024

describe("one deadline holds for a whole call", function()
    t.guard()

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
                assert.equal("x", s:peek(1))
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

    -- Data that never stops to come must not keep a call beyond its time. All of it is stamped with the time of its
    -- sending, so that what came after the deadline can be counted, however slow the machine is. A step looks at the
    -- clock when it has used up 16 MiB, of which the last call may take 8. A call that never looks may end by chance:
    -- hence rounds. (What the processor may spend on a flood is hostile_spec's.)
    local STEP = 24 * MIB
    local STAMP = "%016.7f" -- the monotonic clock
    local stamped_flood = [[
        try:
            while True: s.sendall(argv[0].encode() % time.monotonic() * 4096)
        except OSError: pass
    ]]

    local function sent_at(data, place)
        return assert(tonumber(data:sub(16 * place + 1, 16 * place + 16)))
    end

    -- How many bytes of a stamped flood were sent later than `when`.
    local function sent_after(when, data)
        local whole = math.floor(#data / 16)
        local place = whole
        while place > 0 and sent_at(data, place - 1) > when do
            place = place - 1
        end
        return 16 * (whole - place)
    end

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
                local s, p = t.with_python(stamped_flood, STAMP)
                assert(s:read(MIB))
                s:settimeout(0.05)
                local started = t.now()
                local data, err, partial = call(s)
                t.fails(socket.ERROR_TIMEOUT, nil, data, err)
                assert.is_true(t.now() - started >= 0.05)
                assert.is_true(sent_at(partial, 0) < started + 0.05)
                local late = sent_after(started + 0.1, partial)
                assert.is_true(late <= STEP, ("%d bytes came after the deadline"):format(late))
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
