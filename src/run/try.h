/* Non-blocking attempts, without clock and driver: bytes in memory, or one system call. SS_WANT: a driver has to run an
 * operation, for all or for the rest. Every other status is the outcome.
 *
 * Inline: returns after a system call are mispredicted, at the cost of 20 instructions for each level of calls. */
#ifndef SS_RUN_TRY_H
#define SS_RUN_TRY_H

#include "core/op_read.h"

#pragma GCC visibility push(hidden)

/* SS_OK: `n` bytes are in memory | SS_WANT, also for 0 bytes: only the operation checks whether the stream is open. */
static inline enum ss_status ss_try_read(const struct ss_inbuf *in, size_t n)
{
    return n > 0 && n <= ss_inbuf_len(in) ? SS_OK : SS_WANT;
}

/* SS_OK: *len bytes before a delimiter are in memory | SS_WANT: an operation may continue with `scan`. */
static inline enum ss_status ss_try_until(const struct ss_inbuf *in, const struct ss_find *find, size_t max,
                                          struct ss_scan *scan, size_t *len)
{
    return ss_until_in_memory(in, find, max, scan, len) ? SS_OK : SS_WANT;
}

/* Whether the kernel usually has room for `len` bytes, so that a non-blocking attempt is worthwhile. */
static inline bool ss_try_send_pays(size_t len)
{
    enum { MAX_BYTES = 4096 };
    return len <= MAX_BYTES;
}

/* Sends buffers of `len` bytes in all, once. SS_OK: all sent | SS_WANT: *sent bytes, and no room for the rest, or for all
 * that a layer holds | SS_ERROR. */
static inline enum ss_status ss_try_send(struct ss_io *io, const struct iovec *iov, size_t n, size_t len, size_t *sent,
                                         struct ss_error *err)
{
    ss_io_set_mode(io, SS_NO_WAIT);
    enum ss_status st = io->via->send(io, iov, n, sent, err);
    return st == SS_OK && *sent < len ? SS_WANT : st;
}

/* Steps an operation once. `mode`: SS_NO_WAIT or a later one. */
static inline enum ss_status ss_try_step(struct ss_op *op, enum ss_mode mode)
{
    ss_io_set_mode(op->io, mode);
    return op->step(op);
}

#pragma GCC visibility pop

#endif
