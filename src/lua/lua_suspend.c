#include "lua/lua_suspend.h"
#include "core/codes.h"
#include "lua/lua_yield.h"
#include "run/deadline.h"

#include <string.h> /* memcpy */

void lss_set_waiters(struct ss_sock *s, const struct lss_call *call, struct ss_waiter *w)
{
    for (unsigned i = 0; s && call && i < 2; i++)
        if (call->directions & (1u << i))
            s->waiters[i] = w;
}

/* Suspending */

int64_t lss_deadline_of(const struct ss_op *op, int64_t timeout_ns)
{
    if (op->deadline_ns > 0)
        return op->deadline_ns;
    return timeout_ns < 0 ? SS_NEVER : ss_deadline_after(timeout_ns);
}

/* Moves the operation from the C stack into the task's memory. False: no memory. */
static bool move_op_to_task(struct lss_task *t, struct ss_op *op, const struct lss_call *call)
{
    t->waiter.op = op;
    if (call->size == 0)
        return true;
    if (call->size > t->room) {
        void *more = ss_mem_resize(&t->tasks->mem, t->memory, t->room, call->size);
        if (!more)
            return false;
        t->memory = more;
        t->room = (unsigned)call->size;
    }
    t->waiter.op = memcpy(t->memory, op, call->size);
    if (call->relocate)
        call->relocate(t->waiter.op, op);
    return true;
}

void lss_drop_op(lua_State *L, struct ss_op *op, const struct lss_call *call)
{
    if (call->drop)
        call->drop(L, lua_gettop(L), op);
}

int lss_suspend(lua_State *L, struct lss_task *t, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                const struct lss_call *call)
{
    if (lua_gettop(L) >= UINT16_MAX) {
        lss_drop_op(L, op, call);
        return luaL_error(L, "too many arguments");
    }
    if (!move_op_to_task(t, op, call)) {
        op->error = ss_no_memory;
        return call->finish(L, op, SS_ERROR);
    }
    t->sock = s;
    t->waiter.op->deadline_ns = lss_deadline_of(op, timeout_ns);
    lua_pushlightuserdata(L, lss_mark(t));
    t->tasks->suspends = lss_running_function(L);
    return lss_yield_all(L, &t->call, call);
}

bool lss_has_suspended_call(struct lss_task *t, lua_State *co, int results)
{
    bool ours = t->call && results > t->call->keep && lua_islightuserdata(co, -1) &&
                lua_touserdata(co, -1) == lss_mark(t) && lss_running_function(co) == t->tasks->suspends;
    t->values = ours ? t->call->keep : 0;
    t->under = ours ? (uint16_t)(results - 1 - t->values) : 0;
    return ours;
}

/* Waiting */

void lss_start_waiter(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns)
{
    ss_loop_wait(loop, w, op, deadline_ns);
    if (!lss_is_parked(op) || w->status != SS_WANT)
        return;
    struct ss_queue *queue = ((struct lss_parked *)op)->queue;
    if (queue)
        ss_queue_add(queue, w);
}

/* The first step of a look-up: the coroutine has yielded, so Lua can no longer refuse to suspend the call. A look-up that cannot
 * begin (no descriptor, no memory) is stepped again at the next turn, and then ends with its error. */
static void start_lookup(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op)
{
    if (ss_try_step(op, SS_NO_WAIT_EDGE) == SS_WANT)
        ss_loop_wait(loop, w, op, op->deadline_ns);
    else
        ss_loop_wait_turn(loop, w, op, op->deadline_ns);
}

static void start_task_wait(struct lss_task *t)
{
    struct ss_loop *loop = &t->tasks->loop;
    t->state = LSS_WAITING;
    lss_set_waiters(t->sock, t->call, &t->waiter);
    if (t->for_turn)
        ss_loop_wait_turn(loop, &t->waiter, t->waiter.op, t->waiter.op->deadline_ns);
    else if (t->waiter.op->waits)
        start_lookup(loop, &t->waiter, t->waiter.op);
    else
        lss_start_waiter(loop, &t->waiter, t->waiter.op, t->waiter.op->deadline_ns);
    if (t->call && t->call->start)
        t->call->start(t->waiter.op, &t->waiter);
}

bool lss_begin_wait(struct lss_task *t, int results)
{
    bool inner_waits = t->call && lss_passes_wait(t, t->co);
    if (!inner_waits && !lss_has_suspended_call(t, t->co, results))
        return false;
    start_task_wait(t);
    return true;
}

void lss_wait_again(struct lss_task *t)
{
    t->for_turn = true;
    start_task_wait(t);
}

void lss_wait_for_turn(struct lss_task *t, int values)
{
    t->call = NULL;
    t->sock = NULL;
    t->for_turn = true;
    t->waiter.op = &t->tasks->nothing;
    t->waiter.op->deadline_ns = SS_NEVER;
    t->values = values;
    t->under = 0;
    start_task_wait(t);
    t->state = LSS_READY;
}

/* Dropping */

/* An operation in a userdata (size 0) is alive only while that is on the coroutine's stack. */
void lss_drop_call(lua_State *L, struct lss_task *t)
{
    if (t->call && t->call->drop && (t->call->size > 0 || lss_is_suspended(&t->waiter)))
        t->call->drop(L, 0, t->waiter.op);
    t->call = NULL;
}

void lss_free_call(lua_State *L, struct lss_task *t)
{
    lss_detach_socket(t);
    ss_loop_drop(&t->tasks->loop, &t->waiter);
    lss_drop_call(L, t);
    ss_mem_free(&t->tasks->mem, t->memory, t->room);
    t->memory = NULL;
    t->room = 0;
}
