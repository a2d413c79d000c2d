-- A network and a view of /etc of a test's own: Linux namespaces (namespaces(7)) in which programs can be run. What
-- they send stays there, and nothing outside is written. In there are
--
--   127.0.0.1, ::1, 192.0.2.1, 2001:db8::1    addresses of this machine
--   2001:db8:1::1                             one more, deprecated: resolvers put it last (RFC 6724 section 5, rule 3)
--   fe80::1%lo                                one that needs its scope
--   the rest of 192.0.2.0/24, 2001:db8::/64   black holes: what is sent there is lost, and nobody says so
--   198.51.100.0/24, 2001:db8:2::/64          networks that cannot be reached

local peer = require "support.peer"
local t = require "support.t"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "spec/support"

-- The black hole is a cable at whose other end nobody is, and on which nobody asks for neighbours. The cache of a name
-- service daemon would answer from outside.
local SETUP = [[
set -e
for file in gai.conf host.conf hosts nsswitch.conf resolv.conf; do
    [ ! -e "/etc/$file" ] || mount --bind "$0/$file" "/etc/$file"
done
[ ! -d /var/run/nscd ] || mount --bind "$0" /var/run/nscd
ip -batch - <<END
link set lo up
link add hole type veth peer name bottom
link set bottom up arp off
link set hole up arp off
addr add 192.0.2.1/24 dev hole
addr add 2001:db8::1/64 dev hole nodad
addr add 2001:db8:1::1/128 dev hole nodad preferred_lft 0
addr add fe80::1/64 dev lo nodad
route add unreachable 198.51.100.0/24
route add unreachable 2001:db8:2::/64
END
echo ready
exec cat
]]

local FILES = {
    ["gai.conf"] = "",
    ["host.conf"] = "multi on\n",
    ["nsswitch.conf"] = "hosts: files dns\n",
    ["resolv.conf"] = "nameserver 127.0.0.1\nsearch .\noptions timeout:1 attempts:1\n",
}

-- Ways in: a user namespace needs no rights, where it is allowed; without it one must be root.
local WAYS = {
    {
        new = { "unshare", "--user", "--map-root-user", "--net", "--mount" },
        enter = { "nsenter", "--preserve-credentials", "--user", "--net", "--mount", "--wd" },
    },
    { new = { "unshare", "--net", "--mount" }, enter = { "nsenter", "--net", "--mount", "--wd" } },
}

local Space = {}
Space.__index = Space

-- The command that runs what is put behind it in the space.
function Space:enter()
    local argv = {}
    for i, word in ipairs(self.way.enter) do
        argv[i] = word
    end
    argv[#argv + 1] = "--target"
    argv[#argv + 1] = tostring(self.holder.pid)
    argv[#argv + 1] = "--"
    return argv
end

-- Runs a program in the space; the result is a peer.
function Space:run(...)
    local argv = self:enter()
    for i = 1, select("#", ...) do
        argv[#argv + 1] = tostring((select(i, ...)))
    end
    return peer.spawn(argv, true)
end

-- Runs Lua code in the space, in which `socket`, `sys` and `inside` (support.inside) are known. It is not waited for.
function Space:start_lua(code)
    local prelude = 'local socket, sys, inside = require "ssocket", require "testsys", require "support.inside" '
    local argv = {}
    for word in (os.getenv "SSOCKET_LUA" or "lua"):gmatch "%S+" do
        argv[#argv + 1] = word
    end
    argv[#argv + 1] = "-e"
    argv[#argv + 1] = prelude .. peer.dedent(code)
    return self:run((table.unpack or _G.unpack)(argv))
end

-- The same to its end, which must be a success. Returns what it printed.
function Space:lua(code)
    return self:start_lua(code):finish(30 * t.slow)
end

-- Starts support/nameserver.py, which says what it does with which name.
function Space:nameserver()
    local server = self:run(peer.python3, "-I", "-S", here .. "/nameserver.py")
    assert(server:line() == "ready")
    return server
end

local function hosts_file(hosts)
    local lines = { "127.0.0.1 localhost", "::1 localhost" }
    for name, addresses in hosts:gmatch "(%S+) ([^\n]+)" do
        for address in addresses:gmatch "%S+" do
            lines[#lines + 1] = address .. " " .. name
        end
    end
    return table.concat(lines, "\n") .. "\n"
end

local function write_files(dir, hosts, options)
    FILES.hosts = hosts_file(hosts)
    for name, text in pairs(FILES) do
        local file = assert(io.open(dir .. "/" .. name, "w"))
        file:write(name == "resolv.conf" and options and text:gsub("options [^\n]+", "options " .. options) or text)
        file:close()
    end
end

local function try(way, dir)
    local argv = {}
    for i, word in ipairs(way.new) do
        argv[i] = word
    end
    for _, word in ipairs { "sh", "-c", SETUP, dir } do
        argv[#argv + 1] = word
    end
    local self = setmetatable({ way = way, holder = peer.spawn(argv, true) }, Space)
    local ok, said = pcall(self.holder.line, self.holder)
    if not ok or said ~= "ready" then
        return nil, said
    end
    local probe = self:run "true"
    ok, said = pcall(probe.finish, probe)
    return ok and self or nil, said
end

local space = {}

-- A peer that sends the program of another one a signal (SIGUSR1) every 3 ms until it is killed.
function space.signals(program)
    local p = t.python(
        [[
        say("sending")
        while not select.select([sys.stdin], [], [], 0.003)[0]: os.kill(int(argv[0]), signal.SIGUSR1)
        ]],
        program.pid
    )
    assert(p:line() == "sending")
    return p
end

-- A new space, which ends with the test; nil where that is not permitted, and then space.why says why. `hosts` are
-- names that are known there, each with its addresses on a line; `options` are the resolver's (resolv.conf(5)), if not
-- that it gives up after a second.
function space.open(hosts, options)
    local dir, reasons = t.tmpdir(), {}
    write_files(dir, hosts or "", options)
    for i, way in ipairs(WAYS) do
        local self, reason = try(way, dir)
        if self then
            return self
        end
        reasons[i] = way.new[1] .. " " .. way.new[2] .. ": " .. tostring(reason):gsub("%s+", " ")
    end
    space.why = "namespaces are not permitted here: " .. table.concat(reasons, "; ")
end

return space
