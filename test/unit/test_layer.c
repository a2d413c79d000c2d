/* Stream operations, drivers and sockets with a layer over the descriptor: the same bytes as without, whatever the pieces of
 * its frames; what was counted as sent arrives, whatever comes after a time-out; and each of the layer's functions is called
 * when it is to be, never without a layer. */
#include "check.h"
#include "core/op_finish.h"
#include "core/op_passing.h"
#include "core/op_read.h"
#include "core/op_shutdown.h"
#include "core/op_write.h"
#include "layer.h"
#include "os/os_poller.h"
#include "pair.h"
#include "rig.h"
#include "run/block.h"
#include "run/loop.h"
#include "run/try.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RAW = 512, SIZES = 4 };

static const size_t sizes[SIZES] = { LAYER_MOST, 1, 7, 19 };
static const struct feed at_once = { .mode = SS_NO_WAIT };

/* A rig with a layer over its peer. */
struct world {
    struct rig rig;
    struct layer *layer;
    struct layer_calls calls;
    const struct ss_transport *below;
    struct peer_event script[4];
    char raw[RAW];
    unsigned char sent[RAW];
};

static enum ss_status try_text(struct ss_io *io, const char *text, size_t *sent, struct ss_error *err)
{
    const struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
    return ss_try_send(io, &iov, 1, iov.iov_len, sent, err);
}

static void open_layer(struct world *w, const struct feed *feed)
{
    rig_play(&w->rig, w->script, feed);
    w->rig.peer.sent = w->sent;
    w->rig.peer.stop_at = RAW;
    w->below = w->rig.peer.io.via;
    w->layer = layer_open(&w->rig.peer.io, &w->rig.pool, NULL, &w->calls);
}

static void remove_layer(struct world *w)
{
    layer_drop(&w->rig.peer.io, w->below);
    CHECK(w->calls.free == 1 && w->rig.peer.io.via == w->below);
}

static void open_world(struct world *w)
{
    memset(w, 0, sizeof *w);
    rig_open(&w->rig);
}

static void close_world(struct world *w)
{
    rig_close(&w->rig);
}

/* The peer sends `text` in frames of at most `size` bytes, then the end of the stream. Returns the number of raw bytes. */
static size_t write_script(struct world *w, const char *text, size_t size)
{
    unsigned char *raw = (unsigned char *)w->raw;
    size_t len = layer_encode(raw, 0, text, strlen(text), size);
    len += layer_encode_end(raw + len);
    w->script[0] = (struct peer_event){ PEER_BYTES, w->raw, len, 0 };
    w->script[1] = (struct peer_event){ PEER_EOF, NULL, 0, 0 };
    w->script[2] = (struct peer_event){ PEER_END, NULL, 0, 0 };
    return len;
}

static enum ss_status run(struct world *w, struct ss_op *op, int events)
{
    op->io = &w->rig.peer.io;
    return peer_run(&w->rig.peer, op, events);
}

static void check_next(struct world *w, const char *text, size_t len, size_t skip, const char *what)
{
    struct ss_inbuf *in = &w->rig.in;
    bool same = ss_inbuf_len(in) >= len && memcmp(ss_inbuf_data(in), text, len) == 0;
    CHECKF(same, "%s: not '%.*s'", what, (int)len, text);
    ss_inbuf_consume(in, same ? len + skip : ss_inbuf_len(in));
}

/* Reading */

static const char whole_text[] = "GET / HTTP/1.0\r\nHost: a.test\n0123456789some, and then all of the rest";

static void check_until(struct world *w)
{
    size_t border[2];
    struct ss_find find = { .pattern = (const unsigned char *)"\r\n", .len = 2, .border = border };
    ss_find_init(&find);
    struct ss_until op = { .op = { .step = ss_until_step }, .in = &w->rig.in, .find = &find, .max = SIZE_MAX };
    CHECK(run(w, &op.op, SS_READABLE) == SS_OK && op.len == 14);
    check_next(w, whole_text, 14, 2, "until");
}

static void check_line(struct world *w)
{
    struct ss_line op = { .op = { .step = ss_line_step }, .in = &w->rig.in, .max = 100 };
    CHECK(run(w, &op.op, SS_READABLE) == SS_OK && op.len == 12 && op.skip == 1);
    check_next(w, whole_text + 16, 12, 1, "line");
}

static size_t check_read(struct world *w, enum ss_status (*step)(struct ss_op *), size_t want, size_t at)
{
    struct ss_read op = { .op = { .step = step }, .in = &w->rig.in, .want = want };
    CHECK(run(w, &op.op, SS_READABLE) == SS_OK && op.len > 0 && op.len <= want);
    check_next(w, whole_text + at, op.len, 0, "read");
    return at + op.len;
}

/* The bytes stay. */
static void check_peek(struct world *w, size_t at)
{
    struct ss_read op = { .op = { .step = ss_readsome_step }, .in = &w->rig.in, .want = 4 };
    CHECK(run(w, &op.op, SS_READABLE) == SS_OK && op.len > 0 && op.len <= 4);
    CHECK(memcmp(ss_inbuf_data(&w->rig.in), whole_text + at, op.len) == 0);
}

/* As often as one asks. */
static void check_peer_end(struct world *w)
{
    for (int i = 0; i < 3; i++) {
        struct ss_read op = { .op = { .step = ss_readsome_step }, .in = &w->rig.in, .want = 4 };
        unsigned calls = w->rig.peer.calls;
        CHECK(run(w, &op.op, SS_READABLE) == SS_EOF && w->rig.peer.calls == calls);
        CHECK(w->layer->via.is_ready(&w->rig.peer.io));
    }
}

static void check_reading(struct world *w)
{
    size_t at = 29;
    check_until(w);
    check_line(w);
    check_peek(w, at);
    at = check_read(w, ss_readn_step, 10, at);
    CHECK(at == 39);
    at = check_read(w, ss_readsome_step, 4, at);
    at = check_read(w, ss_readall_step, 1000, at);
    CHECK(at == strlen(whole_text));
    check_peer_end(w);
}

static void test_reads_of_all_splits(void)
{
    struct world w;
    struct feed feed;
    open_world(&w);
    for (size_t i = 0; i < SIZES; i++) {
        size_t len = write_script(&w, whole_text, sizes[i]);
        for (size_t way = 0; feed_get(way, len, &feed); way++) {
            open_layer(&w, &feed);
            check_reading(&w);
            CHECK(w.calls.flush == 0 && w.calls.end == 0 && w.calls.leave == 0 && w.calls.free == 0);
            remove_layer(&w);
        }
    }
    close_world(&w);
}

static size_t whole_bytes(const struct world *w, size_t raw_len)
{
    unsigned char bytes[RAW];
    size_t whole;
    bool ended;
    return layer_decode((const unsigned char *)w->raw, raw_len, bytes, &whole, &ended);
}

