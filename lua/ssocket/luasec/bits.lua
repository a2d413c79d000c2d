-- Operations on integers of 32 bits, 0 to 2^32 - 1, on any Lua: its operators, its library, or arithmetic.

local WORD = 2 ^ 32

local function from_library(library)
    local function unsigned(f)
        return function(a, b)
            return f(a, b) % WORD
        end
    end
    return unsigned(library.bxor), unsigned(library.band)
end

local function from_operators()
    local load_text = loadstring or load
    local chunk = load_text "return function(a, b) return a ~ b end, function(a, b) return a & b end"
    if chunk then
        return chunk()
    end
end

local function bitwise(one)
    return function(a, b)
        local result, weight = 0, 1
        while a > 0 and b > 0 or one and (a > 0 or b > 0) do
            local x, y = a % 2, b % 2
            if one and x ~= y or not one and x + y == 2 then
                result = result + weight
            end
            a, b, weight = (a - x) / 2, (b - y) / 2, weight * 2
        end
        return result
    end
end

-- Both operations four bits at a time.
local function by_table(f)
    local nibbles = {}
    for i = 0, 255 do
        nibbles[i] = f(math.floor(i / 16), i % 16)
    end
    return function(a, b)
        local result, weight = 0, 1
        for _ = 1, 8 do
            local x, y = a % 16, b % 16
            result = result + nibbles[x * 16 + y] * weight
            a, b, weight = (a - x) / 16, (b - y) / 16, weight * 16
        end
        return result
    end
end

local function from_arithmetic()
    return by_table(bitwise(true)), by_table(bitwise(false))
end

local function choose()
    local xor, both = from_operators()
    if xor then
        return xor, both
    end
    local ok, library = pcall(require, "bit")
    library = ok and library or bit32 -- luacheck: ignore 113
    if library then
        return from_library(library)
    end
    return from_arithmetic()
end

local bits = {}

bits.xor, bits.both = choose()

return bits
