/* Datagram sockets: the class udpsock. */
#include "core/codes.h"
#include "core/op_dgram.h"
#include "core/op_send_by_name.h"
#include "core/op_set_peer.h"
#include "lua/lua_base.h"
#include "os/os_net.h"

#define PUSH_NEXT_BATCH LSS_PREFIX "push_next_batch"
#define TRUNCATED_TEXT LSS_PREFIX "truncated" /* error text of SS_TRUNCATED */

struct udpsock {
    struct lss_socket base;
    struct ss_dgram_state state;
};

enum { MAX_DGRAM = 65535 }; /* the length field of IP has 16 bits */

const size_t lss_udp_size = sizeof(struct udpsock);

struct lss_socket *lss_new_udp(lua_State *L, struct ss_env *env)
{
    return lss_new_socket(L, env, LSS_UDP, sizeof(struct udpsock), SOCK_DGRAM);
}

static struct udpsock *self_udp(lua_State *L)
{
    return lss_self_socket(L);
}

static bool udp_is_closed(const struct udpsock *s)
{
    return s->base.sock.io.fd < 0;
}

static struct ss_op new_udp_op(struct udpsock *s, enum ss_status (*step)(struct ss_op *),
                               enum ss_kernel_timeout kernel_timeout)
{
    return (struct ss_op){ .step = step, .io = &s->base.sock.io, .kernel_timeout = (uint8_t)kernel_timeout };
}

/* Receiving */

/* Operations are on the C stack: finalizers in Lua's allocations may start others on the same socket, or close it. */
struct dgram_recv {
    struct ss_recvfrom op;
    struct udpsock *sock;
};

static int retry_receive(lua_State *L, const struct udpsock *s, int values)
{
    return udp_is_closed(s) ? lss_push_failure(L, values, SS_CLOSED, NULL) : LSS_RETRY;
}

/* Pushes the datagram. A queued one stays in the queue meanwhile; any other is only in the input buffer, which may
 * move. False: nothing is pushed, a finalizer has changed the buffer. */
static bool push_datagram(lua_State *L, struct ss_recvfrom *op)
{
    enum { LARGE_DGRAM = 2048 };
    struct ss_inbuf *in = &op->sock->in;
    if (!op->from_queue && (!in->block || ss_sock_has_input(op->sock))) /* now empty, or the queue's */
        return false;
    if (!op->from_queue)
        op->got.data = ss_inbuf_data(in);
    if (!LSS_COLLECTS_BEFORE_COPY || op->from_queue || op->got.len <= LARGE_DGRAM)
        return lss_push_bytes(L, in, op->got.data, op->got.len);
    lss_push_inbuf(L, in, op->got.data, op->got.len, LSS_RESTORE_ALWAYS);
    return true;
}

static int finish_recv(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct dgram_recv *r = (struct dgram_recv *)base;
    struct ss_recvfrom *op = &r->op;
    int values = op->with_sender ? 2 : 1;
    if (st != SS_OK && st != SS_TRUNCATED)
        return lss_push_failure(L, values, st, &base->error);
    int results = values + (st == SS_TRUNCATED);
    unsigned epoch = op->sock->in.epoch;
    if (!push_datagram(L, op))
        return retry_receive(L, r->sock, values);
    if (op->with_sender)
        lss_push_addr(L, &op->got.from, op->sock->family);
    if (st == SS_TRUNCATED)
        lss_push_failure(L, 0, st, NULL);
    if (op->sock->in.epoch == epoch) {
        ss_recvfrom_done(op);
    } else if (op->from_queue) { /* a finalizer has consumed this one too: return the next */
        lua_pop(L, results);
        return retry_receive(L, r->sock, values);
    }
    return results;
}

