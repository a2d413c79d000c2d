-- What the module tells of the machine: clock, name, texts and symbols of errors.

local t = require "support.t"
local tools = require "support.tools"

local socket, sys = t.socket, t.sys

describe("time", function()
    t.guard()

    it("is the system's clock, with fractions of a second", function()
        local whole = 0
        for _ = 1, 20 do
            local before, now = os.time(), socket.time()
            assert.is_true(before <= now and now < os.time() + 1)
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
