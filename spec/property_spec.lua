-- Every delimiter with every split of the stream, against a model that is too simple to be wrong.
local t = require "support.t"
local new_model = require "support.model"
local socket = t.socket

local TIMEOUT, CLOSED, LIMIT = socket.ERROR_TIMEOUT, socket.ERROR_CLOSED, socket.ERROR_LIMIT

-- ---- the runs ----

-- Fails with the whole story unless both gave the same.
local function same(story, a, b)
    if a[1] ~= b[1] or a[2] ~= b[2] or a[3] ~= b[3] then
        local text = {}
        for _, results in ipairs { a, b } do
            for i = 1, 3 do
                text[#text + 1] = results[i] and t.show(results[i]) or "nil"
            end
        end
        error(("%s: model %s %s %s, socket %s %s %s"):format(story, (table.unpack or unpack)(text)), 0) -- luacheck: ignore
    end
end

-- Sends the pieces one after the other and calls until there is nothing, before each piece and at the end.
-- `call` makes one call on the model or on the socket.
local function run(story, pieces, call)
    local s, wire = t.wire()
    local model = new_model()
    s:settimeout(0)
    local function drain()
        repeat
            local expected = { call(model) }
            same(story, expected, { call(s) })
        until expected[2] == TIMEOUT or expected[2] == CLOSED
    end
    for _, piece in ipairs(pieces) do
        drain()
        wire:send(piece)
        model.bytes = model.bytes .. piece
    end
    drain()
    wire:close()
    model.ended = true
    drain()
    s:close()
end

-- The iterator of a model is its function; that of a socket is made once for each socket.
local function reader(delimiter, inclusive, max)
    local of, iterator
    return function(from)
        if type(from) == "table" then
            return from:readuntil(delimiter, inclusive, max)
        elseif of ~= from then
            of, iterator = from, from:readuntil(delimiter, inclusive, max)
        end
        return iterator()
    end
end

-- All ways to cut: in two at each place, and in equal pieces of each size.
local function each_cut(stream, f)
    for at = 1, #stream - 1 do
        f { stream:sub(1, at), stream:sub(at + 1) }
    end
    for size = 1, #stream do
        local pieces = {}
        for at = 1, #stream, size do
            pieces[#pieces + 1] = stream:sub(at, at + size - 1)
        end
        f(pieces)
    end
end

-- All words over a and b of one length.
local function words(length)
    local all = { "" }
    for _ = 1, length do
        local longer = {}
        for _, word in ipairs(all) do
            longer[#longer + 1] = word .. "a"
            longer[#longer + 1] = word .. "b"
        end
        all = longer
    end
    return all
end

describe("readuntil agrees with the model", function()
    t.guard()

    for _, delimiter in ipairs { "a", "aa", "ab", "aab", "aba", "abab", "aabaa" } do
        it("for " .. delimiter .. " in all words over a and b of up to 7 letters, however cut", function()
            for length = 1, t.slow > 1 and 4 or 7 do
                for i, word in ipairs(words(length)) do
                    local inclusive, max = i % 2 == 0, i % 3 == 0 and 2 or nil
                    each_cut(word, function(pieces)
                        local story = ("%s in %s"):format(delimiter, table.concat(pieces, "|"))
                        run(story, pieces, reader(delimiter, inclusive, max))
                    end)
                end
            end
        end)
    end

    local streams = {
        { "\r\n", "one\r\n\r\ntwo\r\r\n\nlast\r" },
        { "ABAC", "ABABACABAABACxABA" },
        { "aab", "aaabaaaabaabaa" },
        { "\0\0", "\0a\0\0\0\0b\0" },
        { "--end--", "----end----end--end--en" },
        { "aaaaaaaa", ("a"):rep(7) .. "b" .. ("a"):rep(17) },
        { "x", "xx1x22x333xxx" },
        { ("ab"):rep(8) .. "c", ("ab"):rep(11) .. "cab" .. ("ab"):rep(9) .. "c" },
    }
    for _, case in ipairs(streams) do
        for _, inclusive in ipairs { false, true } do
            local how = inclusive and "inclusive" or "exclusive"
            it(("for %s in %s, %s, however cut and limited"):format(t.show(case[1]), t.show(case[2]), how), function()
                for _, max in ipairs { false, 1, 2, 3, 7, 20 } do
                    each_cut(case[2], function(pieces)
                        local story = ("max %s, %d pieces, first %s"):format(tostring(max), #pieces, t.show(pieces[1]))
                        run(story, pieces, reader(case[1], inclusive, max or nil))
                    end)
                end
            end)
        end
    end
end)

-- ---- calls of all kinds, mixed ----

-- Numbers 1..n from one seed (Lehmer), the same on every Lua.
local function dice(seed)
    return function(n)
        seed = seed * 16807 % 2147483647
        return seed % n + 1
    end
end

-- A random call that can be made on the model as well as on a socket.
local function random_call(pick, delimiters)
    local kind = pick(10)
    if kind <= 2 then
        local size = pick(12) - 1
        return "read " .. size, function(from)
            return from:read(size)
        end
    elseif kind == 3 then
        local max = pick(12)
        return "readsome " .. max, function(from)
            return from:readsome(max)
        end
    elseif kind == 4 then
        local max = pick(2) == 1 and pick(20) or nil
        return "readall " .. tostring(max), function(from)
            return from:readall(max)
        end
    end
    local delimiter, inclusive = delimiters[pick(#delimiters)], pick(2) == 1
    local max = pick(3) == 1 and pick(15) or nil
    return ("readuntil %s %s %s"):format(t.show(delimiter), tostring(inclusive), tostring(max)),
        reader(delimiter, inclusive, max)
end

local function random_stream(pick, length)
    local letters = {}
    for i = 1, length do
        letters[i] = ({ "a", "a", "b", "\r", "\n", "\0" })[pick(6)]
    end
    return table.concat(letters)
end

describe("all reading calls mixed at random agree with the model", function()
    t.guard()

    local delimiters = { "a", "aa", "aab", "abaa", "\r\n", "\n", "\0", "a\r\n", "aaba" }
    for seed = 1, 40 do
        it("with seed " .. seed, function()
            local pick = dice(seed * 7919)
            local s, wire = t.wire()
            s:settimeout(0)
            local model = new_model()
            local story = {}
            for step = 1, 300 do
                if pick(3) == 1 and step < 290 then
                    local piece = random_stream(pick, pick(30))
                    wire:send(piece)
                    model.bytes = model.bytes .. piece
                end
                if step == 290 then
                    wire:close()
                    model.ended = true
                end
                local name, call = random_call(pick, delimiters)
                story[#story + 1] = name
                local results = { call(s) }
                if name:find "readsome" and results[1] then -- any number of bytes will do
                    assert.is_true(#results[1] > 0 and #results[1] <= tonumber(name:match "%d+"))
                    call = function()
                        return model:read(#results[1])
                    end
                end
                same(table.concat(story, ", ", math.max(1, #story - 5)), { call(model) }, results)
                assert.is_true(s:pending() <= #model.bytes)
            end
            s:close()
        end)
    end
end)

describe("nothing is lost over TCP", function()
    t.guard()

    it("when results, partials and delimiters are put end to end, whatever the pauses", function()
        local s, p = t.with_python [[
            import random
            random.seed(3)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = bytes(random.choice(b"aab\r\n") for i in range(60000))
            at = 0
            while at < len(data):
                n = random.choice([1, 2, 3, 50, 1500]); s.sendall(data[at:at + n]); at += n
                if random.random() < 0.1: time.sleep(0.001)
            s.close(); say(digest(data))
        ]]
        local pick = dice(5)
        local delimiters = { "\r\n", "aab", "aaa", "b" }
        local got = {}
        local finished
        repeat
            s:settimeout(({ 0, 0.0002, 0.003, 1 })[pick(4)])
            local data, err, partial
            if pick(3) == 1 then
                data, err, partial = s:read(pick(100))
            else
                local delimiter = delimiters[pick(4)]
                local inclusive = pick(2) == 1
                data, err, partial = s:readuntil(delimiter, inclusive, pick(2) == 1 and 40 or nil)()
                data = data and (inclusive and data or data .. delimiter)
            end
            got[#got + 1] = data or partial
            finished = err == CLOSED
            assert.is_true(data ~= nil or err == TIMEOUT or err == LIMIT or finished, err)
        until finished
        assert.equal(p:number(), t.sys.crc32(table.concat(got)))
        p:finish()
        s:close()
    end)
end)
