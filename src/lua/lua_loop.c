/* socket.run, and the class loop for programs with another event loop. */
#include "core/codes.h"
#include "lua/lua_failure.h"
#include "lua/lua_run.h"
#include "lua/lua_sched.h"
#include "os/os_clock.h"

#define LOOP LSS_PREFIX "loop"

int lss_run_tasks(lua_State *L)
{
    struct lss_tasks *tasks = lss_tasks(L);
    if (tasks->runs)
        return luaL_error(L, "socket.run inside a task: there, task:wait() waits for another one");
    enum ss_status st = lss_run_all(L, tasks);
    lss_raise_failures(L, tasks);
    return st == SS_OK ? 0 : lss_push_failure(L, 1, st, &ss_no_memory);
}

static struct lss_tasks *self_loop(lua_State *L)
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
    struct lss_tasks *tasks = self_loop(L);
    enum ss_status st = ss_loop_fd(&tasks->loop, &fd, &err);
    if (st != SS_OK && lss_collect_descriptors(L, tasks->loop.env, &err))
        st = ss_loop_fd(&self_loop(L)->loop, &fd, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    lua_pushinteger(L, fd);
    return 1;
}

static int loop_events(lua_State *L)
{
    self_loop(L);
    lua_pushliteral(L, "r");
    return 1;
}

static int loop_timeout(lua_State *L)
{
    int64_t next_ns = lss_next_turn_ns(L, self_loop(L));
    int64_t left_ns = next_ns == 0 || next_ns == SS_NEVER ? 0 : next_ns - os_now_ns();
    if (next_ns == SS_NEVER)
        lua_pushnil(L);
    else
        lua_pushnumber(L, left_ns > 0 ? (lua_Number)left_ns / 1e9 : 0);
    return 1;
}

static int loop_tostring(lua_State *L)
{
    self_loop(L);
    lua_pushliteral(L, "<loop>");
    return 1;
}

static int loop_step(lua_State *L)
{
    struct lss_tasks *tasks = self_loop(L);
    int64_t deadline_ns, timeout_ns = lss_check_timeout(L, 2);
    if (tasks->runs)
        return luaL_error(L, "loop:step inside a task: the loop runs already");
    int64_t left_ns = lss_limit_timeout(L, tasks->loop.env, timeout_ns, &deadline_ns);
    if (tasks->alive > 0 || tasks->fresh > 0)
        lss_run_turn(L, tasks, lss_foreground(tasks) > 0 ? left_ns : 0);
    lua_pushboolean(L, lss_foreground(tasks) > 0);
    return 1;
}

static const luaL_Reg loop_metamethods[] = { { "__tostring", loop_tostring }, { NULL, NULL } };
static const luaL_Reg loop_methods[] = {
    { "events", loop_events },
    { "pollfd", loop_pollfd },
    { "step", loop_step },
    { "timeout", loop_timeout },
    { NULL, NULL },
};

void lss_open_loop(lua_State *L)
{
    lss_register_class(L, LOOP, loop_metamethods, loop_methods);
}
