#include "core/op_dgram.h"
#include "os/os_net.h"

/* Resets `state` if the socket has another descriptor than the state's. */
static void reset_stale_state(const struct ss_sock *s, struct ss_dgram_state *state)
{
    if (state->stream != s->in.stream)
        *state = (struct ss_dgram_state){ .stream = s->in.stream };
}

static uint8_t offload_of(bool on)
{
    return on ? SS_OFFLOAD_ON : SS_OFFLOAD_OFF;
}

static void set_pending_error(struct ss_dgram_state *state, int code)
{
    state->pending_error = (uint16_t)code;
}

static bool take_pending_error(struct ss_dgram_state *state, struct ss_error *err)
{
    *err = (struct ss_error){ SS_SYSTEM, state->pending_error };
    state->pending_error = 0;
    return err->code != 0;
}

/* Borrows memory for a datagram. Beyond one block (Unix datagrams can be longer) the datagram's length decides, not the
 * requested maximum. */
static enum ss_status borrow_datagram_memory(struct ss_recvfrom *op, int *flags, size_t *room)
{
    enum ss_status st = SS_OK;
    *room = op->size;
    if (op->size > SS_BLOCK) {
        size_t len = 0;
        st = os_next_length(op->sock->io.fd, *flags, &len, &op->op.error);
        *flags = OS_DONTWAIT;
        *room = len < op->size ? len : op->size;
    }
    return st == SS_OK ? ss_inbuf_borrow(&op->sock->in, *room, &op->op.error) : st;
}

static enum ss_status receive_one_datagram(struct ss_recvfrom *op, int flags)
{
    struct ss_inbuf *in = &op->sock->in;
    size_t room, got = 0;
    op->got.from.len = 0;
    enum ss_status st = borrow_datagram_memory(op, &flags, &room);
    if (st == SS_OK)
        st = os_recvfrom(op->sock->io.fd, in->block->bytes, room, flags, op->with_sender ? &op->got.from : NULL, &got,
                         &op->op.error);
    if (st != SS_OK && st != SS_TRUNCATED) {
        ss_inbuf_clear(in);
        return st;
    }
    in->block->used = got;
    op->got.data = in->block->bytes;
    op->got.len = got;
    return st;
}

/* Receiving into the queue */

enum { JOINED_BUFFERS = 32 }; /* of OS_JOINED bytes each, mostly unused */

static size_t batch_length(size_t count, size_t size)
{
    size_t fits = size == OS_JOINED ? JOINED_BUFFERS : SS_BATCH_MEMORY / size;
    return fits == 0 ? 1 : count < fits ? count : fits;
}

/* Another owner of a shared descriptor may have turned UDP_GRO on. */
static bool may_be_joined(const struct ss_sock *s, const struct ss_dgram_state *state)
{
    return state->joining == SS_OFFLOAD_ON || (s->shared && s->family != AF_UNIX);
}

static enum ss_status receive_into_queue(struct ss_sock *s, struct ss_dgram_state *state, size_t count, size_t size,
                                         int flags, struct ss_error *err)
{
    struct ss_dgrams *queue = &state->queue;
    size_t n = batch_length(count, size), got = 0;
    enum ss_status st = ss_inbuf_borrow(&s->in, os_batch_memory(n, size), err);
    if (st != SS_OK)
        return st;
    *queue = (struct ss_dgrams){ .n = 0 };
    os_batch_init(&queue->batch, s->in.block->bytes, n, size);
    st = os_recv_many(s->io.fd, &queue->batch, flags | (may_be_joined(s, state) ? OS_JOINS : 0), &got, err);
    queue->n = (unsigned)got;
    s->in.block->end = s->in.block->used = s->in.block->size;
    if (st != SS_OK)
        ss_inbuf_clear(&s->in);
    else if (queue->batch.pending_error != 0)
        set_pending_error(state, queue->batch.pending_error);
    return st;
}

void ss_dgram_set_queue(struct ss_sock *s, struct ss_dgram_state *state, const struct ss_dgrams *rest)
{
    state->queue = *rest;
    s->in.epoch++;
    if (rest->next >= rest->n)
        ss_inbuf_clear(&s->in);
}

