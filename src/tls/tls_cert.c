#include "tls/tls_cert.h"
#include "tls/tls_compat.h"
#include "tls/tls_failure.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>  /* snprintf */
#include <string.h> /* memcpy, memset */

/* Certificates */

static bool describe_digest(struct sstls_cert *cert, const X509 *x509)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!X509_digest(x509, EVP_sha256(), digest, &n) || 2 * n >= sizeof cert->sha256)
        return false;
    for (unsigned i = 0; i < n; i++)
        snprintf(cert->sha256 + (size_t)2 * i, 3, "%02x", digest[i]);
    return true;
}

static bool seconds_since_1970(const ASN1_TIME *time, int64_t *seconds)
{
    ASN1_TIME *begin = ASN1_TIME_set(NULL, 0);
    int days = 0, rest = 0;
    bool is_time = begin && ASN1_TIME_diff(&days, &rest, begin, time);
    *seconds = is_time ? (int64_t)days * 86400 + rest : SSTLS_NO_TIME;
    ASN1_TIME_free(begin);
    return begin != NULL;
}

static void write_lower(BIO *out, const char *text)
{
    for (; *text; text++) {
        char c = (char)(*text >= 'A' && *text <= 'F' ? *text + ('a' - 'A') : *text);
        BIO_write(out, &c, 1);
    }
}

static bool describe_serial(struct sstls_cert *cert, X509 *x509)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), NULL);
    char *text = number ? BN_bn2hex(number) : NULL;
    if (text)
        write_lower(cert->serial, text);
    OPENSSL_free(text);
    BN_free(number);
    return text != NULL;
}

static bool has_control_byte(const unsigned char *text, int len)
{
    for (int i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] == 0x7f)
            return true;
    return false;
}

static void add_dns_name(BIO *names, const ASN1_STRING *name)
{
    const unsigned char *text = ASN1_STRING_get0_data(name);
    int len = ASN1_STRING_length(name);
    if (len == 0 || has_control_byte(text, len))
        return;
    BIO_write(names, text, len);
    BIO_write(names, "\n", 1);
}

static void add_address(BIO *names, const ASN1_STRING *bytes)
{
    struct ss_addr addr;
    char text[SS_HOST_TEXT];
    int len = ASN1_STRING_length(bytes);
    if (len != 4 && len != 16)
        return;
    ss_addr_any(&addr, len == 4 ? AF_INET : AF_INET6, 0);
    memcpy(len == 4 ? (void *)&addr.sa.in.sin_addr : (void *)&addr.sa.in6.sin6_addr, ASN1_STRING_get0_data(bytes),
           (size_t)len);
    ss_addr_host(&addr, text);
    BIO_printf(names, "%s\n", text);
}

static void describe_names(struct sstls_cert *cert, const X509 *x509)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; all && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        if (name->type == GEN_DNS)
            add_dns_name(cert->names, name->d.dNSName);
        else if (name->type == GEN_IPADD)
            add_address(cert->names, name->d.iPAddress);
    }
    GENERAL_NAMES_free(all);
}

static bool make_texts(struct sstls_cert *cert)
{
    BIO **texts[] = { &cert->pem, &cert->subject, &cert->issuer, &cert->serial, &cert->names };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if ((*texts[i] = BIO_new(BIO_s_mem())) == NULL)
            return false;
    return true;
}

/* RFC 4514, with UTF-8 as it is. */
static bool describe_name(BIO *out, const X509_NAME *name)
{
    return X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0;
}

bool sstls_cert_init(struct sstls_cert *cert, X509 *x509)
{
    memset(cert, 0, sizeof *cert);
    if (!make_texts(cert) || !describe_digest(cert, x509) || !describe_serial(cert, x509))
        return false;
    if (!PEM_write_bio_X509(cert->pem, x509) || !describe_name(cert->subject, X509_get_subject_name(x509)) ||
        !describe_name(cert->issuer, X509_get_issuer_name(x509)))
        return false;
    describe_names(cert, x509);
    return seconds_since_1970(X509_get0_notBefore(x509), &cert->notbefore) &&
           seconds_since_1970(X509_get0_notAfter(x509), &cert->notafter);
}

void sstls_cert_fini(struct sstls_cert *cert)
{
    BIO_free(cert->pem);
    BIO_free(cert->subject);
    BIO_free(cert->issuer);
    BIO_free(cert->serial);
    BIO_free(cert->names);
    memset(cert, 0, sizeof *cert);
}

