/* Waiting for descriptors (poll(2)), however many and however large their numbers. */
#ifndef SS_OS_POLL_H
#define SS_OS_POLL_H

#include "base/status.h"

#include <errno.h> /* EINVAL */
#include <poll.h>  /* struct pollfd, for the whole module */
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

/* What a system is asked to wait at most: a time_t may have 32 bits, and some systems refuse very long waits. Whoever asked
 * for more looks at its clock and asks again. */
static inline int64_t os_wait_bound(int64_t timeout_ns)
{
    const int64_t day_ns = (int64_t)86400 * 1000000000;
    return timeout_ns < day_ns ? timeout_ns : day_ns;
}

/* Waits until one of `n` is ready, at most timeout_ns (negative: without end).
 * SS_OK: *ready of them are; SS_WANT: a signal came, or so long a wait has to be asked for again; SS_TIMEOUT; SS_ERROR.
 * EINVAL: there are more of them than RLIMIT_NOFILE allows. */
enum ss_status os_poll(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready, struct ss_error *err);

/* The same where poll(2) says EINVAL: with select(2), which knows no such limit but one of its own (FD_SETSIZE: EINVAL). */
enum ss_status os_poll_select(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready, struct ss_error *err);

/* With either. */
static inline enum ss_status os_poll_any(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready,
                                         struct ss_error *err)
{
    enum ss_status st = os_poll(set, n, timeout_ns, ready, err);
    return st == SS_ERROR && err->code == EINVAL ? os_poll_select(set, n, timeout_ns, ready, err) : st;
}

/* Whether one descriptor is ready now: SS_OK | SS_TIMEOUT: no | SS_ERROR. */
enum ss_status os_poll_now(struct pollfd *p, struct ss_error *err);

#pragma GCC visibility pop

#endif
