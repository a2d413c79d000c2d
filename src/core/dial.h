/* A dial: one attempt to connect a stream socket to one address. */
#ifndef SS_CORE_DIAL_H
#define SS_CORE_DIAL_H

#include "core/sock.h"

#pragma GCC visibility push(hidden)

struct ss_dial {
    int fd;
    int32_t sndtimeo_ms; /* SO_SNDTIMEO of a descriptor that is not the socket's, in milliseconds; 0: none */
    uint16_t own_port;   /* the dialed port, if the system may have given it to this end as well; 0: it cannot have */
    uint8_t family;
    bool on_sock_fd; /* fd is the socket's descriptor, which stays open when the dial fails */
    bool nonblock;   /* O_NONBLOCK: connect(2) must not wait */
};

/* Starts a dial; the caller has set `on_sock_fd` and `nonblock`. ss_addr_fit may change *addr. SS_OK: connected |
 * SS_WANT: in progress; with *retry: nothing in progress, start again later (os_connect) | SS_ERROR. After SS_ERROR
 * and *retry the dial is closed. */
enum ss_status ss_dial_start(struct ss_dial *dial, struct ss_sock *sock, struct ss_addr *addr, bool *retry,
                             struct ss_error *err);

/* The dial to sock->goal, which another call has started on the socket's descriptor. */
struct ss_dial ss_dial_resume(const struct ss_sock *sock);

/* Checks a dial in progress without waiting. SS_OK: connected | SS_WANT | SS_ERROR. */
enum ss_status ss_dial_check(const struct ss_dial *dial, const struct ss_sock *sock, struct ss_error *err);

/* Gives the descriptor of a connected dial to the socket. SS_OK | SS_ERROR: as ss_sock_adopt, or os_nonblock. */
enum ss_status ss_dial_finish(const struct ss_dial *dial, struct ss_sock *sock, struct ss_error *err);

/* Closes a failed dial; the socket's descriptor stays open. */
void ss_dial_close(const struct ss_dial *dial);

/* Ends a dial in progress; the socket's descriptor stays open, disconnected. */
void ss_dial_cancel(const struct ss_dial *dial);

#pragma GCC visibility pop

#endif
