#include "lua/lua_lost.h"
#include "lua/lua_anchor.h"
#include "lua/lua_suspend.h"
#include "os/os_clock.h"

static void end_if_lost(struct lss_task *t)
{
    if (t->state == LSS_WAITING && !lss_is_suspended(&t->waiter))
        ss_loop_end(&t->tasks->loop, &t->waiter, SS_CANCELLED);
}

/* A task that has not begun is not waiting. */
static void look_at_few(const struct lss_tasks *tasks)
{
    for (int i = 0; i < LSS_FEW; i++)
        if (tasks->few[i] && lua_status(tasks->few[i]->co) != LUA_YIELD)
            end_if_lost(tasks->few[i]);
}

int64_t lss_end_lost_waits(lua_State *L, struct lss_tasks *tasks, int64_t timeout_ns)
{
    enum { SHARE = 100, PAUSE_NS = 1000000 };
    if (tasks->room <= LSS_FEW) {
        look_at_few(tasks);
        return timeout_ns;
    }
    int64_t now_ns = os_now_ns(), left_ns = tasks->look_ns - now_ns;
    if (left_ns > 0)
        return timeout_ns < 0 || left_ns < timeout_ns ? left_ns : timeout_ns;
    lss_end_all_lost_waits(L, tasks);
    int64_t end_ns = os_now_ns(), pause_ns = SHARE * (end_ns - now_ns);
    tasks->look_ns = end_ns + (pause_ns > PAUSE_NS ? pause_ns : PAUSE_NS);
    return timeout_ns;
}

void lss_end_all_lost_waits(lua_State *L, struct lss_tasks *tasks)
{
    lss_push_handles(L);
    for (int i = 1; i <= tasks->room; i++) {
        lua_rawgeti(L, -1, i);
        struct lss_task *t = lua_touserdata(L, -1);
        if (t)
            end_if_lost(t);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}
