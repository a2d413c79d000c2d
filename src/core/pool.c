#include "core/pool.h"

enum { SMALL_USES = 32 };

void ss_pool_init(struct ss_pool *pool, struct ss_mem mem)
{
    *pool = (struct ss_pool){ .mem = mem };
}

static void reset_block(struct ss_block *block)
{
    block->start = block->end = block->used = 0;
    block->short_start = block->short_end = 0;
}

static void free_block(struct ss_pool *pool, struct ss_block *block)
{
    if (block)
        ss_mem_free(&pool->mem, block, sizeof *block + block->size);
}

static void free_idle(struct ss_pool *pool)
{
    free_block(pool, pool->idle);
    pool->idle = NULL;
}

void ss_pool_fini(struct ss_pool *pool)
{
    free_idle(pool);
    for (int i = 0; i < SS_POOL_SPARES; i++) {
        free_block(pool, pool->spares[i]);
        pool->spares[i] = NULL;
    }
    pool->has_ended = true;
}

struct ss_block *ss_pool_resize(struct ss_pool *pool, struct ss_block *block, size_t size)
{
    size_t before = block ? sizeof *block + block->size : 0;
    if (size > SIZE_MAX - sizeof *block)
        return NULL;
    struct ss_block *resized = ss_mem_resize(&pool->mem, block, before, sizeof *block + size);
    if (!resized)
        return NULL;
    resized->size = size;
    if (sizeof *block + size > before)
        pool->grown += sizeof *block + size - before;
    return resized;
}

struct ss_block *ss_pool_make(struct ss_pool *pool, size_t size)
{
    struct ss_block *block = ss_pool_resize(pool, NULL, size);
    if (block)
        reset_block(block);
    return block;
}

static struct ss_block *borrow_spare(struct ss_pool *pool, size_t size)
{
    for (int i = 0; i < SS_POOL_SPARES; i++) {
        struct ss_block *block = pool->spares[i];
        if (!block || block->size < size)
            continue;
        pool->spares[i] = NULL;
        reset_block(block);
        return block;
    }
    return ss_pool_make(pool, size);
}

struct ss_block *ss_pool_borrow(struct ss_pool *pool, size_t size)
{
    struct ss_block *block = pool->idle;
    if (size < SS_BLOCK)
        size = SS_BLOCK;
    if (!block || block->size < size)
        return pool->keeps_spares ? borrow_spare(pool, size) : ss_pool_make(pool, size);
    pool->idle = NULL;
    reset_block(block);
    return block;
}

/* Shrinks a large block after SMALL_USES uses without a large read. */
static struct ss_block *shrink_idle_block(struct ss_pool *pool, struct ss_block *block)
{
    if (block->size == SS_BLOCK || block->used > block->size / 4) {
        pool->small_uses = 0;
        return block;
    }
    if (++pool->small_uses < SMALL_USES)
        return block;
    pool->small_uses = 0;
    struct ss_block *smaller = ss_pool_resize(pool, block, SS_BLOCK);
    return smaller ? smaller : block;
}

/* Keeps a block that is not to be the idle one as a spare, or frees it. */
static void set_block_aside(struct ss_pool *pool, struct ss_block *block)
{
    bool is_usual = block->size >= SS_BLOCK && block->size < 2 * SS_BLOCK;
    for (int i = 0; i < SS_POOL_SPARES && pool->keeps_spares && is_usual; i++)
        if (!pool->spares[i]) {
            pool->spares[i] = block;
            return;
        }
    free_block(pool, block);
}

void ss_pool_return(struct ss_pool *pool, struct ss_block *block)
{
    if (block->size > SS_POOL_KEEP || block->size < SS_BLOCK || (pool->idle && pool->idle->size >= block->size)) {
        set_block_aside(pool, block);
        return;
    }
    block = shrink_idle_block(pool, block);
    if (pool->idle)
        set_block_aside(pool, pool->idle); /* of two blocks the larger stays */
    pool->idle = block;
    if (pool->has_ended)
        free_idle(pool);
}
