/* Binding a socket to the first address of a target that bind(2) permits. */
#ifndef SS_CORE_OP_BIND_H
#define SS_CORE_OP_BIND_H

#include "core/op_lookup.h"
#include "core/sock.h"

#pragma GCC visibility push(hidden)

struct ss_bind {
    struct ss_lookup lookup;
    struct ss_sock *sock;
    bool replaces_dead; /* the caller's: removes the file of a Unix socket that nobody serves any more */
};

/* Freed with ss_lookup_fini. `sock` and target->host must outlive the operation. Errors: op.error. */
void ss_bind_init(struct ss_bind *op, struct ss_sock *sock, const struct ss_target *target);

#pragma GCC visibility pop

#endif
