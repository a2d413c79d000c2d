/* How a task ends, and its outcome: results, or an error with its traceback, which the handle keeps. */
#ifndef LSS_OUTCOME_H
#define LSS_OUTCOME_H

#include "lua/lua_task.h"

#pragma GCC visibility push(hidden)

#define LSS_NO_MEMORY_FOR_ERROR "a task failed, and there was no memory for its error"

/* Registers what ending a task looks up, when the module is loaded. */
void lss_open_outcomes(lua_State *L);

/* Ends a task: LSS_DONE with `values` results, or LSS_FAILED with one error. They are on top of the coroutine's stack; an error
 * may be at index `error` of L instead (else 0). */
void lss_end_task(lua_State *L, struct lss_task *t, enum lss_state state, int values, int error);

/* Fails a task whose coroutine the program has resumed or closed. */
void lss_fail_invalidated_task(lua_State *L, struct lss_task *t);

/* Asks a task to end. False: it has ended, or is ending. */
bool lss_cancel_task(struct lss_task *t);

/* No task is ending any more, after what ended one was closed half-way. */
void lss_finish_ending(struct lss_tasks *tasks);

/* Pushes the outcome as results of task:wait; the handle of the ended task is on top of the stack. Returns their number. */
int lss_push_outcome(lua_State *L, struct lss_task *t);

/* The program has seen the outcome. */
void lss_mark_seen(struct lss_task *t);

/* Pushes the message of a failure that nobody has seen; the handle is at `index`. */
void lss_push_failure_message(lua_State *L, int index, const struct lss_task *t);

#pragma GCC visibility pop

#endif
