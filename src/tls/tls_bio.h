/* The bytes below TLS: our BIO over the socket's io. */
#ifndef SS_TLS_BIO_H
#define SS_TLS_BIO_H

#include "core/inbuf.h"

#include <openssl/bio.h>

#pragma GCC visibility push(hidden)

struct sstls_conn;

/* Bytes to be sent: four whole records with 16,384 bytes each, the longest of AES-GCM, which are those of TLS 1.2, and room kept for
 * answers, such as that of KeyUpdate. */
enum { SSTLS_RECORD = 16413, SSTLS_OUT = 4 * SSTLS_RECORD, SSTLS_ANSWERS = 4096 };

/* NULL: no memory. */
BIO_METHOD *sstls_bio_method_new(void);

/* A BIO of the connection. Reads never tell OpenSSL of an end or an error: conn->received has that. NULL: no memory. */
BIO *sstls_bio_new(const BIO_METHOD *method, struct sstls_conn *conn);

/* Whether another record with data may be made. */
bool sstls_has_room(const struct sstls_conn *conn);

/* Provides the memory for it and for a ticket before it. False: there is none. */
bool sstls_reserve(struct sstls_conn *conn);

/* Sends once, in the mode of the socket's io. SS_OK, also when nothing is left | SS_WANT | SS_ERROR. */
enum ss_status sstls_push(struct sstls_conn *conn, struct ss_error *err);

#pragma GCC visibility pop

#endif
