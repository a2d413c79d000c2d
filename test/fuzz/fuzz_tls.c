/* A TLS connection of ours, client or server, TLS 1.2 or 1.3, whose peer and whose calls an input steers: nothing that the peer has
 * not written is ever read, nor arrives what we have not written, a connection that has failed stays so, with the same error,
 * nothing is left in memory or in OpenSSL's queue of errors.
 *
 * An input: the kind, the descriptor's pieces, the changes of the peer's records (five bytes each), then events (one byte, and
 * what it takes). In a `raw` one nobody answers: all that arrives stands in the input. */
#include "chance.h"
#include "fuzz.h"
#include "fuzz_tls.h"
#include "tls/tls_cert.h"
#include "tls_rig.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LONGEST = 1 << 16, HEAD = 5, CHANGES = 7, EVENTS = 200 };

/* A change of one of the peer's records. */
struct change {
    enum tls_change kind;
    unsigned record, at, value;
};

/* A record that comes behind the next one. */
struct held {
    unsigned char bytes[1 << 15];
    size_t n;
};

struct header {
    struct tls_kind kind;
    bool raw, wants, leaves_one;
    size_t piece, room;
    struct change changes[CHANGES];
    size_t nchanges;
};

struct run {
    struct tls_rig rig; /* first: that of tls_rig.route; serves several runs */
    unsigned uses;      /* of the rig; 0: it is closed */
    struct progress {
        struct header head;
        bool installed, shaken, over, forges, rekeyed;
        unsigned records; /* of the peer, so far */
        struct held held;
        unsigned long sealed;                        /* records of data that the peer has sent */
        size_t peer_wrote, we_read, we_wrote, taken; /* bytes; `taken`: told as sent */
        bool failed;
        struct ss_error failure;
        char reason[SSTLS_REASON];
    } now;
};

static const unsigned char *noise; /* that of tls_noise */
static unsigned char bytes_read[LONGEST];

/* The peer's records on their way to us */

static void put_length(unsigned char *record, size_t n)
{
    record[3] = (unsigned char)(n >> 8);
    record[4] = (unsigned char)n;
}

static void pass(struct run *r, const unsigned char *record, size_t n)
{
    tls_rig_inject(&r->rig, record, n);
}

/* A record without its keys. */
static void pass_plain(struct run *r, unsigned type, const unsigned char *bytes, size_t n)
{
    unsigned char head[HEAD] = { (unsigned char)type, 3, 3 };
    put_length(head, n);
    pass(r, head, sizeof head);
    pass(r, bytes, n);
}

static void hold(struct run *r, const unsigned char *record, size_t n)
{
    r->now.held.n = n <= sizeof r->now.held.bytes ? n : 0;
    memcpy(r->now.held.bytes, record, r->now.held.n);
}

static void pass_shorter(struct run *r, unsigned char *record, size_t n)
{
    put_length(record, n > HEAD ? n - HEAD : 0);
    pass(r, record, n > HEAD ? n : HEAD);
}

static void pass_in_two(struct run *r, const unsigned char *record, size_t n, size_t at)
{
    const size_t first = at > HEAD ? at - HEAD : 0;
    pass_plain(r, record[0], record + HEAD, first);
    pass_plain(r, record[0], record + HEAD + first, n - HEAD - first);
}

/* Once more is passed than this connection may take. */
static void end_here(struct run *r, unsigned value)
{
    r->rig.wire.cut_in = r->rig.wire.in_len;
    r->rig.wire.code = value % 2 == 0 ? 0 : value % 4 == 1 ? ECONNRESET : ETIMEDOUT;
}

