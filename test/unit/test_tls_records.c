/* Records of TLS 1.3 that a peer may send and OpenSSL's own would not: KeyUpdates, tickets, alerts and empty records wherever
 * they are legal, too many of them, and records that are wrong. */
#include "check.h"
#include "core/op_write.h"
#include "tls_rig.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    IN_A_ROW = 32,
    CLOSE_NOTIFY = 0,
    WARNING = 1,
    FATAL = 2,
    USER_CANCELED = 90,
    BAD_CERTIFICATE = 42,
    RECORD = 16384
};

static const struct tls_kind client = { .sessions = 8 };

static void open_rig(struct tls_rig *rig)
{
    tls_rig_open(rig, &client);
    tls_rig_establish(rig);
}

static void close_rig(struct tls_rig *rig)
{
    tls_rig_disconnect(rig);
    tls_rig_close(rig);
}

static void forge_text(struct tls_rig *rig, const char *text)
{
    tls_rig_forge(rig, DATA, text, strlen(text), 0);
}

static void expect_text(struct tls_rig *rig, const char *text)
{
    char bytes[64] = "";
    size_t got;
    struct ss_error err;
    enum ss_status st = tls_rig_read(rig, bytes, strlen(text), &got, &err);
    CHECKF(st == SS_OK && memcmp(bytes, text, got) == 0, "%s: status %d, %s", text, (int)st, rig->conn->reason);
}

static void expect_end(struct tls_rig *rig, enum ss_status expected)
{
    char byte;
    size_t got;
    struct ss_error err;
    enum ss_status st = tls_rig_read(rig, &byte, 1, &got, &err);
    CHECKF(st == expected && got == 0, "status %d, %zu bytes, %s", (int)st, got, rig->conn->reason);
}

/* Reads and writes fail, again and again. */
static void expect_failure(struct tls_rig *rig, int code, const char *reason)
{
    char byte;
    size_t n;
    struct ss_error err;
    for (int i = 0; i < 2; i++) {
        enum ss_status st = tls_rig_read(rig, &byte, 1, &n, &err);
        CHECKF(st == SS_ERROR && n == 0 && err.space == SS_TLS && err.code == code, "status %d, %zu bytes, error %d %d",
               (int)st, n, (int)err.space, err.code);
        st = tls_rig_write(rig, "x", 1, &n, &err);
        CHECKF(st == SS_ERROR && n == 0 && err.space == SS_TLS && err.code == code, "status %d, %zu bytes, error %d %d",
               (int)st, n, (int)err.space, err.code);
    }
    CHECKF(strcmp(rig->conn->reason, reason) == 0, "%s", rig->conn->reason);
}

/* What we write arrives. */
static void expect_writable(struct tls_rig *rig)
{
    size_t sent;
    struct ss_error err;
    rig->got_len = 0;
    CHECK(tls_rig_write(rig, "still here", 10, &sent, &err) == SS_OK && sent == 10);
    CHECK(rig->got_len == 10 && memcmp(rig->got, "still here", 10) == 0 && rig->peer_error == 0);
}

/* Records without data */

enum filler { UPDATES, REQUESTS, EMPTY, PADDED, FILLERS };

static void forge_filler(struct tls_rig *rig, enum filler filler)
{
    switch (filler) {
    case UPDATES:
    case REQUESTS:
        tls_rig_forge_key_update(rig, filler == REQUESTS);
        break;
    case EMPTY:
    case PADDED:
    case FILLERS:
        tls_rig_forge(rig, DATA, NULL, 0, filler == PADDED ? 1000 : 0);
    }
}

