/* The blocking driver: runs an operation to its end; the calling thread waits in the kernel. */
#ifndef SS_RUN_BLOCK_H
#define SS_RUN_BLOCK_H

#include "core/op.h"
#include "core/sock.h"

#pragma GCC visibility push(hidden)

/* Steps `op` of socket `s` (may be NULL) until done, or until a wait has ended, at most `timeout_ns` after the call began
 * (negative: no limit). SS_TIMEOUT keeps the operation's progress. SS_WANT: not done, a signal may have come; the same
 * call goes on, within the deadline that the first has noted in the operation. */
enum ss_status ss_block_run(struct ss_op *op, struct ss_sock *s, int64_t timeout_ns);

#pragma GCC visibility pop

#endif
