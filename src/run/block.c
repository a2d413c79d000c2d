/* Timeouts. The usual call costs one system call, with or without a deadline: the operation itself, bounded by the
 * kernel (SO_RCVTIMEO, SO_SNDTIMEO, set again only when the socket's timeout has changed).
 *
 * On Linux these timeouts expire late, by ticks of up to 10 ms and by up to an eighth of their length (timer wheel).
 * The kernel therefore gets that much less than the deadline, and ppoll(2), which is punctual, waits for the rest.
 * Short waits use ppoll(2) only.
 *
 * A wait without a deadline has a kernel timeout too: the kernel continues the call after a signal whose handler was
 * installed with SA_RESTART (signal(7)), and with a timeout it does not. */
#include "run/block.h"
#include "os/os_net.h"
#include "os/os_poll.h"
#include "run/deadline.h"
#include "run/try.h"
#include "run/wait.h"

/* LONG_MS: 11 days, for a 32-bit kernel with 1000 ticks a second takes 25 days for no timeout. */
enum { SHORT_NS = 100000000, TICKS_NS = 20000000, LONG_MS = 1000000000 };

/* The kernel's timeout for a wait of that length (negative: no limit), in milliseconds; -1: use poll(2) instead. */
static int32_t kernel_share_ms(int64_t timeout_ns)
{
    if (timeout_ns < 0)
        return LONG_MS;
    int64_t share_ms = (timeout_ns - timeout_ns / 8 - TICKS_NS) / 1000000;
    if (timeout_ns < SHORT_NS)
        return -1;
    return share_ms < LONG_MS ? (int32_t)share_ms : LONG_MS;
}

/* Permits the operation's next call to wait in the kernel. `set`: may change the socket's kernel timeout. False: the
 * call must not wait. */
