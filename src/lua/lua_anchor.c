/* Two tables for all tasks take less memory than a value for each. They never grow in place: Lua 5.1 leaves a table whose growing
 * has failed for want of memory with entries that it does not find (luaH_resize). */
#include "lua/lua_anchor.h"

#define HANDLES LSS_PREFIX "handles" /* registry: handles by anchor; an unused anchor has the next unused one, or 0 */
#define COROUTINES LSS_PREFIX "coroutines" /* registry: coroutines by anchor, or false */

void lss_open_anchors(lua_State *L)
{
    lua_newtable(L);
    lss_set_registry_once(L, HANDLES);
    lua_newtable(L);
    lss_set_registry_once(L, COROUTINES);
}

/* Pushes a copy of the first `n` entries of a table, with room for `room`. */
static void push_larger_table(lua_State *L, const char *name, int n, int room)
{
    lua_createtable(L, room, 0);
    lua_getfield(L, LUA_REGISTRYINDEX, name);
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -3, i);
    }
    lua_pop(L, 1);
}

static void grow_anchors(lua_State *L, struct lss_tasks *tasks)
{
    int n = tasks->room, room = n == 0 ? 16 : 2 * n;
    push_larger_table(L, HANDLES, n, room);
    for (int i = n + 1; i <= room; i++) {
        lua_pushinteger(L, i < room ? i + 1 : 0);
        lua_rawseti(L, -2, i);
    }
    push_larger_table(L, COROUTINES, n, room);
    if (tasks->room != n) { /* a finalizer has spawned a task and grown them */
        lua_pop(L, 2);
        return;
    }
    lua_setfield(L, LUA_REGISTRYINDEX, COROUTINES);
    lua_setfield(L, LUA_REGISTRYINDEX, HANDLES);
    tasks->free = n + 1;
    tasks->room = room;
}

/* Pops the value on top of the stack into a table. */
static void set_anchored(lua_State *L, const char *table, int anchor)
{
    lua_getfield(L, LUA_REGISTRYINDEX, table);
    lua_insert(L, -2);
    lua_rawseti(L, -2, anchor);
    lua_pop(L, 1);
}

static void push_anchored(lua_State *L, const char *table, int anchor)
{
    lua_getfield(L, LUA_REGISTRYINDEX, table);
    lua_rawgeti(L, -1, anchor);
    lua_remove(L, -2);
}

static void note_anchor(struct lss_tasks *tasks, int anchor, struct lss_task *t)
{
    if (anchor <= LSS_FEW)
        tasks->few[anchor - 1] = t;
}

void lss_anchor_task(lua_State *L, struct lss_task *t)
{
    struct lss_tasks *tasks = t->tasks;
    while (tasks->free == 0)
        grow_anchors(L, tasks);
    t->anchor = tasks->free;
    push_anchored(L, HANDLES, t->anchor);
    tasks->free = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    set_anchored(L, COROUTINES, t->anchor);
    set_anchored(L, HANDLES, t->anchor);
    note_anchor(tasks, t->anchor, t);
}

void lss_release_anchor(lua_State *L, const struct lss_task *t)
{
    lua_pushinteger(L, t->tasks->free);
    set_anchored(L, HANDLES, t->anchor);
    lua_pushboolean(L, 0);
    set_anchored(L, COROUTINES, t->anchor);
    t->tasks->free = t->anchor;
    note_anchor(t->tasks, t->anchor, NULL);
}

void lss_push_anchored(lua_State *L, const struct lss_task *t)
{
    push_anchored(L, HANDLES, t->anchor);
    push_anchored(L, COROUTINES, t->anchor);
}

void lss_push_handles(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, HANDLES);
}
