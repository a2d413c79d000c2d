/* Datagram sockets: the class udpsock. */
#include "core/codes.h"
#include "core/op_dgram.h"
#include "core/op_send_by_name.h"
#include "core/op_set_peer.h"
#include "lua/lua_base.h"
#include "os/os_iface.h"
#include "os/os_net.h"

#include <string.h> /* memchr */

#define PUSH_ANOTHER LSS_PREFIX "push_another"
#define TRUNCATED LSS_PREFIX "truncated" /* the text */

struct udp {
    struct lss_socket base;
    struct ss_dgram_state state;
};

enum { LARGEST = 65535 }; /* an IP datagram's length has 16 bits */

const size_t lss_udp_size = sizeof(struct udp);

struct lss_socket *lss_new_udp(lua_State *L, struct ss_env *env)
{
    return lss_new(L, env, LSS_UDP, sizeof(struct udp), SOCK_DGRAM);
}

static struct udp *self_udp(lua_State *L)
{
    return lss_self_socket(L);
}

static bool udp_is_closed(const struct udp *s)
{
    return s->base.sock.io.fd < 0;
}

static struct ss_op new_udp_op(struct udp *s, enum ss_status (*step)(struct ss_op *),
                               enum ss_kernel_timeout kernel_timeout)
{
    return (struct ss_op){ .step = step, .io = &s->base.sock.io, .kernel_timeout = (uint8_t)kernel_timeout };
}

/* Receiving */

/* An operation is on the C stack: a finalizer that runs within one of Lua's allocations may start another on the same
 * socket, or close it. */
struct receiving {
    struct ss_recvfrom op;
    struct udp *sock;
};

static int receive_again(lua_State *L, const struct udp *s, int values)
{
    return udp_is_closed(s) ? lss_push_failure(L, values, SS_CLOSED, NULL) : LSS_RETRY;
}

/* One that is in the queue stays there until it is safe; one that is not is gone for the kernel, and stays in its memory, which may
 * move, until then. */
static bool push_datagram(lua_State *L, struct ss_recvfrom *op)
{
    enum { LARGE = 2048 };
    struct ss_inbuf *in = &op->sock->in;
    if (!op->from_queue && (!in->block || ss_sock_has_input(op->sock))) /* a finalizer has made it the queue's */
        return false;
    if (!op->from_queue)
        op->got.data = ss_inbuf_data(in);
    if (!LSS_COLLECTS_BEFORE_COPY || op->from_queue || op->got.len <= LARGE)
        return lss_push_bytes(L, in, op->got.data, op->got.len);
    lss_push_all(L, in, op->got.data, op->got.len, LSS_STAYS);
    return true;
}

static int finish_recv(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct receiving *r = (struct receiving *)base;
    struct ss_recvfrom *op = &r->op;
    int values = op->with_sender ? 2 : 1;
    if (st != SS_OK && st != SS_TRUNCATED)
        return lss_push_failure(L, values, st, &base->error);
    int results = values + (st == SS_TRUNCATED);
    unsigned epoch = op->sock->in.epoch;
    if (!push_datagram(L, op))
        return receive_again(L, r->sock, values);
    if (op->with_sender)
        lss_push_addr(L, &op->got.from, op->sock->family);
    if (st == SS_TRUNCATED)
        lss_push_failure(L, 0, st, NULL);
    if (op->sock->in.epoch == epoch) {
        ss_recvfrom_done(op);
    } else if (op->from_queue) { /* a finalizer has taken this one, too: the next is ours */
        lua_pop(L, results);
        return receive_again(L, r->sock, values);
    }
    return results;
}

