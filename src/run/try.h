/* What can be done without waiting, and therefore without the clock and without a driver: bytes that are in memory, and one
 * call that the kernel may refuse. One rule for all of it: SS_WANT says that a driver has to run an operation, for all or for
 * the rest; every other status is the outcome.
 *
 * Inline, since a return after a system call is mispredicted: each level of calls above it costs as much as 20
 * instructions. */
#ifndef SS_RUN_TRY_H
#define SS_RUN_TRY_H

#include "core/op_read.h"

#pragma GCC visibility push(hidden)

/* `n` bytes from memory. For none at all SS_WANT: only the operation knows whether the stream is open. */
static inline enum ss_status ss_try_read(const struct ss_inbuf *in, size_t n)
{
    return n > 0 && n <= ss_inbuf_len(in) ? SS_OK : SS_WANT;
}

/* The bytes before a delimiter, *len of them, from memory. After SS_WANT an operation can go on with `scan`. */
static inline enum ss_status ss_try_until(const struct ss_inbuf *in, const struct ss_find *find, size_t max,
                                          struct ss_scan *scan, size_t *len)
{
    return ss_until_at_hand(in, find, max, scan, len) ? SS_OK : SS_WANT;
}

/* Whether the kernel nearly always has room for so many bytes, so that a call which does not wait pays. */
static inline bool ss_try_send_pays(size_t len)
{
    enum { MOST = 4096 };
    return len <= MOST;
}

/* Sends once. After SS_WANT `sent` bytes are gone, and there was no room for the rest just now. */
static inline enum ss_status ss_try_send(struct ss_io *io, const void *data, size_t len, size_t *sent,
                                         struct ss_error *err)
{
    struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
    ss_io_set_mode(io, SS_NO_WAIT);
    enum ss_status st = io->via->send(io, &iov, 1, sent, err);
    return st == SS_OK && *sent < len ? SS_WANT : st;
}

/* Steps an operation once, in a mode that does not wait. */
static inline enum ss_status ss_try_step(struct ss_op *op, enum ss_mode mode)
{
    ss_io_set_mode(op->io, mode);
    return op->step(op);
}

#pragma GCC visibility pop

#endif
