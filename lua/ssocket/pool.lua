-- Connections kept for the next one who needs one: pool.new. docs/reference.md#pool says what each call does.
--
-- A *place* is the right to have one connection outside the pool, or to be dialling it. A key has `max` of them. Who
-- has a place and finds no idle connection may dial: all open ones then have places, so there are never more than
-- `max`.

local socket = require "ssocket"

local KIND = "tcpsock" -- what getmetatable says of a stream socket
local GATHERING = 0.01 -- seconds in which the watcher waits for more connections to watch, however many come and go
local ENDLESS = 2 ^ 30 -- places in line
local UNREAD = "Unread bytes or the end of the stream are pending"
local STRANGER = "The connection is not one that the pool has given out for this key"

-- ---- what Lua 5.1 does otherwise ----

-- Calls f when the value returned is collected. Tables have no finalizers in Lua 5.1 and LuaJIT.
local function when_collected(f)
    if not newproxy then
        return setmetatable({}, { __gc = f })
    end
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = f
    return proxy
end

local function in_main_program()
    local co, is_main = coroutine.running()
    return not co or is_main == true
end

-- The results of coroutine.resume once `co` has ended; what it yields before is the caller's.
local function finish(co, ok, ...)
    if ok and coroutine.status(co) ~= "dead" then
        return finish(co, socket.coroutine.resume(co, coroutine.yield(...)))
    end
    return ok, ...
end

-- As pcall, in which a task cannot wait in Lua 5.1.
local function protected_call(f, ...)
    if in_main_program() then
        return pcall(f, ...)
    end
    local co = coroutine.create(function(g, ...)
        return g(...)
    end)
    return finish(co, socket.coroutine.resume(co, f, ...))
end

local can_wait_in_pcall = coroutine.wrap(function()
    return pcall(coroutine.yield, "yes")
end)() == "yes"
if can_wait_in_pcall then
    protected_call = pcall
end

-- ---- arguments ----

local function misuse(position, name, why)
    error(("bad argument #%d to '%s' (%s)"):format(position, name, why), 4)
end

local function is_count(value, least)
    return type(value) == "number" and value >= least and (value == math.huge or value % 1 == 0)
end

local function is_seconds(value)
    return type(value) == "number" and value == value
end

-- Negative seconds are no limit, as elsewhere in the module.
local function limit_of(seconds)
    return (not seconds or seconds < 0) and math.huge or seconds
end

local function check_key(key, name)
    if key == nil or key ~= key then
        misuse(1, name, "the key may be any value but nil and NaN")
    end
end

local function is_stream(value)
    return type(value) == "userdata" and getmetatable(value) == KIND
end

local function check_sock(sock, name)
    if not is_stream(sock) then
        misuse(2, name, ("tcpsock expected, got %s"):format(type(sock)))
    end
end

-- A metatable that is protected may not be seen here; the call will tell. Those of sockets are strings.
local function is_callable(value)
    local kind, meta = type(value), getmetatable(value)
    if kind == "function" or kind ~= "table" and kind ~= "userdata" then
        return kind == "function"
    end
    return type(meta) == "boolean" or type(meta) == "table" and meta.__call ~= nil
end

local function check_get(dial, timeout)
    if not is_callable(dial) then
        misuse(2, "get", ("function that connects expected, got %s"):format(type(dial)))
    elseif timeout ~= nil and not is_seconds(timeout) then
        misuse(3, "get", "seconds (a number) expected")
    end
end

-- ---- sockets ----

-- One that the collector has finalized has no methods any more.
local function is_open(sock)
    return is_stream(sock) and sock:fileno() >= 0
end

local function close(sock)
    if is_stream(sock) then
        sock:close()
    end
end

-- Why nobody can go on with the connection, or nil. Other tasks may run meanwhile.
local function fault_of(sock)
    if not is_open(sock) then
        return socket.ERROR_CLOSED
    end
    local data, err = socket.within(0, sock.peek, sock)
    if not is_open(sock) then
        return socket.ERROR_CLOSED
    elseif data or err == socket.ERROR_CLOSED then
        return UNREAD
    end
    return err ~= socket.ERROR_TIMEOUT and err or nil
end

-- ---- places ----