static bool allow_kernel_wait(struct ss_op *op, struct ss_sock *s, int64_t timeout_ns, bool set)
{
    struct ss_error ignored;
    int32_t share = kernel_share_ms(timeout_ns);
    if (op->kernel_timeout == SS_BY_NONE || op->polls || share < 0 || (s && s->shared))
        return false;
    if (!os_kernel_bounds_calls && op->kernel_timeout != SS_BY_OP_SNDTIMEO)
        return false;
    if (timeout_ns >= 0 && op->kernel_timeout == SS_BY_SNDTIMEO && s->family == AF_UNIX)
        return false; /* each buffer of a long write restarts the timeout */
    if (op->kernel_timeout != SS_BY_OP_SNDTIMEO && s->kernel_ms[op->kernel_timeout] != share) {
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
    enum ss_status st = ss_try_step(op, SS_NO_WAIT_NOW);
    op->due = false;
    return st;
}

static int64_t spin_of(const struct ss_sock *s)
{
    return s ? (int64_t)s->spin_us * 1000 : 0;
}

/* Steps repeatedly for at most `spin_ns` (OPT_SPIN): waking from a sleep takes longer than most answers. */
static enum ss_status try_spinning(struct ss_op *op, int64_t spin_ns)
{
    enum ss_status st = try_once(op);
    if (st != SS_WANT || spin_ns == 0)
        return st;
    int64_t end_ns = ss_deadline_after(spin_ns);
    while (st == SS_WANT && ss_deadline_left(end_ns) > 0)
        st = try_once(op);
    return st;
}

static int64_t shorter_timeout(int64_t a_ns, int64_t b_ns)
{
    return a_ns < 0 || (b_ns >= 0 && b_ns < a_ns) ? b_ns : a_ns;
}

/* Whether poll(2) reported none of the requested events, only POLLERR, POLLHUP or POLLNVAL. */
static bool is_error_only(const struct pollfd *p)
{
    return p->revents != 0 && !(p->revents & p->events);
}

/* Waits for an operation's own timer, which is short, or its interests. Signals do not end the wait: the timer would begin again. */
static enum ss_status wait_for_timer(struct pollfd *set, size_t n, struct pollfd *scratch, int64_t timeout_ns,
                                     struct ss_error *err)
{
    int64_t end_ns = ss_deadline_after(timeout_ns);
    enum ss_status st;
    do
        st = ss_wait_any(set, n, scratch, ss_deadline_left(end_ns), err);
    while (st == SS_WANT);
    return st;
}

/* Waits for the operation's interests or timer, `left_ns` at most (negative: no limit). An operation that has used up
 * its calls does not wait. SS_OK: step again, also when the time is over | SS_WANT: a signal has ended the wait |
 * SS_ERROR, in op->error. */
static enum ss_status wait_for_interest(struct ss_op *op, int64_t left_ns, bool *error_only)
{
    *error_only = false;
    if (ss_io_is_spent(op->io) || op->due)
        return SS_OK;
    struct pollfd set[16], scratch[16];
    struct ss_error err;
    unsigned n = 0, nwants = op->wants ? op->nwants : 1;
    const struct ss_interest *wants = op->wants ? op->wants : &op->want;
    for (unsigned i = 0; i < nwants && n < sizeof set / sizeof *set; i++)
        if (ss_interest_is_usable(&wants[i]))
            set[n++] = os_poll_for(wants[i].fd, wants[i].events & SS_READABLE, wants[i].events & SS_WRITABLE);
    int64_t timer_ns = op->after_ms > 0 ? ss_step_timeout(op, left_ns) : -1;
    int64_t until_ns = shorter_timeout(left_ns, timer_ns);
    bool has_short_timer = timer_ns > 0 && !op->shares;
    enum ss_status st = has_short_timer ? wait_for_timer(set, n, scratch, until_ns, &err)
                                        : ss_wait_any(set, n, scratch, until_ns, &err);
    op->due = st == SS_TIMEOUT && until_ns == timer_ns && timer_ns != left_ns;
    *error_only = st == SS_OK && n == 1 && is_error_only(set);
    if (st == SS_ERROR)
        op->error = err;
    return st == SS_TIMEOUT ? SS_OK : st;
}

static enum ss_status end_with_timeout(struct ss_sock *s)
{
    if (s)
        ss_sock_settle(s);
    return SS_TIMEOUT;
}

/* Waits once, and steps unless a signal has ended the wait. */
static enum ss_status wait_and_step(struct ss_op *op, struct ss_sock *s, int64_t left_ns)
{
    bool error_only;
    if (left_ns == 0)
        return end_with_timeout(s);
    enum ss_status st = wait_for_interest(op, left_ns, &error_only);
    if (st == SS_OK)
        st = try_spinning(op, spin_of(s));
    if (st == SS_WANT && error_only && s && !op->wants)
        ss_sock_drop_report(s);
    return st;
}

/* Without the clock: completes the operation from what is in memory, or SS_WANT. */
static enum ss_status step_from_memory(struct ss_op *op, const struct ss_sock *s)
{
    if (op->kernel_timeout == SS_BY_OP_SNDTIMEO || !s || !ss_sock_is_ready(s))
        return SS_WANT;
    ss_io_set_mode(op->io, SS_NO_CALL);
    return op->step(op);
}

/* Timeout 0: steps until the operation would wait. The number of steps is bounded, in case a peer floods. */
static enum ss_status run_at_once(struct ss_op *op, struct ss_sock *s)
{
    enum { STEPS = 16 }; /* of SS_CALLS_PER_STEP receives of a block: 16 MiB, more than a socket's queue holds */
    enum ss_status st = SS_WANT;
    for (int i = 0; i < STEPS && st == SS_WANT && (i == 0 || ss_io_is_spent(op->io)); i++) {
        st = ss_try_step(op, SS_NO_WAIT);
        op->due = false;
    }
    return st == SS_WANT ? end_with_timeout(s) : st;
}

/* Steps until the operation would wait, or lets its next call wait in the kernel, within `timeout_ns`. SS_WANT: *waited
 * tells whether the kernel has waited, until a signal came or the kernel's timeout was over. */
static enum ss_status step_in_kernel(struct ss_op *op, struct ss_sock *s, int64_t timeout_ns, bool *waited)
{
    int64_t spin_ns = spin_of(s);
    *waited = spin_ns == 0 && allow_kernel_wait(op, s, timeout_ns, false);
    enum ss_status st = *waited ? op->step(op) : try_spinning(op, spin_ns);
    if (st != SS_WANT || *waited || !allow_kernel_wait(op, s, timeout_ns, true))
        return st;
    *waited = true;
    return op->step(op);
}

enum ss_status ss_block_run(struct ss_op *op, struct ss_sock *s, int64_t timeout_ns)
{
    bool waited = false;
    if (s)
        ss_env_forked(s->env);
    if (timeout_ns == 0)
        return op->tried ? SS_TIMEOUT : run_at_once(op, s);
    if (timeout_ns > 0 && op->deadline_ns == 0) {
        enum ss_status st = step_from_memory(op, s);
        if (st != SS_WANT)
            return st;
        op->deadline_ns = ss_deadline_after(timeout_ns);
    } else if (timeout_ns > 0) {
        timeout_ns = ss_deadline_left(op->deadline_ns);
    }
    enum ss_status st = op->polls ? SS_WANT : step_in_kernel(op, s, timeout_ns, &waited);
    if (st != SS_WANT)
        return st;
    op->polls = !(waited && ss_io_is_spent(op->io));
    return waited ? SS_WANT : wait_and_step(op, s, timeout_ns < 0 ? timeout_ns : ss_deadline_left(op->deadline_ns));
}
