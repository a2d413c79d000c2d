/* How a connection ends: finish where our close_notify cannot be sent any more, and what shutdown leaves when it fails. */
#include "check.h"
#include "core/op_finish.h"
#include "core/op_shutdown.h"
#include "tls_talk.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h> /* SHUT_* */

enum { LIMIT = 4096, TEXT = 1000, MODES = 4 };

static const enum ss_mode all_modes[MODES] = { SS_WAIT_ONCE, SS_WAIT_ALWAYS, SS_NO_WAIT, SS_NO_WAIT_EDGE };
static unsigned char text[TEXT];

static struct ss_finish finish_op(struct tls_rig *rig)
{
    struct ss_finish op = { .in = &rig->sock.in, .left = LIMIT, .local = true };
    op.op = (struct ss_op){ .step = ss_finish_step, .io = &rig->sock.io, .kernel_timeout = SS_BY_RCVTIMEO };
    return op;
}

/* The peer takes nothing more, and says no more. */
static void cut_output(struct tls_rig *rig, int code)
{
    rig->wire.cut_out = rig->wire.out_len;
    rig->wire.code = code;
    rig->peer_deaf = true;
}

static void check_error(enum ss_status st, const struct ss_error *err, enum ss_space space, int code, size_t at)
{
    CHECKF(st == SS_ERROR && err->space == space && err->code == code, "%zu: status %d, error %d %d", at, (int)st,
           (int)err->space, err->code);
}

/* The peer has ended and taken everything, and is gone. Before its end there is data that nobody has read. */
static enum ss_status finish_gone(struct tls_rig *rig, int code, enum ss_mode mode, struct ss_error *err)
{
    tls_rig_establish(rig);
    tls_rig_peer_write(rig, text, TEXT);
    tls_rig_peer_end(rig);
    rig->wire.ends = true;
    cut_output(rig, code);
    struct ss_finish op = finish_op(rig);
    enum ss_status st = tls_rig_drive(rig, &op.op, mode);
    CHECK(st != SS_OK || op.left == LIMIT - TEXT);
    CHECK(rig->wire.waits == 0); /* for a peer that has not been told */
    *err = op.op.error;
    tls_rig_disconnect(rig);
    return st;
}

static void test_finish_with_a_peer_that_is_gone(void)
{
    for (size_t kind = 0; kind < TALK_KINDS; kind++) {
        struct tls_rig rig;
        struct ss_error err;
        tls_rig_open(&rig, &talk_kinds[kind]);
        for (size_t i = 0; i < MODES; i++) {
            CHECK(finish_gone(&rig, EPIPE, all_modes[i], &err) == SS_OK);
            CHECK(finish_gone(&rig, ENOTCONN, all_modes[i], &err) == SS_OK);
            check_error(finish_gone(&rig, ECONNRESET, all_modes[i], &err), &err, SS_SYSTEM, ECONNRESET, i);
            check_error(finish_gone(&rig, ETIMEDOUT, all_modes[i], &err), &err, SS_SYSTEM, ETIMEDOUT, i);
            check_error(finish_gone(&rig, ENOBUFS, all_modes[i], &err), &err, SS_SYSTEM, ENOBUFS, i);
        }
        tls_rig_close(&rig);
    }
}

/* Its end, or not all of that, has come: after each byte. */
static void test_finish_with_a_truncated_stream(void)
{
    for (size_t kind = 0; kind < TALK_KINDS; kind++) {
        struct tls_rig rig;
        size_t left = 1;
        tls_rig_open(&rig, &talk_kinds[kind]);
        for (size_t at = 0; at < left; at++) {
            tls_rig_establish(&rig);
            tls_rig_peer_write(&rig, text, 10);
            tls_rig_peer_end(&rig);
            left = rig.wire.in_len - rig.wire.in_at;
            rig.wire.in_len = rig.wire.in_at + at;
            rig.wire.ends = true;
            cut_output(&rig, EPIPE);
            struct ss_finish op = finish_op(&rig);
            check_error(tls_rig_drive(&rig, &op.op, SS_NO_WAIT), &op.op.error, SS_TLS, SS_TLS_EOF, at);
            tls_rig_disconnect(&rig);
        }
        tls_rig_close(&rig);
    }
}

