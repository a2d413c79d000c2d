-- Streams over TLS beside the same streams without: any calls in any order have the same results. Both directions at
-- once with new keys, little room, and the wire as a third one sees it.

local t = require "support.t"
local peer = require "support.peer"
local tasks = require "support.tasks"
local support = require "support.tls"

local socket = t.socket

if not support.is_built() then
    describe("streams over TLS", function()
        pending "is not built: OpenSSL is missing"
    end)
    return
end

local tls = require "ssocket.tls"

local prelude = assert(io.open "spec/support/tls_hostile.py")
local PRELUDE = prelude:read "*a"
prelude:close()

-- ---- the same calls with and without TLS ----

-- Numbers 1..n from one seed (Lehmer), the same on every Lua.
local function dice(seed)
    return function(n)
        seed = seed * 16807 % 2147483647
        return seed % n + 1
    end
end

local function random_text(pick, length)
    local letters = {}
    for i = 1, length do
        letters[i] = ({ "a", "a", "b", "\r", "\n", "\0" })[pick(6)]
    end
    return table.concat(letters)
end

local DELIMITERS = { "a", "aab", "\r\n", "\n", "\0", "aaba" }

-- Calls on one end, which are given the dice, and how many bytes are on their way to that end. They return what they
-- have written, and up to three results.
local calls = {}

function calls.write(s, pick)
    local data = random_text(pick, pick(pick(20) == 1 and 40000 or 40) - 1)
    return data, s:write(data)
end

function calls.write_array(s, pick)
    local pieces, total = {}, {}
    for i = 1, pick(6) do
        pieces[i] = random_text(pick, pick(10) - 1)
        total[i] = pieces[i]
    end
    return table.concat(total), s:write(pieces)
end

function calls.write_part(s, pick)
    local data = random_text(pick, 30)
    local i = pick(30)
    local j = i + pick(31 - i) - 1
    return data:sub(i, j), s:write(data, i, j)
end

function calls.read(s, pick)
    return "", s:read(pick(pick(10) == 1 and 50000 or 50) - 1)
end

