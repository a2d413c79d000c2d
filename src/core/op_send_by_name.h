/* Sending datagrams to the first address of a target that suits the socket, which is opened if need be. */
#ifndef SS_CORE_OP_SEND_BY_NAME_H
#define SS_CORE_OP_SEND_BY_NAME_H

#include "core/op_lookup.h"
#include "core/sock.h"

#pragma GCC visibility push(hidden)

struct ss_send_by_name {
    struct ss_lookup lookup;
    struct ss_sock *sock;
    struct ss_op *send;        /* a ss_sendto or ss_sendmany of the socket */
    const struct ss_addr **to; /* its destination */
    struct ss_addr addr;       /* what that points to */
    bool chosen;               /* addr is */
    bool opened;               /* the socket was, for this call */
};

void ss_send_by_name_init(struct ss_send_by_name *op, struct ss_sock *sock, const struct ss_target *target,
                          struct ss_op *send, const struct ss_addr **to);

#pragma GCC visibility pop

#endif
