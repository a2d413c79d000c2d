-- Runs of datagrams that the kernel may carry as one (udp(7), UDP_SEGMENT and UDP_GRO): nobody may notice, whichever
-- calls send and receive them, and whatever is at the other end.

local t = require "support.t"
local tools = require "support.tools"

local socket = t.socket

local function bound(host)
    local u = socket.udp()
    assert(u:bind(host or "127.0.0.1", 0))
    u:settimeout(5)
    return u
end

local function pair_of(host)
    local receiver, sender = bound(host), bound(host)
    assert(sender:connect(receiver:getsockname()))
    return sender, receiver
end

local function close_all(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

-- The same numbers in each run (Lehmer); 1..n
local seed = 1
local function pick(n)
    seed = seed * 16807 % 2147483647
    return seed % n + 1
end

-- Datagrams in runs of equal and nearly equal lengths, each different from the others; 40 at most.
local function some_runs()
    local datas = {}
    repeat
        local len = ({ 0, 1, 2, 100, 512, 1000, 1472 })[pick(7)]
        for _ = 1, pick(8) do
            local mine = pick(6) == 1 and len - pick(3) or len
            local text = ("%d:%d:"):format(#datas + 1, pick(1000)) .. ("x"):rep(1500)
            datas[#datas + 1] = text:sub(1, math.max(mine, 0))
        end
    until #datas >= 32
    return datas
end

-- Ways to take datagrams: each appends what it got, and its sender, to two lists.
local ways = {
    function(u, datas, addrs)
        datas[#datas + 1], addrs[#addrs + 1] = u:recvfrom()
    end,
    function(u, datas, addrs)
        datas[#datas + 1] = assert(u:recv(2000))
        addrs[#addrs + 1] = addrs[#addrs] or false
    end,
    function(u, datas, addrs)
        local some, from, err = u:recvmany(pick(20), 1500)
        assert(some and err == nil and #some == #from)
        for i, data in ipairs(some) do
            datas[#datas + 1], addrs[#addrs + 1] = data, from[i]
        end
    end,
}

describe("runs of datagrams", function()
    t.guard()

    for _, host in ipairs { "127.0.0.1", "::1" } do
        it("arrive as they were sent, however they are taken, over " .. host, function()
            for _ = 1, 30 do
                local sender, receiver = pair_of(host)
                local sent, got, from = some_runs(), {}, {}
                assert.equal(#sent, sender:sendmany(sent))
                while #got < #sent do
                    ways[pick(3)](receiver, got, from)
                end
                assert.same(sent, got)
                for _, addr in ipairs(from) do
                    assert(not addr or addr[2] == sender:getsockname()[2])
                end
                receiver:settimeout(0)
                assert.same({ nil, socket.ERROR_TIMEOUT }, { receiver:recv() })
                close_all(sender, receiver)
            end
        end)
    end

    it("arrive at Python one by one", function()
        local p = t.python [[
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0)); say(u.getsockname()[1])
            while True:
                for _ in range(int(hear())): say(u.recv(1 << 16).hex())
        ]]
        local sender = socket.udp()
        local port = p:number()
        for _ = 1, 10 do
            local sent = some_runs()
            assert.equal(#sent, sender:sendmany(sent, "127.0.0.1", port))
            p:say(#sent)
            for _, data in ipairs(sent) do
                assert.equal(t.hex(data), p:line())
            end
        end
        p:kill()
        sender:close()
    end)

    it("that Python has joined arrive one by one, also after the first receive of many", function()
        local receiver = bound()
        local p = t.python([[
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.connect(("127.0.0.1", int(argv[0])))
            segment = [(socket.IPPROTO_UDP, 103, struct.pack("H", 5))] if sys.platform == "linux" else []
            while True:
                hear()
                try: u.sendmsg([b"1eins2zwei3drei4"], segment); say("joined")
                except OSError: [u.send(d) for d in (b"1eins", b"2zwei", b"3drei", b"4")]; say("one by one")
        ]], receiver:getsockname()[2])
        local function sent()
            p:say "go"
            p:line()
            return receiver
        end
        for _ = 1, 3 do
            assert.same({ "1eins", "2zwei", "3drei", "4" },
                { (sent():recv()), (receiver:recv(9)), (receiver:recvfrom()), (receiver:recv()) })
            assert.same({ "1eins", "2zwei" }, (t.recvmany(sent(), 2, 100, 2)))
            assert.same({ "3d", socket.ERROR_TRUNCATED }, { receiver:recv(2) })
            assert.same({ "4" }, (receiver:recvmany(5, 1)))
            local datas, _, err = t.recvmany(sent(), 3, 1, 3)
            assert.same({ { "1", "2", "3" }, socket.ERROR_TRUNCATED }, { datas, err })
            assert.same({ "4" }, (receiver:recvmany(3, 1)))
        end
        p:kill()
        receiver:close()
    end)
end)

describe("datagrams that one call has taken and that wait in the socket", function()
    t.guard()

    -- A receiver that has handed out the first of five.
    local function with_four_left()
        local sender, receiver = pair_of()
        assert.equal(1, sender:sendmany { "first" })
        assert.same({ "first" }, (receiver:recvmany(1, 100)))
        assert.equal(5, sender:sendmany { "a1", "a2", "a3", "a4", "a5" })
        assert.same({ "a1" }, (receiver:recvmany(1, 100)))
        return sender, receiver
    end

    it("make it readable for select, also by its number, and need no time", function()
        local sender, receiver = with_four_left()
        local fd = receiver:fileno()
        receiver:settimeout(0)
        for i = 2, 5 do
            assert.same({ { receiver, fd }, {} }, { socket.select({ receiver, fd, sender }, nil, 0) })
            assert.equal("a" .. i, (t.at_once(receiver.recv, receiver)))
        end
        assert.same({ nil, nil, socket.ERROR_TIMEOUT, n = 3 }, t.pack(socket.select({ receiver, fd }, nil, 0)))
        close_all(sender, receiver)
    end)

    it("are gone after close, and the next descriptor begins anew", function()
        local sender, receiver = with_four_left()
        local addr = receiver:getsockname()
        receiver:close()
        assert(receiver:bind(addr))
        receiver:settimeout(0)
        assert.same({ nil, socket.ERROR_TIMEOUT }, { receiver:recv() })
        assert.equal(2, sender:sendmany { "b1", "b2" })
        assert.same({ "b1", "b2" }, { (receiver:recv()), (receiver:recv()) })
        close_all(sender, receiver)
    end)

    it("are not lost by detach, and whoever has the descriptor then gets single datagrams", function()
        local sender, receiver = with_four_left()
        local fd, err = receiver:detach()
        if fd == nil then -- the module holds them: they must be taken first
            assert.equal("Unread bytes are pending", err)
            assert.same({ "a2", "a3", "a4", "a5" }, (t.recvmany(receiver, 9, 9, 4)))
            fd = assert(receiver:detach())
        else -- the system holds them
            receiver = assert(socket.fromfd(fd))
            assert.same({ "a2", "a3", "a4", "a5" }, (t.recvmany(receiver, 9, 9, 4)))
            fd = assert(receiver:detach())
        end
        assert.equal(3, sender:sendmany { "b1", "b2", "b3" })
        for i = 1, 3 do
            assert.equal("b" .. i, t.sys.read(fd, 100, 5))
        end
        assert.is_number(t.sys.close(fd))
        sender:close()
    end)
end)

describe("sendmany of a run", function()
    t.guard()

    -- pitfall: refusals (ICMP) swallowed
    it("reports a refusal that is pending, and sends after it", function()
        local gone, sender = bound(), bound()
        local addr = gone:getsockname()
        assert(sender:connect(addr))
        gone:close()
        for _ = 1, 3 do
            assert(sender:send "anybody?")
            assert.same({ nil, socket.ERROR_REFUSED, 0 }, { sender:sendmany { "a1", "a2", "a3" } })
        end
        assert(gone:bind(addr))
        assert.equal(3, sender:sendmany { "a1", "a2", "a3" })
        assert.same({ "a1", "a2", "a3" }, (t.recvmany(gone, 9, 9, 3)))
        close_all(gone, sender)
    end)

    it("tells how many went out before one that can not", function()
        local sender, receiver = pair_of()
        local long = ("x"):rep(70000)
        assert.same({ nil, socket.ERROR_TOOBIG, 4 }, { sender:sendmany { "a1", "a2", "a3", "b", long, long, "c" } })
        assert.same({ nil, socket.ERROR_TOOBIG, 0 }, { sender:sendmany { long, long } })
        assert.same({ "a1", "a2", "a3", "b" }, (t.recvmany(receiver, 9, 9, 4)))
        close_all(sender, receiver)
    end)

    it("goes out also where the path takes only shorter ones, in fragments", function()
        local names = tools.python_constants { "IPPROTO_IP", "IP_MTU_DISCOVER" }
        local sender, receiver = pair_of()
        if names.IP_MTU_DISCOVER then -- never look at the path's limit
            assert(sender:setopt(names.IPPROTO_IP, names.IP_MTU_DISCOVER, 0))
        end
        local big = {}
        for i = 1, 3 do
            big[i] = t.random(40000, i)
        end
        assert.equal(3, sender:sendmany(big))
        for i = 1, 3 do
            assert.is_true(receiver:recv() == big[i])
        end
        close_all(sender, receiver)
    end)

    -- What one owner asks the kernel to join, the other must take apart.
    it("are single for another owner of the descriptor, too", function()
        local a, u = socket.udp(), socket.udp()
        assert(a:bind("127.0.0.1", 0))
        assert(u:connect(a:getsockname()))
        a:settimeout(0)
        local b = assert(socket.fromfd(assert(t.sys.dup(a:fileno()))))
        b:settimeout(5)
        assert.equal(socket.ERROR_TIMEOUT, (select(3, a:recvmany(10, 100))))
        assert.equal(4, u:sendmany { "aaaa", "bbbb", "cccc", "dd" })
        assert.same({ "aaaa", "bbbb", "cccc", "dd" }, { b:recv(), b:recv(4), b:recv(9), b:recv() })
        assert.equal(3, u:sendmany { "eeee", "ffff", "gg" })
        local datas = assert(t.recvmany(b, 10, 100, 3))
        assert.same({ "eeee", "ffff", "gg" }, datas)
        a:close()
        b:close()
        u:close()
    end)

    it("are single for a child process, too", function()
        local a, u = socket.udp(), socket.udp()
        assert(a:bind("127.0.0.1", 0))
        assert(u:connect(a:getsockname()))
        a:settimeout(5)
        local pid = assert(t.sys.fork())
        if pid == 0 then
            a:settimeout(0)
            a:recvmany(10, 100)
            t.sys._exit(0)
        end
        assert.same({ "exit", 0 }, { t.sys.wait(pid, 10) })
        assert.equal(3, u:sendmany { "aaaa", "bbbb", "cccc" })
        assert.same({ "aaaa", "bbbb", "cccc" }, { a:recv(), a:recv(), a:recv() })
        a:close()
        u:close()
    end)
end)
