-- LuaSec's certificates: each method on each kind of certificate, to the letter, and what bent bytes make of them.

local t = require "support.t"
local tls = require "support.tls"
local luasec = require "support.luasec"

local SAN = "2.5.29.17"
local TIMES = { -1, 0, 1e9, 1.7e9, 2 ^ 31, 2524607999, 2524608000, 253402300799, 253402300800 }

-- All that a certificate tells.
local function all_of(cert)
    local all = {
        notbefore = cert:notbefore(),
        notafter = cert:notafter(),
        serial = cert:serial(),
        pem = cert:pem(),
        pubkey = t.pack(cert:pubkey()),
        signature = cert:getsignaturename(),
        digests = {},
        valid = {},
    }
    for _, encoding in ipairs { "utf8", "ai5" } do
        assert.is_true(cert:setencode(encoding))
        all[encoding] = { cert:issuer(), cert:subject(), cert:extensions() }
    end
    for i, name in ipairs { "sha1", "sha256", "sha512", "SHA1", "md5", "sha384", "" } do
        all.digests[i] = t.pack(cert:digest(name))
    end
    for i, time in ipairs(TIMES) do
        all.valid[i] = cert:validat(time)
    end
    return all
end

local function text_of(file)
    local handle = assert(io.open(file, "rb"))
    local text = handle:read "*a"
    handle:close()
    return text
end

