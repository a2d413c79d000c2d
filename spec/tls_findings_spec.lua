-- ssocket.tls for those who judge by themselves: all that verification finds, anchors and purposes, both Finished
-- messages, and a ClientHello that is not there yet.

local t = require "support.t"
local tasks = require "support.tasks"
local support = require "support.tls"

local socket = t.socket

if not support.is_built() then
    describe("what a program judges by itself", function()
        pending "is not built: OpenSSL is missing"
    end)
    return
end

local tls = require "ssocket.tls"

local function close(...)
    for _, s in ipairs { ... } do
        s:close()
    end
end

-- Both ends of a handshake, and the results of the client and of the server.
local function shake(client, server, name)
    local a, b = assert(socket.pair())
    return a, b, support.shake(a, b, support.context(client), support.context(server), name)
end

-- What the client knows of a server that it has talked to.
local function info_of(client, server, name)
    local a, b, first, second = shake(client, server, name)
    assert.is_true(first[1], tostring(first[3]))
    assert.is_true(second[1], tostring(second[3]))
    local info = tls.info(a)
    close(a, b)
    return info
end

describe("what a program judges by itself", function()
    tasks.guard()
    support.certificates()

    it("is all that verification has found", function()
        local info = info_of({ ca = "ca.pem", verify = "report" }, { cert = "client.pem" }, "b.test")
        assert.is_true(#info.errors >= 2)
        assert.equal(info.unverified, info.errors[1])
        local list = table.concat(info.errors, "\n")
        assert.is_truthy(list:find("certificate purpose (depth 0)", 1, true), list)
        assert.is_truthy(list:find("hostname mismatch (depth 0)", 1, true), list)
        assert.is_nil(info_of({ ca = "ca.pem", verify = "report" }, { cert = "a.pem" }).errors)
        assert.is_nil(info_of({ ca = "ca.pem", verify = false }, { cert = "self.pem" }).errors)
    end)

    it("is a purpose that does not matter", function()
        local wants = { ca = "ca.pem", verify_name = false }
        local a, b, first = shake(wants, { cert = "client.pem" })
        assert.equal(tls.ERROR_CERTIFICATE, first[2])
        close(a, b)
        wants.any_purpose = true
        assert.is_true(info_of(wants, { cert = "client.pem" }).verified)
        wants.ca = "other.pem"
        a, b, first = shake(wants, { cert = "client.pem" })
        assert.equal(tls.ERROR_CERTIFICATE, first[2])
        close(a, b)
    end)

    it("is a chain that does not reach a self-signed authority", function()
        local wants = { ca = "middle.crt", verify_name = false }
        assert.is_true(info_of(wants, { cert = "deep.pem" }).verified)
        wants.partial_chain = false
        local a, b, first = shake(wants, { cert = "deep.pem" })
        assert.equal(tls.ERROR_CERTIFICATE, first[2])
        close(a, b)
        wants.ca = "ca.pem"
        assert.is_true(info_of(wants, { cert = "deep.pem" }).verified)
    end)

    for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
        it("is each end's Finished message, " .. version, function()
            local a, b = shake({ ca = "ca.pem", conf = { MaxProtocol = version } }, { cert = "a.pem" })
            local own, other = tls.binding(a, "finished"), tls.binding(a, "peer-finished")
            assert.is_true(#own >= 12)
            assert.is_true(own ~= other)
            assert.equal(own, tls.binding(b, "peer-finished"))
            assert.equal(other, tls.binding(b, "finished"))
            if version == "TLSv1.2" then
                assert.equal(own, tls.binding(a, "tls-unique"))
            end
            close(a, b)
        end)
    end
end)

describe("half a ClientHello", function()
    tasks.guard()
    support.certificates()

    -- A ClientHello, and a socket without time to which it is sent in parts.
    local function parts()
        local a, near = assert(socket.pair())
        a:settimeout(0)
        tls.client(a, "a.test", support.context { ca = "ca.pem" }, true)
        near:settimeout(10)
        local hello = assert(near:readsome(65536))
        close(a, near)
        local far, b = assert(socket.pair())
        b:settimeout(0)
        return hello, far, b
    end

    local function is_quiet(b)
        for _, element in ipairs { b, b:fileno() } do
            local _, _, err = socket.select({ element }, nil, 0)
            assert.equal(socket.ERROR_TIMEOUT, err)
        end
    end

    tasks.everywhere("does not make a socket readable that hello has looked at", function()
        local hello, far, b = parts()
        far:write(hello:sub(1, 50))
        assert.equal(1, #assert(socket.select({ b }, nil, 10)))
        t.fails(socket.ERROR_TIMEOUT, nil, tls.hello(b))
        assert.equal(50, b:pending())
        is_quiet(b)
        far:write(hello:sub(51, 60))
        assert.equal(1, #assert(socket.select({ b }, nil, 10)))
        t.fails(socket.ERROR_TIMEOUT, nil, tls.hello(b))
        is_quiet(b)
        far:write(hello:sub(61))
        assert.equal(1, #assert(socket.select({ b }, nil, 10)))
        assert.equal("a.test", tls.hello(b).name)
        assert.equal(1, #assert(socket.select({ b }, nil, 0)))
        close(far, b)
    end)

    it("is readable again when the program reads it", function()
        local hello, far, b = parts()
        far:write(hello:sub(1, 50))
        t.fails(socket.ERROR_TIMEOUT, nil, tls.hello(b))
        is_quiet(b)
        assert.equal(hello:sub(1, 3), b:read(3))
        assert.equal(1, #assert(socket.select({ b }, nil, 0)))
        assert.equal(hello:sub(4, 50), b:read(47))
        is_quiet(b)
        close(far, b)
    end)

    it("does not hide the end of the stream", function()
        local hello, far, b = parts()
        far:write(hello:sub(1, 50))
        t.fails(socket.ERROR_TIMEOUT, nil, tls.hello(b))
        far:close()
        assert.equal(1, #assert(socket.select({ b }, nil, 10)))
        t.fails(tls.ERROR_EOF, nil, tls.hello(b))
        b:close()
    end)
end)
