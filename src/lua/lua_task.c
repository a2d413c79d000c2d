/* Tasks as a program sees them: socket.spawn and socket.run, the class task, the loop for programs that have one already. */
#include "lua/lua_task.h"
#include "core/codes.h"
#include "lua/lua_yield.h"
#include "os/os_clock.h"

#include <string.h> /* memset */

#define TASK LSS_PREFIX "task"
#define LOOP LSS_PREFIX "loop"
#define FAILURES LSS_PREFIX "failures" /* registry: { task, message, … } of tasks that nobody can wait for any more */
#define NO_MEMORY "a task failed, and there was no memory for its error"
#define MODULE LSS_PREFIX "module" /* registry: the module */

static struct lss_task *self_task(lua_State *L)
{
    return lss_self(L);
}

int lss_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lss_wrap_body(L);
    struct lss_tasks *tasks = lss_tasks(L);
    int values = lua_gettop(L) - 1;
    struct lss_task *t = lss_newuserdata_keeping(L, sizeof *t);
    memset(t, 0, sizeof *t);
    t->tasks = tasks;
    ss_waiter_init(&t->waiter, true);
    ss_queue_init(&t->joiners);
    luaL_getmetatable(L, TASK);
    lua_setmetatable(L, -2);
    lua_insert(L, 1);
    t->co = lua_newthread(L);
    lua_insert(L, 2);
    lss_move_call(L, t->co, values);
    lua_pushvalue(L, 1);
    lua_insert(L, 2);
    lss_begin(L, t, values);
    return 1;
}

/* What became of it. */

static const char *const states[] = { "ready", "waiting", "done", "failed" };

static int task_status(lua_State *L)
{
    lua_pushstring(L, states[self_task(L)->state]);
    return 1;
}

static int task_tostring(lua_State *L)
{
    lua_pushfstring(L, "<task: %s>", states[self_task(L)->state]);
    return 1;
}

static void mark_seen(struct lss_task *t)
{
    if (t->state == LSS_FAILED && !t->seen && !t->cancelled)
        t->tasks->unseen--;
    t->seen = true;
}

/* Pushes what is told of a failure that nobody sees; the handle is at `index`. */
static void push_message(lua_State *L, int index, const struct lss_task *t)
{
    if (t->lost) {
        lua_pushliteral(L, "the coroutine of a task was resumed or closed by the program");
    } else if (t->values < 2) {
        lua_pushliteral(L, NO_MEMORY);
    } else {
        lss_push_kept(L, index);
        lua_rawgeti(L, -1, 2);
        lua_remove(L, -2);
    }
}

/* The handle is on top of the stack. */
static int push_results(lua_State *L, struct lss_task *t)
{
    int handle = lua_gettop(L), n = t->values;
    if (t->state == LSS_FAILED && t->cancelled)
        return lss_push_failure(L, 1, SS_CANCELLED, NULL);
    lss_check_room(L, n + LUA_MINSTACK);
    if (t->state == LSS_FAILED)
        lua_pushnil(L);
    else
        lua_pushboolean(L, 1);
    if (t->state == LSS_FAILED && n == 0) {
        push_message(L, handle, t);
        return 2;
    }
    if (n == 0)
        return 1;
    lss_push_kept(L, handle);
    int kept = lua_gettop(L);
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, kept, i);
    lua_remove(L, kept);
    return 1 + n;
}

static int finish_wait(lua_State *L, struct ss_op *op, enum ss_status st)
{
    struct lss_task *t = lua_touserdata(L, -1);
    if (t->state < LSS_DONE)
        return lss_push_failure(L, 1, st, &op->error);
    int n = push_results(L, t);
    mark_seen(t);
    return n;
}

static int task_wait(lua_State *L)
{
    static const struct lss_call call = {
        .finish = finish_wait, .size = sizeof(struct lss_parked), .keep = 1, .many_results = true
    };
    struct lss_task *t = self_task(L);
    int64_t timeout_ns = lss_check_timeout(L, 2);
    lss_check_open(L, t->tasks);
    struct lss_parked parked = { .queue = &t->joiners };
    luaL_argcheck(L, t != t->tasks->runs, 1, "a task cannot wait for itself");
    lua_settop(L, 1);
    if (t->state >= LSS_DONE) {
        parked.queue = NULL;
        timeout_ns = 0;
    } else if (LSS_RESERVE > 0) {
        lss_check_room(L, LSS_RESERVE + LUA_MINSTACK);
        lua_settop(L, 1 + LSS_RESERVE);
        lua_pushvalue(L, 1);
    }
    return lss_park(L, t->tasks, timeout_ns, &parked, &call);
}

