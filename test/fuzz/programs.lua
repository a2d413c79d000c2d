-- Random whole programs: tasks, coroutines, finalizers, hooks, metamethods, callbacks and the collector, all of which
-- call the module, resume, yield, raise, close and return from anywhere. There is no model of what they do: a program
-- may fail, and must not crash, hang or leave anything.
--
--   lua programs.lua SEED                       writes that program, the same one each time on the same Lua
--   lua programs.lua minimise FILE COMMAND...   drops what it can from FILE while COMMAND FILE, which is the host with
--                                               the path of the module, finds the same fault
--
-- Programs with seeds from 10^9 on use ssocket.tls as well.
--
-- test/host/programs.c runs them, and script/fuzz calls that. What a program does is bounded by `fuel`, each wait has a
-- limit or ends in a deadlock, which raises: none may hang. What a Lua can't do by itself is left out.

local TLS_SEEDS = 1e9 -- the first

local version = tonumber((_VERSION:match "(%d+%.%d+)"))
local is_jit = rawget(_G, "jit") ~= nil

-- ---- chance ----

local state

-- Lehmer's numbers 1..n, the same on every Lua.
local function pick(n)
    state = state * 16807 % 2147483647
    return math.floor(state / 7) % n + 1
end

local function one_of(list)
    return list[pick(#list)]
end

local function chance(percent)
    return pick(100) <= percent
end

-- ---- the program's text ----

local lines, indent, depth, mood

local function emit(format, ...)
    lines[#lines + 1] = ("    "):rep(indent) .. (select("#", ...) > 0 and format:format(...) or format)
end

local function block(first, last, inside, ...)
    emit(first)
    indent = indent + 1
    inside(...)
    indent = indent - 1
    emit(last)
end

-- What every program has: values by kind, made when there are none, and what every Lua spells its own way. All loops
-- share `turns`: nested loops in callbacks take longer than the host allows where each allocation makes a full cycle.
-- `xs` and `trace` make no long string in a buffer while Lua 5.4 closes its state: what lauxlib.c keeps that in (UBox)
-- has no finalizer then, and is left where too many C calls are under way to call its __close.
local prelude = [[
local unpack = table.unpack or unpack
if jit then jit.off() end -- a finalizer that raises in compiled code crashes LuaJIT
refuse = refuse or function() end
stress = stress or function() end
closing = closing or function() end
local fuel = %d
local function burn() fuel = fuel - 1 return fuel > 0 end
local turns = 5000
local function times(n) n = math.min(n, turns) turns = turns - n return n end
local kept, K, U, C, T, O, G, hot, M, whole, S = {}, {}, {}, {}, {}, {}, {}
local function add(list, v) if v then list[#list + 1] = v end return v end
local function sock(s) if s then s:settimeout(0.0003) add(K, s) end return s end
local function pair() local a, b = S.pair() sock(a) return sock(a and b) end
local function at(list, i, new) if #list == 0 then return new() end return list[i %% #list + 1] end
local function k(i) return at(K, i, pair) end
local function bound() local s = S.udp() s:settimeout(0.0003) s:bind("127.0.0.1", 0) return add(U, s) end
local function u(i) return at(U, i, bound) end
local function c(i) return at(C, i, function() return add(C, S.channel(i %% 3)) end) end
local function t(i) return at(T, i, function() return add(T, S.spawn(S.sleep, 0.0001)) end) end
local function g(i) return at(G, i, function() return add(G, S.group()) end) end
local function yielder() while burn() do coroutine.yield(1) end end
local function o(i) return at(O, i, function() return add(O, coroutine.create(yielder)) end) end
local function finalizer(f)
    if newproxy then local p = newproxy(true) getmetatable(p).__gc = f return p end
    return setmetatable({}, { __gc = f })
end
local function link(host)
    local l, s = S.tcp(), S.tcp()
    sock(l) sock(s)
    l:bind(host, 0) l:listen()
    s:connect(l:getsockname())
    return sock(l:accept())
end
local function deep(n, f) if n <= 0 then return f() end return (deep(n - 1, f)) end
local function nest(n, f)
    if n <= 0 then return f() end
    return string.gsub("x", "x", function() nest(n - 1, f) end)
end
local function overflow(f)
    local function down() return (string.gsub("x", "x", down)) end
    return xpcall(down, f)
end
local function flood(f)
    if whole then return f() end
    whole = true
    local function down() return 1 + down() end
    return xpcall(down, f)
end
local function mark(co)
    for i = 1, 9 do
        local _, v = debug.getlocal(co, 0, i)
        if type(v) == "userdata" then M = v end
    end
end
local function gc(...)
    if closing() and _VERSION == "Lua 5.3" then return end
    if closing() and _VERSION == "Lua 5.1" then collectgarbage() return collectgarbage("stop") end
    return collectgarbage(...)
end
local function leaves_boxes() return closing() and _VERSION == "Lua 5.4" end
local function trace(co) return not leaves_boxes() and debug.traceback(co) end
local function xs(n)
    if not leaves_boxes() then return ("x"):rep(n) end
    local s = "x"
    while #s < n do s = s .. s end
    return s
end
]]

-- And those that know TLS. Each handshake takes milliseconds, and fuel.
local tls_prelude = [[
local L, X = nil, {}
local PEM = %s
local function both(i) return L.context { ca = PEM, cert = PEM, sessions = i %% 3 } end
local function x(i) return at(X, i, function() return add(X, both(i)) end) end
local function secure(i)
    local a, b = S.pair()
    if not burn() or not sock(a) or not sock(b) then return end
    a:settimeout(0.05) b:settimeout(0.05)
    X[0] = X[0] or both(i)
    local server = add(T, S.spawn(L.server, b, X[0]))
    L.client(a, "a.test", X[0])
    server:wait(0.05)
    a:settimeout(0.0003) b:settimeout(0.0003)
end
]]

local statement, statements

-- ---- values ----

local function index()
    return pick(4)
end

local function short()
    return one_of { "0", "0.0001", "0.0003", "0.0003" }
end

local values = {
    function() return "nil" end,
    -- Great numbers are negative: S.sleep, as a handler or a task, may be called with any.
    function() return one_of { "true", "false", "1", "0", "-1", "-1.5", "-2^53", "0/0", "-1/0" } end,
    function() return one_of { '"x"', '""', '"\\n"', "xs(70000)", "xs(3000)" } end,
    function() return "{}" end,
    function() return "S" end,
    function() return ("k(%d)"):format(index()) end,
    function() return ("u(%d)"):format(index()) end,
    function() return ("c(%d)"):format(index()) end,
    function() return ("t(%d)"):format(index()) end,
    function() return ("t(%d)"):format(index()) end,
    function() return "t(#T - 1)" end,
    function() return ("g(%d)"):format(index()) end,
    function() return ("o(%d)"):format(index()) end,
    function() return "(coroutine.running())" end,
    function() return "hot" end,
    function() return "M" end,
    function()
        return one_of { "S.loop()", "print", "io.stdout", "S.run", "S.sleep", "coroutine.yield", "S.within",
            "S.coroutine.resume" }
    end,
    function() return "setmetatable({}, { __index = kept, __tostring = function() error(1) end })" end,
}

local function context()
    return ("x(%d)"):format(index())
end

local function value()
    if mood.tls and chance(10) then
        return chance(50) and "L" or context()
    end
    return one_of(values)()
end

local function count()
    return one_of { 0, 1, 2, 10, 30, 60, 200, 250, 254, 1000, 1500, 2000, 5000, 7990, 8000 }
end

-- A list of values, at times one of up to `most`.
local function list(most)
    if chance(mood.many) then
        return ("unpack({}, 1, %d)"):format(math.min(count(), most or 8000))
    end
    local all = {}
    for i = 1, pick(4) - 1 do
        all[i] = value()
    end
    return table.concat(all, ", ")
end

local function more(most)
    local all = list(most)
    return all == "" and "" or ", " .. all
end

-- LuaJIT begins to resume a coroutine anew until its stack has room for the values (ffh_resume in lib_base.c). A hook
-- for calls may run each time, and a collection in it shrinks that stack: the program would not end.
local function most_to_resume()
    return is_jit and mood.hooks and 10 or nil
end

-- ---- functions ----

-- The inside of a function that anybody may call, how often he likes.
local function callback(result)
    emit("if not burn() then return %s end", result or "")
    statements(pick(3))
    if result then
        emit("do return %s end", result)
    elseif chance(40) then
        emit("do return %s end", list())
    end
end

-- As an argument or value: "function(...) ... end" with what stands before and behind it.
local function with_function(before, behind, result)
    if depth >= 3 or #lines > 150 then
        local inside = chance(50) and "" or ("if burn() then return %s end"):format(list())
        emit("%s function(...) %s end%s", before, inside, behind)
        return
    end
    depth = depth + 1
    block(before .. " function(...)", "end" .. behind, callback, result)
    depth = depth - 1
end

-- ---- statements, by what they need ----

local groups = {}

groups.sockets = {
    function() emit("sock(S.tcp())") end,
    function() emit("pair()") end,
    function() emit("pair()") end,
    function() emit('link("%s")', one_of { "127.0.0.1", "::1" }) end,
    function() emit("k(%d):read(%d)", index(), one_of { 0, 1, 5, 3000, 100000 }) end,
    function() emit("k(%d):readsome(%d)", index(), one_of { 1, 100, 100000 }) end,
    function() emit("k(%d):peek(%s)", index(), one_of { "", "7", "1e6" }) end,
    function() emit("k(%d):readline(%s)", index(), one_of { "", "1", "5" }) end,
    function() emit("k(%d):finish(%s)", index(), one_of { "", "0", "5" }) end,
    function() emit("k(%d):readall(%s)", index(), one_of { "", "0", "5" }) end,
    function() emit('k(%d):readuntil("%s", true)()', index(), one_of { "\\n", "x", "ab" }) end,
    function() emit('hot = k(%d):readuntil("\\n")', index()) end,
    function() emit("k(%d):write(%s)", index(), value()) end,
    function() emit("k(%d):write(%s)", index(), one_of { "xs(300000)", '{ "a", "b\\n" }' }) end,
    function() emit('k(%d):write("%s\\n")', index(), ("y"):rep(pick(30))) end,
    function() emit("k(%d):close()", index()) end,
    function() emit("k(%d):close()", index()) end,
    function() emit("k(%d):shutdown(S.SHUT_%s)", index(), one_of { "RD", "WR", "RDWR" }) end,
    function() emit("k(%d):settimeout(%s)", index(), short()) end,
    function() emit("local _ = k(%d):pending(), k(%d):fileno(), tostring(k(%d))", index(), index(), index()) end,
    function() emit("hot = sock(k(%d):accept())", index()) end,
    function() emit("k(%d):connect(k(%d):getsockname())", index(), index()) end,
    function() emit("k(%d):connect(\"%s\", 1)", index(), one_of { "127.0.0.1", "::1" }) end,
    function() emit('k(%d):bind("127.0.0.1", 0)', index()) end,
    function() emit('k(%d):open("%s")', index(), one_of { "inet", "inet6", "unix" }) end,
    function() emit("k(%d):listen()", index()) end,
    function() emit("K[#K] = nil") end,
    function() emit("K = {}") end,
    function() emit("sock(S.fromfd(k(%d):detach()))", index()) end,
    function() emit('k(%d):sendfd("xy", k(%d))', index(), index()) end,
    function() emit('k(%d):sendfd("xy", k(%d):fileno())', index(), index()) end,
    function() emit("k(%d):write(xs(3000), %d, %d)", index(), pick(3000), -pick(10)) end,
    function() emit('k(%d):readuntil("x", false, 9)(%d)', index(), pick(3)) end,
    function() emit("k(%d):setopt(S.OPT_%s)", index(), one_of { "LINGER, 0", "TCP_NODELAY, true", "SPIN, 1" }) end,
    function() emit("k(%d):getopt(S.OPT_%s)", index(), one_of { "LINGER", "TCP_NODELAY", "ERROR" }) end,
}

groups.datagrams = {
    function() emit("u(%d):sendto(%s, u(%d):getsockname())", index(), one_of { '"x"', '""' }, index()) end,
    function() emit('u(%d):sendto(xs(9000), u(%d):getsockname())', index(), index()) end,
    function() emit('u(%d):sendmany({ "a", "b" }, u(%d):getsockname())', index(), index()) end,
    function() emit("u(%d):connect(u(%d):getsockname())", index(), index()) end,
    function() emit('u(%d):send("x")', index()) end,
    function() emit("u(%d):recv()", index()) end,
    function() emit("u(%d):recvfrom(%d)", index(), one_of { 1, 100, 65535 }) end,
    function() emit("u(%d):recvmany(%d, 100)", index(), pick(5)) end,
    function() emit("u(%d):close()", index()) end,
    function() emit("U = {}") end,
}

local function spawn()
    local many = more()
    with_function("add(T, S.spawn(", many .. "))")
end

groups.tasks = {
    spawn, spawn, spawn, spawn, spawn,
    function() with_function("hot = S.spawn(", ")") end,
    function() with_function("S.spawn(", more() .. "):wait()") end,
    function() emit("add(T, S.spawn(%s%s))", one_of { "S.pair", "coroutine.yield" }, more()) end,
    -- Not one second, which would be waited for whenever a program waits for all tasks.
    function() emit("add(T, S.spawn(S.sleep, %s))", one_of { short(), short(), "-1", "{}", "nil", "0/0" }) end,
    function() emit("add(T, S.spawn(%s%s))", one_of { "print", "S.run", "error" }, more()) end,
    function() emit("t(%d):wait(%s)", index(), one_of { "", "0", "0.0002" }) end,
    function() emit("t(%d):wait(%s)", index(), one_of { "", "0", "0.0002" }) end,
    function() emit("t(#T - 1):wait(%s)", one_of { "", "0", "0.0002" }) end,
    function() emit("t(%d):cancel()", index()) end,
    function() emit("t(#T - 1):cancel()") end,
    function() emit("local _ = t(%d):status(), tostring(t(%d))", index(), index()) end,
    function() with_function(("S.within(%s,"):format(short()), more() .. ")") end,
    function() with_function(("S.within(%s,"):format(short()), ")") end,
    function() emit("S.within(%s, %s%s)", short(), one_of { "S.run", "S.sleep, 1", "coroutine.yield" }, more()) end,
    function() with_function(("add(T, g(%d):spawn("):format(index()), more() .. "))") end,
    function() with_function(("g(%d):spawn("):format(index()), ")") end,
    function() emit("g(%d):spawn(%s)", index(), one_of { "S.sleep, 0.0001", "error, 1", "S.run", "yielder" }) end,
    function() emit("g(%d):wait(%s)", index(), one_of { "", "0", "0.0002" }) end,
    function() emit("g(%d):cancel()", index()) end,
    function() emit("G = {}") end,
    function() emit("t(%d):background()", index()) end,
    function() emit('add(kept, S.signals("USR1"))') end,
    function() emit('hot = S.signals("USR2") if hot then hot:get(%s) hot:close() end', short()) end,
    function() emit("S.run()") end,
    function() emit("S.run()") end,
    function() emit("S.sleep(%s)", short()) end,
    function() emit("S.sleep(0)") end,
    function() emit("for _ = 1, times(%d) do S.sleep(0) end", one_of { 2, 5, 70 }) end,
    function() emit("S.loop():step(%s)", short()) end,
    function() emit("local _ = S.loop():pollfd(), S.loop():timeout(), S.loop():events()") end,
    function() emit("S.select({ k(%d) }, { k(%d), u(%d) }, %s)", index(), index(), index(), short()) end,
    function()
        emit("S.select({ c(%d), t(%d) }, { c(%d), k(%d) }, %s)", index(), index(), index(), index(), short())
    end,
    function() emit('S.resolve("%s", 1, %s)', one_of { "127.0.0.1", "::1", "localhost" }, short()) end,
    function() emit("T = {}") end,
    function() emit("T[#T] = nil") end,
    function() with_function("S.onerror =", "") end,
    function() emit("S.onerror = %s", value()) end,
    function() emit('package.loaded.ssocket = nil S = require "ssocket"') end,
}

groups.channels = {
    function() emit("c(%d):put(%s)", index(), one_of { "1", "{}", "c(1)", "hot, 0" }) end,
    function() emit("c(%d):put(1, %s)", index(), short()) end,
    function() emit("hot = c(%d):get()", index()) end,
    function() emit("c(%d):get(%s)", index(), short()) end,
    function() emit("for _ = 1, times(%d) do c(%d):put(1, 0) c(%d):get(0) end", one_of { 2, 70 }, index(), index()) end,
    function() emit("for _ in c(%d):values() do if not burn() then break end end", index()) end,
    function() emit("hot = c(%d):values()", index()) end,
    function() emit("c(%d):close()", index()) end,
    function() emit("C = {}") end,
}

groups.coroutines = {
    function() with_function("add(O, coroutine.create(", "))") end,
    function() with_function("coroutine.wrap(", ")(" .. list(most_to_resume()) .. ")") end,
    function() emit("add(O, (coroutine.running()))") end,
    function() emit("add(O, (coroutine.running()))") end,
    function() emit("coroutine.resume(o(%d)%s)", index(), more(most_to_resume())) end,
    function() emit("coroutine.resume(o(%d)%s)", index(), more(most_to_resume())) end,
    function() emit("coroutine.resume(o(#O - 1)%s)", more(most_to_resume())) end,
    function() with_function("add(O, S.coroutine.create(", "))") end,
    function() with_function("add(O, S.coroutine.create(", "))") end,
    function() with_function("S.coroutine.wrap(", ")(" .. list(most_to_resume()) .. ")") end,
    function() with_function("hot = S.coroutine.wrap(", ") hot() hot()") end,
    function() emit("S.coroutine.resume(o(%d)%s)", index(), more(most_to_resume())) end,
    function() emit("S.coroutine.resume(o(%d)%s)", index(), more(most_to_resume())) end,
    function() emit("S.coroutine.resume(o(#O - 1)%s)", more(most_to_resume())) end,
    function() emit("hot()") end,
    function() emit("coroutine.yield(%s)", list()) end,
    function() emit("coroutine.yield(%s)", list()) end,
    function() emit("coroutine.yield(%s)", value()) end,
    function() emit("coroutine.yield()") end,
    function() emit("local _ = coroutine.status(o(%d))", index()) end,
    function() emit("O = {}") end,
}
if version >= 5.4 then
    local closes = groups.coroutines
    closes[#closes + 1] = function() emit("coroutine.close(o(%d))", index()) end
    closes[#closes + 1] = function() emit("coroutine.close(o(%d))", index()) end
    closes[#closes + 1] = function() emit("coroutine.close(coroutine.running())") end
    closes[#closes + 1] = function() emit("S.coroutine.close(o(%d))", index()) end
end

groups.errors = {
    function() emit("do error(%s) end", value()) end,
    function() emit("do error(%s, %d) end", value(), pick(3)) end,
    function() with_function("pcall(", more() .. ")") end,
    function() with_function("pcall(", ")") end,
    function()
        emit("local function handler(...)")
        indent = indent + 1
        callback()
        indent = indent - 1
        emit("end")
        emit("xpcall(function() error(%s) end, handler)", value())
    end,
    function() with_function("xpcall(coroutine.yield,", ")") end,
    function() emit("pcall(%s)", one_of { "S.run", "S.sleep, 0", "coroutine.yield, 1", "error", "S.spawn, 1" }) end,
}

local modes = { '"collect"', '"collect"', '"step"', '"step", 1', '"step", 1000', '"stop"', '"restart"', '"count"',
    '"setpause", 0', '"setpause", 1000', '"setstepmul", 1000000', '"setstepmul", 100' }
if version >= 5.4 then -- in 5.2 it crashes by itself
    modes[#modes + 1] = '"generational"'
    modes[#modes + 1] = '"incremental"'
end
if version >= 5.5 then
    modes[9], modes[10] = '"param", "pause", 1', '"param", "pause", 1000'
    modes[11], modes[12] = '"param", "stepmul", 10000', '"param", "stepsize", 1'
end

groups.collector = {
    function() emit("gc(%s)", one_of(modes)) end,
    function() emit("gc()") end,
    function() emit("for _ = 1, times(%d) do local x = { {} } end", one_of { 5, 50, 500 }) end,
    function() with_function("finalizer(", ")") end,
    function() with_function("finalizer(", ")") end,
    function() with_function("add(kept, finalizer(", "))") end,
    function() with_function("add(kept, finalizer(", "))") end,
    function()
        emit "local function again() if burn() then finalizer(again) end"
        indent = indent + 1
        statements(pick(2))
        indent = indent - 1
        emit "end"
        emit "again()"
    end,
    function() emit("kept = {}") end,
    function() emit("stress(%d)", one_of { 1, 1, 2, 3, 7, 0 }) end,
}

groups.memory = {
    function() emit("refuse(%d, %d)", pick(30), one_of { 1, 2, 5, 30, 100000 }) end,
    function() emit("refuse(%d, %d)", pick(300), one_of { 1, 2, 5 }) end,
    function() emit("refuse(0, 0)") end,
}

local function server_name()
    return one_of { "a.test", "a.test", "a.test", "b.test", "127.0.0.1" }
end

-- Where a socket is expected, at times a value that a debugger has found.
local function handle()
    return chance(8) and "M" or ("k(%d)"):format(index())
end

local options = {
    "cert = PEM", "ca = PEM, cert = PEM", "cert = PEM, client_ca = PEM", "ca = PEM, verify = false, sessions = 0",
    'ca = PEM, alpn = { "a" }', 'cert = PEM, alpn = { "a", "b" }',
    'ca = PEM, cert = PEM, conf = { MaxProtocol = "TLSv1.2" }',
    'cert = "/nowhere"', "key = PEM", 'ca = "/"', "crl = PEM", "ticket_keys = { ('k'):rep(80) }, cert = PEM",
}

groups.tls = {
    function() emit("secure(%d)", index()) end,
    function() emit("secure(%d)", index()) end,
    function() emit("secure(%d)", index()) end,
    function() emit('if burn() then L.client(%s, "%s", %s) end', handle(), server_name(), context()) end,
    function() emit('if burn() then L.client(%s, "%s") end', handle(), server_name()) end,
    function() emit("if burn() then L.server(%s, %s) end", handle(), context()) end,
    function() emit("hot = L.hello(%s)", handle()) end,
    function() emit('add(T, S.spawn(L.client, k(%d), "%s", %s))', index(), server_name(), context()) end,
    function() emit("add(T, S.spawn(L.server, k(%d), %s))", index(), context()) end,
    function() emit("add(T, S.spawn(L.hello, k(%d)))", index()) end,
    function() emit('S.within(%s, L.client, k(%d), "%s", %s)', short(), index(), server_name(), context()) end,
    function()
        emit("add(O, S.coroutine.create(L.server)) S.coroutine.resume(o(#O - 1), k(%d), %s)", index(), context())
    end,
    function() emit("hot = L.info(%s)", handle()) end,
    function() emit('L.binding(%s, "tls-%s")', handle(), one_of { "exporter", "server-end-point", "unique" }) end,
    function() emit('L.export(%s, "x", %s, %s)', handle(), one_of { 1, 40, 8160 }, one_of { "nil", '""', '"x"' }) end,
    function() emit('L.connect("127.0.0.1", 1, %s, %s)', one_of { "nil", context() }, short()) end,
    function() emit("add(X, L.context { %s })", one_of(options)) end,
    function() emit("add(X, L.context { %s })", one_of(options)) end,
    function() emit("L.context(%s)", value()) end,
    function() emit("L.%s(%s)", one_of { "client", "server", "hello", "info", "binding", "export" }, list()) end,
    function() emit("X = {}") end,
    function() emit("X[#X] = nil") end,
    function() emit('package.loaded["ssocket.tls"] = nil L = require "ssocket.tls"') end,
}

local events = {
    "__index", "__newindex", "__call", "__add", "__concat", "__eq", "__lt", "__le", "__len", "__unm", "__tostring",
}
local uses = {
    "local _ = m.x", "m.x = 1", "m()", "local _ = m + m", 'local _ = m .. "x"', "local _ = m == n", "local _ = m < n",
    "local _ = m <= n", "local _ = #m", "local _ = -m", "local _ = tostring(m)",
}

-- C calls, of which Lua allows 200; LuaJIT as many as its stack holds, and these may be within each other.
local nests = is_jit and { 1, 20, 50 } or { 1, 50, 150, 180, 185, 190, 195, 198, 199 }

-- LuaJIT has no limit for C calls but the end of their stack.
local overflow = is_jit and "deep(3000," or "overflow("

-- Lua 5.4.4 goes on with the old stack where a function for `__concat` has moved it (luaV_concat).
if version == 5.4 then
    table.remove(events, 5)
    table.remove(uses, 5)
end

groups.metamethods = {
    function()
        local i = pick(#events)
        emit("local meta = {}")
        with_function(("meta.%s ="):format(events[i]), "", chance(60) and "1" or nil)
        emit("local m, n = setmetatable({}, meta), setmetatable({}, meta)")
        emit(uses[i])
    end,
    function() with_function('string.gsub("abc", ".",', ")") end,
    function() with_function('string.gsub("abc", ".",', ")") end,
    function() with_function("table.sort({ 3, 1, 2, 5, 4 },", ")", chance(70) and "fuel % 2 == 0" or nil) end,
    function()
        with_function("package.preload.x =", "")
        emit('package.loaded.x = nil require "x"')
    end,
    function() with_function("for _ in", " do if not burn() then break end end") end,
    function() with_function(("deep(%d,"):format(one_of { 1, 100, 190, 1000, 3000 }), ")") end,
    function() with_function(("nest(%d,"):format(one_of(nests)), ")") end,
    function() with_function(mood.floods and "flood(" or overflow, ")") end,
    function() emit("trace(o(%d))", index()) end,
}
if version >= 5.2 or is_jit then -- in 5.1 the collector frees the name of what is being loaded
    local more_of = groups.metamethods
    more_of[#more_of + 1] = function() with_function("load(", ")") end
end
if version >= 5.4 then
    local closes = groups.metamethods
    for _ = 1, 4 do
        closes[#closes + 1] = function()
            emit("do")
            indent = indent + 1
            with_function("local x <close> = setmetatable({}, { __close =", "})")
            statements(pick(2))
            indent = indent - 1
            emit("end")
        end
    end
    closes[#closes + 1] = function()
        emit("do")
        indent = indent + 1
        emit("local x <close> = k(%d)", index())
        statements(pick(2))
        indent = indent - 1
        emit("end")
    end
    closes[#closes + 1] = function() with_function("for _ in coroutine.wrap(",
        "), nil, nil, k(1) do if not burn() then break end end") end
end

-- Lua 5.2 and 5.3 read behind a function's lines when it is not the one in which a hook for lines has last run.
local l = (version == 5.2 or version == 5.3) and "" or "l"

groups.hooks = {
    function()
        local mask = one_of { l, "c", "r", "cr" .. l, "" }
        with_function("debug.sethook(", (', "%s", %d)'):format(mask, one_of { 1, 5, 100 }))
    end,
    function()
        local mask = one_of { l, "c", "r" }
        with_function(("debug.sethook(o(%d),"):format(index()), (', "%s")'):format(mask))
    end,
    function() emit("debug.sethook()") end,
}

-- What a debugger sees: the module's own values on the stack of a task that waits.
groups.debug = {
    function() emit("M = select(2, debug.getlocal(o(%d), %d, %d))", index(), pick(2) - 1, pick(5)) end,
    function() emit("mark(o(%d))", index()) end,
    function() emit("M = select(2, debug.getlocal(2, %d))", pick(4)) end,
    function() emit("coroutine.yield(M)") end,
    function() emit("coroutine.resume(o(%d), M)", index()) end,
    function() emit("add(O, (coroutine.running()))") end,
}

-- ---- a program ----

function statement()
    local group = groups[one_of(mood.groups)]
    if chance(15) and depth < 3 then
        block("pcall(function(...)", "end" .. more() .. ")", one_of(group))
    elseif chance(4) then
        block(("for _ = 1, times(%d) do"):format(one_of { 2, 3, 10 }), "end", one_of(group))
    else
        one_of(group)()
    end
end

function statements(n)
    for _ = 1, n do
        if #lines > 220 then
            return
        end
        statement()
    end
end

local all_groups = {
    "sockets", "datagrams", "tasks", "channels", "coroutines", "errors", "collector", "memory", "metamethods", "hooks",
    "debug",
}

-- Programs that do a few things often find more than those that do everything at times. A collection takes long where
-- the stack is full, which it is in calm programs alone.
local function new_mood()
    local hooks = false
    local new = { groups = { "tasks", "tasks" }, many = one_of { 0, 0, 2, 30 }, calm = chance(15) }
    for _ = 1, 1 + pick(4) do
        local name = one_of(all_groups)
        if new.calm and (name == "collector" or name == "memory") then
            name = "metamethods"
        end
        hooks = hooks or name == "hooks"
        if name == "memory" and version == 5.4 then
            new.many = 0 -- where there is no memory for a function's many arguments, it goes on all the same
        end
        for _ = 1, pick(3) do
            new.groups[#new.groups + 1] = name
        end
    end
    new.hooks = hooks
    -- In Lua 5.4 hooks get no room where the stack is full.
    new.floods = new.calm and not (hooks and version == 5.4)
    return new
end

-- Beside the rest: the sockets, in any case, and TLS.
local function know_tls()
    mood.tls = true
    mood.groups[#mood.groups + 1] = "sockets"
    for _ = 1, 2 + pick(4) do
        mood.groups[#mood.groups + 1] = "tls"
    end
end

local pem

-- As a long string of Lua.
local function text_of_pem()
    if not pem then
        local file = assert(io.open(debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" .. "/tls.pem", "rb"))
        pem = "[[" .. file:read "*a" .. "]]"
        file:close()
    end
    return pem
end

local paces = {
    'collectgarbage("setpause", 0) collectgarbage("setstepmul", 1000000)',
    'collectgarbage("setpause", 100)',
    "stress(1)",
    "stress(2)",
    'collectgarbage("generational")',
    'collectgarbage("stop")',
}

local function at_end()
    for _ = 1, pick(3) do
        with_function("add(kept, finalizer(", "))")
    end
end

local function generate(seed)
    state = seed * 7919 % 2147483646 + 1
    for _ = 1, 3 do
        pick(2)
    end
    lines, indent, depth, mood = {}, 0, 0, new_mood()
    emit("-- test/fuzz/programs.lua, seed %.0f, %s", seed, is_jit and "LuaJIT" or _VERSION)
    lines[#lines + 1] = prelude:format(one_of { 20, 60, 60, 150 }):sub(1, -2)
    if seed >= TLS_SEEDS then
        know_tls()
        lines[#lines + 1] = tls_prelude:format(text_of_pem()):sub(1, -2)
    end
    if chance(40) then
        at_end()
    end
    emit('S = require "ssocket"')
    if mood.tls then
        emit('L = require "ssocket.tls"')
    end
    if chance(40) and not mood.calm then
        local pace = one_of(paces)
        if version >= 5.5 and pace:find "set" then
            pace = 'collectgarbage("param", "pause", 1)'
        end
        emit("pcall(function() %s end)", pace)
    end
    local n = 3 + pick(14)
    for _ = 1, n do
        -- One that fails ends no other.
        local protected = chance(70)
        block(protected and "pcall(function()" or "do", protected and "end)" or "end", statements, pick(2))
    end
    if chance(40) then
        at_end()
    end
    if chance(30) then
        emit("pcall(S.run)")
    end
    return table.concat(lines, "\n") .. "\n"
end

-- ---- making a program smaller ----

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

local function write(path, text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
end

local function lines_of(text)
    local all = {}
    for line in text:gmatch "[^\n]+" do
        all[#all + 1] = line
    end
    return all
end

-- What a command says of a fault: the same words mean the same fault.
local function fault_of(command, path)
    local pipe = assert(io.popen(command .. " " .. path .. " 2>&1"))
    local said = pipe:read "*a"
    pipe:close()
    if not said:find "not ok" then
        return nil
    end
    local kind = said:match "ERROR: AddressSanitizer: (%S+)" or said:match "runtime error: ([%a ]+)"
        or said:match "(%d+ and %d+) bytes are left" and "left" or said:match "Assertion" or "other"
    for _, folder in ipairs { "lua", "run", "core", "os" } do
        local where = said:match("#%d+ %S+ in (%S+) [^\n ]*src/" .. folder .. "/")
        if where then
            return kind .. " in " .. where
        end
    end
    return kind
end

local function without(all, from, to)
    local rest = {}
    for i, line in ipairs(all) do
        if i < from or i > to then
            rest[#rest + 1] = line
        end
    end
    return rest
end

-- A block without its contents, or contents without their block: the first and the last line of it go.
local function unwrapped(all, from, to)
    return without(without(all, to, to), from, from)
end

local function minimise(path, command)
    local all, smaller = lines_of(read(path)), path .. ".smaller"
    local fault = fault_of(command, path)
    assert(fault, "the program shows no fault")
    local function try(candidate)
        local text = table.concat(candidate, "\n") .. "\n"
        if not (loadstring or load)(text) then
            return false
        end
        write(smaller, text)
        if fault_of(command, smaller) ~= fault then
            return false
        end
        all = candidate
        write(path, text)
        return true
    end
    local changed = true
    while changed do
        changed = false
        local size = #all
        while size >= 1 do
            local from = #all
            while from >= 1 do
                local to = math.min(#all, from + size - 1)
                if from <= #all and try(without(all, from, to)) then
                    changed = true
                end
                from = from - size
            end
            size = math.floor(size / 2)
        end
        for from = #all - 1, 1, -1 do
            for to = from + 1, math.min(#all, from + 12) do
                if all[to] and try(unwrapped(all, from, to)) then
                    changed = true
                    break
                end
            end
        end
    end
    os.remove(smaller)
    io.write(fault, "\n", read(path))
end

if ... == "generator" then
    return generate
elseif ... == "minimise" then
    minimise((select(2, ...)), table.concat({ select(3, ...) }, " "))
else
    io.write(generate(tonumber((...))))
end
