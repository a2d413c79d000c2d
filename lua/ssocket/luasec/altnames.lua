-- The subject alternative names of a certificate, RFC 5280 section 4.2.1.6, in the tables of LuaSec.

local der = require "ssocket.luasec.der"
local fields = require "ssocket.luasec.fields"
local oids = require "ssocket.luasec.oids"
local strings = require "ssocket.luasec.strings"

local altnames = {}

altnames.OID = "2.5.29.17"

local OTHER_NAME, DIRECTORY_NAME, IP_ADDRESS, REGISTERED_ID = 0xA0, 0xA4, 0x87, 0x88
local IA5 = 0x16
local TEXTS = { [0x81] = "rfc822Name", [0x82] = "dNSName", [0x86] = "uniformResourceIdentifier" }
local CONSTRUCTED = 0x20

local function append(list, key, value)
    list[key] = list[key] or {}
    table.insert(list[key], value)
end

local function groups(bytes)
    local list = {}
    for i = 1, 16, 2 do
        local high, low = bytes:byte(i, i + 1)
        list[#list + 1] = high * 256 + low
    end
    return list
end

-- The longest run of zero groups, the first of equal ones; of a single group there is none.
local function longest_run(list)
    local best, best_len, first = nil, 1, nil
    for i = 1, 9 do
        if list[i] == 0 then
            first = first or i
        elseif first then
            if i - first > best_len then
                best, best_len = first, i - first
            end
            first = nil
        end
    end
    return best, best_len
end

local function hexadecimal(list, first, last)
    local texts = {}
    for i = first, last do
        texts[#texts + 1] = string.format("%x", list[i])
    end
    return table.concat(texts, ":")
end

local function dotted(bytes)
    return string.format("%d.%d.%d.%d", bytes:byte(1, 4))
end

-- As inet_ntop(3).
local function address(bytes)
    if #bytes == 4 then
        return dotted(bytes)
    elseif #bytes ~= 16 then
        return nil
    end
    local list = groups(bytes)
    local first, len = longest_run(list)
    if first == 1 and (len == 6 or len == 5 and list[6] == 0xFFFF) then
        return (len == 6 and "::" or "::ffff:") .. dotted(bytes:sub(13))
    elseif not first then
        return hexadecimal(list, 1, 8)
    end
    return hexadecimal(list, 1, first - 1) .. "::" .. hexadecimal(list, first + len, 8)
end

-- A string has its contents as its value, anything else the whole element.
local function other_value(element, encoding)
    if element.tag >= CONSTRUCTED then
        return strings.decode(der.whole(element), element.tag, encoding)
    end
    return strings.decode(der.contents(element), element.tag, encoding)
end

-- Type and value of another name, or nil.
local function read_other(element)
    local parts = der.children(element)
    local wrapped = parts and #parts == 2 and parts[2].tag == OTHER_NAME and der.children(parts[2])
    local oid = wrapped and #wrapped == 1 and parts[1].tag == der.OID and der.oid(parts[1])
    return oid, oid and wrapped[1]
end

local function add_other(names, element, encoding)
    local oid, value = read_other(element)
    append(names, oid, other_value(value, encoding))
    names[oid].name = oids.long[oid] or oid
end

-- Names of the other forms are for nobody here, but must be sound.
local FORMS = {
    [OTHER_NAME] = function(element)
        return read_other(element) and true
    end,
    [0xA3] = der.children, -- x400Address
    [DIRECTORY_NAME] = function(element)
        local inner = der.children(element)
        local parts = inner and #inner == 1 and fields.parts_of(inner[1], der.SEQUENCE, 0)
        return parts and fields.are_name_parts(parts)
    end,
    [0xA5] = der.children, -- ediPartyName
    [REGISTERED_ID] = der.oid,
}

local function is_sound(element)
    local form = FORMS[element.tag]
    return TEXTS[element.tag] or element.tag == IP_ADDRESS or form and form(element)
end

local function add_name(names, element, encoding)
    local key = TEXTS[element.tag]
    if key then
        append(names, key, strings.decode(der.contents(element), IA5, encoding))
    elseif element.tag == IP_ADDRESS then
        append(names, "iPAddress", address(der.contents(element)))
    elseif element.tag == OTHER_NAME then
        add_other(names, element, encoding)
    end
end

-- The general names in the extension's value, which is DER; nil if a single one is bent: none is to be trusted then.
function altnames.read(value)
    local sequence = der.element(value, 1, #value)
    local list = sequence and sequence.tag == der.SEQUENCE and der.children(sequence)
    for _, element in ipairs(list or {}) do
        if not is_sound(element) then
            return nil
        end
    end
    return list or nil
end

function altnames.add(names, list, encoding)
    for _, element in ipairs(list) do
        add_name(names, element, encoding)
    end
end

return altnames
