-- What the specs share: peers, servers, sockets to begin with, counting descriptors, limits.

local busted = require "busted"
local assert = require "luassert"
local peer = require "support.peer"
local pieces = require "support.pieces"
local place = require "support.place"
local streams = require "support.streams"
local world = require "support.world"
local socket = require "ssocket"
local sys = require "testsys"

local t = {
    socket = socket,
    sys = sys,
    now = sys.now,
    python = peer.python,
    socat = peer.socat,
    socat_server = peer.socat_server,
    spawn = peer.spawn,
    tmpdir = place.tmpdir,
    abstract = place.abstract,
    only_in_main = world.only_in_main,
    in_tls = world.in_tls,
}

if world.in_tls then
    require("support.over_tls").install(streams, socket)
end

for _, more in ipairs { streams, pieces } do
    for name, value in pairs(more) do
        t[name] = value
    end
end

-- Under valgrind or a sanitizer everything is slower: upper bounds of time are multiplied by this,
-- and big amounts of data divided.
t.slow = tonumber(os.getenv "SSOCKET_SLOW") or 1

-- ---- descriptors ----

-- How many descriptors this process has open.
function t.fds()
    return #sys.fds()
end

-- Collects everything that is garbage, finalizers included.
function t.collect()
    collectgarbage()
    collectgarbage()
end

local function describe_new(before)
    local known, new = {}, {}
    for _, fd in ipairs(before) do
        known[fd] = true
    end
    for _, fd in ipairs(sys.fds()) do
        if not known[fd] then
            new[#new + 1] = fd .. "=" .. tostring(sys.fdname(fd))
        end
    end
    return table.concat(new, " ")
end

-- Collects until no more than n descriptors are open, or all is collected. The heap is busted's, and large. What LuaJIT
-- has compiled may keep the functions that it was compiled for, such as an iterator that was called, and their sockets.
local function collect_to(n)
    local rounds = 0
    while rounds < 2 and (rounds == 0 or t.fds() > n) do
        if rounds == 1 and jit then
            jit.flush()
        end
        collectgarbage()
        rounds = rounds + 1
    end
end

-- In a describe block: each test leaves as many descriptors as it found, no peer, no directory, and ends in time.
function t.guard()
    local before, left
    busted.before_each(function()
        sys.watchdog(math.ceil(60 + 12 * t.slow))
        if t.fds() ~= left then
            t.collect()
        end
        before = sys.fds()
    end)
    busted.after_each(function()
        peer.kill_all()
        streams.close_wires()
        place.remove_all()
        collect_to(#before)
        sys.watchdog(0)
        left = t.fds()
        if left ~= #before then
            error(("descriptors: %d before, %d after; new: %s"):format(#before, left, describe_new(before)), 0)
        end
    end)
end

-- Another Lua of the same kind that runs code; `prefix`, if any, is the command that starts it.
function t.lua(code, prefix)
    local argv = prefix or {}
    for word in (os.getenv "SSOCKET_LUA" or "lua"):gmatch "%S+" do
        argv[#argv + 1] = word
    end
    argv[#argv + 1] = "-e"
    argv[#argv + 1] = peer.dedent(code)
    return peer.spawn(argv)
end

-- ---- checks ----

-- The system's text for an error number, by its name.
function t.text(name)
    return sys.strerror(assert(sys[name]))
end

-- The results of a call that failed: nil, the text err, and extra where the call has a third result.
-- As in t.fails(socket.ERROR_CLOSED, "", s:read(1)).
function t.fails(err, extra, ...)
    local first, second, third = ...
    assert.is_nil(first)
    assert.equal(err, second)
    assert.equal(extra, third)
end

-- The results of a call as a table: {n = count, ...}.
function t.pack(...)
    return { n = select("#", ...), ... }
end

-- f(...) raises an argument error; returns its text.
function t.rejects(f, ...)
    local ok, err = pcall(f, ...)
    assert.is_false(ok, "no error was raised")
    assert.is_string(err)
    if not err:find "bad argument #%d" and not err:find "bad self" then
        error("not an argument error: " .. err, 2)
    end
    return err
end

-- Runs f, which must not take more than the seconds given; returns its results.
function t.deadline(seconds, f, ...)
    local started = sys.now()
    local function check(...)
        local took = sys.now() - started
        if took > seconds * t.slow then
            error(("took %.3f s, more than %.3f s"):format(took, seconds), 0)
        end
        return ...
    end
    return check(f(...))
end

-- Runs f, which must take at least the seconds given and not much more; returns its results.
function t.takes(seconds, f, ...)
    local started = sys.now()
    local function check(...)
        local took = sys.now() - started
        if took < seconds or took > seconds + 2 * t.slow then
            error(("took %.4f s, not %.4f s"):format(took, seconds), 0)
        end
        return ...
    end
    return check(f(...))
end

-- The processor time that Lua needs here to join two strings to n bytes: on some machines fresh memory is dear.
function t.copy_cost(n)
    local half = ("x"):rep(65536):rep(math.ceil(n / 2 / 65536))
    local began = os.clock()
    local both = half .. half
    local cost = os.clock() - began
    assert(#both >= n)
    return cost
end

-- n random bytes, the same for the same seed.
function t.random(n, seed)
    return sys.random(n, seed or 1)
end

function t.hex(data)
    return (data:gsub(".", function(c)
        return ("%02x"):format(c:byte())
    end))
end

-- Bytes as they can stand in the title of a test.
function t.show(data)
    local text = tostring(data):gsub("[^%g ]", function(c)
        return ("\\%d"):format(c:byte())
    end)
    return '"' .. (#text > 40 and text:sub(1, 37) .. "..." or text) .. '"'
end

-- A field of /proc/self/status in its own unit: "VmRSS" (KiB), "Threads".
function t.status(field)
    local file = assert(io.open "/proc/self/status")
    local text = file:read "*a"
    file:close()
    return tonumber(text:match("\n" .. field .. ":%s*(%d+)"))
end

-- VmHWM, the most that was resident, begins anew.
function t.reset_peak()
    local file = io.open("/proc/self/clear_refs", "w")
    if file then
        file:write "5"
        file:close()
    end
end

return t