/* A peer that may wait for our end is not waited for. */
static void test_finish_with_a_peer_that_has_not_ended(void)
{
    struct tls_rig rig;
    tls_rig_open(&rig, &talk_kinds[0]);
    tls_rig_establish(&rig);
    cut_output(&rig, EPIPE);
    struct ss_finish op = finish_op(&rig);
    ss_io_set_mode(&rig.sock.io, SS_WAIT_ALWAYS);
    check_error(ss_finish_step(&op.op), &op.op.error, SS_SYSTEM, EPIPE, 0);
    CHECK(rig.wire.waits == 0);
    tls_rig_disconnect(&rig);
    tls_rig_close(&rig);
}

/* More than a step receives: what has come is looked at to its end. */
static void test_finish_in_many_steps(void)
{
    struct tls_rig rig;
    tls_rig_open(&rig, &talk_kinds[0]);
    tls_rig_establish(&rig);
    tls_rig_peer_write(&rig, text, TEXT);
    tls_rig_peer_end(&rig);
    rig.wire.ends = true;
    rig.wire.read_most = 7;
    cut_output(&rig, EPIPE);
    struct ss_finish op = finish_op(&rig);
    ss_io_set_mode(&rig.sock.io, SS_NO_WAIT);
    CHECK(ss_finish_step(&op.op) == SS_WANT && op.op.want.fd == -1 && op.op.after_ms > 0);
    ss_io_set_mode(&rig.sock.io, SS_NO_CALL);
    CHECK(ss_finish_step(&op.op) == SS_WANT && op.op.want.fd == -1);
    CHECK(tls_rig_drive(&rig, &op.op, SS_WAIT_ALWAYS) == SS_OK && op.left == LIMIT - TEXT);
    CHECK(rig.wire.waits == 0);
    tls_rig_disconnect(&rig);
    tls_rig_close(&rig);
}

/* Of a record with data, this many bytes go, and then our end cannot. Returns the record's length. */
static size_t check_untaken(struct tls_rig *rig, size_t bytes)
{
    struct ss_error err;
    size_t sent;
    tls_rig_establish(rig);
    tls_rig_peer_end(rig);
    rig->wire.ends = true;
    const size_t before = rig->wire.out_len;
    rig->wire.cut_out = before + bytes;
    rig->wire.code = EPIPE;
    rig->wire.send_most = bytes == 0 ? 0 : SIZE_MAX;
    rig->wire.split_out = before + bytes; /* the write is told of nothing: its time is over */
    enum ss_status st = tls_rig_try_write(rig, SS_NO_WAIT, text, TEXT, &sent, &err);
    CHECK(sent == TEXT);
    size_t len = bytes + ss_inbuf_len(&rig->conn->out);
    CHECK(st == (bytes < len ? SS_WANT : SS_OK) || st == SS_ERROR);
    cut_output(rig, EPIPE);
    struct ss_finish op = finish_op(rig);
    st = tls_rig_drive(rig, &op.op, SS_NO_WAIT);
    if (bytes < len)
        check_error(st, &op.op.error, SS_SYSTEM, EPIPE, bytes);
    else
        CHECKF(st == SS_OK, "%zu: status %d", bytes, (int)st);
    tls_rig_disconnect(rig);
    return len;
}

static void test_finish_with_data_that_was_not_taken(void)
{
    for (size_t kind = 0; kind < TALK_KINDS; kind++) {
        struct tls_rig rig;
        tls_rig_open(&rig, &talk_kinds[kind]);
        for (size_t bytes = 0, len = 1; bytes <= len; bytes++)
            len = check_untaken(&rig, bytes);
        tls_rig_close(&rig);
    }
}

