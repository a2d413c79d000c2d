-- Datagrams that the kernel joins and splits on the way (udp(7), UDP_SEGMENT and UDP_GRO) arrive as they were sent.

local t = require "support.t"
local socket = t.socket

-- A sender, and a receiver that has asked for joined datagrams: it has received many before.
local function joined_pair(host)
    local receiver, sender = socket.udp(), socket.udp()
    assert(receiver:bind(host, 0))
    receiver:settimeout(0)
    assert.equal(socket.ERROR_TIMEOUT, (select(3, receiver:recvmany(1, 1))))
    receiver:settimeout(5)
    sender:settimeout(5)
    assert(sender:connect(receiver:getsockname()))
    return sender, receiver
end

local function numbered(n, length)
    local list = {}
    for i = 1, n do
        local digits = ("%d"):format(i)
        list[i] = ("0"):rep(length - #digits) .. digits
    end
    return list
end

-- All that arrives until the datagram "end", by calls of `receive`, which gives an array.
local function received(receive)
    local all = {}
    repeat
        for _, data in ipairs(receive()) do
            all[#all + 1] = data
        end
    until all[#all] == "end"
    all[#all] = nil
    return all
end

describe("datagrams joined by the kernel", function()
    t.guard()

    local lists = {
        ["of one length"] = numbered(100, 64),
        ["more than one message holds"] = numbered(200, 1000),
        ["of several lengths, empty ones among them"] = {
            "aaaa", "bbbb", "cc", "dddd", "", "", "e", "ff", "ff", ("x"):rep(3000), ("y"):rep(3000), "z", "0", "0",
        },
        ["too long to be joined"] = { ("a"):rep(60000), ("b"):rep(60000) },
    }
    for _, host in ipairs { "127.0.0.1", "::1" } do
        for name, list in pairs(lists) do
            it(("over %s, %s, arrive one by one for each call"):format(host, name), function()
                local sender, receiver = joined_pair(host)
                local calls = {
                    function() return { (assert(receiver:recv())) } end,
                    function() return { (assert(receiver:recvfrom())) } end,
                    function() return (assert(receiver:recvmany(7, 65535))) end,
                    function() return (assert(receiver:recvmany(1000, 65535))) end,
                }
                for _, receive in ipairs(calls) do
                    assert.equal(#list, assert(sender:sendmany(list)))
                    assert(sender:send "end")
                    assert.same(list, received(receive))
                end
                sender:close()
                receiver:close()
            end)
        end
    end

    it("have their sender, each", function()
        local sender, receiver = joined_pair "127.0.0.1"
        assert(sender:sendmany(numbered(5, 8)))
        local from = tostring(sender:getsockname())
        local datas, addrs = receiver:recvmany(2, 8)
        assert.same({ "00000001", "00000002" }, datas)
        assert.equal(from, tostring(addrs[2]))
        local data, addr = receiver:recvfrom()
        assert.equal("00000003", data)
        assert.equal(from, tostring(addr))
        sender:close()
        receiver:close()
    end)

    it("are cut each by itself, and said to be", function()
        local sender, receiver = joined_pair "127.0.0.1"
        assert(sender:sendmany { "abcdef", "ghijkl", "mn" })
        local data, err = receiver:recv(2)
        assert.equal("ab", data)
        assert.equal(socket.ERROR_TRUNCATED, err)
        local datas, _, cut = receiver:recvmany(9, 3)
        assert.same({ "ghi", "mn" }, datas)
        assert.equal(socket.ERROR_TRUNCATED, cut)
        sender:close()
        receiver:close()
    end)

    it("make the socket readable while some of them wait, and are gone after close", function()
        local sender, receiver = joined_pair "127.0.0.1"
        assert(sender:sendmany(numbered(3, 8)))
        assert.same({ "00000001" }, (receiver:recvmany(1, 8)))
        assert.same({ receiver }, (socket.select({ receiver }, nil, 0)))
        assert.same({ receiver:fileno() }, (socket.select({ receiver:fileno() }, nil, 0)))
        local fd, err = receiver:detach()
        assert.is_nil(fd)
        assert.is_string(err)
        receiver:close()
        assert(receiver:bind("127.0.0.1", 0))
        receiver:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, nil, receiver:recv())
        sender:close()
        receiver:close()
    end)

    it("come from others in single pieces, which are taken with them", function()
        local receiver = select(2, joined_pair "127.0.0.1")
        local p = t.python(
            [[
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.IPPROTO_UDP, 103, 4)  # UDP_SEGMENT
            s.sendto(b"abcdefghij", ("127.0.0.1", int(argv[0])))
            s.setsockopt(socket.IPPROTO_UDP, 103, 0)
            s.sendto(b"single", ("127.0.0.1", int(argv[0])))
            s.sendto(b"end", ("127.0.0.1", int(argv[0])))
            ]],
            ("%d"):format(receiver:getsockname()[2])
        )
        local all = received(function() return (assert(receiver:recvmany(100, 100))) end)
        assert.same({ "abcd", "efgh", "ij", "single" }, all)
        p:finish()
        receiver:close()
    end)
end)
