/* Failures of tasks that nobody can wait for any more: kept until socket.onerror or socket.run reports them. */
#ifndef LSS_FAILURE_H
#define LSS_FAILURE_H

#include "lua/lua_task.h"

#pragma GCC visibility push(hidden)

/* Makes the list of them when the module is loaded. */
void lss_open_failures(lua_State *L);

/* Pushes the table that is the module, where the program sets `onerror`. A Lua state has one, however often it is loaded. */
void lss_push_module(lua_State *L);

/* Keeps the failure of a task that is being collected; the handle is at index 1. */
void lss_keep_failure(lua_State *L, struct lss_task *t);

/* Calls socket.onerror, if that is set, with each failure. */
void lss_report_failures(lua_State *L, struct lss_tasks *tasks);

/* The same after a collection; raises those that are left. */
int lss_raise_failures(lua_State *L, struct lss_tasks *tasks);

/* The same at the end of the Lua state, without a collection. */
void lss_raise_last_failures(lua_State *L, struct lss_tasks *tasks);

/* Raises that nothing can end the waits, and the failures so far. */
int lss_raise_deadlock(lua_State *L, struct lss_tasks *tasks);

#pragma GCC visibility pop

#endif
