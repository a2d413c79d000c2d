-- SHA-1, SHA-256 and SHA-512 (FIPS 180-4) of strings of a certificate's size, on any Lua. A word of 64 bits is two of
-- 32.

local bits = require "ssocket.luasec.bits"

local xor, both = bits.xor, bits.both
local floor, char = math.floor, string.char
local WORD = 2 ^ 32

local digest = {}

-- ---- constants: fractions of the roots of the first primes ----

local function primes(count)
    local list, n = {}, 2
    while #list < count do
        local prime = true
        for _, p in ipairs(list) do
            prime = prime and n % p ~= 0
        end
        list[#list + 1] = prime and n or nil
        n = n + 1
    end
    return list
end

-- Big numbers are arrays of 16 bits each, the lowest first: a fraction of 64 bits needs more than a double has.
local LIMB = 65536

local function multiply(a, b)
    local result = {}
    for i = 1, #a + #b do
        result[i] = 0
    end
    for i = 1, #a do
        local carry = 0
        for j = 1, #b do
            local n = result[i + j - 1] + a[i] * b[j] + carry
            result[i + j - 1], carry = n % LIMB, floor(n / LIMB)
        end
        result[i + #b] = carry
    end
    return result
end

local function at_most(a, b)
    for i = math.max(#a, #b), 1, -1 do
        local x, y = a[i] or 0, b[i] or 0
        if x ~= y then
            return x < y
        end
    end
    return true
end

-- The root of n, times 2^64 and cut: 16 bits of whole number (#5) and 64 of fraction (#4 to #1), found bit by bit.
local function root(n, power)
    local target, guess = {}, { 0, 0, 0, 0, 0 }
    for i = 1, 4 * power do
        target[i] = 0
    end
    target[4 * power + 1] = n
    for i = 5, 1, -1 do
        for bit = 15, 0, -1 do
            guess[i] = guess[i] + 2 ^ bit
            local value = multiply(guess, guess)
            value = power == 3 and multiply(value, guess) or value
            if not at_most(value, target) then
                guess[i] = guess[i] - 2 ^ bit
            end
        end
    end
    return guess[4] * LIMB + guess[3], guess[2] * LIMB + guess[1]
end

-- High and low halves of a list of roots.
local function fractions(list, count, power)
    local high, low = {}, {}
    for i = 1, count do
        high[i], low[i] = root(list[i], power)
    end
    return high, low
end

local K_HIGH, K_LOW, H_HIGH, H_LOW

local function constants()
    if not K_HIGH then
        local list = primes(80)
        K_HIGH, K_LOW = fractions(list, 80, 3)
        H_HIGH, H_LOW = fractions(list, 8, 2)
    end
end

-- ---- what all three share ----

local function word_bytes(n)
    return char(floor(n / 16777216), floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
end

local function padded(text, block, length_bytes)
    local zeros = -(#text + 1 + length_bytes) % block
    return text
        .. "\128"
        .. ("\0"):rep(zeros + length_bytes - 8)
        .. word_bytes(floor(#text * 8 / WORD))
        .. word_bytes(#text * 8 % WORD)
end

local function read_words(text, at, count)
    local words = {}
    for i = 0, count - 1 do
        local a, b, c, d = text:byte(at + 4 * i, at + 4 * i + 3)
        words[i + 1] = a * 16777216 + b * 65536 + c * 256 + d
    end
    return words
end

local function hex(words)
    local list = {}
    for i, word in ipairs(words) do
        list[i] = string.format("%08x", word)
    end
    return table.concat(list)
end

local function right(n, count)
    return floor(n / 2 ^ count)
end

local function rotate(n, count)
    return right(n, count) + n % 2 ^ count * 2 ^ (32 - count)
end

-- (a and b) or (not a and c), and what most of the three have.
local function choice(a, b, c)
    return xor(c, both(a, xor(b, c)))
end

local function majority(a, b, c)
    return xor(both(a, b), both(c, xor(a, b)))
end

-- ---- SHA-1 ----

local function sha1_round(i, b, c, d)
    if i <= 20 then
        return choice(b, c, d), 0x5A827999
    elseif i <= 40 then
        return xor(xor(b, c), d), 0x6ED9EBA1
    elseif i <= 60 then
        return majority(b, c, d), 0x8F1BBCDC
    end
    return xor(xor(b, c), d), 0xCA62C1D6
end

local function sha1_block(h, words)
    for i = 17, 80 do
        words[i] = rotate(xor(xor(words[i - 3], words[i - 8]), xor(words[i - 14], words[i - 16])), 31)
    end
    local a, b, c, d, e = h[1], h[2], h[3], h[4], h[5]
    for i = 1, 80 do
        local f, k = sha1_round(i, b, c, d)
        a, b, c, d, e = (rotate(a, 27) + f + e + k + words[i]) % WORD, a, rotate(b, 2), c, d
    end
    for i, n in ipairs { a, b, c, d, e } do
        h[i] = (h[i] + n) % WORD
    end
end

function digest.sha1(text)
    local h = { 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0 }
    text = padded(text, 64, 8)
    for at = 1, #text, 64 do
        sha1_block(h, read_words(text, at, 16))
    end
    return hex(h)
end

-- ---- SHA-256 ----

local function sha256_schedule(words)
    for i = 17, 64 do
        local x, y = words[i - 15], words[i - 2]
        local s0 = xor(xor(rotate(x, 7), rotate(x, 18)), right(x, 3))
        local s1 = xor(xor(rotate(y, 17), rotate(y, 19)), right(y, 10))
        words[i] = (words[i - 16] + s0 + words[i - 7] + s1) % WORD
    end
end

local function sha256_block(state, words)
    sha256_schedule(words)
    local a, b, c, d, e, f, g, h = (table.unpack or unpack)(state) -- luacheck: ignore 113
    for i = 1, 64 do
        local s1 = xor(xor(rotate(e, 6), rotate(e, 11)), rotate(e, 25))
        local s0 = xor(xor(rotate(a, 2), rotate(a, 13)), rotate(a, 22))
        local t1 = h + s1 + choice(e, f, g) + K_HIGH[i] + words[i]
        local t2 = s0 + majority(a, b, c)
        a, b, c, d, e, f, g, h = (t1 + t2) % WORD, a, b, c, (d + t1) % WORD, e, f, g
    end
    for i, n in ipairs { a, b, c, d, e, f, g, h } do
        state[i] = (state[i] + n) % WORD
    end
end

function digest.sha256(text)
    constants()
    local state = {}
    for i = 1, 8 do
        state[i] = H_HIGH[i]
    end
    text = padded(text, 64, 8)
    for at = 1, #text, 64 do
        sha256_block(state, read_words(text, at, 16))
    end
    return hex(state)
end

-- ---- SHA-512: pairs of words, high and low ----

local function add64(ah, al, bh, bl)
    local low = al + bl
    return (ah + bh + floor(low / WORD)) % WORD, low % WORD
end

local function rotate64(h, l, count)
    if count >= 32 then
        h, l, count = l, h, count - 32
    end
    local up, part = 2 ^ (32 - count), 2 ^ count
    return right(h, count) + l % part * up, right(l, count) + h % part * up
end

local function shift64(h, l, count)
    return right(h, count), right(l, count) + h % 2 ^ count * 2 ^ (32 - count)
end

local function mix64(h, l, x, y, z, last)
    local ah, al = rotate64(h, l, x)
    local bh, bl = rotate64(h, l, y)
    local ch, cl = last(h, l, z)
    return xor(xor(ah, bh), ch), xor(xor(al, bl), cl)
end

local function sha512_schedule(words)
    for i = 33, 160, 2 do
        local s0h, s0l = mix64(words[i - 30], words[i - 29], 1, 8, 7, shift64)
        local s1h, s1l = mix64(words[i - 4], words[i - 3], 19, 61, 6, shift64)
        local h, l = add64(words[i - 32], words[i - 31], s0h, s0l)
        h, l = add64(h, l, words[i - 14], words[i - 13])
        words[i], words[i + 1] = add64(h, l, s1h, s1l)
    end
end

-- One round on v, eight pairs: a is v[1] and v[2], h is v[15] and v[16].
local function sha512_round(v, i, wh, wl)
    local h, l = mix64(v[9], v[10], 14, 18, 41, rotate64)
    h, l = add64(h, l, v[15], v[16])
    h, l = add64(h, l, choice(v[9], v[11], v[13]), choice(v[10], v[12], v[14]))
    h, l = add64(h, l, K_HIGH[i], K_LOW[i])
    h, l = add64(h, l, wh, wl)
    local th, tl = mix64(v[1], v[2], 28, 34, 39, rotate64)
    th, tl = add64(th, tl, majority(v[1], v[3], v[5]), majority(v[2], v[4], v[6]))
    for j = 16, 3, -1 do
        v[j] = v[j - 2]
    end
    v[9], v[10] = add64(v[9], v[10], h, l)
    v[1], v[2] = add64(h, l, th, tl)
end

local function sha512_block(state, words)
    sha512_schedule(words)
    local v = {}
    for i = 1, 16 do
        v[i] = state[i]
    end
    for i = 1, 80 do
        sha512_round(v, i, words[2 * i - 1], words[2 * i])
    end
    for i = 1, 16, 2 do
        state[i], state[i + 1] = add64(state[i], state[i + 1], v[i], v[i + 1])
    end
end

function digest.sha512(text)
    constants()
    local state = {}
    for i = 1, 8 do
        state[2 * i - 1], state[2 * i] = H_HIGH[i], H_LOW[i]
    end
    text = padded(text, 128, 16)
    for at = 1, #text, 128 do
        sha512_block(state, read_words(text, at, 32))
    end
    return hex(state)
end

return digest
