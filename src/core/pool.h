/* Blocks of memory for input, shared by the sockets of one Lua state: a socket holds one only while
 * bytes wait in it, so that idle connections cost nothing. */
#ifndef SS_CORE_POOL_H
#define SS_CORE_POOL_H

#include "base/mem.h"

#pragma GCC visibility push(hidden)

enum {
    SS_BLOCK = 65536,                         /* the usual block: one receive takes in that much of a burst */
    SS_POOL_KEEP = 2 * 1024 * 1024 + SS_BLOCK /* an idle block above this size goes back to the allocator */
};

struct ss_block {
    size_t size;       /* of `bytes` */
    size_t start, end; /* what waits stands in [start, end) */
    size_t used;       /* the largest `end` since the block was lent */
    unsigned char bytes[];
};

struct ss_pool {
    struct ss_mem mem;
    struct ss_block *idle; /* the one that is kept for the next user, or NULL */
    unsigned small_uses;   /* uses in a row that left most of a large idle block untouched */
    size_t grown;          /* bytes got from the allocator since somebody last told the collector */
};

void ss_pool_init(struct ss_pool *pool, struct ss_mem mem);
void ss_pool_fini(struct ss_pool *pool);

/* An empty block for at least `size` bytes, or NULL when there is no memory. */
struct ss_block *ss_pool_lend(struct ss_pool *pool, size_t size);

/* The same with just that size. */
struct ss_block *ss_pool_make(struct ss_pool *pool, size_t size);

/* Takes a block back. */
void ss_pool_return(struct ss_pool *pool, struct ss_block *block);

/* Changes the size of a lent block; NULL: no memory, and the block is as it was. */
struct ss_block *ss_pool_resize(struct ss_pool *pool, struct ss_block *block, size_t size);

#pragma GCC visibility pop

#endif
