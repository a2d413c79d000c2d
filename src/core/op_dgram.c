#include "core/op_dgram.h"
#include "os/os_net.h"

/* A size up to a block costs nothing. For more (Unix datagrams can be longer) it is the datagram that counts, not the
 * number that was asked for. */
static enum ss_status make_room(struct ss_recvfrom *op, int *flags, size_t *room)
{
    enum ss_status st = SS_OK;
    *room = op->size;
    if (op->size > SS_BLOCK) {
        size_t len = 0;
        st = os_next_length(op->sock->io.fd, *flags, &len, &op->op.error);
        *flags = OS_DONTWAIT;
        *room = len < op->size ? len : op->size;
    }
    return st == SS_OK ? ss_inbuf_borrow(&op->sock->in, *room, &op->op.error) : st;
}

static enum ss_status receive(struct ss_recvfrom *op, int flags)
{
    struct ss_inbuf *in = &op->sock->in;
    size_t room, got = 0;
    enum ss_status st = make_room(op, &flags, &room);
    if (st == SS_OK)
        st = os_recvfrom(op->sock->io.fd, in->block, room, flags, op->from, &got, &op->op.error);
    in->end = in->used = got;
    if (st != SS_OK && st != SS_TRUNCATED)
        ss_inbuf_clear(in);
    return st;
}

enum ss_status ss_recvfrom_step(struct ss_op *base)
{
    struct ss_recvfrom *op = (struct ss_recvfrom *)base;
    enum ss_turn turn = ss_io_turn(base->io);
    enum ss_status st = turn == SS_HOLD ? SS_WANT : receive(op, turn == SS_TRY ? OS_DONTWAIT : 0);
    return st == SS_WANT ? ss_op_want(base, SS_READABLE) : st;
}

enum ss_status ss_dgram_want_room(struct ss_op *op, const struct ss_sock *sock, bool to_somebody)
{
    enum { RETRY_US = 1000 };
    ss_op_want(op, SS_WRITABLE);
    if (sock->family == AF_UNIX && to_somebody) { /* poll(2) knows nothing of the receiver's queue */
        op->want.events = 0;
        op->after_us = RETRY_US;
    }
    return SS_WANT;
}

enum ss_status ss_sendto_step(struct ss_op *base)
{
    struct ss_sendto *op = (struct ss_sendto *)base;
    enum ss_turn turn = ss_io_turn(base->io);
    if (turn == SS_HOLD)
        return ss_op_want(base, SS_WRITABLE);
    enum ss_status st =
        os_sendto(base->io->fd, op->data, op->len, turn == SS_TRY ? OS_DONTWAIT : 0, op->to, &base->error);
    return st == SS_WANT ? ss_dgram_want_room(base, op->sock, op->to != NULL) : st;
}

enum { BATCH_MEMORY = 1024 * 1024 }; /* bytes of buffers for one receive of many */

static enum ss_status receive_many(struct ss_recvmany *op, int flags)
{
    size_t n = op->count < OS_MANY ? op->count : OS_MANY;
    size_t fits = BATCH_MEMORY / op->size;
    n = n < fits ? n : fits > 0 ? fits : 1;
    enum ss_status st = ss_inbuf_borrow(&op->sock->in, os_batch_memory(n, op->size), &op->op.error);
    if (st != SS_OK)
        return st;
    os_batch_init(&op->batch, op->sock->in.block, n, op->size);
    st = os_recv_many(op->sock->io.fd, &op->batch, flags, &op->got, &op->op.error);
    op->sock->in.used = op->sock->in.size;
    if (st != SS_OK)
        ss_inbuf_clear(&op->sock->in);
    return st;
}

enum ss_status ss_recvmany_step(struct ss_op *base)
{
    struct ss_recvmany *op = (struct ss_recvmany *)base;
    enum ss_turn turn = ss_io_turn(base->io);
    enum ss_status st = turn == SS_HOLD ? SS_WANT : receive_many(op, turn == SS_TRY ? OS_DONTWAIT : 0);
    return st == SS_WANT ? ss_op_want(base, SS_READABLE) : st;
}

static enum ss_status send_some(struct ss_sendmany *op, struct os_batch *batch)
{
    enum ss_turn turn = ss_io_turn(op->op.io);
    if (turn == SS_HOLD)
        return ss_op_want(&op->op, SS_WRITABLE);
    size_t sent = 0;
    enum ss_status st = os_send_many(op->sock->io.fd, batch, op->data + op->sent, op->n - op->sent,
                                     turn == SS_TRY ? OS_DONTWAIT : 0, op->to, &sent, &op->op.error);
    op->sent += sent;
    return st == SS_WANT ? ss_dgram_want_room(&op->op, op->sock, op->to != NULL) : st;
}

enum ss_status ss_sendmany_step(struct ss_op *base)
{
    struct ss_sendmany *op = (struct ss_sendmany *)base;
    struct os_batch batch;
    size_t n = op->n < OS_MANY ? op->n : OS_MANY;
    enum ss_status st = ss_inbuf_borrow(&op->sock->in, os_batch_memory(n, 0), &base->error);
    if (st != SS_OK)
        return st;
    os_batch_init(&batch, op->sock->in.block, n, 0);
    while (st == SS_OK && op->sent < op->n)
        st = send_some(op, &batch);
    ss_inbuf_clear(&op->sock->in);
    return st;
}
