/* Compatibility: suspending the running coroutine, and access to a suspended one, in Lua 5.1 to 5.5. */
#ifndef LSS_YIELD_H
#define LSS_YIELD_H

#include "lua/lua_compat.h"

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Number of free stack slots of every suspended or new coroutine: less than LUA_MINSTACK, and at most what LuaJIT's
 * collector leaves. */
enum { LSS_GUARANTEED_SLOTS = 8 };

/* In Lua 5.1 and LuaJIT, growing the stack of a suspended coroutine may raise an uncaught error. A call that may return
 * many values reserves as many slots, filled with nil, before the coroutine is suspended. */
enum { LSS_RESERVE = LUA_VERSION_NUM < 502 ? 240 : 0 };

/* Names of the module's own Lua code. In Lua 5.1 a function that ends with a call of another is not on the stack: only the name tells
 * that code with this name is called by Lua alone. */
#define LSS_COROUTINE_CHUNK "=socket.coroutine"
#define LSS_WITHIN_CHUNK "=socket.within"

/* Whether lua_yield in the running coroutine may succeed. In Lua 5.1 and 5.2 lua_yield may raise despite true. */
bool lss_may_yield(lua_State *L);

/* Whether lua_yield is certain to succeed. */
bool lss_can_yield(lua_State *L);

/* Lua 5.2: the C function that runs in L or has suspended L. NULL elsewhere: *at is set only if lua_yield succeeds. */
lua_CFunction lss_running_function(lua_State *L);

/* Yields all values of the call, which keep the operation's objects alive: LuaJIT drops values that are not yielded.
 * Sets *at to `call`, in Lua 5.2 even if lua_yield raises (lss_running_function). The caller returns the result. */
struct lss_call;
int lss_yield_all(lua_State *L, const struct lss_call **at, const struct lss_call *call);

/* Wraps a C function at `index` in a Lua function where a coroutine must start with a Lua function. */
void lss_wrap_body(lua_State *L, int index);

/* Raises the error of a call that would block where the running coroutine cannot yield. */
int lss_raise_cannot_wait(lua_State *L);

/* Whether coroutines can be resumed here. False in LuaJIT's hooks and finalizers, which would receive the yields. */
bool lss_can_resume(lua_State *L);

/* In Lua 5.5 a coroutine can close itself, and C functions that run in it cannot clean up (coroutine.close). Code that
 * must clean up calls other code in a separate coroutine. Pushes such a coroutine, or nil where none is needed. */
void lss_push_isolate(lua_State *L);

/* On the stack, which stay: function, argument, isolate (lss_push_isolate). Calls the function in the isolate. False:
 * the error is pushed. True also if the isolate was closed before the function returned. */
bool lss_call_isolated(lua_State *L);

/* When the module is loaded: stores functions for the above in the registry. */
void lss_open_yield(lua_State *L);

/* Grows the stack of L for `n` more values (lua_checkstack), or raises. */
void lss_check_room(lua_State *L, int n);

/* Whether the stack of the suspended coroutine `co` has room for `n` more values; never raises. */
bool lss_has_room(lua_State *co, int n);

/* Moves the function and its `n` arguments from the top of L to the new coroutine `co`. Raises errors in L. */
void lss_move_call(lua_State *L, lua_State *co, int n);

/* Pushes `message` with the traceback of `co` onto L. */
void lss_traceback(lua_State *L, lua_State *co, const char *message);

/* Closes the <close> variables of a coroutine that is suspended, or has failed with its error on top of its stack.
 * True: the error of the coroutine or of a __close metamethod is moved to L. */
bool lss_close_variables(lua_State *L, lua_State *co);

#pragma GCC visibility pop

#endif
