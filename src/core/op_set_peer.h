/* Connecting a datagram socket, which waits for nobody: to the first address of a target that the system takes. */
#ifndef SS_CORE_OP_SET_PEER_H
#define SS_CORE_OP_SET_PEER_H

#include "core/op_lookup.h"
#include "core/sock.h"

#pragma GCC visibility push(hidden)

struct ss_set_peer {
    struct ss_lookup lookup;
    struct ss_sock *sock;
};

void ss_set_peer_init(struct ss_set_peer *op, struct ss_sock *sock, const struct ss_target *target);

#pragma GCC visibility pop

#endif
