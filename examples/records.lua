-- A server that takes records and answers each, with a generator that waits for the next record.
--
--   lua examples/records.lua [host [port [clients]]]
--
-- A record is a netstring: its length in digits, ":", so many bytes, ",". The answer is one with the bytes reversed.
-- Listens on 127.0.0.1 and a free port unless told otherwise, and ends when so many clients have come and gone
-- (never, without a number).

local socket = require "ssocket"
local coroutine = socket.coroutine -- these coroutines may make calls that wait

local host, port, limit = arg[1] or "127.0.0.1", arg[2] or 0, tonumber(arg[3]) or math.huge
local MAX = 65536 -- bytes of a record

-- Returns a function that gives one record after another, and at the end nil and why. It is a coroutine within that
-- of the task: while it waits for bytes, the task waits, and the others go on.
local function records(sock)
    return coroutine.wrap(function()
        local next_length = sock:readuntil(":", false, 8)
        local digits, err = next_length()
        while digits do
            local n = digits:find "^%d+$" and tonumber(digits) or MAX + 1
            if n > MAX then
                return nil, "not a record"
            end
            local data
            data, err = sock:read(n + 1)
            if not data then
                return nil, err
            end
            if data:sub(-1) ~= "," then
                return nil, "not a record"
            end
            coroutine.yield(data:sub(1, n))
            digits, err = next_length()
        end
        return nil, err
    end)
end

local function serve(client)
    client:settimeout(60) -- seconds for each call
    local next_record = records(client)
    local record, err = next_record()
    while record do
        local sent
        sent, err = client:write { #record .. ":", record:reverse(), "," }
        if not sent then
            break
        end
        record, err = next_record() -- not in a `for` loop: in Lua 5.1 that could not wait
    end
    if err ~= socket.ERROR_CLOSED then
        print("a client is put out: " .. err)
    end
    client:settimeout(5)
    client:finish() -- what was not read must not cost the client its last answer
end

local listener = assert(socket.listen(host, port))
io.stdout:setvbuf "line"
print("listening on " .. tostring(listener:getsockname()))
socket.onerror = print -- a task that fails ends alone; this tells of it

local come = 0
repeat
    local client, err = listener:accept()
    if client then
        come = come + 1
        socket.spawn(serve, client)
    else -- out of descriptors: who comes stays in the queue meanwhile
        io.stderr:write("records: ", err, "\n")
        socket.sleep(0.1)
    end
until come == limit or err == socket.ERROR_CLOSED
listener:close()
socket.run() -- until the last client has gone
