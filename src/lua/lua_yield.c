#include "lua/lua_yield.h"
#include "lua/lua_interrupt.h"

#include <lauxlib.h>
#include <string.h> /* strcmp */

#define CANNOT_WAIT \
    "cannot wait here, inside a metamethod, a finalizer or a function that C calls (table.sort, string.gsub, require)"

/* Predicting lua_yield */

#if LUA_VERSION_NUM >= 503 || LSS_JIT
bool lss_may_yield(lua_State *L)
{
    return lua_isyieldable(L);
}

bool lss_can_yield(lua_State *L)
{
    return lua_isyieldable(L);
}
#else
enum yield_certainty { NO, UNKNOWN, YES };

/* Whether lua_yield can cross this C function: pcall in Lua 5.2. Not xpcall: on the stack, an error handler looks like
 * a callee of the function that failed. */
#if LUA_VERSION_NUM == 502
#define PCALL LSS_PREFIX "pcall" /* registry: pcall, as it was when the module was loaded */

static bool is_pcall(lua_State *L, lua_Debug *ar)
{
    lua_getinfo(L, "f", ar);
    lua_getfield(L, LUA_REGISTRYINDEX, PCALL);
    bool same = lua_iscfunction(L, -1) && lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}
#else
static bool is_pcall(lua_State *L, lua_Debug *ar)
{
    (void)L, (void)ar;
    return false;
}
#endif

/* Whether Lua code called the function. Metamethods and finalizers have namewhat "metamethod" or no name. */
static bool is_plain_call(const lua_Debug *ar)
{
    return ar->name && strcmp(ar->namewhat, "metamethod") != 0;
}

static bool is_of_module(const lua_Debug *ar)
{
    return strcmp(ar->source, LSS_COROUTINE_CHUNK) == 0 || strcmp(ar->source, LSS_WITHIN_CHUNK) == 0;
}

static bool is_iterator(const lua_Debug *ar)
{
    return ar->name && strcmp(ar->name, "(for generator)") == 0;
}

/* Checks the functions on the stack, at most LEVELS: the cost of lua_getstack grows with the level. How the coroutine's
 * first function was called does not matter. */
static enum yield_certainty can_stack_yield(lua_State *L)
{
    enum { LEVELS = 100 };
    bool certain = !lua_gethookmask(L), plain = true;
    lua_Debug ar;
    for (int level = 0; level < LEVELS; level++) {
        if (!lua_getstack(L, level, &ar))
            return certain ? YES : UNKNOWN;
        lua_getinfo(L, "Sn", &ar);
        if (*ar.what == 't') /* a tail call in Lua 5.1, whose caller is unknown */
            continue;
        bool c = level > 0 && *ar.what == 'C', passes = c && is_pcall(L, &ar);
        if (is_iterator(&ar) || (c && !passes))
            return NO;
        certain = certain && (plain || passes);
        plain = is_plain_call(&ar) || is_of_module(&ar);
    }
    return UNKNOWN;
}

bool lss_may_yield(lua_State *L)
{
    return LUA_VERSION_NUM == 502 || can_stack_yield(L) != NO; /* Lua 5.2: C functions can permit yields (lua_callk) */
}

bool lss_can_yield(lua_State *L)
{
    return can_stack_yield(L) == YES;
}
#endif

#if LUA_VERSION_NUM == 502
lua_CFunction lss_running_function(lua_State *L)
{
    lua_Debug ar;
    lua_CFunction f = NULL;
    if (lua_getstack(L, 0, &ar)) {
        lua_getinfo(L, "f", &ar);
        f = lua_tocfunction(L, -1);
        lua_pop(L, 1);
    }
    return f;
}
#else
lua_CFunction lss_running_function(lua_State *L)
{
    (void)L;
    return NULL;
}
#endif