static int task_cancel(lua_State *L)
{
    struct lss_task *t = self_task(L);
    bool ends = t->tasks->ending && t->tasks->runs == t;
    bool lives = t->state < LSS_DONE && !ends;
    if (lives)
        t->cancelled = true;
    if (t->state == LSS_WAITING)
        ss_loop_end(&t->tasks->loop, &t->waiter, SS_CANCELLED);
    lua_pushboolean(L, lives);
    return 1;
}

/* Failures that nobody sees */

/* The handle is gone, and this is the last that is heard of it. Of very many only the number is kept. */
static void note_failure(lua_State *L, struct lss_task *t)
{
    enum { KEPT = 1000 };
    struct lss_tasks *tasks = t->tasks;
    tasks->unseen--;
    tasks->unreported++;
    lua_getfield(L, LUA_REGISTRYINDEX, FAILURES);
    if (!lua_istable(L, -1) || tasks->unreported > KEPT)
        return;
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 2 * tasks->last_failure + 1);
    push_message(L, 1, t);
    lua_rawseti(L, -2, 2 * tasks->last_failure + 2);
    tasks->last_failure++;
}

static int task_gc(lua_State *L)
{
    struct lss_task *t = self_task(L);
    lss_free_call(L, t);
    bool unseen = t->state == LSS_FAILED && !t->seen && !t->cancelled;
    t->seen = true;
    if (unseen)
        note_failure(L, t);
    if (t->tasks->closing) {
        lua_pushnil(L); /* finalizers that run later find no task */
        lua_setmetatable(L, 1);
    }
    return 0;
}

static void take_out(lua_State *L, int i)
{
    lua_rawgeti(L, -1, i);
    lua_pushnil(L);
    lua_rawseti(L, -3, i);
    lua_insert(L, -2);
}

/* Pushes task and message of the oldest failure, and takes it off the list. False: none is kept. Lua 5.1 may not find them after
 * an allocation has failed; then there is a message all the same. */
static bool take_failure(lua_State *L, struct lss_tasks *tasks)
{
    int first = tasks->first_failure;
    if (first == tasks->last_failure)
        return false;
    lua_getfield(L, LUA_REGISTRYINDEX, FAILURES);
    take_out(L, 2 * first + 1);
    take_out(L, 2 * first + 2);
    lua_pop(L, 1);
    if (!lua_isstring(L, -1)) {
        lua_pop(L, 1);
        lua_pushliteral(L, NO_MEMORY);
    }
    tasks->first_failure++;
    tasks->unreported--;
    if (tasks->first_failure == tasks->last_failure)
        tasks->first_failure = tasks->last_failure = 0;
    return true;
}

