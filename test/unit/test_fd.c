/* The stream operations, the blocking driver and the plain transport together, over a real socketpair: deadlines that hold
 * whatever the peer and signals do, and what the scripted peer takes for granted of the system. */
#include "check.h"
#include "core/op_read.h"
#include "core/op_write.h"
#include "os/os_poller.h"
#include "pair.h"
#include "peer.h"
#include "run/block.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGE = 4000000 };

static const double LATE_MS = 400;

static int64_t ns(double ms)
{
    return ms < 0 ? -1 : (int64_t)(ms * 1e6);
}

static struct ss_op make_op(struct pair *pair, enum ss_status (*step)(struct ss_op *), enum ss_kernel_timeout patience)
{
    return (struct ss_op){ .step = step, .io = &pair->sock.io, .kernel_timeout = (uint8_t)patience };
}

/* As the caller does after each wait. */
static enum ss_status run_to_end(struct ss_op *op, struct pair *pair, double timeout_ms)
{
    enum ss_status st;
    do
        st = ss_block_run(op, &pair->sock, ns(timeout_ms));
    while (st == SS_WANT);
    return st;
}

static enum ss_status read_with(struct pair *pair, enum ss_status (*step)(struct ss_op *), size_t want,
                                double timeout_ms, size_t *len)
{
    struct ss_read op = { .in = &pair->sock.in, .want = want };
    op.op = make_op(pair, step, SS_BY_RCVTIMEO);
    enum ss_status st = run_to_end(&op.op, pair, timeout_ms);
    *len = op.len;
    return st;
}

static enum ss_status write_to(struct pair *pair, struct iovec *iov, size_t n, double timeout_ms, size_t *sent)
{
    struct ss_write op = { .iov = iov, .n = n };
    op.op = make_op(pair, ss_write_step, SS_BY_SNDTIMEO);
    enum ss_status st = run_to_end(&op.op, pair, timeout_ms);
    *sent = op.sent;
    CHECK(st != SS_ERROR || op.op.error.code == EPIPE);
    return st;
}

/* Takes what waits, which must be how the stream of peer_byte goes on. */
static void take(struct pair *pair, size_t *position, size_t len)
{
    const unsigned char *data = ss_inbuf_data(&pair->sock.in);
    size_t i = 0;
    while (i < len && data[i] == peer_byte(*position + i))
        i++;
    CHECKF(i == len, "byte %zu is wrong", *position + i);
    *position += len;
    ss_inbuf_consume(&pair->sock.in, len);
}

/* At the other end */

static void send_stream(int fd, size_t len, size_t piece, int pause_ms)
{
    unsigned char bytes[30000];
    for (size_t position = 0; position < len; position += piece) {
        for (size_t i = 0; i < piece; i++)
            bytes[i] = peer_byte(position + i);
        if (pause_ms > 0)
            wait_ms(pause_ms);
        if (send(fd, bytes, piece, MSG_NOSIGNAL) != (ssize_t)piece)
            _exit(1);
    }
}

static void send_large(int fd)
{
    send_stream(fd, LARGE, 20000, 0);
}

static void dribble(int fd)
{
    send_stream(fd, 4000, 1, 4);
}

/* All of it must come, and the right bytes. */
static void expect_large(int fd)
{
    unsigned char bytes[5000];
    size_t position = 0;
    while (position < LARGE) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n <= 0)
            _exit(1);
        for (size_t i = 0; i < (size_t)n; i++, position++)
            if (bytes[i] != peer_byte(position))
                _exit(1);
    }
}

/* Reading */

static void check_large_read(double timeout_ms)
{
    struct pair pair;
    size_t len, position = 0;
    pair_open(&pair);
    pid_t pid = child_start(send_large, pair.other);
    close(pair.other);
    pair.other = -1;
    CHECK(read_with(&pair, ss_readn_step, LARGE - 1000, timeout_ms, &len) == SS_OK && len == LARGE - 1000);
    take(&pair, &position, len);
    CHECK(read_with(&pair, ss_readall_step, LARGE, timeout_ms, &len) == SS_OK && len == 1000);
    take(&pair, &position, len);
    CHECK(read_with(&pair, ss_readsome_step, 1, timeout_ms, &len) == SS_EOF);
    child_stop(pid);
    pair_close(&pair);
}

