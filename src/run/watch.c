#include "run/watch.h"
#include "core/codes.h"
#include "os/os_poll.h"

/* Poller */

static bool has_poller(const struct ss_watches *all)
{
    ss_env_forked(all->env);
    return all->poller && all->forks == all->env->forks;
}

static void drop_poller(struct ss_watches *all)
{
    if (has_poller(all))
        os_poller_close(all->poller);
    else
        os_poller_abandon(all->poller);
    all->poller = NULL;
}

void ss_watches_notify(const struct ss_watches *all)
{
    if (all->has_outer && has_poller(all))
        os_poller_wake(all->poller);
}

void ss_watches_make_ready(struct ss_watches *all, struct ss_waiter *w)
{
    if (ss_waiter_is_queued(w))
        return;
    ss_queue_add(&all->ready, w);
    ss_watches_notify(all);
}

/* Registers every descriptor with a new poller. Waiters are stepped instead where their operation has opened the descriptor, which
 * after a fork may be useless (the thread of a look-up stays in the parent), and where the poller refuses it, so that they fail
 * with the error. */
static void register_all(struct ss_watches *all)
{
    struct ss_error ignored;
    for (size_t fd = 0; fd < all->nfds; fd++)
        for (struct ss_watch *watch = all->by_fd[fd]; watch; watch = watch->next)
            if (watch->closing ||
                os_poller_watch(all->poller, (int)fd, watch->events, watch->foreign, &ignored) != SS_OK)
                ss_watches_make_ready(all, watch->waiter);
}

/* A child process opens a poller of its own: registrations in the inherited one are its parent's too. */
enum ss_status ss_watches_open(struct ss_watches *all, struct ss_error *err)
{
    if (has_poller(all))
        return SS_OK;
    drop_poller(all);
    all->forks = all->env->forks;
    enum ss_status st = os_poller_open(&all->poller, &all->env->pool.mem, err);
    if (st == SS_OK)
        register_all(all);
    return st;
}

void ss_watches_forget(struct ss_watches *all, int fd, bool closing)
{
    struct ss_error ignored;
    if (all->poller && ss_watches_open(all, &ignored) == SS_OK)
        os_poller_forget(all->poller, fd, closing);
}

/* Watches */

static bool reserve_by_fd(struct ss_watches *all, size_t fd)
{
    struct ss_watch **by_fd = ss_mem_reserve_fd(&all->env->pool.mem, all->by_fd, &all->nfds, sizeof *by_fd, fd);
    all->by_fd = by_fd ? by_fd : all->by_fd;
    return by_fd != NULL;
}

/* Makes room for `n` watches of a waiter that watches nothing. */
static bool make_watches(const struct ss_watches *all, struct ss_waiter *w, size_t n)
{
    if (n <= w->room)
        return true;
    const struct ss_mem *mem = &all->env->pool.mem;
    bool own = w->watches == &w->one;
    struct ss_watch *more =
        ss_mem_resize(mem, own ? NULL : w->watches, own ? 0 : w->room * sizeof *more, n * sizeof *more);
    if (!more)
        return false;
    w->watches = more;
    w->room = (unsigned)n;
    return true;
}

void ss_watch_free(struct ss_watches *all, struct ss_waiter *w)
{
    if (w->watches != &w->one)
        ss_mem_free(&all->env->pool.mem, w->watches, w->room * sizeof *w->watches);
    w->watches = &w->one;
    w->room = 1;
}

static enum ss_status register_one(struct ss_watches *all, const struct ss_interest *want, bool foreign,
                                   struct ss_error *err)
{
    struct ss_error ignored;
    if (ss_watches_open(all, &ignored) != SS_OK)
        return SS_OK;
    return os_poller_watch(all->poller, want->fd, want->events, foreign, err);
}

static enum ss_status link_watch(struct ss_watches *all, struct ss_waiter *w, const struct ss_interest *want,
                                 struct ss_error *err)
{
    bool foreign = !ss_env_find(all->env, want->fd);
    if (!reserve_by_fd(all, (size_t)want->fd)) {
        *err = ss_no_memory;
        return SS_ERROR;
    }
    if (register_one(all, want, foreign, err) != SS_OK)
        return SS_ERROR;
    struct ss_watch *watch = &w->watches[w->nwatches++], **head = &all->by_fd[want->fd];
    *watch = (struct ss_watch){ .next = *head, .waiter = w, .fd = want->fd, .events = (uint8_t)want->events };
    watch->foreign = foreign;
    watch->closing = w->op->closes;
    *head = watch;
    all->n++;
    return SS_OK;
}

