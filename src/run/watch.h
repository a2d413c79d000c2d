/* The descriptors that waiters watch, and the poller that reports events of them. */
#ifndef SS_RUN_WATCH_H
#define SS_RUN_WATCH_H

#include "core/sock.h"
#include "os/os_poller.h"
#include "run/waiter.h"

#pragma GCC visibility push(hidden)

struct ss_watches {
    struct ss_env *env;
    struct os_poller *poller; /* NULL: not needed yet, or no descriptor could be had: poll(2) takes its place */
    unsigned forks;           /* env->forks when the poller was opened: another process must not use it */
    bool has_outer;           /* another event loop waits for the poller's descriptor */
    struct ss_watch **by_fd;  /* watches of each descriptor, [0, nfds) */
    size_t nfds, n;           /* n: watches in all */
    int latest;               /* without a poller: the last descriptor reported, for fairness */
    struct ss_queue ready;    /* waiters to be stepped in the next turn */
};

void ss_watches_init(struct ss_watches *all, struct ss_env *env);

/* Waiters that still watch something are not touched. */
void ss_watches_fini(struct ss_watches *all);

/* The first watch of a descriptor, or NULL. */
static inline struct ss_watch *ss_watches_of(const struct ss_watches *all, int fd)
{
    return fd >= 0 && (size_t)fd < all->nfds ? all->by_fd[fd] : NULL;
}

/* Opens the poller unless this process has one. SS_OK | SS_ERROR. */
enum ss_status ss_watches_open(struct ss_watches *all, struct ss_error *err);

/* The poller drops its registration of a descriptor; `closing`: close(2) is what follows, and nobody else has the descriptor. */
void ss_watches_forget(struct ss_watches *all, int fd, bool closing);

/* Queues a waiter for the next turn, unless it is in a queue. */
void ss_watches_make_ready(struct ss_watches *all, struct ss_waiter *w);

/* Wakes the outer event loop, if there is one: a turn has something to do. */
void ss_watches_notify(const struct ss_watches *all);

/* Watches what the waiter's operation wants, and nothing else. SS_OK | SS_ERROR: no memory, or the system refuses a descriptor.
 * Without a poller all descriptors are accepted. */
enum ss_status ss_watch_op(struct ss_watches *all, struct ss_waiter *w, struct ss_error *err);

/* Watches nothing any more. */
void ss_unwatch(struct ss_watches *all, struct ss_waiter *w);

/* Frees a waiter's array of watches, which must watch nothing. */
void ss_watch_free(struct ss_watches *all, struct ss_waiter *w);

/* Waits for events, `timeout_ns` at most (negative: without end). SS_OK: *n events | SS_TIMEOUT | SS_WANT: a signal came |
 * SS_ERROR; *all_fail: no waiter that watches a descriptor can be served, and each ends with that error. */
enum ss_status ss_watches_wait(struct ss_watches *all, int64_t timeout_ns, struct os_event events[OS_EVENTS], size_t *n,
                               bool *all_fail, struct ss_error *err);

#pragma GCC visibility pop

#endif
