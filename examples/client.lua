-- Asks a web server for a page and prints what arrives within a second, 1024 bytes at most.
--
--   lua examples/client.lua [host [port]]

local socket = require "ssocket"

local host, port = arg[1] or "example.com", arg[2] or 80

local tcpsock = socket.tcp()
tcpsock:settimeout(10)
local ok, err = tcpsock:connect(host, port)
if ok then -- one write: the second of two would wait until the server has acknowledged the first, some 40 ms
    ok, err = tcpsock:write { "GET / HTTP/1.0\r\nHost: ", host, "\r\n\r\n" }
end
if not ok then
    io.stderr:write(host, ": ", err, "\n")
    os.exit(1)
end
tcpsock:settimeout(1)
local data, why, partial = tcpsock:read(1024)
io.output():write(data or partial) -- with an error: the bytes that came before it
tcpsock:close()
if why and why ~= socket.ERROR_TIMEOUT and why ~= socket.ERROR_CLOSED then -- fewer bytes are fine here
    io.stderr:write(host, ": ", why, "\n")
    os.exit(1)
end
