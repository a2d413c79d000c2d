-- The module as a whole: its constants, its clock, and what loading it does to the process around it.

local t = require "support.t"
local tools = require "support.tools"

local socket, sys = t.socket, t.sys

describe("the module's constants", function()
    t.guard()

    it("for options are strings, and nil where the system has not got the option", function()
        local everywhere = { TCP_NODELAY = "tcp_nodelay", TCP_KEEPALIVE = "tcp_keepalive",
            TCP_REUSEADDR = "tcp_reuseaddr", IPV6_V6ONLY = "ipv6_v6only", RCVBUF = "rcvbuf", SNDBUF = "sndbuf",
            LINGER = "linger", ERROR = "error", BROADCAST = "broadcast", IP_TTL = "ip_ttl",
            IP_TOS = "ip_tos", IP_MULTICAST_TTL = "ip_multicast_ttl", IP_MULTICAST_LOOP = "ip_multicast_loop",
            IP_MULTICAST_IF = "ip_multicast_if", DONTROUTE = "dontroute" }
        for name, text in pairs(everywhere) do
            assert.equal(text, socket["OPT_" .. name])
        end
        local system = tools.python_constants { "SO_REUSEPORT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT",
            "TCP_USER_TIMEOUT", "TCP_CORK", "TCP_FASTOPEN", "TCP_DEFER_ACCEPT", "SO_BINDTODEVICE", "SO_PEERCRED" }
        for name, text in pairs { SO_REUSEPORT = "reuseport", TCP_KEEPIDLE = "tcp_keepidle",
            TCP_KEEPINTVL = "tcp_keepintvl", TCP_KEEPCNT = "tcp_keepcnt", TCP_USER_TIMEOUT = "tcp_user_timeout",
            TCP_CORK = "tcp_cork", TCP_FASTOPEN = "tcp_fastopen", TCP_DEFER_ACCEPT = "tcp_defer_accept",
            SO_BINDTODEVICE = "bindtodevice", SO_PEERCRED = "peercred" } do
            assert.equal(system[name] and text, socket["OPT_" .. name:gsub("^SO_", "")])
        end
        assert.equal(tools.on_linux and "ip_freebind" or nil, socket.OPT_IP_FREEBIND) -- Python does not name it
    end)

    it("for shutdown are three integers, and the version is a text", function()
        local how = { socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR }
        for i, v in ipairs(how) do
            assert.is_true(tools.is_integer(v))
            assert.is_true(v ~= how[i % 3 + 1])
        end
        assert.matches("%d+%.%d+", socket._VERSION)
    end)

    it("are the system's own texts for the errors they stand for", function()
        local errors = { ERROR_REFUSED = "ECONNREFUSED", ERROR_RESET = "ECONNRESET", ERROR_INUSE = "EADDRINUSE",
            ERROR_UNREACHABLE = "ENETUNREACH", ERROR_NOROUTE = "EHOSTUNREACH", ERROR_TOOBIG = "EMSGSIZE",
            ERROR_ACCESS = "EACCES" }
        if sys.musl then
            return pending "the texts are glibc's, on every system"
        end
        for name, errno in pairs(errors) do
            assert.equal(t.text(errno), socket[name])
        end
    end)
end)

describe("now and sleep", function()
    t.guard()

    it("now is the monotonic clock in seconds, and never goes back", function()
        local last = socket.now()
        assert.equal("number", type(last))
        for _ = 1, 1000 do
            local this = socket.now()
            assert.is_true(this >= last)
            last = this
        end
        local before, between, after = socket.now(), sys.now(), socket.now()
        assert.is_true(before <= between and between <= after)
    end)

    it("sleep takes the time asked for and returns true; a negative time is none", function()
        for _, seconds in ipairs { 0, 1e-9, 0.0003, 0.002, 0.05, 0.12 } do
            assert.same({ true, n = 1 }, t.pack(t.takes(seconds, socket.sleep, seconds)))
        end
        for _, seconds in ipairs { -1, -1e-9, -1e300, -math.huge } do
            assert.same({ true, n = 1 }, t.pack(t.takes(0, socket.sleep, seconds)))
        end
    end)

    it("sleep goes on after a signal, and not for longer", function()
        tools.amid_signals(function()
            assert.is_true(t.takes(0.15, socket.sleep, 0.15))
        end)
    end)
end)

describe("loading the module", function()
    t.guard()

    it("prints nothing and sets no global", function()
        assert.equal("", tools.run_lua [[
            local before = {}
            for name in pairs(_G) do before[name] = true end
            local socket = require "ssocket"
            for name in pairs(_G) do assert(before[name], name) end
            assert(rawget(_G, "ssocket") == nil and rawget(_G, "socket") == nil)
            assert(package.loaded.ssocket == socket)
        ]])
    end)

    it("leaves the disposition of every signal and the mask as they were, also after use", function()
        local said = tools.run_lua [[
            local sys = require "testsys"
            local function look()
              local all = {}
              for signal = 1, 64 do
                all[signal] = tostring(sys.disposition(signal)) .. tostring(sys.blocked(signal))
              end
              return table.concat(all, " ")
            end
            local before = look()
            local socket = require "ssocket"
            assert(look() == before)
            local a, b = socket.pair()
            b:close()
            for _ = 1, 3 do assert(not a:write "x") end
            socket.resolve("localhost", 80, 5)
            socket.select({ a }, nil, 0)
            assert(look() == before)
            assert(sys.disposition(sys.SIGPIPE) == "default")
            print(select(2, before:gsub("default", "")) > 50)
        ]]
        assert.equal("true\n", said)
    end)

    it("can be done twice: the same module, and again after it was forgotten", function()
        assert.equal("", tools.run_lua [[
            local first = require "ssocket"
            assert(require "ssocket" == first)
            local a, b = first.pair()
            package.loaded.ssocket = nil
            local second = require "ssocket"
            assert(a:write "x" == 1 and b:read(1) == "x")
            local c, d = second.pair()
            assert(c:write "y" == 1 and d:read(1) == "y")
            assert(#select(2, second.select({ b, d }, { a, c }, 5)) == 2)
            for _, s in ipairs { a, b, c, d } do assert(s:close() == 1) end
        ]])
    end)
end)

describe("the shared object", function()
    t.guard()

    -- pitfalls: internal symbols exported; a function name (select) that the dynamic linker binds to libc's
    it("exports luaopen_ssocket and nothing else", function()
        local said = tools.run { "nm", "-D", "--defined-only", tools.module }
        local exported = {}
        for name in said:gmatch "%x+ [A-Za-z] (%S+)" do
            if name ~= "_init" and name ~= "_fini" then -- musl's own, in every shared object
                exported[#exported + 1] = name:match "^[^@]+"
            end
        end
        assert.same({ "luaopen_ssocket" }, exported)
    end)

    it("needs libc alone", function()
        local said = tools.run { "readelf", "-d", tools.module }
        for library in said:gmatch "Shared library: %[([^%]]+)%]" do
            local is_libc = library:match "^ld%-linux"
            for _, part in ipairs { "libc", "libpthread", "libdl" } do -- one file, or several
                is_libc = is_libc or library:match("^" .. part .. "%.")
            end
            assert.is_truthy(is_libc or library:match "^lib[au]b?san%.", library)
        end
    end)
end)
