-- A client of Redis. Each line of standard input is a command; the commands up to an empty line are sent together, and
-- all such groups at the same time, over a few connections that a pool keeps.
--
--   lua examples/redis_pool.lua connections host port
--   lua examples/redis_pool.lua connections unix:/path

local socket = require "ssocket"
local pool = require "ssocket.pool"

local connections, host, port = tonumber(arg[1]), arg[2], tonumber(arg[3])

if not connections or not host then
    io.stderr:write "usage: redis_pool.lua connections host port | connections unix:/path\n"
    os.exit(2)
end

local PATIENCE = 10 -- seconds for a group of commands
local LONGEST = 65536 -- bytes in a line of an answer

local p = pool.new { max = connections }

local function dial()
    if port then
        return socket.connect(host, port, PATIENCE)
    end
    return socket.connect(host, PATIENCE)
end

-- An array of strings for one write: an array of the protocol for each command.
local function encode(commands)
    local out = {}
    for _, words in ipairs(commands) do
        out[#out + 1] = ("*%d\r\n"):format(#words)
        for _, word in ipairs(words) do
            out[#out + 1] = ("$%d\r\n%s\r\n"):format(#word, word)
        end
    end
    return out
end

-- An answer as text, or nil and an error.
local function read_answer(sock, next_line)
    local line, err = next_line()
    local kind, rest = (line or ""):match "^([-+:$*])(.*)$"
    local n = tonumber(rest)
    if not kind then
        return nil, err or "this is not Redis"
    elseif kind == "-" then
        return "error: " .. rest
    elseif kind == "+" or kind == ":" then
        return rest
    elseif n == -1 then
        return "nothing"
    elseif kind == "$" then
        local data, why = sock:read(n + 2) -- with its "\r\n"
        return data and data:sub(1, n), why
    end
    local parts = {}
    for i = 1, n do
        parts[i], err = read_answer(sock, next_line)
        if not parts[i] then
            return nil, err
        end
    end
    return "[" .. table.concat(parts, ", ") .. "]"
end

local function converse(sock, commands)
    local sent, err = sock:write(encode(commands))
    if not sent then
        return nil, err
    end
    local answers, next_line = {}, sock:readuntil("\r\n", false, LONGEST)
    for i = 1, #commands do
        answers[i], err = read_answer(sock, next_line)
        if not answers[i] then
            return nil, err
        end
    end
    return answers
end

-- The server may end a connection that was in the pool just when it is used. Then the commands are sent once more, so
-- it must not matter when the server obeys them twice.
local function ask(commands, is_second)
    local sock, reused = p:get("redis", dial)
    if not sock then
        return nil, reused
    end
    local answers, err = converse(sock, commands)
    if answers then
        p:put("redis", sock)
    else
        p:drop("redis", sock)
        if reused and err == socket.ERROR_CLOSED and not is_second then
            return ask(commands, true)
        end
    end
    return answers, err
end

-- The next group of commands, or nil.
local function read_commands()
    local commands = {}
    for line in io.lines() do
        local words = {}
        for word in line:gmatch "%S+" do
            words[#words + 1] = word
        end
        if words[1] then
            commands[#commands + 1] = words
        elseif commands[1] then
            break
        end
    end
    return commands[1] and commands
end

local tasks = {}
for commands in read_commands do
    tasks[#tasks + 1] = socket.spawn(socket.within, PATIENCE, ask, commands)
end
local failed = false
for _, task in ipairs(tasks) do
    local _, answers, err = assert(task:wait())
    print(answers and table.concat(answers, "\n") or err)
    failed = failed or not answers
end
p:close()
os.exit(failed and 1 or 0)