static void unlink_watch(struct ss_watches *all, const struct ss_watch *watch)
{
    struct ss_watch **at = &all->by_fd[watch->fd];
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    all->n--;
    /* The descriptor of a connect that succeeded belongs to a socket now, and may stay registered. */
    if (watch->foreign && !all->by_fd[watch->fd] && !ss_env_find(all->env, watch->fd))
        ss_watches_forget(all, watch->fd, watch->closing);
}

void ss_unwatch(struct ss_watches *all, struct ss_waiter *w)
{
    while (w->nwatches > 0)
        unlink_watch(all, &w->watches[--w->nwatches]);
}

static enum ss_status link_all(struct ss_watches *all, struct ss_waiter *w, const struct ss_interest *wants, size_t n,
                               struct ss_error *err)
{
    enum ss_status st = SS_OK;
    if (!make_watches(all, w, n)) {
        *err = ss_no_memory;
        return SS_ERROR;
    }
    for (size_t i = 0; i < n && st == SS_OK; i++)
        if (ss_interest_is_usable(&wants[i]))
            st = link_watch(all, w, &wants[i], err);
    return st;
}

/* Nearly every step that ends with SS_WANT wants what the step before wanted. */
static bool is_watched(const struct ss_waiter *w, const struct ss_interest *wants, size_t n)
{
    return n == 1 && w->nwatches == 1 && w->watches->fd == wants->fd && w->watches->events == wants->events &&
           !w->watches->foreign;
}

enum ss_status ss_watch_op(struct ss_watches *all, struct ss_waiter *w, struct ss_error *err)
{
    const struct ss_interest *wants = w->op->wants ? w->op->wants : &w->op->want;
    size_t n = w->op->wants ? w->op->nwants : 1;
    if (is_watched(w, wants, n))
        return register_one(all, wants, false, err);
    ss_unwatch(all, w);
    return link_all(all, w, wants, n, err);
}

/* Without a poller */

/* The set of all watched descriptors for poll(2); returns its size. */
static size_t fill_set(const struct ss_watches *all, struct pollfd *set)
{
    size_t n = 0;
    for (size_t fd = 0; fd < all->nfds; fd++) {
        unsigned events = 0;
        for (const struct ss_watch *watch = all->by_fd[fd]; watch; watch = watch->next)
            events |= watch->events;
        if (events)
            set[n++] = os_poll_for((int)fd, events & SS_READABLE, events & SS_WRITABLE);
    }
    return n;
}

/* Begins behind the descriptor reported last, so that all are reported in time when more are ready than one wait reports. */
static void report_set(struct ss_watches *all, const struct pollfd *set, size_t n, struct os_event events[OS_EVENTS],
                       size_t *found)
{
    size_t first = 0;
    while (first < n && set[first].fd <= all->latest)
        first++;
    for (size_t i = 0; i < n && *found < OS_EVENTS; i++) {
        const struct pollfd *p = &set[(first + i) % n];
        if (p->revents != 0)
            events[(*found)++] = (struct os_event){ .fd = p->fd, .found = os_poll_found(p), .recheck = true };
    }
    if (*found > 0)
        all->latest = events[*found - 1].fd;
}

static enum ss_status poll_all(struct ss_watches *all, int64_t timeout_ns, struct os_event events[OS_EVENTS],
                               size_t *found, struct ss_error *err)
{
    const struct ss_mem *mem = &all->env->pool.mem;
    unsigned ready;
    size_t size = (all->n + 1) * sizeof(struct pollfd);
    struct pollfd *set = ss_mem_resize(mem, NULL, 0, size);
    if (!set) {
        *err = ss_no_memory;
        return SS_ERROR;
    }
    size_t n = fill_set(all, set);
    enum ss_status st = os_poll_any(set, n, timeout_ns, &ready, err);
    if (st == SS_OK)
        report_set(all, set, n, events, found);
    ss_mem_free(mem, set, size);
    return st;
}

enum ss_status ss_watches_wait(struct ss_watches *all, int64_t timeout_ns, struct os_event events[OS_EVENTS], size_t *n,
                               bool *all_fail, struct ss_error *err)
{
    *n = 0;
    *all_fail = false;
    if (has_poller(all))
        return os_poller_wait(all->poller, timeout_ns, events, n, err);
    enum ss_status st = poll_all(all, timeout_ns, events, n, err);
    *all_fail = st == SS_ERROR && all->n > 0;
    return st;
}

/* Life */

void ss_watches_init(struct ss_watches *all, struct ss_env *env)
{
    *all = (struct ss_watches){ .env = env, .forks = env->forks };
    ss_queue_init(&all->ready);
}

void ss_watches_fini(struct ss_watches *all)
{
    drop_poller(all);
    ss_mem_free(&all->env->pool.mem, all->by_fd, all->nfds * sizeof(struct ss_watch *));
    all->by_fd = NULL;
    all->nfds = 0;
}
