-- Certificates: the objects of LuaSec, from their DER. Each field is read when it is asked for.

local altnames = require "ssocket.luasec.altnames"
local dates = require "ssocket.luasec.dates"
local der = require "ssocket.luasec.der"
local digest = require "ssocket.luasec.digest"
local fields = require "ssocket.luasec.fields"
local keys = require "ssocket.luasec.keys"
local oids = require "ssocket.luasec.oids"
local pem = require "ssocket.luasec.pem"
local strings = require "ssocket.luasec.strings"

local CERTIFICATE = "SSL:Certificate"
local LABELS = { CERTIFICATE = true, ["X509 CERTIFICATE"] = true }
local DIGESTS = { sha1 = true, sha256 = true, sha512 = true }

local x509 = {}
local methods = {}
local class = { __index = methods, __name = CERTIFICATE }

local function check_certificate(cert)
    if getmetatable(cert) ~= class then
        error(("bad argument #1 to '?' (%s expected, got %s)"):format(CERTIFICATE, type(cert)), 3)
    end
    return cert.fields
end

function class.__tostring(cert)
    return "X509 certificate: " .. cert.address
end

local function address_of(object)
    return tostring(object):match "0x%x+" or tostring(object)
end

-- ---- names ----

local function attribute(element, encoding)
    local parts = fields.parts_of(element, der.SEQUENCE, 2)
    local oid = parts and parts[1].tag == der.OID and der.oid(parts[1])
    if oid then
        local value = strings.decode(der.contents(parts[2]), parts[2].tag, encoding)
        return { oid = oid, name = oids.long[oid] or oid, value = value }
    end
end

local function distinguished_name(sets, encoding)
    local list = {}
    for _, set in ipairs(sets) do
        for _, element in ipairs(der.children(set) or {}) do
            list[#list + 1] = attribute(element, encoding)
        end
    end
    return list
end

function methods:issuer()
    return distinguished_name(check_certificate(self).issuer, self.encoding)
end

function methods:subject()
    return distinguished_name(check_certificate(self).subject, self.encoding)
end

function methods:extensions()
    local list = {}
    for _, element in ipairs(check_certificate(self).extensions) do
        local parts = fields.parts_of(element, der.SEQUENCE, 2)
        local is_names = parts and parts[1].tag == der.OID and der.oid(parts[1]) == altnames.OID
        local names = is_names and altnames.read(der.contents(parts[#parts]))
        if names then
            list[altnames.OID] = list[altnames.OID] or { name = "X509v3 Subject Alternative Name" }
            altnames.add(list[altnames.OID], names, self.encoding)
        end
    end
    return list
end

-- ---- dates ----

local function date_text(element)
    return element and dates.text(der.contents(element), element.tag) or "Bad time value"
end

local function date_seconds(element)
    return element and dates.seconds(der.contents(element), element.tag)
end

function methods:notbefore()
    return date_text(check_certificate(self).notbefore)
end

function methods:notafter()
    return date_text(check_certificate(self).notafter)
end

-- A certificate whose dates are none is valid at no time.
function methods:validat(time)
    local list = check_certificate(self)
    local seconds = tonumber(time)
    if not seconds then
        local got = time == nil and "no value" or type(time)
        error(("bad argument #2 to '?' (number expected, got %s)"):format(got), 2)
    end
    local first, last = date_seconds(list.notbefore), date_seconds(list.notafter)
    return first ~= nil and last ~= nil and first <= seconds and seconds <= last
end

-- ---- the rest ----

local function negated(bytes)
    local carry = 1
    local result = bytes:reverse():gsub(".", function(c)
        local n = 255 - c:byte() + carry
        carry = n == 256 and 1 or 0
        return string.char(n % 256)
    end)
    return result:reverse()
end

function methods:serial()
    local element = check_certificate(self).serial
    local bytes = element and der.contents(element) or ""
    local sign = ""
    if (bytes:byte(1) or 0) >= 128 then
        sign, bytes = "-", negated(bytes)
    end
    bytes = bytes:gsub("^%z+", "")
    if bytes == "" then
        return "0"
    end
    return sign .. bytes:gsub(".", function(c)
        return ("%02X"):format(c:byte())
    end)
end

function methods:digest(name)
    check_certificate(self)
    name = name == nil and "sha1" or name
    if type(name) ~= "string" then
        error(("bad argument #2 to '?' (string expected, got %s)"):format(type(name)), 2)
    elseif not DIGESTS[name] then
        return nil, "digest algorithm not supported (" .. name .. ")"
    end
    return digest[name](self.der)
end

function methods:pem()
    check_certificate(self)
    return pem.armour("CERTIFICATE", self.der)
end

function methods:pubkey()
    return keys.describe(check_certificate(self).pubkey)
end

function methods:getsignaturename()
    local parts = fields.parts_of(check_certificate(self).signature_algorithm, der.SEQUENCE, 1)
    local oid = parts and parts[1].tag == der.OID and der.oid(parts[1])
    return oid and oids.signature[oid] or "UNDEF"
end

function methods:setencode(encoding)
    check_certificate(self)
    if type(encoding) ~= "string" then
        error(("bad argument #2 to '?' (string expected, got %s)"):format(type(encoding)), 2)
    end
    local known = encoding:match "^ai5" or encoding:match "^utf8"
    self.encoding = known or self.encoding
    return known ~= nil
end

-- ---- making them ----

-- Of a certificate that a handshake has shown. It is one, whatever is in it: what cannot be read is empty.
function x509.from_der(bytes)
    local list = fields.read(bytes) or { issuer = {}, subject = {}, extensions = {} }
    local cert = { der = bytes:sub(1, list.last), fields = list, encoding = "ai5" }
    cert.address = address_of(cert)
    return setmetatable(cert, class)
end

-- Of the first certificate in a text in PEM, or nil.
function x509.load(text)
    if type(text) ~= "string" and type(text) ~= "number" then
        local got = text == nil and "no value" or type(text)
        error(("bad argument #1 to 'ssl.loadcertificate' (string expected, got %s)"):format(got), 2)
    end
    local bytes = pem.each(tostring(text), LABELS)()
    local list = bytes and fields.read(bytes)
    return list and fields.are_sound(list) and x509.from_der(bytes) or nil
end

-- All certificates of a text in PEM.
function x509.load_all(text)
    local list = {}
    for bytes in pem.each(text, LABELS) do
        list[#list + 1] = x509.from_der(bytes)
    end
    return list
end

x509.class = class

return x509
