#include "lua/lua_wait.h"
#include "lua/lua_interrupt.h"
#include "lua/lua_run.h"
#include "lua/lua_sched.h"
#include "lua/lua_suspend.h"
#include "lua/lua_yield.h"
#include "run/block.h"

/* After so many calls in a row that did not wait, the next one waits for a turn of the loop. */
enum { CALLS = 64 };

static bool is_turn_due(const struct lss_tasks *tasks)
{
    return tasks->calls >= CALLS;
}

/* One call of each direction may wait on a socket. */
static bool is_socket_busy(const struct ss_sock *s, unsigned directions)
{
    return s && (((directions & LSS_READING) && s->waiters[0]) || ((directions & LSS_WRITING) && s->waiters[1]));
}

/* Counts a call. Whether it has to let the loop have a turn first; a parked call or a look-up with a timeout does so by waiting. */
static bool must_wait_for_turn(struct lss_tasks *tasks, int64_t timeout_ns, const struct ss_op *op, bool cancelled)
{
    bool will_wait = (lss_is_parked(op) || op->waits) && timeout_ns != 0 && !cancelled;
    return tasks->calls++ >= CALLS && !will_wait;
}

bool lss_may_try_with_tasks(const struct ss_sock *s, unsigned directions)
{
    struct lss_tasks *tasks = (struct lss_tasks *)s->env->loop;
    bool others_first = is_turn_due(tasks) && (tasks->alive > 0 || tasks->runs);
    return !others_first && !is_socket_busy(s, directions);
}

void lss_count_call_with_tasks(const struct ss_sock *s)
{
    struct lss_tasks *tasks = (struct lss_tasks *)s->env->loop;
    tasks->calls++;
    if (ss_io_has_layer(&s->io)) /* which may have received to send */
        ss_loop_recheck_input(&tasks->loop, s, NULL);
}

/* After a try of a call. */
static void recheck_input(struct lss_tasks *tasks, const struct ss_sock *s)
{
    if (s)
        ss_loop_recheck_input(&tasks->loop, s, NULL);
}

/* The main program */

/* The operation of socket.select: only the loop can wait without FD_SETSIZE limits. */
static bool is_select(const struct ss_op *op, const struct ss_sock *s)
{
    return !s && op->kernel_timeout == SS_BY_NONE;
}

/* Runs the tasks for a turn. False: they have taken the socket's stream from the call. */
static bool keeps_stream_in_turn(lua_State *L, struct lss_tasks *tasks, const struct ss_sock *s)
{
    unsigned stream = lss_stream(s);
    bool was_open = s && s->io.fd >= 0;
    tasks->calls = 0;
    lss_run_turn(L, tasks, 0);
    return lss_keeps_stream(s, stream, was_open);
}

/* The turn before a call may have ended the loop, and the whole module: that of a finalizer while the state is being
 * closed. */
static void check_open_after_turn(lua_State *L, const struct lss_tasks *tasks, int64_t timeout_ns, struct ss_op *op,
                                  const struct lss_call *call)
{
    if (!tasks->closed || (timeout_ns == 0 && lss_is_parked(op)))
        return;
    lss_drop_op(L, op, call);
    lss_check_open(L, tasks);
}

/* An operation that begins again is tried before it waits. */
static int end_call_in_main(lua_State *L, const struct lss_tasks *tasks, struct ss_op *op, const struct lss_call *call,
                            enum ss_status st)
{
    int results = lss_end_call(L, tasks->loop.env, op, call, st);
    if (results == LSS_RETRY)
        op->polls = false;
    return results;
}

