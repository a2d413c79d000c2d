/* A task is resumed once for each call, with results made here. No continuation is needed, so this is the same in every Lua. */
#include "lua/lua_resume.h"
#include "lua/lua_anchor.h"
#include "lua/lua_outcome.h"
#include "lua/lua_suspend.h"
#include "lua/lua_yield.h"

void lss_start_task(lua_State *L, struct lss_task *t, int values)
{
    lua_pushlightuserdata(L, lss_mark(t)); /* LuaJIT may allocate for that; it must not where the coroutine yields */
    lua_pop(L, 1);
    lss_anchor_task(L, t);
    t->tasks->alive++;
    lss_wait_for_turn(t, values);
}

/* With `n` values on top of its stack. */
static void resume_task(lua_State *L, struct lss_task *t, int n)
{
    struct lss_tasks *tasks = t->tasks;
    int results;
    t->begun = true;
    t->for_turn = false;
    t->retried = false;
    t->state = LSS_READY;
    t->call = NULL;
    tasks->runs = t;
    tasks->steps = NULL;
    tasks->calls = 0;
    int status = lss_resume(t->co, L, n, &results);
    tasks->runs = NULL;
    if (LUA_VERSION_NUM >= 503)
        lua_checkstack(L, 3 * LUA_MINSTACK); /* a call that needs a larger stack would let the collector run first */
    if (status == LUA_YIELD && lss_begin_wait(t, results))
        return;
    t->call = NULL; /* set by a call that could not yield */
    t->sock = NULL;
    if (status == LUA_YIELD) {
        lua_pop(t->co, results);
        lua_pushlightuserdata(t->co, lss_mark(t));
        lss_wait_for_turn(t, 0);
    } else if (status == LUA_OK) {
        lss_end_task(L, t, LSS_DONE, results, 0);
    } else {
        lss_end_task(L, t, LSS_FAILED, 1, 0);
    }
}

/* Results of the suspended call */

/* The wait of a cancelled task has no time left: a timeout is a cancellation there. */
static enum ss_status wait_status(const struct lss_task *t)
{
    bool zero_timeout = t->for_turn && t->zero_timeout;
    return t->cancelled && t->waiter.status == SS_TIMEOUT && !zero_timeout ? SS_CANCELLED : t->waiter.status;
}

enum { INVALIDATED = -3 }; /* as a number of results, like LSS_RETRY */

/* Copies the call's values onto our stack: they stay alive until the results are made, whatever happens to the coroutine. */
static void push_call_values(lua_State *L, struct lss_task *t)
{
    lua_State *co = lss_calling_coroutine(t);
    int used = t->values + (t->call->many_results ? 0 : t->under);
    lss_check_room(L, used + LUA_MINSTACK);
    for (int i = used; i > 0; i--) {
        lua_pushvalue(co, -i - 1);
        lua_xmove(co, L, 1);
    }
}

/* Replaces the call's values on the coroutine's stack by `n` results. Returns their number; without room for them, that of the
 * failure that says so. */
static int move_results(lua_State *L, struct lss_task *t, int n)
{
    lua_State *co = lss_calling_coroutine(t);
    int room = t->call->many_results ? n - LSS_RESERVE : n;
    if (room > 0 && !lss_has_room(co, room)) {
        if (LSS_RESERVE == 0)
            luaL_error(L, "not enough memory");
        lua_pushnil(L);
        lua_pushfstring(L, "more than %d results for a task that has waited in task:wait; call that again to get them",
                        LSS_RESERVE + LSS_GUARANTEED_SLOTS - 1);
        n = 2;
    }
    lua_pop(co, t->under + t->values + 1);
    lua_xmove(L, co, n);
    return n;
}

/* Makes the results of the suspended call on top of the coroutine's stack; returns their number. The call's values stay there until
 * that has succeeded. INVALIDATED: a finalizer has closed or resumed the coroutine meanwhile. LSS_RETRY: the call has to wait again. */
static int finish_suspended_call(lua_State *L, struct lss_task *t)
{
    int top = lua_gettop(L);
    push_call_values(L, t);
    int n = t->call->finish(L, t->waiter.op, wait_status(t));
    if (n == LSS_RETRY &&
        t->sock) /* only a finalizer that closed the socket and opened it again can have read from it */
        n = t->call->finish(L, t->waiter.op, SS_CLOSED);
    else if (n == LSS_RETRY && t->cancelled)
        n = t->call->finish(L, t->waiter.op, SS_CANCELLED);
    if (!lss_is_suspended(&t->waiter)) {
        n = INVALIDATED;
    } else if (n != LSS_RETRY) {
        n = move_results(L, t, n);
        lss_detach_socket(t);
    }
    lua_settop(L, top);
    return n;
}

/* The call was made in a coroutine that was resumed in the task's own: its resumer resumes it. If the program has closed or resumed that meanwhile, the
 * resumer finds so. Returns the number of values for the task's own coroutine. */
static int return_to_resumer(lua_State *L, struct lss_task *t, int n)
{
    if (n == INVALIDATED) {
        lss_detach_socket(t);
        lss_drop_call(L, t);
    }
    t->values = n;
    lua_pop(t->co, LSS_PASSED);
    return 0;
}

/* Has a call that found no descriptor begin again after a collection, whose finalizers may have closed its socket, cancelled the
 * task or ended its coroutine. False: the call has ended. */
static bool restart_call(lua_State *L, struct lss_task *t)
{
    struct ss_op *op = t->waiter.op;
    if (!lss_is_suspended(&t->waiter) || !t->call->restart || op->restarted || /* first: the operation may be gone */
        !lss_collect_descriptors(L, t->tasks->loop.env, &op->error))
        return false;
    if (t->waiter.status != SS_ERROR || t->cancelled || !lss_is_suspended(&t->waiter))
        return false;
    op->restarted = true;
    t->call->restart(op);
    lss_wait_again(t);
    return true;
}

void lss_continue_task(lua_State *L, struct lss_task *t)
{
    int n = 0;
    if (t->waiter.status == SS_ERROR && t->call && restart_call(L, t))
        return;
    if (!lss_is_suspended(&t->waiter))
        n = INVALIDATED;
    else if (t->call)
        n = finish_suspended_call(L, t);
    else if (!t->begun)
        n = t->values;
    else
        lua_pop(t->co, 1);
    if (n == LSS_RETRY) {
        lss_wait_again(t);
        return;
    }
    if (lss_passes_wait(t, t->co))
        n = return_to_resumer(L, t, n);
    if (n == INVALIDATED)
        lss_fail_invalidated_task(L, t);
    else
        resume_task(L, t, n);
}
