#include "run/loop.h"
#include "core/codes.h"
#include "core/op_read.h"
#include "os/os_clock.h"
#include "run/deadline.h"

/* Ends of waits */

void ss_loop_end(struct ss_loop *loop, struct ss_waiter *w, enum ss_status status)
{
    if (w->status != SS_WANT)
        return;
    ss_unwatch(&loop->watches, w);
    ss_waiter_unqueue(w);
    ss_timer_clear(&w->timer);
    w->status = status;
    ss_queue_add(&loop->done, w);
    ss_watches_notify(&loop->watches);
}

static bool can_step(const struct ss_loop *loop, const struct ss_waiter *w)
{
    return !w->of_task || loop->is_suspended(w);
}

static void fail_waiter(struct ss_loop *loop, struct ss_waiter *w, const struct ss_error *err)
{
    if (can_step(loop, w))
        w->op->error = *err;
    ss_loop_end(loop, w, SS_ERROR);
}

/* The earlier of the deadline and the operation's own timer (after_ms). */
static void set_timer(struct ss_loop *loop, struct ss_waiter *w)
{
    int64_t due_ns = w->op->deadline_ns;
    if (w->op->after_ms > 0) {
        int64_t now_ns = os_now_ns();
        int64_t own_ns = ss_step_timeout(w->op, due_ns == SS_NEVER ? -1 : due_ns > now_ns ? due_ns - now_ns : 0);
        due_ns = own_ns >= 0 && own_ns < due_ns - now_ns ? now_ns + own_ns : due_ns;
    }
    if (due_ns == SS_NEVER)
        ss_timer_clear(&w->timer);
    else if (!ss_timer_set(&loop->timers, &w->timer, due_ns))
        fail_waiter(loop, w, &ss_no_memory);
}

/* A waiting reader keeps a small block where little has been received. */
static void shrink_input(struct ss_loop *loop, const struct ss_waiter *w)
{
    struct ss_sock *s = w->op->wants ? NULL : ss_env_find(loop->env, w->op->want.fd);
    if (!s || s->type != SOCK_STREAM)
        return;
    ss_inbuf_shrink(&s->in);
    ss_sock_settle(s);
}

/* No event will report new data of an unwatched descriptor, so the next call must try to receive. */
static void clear_drained(const struct ss_loop *loop, const struct ss_op *op)
{
    const struct ss_interest *wants = op->wants ? op->wants : &op->want;
    for (size_t i = 0; i < (op->wants ? op->nwants : 1); i++) {
        struct ss_sock *s = ss_env_find(loop->env, wants[i].fd);
        if (s)
            s->io.drained = false;
    }
}

/* Prepares the next step after SS_WANT. A step that has used up its system calls continues in the next turn. */
static void wait_for_step(struct ss_loop *loop, struct ss_waiter *w)
{
    struct ss_error err;
    shrink_input(loop, w);
    if (ss_io_is_spent(w->op->io))
        ss_watches_make_ready(&loop->watches, w);
    else if (ss_watch_op(&loop->watches, w, &err) != SS_OK) {
        clear_drained(loop, w->op);
        fail_waiter(loop, w, &err);
        return;
    }
    set_timer(loop, w);
}

static void begin(struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns)
{
    w->op = op;
    w->is_parked = !op->step;
    w->status = SS_WANT;
    op->deadline_ns = deadline_ns;
    w->expired = false;
    w->error_only = false;
    w->is_ready = false;
}

void ss_loop_wait(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns)
{
    begin(w, op, deadline_ns);
    if (w->is_parked)
        set_timer(loop, w);
    else
        wait_for_step(loop, w);
}

void ss_loop_wait_turn(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns)
{
    begin(w, op, deadline_ns);
    ss_watches_make_ready(&loop->watches, w);
    if (!w->is_parked || deadline_ns > os_now_ns()) /* a wait for a turn alone needs no timer */
        set_timer(loop, w);
}

void ss_loop_drop(struct ss_loop *loop, struct ss_waiter *w)
{
    ss_unwatch(&loop->watches, w);
    ss_waiter_unqueue(w);
    ss_timer_remove(&loop->timers, &w->timer);
    ss_watch_free(&loop->watches, w);
    w->status = SS_OK;
}

static void drop_report(const struct ss_loop *loop, const struct ss_waiter *w)
{
    const struct ss_sock *s = w->op->wants ? NULL : ss_env_find(loop->env, w->op->want.fd);
    if (s)
        ss_sock_drop_report(s);
}

