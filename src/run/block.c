/* The price of the usual call is one system call, with or without a deadline: the kernel keeps the time (SO_RCVTIMEO,
 * SO_SNDTIMEO, set again only when the socket's timeout has changed). What is tried first is always the thing itself.
 *
 * Those timeouts end late on Linux: by ticks of up to 10 ms, and by up to an eighth of their length, which is how
 * coarse its timers are. So the kernel is given that much less than the deadline, and the rest is waited for with
 * ppoll(2), which is punctual; short waits go there directly. */
#include "run/block.h"
#include "os/os_net.h"
#include "os/os_poll.h"
#include "run/deadline.h"
#include "run/wait.h"

enum { SHORT_NS = 100000000, TICKS_NS = 20000000 };

/* What the kernel is to be given for waits of that length, in milliseconds; -1: nothing, poll instead. */
static int32_t kernel_share(int64_t timeout_ns)
{
    if (timeout_ns < 0)
        return 0; /* no bound */
    int64_t share_ms = (timeout_ns - timeout_ns / 8 - TICKS_NS) / 1000000;
    if (timeout_ns < SHORT_NS)
        return -1;
    return share_ms < INT32_MAX ? (int32_t)share_ms : INT32_MAX;
}

/* Lets the operation's next call wait in the kernel. False: it can't. With `set` the socket's kernel
 * timeout is changed if it has to be. */
static bool allow_kernel_wait(struct ss_op *op, struct ss_sock *s, int64_t timeout_ns, bool set)
{
    struct ss_error ignored;
    int32_t share = kernel_share(timeout_ns);
    if (op->kernel_timeout == SS_BY_NONE || share < 0 || (s && s->shared))
        return false;
    if (timeout_ns >= 0 && !os_kernel_bounds_calls && op->kernel_timeout != SS_BY_OWN_SNDTIMEO)
        return false;
    if (timeout_ns >= 0 && op->kernel_timeout == SS_BY_SNDTIMEO && s->family == AF_UNIX)
        return false; /* the time would count anew for each buffer of a long write */
    if (op->kernel_timeout != SS_BY_OWN_SNDTIMEO && s->kernel_ms[op->kernel_timeout] != share) {
        if (!set || os_kernel_timeout(s->io.fd, op->kernel_timeout == SS_BY_SNDTIMEO, share, &ignored) != SS_OK)
            return false;
        s->kernel_ms[op->kernel_timeout] = share;
    }
    op->io->kernel_timeout_ms = share;
    ss_io_set_mode(op->io, timeout_ns < 0 ? SS_WAIT_ALWAYS : SS_WAIT_ONCE);
    return true;
}

static enum ss_status try_once(struct ss_op *op)
{
    ss_io_set_mode(op->io, SS_NO_WAIT);
    enum ss_status st = op->step(op);
    op->due = false;
    return st;
}

static int64_t spin_of(const struct ss_sock *s)
{
    return s ? (int64_t)s->spin_us * 1000 : 0;
}

/* Tries for as long as the program gives a processor for it (OPT_SPIN): waking up from a sleep takes longer than most
 * answers do. */
static enum ss_status try_for(struct ss_op *op, int64_t spin_ns)
{
    enum ss_status st = try_once(op);
    if (st != SS_WANT || spin_ns == 0)
        return st;
    int64_t end_ns = ss_deadline_after(spin_ns);
    while (st == SS_WANT && ss_deadline_left(end_ns) > 0)
        st = try_once(op);
    return st;
}

static int64_t earlier(int64_t a_ns, int64_t b_ns)
{
    return a_ns < 0 || (b_ns >= 0 && b_ns < a_ns) ? b_ns : a_ns;
}

/* Something was found, and nothing that was wanted. */
static bool is_mere_trouble(const struct pollfd *p)
{
    return p->revents != 0 && !(p->revents & p->events);
}

/* Waits for what the operation wants, `left_ns` at most; signals end neither that time nor the operation's own. One that
 * has only used up its calls wants nothing. SS_OK: it is to be stepped | SS_ERROR, in the operation. */
