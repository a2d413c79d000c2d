/* socket.group: tasks that end together. The program's handle and the live tasks keep the group, so the collector takes the handle
 * alone while there are tasks, and the group is there until the last has ended, even if the handle's finalizer could not run. */
#include "lua/lua_group.h"
#include "lua/lua_failure.h"
#include "lua/lua_outcome.h"
#include "lua/lua_sched.h"
#include "lua/lua_wait.h"

#define GROUP LSS_PREFIX "group"

enum { FAILURE = 1 }; /* element of the table that a group keeps */

/* The userdata that the program has. It keeps the group. */
struct group_handle {
    struct lss_group *group;
};

static struct lss_group *handled_group(const void *userdata)
{
    return ((const struct group_handle *)userdata)->group;
}

static struct lss_group *self_group(lua_State *L)
{
    struct lss_group *g = handled_group(lss_self(L));
    lss_check_open(L, g->tasks);
    return g;
}

/* Pushes a group, with the table that it keeps. */
static struct lss_group *push_new_group(lua_State *L, struct lss_tasks *tasks)
{
    struct lss_group *g = lss_newuserdata_keeping(L, sizeof *g);
    *g = (struct lss_group){ .tasks = tasks };
    ss_queue_init(&g->joiners);
    lua_createtable(L, FAILURE, 0);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, FAILURE);
    lss_keep(L, lua_gettop(L) - 1);
    return g;
}

int lss_group(lua_State *L)
{
    struct lss_tasks *tasks = lss_tasks(L);
    lua_settop(L, 0);
    struct group_handle *handle = lss_newuserdata_keeping(L, sizeof *handle);
    handle->group = push_new_group(L, tasks);
    lss_keep(L, 1);
    luaL_getmetatable(L, GROUP);
    lua_setmetatable(L, 1);
    return 1;
}

/* Members */

static void add_member(struct lss_group *g, struct lss_member *m)
{
    m->group = g;
    m->next = g->members;
    m->at = &g->members;
    if (m->next)
        m->next->at = &m->next;
    g->members = m;
    g->n++;
    m->task.grouped = true;
}

static void remove_member(struct lss_member *m)
{
    *m->at = m->next;
    if (m->next)
        m->next->at = m->at;
    m->group->n--;
    m->task.grouped = false;
}

static bool cancel_members(struct lss_group *g)
{
    bool any = false;
    g->cancelled = true;
    for (struct lss_member *m = g->members; m; m = m->next)
        any = lss_cancel_task(&m->task) || any;
    return any;
}

/* Stores the task's handle, at index `group` + 1, as the group's outcome. Allocates nothing: the element exists. */
static void set_failure(lua_State *L, int group)
{
    lss_push_kept(L, group);
    lua_pushvalue(L, group + 1);
    lua_rawseti(L, -2, FAILURE);
    lua_pop(L, 1);
}

static bool has_outcome(lua_State *L, int group)
{
    lss_push_kept(L, group);
    lua_rawgeti(L, -1, FAILURE);
    bool has = lua_isuserdata(L, -1);
    lua_pop(L, 2);
    return has;
}

/* The first failure counts; one of a task that was cancelled only while there is no other, and it cancels nobody. */
static void note_failure(lua_State *L, struct lss_group *g, const struct lss_task *t, int group)
{
    if (t->cancelled && !has_outcome(L, group))
        set_failure(L, group);
    if (t->cancelled || g->failed)
        return;
    set_failure(L, group);
    g->failed = true;
    cancel_members(g);
}

void lss_leave_group(lua_State *L, struct lss_task *t, int group)
{
    struct lss_member *m = (struct lss_member *)t;
    struct lss_group *g = m->group;
    struct ss_waiter *joiner;
    remove_member(m);
    if (t->state == LSS_FAILED)
        note_failure(L, g, t, group);
    while (!g->members && (joiner = ss_queue_first(&g->joiners)) != NULL)
        ss_loop_end(&g->tasks->loop, joiner, SS_OK);
}

