/* socket.signals: signals that the program takes, as an object to wait for. */
#include "core/codes.h"
#include "lua/lua_interrupt.h"
#include "lua/lua_task.h"
#include "os/os_signal.h"

#include <stddef.h> /* offsetof */
#include <string.h> /* strncmp */

#define SIGNALS LSS_PREFIX "signals"

struct signals {
    struct ss_env *env;
    struct os_signals held;
    struct lss_holding holding;
    struct signals *next_free;
};

/* The userdata that the program has. */
struct signals_handle {
    struct signals *sig; /* NULL: collected */
    const void *tag;     /* signals_tag; no userdata of the program holds this value */
};

static const char signals_tag;

bool lss_test_signals(lua_State *L, int index, int *fd)
{
    const struct signals_handle *handle = lua_touserdata(L, index);
    if (!handle || lua_rawlen(L, index) != sizeof *handle || handle->tag != &signals_tag || !handle->sig)
        return false;
    *fd = handle->sig->held.fds[0];
    return true;
}

static struct signals *self_signals(lua_State *L)
{
    const struct signals_handle *handle = lss_self(L);
    if (!handle->sig) /* debug.setmetatable has restored the metatable */
        lss_type_error(L, 1, "signals");
    return handle->sig;
}

/* socket.signals */

static int check_signal(lua_State *L, int arg)
{
    if (lua_type(L, arg) != LUA_TSTRING)
        lss_type_error(L, arg, "name of a signal");
    const char *name = lua_tostring(L, arg);
    int number = os_signal_number(strncmp(name, "SIG", 3) == 0 ? name + 3 : name);
    if (number == 0)
        luaL_argerror(L, arg, lua_pushfstring(L, "'%s' is no signal that a program can take, as \"TERM\" is", name));
    return number;
}

static void add_signal(struct os_signals *held, int number)
{
    for (unsigned i = 0; i < held->n; i++)
        if (held->numbers[i] == number)
            return;
    held->numbers[held->n++] = (unsigned char)number;
}

static void close_held(struct signals *sig)
{
    lss_remove_holding(&sig->holding);
    os_signals_close(&sig->held);
}

static void release_signals(struct lss_holding *holding)
{
    close_held((struct signals *)(void *)((char *)holding - offsetof(struct signals, holding)));
}

static struct signals **free_signals(struct ss_env *env)
{
    return &((struct lss_shared *)env)->free_signals;
}

/* Pushes a new handle. */
static struct signals *push_new_signals(lua_State *L, struct ss_env *env)
{
    struct signals_handle *handle = lss_newuserdata(L, sizeof *handle);
    *handle = (struct signals_handle){ NULL, &signals_tag };
    luaL_getmetatable(L, SIGNALS);
    lua_setmetatable(L, -2);
    struct signals **first = free_signals(env);
    if (!*first) {
        struct signals *fresh = lss_new_lasting(L, sizeof *fresh);
        fresh->next_free = *first; /* a finalizer may have given one back */
        *first = fresh;
    }
    struct signals *sig = *first;
    *first = sig->next_free;
    *sig = (struct signals){ .env = env, .held = { .fds = { -1, -1 } }, .holding = { .release = release_signals } };
    handle->sig = sig;
    return sig;
}

int lss_signals(lua_State *L)
{
    struct os_signals held = { .fds = { -1, -1 } };
    struct ss_error err;
    struct ss_env *env = lss_live_env(L);
    int n = lua_gettop(L);
    luaL_checkany(L, 1);
    for (int i = 1; i <= n; i++)
        add_signal(&held, check_signal(L, i));
    struct signals *sig = push_new_signals(L, env);
    sig->held = held;
    enum ss_status st = os_signals_open(&sig->held, &err);
    if (st != SS_OK && lss_collect_descriptors(L, env, &err))
        st = os_signals_open(&sig->held, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    lss_add_holding(env, &sig->holding);
    if (env->has_ended) /* by a finalizer in the allocations above: nothing would release them */
        close_held(sig);
    lss_check_live(L, env);
    return 1;
}

/* get */

struct signals_get {
    struct ss_op op;
    struct signals *sig;
    int number;
    struct ss_io io; /* only for the driver */
};

static enum ss_status signals_step(struct ss_op *base)
{
    struct signals_get *get = (struct signals_get *)base;
    enum ss_status st = os_signals_take(&get->sig->held, &get->number);
    base->want = (struct ss_interest){ .fd = get->sig->held.fds[0], .events = SS_READABLE };
    return st;
}

/* The loop fails those that wait for a descriptor that is closed. */
static int finish_signals_get(lua_State *L, struct ss_op *base, enum ss_status st)
{
    const struct signals_get *get = (const struct signals_get *)base;
    if (st != SS_OK)
        return lss_push_failure(L, 1, get->sig->held.fds[0] < 0 ? SS_CLOSED : st, &base->error);
    lua_pushstring(L, os_signal_name(get->number));
    return 1;
}

static void relocate_signals_get(struct ss_op *copy, const struct ss_op *from)
{
    (void)from;
    copy->io = &((struct signals_get *)copy)->io;
}

static int signals_get(lua_State *L)
{
    static const struct lss_call call = {
        .finish = finish_signals_get, .relocate = relocate_signals_get, .size = sizeof(struct signals_get), .keep = 1
    };
    struct signals *sig = self_signals(L);
    int64_t timeout_ns = lss_check_timeout(L, 2);
    struct signals_get get = { .sig = sig };
    get.op = (struct ss_op){ .step = signals_step, .io = &get.io, .kernel_timeout = SS_BY_NONE };
    lua_settop(L, 1);
    return lss_run_for(L, sig->env, NULL, timeout_ns, &get.op, &call);
}

/* Closing */

static int signals_close(lua_State *L)
{
    struct signals *sig = self_signals(L);
    if (sig->held.fds[0] >= 0 && sig->env->loop)
        ss_loop_forget(sig->env->loop, sig->held.fds[0]);
    close_held(sig);
    lua_pushboolean(L, 1);
    return 1;
}

/* Nobody waits for it, and the loop may be gone. */
static int signals_gc(lua_State *L)
{
    struct signals_handle *handle = lss_self(L);
    struct signals *sig = handle->sig;
    if (!sig)
        return 0;
    close_held(sig);
    handle->sig = NULL;
    sig->next_free = *free_signals(sig->env);
    *free_signals(sig->env) = sig;
    return 0;
}

static int signals_tostring(lua_State *L)
{
    const struct signals *sig = self_signals(L);
    lua_pushfstring(L, "<signals: %d>", sig->held.fds[0]);
    return 1;
}

static int signals_fileno(lua_State *L)
{
    const struct signals *sig = self_signals(L);
    lua_pushinteger(L, sig->held.fds[0]);
    return 1;
}

static const luaL_Reg signals_metamethods[] = {
    { "__close", signals_close },
    { "__gc", signals_gc },
    { "__tostring", signals_tostring },
    { NULL, NULL },
};
static const luaL_Reg signals_methods[] = {
    { "close", signals_close },
    { "fileno", signals_fileno },
    { "get", signals_get },
    { NULL, NULL },
};

void lss_open_signals(lua_State *L)
{
    lss_register_class(L, SIGNALS, signals_metamethods, signals_methods);
}
