-- The certificates of spec/support/certificate_zoo.sh, and what becomes of them: two arrays of cases.
--
-- A case: the file of the chain, the server's name, what becomes of it, further fields (`ca`, `key`, `crl`, as the
-- options). `true` is success; a text is the reason of ERROR_CERTIFICATE, or of the error in `err`. `python` is what
-- Python's ssl may say where that is something else; the comment then names the sentence of the documentation that
-- decides.

local tls = require "ssocket.tls"

local NAME, IP = "hostname mismatch (depth 0)", "IP address mismatch (depth 0)"
local LOCAL = "unable to get local issuer certificate (depth 0)"
local NO_ISSUER = "unable to get issuer certificate"
local NO_CRL = "unable to get certificate CRL (depth 0)"
local PURPOSE = "unsuitable certificate purpose (depth 0)"
local WEAK = "CA signature digest algorithm too weak (depth 0)"
local LARGE = "excessive message size"

local cases = {}

cases.server = {
    -- Chains
    { "good.crt", "a.test", true },
    { "chain.pem", "a.test", true },
    { "chain-disordered.pem", "a.test", true },
    { "inter-leaf.crt", "a.test", LOCAL }, -- the intermediate is missing
    { "self.crt", "a.test", "self-signed certificate (depth 0)" },
    { "other-leaf.crt", "a.test", LOCAL },
    { "other-chain.pem", "a.test", "self-signed certificate in certificate chain (depth 1)" },
    { "good.crt", "a.test", LOCAL, ca = "other.crt" },
    { "deep.pem", "a.test", true }, -- 20 with the root
    { "leaf-as-ca.pem", "a.test", "invalid CA certificate (depth 1)" },
    { "too-long.pem", "a.test", "path length constraint exceeded (depth 2)" },
    { "constrained-a.example.com.pem", "a.example.com", true },
    { "constrained-a.test.pem", "a.test", "permitted subtree violation (depth 0)" },
    { "constrained-bad.example.com.pem", "bad.example.com", "excluded subtree violation (depth 0)" },

    -- Anchors: "Any certificate in it is an anchor, self-signed or not". In Python that begins with 3.13.
    { "self.crt", "a.test", true, ca = "self.crt" },
    { "self.crt", "b.test", NAME, ca = "self.crt" },
    { "chain.pem", "a.test", true, ca = "inter.crt", python = { "ok", NO_ISSUER } },
    { "inter-leaf.crt", "a.test", true, ca = "inter.crt", python = { "ok", NO_ISSUER } },
    { "good.crt", "a.test", true, ca = "good.crt", python = { "ok", LOCAL } },
    { "good.crt", "b.test", NAME, ca = "good.crt", python = { NAME, LOCAL } },
    -- An anchor has an end too; Python finds none.
    { "expired.crt", "a.test", "certificate has expired (depth 0)", ca = "expired.crt", python = { LOCAL } },
    -- A root whose cross-signature has expired is as good as before where it is trusted itself.
    { "crossed.pem", "a.test", true, ca = "both-roots.crt" },
    { "crossed.pem", "a.test", true, ca = "new-root.crt" },
    { "crossed.pem", "a.test", "certificate has expired (depth 2)", ca = "old-root.crt" },
    -- X509_STRICT would refuse a root without critical basicConstraints.
    { "lax-leaf.crt", "a.test", true, ca = "root-lax.crt" },

    -- Dates
    { "expired.crt", "a.test", "certificate has expired (depth 0)" },
    { "future.crt", "a.test", "certificate is not yet valid (depth 0)" },
    { "chain-expired.pem", "a.test", "certificate has expired (depth 1)" },
    { "root-expired-leaf.crt", "a.test", "certificate has expired (depth 1)", ca = "root-expired.crt" },

    -- Names
    { "good.crt", "b.test", NAME },
    { "good.crt", "test", NAME },
    { "good.crt", "x.a.test", NAME },
    { "good.crt", "A.Test", true },
    { "mixed.crt", "a.tEst", true },
    { "good.crt", "a.test.", true, python = { NAME } }, -- "one trailing dot is dropped"; Python compares it
    { "dotted.crt", "a.test", NAME },
    -- "Names match subject alternative names only (never the common name)"; Python looks there where there are none.
    { "cn-only.crt", "a.test", NAME, python = { "ok", NAME } },
    { "uri.crt", "a.test", NAME, python = { "ok", NAME } },
    { "empty.crt", "a.test", NAME, python = { "ok", NAME } },
    { "cn-address.crt", "127.0.0.1", IP },
    { "wildcard.crt", "a.example.com", true },
    { "wildcard.crt", "A.EXAMPLE.com", true },
    { "wildcard.crt", "xn--caf-dma.example.com", true },
    { "wildcard.crt", "a.b.example.com", NAME },
    { "wildcard.crt", "example.com", NAME },
    { "partial.crt", "foo.example.com", NAME },
    { "star.crt", "test", NAME },
    { "star.crt", "a.test", NAME },
    { "star-top.crt", "a.test", NAME }, -- OpenSSL wants two labels behind the star
    { "star-inside.crt", "a.b.example.com", NAME },
    { "star-international.crt", "xn--caf-dma.example.com", NAME },
    { "international.crt", "xn--caf-dma.example.com", true },
    { "address.crt", "127.0.0.1", true },
    { "address.crt", "127.0.0.2", IP },
    { "address.crt", "::1", true },
    { "address.crt", "0:0:0:0:0:0:0:1", true },
    { "address.crt", "a.test", NAME },
    { "address.crt", "::ffff:127.0.0.1", IP },
    { "mapped.crt", "127.0.0.1", IP },
    { "mapped.crt", "::ffff:127.0.0.1", true },
    { "address-as-name.crt", "127.0.0.1", IP },
    { "bytes-as-name.crt", "127.0.0.1", IP },
    { "name-as-address.crt", "a.te", NAME },
    { "nul.crt", "a.test", NAME },
    { "nul.crt", "a.test.evil.com", NAME },
    { "nul-and-good.crt", "a.test", NAME },
    { "nul-and-good.crt", "b.test", true },
    { "comma.crt", "a.test", NAME },
    { "comma.crt", "b.test", NAME },
    { "many.crt", "a.test", true }, -- 10,000 names
    { "many.crt", "n9999", true },
    { "many.crt", "n10000", NAME },

    -- Purpose and strength
    { "server-use.crt", "a.test", true },
    { "client-use.crt", "a.test", PURPOSE },
    { "p384.crt", "a.test", true, key = "p384.key" },
    { "ed25519.crt", "a.test", true, key = "ed25519.key" },
    { "sha1.crt", "a.test", WEAK },
    { "md5.crt", "a.test", WEAK, ca = "root-rsa.crt" },
    { "rsa1024.crt", "a.test", "EE certificate key too weak (depth 0)", key = "rsa1024.key" },

    -- Revocation: "then every certificate of a chain must be covered by one"
    { "good.crt", "a.test", true, crl = { "root.crl" } },
    { "revoked.crt", "a.test", true },
    { "revoked.crt", "a.test", "certificate revoked (depth 0)", crl = { "root.crl" } },
    { "good.crt", "a.test", "CRL has expired (depth 0)", crl = { "old.crl" } },
    { "good.crt", "a.test", "CRL is not yet valid (depth 0)", crl = { "future.crl" } },
    { "good.crt", "a.test", NO_CRL, crl = { "other.crl" } },
    { "chain.pem", "a.test", true, crl = { "root.crl", "inter.crl" } },
    { "chain.pem", "a.test", NO_CRL, crl = { "root.crl" } },
    { "chain.pem", "a.test", "unable to get certificate CRL (depth 1)", crl = { "inter.crl" } },

    -- "the limits are OpenSSL's (100 KiB a chain)"
    { "huge.pem", "a.test", LARGE, err = tls.ERROR_PROTOCOL, python = { "EXCESSIVE_MESSAGE_SIZE" } },
}

