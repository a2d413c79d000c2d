/* socket.coroutine: Lua's coroutines, in which a task's calls may wait. A call that waits suspends its coroutine, then that which
 * has resumed it, and so on up to the task's own. When it has ended, they are resumed in the opposite order: each resumer, which
 * is Lua code (LIBRARY), calls again. So it needs no continuation, and a coroutine that runs is always one that was resumed. */
#include "lua/lua_lost.h"
#include "lua/lua_suspend.h"
#include "lua/lua_yield.h"

/* resume and again return the state of lua_resume (true, or false and the error) with the values, or nothing if the coroutine
 * waits; by then the task has been suspended and goes on. raise raises the error of a wrapped coroutine. They and the functions
 * defined here are global in an environment of their own: LuaJIT loses count of its memory when it has none for an upvalue. */
static const char LIBRARY[] = "function resumed(co, ok, ...)\n"
                              "    if ok == nil then return resumed(co, again(co)) end\n"
                              "    return ok, ...\n"
                              "end\n"
                              "function called(co, ok, ...)\n"
                              "    if ok then return ... end\n"
                              "    if ok == nil then return called(co, again(co)) end\n"
                              "    raise(co, ...)\n"
                              "end\n"
                              "function resume_all(co, ...) return resumed(co, resume(co, ...)) end\n"
                              "function wrap(f)\n"
                              "    local co = create(check(f))\n"
                              "    return function(...) return called(co, resume(co, ...)) end\n"
                              "end\n";

/* Resuming */

/* Resumes `co` with the `n` values on its stack, as a part of the running task or of the main program. */
static int resume_as_part(lua_State *L, struct ss_env *env, lua_State *co, int n, int *results)
{
    struct lss_tasks *tasks = (struct lss_tasks *)env->loop;
    struct lss_step **steps = tasks && tasks->runs ? &tasks->steps : &lss_scopes(env)->steps;
    struct lss_step s = { .outer = *steps, .resumer = L, .co = co };
    if (tasks && tasks->runs) {
        s.linked = !tasks->ending && L == lss_innermost(tasks) && (!s.outer || s.outer->linked);
        tasks->runs->call = NULL;
    }
    *steps = &s;
    int status = lss_resume(co, L, n, results);
    *steps = s.outer;
    return status;
}

/* Whether `co` has yielded because a call in it, or in a coroutine that it has resumed, has to wait. */
static bool waits_in_call(struct lss_tasks *tasks, lua_State *co, int results)
{
    struct lss_task *t = tasks ? tasks->runs : NULL;
    if (!t || !t->call)
        return false;
    return lss_passes_wait(t, co) || lss_has_suspended_call(t, co, results);
}

/* Suspends the coroutine that has resumed `co`. */
static int pass_wait(lua_State *L, struct lss_task *t, lua_State *co)
{
    lua_settop(L, 0); /* nothing else is on the stack, as lss_passes_wait expects; the caller has `co` too */
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_pushlightuserdata(L, lss_mark(t));
    return lua_yield(L, LSS_PASSED);
}

static int push_refusal(lua_State *L, const char *why)
{
    lua_pushboolean(L, 0);
    lua_pushstring(L, why);
    return 2;
}

static int push_results(lua_State *L, lua_State *co, int n)
{
    if (!lua_checkstack(L, n + 1)) {
        lua_pop(co, n);
        return push_refusal(L, "too many results to resume");
    }
    lua_pushboolean(L, 1);
    lua_xmove(co, L, n);
    return n + 1;
}

/* `n` values are on the stack of `co`. */
static int resume(lua_State *L, lua_State *co, int n)
{
    struct ss_env *env = lss_env(L);
    int results;
    lss_check_room(L, LUA_MINSTACK);
    int status = resume_as_part(L, env, co, n, &results);
    struct lss_tasks *tasks = (struct lss_tasks *)env->loop;
    if (status == LUA_YIELD && waits_in_call(tasks, co, results))
        return pass_wait(L, tasks->runs, co);
    if (status == LUA_OK || status == LUA_YIELD)
        return push_results(L, co, results);
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
}

static lua_State *check_coroutine(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    if (!co)
        lss_raise_type_above(L, 1, "resume", "coroutine");
    return co;
}

/* Why Lua code cannot resume `co`, or NULL. */
static const char *why_not_resumable(lua_State *co)
{
    lua_Debug ar;
    int status = lua_status(co);
    if (status == LUA_YIELD)
        return lua_gettop(co) > 0 && lua_islightuserdata(co, -1) ? "cannot resume a coroutine that waits in a call"
                                                                 : NULL;
    if (status == LUA_OK && lua_getstack(co, 0, &ar))
        return "cannot resume non-suspended coroutine";
    return status == LUA_OK && lua_gettop(co) > 0 ? NULL : "cannot resume dead coroutine";
}

