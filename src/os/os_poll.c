#include "os/os_poll.h"

#include <errno.h>
#include <signal.h> /* ppoll */
#include <time.h>   /* struct timespec */

int os_poll_found(const struct pollfd *p)
{
    return (p->revents & POLLIN ? OS_CAN_READ : 0) | (p->revents & POLLOUT ? OS_CAN_WRITE : 0) |
           (p->revents & (POLLERR | POLLHUP) ? OS_TROUBLE : 0) | (p->revents & POLLNVAL ? OS_NOT_OPEN : 0);
}

#if defined(__APPLE__)
/* No ppoll: milliseconds, rounded up, and never more than an int holds (the caller looks at its clock and asks again). */
static int native_poll(struct pollfd *set, size_t n, int64_t timeout_ns)
{
    int64_t ms = timeout_ns < 0 ? -1 : timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    return poll(set, (nfds_t)n, ms > 1000000000 ? 1000000000 : (int)ms);
}
#else
static int native_poll(struct pollfd *set, size_t n, int64_t timeout_ns)
{
    struct timespec ts = { .tv_sec = (time_t)(timeout_ns / 1000000000), .tv_nsec = (long)(timeout_ns % 1000000000) };
    return ppoll(set, (nfds_t)n, timeout_ns < 0 ? NULL : &ts, NULL);
}
#endif

enum ss_status os_poll(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready, struct ss_error *err)
{
    int found = native_poll(set, n, timeout_ns);
    if (found > 0) {
        *ready = (unsigned)found;
        return SS_OK;
    }
    if (found == 0)
        return SS_TIMEOUT;
    int code = errno;
    if (code == EINTR || code == EAGAIN)
        return SS_WANT;
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}