static int run_in_main(lua_State *L, struct lss_tasks *tasks, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                       const struct lss_call *call)
{
    if (must_wait_for_turn(tasks, timeout_ns, op, false) && tasks->alive > 0 && lss_can_resume(L) &&
        !keeps_stream_in_turn(L, tasks, s))
        return call->finish(L, op, SS_CLOSED);
    if (is_socket_busy(s, call->directions))
        return call->finish(L, op, SS_BUSY);
    check_open_after_turn(L, tasks, timeout_ns, op, call);
    enum ss_status st = SS_WANT;
    bool by_loop = tasks->alive > 0 || tasks->fresh > 0 || is_select(op, s);
    if (!lss_is_parked(op))
        st = ss_block_run(op, s, by_loop ? 0 : timeout_ns);
    recheck_input(tasks, s);
    if (timeout_ns == 0 && st == SS_WANT)
        st = SS_TIMEOUT;
    else if (timeout_ns != 0 && (lss_is_parked(op) || (st == SS_TIMEOUT && by_loop)))
        st = lss_wait_in_main(L, tasks, s, call, op, lss_deadline_of(op, timeout_ns));
    if (st == SS_WANT)
        st = lss_run_hook_in_call(L, s, op, call);
    return st == SS_WANT ? LSS_RETRY : end_call_in_main(L, tasks, op, call, st);
}

/* A task */

/* Tries an operation that cannot wait once more: the edge-triggered try may have relied on a report of the poller. */
static enum ss_status try_last(struct ss_op *op)
{
    if (lss_is_parked(op) || op->waits)
        return SS_WANT;
    return ss_try_step(op, SS_NO_WAIT);
}

static enum ss_status try_in_task(const struct lss_task *t, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op)
{
    enum ss_status st = SS_WANT;
    if (!lss_is_parked(op) && timeout_ns == 0)
        return ss_block_run(op, s, 0);
    if (!lss_is_parked(op) && !op->tried && !op->waits) /* Lua may refuse to suspend: do not begin a look-up before */
        st = ss_try_step(op, SS_NO_WAIT_EDGE);
    if (st == SS_WANT && timeout_ns == 0)
        return SS_TIMEOUT;
    if (st == SS_WANT && t->cancelled)
        st = try_last(op);
    return st == SS_WANT && t->cancelled ? SS_CANCELLED : st;
}

/* Whether L runs in the task that runs, resumed by nothing but socket.coroutine. */
static bool is_of_task(lua_State *L, const struct lss_tasks *tasks)
{
    return L == lss_innermost(tasks) && (!tasks->steps || tasks->steps->linked);
}

/* Whether a call in L can suspend the task: L and the coroutines that have resumed it, up to the task's own, can yield. */
static bool can_suspend_from(lua_State *L, const struct lss_tasks *tasks, bool (*can_yield)(lua_State *))
{
    if (!is_of_task(L, tasks))
        return false;
    for (const struct lss_step *s = tasks->steps; s; s = s->outer)
        if (!can_yield(s->resumer))
            return false;
    return can_yield(L);
}

static bool can_task_wait(lua_State *L, const struct lss_task *t)
{
    return !t->tasks->ending && can_suspend_from(L, t->tasks, lss_may_yield);
}

static int raise_would_block(lua_State *L, const struct lss_task *t)
{
    const struct lss_tasks *tasks = t->tasks;
    if (is_of_task(L, tasks) || tasks->ending || (LSS_JIT && !lss_can_resume(L)))
        return lss_raise_cannot_wait(L);
    return luaL_error(
        L, "this call would block, but this coroutine is not a task: resume it with socket.coroutine instead "
           "of Lua's coroutine (local coroutine = socket.coroutine), or make it a task");
}

void lss_check_can_wait(lua_State *L, const struct lss_tasks *tasks)
{
    const struct lss_task *t = tasks->runs;
    if (t && !t->cancelled && !can_task_wait(L, t))
        raise_would_block(L, t);
    if (!t && !lss_can_resume(L))
        lss_raise_cannot_wait(L);
}