static int run_recv(lua_State *L, struct udp *s, size_t size, bool with_sender)
{
    static const struct lss_call call = { .finish = finish_recv,
                                          .size = sizeof(struct receiving),
                                          .directions = LSS_READING };
    struct receiving r = { .sock = s };
    if (udp_is_closed(s))
        return lss_push_failure(L, with_sender ? 2 : 1, SS_CLOSED, NULL);
    r.op.op = new_udp_op(s, ss_recvfrom_step, SS_BY_RCVTIMEO);
    r.op.sock = &s->base.sock;
    r.op.state = &s->state;
    r.op.size = size;
    r.op.with_sender = with_sender;
    return lss_run(L, &s->base, &r.op.op, &call);
}

static int receive_with(lua_State *L, bool with_sender)
{
    struct udp *s = self_udp(L);
    size_t size = lua_isnoneornil(L, 2) ? LARGEST : lss_check_size(L, 2, "size", 1);
    return run_recv(L, s, size, with_sender);
}

static int udp_recv(lua_State *L)
{
    return receive_with(L, false);
}

static int udp_recvfrom(lua_State *L)
{
    return receive_with(L, true);
}

/* The address of the datagram that becomes number `n` of the array on top of the stack: the value of the one before, if that
 * has come from there as well. */
static void push_sender(lua_State *L, const struct ss_addr *from, struct ss_addr *before, int family, size_t n)
{
    if (ss_addr_equal(from, before)) {
        lua_rawgeti(L, -1, (int)n - 1);
        return;
    }
    lss_push_addr(L, from, family);
    *before = *from;
}

/* A call that receives many. */
struct taking {
    struct ss_recvmany *op;
    size_t n, bytes; /* that are in the arrays */
    unsigned epoch;  /* of what is in the queue */
    bool cut;        /* one of them was longer */
};

/* Appends what is in the queue to the arrays on top of the stack, as much as is wanted. Ends as soon as a finalizer has touched the
 * queue. */
static void push_queue(lua_State *L, struct ss_dgrams *queue, struct taking *t)
{
    const struct ss_recvmany *op = t->op;
    struct ss_dgram dgram;
    struct ss_addr before = { .len = (socklen_t)-1 };
    const struct ss_inbuf *in = &op->sock->in;
    unsigned epoch = in->epoch;
    while (ss_recvmany_has_room(op, t->n, t->bytes) && in->epoch == epoch && ss_dgrams_next(queue, op->size, &dgram)) {
        if (!lss_push_bytes(L, in, dgram.data, dgram.len))
            break;
        t->n++;
        t->bytes += dgram.len;
        t->cut = t->cut || dgram.cut;
        lua_rawseti(L, -3, (int)t->n);
        push_sender(L, &dgram.from, &before, op->sock->family, t->n);
        lua_rawseti(L, -2, (int)t->n);
    }
}

/* Takes the elements behind the first `n` out of the array at `index`, counted from the top, with no memory. */
static void forget_elements(lua_State *L, int index, size_t n)
{
    bool was_there = true;
    while (was_there) {
        lua_rawgeti(L, index, (int)++n);
        was_there = !lua_isnil(L, -1);
        lua_pop(L, 1);
        if (was_there) {
            lua_pushnil(L);
            lua_rawseti(L, index - 1, (int)n);
        }
    }
}

/* The datagrams of the queue leave it when they are safe in the arrays, or stay there all. */
static bool push_batch(lua_State *L, struct taking *t)
{
    const struct ss_sock *s = t->op->sock;
    struct ss_dgrams rest = t->op->state->queue;
    struct taking after = *t;
    unsigned epoch = s->in.epoch;
    push_queue(L, &rest, &after);
    if (s->in.epoch != epoch)
        return false;
    *t = after;
    ss_dgram_set_queue(t->op->sock, t->op->state, &rest);
    return true;
}

static int push_another(lua_State *L)
{
    struct taking *t = lua_touserdata(L, 1);
    const struct ss_sock *s = t->op->sock;
    if (ss_sock_has_input(s) && s->in.epoch == t->epoch) /* a hook of this call has not taken it or closed the socket */
        push_batch(L, t);
    return 0;
}

