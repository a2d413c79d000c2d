/* Operations on many datagrams, with a kernel that says what it seldom says: that it failed after it had given some, and that
 * it does not take what was joined. */
#include "check.h"
#include "core/op_dgram.h"
#include "os/os_net.h"
#include "pair.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { MANY = 3, MIB = 1024 * 1024 };

static const int *codes; /* what the next receives say: errno; 0: all that was asked for came; -1: there is nothing */

__typeof__(os_recv_many) __wrap_os_recv_many;
enum ss_status __wrap_os_recv_many(int fd, struct os_batch *batch, int flags, size_t *got, struct ss_error *err)
{
    (void)fd, (void)flags;
    *err = (struct ss_error){ SS_SYSTEM, *codes };
    *got = batch->n;
    memset(batch->msgs, 0, (size_t)((char *)batch->controls - (char *)batch->msgs)); /* empty datagrams */
    return *codes == -1 ? SS_WANT : *codes++ == 0 ? SS_OK : SS_ERROR;
}

__typeof__(os_join_received) __wrap_os_join_received;
bool __wrap_os_join_received(int fd, bool on)
{
    (void)fd, (void)on;
    return false;
}

/* A kernel that splits, and refuses to, with this errno. */
static int refusal;
static size_t joined_calls, single_calls;

__typeof__(os_splits_sent) __wrap_os_splits_sent;
bool __wrap_os_splits_sent(int fd)
{
    (void)fd;
    return true;
}

__typeof__(os_send_many) __wrap_os_send_many;
enum ss_status __wrap_os_send_many(int fd, struct os_batch *batch, const struct iovec *data, size_t n, int flags,
                                   const struct ss_addr *to, bool split, size_t *sent, struct ss_error *err)
{
    (void)fd, (void)batch, (void)data, (void)flags, (void)to;
    *err = (struct ss_error){ SS_SYSTEM, refusal };
    joined_calls += split;
    single_calls += !split;
    if (split)
        return SS_ERROR;
    *sent += n;
    return SS_OK;
}

static void open_datagrams(struct pair *pair)
{
    pair_open(pair);
    pair->sock.family = AF_INET;
    pair->sock.type = SOCK_DGRAM;
}

static struct ss_recvmany receiving(struct pair *pair, struct ss_dgram_state *state)
{
    struct ss_recvmany op = { .sock = &pair->sock, .state = state, .count = MANY, .size = 100 };
    op.op = (struct ss_op){ .step = ss_recvmany_step, .io = &pair->sock.io };
    ss_io_set_mode(op.op.io, SS_NO_WAIT);
    return op;
}

/* Without a turn no step may call the system. */
static void test_without_a_turn(void)
{
    static const int says[] = { 0 };
    struct pair pair;
    struct ss_dgram_state state = { .stream = 0 };
    open_datagrams(&pair);
    codes = says;
    struct ss_recvmany many = receiving(&pair, &state);
    struct ss_recvfrom one = { .op = many.op, .sock = &pair.sock, .state = &state, .size = 100 };
    struct ss_sendto out = { .op = many.op, .sock = &pair.sock, .data = "x", .len = 1 };
    struct iovec datas[MANY] = { { .iov_len = 0 } };
    struct ss_sendmany out_many = { .op = many.op, .sock = &pair.sock, .state = &state, .data = datas, .n = MANY };
    joined_calls = single_calls = 0;
    CHECK(send(pair.other, "y", 1, 0) == 1);
    ss_io_set_mode(&pair.sock.io, SS_NO_CALL);
    CHECK(ss_recvmany_step(&many.op) == SS_WANT && many.op.want.events == SS_READABLE);
    CHECK(ss_recvfrom_step(&one.op) == SS_WANT && one.op.want.events == SS_READABLE);
    CHECK(ss_sendto_step(&out.op) == SS_WANT && out.op.want.events == SS_WRITABLE);
    CHECK(ss_sendmany_step(&out_many.op) == SS_WANT && out_many.op.want.events == SS_WRITABLE);
    CHECK(joined_calls == 0 && single_calls == 0 && out_many.sent == 0);
    char c;
    CHECK(codes == says && recv(pair.other, &c, 1, MSG_DONTWAIT) == -1);
    pair_close(&pair);
}

