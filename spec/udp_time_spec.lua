-- The deadline of datagram calls, and signals while they wait.

local t = require "support.t"
local tools = require "support.tools"

local socket, sys = t.socket, t.sys
local TIMEOUT = socket.ERROR_TIMEOUT

local function bound()
    local u = socket.udp()
    assert(u:bind("127.0.0.1", 0))
    return u
end

local waits = {
    recv = function(u)
        return u:recv()
    end,
    recvfrom = function(u)
        local data, addr, err = u:recvfrom()
        assert((data == nil) == (addr == nil))
        return data, err
    end,
    recvmany = function(u)
        local datas, addrs, err = u:recvmany(4, 100)
        assert((datas == nil) == (addrs == nil))
        return datas, err
    end,
}

describe("the time-out of a datagram socket", function()
    t.guard()

    it("is -1 at first, is given back as set, and outlives the descriptor", function()
        local u = socket.udp()
        assert.equal(-1, u:gettimeout())
        for _, seconds in ipairs { 0, 1, 2.5, 0.001, 1e-9, -1, -7, 1e300, math.huge, -math.huge } do
            assert.same({ n = 0 }, t.pack(u:settimeout(seconds)))
            assert.equal(seconds, u:gettimeout())
        end
        u:settimeout(0.25)
        assert(u:bind("127.0.0.1", 0))
        u:close()
        assert.equal(0.25, u:gettimeout())
    end)

    for name, wait in pairs(waits) do
        -- pitfalls: zero meaning "for ever"; sub-millisecond waits that return at once
        it("bounds " .. name .. ", fractions too, and zero does not wait", function()
            local u = bound()
            for _, seconds in ipairs { 0, 1e-9, 0.0005, 0.002, 0.04, 0.15 } do
                u:settimeout(seconds)
                assert.same({ nil, TIMEOUT }, { t.takes(seconds, wait, u) })
            end
            u:close()
        end)

        it("of zero lets " .. name .. " take what is there", function()
            local u = bound()
            u:settimeout(0)
            assert(u:sendto("x", u:getsockname()))
            assert.is_truthy((wait(u)))
            u:close()
        end)

        -- pitfalls: milliseconds in an int (over 24.8 days); the wall clock
        it("may be very long or none for " .. name, function()
            local u = bound()
            local p = t.python([[
                u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                while True: hear(); time.sleep(0.02); u.sendto(b"x", ("127.0.0.1", int(argv[0])))
            ]], u:getsockname()[2])
            for _, seconds in ipairs { 10, 3e6, 2 ^ 31, 1e10, 1e300, math.huge, -1 } do
                u:settimeout(seconds)
                p:say "go"
                assert.is_truthy((wait(u)))
            end
            p:kill()
            u:close()
        end)

        -- pitfall: EINTR counted as failure, or restarting the full wait
        it("holds for " .. name .. " while signals interrupt it", function()
            local u = bound()
            for _, seconds in ipairs { 0.05, 0.2 } do -- a short wait and a long one may be different calls
                u:settimeout(seconds)
                tools.amid_signals(function()
                    assert.same({ nil, TIMEOUT }, { t.takes(seconds, wait, u) })
                end)
            end
            u:close()
        end)
    end

    it("is not a number is misuse and changes nothing", function()
        local u = socket.udp()
        u:settimeout(3)
        for _, wrong in ipairs { tools.nan, "soon", {}, true, print } do
            tools.misuse(tools.method, u, "settimeout", 1, { wrong })
        end
        tools.misuse(tools.method, u, "settimeout", 1, { n = 0 })
        assert.equal(3, u:gettimeout())
    end)
end)

describe("close while nothing waits", function()
    t.guard()
    it("can be called again, and the socket used again", function()
        local u = bound()
        assert.equal(1, u:close())
        assert.equal(1, u:close())
        assert.is_true(u:bind("127.0.0.1", 0))
        assert.is_true(u:sendto("again", u:getsockname()))
        assert.equal("again", (u:recv()))
        assert.equal(1, u:close())
    end)

    it("is done by the garbage collector", function()
        local before = t.fds()
        for _ = 1, 10 do
            bound()
        end
        t.collect()
        assert.equal(before, t.fds())
    end)

    -- pitfall: no __close
    if _VERSION >= "Lua 5.4" then
        it("is done at the end of a block (Lua 5.4)", function()
            local code = [[
                local socket, fds = ...
                local before, fd = fds()
                do
                  local u <close> = socket.udp()
                  assert(u:bind("127.0.0.1", 0))
                  fd = u:fileno()
                  assert(fds() == before + 1)
                end
                assert(fds() == before)
                return fd
            ]]
            assert.is_true(load(code)(socket, t.fds) >= 0)
        end)
    end

    -- pitfall: descriptors inherited by child processes
    it("is not left to child processes: each descriptor is close-on-exec", function()
        local u, v = bound(), socket.udp()
        assert(v:sendto("x", u:getsockname()))
        local w = socket.udp()
        assert(w:connect(u:getsockname()))
        for _, s in ipairs { u, v, w } do
            assert.is_true(sys.cloexec(s:fileno()))
            s:close()
        end
    end)
end)

-- What stands in a socket's error queue makes poll(2) report an error for as long as it stands there.
describe("a wait on a socket that queues errors", function()
    t.guard()

    local IP_RECVERR, IPV6_RECVERR, SO_TIMESTAMPING = 11, 25, 37
    local TIMESTAMPS = 2 + 16 + 128 -- of what is sent, by software, with a number

    -- Ten waits that time out, too short to wait in the kernel; the processor has nothing to do meanwhile. On a busy
    -- machine one that spins gets a part of it only.
    local function wait_idly(f)
        local began = os.clock()
        for _ = 1, 10 do
            f()
        end
        local worked = os.clock() - began
        assert.is_true(worked < math.min(0.05 * t.slow, 0.4), ("it spins: %.3f s of the processor"):format(worked))
    end

    for host, option in pairs { ["127.0.0.1"] = { 0, IP_RECVERR }, ["::1"] = { 41, IPV6_RECVERR } } do
        for name, wait in pairs(waits) do
            it("is one, in " .. name .. " of refusals from " .. host, function()
                local u, gone = socket.udp(), socket.udp()
                assert(gone:bind(host, 0))
                assert(u:connect(gone:getsockname()))
                gone:close()
                assert(u:setopt(option[1], option[2], 1))
                u:settimeout(2)
                for _ = 1, 3 do
                    u:send "refused" -- or is told of the one before
                end
                t.fails(socket.ERROR_REFUSED, nil, wait(u))
                u:settimeout(0.09)
                wait_idly(function()
                    local data, err = wait(u)
                    assert.is_nil(data)
                    assert.is_truthy(err == TIMEOUT or err == socket.ERROR_REFUSED)
                end)
                t.fails(TIMEOUT, nil, wait(u))
                u:close()
            end)
        end
    end

    it("is one, after what it has sent got a timestamp", function()
        local s, other = t.connected()
        assert(s:setopt(sys.SOL_SOCKET, SO_TIMESTAMPING, TIMESTAMPS))
        s:settimeout(0.09)
        for _ = 1, 10 do
            assert(s:write "data")
        end
        wait_idly(function()
            t.fails(TIMEOUT, "", s:read(1))
        end)
        assert(other:write "answer")
        assert.equal("answer", s:read(6))
        s:close()
        other:close()
    end)
end)
