-- What only a faulty program does: each call of each class with each argument wrong. It must raise Lua's argument
-- error that names the argument, and neither send, read nor change anything.

local t = require "support.t"
local tools = require "support.tools"
local generated = require "support.kinds"

local socket = t.socket
local calls, each_wrong = generated.calls, generated.each_wrong

-- Names of the calls, of those only that take something if `taking`.
local function sorted_names(of, taking)
    local names = {}
    for name, signature in pairs(of) do
        if not taking or signature ~= "" then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

-- What a call may not change.
local function state_of(s)
    return {
        fd = s:fileno(), timeout = s:gettimeout(), name = tostring((s:getsockname())),
        peer = tostring((s:getpeername())), pending = s.pending and s:pending() or 0,
        reuse = s:getopt(socket.OPT_TCP_REUSEADDR),
    }
end

-- A stream socket with 4 bytes in its buffer and one line at the other end's disposal.
local function stream_in_use()
    local s, peer = socket.pair()
    s:settimeout(5)
    peer:settimeout(5)
    t.read_ahead(s, function(text)
        assert(peer:write(text))
    end, "line", "rest")
    return s, function()
        assert(s:read(4) == "rest" and s:write "!" == 1 and peer:readsome(9) == "!")
        s:close()
        peer:close()
    end
end

-- A datagram socket with one datagram waiting and a peer.
local function datagrams_in_use()
    local s, peer = socket.udp(), socket.udp()
    assert(s:bind("127.0.0.1", 0) and peer:bind("127.0.0.1", 0))
    assert(s:connect(peer:getsockname()) and peer:connect(s:getsockname()))
    s:settimeout(5)
    peer:settimeout(5)
    assert(peer:send "waiting")
    return s, function()
        assert(s:recv() == "waiting" and s:send "!" and peer:recv() == "!")
        s:close()
        peer:close()
    end
end

local function fresh(class)
    return function()
        local s = class()
        return s, function()
            assert(s:fileno() == -1)
        end
    end
end

local function used(make)
    return function()
        local s, finish = make()
        finish()
        return s, function()
            assert(s:fileno() == -1)
        end
    end
end

local function listening()
    local s = t.listener()
    return s, function()
        s:close()
    end
end

local states = {
    tcpsock = {
        { "fresh", fresh(socket.tcp) }, { "connected", stream_in_use }, { "closed", used(stream_in_use) },
        { "listening", listening },
    },
    udpsock = {
        { "fresh", fresh(socket.udp) }, { "connected", datagrams_in_use }, { "closed", used(datagrams_in_use) },
    },
}

for class, methods in pairs { tcpsock = calls.tcpsock, udpsock = calls.udpsock } do
    for _, state in ipairs(states[class]) do
        describe("a wrong argument to a " .. state[1] .. " " .. class, function()
            t.guard()
            for _, name in ipairs(sorted_names(methods, true)) do
                it("is refused by " .. name .. " and changes nothing", function()
                    local s, finish = state[2]()
                    local before, fds = state_of(s), t.fds()
                    each_wrong(methods[name], function(position, args)
                        tools.misuse(tools.method, s, name, position, args)
                    end)
                    assert.same(before, state_of(s))
                    assert.equal(fds, t.fds())
                    finish()
                end)
            end
        end)
    end
end

describe("a wrong argument to a function of the module", function()
    t.guard()
    for _, name in ipairs(sorted_names(calls.socket, true)) do
        it("is refused by " .. name, function()
            local fds = t.fds()
            each_wrong(calls.socket[name], function(position, args)
                tools.misuse(tools.field, socket, name, position, args)
            end)
            assert.equal(fds, t.fds())
        end)
    end
end)

