/* Waiting for descriptors (poll(2)) without FD_SETSIZE limits. */
#ifndef SS_OS_POLL_H
#define SS_OS_POLL_H

#include "base/status.h"

#include <errno.h> /* EINVAL */
#include <poll.h>  /* struct pollfd, for the whole module */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* Results of os_poll_found, which converts `revents`. */
enum {
    OS_CAN_READ = 1,
    OS_CAN_WRITE = 2,
    OS_TROUBLE = 4, /* error or hang-up */
    OS_NOT_OPEN = 8
};

static inline struct pollfd os_poll_for(int fd, bool reading, bool writing)
{
    return (struct pollfd){ .fd = fd, .events = (short)((reading ? POLLIN : 0) | (writing ? POLLOUT : 0)) };
}

int os_poll_found(const struct pollfd *p);

/* Bounds one wait to a day: time_t may have 32 bits, and some systems refuse very long timeouts. The caller checks the
 * clock and waits again. */
static inline int64_t os_wait_bound(int64_t timeout_ns)
{
    const int64_t day_ns = (int64_t)86400 * 1000000000;
    return timeout_ns < day_ns ? timeout_ns : day_ns;
}

/* Waits until one of `n` descriptors is ready, at most timeout_ns (negative: no limit). SS_OK: *ready are | SS_TIMEOUT
 * | SS_WANT: a signal or os_wait_bound ended the wait early | SS_ERROR (EINVAL: `n` exceeds RLIMIT_NOFILE). */
enum ss_status os_poll(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready, struct ss_error *err);

/* The same with select(2), for sets longer than RLIMIT_NOFILE. EINVAL: a descriptor is not below FD_SETSIZE. */
enum ss_status os_poll_select(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready, struct ss_error *err);

/* os_poll, and os_poll_select after EINVAL. */
static inline enum ss_status os_poll_any(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready,
                                         struct ss_error *err)
{
    enum ss_status st = os_poll(set, n, timeout_ns, ready, err);
    return st == SS_ERROR && err->code == EINVAL ? os_poll_select(set, n, timeout_ns, ready, err) : st;
}

/* Checks one descriptor without waiting. SS_OK: ready | SS_TIMEOUT: not ready | SS_ERROR. */
enum ss_status os_poll_now(struct pollfd *p, struct ss_error *err);

#pragma GCC visibility pop

#endif
