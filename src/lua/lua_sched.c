/* Running tasks. When the operation that a task has waited for has ended, its results are made here and the coroutine is
 * resumed with them. No continuation is needed, and so it is the same in every Lua. */
#include "lua/lua_task.h"
#include "lua/lua_yield.h"

#define TASKS LSS_PREFIX "tasks" /* registry: the struct lss_tasks */

/* The state's tasks */

static int tasks_gc(lua_State *L)
{
    struct lss_tasks *tasks = lua_touserdata(L, 1);
    if (tasks->closed)
        return 0;
    struct ss_env *env = tasks->loop.env;
    tasks->closed = true;
    ss_loop_fini(&tasks->loop);
    ss_env_end(env); /* no finalizer begins anew */
    return 0;
}

static void set_gc(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, tasks_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

/* A program may resume or close a task's coroutine itself; what the operation needs is gone then. */
static bool is_there(const struct ss_waiter *w)
{
    const struct lss_task *t = (const struct lss_task *)w;
    return !t->begun || (lua_status(t->co) == LUA_YIELD && lua_touserdata(t->co, -1) == t);
}

static int keep_outcome(lua_State *L);
static int run_protected(lua_State *L);

static struct lss_tasks *new_tasks(lua_State *L, struct ss_env *env)
{
    struct ss_error err;
    struct lss_tasks *tasks = lss_newuserdata(L, sizeof *tasks);
    *tasks = (struct lss_tasks){ .mem = env->pool.mem, .closed = true };
    set_gc(L);
    lua_setfield(L, LUA_REGISTRYINDEX, TASKS);
    lua_newtable(L);
    tasks->coroutines = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    tasks->handles = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushcfunction(L, keep_outcome);
    tasks->keep_outcome = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushcfunction(L, run_protected);
    tasks->run_protected = luaL_ref(L, LUA_REGISTRYINDEX);
    tasks->closed = false;
    if (ss_loop_init(&tasks->loop, env, is_there, &err) == SS_OK)
        return tasks;
    ss_loop_fini(&tasks->loop);
    tasks->closed = true;
    lss_push_failure(L, 0, SS_ERROR, &err);
    lua_error(L);
    return NULL;
}

struct lss_tasks *lss_tasks(lua_State *L)
{
    struct ss_env *env = lss_env(L);
    if (env->has_ended)
        luaL_error(L, "the Lua state is being closed");
    return env->loop ? (struct lss_tasks *)env->loop : new_tasks(L, env);
}

/* A task that has not ended is kept alive, and its coroutine, whether the program has its handle or not. Two tables for all of
 * them take less memory than a value of each. */

static void keep_alive(lua_State *L, struct lss_task *t)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->tasks->coroutines);
    lua_insert(L, -2);
    t->anchor = luaL_ref(L, -2);
    lua_pop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->tasks->handles);
    lua_insert(L, -2);
    lua_rawseti(L, -2, t->anchor);
    lua_pop(L, 1);
}

static void let_die(lua_State *L, const struct lss_task *t)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->tasks->handles);
    lua_pushnil(L);
    lua_rawseti(L, -2, t->anchor);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->tasks->coroutines);
    luaL_unref(L, -1, t->anchor);
    lua_pop(L, 2);
}

/* The handle, and above it the coroutine: what ends is not kept alive any more, and must not be collected meanwhile. */
static void push_both(lua_State *L, const struct lss_task *t)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->tasks->handles);
    lua_rawgeti(L, -1, t->anchor);
    lua_replace(L, -2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->tasks->coroutines);
    lua_rawgeti(L, -1, t->anchor);
    lua_replace(L, -2);
}

/* Holding a socket: one call of each direction may wait on it. */

static void hold(struct ss_sock *s, unsigned holds, struct ss_waiter *w)
{
    for (unsigned i = 0; s && i < 2; i++)
        if (holds & (1u << i))
            s->holders[i] = w;
}

static void release(struct ss_sock *s, const struct ss_waiter *w)
{
    for (unsigned i = 0; s && i < 2; i++)
        if (s->holders[i] == w)
            s->holders[i] = NULL;
}

