#include "core/op_dgram.h"
#include "os/os_net.h"

/* The socket may have another descriptor than the one that the state is about. */
static void refresh_state(const struct ss_sock *s, struct ss_dgram_state *state)
{
    if (state->stream != s->in.stream)
        *state = (struct ss_dgram_state){ .stream = s->in.stream };
}

static uint8_t offload(bool on)
{
    return on ? SS_OFFLOAD_ON : SS_OFFLOAD_OFF;
}

static void keep_error(struct ss_dgram_state *state, int code)
{
    state->pending_error = (uint16_t)code;
}

/* The kernel reports each error once. */
static bool take_pending_error(struct ss_dgram_state *state, struct ss_error *err)
{
    *err = (struct ss_error){ SS_SYSTEM, state->pending_error };
    state->pending_error = 0;
    return err->code != 0;
}

/* A size up to a block costs nothing. For more (Unix datagrams can be longer) it is the datagram that counts, not the
 * number that was asked for. */
static enum ss_status make_datagram_room(struct ss_recvfrom *op, int *flags, size_t *room)
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
    enum ss_status st = make_datagram_room(op, &flags, &room);
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

enum { JOINED_BUFFERS = 32 }; /* where each is large, and most of it is never touched */

static size_t batch_length(size_t count, size_t size)
{
    size_t fits = size == OS_JOINED ? JOINED_BUFFERS : SS_BATCH_MEMORY / size;
    return fits == 0 ? 1 : count < fits ? count : fits;
}

/* Also when another owner of the descriptor has asked for it. */
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
        keep_error(state, queue->batch.pending_error);
    return st;
}

void ss_queue_left(struct ss_sock *s, struct ss_dgram_state *state, const struct ss_dgrams *rest)
{
    state->queue = *rest;
    s->in.epoch++;
    if (rest->next >= rest->n)
        ss_inbuf_clear(&s->in);
}

/* What the kernel may have joined goes through the queue, always. */
static enum ss_status receive_queued(struct ss_recvfrom *op, int flags)
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
    refresh_state(op->sock, op->state);
    if (take_pending_error(op->state, &base->error))
        return SS_ERROR;
    bool queued = ss_sock_has_input(op->sock);
    enum ss_mode mode = queued ? SS_NO_WAIT : ss_io_take_mode(base->io);
    int flags = mode == SS_NO_WAIT ? OS_DONTWAIT : 0;
    if (mode == SS_NO_CALL)
        return ss_op_want(base, SS_READABLE);
    op->from_queue = queued || may_be_joined(op->sock, op->state);
    enum ss_status st = op->from_queue ? receive_queued(op, flags) : receive_one_datagram(op, flags);
    return st == SS_WANT ? ss_op_want(base, SS_READABLE) : st;
}

void ss_recvfrom_done(struct ss_recvfrom *op)
{
    if (op->from_queue)
        ss_queue_left(op->sock, op->state, &op->rest);
    else
        ss_inbuf_clear(&op->sock->in);
}

/* Joining is asked for with the first receive of many: it costs the others a little. */
static void ask_to_join(const struct ss_sock *s, struct ss_dgram_state *state)
{
    if (state->joining != SS_OFFLOAD_UNKNOWN || s->family == AF_UNIX || s->shared)
        return;
    state->joining = offload(ss_join_proof_holds(&s->env->join_proof) && os_join_received(s->io.fd, true));
}

/* One that may be longer than a block, as Unix datagrams can: its own length counts, not the number that was asked for. */
static enum ss_status receive_long(struct ss_recvmany *op, int flags)
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
        return receive_long(op, flags);
    size = size < SS_BLOCK ? size : SS_BLOCK; /* an IP datagram's length has 16 bits */
    return receive_into_queue(op->sock, op->state, count, size, flags, &op->op.error);
}

