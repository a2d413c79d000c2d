/* Operations on datagrams: whole or not at all. */
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
    size_t size;                  /* bytes wanted at most */
    bool with_sender;
    bool from_queue;       /* where it came from */
    struct ss_dgrams rest; /* the queue without this datagram */
    struct ss_dgram got;
};

/* The datagram is in memory of the socket until ss_recvfrom_done. SS_OK | SS_TRUNCATED | SS_WANT | SS_ERROR. */
enum ss_status ss_recvfrom_step(struct ss_op *op);
void ss_recvfrom_done(struct ss_recvfrom *op);

struct ss_sendto {
    struct ss_op op;
    struct ss_sock *sock;
    const void *data;
    size_t len;
    const struct ss_addr *to; /* NULL: to the peer */
};

/* SS_OK | SS_WANT | SS_ERROR. */
enum ss_status ss_sendto_step(struct ss_op *op);

enum { SS_BATCH_MEMORY = 1024 * 1024 }; /* bytes of buffers for one receive, and of datagrams that a call takes */

struct ss_recvmany {
    struct ss_op op;
    struct ss_sock *sock;
    struct ss_dgram_state *state;
    size_t count, size; /* at most so many datagrams of at most so many bytes, 1 or more */
};

/* With SS_OK the queue holds datagrams; the caller takes up to `count` and then says ss_queue_left.
 * SS_OK | SS_WANT | SS_ERROR. */
enum ss_status ss_recvmany_step(struct ss_op *op);

/* Whether a call that has `n` datagrams of `bytes` bytes takes more. */
static inline bool ss_recvmany_wants(const struct ss_recvmany *op, size_t n, size_t bytes)
{
    return n < op->count && bytes < SS_BATCH_MEMORY;
}

/* The same when the queue is empty, and receives more into it, without waiting. False: there is none, or it is not wanted. */
bool ss_recvmany_another(struct ss_recvmany *op, size_t n, size_t bytes);

/* Makes the descriptor fit for others, who do not expect joined datagrams. False: some may wait in it. */
bool ss_dgram_unjoin(const struct ss_sock *sock, struct ss_dgram_state *state);

/* Makes `rest` what is left in the queue, and gives its memory back when that is nothing. */
void ss_queue_left(struct ss_sock *sock, struct ss_dgram_state *state, const struct ss_dgrams *rest);

struct ss_sendmany {
    struct ss_op op;
    struct ss_sock *sock;
    struct ss_dgram_state *state;
    const struct iovec *data; /* one datagram each */
    size_t n, sent;
    const struct ss_addr *to; /* NULL: to the peer */
    struct os_batch batch;    /* for sending, of the caller's memory */
    bool whole;               /* the kernel did not take what was joined */
};

/* SS_OK: all sent | SS_WANT | SS_ERROR. */
enum ss_status ss_sendmany_step(struct ss_op *op);

/* What a datagram that did not fit into the queue waits for. */
enum ss_status ss_dgram_want_room(struct ss_op *op, const struct ss_sock *sock, bool to_somebody);

#pragma GCC visibility pop

#endif