/* Reads all that there is: the bytes of whole frames, none of the others. */
static enum ss_status read_rest(struct world *w, size_t expected, struct ss_error *err)
{
    struct ss_read op = { .op = { .step = ss_readall_step }, .in = &w->rig.in, .want = 1000 };
    enum ss_status st = run(w, &op.op, SS_READABLE);
    size_t len = ss_inbuf_len(&w->rig.in);
    CHECKF(len == expected && memcmp(ss_inbuf_data(&w->rig.in), whole_text, len) == 0, "%zu bytes, not %zu", len,
           expected);
    *err = op.op.error;
    return st;
}

static void test_the_end_of_the_connection_after_each_byte(void)
{
    struct world w;
    struct ss_error err;
    open_world(&w);
    for (size_t i = 0; i < SIZES; i++)
        for (size_t len = write_script(&w, whole_text, sizes[i]), cut = 0; cut < len; cut++) {
            w.script[0].len = cut;
            open_layer(&w, &at_once);
            for (int again = 0; again < 2; again++)
                CHECK(read_rest(&w, whole_bytes(&w, cut), &err) == SS_ERROR && err.space == SS_TLS &&
                      err.code == SS_TLS_EOF);
            remove_layer(&w);
        }
    close_world(&w);
}

/* Whoever goes on after an error has lost nothing. */
static void test_an_error_after_each_byte(void)
{
    struct world w;
    struct ss_error err;
    open_world(&w);
    for (size_t len = write_script(&w, whole_text, 7), cut = 0; cut < len; cut++) {
        w.script[0].len = cut;
        w.script[1] = (struct peer_event){ PEER_FAIL, NULL, 0, ECONNRESET };
        w.script[2] = (struct peer_event){ PEER_BYTES, w.raw + cut, len - cut, 0 };
        open_layer(&w, &at_once);
        CHECK(read_rest(&w, whole_bytes(&w, cut), &err) == SS_ERROR && err.space == SS_SYSTEM &&
              err.code == ECONNRESET);
        CHECK(read_rest(&w, strlen(whole_text), &err) == SS_OK);
        remove_layer(&w);
    }
    close_world(&w);
}

static void test_a_frame_that_is_none(void)
{
    struct world w;
    struct ss_error err;
    open_world(&w);
    size_t len = layer_encode((unsigned char *)w.raw, 0, whole_text, 10, 10);
    memcpy(w.raw + len, "\xff\xff", 2);
    w.script[0] = (struct peer_event){ PEER_BYTES, w.raw, len + 2, 0 };
    open_layer(&w, &at_once);
    for (int again = 0; again < 2; again++)
        CHECK(read_rest(&w, 10, &err) == SS_ERROR && err.space == SS_TLS && err.code == SS_TLS_PROTOCOL);
    CHECK(w.layer->via.is_ready(&w.rig.peer.io));
    remove_layer(&w);
    close_world(&w);
}

/* Of the layer's buffer or the socket's: the call fails, the next goes on. */
static void test_memory_is_refused(void)
{
    struct world w;
    struct ss_error err;
    for (size_t n = 1; n < 8; n++) {
        open_world(&w);
        write_script(&w, whole_text, 7);
        open_layer(&w, &(struct feed){ .mode = SS_NO_WAIT, .piece = 5 });
        w.rig.heap.fail_from = w.rig.heap.requests + n;
        w.rig.heap.fail_count = 1;
        struct ss_read op = { .op = { .step = ss_readall_step }, .in = &w.rig.in, .want = 1000 };
        enum ss_status st = run(&w, &op.op, SS_READABLE);
        CHECK(st == SS_OK || (st == SS_ERROR && op.op.error.space == SS_SYSTEM && op.op.error.code == ENOMEM));
        CHECK(st == SS_OK || n < 7);
        CHECK(read_rest(&w, strlen(whole_text), &err) == SS_OK);
        remove_layer(&w);
        close_world(&w);
    }
}

/* The blocks of the layer and of the socket serve again and again. */
static void test_blocks_are_not_made_for_each_read(void)
{
    struct world w;
    size_t requests = 0;
    open_world(&w);
    write_script(&w, whole_text, 7);
    for (int round = 0; round < 20; round++) {
        open_layer(&w, &at_once);
        check_reading(&w);
        remove_layer(&w);
        if (round == 0)
            requests = w.rig.heap.requests;
    }
    CHECKF(w.rig.heap.requests == requests + 19, "%zu allocations", w.rig.heap.requests - requests); /* the layers */
    close_world(&w);
}

/* Readiness */

static void receive_raw(struct world *w, size_t len)
{
    struct ss_error err;
    w->script[0].len = len;
    w->script[1] = (struct peer_event){ PEER_END, NULL, 0, 0 };
    open_layer(w, &at_once);
    ss_io_set_mode(&w->rig.peer.io, SS_NO_WAIT);
    CHECK(len == 0 || ss_inbuf_fill_from(&w->layer->raw, w->below, &w->rig.peer.io, 1, &err) == SS_OK);
    CHECK(ss_inbuf_len(&w->layer->raw) == len && ss_inbuf_len(&w->rig.in) == 0);
}

/* Half a frame is no reason to read, and a whole one needs no call. */
static void test_what_is_ready(void)
{
    struct world w;
    open_world(&w);
    for (int i = 0; i < 2; i++) {
        const char *frames = i == 0 ? "abcdefghij" : ""; /* the latter: the end */
        size_t len = write_script(&w, frames, 10), whole = i == 0 ? len - LAYER_HEAD : len;
        for (size_t cut = 0; cut <= len; cut++) {
            receive_raw(&w, cut);
            unsigned calls = w.rig.peer.calls;
            bool ready = w.layer->via.is_ready(&w.rig.peer.io);
            CHECKF(ready == (cut >= whole), "with %zu of %zu bytes", cut, whole);
            ss_io_set_mode(&w.rig.peer.io, SS_NO_CALL);
            struct ss_read op = { .op = { .step = ss_readsome_step, .io = &w.rig.peer.io },
                                  .in = &w.rig.in,
                                  .want = 1 };
            enum ss_status expected = !ready ? SS_WANT : i == 0 ? SS_OK : SS_EOF;
            CHECK(op.op.step(&op.op) == expected && w.rig.peer.calls == calls);
            remove_layer(&w);
        }
    }
    close_world(&w);
}

/* Writing */

static const char first_text[] = "The first write, which takes several frames, some of them whole.";
static const char other_text[] = "ANOTHER ONE, WITH AS MANY BYTES, WHICH THE PEER MUST GET AS WELL";

struct writing {
    struct ss_write op;
    struct iovec iov[3];
};

/* In three buffers. */
static void make_writing(struct writing *x, const char *bytes, size_t len)
{
    size_t a = len / 3, b = len / 2;
    x->iov[0] = (struct iovec){ .iov_base = (void *)bytes, .iov_len = a };
    x->iov[1] = (struct iovec){ .iov_base = (void *)(bytes + a), .iov_len = b - a };
    x->iov[2] = (struct iovec){ .iov_base = (void *)(bytes + b), .iov_len = len - b };
    x->op = (struct ss_write){ .op = { .step = ss_write_step }, .iov = x->iov, .n = 3 };
}

