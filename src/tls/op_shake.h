/* The handshake, and a look at the ClientHello before it, as operations. */
#ifndef SS_TLS_OP_SHAKE_H
#define SS_TLS_OP_SHAKE_H

#include "core/op.h"
#include "tls/tls_stream.h"

#pragma GCC visibility push(hidden)

struct sstls_shake {
    struct ss_op op;
    struct ss_sock *sock;
    struct sstls_conn *conn; /* owned until it is `installed`; then valid as long as the socket's stream is `stream` */
    unsigned stream;
    bool installed;
    bool keeps; /* for the caller's use: what is not over in time goes on later */
};

/* `conn` is the operation's then. */
void sstls_shake_init(struct sstls_shake *op, struct sstls_conn *conn);

/* Goes on with a handshake that is `kept`. */
void sstls_shake_resume(struct sstls_shake *op, struct sstls_conn *conn);

/* Leaves the handshake to a later operation: the connection is `kept` then, and the socket's transport in any case. False: the
 * socket has been closed, or has another connection. */
bool sstls_shake_leave(struct sstls_shake *op);

/* What an operation waits for that is left: SS_READABLE or SS_WRITABLE. One that has made no step yet needs no wait. */
int sstls_shake_awaits(const struct sstls_shake *op);

/* Its first step makes the connection the socket's transport. SS_OK: done, and sent | SS_WANT | SS_ERROR: conn->reason tells more |
 * SS_BUSY: the socket has become a TLS connection meanwhile, and stays it. */
enum ss_status sstls_shake_step(struct ss_op *op);

/* The connection, unless the socket has been closed since. */
struct sstls_conn *sstls_shake_conn(const struct sstls_shake *op);

struct sstls_hello {
    struct ss_op op;
    struct ss_sock *sock;
    SSL_CTX *ctx;
    SSL *ssl;     /* owned; NULL: not begun */
    BIO *input;   /* the SSL's */
    size_t given; /* bytes of the socket's input that it has been given */
    bool found, malformed, lacks_memory;
    bool version12, version13;
    char name[SS_HOST_MAX + 1]; /* in lower case; "": none */
    unsigned char *alpn;        /* owned; each name behind a byte with its length; NULL: none */
    size_t alpn_len;
};

/* The context of such operations: sees the ClientHello, and stops. NULL: no memory. */
SSL_CTX *sstls_hello_ctx_new(void);

void sstls_hello_init(struct sstls_hello *op, struct ss_sock *sock, SSL_CTX *ctx);

/* Receives into the socket's input, of which it consumes nothing. SS_OK | SS_WANT | SS_ERROR: SS_TLS_PROTOCOL for bytes that are no
 * ClientHello, SS_TLS_EOF where the stream ends before its last byte. */
enum ss_status sstls_hello_step(struct ss_op *op);

/* Another call may have taken input: the operation begins again. */
void sstls_hello_restart(struct sstls_hello *op);

/* A second call is harmless. */
void sstls_hello_fini(struct sstls_hello *op);

#pragma GCC visibility pop

#endif
