/* Copies of the module in one Lua state, and the module's other shared objects, share structs: all must be of one build. */
#ifndef LSS_BUILD_H
#define LSS_BUILD_H

#include "lua/lua_base.h"

#pragma GCC visibility push(hidden)

enum lss_builds {
    LSS_NO_BUILD, /* none is loaded */
    LSS_SAME_BUILD,
    LSS_OTHER_BUILD
};

/* What is loaded in this Lua state already. */
enum lss_builds lss_loaded_build(lua_State *L);

/* Registers this one. */
void lss_register_build(lua_State *L);

#pragma GCC visibility pop

#endif
