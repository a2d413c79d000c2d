/* Memory: a pool of input blocks, shared by the sockets of one Lua state. A socket borrows a block only while its
 * buffer holds bytes, so idle connections have none. */
#ifndef SS_CORE_POOL_H
#define SS_CORE_POOL_H

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

enum {
    SS_BLOCK = 65536,                          /* bytes; the usual block, one receive */
    SS_POOL_KEEP = 2 * 1024 * 1024 + SS_BLOCK, /* bytes; larger idle blocks are freed */
    SS_POOL_SPARES = 2
};

struct ss_block {
    size_t size;                     /* of `bytes` */
    size_t start, end;               /* [start, end) holds the unconsumed bytes */
    size_t used;                     /* the largest `end` since the block was borrowed */
    uint32_t short_start, short_end; /* what ss_inbuf_note_short has noted; both 0: nothing */
    unsigned char bytes[];
};

struct ss_pool {
    struct ss_mem mem;
    struct ss_block *idle;                   /* kept for the next borrower, or NULL */
    unsigned small_uses;                     /* consecutive uses of at most a quarter of a large block */
    size_t grown;                            /* bytes allocated since the last report to the collector */
    bool has_ended;                          /* returned blocks are freed at once */
    bool keeps_spares;                       /* ss_pool_keep_spares was called: */
    struct ss_block *spares[SS_POOL_SPARES]; /* blocks smaller than `idle`, or NULL */
};

void ss_pool_init(struct ss_pool *pool, struct ss_mem mem);
void ss_pool_fini(struct ss_pool *pool); /* borrowed blocks may still be returned */

/* From now on two more blocks of about the usual size are kept: a call through a layer has up to three at once. */
static inline void ss_pool_keep_spares(struct ss_pool *pool)
{
    pool->keeps_spares = true;
}

/* Borrows an empty block of at least `size` bytes. NULL: no memory. */
struct ss_block *ss_pool_borrow(struct ss_pool *pool, size_t size);

/* Allocates an empty block of exactly `size` bytes. NULL: no memory. */
struct ss_block *ss_pool_make(struct ss_pool *pool, size_t size);

/* Returns a block, which the pool keeps or frees. */
void ss_pool_return(struct ss_pool *pool, struct ss_block *block);

/* Resizes a borrowed block. NULL: no memory, the block is unchanged. */
struct ss_block *ss_pool_resize(struct ss_pool *pool, struct ss_block *block, size_t size);

#pragma GCC visibility pop

#endif
