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

-- Leaves as many look-ups of a name that nobody answers under way as there may be.
function inside.occupy(host)
    local limit, before = sys.now() + 20 * slow
    repeat
        assert(sys.now() < limit, "look-ups end too soon")
        before = inside.lookups()
        inside.fails(socket.ERROR_TIMEOUT, socket.resolve(host, 80, before < 8 and 0.01 or 0.05))
    until before == 8 and inside.lookups() == 8
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