/* One receive of the transport takes all records that one receive of the descriptor has brought, also behind one without data. */
static void test_records_of_one_receive(void)
{
    struct tls_rig rig;
    char bytes[64];
    size_t got = 0;
    struct ss_error err;
    open_rig(&rig);
    for (int i = 0; i < 5; i++) {
        forge_text(&rig, "text");
        forge_text(&rig, "");
    }
    rig.wire.recvs = 0;
    ss_io_set_mode(&rig.sock.io, SS_NO_WAIT);
    CHECK(rig.sock.io.via->recv(&rig.sock.io, bytes, sizeof bytes, false, &got, &err) == SS_OK);
    CHECKF(got == 20 && rig.wire.recvs == 1, "%zu bytes, %u calls", got, rig.wire.recvs);
    close_rig(&rig);
}

static void test_records_without_data_in_a_row(void)
{
    static const int counts[] = { 1, IN_A_ROW - 1, IN_A_ROW };
    for (int filler = 0; filler < FILLERS; filler++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            struct tls_rig rig;
            open_rig(&rig);
            for (int round = 0; round < 3; round++) {
                for (int n = 0; n < counts[i]; n++)
                    forge_filler(&rig, (enum filler)filler);
                forge_text(&rig, "data");
            }
            expect_text(&rig, "datadatadata");
            CHECKF(!rig.conn->has_failed, "%d of kind %d", counts[i], filler);
            expect_writable(&rig);
            close_rig(&rig);
        }
}

static void test_too_many_records_without_data(void)
{
    for (int filler = 0; filler < FILLERS; filler++) {
        struct tls_rig rig;
        open_rig(&rig);
        forge_text(&rig, "data");
        for (int n = 0; n <= IN_A_ROW; n++)
            forge_filler(&rig, (enum filler)filler);
        forge_text(&rig, "more");
        expect_text(&rig, "data");
        expect_failure(&rig, SS_TLS_PROTOCOL,
                       filler <= REQUESTS ? "too many messages without data"
                                          : ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, SSL_R_RECORD_TOO_SMALL)));
        close_rig(&rig);
    }
}

static void test_a_key_for_each_record(void)
{
    enum { RECORDS = 10000 };
    struct tls_rig rig;
    char *bytes = malloc(RECORDS);
    struct ss_error err;
    size_t got, wrong = 0;
    if (!bytes)
        abort();
    open_rig(&rig);
    for (int i = 0; i < RECORDS; i++) {
        tls_rig_forge_key_update(&rig, false);
        tls_rig_forge(&rig, DATA, &(char){ (char)('a' + i % 26) }, 1, 0);
    }
    CHECK(tls_rig_read(&rig, bytes, RECORDS, &got, &err) == SS_OK && got == RECORDS);
    for (size_t i = 0; i < got; i++)
        wrong += bytes[i] != (char)('a' + i % 26);
    CHECK(wrong == 0);
    expect_writable(&rig);
    close_rig(&rig);
    free(bytes);
}

/* Answers behind a full block */

static unsigned char *fill_block(struct tls_rig *rig, size_t n, size_t *sent)
{
    struct ss_error err;
    unsigned char *bytes = malloc(n);
    if (!bytes)
        abort();
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251);
    rig->wire.send_most = 0;
    CHECK(tls_rig_try_write(rig, SS_NO_WAIT, bytes, n, sent, &err) == SS_WANT && *sent == 4 * RECORD);
    return bytes;
}

static void test_requests_behind_a_full_block(void)
{
    enum { SIZE = 200000, REQUESTED = 100 };
    struct tls_rig rig;
    struct ss_error err;
    size_t sent, more;
    open_rig(&rig);
    unsigned char *bytes = fill_block(&rig, SIZE, &sent);
    for (int i = 0; i < REQUESTED; i++) {
        tls_rig_forge_key_update(&rig, true);
        forge_text(&rig, "x");
        expect_text(&rig, "x");
    }
    CHECK(rig.got_len == 0);
    rig.wire.send_most = 1000;
    CHECK(tls_rig_write(&rig, bytes + sent, SIZE - sent, &more, &err) == SS_OK && sent + more == SIZE);
    CHECK(rig.got_len == SIZE && memcmp(rig.got, bytes, SIZE) == 0 && rig.peer_error == 0);
    free(bytes);
    close_rig(&rig);
}