static void pass_changed(struct run *r, const struct change *c, unsigned char *record, size_t n)
{
    const size_t at = c->at % n;
    switch (c->kind) {
    case TLS_FLIP:
        record[at] ^= (unsigned char)(c->value ? c->value : 1);
        break;
    case TLS_SET:
        record[at] = (unsigned char)c->value;
        break;
    case TLS_CUT:
        pass(r, record, at);
        return;
    case TLS_SHORTEN:
        pass_shorter(r, record, at);
        return;
    case TLS_DROP:
        return;
    case TLS_DOUBLE:
        pass(r, record, n);
        break;
    case TLS_SWAP:
        hold(r, record, n);
        return;
    case TLS_PRECEDE:
        pass_plain(r, c->value, record + HEAD, at > HEAD ? at - HEAD : 0);
        break;
    case TLS_SPLIT:
        pass_in_two(r, record, n, at);
        return;
    case TLS_RETYPE:
        record[0] = (unsigned char)c->value;
        break;
    case TLS_END:
        pass(r, record, n);
        end_here(r, c->value);
        return;
    case TLS_CHANGES:
        break;
    }
    pass(r, record, n);
}

static void pass_record(struct run *r, unsigned char *record, size_t n)
{
    const struct change *change = NULL;
    struct held held = r->now.held;
    r->now.held.n = 0;
    for (size_t i = 0; i < r->now.head.nchanges; i++)
        if (r->now.head.changes[i].record == r->now.records)
            change = &r->now.head.changes[i];
    r->now.records++;
    if (change)
        pass_changed(r, change, record, n);
    else
        pass(r, record, n);
    pass(r, held.bytes, held.n);
}

static void route(struct tls_rig *rig, const unsigned char *bytes, size_t n)
{
    static unsigned char records[WIRE_SIZE];
    size_t len;
    memcpy(records, bytes, n);
    for (size_t at = 0; at < n; at += len) {
        len = n - at < HEAD ? n - at : HEAD + ((size_t)records[at + 3] << 8 | records[at + 4]);
        len = ss_min_size(len, n - at);
        CHECK(len >= HEAD);
        pass_record((struct run *)rig, records + at, len);
    }
}

/* What must hold */

static bool same_error(const struct ss_error *a, const struct ss_error *b)
{
    return a->space == b->space && a->code == b->code;
}

/* The first failure stays. */
static void check_failure(struct run *r)
{
    const struct sstls_conn *conn = r->rig.conn;
    if (!r->now.failed && conn->has_failed) {
        r->now.failed = true;
        r->now.failure = conn->failure;
        memcpy(r->now.reason, conn->reason, sizeof r->now.reason);
    }
    CHECK(r->now.failed == conn->has_failed);
    if (r->now.failed)
        CHECKF(same_error(&conn->failure, &r->now.failure) && strcmp(conn->reason, r->now.reason) == 0,
               "%s, and then %s", r->now.reason, conn->reason);
}

static void check_all(struct run *r)
{
    const struct tls_rig *rig = &r->rig;
    CHECK(ERR_peek_error() == 0);
    CHECK(rig->wire.in_at <= rig->wire.in_len);
    CHECKF(rig->got_len <= r->now.we_wrote && memcmp(rig->got, noise, rig->got_len) == 0, "%zu bytes of %zu",
           rig->got_len, r->now.we_wrote);
    if (r->now.over)
        return;
    CHECK(r->now.shaken == rig->conn->established);
    check_failure(r);
}

static void take_bytes(struct run *r, size_t n)
{
    CHECKF(n == 0 || r->now.shaken, "%zu bytes without a handshake", n);
    CHECKF(r->now.we_read + n <= r->now.peer_wrote, "%zu bytes more than %zu", r->now.we_read + n, r->now.peer_wrote);
    CHECKF(memcmp(bytes_read, noise + r->now.we_read, n) == 0, "other bytes than the peer has written");
    r->now.we_read += n;
}

/* Our calls */

static void begin_ours(struct run *r)
{
    ss_io_set_mode(&r->rig.sock.io, SS_NO_WAIT);
    tls_rig_runs_ours = true;
}

static void end_ours(struct run *r)
{
    tls_rig_runs_ours = false;
    tls_rig_run_peer(&r->rig);
}

/* As the module ends a connection; nothing of ours is called after that. */
static void leave(struct run *r)
{
    struct ss_io *io = &r->rig.sock.io;
    struct ss_error ignored;
    if (r->now.over || !r->now.installed)
        return;
    begin_ours(r);
    io->via->leave(io);
    CHECK(ERR_peek_error() == 0);
    r->now.over = true;
    ss_sock_close_quietly(&r->rig.sock, &ignored);
    end_ours(r);
}

