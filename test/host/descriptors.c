/*
 * descriptors: runs a program in a Lua state of its own, twice, and closes that.
 *
 *     descriptors CODE
 *
 * Exit status 0 if it raised nothing and left no descriptor.
 */
#include "left.h"

#include <stdio.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static int run(const char *code)
{
    lua_State *L = luaL_newstate();
#if LUA_VERSION_NUM >= 504
    lua_warning(L, "@off", 0); /* as lua(1) begins; since 5.5 a new state has them on */
#endif
    luaL_openlibs(L);
    int failed = luaL_loadstring(L, code) != 0 || lua_pcall(L, 0, 0, 0) != 0;
    if (failed)
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_settop(L, 0);
    lua_close(L);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    for (int round = 0; round < 2; round++) {
        int before = count_descriptors(), failed = run(argv[1]), after = wait_for_descriptors(before);
        if (before != after)
            fprintf(stderr, "%d descriptors before, %d after\n", before, after);
        if (failed || before != after)
            return 1;
    }
    return 0;
}
