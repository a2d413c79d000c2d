/* What is done without a driver: from memory, or with one call that does not wait. */
#include "check.h"
#include "heap.h"
#include "run/try.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A transport that takes `room` bytes, says SS_WANT where that is none, and fails when `code` is set. */
struct fake {
    struct ss_io io;
    size_t room;
    int code, calls;
    enum ss_mode mode;
};

static enum ss_status fake_send(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent, struct ss_error *err)
{
    struct fake *fake = (struct fake *)io;
    fake->calls++;
    fake->mode = ss_io_take_mode(io);
    if (fake->code != 0) {
        *err = (struct ss_error){ SS_SYSTEM, fake->code };
        return SS_ERROR;
    }
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += iov[i].iov_len;
    *sent = len < fake->room ? len : fake->room;
    return *sent > 0 ? SS_OK : SS_WANT;
}

static const struct ss_transport fake_transport = { .send = fake_send };

static void check_send(size_t room, int code, enum ss_status status, size_t expected)
{
    struct fake fake = { .io = { .via = &fake_transport, .fd = 4711 }, .room = room, .code = code };
    struct ss_error err = { SS_SYSTEM, 0 };
    size_t sent = 0;
    ss_io_set_mode(&fake.io, SS_WAIT_ALWAYS);
    struct iovec iov[] = { { .iov_base = "0123", .iov_len = 4 }, { .iov_base = "456789", .iov_len = 6 } };
    CHECK(ss_try_send(&fake.io, iov, 2, 10, &sent, &err) == status);
    CHECKF(sent == expected && err.code == code, "%zu bytes, error %d", sent, err.code);
    CHECK(fake.calls == 1 && fake.mode == SS_NO_WAIT);
}

/* Only what is sent completely needs no operation. */
static void test_sending(void)
{
    check_send(10, 0, SS_OK, 10);
    check_send(11, 0, SS_OK, 10);
    check_send(9, 0, SS_WANT, 9);
    check_send(0, 0, SS_WANT, 0);
    check_send(10, ECONNRESET, SS_ERROR, 0);
}

static void test_what_pays(void)
{
    CHECK(ss_try_send_pays(1) && ss_try_send_pays(4096) && !ss_try_send_pays(4097) && !ss_try_send_pays(SIZE_MAX));
}

static void put(struct ss_inbuf *in, const char *text)
{
    struct ss_error err;
    if (ss_inbuf_borrow(in, strlen(text), &err) != SS_OK)
        abort();
    memcpy(in->block->bytes, text, strlen(text));
    in->block->end = in->block->used = strlen(text);
}

static void test_reading(void)
{
    struct heap heap = { 0 };
    struct ss_pool pool;
    ss_pool_init(&pool, heap_mem(&heap));
    struct ss_inbuf in = { .pool = &pool };
    CHECK(ss_try_read(&in, 0) == SS_WANT && ss_try_read(&in, 1) == SS_WANT);
    put(&in, "abc");
    CHECK(ss_try_read(&in, 0) == SS_WANT && ss_try_read(&in, 1) == SS_OK);
    CHECK(ss_try_read(&in, 3) == SS_OK && ss_try_read(&in, 4) == SS_WANT);
    CHECK(ss_inbuf_len(&in) == 3);
    ss_inbuf_clear(&in);
    ss_pool_fini(&pool);
    heap_check_empty(&heap);
}

static void test_reading_until(void)
{
    struct heap heap = { 0 };
    struct ss_pool pool;
    struct ss_find find = { .pattern = (const unsigned char *)"\n", .len = 1 };
    struct ss_scan scan;
    size_t len = 0;
    ss_pool_init(&pool, heap_mem(&heap));
    struct ss_inbuf in = { .pool = &pool };
    put(&in, "abc");
    CHECK(ss_try_until(&in, &find, SIZE_MAX, &scan, &len) == SS_WANT && scan.seen == 3);
    put(&in, "abc\nd");
    CHECK(ss_try_until(&in, &find, SIZE_MAX, &scan, &len) == SS_OK && len == 3);
    CHECK(ss_try_until(&in, &find, 3, &scan, &len) == SS_OK && ss_try_until(&in, &find, 2, &scan, &len) == SS_WANT);
    CHECK(ss_inbuf_len(&in) == 5);
    ss_inbuf_clear(&in);
    ss_pool_fini(&pool);
    heap_check_empty(&heap);
}

static enum ss_status seen_status;

static enum ss_status note_step(struct ss_op *op)
{
    CHECK(op->io->mode >= SS_NO_WAIT && op->io->calls_left == SS_CALLS_PER_STEP);
    return seen_status;
}

static void test_a_step(void)
{
    struct ss_io io = { .fd = 4711 };
    struct ss_op op = { .step = note_step, .io = &io };
    for (enum ss_status st = SS_OK; st <= SS_ERROR; st++) {
        seen_status = st;
        ss_io_set_mode(&io, SS_WAIT_ALWAYS);
        CHECK(ss_try_step(&op, SS_NO_WAIT) == st && io.mode == SS_NO_WAIT);
        CHECK(ss_try_step(&op, SS_NO_WAIT_EDGE) == st && io.mode == SS_NO_WAIT_EDGE);
    }
}

int main(void)
{
    RUN(test_sending);
    RUN(test_what_pays);
    RUN(test_reading);
    RUN(test_reading_until);
    RUN(test_a_step);
    return check_end();
}
