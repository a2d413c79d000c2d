-- select with very many descriptors and very high ones: FD_SETSIZE plays no part.

local t = require "support.t"
local tools = require "support.tools"

local socket, sys = t.socket, t.sys

local SOCKETS = 5000

local soft, hard

-- Raises the limit on descriptors so that `n` more fit; false when this is not permitted.
local function make_room(n)
    local want = t.fds() + n + 50
    return want <= soft or (want <= hard and sys.nofile(want))
end

-- n sockets, each two of them connected.
local function open_pairs(n)
    local all = {}
    for i = 1, n, 2 do
        all[i], all[i + 1] = socket.pair()
        assert(all[i], all[i + 1])
    end
    return all
end

local function close_all(list)
    for _, s in ipairs(list) do
        s:close()
    end
end

describe("select of very many", function()
    t.guard()

    before_each(function()
        soft, hard = sys.nofile()
    end)

    after_each(function()
        sys.nofile(soft)
    end)

    it("finds the ready ones among 5,000 sockets, in order", function()
        if not make_room(SOCKETS) then
            return pending("not permitted: descriptors are limited to " .. hard)
        end
        local all = open_pairs(SOCKETS)
        assert.is_true(all[SOCKETS]:fileno() > 1024)
        assert.same({ nil, nil, socket.ERROR_TIMEOUT, n = 3 }, t.pack(socket.select(all, nil, 0)))
        local expected = {}
        for _, i in ipairs { 2, 1024, 1026, 2500, 4998, 5000 } do
            assert(all[i - 1]:write "x")
            expected[#expected + 1] = i
        end
        local reads, writes = t.deadline(5, socket.select, all, all, 10)
        assert.equal(SOCKETS, #writes)
        assert.equal(#expected, #reads)
        for k, i in ipairs(expected) do
            assert.is_true(rawequal(all[i], reads[k]))
        end
        close_all(all)
    end)

    it("takes numbers above 1024, and they come back", function()
        local a, b = socket.pair()
        assert(a:write "x")
        for _, fd in ipairs { 1023, 1024, 1025, 4000 } do
            if fd >= soft and not (fd < hard and sys.nofile(fd + 1)) then
                return pending("not permitted: descriptors are limited to " .. hard)
            end
            assert(sys.dup2(b:fileno(), fd))
            local reads, writes = socket.select({ fd, a }, { fd }, 10)
            assert.same({ { fd }, { fd } }, { reads, writes })
            sys.close(fd)
        end
        close_all { a, b }
    end)

    -- poll(2) refuses an array longer than the limit on descriptors (EINVAL); an epoll would need one more descriptor.
    -- With tasks it is another call that waits: each in a process of its own, so that both are met.
    for title, first in pairs {
        ["before there are tasks"] = "",
        ["when there have been tasks"] = "assert(socket.spawn(function() end):wait())",
    } do
        it("takes all there can be, in both lists and twice, with no descriptor left, " .. title, function()
            tools.run_lua(([[
                local socket, sys = require "ssocket", require "testsys"
                %s
                assert(sys.nofile(256))
                local all, list = {}, {}
                local ok, err
                repeat
                    local u = socket.udp()
                    ok, err = u:bind("127.0.0.1", 0)
                    all[#all + 1] = ok and u or nil
                until not ok or #all > 256
                assert(err == sys.strerror(sys.EMFILE), err)
                assert(not sys.dup(0))
                for i, u in ipairs(all) do
                    list[i], list[#all + i] = u, u:fileno()
                end
                assert(#list > 300)
                assert(all[1]:sendto("x", all[2]:getsockname()))
                local reads, writes = assert(socket.select(list, list, 10))
                assert(#writes == #list)
                assert(#reads == 2 and rawequal(reads[1], all[2]) and reads[2] == all[2]:fileno())
            ]]):format(first))
        end)
    end

    it("takes one descriptor a hundred thousand times", function()
        local a, b = socket.pair()
        local list = {}
        for i = 1, 100000 do
            list[i] = b
        end
        assert(a:write "x")
        local reads = t.deadline(5, socket.select, list, nil, 10)
        assert.equal(100000, #reads)
        close_all { a, b }
    end)

    it("costs no more descriptors or memory the thousandth time", function()
        local all = open_pairs(200)
        assert(all[1]:write "x")
        local fds = t.fds()
        t.collect()
        local before = collectgarbage "count"
        for _ = 1, 1000 do
            assert.equal(1, #socket.select(all, nil, 10))
        end
        t.collect()
        assert.equal(fds, t.fds())
        assert.is_true(collectgarbage "count" - before < 200)
        close_all(all)
    end)
end)
