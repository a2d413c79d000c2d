#include "run/loop.h"
#include "core/codes.h"
#include "core/op_read.h"
#include "os/os_clock.h"

#include <stddef.h> /* offsetof */

/* Lines */

void ss_queue_init(struct ss_queue *queue)
{
    queue->next = queue->prev = queue;
}

static bool is_empty(const struct ss_queue *queue)
{
    return queue->next == queue;
}

struct ss_waiter *ss_queue_first(const struct ss_queue *queue)
{
    return is_empty(queue) ? NULL : (struct ss_waiter *)((char *)queue->next - offsetof(struct ss_waiter, link));
}

static void insert_after(struct ss_queue *before, struct ss_waiter *w)
{
    w->link = (struct ss_queue){ .next = before->next, .prev = before };
    before->next = before->next->prev = &w->link;
}

void ss_queue_add(struct ss_queue *queue, struct ss_waiter *w)
{
    insert_after(queue->prev, w);
}

static bool is_queued(const struct ss_waiter *w)
{
    return w->link.next != NULL;
}

static void unqueue_waiter(struct ss_waiter *w)
{
    if (!is_queued(w))
        return;
    w->link.prev->next = w->link.next;
    w->link.next->prev = w->link.prev;
    w->link.next = NULL;
}

/* All of `from`, behind those who stand in `line`. */
static void append_queue(struct ss_queue *queue, struct ss_queue *from)
{
    if (is_empty(from))
        return;
    from->next->prev = queue->prev;
    from->prev->next = queue;
    queue->prev->next = from->next;
    queue->prev = from->prev;
    ss_queue_init(from);
}

/* The poller */

/* Whether there is a poller that this process has made. */
static bool is_ours(const struct ss_loop *loop)
{
    ss_env_forked(loop->env);
    return loop->poller && loop->forks == loop->env->forks;
}

static void give_up_poller(struct ss_loop *loop)
{
    if (is_ours(loop))
        os_poller_close(loop->poller);
    else
        os_poller_abandon(loop->poller);
    loop->poller = NULL;
}

/* Somebody else's loop sleeps, and does not see that there is something to do here now. */
static void notify(struct ss_loop *loop)
{
    if (loop->is_watched && is_ours(loop))
        os_poller_wake(loop->poller);
}

static void make_ready(struct ss_loop *loop, struct ss_waiter *w)
{
    if (is_queued(w))
        return;
    ss_queue_add(&loop->ready, w);
    notify(loop);
}

/* What a call has opened for itself may be of no use here: a look-up has its thread in the parent. It looks for itself. What
 * can't be watched is tried again by itself, and then ends with the error. */
static void watch_anew(struct ss_loop *loop)
{
    struct ss_error ignored;
    for (size_t fd = 0; fd < loop->nfds; fd++)
        for (struct ss_watch *watch = loop->by_fd[fd]; watch; watch = watch->next)
            if (watch->closing ||
                os_poller_watch(loop->poller, (int)fd, watch->events, watch->foreign, &ignored) != SS_OK)
                make_ready(loop, watch->waiter);
}

/* A child process shares the poller with its parent, and whatever it did there would disturb that. */
static enum ss_status poller_of(struct ss_loop *loop, struct ss_error *err)
{
    if (is_ours(loop))
        return SS_OK;
    give_up_poller(loop);
    loop->forks = loop->env->forks;
    enum ss_status st = os_poller_open(&loop->poller, &loop->env->pool.mem, err);
    if (st == SS_OK)
        watch_anew(loop);
    return st;
}

static void forget_descriptor(struct ss_loop *loop, int fd, bool closing)
{
    struct ss_error ignored;
    if (loop->poller && poller_of(loop, &ignored) == SS_OK)
        os_poller_forget(loop->poller, fd, closing);
}

/* Watches */

static bool has_room_for(struct ss_loop *loop, size_t fd)
{
    if (fd < loop->nfds)
        return true;
    size_t n = fd < 64 ? 128 : 2 * fd, size = sizeof(struct ss_watch *);
    struct ss_watch **grown = ss_mem_resize(&loop->env->pool.mem, loop->by_fd, loop->nfds * size, n * size);
    if (!grown)
        return false;
    for (size_t i = loop->nfds; i < n; i++)
        grown[i] = NULL;
    loop->by_fd = grown;
    loop->nfds = n;
    return true;
}

