/* Which system calls a TLS connection makes in each mode, and what a peer receives of writes that find no room. */
#include "check.h"
#include "tls_rig.h"

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { RECORD = 16384, HELD = 4 * RECORD, SIZE = 150000 };

static const struct tls_kind kinds[] = {
    { .server = false }, { .server = true }, { .tls12 = true }, { .server = true, .tls12 = true }
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static unsigned char text[SIZE];

static void open_rig(struct tls_rig *rig, const struct tls_kind *kind)
{
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (unsigned char)(i * 5 + i / 253);
    tls_rig_open(rig, kind);
    tls_rig_establish(rig);
}

static void close_rig(struct tls_rig *rig)
{
    tls_rig_disconnect(rig);
    tls_rig_close(rig);
}

static void check_got(const struct tls_rig *rig, size_t n)
{
    CHECKF(rig->got_len == n && memcmp(rig->got, text, n) == 0, "%zu bytes of %zu", rig->got_len, n);
    CHECK(rig->peer_error == 0);
}

static unsigned calls_of(const struct tls_rig *rig)
{
    return rig->wire.recvs + rig->wire.sends;
}

/* Writes without room */

/* The write ends in mid-record, at each of some positions; another one follows, a read, and a flush. */
static void check_interrupted(struct tls_rig *rig, size_t room)
{
    char byte;
    size_t first, second, third, got;
    struct ss_error err;
    tls_rig_establish(rig);
    rig->wire.split_out = rig->wire.out_len + room;
    CHECK(tls_rig_try_write(rig, SS_NO_WAIT, text, 30000, &first, &err) == SS_WANT && first == 30000);
    rig->wire.send_most = 0;
    CHECK(tls_rig_try_write(rig, SS_NO_WAIT, text + first, 1000, &second, &err) == SS_WANT && second == 1000);
    if (SSL_version(rig->peer) == TLS1_3_VERSION)
        SSL_key_update(rig->peer, SSL_KEY_UPDATE_REQUESTED);
    tls_rig_peer_write(rig, "r", 1);
    CHECK(tls_rig_try_read(rig, SS_NO_WAIT, &byte, 1, &got, &err) == SS_OK && got == 1 && byte == 'r');
    CHECK(tls_rig_try_read(rig, SS_NO_WAIT, &byte, 1, &got, &err) == SS_WANT);
    rig->wire.send_most = 777;
    CHECK(tls_rig_write(rig, text + first + second, 5, &third, &err) == SS_OK && third == 5);
    tls_rig_run_peer(rig);
    check_got(rig, first + second + third);
    CHECK(tls_rig_end(rig, &err) == SS_OK && (SSL_get_shutdown(rig->peer) & SSL_RECEIVED_SHUTDOWN));
    CHECK(tls_rig_try_write(rig, SS_NO_WAIT, text, 1, &third, &err) == SS_ERROR && err.code == EPIPE && third == 0);
    tls_rig_disconnect(rig);
}

static void test_writes_that_find_no_room(void)
{
    static const size_t rooms[] = { 1, 4, 5, 6, 100, 16405, 16406, 16407, 16420, 30000 };
    for (size_t k = 0; k < KINDS; k++) {
        struct tls_rig rig;
        tls_rig_open(&rig, &kinds[k]);
        for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
            check_interrupted(&rig, rooms[i]);
        tls_rig_close(&rig);
    }
}

/* One after another, the time of a write is over before each byte of what it sends. Then other data of that length find no room, and
 * others do. */
static void check_timeouts(const struct tls_kind *kind)
{
    enum { PIECE = 40 };
    struct tls_rig rig;
    struct ss_error err;
    size_t n, written = 0;
    open_rig(&rig, kind);
    for (size_t at = 0, len = 1; at <= len; at++) {
        const size_t before = rig.wire.out_len;
        rig.wire.send_most = SIZE_MAX;
        rig.wire.split_out = before + at;
        enum ss_status st = tls_rig_try_write(&rig, SS_NO_WAIT, text + written, PIECE, &n, &err);
        len = rig.wire.out_len - before + ss_inbuf_len(&rig.conn->out);
        CHECKF(st == (at < len ? SS_WANT : SS_OK) && n == PIECE, "%zu of %zu: status %d, %zu", at, len, (int)st, n);
        written += PIECE;
        rig.wire.send_most = 0;
        CHECK(tls_rig_try_write(&rig, SS_NO_WAIT, text + written, PIECE, &n, &err) == SS_WANT && n == PIECE);
        written += PIECE;
        rig.wire.send_most = SIZE_MAX;
        CHECK(tls_rig_write(&rig, text + written, 1, &n, &err) == SS_OK && n == 1);
        written++;
        check_got(&rig, written);
    }
    close_rig(&rig);
}

static void test_timeouts_at_each_byte(void)
{
    for (size_t k = 0; k < KINDS; k++)
        check_timeouts(&kinds[k]);
}

/* With one key there are fewer than 2^24 records. */
static void note_message(int is_sent, int version, int type, const void *bytes, size_t len, SSL *ssl, void *counter)
{
    (void)version, (void)ssl;
    if (!is_sent && type == HANDSHAKE && len > 0 && *(const unsigned char *)bytes == KEY_UPDATE)
        ++*(int *)counter;
}

static void test_a_new_key_after_many_records(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct tls_rig rig;
        struct ss_error err;
        size_t n, written = 0;
        int updates = 0;
        open_rig(&rig, &kinds[k]);
        SSL_set_msg_callback(rig.peer, note_message);
        SSL_set_msg_callback_arg(rig.peer, &updates);
        for (int round = 0; round < 2; round++) {
            rig.conn->records = (1 << 24) - 3;
            for (int i = 0; i < 4; i++, written += 10) {
                CHECK(tls_rig_write(&rig, text + written, 10, &n, &err) == SS_OK && n == 10);
                const int expected = kinds[k].tls12 ? 0 : round + (i >= 2);
                CHECKF(updates == expected, "%d instead of %d before record %d", updates, expected, i);
            }
        }
        check_got(&rig, written);
        close_rig(&rig);
    }
}

