-- Strings of ASN.1: their bytes as they stand, or the same text in UTF-8.

local strings = {}

local UTF8_STRING, BMP_STRING, UNIVERSAL_STRING = 0x0C, 0x1E, 0x1C
local BYTES = { [0x12] = 1, [0x13] = 1, [0x14] = 1, [0x16] = 1, [0x17] = 1, [0x18] = 1, [0x1A] = 1 }
BYTES[BMP_STRING], BYTES[UNIVERSAL_STRING] = 2, 4

local function utf8(code)
    local char, floor = string.char, math.floor
    if code < 0x80 then
        return char(code)
    elseif code < 0x800 then
        return char(0xC0 + floor(code / 64), 0x80 + code % 64)
    elseif code < 0x10000 then
        return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
    end
    local high = char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64)
    return high .. char(0x80 + floor(code / 64) % 64, 0x80 + code % 64)
end

local function is_scalar(code)
    return code < 0xD800 or code > 0xDFFF and code <= 0x10FFFF
end

-- The character at `at` and where the next one begins, or nil.
local function character(text, at)
    local lead = text:byte(at)
    local count = lead < 0x80 and 0 or lead >= 0xC2 and lead < 0xE0 and 1 or lead >= 0xE0 and lead < 0xF0 and 2
    count = count or lead >= 0xF0 and lead < 0xF5 and 3
    if not count then
        return nil
    end
    local code = count == 0 and lead or lead % 2 ^ (6 - count)
    for i = at + 1, at + count do
        local byte = text:byte(i)
        if not byte or byte < 0x80 or byte > 0xBF then
            return nil
        end
        code = code * 64 + byte % 64
    end
    local shortest = count == 2 and 0x800 or count == 3 and 0x10000 or 0
    return code >= shortest and is_scalar(code) and at + count + 1 or nil
end

local function is_utf8(text)
    local at = 1
    while at and at <= #text do
        at = character(text, at)
    end
    return at ~= nil
end

local function widened(text, width)
    if #text % width ~= 0 then
        return nil
    end
    local list = {}
    for at = 1, #text, width do
        local code = 0
        for i = at, at + width - 1 do
            code = code * 256 + text:byte(i)
        end
        if not is_scalar(code) then
            return nil
        end
        list[#list + 1] = utf8(code)
    end
    return table.concat(list)
end

-- The text in UTF-8; nil when its type is no text, or its bytes are none.
local function as_utf8(text, tag)
    if tag == UTF8_STRING then
        return is_utf8(text) and text or nil
    end
    local width = BYTES[tag]
    return width and widened(text, width)
end

function strings.decode(text, tag, encoding)
    if encoding == "utf8" then
        return as_utf8(text, tag)
    end
    return text
end

return strings
