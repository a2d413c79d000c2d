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

-- A route to the loopback device makes the black holes: what comes out of it for a foreign address is thrown away. The
-- cache of a name service daemon would answer from outside.
local SETUP = [[
set -e
for file in gai.conf host.conf hosts nsswitch.conf resolv.conf; do
    [ ! -e "/etc/$file" ] || mount --bind "$0/$file" "/etc/$file"
done
[ ! -d /var/run/nscd ] || mount --bind "$0" /var/run/nscd
ip link set lo up
ip addr add 192.0.2.1/32 dev lo
ip route add 192.0.2.0/24 dev lo
ip addr add 2001:db8::1/64 dev lo nodad
ip addr add 2001:db8:1::1/128 dev lo nodad preferred_lft 0
ip addr add fe80::1/64 dev lo nodad
ip route add unreachable 198.51.100.0/24
ip route add unreachable 2001:db8:2::/64
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
        enter = { "nsenter", "--preserve-credentials", "--user", "--net", "--mount" },
    },
    { new = { "unshare", "--net", "--mount" }, enter = { "nsenter", "--net", "--mount" } },
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

-- Runs Lua code in the space, in which `socket`, `sys` and the functions of support.inside (as `inside`) are known; all
-- of it must succeed. Returns what it printed.
function Space:lua(code)
    return self:start_lua(code):finish(30 * t.slow)
end

-- The same, not waited for.
function Space:start_lua(code)
    local prelude = 'local socket, sys, inside = require "ssocket", require "testsys", require "support.inside" '
    return t.lua(prelude .. peer.dedent(code), self:enter())
end

-- Starts support/nameserver.py, which says what it does with which name.
function Space:nameserver()
    local server = self:run("python3", "-I", "-S", here .. "/nameserver.py")
    assert(server:line() == "ready")
    return server
end

local function write_files(dir, hosts)
    FILES.hosts = "127.0.0.1 localhost\n::1 localhost\n" .. (hosts or "")
    for name, text in pairs(FILES) do
        local file = assert(io.open(dir .. "/" .. name, "w"))
        file:write(text)
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

-- A new space, which ends with the test; `hosts` are further lines of its /etc/hosts. Or nil and why there is none.
function space.open(hosts)
    local dir, reasons = t.tmpdir(), {}
    write_files(dir, hosts)
    for i, way in ipairs(WAYS) do
        local self, reason = try(way, dir)
        if self then
            return self
        end
        reasons[i] = way.new[1] .. " " .. way.new[2] .. ": " .. tostring(reason):gsub("%s+", " ")
    end
    return nil, "namespaces are not permitted here: " .. table.concat(reasons, "; ")
end

-- A test that gets a space; pending, with the reason, where there is none.
function space.it(title, hosts, test)
    local busted = require "busted"
    busted.it(title, function()
        local self, reason = space.open(hosts)
        if not self then
            return busted.pending(reason)
        end
        test(self)
    end)
end

return space
