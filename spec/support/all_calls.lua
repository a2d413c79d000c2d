-- Every call of the module over loopback in one process, for a host in which any allocation may fail. Returns the
-- function to run, so that the host counts no allocation of this chunk itself.
--
-- The global `loose` is a descriptor that nobody owns at the moment, or false.
--
-- A call that fails for want of memory is made once more: it must not have sent, taken or lost anything.

local error, pcall, tostring, type = error, pcall, tostring, type

local function no_memory(text)
    return text == "not enough memory" or text == "Cannot allocate memory" or text == "Out of memory"
end

local function check(a, b, c)
    if a == nil and (no_memory(b) or no_memory(c)) then
        error("not enough memory", 0)
    end
    return a, b, c
end

local function again(f, x1, x2, x3, x4, ok, a, b, c)
    if ok and not (a == nil and (no_memory(b) or no_memory(c))) then
        return a, b, c
    elseif not ok and not no_memory(a) then
        error(a, 0)
    end
    return check(f(x1, x2, x3, x4))
end

-- f(...), with a second try if memory was short. Up to three results.
local function try(f, x1, x2, x3, x4)
    return again(f, x1, x2, x3, x4, pcall(f, x1, x2, x3, x4))
end

-- s:name(...) that may fail otherwise, and one that must not.
local function may(s, name, x1, x2, x3)
    return try(s[name], s, x1, x2, x3)
end

local function must(s, name, x1, x2, x3)
    local a, b, c = may(s, name, x1, x2, x3)
    if a == nil then
        error(name .. ": " .. tostring(b or c), 2)
    end
    return a, b, c
end

local function expect(expected, got)
    if got ~= expected then
        error("not as expected", 2)
    end
end

local function load_module()
    package.loaded.ssocket = nil -- Lua 5.1 remembers that it failed
    return require "ssocket"
end

local big = ("0123456789abcdef"):rep(2048) -- 32 KiB
local pieces = { "ab", "cd\n", 12, "\n" }
local bad_pieces = { "a", {} }

-- luacheck: globals loose
loose = false

