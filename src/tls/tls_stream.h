/* A TLS connection as the transport of a stream socket.
 *
 * A write never needs to read, for renegotiation is off, and no record is ever pending inside OpenSSL, for the block of bytes to
 * be sent always takes a whole one. So a reader waits for input alone, and a writer for room. There is one exception: when a
 * message such as a ticket has come in part, cut into records, OpenSSL writes nothing before it has the rest. */
#ifndef SS_TLS_STREAM_H
#define SS_TLS_STREAM_H

#include "core/codes.h"
#include "core/sock.h"
#include "core/tls_codes.h"
#include "tls/tls_ctx.h"

#include <openssl/ssl.h>

#pragma GCC visibility push(hidden)

/* The socket is a TLS connection already; its handshake is not over. */
extern const struct ss_error sstls_already, sstls_unfinished;

enum { SSTLS_REASON = 160, SSTLS_VERIFY_ERRORS = 8 };

/* What verification has found: X509_STORE_CTX_get_error(3), and of which certificate. */
struct sstls_verify_error {
    int error, depth;
};

struct sstls_conn {
    struct ss_transport calls; /* first: the socket's transport */
    struct ss_sock *sock;
    struct sstls_ctx *ctx; /* counted */
    SSL *ssl;
    struct ss_inbuf raw; /* received, not decrypted */
    struct ss_inbuf out; /* encrypted, not sent */
    size_t data_left;    /* bytes of `out`, up to the end of the last record with data */
    unsigned forks;      /* of the environment, when this was made */
    uint32_t records;    /* sent with the present key */
    /* The last receive of the BIO that brought nothing: */
    enum ss_status received; /* SS_WANT, SS_EOF or SS_ERROR */
    struct ss_error received_error;
    struct ss_error failure;        /* each later call has it; valid with `has_failed` */
    int verify_error, verify_depth; /* of the certificate that was refused, or reported; 0: none */
    struct sstls_verify_error
        verify_errors[SSTLS_VERIFY_ERRORS]; /* where they are reported: the first ones, that one too */
    uint8_t nverify_errors;
    uint16_t port; /* the peer's; 0: none */
    uint8_t idle;  /* records in a row that brought no data */
    bool server : 1, verifies : 1;
    bool is_address : 1;    /* `name` is an address */
    bool established : 1;   /* the handshake is over */
    bool kept : 1;          /* the handshake is not, and no call runs it: a later one goes on */
    bool has_failed : 1;    /* `failure` ends the connection */
    bool starved : 1;       /* set by the BIO: there is no input for now */
    bool fed : 1;           /* set by the BIO: it has given input */
    bool held : 1;          /* the BIO takes what is in memory and receives nothing */
    bool overflowed : 1;    /* an answer had no room */
    bool lacks_memory : 1;  /* for the block of bytes to be sent */
    bool input_ended : 1;   /* by the peer's close_notify */
    bool reading_ended : 1; /* by the program */
    bool output_ended : 1;  /* close_notify is sent, or about to be */
    bool ticket_due : 1;    /* goes before the first data */
    bool named : 1;         /* server: `name` is set */
    char name[SS_HOST_MAX +
              1]; /* client: the peer's, in lower case; server: as the client's first hello has it; "": none */
    char reason[SSTLS_REASON]; /* of the failure, for people; "": none */
};

/* The calls of a connection. */
extern const struct ss_transport sstls_transport;

/* Beginning and end (tls_conn.c) */

/* A connection of `sock` that is not its transport yet. NULL: no memory. */
struct sstls_conn *sstls_conn_new(struct ss_sock *sock, struct sstls_ctx *ctx, bool server);

/* Before the handshake of a client: whom to verify, unless the context tells, and to tell by SNI, unless it is an address. False:
 * no memory. */
bool sstls_conn_set_name(struct sstls_conn *conn, const char *name, bool is_address);

/* A server's client has sent that name, or none (""). False: it has sent another one before. */
bool sstls_conn_is_named(struct sstls_conn *conn, const char *name);

/* Makes it the socket's transport. What the socket has received is the beginning of the peer's bytes. */
void sstls_conn_install(struct sstls_conn *conn);

/* Only if it is no socket's transport. */
void sstls_conn_free(struct sstls_conn *conn);

/* The stream (tls_stream.c) */

/* The connection of a socket, or NULL. */
struct sstls_conn *sstls_conn_of(const struct ss_sock *sock);

/* Whether fork(2) has made this process since the connection was made. */
bool sstls_is_foreign(const struct sstls_conn *conn);

/* Before a call of OpenSSL that may read or write records. Of the connections of a Lua state only the last one with such a call keeps
 * OpenSSL's buffers, 33 KiB; another one gives its own back, except for one with a record that has come in part. */
void sstls_hold_buffers(struct sstls_conn *conn);

/* Sends what is left. SS_OK | SS_WANT | SS_ERROR. */
enum ss_status sstls_flush(struct sstls_conn *conn, struct ss_error *err);

/* The same without waiting, in any mode but SS_NO_CALL. */
enum ss_status sstls_flush_at_once(struct sstls_conn *conn, struct ss_error *err);

/* Whether a send has failed since the peer is gone, which may have said why before. */
bool sstls_is_gone(const struct ss_error *err);

/* The outcome of a call that found no input: SS_WANT | SS_EOF, SS_ERROR: as received. */
enum ss_status sstls_starved(struct sstls_conn *conn, struct ss_error *err);

#pragma GCC visibility pop

#endif
