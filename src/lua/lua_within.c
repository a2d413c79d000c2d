/* socket.within: one deadline for all calls that a function makes. The deadline is an argument of a Lua function on the stack
 * (LIBRARY: scope), and a call that would wait asks whether that function is still on the stacks that have led to it. So nothing has
 * to be undone when an error leaves the function, or when a coroutine yields out of it or is dropped. */
#include "lua/lua_task.h"
#include "lua/lua_yield.h"
#include "run/deadline.h"

#define LIMIT LSS_PREFIX "limit"
#define LIMITS LSS_PREFIX "limits" /* registry: by coroutine (weak keys), an array of its limits, the outermost first */
#define WITHIN LSS_PREFIX "within" /* registry: the function */

/* The program's function is no tail call, so that scope is on the stack meanwhile. The functions are global in an environment of
 * their own, as in lua_coroutine.c. */
static const char LIBRARY[] = "function scope(limit, _, f, ...) return leave(limit, f(...)) end\n"
                              "function within(...) return scope(enter(...), ...) end\n";

/* A deadline, in a userdata: its finalizer tells that the coroutine with the call of socket.within is gone. */
struct limit {
    struct lss_scopes *scopes;
    int64_t deadline_ns; /* the soonest of this call and those around it; SS_NEVER: none */
    int below;           /* number of levels of the stack (lua_getstack) below scope */
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

/* The limit at `index` of a stack, or NULL: the debug library may have put anything there. Raises nothing. */
static struct limit *test_limit(lua_State *L, int index, const struct lss_scopes *scopes)
{
    struct limit *limit = lua_touserdata(L, index);
    if (!limit || !lua_getmetatable(L, index))
        return NULL;
    bool same = lua_topointer(L, -1) == scopes->type;
    lua_pop(L, 1);
    return same ? limit : NULL;
}

/* Looking for limits */

/* lua_getstack counts from the top, and takes as long as it counts: few calls of it. */
static int depth_of_stack(lua_State *co)
{
    lua_Debug ar;
    int low = 0, high = 1;
    if (!lua_getstack(co, 0, &ar))
        return 0;
    for (; lua_getstack(co, high, &ar); high *= 2)
        low = high;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (lua_getstack(co, middle, &ar))
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Whether scope runs with this limit in `co`, whose stack has `depth` levels. */
static bool is_on_stack(lua_State *co, const struct limit *limit, int depth)
{
    lua_Debug ar;
    int level = depth - 1 - limit->below;
    if (level < 0 || !lua_getstack(co, level, &ar))
        return false;
    lua_getinfo(co, "f", &ar);
    bool is_scope = lua_topointer(co, -1) == limit->scopes->function;
    lua_pop(co, 1);
    if (!is_scope || !lua_getlocal(co, &ar, 1))
        return false;
    bool same = lua_touserdata(co, -1) == limit;
    lua_pop(co, 1);
    return same;
}

/* Pushes the array of the coroutine's limits, or nil. Raises nothing. */
static void push_limits(lua_State *L, lua_State *co)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LIMITS);
    lua_pushthread(co);
    if (co != L)
        lua_xmove(co, L, 1);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

/* Removes the last of `n` limits in the array on top of the stack. */
static void remove_limit(lua_State *L, struct limit *limit, int n)
{
    if (limit)
        stop_counting(limit);
    lua_pushnil(L);
    lua_rawseti(L, -2, n);
}

static struct limit *get_limit(lua_State *L, int i, const struct lss_scopes *scopes)
{
    lua_rawgeti(L, -1, i);
    struct limit *limit = test_limit(L, -1, scopes);
    lua_pop(L, 1);
    return limit;
}

static int count_limits(lua_State *L)
{
    return lua_istable(L, -1) ? (int)lua_rawlen(L, -1) : 0;
}

/* The innermost limit in the array on top of the stack, which is the coroutine's, or NULL. Removes those whose calls an error has
 * ended. */
static const struct limit *innermost_limit(lua_State *L, lua_State *co, const struct lss_scopes *scopes)
{
    int n = count_limits(L), depth = n > 0 ? depth_of_stack(co) : 0;
    for (; n > 0; n--) {
        struct limit *limit = get_limit(L, n, scopes);
        if (limit && is_on_stack(co, limit, depth))
            return limit;
        remove_limit(L, limit, n);
    }
    return NULL;
}

static int64_t sooner_deadline(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static int64_t deadline_of_stack(lua_State *L, lua_State *co, const struct lss_scopes *scopes)
{
    push_limits(L, co);
    const struct limit *limit = innermost_limit(L, co, scopes);
    lua_pop(L, 1);
    return limit ? limit->deadline_ns : SS_NEVER;
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
    int64_t deadline_ns = deadline_of_stack(L, L, scopes);
    if (in_task && tasks->ending)
        return deadline_ns;
    for (const struct lss_step *s = steps; s; s = s->outer) {
        if (s->co != L)
            deadline_ns = sooner_deadline(deadline_ns, deadline_of_stack(L, s->co, scopes));
        if (!s->outer || s->outer->co != s->resumer) /* Lua's own library has resumed that one, or nobody has */
            deadline_ns = sooner_deadline(deadline_ns, deadline_of_stack(L, s->resumer, scopes));
    }
    if (outermost && outermost != L)
        deadline_ns = sooner_deadline(deadline_ns, deadline_of_stack(L, outermost, scopes));
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

/* Entering and leaving */

/* Pushes a new array for the limits of L in place of nil. */
static void replace_by_array(lua_State *L)
{
    lua_pop(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, LIMITS);
    lua_pushthread(L);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, -1);
    lua_insert(L, -4);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* The limit is on top of the stack. This function is enter's, which LIBRARY's within has called; scope takes the place of within. */
static void add_limit(lua_State *L, struct limit *limit, int64_t deadline_ns)
{
    enum { TAIL_CALL = LUA_VERSION_NUM == 501 && !LSS_JIT }; /* there a level of its own, below the function */
    push_limits(L, L);
    const struct limit *outer = innermost_limit(L, L, limit->scopes);
    limit->deadline_ns = outer ? sooner_deadline(outer->deadline_ns, deadline_ns) : deadline_ns;
    limit->below = depth_of_stack(L) - 2 + TAIL_CALL;
    if (!lua_istable(L, -1))
        replace_by_array(L);
    int n = count_limits(L);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, n + 1);
    lua_pop(L, 1);
    limit->counted = true;
    limit->scopes->n++;
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
    if (timeout_ns >= 0)
        add_limit(L, limit, ss_deadline_after(timeout_ns));
    return 1;
}

/* Removes the limit, and those of calls in it that a hook's error has ended. */
static void remove_limits_from(lua_State *L, const struct limit *from, const struct lss_scopes *scopes)
{
    int n, at;
    push_limits(L, L);
    at = n = count_limits(L);
    while (at > 0 && get_limit(L, at, scopes) != from)
        at--;
    for (; at > 0 && n >= at; n--)
        remove_limit(L, get_limit(L, n, scopes), n);
    lua_pop(L, 1);
}

/* Returns what follows the limit: the function's results. */
static int leave(lua_State *L)
{
    const struct lss_scopes *scopes = lss_scopes(lss_env(L));
    const struct limit *limit = test_limit(L, 1, scopes);
    if (limit && limit->counted && lua_checkstack(L, LUA_MINSTACK))
        remove_limits_from(L, limit, scopes);
    return lua_gettop(L) > 0 ? lua_gettop(L) - 1 : 0; /* in Lua 5.1 a program can call it by getfenv */
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

static void push_weak_table(lua_State *L)
{
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
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
    push_weak_table(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LIMITS);
    make_within(L, scopes);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, WITHIN);
}
