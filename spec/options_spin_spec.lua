-- OPT_SPIN: how long a call looks again and again before it waits.

local t = require "support.t"

local socket = t.socket

describe("OPT_SPIN", function()
    t.guard()

    it("is the module's own: 0 at first, without a descriptor too, kept over close", function()
        for _, s in ipairs { socket.tcp(), socket.udp() } do
            assert.equal(0, s:getopt(socket.OPT_SPIN))
            assert.is_true(s:setopt(socket.OPT_SPIN, 1000))
            assert(s:bind("127.0.0.1", 0))
            assert.equal(1000, s:getopt(socket.OPT_SPIN))
            s:close()
            assert.equal(1000, s:getopt(socket.OPT_SPIN))
            assert.is_true(s:setopt(socket.OPT_SPIN, 0))
            assert.equal(0, s:getopt(socket.OPT_SPIN))
        end
    end)

    it("is from 0 to 1000 microseconds", function()
        local s = socket.tcp()
        for _, wrong in ipairs { -1, 1001, 0.5, true } do
            assert.is_false((pcall(s.setopt, s, socket.OPT_SPIN, wrong)))
        end
        assert.equal(0, s:getopt(socket.OPT_SPIN))
    end)

    it("changes neither results nor deadlines", function()
        local a, b = t.connected()
        a:setopt(socket.OPT_SPIN, 1000)
        a:settimeout(0.05)
        t.takes(0.05, function()
            t.fails(socket.ERROR_TIMEOUT, "", a:read(1))
        end)
        assert(b:write "x")
        assert.equal("x", a:read(1))
        a:close()
        b:close()
    end)
end)
