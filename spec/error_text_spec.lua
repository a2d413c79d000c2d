local t = require "support.t"
local socket = t.socket

describe("error texts", function()
    t.guard()

    local constants = {
        ERROR_TIMEOUT = "Operation timed out",
        ERROR_CLOSED = "Connection closed",
        ERROR_REFUSED = "Connection refused",
        ERROR_RESET = "Connection reset by peer",
        ERROR_INUSE = "Address already in use",
        ERROR_UNREACHABLE = "Network is unreachable",
        ERROR_NOROUTE = "No route to host",
        ERROR_NOTFOUND = "Name or service not known",
        ERROR_TOOBIG = "Message too long",
        ERROR_TRUNCATED = "Datagram truncated",
        ERROR_ACCESS = "Permission denied",
        ERROR_LIMIT = "Limit exceeded",
    }
    for name, text in pairs(constants) do
        it("has " .. name .. " with its fixed text", function()
            assert.equal(text, socket[name])
        end)
    end

    -- A catalogue in the format of gettext that translates one text of libc: magic, revision, number of
    -- strings, where the tables of originals and translations stand, then both tables and the strings.
    local function catalogue(original, translation)
        local function u32(n)
            return string.char(n % 256, math.floor(n / 256) % 256, 0, 0)
        end
        local charset = "Content-Type: text/plain; charset=UTF-8\n"
        local originals = 28
        local translations = originals + 16
        local at = translations + 16
        local function entry(text)
            local record = u32(#text) .. u32(at)
            at = at + #text + 1
            return record
        end
        local head = "\222\18\4\149" .. u32(0) .. u32(2) .. u32(originals) .. u32(translations) .. u32(0) .. u32(0)
        local tables = entry "" .. entry(original) .. entry(charset) .. entry(translation)
        return head .. tables .. "\0" .. original .. "\0" .. charset .. "\0" .. translation .. "\0"
    end

    -- In a process of its own, because libc remembers which catalogue it has loaded.
    local script = [[
        local sys, socket = require "testsys", require "ssocket"
        assert(os.setlocale(%q), "no such locale")
        assert(sys.setenv("LANGUAGE", "xx"))
        assert(sys.messages %q)
        print(sys.strerror(sys.ENOENT))
        print((select(2, socket.tcp():connect %q)))
    ]]

    -- pitfall: strerror in the user's locale
    it("are those of the C locale, whatever locale the program chose", function()
        local dir = t.tmpdir()
        assert(os.execute("mkdir -p " .. dir .. "/xx/LC_MESSAGES"))
        local file = assert(io.open(dir .. "/xx/LC_MESSAGES/libc.mo", "wb"))
        file:write(catalogue("No such file or directory", "Gibt es nicht"))
        file:close()
        local p = t.lua(script:format("C.UTF-8", dir, "unix:" .. dir .. "/nobody"))
        if p:line() ~= "Gibt es nicht" then
            return pending "this system's libc does not translate its messages"
        end
        assert.equal("No such file or directory", p:line())
        p:finish()
    end)

    it("say which file is missing in the system's words", function()
        t.fails(t.text "ENOENT", nil, socket.tcp():connect("unix:" .. t.tmpdir() .. "/nobody"))
    end)
end)
