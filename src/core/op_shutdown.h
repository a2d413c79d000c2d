/* Ending one direction of a stream, or both. */
#ifndef SS_CORE_OP_SHUTDOWN_H
#define SS_CORE_OP_SHUTDOWN_H

#include "core/op.h"

#pragma GCC visibility push(hidden)

struct ss_shutdown {
    struct ss_op op;
    int how; /* SHUT_RD, SHUT_WR or SHUT_RDWR */
};

/* Has a layer end the direction, then shuts down the descriptor (shutdown(2)). SS_OK | SS_WANT: only with a layer, and
 * not with SHUT_RD: to write | SS_ERROR. */
enum ss_status ss_shutdown_now(struct ss_io *io, int how, struct ss_error *err);
enum ss_status ss_shutdown_step(struct ss_op *op);

#pragma GCC visibility pop

#endif
