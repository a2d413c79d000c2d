/* Timeouts and deadlines, in nanoseconds of the monotonic clock. */
#ifndef SS_RUN_DEADLINE_H
#define SS_RUN_DEADLINE_H

#include "core/op.h"

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

enum { SS_FOREVER = -1 }; /* no timeout, as any negative value */

/* The deadline `timeout_ns` (0 or more) from now; INT64_MAX on overflow. */
int64_t ss_deadline_after(int64_t timeout_ns);

/* The remaining time, 0 or more. */
int64_t ss_deadline_left(int64_t deadline_ns);

/* How long an operation whose after_ms is not 0 waits before it has to be stepped, `left_ns` before the deadline (negative:
 * there is none); negative: no limit. */
int64_t ss_step_timeout(const struct ss_op *op, int64_t left_ns);

/* Sleeps until `deadline_ns` (negative: for ever). False: a signal may have ended the sleep early. True also when the
 * system call fails. */
bool ss_pause(int64_t deadline_ns);

#pragma GCC visibility pop

#endif
