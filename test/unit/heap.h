/* An allocator that counts, moves each block on resize, and fails on request. */
#ifndef HEAP_H
#define HEAP_H

#include "base/mem.h"

#include <stdbool.h>

struct heap {
    size_t live, peak; /* bytes */
    size_t blocks;     /* allocated */
    size_t requests;   /* allocations and resizes */
    size_t copied;     /* bytes copied by resizes */
    size_t wrong;      /* calls with a wrong old size */
    size_t fail_from;  /* the number of the first request that fails, from 1; 0: none */
    size_t fail_count; /* the number of consecutive requests that fail */
};

struct ss_mem heap_mem(struct heap *heap);

/* Checks that all blocks were freed, with the right sizes. */
void heap_check_empty(const struct heap *heap);

#endif
