-- What the web servers in Lua answer: the same for all of them, as in examples/http_server.lua.

local page = {}

local pages = { ["/"] = "Hello, world!\n" }

-- What is sent, and whether the connection stays. It ends after a request with a body, which nobody here reads.
function page.answer(head)
    local path, minor = head:match "^GET (/[^%s?]*)%S* HTTP/1%.(%d)\r\n"
    local fields = head:lower()
    local stays = not fields:find("\r\ncontent-length:", 1, true) and not fields:find("\r\ntransfer-encoding:", 1, true)
    stays = stays and minor == "1" and not (fields:find("close", 1, true) and fields:find "\r\nconnection:[^\r]*close")
    local status = pages[path] and "HTTP/1.1 200 OK" or path and "HTTP/1.1 404 Not Found" or "HTTP/1.1 400 Bad Request"
    local text = pages[path] or "There is nothing here.\n"
    local length = "\r\nContent-Length: " .. #text .. "\r\n\r\n"
    return status .. (stays and "" or "\r\nConnection: close") .. length .. text, stays
end

return page
