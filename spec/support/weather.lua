-- Under script/bad-weather and `script/elsewhere storm`: which tests are spared what, and why. Kinds of weather are
-- those of test/weather/weather.h.

local world = require "support.world"

local weather = { is_bad = false } -- so it stays in the programs that specs start

-- File, a part of the test's full name ("" is all of the file), kinds, reason. Only tests whose very point is what one
-- call gets, or what the system does, are spared; the others are to make no such assumption (support.pieces).
-- over_tls: in SSOCKET_WORLD=tls alone.
weather.spared = {
    { "select", "", "spurious", "select passes on what the system says, and the tests believe it" },
    { "select_many", "", "spurious", "the same" },
    { "task_socket", "select beside tasks", "spurious", "the same" },
    { "misuse_state", "ends calls that wait in tasks", "spurious", "the same" },
    { "udp_joined", "make it readable for select", "spurious", "the same" },
    { "signals", "is readable for select", "spurious", "the same" },
    { "signals", "ends calls that wait when it is closed", "spurious", "the same" },
    { "task_socket", "what has come before a deadline", "false spurious eintr", "no try is left" },
    { "loop", "readable when a task can go on", "short false spurious", "it knows how many steps a line is" },
    { "loop", "waits in step for at most the time given", "spurious eintr", "a signal ends a step, a report too" },
    { "task", "need not wait", "short", "they would have to wait for the rest" },
    { "task_socket", "that is cut as one", "short", "pieces take more room than the buffer has, and nobody reads yet" },
    { "write", "time-out 0 sends what there is room for", "short", "what is cut had no room" },
    { "tls_findings", "half a ClientHello", "spurious short false", "select tells what the system says; one receive" },
    { "task_turn", "a read without time", "short false", "it is about what one call gets" },
    { "bounds", "1024 datagrams a call", "few", "it counts what one call gives" },
    { "pool", "", "false spurious", "what has come on a connection is asked once, and believed" },
    { "task_select", "", "spurious", "select passes on what the system says, and the tests believe it" },
    { "task_socket", "no time means at once", "false", "a poll of the handshake has told of it", over_tls = true },
    { "task_socket", "the end of a stream", "false", "close_notify goes at once or never", over_tls = true },
    { "task_socket", "over every kind of stream", "false", "close_notify goes at once or never", over_tls = true },
    { "task_socket", "in the turn in which", "false", "the write before must not wait", over_tls = true },
    { "task_socket", "among many floods", "false short", "who has to wait has a turn less", over_tls = true },
    { "task_socket", "gives the reader the end, in any order", "false", "the same", over_tls = true },
    { "finish", "has refused", "short", "a peer that is gone refuses the second piece at once" },
    { "tls", "is not finished when a write came too late", "short false", "the same; close_notify goes at once" },
    { "tls", "finished with a peer that has ended and is gone", "short", "the same, of close_notify" },
    { "tls", "ends each direction after", "short false", "close_notify goes at once and whole, or never" },
    { "tls", "when it is closed at once", "short false", "what has come is dropped in one receive" },
    { "tls_hostile", "waits for the rest of a record", "spurious", "select passes on what the system says" },
    { "tls_hostile", "does not make the peer lose", "short false", "the same" },
    { "tls", "ready in select when decrypted", "short false spurious", "it knows what one receive brings" },
    { "tls_hostile", "of nothing sends nothing", "spurious", "select passes on what the system says" },
    { "tls_keep", "waits for room", "false short", "what has no room for one call has for the next" },
    { "tls_keep", "is closed in between", "false short", "what has come is dropped in one receive" },
    { "passing", "is closed by readsome", "short", "it knows what one call gets" },
    { "seldom", "is not left on one that is given away", "refused", "to take the time back is refused" },
    { "passing", "hands a socket over, which is then", "refused", "the same" },
}

-- The same for the signals of `script/elsewhere storm`.
weather.calm = {
    { "loop", "waits in step for at most", "all", "a signal ends a step, which says so" },
}

-- Whether descriptors and memory may be lacking from now on, to the end of the test, if the weather is bad.
function weather.scarce(on)
    if weather.is_bad then
        require("badweather").scarce(on)
    end
end

-- An entry as a comment of TAP.
function weather.shown(entry)
    return "# spared " .. table.concat(entry, "; ")
end

local function matches(entry, file, name)
    return (world.in_tls or not entry.over_tls)
        and file:find("/" .. entry[1] .. "_spec.lua", 1, true)
        and name:find(entry[2], 1, true)
end

-- What of the list a test is spared, as one text. It is told: script/bad-weather wants each entry to spare somebody.
local function kinds_in(list, file, name)
    local kinds = {}
    for _, entry in ipairs(list) do
        if matches(entry, "/" .. file, name) then
            io.write(weather.shown(entry), "\n")
            if entry[3] == "all" then
                return "all"
            end
            kinds[#kinds + 1] = entry[3]
        end
    end
    return table.concat(kinds, " ")
end

local function file_of(busted, element)
    while element.descriptor ~= "file" do
        element = busted.parent(element)
    end
    return element.name
end

-- To be called by the output handler.
function weather.enter(busted, full_name)
    if not os.getenv "WEATHER" and not os.getenv "WEATHER_STORM" then
        return
    end
    local sky = require "badweather"
    weather.is_bad = os.getenv "WEATHER" ~= nil
    busted.subscribe({ "test", "start" }, function(element)
        local file, name = file_of(busted, element), full_name(element)
        sky.scarce(false)
        sky.spare(kinds_in(weather.spared, file, name))
        sky.storm(kinds_in(weather.calm, file, name) == "")
        return nil, true
    end)
end

return weather
