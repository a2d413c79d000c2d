-- ssocket.pool: connections kept for the next one.

local pool = require "ssocket.pool"
local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"

local socket = t.socket
local spawn, join, everywhere = tasks.spawn, tasks.join, tasks.everywhere

local SOON, LATE = 0.03, 5 -- seconds: of a time-out; until which what happens "at once" has happened

-- A server that takes connections and does nothing with them but what it is told: do(n, what) with the n-th.
local Server = {}
Server.__index = Server

local function server(unix)
    local p = t.python(
        [[
        if argv[0]:
            l = socket.socket(socket.AF_UNIX); l.bind(argv[0]); l.listen(100); say(0)
        else: l = listen(100)
        conns = []
        while True:
            line = sys.stdin.readline()
            if not line: break
            n, what = line.split()
            while len(conns) < int(n): conns.append(l.accept()[0])
            c = conns[int(n) - 1]
            if what == "close": c.close()
            elif what == "send": c.sendall(b"stray")
            elif what == "echo": c.sendall(take(c, 1))
            elif what == "drain": drain(c)
            elif what == "reset": reset(c)
            say("done")
        ]],
        unix or ""
    )
    local self = setmetatable({ peer = p, path = unix, port = p:number(), dials = 0 }, Server)
    function self.dial()
        self.dials = self.dials + 1
        if unix then
            return socket.connect("unix:" .. unix, 10)
        end
        return socket.connect("127.0.0.1", self.port, 10)
    end
    return self
end

function Server:tell(n, what)
    self.peer:say(n .. " " .. what)
    assert.equal("done", self.peer:line())
end

function Server:finish()
    self.peer:eof()
    self.peer:finish()
end

-- f(server), everywhere.
local function with_server(name, f)
    everywhere(name, function()
        local s = server()
        f(s)
        s:finish()
    end)
end

-- The same in tasks alone: the main program has them run.
local function in_task(name, f)
    it(name, function()
        tasks.run(function()
            local s = server()
            f(s)
            s:finish()
        end)
    end)
end

-- Waits until f() is true, and lets tasks run.
local function await(f)
    local limit = t.now() + LATE * t.slow
    while not f() do
        assert(t.now() < limit, "it does not happen")
        socket.sleep(0.002)
    end
end

local function is_closed(sock)
    return sock:fileno() < 0
end

-- What has come from the peer is at the socket.
local function await_input(sock)
    assert(socket.select({ sock }, nil, LATE * t.slow))
end

-- p:get(key, dial, ...) gives a new connection, or one that was in the pool.
local function get_new(p, key, dial, ...)
    local sock, reused = p:get(key, dial, ...)
    assert(sock, reused)
    assert.is_false(reused)
    return sock
end

local function get_again(p, key, ...)
    local sock, reused = p:get(key, function()
        error "there is nothing to reuse"
    end, ...)
    assert(sock, reused)
    assert.is_true(reused)
    return sock
end

local function put(p, key, sock)
    assert.same({ n = 1, true }, t.pack(p:put(key, sock)))
end

-- Its results are nil and a text.
local function refuses(err, ...)
    local results = t.pack(...)
    assert.equal(2, results.n)
    assert.is_nil(results[1])
    assert.is_string(results[2])
    assert.is_true(err == nil or err == results[2], results[2])
end