describe("a method taken to something else", function()
    t.guard()

    local other = { tcpsock = socket.udp, udpsock = socket.tcp }

    for class, methods in pairs { tcpsock = calls.tcpsock, udpsock = calls.udpsock } do
        local function strangers()
            return { nil, true, 1, "x", {}, print, io.stdout, coroutine.create(function() end), other[class](),
                setmetatable({}, { __name = class }), n = 10 }
        end

        -- pitfall: `sock.fileno("x")` crashes; a TCP method taken on a UDP object
        it("raises an error that says " .. class .. " was expected, and what came instead", function()
            local s = class == "tcpsock" and socket.tcp() or socket.udp()
            local stranger, kind = other[class](), class == "tcpsock" and "udpsock" or "tcpsock"
            for _, name in ipairs(sorted_names(methods)) do
                tools.misuse(tools.field, s, name, 1, { "x" }, class .. " expected, got string")
                tools.misuse(tools.field, s, name, 1, { stranger }, class .. " expected, got " .. kind)
                local all = strangers()
                for i = 1, all.n do
                    tools.misuse(tools.field, s, name, 1, { n = 2, all[i], 1 }, class .. " expected")
                end
                tools.misuse(tools.field, s, name, 1, { n = 0 }, class .. " expected")
            end
        end)

        -- pitfall: a metatable that is its own index and open
        it("can not be had from the metatable of a " .. class, function()
            local s = class == "tcpsock" and socket.tcp() or socket.udp()
            assert.equal(class, getmetatable(s))
            for _, event in ipairs { "__gc", "__close", "__index", "__tostring", "__name", "__metatable", "nothing" } do
                assert.is_nil(s[event])
            end
            assert.is_false(pcall(setmetatable, s, {}))
            assert.is_false(pcall(function()
                s.field = 1
            end))
        end)
    end

    it("is among those that this spec knows", function()
        for class, s in pairs { tcpsock = socket.tcp(), udpsock = socket.udp() } do
            for name in pairs(calls[class]) do
                assert.is_function(s[name], class .. ":" .. name)
            end
        end
    end)
end)

describe("an argument of the wrong type", function()
    t.guard()

    -- What was meant is named, not only the type.
    it("is told what belongs there", function()
        local s, u = socket.tcp(), socket.udp()
        for _, case in ipairs {
            { s.connect, 3, { s, "127.0.0.1", "http" }, "port (a number) expected, got string" },
            { s.connect, 3, { s, "127.0.0.1" }, "port expected (0 to 65535), got no value; a path has" },
            { s.read, 2, { s, {} }, "size (a number) expected, got table" },
            { s.readuntil, 3, { s, "\n", 8192 }, "inclusive (a boolean) expected, got number" },
            { s.listen, 2, { s, "many" }, "backlog (a number) expected, got string" },
            { s.shutdown, 2, { s, "both" }, "SHUT_RD, SHUT_WR or SHUT_RDWR expected, got string" },
            { s.shutdown, 2, { s, 77 }, "SHUT_RD, SHUT_WR or SHUT_RDWR expected" },
            { s.setopt, 3, { s, 6, "x" }, "option number (a number) expected, got string" },
            { s.setopt, 4, { s, 6, 1, {} }, "integer or string expected, got table" },
            { s.getopt, 4, { s, 6, 1, "all" }, "size (a number) expected, got string" },
            { u.setopt, 3, { u, socket.OPT_IP_MULTICAST_IF, true }, "interface's name or index expected, got boolean" },
            { u.recvmany, 2, { u, "all" }, "count (a number) expected, got string" },
            { socket.fromfd, 1, { "x" }, "descriptor (a number) expected, got string" },
            { socket.resolve, 1, { "unix:/tmp/x" }, "host expected, got a Unix address" },
            { s.settimeout, 2, { s, "soon" }, "seconds (a number) expected, got string" },
            { s.settimeout, 2, { s }, "seconds (a number) expected, got no value" },
            { socket.sleep, 1, { {} }, "seconds (a number) expected, got table" },
            { socket.resolve, 1, { 5 }, "host expected, got number" },
        } do
            local f, argument, arguments, text = (table.unpack or _G.unpack)(case)
            local ok, err = pcall(f, (table.unpack or _G.unpack)(arguments))
            assert.is_false(ok)
            assert.is_truthy(err:find(("bad argument #%d"):format(argument), 1, true), err)
            assert.is_truthy(err:find(text, 1, true), err)
        end
    end)
end)
