-- Sockets with a layer over the descriptor, as TLS is one, in a program that has a simple one (test/host/layers.c).

local t = require "support.t"
local tools = require "support.tools"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "spec"
local script = here .. "/support/layers.lua"

describe("with a layer over the descriptor", function()
    t.guard()

    for _, name in ipairs(assert(loadfile(script))()) do
        it(name, function()
            local said, how, status = tools.run({ tools.build .. "/host_layers", script, name }, 60 * t.slow)
            assert.same({ "", "exit", 0 }, { said, how, status })
        end)
    end
end)