/* A socket that was closed has let go itself, and may be gone. */
static void let_go(struct lss_task *t)
{
    if (t->waiter.status != SS_CLOSED)
        release(t->sock, &t->waiter);
}

/* Waiting */

static void wait_for(struct ss_loop *loop, struct ss_waiter *w, struct ss_op *op, int64_t deadline_ns)
{
    ss_loop_wait(loop, w, op, deadline_ns);
    if (!lss_stands(op) || w->status != SS_WANT)
        return;
    struct ss_line *line = ((struct lss_standing *)op)->line;
    if (line)
        ss_line_add(line, w);
}

/* From here on the loop knows of it. */
static void begin_to_wait(struct lss_task *t)
{
    struct ss_loop *loop = &t->tasks->loop;
    t->state = LSS_WAITING;
    hold(t->sock, t->way ? t->way->holds : 0, &t->waiter);
    if (t->for_turn)
        ss_loop_wait_turn(loop, &t->waiter, t->waiter.op, t->waiter.op->deadline_ns);
    else
        wait_for(loop, &t->waiter, t->waiter.op, t->waiter.op->deadline_ns);
}

/* Before it begins, and after coroutine.yield: the others' turn. */
static void begin_turn(struct lss_task *t, int values)
{
    t->way = NULL;
    t->sock = NULL;
    t->for_turn = true;
    t->waiter.op = &t->tasks->nothing;
    t->waiter.op->deadline_ns = SS_NEVER;
    t->values = values;
    begin_to_wait(t);
    t->state = LSS_READY;
}

void lss_begin(lua_State *L, struct lss_task *t, int values)
{
    keep_alive(L, t);
    t->tasks->alive++;
    begin_turn(t, values);
}

/* Going on */

/* Replaces the error on top of L by its message with the traceback of `co`. */
static void add_traceback(lua_State *L, lua_State *co)
{
    const char *message = lua_tostring(L, -1);
    if (!message) {
        message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, -1));
        lua_remove(L, -2);
    }
    lss_traceback(L, co, message);
    lua_remove(L, -2);
}

/* The handle, first argument, keeps a table of the results, or of the error and its traceback. All of that may lack memory.
 * The second is the coroutine. Values are on its stack, but for an error that is the third; nothing is pushed there, since it
 * may be full. */
static int keep_outcome(lua_State *L)
{
    enum { TABLE = 3 };
    struct lss_task *t = lua_touserdata(L, 1);
    int n = t->values;
    lss_check_room(L, L, n + LUA_MINSTACK);
    lua_createtable(L, n + 1, 0);
    lua_insert(L, TABLE);
    lua_xmove(t->co, L, n - (lua_gettop(L) - TABLE));
    for (int i = n; i > 0; i--)
        lua_rawseti(L, TABLE, i);
    if (t->state == LSS_FAILED) {
        lua_rawgeti(L, TABLE, 1);
        add_traceback(L, t->co);
        lua_rawseti(L, TABLE, 2);
        t->values = 2;
    }
    lss_keep(L, 1);
    return 0;
}

/* Nothing of its outcome remains but that there was no memory for it. */
static void lose_outcome(struct lss_task *t)
{
    t->state = LSS_FAILED;
    t->values = 0;
}

/* Those who wait for it get what became of it, and have not seen it before that: an error may keep it from them. */
static void end(lua_State *L, struct lss_task *t)
{
    struct ss_waiter *joiner;
    t->tasks->alive--;
    while ((joiner = ss_line_first(&t->joiners)) != NULL)
        ss_loop_end(&t->tasks->loop, joiner, SS_OK);
    let_die(L, t);
    if (t->state == LSS_FAILED && !t->cancelled)
        t->tasks->unseen++;
}

