/* The blocking driver: runs an operation to its end, waiting in the kernel. */
#ifndef SS_RUN_BLOCK_H
#define SS_RUN_BLOCK_H

#include "core/op.h"
#include "core/sock.h"

#pragma GCC visibility push(hidden)

/* Steps `op` of socket `s` until it is done, or `timeout_ns` after the call began (negative: without end).
 * Any outcome but SS_WANT; SS_TIMEOUT leaves the operation's progress as it is. */
enum ss_status ss_block_run(struct ss_op *op, struct ss_sock *s, int64_t timeout_ns);

#pragma GCC visibility pop

#endif
