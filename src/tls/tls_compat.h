/* What differs between OpenSSL 1.1.1 and later versions. */
#ifndef SS_TLS_COMPAT_H
#define SS_TLS_COMPAT_H

#include <openssl/asn1.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h> /* size_t */

#if OPENSSL_VERSION_NUMBER >= 0x30000000L

#include <openssl/core_names.h> /* OSSL_MAC_PARAM_KEY */
#include <openssl/evp.h>
#include <openssl/params.h>

/* Tickets of TLS 1.3 within the handshake. None: clients that write and leave would not take them. */
enum { SSTLS_HANDSHAKE_TICKETS = 0 };

typedef EVP_MAC_CTX SSTLS_MAC;
#define sstls_set_ticket_callback(ctx, callback) SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, callback)

/* Sets the key of a ticket's HMAC-SHA-256. */
static inline int sstls_mac_init(SSTLS_MAC *mac, unsigned char *key, size_t len)
{
    char digest[] = "sha256";
    OSSL_PARAM params[3];
    params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, len);
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
    params[2] = OSSL_PARAM_construct_end();
    return EVP_MAC_CTX_set_params(mac, params);
}

/* A ticket goes with the next record that is sent. */
static inline void sstls_promise_ticket(SSL *ssl)
{
    SSL_new_session_ticket(ssl);
}

#define sstls_peer_certificate(ssl) SSL_get1_peer_certificate(ssl)
#define sstls_load_directory(store, path) X509_STORE_load_path(store, path)

/* The name of the group of the key exchange, or NULL. */
static inline const char *sstls_group(SSL *ssl)
{
    long id = SSL_get_negotiated_group(ssl);
    return id != 0 ? SSL_group_to_name(ssl, (int)id) : NULL;
}

#else /* 1.1.1 */

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/objects.h>

enum { SSTLS_HANDSHAKE_TICKETS = 1 };

typedef HMAC_CTX SSTLS_MAC;
#define sstls_set_ticket_callback(ctx, callback) SSL_CTX_set_tlsext_ticket_key_cb(ctx, callback)

static inline int sstls_mac_init(SSTLS_MAC *mac, unsigned char *key, size_t len)
{
    return HMAC_Init_ex(mac, key, (int)len, EVP_sha256(), NULL);
}

static inline void sstls_promise_ticket(SSL *ssl)
{
    (void)ssl;
}

#define sstls_peer_certificate(ssl) SSL_get_peer_certificate(ssl)
#define sstls_load_directory(store, path) X509_STORE_load_locations(store, NULL, path)

static inline const char *sstls_group(SSL *ssl)
{
    EVP_PKEY *key = NULL;
    const char *name = NULL;
    if (SSL_get_peer_tmp_key(ssl, &key) && key)
        name = OBJ_nid2sn(EVP_PKEY_id(key));
    EVP_PKEY_free(key);
    return name;
}

#endif

/* Whether the time of a certificate is over, or no time. X509_cmp_current_time(3) is deprecated since 4.0. */
static inline bool sstls_has_expired(const X509 *cert)
{
    int days = 0, seconds = 0;
    bool is_time = ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) == 1; /* NULL: now */
    return !is_time || (days <= 0 && seconds <= 0);
}

#endif
