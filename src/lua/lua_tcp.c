/* Stream sockets: connecting, writing, and the class tcpsock. Reading: lua_stream.c. */
#include "core/op_accept.h"
#include "core/op_connect.h"
#include "core/op_shutdown.h"
#include "lua/lua_stream.h"
#include "os/os_net.h"

#include <limits.h> /* INT_MAX */
#include <math.h>   /* floor */
#include <stddef.h> /* offsetof */
#include <stdint.h> /* SIZE_MAX */

const size_t lss_tcp_size = sizeof(struct tcpsock);

struct lss_socket *lss_new_tcp(lua_State *L, struct ss_env *env)
{
    return lss_new_socket(L, env, LSS_TCP, sizeof(struct tcpsock), SOCK_STREAM);
}

/* Writing */

static int finish_write(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_write *op = (struct ss_write *)base;
    int results = 1;
    if (st != SS_OK)
        results += lss_push_failure(L, 1, st, &base->error);
    lss_push_size(L, op->sent);
    return results;
}

enum { INLINE_IOV = 16 };

/* The strings stay on Lua's stack. */
struct stream_write {
    struct ss_write op;
    struct iovec inline_iov[INLINE_IOV]; /* op.iov points here, unless there are more */
};

static void relocate_stream_write(struct ss_op *base, const struct ss_op *from)
{
    struct stream_write *w = (struct stream_write *)base;
    const struct stream_write *old = (const struct stream_write *)from;
    if (w->op.iov >= old->inline_iov && w->op.iov <= old->inline_iov + INLINE_IOV)
        w->op.iov = w->inline_iov + (w->op.iov - old->inline_iov);
}

/* `sent`: bytes at the start of `iov` that are sent already. */
static void init_stream_write(struct stream_write *w, struct tcpsock *s, struct iovec *iov, size_t n, size_t sent)
{
    w->op = (struct ss_write){ .iov = iov, .n = n };
    w->op.op = new_tcp_op(s, ss_write_step, SS_BY_SNDTIMEO);
    ss_write_advance(&w->op, sent);
}

/* Runs a write, with the wanted event set as after a step: a send may have been tried. */
static int run_stream_write(lua_State *L, struct tcpsock *s, struct stream_write *w, const struct lss_call *call)
{
    ss_op_want(&w->op.op, SS_WRITABLE);
    return tcp_is_closed(s) ? finish_write(L, &w->op.op, SS_CLOSED) : lss_run(L, &s->base, &w->op.op, call);
}

/* A send that is tried before an operation exists. */
struct write_try {
    bool tried;
    size_t sent;
    struct ss_error err;
};

/* `len`: the sum of the buffers' lengths, or more than is tried. */
static inline enum ss_status try_write(struct tcpsock *s, const struct iovec *iov, size_t n, size_t len,
                                       struct write_try *attempt)
{
    struct ss_sock *sock = &s->base.sock;
    attempt->tried = len > 0 && ss_try_send_pays(len) && !tcp_is_closed(s) && lss_may_try(sock, LSS_WRITING);
    if (!attempt->tried)
        return SS_WANT;
    enum ss_status st = ss_try_send(&sock->io, iov, n, len, &attempt->sent, &attempt->err);
    if (st != SS_WANT)
        lss_count_call(sock);
    return st;
}

/* Continues a write of which try_write has sent a part or nothing. */
static inline int continue_write(lua_State *L, struct tcpsock *s, struct stream_write *w, enum ss_status st,
                                 const struct write_try *attempt, const struct lss_call *call)
{
    w->op.op.tried = attempt->tried;
    w->op.op.error = attempt->err;
    return st == SS_WANT ? run_stream_write(L, s, w, call) : finish_write(L, &w->op.op, st);
}

static inline int write_string(lua_State *L, struct tcpsock *s, const char *data, size_t len)
{
    static const struct lss_call call = { .finish = finish_write,
                                          .size = offsetof(struct stream_write, inline_iov[1]),
                                          .relocate = relocate_stream_write,
                                          .directions = LSS_WRITING };
    struct write_try attempt = { .sent = 0 };
    struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
    enum ss_status st = try_write(s, &iov, 1, len, &attempt);
    if (st == SS_OK) {
        lss_push_size(L, len);
        return 1;
    }
    struct stream_write w;
    w.inline_iov[0] = iov;
    init_stream_write(&w, s, w.inline_iov, 1, attempt.sent);
    return continue_write(L, s, &w, st, &attempt, &call);
}