void ss_loop_recheck_input(struct ss_loop *loop, const struct ss_sock *s, const struct ss_waiter *w)
{
    for (struct ss_watch *watch = ss_watches_of(&loop->watches, s->io.fd); watch; watch = watch->next)
        if (watch->waiter != w && watch->waiter != s->waiters[0] && (watch->events & SS_READABLE))
            ss_watches_make_ready(&loop->watches, watch->waiter);
}

/* After a step of `w`. The others have had its event, but not those of what has come since. A layer receives to send, too. */
static void recheck_after_step(struct ss_loop *loop, const struct ss_waiter *w)
{
    const struct ss_sock *s = ss_env_find(loop->env, w->op->io->fd);
    if (s && (w->op->reads || ss_io_has_layer(&s->io)))
        ss_loop_recheck_input(loop, s, w);
}

/* A parked waiter that is ready has waited for the turn. The last step of one that has no time left receives what the poller has
 * not reported yet, too. */
static void step_waiter(struct ss_loop *loop, struct ss_waiter *w)
{
    enum ss_status st = SS_TIMEOUT;
    if (!w->is_parked && can_step(loop, w)) {
        ss_io_set_mode(w->op->io, w->expired ? SS_NO_WAIT : SS_NO_WAIT_EDGE);
        loop->stepping = w;
        st = w->op->step(w->op);
        loop->stepping = NULL;
        w->op->due = false;
        recheck_after_step(loop, w);
    }
    if (st == SS_WANT && w->error_only)
        drop_report(loop, w);
    w->error_only = false;
    if (st == SS_WANT && !w->expired)
        wait_for_step(loop, w);
    else
        ss_loop_end(loop, w, st == SS_WANT ? SS_TIMEOUT : st);
}

/* Ends the calls that wait on a socket whose descriptor goes. A call that has ended, but whose task has not been resumed yet, ends
 * with SS_CLOSED as well: the input buffer may soon hold the bytes of another stream. A read keeps what it had received. */
static void end_socket_waiters(struct ss_loop *loop, struct ss_sock *s)
{
    for (int i = 0; i < 2; i++) {
        struct ss_waiter *w = s->waiters[i];
        if (!w || w == loop->stepping)
            continue;
        ss_loop_end(loop, w, SS_CLOSED);
        w->status = SS_CLOSED;
        if (can_step(loop, w) && w->op->reads)
            ss_reading_detach_input(w->op);
        s->waiters[i] = NULL;
    }
}

/* A waiter that watches the descriptor, other than the one in a step; or NULL. */
static struct ss_waiter *other_watcher(const struct ss_loop *loop, int fd)
{
    for (const struct ss_watch *watch = ss_watches_of(&loop->watches, fd); watch; watch = watch->next)
        if (watch->waiter != loop->stepping)
            return watch->waiter;
    return NULL;
}

static void forget_descriptor(struct ss_loop *loop, int fd, bool closing)
{
    struct ss_waiter *w;
    if (fd < 0 || (size_t)fd >= loop->watches.nfds)
        return;
    while ((w = other_watcher(loop, fd)) != NULL)
        fail_waiter(loop, w, &ss_not_open);
    ss_watches_forget(&loop->watches, fd, closing);
}

/* env->on_release: ends the calls of the socket, and fails other waiters that watch the descriptor (select). */
static void release_descriptor(struct ss_sock *s, bool closing)
{
    struct ss_loop *loop = s->env->loop;
    int fd = s->io.fd;
    end_socket_waiters(loop, s);
    forget_descriptor(loop, fd, closing && !s->shared); /* a shared one stays open elsewhere */
}

void ss_loop_forget(struct ss_loop *loop, int fd)
{
    forget_descriptor(loop, fd, true);
}

static struct ss_waiter *waiter_of(const struct ss_loop *loop, const struct ss_op *op, int fd)
{
    for (const struct ss_watch *watch = ss_watches_of(&loop->watches, fd); watch; watch = watch->next)
        if (watch->waiter->op == op)
            return watch->waiter;
    return NULL;
}

void ss_loop_end_op(struct ss_loop *loop, const struct ss_op *op)
{
    const struct ss_interest *wants = op->wants ? op->wants : &op->want;
    struct ss_waiter *w = NULL;
    for (size_t i = 0; !w && i < (op->wants ? op->nwants : 1); i++)
        w = waiter_of(loop, op, wants[i].fd);
    if (w)
        ss_loop_end(loop, w, SS_ERROR);
}

/* Turns */