static enum ss_status wait_for_interest(struct ss_op *op, int64_t left_ns, bool *error_only)
{
    *error_only = false;
    if (ss_io_is_spent(op->io))
        return SS_OK;
    struct pollfd set[16], scratch[16];
    struct ss_error err;
    unsigned n = 0, nwants = op->wants ? op->nwants : 1;
    const struct ss_interest *wants = op->wants ? op->wants : &op->want;
    for (unsigned i = 0; i < nwants && n < sizeof set / sizeof *set; i++)
        if (ss_interest_is_usable(&wants[i]))
            set[n++] = os_poll_for(wants[i].fd, wants[i].events & SS_READABLE, wants[i].events & SS_WRITABLE);
    int64_t timer_ns = op->after_ms > 0 ? (int64_t)op->after_ms * 1000000 : -1;
    int64_t until_ns = earlier(left_ns, timer_ns);
    enum ss_status st = ss_wait_any(set, n, scratch, until_ns, &err);
    op->due = st == SS_TIMEOUT && until_ns == timer_ns;
    *error_only = st == SS_OK && n == 1 && is_mere_trouble(set);
    if (st != SS_ERROR)
        return SS_OK;
    op->error = err;
    return st;
}

static enum ss_status wait_and_step(struct ss_op *op, const struct ss_sock *s, int64_t deadline_ns, bool endless)
{
    bool error_only;
    int64_t spin_ns = spin_of(s);
    enum ss_status st = SS_WANT;
    while (st == SS_WANT) {
        int64_t left_ns = endless ? -1 : ss_deadline_left(deadline_ns);
        if (left_ns == 0)
            return SS_TIMEOUT;
        st = wait_for_interest(op, left_ns, &error_only);
        if (st == SS_OK)
            st = try_for(op, spin_ns);
        if (st == SS_WANT && error_only && s && !op->wants)
            ss_sock_drop_report(s);
    }
    return st;
}

/* What memory has needs no clock. */
static enum ss_status without_clock(struct ss_op *op, const struct ss_sock *s)
{
    if (op->kernel_timeout == SS_BY_OWN_SNDTIMEO || !s || !ss_sock_has_input(s))
        return SS_WANT;
    ss_io_set_mode(op->io, SS_NO_CALL);
    return op->step(op);
}

/* All that needs no waiting: more steps than one, but not as many as a flood would have us make. */
static enum ss_status run_at_once(struct ss_op *op)
{
    enum { STEPS = 16 }; /* of SS_CALLS_A_STEP receives of a block: 16 MiB, more than a socket's queue holds */
    enum ss_status st = try_once(op);
    for (int i = 1; i < STEPS && st == SS_WANT && ss_io_is_spent(op->io); i++)
        st = try_once(op);
    return st == SS_WANT ? SS_TIMEOUT : st;
}

enum ss_status ss_block_run(struct ss_op *op, struct ss_sock *s, int64_t timeout_ns)
{
    enum ss_status st;
    if (s)
        ss_env_forked(s->env);
    if (timeout_ns == 0)
        return op->tried ? SS_TIMEOUT : run_at_once(op);
    bool endless = timeout_ns < 0;
    int64_t deadline_ns = op->deadline_ns;
    if (!endless && deadline_ns == 0) {
        st = without_clock(op, s);
        if (st != SS_WANT)
            return st;
        deadline_ns = op->deadline_ns = ss_deadline_after(timeout_ns);
    } else if (!endless) {
        timeout_ns = ss_deadline_left(deadline_ns);
    }
    int64_t spin_ns = spin_of(s);
    bool may_block = spin_ns == 0 && allow_kernel_wait(op, s, timeout_ns, false);
    st = may_block ? op->step(op) : try_for(op, spin_ns);
    if (st == SS_WANT && !may_block && allow_kernel_wait(op, s, timeout_ns, true))
        st = op->step(op);
    return st == SS_WANT ? wait_and_step(op, s, deadline_ns, endless) : st;
}
