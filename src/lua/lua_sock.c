/* Methods of both socket classes. */
#include "core/op_bind.h"
#include "lua/lua_base.h"
#include "lua/lua_wait.h"
#include "os/os_net.h"

#include <string.h> /* memcmp, memset, strlen */

/* Close with OPT_LINGER while there are tasks, or where the time is shorter than the option's: close(2) would block all tasks,
 * and knows no deadline. So an operation waits for the peer. */

#define LINGERING LSS_PREFIX "lingering"

struct lingering {
    struct ss_op op;
    struct ss_io io; /* only for the driver; the socket is closed already */
    int fd;
};

static enum ss_status close_lingering(struct lingering *l)
{
    int fd = l->fd;
    l->fd = -1;
    return fd >= 0 ? os_close(fd, &l->op.error) : SS_OK;
}

static int lingering_gc(lua_State *L)
{
    close_lingering(lua_touserdata(L, 1));
    return 0;
}

/* No event reports that the peer has acknowledged everything: check at growing intervals. */
static enum ss_status lingering_step(struct ss_op *op)
{
    enum { MAX_INTERVAL_MS = 32 };
    int left;
    if (os_is_delivered(((struct lingering *)op)->fd, &left))
        return SS_OK;
    op->want = (struct ss_interest){ .fd = -1 };
    if (op->after_ms < MAX_INTERVAL_MS)
        op->after_ms = op->after_ms ? (uint16_t)(2 * op->after_ms) : 1;
    return SS_WANT;
}

static int push_close_result(lua_State *L, enum ss_status st, const struct ss_error *err)
{
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, err);
    lua_pushinteger(L, 1);
    return 1;
}

static void drop_lingering(lua_State *L, int kept, struct ss_op *op)
{
    (void)L, (void)kept;
    close_lingering((struct lingering *)op);
}

static int finish_lingering(lua_State *L, struct ss_op *op, enum ss_status st)
{
    (void)st;
    return push_close_result(L, close_lingering((struct lingering *)op), &op->error);
}

void lss_open_sock(lua_State *L)
{
    luaL_newmetatable(L, LINGERING);
    lua_pushcfunction(L, lingering_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

static struct lingering *new_lingering(lua_State *L)
{
    struct lingering *l = lss_newuserdata(L, sizeof *l);
    memset(l, 0, sizeof *l);
    l->fd = -1;
    l->op = (struct ss_op){ .step = lingering_step, .io = &l->io, .kernel_timeout = SS_BY_NONE };
    luaL_getmetatable(L, LINGERING);
    lua_setmetatable(L, -2);
    return l;
}

static int run_lingering_close(lua_State *L, struct lss_socket *s, int64_t limit_ns, bool leaves)
{
    static const struct lss_call call = { .finish = finish_lingering, .drop = drop_lingering };
    struct ss_env *env = s->sock.env;
    struct lingering *l = new_lingering(L);
    if (leaves)
        ss_sock_leave(&s->sock);
    l->fd = ss_sock_detach_lingering(&s->sock);
    if (!lss_may_wait(L, env))
        return finish_lingering(L, &l->op, SS_OK);
    return lss_run_for(L, env, NULL, limit_ns, &l->op, &call);
}

/* For how long an operation waits for the peer; negative: none does, but close(2) may. */
static int64_t lingering_limit_ns(const struct lss_socket *s)
{
    int64_t linger_ns = (int64_t)ss_sock_linger_s(&s->sock) * 1000000000;
    bool is_shorter = s->timeout_ns >= 0 && s->timeout_ns < linger_ns;
    bool may_block = !s->sock.env->loop && lss_scopes(s->sock.env)->n == 0 && !is_shorter;
    if (linger_ns == 0 || may_block)
        return -1;
    return is_shorter ? s->timeout_ns : linger_ns;
}

/* `leaves`: a layer tells the peer. */
static int close_socket(lua_State *L, bool leaves)
{
    struct lss_socket *s = lss_self_socket(L);
    struct ss_error err;
    int64_t limit_ns = s->sock.may_linger ? lingering_limit_ns(s) : -1;
    if (limit_ns >= 0)
        return run_lingering_close(L, s, limit_ns, leaves);
    if (leaves)
        ss_sock_leave(&s->sock);
    enum ss_status st = ss_sock_close(&s->sock, &err);
    return push_close_result(L, st, &err);
}

int lss_close(lua_State *L)
{
    return close_socket(L, true);
}

/* Argument 2 is the error that has left the block, or nil: what an error has ended was not finished. */
int lss_close_variable(lua_State *L)
{
    return close_socket(L, lua_isnoneornil(L, 2));
}

int lss_fileno(lua_State *L)
{
    struct lss_socket *s = lss_self_socket(L);
    lua_pushinteger(L, s->sock.io.fd);
    return 1;
}

int lss_push_unread(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "Unread bytes are pending");
    return 2;
}

int lss_push_layered(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "TLS is in use");
    return 2;
}

