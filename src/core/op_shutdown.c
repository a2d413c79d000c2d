#include "core/op_shutdown.h"
#include "os/os_net.h"

#include <errno.h> /* ENOTCONN */

/* A peer that has closed already resets the connection when a layer tells it of the end. The layer has done its part by
 * then, also where it has ended the input alone. */
static enum ss_status end_layered(struct ss_io *io, int how, struct ss_error *err)
{
    enum ss_status st = io->via->end(io, how, err);
    if (st != SS_OK)
        return st == SS_EOF ? SS_ERROR : st;
    st = os_shutdown(io->fd, how, err);
    bool is_over = st == SS_ERROR && err->space == SS_SYSTEM && err->code == ENOTCONN;
    return is_over ? SS_OK : st;
}

enum ss_status ss_shutdown_now(struct ss_io *io, int how, struct ss_error *err)
{
    return ss_io_has_layer(io) ? end_layered(io, how, err) : os_shutdown(io->fd, how, err);
}

enum ss_status ss_shutdown_step(struct ss_op *base)
{
    struct ss_shutdown *op = (struct ss_shutdown *)base;
    enum ss_status st = ss_shutdown_now(base->io, op->how, &base->error);
    return st == SS_WANT ? ss_op_want_to_send(base) : st;
}
