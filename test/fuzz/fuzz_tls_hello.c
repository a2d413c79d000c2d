/* The look at the ClientHello: the pieces in which it comes change nothing, nothing is taken or answered, and what is told of a
 * hello that is built here is what stands in its extensions, taken apart in another way.
 *
 * An input: flags, the pieces, the size of records; then the bytes that arrive, or, where the hello is built, its version, the length
 * of its session id, and extensions (kind, length, body). */
#include "fuzz.h"
#include "tls_rig.h"

#include <openssl/err.h>
#include <openssl/tls1.h>
#include <stdlib.h>
#include <string.h>

enum { BUILT = 1, ENDS = 2, MESSAGE = 1 << 16, HEAD = 5, KINDS = 7 };

enum outcome { FOUND, NO_HELLO, TOO_SHORT, MORE_WANTED };

struct look {
    enum outcome outcome;
    bool version12, version13;
    char name[SS_HOST_MAX + 1];
    unsigned char alpn[MESSAGE];
    size_t alpn_len;
};

static struct tls_rig rig;
static SSL_CTX *ctx;

/* Once: it takes longer than a look. A leak checker tells what a look has left. */
static void open_rig(void)
{
    static const struct tls_kind server = { .server = true };
    if (ctx)
        return;
    tls_rig_open(&rig, &server);
    ctx = sstls_hello_ctx_new();
    if (!ctx)
        abort();
}

/* The look itself */

static enum outcome outcome_of(enum ss_status st, const struct ss_error *err)
{
    if (st == SS_OK || st == SS_TIMEOUT)
        return st == SS_OK ? FOUND : MORE_WANTED;
    CHECKF(st == SS_ERROR && err->space == SS_TLS, "status %d, error %d %d", (int)st, (int)err->space, err->code);
    CHECK(err->code == SS_TLS_PROTOCOL || err->code == SS_TLS_EOF);
    return err->code == SS_TLS_EOF ? TOO_SHORT : NO_HELLO;
}

static void take_look(struct look *look, const struct sstls_hello *op)
{
    if (look->outcome != FOUND)
        return;
    look->version12 = op->version12;
    look->version13 = op->version13;
    memcpy(look->name, op->name, sizeof look->name);
    look->alpn_len = op->alpn_len;
    if (op->alpn_len > 0)
        memcpy(look->alpn, op->alpn, op->alpn_len);
}

static void check_same(const struct look *a, const struct look *b, const char *what)
{
    CHECKF(a->outcome == b->outcome, "%s: %d, and not %d", what, (int)b->outcome, (int)a->outcome);
    if (a->outcome != FOUND)
        return;
    CHECKF(strcmp(a->name, b->name) == 0, "%s: '%s', and not '%s'", what, b->name, a->name);
    CHECKF(a->alpn_len == b->alpn_len && memcmp(a->alpn, b->alpn, a->alpn_len) == 0, "%s: other protocols", what);
    CHECKF(a->version12 == b->version12 && a->version13 == b->version13, "%s: other versions", what);
}

static void run_look(struct look *look, bool ends)
{
    struct sstls_hello op;
    sstls_hello_init(&op, &rig.sock, ctx);
    enum ss_status st = tls_rig_drive(&rig, &op.op, SS_NO_WAIT);
    if (st == SS_TIMEOUT && ends) {
        rig.wire.ends = true;
        st = tls_rig_drive(&rig, &op.op, SS_NO_WAIT);
    }
    look->outcome = outcome_of(st, &op.op.error);
    take_look(look, &op);
    sstls_hello_fini(&op);
    CHECK(ERR_peek_error() == 0);
}

/* Twice, as two calls of a program. */
static void look_at(struct look *look, const uint8_t *bytes, size_t n, size_t most, bool ends)
{
    static struct look again;
    tls_rig_connect(&rig);
    rig.peer_deaf = true;
    rig.wire.read_most = most;
    tls_rig_inject(&rig, bytes, n);
    run_look(look, ends);
    const struct ss_inbuf *in = &rig.sock.in;
    CHECK(ss_inbuf_len(in) == rig.wire.in_at && memcmp(ss_inbuf_data(in), bytes, rig.wire.in_at) == 0);
    CHECK(rig.wire.out_len == 0 && !ss_io_has_layer(&rig.sock.io));
    run_look(&again, ends);
    check_same(look, &again, "a second call");
    tls_rig_disconnect(&rig);
}

/* What stands in extensions. A list of TLS: its length in `width` bytes, which is all that there is. */

static bool is_list(const uint8_t *body, size_t n, size_t width)
{
    size_t len = 0;
    for (size_t i = 0; i < width && i < n; i++)
        len = len * 256 + body[i];
    return n >= width && len + width == n;
}

static bool model_name(struct look *m, const uint8_t *body, size_t n)
{
    if (!is_list(body, n, 2) || n < 5 || body[2] != 0)
        return false;
    const size_t len = (size_t)body[3] * 256 + body[4];
    if (len == 0 || len > SS_HOST_MAX || 5 + len != n)
        return false;
    for (size_t i = 0; i < len; i++)
        m->name[i] = (char)(body[5 + i] >= 65 && body[5 + i] <= 90 ? body[5 + i] | 32 : body[5 + i]);
    m->name[len] = '\0';
    return strlen(m->name) == len;
}

