-- Tasks, channels and look-ups, for a host in which any allocation may fail. Returns the function to run, so that the
-- host counts no allocation of this chunk itself.
--
-- A run that has failed for want of memory is brought to its end: every task ends when it is asked to, no byte and no
-- value is lost but by a task that had no memory for its results. Then all of it is done once more.

local error, pcall, tostring, type = error, pcall, tostring, type

local function no_memory(text)
    text = tostring(text)
    return text:find("not enough memory", 1, true) or text:find("no memory for", 1, true) or
        text:find("Cannot allocate memory", 1, true) or text:find("Out of memory", 1, true)
end

local stream = ("one;two;three;"):rep(300)

-- Of one run. What tasks note is in tables that have room for it.
local socket, a, b, listener, channel, tasks, got, values, reported

local function clear()
    tasks = { false, false, false, false, false, false, false, false }
    got, values, reported = { false, false, false, false, n = 0 }, { false, false, false, false, false }, 0
end

local function note(data)
    if data then
        got.n = got.n + 1
        got[got.n] = data
    end
end

-- Raises when memory is short, so that a task fails. Other failures are wrong.
local function must(ok, err, more)
    if ok == nil and (no_memory(err) or err == socket.ERROR_CANCELLED) then
        error("not enough memory", 0)
    elseif ok == nil then
        error("failed: " .. tostring(err), 0)
    end
    return ok, err, more
end

local function write()
    socket.sleep(0)
    must(a:write(stream))
end

