/* Running tasks. When the operation that a task has waited for has ended, its results are made here and the coroutine is
 * resumed with them. No continuation is needed, and so it is the same in every Lua. */
#include "lua/lua_task.h"
#include "lua/lua_yield.h"
#include "os/os_clock.h"

/* Registry */
#define TASKS LSS_PREFIX "tasks" /* the struct lss_tasks */
#define HANDLES \
    LSS_PREFIX "handles" /* tables of what has not ended, by anchor; anchors not in use are a list: each has */
#define COROUTINES LSS_PREFIX "coroutines" /* the number of the next in HANDLES, the last 0 */
#define MAKE_TABLE LSS_PREFIX "make_table"
#define KEEP_OUTCOME LSS_PREFIX "keep_outcome"
#define EXPLAIN LSS_PREFIX "explain"
#define CLOSE_VARIABLES LSS_PREFIX "close_variables"
#define CLOSE_LOST LSS_PREFIX "close_lost"
#define RUN_PROTECTED LSS_PREFIX "run_protected"
#define DESCEND LSS_PREFIX "descend"

/* Holding a socket: one call of each direction may wait on it. */

static void set_waiters(struct ss_sock *s, const struct lss_call *call, struct ss_waiter *w)
{
    for (unsigned i = 0; s && call && i < 2; i++)
        if (call->directions & (1u << i))
            s->waiters[i] = w;
}

static void clear_waiter(struct ss_sock *s, const struct ss_waiter *w)
{
    for (unsigned i = 0; s && i < 2; i++)
        if (s->waiters[i] == w)
            s->waiters[i] = NULL;
}

/* A socket that was closed has let go itself, and may be gone. */
static void detach_socket(struct lss_task *t)
{
    if (t->waiter.status != SS_CLOSED)
        clear_waiter(t->sock, &t->waiter);
    t->sock = NULL;
}

/* The state's tasks */

/* What the call holds that a task waits in and that will not be finished. */
static void drop_call(lua_State *L, struct lss_task *t)
{
    if (t->call && t->call->drop && (t->call->size > 0 || lss_is_suspended(&t->waiter)))
        t->call->drop(L, 0, t->waiter.op);
    t->call = NULL;
}

void lss_free_call(lua_State *L, struct lss_task *t)
{
    detach_socket(t);
    ss_loop_drop(&t->tasks->loop, &t->waiter);
    drop_call(L, t);
    ss_mem_free(&t->tasks->mem, t->memory, t->room);
    t->memory = NULL;
    t->room = 0;
}