static void take_event(struct ss_loop *loop, const struct os_event *event)
{
    struct ss_sock *s = ss_env_find(loop->env, event->fd);
    if (s) {
        s->io.drained = false;
        s->io.recheck = s->io.recheck || event->recheck;
    }
    for (struct ss_watch *watch = ss_watches_of(&loop->watches, event->fd); watch; watch = watch->next)
        if (event->found & (watch->events | OS_TROUBLE | OS_NOT_OPEN)) {
            watch->waiter->error_only = !(event->found & watch->events);
            ss_watches_make_ready(&loop->watches, watch->waiter);
        }
}

/* The deadline or the operation's timer has passed. A waiter that is ready is stepped once more before it times out. */
static void expire(struct ss_loop *loop, struct ss_waiter *w, int64_t now_ns)
{
    w->expired = !can_step(loop, w) || w->op->deadline_ns <= now_ns;
    if (w->expired && (w->is_parked || !(w->is_ready || ss_waiter_is_queued(w)))) {
        ss_loop_end(loop, w, SS_TIMEOUT);
        return;
    }
    if (!w->expired)
        w->op->due = true;
    ss_watches_make_ready(&loop->watches, w);
}

static void expire_timers(struct ss_loop *loop, int64_t moment_ns)
{
    struct ss_timer *timer;
    while ((timer = ss_timers_take(&loop->timers, moment_ns)) != NULL)
        expire(loop, (struct ss_waiter *)timer, moment_ns);
}

static int64_t next_ns(const struct ss_loop *loop)
{
    bool idle = ss_queue_is_empty(&loop->done) && ss_queue_is_empty(&loop->watches.ready) &&
                ss_queue_is_empty(&loop->to_take) && ss_queue_is_empty(&loop->to_step);
    return idle ? ss_timers_next(&loop->timers) : 0;
}

int64_t ss_loop_next_ns(struct ss_loop *loop)
{
    ss_timers_prune(&loop->timers);
    return next_ns(loop);
}

/* `timeout_ns`, or less if a timer expires earlier. */
static int64_t timeout_until_next(const struct ss_loop *loop, int64_t timeout_ns, int64_t now_ns)
{
    int64_t until_ns = next_ns(loop);
    if (until_ns == 0 || timeout_ns == 0)
        return 0;
    if (until_ns == SS_NEVER)
        return timeout_ns;
    int64_t left_ns = until_ns - now_ns;
    left_ns = left_ns > 0 ? left_ns : 0;
    return timeout_ns < 0 || left_ns < timeout_ns ? left_ns : timeout_ns;
}

static void fail_watchers(struct ss_loop *loop, const struct ss_error *err)
{
    for (size_t fd = 0; fd < loop->watches.nfds; fd++)
        while (loop->watches.by_fd[fd])
            fail_waiter(loop, loop->watches.by_fd[fd]->waiter, err);
}

/* Before a wait: opening a poller may make waiters ready. */
static void open_poller(struct ss_loop *loop)
{
    struct ss_error ignored;
    if (loop->watches.n > 0)
        ss_watches_open(&loop->watches, &ignored);
}

/* The events of one wait. */
struct reports {
    struct os_event events[OS_EVENTS];
    size_t n;
};

/* One event may have been the wake-up of ss_watches_notify, which is not reported. */
static bool may_be_more(const struct reports *reports)
{
    return reports->n + 1 >= OS_EVENTS;
}

static enum ss_status wait_for_events(struct ss_loop *loop, int64_t left_ns, struct reports *reports,
                                      struct ss_error *err)
{
    bool all_fail;
    enum ss_status st = ss_watches_wait(&loop->watches, left_ns, reports->events, &reports->n, &all_fail, err);
    if (!all_fail)
        return st;
    fail_watchers(loop, err);
    return SS_TIMEOUT;
}

static void take_events(struct ss_loop *loop, const struct reports *reports)
{
    for (size_t i = 0; i < reports->n; i++)
        take_event(loop, &reports->events[i]);
}

/* Takes all events before timers expire: no waiter whose descriptor is ready may time out. */
static void take_rest(struct ss_loop *loop, struct reports *reports)
{
    struct ss_error ignored;
    enum ss_status st = SS_OK;
    for (size_t left = loop->watches.nfds; left > 0 && (st == SS_WANT || may_be_more(reports));
         left -= left < OS_EVENTS ? left : OS_EVENTS) {
        st = wait_for_events(loop, 0, reports, &ignored);
        take_events(loop, reports);
    }
}

/* The moment up to which all events are known, after a wait that began at `began_ns`. Events since then are not reported yet, and
 * this thread may have been suspended for long. */
static int64_t moment_of(enum ss_status st, int64_t began_ns, int64_t left_ns)
{
    if (st != SS_TIMEOUT)
        return began_ns;
    int64_t took_ns = os_now_ns() - began_ns; /* the wait may have ended early */
    return began_ns + (left_ns >= 0 && left_ns < took_ns ? left_ns : took_ns);
}

