-- Fetches a page or a file over HTTPS. The server must prove its name; whatever is cut short is an error.
--
--   lua examples/https_client.lua [--ca FILE] https://host[:port]/path [file]
--
-- Without a file the page goes to standard output. With one, progress is told on standard error, and the file is there
-- when all of it has come, not before. --ca: trust what is in FILE, and not the system's authorities.

local socket = require "ssocket"
local tls = require "ssocket.tls"

local PATIENCE = 30 -- seconds for the connection, and then for each piece of the answer
local LONGEST = 65536 -- bytes of a head
local REDIRECTS = 5

local function fail(...)
    error(table.concat({ ... }, ": "), 0)
end

-- Passes results on; fails with what comes behind a nil.
local function check(value, err, reason)
    if value then
        return value
    end
    fail(err, type(reason) == "string" and reason or nil) -- io.open and others have a number there
end

-- ---- the address ----

-- A line break in it would be another header of the request.
local function split(url)
    local authority, path = url:match "^[Hh][Tt][Tt][Pp][Ss]://([%w%.%-:%[%]]+)([^#]*)"
    if not authority or path:find "[^\33-\126]" or not path:find "^[/?]" and path ~= "" then
        fail(url, "https://host[:port]/path expected")
    end
    local host, port = authority:match "^%[([%x:.]+)%](.*)$"
    if not host then
        host, port = authority:match "^([^:%[%]]+)(.*)$"
    end
    local number = port == "" and 443 or port and tonumber(port:match "^:(%d+)$")
    if not number or number > 65535 then
        fail(url, "no host, or no port")
    end
    return host, number, path:find "^/" and path or "/" .. path, authority
end

-- Where a redirect leads.
local function target(url, location)
    if location:find "^/[^/]" or location == "/" then
        return url:match "^%a+://[^/?#]*" .. location
    end
    return location -- what is not https:// is refused by `split`
end

-- ---- the answer ----

-- Status, status line, header fields in lower case. Interim answers (1xx) are skipped.
local function read_head(s)
    local next_head = s:readuntil("\r\n\r\n", true, LONGEST)
    while true do
        local head, err = next_head()
        if not head then
            fail("no answer", err)
        end
        local status = tonumber(head:match "^HTTP/1%.%d (%d%d%d)[ \r]")
        if not status then
            fail "this is not HTTP/1"
        end
        if status >= 200 then
            return status, head:match "^[^\r]*", head:match "\r\n.*"
        end
    end
end

-- The value of a header field; a second one that differs is a failure.
local function field(head, name)
    local found
    for key, value in head:gmatch "\r\n([^:\r\n]+):[ \t]*([^\r\n]*)" do
        if key:lower() == name then
            value = value:gsub("[ \t]+$", "")
            if found and found ~= value then
                fail("two values", name)
            end
            found = value
        end
    end
    return found
end

local function copy(s, left, take)
    while left > 0 do
        local data, err = s:readsome(math.min(left, 65536))
        if not data then
            fail("cut short", err, ("%d bytes were still to come"):format(left))
        end
        left = left - #data
        take(data)
    end
end

-- Only the closure of TLS (close_notify) is an end. ERROR_EOF is not: anybody between may have cut the connection.
local function copy_to_end(s, take)
    while true do
        local data, err = s:readsome(65536)
        if data then
            take(data)
        elseif err == socket.ERROR_CLOSED then
            return
        else
            fail("cut short", err)
        end
    end
end

local function copy_chunks(s, take)
    local next_line = s:readuntil("\r\n", false, 4096)
    local function line()
        local text, err = next_line()
        return text or fail("cut short", err)
    end
    while true do
        local text = line()
        local digits = text:match "^(%x+)[ \t]*$" or text:match "^(%x+)[ \t]*;"
        if not digits or #digits > 12 then
            fail "a chunk without a size"
        end
        local size = tonumber(digits, 16)
        if size == 0 then
            break
        end
        copy(s, size, take)
        if line() ~= "" then
            fail "a chunk without an end"
        end
    end
    for _ = 1, 100 do -- trailers
        if line() == "" then
            return
        end
    end
    fail "too many trailers"
end

-- Gives the body piece by piece to `take(data, whole)`; `whole` is its length, if the server has told it.
local function read_body(s, status, head, take)
    local coding, length = field(head, "transfer-encoding"), field(head, "content-length")
    if status == 204 or status == 304 then
        return
    elseif coding then
        if coding:lower() ~= "chunked" then
            fail("unknown transfer coding", coding)
        end
        return copy_chunks(s, take)
    elseif not length then
        return copy_to_end(s, take)
    elseif not length:find "^%d+$" or #length > 15 then
        fail("not a length", length)
    end
    local whole = tonumber(length)
    copy(s, whole, function(data)
        take(data, whole)
    end)
end

-- ---- both ----

local function fetch(url, ctx, take)
    for _ = 0, REDIRECTS do
        local host, port, path, authority = split(url)
        local s = check(tls.connect(host, port, ctx, PATIENCE))
        check(s:write { "GET ", path, " HTTP/1.1\r\nHost: ", authority, "\r\nConnection: close\r\n\r\n" })
        local status, line, head = read_head(s)
        local location = status >= 300 and status < 400 and field(head, "location")
        if not location then
            if status < 200 or status >= 300 then
                fail(line)
            end
            read_body(s, status, head, take)
            return s:close()
        end
        s:close()
        url = target(url, location)
    end
    fail "too many redirects"
end

-- Tells of progress five times a second.
local function progress()
    local got, told = 0, -math.huge
    return function(data, whole)
        got = got + #data
        if socket.now() - told >= 0.2 or got == whole then
            told = socket.now()
            io.stderr:write("\r", got, whole and " of " .. whole or "", " bytes")
        end
    end, function()
        io.stderr:write("\r", got, " bytes", (" "):rep(20), "\n")
    end
end

local function fetch_to_file(url, ctx, path)
    local part = path .. ".part"
    local file = check(io.open(part, "wb"))
    local tell, tell_end = progress()
    local ok, err = pcall(fetch, url, ctx, function(data, whole)
        check(file:write(data))
        tell(data, whole)
    end)
    tell_end()
    local closed, why = file:close()
    if not ok or not closed then
        os.remove(part)
        fail(ok and why or err)
    end
    check(os.rename(part, path))
end

local function fetch_to_output(url, ctx)
    fetch(url, ctx, function(data)
        check(io.stdout:write(data))
    end)
    check(io.stdout:flush())
end

local ca
if arg[1] == "--ca" then
    ca = arg[2]
    table.remove(arg, 1)
    table.remove(arg, 1)
end
local url, path = arg[1], arg[2]
if not url then
    io.stderr:write "usage: https_client.lua [--ca FILE] https://host[:port]/path [file]\n"
    os.exit(2)
end
local ok, err = pcall(function()
    local ctx = ca and check(tls.context { ca = ca })
    if path then
        fetch_to_file(url, ctx, path)
    else
        fetch_to_output(url, ctx)
    end
end)
if not ok then
    io.stdout:flush() -- what has come stands before the reason
    io.stderr:write("https_client: ", tostring(err), "\n")
end
os.exit(ok and 0 or 1)
