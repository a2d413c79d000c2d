#include "core/op_named.h"
#include "core/codes.h"
#include "os/os_lookup.h"
#include "os/os_name.h"
#include "os/os_net.h"

void ss_named_init(struct ss_named *op, struct ss_env *env, struct ss_sock *sock, const struct ss_target *target,
                   enum ss_status (*then)(struct ss_named *op))
{
    ss_env_forked(env);
    *op = (struct ss_named){ .env = env, .sock = sock, .target = *target, .then = then, .forks = env->forks };
    op->op.step = ss_named_step;
    op->op.io = sock ? &sock->io : &op->io;
    op->op.kernel_timeout = SS_BY_OWN_SNDTIMEO;
    op->op.closes = true;
    op->found = op->one_left = op->single = target->addr.len > 0;
    op->own = sock && sock->io.fd >= 0;
}

/* A resolver may answer with nothing that can be used. */
static enum ss_status survey(struct ss_named *op)
{
    struct ss_addr addr;
    const struct addrinfo *cursor = op->names;
    if (!os_names_next(&cursor, 0, &addr)) {
        op->op.error = ss_not_found;
        return SS_ERROR;
    }
    op->family = addr.sa.any.sa_family;
    op->single = !os_names_next(&cursor, 0, &addr);
    op->next[0] = op->next[1] = op->names;
    op->found = true;
    return SS_OK;
}

static void end_lookup(struct ss_named *op)
{
    if (op->lookup)
        os_lookup_drop(op->lookup);
    op->lookup = NULL;
}

/* On another thread, anew in a process that has not got it. However quick that is, it is asked only after a wait: with no
 * time at all no name is found. */
static enum ss_status look_up_behind(struct ss_named *op)
{
    enum ss_status st = op->lookup ? os_lookup_take(op->lookup, &op->names, &op->op.error) : SS_CLOSED;
    if (st == SS_CLOSED) {
        end_lookup(op);
        st = os_lookup_start(&op->env->resolver, op->target.host, &op->lookup, &op->lookup_fd, &op->op.error);
        st = st == SS_OK ? SS_WANT : st;
    }
    op->op.want = (struct ss_interest){ .fd = op->lookup_fd, .events = SS_READABLE };
    if (st != SS_WANT)
        end_lookup(op);
    return st;
}

/* Only where nobody minds how long it takes is the resolver called directly. */
static enum ss_status look_up(struct ss_named *op)
{
    bool direct = op->op.io->mode == SS_WAIT_ALWAYS && !op->lookup;
    enum ss_status st = direct ? os_names(op->target.host, &op->names, &op->op.error) : look_up_behind(op);
    return st == SS_OK ? survey(op) : st;
}

enum ss_status ss_named_step(struct ss_op *base)
{
    struct ss_named *op = (struct ss_named *)base;
    if (base->io->mode == SS_NO_CALL)
        return SS_WANT;
    if (!op->found && !op->target.any) {
        enum ss_status st = look_up(op);
        if (st != SS_OK)
            return st;
    }
    return op->then(op);
}

/* The next address of the first's family (which = 0) or of the other one (1). */
static bool next_of(struct ss_named *op, unsigned which, struct ss_addr *addr)
{
    while (os_names_next(&op->next[which], op->target.port, addr))
        if ((addr->sa.any.sa_family == op->family) == (which == 0))
            return true;
    return false;
}

void ss_named_rewind(struct ss_named *op)
{
    op->one_left = op->target.addr.len > 0;
    op->next[0] = op->next[1] = op->names;
    op->turn = 0;
}

bool ss_named_next(struct ss_named *op, struct ss_addr *addr)
{
    if (op->one_left) {
        op->one_left = false;
        *addr = op->target.addr;
        return true;
    }
    if (!op->sock) /* a mere look-up tells the resolver's order */
        return os_names_next(&op->next[0], op->target.port, addr);
    unsigned which = op->turn++ % 2;
    return next_of(op, which, addr) || next_of(op, 1 - which, addr);
}

