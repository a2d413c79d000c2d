-- Where nobody is to be trusted: an authority, since `ssocket.tls` trusts the system where it is told nothing, and its
-- revocation list, since it checks nothing where there is none. Both have expired, and nobody has the key.

local nobody = {}

nobody.CERTIFICATE = [[
-----BEGIN CERTIFICATE-----
MIIBJTCBzaADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBm5vYm9keTAe
Fw03MDAxMDEwMDAwMDBaFw03MDAxMDEwMDAwMDFaMBExDzANBgNVBAMMBm5vYm9k
eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAH1RQB/w5Zfk5o2WOIx6J0hUi6f
KlvoOx77EgRIXucBfN5buvCf2aBEHYhBi5SNiD80VvLsDhp2Z7YOGkQGq3GjFjAU
MBIGA1UdEwEB/wQIMAYBAf8CAQAwCgYIKoZIzj0EAwIDRwAwRAIgCRJEONvlvNso
Qz95IXf9Bnj7S5T2iKi2QpsEo5kobWwCIDp0y3/AWkIccQzkjigdbYADdoatsjlb
Z9LbsPBa77QK
-----END CERTIFICATE-----
]]

nobody.REVOCATIONS = [[
-----BEGIN X509 CRL-----
MIGYMEACAQEwCgYIKoZIzj0EAwIwETEPMA0GA1UEAwwGbm9ib2R5Fw03MDAxMDEw
MDAwMDBaFw03MDAxMDEwMDAwMDFaMAoGCCqGSM49BAMCA0gAMEUCIA/IAf7A4AVK
+iQW9IgZY/iHb/7G5EYNeMj6xRxahVAsAiEAyNp7n4O4/ZjV3D6qZ+hn/Uyosu/d
t2+Y019l3E1xyII=
-----END X509 CRL-----
]]

return nobody