describe("pool:get", function()
    tasks.guard()

    with_server("connects, and gives what was put: last in, first out", function(s)
        local p = pool.new()
        local a, b = get_new(p, "key", s.dial), get_new(p, "key", s.dial)
        put(p, "key", a)
        put(p, "key", b)
        assert.equal(b, get_again(p, "key"))
        assert.equal(a, get_again(p, "key"))
        assert.equal(2, s.dials)
        local c = get_new(p, "key", s.dial)
        for _, sock in ipairs { a, b, c } do
            assert.is_true(p:drop("key", sock))
            assert.is_true(is_closed(sock))
        end
    end)

    with_server("takes any key but nil and NaN", function(s)
        local p, object = pool.new(), {}
        local keys = { false, true, 1, 1.5, math.huge, "", "1", object, print, s.dial, socket.tcp() }
        local socks = {}
        for i, key in ipairs(keys) do
            socks[i] = get_new(p, key, s.dial)
            put(p, key, socks[i])
        end
        for i, key in ipairs(keys) do
            assert.equal(socks[i], get_again(p, key))
        end
        assert.is_true(p:close())
        for i, key in ipairs(keys) do
            refuses(socket.ERROR_CLOSED, p:put(key, socks[i]))
        end
    end)

    with_server("passes over connections that the peer has ended, reset or used", function(s)
        for _, what in ipairs { "close", "reset", "send" } do
            local p = pool.new { timeout = 1000 }
            s.dials = 0
            local first = get_new(p, "key", s.dial)
            local a, b = get_new(p, "key", s.dial), get_new(p, "key", s.dial)
            s.from = s.from or 0
            put(p, "key", first)
            put(p, "key", a)
            put(p, "key", b)
            s:tell(s.from + 2, what)
            s:tell(s.from + 3, what)
            for _, sock in ipairs { a, b } do
                if not is_closed(sock) then
                    await_input(sock)
                end
            end
            assert.equal(first, get_again(p, "key"))
            assert.is_true(is_closed(a) and is_closed(b))
            assert.is_true(p:drop("key", first))
            s.from = s.from + 3
        end
    end)

    with_server("does not give what is too old", function(s)
        local p = pool.new { timeout = SOON }
        local a, b = get_new(p, "key", s.dial), get_new(p, "key", s.dial)
        put(p, "key", a)
        put(p, "key", b)
        assert(socket.sleep(2 * SOON))
        local c = get_new(p, "key", s.dial)
        assert.is_true(is_closed(a) and is_closed(b))
        p:drop("key", c)
        local never, forever = pool.new { timeout = 0 }, pool.new { timeout = -1 }
        for _, q in ipairs { never, forever } do
            local sock = get_new(q, "key", s.dial)
            put(q, "key", sock)
            assert.equal(q == forever, select(2, q:get("key", s.dial)))
        end
        never:close()
        forever:close()
        t.collect()
    end)

    with_server("passes the error of dial on, as it is", function(s)
        local p, object = pool.new { max = 1 }, {}
        for _ = 1, 3 do -- the place is free again
            refuses("no luck", p:get("key", function()
                return nil, "no luck"
            end))
            assert.same({ n = 2 }, t.pack(p:get("key", function() end)))
            local ok, err = pcall(p.get, p, "key", function()
                error(object)
            end)
            assert.is_true(not ok and err == object)
        end
        local callable = setmetatable({}, { __call = s.dial })
        p:drop("key", get_new(p, "key", callable))
    end)

    with_server("refuses what is no new connection, and the place is free", function(s)
        local p = pool.new { max = 2 }
        local sock, udp = get_new(p, "key", s.dial), socket.udp()
        for _, wrong in ipairs { 1, "x", {}, print, true, udp, io.stdout, sock } do
            local message = tasks.raises("bad argument #2 to 'get'", p.get, p, "key", function()
                return wrong
            end)
            assert.matches("new tcpsock", message, 1, true)
        end
        refuses(socket.ERROR_CLOSED, p:get("key", socket.tcp)) -- which is not open
        put(p, "key", sock)
        assert.equal(sock, get_again(p, "key"))
        p:drop("key", sock)
    end)

    with_server("bounds the wait in line and dial together, and both keep no place", function(s)
        local p = pool.new { max = 1 }
        local sock = get_new(p, "key", s.dial)
        local function too_slow()
            local ok, err = socket.sleep(1000)
            return ok and s.dial(), err
        end
        refuses(socket.ERROR_TIMEOUT, t.takes(SOON, p.get, p, "key", s.dial, SOON))
        refuses(socket.ERROR_TIMEOUT, p:get("key", s.dial, 0))
        p:drop("key", sock)
        refuses(socket.ERROR_TIMEOUT, t.takes(SOON, p.get, p, "key", too_slow, SOON))
        refuses(socket.ERROR_TIMEOUT, p:get("key", too_slow, 0))
        for _, limit in ipairs { -1, math.huge, 1000 } do
            p:drop("key", get_new(p, "key", s.dial, limit))
        end
        put(p, "key", get_new(p, "key", s.dial))
        p:drop("key", get_again(p, "key", 0))
    end)

    with_server("inside get, with keys of their own or enough places", function(s)
        local p = pool.new { max = 2 }
        local inner
        local outer = get_new(p, "key", function()
            inner = get_new(p, "key", s.dial)
            put(p, "key", inner)
            return s.dial()
        end)
        assert.equal(inner, get_again(p, "key"))
        refuses(socket.ERROR_TIMEOUT, p:get("key", s.dial, 0))
        p:drop("key", outer)
        p:drop("key", inner)
        refuses(socket.ERROR_TIMEOUT, pool.new({ max = 1 }):get("key", function()
            local one = pool.new { max = 1 }
            return one:get("other", function()
                return one:get("other", s.dial, SOON)
            end)
        end))
    end)

    it("over Unix sockets", function()
        local s = server(t.tmpdir() .. "/s")
        local p = pool.new()
        local sock = get_new(p, "key", s.dial)
        put(p, "key", sock)
        assert.equal(sock, get_again(p, "key"))
        s:tell(1, "send")
        await_input(sock)
        refuses(nil, p:put("key", sock))
        s:finish()
    end)
end)

