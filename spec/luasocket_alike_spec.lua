-- Programs by chance, run by LuaSocket and by the bridge: both must tell the same of each call. No call of them waits.
-- The streams are Unix sockets: what one end does is known at the other at once, which over TCP takes its time.
-- SEED=7 runs one of them, and shows it.

local luasocket = require "support.luasocket"
local t = require "support.t"

local PROGRAMS, LENGTH = 100, 40

-- Numbers by chance that are the same on every Lua.
local function generator(seed)
    local state = seed * 7919 % 2147483647 + 1
    return function(n)
        state = state * 16807 % 2147483647
        return state % n + 1
    end
end

local LONG = { "a", "bc", "\n", "\r", "\r\n", "\0", "def\n", ("x"):rep(300), ("y"):rep(9000) }
local SHORT = { "a", "bc", "\n", "\r", "\r\n", "\0", "def\n" }
local PATTERNS = { nil, "*l", "*l", "*a", 0, 1, 2, 3, 5, 100, 8192, 9000, "4" }
local PREFIXES = { nil, nil, nil, "", "p", "pre\r", "prefix\n", 42 }
local INDICES = { nil, nil, nil, 1, 2, 3, -1, -2, 0, 5, 400, -400 }
local TOTALS = { nil, nil, 0, 5 }

local function text(random, pieces)
    local chosen = {}
    for i = 1, random(5) - 1 do
        chosen[i] = pieces[random(#pieces)]
    end
    return table.concat(chosen)
end

-- Which calls there are and how often of 100: each returns the name of a method and its arguments.
local CALLS = {
    { 18, function(random, pieces) return "send", text(random, pieces) end },
    { 12, function(random, pieces) return "send", text(random, pieces), INDICES[random(12)], INDICES[random(12)] end },
    { 41, function(random) return "receive", PATTERNS[random(13)], PREFIXES[random(8)] end },
    { 15, function(random) return "receive", PATTERNS[random(13)] end },
    { 6, function(random) return "settimeout", TOTALS[random(4)], "t" end },
    { 4, function(random) return "setstats", random(50), random(50) end },
    { 3, function(random) return "shutdown", ({ "send", "receive", "both" })[random(3)] end },
    { 1, function() return "close" end },
}

local function choose(random, pieces)
    local n = random(100)
    for _, call in ipairs(CALLS) do
        n = n - call[1]
        if n <= 0 then
            return t.pack(call[2](random, pieces))
        end
    end
end

-- What is not asked: after a close, what depends on how far LuaSocket has read ahead: the rest of it, and whether the
-- system has dropped bytes.
local function is_asked(method, closed)
    return not (closed and (method == "receive" or method == "send"))
end

-- A program: {which end, method and arguments}.
local function program(seed)
    local random = generator(seed)
    local calls, closed, pieces = {}, false, LONG
    while #calls < LENGTH do
        local which = random(2)
        local method = choose(random, pieces)
        if is_asked(method[1], closed) then
            calls[#calls + 1] = { which, method }
        end
        closed = closed or method[1] == "close"
        if method[1] == "close" or method[1] == "shutdown" then
            pieces = SHORT
        end
    end
    return calls
end

local unpack = unpack or table.unpack -- luacheck: ignore

-- Long runs of one letter as their length; LuaSocket's numbers are no integers.
local function abridge(told)
    return (told:gsub("%.0%f[%D]", ""):gsub("[xy]+", function(run)
        return #run > 9 and ("%s*%d"):format(run:sub(1, 1), #run) or nil
    end))
end

local function shown(call, ...)
    local method = call[2]
    return abridge(("%d:%s(%s) = %s, %s, %s"):format(
        call[1],
        method[1],
        luasocket.results(unpack(method, 2, method.n)),
        luasocket.results(...),
        luasocket.results(call.object.class),
        luasocket.results(call.object:getstats(), (select(2, call.object:getstats())))
    ))
end

-- What a module tells of each call of a program.
local function told_by(unix, calls, path)
    local ends = { luasocket.unix_pair(unix, path) }
    local told = {}
    for i, call in ipairs(calls) do
        local s, method = ends[call[1]], call[2]
        s:settimeout(0)
        call.object = s
        told[i] = shown(call, s[method[1]](s, unpack(method, 2, method.n)))
        call.object = nil
    end
    for _, s in ipairs(ends) do
        s:close()
    end
    return told
end

-- Where LuaSocket is not there, the bridge still must tell the same each time, and raise nothing.
luasocket.describe("programs by chance", function(_, tested)
    if tested.real then
        return
    end
    local other = luasocket.modules[1].unix

    it("are told the same by both modules", function()
        t.sys.disposition(t.sys.SIGPIPE, "ignore") -- which LuaSocket wants
        local wanted = tonumber(os.getenv "SEED")
        local path = t.tmpdir() .. "/"
        for seed = wanted or 1, wanted or PROGRAMS do
            local calls = program(seed)
            local ours = told_by(tested.unix, calls, path .. seed)
            for i, told in ipairs(told_by(other, calls, path .. seed .. "-other")) do
                if wanted then
                    io.write("# ", told, "\n")
                end
                assert.equal(told, ours[i], "SEED=" .. seed)
            end
        end
    end)
end)
