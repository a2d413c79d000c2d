-- What programs that run in a space use to look at themselves.

local socket = require "ssocket"
local sys = require "testsys"

local inside = {}

-- Calls f(...); returns the seconds that it took, then its results.
function inside.time(f, ...)
    local began = sys.now()
    local function results(...)
        return sys.now() - began, ...
    end
    return results(f(...))
end

local function status(field)
    local file = assert(io.open "/proc/self/status")
    local text = file:read "*a"
    file:close()
    return tonumber(text:match("\n" .. field .. ":%s*(%d+)"))
end

-- A sanitizer may have a thread of its own, which was there before.
local threads_before = status "Threads"

-- How many threads look up names.
function inside.threads()
    return status "Threads" - threads_before
end

-- Resident memory in KiB.
function inside.memory()
    return status "VmRSS"
end

function inside.descriptors()
    return #sys.fds()
end

-- Descriptors whose kind begins so: "socket", "anon_inode:[eventfd]", "pipe".
function inside.count(kind)
    local n = 0
    for _, fd in ipairs(sys.fds()) do
        if (sys.fdname(fd) or ""):sub(1, #kind) == kind then
            n = n + 1
        end
    end
    return n
end

-- Waits until condition() holds.
function inside.await(condition, what)
    local limit = sys.now() + 20
    while not condition() do
        assert(sys.now() < limit, what .. ": it never comes")
        socket.sleep(0.002)
    end
end

-- Waits until all look-ups that were given up have ended.
function inside.settle()
    inside.await(function()
        return inside.threads() == 0
    end, "the end of the look-ups")
end

-- Connections in SYN-SENT: attempts that somebody left under way.
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
