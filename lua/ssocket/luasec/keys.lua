-- Public keys of certificates: their PEM, type and size.

local der = require "ssocket.luasec.der"
local fields = require "ssocket.luasec.fields"
local oids = require "ssocket.luasec.oids"
local pem = require "ssocket.luasec.pem"

local keys = {}

local FIRST_BIT = { [0] = 0, 1, 2, 2, 3, 3, 3, 3 }

-- Bits of a number that is an element.
local function number_bits(element)
    if not element or element.tag ~= der.INTEGER then
        return nil
    end
    local bytes = der.contents(element):gsub("^%z+", "")
    local first = bytes:byte(1) or 0
    local high = math.floor(first / 8)
    local top = first < 8 and FIRST_BIT[first] or 0
    while high > 0 do
        top, high = top + 1, math.floor(high / 2)
    end
    top = first >= 8 and top + 3 or top
    return math.max(0, (#bytes - 1) * 8) + top
end

-- The modulus in the bits of a key of RSA.
local function modulus_bits(bit_string)
    local bytes = der.contents(bit_string):sub(2)
    local sequence = der.element(bytes, 1, #bytes)
    local parts = fields.parts_of(sequence, der.SEQUENCE, 2)
    return parts and number_bits(parts[1])
end

-- Parameters of a key of DSA or DH, whose first one is the prime.
local function prime_bits(element)
    local parts = fields.parts_of(element, der.SEQUENCE, 1)
    return parts and number_bits(parts[1])
end

-- A curve has a name, or it stands there itself: version, field, curve, generator, order.
local function curve_bits(element)
    if element and element.tag == der.OID then
        return oids.bits[der.oid(element) or ""]
    end
    local parts = fields.parts_of(element, der.SEQUENCE, 5)
    return parts and number_bits(parts[5])
end

local function key_bits(oid, parameters, bit_string)
    local type_name = oids.key[oid]
    if type_name == "RSA" or oid == oids.RSA_PSS then
        return modulus_bits(bit_string)
    elseif type_name == "DSA" or type_name == "DH" then
        return prime_bits(parameters)
    elseif type_name == "EC" then
        return curve_bits(parameters)
    end
    return oids.bits[oid]
end

local function type_of(oid, parameters)
    local curve = oid and parameters and parameters.tag == der.OID and der.oid(parameters)
    return curve ~= oids.SM2 and oids.key[oid] or "Unknown"
end

-- PEM, type and bits of a SubjectPublicKeyInfo; nothing of what is none.
function keys.describe(element)
    local parts = fields.parts_of(element, der.SEQUENCE, 2)
    local algorithm = parts and fields.parts_of(parts[1], der.SEQUENCE, 1)
    if not algorithm then
        return nil
    end
    local oid = algorithm[1].tag == der.OID and der.oid(algorithm[1]) or nil
    local bits = oid and key_bits(oid, algorithm[2], parts[2])
    if not bits then
        return nil -- of a kind that OpenSSL does not read, or bent
    end
    return pem.armour("PUBLIC KEY", der.whole(element)), type_of(oid, algorithm[2]), bits
end

return keys