static void take_all(struct pair *pair, struct ss_dgram_state *state)
{
    struct ss_dgrams rest = state->queue;
    rest.next = rest.n;
    ss_dgram_set_queue(&pair->sock, state, &rest);
}

/* The kernel does not say it again: the next call does, whichever it is, and the one after that goes on. */
static void check_late_failure(bool by_recvfrom)
{
    static const int says[] = { 0, ECONNREFUSED, -1 };
    struct pair pair;
    struct ss_dgram_state state = { .stream = 0 };
    open_datagrams(&pair);
    codes = says;
    struct ss_recvmany op = receiving(&pair, &state);
    CHECK(ss_recvmany_step(&op.op) == SS_OK && state.queue.n == MANY);
    take_all(&pair, &state);
    CHECK(!ss_recvmany_refill(&op, 0, 0));
    struct ss_recvfrom one = { .op = op.op, .sock = &pair.sock, .state = &state, .size = 100 };
    struct ss_op *next = by_recvfrom ? &one.op : &op.op;
    next->error.code = 0;
    CHECK((by_recvfrom ? ss_recvfrom_step(next) : ss_recvmany_step(next)) == SS_ERROR);
    CHECKF(next->error.space == SS_SYSTEM && next->error.code == ECONNREFUSED, "error %d", next->error.code);
    ss_io_set_mode(op.op.io, SS_NO_WAIT);
    CHECK((by_recvfrom ? ss_recvfrom_step(next) : ss_recvmany_step(next)) == SS_WANT);
    pair_close(&pair);
}

static void test_a_failure_after_some(void)
{
    check_late_failure(false);
    check_late_failure(true);
}

static void test_no_more_without_a_full_batch(void)
{
    static const int says[] = { 0, 0, -1 };
    struct pair pair;
    struct ss_dgram_state state = { .stream = 0 };
    open_datagrams(&pair);
    codes = says;
    struct ss_recvmany op = receiving(&pair, &state);
    CHECK(ss_recvmany_step(&op.op) == SS_OK);
    take_all(&pair, &state);
    CHECK(!ss_recvmany_refill(&op, MANY, 0) && !ss_recvmany_refill(&op, 1, MIB));
    CHECK(ss_recvmany_has_room(&op, MANY - 1, MIB - 1));
    CHECK(!ss_recvmany_has_room(&op, MANY, MIB - 1) && !ss_recvmany_has_room(&op, MANY - 1, MIB));
    state.queue.n--;
    CHECK(!ss_recvmany_refill(&op, 0, 0));
    state.queue.n++;
    CHECK(ss_recvmany_refill(&op, 0, MIB - 1) && ss_sock_has_input(&pair.sock));
    take_all(&pair, &state);
    CHECK(!ss_recvmany_refill(&op, 0, 0) && state.pending_error == 0 && !ss_sock_has_input(&pair.sock));
    pair_close(&pair);
}

/* Another owner may have asked the kernel to join, but not on a Unix socket. */
static void test_what_may_have_been_joined(void)
{
    static const int says[] = { 0, -1 };
    struct pair pair;
    struct ss_dgram_state state = { .stream = 0 };
    open_datagrams(&pair);
    codes = says;
    struct ss_recvfrom op = { .sock = &pair.sock, .state = &state, .size = 100 };
    op.op = (struct ss_op){ .step = ss_recvfrom_step, .io = &pair.sock.io };
    for (int round = 0; round < 3; round++) {
        pair.sock.shared = round > 0;
        pair.sock.family = round == 1 ? AF_INET : AF_UNIX;
        ss_io_set_mode(op.op.io, SS_NO_WAIT);
        CHECK(ss_recvfrom_step(&op.op) == (round == 1 ? SS_OK : SS_WANT) && op.from_queue == (round == 1));
        if (round == 1)
            ss_recvfrom_done(&op);
    }
    pair_close(&pair);
}