/* The same with what else is there, while there is more. Without memory for that it stays in the queue, and what is in the arrays
 * reaches the program. The function, its argument and the arrays are on top of the stack. */
static void push_others(lua_State *L, struct taking *t)
{
    const struct ss_sock *s = t->op->sock;
    unsigned stream = lss_stream(s);
    size_t before = 0;
    while (t->n > before && s->io.fd >= 0 && lss_stream(s) == stream && !ss_sock_has_input(s) &&
           ss_recvmany_refill(t->op, t->n, t->bytes)) {
        before = t->n;
        t->epoch = s->in.epoch;
        for (int i = 0; i < 4; i++)
            lua_pushvalue(L, -4);
        int status = lua_pcall(L, 3, 0, 0);
        if (status != 0 && status != LUA_ERRMEM)
            lua_error(L); /* of a hook, say, which interrupts the program */
        if (status != 0)
            lua_pop(L, 1);
        forget_elements(L, -2, t->n);
        forget_elements(L, -1, t->n);
    }
}

struct receiving_many {
    struct ss_recvmany op;
    struct udp *sock;
};

static int finish_recvmany(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct receiving_many *r = (struct receiving_many *)base;
    struct taking t = { .op = &r->op };
    if (st != SS_OK)
        return lss_push_failure(L, 2, st, &base->error);
    lua_getfield(L, LUA_REGISTRYINDEX, PUSH_ANOTHER);
    lua_pushlightuserdata(L, &t);
    lua_createtable(L, 0, 0);
    lua_createtable(L, 0, 0);
    lss_account(L, r->op.sock->in.pool);
    if (ss_sock_has_input(r->op.sock) && push_batch(L, &t)) {
        push_others(L, &t);
        if (t.cut)
            lua_getfield(L, LUA_REGISTRYINDEX, TRUNCATED); /* runs nothing that might raise */
        return t.cut ? 3 : 2;
    }
    lua_pop(L, 4); /* a finalizer was faster */
    return receive_again(L, r->sock, 2);
}

static int run_recvmany(lua_State *L, struct udp *s, size_t count, size_t size)
{
    static const struct lss_call call = { .finish = finish_recvmany,
                                          .size = sizeof(struct receiving_many),
                                          .directions = LSS_READING };
    struct receiving_many r = { .sock = s };
    if (udp_is_closed(s))
        return lss_push_failure(L, 2, SS_CLOSED, NULL);
    r.op = (struct ss_recvmany){ .sock = &s->base.sock, .state = &s->state, .count = count, .size = size };
    r.op.op = new_udp_op(s, ss_recvmany_step, SS_BY_RCVTIMEO);
    return lss_run(L, &s->base, &r.op.op, &call);
}

