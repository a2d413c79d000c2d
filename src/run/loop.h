/* The driver of tasks: steps the operations of many waiting calls, each when what it wants is there, and tells which of
 * them have ended. It knows neither Lua nor what waits: a waiter belongs to a task, or to the main program. */
#ifndef SS_RUN_LOOP_H
#define SS_RUN_LOOP_H

#include "core/op.h"
#include "core/sock.h"
#include "os/os_poller.h"
#include "run/timers.h"

#pragma GCC visibility push(hidden)

/* One descriptor that a waiter waits for. */
struct ss_watch {
    struct ss_watch *next; /* of the same descriptor */
    struct ss_waiter *waiter;
    int fd;
    uint8_t events;
    bool foreign; /* it is not the descriptor of one of our sockets */
    bool closing; /* and the operation closes it before it ends, or soon after */
};

/* Waiters in the order in which they came: a ring of which the line itself is a part, and so one can leave from anywhere. */
struct ss_queue {
    struct ss_queue *next, *prev; /* of the line itself: the first and the last one's place */
};

/* A call that waits. */
struct ss_waiter {
    struct ss_timer timer;         /* first: a timer that is due is its waiter */
    struct ss_op *op;              /* one without a step waits for its time, or for ss_loop_end */
    struct ss_queue link;          /* in the one line where it stands; next is NULL: it does not */
    struct ss_watch one, *watches; /* one of its own is enough for most */
    unsigned nwatches, room;
    enum ss_status status; /* SS_WANT while it waits; then how it ended */
    bool is_parked;        /* its operation has no step */
    bool expired;          /* the deadline has passed, and the step that comes is the last */
    bool error_only;       /* the latest report was of an error, and of nothing that it wants */
    bool of_task;          /* which may have gone: loop->is_suspended tells */
};

struct ss_loop {
    struct ss_env *env;
    struct os_poller *poller; /* made when something is watched first, and anew in a child process; or NULL */
    unsigned forks;           /* env->forks when that was made */
    bool is_watched;          /* somebody waits for its descriptor */
    struct ss_timers timers;
    struct ss_watch **by_fd; /* the watches of a descriptor, [0, nfds) */
    size_t nfds, nwatches;
    int latest;                                      /* the last descriptor that was reported without a poller */
    struct ss_queue ready, done;                     /* for the next turn: to be stepped without waiting; to be taken */
    struct ss_queue to_step, to_take;                /* the same in this one */
    bool (*is_suspended)(const struct ss_waiter *w); /* if not, its operation is not touched any more */
    struct ss_waiter *stepping;
};

void ss_loop_init(struct ss_loop *loop, struct ss_env *env, bool (*is_suspended)(const struct ss_waiter *w));
void ss_loop_fini(struct ss_loop *loop);

void ss_waiter_init(struct ss_waiter *w, bool of_task);

void ss_queue_init(struct ss_queue *queue);

/* The first of them, or NULL. */
struct ss_waiter *ss_queue_first(const struct ss_queue *queue);

/* Has a waiter that waits stand in a line until it ends. */
void ss_queue_add(struct ss_queue *queue, struct ss_waiter *w);

/* Begins to wait for `op`, which was stepped and wants something, until `deadline_ns`. When that can't be done the waiter
 * ends at once, with the error in its operation. */
void ss_loop_wait(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns);

/* Begins to wait for the next turn only, at which the operation is stepped. */
void ss_loop_wait_turn(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns);

/* Ends a wait from outside; nothing if it has ended already. */
void ss_loop_end(struct ss_loop *loop, struct ss_waiter *w, enum ss_status status);

/* Ends the wait for an operation that goes away, before its descriptors do. */
void ss_loop_end_op(struct ss_loop *loop, const struct ss_op *op);

/* The loop forgets it, before its memory goes. */
void ss_loop_drop(struct ss_loop *loop, struct ss_waiter *w);

/* Waits until something happens that those who wait may be concerned with, `timeout_ns` at most (negative: without end).
 * ss_loop_take then tells who has ended. SS_OK | SS_ERROR. */
enum ss_status ss_loop_turn(struct ss_loop *loop, int64_t timeout_ns, struct ss_error *err);

/* The next one of this turn that has ended, or NULL: who ends or is ready again meanwhile has to wait for the next turn. */
struct ss_waiter *ss_loop_take(struct ss_loop *loop);

/* Puts back one that was taken, as the first. */
void ss_loop_untake(struct ss_loop *loop, struct ss_waiter *w);

/* When the next turn has something to do of itself: 0: at once; SS_NEVER: only when a descriptor is ready. */
int64_t ss_loop_next_ns(struct ss_loop *loop);

/* Whether the next turn has nothing to do at once. */
bool ss_loop_would_wait(const struct ss_loop *loop);

/* Whether nothing that the loop can see will ever end a wait. */
bool ss_loop_is_stuck(struct ss_loop *loop);

/* A descriptor that is readable from now on when a turn has something to do, other than for the time; or -1. */
enum ss_status ss_loop_fd(struct ss_loop *loop, int *fd, struct ss_error *err);

#pragma GCC visibility pop

#endif