/* Pushes the elements of the array at index 2, so that they cannot change. Returns the sum of their lengths, or a part
 * of that for which ss_try_send_pays is false. SIZE_MAX: an element is no string, or the stack has no room. */
static size_t push_array_strings(lua_State *L, size_t n, struct iovec *iov)
{
    size_t sum = 0;
    if (!lua_checkstack(L, INLINE_IOV + LUA_MINSTACK))
        return SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        iov[i].iov_base = (void *)lua_tolstring(L, -1, &iov[i].iov_len);
        if (!iov[i].iov_base)
            return SIZE_MAX;
        if (ss_try_send_pays(sum)) /* no overflow */
            sum += iov[i].iov_len;
    }
    return sum;
}

static int write_array(lua_State *L, struct tcpsock *s)
{
    static const struct lss_call call = { .finish = finish_write,
                                          .size = sizeof(struct stream_write),
                                          .relocate = relocate_stream_write,
                                          .directions = LSS_WRITING };
    struct stream_write w;
    unsigned stream = lss_stream(&s->base.sock);
    size_t n = lss_check_length(L, 2);
    size_t sum = n <= INLINE_IOV ? push_array_strings(L, n, w.inline_iov) : SIZE_MAX;
    struct iovec *iov = sum == SIZE_MAX ? lss_check_strings(L, 2, &n) : w.inline_iov;
    struct write_try attempt = { .sent = 0 };
    bool same = lss_stream(&s->base.sock) == stream;
    enum ss_status st = same ? try_write(s, iov, n, sum, &attempt) : SS_CLOSED;
    if (st == SS_OK) {
        lss_push_size(L, sum);
        return 1;
    }
    init_stream_write(&w, s, iov, n, attempt.sent);
    return continue_write(L, s, &w, st, &attempt, &call);
}

static int write_table(lua_State *L, struct tcpsock *s)
{
    return lua_istable(L, 2) ? write_array(L, s) : lss_type_error(L, 2, "string or table of strings");
}

/* With positions, which may be nil. */
LSS_NOINLINE static int write_part(lua_State *L)
{
    size_t len;
    const char *data = lua_tolstring(L, 2, &len); /* converts a number, which may run finalizers */
    struct tcpsock *s = self_tcp(L);
    if (data) {
        size_t offset = lss_check_part(L, 3, &len);
        return write_string(L, s, data + offset, len);
    }
    for (int arg = 4; arg > 2 && lua_istable(L, 2); arg--)
        if (!lua_isnoneornil(L, arg))
            luaL_argerror(L, arg, "a part of a string only: for a part of an array, write an array of that part");
    return write_table(L, s);
}

static int tcp_write(lua_State *L)
{
    size_t len;
    if (lua_gettop(L) > 2)
        return write_part(L);
    const char *data = lua_tolstring(L, 2, &len);
    struct tcpsock *s = self_tcp(L);
    return data ? write_string(L, s, data, len) : write_table(L, s);
}

/* Connections */

