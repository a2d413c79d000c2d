-- Names, and addresses with a scope, wherever an address is taken: what a resolver answers comes from a name server of
-- our own (support/nameserver.py), and hosts files are private (support.space).

local space = require "support.space"
local t = require "support.t"
local tools = require "support.tools"

-- Every call that takes a host, as Lua code: a function of socket, host and port.
local CALLS = [[
    local calls = {
        connect = { socket.tcp, function(s, ...) return s:connect(...) end },
        bind = { socket.tcp, function(s, ...) return s:bind(...) end },
        ["bind of datagrams"] = { socket.udp, function(s, ...) return s:bind(...) end },
        ["connect of datagrams"] = { socket.udp, function(s, ...) return s:connect(...) end },
        sendto = { socket.udp, function(s, ...) return s:sendto("data", ...) end },
        send = { socket.udp, function(s, ...) return s:send("data", ...) end },
        sendmany = { socket.udp, function(s, ...) return s:sendmany({ "data" }, ...) end },
        resolve = { socket.udp, function(s, host, port) return socket.resolve(host, port, s:gettimeout()) end },
    }
]]

local two = "two.test 2001:db8::1 192.0.2.1"

-- Calls check(timeout) on the main program's thread, under a deadline, and in a task.
local IN_EACH_WORLD = [[check(-1) check(20) assert(socket.spawn(check):wait(20))]]

