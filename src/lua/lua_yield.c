#include "lua/lua_yield.h"

#include <lauxlib.h>
#include <string.h> /* strcmp */

#define CANNOT_WAIT \
    "cannot wait here, inside a metamethod, a finalizer or a function that C calls (table.sort, string.gsub, require)"

#if LUA_VERSION_NUM >= 503 || LSS_JIT
bool lss_can_yield(lua_State *L)
{
    return lua_isyieldable(L);
}
#elif LUA_VERSION_NUM == 502
static bool is_global(lua_State *L, const char *name, lua_CFunction f)
{
    lua_getglobal(L, name);
    bool same = lua_tocfunction(L, -1) == f;
    lua_pop(L, 1);
    return same;
}

/* Between Lua functions there may be pcall and xpcall, of all C functions. */
bool lss_can_yield(lua_State *L)
{
    lua_Debug ar;
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sf", &ar);
        lua_CFunction f = lua_tocfunction(L, -1);
        lua_pop(L, 1);
        if (*ar.what == 'C' && !is_global(L, "pcall", f) && !is_global(L, "xpcall", f))
            return false;
    }
    return true;
}
#else
/* No C function may be in between, and no loop that calls an iterator. */
bool lss_can_yield(lua_State *L)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sn", &ar);
        if ((level > 0 && *ar.what == 'C') || (ar.name && strcmp(ar.name, "(for generator)") == 0))
            return false;
    }
    return true;
}
#endif

int lss_cannot_wait(lua_State *L)
{
    if (LUA_VERSION_NUM >= 502 || LSS_JIT)
        return luaL_error(L, CANNOT_WAIT "; wait outside of that, or in a task of its own: socket.spawn(f):wait()");
    return luaL_error(L,
                      CANNOT_WAIT ", and in Lua 5.1 inside pcall and for ... in: instead of pcall(f) use "
                                  "socket.spawn(f):wait(), instead of for line in iterator use local line = iterator() "
                                  "while line do ... line = iterator() end");
}

#if LUA_VERSION_NUM >= 502
void lss_check_room(lua_State *L, lua_State *co, int n)
{
    if (lua_checkstack(co, n))
        return;
    lua_pushliteral(L, "not enough memory"); /* more values than a stack may have are refused by Lua before */
    lua_error(L);
}
#else
/* lua_checkstack raises its errors in `co`, where nobody would catch them. */
static int check_room(lua_State *co)
{
    const int *n = lua_touserdata(co, 1);
    luaL_checkstack(co, *n, "too many values");
    return 0;
}

void lss_check_room(lua_State *L, lua_State *co, int n)
{
    enum { ALWAYS_THERE = 8 }; /* of the LUA_MINSTACK that a C function has */
    if (L == co)
        luaL_checkstack(L, n, "too many values");
    else if (n > ALWAYS_THERE && lua_cpcall(co, check_room, &n) != 0)
        luaL_error(L, "not enough memory");
}
#endif

#if LUA_VERSION_NUM >= 502 || LSS_JIT
void lss_traceback(lua_State *L, lua_State *co, const char *message)
{
    if (LSS_JIT && strstr(message, "stack overflow")) /* it pushes each function onto that stack */
        lua_pushstring(L, message);
    else
        luaL_traceback(L, co, message, 0);
}
#else
/* By debug.traceback, if the program has left that where it was. */
void lss_traceback(lua_State *L, lua_State *co, const char *message)
{
    int top = lua_gettop(L);
    lua_getglobal(L, "debug");
    if (lua_istable(L, -1))
        lua_getfield(L, -1, "traceback");
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

#if LUA_VERSION_NUM >= 502
void lss_wrap_body(lua_State *L)
{
    (void)L;
}
#else
/* A coroutine that begins with a C function can't go on after a yield: there is no Lua function to go on with. */
void lss_wrap_body(lua_State *L)
{
    if (!lua_iscfunction(L, 1))
        return;
    if (luaL_loadstring(L, "local f = ... return function(...) return f(...) end") != 0)
        lua_error(L);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    lua_replace(L, 1);
}
#endif

#if LSS_JIT
#define PROBE "ssocket.probe" /* registry: a coroutine that does nothing but yield true */

static int yield_true(lua_State *L)
{
    lua_pushboolean(L, 1);
    return lua_yield(L, 1);
}

static lua_State *new_probe(lua_State *L)
{
    lua_State *co = lua_newthread(L);
    if (luaL_loadstring(co, "local yield_true = ... while true do yield_true() end") != 0)
        return NULL;
    lua_pushcfunction(co, yield_true);
    lua_setfield(L, LUA_REGISTRYINDEX, PROBE);
    return co;
}

bool lss_can_run(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, PROBE);
    lua_State *co = lua_tothread(L, -1);
    lua_pop(L, 1);
    bool is_new = !co;
    co = is_new ? new_probe(L) : co;
    bool can = co && lua_resume(co, is_new ? 1 : 0) == LUA_YIELD && lua_gettop(co) == 1 && lua_toboolean(co, 1);
    if (can) {
        lua_settop(co, 0);
        return true;
    }
    lua_pushnil(L); /* it is of no use any more */
    lua_setfield(L, LUA_REGISTRYINDEX, PROBE);
    return false;
}
#else
bool lss_can_run(lua_State *L)
{
    (void)L;
    return true;
}
#endif
