/* Connecting a stream: a race of addresses (RFC 8305). */
#include "core/codes.h"
#include "core/op_named.h"
#include "os/os_net.h"

#include <errno.h>

enum {
    ATTEMPT_DELAY_MS = 250, /* RFC 8305 section 5, "Connection Attempt Delay" */
    QUEUE_RETRY_MS = 2      /* the queue of a Unix listener is full: nothing tells when it is not */
};

/* How much an error tells: an answer from the peer's host more than a failure on the way there. */
static int rank_of(const struct ss_error *err)
{
    switch (err->code) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EAFNOSUPPORT:
    case EADDRNOTAVAIL:
    case EPROTONOSUPPORT:
        return 1;
    case ECONNREFUSED:
    case ECONNRESET:
        return 3;
    default:
        return 2;
    }
}

static void note(struct ss_named *op, const struct ss_error *err)
{
    int rank = rank_of(err);
    if (rank > op->rank) {
        op->op.error = *err;
        op->rank = rank;
    }
}

static enum ss_status win(struct ss_named *op, int fd, int family)
{
    struct ss_sock *s = op->sock;
    if (!op->own) {
        enum ss_status st = ss_sock_adopt(s, fd, family, op->nonblock, &op->op.error);
        if (st != SS_OK)
            return st;
        s->kernel_ms[1] = op->bounded_ms;
    }
    s->connected = true;
    return ss_sock_set_nonblock(s, false, &op->op.error);
}

/* The socket's own descriptor stays, whatever becomes of the attempt. */
static void discard(const struct ss_named *op, int fd)
{
    struct ss_error ignored;
    if (!op->own)
        os_close(fd, &ignored);
}

static void launch(struct ss_named *op, int fd, int family)
{
    op->families[op->nflights] = family;
    op->flights[op->nflights++] = (struct ss_interest){ .fd = fd, .events = SS_WRITABLE };
}

static void land(struct ss_named *op, unsigned i)
{
    op->nflights--;
    for (; i < op->nflights; i++) {
        op->flights[i] = op->flights[i + 1];
        op->families[i] = op->families[i + 1];
    }
}

/* How one that is under way stands. After its failure Linux takes the socket's own descriptor for one that still connects, and
 * lets it do nothing else (listen(2): EINVAL), until it is told to forget that. */
static enum ss_status look_at(const struct ss_named *op, int fd, struct ss_error *err)
{
    struct ss_error ignored;
    enum ss_status st = os_connected(fd, err);
    if (st == SS_OK && op->own && op->sock->pending_error.code != 0) {
        *err = op->sock->pending_error;
        st = SS_ERROR;
    }
    if (st == SS_ERROR && op->own)
        os_disconnect(fd, &ignored);
    return st;
}

/* Looks after the attempts that are under way, those first that began first. SS_OK: one has arrived (the rest is closed by
 * ss_named_fini). SS_WANT: none has. */
static enum ss_status watch(struct ss_named *op, bool *failed)
{
    struct ss_error err;
    for (unsigned i = 0; i < op->nflights;) {
        int fd = op->flights[i].fd, family = op->families[i];
        enum ss_status st = look_at(op, fd, &err);
        if (st == SS_WANT) {
            i++;
            continue;
        }
        land(op, i);
        if (st == SS_OK)
            return win(op, fd, family);
        note(op, &err);
        discard(op, fd);
        *failed = true;
    }
    return SS_WANT;
}

/* Linux says EISCONN only to the second connect(2) from here on if the first was in progress as it returned, which for a
 * descriptor that was taken over may have been elsewhere; and none of that when the peer has ended the connection. */
static bool is_connected(int fd)
{
    struct ss_addr peer;
    struct ss_error ignored;
    return os_peer(fd, &peer, &ignored) == SS_OK;
}

/* The socket's own descriptor for the next attempt. */
static enum ss_status prepare_own(struct ss_named *op, struct ss_error *err)
{
    struct ss_sock *s = op->sock;
    bool connected = s->connected || is_connected(s->io.fd);
    op->attempt = ++s->attempt;
    s->pending_error.code = 0;
    s->io.broken = 0;
    if (!connected && ss_addr_fit(&op->latest, s->family))
        return ss_sock_set_nonblock(s, op->nonblock, err);
    *err = connected ? (struct ss_error){ SS_SYSTEM, EISCONN } : ss_wrong_family;
    return SS_ERROR;
}

