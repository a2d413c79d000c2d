-- What the module tells of the machine: clock, name, interfaces, texts and symbols of errors.

local space = require "support.space"
local t = require "support.t"
local tools = require "support.tools"

local socket, sys = t.socket, t.sys

describe("time", function()
    t.guard()

    it("is the system's clock, with fractions of a second", function()
        local ROUNDING = 1e-6 -- the steps of a number are a quarter of that
        local whole = 0
        for _ = 1, 20 do
            local before, now, after = sys.wall_clock(), socket.time(), sys.wall_clock()
            assert.is_true(before - ROUNDING <= now and now <= after + ROUNDING)
            whole = whole + (now == math.floor(now) and 1 or 0)
        end
        assert.is_true(whole < 20)
    end)
end)

describe("hostname", function()
    t.guard()

    it("is what the system says", function()
        assert.equal(tools.run({ "uname", "-n" }):match "^[^\n]*", socket.hostname())
    end)
end)

describe("strerror", function()
    t.guard()

    it("is the text that the module's calls give", function()
        for constant, name in pairs { ERROR_TIMEOUT = "ETIMEDOUT", ERROR_CLOSED = "EPIPE",
            ERROR_REFUSED = "ECONNREFUSED", ERROR_UNREACHABLE = "ENETUNREACH", ERROR_NOROUTE = "EHOSTUNREACH" } do
            assert.equal(socket[constant], socket.strerror(sys[name]))
        end
        assert.equal(sys.strerror(sys.ENOENT), socket.strerror(sys.ENOENT))
        assert.equal("string", type(socket.strerror(0)))
        assert.matches("123456789", socket.strerror(123456789.0))
    end)

    it("of what is no error number is misuse", function()
        for _, n in ipairs { -1, 1.5, 2 ^ 31, "x", "", {}, true, tools.nan, math.huge } do
            tools.misuse(tools.field, socket, "strerror", 1, { n })
        end
        tools.misuse(tools.field, socket, "strerror", 1, {})
    end)
end)

describe("errname", function()
    t.guard()

    it("is the symbol of each constant that stands for a system's error", function()
        for constant, name in pairs { TIMEOUT = "ETIMEDOUT", CLOSED = "EPIPE", REFUSED = "ECONNREFUSED",
            RESET = "ECONNRESET", INUSE = "EADDRINUSE", UNREACHABLE = "ENETUNREACH", NOROUTE = "EHOSTUNREACH",
            NOTFOUND = "EAI_NONAME", TOOBIG = "EMSGSIZE", ACCESS = "EACCES" } do
            assert.equal(name, socket.errname(socket["ERROR_" .. constant]))
        end
        for _, constant in ipairs { "TRUNCATED", "LIMIT", "BUSY", "CANCELLED" } do
            assert.same({ nil, n = 1 }, t.pack(socket.errname(socket["ERROR_" .. constant])))
        end
    end)

    -- Python's table of symbols is another one; of two symbols for one number either will do.
    it("is that of each number that the system knows", function()
        local known = tools.run { "python3", "-I", "-S", "-c", [[
import errno
for name, number in vars(errno).items():
    if name.startswith("E"): print(name, number, errno.errorcode[number])]] }
        local n, numbers = 0, {}
        for name, number in known:gmatch "(E%w+) (%d+)" do
            numbers[name] = tonumber(number)
        end
        for name, number in pairs(numbers) do
            assert.equal(number, numbers[socket.errname(socket.strerror(number))], name)
            n = n + 1
        end
        assert.is_true(n > 70)
    end)

    it("is that of what calls have failed with", function()
        local function name_of(...)
            return socket.errname((select(2, ...)))
        end
        local s = socket.tcp()
        assert.equal("ENOENT", name_of(s:connect("unix:" .. t.tmpdir() .. "/nobody")))
        assert.equal("EPIPE", name_of(s:read(1)))
        assert.equal("EAI_NONAME", name_of(s:connect("127.1", 1)))
        local a, b = socket.pair()
        a:settimeout(0)
        assert.equal("ETIMEDOUT", name_of(a:read(1)))
        a:close()
        b:close()
    end)

    it("of another text is nil, and of what is no text misuse", function()
        for _, text in ipairs { "", "x", "EPIPE", "Connection closed.", "connection closed", "Connection closed\0",
            socket.strerror(123456789) } do
            assert.same({ nil, n = 1 }, t.pack(socket.errname(text)))
        end
        for _, value in ipairs { 1, true, {}, print } do
            tools.misuse(tools.field, socket, "errname", 1, { value })
        end
        tools.misuse(tools.field, socket, "errname", 1, {})
    end)

    -- pitfall: texts in the user's locale; libc remembers which catalogue it has loaded, so see error_text_spec
    it("leaves the locale alone", function()
        assert.equal("C.UTF-8\n", tools.run_lua [[
            assert(os.setlocale "C.UTF-8")
            require "ssocket".errname "no text at all"
            print(os.setlocale())
        ]])
    end)
end)