local function reading(socket, a, b)
    expect(8, must(a, "write", pieces))
    local lines = must(b, "readuntil", "\n")
    expect("ab", (try(lines, 2)))
    expect("cd", (try(lines, 3)))
    expect(3, b:pending())
    expect("12", must(b, "readline"))
    expect(#big, must(a, "write", big))
    expect(1, #must(b, "peek"))
    expect(big:sub(1, 2), must(b, "peek", #big):sub(1, 2))
    expect(big, must(b, "read", #big))
    expect(#big, must(a, "write", big))
    local left = #big
    while left > 0 do
        left = left - #must(b, "readsome", left)
    end
    b:settimeout(0)
    must(a, "write", "partial")
    local data, err, partial = may(b, "read", 8)
    expect(nil, data)
    expect(socket.ERROR_TIMEOUT, err)
    expect("partial", partial)
    must(a, "write", "toolong")
    data, err, partial = try(must(b, "readuntil", ";", true, 3))
    expect(nil, data)
    expect(socket.ERROR_LIMIT, err)
    expect("too", partial)
    expect("long", must(b, "read", 4))
    b:settimeout(5)
    must(a, "write", "the rest")
    must(a, "shutdown", socket.SHUT_WR)
    expect("the rest", must(b, "readall"))
    data, err, partial = may(b, "read", 1)
    expect(nil, data)
    expect(socket.ERROR_CLOSED, err)
    expect("", partial)
end

local function selecting(socket, a, b)
    must(b, "write", "x")
    local reads, writes = try(socket.select, { a, b, a:fileno() }, { b }, 5)
    expect(3, #reads) -- b is at the end of its stream
    expect(1, #writes)
    local _, _, err = try(socket.select, { b:fileno() + 1000 }, nil, 0)
    expect("string", type(err))
end

local function descriptors(socket, a, b)
    expect("x", must(a, "read", 1))
    loose = must(a, "detach") -- the host closes it if nobody comes to own it
    local fd = loose
    local owner = try(socket.fromfd, fd)
    loose = false
    must(b, "write", "y")
    expect("y", must(owner, "read", 1))
    local _, err = try(socket.fromfd, fd) -- it has an owner already
    expect("string", type(err))
end

-- As long as its number is not among the results, the descriptor is the socket's.
local function passing(socket, a, b)
    local one, two = try(socket.pair)
    expect(true, must(a, "sendfd", "over", one))
    expect(-1, one:fileno())
    local data, fd, err = may(b, "recvfd", 100)
    loose = fd
    expect("over", data)
    expect(nil, err)
    expect("number", type(fd))
    one = try(socket.fromfd, fd)
    loose = false
    must(two, "write", "z")
    expect("z", must(one, "read", 1))
    must(a, "sendfd", big, two:fileno())
    data, fd = may(b, "recvfd", #big) -- a string that has to be allocated
    loose = fd
    expect(big, data)
    local copy = try(socket.fromfd, fd)
    loose = false
    must(copy, "write", "y")
    expect("y", must(one, "read", 1))
end

-- A loopback address that no other program uses (Linux has all of 127.0.0.0/8): in thousands of runs the system gives
-- the port of a listener that has ended to somebody else. It is made of where this process has its memory.
local place = tonumber(tostring({}):match "0x(%x+)" or "0", 16)
local own_host = ("127.%d.%d.1"):format(math.floor(place / 65536) % 250 + 1, math.floor(place / 4096) % 250)

local function connecting(socket)
    local listener, client = try(socket.tcp), try(socket.tcp)
    must(listener, "setopt", socket.OPT_LINGER, 0) -- no TIME_WAIT for thousands of runs
    must(client, "setopt", socket.OPT_LINGER, 0)
    must(listener, "setopt", socket.OPT_TCP_REUSEADDR, true)
    must(client, "setopt", socket.OPT_TCP_NODELAY, true)
    listener:settimeout(5)
    client:settimeout(5)
    if not may(listener, "bind", own_host, 0) then
        must(listener, "bind", "127.0.0.1", 0)
    end
    must(listener, "listen")
    local addr = must(listener, "getsockname")
    expect("string", type(try(tostring, addr)))
    expect("string", type(try(tostring, listener)))
    must(client, "connect", addr)
    local accepted = must(listener, "accept")
    must(accepted, "getpeername")
    expect(true, must(client, "getopt", socket.OPT_TCP_NODELAY))
    expect(2, must(client, "write", "hi"))
    expect("hi", must(accepted, "read", 2))
    expect(1, client:close())
    expect(1, listener:close())
    local _, err = may(client, "connect", addr)
    expect(socket.ERROR_REFUSED, err)
    must(client, "open", "inet")
    local fd = client:fileno()
    _, err = may(client, "connect", addr)
    expect(socket.ERROR_REFUSED, err)
    expect(fd, client:fileno())
    expect(1, client:close())
    _, err = may(client, "connect", "unix:/nowhere/at/all")
    expect("string", type(err))
    _, err = may(client, "connect", "127.1", 80)
    expect(socket.ERROR_NOTFOUND, err)
    expect(1, #try(socket.resolve, "127.0.0.1", 80))
end

-- Datagrams are taken from the system one by one or not at all, so one may be lost when its result finds no memory.
-- Then all is sent again.
local function received(send, by, name, x1, x2)
    send()
    local ok, a, b, c = pcall(by[name], by, x1, x2)
    if ok and not (a == nil and (no_memory(b) or no_memory(c))) then
        return a, b, c
    end
    by:settimeout(0)
    for _ = 1, 20 do -- a receive may itself find no memory
        ok, a, b = pcall(by.recv, by)
        if ok and a == nil and not no_memory(b) then
            break
        end
    end
    by:settimeout(5)
    send()
    return check(by[name](by, x1, x2))
end

local MANY = 40
local three = { "a", "b", 3 }
local u, v, addr, from

local function send_one()
    must(v, "sendto", "one", addr)
end

local function send_back()
    must(u, "sendto", "back", from)
end

local function send_three()
    expect(3, must(v, "sendmany", three))
end

local function datagrams(socket)
    u, v = try(socket.udp), try(socket.udp)
    u:settimeout(5)
    v:settimeout(5)
    must(u, "bind", "127.0.0.1", 0)
    addr = must(u, "getsockname")
    local data, datas, addrs, err
    data, from = received(send_one, u, "recvfrom")
    expect("one", data)
    expect("back", (received(send_back, v, "recv")))
    data, err = received(send_one, u, "recv", 2)
    expect("on", data)
    expect(socket.ERROR_TRUNCATED, err)
    must(v, "connect", addr)
    datas, addrs = received(send_three, u, "recvmany", 3, 100)
    expect("b", datas[2])
    expect(addr[1], addrs[2][1])
    for i = 1, MANY do
        must(v, "send", i)
    end
    local n = 0
    while n < MANY do -- more than one receive, and memory may fail between them
        datas = must(u, "recvmany", MANY, 100)
        for i = 1, #datas do
            expect(true, datas[i] == n + i .. "")
        end
        n = n + #datas
    end
    u:settimeout(0)
    data, err = may(u, "recv")
    expect(nil, data)
    expect(socket.ERROR_TIMEOUT, err)
    expect(1, u:close())
    must(u, "join", "239.255.77.8", "lo")
    must(u, "leave", "239.255.77.8", "lo")
    must(u, "setopt", socket.OPT_IP_MULTICAST_IF, "127.0.0.1")
    expect("127.0.0.1", must(u, "getopt", socket.OPT_IP_MULTICAST_IF))
    must(v, "connect")
    expect(1, v:close())
end

local function misusing(socket, a)
    expect(false, (pcall(a.read, a, bad_pieces)))
    expect(false, (pcall(a.write, a, bad_pieces)))
    expect(false, (pcall(socket.resolve, "a\0b")))
    expect(false, (pcall(socket.udp().recv, a)))
end

return function()
    local socket = try(load_module)
    local a, b = try(socket.pair)
    a:settimeout(5)
    b:settimeout(5)
    passing(socket, a, b)
    reading(socket, a, b)
    selecting(socket, a, b)
    connecting(socket)
    datagrams(socket)
    misusing(socket, a)
    descriptors(socket, a, b)
    try(socket.sleep, 0)
    try(socket.now)
end
