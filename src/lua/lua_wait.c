/* A call that may have to wait, when there are tasks. In a task it hands its operation over and suspends the coroutine: the
 * scheduler makes its results and resumes it (lua_sched.c). The main program runs the tasks meanwhile. */
#include "core/codes.h"
#include "lua/lua_task.h"
#include "lua/lua_yield.h"
#include "run/block.h"
#include "run/deadline.h"

#include <string.h> /* memcpy */

/* A call that did not wait lets others run after so many of its kind. */
enum { CALLS = 64 };

/* One call of each direction may wait on a socket. */
static bool is_busy(const struct ss_sock *s, unsigned directions)
{
    return s && (((directions & LSS_READING) && s->waiters[0]) || ((directions & LSS_WRITING) && s->waiters[1]));
}

static int64_t deadline_of(const struct ss_op *op, int64_t timeout_ns)
{
    if (op->deadline_ns > 0)
        return op->deadline_ns;
    return timeout_ns < 0 ? SS_NEVER : ss_deadline_after(timeout_ns);
}

/* Before an error that leaves the operation undone. What it holds is not left to the collector, since Lua finalizes nothing that is
 * made in a finalizer while the state is being closed. */
static void drop_op(lua_State *L, struct ss_op *op, const struct lss_call *call)
{
    if (call->drop)
        call->drop(L, lua_gettop(L), op);
}

/* Suspending */

/* Takes the operation along from the C stack. */
static bool take_along(struct lss_task *t, struct ss_op *op, const struct lss_call *call)
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

/* The waiting itself begins when the coroutine is suspended (start_wait): Lua may refuse that. */
static int suspend(lua_State *L, struct lss_task *t, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                   const struct lss_call *call)
{
    if (lua_gettop(L) >= UINT16_MAX) {
        drop_op(L, op, call);
        return luaL_error(L, "too many arguments");
    }
    if (!take_along(t, op, call)) {
        op->error = ss_no_memory;
        return call->finish(L, op, SS_ERROR);
    }
    t->sock = s;
    t->waiter.op->deadline_ns = deadline_of(op, timeout_ns);
    lua_pushlightuserdata(L, lss_mark(t));
    t->function = lss_running_function(L);
    return lss_yield_all(L, &t->call, call);
}

/* Taking turns */

/* Whether it is time to let others run first. What stands and has time lets them run anyway. */
static bool takes_turn(struct lss_tasks *tasks, int64_t timeout_ns, const struct ss_op *op, bool cancelled)
{
    return tasks->calls++ >= CALLS && (!lss_is_parked(op) || timeout_ns == 0 || cancelled);
}

bool lss_has_turn(const struct ss_sock *s, unsigned directions)
{
    struct lss_tasks *tasks = (struct lss_tasks *)s->env->loop;
    bool others_first = tasks->calls >= CALLS && (tasks->alive > 0 || tasks->runs);
    return !others_first && !is_busy(s, directions);
}

void lss_count_call(const struct ss_sock *s)
{
    ((struct lss_tasks *)s->env->loop)->calls++;
}

/* What may want any number of descriptors, when only the loop can wait for so many. */
static bool is_select(const struct ss_op *op, const struct ss_sock *s)
{
    return !s && op->kernel_timeout == SS_BY_NONE;
}

/* In the main program and in a task */

/* Runs the others for a turn. Whether the socket is still what the call was made for: not closed by them, and perhaps opened
 * again, nor connected. */
static bool outlives_turn(lua_State *L, struct lss_tasks *tasks, const struct ss_sock *s)
{
    unsigned stream = lss_stream(s);
    bool was_open = s && s->io.fd >= 0;
    tasks->calls = 0;
    lss_run_turn(L, tasks, 0);
    return !s || (lss_stream(s) == stream && (was_open || s->io.fd < 0 || s->type == SOCK_DGRAM));
}

static int run_in_main(lua_State *L, struct lss_tasks *tasks, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                       const struct lss_call *call)
{
    if (takes_turn(tasks, timeout_ns, op, false) && tasks->alive > 0 && lss_can_run(L) && !outlives_turn(L, tasks, s))
        return call->finish(L, op, SS_CLOSED);
    if (is_busy(s, call->directions))
        return call->finish(L, op, SS_BUSY);
    enum ss_status st = SS_WANT;
    bool by_loop = tasks->alive > 0 || tasks->fresh > 0 || is_select(op, s);
    if (!lss_is_parked(op))
        st = ss_block_run(op, s, by_loop ? 0 : timeout_ns);
    if (timeout_ns == 0 && st == SS_WANT)
        st = SS_TIMEOUT;
    else if (timeout_ns != 0 && (st == SS_WANT || (st == SS_TIMEOUT && by_loop)))
        st = lss_wait_in_main(L, tasks, s, call, op, deadline_of(op, timeout_ns));
    return call->finish(L, op, st);
}

/* Once more, also where only the poller would tell of new bytes: there will be no wait for it. */
static enum ss_status try_last(struct ss_op *op)
{
    if (lss_is_parked(op))
        return SS_WANT;
    return ss_try_step(op, SS_NO_WAIT);
}

