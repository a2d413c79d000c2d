/* Stream sockets: the class tcpsock. */
#include "core/op_accept.h"
#include "core/op_connect.h"
#include "lua/lua_base.h"
#include "os/os_net.h"

#include <limits.h> /* INT_MAX */
#include <math.h>   /* floor */
#include <stddef.h> /* offsetof */
#include <stdint.h> /* SIZE_MAX */

struct tcpsock {
    struct lss_socket base;
};

const size_t lss_tcp_size = sizeof(struct tcpsock);

struct lss_socket *lss_new_tcp(lua_State *L, struct ss_env *env)
{
    return lss_new_socket(L, env, LSS_TCP, sizeof(struct tcpsock), SOCK_STREAM);
}

static struct tcpsock *self_tcp(lua_State *L)
{
    return lss_self_socket(L);
}

static bool tcp_is_closed(const struct tcpsock *s)
{
    return s->base.sock.io.fd < 0;
}

static struct ss_op new_tcp_op(struct tcpsock *s, enum ss_status (*step)(struct ss_op *),
                               enum ss_kernel_timeout kernel_timeout)
{
    return (struct ss_op){ .step = step, .io = &s->base.sock.io, .kernel_timeout = (uint8_t)kernel_timeout };
}

/* Reading. Operations are on the C stack: finalizers in Lua's allocations may start others on the same socket. */

struct stream_read {
    struct ss_read op;
    struct tcpsock *sock;
};

enum { LARGE_READ = 32768 };

/* Pushes the first `n` bytes as a string, then consumes these and `delimiter` bytes. False: nothing is pushed, a
 * finalizer has consumed bytes meanwhile. */
static bool push_input(lua_State *L, struct ss_inbuf *in, size_t n, size_t delimiter)
{
    unsigned epoch = in->epoch;
    if (LSS_COLLECTS_BEFORE_COPY && n > LARGE_READ && n + delimiter == ss_inbuf_len(in)) {
        lss_push_inbuf(L, in, ss_inbuf_data(in), n, LSS_RESTORE_ON_ERROR);
        return true;
    }
    if (!lss_push_bytes(L, in, ss_inbuf_data(in), n))
        return false;
    if (in->epoch != epoch) {
        lua_pop(L, 1);
        return false;
    }
    ss_inbuf_consume(in, n + delimiter);
    return true;
}

/* The bytes in the buffer belong to another task's call, or the socket has been closed. */
static bool has_no_partial(enum ss_status st)
{
    return st == SS_CLOSED || st == SS_BUSY;
}

static int push_partial(lua_State *L, struct ss_inbuf *in, enum ss_status st, const struct ss_error *err, size_t n)
{
    unsigned epoch = in->epoch;
    lss_push_failure(L, 1, st, err);
    if (!has_no_partial(st) && in->epoch == epoch && push_input(L, in, n, 0))
        ss_inbuf_shrink(in);
    else
        lua_pushliteral(L, "");
    return 3;
}

/* Pushes the bytes, at most `max`, that were in the buffer when another task closed the socket. A memory error keeps
 * them in *left, for a second attempt. */
static void push_input_at_close(lua_State *L, struct ss_block **left, struct ss_pool *pool, size_t max)
{
    struct ss_inbuf inbuf = { .pool = pool, .block = *left };
    size_t n = ss_inbuf_len(&inbuf);
    *left = NULL;
    if (!inbuf.block) {
        lua_pushliteral(L, "");
    } else if (!lss_try_push_inbuf(L, &inbuf, ss_inbuf_data(&inbuf), n < max ? n : max, LSS_RESTORE_ON_ERROR)) {
        *left = inbuf.block;
        lua_error(L);
    }
}

static int push_closed_partial(lua_State *L, struct ss_block **left, struct ss_pool *pool)
{
    lss_push_closed(L);
    push_input_at_close(L, left, pool, SIZE_MAX);
    return 3;
}

/* Drops a call that is never finished. Its socket may be freed: the pool comes from lss_env. */
static void drop_stream_read(lua_State *L, int kept, struct ss_op *op)
{
    struct ss_reading *r = (struct ss_reading *)op;
    (void)kept;
    if (r->unread)
        ss_pool_return(&lss_env(L)->pool, r->unread);
    r->unread = NULL;
}

static int push_closed_empty(lua_State *L)
{
    lss_push_closed(L);
    lua_pushliteral(L, "");
    return 3;
}

/* Reports memory before bytes leave the buffer: finalizers may raise errors. False: one has changed the buffer. */
static bool account_input(lua_State *L, struct ss_inbuf *in)
{
    unsigned epoch = in->epoch;
    lss_account_memory(L, in->pool);
    return in->epoch == epoch;
}

static int finish_read(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct stream_read *r = (struct stream_read *)base;
    struct ss_inbuf *in = r->op.in;
    if (st == SS_CLOSED)
        return push_closed_partial(L, &r->op.unread, in->pool);
    if (st != SS_OK)
        return push_partial(L, in, st, &base->error, st == SS_LIMIT ? r->op.len : ss_inbuf_len(in));
    if (account_input(L, in) && push_input(L, in, r->op.len, 0))
        return 1;
    return tcp_is_closed(r->sock) ? push_closed_partial(L, &r->op.unread, in->pool) : LSS_RETRY;
}

