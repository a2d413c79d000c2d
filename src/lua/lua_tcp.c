/* Stream sockets: the class tcpsock. */
#include "core/op_accept.h"
#include "core/op_connect.h"
#include "lua/lua_base.h"
#include "os/os_net.h"

#include <limits.h> /* INT_MAX */
#include <math.h>   /* floor */
#include <stddef.h> /* offsetof */
#include <stdint.h> /* SIZE_MAX */

struct tcp {
    struct lss_socket base;
};

const size_t lss_tcp_size = sizeof(struct tcp);

struct lss_socket *lss_new_tcp(lua_State *L, struct ss_env *env)
{
    return lss_new(L, env, LSS_TCP, sizeof(struct tcp), SOCK_STREAM);
}

static struct tcp *self_tcp(lua_State *L)
{
    return lss_self_socket(L);
}

static bool tcp_is_closed(const struct tcp *s)
{
    return s->base.sock.io.fd < 0;
}

static struct ss_op new_tcp_op(struct tcp *s, enum ss_status (*step)(struct ss_op *),
                               enum ss_kernel_timeout kernel_timeout)
{
    return (struct ss_op){ .step = step, .io = &s->base.sock.io, .kernel_timeout = (uint8_t)kernel_timeout };
}

/* Reading. An operation is on the C stack: a finalizer that runs within one of Lua's allocations may start another on the
 * same socket. */

struct reading {
    struct ss_read op;
    struct tcp *sock;
};

enum { LARGE = 32768 };

/* Pushes the first `n` bytes and takes them from the buffer, when they are safe in a string. False: a finalizer has taken
 * bytes of the same socket meanwhile, and nothing is pushed. */