static int udp_recvmany(lua_State *L)
{
    struct udp *s = self_udp(L);
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

/* Where `to` of the operation points. */
struct sending {
    union {
        struct ss_op op; /* whichever it is */
        struct ss_sendto one;
        struct ss_sendmany many;
    } as;
    struct ss_addr known;
};

static bool is_many(const struct ss_op *op)
{
    return op->step == ss_sendmany_step;
}

static const struct ss_addr **destination(struct sending *s)
{
    return is_many(&s->as.op) ? &s->as.many.to : &s->as.one.to;
}

static void move_sending(struct ss_op *op, const struct ss_op *from)
{
    struct sending *s = (struct sending *)op;
    if (*destination(s) == &((const struct sending *)from)->known)
        *destination(s) = &s->known;
}

static int finish_sending(lua_State *L, struct ss_op *op, enum ss_status st)
{
    return is_many(op) ? finish_sendmany(L, op, st) : finish_send(L, op, st);
}

/* To an address that has to be looked up, or from a socket that has to be opened for it. */
struct sending_by_name {
    struct ss_send_by_name by_name;
    struct sending sending;
};

static int finish_send_by_name(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct sending_by_name *s = (struct sending_by_name *)base;
    s->sending.as.op.error = base->error;
    ss_lookup_fini(&s->by_name.lookup);
    return finish_sending(L, &s->sending.as.op, st);
}

static int send_by_name(lua_State *L, struct udp *s, const struct sending *sending, const struct ss_target *target)
{
    static const struct lss_call call = { .finish = finish_send_by_name,
                                          .drop = lss_drop_lookup,
                                          .directions = LSS_READING | LSS_WRITING };
    struct sending_by_name *op = lss_push_lookup(L, s->base.sock.env, sizeof *op);
    lss_check_self(L, &s->base);
    op->sending = *sending;
    ss_send_by_name_init(&op->by_name, &s->base.sock, target, &op->sending.as.op, destination(&op->sending));
    return lss_run(L, &s->base, &op->by_name.lookup.op, &call);
}

static int run_sending(lua_State *L, struct udp *s, struct sending *op)
{
    static const struct lss_call call = {
        .finish = finish_sending, .size = sizeof *op, .relocate = move_sending, .directions = LSS_WRITING
    };
    if (is_many(&op->as.op))
        return lss_run(L, &s->base, &op->as.op, &call);
    return lss_run_brief(L, &s->base, &op->as.op, &call);
}

/* Sends to the address at index `arg`, or to the peer when there is none. An address that is known, on a socket that is open
 * and can reach it, needs no more than the system call. */
static int send_to(lua_State *L, struct udp *s, struct sending *op, int arg)
{
    struct ss_target target;
    if (lua_isnoneornil(L, arg) && lua_isnoneornil(L, arg + 1)) {
        if (udp_is_closed(s))
            return finish_sending(L, &op->as.op, SS_CLOSED);
        return run_sending(L, s, op);
    }
    enum ss_status st = lss_check_target(L, arg, 0, &target, &op->as.op.error);
    if (st != SS_OK)
        return finish_sending(L, &op->as.op, st);
    op->known = target.addr;
    if (target.addr.len == 0 || udp_is_closed(s) || !ss_addr_fit(&op->known, s->base.sock.family))
        return send_by_name(L, s, op, &target);
    *destination(op) = &op->known;
    return run_sending(L, s, op);
}

static int udp_send(lua_State *L)
{
    struct sending op;
    size_t len;
    const char *data = lua_tolstring(L, 2, &len); /* allocates for a number, so finalizers may run */
    struct udp *s = self_udp(L);
    if (!data)
        lss_type_error(L, 2, "string");
    op.as.one = (struct ss_sendto){ .sock = &s->base.sock, .data = data, .len = len };
    op.as.op = new_udp_op(s, ss_sendto_step, SS_BY_SNDTIMEO);
    return send_to(L, s, &op, 3);
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
    struct udp *s = self_udp(L);
    struct sending op;
    size_t n;
    lua_settop(L, 4);
    const struct iovec *data = lss_check_strings(L, 2, &n);
    size_t batch = n < OS_MANY ? n : OS_MANY;
    void *memory = lss_newuserdata(L, os_batch_memory(batch, 0));
    lss_check_self(L, &s->base);
    op.as.many = (struct ss_sendmany){ .sock = &s->base.sock, .state = &s->state, .data = data, .n = n };
    op.as.op = new_udp_op(s, ss_sendmany_step, SS_BY_SNDTIMEO);
    os_batch_init(&op.as.many.batch, memory, batch, 0);
    return send_to(L, s, &op, 3);
}

/* Peers and groups */

static int dissolve(lua_State *L, struct udp *s)
{
    struct ss_error err;
    enum ss_status st = udp_is_closed(s) ? SS_CLOSED : os_disconnect(s->base.sock.io.fd, &err);
    return lss_push_done(L, st, &err);
}

static int udp_connect(lua_State *L)
{
    struct udp *s = self_udp(L);
    struct ss_target target;
    struct ss_error err;
    if (lua_isnoneornil(L, 2) && lua_isnoneornil(L, 3))
        return dissolve(L, s);
    enum ss_status st = lss_check_target(L, 2, 0, &target, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    static const struct lss_call call = { .finish = lss_finish_lookup,
                                          .drop = lss_drop_lookup,
                                          .directions = LSS_READING | LSS_WRITING };
    struct ss_set_peer *op = lss_push_lookup(L, s->base.sock.env, sizeof *op);
    lss_check_self(L, &s->base);
    ss_set_peer_init(op, &s->base.sock, &target);
    return lss_run(L, &s->base, &op->lookup.op, &call);
}

static uint32_t check_interface(lua_State *L, int arg, bool *found)
{
    uint32_t index = 0;
    *found = true;
    if (lua_type(L, arg) == LUA_TNUMBER)
        return (uint32_t)lss_check_int(L, arg, "interface", 1, INT32_MAX);
    if (!lua_isnoneornil(L, arg))
        *found = os_iface_index(luaL_checkstring(L, arg), &index);
    return index;
}

static int run_group(lua_State *L, bool join)
{
    struct udp *s = self_udp(L);
    struct ss_addr group;
    struct ss_error err;
    size_t len;
    bool found;
    const char *text = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, !memchr(text, '\0', len), 2, "group must not contain a NUL byte");
    uint32_t iface = check_interface(L, 3, &found);
    enum ss_status st = SS_OK;
    if (ss_addr_parse(&group, text, len, 0) != SS_HOST_NUMERIC || !ss_addr_is_multicast(&group))
        return lss_push_failure(L, 1, SS_ERROR, &ss_not_found);
    if (iface == 0 && group.sa.any.sa_family == AF_INET6)
        iface = group.sa.in6.sin6_scope_id;
    if (!found)
        return lss_push_failure(L, 1, SS_ERROR, &ss_no_interface);
    bool fresh = udp_is_closed(s);
    if (fresh && join)
        lss_live_env(L);
    if (fresh)
        st = join ? ss_sock_open(&s->base.sock, group.sa.any.sa_family, &err) : SS_CLOSED;
    if (st != SS_OK)
        return lss_push_done(L, st, &err);
    st = os_group(s->base.sock.io.fd, join, &group, iface, &err);
    if (st == SS_OK)
        s->base.sock.bound = true; /* its descriptor has become particular */
    else if (fresh)
        ss_sock_close(&s->base.sock, &(struct ss_error){ SS_SYSTEM, 0 });
    return lss_push_done(L, st, &err);
}

static int udp_join(lua_State *L)
{
    return run_group(L, true);
}

static int udp_leave(lua_State *L)
{
    return run_group(L, false);
}

/* Whoever gets the descriptor does not expect joined datagrams. */
static int udp_detach(lua_State *L)
{
    struct udp *s = self_udp(L);
    const struct ss_sock *sock = &s->base.sock;
    if (!udp_is_closed(s) && !ss_sock_has_input(sock) && !ss_dgram_stop_joining(sock, &s->state))
        return lss_push_unread(L);
    return lss_detach(L);
}

static const luaL_Reg methods[] = {
    { "bind", lss_bind },
    { "close", lss_close },
    { "connect", udp_connect },
    { "detach", udp_detach },
    { "fileno", lss_fileno },
    { "getopt", lss_getopt },
    { "getpeername", lss_getpeername },
    { "getsockname", lss_getsockname },
    { "gettimeout", lss_gettimeout },
    { "join", udp_join },
    { "leave", udp_leave },
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
    lss_class(L, LSS_UDP, lss_socket_events, methods);
    lua_pushcfunction(L, push_another);
    lua_setfield(L, LUA_REGISTRYINDEX, PUSH_ANOTHER);
    lss_push_failure(L, 0, SS_TRUNCATED, NULL);
    lua_setfield(L, LUA_REGISTRYINDEX, TRUNCATED);
}
