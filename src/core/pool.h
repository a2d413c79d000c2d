/* Blocks of memory for input, shared by the sockets of one Lua state: a socket holds one only while
 * bytes wait in it, so that idle connections cost nothing. */
#ifndef SS_CORE_POOL_H
#define SS_CORE_POOL_H

#include "core/mem.h"

#pragma GCC visibility push(hidden)

enum {
    SS_BLOCK = 65536,                         /* the usual block: one receive takes in that much of a burst */
    SS_POOL_KEEP = 2 * 1024 * 1024 + SS_BLOCK /* an idle block above this size goes back to the allocator */
};

struct ss_pool {
    struct ss_mem mem;
    unsigned char *idle; /* the one block that is kept for the next user, or NULL */
    size_t idle_size;
    unsigned small_uses; /* uses in a row that left most of a large idle block untouched */
    size_t grown;        /* bytes got from the allocator since somebody last told the collector */
};

void ss_pool_init(struct ss_pool *pool, struct ss_mem mem);
void ss_pool_fini(struct ss_pool *pool);

/* A block of at least `size` bytes (*got tells), or NULL when there is no memory. */
unsigned char *ss_pool_lend(struct ss_pool *pool, size_t size, size_t *got);

/* Takes a block back; `used` is how much of it was needed. */
void ss_pool_return(struct ss_pool *pool, unsigned char *block, size_t size, size_t used);

/* Changes the size of a lent block; NULL: no memory, and the block is as it was. */
unsigned char *ss_pool_resize(struct ss_pool *pool, unsigned char *block, size_t size, size_t new_size);

#pragma GCC visibility pop

#endif