/* Handles that are made while the state is being closed have no finalizer in Lua 5.4. */
static void free_all_calls(lua_State *L, struct lss_tasks *tasks)
{
    lua_getfield(L, LUA_REGISTRYINDEX, HANDLES);
    for (int i = 1; i <= tasks->room; i++) {
        lua_rawgeti(L, -1, i);
        if (lua_isuserdata(L, -1))
            lss_free_call(L, lua_touserdata(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void end_loop(lua_State *L, struct lss_tasks *tasks)
{
    tasks->closed = true;
    free_all_calls(L, tasks);
    ss_loop_fini(&tasks->loop);
}

/* A finalizer may run tasks while the state is being closed, and the collector may come here in one of them. */
void lss_end_tasks(lua_State *L, struct ss_loop *loop)
{
    struct lss_tasks *tasks = (struct lss_tasks *)loop;
    if (tasks->closing)
        return;
    tasks->closing = true;
    if (tasks->rounds == 0)
        end_loop(L, tasks);
    lss_report_last(L, tasks);
}

static int tasks_gc(lua_State *L)
{
    lss_end_tasks(L, lua_touserdata(L, 1));
    return 0;
}

static void set_gc(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, tasks_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

bool lss_is_suspended(const struct ss_waiter *w)
{
    struct lss_task *t = (struct lss_task *)w;
    int n = lua_gettop(t->co);
    if (!t->begun)
        return n == t->values + 1;
    return lua_status(t->co) == LUA_YIELD && n == t->under + t->values + 1 && lua_touserdata(t->co, -1) == lss_mark(t);
}

static int make_table(lua_State *L);
static int keep_outcome(lua_State *L);
static int explain(lua_State *L);
static int close_variables(lua_State *L);
static int close_lost(lua_State *L);
static int run_protected(lua_State *L);
static int descend(lua_State *L);

/* When the module is loaded, and under names: after an allocation has failed, Lua 5.1 may not find what a table has under
 * numbers. */
void lss_open_sched(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { MAKE_TABLE, make_table }, { KEEP_OUTCOME, keep_outcome },
        { EXPLAIN, explain },       { CLOSE_VARIABLES, close_variables },
        { CLOSE_LOST, close_lost }, { RUN_PROTECTED, run_protected },
        { DESCEND, descend },       { NULL, NULL },
    };
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, LUA_REGISTRYINDEX, f->name);
    }
    lua_newtable(L);
    lss_set_unless_there(L, HANDLES);
    lua_newtable(L);
    lss_set_unless_there(L, COROUTINES);
}

static struct lss_tasks *new_tasks(lua_State *L, struct ss_env *env)
{
    struct lss_tasks *tasks = lss_newuserdata(L, sizeof *tasks);
    *tasks = (struct lss_tasks){ .mem = env->pool.mem, .closing = true };
    set_gc(L);
    if (env->loop) { /* a finalizer has made them meanwhile */
        lua_pop(L, 1);
        return (struct lss_tasks *)env->loop;
    }
    lua_setfield(L, LUA_REGISTRYINDEX, TASKS);
    tasks->closing = false;
    ss_loop_init(&tasks->loop, env, lss_is_suspended);
    return tasks;
}

void lss_check_open(lua_State *L, const struct lss_tasks *tasks)
{
    if (tasks->closed)
        luaL_error(L, "the Lua state is being closed");
}

struct lss_tasks *lss_tasks(lua_State *L)
{
    struct ss_env *env = lss_live_env(L);
    struct lss_tasks *tasks = (struct lss_tasks *)env->loop;
    if (env->loop_has_ended || (tasks && tasks->closing))
        luaL_error(L, "the Lua state is being closed");
    return tasks ? tasks : new_tasks(L, env);
}

/* A task that has not ended is kept alive, and its coroutine, whether the program has its handle or not. Two tables for all of
 * them take less memory than a value of each. They never grow in place, which without memory could hide what is in them (Lua 5.1,
 * luaH_resize). */

static void push_larger(lua_State *L, const char *name, int n, int room)
{
    lua_createtable(L, room, 0);
    lua_getfield(L, LUA_REGISTRYINDEX, name);
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -3, i);
    }
    lua_pop(L, 1);
}

static void grow_anchors(lua_State *L, struct lss_tasks *tasks)
{
    int n = tasks->room, room = n == 0 ? 16 : 2 * n;
    push_larger(L, HANDLES, n, room);
    for (int i = n + 1; i <= room; i++) {
        lua_pushinteger(L, i < room ? i + 1 : 0);
        lua_rawseti(L, -2, i);
    }
    push_larger(L, COROUTINES, n, room);
    if (tasks->room != n) { /* a finalizer has begun a task */
        lua_pop(L, 2);
        return;
    }
    lua_setfield(L, LUA_REGISTRYINDEX, COROUTINES);
    lua_setfield(L, LUA_REGISTRYINDEX, HANDLES);
    tasks->free = n + 1;
    tasks->room = room;
}

static void set_at(lua_State *L, const char *table, int anchor)
{
    lua_getfield(L, LUA_REGISTRYINDEX, table);
    lua_insert(L, -2);
    lua_rawseti(L, -2, anchor);
    lua_pop(L, 1);
}

