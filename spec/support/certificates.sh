#!/bin/sh
# Makes the certificates of the specs in the directory DIR, which exists.
#
#   spec/support/certificates.sh DIR
#
# ca.pem has signed the others, deep.pem through middle.crt; NAME.pem is a chain with its key behind it.
set -eu
cd "$1"

key() { # NAME
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
}

sign() { # NAME SUBJECT-ALTERNATIVE-NAMES DAYS [EXTENSION...]
    name=$1
    days=$3
    printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\n' "$2" >"$name.ext"
    shift 3
    [ $# -eq 0 ] || printf '%s\n' "$@" >>"$name.ext"
    [ -e "$name.key" ] || key "$name"
    openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
    openssl x509 -req -in "$name.csr" -CA "$by.crt" -CAkey "$by.key" -set_serial "0x$(openssl rand -hex 8)" -days "$days" \
        -extfile "$name.ext" -out "$name.crt"
    cat "$name.crt" "$name.key" >"$name.pem"
}

authority() { # NAME
    key "$1"
    openssl req -x509 -new -key "$1.key" -subj "/CN=$1 of the specs" -days 3650 -out "$1.crt" \
        -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign'
}

exec 3>&2 >log 2>&1
trap '[ $? -eq 0 ] || cat log >&3' EXIT # the exit status stays
by=ca
authority ca
cp ca.crt ca.pem
authority other
cp other.crt other.pem
sign a 'DNS:a.test,DNS:*.wild.test,IP:127.0.0.1,IP:::1' 3650
sign b 'DNS:b.test' 3650
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
sign rsa 'DNS:a.test,IP:127.0.0.1' 3650
openssl genpkey -algorithm ED25519 -out ed25519.key
sign ed25519 'DNS:a.test,IP:127.0.0.1' 3650
sign expired 'DNS:a.test' -1
sign client 'DNS:client.test' 3650 'extendedKeyUsage=clientAuth'
sign old_client 'DNS:client.test' -1 'extendedKeyUsage=clientAuth'
key middle
openssl req -new -key middle.key -subj /CN=middle -out middle.csr
printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n' >middle.ext
openssl x509 -req -in middle.csr -CA ca.crt -CAkey ca.key -set_serial 5 -days 3650 -extfile middle.ext -out middle.crt
by=middle
sign deep 'DNS:a.test' 3650
cat deep.crt middle.crt deep.key >deep.pem
key self
openssl req -x509 -new -key self.key -subj /CN=self -addext 'subjectAltName=DNS:a.test' -days 3650 -out self.crt
cat self.crt self.key >self.pem
openssl pkcs8 -topk8 -in a.key -passout pass:secret -out locked.key
cat a.crt locked.key >locked.pem
openssl x509 -in a.crt -outform DER -out a.der