static bool take(lua_State *L, struct ss_inbuf *in, size_t n, size_t delimiter)
{
    unsigned epoch = in->epoch;
    if (LSS_COLLECTS_BEFORE_COPY && n > LARGE && n + delimiter == ss_inbuf_len(in)) {
        lss_push_all(L, in, ss_inbuf_data(in), n, LSS_STAYS_AFTER_ERROR);
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

/* What another task has or had is not this one's. */
static bool is_others(enum ss_status st)
{
    return st == SS_CLOSED || st == SS_BUSY;
}

static int push_partial(lua_State *L, struct ss_inbuf *in, enum ss_status st, const struct ss_error *err, size_t n)
{
    unsigned epoch = in->epoch;
    lss_push_failure(L, 1, st, err);
    if (!is_others(st) && in->epoch == epoch && take(L, in, n, 0))
        ss_inbuf_shrink(in);
    else
        lua_pushliteral(L, "");
    return 3;
}

/* The bytes that were there when another task has closed the socket. They stay `left` if there is no memory for them: that is
 * tried again. */
static void push_left(lua_State *L, struct ss_block **left, struct ss_pool *pool, size_t max)
{
    struct ss_inbuf own = { .pool = pool, .block = *left };
    size_t n = ss_inbuf_len(&own);
    *left = NULL;
    if (!own.block) {
        lua_pushliteral(L, "");
    } else if (!lss_try_push_all(L, &own, ss_inbuf_data(&own), n < max ? n : max, LSS_STAYS_AFTER_ERROR)) {
        *left = own.block;
        lua_error(L);
    }
}

static int push_left_partial(lua_State *L, struct ss_block **left, struct ss_pool *pool)
{
    lss_push_closed(L);
    push_left(L, left, pool, SIZE_MAX);
    return 3;
}

/* For a call that is never finished; its socket may be gone. */
static void drop_reading(lua_State *L, int kept, struct ss_op *op)
{
    struct ss_reading *r = (struct ss_reading *)op;
    (void)kept;
    if (r->unread)
        ss_pool_return(&lss_env(L)->pool, r->unread);
    r->unread = NULL;
}

static int push_closed_reader(lua_State *L)
{
    lss_push_closed(L);
    lua_pushliteral(L, "");
    return 3;
}

/* Lets the collector know of our memory before bytes are taken out: the finalizers that it runs may raise errors. False: they
 * have changed the buffer. */
static bool account_input(lua_State *L, struct ss_inbuf *in)
{
    unsigned epoch = in->epoch;
    lss_account(L, in->pool);
    return in->epoch == epoch;
}

static int finish_read(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct reading *r = (struct reading *)base;
    struct ss_inbuf *in = r->op.in;
    if (st == SS_CLOSED)
        return push_left_partial(L, &r->op.unread, in->pool);
    if (st != SS_OK)
        return push_partial(L, in, st, &base->error, st == SS_LIMIT ? r->op.len : ss_inbuf_len(in));
    if (account_input(L, in) && take(L, in, r->op.len, 0))
        return 1;
    return tcp_is_closed(r->sock) ? push_left_partial(L, &r->op.unread, in->pool) : LSS_RETRY;
}

/* Where it fails nothing is left, so that there is no partial. */
static int finish_readsome(lua_State *L, struct ss_op *op, enum ss_status st)
{
    struct reading *r = (struct reading *)op;
    if (st == SS_CLOSED && r->op.unread) {
        push_left(L, &r->op.unread, r->op.in->pool, r->op.want);
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
    .finish = finish_read, .drop = drop_reading, .size = sizeof(struct reading), .directions = LSS_READING
};
static const struct lss_call readsome_call = {
    .finish = finish_readsome, .drop = drop_reading, .size = sizeof(struct reading), .directions = LSS_READING
};

/* Pushes bytes that are in memory, without an operation. False: nothing is pushed. */
static bool take_tried(lua_State *L, struct tcp *s, size_t n, size_t delimiter)
{
    struct ss_inbuf *in = &s->base.sock.in;
    if (!lss_may_begin(&s->base.sock, LSS_READING) || !account_input(L, in) || !take(L, in, n, delimiter))
        return false;
    lss_has_done(&s->base.sock);
    return true;
}

static int read_with(lua_State *L, struct tcp *s, enum ss_status (*step)(struct ss_op *), size_t want,
                     const struct lss_call *call)
{
    if (tcp_is_closed(s))
        return push_closed_reader(L);
    struct reading r = { .op = { .in = &s->base.sock.in, .want = want }, .sock = s };
    r.op.op = new_tcp_op(s, step, SS_BY_RCVTIMEO);
    r.op.op.reads = true;
    return lss_run(L, &s->base, &r.op.op, call);
}

static int tcp_read(lua_State *L)
{
    struct tcp *s = self_tcp(L);
    size_t size = lss_check_size(L, 2, "size", 0);
    struct ss_inbuf *in = &s->base.sock.in;
    unsigned stream = in->stream;
    if (ss_try_read(in, size) == SS_OK && take_tried(L, s, size, 0))
        return 1;
    return in->stream == stream ? read_with(L, s, ss_readn_step, size, &read_call) : push_closed_reader(L);
}

static int tcp_readsome(lua_State *L)
{
    struct tcp *s = self_tcp(L);
    size_t max = lss_check_size(L, 2, "max", 1);
    return tcp_is_closed(s) ? lss_push_closed(L) : read_with(L, s, ss_readsome_step, max, &readsome_call);
}

static int tcp_readall(lua_State *L)
{
    struct tcp *s = self_tcp(L);
    size_t max = lua_isnoneornil(L, 2) ? SIZE_MAX / 4 : lss_check_size(L, 2, "max", 0);
    return read_with(L, s, ss_readall_step, max, &read_call);
}

static int tcp_pending(lua_State *L)
{
    struct tcp *s = self_tcp(L);
    lss_push_size(L, ss_inbuf_len(&s->base.sock.in));
    return 1;
}

/* What an iterator of readuntil needs. Its other upvalues keep alive what this points to. */
struct lines {
    struct ss_find find; /* first: an operation knows this */
    const struct lss_box *box;
    size_t max;
    bool inclusive;
    size_t border[]; /* find.border */
};

struct lining {
    struct ss_until op;
    struct tcp *sock;
};

static size_t partial_of(const struct ss_until *op, enum ss_status st)
{
    if (st == SS_LIMIT)
        return op->len;
    return st == SS_TIMEOUT || st == SS_CANCELLED ? ss_until_partial(op) : ss_inbuf_len(op->in);
}

static int finish_until(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_until *op = (struct ss_until *)base;
    const struct lines *lines = (const struct lines *)op->find;
    size_t line = op->len, delimiter = op->find->len;
    if (st == SS_CLOSED)
        return push_left_partial(L, &op->unread, op->in->pool);
    if (st != SS_OK)
        return push_partial(L, op->in, st, &base->error, partial_of(op, st));
    if (lines->inclusive) {
        line += delimiter;
        delimiter = 0;
    }
    if (account_input(L, op->in) && take(L, op->in, line, delimiter))
        return 1;
    op->scan = (struct ss_scan){ .seen = 0 };
    return tcp_is_closed(((struct lining *)base)->sock) ? push_left_partial(L, &op->unread, op->in->pool) : LSS_RETRY;
}

static bool take_line(lua_State *L, struct tcp *s, const struct lines *lines, struct ss_scan *scan)
{
    size_t line, delimiter = lines->find.len;
    if (ss_try_until(&s->base.sock.in, &lines->find, lines->max, scan, &line) != SS_OK)
        return false;
    return take_tried(L, s, lines->inclusive ? line + delimiter : line, lines->inclusive ? 0 : delimiter);
}

static int next_line(lua_State *L)
{
    static const struct lss_call call = {
        .finish = finish_until, .drop = drop_reading, .size = sizeof(struct lining), .directions = LSS_READING
    };
    const struct lines *lines = lua_touserdata(L, lua_upvalueindex(1));
    struct tcp *s = (struct tcp *)lines->box->socket;
    struct ss_scan scan;
    if (!s)
        return push_closed_reader(L);
    unsigned stream = s->base.sock.in.stream;
    if (take_line(L, s, lines, &scan))
        return 1;
    if (tcp_is_closed(s) || s->base.sock.in.stream != stream)
        return push_closed_reader(L);
    if (s->base.sock.env->loop) {
        scan = (struct ss_scan){ .seen = 0 };  /* another task may read first */
        lua_pushvalue(L, lua_upvalueindex(1)); /* for finish_call, when nobody has the iterator any more */
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_pushvalue(L, lua_upvalueindex(3));
    }
    struct lining l = { .sock = s };
    l.op = (struct ss_until){ .in = &s->base.sock.in, .find = &lines->find, .scan = scan, .max = lines->max };
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
    if (lua_type(L, 3) == LUA_TNUMBER) /* a `max` that comes too early would be no limit */
        lss_type_error(L, 3, "inclusive (a boolean)");
    bool inclusive = lua_toboolean(L, 3);
    struct lines *lines = lss_newuserdata(L, sizeof *lines + ss_find_border_size(len));
    *lines = (struct lines){ .box = lua_touserdata(L, 1), .max = max, .inclusive = inclusive };
    lines->find = (struct ss_find){ .pattern = (const unsigned char *)pattern, .len = len, .border = lines->border };
    ss_find_init(&lines->find);
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

enum { FEW = 16 };

/* Strings that stay on the stack. */
struct writing {
    struct ss_write op;
    struct iovec few[FEW]; /* where op.iov points, unless there are more */
};

static void move_writing(struct ss_op *base, const struct ss_op *from)
{
    struct writing *w = (struct writing *)base;
    const struct writing *old = (const struct writing *)from;
    if (w->op.iov >= old->few && w->op.iov <= old->few + FEW)
        w->op.iov = w->few + (w->op.iov - old->few);
}

/* What is to be written, of which `sent` bytes are gone. */
static void begin_writing(struct writing *w, struct tcp *s, struct iovec *iov, size_t n, size_t sent)
{
    w->op = (struct ss_write){ .iov = iov, .n = n };
    w->op.op = new_tcp_op(s, ss_write_step, SS_BY_SNDTIMEO);
    ss_write_advance(&w->op, sent);
}

/* The driver's part of a write. */
static int run_writing(lua_State *L, struct tcp *s, struct writing *w, const struct lss_call *call)
{
    ss_op_want(&w->op.op, SS_WRITABLE);
    return tcp_is_closed(s) ? finish_write(L, &w->op.op, SS_CLOSED) : lss_run(L, &s->base, &w->op.op, call);
}

/* A send before an operation is made. */
struct attempt {
    bool made;
    size_t sent;
    struct ss_error err;
};

static inline enum ss_status try_write(struct tcp *s, const void *data, size_t len, struct attempt *attempt)
{
    struct ss_sock *sock = &s->base.sock;
    attempt->made = len > 0 && ss_try_send_pays(len) && !tcp_is_closed(s) && lss_may_begin(sock, LSS_WRITING);
    if (!attempt->made)
        return SS_WANT;
    enum ss_status st = ss_try_send(&sock->io, data, len, &attempt->sent, &attempt->err);
    if (st != SS_WANT)
        lss_has_done(sock);
    return st;
}

static int write_string(lua_State *L, struct tcp *s, const char *data, size_t len)
{
    static const struct lss_call call = { .finish = finish_write,
                                          .size = offsetof(struct writing, few[1]),
                                          .relocate = move_writing,
                                          .directions = LSS_WRITING };
    struct attempt attempt = { .sent = 0 };
    enum ss_status st = try_write(s, data, len, &attempt);
    if (st == SS_OK) {
        lss_push_size(L, len);
        return 1;
    }
    struct writing w;
    w.few[0] = (struct iovec){ .iov_base = (void *)data, .iov_len = len };
    begin_writing(&w, s, w.few, 1, attempt.sent);
    w.op.op.tried = attempt.made;
    w.op.op.error = attempt.err;
    return st == SS_WANT ? run_writing(L, s, &w, &call) : finish_write(L, &w.op.op, st);
}

/* Pushes the elements of the array at index 2, so that nobody can change them. The sum of their lengths, or any for which
 * ss_try_send_pays says no; SIZE_MAX: an element is no string, or there is no room on the stack. */
static size_t push_few(lua_State *L, size_t n, struct iovec *iov)
{
    size_t sum = 0;
    if (!lua_checkstack(L, FEW + LUA_MINSTACK))
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

static int write_array(lua_State *L, struct tcp *s)
{
    static const struct lss_call call = {
        .finish = finish_write, .size = sizeof(struct writing), .relocate = move_writing, .directions = LSS_WRITING
    };
    struct writing w;
    unsigned stream = lss_stream(&s->base.sock);
    size_t n = lss_check_length(L, 2);
    size_t sum = n <= FEW ? push_few(L, n, w.few) : SIZE_MAX;
    struct iovec *iov = sum == SIZE_MAX ? lss_check_strings(L, 2, &n) : w.few;
    begin_writing(&w, s, iov, n, 0);
    if (tcp_is_closed(s) || lss_stream(&s->base.sock) != stream)
        return finish_write(L, &w.op.op, SS_CLOSED);
    if (ss_try_send_pays(sum))
        return lss_run_brief(L, &s->base, &w.op.op, &call);
    return lss_run(L, &s->base, &w.op.op, &call);
}

static int tcp_write(lua_State *L)
{
    size_t len;
    const char *data = lua_tolstring(L, 2, &len); /* of a number it is made, and finalizers may run */
    struct tcp *s = self_tcp(L);
    if (data)
        return write_string(L, s, data, len);
    if (!lua_istable(L, 2))
        return lss_type_error(L, 2, "string or table of strings");
    return write_array(L, s);
}

/* Connections */

static int tcp_connect(lua_State *L)
{
    struct tcp *s = self_tcp(L);
    struct ss_target target;
    struct ss_error err;
    enum ss_status st = lss_check_target(L, 2, 0, &target, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    static const struct lss_call call = { .finish = lss_finish_lookup,
                                          .drop = lss_drop_lookup,
                                          .directions = LSS_READING | LSS_WRITING };
    struct ss_connect *op = lss_push_lookup(L, s->base.sock.env, sizeof *op);
    lss_check_self(L, &s->base);
    ss_connect_init(op, &s->base.sock, &target);
    return lss_run(L, &s->base, &op->lookup.op, &call);
}

static int tcp_listen(lua_State *L)
{
    struct tcp *s = self_tcp(L);
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
    struct tcp *s = self_tcp(L);
    struct lss_socket *into = lss_new(L, s->base.sock.env, NULL, sizeof(struct tcp), SOCK_STREAM);
    lss_check_self(L, &s->base);
    struct ss_accept op = { .listener = &s->base.sock, .into = &into->sock, .stream = lss_stream(&into->sock) };
    if (tcp_is_closed(s))
        return lss_push_closed(L);
    op.op = new_tcp_op(s, ss_accept_step, SS_BY_NONE);
    return lss_run(L, &s->base, &op.op, &call);
}

#define HOW "SHUT_RD, SHUT_WR or SHUT_RDWR"

static int tcp_shutdown(lua_State *L)
{
    struct tcp *s = self_tcp(L);
    struct ss_error err;
    if (!lua_isnumber(L, 2))
        lss_type_error(L, 2, HOW);
    int how = lss_check_int(L, 2, "how", INT_MIN, INT_MAX);
    luaL_argcheck(L, how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR, 2, HOW " expected");
    if (tcp_is_closed(s))
        return lss_push_closed(L);
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
    lss_class(L, LSS_TCP, lss_socket_events, methods);
}