static void push_at(lua_State *L, const char *table, int anchor)
{
    lua_getfield(L, LUA_REGISTRYINDEX, table);
    lua_rawgeti(L, -1, anchor);
    lua_remove(L, -2);
}

/* The handle and the coroutine are on top of the stack, and are popped. */
static void anchor_task(lua_State *L, struct lss_task *t)
{
    struct lss_tasks *tasks = t->tasks;
    while (tasks->free == 0)
        grow_anchors(L, tasks);
    t->anchor = tasks->free;
    push_at(L, HANDLES, t->anchor);
    tasks->free = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    set_at(L, COROUTINES, t->anchor);
    set_at(L, HANDLES, t->anchor);
}

static void release_anchor(lua_State *L, const struct lss_task *t)
{
    lua_pushinteger(L, t->tasks->free);
    set_at(L, HANDLES, t->anchor);
    lua_pushboolean(L, 0);
    set_at(L, COROUTINES, t->anchor);
    t->tasks->free = t->anchor;
}

/* The handle, and above it the coroutine: what ends is not kept alive any more, and must not be collected meanwhile. */
static void push_both(lua_State *L, const struct lss_task *t)
{
    push_at(L, HANDLES, t->anchor);
    push_at(L, COROUTINES, t->anchor);
}

/* Waiting */

static void start_waiter(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns)
{
    ss_loop_wait(loop, w, op, deadline_ns);
    if (!lss_is_parked(op) || w->status != SS_WANT)
        return;
    struct ss_queue *queue = ((struct lss_parked *)op)->queue;
    if (queue)
        ss_queue_add(queue, w);
}

/* From here on the loop knows of it. */
static void start_wait(struct lss_task *t)
{
    struct ss_loop *loop = &t->tasks->loop;
    t->state = LSS_WAITING;
    set_waiters(t->sock, t->call, &t->waiter);
    if (t->for_turn)
        ss_loop_wait_turn(loop, &t->waiter, t->waiter.op, t->waiter.op->deadline_ns);
    else
        start_waiter(loop, &t->waiter, t->waiter.op, t->waiter.op->deadline_ns);
}

/* Before it begins, and after coroutine.yield: the others' turn. */
static void wait_for_turn(struct lss_task *t, int values)
{
    t->call = NULL;
    t->sock = NULL;
    t->for_turn = true;
    t->waiter.op = &t->tasks->nothing;
    t->waiter.op->deadline_ns = SS_NEVER;
    t->values = values;
    t->under = 0;
    start_wait(t);
    t->state = LSS_READY;
}

void lss_begin(lua_State *L, struct lss_task *t, int values)
{
    lua_pushlightuserdata(L, lss_mark(t)); /* LuaJIT may allocate for that; it must not where the coroutine yields */
    lua_pop(L, 1);
    anchor_task(L, t);
    t->tasks->alive++;
    wait_for_turn(t, values);
}

/* Ending. What runs meanwhile (finalizers, <close> variables) runs as a part of the task, and can't wait. */

/* The handle, first argument, keeps a table for as many values as the second says, and one more. */
static int make_table(lua_State *L)
{
    lua_createtable(L, (int)lua_tointeger(L, 2) + 1, 0);
    lss_keep(L, 1);
    return 0;
}

/* Takes several tries where a finalizer raises (Lua 5.3 and older), each with memory that is free then. */
static bool has_table(lua_State *L, int n)
{
    enum { TRIES = 3 };
    for (int i = 0; i < TRIES; i++) {
        lua_getfield(L, LUA_REGISTRYINDEX, MAKE_TABLE);
        lua_pushvalue(L, 1);
        lua_pushinteger(L, n);
        if (lua_pcall(L, 2, 0, 0) == 0)
            return true;
        lua_pop(L, 1);
    }
    return false;
}

/* The handle, first argument, keeps a table of the results, or of the error and its traceback. They are on the stack of the
 * coroutine, and leave it before a finalizer can run: a coroutine that has ended with values on its stack can be resumed. An error
 * may also be the third argument. */
