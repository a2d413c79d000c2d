-- Sources and sinks in the sense of LTN12 that read and write sockets: socket.source, socket.sink, and socket.choose,
-- by which they are chosen. Other modules add to the tables `sourcet` and `sinkt`.

local sources = { sourcet = {}, sinkt = {}, BLOCKSIZE = 2048 }

local sourcet, sinkt = sources.sourcet, sources.sinkt

-- Something to call that select takes for the socket.
local function callable(sock, f)
    return setmetatable({
        getfd = function()
            return sock:getfd()
        end,
        dirty = function()
            return sock:dirty()
        end,
    }, { __call = f })
end

-- A function whose first argument is a key of the table, "default" if it is no string, and the others those of the
-- function that stands there.
function sources.choose(choices)
    return function(key, first, second)
        if type(key) ~= "string" then
            key, first, second = "default", key, first
        end
        local chosen = choices[key]
        if not chosen then
            error(("unknown key (%s)"):format(key), 3)
        end
        return chosen(first, second)
    end
end

sinkt["close-when-done"] = function(sock)
    return callable(sock, function(_, chunk)
        if chunk then
            return sock:send(chunk)
        end
        sock:close()
        return 1
    end)
end

sinkt["keep-open"] = function(sock)
    return callable(sock, function(_, chunk)
        if chunk then
            return sock:send(chunk)
        end
        return 1
    end)
end

-- `module`: where a program may have set another BLOCKSIZE.
local function by_length(module)
    return function(sock, length)
        return callable(sock, function()
            if length <= 0 then
                return nil
            end
            local chunk, err = sock:receive(math.min(module.BLOCKSIZE, length))
            if err then
                return nil, err
            end
            length = length - #chunk
            return chunk
        end)
    end
end

local function until_closed(module)
    return function(sock)
        local done
        return callable(sock, function()
            if done then
                return nil
            end
            local chunk, err, partial = sock:receive(module.BLOCKSIZE)
            if not err then
                return chunk
            elseif err ~= "closed" then
                return nil, err
            end
            sock:close()
            done = true
            return partial
        end)
    end
end

-- Adds all this to the module's table.
function sources.add_to(module)
    module.sourcet, module.sinkt, module.BLOCKSIZE = sourcet, sinkt, sources.BLOCKSIZE
    sourcet["by-length"], sourcet["until-closed"] = by_length(module), until_closed(module)
    sourcet.default, sinkt.default = sourcet["until-closed"], sinkt["keep-open"]
    module.choose = sources.choose
    module.source, module.sink = sources.choose(sourcet), sources.choose(sinkt)
end

return sources