describe("a name", function()
    t.guard()

    it("is resolved to all of its addresses, in the resolver's order", function()
        local here = space.open(two) or pending(space.why)
        here:lua [[
            for _, timeout in ipairs { -1, 5 } do
                local found = assert(socket.resolve("two.test", 80, timeout))
                inside.equal("[2001:db8::1]:80 192.0.2.1:80", tostring(found[1]) .. " " .. tostring(found[2]))
                inside.equal("inet6 inet", found[1].family .. " " .. found[2].family)
                inside.equal(nil, found[3])
                local other_case = sys.musl and "two.test" or "TWO.test" -- musl tells them apart in /etc/hosts
                inside.equal("2001:db8::1 192.0.2.1", inside.hosts(socket.resolve(other_case, nil, timeout)))
                inside.equal(0, socket.resolve("two.test", nil, timeout)[2][2])
            end
        ]]
    end)

    it("that has no address is not found, for every call", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua(CALLS .. [[
            for title, call in pairs(calls) do
                for _, host in ipairs { "nxdomain.test", "nodata.test", "nxdomain.test." } do
                    for _, timeout in ipairs { -1, 5 } do
                        local s = call[1]()
                        s:settimeout(timeout)
                        local ok, err = call[2](s, host, 80)
                        assert(ok == nil and err == socket.ERROR_NOTFOUND, title .. ": " .. tostring(err))
                        inside.equal(-1, s:fileno())
                    end
                end
            end
        ]])
    end)

    -- Once the name server says so, once nobody is there to ask. The words are the system's.
    it("that cannot be looked up at the moment fails in the system's words, for every call", function()
        local here = space.open() or pending(space.why)
        local code = (CALLS .. [[
            for title, call in pairs(calls) do
                for _, timeout in ipairs { -1, 5 } do
                    local s = call[1]()
                    s:settimeout(timeout)
                    local ok, err = call[2](s, "servfail.test", 80)
                    assert(ok == nil and err == WORDS, title .. ": " .. tostring(err))
                    inside.equal(-1, s:fileno())
                end
            end
        ]]):gsub("WORDS", ("%q"):format(t.sys.resolver_text()))
        here:lua(code)
        here:nameserver()
        here:lua(code)
    end)

    it("with an address of one family is reached", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua [[
            for name, host in pairs { four = "127.0.0.1", six = "::1" } do
                local listener, port = inside.listen(host)
                for _, timeout in ipairs { -1, 5 } do
                    local s = socket.tcp()
                    s:settimeout(timeout)
                    inside.equal(host, inside.hosts(socket.resolve(name .. ".test", 1, timeout)))
                    assert(s:connect(name .. ".test", port))
                    inside.equal(host, s:getpeername()[1])
                end
            end
        ]]
    end)

    it("as an address value is one too", function()
        local here = space.open(two) or pending(space.why)
        here:lua [[
            local listener, port = inside.listen "2001:db8::1"
            local s = socket.tcp()
            assert(s:connect { "two.test", port })
            inside.equal("2001:db8::1", s:getpeername()[1])
        ]]
    end)

    it("can be bound at the first of its addresses that is ours", function()
        local hosts = two .. "\nsecond.test 2001:db8::2 192.0.2.1\nnone.test 2001:db8::2 192.0.2.2"
        local here = space.open(hosts) or pending(space.why)
        here:lua(([[
            for _, make in ipairs { socket.tcp, socket.udp } do
                for _, timeout in ipairs { -1, 5 } do
                    local s = make()
                    s:settimeout(timeout)
                    assert(s:bind("two.test", 0))
                    inside.equal("2001:db8::1", s:getsockname()[1])
                    s:close()
                    assert(s:bind("second.test", 0))
                    inside.equal("192.0.2.1", s:getsockname()[1])
                    s:close()
                    inside.fails(%q, s:bind("none.test", 0))
                    inside.equal(-1, s:fileno())
                end
            end
            local busy = { socket.tcp(), socket.tcp(), socket.tcp() }
            assert(busy[1]:bind("2001:db8::1", 4000) and busy[2]:bind("192.0.2.1", 4000))
            inside.fails(socket.ERROR_INUSE, busy[3]:bind("two.test", 4000))
        ]]):format(t.text "EADDRNOTAVAIL"))
    end)

    it("is where datagrams go, in the family of the socket", function()
        local here = space.open(two) or pending(space.why)
        here:lua [[
            local six, four = socket.udp(), socket.udp()
            assert(six:bind("2001:db8::1", 4000) and four:bind("192.0.2.1", 4000))
            for _, timeout in ipairs { -1, 5 } do
                local fresh, bound, peer = socket.udp(), socket.udp(), socket.udp()
                for _, u in ipairs { six, four, fresh, bound, peer } do
                    u:settimeout(timeout)
                end
                assert(fresh:sendto("fresh", "two.test", 4000)) -- a fresh socket is opened for the first address
                inside.equal("fresh", six:recv())
                assert(bound:bind("127.0.0.1", 0))
                assert(bound:sendto("bound", "two.test", 4000))
                inside.equal("bound", four:recv())
                inside.equal(2, bound:sendmany({ "x", "y" }, "two.test", 4000))
                inside.equal("xy", four:recv() .. four:recv())
                assert(peer:connect("two.test", 4000))
                inside.equal("2001:db8::1", peer:getpeername()[1])
                assert(bound:connect("two.test", 4000))
                inside.equal("192.0.2.1", bound:getpeername()[1])
            end
        ]]
    end)

    it("is reached by datagrams over the address whose network is there", function()
        local here = space.open "host.test 2001:db8:2::7 192.0.2.1" or pending(space.why)
        here:lua [[
            local u = socket.udp()
            assert(u:connect("host.test", 4000))
            inside.equal("192.0.2.1", u:getpeername()[1])
        ]]
    end)
end)