static int keep_outcome(lua_State *L)
{
    enum { BEFORE = 2 };
    struct lss_task *t = lua_touserdata(L, 1);
    int n = t->values;
    lss_check_room(L, n + LUA_MINSTACK);
    if (lua_gettop(L) == BEFORE)
        lua_xmove(t->co, L, n);
    if (!has_table(L, n))
        return luaL_error(L, "not enough memory");
    lss_push_kept(L, 1);
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, BEFORE + i);
        lua_rawseti(L, -2, i);
    }
    t->kept = true; /* Lua 5.1 may run a finalizer that raises when this returns */
    return 0;
}

/* What its __tostring says, as lua(1) does; nothing if that fails. */
static bool push_own_text(lua_State *L, int error)
{
    if (!luaL_getmetafield(L, error, "__tostring"))
        return false;
    lua_pushvalue(L, error);
    if (lua_pcall(L, 1, 1, 0) == 0 && lua_type(L, -1) == LUA_TSTRING)
        return true;
    lua_pop(L, 1);
    return false;
}

/* The error at `error`, or its kind, as text. */
static const char *push_text_of(lua_State *L, int error)
{
    if (lua_type(L, error) == LUA_TSTRING || lua_type(L, error) == LUA_TNUMBER)
        lua_pushvalue(L, error);
    else if (!push_own_text(L, error))
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, error));
    return lua_tostring(L, -1);
}

/* The handle, first argument, keeps a table with the error of a task, to which its text with the traceback is added. */
static int explain(lua_State *L)
{
    enum { TABLE = 3, ERROR };
    struct lss_task *t = lua_touserdata(L, 1);
    lua_settop(L, 2);
    lss_push_kept(L, 1);
    lua_rawgeti(L, TABLE, 1);
    lss_traceback(L, t->co, push_text_of(L, ERROR));
    lua_rawseti(L, TABLE, 2);
    t->values = 2;
    return 0;
}

/* An error of a variable that is closed takes the place of the task's own, as in Lua. */
static void replace_error(lua_State *L, struct lss_task *t, int table, int error)
{
    const char *text = push_text_of(L, error);
    lua_rawgeti(L, table, 2);
    const char *before = lua_tostring(L, -1);
    lua_pushfstring(L, "%s\nwhile variables were closed after: %s", text, before ? before : "an error");
    lua_rawseti(L, table, 2);
    lua_pushvalue(L, error);
    lua_rawseti(L, table, 1);
    t->values = 2;
}

/* A coroutine that has failed has the error on its stack again. */
static int close_variables(lua_State *L)
{
    enum { TABLE = 3, ERROR, NEW };
    struct lss_task *t = lua_touserdata(L, 1);
    lua_settop(L, 2);
    lss_push_kept(L, 1);
    lua_rawgeti(L, TABLE, 1);
    if (lua_status(t->co) > LUA_YIELD) {
        lua_pushvalue(L, ERROR);
        lua_xmove(L, t->co, 1);
    }
    if (lss_close_variables(L, t->co) && !lua_rawequal(L, ERROR, NEW))
        replace_error(L, t, TABLE, NEW);
    return 0;
}

/* The same where nobody asks for the error. */
static int close_lost(lua_State *L)
{
    const struct lss_task *t = lua_touserdata(L, 1);
    lss_close_variables(L, t->co);
    return 0;
}

/* Calls a function of the registry with the handle and the coroutine, which are on top of the stack, and the value at `third`, if
 * that is not 0. */
static bool call_with_both(lua_State *L, const char *name, int third)
{
    lua_getfield(L, LUA_REGISTRYINDEX, name);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    if (third)
        lua_pushvalue(L, third);
    if (lua_pcall(L, third ? 3 : 2, 0, 0) == 0)
        return true;
    lua_pop(L, 1);
    return false;
}

