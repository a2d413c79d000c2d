#!/bin/sh
# Makes the certificates of spec/tls_zoo_spec.lua in the directory DIR, which exists.
#
#   spec/support/certificate_zoo.sh DIR
#
# All dates are given, so that no clock decides. NAME.crt is one certificate, NAME.key a key (leaf.key is that of most),
# NAME.pem a chain with the leaf first, NAME.crl a revocation list.
set -eu
cd "$1"

cat >ca.conf <<'END'
[ca]
default_ca = zoo
[zoo]
database = $ENV::DATABASE
new_certs_dir = copies
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = optional
[req]
distinguished_name = none
prompt = no
[none]
commonName = none
END
mkdir copies
export DATABASE=all.txt
: >all.txt

from=20200101000000Z
to=20991231235959Z
md=sha256
key=leaf
ca='basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash'

request() { # KEY
    openssl req -new -config ca.conf -key "$1.key" -out "$1.csr"
}

keys() {
    for name in root inter other leaf; do
        openssl ecparam -name prime256v1 -genkey -noout -out "$name.key"
        request "$name"
    done
    openssl ecparam -name secp384r1 -genkey -noout -out p384.key
    openssl genpkey -algorithm ed25519 -out ed25519.key
    openssl genrsa -out rsa1024.key 1024
    openssl genrsa -out rsa.key 2048 # ECDSA has no signatures with MD5
    for name in p384 ed25519 rsa1024 rsa; do
        request "$name"
    done
}

# Certifies the key of $key; CN is the subject's common name.
certify() { # NAME ISSUER ISSUER-KEY EXTENSIONS [CN]
    printf '%s\n' "$4" >"$1.ext"
    openssl ca -config ca.conf -batch -notext -in "$key.csr" -subj "/CN=${5-$1}" -startdate "$from" -enddate "$to" \
        -md "$md" -extfile "$1.ext" -cert "$2.crt" -keyfile "$3.key" -out "$1.crt"
}

itself() { # NAME EXTENSIONS [CN]
    printf '%s\n' "$2" >"$1.ext"
    openssl ca -config ca.conf -batch -notext -in "$key.csr" -subj "/CN=${3-$1}" -startdate "$from" -enddate "$to" \
        -extfile "$1.ext" -selfsign -keyfile "$key.key" -out "$1.crt"
}

san() { # NAME SUBJECT-ALTERNATIVE-NAMES [CN]
    certify "$1" root root "subjectAltName=$2" "${3-$1}"
}

chain() { # NAME CERTIFICATE...
    name=$1
    shift
    for part in "$@"; do
        cat "$part.crt"
    done >"$name.pem"
}

authorities() {
    key=root itself root "$ca"
    key=other itself other "$ca"
    key=root to=20210101000000Z itself root-expired "$ca"
    key=inter certify inter root root "$ca"
    key=inter to=20210101000000Z certify inter-expired root root "$ca" inter
    key=rsa itself root-rsa "$ca"
    key=other itself root-lax 'basicConstraints=CA:TRUE'
}

dates() {
    certify good root root 'subjectAltName=DNS:a.test'
    certify inter-leaf inter inter 'subjectAltName=DNS:a.test'
    chain chain inter-leaf inter
    chain chain-disordered inter-leaf root inter
    chain chain-expired inter-leaf inter-expired
    to=20210101000000Z san expired DNS:a.test
    from=20900101000000Z san future DNS:a.test
    certify root-expired-leaf root-expired root 'subjectAltName=DNS:a.test'
    itself self 'subjectAltName=DNS:a.test'
    certify other-leaf other other 'subjectAltName=DNS:a.test'
    chain other-chain other-leaf other
    certify lax-leaf root-lax other 'subjectAltName=DNS:a.test'
}

# A root that an older one has signed too, and the older one has expired.
crossed() {
    key=other to=20210101000000Z itself old-root "$ca"
    key=inter itself new-root "$ca"
    key=inter certify new-root-crossed old-root other "$ca" new-root
    certify crossed-leaf new-root inter 'subjectAltName=DNS:a.test'
    chain crossed crossed-leaf new-root-crossed
    cat old-root.crt new-root.crt >both-roots.crt
}