const char *sstls_text_of(BIO *bio, size_t *len)
{
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);
    *len = text && n > 0 ? (size_t)n : 0;
    return *len > 0 ? text : "";
}

/* Connections */

static bool add_to_chain(struct sstls_info *info, X509 *x509)
{
    BIO *pem = BIO_new(BIO_s_mem());
    if (!pem)
        return false;
    info->chain[info->nchain++] = pem;
    return PEM_write_bio_X509(pem, x509) == 1;
}

/* On the server's side OpenSSL leaves the leaf out. */
static bool describe_chain(struct sstls_info *info, const struct sstls_conn *conn, X509 *peer)
{
    const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(conn->ssl);
    int n = chain ? sk_X509_num(chain) : 0;
    bool leaf_first = n > 0 && X509_cmp(sk_X509_value(chain, 0), peer) == 0;
    size_t size = ((size_t)n + 1) * sizeof *info->chain;
    info->chain = OPENSSL_zalloc(size);
    if (!info->chain || (!leaf_first && !add_to_chain(info, peer)))
        return false;
    for (int i = 0; i < n; i++)
        if (!add_to_chain(info, sk_X509_value(chain, i)))
            return false;
    return true;
}

static bool describe_peer(struct sstls_info *info, const struct sstls_conn *conn)
{
    X509 *peer = sstls_peer_certificate(conn->ssl);
    bool done = true;
    info->has_peer = peer != NULL;
    if (peer)
        done = sstls_cert_init(&info->peer, peer) && describe_chain(info, conn, peer);
    X509_free(peer);
    return done;
}

static const char *name_of_cipher(const SSL *ssl)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    const char *name = cipher ? SSL_CIPHER_standard_name(cipher) : NULL;
    return name ? name : cipher ? SSL_CIPHER_get_name(cipher) : NULL;
}

/* SNI, sent or received. */
static void describe_server_name(struct sstls_info *info, const struct sstls_conn *conn)
{
    const char *name = conn->is_address ? "" : conn->name;
    if (conn->server)
        name = SSL_get_servername(conn->ssl, TLSEXT_NAMETYPE_host_name);
    for (size_t i = 0; name && name[i] && i + 1 < sizeof info->name; i++)
        info->name[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + ('a' - 'A') : name[i]);
}

static void describe_protocol(struct sstls_info *info, const struct sstls_conn *conn)
{
    const unsigned char *alpn;
    unsigned len;
    SSL_get0_alpn_selected(conn->ssl, &alpn, &len);
    info->alpn_len = len < sizeof info->alpn ? len : 0;
    if (info->alpn_len > 0)
        memcpy(info->alpn, alpn, len);
}

const char *sstls_verify_text(int error)
{
    return X509_verify_cert_error_string(error);
}

/* Of a resumed session OpenSSL knows the error, and not its depth. */
static void report_verification(struct sstls_info *info, const struct sstls_conn *conn, int error)
{
    const char *text = info->has_peer ? X509_verify_cert_error_string(error) : sstls_no_certificate;
    if (info->has_peer && conn->verify_error != 0)
        snprintf(info->unverified, sizeof info->unverified, "%s (depth %d)", text, conn->verify_depth);
    else
        snprintf(info->unverified, sizeof info->unverified, "%s", text);
}

static void describe_verification(struct sstls_info *info, const struct sstls_conn *conn)
{
    const bool reports = conn->verifies && conn->ctx->reports;
    const int error = reports ? sstls_verify_error(conn) : (int)SSL_get_verify_result(conn->ssl);
    info->verified = conn->verifies && info->has_peer && error == X509_V_OK;
    if (reports && !info->verified)
        report_verification(info, conn, error);
    memcpy(info->errors, conn->verify_errors, sizeof info->errors);
    info->nerrors = conn->nverify_errors;
}

bool sstls_info_init(struct sstls_info *info, struct sstls_conn *conn)
{
    const char *group = sstls_group(conn->ssl);
    memset(info, 0, sizeof *info);
    ERR_clear_error();
    info->version = SSL_get_version(conn->ssl);
    info->cipher = name_of_cipher(conn->ssl);
    snprintf(info->group, sizeof info->group, "%s", group ? group : "");
    info->server = conn->server;
    info->resumed = SSL_session_reused(conn->ssl) == 1;
    memcpy(info->reason, conn->reason, sizeof info->reason);
    describe_server_name(info, conn);
    describe_protocol(info, conn);
    bool done = describe_peer(info, conn);
    describe_verification(info, conn);
    ERR_clear_error();
    return done;
}

