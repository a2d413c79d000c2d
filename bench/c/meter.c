/* The stopwatch for programs in Lua, and what else they can't do alone: require "meter". */
#include "common.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <unistd.h> /* sysconf */
#include <valgrind/callgrind.h>

/* Callgrind, started with --collect-atstart=no, counts what runs between start and stop, and the freeing of what was made
 * meanwhile; elsewhere the requests do nothing. What a program does before it begins depends on the lengths of paths and on the
 * port, through Lua's hashes. */
static int start(lua_State *L)
{
    (void)L;
    meter_start();
    CALLGRIND_TOGGLE_COLLECT;
    return 0;
}

static int stop(lua_State *L)
{
    if (RUNNING_ON_VALGRIND)
        lua_gc(L, LUA_GCCOLLECT, 0);
    CALLGRIND_TOGGLE_COLLECT;
    meter_stop((double)luaL_checknumber(L, 1));
    return 0;
}

/* A random string, the same in each run. */
static int random_string(lua_State *L)
{
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (lua_Integer left = luaL_checkinteger(L, 1); left > 0; left--) {
        char c;
        fill_random(&c, 1);
        luaL_addchar(&buffer, c);
    }
    luaL_pushresult(&buffer);
    return 1;
}

/* Bytes of memory that the process has in use (proc(5), statm). */
static int resident(lua_State *L)
{
    double pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*s %lf", &pages) != 1)
        die("statm");
    fclose(f);
    lua_pushnumber(L, (lua_Number)pages * (lua_Number)sysconf(_SC_PAGESIZE));
    return 1;
}

static const luaL_Reg functions[] = {
    { "start", start }, { "stop", stop }, { "random", random_string }, { "resident", resident }, { NULL, NULL },
};

__attribute__((visibility("default"))) int luaopen_meter(lua_State *L);

int luaopen_meter(lua_State *L)
{
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}
