/* ss_inbuf and ss_pool: bytes go in and come out the same, memory follows the bytes that have arrived, moving them costs
 * a constant number of times, and no allocation that fails loses anything. */
#include "check.h"
#include "core/inbuf.h"
#include "rig.h"
#include "rng.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { MIB = 1024 * 1024, WORTHWHILE = SS_BLOCK / 4 };

static const struct feed at_once = { .mode = SS_NO_WAIT };
static const struct peer_event endless[] = { STREAM(SIZE_MAX), { PEER_END, NULL, 0, 0 } };

static void play_endless(struct rig *rig, size_t piece)
{
    const struct feed feed = { .mode = SS_NO_WAIT, .piece = piece };
    rig_play(rig, endless, &feed);
}

static enum ss_status fill(struct rig *rig, size_t need)
{
    struct ss_error err = { SS_SYSTEM, 0 };
    ss_io_set_mode(&rig->peer.io, SS_NO_WAIT);
    enum ss_status st = ss_inbuf_fill(&rig->in, &rig->peer.io, need, &err);
    CHECKF(st != SS_ERROR || err.code == ENOMEM, "error %d", err.code);
    return st;
}

static void fill_up_to(struct rig *rig, size_t len, size_t need)
{
    while (ss_inbuf_len(&rig->in) < len && fill(rig, need) == SS_OK)
        ;
    CHECKF(ss_inbuf_len(&rig->in) >= len, "only %zu bytes of %zu", ss_inbuf_len(&rig->in), len);
}

/* What waits must be the last bytes of the stream that were given. */
static void check_bytes(const struct rig *rig)
{
    size_t len = ss_inbuf_len(&rig->in), first = rig->peer.position - len, i = 0;
    const unsigned char *data = ss_inbuf_data(&rig->in);
    while (i < len && data[i] == peer_byte(first + i))
        i++;
    CHECKF(i == len, "byte %zu of %zu is wrong", i, len);
}

static void check_ends(const struct rig *rig)
{
    size_t len = ss_inbuf_len(&rig->in), last = rig->peer.position - 1;
    const unsigned char *data = ss_inbuf_data(&rig->in);
    CHECK(len == 0 || (data[0] == peer_byte(last + 1 - len) && data[len - 1] == peer_byte(last)));
}

static size_t size_of(const struct ss_block *block)
{
    return block ? block->size : 0;
}

static size_t memory_of(const struct ss_block *block)
{
    return block ? sizeof *block + block->size : 0;
}

static void check_shape(const struct rig *rig)
{
    const struct ss_block *block = rig->in.block, *idle = rig->pool.idle;
    CHECK(!block || (block->start < block->end && block->end <= block->size && block->end <= block->used));
    CHECK(!idle || idle->size >= SS_BLOCK);
    CHECKF(rig->heap.live == memory_of(block) + memory_of(idle), "%zu bytes are somewhere else",
           rig->heap.live - memory_of(block) - memory_of(idle));
}

static void test_empty(void)
{
    struct rig rig;
    rig_open(&rig);
    CHECK(ss_inbuf_len(&rig.in) == 0 && ss_inbuf_data(&rig.in) != NULL);
    ss_inbuf_consume(&rig.in, 0);
    ss_inbuf_shrink(&rig.in);
    ss_inbuf_clear(&rig.in);
    CHECK(rig.heap.requests == 0);
    rig_close(&rig);
}

static void test_bytes_come_out_as_they_went_in(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 10);
    CHECK(fill(&rig, 1) == SS_OK && ss_inbuf_len(&rig.in) == 10);
    CHECK(fill(&rig, 1) == SS_OK && ss_inbuf_len(&rig.in) == 20);
    ss_inbuf_consume(&rig.in, 7);
    check_bytes(&rig);
    ss_inbuf_consume(&rig.in, 0);
    CHECK(ss_inbuf_len(&rig.in) == 13);
    ss_inbuf_consume(&rig.in, 13);
    check_shape(&rig);
    CHECK(fill(&rig, 1) == SS_OK && ss_inbuf_len(&rig.in) == 10);
    check_bytes(&rig);
    rig_close(&rig);
}