static void shake(struct run *r)
{
    if (r->now.shaken || r->now.over)
        return;
    r->now.installed = true;
    enum ss_status st = tls_rig_drive(&r->rig, &r->rig.shake.op, SS_NO_WAIT);
    r->now.shaken = st == SS_OK;
    check_all(r);
    CHECKF(st == SS_OK || st == SS_ERROR || st == SS_TIMEOUT || st == SS_EOF, "status %d", (int)st);
    CHECK(st != SS_OK || !r->now.failed);
    if (st == SS_ERROR || st == SS_EOF)
        leave(r);
}

/* A read needs a block before it comes to the connection. */
static bool has_lacked_memory(const struct run *r, enum ss_status st, const struct ss_error *err)
{
    const struct heap *heap = &r->rig.heap;
    bool refused = heap->fail_from > 0 && heap->requests >= heap->fail_from;
    return refused && st == SS_ERROR && err->space == SS_SYSTEM && err->code == ENOMEM;
}

/* The outcome of a read or write on a connection that `had` failed before. */
static void check_outcome(const struct run *r, bool had, enum ss_status st, const struct ss_error *err)
{
    if (has_lacked_memory(r, st, err))
        return;
    if (!r->now.shaken) {
        CHECKF(st == SS_ERROR && err->space == SS_TLS && err->code == SS_TLS_HANDSHAKE, "status %d, error %d %d",
               (int)st, (int)err->space, err->code);
        return;
    }
    if (had)
        CHECKF(st == SS_ERROR && same_error(err, &r->now.failure), "status %d, error %d %d, and not %d %d", (int)st,
               (int)err->space, err->code, (int)r->now.failure.space, r->now.failure.code);
    if (st == SS_ERROR && err->space == SS_TLS)
        CHECK(r->now.failed && same_error(err, &r->now.failure));
}

static void read_bytes(struct run *r, size_t n, enum ss_mode mode)
{
    struct ss_error err = { SS_SYSTEM, 0 };
    const bool had = r->now.failed, ended = r->now.installed && !r->now.over && r->rig.conn->input_ended;
    const size_t buffered = r->now.over ? 0 : ss_inbuf_len(&r->rig.sock.in);
    size_t got = 0;
    if (!r->now.installed || r->now.over)
        return;
    n = ss_min_size(n, LONGEST);
    tls_rig_runs_ours = true;
    enum ss_status st = tls_rig_try_read(&r->rig, mode, bytes_read, n, &got, &err);
    end_ours(r);
    take_bytes(r, got);
    check_all(r);
    CHECKF(st != SS_OK || got == n, "%zu of %zu bytes", got, n);
    CHECK(st != SS_EOF || r->rig.conn->input_ended || r->rig.conn->reading_ended);
    if (buffered < n && !ended)
        check_outcome(r, had, st, &err);
}

static void write_bytes(struct run *r, size_t n, enum ss_mode mode)
{
    struct ss_error err = { SS_SYSTEM, 0 };
    const bool had = r->now.failed;
    size_t sent = 0;
    if (!r->now.installed || r->now.over)
        return;
    n = ss_min_size(n, TLS_NOISE - r->now.taken);
    r->now.we_wrote = r->now.taken + n; /* what a call has not counted the next one gives again */
    tls_rig_runs_ours = true;
    enum ss_status st = tls_rig_try_write(&r->rig, mode, noise + r->now.taken, n, &sent, &err);
    end_ours(r);
    CHECKF(sent <= n && (st != SS_OK || sent == n), "status %d, %zu of %zu bytes", (int)st, sent, n);
    r->now.taken += sent;
    check_all(r);
    r->now.we_wrote = r->now.taken;
    check_all(r);
    if (n > 0)
        check_outcome(r, had, st, &err);
    CHECK(!had || sent == 0);
}

static void end_ways(struct run *r, unsigned how)
{
    static const int ways[] = { SHUT_WR, SHUT_RD, SHUT_RDWR, SHUT_WR };
    struct ss_io *io = &r->rig.sock.io;
    struct ss_error err = { SS_SYSTEM, 0 };
    const bool had = r->now.failed;
    if (!r->now.installed || r->now.over)
        return;
    begin_ours(r);
    enum ss_status st = io->via->end(io, ways[how % 4], &err);
    end_ours(r);
    check_all(r);
    if (had || !r->now.shaken)
        check_outcome(r, had, st, &err);
}

