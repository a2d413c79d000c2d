/* socket.within: one deadline for all calls that a function makes. The deadline is an argument of a Lua function on the stack
 * (LIBRARY: scope), and a call that would wait looks for that function on the stacks that have led to it. So nothing has to be
 * undone when an error leaves the function, or when a coroutine yields out of it or is dropped. */
#include "lua/lua_task.h"
#include "lua/lua_yield.h"
#include "run/deadline.h"

#define LIMIT LSS_PREFIX "limit"
#define WITHIN LSS_PREFIX "within" /* registry: the function */

/* The program's function is no tail call, so that scope is on the stack meanwhile. The functions are global in an environment of
 * their own, as in lua_coroutine.c. */
static const char LIBRARY[] = "function scope(limit, _, f, ...) return leave(limit, f(...)) end\n"
                              "function within(...) return scope(enter(...), ...) end\n";

/* A deadline, in a userdata: its finalizer tells that an error has ended the call of socket.within. */
struct limit {
    struct lss_scopes *scopes;
    int64_t deadline_ns; /* SS_NEVER: none */
    bool counted;
};

/* Arguments */

static lua_Number check_limit(lua_State *L)
{
    if (!lua_isnumber(L, 1))
        lss_raise_type_above(L, 1, "within", "seconds (a number)");
    lua_Number seconds = lua_tonumber(L, 1);
    if (seconds != seconds)
        lss_raise_misuse_above(L, 1, "within", "seconds must not be NaN");
    if (seconds < 0)
        lss_raise_misuse_above(L, 1, "within", "seconds must be 0 or more; math.huge: no deadline");
    return seconds;
}

static void check_callable(lua_State *L)
{
    if (!lua_isfunction(L, 2) && !luaL_getmetafield(L, 2, "__call"))
        lss_raise_type_above(L, 2, "within", "function");
}

/* Entering and leaving */

static void stop_counting(struct limit *limit)
{
    if (limit->counted)
        limit->scopes->n--;
    limit->counted = false;
}

static int limit_gc(lua_State *L)
{
    stop_counting(lss_self(L));
    return 0;
}

/* Returns the limit for the arguments of socket.within. */
static int enter(lua_State *L)
{
    struct lss_scopes *scopes = lss_scopes(lss_env(L));
    int64_t timeout_ns = lss_nanoseconds(check_limit(L));
    check_callable(L);
    if (lua_pushthread(L))
        scopes->main = L;
    struct limit *limit = lss_newuserdata(L, sizeof *limit);
    *limit = (struct limit){ .scopes = scopes, .deadline_ns = SS_NEVER };
    luaL_getmetatable(L, LIMIT);
    lua_setmetatable(L, -2);
    if (timeout_ns < 0)
        return 1;
    limit->deadline_ns = ss_deadline_after(timeout_ns);
    limit->counted = true;
    scopes->n++;
    return 1;
}

/* The limit at `index` of a coroutine's stack, or NULL: the debug library may have put anything there. Raises nothing. */
static struct limit *test_limit(lua_State *co, int index, const struct lss_scopes *scopes)
{
    struct limit *limit = lua_touserdata(co, index);
    if (!limit || !lua_getmetatable(co, index))
        return NULL;
    bool same = lua_topointer(co, -1) == scopes->type;
    lua_pop(co, 1);
    return same ? limit : NULL;
}

/* Returns what follows the limit: the function's results. */
static int leave(lua_State *L)
{
    struct limit *limit = test_limit(L, 1, lss_scopes(lss_env(L)));
    if (limit)
        stop_counting(limit);
    return lua_gettop(L) > 0 ? lua_gettop(L) - 1 : 0; /* in Lua 5.1 a program can call it by getfenv */
}

/* Looking for deadlines */

