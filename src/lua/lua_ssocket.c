/* The module table. */
#include "core/codes.h"
#include "lua/lua_base.h"
#include "lua/lua_build.h"
#include "lua/lua_failure.h"
#include "lua/lua_interrupt.h"
#include "lua/lua_wait.h"
#include "os/os_clock.h"
#include "os/os_lookup.h"
#include "os/os_net.h"
#include "os/os_opt.h"
#include "run/block.h"
#include "run/deadline.h"

LSS_EXPORT int luaopen_ssocket(lua_State *L);

static int module_tcp(lua_State *L)
{
    lss_new_tcp(L, lss_live_env(L));
    return 1;
}

static int module_udp(lua_State *L)
{
    lss_new_udp(L, lss_live_env(L));
    return 1;
}

/* The userdata first, then the descriptors: an error leaks none. */
static int module_pair(lua_State *L)
{
    struct ss_sock *a = &lss_new_tcp(L, lss_live_env(L))->sock, *b = &lss_new_tcp(L, lss_live_env(L))->sock;
    struct ss_error err, ignored;
    int fds[2];
    enum ss_status st = os_socketpair(fds, &err);
    if (st != SS_OK && lss_collect_descriptors(L, a->env, &err))
        st = os_socketpair(fds, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    st = ss_sock_adopt(a, fds[0], AF_UNIX, false, &err);
    enum ss_status second = ss_sock_adopt(b, fds[1], AF_UNIX, false, &err);
    if (st == SS_OK && second == SS_OK)
        return 2;
    ss_sock_close(a, &ignored);
    ss_sock_close(b, &ignored);
    return lss_push_failure(L, 1, SS_ERROR, &err);
}

/* Neither the timeouts nor the mode of the descriptor are known. */
static int module_fromfd(lua_State *L)
{
    struct ss_error err = ss_already_owned;
    struct os_kind kind;
    int fd = lss_check_int(L, 1, "descriptor", 0, INT32_MAX);
    enum ss_status st = ss_env_find(lss_live_env(L), fd) ? SS_ERROR : os_describe(fd, &kind, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    struct ss_sock *s = kind.dgram ? &lss_new_udp(L, lss_live_env(L))->sock : &lss_new_tcp(L, lss_live_env(L))->sock;
    err = ss_already_owned;
    if (ss_env_find(s->env, fd)) /* a finalizer has taken over the descriptor */
        return lss_push_failure(L, 1, SS_ERROR, &err);
    st = ss_sock_import(s, fd, &kind, &err);
    return st == SS_OK ? 1 : lss_push_failure(L, 1, st, &err);
}

static int module_sleep(lua_State *L)
{
    lua_Number seconds = lss_check_seconds(L, 1);
    struct ss_env *env = lss_env(L);
    int64_t timeout_ns = seconds > 0 ? lss_nanoseconds(seconds) : 0, limit_ns = 0;
    if (env->loop)
        return lss_sleep_with_tasks(L, env->loop, timeout_ns);
    timeout_ns = lss_limit_timeout(L, env, timeout_ns, &limit_ns);
    int64_t deadline_ns = timeout_ns > 0 ? ss_deadline_after(timeout_ns) : timeout_ns;
    while (timeout_ns != 0 && !ss_pause(deadline_ns)) {
        lss_run_hook(L);
        if (env->loop) /* the hook has made tasks */
            return lss_sleep_with_tasks(L, env->loop, timeout_ns < 0 ? timeout_ns : ss_deadline_left(deadline_ns));
    }
    return lss_push_done(L, limit_ns > 0 ? SS_TIMEOUT : SS_OK, NULL);
}

static int module_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)os_now_ns() / 1e9);
    return 1;
}

static const luaL_Reg module_functions[] = {
    { "channel", lss_channel },
    { "connect", lss_connect_short },
    { "errname", lss_errname },
    { "fromfd", module_fromfd },
    { "group", lss_group },
    { "hostname", lss_hostname },
    { "interfaces", lss_interfaces },
    { "listen", lss_listen_short },
    { "loop", lss_loop },
    { "nameinfo", lss_nameinfo },
    { "now", module_now },
    { "pair", module_pair },
    { "resolve", lss_resolve },
    { "run", lss_run_tasks },
    { "select", lss_select },
    { "signals", lss_signals },
    { "sleep", module_sleep },
    { "spawn", lss_spawn },
    { "strerror", lss_strerror },
    { "tcp", module_tcp },
    { "time", lss_time },
    { "udp", module_udp },
    { NULL, NULL },
};

static void set_integer(lua_State *L, const char *name, int value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static void set_constants(lua_State *L)
{
    lss_set_string(L, "_VERSION", "ssocket " LSS_VERSION);
    for (const struct os_opt *opt = os_opts; opt->name; opt++)
        lss_set_string(L, opt->constant, opt->name);
    for (int i = 0; i < SS_CODES; i++)
        lss_set_string(L, ss_codes[i].name, ss_codes[i].text);
    set_integer(L, "SHUT_RD", SHUT_RD);
    set_integer(L, "SHUT_WR", SHUT_WR);
    set_integer(L, "SHUT_RDWR", SHUT_RDWR);
}

/* Copies of the same build share the registry's state; a copy with other struct sizes must not. */
static void check_build(lua_State *L)
{
    if (lss_loaded_build(L) == LSS_OTHER_BUILD)
        luaL_error(L, "another build of ssocket " LSS_VERSION
                      " is loaded in this Lua state; see package.cpath and load one of them only");
    lss_register_build(L);
}

/* Raises if a finalizer loads the module first: while Lua 5.4 closes the state, new objects get no finalizer. */
static void check_not_in_finalizer(lua_State *L)
{
    if (LSS_HAS_CLOSE && lss_loaded_build(L) == LSS_NO_BUILD && lua_gc(L, LUA_GCCOUNT, 0) < 0)
        luaL_error(L, "ssocket cannot be loaded in a finalizer");
}

int luaopen_ssocket(lua_State *L)
{
    check_not_in_finalizer(L);
    check_build(L);
    os_stay_loaded();
    lss_env(L);
    lss_open_interrupt(L);
    lss_open_addr(L);
    lss_open_sock(L);
    lss_open_tcp(L);
    lss_open_udp(L);
    lss_open_task(L);
    lss_open_channel(L);
    lss_open_signals(L);
    lss_push_module(L);
    for (const luaL_Reg *f = module_functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    set_constants(L);
    lss_push_coroutine(L);
    lua_setfield(L, -2, "coroutine");
    lss_push_within(L);
    lua_setfield(L, -2, "within");
    return 1;
}