/* A descriptor for the next attempt. */
static enum ss_status prepare_attempt(struct ss_named *op, int *fd, struct ss_error *err)
{
    *fd = op->sock->io.fd;
    if (op->own)
        return prepare_own(op, err);
    op->bounded_ms = 0;
    return ss_sock_make(op->sock, op->latest.sa.any.sa_family, op->nonblock, fd, err);
}

/* Lets the kernel keep the deadline of a connect that may wait there. Where it takes none (SO_SNDTIMEO), nothing waits there. */
static enum ss_status set_bound(struct ss_named *op, int fd, struct ss_error *err)
{
    int32_t ms = op->op.io->kernel_timeout_ms;
    int32_t *is = op->own ? &op->sock->kernel_ms[1] : &op->bounded_ms;
    if (op->nonblock || *is == ms)
        return SS_OK;
    if (os_kernel_timeout(fd, true, ms, err) == SS_OK) {
        *is = ms;
        return SS_OK;
    }
    op->nonblock = true;
    return op->own ? ss_sock_set_nonblock(op->sock, true, err) : os_nonblock(fd, true, err);
}

static enum ss_status start(struct ss_named *op, int fd, struct ss_error *err)
{
    enum ss_status st = set_bound(op, fd, err);
    if (st == SS_OK)
        st = os_connect(fd, &op->latest, &op->retry, err);
    /* After one that failed elsewhere, for whoever gave it to fromfd, Linux has only now made it fit for another. */
    if (st == SS_ERROR && op->own && err->code == ECONNABORTED)
        st = os_connect(fd, &op->latest, &op->retry, err);
    /* On the same machine it may be done already. */
    return st == SS_WANT && !op->retry ? look_at(op, fd, err) : st;
}

/* In the kernel, in connect(2). */
static bool may_wait(enum ss_mode mode)
{
    return mode == SS_WAIT_ALWAYS || (mode == SS_WAIT_ONCE && os_kernel_bounds_calls);
}

/* Tries op->latest. SS_OK: connected. SS_WANT: under way, or op->retry. SS_ERROR: noted. */
static enum ss_status attempt(struct ss_named *op)
{
    int fd, family = op->latest.sa.any.sa_family;
    struct ss_error err;
    op->retry = false;
    op->nonblock = !op->single || !may_wait(ss_io_take_mode(op->op.io));
    enum ss_status st = prepare_attempt(op, &fd, &err);
    if (st != SS_OK) {
        note(op, &err);
        return st;
    }
    st = start(op, fd, &err);
    if (st == SS_OK)
        return win(op, fd, family);
    if (st == SS_WANT && !op->retry) {
        launch(op, fd, family);
        return st;
    }
    if (st == SS_ERROR)
        note(op, &err);
    discard(op, fd);
    return st;
}

/* Attempts one address after another until one is under way. SS_ERROR: there are no more. */
static enum ss_status attempt_next(struct ss_named *op)
{
    enum ss_status st = SS_ERROR;
    while (st == SS_ERROR && (op->retry || ss_named_next(op, &op->latest)))
        st = attempt(op);
    return st;
}

enum ss_status ss_named_connect(struct ss_named *op)
{
    bool next = op->nflights == 0 || op->op.due;
    bool more = true;
    enum ss_status st = watch(op, &next);
    if (st == SS_WANT && next && op->nflights < SS_FLIGHTS && !(op->own && op->nflights > 0)) {
        st = attempt_next(op);
        more = st != SS_ERROR;
        if (!more && op->nflights > 0)
            st = SS_WANT;
    }
    op->op.wants = op->flights;
    op->op.nwants = op->nflights;
    op->op.after_ms = op->retry ? QUEUE_RETRY_MS : more && !op->single && !op->own ? ATTEMPT_DELAY_MS : 0;
    return st;
}