/* A peer that asks for ever and takes nothing. What was counted before stays counted, and is not lost in another way. */
static void test_requests_without_end(void)
{
    struct tls_rig rig;
    struct ss_error err = { SS_SYSTEM, 0 };
    enum ss_status st = SS_OK;
    size_t sent, got;
    int asked = 0;
    char byte;
    open_rig(&rig);
    free(fill_block(&rig, 200000, &sent));
    for (; st == SS_OK && asked < 1000; asked++) {
        tls_rig_forge_key_update(&rig, true);
        forge_text(&rig, "x");
        st = tls_rig_read(&rig, &byte, 1, &got, &err);
    }
    CHECKF(st == SS_ERROR && asked > 150, "status %d after %d", (int)st, asked);
    expect_failure(&rig, SS_TLS_PROTOCOL, "the peer asks for answers and does not take them");
    close_rig(&rig);
}

/* Tickets */

static size_t make_ticket(unsigned char *message, unsigned char number)
{
    const unsigned char ticket[] = { NEW_SESSION_TICKET,
                                     0,
                                     0,
                                     4 + 4 + 2 + 2 + 8 + 2,
                                     0,
                                     0,
                                     14,
                                     16,
                                     1,
                                     2,
                                     3,
                                     4,
                                     1,
                                     number,
                                     0,
                                     8,
                                     'a',
                                     'b',
                                     'c',
                                     'd',
                                     'e',
                                     'f',
                                     'g',
                                     number,
                                     0,
                                     0 };
    memcpy(message, ticket, sizeof ticket);
    return sizeof ticket;
}

static void forge_ticket(struct tls_rig *rig, unsigned char number)
{
    unsigned char message[64];
    size_t n = make_ticket(message, number);
    tls_rig_forge(rig, HANDSHAKE, message, n, 0);
}

static void test_tickets_around_data(void)
{
    struct tls_rig rig;
    open_rig(&rig);
    forge_ticket(&rig, 1);
    forge_text(&rig, "before");
    forge_ticket(&rig, 2);
    forge_text(&rig, "after");
    forge_ticket(&rig, 3);
    expect_text(&rig, "beforeafter");
    expect_end(&rig, SS_TIMEOUT);
    CHECKF(rig.ctx->nsessions == 3, "%zu", rig.ctx->nsessions);
    expect_writable(&rig);
    close_rig(&rig);
}

/* A message may be cut into records at each byte. */
static void test_half_a_ticket(void)
{
    unsigned char message[64];
    const size_t n = make_ticket(message, 1);
    for (size_t at = 1; at < n; at++) {
        struct tls_rig rig;
        open_rig(&rig);
        tls_rig_forge(&rig, HANDSHAKE, message, at, 0);
        expect_end(&rig, SS_TIMEOUT);
        CHECK(!rig.sock.io.via->is_ready(&rig.sock.io) && rig.ctx->nsessions == 0);
        tls_rig_forge(&rig, HANDSHAKE, message + at, n - at, 0);
        forge_text(&rig, "data");
        expect_text(&rig, "data");
        CHECK(rig.ctx->nsessions == 1);
        close_rig(&rig);
    }
}

static struct ss_write write_of(struct tls_rig *rig, struct iovec *iov)
{
    struct ss_write op = { .iov = iov, .n = 1 };
    op.op = (struct ss_op){ .step = ss_write_step, .io = &rig->sock.io, .kernel_timeout = SS_BY_SNDTIMEO };
    return op;
}

