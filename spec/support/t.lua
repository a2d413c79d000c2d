-- What the specs share: peers, servers, sockets to begin with, counting descriptors, limits.

local busted = require "busted"
local assert = require "luassert"
local peer = require "support.peer"
local server = require "support.server"
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
}

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

local dirs = {}
local wires = {}

local function clean_up()
    peer.kill_all()
    for wire in pairs(wires) do
        wire:close()
    end
    for dir in pairs(dirs) do
        os.execute("rm -rf " .. dir)
        dirs[dir] = nil
    end
end

-- In a describe block: each test leaves as many descriptors as it found, no peer, no directory, and ends in time.
function t.guard()
    local before
    busted.before_each(function()
        sys.watchdog(math.ceil(60 + 12 * t.slow))
        t.collect()
        before = sys.fds()
    end)
    busted.after_each(function()
        clean_up()
        t.collect()
        sys.watchdog(0)
        if t.fds() ~= #before then
            error(("descriptors: %d before, %d after; new: %s"):format(#before, t.fds(), describe_new(before)), 0)
        end
    end)
end

-- ---- places ----

function t.tmpdir()
    local dir = assert(sys.mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/ssocket-XXXXXX"))
    dirs[dir] = true
    return dir
end

-- nginx, redis or memcached: peer with port, or with path if unix is true.
function t.server(name, unix)
    return server.start(name, t.tmpdir(), unix)
end

-- A server, a socket that is connected to it over TCP or over a Unix socket, and what connects another one.
function t.started(name, unix)
    local running = t.server(name, unix)
    local function connect(s)
        if unix then
            return assert(s:connect("unix:" .. running.path))
        end
        return assert(s:connect("127.0.0.1", running.port))
    end
    local s = socket.tcp()
    s:settimeout(20)
    connect(s)
    return s, running, connect
end

local names = 0

-- An abstract name that nobody else uses.
function t.abstract()
    names = names + 1
    return ("unix:@ssocket-spec-%d-%d"):format(sys.getpid(), names)
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

-- ---- sockets ----

-- What bind takes, for each kind of stream socket.
local binders = {
    inet = function()
        return "127.0.0.1", 0
    end,
    inet6 = function()
        return "::1", 0
    end,
    unix = function()
        return "unix:" .. t.tmpdir() .. "/s"
    end,
    abstract = t.abstract,
}

t.kinds = { "inet", "inet6", "unix", "abstract" }

-- A listening socket of a kind ("inet" unless given) and its address; options {name = value} are set before.
function t.listener(kind, options)
    local s = socket.tcp()
    for option, value in pairs(options or {}) do
        assert(s:setopt(option, value))
    end
    assert(s:bind(binders[kind or "inet"]()))
    assert(s:listen())
    return s, assert(s:getsockname())
end

-- Both ends of a connection made with this module: client, server.
function t.connected(kind)
    local listener, address = t.listener(kind)
    local client = socket.tcp()
    assert(client:connect(address))
    local accepted = assert(listener:accept())
    listener:close()
    return client, accepted
end

-- A TCP connection as t.connected gives it that holds few bytes which nobody reads: t.much is more, both ways.
t.much = ("x"):rep(4 * 1024 * 1024)

function t.narrow()
    local few = { [socket.OPT_RCVBUF] = 65536, [socket.OPT_SNDBUF] = 65536 }
    local listener, address = t.listener("inet", few)
    local client = socket.tcp()
    for option, value in pairs(few) do
        assert(client:setopt(option, value))
    end
    assert(client:connect(address))
    local accepted = assert(listener:accept())
    return client, accepted, listener
end

-- The bare other end of a pair, without the module: what was sent is there when send returns.
local Wire = {}
Wire.__index = Wire

function Wire:send(data)
    assert(sys.send(self.fd, data, 10))
end

-- Some bytes, at most max; "" at the end of the stream.
function Wire:receive(max)
    return assert(sys.read(self.fd, max or 65536, 10))
end

function Wire:close()
    if wires[self] then
        sys.close(self.fd)
        wires[self] = nil
    end
end

-- A stream socket of the module and the bare other end of it.
function t.wire()
    local near, far = assert(sys.socketpair(sys.SOCK_STREAM))
    local wire = setmetatable({ fd = far }, Wire)
    wires[wire] = true
    return assert(socket.fromfd(near)), wire
end

-- A socket that is connected to a Python peer, which runs code with its end as `s`.
function t.with_python(code, ...)
    local listener, address = t.listener()
    local p = t.python("s = connect(argv.pop(0))\n" .. peer.dedent(code), address[2], ...)
    listener:settimeout(10)
    local s = assert(listener:accept())
    listener:close()
    s:settimeout(10)
    return s, p
end

-- The system's text for an error number, by its name.
function t.text(name)
    return sys.strerror(assert(sys[name]))
end

-- ---- checks ----

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
        if took < seconds or took > seconds + t.slow then
            error(("took %.4f s, not %.4f s"):format(took, seconds), 0)
        end
        return ...
    end
    return check(f(...))
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
