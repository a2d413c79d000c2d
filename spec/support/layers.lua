-- Tests in which sockets have a layer over the descriptor. Run by test/host/layers.c with its functions and the name of
-- one of them; without arguments it returns the names.

local layer, chosen = ...
local names, tests = {}, {}
local load_text = _G.loadstring or load

local function it(name, f)
    names[#names + 1] = name
    tests[name] = f
end

local function equal(expected, got)
    if expected ~= got then
        error(("%s expected, got %s"):format(tostring(expected), tostring(got)), 2)
    end
end

local function fails(expected, extra, ...)
    local first, err, more = ...
    if first ~= nil or err ~= expected or more ~= extra then
        local what = ("%s, %s, %s"):format(tostring(first), tostring(err), tostring(more))
        error(("%s, not %s, %s"):format(what, expected, tostring(extra)), 2)
    end
end

local socket = chosen and require "ssocket"

-- Two ends of a stream; `both`: each with a layer, else only the first.
local function pair(both)
    local a, b = assert(socket.pair())
    a:settimeout(10)
    b:settimeout(10)
    return a, b, layer.open(a), both and layer.open(b)
end

local function check_calls(number, expected)
    local calls = layer.calls(number)
    for name, n in pairs(expected) do
        if calls[name] ~= n then
            error(("%s: %d calls, not %d"):format(name, calls[name], n), 2)
        end
    end
end

local function join(...)
    for _, task in ipairs { ... } do
        assert(task:wait(10))
    end
end

local long = {}
for i = 1, 3000 do
    long[i] = ("%d,"):format(i)
end
long = table.concat(long)

-- Writes until no more is taken; returns all that was.
local function fill(a)
    local sent = {}
    a:settimeout(0)
    repeat
        local n, err, part = a:write(long)
        local count = n or part
        sent[#sent + 1] = long:sub(1, count)
    until err
    a:settimeout(10)
    return table.concat(sent)
end

local TRUNCATED = "TLS stream truncated"

it("every reading call returns what was written", function()
    local a, b = pair(true)
    equal(52, a:write { "a line\r\nuntil;this", "", " and this;exactly some of the rest" })
    equal("a line", b:readline())
    local next_part = b:readuntil ";"
    equal("until", next_part())
    equal("this and this", next_part())
    equal("exac", b:read(4))
    equal("t", b:peek(1))
    equal("tly ", b:read(4))
    equal(true, #b:readsome(4) > 0)
    assert(a:shutdown(socket.SHUT_WR))
    equal("rest", b:readall():sub(-4))
    fails(socket.ERROR_CLOSED, nil, b:readsome(1))
    equal(6, b:write "answer")
    equal("answer", a:read(6))
    assert(b:close())
    fails(socket.ERROR_CLOSED, "", a:read(1))
    assert(a:close())
end)

it("a long write and its reader meet, in tasks and with the main program", function()
    for both_in_tasks = 0, 1 do
        local a, b = pair(true)
        local reader = socket.spawn(function()
            return b:read(#long * 20)
        end)
        local function write()
            equal(#long * 20, a:write(long:rep(20)))
        end
        if both_in_tasks == 1 then
            join(socket.spawn(write))
        else
            write()
        end
        local ok, got = reader:wait(10)
        assert(ok, got)
        equal(true, got == long:rep(20))
        a:close()
        b:close()
    end
end)

it("after a time-out other data follows what was counted", function()
    local a, b = pair(true)
    local sent = fill(a)
    local got = {}
    local reader = socket.spawn(function()
        got[1] = b:read(#sent + 5)
    end)
    equal(5, a:write "other")
    join(reader)
    equal(true, got[1] == sent .. "other")
    a:close()
    b:close()
end)

it("select knows what is in memory, and that half a frame is nothing", function()
    for in_task = 0, 1 do
        local a, p = pair()
        local function test()
            p:write(layer.encode(0, "abc") .. layer.encode(3, "def") .. layer.encode(6, "ghi"):sub(1, 3))
            equal("abc", a:read(3))
            equal(a, assert(socket.select({ a }, nil, 0))[1])
            equal(a, assert(socket.select({ a }, nil, 5))[1])
            equal(a:fileno(), assert(socket.select({ a:fileno() }, nil, 5))[1])
            equal(0, a:pending())
            equal("def", a:read(3))
            equal(socket.ERROR_TIMEOUT, select(3, socket.select({ a }, nil, 0.01)))
            p:write(layer.encode(6, "ghi"):sub(4))
            equal(a, assert(socket.select({ a }, nil, 5))[1])
            equal("g", a:read(1))
            equal(2, a:pending())
            a:settimeout(0)
            fails(socket.ERROR_TIMEOUT, "hi", a:read(3))
        end
        if in_task == 1 then
            join(socket.spawn(test))
        else
            test()
        end
        a:close()
        p:close()
    end
end)

it("a descriptor is not given away, and none goes over it", function()
    local a, p, number = pair()
    local c, d = socket.pair()
    fails("TLS is in use", nil, a:detach())
    fails("TLS is in use", 0, c:sendfd("x", a))
    equal(true, a:fileno() >= 0)
    local _, err, sent = a:sendfd("x", 0)
    equal("EOPNOTSUPP", socket.errname(err))
    equal(0, sent)
    fails(err, nil, a:recvfd(1))
    d:settimeout(0)
    fails(socket.ERROR_TIMEOUT, nil, d:recvfd(1))
    p:settimeout(0)
    fails(socket.ERROR_TIMEOUT, nil, p:readsome(1))
    p:write(layer.encode(0, "x"))
    equal("x", a:read(1))
    check_calls(number, { free = 0, leave = 0 })
    for _, s in ipairs { a, p, c, d } do
        s:close()
    end
end)

it("close tells the peer, once, and the socket is plain again", function()
    local a, p, number = pair()
    assert(a:close())
    assert(a:close())
    check_calls(number, { leave = 1, free = 1, ["end"] = 0 })
    equal(layer.encode(0, ""), p:readall())
    local l = assert(socket.listen("127.0.0.1", 0))
    a = socket.tcp()
    a:settimeout(10)
    assert(a:connect("127.0.0.1", l:getsockname()[2]))
    local b = assert(l:accept())
    local first, second = layer.open(a), layer.open(b)
    equal(3, a:write "abc")
    equal("abc", b:read(3))
    assert(a:close())
    fails(socket.ERROR_CLOSED, "", b:read(1))
    assert(a:connect("127.0.0.1", l:getsockname()[2]))
    local c = assert(l:accept())
    equal(5, a:write "plain")
    equal("plain", c:read(5))
    check_calls(first, { leave = 1, free = 1 })
    check_calls(second, { leave = 0, free = 0 })
    for _, s in ipairs { a, b, c, l, p } do
        s:close()
    end
end)

it("a socket that is collected tells nothing", function()
    local function drop()
        local a, b, number = pair(true)
        a:write "abc"
        return b, number
    end
    local b, number = drop()
    collectgarbage()
    collectgarbage()
    check_calls(number, { leave = 0, free = 1, ["end"] = 0 })
    fails(TRUNCATED, "abc", b:read(4))
    fails(TRUNCATED, "", b:readall())
    fails(TRUNCATED, nil, b:readsome(1))
    b:close()
end)

it("a variable that is closed tells the peer, unless an error has left its block", function()
    local block = load_text "local s, failure = ...; local v <close> = s; if failure then error(failure) end"
    if not block then -- before Lua 5.4
        return
    end
    local a, p, number = pair()
    block(a)
    check_calls(number, { leave = 1, free = 1 })
    equal(layer.encode(0, ""), p:readall())
    p:close()
    a, p, number = pair()
    equal(false, pcall(block, a, "failure"))
    check_calls(number, { leave = 0, free = 1 })
    equal("", p:readall())
    p:close()
end)

it("a close with OPT_LINGER tells the peer first", function()
    local l = assert(socket.listen("127.0.0.1", 0))
    local a = assert(socket.connect("127.0.0.1", l:getsockname()[2]))
    local b = assert(l:accept())
    local number = layer.open(a)
    layer.open(b)
    a:setopt(socket.OPT_LINGER, 5)
    b:settimeout(10)
    join(socket.spawn(function()
        assert(a:write "abc")
        assert(a:close())
    end))
    check_calls(number, { leave = 1, free = 1 })
    equal("abc", b:readall())
    b:close()
    l:close()
end)

it("shutdown waits for room, in a task and in the main program, and counts as writing", function()
    for in_task = 0, 1 do
        local a, b, number = pair(true)
        local sent = fill(a)
        a:settimeout(0.01)
        fails(socket.ERROR_TIMEOUT, nil, a:shutdown(socket.SHUT_WR))
        a:settimeout(10)
        local ended
        local function test()
            ended = a:shutdown(in_task == 1 and socket.SHUT_WR or socket.SHUT_RDWR)
        end
        local ender = in_task == 1 and socket.spawn(test)
        if ender then
            socket.sleep(0.001)
            fails(socket.ERROR_BUSY, 0, a:write "x")
            fails(socket.ERROR_BUSY, nil, a:shutdown(socket.SHUT_WR))
        end
        local reader = socket.spawn(function()
            return b:readall()
        end)
        if ender then
            join(ender)
        else
            test()
        end
        equal(true, ended)
        local _, got = reader:wait(10)
        equal(true, got == sent)
        fails(socket.ERROR_CLOSED, 0, a:write "x")
        check_calls(number, { leave = 0, free = 0 })
        a:close()
        b:close()
    end
end)

it("the end of the input needs no waiting, even while another task writes", function()
    local a, b, number = pair(true)
    fill(a)
    local writer = socket.spawn(function()
        return a:write "x"
    end)
    socket.sleep(0.001)
    equal(true, a:shutdown(socket.SHUT_RD))
    check_calls(number, { ["end"] = 1 })
    b:close()
    writer:wait(10)
    a:close()
end)

it("two sockets finish with each other", function()
    local a, b, first, second = pair(true)
    a:write "abc"
    b:write(long)
    local task = socket.spawn(function()
        equal("abc", b:read(3))
        return b:finish()
    end)
    equal(true, a:finish())
    join(task)
    for _, number in ipairs { first, second } do
        check_calls(number, { leave = 0, free = 1 })
    end
end)

it("finish fails where the peer has not ended its stream", function()
    local a, p, number = pair()
    p:write(layer.encode(0, "abc"))
    p:close()
    fails(TRUNCATED, nil, a:finish())
    check_calls(number, { free = 1 })
    fails(socket.ERROR_CLOSED, nil, a:finish())
end)

it("a read that waits when the socket is closed gets what has come", function()
    local a, p, number = pair()
    local reader = socket.spawn(function()
        return a:read(10)
    end)
    p:write(layer.encode(0, "abc") .. layer.encode(3, "def"):sub(1, 4))
    socket.sleep(0.01)
    a:close()
    local ok, first, err, partial = reader:wait(10)
    equal(true, ok)
    fails(socket.ERROR_CLOSED, "abc", first, err, partial)
    check_calls(number, { leave = 1, free = 1 })
    p:close()
end)

it("a call that times out gives memory back", function()
    local a, p, number = pair()
    p:write(layer.encode(0, "abc"):sub(1, 3))
    a:settimeout(0)
    fails(socket.ERROR_TIMEOUT, "", a:read(1))
    check_calls(number, { settle = 1 })
    a:settimeout(0.01)
    join(socket.spawn(function()
        fails(socket.ERROR_TIMEOUT, "", a:read(1))
    end))
    check_calls(number, { settle = 2 })
    p:write(layer.encode(0, "abc"):sub(4))
    equal("abc", a:read(3))
    a:close()
    p:close()
end)

it("sockets that are open when the state is closed lose their layers", function()
    _G.kept = { pair(true) }
    kept[1]:write "abc" -- luacheck: ignore
end)

if not chosen then
    return names
end
tests[chosen]()
