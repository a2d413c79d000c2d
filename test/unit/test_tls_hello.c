/* The look at the ClientHello, however it comes, and what is none. */
#include "check.h"
#include "tls_rig.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 5 };

static const struct tls_kind server = { .server = true };

/* A server's socket and a look at what comes. */
struct look {
    struct tls_rig rig;
    SSL_CTX *ctx;
    struct sstls_hello op;
};

static void open_look(struct look *l)
{
    static const unsigned char alpn[] = "\2h2\10http/1.1";
    tls_rig_open(&l->rig, &server);
    if (SSL_CTX_set_alpn_protos(l->rig.peer_ctx, alpn, sizeof alpn - 1) != 0)
        abort();
    l->ctx = sstls_hello_ctx_new();
    if (!l->ctx)
        abort();
}

static void close_look(struct look *l)
{
    SSL_CTX_free(l->ctx);
    tls_rig_close(&l->rig);
}

static void begin(struct look *l)
{
    tls_rig_connect(&l->rig);
    sstls_hello_init(&l->op, &l->rig.sock, l->ctx);
}

static void finish(struct look *l)
{
    sstls_hello_fini(&l->op);
    sstls_hello_fini(&l->op);
    tls_rig_disconnect(&l->rig);
}

static void check_found(const struct look *l, enum ss_status st, size_t at)
{
    const struct sstls_hello *op = &l->op;
    CHECKF(st == SS_OK, "%zu: status %d", at, (int)st);
    CHECKF(strcmp(op->name, "a.test") == 0 && op->version13 && op->version12, "%zu: %s", at, op->name);
    CHECKF(op->alpn_len == 12 && memcmp(op->alpn, "\2h2\10http/1.1", 12) == 0, "%zu: %zu", at, op->alpn_len);
}

/* Nothing is taken and nothing sent. */
static void check_untouched(const struct look *l, const void *bytes, size_t n, size_t at)
{
    const struct ss_inbuf *in = &l->rig.sock.in;
    CHECKF(ss_inbuf_len(in) == n && memcmp(ss_inbuf_data(in), bytes, n) == 0, "%zu: %zu bytes", at, ss_inbuf_len(in));
    CHECK(l->rig.wire.out_len == 0 && !ss_io_has_layer(&l->rig.sock.io));
}

static enum ss_status look_at(struct look *l, const unsigned char *bytes, size_t n)
{
    tls_rig_inject(&l->rig, bytes, n);
    l->rig.peer_deaf = true;
    return tls_rig_drive(&l->rig, &l->op.op, SS_NO_WAIT);
}

/* Whatever the pieces; then the handshake itself. */
static void check_pieces(struct look *l, size_t split, size_t most)
{
    begin(l);
    l->rig.wire.split_in = split;
    l->rig.wire.read_most = most;
    check_found(l, tls_rig_drive(&l->rig, &l->op.op, SS_NO_WAIT), split);
    check_untouched(l, l->rig.wire.in, l->rig.wire.in_len, split);
    sstls_hello_fini(&l->op);
    sstls_hello_init(&l->op, &l->rig.sock, l->ctx); /* as another call does */
    check_found(l, tls_rig_drive(&l->rig, &l->op.op, SS_NO_WAIT), split);
    CHECK(tls_rig_shake(&l->rig) == SS_OK);
    finish(l);
}

static void test_each_split(void)
{
    struct look l;
    open_look(&l);
    begin(&l);
    tls_rig_run_peer(&l.rig);
    const size_t n = l.rig.wire.in_len;
    finish(&l);
    for (size_t at = 1; at < n; at++)
        check_pieces(&l, at, SIZE_MAX);
    check_pieces(&l, SIZE_MAX, 1);
    close_look(&l);
}

