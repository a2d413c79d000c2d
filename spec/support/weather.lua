-- Under script/bad-weather and script/signal-storm: which tests are spared what, and why. Kinds of weather are those of
-- test/weather/weather.h.

local weather = {}

-- File, a part of the test's full name ("" is all of the file), kinds, reason.
weather.spared = {
    { "select", "", "spurious false", "select passes on what the system says, and the tests believe it" },
    { "select_many", "", "spurious false", "the same" },
    { "task_socket", "select", "spurious false", "the same" },
    { "task_socket", "each of many", "short spurious false", "the same; its readsome leaves nothing for later" },
    { "task_socket", "readsome", "short", "it begins with a readsome that is to take all there is" },
    { "task_socket", "no second reader", "short false", "its timeout is 0, or it knows what a readsome gets" },
    { "task_memory", "100,000 calls", "spurious false", "it selects" },
    { "task_memory", "10,000 waiting tasks", "spurious false", "the same" },
    { "udp_many", "recvmany takes", "few", "it counts what one call gives" },
    { "udp_many", "recvmany gives", "few", "the same" },
    { "udp_many", "recvmany says that something was cut", "few", "the same" },
    { "udp_many", "sends strings and numbers in order", "few", "the same" },
    { "udp_many", "how far it came when one can not be sent", "few", "the same" },
    { "udp_joined", "that Python has joined", "few", "the same" },
    { "udp_joined", "how many went out before one that can not", "few", "the same" },
    { "udp_joined", "are not lost by detach", "few", "the same" },
    { "udp_joined", "are single for", "few", "the same" },
    { "udp_joined", "make it readable for select", "spurious false", "select passes on what the system says" },
    { "clock", "select", "spurious", "the same" },
    { "task", "task:cancel ends select", "spurious", "the same" },
    { "task", "instead of select", "spurious", "the same" },
    { "seldom", "is not left on one that is given away", "refused", "to take the time back is refused" },
    { "loop", "", "spurious eintr", "a step may end when nothing was there, and readiness is what is tested" },
    { "loop", "readable when a task can go on", "short false", "it knows how many steps a line takes" },
    { "task", "need not wait", "short false", "they would have to wait for the rest" },
    { "write", "time-out 0 sends what there is room for", "short", "what is cut had no room" },
    { "timeout", "enough for readsome", "short", "it knows what a readsome gets" },
    { "deadline", "flooded", "short", "to take a flood by the byte is slow, and the bound is tight" },
    { "misuse", "", "short", "it knows what a readsome gets" },
    { "readsome_readall", "readsome returns what is there", "short", "the same" },
    { "task_socket", "other end gives the reader the end", "short", "the same" },
    { "task_socket", "that is cut as one", "short", "pieces take more room than the buffer has, and nobody reads yet" },
    { "task_socket", "leaves calls alone that never wait", "spurious false", "it selects" },
    { "bounds", "1024 datagrams a call", "few", "it counts what one call gives" },
}

-- The same for the signals of script/signal-storm.
weather.calm = {
    { "loop", "waits in step for at most", "all", "a signal ends a step, which says so" },
}

local function matches(entry, file, name)
    return file:find("/" .. entry[1] .. "_spec.lua", 1, true) and name:find(entry[2], 1, true)
end

-- What of the list a test is spared, as one text.
local function kinds_in(list, file, name)
    local kinds = {}
    for _, entry in ipairs(list) do
        if matches(entry, "/" .. file, name) then
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
    busted.subscribe({ "test", "start" }, function(element)
        local file, name = file_of(busted, element), full_name(element)
        sky.spare(kinds_in(weather.spared, file, name))
        sky.storm(kinds_in(weather.calm, file, name) == "")
        return nil, true
    end)
end

return weather