/* Nothing of its outcome remains but that there was no memory for it. */
static void drop_outcome(struct lss_task *t)
{
    t->state = LSS_FAILED;
    t->values = 0;
}

/* Those who wait for it get what became of it, and have not seen it before that: an error may keep it from them. Its handle may
 * have no finalizer that frees the memory of its calls: one that is made while the state is being closed. */
static void announce_end(lua_State *L, struct lss_task *t)
{
    struct lss_tasks *tasks = t->tasks;
    struct ss_waiter *joiner;
    tasks->alive--;
    lss_free_call(L, t); /* its finalizer may fail for want of memory */
    while ((joiner = ss_queue_first(&t->joiners)) != NULL)
        ss_loop_end(&tasks->loop, joiner, SS_OK);
    release_anchor(L, t);
    if (t->state != LSS_FAILED || t->cancelled)
        return;
    tasks->unseen++;
    if (tasks->fresh++ == 0)
        tasks->turns = 0;
}

static void start_ending(struct lss_task *t)
{
    t->tasks->runs = t;
    t->tasks->ending = true;
}

static void finish_ending(struct lss_tasks *tasks)
{
    tasks->runs = NULL;
    tasks->ending = false;
}

/* `error` is where on the stack the error is if it is not on the coroutine's, or 0. */
static void end_task(lua_State *L, struct lss_task *t, enum lss_state state, int values, int error)
{
    push_both(L, t);
    start_ending(t);
    t->values = values;
    t->kept = values == 0;
    if (!t->kept)
        call_with_both(L, KEEP_OUTCOME, error);
    if (t->kept && state == LSS_FAILED)
        call_with_both(L, EXPLAIN, 0);
    if (LSS_CLOSES && state == LSS_FAILED)
        call_with_both(L, t->kept ? CLOSE_VARIABLES : CLOSE_LOST, 0);
    finish_ending(t->tasks);
    t->state = (uint8_t)state;
    if (!t->kept)
        drop_outcome(t);
    announce_end(L, t);
    lua_pop(L, 2);
}

static bool is_suspended_call(struct lss_task *t, int results)
{
    bool ours = t->call && results > t->call->keep && lua_islightuserdata(t->co, -1) &&
                lua_touserdata(t->co, -1) == lss_mark(t) && lss_running_function(t->co) == t->function;
    t->values = ours ? t->call->keep : 0;
    t->under = ours ? (uint16_t)(results - 1 - t->values) : 0;
    return ours;
}

/* With `n` values on top of its stack. */
static void resume(lua_State *L, struct lss_task *t, int n)
{
    struct lss_tasks *tasks = t->tasks;
    int results;
    t->begun = true;
    t->for_turn = false;
    t->retried = false;
    t->state = LSS_READY;
    t->call = NULL;
    tasks->runs = t;
    tasks->calls = 0;
    int status = lss_resume(t->co, L, n, &results);
    tasks->runs = NULL;
    if (LUA_VERSION_NUM >= 503)
        lua_checkstack(L, 3 * LUA_MINSTACK); /* a call that needs a larger stack would let the collector run first */
    if (status == LUA_YIELD && is_suspended_call(t, results)) {
        start_wait(t);
        return;
    }
    t->call = NULL; /* of a call that could not be suspended */
    t->sock = NULL;
    if (status == LUA_YIELD) {
        lua_pop(t->co, results);
        lua_pushlightuserdata(t->co, lss_mark(t));
        wait_for_turn(t, 0);
    } else if (status == LUA_OK) {
        end_task(L, t, LSS_DONE, results, 0);
    } else {
        end_task(L, t, LSS_FAILED, 1, 0);
    }
}

/* Going on */

/* A task that is to end does not wait any more: its time is always over. */
static enum ss_status status_of(const struct lss_task *t)
{
    bool has_no_time = t->for_turn && t->has_no_time;
    return t->cancelled && t->waiter.status == SS_TIMEOUT && !has_no_time ? SS_CANCELLED : t->waiter.status;
}