static size_t number_at(const unsigned char *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

static void put_number(unsigned char *bytes, size_t number)
{
    bytes[0] = (unsigned char)(number >> 8);
    bytes[1] = (unsigned char)number;
}

/* Where the length of a ClientHello's extensions stands. */
static size_t find_extensions(const unsigned char *message)
{
    size_t at = 4 + 2 + 32; /* head, version, random */
    at += 1 + (size_t)message[at];
    at += 2 + number_at(message + at);
    return at + 1 + message[at];
}

/* Copies the peer's ClientHello without the record's head; more extension bytes behind it. Returns the length. */
static size_t take_message(struct look *l, unsigned char *message, size_t more)
{
    begin(l);
    tls_rig_run_peer(&l->rig);
    const size_t n = l->rig.wire.in_len - HEAD;
    memcpy(message, l->rig.wire.in + HEAD, n);
    finish(l);
    if (more == 0)
        return n;
    size_t at = find_extensions(message);
    size_t len = n - at - 2 + 4 + more;
    put_number(message + at, len);
    memcpy(message + n, (unsigned char[]){ 0xfa, 0xfa, (unsigned char)(more >> 8), (unsigned char)more }, 4);
    memset(message + n + 4, 0, more);
    len = n + more; /* + 4 - 4 */
    memcpy(message + 1, (unsigned char[]){ (unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len },
           3);
    return n + 4 + more;
}

static size_t cut_into_records(const unsigned char *message, size_t n, size_t size, unsigned char *wire)
{
    size_t end = 0;
    for (size_t at = 0; at < n; at += size) {
        size_t len = ss_min_size(size, n - at);
        memcpy(wire + end, (unsigned char[]){ HANDSHAKE, 3, 1, (unsigned char)(len >> 8), (unsigned char)len }, HEAD);
        memcpy(wire + end + HEAD, message + at, len);
        end += HEAD + len;
    }
    return end;
}

static void check_message(struct look *l, const unsigned char *message, size_t n, size_t size, size_t most)
{
    static unsigned char wire[1 << 19];
    size_t len = cut_into_records(message, n, size, wire);
    begin(l);
    l->rig.wire.read_most = most;
    check_found(l, look_at(l, wire, len), size);
    check_untouched(l, wire, len, size);
    finish(l);
}

static void test_fragments(void)
{
    static unsigned char message[1 << 17];
    static const size_t sizes[] = { 1, 2, 3, 4, 5, 37, 100, 16384 };
    struct look l;
    open_look(&l);
    size_t n = take_message(&l, message, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_message(&l, message, n, sizes[i], SIZE_MAX);
        check_message(&l, message, n, sizes[i], 7);
    }
    close_look(&l);
}

/* A key share of ML-KEM, and nearly all that the length of extensions permits. */
static void test_long_hellos(void)
{
    static unsigned char message[1 << 17];
    static const size_t more[] = { 1216, 17000, 65000 };
    struct look l;
    open_look(&l);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        size_t n = take_message(&l, message, more[i]);
        check_message(&l, message, n, 16384, SIZE_MAX);
        check_message(&l, message, n, 1000, 999);
    }
    close_look(&l);
}

/* What is no ClientHello */

static void check_none(struct look *l, const char *what, const unsigned char *bytes, size_t n)
{
    begin(l);
    enum ss_status st = look_at(l, bytes, n);
    CHECKF(st == SS_ERROR && l->op.op.error.space == SS_TLS && l->op.op.error.code == SS_TLS_PROTOCOL, "%s: status %d",
           what, (int)st);
    check_untouched(l, bytes, n, 0);
    st = tls_rig_drive(&l->rig, &l->rig.shake.op, SS_NO_WAIT);
    CHECKF(st == SS_ERROR && l->rig.shake.op.error.space == SS_TLS && l->rig.shake.op.error.code == SS_TLS_PROTOCOL,
           "%s: the handshake: status %d", what, (int)st);
    finish(l);
}

static void test_what_is_none(void)
{
    static unsigned char garbage[17000], request[] = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    static const unsigned char sslv2[] = { 0x80, 46, 1, 0,    2, 0, 21,   0, 0, 0,    16, 1,  0,    0x80, 2,  0,
                                           0x80, 3,  0, 0x80, 4, 0, 0x80, 5, 0, 0x80, 6,  0,  0x40, 7,    0,  0xc0,
                                           1,    2,  3, 4,    5, 6, 7,    8, 9, 10,   11, 12, 13,   14,   15, 16 };
    static const unsigned char alert[] = { ALERT, 3, 1, 0, 2, 2, 40 };
    static const unsigned char finished[] = { HANDSHAKE, 3, 1, 0, 4, 20, 0, 0, 0 };
    static const unsigned char huge[] = { HANDSHAKE, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff };
    struct look l;
    open_look(&l);
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (unsigned char)(i * 37 + 200);
    check_none(&l, "a request", request, sizeof request - 1);
    check_none(&l, "garbage", garbage, sizeof garbage);
    check_none(&l, "SSLv2", sslv2, sizeof sslv2);
    check_none(&l, "an alert", alert, sizeof alert);
    check_none(&l, "another message", finished, sizeof finished);
    check_none(&l, "a length beyond all", huge, sizeof huge);
    close_look(&l);
}

/* Bodies of the three extensions that we take apart */

/* What OpenSSL reads in them is the measure: it refuses a handshake whose extensions have a wrong length. */
struct body {
    const char *what;
    unsigned type;
    const unsigned char *bytes;
    size_t len;
    unsigned lengths; /* bit i: its byte i belongs to a length */
};

#define BODY(what, type, bytes, lengths)                                       \
    {                                                                          \
        what, type, (const unsigned char *)(bytes), sizeof(bytes) - 1, lengths \
    }
enum { NAME = TLSEXT_TYPE_server_name, ALPN = TLSEXT_TYPE_application_layer_protocol_negotiation };
enum { VERSIONS = TLSEXT_TYPE_supported_versions };

static const struct body bodies[] = {
    BODY("a name", NAME, "\0\11\0\0\6a.test", 1 | 2 | 8 | 16),
    BODY("a protocol", ALPN, "\0\3\2h2", 1 | 2 | 4),
    BODY("versions", VERSIONS, "\4\3\4\3\3", 1),
};
enum { BODIES = sizeof bodies / sizeof *bodies };

/* Replaces the body of an extension in a ClientHello. Returns the new length. */
static size_t put_body(unsigned char *message, size_t n, unsigned type, const unsigned char *bytes, size_t len)
{
    const size_t extensions = find_extensions(message);
    size_t at = extensions + 2;
    while (number_at(message + at) != type)
        at += 4 + number_at(message + at + 2);
    const size_t old = number_at(message + at + 2);
    memmove(message + at + 4 + len, message + at + 4 + old, n - at - 4 - old);
    memcpy(message + at + 4, bytes, len);
    put_number(message + at + 2, len);
    n = n - old + len;
    put_number(message + extensions, n - extensions - 2);
    put_number(message + 2, n - 4); /* of 24 bits */
    return n;
}

/* Whether the look, and then the handshake, take a ClientHello for what it is. */
static bool is_taken(struct look *l, const struct body *body, const unsigned char *bytes, size_t len)
{
    static unsigned char message[4096], wire[5000];
    size_t n = take_message(l, message, 0);
    n = cut_into_records(message, put_body(message, n, body->type, bytes, len), 16384, wire);
    begin(l);
    enum ss_status st = look_at(l, wire, n);
    const struct ss_error *err = &l->op.op.error;
    CHECKF(st == SS_OK || (st == SS_ERROR && err->space == SS_TLS && err->code == SS_TLS_PROTOCOL), "%s: status %d",
           body->what, (int)st);
    check_untouched(l, wire, n, len);
    const bool taken = tls_rig_drive(&l->rig, &l->rig.shake.op, SS_NO_WAIT) != SS_ERROR;
    CHECKF((st == SS_OK) == taken, "%s: status %d, the handshake: %d, %s", body->what, (int)st, taken,
           l->rig.conn->reason);
    finish(l);
    return st == SS_OK;
}

/* Cut short and lengthened by each number of bytes, with lengths that are right for the extension and wrong within. */
static void check_other_ends(struct look *l, const struct body *body)
{
    unsigned char bytes[32] = { 0 };
    memcpy(bytes, body->bytes, body->len);
    for (size_t len = 0; len <= body->len + 4; len++)
        CHECKF(is_taken(l, body, bytes, len) == (len == body->len), "%s of %zu bytes", body->what, len);
}

/* Each length with each value. */
static void check_other_lengths(struct look *l, const struct body *body)
{
    unsigned char bytes[32];
    memcpy(bytes, body->bytes, body->len);
    for (size_t at = 0; at < body->len; at++) {
        for (int value = 0; (body->lengths >> at & 1) && value < 256; value++) {
            bytes[at] = (unsigned char)value;
            CHECKF(is_taken(l, body, bytes, body->len) == (value == body->bytes[at]), "%s: %d at %zu", body->what,
                   value, at);
        }
        bytes[at] = body->bytes[at];
    }
}

static void test_lengths_in_extensions(void)
{
    struct look l;
    open_look(&l);
    for (size_t i = 0; i < BODIES; i++) {
        check_other_ends(&l, &bodies[i]);
        check_other_lengths(&l, &bodies[i]);
    }
    close_look(&l);
}

/* What is empty, or more than one, where there has to be one; the whole is as long as it says. */
static void test_contents_of_extensions(void)
{
    static const struct body rows[] = {
        BODY("no name", NAME, "\0\0", 0),
        BODY("a type without a name", NAME, "\0\1\0", 0),
        BODY("a name of another type", NAME, "\0\11\1\0\6a.test", 0),
        BODY("a name with a NUL", NAME, "\0\11\0\0\6a.\0est", 0),
        BODY("two names", NAME, "\0\14\0\0\3a.b\0\0\3c.d", 0),
        BODY("a name and half a name", NAME, "\0\10\0\0\3a.b\0\0", 0),
        BODY("no protocol", ALPN, "\0\0", 0),
        BODY("an empty protocol", ALPN, "\0\1\0", 0),
        BODY("an empty second protocol", ALPN, "\0\4\2h2\0", 0),
        BODY("half a protocol", ALPN, "\0\5\2h2\2h", 0),
        BODY("no version", VERSIONS, "\0", 0),
        BODY("half a version", VERSIONS, "\3\3\4\3", 0),
    };
    struct look l;
    open_look(&l);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECKF(!is_taken(&l, &rows[i], rows[i].bytes, rows[i].len), "%s", rows[i].what);
    close_look(&l);
}

/* As from the handshake, to which it belongs. */
static void test_the_end_after_each_byte(void)
{
    struct look l;
    open_look(&l);
    for (size_t at = 0, n = 1; at < n; at++)
        for (int code = 0; code <= ECONNRESET; code += ECONNRESET) {
            begin(&l);
            l.rig.wire.cut_in = at;
            l.rig.wire.code = code;
            enum ss_status st = tls_rig_drive(&l.rig, &l.op.op, SS_NO_WAIT);
            const struct ss_error *err = &l.op.op.error;
            CHECKF(st == SS_ERROR && !l.op.found, "%zu: status %d", at, (int)st);
            CHECKF(err->space == (code ? SS_SYSTEM : SS_TLS) && err->code == (code ? code : SS_TLS_EOF), "%zu: %d", at,
                   err->code);
            n = l.rig.wire.in_len;
            check_untouched(&l, l.rig.wire.in, at, at);
            finish(&l);
        }
    close_look(&l);
}

/* The peer's name in its second hello, which answers a HelloRetryRequest; NULL: the first one's. */
static const char *second_name;

static void on_message(int sent, int version, int type, const void *bytes, size_t len, SSL *peer, void *unused)
{
    const unsigned char *message = bytes;
    (void)version, (void)unused;
    if (!sent && type == HANDSHAKE && len > 0 && message[0] == SSL3_MT_SERVER_HELLO && second_name)
        SSL_set_tlsext_host_name(peer, second_name);
}

/* The program has chosen its context by the first name. */
static void check_second_name(struct tls_rig *rig, const char *first, const char *second, enum ss_status expected)
{
    tls_rig_connect(rig);
    if (!SSL_set1_groups_list(rig->peer, "X25519:P-256") || !SSL_set1_groups_list(rig->conn->ssl, "P-256"))
        abort();
    SSL_set_tlsext_host_name(rig->peer, first);
    SSL_set_msg_callback(rig->peer, on_message);
    second_name = second;
    enum ss_status st = tls_rig_shake(rig);
    CHECKF(st == expected, "%s, %s: status %d, %s", first, second ? second : "the same", (int)st, rig->conn->reason);
    tls_rig_disconnect(rig);
}

static void test_a_second_name(void)
{
    struct tls_rig rig;
    tls_rig_open(&rig, &server);
    check_second_name(&rig, "www.test", NULL, SS_OK);
    check_second_name(&rig, "www.test", "admin.test", SS_ERROR);
    check_second_name(&rig, "www.test", "www.tes", SS_ERROR);
    check_second_name(&rig, NULL, NULL, SS_OK);
    check_second_name(&rig, NULL, "admin.test", SS_ERROR);
    tls_rig_close(&rig);
}

int main(void)
{
    RUN(test_each_split);
    RUN(test_a_second_name);
    RUN(test_fragments);
    RUN(test_long_hellos);
    RUN(test_what_is_none);
    RUN(test_lengths_in_extensions);
    RUN(test_contents_of_extensions);
    RUN(test_the_end_after_each_byte);
    return check_end();
}