# SubjectAltNames that openssl's own syntax does not write are given in DER: dNSName is 82, iPAddress 87.
names() {
    certify cn-only root root 'keyUsage=digitalSignature' a.test
    certify cn-address root root 'keyUsage=digitalSignature' 127.0.0.1
    san wildcard 'DNS:*.example.com'
    san partial 'DNS:f*.example.com'
    san star 'DNS:*'
    san star-top 'DNS:*.test'
    san star-inside 'DNS:a.*.example.com'
    san star-international 'DNS:xn--*.example.com'
    san international 'DNS:xn--caf-dma.example.com'
    san address 'IP:127.0.0.1,IP:::1'
    san mapped 'IP:::ffff:127.0.0.1'
    san address-as-name 'DNS:127.0.0.1'
    san bytes-as-name 'DER:30:06:82:04:7f:00:00:01'
    san name-as-address 'IP:97.46.116.101' # the bytes of "a.te"
    san uri 'URI:https\://a.test/,email:a.test@a.test' a.test
    san nul 'DER:30:13:82:11:61:2e:74:65:73:74:00:2e:65:76:69:6c:2e:63:6f:6d:00' a.test # "a.test\0.evil.com\0"
    san nul-and-good 'DER:30:12:82:08:61:2e:74:65:73:74:00:78:82:06:62:2e:74:65:73:74'  # "a.test\0x", "b.test"
    san comma 'DER:30:13:82:11:61:2e:74:65:73:74:2c:44:4e:53:3a:62:2e:74:65:73:74'      # "a.test,DNS:b.test"
    san empty 'DER:30:00' a.test
    san dotted 'DNS:a.test.'
    san mixed 'DNS:A.TeST'
    {
        echo 'subjectAltName=@all'
        echo '[all]'
        awk 'BEGIN { for (i = 1; i < 10000; i++) print "DNS." i "=n" i; print "DNS.10000=a.test" }'
    } >many.list
    certify many root root "$(cat many.list)"
    chain huge many many many
}

uses() {
    certify client-use root root 'subjectAltName=DNS:a.test
extendedKeyUsage=clientAuth'
    certify server-use root root 'subjectAltName=DNS:a.test
extendedKeyUsage=serverAuth'
    certify leaf-ca root root 'basicConstraints=critical,CA:FALSE
subjectKeyIdentifier=hash'
    certify below-leaf leaf-ca leaf 'subjectAltName=DNS:a.test'
    chain leaf-as-ca below-leaf leaf-ca
    key=inter certify short root root 'basicConstraints=critical,CA:TRUE,pathlen:0'
    key=other certify beyond short inter "$ca"
    certify too-long-leaf beyond other 'subjectAltName=DNS:a.test'
    chain too-long too-long-leaf beyond short
    key=inter certify constrained root root "$ca
nameConstraints=critical,permitted;DNS:example.com,excluded;DNS:bad.example.com"
    for host in a.test a.example.com bad.example.com; do
        certify "constrained-$host-leaf" constrained inter "subjectAltName=DNS:$host"
        chain "constrained-$host" "constrained-$host-leaf" constrained
    done
}

strength() {
    md=sha1 certify sha1 root root 'subjectAltName=DNS:a.test'
    md=md5 certify md5 root-rsa rsa 'subjectAltName=DNS:a.test'
    key=rsa1024 certify rsa1024 root root 'subjectAltName=DNS:a.test'
    key=p384 certify p384 root root 'subjectAltName=DNS:a.test'
    key=ed25519 certify ed25519 root root 'subjectAltName=DNS:a.test'
    issuer=root
    issuer_key=root
    list=
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do
        key=inter certify "deep$i" "$issuer" "$issuer_key" "$ca"
        issuer=deep$i
        issuer_key=inter
        list="deep$i $list"
    done
    certify deep-leaf deep18 inter 'subjectAltName=DNS:a.test'
    # shellcheck disable=SC2086 # names
    chain deep deep-leaf $list
}

list() { # NAME ISSUER KEY FROM TO [REVOKED]
    export DATABASE="$1.txt"
    : >"$DATABASE"
    [ $# -lt 6 ] || openssl ca -config ca.conf -cert "$2.crt" -keyfile "$3.key" -revoke "$6.crt"
    openssl ca -config ca.conf -cert "$2.crt" -keyfile "$3.key" -gencrl -crl_lastupdate "$4" -crl_nextupdate "$5" \
        -out "$1.crl"
    export DATABASE=all.txt
}

lists() {
    san revoked DNS:a.test
    list root root root "$from" "$to" revoked
    list inter inter inter "$from" "$to"
    list old root root "$from" 20210101000000Z
    list future root root 20900101000000Z "$to"
    list other other other "$from" "$to"
}

# Files as they should not be, or may be.
files() {
    cat good.crt leaf.key >one.pem
    cat leaf.key good.crt >key-first.pem
    {
        printf 'Subject: of somebody\r\n\r\n'
        sed 's/$/\r/' good.crt
        printf '\r\n  and its key\r\n'
        sed 's/$/\r/' leaf.key
    } >crlf.pem
    sed 's/$/\r/' root.crt | sed '1i # a root\r' >root-crlf.crt
    openssl pkcs8 -topk8 -in leaf.key -passout pass:secret -out locked.key
    openssl ec -in leaf.key -aes128 -passout pass:secret -out locked-old.key
    cat good.crt locked.key >locked.pem
    openssl x509 -in good.crt -outform DER -out good.der
    openssl pkey -in leaf.key -outform DER -out leaf.der
    openssl crl -in root.crl -outform DER -out root.crl.der
    : >empty
    head -n 4 good.crt >cut.crt
    sed '2s/^..../!!!!/' good.crt >damaged.crt
    cat good.crt damaged.crt >damaged-chain.pem
    cat root.crt damaged.crt >damaged-roots.crt
    mkdir directory hashed
    cp root.crt hashed
    openssl rehash hashed
    mkfifo fifo
}

exec 3>&2 >log 2>&1
trap '[ $? -eq 0 ] || cat log >&3' EXIT # the exit status stays
keys
authorities
dates
crossed
names
uses
strength
lists
files
