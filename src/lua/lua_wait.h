/* A call that may have to wait, when there are tasks. In a task it suspends the coroutine; the main program runs the tasks
 * meanwhile. */
#ifndef LSS_WAIT_H
#define LSS_WAIT_H

#include "lua/lua_task.h"

#pragma GCC visibility push(hidden)

/* lss_run_for when there are tasks. To be returned at once. */
int lss_run_with_tasks(lua_State *L, struct ss_loop *loop, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                       const struct lss_call *call);

/* Waits until somebody ends the waiter of `parked`, or for a time. To be returned at once. */
int lss_park(lua_State *L, struct lss_tasks *tasks, int64_t timeout_ns, struct lss_parked *parked,
             const struct lss_call *call);

/* socket.sleep when there are tasks. To be returned at once. */
int lss_sleep_with_tasks(lua_State *L, struct ss_loop *loop, int64_t timeout_ns);

/* In the main program, runs the tasks for a turn when many calls in a row have not waited: before a call, whose results an error
 * could discard. */
void lss_run_due_turn(lua_State *L, struct lss_tasks *tasks);

/* Returns the value on top of the stack from a call that did not wait; in a task after a turn of the loop if many calls in a row
 * have not waited. To be returned at once. */
int lss_return_after_turn(lua_State *L, struct lss_tasks *tasks);

/* Raises where a call that has to wait would; not always in Lua 5.1 and 5.2. */
void lss_check_can_wait(lua_State *L, const struct lss_tasks *tasks);

/* Whether a call is certain to be able to wait here. */
bool lss_may_wait(lua_State *L, const struct ss_env *env);

#pragma GCC visibility pop

#endif
