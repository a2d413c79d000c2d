-- What the specs on datagrams, addresses, options and misuse need beyond support.t.

local t = require "support.t"
local world = require "support.world"

local tools = {}

local load_text = _G.loadstring or load
tools.unpack = table.unpack or _G.unpack
tools.nan = 0 / 0

-- ---- calls by name ----

-- Written out as a program would write them: only then does Lua know what to call the function in its messages.
-- The call is not in tail position for the same reason.
local callers = {}

local function caller(form, name)
    local text = form:format(name)
    callers[text] = callers[text] or assert(load_text(text))
    return callers[text]
end

-- on:name(...)
function tools.method(on, name, ...)
    return caller("local on = ...; local a, b, c = on:%s(select(2, ...)); return a, b, c", name)(on, ...)
end

-- on.name(...), where `on` is the module, or a socket whose method is called on something else
function tools.field(on, name, ...)
    return caller("local on = ...; local a, b, c = on.%s(select(2, ...)); return a, b, c", name)(on, ...)
end

-- A call as text, for messages.
function tools.show(name, args)
    local shown = {}
    for i = 1, args.n or #args do
        local v = args[i]
        local short = tostring(type(v) == "table" and "table" or v):sub(1, 60)
        shown[i] = type(v) == "string" and ("%q"):format(short) or short
    end
    return name .. "(" .. table.concat(shown, ", ") .. ")"
end

-- how(on, name, args...) must raise Lua's error about argument number `position` of `name` (nil: of any argument),
-- with `text` in the message.
function tools.misuse(how, on, name, position, args, text)
    local ok, message = pcall(how, on, name, tools.unpack(args, 1, args.n or #args))
    local call = tools.show(name, args)
    assert(not ok, call .. " is taken")
    assert(type(message) == "string", call .. " raises no text")
    local at, whom = message:match "bad argument #(%d+) to '([^']*)'"
    assert(at and whom:match "[%w_]+$" == name, call .. " raises: " .. message)
    assert(not position or tonumber(at) == position, call .. " blames another argument: " .. message)
    assert(not text or message:find(text, 1, true), call .. " says something else: " .. message)
end

-- f(case) for each case; a failure tells which.
function tools.each(cases, f)
    for i = 1, cases.n or #cases do
        local case = cases[i]
        local ok, err = pcall(f, case)
        if not ok then
            local shown = type(case) == "table" and tools.show("", case) or tools.show("", { case })
            error(("case %d, %s: %s"):format(i, shown, tostring(type(err) == "table" and err.message or err)), 0)
        end
    end
end

-- ---- numbers ----

-- Since Lua 5.3 numbers have a kind; before, every integral number counts.
function tools.is_integer(n)
    if math.type then
        return math.type(n) == "integer"
    end
    return type(n) == "number" and n == math.floor(n)
end

-- The numbers that this system's C headers give to names, as Python knows them.
function tools.python_constants(names)
    local p = t.python([[
        for name in argv: say(getattr(socket, name, "none"))
    ]], tools.unpack(names))
    local numbers = {}
    for _, name in ipairs(names) do
        numbers[name] = tonumber(p:line())
    end
    p:finish()
    return numbers
end

-- ---- the system ----

local proc = io.open "/proc/self/status"
tools.on_linux = proc ~= nil
if proc then
    proc:close()
end

-- ---- other programs ----

-- Where the module and the host programs are, and the module's file.
tools.build = os.getenv "SSOCKET_BUILD"
tools.module = tools.build .. "/ssocket.so"

-- Calls f while a peer sends this process a signal each millisecond, which is handled without and with SA_RESTART;
-- again and again, until a few signals have come, however busy the machine is.
function tools.amid_signals(f)
    local sys = t.sys
    for _, kind in ipairs { "count", "count_restart" } do
        sys.disposition(sys.SIGUSR1, kind)
        local p = t.python([[
            say("ready")
            while not select.select([sys.stdin], [], [], 0.001)[0]: os.kill(int(argv[0]), int(argv[1]))
        ]], sys.getpid(), sys.SIGUSR1)
        assert(p:line() == "ready")
        local seen, tries = 0, 0
        repeat
            f()
            seen, tries = seen + sys.caught(), tries + 1
        until seen >= 5 or tries == 50
        assert(seen >= 5, "no signals came")
        p:eof()
        p:finish()
        sys.disposition(sys.SIGUSR1, "default")
    end
end

-- Runs argv to its end: what it said on both streams, and how it ended ("exit", 0).
function tools.run(argv, limit)
    local p = t.spawn(argv, true)
    local said = p:rest(limit)
    local how, code = t.sys.wait(p.pid, limit or 10)
    p:forget()
    return said, how, code
end

-- Runs Lua code in a process of its own, which must succeed; returns what it said on both streams.
function tools.run_lua(code, limit)
    local argv = { "sh", "-c", "exec " .. os.getenv "SSOCKET_LUA" .. ' -e "$0"', world.prelude .. code }
    local said, how, status = tools.run(argv, limit)
    assert(how == "exit" and status == 0, said)
    return said
end

return tools