static bool model_alpn(struct look *m, const uint8_t *body, size_t n)
{
    if (!is_list(body, n, 2) || n == 2)
        return false;
    size_t at = 2;
    while (at < n && body[at] > 0)
        at += 1 + (size_t)body[at];
    m->alpn_len = n - 2;
    memcpy(m->alpn, body + 2, n - 2);
    return at == n;
}

static bool model_versions(struct look *m, const uint8_t *body, size_t n)
{
    m->version12 = m->version13 = false;
    for (size_t i = 1; i + 1 < n; i += 2) {
        m->version12 = m->version12 || (body[i] == 3 && body[i + 1] == 3);
        m->version13 = m->version13 || (body[i] == 3 && body[i + 1] == 4);
    }
    return is_list(body, n, 1) && n % 2 == 1 && n > 1;
}

static bool model_extension(struct look *m, unsigned type, const uint8_t *body, size_t n)
{
    switch (type) {
    case TLSEXT_TYPE_server_name:
        return model_name(m, body, n);
    case TLSEXT_TYPE_application_layer_protocol_negotiation:
        return model_alpn(m, body, n);
    case TLSEXT_TYPE_supported_versions:
        return model_versions(m, body, n);
    default:
        return true;
    }
}

/* A hello that is well-formed but for its extensions */

struct message {
    uint8_t bytes[MESSAGE];
    size_t n;
};

static void add(struct message *m, const void *bytes, size_t n)
{
    if (m->n + n > MESSAGE)
        abort();
    memcpy(m->bytes + m->n, bytes, n);
    m->n += n;
}

static void add_number(struct message *m, size_t number, size_t width)
{
    while (width-- > 0)
        add(m, &(uint8_t){ (uint8_t)(number >> (8 * width)) }, 1);
}

/* Kinds beyond the third have right lengths in front of what the input has. */
static void build_body(struct message *body, unsigned kind, const uint8_t *bytes, size_t n)
{
    body->n = 0;
    if (kind == 4) {
        add_number(body, n + 3, 2);
        add_number(body, 0, 1);
    }
    if (kind == 4 || kind == 5)
        add_number(body, n, 2);
    else if (kind == 6)
        add_number(body, n, 1);
    add(body, bytes, n);
}

/* An extension, and what the model makes of it. The library refuses one that comes twice. */
static bool build_extension(struct message *all, struct input *in, struct look *m, unsigned *seen)
{
    static const unsigned types[KINDS] = { 0, 16, 43, 0xfa00, 0, 16, 43 };
    static struct message body;
    const unsigned kind = input_byte(in) % KINDS;
    const size_t want = kind == 3 ? input_word(in) % 8192 : input_byte(in);
    const unsigned type = types[kind] | (kind == 3 ? all->n % 256 : 0), bit = 1U << kind % 4;
    size_t n;
    const uint8_t *bytes = input_bytes(in, want, &n);
    build_body(&body, kind, bytes, n);
    add_number(all, type, 2);
    add_number(all, body.n, 2);
    add(all, body.bytes, body.n);
    const bool twice = kind != 3 && (*seen & bit) != 0;
    *seen |= bit;
    return !twice && model_extension(m, type, body.bytes, body.n);
}

static void build_message(struct message *hello, struct message *extensions, struct input *in, struct look *m)
{
    const unsigned version = input_word(in), id = input_byte(in) % 33;
    static const uint8_t zeros[32];
    unsigned seen = 0;
    m->outcome = FOUND;
    m->version12 = version >= 0x303;
    while (in->left > 0 && extensions->n < MESSAGE / 4)
        if (!build_extension(extensions, in, m, &seen))
            m->outcome = NO_HELLO;
    const size_t rest = 2 + 32 + 1 + id + 4 + 2 + 2 + extensions->n;
    add_number(hello, 1, 1);
    add_number(hello, rest, 3);
    add_number(hello, version, 2);
    add(hello, zeros, 32);
    add_number(hello, id, 1);
    add(hello, zeros, id);
    add(hello, "\0\2\x13\1\1\0", 6);
    add_number(hello, extensions->n, 2);
    add(hello, extensions->bytes, extensions->n);
}

static void cut_into_records(struct message *wire, const struct message *m, size_t size)
{
    for (size_t at = 0; at < m->n; at += size) {
        const size_t n = ss_min_size(size, m->n - at);
        add(wire, "\x16\3\1", 3);
        add_number(wire, n, 2);
        add(wire, m->bytes + at, n);
    }
}

static void try_built(struct input *in, size_t most, size_t record)
{
    static struct look model, look;
    static struct message hello, extensions, wire;
    hello.n = extensions.n = wire.n = 0;
    memset(&model, 0, sizeof model);
    build_message(&hello, &extensions, in, &model);
    cut_into_records(&wire, &hello, record);
    look_at(&look, wire.bytes, wire.n, most, false);
    check_same(&model, &look, "as built");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct look whole, parts;
    struct input in = { data, size };
    const unsigned flags = input_byte(&in);
    const size_t most = 1 + input_byte(&in), record = 1 + input_byte(&in) * 16;
    open_rig();
    if (flags & BUILT) {
        try_built(&in, most, record);
        return 0;
    }
    look_at(&whole, in.data, in.left, SIZE_MAX, (flags & ENDS) != 0);
    look_at(&parts, in.data, in.left, most, (flags & ENDS) != 0);
    check_same(&whole, &parts, "in pieces");
    return 0;
}
