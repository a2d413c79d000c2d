/* Operations on datagrams: whole or not at all. */
#ifndef SS_CORE_OP_DGRAM_H
#define SS_CORE_OP_DGRAM_H

#include "core/op.h"
#include "core/sock.h"
#include "os/os_many.h"

#pragma GCC visibility push(hidden)

struct ss_recvfrom {
    struct ss_op op;
    struct ss_sock *sock;
    size_t size;          /* bytes wanted at most */
    struct ss_addr *from; /* where the sender goes, or NULL */
};

/* The datagram then stands in sock->in, which the caller clears. SS_OK | SS_TRUNCATED | SS_WANT | SS_ERROR. */
enum ss_status ss_recvfrom_step(struct ss_op *op);

struct ss_sendto {
    struct ss_op op;
    struct ss_sock *sock;
    const void *data;
    size_t len;
    const struct ss_addr *to; /* NULL: to the peer */
};

/* SS_OK | SS_WANT | SS_ERROR. */
enum ss_status ss_sendto_step(struct ss_op *op);

struct ss_recvmany {
    struct ss_op op;
    struct ss_sock *sock;
    size_t count, size; /* at most so many datagrams of at most so many bytes, 1 or more */
    struct os_batch batch;
    size_t got;
};

/* The datagrams stand in op->batch, whose memory is that of sock->in. SS_OK | SS_WANT | SS_ERROR. */
enum ss_status ss_recvmany_step(struct ss_op *op);

struct ss_sendmany {
    struct ss_op op;
    struct ss_sock *sock;
    const struct iovec *data; /* one datagram each */
    size_t n, sent;
    const struct ss_addr *to; /* NULL: to the peer */
};

/* SS_OK: all sent | SS_WANT | SS_ERROR. */
enum ss_status ss_sendmany_step(struct ss_op *op);

/* What a datagram that did not fit into the queue waits for. */
enum ss_status ss_dgram_want_room(struct ss_op *op, const struct ss_sock *sock, bool to_somebody);

#pragma GCC visibility pop

#endif
