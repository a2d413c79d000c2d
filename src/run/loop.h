/* The event loop: steps the operations of many waiters, each when what it wants is there, and returns those that have ended.
 * It knows neither Lua nor coroutines: a waiter belongs to a task or to the main program. */
#ifndef SS_RUN_LOOP_H
#define SS_RUN_LOOP_H

#include "core/op.h"
#include "core/sock.h"
#include "run/timers.h"
#include "run/watch.h"

#pragma GCC visibility push(hidden)

struct ss_loop {
    struct ss_env *env;
    struct ss_watches watches; /* watches.ready: waiters to step in the next turn */
    struct ss_timers timers;
    struct ss_queue done;                            /* waiters that ended, to be returned in the next turn */
    struct ss_queue to_step, to_take;                /* both of this turn */
    bool (*is_suspended)(const struct ss_waiter *w); /* no: the memory of a task's operation may be gone */
    struct ss_waiter *stepping;                      /* the one whose operation is in a step, or NULL */
};

void ss_loop_init(struct ss_loop *loop, struct ss_env *env, bool (*is_suspended)(const struct ss_waiter *w));

/* Waiters are not touched: their memory may be gone. */
void ss_loop_fini(struct ss_loop *loop);

/* Waits for `op`, which has returned SS_WANT, until `deadline_ns`. On failure the waiter ends at once with SS_ERROR, and the
 * error is in the operation. */
void ss_loop_wait(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns);

/* Waits for the next turn, in which the operation is stepped. */
void ss_loop_wait_turn(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns);

/* Ends a wait from outside; a waiter that has ended keeps its status. */
void ss_loop_end(struct ss_loop *loop, struct ss_waiter *w, enum ss_status status);

/* Ends the wait for an operation whose memory is about to be freed, while its descriptors are still open. */
void ss_loop_end_op(struct ss_loop *loop, const struct ss_op *op);

/* Before a descriptor that is no socket's is closed: the waiters that watch it end with SS_ERROR, the text of EBADF. */
void ss_loop_forget(struct ss_loop *loop, int fd);

/* A call on `s`, not that of `w` (NULL: none), may have taken in what the poller has yet to report: the others that watch for
 * input look again. The socket's reader need not: no call receives beside it. */
void ss_loop_recheck_input(struct ss_loop *loop, const struct ss_sock *s, const struct ss_waiter *w);

/* Removes a waiter from the loop before its memory is freed. */
void ss_loop_drop(struct ss_loop *loop, struct ss_waiter *w);

/* Begins a turn: waits for events or timers, `timeout_ns` at most (negative: without end). SS_OK | SS_WANT: as SS_OK, but
 * a signal has ended the wait | SS_ERROR. */
enum ss_status ss_loop_turn(struct ss_loop *loop, int64_t timeout_ns, struct ss_error *err);

/* Returns the next waiter of this turn that has ended, or whose owner is to step it, or NULL. Waiters that end or become ready
 * meanwhile belong to the next turn. */
struct ss_waiter *ss_loop_take(struct ss_loop *loop);

/* Steps a waiter that is ready, and that its owner steps. It may end, and is then returned by ss_loop_take as others are. */
void ss_loop_step(struct ss_loop *loop, struct ss_waiter *w);

/* Puts back a waiter that was taken; it is the next that ss_loop_take returns. */
void ss_loop_untake(struct ss_loop *loop, struct ss_waiter *w);

/* When the next turn has something to do without an event: 0: at once; SS_NEVER: only when an event comes. */
int64_t ss_loop_next_ns(struct ss_loop *loop);

/* Whether the next turn would wait for an event or a timer. */
bool ss_loop_would_wait(const struct ss_loop *loop);

/* Whether neither an event nor a timer will ever end a wait, apart from the waits that do not count (NULL: all do). Slower with
 * such waits. */
bool ss_loop_is_stuck(struct ss_loop *loop, bool (*is_left_out)(const struct ss_waiter *w));

/* A descriptor for an outer event loop: readable when a turn has something to do, except for a timer; -1: the system has none.
 * SS_OK | SS_ERROR. */
enum ss_status ss_loop_fd(struct ss_loop *loop, int *fd, struct ss_error *err);

#pragma GCC visibility pop

#endif
