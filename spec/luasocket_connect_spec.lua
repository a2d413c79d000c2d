-- connect of LuaSocket's TCP sockets: its forms, what fails and how, what becomes of the descriptor.

local luasocket = require "support.luasocket"
local t = require "support.t"

local is, raises = luasocket.is, luasocket.raises
local sys = t.sys

-- A server at host, its port, and both as text.
local function listening(socket, host)
    local server = assert(socket.bind(host or "127.0.0.1", 0))
    return server, tonumber((select(2, server:getsockname())))
end

-- The same whose queue is full: an attempt to connect gets no answer.
local function full(socket)
    local server = socket.tcp4()
    assert(server:bind("127.0.0.1", 0))
    assert(server:listen(0))
    return server, tonumber((select(2, server:getsockname()))), luasocket.dial(socket, server)
end

-- Waits until an attempt to connect has ended.
local function await(socket, s)
    local _, writers = socket.select(nil, { s }, 10)
    assert.equal(s, writers[1])
end

local function close_all(...)
    for _, s in ipairs { ... } do
        is("1", s:close())
    end
end

-- The inode of a descriptor's socket: another one has another, even under the same number.
local function socket_of(s)
    return assert(sys.fdname(s:getfd()))
end

-- ---- forms ----

luasocket.describe("socket.connect", function(socket, tested)
    it("gives a client, and nothing else", function()
        local server, port = listening(socket)
        for _, given in ipairs { port, tostring(port) } do
            local got = t.pack(socket.connect("127.0.0.1", given))
            assert.equal(1, got.n)
            assert.equal("tcp{client}", got[1].class)
            is("-1, -1", got[1]:gettimeout())
            is(('"127.0.0.1", %d, "inet"'):format(port), got[1]:getpeername())
            got[1]:close()
        end
        server:close()
    end)

    it("gives nil and the error, and leaves no descriptor", function()
        local port = luasocket.closed_port()
        local before = t.fds()
        is('nil, "connection refused"', socket.connect("127.0.0.1", port))
        is('nil, "connection refused"', socket.connect("::1", port))
        is('nil, "connection refused"', socket.connect4("127.0.0.1", port))
        is('nil, "connection refused"', socket.connect6("::1", port))
        t.collect()
        assert.equal(before, t.fds())
    end)

    it("takes the address of this end, and the port with it", function()
        local server, port = listening(socket)
        local other = listening(socket, "127.0.0.3")
        local _, mine = other:getsockname() -- nobody else uses ports of this address
        other:close()
        for _, family in ipairs { "unspec", "inet", "none" } do
            local client = assert(socket.connect("127.0.0.1", port, "127.0.0.2", 0, family ~= "none" and family or nil))
            assert.equal("127.0.0.2", (client:getsockname()))
            client:close()
        end
        local client = assert(socket.connect("127.0.0.1", port, "127.0.0.3", mine))
        is(('"127.0.0.3", "%s", "inet"'):format(mine), client:getsockname())
        client:close()
        client = assert(socket.connect("127.0.0.1", port, nil, 1)) -- the port alone means nothing
        assert.not_equal("1", (select(2, client:getsockname())))
        client:close()
        if not tested.real then -- which loses the descriptor then
            is('nil, "Cannot assign requested address"', socket.connect("127.0.0.1", port, "192.0.2.77", 0))
        end
        server:close()
    end)

    it("knows three families, which are those of this end alone", function()
        local server, port = listening(socket)
        raises("invalid option 'inet4'", socket.connect, "127.0.0.1", port, nil, nil, "inet4")
        raises("invalid option ''", socket.connect, "127.0.0.1", port, nil, nil, "")
        for _, client in ipairs {
            assert(socket.connect("127.0.0.1", port, nil, nil, "inet6")),
            assert(socket.connect6("127.0.0.1", port)),
            assert(socket.connect4("127.0.0.1", port)),
        } do
            is(('"127.0.0.1", %d, "inet"'):format(port), client:getpeername())
            client:close()
        end
        server:close()
    end)

    it("reaches IPv6, and names", function()
        local server, port = listening(socket, "::1")
        for _, name in ipairs { "connect", "connect6", "connect4" } do
            local client = assert(socket[name]("::1", port))
            is(('"::1", %d, "inet6"'):format(port), client:getpeername())
            client:close()
        end
        server:close()
        server, port = listening(socket)
        local client = assert(socket.connect("localhost", port)) -- ::1 refuses first, where it is one
        is(('"127.0.0.1", %d, "inet"'):format(port), client:getpeername())
        client:close()
        server:close()
    end)

    it("tells what the look-up says", function()
        is('nil, "host or service not provided, or not known"', socket.connect("no-such-host.invalid", 80))
        is('nil, "service not supported for socket type"', socket.connect("127.0.0.1", "no-such-service"))
    end)
end)

