/* A TLS connection of ours over a scripted descriptor, and OpenSSL over memory as its peer, in one process. The program is
 * linked with --wrap for os_recv and os_send. */
#ifndef TLS_RIG_H
#define TLS_RIG_H

#include "core/op.h"
#include "heap.h"
#include "tls/op_shake.h"
#include "tls/tls_stream.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h> /* size_t */

enum { WIRE_SIZE = 4 << 20, GOT_SIZE = 1 << 20 };

/* What the descriptor does. Positions count bytes from the beginning of the connection; SIZE_MAX: nowhere. */
struct wire {
    unsigned char *in, *out; /* WIRE_SIZE bytes each: from the peer, and to it */
    size_t in_len, in_at, out_len;
    size_t read_most, send_most; /* bytes of a call; `send_most` 0: no room */
    bool send_leaves_one;        /* of two bytes and more */
    bool wants;                  /* each call that transfers comes behind one that does not */
    bool wanted[2];
    size_t split_in, split_out; /* no call goes beyond, and one there does not transfer */
    size_t cut_in, cut_out;     /* there it ends, with an errno(3) number, or 0: the end of the stream */
    int code;
    size_t flip_at; /* of the input, whose byte is XORed with */
    unsigned char flip;
    bool ends;    /* the peer has closed the connection behind what it has sent */
    bool answers; /* a receive that finds nothing lets the peer run */
    unsigned recvs, sends, waits;
};

struct tls_kind {
    bool server; /* are we */
    bool tls12;
    bool client_ca; /* as a server we ask for a certificate, which the peer has */
    size_t sessions;
    const char *ciphers; /* of TLS 1.2, or NULL */
};

struct tls_rig {
    struct heap heap;
    struct ss_env env;
    struct sstls_state state;
    struct sstls_ctx *ctx;
    SSL_CTX *peer_ctx;
    struct tls_kind kind;
    /* Of one connection: */
    struct ss_sock sock;
    struct sstls_conn *conn;
    struct sstls_shake shake;
    struct wire wire;
    SSL *peer;
    BIO *to_peer, *from_peer; /* owned by `peer` */
    unsigned char *got;       /* the peer's plain text */
    size_t got_len;
    unsigned long peer_error; /* the first */
    bool peer_deaf;           /* it does not read */
    unsigned char secret[32]; /* with which the peer seals in TLS 1.3 */
    unsigned long sequence;   /* of the next record that is forged */
    void (*route)(struct tls_rig *rig, const unsigned char *bytes,
                  size_t n); /* takes what the peer sends; NULL: the wire does */
};

/* Whether a step of ours runs, rather than the peer. */
extern bool tls_rig_runs_ours;

void tls_rig_open(struct tls_rig *rig, const struct tls_kind *kind);

/* Checks that no memory is left. */
void tls_rig_close(struct tls_rig *rig);

/* A new socket with a connection, and a new peer; nothing is sent. */
void tls_rig_connect(struct tls_rig *rig);

/* Checks that no error is left in OpenSSL's queue. */
void tls_rig_disconnect(struct tls_rig *rig);

/* Lets the peer read and answer what it can. */
void tls_rig_run_peer(struct tls_rig *rig);

/* Steps, in turn with the peer, until there is an outcome. SS_TIMEOUT: nothing moves any more. */
enum ss_status tls_rig_drive(struct tls_rig *rig, struct ss_op *op, enum ss_mode mode);

/* The handshake; on SS_OK the peer's is over, too. */
enum ss_status tls_rig_shake(struct tls_rig *rig);

/* Connects and shakes hands, which succeeds. */
void tls_rig_establish(struct tls_rig *rig);

/* Reads `n` bytes of ours into `bytes`; *got: how many there are, also after a failure. */
enum ss_status tls_rig_read(struct tls_rig *rig, void *bytes, size_t n, size_t *got, struct ss_error *err);

/* One step of a read in a mode. */
enum ss_status tls_rig_try_read(struct tls_rig *rig, enum ss_mode mode, void *bytes, size_t n, size_t *got,
                                struct ss_error *err);

/* Writes of ours. *sent: what the call has counted. */
enum ss_status tls_rig_write(struct tls_rig *rig, const void *bytes, size_t n, size_t *sent, struct ss_error *err);
enum ss_status tls_rig_try_write(struct tls_rig *rig, enum ss_mode mode, const void *bytes, size_t n, size_t *sent,
                                 struct ss_error *err);

/* Ends our output, until it is sent, or fails. */
enum ss_status tls_rig_end(struct tls_rig *rig, struct ss_error *err);

/* A record of the peer, and its close_notify, on the wire. */
void tls_rig_peer_write(struct tls_rig *rig, const void *bytes, size_t n);
void tls_rig_peer_end(struct tls_rig *rig);

/* Bytes on the wire, whatever they are. */
void tls_rig_inject(struct tls_rig *rig, const void *bytes, size_t n);

/* The types of records and the messages in them. */
enum { CCS = 20, ALERT = 21, HANDSHAKE = 22, DATA = 23, KEY_UPDATE = 24, NEW_SESSION_TICKET = 4 };

/* A record of TLS 1.3 that the peer, whose keys these are, would not send: inner type `type`, `pad` zero bytes behind the
 * content. From the first one on the peer itself must not send. */
void tls_rig_forge(struct tls_rig *rig, int type, const void *bytes, size_t n, size_t pad);
void tls_rig_forge_alert(struct tls_rig *rig, int level, int number);

/* And new keys behind it. */
void tls_rig_forge_key_update(struct tls_rig *rig, bool requested);

/* Text of PEM, always the same: a certificate for a.test and its key; the key is Ed25519, so that each handshake has the same length. */
const char *tls_rig_pem(void);

#endif
