-- recvmany and sendmany: many datagrams with one system call.

local t = require "support.t"
local tools = require "support.tools"

local socket = t.socket
local unpack = table.unpack or unpack

local function bound()
    local u = socket.udp()
    assert(u:bind("127.0.0.1", 0))
    u:settimeout(5)
    return u
end

local function pair_of()
    local receiver, sender = bound(), bound()
    assert(sender:connect(receiver:getsockname()))
    return sender, receiver
end

local function close_all(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

-- A receiver on a Unix socket, where the system drops nothing, and a connected sender.
local function lossless_pair()
    local receiver, sender = socket.udp(), socket.udp()
    assert(receiver:bind("unix:" .. t.tmpdir() .. "/r"))
    assert(sender:connect((receiver:getsockname())))
    receiver:settimeout(5)
    sender:settimeout(5)
    return sender, receiver
end

local function numbers(n)
    local datas = {}
    for i = 1, n do
        datas[i] = "datagram " .. i
    end
    return datas
end

describe("recvmany", function()
    t.guard()

    it("takes the datagrams that are there, in order, each with its sender", function()
        local receiver, a, b = bound(), bound(), bound()
        for i = 1, 3 do
            assert(a:sendto("a" .. i, receiver:getsockname()) and b:sendto("b" .. i, receiver:getsockname()))
        end
        local datas, addrs, err = t.recvmany(receiver, 100, 100, 6)
        assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, datas)
        assert.is_nil(err)
        assert.equal(6, #addrs)
        for i, addr in ipairs(addrs) do
            assert.equal((i % 2 == 1 and a or b):getsockname()[2], addr[2])
            assert.same({ "127.0.0.1", "inet" }, { addr[1], addr.family })
        end
        close_all(receiver, a, b)
    end)

    it("gives each its own sender's address, and those in a row from one sender the same value", function()
        local receiver, one, two = bound(), bound(), bound()
        local to = receiver:getsockname()
        local senders = { one, one, two, two, one, two }
        local ports = {}
        for i, sender in ipairs(senders) do
            assert(sender:sendto("d", to))
            ports[i] = sender:getsockname()[2]
        end
        local from = {}
        while #from < #senders do
            for _, addr in ipairs(select(2, assert(receiver:recvmany(100, 10)))) do
                from[#from + 1] = addr[2]
            end
        end
        assert.same(ports, from)
        local datas, addrs
        repeat
            assert(one:sendmany({ "a", "b" }, to))
            datas, addrs = receiver:recvmany(2, 10)
        until #datas == 2 or not t.bad_weather
        assert.equal(2, #datas)
        assert.is_true(rawequal(addrs[1], addrs[2]))
        close_all(receiver, one, two)
    end)

    it("takes no more than it was asked for and leaves the rest", function()
        local sender, receiver = pair_of()
        assert.equal(5, sender:sendmany(numbers(5)))
        assert.same({ "datagram 1", "datagram 2" }, (t.recvmany(receiver, 2, 100, 2)))
        assert.same({ "datagram 3" }, (receiver:recvmany(1, 100)))
        assert.equal("datagram 4", (receiver:recv()))
        assert.same({ "datagram 5" }, (receiver:recvmany(9, 100)))
        close_all(sender, receiver)
    end)

    it("takes all that are there, as far as count and the buffers for it reach", function()
        local receiver, sender = bound(), socket.udp()
        local addr = receiver:getsockname()
        for i = 1, 150 do
            assert(sender:sendto("datagram " .. i, addr))
        end
        local datas = t.recvmany(receiver, 1024, 100, 150)
        assert.equal(150, #datas)
        assert.same(numbers(150), datas)
        close_all(receiver, sender)
    end)

    it("waits for the first only, and no longer than the deadline", function()
        local receiver = bound()
        receiver:settimeout(0)
        assert.same({ nil, nil, socket.ERROR_TIMEOUT, n = 3 }, t.pack(receiver:recvmany(8, 100)))
        receiver:settimeout(0.03)
        local late = t.pack(t.takes(0.03, receiver.recvmany, receiver, 8, 100))
        assert.same({ nil, nil, socket.ERROR_TIMEOUT, n = 3 }, late)
        receiver:settimeout(10)
        local p = t.python([[
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"one", ("127.0.0.1", int(argv[0])))
        ]], receiver:getsockname()[2])
        assert.same({ "one" }, (t.deadline(5, receiver.recvmany, receiver, 8, 100)))
        p:finish()
        receiver:close()
    end)

    it("gives empty datagrams as data", function()
        local sender, receiver = pair_of()
        assert.equal(3, sender:sendmany { "", "x", "" })
        assert.same({ "", "x", "" }, (t.recvmany(receiver, 9, 9, 3)))
        close_all(sender, receiver)
    end)

    it("says that something was cut, and cuts nothing else", function()
        local sender, receiver = pair_of()
        assert.equal(3, sender:sendmany { "12", "12345", "1" })
        local datas, addrs, err = t.recvmany(receiver, 9, 2, 3)
        assert.same({ { "12", "12", "1" }, 3, socket.ERROR_TRUNCATED }, { datas, #addrs, err })
        assert.equal(2, sender:sendmany { "12", "1" })
        assert.same({ "12", "1" }, (t.recvmany(receiver, 9, 2, 2)))
        assert.is_nil((select(3, sender:send "12" and receiver:recvmany(9, 2))))
        close_all(sender, receiver)
    end)

    it("carries datagrams of the greatest size whole", function()
        local sender, receiver = pair_of()
        local big = t.random(65507)
        assert(sender:send(big) and sender:send(big))
        local got = 0
        while got < 2 do
            for _, data in ipairs(assert((receiver:recvmany(2, 65507)))) do
                assert.is_true(data == big)
                got = got + 1
            end
        end
        close_all(sender, receiver)
    end)

    -- Between two receives of one call Lua may run a hook.
    it("gives what it had when a hook closes the socket, and nothing of another's", function()
        for _, event in ipairs { "c", "r" } do
            for nth = 1, 6 do
                local sender, receiver = pair_of()
                for i = 1, 80 do
                    assert(sender:send(("D"):rep(i)))
                end
                local n, others = 0, {}
                debug.sethook(function()
                    n = n + 1
                    if n == nth then
                        debug.sethook()
                        receiver:close()
                        others[1], others[2] = socket.pair()
                        others[2]:write(("S"):rep(100000))
                        others[1]:settimeout(1)
                        others[1]:read(10)
                    end
                end, event)
                local datas, addrs, err = receiver:recvmany(80, 2000)
                debug.sethook()
                assert.is_true(datas ~= nil or err == socket.ERROR_CLOSED, err)
                for i, data in ipairs(datas or {}) do
                    assert.equal(("D"):rep(i), data)
                    assert.is_table(addrs[i])
                end
                receiver:close() -- not every Lua has a hook so often
                assert(receiver:bind("127.0.0.1", 0))
                receiver:settimeout(0)
                assert.same({ nil, socket.ERROR_TIMEOUT }, { receiver:recv() })
                close_all(sender, receiver, unpack(others))
            end
        end
    end)

    -- pitfall: a negative or huge size crashing; a buffer leaked per call
    it("does not take memory for what was merely announced", function()
        local sender, receiver = pair_of()
        local most = { 2 ^ 20, 2 ^ 31, 2 ^ 40 }
        for _, count in ipairs(most) do
            for _, size in ipairs(most) do
                assert(sender:send "small")
                assert.same({ "small" }, (receiver:recvmany(count, size)))
            end
        end
        local before = tools.on_linux and t.status "VmRSS" or 0
        for _ = 1, 300 do
            assert(sender:send "small")
            assert.equal("small", receiver:recvmany(1024, 65535)[1])
            assert(sender:send "small")
            assert.equal("small", (receiver:recv(2 ^ 20)))
        end
        local after = tools.on_linux and t.status "VmRSS" or 0
        assert.is_true(after - before < 32 * 1024, "KiB more: " .. after - before)
        close_all(sender, receiver)
    end)
end)

describe("sendmany", function()
    t.guard()

    it("sends strings and numbers in order to the peer or to an address", function()
        local sender, receiver = pair_of()
        local addr = receiver:getsockname()
        assert.equal(3, sender:sendmany { "a", 7, "" })
        assert.same({ "a", "7", "" }, (t.recvmany(receiver, 9, 9, 3)))
        local loose = socket.udp()
        assert.equal(2, loose:sendmany({ "b", "c" }, addr))
        assert.equal(1, loose:sendmany({ "d" }, addr[1], addr[2]))
        assert.same({ "b", "c", "d" }, (t.recvmany(receiver, 9, 9, 3)))
        assert.is_true(tools.is_integer(loose:sendmany({ "e" }, addr)))
        close_all(sender, receiver, loose)
    end)

    it("is seen by Python as single datagrams", function()
        local p = t.python [[
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0)); say(u.getsockname()[1])
            for _ in range(3): say(u.recv(99))
        ]]
        local u = socket.udp()
        assert.equal(3, u:sendmany({ "one", "", "three" }, "127.0.0.1", p:number()))
        assert.same({ "b'one'", "b''", "b'three'" }, { p:line(), p:line(), p:line() })
        p:finish()
        u:close()
    end)

    it("sends nothing from an empty array", function()
        local sender, receiver = pair_of()
        assert.equal(0, sender:sendmany {})
        receiver:settimeout(0)
        assert.same({ nil, socket.ERROR_TIMEOUT }, { receiver:recv() })
        close_all(sender, receiver)
    end)

    it("tells how far it came when one can not be sent", function()
        local sender, receiver = pair_of()
        local too_long = ("x"):rep(70000)
        assert.same({ nil, socket.ERROR_TOOBIG, 2, n = 3 }, t.pack(sender:sendmany { "1", "2", too_long, "4" }))
        assert.same({ nil, socket.ERROR_TOOBIG, 0, n = 3 }, t.pack(sender:sendmany { too_long }))
        assert.same({ "1", "2" }, (t.recvmany(receiver, 9, 9, 2)))
        close_all(sender, receiver)
    end)

    it("checks all of the array before it sends any of it, and names the index", function()
        local sender, receiver = pair_of()
        for _, wrong in ipairs { {}, true, print, socket.udp() } do
            tools.misuse(tools.method, sender, "sendmany", 1, { { "a", "b", wrong, "d" } }, "3")
        end
        receiver:settimeout(0)
        assert.same({ nil, socket.ERROR_TIMEOUT }, { receiver:recv() })
        close_all(sender, receiver)
    end)

    it("tells how far it came when time is up, and goes on from there", function()
        local sender, receiver = lossless_pair()
        local all = numbers(3000)
        sender:settimeout(0)
        local ok, err, sent = sender:sendmany(all)
        assert.same({ nil, socket.ERROR_TIMEOUT }, { ok, err })
        assert.is_true(tools.is_integer(sent) and sent > 0 and sent < 3000)
        sender:settimeout(0.03)
        assert.same({ nil, socket.ERROR_TIMEOUT, 0 }, { t.takes(0.03, sender.sendmany, sender, { "late" }) })
        for i = 1, sent do
            assert.equal(all[i], (receiver:recv()))
        end
        close_all(sender, receiver)
    end)

    it("sends more than one call can carry, also when the receiver is slow", function()
        local path = t.tmpdir() .. "/python"
        local p = t.python([[
            u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); u.bind(argv[0]); say("bound")
            say(all(u.recv(99) == b"datagram %d" % i for i in range(1, 5001)))
        ]], path)
        assert.equal("bound", p:line())
        local sender = socket.udp()
        sender:settimeout(10)
        assert.equal(5000, sender:sendmany(numbers(5000), "unix:" .. path))
        assert.equal("True", p:line())
        p:finish()
        sender:close()
    end)
end)