int lss_detach(lua_State *L)
{
    struct lss_socket *s = lss_self_socket(L);
    struct ss_sock *sock = &s->sock;
    if (sock->io.fd < 0)
        return lss_push_closed(L);
    if (ss_io_has_layer(&sock->io))
        return lss_push_layered(L);
    if (ss_sock_has_input(sock))
        return lss_push_unread(L);
    ss_sock_restore_settings(sock);
    lua_pushinteger(L, ss_sock_release(sock, false));
    return 1;
}

void lss_set_timeout(lua_State *L, int arg, struct lss_socket *s)
{
    lua_Number seconds = lss_check_seconds(L, arg);
    s->timeout_ns = lss_nanoseconds(seconds);
    s->sock.timeout_is_integer = lua_isinteger(L, arg);
    if (s->sock.timeout_is_integer)
        s->timeout.integer = lua_tointeger(L, arg);
    else
        s->timeout.number = seconds;
}

int lss_settimeout(lua_State *L)
{
    lss_set_timeout(L, 2, lss_self_socket(L));
    return 0;
}

int lss_gettimeout(lua_State *L)
{
    struct lss_socket *s = lss_self_socket(L);
    if (s->sock.timeout_is_integer)
        lua_pushinteger(L, s->timeout.integer);
    else
        lua_pushnumber(L, s->timeout.number);
    return 1;
}

static int push_socket_name(lua_State *L, enum ss_status (*get_name)(int, struct ss_addr *, struct ss_error *))
{
    struct lss_socket *s = lss_self_socket(L);
    struct ss_addr addr;
    struct ss_error err;
    if (s->sock.io.fd < 0)
        return lss_push_closed(L);
    enum ss_status st = get_name(s->sock.io.fd, &addr, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    lss_push_addr(L, &addr, s->sock.family);
    return 1;
}

int lss_getpeername(lua_State *L)
{
    return push_socket_name(L, os_peer);
}

int lss_getsockname(lua_State *L)
{
    return push_socket_name(L, os_local);
}

static int check_open_family(lua_State *L, int arg)
{
    static const char *const names[] = { "inet", "inet6", "unix" };
    static const int families[] = { AF_INET, AF_INET6, AF_UNIX };
    size_t len;
    if (lua_type(L, arg) != LUA_TSTRING)
        lss_type_error(L, arg, "family (\"inet\", \"inet6\" or \"unix\")");
    const char *family = lua_tolstring(L, arg, &len);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && memcmp(names[i], family, len) == 0)
            return families[i];
    return luaL_argerror(L, arg, "family must be \"inet\", \"inet6\" or \"unix\"");
}

/* A call that waits on a socket without a descriptor is about to open it. */
static bool is_waited_on(const struct ss_sock *s)
{
    return s->waiters[0] || s->waiters[1];
}

int lss_open(lua_State *L)
{
    struct lss_socket *s = lss_self_socket(L);
    int family = check_open_family(L, 2);
    struct ss_error err;
    lss_check_live(L, s->sock.env);
    if (is_waited_on(&s->sock))
        return lss_push_failure(L, 1, SS_BUSY, NULL);
    enum ss_status st = ss_sock_open_for_program(&s->sock, family, &err);
    if (st != SS_OK && lss_collect_descriptors(L, s->sock.env, &err)) {
        lss_recheck_self(L, s);
        st = ss_sock_open_for_program(&s->sock, family, &err);
    }
    return lss_push_done(L, st, &err);
}

int lss_bind(lua_State *L)
{
    struct lss_socket *s = lss_self_socket(L);
    struct ss_target target;
    struct ss_error err;
    enum ss_status st = lss_check_target(L, 2, LSS_BIND, &target, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    static const struct lss_call call = { .finish = lss_finish_lookup,
                                          .drop = lss_drop_lookup,
                                          .restart = ss_lookup_restart,
                                          .directions = LSS_READING | LSS_WRITING };
    struct ss_bind *op = lss_push_lookup(L, s->sock.env, sizeof *op);
    lss_recheck_self(L, s);
    ss_bind_init(op, &s->sock, &target);
    return lss_run(L, s, &op->lookup.op, &call);
}