static enum ss_status try_in_task(const struct lss_task *t, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op)
{
    enum ss_status st = SS_WANT;
    if (!lss_is_parked(op) && timeout_ns == 0)
        return ss_block_run(op, s, 0);
    if (!lss_is_parked(op) && !op->tried && !op->waits) /* Lua may refuse to suspend: a look-up is not begun in vain */
        st = ss_try_step(op, SS_NO_WAIT_EDGE);
    if (st == SS_WANT && timeout_ns == 0)
        return SS_TIMEOUT;
    if (st == SS_WANT && t->cancelled)
        st = try_last(op);
    return st == SS_WANT && t->cancelled ? SS_CANCELLED : st;
}

static bool can_wait(lua_State *L, const struct lss_task *t)
{
    return L == t->co && !t->tasks->ending && lss_may_yield(L);
}

static int raise_cannot_wait(lua_State *L, const struct lss_task *t)
{
    bool in_finalizer = t->tasks->ending || (LSS_JIT && L != t->co && !lss_can_run(L));
    if (L == t->co || in_finalizer)
        return lss_cannot_wait(L);
    return luaL_error(L, "cannot wait in a coroutine that socket.spawn has not started, while a task runs: make it a "
                         "task, and hand its values over with socket.channel");
}

void lss_check_wait(lua_State *L, const struct lss_tasks *tasks)
{
    const struct lss_task *t = tasks->runs;
    if (t && !t->cancelled && !can_wait(L, t))
        raise_cannot_wait(L, t);
    if (!t && !lss_can_run(L))
        lss_cannot_wait(L);
}

static int run_in_task(lua_State *L, struct lss_task *t, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                       const struct lss_call *call)
{
    if (is_busy(s, call->directions))
        return call->finish(L, op, SS_BUSY);
    if (takes_turn(t->tasks, timeout_ns, op, t->cancelled) && L == t->co) {
        t->tasks->calls = 0; /* to look at the stack has its price, also when the answer is no */
        if (lss_can_yield(L)) {
            t->for_turn = true;
            t->has_no_time = timeout_ns == 0;
            return suspend(L, t, s, t->cancelled ? 0 : timeout_ns, op, call);
        }
    }
    enum ss_status st = try_in_task(t, s, timeout_ns, op);
    if (st != SS_WANT)
        return call->finish(L, op, st);
    if (!can_wait(L, t)) {
        st = try_last(op);
        if (st != SS_WANT)
            return call->finish(L, op, st);
        drop_op(L, op, call);
        return raise_cannot_wait(L, t);
    }
    t->for_turn = op->waits; /* its first step is still to come */
    t->has_no_time = false;
    return suspend(L, t, s, timeout_ns, op, call);
}

int lss_run_with_tasks(lua_State *L, struct ss_loop *loop, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                       const struct lss_call *call)
{
    struct lss_tasks *tasks = (struct lss_tasks *)loop;
    unsigned stream = lss_stream(s);
    int results;
    do
        results = tasks->runs ? run_in_task(L, tasks->runs, s, timeout_ns, op, call)
                              : run_in_main(L, tasks, s, timeout_ns, op, call);
    while (results == LSS_RETRY && lss_stream(s) == stream);
    return results == LSS_RETRY ? call->finish(L, op, SS_CLOSED) : results;
}

bool lss_may_wait(lua_State *L, const struct ss_env *env)
{
    const struct lss_tasks *tasks = (const struct lss_tasks *)env->loop;
    const struct lss_task *t = tasks ? tasks->runs : NULL;
    return t ? !tasks->ending && L == t->co && lss_can_yield(L) : lss_can_run(L);
}

int lss_park(lua_State *L, struct lss_tasks *tasks, int64_t timeout_ns, struct lss_parked *parked,
             const struct lss_call *call)
{
    lss_check_open(L, tasks);
    return lss_run_with_tasks(L, &tasks->loop, NULL, timeout_ns, &parked->op, call);
}

/* The result of a call that did not wait, after others have had their turn if it is time for that. */

static int finish_pass(lua_State *L, struct ss_op *op, enum ss_status st)
{
    (void)L, (void)op, (void)st;
    return 1;
}

void lss_take_turn(lua_State *L, struct lss_tasks *tasks)
{
    if (tasks->runs || tasks->calls < CALLS || tasks->alive == 0 || !lss_can_run(L))
        return;
    tasks->calls = 0;
    lss_run_turn(L, tasks, 0);
}

int lss_pass(lua_State *L, struct lss_tasks *tasks)
{
    static const struct lss_call call = { .finish = finish_pass, .size = sizeof(struct lss_parked), .keep = 1 };
    struct lss_parked parked = { .queue = NULL };
    return tasks->runs && tasks->calls >= CALLS ? lss_park(L, tasks, 0, &parked, &call) : (tasks->calls++, 1);
}

/* Sleeping: the time that is over is what it has waited for. */

static int finish_sleep(lua_State *L, struct ss_op *op, enum ss_status st)
{
    return lss_push_done(L, st == SS_TIMEOUT ? SS_OK : st, &op->error);
}

int lss_sleep_with_tasks(lua_State *L, struct ss_loop *loop, int64_t timeout_ns)
{
    static const struct lss_call call = { .finish = finish_sleep, .size = sizeof(struct lss_parked) };
    struct lss_tasks *tasks = (struct lss_tasks *)loop;
    struct lss_parked parked = { .queue = NULL };
    if (timeout_ns == 0)
        tasks->calls = CALLS; /* somebody else's turn */
    if (tasks->runs && tasks->runs->cancelled)
        timeout_ns = 1; /* it says so, without time as well */
    return lss_park(L, tasks, timeout_ns, &parked, &call);
}
