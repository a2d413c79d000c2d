#include "lua/lua_run.h"
#include "lua/lua_failure.h"
#include "lua/lua_group.h"
#include "lua/lua_interrupt.h"
#include "lua/lua_lost.h"
#include "lua/lua_outcome.h"
#include "lua/lua_resume.h"
#include "lua/lua_sched.h"
#include "lua/lua_suspend.h"
#include "lua/lua_yield.h"
#include "os/os_clock.h"

#define RUN_PROTECTED LSS_PREFIX "run_protected" /* registry: C functions, as in lua_outcome.c */
#define NEST_CALLS LSS_PREFIX "nest"

enum { PUSHED = 3 }; /* values on the stack from prepare_run to the end of run_loop */

/* Runs the loop until a waiter or all tasks but those in the background have ended, or once. */
struct run {
    struct lss_tasks *tasks;
    struct ss_waiter *until; /* waiter of the main program, or NULL */
    struct ss_sock *sock;    /* its socket, or NULL */
    struct ss_op *op;        /* its call; NULL: until no task is left but those in the background */
    const struct lss_call *call;
    int kept;      /* stack index of the last value that the call keeps */
    lua_State *L;  /* of the main program's call: the loop may run in an isolate */
    lua_Hook hook; /* its hook when the run began */
    int64_t timeout_ns;
    bool once;
    bool returned;             /* run_protected has reached its end */
    bool interrupted;          /* a signal has come: the hook is to run in the main program before anything else does */
    bool in_finalizer;         /* perhaps; the Lua state may close during the run, and the run frees the loop then */
    struct ss_waiter *current; /* ended, taken from the loop, not yet resumed */
};

static bool has_call_ended(const struct run *r)
{
    return r->until && (r->until->is_ready || r->until->status != SS_WANT);
}

/* socket.onerror may have run the tasks as well. */
static bool is_run_done(const struct run *r)
{
    return (!r->op && lss_foreground(r->tasks) == 0) || has_call_ended(r);
}

static bool is_last_turn(const struct run *r)
{
    return r->once || is_run_done(r);
}

/* Failures */

/* The wait of a background task. It counts as any other while somebody waits for the task. */
static bool is_background_wait(const struct ss_waiter *w)
{
    const struct lss_task *t = (const struct lss_task *)w;
    return w->of_task && t->background && ss_queue_is_empty(&t->joiners) && !lss_is_group_awaited(t);
}

static bool is_stuck(struct lss_tasks *tasks)
{
    return ss_loop_is_stuck(&tasks->loop, tasks->background > 0 ? is_background_wait : NULL);
}

/* What has come for tasks in the background may be what the others wait for. */
static void take_what_has_come(struct lss_tasks *tasks)
{
    struct ss_error ignored;
    if (tasks->background > 0)
        ss_loop_turn(&tasks->loop, 0, &ignored);
}

static void check_deadlock(lua_State *L, struct run *r)
{
    if (r->timeout_ns >= 0 || is_run_done(r) || !is_stuck(r->tasks))
        return;
    lss_end_all_lost_waits(L, r->tasks);
    take_what_has_come(r->tasks);
    if (is_stuck(r->tasks))
        lss_raise_deadlock(L, r->tasks);
}

/* Collects unreachable handles of failed tasks and reports the failures. The next collection is not due before SHARE times as long
 * has passed as this one took. */
static void collect_failed_tasks(lua_State *L, struct lss_tasks *tasks)
{
    enum { SHARE = 20 };
    int64_t begin_ns = os_now_ns();
    tasks->fresh = 0;
    lua_gc(L, LUA_GCCOLLECT, 0);
    int64_t end_ns = os_now_ns();
    tasks->collect_ns = end_ns + SHARE * (end_ns - begin_ns);
    lss_report_failures(L, tasks);
}

/* Failures are reported before the loop sleeps: once for all tasks that have failed since the last collection. Returns how long
 * the next turn may wait. */
static int64_t collect_if_due(lua_State *L, struct run *r)
{
    enum { TURNS = 32 };
    struct lss_tasks *tasks = r->tasks;
    if (tasks->unseen == 0 || lss_gc_is_stopped(L))
        tasks->fresh = 0;
    bool due = tasks->fresh > 0 && (tasks->turns++ >= TURNS || ss_loop_would_wait(&tasks->loop));
    if (!due)
        return r->timeout_ns;
    int64_t left_ns = tasks->collect_ns - os_now_ns();
    if (left_ns > 0)
        return r->timeout_ns < 0 || left_ns < r->timeout_ns ? left_ns : r->timeout_ns;
    collect_failed_tasks(L, tasks);
    return is_last_turn(r) ? 0 : r->timeout_ns;
}

/* Lost waits end before the loop sleeps. Returns how long the next turn may wait; one that the program asked for is not made
 * shorter. */