/* The peer has got these bytes in whole frames, and nothing is held. */
static void check_sent(const struct world *w, const char *bytes, size_t len, bool expect_end)
{
    unsigned char got[RAW];
    size_t whole = 0;
    bool ended;
    size_t n = layer_decode(w->sent, w->rig.peer.nsent, got, &whole, &ended);
    CHECKF(n == len && whole == w->rig.peer.nsent, "%zu bytes, not %zu", n, len);
    CHECKF(n == len && memcmp(got, bytes, len) == 0, "sent '%.*s'", (int)len, (const char *)got);
    CHECK(ended == expect_end && w->layer->first == w->layer->last);
    CHECK(!w->rig.peer.sent_none);
}

static void test_writes_in_all_pieces(void)
{
    struct world w;
    struct feed feed;
    struct writing x;
    int flushes = 0;
    open_world(&w);
    for (size_t way = 0; feed_get(way, 70, &feed); way++) {
        open_layer(&w, &feed);
        make_writing(&x, first_text, strlen(first_text));
        CHECK(run(&w, &x.op.op, SS_WRITABLE) == SS_OK && x.op.sent == strlen(first_text));
        check_sent(&w, first_text, x.op.sent, false);
        CHECK(w.calls.end == 0 && w.calls.leave == 0 && w.calls.is_ready == 0);
        flushes += w.calls.flush;
        remove_layer(&w);
    }
    CHECK(flushes > 0); /* where a write waits after all of it is taken */
    close_world(&w);
}

/* The time is over after each raw byte. Then another write follows, or the same goes on: the peer gets what was counted. */
static void check_stop(struct world *w, const struct feed *feed, size_t stop, bool goes_on)
{
    char all[RAW];
    struct writing x;
    open_layer(w, feed);
    w->rig.peer.stop_at = stop;
    make_writing(&x, first_text, strlen(first_text));
    CHECK(run(w, &x.op.op, SS_WRITABLE) == SS_WANT && w->rig.peer.nsent == stop);
    size_t sent = x.op.sent;
    CHECKF(sent >= stop / LAYER_FRAME * LAYER_MOST && sent <= strlen(first_text), "%zu sent", sent);
    w->rig.peer.stop_at = RAW;
    if (!goes_on)
        make_writing(&x, other_text, strlen(other_text));
    CHECK(run(w, &x.op.op, SS_WRITABLE) == SS_OK && x.op.sent == strlen(first_text));
    memcpy(all, first_text, strlen(first_text));
    if (!goes_on)
        memcpy(all + sent, other_text, x.op.sent);
    check_sent(w, all, goes_on ? x.op.sent : sent + x.op.sent, false);
    remove_layer(w);
}

static void test_other_data_after_a_time_out(void)
{
    static const struct feed feeds[] = { { .mode = SS_NO_WAIT },
                                         { .mode = SS_WAIT_ONCE, .piece = 3 },
                                         { .mode = SS_WAIT_ALWAYS, .piece = 9, .pause = true } };
    struct world w;
    open_world(&w);
    size_t len = strlen(first_text) + (strlen(first_text) + LAYER_MOST - 1) / LAYER_MOST * LAYER_HEAD;
    for (size_t i = 0; i < sizeof feeds / sizeof *feeds; i++)
        for (size_t stop = 0; stop < len; stop++) {
            check_stop(&w, &feeds[i], stop, false);
            check_stop(&w, &feeds[i], stop, true);
        }
    close_world(&w);
}

static void test_an_error_of_a_write(void)
{
    struct world w;
    struct writing x;
    open_world(&w);
    for (size_t stop = 0; stop < 70; stop++) {
        open_layer(&w, &at_once);
        w.rig.peer.stop_at = stop;
        w.rig.peer.stop_code = EPIPE;
        make_writing(&x, first_text, strlen(first_text));
        CHECK(run(&w, &x.op.op, SS_WRITABLE) == SS_ERROR && x.op.op.error.code == EPIPE && w.rig.peer.nsent == stop);
        remove_layer(&w);
    }
    close_world(&w);
}

/* A write of nothing sends what is held, and nothing of its own. */
static void test_nothing_to_write(void)
{
    struct world w;
    struct ss_error err;
    size_t sent = 0;
    open_world(&w);
    open_layer(&w, &at_once);
    struct ss_write none = { .op = { .step = ss_write_step } };
    CHECK(run(&w, &none.op, SS_WRITABLE) == SS_OK && w.rig.peer.calls == 0);
    w.rig.peer.stop_at = 5;
    CHECK(try_text(&w.rig.peer.io, "0123456789", &sent, &err) == SS_WANT && sent == 10);
    CHECK(run(&w, &none.op, SS_WRITABLE) == SS_WANT && none.sent == 0);
    w.rig.peer.stop_at = RAW;
    CHECK(run(&w, &none.op, SS_WRITABLE) == SS_OK && none.sent == 0);
    check_sent(&w, "0123456789", 10, false);
    remove_layer(&w);
    close_world(&w);
}

/* A try counts as sent what the layer has taken, and succeeds when the system has all of it. The operation goes on. */
static void test_a_try(void)
{
    enum { FRAME = LAYER_HEAD + 10 };
    struct world w;
    open_world(&w);
    for (size_t room = 0; room <= FRAME; room++) {
        struct ss_error err;
        size_t sent = 0;
        open_layer(&w, &at_once);
        w.rig.peer.stop_at = room;
        enum ss_status st = try_text(&w.rig.peer.io, "0123456789", &sent, &err);
        CHECKF(st == (room < FRAME ? SS_WANT : SS_OK) && sent == 10 && w.rig.peer.nsent == room, "room for %zu", room);
        w.rig.peer.stop_at = RAW;
        struct ss_write rest = { .op = { .step = ss_write_step } };
        CHECK(run(&w, &rest.op, SS_WRITABLE) == SS_OK);
        check_sent(&w, "0123456789", 10, false);
        remove_layer(&w);
    }
    close_world(&w);
}

static void test_a_try_that_finds_no_room(void)
{
    struct world w;
    struct ss_error err;
    open_world(&w);
    open_layer(&w, &at_once);
    w.rig.peer.stop_at = 0;
    for (int i = 0; i <= LAYER_FRAMES; i++) {
        size_t sent = 0;
        CHECK(try_text(&w.rig.peer.io, "01234567890123456789", &sent, &err) == SS_WANT);
        CHECK(sent == (i < LAYER_FRAMES ? 20 : 0));
    }
    w.rig.peer.stop_code = ECONNRESET;
    size_t sent = 0;
    CHECK(try_text(&w.rig.peer.io, "0", &sent, &err) == SS_ERROR && err.code == ECONNRESET && sent == 0);
    remove_layer(&w);
    close_world(&w);
}

/* Ending */

static enum ss_mode mode_of_send;