/* A step of a write that cannot go on before the rest of a message is there: it receives, if it may, and does not wait for that. */
static void expect_held_write(struct tls_rig *rig, enum ss_mode mode, bool receives)
{
    struct iovec iov = { (char[]){ 'x' }, 1 };
    struct ss_write op = write_of(rig, &iov);
    const unsigned recvs = rig->wire.recvs;
    rig->wire.waits = 0;
    for (int i = 0; i < 3; i++) {
        ss_io_set_mode(op.op.io, mode);
        CHECK(op.op.step(&op.op) == SS_WANT && op.sent == 0 && rig->wire.waits == 0);
        CHECKF(op.op.want.events == SS_READABLE && op.op.after_ms == 1 << i, "events %d, %d ms", op.op.want.events,
               (int)op.op.after_ms);
    }
    CHECKF(rig->wire.recvs == recvs + (receives ? 3 : 0), "%u receives", rig->wire.recvs - recvs);
    CHECK(!rig->conn->has_failed && ERR_peek_error() == 0);
}

/* OpenSSL knows of a message when it has the four bytes with its length. */
static void test_a_write_behind_half_a_ticket(void)
{
    enum { HEAD = 4 };
    static const enum ss_mode modes[] = { SS_NO_WAIT, SS_WAIT_ONCE, SS_WAIT_ALWAYS };
    unsigned char message[64];
    const size_t n = make_ticket(message, 1);
    for (size_t at = 1; at < n; at++) {
        struct tls_rig rig;
        open_rig(&rig);
        tls_rig_forge(&rig, HANDSHAKE, message, at, 0);
        expect_end(&rig, SS_TIMEOUT);
        for (size_t i = 0; at >= HEAD && i < sizeof modes / sizeof *modes; i++)
            expect_held_write(&rig, modes[i], true);
        if (at >= HEAD)
            expect_held_write(&rig, SS_NO_CALL, false);
        tls_rig_forge(&rig, HANDSHAKE, message + at, n - at, 0);
        forge_text(&rig, "data");
        expect_writable(&rig);
        expect_text(&rig, "data");
        CHECK(rig.ctx->nsessions == 1);
        close_rig(&rig);
    }
}

static void test_a_write_leaves_the_rest_of_a_ticket_to_a_reader(void)
{
    enum { AT = 10 };
    unsigned char message[64];
    const size_t n = make_ticket(message, 1);
    struct tls_rig rig;
    open_rig(&rig);
    tls_rig_forge(&rig, HANDSHAKE, message, AT, 0);
    expect_end(&rig, SS_TIMEOUT);
    tls_rig_forge(&rig, HANDSHAKE, message + AT, n - AT, 0);
    rig.sock.waiters[0] = (struct ss_waiter *)&rig;
    expect_held_write(&rig, SS_NO_WAIT, false);
    rig.sock.waiters[0] = NULL;
    expect_end(&rig, SS_TIMEOUT);
    expect_writable(&rig);
    close_rig(&rig);
}

/* So does the end of the output; the peer's own end in the middle of a message is one without close_notify. */
static void test_an_end_behind_half_a_ticket(void)
{
    enum { AT = 10 };
    unsigned char message[64];
    const size_t n = make_ticket(message, 1);
    for (int ends = 0; ends < 2; ends++) {
        struct tls_rig rig;
        struct ss_error err;
        open_rig(&rig);
        tls_rig_forge(&rig, HANDSHAKE, message, AT, 0);
        expect_end(&rig, SS_TIMEOUT);
        ss_io_set_mode(&rig.sock.io, SS_NO_WAIT);
        CHECK(rig.sock.io.via->end(&rig.sock.io, SHUT_WR, &err) == SS_WANT && rig.sock.io.lacks_input);
        rig.wire.ends = ends;
        if (!ends)
            tls_rig_forge(&rig, HANDSHAKE, message + AT, n - AT, 0);
        enum ss_status st = tls_rig_end(&rig, &err);
        CHECK(ends ? st == SS_ERROR && err.space == SS_TLS && err.code == SS_TLS_EOF : st == SS_OK);
        CHECK(ends || (SSL_get_shutdown(rig.peer) & SSL_RECEIVED_SHUTDOWN));
        close_rig(&rig);
    }
}