/* `error` is where on the stack the error is if it is not on the coroutine's, or 0. */
static void end_task(lua_State *L, struct lss_task *t, enum lss_state state, int values, int error)
{
    push_both(L, t);
    t->state = (uint8_t)state;
    t->values = values;
    if (values > 0) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, t->tasks->keep_outcome); /* a new function might run finalizers */
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -3);
        if (error)
            lua_pushvalue(L, error);
        if (lua_pcall(L, error ? 3 : 2, 0, 0) != 0) {
            lua_pop(L, 1);
            lose_outcome(t);
        }
    }
    end(L, t);
    lua_pop(L, 2);
}

static bool is_suspended_call(struct lss_task *t, int results)
{
    bool ours = results > 0 && lua_touserdata(t->co, -1) == t;
    t->values = ours ? t->way->keep : 0;
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
    t->stumbled = false;
    t->state = LSS_READY;
    tasks->runs = t;
    tasks->calls = 0;
    int status = lss_resume(t->co, L, n, &results);
    tasks->runs = NULL;
    if (status == LUA_YIELD && is_suspended_call(t, results)) {
        begin_to_wait(t);
    } else if (status == LUA_YIELD) {
        lua_pop(t->co, results);
        lua_pushlightuserdata(t->co, t);
        begin_turn(t, 0);
    } else if (status == LUA_OK) {
        end_task(L, t, LSS_DONE, results, 0);
    } else {
        end_task(L, t, LSS_FAILED, 1, 0);
    }
}

/* A task that is to end does not wait any more: its time is always over. */
static enum ss_status status_of(const struct lss_task *t)
{
    return t->cancelled && t->waiter.status == SS_TIMEOUT ? SS_CANCELLED : t->waiter.status;
}

enum { LOST = -3 };

/* Turns what a task has waited for into results, on top of its stack; their number. What is kept stays where it is until that
 * has succeeded. LOST: a finalizer has closed or resumed the coroutine meanwhile. All that the call used is on our stack as well:
 * it is in use until then. */
static int finish_call(lua_State *L, struct lss_task *t)
{
    int top = lua_gettop(L), used = t->under + t->values;
    lss_check_room(L, L, used + LUA_MINSTACK);
    lss_check_room(L, t->co, used);
    for (int i = 0; i < used; i++)
        lua_pushvalue(t->co, -used - 1);
    lua_xmove(t->co, L, used);
    int n = t->way->finish(L, t->waiter.op, status_of(t));
    if (n == LSS_AGAIN) /* nobody else reads from what it holds: a finalizer has closed that and opened it again */
        n = t->way->finish(L, t->waiter.op, SS_CLOSED);
    if (!is_there(&t->waiter)) {
        lua_settop(L, top);
        return LOST;
    }
    lss_check_room(L, t->co, n);
    lua_pop(t->co, t->values + 1);
    lua_xmove(L, t->co, n);
    let_go(t);
    lua_settop(L, top);
    return n;
}

/* Its coroutine is not where it was left. Nothing is known of it any more, and its stack is not touched. */
static void lose(lua_State *L, struct lss_task *t)
{
    push_both(L, t);
    let_go(t);
    lose_outcome(t);
    t->lost = true;
    end(L, t);
    lua_pop(L, 2);
}

/* A task whose wait has ended goes on. Should memory fail before it is resumed, that is tried again at the next turn. */
static void go_on(lua_State *L, struct lss_task *t)
{
    int n = 0;
    if (!is_there(&t->waiter)) {
        lose(L, t);
        return;
    }
    if (t->way)
        n = finish_call(L, t);
    else if (!t->begun)
        n = t->values;
    else
        lua_pop(t->co, 1);
    if (n == LOST) {
        lose(L, t);
    } else {
        resume(L, t, n);
    }
}

/* Running */

struct round {
    struct lss_tasks *tasks;
    struct ss_waiter *until; /* ends with this one; NULL: with the last task */
    struct ss_sock *sock;    /* that it holds */
    int64_t timeout_ns;
    bool once;
    struct ss_waiter *now; /* the one in hand */
};

static bool is_over(const struct round *r)
{
    return r->once || (r->until ? r->until->status != SS_WANT : r->tasks->alive == 0);
}

