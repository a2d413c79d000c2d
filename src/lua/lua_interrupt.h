/* Signals that come while the main program waits: Lua's hook runs before the wait goes on. */
#ifndef LSS_INTERRUPT_H
#define LSS_INTERRUPT_H

#include "lua/lua_base.h"

#pragma GCC visibility push(hidden)

#define LSS_NOTHING LSS_PREFIX "nothing" /* registry: a C function that does nothing */

/* Registers that function, when the module is loaded. */
void lss_open_interrupt(lua_State *L);

/* Gives the hook of `L` a chance to run, if there is one; it may raise, and do anything else that a program can do. */
void lss_run_hook(lua_State *L);

/* The same in a call whose wait has ended without its outcome (SS_WANT of a driver), and which no list of the loop has.
 * SS_WANT: the wait goes on | the call's outcome. */
enum ss_status lss_run_hook_in_call(lua_State *L, struct ss_sock *s, struct ss_op *op, const struct lss_call *call);

#pragma GCC visibility pop

#endif
