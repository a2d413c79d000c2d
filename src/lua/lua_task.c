/* socket.spawn and the class task. */
#include "lua/lua_task.h"
#include "lua/lua_anchor.h"
#include "lua/lua_failure.h"
#include "lua/lua_group.h"
#include "lua/lua_outcome.h"
#include "lua/lua_resume.h"
#include "lua/lua_run.h"
#include "lua/lua_sched.h"
#include "lua/lua_source.h"
#include "lua/lua_suspend.h"
#include "lua/lua_wait.h"
#include "lua/lua_yield.h"

#include <string.h> /* memset */

#define TASK LSS_PREFIX "task"

static struct lss_task *self_task(lua_State *L)
{
    return lss_self(L);
}

struct lss_task *lss_new_task(lua_State *L, size_t size)
{
    struct lss_tasks *tasks = lss_tasks(L);
    struct lss_task *t = lss_newuserdata_keeping(L, size);
    memset(t, 0, size);
    t->tasks = tasks;
    ss_waiter_init(&t->waiter, true);
    ss_queue_init(&t->joiners);
    luaL_getmetatable(L, TASK);
    lua_setmetatable(L, -2);
    return t;
}

void lss_start_call(lua_State *L, struct lss_task *t)
{
    lss_wrap_body(L, 2);
    int values = lua_gettop(L) - 2;
    t->co = lua_newthread(L);
    lua_insert(L, 2);
    lss_move_call(L, t->co, values);
    lua_pushvalue(L, 1);
    lua_insert(L, 2);
    lss_start_task(L, t, values);
}

int lss_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    struct lss_task *t = lss_new_task(L, sizeof *t);
    lua_insert(L, 1);
    lss_start_call(L, t);
    return 1;
}

/* status */

static const char *const state_names[] = { "ready", "waiting", "done", "failed" };

static int task_status(lua_State *L)
{
    lua_pushstring(L, state_names[self_task(L)->state]);
    return 1;
}

static int task_tostring(lua_State *L)
{
    lua_pushfstring(L, "<task: %s>", state_names[self_task(L)->state]);
    return 1;
}

/* wait */

static int finish_task_wait(lua_State *L, struct ss_op *op, enum ss_status st)
{
    struct lss_task *t = lua_touserdata(L, -1);
    if (t->state < LSS_DONE)
        return lss_push_failure(L, 1, st, &op->error);
    int n = lss_push_outcome(L, t);
    lss_mark_seen(t);
    return n;
}

static enum ss_status look_at_task(lua_State *L, struct ss_op *op)
{
    const struct lss_task *t = lua_touserdata(L, -1);
    (void)op;
    return t->state < LSS_DONE ? SS_WANT : SS_OK;
}

static int task_wait(lua_State *L)
{
    static const struct lss_call call = { .finish = finish_task_wait,
                                          .look_again = look_at_task,
                                          .size = sizeof(struct lss_parked),
                                          .keep = 1,
                                          .many_results = true };
    struct lss_task *t = self_task(L);
    int64_t timeout_ns = lss_check_timeout(L, 2);
    lss_check_open(L, t->tasks);
    struct lss_parked parked = { .queue = &t->joiners };
    if (t == t->tasks->runs)
        luaL_error(L, "a task cannot wait for itself");
    lua_settop(L, 1);
    if (t->state >= LSS_DONE) {
        parked.queue = NULL;
        timeout_ns = 0;
    } else if (LSS_RESERVE > 0) {
        lss_check_room(L, LSS_RESERVE + LUA_MINSTACK);
        lua_settop(L, 1 + LSS_RESERVE);
        lua_pushvalue(L, 1);
    }
    return lss_park(L, t->tasks, timeout_ns, &parked, &call);
}

/* cancel */

static int task_cancel(lua_State *L)
{
    lua_pushboolean(L, lss_cancel_task(self_task(L)));
    return 1;
}

/* background */

static int task_background(lua_State *L)
{
    struct lss_task *t = self_task(L);
    if (!t->background && t->state < LSS_DONE) {
        t->background = true;
        t->tasks->background++;
    }
    lua_settop(L, 1);
    return 1;
}

/* select */

static bool has_task_ended(const void *object)
{
    return ((const struct lss_task *)object)->state >= LSS_DONE;
}

bool lss_is_task_source(lua_State *L, int index, struct lss_source *source)
{
    struct lss_task *t = lss_test_class(L, index, TASK);
    if (!t)
        return false;
    lss_check_open(L, t->tasks);
    *source = (struct lss_source){ .object = t, .is_ready = has_task_ended, .stays_ready = true, .queue = &t->joiners };
    return true;
}

/* The class */

static int task_gc(lua_State *L)
{
    struct lss_task *t = self_task(L);
    lss_free_call(L, t);
    bool unseen = t->state == LSS_FAILED && !t->seen && !t->cancelled;
    t->seen = true;
    if (unseen)
        lss_keep_failure(L, t);
    if (t->tasks->closing) {
        lua_pushnil(L); /* finalizers that run later must not find a task here */
        lua_setmetatable(L, 1);
    }
    return 0;
}

static const luaL_Reg task_events[] = { { "__gc", task_gc }, { "__tostring", task_tostring }, { NULL, NULL } };
static const luaL_Reg task_methods[] = {
    { "background", task_background },
    { "cancel", task_cancel },
    { "status", task_status },
    { "wait", task_wait },
    { NULL, NULL },
};

void lss_open_task(lua_State *L)
{
    lss_open_yield(L);
    lss_open_outcomes(L);
    lss_open_runs(L);
    lss_open_anchors(L);
    lss_register_class(L, TASK, task_events, task_methods);
    lss_open_groups(L);
    lss_open_loop(L);
    lss_open_failures(L);
}
