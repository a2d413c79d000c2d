#!/bin/sh
# Makes the certificates of spec/luasec_x509_spec.lua in the directory DIR, which exists: NAME.crt.
#
#   spec/support/luasec_x509_zoo.sh DIR
#
# All of it is the same each time but for keys, signatures and, in those that are not called dated, dates.
set -eu
cd "$1"

key() { # NAME ALGORITHM [OPTION...]
    name=$1
    shift
    openssl genpkey -out "$name.key" -algorithm "$@"
}

# Certifies a key by itself, with lines of a section for its extensions.
itself() { # NAME KEY SUBJECT EXTENSIONS [OPTION...]
    name=$1 key=$2 subject=$3
    cat >"$name.conf" <<END
oid_section=oids
[oids]
first=1.2.3.4.5.6
second=2.999.1
[req]
distinguished_name=dn
string_mask=${mask:-utf8only}
utf8=yes
prompt=no
x509_extensions=ext
[dn]
CN=unused
[dir]
C=BR
CN=in a name
[ext]
$4
END
    shift 4
    openssl req -x509 -new -utf8 -key "$key.key" -subj "$subject" -days 365 -set_serial "${serial:-7}" \
        -config "$name.conf" -out "$name.crt" "$@"
}

# Certifies the key of `ec` from one date to another.
dated() { # NAME FROM TO
    [ -e index ] || : >index
    openssl ca -config ca.conf -batch -notext -selfsign -keyfile ec.key -in ec.csr -startdate "$2" \
        -enddate "$3" -out "$1.crt"
}

# Certifies a key that cannot sign.
forced() { # NAME
    openssl pkey -in "$1.key" -pubout -out "$1.pub"
    openssl x509 -req -in ec.csr -CA plain.crt -CAkey ec.key -force_pubkey "$1.pub" -set_serial 9 -out "$1.crt"
}

exec 3>&2 >log 2>&1
trap '[ $? -eq 0 ] || cat log >&3' EXIT # the exit status stays

key ec EC -pkeyopt ec_paramgen_curve:P-256
key p384 EC -pkeyopt ec_paramgen_curve:P-384
key p521 EC -pkeyopt ec_paramgen_curve:P-521
key brainpool EC -pkeyopt ec_paramgen_curve:brainpoolP256r1
key explicit EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit
key rsa RSA -pkeyopt rsa_keygen_bits:1024
key odd RSA -pkeyopt rsa_keygen_bits:1019
key pss RSA-PSS -pkeyopt rsa_keygen_bits:1024
key ed25519 ED25519
key ed448 ED448
key x25519 X25519
key dh DH -pkeyopt group:ffdhe2048

itself plain ec /CN=plain ''
itself empty ec / ''
for name in p384 p521 brainpool explicit rsa odd pss ed25519 ed448; do
    itself "$name" "$name" "/CN=$name" ''
done
for md in sha1 md5 sha224 sha384 sha512 sha3-256; do
    itself "rsa-$md" rsa "/CN=$md" '' "-$md"
done
itself ec-sha1 ec /CN=sha1 '' -sha1
itself rsa-pss rsa /CN=pss '' -sigopt rsa_padding_mode:pss
for serial in 0 127 128 0x7fffffffffffffff 0xffffffffffffffff 0x123456789abcdef0123456789abcdef012345678 -1 -128 \
    -129 -0x8000; do
    itself "serial$serial" ec /CN=serial ''
done
serial=7

names='subjectAltName=DNS:a.test,DNS:*.b.test,email:me@a.test,URI:https://a.test/x?y=z,RID:1.2.3.4,dirName:dir'
itself names ec /CN=names "$names,DNS:c.test,email:you@a.test,otherName:1.3.6.1.5.5.7.8.5;UTF8:jid@a.test"
itself other ec /CN=other "subjectAltName=otherName:1.3.6.1.5.5.7.8.5;UTF8:a,otherName:1.3.6.1.5.5.7.8.5;UTF8:b,\
otherName:1.3.6.1.5.5.7.8.7;IA5:_xmpp-client.a.test,otherName:1.2.3.4.5;PRINTABLESTRING:p,otherName:1.2.3.4.5;BMP:bmp,\
otherName:1.3.6.1.4.1.311.20.2.3;UTF8:upn@a.test,otherName:1.2.3.4.6;OCTETSTRING:octets"
itself addresses ec /CN=addresses "subjectAltName=IP:1.2.3.4,IP:255.0.0.255,IP:::,IP:::1,IP:1::,IP:::ffff:1.2.3.4,\
IP:::1.2.3.4,IP:2001:db8::1,IP:1:0:0:2:0:0:0:3,IP:1:0:2:0:3:0:4:0,\
IP:1:2:3:4:5:6:7:8,IP:abcd:EF01::,IP:0:0:1::,IP:::1:0:0:0"
itself critical ec / 'subjectAltName=critical,DNS:a.test'
itself extensions ec /CN=extensions 'basicConstraints=critical,CA:TRUE,pathlen:3
keyUsage=critical,digitalSignature,keyCertSign,cRLSign
extendedKeyUsage=serverAuth,clientAuth,1.2.3.4
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid,issuer
issuerAltName=DNS:issuer.test,URI:http://issuer.test
crlDistributionPoints=URI:http://a.test/list
authorityInfoAccess=OCSP;URI:http://a.test/ocsp
certificatePolicies=1.2.3.4,2.5.29.32.0
nameConstraints=permitted;DNS:a.test,excluded;IP:10.0.0.0/255.0.0.0
tlsfeature=status_request
nsComment=a comment
1.2.3.4.5=critical,DER:0102
1.2.3.4.6=ASN1:UTF8String:unknown
subjectAltName=DNS:a.test'

itself subject ec "/C=BR/ST=São Paulo/L=L/O=O, \"Inc\"/OU=one/OU=two/CN=a.test/emailAddress=me@a.test/serialNumber=12\
/street=S/postalCode=1/title=T/GN=G/SN=S/initials=I/pseudonym=P/dnQualifier=Q/DC=test/DC=a/UID=u/businessCategory=B\
/description=D/generationQualifier=III/name=N/x500UniqueIdentifier=X/jurisdictionC=BR/organizationIdentifier=I" ''
itself several ec '/O=a+OU=b+CN=c/CN=d+serialNumber=5' '' -multivalue-rdn
itself unknown ec '/first=unknown/second=top/CN=u' ''
for mask in default pkix nombstr MASK:0x800 MASK:0x100 MASK:0x4; do
    itself "mask-$mask" ec "/CN=grün €/O=plain" '' || itself "mask-$mask" ec "/CN=grün/O=plain" '' ||
        itself "mask-$mask" ec "/CN=plain/O=plain" ''
done

cat >ca.conf <<'END'
[ca]
default_ca = zoo
[zoo]
database = index
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = optional
END
openssl req -new -key ec.key -subj /CN=dated -config plain.conf -out ec.csr
dated dated-utc 19700101000000Z 20491231235959Z
dated dated-1950 19500101000000Z 19991231235959Z
dated dated-2050 20500101000000Z 20501231235959Z
dated dated-end 20240229123456Z 99991231235959Z
forced x25519
forced dh
sed -n '/BEGIN/,$p' plain.crt | openssl x509 -trustout -addtrust serverAuth -out trusted.crt
{ echo 'a word before it' && cat plain.crt names.crt; } >two.crt