-- Clients' certificates, `false`: none.
cases.client = {
    { "good.crt", nil, true },
    { "chain.pem", nil, true },
    { "client-use.crt", nil, true },
    { "wildcard.crt", nil, true },
    { "cn-only.crt", nil, true },
    { false, nil, "the peer has given no certificate", python = { "PEER_DID_NOT_RETURN_A_CERTIFICATE" } },
    { "server-use.crt", nil, PURPOSE },
    { "expired.crt", nil, "certificate has expired (depth 0)" },
    { "future.crt", nil, "certificate is not yet valid (depth 0)" },
    { "self.crt", nil, "self-signed certificate (depth 0)" },
    { "other-leaf.crt", nil, LOCAL },
    { "other-chain.pem", nil, "self-signed certificate in certificate chain (depth 1)" },
    { "inter-leaf.crt", nil, LOCAL },
    { "leaf-as-ca.pem", nil, "invalid CA certificate (depth 1)" },
    { "self.crt", nil, true, ca = "self.crt" },
    { "inter-leaf.crt", nil, true, ca = "inter.crt", python = { "ok", NO_ISSUER } }, -- an anchor, as above
    { "rsa1024.crt", nil, "EE certificate key too weak (depth 0)", key = "rsa1024.key" },
    { "good.crt", nil, true, crl = { "root.crl" } },
    { "revoked.crt", nil, "certificate revoked (depth 0)", crl = { "root.crl" } },
    { "good.crt", nil, "CRL has expired (depth 0)", crl = { "old.crl" } },
    { "good.crt", nil, NO_CRL, crl = { "other.crl" } },
    { "huge.pem", nil, LARGE, err = tls.ERROR_PROTOCOL, python = { "EXCESSIVE_MESSAGE_SIZE" } },
}

return cases
