/* Stream sockets: the class tcpsock. */
#include "core/op_accept.h"
#include "lua/lua_base.h"
#include "os/os_net.h"

#include <limits.h> /* INT_MAX */

/* One operation that takes and one that gives may be in progress. */
struct tcp {
    struct lss_socket base;
    union {
        struct ss_op op;
        struct ss_read read;
        struct ss_until until;
        struct ss_accept accept;
    } taking;
    struct ss_write writing;
};

struct lss_socket *lss_new_tcp(lua_State *L)
{
    return lss_new(L, LSS_TCP, sizeof(struct tcp), SOCK_STREAM);
}

static struct tcp *self(lua_State *L)
{
    return lss_self(L);
}

static bool is_closed(const struct tcp *s)
{
    return s->base.sock.io.fd < 0;
}

static int push_closed(lua_State *L)
{
    return lss_push_failure(L, 1, SS_CLOSED, NULL);
}

static struct ss_op new_op(struct tcp *s, enum ss_status (*step)(struct ss_op *), enum ss_patience patience)
{
    return (struct ss_op){ .step = step, .io = &s->base.sock.io, .patience = (uint8_t)patience };
}

/* Reading */

/* The bytes are taken only when they are safe in a string. */
static void push_taken(lua_State *L, struct ss_inbuf *in, size_t n)
{
    lua_pushlstring(L, (const char *)ss_inbuf_data(in), n);
    ss_inbuf_consume(in, n);
}

static int push_partial(lua_State *L, struct ss_inbuf *in, enum ss_status st, const struct ss_error *err, size_t n)
{
    lss_push_failure(L, 1, st, err);
    push_taken(L, in, n);
    ss_inbuf_settle(in);
    return 3;
}

static int push_closed_reader(lua_State *L)
{
    push_closed(L);
    lua_pushliteral(L, "");
    return 3;
}

static int finish_read(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_read *op = (struct ss_read *)base;
    int results = 1;
    if (st == SS_OK)
        push_taken(L, op->in, op->len);
    else
        results = push_partial(L, op->in, st, &base->error, st == SS_LIMIT ? op->len : ss_inbuf_len(op->in));
    lss_account(L, op->in->pool);
    return results;
}

static int read_with(lua_State *L, struct tcp *s, enum ss_status (*step)(struct ss_op *), size_t want,
                     lss_finish *finish)
{
    if (is_closed(s))
        return push_closed_reader(L);
    struct ss_read *op = &s->taking.read;
    *op = (struct ss_read){ .in = &s->base.sock.in, .want = want };
    op->op = new_op(s, step, SS_BY_RECV);
    return lss_run(L, &s->base, &op->op, finish);
}

static int tcp_read(lua_State *L)
{
    struct tcp *s = self(L);
    return read_with(L, s, ss_readn_step, lss_check_size(L, 2, "size", 0), finish_read);
}

/* Where it fails nothing is left, so that there is no partial. */
static int finish_readsome(lua_State *L, struct ss_op *op, enum ss_status st)
{
    return st == SS_OK ? finish_read(L, op, st) : lss_push_failure(L, 1, st, &op->error);
}

static int tcp_readsome(lua_State *L)
{
    struct tcp *s = self(L);
    size_t max = lss_check_size(L, 2, "max", 1);
    return is_closed(s) ? push_closed(L) : read_with(L, s, ss_readsome_step, max, finish_readsome);
}

static int tcp_readall(lua_State *L)
{
    struct tcp *s = self(L);
    size_t max = lua_isnoneornil(L, 2) ? SIZE_MAX / 4 : lss_check_size(L, 2, "max", 0);
    return read_with(L, s, ss_readall_step, max, finish_read);
}

static int tcp_pending(lua_State *L)
{
    struct tcp *s = self(L);
    lua_pushinteger(L, (lua_Integer)ss_inbuf_len(&s->base.sock.in));
    return 1;
}

/* What an iterator of readuntil needs, the socket and the pattern apart: they are its other upvalues. */
struct lines {
    struct ss_find find; /* first: an operation knows this */
    size_t max;
    bool inclusive;
    size_t border[]; /* find.border */
};

static int finish_until(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_until *op = (struct ss_until *)base;
    const struct lines *lines = (const struct lines *)op->find;
    struct ss_inbuf *in = op->in;
    if (st == SS_OK) {
        lua_pushlstring(L, (const char *)ss_inbuf_data(in), op->len + (lines->inclusive ? op->find->len : 0));
        ss_inbuf_consume(in, op->len + op->find->len);
    } else {
        size_t n = st == SS_LIMIT ? op->len : st == SS_TIMEOUT ? ss_until_partial(op) : ss_inbuf_len(in);
        push_partial(L, in, st, &base->error, n);
    }
    lss_account(L, in->pool);
    return st == SS_OK ? 1 : 3;
}

static int next_line(lua_State *L)
{
    struct tcp *s = lua_touserdata(L, lua_upvalueindex(1));
    const struct lines *lines = lua_touserdata(L, lua_upvalueindex(3));
    if (is_closed(s))
        return push_closed_reader(L);
    struct ss_until *op = &s->taking.until;
    *op = (struct ss_until){ .in = &s->base.sock.in, .find = &lines->find, .max = lines->max };
    op->op = new_op(s, ss_until_step, SS_BY_RECV);
    return lss_run(L, &s->base, &op->op, finish_until);
}