enum { LOST = -3 };

/* Copies what the call used onto our stack: it is in use until its results are made, whatever becomes of the coroutine. */
static void push_used(lua_State *L, const struct lss_task *t)
{
    int used = t->values + (t->call->many_results ? 0 : t->under);
    lss_check_room(L, used + LUA_MINSTACK);
    for (int i = used; i > 0; i--) {
        lua_pushvalue(t->co, -i - 1);
        lua_xmove(t->co, L, 1);
    }
}

/* Puts `n` results in the place of all that the call used on the coroutine's stack. Their number; without room for them, that of
 * what says so. */
static int move_results(lua_State *L, struct lss_task *t, int n)
{
    int room = t->call->many_results ? n - LSS_RESERVE : n;
    if (room > 0 && !lss_has_room(t->co, room)) {
        if (LSS_RESERVE == 0)
            luaL_error(L, "not enough memory");
        lua_pushnil(L);
        lua_pushfstring(L, "more than %d results for a task that has waited in task:wait; call that again to get them",
                        LSS_RESERVE + LSS_ALWAYS_THERE - 1);
        n = 2;
    }
    lua_pop(t->co, t->under + t->values + 1);
    lua_xmove(L, t->co, n);
    return n;
}

/* Turns what a task has waited for into results, on top of its stack; their number. What is kept stays where it is until that
 * has succeeded. LOST: a finalizer has closed or resumed the coroutine meanwhile. */
static int finish_call(lua_State *L, struct lss_task *t)
{
    int top = lua_gettop(L);
    push_used(L, t);
    int n = t->call->finish(L, t->waiter.op, status_of(t));
    if (n == LSS_RETRY) /* nobody else reads from what it holds: a finalizer has closed that and opened it again */
        n = t->call->finish(L, t->waiter.op, SS_CLOSED);
    if (lss_is_suspended(&t->waiter)) {
        n = move_results(L, t, n);
        detach_socket(t);
    } else {
        n = LOST;
    }
    lua_settop(L, top);
    return n;
}

/* Its coroutine is not where it was left. Nothing is known of it any more; when it has failed elsewhere, nobody else closes its
 * variables. */
static void fail_lost_task(lua_State *L, struct lss_task *t)
{
    push_both(L, t);
    detach_socket(t);
    drop_call(L, t);
    if (LSS_CLOSES && lua_status(t->co) > LUA_YIELD) {
        start_ending(t);
        call_with_both(L, CLOSE_LOST, 0);
        finish_ending(t->tasks);
    }
    drop_outcome(t);
    t->lost = true;
    announce_end(L, t);
    lua_pop(L, 2);
}

/* A task whose wait has ended goes on. Should memory fail before it is resumed, that is tried again at the next turn. */
static void continue_task(lua_State *L, struct lss_task *t)
{
    int n = 0;
    if (!lss_is_suspended(&t->waiter)) {
        fail_lost_task(L, t);
        return;
    }
    if (t->call)
        n = finish_call(L, t);
    else if (!t->begun)
        n = t->values;
    else
        lua_pop(t->co, 1);
    if (n == LOST) {
        fail_lost_task(L, t);
    } else {
        resume(L, t, n);
    }
}

/* Running */

enum { PUSHED = 3 }; /* by prepare_round */

struct round {
    struct lss_tasks *tasks;
    struct ss_waiter *until; /* ends with this one; NULL: with the last task */
    struct ss_sock *sock;    /* that it holds */
    struct ss_op *op;        /* its call */
    const struct lss_call *call;
    int kept; /* stack index of the last value that this keeps */
    int64_t timeout_ns;
    bool once;
    bool returned;         /* run_protected has come to its end */
    bool delays_end;       /* the Lua state may be ended in it, and it goes on then: a finalizer has begun it */
    struct ss_waiter *now; /* the one in hand */
};

