/* Operations on datagrams. A datagram is received or sent as a whole. */
#ifndef SS_CORE_OP_DGRAM_H
#define SS_CORE_OP_DGRAM_H

#include "core/dgrams.h"
#include "core/op.h"
#include "core/sock.h"

#pragma GCC visibility push(hidden)

struct ss_recvfrom {
    struct ss_op op;
    struct ss_sock *sock;
    struct ss_dgram_state *state; /* the socket's */
    size_t size;                  /* maximum in bytes */
    bool with_sender;
    bool from_queue;       /* `got` came from the queue */
    struct ss_dgrams rest; /* with from_queue: the queue without `got` */
    struct ss_dgram got;
};

/* Receives one datagram (recv(2)). After SS_OK and SS_TRUNCATED, got.data points into the socket's input buffer until
 * ss_recvfrom_done. SS_OK | SS_TRUNCATED | SS_WANT | SS_ERROR. */
enum ss_status ss_recvfrom_step(struct ss_op *op);
void ss_recvfrom_done(struct ss_recvfrom *op);

struct ss_sendto {
    struct ss_op op;
    struct ss_sock *sock;
    const void *data;
    size_t len;
    const struct ss_addr *to; /* NULL: the peer */
};

/* Sends one datagram (send(2)). SS_OK | SS_WANT | SS_ERROR. */
enum ss_status ss_sendto_step(struct ss_op *op);

enum { SS_BATCH_MEMORY = 1024 * 1024 }; /* maximum of a receive's buffers, and of a call's datagrams, in bytes */

struct ss_recvmany {
    struct ss_op op;
    struct ss_sock *sock;
    struct ss_dgram_state *state;
    size_t count, size; /* maximum of datagrams, and of bytes in each; both at least 1 */
};

/* Fills an empty queue. SS_OK: the caller takes up to `count` datagrams, then calls ss_dgram_set_queue | SS_WANT |
 * SS_ERROR. */
enum ss_status ss_recvmany_step(struct ss_op *op);

/* Whether a call that has `n` datagrams, `bytes` bytes in all, takes more. */
static inline bool ss_recvmany_has_room(const struct ss_recvmany *op, size_t n, size_t bytes)
{
    return n < op->count && bytes < SS_BATCH_MEMORY;
}

/* Refills an empty queue without waiting, if the last receive filled its batch and the call takes more. False: no
 * datagram; an error stays pending. */
bool ss_recvmany_refill(struct ss_recvmany *op, size_t n, size_t bytes);

/* Turns UDP_GRO (udp(7)) off for other users of the descriptor. False: the kernel has input, perhaps joined. */
bool ss_dgram_stop_joining(const struct ss_sock *sock, struct ss_dgram_state *state);

/* Replaces the socket's queue by `rest`, and returns the queue's memory to the pool if `rest` is empty. */
void ss_dgram_set_queue(struct ss_sock *sock, struct ss_dgram_state *state, const struct ss_dgrams *rest);

struct ss_sendmany {
    struct ss_op op;
    struct ss_sock *sock;
    struct ss_dgram_state *state;
    const struct iovec *data; /* array of `n` datagrams, the caller's */
    size_t n, sent;
    const struct ss_addr *to; /* NULL: the peer */
    struct os_batch batch;    /* in the caller's memory */
    bool no_split;            /* the kernel refused UDP_SEGMENT: send each datagram alone */
};

/* SS_OK: all sent | SS_WANT | SS_ERROR. `sent` is valid after each outcome. */
enum ss_status ss_sendmany_step(struct ss_op *op);

/* Sets what a send waits for after would-block; `has_dest`: the send names a destination. Returns SS_WANT. */
enum ss_status ss_dgram_want_room(struct ss_op *op, const struct ss_sock *sock, bool has_dest);

#pragma GCC visibility pop

#endif