static bool push_onerror(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, MODULE);
    lua_pushliteral(L, "onerror");
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_isfunction(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

void lss_report(lua_State *L, struct lss_tasks *tasks)
{
    while (tasks->unreported > 0 && push_onerror(L)) {
        if (!take_failure(L, tasks)) { /* of very many only the number is kept */
            lua_pushnil(L);
            lua_pushfstring(L, "%d tasks more have failed", (int)tasks->unreported);
            tasks->unreported = 0;
        }
        lua_call(L, 2, 0);
    }
}

/* Appends to the text on top of the stack what has failed and was not reported, and forgets it. */
static void append_failures(lua_State *L, struct lss_tasks *tasks, const char *separator)
{
    while (take_failure(L, tasks)) {
        lua_remove(L, -2);
        lua_pushstring(L, separator);
        lua_insert(L, -2);
        lua_concat(L, 3);
        separator = "\n\nanother task failed: ";
    }
    size_t more = tasks->unreported;
    tasks->unreported = 0;
    if (more > 0) {
        lua_pushfstring(L, "\n\nand %d tasks more", (int)more);
        lua_concat(L, 2);
    }
}

void lss_report_last(lua_State *L, struct lss_tasks *tasks)
{
    lss_report(L, tasks);
    if (tasks->unreported == 0)
        return;
    lua_pushliteral(L, "a task failed: ");
    append_failures(L, tasks, "");
    lua_error(L);
}

/* Those whose handles are garbage can't be waited for any more. */
static void collect_failures(lua_State *L, struct lss_tasks *tasks)
{
    if (tasks->unseen > 0 && !lss_gc_is_stopped(L))
        lua_gc(L, LUA_GCCOLLECT, 0);
    lss_report(L, tasks);
}

int lss_fail_deadlock(lua_State *L, struct lss_tasks *tasks)
{
    luaL_where(L, 1);
    if (tasks->alive > 0)
        lua_pushfstring(L, "deadlock: %d tasks wait, and nothing is left that could wake them", (int)tasks->alive);
    else
        lua_pushliteral(L, "deadlock: there is no task that could wake this call");
    lua_concat(L, 2);
    collect_failures(L, tasks);
    append_failures(L, tasks, "\n\na task failed: ");
    return lua_error(L);
}

int lss_run_tasks(lua_State *L)
{
    struct lss_tasks *tasks = lss_tasks(L);
    if (tasks->runs)
        return luaL_error(L, "socket.run inside a task: there, task:wait() waits for another one");
    lss_run_all(L, tasks);
    collect_failures(L, tasks);
    if (tasks->unreported == 0)
        return 0;
    lua_pushliteral(L, "");
    append_failures(L, tasks, "");
    return lua_error(L);
}

/* The loop, for other loops */

static struct lss_tasks *loop_self(lua_State *L)
{
    lss_self(L);
    return lss_tasks(L);
}

int lss_loop(lua_State *L)
{
    lss_tasks(L);
    lss_newuserdata(L, 1);
    luaL_getmetatable(L, LOOP);
    lua_setmetatable(L, -2);
    return 1;
}

static int loop_pollfd(lua_State *L)
{
    struct ss_error err;
    int fd;
    enum ss_status st = ss_loop_fd(&loop_self(L)->loop, &fd, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    lua_pushinteger(L, fd);
    return 1;
}

static int loop_events(lua_State *L)
{
    loop_self(L);
    lua_pushliteral(L, "r");
    return 1;
}

static int loop_timeout(lua_State *L)
{
    int64_t next_ns = lss_next_ns(L, loop_self(L));
    int64_t left_ns = next_ns == 0 || next_ns == SS_NEVER ? 0 : next_ns - os_now_ns();
    if (next_ns == SS_NEVER)
        lua_pushnil(L);
    else
        lua_pushnumber(L, left_ns > 0 ? (lua_Number)left_ns / 1e9 : 0);
    return 1;
}

static int loop_tostring(lua_State *L)
{
    loop_self(L);
    lua_pushliteral(L, "<loop>");
    return 1;
}

static int loop_step(lua_State *L)
{
    struct lss_tasks *tasks = loop_self(L);
    int64_t timeout_ns = lss_check_timeout(L, 2);
    if (tasks->runs)
        return luaL_error(L, "loop:step inside a task: the loop runs already");
    if (tasks->alive > 0 || tasks->fresh > 0)
        lss_run_turn(L, tasks, tasks->alive > 0 ? timeout_ns : 0);
    lua_pushboolean(L, tasks->alive > 0);
    return 1;
}

/* Opening */

void lss_push_module(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, MODULE);
    if (lua_istable(L, -1))
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, MODULE);
}

static const luaL_Reg task_events[] = { { "__gc", task_gc }, { "__tostring", task_tostring }, { NULL, NULL } };
static const luaL_Reg task_methods[] = {
    { "cancel", task_cancel },
    { "status", task_status },
    { "wait", task_wait },
    { NULL, NULL },
};

static const luaL_Reg loop_events_of[] = { { "__tostring", loop_tostring }, { NULL, NULL } };
static const luaL_Reg loop_methods[] = {
    { "events", loop_events },
    { "pollfd", loop_pollfd },
    { "step", loop_step },
    { "timeout", loop_timeout },
    { NULL, NULL },
};

void lss_open_task(lua_State *L)
{
    lss_open_yield(L);
    lss_open_sched(L);
    lss_class(L, TASK, task_events, task_methods);
    lss_class(L, LOOP, loop_events_of, loop_methods);
    lua_getfield(L, LUA_REGISTRYINDEX, FAILURES);
    if (lua_isnil(L, -1)) { /* a module that is loaded anew goes on with what it has */
        lua_newtable(L);
        lua_setfield(L, LUA_REGISTRYINDEX, FAILURES);
    }
    lua_pop(L, 1);
}