#if LUA_VERSION_NUM >= 502
int lss_yield_all(lua_State *L, const struct lss_call **at, const struct lss_call *call)
{
    *at = call;
    return lua_yield(L, lua_gettop(L)); /* does not return */
}
#else
int lss_yield_all(lua_State *L, const struct lss_call **at, const struct lss_call *call)
{
    int suspended = lua_yield(L, lua_gettop(L));
    *at = call;
    return suspended;
}
#endif

int lss_raise_cannot_wait(lua_State *L)
{
    if (LUA_VERSION_NUM >= 502 || LSS_JIT)
        return luaL_error(L, CANNOT_WAIT "; wait outside of that, or in a task of its own: socket.spawn(f):wait()");
    return luaL_error(L,
                      CANNOT_WAIT ", and in Lua 5.1 inside pcall and for ... in: instead of pcall(f) use "
                                  "socket.spawn(f):wait(), instead of for line in iterator use local line = iterator() "
                                  "while line do ... line = iterator() end");
}

/* Stack space */

#if LUA_VERSION_NUM >= 502
void lss_check_room(lua_State *L, int n)
{
    if (lua_checkstack(L, n))
        return;
    lua_pushliteral(L, "not enough memory"); /* Lua has rejected a number of values above its limit */
    lua_error(L);
}

bool lss_has_room(lua_State *co, int n)
{
    return lua_checkstack(co, n);
}

void lss_move_call(lua_State *L, lua_State *co, int n)
{
    if (!lua_checkstack(co, n + 1))
        luaL_error(L, "not enough memory");
    lua_xmove(L, co, n + 1);
}
#else
/* LuaJIT since 2023 also returns false for want of memory. */
void lss_check_room(lua_State *L, int n)
{
    if (lua_checkstack(L, n))
        return;
    if (lua_gettop(L) + n > LUAI_MAXCSTACK)
        luaL_error(L, "too many values");
    lua_pushliteral(L, "not enough memory");
    lua_error(L);
}

bool lss_has_room(lua_State *co, int n)
{
    (void)co;
    return n <= LSS_GUARANTEED_SLOTS;
}

struct move {
    lua_State *from;
    int n;
};

static int receive_moved_call(lua_State *co)
{
    const struct move *move = lua_touserdata(co, 1);
    lua_settop(co, 0);
    lss_check_room(co, move->n);
    lua_xmove(move->from, co, move->n);
    return move->n;
}

/* lua_checkstack may raise in `co`, and the collector shrinks a stack: a protected call in `co` grows the stack. */
void lss_move_call(lua_State *L, lua_State *co, int n)
{
    struct move move = { .from = L, .n = n + 1 };
    if (n < LSS_GUARANTEED_SLOTS) {
        lua_xmove(L, co, n + 1);
        return;
    }
    lss_check_room(L, 2);
    lua_pushcfunction(L, receive_moved_call);
    lua_pushlightuserdata(L, &move);
    lua_xmove(L, co, 2);
    if (lua_pcall(co, 1, LUA_MULTRET, 0) == 0)
        return;
    lua_xmove(co, L, 1);
    lua_error(L);
}
#endif

/* Tracebacks */

#if LUA_VERSION_NUM >= 502 || LSS_JIT
void lss_traceback(lua_State *L, lua_State *co, const char *message)
{
    if (LSS_JIT && strstr(message, "stack overflow")) /* luaL_traceback pushes functions onto the full stack */
        lua_pushstring(L, message);
    else
        luaL_traceback(L, co, message, 0);
}
#else
/* Calls debug.traceback, unless the program has removed or replaced that function. */
void lss_traceback(lua_State *L, lua_State *co, const char *message)
{
    int top = lua_gettop(L);
    lua_pushliteral(L, "debug");
    lua_rawget(L, LUA_GLOBALSINDEX);
    lua_pushliteral(L, "traceback");
    if (lua_istable(L, -2))
        lua_rawget(L, -2);
    bool can = lua_isfunction(L, -1);
    if (can) {
        lua_pushthread(co);
        lua_xmove(co, L, 1);
        lua_pushstring(L, message);
        can = lua_pcall(L, 2, 1, 0) == 0 && lua_isstring(L, -1);
    }
    if (!can)
        lua_pushstring(L, message);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}
