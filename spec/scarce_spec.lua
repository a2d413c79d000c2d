-- Descriptors and memory that the system does not have: EMFILE, ENFILE, ENOBUFS, ENOMEM. A program is told, and makes
-- its call again; nothing is lost or doubled by that. In fair weather nothing is scarce here (what the system itself
-- says when descriptors run out is in bounds_spec); script/bad-weather lets it come by seed.

local t = require "support.t"
local tasks = require "support.tasks"
local weather = require "support.weather"

local socket = t.socket

local SCARCE = {
    [t.text "EMFILE"] = true,
    [t.text "ENFILE"] = true,
    [t.text "ENOBUFS"] = true,
    [t.text "ENOMEM"] = true,
}

local told

-- Counts what was told of scarcity; anything else is a failure.
local function note(err)
    if not SCARCE[err] then
        error(tostring(err), 0)
    end
    told = told + 1
end

-- s[name](s, ...) until it has succeeded.
local function try(s, name, ...)
    local value, err = s[name](s, ...)
    while value == nil do
        note(err)
        value, err = s[name](s, ...)
    end
    return value
end

local function write(s, data)
    local done, err, sent = s:write(data)
    while not done do
        note(err)
        data = data:sub(sent + 1)
        done, err, sent = s:write(data)
    end
end

-- What f(how much is there already) gives in one or several calls.
local function gather(f)
    local got = ""
    local data, err, partial = f(0)
    while not data do
        note(err)
        got = got .. partial
        data, err, partial = f(#got)
    end
    return got .. data
end

local function read(s, n)
    return gather(function(there)
        return s:read(n - there)
    end)
end

local function pair()
    local a, b = socket.pair()
    while not a do
        note(b)
        a, b = socket.pair()
    end
    a:settimeout(10)
    b:settimeout(10)
    return a, b
end

local function scarcely(title, f)
    tasks.everywhere(title, function()
        told = 0
        weather.scarce(true)
        f()
        weather.scarce(false)
        assert.equal(weather.is_bad, told > 0)
    end)
end

describe("where descriptors and memory are scarce", function()
    tasks.guard()

    scarcely("a stream loses and doubles nothing", function()
        local data = t.random(200000, 7)
        for i = 1, 20 do
            local a, b = pair()
            local writer = tasks.spawn(function()
                write(a, data)
                write(a, "a line\nand more\n")
                a:close()
            end)
            assert.equal(data, read(b, #data))
            local each = b:readuntil "\n"
            local function next_line()
                return each()
            end
            assert.equal("a line", gather(next_line), i)
            assert.equal("and more", gather(next_line))
            b:close()
            tasks.join(writer)
        end
    end)

    scarcely("every connection is made and accepted, once", function()
        local listener = socket.tcp()
        try(listener, "bind", "127.0.0.1", 0)
        try(listener, "listen")
        listener:settimeout(10)
        local address = listener:getsockname()
        local server = tasks.spawn(function()
            for _ = 1, 100 do
                local client = try(listener, "accept")
                client:settimeout(10)
                write(client, read(client, 5):reverse())
                client:close()
            end
        end)
        for i = 1, 100 do
            local s = socket.tcp()
            s:settimeout(10)
            try(s, "connect", address)
            local text = ("%05d"):format(i)
            write(s, text)
            assert.equal(text:reverse(), read(s, 5))
            s:close()
        end
        tasks.join(server)
        listener:close()
    end)

    scarcely("every datagram comes once, in order", function()
        local u, v = socket.udp(), socket.udp()
        try(u, "bind", "127.0.0.1", 0)
        u:settimeout(10)
        local address = u:getsockname()
        for i = 1, 200 do
            try(v, "sendto", tostring(i), address)
            assert.equal(tostring(i), try(u, "recv"))
        end
        try(v, "connect", address)
        for round = 1, 20 do
            local list, got = {}, {}
            for i = 1, 30 do
                list[i] = round .. " " .. i
            end
            local first = 1
            while first <= #list do
                local count, err, sent = v:sendmany({ (table.unpack or unpack)(list, first) }) -- luacheck: ignore
                if not count then
                    note(err)
                end
                first = first + (count or sent)
            end
            while #got < #list do
                local some, _, err = u:recvmany(30, 100)
                if not some then
                    note(err)
                end
                for _, datagram in ipairs(some or {}) do
                    got[#got + 1] = datagram
                end
            end
            assert.same(list, got)
        end
        u:close()
        v:close()
    end)
end)
