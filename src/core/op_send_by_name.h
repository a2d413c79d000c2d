/* Sending datagrams to the first address of a target that the socket can use. An unopened socket is opened. */
#ifndef SS_CORE_OP_SEND_BY_NAME_H
#define SS_CORE_OP_SEND_BY_NAME_H

#include "core/op_lookup.h"
#include "core/sock.h"

#pragma GCC visibility push(hidden)

struct ss_send_by_name {
    struct ss_lookup lookup;
    struct ss_sock *sock;
    struct ss_op *send;        /* a ss_sendto or ss_sendmany on the socket, the caller's */
    const struct ss_addr **to; /* the destination member of `send` */
    struct ss_addr addr;       /* the destination */
    bool chosen;               /* `addr` is valid */
    bool opened;               /* this call opened the socket */
};

/* `to`: the destination member of `send`. The arguments must outlive the operation; freed with ss_lookup_fini. */
void ss_send_by_name_init(struct ss_send_by_name *op, struct ss_sock *sock, const struct ss_target *target,
                          struct ss_op *send, const struct ss_addr **to);

#pragma GCC visibility pop

#endif