luasocket.describe("connect of a TCP socket", function(socket)
    for _, made in ipairs { "tcp", "tcp4" } do
        it("gives 1 and a client, of " .. made, function()
            local server, port = listening(socket)
            for _, given in ipairs { port, tostring(port) } do
                local s = socket[made]()
                is("1", s:connect("127.0.0.1", given))
                assert.equal("tcp{client}", s.class)
                is(('"127.0.0.1", %d, "inet"'):format(port), s:getpeername())
                is('"inet4"', s:getfamily())
                s:close()
            end
            server:close()
        end)
    end

    it("keeps the descriptor that there was", function()
        local server, port = listening(socket)
        local s = socket.tcp4()
        local before = socket_of(s)
        is("1", s:connect("127.0.0.1", port))
        assert.equal(before, socket_of(s))
        close_all(s, server)
    end)

    it("keeps the address and the descriptor of a socket that is bound", function()
        local server, port = listening(socket)
        for _, made in ipairs { "tcp", "tcp4" } do
            local s = socket[made]()
            assert(s:bind("127.0.0.2", 0))
            local before, _, mine = socket_of(s), s:getsockname()
            is("1", s:connect("127.0.0.1", port))
            assert.equal(before, socket_of(s))
            is(('"127.0.0.2", "%s", "inet"'):format(mine), s:getsockname())
            close_all(s)
        end
        server:close()
    end)

    it("keeps options that were set before", function()
        local server, port = listening(socket)
        local s = socket.tcp4()
        is("1, 1", s:setoption("keepalive", true), s:setoption("tcp-nodelay", true))
        is("1", s:connect("127.0.0.1", port))
        is("true, true", s:getoption "keepalive", s:getoption "tcp-nodelay")
        close_all(s, server)
    end)

    it("of a socket of IPv6 tells of an IPv4 host what the look-up does", function()
        local server, port = listening(socket)
        local s6, s4 = socket.tcp6(), socket.tcp4()
        is('nil, "Address family for hostname not supported"', s6:connect("127.0.0.1", port))
        is('nil, "Address family for hostname not supported"', s4:connect("::1", port))
        is('"tcp{client}", "tcp{client}"', s6.class, s4.class)
        close_all(s6, s4, server)
    end)

    it("looks names up whatever the timeout, and is a client if there is none", function()
        local s = socket.tcp()
        s:settimeout(0)
        is('nil, "host or service not provided, or not known"', s:connect("no-such-host.invalid", 80))
        assert.equal("tcp{client}", s.class)
        is("-1", s:getfd())
        s:close()
    end)

    it("to a port that is no service is refused by the look-up", function()
        local s = socket.tcp()
        is('nil, "service not supported for socket type"', s:connect("127.0.0.1", "no-such-service"))
        is('nil, "service not supported for socket type"', s:connect("127.0.0.1", "70000x"))
        s:close()
    end)
end)

-- ---- connected already ----

