-- What script/fuzz has found stays found: random calls of everything, with the seeds that are kept.

local t = require "support.t"
local tools = require "support.tools"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "spec"
local fuzz = here .. "/../test/fuzz/"

describe("random calls of the whole module", function()
    t.guard()

    it("keep every promise about bytes, datagrams, values, tasks and descriptors", function()
        local command = { "sh", "-c", 'exec $0 "$@"', os.getenv "SSOCKET_LUA", fuzz .. "calls.lua" }
        command[#command + 1] = fuzz .. "corpus/calls/seeds"
        local said, how, status = tools.run(command, 100 * t.slow)
        assert.same({ "exit", 0 }, { how, status }, said:sub(-3000))
        assert.is_true(tonumber(said:match "(%d+) passed, 0 failed") >= 50, said:sub(-3000))
    end)

    -- Small programs, each in a state of its own, that once crashed, hung or left something.
    it("and programs that once broke it end well", function()
        local command = { tools.build .. "/host_programs", tools.build .. "/?.so" }
        for name in tools.run({ "ls", fuzz .. "corpus/programs" }, 10):gmatch "[%w_]+%.lua" do
            command[#command + 1] = fuzz .. "corpus/programs/" .. name
        end
        local said, how, status = tools.run(command, 100 * t.slow)
        assert.same({ "exit", 0 }, { how, status }, said:sub(-3000))
        assert.is_true(tonumber(said:match "(%d+) passed, 0 failed") >= 9, said:sub(-3000))
    end)
end)