/* A receive that brings nothing says why, and touches neither what waits nor, without any, memory. */
static void test_other_ends(void)
{
    static const struct peer_event script[] = { PAUSE, BYTES("ab"), PAUSE, FAILS(ECONNRESET), ENDS };
    struct ss_error err = { SS_RESOLVER, 0 };
    struct rig rig;
    rig_open(&rig);
    rig_play(&rig, script, &at_once);
    CHECK(fill(&rig, 1) == SS_WANT && rig.in.block == NULL);
    CHECK(fill(&rig, 1) == SS_OK);
    CHECK(fill(&rig, 1) == SS_WANT);
    ss_io_set_mode(&rig.peer.io, SS_NO_WAIT);
    CHECK(ss_inbuf_fill(&rig.in, &rig.peer.io, 1, &err) == SS_ERROR);
    CHECK(err.space == SS_SYSTEM && err.code == ECONNRESET);
    CHECK(fill(&rig, 1) == SS_EOF && fill(&rig, 1) == SS_EOF);
    CHECK(ss_inbuf_len(&rig.in) == 2 && memcmp(ss_inbuf_data(&rig.in), "ab", 2) == 0);
    ss_inbuf_consume(&rig.in, 2);
    CHECK(fill(&rig, 1) == SS_EOF && rig.in.block == NULL);
    CHECK(rig.heap.requests == 1);
    rig_close(&rig);
}

/* Anything at all, thousands of times. */

static void settle(struct rig *rig)
{
    size_t len = ss_inbuf_len(&rig->in);
    ss_inbuf_shrink(&rig->in);
    CHECK(ss_inbuf_len(&rig->in) == len);
}

static void random_step(struct rig *rig, uint32_t *rng)
{
    static const size_t sizes[] = { 1, 2, 100, WORTHWHILE, SS_BLOCK - 1, SS_BLOCK, SS_BLOCK + 1, 5 * SS_BLOCK };
    size_t size = sizes[rng_below(rng, sizeof sizes / sizeof *sizes)];
    size_t len = ss_inbuf_len(&rig->in);
    rig->peer.feed.piece = 1 + rng_below(rng, size);
    size_t action = rng_below(rng, 100);
    if (action < 55)
        CHECK(fill(rig, 1 + rng_below(rng, size)) == SS_OK && ss_inbuf_len(&rig->in) > len);
    else if (action < 90)
        ss_inbuf_consume(&rig->in, rng_below(rng, (len < size ? len : size) + 1));
    else if (action < 95)
        ss_inbuf_consume(&rig->in, len);
    else if (action < 99)
        settle(rig);
    else
        ss_inbuf_clear(&rig->in);
}

static void test_anything_in_any_order(void)
{
    struct rig rig;
    for (uint32_t seed = 1; seed <= 6; seed++) {
        uint32_t rng = seed;
        rig_open(&rig);
        play_endless(&rig, 1);
        for (int round = 0; round < 2000; round++) {
            random_step(&rig, &rng);
            check_shape(&rig);
            check_ends(&rig);
            if (round % 100 == 0)
                check_bytes(&rig);
        }
        rig_close(&rig);
    }
}

/* Receives */

/* Exactly the bytes needed when they are many, so that a call that waits for all of them does not wait too long; else as
 * many as fit. Never a receive that is not worth it. */
static void test_what_a_receive_asks_for(void)
{
    static const size_t needs[] = { 1, 1000, WORTHWHILE, SS_BLOCK - 1, SS_BLOCK, SS_BLOCK + 1, 3 * SS_BLOCK, SIZE_MAX };
    struct rig rig;
    rig_open(&rig);
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        play_endless(&rig, 1000);
        for (int round = 0; round < 1000; round++) {
            CHECK(fill(&rig, needs[i]) == SS_OK);
            CHECKF(rig.peer.asked >= WORTHWHILE, "asked for %zu with %zu needed", rig.peer.asked, needs[i]);
            CHECK(rig.peer.asked_all == (needs[i] >= SS_BLOCK));
            CHECK(!rig.peer.asked_all || rig.peer.asked <= needs[i]);
        }
    }
    rig_close(&rig);
}

static void test_a_burst_takes_few_receives(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 0);
    fill_up_to(&rig, 16 * MIB, 1);
    CHECKF(rig.peer.calls <= 16, "%u receives for 16 MiB", rig.peer.calls);
    rig_close(&rig);
}

/* Memory */

static void check_growth(size_t need, size_t piece)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, piece);
    while (rig.peer.position < 2 * MIB) {
        CHECK(fill(&rig, need) == SS_OK);
        size_t fair = 3 * rig.peer.position + SS_BLOCK;
        if (rig.heap.live <= sizeof(struct ss_block) + fair)
            continue;
        CHECKF(false, "%zu bytes of memory for %zu that came", rig.heap.live, rig.peer.position);
        break;
    }
    CHECKF(rig.heap.copied <= 2 * rig.peer.position, "%zu bytes copied for %zu", rig.heap.copied, rig.peer.position);
    check_bytes(&rig);
    rig_close(&rig);
}

