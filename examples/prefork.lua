-- One port, several processes: a master that accepts and hands each connection over to a worker that asks for one.
--
--   lua examples/prefork.lua master PATH [host [port [clients]]]   accepts; workers find it at the Unix socket PATH
--   lua examples/prefork.lua worker PATH NAME CLIENTS              serves so many clients, then ends with status 0
--   lua examples/prefork.lua alone NAME HOST PORT [clients]        without a master: many share a port by OPT_REUSEPORT
--
-- examples/prefork.sh starts them. A worker that ends loses no client: it gets one only after it has asked, and asks no
-- more before it ends; who comes meanwhile waits in the master. So workers are started anew, with new code, under load.
-- Where each process has a listener of its own, one that ends drops those that wait in its queue.

local socket = require "ssocket"

io.stdout:setvbuf "line"
socket.onerror = print -- a task that fails ends alone; this tells of it

local function serve(client, name)
    client:settimeout(60) -- seconds for it to say something
    local next_line = client:readuntil("\n", false, 1000)
    local line = next_line()
    while line and client:write(("%s: %s\n"):format(name, line)) do
        line = next_line()
    end
    client:close()
end

-- Accepts until the listener is closed, or `limit` have come, and calls f with each.
local function accept_all(listener, limit, f)
    local come = 0
    repeat
        local client, err = listener:accept()
        if client then
            come = come + 1
            f(client)
        elseif err ~= socket.ERROR_CLOSED then -- out of descriptors: who comes stays in the queue meanwhile
            io.stderr:write("accept: ", err, "\n")
            socket.sleep(0.1)
        end
    until come == limit or err == socket.ERROR_CLOSED
    listener:close()
end

local function listen(options, ...)
    local listener = socket.tcp()
    for _, option in ipairs(options) do
        assert(listener:setopt(option, true))
    end
    assert(listener:bind(...))
    assert(listener:listen())
    return listener
end

local roles = {}

function roles.master(path, host, port, limit)
    local asking, workers = socket.channel(1000), {} -- `asking`: workers that want a client
    local entrance = listen({}, "unix:" .. path)
    local listener = listen({ socket.OPT_TCP_REUSEADDR }, host or "127.0.0.1", port or 0)
    print("listening on " .. tostring(listener:getsockname()))

    local function attend(worker)
        while worker:read(1) do
            asking:put(worker)
        end
        workers[worker] = nil
        worker:close()
    end

    -- As long as nothing was sent the client is still here, for the next one that asks.
    local function hand_over(client)
        local ok, err, sent
        repeat
            ok, err, sent = asking:get():sendfd("c", client)
        until ok or sent > 0
        if not ok then
            io.stderr:write("sendfd: ", err, "\n")
        end
    end

    socket.spawn(accept_all, entrance, nil, function(worker)
        workers[worker] = true -- now, and not when its task begins: the master may end before
        socket.spawn(attend, worker)
    end)
    accept_all(listener, tonumber(limit), hand_over)
    entrance:close()
    os.remove(path)
    for worker in pairs(workers) do
        worker:shutdown(socket.SHUT_WR) -- it still gets what is on its way
    end
    socket.run() -- until the last worker has gone
end

function roles.worker(path, name, limit)
    local master = socket.tcp()
    if not master:connect("unix:" .. path) then
        os.exit(1) -- no master any more
    end
    for _ = 1, tonumber(limit) do
        master:write "?" -- one more
        local data, fd, err = master:recvfd(1)
        if fd and data then
            socket.spawn(serve, assert(socket.fromfd(fd)), name)
        elseif data then -- out of descriptors: this client is lost
            io.stderr:write(name, ": ", err, "\n")
        else
            break
        end
    end
    master:close()
    socket.run() -- until the last client has gone
end

function roles.alone(name, host, port, limit)
    local listener = listen({ socket.OPT_REUSEPORT }, host, port)
    print("listening on " .. tostring(listener:getsockname()))
    accept_all(listener, tonumber(limit), function(client)
        socket.spawn(serve, client, name)
    end)
    socket.run()
end

assert(roles[arg[1]], "say master, worker or alone")(arg[2], arg[3], arg[4], arg[5])
