-- What programs that run in a space (support.space) use: calls with their time, and looks at themselves.

local socket = require "ssocket"
local sys = require "testsys"

local inside = {}

local slow = tonumber(os.getenv "SSOCKET_SLOW") or 1

-- ---- calls ----

-- Runs f(...), which must take at least and less than so many seconds; returns its results.
function inside.takes(least, less, f, ...)
    local began = sys.now()
    local function check(...)
        local took = sys.now() - began
        if took < least or took >= less * slow then
            error(("took %.4f s, not %g to %g s; %s"):format(took, least, less, tostring((select(2, ...)))), 2)
        end
        return ...
    end
    return check(f(...))
end

-- The results of a call that must have failed so.
function inside.fails(err, ...)
    local value, got = ...
    if value ~= nil or got ~= err then
        error(("%s, %s and not nil, %s"):format(tostring(value), tostring(got), err), 2)
    end
end

function inside.equal(expected, got)
    if expected ~= got then
        error(("%s and not %s"):format(tostring(got), tostring(expected)), 2)
    end
end

-- A socket that listens at a host, and its port.
function inside.listen(host)
    local s = socket.tcp()
    assert(s:bind(host, 0))
    assert(s:listen())
    return s, s:getsockname()[2]
end

-- The hosts of addresses in their order, as one text.
function inside.hosts(addresses)
    local hosts = {}
    for i, address in ipairs(addresses) do
        hosts[i] = address[1]
    end
    return table.concat(hosts, " ")
end

-- ---- this process ----

local function status(field)
    local file = assert(io.open "/proc/self/status")
    local text = file:read "*a"
    file:close()
    return tonumber(text:match("\n" .. field .. ":%s*(%d+)"))
end

-- The thread sanitizer begins one of its own with the first of ours.
local others = 1 + (tonumber(os.getenv "SSOCKET_SANITIZER_THREADS") or 0)

-- How many threads look names up.
function inside.lookups()
    return math.max(0, status "Threads" - others)
end

-- Resident memory in KiB.
function inside.memory()
    return status "VmRSS"
end

function inside.descriptors()
    return #sys.fds()
end

-- Descriptors whose kind begins so, such as "anon_inode:[eventfd]".
function inside.count(kind)
    local n = 0
    for _, fd in ipairs(sys.fds()) do
        if (sys.fdname(fd) or ""):sub(1, #kind) == kind then
            n = n + 1
        end
    end
    return n
end

-- Waits until all look-ups that were given up have ended.
function inside.settle()
    local limit = sys.now() + 20 * slow
    while inside.lookups() > 0 do
        assert(sys.now() < limit, "look-ups never end")
        socket.sleep(0.002)
    end
end

-- The UDP sockets with a port, by the names that /proc gives to descriptors.
local function asking_sockets()
    local found = {}
    for _, path in ipairs { "/proc/self/net/udp", "/proc/self/net/udp6" } do
        for line in io.lines(path) do
            local inode = line:match "^%s*%d+:%s+%S+%s+%S+%s+%S+%s+%S+%s+%S+%s+%S+%s+%S+%s+%S+%s+(%d+)"
            if inode then
                found["socket:[" .. inode .. "]"] = true
            end
        end
    end
    return found
end

-- How many questions to a name server are under way. A thread that waits for an answer holds no lock of the C library.
-- Its earlier sockets, to the name service cache or to the kernel's list of addresses, are no such sign: it has some of
-- them under a lock, and a child process that is made then never gets it.
function inside.questions()
    local asking, n = asking_sockets(), 0
    for _, fd in ipairs(sys.fds()) do
        if asking[sys.fdname(fd) or ""] then
            n = n + 1
        end
    end
    return n
end

-- Waits until more than `before` questions are under way.
function inside.await_question(before)
    local limit = sys.now() + 20 * slow
    while inside.questions() <= before do
        assert(sys.now() < limit, "a look-up does not begin, or ends too soon")
        socket.sleep(0.001)
    end
end

-- So many tasks that look the name up, with their timeout, each of which has asked a name server.
function inside.crowd(n, host, timeout)
    local crowd, limit, before = {}, sys.now() + 20 * slow, inside.questions()
    for i = 1, n do
        crowd[i] = socket.spawn(socket.resolve, host, 80, timeout)
    end
    repeat
        assert(sys.now() < limit, "look-ups do not begin, or end too soon")
        socket.sleep(0.001)
    until inside.questions() >= before + n
    return crowd
end

-- Leaves so many look-ups under way that nobody waits for any more.
function inside.abandon(n, host)
    while n > 0 do
        for _, task in ipairs(inside.crowd(math.min(n, 64), host, -1)) do
            task:cancel()
        end
        socket.run()
        n = n - 64
    end
end

-- Runs f in a child process; returns what waits for its success.
function inside.fork(f)
    local pid = assert(sys.fork())
    if pid == 0 then
        sys.watchdog(25 * slow)
        local ok, err = pcall(f)
        io.write(ok and "" or tostring(err))
        io.stdout:flush()
        sys._exit(ok and 0 or 1)
    end
    return function()
        local how, code = sys.wait(pid, 30 * slow)
        inside.equal("exit 0", how .. " " .. code)
    end
end

-- Connections in SYN-SENT, which is what attempts under way are in.
function inside.attempts()
    local n = 0
    for _, name in ipairs { "tcp", "tcp6" } do
        for line in io.lines("/proc/net/" .. name) do
            if line:match "^%s*%d+: %S+ %S+ 02 " then
                n = n + 1
            end
        end
    end
    return n
end

return inside