static void take_turns(lua_State *L, struct round *r)
{
    while ((r->now = ss_loop_take(&r->tasks->loop)) != NULL)
        if (r->now->of_task)
            go_on(L, (struct lss_task *)r->now);
    r->now = NULL;
    lss_report(L, r->tasks);
}

static void check_progress(lua_State *L, struct round *r)
{
    if (r->timeout_ns < 0 && ss_loop_is_stuck(&r->tasks->loop))
        lss_fail_deadlock(L, r->tasks);
}

static int run_protected(lua_State *L)
{
    struct round *r = lua_touserdata(L, 1);
    struct ss_error err;
    do {
        check_progress(L, r);
        if (ss_loop_turn(&r->tasks->loop, r->timeout_ns, &err) != SS_OK) {
            lss_push_failure(L, 0, SS_ERROR, &err);
            return lua_error(L);
        }
        take_turns(L, r);
    } while (!is_over(r));
    return 0;
}

/* The task whose results could not be made, or NULL. */
static struct lss_task *stumbled(const struct round *r)
{
    struct lss_task *t = r->now && r->now->of_task ? (struct lss_task *)r->now : NULL;
    return t && r->now->status != SS_WANT && t->state < LSS_DONE ? t : NULL;
}

/* What keeps a task from going on a second time, be it a string that is too long for Lua, will not be over soon: the task ends
 * with the error, which is on top of the stack and is popped. */
static bool give_up(lua_State *L, struct round *r)
{
    struct lss_task *t = stumbled(r);
    if (!t || !t->stumbled)
        return false;
    r->now = NULL;
    let_go(t);
    end_task(L, t, LSS_FAILED, 1, lua_gettop(L));
    lua_pop(L, 1);
    return true;
}

/* After an error, of memory or of socket.onerror: the one in hand is not forgotten, unless it is that which failed. */
static void clean_up(struct round *r)
{
    struct ss_loop *loop = &r->tasks->loop;
    struct lss_task *t = stumbled(r);
    if (t) {
        t->stumbled = true;
        ss_loop_untake(loop, r->now);
    }
    if (!r->until)
        return;
    release(r->sock, r->until);
    ss_loop_drop(loop, r->until);
}

static void run_round(lua_State *L, struct round *r)
{
    lss_check_room(L, L, LUA_MINSTACK);
    if (!lss_can_run(L)) {
        clean_up(r);
        lss_cannot_wait(L);
    }
    do {
        lua_rawgeti(L, LUA_REGISTRYINDEX, r->tasks->run_protected);
        lua_pushlightuserdata(L, r);
        if (lua_pcall(L, 1, 0, 0) == 0)
            return;
        if (!give_up(L, r)) {
            clean_up(r);
            lua_error(L);
        }
    } while (!is_over(r));
}

void lss_run_turn(lua_State *L, struct lss_tasks *tasks, int64_t timeout_ns)
{
    run_round(L, &(struct round){ .tasks = tasks, .timeout_ns = timeout_ns, .once = true });
}

void lss_run_all(lua_State *L, struct lss_tasks *tasks)
{
    if (tasks->alive > 0)
        run_round(L, &(struct round){ .tasks = tasks, .timeout_ns = -1 });
}

enum ss_status lss_wait_in_main(lua_State *L, struct lss_tasks *tasks, struct ss_sock *s, unsigned holds,
                                struct ss_op *op, int64_t deadline_ns)
{
    struct ss_waiter w;
    struct round r = { .tasks = tasks, .until = &w, .sock = s, .timeout_ns = -1 };
    lss_check_room(L, L, 2 * LUA_MINSTACK);
    lss_can_run(L); /* LuaJIT: makes what it asks; from where `w` is linked on, nothing may raise */
    ss_waiter_init(&w, false);
    hold(s, holds, &w);
    wait_for(&tasks->loop, &w, op, deadline_ns);
    if (w.status == SS_WANT)
        run_round(L, &r);
    enum ss_status st = w.status;
    release(s, &w);
    ss_loop_drop(&tasks->loop, &w);
    return st;
}
