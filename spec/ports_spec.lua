-- When each port that the system could choose is taken: in a network of our own (support.space), which has two.

local space = require "support.space"
local t = require "support.t"

-- All ports are taken, by datagram sockets and by listeners; `both` calls f in the main program and in a task.
local FULL = [[
    local file = assert(io.open("/proc/sys/net/ipv4/ip_local_port_range", "w"))
    assert(file:write "40000 40001")
    assert(file:close())
    local taken = {}
    for port = 40000, 40001 do
        local u, l = socket.udp(), socket.tcp()
        assert(u:bind("*", port) and l:bind("127.0.0.1", port) and l:listen())
        taken[#taken + 1] = { u, l }
    end
    local function both(f)
        f()
        assert(socket.spawn(f):wait())
    end
    local function udp(timeout)
        local s = socket.udp()
        s:settimeout(timeout)
        return s
    end
]]

describe("without a free port", function()
    t.guard()

    -- Every call that sends from a socket without one, new or open; what was opened for it stays open only if it was.
    it("a datagram is not sent, and that is told at once", function()
        local here = space.open() or pending(space.why)
        here:lua(FULL .. ([[
            local calls = {
                function(s, ...) return s:sendto("x", ...) end,
                function(s, ...) return s:sendmany({ "x", "y" }, ...) end,
                function(s, ...) return s:connect(...) end,
            }
            for _, host in ipairs { "127.0.0.1", "::1" } do
                for _, timeout in ipairs { -1, 5, 0.05, 0 } do
                    both(function()
                        for _, call in ipairs(calls) do
                            local s = udp(timeout)
                            inside.fails(%q, inside.takes(0, 0.9, call, s, host, 40000))
                            inside.equal(-1, s:fileno())
                        end
                    end)
                end
            end
        ]]):format(t.text "EADDRNOTAVAIL"))
    end)

    it("a socket that gives up its peer keeps the port that the system chose", function()
        local here = space.open() or pending(space.why)
        here:lua(FULL .. ([[
            both(function()
                local s, other = udp(5), udp(5)
                taken[2][1]:close()
                assert(s:connect("127.0.0.1", 40000))
                assert(s:connect())
                inside.fails(%q, inside.takes(0, 0.9, other.bind, other, "127.0.0.1", 0))
                inside.equal(40001, s:getsockname()[2])
                assert(s:sendto("x", "127.0.0.1", 40000))
                s:close()
                taken[2][1] = socket.udp()
                assert(taken[2][1]:bind("*", 40001))
            end)
        ]]):format(t.text "EADDRINUSE"))
    end)

    it("nothing is bound, connected or listens", function()
        local here = space.open() or pending(space.why)
        here:lua(FULL .. ([[
            both(function()
                local s = socket.tcp()
                s:settimeout(5)
                inside.fails(%q, inside.takes(0, 0.9, s.connect, s, "127.0.0.1", 40000))
                inside.fails(socket.ERROR_INUSE, udp(5):bind("127.0.0.1", 0))
                inside.fails(socket.ERROR_INUSE, socket.tcp():bind("127.0.0.1", 0))
            end)
        ]]):format(t.text "EADDRNOTAVAIL"))
    end)
end)
