/* Waiting for any of a set of descriptors. */
#ifndef SS_RUN_WAIT_H
#define SS_RUN_WAIT_H

#include "os/os_poll.h"

#pragma GCC visibility push(hidden)

/* Waits until one of `n` is ready or `timeout_ns` has passed (negative: without end); signals do not end it.
 * `spare` has room for `n` more: poll(2) refuses sets longer than RLIMIT_NOFILE (EINVAL), which a set is by naming
 * descriptors twice, or when that was lowered later. Without it such sets are SS_LIMIT. SS_OK | SS_TIMEOUT | SS_ERROR | SS_LIMIT. */
enum ss_status ss_wait_any(struct pollfd *set, size_t n, struct pollfd *scratch, int64_t timeout_ns,
                           struct ss_error *err);

#pragma GCC visibility pop

#endif
