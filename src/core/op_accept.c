#include "core/op_accept.h"
#include "os/os_net.h"

#include <errno.h> /* ECANCELED */

/* accept(2) has no flag for "don't wait". The mode that decides belongs to all who share the listener (pre-fork servers), so
 * that only one is safe for everybody: a listener does not wait, ever; poll(2) does. */
static enum ss_status try(struct ss_accept *op, int *fd, bool *again)
{
    *again = false;
    if (ss_io_take_mode(op->op.io) == SS_NO_CALL)
        return SS_WANT;
    enum ss_status st = ss_sock_set_nonblock(op->listener, true, &op->op.error);
    return st == SS_OK ? os_accept(op->op.io->fd, fd, again, &op->op.error) : st;
}

/* The socket that was to have it has ended. */
static enum ss_status give_back(int fd, struct ss_error *err)
{
    struct ss_error ignored;
    os_close(fd, &ignored);
    *err = (struct ss_error){ SS_SYSTEM, ECANCELED };
    return SS_ERROR;
}

/* The connection behind one that has vanished is taken at once: a poller tells of both together, and only once. */
enum ss_status ss_accept_step(struct ss_op *base)
{
    struct ss_accept *op = (struct ss_accept *)base;
    enum ss_status st;
    int fd;
    bool again;
    do
        st = try(op, &fd, &again);
    while (again);
    if (st == SS_WANT)
        return ss_op_want(base, SS_READABLE);
    if (st == SS_OK && op->into->in.stream != op->stream)
        return give_back(fd, &base->error);
    if (st == SS_OK)
        st = ss_sock_adopt(op->into, fd, op->listener->family, false, &base->error);
    if (st == SS_OK)
        op->into->may_linger = op->listener->may_linger;
    /* Handed down perhaps (TCP, not Unix), and as they were when the connection came in. */
    for (int i = 0; st == SS_OK && i < 2; i++)
        if (op->listener->kernel_ms[i] != 0)
            op->into->kernel_ms[i] = -1;
    return st;
}
