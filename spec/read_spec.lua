local space = require "support.space"
local t = require "support.t"

local socket = t.socket

local MIB = 1024 * 1024

-- A socket that times out at once and the bare other end.
local function polled_wire()
    local s, wire = t.wire()
    s:settimeout(0)
    return s, wire
end

describe("read", function()
    t.guard()

    it("returns exactly the size asked for and leaves the rest", function()
        local s, wire = t.wire()
        wire:send "abcdefghij"
        assert.equal("abc", s:read(3))
        assert.equal("d", s:read(1))
        assert.equal("efghij", s:read(6))
        wire:close()
        s:close()
    end)

    it("waits until all pieces have come", function()
        local s, p = t.with_python [[
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for c in b"abcdef": s.sendall(bytes([c])); time.sleep(0.01)
        ]]
        assert.equal("abc", s:read(3))
        assert.equal("def", s:read(3))
        p:finish()
        s:close()
    end)

    it("takes any bytes, NUL included", function()
        local all = {}
        for i = 0, 255 do
            all[#all + 1] = string.char(i)
        end
        local bytes = table.concat(all)
        local s, wire = t.wire()
        wire:send(bytes)
        assert.equal(t.hex(bytes), t.hex(s:read(256)))
        wire:close()
        s:close()
    end)

    for _, size in ipairs { 1, 4095, 4096, 4097, 65536, 1000003, 8 * MIB } do
        it("returns " .. size .. " bytes as they were sent, after a line", function()
            local s, p = t.with_python(
                [[
                data = os.urandom(int(argv[0])); say(digest(data))
                s.sendall(b"line\n" + data + b"the end"); s.close()
                ]],
                size
            )
            assert.equal("line", s:readuntil "\n"())
            local data = assert(s:read(size))
            assert.equal(size, #data)
            assert.equal(p:number(), t.sys.crc32(data))
            t.fails(socket.ERROR_CLOSED, "the end", s:read(8))
            p:finish()
            s:close()
        end)
    end

    it("of 0 bytes is an empty string, also at the end of the stream", function()
        local s, wire = polled_wire()
        assert.equal("", s:read(0))
        wire:send "x"
        assert.equal("", s:read(0))
        wire:close()
        assert.equal("x", s:read(1))
        assert.equal("", s:read(0))
        t.fails(socket.ERROR_CLOSED, "", s:read(1))
        assert.equal("", s:read(0))
        s:close()
        t.fails(socket.ERROR_CLOSED, "", s:read(0))
    end)

    it("gives what was left when the peer has closed, then nothing", function()
        local s, wire = t.wire()
        wire:send "left"
        wire:close()
        t.fails(socket.ERROR_CLOSED, "left", s:read(5))
        t.fails(socket.ERROR_CLOSED, "", s:read(5))
        t.fails(socket.ERROR_CLOSED, "", s:read(1))
        s:close()
    end)

    it("gives the exact rest before it reports the end", function()
        local s, wire = t.wire()
        wire:send "exact"
        wire:close()
        assert.equal("exact", s:read(5))
        t.fails(socket.ERROR_CLOSED, "", s:read(5))
        s:close()
    end)

    it("gives what had come when the time is up, and goes on after it", function()
        local s, wire = polled_wire()
        wire:send "abc"
        t.fails(socket.ERROR_TIMEOUT, "abc", s:read(5))
        t.fails(socket.ERROR_TIMEOUT, "", s:read(5))
        wire:send "defgh"
        assert.equal("defgh", s:read(5))
        wire:close()
        s:close()
    end)

    it("gives buffered and new bytes in order when the time is up", function()
        local s, wire = polled_wire()
        t.read_ahead(s, function(text)
            wire:send(text)
        end, "line", "abc")
        wire:send "def"
        t.fails(socket.ERROR_TIMEOUT, "abcdef", s:read(100000))
        wire:close()
        s:close()
    end)

    it("gives what had come before a reset", function()
        local s, p = t.with_python "s.sendall(b'abc'); say('sent'); hear(); reset(s)"
        assert.equal("sent", p:line())
        s:settimeout(0.05)
        t.fails(socket.ERROR_TIMEOUT, "abc", s:read(4))
        s:settimeout(10)
        p:say "now"
        t.fails(socket.ERROR_RESET, "", s:read(4))
        p:finish()
        s:close()
    end)

    it("gives the bytes that stood before a reset with it", function()
        local s, p = t.with_python "s.sendall(b'abc'); say('sent'); reset(s)"
        assert.equal("sent", p:line())
        p:finish()
        t.fails(socket.ERROR_RESET, "abc", s:read(4))
        s:close()
    end)

    -- Who may be told first that the connection is broken.
    local told_first = {
        getopt = function(s)
            assert.equal(t.sys.ECONNRESET, s:getopt(socket.OPT_ERROR))
        end,
        ["getopt by number"] = function(s)
            assert.equal(t.sys.ECONNRESET, s:getopt(t.sys.SOL_SOCKET, t.sys.SO_ERROR))
        end,
        write = function(s) -- what it has sent, write_spec.lua looks at
            local ok, err = s:write "x"
            assert.is_nil(ok)
            assert.equal(socket.ERROR_RESET, err)
        end,
    }

    local function with_broken(tell, f)
        local s, p = t.with_python "s.sendall(b'abc'); say('sent'); reset(s)"
        assert.equal("sent", p:line())
        p:finish()
        tell(s)
        f(s)
        s:close()
    end

    -- The kernel tells an error once, and then the end of the stream, which would pass for a proper one.
    it("fails with the error that the connection broke with, whoever was told it first", function()
        for _, tell in pairs(told_first) do
            with_broken(tell, function(s)
                t.fails(socket.ERROR_RESET, "abc", s:read(4))
                t.fails(socket.ERROR_RESET, "", s:readall())
                t.fails(socket.ERROR_RESET, nil, s:readsome(1))
            end)
        end
    end)

    it("has a write fail as closed once the error that the connection broke with is known", function()
        for _, tell in pairs(told_first) do
            with_broken(tell, function(s)
                t.fails(socket.ERROR_RESET, "abc", s:read(4))
                t.fails(t.AFTER_RESET, 0, s:write "x")
            end)
        end
    end)

    it("is told of no error at the end of a stream that the peer has ended, whatever a write was told", function()
        local a, b = socket.pair()
        b:write "x"
        b:close()
        t.fails(socket.ERROR_CLOSED, t.refused(1), a:write "y")
        assert.same({ "x", n = 1 }, t.pack(a:readall()))
        a:close()
    end)

    -- The peer is gone without a word: TCP_USER_TIMEOUT (tcp(7)) has what is written given up.
    it("fails with the error of a peer that is gone, whoever was told it first", function()
        local here = space.open() or pending(space.why)
        here:lua [[
            local listener, port = inside.listen "127.0.0.1"
            for _, tell in ipairs {
                function(s) inside.equal(110, s:getopt(socket.OPT_ERROR)) end,
                function(s) inside.fails(socket.ERROR_TIMEOUT, s:write "x") end,
            } do
                local s = socket.tcp()
                assert(s:connect("127.0.0.1", port))
                assert(s:setopt(6, 18, 100))
                assert(os.execute "ip link set lo down")
                assert(s:write "lost")
                assert(socket.select({ s }, nil, 20))
                tell(s)
                inside.fails(socket.ERROR_TIMEOUT, s:read(1))
                inside.fails(socket.ERROR_CLOSED, s:read(1)) -- who tries again after a time-out comes to an end
                assert(os.execute "ip link set lo up")
                s:close()
            end
            listener:close()
        ]]
    end)

    it("fails on a fresh, a closed and a listening socket", function()
        t.fails(socket.ERROR_CLOSED, "", socket.tcp():read(1))
        local s, wire = t.wire()
        wire:send "never read"
        s:close()
        t.fails(socket.ERROR_CLOSED, "", s:read(1))
        local listener = t.listener()
        t.fails(t.text "ENOTCONN", "", listener:read(1))
        listener:close()
        wire:close()
    end)

    it("fails as closed after our own shutdown of the receiving side", function()
        local s, wire = t.wire()
        assert.is_true(s:shutdown(socket.SHUT_RD))
        t.fails(socket.ERROR_CLOSED, "", s:read(1))
        wire:close()
        s:close()
    end)

    for name, size in pairs { ["an integral float"] = 3.0, ["a numeral"] = "3" } do
        it("takes a size that is " .. name, function()
            local s, wire = t.wire()
            wire:send "abcdef"
            assert.equal("abc", s:read(size))
            wire:close()
            s:close()
        end)
    end

    -- A number that is only announced costs nothing. pitfall: sizes cast to int
    for _, size in ipairs { 2 ^ 31 - 1, 2 ^ 31, 2 ^ 32, 2 ^ 32 + 4, 2 ^ 40, 2 ^ 53 } do
        it(("of %.0f bytes takes memory for those that come, not for those that are asked"):format(size), function()
            local s, wire = polled_wire()
            wire:send "abcdefgh"
            local before = t.status "VmPeak"
            t.fails(socket.ERROR_TIMEOUT, "abcdefgh", s:read(size))
            assert.is_true(t.status "VmPeak" - before < 64 * 1024)
            wire:close()
            t.fails(socket.ERROR_CLOSED, "", s:read(size))
            s:close()
        end)
    end
end)
