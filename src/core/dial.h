/* A dial: one attempt to connect a stream socket, to one address. */
#ifndef SS_CORE_DIAL_H
#define SS_CORE_DIAL_H

#include "core/sock.h"

#pragma GCC visibility push(hidden)

struct ss_dial {
    int fd;
    int32_t sndtimeo_ms; /* SO_SNDTIMEO of a descriptor that is not the socket's yet */
    uint8_t family;
    bool own;      /* fd is the socket's own descriptor, which stays its own when the dial fails */
    bool nonblock; /* O_NONBLOCK: connect(2) must not wait in the kernel */
};

/* Starts it, with `own` and `nonblock` set by the caller. SS_OK: connected. SS_WANT: under way, or *retry: the queue of a Unix
 * listener is full, nothing is under way. After SS_ERROR and *retry it is closed. *addr may get another form (ss_addr_fit). */
enum ss_status ss_dial_start(struct ss_dial *dial, struct ss_sock *sock, struct ss_addr *addr, bool *retry,
                             struct ss_error *err);

/* How one that is under way stands, without waiting. SS_OK: connected. SS_WANT | SS_ERROR. */
enum ss_status ss_dial_check(const struct ss_dial *dial, const struct ss_sock *sock, struct ss_error *err);

/* Makes the descriptor of a dial that has connected the socket's own. */
enum ss_status ss_dial_finish(const struct ss_dial *dial, struct ss_sock *sock, struct ss_error *err);

/* The end of a dial that has failed. */
void ss_dial_close(const struct ss_dial *dial);

/* The end of a dial that is under way. */
void ss_dial_cancel(const struct ss_dial *dial);

#pragma GCC visibility pop

#endif
