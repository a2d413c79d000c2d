-- Files in PEM that the parameters of a context name.

local pem = require "ssocket.luasec.pem"

local files = {}

local MOST = 64 * 1024 * 1024
local NO_START = "no start line"

-- What tls.context says of a key and a certificate that are each fine.
files.NO_FIT = "the key does not fit the certificate"

local function read_file(path)
    local file, err = io.open(path, "rb")
    if not file then
        local start = path .. ": "
        return nil, err:sub(1, #start) == start and err:sub(#start + 1) or err
    end
    local text, why = file:read(MOST)
    file:close()
    return text, why or NO_START
end

-- The text of a file that has a block with such a label; nil and why.
local function text_with(path, fits)
    local text, why = read_file(path)
    local init = text and 1
    while init do
        local label, _, after = pem.block(text, init)
        if label and fits(label) then
            return text
        end
        init = after
    end
    return nil, text and NO_START or why
end

function files.key(path)
    return text_with(path, function(label)
        return label:find "PRIVATE KEY$" ~= nil
    end)
end

function files.is_encrypted(text)
    return text:find("-----BEGIN ENCRYPTED PRIVATE KEY-----", 1, true) ~= nil
        or text:find "Proc%-Type:%s*4,%s*ENCRYPTED" ~= nil
end

function files.certificates(path)
    return text_with(path, function(label)
        return label:find "CERTIFICATE$" ~= nil
    end)
end

-- The revocation lists of a file, or nil.
function files.revocations(path)
    local list = {}
    for bytes in pem.each(read_file(path) or "", { ["X509 CRL"] = true }) do
        list[#list + 1] = pem.armour("X509 CRL", bytes)
    end
    return list[1] and table.concat(list)
end

return files
