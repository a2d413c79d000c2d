-- The modules that specs of LuaSocket's calls run on: LuaSocket itself, where it is installed, and the bridge. What a
-- test expects is LuaSocket's; that it is so there shows that the test is right.

local assert = require "luassert"
local busted = require "busted"
local t = require "support.t"
local weather = require "support.weather"
local world = require "support.world"

local sys = t.sys

local luasocket = {}

-- ---- the modules ----

-- LuaSocket has the process ignore SIGPIPE from when it is loaded; other specs are not to notice.
local function load_real()
    local before = sys.disposition(sys.SIGPIPE)
    local found, socket = pcall(require, "socket")
    local _, unix = pcall(require, "socket.unix")
    sys.disposition(sys.SIGPIPE, before)
    return found and { name = "LuaSocket", socket = socket, unix = unix, real = true } or nil
end

local function load_bridge()
    local socket = require "ssocket.luasocket"
    return { name = "the bridge", socket = socket, unix = socket.unix, real = false }
end

-- Each {name =, socket =, unix = the module of Unix sockets, real = whether it is LuaSocket itself}. A task is the same
-- to LuaSocket as the main program, and bad weather is none of its business.
luasocket.modules = {}
if not world.in_tasks and not weather.is_bad then
    luasocket.modules[1] = load_real()
end
table.insert(luasocket.modules, load_bridge())

-- ---- tests ----

local children = {} -- that luasocket.later has made
local reserved = {} -- sockets that keep their ports
local tested -- the entry of luasocket.modules whose test runs

-- Ends what luasocket.later has started, as after each test.
function luasocket.end_children()
    for i = #children, 1, -1 do
        sys.kill(children[i], sys.SIGKILL)
        sys.wait(children[i], 10)
        children[i] = nil
    end
end

local function release_ports()
    for i = #reserved, 1, -1 do
        reserved[i]:close()
        reserved[i] = nil
    end
end

-- A block of tests for each module, guarded (t.guard); body is called with the module and its entry.
function luasocket.describe(title, body)
    for _, entry in ipairs(luasocket.modules) do
        busted.describe(title .. " of " .. entry.name, function()
            busted.before_each(function()
                tested = entry
                sys.disposition(sys.SIGPIPE, entry.real and "ignore" or "default")
            end)
            busted.after_each(function()
                luasocket.end_children()
                release_ports()
                sys.disposition(sys.SIGPIPE, "default")
            end)
            t.guard() -- which looks after the rest, when all of this has been closed
            body(entry.socket, entry)
        end)
    end
end

-- The same for each kind of stream; body is called with a function that gives both ends of a connection.
function luasocket.describe_streams(title, body)
    for _, kind in ipairs { "TCP", "Unix" } do
        luasocket.describe(title .. " over " .. kind, function(socket, entry)
            body(function()
                if kind == "TCP" then
                    return luasocket.pair(socket)
                end
                return luasocket.unix_pair(entry.unix)
            end, kind == "TCP")
        end)
    end
end

-- ---- checks ----

-- The bridge's numbers are integers where LuaSocket's are floats.
local function show_number(n)
    if n % 1 == 0 and (tested.real or not math.type or math.type(n) == "integer") then
        return ("%d"):format(n)
    end
    return tostring(n)
end

local function show(value)
    if type(value) == "string" then
        return '"' .. value:gsub("[^ -~]", function(c)
            return ("\\%d"):format(c:byte())
        end) .. '"'
    end
    return type(value) == "number" and show_number(value) or type(value) == "table" and "table" or tostring(value)
end

-- All results of a call as one text, such as `nil, "timeout", "abc"`.
function luasocket.results(...)
    local shown = {}
    for i = 1, select("#", ...) do
        shown[i] = show((select(i, ...)))
    end
    return table.concat(shown, ", ")
end

-- A call gave these results, no fewer and no more, as luasocket.results has them.
function luasocket.is(expected, ...)
    assert.equal(expected, luasocket.results(...))
end

-- f(...) raises an argument error with this text, the part that lauxlib puts into parentheses. To the bridge an
-- argument that is nil is none.
function luasocket.raises(text, f, ...)
    local ok, err = pcall(f, ...)
    assert.is_false(ok, "no error was raised")
    assert.is_string(err)
    assert.is_truthy(err:find "bad argument #%d" or err:find "on bad self", err)
    if not tested.real then
        text = text:gsub("got nil$", "got no value")
    end
    assert.equal(text, err:match "%((.*)%)$" or err)
end

-- f(...) takes about so many seconds; LuaSocket, which counts milliseconds, may be one early. Returns its results.
function luasocket.takes(seconds, f, ...)
    return t.takes(tested.real and seconds - 0.002 or seconds, f, ...)
end

-- ---- what tests begin with ----

-- A client that is connected to a server, which has not accepted it yet.
function luasocket.dial(socket, server)
    local host, port = server:getsockname()
    return assert(socket.connect(host, port))
end

-- Both ends of a TCP connection: client, and what was accepted. What is sent is there when send returns.
function luasocket.pair(socket, host)
    local server = assert(socket.bind(host or "127.0.0.1", 0))
    local client = luasocket.dial(socket, server)
    local accepted = assert(server:accept())
    server:close()
    assert(client:setoption("tcp-nodelay", true))
    assert(accepted:setoption("tcp-nodelay", true))
    return client, accepted
end

-- The same of a Unix stream, at a path that is free; unix is the module of Unix sockets.
function luasocket.unix_pair(unix, path)
    path = path or t.tmpdir() .. "/s"
    local server, client = unix.stream(), unix.stream()
    assert(server:bind(path))
    assert(server:listen())
    assert(client:connect(path))
    local accepted = assert(server:accept())
    server:close()
    return client, accepted
end

-- Sends until there is no more room, and leaves no time. TCP finds some more later on.
function luasocket.fill(s)
    local much = ("x"):rep(1024 * 1024)
    assert(s:settimeout(0))
    repeat
        local _, _, last = s:send(much)
    until last == 0
end

-- A port of 127.0.0.1 at which nobody listens while the test runs.
function luasocket.closed_port()
    local bound = t.socket.tcp()
    assert(bound:bind("127.0.0.1", 0))
    reserved[#reserved + 1] = bound
    return tostring(bound:getsockname()[2])
end

local function nap(seconds)
    local near = assert(sys.socketpair(sys.SOCK_STREAM))
    sys.read(near, 1, seconds)
end

-- Calls f after so many seconds in another process, which has copies of all descriptors of this one; f may call testsys
-- alone. The process ends after it.
function luasocket.later(seconds, f)
    local pid = assert(sys.fork())
    if pid == 0 then
        sys.watchdog(30)
        nap(seconds)
        pcall(f)
        sys._exit(0)
    end
    children[#children + 1] = pid
end

return luasocket
