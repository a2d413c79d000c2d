#include "tls/tls_failure.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdio.h> /* snprintf */

static void set_reason(struct sstls_conn *conn, const char *reason)
{
    snprintf(conn->reason, sizeof conn->reason, "%s", reason);
}

static enum ss_status keep_failure(struct sstls_conn *conn, struct ss_error failure, const char *reason,
                                   struct ss_error *err)
{
    if (!conn->has_failed) {
        conn->has_failed = true;
        conn->failure = failure;
        set_reason(conn, reason);
    }
    *err = conn->failure;
    return SS_ERROR;
}

enum ss_status sstls_fail(struct sstls_conn *conn, int code, const char *reason, struct ss_error *err)
{
    return keep_failure(conn, (struct ss_error){ SS_TLS, code }, reason, err);
}

enum ss_status sstls_fail_system(struct sstls_conn *conn, const struct ss_error *cause, struct ss_error *err)
{
    return keep_failure(conn, *cause, "", err);
}

enum ss_status sstls_fail_certificate(struct sstls_conn *conn, int error, int depth, struct ss_error *err)
{
    char reason[SSTLS_REASON];
    snprintf(reason, sizeof reason, "%s (depth %d)", X509_verify_cert_error_string(error), depth);
    return sstls_fail(conn, SS_TLS_CERTIFICATE, reason, err);
}

/* RFC 8446 B.2, and what older versions have. OpenSSL's own texts for them lack some, and change. */
static const struct {
    unsigned char number;
    const char *name;
} alerts[] = {
    { 0, "close_notify" },
    { 10, "unexpected_message" },
    { 20, "bad_record_mac" },
    { 21, "decryption_failed" },
    { 22, "record_overflow" },
    { 30, "decompression_failure" },
    { 40, "handshake_failure" },
    { 41, "no_certificate" },
    { 42, "bad_certificate" },
    { 43, "unsupported_certificate" },
    { 44, "certificate_revoked" },
    { 45, "certificate_expired" },
    { 46, "certificate_unknown" },
    { 47, "illegal_parameter" },
    { 48, "unknown_ca" },
    { 49, "access_denied" },
    { 50, "decode_error" },
    { 51, "decrypt_error" },
    { 60, "export_restriction" },
    { 70, "protocol_version" },
    { 71, "insufficient_security" },
    { 80, "internal_error" },
    { 86, "inappropriate_fallback" },
    { 90, "user_canceled" },
    { 100, "no_renegotiation" },
    { 109, "missing_extension" },
    { 110, "unsupported_extension" },
    { 111, "certificate_unobtainable" },
    { 112, "unrecognized_name" },
    { 113, "bad_certificate_status_response" },
    { 114, "bad_certificate_hash_value" },
    { 115, "unknown_psk_identity" },
    { 116, "certificate_required" },
    { 120, "no_application_protocol" },
};

static enum ss_status fail_by_alert(struct sstls_conn *conn, int number, struct ss_error *err)
{
    char unknown[32];
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++)
        if (alerts[i].number == number)
            return sstls_fail(conn, SS_TLS_ALERT, alerts[i].name, err);
    snprintf(unknown, sizeof unknown, "alert %d", number);
    return sstls_fail(conn, SS_TLS_ALERT, unknown, err);
}

/* What libcrypto lacked memory for, libssl reports as an error of its own behind it. */
static int weight_of(unsigned long error)
{
    if (error == 0)
        return 0;
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        return 3;
    return ERR_GET_LIB(error) == ERR_LIB_SSL ? 2 : 1;
}

/* The first error in the queue of those with the most weight; 0: none. The queue is empty afterwards. */
static unsigned long take_cause(void)
{
    unsigned long cause = 0, error;
    while ((error = ERR_get_error()) != 0)
        if (weight_of(error) > weight_of(cause))
            cause = error;
    return cause;
}

static const char *text_of(unsigned long cause)
{
    const char *text = cause != 0 ? ERR_reason_error_string(cause) : NULL;
    return text ? text : "the library gives no reason";
}

const char sstls_no_certificate[] = "the peer has given no certificate";

int sstls_verify_error(const struct sstls_conn *conn)
{
    return conn->verify_error != 0 ? conn->verify_error : (int)SSL_get_verify_result(conn->ssl);
}

static enum ss_status fail_by_cause(struct sstls_conn *conn, unsigned long cause, struct ss_error *err)
{
    int number = ERR_GET_REASON(cause);
    if (number == ERR_R_MALLOC_FAILURE)
        return sstls_fail_system(conn, &ss_no_memory, err);
    if (ERR_GET_LIB(cause) != ERR_LIB_SSL)
        return sstls_fail(conn, SS_TLS_PROTOCOL, text_of(cause), err);
    if (number == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return sstls_fail_certificate(conn, sstls_verify_error(conn), conn->verify_depth, err);
    if (number == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        return sstls_fail(conn, SS_TLS_CERTIFICATE, sstls_no_certificate, err);
    if (number >= SSL_AD_REASON_OFFSET && number < SSL_AD_REASON_OFFSET + 256)
        return fail_by_alert(conn, number - SSL_AD_REASON_OFFSET, err);
    return sstls_fail(conn, SS_TLS_PROTOCOL, text_of(cause), err);
}

enum ss_status sstls_fail_by_queue(struct sstls_conn *conn, struct ss_error *err)
{
    unsigned long cause = take_cause();
    if (conn->lacks_memory)
        return sstls_fail_system(conn, &ss_no_memory, err);
    if (conn->overflowed)
        return sstls_fail(conn, SS_TLS_PROTOCOL, "the peer asks for answers and does not take them", err);
    return fail_by_cause(conn, cause, err);
}
