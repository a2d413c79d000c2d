-- The names that LuaSec's ends tell each other: the server's at both ends, and the protocols above.

local t = require "support.t"
local luasec = require "support.luasec"

-- The results of a call, which must be these and no more.
local function gives(expected, ...)
    assert.same(t.pack((table.unpack or _G.unpack)(expected, 1, expected.n or #expected)), t.pack(...))
end

local function closed(...)
    for i = 1, select("#", ...) do
        local s = select(i, ...)
        s:close()
    end
end

luasec.each("names of LuaSec", function(socket, ssl)
    -- ---- names ----

    it("names the server", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        assert.is_nil(b:getsniname())
        gives({ n = 0 }, a:sni "a.test")
        assert.equal("a.test", a:getsniname())
        luasec.handshakes(socket, a, b)
        assert.equal("a.test", b:getsniname())
        closed(a, b)
    end)

    it("names nobody of itself", function()
        local a, b = luasec.pair(socket, ssl)
        assert.is_nil(a:getsniname())
        assert.is_nil(b:getsniname())
        closed(a, b)
    end)

    it("wants a name, or a table of contexts", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        assert.is_false(pcall(a.sni, a))
        assert.is_false(pcall(a.sni, a, {}))
        assert.is_false(pcall(b.sni, b))
        assert.is_false(pcall(b.sni, b, "a.test"))
        assert.is_false(pcall(b.sni, b, { ["a.test"] = "x" }))
        assert.is_false(pcall(b.sni, b, { ["a.test"] = luasec.server() }))
        closed(a, b)
    end)

    -- The certificate that a client gets for a name, or the errors of both.
    local function served(name, strict)
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        local other = assert(ssl.newcontext(luasec.server { certificate = "b.crt", key = "b.key" }))
        gives({ n = 0 }, b:sni({ ["b.test"] = other }, strict))
        if name then
            a:sni(name)
        end
        local first, second = luasec.handshakes(socket, a, b)
        local got = first[1] and luasec.name(a:getpeercertificate())
        closed(a, b)
        return got, first[2], second[2]
    end

    it("serves the certificate of the name", function()
        assert.equal("CN=b", (served "b.test"))
        assert.equal("CN=b", (served("b.test", true)))
        assert.equal("CN=a", (served "c.test"))
        assert.equal("CN=a", (served(nil, true)))
    end)

    it("refuses an unknown name where it is to be strict", function()
        local got, client, server = served("c.test", true)
        assert.is_false(got)
        assert.matches("unrecognized name$", client)
        assert.equal("callback failed", server)
    end)

    it("looks names up when the client has come", function()
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        local names = {}
        b:sni(names)
        a:sni "b.test"
        names["b.test"] = assert(ssl.newcontext(luasec.server { certificate = "b.crt", key = "b.key" }))
        names = nil
        t.collect()
        assert.is_nil(names)
        luasec.handshakes(socket, a, b)
        assert.equal("CN=b", luasec.name(a:getpeercertificate()))
        closed(a, b)
    end)

    it("looks names up as Lua does", function()
        local other = assert(ssl.newcontext(luasec.server { certificate = "b.crt", key = "b.key" }))
        local a, b = luasec.wrapped(socket, ssl, luasec.client(), luasec.server())
        local asked = {}
        b:sni(setmetatable({}, {
            __index = function(_, name)
                asked[#asked + 1] = name
                return other
            end,
        }))
        a:sni "any.test"
        luasec.handshakes(socket, a, b)
        assert.equal("CN=b", luasec.name(a:getpeercertificate()))
        assert.equal("any.test", asked[1])
        closed(a, b)
    end)

    it("serves names from contexts that it shares with others", function()
        local first = assert(ssl.newcontext(luasec.server()))
        local second = assert(ssl.newcontext(luasec.server { certificate = "b.crt", key = "b.key" }))
        local names = { ["a.test"] = first, ["b.test"] = second }
        for _, case in ipairs { { "a.test", second, "CN=a" }, { "b.test", first, "CN=b" }, { "x", second, "CN=b" } } do
            local a, b = luasec.wrapped(socket, ssl, luasec.client(), case[2])
            b:sni(names)
            a:sni(case[1])
            luasec.handshakes(socket, a, b)
            assert.equal(case[3], luasec.name(a:getpeercertificate()))
            closed(a, b)
        end
    end)

    -- ---- protocols above ----

    local function agreed(client, server)
        local a, b = luasec.pair(socket, ssl, luasec.client { alpn = client }, luasec.server { alpn = server })
        local of_a, of_b = a:getalpn(), b:getalpn()
        closed(a, b)
        assert.equal(of_a, of_b)
        return of_a
    end

    it("agrees on a protocol, by the server's order", function()
        assert.equal("y", agreed({ "x", "y" }, { "y", "x" }))
        assert.equal("x", agreed("x", { "y", "x" }))
        assert.is_nil(agreed({ "x" }, { "y" })) -- no overlap is no failure
        assert.is_nil(agreed(nil, { "y" }))
        assert.is_nil(agreed({ "x" }, nil))
        local long = ("x"):rep(255)
        assert.equal(long, agreed({ "y", long }, { long }))
    end)

    it("asks a function for the protocol", function()
        local asked = {}
        local function answer(with)
            return function(protocols)
                asked[#asked + 1] = protocols
                return with
            end
        end
        assert.equal("y", agreed({ "x", "y" }, answer "y"))
        assert.equal("x", agreed({ "x", "y" }, answer { "z", "x", "y" }))
        assert.is_nil(agreed({ "x", "yy" }, answer "z"))
        assert.is_nil(agreed({ "x" }, answer(nil)))
        assert.is_nil(agreed({ "x" }, answer(5)))
        assert.is_nil(agreed({ "x" }, answer {}))
        assert.is_nil(agreed({ "x" }, answer { "" }))
        assert.same({ { "x", "y" }, { "x", "y" }, { "x", "yy" }, { "x" }, { "x" }, { "x" }, { "x" } }, asked)
    end)
end)
