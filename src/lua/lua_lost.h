/* Waits that are lost: the program has closed the coroutine of a task that waits, or resumed it to its end. Lua tells nobody, so
 * the coroutines are looked at. */
#ifndef LSS_LOST_H
#define LSS_LOST_H

#include "lua/lua_task.h"

#pragma GCC visibility push(hidden)

/* Before the loop sleeps: ends the waits of tasks whose coroutine does not wait any more. With few tasks each time; with more at
 * most for a hundredth of the time, and a thousand times a second. Returns how long the loop may sleep, at most `timeout_ns`. */
int64_t lss_end_lost_waits(lua_State *L, struct lss_tasks *tasks, int64_t timeout_ns);

/* The same for all tasks, now, and for calls in coroutines that were resumed in them. */
void lss_end_all_lost_waits(lua_State *L, struct lss_tasks *tasks);

#pragma GCC visibility pop

#endif
