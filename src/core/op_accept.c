#include "core/op_accept.h"
#include "os/os_net.h"

#include <errno.h> /* ECANCELED */

/* accept(2) has no MSG_DONTWAIT. Processes that share a listener (pre-fork servers) share its O_NONBLOCK, so a listener
 * is always non-blocking, and poll(2) waits. */
static enum ss_status try_accept(struct ss_accept *op, int *fd, bool *again)
{
    *again = false;
    if (ss_io_take_mode(op->op.io) == SS_NO_CALL)
        return SS_WANT;
    enum ss_status st = ss_sock_set_nonblock(op->listener, true, &op->op.error);
    return st == SS_OK ? os_accept(op->op.io->fd, fd, again, &op->op.error) : st;
}

/* The socket for the connection has ended: closes the connection. */
static enum ss_status discard_accepted(int fd, struct ss_error *err)
{
    struct ss_error ignored;
    os_close(fd, &ignored);
    *err = (struct ss_error){ SS_SYSTEM, ECANCELED };
    return SS_ERROR;
}

/* Skips aborted connections at once: an edge-triggered poller reports several connections once. */
enum ss_status ss_accept_step(struct ss_op *base)
{
    struct ss_accept *op = (struct ss_accept *)base;
    enum ss_status st;
    int fd;
    bool again;
    do
        st = try_accept(op, &fd, &again);
    while (again);
    if (st == SS_WANT)
        return ss_op_want(base, SS_READABLE);
    if (st == SS_OK && op->into->in.stream != op->stream)
        return discard_accepted(fd, &base->error);
    if (st == SS_OK)
        st = ss_sock_adopt(op->into, fd, op->listener->family, false, &base->error);
    if (st == SS_OK)
        op->into->may_linger = op->listener->may_linger;
    /* TCP connections, not Unix ones, inherit the timeouts that the listener had when the connection arrived. */
    for (int i = 0; st == SS_OK && i < 2; i++)
        if (op->listener->kernel_ms[i] != 0)
            op->into->kernel_ms[i] = -1;
    return st;
}
