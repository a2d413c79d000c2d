#include "os/os_clock.h"

#include <time.h> /* clock_gettime */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t os_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t os_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}