static void test_data_within_a_ticket(void)
{
    unsigned char message[64];
    struct tls_rig rig;
    make_ticket(message, 1);
    open_rig(&rig);
    tls_rig_forge(&rig, HANDSHAKE, message, 10, 0);
    forge_text(&rig, "data");
    char byte;
    size_t n;
    struct ss_error err;
    CHECK(tls_rig_read(&rig, &byte, 1, &n, &err) == SS_ERROR && n == 0 && err.space == SS_TLS);
    CHECK(err.code == SS_TLS_PROTOCOL && rig.ctx->nsessions == 0);
    close_rig(&rig);
}

/* Alerts */

static void test_close_notify(void)
{
    for (int data = 0; data < 2; data++)
        for (int behind = 0; behind < 4; behind++) {
            struct tls_rig rig;
            open_rig(&rig);
            if (data)
                forge_text(&rig, "data");
            tls_rig_forge_alert(&rig, WARNING, CLOSE_NOTIFY);
            if (behind == 1)
                forge_text(&rig, "more");
            else if (behind == 2)
                tls_rig_forge_alert(&rig, WARNING, CLOSE_NOTIFY);
            else if (behind == 3)
                forge_ticket(&rig, 1);
            if (data)
                expect_text(&rig, "data");
            expect_end(&rig, SS_EOF);
            expect_end(&rig, SS_EOF);
            CHECK(rig.sock.io.via->is_ready(&rig.sock.io) && rig.ctx->nsessions == 0);
            expect_writable(&rig);
            close_rig(&rig);
        }
}

/* The connection ends within it, or before it. */
static void test_a_cut_close_notify(void)
{
    enum { LENGTH = 5 + 2 + 1 + 16 };
    for (size_t at = 0; at <= LENGTH; at++) {
        struct tls_rig rig;
        open_rig(&rig);
        tls_rig_forge_alert(&rig, WARNING, CLOSE_NOTIFY);
        rig.wire.in_len -= LENGTH - at;
        rig.wire.ends = true;
        if (at < LENGTH)
            expect_failure(&rig, SS_TLS_EOF, "the connection has ended without close_notify");
        else
            expect_end(&rig, SS_EOF);
        close_rig(&rig);
    }
}

static void test_warnings(void)
{
    for (int n = 1; n <= 6; n++) {
        struct tls_rig rig;
        open_rig(&rig);
        for (int i = 0; i < n; i++)
            tls_rig_forge_alert(&rig, WARNING, USER_CANCELED);
        forge_text(&rig, "data");
        if (n < 5)
            expect_text(&rig, "data");
        else
            expect_failure(&rig, SS_TLS_PROTOCOL, "too many warn alerts");
        close_rig(&rig);
    }
}

static void test_a_fatal_alert(void)
{
    struct tls_rig rig;
    open_rig(&rig);
    forge_text(&rig, "data");
    tls_rig_forge_alert(&rig, FATAL, BAD_CERTIFICATE);
    forge_text(&rig, "more");
    expect_text(&rig, "data");
    expect_failure(&rig, SS_TLS_ALERT, "bad_certificate");
    close_rig(&rig);
}

/* Wrong records */

static void check_wrong(struct tls_rig *rig, const char *what, bool is_seen)
{
    char bytes[8];
    size_t n;
    struct ss_error err;
    enum ss_status st = tls_rig_read(rig, bytes, 4, &n, &err);
    CHECKF(st == SS_OK && n == 4, "%s: status %d", what, (int)st);
    forge_text(rig, "more");
    rig->wire.ends = true;
    st = tls_rig_read(rig, bytes, 1, &n, &err);
    CHECKF(st == SS_ERROR && n == 0 && err.space == SS_TLS && err.code == SS_TLS_PROTOCOL,
           "%s: status %d, %zu bytes, error %d, %s", what, (int)st, n, err.code, rig->conn->reason);
    CHECKF(!is_seen || rig->peer_error != 0, "%s: the peer is not told", what);
}