static int run_recv(lua_State *L, struct udpsock *s, size_t size, bool with_sender)
{
    static const struct lss_call call = { .finish = finish_recv,
                                          .size = sizeof(struct dgram_recv),
                                          .directions = LSS_READING };
    struct dgram_recv r = { .sock = s };
    if (udp_is_closed(s))
        return lss_push_failure(L, with_sender ? 2 : 1, SS_CLOSED, NULL);
    r.op.op = new_udp_op(s, ss_recvfrom_step, SS_BY_RCVTIMEO);
    r.op.sock = &s->base.sock;
    r.op.state = &s->state;
    r.op.size = size;
    r.op.with_sender = with_sender;
    return lss_run(L, &s->base, &r.op.op, &call);
}

static int recv_method(lua_State *L, bool with_sender)
{
    struct udpsock *s = self_udp(L);
    size_t size = lua_isnoneornil(L, 2) ? MAX_DGRAM : lss_check_size(L, 2, "size", 1);
    return run_recv(L, s, size, with_sender);
}

static int udp_recv(lua_State *L)
{
    return recv_method(L, false);
}

static int udp_recvfrom(lua_State *L)
{
    return recv_method(L, true);
}

/* Pushes the sender of datagram `n`: element n - 1 of the array on top of the stack, if both are equal. */
static void push_sender(lua_State *L, const struct ss_addr *from, struct ss_addr *previous, int family, size_t n)
{
    if (ss_addr_equal(from, previous)) {
        lua_rawgeti(L, -1, (int)n - 1);
        return;
    }
    lss_push_addr(L, from, family);
    *previous = *from;
}

/* Progress of one recvmany. */
struct recvmany_progress {
    struct ss_recvmany *op;
    size_t n, bytes; /* in the arrays */
    unsigned epoch;  /* of the socket's input, when a further batch was received */
    bool cut;        /* a datagram was longer than its string */
};

/* Appends queued datagrams and their senders to the arrays on top of the stack, up to the limits of the call. Stops
 * when a finalizer changes the queue. */
static void push_queued(lua_State *L, struct ss_dgrams *queue, struct recvmany_progress *progress)
{
    const struct ss_recvmany *op = progress->op;
    struct ss_dgram dgram;
    struct ss_addr previous = { .len = (socklen_t)-1 };
    const struct ss_inbuf *in = &op->sock->in;
    unsigned epoch = in->epoch;
    while (ss_recvmany_has_room(op, progress->n, progress->bytes) && in->epoch == epoch &&
           ss_dgrams_next(queue, op->size, &dgram)) {
        if (!lss_push_bytes(L, in, dgram.data, dgram.len))
            break;
        progress->n++;
        progress->bytes += dgram.len;
        progress->cut = progress->cut || dgram.cut;
        lua_rawseti(L, -3, (int)progress->n);
        push_sender(L, &dgram.from, &previous, op->sock->family, progress->n);
        lua_rawseti(L, -2, (int)progress->n);
    }
}

/* Removes the elements behind the first `n` from the array at `index` (negative), without an allocation. */
static void clear_elements_after(lua_State *L, int index, size_t n)
{
    bool removed = true;
    while (removed) {
        lua_rawgeti(L, index, (int)++n);
        removed = !lua_isnil(L, -1);
        lua_pop(L, 1);
        if (removed) {
            lua_pushnil(L);
            lua_rawseti(L, index - 1, (int)n);
        }
    }
}

/* Moves datagrams from the queue to the arrays. False: none has left the queue, which a finalizer has changed. */
static bool push_batch(lua_State *L, struct recvmany_progress *progress)
{
    const struct ss_sock *s = progress->op->sock;
    struct ss_dgrams rest = progress->op->state->queue;
    struct recvmany_progress advanced = *progress;
    unsigned epoch = s->in.epoch;
    push_queued(L, &rest, &advanced);
    if (s->in.epoch != epoch)
        return false;
    *progress = advanced;
    ss_dgram_set_queue(progress->op->sock, progress->op->state, &rest);
    return true;
}

static int push_next_batch(lua_State *L)
{
    struct recvmany_progress *progress = lua_touserdata(L, 1);
    const struct ss_sock *s = progress->op->sock;
    if (ss_sock_has_input(s) && s->in.epoch == progress->epoch) /* a hook may have read or closed the socket */
        push_batch(L, progress);
    return 0;
}