/* However much was announced, and however small the pieces are. */
static void test_memory_grows_with_what_arrives(void)
{
    static const size_t needs[] = { 1, SS_BLOCK, 10 * MIB, SIZE_MAX / 4, SIZE_MAX };
    static const size_t pieces[] = { 7, 1000, WORTHWHILE, SS_BLOCK, 0 };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++)
            check_growth(needs[i], pieces[k]);
}

/* A window of 8 MiB slides over the stream: were it moved for each piece, this would take hours. */
static void test_sliding_costs_what_it_slides(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 0);
    fill_up_to(&rig, 8 * MIB, 1);
    rig.heap.copied = 0;
    rig.peer.feed.piece = 50;
    size_t begin = rig.peer.position;
    while (rig.peer.position < begin + 20 * MIB) {
        CHECK(fill(&rig, 1) == SS_OK);
        ss_inbuf_consume(&rig.in, 50);
    }
    CHECKF(rig.heap.copied <= 2 * 20 * MIB, "%zu bytes copied for 20 MiB", rig.heap.copied);
    CHECKF(rig.heap.live <= 48 * MIB, "%zu bytes of memory for 8 MiB", rig.heap.live);
    check_bytes(&rig);
    rig_close(&rig);
}

/* A few bytes that always wait do not make it grow. */
static void test_a_small_window_stays_in_its_block(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 1000);
    CHECK(fill(&rig, 1) == SS_OK);
    for (int round = 0; round < 2000; round++) {
        CHECK(fill(&rig, 1) == SS_OK);
        ss_inbuf_consume(&rig.in, 1000);
        check_ends(&rig);
    }
    CHECKF(rig.heap.requests == 1, "%zu allocations", rig.heap.requests);
    rig_close(&rig);
}

static void test_an_empty_buffer_holds_no_memory(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 300);
    for (int round = 0; round < 1000; round++) {
        CHECK(fill(&rig, 1) == SS_OK);
        ss_inbuf_consume(&rig.in, 300);
        check_shape(&rig);
    }
    CHECK(rig.heap.requests == 1 && size_of(rig.pool.idle) == SS_BLOCK);
    rig_close(&rig);
}

/* A peer that sends as fast as it is received must not keep one call for long. */
static void test_one_receive_is_not_endless(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 0);
    for (int i = 0; i < 4; i++) {
        CHECK(fill(&rig, 64 * MIB) == SS_OK);
        CHECKF(rig.peer.asked <= 8 * MIB, "%zu bytes at once", rig.peer.asked);
    }
    fill_up_to(&rig, 32 * MIB, 1);
    CHECKF(rig.peer.asked <= 8 * MIB, "%zu bytes at once", rig.peer.asked);
    check_bytes(&rig);
    rig_close(&rig);
}

/* While what waits becomes less, so does the memory that it waits in. */
static void test_memory_shrinks_with_what_waits(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 0);
    fill_up_to(&rig, 32 * MIB, 1);
    rig.heap.copied = 0;
    while (ss_inbuf_len(&rig.in) > 10) {
        size_t len = ss_inbuf_len(&rig.in);
        ss_inbuf_consume(&rig.in, len > 1000 ? 1000 : len - 10);
        size_t fair = 8 * ss_inbuf_len(&rig.in);
        CHECKF(size_of(rig.in.block) <= fair || size_of(rig.in.block) <= 4 * SS_BLOCK, "%zu bytes for %zu",
               size_of(rig.in.block), fair / 8);
    }
    check_bytes(&rig);
    CHECKF(rig.heap.copied <= 32 * MIB, "%zu bytes copied", rig.heap.copied);
    rig_close(&rig);
}

static void fill_and_empty(struct rig *rig, size_t size)
{
    fill_up_to(rig, size, 1);
    ss_inbuf_consume(&rig->in, ss_inbuf_len(&rig->in));
}

