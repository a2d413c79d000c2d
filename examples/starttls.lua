-- Asks a mail server what it offers, over TLS that begins with STARTTLS (RFC 3207). Where the server offers no TLS, or
-- somebody between has removed the offer, it ends: nothing is said in plain text.
--
--   lua examples/starttls.lua [--ca FILE] host [port [name]]
--
-- The certificate must be for `name` (default: host). --ca: trust what is in FILE, and not the system's authorities.

local socket = require "ssocket"
local tls = require "ssocket.tls"

local PATIENCE = 30 -- seconds for each answer
local LONGEST = 1000 -- bytes of a line
local MOST = 100 -- lines of an answer

local function fail(...)
    error(table.concat({ ... }, ": "), 0)
end

-- The code of an answer, and the texts of its lines.
local function read_answer(next_line)
    local texts = {}
    repeat
        local line, err = next_line()
        if not line then
            fail("no answer", err)
        end
        local code, more, text = line:match "^(%d%d%d)([ %-]?)(.*)$"
        if not code or #texts == MOST then
            fail "this is not SMTP"
        end
        texts[#texts + 1] = text
        if more ~= "-" then
            return code, texts
        end
    until false
end

local function expect(next_line, wanted)
    local code, texts = read_answer(next_line)
    if code ~= wanted then
        fail(code .. " " .. texts[#texts])
    end
    return texts
end

local function ask(s, next_line, command, wanted)
    local _, err = s:write(command .. "\r\n")
    if err then
        fail(err)
    end
    return expect(next_line, wanted)
end

local function offers(texts, keyword)
    for i = 2, #texts do -- the first line greets
        if texts[i]:upper() == keyword then
            return true
        end
    end
    return false
end

local function talk(host, port, name, ctx)
    local s, err = socket.connect(host, port, PATIENCE)
    if not s then
        fail(host, err)
    end
    s:settimeout(PATIENCE)
    local next_line = s:readuntil("\r\n", false, LONGEST)
    expect(next_line, "220")
    local hello = "EHLO " .. (socket.hostname() or "localhost")
    if not offers(ask(s, next_line, hello, "250"), "STARTTLS") then
        fail(host, "no STARTTLS; it is not asked in plain text")
    end
    ask(s, next_line, "STARTTLS", "220")
    local ok, why, reason = tls.client(s, name, ctx) -- what has come behind the answer breaks the handshake
    if not ok then
        fail(host, why, reason)
    end
    local info = tls.info(s)
    print(("%s, %s, certificate of %s"):format(info.version, info.cipher, info.peer.subject))
    -- What was said before TLS is worth nothing: the server is asked again.
    for _, text in ipairs(ask(s, next_line, hello, "250")) do
        print(text)
    end
    ask(s, next_line, "QUIT", "221")
    s:close()
end

local ca
if arg[1] == "--ca" then
    ca = arg[2]
    table.remove(arg, 1)
    table.remove(arg, 1)
end
local host, port, name = arg[1], arg[2] or 587, arg[3] or arg[1]
if not host then
    io.stderr:write "usage: starttls.lua [--ca FILE] host [port [name]]\n"
    os.exit(2)
end
local ok, err = pcall(function()
    talk(host, port, name, ca and assert(tls.context { ca = ca }))
end)
if not ok then
    io.stderr:write("starttls: ", tostring(err), "\n")
end
os.exit(ok and 0 or 1)
