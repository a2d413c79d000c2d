/* Clocks (clock_gettime(2)). */
#ifndef SS_OS_CLOCK_H
#define SS_OS_CLOCK_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

/* CLOCK_MONOTONIC in nanoseconds: never decreases; setting the system's clock does not affect it. */
int64_t os_now_ns(void);

/* CLOCK_REALTIME in nanoseconds since 1970: the system's clock, which may be set. */
int64_t os_wall_ns(void);

#pragma GCC visibility pop

#endif
