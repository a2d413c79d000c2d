#!/bin/sh
# Makes the certificates of the specs on LuaSec in the directory DIR, which exists.
#
#   spec/support/luasec_certificates.sh DIR
#
# NAME.crt and NAME.key; all keys are on P-256. ca.crt has signed what is not said to be of another.
set -eu
cd "$1"

key() { # NAME
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
}

authority() { # NAME
    key "$1"
    openssl req -x509 -new -key "$1.key" -subj "/CN=$1 of the specs" -days 3650 -out "$1.crt" \
        -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign'
}

serial=16
sign() { # NAME ISSUER DAYS EXTENSION...
    name=$1 issuer=$2 days=$3
    shift 3
    printf '%s\n' "$@" >"$name.ext"
    key "$name"
    serial=$((serial + 1))
    openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
    openssl x509 -req -in "$name.csr" -CA "$issuer.crt" -CAkey "$issuer.key" -set_serial "$serial" -days "$days" \
        -extfile "$name.ext" -out "$name.crt"
}

# The list of what `ca` has revoked, in a file with ca's certificate: ca-and-list.pem.
revoke() { # NAME
    cat >authority.conf <<'END'
[ca]
default_ca = ca
[ca]
database = index
crlnumber = number
default_md = sha256
default_crl_days = 3650
END
    : >index
    echo 01 >number
    for act in "-revoke $1.crt" '-gencrl -out list.pem'; do
        # shellcheck disable=SC2086 # words
        openssl ca -config authority.conf -cert ca.crt -keyfile ca.key $act
    done
    cat ca.crt list.pem >ca-and-list.pem
}

exec 3>&2 >log 2>&1
trap '[ $? -eq 0 ] || cat log >&3' EXIT # the exit status stays
authority ca
authority other
sign a ca 3650 'subjectAltName=DNS:a.test,IP:127.0.0.1'
sign b ca 3650 'subjectAltName=DNS:b.test'
sign client ca 3650 'extendedKeyUsage=clientAuth' 'subjectAltName=DNS:client.test'
sign serving ca 3650 'extendedKeyUsage=serverAuth' 'subjectAltName=DNS:a.test'
sign stranger other 3650 'subjectAltName=DNS:a.test'
sign expired ca -1 'subjectAltName=DNS:a.test'
sign revoked ca 3650 'subjectAltName=DNS:a.test'
sign middle ca 3650 'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,keyCertSign'
sign leaf middle 3650 'subjectAltName=DNS:a.test'
cat leaf.crt middle.crt >chain.crt
mkdir authorities
cp ca.crt authorities/ca.pem
openssl rehash authorities
cat a.crt a.key >a.pem
cat client.crt client.key >client.pem
revoke revoked
openssl pkcs8 -topk8 -in a.key -passout pass:secret -out locked.key