luasocket.describe("a repeated connect", function(socket)
    it("of a socket that is connected gives 1 once, then says so", function()
        local server, port = listening(socket)
        for _, timeout in ipairs { -1, 5 } do
            local s = socket.tcp4()
            s:settimeout(timeout)
            is("1", s:connect("127.0.0.1", port))
            local before = socket_of(s)
            is("1", s:connect("127.0.0.1", port))
            for _ = 1, 3 do
                is('nil, "already connected"', s:connect("127.0.0.1", port))
            end
            assert.equal(before, socket_of(s))
            is("3, nil, nil", s:send "abc")
            close_all(s)
        end
        server:close()
    end)

    it("after a shutdown says so at once", function()
        local server, port = listening(socket)
        for _, how in ipairs { "send", "receive", "both" } do
            local s = socket.tcp4()
            s:settimeout(5)
            is("1", s:connect("127.0.0.1", port))
            is("1", s:shutdown(how))
            is('nil, "already connected"', s:connect("127.0.0.1", port))
            close_all(s)
        end
        close_all(server)
    end)

    it("of one that was accepted says so at once", function()
        local server, port = listening(socket)
        local client = luasocket.dial(socket, server)
        local accepted = assert(server:accept())
        is('nil, "already connected"', accepted:connect("127.0.0.1", port))
        close_all(client, accepted, server)
    end)

    it("after close has a new descriptor of the old family", function()
        local server, port = listening(socket)
        for _, made in ipairs { "tcp", "tcp4" } do
            local s = socket[made]()
            is("1", s:connect("127.0.0.1", port))
            close_all(s)
            is("1", s:connect("127.0.0.1", port))
            is("5, nil, nil", s:send "again")
            is(('"127.0.0.1", %d, "inet"'):format(port), s:getpeername())
            close_all(s)
            is('nil, "Address family for hostname not supported"', s:connect("::1", port))
            close_all(s)
        end
        server:close()
    end)
end)

-- ---- refused ----

luasocket.describe("a connect that is refused", function(socket)
    it("is told, and tried again on a new descriptor where there was none", function()
        local server, port = listening(socket)
        local s = socket.tcp()
        is('nil, "connection refused"', s:connect("127.0.0.1", luasocket.closed_port()))
        assert.is_true(s:getfd() >= 0)
        local before = socket_of(s)
        is('nil, "connection refused"', s:connect("127.0.0.1", luasocket.closed_port()))
        assert.not_equal(before, socket_of(s))
        is("1", s:connect("127.0.0.1", port))
        is(('"127.0.0.1", %d, "inet"'):format(port), s:getpeername())
        close_all(s, server)
    end)

    it("is told once more on a descriptor of a given family, which then connects", function()
        local server, port = listening(socket)
        local s = socket.tcp4()
        local before = socket_of(s)
        is('nil, "connection refused"', s:connect("127.0.0.1", luasocket.closed_port()))
        is('nil, "closed"', s:connect("127.0.0.1", port))
        is("1", s:connect("127.0.0.1", port))
        assert.equal(before, socket_of(s))
        is(('"127.0.0.1", %d, "inet"'):format(port), s:getpeername())
        close_all(s, server)
    end)

    it("keeps the options of a descriptor of a given family", function()
        local server, port = listening(socket)
        local s = socket.tcp4()
        assert(s:setoption("keepalive", true))
        is('nil, "connection refused"', s:connect("127.0.0.1", luasocket.closed_port()))
        is('nil, "closed"', s:connect("127.0.0.1", port))
        is("1", s:connect("127.0.0.1", port))
        is("true", s:getoption "keepalive")
        close_all(s, server)
    end)

    it("has told all that there is to tell: send and receive find it closed", function()
        local s = socket.tcp()
        is('nil, "connection refused"', s:connect("127.0.0.1", luasocket.closed_port()))
        is("nil", s:getoption "error")
        is('nil, "Transport endpoint is not connected"', s:getpeername())
        is('nil, "closed", 0', s:send "abc")
        is('nil, "closed", ""', s:receive())
        is("1", s:close())
    end)
end)

-- ---- without waiting ----

