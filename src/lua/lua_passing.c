/* Passing descriptors over Unix streams: tcpsock:sendfd and tcpsock:recvfd. */
#include "core/op_passing.h"
#include "core/codes.h"
#include "lua/lua_base.h"
#include "os/os_passing.h"

/* Beside the bytes of a layer nothing can be passed. */
static bool passes_descriptors(const struct lss_socket *s)
{
    return s->sock.family == AF_UNIX && !ss_io_has_layer(&s->sock.io);
}

/* Sending */

static int push_unsent(lua_State *L, int results, size_t sent)
{
    lss_push_size(L, sent);
    return results + 1;
}

static int finish_sendfd(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_sendfd *op = (struct ss_sendfd *)base;
    if (st == SS_OK)
        return lss_push_done(L, st, NULL);
    int results;
    if (st == SS_ERROR && op->refused)
        results = op->layered ? lss_push_layered(L) : lss_push_unread(L);
    else
        results = lss_push_failure(L, 1, st, &base->error);
    return push_unsent(L, results, op->write.sent);
}

/* What a layer holds no other process could go on with. */
static bool has_unread_input(struct ss_sock *s)
{
    return ss_io_has_layer(&s->io) || ss_sock_has_input(s);
}

/* Reads argument 3, a number or a socket other than `carrier`; raises for other values. */
static void check_passed(lua_State *L, const struct lss_socket *carrier, struct ss_sendfd *op)
{
    struct lss_socket *s = lss_test_socket(L, 3, carrier->sock.env);
    luaL_argcheck(L, s != carrier, 3, "a socket cannot be sent over itself");
    op->env = carrier->sock.env;
    if (s) {
        op->handed = &s->sock;
        op->fd = s->sock.io.fd;
        op->stream = lss_stream(&s->sock);
        op->has_unread = s->sock.type == SOCK_DGRAM ? lss_udp_has_unread : has_unread_input;
    } else if (lua_isnumber(L, 3)) {
        op->fd = lss_check_int(L, 3, "fd", 0, INT32_MAX);
    } else {
        lss_type_error(L, 3, "fd (a socket or a descriptor's number)");
    }
}

int lss_sendfd(lua_State *L)
{
    static const struct lss_call call = { .finish = finish_sendfd,
                                          .size = sizeof(struct ss_sendfd),
                                          .relocate = ss_sendfd_relocate,
                                          .directions = LSS_WRITING };
    struct ss_sendfd op = { .handed = NULL };
    size_t len;
    const char *data = lua_tolstring(L, 2, &len); /* converts a number, which may run finalizers */
    struct lss_socket *s = lss_self_socket(L);
    if (!data)
        return lss_type_error(L, 2, "data (a string)");
    luaL_argcheck(L, len > 0, 2, "data must not be empty: the descriptor goes with its first byte");
    check_passed(L, s, &op);
    op.iov = (struct iovec){ .iov_base = (void *)data, .iov_len = len };
    op.write = (struct ss_write){ .iov = &op.iov, .n = 1 };
    op.write.op = (struct ss_op){ .step = ss_sendfd_step, .io = &s->sock.io, .kernel_timeout = SS_BY_SNDTIMEO };
    if (s->sock.io.fd < 0)
        return finish_sendfd(L, &op.write.op, SS_CLOSED);
    op.write.op.error = passes_descriptors(s) ? ss_not_open : ss_not_supported;
    if (!passes_descriptors(s) || op.fd < 0)
        return finish_sendfd(L, &op.write.op, SS_ERROR);
    return lss_try_then_run(L, s, &op.write.op, &call);
}

/* Receiving. The descriptor is the socket's until its number is among the results: an error when they are made loses
 * neither that nor the bytes. */

static int push_passed(lua_State *L, int passed)
{
    if (passed == OS_PASSED_LOST)
        return lss_push_failure(L, 1, SS_ERROR, &ss_no_descriptors);
    if (passed == OS_NOTHING_PASSED)
        lua_pushnil(L);
    else
        lua_pushinteger(L, passed);
    return 1;
}

/* Pushes what is in the input buffer, at most `max` bytes, and what came with it. 0: nothing is pushed, a finalizer has
 * changed the buffer. */
static int push_received(lua_State *L, struct ss_sock *s, size_t max)
{
    struct ss_inbuf *in = &s->in;
    size_t n = ss_inbuf_len(in) < max ? ss_inbuf_len(in) : max;
    unsigned epoch = in->epoch;
    int passed = ss_sock_passed(s), top = lua_gettop(L);
    if (n == 0 || !lss_push_bytes(L, in, ss_inbuf_data(in), n))
        return 0;
    int results = 1 + push_passed(L, passed);
    if (in->epoch != epoch) {
        lua_settop(L, top);
        return 0;
    }
    if (passed != OS_NOTHING_PASSED)
        ss_sock_give_passed(s);
    ss_inbuf_consume(in, n);
    return results;
}

static int finish_recvfd(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_recvfd *op = (struct ss_recvfd *)base;
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &base->error);
    lss_account_memory(L, op->sock->in.pool);
    int results = push_received(L, op->sock, op->max);
    return results > 0 ? results : LSS_RETRY;
}

int lss_recvfd(lua_State *L)
{
    static const struct lss_call call = { .finish = finish_recvfd,
                                          .size = sizeof(struct ss_recvfd),
                                          .directions = LSS_READING };
    struct lss_socket *s = lss_self_socket(L);
    struct ss_recvfd op = { .sock = &s->sock, .max = lss_check_size(L, 2, "max", 1) };
    if (s->sock.io.fd < 0)
        return lss_push_closed(L);
    op.op = (struct ss_op){ .step = ss_recvfd_step, .io = &s->sock.io, .kernel_timeout = SS_BY_RCVTIMEO };
    op.op.error = ss_not_supported;
    return passes_descriptors(s) ? lss_run(L, s, &op.op, &call) : finish_recvfd(L, &op.op, SS_ERROR);
}
