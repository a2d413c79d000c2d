-- Passes connections on to another server, copying both ways until both sides have ended.
--
--   lua examples/proxy.lua target_host target_port [port [connections]]
--
-- Listens on 127.0.0.1, on a free port unless one is given, and ends after so many connections (never,
-- without a number).

local socket = require "ssocket"

local target_host, target_port = arg[1], arg[2]
local port, limit = arg[3] or 0, tonumber(arg[4]) or math.huge

if not target_port then
    io.stderr:write "usage: proxy.lua target_host target_port [port [connections]]\n"
    os.exit(2)
end

local PIECE = 65536 -- bytes that one direction holds at most
local CONNECT = 5 -- seconds to reach the target
local IDLE = 300 -- seconds after which a connection ends on which nothing is passed on, either way
local PAUSE = 0.1 -- seconds after which accept is tried again

local listener = socket.tcp()
assert(listener:setopt(socket.OPT_TCP_REUSEADDR, true))
assert(listener:bind("127.0.0.1", port))
assert(listener:listen())
listener:settimeout(0)
print("listening on " .. tostring(listener:getsockname()))
io.stdout:flush()

-- Half a connection: what `from` sends goes to `to`. `data` has been read and not yet written; while there
-- is any, nothing more is read, so that a slow reader slows its writer down instead of filling our memory.
local flows = {}
local accepted, ended, accept_at = 0, 0, 0

local function flow(from, to)
    local half = { from = from, to = to, data = "", moved_at = socket.now() }
    flows[half] = true
    return half
end

local function finish(half)
    if flows[half] then
        flows[half] = nil
        if not flows[half.other] then
            half.from:close()
            half.to:close()
            ended = ended + 1
        end
    end
end

-- A broken connection is of no use in the other direction either.
local function abort(half, err)
    io.stderr:write("proxy: ", err, "\n")
    flows[half.other] = nil
    finish(half)
end

-- `from` has ended: `to` is told, and may go on sending the other way.
local function pass_end(half)
    half.to:shutdown(socket.SHUT_WR)
    finish(half)
end

local function push(half)
    local _, err, sent = half.to:write(half.data)
    if not err then
        half.data, half.moved_at = "", socket.now()
    elseif err == socket.ERROR_TIMEOUT then
        half.data = half.data:sub(sent + 1)
    else
        abort(half, err)
    end
end

local function pull(half)
    local data, err = half.from:readsome(PIECE)
    if data then
        half.data = data
        push(half) -- most of the time it can be written at once
    elseif err == socket.ERROR_CLOSED then
        pass_end(half)
    elseif err ~= socket.ERROR_TIMEOUT then
        abort(half, err)
    end
end

local function connect(client)
    local target = socket.tcp()
    target:settimeout(CONNECT) -- everybody waits meanwhile
    local ok, err = target:connect(target_host, target_port)
    if not ok then
        io.stderr:write("proxy: ", target_host, ": ", err, "\n")
        client:close()
        ended = ended + 1
        return
    end
    client:settimeout(0)
    target:settimeout(0)
    local up, down = flow(client, target), flow(target, client)
    up.other, down.other = down, up
end

local function accept()
    local client, err = listener:accept()
    if client then
        accepted = accepted + 1
        connect(client)
    elseif err ~= socket.ERROR_TIMEOUT then -- out of descriptors: who comes stays in the queue meanwhile
        io.stderr:write("proxy: ", err, "\n")
        accept_at = socket.now() + PAUSE
    end
end

local function is_idle(half, now)
    return now - math.max(half.moved_at, half.other.moved_at) > IDLE
end

while ended < limit do
    local readers, writers, readable_half, writable_half = {}, {}, {}, {}
    local now = socket.now()
    if accepted < limit and now >= accept_at then
        readers[1] = listener
    end
    for half in pairs(flows) do
        if is_idle(half, now) then
            abort(half, socket.ERROR_TIMEOUT)
        elseif half.data == "" then
            table.insert(readers, half.from)
            readable_half[half.from] = half
        else
            table.insert(writers, half.to)
            writable_half[half.to] = half
        end
    end
    -- Not for ever: the clock is looked at again.
    local readable, writable, err = socket.select(readers, writers, now < accept_at and PAUSE or 1)
    if err and err ~= socket.ERROR_TIMEOUT then
        error(err, 0)
    end
    -- A half may have been ended by what happened to the other one a moment ago.
    for _, sock in ipairs(readable or {}) do
        if sock == listener then
            accept()
        elseif flows[readable_half[sock]] then
            pull(readable_half[sock])
        end
    end
    for _, sock in ipairs(writable or {}) do
        if flows[writable_half[sock]] then
            push(writable_half[sock])
        end
    end
end
listener:close()
