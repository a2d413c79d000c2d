local t = require "support.t"
local socket, sys = t.socket, t.sys

describe("pair", function()
    t.guard()

    it("gives two connected stream sockets without names", function()
        local a, b = socket.pair()
        assert.equal("tcpsock", getmetatable(a))
        for _, s in ipairs { a, b } do
            assert.equal("unix:", s:getsockname())
            assert.equal("unix:", s:getpeername())
            assert.equal(-1, s:gettimeout())
        end
        assert.equal(3, a:write "to\n")
        assert.equal(5, b:write "fro\0\n")
        assert.equal("to", b:readuntil "\n"())
        assert.equal("fro\0", a:readuntil "\n"())
        a:close()
        t.fails(socket.ERROR_CLOSED, "", b:read(1))
        t.fails(socket.ERROR_CLOSED, 0, b:write "x")
        b:close()
    end)

    it("fails where there is room for one descriptor only, and leaks none", function()
        local soft = sys.nofile()
        local first = sys.dup(0)
        local second = sys.dup(0)
        sys.close(first)
        sys.close(second)
        sys.nofile(second)
        local near, far = sys.socketpair(sys.SOCK_STREAM)
        local a, err = socket.pair()
        sys.nofile(soft)
        if near then -- valgrind counts by itself
            sys.close(near)
            sys.close(far)
            return pending "the limit on descriptors is not enforced here"
        end
        t.fails(t.text "EMFILE", nil, a, err)
    end)
end)

describe("descriptors", function()
    t.guard()

    local makers = {
        connect = function()
            return t.connected()
        end,
        accept = function()
            local client, accepted = t.connected()
            return accepted, client
        end,
        bind = function()
            return (t.listener())
        end,
        pair = function()
            return socket.pair()
        end,
        ["pair's second"] = function()
            local a, b = socket.pair()
            return b, a
        end,
        fromfd = function()
            return t.wire()
        end,
    }
    for name, make in pairs(makers) do
        -- pitfall: descriptors inherited by child processes
        it("of " .. name .. " are close-on-exec and not inherited", function()
            local s, other = make()
            assert.is_true(sys.cloexec(s:fileno()))
            local p = t.python("print(os.path.exists('/proc/self/fd/' + argv[0]))", s:fileno())
            assert.equal("False\n", p:finish())
            s:close()
            if other then
                other:close()
            end
        end)
    end
end)

-- pitfall: descriptor 0 taken for "not open" (close stdin, then connect)
describe("descriptor 0", function()
    t.guard()

    local saved
    before_each(function()
        saved = sys.dup(0)
    end)
    after_each(function()
        sys.dup2(saved, 0)
        sys.close(saved)
    end)

    it("is a descriptor like any other for connect", function()
        local listener, address = t.listener()
        local s = socket.tcp()
        sys.close(0)
        assert.is_true(s:connect(address))
        assert.equal(0, s:fileno())
        assert.equal("<tcpsock: 0>", tostring(s))
        local accepted = assert(listener:accept())
        assert.equal(2, s:write "hi")
        assert.equal("hi", accepted:read(2))
        assert.equal(1, accepted:write "x")
        assert.equal("x", s:read(1))
        t.fails(t.text "EISCONN", nil, s:connect(address))
        assert.equal(1, s:close())
        assert.is_false(sys.isopen(0))
        assert.equal(-1, s:fileno())
        accepted:close()
        listener:close()
    end)

    it("is one for bind, listen, accept and the collector", function()
        local s = socket.tcp()
        sys.close(0)
        assert.is_true(s:bind("127.0.0.1", 0))
        assert.equal(0, s:fileno())
        assert.is_true(s:listen())
        local client = socket.tcp()
        assert.is_true(client:connect(s:getsockname()))
        local accepted = assert(s:accept())
        s:close()
        local again = socket.tcp()
        assert(again:bind("127.0.0.1", 0))
        assert.equal(0, again:fileno())
        again = nil -- luacheck: ignore
        t.collect()
        assert.is_false(sys.isopen(0))
        accepted:close()
        client:close()
    end)

    it("is one for accept, pair, detach and fromfd", function()
        local listener, address = t.listener()
        local client = socket.tcp()
        assert(client:connect(address))
        sys.close(0)
        local accepted = assert(listener:accept())
        assert.equal(0, accepted:fileno())
        assert.equal(0, accepted:detach())
        assert.is_true(sys.isopen(0))
        accepted = assert(socket.fromfd(0))
        assert.equal(0, accepted:fileno())
        accepted:close()
        local a, b = socket.pair()
        assert.equal(0, a:fileno())
        a:close()
        b:close()
        client:close()
        listener:close()
    end)
end)