luasocket.describe("a connect without time", function(socket)
    for _, made in ipairs { "tcp", "tcp4" } do
        it("goes on, and is asked for again, of " .. made, function()
            local server, port = listening(socket)
            local s = socket[made]()
            s:settimeout(0)
            is('nil, "timeout"', s:connect("127.0.0.1", port))
            assert.equal("tcp{client}", s.class)
            local before = socket_of(s)
            await(socket, s)
            is("nil", s:getoption "error")
            is("1", s:connect("127.0.0.1", port))
            is('nil, "already connected"', s:connect("127.0.0.1", port))
            is('nil, "already connected"', s:connect("127.0.0.1", port))
            assert.equal(before, socket_of(s))
            is(('"127.0.0.1", %d, "inet"'):format(port), s:getpeername())
            close_all(s, server)
        end)

        it("that is refused says so when it is asked for again, of " .. made, function()
            local port = luasocket.closed_port()
            local s = socket[made]()
            s:settimeout(0)
            is('nil, "timeout"', s:connect("127.0.0.1", port))
            local before = socket_of(s)
            await(socket, s)
            is('nil, "connection refused"', s:connect("127.0.0.1", port))
            is('nil, "timeout"', s:connect("127.0.0.1", port)) -- another attempt
            assert.equal(before, socket_of(s))
            s:close()
        end)

        it("is under way while nobody answers, of " .. made, function()
            local server, port, first = full(socket)
            local s = socket[made]()
            s:settimeout(0)
            is('nil, "timeout"', s:connect("127.0.0.1", port))
            local before = socket_of(s)
            is('nil, "Operation already in progress"', s:connect("127.0.0.1", port))
            s:settimeout(5)
            is('nil, "Operation already in progress"', t.deadline(1, s.connect, s, "127.0.0.1", port))
            is("nil", s:getoption "error")
            is('nil, "Transport endpoint is not connected"', s:getpeername())
            local _, writers, err = socket.select(nil, { s }, 0)
            is('0, "timeout"', #writers, err)
            assert.equal(before, socket_of(s))
            close_all(s, first, server)
        end)
    end

    it("that is refused tells the option error once", function()
        local port = luasocket.closed_port()
        local s = socket.tcp4()
        s:settimeout(0)
        is('nil, "timeout"', s:connect("127.0.0.1", port))
        await(socket, s)
        is('"connection refused"', s:getoption "error")
        is("nil", s:getoption "error")
        s:close()
    end)

    it("that is refused tells send once", function()
        local port = luasocket.closed_port()
        local s = socket.tcp()
        s:settimeout(0)
        is('nil, "timeout"', s:connect("127.0.0.1", port))
        await(socket, s)
        s:settimeout(5)
        is('nil, "connection refused", 0', s:send "abc")
        is('nil, "closed", 0', s:send "abc")
        is('nil, "closed", ""', s:receive())
        s:close()
    end)

    it("that is refused tells receive once", function()
        local port = luasocket.closed_port()
        local s = socket.tcp4()
        s:settimeout(0)
        is('nil, "timeout"', s:connect("127.0.0.1", port))
        await(socket, s)
        s:settimeout(5)
        is('nil, "connection refused", ""', s:receive())
        is('nil, "closed", ""', s:receive())
        s:close()
    end)

    it("may be used without being asked for again", function()
        local server, port = listening(socket)
        local s = socket.tcp()
        s:settimeout(0)
        is('nil, "timeout"', s:connect("127.0.0.1", port))
        await(socket, s)
        s:settimeout(5)
        is("3, nil, nil", s:send "abc")
        local accepted = assert(server:accept())
        is('"abc", nil, nil', accepted:receive(3))
        is("6, nil, nil", accepted:send "answer")
        is('"answer", nil, nil', s:receive(6))
        close_all(s, accepted, server)
    end)

    it("is waited for by receive and send with time", function()
        local server, port = listening(socket)
        for _, call in ipairs { "send", "receive" } do
            local s = socket.tcp()
            s:settimeout(0)
            is('nil, "timeout"', s:connect("127.0.0.1", port))
            s:settimeout(5)
            local accepted = assert(server:accept())
            if call == "send" then
                is("4, nil, nil", s:send "abc\n")
                is('"abc", nil, nil', accepted:receive())
            else
                is("4, nil, nil", accepted:send "abc\n")
                is('"abc", nil, nil', s:receive())
            end
            close_all(s, accepted)
        end
        server:close()
    end)

    it("to a name tries its first address alone", function()
        local server, port = listening(socket, "127.0.0.1")
        local s = socket.tcp()
        s:settimeout(0)
        local first = assert(socket.dns.getaddrinfo "localhost")[1]
        is('nil, "timeout"', s:connect("localhost", port))
        assert.equal(first.family, (select(3, s:getsockname())))
        close_all(s, server)
    end)

    it("goes to another server once it was refused, on the same descriptor", function()
        local server, port = listening(socket)
        local s = socket.tcp()
        s:settimeout(0)
        is('nil, "timeout"', s:connect("127.0.0.1", luasocket.closed_port()))
        local before = socket_of(s)
        await(socket, s)
        is('nil, "connection refused"', s:connect("127.0.0.1", port))
        is('nil, "timeout"', s:connect("127.0.0.1", port))
        await(socket, s)
        is("1", s:connect("127.0.0.1", port))
        assert.equal(before, socket_of(s))
        is(('"127.0.0.1", %d, "inet"'):format(port), s:getpeername())
        close_all(s, server)
    end)
end)

-- ---- with a timeout ----

luasocket.describe("a connect whose time is up", function(socket)
    it("goes on in a descriptor of a given family", function()
        local server, port, first = full(socket)
        local s = socket.tcp4()
        local before = socket_of(s)
        s:settimeout(0.03)
        is('nil, "timeout"', luasocket.takes(0.03, s.connect, s, "127.0.0.1", port))
        is('"tcp{client}"', s.class)
        assert.equal(before, socket_of(s))
        s:settimeout(5)
        is('nil, "Operation already in progress"', t.deadline(1, s.connect, s, "127.0.0.1", port))
        assert.equal(before, socket_of(s))
        close_all(s, first, server)
    end)

    it("goes on as well where the family was not known, until connect begins anew", function()
        local server, port, first = full(socket)
        local s = socket.tcp()
        s:settimeout(0.03)
        is('nil, "timeout"', luasocket.takes(0.03, s.connect, s, "127.0.0.1", port))
        is('"tcp{client}"', s.class)
        local before = socket_of(s)
        is('nil, "Transport endpoint is not connected"', s:getpeername())
        is('nil, "timeout"', luasocket.takes(0.03, s.connect, s, "127.0.0.1", port))
        assert.not_equal(before, socket_of(s))
        close_all(s, first, server)
    end)

    it("is connected when there is room, which select and send notice", function()
        local server, port, first = full(socket)
        local s = socket.tcp()
        s:settimeout(0.01)
        is('nil, "timeout"', s:connect("127.0.0.1", port))
        close_all(assert(server:accept()), first)
        await(socket, s) -- when its system has asked again, after a second
        s:settimeout(5)
        is("5, nil, nil", s:send "hello")
        local accepted = assert(server:accept())
        is('"hello", nil, nil', accepted:receive(5))
        close_all(s, accepted, server)
    end)

    for mode, values in pairs {
        total = { nil, 0.03 },
        ["both, block less"] = { 0.03, 5 },
        ["both, total less"] = { 5, 0.03 },
    } do
        it("may have it of " .. mode, function()
            local server, port, first = full(socket)
            local s = socket.tcp4()
            is("1, 1", s:settimeout(values[1]), s:settimeout(values[2], "t"))
            is('nil, "timeout"', luasocket.takes(0.03, s.connect, s, "127.0.0.1", port))
            is('nil, "Operation already in progress"', s:connect("127.0.0.1", port))
            close_all(s, first, server)
        end)
    end

    it("of 0 in mode total gives what there is without waiting", function()
        local server, port, first = full(socket)
        local s = socket.tcp4()
        is("1", s:settimeout(0, "t"))
        is('nil, "timeout"', s:connect("127.0.0.1", port))
        is('nil, "Operation already in progress"', s:connect("127.0.0.1", port))
        close_all(s, first, server)
        server, port = listening(socket)
        s = socket.tcp4()
        is("1", s:settimeout(0, "t"))
        is("1", s:connect("127.0.0.1", port)) -- the system connects at once on this machine
        close_all(s, server)
    end)
end)
