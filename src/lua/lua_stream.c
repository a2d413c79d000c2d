/* Reading from stream sockets: methods of the class tcpsock. */
#include "lua/lua_stream.h"
#include "core/op_finish.h"

#include <stdint.h> /* SIZE_MAX */

/* Operations are on the C stack: finalizers in Lua's allocations may start others on the same socket. */

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

int lss_tcp_read(lua_State *L)
{
    struct tcpsock *s = self_tcp(L);
    size_t size = lss_check_size(L, 2, "size", 0);
    struct ss_inbuf *in = &s->base.sock.in;
    unsigned stream = in->stream;
    if (ss_try_read(in, size) == SS_OK && try_push_input(L, s, size, 0))
        return 1;
    return in->stream == stream ? run_stream_read(L, s, ss_readn_step, size, &read_call) : push_closed_empty(L);
}

int lss_tcp_readsome(lua_State *L)
{
    struct tcpsock *s = self_tcp(L);
    size_t max = lss_check_size(L, 2, "max", 1);
    return tcp_is_closed(s) ? lss_push_closed(L) : run_stream_read(L, s, ss_readsome_step, max, &readsome_call);
}

int lss_tcp_readall(lua_State *L)
{
    struct tcpsock *s = self_tcp(L);
    size_t max = lua_isnoneornil(L, 2) ? SIZE_MAX / 4 : lss_check_size(L, 2, "max", 0);
    return run_stream_read(L, s, ss_readall_step, max, &read_call);
}

/* The bytes stay in the buffer. A finalizer in the push may have taken them. */
static int finish_peek(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct stream_read *r = (struct stream_read *)base;
    struct ss_inbuf *in = r->op.in;
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &base->error);
    unsigned epoch = in->epoch;
    if (account_input(L, in) && lss_push_bytes(L, in, ss_inbuf_data(in), r->op.len) && in->epoch == epoch)
        return 1;
    return tcp_is_closed(r->sock) ? lss_push_closed(L) : LSS_RETRY;
}

int lss_tcp_peek(lua_State *L)
{
    static const struct lss_call call = { .finish = finish_peek,
                                          .size = sizeof(struct stream_read),
                                          .directions = LSS_READING };
    struct tcpsock *s = self_tcp(L);
    size_t max = lua_isnoneornil(L, 2) ? 1 : lss_check_size(L, 2, "max", 1);
    if (tcp_is_closed(s))
        return lss_push_closed(L);
    struct stream_read r = { .op = { .in = &s->base.sock.in, .want = max < SS_BLOCK ? max : SS_BLOCK }, .sock = s };
    r.op.op = new_tcp_op(s, ss_readsome_step, SS_BY_RCVTIMEO); /* it keeps no input at a close: it takes none */
    return lss_run(L, &s->base, &r.op.op, &call);
}

int lss_tcp_pending(lua_State *L)
{
    struct tcpsock *s = self_tcp(L);
    lss_push_size(L, ss_inbuf_len(&s->base.sock.in));
    return 1;
}

/* State of an iterator of readuntil. Upvalues 2 and 3 keep alive the socket's userdata and the pattern. */
struct line_iterator {
    struct ss_find find; /* first: iterator_of casts a pointer to this */
    const struct lss_socket_handle *handle;
    struct ss_record record;
    size_t max;
    bool inclusive;
    size_t border[]; /* find.border */
};

struct line_read {
    struct ss_until op;
    struct tcpsock *sock;
};

static struct line_iterator *iterator_of(const struct ss_until *op)
{
    return (struct line_iterator *)op->find;
}

static size_t until_partial_len(const struct ss_until *op, enum ss_status st)
{
    if (st == SS_LIMIT)
        return op->len;
    return st == SS_TIMEOUT || st == SS_CANCELLED ? ss_until_partial(op) : ss_inbuf_len(op->in);
}

static int finish_until(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_until *op = (struct ss_until *)base;
    struct line_iterator *iter = iterator_of(op);
    size_t line = op->len, delimiter = op->find->len;
    if (st == SS_CLOSED)
        return push_closed_partial(L, &op->unread, op->in->pool);
    if (st != SS_OK)
        return push_partial(L, op->in, st, &base->error, until_partial_len(op, st));
    if (iter->inclusive) {
        line += delimiter;
        delimiter = 0;
    }
    if (account_input(L, op->in) && push_input(L, op->in, line, delimiter)) {
        iter->record.given = 0; /* a task that ran before this one did may have taken pieces */
        return 1;
    }
    op->scan = (struct ss_scan){ .seen = 0 };
    return tcp_is_closed(((struct line_read *)base)->sock) ? push_closed_partial(L, &op->unread, op->in->pool)
                                                           : LSS_RETRY;
}

static enum ss_status search_again(lua_State *L, struct ss_op *op)
{
    (void)L;
    ((struct ss_until *)op)->scan = (struct ss_scan){ .seen = 0 };
    return SS_WANT;
}

