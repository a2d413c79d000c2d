/* Suspended calls: how a call's operation moves into its task, when its wait begins, and how it is dropped. */
#ifndef LSS_SUSPEND_H
#define LSS_SUSPEND_H

#include "lua/lua_task.h"

#pragma GCC visibility push(hidden)

/* A socket has one waiter for each direction. `s` may be NULL. */
void lss_set_waiters(struct ss_sock *s, const struct lss_call *call, struct ss_waiter *w);

static inline void lss_clear_waiter(struct ss_sock *s, const struct ss_waiter *w)
{
    for (unsigned i = 0; s && i < 2; i++)
        if (s->waiters[i] == w)
            s->waiters[i] = NULL;
}

/* The task is not the waiter of its socket any more. A socket that was closed has cleared its waiters itself, and may be freed. */
static inline void lss_detach_socket(struct lss_task *t)
{
    if (t->waiter.status != SS_CLOSED)
        lss_clear_waiter(t->sock, &t->waiter);
    t->sock = NULL;
}

/* The deadline of an operation: its own, or the timeout from now. */
int64_t lss_deadline_of(const struct ss_op *op, int64_t timeout_ns);

/* Begins a wait in the loop, and in the queue of a parked operation. */
void lss_start_waiter(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns);

/* Drops an operation before an error that leaves it undone. The collector cannot do that alone: Lua finalizes nothing that is made
 * in a finalizer while the state is closing. */
void lss_drop_op(lua_State *L, struct ss_op *op, const struct lss_call *call);

/* Suspends the running task in a call that waits. The loop knows of it only when the coroutine has yielded
 * (lss_begin_wait): Lua may refuse that. To be returned at once. */
int lss_suspend(lua_State *L, struct lss_task *t, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                const struct lss_call *call);

/* Whether `co` has yielded `results` values in lss_suspend. Notes what the call has on its stack. */
bool lss_has_suspended_call(struct lss_task *t, lua_State *co, int results);

/* Begins the wait of a task whose coroutine has yielded `results` values in lss_suspend. False: it was another yield. */
bool lss_begin_wait(struct lss_task *t, int results);

/* Has a task wait in its call again, whose operation is stepped at the next turn. */
void lss_wait_again(struct lss_task *t);

/* Has a task wait for the next turn, in no call: before it begins, with `values` arguments, and after coroutine.yield. */
void lss_wait_for_turn(struct lss_task *t, int values);

/* Whether the waiter's task is as it was left, so that its call can be finished: the program may have resumed or closed the
 * coroutine. */
static inline bool lss_is_suspended(const struct ss_waiter *w)
{
    struct lss_task *t = (struct lss_task *)w;
    if (!t->begun)
        return lua_gettop(t->co) == t->values + 1;
    lua_State *co = lss_calling_coroutine(t);
    return lua_status(co) == LUA_YIELD && lua_gettop(co) == t->under + t->values + 1 &&
           lua_touserdata(co, -1) == lss_mark(t);
}

/* Drops the call that a task waits in, with what it holds. */
void lss_drop_call(lua_State *L, struct lss_task *t);

/* Takes a task out of the loop, drops its call and frees the memory of its operations. */
void lss_free_call(lua_State *L, struct lss_task *t);

#pragma GCC visibility pop

#endif