/* Receives and appends further batches. A batch for which there is no memory stays in the queue, and the call succeeds
 * with the others. On top of the stack: push_next_batch, its argument, both arrays. */
static void push_more_batches(lua_State *L, struct recvmany_progress *progress)
{
    const struct ss_sock *s = progress->op->sock;
    unsigned stream = lss_stream(s);
    size_t previous = 0;
    while (progress->n > previous && s->io.fd >= 0 && lss_stream(s) == stream && !ss_sock_has_input(s) &&
           ss_recvmany_refill(progress->op, progress->n, progress->bytes)) {
        previous = progress->n;
        progress->epoch = s->in.epoch;
        for (int i = 0; i < 4; i++)
            lua_pushvalue(L, -4);
        int status = lua_pcall(L, 3, 0, 0);
        if (status != 0 && status != LUA_ERRMEM)
            lua_error(L); /* for instance of a hook that interrupts the program */
        if (status != 0)
            lua_pop(L, 1);
        clear_elements_after(L, -2, progress->n);
        clear_elements_after(L, -1, progress->n);
    }
}

struct dgram_recvmany {
    struct ss_recvmany op;
    struct udpsock *sock;
};

static int finish_recvmany(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct dgram_recvmany *r = (struct dgram_recvmany *)base;
    struct recvmany_progress progress = { .op = &r->op };
    if (st != SS_OK)
        return lss_push_failure(L, 2, st, &base->error);
    lua_getfield(L, LUA_REGISTRYINDEX, PUSH_NEXT_BATCH);
    lua_pushlightuserdata(L, &progress);
    lua_createtable(L, 0, 0);
    lua_createtable(L, 0, 0);
    lss_account_memory(L, r->op.sock->in.pool);
    if (ss_sock_has_input(r->op.sock) && push_batch(L, &progress)) {
        push_more_batches(L, &progress);
        if (progress.cut)
            lua_getfield(L, LUA_REGISTRYINDEX, TRUNCATED_TEXT); /* runs no finalizer, which might raise */
        return progress.cut ? 3 : 2;
    }
    lua_pop(L, 4); /* a finalizer has consumed the queue */
    return retry_receive(L, r->sock, 2);
}

static int run_recvmany(lua_State *L, struct udpsock *s, size_t count, size_t size)
{
    static const struct lss_call call = { .finish = finish_recvmany,
                                          .size = sizeof(struct dgram_recvmany),
                                          .directions = LSS_READING };
    struct dgram_recvmany r = { .sock = s };
    if (udp_is_closed(s))
        return lss_push_failure(L, 2, SS_CLOSED, NULL);
    r.op = (struct ss_recvmany){ .sock = &s->base.sock, .state = &s->state, .count = count, .size = size };
    r.op.op = new_udp_op(s, ss_recvmany_step, SS_BY_RCVTIMEO);
    return lss_run(L, &s->base, &r.op.op, &call);
}

static int udp_recvmany(lua_State *L)
{
    struct udpsock *s = self_udp(L);
    size_t count = lss_check_size(L, 2, "count", 1);
    size_t size = lss_check_size(L, 3, "size", 1);
    return run_recvmany(L, s, count < OS_MANY ? count : OS_MANY, size);
}

/* Sending */

static int finish_send(lua_State *L, struct ss_op *op, enum ss_status st)
{
    return lss_push_done(L, st, &op->error);
}

static int finish_sendmany(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_sendmany *op = (struct ss_sendmany *)base;
    int results = st == SS_OK ? 1 : 1 + lss_push_failure(L, 1, st, &base->error);
    lss_push_size(L, op->sent);
    return results;
}

/* An operation, and the address that `to` may point to. */
struct dgram_send {
    union {
        struct ss_op op; /* head of both */
        struct ss_sendto one;
        struct ss_sendmany many;
    } as;
    struct ss_addr addr;
};

