/* The signal handlers of `lua`, luajit and luaposix only set a hook, which runs when Lua executes something. So a call
 * that waits calls a function that does nothing after each signal. */
#include "lua/lua_interrupt.h"
#include "lua/lua_task.h"

static int do_nothing(lua_State *L)
{
    (void)L;
    return 0;
}

void lss_open_interrupt(lua_State *L)
{
    lua_pushcfunction(L, do_nothing);
    lua_setfield(L, LUA_REGISTRYINDEX, LSS_NOTHING);
}

/* The hook of LuaJIT belongs to all coroutines, that of others to this one. */
static bool push_nothing(lua_State *L)
{
    if (!lua_gethook(L) || !lua_checkstack(L, LUA_MINSTACK))
        return false;
    lua_getfield(L, LUA_REGISTRYINDEX, LSS_NOTHING);
    return true;
}

void lss_run_hook(lua_State *L)
{
    if (push_nothing(L))
        lua_call(L, 0, 0);
}

/* An error drops the operation. Without anything to drop, the error passes no lua_pcall, and its traceback is whole. */
static void call_nothing(lua_State *L, struct ss_op *op, const struct lss_call *call)
{
    int kept = lua_gettop(L) - 1;
    if (!call->drop) {
        lua_call(L, 0, 0);
    } else if (lua_pcall(L, 0, 0, 0) != 0) {
        call->drop(L, kept, op);
        lua_error(L);
    }
}

enum ss_status lss_run_hook_in_call(lua_State *L, struct ss_sock *s, struct ss_op *op, const struct lss_call *call)
{
    unsigned stream = lss_stream(s);
    bool was_open = s && s->io.fd >= 0;
    if (!push_nothing(L))
        return SS_WANT;
    call_nothing(L, op, call);
    if (!lss_keeps_stream(s, stream, was_open))
        return SS_CLOSED;
    enum ss_status st = call->look_again ? call->look_again(L, op) : SS_WANT;
    return st != SS_WANT || lss_is_parked(op) ? st : ss_try_step(op, SS_NO_WAIT);
}
