#include "core/op_passing.h"
#include "core/codes.h"
#include "os/os_net.h"
#include "os/os_passing.h"

#include <errno.h> /* ECONNRESET */

/* Sending */

/* The receiver expects neither the module's settings nor bytes that are not in the descriptor. Before each attempt:
 * other tasks may use the socket in between. */
static bool prepare_handover(struct ss_sendfd *op)
{
    op->write.op.error = ss_not_open;
    if (op->handed->in.stream != op->stream)
        return false;
    op->layered = ss_io_has_layer(&op->handed->io);
    op->refused = op->layered || op->has_unread(op->handed);
    if (!op->refused)
        ss_sock_restore_settings(op->handed);
    return !op->refused;
}

/* The receiver keeps the descriptor open: the poller must forget it before it is closed here. */
static void finish_handover(const struct ss_sendfd *op)
{
    struct ss_error ignored;
    struct ss_sock *owner = ss_env_find(op->env, op->fd);
    if (op->handed)
        os_close(ss_sock_release(op->handed, false), &ignored);
    else if (owner)
        owner->shared = true;
}

/* A descriptor goes with bytes of the descriptor's stream, not with those of a layer. */
static enum ss_status refuse_layer(struct ss_op *op)
{
    op->error = ss_not_supported;
    return SS_ERROR;
}

static enum ss_status send_with_descriptor(struct ss_sendfd *op)
{
    struct ss_op *base = &op->write.op;
    size_t sent, len = op->iov.iov_len < SS_BYTES_PER_CALL ? op->iov.iov_len : SS_BYTES_PER_CALL;
    if (ss_io_has_layer(base->io))
        return refuse_layer(base);
    if (op->handed && !prepare_handover(op))
        return SS_ERROR;
    enum ss_mode mode = ss_io_take_mode(base->io);
    if (mode == SS_NO_CALL)
        return SS_WANT;
    enum ss_status st = os_send_fd(base->io->fd, op->iov.iov_base, len, op->fd, mode == SS_NO_WAIT ? OS_DONTWAIT : 0,
                                   &sent, &base->error);
    if (st != SS_OK)
        return st;
    ss_io_count_bytes(base->io, sent);
    if (mode == SS_WAIT_ALWAYS && sent < len)
        ss_io_stop_waits(base->io);
    ss_write_advance(&op->write, sent);
    finish_handover(op);
    return SS_OK;
}

enum ss_status ss_sendfd_step(struct ss_op *base)
{
    struct ss_sendfd *op = (struct ss_sendfd *)base;
    enum ss_status st = op->write.sent == 0 ? send_with_descriptor(op) : SS_OK;
    if (st == SS_WANT)
        return ss_op_want(base, SS_WRITABLE);
    if (st == SS_ERROR && base->error.code == ECONNRESET) /* others may tell of the descriptor, not of the stream */
        ss_io_set_conn_error(base->io, ECONNRESET);
    return st == SS_OK ? ss_write_step(base) : st;
}

void ss_sendfd_relocate(struct ss_op *copy, const struct ss_op *from)
{
    struct ss_sendfd *op = (struct ss_sendfd *)copy;
    (void)from;
    op->write.iov = &op->iov;
}

/* Receiving */

/* A transport that receives no more bytes than are asked for, and the descriptor beside them: a receive that took more
 * would take later descriptors with it. */
struct fd_receiver {
    struct ss_io io; /* first */
    struct ss_io *stream;
    size_t max;
    int passed;
};

static enum ss_status recv_with_descriptor(struct ss_io *io, void *buf, size_t len, bool all, size_t *got,
                                           struct ss_error *err)
{
    struct fd_receiver *r = (struct fd_receiver *)io;
    enum ss_mode mode = ss_io_take_mode(r->stream);
    (void)all;
    if (mode == SS_NO_CALL)
        return SS_WANT;
    enum ss_status st = os_recv_fd(r->stream->fd, buf, len < r->max ? len : r->max,
                                   mode == SS_NO_WAIT ? OS_DONTWAIT : 0, got, &r->passed, err);
    if (st == SS_OK)
        ss_io_count_bytes(r->stream, *got);
    return st == SS_EOF ? ss_io_end_stream(r->stream, err) : st;
}

enum ss_status ss_recvfd_step(struct ss_op *base)
{
    static const struct ss_transport via = { .recv = recv_with_descriptor };
    struct ss_recvfd *op = (struct ss_recvfd *)base;
    struct fd_receiver r = { .io = { .via = &via }, .stream = base->io, .max = op->max, .passed = OS_NOTHING_PASSED };
    if (ss_io_has_layer(base->io))
        return refuse_layer(base);
    if (ss_sock_has_input(op->sock))
        return SS_OK;
    enum ss_status st = ss_inbuf_fill(&op->sock->in, &r.io, 1, &base->error);
    if (st == SS_OK)
        ss_sock_keep_passed(op->sock, r.passed);
    return st == SS_WANT ? ss_op_want(base, SS_READABLE) : st;
}
