#include "lua/lua_failure.h"
#include "lua/lua_outcome.h"

#define FAILURES LSS_PREFIX "failures" /* registry: { task, message, … } */
#define MODULE LSS_PREFIX "module"     /* registry: the module */

void lss_open_failures(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, FAILURES);
    if (lua_isnil(L, -1)) { /* a module that is loaded again keeps the list */
        lua_newtable(L);
        lua_setfield(L, LUA_REGISTRYINDEX, FAILURES);
    }
    lua_pop(L, 1);
}

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

/* The list */

/* Beyond a limit only their number is kept. */
void lss_keep_failure(lua_State *L, struct lss_task *t)
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
    lss_push_failure_message(L, 1, t);
    lua_rawseti(L, -2, 2 * tasks->last_failure + 2);
    tasks->last_failure++;
}

/* Moves entry `i` out of the list, to below it on the stack. */
static void take_list_entry(lua_State *L, int i)
{
    lua_rawgeti(L, -1, i);
    lua_pushnil(L);
    lua_rawseti(L, -3, i);
    lua_insert(L, -2);
}

/* Pushes task and message of the oldest failure, and takes it off the list. False: the list is empty. Lua 5.1 may not find them
 * after an allocation has failed; then the message is a fixed one. */
static bool take_failure(lua_State *L, struct lss_tasks *tasks)
{
    int first = tasks->first_failure;
    if (first == tasks->last_failure)
        return false;
    lua_getfield(L, LUA_REGISTRYINDEX, FAILURES);
    take_list_entry(L, 2 * first + 1);
    take_list_entry(L, 2 * first + 2);
    lua_pop(L, 1);
    tasks->first_failure++; /* before an allocation: a finalizer may report failures too */
    tasks->unreported--;
    if (tasks->first_failure == tasks->last_failure)
        tasks->first_failure = tasks->last_failure = 0;
    if (!lua_isstring(L, -1)) {
        lua_pop(L, 1);
        lua_pushliteral(L, LSS_NO_MEMORY_FOR_ERROR);
    }
    return true;
}

/* socket.onerror */

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

void lss_report_failures(lua_State *L, struct lss_tasks *tasks)
{
    while (tasks->unreported > 0 && push_onerror(L)) {
        if (tasks->unreported == 0) { /* a finalizer has reported them meanwhile */
            lua_pop(L, 1);
            return;
        }
        if (!take_failure(L, tasks)) { /* those beyond the limit */
            lua_pushnil(L);
            lua_pushfstring(L, "%d tasks more have failed", (int)tasks->unreported);
            tasks->unreported = 0;
        }
        lua_call(L, 2, 0);
    }
}

/* Raising */

/* Moves all failures to the end of the text on top of the stack. */
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

void lss_raise_last_failures(lua_State *L, struct lss_tasks *tasks)
{
    lss_report_failures(L, tasks);
    if (tasks->unreported == 0)
        return;
    lua_pushliteral(L, "a task failed: ");
    append_failures(L, tasks, "");
    lua_error(L);
}

/* Only the collector knows which handles are unreachable. */
static void collect_and_report(lua_State *L, struct lss_tasks *tasks)
{
    if (tasks->unseen > 0 && !lss_gc_is_stopped(L))
        lua_gc(L, LUA_GCCOLLECT, 0);
    lss_report_failures(L, tasks);
}

int lss_raise_failures(lua_State *L, struct lss_tasks *tasks)
{
    collect_and_report(L, tasks);
    if (tasks->unreported == 0)
        return 0;
    lua_pushliteral(L, "");
    append_failures(L, tasks, "");
    return lua_error(L);
}

int lss_raise_deadlock(lua_State *L, struct lss_tasks *tasks)
{
    luaL_where(L, 1);
    int waiting = (int)lss_foreground(tasks);
    if (waiting > 0)
        lua_pushfstring(L, "deadlock: %d tasks wait, and nothing is left that could wake them", waiting);
    else
        lua_pushliteral(L, "deadlock: there is no task that could wake this call");
    lua_concat(L, 2);
    collect_and_report(L, tasks);
    append_failures(L, tasks, "\n\na task failed: ");
    return lua_error(L);
}