describe("an address with a scope", function()
    t.guard()

    local written = { "fe80::1%lo", "[fe80::1%lo]", "fe80::1%1", "FE80:0::1%lo" }

    for _, host in ipairs(written) do
        it("goes in everywhere and comes back as it was: " .. host, function()
            local here = space.open() or pending(space.why)
            here:lua(([[
                local host, shown = %q, "fe80::1%%lo"
                local listener, u, other = socket.tcp(), socket.udp(), socket.udp()
                local function check(address, port)
                    inside.equal(shown, address[1])
                    inside.equal("inet6", address.family)
                    inside.equal("[" .. shown .. "]:" .. address[2], tostring(address))
                    assert(port == nil or port == address[2])
                    return address
                end
                check(socket.resolve(host, 80)[1], 80)
                check(socket.resolve(host, 80, 0)[1], 80)

                assert(listener:bind(host, 0) and listener:listen())
                local address = check(listener:getsockname())
                for _, timeout in ipairs { -1, 5, 0.05 } do
                    local client, again = socket.tcp(), socket.tcp()
                    client:settimeout(timeout)
                    assert(client:connect(host, address[2]))
                    check(client:getpeername(), address[2])
                    local accepted = listener:accept()
                    check(accepted:getsockname(), address[2])
                    check(accepted:getpeername(), client:getsockname()[2])
                    assert(again:bind(socket.resolve(host)[1]))
                    assert(again:connect(client:getpeername()))
                    assert(listener:accept())
                end

                u:settimeout(5)
                assert(u:bind(host, 0))
                local at = check(u:getsockname())
                assert(other:sendto("one", host, at[2]))
                local data, from = u:recvfrom()
                inside.equal("one", data)
                check(from, other:getsockname()[2])
                assert(u:sendto("back", from))
                inside.equal("back", other:recv())
                inside.equal(1, other:sendmany({ "two" }, at))
                local many, senders = u:recvmany(1, 10)
                inside.equal("two", many[1])
                check(senders[1])
                assert(other:connect(at))
                check(other:getpeername(), at[2])
                assert(other:send "three")
                inside.equal("three", u:recv())
            ]]):format(host))
        end)
    end

    it("is not found when there is no such interface", function()
        local here = space.open() or pending(space.why)
        here:lua(CALLS .. [[
            for title, call in pairs(calls) do
                for _, scope in ipairs { "nowhere", "", "0", "-1", "1x", "lo%lo" } do
                    local ok, err = call[2](call[1](), "fe80::1%" .. scope, 80)
                    assert(ok == nil and err == socket.ERROR_NOTFOUND, title .. " " .. scope .. ": " .. tostring(err))
                end
            end
        ]])
    end)

    it("cannot be reached without it", function()
        local here = space.open() or pending(space.why)
        here:lua(([[
            local _, port = inside.listen "fe80::1%%lo"
            inside.fails(%q, socket.tcp():connect("fe80::1", port))
        ]]):format(t.text "EINVAL"))
    end)

    -- A number that no interface has is the system's to judge.
    it("may name an interface by its number", function()
        local here = space.open() or pending(space.why)
        here:lua [[
            inside.equal("fe80::1%4711", socket.resolve("fe80::1%4711")[1][1])
            assert(socket.tcp():connect("fe80::1%4711", 80) == nil)
        ]]
    end)
end)

-- The operation that opens the socket first is another one than that of an open socket; its wait is not the kernel's.
describe("the first datagram of a socket", function()
    t.guard()

    for _, call in ipairs { "sendto", "sendmany" } do
        it("keeps the deadline when the receiver's queue is full: " .. call, function()
            local socket = t.socket
            local name = t.abstract()
            local p = t.python(
                [[
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("\0" + argv[0]); say("ready")
                select.select([sys.stdin], [], [], 5)
                while select.select([s], [], [], 0.1)[0]: s.recv(10)
                ]],
                name:match "@(.*)"
            )
            assert.equal("ready", p:line())
            local first, second = socket.udp(), socket.udp()
            first:settimeout(0)
            local ok, err
            repeat
                ok, err = first:sendto("data", name)
            until not ok
            assert.equal(socket.ERROR_TIMEOUT, err)
            second:settimeout(0.3)
            ok, err = t.takes(0.3, second[call], second, call == "sendto" and "data" or { "data" }, name)
            t.fails(socket.ERROR_TIMEOUT, nil, ok, err)
            first:close()
            second:close()
            p:kill()
        end)
    end
end)

