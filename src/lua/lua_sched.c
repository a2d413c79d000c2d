#include "lua/lua_sched.h"
#include "lua/lua_anchor.h"
#include "lua/lua_failure.h"
#include "lua/lua_suspend.h"

#define TASKS LSS_PREFIX "tasks" /* registry: the struct lss_tasks */

/* Handles made while the state is closing have no finalizer in Lua 5.4 that would do this. */
static void free_all_calls(lua_State *L, struct lss_tasks *tasks)
{
    lss_push_handles(L);
    for (int i = 1; i <= tasks->room; i++) {
        lua_rawgeti(L, -1, i);
        if (lua_isuserdata(L, -1))
            lss_free_call(L, lua_touserdata(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void lss_free_loop(lua_State *L, struct lss_tasks *tasks)
{
    tasks->closed = true;
    free_all_calls(L, tasks);
    ss_loop_fini(&tasks->loop);
}

/* A finalizer may run tasks while the state is closing, and the collector may call this from one of them: the run frees the loop
 * when it ends. */
void lss_end_tasks(lua_State *L, struct ss_loop *loop)
{
    struct lss_tasks *tasks = (struct lss_tasks *)loop;
    if (tasks->closing)
        return;
    tasks->closing = true;
    if (tasks->finalizer_runs == 0)
        lss_free_loop(L, tasks);
    lss_raise_last_failures(L, tasks);
}

static int tasks_gc(lua_State *L)
{
    lss_end_tasks(L, lua_touserdata(L, 1));
    return 0;
}

static void set_tasks_gc(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, tasks_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

static struct lss_tasks *new_tasks(lua_State *L, struct ss_env *env)
{
    struct lss_tasks *tasks = lss_newuserdata(L, sizeof *tasks);
    *tasks = (struct lss_tasks){ .mem = env->pool.mem, .closing = true };
    set_tasks_gc(L);
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
