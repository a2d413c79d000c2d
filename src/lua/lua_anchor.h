/* Anchors keep tasks and their coroutines alive until they end, whether the program has their handles or not. */
#ifndef LSS_ANCHOR_H
#define LSS_ANCHOR_H

#include "lua/lua_task.h"

#pragma GCC visibility push(hidden)

/* Makes the tables of anchors when the module is loaded. */
void lss_open_anchors(lua_State *L);

/* Anchors a task; pops its handle and its coroutine from the top of the stack. */
void lss_anchor_task(lua_State *L, struct lss_task *t);

/* The collector may free the task and its coroutine from now on. */
void lss_release_anchor(lua_State *L, const struct lss_task *t);

/* Pushes the handle and the coroutine of an anchored task. */
void lss_push_anchored(lua_State *L, const struct lss_task *t);

/* Pushes the table of handles: [1, tasks->room], other values than userdata where an anchor is unused. */
void lss_push_handles(lua_State *L);

#pragma GCC visibility pop

#endif