-- A slot has what belongs to a key. `idle`: the `n` connections in the pool, the oldest first. `busy`: places that are
-- taken, or in `line`: a channel that hands them to those who wait. `waiting`: how many wait, at most: one whose
-- coroutine was closed counts on, and what it would have got is in the channel for the next one.
local function slot_of(state, key)
    local slot = state.slots[key]
    if slot then
        return slot
    end
    slot = { key = key, idle = {}, n = 0, busy = 0, waiting = 0 }
    slot.line = state.max < math.huge and socket.channel(ENDLESS) or nil
    state.slots[key] = state.slots[key] or slot -- a finalizer may have been faster
    return state.slots[key]
end

local function forget_if_empty(state, slot)
    if slot.busy == 0 and slot.n == 0 and state.slots[slot.key] == slot then
        state.slots[slot.key] = nil
    end
end

local function put_in_line(line)
    return line:put(true, 0)
end

local function hand_over(slot)
    if slot.waiting == 0 then
        return false
    end
    local ok, taken = pcall(put_in_line, slot.line) -- at the end of the Lua state it raises an error
    return ok and taken
end

local function take_from_line(line)
    return line:get(0)
end

-- Who waited may have been given a place before another one was put in line for it.
local function free_line(slot)
    while slot.line and slot.waiting == 0 do
        local ok, taken = pcall(take_from_line, slot.line)
        if not (ok and taken) then
            return
        end
        slot.busy = slot.busy - 1
    end
end

-- Returns whether somebody else has the place now.
local function release(state, place)
    if not place.held then
        return false
    end
    place.held = false
    local slot = place.slot
    if hand_over(slot) then
        return true
    end
    slot.busy = slot.busy - 1
    free_line(slot)
    forget_if_empty(state, slot)
    return false
end

-- A place that is not taken yet. It belongs to a connection, or to a call that wants one; if either is lost, it is
-- given back.
local function new_place(state)
    local place = { held = false }
    place.guard = when_collected(function()
        release(state, place)
    end)
    return place
end

-- Calls that find an idle connection need a place of their own only until then.
local function take_spare(state)
    local place = state.spare or new_place(state)
    state.spare = nil
    return place
end

local function wait_in_line(slot)
    slot.waiting = slot.waiting + 1
    local ok, handed, err = protected_call(slot.line.get, slot.line)
    slot.waiting = slot.waiting - 1
    if not ok then
        error(handed, 0)
    end
    return handed, err
end

local function take_place(state, key, place)
    local slot = slot_of(state, key)
    place.slot = slot
    if slot.busy < state.max then
        slot.busy = slot.busy + 1
    else
        local handed, err = wait_in_line(slot)
        if not handed then
            free_line(slot)
            forget_if_empty(state, slot)
            return nil, err
        end
    end
    place.held = true
    return true
end

local function move(from, to)
    from.held, to.held = false, true
end

-- ---- idle connections ----

-- state.conns: the place of each of the pool's connections, as long as there is that connection. place.since: since
-- when it is idle; place.watched: the watcher's list that it is in.

local function is_too_old(state, sock, now)
    return now - state.conns[sock].since >= state.timeout
end

-- The length is counted by hand: compiled code of LuaJIT 2.1.0-beta3 takes an old one for #t after table.remove.
local function add_idle(slot, sock)
    slot.idle[slot.n + 1] = sock
    slot.n = slot.n + 1
end

local function remove_idle_at(slot, at)
    local idle = slot.idle
    for i = at, slot.n do
        idle[i] = idle[i + 1]
    end
    slot.n = slot.n - 1
end

local function remove_idle(slot, sock)
    for i = slot.n, 1, -1 do
        if slot.idle[i] == sock then
            remove_idle_at(slot, i)
        end
    end
end

-- The one that was put last, or nil.
local function pop_idle(slot)
    local sock = slot.idle[slot.n]
    if sock then
        remove_idle_at(slot, slot.n)
    end
    return sock
end

-- Closes a connection of the pool, idle or not.
local function discard(state, sock)
    local place = state.conns[sock]
    state.conns[sock] = nil
    remove_idle(place.slot, sock)
    close(sock) -- may wait, with OPT_LINGER: until then its place is taken
    release(state, place)
    forget_if_empty(state, place.slot)
end