static void test_wrong_records(void)
{
    static const struct {
        const char *what;
        unsigned char bytes[8];
        size_t len;
    } rows[] = {
        { "a type that is none", { 99, 3, 3, 0, 1, 0 }, 6 },
        { "plain data", { DATA, 3, 3, 0, 1, 'x' }, 6 },
        { "a plain handshake message", { HANDSHAKE, 3, 3, 0, 1, 0 }, 6 },
        { "a version that is none", { DATA, 4, 3, 0, 1, 0 }, 6 },
        { "a length beyond all", { DATA, 3, 3, 0xff, 0xff }, 5 },
        { "a change of cipher specs", { CCS, 3, 3, 0, 1, 1 }, 6 },
        { "text", "HTTP/1.", 7 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_rig rig;
        open_rig(&rig);
        forge_text(&rig, "data");
        tls_rig_inject(&rig, rows[i].bytes, rows[i].len);
        check_wrong(&rig, rows[i].what, true);
        close_rig(&rig);
    }
}

static void test_wrong_contents(void)
{
    static const struct {
        const char *what;
        int type;
        unsigned char bytes[6];
        size_t len;
    } rows[] = {
        { "no type", 0, { 0 }, 0 },
        { "an inner type that is none", 99, { 1 }, 1 },
        { "an empty handshake record", HANDSHAKE, { 0 }, 0 },
        { "an empty alert", ALERT, { 0 }, 0 },
        { "half an alert", ALERT, { 1 }, 1 },
        { "a hello request", HANDSHAKE, { 0, 0, 0, 0 }, 4 },
        { "a KeyUpdate without its byte", HANDSHAKE, { KEY_UPDATE, 0, 0, 0 }, 4 },
        { "a KeyUpdate of another kind", HANDSHAKE, { KEY_UPDATE, 0, 0, 1, 2 }, 5 },
        { "a message that is none", HANDSHAKE, { 77, 0, 0, 0 }, 4 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_rig rig;
        open_rig(&rig);
        forge_text(&rig, "data");
        tls_rig_forge(&rig, rows[i].type, rows[i].bytes, rows[i].len, 0);
        check_wrong(&rig, rows[i].what, true);
        close_rig(&rig);
    }
}

static void test_the_length_of_records(void)
{
    static unsigned char bytes[RECORD + 1], read[RECORD];
    for (size_t n = RECORD - 1; n <= RECORD + 1; n++) {
        struct tls_rig rig;
        struct ss_error err;
        size_t got;
        open_rig(&rig);
        memset(bytes, 'z', sizeof bytes);
        forge_text(&rig, "data");
        tls_rig_forge(&rig, DATA, bytes, n, 0);
        if (n > RECORD) {
            check_wrong(&rig, "a record that is too long", true);
        } else {
            expect_text(&rig, "data");
            CHECK(tls_rig_read(&rig, read, n, &got, &err) == SS_OK && memcmp(read, bytes, n) == 0);
        }
        close_rig(&rig);
    }
}

int main(void)
{
    RUN(test_records_of_one_receive);
    RUN(test_records_without_data_in_a_row);
    RUN(test_too_many_records_without_data);
    RUN(test_a_key_for_each_record);
    RUN(test_requests_behind_a_full_block);
    RUN(test_requests_without_end);
    RUN(test_tickets_around_data);
    RUN(test_half_a_ticket);
    RUN(test_a_write_behind_half_a_ticket);
    RUN(test_a_write_leaves_the_rest_of_a_ticket_to_a_reader);
    RUN(test_an_end_behind_half_a_ticket);
    RUN(test_data_within_a_ticket);
    RUN(test_close_notify);
    RUN(test_a_cut_close_notify);
    RUN(test_warnings);
    RUN(test_a_fatal_alert);
    RUN(test_wrong_records);
    RUN(test_wrong_contents);
    RUN(test_the_length_of_records);
    return check_end();
}
