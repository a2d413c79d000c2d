/* What differs between the Luas in suspending a coroutine, and in looking at one from outside. */
#ifndef LSS_YIELD_H
#define LSS_YIELD_H

#include "lua/lua_compat.h"

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Whether the running coroutine can be suspended where it is. Lua 5.2 can't be asked: there it is "no" in doubt. */
bool lss_can_yield(lua_State *L);
#define LSS_SURE_TO_YIELD (LUA_VERSION_NUM != 502)

/* Makes the function at index 1 fit for the beginning of a coroutine. */
void lss_wrap_body(lua_State *L);

/* Raises that a call has to wait where that is not possible. */
int lss_cannot_wait(lua_State *L);

/* Whether coroutines can be run here. LuaJIT takes what they yield for a debug hook's within a finalizer. */
bool lss_can_run(lua_State *L);

/* Has room for `n` more values on the stack of `co`; errors are raised in L. */
void lss_check_room(lua_State *L, lua_State *co, int n);

/* Pushes `message` with the traceback of `co` onto L. */
void lss_traceback(lua_State *L, lua_State *co, const char *message);

#pragma GCC visibility pop

#endif
