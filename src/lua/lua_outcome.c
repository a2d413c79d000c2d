/* What runs while a task ends (finalizers, <close> variables) runs as a part of the task, and cannot wait. Each step that may
 * raise is a C function of its own, called protected. */
#include "lua/lua_outcome.h"
#include "lua/lua_anchor.h"
#include "lua/lua_group.h"
#include "lua/lua_source.h"
#include "lua/lua_suspend.h"
#include "lua/lua_yield.h"

/* C functions in the registry: pushing a new one may raise. By name, since Lua 5.1 may not find integer keys after an allocation has
 * failed. */
#define MAKE_TABLE LSS_PREFIX "make_table"
#define KEEP_OUTCOME LSS_PREFIX "keep_outcome"
#define ADD_TRACEBACK LSS_PREFIX "add_traceback"
#define CLOSE_VARIABLES LSS_PREFIX "close_variables"
#define CLOSE_WITHOUT_OUTCOME LSS_PREFIX "close_without_outcome"

/* Keeping the outcome */

/* Makes the table that the handle (argument 1) keeps, for one value more than argument 2 says. */
static int make_outcome_table(lua_State *L)
{
    lua_createtable(L, (int)lua_tointeger(L, 2) + 1, 0);
    lss_keep(L, 1);
    return 0;
}

/* Tries several times: in Lua 5.3 and older the error may be a finalizer's, and each try frees memory. */
static bool has_outcome_table(lua_State *L, int n)
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

/* Moves the results or the error of a task into the table that its handle (argument 1) keeps. The values leave the coroutine
 * before a finalizer can run: a coroutine that has ended with values on its stack can be resumed. An error may also be
 * argument 3. */
static int keep_outcome(lua_State *L)
{
    enum { BEFORE = 2 };
    struct lss_task *t = lua_touserdata(L, 1);
    int n = t->values;
    lss_check_room(L, n + LUA_MINSTACK);
    if (lua_gettop(L) == BEFORE)
        lua_xmove(t->co, L, n);
    if (!has_outcome_table(L, n))
        return luaL_error(L, "not enough memory");
    lss_push_kept(L, 1);
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, BEFORE + i);
        lua_rawseti(L, -2, i);
    }
    t->has_outcome = true; /* Lua 5.1 may run a finalizer that raises when this returns */
    return 0;
}

/* Calls the error's __tostring, as lua(1) does. False: it has none, or that fails. */
static bool push_tostring_result(lua_State *L, int error)
{
    if (!luaL_getmetafield(L, error, "__tostring"))
        return false;
    lua_pushvalue(L, error);
    if (lua_pcall(L, 1, 1, 0) == 0 && lua_type(L, -1) == LUA_TSTRING)
        return true;
    lua_pop(L, 1);
    return false;
}

/* Pushes the error at index `error`, or its type, as text. */
static const char *push_error_text(lua_State *L, int error)
{
    if (lua_type(L, error) == LUA_TSTRING || lua_type(L, error) == LUA_TNUMBER)
        lua_pushvalue(L, error);
    else if (!push_tostring_result(L, error))
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, error));
    return lua_tostring(L, -1);
}

/* Adds the error's text with the traceback to the table that the handle (argument 1) keeps. */
static int add_traceback(lua_State *L)
{
    enum { TABLE = 3, ERROR };
    struct lss_task *t = lua_touserdata(L, 1);
    lua_settop(L, 2);
    lss_push_kept(L, 1);
    lua_rawgeti(L, TABLE, 1);
    lss_traceback(L, t->co, push_error_text(L, ERROR));
    lua_rawseti(L, TABLE, 2);
    t->values = 2;
    return 0;
}

/* Closing variables */

/* The error of a variable's __close replaces that of the task, as in Lua. */
static void replace_error(lua_State *L, struct lss_task *t, int table, int error)
{
    const char *text = push_error_text(L, error);
    lua_rawgeti(L, table, 2);
    const char *before = lua_tostring(L, -1);
    lua_pushfstring(L, "%s\nwhile variables were closed after: %s", text, before ? before : "an error");
    lua_rawseti(L, table, 2);
    lua_pushvalue(L, error);
    lua_rawseti(L, table, 1);
    t->values = 2;
}

/* Closes the variables of a failed task. Lua passes them the error on the coroutine's stack, so that goes back there. */
static int close_task_variables(lua_State *L)
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

/* The same for a task whose outcome is not kept. */
static int close_without_outcome(lua_State *L)
{
    const struct lss_task *t = lua_touserdata(L, 1);
    lss_close_variables(L, t->co);
    return 0;
}

/* Ending */

