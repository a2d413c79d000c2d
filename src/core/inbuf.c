#include "core/inbuf.h"
#include "core/codes.h"

#include <stdint.h> /* SIZE_MAX */
#include <string.h> /* memmove */

enum { ROOM_MIN = SS_BLOCK / 4 }; /* bytes; a smaller receive does not justify a system call */

static size_t room_in(const struct ss_block *block)
{
    return block->size - block->end;
}

static void compact_inbuf(struct ss_inbuf *in)
{
    struct ss_block *block = in->block;
    memmove(block->bytes, block->bytes + block->start, ss_inbuf_len(in));
    block->end -= block->start;
    block->start = 0;
    in->epoch++;
}

/* Moves the bytes to another block of the pool's, which has room for them. */
static void change_block(struct ss_inbuf *in, struct ss_block *block)
{
    size_t len = ss_inbuf_len(in);
    memcpy(block->bytes, ss_inbuf_data(in), len);
    block->end = block->used = len;
    ss_pool_return(in->pool, in->block);
    in->block = block;
    in->epoch++;
}

/* Whether the bytes, and `need` more, are worth the block of at least `size` bytes that the pool keeps: or each of many sockets,
 * whose bytes wait while others make large reads, could keep one for few. */
static bool deserves_idle_block(const struct ss_inbuf *in, size_t size, size_t need)
{
    const struct ss_block *idle = in->pool->idle;
    if (!idle || idle->size < size)
        return false;
    size_t len = ss_inbuf_len(in), least = idle->size / 4;
    return len >= least || need >= least - len;
}

static bool resize_block(struct ss_inbuf *in, size_t size)
{
    struct ss_block *block = ss_pool_resize(in->pool, in->block, size);
    if (!block)
        return false;
    in->block = block;
    in->epoch++;
    return true;
}

static bool borrow_block(struct ss_inbuf *in, size_t size)
{
    in->block = ss_pool_borrow(in->pool, size);
    return in->block != NULL;
}

/* Reserves space for a receive. Moves bytes only after at least as many were consumed since the last move, and grows
 * by doubling: amortized constant cost per byte. */
static bool reserve_inbuf(struct ss_inbuf *in, size_t need)
{
    const struct ss_block *block = in->block;
    if (!block)
        return borrow_block(in, SS_BLOCK);
    size_t len = ss_inbuf_len(in);
    size_t goal = ss_min_size(need < ROOM_MIN ? ROOM_MIN : need, len > SS_BLOCK ? len : SS_BLOCK);
    if (room_in(block) >= goal)
        return true;
    if (block->start >= len)
        compact_inbuf(in);
    if (block->size >= SS_BLOCK && room_in(block) >= ss_min_size(goal, block->size / 4))
        return true;
    if (block->size > SIZE_MAX / 2)
        return false;
    size_t size = block->size < SS_BLOCK ? SS_BLOCK : block->size * 2;
    if (deserves_idle_block(in, size, need)) { /* which has its pages already */
        change_block(in, ss_pool_borrow(in->pool, size));
        return true;
    }
    compact_inbuf(in);
    return resize_block(in, size);
}

enum ss_status ss_inbuf_fill_from(struct ss_inbuf *in, const struct ss_transport *via, struct ss_io *io, size_t need,
                                  struct ss_error *err)
{
    if (!reserve_inbuf(in, need)) {
        *err = ss_no_memory;
        return SS_ERROR;
    }
    struct ss_block *block = in->block;
    bool large = need >= SS_BLOCK;
    size_t room = ss_min_size(room_in(block), SS_BYTES_PER_CALL);
    size_t got = 0;
    enum ss_status st =
        via->recv(io, block->bytes + block->end, large ? ss_min_size(room, need) : room, large, &got, err);
    block->end += got;
    if (block->end > block->used)
        block->used = block->end;
    if (block->start == block->end)
        ss_inbuf_clear(in);
    return st;
}

enum ss_status ss_inbuf_borrow(struct ss_inbuf *in, size_t size, struct ss_error *err)
{
    ss_inbuf_clear(in);
    if (borrow_block(in, size))
        return SS_OK;
    *err = ss_no_memory;
    return SS_ERROR;
}

/* Does not keep a large block for a few bytes: the pool may, for the next large read. On failure the larger block stays. */
static void drop_room(struct ss_inbuf *in)
{
    const struct ss_block *idle = in->pool->idle;
    bool fits = ss_inbuf_len(in) <= SS_BLOCK && in->block->size <= SS_POOL_KEEP;
    struct ss_block *small = fits && (!idle || idle->size < 2 * SS_BLOCK) ? ss_pool_borrow(in->pool, SS_BLOCK) : NULL;
    if (small) {
        change_block(in, small);
        return;
    }
    compact_inbuf(in);
    resize_block(in, in->block->size / 4);
}

void ss_inbuf_consume(struct ss_inbuf *in, size_t n)
{
    struct ss_block *block = in->block;
    in->epoch++;
    if (!block)
        return;
    block->start += n;
    if (block->start == block->end) {
        ss_inbuf_clear(in);
        return;
    }
    if (block->size > 4 * SS_BLOCK && ss_inbuf_len(in) < block->size / 8)
        drop_room(in);
}

void ss_inbuf_shrink(struct ss_inbuf *in)
{
    size_t len = ss_inbuf_len(in);
    if (!in->block || in->block->size < SS_BLOCK || len > in->block->size / 4)
        return;
    struct ss_block *own = ss_pool_make(in->pool, len);
    if (!own)
        return;
    memcpy(own->bytes, ss_inbuf_data(in), len);
    own->end = own->used = len;
    ss_pool_return(in->pool, in->block);
    in->block = own;
}

void ss_inbuf_take_out(struct ss_inbuf *in, struct ss_inbuf *own)
{
    *own = *in;
    *in = (struct ss_inbuf){ .pool = own->pool, .epoch = own->epoch + 1, .stream = own->stream };
}

void ss_inbuf_put_back(struct ss_inbuf *in, struct ss_inbuf *own)
{
    size_t later = ss_inbuf_len(in);
    if (own->stream != in->stream) {
        ss_inbuf_clear(own);
        return;
    }
    own->epoch = in->epoch + 1;
    if (later > 0 && room_in(own->block) < later && !resize_block(own, own->block->end + later))
        later = 0;
    memcpy(own->block->bytes + own->block->end, ss_inbuf_data(in), later);
    own->block->end += later;
    if (own->block->end > own->block->used)
        own->block->used = own->block->end;
    ss_inbuf_clear(in);
    *in = *own;
}

void ss_inbuf_restart(struct ss_inbuf *in)
{
    ss_inbuf_clear(in);
    in->stream++;
}

void ss_inbuf_clear(struct ss_inbuf *in)
{
    in->epoch++;
    if (in->block)
        ss_pool_return(in->pool, in->block);
    in->block = NULL;
}
