/* Compatibility: one API for Lua 5.1 (LuaJIT) to 5.5. */
#ifndef LSS_COMPAT_H
#define LSS_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

/* Exports a function despite the visibility pragmas in the module's headers. */
#define LSS_EXPORT __attribute__((visibility("default")))

/* Keeps a long function out of the short one that calls it seldom: what it saves on the stack, each call would save. */
#define LSS_NOINLINE __attribute__((noinline))

#define LSS_VERSION "1.0.0"

/* Prefix of the module's registry keys, so that versions of the module in one Lua state do not share entries. */
#define LSS_PREFIX "ss" LSS_VERSION "." /* short: each look-up compares the whole key */

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#endif

#if LUA_VERSION_NUM < 503
#define lua_isinteger(L, i) 0 /* no integer subtype */
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
#define lss_gc_runs(L) 0 /* unknown in Lua 5.1, where a step would restart a collector that the program has stopped */
#endif

#ifdef LUA_GCISRUNNING
#define lss_gc_is_stopped(L) (!lua_gc(L, LUA_GCISRUNNING, 0))
#else
#define lss_gc_is_stopped(L) ((void)(L), 0)
#endif

#ifdef LUA_LJDIR /* defined in LuaJIT's luaconf.h */
#define LSS_JIT 1
#else
#define LSS_JIT 0
#endif

/* Whether the caller may run in a finalizer, where Lua stops the collector; unknown in Lua 5.1. */
static inline int lss_may_be_finalizer(lua_State *L)
{
    return LUA_VERSION_NUM < 502 ? !LSS_JIT : lss_gc_is_stopped(L);
}

#define LSS_HAS_CLOSE (LUA_VERSION_NUM >= 504) /* <close> variables exist */

/* Resumes `co` with its top `n` values as arguments; afterwards *results values are on top of `co`. */
#if LUA_VERSION_NUM >= 504
#define lss_resume(co, from, n, results) lua_resume(co, from, n, results)
#elif LUA_VERSION_NUM >= 502
#define lss_resume(co, from, n, results) lss_resumed(co, lua_resume(co, from, n), results)
#elif LSS_JIT
#define lss_resume(co, from, n, results) lss_resumed(co, lua_resume(co, n), results)
#else /* C calls count on from those of `from`, and so find their limit */
#define lss_resume(co, from, n, results) (lua_setlevel(from, co), lss_resumed(co, lua_resume(co, n), results))
#endif

static inline int lss_resumed(lua_State *co, int status, int *results)
{
    *results = lua_gettop(co);
    return status;
}

#if LUA_VERSION_NUM < 502
#define LUA_OK 0
#endif

/* Pops a table and makes it the environment of the loaded chunk at `index`. */
static inline void lss_set_environment(lua_State *L, int index)
{
#if LUA_VERSION_NUM >= 502
    lua_setupvalue(L, index, 1);
#else
    lua_setfenv(L, index);
#endif
}

/* The user value of a userdata. lss_keep pops a value from the stack and stores the value there. */
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

/* The user value must be a table: a value is wrapped in one. */
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

/* Up to Lua 5.3.2, lua_pushlstring runs the collector before copying the bytes, not after. */
#if LUA_VERSION_NUM == 503
#define LSS_COLLECTS_BEFORE_COPY (LUA_VERSION_RELEASE[sizeof LUA_VERSION_RELEASE - 2] < '3')
#else
#define LSS_COLLECTS_BEFORE_COPY (LUA_VERSION_NUM < 503)
#endif

#endif
