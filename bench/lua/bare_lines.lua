-- The floor for lines in Lua: a loop in C around memchr and lua_pushlstring, and the same with one call a line.
local contest = require "contest"
local meter = require "meter"
local lines = require "lines_module"

local work = {}

function work.lines(host, port, n, _, delimiter)
    local reader = lines.open(host, port, delimiter == "\r\n")
    meter.start()
    reader:skip(n)
    meter.stop(n)
end

function work.lines_called(host, port, n, _, delimiter)
    local reader = lines.open(host, port, delimiter == "\r\n")
    local next_line = reader.next
    meter.start()
    for _ = 1, n do
        local line = next_line(reader)
        if not line then error "no line" end
    end
    meter.stop(n)
end

contest.run(work)
