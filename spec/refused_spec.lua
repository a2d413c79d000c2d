-- The kernel refuses what it has not always had, as it does under an older profile of seccomp(2): everything works with
-- what is left. All specs under such a refusal: script/elsewhere refused.

local t = require "support.t"
local tools = require "support.tools"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "spec"

describe("a kernel that answers newer calls with", function()
    t.guard()

    -- EPERM is what Docker's and systemd's profiles have answered, ENOSYS what a kernel says that has no such call.
    for _, code in ipairs { "EPERM", "ENOSYS" } do
        for _, program in ipairs { "all_calls", "all_tasks" } do
            it(code .. " is enough for " .. program, function()
                if not t.sys.refuse then
                    return pending "no headers of seccomp here"
                end
                tools.run_lua(([[
                    local sys = require "testsys"
                    assert(sys.refuse(sys.%s))
                    dofile "%s/support/%s.lua"()
                ]]):format(code, here, program), 60)
            end)
        end
    end
end)