static enum ss_status noting_send(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent,
                                  struct ss_error *err)
{
    const struct layer *l = (const struct layer *)io->via;
    (void)n;
    struct peer *peer = (struct peer *)io;
    mode_of_send = (enum ss_mode)io->mode;
    CHECK(l->has_ended);
    if (peer->stop_at <= peer->nsent && peer->stop_code != 0) {
        *err = (struct ss_error){ SS_SYSTEM, peer->stop_code };
        return SS_ERROR;
    }
    if (ss_io_take_mode(io) == SS_NO_CALL || peer->stop_at <= peer->nsent)
        return SS_WANT;
    *sent = 1;
    peer->sent[peer->nsent++] = *(const unsigned char *)iov->iov_base;
    return SS_OK;
}

static struct ss_transport noting;

/* Steps as a driver does, and gives room for a byte where it is wanted. */
static enum ss_status run_finish(struct world *w, struct ss_finish *op, enum ss_mode mode)
{
    for (int steps = 0; steps < 10000; steps++) {
        ss_io_set_mode(&w->rig.peer.io, mode);
        enum ss_status st = op->op.step(&op->op);
        if (st != SS_WANT)
            return st;
        CHECK(op->op.want.fd == PEER_FD);
        if (op->op.want.events == SS_WRITABLE)
            w->rig.peer.stop_at++;
    }
    return SS_WANT;
}

static void open_finish(struct world *w, struct ss_finish *op, const struct feed *feed)
{
    open_layer(w, feed);
    noting = *w->below;
    noting.send = noting_send;
    w->layer->below = &noting;
    w->rig.peer.stop_at = 0;
    *op = (struct ss_finish){
        .op = { .step = ss_finish_step, .io = &w->rig.peer.io }, .in = &w->rig.in, .left = RAW, .local = true
    };
}

/* Only a receive may wait: SO_RCVTIMEO bounds the waits, and not that of a send. */
static void test_finish_in_all_splits(void)
{
    struct world w;
    struct feed feed;
    struct ss_finish op;
    open_world(&w);
    size_t len = write_script(&w, whole_text, 7);
    for (size_t way = 0; feed_get(way, len, &feed); way++) {
        open_finish(&w, &op, &feed);
        mode_of_send = SS_WAIT_ALWAYS;
        CHECK(run_finish(&w, &op, feed.mode) == SS_OK && op.left == RAW - strlen(whole_text));
        CHECK(mode_of_send == SS_NO_WAIT && w.calls.end == LAYER_HEAD + 1 && w.calls.leave == 0);
        check_sent(&w, "", 0, true);
        remove_layer(&w);
    }
    close_world(&w);
}

/* The mode that the driver has set is the receive's. */
static void test_finish_leaves_the_mode(void)
{
    static const enum ss_mode modes[] = { SS_WAIT_ONCE, SS_WAIT_ALWAYS, SS_NO_WAIT_EDGE, SS_NO_CALL };
    struct world w;
    struct ss_finish op;
    open_world(&w);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        write_script(&w, whole_text, 7);
        open_finish(&w, &op, &at_once);
        ss_io_set_mode(&w.rig.peer.io, modes[i]);
        CHECK(ss_finish_step(&op.op) == SS_WANT && op.op.want.events == SS_WRITABLE);
        CHECK(w.rig.peer.io.mode == modes[i] && !op.shut && w.rig.peer.calls == 0);
        remove_layer(&w);
    }
    close_world(&w);
}

/* The peer has not ended, and may wait for the end that it was not told: what has come is looked at, and no more is waited
 * for. */
static void test_finish_without_an_end(void)
{
    static const struct peer_event scripts[][3] = { { PAUSE, ENDS }, { ENDS }, { FAILS(ECONNRESET) } };
    static const int codes[] = { EPIPE, SS_TLS_EOF, ECONNRESET };
    struct world w;
    struct ss_finish op;
    open_world(&w);
    for (size_t i = 0; i < 3; i++) {
        memcpy(w.script, scripts[i], sizeof scripts[i]);
        open_finish(&w, &op, &at_once);
        w.rig.peer.stop_code = EPIPE;
        CHECK(run_finish(&w, &op, SS_WAIT_ALWAYS) == SS_ERROR);
        CHECKF(op.op.error.code == codes[i], "%d, not %d", op.op.error.code, codes[i]);
        CHECK(w.rig.peer.io.mode == SS_NO_WAIT);
        remove_layer(&w);
    }
    close_world(&w);
}

/* With descriptors */

struct channel {
    struct pair pair;
    struct layer *layer;
    struct layer_calls calls;
};

static int lower_calls;

static enum ss_status counted_recv(struct ss_io *io, void *buf, size_t len, bool all, size_t *got, struct ss_error *err)
{
    lower_calls++;
    return ss_fd_transport.recv(io, buf, len, all, got, err);
}

static void open_channel(struct channel *c)
{
    static struct ss_transport counted;
    counted = (struct ss_transport){ .recv = counted_recv, .send = ss_fd_transport.send };
    pair_open(&c->pair);
    c->pair.sock.io.recheck = false; /* as with TCP */
    c->layer = layer_open(&c->pair.sock.io, &c->pair.env.pool, &c->pair.env, &c->calls);
    c->layer->below = &counted;
    lower_calls = 0;
}

static void close_channel(struct channel *c)
{
    pair_close(&c->pair);
    CHECK(c->calls.free == 1);
}

static void send_raw(const struct channel *c, const void *raw, size_t len)
{
    CHECK(send(c->pair.other, raw, len, MSG_NOSIGNAL) == (ssize_t)len);
}

/* What the other end has got, and whether that is all of the stream. */
static size_t receive_sent(const struct channel *c, unsigned char *bytes, bool *ended)
{
    unsigned char raw[RAW];
    size_t whole = 0, n = 0;
    ssize_t got = recv(c->pair.other, raw, sizeof raw, MSG_DONTWAIT);
    *ended = false;
    if (got > 0)
        n = layer_decode(raw, (size_t)got, bytes, &whole, ended);
    CHECK(got <= 0 || whole == (size_t)got);
    return n;
}

static struct ss_op make_op(struct channel *c, enum ss_status (*step)(struct ss_op *), enum ss_kernel_timeout patience)
{
    return (struct ss_op){ .step = step, .io = &c->pair.sock.io, .kernel_timeout = (uint8_t)patience };
}

static enum ss_status run_to_end(struct ss_op *op, struct ss_sock *s, double timeout_ms)
{
    enum ss_status st;
    do
        st = ss_block_run(op, s, timeout_ms < 0 ? -1 : (int64_t)(timeout_ms * 1e6));
    while (st == SS_WANT);
    return st;
}

static enum ss_status read_n(struct channel *c, size_t n, double timeout_ms)
{
    struct ss_read op = { .in = &c->pair.sock.in, .want = n };
    op.op = make_op(c, ss_readn_step, SS_BY_RCVTIMEO);
    return run_to_end(&op.op, &c->pair.sock, timeout_ms);
}