void sstls_info_fini(struct sstls_info *info)
{
    if (info->has_peer)
        sstls_cert_fini(&info->peer);
    for (size_t i = 0; i < info->nchain; i++)
        BIO_free(info->chain[i]);
    OPENSSL_free(info->chain);
    memset(info, 0, sizeof *info);
}

/* Channel binding */

/* Without the extended master secret somebody between the ends can make two connections with the same keys (RFC 7627). */
static bool has_keys_of_its_own(SSL *ssl)
{
    return SSL_version(ssl) == TLS1_3_VERSION || SSL_get_extms_support(ssl) == 1;
}

static bool bind_exporter(SSL *ssl, unsigned char *bytes, size_t *len)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    *len = 32;
    if (!has_keys_of_its_own(ssl))
        return false;
    return SSL_export_keying_material(ssl, bytes, *len, label, sizeof label - 1, (const unsigned char *)"", 0, 1) == 1;
}

/* RFC 5929 section 4.1: the hash of the signature, but SHA-256 for MD5 and SHA-1. */
static const EVP_MD *digest_for_binding(X509 *cert)
{
    int digest = NID_undef;
    if (!X509_get_signature_info(cert, &digest, NULL, NULL, NULL) || digest == NID_undef)
        return NULL;
    return digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
}

/* After a resumption OpenSSL does not know which of several certificates the first handshake has shown. */
static bool knows_own_certificate(const struct sstls_conn *conn)
{
    return conn->ctx->ncerts <= 1 || !SSL_session_reused(conn->ssl);
}

static bool bind_end_point(const struct sstls_conn *conn, unsigned char *bytes, size_t *len)
{
    if (conn->server && !knows_own_certificate(conn))
        return false;
    X509 *cert = conn->server ? SSL_get_certificate(conn->ssl) : sstls_peer_certificate(conn->ssl);
    const EVP_MD *digest = cert ? digest_for_binding(cert) : NULL;
    unsigned n = 0;
    bool done = digest && X509_digest(cert, digest, bytes, &n) == 1;
    *len = n;
    if (!conn->server)
        X509_free(cert);
    return done;
}

/* The first Finished message of the handshake: the client's, or the server's where a session is resumed. */
static bool bind_unique(const struct sstls_conn *conn, unsigned char *bytes, size_t *len)
{
    bool resumed = SSL_session_reused(conn->ssl) == 1;
    if (SSL_version(conn->ssl) != TLS1_2_VERSION || (resumed && SSL_get_extms_support(conn->ssl) != 1))
        return false;
    *len = conn->server == resumed ? SSL_get_finished(conn->ssl, bytes, SSTLS_BINDING_MAX)
                                   : SSL_get_peer_finished(conn->ssl, bytes, SSTLS_BINDING_MAX);
    return *len > 0;
}

bool sstls_binding(struct sstls_conn *conn, enum sstls_binding kind, unsigned char bytes[SSTLS_BINDING_MAX],
                   size_t *len)
{
    bool done = false;
    ERR_clear_error();
    switch (kind) {
    case SSTLS_EXPORTER:
        done = bind_exporter(conn->ssl, bytes, len);
        break;
    case SSTLS_SERVER_END_POINT:
        done = bind_end_point(conn, bytes, len);
        break;
    case SSTLS_UNIQUE:
        done = bind_unique(conn, bytes, len);
        break;
    case SSTLS_FINISHED:
        done = (*len = SSL_get_finished(conn->ssl, bytes, SSTLS_BINDING_MAX)) > 0;
        break;
    case SSTLS_PEER_FINISHED:
        done = (*len = SSL_get_peer_finished(conn->ssl, bytes, SSTLS_BINDING_MAX)) > 0;
        break;
    }
    ERR_clear_error();
    return done;
}

bool sstls_export(struct sstls_conn *conn, const char *label, size_t label_len, const unsigned char *context,
                  size_t context_len, unsigned char *bytes, size_t len)
{
    enum { MOST = 65535 }; /* RFC 5705 section 4; OpenSSL would write the lower half of the length */
    if (!has_keys_of_its_own(conn->ssl) || (SSL_version(conn->ssl) == TLS1_2_VERSION && context_len > MOST))
        return false;
    ERR_clear_error();
    int done =
        SSL_export_keying_material(conn->ssl, bytes, len, label, label_len, context, context_len, context != NULL);
    ERR_clear_error();
    return done == 1;
}