enum ss_status ss_recvmany_step(struct ss_op *base)
{
    struct ss_recvmany *op = (struct ss_recvmany *)base;
    refresh_state(op->sock, op->state);
    if (ss_sock_has_input(op->sock))
        return SS_OK;
    if (take_pending_error(op->state, &base->error))
        return SS_ERROR;
    enum ss_mode mode = ss_io_take_mode(base->io);
    if (mode == SS_NO_CALL)
        return ss_op_want(base, SS_READABLE);
    ask_to_join(op->sock, op->state);
    enum ss_status st = receive_many_datagrams(op, op->count, mode == SS_NO_WAIT ? OS_DONTWAIT : 0);
    return st == SS_WANT ? ss_op_want(base, SS_READABLE) : st;
}

bool ss_recvmany_another(struct ss_recvmany *op, size_t n, size_t bytes)
{
    const struct ss_dgrams *queue = &op->state->queue;
    bool was_full = queue->n == queue->batch.n;
    if (!was_full || !ss_recvmany_wants(op, n, bytes))
        return false;
    enum ss_status st = receive_many_datagrams(op, op->count - n, OS_DONTWAIT);
    if (st == SS_ERROR)
        keep_error(op->state, op->op.error.code);
    return st == SS_OK;
}

/* What was joined before the kernel was told to stop can't be told apart by anybody else, nor by us while it is told so. */
bool ss_dgram_unjoin(const struct ss_sock *s, struct ss_dgram_state *state)
{
    refresh_state(s, state);
    if (state->joining != SS_OFFLOAD_ON)
        return true;
    if (os_has_input(s->io.fd))
        return false;
    state->joining = offload(!os_join_received(s->io.fd, false));
    if (!os_has_input(s->io.fd))
        return true;
    state->joining = offload(os_join_received(s->io.fd, true));
    return false;
}

enum ss_status ss_dgram_want_room(struct ss_op *op, const struct ss_sock *sock, bool to_somebody)
{
    enum { RETRY_MS = 1 };
    ss_op_want(op, SS_WRITABLE);
    if (sock->family == AF_UNIX &&
        (to_somebody || !os_polls_room)) { /* poll(2) knows nothing of the receiver's queue */
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

/* Whether the kernel joins runs of this socket's datagrams is asked once. It may still refuse them, for a path with
 * datagrams that are too long or a device that can't: then each goes by itself. */
static bool splits(struct ss_sendmany *op)
{
    const struct ss_sock *s = op->sock;
    struct ss_dgram_state *state = op->state;
    refresh_state(s, state);
    if (state->splitting == SS_OFFLOAD_UNKNOWN && s->family != AF_UNIX)
        state->splitting = offload(os_splits_sent(s->io.fd));
    return state->splitting == SS_OFFLOAD_ON && !op->whole;
}

static enum ss_status send_some(struct ss_sendmany *op)
{
    enum ss_mode mode = ss_io_take_mode(op->op.io);
    if (mode == SS_NO_CALL)
        return ss_op_want(&op->op, SS_WRITABLE);
    bool split = splits(op);
    /* Only without a deadline: the kernel's timeout counts for each message anew. */
    enum ss_status st = os_send_many(op->sock->io.fd, &op->batch, op->data + op->sent, op->n - op->sent,
                                     mode == SS_WAIT_ALWAYS ? 0 : OS_DONTWAIT, op->to, split, &op->sent, &op->op.error);
    if (st == SS_ERROR && split && os_is_refused_split(&op->op.error)) {
        op->whole = true;
        return SS_OK;
    }
    return st == SS_WANT ? ss_dgram_want_room(&op->op, op->sock, op->to != NULL) : st;
}

enum ss_status ss_sendmany_step(struct ss_op *base)
{
    struct ss_sendmany *op = (struct ss_sendmany *)base;
    enum ss_status st = SS_OK;
    while (st == SS_OK && op->sent < op->n)
        st = send_some(op);
    return st;
}