local function discard_too_old(state, slot)
    local now = socket.now()
    while slot.idle[1] and is_too_old(state, slot.idle[1], now) do
        discard(state, slot.idle[1])
    end
end

-- The idle connection that was put last and is still sound, or nil. It gets the caller's place, which is lost if
-- somebody puts or drops meanwhile what is not theirs.
local function take_idle(state, place)
    local slot = place.slot
    discard_too_old(state, slot)
    local sock = pop_idle(slot)
    while sock do
        local its_place = state.conns[sock]
        its_place.watched = nil
        move(place, its_place)
        local fault = fault_of(sock)
        if state.conns[sock] ~= its_place or not its_place.held then
            return nil
        elseif not fault then
            return sock
        end
        move(its_place, place)
        discard(state, sock)
        sock = pop_idle(slot)
    end
end

-- ---- the watcher ----

-- Adds the connection to the watcher's list, or to those that are to be closed.
local function sort_idle(state, sock, round)
    local place = state.conns[sock]
    local fd = is_open(sock) and sock:fileno() or -1
    local has_input = place.watched == round.before and round.ready[fd]
    if fd < 0 or has_input or is_too_old(state, sock, round.now) then
        round.bad[#round.bad + 1] = sock
        return
    end
    place.watched = round.list
    round.list[#round.list + 1] = fd
    round.seconds = math.min(round.seconds, place.since + state.timeout - round.now)
end

-- Closes the idle connections that may not stay. Returns the descriptors of the others, which do not keep alive a
-- connection that has been given out and lost, and for how long they may be watched. `before`: the list watched until
-- now; `ready`: those of it on which something has come.
local function sort_all_idle(state, before, ready)
    local round = { list = {}, bad = {}, seconds = math.huge, now = socket.now(), before = before, ready = {} }
    for _, fd in ipairs(ready or {}) do
        round.ready[fd] = true
    end
    for _, slot in pairs(state.slots) do
        for i = 1, slot.n do
            sort_idle(state, slot.idle[i], round)
        end
    end
    for _, sock in ipairs(round.bad) do
        if state.conns[sock] and not state.conns[sock].held then
            discard(state, sock)
        end
    end
    return round.list, round.seconds
end

-- The task has the state only, so the pool itself can be collected, which ends the task.
local function watch(state)
    local list, ready, seconds, _, err
    while socket.sleep(GATHERING) do
        list, seconds = sort_all_idle(state, list, ready)
        if not list[1] then
            return
        end
        state.gathering = false
        ready, _, err = socket.select(list, nil, seconds)
        if err == socket.ERROR_CANCELLED then -- there is another watcher, or the pool is closed
            return
        end
        state.gathering = true
    end
end

local function is_watcher_alive(state)
    local status = state.watcher and state.watcher:status()
    return status == "waiting" or status == "ready"
end

-- Lets the watcher know of an idle connection that it does not watch.
local function start_watcher(state)
    if is_watcher_alive(state) then
        if state.gathering then
            return
        end
        state.watcher:cancel()
    end
    state.gathering = true
    state.watcher = socket.spawn(watch, state):background()
end

-- ---- the pool ----

local Pool = {} -- its methods
local Class = { __index = Pool }

local function state_of(pool, name)
    if getmetatable(pool) ~= Class then
        error(("calling '%s' on bad self (pool expected, got %s)"):format(name, type(pool)), 3)
    end
    return pool.state
end

local function close_state(state)
    if state.closed then
        return
    end
    state.closed = true
    if state.watcher then
        state.watcher:cancel()
    end
    local idle = {}
    for _, slot in pairs(state.slots) do
        for i = 1, slot.n do
            idle[#idle + 1] = slot.idle[i]
        end
        if slot.line then
            slot.line:close()
        end
    end
    for _, sock in ipairs(idle) do
        if state.conns[sock] then
            discard(state, sock)
        end
    end
end

-- What dial has returned, with the place of the call that made it do so.
local function admit(state, place, sock, err)
    if not sock then
        release(state, place)
        return nil, err
    elseif not is_stream(sock) or state.conns[sock] then
        release(state, place)
        local got = is_stream(sock) and "one that the pool has" or type(sock)
        error(("bad argument #2 to 'get' (it must return a new tcpsock, or nil and an error; got %s)"):format(got), 0)
    end
    state.conns[sock] = place
    if state.closed or not is_open(sock) then
        discard(state, sock)
        return nil, socket.ERROR_CLOSED
    end
    return sock, false
end

local function connect(state, place, dial)
    local ok, sock, err = protected_call(dial)
    if not ok then
        release(state, place)
        error(sock, 0)
    end
    return admit(state, place, sock, err)
end

-- Has the pool as an argument, so that it is not collected meanwhile.
local function get(pool, key, dial)
    local state = pool.state
    local place = take_spare(state)
    local ok, err = take_place(state, key, place)
    if ok and state.closed then
        release(state, place)
        ok, err = nil, socket.ERROR_CLOSED
    end
    local sock = ok and take_idle(state, place)
    if sock or not ok then
        state.spare = place
        return sock, sock and true or err
    elseif not place.held then
        return get(pool, key, dial)
    end
    local reused
    sock, reused = connect(state, place, dial)
    return sock, reused
end

function Pool:get(key, dial, timeout)
    local state = state_of(self, "get")
    check_key(key, "get")
    check_get(dial, timeout)
    if state.closed then
        return nil, socket.ERROR_CLOSED
    elseif limit_of(timeout) == math.huge then
        return get(self, key, dial)
    end
    return socket.within(timeout, get, self, key, dial)
end

-- Whether it is a connection that the pool has given out for the key. One of the pool's that is not is closed: two
-- may use it.
local function is_given_out(state, key, sock)
    local place = state.conns[sock]
    if place and place.held and rawequal(place.slot.key, key) then
        return true
    elseif place then
        discard(state, sock)
    end
    return false
end

local function keep(state, sock)
    local place = state.conns[sock]
    local slot = place.slot
    place.since = socket.now()
    add_idle(slot, sock)
    if release(state, place) then -- who has waited takes it
        return
    end
    while slot.n > state.idle do
        discard(state, slot.idle[1])
    end
    if slot.n > 0 and not in_main_program() then
        start_watcher(state)
    end
end

function Pool:put(key, sock)
    local state = state_of(self, "put")
    check_key(key, "put")
    check_sock(sock, "put")
    if not is_given_out(state, key, sock) then
        return nil, STRANGER
    end
    local fault = fault_of(sock)
    if not is_given_out(state, key, sock) then -- somebody else has put it meanwhile
        return nil, STRANGER
    elseif fault or state.closed then
        discard(state, sock)
        return nil, state.closed and socket.ERROR_CLOSED or fault
    end
    keep(state, sock)
    return true
end

function Pool:drop(key, sock)
    local state = state_of(self, "drop")
    check_key(key, "drop")
    check_sock(sock, "drop")
    if not is_given_out(state, key, sock) then
        return nil, STRANGER
    end
    discard(state, sock)
    return true
end

function Pool:close()
    close_state(state_of(self, "close"))
    return true
end

Class.__close = Pool.close

-- ---- making one ----

local options = {
    max = { default = math.huge, least = 1, what = "a whole number, 1 or more" },
    idle = { default = 10, least = 0, what = "a whole number, 0 or more" },
    timeout = { default = 60, what = "seconds (a number)" },
}

local function check_option(name, value)
    local option = options[name]
    if not option then
        misuse(1, "new", ("unknown option '%s'; there are 'max', 'idle' and 'timeout'"):format(tostring(name)))
    elseif option.least and not is_count(value, option.least) or not is_seconds(value) then
        misuse(1, "new", ("option '%s' must be %s"):format(name, option.what))
    end
end

local pool = {}

function pool.new(wanted)
    local state = { slots = {}, conns = setmetatable({}, { __mode = "k" }) }
    if wanted ~= nil and type(wanted) ~= "table" then
        error(("bad argument #1 to 'new' (table of options expected, got %s)"):format(type(wanted)), 2)
    end
    for name, value in pairs(wanted or {}) do
        check_option(name, value)
    end
    for name, option in pairs(options) do
        state[name] = wanted and wanted[name] or option.default
    end
    state.timeout = limit_of(state.timeout)
    local self = { state = state }
    self.guard = when_collected(function()
        pcall(close_state, state) -- at the end of the Lua state it raises an error
    end)
    return setmetatable(self, Class)
end

return pool