/* A very large block is not kept at all, a large one as long as there is use for it. */
static void test_a_burst_leaves_no_memory_behind(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 0);
    fill_and_empty(&rig, 20 * MIB);
    CHECKF(rig.heap.live <= SS_POOL_KEEP, "%zu bytes stay after 20 MiB", rig.heap.live);
    fill_and_empty(&rig, MIB);
    CHECKF(rig.heap.live >= MIB && rig.heap.live <= SS_POOL_KEEP, "%zu bytes stay after 1 MiB", rig.heap.live);
    size_t requests = rig.heap.requests;
    for (int round = 0; round < 100; round++)
        fill_and_empty(&rig, MIB);
    CHECK(rig.heap.requests == requests);
    rig.peer.feed.piece = 100;
    for (int round = 0; round < 100; round++)
        fill_and_empty(&rig, 100);
    CHECKF(rig.heap.live == sizeof(struct ss_block) + SS_BLOCK, "%zu bytes stay", rig.heap.live);
    rig_close(&rig);
}

/* One large read in some small ones keeps a large block, and so do reads that need a good part of it. */
static void test_a_large_block_stays_while_it_is_used(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 0);
    fill_and_empty(&rig, MIB);
    size_t requests = rig.heap.requests;
    for (int round = 0; round < 200; round++) {
        rig.peer.feed.piece = round % 10 == 0 ? 0 : 100;
        fill_and_empty(&rig, round % 10 == 0 ? MIB : 100);
    }
    rig.peer.feed.piece = MIB / 2;
    for (int round = 0; round < 100; round++)
        fill_and_empty(&rig, MIB / 2);
    CHECK(rig.heap.requests == requests);
    rig.peer.feed.piece = MIB / 8;
    for (int round = 0; round < 100; round++)
        fill_and_empty(&rig, MIB / 8);
    CHECKF(rig.heap.live <= MIB / 2, "%zu bytes stay for reads of %d", rig.heap.live, MIB / 8);
    rig_close(&rig);
}

/* A large read that has received more than it wanted gives the block to the next one, which allocates nothing. */
static void test_a_large_block_is_used_again_after_a_rest(void)
{
    struct rig rig;
    size_t requests = 0;
    rig_open(&rig);
    ss_pool_keep_spares(&rig.pool);
    play_endless(&rig, 50000);
    for (int round = 0; round < 100; round++) {
        fill_up_to(&rig, MIB + 1, MIB + 1);
        check_ends(&rig);
        ss_inbuf_consume(&rig.in, MIB);
        CHECKF(rig.in.block->size < 2 * SS_BLOCK, "%zu bytes for a rest", rig.in.block->size);
        if (round == 10)
            requests = rig.heap.requests;
    }
    CHECKF(rig.heap.requests == requests, "%zu allocations", rig.heap.requests - requests);
    rig_close(&rig);
}

/* Fills the buffer to `len` in its own block, and then returns one of 1 MiB to the pool. */
static struct ss_block *fill_beside_a_large_block(struct rig *rig, size_t len)
{
    rig_open(rig);
    play_endless(rig, 1000);
    struct ss_block *large = ss_pool_borrow(&rig->pool, MIB);
    fill_up_to(rig, len, 1);
    large->used = MIB;
    ss_pool_return(&rig->pool, large);
    return large;
}

/* Or each of many sockets, whose bytes wait while others make large reads, could keep one of theirs. */
static void test_a_large_block_is_not_for_few_bytes(void)
{
    struct rig rig;
    const struct ss_block *large = fill_beside_a_large_block(&rig, 48000);
    fill_up_to(&rig, SS_BLOCK + 5000, MIB / 4 - 50001); /* it grows at 50,000 */
    CHECKF(size_of(rig.in.block) == 2 * SS_BLOCK, "%zu bytes", size_of(rig.in.block));
    fill_up_to(&rig, MIB / 4 - 20000, 1);
    CHECKF(size_of(rig.in.block) == MIB / 4 && rig.pool.idle == large, "%zu bytes", size_of(rig.in.block));
    check_bytes(&rig);
    rig_close(&rig);
}

/* What has come and what is to come need a quarter of it. */
static void test_a_large_block_is_for_many_bytes(void)
{
    static const size_t needs[] = { MIB / 4 - 50000, MIB / 4, MIB, SIZE_MAX };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        struct rig rig;
        const struct ss_block *large = fill_beside_a_large_block(&rig, 48000);
        size_t requests = rig.heap.requests;
        fill_up_to(&rig, 51000, needs[i]); /* it grows at 50,000 */
        CHECKF(rig.in.block == large && rig.heap.requests == requests, "need %zu", needs[i]);
        check_bytes(&rig);
        rig_close(&rig);
    }
    struct rig rig;
    const struct ss_block *large = fill_beside_a_large_block(&rig, 48000);
    fill_up_to(&rig, MIB / 2 + 1000, 1);
    CHECK(rig.in.block == large);
    check_bytes(&rig);
    rig_close(&rig);
}