static bool is_sendmany(const struct ss_op *op)
{
    return op->step == ss_sendmany_step;
}

static const struct ss_addr **dgram_destination(struct dgram_send *s)
{
    return is_sendmany(&s->as.op) ? &s->as.many.to : &s->as.one.to;
}

static void relocate_dgram_send(struct ss_op *op, const struct ss_op *from)
{
    struct dgram_send *s = (struct dgram_send *)op;
    if (*dgram_destination(s) == &((const struct dgram_send *)from)->addr)
        *dgram_destination(s) = &s->addr;
}

static int finish_dgram_send(lua_State *L, struct ss_op *op, enum ss_status st)
{
    return is_sendmany(op) ? finish_sendmany(L, op, st) : finish_send(L, op, st);
}

/* A send that begins with a look-up, or opens the socket. */
struct dgram_send_by_name {
    struct ss_send_by_name by_name;
    struct dgram_send send;
};

static int finish_send_by_name(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct dgram_send_by_name *s = (struct dgram_send_by_name *)base;
    s->send.as.op.error = base->error;
    ss_lookup_fini(&s->by_name.lookup);
    return finish_dgram_send(L, &s->send.as.op, st);
}

static int send_by_name(lua_State *L, struct udpsock *s, const struct dgram_send *send, const struct ss_target *target)
{
    static const struct lss_call call = { .finish = finish_send_by_name,
                                          .drop = lss_drop_lookup,
                                          .restart = ss_lookup_restart,
                                          .directions = LSS_READING | LSS_WRITING };
    struct dgram_send_by_name *op = lss_push_lookup(L, s->base.sock.env, sizeof *op);
    lss_recheck_self(L, &s->base);
    op->send = *send;
    ss_send_by_name_init(&op->by_name, &s->base.sock, target, &op->send.as.op, dgram_destination(&op->send));
    return lss_run(L, &s->base, &op->by_name.lookup.op, &call);
}

static int run_dgram_send(lua_State *L, struct udpsock *s, struct dgram_send *op)
{
    static const struct lss_call call = {
        .finish = finish_dgram_send, .size = sizeof *op, .relocate = relocate_dgram_send, .directions = LSS_WRITING
    };
    if (is_sendmany(&op->as.op))
        return lss_run(L, &s->base, &op->as.op, &call);
    return lss_try_then_run(L, &s->base, &op->as.op, &call);
}

/* Sends to the address at index `arg`, or to the peer if no address is given. With a numeric address and an open socket
 * of a matching family, the send is the only system call. */
static int send_to_arg(lua_State *L, struct udpsock *s, struct dgram_send *op, int arg)
{
    struct ss_target target;
    if (lua_isnoneornil(L, arg) && lua_isnoneornil(L, arg + 1)) {
        if (udp_is_closed(s))
            return finish_dgram_send(L, &op->as.op, SS_CLOSED);
        return run_dgram_send(L, s, op);
    }
    enum ss_status st = lss_check_target(L, arg, 0, &target, &op->as.op.error);
    if (st != SS_OK)
        return finish_dgram_send(L, &op->as.op, st);
    op->addr = target.addr;
    if (target.addr.len == 0 || udp_is_closed(s) || !ss_addr_fit(&op->addr, s->base.sock.family))
        return send_by_name(L, s, op, &target);
    *dgram_destination(op) = &op->addr;
    return run_dgram_send(L, s, op);
}

static int udp_send(lua_State *L)
{
    struct dgram_send op;
    size_t len;
    const char *data = lua_tolstring(L, 2, &len); /* converts a number, which may run finalizers */
    struct udpsock *s = self_udp(L);
    if (!data)
        lss_type_error(L, 2, "string");
    op.as.one = (struct ss_sendto){ .sock = &s->base.sock, .data = data, .len = len };
    op.as.op = new_udp_op(s, ss_sendto_step, SS_BY_SNDTIMEO);
    return send_to_arg(L, s, &op, 3);
}