static void test_large_reads(void)
{
    check_large_read(-1);
    check_large_read(20000);
}

/* A byte comes every few milliseconds: progress, but never enough. */
static void check_dribble(size_t want, double timeout_ms)
{
    struct pair pair;
    size_t len, position = 0;
    pair_open(&pair);
    pid_t pid = child_start(dribble, pair.other);
    struct pollfd begun = { .fd = pair.sock.io.fd, .events = POLLIN };
    CHECK(poll(&begun, 1, 10000) == 1);
    double begin = now_ms();
    CHECK(read_with(&pair, ss_readn_step, want, timeout_ms, &len) == SS_TIMEOUT);
    double took = now_ms() - begin;
    CHECKF(took >= timeout_ms && took < timeout_ms + LATE_MS, "took %.1f ms, not %.0f", took, timeout_ms);
    CHECK(ss_inbuf_len(&pair.sock.in) > 0);
    take(&pair, &position, ss_inbuf_len(&pair.sock.in));
    CHECK(read_with(&pair, ss_readsome_step, 100, 10000, &len) == SS_OK);
    take(&pair, &position, len);
    child_stop(pid);
    pair_close(&pair);
}

static void test_a_slow_peer_does_not_move_the_deadline(void)
{
    check_dribble(1000, 60);
    check_dribble(1000, 130);
    check_dribble(100000, 60);
    check_dribble(100000, 130);
}

static void test_signals_do_not_end_a_read(void)
{
    struct pair pair;
    size_t len;
    pair_open(&pair);
    ticks_start(5, pair.other);
    CHECK(read_with(&pair, ss_readn_step, 1, -1, &len) == SS_OK && len == 1);
    CHECKF(ticks_stop() >= 3, "no signals came");
    ss_inbuf_clear(&pair.sock.in);
    for (double timeout_ms = 40; timeout_ms < 150; timeout_ms += 90) {
        ticks_start(5, -1);
        double begin = now_ms();
        CHECK(read_with(&pair, ss_readn_step, 1, timeout_ms, &len) == SS_TIMEOUT);
        double took = now_ms() - begin;
        CHECKF(took >= timeout_ms && took < timeout_ms + LATE_MS, "took %.1f ms, not %.0f", took, timeout_ms);
        CHECKF(ticks_stop() > 0, "no signals came");
    }
    pair_close(&pair);
}

static void test_no_time_takes_what_is_there(void)
{
    struct pair pair;
    size_t len;
    pair_open(&pair);
    CHECK(read_with(&pair, ss_readn_step, 2, 0, &len) == SS_TIMEOUT);
    CHECK(write(pair.other, "ab", 2) == 2);
    CHECK(read_with(&pair, ss_readn_step, 3, 0, &len) == SS_TIMEOUT && ss_inbuf_len(&pair.sock.in) == 2);
    CHECK(read_with(&pair, ss_readn_step, 2, 0, &len) == SS_OK);
    close(pair.other);
    pair.other = -1;
    CHECK(read_with(&pair, ss_readn_step, 3, 0, &len) == SS_EOF && ss_inbuf_len(&pair.sock.in) == 2);
    pair_close(&pair);
}

/* Writing */

static struct iovec stream_buffer(unsigned char **bytes, size_t len)
{
    *bytes = malloc(len);
    for (size_t i = 0; i < len; i++)
        (*bytes)[i] = peer_byte(i);
    return (struct iovec){ .iov_base = *bytes, .iov_len = len };
}

static void test_large_writes(void)
{
    unsigned char *bytes;
    for (double timeout_ms = -1; timeout_ms < 10001; timeout_ms += 10001) {
        struct pair pair;
        size_t sent;
        struct iovec iov = stream_buffer(&bytes, LARGE);
        pair_open(&pair);
        pid_t pid = child_start(expect_large, pair.other);
        close(pair.other);
        pair.other = -1;
        CHECK(write_to(&pair, &iov, 1, timeout_ms, &sent) == SS_OK && sent == LARGE);
        CHECK(child_succeeds(pid));
        pair_close(&pair);
        free(bytes);
    }
}