/* A Unix receiver that has no room is not one that poll(2) knows of. */
static void test_waiting_for_room(void)
{
    for (int i = 0; i < 4; i++) {
        struct ss_sock s = { .family = i % 2 ? AF_UNIX : AF_INET, .io = { .fd = 3 } };
        struct ss_op op = { .io = &s.io };
        bool blind = i == 3;
        CHECK(ss_dgram_want_room(&op, &s, i >= 2) == SS_WANT && op.want.events == (blind ? 0 : SS_WRITABLE));
        CHECKF((op.after_ms > 0) == blind, "%d ms", op.after_ms);
    }
}

/* What was found out about one descriptor, and what is to be reported of it, is void on the next one. */
static void test_the_state_is_of_one_descriptor(void)
{
    static const int says[] = { 0, -1 };
    struct pair pair;
    struct ss_dgram_state state = { .pending_error = ECONNREFUSED, .splitting = SS_OFFLOAD_OFF };
    struct iovec datas[MANY] = { { .iov_len = 0 } };
    open_datagrams(&pair);
    codes = says;
    refusal = EINVAL;
    joined_calls = single_calls = 0;
    struct ss_recvmany in = receiving(&pair, &state);
    struct ss_sendmany out = { .op = in.op, .sock = &pair.sock, .state = &state, .data = datas, .n = MANY };
    CHECK(ss_sendmany_step(&out.op) == SS_OK && joined_calls == 0 && state.pending_error == ECONNREFUSED);
    ss_inbuf_restart(&pair.sock.in);
    CHECK(ss_recvmany_step(&in.op) == SS_OK && state.pending_error == 0);
    take_all(&pair, &state);
    out.sent = 0;
    CHECK(ss_sendmany_step(&out.op) == SS_OK && joined_calls == 1 && state.splitting == SS_OFFLOAD_ON);
    state.pending_error = ECONNREFUSED;
    CHECK(ss_dgram_stop_joining(&pair.sock, &state) && state.pending_error == ECONNREFUSED);
    ss_inbuf_restart(&pair.sock.in);
    CHECK(ss_dgram_stop_joining(&pair.sock, &state) && state.pending_error == 0 &&
          state.splitting == SS_OFFLOAD_UNKNOWN);
    pair_close(&pair);
}

static void check_refusal(int code, enum ss_status status, size_t joined, size_t single)
{
    struct pair pair;
    struct iovec datas[MANY] = { { .iov_len = 0 } };
    open_datagrams(&pair);
    refusal = code;
    joined_calls = single_calls = 0;
    struct ss_dgram_state state = { .stream = 0 };
    struct ss_sendmany op = { .sock = &pair.sock, .state = &state, .data = datas, .n = MANY };
    op.op = (struct ss_op){ .step = ss_sendmany_step, .io = &pair.sock.io };
    ss_io_set_mode(op.op.io, SS_NO_WAIT);
    CHECKF(ss_sendmany_step(&op.op) == status && op.sent == (status == SS_OK ? MANY : 0), "%d: %zu", code, op.sent);
    CHECKF(joined_calls == joined && single_calls == single, "%d: %zu and %zu", code, joined_calls, single_calls);
    pair_close(&pair);
}

/* For a path or a device that can't: each goes by itself. Other failures are the program's. */
static void test_what_may_not_be_joined(void)
{
    check_refusal(EINVAL, SS_OK, 1, 1);
    check_refusal(EIO, SS_OK, 1, 1);
    check_refusal(EMSGSIZE, SS_OK, 1, 1);
    check_refusal(EOPNOTSUPP, SS_ERROR, 1, 0);
    check_refusal(ECONNREFUSED, SS_ERROR, 1, 0);
}

int main(void)
{
    RUN(test_without_a_turn);
    RUN(test_a_failure_after_some);
    RUN(test_no_more_without_a_full_batch);
    RUN(test_what_may_have_been_joined);
    RUN(test_the_state_is_of_one_descriptor);
    RUN(test_waiting_for_room);
    RUN(test_what_may_not_be_joined);
    return check_end();
}
