local t = require "support.t"
local socket = t.socket

-- What a stream of TCP does, a stream Unix socket does as well. Python stands at the other end.
-- The address as Python writes it goes to the peer in hex, for abstract names begin with a NUL there.
local places = {
    ["a path"] = function()
        local path = t.tmpdir() .. "/s"
        return "unix:" .. path, t.hex(path)
    end,
    ["an abstract name"] = function()
        local name = t.abstract()
        return name, t.hex("\0" .. name:sub(7))
    end,
}

local SERVER = [[
    l = socket.socket(socket.AF_UNIX); l.bind(bytes.fromhex(argv[0])); l.listen(); say("ready")
    s = l.accept()[0]
    s.sendall(b"hello\n" + take(s, 5).upper()); s.close(); say("done")
]]

local CLIENT = [[
    s = socket.socket(socket.AF_UNIX); s.connect(bytes.fromhex(argv[0]))
    s.sendall(b"one\ntwo"); s.shutdown(socket.SHUT_WR); say(drain(s).decode())
]]

for name, place in pairs(places) do
    describe("a stream socket of " .. name, function()
        t.guard()

        it("connects to a Python server", function()
            local address, raw = place()
            local p = t.python(SERVER, raw)
            assert.equal("ready", p:line())
            local s = socket.tcp()
            s:settimeout(10)
            assert.is_true(s:connect(address))
            assert.equal(address, s:getpeername())
            assert.equal("unix:", s:getsockname())
            assert.equal(5, s:write { "que", "ry" })
            assert.equal("hello", s:readuntil "\n"())
            assert.equal("QUERY", s:read(5))
            t.fails(socket.ERROR_CLOSED, "", s:read(1))
            s:close()
            p:finish()
        end)

        it("serves a Python client", function()
            local address, raw = place()
            local listener = socket.tcp()
            listener:settimeout(10)
            assert.is_true(listener:bind(address))
            assert.is_true(listener:listen())
            assert.equal(address, listener:getsockname())
            local p = t.python(CLIENT, raw)
            local s = assert(listener:accept())
            assert.equal("unix:", s:getpeername())
            assert.equal(address, s:getsockname())
            assert.equal("one", s:readuntil "\n"())
            assert.equal("two", s:readall())
            assert.equal(6, s:write "answer")
            s:close()
            assert.equal("answer\n", p:finish())
            listener:close()
        end)

        it("finds an address in use, and then takes another", function()
            local address = place()
            local first, second = socket.tcp(), socket.tcp()
            assert(first:bind(address))
            t.fails(socket.ERROR_INUSE, nil, second:bind(address))
            assert.equal(-1, second:fileno())
            assert.is_true(second:bind((place())))
            first:close()
            second:close()
        end)

        it("is refused where nobody listens, and can connect when somebody does", function()
            local address = place()
            local listener, s = socket.tcp(), socket.tcp()
            assert(listener:bind(address))
            t.fails(socket.ERROR_REFUSED, nil, s:connect(address))
            assert.equal(-1, s:fileno())
            assert(listener:listen())
            assert.is_true(s:connect(address))
            s:close()
            listener:close()
        end)

        it("connects from a name of its own, which the peer sees", function()
            local listener, address = t.listener "unix"
            local own = place()
            local s = socket.tcp()
            assert(s:bind(own))
            assert.is_true(s:connect(address))
            local accepted = assert(listener:accept())
            assert.equal(own, accepted:getpeername())
            assert.equal(own, s:getsockname())
            accepted:close()
            s:close()
            listener:close()
        end)

        it("carries 4 MiB to Python and back", function()
            local address, raw = place()
            local listener = socket.tcp()
            assert(listener:bind(address))
            assert(listener:listen())
            local p = t.python(
                [[
                s = socket.socket(socket.AF_UNIX); s.connect(bytes.fromhex(argv[0]))
                s.sendall(drain(s)[::-1])
                ]],
                raw
            )
            local s = assert(listener:accept())
            local data = t.random(4 * 1024 * 1024)
            assert.equal(#data, s:write(data))
            assert(s:shutdown(socket.SHUT_WR))
            assert.is_true(s:readall() == data:reverse())
            s:close()
            p:finish()
            listener:close()
        end)
    end)
end

describe("a stream socket of a path", function()
    t.guard()

    it("fails where there is no such file", function()
        local s = socket.tcp()
        t.fails(t.text "ENOENT", nil, s:connect("unix:" .. t.tmpdir() .. "/nobody"))
        t.fails(t.text "ENOENT", nil, s:bind("unix:" .. t.tmpdir() .. "/no/directory"))
        assert.equal(-1, s:fileno())
    end)

    it("is refused by a file that nobody serves any more", function()
        local listener, address = t.listener "unix"
        listener:close()
        t.fails(socket.ERROR_REFUSED, nil, socket.tcp():connect(address))
    end)

    it("cannot reach a datagram socket", function()
        local u, s = socket.udp(), socket.tcp()
        local address = "unix:" .. t.tmpdir() .. "/d"
        assert(u:bind(address))
        t.fails(t.text "EPROTOTYPE", nil, s:connect(address))
        assert.equal(-1, s:fileno())
        u:close()
    end)

    it("is one for socat as well", function()
        local listener, address = t.listener "unix"
        listener:settimeout(10)
        local p = t.socat("-t", "5", "-", "UNIX-CONNECT:" .. address:sub(6))
        local s = assert(listener:accept())
        p:send "from socat\n"
        assert.equal("from socat", s:readuntil "\n"())
        assert(s:write "to socat\n")
        assert.equal("to socat", p:line())
        p:eof()
        t.fails(socket.ERROR_CLOSED, "", s:read(1))
        s:close()
        p:finish()
        listener:close()
    end)
end)