/* A failure has no partial result: one byte is a success. */
static int finish_readsome(lua_State *L, struct ss_op *op, enum ss_status st)
{
    struct stream_read *r = (struct stream_read *)op;
    if (st == SS_CLOSED && r->op.unread) {
        push_input_at_close(L, &r->op.unread, r->op.in->pool, r->op.want);
        return 1;
    }
    int results = st == SS_OK ? finish_read(L, op, st) : lss_push_failure(L, 1, st, &op->error);
    if (results == 3) {
        lua_pop(L, 1);
        results = 2;
    }
    return results;
}

static const struct lss_call read_call = {
    .finish = finish_read, .drop = drop_stream_read, .size = sizeof(struct stream_read), .directions = LSS_READING
};
static const struct lss_call readsome_call = {
    .finish = finish_readsome, .drop = drop_stream_read, .size = sizeof(struct stream_read), .directions = LSS_READING
};

/* Pushes bytes from memory without an operation, if lss_may_try allows that. False: nothing is pushed. */
static bool try_push_input(lua_State *L, struct tcpsock *s, size_t n, size_t delimiter)
{
    struct ss_inbuf *in = &s->base.sock.in;
    if (!lss_may_try(&s->base.sock, LSS_READING) || !account_input(L, in) || !push_input(L, in, n, delimiter))
        return false;
    lss_count_call(&s->base.sock);
    return true;
}

static int run_stream_read(lua_State *L, struct tcpsock *s, enum ss_status (*step)(struct ss_op *), size_t want,
                           const struct lss_call *call)
{
    if (tcp_is_closed(s))
        return push_closed_empty(L);
    struct stream_read r = { .op = { .in = &s->base.sock.in, .want = want }, .sock = s };
    r.op.op = new_tcp_op(s, step, SS_BY_RCVTIMEO);
    r.op.op.reads = true;
    return lss_run(L, &s->base, &r.op.op, call);
}

static int tcp_read(lua_State *L)
{
    struct tcpsock *s = self_tcp(L);
    size_t size = lss_check_size(L, 2, "size", 0);
    struct ss_inbuf *in = &s->base.sock.in;
    unsigned stream = in->stream;
    if (ss_try_read(in, size) == SS_OK && try_push_input(L, s, size, 0))
        return 1;
    return in->stream == stream ? run_stream_read(L, s, ss_readn_step, size, &read_call) : push_closed_empty(L);
}

static int tcp_readsome(lua_State *L)
{
    struct tcpsock *s = self_tcp(L);
    size_t max = lss_check_size(L, 2, "max", 1);
    return tcp_is_closed(s) ? lss_push_closed(L) : run_stream_read(L, s, ss_readsome_step, max, &readsome_call);
}

static int tcp_readall(lua_State *L)
{
    struct tcpsock *s = self_tcp(L);
    size_t max = lua_isnoneornil(L, 2) ? SIZE_MAX / 4 : lss_check_size(L, 2, "max", 0);
    return run_stream_read(L, s, ss_readall_step, max, &read_call);
}

static int tcp_pending(lua_State *L)
{
    struct tcpsock *s = self_tcp(L);
    lss_push_size(L, ss_inbuf_len(&s->base.sock.in));
    return 1;
}

/* State of an iterator of readuntil. Upvalues 2 and 3 keep alive the socket's userdata and the pattern. */
struct line_iterator {
    struct ss_find find; /* first: finish_until casts a pointer to this */
    const struct lss_socket_handle *handle;
    size_t max;
    bool inclusive;
    size_t border[]; /* find.border */
};

struct line_read {
    struct ss_until op;
    struct tcpsock *sock;
};

static size_t until_partial_len(const struct ss_until *op, enum ss_status st)
{
    if (st == SS_LIMIT)
        return op->len;
    return st == SS_TIMEOUT || st == SS_CANCELLED ? ss_until_partial(op) : ss_inbuf_len(op->in);
}

static int finish_until(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_until *op = (struct ss_until *)base;
    const struct line_iterator *iter = (const struct line_iterator *)op->find;
    size_t line = op->len, delimiter = op->find->len;
    if (st == SS_CLOSED)
        return push_closed_partial(L, &op->unread, op->in->pool);
    if (st != SS_OK)
        return push_partial(L, op->in, st, &base->error, until_partial_len(op, st));
    if (iter->inclusive) {
        line += delimiter;
        delimiter = 0;
    }
    if (account_input(L, op->in) && push_input(L, op->in, line, delimiter))
        return 1;
    op->scan = (struct ss_scan){ .seen = 0 };
    return tcp_is_closed(((struct line_read *)base)->sock) ? push_closed_partial(L, &op->unread, op->in->pool)
                                                           : LSS_RETRY;
}

