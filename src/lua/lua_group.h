/* Groups of tasks: what the tasks' own code needs of them, and they of it. */
#ifndef LSS_GROUP_H
#define LSS_GROUP_H

#include "lua/lua_task.h"

#pragma GCC visibility push(hidden)

/* Registers the class when the module is loaded. */
void lss_open_groups(lua_State *L);

/* A task of a group has ended; the group is at index `group`, followed by the task's handle. Its failure cancels the others. */
void lss_leave_group(lua_State *L, struct lss_task *t, int group);

/* Whether somebody waits for all tasks of the task's group. */
static inline bool lss_is_group_awaited(const struct lss_task *t)
{
    return t->grouped && !ss_queue_is_empty(&((const struct lss_member *)t)->group->joiners);
}

/* Defined in lua_task.c. Pushes the handle of a new task: a struct of `size` bytes that begins with a struct lss_task. */
struct lss_task *lss_new_task(lua_State *L, size_t size);

/* Starts it. The handle is at index 1, and stays there; its function and arguments are all that follows. */
void lss_start_call(lua_State *L, struct lss_task *t);

#pragma GCC visibility pop

#endif