static int tcp_connect(lua_State *L)
{
    struct tcpsock *s = self_tcp(L);
    struct ss_target target;
    struct ss_error err;
    enum ss_status st = lss_check_target(L, 2, 0, &target, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    static const struct lss_call call = { .finish = lss_finish_lookup,
                                          .drop = lss_drop_lookup,
                                          .restart = ss_connect_restart,
                                          .directions = LSS_READING | LSS_WRITING };
    struct ss_connect *op = lss_push_lookup(L, s->base.sock.env, sizeof *op);
    lss_recheck_self(L, &s->base);
    ss_connect_init(op, &s->base.sock, &target);
    return lss_run(L, &s->base, &op->lookup.op, &call);
}

static int tcp_listen(lua_State *L)
{
    struct tcpsock *s = self_tcp(L);
    struct ss_error err;
    int backlog = -1;
    if (!lua_isnoneornil(L, 2)) {
        lua_Number n = lua_tonumber(L, 2);
        bool negative = n < 0 && n == floor(n) && n - n == 0;
        backlog = negative ? 0 : lss_check_int(L, 2, "backlog", 0, INT_MAX);
    }
    if (tcp_is_closed(s))
        return lss_push_closed(L);
    return lss_push_done(L, os_listen(s->base.sock.io.fd, backlog, &err), &err);
}

/* The new socket is on top of the stack. */
static int finish_accept(lua_State *L, struct ss_op *op, enum ss_status st)
{
    return st == SS_OK ? 1 : lss_push_failure(L, 1, st, &op->error);
}

static int tcp_accept(lua_State *L)
{
    static const struct lss_call call = { .finish = finish_accept,
                                          .restart = lss_restart_step,
                                          .size = sizeof(struct ss_accept),
                                          .keep = 1,
                                          .directions = LSS_READING };
    struct tcpsock *s = self_tcp(L);
    struct lss_socket *accepted = lss_new_socket(L, s->base.sock.env, NULL, sizeof(struct tcpsock), SOCK_STREAM);
    lss_recheck_self(L, &s->base);
    struct ss_accept op = { .listener = &s->base.sock, .into = &accepted->sock, .stream = lss_stream(&accepted->sock) };
    if (tcp_is_closed(s))
        return lss_push_closed(L);
    op.op = new_tcp_op(s, ss_accept_step, SS_BY_NONE);
    return lss_run(L, &s->base, &op.op, &call);
}

#define SHUTDOWN_HOW "SHUT_RD, SHUT_WR or SHUT_RDWR"

static int finish_shutdown(lua_State *L, struct ss_op *op, enum ss_status st)
{
    return lss_push_done(L, st, &op->error);
}

/* A layer has to send before the output ends. */
static int run_shutdown(lua_State *L, struct tcpsock *s, int how)
{
    static const struct lss_call call = { .finish = finish_shutdown,
                                          .size = sizeof(struct ss_shutdown),
                                          .directions = LSS_WRITING };
    struct ss_shutdown op = { .how = how };
    op.op = new_tcp_op(s, ss_shutdown_step, SS_BY_SNDTIMEO);
    s->base.sock.output_ended = true;
    return lss_run(L, &s->base, &op.op, &call);
}

static int tcp_shutdown(lua_State *L)
{
    struct tcpsock *s = self_tcp(L);
    struct ss_error err;
    if (!lua_isnumber(L, 2))
        lss_type_error(L, 2, SHUTDOWN_HOW);
    int how = lss_check_int(L, 2, "how", INT_MIN, INT_MAX);
    luaL_argcheck(L, how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR, 2, SHUTDOWN_HOW " expected");
    if (tcp_is_closed(s))
        return lss_push_closed(L);
    if (ss_io_has_layer(&s->base.sock.io) && how != SHUT_RD)
        return run_shutdown(L, s, how);
    enum ss_status st = ss_shutdown_now(&s->base.sock.io, how, &err);
    if (st == SS_OK && how != SHUT_RD)
        s->base.sock.output_ended = true;
    return lss_push_done(L, st, &err);
}

static const luaL_Reg tcp_methods[] = {
    { "accept", tcp_accept },
    { "bind", lss_bind },
    { "close", lss_close },
    { "connect", tcp_connect },
    { "detach", lss_detach },
    { "fileno", lss_fileno },
    { "finish", lss_tcp_finish },
    { "getopt", lss_getopt },
    { "getpeername", lss_getpeername },
    { "getsockname", lss_getsockname },
    { "gettimeout", lss_gettimeout },
    { "listen", tcp_listen },
    { "open", lss_open },
    { "peek", lss_tcp_peek },
    { "pending", lss_tcp_pending },
    { "read", lss_tcp_read },
    { "readall", lss_tcp_readall },
    { "readline", lss_tcp_readline },
    { "readsome", lss_tcp_readsome },
    { "readuntil", lss_tcp_readuntil },
    { "recvfd", lss_recvfd },
    { "sendfd", lss_sendfd },
    { "setopt", lss_setopt },
    { "settimeout", lss_settimeout },
    { "shutdown", tcp_shutdown },
    { "write", tcp_write },
    { NULL, NULL },
};

void lss_open_tcp(lua_State *L)
{
    lss_register_class(L, LSS_TCP, lss_socket_metamethods, tcp_methods);
}
