/* Waiting for descriptors (poll(2)), however many and however large their numbers. */
#ifndef SS_OS_POLL_H
#define SS_OS_POLL_H

#include "core/status.h"

#include <poll.h> /* struct pollfd, for the whole module */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* What was found in `p`, as a set of these. */
enum {
    OS_CAN_READ = 1,
    OS_CAN_WRITE = 2,
    OS_TROUBLE = 4, /* an error or hang-up is pending */
    OS_NOT_OPEN = 8
};

static inline struct pollfd os_poll_for(int fd, bool reading, bool writing)
{
    return (struct pollfd){ .fd = fd, .events = (short)((reading ? POLLIN : 0) | (writing ? POLLOUT : 0)) };
}

int os_poll_found(const struct pollfd *p);

/* Waits until one of `n` is ready, at most timeout_ns (negative: without end).
 * SS_OK: *ready of them are; SS_WANT: a signal came; SS_TIMEOUT; SS_ERROR. */
enum ss_status os_poll(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready, struct ss_error *err);

#pragma GCC visibility pop

#endif