/* A rest that waits for ever holds a usual block, and the pool one that small reads give up as ever. */
static void test_a_rest_keeps_no_large_block(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 50000);
    fill_up_to(&rig, MIB + 1, MIB + 1);
    ss_inbuf_consume(&rig.in, MIB);
    CHECKF(size_of(rig.in.block) == SS_BLOCK, "%zu bytes", size_of(rig.in.block));
    CHECKF(rig.heap.live <= memory_of(rig.in.block) + SS_POOL_KEEP, "%zu bytes", rig.heap.live);
    for (int i = 0; i < 100; i++)
        ss_pool_return(&rig.pool, ss_pool_borrow(&rig.pool, 1));
    CHECKF(rig.heap.live == 2 * memory_of(rig.in.block), "%zu bytes", rig.heap.live);
    check_bytes(&rig);
    rig_close(&rig);
}

static void check_settling(size_t len)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 1000);
    fill_up_to(&rig, 10000, 1);
    ss_inbuf_consume(&rig.in, ss_inbuf_len(&rig.in) - len);
    ss_inbuf_shrink(&rig.in);
    CHECKF(size_of(rig.in.block) == len && size_of(rig.pool.idle) == SS_BLOCK, "%zu bytes in %zu", len,
           size_of(rig.in.block));
    check_bytes(&rig);
    size_t requests = rig.heap.requests;
    ss_inbuf_shrink(&rig.in);
    CHECK(rig.heap.requests == requests);
    CHECK(fill(&rig, 1) == SS_OK && ss_inbuf_len(&rig.in) == len + 1000);
    check_bytes(&rig);
    rig_close(&rig);
}

/* Few bytes that wait for an unknown time do not keep a block from the others. */
static void test_settling(void)
{
    check_settling(1);
    check_settling(100);
    check_settling(9999);
}

static void check_no_settling(size_t len)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, len);
    fill_up_to(&rig, len, 1);
    size_t requests = rig.heap.requests;
    ss_inbuf_shrink(&rig.in);
    CHECK(rig.heap.requests == requests && size_of(rig.in.block) == SS_BLOCK);
    check_bytes(&rig);
    rig_close(&rig);
}

static void test_settling_is_not_for_full_blocks(void)
{
    check_no_settling(SS_BLOCK / 2);
    check_no_settling(SS_BLOCK);
}

/* Sockets of one state share the block that is idle, and of several the largest stays. */
static void test_the_pool(void)
{
    struct rig rig;
    rig_open(&rig);
    struct ss_block *a = ss_pool_borrow(&rig.pool, 1);
    CHECK(size_of(a) == SS_BLOCK && rig.pool.grown == memory_of(a));
    ss_pool_return(&rig.pool, a);
    CHECK(ss_pool_borrow(&rig.pool, SS_BLOCK) == a && size_of(a) == SS_BLOCK && rig.pool.grown == memory_of(a));
    struct ss_block *b = ss_pool_borrow(&rig.pool, 3 * SS_BLOCK);
    CHECK(size_of(b) == 3 * SS_BLOCK && rig.pool.grown == memory_of(a) + memory_of(b));
    a->used = SS_BLOCK;
    b->used = 3 * SS_BLOCK;
    ss_pool_return(&rig.pool, b);
    ss_pool_return(&rig.pool, a);
    CHECK(rig.heap.blocks == 1 && rig.pool.idle == b && size_of(b) == 3 * SS_BLOCK);
    CHECK(ss_pool_borrow(&rig.pool, 2 * SS_BLOCK) == b);
    CHECK(b->start == 0 && b->end == 0 && b->used == 0);
    b->used = 3 * SS_BLOCK;
    ss_pool_return(&rig.pool, ss_pool_borrow(&rig.pool, 1));
    ss_pool_return(&rig.pool, b);
    CHECK(rig.heap.blocks == 1 && rig.pool.idle == b);
    rig_close(&rig);
}

