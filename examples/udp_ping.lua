-- Measures how long a datagram takes to a server and back.
--
--   lua examples/udp_ping.lua host port [count]               sends pings
--   lua examples/udp_ping.lua serve [host [port [count]]]     answers them; ends after so many

local socket = require "ssocket"

local WAIT = 1 -- seconds for one answer

local function serve(host, port, count)
    local sock = socket.udp()
    assert(sock:bind(host, port))
    print("listening on " .. tostring(sock:getsockname()))
    io.stdout:flush()
    local answered = 0
    while answered < count do
        local data, addr, err = sock:recvfrom()
        if data then
            answered = answered + 1
            local ok, why = sock:sendto(data, addr)
            err = not ok and ("%s: %s"):format(tostring(addr), why)
        elseif err ~= socket.ERROR_REFUSED then
            socket.sleep(0.1) -- an error that lasts must not make it spin
        end
        -- Nothing that one peer does may end a server.
        if err and err ~= socket.ERROR_REFUSED then
            io.stderr:write("udp_ping: ", err, "\n")
        end
    end
    sock:close()
end

-- Waits for this very answer until the deadline: an old one may come late.
local function await(sock, text, deadline)
    local data, err
    repeat
        sock:settimeout(math.max(0, deadline - socket.now()))
        data, err = sock:recv()
    until data == text or not data
    return data, err
end

local function ping(sock, number)
    local text = ("ping %d"):format(number)
    local started = socket.now()
    local ok, err = sock:send(text)
    if ok then
        ok, err = await(sock, text, started + WAIT)
    end
    if ok then
        print(("%d: %.3f ms"):format(number, (socket.now() - started) * 1000))
    else
        print(("%d: %s"):format(number, err))
    end
    return ok
end

-- Connected, the socket hears its peer alone, and is told when nobody has that port.
local function client(host, port, count)
    local sock = socket.udp()
    assert(sock:connect(host, port))
    local answers = 0
    for number = 1, count do
        if ping(sock, number) then
            answers = answers + 1
        end
    end
    sock:close()
    print(("%d of %d answered"):format(answers, count))
    return answers == count
end

if arg[1] == "serve" then
    serve(arg[2] or "127.0.0.1", arg[3] or 0, tonumber(arg[4]) or math.huge)
elseif arg[1] and arg[2] then
    os.exit(client(arg[1], arg[2], tonumber(arg[3]) or 4) and 0 or 1)
else
    io.stderr:write "usage: udp_ping.lua host port [count] | serve [host [port [count]]]\n"
    os.exit(2)
end