static int64_t look_if_sleeping(lua_State *L, const struct run *r, int64_t timeout_ns)
{
    if (!ss_loop_would_wait(&r->tasks->loop))
        return timeout_ns;
    int64_t shorter_ns = lss_end_lost_waits(L, r->tasks, timeout_ns);
    return r->once ? timeout_ns : shorter_ns;
}

int64_t lss_next_turn_ns(lua_State *L, struct lss_tasks *tasks)
{
    int64_t next_ns = ss_loop_next_ns(&tasks->loop);
    bool will_collect = tasks->fresh > 0 && tasks->unseen > 0 && !lss_gc_is_stopped(L);
    return will_collect && tasks->collect_ns < next_ns ? tasks->collect_ns : next_ns;
}

/* Turns */

/* Calls itself as often as its argument says. */
static int nest_calls(lua_State *L)
{
    int n = (int)lua_tointeger(L, 1);
    if (n > 0) {
        lua_getfield(L, LUA_REGISTRYINDEX, NEST_CALLS);
        lua_pushinteger(L, n - 1);
        lua_call(L, 1, 0);
    }
    return 0;
}

/* Raises unless some more C functions can be nested: ending a task needs them. */
static void check_call_depth(lua_State *L)
{
    enum { LEVELS = 10 };
    lua_getfield(L, LUA_REGISTRYINDEX, NEST_CALLS);
    lua_pushinteger(L, LEVELS);
    lua_call(L, 1, 0);
}

static void continue_tasks(lua_State *L, struct run *r)
{
    while ((r->current = ss_loop_take(&r->tasks->loop)) != NULL)
        if (r->current->of_task)
            lss_continue_task(L, (struct lss_task *)r->current);
    r->current = NULL;
}

/* A signal handler has set a hook since the run began. It may have done so when the loop did not wait. */
static bool has_new_hook(const struct run *r)
{
    lua_Hook hook = lua_gethook(r->L);
    return hook && hook != r->hook;
}

/* The turn that begins the next round of tasks. */
static void begin_turn(lua_State *L, struct run *r, int64_t timeout_ns)
{
    struct ss_error err;
    bool wait = !is_run_done(r) && !has_new_hook(r);
    enum ss_status st = ss_loop_turn(&r->tasks->loop, wait ? timeout_ns : 0, &err);
    if (st == SS_ERROR) {
        lss_push_failure(L, 0, SS_ERROR, &err);
        lua_error(L);
    }
    r->interrupted = has_new_hook(r) || (st == SS_WANT && lua_gethook(r->L));
}

static int run_protected(lua_State *L)
{
    struct run *r = lua_touserdata(L, 1);
    check_call_depth(L);
    do {
        lss_report_failures(L, r->tasks); /* before the turn: an error must not discard what has been waited for */
        int64_t timeout_ns = look_if_sleeping(L, r, collect_if_due(L, r));
        check_deadlock(L, r);
        begin_turn(L, r, timeout_ns);
        if (!r->interrupted)
            continue_tasks(L, r);
    } while (!r->interrupted && !is_last_turn(r));
    if (!r->op)
        lss_report_failures(L, r->tasks);
    r->returned = true;
    return 0;
}

void lss_open_runs(lua_State *L)
{
    lua_pushcfunction(L, run_protected);
    lua_setfield(L, LUA_REGISTRYINDEX, RUN_PROTECTED);
    lua_pushcfunction(L, nest_calls);
    lua_setfield(L, LUA_REGISTRYINDEX, NEST_CALLS);
}

/* Errors in a run */

/* The task whose call could not be finished, or NULL. */
static struct lss_task *unfinished_task(const struct run *r)
{
    struct lss_task *t = r->current && r->current->of_task ? (struct lss_task *)r->current : NULL;
    return t && r->current->status != SS_WANT && t->state < LSS_DONE ? t : NULL;
}

/* The second error of the same task ends it, since the cause may last (a string that is too long for Lua). Pops the error; false:
 * it is another error. */
static bool fail_unfinished_task(lua_State *L, struct run *r)
{
    struct lss_task *t = unfinished_task(r);
    if (!t || !t->retried)
        return false;
    r->current = NULL;
    lss_detach_socket(t);
    lss_drop_call(L, t);
    lss_end_task(L, t, LSS_FAILED, 1, lua_gettop(L));
    lua_pop(L, 1);
    return true;
}

/* After an error of memory or of socket.onerror. A task whose call could not be finished is tried again at the next turn. */
static void abort_run(lua_State *L, struct run *r)
{
    struct ss_loop *loop = &r->tasks->loop;
    struct lss_task *t = unfinished_task(r);
    if (t) {
        t->retried = true;
        ss_loop_untake(loop, r->current);
    }
    if (!r->until)
        return;
    lss_clear_waiter(r->sock, r->until);
    ss_loop_drop(loop, r->until);
    if (r->call && r->call->drop)
        r->call->drop(L, r->kept, r->op);
}

static void finish_run(lua_State *L, const struct run *r)
{
    struct lss_tasks *tasks = r->tasks;
    if (r->in_finalizer && --tasks->finalizer_runs == 0 && tasks->closing && !tasks->closed)
        lss_free_loop(L, tasks);
}