describe("interfaces", function()
    t.guard()

    -- What stands for each entry of an interface that the test knows, in the order of the alphabet.
    local DESCRIBE = [[
        local names, lines = { lo = true, hole = true, bare = true }, {}
        for _, e in ipairs(assert(socket.interfaces())) do
            local is_own = e.name == "hole" and tostring(e.address):find "^fe80" -- the kernel gives it one in time
            if names[e.name] and not is_own then
                lines[#lines + 1] = ("%s %s %s %s %s%s%s%s"):format(e.name, tostring(e.family), tostring(e.address),
                    tostring(e.netmask), tostring(e.broadcast), e.up == true and " up" or e.up == false and "" or "?",
                    e.loopback and " loopback" or "", e.multicast and " multicast" or "")
            end
        end
        table.sort(lines)
        io.write(table.concat(lines, "\n"))
    ]]

    it("are there with each of their addresses, and once if they have none", function()
        local here = space.open() or pending(space.why)
        here:run("sh", "-ec", "ip addr add 192.0.2.9/28 brd 192.0.2.15 dev hole label hole:1;"
            .. "ip link add bare type veth peer name other"):finish()
        local all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        assert.equal(table.concat({
            "bare nil nil nil nil multicast",
            "hole inet 192.0.2.1 255.255.255.0 nil up multicast",
            "hole inet 192.0.2.9 255.255.255.240 192.0.2.15 up multicast",
            "hole inet6 2001:db8:1::1 " .. all .. " nil up multicast",
            "hole inet6 2001:db8::1 ffff:ffff:ffff:ffff:: nil up multicast",
            "lo inet 127.0.0.1 255.0.0.0 nil up loopback",
            "lo inet6 ::1 " .. all .. " nil up loopback",
            "lo inet6 fe80::1%lo ffff:ffff:ffff:ffff:: nil up loopback",
        }, "\n"), here:lua(DESCRIBE))
    end)

    it("have the numbers that the system gives them, and addresses that bind takes", function()
        local here = space.open() or pending(space.why)
        local indexes = {}
        for index, name in here:run("ip", "-o", "link"):finish():gmatch "(%d+): ([^:@]+)" do
            indexes[#indexes + 1] = ("[%q]=%d"):format(name, index)
        end
        here:lua("local indexes = {" .. table.concat(indexes, ",") .. "}" .. [[
            local bound = 0
            for _, entry in ipairs(socket.interfaces()) do
                inside.equal(indexes[entry.name], entry.index)
                if entry.address and entry.up then
                    local s = socket.tcp()
                    assert(s:bind(entry.address, 0))
                    assert(s:close())
                    bound = bound + 1
                end
            end
            assert(bound >= 6, bound)
        ]])
    end)

    it("are all there when there are many", function()
        local here = space.open() or pending(space.why)
        local script = "for i in $(seq 2 90); do echo addr add 192.0.2.$i/24 dev hole; done | ip -batch -"
        here:run("sh", "-ec", script):finish()
        here:lua [[
            local n = 0
            for _, entry in ipairs(socket.interfaces()) do
                n = n + (entry.address and entry.address:find "^192%.0%.2%." and 1 or 0)
            end
            inside.equal(90, n)
        ]]
    end)

    it("cannot be told without a descriptor", function()
        assert.equal("", tools.run_lua [[
            local socket, sys = require "ssocket", require "testsys"
            local had = sys.nofile()
            sys.nofile(0)
            local list, err = socket.interfaces()
            sys.nofile(had) -- sanitizers look at the process when it ends
            assert(list == nil and err == socket.strerror(sys.EMFILE), err)
        ]])
    end)
end)