/* Room for `n` watches; they must be unlinked. */
static bool make_watches(struct ss_loop *loop, struct ss_waiter *w, size_t n)
{
    if (n <= w->room)
        return true;
    const struct ss_mem *mem = &loop->env->pool.mem;
    bool own = w->watches == &w->one;
    struct ss_watch *more =
        ss_mem_resize(mem, own ? NULL : w->watches, own ? 0 : w->room * sizeof *more, n * sizeof *more);
    if (!more)
        return false;
    w->watches = more;
    w->room = (unsigned)n;
    return true;
}

static void free_watches(struct ss_loop *loop, struct ss_waiter *w)
{
    if (w->watches != &w->one)
        ss_mem_free(&loop->env->pool.mem, w->watches, w->room * sizeof *w->watches);
    w->watches = &w->one;
    w->room = 1;
}

/* Without a poller, for want of a descriptor, a turn asks for all that is watched (poll_watches). */
static enum ss_status watch_by_poller(struct ss_loop *loop, const struct ss_interest *want, bool foreign,
                                      struct ss_error *err)
{
    struct ss_error ignored;
    if (poller_of(loop, &ignored) != SS_OK)
        return SS_OK;
    return os_poller_watch(loop->poller, want->fd, want->events, foreign, err);
}

static enum ss_status link_watch(struct ss_loop *loop, struct ss_waiter *w, const struct ss_interest *want,
                                 struct ss_error *err)
{
    bool foreign = !ss_env_find(loop->env, want->fd);
    if (!has_room_for(loop, (size_t)want->fd)) {
        *err = ss_no_memory;
        return SS_ERROR;
    }
    if (watch_by_poller(loop, want, foreign, err) != SS_OK)
        return SS_ERROR;
    struct ss_watch *watch = &w->watches[w->nwatches++], **head = &loop->by_fd[want->fd];
    *watch = (struct ss_watch){ .next = *head, .waiter = w, .fd = want->fd, .events = (uint8_t)want->events };
    watch->foreign = foreign;
    watch->closing = w->op->closes;
    *head = watch;
    loop->nwatches++;
    return SS_OK;
}

static void unlink_watch(struct ss_loop *loop, const struct ss_watch *watch)
{
    struct ss_watch **at = &loop->by_fd[watch->fd];
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    loop->nwatches--;
    /* The descriptor of a connect that has won is a socket's by now, and may stay registered. */
    if (watch->foreign && !loop->by_fd[watch->fd] && !ss_env_find(loop->env, watch->fd))
        forget_descriptor(loop, watch->fd, watch->closing);
}

static void unwatch(struct ss_loop *loop, struct ss_waiter *w)
{
    while (w->nwatches > 0)
        unlink_watch(loop, &w->watches[--w->nwatches]);
}

static enum ss_status watch_all(struct ss_loop *loop, struct ss_waiter *w, const struct ss_interest *wants, size_t n,
                                struct ss_error *err)
{
    enum ss_status st = SS_OK;
    if (!make_watches(loop, w, n)) {
        *err = ss_no_memory;
        return SS_ERROR;
    }
    for (size_t i = 0; i < n && st == SS_OK; i++)
        if (ss_interest_is_usable(&wants[i]))
            st = link_watch(loop, w, &wants[i], err);
    return st;
}

/* Whether it watches just that already: so it is with nearly every step that did not end its operation. */
static bool is_watched(const struct ss_waiter *w, const struct ss_interest *wants, size_t n)
{
    return n == 1 && w->nwatches == 1 && w->watches->fd == wants->fd && w->watches->events == wants->events &&
           !w->watches->foreign;
}

static enum ss_status watch_wants(struct ss_loop *loop, struct ss_waiter *w, struct ss_error *err)
{
    const struct ss_interest *wants = w->op->wants ? w->op->wants : &w->op->want;
    size_t n = w->op->wants ? w->op->nwants : 1;
    if (is_watched(w, wants, n))
        return watch_by_poller(loop, wants, false, err);
    unwatch(loop, w);
    return watch_all(loop, w, wants, n, err);
}