enum ss_status ss_loop_turn(struct ss_loop *loop, int64_t timeout_ns, struct ss_error *err)
{
    struct reports reports;
    open_poller(loop);
    bool has_timers = loop->timers.n > 0;
    int64_t began_ns = has_timers ? os_now_ns() : 0;
    int64_t left_ns = timeout_until_next(loop, timeout_ns, began_ns);
    enum ss_status st = wait_for_events(loop, left_ns, &reports, err);
    if (st == SS_ERROR)
        return st;
    take_events(loop, &reports);
    int64_t moment_ns = has_timers ? moment_of(st, began_ns, left_ns) : 0;
    if (has_timers && may_be_more(&reports) && ss_timers_next(&loop->timers) <= moment_ns)
        take_rest(loop, &reports);
    expire_timers(loop, moment_ns);
    ss_queue_append(&loop->to_take, &loop->done);
    ss_queue_append(&loop->to_step, &loop->watches.ready);
    return st == SS_WANT ? st : SS_OK;
}

/* Steps a waiter only after the one before was taken: its input has been consumed then, so one block of memory serves all. */
struct ss_waiter *ss_loop_take(struct ss_loop *loop)
{
    struct ss_waiter *w = ss_queue_take(&loop->to_take);
    while (!w && (w = ss_queue_take(&loop->to_step)) != NULL) {
        if (w->owner_steps && !w->is_parked)
            w->is_ready = true;
        else
            step_waiter(loop, w);
        if (w->is_ready || w->status != SS_WANT)
            ss_waiter_unqueue(w);
        else
            w = NULL;
    }
    return w;
}

void ss_loop_step(struct ss_loop *loop, struct ss_waiter *w)
{
    w->is_ready = false;
    if (w->status == SS_WANT)
        step_waiter(loop, w);
}

void ss_loop_untake(struct ss_loop *loop, struct ss_waiter *w)
{
    ss_queue_add_first(&loop->to_take, w);
}

bool ss_loop_would_wait(const struct ss_loop *loop)
{
    return next_ns(loop) != 0;
}

static bool has_watch_besides(const struct ss_loop *loop, bool (*is_left_out)(const struct ss_waiter *w))
{
    for (size_t fd = 0; fd < loop->watches.nfds; fd++)
        for (const struct ss_watch *watch = loop->watches.by_fd[fd]; watch; watch = watch->next)
            if (!is_left_out(watch->waiter))
                return true;
    return false;
}

static bool has_timer_besides(const struct ss_loop *loop, bool (*is_left_out)(const struct ss_waiter *w))
{
    for (size_t i = 0; i < loop->timers.n; i++) {
        const struct ss_timer *timer = loop->timers.heap[i];
        if (timer->due_ns != SS_NEVER && !is_left_out((const struct ss_waiter *)timer))
            return true;
    }
    return false;
}

bool ss_loop_is_stuck(struct ss_loop *loop, bool (*is_left_out)(const struct ss_waiter *w))
{
    if (!is_left_out)
        return loop->watches.n == 0 && ss_loop_next_ns(loop) == SS_NEVER;
    return ss_loop_would_wait(loop) && !has_watch_besides(loop, is_left_out) && !has_timer_besides(loop, is_left_out);
}

enum ss_status ss_loop_fd(struct ss_loop *loop, int *fd, struct ss_error *err)
{
    enum ss_status st = ss_watches_open(&loop->watches, err);
    if (st == SS_OK)
        st = os_poller_fd(loop->watches.poller, fd, err);
    if (st != SS_OK)
        return st;
    loop->watches.has_outer = true;
    if (next_ns(loop) == 0)
        os_poller_wake(loop->watches.poller);
    return SS_OK;
}

/* Life */

void ss_loop_init(struct ss_loop *loop, struct ss_env *env, bool (*is_suspended)(const struct ss_waiter *w))
{
    *loop = (struct ss_loop){ .env = env, .is_suspended = is_suspended };
    ss_watches_init(&loop->watches, env);
    ss_queue_init(&loop->done);
    ss_queue_init(&loop->to_step);
    ss_queue_init(&loop->to_take);
    ss_timers_init(&loop->timers, env->pool.mem);
    env->loop = loop;
    env->on_release = release_descriptor;
}

void ss_loop_fini(struct ss_loop *loop)
{
    ss_watches_fini(&loop->watches);
    ss_timers_fini(&loop->timers);
    loop->env->loop = NULL;
    loop->env->loop_has_ended = true;
    loop->env->on_release = NULL;
}
