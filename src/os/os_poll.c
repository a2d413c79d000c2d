#include "os/os_poll.h"
#include "os/os_refused.h"

#include <errno.h>
#include <fcntl.h>      /* fcntl */
#include <signal.h>     /* ppoll */
#include <sys/select.h> /* pselect */
#include <time.h>       /* nanosleep */

int os_poll_found(const struct pollfd *p)
{
    return (p->revents & POLLIN ? OS_CAN_READ : 0) | (p->revents & POLLOUT ? OS_CAN_WRITE : 0) |
           (p->revents & (POLLERR | POLLHUP) ? OS_TROUBLE : 0) | (p->revents & POLLNVAL ? OS_NOT_OPEN : 0);
}

/* poll(2): milliseconds, rounded up. */
static int poll_ms(struct pollfd *set, size_t n, int64_t timeout_ns)
{
    int64_t ms = timeout_ns < 0 ? -1 : timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    return poll(set, (nfds_t)n, (int)ms);
}

static struct timespec timespec_of(int64_t timeout_ns)
{
    return (struct timespec){ .tv_sec = (time_t)(timeout_ns / 1000000000), .tv_nsec = (long)(timeout_ns % 1000000000) };
}

#if defined(__APPLE__) /* no ppoll */
static int poll_ns(struct pollfd *set, size_t n, int64_t timeout_ns)
{
    return poll_ms(set, n, timeout_ns);
}
#else
static int poll_ns(struct pollfd *set, size_t n, int64_t timeout_ns)
{
    struct timespec ts = timespec_of(timeout_ns);
    int found = ppoll(set, (nfds_t)n, timeout_ns < 0 ? NULL : &ts, NULL);
    return found == -1 && os_is_refused(errno) ? poll_ms(set, n, timeout_ns) : found;
}
#endif

/* Sleeps where poll(2) is refused, a day at most: poll_result reports SS_WANT for an infinite timeout. */
static int sleep_without_poll(int64_t timeout_ns)
{
    struct timespec ts = timespec_of(timeout_ns < 0 ? os_wait_bound(INT64_MAX) : timeout_ns);
    return nanosleep(&ts, NULL);
}

/* Converts the result of a wait of `bound_ns` for a requested `timeout_ns`. */
static enum ss_status poll_result(int found, int64_t timeout_ns, int64_t bound_ns, unsigned *ready,
                                  struct ss_error *err)
{
    if (found > 0) {
        *ready = (unsigned)found;
        return SS_OK;
    }
    if (found == 0)
        return bound_ns == timeout_ns && timeout_ns >= 0 ? SS_TIMEOUT : SS_WANT;
    int code = errno;
    if (code == EINTR || code == EAGAIN)
        return SS_WANT;
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

enum ss_status os_poll(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready, struct ss_error *err)
{
    int64_t bound_ns = os_wait_bound(timeout_ns);
    int found = poll_ns(set, n, bound_ns);
    if (found == -1 && n == 0 && errno != EINTR)
        found = sleep_without_poll(bound_ns);
    return poll_result(found, timeout_ns, bound_ns, ready, err);
}

/* select(2) */

struct fd_sets {
    fd_set readable, writable;
    int end; /* largest descriptor + 1 */
};

static bool fill_fd_sets(struct fd_sets *sets, const struct pollfd *set, size_t n)
{
    FD_ZERO(&sets->readable);
    FD_ZERO(&sets->writable);
    sets->end = 0;
    for (size_t i = 0; i < n; i++) {
        if (set[i].fd < 0 || set[i].fd >= FD_SETSIZE)
            return false;
        const unsigned fd = (unsigned)set[i].fd; /* musl's macros require unsigned */
        if (set[i].events & POLLIN)
            FD_SET(fd, &sets->readable);
        if (set[i].events & POLLOUT)
            FD_SET(fd, &sets->writable);
        sets->end = set[i].fd < sets->end ? sets->end : set[i].fd + 1;
    }
    return true;
}

static short revents_from_sets(const struct fd_sets *sets, const struct pollfd *p)
{
    const unsigned fd = (unsigned)p->fd;
    bool readable = (p->events & POLLIN) && FD_ISSET(fd, &sets->readable);
    bool writable = (p->events & POLLOUT) && FD_ISSET(fd, &sets->writable);
    return (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
}

static bool is_fd_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

/* Sets `revents`. `sets` NULL: select(2) failed with EBADF, which does not name the closed descriptor. */
static int set_revents(struct pollfd *set, size_t n, const struct fd_sets *sets)
{
    int ready = 0;
    for (size_t i = 0; i < n; i++) {
        set[i].revents = sets ? revents_from_sets(sets, &set[i]) : is_fd_open(set[i].fd) ? 0 : POLLNVAL;
        ready += set[i].revents != 0;
    }
    return ready;
}

enum ss_status os_poll_select(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready, struct ss_error *err)
{
    struct fd_sets sets;
    int64_t bound_ns = os_wait_bound(timeout_ns);
    struct timespec ts = timespec_of(bound_ns);
    if (!fill_fd_sets(&sets, set, n)) {
        *err = (struct ss_error){ SS_SYSTEM, EINVAL };
        return SS_ERROR;
    }
    int found = pselect(sets.end, &sets.readable, &sets.writable, NULL, timeout_ns < 0 ? NULL : &ts, NULL);
    bool not_open = found == -1 && errno == EBADF;
    if (found > 0 || not_open)
        found = set_revents(set, n, not_open ? NULL : &sets);
    return not_open && found == 0 ? SS_WANT : poll_result(found, timeout_ns, bound_ns, ready, err);
}

enum ss_status os_poll_now(struct pollfd *p, struct ss_error *err)
{
    unsigned ready;
    enum ss_status st = SS_WANT;
    int found;
    do
        found = poll(p, 1, 0);
    while (found == -1 && errno == EINTR);
    if (found >= 0)
        return found > 0 ? SS_OK : SS_TIMEOUT;
    while (st == SS_WANT)
        st = os_poll_any(p, 1, 0, &ready, err);
    return st;
}
