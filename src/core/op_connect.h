/* Connecting a stream: a race of dials to the addresses of a target (RFC 8305 section 5). A single address needs no
 * race, and its connect(2) may wait.
 *
 * On the descriptor of a socket that has one already, dials follow one another. A first round gives each address the time that
 * an address has in a race before the next one is dialed. If none has been reached and some were silent, a second round
 * shares out the time that is left.
 *
 * A socket that was opened (ss_sock_open_for_program) connects to one address, and ss_lookup_fini leaves the dial under way, if
 * the operation ends before it: sock->goal. The next operation with that address goes on with it. */
#ifndef SS_CORE_OP_CONNECT_H
#define SS_CORE_OP_CONNECT_H

#include "core/dial.h"
#include "core/op_lookup.h"

#pragma GCC visibility push(hidden)

enum { SS_DIALS = 16 }; /* maximum of dials in progress in one race */

struct ss_connect {
    struct ss_lookup lookup;
    struct ss_sock *sock;
    struct ss_addr addr; /* the latest dial's */
    bool retry;          /* the latest dial has to be started again */
    bool on_sock_fd;     /* the socket has a descriptor, on which dials follow one another */
    bool goes_on;        /* the socket was opened for it: one address, and the dial outlives the call */
    bool chosen;         /* goes_on: addr is the address */
    bool some_silent;    /* on_sock_fd: a dial of the first round was given up */
    bool second_round;   /* on_sock_fd: the addresses are dialed once more, for longer */
    uint16_t attempt;    /* sock->attempt of the latest dial; a different number: another call uses the descriptor */
    unsigned forks;      /* env->forks at the start */
    unsigned error_rank; /* rank_error of lookup.op.error; 0: no error */
    unsigned ndials;
    struct ss_dial dials[SS_DIALS]; /* in progress, oldest first */
    struct ss_interest wants[SS_DIALS];
};

/* The operation is freed with ss_lookup_fini. `sock` and target->host must outlive the operation. */
void ss_connect_init(struct ss_connect *op, struct ss_sock *sock, const struct ss_target *target);

/* SS_OK | SS_WANT | SS_ERROR: the most specific error of all dials, or the look-up's. */
enum ss_status ss_connect_step(struct ss_op *op);

/* After SS_ERROR: further steps dial all addresses again. */
void ss_connect_restart(struct ss_op *op);

#pragma GCC visibility pop

#endif