/* Through a layer a call has several blocks at once. */
static void test_spare_blocks(void)
{
    struct rig rig;
    struct ss_block *blocks[4];
    rig_open(&rig);
    ss_pool_keep_spares(&rig.pool);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 4; i++)
            blocks[i] = ss_pool_borrow(&rig.pool, i == 3 ? SS_BLOCK + 100 : 1);
        for (int i = 0; i < 4; i++) {
            CHECK(blocks[i]->start == 0 && blocks[i]->end == 0 && blocks[i]->used == 0);
            CHECKF(blocks[i]->size >= SS_BLOCK + (i == 3 ? 100 : 0), "%d: %zu bytes", i, blocks[i]->size);
            blocks[i]->used = SS_BLOCK;
        }
        for (int i = 0; i < 4; i++)
            ss_pool_return(&rig.pool, blocks[(i + round) % 4]);
        CHECKF(rig.heap.blocks == 1 + SS_POOL_SPARES, "%zu blocks are kept", rig.heap.blocks);
        CHECKF(size_of(rig.pool.idle) == SS_BLOCK + 100, "%zu bytes", size_of(rig.pool.idle));
    }
    CHECKF(rig.heap.requests <= 4 + 4, "%zu allocations", rig.heap.requests);
    rig_close(&rig);
}

static void test_a_spare_block_is_large_enough(void)
{
    struct rig rig;
    rig_open(&rig);
    ss_pool_keep_spares(&rig.pool);
    struct ss_block *usual = ss_pool_borrow(&rig.pool, 1), *larger = ss_pool_borrow(&rig.pool, SS_BLOCK + 100);
    ss_pool_return(&rig.pool, larger);
    ss_pool_return(&rig.pool, usual);
    CHECK(ss_pool_borrow(&rig.pool, 1) == larger);
    struct ss_block *other = ss_pool_borrow(&rig.pool, SS_BLOCK + 100);
    CHECKF(other->size >= SS_BLOCK + 100, "%zu bytes", other->size);
    ss_pool_return(&rig.pool, other);
    ss_pool_return(&rig.pool, larger);
    rig_close(&rig);
}

/* What is larger or smaller is no spare. */
static void test_blocks_of_other_sizes_are_no_spares(void)
{
    struct rig rig;
    rig_open(&rig);
    ss_pool_keep_spares(&rig.pool);
    struct ss_block *a = ss_pool_borrow(&rig.pool, 4 * SS_BLOCK), *b = ss_pool_borrow(&rig.pool, 3 * SS_BLOCK);
    a->used = b->used = 3 * SS_BLOCK;
    ss_pool_return(&rig.pool, a);
    ss_pool_return(&rig.pool, b);
    ss_pool_return(&rig.pool, ss_pool_make(&rig.pool, SS_BLOCK - 1));
    CHECK(rig.heap.blocks == 1 && rig.pool.idle == a);
    rig_close(&rig);
}

static void test_the_pool_keeps_nothing_after_its_end(void)
{
    struct rig rig;
    rig_open(&rig);
    struct ss_block *block = ss_pool_borrow(&rig.pool, 1);
    ss_pool_fini(&rig.pool);
    ss_pool_return(&rig.pool, block);
    heap_check_empty(&rig.heap);
    rig_close(&rig);
}

/* So that who has looked at bytes knows whether they are still the ones that wait. */
static void test_the_epoch_changes_when_bytes_leave(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 100);
    CHECK(fill(&rig, 1) == SS_OK);
    unsigned epoch = rig.in.epoch;
    CHECK(fill(&rig, 1) == SS_OK && fill(&rig, SIZE_MAX) == SS_OK);
    ss_inbuf_shrink(&rig.in);
    CHECK(rig.in.epoch == epoch);
    ss_inbuf_consume(&rig.in, 1);
    CHECK(rig.in.epoch != epoch);
    epoch = rig.in.epoch;
    ss_inbuf_consume(&rig.in, 299);
    CHECK(rig.in.epoch != epoch && rig.in.block == NULL && fill(&rig, 1) == SS_OK);
    epoch = rig.in.epoch;
    ss_inbuf_clear(&rig.in);
    CHECK(rig.in.epoch != epoch && fill(&rig, 1) == SS_OK);
    epoch = rig.in.epoch;
    CHECK(ss_inbuf_borrow(&rig.in, 1, &(struct ss_error){ SS_SYSTEM, 0 }) == SS_OK && rig.in.epoch != epoch);
    rig_close(&rig);
}

static void test_two_buffers_share_a_block(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 100);
    struct ss_inbuf other = { .pool = &rig.pool };
    for (int round = 0; round < 10; round++) {
        ss_io_set_mode(&rig.peer.io, SS_NO_WAIT);
        CHECK(ss_inbuf_fill(&other, &rig.peer.io, 1, &(struct ss_error){ SS_SYSTEM, 0 }) == SS_OK);
        ss_inbuf_clear(&other);
        CHECK(fill(&rig, 1) == SS_OK);
        ss_inbuf_consume(&rig.in, 100);
    }
    CHECK(rig.heap.requests == 1);
    rig_close(&rig);
}

