#include "core/op_write.h"

void ss_write_advance(struct ss_write *op, size_t sent)
{
    op->sent += sent;
    while (op->n > 0 && sent >= op->iov->iov_len) {
        sent -= op->iov->iov_len;
        op->iov++;
        op->n--;
    }
    if (op->n > 0) {
        op->iov->iov_base = (char *)op->iov->iov_base + sent;
        op->iov->iov_len -= sent;
    }
}

/* All bytes are taken. */
static enum ss_status flush_layer(struct ss_op *base)
{
    if (!ss_io_has_layer(base->io))
        return SS_OK;
    enum ss_status st = base->io->via->flush(base->io, &base->error);
    return st == SS_WANT ? ss_op_want_to_send(base) : st;
}

enum ss_status ss_write_step(struct ss_op *base)
{
    struct ss_write *op = (struct ss_write *)base;
    enum ss_status st = SS_OK;
    if (op->n > 0 && op->iov->iov_len == 0)
        ss_write_advance(op, 0);
    if (op->n == 0)
        return flush_layer(base);
    while (op->n > 0 && st == SS_OK) {
        size_t sent = 0;
        st = base->io->via->send(base->io, op->iov, op->n, &sent, &base->error);
        if (sent > 0)
            ss_write_advance(op, sent);
    }
    return st == SS_WANT ? ss_op_want_to_send(base) : st;
}
