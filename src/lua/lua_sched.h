/* The tasks of a Lua state: made with the first of them, freed with the state. */
#ifndef LSS_SCHED_H
#define LSS_SCHED_H

#include "lua/lua_task.h"

#pragma GCC visibility push(hidden)

/* The tasks of the state, made if need be; raises when the state is closing. */
struct lss_tasks *lss_tasks(lua_State *L);

/* Raises when the tasks have been freed with the Lua state. */
void lss_check_open(lua_State *L, const struct lss_tasks *tasks);

/* Frees the loop and the calls of all tasks. */
void lss_free_loop(lua_State *L, struct lss_tasks *tasks);

/* Closes the tasks when the Lua state closes; raises failures that were not reported. */
void lss_end_tasks(lua_State *L, struct ss_loop *loop);

#pragma GCC visibility pop

#endif