-- The names of files, in their order.
local function files(pattern)
    local list = {}
    local p = t.spawn { "sh", "-c", "LC_ALL=C; for file in " .. pattern .. "; do echo \"$file\"; done" }
    for name in p:finish():gmatch "[^\n]+" do
        list[#list + 1] = name
    end
    return list
end

local function entry(oid, name, value)
    return { oid = oid, name = name, value = value }
end

-- ---- what the certificates of luasec_x509_zoo.sh hold ----

local EXTENSIONS = {
    plain = {},
    critical = { [SAN] = { name = "X509v3 Subject Alternative Name", dNSName = { "a.test" } } },
    extensions = { [SAN] = { name = "X509v3 Subject Alternative Name", dNSName = { "a.test" } } },
    names = {
        [SAN] = {
            name = "X509v3 Subject Alternative Name",
            dNSName = { "a.test", "*.b.test", "c.test" },
            rfc822Name = { "me@a.test", "you@a.test" },
            uniformResourceIdentifier = { "https://a.test/x?y=z" },
            ["1.3.6.1.5.5.7.8.5"] = { "jid@a.test", name = "XmppAddr" },
        },
    },
    other = {
        [SAN] = {
            name = "X509v3 Subject Alternative Name",
            ["1.3.6.1.5.5.7.8.5"] = { "a", "b", name = "XmppAddr" },
            ["1.3.6.1.5.5.7.8.7"] = { "_xmpp-client.a.test", name = "SRVName" },
            ["1.2.3.4.5"] = { "p", "\0b\0m\0p", name = "1.2.3.4.5" },
            ["1.2.3.4.6"] = { "octets", name = "1.2.3.4.6" },
            ["1.3.6.1.4.1.311.20.2.3"] = { "upn@a.test", name = "Microsoft User Principal Name" },
        },
    },
    addresses = {
        [SAN] = {
            name = "X509v3 Subject Alternative Name",
            iPAddress = {
                "1.2.3.4",
                "255.0.0.255",
                "::",
                "::1",
                "1::",
                "::ffff:1.2.3.4",
                "::1.2.3.4",
                "2001:db8::1",
                "1:0:0:2::3",
                "1:0:2:0:3:0:4:0",
                "1:2:3:4:5:6:7:8",
                "abcd:ef01::",
                "0:0:1::",
                "::1:0:0:0",
            },
        },
    },
}

local SUBJECTS = {
    plain = { entry("2.5.4.3", "commonName", "plain") },
    empty = {},
    several = {
        entry("2.5.4.3", "commonName", "c"),
        entry("2.5.4.10", "organizationName", "a"),
        entry("2.5.4.11", "organizationalUnitName", "b"),
        entry("2.5.4.3", "commonName", "d"),
        entry("2.5.4.5", "serialNumber", "5"),
    },
    unknown = {
        entry("1.2.3.4.5.6", "1.2.3.4.5.6", "unknown"),
        entry("2.999.1", "2.999.1", "top"),
        entry("2.5.4.3", "commonName", "u"),
    },
}

local SERIALS = {
    ["0"] = "0",
    ["127"] = "7F",
    ["128"] = "80",
    ["0x7fffffffffffffff"] = "7FFFFFFFFFFFFFFF",
    ["0xffffffffffffffff"] = "FFFFFFFFFFFFFFFF",
    ["0x123456789abcdef0123456789abcdef012345678"] = "123456789ABCDEF0123456789ABCDEF012345678",
    ["-1"] = "-01",
    ["-128"] = "-80",
    ["-129"] = "-81",
    ["-0x8000"] = "-8000",
}

local KEYS = {
    plain = { "EC", 256 },
    p384 = { "EC", 384 },
    p521 = { "EC", 521 },
    brainpool = { "EC", 256 },
    explicit = { "EC", 256 },
    rsa = { "RSA", 1024 },
    odd = { "RSA", 1019 },
    pss = { "Unknown", 1024 },
    ed25519 = { "Unknown", 256 },
    ed448 = { "Unknown", 456 },
    x25519 = { "Unknown", 253 },
}

local SIGNATURES = {
    plain = "ecdsa-with-SHA256",
    rsa = "RSA-SHA256",
    ["rsa-sha1"] = "RSA-SHA1",
    ["rsa-md5"] = "RSA-MD5",
    ["rsa-sha512"] = "RSA-SHA512",
    ["rsa-sha3-256"] = "id-rsassa-pkcs1-v1_5-with-sha3-256",
    ["rsa-pss"] = "RSASSA-PSS",
    ["ec-sha1"] = "ecdsa-with-SHA1",
    ed25519 = "ED25519",
    ed448 = "ED448",
}

local DATES = {
    ["dated-utc"] = { "Jan  1 00:00:00 1970 GMT", "Dec 31 23:59:59 2049 GMT", 0, 2524607999 },
    ["dated-1950"] = { "Jan  1 00:00:00 1950 GMT", "Dec 31 23:59:59 1999 GMT", -631152000, 946684799 },
    ["dated-2050"] = { "Jan  1 00:00:00 2050 GMT", "Dec 31 23:59:59 2050 GMT", 2524608000, 2556143999 },
    ["dated-end"] = { "Feb 29 12:34:56 2024 GMT", "Dec 31 23:59:59 9999 GMT", 1709210096, 253402300799 },
}

-- ---- bent certificates ----

-- Three bytes each, in base64: tags, lengths and ends that mean something else.
local GROUPS = {}
for group in ("AAAA //// MIAA MIL/ MIT/ BgAA AgEA AwIA FwAA GA8y oIAA gv8A BQAw MDAw hwSg"):gmatch "%S+" do
    GROUPS[#GROUPS + 1] = group
end

-- The same bent copy for the same n: some bytes are others, and one of six ends early.
local function bend(text, n)
    local seed = (n * 7919 + 17) % 2147483647
    local function random(most)
        seed = seed * 16807 % 2147483647
        return seed % most + 1
    end
    local body = text:match("%-\n([%w+/=%s]+)\n%-"):gsub("%s", ""):gsub("=", "")
    for _ = 1, random(3) do
        local at = random(math.floor(#body / 4)) * 4 - 4
        body = body:sub(1, at) .. GROUPS[random(#GROUPS)] .. body:sub(at + 5)
    end
    if random(6) == 1 then
        body = body:sub(1, random(math.floor(#body / 4)) * 4)
    end
    local lines = body:gsub(("."):rep(64), "%0\n")
    return "-----BEGIN CERTIFICATE-----\n" .. lines .. ("="):rep(-#body % 4) .. "\n-----END CERTIFICATE-----\n"
end

local real, ours
for _, kind in ipairs(luasec.kinds) do
    if kind.is_real then
        real = kind
    else
        ours = kind
    end
end

describe("ssl.loadcertificate", function()
    t.guard()
    tls.certificates "luasec_x509_zoo.sh"

    for _, kind in ipairs(luasec.kinds) do
        local load = kind.ssl.loadcertificate
        local function certificate(name)
            return assert(load(luasec.text(name .. ".crt")))
        end

        describe("with " .. kind.name, function()
            it("takes the first certificate of a text, whatever is around it", function()
                local cert = certificate "two"
                assert.same(SUBJECTS.plain, cert:subject())
                assert.equal(certificate("plain"):pem(), cert:pem())
                assert.same(SUBJECTS.plain, load(cert:pem()):subject())
                local old = luasec.text("plain.crt"):gsub("CERTIFICATE", "X509 CERTIFICATE")
                assert.same(SUBJECTS.plain, load(old):subject())
                local crlf = luasec.text("plain.crt"):gsub("\n", "\r\n")
                assert.same(SUBJECTS.plain, load(crlf):subject())
            end)

            it("takes nothing else", function()
                local text = luasec.text "plain.crt"
                for _, other in ipairs {
                    "",
                    "x",
                    5,
                    text:sub(1, 200),
                    text:gsub("END", "AND"),
                    text:gsub("BEGIN", "START"),
                    text:gsub("M", "!", 1),
                    luasec.text "ec.key",
                    luasec.text "ec.csr",
                    luasec.text "trusted.crt",
                    "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
                    "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
                } do
                    assert.is_nil((load(other)), other)
                end
                for _, wrong in ipairs { {}, true } do
                    assert.is_false(pcall(load, wrong))
                end
                assert.is_false(pcall(load))
            end)

            it("shows what it is", function()
                local cert = certificate "plain"
                assert.matches("^X509 certificate: 0?x?%x+$", tostring(cert))
                for name, method in pairs(getmetatable(cert).__index) do
                    assert.is_false(pcall(method), name)
                    assert.is_false(pcall(method, {}), name)
                end
            end)

            it("has subjects and issuers as lists in their order", function()
                for name, subject in pairs(SUBJECTS) do
                    local cert = certificate(name)
                    assert.same(subject, cert:subject())
                    assert.same(subject, cert:issuer())
                end
                local names = {}
                for i, part in ipairs(certificate("subject"):subject()) do
                    names[i] = part.name
                end
                assert.same({
                    "countryName",
                    "stateOrProvinceName",
                    "localityName",
                    "organizationName",
                    "organizationalUnitName",
                    "organizationalUnitName",
                    "commonName",
                    "emailAddress",
                    "serialNumber",
                    "streetAddress",
                    "postalCode",
                    "title",
                    "givenName",
                    "surname",
                    "initials",
                    "pseudonym",
                    "dnQualifier",
                    "domainComponent",
                    "domainComponent",
                    "userId",
                    "businessCategory",
                    "description",
                    "generationQualifier",
                    "name",
                    "x500UniqueIdentifier",
                    "jurisdictionCountryName",
                    "organizationIdentifier",
                }, names)
            end)

            it("has the subject's alternative names, and no other extension", function()
                for name, extensions in pairs(EXTENSIONS) do
                    assert.same(extensions, certificate(name):extensions())
                end
            end)

            it("has texts as they are, or in UTF-8", function()
                local cert = certificate "mask-MASK:0x800" -- BMP strings
                local as_is = "\0g\0r\0\252\0n\0 \32\172"
                assert.equal(as_is, cert:subject()[1].value)
                assert.is_true(cert:setencode "utf8")
                assert.equal("grün €", cert:subject()[1].value)
                assert.equal("grün €", cert:issuer()[1].value)
                assert.is_false(cert:setencode "latin")
                assert.equal("grün €", cert:subject()[1].value)
                assert.is_true(cert:setencode "ai5")
                assert.equal(as_is, cert:subject()[1].value)
                assert.is_true(cert:setencode "utf8 and more")
                assert.equal("grün €", cert:subject()[1].value)
                assert.is_false(pcall(cert.setencode, cert))
                cert = certificate "mask-MASK:0x4" -- T.61
                assert.is_true(cert:setencode "utf8")
                assert.equal("grün", cert:subject()[1].value)
                cert = certificate "other"
                assert.is_true(cert:setencode "utf8")
                assert.same({ "p", "bmp", name = "1.2.3.4.5" }, cert:extensions()[SAN]["1.2.3.4.5"])
            end)

            it("has the serial number in hexadecimal", function()
                for name, serial in pairs(SERIALS) do
                    assert.equal(serial, certificate("serial" .. name):serial())
                end
            end)

            it("has dates in words, and tells whether it is valid at a time", function()
                for name, dates in pairs(DATES) do
                    local cert = certificate(name)
                    assert.equal(dates[1], cert:notbefore())
                    assert.equal(dates[2], cert:notafter())
                    assert.is_false(cert:validat(dates[3] - 1))
                    assert.is_true(cert:validat(dates[3] + 1))
                    assert.is_true(cert:validat(dates[4] - 1))
                    assert.is_false(cert:validat(dates[4] + 1))
                end
                local cert = certificate "plain"
                assert.is_true(cert:validat(os.time() + 60))
                assert.is_false(pcall(cert.validat, cert))
                assert.is_false(pcall(cert.validat, cert, "now"))
            end)

            it("has the public key", function()
                for name, key in pairs(KEYS) do
                    local pem, kind_of_key, bits = certificate(name):pubkey()
                    local dashes = ("%-"):rep(5)
                    local first, last = dashes .. "BEGIN PUBLIC KEY" .. dashes, dashes .. "END PUBLIC KEY" .. dashes
                    assert.matches("^" .. first .. "\n[%w+/=\n]+" .. last .. "\n$", pem)
                    assert.same(key, { kind_of_key, bits }, name)
                end
                local public = tls.path "public.pem"
                local p = t.spawn { "openssl", "pkey", "-in", tls.path "ec.key", "-pubout", "-out", public }
                p:finish()
                assert.equal(text_of(public), (certificate("plain"):pubkey()))
            end)

            it("has the name of the signature", function()
                for name, signature in pairs(SIGNATURES) do
                    assert.equal(signature, certificate(name):getsignaturename())
                end
            end)

            it("has digests, as openssl has them", function()
                local cert = certificate "plain"
                for _, name in ipairs { "sha1", "sha256", "sha512" } do
                    local file = tls.path "plain.crt"
                    local p = t.spawn { "openssl", "x509", "-in", file, "-noout", "-fingerprint", "-" .. name }
                    local expected = p:finish():match("=([%x:]+)"):gsub(":", ""):lower()
                    assert.equal(expected, cert:digest(name))
                end
                assert.equal(cert:digest "sha1", cert:digest())
                for _, name in ipairs { "md5", "SHA1", "sha384", "", "sha" } do
                    local digest, err = cert:digest(name)
                    assert.is_nil(digest)
                    assert.equal("digest algorithm not supported (" .. name .. ")", err)
                end
                assert.is_false(pcall(cert.digest, cert, {}))
            end)
        end)
    end

    if real and ours then
        local function same(name, text)
            local first, second = real.ssl.loadcertificate(text), ours.ssl.loadcertificate(text)
            assert(first and second, name)
            local expected, got = all_of(first), all_of(second)
            for field, value in pairs(expected) do
                assert.same(value, got[field], name .. ": " .. field)
            end
        end

        it("tells the same with both of every kind", function()
            local list = files(tls.path "*.crt")
            assert(#list > 45)
            for _, name in ipairs(list) do
                if not name:find "/trusted" then
                    same(name, text_of(name))
                end
            end
        end)

        it("tells the same with both of the system's authorities", function()
            local list = files "/etc/ssl/certs/*.pem"
            for i = 1, #list, math.max(1, math.floor(#list / 12)) do
                same(list[i], text_of(list[i]))
            end
        end)
    end

    if ours then
        it("tells something of bent certificates, or does not take them", function()
            local list = files(tls.path "*.crt")
            local taken = 0
            for n = 1, 200 do
                local text = bend(text_of(list[n % #list + 1]), n)
                local cert = ours.ssl.loadcertificate(text)
                if cert then
                    taken = taken + 1
                    local ok, err = pcall(all_of, cert)
                    assert(ok, ("%s\n%s"):format(tostring(err), text))
                end
            end
            assert(taken > 20)
        end)
    end
end)