static int run_in_task(lua_State *L, struct lss_task *t, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                       const struct lss_call *call)
{
    if (is_socket_busy(s, call->directions))
        return call->finish(L, op, SS_BUSY);
    if (must_wait_for_turn(t->tasks, timeout_ns, op, t->cancelled) && is_of_task(L, t->tasks)) {
        t->tasks->calls = 0; /* lss_can_yield may be slow, also when it says no */
        if (can_suspend_from(L, t->tasks, lss_can_yield)) {
            t->for_turn = true;
            t->zero_timeout = timeout_ns == 0;
            return lss_suspend(L, t, s, t->cancelled ? 0 : timeout_ns, op, call);
        }
    }
    enum ss_status st = try_in_task(t, s, timeout_ns, op);
    recheck_input(t->tasks, s);
    if (st != SS_WANT)
        return lss_end_call(L, t->tasks->loop.env, op, call, st);
    if (!can_task_wait(L, t)) {
        st = try_last(op);
        if (st != SS_WANT)
            return call->finish(L, op, st);
        lss_drop_op(L, op, call);
        return raise_would_block(L, t);
    }
    t->for_turn = false;
    t->zero_timeout = false;
    return lss_suspend(L, t, s, timeout_ns, op, call);
}

/* Both */

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
    return t ? !tasks->ending && can_suspend_from(L, tasks, lss_can_yield) : lss_can_resume(L);
}

int lss_park(lua_State *L, struct lss_tasks *tasks, int64_t timeout_ns, struct lss_parked *parked,
             const struct lss_call *call)
{
    lss_check_open(L, tasks);
    timeout_ns = lss_limit_timeout(L, tasks->loop.env, timeout_ns, &parked->op.deadline_ns);
    return lss_run_with_tasks(L, &tasks->loop, NULL, timeout_ns, &parked->op, call);
}

/* Calls that did not wait */

static int finish_return(lua_State *L, struct ss_op *op, enum ss_status st)
{
    (void)L, (void)op, (void)st;
    return 1;
}

void lss_run_due_turn(lua_State *L, struct lss_tasks *tasks)
{
    if (tasks->runs || !is_turn_due(tasks) || tasks->alive == 0 || !lss_can_resume(L))
        return;
    tasks->calls = 0;
    lss_run_turn(L, tasks, 0);
}

int lss_return_after_turn(lua_State *L, struct lss_tasks *tasks)
{
    static const struct lss_call call = { .finish = finish_return, .size = sizeof(struct lss_parked), .keep = 1 };
    struct lss_parked parked = { .queue = NULL };
    return tasks->runs && is_turn_due(tasks) ? lss_park(L, tasks, 0, &parked, &call) : (tasks->calls++, 1);
}

/* Sleeping */

/* A sleep succeeds when its time is over; one that socket.within cuts short does not. */
static int finish_cut_sleep(lua_State *L, struct ss_op *op, enum ss_status st)
{
    return lss_push_done(L, st, &op->error);
}

static int finish_sleep(lua_State *L, struct ss_op *op, enum ss_status st)
{
    return lss_push_done(L, st == SS_TIMEOUT ? SS_OK : st, &op->error);
}

int lss_sleep_with_tasks(lua_State *L, struct ss_loop *loop, int64_t timeout_ns)
{
    static const struct lss_call whole = { .finish = finish_sleep, .size = sizeof(struct lss_parked) },
                                 cut = { .finish = finish_cut_sleep, .size = sizeof(struct lss_parked) };
    struct lss_tasks *tasks = (struct lss_tasks *)loop;
    struct lss_parked parked = { .queue = NULL };
    if (timeout_ns == 0)
        tasks->calls = CALLS; /* a turn is due */
    timeout_ns = lss_limit_timeout(L, loop->env, timeout_ns, &parked.op.deadline_ns);
    if (tasks->runs && tasks->runs->cancelled)
        timeout_ns = 1; /* so that sleep(0) is cancelled too */
    lss_check_open(L, tasks);
    return lss_run_with_tasks(L, loop, NULL, timeout_ns, &parked.op, parked.op.deadline_ns > 0 ? &cut : &whole);
}
