-- What all contestants in Lua share.
--
--   LUA bench/lua/with_LIBRARY.lua WORK HOST PORT N SIZE DELIMITER

local contest = { counting = os.getenv "BENCH_COUNTING" }

local SKIPPED = 77 -- exit status: this contestant can't do that work here

function contest.skip(why)
    io.stderr:write(why, "\n")
    os.exit(SKIPPED)
end

-- The library, or an exit that the runner understands.
function contest.library(name)
    local found, library = pcall(require, name)
    if not found then
        contest.skip(library)
    end
    return library
end

-- Memory of an idle connection: prints "memory BYTES-IN-LUA BYTES-IN-ALL" for each of n that `open(list, i)` puts
-- into a list, which is long enough before it begins. What the first one brings along for all is not counted.
function contest.weigh(n, open)
    local meter = require "meter"
    local list = {}
    for i = 1, n do
        list[i] = false
    end
    local function weight()
        collectgarbage()
        collectgarbage()
        return collectgarbage "count" * 1024, meter.resident()
    end
    open(list, 1)
    local lua_before, all_before = weight()
    for i = 2, n do
        open(list, i)
    end
    local lua_after, all_after = weight()
    print(("memory %.1f %.1f"):format((lua_after - lua_before) / (n - 1), (all_after - all_before) / (n - 1)))
end

-- Tells the runner where a server is to be called.
function contest.port(port)
    io.write("port ", port, "\n")
    io.flush()
end

-- A server calls it when it has accepted a connection and done nothing for it yet; n are to come (0: any number).
-- At the first and at the last of them it prints "memory BYTES-IN-LUA".
local come = 0
function contest.came(n)
    come = come + 1
    if n > 0 and (come == 1 or come == n) then
        collectgarbage()
        collectgarbage()
        io.write(("memory %.0f\n"):format(collectgarbage "count" * 1024))
        io.flush()
    end
end

-- Runs the work that the command line names, with its numbers as numbers. When instructions are counted, all garbage is
-- freed when the meter stops, instead of in as many rounds of the collector as there happen to be.
function contest.run(work)
    if contest.counting then
        collectgarbage "stop"
    end
    local name, host, port, n, size, delimiter = arg[1], arg[2], arg[3], arg[4], arg[5], arg[6]
    if not work[name] then
        contest.skip("no " .. name)
    end
    local function whole(text)
        return math.floor(tonumber(text))
    end
    work[name](host, whole(port), whole(n), whole(size), delimiter)
end

return contest
