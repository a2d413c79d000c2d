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

bool ss_pause(int64_t deadline_ns)
{
    unsigned ready;
    struct ss_error ignored;
    int64_t left_ns = deadline_ns < 0 ? deadline_ns : ss_deadline_left(deadline_ns);
    enum ss_status st = os_poll(NULL, 0, left_ns, &ready, &ignored);
    return st == SS_ERROR || (deadline_ns >= 0 && ss_deadline_left(deadline_ns) == 0);
}
