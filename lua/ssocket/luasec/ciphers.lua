-- What LuaSec tells of a cipher, from its standard name: OpenSSL's name, and what SSL_CIPHER_description(3) has.

local ciphers = {}

-- The middle of the standard name, OpenSSL's word for it, and the one of the description.
local MODES = {
    { "_CBC$", "", "" },
    { "_GCM$", "-GCM", "GCM" },
    { "_CCM_8$", "-CCM8", "CCM8" },
    { "_CCM$", "-CCM", "CCM" },
}
local EXCHANGES = { ECDHE = "ECDH", ECDH = "ECDH", DHE = "DH", RSA = "RSA", DH = "DH" }
local SPELLINGS = { CAMELLIA = "Camellia" }
local CHACHA, CHACHA_SHORT = "CHACHA20_POLY1305", "CHACHA20-POLY1305"

-- "AES_256_GCM": what it is called, and its bits.
local function read_encryption(text)
    if text == CHACHA then
        return CHACHA_SHORT, "CHACHA20/POLY1305(256)", 256
    end
    for _, mode in ipairs(MODES) do
        local family, bits = text:gsub(mode[1], ""):match "^(%u+)_(%d+)$"
        if family and text:find(mode[1]) then
            local name = (SPELLINGS[family] or family) .. mode[3] .. "(" .. bits .. ")"
            return family .. bits .. mode[2], name, tonumber(bits)
        end
    end
    return text:gsub("_", "-"), text, nil
end

local function fill(encryption, bits, mac)
    return { encryption = encryption, bits = bits, algbits = bits, mac = mac, export = false }
end

-- TLS_AES_256_GCM_SHA384
local function describe_tls13(standard)
    local _, encryption, bits = read_encryption(standard:match "^TLS_(.*)_SHA%d+$" or standard)
    local info = fill(encryption, bits, "AEAD")
    info.cipher, info.key, info.authentication = standard, "any", "any"
    return info
end

local function split(text)
    local encryption, hash = text:match "^(.*)_(SHA%d*)$"
    if not encryption then
        return text, nil -- CCM has none
    end
    return encryption, hash
end

-- ARIA with ECDHE and RSA has a name of another kind.
local function join_name(exchange, signer, encryption)
    local anonymous = signer == "anon"
    if anonymous then
        return (exchange == "ECDH" and "AECDH-" or "ADH-") .. encryption
    elseif not signer then
        return encryption
    elseif exchange == "ECDHE" and signer == "RSA" and encryption:find "^ARIA" then
        return "ECDHE-" .. encryption
    end
    return exchange .. "-" .. signer .. "-" .. encryption
end

-- TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
local function describe_older(standard)
    local head, rest = standard:match "^TLS_(.*)_WITH_(.*)$"
    local exchange, signer = head:match "^(%u+)_(%a+)$"
    exchange = exchange or head
    local text, hash = split(rest)
    local short, encryption, bits = read_encryption(text)
    local aead = not hash or not text:find "_CBC$"
    local info = fill(encryption, bits, aead and "AEAD" or hash == "SHA" and "SHA1" or hash)
    if hash and short ~= CHACHA_SHORT then
        short = short .. "-" .. hash
    end
    info.cipher = join_name(exchange, signer, short)
    info.key = EXCHANGES[exchange] or exchange
    info.authentication = signer == "anon" and "None" or signer or "RSA"
    return info
end

function ciphers.describe(standard)
    return standard:find "_WITH_" and describe_older(standard) or describe_tls13(standard)
end

return ciphers
