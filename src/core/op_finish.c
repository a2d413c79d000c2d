#include "core/op_finish.h"
#include "core/op_shutdown.h"
#include "os/os_net.h"

#include <sys/socket.h> /* SHUT_WR */

/* Where the connection is broken or was never made this fails, but the receive that follows tells more. */
static enum ss_status end_output(struct ss_finish *op)
{
    struct ss_error ignored;
    if (!op->shut && ss_shutdown_now(op->op.io, SHUT_WR, &ignored) == SS_WANT)
        return ss_op_want(&op->op, SS_WRITABLE);
    op->shut = true;
    return SS_OK;
}

static enum ss_status drop_received(struct ss_finish *op)
{
    for (;;) {
        size_t n = ss_inbuf_len(op->in);
        ss_inbuf_clear(op->in);
        if (n > op->left)
            return SS_LIMIT;
        op->left -= n;
        enum ss_status st = ss_inbuf_fill(op->in, op->op.io, 1, &op->op.error);
        if (st != SS_OK)
            return st == SS_WANT ? ss_op_want(&op->op, SS_READABLE) : st;
    }
}

/* No event reports that the peer has acknowledged everything: check at growing intervals. */
static enum ss_status wait_for_acknowledgement(struct ss_op *op)
{
    enum { LONGEST_MS = 32 };
    op->want = (struct ss_interest){ .fd = -1 };
    if (op->after_ms < LONGEST_MS)
        op->after_ms = op->after_ms ? (uint16_t)(2 * op->after_ms) : 1;
    return SS_WANT;
}

/* A reset ends the wait for acknowledgements too, so one more receive follows it, which returns that error. */
enum ss_status ss_finish_step(struct ss_op *base)
{
    struct ss_finish *op = (struct ss_finish *)base;
    if (end_output(op) == SS_WANT)
        return SS_WANT;
    for (;;) {
        enum ss_status st = drop_received(op);
        if (st == SS_WANT && op->at_end)
            return wait_for_acknowledgement(base); /* the step has used up its calls */
        if (st != SS_EOF)
            return st;
        if (op->local || op->arrived)
            return SS_OK;
        op->at_end = true;
        op->arrived = os_is_delivered(base->io->fd);
        if (!op->arrived)
            return wait_for_acknowledgement(base);
    }
}
