-- What each call takes, and what it must not be given. `calls` names the kinds of the parameters in order, "[kind]" one
-- that may be left out; `kinds` gives each kind a good value and bad ones.
local t = require "support.t"
local tools = require "support.tools"

local socket = t.socket
local nan, inf = tools.nan, math.huge
local thread = coroutine.create(function() end)

local kinds = {}

kinds.number = {
    good = 0,
    bad = { nil, "x", "", true, {}, print, thread, nan, n = 8 },
}
kinds.seconds = kinds.number
kinds.deadline = { -- seconds from now
    good = 1,
    bad = { nil, "x", "", true, {}, print, thread, nan, -1, -math.huge, n = 10 },
}
kinds.callable = {
    good = function() end,
    bad = { nil, 1, "x", true, {}, thread, n = 6 },
}
kinds.integer = {
    good = 1,
    bad = { "x", true, {}, print, nan, inf, -inf, 1.5, 1e300, n = 9 },
}
kinds.position = { -- in a string
    good = 1,
    bad = { "x", "", true, {}, print, nan, inf, -inf, 1.5, n = 9 },
}
kinds.size = {
    good = 1,
    bad = { nil, "x", true, {}, print, nan, -inf, -1, -0.5, 1.5, -2 ^ 63, n = 11 },
}
kinds.count = { -- a size of one or more
    good = 1,
    bad = { nil, "x", true, {}, print, nan, -inf, 0, -1, 0.5, 1.5, -2 ^ 53, n = 12 },
}
kinds.text = {
    good = "x",
    bad = { nil, true, {}, print, thread, n = 5 },
}
kinds.pieces = { -- what a stream writes
    good = "x",
    bad = { nil, true, print, thread, { true }, { "x", {} }, { "x", print }, { {} }, n = 8 },
}
kinds.datagrams = {
    good = {},
    bad = { nil, true, "x", 1, print, { true }, { "x", {} }, { {} }, n = 8 },
}
kinds.pattern = {
    good = "\n",
    bad = { nil, "", true, {}, print, n = 5 },
}
kinds.anything = { good = false, bad = { n = 0 } } -- a Lua truth value
kinds.open = { -- a family
    good = "inet",
    bad = { nil, "", "inet7", "inet\0", "INET", 2, true, {}, print, n = 9 },
}
kinds.how = {
    good = socket.SHUT_WR,
    bad = { nil, "x", true, {}, -1, 3, 1.5, nan, 1e300, "SHUT_RD", n = 10 },
}
kinds.option = {
    good = socket.OPT_TCP_REUSEADDR,
    bad = { nil, "", "nodelay", "tcp_nodelay\0", "TCP_NODELAY", true, {}, print, n = 8 },
}
kinds.flag = {
    good = true,
    bad = { nil, 0, 1, "true", "", {}, print, n = 7 },
}
kinds.descriptor = {
    good = 1e6,
    bad = { nil, "x", true, {}, print, -1, 1.5, nan, inf, 1e300, n = 10 },
}
kinds.bytes = { -- one or more
    good = "x",
    bad = { nil, "", true, {}, print, thread, n = 6 },
}
kinds.passed = { -- a descriptor or a socket
    good = 1e6,
    bad = { nil, "x", true, {}, print, -1, 1.5, nan, inf, 1e300, io.stdout, n = 11 },
}
kinds.list = {
    good = {},
    bad = { true, "x", 1, print, { true }, { "x" }, { {} }, { 1.5 }, { nan }, { print }, { 1e300 }, n = 11 },
}
kinds.group = {
    good = "224.0.0.251",
    bad = { nil, true, {}, print, "224.0.0.251\0", n = 5 },
}
kinds.interface = {
    good = "lo",
    bad = { true, {}, print, 1.5, nan, n = 5 },
}
kinds.host = {
    good = "127.0.0.1",
    bad = { nil, true, {}, print, "127.0.0.1\0.evil", "\0", n = 6 },
}
kinds.port = {
    good = 0,
    bad = { "x", "", "80x", "80.5", true, {}, print, 65536, 70000, -1, 80.5, nan, inf, -inf, 2 ^ 32, 1e300, n = 16 },
}
kinds.service = { -- a port, or its name
    good = 0,
    bad = { "", "http\0", "80.5", true, {}, print, 65536, 70000, -1, 80.5, nan, inf, -inf, 2 ^ 32, 1e300, n = 15 },
}
kinds.family = {
    good = "inet",
    bad = { "", "unix", "INET", "inet\0", true, {}, print, 4, n = 8 },
}
kinds.numeric = { -- an address value or a host
    good = "127.0.0.1",
    bad = { nil, true, print, thread, {}, { "127.0.0.1" }, { "localhost", 80 }, "localhost", "127.0.0.1\0", n = 9 },
}
kinds.errnum = {
    good = 1,
    bad = { nil, "x", "", true, {}, print, -1, 1.5, nan, inf, -inf, 2 ^ 31, n = 12 },
}
kinds.string = {
    good = "x",
    bad = { nil, 1, true, {}, print, n = 5 },
}

