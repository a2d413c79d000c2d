#include "run/deadline.h"
#include "os/os_clock.h"
#include "os/os_poll.h"

int64_t ss_deadline_after(int64_t timeout_ns)
{
    int64_t now = os_now_ns();
    return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

int64_t ss_deadline_left(int64_t deadline_ns)
{
    int64_t left = deadline_ns - os_now_ns();
    return left > 0 ? left : 0;
}

/* The share of a wait: an equal part of the time that is left, but never so little that an answer could hardly come (the rule of
 * Go's net.Dialer). */
static int64_t share_of(int64_t left_ns, unsigned waits)
{
    const int64_t least_ns = 2000000000;
    int64_t share_ns = left_ns / waits;
    if (share_ns >= least_ns)
        return share_ns;
    return left_ns < least_ns ? left_ns : least_ns;
}

int64_t ss_step_timeout(const struct ss_op *op, int64_t left_ns)
{
    if (!op->shares)
        return (int64_t)op->after_ms * 1000000;
    return left_ns < 0 ? -1 : share_of(left_ns, op->after_ms);
}

bool ss_pause(int64_t deadline_ns)
{
    unsigned ready;
    struct ss_error ignored;
    int64_t left_ns = deadline_ns < 0 ? deadline_ns : ss_deadline_left(deadline_ns);
    enum ss_status st = os_poll(NULL, 0, left_ns, &ready, &ignored);
    return st == SS_ERROR || (deadline_ns >= 0 && ss_deadline_left(deadline_ns) == 0);
}
