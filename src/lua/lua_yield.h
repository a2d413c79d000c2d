/* Differences between the Luas in suspending a coroutine, and in working on one from outside. */
#ifndef LSS_YIELD_H
#define LSS_YIELD_H

#include "lua/lua_compat.h"

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Number of values for which every suspended or new coroutine has room on its stack: less than the LUA_MINSTACK of a C function,
 * and no more than LuaJIT's collector leaves. */
enum { LSS_ALWAYS_THERE = 8 };

/* Growing the stack of a suspended coroutine may raise an uncaught error in Lua 5.1 and LuaJIT. A call that may get many results
 * reserves room for so many before it is suspended, filled with nil. */
enum { LSS_RESERVE = LUA_VERSION_NUM < 502 ? 240 : 0 };

/* Whether a call may try to suspend the running coroutine. In Lua 5.1 and 5.2 this may be true where lua_yield raises. */
bool lss_may_yield(lua_State *L);

/* Whether lua_yield is certain to succeed. */
bool lss_can_yield(lua_State *L);

/* The C function that runs in L, or has suspended it; NULL in Luas where lua_yield succeeds whenever lss_may_yield is true. */
lua_CFunction lss_running_function(lua_State *L);

/* Suspends the running coroutine with all values of the call, which keep alive what the operation uses: LuaJIT drops what is not
 * yielded. Sets *at to `call`, perhaps also where lua_yield raises (lss_running_function). To be returned at once. */
struct lss_call;
int lss_yield_all(lua_State *L, const struct lss_call **at, const struct lss_call *call);

/* Makes the function at index 1 fit to start a coroutine. */
void lss_wrap_body(lua_State *L);

/* Raises that the running call would have to wait where no coroutine can be suspended. */
int lss_raise_cannot_wait(lua_State *L);

/* Whether coroutines can be resumed here: not in a hook or a finalizer of LuaJIT, which takes their yields for the hook's. */
bool lss_can_run(lua_State *L);

/* In Lua 5.5 a coroutine can close itself, and C functions that run in it get no chance to clean up. Code that must clean up calls
 * others in a coroutine of their own. Pushes that, or nil where none is needed. */
void lss_push_isolate(lua_State *L);

/* Calls a function with one argument in that coroutine; the three stay on top of the stack. False: it has raised, the error is
 * pushed. True is also the result when the coroutine was closed before the function reached its end. */
bool lss_call_isolated(lua_State *L);

/* Registers what these functions look up, when the module is loaded. */
void lss_open_yield(lua_State *L);

/* Makes room for `n` more values on the stack of L, or raises. */
void lss_check_room(lua_State *L, int n);

/* Whether there is room for `n` more values on the stack of the suspended coroutine `co`; raises nothing. */
bool lss_has_room(lua_State *co, int n);

/* Moves the function and its `n` arguments on top of L to the new coroutine `co`; errors are raised in L. */
void lss_move_call(lua_State *L, lua_State *co, int n);

/* Pushes `message` with the traceback of `co` onto L. */
void lss_traceback(lua_State *L, lua_State *co, const char *message);

/* Closes the <close> variables of a coroutine that is suspended, or has failed and has its error on top of its stack. True: an
 * error is left (the coroutine's, or one of a __close), which is moved to L. */
bool lss_close_variables(lua_State *L, lua_State *co);

#pragma GCC visibility pop

#endif