local function read()
    local next_word = b:readuntil(";", true)
    local data, err, partial = next_word()
    note(data or partial)
    must(data, err)
    data, err, partial = b:read(#stream - 4)
    note(data or partial)
    must(data, err)
end

local function give()
    for i = 1, 4 do
        must(channel:put(i))
    end
    channel:close()
end

local function take()
    local value, err = channel:get()
    while value do
        values[value] = (values[value] or 0) + 1
        value, err = channel:get()
    end
    if err ~= socket.ERROR_CLOSED then
        must(value, err)
    end
end

local function look_up()
    local list = must(socket.resolve("localhost", 80, 20))
    assert(#list > 0)
    local none, err = socket.resolve(("b"):rep(64), 80, 20)
    if none ~= nil or no_memory(err) then
        error("not enough memory", 0)
    end
end

local function connect()
    local client = socket.tcp()
    client:settimeout(20)
    client:setopt(socket.OPT_LINGER, 0)
    must(client:connect("localhost", must(listener:getsockname())[2]))
    local accepted = must(listener:accept())
    must(client:close())
    must(accepted:close())
end

local function sit()
    socket.select({ a }, nil, 100)
    socket.sleep(100)
end

local function many(...)
    socket.sleep(0)
    return ...
end

local function see(ok, err, ...)
    must(ok, err)
    assert(select("#", ...) == 11)
end

local function join_many()
    local task = socket.spawn(many, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
    see(task:wait(20))
end

local function select_from(reads, writes)
    local ready_reads, ready_writes, err = socket.select(reads, writes, 20)
    must(ready_reads, err)
    return ready_reads, ready_writes
end

local function join_first()
    local quiet, task = socket.channel(), socket.spawn(many)
    local reads, writes = select_from({ quiet, task }, { quiet, task, a })
    assert((reads[1] or task) == task and (writes[1] == task or writes[1] == a))
    reads, writes = select_from({ quiet, task }, { quiet })
    assert(reads[1] == task and #writes == 0)
    must(task:wait(20))
end

local function read_100(s)
    return s:read(100)
end

-- What a read had when somebody closed its socket, which no buffer has any more. (A function in C would be a new
-- closure on LuaJIT, which gives back less than it has taken when an allocation is refused while it makes one.)
local function take_left()
    local c, d = must(socket.pair())
    local reader = socket.spawn(read_100, d)
    must(c:write "came before")
    for _ = 1, 1000 do
        socket.sleep(0)
        if d:pending() > 0 or reader:status() == "failed" then
            break
        end
    end
    d:close()
    local ok, data, err, partial = reader:wait(20)
    must(ok, data)
    if err ~= socket.ERROR_CLOSED then
        must(data, err)
    end
    if data or err ~= socket.ERROR_CLOSED or partial ~= "came before" then
        error("what was left: " .. tostring(partial), 0)
    end
    c:close()
end

local function fail()
    error("on purpose", 0)
end

local function doze()
    socket.sleep(100)
end

-- The outcome of a group's wait is told each time, once it is known.
local function gather()
    local group = socket.group()
    group:spawn(many, 1)
    group:spawn(fail)
    group:spawn(doze)
    local ok, err = socket.within(20, group.wait, group)
    if ok == nil and err ~= "on purpose" then
        must(ok, err)
    end
    assert(ok == nil and err == "on purpose" and tostring(group) == "<group: 0>")
    ok, err = group:wait(0)
    assert(ok == nil and err == "on purpose")
end

local function join_others()
    join_many()
    join_first()
    take_left()
    gather()
end

local function spawn(i, f)
    tasks[i] = socket.spawn(f)
end

-- A task's failure for want of memory is the run's: others may wait for that task in vain.
local function check_tasks()
    for i = 1, 7 do
        if tasks[i]:status() == "failed" then
            local _, err = tasks[i]:wait(0)
            error(no_memory(err) and "not enough memory" or i .. ": " .. tostring(err), 0)
        end
    end
end

local function join(i)
    for _ = 1, 1000 do
        if tasks[i]:wait(0.02) then
            return
        end
        check_tasks()
    end
    error(i .. " does not end", 0)
end

local function work()
    socket = require "ssocket"
    function socket.onerror(_, message)
        local is_ours = message:find "on purpose" or message:find "tasks more have failed" or no_memory(message)
        reported = reported + (is_ours and 1 or 100)
    end
    a, b = must(socket.pair())
    listener = socket.tcp()
    listener:settimeout(20)
    must(listener:bind("127.0.0.1", 0))
    must(listener:listen())
    channel = socket.channel(1)
    spawn(1, write)
    spawn(2, read)
    spawn(3, give)
    spawn(4, take)
    spawn(5, look_up)
    spawn(6, connect)
    spawn(7, join_others)
    spawn(8, sit)
    socket.spawn(fail)
    must(socket.loop():pollfd())
    socket.loop():step(0)
    for i = 1, 7 do
        join(i)
    end
    assert(#select_from({ tasks[8], tasks[1], channel }) > 0)
    tasks[8]:cancel()
    assert(#select_from { tasks[8] } == 1)
    tasks[8]:wait(20)
    socket.run()
    collectgarbage()
    socket.run()
end

-- Whatever has been begun ends. The main program's calls may tell of the want of memory some more times.
local function bring_to_end()
    for _ = 1, 10 do
        for i = 1, #tasks do
            if tasks[i] then
                tasks[i]:cancel()
            end
        end
        local ok, err = pcall(socket.run)
        if not ok and not no_memory(err) then
            error(err, 0)
        elseif ok then
            break
        end
    end
    for i = 1, #tasks do
        local status = tasks[i] and tasks[i]:status() or "done"
        if status ~= "done" and status ~= "failed" then
            error("task " .. i .. " is " .. status, 0)
        end
    end
end

-- What was read, and what still can be, is the beginning of what was sent; all of it, if all was sent.
local function check_bytes()
    if not b or b:fileno() < 0 then
        return
    end
    a:shutdown(socket.SHUT_WR)
    b:settimeout(0)
    local rest, err = b:readall()
    if rest == nil then
        error("the rest: " .. tostring(err), 0)
    end
    note(rest)
    local all = table.concat(got, "", 1, got.n)
    if all ~= stream:sub(1, #all) then
        error("other bytes", 0)
    elseif tasks[1] and tasks[1]:status() == "done" and tasks[1]:wait() and #all ~= #stream then
        error(#all .. " bytes of " .. #stream, 0)
    end
end

local function check_values(whole)
    local value = channel and channel:get(0)
    while value do
        values[value] = (values[value] or 0) + 1
        value = channel:get(0)
    end
    for i = 1, 4 do
        if (values[i] or 0) > 1 or (whole and not values[i]) then
            error("value " .. i .. " came " .. tostring(values[i]) .. " times", 0)
        end
    end
end

local function close_all()
    for _, s in ipairs { a or false, b or false, listener or false } do
        if s then
            s:close()
        end
    end
    a, b, listener, channel = nil, nil, nil, nil
end

local function once()
    clear()
    local ok, err = pcall(work)
    if not ok and not no_memory(err) then
        error(err, 0)
    end
    if type(socket) == "table" then
        bring_to_end()
        if reported >= 100 then
            error("another failure was reported", 0)
        end
        check_bytes()
        check_values(ok)
    end
    close_all()
    return ok
end

return function()
    local ok, err = pcall(once)
    if ok and err then
        return
    elseif not ok and not no_memory(err) then
        error(err, 0)
    end
    close_all()
    package.loaded.ssocket = nil -- Lua 5.1 remembers that it failed
    if not once() then
        error("not enough memory", 0)
    end
end
