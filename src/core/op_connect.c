#include "core/op_connect.h"
#include "base/mem.h" /* ss_min_size */
#include "os/os_net.h"

#include <errno.h>

enum {
    ATTEMPT_DELAY_MS = 250, /* RFC 8305 section 5, "Connection Attempt Delay" */
    QUEUE_RETRY_MS = 2      /* os_connect with *later; no event reports when to start again */
};

/* Whether the socket's descriptor is still dialed by this call. After a fork the dial belongs to the parent process. */
static inline bool attempt_is_current(const struct ss_connect *op)
{
    if (!op->on_sock_fd)
        return false;
    ss_env_forked(op->lookup.env);
    return op->attempt == op->sock->attempt && op->forks == op->lookup.env->forks;
}

static void end_race(struct ss_lookup *lookup)
{
    struct ss_connect *op = (struct ss_connect *)lookup;
    struct ss_error ignored;
    bool is_current = attempt_is_current(op);
    while (op->ndials > 0) {
        const struct ss_dial *dial = &op->dials[--op->ndials];
        if ((is_current && !op->goes_on) || !op->on_sock_fd)
            ss_dial_cancel(dial);
    }
    if (is_current)
        ss_sock_set_nonblock(op->sock, false, &ignored);
    op->on_sock_fd = false;
}

void ss_connect_init(struct ss_connect *op, struct ss_sock *sock, const struct ss_target *target)
{
    ss_lookup_init(&op->lookup, sock->env, &sock->io, target, ss_connect_step);
    op->lookup.release = end_race;
    op->sock = sock;
    op->retry = op->some_silent = op->second_round = false;
    op->on_sock_fd = sock->io.fd >= 0;
    op->goes_on = sock->opened;
    op->chosen = false;
    op->attempt = 0;
    op->forks = sock->env->forks;
    op->error_rank = op->ndials = 0;
}

/* How specific an error is: an answer from the peer's host ranks above a failure on the path. */
static unsigned rank_error(const struct ss_error *err)
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

static void record_error(struct ss_connect *op, const struct ss_error *err)
{
    unsigned rank = rank_error(err);
    if (rank > op->error_rank) {
        op->lookup.op.error = *err;
        op->error_rank = rank;
    }
}

static void add_dial(struct ss_connect *op, const struct ss_dial *dial)
{
    op->dials[op->ndials++] = *dial;
}

static struct ss_dial remove_dial(struct ss_connect *op, unsigned i)
{
    const struct ss_dial dial = op->dials[i];
    op->ndials--;
    for (; i < op->ndials; i++)
        op->dials[i] = op->dials[i + 1];
    return dial;
}

static enum ss_status finish_dial(struct ss_connect *op, const struct ss_dial *dial)
{
    return ss_dial_finish(dial, op->sock, &op->lookup.op.error);
}

/* Checks the dials, oldest first. SS_OK: connected (ss_lookup_fini closes the others) | SS_WANT: not connected. */
static inline enum ss_status check_dials(struct ss_connect *op, bool *failed)
{
    struct ss_error err;
    for (unsigned i = 0; i < op->ndials;) {
        enum ss_status st = ss_dial_check(&op->dials[i], op->sock, &err);
        if (st == SS_WANT) {
            i++;
            continue;
        }
        const struct ss_dial dial = remove_dial(op, i);
        if (st == SS_OK)
            return finish_dial(op, &dial);
        record_error(op, &err);
        ss_dial_close(&dial);
        *failed = true;
    }
    return SS_WANT;
}

static bool connect_may_block(const struct ss_connect *op)
{
    if (!op->lookup.single)
        return false;
    enum ss_mode mode = ss_io_take_mode(op->lookup.op.io);
    return mode == SS_WAIT_ALWAYS || (mode == SS_WAIT_ONCE && os_kernel_bounds_calls);
}

/* Dials op->addr. SS_OK: connected | SS_WANT: in progress, or op->retry | SS_ERROR: recorded. */
static enum ss_status dial_address(struct ss_connect *op)
{
    struct ss_error err;
    struct ss_dial dial = { .on_sock_fd = op->on_sock_fd, .nonblock = !connect_may_block(op) };
    enum ss_status st = ss_dial_start(&dial, op->sock, &op->addr, &op->retry, &err);
    op->attempt = op->sock->attempt;
    if (st == SS_OK)
        return finish_dial(op, &dial);
    if (st == SS_ERROR)
        record_error(op, &err);
    else if (!op->retry)
        add_dial(op, &dial);
    return st;
}

/* After the last address of the first round. */
static bool begin_second_round(struct ss_connect *op)
{
    if (!op->some_silent || op->second_round)
        return false;
    op->second_round = true;
    ss_lookup_rewind(&op->lookup);
    return ss_lookup_next(&op->lookup, &op->addr);
}

/* Dials addresses in turn until a dial does not fail at once. SS_ERROR: no address remains. */
static inline enum ss_status dial_next(struct ss_connect *op)
{
    enum ss_status st = SS_ERROR;
    while (st == SS_ERROR && (op->retry || ss_lookup_next(&op->lookup, &op->addr) || begin_second_round(op)))
        st = dial_address(op);
    return st;
}