static bool try_push_line(lua_State *L, struct tcpsock *s, const struct line_iterator *iter, struct ss_scan *scan)
{
    size_t line, delimiter = iter->find.len;
    if (ss_try_until(&s->base.sock.in, &iter->find, iter->max, scan, &line) != SS_OK)
        return false;
    if (try_push_input(L, s, iter->inclusive ? line + delimiter : line, iter->inclusive ? 0 : delimiter))
        return true;
    *scan = (struct ss_scan){ .seen = 0 }; /* a finalizer has taken bytes, perhaps */
    return false;
}

/* For the end of a call in a task: the iterator may be collected by then. */
static void keep_iterator(lua_State *L)
{
    for (int i = 1; i <= 3; i++)
        lua_pushvalue(L, lua_upvalueindex(i));
}

struct piece_read {
    struct ss_piece op;
    struct tcpsock *sock;
};

/* After another failure than these two the rest is no part of the record. */
static int push_piece_failure(lua_State *L, struct ss_until *op, enum ss_status st)
{
    unsigned stream = op->in->stream;
    bool goes_on = st == SS_TIMEOUT || st == SS_CANCELLED;
    push_partial(L, op->in, st, &op->op.error, until_partial_len(op, st));
    if (st != SS_BUSY)
        ss_record_advance(&iterator_of(op)->record, stream, (size_t)lua_rawlen(L, -1), !goes_on);
    return 3;
}

static int finish_piece(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_piece *op = (struct ss_piece *)base;
    struct ss_until *until = &op->until;
    if (st == SS_CLOSED)
        return push_closed_partial(L, &until->unread, until->in->pool);
    if (st != SS_OK)
        return push_piece_failure(L, until, st);
    unsigned stream = until->in->stream;
    size_t n = until->len + (op->last ? op->tail : 0), delimiter = op->last ? until->find->len - op->tail : 0;
    if (account_input(L, until->in) && push_input(L, until->in, n, delimiter)) {
        ss_record_advance(&iterator_of(until)->record, stream, n, op->last);
        if (op->last)
            lua_pushboolean(L, true);
        return op->last ? 2 : 1;
    }
    until->scan = (struct ss_scan){ .seen = 0 };
    return tcp_is_closed(((struct piece_read *)base)->sock) ? push_closed_partial(L, &until->unread, until->in->pool)
                                                            : LSS_RETRY;
}

/* Reads at most `size` bytes of the present record. */
static int next_piece(lua_State *L, struct tcpsock *s, struct line_iterator *iter, size_t size)
{
    static const struct lss_call call = { .finish = finish_piece,
                                          .drop = drop_stream_read,
                                          .look_again = search_again, /* struct ss_piece begins with ss_until */
                                          .size = sizeof(struct piece_read),
                                          .directions = LSS_READING };
    if (tcp_is_closed(s))
        return push_closed_empty(L);
    if (s->base.sock.env->loop)
        keep_iterator(L);
    struct piece_read p = { .op = { .record = &iter->record, .size = size }, .sock = s };
    p.op.tail = iter->inclusive ? iter->find.len : 0;
    p.op.until = (struct ss_until){ .in = &s->base.sock.in, .find = &iter->find, .max = iter->max };
    p.op.until.op = new_tcp_op(s, ss_piece_step, SS_BY_RCVTIMEO);
    p.op.until.op.reads = true;
    return lss_run(L, &s->base, &p.op.until.op, &call);
}

static size_t check_piece_size(lua_State *L, const struct line_iterator *iter)
{
    size_t size = lss_check_size(L, 1, "size", 1);
    if (iter->inclusive && size < iter->find.len)
        luaL_argerror(
            L, 1,
            lua_pushfstring(L, "size must be %d or more: the last piece ends with the delimiter", (int)iter->find.len));
    return size;
}

static int next_line(lua_State *L);

/* A call with an argument, or in mid-record. */
LSS_NOINLINE static int next_line_by_size(lua_State *L, struct line_iterator *iter)
{
    size_t size = lua_isnoneornil(L, 1) ? SIZE_MAX : check_piece_size(L, iter);
    struct tcpsock *s = (struct tcpsock *)iter->handle->socket;
    if (!s)
        return push_closed_empty(L);
    if (size < SIZE_MAX || ss_record_has_begun(&iter->record, &s->base.sock.in))
        return next_piece(L, s, iter, size);
    iter->record.given = 0; /* the record was another stream's */
    return next_line(L);
}

LSS_NOINLINE static int run_line_read(lua_State *L, struct tcpsock *s, const struct line_iterator *iter,
                                      struct ss_scan scan)
{
    static const struct lss_call call = { .finish = finish_until,
                                          .drop = drop_stream_read,
                                          .look_again = search_again,
                                          .size = sizeof(struct line_read),
                                          .directions = LSS_READING };
    if (s->base.sock.env->loop) {
        scan = (struct ss_scan){ .seen = 0 }; /* another task may consume bytes first */
        keep_iterator(L);
    }
    struct line_read l = { .sock = s };
    l.op = (struct ss_until){ .in = &s->base.sock.in, .find = &iter->find, .scan = scan, .max = iter->max };
    l.op.op = new_tcp_op(s, ss_until_step, SS_BY_RCVTIMEO);
    l.op.op.reads = true;
    return lss_run(L, &s->base, &l.op.op, &call);
}

