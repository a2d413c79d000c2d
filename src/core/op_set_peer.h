/* Connecting a datagram socket to the first address of a target that connect(2) accepts; only the look-up waits. */
#ifndef SS_CORE_OP_SET_PEER_H
#define SS_CORE_OP_SET_PEER_H

#include "core/op_lookup.h"
#include "core/sock.h"

#pragma GCC visibility push(hidden)

struct ss_set_peer {
    struct ss_lookup lookup;
    struct ss_sock *sock;
};

/* Freed with ss_lookup_fini. `sock` and target->host must outlive the operation. Errors: op.error. */
void ss_set_peer_init(struct ss_set_peer *op, struct ss_sock *sock, const struct ss_target *target);

#pragma GCC visibility pop

#endif
