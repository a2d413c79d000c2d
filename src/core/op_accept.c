#include "core/op_accept.h"
#include "os/os_net.h"

/* accept(2) has no flag for "don't wait". The mode that decides belongs to all who share the listener (pre-fork servers), so
 * that only one is safe for everybody: a listener does not wait, ever; poll(2) does. */
enum ss_status ss_accept_step(struct ss_op *base)
{
    struct ss_accept *op = (struct ss_accept *)base;
    enum ss_turn turn = ss_io_turn(base->io);
    if (turn == SS_HOLD)
        return ss_op_want(base, SS_READABLE);
    enum ss_status st = ss_sock_mode(op->listener, true, &base->error);
    int fd;
    if (st == SS_OK)
        st = os_accept(base->io->fd, &fd, &base->error);
    if (st == SS_WANT)
        return ss_op_want(base, SS_READABLE);
    if (st == SS_OK)
        st = ss_sock_adopt(op->into, fd, op->listener->family, false, &base->error);
    /* Handed down perhaps (TCP, not Unix), and as they were when the connection came in. */
    for (int i = 0; st == SS_OK && i < 2; i++)
        if (op->listener->kernel_ms[i] != 0)
            op->into->kernel_ms[i] = -1;
    return st;
}
