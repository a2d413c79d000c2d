/* Waiting for any of a set of descriptors. */
#ifndef SS_RUN_WAIT_H
#define SS_RUN_WAIT_H

#include "os/os_poll.h"

#pragma GCC visibility push(hidden)

/* Waits until one of `n` descriptors is ready, at most timeout_ns (negative: no limit). Negative
 * descriptors are passed over. `scratch`: `n` entries or NULL,
 * for sets longer than RLIMIT_NOFILE, which poll(2) refuses: duplicates, or a limit lowered later. SS_OK | SS_TIMEOUT |
 * SS_WANT: a signal has ended the wait | SS_ERROR | SS_LIMIT: such a set without `scratch`. */
enum ss_status ss_wait_any(struct pollfd *set, size_t n, struct pollfd *scratch, int64_t timeout_ns,
                           struct ss_error *err);

#pragma GCC visibility pop

#endif
