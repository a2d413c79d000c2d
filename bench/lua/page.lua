-- What the web servers in Lua answer: the same for all of them, as in examples/http_server.lua.

local web = {}

-- The whole answer, for a connection that stays (true) and for one that does not.
local function page(status, text)
    local whole = ("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s"):format(status, #text, text)
    return { [true] = whole, [false] = (whole:gsub("\r\n", "\r\nConnection: close\r\n", 1)) }
end

local pages = { ["/"] = page("200 OK", "Hello, world!\n") }
local missing, bad = page("404 Not Found", "There is nothing here.\n"), page("400 Bad Request", "Ask for a page.\n")

-- What is sent, and whether the connection stays. It ends after a request with a body, which nobody here reads.
function web.answer(head)
    local fields, path, minor = head:lower(), head:match "^GET (/[^%s?]*)%S* HTTP/1%.(%d)\r\n"
    local has_body = fields:find("\r\ncontent-length:", 1, true) or fields:find("\r\ntransfer-encoding:", 1, true)
    local ends = has_body or minor ~= "1" or fields:find("close", 1, true) and fields:find "\r\nconnection:[^\r]*close"
    return (pages[path] or path and missing or bad)[not ends], not ends
end

return web
