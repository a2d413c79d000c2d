-- The fields of a certificate, RFC 5280 section 4.1, as elements of its DER.

local der = require "ssocket.luasec.der"

local fields = {}

local VERSION, EXTENSIONS = 0xA0, 0xA3

local function sequence_at(bytes)
    local element = der.element(bytes, 1, #bytes)
    return element and element.tag == der.SEQUENCE and element or nil
end

local function parts_of(element, tag, count)
    local parts = element and element.tag == tag and der.children(element)
    return parts and #parts >= count and parts or nil
end

local function extensions_of(parts, first)
    for i = first, #parts do
        if parts[i].tag == EXTENSIONS then
            local wrapped = der.children(parts[i])
            return parts_of(wrapped and wrapped[1], der.SEQUENCE, 0)
        end
    end
    return {}
end

-- What is in the part that is signed, or nil.
local function signed_part(element)
    local parts = parts_of(element, der.SEQUENCE, 6)
    local first = parts and (parts[1].tag == VERSION and 2 or 1)
    if not parts or #parts < first + 5 or parts[first].tag ~= der.INTEGER then
        return nil
    end
    local validity = parts_of(parts[first + 3], der.SEQUENCE, 2)
    return {
        serial = parts[first],
        algorithm = parts[first + 1],
        issuer = parts_of(parts[first + 2], der.SEQUENCE, 0),
        notbefore = validity and validity[1],
        notafter = validity and validity[2],
        subject = parts_of(parts[first + 4], der.SEQUENCE, 0),
        pubkey = parts_of(parts[first + 5], der.SEQUENCE, 2) and parts[first + 5],
        extensions = extensions_of(parts, first + 6),
    }
end

-- A table of elements and of lists of them, and where the certificate ends. Nil when one is missing.
function fields.read(bytes)
    local whole = sequence_at(bytes)
    local parts = parts_of(whole, der.SEQUENCE, 3)
    local list = parts and signed_part(parts[1])
    if list and list.issuer and list.notafter and list.subject and list.pubkey and list.extensions then
        list.last, list.signature_algorithm, list.signature = whole.last, parts[2], parts[3]
        return list
    end
end

-- ---- what OpenSSL demands as well before it takes a certificate from a file ----

local function is_algorithm(element)
    local parts = parts_of(element, der.SEQUENCE, 1)
    return parts ~= nil and #parts <= 2 and parts[1].tag == der.OID and der.oid(parts[1]) ~= nil
end

local function is_attribute(element)
    local parts = parts_of(element, der.SEQUENCE, 2)
    return parts ~= nil and #parts == 2 and parts[1].tag == der.OID and der.oid(parts[1]) ~= nil
end

local function all(elements, test)
    for _, element in ipairs(elements) do
        if not test(element) then
            return false
        end
    end
    return true
end

local function is_name_part(element)
    local attributes = parts_of(element, der.SET, 0)
    return attributes ~= nil and all(attributes, is_attribute)
end

-- The parts of a distinguished name.
function fields.are_name_parts(list)
    return all(list, is_name_part)
end

local function is_extension(element)
    local parts = parts_of(element, der.SEQUENCE, 2)
    local value = parts and parts[#parts]
    return parts ~= nil and #parts <= 3 and parts[1].tag == der.OID and value.tag == der.OCTET_STRING
end

local function is_date(element)
    return element.tag == der.UTC_TIME or element.tag == der.GENERALIZED_TIME
end

local function is_key(element)
    local parts = parts_of(element, der.SEQUENCE, 2)
    return #parts == 2 and is_algorithm(parts[1]) and parts[2].tag == der.BIT_STRING and parts[2].last >= parts[2].first
end

function fields.are_sound(list)
    return is_algorithm(list.algorithm)
        and is_algorithm(list.signature_algorithm)
        and list.signature.tag == der.BIT_STRING
        and list.serial.last >= list.serial.first
        and fields.are_name_parts(list.issuer)
        and fields.are_name_parts(list.subject)
        and is_date(list.notbefore)
        and is_date(list.notafter)
        and is_key(list.pubkey)
        and all(list.extensions, is_extension)
end

fields.parts_of = parts_of

return fields