/* As many records as there is room for: of a length that has lost its upper bits one byte would be taken, or none. The pages
 * beyond the first few are never looked at. */
static void test_lengths_beyond_32_bits(void)
{
    const size_t lengths[] = { (size_t)INT32_MAX + 2, (size_t)UINT32_MAX + 2 };
    for (size_t i = 0; i < 2; i++) {
        struct tls_rig rig;
        struct ss_error err;
        size_t sent;
        void *pages = mmap(NULL, lengths[i], PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (pages == MAP_FAILED)
            abort();
        open_rig(&rig, &kinds[i]);
        rig.wire.send_most = 0;
        CHECK(tls_rig_try_write(&rig, SS_NO_WAIT, pages, lengths[i], &sent, &err) == SS_WANT);
        CHECKF(sent == HELD, "%zu of %zu", sent, lengths[i]);
        close_rig(&rig);
        munmap(pages, lengths[i]);
    }
}

/* Of what is counted at most 64 KiB wait. */
static void test_a_write_much_longer_than_the_block(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct tls_rig rig;
        struct ss_error err;
        size_t sent, more;
        open_rig(&rig, &kinds[k]);
        rig.wire.send_most = 0;
        CHECK(tls_rig_try_write(&rig, SS_NO_WAIT, text, SIZE, &sent, &err) == SS_WANT && sent == HELD);
        CHECK(tls_rig_try_write(&rig, SS_NO_WAIT, text + sent, SIZE - sent, &more, &err) == SS_WANT && more == 0);
        rig.wire.send_most = 5000;
        CHECK(tls_rig_write(&rig, text + sent, SIZE - sent, &more, &err) == SS_OK && sent + more == SIZE);
        check_got(&rig, SIZE);
        close_rig(&rig);
    }
}

static void test_nothing_to_write(void)
{
    struct tls_rig rig;
    struct ss_error err;
    size_t sent;
    open_rig(&rig, &kinds[0]);
    const unsigned calls = calls_of(&rig);
    CHECK(tls_rig_try_write(&rig, SS_NO_WAIT, "", 0, &sent, &err) == SS_OK && sent == 0 && calls_of(&rig) == calls);
    close_rig(&rig);
}

/* Modes */

