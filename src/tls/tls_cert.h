/* What a program may know of a connection, as plain data. */
#ifndef SS_TLS_CERT_H
#define SS_TLS_CERT_H

#include "tls/tls_stream.h"

#include <openssl/bio.h>

#pragma GCC visibility push(hidden)

enum { SSTLS_SHA256_HEX = 65 };

struct sstls_cert {
    BIO *pem, *subject, *issuer, *serial; /* texts in memory; owned */
    BIO *names;                           /* each name with a line feed behind it; owned */
    char sha256[SSTLS_SHA256_HEX];
    int64_t notbefore, notafter; /* seconds since 1970, or SSTLS_NO_TIME */
};
#define SSTLS_NO_TIME INT64_MIN /* what the peer has sent there is no time */

/* Describes a certificate. False: no memory; sstls_cert_fini in any case. */
bool sstls_cert_init(struct sstls_cert *cert, X509 *x509);
void sstls_cert_fini(struct sstls_cert *cert);

struct sstls_info {
    const char *version, *cipher; /* static texts */
    char group[64];               /* "": none */
    char name[SS_HOST_MAX + 1];   /* SNI; "": none */
    char alpn[256];
    size_t alpn_len;               /* 0: none */
    char reason[SSTLS_REASON];     /* "": the connection has not failed */
    char unverified[SSTLS_REASON]; /* why the peer is not `verified`, where that is reported; "": it is, or it is not */
    struct sstls_verify_error errors[SSTLS_VERIFY_ERRORS];
    size_t nerrors;
    bool server, resumed, verified;
    bool has_peer;
    struct sstls_cert peer;
    BIO **chain; /* texts of PEM; owned */
    size_t nchain;
};

/* Describes a connection, which may be closed then. False: no memory; sstls_info_fini in any case. */
bool sstls_info_init(struct sstls_info *info, struct sstls_conn *conn);
void sstls_info_fini(struct sstls_info *info);

const char *sstls_verify_text(int error);

/* The text in a BIO's memory. */
const char *sstls_text_of(BIO *bio, size_t *len);

enum sstls_binding { SSTLS_EXPORTER, SSTLS_SERVER_END_POINT, SSTLS_UNIQUE, SSTLS_FINISHED, SSTLS_PEER_FINISHED };
enum { SSTLS_BINDING_MAX = 64 }; /* bytes: EVP_MAX_MD_SIZE */

/* Channel binding (RFC 9266, RFC 5929). False: the kind does not apply to this connection. */
bool sstls_binding(struct sstls_conn *conn, enum sstls_binding kind, unsigned char bytes[SSTLS_BINDING_MAX],
                   size_t *len);

/* Exported keying material (RFC 8446 section 7.5, RFC 5705). `context`: NULL: none. False: refused, for its length or label. */
bool sstls_export(struct sstls_conn *conn, const char *label, size_t label_len, const unsigned char *context,
                  size_t context_len, unsigned char *bytes, size_t len);

#pragma GCC visibility pop

#endif