/* What is smaller than a block is no use to others. */
static void test_settled_memory_is_not_kept(void)
{
    struct rig rig;
    rig_open(&rig);
    play_endless(&rig, 100);
    struct ss_inbuf other = { .pool = &rig.pool };
    CHECK(fill(&rig, 1) == SS_OK);
    ss_inbuf_shrink(&rig.in);
    CHECK(ss_inbuf_borrow(&other, 1, &(struct ss_error){ SS_SYSTEM, 0 }) == SS_OK);
    ss_inbuf_consume(&rig.in, 100);
    CHECK(rig.pool.idle == NULL && rig.heap.live == sizeof(struct ss_block) + SS_BLOCK);
    ss_inbuf_clear(&other);
    rig_close(&rig);
}

static void test_borrowing(void)
{
    static const size_t sizes[] = { 1, SS_BLOCK, SS_BLOCK + 1, MIB, 3 * MIB };
    struct ss_error err = { SS_RESOLVER, 0 };
    struct rig rig;
    rig_open(&rig);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        play_endless(&rig, 0);
        CHECK(fill(&rig, 1) == SS_OK);
        CHECK(ss_inbuf_borrow(&rig.in, sizes[i], &err) == SS_OK);
        CHECK(size_of(rig.in.block) >= sizes[i] && ss_inbuf_len(&rig.in) == 0 && rig.in.block->start == 0);
        memset(rig.in.block->bytes, 1, sizes[i]);
        CHECKF(rig.heap.live <= sizes[i] + SS_POOL_KEEP, "%zu bytes for %zu", rig.heap.live, sizes[i]);
    }
    ss_inbuf_clear(&rig.in);
    rig.heap.fail_from = rig.heap.requests + 1;
    rig.heap.fail_count = 1;
    CHECK(ss_inbuf_borrow(&rig.in, 3 * MIB, &err) == SS_ERROR && err.space == SS_SYSTEM && err.code == ENOMEM);
    check_shape(&rig);
    rig_close(&rig);
}

/* Too little memory */

/* Reads a stretch of the stream with all that can need memory in it; a fill that had none is made again. Returns how many
 * were made again. */
static unsigned read_a_stretch(struct rig *rig)
{
    unsigned failed = 0;
    for (int round = 0; round < 60; round++) {
        rig->peer.feed.piece = round % 20 < 10 ? 50000 : 10;
        size_t len = ss_inbuf_len(&rig->in);
        enum ss_status st = fill(rig, round % 3 == 0 ? SIZE_MAX : 1);
        failed += st == SS_ERROR;
        CHECK(st == SS_ERROR ? ss_inbuf_len(&rig->in) == len : ss_inbuf_len(&rig->in) > len);
        check_shape(rig);
        len = ss_inbuf_len(&rig->in);
        ss_inbuf_consume(&rig->in, round % 20 == 19 ? len : round % 20 > 10 ? len - len / 16 : len / 5);
        if (round % 4 == 3)
            settle(rig);
        check_shape(rig);
        check_bytes(rig);
    }
    for (int round = 0; round < 40; round++) { /* for so long that a large block is given up */
        failed += fill(rig, 1) == SS_ERROR;
        ss_inbuf_consume(&rig->in, ss_inbuf_len(&rig->in));
        check_shape(rig);
    }
    rig->peer.feed.piece = 50000;
    while (ss_inbuf_len(&rig->in) < 4 * MIB) { /* more than the pool keeps */
        failed += fill(rig, SIZE_MAX) == SS_ERROR;
        check_shape(rig);
    }
    check_bytes(rig);
    return failed;
}

/* A block so large that twice its size is no size can't be had: one that only says so. */
static void test_no_size_overflows(void)
{
    struct rig rig;
    rig_open(&rig);
    CHECK(ss_pool_make(&rig.pool, SIZE_MAX) == NULL &&
          ss_pool_make(&rig.pool, SIZE_MAX - sizeof(struct ss_block) + 1) == NULL);
    CHECK(rig.heap.requests == 0);
    play_endless(&rig, 1);
    fill_up_to(&rig, 1, 1);
    struct ss_block *block = rig.in.block, before = *block;
    block->size = SIZE_MAX / 2 + 1;
    block->end = block->size - 1;
    CHECK(fill(&rig, 1) == SS_ERROR && rig.in.block == block && block->size == SIZE_MAX / 2 + 1);
    *block = before;
    check_bytes(&rig);
    rig_close(&rig);
}