static void ask_ready(struct run *r)
{
    const struct ss_io *io = &r->rig.sock.io;
    if (!r->now.installed || r->now.over)
        return;
    const unsigned calls = r->rig.wire.recvs + r->rig.wire.sends;
    begin_ours(r);
    io->via->is_ready(io);
    tls_rig_runs_ours = false;
    CHECK(r->rig.wire.recvs + r->rig.wire.sends == calls);
    check_all(r);
}

static void settle(struct run *r)
{
    if (!r->now.installed || r->now.over)
        return;
    ss_inbuf_shrink(&r->rig.sock.in);
    r->rig.sock.io.via->settle(&r->rig.sock.io);
    check_all(r);
}

static void ask_info(struct run *r)
{
    struct sstls_info info;
    if (!r->now.shaken || r->now.over)
        return;
    CHECK(sstls_info_init(&info, r->rig.conn));
    CHECK(info.server == r->rig.kind.server && info.has_peer == (!info.server || r->rig.kind.client_ca));
    CHECK(r->now.head.raw || strcmp(info.name, "a.test") == 0);
    CHECK(r->now.head.raw || strcmp(info.version, r->rig.kind.tls12 ? "TLSv1.2" : "TLSv1.3") == 0);
    CHECK(info.verified == info.has_peer && strcmp(info.reason, r->now.failed ? r->now.reason : "") == 0);
    sstls_info_fini(&info);
    check_all(r);
}

static void ask_keys(struct run *r, unsigned kind)
{
    unsigned char bytes[SSTLS_BINDING_MAX];
    size_t len;
    if (!r->now.shaken || r->now.over)
        return;
    if (kind % 4 == 3)
        sstls_export(r->rig.conn, "EXPERIMENTAL", 12, NULL, 0, bytes, sizeof bytes);
    else if (sstls_binding(r->rig.conn, (enum sstls_binding)(kind % 4), bytes, &len))
        CHECK(len > 0 && len <= sizeof bytes);
    check_all(r);
}

static void look_at_hello(struct run *r)
{
    struct sstls_hello op;
    struct ss_inbuf *in = &r->rig.sock.in;
    if (r->now.installed)
        return;
    SSL_CTX *ctx = sstls_hello_ctx_new();
    if (!ctx)
        abort();
    sstls_hello_init(&op, &r->rig.sock, ctx);
    enum ss_status st = tls_rig_drive(&r->rig, &op.op, SS_NO_WAIT);
    CHECK(st != SS_OK || op.found);
    CHECK(r->rig.wire.in_at == ss_inbuf_len(in) && r->rig.wire.out_len == 0);
    sstls_hello_fini(&op);
    SSL_CTX_free(ctx);
    check_all(r);
}

/* The peer's */

static bool peer_can_write(const struct run *r)
{
    return !r->now.head.raw && SSL_is_init_finished(r->rig.peer) && r->rig.peer_error == 0 &&
           (SSL_get_shutdown(r->rig.peer) & SSL_SENT_SHUTDOWN) == 0;
}

/* From then on all records are forged, behind those that the peer has sent. */
static bool can_forge(struct run *r)
{
    bool can = r->now.forges || (peer_can_write(r) && !r->rig.kind.tls12 && !r->now.rekeyed &&
                                 SSL_version(r->rig.peer) == TLS1_3_VERSION);
    if (can && !r->now.forges)
        r->rig.sequence = r->now.sealed;
    r->now.forges = can;
    return can;
}

static void run_peer(struct run *r)
{
    tls_rig_run_peer(&r->rig);
    check_all(r);
}

static void peer_write(struct run *r, size_t n)
{
    size_t written = 0;
    n = ss_min_size(ss_min_size(n, 16384), TLS_NOISE - r->now.peer_wrote);
    const unsigned char *bytes = noise + r->now.peer_wrote;
    if (r->now.forges) {
        tls_rig_forge(&r->rig, DATA, bytes, n, 0);
        written = n;
    } else if (n > 0 && peer_can_write(r) && SSL_write_ex(r->rig.peer, bytes, n, &written) == 1) {
        r->now.sealed++;
    }
    r->now.peer_wrote += written;
    run_peer(r);
}