describe("resolve with a family", function()
    t.guard()

    it("gives addresses of that family only, and tells a host without one from no host", function()
        local here = space.open(two .. "\nsix.hosts 2001:db8::7") or pending(space.why)
        here:nameserver()
        here:lua((([[
            local checked = 0
            local function finds(hosts, host, family, timeout)
                inside.equal(hosts, inside.hosts(assert(socket.resolve(host, 80, timeout, family))))
                checked = checked + 1
            end
            local function lacks(exists, host, family, timeout)
                local list, err, third = socket.resolve(host, 80, timeout, family)
                inside.fails(socket.ERROR_NOTFOUND, list, err)
                inside.equal(exists, third)
                checked = checked + 1
            end
            local function check(timeout)
                finds("192.0.2.1", "two.test", "inet", timeout)
                finds("2001:db8::1", "two.test", "inet6", timeout)
                finds("127.0.0.1", "four.test", "inet", timeout)
                finds("::1", "six.test", "inet6", timeout)
                lacks(true, "four.test", "inet6", timeout)
                lacks(true, "six.test", "inet", timeout)
                lacks(true, "six.hosts", "inet", timeout)
                lacks(not sys.musl or nil, "nodata.test", nil, timeout) -- musl calls such a name unknown
                lacks(nil, "nxdomain.test", nil, timeout)
                lacks(nil, "nxdomain.test", "inet", timeout)
                lacks(nil, "nxdomain.test", "inet6", timeout)
                lacks(nil, "127.1", "inet", timeout)
                lacks(true, "::1", "inet", timeout)
                lacks(true, "127.0.0.1", "inet6", timeout)
                lacks(true, "::ffff:127.0.0.1", "inet6", timeout)
                finds("127.0.0.1", "::ffff:127.0.0.1", "inet", timeout)
                finds("::1", "[::1]", "inet6", timeout)
            end
            WORLD
            inside.equal(51, checked)
        ]]):gsub("WORLD", IN_EACH_WORLD)))
    end)
end)

describe("the canonical name", function()
    t.guard()

    it("is what an alias stands for, else the host", function()
        local here = space.open "first.hosts 127.0.0.1" or pending(space.why)
        here:nameserver()
        here:lua((([[
            local checked = 0
            local function check(timeout)
                for host, canonical in pairs { ["alias.test"] = "both.test", ["both.test"] = "both.test",
                    ["first.hosts"] = "first.hosts", ["127.0.0.1"] = "127.0.0.1", ["[::1]"] = "::1",
                    ["fe80::1%lo"] = "fe80::1%lo" } do
                    local found = assert(socket.resolve(host, 80, timeout))
                    inside.equal(canonical, found.canonical)
                    checked = checked + 1
                end
            end
            WORLD
            inside.equal(18, checked)
        ]]):gsub("WORLD", IN_EACH_WORLD)))
    end)
end)