/* Nothing is left to wait for; socket.onerror may have run the tasks as well. */
static bool is_reached(const struct round *r)
{
    return r->until ? r->until->status != SS_WANT : r->tasks->alive == 0;
}

static bool is_over(const struct round *r)
{
    return r->once || is_reached(r);
}

static void run_finished(lua_State *L, struct round *r)
{
    while ((r->now = ss_loop_take(&r->tasks->loop)) != NULL)
        if (r->now->of_task)
            continue_task(L, (struct lss_task *)r->now);
    r->now = NULL;
}

static void check_progress(lua_State *L, struct round *r)
{
    if (r->timeout_ns < 0 && !is_reached(r) && ss_loop_is_stuck(&r->tasks->loop))
        lss_fail_deadlock(L, r->tasks);
}

/* Collects the handles of failed tasks that nobody has, so that their failures are told before the loop sleeps. It does so once
 * for all that have failed meanwhile, and spends a small part of the time with it. */
static void collect_handles(lua_State *L, struct lss_tasks *tasks)
{
    enum { SHARE = 20 };
    int64_t begin_ns = os_now_ns();
    tasks->fresh = 0;
    lua_gc(L, LUA_GCCOLLECT, 0);
    int64_t end_ns = os_now_ns();
    tasks->collect_ns = end_ns + SHARE * (end_ns - begin_ns);
    lss_report(L, tasks);
}

/* How long the turn that comes may wait, once that is done. */
static int64_t look_for_failures(lua_State *L, struct round *r)
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
    collect_handles(L, tasks);
    return is_over(r) ? 0 : r->timeout_ns;
}

int64_t lss_next_ns(lua_State *L, struct lss_tasks *tasks)
{
    int64_t next_ns = ss_loop_next_ns(&tasks->loop);
    bool looks = tasks->fresh > 0 && tasks->unseen > 0 && !lss_gc_is_stopped(L);
    return looks && tasks->collect_ns < next_ns ? tasks->collect_ns : next_ns;
}

/* Calls itself as often as its argument says. */
static int descend(lua_State *L)
{
    int n = (int)lua_tointeger(L, 1);
    if (n > 0) {
        lua_getfield(L, LUA_REGISTRYINDEX, DESCEND);
        lua_pushinteger(L, n - 1);
        lua_call(L, 1, 0);
    }
    return 0;
}

/* Raises where C functions are nested almost as deeply as Lua allows: a task that ends needs some more. */
static void check_depth(lua_State *L)
{
    enum { LEVELS = 10 };
    lua_getfield(L, LUA_REGISTRYINDEX, DESCEND);
    lua_pushinteger(L, LEVELS);
    lua_call(L, 1, 0);
}

static int run_protected(lua_State *L)
{
    struct round *r = lua_touserdata(L, 1);
    struct ss_error err;
    check_depth(L);
    do {
        lss_report(L, r->tasks); /* not behind the turn: an error must not take away what has been waited for */
        int64_t timeout_ns = look_for_failures(L, r);
        check_progress(L, r);
        if (ss_loop_turn(&r->tasks->loop, is_reached(r) ? 0 : timeout_ns, &err) != SS_OK) {
            lss_push_failure(L, 0, SS_ERROR, &err);
            return lua_error(L);
        }
        run_finished(L, r);
    } while (!is_over(r));
    if (!r->until)
        lss_report(L, r->tasks);
    r->returned = true;
    return 0;
}

/* The task whose results could not be made, or NULL. */
static struct lss_task *retried(const struct round *r)
{
    struct lss_task *t = r->now && r->now->of_task ? (struct lss_task *)r->now : NULL;
    return t && r->now->status != SS_WANT && t->state < LSS_DONE ? t : NULL;
}

/* What keeps a task from going on a second time, be it a string that is too long for Lua, will not be over soon: the task ends
 * with the error, which is on top of the stack and is popped. */