static bool try_push_line(lua_State *L, struct tcpsock *s, const struct line_iterator *iter, struct ss_scan *scan)
{
    size_t line, delimiter = iter->find.len;
    if (ss_try_until(&s->base.sock.in, &iter->find, iter->max, scan, &line) != SS_OK)
        return false;
    return try_push_input(L, s, iter->inclusive ? line + delimiter : line, iter->inclusive ? 0 : delimiter);
}

static int next_line(lua_State *L)
{
    static const struct lss_call call = {
        .finish = finish_until, .drop = drop_stream_read, .size = sizeof(struct line_read), .directions = LSS_READING
    };
    const struct line_iterator *iter = lua_touserdata(L, lua_upvalueindex(1));
    struct tcpsock *s = (struct tcpsock *)iter->handle->socket;
    struct ss_scan scan;
    if (!s)
        return push_closed_empty(L);
    unsigned stream = s->base.sock.in.stream;
    if (try_push_line(L, s, iter, &scan))
        return 1;
    if (tcp_is_closed(s) || s->base.sock.in.stream != stream)
        return push_closed_empty(L);
    if (s->base.sock.env->loop) {
        scan = (struct ss_scan){ .seen = 0 };  /* another task may consume bytes first */
        lua_pushvalue(L, lua_upvalueindex(1)); /* for finish_until: the iterator may be collected by then */
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_pushvalue(L, lua_upvalueindex(3));
    }
    struct line_read l = { .sock = s };
    l.op = (struct ss_until){ .in = &s->base.sock.in, .find = &iter->find, .scan = scan, .max = iter->max };
    l.op.op = new_tcp_op(s, ss_until_step, SS_BY_RCVTIMEO);
    l.op.op.reads = true;
    return lss_run(L, &s->base, &l.op.op, &call);
}

static int tcp_readuntil(lua_State *L)
{
    size_t len;
    self_tcp(L);
    const char *pattern = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, len > 0, 2, "pattern must not be empty");
    size_t max = lua_isnoneornil(L, 4) ? SIZE_MAX : lss_check_size(L, 4, "max", 1);
    if (lua_type(L, 3) == LUA_TNUMBER) /* a misplaced `max` would set no limit */
        lss_type_error(L, 3, "inclusive (a boolean)");
    bool inclusive = lua_toboolean(L, 3);
    struct line_iterator *iter = lss_newuserdata(L, sizeof *iter + ss_find_border_size(len));
    *iter = (struct line_iterator){ .handle = lua_touserdata(L, 1), .max = max, .inclusive = inclusive };
    iter->find = (struct ss_find){ .pattern = (const unsigned char *)pattern, .len = len, .border = iter->border };
    ss_find_init(&iter->find);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
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

static inline enum ss_status try_write_string(struct tcpsock *s, const void *data, size_t len,
                                              struct write_try *attempt)
{
    struct ss_sock *sock = &s->base.sock;
    attempt->tried = len > 0 && ss_try_send_pays(len) && !tcp_is_closed(s) && lss_may_try(sock, LSS_WRITING);
    if (!attempt->tried)
        return SS_WANT;
    enum ss_status st = ss_try_send(&sock->io, data, len, &attempt->sent, &attempt->err);
    if (st != SS_WANT)
        lss_count_call(sock);
    return st;
}

static int write_string(lua_State *L, struct tcpsock *s, const char *data, size_t len)
{
    static const struct lss_call call = { .finish = finish_write,
                                          .size = offsetof(struct stream_write, inline_iov[1]),
                                          .relocate = relocate_stream_write,
                                          .directions = LSS_WRITING };
    struct write_try attempt = { .sent = 0 };
    enum ss_status st = try_write_string(s, data, len, &attempt);
    if (st == SS_OK) {
        lss_push_size(L, len);
        return 1;
    }
    struct stream_write w;
    w.inline_iov[0] = (struct iovec){ .iov_base = (void *)data, .iov_len = len };
    init_stream_write(&w, s, w.inline_iov, 1, attempt.sent);
    w.op.op.tried = attempt.tried;
    w.op.op.error = attempt.err;
    return st == SS_WANT ? run_stream_write(L, s, &w, &call) : finish_write(L, &w.op.op, st);
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
    init_stream_write(&w, s, iov, n, 0);
    if (tcp_is_closed(s) || lss_stream(&s->base.sock) != stream)
        return finish_write(L, &w.op.op, SS_CLOSED);
    if (ss_try_send_pays(sum))
        return lss_try_then_run(L, &s->base, &w.op.op, &call);
    return lss_run(L, &s->base, &w.op.op, &call);
}

static int tcp_write(lua_State *L)
{
    size_t len;
    const char *data = lua_tolstring(L, 2, &len); /* converts a number, which may run finalizers */
    struct tcpsock *s = self_tcp(L);
    if (data)
        return write_string(L, s, data, len);
    if (!lua_istable(L, 2))
        return lss_type_error(L, 2, "string or table of strings");
    return write_array(L, s);
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
    static const struct lss_call call = {
        .finish = finish_accept, .size = sizeof(struct ss_accept), .keep = 1, .directions = LSS_READING
    };
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
    return lss_push_done(L, os_shutdown(s->base.sock.io.fd, how, &err), &err);
}

static const luaL_Reg tcp_methods[] = {
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
