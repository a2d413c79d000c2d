/* Why a connection has ended: an error with a constant, and a reason for people. */
#ifndef SS_TLS_FAILURE_H
#define SS_TLS_FAILURE_H

#include "tls/tls_stream.h"

#include <openssl/err.h>

#pragma GCC visibility push(hidden)

/* Empties the thread's queue of errors, which is mostly empty: ERR_clear_error(3) goes through it all the same, three thousand
 * instructions in a round trip. */
static inline void sstls_forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

/* The reason where there is none. */
extern const char sstls_no_certificate[];

/* What verification has found, as X509_STORE_CTX_get_error(3) has it. */
int sstls_verify_error(const struct sstls_conn *conn);

/* The first failure stays. Return SS_ERROR, with conn->failure in *err. */
enum ss_status sstls_fail(struct sstls_conn *conn, int code, const char *reason, struct ss_error *err);
enum ss_status sstls_fail_system(struct sstls_conn *conn, const struct ss_error *cause, struct ss_error *err);

/* A certificate that is refused: `error` as X509_STORE_CTX_get_error(3) has it. */
enum ss_status sstls_fail_certificate(struct sstls_conn *conn, int error, int depth, struct ss_error *err);

/* After a call into OpenSSL has failed: as its error queue says, which is then empty. */
enum ss_status sstls_fail_by_queue(struct sstls_conn *conn, struct ss_error *err);

#pragma GCC visibility pop

#endif
