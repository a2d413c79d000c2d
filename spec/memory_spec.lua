-- Programs around the module: one in which each allocation fails in its turn, ones with Lua states in threads.

local t = require "support.t"
local support = require "support.tls"
local tools = require "support.tools"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "spec"

local function run(name, script, ...)
    return tools.run({ tools.build .. "/host_" .. name, here .. "/support/" .. script, ... }, 60 * t.slow)
end

local function run_host(name, script, ...)
    return run(name, script, tools.module, ...)
end

-- How many allocations in a row fail. Since 5.2 Lua collects garbage and tries again before it gives up.
local retries = not jit and _VERSION ~= "Lua 5.1"
-- The thread sanitizer takes minutes for all of them: there each seventh fails.
local step = tostring(t.slow >= 4 and 7 or 1)
local modes = retries and { "one", "one and its repetition", "all that follow" } or { "one", nil, "all that follow" }

describe("when memory fails", function()
    t.guard()

    for mode = 1, 3 do
        if modes[mode] then
            it("at any allocation, " .. modes[mode] .. ", no call loses bytes, descriptors or memory", function()
                local said, how, status = run_host("oom", "all_calls.lua", tostring(mode % 3), "0", step)
                if status == 3 then -- LuaJIT without GC64: pointers must lie low, which only its own allocator knows
                    return pending(said)
                end
                assert.same({ "exit", 0 }, { how, status }, said)
                local allocations, given_up = said:match "(%d+) allocations, (%d+) given up"
                assert.is_true(tonumber(allocations) > 200, said)
                -- Only what the script itself allocates may end it while a second try would find memory.
                assert.is_true(mode == 3 or tonumber(given_up) < 30, said)
            end)
        end
    end

    -- Not with all that follow: without a byte left Lua itself can't call finalizers, and forgets what they were to
    -- free.
    for mode = 1, 2 do
        if modes[mode] then
            it("at any allocation, " .. modes[mode] .. ", tasks and look-ups end and lose nothing", function()
                local said, how, status = run("oom", "all_tasks.lua", "-", tostring(mode), "0", step)
                if status == 3 then
                    return pending(said)
                end
                assert.same({ "exit", 0 }, { how, status }, said)
                local allocations, given_up = said:match "(%d+) allocations, (%d+) given up"
                assert.is_true(tonumber(allocations) > 200, said)
                assert.equal(0, tonumber(given_up), said) -- all works again once there is memory
            end)
        end
    end

    it("for good, a task ends as failed when its results cannot be made, and the others go on", function()
        local said, how, status = run_host("oom", "lasting.lua", "-2000000", "1")
        if status == 3 then
            return pending(said)
        end
        assert.same({ "", "exit", 0 }, { said, how, status })
    end)
end)

describe("Lua states in threads of their own", function()
    t.guard()

    for _, n in ipairs { 2, 8 } do
        it("work at once without knowing of each other, " .. n .. " of them", function()
            local rounds = math.ceil((t.slow > 1 and 10 or 80) / n)
            local said, how, status = run_host("threads", "threads.lua", tostring(rounds), tostring(n))
            assert.same({ "", "exit", 0 }, { said, how, status })
        end)
    end
end)

if support.is_built() then
    -- A program of test/host with certificates, and with all of the module.
    local function run_with_tls(limit, name, script, ...)
        local program = { "env", "SSOCKET_CERTIFICATES=" .. support.dir, tools.build .. "/host_" .. name }
        program[#program + 1] = here .. "/support/" .. script
        program[#program + 1] = tools.build .. "/?.so"
        for i = 1, select("#", ...) do
            program[#program + 1] = (select(i, ...))
        end
        return tools.run(program, limit)
    end

    describe("when memory fails, over TLS,", function()
        t.guard()
        support.certificates()

        -- Not with all that follow, as above. Each run has two handshakes; script/torture fails each allocation.
        for mode = 1, 2 do
            if modes[mode] then
                it("at any allocation, " .. modes[mode] .. ", calls lose neither memory nor descriptors", function()
                    local each = os.getenv "SSOCKET_TLS_STEP" or tostring(t.slow > 1 and 67 or 17)
                    t.sys.watchdog(600)
                    local said, how, status = run_with_tls(580, "oom", "tls_calls.lua", tostring(mode), "0", each)
                    if status == 3 then
                        return pending(said)
                    end
                    assert.same({ "exit", 0 }, { how, status }, said)
                    local allocations, given_up = said:match "(%d+) allocations, (%d+) given up"
                    assert.is_true(tonumber(allocations) > 100, said)
                    assert.equal(0, tonumber(given_up), said)
                end)
            end
        end
    end)

    describe("Lua states in threads of their own, over TLS,", function()
        t.guard()
        support.certificates()

        -- script/long-run has a thousand states.
        for _, n in ipairs { 2, 8 } do
            it("shake hands with each other and with themselves, " .. n .. " of them", function()
                local states = tonumber(os.getenv "SSOCKET_STATES") or (t.slow > 1 and 16 or 40)
                local rounds = ("%d"):format(math.ceil(states / n))
                t.sys.watchdog(math.ceil(60 * t.slow + states))
                local limit = 60 * t.slow + states
                local said, how, status = run_with_tls(limit, "threads", "tls_threads.lua", rounds, tostring(n))
                assert.same({ "", "exit", 0 }, { said, how, status })
            end)
        end
    end)
end
