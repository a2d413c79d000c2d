/* Sending all bytes of some buffers, in order. */
#ifndef SS_CORE_OP_WRITE_H
#define SS_CORE_OP_WRITE_H

#include "core/op.h"

#pragma GCC visibility push(hidden)

struct ss_write {
    struct ss_op op;
    struct iovec *iov; /* of the caller: what is left to send, changed as it goes */
    size_t n;
    size_t sent; /* bytes so far */
};

/* SS_OK | SS_WANT | SS_ERROR; `sent` is right at every end. */
enum ss_status ss_write_step(struct ss_op *op);

/* Steps over `sent` bytes and over buffers that are empty. */
void ss_write_advance(struct ss_write *op, size_t sent);

#pragma GCC visibility pop

#endif