/* Waiters */

void ss_waiter_init(struct ss_waiter *w, bool of_task)
{
    *w = (struct ss_waiter){ .status = SS_OK, .of_task = of_task };
    ss_timer_init(&w->timer);
    w->watches = &w->one;
    w->room = 1;
}

void ss_loop_end(struct ss_loop *loop, struct ss_waiter *w, enum ss_status status)
{
    if (w->status != SS_WANT)
        return;
    unwatch(loop, w);
    unqueue_waiter(w);
    ss_timer_clear(&w->timer);
    w->status = status;
    ss_queue_add(&loop->done, w);
    notify(loop);
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

/* The sooner of its deadline and the operation's own time. */
static void set_timer(struct ss_loop *loop, struct ss_waiter *w)
{
    int64_t due_ns = w->op->deadline_ns;
    if (w->op->after_ms > 0) {
        int64_t own_ns = os_now_ns() + (int64_t)w->op->after_ms * 1000000;
        due_ns = own_ns < due_ns ? own_ns : due_ns;
    }
    if (due_ns == SS_NEVER)
        ss_timer_clear(&w->timer);
    else if (!ss_timer_set(&loop->timers, &w->timer, due_ns))
        fail_waiter(loop, w, &ss_no_memory);
}

/* While it waits it does not need a whole block for the little that has come. */
static void shrink_input(struct ss_loop *loop, const struct ss_waiter *w)
{
    struct ss_sock *s = w->op->wants ? NULL : ss_env_find(loop->env, w->op->want.fd);
    if (s && s->type == SOCK_STREAM)
        ss_inbuf_shrink(&s->in);
}

/* Nobody tells of what comes to those that could not be watched: the next receive is not to be spared. */
static void clear_drained(const struct ss_loop *loop, const struct ss_op *op)
{
    const struct ss_interest *wants = op->wants ? op->wants : &op->want;
    for (size_t i = 0; i < (op->wants ? op->nwants : 1); i++) {
        struct ss_sock *s = ss_env_find(loop->env, wants[i].fd);
        if (s)
            s->io.drained = false;
    }
}

/* After a step that did not end it. One that has used up its calls wants nothing but to go on. */
static void step_waiter(struct ss_loop *loop, struct ss_waiter *w)
{
    struct ss_error err;
    shrink_input(loop, w);
    if (ss_io_is_spent(w->op->io))
        make_ready(loop, w);
    else if (watch_wants(loop, w, &err) != SS_OK) {
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
}

void ss_loop_wait(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns)
{
    begin(w, op, deadline_ns);
    if (w->is_parked)
        set_timer(loop, w);
    else
        step_waiter(loop, w);
}

void ss_loop_wait_turn(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns)
{
    begin(w, op, deadline_ns);
    make_ready(loop, w);
    if (!w->is_parked || deadline_ns > os_now_ns()) /* what only waits for its turn has no other time */
        set_timer(loop, w);
}

void ss_loop_drop(struct ss_loop *loop, struct ss_waiter *w)
{
    unwatch(loop, w);
    unqueue_waiter(w);
    ss_timer_remove(&loop->timers, &w->timer);
    free_watches(loop, w);
    w->status = SS_OK;
}

static void drop_report(const struct ss_loop *loop, const struct ss_waiter *w)
{
    const struct ss_sock *s = w->op->wants ? NULL : ss_env_find(loop->env, w->op->want.fd);
    if (s)
        ss_sock_drop_report(s);
}

/* One without a step has waited for the turn, and got nothing else. */
static void step(struct ss_loop *loop, struct ss_waiter *w)
{
    enum ss_status st = SS_TIMEOUT;
    if (!w->is_parked && can_step(loop, w)) {
        ss_io_set_mode(w->op->io, SS_NO_WAIT_EDGE);
        loop->stepping = w;
        st = w->op->step(w->op);
        loop->stepping = NULL;
        w->op->due = false;
    }
    if (st == SS_WANT && w->error_only)
        drop_report(loop, w);
    w->error_only = false;
    if (st == SS_WANT && !w->expired)
        step_waiter(loop, w);
    else
        ss_loop_end(loop, w, st == SS_WANT ? SS_TIMEOUT : st);
}

/* Somebody who watches the descriptor, other than the one that is being stepped. */
static struct ss_waiter *other_watcher(const struct ss_loop *loop, int fd)
{
    for (const struct ss_watch *watch = loop->by_fd[fd]; watch; watch = watch->next)
        if (watch->waiter != loop->stepping)
            return watch->waiter;
    return NULL;
}

/* A call that has ended in another way, and whose task has not gone on yet, ends like this too: the bytes that it counted on
 * are gone, and the socket may have others soon, which are not its own. */
static void end_socket_waiters(struct ss_loop *loop, struct ss_sock *s)
{
    for (int i = 0; i < 2; i++) {
        struct ss_waiter *w = s->waiters[i];
        if (!w || w == loop->stepping)
            continue;
        ss_loop_end(loop, w, SS_CLOSED);
        w->status = SS_CLOSED;
        if (can_step(loop, w) && w->op->reads)
            ss_reading_keep(w->op);
        s->waiters[i] = NULL;
    }
}

/* A socket gives its descriptor away: its calls end, and whoever else watches the descriptor is told that it is none. */
static void release_descriptor(struct ss_sock *s, bool closing)
{
    struct ss_loop *loop = s->env->loop;
    struct ss_waiter *w;
    int fd = s->io.fd;
    end_socket_waiters(loop, s);
    if (fd < 0 || (size_t)fd >= loop->nfds)
        return;
    while ((w = other_watcher(loop, fd)) != NULL)
        fail_waiter(loop, w, &ss_not_open);
    forget_descriptor(loop, fd, closing && !s->shared); /* what others have as well does not cease to exist */
}

static struct ss_waiter *waiter_for(const struct ss_loop *loop, const struct ss_op *op, int fd)
{
    if (fd < 0 || (size_t)fd >= loop->nfds)
        return NULL;
    for (const struct ss_watch *watch = loop->by_fd[fd]; watch; watch = watch->next)
        if (watch->waiter->op == op)
            return watch->waiter;
    return NULL;
}

void ss_loop_end_op(struct ss_loop *loop, const struct ss_op *op)
{
    const struct ss_interest *wants = op->wants ? op->wants : &op->want;
    struct ss_waiter *w = NULL;
    for (size_t i = 0; !w && i < (op->wants ? op->nwants : 1); i++)
        w = waiter_for(loop, op, wants[i].fd);
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
    for (struct ss_watch *watch = (size_t)event->fd < loop->nfds ? loop->by_fd[event->fd] : NULL; watch;
         watch = watch->next)
        if (event->found & (watch->events | OS_TROUBLE | OS_NOT_OPEN)) {
            watch->waiter->error_only = !(event->found & watch->events);
            make_ready(loop, watch->waiter);
        }
}

/* Its deadline or its operation's time has come. What is to be stepped in this turn is stepped before it is given up. */
static void expire(struct ss_loop *loop, struct ss_waiter *w, int64_t now_ns)
{
    w->expired = !can_step(loop, w) || w->op->deadline_ns <= now_ns;
    if (w->expired && (w->is_parked || !is_queued(w))) {
        ss_loop_end(loop, w, SS_TIMEOUT);
        return;
    }
    if (!w->expired)
        w->op->due = true;
    make_ready(loop, w);
}

static void expire_timers(struct ss_loop *loop, int64_t moment_ns)
{
    struct ss_timer *timer;
    while ((timer = ss_timers_take(&loop->timers, moment_ns)) != NULL)
        expire(loop, (struct ss_waiter *)timer, moment_ns);
}

static int64_t next_ns(const struct ss_loop *loop)
{
    bool idle = is_empty(&loop->done) && is_empty(&loop->ready) && is_empty(&loop->to_take) && is_empty(&loop->to_step);
    return idle ? ss_timers_next(&loop->timers) : 0;
}

int64_t ss_loop_next_ns(struct ss_loop *loop)
{
    ss_timers_prune(&loop->timers);
    return next_ns(loop);
}

/* What is left of `timeout_ns` when the next timer cuts it short. */
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

/* What poll(2) says of everything that is watched: no descriptor could be had for a poller. */
static size_t fill_set(const struct ss_loop *loop, struct pollfd *set)
{
    size_t n = 0;
    for (size_t fd = 0; fd < loop->nfds; fd++) {
        unsigned events = 0;
        for (const struct ss_watch *watch = loop->by_fd[fd]; watch; watch = watch->next)
            events |= watch->events;
        if (events)
            set[n++] = os_poll_for((int)fd, events & SS_READABLE, events & SS_WRITABLE);
    }
    return n;
}

/* From the one behind `latest` on: none is passed over for ever. */
static void report_set(struct ss_loop *loop, const struct pollfd *set, size_t n, struct os_event events[OS_EVENTS],
                       size_t *found)
{
    size_t first = 0;
    while (first < n && set[first].fd <= loop->latest)
        first++;
    for (size_t i = 0; i < n && *found < OS_EVENTS; i++) {
        const struct pollfd *p = &set[(first + i) % n];
        if (p->revents != 0)
            events[(*found)++] = (struct os_event){ .fd = p->fd, .found = os_poll_found(p), .recheck = true };
    }
    if (*found > 0)
        loop->latest = events[*found - 1].fd;
}

static enum ss_status poll_watches(struct ss_loop *loop, int64_t timeout_ns, struct os_event events[OS_EVENTS],
                                   size_t *found, struct ss_error *err)
{
    const struct ss_mem *mem = &loop->env->pool.mem;
    unsigned ready;
    size_t size = (loop->nwatches + 1) * sizeof(struct pollfd);
    struct pollfd *set = ss_mem_resize(mem, NULL, 0, size);
    if (!set) {
        *err = ss_no_memory;
        return SS_ERROR;
    }
    size_t n = fill_set(loop, set);
    enum ss_status st = os_poll_any(set, n, timeout_ns, &ready, err);
    if (st == SS_OK)
        report_set(loop, set, n, events, found);
    ss_mem_free(mem, set, size);
    return st;
}

/* Nobody who waits for a descriptor can be told of it. */
static void fail_watchers(struct ss_loop *loop, const struct ss_error *err)
{
    for (size_t fd = 0; fd < loop->nfds; fd++)
        while (loop->by_fd[fd])
            fail_waiter(loop, loop->by_fd[fd]->waiter, err);
}

/* Before a wait, since what a new one can't watch is not waited for. */
static void look_for_poller(struct ss_loop *loop)
{
    struct ss_error ignored;
    if (loop->nwatches > 0)
        poller_of(loop, &ignored);
}

/* What there was to report, in one wait. */
struct reports {
    struct os_event events[OS_EVENTS];
    size_t n;
};

/* What wakes us up is one that is not reported. */
static bool may_be_more(const struct reports *reports)
{
    return reports->n + 1 >= OS_EVENTS;
}

static enum ss_status wait_for_poller(struct ss_loop *loop, int64_t left_ns, struct reports *reports,
                                      struct ss_error *err)
{
    reports->n = 0;
    if (is_ours(loop))
        return os_poller_wait(loop->poller, left_ns, reports->events, &reports->n, err);
    enum ss_status st = poll_watches(loop, left_ns, reports->events, &reports->n, err);
    if (st != SS_ERROR || loop->nwatches == 0)
        return st;
    fail_watchers(loop, err);
    return SS_TIMEOUT;
}

static void take_events(struct ss_loop *loop, const struct reports *reports)
{
    for (size_t i = 0; i < reports->n; i++)
        take_event(loop, &reports->events[i]);
}

/* Of those who are ready none may be told that its time is over, however many they are. */
static void take_rest(struct ss_loop *loop, struct reports *reports)
{
    struct ss_error ignored;
    enum ss_status st = SS_OK;
    for (size_t left = loop->nfds; left > 0 && (st == SS_WANT || may_be_more(reports));
         left -= left < OS_EVENTS ? left : OS_EVENTS) {
        st = wait_for_poller(loop, 0, reports, &ignored);
        take_events(loop, reports);
    }
}

/* Until when it is known what was ready, after a wait that began at `began_ns`. What has come since is not reported yet, though
 * this thread may have stood still for a while. */
static int64_t moment_of(enum ss_status st, int64_t began_ns, int64_t left_ns)
{
    if (st != SS_TIMEOUT)
        return began_ns;
    int64_t took_ns = os_now_ns() - began_ns; /* it may have ended early */
    return began_ns + (left_ns >= 0 && left_ns < took_ns ? left_ns : took_ns);
}

enum ss_status ss_loop_turn(struct ss_loop *loop, int64_t timeout_ns, struct ss_error *err)
{
    struct reports reports;
    look_for_poller(loop);
    bool has_timers = loop->timers.n > 0;
    int64_t began_ns = has_timers ? os_now_ns() : 0;
    int64_t left_ns = timeout_until_next(loop, timeout_ns, began_ns);
    enum ss_status st = wait_for_poller(loop, left_ns, &reports, err);
    if (st == SS_ERROR)
        return st;
    take_events(loop, &reports);
    int64_t moment_ns = has_timers ? moment_of(st, began_ns, left_ns) : 0;
    if (has_timers && may_be_more(&reports) && ss_timers_next(&loop->timers) <= moment_ns)
        take_rest(loop, &reports);
    expire_timers(loop, moment_ns);
    append_queue(&loop->to_take, &loop->done);
    append_queue(&loop->to_step, &loop->ready);
    return SS_OK;
}

static struct ss_waiter *take_first(struct ss_queue *queue)
{
    struct ss_waiter *w = ss_queue_first(queue);
    if (w)
        unqueue_waiter(w);
    return w;
}

/* Each is stepped only when the one before has been taken: what it has received is out of the way then, and one block of input
 * memory is enough for all. */
struct ss_waiter *ss_loop_take(struct ss_loop *loop)
{
    struct ss_waiter *w = take_first(&loop->to_take);
    while (!w && (w = take_first(&loop->to_step)) != NULL) {
        step(loop, w);
        if (w->status != SS_WANT)
            unqueue_waiter(w);
        else
            w = NULL;
    }
    return w;
}

void ss_loop_untake(struct ss_loop *loop, struct ss_waiter *w)
{
    insert_after(&loop->to_take, w);
}

bool ss_loop_would_wait(const struct ss_loop *loop)
{
    return next_ns(loop) != 0;
}

bool ss_loop_is_stuck(struct ss_loop *loop)
{
    return loop->nwatches == 0 && ss_loop_next_ns(loop) == SS_NEVER;
}

enum ss_status ss_loop_fd(struct ss_loop *loop, int *fd, struct ss_error *err)
{
    enum ss_status st = poller_of(loop, err);
    if (st == SS_OK)
        st = os_poller_fd(loop->poller, fd, err);
    if (st != SS_OK)
        return st;
    loop->is_watched = true;
    if (next_ns(loop) == 0)
        os_poller_wake(loop->poller);
    return SS_OK;
}

/* The whole */

void ss_loop_init(struct ss_loop *loop, struct ss_env *env, bool (*is_suspended)(const struct ss_waiter *w))
{
    *loop = (struct ss_loop){ .env = env, .forks = env->forks, .is_suspended = is_suspended };
    ss_queue_init(&loop->ready);
    ss_queue_init(&loop->done);
    ss_queue_init(&loop->to_step);
    ss_queue_init(&loop->to_take);
    ss_timers_init(&loop->timers, env->pool.mem);
    env->loop = loop;
    env->on_release = release_descriptor;
}

/* Those who still wait are not asked: their memory may be gone. */
void ss_loop_fini(struct ss_loop *loop)
{
    give_up_poller(loop);
    ss_timers_fini(&loop->timers);
    ss_mem_free(&loop->env->pool.mem, loop->by_fd, loop->nfds * sizeof(struct ss_watch *));
    loop->by_fd = NULL;
    loop->nfds = 0;
    loop->env->loop = NULL;
    loop->env->loop_has_ended = true;
    loop->env->on_release = NULL;
}