/* The first argument is a size. In a `for` loop it is nil, and the second one the record before. */
static int next_line(lua_State *L)
{
    struct line_iterator *iter = lua_touserdata(L, lua_upvalueindex(1));
    if (iter->record.given > 0 || (lua_gettop(L) > 0 && !lua_isnil(L, 1)))
        return next_line_by_size(L, iter);
    struct tcpsock *s = (struct tcpsock *)iter->handle->socket;
    struct ss_scan scan;
    if (!s)
        return push_closed_empty(L);
    unsigned stream = s->base.sock.in.stream;
    if (try_push_line(L, s, iter, &scan))
        return 1;
    if (tcp_is_closed(s) || s->base.sock.in.stream != stream)
        return push_closed_empty(L);
    return run_line_read(L, s, iter, scan);
}

int lss_tcp_readuntil(lua_State *L)
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

/* readline */

struct text_line_read {
    struct ss_line op;
    struct tcpsock *sock;
};

static size_t text_line_partial(const struct ss_line *op, enum ss_status st)
{
    if (st == SS_LIMIT)
        return op->len;
    return st == SS_TIMEOUT || st == SS_CANCELLED ? ss_line_partial(op) : ss_inbuf_len(op->in);
}

static int finish_text_line(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_line *op = (struct ss_line *)base;
    if (st == SS_CLOSED)
        return push_closed_partial(L, &op->unread, op->in->pool);
    if (st != SS_OK)
        return push_partial(L, op->in, st, &base->error, text_line_partial(op, st));
    if (account_input(L, op->in) && push_input(L, op->in, op->len, op->skip))
        return 1;
    op->scan.seen = op->scan.match = 0;
    return tcp_is_closed(((struct text_line_read *)base)->sock) ? push_closed_partial(L, &op->unread, op->in->pool)
                                                                : LSS_RETRY;
}

static enum ss_status search_text_line_again(lua_State *L, struct ss_op *op)
{
    (void)L;
    ((struct ss_line *)op)->scan = (struct ss_scan){ .seen = 0 };
    return SS_WANT;
}

int lss_tcp_readline(lua_State *L)
{
    static const struct lss_call call = { .finish = finish_text_line,
                                          .drop = drop_stream_read,
                                          .look_again = search_text_line_again,
                                          .size = sizeof(struct text_line_read),
                                          .directions = LSS_READING };
    enum { MAX = 1024 * 1024 };
    struct tcpsock *s = self_tcp(L);
    struct ss_inbuf *in = &s->base.sock.in;
    unsigned stream = in->stream;
    size_t len, skip, max = lua_isnoneornil(L, 2) ? MAX : lss_check_size(L, 2, "max", 1);
    if (ss_line_in_memory(in, max, &len, &skip) && try_push_input(L, s, len, skip))
        return 1;
    if (tcp_is_closed(s) || in->stream != stream)
        return push_closed_empty(L);
    struct text_line_read l = { .op = { .in = in, .max = max }, .sock = s };
    l.op.op = new_tcp_op(s, ss_line_step, SS_BY_RCVTIMEO);
    l.op.op.reads = true;
    return lss_run(L, &s->base, &l.op.op, &call);
}

/* finish */

struct stream_end {
    struct ss_finish op;
    struct tcpsock *sock;
    unsigned stream;
    bool has_closed;
    enum ss_status outcome; /* valid with `has_closed`; a second attempt at the results finds the socket closed */
};

static void close_stream_end(struct stream_end *e, enum ss_status st)
{
    struct ss_sock *sock = &e->sock->base.sock;
    struct ss_error err;
    if (e->has_closed || st == SS_CLOSED || st == SS_BUSY || lss_stream(sock) != e->stream)
        return;
    e->has_closed = true;
    e->outcome = st;
    if (ss_sock_close_quietly(sock, &err) != SS_OK && st == SS_OK) {
        e->outcome = SS_ERROR;
        e->op.op.error = err;
    }
}

static int finish_stream_end(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct stream_end *e = (struct stream_end *)base;
    close_stream_end(e, st);
    return lss_push_done(L, e->has_closed ? e->outcome : st, &base->error);
}

int lss_tcp_finish(lua_State *L)
{
    static const struct lss_call call = { .finish = finish_stream_end,
                                          .size = sizeof(struct stream_end),
                                          .directions = LSS_READING | LSS_WRITING };
    enum { MAX = 1024 * 1024 };
    struct tcpsock *s = self_tcp(L);
    struct ss_sock *sock = &s->base.sock;
    size_t max = lua_isnoneornil(L, 2) ? MAX : lss_check_size(L, 2, "max", 0);
    if (tcp_is_closed(s))
        return lss_push_closed(L);
    struct stream_end e = { .op = { .in = &sock->in, .left = max, .local = sock->family == AF_UNIX } };
    e.op.ended = sock->output_ended;
    e.sock = s;
    e.stream = lss_stream(sock);
    e.op.op = new_tcp_op(s, ss_finish_step, SS_BY_RCVTIMEO);
    return lss_run(L, &s->base, &e.op.op, &call);
}
