#include "core/op_accept.h"
#include "os/os_net.h"

/* accept(2) has no flag for "don't wait": the listener's own mode decides. */
enum ss_status ss_accept_step(struct ss_op *base)
{
    struct ss_accept *op = (struct ss_accept *)base;
    enum ss_turn turn = ss_io_turn(base->io);
    if (turn == SS_HOLD)
        return ss_op_want(base, SS_READABLE);
    enum ss_status st = ss_sock_mode(op->listener, turn == SS_TRY, &base->error);
    int fd;
    if (st == SS_OK)
        st = os_accept(base->io->fd, &fd, &base->error);
    if (st == SS_WANT)
        return ss_op_want(base, SS_READABLE);
    if (st == SS_OK)
        st = ss_sock_adopt(op->into, fd, op->listener->family, false, &base->error);
    if (st == SS_OK) { /* Linux hands the timeouts down (socket(7)) */
        op->into->kernel_ns[0] = op->listener->kernel_ns[0];
        op->into->kernel_ns[1] = op->listener->kernel_ns[1];
    }
    return st;
}