static bool give_up(lua_State *L, struct round *r)
{
    struct lss_task *t = retried(r);
    if (!t || !t->retried)
        return false;
    r->now = NULL;
    detach_socket(t);
    drop_call(L, t);
    end_task(L, t, LSS_FAILED, 1, lua_gettop(L));
    lua_pop(L, 1);
    return true;
}

/* After an error, of memory or of socket.onerror: the one in hand is not forgotten, unless it is that which failed. */
static void clean_up(lua_State *L, struct round *r)
{
    struct ss_loop *loop = &r->tasks->loop;
    struct lss_task *t = retried(r);
    if (t) {
        t->retried = true;
        ss_loop_untake(loop, r->now);
    }
    if (!r->until)
        return;
    clear_waiter(r->sock, r->until);
    ss_loop_drop(loop, r->until);
    if (r->call->drop)
        r->call->drop(L, r->kept, r->op);
}

/* Pushes what run_round needs. From here on to its end nothing else may raise: a waiter may stand on the C stack. */
static void prepare_round(lua_State *L, struct round *r)
{
    lss_check_room(L, 2 * LUA_MINSTACK);
    if (!lss_can_run(L))
        lss_cannot_wait(L);
    r->delays_end = lss_may_be_finalizer(L);
    lua_getfield(L, LUA_REGISTRYINDEX, RUN_PROTECTED);
    lua_pushlightuserdata(L, r); /* LuaJIT may allocate for that */
    lss_push_shelter(L);
}

static void end_round(lua_State *L, const struct round *r)
{
    struct lss_tasks *tasks = r->tasks;
    if (r->delays_end && --tasks->rounds == 0 && tasks->closing && !tasks->closed)
        end_loop(L, tasks);
}

/* The error is on top of the stack, unless it has been closed. */
static void fail_round(lua_State *L, struct round *r, bool closed)
{
    if (closed)
        finish_ending(r->tasks); /* of the task whose end was under way perhaps */
    clean_up(L, r);
    end_round(L, r);
    if (closed)
        luaL_error(L, "a finalizer or socket.onerror has closed the coroutine that runs the tasks");
    lua_error(L);
}

/* Pops what prepare_round has pushed. A hook may raise as run_protected returns: what interrupts a program is such a hook. */
static void run_round(lua_State *L, struct round *r)
{
    r->tasks->rounds += r->delays_end;
    do {
        bool called = lss_call_sheltered(L);
        if (called && r->returned)
            break;
        if (called || !give_up(L, r))
            fail_round(L, r, called);
    } while (!is_over(r));
    end_round(L, r);
    lua_pop(L, PUSHED);
}

void lss_run_turn(lua_State *L, struct lss_tasks *tasks, int64_t timeout_ns)
{
    struct round r = { .tasks = tasks, .timeout_ns = timeout_ns, .once = true };
    prepare_round(L, &r);
    run_round(L, &r);
}

void lss_run_all(lua_State *L, struct lss_tasks *tasks)
{
    struct round r = { .tasks = tasks, .timeout_ns = -1 };
    if (tasks->alive == 0)
        return;
    prepare_round(L, &r);
    run_round(L, &r);
}

enum ss_status lss_wait_in_main(lua_State *L, struct lss_tasks *tasks, struct ss_sock *s, const struct lss_call *call,
                                struct ss_op *op, int64_t deadline_ns)
{
    struct ss_waiter w;
    struct round r = { .tasks = tasks, .until = &w, .sock = s, .op = op, .call = call, .timeout_ns = -1 };
    r.kept = lua_gettop(L);
    prepare_round(L, &r);
    ss_waiter_init(&w, false);
    set_waiters(s, call, &w);
    start_waiter(&tasks->loop, &w, op, deadline_ns);
    if (w.status == SS_WANT)
        run_round(L, &r);
    else
        lua_pop(L, PUSHED);
    enum ss_status st = w.status;
    clear_waiter(s, &w);
    ss_loop_drop(&tasks->loop, &w);
    return st;
}
