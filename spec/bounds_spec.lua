local t = require "support.t"
local tools = require "support.tools"
local socket = t.socket

describe("bounds", function()
    t.guard()

    it("of recvmany: 1024 datagrams a call, and the rest stays", function()
        local r, u = socket.udp(), socket.udp()
        r:settimeout(0)
        assert(r:setopt(socket.OPT_RCVBUF, 4000000))
        assert(r:bind("127.0.0.1", 0))
        assert(u:connect(r:getsockname()))
        local function exchange(count)
            for i = 1, count do
                assert(u:send(tostring(i)))
            end
            local sizes, next_one = {}, 1
            local datas = r:recvmany(1e9, 10)
            while datas do
                sizes[#sizes + 1] = #datas
                for _, data in ipairs(datas) do
                    assert.equal(tostring(next_one), data)
                    next_one = next_one + 1
                end
                datas = r:recvmany(1e9, 10)
            end
            return sizes, next_one - 1
        end
        local sizes, n = exchange(2500)
        assert.is_true(n <= 1024 or sizes[1] == 1024, sizes[1] .. " in one call")
        for _, size in ipairs(sizes) do
            assert.is_true(size <= 1024, size .. " in one call")
        end
        assert.same({ { 100 }, 100 }, { exchange(100) })
        r:close()
        u:close()
    end)

    -- pitfall: all that is buffered looked through again for each piece
    it("of readuntil: the time for small pieces of much that is buffered", function()
        local n = 150000
        local a, b = socket.pair()
        a:settimeout(0)
        b:settimeout(0)
        assert(b:setopt(socket.OPT_SNDBUF, 400000))
        assert.equal(n, b:write(("x"):rep(n)))
        assert.is_nil((a:read(n + 1))) -- the buffer is large from here on
        assert.equal(n, b:write(("x"):rep(n)))
        b:close()
        local began, pieces = os.clock(), 0
        local lines = a:readuntil("abc", false, 1)
        local _, err, partial = lines()
        while err == socket.ERROR_LIMIT do
            pieces = pieces + #partial
            _, err, partial = lines()
        end
        local took = os.clock() - began
        assert.equal(socket.ERROR_CLOSED, err)
        assert.equal(n, pieces + #partial)
        assert.is_true(took < 1 * t.slow, ("took %.2f s of the processor"):format(took))
        a:close()
    end)

    it("of time-outs: the largest integer comes back as it was set", function()
        local s = socket.tcp()
        for _, seconds in ipairs { math.maxinteger or 2 ^ 53, 2 ^ 53, 5, 2.5, -1 } do
            s:settimeout(seconds)
            assert.equal(seconds, s:gettimeout())
        end
    end)

    it("of the collector: one that is stopped stays so after large reads", function()
        tools.run_lua [[
            local socket = require "ssocket"
            local a, b = socket.pair()
            a:settimeout(0)
            b:settimeout(0)
            assert(b:setopt(socket.OPT_SNDBUF, 400000))
            collectgarbage "stop"
            for _ = 1, 2 do
                assert(b:write(("x"):rep(150000)) == 150000)
                assert(#a:read(150000) == 150000)
            end
            local before, garbage = collectgarbage "count"
            for i = 1, 1e5 do
                garbage = { i }
            end
            assert(collectgarbage "count" - before > 3000, "it collects " .. type(garbage))
        ]]
    end)

    describe("of a socket that joins a group:", function()
        it("another family does not take its descriptor away", function()
            local u = socket.udp()
            assert(u:join("239.255.77.9", "lo"))
            local fd = u:fileno()
            t.fails(t.text "EAFNOSUPPORT", nil, u:connect("::1", 9))
            assert.equal(fd, u:fileno())
            assert(u:leave("239.255.77.9", "lo")) -- still a member
            u:close()
        end)

        it("a join that fails leaves a new socket new", function()
            local u, v = socket.udp(), socket.udp()
            for _, interface in ipairs { "nonesuch0", 12345678 } do
                t.fails(t.text "ENODEV", nil, u:join("239.255.77.9", interface))
                t.fails(socket.ERROR_CLOSED, nil, u:getsockname())
            end
            local path = "unix:" .. t.tmpdir() .. "/v"
            assert(v:bind(path))
            v:settimeout(5)
            assert(u:sendto("x", path)) -- any family is open to it
            assert.equal("x", v:recv())
            u:close()
            v:close()
        end)
    end)
end)
