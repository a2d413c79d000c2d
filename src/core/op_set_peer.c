#include "core/op_set_peer.h"
#include "core/codes.h"
#include "os/os_net.h"

/* Repeats an interrupted connect(2), which for a datagram socket does not continue in the background. */
static enum ss_status connect_dgram(int fd, const struct ss_addr *addr, struct ss_error *err)
{
    enum ss_status st;
    bool later;
    do
        st = os_connect(fd, addr, &later, err);
    while (st == SS_WANT);
    return st;
}

/* Replaces the socket's descriptor by a connected one of the address's family. */
static enum ss_status connect_new_dgram(struct ss_sock *s, const struct ss_addr *addr, struct ss_error *err)
{
    int fd, family = addr->sa.any.sa_family;
    struct ss_error ignored;
    enum ss_status st = ss_sock_make_fd(s, family, false, &fd, err);
    if (st != SS_OK)
        return st;
    st = connect_dgram(fd, addr, err);
    if (st != SS_OK) {
        os_close(fd, &ignored);
        return st;
    }
    ss_sock_close(s, &ignored);
    return ss_sock_adopt(s, fd, family, false, err);
}

/* A descriptor's family is fixed; a descriptor that the program has not bound may be replaced. */
static enum ss_status set_peer(struct ss_sock *s, struct ss_addr *addr, struct ss_error *err)
{
    if (s->io.fd < 0 || (!s->bound && s->family != addr->sa.any.sa_family))
        return connect_new_dgram(s, addr, err);
    if (ss_addr_fit(addr, s->family))
        return connect_dgram(s->io.fd, addr, err);
    *err = ss_wrong_family;
    return SS_ERROR;
}

static enum ss_status set_peer_step(struct ss_op *base)
{
    struct ss_set_peer *op = (struct ss_set_peer *)base;
    struct ss_addr addr;
    enum ss_status st = ss_lookup_resolve(&op->lookup);
    if (st != SS_OK)
        return st;
    st = SS_ERROR;
    while (st == SS_ERROR && ss_lookup_next(&op->lookup, &addr))
        st = set_peer(op->sock, &addr, &base->error);
    return st;
}

void ss_set_peer_init(struct ss_set_peer *op, struct ss_sock *sock, const struct ss_target *target)
{
    ss_lookup_init(&op->lookup, sock->env, &sock->io, target, set_peer_step);
    op->sock = sock;
}
