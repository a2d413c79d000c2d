#include "core/pool.h"

#include <stdint.h> /* SIZE_MAX */

enum { SMALL_USES = 32 };

void ss_pool_init(struct ss_pool *pool, struct ss_mem mem)
{
    *pool = (struct ss_pool){ .mem = mem };
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
        block->start = block->end = block->used = 0;
    return block;
}

struct ss_block *ss_pool_borrow(struct ss_pool *pool, size_t size)
{
    struct ss_block *block = pool->idle;
    if (size < SS_BLOCK)
        size = SS_BLOCK;
    if (!block || block->size < size)
        return ss_pool_make(pool, size);
    pool->idle = NULL;
    block->start = block->end = block->used = 0;
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

void ss_pool_return(struct ss_pool *pool, struct ss_block *block)
{
    if (block->size > SS_POOL_KEEP || block->size < SS_BLOCK || (pool->idle && pool->idle->size >= block->size)) {
        free_block(pool, block);
        return;
    }
    block = shrink_idle_block(pool, block);
    free_idle(pool); /* of two blocks the larger stays */
    pool->idle = block;
    if (pool->has_ended)
        free_idle(pool);
}
