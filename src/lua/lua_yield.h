/* What differs between the Luas in suspending a coroutine, and in looking at one from outside. */
#ifndef LSS_YIELD_H
#define LSS_YIELD_H

#include "lua/lua_compat.h"

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Values for which there is room on the stack of every suspended or new coroutine: less than the LUA_MINSTACK that a C function
 * has, and LuaJIT's collector leaves at least as much. */
enum { LSS_ALWAYS_THERE = 8 };

/* Lua 5.1 and LuaJIT cannot make the stack of a suspended coroutine larger without risking an error there, which nobody would
 * catch. A call that may get many results reserves room for them, filled with nil, before it is suspended. */
enum { LSS_RESERVE = LUA_VERSION_NUM < 502 ? 240 : 0 };

/* Whether a call that has to wait may try to suspend the running coroutine. Lua 5.1 and 5.2 cannot always be asked: then yes,
 * and lua_yield raises where that is not possible. */
bool lss_may_yield(lua_State *L);

/* Whether lua_yield is certain to succeed: no in doubt. */
bool lss_can_yield(lua_State *L);

/* The C function that runs in L, or that has suspended it; NULL where lua_yield raises only if lss_may_yield has said no. */
lua_CFunction lss_running_function(lua_State *L);

/* Suspends the call with all that it has on its stack: LuaJIT forgets what is not yielded, and what the operation uses is kept
 * alive there. *at is `way` then; where Lua raises instead it may be so too (lss_running_function). To be returned at once. */
struct lss_call;
int lss_yield_all(lua_State *L, const struct lss_call **at, const struct lss_call *call);

/* Makes the function at index 1 fit for the beginning of a coroutine. */
void lss_wrap_body(lua_State *L);

/* Raises that a call has to wait where that is not possible. */
int lss_cannot_wait(lua_State *L);

/* Whether coroutines can be run here: not in a hook or a finalizer of LuaJIT, which takes what they yield for the hook's. */
bool lss_can_run(lua_State *L);

/* Lua 5.5 lets a coroutine close itself, which leaves no C function that it is in a chance to clean up. What must not be left so is
 * called in a coroutine of its own. Pushes that, or nil where it is not needed. */
void lss_push_shelter(lua_State *L);

/* Calls the function below its argument, below what lss_push_shelter has pushed, all of which stay. False: it has failed, the
 * error is pushed. True, and it has not come to its end: it has been closed. */
bool lss_call_sheltered(lua_State *L);

/* Prepares what these functions look up, when the module is loaded. */
void lss_open_yield(lua_State *L);

/* Has room for `n` more values on the stack of L, or raises. */
void lss_check_room(lua_State *L, int n);

/* Has room for `n` more values on the stack of the suspended coroutine `co`; raises nothing. */
bool lss_has_room(lua_State *co, int n);

/* Moves the function and its `n` arguments on top of L to the new coroutine `co`; errors are raised in L. */
void lss_move_call(lua_State *L, lua_State *co, int n);

/* Pushes `message` with the traceback of `co` onto L. */
void lss_traceback(lua_State *L, lua_State *co, const char *message);

/* Closes the <close> variables of a coroutine that is suspended, or has failed and has its error on top of its stack. True: they
 * are left with an error (that one, or one of theirs), which is moved to L. */
bool lss_close_variables(lua_State *L, lua_State *co);

#pragma GCC visibility pop

#endif
