#include "core/op_send_by_name.h"
#include "core/codes.h"

/* SS_OK: the socket can send to op->addr | SS_ERROR. */
static enum ss_status try_send_address(struct ss_send_by_name *op, struct ss_error *err)
{
    bool fresh = op->sock->io.fd < 0;
    if (fresh && ss_sock_open(op->sock, op->addr.sa.any.sa_family, err) != SS_OK)
        return SS_ERROR;
    op->opened = fresh;
    if (ss_addr_fit(&op->addr, op->sock->family))
        return SS_OK;
    *err = ss_wrong_family;
    return SS_ERROR;
}

static enum ss_status choose_send_address(struct ss_send_by_name *op)
{
    op->lookup.op.error = ss_wrong_family;
    while (!op->chosen && ss_lookup_next(&op->lookup, &op->addr))
        op->chosen = try_send_address(op, &op->lookup.op.error) == SS_OK;
    *op->to = &op->addr;
    return op->chosen ? SS_OK : SS_ERROR;
}

/* A failed call closes a socket that the call opened. */
static void undo_send_open(struct ss_send_by_name *op)
{
    struct ss_error ignored;
    if (op->opened)
        ss_sock_close(op->sock, &ignored);
}

static enum ss_status run_send(struct ss_send_by_name *op)
{
    struct ss_op *base = &op->lookup.op;
    if (base->io->mode == SS_WAIT_ONCE) /* the driver set no SO_SNDTIMEO on this descriptor */
        ss_io_set_mode(base->io, SS_NO_WAIT);
    enum ss_status st = op->send->step(op->send);
    base->want = op->send->want;
    base->after_ms = op->send->after_ms;
    if (st == SS_ERROR) {
        base->error = op->send->error;
        undo_send_open(op);
    }
    return st;
}

static enum ss_status send_step(struct ss_op *base)
{
    struct ss_send_by_name *op = (struct ss_send_by_name *)base;
    enum ss_status st = ss_lookup_resolve(&op->lookup);
    if (st == SS_OK && !op->chosen)
        st = choose_send_address(op);
    return st == SS_OK ? run_send(op) : st;
}

void ss_send_by_name_init(struct ss_send_by_name *op, struct ss_sock *sock, const struct ss_target *target,
                          struct ss_op *send, const struct ss_addr **to)
{
    ss_lookup_init(&op->lookup, sock->env, &sock->io, target, send_step);
    op->sock = sock;
    op->send = send;
    op->to = to;
    op->chosen = op->opened = false;
}
