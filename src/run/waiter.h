/* A waiter: a call that waits in the loop. Queues of waiters. */
#ifndef SS_RUN_WAITER_H
#define SS_RUN_WAITER_H

#include "core/op.h"
#include "run/timers.h"

#include <stddef.h> /* offsetof */

#pragma GCC visibility push(hidden)

struct ss_waiter;

/* One descriptor that a waiter watches. */
struct ss_watch {
    struct ss_watch *next; /* of the same descriptor */
    struct ss_waiter *waiter;
    int fd;
    uint8_t events; /* SS_READABLE | SS_WRITABLE */
    bool foreign;   /* the descriptor belongs to no open socket of this Lua state */
    bool closing;   /* the operation closes the descriptor when it ends, or soon after; only with foreign */
};

/* A doubly linked circular list whose head has no waiter. Removal needs no look at the head. */
struct ss_queue {
    struct ss_queue *next, *prev;
};

struct ss_waiter {
    struct ss_timer timer;         /* first: the loop casts an expired timer to its waiter */
    struct ss_op *op;              /* step NULL: parked */
    struct ss_queue link;          /* place in at most one queue; next NULL: in none */
    struct ss_watch one, *watches; /* `watches` points to `one` while one is enough */
    unsigned nwatches, room;
    enum ss_status status; /* SS_WANT while it waits; then how it ended */
    bool is_parked;        /* its operation has no step: it waits for its deadline, or for ss_loop_end */
    bool expired : 1;      /* the deadline has passed: the next step is the last; not with is_parked */
    bool error_only : 1;   /* the latest event was an error and nothing that the operation wants; not with is_parked */
    bool owner_steps : 1;  /* its owner calls ss_loop_step when the waiter is ready */
    bool is_ready : 1;     /* only with owner_steps: to be stepped */
    bool of_task;          /* its coroutine may be gone: ask loop->is_suspended before its operation is touched */
};

void ss_waiter_init(struct ss_waiter *w, bool of_task);

static inline bool ss_waiter_is_queued(const struct ss_waiter *w)
{
    return w->link.next != NULL;
}

/* Removes a waiter from the queue that it is in, if any. */
void ss_waiter_unqueue(struct ss_waiter *w);

static inline void ss_queue_init(struct ss_queue *queue)
{
    queue->next = queue->prev = queue;
}

static inline bool ss_queue_is_empty(const struct ss_queue *queue)
{
    return queue->next == queue;
}

/* The first waiter, or NULL. */
static inline struct ss_waiter *ss_queue_first(const struct ss_queue *queue)
{
    return ss_queue_is_empty(queue) ? NULL
                                    : (struct ss_waiter *)((char *)queue->next - offsetof(struct ss_waiter, link));
}

/* The waiter must be in no queue. A parked one may be added from outside the loop, and leaves the queue when it ends. */
void ss_queue_add(struct ss_queue *queue, struct ss_waiter *w);
void ss_queue_add_first(struct ss_queue *queue, struct ss_waiter *w);

/* Moves all waiters of `from` to the end of `queue`. */
void ss_queue_append(struct ss_queue *queue, struct ss_queue *from);

/* Removes and returns the first waiter, or NULL. */
struct ss_waiter *ss_queue_take(struct ss_queue *queue);

#pragma GCC visibility pop

#endif
