-- socket.connect and socket.listen: a socket that is ready in one call.

local t = require "support.t"
local tools = require "support.tools"

local socket, sys = t.socket, t.sys

-- What arrives at the other end shows that the two are connected.
local function pass(listener, client)
    listener:settimeout(5)
    local accepted = assert(listener:accept())
    accepted:settimeout(5)
    assert(client:write "hello")
    assert.equal("hello", (accepted:read(5)))
    accepted:close()
    client:close()
end

describe("socket.listen and socket.connect", function()
    t.guard()

    it("take an address in each of its forms", function()
        local path = t.tmpdir() .. "/s"
        for _, address in ipairs {
            { "127.0.0.1", 0 }, { "localhost", 0 }, { "*", 0 }, { "127.0.0.1:0" }, { "[::1]:0" }, { path },
            { "unix:@short" .. sys.getpid() },
        } do
            local listener = assert(socket.listen(address[1], address[2]))
            local addr = listener:getsockname()
            local ip = type(addr) == "table"
            local host = address[1] == "*" and "127.0.0.1" or addr[1]
            pass(listener, assert(socket.connect(addr)))
            pass(listener, assert(socket.connect(tostring(addr))))
            pass(listener, assert(socket.connect(addr, 5)))
            pass(listener, assert(socket.connect(tostring(addr), 5)))
            if ip then
                pass(listener, assert(socket.connect(host, addr[2])))
                pass(listener, assert(socket.connect(host, addr[2], 5)))
            end
            if address[1] == "localhost" then
                pass(listener, assert(socket.connect("localhost", addr[2], 5)))
                pass(listener, assert(socket.connect("localhost:" .. addr[2], 5)))
            end
            listener:close()
        end
    end)

    it("keep the timeout of connect for the calls that follow", function()
        local listener = assert(socket.listen "127.0.0.1:0")
        local addr = listener:getsockname()
        assert.equal(-1, listener:gettimeout())
        for timeout, client in pairs {
            [-1] = assert(socket.connect(addr)), [2.5] = assert(socket.connect(addr, 2.5)),
            [3] = assert(socket.connect(addr[1], addr[2], 3)),
        } do
            assert.equal(timeout, client:gettimeout())
            client:close()
        end
        local path = "unix:@full" .. sys.getpid()
        local full, clients = assert(socket.listen(path, { backlog = 0 })), {}
        t.deadline(20, function()
            local err
            while not err and #clients < 50 do
                clients[#clients + 1], err = socket.connect(path, 0.05)
                err = #clients < 50 and err
            end
            assert.equal(socket.ERROR_TIMEOUT, err)
        end)
        for _, client in ipairs(clients) do
            client:close()
        end
        full:close()
        listener:close()
    end)

    it("fail with what connect, bind and listen say, and leave nothing open", function()
        local before = t.fds()
        local listener = assert(socket.listen "127.0.0.1:0")
        local addr = listener:getsockname()
        t.fails(socket.ERROR_INUSE, nil, socket.listen(addr))
        listener:close()
        local silent = socket.tcp()
        assert(silent:bind("127.0.0.1", 0))
        t.fails(socket.ERROR_REFUSED, nil, socket.connect(silent:getsockname()))
        silent:close()
        t.fails(socket.ERROR_NOTFOUND, nil, socket.connect("127.1", 80))
        t.fails(socket.ERROR_NOTFOUND, nil, socket.connect("*", 80))
        t.fails(socket.ERROR_NOTFOUND, nil, socket.listen("127.1", 80))
        t.fails(t.text "EADDRNOTAVAIL", nil, socket.listen("192.0.2.1", 0))
        t.fails(t.text "ENOENT", nil, socket.connect(t.tmpdir() .. "/nobody"))
        t.fails(t.text "ENOENT", nil, socket.listen(t.tmpdir() .. "/no/directory"))
        assert.equal(before, t.fds())
    end)

    it("reject misuse before they open anything", function()
        local before = t.fds()
        local addr = { "127.0.0.1", 80 }
        tools.misuse(tools.field, socket, "connect", 1, {})
        tools.misuse(tools.field, socket, "connect", 2, { "localhost" })
        tools.misuse(tools.field, socket, "connect", 2, { addr, tools.nan })
        tools.misuse(tools.field, socket, "connect", 2, { "127.0.0.1:80", {} })
        tools.misuse(tools.field, socket, "connect", 3, { "127.0.0.1:80", 80, 5 })
        tools.misuse(tools.field, socket, "connect", 3, { "127.0.0.1", 80, tools.nan })
        tools.misuse(tools.field, socket, "connect", 2, { "127.0.0.1", 65536, 1 })
        tools.misuse(tools.field, socket, "listen", 1, { true })
        tools.misuse(tools.field, socket, "listen", 2, { "localhost", {} })
        for _, options in ipairs {
            1, true, "x", { "backlog" }, { backlog = "5x" }, { backlog = 1.5 }, { backlog = tools.nan },
            { backlog = math.huge }, { backlog = true }, { nodelay = 1 }, { reuseport = "yes" }, { v6only = 0 },
            { reuseaddr = true }, { [true] = true }, { Backlog = 5 },
        } do
            tools.misuse(tools.field, socket, "listen", 2, { "127.0.0.1:0", options })
            tools.misuse(tools.field, socket, "listen", 3, { "127.0.0.1", 0, options })
        end
        local _, err = pcall(socket.listen, "127.0.0.1:0", { 16 })
        assert.truthy(err:find("options have names: { backlog = 16 }, not { 16 }", 1, true), err)
        assert.equal(before, t.fds())
    end)
end)

describe("the options of socket.listen", function()
    t.guard()

    it("are those of the socket", function()
        local first = assert(socket.listen("127.0.0.1", 0, { reuseport = true, nodelay = true, backlog = 7 }))
        local second = assert(socket.listen(first:getsockname(), { reuseport = true, nodelay = false }))
        assert.is_true(first:getopt(socket.OPT_TCP_NODELAY))
        assert.is_false(second:getopt(socket.OPT_TCP_NODELAY))
        assert.is_true(second:getopt(socket.OPT_TCP_REUSEADDR))
        first:close()
        second:close()
    end)

    it("may keep IPv4 from an IPv6 listener", function()
        for _, only in ipairs { true, false } do
            local listener = assert(socket.listen("*", 0, { v6only = only }))
            local port = listener:getsockname()[2]
            local client, err = socket.connect("127.0.0.1", port)
            assert.equal(only, err == socket.ERROR_REFUSED)
            if client then
                client:close()
            end
            listener:close()
        end
    end)

    it("may bound the queue", function()
        local path = "unix:@queue" .. sys.getpid()
        for backlog, room in pairs { [-5] = 1, [0] = 1, [3] = 4 } do
            local listener, clients = assert(socket.listen(path, { backlog = backlog })), {}
            repeat
                local client = socket.connect(path, 0)
                clients[#clients + 1] = client
            until not client
            assert.equal(room, #clients)
            for _, client in ipairs(clients) do
                client:close()
            end
            listener:close()
        end
    end)
end)

describe("socket.listen on a path that exists", function()
    t.guard()

    it("replaces the file of a socket that is dead", function()
        local path = t.tmpdir() .. "/dead"
        socket.listen(path):close()
        t.fails(socket.ERROR_INUSE, nil, socket.tcp():bind(path))
        local listener = assert(socket.listen(path))
        pass(listener, assert(socket.connect(path)))
        listener:close()
    end)

    it("leaves what is alive, and what is no socket", function()
        local dir = t.tmpdir()
        local alive, full, datagrams = dir .. "/alive", dir .. "/full", dir .. "/datagrams"
        local listener, other = assert(socket.listen(alive)), assert(socket.listen(full, { backlog = 0 }))
        local waiting = assert(socket.connect(full))
        local u = socket.udp()
        assert(u:bind(datagrams))
        socket.listen(dir .. "/dead"):close()
        assert(os.execute(("cd '%s' && ln -s dead link && ln -s nowhere dangling && echo text >file"):format(dir)))
        for _, name in ipairs { "alive", "full", "datagrams", "link", "dangling", "file", "." } do
            t.fails(socket.ERROR_INUSE, nil, socket.listen(dir .. "/" .. name))
        end
        for line in io.lines(dir .. "/file") do
            assert.equal("text", line)
        end
        assert(os.execute(("cd '%s' && test -L link && test -L dangling && test -S dead && test -S datagrams")
            :format(dir)))
        assert(listener:accept()):close() -- by which listen saw that somebody is there
        pass(listener, assert(socket.connect(alive)))
        waiting:close()
        for _, s in ipairs { listener, other, u } do
            s:close()
        end
    end)
end)