static void take(struct channel *c, const char *bytes)
{
    struct ss_inbuf *in = &c->pair.sock.in;
    CHECK(ss_inbuf_len(in) >= strlen(bytes) && memcmp(ss_inbuf_data(in), bytes, strlen(bytes)) == 0);
    ss_inbuf_consume(in, strlen(bytes));
}

/* Of two frames in one segment the second is read without a system call, with a deadline too. */
static void test_a_frame_in_memory_needs_no_call(void)
{
    struct channel c;
    unsigned char raw[RAW];
    open_channel(&c);
    CHECK(!ss_sock_is_ready(&c.pair.sock) && !ss_sock_has_input(&c.pair.sock));
    send_raw(&c, raw, layer_encode(raw, 0, "abcdef", 6, 3));
    CHECK(read_n(&c, 3, 10000) == SS_OK && lower_calls > 0);
    take(&c, "abc");
    lower_calls = 0;
    CHECK(ss_sock_is_ready(&c.pair.sock) && !ss_sock_has_input(&c.pair.sock) && lower_calls == 0);
    CHECK(read_n(&c, 3, 10000) == SS_OK && lower_calls == 0);
    CHECK(ss_sock_is_ready(&c.pair.sock) && ss_sock_has_input(&c.pair.sock));
    take(&c, "def");
    CHECK(!ss_sock_is_ready(&c.pair.sock));
    close_channel(&c);
}

/* What is spared is the receive, not what is in memory. */
static void test_a_quiet_descriptor_with_a_frame_in_memory(void)
{
    struct channel c;
    unsigned char raw[RAW];
    open_channel(&c);
    send_raw(&c, raw, layer_encode(raw, 0, "abcdef", 6, 3));
    struct ss_read op = { .in = &c.pair.sock.in, .want = 3 };
    op.op = make_op(&c, ss_readn_step, SS_BY_RCVTIMEO);
    CHECK(ss_try_step(&op.op, SS_NO_WAIT_EDGE) == SS_OK && c.pair.sock.io.drained == os_poller_is_edged);
    take(&c, "abc");
    CHECK(ss_try_step(&op.op, SS_NO_WAIT_EDGE) == SS_OK);
    take(&c, "def");
    CHECK(ss_try_step(&op.op, SS_NO_WAIT_EDGE) == SS_WANT && op.op.want.events == SS_READABLE);
    close_channel(&c);
}

static void dribble(int fd)
{
    unsigned char raw[8 * RAW], bytes[RAW];
    for (size_t i = 0; i < RAW; i++)
        bytes[i] = peer_byte(i);
    size_t len = layer_encode(raw, 0, bytes, RAW, 9);
    for (size_t i = 0; i < len; i++) {
        wait_ms(3);
        if (send(fd, raw + i, 1, MSG_NOSIGNAL) != 1)
            _exit(1);
    }
}

/* Byte by byte: each wakes the call, few are a frame. */
static void test_deadlines(void)
{
    static const double limits_ms[] = { 10000, -1, 60, 130 };
    for (size_t i = 0; i < sizeof limits_ms / sizeof *limits_ms; i++) {
        struct channel c;
        bool ends = i >= 2;
        open_channel(&c);
        pid_t pid = child_start(dribble, c.pair.other);
        double begin = now_ms();
        CHECK(read_n(&c, ends ? RAW : 25, limits_ms[i]) == (ends ? SS_TIMEOUT : SS_OK));
        double took = now_ms() - begin;
        CHECKF(!ends || (took >= limits_ms[i] && took < limits_ms[i] + 400), "took %.1f ms", took);
        CHECK(!ends || c.calls.settle == 1);
        child_stop(pid);
        close_channel(&c);
    }
}

/* The third signal sends the byte that makes the frame whole. */
static void test_signals(void)
{
    struct channel c;
    unsigned char raw[RAW], byte = 'x';
    open_channel(&c);
    layer_encode(raw, 0, &byte, 1, 1);
    byte ^= (unsigned char)(raw[LAYER_HEAD] ^ 'x'); /* whose mask gives an x */
    layer_encode(raw, 0, &byte, 1, 1);
    CHECK(raw[LAYER_HEAD] == 'x');
    send_raw(&c, raw, LAYER_HEAD);
    ticks_start(5, c.pair.other);
    CHECK(read_n(&c, 1, -1) == SS_OK);
    CHECKF(ticks_stop() >= 3, "no signals came");
    close_channel(&c);
}

enum { LARGE = 300000 };

static void expect_large(int fd)
{
    unsigned char *raw = malloc(2 * LARGE), *bytes = malloc(LARGE);
    size_t len = 0, whole = 0;
    bool ended = false;
    for (ssize_t n; (n = read(fd, raw + len, 5000)) > 0;)
        len += (size_t)n;
    size_t got = layer_decode(raw, len, bytes, &whole, &ended);
    for (size_t i = 0; got == LARGE && i < LARGE; i++)
        if (bytes[i] != peer_byte(i))
            got = 0;
    free(raw);
    free(bytes);
    _exit(got == LARGE && whole == len && ended ? 0 : 1);
}

static void test_a_large_write(void)
{
    unsigned char *bytes = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = peer_byte(i);
    for (double timeout_ms = -1; timeout_ms < 10001; timeout_ms += 10001) {
        struct channel c;
        struct iovec iov = { .iov_base = bytes, .iov_len = LARGE };
        struct ss_write op = { .iov = &iov, .n = 1 };
        open_channel(&c);
        pid_t pid = child_start(expect_large, c.pair.other);
        close(c.pair.other);
        c.pair.other = -1;
        op.op = make_op(&c, ss_write_step, SS_BY_SNDTIMEO);
        CHECK(run_to_end(&op.op, &c.pair.sock, timeout_ms) == SS_OK && op.sent == LARGE);
        struct ss_shutdown end = { .how = SHUT_WR };
        end.op = make_op(&c, ss_shutdown_step, SS_BY_SNDTIMEO);
        CHECK(run_to_end(&end.op, &c.pair.sock, timeout_ms) == SS_OK);
        CHECK(child_succeeds(pid));
        close_channel(&c);
    }
    free(bytes);
}