/* Takes a datagram from the queue; a receive that the kernel may have joined must go through the queue. */
static enum ss_status receive_through_queue(struct ss_recvfrom *op, int flags)
{
    enum ss_status st = SS_OK;
    if (!ss_sock_has_input(op->sock))
        st = receive_into_queue(op->sock, op->state, 1, OS_JOINED, flags, &op->op.error);
    if (st != SS_OK)
        return st;
    op->rest = op->state->queue;
    ss_dgrams_next(&op->rest, op->size, &op->got);
    return op->got.cut ? SS_TRUNCATED : SS_OK;
}

enum ss_status ss_recvfrom_step(struct ss_op *base)
{
    struct ss_recvfrom *op = (struct ss_recvfrom *)base;
    reset_stale_state(op->sock, op->state);
    if (take_pending_error(op->state, &base->error))
        return SS_ERROR;
    bool queued = ss_sock_has_input(op->sock);
    enum ss_mode mode = queued ? SS_NO_WAIT : ss_io_take_mode(base->io);
    int flags = mode == SS_NO_WAIT ? OS_DONTWAIT : 0;
    if (mode == SS_NO_CALL)
        return ss_op_want(base, SS_READABLE);
    op->from_queue = queued || may_be_joined(op->sock, op->state);
    enum ss_status st = op->from_queue ? receive_through_queue(op, flags) : receive_one_datagram(op, flags);
    return st == SS_WANT ? ss_op_want(base, SS_READABLE) : st;
}

void ss_recvfrom_done(struct ss_recvfrom *op)
{
    if (op->from_queue)
        ss_dgram_set_queue(op->sock, op->state, &op->rest);
    else
        ss_inbuf_clear(&op->sock->in);
}

/* Turns UDP_GRO on at the first ss_recvmany: UDP_GRO slows single receives. */
static void enable_joining(const struct ss_sock *s, struct ss_dgram_state *state)
{
    if (state->joining != SS_OFFLOAD_UNKNOWN || s->family == AF_UNIX || s->shared)
        return;
    state->joining = offload_of(ss_join_probe_holds(&s->env->join_probe) && os_join_received(s->io.fd, true));
}

/* Receives one Unix datagram longer than a block: the datagram's length decides, not the requested maximum. */
static enum ss_status receive_long_datagram(struct ss_recvmany *op, int flags)
{
    size_t len = 0;
    enum ss_status st = os_next_length(op->sock->io.fd, flags, &len, &op->op.error);
    if (st != SS_OK)
        return st;
    size_t size = len < SS_BLOCK ? SS_BLOCK : len < op->size ? len : op->size;
    return receive_into_queue(op->sock, op->state, 1, size, OS_DONTWAIT, &op->op.error);
}

static enum ss_status receive_many_datagrams(struct ss_recvmany *op, size_t count, int flags)
{
    size_t size = may_be_joined(op->sock, op->state) ? OS_JOINED : op->size;
    if (size > SS_BLOCK && op->sock->family == AF_UNIX)
        return receive_long_datagram(op, flags);
    size = size < SS_BLOCK ? size : SS_BLOCK; /* an IP datagram has at most 65,535 bytes */
    return receive_into_queue(op->sock, op->state, count, size, flags, &op->op.error);
}

enum ss_status ss_recvmany_step(struct ss_op *base)
{
    struct ss_recvmany *op = (struct ss_recvmany *)base;
    reset_stale_state(op->sock, op->state);
    if (ss_sock_has_input(op->sock))
        return SS_OK;
    if (take_pending_error(op->state, &base->error))
        return SS_ERROR;
    enum ss_mode mode = ss_io_take_mode(base->io);
    if (mode == SS_NO_CALL)
        return ss_op_want(base, SS_READABLE);
    enable_joining(op->sock, op->state);
    enum ss_status st = receive_many_datagrams(op, op->count, mode == SS_NO_WAIT ? OS_DONTWAIT : 0);
    return st == SS_WANT ? ss_op_want(base, SS_READABLE) : st;
}

