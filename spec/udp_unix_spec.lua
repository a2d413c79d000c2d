-- Datagrams over Unix sockets, with paths and abstract names, against Python and socat.

local t = require "support.t"
local tools = require "support.tools"

local socket = t.socket

local function bound(spec)
    local u = socket.udp()
    assert(u:bind(spec or "unix:" .. t.tmpdir() .. "/socket"))
    u:settimeout(5)
    return u
end

local function close_all(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

local places = {
    path = function()
        return "unix:" .. t.tmpdir() .. "/socket"
    end,
    ["abstract name"] = tools.on_linux and t.abstract or nil,
}

-- Binds where told (hexadecimal, as sockaddr has it), says so, and sends each datagram back until "end".
local ECHO = [[
    u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    u.bind(bytes.fromhex(argv[0])); say("bound")
    while True:
        data, peer = u.recvfrom(1 << 20)
        if data == b"end": break
        u.sendto(data, peer)
]]

local function raw_name(spec)
    return t.hex((spec:gsub("^unix:", ""):gsub("^@", "\0")))
end

for kind, place in pairs(places) do
    describe("Unix datagrams over a " .. kind, function()
        t.guard()

        it("come back from Python as they were sent", function()
            local spec = place()
            local p = t.python(ECHO, raw_name(spec))
            assert.equal("bound", p:line())
            local u = bound(spec .. "-mine")
            for _, data in ipairs { "hello", "", "\0\255", t.random(100000) } do
                assert.is_true(u:sendto(data, spec))
                local back, from, err = u:recvfrom(100000)
                assert.same({ spec, nil }, { from, err })
                assert.is_true(back == data)
            end
            assert.is_true(u:connect(spec))
            assert.same({ spec, spec .. "-mine" }, { u:getpeername(), (u:getsockname()) })
            assert(u:send "to my peer")
            assert.equal("to my peer", (u:recv()))
            assert(u:send "end")
            p:finish()
            u:close()
        end)

        it("are refused where nobody is bound any more, and go on elsewhere", function()
            local gone, here, u = bound(place()), bound(place()), socket.udp()
            local spec = gone:getsockname()
            assert(u:connect(spec))
            gone:close()
            assert.same({ nil, socket.ERROR_REFUSED }, { u:send "x" })
            assert.same({ nil, socket.ERROR_REFUSED }, { socket.udp():sendto("x", spec) })
            assert.is_true(u:sendto("here", (here:getsockname())))
            assert.equal("here", (here:recv()))
            close_all(here, u)
        end)

        it("wait for room at the receiver until the deadline", function()
            local receiver, u = bound(place()), socket.udp()
            assert(u:connect((receiver:getsockname())))
            u:settimeout(0)
            local sent = 0
            local ok, err
            repeat
                ok, err = u:send(tostring(sent + 1))
                sent = sent + (ok and 1 or 0)
            until not ok or sent > 100000
            assert.same({ nil, socket.ERROR_TIMEOUT }, { ok, err })
            u:settimeout(0.05)
            assert.same({ nil, socket.ERROR_TIMEOUT }, { t.takes(0.05, u.send, u, "late") })
            for i = 1, sent do
                assert.equal(tostring(i), (receiver:recv()))
            end
            assert(u:send "room again")
            assert.equal("room again", (receiver:recv()))
            close_all(receiver, u)
        end)
    end)
end

describe("Unix datagrams", function()
    t.guard()

    it("reach socat", function()
        local path = t.tmpdir() .. "/socat"
        local p = t.spawn({ "socat", "-u", "-d", "-d", "UNIX-RECV:" .. path, "STDOUT" }, true)
        p:await "starting data transfer"
        local u = socket.udp()
        assert(u:sendto("hello socat\n", "unix:" .. path))
        p:await "hello socat"
        p:kill()
        u:close()
    end)

    it("come from socat", function()
        local u = bound()
        local p = t.socat("-u", "STDIN", "UNIX-SENDTO:" .. u:getsockname():gsub("^unix:", ""))
        p:send "from socat"
        p:eof()
        assert.same({ "from socat", "unix:" }, { u:recvfrom() })
        p:finish()
        u:close()
    end)

    it("need a place that exists, and a new socket stays new without it", function()
        local u = socket.udp()
        assert.same({ nil, t.text "ENOENT" }, { u:sendto("x", "unix:" .. t.tmpdir() .. "/none") })
        assert.equal(-1, u:fileno())
        assert.is_true(u:bind("127.0.0.1", 0)) -- of another family
        u:close()
        assert.same({ nil, t.text "ENOENT" }, { u:bind("unix:" .. t.tmpdir() .. "/none/none") })
        u:close()
        assert.equal(-1, u:fileno())
    end)

    it("come whole by recvmany, however long", function()
        local u = bound()
        local long, senders = { t.random(70000, 1), t.random(150000, 2), "short" }, {}
        for i, data in ipairs(long) do
            senders[i] = bound() -- the system holds about 200 KB for each
            assert(senders[i]:sendto(data, (u:getsockname())))
        end
        local got, from, err = u:recvmany(8, 200000)
        assert.same({ 3, 3, nil }, { #got, #from, err })
        for i = 1, 3 do
            assert.is_true(got[i] == long[i])
        end
        close_all(u, senders[1], senders[2], senders[3])
    end)

    it("bring no descriptors in, however they are received", function()
        local u = bound()
        local spec = u:getsockname()
        for _, receive in ipairs {
            function() return u:recvmany(8, 100) end,
            function() return u:recvmany(8, 200000) end,
            function() return { (u:recv(100)) } end,
            function() return { (u:recv(200000)) } end,
        } do
            local p = t.python([[
                import array
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [os.open("/dev/null", 0)]))]
                s.sendmsg([b"hello"], beside, 0, bytes.fromhex(argv[0])); say("sent")
            ]], raw_name(spec))
            assert.equal("sent", p:line())
            p:finish()
            local before = t.fds()
            assert.same({ "hello" }, receive())
            assert.equal(before, t.fds())
        end
        u:close()
    end)

    it("can not be sent to a stream socket", function()
        local listener, spec = t.listener "unix"
        assert.same({ nil, t.text "EPROTOTYPE" }, { socket.udp():connect(spec) })
        listener:close()
    end)

    it("come only from the peer once there is one, until it is dissolved", function()
        local u, friend, stranger = bound(), bound(), bound()
        assert(u:connect((friend:getsockname())))
        assert(friend:sendto("yes", (u:getsockname())))
        assert.is_nil((stranger:sendto("no", (u:getsockname()))))
        assert.equal("yes", (u:recv()))
        assert.is_true(u:connect())
        assert.is_true(stranger:sendto("now", (u:getsockname())))
        assert.equal("now", (u:recv()))
        close_all(u, friend, stranger)
    end)

    it("longer than asked for are said to be cut", function()
        local receiver, sender = bound(), socket.udp()
        local spec = receiver:getsockname()
        assert(sender:sendto("0123456789", spec) and sender:sendto("0123456789", spec) and sender:sendto("whole", spec))
        assert.same({ "01234", socket.ERROR_TRUNCATED }, { receiver:recv(5) })
        assert.same({ "012", "unix:", socket.ERROR_TRUNCATED }, { receiver:recvfrom(3) })
        assert.same({ "whole", "unix:" }, { receiver:recvfrom(5) })
        assert(sender:sendto(t.random(70000), spec) and sender:sendto(t.random(70000), spec))
        assert.same({ t.random(65535), socket.ERROR_TRUNCATED }, { receiver:recv() })
        assert.same({ t.random(70000) }, { receiver:recv(2 ^ 40) })
        assert(sender:sendto(t.random(70000), spec) and sender:sendto(t.random(70000), spec))
        assert.same({ t.random(66000), socket.ERROR_TRUNCATED }, { receiver:recv(66000) })
        local datas, _, err = receiver:recvmany(1, 66000)
        assert.same({ { t.random(66000) }, socket.ERROR_TRUNCATED }, { datas, err })
        close_all(receiver, sender)
    end)

    it("leave the file when the socket is closed, and a second bind to it is ERROR_INUSE", function()
        local u = bound()
        local spec = u:getsockname()
        u:close()
        assert.same({ nil, socket.ERROR_INUSE }, { socket.udp():bind(spec) })
        assert.is_truthy(os.remove((spec:gsub("^unix:", ""))))
        assert.is_true(u:bind(spec))
        u:close()
    end)
end)