static void test_no_call(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct tls_rig rig;
        struct ss_error err;
        char bytes[8];
        size_t n;
        tls_rig_open(&rig, &kinds[k]);
        tls_rig_connect(&rig);
        ss_io_set_mode(&rig.sock.io, SS_NO_CALL);
        CHECK(rig.shake.op.step(&rig.shake.op) == SS_WANT && calls_of(&rig) == 0);
        CHECK(tls_rig_shake(&rig) == SS_OK);
        unsigned calls = calls_of(&rig);
        tls_rig_peer_write(&rig, "abc", 3);
        CHECK(tls_rig_try_read(&rig, SS_NO_CALL, bytes, 3, &n, &err) == SS_WANT && n == 0 && calls_of(&rig) == calls);
        CHECK(tls_rig_try_write(&rig, SS_NO_CALL, text, 1000, &n, &err) == SS_WANT && n == 1000);
        CHECK(calls_of(&rig) == calls && rig.sock.io.mode == SS_NO_CALL);
        CHECK(!rig.sock.io.via->is_ready(&rig.sock.io) && calls_of(&rig) == calls);
        CHECK(tls_rig_write(&rig, text + n, 1, &n, &err) == SS_OK);
        check_got(&rig, 1001);
        tls_rig_peer_write(&rig, "def", 3);
        CHECK(tls_rig_try_read(&rig, SS_NO_WAIT, bytes, 2, &n, &err) == SS_OK && memcmp(bytes, "ab", 2) == 0);
        calls = calls_of(&rig);
        CHECK(tls_rig_try_read(&rig, SS_NO_CALL, bytes, 4, &n, &err) == SS_OK && memcmp(bytes, "cdef", 4) == 0);
        CHECK(calls_of(&rig) == calls);
        close_rig(&rig);
    }
}

/* Where the driver waits next, no step looks for the answer to what it has just sent. */
static bool tries_for_answer(enum ss_mode mode)
{
    return mode != SS_WAIT_ONCE && mode != SS_NO_WAIT_NOW;
}

/* A handshake in one mode. `at_once`: the peer answers before a receive is over, so that one step is all that tries. */
static void check_handshake(struct tls_rig *rig, enum ss_mode mode, bool at_once, size_t most)
{
    int steps = 0;
    enum ss_status st = SS_WANT;
    tls_rig_connect(rig);
    rig->wire.answers = at_once;
    rig->wire.read_most = rig->wire.send_most = most;
    for (; st == SS_WANT && steps < 20000; steps++) {
        const unsigned waits = rig->wire.waits;
        rig->sock.io.drained = false; /* as the poller's report has it */
        ss_io_set_mode(&rig->sock.io, mode);
        st = rig->shake.op.step(&rig->shake.op);
        const unsigned most_waits = mode == SS_WAIT_ALWAYS ? SS_CALLS_PER_STEP : mode == SS_WAIT_ONCE;
        CHECKF(rig->wire.waits - waits <= most_waits, "mode %d: %u waits", (int)mode, rig->wire.waits - waits);
        tls_rig_run_peer(rig);
    }
    CHECKF(st == SS_OK && SSL_is_init_finished(rig->peer), "mode %d: status %d, %s", (int)mode, (int)st,
           rig->conn->reason);
    CHECKF(!at_once || most != SIZE_MAX || !tries_for_answer(mode) || steps == 1, "mode %d: %d steps", (int)mode,
           steps);
    CHECK((mode == SS_WAIT_ALWAYS || mode == SS_WAIT_ONCE) == (rig->wire.waits > 0));
}

static void check_round_trip(struct tls_rig *rig)
{
    char bytes[4];
    size_t n;
    struct ss_error err;
    CHECK(tls_rig_write(rig, text, 100, &n, &err) == SS_OK);
    check_got(rig, 100);
    tls_rig_peer_write(rig, "back", 4);
    CHECK(tls_rig_read(rig, bytes, 4, &n, &err) == SS_OK && memcmp(bytes, "back", 4) == 0);
}

static void test_a_handshake_in_each_mode(void)
{
    static const enum ss_mode modes[] = { SS_WAIT_ONCE, SS_WAIT_ALWAYS, SS_NO_WAIT, SS_NO_WAIT_NOW, SS_NO_WAIT_EDGE };
    static const size_t sizes[] = { 1, 100, SIZE_MAX };
    for (size_t k = 0; k < KINDS; k++) {
        struct tls_rig rig;
        tls_rig_open(&rig, &kinds[k]);
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
            for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
                check_handshake(&rig, modes[m], i % 2 == 1, sizes[i / 2]);
                check_round_trip(&rig);
                tls_rig_disconnect(&rig);
            }
        tls_rig_close(&rig);
    }
}