static int tcp_readuntil(lua_State *L)
{
    size_t len;
    self(L);
    const char *pattern = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, len > 0, 2, "pattern must not be empty");
    size_t max = lua_isnoneornil(L, 4) ? SIZE_MAX : lss_check_size(L, 4, "max", 1);
    bool inclusive = lua_toboolean(L, 3);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    struct lines *lines = lss_newuserdata(L, sizeof *lines + ss_find_border_size(len));
    *lines = (struct lines){ .max = max, .inclusive = inclusive };
    lines->find = (struct ss_find){ .pattern = (const unsigned char *)pattern, .len = len, .border = lines->border };
    ss_find_init(&lines->find);
    lua_pushcclosure(L, next_line, 3);
    return 1;
}

/* Writing */

static int finish_write(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_write *op = (struct ss_write *)base;
    int results = 1;
    if (st != SS_OK)
        results += lss_push_failure(L, 1, st, &base->error);
    lua_pushinteger(L, (lua_Integer)op->sent);
    return results;
}

static int tcp_write(lua_State *L)
{
    struct tcp *s = self(L);
    struct ss_write *op = &s->writing;
    struct iovec one, *iov = &one;
    size_t n = 1;
    if (lua_istable(L, 2))
        iov = lss_check_strings(L, 2, &n);
    else
        one.iov_base = (void *)luaL_checklstring(L, 2, &one.iov_len);
    *op = (struct ss_write){ .one = one, .iov = iov == &one ? &op->one : iov, .n = n };
    op->op = new_op(s, ss_write_step, SS_BY_SEND);
    if (is_closed(s))
        return finish_write(L, &op->op, SS_CLOSED);
    return lss_run(L, &s->base, &op->op, finish_write);
}

/* Connections */

static int finish_connect(lua_State *L, struct ss_op *op, enum ss_status st)
{
    ss_named_fini((struct ss_named *)op);
    return lss_push_done(L, st, &op->error);
}

static int tcp_connect(lua_State *L)
{
    struct tcp *s = self(L);
    struct ss_target target;
    struct ss_error err;
    enum ss_status st = lss_check_target(L, 2, 0, &target, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    struct ss_named *op = lss_push_named(L);
    ss_named_init(op, s->base.sock.env, &s->base.sock, &target, ss_named_connect);
    return lss_run(L, &s->base, &op->op, finish_connect);
}

static int tcp_listen(lua_State *L)
{
    struct tcp *s = self(L);
    struct ss_error err;
    int backlog = -1;
    if (!lua_isnoneornil(L, 2)) {
        backlog = lss_check_int(L, 2, "backlog", INT_MIN, INT_MAX);
        backlog = backlog < 0 ? 0 : backlog;
    }
    if (is_closed(s))
        return push_closed(L);
    enum ss_status st = os_listen(s->base.sock.io.fd, backlog, &err);
    s->base.sock.listening = s->base.sock.listening || st == SS_OK;
    return lss_push_done(L, st, &err);
}

/* The new socket is on top of the stack. */
static int finish_accept(lua_State *L, struct ss_op *op, enum ss_status st)
{
    return st == SS_OK ? 1 : lss_push_failure(L, 1, st, &op->error);
}

static int tcp_accept(lua_State *L)
{
    struct tcp *s = self(L);
    struct ss_accept *op = &s->taking.accept;
    if (is_closed(s))
        return push_closed(L);
    struct lss_socket *into = lss_new_tcp(L);
    *op = (struct ss_accept){ .listener = &s->base.sock, .into = &into->sock };
    op->op = new_op(s, ss_accept_step, os_kernel_bounds_connections ? SS_BY_RECV : SS_BY_POLL);
    return lss_run(L, &s->base, &op->op, finish_accept);
}

static int tcp_shutdown(lua_State *L)
{
    struct tcp *s = self(L);
    struct ss_error err;
    int how = lss_check_int(L, 2, "how", INT_MIN, INT_MAX);
    luaL_argcheck(L, how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR, 2,
                  "how must be SHUT_RD, SHUT_WR or SHUT_RDWR");
    if (is_closed(s))
        return push_closed(L);
    return lss_push_done(L, os_shutdown(s->base.sock.io.fd, how, &err), &err);
}

static const luaL_Reg methods[] = {
    { "accept", tcp_accept },
    { "bind", lss_bind },
    { "close", lss_close },
    { "connect", tcp_connect },
    { "detach", lss_detach },
    { "fileno", lss_fileno },
    { "getopt", lss_getopt },
    { "getpeername", lss_getpeername },
    { "getsockname", lss_getsockname },
    { "gettimeout", lss_gettimeout },
    { "listen", tcp_listen },
    { "pending", tcp_pending },
    { "read", tcp_read },
    { "readall", tcp_readall },
    { "readsome", tcp_readsome },
    { "readuntil", tcp_readuntil },
    { "setopt", lss_setopt },
    { "settimeout", lss_settimeout },
    { "shutdown", tcp_shutdown },
    { "write", tcp_write },
    { NULL, NULL },
};

void lss_open_tcp(lua_State *L)
{
    lss_class(L, LSS_TCP, methods);
}
