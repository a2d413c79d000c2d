#include "core/op_finish.h"
#include "os/os_net.h"

#include <errno.h>      /* ECONNRESET */
#include <sys/socket.h> /* SHUT_WR */

/* The operation's calls are bounded by SO_RCVTIMEO, so only a receive may wait. */
static enum ss_status end_layer_output(struct ss_finish *op)
{
    struct ss_io *io = op->op.io;
    uint8_t mode = io->mode;
    if (mode != SS_NO_CALL)
        ss_io_stop_waits(io);
    enum ss_status st = io->via->end(io, SHUT_WR, &op->op.error);
    op->untold = st == SS_EOF;
    op->failed = st == SS_ERROR || op->untold;
    if (!op->failed)
        io->mode = mode;
    return st;
}

/* Where the connection is broken or was never made this fails, but the receive that follows tells more. */
static enum ss_status end_output(struct ss_finish *op)
{
    struct ss_error ignored;
    if (op->shut)
        return SS_OK;
    enum ss_status st = ss_io_has_layer(op->op.io) ? end_layer_output(op) : SS_OK;
    if (st == SS_WANT)
        return ss_op_want_to_send(&op->op);
    if (st == SS_OK && os_shutdown(op->op.io->fd, SHUT_WR, &ignored) == SS_OK)
        op->ended = true;
    op->shut = true;
    return SS_OK;
}

/* Whether the latest receive has asked the descriptor. */
static bool has_looked(const struct ss_io *io)
{
    return io->mode != SS_NO_CALL && !ss_io_is_spent(io);
}

/* After the end of a layer's stream the descriptor may tell of a reset, and may have bytes that nobody wants. SS_EOF: of
 * the end, or of neither. */
static enum ss_status receive_behind_layer(struct ss_finish *op)
{
    struct ss_io *io = op->op.io;
    if (io->mode != SS_NO_CALL)
        ss_io_stop_waits(io);
    enum ss_status st = ss_inbuf_fill_from(op->in, &ss_fd_transport, io, 1, &op->op.error);
    return st == SS_WANT && has_looked(io) ? SS_EOF : st;
}

/* A peer that has not been told of the end may wait for it, and is not waited for. */
static enum ss_status receive_unwanted(struct ss_finish *op)
{
    struct ss_io *io = op->op.io;
    if (op->at_end && ss_io_has_layer(io))
        return receive_behind_layer(op);
    if (op->failed && io->mode != SS_NO_CALL)
        ss_io_stop_waits(io);
    return ss_inbuf_fill(op->in, io, 1, &op->op.error);
}

static enum ss_status drop_received(struct ss_finish *op)
{
    for (;;) {
        size_t n = ss_inbuf_len(op->in);
        ss_inbuf_clear(op->in);
        if (n > op->left)
            return SS_LIMIT;
        op->left -= n;
        enum ss_status st = receive_unwanted(op);
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

/* A peer that had ended before it refused bytes leaves no error for a receive. */
static enum ss_status judge_delivery(struct ss_finish *op)
{
    if (!op->lost)
        return SS_OK;
    op->op.error = (struct ss_error){ SS_SYSTEM, ECONNRESET };
    return SS_ERROR;
}

/* The output could not be ended. The peer lacks nothing if it has ended itself, is gone, and has acknowledged all bytes.
 * `st`: of the receives; an error among them tells more. */
static enum ss_status judge_failed_end(struct ss_finish *op, enum ss_status st)
{
    struct ss_io *io = op->op.io;
    if (st == SS_WANT)
        return has_looked(io) ? SS_ERROR : wait_for_acknowledgement(&op->op);
    if (st != SS_EOF)
        return st;
    if (!op->untold)
        return SS_ERROR;
    op->lost = !op->local && !os_is_acknowledged(io->fd);
    return judge_delivery(op);
}

/* Behind the end of the layer's stream the descriptor may know why the output could not be ended. */
static enum ss_status finish_without_end(struct ss_finish *op)
{
    enum ss_status st = drop_received(op);
    if (st == SS_EOF && !op->at_end) {
        op->at_end = true;
        st = drop_received(op);
    }
    return judge_failed_end(op, st);
}

/* A reset ends the wait for acknowledgements too, so one more receive follows it, which returns that error. */
enum ss_status ss_finish_step(struct ss_op *base)
{
    struct ss_finish *op = (struct ss_finish *)base;
    if (end_output(op) == SS_WANT)
        return SS_WANT;
    if (op->failed)
        return finish_without_end(op);
    for (int left;;) {
        enum ss_status st = drop_received(op);
        if (st == SS_WANT && op->at_end)
            return wait_for_acknowledgement(base); /* the step has used up its calls */
        if (st != SS_EOF)
            return st;
        if (op->local || op->arrived)
            return judge_delivery(op);
        op->at_end = true;
        op->arrived = os_is_delivered(base->io->fd, &left);
        op->lost = (size_t)left > op->ended + base->io->via->end_size;
        if (!op->arrived)
            return wait_for_acknowledgement(base);
    }
}