/* The timer of a dial on the socket's descriptor. */
static void limit_dial(struct ss_connect *op)
{
    struct ss_op *base = &op->lookup.op;
    unsigned left = ss_lookup_count_next(&op->lookup, op->sock->family);
    bool more = left > 0 || op->some_silent;
    base->shares = op->second_round;
    if (op->second_round)
        base->after_ms = (uint16_t)ss_min_size(left > 0 ? left + 1 : 0, UINT16_MAX);
    else
        base->after_ms = more ? ATTEMPT_DELAY_MS : 0;
}

static inline void want_dials(struct ss_connect *op, bool more)
{
    for (unsigned i = 0; i < op->ndials; i++)
        op->wants[i] = (struct ss_interest){ .fd = op->dials[i].fd, .events = SS_WRITABLE };
    op->lookup.op.wants = op->wants;
    op->lookup.op.nwants = op->ndials;
    bool races = more && !op->lookup.single;
    op->lookup.op.shares = false;
    op->lookup.op.after_ms = op->retry ? QUEUE_RETRY_MS : races ? ATTEMPT_DELAY_MS : 0;
    if (races && op->on_sock_fd && !op->retry)
        limit_dial(op);
}

/* Gives up a silent dial on the socket's descriptor, if its time is over. */
static void end_silent_dial(struct ss_connect *op)
{
    const struct ss_error silent = { SS_SYSTEM, ETIMEDOUT };
    if (!op->lookup.op.due || op->ndials == 0 || !attempt_is_current(op))
        return;
    const struct ss_dial dial = remove_dial(op, 0);
    record_error(op, &silent);
    ss_dial_cancel(&dial);
    op->some_silent = true;
}

static enum ss_status run_race(struct ss_connect *op)
{
    bool next = op->ndials == 0 || op->lookup.op.due;
    bool more = true;
    enum ss_status st = check_dials(op, &next);
    if (st == SS_WANT && op->on_sock_fd)
        end_silent_dial(op);
    if (st == SS_WANT && next && op->ndials < SS_DIALS && !(op->on_sock_fd && op->ndials > 0)) {
        st = dial_next(op);
        more = st != SS_ERROR;
        if (!more && op->ndials > 0)
            st = SS_WANT;
    }
    if (st == SS_WANT)
        want_dials(op, more);
    return st;
}

/* Connects that go on */

static enum ss_status fail_connect(struct ss_connect *op, int code)
{
    op->lookup.op.error = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

/* A literal address, or the name's only one of the socket's family. */
static enum ss_status choose_address(struct ss_connect *op)
{
    struct ss_addr addr;
    bool is_literal = op->lookup.target.addr.len > 0;
    unsigned n = 0;
    while (ss_lookup_next(&op->lookup, &addr)) {
        if (!is_literal && addr.sa.any.sa_family != op->sock->family)
            continue;
        op->addr = addr;
        n++;
    }
    if (n > 1)
        return fail_connect(op, EDESTADDRREQ);
    op->chosen = n == 1 && ss_addr_fit(&op->addr, op->sock->family);
    return op->chosen ? SS_OK : fail_connect(op, EAFNOSUPPORT);
}

/* Goes on with the dial that an earlier call has started. */
static enum ss_status resume_dial(struct ss_connect *op)
{
    if (!ss_addr_equal(op->sock->goal, &op->addr))
        return fail_connect(op, EALREADY);
    const struct ss_dial dial = ss_dial_resume(op->sock);
    op->attempt = op->sock->attempt;
    add_dial(op, &dial);
    return SS_WANT;
}

/* The goal is there before the dial, for want of memory must not end one that is under way. */
static enum ss_status begin_dial(struct ss_connect *op)
{
    enum ss_status st = ss_sock_set_goal(op->sock, &op->addr, &op->lookup.op.error);
    return st == SS_OK ? dial_address(op) : st;
}

static enum ss_status run_dial_that_goes_on(struct ss_connect *op)
{
    bool failed = false;
    enum ss_status st = SS_WANT;
    if (op->ndials > 0)
        st = check_dials(op, &failed);
    else
        st = begin_dial(op);
    if (failed)
        st = SS_ERROR;
    if (st != SS_WANT || op->retry)
        ss_sock_clear_goal(op->sock);
    want_dials(op, false);
    return st;
}

static enum ss_status connect_opened(struct ss_connect *op)
{
    enum ss_status st = op->chosen ? SS_OK : choose_address(op);
    if (st == SS_OK && op->ndials == 0 && op->sock->goal)
        st = resume_dial(op) == SS_WANT ? SS_OK : SS_ERROR;
    return st == SS_OK ? run_dial_that_goes_on(op) : st;
}

enum ss_status ss_connect_step(struct ss_op *base)
{
    struct ss_connect *op = (struct ss_connect *)base;
    enum ss_status st = ss_lookup_resolve(&op->lookup);
    if (st != SS_OK)
        return st;
    return op->goes_on ? connect_opened(op) : run_race(op);
}

void ss_connect_restart(struct ss_op *base)
{
    struct ss_connect *op = (struct ss_connect *)base;
    ss_lookup_restart(base);
    op->chosen = op->some_silent = op->second_round = false;
    op->error_rank = 0;
}