/* The first flight is sent, to a client that has sent its own; the receives of that step. */
static unsigned receives_of_flight(struct tls_rig *rig, enum ss_mode mode)
{
    tls_rig_connect(rig);
    if (rig->kind.server)
        tls_rig_run_peer(rig);
    ss_io_set_mode(&rig->sock.io, mode);
    CHECK(rig->shake.op.step(&rig->shake.op) == SS_WANT && rig->wire.sends == 1);
    CHECK(rig->shake.op.want.events == SS_READABLE);
    const unsigned recvs = rig->wire.recvs;
    CHECK(tls_rig_shake(rig) == SS_OK);
    tls_rig_disconnect(rig);
    return recvs;
}

static void test_the_answer_to_a_flight(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct tls_rig rig;
        tls_rig_open(&rig, &kinds[k]);
        const unsigned hellos = rig.kind.server;
        CHECK(receives_of_flight(&rig, SS_NO_WAIT_NOW) == hellos);
        CHECK(receives_of_flight(&rig, SS_NO_WAIT) == hellos + 1);
        CHECK(receives_of_flight(&rig, SS_WAIT_ONCE) == 1); /* by a client, which waits in it */
        tls_rig_close(&rig);
    }
}

/* Verification is no less in a handshake that never has to wait. */
static void test_a_handshake_at_once_with_another_name(void)
{
    for (size_t k = 0; k < KINDS; k += 2) {
        struct tls_rig rig;
        tls_rig_open(&rig, &kinds[k]);
        tls_rig_connect(&rig);
        rig.wire.answers = true;
        CHECK(!rig.kind.server && sstls_conn_set_name(rig.conn, "b.test", false));
        ss_io_set_mode(&rig.sock.io, SS_NO_WAIT);
        enum ss_status st = rig.shake.op.step(&rig.shake.op);
        const struct ss_error *err = &rig.shake.op.error;
        CHECKF(st == SS_ERROR && err->space == SS_TLS && err->code == SS_TLS_CERTIFICATE, "status %d, error %d %d",
               (int)st, (int)err->space, err->code);
        CHECKF(rig.conn->verify_error == X509_V_ERR_HOSTNAME_MISMATCH, "%s", rig.conn->reason);
        close_rig(&rig);
    }
}

/* The wire with which no more than one call of a step may wait. */
static void test_at_most_one_call_waits(void)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct tls_rig rig;
        struct ss_error err;
        char bytes[4];
        size_t n;
        enum ss_status st = SS_WANT;
        tls_rig_open(&rig, &kinds[k]);
        tls_rig_connect(&rig);
        for (int i = 0; st == SS_WANT && i < 20; i++) {
            const unsigned waits = rig.wire.waits;
            ss_io_set_mode(&rig.sock.io, SS_WAIT_ONCE);
            st = rig.shake.op.step(&rig.shake.op);
            CHECKF(rig.wire.waits - waits <= 1, "%u of a handshake's calls wait", rig.wire.waits - waits);
            tls_rig_run_peer(&rig);
        }
        CHECK(st == SS_OK);
        tls_rig_peer_write(&rig, "ab", 2);
        unsigned waits = rig.wire.waits;
        CHECK(tls_rig_try_read(&rig, SS_WAIT_ONCE, bytes, 4, &n, &err) == SS_WANT && rig.wire.waits == waits + 1);
        waits = rig.wire.waits;
        rig.wire.send_most = 100;
        tls_rig_try_write(&rig, SS_WAIT_ONCE, text, 1000, &n, &err);
        CHECK(rig.wire.waits == waits + 1);
        close_rig(&rig);
    }
}