/* Each buffer a byte, and more of them than the system takes in one call. */
static void test_very_many_buffers(void)
{
    enum { MANY = 5000 };
    static struct iovec iov[MANY];
    static unsigned char bytes[MANY];
    static unsigned char got[MANY + 1];
    struct pair pair;
    size_t sent;
    for (size_t i = 0; i < MANY; i++) {
        bytes[i] = peer_byte(i);
        iov[i] = (struct iovec){ .iov_base = &bytes[i], .iov_len = 1 };
    }
    pair_open(&pair);
    CHECK(write_to(&pair, iov, MANY, 0, &sent) == SS_OK && sent == MANY);
    CHECK(recv(pair.other, got, sizeof got, MSG_DONTWAIT | MSG_WAITALL) > 0);
    CHECK(memcmp(got, bytes, MANY) == 0);
    pair_close(&pair);
}

/* Nobody reads: what went is what was counted. */
static void check_stuck_write(double timeout_ms)
{
    unsigned char *bytes, got[65536];
    struct pair pair;
    size_t sent = 0, arrived = 0;
    struct iovec iov = stream_buffer(&bytes, LARGE);
    pair_open(&pair);
    double begin = now_ms();
    CHECK(write_to(&pair, &iov, 1, timeout_ms, &sent) == SS_TIMEOUT);
    double took = now_ms() - begin;
    CHECKF(took >= timeout_ms && took < timeout_ms + LATE_MS, "took %.1f ms, not %.0f", took, timeout_ms);
    for (ssize_t n; (n = recv(pair.other, got, sizeof got, MSG_DONTWAIT)) > 0; arrived += (size_t)n)
        CHECK(memcmp(got, bytes + arrived, (size_t)n) == 0);
    CHECKF(sent > 0 && sent < LARGE && arrived == sent, "says %zu, arrived %zu", sent, arrived);
    pair_close(&pair);
    free(bytes);
}

static void test_a_write_that_nobody_reads(void)
{
    check_stuck_write(0);
    check_stuck_write(40);
    check_stuck_write(130);
}

/* SIGPIPE would end the program: its disposition is the usual one. */
static void test_writing_to_nobody(void)
{
    struct pair pair;
    size_t sent = 7;
    struct iovec one = { .iov_base = (char[]){ "x" }, .iov_len = 1 }, two[2] = { one, one };
    signal(SIGPIPE, SIG_DFL);
    pair_open(&pair);
    close(pair.other);
    pair.other = -1;
    CHECK(write_to(&pair, &one, 1, -1, &sent) == SS_ERROR && sent == 0);
    CHECK(write_to(&pair, two, 2, 0, &sent) == SS_ERROR && sent == 0);
    pair_close(&pair);
}

/* For the loop: after a receive that got less than it could there is none until the poller has told of more, where it tells
 * of each arrival. */
static void test_a_quiet_stream_is_not_asked(void)
{
    struct pair pair;
    struct ss_error err;
    char byte[2];
    size_t got = 0;
    pair_open(&pair);
    struct ss_io *io = &pair.sock.io;
    io->recheck = false; /* as with TCP */
    CHECK(write(pair.other, "a", 1) == 1);
    ss_io_set_mode(io, SS_NO_WAIT_EDGE);
    CHECK(io->via->recv(io, byte, 2, false, &got, &err) == SS_OK && got == 1 && io->drained == os_poller_is_edged);
    CHECK(write(pair.other, "b", 1) == 1);
    got = 0;
    ss_io_set_mode(io, SS_NO_WAIT_EDGE);
    enum ss_status expected = os_poller_is_edged ? SS_WANT : SS_OK;
    CHECK(io->via->recv(io, byte, 2, false, &got, &err) == expected && got == !os_poller_is_edged);
    io->drained = false;
    ss_io_set_mode(io, SS_NO_WAIT_EDGE);
    if (os_poller_is_edged)
        CHECK(io->via->recv(io, byte, 2, false, &got, &err) == SS_OK && got == 1 && byte[0] == 'b');
    pair_close(&pair);
}

int main(void)
{
    RUN(test_large_reads);
    RUN(test_a_slow_peer_does_not_move_the_deadline);
    RUN(test_signals_do_not_end_a_read);
    RUN(test_no_time_takes_what_is_there);
    RUN(test_large_writes);
    RUN(test_very_many_buffers);
    RUN(test_a_write_that_nobody_reads);
    RUN(test_writing_to_nobody);
    RUN(test_a_quiet_stream_is_not_asked);
    return check_end();
}
