-- The server of script/soak, written as docs/tasks.md says: one task a connection, plain calls, a time-out and a limit
-- for each. What a client may ask for, a line each:
--
--   ECHO text     the text and LF
--   FLIP n        n bytes follow, exactly; they come back in reverse
--   GIVE n        n bytes
--   STAT          a line about the server itself, after all garbage has been collected
--
--   lua soak_server.lua SECONDS        how long a client may take for a line, for n bytes, to take an answer

local socket = require "ssocket"

local SECONDS = tonumber(arg[1])
local LINE, MOST = 4096, 262144

local given = ("0123456789abcdef"):rep(MOST / 16)
local counted = { come = 0, no_descriptor = 0, lines = 0, flips = 0, gives = 0, failed = 0 }
local ends = {} -- how many connections ended with which error
local running = 0
local handles = setmetatable({}, { __mode = "k" })

local function count(what)
    counted[what] = counted[what] + 1
end

-- ---- what may be asked for ----

local function alive()
    local n = 0
    for task in pairs(handles) do
        local status = task:status()
        if status == "ready" or status == "waiting" then
            n = n + 1
        end
    end
    return n
end

local function show(of)
    local shown = {}
    for name, n in pairs(of) do
        shown[#shown + 1] = (" %s=%d"):format(name:gsub("%s", "_"), n)
    end
    table.sort(shown)
    return table.concat(shown)
end

local function stat()
    for _ = 1, 3 do -- finalizers leave garbage of their own
        collectgarbage()
    end
    local kept = 0
    for _ in pairs(handles) do
        kept = kept + 1
    end
    local memory = math.floor(collectgarbage "count" * 1024)
    local said = ("memory=%d running=%d alive=%d kept=%d"):format(memory, running, alive(), kept)
    return said .. show(counted) .. show(ends) .. "\n"
end

local function size_of(text)
    local n = tonumber(text:match "^%d+$")
    return n and n <= MOST and n or nil
end

local function flip(client, n)
    count "flips"
    local data, err = client:read(n)
    if not data then
        return nil, err
    end
    return client:write(data:reverse())
end

local function answer(client, line)
    local word, rest = line:match "^(%u+) ?(.*)$"
    local n = word and size_of(rest)
    if word == "ECHO" then
        count "lines"
        return client:write { rest, "\n" }
    elseif word == "FLIP" and n then
        return flip(client, n)
    elseif word == "GIVE" and n then
        count "gives"
        return client:write(given:sub(1, n))
    elseif word == "STAT" then
        return client:write(stat())
    end
    return nil, "not understood"
end

-- ---- connections ----

local function converse(client)
    client:settimeout(SECONDS)
    local next_line = client:readuntil("\n", false, LINE)
    local line, err = next_line()
    while line do
        local ok
        ok, err = answer(client, line)
        if not ok then
            break
        end
        line, err = next_line()
    end
    return err
end

local function serve(client)
    running = running + 1
    local err = converse(client)
    ends[err] = (ends[err] or 0) + 1
    client:close()
    running = running - 1
end

function socket.onerror(_, message)
    count "failed"
    io.stderr:write("a task failed: ", message, "\n")
end

local listener = socket.tcp()
assert(listener:setopt(socket.OPT_TCP_NODELAY, true))
assert(listener:bind("127.0.0.1", 0))
assert(listener:listen())
print(listener:getsockname()[2])
io.stdout:flush()

while true do
    local client, err = listener:accept()
    if client then
        count "come"
        handles[socket.spawn(serve, client)] = true
    else -- out of descriptors: who comes stays in the queue meanwhile
        count "no_descriptor"
        assert(err:find "open files", err)
        socket.sleep(0.01)
    end
end