describe("pool:put", function()
    tasks.guard()

    with_server("closes what nobody can go on with, and says so", function(s)
        local p = pool.new { max = 1 }
        for n, what in ipairs { "close", "reset", "send", "send", "none" } do
            local sock = get_new(p, "key", s.dial)
            s:tell(n, what)
            if n == 4 then
                assert.equal("st", sock:read(2)) -- the rest is in the module's buffer
            elseif n == 5 then
                sock:close()
            else
                await_input(sock)
            end
            refuses(n == 5 and socket.ERROR_CLOSED or nil, p:put("key", sock))
            assert.is_true(is_closed(sock))
        end
        p:drop("key", get_new(p, "key", s.dial))
    end)

    with_server("takes nothing twice, nor under another key: what is the pool's is closed", function(s)
        local p = pool.new { max = 1 }
        local a = get_new(p, "key", s.dial)
        put(p, "key", a)
        refuses(nil, p:put("key", a))
        assert.is_true(is_closed(a))
        local b = get_new(p, "key", s.dial)
        refuses(nil, p:put("another", b))
        assert.is_true(is_closed(b))
        local c = get_new(p, "key", s.dial)
        assert.is_true(p:drop("key", c))
        refuses(nil, p:drop("key", c))
        refuses(nil, p:put("key", c))
        local d = get_new(p, "key", s.dial)
        put(p, "key", d)
        refuses(nil, p:drop("key", d))
        assert.is_true(is_closed(d))
        p:drop("key", get_new(p, "key", s.dial)) -- the place was given back once each time
        local e = get_new(p, "key", s.dial)
        refuses(socket.ERROR_TIMEOUT, p:get("key", s.dial, 0))
        p:drop("key", e)
    end)

    with_server("leaves alone what is not the pool's", function(s)
        local p, q = pool.new(), pool.new()
        local stranger, of_another = s.dial(), get_new(q, "key", s.dial)
        for _, sock in ipairs { stranger, of_another } do
            refuses(nil, p:put("key", sock))
            refuses(nil, p:drop("key", sock))
            assert.is_false(is_closed(sock))
        end
        p:close()
        refuses(nil, p:put("key", stranger))
        assert.is_false(is_closed(stranger))
        put(q, "key", of_another)
        assert.equal(of_another, get_again(q, "key"))
        of_another:close()
        stranger:close()
    end)

    with_server("closes the oldest when there are too many", function(s)
        for _, case in ipairs { { pool.new { idle = 2 }, 2 }, { pool.new { idle = 0 }, 0 }, { pool.new(), 10 } } do
            local p, most = case[1], case[2]
            local socks = {}
            for i = 1, most + 2 do
                socks[i] = get_new(p, "key", s.dial)
            end
            local another = get_new(p, "another", s.dial)
            for i = 1, most + 2 do
                put(p, "key", socks[i])
                assert.equal(most == 0, is_closed(socks[i]))
            end
            assert.is_true(is_closed(socks[1]) and is_closed(socks[2]))
            for i = most + 2, 3, -1 do
                assert.equal(socks[i], get_again(p, "key"))
                p:drop("key", socks[i])
            end
            p:drop("another", another)
        end
    end)

    it("in a finalizer keeps the connection, or loses it, but not its place", function()
        local s = server()
        local p = pool.new { max = 1 }
        local results = {}
        local function lose()
            local sock = get_new(p, "key", s.dial)
            local proxy = _G.newproxy and _G.newproxy(true) or setmetatable({}, {})
            debug.getmetatable(proxy).__gc = function()
                results[#results + 1] = t.pack(pcall(p.put, p, "key", sock))
            end
            if not _G.newproxy then
                setmetatable(proxy, debug.getmetatable(proxy))
            end
        end
        for _ = 1, 3 do
            lose()
            t.collect()
            t.collect()
            local sock = p:get("key", s.dial, LATE)
            assert.is_true(sock and not is_closed(sock))
            p:drop("key", sock)
        end
        assert.is_true(#results >= 2, #results)
        assert.is_true(results[1][1])
        s:finish()
    end)
end)

describe("a pool with max", function()
    tasks.guard()

    -- n tasks, of which each fourth drops its connection: the order in which they had one, and how many at most.
    local function use(p, s, n)
        local order, open, most, list = {}, 0, 0, {}
        for i = 1, n do
            list[i] = spawn(function()
                local sock = p:get("key", s.dial)
                open = open + 1
                order[#order + 1] = i
                most = math.max(most, open)
                socket.sleep(0.002)
                open = open - 1
                if i % 4 == 0 then
                    p:drop("key", sock)
                else
                    put(p, "key", sock)
                end
            end)
            socket.sleep(0)
        end
        for i = 1, n do
            join(list[i])
        end
        p:close()
        return order, most
    end

    in_task("serves who waits first", function(s)
        assert.same({ 1, 2, 3, 4, 5, 6, 7, 8 }, (use(pool.new { max = 1 }, s, 8)))
        assert.equal(2, s.dials)
    end)

    in_task("has never more connections", function(s)
        local order, most = use(pool.new { max = 3 }, s, 20)
        assert.equal(20, #order)
        assert.equal(3, most)
        assert.is_true(s.dials >= 3 and s.dials <= 8, s.dials)
    end)

    in_task("gives the place of who fails to the next in line", function(s)
        local p, ways = pool.new { max = 1 }, {}
        local sock = get_new(p, "key", s.dial)
        local function say(way, ...)
            ways[#ways + 1] = way
            return ...
        end
        local list = {
            spawn(p.get, p, "key", function()
                socket.sleep(0.002)
                return say("nil", nil, "no luck")
            end),
            spawn(p.get, p, "key", function()
                socket.sleep(0.002)
                say "raised"
                error("raised", 0)
            end),
            spawn(p.get, p, "key", function()
                return say("closed", socket.tcp())
            end),
            spawn(p.get, p, "key", function()
                return say("wrong", 42)
            end),
            spawn(p.get, p, "key", function()
                return say("cancelled", socket.sleep(1000))
            end),
            spawn(p.get, p, "key", function()
                coroutine.yield() -- lets others run
                return say("well", s.dial())
            end),
        }
        tasks.settle()
        assert.same({}, ways)
        p:drop("key", sock)
        await(function()
            return #ways == 4
        end)
        tasks.settle()
        list[5]:cancel()
        local got, reused = join(list[6])
        assert.same({ "nil", "raised", "closed", "wrong", "cancelled", "well" }, ways)
        assert.is_false(reused)
        refuses("no luck", join(list[1]))
        assert.equal("raised", select(2, list[2]:wait()))
        refuses(socket.ERROR_CLOSED, join(list[3]))
        assert.matches("got number", select(2, list[4]:wait()), 1, true)
        refuses(socket.ERROR_CANCELLED, join(list[5]))
        p:drop("key", got)
    end)

    in_task("gives no place to who has been cancelled or does not wait any more", function(s)
        local p = pool.new { max = 1 }
        local sock = get_new(p, "key", s.dial)
        local first = spawn(p.get, p, "key", s.dial)
        local second = spawn(p.get, p, "key", s.dial, SOON)
        local third = spawn(p.get, p, "key", s.dial)
        tasks.settle()
        first:cancel()
        refuses(socket.ERROR_CANCELLED, join(first))
        refuses(socket.ERROR_TIMEOUT, join(second))
        put(p, "key", sock)
        local got, reused = join(third)
        assert.equal(sock, got)
        assert.is_true(reused)
        local fourth = spawn(p.get, p, "key", s.dial)
        tasks.settle()
        put(p, "key", got)
        fourth:cancel() -- the place is its own already
        assert.equal(sock, (join(fourth)))
        p:drop("key", sock)
    end)

    it("is not given back while another task reads from it", function()
        tasks.run(function()
            local s = server()
            local p = pool.new()
            local sock = get_new(p, "key", s.dial)
            local reader = spawn(sock.read, sock, 5)
            tasks.settle()
            t.fails(socket.ERROR_BUSY, nil, p:put("key", sock))
            assert.equal(-1, sock:fileno())
            assert.same({ nil, socket.ERROR_CLOSED, "" }, { join(reader) })
            s:finish()
        end)
    end)

    it("forgets a key without connections, also where two places came back while one waited", function()
        tasks.run(function()
            local s = server()
            local p = pool.new { max = 2 }
            local keys, n = setmetatable({}, { __mode = "k" }), 0
            for _ = 1, 5 do
                local key = {}
                keys[key] = true
                local a, b = get_new(p, key, s.dial), get_new(p, key, s.dial)
                local third = spawn(function()
                    p:drop(key, (assert(p:get(key, s.dial))))
                end)
                tasks.settle()
                p:drop(key, a)
                p:drop(key, b)
                join(third)
            end
            collectgarbage()
            collectgarbage()
            for _ in pairs(keys) do
                n = n + 1
            end
            assert.is_true(n <= 1, n) -- the last one may be in a register
            p:close()
            s:finish()
        end)
    end)

    it("gives no place to who waits in a coroutine that is closed", function()
        if not coroutine.close then
            return
        end
        tasks.run(function()
            local s = server()
            local p = pool.new { max = 1 }
            local sock = get_new(p, "key", s.dial)
            local co = socket.coroutine.create(function()
                p:get("key", s.dial)
            end)
            local outer = spawn(socket.coroutine.resume, co)
            tasks.settle()
            assert.is_true(coroutine.close(co))
            local waiting = spawn(p.get, p, "key", s.dial)
            tasks.settle()
            put(p, "key", sock)
            assert.equal(sock, (join(waiting)))
            join(outer)
            put(p, "key", sock)
            assert.equal(sock, get_again(p, "key", 0))
            p:drop("key", sock)
            p:drop("key", get_new(p, "key", s.dial, 0.5))
            s:finish()
        end)
    end)

    in_task("has as many places as before when many have waited", function(s)
        local p = pool.new { max = 1 }
        local sock, list = get_new(p, "key", s.dial), {}
        for i = 1, 4 do
            list[i] = spawn(function()
                put(p, "key", (get_again(p, "key")))
            end)
        end
        tasks.settle()
        put(p, "key", sock)
        for i = 1, 4 do
            join(list[i])
        end
        for _ = 1, 3 do
            t.collect()
        end
        assert.equal(sock, get_again(p, "key"))
        refuses(socket.ERROR_TIMEOUT, p:get("key", s.dial, 0))
        p:drop("key", sock)
    end)

    in_task("gives the connection that was put to who waits, whatever idle is", function(s)
        local p = pool.new { max = 1, idle = 0 }
        local sock = get_new(p, "key", s.dial)
        local waiting = spawn(p.get, p, "key", s.dial)
        tasks.settle()
        put(p, "key", sock)
        assert.same({ sock, true }, { join(waiting) })
        p:drop("key", sock)
    end)

    with_server("counts each key for itself", function(s)
        local p = pool.new { max = 1 }
        local a, b = get_new(p, "a", s.dial), get_new(p, "b", s.dial)
        refuses(socket.ERROR_TIMEOUT, p:get("a", s.dial, 0))
        p:drop("a", a)
        p:drop("b", b)
    end)

    with_server("has the places of connections that were lost", function(s)
        local p = pool.new { max = 3 }
        local function lose()
            for _ = 1, 3 do
                get_new(p, "key", s.dial)
            end
            refuses(socket.ERROR_TIMEOUT, p:get("key", s.dial, 0))
        end
        for _ = 1, 3 do
            lose()
            t.collect()
            t.collect()
        end
        put(p, "key", get_new(p, "key", s.dial, LATE))
        p:drop("key", get_again(p, "key"))
    end)

    in_task("wakes who waits when a connection has been lost, one too that was idle and watched", function(s)
        local p = pool.new { max = 1 }
        local function lose(sock)
            put(p, "key", sock)
            socket.sleep(0.05)
            get_again(p, "key")
        end
        spawn(function()
            lose(get_new(p, "key", s.dial))
        end)
        socket.sleep(0.1)
        local waiting = spawn(p.get, p, "key", s.dial)
        tasks.settle()
        assert.equal("waiting", waiting:status())
        await(function()
            t.collect()
            return waiting:status() ~= "waiting"
        end)
        p:drop("key", (join(waiting)))
    end)

    it("is a deadlock where nobody could give one back, and that keeps no place", function()
        t.only_in_main "the main program waits"
        local s = server()
        local p = pool.new { max = 1 }
        local sock = get_new(p, "key", s.dial)
        tasks.raises("deadlock", p.get, p, "key", s.dial)
        put(p, "key", sock)
        assert.equal(sock, get_again(p, "key", 0))
        p:drop("key", sock)
        s:finish()
    end)

    it("wakes the main program", function()
        t.only_in_main "the main program waits"
        local s = server()
        local p = pool.new { max = 1 }
        local sock = get_new(p, "key", s.dial)
        spawn(function()
            socket.sleep(0.01)
            put(p, "key", sock)
        end)
        assert.equal(sock, get_again(p, "key"))
        p:drop("key", sock)
        s:finish()
    end)

    it("gives the place back when dial yields where it cannot", function()
        t.only_in_main "in a task it can"
        local p = pool.new { max = 1 }
        for _ = 1, 3 do
            assert.is_false((pcall(p.get, p, "key", coroutine.yield, 0)))
        end
    end)

    with_server("lets dial yield in a coroutine of the program", function(s)
        local p = pool.new { max = 1 }
        local next_value = socket.coroutine.wrap(function()
            local sock, reused = p:get("key", function()
                local answer = socket.coroutine.yield "yielded"
                return answer == "go on" and s.dial()
            end)
            return sock, reused
        end)
        assert.equal("yielded", next_value())
        local sock, reused = next_value "go on"
        assert.is_false(reused)
        p:drop("key", sock)
    end)
end)

describe("the watcher of a pool", function()
    tasks.guard()

    in_task("closes what the peer ends, resets or sends to", function(s)
        for n, what in ipairs { "close", "reset", "send" } do
            local p = pool.new()
            local sock = get_new(p, "key", s.dial)
            put(p, "key", sock)
            socket.sleep(n == 1 and 0.03 or 0)
            s:tell(n, what)
            await(function()
                return is_closed(sock)
            end)
        end
    end)

    in_task("closes what is too old, and not sooner", function(s)
        local p = pool.new { timeout = 0.1 }
        local a, b = get_new(p, "key", s.dial), get_new(p, "another", s.dial)
        local began = t.now()
        put(p, "key", a)
        socket.sleep(0.05)
        put(p, "another", b)
        await(function()
            return is_closed(a)
        end)
        assert.is_true(t.now() - began >= 0.1)
        await(function()
            return is_closed(b)
        end)
        assert.is_true(t.now() - began >= 0.15)
    end)

    in_task("sees what is put later, and nothing else is touched", function(s)
        local p = pool.new()
        local a, b, c = get_new(p, 1, s.dial), get_new(p, 2, s.dial), get_new(p, 2, s.dial)
        put(p, 1, a)
        socket.sleep(0.05)
        put(p, 2, b)
        put(p, 2, c)
        socket.sleep(0.05)
        s:tell(2, "send")
        await(function()
            return is_closed(b)
        end)
        assert.is_false(is_closed(a) or is_closed(c))
        s:tell(3, "close")
        await(function()
            return is_closed(c)
        end)
        assert.equal(a, get_again(p, 1))
        p:drop(1, a)
    end)

    in_task("leaves alone what comes and goes", function(s)
        local p = pool.new()
        local sock = get_new(p, "key", s.dial)
        for _ = 1, 50 do
            put(p, "key", sock)
            socket.sleep(0.001)
            assert.equal(sock, get_again(p, "key"))
            assert.equal(1, sock:write "x")
            s:tell(1, "echo")
            assert.equal("x", sock:read(1))
        end
        for _ = 1, 5 do
            put(p, "key", sock)
            socket.sleep(0.03) -- it is watched by now
            assert.equal(sock, get_again(p, "key"))
            assert.equal(1, sock:write "x")
            s:tell(1, "echo")
            tasks.settle() -- the watcher hears of it too
            assert.equal("x", sock:read(1))
            put(p, "key", sock)
            socket.sleep(0.03)
            assert.equal(sock, get_again(p, "key"))
        end
        assert.equal(1, s.dials)
        p:drop("key", sock)
    end)

    in_task("is not disturbed when the program closes an idle connection", function(s)
        local p = pool.new()
        local a, b = get_new(p, 1, s.dial), get_new(p, 2, s.dial)
        put(p, 1, a)
        put(p, 2, b)
        socket.sleep(0.03)
        a:close()
        socket.sleep(0.03)
        s:tell(2, "close")
        await(function()
            return is_closed(b)
        end)
        p:drop(1, get_new(p, 1, s.dial))
    end)

    it("lets the program end, and goes on with it", function()
        t.only_in_main "socket.run"
        local s = server()
        local p = pool.new()
        local sock
        spawn(function()
            sock = get_new(p, "key", s.dial)
            put(p, "key", sock)
        end)
        t.deadline(LATE, socket.run)
        assert.is_false(is_closed(sock))
        s:tell(1, "close")
        await(function()
            return is_closed(sock)
        end)
        s:finish()
    end)
end)

describe("pool:close", function()
    tasks.guard()

    with_server("closes the idle ones, and those that are given back later", function(s)
        local p = pool.new()
        local a, b, c = get_new(p, 1, s.dial), get_new(p, 1, s.dial), get_new(p, 2, s.dial)
        put(p, 1, a)
        assert.same({ n = 1, true }, t.pack(p:close()))
        assert.is_true(p:close())
        assert.is_true(is_closed(a))
        assert.is_false(is_closed(b))
        refuses(socket.ERROR_CLOSED, p:get(1, s.dial))
        refuses(socket.ERROR_CLOSED, p:get(2, s.dial, 5))
        refuses(socket.ERROR_CLOSED, p:put(1, b))
        assert.is_true(is_closed(b))
        assert.is_true(p:drop(2, c))
        assert.is_true(is_closed(c))
        assert.equal(3, s.dials)
    end)

    with_server("while dial is under way closes what it returns", function(s)
        local p, sock = pool.new(), nil
        refuses(socket.ERROR_CLOSED, p:get("key", function()
            p:close()
            sock = s.dial()
            return sock
        end))
        assert.is_true(is_closed(sock))
    end)

    in_task("wakes all who wait", function(s)
        local p = pool.new { max = 1 }
        local sock = get_new(p, "key", s.dial)
        local list = {}
        for i = 1, 3 do
            list[i] = spawn(p.get, p, "key", s.dial, i == 2 and 1000 or nil)
        end
        tasks.settle()
        put(p, "key", sock) -- the first has the place, and finds the pool closed
        p:close()
        for i = 1, 3 do
            refuses(socket.ERROR_CLOSED, join(list[i]))
        end
        assert.is_true(is_closed(sock))
    end)

    in_task("is what the collector does, and the watcher ends", function(s)
        local seen = setmetatable({}, { __mode = "k" })
        local function use()
            local p = pool.new()
            seen[p] = true
            local sock = get_new(p, "key", s.dial)
            put(p, "key", sock)
            socket.sleep(0.03)
        end
        join(spawn(use))
        s.peer:say "1 drain" -- until our end is closed
        await(function()
            t.collect()
            return next(seen) == nil
        end)
        t.collect()
        t.collect()
        assert.equal("done", s.peer:line())
    end)

    in_task("is not what the collector does while somebody waits", function(s)
        local sock
        local function slow()
            socket.sleep(0.02)
            t.collect()
            t.collect()
            socket.sleep(0.02)
            return s.dial()
        end
        sock = join(spawn(function()
            return pool.new({ max = 1 }):get("key", slow, 1000)
        end))
        assert.is_false(is_closed(sock))
        sock:close()
    end)

    if _VERSION >= "Lua 5.4" then
        it("is what the end of a block does", function()
            local code = [[
                local pool, s = ...
                local sock = s.dial()
                local p <close> = pool.new()
                sock = p:get("key", s.dial)
                p:put("key", sock)
                return sock
            ]]
            local s = server()
            assert.is_true(is_closed(assert(load(code))(pool, s)))
            s:finish()
        end)
    end
end)

describe("a pool keeps nothing alive:", function()
    tasks.guard()

    with_server("keys of which it has no connection", function(s)
        local p, seen = pool.new { max = 1 }, setmetatable({}, { __mode = "k" })
        local function use()
            for i = 1, 4 do
                local key = {}
                seen[key] = true
                local sock, err = p:get(key, i ~= 2 and s.dial or function()
                    return nil, "no luck"
                end)
                assert.equal(i ~= 2, sock ~= nil, err)
                if i == 1 then
                    put(p, key, sock)
                    refuses(nil, p:put(key, sock))
                elseif i ~= 2 then
                    refuses(socket.ERROR_TIMEOUT, p:get(key, s.dial, 0))
                    p:drop(key, sock)
                end
            end
        end
        use()
        pcall(p.get, p, "another", function() end) -- takes the places on the stack
        t.collect()
        t.collect()
        assert.is_nil((next(seen)))
        p:close()
    end)
end)

describe("misuse of a pool", function()
    tasks.guard()

    local p

    before_each(function()
        p = pool.new { max = 1 }
    end)

    it("raises what is wrong with an option", function()
        local wrong = {
            { { max = 0 }, "max" }, { { max = -1 }, "max" }, { { max = 1.5 }, "max" }, { { max = "5" }, "max" },
            { { max = tools.nan }, "max" }, { { max = false }, "max" }, { { idle = -1 }, "idle" },
            { { idle = 0.5 }, "idle" }, { { idle = {} }, "idle" }, { { timeout = "60" }, "timeout" },
            { { timeout = tools.nan }, "timeout" }, { { timeout = true }, "timeout" }, { { Max = 1 }, "Max" },
            { { size = 1 }, "size" }, { { 5 }, "1" },
        }
        tools.each(wrong, function(case)
            local message = t.rejects(pool.new, case[1])
            assert.matches("option '" .. case[2] .. "'", message, 1, true)
        end)
        for _, value in ipairs { 5, "x", true, print } do
            assert.matches("table of options expected, got " .. type(value), t.rejects(pool.new, value), 1, true)
        end
        for _, options in ipairs { {}, { max = math.huge, idle = math.huge, timeout = math.huge }, { idle = 0 } } do
            assert.is_true(pool.new(options):close())
        end
        assert.is_true(pool.new(nil):close())
    end)

    it("raises what is wrong with an argument, before anything is done", function()
        local sock = socket.tcp()
        local function never()
            error "is called"
        end
        tools.misuse(tools.method, p, "get", 1, { nil, never, n = 2 }, "nil and NaN")
        tools.misuse(tools.method, p, "get", 1, { tools.nan, never }, "nil and NaN")
        for _, dial in ipairs { "x", 1, {}, sock } do
            tools.misuse(tools.method, p, "get", 2, { "key", dial }, "function")
        end
        tools.misuse(tools.method, p, "get", 2, { "key" }, "function")
        for _, timeout in ipairs { "x", "5", {}, tools.nan, false } do
            tools.misuse(tools.method, p, "get", 3, { "key", never, timeout }, "seconds")
        end
        for _, name in ipairs { "put", "drop" } do
            tools.misuse(tools.method, p, name, 1, { nil, sock, n = 2 }, "nil and NaN")
            tools.misuse(tools.method, p, name, 1, { tools.nan, sock }, "nil and NaN")
            for _, value in ipairs { "x", 1, {}, print, socket.udp(), io.stdout } do
                tools.misuse(tools.method, p, name, 2, { "key", value }, "tcpsock expected")
            end
            tools.misuse(tools.method, p, name, 2, { "key" }, "tcpsock expected")
        end
    end)

    it("raises what is wrong with self", function()
        for _, name in ipairs { "get", "put", "drop", "close" } do
            for _, wrong in ipairs { "key", {}, setmetatable({}, {}) } do
                local message = t.rejects(p[name], wrong, print)
                assert.matches("pool expected", message, 1, true)
            end
        end
    end)

    it("blames the line that has called", function()
        local _, message = pcall(function()
            p:get(nil, print)
        end)
        assert.matches("^[^:]*pool_spec.lua:%d+: bad argument #1 to 'get'", message)
        _, message = pcall(function()
            pool.new { size = 1 }
        end)
        assert.matches("^[^:]*pool_spec.lua:%d+: bad argument #1 to 'new'", message)
        _, message = pcall(function()
            p.close(1)
        end)
        assert.matches("^[^:]*pool_spec.lua:%d+: calling 'close' on bad self", message)
    end)
end)
