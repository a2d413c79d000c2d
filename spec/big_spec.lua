-- Amounts that show what a short test does not: memory that grows, time that does, counters that overflow.
local t = require "support.t"

local KIB, MIB = 1024, 1024 * 1024
local GIB = math.floor(1024 * MIB / t.slow)

-- Memory can be judged where neither a sanitizer nor valgrind keeps what was freed.
local MEASURED = t.slow == 1

-- Sends a record over and over, in large blocks, until total bytes are gone.
local FEEDER = [[
    record = bytes.fromhex(argv[0]); total = int(argv[1])
    block = record * max(1, (1 << 20) // len(record))
    for i in range(total // len(block)): s.sendall(block)
    say(total // len(block) * len(block)); s.close()
]]

local function resident()
    t.collect()
    return t.status "VmRSS"
end

-- Calls next_record until it gives no data. Returns the bytes, and of each of four quarters the processor time that it
-- took and the resident memory at its end.
local function consume(total, next_record)
    local bytes, quarter, times, memory = 0, 1, {}, {}
    local started = os.clock()
    local data = next_record()
    while data do
        bytes = bytes + #data
        if bytes >= total / 4 * quarter then
            times[quarter] = os.clock() - started
            memory[quarter] = resident()
            started = os.clock()
            quarter = quarter + 1
        end
        data = next_record()
    end
    return bytes, times, memory
end

describe("1 GiB", function()
    t.guard()

    local record = ("x"):rep(1022) .. "\r\n"
    local ways = {
        ["readuntil, inclusive"] = function(s)
            return s:readuntil("\r\n", true)
        end,
        ["read of 1 KiB"] = function(s)
            return function()
                return s:read(KIB)
            end
        end,
        ["read of 256 KiB"] = function(s)
            return function()
                return s:read(256 * KIB)
            end
        end,
        ["readsome"] = function(s)
            return function()
                return s:readsome(64 * KIB)
            end
        end,
    }
    for name, way in pairs(ways) do
        it("by " .. name .. " takes no more memory and time at the end than at the beginning", function()
            local s, p = t.with_python(FEEDER, t.hex(record), GIB)
            local next_record = way(s)
            local bytes, times, memory = consume(GIB * 0.9, next_record)
            assert.is_true(bytes > GIB * 0.9)
            -- 225 MiB went through in between. What interpreters keep for their next strings is not ours.
            local grown = memory[4] - memory[3]
            assert.is_true(not MEASURED or grown < 32 * KIB, ("memory grew by %d KiB"):format(grown))
            assert.is_true(times[4] < times[1] * 3 + 0.2, ("%.2f s, then %.2f s"):format(times[1], times[4]))
            p:finish()
            s:close()
        end)
    end

    -- pitfall: strings over 2 GiB
    it("twice and more can be written in one call, and is counted", function()
        local s, p = t.with_python [[
            buffer = bytearray(1 << 20); total = 0
            while True:
                n = s.recv_into(buffer)
                if n == 0: break
                total += n
            say(total)
        ]]
        local pieces = {}
        local piece = t.random(MIB)
        for i = 1, math.floor(2100 / t.slow) do
            pieces[i] = piece
        end
        s:settimeout(60)
        local before = resident()
        t.reset_peak()
        assert.equal(#pieces * MIB, s:write(pieces))
        s:close()
        assert.equal(#pieces * MIB, p:number(60))
        assert.is_true(not MEASURED or t.status "VmHWM" - before < 16 * KIB, "the pieces were put together")
        p:finish()
    end)
end)

-- Why some resident memory is judged in the main program only: the same code receives in both.
local FRAGMENTS = "the C library keeps freed memory below what the loop has got since"

describe("one long record", function()
    t.guard()

    -- A record of size bytes that comes in pieces of a few KiB, since the sender's buffer holds no more.
    -- Returns it and the processor time that it took.
    local function received(size, filling, delimiter)
        local listener, address = t.listener "unix"
        local p = t.python(
            [[
            s = socket.socket(socket.AF_UNIX); s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            s.connect(argv[0]); s.sendall(argv[1].encode() * int(argv[2]) + argv[3].encode())
            hear()
            ]],
            address:sub(6),
            filling,
            ("%d"):format(size),
            delimiter
        )
        local s = assert(listener:accept())
        listener:close()
        s:settimeout(60)
        local started = os.clock()
        local data = assert(s:readuntil(delimiter)())
        return data, os.clock() - started, s, p
    end

    local size = math.ceil(16 / t.slow) * MIB

    for name, case in pairs {
        ["without a trace of its delimiter"] = { "x", "the end" },
        ["of starts of its delimiter"] = { "a", ("a"):rep(700) .. "b" },
    } do
        -- pitfall: rescanning the whole buffer for each piece
        it(name .. " costs as much for each byte as a short one", function()
            local data, short, s, p = received(size / 16, case[1], case[2])
            assert.equal(size / 16, #data)
            p:kill()
            s:close()
            local long
            data, long, s, p = received(size, case[1], case[2])
            assert.equal(size, #data)
            assert.is_true(long < short * 16 * 4 + 0.5, ("%.3f s, a 16th of it %.3f s"):format(long, short))
            p:kill()
            s:close()
        end)
    end

    -- pitfall: buffers that never shrink (60 MB kept after one big read)
    it("leaves no memory behind in its socket", function()
        t.only_in_main(FRAGMENTS)
        local before = resident()
        local data, _, s, p = received(size, "x", "\n")
        assert.equal(size, #data)
        data = nil -- luacheck: ignore
        assert.is_true(not MEASURED or resident() - before < 8 * KIB, "the buffer stays large")
        p:kill()
        s:close()
    end)

    it("that is read by its size is held twice at most", function()
        t.only_in_main(FRAGMENTS)
        local s, p = t.with_python(FEEDER, t.hex "0123456789abcdef", 4 * size)
        local before = resident()
        t.reset_peak()
        assert.equal(4 * size, #assert(s:read(4 * size)))
        assert.is_true(not MEASURED or t.status "VmHWM" - before < 2 * 4 * size / KIB + 8 * KIB, "it is held too often")
        p:finish()
        s:close()
    end)
end)