static int64_t sooner_deadline(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* The deadline of a function on the stack of `co`, if it is LIBRARY's scope. */
static int64_t deadline_of_frame(lua_State *co, lua_Debug *ar, const struct lss_scopes *scopes)
{
    lua_getinfo(co, "f", ar);
    bool is_scope = lua_topointer(co, -1) == scopes->function;
    lua_pop(co, 1);
    if (!is_scope || !lua_getlocal(co, ar, 1))
        return SS_NEVER;
    const struct limit *limit = test_limit(co, -1, scopes);
    int64_t deadline_ns = limit ? limit->deadline_ns : SS_NEVER;
    lua_pop(co, 1);
    return deadline_ns;
}

static int64_t deadline_of_stack(lua_State *co, const struct lss_scopes *scopes)
{
    int64_t deadline_ns = SS_NEVER;
    lua_Debug ar;
    for (int level = 0; lua_getstack(co, level, &ar); level++)
        deadline_ns = sooner_deadline(deadline_ns, deadline_of_frame(co, &ar, scopes));
    return deadline_ns;
}

/* The soonest deadline of a call in L: on its stack, and on those of the coroutines that have resumed it. Where the task begins, the
 * deadlines of whoever runs the tasks do not count. Of coroutines that the main program resumes with Lua's own library only the
 * running one and the main thread are known. */
static int64_t soonest_deadline(lua_State *L, struct ss_env *env)
{
    const struct lss_scopes *scopes = lss_scopes(env);
    const struct lss_tasks *tasks = (const struct lss_tasks *)env->loop;
    bool in_task = tasks && tasks->runs;
    const struct lss_step *steps = in_task ? tasks->steps : scopes->steps;
    lua_State *outermost = in_task ? tasks->runs->co : scopes->main;
    int64_t deadline_ns = deadline_of_stack(L, scopes);
    if (in_task && tasks->ending)
        return deadline_ns;
    for (const struct lss_step *s = steps; s; s = s->outer) {
        if (s->co != L)
            deadline_ns = sooner_deadline(deadline_ns, deadline_of_stack(s->co, scopes));
        if (!s->outer || s->outer->co != s->resumer) /* Lua's own library has resumed that one, or nobody has */
            deadline_ns = sooner_deadline(deadline_ns, deadline_of_stack(s->resumer, scopes));
    }
    if (outermost && outermost != L)
        deadline_ns = sooner_deadline(deadline_ns, deadline_of_stack(outermost, scopes));
    return deadline_ns;
}

int64_t lss_shorten_timeout(lua_State *L, struct ss_env *env, int64_t timeout_ns, int64_t *deadline_ns)
{
    int64_t soonest_ns = soonest_deadline(L, env);
    if (soonest_ns == SS_NEVER)
        return timeout_ns;
    int64_t left_ns = ss_deadline_left(soonest_ns);
    if (timeout_ns >= 0 && timeout_ns <= left_ns)
        return timeout_ns;
    *deadline_ns = soonest_ns;
    return left_ns;
}

/* The function */

/* Pushes socket.within, made of LIBRARY in an environment with the functions that it uses. */
static void make_within(lua_State *L, struct lss_scopes *scopes)
{
    static const luaL_Reg functions[] = { { "enter", enter }, { "leave", leave }, { NULL, NULL } };
    lua_createtable(L, 0, 4);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    if (luaL_loadbuffer(L, LIBRARY, sizeof LIBRARY - 1, LSS_WITHIN_CHUNK) != 0)
        lua_error(L);
    lua_pushvalue(L, -2);
    lss_set_environment(L, -2);
    lua_call(L, 0, 0);
    lua_getfield(L, -1, "scope");
    scopes->function = lua_topointer(L, -1);
    lua_pop(L, 1);
    lua_getfield(L, -1, "within");
    lua_remove(L, -2);
}

/* A module that is loaded again keeps the function, whose calls may be under way. */
void lss_push_within(lua_State *L)
{
    static const luaL_Reg events[] = { { "__gc", limit_gc }, { NULL, NULL } }, none[] = { { NULL, NULL } };
    struct lss_scopes *scopes = lss_scopes(lss_env(L));
    lua_getfield(L, LUA_REGISTRYINDEX, WITHIN);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lss_register_class(L, LIMIT, events, none);
    luaL_getmetatable(L, LIMIT);
    scopes->type = lua_topointer(L, -1);
    lua_pop(L, 1);
    make_within(L, scopes);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, WITHIN);
}