static int step(lua_State *L)
{
    lua_State *co = check_coroutine(L);
    int n = lua_gettop(L) - 1;
    const char *why = why_not_resumable(co);
    if (!why && !lua_checkstack(co, n + 1))
        why = "too many arguments to resume";
    if (why)
        return push_refusal(L, why);
    lua_xmove(L, co, n);
    return resume(L, co, n);
}

/* The number of values with which a coroutine whose call has ended goes on; -1: the program has resumed or closed it. */
static int count_granted(struct lss_task *t, lua_State *co)
{
    if (lss_passes_wait(t, co)) {
        lua_pop(co, LSS_PASSED);
        return 0;
    }
    bool granted = co != t->co && lua_status(co) == LUA_YIELD && lua_gettop(co) == t->values;
    return granted ? t->values : -1;
}

static int again(lua_State *L)
{
    lua_State *co = check_coroutine(L);
    struct lss_tasks *tasks = (struct lss_tasks *)lss_env(L)->loop;
    int n = tasks && tasks->runs ? count_granted(tasks->runs, co) : -1;
    return n < 0 ? push_refusal(L, "cannot resume dead coroutine") : resume(L, co, n);
}

/* wrap */

/* Returns the function that is to be wrapped. */
static int check_wrapped(lua_State *L)
{
    bool takes_c_functions = LUA_VERSION_NUM > 501 || LSS_JIT;
    if (!lua_isfunction(L, 1))
        lss_raise_type_above(L, 1, "wrap", "function");
    if (!takes_c_functions && lua_iscfunction(L, 1))
        lss_raise_misuse_above(L, 1, "wrap", "Lua function expected, not one in C");
    lua_settop(L, 1);
    return 1;
}

/* The error at index 2 of a wrapped coroutine (argument 1), as Lua's own wrap raises it. */
static int raise_wrapped(lua_State *L)
{
    enum {
        LEVEL = LUA_VERSION_NUM == 501 && !LSS_JIT ? 3 : 2
    }; /* behind the function that has called this, and a tail call */
    lua_State *co = check_coroutine(L);
    lua_settop(L, 2);
    if (lua_status(co) > LUA_YIELD && lss_close_variables(L, co))
        lua_replace(L, 2);
    if (lua_type(L, 2) != LUA_TSTRING)
        return lua_error(L);
    luaL_where(L, LEVEL);
    lua_insert(L, -2);
    lua_concat(L, 2);
    return lua_error(L);
}

/* close */

/* Lua's own function (upvalue 1), which knows nothing of calls that wait. */
static int close_coroutine(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    bool waits = co && co != L && lua_status(co) == LUA_YIELD && lua_gettop(co) > 0 && lua_islightuserdata(co, -1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    struct lss_tasks *tasks = (struct lss_tasks *)lss_env(L)->loop;
    if (waits && tasks && !tasks->closed)
        lss_end_all_lost_waits(L, tasks);
    return lua_gettop(L);
}

/* The library */

/* Copies the functions of Lua's library into the table on top of the stack, as they are. */
static bool copy_library(lua_State *L)
{
    lua_getglobal(L, "coroutine");
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    for (lua_pushnil(L); lua_next(L, -2) != 0;) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
    return true;
}

/* Runs LIBRARY in an environment with the functions that it uses, which is left on the stack. */
static void run_library(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "check", check_wrapped }, { "resume", step }, { "again", again }, { "raise", raise_wrapped }, { NULL, NULL }
    };
    lua_createtable(L, 0, 8);
    lua_getfield(L, -2, "create");
    lua_setfield(L, -2, "create");
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    if (luaL_loadbuffer(L, LIBRARY, sizeof LIBRARY - 1, LSS_COROUTINE_CHUNK) != 0)
        lua_error(L);
    lua_pushvalue(L, -2);
    lss_set_environment(L, -2);
    lua_call(L, 0, 0);
}

/* The table on top of the stack gets them. */
static void set_own_functions(lua_State *L)
{
    run_library(L);
    lua_getfield(L, -1, "wrap");
    lua_setfield(L, -3, "wrap");
    lua_getfield(L, -1, "resume_all");
    lua_setfield(L, -3, "resume");
    lua_pop(L, 1);
    if (!LSS_HAS_CLOSE)
        return;
    lua_getfield(L, -1, "close");
    lua_pushcclosure(L, close_coroutine, 1);
    lua_setfield(L, -2, "close");
}

void lss_push_coroutine(lua_State *L)
{
    lua_newtable(L);
    if (copy_library(L))
        set_own_functions(L);
}
