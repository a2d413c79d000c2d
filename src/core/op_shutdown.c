#include "core/op_shutdown.h"
#include "os/os_net.h"

enum ss_status ss_shutdown_now(struct ss_io *io, int how, struct ss_error *err)
{
    enum ss_status st = ss_io_has_layer(io) ? io->via->end(io, how, err) : SS_OK;
    return st == SS_OK ? os_shutdown(io->fd, how, err) : st;
}

enum ss_status ss_shutdown_step(struct ss_op *base)
{
    struct ss_shutdown *op = (struct ss_shutdown *)base;
    enum ss_status st = ss_shutdown_now(base->io, op->how, &base->error);
    return st == SS_WANT ? ss_op_want(base, SS_WRITABLE) : st;
}
