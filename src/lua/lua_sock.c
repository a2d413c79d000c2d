/* Methods that both kinds of sockets have. */
#include "core/op_dgram.h"
#include "lua/lua_base.h"
#include "os/os_net.h"

static int push_closed(lua_State *L)
{
    return lss_push_failure(L, 1, SS_CLOSED, NULL);
}

int lss_close(lua_State *L)
{
    struct lss_socket *s = lss_self(L);
    struct ss_error err;
    enum ss_status st = ss_sock_close(&s->sock, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    lua_pushinteger(L, 1);
    return 1;
}

int lss_fileno(lua_State *L)
{
    struct lss_socket *s = lss_self(L);
    lua_pushinteger(L, s->sock.io.fd);
    return 1;
}

/* The descriptor leaves as the program would have made it: without our timeouts and mode; one that others have as well stays as
 * it is. */
int lss_detach(lua_State *L)
{
    struct lss_socket *s = lss_self(L);
    struct ss_sock *sock = &s->sock;
    struct ss_error ignored;
    if (sock->io.fd < 0)
        return push_closed(L);
    if (ss_sock_has_input(sock) || !ss_dgram_unjoin(sock)) {
        lua_pushnil(L);
        lua_pushliteral(L, "Unread bytes are pending");
        return 2;
    }
    ss_env_forked(sock->env);
    for (int sending = 0; sending <= 1 && !sock->shared; sending++)
        if (sock->kernel_ms[sending] != 0) /* or not known: what accept has handed down */
            os_kernel_timeout(sock->io.fd, sending, 0, &ignored);
    if (!sock->shared)
        ss_sock_mode(sock, false, &ignored);
    lua_pushinteger(L, ss_sock_release(sock, false));
    return 1;
}

int lss_settimeout(lua_State *L)
{
    struct lss_socket *s = lss_self(L);
    lua_Number seconds = lss_check_seconds(L, 2);
    s->timeout_ns = lss_nanoseconds(seconds);
    s->timeout_is_integer = lua_isinteger(L, 2);
    if (s->timeout_is_integer)
        s->timeout.integer = lua_tointeger(L, 2);
    else
        s->timeout.number = seconds;
    return 0;
}

int lss_gettimeout(lua_State *L)
{
    struct lss_socket *s = lss_self(L);
    if (s->timeout_is_integer)
        lua_pushinteger(L, s->timeout.integer);
    else
        lua_pushnumber(L, s->timeout.number);
    return 1;
}

static int push_name(lua_State *L, enum ss_status (*ask)(int, struct ss_addr *, struct ss_error *))
{
    struct lss_socket *s = lss_self(L);
    struct ss_addr addr;
    struct ss_error err;
    if (s->sock.io.fd < 0)
        return push_closed(L);
    enum ss_status st = ask(s->sock.io.fd, &addr, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    lss_push_addr(L, &addr, s->sock.family);
    return 1;
}

int lss_getpeername(lua_State *L)
{
    return push_name(L, os_peer);
}

int lss_getsockname(lua_State *L)
{
    return push_name(L, os_local);
}

static int finish_bind(lua_State *L, struct ss_op *op, enum ss_status st)
{
    ss_named_fini((struct ss_named *)op);
    return lss_push_done(L, st, &op->error);
}

int lss_bind(lua_State *L)
{
    struct lss_socket *s = lss_self(L);
    struct ss_target target;
    struct ss_error err;
    enum ss_status st = lss_check_target(L, 2, LSS_BIND, &target, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    static const struct lss_way way = { .finish = finish_bind, .holds = LSS_READING | LSS_WRITING };
    struct ss_named *op = lss_push_named(L, sizeof *op);
    ss_named_init(op, s->sock.env, &s->sock, &target, ss_named_bind);
    return lss_run(L, s, &op->op, &way);
}
