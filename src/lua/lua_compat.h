/* One spelling for Lua 5.1 (LuaJIT) to 5.5. */
#ifndef LSS_COMPAT_H
#define LSS_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

/* The headers of the module hide what they declare; this shows it again. */
#define LSS_EXPORT __attribute__((visibility("default")))

#define LSS_VERSION "1.0.0"

/* All names in the registry begin like this: another version of the module in the same Lua state has its own. */
#define LSS_PREFIX "ss" LSS_VERSION "." /* short: Lua compares it with each look-up */

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#endif

#if LUA_VERSION_NUM < 503
#define lua_isinteger(L, i) 0 /* there are no integers of their own */
#endif

#if LUA_VERSION_NUM >= 504
#define lss_newuserdata(L, size) lua_newuserdatauv(L, size, 0)
#else
#define lss_newuserdata(L, size) lua_newuserdata(L, size)
#endif

#if LUA_VERSION_NUM >= 505
#define lss_gc_step(L, kilobytes) lua_gc(L, LUA_GCSTEP, (size_t)(kilobytes)*1024)
#else
#define lss_gc_step(L, kilobytes) lua_gc(L, LUA_GCSTEP, (int)(kilobytes))
#endif

#ifdef LUA_GCISRUNNING
#define lss_gc_runs(L) lua_gc(L, LUA_GCISRUNNING, 0)
#else
#define lss_gc_runs(L) 0 /* Lua 5.1: can't be asked, and a step would start a collector that the program has stopped */
#endif

#ifdef LUA_GCISRUNNING
#define lss_gc_is_stopped(L) (!lua_gc(L, LUA_GCISRUNNING, 0))
#else
#define lss_gc_is_stopped(L) ((void)(L), 0)
#endif

#ifdef LUA_LJDIR /* LuaJIT's luaconf.h has it */
#define LSS_JIT 1
#else
#define LSS_JIT 0
#endif

/* Whether this may run in a finalizer, where the collector is switched off; Lua 5.1 can't be asked. */
static inline int lss_may_be_finalizer(lua_State *L)
{
    return LUA_VERSION_NUM < 502 ? !LSS_JIT : lss_gc_is_stopped(L);
}

#define LSS_CLOSES (LUA_VERSION_NUM >= 504) /* there are variables with <close> */

/* Resumes with `n` values on top of `co`; *results of them are there afterwards. */
#if LUA_VERSION_NUM >= 504
#define lss_resume(co, from, n, results) lua_resume(co, from, n, results)
#elif LUA_VERSION_NUM >= 502
#define lss_resume(co, from, n, results) lss_resumed(co, lua_resume(co, from, n), results)
#else
#define lss_resume(co, from, n, results) lss_resumed(co, lua_resume(co, n), results)
#endif

static inline int lss_resumed(lua_State *co, int status, int *results)
{
    *results = lua_gettop(co);
    return status;
}

#if LUA_VERSION_NUM < 502
#define LUA_OK 0
#endif

/* One value that a userdata keeps alive. */
#if LUA_VERSION_NUM >= 504
#define lss_newuserdata_keeping(L, size) lua_newuserdatauv(L, size, 1)
#define lss_keep(L, index) lua_setiuservalue(L, index, 1)
#define lss_push_kept(L, index) lua_getiuservalue(L, index, 1)
#elif LUA_VERSION_NUM >= 503
#define lss_newuserdata_keeping(L, size) lua_newuserdata(L, size)
#define lss_keep(L, index) lua_setuservalue(L, index)
#define lss_push_kept(L, index) lua_getuservalue(L, index)
#else
#define lss_newuserdata_keeping(L, size) lua_newuserdata(L, size)
#if LUA_VERSION_NUM >= 502
#define lua_setfenv lua_setuservalue
#define lua_getfenv lua_getuservalue
#endif

/* Only a table can be kept. */
static inline void lss_keep(lua_State *L, int index)
{
    lua_createtable(L, 1, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, index);
}

static inline void lss_push_kept(lua_State *L, int index)
{
    lua_getfenv(L, index);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
}
#endif

/* lua_pushlstring runs the collector before it copies, not after: until Lua 5.3.2. */
#if LUA_VERSION_NUM == 503
#define LSS_COLLECTS_FIRST (LUA_VERSION_RELEASE[sizeof LUA_VERSION_RELEASE - 2] < '3')
#else
#define LSS_COLLECTS_FIRST (LUA_VERSION_NUM < 503)
#endif

#endif
