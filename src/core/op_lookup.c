#include "core/op_lookup.h"
#include "core/codes.h"
#include "core/sock.h"
#include "os/os_lookup.h"

void ss_lookup_init(struct ss_lookup *lookup, struct ss_env *env, struct ss_io *io, const struct ss_target *target,
                    enum ss_status (*step)(struct ss_op *op))
{
    ss_env_forked(env);
    *lookup = (struct ss_lookup){ .env = env, .target = *target };
    lookup->op.step = step;
    lookup->op.io = io;
    lookup->op.kernel_timeout = SS_BY_OP_SNDTIMEO;
    lookup->op.closes = true;
    lookup->literal_pending = lookup->single = target->addr.len > 0;
    lookup->resolved = (lookup->single && !target->service && !target->wants_name) || target->any;
    lookup->op.waits = !lookup->resolved;
}

/* The answer is the port of a literal, which has no other address. */
static void set_literal_port(struct ss_lookup *lookup)
{
    ss_addr_set_port(&lookup->target.addr, lookup->target.port);
    os_answer_free(&lookup->answer);
    lookup->resolved = true;
}

/* Fails if the resolver's answer has no usable address. */
static enum ss_status accept_names(struct ss_lookup *lookup)
{
    struct ss_addr addr;
    const struct addrinfo *cursor = lookup->answer.list;
    if (!os_names_next(&cursor, 0, &addr)) {
        lookup->op.error = ss_not_found;
        return SS_ERROR;
    }
    lookup->family = addr.sa.any.sa_family;
    lookup->single = !os_names_next(&cursor, 0, &addr);
    lookup->next[0] = lookup->next[1] = lookup->answer.list;
    lookup->resolved = true;
    return SS_OK;
}

static enum ss_status accept_answer(struct ss_lookup *lookup)
{
    struct ss_target *target = &lookup->target;
    if (target->wants_name) {
        lookup->resolved = true;
        return SS_OK;
    }
    if (target->service)
        target->port = os_answer_port(&lookup->answer);
    if (target->addr.len == 0)
        return accept_names(lookup);
    set_literal_port(lookup);
    return SS_OK;
}

static struct os_query make_query(const struct ss_target *target)
{
    struct os_query query = { .service = target->service, .family = target->family };
    if (target->wants_name) {
        query.reverse = target->addr;
    } else if (target->addr.len == 0) {
        query.host = target->host;
        query.wants_canonical = target->wants_canonical;
    }
    return query;
}

static void drop_query(struct ss_lookup *lookup)
{
    if (lookup->query)
        os_lookup_drop(lookup->query);
    lookup->query = NULL;
}

/* Queries on a helper thread, again after fork(2), which copies no threads. The answer is taken only after a wait, so a
 * timeout of 0 never finds a name. */
static enum ss_status query_on_thread(struct ss_lookup *lookup)
{
    struct ss_op *op = &lookup->op;
    enum ss_status st = lookup->query ? os_lookup_take(lookup->query, &lookup->answer, &op->error) : SS_CLOSED;
    if (st == SS_CLOSED) {
        drop_query(lookup);
        const struct os_query query = make_query(&lookup->target);
        st = os_lookup_start(&lookup->env->resolver, &query, &lookup->query, &lookup->query_fd, &op->error);
        st = st == SS_OK ? SS_WANT : st;
    }
    op->want = (struct ss_interest){ .fd = lookup->query_fd, .events = SS_READABLE };
    if (st != SS_WANT)
        drop_query(lookup);
    return st;
}

/* Signals do not end getaddrinfo(3), so the resolver runs on the calling thread only if no helper thread can be had and
 * there is no deadline. */
static enum ss_status query_names(struct ss_lookup *lookup)
{
    bool may_wait = lookup->op.io->mode == SS_WAIT_ALWAYS && !lookup->query;
    enum ss_status st = query_on_thread(lookup);
    if (st != SS_ERROR || !may_wait)
        return st;
    const struct os_query query = make_query(&lookup->target);
    return os_ask(&query, &lookup->answer, &lookup->op.error);
}

enum ss_status ss_lookup_resolve(struct ss_lookup *lookup)
{
    if (lookup->op.io->mode == SS_NO_CALL)
        return SS_WANT;
    if (lookup->resolved)
        return SS_OK;
    enum ss_status st = query_names(lookup);
    return st == SS_OK ? accept_answer(lookup) : st;
}

static bool take_literal(struct ss_lookup *lookup, struct ss_addr *addr)
{
    if (!lookup->literal_pending)
        return false;
    lookup->literal_pending = false;
    *addr = lookup->target.addr;
    return true;
}

/* The next address of lookup->family; `other`: of the other family. */
static bool next_of_family(struct ss_lookup *lookup, bool other, struct ss_addr *addr)
{
    while (os_names_next(&lookup->next[other], lookup->target.port, addr))
        if ((addr->sa.any.sa_family != lookup->family) == other)
            return true;
    return false;
}

bool ss_lookup_next(struct ss_lookup *lookup, struct ss_addr *addr)
{
    if (take_literal(lookup, addr))
        return true;
    bool other = lookup->other_is_next;
    lookup->other_is_next = !other;
    return next_of_family(lookup, other, addr) || next_of_family(lookup, !other, addr);
}

unsigned ss_lookup_count_next(const struct ss_lookup *lookup, int family)
{
    struct ss_lookup rest = *lookup;
    struct ss_addr addr;
    unsigned n = 0;
    while (ss_lookup_next(&rest, &addr))
        n += ss_addr_fit(&addr, family);
    return n;
}

bool ss_lookup_next_listed(struct ss_lookup *lookup, struct ss_addr *addr)
{
    return take_literal(lookup, addr) || os_names_next(&lookup->next[0], lookup->target.port, addr);
}

void ss_lookup_rewind(struct ss_lookup *lookup)
{
    lookup->literal_pending = lookup->target.addr.len > 0;
    lookup->next[0] = lookup->next[1] = lookup->answer.list;
    lookup->other_is_next = false;
}

void ss_lookup_restart(struct ss_op *op)
{
    ss_lookup_rewind((struct ss_lookup *)op);
}

void ss_lookup_fini(struct ss_lookup *lookup)
{
    if (lookup->release)
        lookup->release(lookup);
    drop_query(lookup);
    if (lookup->answer.list || lookup->answer.reverse)
        os_answer_free(&lookup->answer);
}

static enum ss_status resolve_step(struct ss_op *op)
{
    return ss_lookup_resolve((struct ss_lookup *)op);
}

void ss_resolve_init(struct ss_resolve *op, struct ss_env *env, const struct ss_target *target)
{
    op->io = (struct ss_io){ .fd = -1 };
    ss_lookup_init(&op->lookup, env, &op->io, target, resolve_step);
}
