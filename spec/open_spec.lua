local t = require "support.t"
local tasks = require "support.tasks"
local socket = t.socket
local WRONG_FAMILY = t.text "EAFNOSUPPORT"

local places = { inet = { "127.0.0.1", 0 }, inet6 = { "::1", 0 } }

-- Arguments of bind for a family.
local function place(family)
    if family == "unix" then
        return "unix:" .. t.tmpdir() .. "/s"
    end
    return (table.unpack or unpack)(places[family]) -- luacheck: globals unpack
end

describe("open", function()
    tasks.guard()

    for _, family in ipairs { "inet", "inet6", "unix" } do
        for kind, make in pairs { tcp = socket.tcp, udp = socket.udp } do
            it(("gives a %s socket of family %s its descriptor, until it is closed"):format(kind, family), function()
                local s = make()
                assert.is_true(s:open(family))
                assert.is_true(s:fileno() >= 0 and t.sys.isopen(s:fileno()))
                local fd = s:fileno()
                t.fails(t.text "EISCONN", nil, s:open(family))
                t.fails(t.text "EISCONN", nil, s:open "inet")
                assert.equal(fd, s:fileno())
                assert.is_true(s:bind(place(family)))
                assert.equal(fd, s:fileno())
                assert.equal(1, s:close())
                assert.equal(-1, s:fileno())
                assert.is_true(s:open(family == "unix" and "inet" or "unix"))
                s:close()
                assert.is_true(s:bind(place(family)))
                s:close()
            end)
        end
    end

    for kind, make in pairs { tcp = socket.tcp, udp = socket.udp } do
        it("fixes the family of a " .. kind .. " socket", function()
            for _, family in ipairs { "inet", "inet6", "unix" } do
                local s = make()
                assert(s:open(family))
                local fd = s:fileno()
                for _, other in ipairs { "inet", "inet6", "unix" } do
                    if other ~= family and not (family == "inet6" and other == "inet") then
                        t.fails(WRONG_FAMILY, nil, s:bind(place(other)))
                        local host, port = place(other)
                        t.fails(WRONG_FAMILY, nil, s:connect(host, port and 9))
                    end
                end
                if family == "unix" then
                    t.fails(WRONG_FAMILY, nil, s:bind("*", 0))
                end
                assert.equal(fd, s:fileno())
                assert(s:bind(place(family)))
                s:close()
            end
        end)
    end

    it("lets datagrams go to its family only", function()
        local r, s = socket.udp(), socket.udp()
        r:settimeout(5)
        assert(r:bind("127.0.0.1", 0))
        assert(s:open "inet")
        local fd = s:fileno()
        t.fails(WRONG_FAMILY, nil, s:sendto("x", "::1", 9))
        t.fails(WRONG_FAMILY, nil, s:sendto("x", "unix:/nowhere"))
        assert(s:sendto("x", r:getsockname()))
        assert.equal("x", (r:recv()))
        assert(s:connect(r:getsockname()))
        assert(s:send "y")
        assert.equal("y", (r:recv()))
        assert.equal(fd, s:fileno())
        s:close()
        r:close()
    end)

    it("applies the options that were set before, and later ones at once", function()
        local s = socket.tcp()
        assert(s:setopt(socket.OPT_TCP_KEEPALIVE, true))
        assert(s:open "inet6")
        local twin = assert(socket.fromfd(assert(t.sys.dup(s:fileno()))))
        assert.is_true(twin:getopt(socket.OPT_TCP_KEEPALIVE))
        assert.is_false(twin:getopt(socket.OPT_TCP_NODELAY))
        assert(s:setopt(socket.OPT_TCP_NODELAY, true))
        assert.is_true(twin:getopt(socket.OPT_TCP_NODELAY))
        assert.is_false(s:getopt(socket.OPT_IPV6_V6ONLY))
        assert(s:setopt(socket.OPT_IPV6_V6ONLY, true))
        twin:close()
        s:close()
    end)

    it("leaves a socket closed when an option is refused", function()
        local s = socket.tcp()
        assert(s:setopt(6, 9999, 1)) -- no such option of TCP
        local before = t.fds()
        t.fails(t.text "ENOPROTOOPT", nil, s:open "inet")
        assert.equal(-1, s:fileno())
        assert.equal(before, t.fds())
    end)

    it("leaves the descriptor where bind and connect fail", function()
        local s = socket.tcp()
        s:settimeout(5)
        assert(s:open "inet")
        local fd = s:fileno()
        t.fails(t.text "EADDRNOTAVAIL", nil, s:bind("192.0.2.77", 0))
        local silent = socket.tcp() -- it has the port, and does not listen
        assert(silent:bind("127.0.0.1", 0))
        for _ = 1, 3 do
            t.fails(socket.ERROR_REFUSED, nil, s:connect(silent:getsockname()))
            assert.equal(fd, s:fileno())
        end
        silent:close()
        assert(s:bind("127.0.0.1", 0))
        assert(s:listen())
        local client = assert(socket.connect(s:getsockname()))
        s:settimeout(5)
        assert(s:accept()):close()
        client:close()
        s:close()
    end)

    it("makes a socket that other calls find not connected", function()
        local s = socket.tcp()
        s:settimeout(5)
        assert(s:open "inet")
        t.fails(t.text "ENOTCONN", "", s:read(1))
        t.fails(t.text "ENOTCONN", nil, s:getpeername())
        t.fails(t.text "ENOTCONN", nil, s:shutdown(socket.SHUT_RDWR))
        assert.equal("0.0.0.0:0", tostring(s:getsockname()))
        s:close()
    end)

    it("can detach the descriptor", function()
        local s = socket.udp()
        assert(s:open "inet")
        local fd = s:fileno()
        assert.equal(fd, s:detach())
        assert.equal(-1, s:fileno())
        t.sys.close(fd)
    end)

    it("closes the descriptor of a lost socket", function()
        local before = t.fds()
        local s = socket.tcp()
        assert(s:open "unix")
        assert.equal(before + 1, t.fds())
        s = nil -- luacheck: ignore
        t.collect()
        assert.equal(before, t.fds())
    end)

    it("fails as a value when no descriptor is left", function()
        local s = socket.tcp()
        local had = t.sys.nofile()
        local free = assert(t.sys.dup(0))
        t.sys.close(free)
        assert(t.sys.nofile(free))
        local ok, err = s:open "inet"
        t.sys.nofile(had)
        t.fails(t.text "EMFILE", nil, ok, err)
        assert(s:open "inet")
        s:close()
    end)

    it("is busy while another task's call is about to open the socket", function()
        local s = socket.tcp()
        s:settimeout(5)
        local connecting = tasks.spawn(s.connect, s, "localhost", 9)
        local result
        local opening = tasks.spawn(function()
            result = t.pack(s:open "inet")
        end)
        opening:wait()
        assert.same({ n = 2, nil, socket.ERROR_BUSY }, result)
        connecting:wait()
        s:close()
    end)

    it("refuses what is no family", function()
        local s = socket.tcp()
        for _, bad in ipairs { "", "inet4", "INET", "inet\0", 4, {}, true } do
            t.rejects(s.open, s, bad)
        end
        t.rejects(s.open, s)
        assert.equal(-1, s:fileno())
    end)
end)
