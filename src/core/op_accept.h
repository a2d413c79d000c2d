/* Accepting the next connection of a listening socket. */
#ifndef SS_CORE_OP_ACCEPT_H
#define SS_CORE_OP_ACCEPT_H

#include "core/op.h"
#include "core/sock.h"

#pragma GCC visibility push(hidden)

struct ss_accept {
    struct ss_op op;
    struct ss_sock *listener;
    struct ss_sock *into; /* a new socket, which owns the connection after SS_OK */
    unsigned stream;      /* into->in.stream at the start; a different number: another socket is in the memory */
};

/* accept(2). SS_OK | SS_WANT | SS_ERROR: errno(3), ECANCELED if `into` has ended. */
enum ss_status ss_accept_step(struct ss_op *op);

#pragma GCC visibility pop

#endif