void lss_open_outcomes(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { MAKE_TABLE, make_outcome_table },
        { KEEP_OUTCOME, keep_outcome },
        { ADD_TRACEBACK, add_traceback },
        { CLOSE_VARIABLES, close_task_variables },
        { CLOSE_WITHOUT_OUTCOME, close_without_outcome },
        { NULL, NULL },
    };
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, LUA_REGISTRYINDEX, f->name);
    }
}

/* Calls a function of the registry with the handle and the coroutine, which are on top of the stack, and the value at index
 * `third`, unless that is 0. False: it has raised. */
static bool call_with_task(lua_State *L, const char *name, int third)
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

/* The task fails without an outcome: there was no memory for it, or the task was invalidated. */
static void drop_outcome(struct lss_task *t)
{
    t->state = LSS_FAILED;
    t->values = 0;
}

bool lss_cancel_task(struct lss_task *t)
{
    bool is_ending = t->tasks->ending && t->tasks->runs == t;
    bool is_alive = t->state < LSS_DONE && !is_ending;
    if (is_alive)
        t->cancelled = true;
    if (t->state == LSS_WAITING)
        ss_loop_end(&t->tasks->loop, &t->waiter, SS_CANCELLED);
    return is_alive;
}

/* Pushes the handle and the coroutine, which stay on the stack until the task has ended: then it has no anchor. Below them is the
 * group of a task that is in one. */
static void push_ending(lua_State *L, struct lss_task *t)
{
    lss_push_anchored(L, t);
    if (t->grouped)
        lss_push_kept(L, lua_gettop(L) - 1);
    else
        lua_pushnil(L);
    lua_insert(L, -3);
}

/* Wakes the joiners. The outcome counts as seen only when they have got it: an error may keep it from them. The call is freed
 * here since a handle made while the Lua state is closing may have no finalizer. On the stack: as push_ending leaves it. */
static void release_task(lua_State *L, struct lss_task *t)
{
    struct lss_tasks *tasks = t->tasks;
    struct ss_waiter *joiner;
    tasks->alive--;
    tasks->background -= t->background;
    lss_free_call(L, t); /* its finalizer may fail for want of memory */
    while ((joiner = ss_queue_first(&t->joiners)) != NULL)
        if (!lss_release_stand_in(&tasks->loop, joiner))
            ss_loop_end(&tasks->loop, joiner, SS_OK);
    lss_release_anchor(L, t);
    if (t->grouped)
        lss_leave_group(L, t, lua_gettop(L) - 2);
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

void lss_finish_ending(struct lss_tasks *tasks)
{
    tasks->runs = NULL;
    tasks->ending = false;
}

void lss_end_task(lua_State *L, struct lss_task *t, enum lss_state state, int values, int error)
{
    push_ending(L, t);
    start_ending(t);
    t->values = values;
    t->has_outcome = values == 0;
    if (!t->has_outcome)
        call_with_task(L, KEEP_OUTCOME, error);
    if (t->has_outcome && state == LSS_FAILED)
        call_with_task(L, ADD_TRACEBACK, 0);
    if (LSS_HAS_CLOSE && state == LSS_FAILED)
        call_with_task(L, t->has_outcome ? CLOSE_VARIABLES : CLOSE_WITHOUT_OUTCOME, 0);
    lss_finish_ending(t->tasks);
    t->state = state & 3u;
    if (!t->has_outcome)
        drop_outcome(t);
    release_task(L, t);
    lua_pop(L, 3);
}

/* A coroutine that has failed elsewhere has open variables that nobody else closes. */
void lss_fail_invalidated_task(lua_State *L, struct lss_task *t)
{
    push_ending(L, t);
    lss_detach_socket(t);
    lss_drop_call(L, t);
    if (LSS_HAS_CLOSE && lua_status(t->co) > LUA_YIELD) {
        start_ending(t);
        call_with_task(L, CLOSE_WITHOUT_OUTCOME, 0);
        lss_finish_ending(t->tasks);
    }
    drop_outcome(t);
    t->invalidated = true;
    release_task(L, t);
    lua_pop(L, 3);
}

/* The outcome as results */

void lss_push_failure_message(lua_State *L, int index, const struct lss_task *t)
{
    if (t->invalidated) {
        lua_pushliteral(L, "the coroutine of a task was resumed or closed by the program");
    } else if (t->values < 2) {
        lua_pushliteral(L, LSS_NO_MEMORY_FOR_ERROR);
    } else {
        lss_push_kept(L, index);
        lua_rawgeti(L, -1, 2);
        lua_remove(L, -2);
    }
}

int lss_push_outcome(lua_State *L, struct lss_task *t)
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
        lss_push_failure_message(L, handle, t);
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

void lss_mark_seen(struct lss_task *t)
{
    if (t->state == LSS_FAILED && !t->seen && !t->cancelled)
        t->tasks->unseen--;
    t->seen = true;
}
