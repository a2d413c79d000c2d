/* Passing descriptors beside the bytes of a Unix stream. */
#ifndef SS_CORE_OP_PASSING_H
#define SS_CORE_OP_PASSING_H

#include "core/op_write.h"
#include "core/sock.h"

#pragma GCC visibility push(hidden)

/* Sends all bytes, and a descriptor with the first of them: it has gone when write.sent > 0. */
struct ss_sendfd {
    struct ss_write write; /* first; write.iov is `iov` */
    struct iovec iov;
    int fd; /* the descriptor to pass */
    struct ss_env *env;
    /* The socket that owns `fd` and is closed when the descriptor has gone, or NULL: `fd` stays open. */
    struct ss_sock *handed;
    unsigned stream;                       /* handed->in.stream at the start */
    bool (*has_unread)(struct ss_sock *s); /* whether `handed` holds what its new owner could not read */
    bool refused;                          /* valid with SS_ERROR: has_unread was true, or `layered`; nothing is sent */
    bool layered; /* valid with `refused`: `handed` has a layer, whose state its new owner would not have */
};

/* SS_OK: all sent | SS_WANT | SS_ERROR, also EBADF: `handed` has been closed meanwhile, and EOPNOTSUPP: there is a layer. */
enum ss_status ss_sendfd_step(struct ss_op *op);

/* Corrects the pointer into a copy of the operation. */
void ss_sendfd_relocate(struct ss_op *copy, const struct ss_op *from);

/* Receives 1 to `max` bytes into the empty input buffer, and what came with them into sock->passed. Bytes that are in
 * the buffer already are SS_OK at once: what came with those has been closed. */
struct ss_recvfd {
    struct ss_op op;
    struct ss_sock *sock;
    size_t max; /* in bytes */
};

/* SS_OK | SS_EOF | SS_WANT | SS_ERROR, also EOPNOTSUPP: there is a layer. */
enum ss_status ss_recvfd_step(struct ss_op *op);

#pragma GCC visibility pop

#endif