/* The answer to a KeyUpdate is no data. */
static void test_finish_with_an_answer_that_was_not_taken(void)
{
    struct tls_rig rig;
    struct ss_error err;
    size_t got;
    tls_rig_open(&rig, &talk_kinds[0]);
    tls_rig_establish(&rig);
    for (int i = 0; i < 2; i++) /* OpenSSL may answer the last one with its next record of data only */
        tls_rig_forge_key_update(&rig, true);
    cut_output(&rig, EPIPE);
    CHECK(tls_rig_try_read(&rig, SS_NO_WAIT, text, 1, &got, &err) == SS_WANT);
    CHECK(ss_inbuf_len(&rig.conn->out) > 0);
    tls_rig_forge_alert(&rig, 1, 0);
    rig.wire.ends = true;
    struct ss_finish op = finish_op(&rig);
    CHECK(tls_rig_drive(&rig, &op.op, SS_NO_WAIT) == SS_OK);
    tls_rig_disconnect(&rig);
    tls_rig_close(&rig);
}

/* An earlier write was told of the reset. */
static void test_finish_after_a_reset_that_is_known(void)
{
    struct tls_rig rig;
    struct ss_error err;
    size_t sent;
    tls_rig_open(&rig, &talk_kinds[0]);
    tls_rig_establish(&rig);
    tls_rig_peer_end(&rig);
    rig.wire.ends = true;
    cut_output(&rig, ECONNRESET);
    check_error(tls_rig_write(&rig, text, TEXT, &sent, &err), &err, SS_SYSTEM, ECONNRESET, 0);
    cut_output(&rig, EPIPE);
    struct ss_finish op = finish_op(&rig);
    check_error(tls_rig_drive(&rig, &op.op, SS_NO_WAIT), &op.op.error, SS_SYSTEM, ECONNRESET, 0);
    tls_rig_disconnect(&rig);
    tls_rig_close(&rig);
}

/* shutdown */

static enum ss_status end(struct tls_rig *rig, int how, struct ss_error *err)
{
    ss_io_set_mode(&rig->sock.io, SS_NO_WAIT);
    return rig->sock.io.via->end(&rig->sock.io, how, err);
}

/* Whoever has ended reading does not know whether the peer has. */
static void test_finish_after_the_end_of_reading(void)
{
    struct tls_rig rig;
    struct ss_error err;
    tls_rig_open(&rig, &talk_kinds[0]);
    tls_rig_establish(&rig);
    CHECK(end(&rig, SHUT_RD, &err) == SS_OK);
    cut_output(&rig, EPIPE);
    struct ss_finish op = finish_op(&rig);
    check_error(tls_rig_drive(&rig, &op.op, SS_NO_WAIT), &op.op.error, SS_SYSTEM, EPIPE, 0);
    tls_rig_disconnect(&rig);
    tls_rig_close(&rig);
}

static void check_reads(struct tls_rig *rig, const char *what, size_t n)
{
    unsigned char bytes[TEXT];
    struct ss_error err;
    size_t got;
    CHECKF(tls_rig_read(rig, bytes, n, &got, &err) == SS_OK && got == n, "%s: %zu bytes", what, got);
}

static void check_at_end(struct tls_rig *rig)
{
    unsigned char byte;
    struct ss_error err;
    size_t got;
    CHECK(tls_rig_read(rig, &byte, 1, &got, &err) == SS_EOF && got == 0);
}

