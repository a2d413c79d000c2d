/* Time as drivers see it: monotonic nanoseconds. */
#ifndef SS_RUN_DEADLINE_H
#define SS_RUN_DEADLINE_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

enum { SS_FOREVER = -1 }; /* a timeout without end; any negative one is the same */

/* The moment `timeout_ns` (0 or more) from now. */
int64_t ss_deadline_after(int64_t timeout_ns);

/* What is left until then, 0 when it has passed. */
int64_t ss_deadline_left(int64_t deadline_ns);

/* Waits `timeout_ns`; signals do not end it. Where no way to sleep is left it ends at once. */
void ss_pause(int64_t timeout_ns);

#pragma GCC visibility pop

#endif
