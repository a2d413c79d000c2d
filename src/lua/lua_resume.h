/* A task's coroutine begins, and goes on with the results of the call that it has waited in. */
#ifndef LSS_RESUME_H
#define LSS_RESUME_H

#include "lua/lua_task.h"

#pragma GCC visibility push(hidden)

/* Starts a new task, which runs at the next turn. Pops its handle and its coroutine from the top of the stack; the coroutine has a
 * function and `values` arguments. */
void lss_start_task(lua_State *L, struct lss_task *t, int values);

/* Finishes the call that a task has waited in and resumes the coroutine with the results. An error, of memory for instance, is
 * raised only before that, and the same may then be tried again. */
void lss_continue_task(lua_State *L, struct lss_task *t);

#pragma GCC visibility pop

#endif