/* An answer that a read makes, and a close, do not wait. */
static void test_answers_do_not_wait(void)
{
    struct tls_rig rig;
    struct ss_error err;
    char byte;
    size_t n;
    open_rig(&rig, &kinds[0]);
    for (int i = 0; i < 2; i++) { /* OpenSSL may answer the last one with its next record of data only */
        CHECK(SSL_key_update(rig.peer, SSL_KEY_UPDATE_REQUESTED) == 1);
        tls_rig_peer_write(&rig, "a", 1);
    }
    const unsigned waits = rig.wire.waits, sends = rig.wire.sends;
    CHECK(tls_rig_try_read(&rig, SS_WAIT_ALWAYS, &byte, 1, &n, &err) == SS_OK);
    CHECKF(rig.wire.waits == waits + 1 && rig.wire.sends == sends + 1, "%u waits, %u sends", rig.wire.waits - waits,
           rig.wire.sends - sends);
    CHECKF(rig.sock.io.mode == SS_WAIT_ALWAYS, "%u", rig.sock.io.mode);
    ss_sock_leave(&rig.sock);
    CHECK(rig.wire.waits == waits + 1);
    tls_rig_run_peer(&rig);
    CHECK(SSL_get_shutdown(rig.peer) & SSL_RECEIVED_SHUTDOWN);
    close_rig(&rig);
}

static void test_a_flood_does_not_keep_a_step(void)
{
    enum { STEPS = 8 };
    static unsigned char bytes[SIZE];
    struct tls_rig rig;
    struct ss_error err;
    size_t n;
    open_rig(&rig, &kinds[0]);
    for (size_t at = 0; at < 100000; at += 1000)
        tls_rig_peer_write(&rig, text + at, 1000);
    rig.wire.read_most = 100;
    for (int i = 0; i < STEPS; i++) {
        const unsigned recvs = rig.wire.recvs;
        CHECK(tls_rig_try_read(&rig, SS_NO_WAIT, bytes, 50000, &n, &err) == SS_WANT);
        CHECKF(rig.wire.recvs - recvs == SS_CALLS_PER_STEP, "%u receives", rig.wire.recvs - recvs);
    }
    rig.wire.send_most = 1;
    const unsigned sends = rig.wire.sends;
    CHECK(tls_rig_try_write(&rig, SS_NO_WAIT, text, 1000, &n, &err) == SS_WANT && n == 1000);
    CHECKF(rig.wire.sends - sends == SS_CALLS_PER_STEP, "%u sends", rig.wire.sends - sends);
    close_rig(&rig);
}

/* close_notify waits behind data for room, and a drop sends none. */
static void test_leaving_without_room(void)
{
    struct tls_rig rig;
    struct ss_error err;
    size_t n;
    open_rig(&rig, &kinds[0]);
    rig.wire.split_out = rig.wire.out_len + 50;
    CHECK(tls_rig_try_write(&rig, SS_NO_WAIT, text, 1000, &n, &err) == SS_WANT && n == 1000);
    rig.wire.send_most = 0;
    ss_io_set_mode(&rig.sock.io, SS_NO_WAIT);
    CHECK(rig.sock.io.via->end(&rig.sock.io, SHUT_WR, &err) == SS_WANT);
    const size_t out = rig.wire.out_len;
    ss_sock_leave(&rig.sock);
    CHECK(rig.wire.out_len == out);
    rig.wire.send_most = 10;
    CHECK(tls_rig_end(&rig, &err) == SS_OK);
    check_got(&rig, 1000);
    CHECK(SSL_get_shutdown(rig.peer) & SSL_RECEIVED_SHUTDOWN);
    close_rig(&rig);
    open_rig(&rig, &kinds[0]);
    const unsigned calls = calls_of(&rig);
    ss_sock_fini(&rig.sock);
    CHECK(calls_of(&rig) == calls);
    close_rig(&rig);
}

int main(void)
{
    RUN(test_writes_that_find_no_room);
    RUN(test_timeouts_at_each_byte);
    RUN(test_a_new_key_after_many_records);
    RUN(test_lengths_beyond_32_bits);
    RUN(test_a_write_much_longer_than_the_block);
    RUN(test_nothing_to_write);
    RUN(test_no_call);
    RUN(test_a_handshake_in_each_mode);
    RUN(test_the_answer_to_a_flight);
    RUN(test_a_handshake_at_once_with_another_name);
    RUN(test_at_most_one_call_waits);
    RUN(test_answers_do_not_wait);
    RUN(test_a_flood_does_not_keep_a_step);
    RUN(test_leaving_without_room);
    return check_end();
}