/* A shutdown of both directions that has not ended the output has not ended the input. */
static void test_shutdown_that_does_not_succeed(void)
{
    for (size_t kind = 0; kind < TALK_KINDS; kind++) {
        struct tls_rig rig;
        struct ss_error err;
        tls_rig_open(&rig, &talk_kinds[kind]);
        tls_rig_establish(&rig);
        rig.wire.send_most = 0;
        CHECK(end(&rig, SHUT_RDWR, &err) == SS_WANT);
        tls_rig_peer_write(&rig, text, 10);
        check_reads(&rig, "its time is over", 10);
        rig.wire.send_most = SIZE_MAX;
        CHECK(end(&rig, SHUT_RDWR, &err) == SS_OK);
        tls_rig_peer_write(&rig, text, 10);
        check_at_end(&rig);
        tls_rig_disconnect(&rig);

        tls_rig_establish(&rig);
        tls_rig_peer_write(&rig, text, 10);
        tls_rig_peer_end(&rig);
        cut_output(&rig, EPIPE);
        CHECK(ss_shutdown_now(&rig.sock.io, SHUT_RDWR, &err) == SS_ERROR && err.code == EPIPE);
        check_reads(&rig, "the peer is gone", 10);
        check_at_end(&rig);
        tls_rig_disconnect(&rig);
        tls_rig_close(&rig);
    }
}

/* What is in memory can be read, whole records alone; nothing is received, and nothing is sent. */
static void test_the_end_of_reading(void)
{
    for (size_t kind = 0; kind < TALK_KINDS; kind++) {
        struct tls_rig rig;
        struct ss_error err;
        tls_rig_open(&rig, &talk_kinds[kind]);
        tls_rig_establish(&rig);
        tls_rig_peer_write(&rig, text, 10);
        tls_rig_peer_write(&rig, text, 10);
        check_reads(&rig, "before", 1);
        const size_t out = rig.wire.out_len;
        CHECK(end(&rig, SHUT_RD, &err) == SS_OK && rig.wire.out_len == out);
        tls_rig_peer_write(&rig, text, 10);
        const unsigned recvs = rig.wire.recvs;
        check_reads(&rig, "what is there", 19);
        check_at_end(&rig);
        CHECK(rig.wire.recvs == recvs);
        size_t sent;
        CHECK(tls_rig_write(&rig, text, TEXT, &sent, &err) == SS_OK && rig.got_len == TEXT);
        CHECK(tls_rig_end(&rig, &err) == SS_OK);
        tls_rig_disconnect(&rig);
        tls_rig_close(&rig);
    }
}

/* What has come is received before the descriptor is closed, and behind the peer's end nothing comes. */
static void test_leaving_receives_what_may_have_come(void)
{
    for (size_t kind = 0; kind < TALK_KINDS; kind++) {
        struct tls_rig rig;
        struct ss_error err;
        char byte;
        size_t n;
        tls_rig_open(&rig, &talk_kinds[kind]);
        for (unsigned ended = 0; ended < 2; ended++) {
            tls_rig_establish(&rig);
            if (ended)
                tls_rig_peer_end(&rig);
            CHECK(tls_rig_read(&rig, &byte, 1, &n, &err) == (ended ? SS_EOF : SS_TIMEOUT));
            const unsigned recvs = rig.wire.recvs;
            ss_sock_leave(&rig.sock);
            CHECK(rig.wire.recvs == recvs + !ended);
            tls_rig_disconnect(&rig);
        }
        tls_rig_close(&rig);
    }
}

int main(void)
{
    RUN(test_finish_with_a_peer_that_is_gone);
    RUN(test_finish_with_a_truncated_stream);
    RUN(test_finish_with_a_peer_that_has_not_ended);
    RUN(test_finish_in_many_steps);
    RUN(test_finish_with_data_that_was_not_taken);
    RUN(test_finish_with_an_answer_that_was_not_taken);
    RUN(test_finish_after_a_reset_that_is_known);
    RUN(test_finish_after_the_end_of_reading);
    RUN(test_shutdown_that_does_not_succeed);
    RUN(test_the_end_of_reading);
    RUN(test_leaving_receives_what_may_have_come);
    return check_end();
}
