/* Connecting a datagram socket to the first address of a target that connect(2) accepts, where only the look-up waits; and
 * dissolving that. */
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

/* Dissolves the association (connect(2), AF_UNSPEC) and binds the socket to its local address again, which Linux takes away if
 * the system had chosen the port. SS_OK | SS_ERROR: connect(2); bind(2): dissolved and unbound, such as when another socket has
 * taken the port meanwhile. */
enum ss_status ss_sock_dissolve(struct ss_sock *s, struct ss_error *err);

#pragma GCC visibility pop

#endif