describe("the name of a service", function()
    t.guard()

    it("is the port of each address of a name or a numeric host", function()
        local here = space.open(two) or pending(space.why)
        here:lua((([[
            local checked = 0
            local function check(timeout)
                for _, case in ipairs { { "two.test", "http", 80 }, { "127.0.0.1", "http", 80 },
                    { "::1", "domain", 53 }, { "127.0.0.1", "tftp", 69 }, { "two.test", "tftp", 69 } } do
                    local found = assert(socket.resolve(case[1], case[2], timeout))
                    inside.equal(case[1] == "two.test" and 2 or 1, #found)
                    for _, addr in ipairs(found) do
                        inside.equal(case[3], addr[2])
                    end
                    checked = checked + 1
                end
                for _, host in ipairs { "two.test", "127.0.0.1", "::1" } do
                    for _, service in ipairs { "no-such-service", "80x" } do
                        local list, err = socket.resolve(host, service, timeout)
                        assert(list == nil)
                        inside.equal("EAI_SERVICE", socket.errname(err))
                        checked = checked + 1
                    end
                end
            end
            WORLD
            inside.fails(socket.ERROR_TIMEOUT, socket.resolve("127.0.0.1", "http", 0))
            inside.equal(33, checked)
        ]]):gsub("WORLD", IN_EACH_WORLD)))
    end)
end)

describe("nameinfo", function()
    t.guard()

    it("gives the names of an address and of the service at its port", function()
        local here = space.open "named.hosts 192.0.2.1 2001:db8::1" or pending(space.why)
        here:nameserver()
        here:lua((([[
            local checked = 0
            local function check(timeout)
                local function gives(host, service, ...)
                    local got, at = socket.nameinfo(..., timeout)
                    inside.equal(host, got)
                    inside.equal(service, at)
                    checked = checked + 1
                end
                gives("named.hosts", "http", { "192.0.2.1", 80 })
                gives("named.hosts", "47", { "2001:db8::1", 47 })
                gives("named.hosts", "http", { "::ffff:192.0.2.1", 80 })
                gives("named.hosts", "0", "192.0.2.1")
                gives("named.hosts", "0", "[2001:db8::1]")
                gives("ptr.test", "http", { "192.0.2.7", 80 })
                gives("ptr.test", "http", socket.resolve("192.0.2.7", "http", 20)[1])
                gives(nil, socket.ERROR_NOTFOUND, { "192.0.2.77", 80 })
                gives(nil, socket.ERROR_NOTFOUND, { "127.1", 80 })
                gives(nil, socket.strerror(sys.EAFNOSUPPORT), "unix:/tmp/x")
                gives(nil, socket.strerror(sys.EAFNOSUPPORT), "/tmp/x")
            end
            WORLD
            inside.equal(33, checked)
        ]]):gsub("WORLD", IN_EACH_WORLD)))
    end)

    it("keeps to its deadline, and lets other tasks run", function()
        local here = space.open() or pending(space.why)
        here:nameserver()
        here:lua [[
            local addr, sockets = { "192.0.2.8", 80 }, inside.count "socket:["
            inside.fails(socket.ERROR_TIMEOUT, inside.takes(0.1, 0.9, socket.nameinfo, addr, 0.1))
            inside.fails(socket.ERROR_TIMEOUT, inside.takes(0, 0.9, socket.nameinfo, addr, 0))
            inside.equal("ptr.test", (inside.takes(0.2, 0.9, socket.nameinfo, { "192.0.2.9", 80 }, 20)))
            local order = {}
            local slow = socket.spawn(function()
                local name = assert(socket.nameinfo({ "192.0.2.9", 80 }))
                order[#order + 1] = name
            end)
            local silent = socket.spawn(socket.nameinfo, addr, 0.1)
            local cancelled = socket.spawn(socket.nameinfo, addr)
            socket.spawn(function() order[#order + 1] = "other" end)
            socket.sleep(0.01)
            cancelled:cancel()
            inside.fails(socket.ERROR_CANCELLED, select(2, cancelled:wait(20)))
            inside.fails(socket.ERROR_TIMEOUT, select(2, silent:wait(20)))
            assert(slow:wait(20))
            inside.equal("other ptr.test", table.concat(order, " "))
            inside.settle()
            inside.equal(sockets, inside.count "socket:[")
        ]]
    end)

    it("takes a numeric address and nothing else", function()
        for _, value in ipairs { true, 5, print, {}, { "127.0.0.1" }, { 127, 80 }, { "localhost", 80 }, "localhost",
            "127.0.0.1\0", { "::1", 65536 } } do
            tools.misuse(tools.field, t.socket, "nameinfo", 1, { value })
        end
        tools.misuse(tools.field, t.socket, "nameinfo", 1, {})
        for _, timeout in ipairs { "x", {}, tools.nan } do
            tools.misuse(tools.field, t.socket, "nameinfo", 2, { "127.0.0.1", timeout })
        end
        for _, family in ipairs { "unix", "", "INET", 4, true, {} } do
            tools.misuse(tools.field, t.socket, "resolve", 4, { "127.0.0.1", 80, 1, family })
        end
        for _, service in ipairs { "", "http\0", {}, true } do
            tools.misuse(tools.field, t.socket, "resolve", 2, { "127.0.0.1", service })
        end
    end)
end)