/* Fills the kernel's queue, so that nothing more can be sent. Returns the number of bytes. */
static size_t fill_queue(const struct channel *c)
{
    static const char zeros[1000];
    size_t len = 0;
    for (ssize_t n; (n = send(c->pair.sock.io.fd, zeros, sizeof zeros, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;)
        len += (size_t)n;
    for (ssize_t n; (n = send(c->pair.sock.io.fd, zeros, 1, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;)
        len += (size_t)n;
    return len;
}

static void empty_queue(const struct channel *c, size_t len)
{
    char buf[4096];
    while (len > 0) {
        ssize_t n = read(c->pair.other, buf, len < sizeof buf ? len : sizeof buf);
        if (n <= 0)
            abort();
        len -= (size_t)n;
    }
}

/* The end of the output waits for room, once: then the descriptor's follows. */
static void test_shutdown(void)
{
    for (int how = SHUT_WR; how <= SHUT_RDWR; how++) {
        struct channel c;
        unsigned char bytes[RAW], byte;
        bool ended;
        open_channel(&c);
        struct ss_shutdown op = { .how = how };
        op.op = make_op(&c, ss_shutdown_step, SS_BY_SNDTIMEO);
        size_t len = fill_queue(&c);
        CHECK(run_to_end(&op.op, &c.pair.sock, 0) == SS_TIMEOUT);
        CHECK(op.op.want.events == SS_WRITABLE && recv(c.pair.other, &byte, 1, MSG_PEEK) == 1);
        empty_queue(&c, len);
        CHECK(recv(c.pair.other, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
        CHECK(run_to_end(&op.op, &c.pair.sock, 0) == SS_OK);
        CHECK(receive_sent(&c, bytes, &ended) == 0 && ended && recv(c.pair.other, &byte, 1, MSG_DONTWAIT) == 0);
        close_channel(&c);
    }
}

/* The input's end sends nothing and needs no room. */
static void test_shutdown_of_input(void)
{
    struct channel c;
    struct ss_error err;
    unsigned char byte;
    open_channel(&c);
    ss_io_set_mode(&c.pair.sock.io, SS_NO_CALL);
    CHECK(ss_shutdown_now(&c.pair.sock.io, SHUT_RD, &err) == SS_OK && c.calls.end == 1);
    CHECK(recv(c.pair.other, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    close_channel(&c);
}

static int shutdown_code; /* errno(3) number of the layer's sends; 0: they succeed */

static enum ss_status scripted_send(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent,
                                    struct ss_error *err)
{
    (void)io, (void)n;
    *err = (struct ss_error){ SS_SYSTEM, shutdown_code };
    *sent = iov->iov_len;
    return shutdown_code != 0 ? SS_ERROR : SS_OK;
}

static enum ss_status shut_unconnected(int how, bool layered, int code, struct ss_error *err)
{
    static const struct ss_transport scripted = { .recv = counted_recv, .send = scripted_send };
    struct channel c;
    open_channel(&c);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || dup2(fd, c.pair.sock.io.fd) < 0) /* shutdown(2) fails: ENOTCONN */
        abort();
    close(fd);
    shutdown_code = code;
    c.layer->below = &scripted;
    const struct ss_transport *via = c.pair.sock.io.via;
    if (!layered)
        c.pair.sock.io.via = &ss_fd_transport;
    ss_io_set_mode(&c.pair.sock.io, SS_NO_WAIT);
    enum ss_status st = ss_shutdown_now(&c.pair.sock.io, how, err);
    c.pair.sock.io.via = via;
    close_channel(&c);
    return st;
}

/* The system has ended the connection already: the layer's end is what was to be done. */
static void test_shutdown_of_a_connection_that_is_over(void)
{
    static const int hows[] = { SHUT_RD, SHUT_WR, SHUT_RDWR };
    struct ss_error err;
    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
        CHECK(shut_unconnected(hows[i], true, 0, &err) == SS_OK);
        CHECK(shut_unconnected(hows[i], false, 0, &err) == SS_ERROR && err.code == ENOTCONN);
    }
    for (size_t i = 1; i < sizeof hows / sizeof *hows; i++) { /* the peer has not been told */
        CHECK(shut_unconnected(hows[i], true, EPIPE, &err) == SS_ERROR && err.code == EPIPE);
        CHECK(shut_unconnected(hows[i], true, ENOTCONN, &err) == SS_ERROR && err.code == ENOTCONN);
    }
}

/* finish where the layer's end cannot be sent: the other end is closed */

static enum ss_status finish_gone(struct channel *c, size_t left)
{
    struct ss_finish op = { .in = &c->pair.sock.in, .left = left, .local = true };
    op.op = make_op(c, ss_finish_step, SS_BY_RCVTIMEO);
    CHECK(ss_try_step(&op.op, SS_NO_CALL) == SS_WANT && c->calls.end == 1);
    enum ss_status st = ss_try_step(&op.op, SS_WAIT_ALWAYS);
    return st == SS_ERROR && op.op.error.space == SS_SYSTEM && op.op.error.code == ECONNRESET ? SS_CLOSED : st;
}

static void close_other(struct channel *c)
{
    close(c->pair.other);
    c->pair.other = -1;
}

/* A peer that has ended, and has taken everything, needs no end of ours. */
static void test_finish_with_a_peer_that_is_gone(void)
{
    for (size_t left = 9; left <= 10; left++) {
        struct channel c;
        unsigned char raw[RAW];
        open_channel(&c);
        size_t len = layer_encode(raw, 0, "0123456789", 10, 3);
        send_raw(&c, raw, len + layer_encode_end(raw + len));
        close_other(&c);
        CHECK(finish_gone(&c, left) == (left < 10 ? SS_LIMIT : SS_OK));
        CHECK(c.calls.end == 2 && c.calls.leave == 0);
        close_channel(&c);
    }
}

static enum ss_status send_nothing(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent,
                                   struct ss_error *err)
{
    (void)io, (void)iov, (void)n, (void)sent, (void)err;
    return SS_WANT;
}

/* The layer holds bytes: the peer lacks more than the end. */
static void test_finish_with_bytes_that_nobody_took(void)
{
    static const struct ss_transport full = { .recv = counted_recv, .send = send_nothing };
    struct channel c;
    unsigned char raw[RAW];
    struct ss_error err;
    size_t sent = 0;
    open_channel(&c);
    const struct ss_transport *below = c.layer->below;
    c.layer->below = &full;
    CHECK(try_text(&c.pair.sock.io, "abc", &sent, &err) == SS_WANT && sent == 3);
    c.layer->below = below;
    send_raw(&c, raw, layer_encode_end(raw));
    close_other(&c);
    CHECK(finish_gone(&c, 100) == SS_ERROR);
    close_channel(&c);
}

#ifdef __linux__ /* where a Unix socket tells what the peer has not read, and of a reset */

/* As a write or getopt that is told of it. */
static void take_reset(struct channel *c)
{
    int code = 0;
    socklen_t len = sizeof code;
    CHECK(getsockopt(c->pair.sock.io.fd, SOL_SOCKET, SO_ERROR, &code, &len) == 0 && code == ECONNRESET);
    ss_io_set_conn_error(&c->pair.sock.io, code);
}

/* The peer has ended and has not read: the system tells of it once. */
static void test_finish_with_a_peer_that_has_not_read(void)
{
    for (int known = 0; known < 2; known++) {
        struct channel c;
        unsigned char raw[RAW];
        struct ss_error err;
        size_t sent = 0;
        open_channel(&c);
        CHECK(try_text(&c.pair.sock.io, "abc", &sent, &err) == SS_OK);
        send_raw(&c, raw, layer_encode_end(raw));
        close_other(&c);
        if (known)
            take_reset(&c);
        CHECK(finish_gone(&c, 100) == SS_CLOSED); /* a reset */
        close_channel(&c);
    }
}

/* A reset after the end of the layer's stream: the peer has not got everything. */
static void check_finish_behind_end(bool reset)
{
    struct channel c;
    unsigned char raw[RAW], bytes[RAW];
    bool ended;
    open_channel(&c);
    struct ss_finish op = { .in = &c.pair.sock.in, .left = 100 };
    op.op = make_op(&c, ss_finish_step, SS_BY_RCVTIMEO);
    send_raw(&c, raw, layer_encode_end(raw));
    CHECK(ss_try_step(&op.op, SS_WAIT_ALWAYS) == SS_WANT && op.op.want.fd == -1 && op.op.after_ms > 0);
    if (reset) { /* with our end unread */
        close(c.pair.other);
        c.pair.other = -1;
        CHECK(ss_try_step(&op.op, SS_WAIT_ALWAYS) == SS_ERROR && op.op.error.code == ECONNRESET);
    } else {
        CHECK(receive_sent(&c, bytes, &ended) == 0 && ended);
        send_raw(&c, "unwanted", 8);
        CHECK(ss_try_step(&op.op, SS_WAIT_ALWAYS) == SS_OK && op.left == 92 && ss_inbuf_len(op.in) == 0);
    }
    CHECK(c.calls.end == 1 && c.calls.leave == 0);
    close_channel(&c);
}

static void test_finish_behind_the_end(void)
{
    check_finish_behind_end(false);
    check_finish_behind_end(true);
}

/* Without a call nothing is known of the descriptor. */
static void test_finish_from_memory(void)
{
    struct channel c;
    unsigned char raw[RAW], bytes[RAW];
    bool ended;
    open_channel(&c);
    struct ss_finish op = { .in = &c.pair.sock.in, .left = 100 };
    op.op = make_op(&c, ss_finish_step, SS_BY_RCVTIMEO);
    send_raw(&c, raw, layer_encode_end(raw));
    CHECK(ss_try_step(&op.op, SS_NO_WAIT) == SS_WANT);
    CHECK(receive_sent(&c, bytes, &ended) == 0 && ended);
    CHECK(ss_try_step(&op.op, SS_NO_CALL) == SS_WANT && op.op.want.fd == -1);
    CHECK(ss_try_step(&op.op, SS_NO_WAIT) == SS_OK);
    close_channel(&c);
}
#endif

/* Waiting in the loop */

static bool is_suspended(const struct ss_waiter *w)
{
    (void)w;
    return true;
}

/* Before each wait the layer gives back what it can: half a frame does not keep a block. */
static void test_waits_in_the_loop(void)
{
    struct channel c;
    struct ss_loop loop;
    struct ss_waiter w;
    struct ss_error err;
    unsigned char raw[RAW];
    size_t len = layer_encode(raw, 0, "abcdefghij", 10, 10);
    open_channel(&c);
    ss_loop_init(&loop, &c.pair.env, is_suspended);
    ss_waiter_init(&w, false);
    struct ss_read op = { .in = &c.pair.sock.in, .want = 10 };
    op.op = make_op(&c, ss_readn_step, SS_BY_RCVTIMEO);
    send_raw(&c, raw, 4);
    CHECK(ss_try_step(&op.op, SS_NO_WAIT_EDGE) == SS_WANT && c.layer->raw.block->size == SS_BLOCK);
    ss_loop_wait(&loop, &w, &op.op, SS_NEVER);
    CHECK(c.calls.settle == 1 && c.layer->raw.block->size == 4);
    for (size_t i = 4; i < len; i++) {
        send_raw(&c, raw + i, 1);
        CHECK(w.status == SS_WANT && ss_loop_turn(&loop, 1000000000, &err) == SS_OK);
        CHECK(ss_loop_take(&loop) == (i + 1 < len ? NULL : &w));
    }
    CHECK(w.status == SS_OK && c.calls.settle == (int)len - 4);
    take(&c, "abcdefghij");
    ss_loop_drop(&loop, &w);
    ss_sock_fini(&c.pair.sock);
    ss_loop_fini(&loop);
    close_channel(&c);
}

static void test_calls_that_time_out(void)
{
    struct channel c;
    unsigned char raw[RAW];
    layer_encode(raw, 0, "abcdefghij", 10, 10);
    open_channel(&c);
    send_raw(&c, raw, 4);
    CHECK(read_n(&c, 10, 0) == SS_TIMEOUT && c.calls.settle == 1 && c.layer->raw.block->size == 4);
    send_raw(&c, raw + 4, 4);
    CHECK(read_n(&c, 10, 5) == SS_TIMEOUT && c.calls.settle == 2 && c.layer->raw.block->size == 8);
    send_raw(&c, raw + 8, 4);
    CHECK(read_n(&c, 10, 0) == SS_OK && c.calls.settle == 2);
    take(&c, "abcdefghij");
    close_channel(&c);
}

/* Losing the descriptor */

static void check_plain(const struct channel *c, int frees)
{
    CHECK(c->calls.free == frees && c->pair.sock.io.via == &ss_fd_transport && !ss_io_has_layer(&c->pair.sock.io));
}

/* The program's close tells the peer; what was dropped was not finished. */
static void test_a_closed_socket_is_plain(void)
{
    for (int leaves = 0; leaves < 2; leaves++) {
        struct channel c;
        struct ss_error err;
        unsigned char bytes[RAW];
        bool ended;
        open_channel(&c);
        if (leaves)
            ss_sock_leave(&c.pair.sock);
        CHECK(c.calls.leave == leaves && c.calls.free == 0 && (!leaves || c.pair.sock.io.mode == SS_NO_WAIT));
        CHECK(ss_sock_close(&c.pair.sock, &err) == SS_OK);
        check_plain(&c, 1);
        CHECK(receive_sent(&c, bytes, &ended) == 0 && ended == (leaves == 1));
        ss_sock_leave(&c.pair.sock);
        ss_sock_settle(&c.pair.sock);
        CHECK(!ss_sock_is_ready(&c.pair.sock));
        CHECK(ss_sock_close(&c.pair.sock, &err) == SS_OK && c.calls.leave == leaves && c.calls.end == 0);
        close_channel(&c);
    }
}

/* What has not been sent, and cannot be, keeps a close from telling the end, and from waiting. */
static void test_leaving_with_a_full_queue(void)
{
    struct channel c;
    struct ss_error err;
    size_t sent = 0;
    char byte;
    open_channel(&c);
    size_t len = fill_queue(&c);
    CHECK(try_text(&c.pair.sock.io, "abc", &sent, &err) == SS_WANT && sent == 3);
    ss_sock_leave(&c.pair.sock);
    CHECK(c.calls.leave == 1 && ss_sock_close(&c.pair.sock, &err) == SS_OK);
    empty_queue(&c, len);
    CHECK(recv(c.pair.other, &byte, 1, MSG_DONTWAIT) == 0);
    close_channel(&c);
}

static void test_a_released_and_a_finalized_socket(void)
{
    for (int released = 0; released < 2; released++) {
        struct channel c;
        int fd = -1;
        open_channel(&c);
        if (released)
            fd = ss_sock_release(&c.pair.sock, false);
        else
            ss_sock_fini(&c.pair.sock);
        check_plain(&c, 1);
        if (fd >= 0)
            close(fd);
        CHECK(c.calls.leave == 0 && c.calls.end == 0 && c.calls.flush == 0);
        close_channel(&c);
    }
}

static void test_a_new_connection_is_plain(void)
{
    struct channel c;
    struct ss_error err;
    int fds[2];
    char buf[8];
    size_t sent = 0;
    open_channel(&c);
    CHECK(ss_sock_close(&c.pair.sock, &err) == SS_OK && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(ss_sock_adopt(&c.pair.sock, fds[0], AF_UNIX, false, &err) == SS_OK);
    const struct layer_calls before = c.calls;
    CHECK(try_text(&c.pair.sock.io, "abc", &sent, &err) == SS_OK && sent == 3);
    CHECK(recv(fds[1], buf, sizeof buf, 0) == 3 && memcmp(buf, "abc", 3) == 0 && send(fds[1], "def", 3, 0) == 3);
    CHECK(read_n(&c, 3, 10000) == SS_OK);
    take(&c, "def");
    CHECK(memcmp(&before, &c.calls, sizeof before) == 0);
    close(fds[1]);
    close_channel(&c);
}

/* Descriptors are passed beside the bytes of the descriptor's stream, and a layer's state is passed to nobody. */
static bool has_no_unread(struct ss_sock *s)
{
    (void)s;
    return false;
}

static void test_passing_descriptors(void)
{
    struct channel c;
    struct pair plain;
    char buf[8] = "";
    open_channel(&c);
    pair_open(&plain);
    struct ss_recvfd in = { .op = make_op(&c, ss_recvfd_step, SS_BY_RCVTIMEO), .sock = &c.pair.sock, .max = 10 };
    send_raw(&c, "abc", 3);
    CHECK(ss_try_step(&in.op, SS_NO_WAIT) == SS_ERROR && in.op.error.code == EOPNOTSUPP && lower_calls == 0);
    struct ss_sendfd out = { .iov = { .iov_base = buf, .iov_len = 1 }, .fd = plain.other, .env = &c.pair.env };
    out.write = (struct ss_write){ .op = make_op(&c, ss_sendfd_step, SS_BY_SNDTIMEO), .iov = &out.iov, .n = 1 };
    CHECK(ss_try_step(&out.write.op, SS_NO_WAIT) == SS_ERROR && out.write.op.error.code == EOPNOTSUPP);
    CHECK(!out.refused && recv(c.pair.other, buf, 1, MSG_DONTWAIT) == -1 && out.write.sent == 0);
    out.write.op.io = &plain.sock.io;
    out.handed = &c.pair.sock;
    out.fd = c.pair.sock.io.fd;
    out.stream = c.pair.sock.in.stream;
    out.has_unread = has_no_unread;
    CHECK(ss_try_step(&out.write.op, SS_NO_WAIT) == SS_ERROR && out.refused && out.layered);
    CHECK(recv(plain.other, buf, 1, MSG_DONTWAIT) == -1 && out.write.sent == 0 && c.pair.sock.io.fd >= 0);
    pair_close(&plain);
    close_channel(&c);
}

/* Forks */

/* The exit status of a child in which nothing goes through the layer, and nothing through the descriptor. */
static int use_in_child(struct channel *c)
{
    struct ss_error err;
    size_t sent = 0;
    struct ss_finish op = { .in = &c->pair.sock.in, .left = 100 };
    op.op = make_op(c, ss_finish_step, SS_BY_RCVTIMEO);
    if (read_n(c, 1, -1) != SS_ERROR || try_text(&c->pair.sock.io, "x", &sent, &err) != SS_ERROR || sent > 0)
        return 1;
    if (ss_shutdown_now(&c->pair.sock.io, SHUT_RDWR, &err) != SS_ERROR || err.code != SS_TLS_PROTOCOL)
        return 2;
    if (run_to_end(&op.op, &c->pair.sock, -1) != SS_ERROR || op.op.error.code != SS_TLS_PROTOCOL)
        return 3;
    ss_sock_leave(&c->pair.sock);
    return ss_sock_close(&c->pair.sock, &err) == SS_OK ? 0 : 4;
}

static void test_a_child_does_not_touch_the_connection(void)
{
    struct channel c;
    struct ss_error err;
    unsigned char raw[RAW], bytes[RAW];
    size_t sent = 0;
    bool ended;
    int status = -1;
    open_channel(&c);
    pid_t child = fork();
    if (child == -1)
        abort();
    if (child == 0)
        exit(use_in_child(&c));
    CHECK(waitpid(child, &status, 0) == child);
    CHECKF(status == 0, "%d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    CHECK(try_text(&c.pair.sock.io, "abc", &sent, &err) == SS_OK);
    CHECK(receive_sent(&c, bytes, &ended) == 3 && !ended && memcmp(bytes, "abc", 3) == 0);
    send_raw(&c, raw, layer_encode(raw, 0, "def", 3, 3));
    CHECK(read_n(&c, 3, 10000) == SS_OK);
    take(&c, "def");
    close_channel(&c);
}

int main(void)
{
    RUN(test_reads_of_all_splits);
    RUN(test_the_end_of_the_connection_after_each_byte);
    RUN(test_an_error_after_each_byte);
    RUN(test_a_frame_that_is_none);
    RUN(test_memory_is_refused);
    RUN(test_blocks_are_not_made_for_each_read);
    RUN(test_what_is_ready);
    RUN(test_writes_in_all_pieces);
    RUN(test_other_data_after_a_time_out);
    RUN(test_an_error_of_a_write);
    RUN(test_nothing_to_write);
    RUN(test_a_try);
    RUN(test_a_try_that_finds_no_room);
    RUN(test_finish_in_all_splits);
    RUN(test_finish_leaves_the_mode);
    RUN(test_finish_without_an_end);
    RUN(test_a_frame_in_memory_needs_no_call);
    RUN(test_a_quiet_descriptor_with_a_frame_in_memory);
    RUN(test_deadlines);
    RUN(test_signals);
    RUN(test_a_large_write);
    RUN(test_shutdown);
    RUN(test_shutdown_of_input);
    RUN(test_shutdown_of_a_connection_that_is_over);
    RUN(test_finish_with_a_peer_that_is_gone);
    RUN(test_finish_with_bytes_that_nobody_took);
#ifdef __linux__
    RUN(test_finish_with_a_peer_that_has_not_read);
    RUN(test_finish_behind_the_end);
    RUN(test_finish_from_memory);
#endif
    RUN(test_waits_in_the_loop);
    RUN(test_calls_that_time_out);
    RUN(test_a_closed_socket_is_plain);
    RUN(test_leaving_with_a_full_queue);
    RUN(test_a_released_and_a_finalized_socket);
    RUN(test_a_new_connection_is_plain);
    RUN(test_passing_descriptors);
    RUN(test_a_child_does_not_touch_the_connection);
    return check_end();
}
