-- PEM, RFC 7468: base64 and the blocks of a text.

local pem = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local BEGIN = ("%-"):rep(5) .. "BEGIN ([^\r\n-]+)" .. ("%-"):rep(5)
local END = ("%-"):rep(5) .. "END ([^\r\n-]+)" .. ("%-"):rep(5)
local LINE = ("."):rep(64)

local value_of = {}
for i = 1, 64 do
    value_of[ALPHABET:byte(i)] = i - 1
end

local function digit(value)
    return ALPHABET:sub(value + 1, value + 1)
end

local function encode_group(bytes)
    local a, b, c = bytes:byte(1, 3)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    local low, third = n % 64, math.floor(n / 64) % 64
    return digit(math.floor(n / 262144))
        .. digit(math.floor(n / 4096) % 64)
        .. (b and digit(third) or "=")
        .. (c and digit(low) or "=")
end

function pem.encode(bytes)
    return (bytes:gsub("..?.?", encode_group):gsub("\n", ""))
end

local function decode_group(digits)
    local a, b, c, d = digits:byte(1, 4)
    local n = value_of[a] * 262144 + value_of[b] * 4096 + (value_of[c] or 0) * 64 + (value_of[d] or 0)
    local bytes = string.char(math.floor(n / 65536), math.floor(n / 256) % 256, n % 256)
    return bytes:sub(1, (c and 1 or 0) + (d and 1 or 0) + 1)
end

-- The bytes of a text in base64, or nil.
function pem.decode(text)
    local digits = text:gsub("%s", ""):gsub("=?=$", "")
    if digits:find "[^A-Za-z0-9+/]" or #digits % 4 == 1 then
        return nil
    end
    return (digits:gsub("..?.?.?", decode_group))
end

-- The block that begins at or behind `init`: its label, its inner text, and where the text goes on. One that another
-- label ends is none.
function pem.block(text, init)
    while true do
        local _, last, label = text:find(BEGIN, init)
        local first_end, last_end, ended = text:find(END, last and last + 1 or #text + 1)
        if not first_end then
            return nil
        elseif ended == label then
            return label, text:sub(last + 1, first_end - 1), last_end + 1
        end
        init = last_end + 1
    end
end

-- An iterator of the blocks with one of the labels: the bytes of each, and its label.
function pem.each(text, labels)
    local init = 1
    return function()
        while init do
            local label, inner, after = pem.block(text, init)
            init = after
            local bytes = label and labels[label] and pem.decode(inner)
            if bytes then
                return bytes, label
            end
        end
    end
end

function pem.armour(label, bytes)
    local lines = pem.encode(bytes):gsub(LINE, "%0\n"):gsub("\n$", "")
    return "-----BEGIN " .. label .. "-----\n" .. lines .. "\n-----END " .. label .. "-----\n"
end

return pem