#endif

/* Coroutines */

#if LUA_VERSION_NUM >= 502
void lss_wrap_body(lua_State *L, int index)
{
    (void)L, (void)index;
}
#else
/* A coroutine that starts with a C function cannot be resumed after a yield, which must return to a Lua function. */
void lss_wrap_body(lua_State *L, int index)
{
    if (!lua_iscfunction(L, index))
        return;
    if (luaL_loadstring(L, "local f = ... return function(...) return f(...) end") != 0)
        lua_error(L);
    lua_pushvalue(L, index);
    lua_call(L, 1, 1);
    lua_replace(L, index);
}
#endif

#if LUA_VERSION_NUM >= 504
#if LUA_VERSION_NUM >= 505 || LUA_VERSION_RELEASE_NUM >= 50406
#define close_thread(co, from) lua_closethread(co, from)
#else
#define close_thread(co, from) ((void)(from), lua_resetthread(co))
#endif

bool lss_close_variables(lua_State *L, lua_State *co)
{
    if (close_thread(co, L) == LUA_OK)
        return false;
    lua_xmove(co, L, 1);
    return true;
}
#else
bool lss_close_variables(lua_State *L, lua_State *co)
{
    (void)L, (void)co;
    return false;
}
#endif

#if LUA_VERSION_NUM >= 505
void lss_push_isolate(lua_State *L)
{
    bool is_main = lua_pushthread(L);
    lua_pop(L, 1);
    if (is_main)
        lua_pushnil(L);
    else
        lua_newthread(L);
}

static int resume_isolate(lua_State *L, lua_State *isolate)
{
    int n;
    lua_xmove(L, isolate, 2);
    int status = lua_resume(isolate, L, 1, &n);
    if (status == LUA_OK)
        return LUA_OK;
    lua_xmove(isolate, L, 1);
    lua_closethread(isolate, L); /* makes `isolate` resumable again */
    return status;
}

bool lss_call_isolated(lua_State *L)
{
    lua_State *isolate = lua_tothread(L, -1);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    return (isolate ? resume_isolate(L, isolate) : lua_pcall(L, 1, 0, 0)) == LUA_OK;
}
#else
void lss_push_isolate(lua_State *L)
{
    lua_pushnil(L);
}

bool lss_call_isolated(lua_State *L)
{
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    return lua_pcall(L, 1, 0, 0) == 0;
}
#endif

#if LSS_JIT
static void clear_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
}

void lss_open_yield(lua_State *L)
{
    (void)L;
}

/* Tests with a C call whether LuaJIT runs call hooks: no call hook runs inside a hook or finalizer. Keeps a hook that a
 * signal handler sets during the test. */
bool lss_can_resume(lua_State *L)
{
    lua_Hook hook = lua_gethook(L);
    int mask = lua_gethookmask(L), count = lua_gethookcount(L);
    lua_getfield(L, LUA_REGISTRYINDEX, LSS_NOTHING);
    lua_sethook(L, clear_hook, LUA_MASKCALL, 0);
    if (lua_pcall(L, 0, 0, 0) != 0)
        lua_pop(L, 1);
    lua_Hook now = lua_gethook(L);
    if (!now || now == clear_hook)
        lua_sethook(L, hook, mask, count);
    return now != clear_hook;
}
#else
void lss_open_yield(lua_State *L)
{
#if LUA_VERSION_NUM == 502
    lua_pushglobaltable(L);
    lua_pushliteral(L, "pcall");
    lua_rawget(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, PCALL);
    lua_pop(L, 1);
#else
    (void)L;
#endif
}

bool lss_can_resume(lua_State *L)
{
    (void)L;
    return true;
}
#endif
