/* The write operation: some buffers, empty ones among them, go out in order, whatever the pieces, and `sent` is right
 * wherever it stops. */
#include "check.h"
#include "core/op_write.h"
#include "guard.h"
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFERS = 8, MAX = 64 };

static const struct peer_event no_script[] = { { PEER_END, NULL, 0, 0 } };
static struct guard guards[BUFFERS];

/* Lists of buffers, which end at NULL */
static const char *const lists[][BUFFERS] = {
    { NULL },
    { "", NULL },
    { "", "", "", NULL },
    { "a", NULL },
    { "hello world", NULL },
    { "ab", "c", "def", NULL },
    { "", "abc", NULL },
    { "abc", "", NULL },
    { "", "", "ab", "", "", "c", "", NULL },
    { "a", "b", "c", "d", "e", "f", "g", NULL },
    { "", "a", "", "bc", "", "def", "", NULL },
};
enum { LISTS = sizeof lists / sizeof *lists };

struct writer {
    struct ss_write op;
    struct iovec iov[BUFFERS];
    char all[MAX]; /* what is to be sent */
    size_t len;
    struct peer peer;
    unsigned char sent[MAX]; /* what was */
};

/* Each buffer ends at a forbidden page. */
static void open_writer(struct writer *w, const char *const *list, const struct feed *feed)
{
    *w = (struct writer){ .op = { .op = { .step = ss_write_step, .io = &w->peer.io }, .iov = w->iov } };
    for (; list[w->op.n]; w->op.n++) {
        size_t i = w->op.n, len = strlen(list[i]);
        w->iov[i] = (struct iovec){ .iov_base = guard_copy(&guards[i], list[i], len), .iov_len = len };
        memcpy(w->all + w->len, list[i], len);
        w->len += len;
    }
    peer_init(&w->peer, no_script, feed);
    w->peer.sent = w->sent;
    w->peer.stop_at = MAX;
}

static void check_writer(const struct writer *w, enum ss_status status, enum ss_status expected, size_t sent)
{
    CHECKF(status == expected, "'%s': status %d", w->all, status);
    CHECKF(w->op.sent == sent && w->peer.nsent == sent, "'%s': says %zu and sent %zu, not %zu", w->all, w->op.sent,
           w->peer.nsent, sent);
    CHECKF(memcmp(w->sent, w->all, sent) == 0, "'%s': sent '%.*s'", w->all, (int)sent, w->sent);
    CHECKF(!w->peer.sent_none, "'%s': a call with nothing to send", w->all);
}

static enum ss_status run(struct writer *w)
{
    return peer_run(&w->peer, &w->op.op, SS_WRITABLE);
}

static void test_all_lists_in_all_pieces(void)
{
    struct writer w;
    struct feed feed;
    for (size_t i = 0; i < LISTS; i++)
        for (size_t way = 0; feed_get(way, 12, &feed); way++) {
            open_writer(&w, lists[i], &feed);
            check_writer(&w, run(&w), SS_OK, w.len);
        }
}

/* With nothing to send nobody is asked, so that it succeeds even where nothing else would. */
static void test_nothing_to_send_needs_no_call(void)
{
    struct writer w;
    for (size_t i = 0; i < LISTS; i++) {
        open_writer(&w, lists[i], &(struct feed){ .mode = SS_NO_WAIT });
        w.peer.stop_code = EPIPE;
        w.peer.stop_at = w.len > 0 ? MAX : 0;
        check_writer(&w, run(&w), SS_OK, w.len);
        CHECKF(w.peer.calls == (w.len > 0), "'%s': %u calls", w.all, w.peer.calls);
    }
}

static void test_error_after_every_byte(void)
{
    struct writer w;
    struct feed feed;
    for (size_t i = 0; i < LISTS; i++)
        for (size_t way = 0; feed_get(way, 12, &feed); way++) {
            open_writer(&w, lists[i], &feed);
            for (size_t stop = 0; stop < w.len; stop++) {
                open_writer(&w, lists[i], &feed);
                w.peer.stop_at = stop;
                w.peer.stop_code = EPIPE;
                check_writer(&w, run(&w), SS_ERROR, stop);
                CHECK(w.op.op.error.space == SS_SYSTEM && w.op.op.error.code == EPIPE);
            }
        }
}

/* The deadline may pass anywhere, and the same operation can go on from there. */
static void test_time_out_after_every_byte(void)
{
    struct writer w;
    struct feed feed;
    for (size_t i = 0; i < LISTS; i++)
        for (size_t way = 0; feed_get(way, 12, &feed); way++) {
            open_writer(&w, lists[i], &feed);
            for (size_t stop = 0; stop < w.len; stop++) {
                open_writer(&w, lists[i], &feed);
                w.peer.stop_at = stop;
                check_writer(&w, run(&w), SS_WANT, stop);
                w.peer.stop_at = MAX;
                check_writer(&w, run(&w), SS_OK, w.len);
            }
        }
}

/* The system takes so many in one call (IOV_MAX) and no more. */
static void test_very_many_buffers(void)
{
    enum { MANY = 5000 };
    static struct iovec iov[MANY];
    static unsigned char bytes[MANY], sent[MANY];
    struct peer peer;
    for (size_t piece = 0; piece < 4; piece++) {
        struct ss_write op = { .op = { .step = ss_write_step, .io = &peer.io }, .iov = iov, .n = MANY };
        size_t len = 0;
        for (size_t i = 0; i < MANY; i++) {
            bytes[i] = peer_byte(i);
            iov[i] = (struct iovec){ .iov_base = &bytes[i], .iov_len = i % 5 != 0 };
        }
        peer_init(&peer, no_script, &(struct feed){ .piece = piece * 700, .mode = SS_WAIT_ALWAYS });
        peer.sent = sent;
        peer.stop_at = MANY;
        CHECK(peer_run(&peer, &op.op, SS_WRITABLE) == SS_OK && op.sent == MANY / 5 * 4 && peer.nsent == op.sent);
        for (size_t i = 0; i < MANY; i++)
            len += i % 5 != 0 && sent[len] == bytes[i];
        CHECKF(len == MANY / 5 * 4, "only %zu bytes are right", len);
    }
}

/* Through a small window and with many pauses. */
static void test_one_large_buffer(void)
{
    enum { LARGE = 8 * 1024 * 1024 };
    unsigned char *bytes = malloc(LARGE), *sent = malloc(LARGE);
    struct peer peer;
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = peer_byte(i);
    for (size_t piece = 1000; piece <= 1000000; piece *= 10) {
        struct iovec iov = { .iov_base = bytes, .iov_len = LARGE };
        struct ss_write op = { .op = { .step = ss_write_step, .io = &peer.io }, .iov = &iov, .n = 1 };
        peer_init(&peer, no_script, &(struct feed){ .piece = piece, .pause = true, .mode = SS_NO_WAIT });
        peer.sent = sent;
        peer.stop_at = LARGE;
        CHECK(peer_run(&peer, &op.op, SS_WRITABLE) == SS_OK && op.sent == LARGE && memcmp(sent, bytes, LARGE) == 0);
    }
    free(bytes);
    free(sent);
}

int main(void)
{
    for (size_t i = 0; i < BUFFERS; i++)
        guard_open(&guards[i], MAX);
    RUN(test_all_lists_in_all_pieces);
    RUN(test_nothing_to_send_needs_no_call);
    RUN(test_error_after_every_byte);
    RUN(test_time_out_after_every_byte);
    RUN(test_very_many_buffers);
    RUN(test_one_large_buffer);
    return check_end();
}
