/* Sending all bytes of several buffers, in order. */
#ifndef SS_CORE_OP_WRITE_H
#define SS_CORE_OP_WRITE_H

#include "core/op.h"

#pragma GCC visibility push(hidden)

struct ss_write {
    struct ss_op op;
    struct iovec *iov; /* the caller's; each step updates the unsent bytes */
    size_t n;
    size_t sent; /* in bytes */
};

/* SS_OK: all sent, and a layer holds nothing back | SS_WANT | SS_ERROR. `sent` is valid after each outcome; it counts what
 * a layer holds back, behind which a later write goes on. */
enum ss_status ss_write_step(struct ss_op *op);

/* Skips `sent` bytes, and empty buffers after them. */
void ss_write_advance(struct ss_write *op, size_t sent);

#pragma GCC visibility pop

#endif
