#include "core/pool.h"

enum { SMALL_USES = 32 };

void ss_pool_init(struct ss_pool *pool, struct ss_mem mem)
{
    *pool = (struct ss_pool){ .mem = mem };
}

void ss_pool_fini(struct ss_pool *pool)
{
    ss_mem_free(&pool->mem, pool->idle, pool->idle_size);
    pool->idle = NULL;
    pool->idle_size = 0;
}

unsigned char *ss_pool_resize(struct ss_pool *pool, unsigned char *block, size_t size, size_t new_size)
{
    unsigned char *moved = ss_mem_resize(&pool->mem, block, size, new_size);
    if (moved && new_size > size)
        pool->grown += new_size - size;
    return moved;
}

unsigned char *ss_pool_lend(struct ss_pool *pool, size_t size, size_t *got)
{
    unsigned char *block = pool->idle;
    if (size < SS_BLOCK)
        size = SS_BLOCK;
    if (!block || pool->idle_size < size) {
        block = ss_pool_resize(pool, NULL, 0, size);
        *got = size;
        return block;
    }
    *got = pool->idle_size;
    pool->idle = NULL;
    pool->idle_size = 0;
    return block;
}

/* A large block stays while large reads go on and shrinks when they have been over for a while. */
static unsigned char *relax(struct ss_pool *pool, unsigned char *block, size_t *size, size_t used)
{
    if (*size == SS_BLOCK || used > *size / 4) {
        pool->small_uses = 0;
        return block;
    }
    if (++pool->small_uses < SMALL_USES)
        return block;
    pool->small_uses = 0;
    unsigned char *smaller = ss_pool_resize(pool, block, *size, SS_BLOCK);
    if (smaller)
        *size = SS_BLOCK;
    return smaller ? smaller : block;
}

void ss_pool_return(struct ss_pool *pool, unsigned char *block, size_t size, size_t used)
{
    if (size > SS_POOL_KEEP || size < SS_BLOCK || pool->idle_size >= size) {
        ss_mem_free(&pool->mem, block, size);
        return;
    }
    block = relax(pool, block, &size, used);
    ss_pool_fini(pool); /* of two blocks the larger stays */
    pool->idle = block;
    pool->idle_size = size;
}