/* Otherwise that number may be another's by now, or the attempt is that of the parent process, which goes on with it. */
static bool has_own_attempt(const struct ss_named *op)
{
    ss_env_forked(op->env);
    return op->own && op->attempt == op->sock->attempt && op->forks == op->env->forks;
}

void ss_named_fini(struct ss_named *op)
{
    struct ss_error ignored;
    bool has_own = has_own_attempt(op);
    while (op->nflights > 0) {
        int fd = op->flights[--op->nflights].fd;
        if (has_own)
            os_disconnect(fd, &ignored);
        else if (!op->own)
            os_close(fd, &ignored);
    }
    if (has_own)
        ss_sock_set_nonblock(op->sock, false, &ignored);
    op->own = false;
    end_lookup(op);
    if (op->names)
        os_names_free(op->names);
    op->names = NULL;
}

enum ss_status ss_named_found(struct ss_named *op)
{
    (void)op;
    return SS_OK;
}

enum ss_status ss_named_bind(struct ss_named *op)
{
    struct ss_addr addr;
    enum ss_status st = SS_ERROR;
    if (op->target.any)
        return ss_sock_bind_any(op->sock, op->target.port, &op->op.error);
    while (st == SS_ERROR && ss_named_next(op, &addr))
        st = ss_sock_bind(op->sock, &addr, &op->op.error);
    return st;
}

static enum ss_status wrong_family(struct ss_error *err)
{
    *err = ss_wrong_family;
    return SS_ERROR;
}

/* Nothing goes on behind an interrupted call, as it does with a stream: it is made again. */
static enum ss_status connect_dgram(int fd, const struct ss_addr *addr, struct ss_error *err)
{
    enum ss_status st;
    bool later;
    do
        st = os_connect(fd, addr, &later, err);
    while (st == SS_WANT);
    return st;
}

/* A descriptor of another family cannot be turned; unless the program bound it, a new one takes its place. */
static enum ss_status move_peer(struct ss_sock *s, struct ss_addr *addr, struct ss_error *err)
{
    int fd, family = addr->sa.any.sa_family;
    struct ss_error ignored;
    enum ss_status st = ss_sock_make(s, family, false, &fd, err);
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

static enum ss_status set_peer(struct ss_sock *s, struct ss_addr *addr, struct ss_error *err)
{
    if (s->io.fd < 0 || (!s->bound && s->family != addr->sa.any.sa_family))
        return move_peer(s, addr, err);
    if (!ss_addr_fit(addr, s->family))
        return wrong_family(err);
    return connect_dgram(s->io.fd, addr, err);
}

enum ss_status ss_named_set_peer(struct ss_named *op)
{
    struct ss_addr addr;
    enum ss_status st = SS_ERROR;
    while (st == SS_ERROR && ss_named_next(op, &addr))
        st = set_peer(op->sock, &addr, &op->op.error);
    return st;
}

/* The first address that the socket's family can reach. */
static enum ss_status choose(struct ss_named *op)
{
    enum ss_status st = wrong_family(&op->op.error);
    while (ss_named_next(op, &op->latest)) {
        bool fresh = op->sock->io.fd < 0;
        if (fresh && ss_sock_open(op->sock, op->latest.sa.any.sa_family, &op->op.error) != SS_OK)
            continue;
        op->opened = fresh;
        if (ss_addr_fit(&op->latest, op->sock->family))
            return SS_OK;
        st = wrong_family(&op->op.error);
    }
    return st;
}

enum ss_status ss_named_send(struct ss_named *op)
{
    enum ss_status st = op->chosen ? SS_OK : choose(op);
    if (st != SS_OK)
        return st;
    op->chosen = true;
    *op->to = &op->latest;
    if (op->op.io->mode == SS_WAIT_ONCE) /* the time that the kernel keeps was not set on this descriptor */
        ss_io_set_mode(op->op.io, SS_NO_WAIT);
    st = op->send->step(op->send);
    op->op.want = op->send->want;
    op->op.after_ms = op->send->after_ms;
    if (st == SS_ERROR) {
        struct ss_error ignored;
        op->op.error = op->send->error;
        if (op->opened) /* a failed first sendto leaves nothing behind */
            ss_sock_close(op->sock, &ignored);
    }
    return st;
}