-- As many as there are, in as many calls as that takes.
function calls.readsome(s, pick, left)
    local max, all = pick(60), {}
    local wanted, got = math.min(max, left), 0
    repeat
        local data, err = s:readsome(max - got)
        if not data then
            return "", table.concat(all), err
        end
        all[#all + 1], got = data, got + #data
    until got >= wanted
    return "", table.concat(all)
end

function calls.readuntil(s, pick)
    local limit = pick(3) == 1 and pick(20) or nil
    return "", s:readuntil(DELIMITERS[pick(#DELIMITERS)], pick(2) == 1, limit)()
end

function calls.readline(s, pick)
    return "", s:readline(pick(40))
end

function calls.readall(s, pick)
    return "", s:readall(pick(30))
end

-- Of as many as there are, at least one.
function calls.peek(s, pick)
    local data, err = s:peek(pick(20))
    return "", data and data:sub(1, 1), err
end

function calls.select(s)
    local reads, writes = socket.select({ s }, { s }, 0)
    return "", #reads, #writes
end

function calls.nothing(s)
    return "", s:write "", (s:read(0))
end

local kinds = {
    "write", "write", "write", "write_array", "write_part", "read", "read", "readsome", "readuntil", "readuntil",
    "readline", "readall", "peek", "select", "nothing",
}

-- More than that is not on its way, so that no write ever finds no room.
local MOST = 60000

-- The kinds and results of random calls on both ends. What is on its way to each end is counted with the delimiters
-- that a call has left out, and taken: there may be less.
local function run_calls(a, b, seed)
    local pick = dice(seed * 7919)
    local ends, left, said = { a, b }, { 0, 0 }, {}
    for step = 1, 200 do
        local i = pick(2)
        local kind = left[3 - i] > MOST and "read" or kinds[pick(#kinds)]
        local data, first, err, partial = calls[kind](ends[i], dice(seed * 31 + step), left[i])
        left[3 - i] = left[3 - i] + #data
        if kind:find "^read" then
            left[i] = left[i] - #(first or partial or "")
        end
        said[step] = { kind, first, err, partial }
    end
    return said
end

local function last_calls(a, b, said)
    said[#said + 1] = { "shutdown", a:shutdown(socket.SHUT_WR) }
    said[#said + 1] = { "the rest", b:readall() }
    said[#said + 1] = { "behind the end", b:read(1) }
    said[#said + 1] = { "a write behind the end", a:write "x" }
    said[#said + 1] = { "the other way", b:write "the last words" }
    said[#said + 1] = { "the end", b:shutdown(socket.SHUT_WR) }
    a:settimeout(5)
    said[#said + 1] = { "the other rest", a:readall() }
    said[#said + 1] = { "finish", a:finish() }
    said[#said + 1] = { "close", b:close() }
end

local function story_of(a, b, seed)
    a:settimeout(0)
    b:settimeout(0)
    local said = run_calls(a, b, seed)
    last_calls(a, b, said)
    a:close()
    return said
end

describe("any calls in any order", function()
    tasks.guard()
    support.certificates()

    for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
        it("have the same results as without TLS, " .. version, function()
            if t.bad_weather then
                return pending "calls without time get what the weather lets through"
            end
            local client = support.context { ca = "ca.pem", conf = { MaxProtocol = version } }
            local server = support.context { cert = "a.pem", sessions = 0 }
            for seed = 1, math.ceil(12 / t.slow) do
                local a, b = assert(socket.pair())
                local one, other = support.shake(a, b, client, server)
                assert.is_true(one[1] and other[1])
                local c, d = assert(socket.pair())
                local plain, sealed = story_of(c, d, seed), story_of(a, b, seed)
                for step = 1, #plain do
                    assert.same(plain[step], sealed[step], ("seed %d, step %d"):format(seed, step))
                end
                assert.equal(#plain, #sealed)
            end
        end)
    end
end)

-- ---- both directions ----

-- A server whose client is a Python peer with what tls_hostile.py has.
local function server_of(code, ...)
    local s, p = support.with_python(PRELUDE .. peer.dedent(code), ...)
    local ok, err, reason = tls.server(s, support.context { cert = "a.pem" })
    assert(ok, tostring(err) .. " " .. tostring(reason))
    return s, p
end

-- The same over a Unix socket, each end of which has room for a few KiB that nobody has read. (TCP with so little opens
-- its window seldom.)
local function narrow_server(code, ...)
    local listener, address = t.listener "unix"
    local p = support.python(
        PRELUDE .. [[
s = socket.socket(socket.AF_UNIX)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024)
s.connect(argv.pop(0))
]] .. peer.dedent(code),
        address:sub(6),
        ...
    )
    listener:settimeout(10)
    local s = assert(listener:accept())
    listener:close()
    s:settimeout(10)
    assert(s:setopt(socket.OPT_SNDBUF, 1024))
    local ok, err, reason = tls.server(s, support.context { cert = "a.pem" })
    assert(ok, tostring(err) .. " " .. tostring(reason))
    return s, p
end

local BLOCK = 65536

-- Writes so many bytes, in pieces of all sizes; returns their sum.
local function write_all(s, total)
    local data, pick, sum = t.random(BLOCK), dice(7), 0
    while total > 0 do
        local piece = data:sub(1, math.min(pick(BLOCK), total))
        assert(s:write(piece))
        sum, total = t.sys.crc32(piece, sum), total - #piece
    end
    return sum
end

local function read_all(s, total)
    local sum = 0
    while total > 0 do
        local data = assert(s:readsome(math.min(BLOCK, total)))
        sum, total = t.sys.crc32(data, sum), total - #data
    end
    return sum
end

describe("two tasks with one connection", function()
    tasks.guard()
    support.certificates()

    -- script/long-run has it with a GiB.
    it("write and read at once, while the peer changes its keys and asks for ours", function()
        local mib = tonumber(os.getenv "SSOCKET_BOTH_WAYS_MIB") or 16 / t.slow
        local total, limit = math.floor(mib * 1024 * 1024), 20 + mib
        local s, p = server_of(
            [[
            t = OpenSSL(s, TLS13)
            for sum in t.both_ways(int(argv[0]), 3): say(sum)
            hear()
        ]],
            ("%d"):format(total)
        )
        s:settimeout(limit)
        t.sys.watchdog(math.ceil(60 + limit * t.slow))
        local writer, reader = tasks.spawn(write_all, s, total), tasks.spawn(read_all, s, total)
        local written, read = tasks.join(writer, limit), tasks.join(reader, limit)
        assert.equal(read, p:number(limit))
        assert.equal(written, p:number(limit))
        p:say ""
        s:close()
        p:finish()
    end)

    it("do so with buffers of a few KiB, and keys for each record", function()
        local total = math.floor(512 * 1024 / t.slow)
        local s, p = narrow_server(
            [[
            t = OpenSSL(s, TLS13)
            for sum in t.both_ways(int(argv[0]), 1): say(sum)
            hear()
        ]],
            ("%d"):format(total)
        )
        s:settimeout(20)
        local writer, reader = tasks.spawn(write_all, s, total), tasks.spawn(read_all, s, total)
        local written, read = tasks.join(writer, 30), tasks.join(reader, 30)
        assert.equal(read, p:number(30))
        assert.equal(written, p:number(30))
        p:say ""
        s:close()
        p:finish()
    end)
end)

describe("a client that only writes", function()
    tasks.guard()
    support.certificates()

    -- Tickets and data find no room at all then: neither the handshake nor a read waits for it.
    for _, version in ipairs { "TLSv1_2", "TLSv1_3" } do
        it("is served, however little room there is, " .. version, function()
            local s, p = narrow_server(
                [[
                c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
                c.maximum_version = getattr(ssl.TLSVersion, argv[0])
                t = Tls(s, c, server_hostname="a.test"); t.shake(); t.flush()
                for _ in range(16): s.sendall(t.pack(b"x" * 16384))
                hear()
            ]],
                version
            )
            s:settimeout(0)
            local _, err, sent = s:write(("y"):rep(1024 * 1024))
            assert.equal(socket.ERROR_TIMEOUT, err)
            assert.is_true(sent > 0)
            s:settimeout(10)
            assert.is_true(("x"):rep(16 * 16384) == s:read(16 * 16384))
            p:say ""
            s:close()
            p:finish()
        end)
    end
end)
