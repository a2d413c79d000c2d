#include "core/op_set_peer.h"
#include "core/codes.h"
#include "os/os_net.h"
#include "os/os_opt.h"

#include <string.h> /* memcmp */

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

/* Dissolving */

static in_port_t *port_of(struct ss_addr *addr)
{
    return addr->sa.any.sa_family == AF_INET6 ? &addr->sa.in6.sin6_port : &addr->sa.in.sin_port;
}

static bool is_same_ipv6(const struct ss_addr *a, const struct ss_addr *b)
{
    return a->sa.any.sa_family == AF_INET6 &&
           memcmp(&a->sa.in6.sin6_addr, &b->sa.in6.sin6_addr, sizeof a->sa.in6.sin6_addr) == 0;
}

/* Linux also forgets SO_BINDTODEVICE, and with it the zone of a link-local address. */
static enum ss_status restore_device(const struct ss_sock *s, struct ss_error *err)
{
    const struct ss_setting option = { .opt = os_opt_find("bindtodevice") };
    const struct ss_setting *device = option.opt ? ss_optlist_get(&s->opts, &option) : NULL;
    return device ? ss_setting_apply(device, s->io.fd, s->family, err) : SS_OK;
}

/* The host is what the system has left: connect(2) narrows a wildcard to the address by which the peer is reached. */
static enum ss_status restore_port(const struct ss_sock *s, struct ss_addr *before, struct ss_error *err)
{
    struct ss_addr addr;
    enum ss_status st = os_local(s->io.fd, &addr, err);
    if (st != SS_OK || *port_of(&addr) != 0 || *port_of(before) == 0)
        return st;
    *port_of(&addr) = *port_of(before);
    return os_bind(s->io.fd, is_same_ipv6(&addr, before) ? before : &addr, err);
}

enum ss_status ss_sock_dissolve(struct ss_sock *s, struct ss_error *err)
{
    struct ss_addr before;
    enum ss_status st = os_local(s->io.fd, &before, err);
    if (st == SS_OK)
        st = os_disconnect(s->io.fd, err);
    if (st != SS_OK || s->family == AF_UNIX)
        return st;
    st = restore_device(s, err);
    return st == SS_OK ? restore_port(s, &before, err) : st;
}