-- Tables that are no address.
local function garbage()
    local quarrelsome = setmetatable({}, { __tostring = error, __len = error })
    return { {}, { "127.0.0.1" }, { "127.0.0.1", "x" }, { "127.0.0.1", 70000 }, { "127.0.0.1", 80.5 },
        { "127.0.0.1\0.evil", 80 }, { {}, 80 }, { true, true }, { nil, 80 }, { 80, "127.0.0.1" }, quarrelsome }
end

kinds.address = { bad = {} } -- each with the number of the argument at fault, nil when it may be any

local function bad_address(position, ...)
    local bad = kinds.address.bad
    bad[#bad + 1] = { position = position, args = t.pack(...) }
end

bad_address(1, true)
bad_address(1, print)
bad_address(1, thread)
bad_address(1, nil, 80)
bad_address(1, socket.tcp())
bad_address(1, "127.0.0.1\0.evil", 80)
bad_address(nil, "127.0.0.1")
bad_address(nil, "")
bad_address(nil, 80)
bad_address(nil, "@name")
bad_address(nil, "unix")
bad_address(nil, "unix:/nowhere/at/all", 80)
bad_address(1, "unix:/nowhere/at\0evil")
bad_address(1, "/nowhere/at\0evil")
for _, port in ipairs(kinds.port.bad) do
    bad_address(2, "127.0.0.1", port)
end
for _, table_of_garbage in ipairs(garbage()) do
    bad_address(1, table_of_garbage)
end

local calls = {
    tcpsock = {
        connect = "address", bind = "address", open = "open", listen = "[integer]", accept = "",
        write = "pieces [position] [position]", read = "size",
        readuntil = "pattern [anything] [count]", readsome = "count", readall = "[size]", pending = "", detach = "",
        peek = "[count]", readline = "[count]", finish = "[size]", sendfd = "bytes passed", recvfd = "count",
        close = "", shutdown = "how", fileno = "", setopt = "option flag", getopt = "option",
        settimeout = "number", gettimeout = "", getpeername = "", getsockname = "",
    },
    udpsock = {
        connect = "[address]", bind = "address", open = "open", recv = "[count]",
        send = "text [address]", sendto = "text address",
        recvfrom = "[count]", recvmany = "count count", sendmany = "datagrams [address]", join = "group [interface]",
        leave = "group [interface]", detach = "", close = "", fileno = "", setopt = "option flag", getopt = "option",
        settimeout = "number", gettimeout = "", getpeername = "", getsockname = "",
    },
    socket = {
        tcp = "", udp = "", select = "[list] [list] [seconds]", pair = "", fromfd = "descriptor", sleep = "number",
        now = "", resolve = "host [service] [seconds] [family]", nameinfo = "numeric [seconds]", time = "",
        hostname = "", interfaces = "", strerror = "errnum", errname = "string",
        within = "deadline callable",
    },
}

-- The wrong lists of arguments for one parameter, after the right ones in `before`.
local function wrong_values(kind, optional, before, visit)
    for i = 1, kind.bad.n do
        local args = { n = #before + 1, tools.unpack(before) }
        args[args.n] = kind.bad[i]
        if kind.bad[i] ~= nil then
            visit(args.n, args)
        elseif not optional then
            visit(args.n, args)
            visit(args.n, { n = #before, tools.unpack(before) })
        end
    end
end

local function wrong_addresses(before, visit)
    for _, bad in ipairs(kinds.address.bad) do
        local args = { n = #before + bad.args.n, tools.unpack(before) }
        for k = 1, bad.args.n do
            args[#before + k] = bad.args[k]
        end
        visit(bad.position and bad.position + #before, args)
    end
end

-- Right arguments but for one: calls visit(position, args) for each such list; a position of nil is any.
local function each_wrong(signature, visit)
    local before = {}
    for bracket, name in signature:gmatch "(%[?)(%w+)" do
        if name == "address" then
            wrong_addresses(before, visit)
        else
            wrong_values(kinds[name], bracket == "[", before, visit)
            before[#before + 1] = kinds[name].good
        end
    end
end

return { calls = calls, each_wrong = each_wrong }