/* The error is on top of the stack, unless run_protected has been closed. */
static void fail_run(lua_State *L, struct run *r, bool closed)
{
    if (closed)
        lss_finish_ending(r->tasks); /* of a task that was ending, if any */
    abort_run(L, r);
    finish_run(L, r);
    if (closed)
        luaL_error(L, "a finalizer or socket.onerror has closed the coroutine that runs the tasks");
    lua_error(L);
}

/* Running */

/* Pushes what run_loop needs. From here to the end of the run nothing else may raise: a waiter may be on the C stack. */
static void prepare_run(lua_State *L, struct run *r)
{
    lss_check_room(L, 2 * LUA_MINSTACK);
    if (!lss_can_resume(L)) {
        if (r->op)
            lss_drop_op(L, r->op, r->call);
        lss_raise_cannot_wait(L);
    }
    r->L = L;
    r->hook = lua_gethook(L);
    r->in_finalizer = lss_may_be_finalizer(L);
    lua_getfield(L, LUA_REGISTRYINDEX, RUN_PROTECTED);
    lua_pushlightuserdata(L, r); /* LuaJIT may allocate for that */
    lss_push_isolate(L);
}

/* A hook may raise as run_protected returns (an interrupt of the program is such a hook), so `returned` alone does not mean
 * success. */
static void run_in_isolate(lua_State *L, struct run *r)
{
    r->returned = false;
    do {
        bool called = lss_call_isolated(L);
        if (called && r->returned)
            break;
        if (called || !fail_unfinished_task(L, r))
            fail_run(L, r, called);
    } while (!is_last_turn(r));
}

/* The main program's call is stepped where no hook can raise before its results are there: an error would lose what the step has
 * taken. */
static void step_call_of_main(const struct run *r)
{
    if (r->until && r->until->is_ready)
        ss_loop_step(&r->tasks->loop, r->until);
}

/* Pops what prepare_run has pushed. */
static void run_loop(lua_State *L, struct run *r)
{
    r->tasks->finalizer_runs += r->in_finalizer;
    do {
        run_in_isolate(L, r);
        step_call_of_main(r);
    } while (!r->interrupted && !is_last_turn(r));
    finish_run(L, r);
    lua_pop(L, PUSHED);
}

void lss_run_turn(lua_State *L, struct lss_tasks *tasks, int64_t timeout_ns)
{
    struct run r = { .tasks = tasks, .timeout_ns = timeout_ns, .once = true };
    prepare_run(L, &r);
    run_loop(L, &r);
    if (r.interrupted)
        lss_run_hook(L);
}

/* Runs all tasks, until a deadline if there is one (not 0), which is a timer of the loop. */
static enum ss_status run_all_until(lua_State *L, struct run *r, int64_t deadline_ns)
{
    struct ss_op nothing = { .step = NULL };
    struct ss_waiter w;
    if (deadline_ns == 0) {
        run_loop(L, r);
        return SS_OK;
    }
    ss_waiter_init(&w, false);
    r->until = &w;
    ss_loop_wait(&r->tasks->loop, &w, &nothing, deadline_ns);
    run_loop(L, r);
    enum ss_status st = lss_foreground(r->tasks) > 0 ? w.status : SS_OK;
    ss_loop_drop(&r->tasks->loop, &w);
    return st;
}

enum ss_status lss_run_all(lua_State *L, struct lss_tasks *tasks)
{
    int64_t deadline_ns = 0;
    bool interrupted = true;
    lss_limit_timeout(L, tasks->loop.env, -1, &deadline_ns);
    while (interrupted && lss_foreground(tasks) > 0) {
        struct run r = { .tasks = tasks, .timeout_ns = -1 };
        prepare_run(L, &r);
        enum ss_status st = run_all_until(L, &r, deadline_ns);
        interrupted = r.interrupted;
        if (interrupted)
            lss_run_hook(L);
        else if (st != SS_OK)
            return st;
    }
    return SS_OK;
}

enum ss_status lss_wait_in_main(lua_State *L, struct lss_tasks *tasks, struct ss_sock *s, const struct lss_call *call,
                                struct ss_op *op, int64_t deadline_ns)
{
    struct ss_waiter w;
    struct run r = { .tasks = tasks, .until = &w, .sock = s, .op = op, .call = call, .timeout_ns = -1 };
    r.kept = lua_gettop(L);
    prepare_run(L, &r);
    ss_waiter_init(&w, false);
    w.owner_steps = true;
    lss_set_waiters(s, call, &w);
    lss_start_waiter(&tasks->loop, &w, op, deadline_ns);
    if (call->start)
        call->start(op, &w);
    if (w.status == SS_WANT)
        run_loop(L, &r);
    else
        lua_pop(L, PUSHED);
    enum ss_status st = w.status;
    lss_clear_waiter(s, &w);
    ss_loop_drop(&tasks->loop, &w);
    if (st == SS_WANT && call->stop)
        call->stop(op);
    return st;
}
