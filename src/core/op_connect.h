/* Connecting a stream: a race of dials to the addresses of a target (RFC 8305 section 5). One address alone has nothing to
 * race, and may wait in the kernel. */
#ifndef SS_CORE_OP_CONNECT_H
#define SS_CORE_OP_CONNECT_H

#include "core/dial.h"
#include "core/op_lookup.h"

#pragma GCC visibility push(hidden)

enum { SS_DIALS = 16 }; /* of one race that are under way at once, at most */

struct ss_connect {
    struct ss_lookup lookup;
    struct ss_sock *sock;
    struct ss_addr addr; /* of the latest dial */
    bool retry;          /* the latest dial is to be started again */
    bool own;            /* the socket has a descriptor already: it alone dials, to one address after another */
    uint16_t attempt;    /* sock->attempt of that; another number there: the descriptor is not this call's any more */
    unsigned forks;      /* env->forks when it began */
    unsigned error_rank; /* how much op.error tells; 0: there is none */
    unsigned ndials;
    struct ss_dial dials[SS_DIALS]; /* under way, in the order in which they started */
    struct ss_interest wants[SS_DIALS];
};

void ss_connect_init(struct ss_connect *op, struct ss_sock *sock, const struct ss_target *target);

/* SS_OK | SS_WANT | SS_ERROR. */
enum ss_status ss_connect_step(struct ss_op *op);

#pragma GCC visibility pop

#endif
