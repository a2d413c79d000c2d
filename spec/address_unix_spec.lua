-- Unix addresses: paths, abstract names, no name at all. Python looks at them from outside.

local t = require "support.t"
local tools = require "support.tools"

local socket = t.socket
local TOO_LONG = t.text "ENAMETOOLONG"

-- What is in a directory, as ls says it.
local function entries(dir)
    return (tools.run { "ls", "-A", dir })
end

-- A path in dir of exactly n bytes.
local function path_of(dir, n)
    return dir .. "/" .. ("p"):rep(n - #dir - 1)
end

for name, make in pairs { tcpsock = socket.tcp, udpsock = socket.udp } do
    local kind = name == "tcpsock" and "SOCK_STREAM" or "SOCK_DGRAM"

    describe("a path given to a " .. name, function()
        t.guard()

        -- pitfall: the `unix:` prefix taken as part of the path
        it("is what follows the prefix", function()
            local path = t.tmpdir() .. "/socket"
            local s = make()
            assert(s:bind("unix:" .. path))
            assert.equal("socket\n", entries(path:match "^(.*)/"))
            assert.equal("unix:" .. path, (s:getsockname()))
            s:close()
        end)

        it("may stand without prefix when it has a slash", function()
            local path = t.tmpdir() .. "/socket"
            local s = make()
            assert(s:bind(path))
            assert.equal("socket\n", entries(path:match "^(.*)/"))
            assert.equal("unix:" .. path, (s:getsockname()))
            s:close()
        end)

        it("may hold any bytes but NUL", function()
            local path = t.tmpdir() .. "/a b:c@d\n\1\127\200\255unix:"
            local s = make()
            assert(s:bind("unix:" .. path))
            assert.equal("unix:" .. path, (s:getsockname()))
            assert.is_truthy(os.remove(path))
            s:close()
        end)

        it("is relative when it does not begin with a slash", function()
            local s = make()
            assert.same({ nil, t.text "ENOENT" }, { s:connect "unix:no-such-socket" })
            assert.same({ nil, t.text "ENOENT" }, { s:connect "./no-such-socket" })
            s:close()
        end)

        it("with a NUL in it is misuse", function()
            local dir = t.tmpdir()
            tools.misuse(tools.method, make(), "bind", 1, { "unix:" .. dir .. "/a\0b" })
            tools.misuse(tools.method, make(), "connect", 1, { dir .. "/a\0b" })
            tools.misuse(tools.method, make(), "connect", 1, { "unix:\0" })
            assert.equal("", entries(dir))
        end)

        it("together with a port is misuse", function()
            tools.misuse(tools.method, make(), "connect", nil, { "unix:/nowhere/at/all", 80 })
            tools.misuse(tools.method, make(), "bind", nil, { t.abstract(), 0 })
        end)

        -- pitfall: a path longer than the system's limit cut silently, and another path used
        it("is never cut short", function()
            local dir = t.tmpdir()
            local s = make()
            for _, n in ipairs { 108, 109, 120, 255, 256, 4096, 70000 } do
                local path = path_of(dir, n)
                assert.same({ nil, TOO_LONG }, { s:bind("unix:" .. path) })
                assert.same({ nil, TOO_LONG }, { s:bind(path) })
                assert.same({ nil, TOO_LONG }, { s:connect("unix:" .. path) })
            end
            assert.same({ nil, TOO_LONG }, { socket.udp():sendto("data", "unix:" .. path_of(dir, 108)) })
            assert.equal("", entries(dir))
            s:close()
        end)

        it("of the greatest length is kept whole", function()
            local dir = t.tmpdir()
            for _, n in ipairs { 106, 107 } do
                local s, path = make(), path_of(dir, n)
                assert(s:bind("unix:" .. path))
                assert.equal("unix:" .. path, (s:getsockname()))
                assert.equal(path:match "[^/]*$" .. "\n", entries(dir))
                assert(os.remove(path))
                s:close()
            end
        end)
    end)

    if tools.on_linux then
        describe("an abstract name given to a " .. name, function()
            t.guard()

            local suffixes = { "", "\0inside\0", "/a/slash", "\255\1\n", (" "):rep(20) }

            -- pitfall: abstract names that do not compile or lose their length
            it("reaches the socket that has exactly that name", function()
                local sockets, argv = {}, {}
                for i, suffix in ipairs(suffixes) do
                    local spec = t.abstract() .. suffix
                    sockets[i] = make()
                    assert(sockets[i]:bind(spec))
                    assert(name == "udpsock" or sockets[i]:listen())
                    assert.equal(spec, (sockets[i]:getsockname()))
                    argv[i] = t.hex(spec:sub(#"unix:@" + 1))
                end
                local p = t.python([[
                    def tried(name):
                        s = socket.socket(socket.AF_UNIX, getattr(socket, argv[0]))
                        try: s.connect(name); return "reached"
                        except ConnectionRefusedError: return "refused"
                    for name in (b"\0" + bytes.fromhex(text) for text in argv[1:]):
                        say(tried(name), tried(name + b"\0"), tried(name[:-1]), tried(name + b"x"))
                ]], kind, tools.unpack(argv))
                for _, s in ipairs(sockets) do
                    assert.equal("reached refused refused refused", p:line())
                    s:close()
                end
                p:finish()
            end)

            it("may be as long as the system allows, and no longer", function()
                local s = make()
                local name_of = t.abstract()
                local longest = name_of .. ("n"):rep(107 - (#name_of - #"unix:@"))
                assert.same({ nil, TOO_LONG }, { s:bind(longest .. "n") })
                assert.same({ nil, TOO_LONG }, { s:connect(longest .. "n") })
                assert(s:bind(longest))
                assert.equal(longest, (s:getsockname()))
                s:close()
            end)

            it("is the peer's name as the peer chose it", function()
                local spec = t.abstract() .. "\0x"
                local receiver = socket.udp()
                assert(receiver:bind(spec))
                receiver:settimeout(5)
                local p = t.python([[
                    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    name = b"\0" + bytes.fromhex(argv[0])
                    s.bind(name + b"\0p"); s.sendto(b"hello", name); say(s.recv(99).decode())
                ]], t.hex(spec:sub(#"unix:@" + 1)))
                local data, from = receiver:recvfrom()
                assert.same({ "hello", spec .. "\0p" }, { data, from })
                assert(receiver:sendto("back", from))
                assert.equal("back", p:line())
                p:finish()
                receiver:close()
            end)

            it("is chosen by the system in a bind to no name", function()
                local s = make()
                assert(s:bind "unix:")
                assert.matches("^unix:@%x+$", (s:getsockname()))
                s:close()
            end)
        end)
    end
end

describe("an unnamed Unix socket", function()
    t.guard()

    -- pitfall: the address of an unnamed Unix peer read from memory the kernel never wrote
    it("is called unix: and nothing more", function()
        local a, b = socket.pair()
        for _, s in ipairs { a, b } do
            assert.same({ "unix:", "unix:" }, { s:getsockname(), (s:getpeername()) })
        end
        a:close()
        b:close()
    end)

    it("is called so also by recvfrom, recvmany and accept's peer", function()
        local receiver, spec = socket.udp(), "unix:" .. t.tmpdir() .. "/r"
        assert(receiver:bind(spec))
        receiver:settimeout(5)
        local sender = socket.udp()
        assert(sender:sendto("a", spec) and sender:sendto("b", spec))
        assert.same({ "a", "unix:" }, { receiver:recvfrom() })
        assert.same({ { "b" }, { "unix:" } }, { receiver:recvmany(5, 5) })
        local client, server = t.connected "unix"
        assert.equal("unix:", (server:getpeername()))
        for _, s in ipairs { receiver, sender, client, server } do
            s:close()
        end
    end)
end)