static int group_spawn(lua_State *L)
{
    struct lss_group *g = self_group(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lss_push_kept(L, 1);
    struct lss_member *m = (struct lss_member *)lss_new_task(L, sizeof *m);
    lua_insert(L, -2);
    lss_keep(L, lua_gettop(L) - 1); /* the group: from here on the task keeps it */
    lua_replace(L, 1);
    lss_start_call(L, &m->task);
    add_member(g, m);
    m->task.cancelled = g->cancelled;
    return 1;
}

/* wait */

/* The handle is at `index`. */
static int push_group_outcome(lua_State *L, int index)
{
    lss_push_kept(L, index);
    lss_push_kept(L, lua_gettop(L));
    lua_rawgeti(L, -1, FAILURE);
    struct lss_task *failed = lua_touserdata(L, -1);
    if (!failed) {
        lua_pushboolean(L, 1);
        return 1;
    }
    int n = lss_push_outcome(L, failed);
    lss_mark_seen(failed);
    return n;
}

static int finish_group_wait(lua_State *L, struct ss_op *op, enum ss_status st)
{
    const struct lss_group *g = handled_group(lua_touserdata(L, -1));
    if (g->members && st != SS_OK)
        return lss_push_failure(L, 1, st, &op->error);
    return push_group_outcome(L, lua_gettop(L));
}

static enum ss_status look_at_group(lua_State *L, struct ss_op *op)
{
    (void)op;
    return handled_group(lua_touserdata(L, -1))->members ? SS_WANT : SS_OK;
}

static bool is_own_group(const struct lss_group *g)
{
    const struct lss_task *t = g->tasks->runs;
    return t && t->grouped && ((const struct lss_member *)t)->group == g;
}

static int group_wait(lua_State *L)
{
    static const struct lss_call call = {
        .finish = finish_group_wait, .look_again = look_at_group, .size = sizeof(struct lss_parked), .keep = 1
    };
    struct lss_group *g = self_group(L);
    int64_t timeout_ns = lss_check_timeout(L, 2);
    struct lss_parked parked = { .queue = g->members ? &g->joiners : NULL };
    if (is_own_group(g))
        luaL_error(L, "a task cannot wait for its own group");
    lua_settop(L, 1);
    return lss_park(L, g->tasks, g->members ? timeout_ns : 0, &parked, &call);
}

/* cancel, and the end */

static int group_cancel(lua_State *L)
{
    struct lss_group *g = handled_group(lss_self(L));
    lua_pushboolean(L, !g->tasks->closed && cancel_members(g));
    return 1;
}

/* A waiting call keeps the handle, so the waiters are those of coroutines that the program has closed. */
static int group_gc(lua_State *L)
{
    struct lss_group *g = handled_group(lss_self(L));
    struct ss_waiter *joiner;
    if (!g->tasks->closed)
        cancel_members(g);
    while (!g->tasks->closed && (joiner = ss_queue_first(&g->joiners)) != NULL)
        ss_loop_end(&g->tasks->loop, joiner, SS_CANCELLED);
    if (g->tasks->closing) {
        lua_pushnil(L); /* methods in later finalizers raise an error */
        lua_setmetatable(L, 1);
    }
    return 0;
}

static int group_tostring(lua_State *L)
{
    lua_pushfstring(L, "<group: %d>", (int)handled_group(lss_self(L))->n);
    return 1;
}

static const luaL_Reg group_events[] = {
    { "__close", group_cancel },
    { "__gc", group_gc },
    { "__tostring", group_tostring },
    { NULL, NULL },
};
static const luaL_Reg group_methods[] = {
    { "cancel", group_cancel },
    { "spawn", group_spawn },
    { "wait", group_wait },
    { NULL, NULL },
};

void lss_open_groups(lua_State *L)
{
    lss_register_class(L, GROUP, group_events, group_methods);
}