/* Takes `first` bytes out, lets `later` come meanwhile, and puts them back; `fails`: there is no memory for both. */
static void put_back(size_t first, size_t later, bool fails)
{
    struct rig rig;
    struct ss_inbuf own;
    rig_open(&rig);
    play_endless(&rig, 1024);
    fill_up_to(&rig, first, 1);
    size_t had = ss_inbuf_len(&rig.in);
    unsigned epoch = rig.in.epoch;
    ss_inbuf_take_out(&rig.in, &own);
    CHECK(ss_inbuf_len(&rig.in) == 0 && rig.in.epoch != epoch && ss_inbuf_len(&own) == had);
    fill_up_to(&rig, later, 1);
    size_t came = ss_inbuf_len(&rig.in);
    epoch = rig.in.epoch;
    rig.heap.fail_from = fails ? rig.heap.requests + 1 : 0;
    rig.heap.fail_count = 1;
    ss_inbuf_put_back(&rig.in, &own);
    CHECKF(ss_inbuf_len(&rig.in) == had + (fails ? 0 : came), "%zu and %zu become %zu", had, came,
           ss_inbuf_len(&rig.in));
    CHECK(rig.in.epoch != epoch);
    if (fails)
        rig.peer.position -= came;
    check_bytes(&rig);
    rig_close(&rig);
}

static void test_what_was_taken_out_comes_before_what_came(void)
{
    put_back(1000, 0, false);
    put_back(1000, 1000, false);
    put_back(SS_BLOCK - 1024, 1024, false);
    put_back(SS_BLOCK, SS_BLOCK, false);
    put_back(5 * SS_BLOCK, 3 * SS_BLOCK, false);
}

static void test_without_memory_for_both_what_was_taken_out_stays(void)
{
    put_back(SS_BLOCK, 2 * SS_BLOCK, true);
}

static void check_failing(size_t count)
{
    struct rig rig;
    size_t n = 0, failed = 0;
    do {
        rig_open(&rig);
        rig.heap.fail_from = ++n;
        rig.heap.fail_count = count;
        play_endless(&rig, 1);
        failed += read_a_stretch(&rig);
        rig_close(&rig);
    } while (rig.heap.requests >= n);
    CHECKF(n > 10 && failed > 5, "%zu allocations, of which %zu were missed", n, failed);
}

static void test_each_allocation_fails_once(void)
{
    check_failing(1);
}

static void test_several_allocations_fail_in_a_row(void)
{
    check_failing(5);
}

int main(void)
{
    RUN(test_empty);
    RUN(test_bytes_come_out_as_they_went_in);
    RUN(test_other_ends);
    RUN(test_anything_in_any_order);
    RUN(test_what_a_receive_asks_for);
    RUN(test_a_burst_takes_few_receives);
    RUN(test_memory_grows_with_what_arrives);
    RUN(test_sliding_costs_what_it_slides);
    RUN(test_a_small_window_stays_in_its_block);
    RUN(test_an_empty_buffer_holds_no_memory);
    RUN(test_one_receive_is_not_endless);
    RUN(test_memory_shrinks_with_what_waits);
    RUN(test_a_burst_leaves_no_memory_behind);
    RUN(test_a_large_block_stays_while_it_is_used);
    RUN(test_a_large_block_is_used_again_after_a_rest);
    RUN(test_a_large_block_is_not_for_few_bytes);
    RUN(test_a_large_block_is_for_many_bytes);
    RUN(test_a_rest_keeps_no_large_block);
    RUN(test_settling);
    RUN(test_settling_is_not_for_full_blocks);
    RUN(test_the_pool);
    RUN(test_spare_blocks);
    RUN(test_a_spare_block_is_large_enough);
    RUN(test_blocks_of_other_sizes_are_no_spares);
    RUN(test_the_pool_keeps_nothing_after_its_end);
    RUN(test_the_epoch_changes_when_bytes_leave);
    RUN(test_two_buffers_share_a_block);
    RUN(test_settled_memory_is_not_kept);
    RUN(test_borrowing);
    RUN(test_no_size_overflows);
    RUN(test_what_was_taken_out_comes_before_what_came);
    RUN(test_without_memory_for_both_what_was_taken_out_stays);
    RUN(test_each_allocation_fails_once);
    RUN(test_several_allocations_fail_in_a_row);
    return check_end();
}