bool ss_recvmany_refill(struct ss_recvmany *op, size_t n, size_t bytes)
{
    const struct ss_dgrams *queue = &op->state->queue;
    bool was_full = queue->n == queue->batch.n;
    if (!was_full || !ss_recvmany_has_room(op, n, bytes))
        return false;
    enum ss_status st = receive_many_datagrams(op, op->count - n, OS_DONTWAIT);
    if (st == SS_ERROR)
        set_pending_error(op->state, op->op.error.code);
    return st == SS_OK;
}

/* Joined datagrams cannot be separated while UDP_GRO is off, nor by other users of the descriptor. */
bool ss_dgram_stop_joining(const struct ss_sock *s, struct ss_dgram_state *state)
{
    reset_stale_state(s, state);
    if (state->joining != SS_OFFLOAD_ON)
        return true;
    if (os_has_input(s->io.fd))
        return false;
    state->joining = offload_of(!os_join_received(s->io.fd, false));
    if (!os_has_input(s->io.fd))
        return true;
    state->joining = offload_of(os_join_received(s->io.fd, true));
    return false;
}

enum ss_status ss_dgram_want_room(struct ss_op *op, const struct ss_sock *sock, bool has_dest)
{
    enum { RETRY_MS = 1 };
    ss_op_want(op, SS_WRITABLE);
    if (sock->family == AF_UNIX &&
        (has_dest || !os_polls_room)) { /* poll(2) ignores the receiver's queue (os_polls_room) */
        op->want.events = 0;
        op->after_ms = RETRY_MS;
    }
    return SS_WANT;
}

enum ss_status ss_sendto_step(struct ss_op *base)
{
    struct ss_sendto *op = (struct ss_sendto *)base;
    enum ss_mode mode = ss_io_take_mode(base->io);
    if (mode == SS_NO_CALL)
        return ss_op_want(base, SS_WRITABLE);
    enum ss_status st =
        os_sendto(base->io->fd, op->data, op->len, mode == SS_NO_WAIT ? OS_DONTWAIT : 0, op->to, &base->error);
    return st == SS_WANT ? ss_dgram_want_room(base, op->sock, op->to != NULL) : st;
}

/* Whether to join runs of datagrams for UDP_SEGMENT (udp(7)). The kernel may still refuse a run: datagrams too long for
 * the path, or a device without support. */
static bool may_split(struct ss_sendmany *op)
{
    const struct ss_sock *s = op->sock;
    struct ss_dgram_state *state = op->state;
    reset_stale_state(s, state);
    if (state->splitting == SS_OFFLOAD_UNKNOWN && s->family != AF_UNIX)
        state->splitting = offload_of(os_splits_sent(s->io.fd));
    return state->splitting == SS_OFFLOAD_ON && !op->no_split;
}

static enum ss_status send_next_batch(struct ss_sendmany *op)
{
    enum ss_mode mode = ss_io_take_mode(op->op.io);
    if (mode == SS_NO_CALL)
        return ss_op_want(&op->op, SS_WRITABLE);
    bool split = may_split(op);
    /* Waits only without a deadline: SO_SNDTIMEO bounds each message, not the call. */
    enum ss_status st = os_send_many(op->sock->io.fd, &op->batch, op->data + op->sent, op->n - op->sent,
                                     mode == SS_WAIT_ALWAYS ? 0 : OS_DONTWAIT, op->to, split, &op->sent, &op->op.error);
    if (st == SS_ERROR && split && os_is_refused_split(&op->op.error)) {
        op->no_split = true;
        return SS_OK;
    }
    if (mode == SS_WAIT_ALWAYS && op->batch.cut_short)
        ss_io_stop_waits(op->op.io);
    return st == SS_WANT ? ss_dgram_want_room(&op->op, op->sock, op->to != NULL) : st;
}

enum ss_status ss_sendmany_step(struct ss_op *base)
{
    struct ss_sendmany *op = (struct ss_sendmany *)base;
    enum ss_status st = SS_OK;
    while (st == SS_OK && op->sent < op->n)
        st = send_next_batch(op);
    return st;
}