static void peer_end(struct run *r)
{
    if (r->now.forges) {
        tls_rig_forge_alert(&r->rig, 1, 0);
    } else if (peer_can_write(r)) {
        SSL_shutdown(r->rig.peer);
        r->now.sealed++;
    }
    run_peer(r);
}

static void peer_update(struct run *r, bool requested)
{
    if (r->now.forges) {
        tls_rig_forge_key_update(&r->rig, requested);
    } else if (peer_can_write(r) && !r->rig.kind.tls12) {
        SSL_key_update(r->rig.peer, requested ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
        SSL_do_handshake(r->rig.peer);
        r->now.rekeyed = true;
    }
    run_peer(r);
}

static void forge(struct run *r, struct input *in)
{
    static const unsigned char types[] = { ALERT, HANDSHAKE, CCS, DATA, 0, 24, 255, HANDSHAKE };
    const unsigned type = types[input_byte(in) % 8];
    const size_t pad = input_byte(in), want = input_byte(in);
    size_t n;
    const uint8_t *bytes = input_bytes(in, want, &n);
    if (!can_forge(r))
        return;
    if (type == DATA)
        peer_write(r, n);
    else
        tls_rig_forge(&r->rig, (int)type, bytes, n, pad);
    check_all(r);
}

static void give_raw(struct run *r, struct input *in, size_t want)
{
    size_t n;
    const uint8_t *bytes = input_bytes(in, want, &n);
    tls_rig_inject(&r->rig, bytes, n);
}

/* The descriptor's */

static const size_t pieces[] = { SIZE_MAX, 1, 2, 5, 7, 64, 1000, 16384 },
                    rooms[] = { SIZE_MAX, 0, 1, 2, 27, 64, 1000, 16384 };

static void refuse_memory(struct run *r, unsigned n)
{
    r->rig.heap.fail_from = r->rig.heap.requests + 1 + n % 16;
    r->rig.heap.fail_count = 1 + n / 16;
}

/* An event */

static enum ss_mode mode_of(unsigned n)
{
    static const enum ss_mode modes[] = { SS_NO_WAIT, SS_NO_WAIT, SS_NO_CALL, SS_WAIT_ONCE };
    return modes[n % 4];
}

static void run_call(struct run *r, enum tls_event kind, struct input *in)
{
    const unsigned mode = kind == TLS_READ || kind == TLS_WRITE ? input_byte(in) : 0;
    switch (kind) {
    case TLS_SHAKE:
        shake(r);
        break;
    case TLS_READ:
        read_bytes(r, input_word(in), mode_of(mode));
        break;
    case TLS_WRITE:
        write_bytes(r, input_word(in), mode_of(mode));
        break;
    case TLS_SHUT:
        end_ways(r, input_byte(in));
        break;
    case TLS_LEAVE:
        leave(r);
        break;
    case TLS_READY:
        ask_ready(r);
        break;
    case TLS_SETTLE:
        settle(r);
        break;
    case TLS_INFO:
        ask_info(r);
        break;
    case TLS_KEYS:
        ask_keys(r, input_byte(in));
        break;
    default:
        look_at_hello(r);
    }
}

static void run_outside(struct run *r, enum tls_event kind, struct input *in)
{
    switch (kind) {
    case TLS_PEER_WRITE:
        peer_write(r, input_word(in));
        break;
    case TLS_PEER_END:
        peer_end(r);
        break;
    case TLS_PEER_UPDATE:
        peer_update(r, input_byte(in) % 2 == 1);
        break;
    case TLS_FORGE:
        forge(r, in);
        break;
    case TLS_RAW:
        give_raw(r, in, input_word(in));
        break;
    case TLS_REST:
        give_raw(r, in, in->left);
        break;
    case TLS_DEAF:
        r->rig.peer_deaf = r->now.head.raw || !r->rig.peer_deaf;
        break;
    case TLS_ENDS:
        end_here(r, input_byte(in));
        break;
    case TLS_PIECE:
        r->rig.wire.read_most = pieces[input_byte(in) % 8];
        break;
    case TLS_ROOM:
        r->rig.wire.send_most = rooms[input_byte(in) % 8];
        break;
    default:
        refuse_memory(r, input_byte(in));
    }
}

static void run_event(struct run *r, struct input *in)
{
    const enum tls_event kind = (enum tls_event)(input_byte(in) % TLS_EVENTS);
    if (kind < TLS_PEER_WRITE)
        run_call(r, kind, in);
    else
        run_outside(r, kind, in);
}

/* All that can still come comes, then the connection ends. */
static void finish(struct run *r)
{
    struct wire *w = &r->rig.wire;
    r->rig.heap.fail_from = 0;
    w->send_most = SIZE_MAX;
    for (int round = 0; round < 2; round++) {
        shake(r);
        size_t before;
        do {
            before = r->now.we_read + w->in_at;
            read_bytes(r, 1000, SS_NO_WAIT);
        } while (r->now.we_read + w->in_at != before);
        write_bytes(r, 0, SS_NO_WAIT);
        write_bytes(r, 10, SS_NO_WAIT);
        w->ends = true;
    }
}

static struct header read_header(struct input *in)
{
    const unsigned flags = input_byte(in);
    struct header h = { .raw = (flags & TLS_IS_RAW) != 0 };
    h.kind.server = (flags & TLS_IS_SERVER) != 0;
    h.kind.tls12 = (flags & TLS_IS_12) != 0;
    h.kind.sessions = flags & TLS_HAS_SESSIONS ? 2 : 0;
    h.kind.client_ca = h.kind.server && (flags & TLS_ASKS) != 0;
    h.wants = (flags & TLS_WANTS) != 0;
    h.leaves_one = (flags & TLS_LEAVES_ONE) != 0;
    h.piece = pieces[input_byte(in) % 8];
    h.room = rooms[input_byte(in) % 8];
    h.nchanges = input_byte(in) % (CHANGES + 1);
    for (size_t i = 0; i < h.nchanges; i++) {
        h.changes[i].kind = (enum tls_change)(input_byte(in) % TLS_CHANGES);
        h.changes[i].record = input_byte(in);
        h.changes[i].at = input_word(in);
        h.changes[i].value = input_byte(in);
    }
    return h;
}

/* Contexts take longer than a connection, and serve several. With sessions they do not: a run would depend on those before it. */
static struct run *take_run(const struct header *head)
{
    static struct run runs[16];
    const struct tls_kind *kind = &head->kind;
    struct run *r = &runs[kind->server + 2 * kind->tls12 + 4 * (kind->sessions > 0) + 8 * kind->client_ca];
    if (r->uses == 0)
        tls_rig_open(&r->rig, &head->kind);
    r->uses++;
    memset(&r->now, 0, sizeof r->now);
    r->now.head = *head;
    return r;
}

/* Checks that no memory is left, of all runs with this rig. */
static void give_run(struct run *r)
{
    enum { USES = 16 };
    tls_rig_disconnect(&r->rig);
    if (r->rig.kind.sessions == 0 && r->uses < USES)
        return;
    r->uses = 0;
    tls_rig_close(&r->rig);
}

static struct run *begin(struct input *in)
{
    const struct header head = read_header(in);
    struct run *r = take_run(&head);
    tls_rig_connect(&r->rig);
    r->rig.wire.wants = head.wants;
    r->rig.wire.send_leaves_one = head.leaves_one;
    r->rig.wire.read_most = head.piece;
    r->rig.wire.send_most = head.room;
    r->rig.route = route;
    r->rig.peer_deaf = head.raw;
    r->now.peer_wrote = head.raw ? TLS_NOISE : 0;
    chance_begin();
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    noise = tls_noise();
    struct run *r = begin(&in);
    for (int i = 0; i < EVENTS && in.left > 0; i++)
        run_event(r, &in);
    finish(r);
    if (size % 2 == 0)
        leave(r);
    r->rig.heap.fail_from = 0;
    give_run(r);
    return 0;
}
