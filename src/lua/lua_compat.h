/* One spelling for Lua 5.1 (LuaJIT) to 5.5. */
#ifndef LSS_COMPAT_H
#define LSS_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

/* The headers of the module hide what they declare; this shows it again. */
#define LSS_EXPORT __attribute__((visibility("default")))

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

/* lua_pushlstring runs the collector before it copies, not after. */
#define LSS_COLLECTS_FIRST (LUA_VERSION_NUM < 503)

#endif
