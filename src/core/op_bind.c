#include "core/op_bind.h"
#include "os/os_path.h"

#include <errno.h> /* EADDRINUSE */

static enum ss_status bind_or_replace(struct ss_bind *op, struct ss_addr *addr, struct ss_error *err)
{
    enum ss_status st = ss_sock_bind(op->sock, addr, err);
    if (st == SS_ERROR && op->replaces_dead && err->code == EADDRINUSE && os_remove_dead_socket(addr))
        st = ss_sock_bind(op->sock, addr, err);
    return st;
}

static enum ss_status bind_first_address(struct ss_bind *op)
{
    struct ss_addr addr;
    struct ss_error *err = &op->lookup.op.error;
    enum ss_status st = SS_ERROR;
    while (st == SS_ERROR && ss_lookup_next(&op->lookup, &addr))
        st = bind_or_replace(op, &addr, err);
    return st;
}

static enum ss_status bind_step(struct ss_op *base)
{
    struct ss_bind *op = (struct ss_bind *)base;
    enum ss_status st = ss_lookup_resolve(&op->lookup);
    if (st != SS_OK)
        return st;
    const struct ss_target *target = &op->lookup.target;
    return target->any ? ss_sock_bind_any(op->sock, target->port, &base->error) : bind_first_address(op);
}

void ss_bind_init(struct ss_bind *op, struct ss_sock *sock, const struct ss_target *target)
{
    ss_lookup_init(&op->lookup, sock->env, &sock->io, target, bind_step);
    op->sock = sock;
    op->replaces_dead = false;
}
