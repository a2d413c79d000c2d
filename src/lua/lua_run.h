/* The main program runs the loop: for one turn, until all tasks have ended, or until a call of its own has. */
#ifndef LSS_RUN_H
#define LSS_RUN_H

#include "lua/lua_task.h"

#pragma GCC visibility push(hidden)

/* Registers what a run looks up, when the module is loaded. */
void lss_open_runs(lua_State *L);

/* Runs tasks for one turn, which waits for at most `timeout_ns`. */
void lss_run_turn(lua_State *L, struct lss_tasks *tasks, int64_t timeout_ns);

/* Runs tasks until none is left but those in the background. SS_OK | SS_TIMEOUT: socket.within has ended the run |
 * SS_ERROR: no memory for its timer. */
enum ss_status lss_run_all(lua_State *L, struct lss_tasks *tasks);

/* Runs tasks until an operation of `s` (or NULL) has ended. SS_WANT: a signal came before that, and the hook is to run; the
 * operation is in no list any more. */
enum ss_status lss_wait_in_main(lua_State *L, struct lss_tasks *tasks, struct ss_sock *s, const struct lss_call *call,
                                struct ss_op *op, int64_t deadline_ns);

/* When a turn has something to do apart from descriptors: SS_NEVER, or a time that may have passed. */
int64_t lss_next_turn_ns(lua_State *L, struct lss_tasks *tasks);

#pragma GCC visibility pop

#endif
