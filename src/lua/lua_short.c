/* Short forms: a connected and a listening stream socket in one call. */
#include "core/op_bind.h"
#include "core/op_connect.h"
#include "lua/lua_base.h"
#include "os/os_net.h"
#include "os/os_opt.h"

#include <limits.h> /* INT_MAX */
#include <math.h>   /* floor */
#include <string.h> /* strcmp */

/* The index of the argument that follows the address at index 1. */
static int index_after_address(lua_State *L)
{
    int index = lss_is_whole_address(L, 1) ? 2 : 3;
    if (index == 2 && !lua_isnoneornil(L, 3))
        luaL_argerror(L, 3, "the address is complete and takes no port");
    return index;
}

/* Reads the address at index 1. Stack: the address or its host, its port or nil, the argument that follows. */
static enum ss_status check_address_and(lua_State *L, int index, int flags, struct ss_target *target,
                                        struct ss_error *err)
{
    lua_settop(L, index);
    if (index == 2) {
        lua_pushnil(L);
        lua_insert(L, 2);
    }
    return lss_check_target(L, 1, flags, target, err);
}

/* The socket is on top of the stack, and nobody else knows it. */
static int finish_short(lua_State *L, struct ss_lookup *lookup, struct ss_sock *sock, enum ss_status st)
{
    struct ss_error ignored;
    ss_lookup_fini(lookup);
    if (st == SS_OK)
        return 1;
    ss_sock_close(sock, &ignored);
    return lss_push_failure(L, 1, st, &lookup->op.error);
}

static int finish_connect_short(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_connect *op = (struct ss_connect *)base;
    return finish_short(L, &op->lookup, op->sock, st);
}

int lss_connect_short(lua_State *L)
{
    static const struct lss_call call = { .finish = finish_connect_short,
                                          .drop = lss_drop_lookup,
                                          .restart = ss_connect_restart,
                                          .keep = 1,
                                          .directions = LSS_READING | LSS_WRITING };
    struct ss_env *env = lss_env(L);
    struct ss_target target;
    struct ss_error err;
    int timeout_index = index_after_address(L);
    lss_check_timeout(L, timeout_index);
    enum ss_status st = check_address_and(L, timeout_index, 0, &target, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    struct ss_connect *op = lss_push_lookup(L, env, sizeof *op);
    struct lss_socket *s = lss_new_tcp(L, env);
    if (!lua_isnil(L, 3))
        lss_set_timeout(L, 3, s);
    ss_connect_init(op, &s->sock, &target);
    return lss_run(L, s, &op->lookup.op, &call);
}

/* Listening */

static const struct {
    const char *name, *option;
} listen_flags[] = {
    { "nodelay", "tcp_nodelay" },
    { "reuseport", "reuseport" },
    { "v6only", "ipv6_v6only" },
};
enum { LISTEN_FLAGS = sizeof listen_flags / sizeof *listen_flags };

struct listen_options {
    int backlog;             /* -1: the system's maximum */
    int flags[LISTEN_FLAGS]; /* -1: not given */
};

static int check_backlog_option(lua_State *L, int arg)
{
    lua_Number n = lua_tonumber(L, -1);
    bool whole = lua_type(L, -1) == LUA_TNUMBER && n == floor(n) && n <= INT_MAX && n - n == 0;
    luaL_argcheck(L, whole, arg, "option 'backlog' must be a whole number");
    return n < 0 ? 0 : (int)n;
}

static int check_flag_option(lua_State *L, int arg, const char *name)
{
    if (!lua_isboolean(L, -1))
        luaL_argerror(L, arg, lua_pushfstring(L, "option '%s': boolean expected, got %s", name, luaL_typename(L, -1)));
    return lua_toboolean(L, -1);
}

/* Reads the field whose name and value are on top of the stack. */
static void check_listen_option(lua_State *L, int arg, struct listen_options *options)
{
    if (lua_type(L, -2) != LUA_TSTRING)
        luaL_argerror(L, arg, "options have names: { backlog = 16 }, not { 16 }");
    const char *name = lua_tostring(L, -2);
    if (strcmp(name, "backlog") == 0) {
        options->backlog = check_backlog_option(L, arg);
        return;
    }
    for (int i = 0; i < LISTEN_FLAGS; i++)
        if (strcmp(name, listen_flags[i].name) == 0 && os_opt_find(listen_flags[i].option)) {
            options->flags[i] = check_flag_option(L, arg, name);
            return;
        }
    luaL_argerror(L, arg, lua_pushfstring(L, "unknown option '%s'", name));
}

static struct listen_options check_listen_options(lua_State *L, int arg)
{
    struct listen_options options = { .backlog = -1 };
    for (int i = 0; i < LISTEN_FLAGS; i++)
        options.flags[i] = -1;
    if (lua_isnoneornil(L, arg))
        return options;
    if (!lua_istable(L, arg))
        lss_type_error(L, arg, "options (a table)");
    lua_pushnil(L);
    while (lua_next(L, arg)) {
        check_listen_option(L, arg, &options);
        lua_pop(L, 1);
    }
    return options;
}

static enum ss_status set_flag(struct ss_sock *s, const char *option, int value, struct ss_error *err)
{
    const struct ss_setting setting = { .opt = os_opt_find(option), .value = value };
    return ss_sock_set(s, &setting, err);
}

static enum ss_status set_listen_flags(struct ss_sock *s, const struct listen_options *options, struct ss_error *err)
{
    enum ss_status st = set_flag(s, "tcp_reuseaddr", true, err);
    for (int i = 0; i < LISTEN_FLAGS && st == SS_OK; i++)
        if (options->flags[i] >= 0)
            st = set_flag(s, listen_flags[i].option, options->flags[i], err);
    return st;
}

struct listening {
    struct ss_bind bind;
    int backlog;
};

static int finish_listen_short(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct listening *op = (struct listening *)base;
    if (st == SS_OK)
        st = os_listen(op->bind.sock->io.fd, op->backlog, &base->error);
    return finish_short(L, &op->bind.lookup, op->bind.sock, st);
}

int lss_listen_short(lua_State *L)
{
    static const struct lss_call call = { .finish = finish_listen_short,
                                          .drop = lss_drop_lookup,
                                          .restart = ss_lookup_restart,
                                          .keep = 1,
                                          .directions = LSS_READING | LSS_WRITING };
    struct ss_env *env = lss_env(L);
    struct ss_target target;
    struct ss_error err;
    int options_index = index_after_address(L);
    const struct listen_options options = check_listen_options(L, options_index);
    enum ss_status st = check_address_and(L, options_index, LSS_BIND, &target, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    struct listening *op = lss_push_lookup(L, env, sizeof *op);
    struct lss_socket *s = lss_new_tcp(L, env);
    st = set_listen_flags(&s->sock, &options, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    ss_bind_init(&op->bind, &s->sock, &target);
    op->bind.replaces_dead = true;
    op->backlog = options.backlog;
    return lss_run(L, s, &op->bind.lookup.op, &call);
}