static int udp_sendto(lua_State *L)
{
    self_udp(L);
    luaL_checkstring(L, 2);
    if (lua_isnoneornil(L, 3))
        lss_type_error(L, 3, "host, \"unix:/path\" or address");
    return udp_send(L);
}

static int udp_sendmany(lua_State *L)
{
    struct udpsock *s = self_udp(L);
    struct dgram_send op;
    size_t n;
    lua_settop(L, 4);
    const struct iovec *data = lss_check_strings(L, 2, &n);
    size_t batch = n < OS_MANY ? n : OS_MANY;
    void *memory = lss_newuserdata(L, os_batch_memory(batch, 0));
    lss_recheck_self(L, &s->base);
    op.as.many = (struct ss_sendmany){ .sock = &s->base.sock, .state = &s->state, .data = data, .n = n };
    op.as.op = new_udp_op(s, ss_sendmany_step, SS_BY_SNDTIMEO);
    os_batch_init(&op.as.many.batch, memory, batch, 0);
    return send_to_arg(L, s, &op, 3);
}

/* Peers */

static int disconnect_udp(lua_State *L, struct udpsock *s)
{
    struct ss_error err;
    enum ss_status st = udp_is_closed(s) ? SS_CLOSED : ss_sock_dissolve(&s->base.sock, &err);
    return lss_push_done(L, st, &err);
}

static int udp_connect(lua_State *L)
{
    struct udpsock *s = self_udp(L);
    struct ss_target target;
    struct ss_error err;
    if (lua_isnoneornil(L, 2) && lua_isnoneornil(L, 3))
        return disconnect_udp(L, s);
    enum ss_status st = lss_check_target(L, 2, 0, &target, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    static const struct lss_call call = { .finish = lss_finish_lookup,
                                          .drop = lss_drop_lookup,
                                          .restart = ss_lookup_restart,
                                          .directions = LSS_READING | LSS_WRITING };
    struct ss_set_peer *op = lss_push_lookup(L, s->base.sock.env, sizeof *op);
    lss_recheck_self(L, &s->base);
    ss_set_peer_init(op, &s->base.sock, &target);
    return lss_run(L, &s->base, &op->lookup.op, &call);
}

/* The new owner of the descriptor does not expect joined datagrams (udp(7), UDP_GRO). */
bool lss_udp_has_unread(struct ss_sock *s)
{
    return ss_sock_has_input(s) || !ss_dgram_stop_joining(s, &((struct udpsock *)(void *)s)->state);
}

static int udp_detach(lua_State *L)
{
    struct udpsock *s = self_udp(L);
    return !udp_is_closed(s) && lss_udp_has_unread(&s->base.sock) ? lss_push_unread(L) : lss_detach(L);
}

static const luaL_Reg udp_methods[] = {
    { "bind", lss_bind },
    { "close", lss_close },
    { "connect", udp_connect },
    { "detach", udp_detach },
    { "fileno", lss_fileno },
    { "getopt", lss_getopt },
    { "getpeername", lss_getpeername },
    { "getsockname", lss_getsockname },
    { "gettimeout", lss_gettimeout },
    { "join", lss_join },
    { "leave", lss_leave },
    { "open", lss_open },
    { "recv", udp_recv },
    { "recvfrom", udp_recvfrom },
    { "recvmany", udp_recvmany },
    { "send", udp_send },
    { "sendmany", udp_sendmany },
    { "sendto", udp_sendto },
    { "setopt", lss_setopt },
    { "settimeout", lss_settimeout },
    { NULL, NULL },
};

void lss_open_udp(lua_State *L)
{
    lss_register_class(L, LSS_UDP, lss_socket_metamethods, udp_methods);
    lua_pushcfunction(L, push_next_batch);
    lua_setfield(L, LUA_REGISTRYINDEX, PUSH_NEXT_BATCH);
    lss_push_failure(L, 0, SS_TRUNCATED, NULL);
    lua_setfield(L, LUA_REGISTRYINDEX, TRUNCATED_TEXT);
}
