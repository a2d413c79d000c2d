/* An allocator that counts, moves whatever changes its size, and fails when told to. */
#ifndef HEAP_H
#define HEAP_H

#include "base/mem.h"

#include <stdbool.h>

struct heap {
    size_t live, peak; /* bytes */
    size_t blocks;     /* that are lent out */
    size_t requests;   /* for memory, shrinking included */
    size_t copied;     /* bytes moved by changes of size */
    size_t wrong;      /* calls that told a wrong old size */
    size_t fail_from;  /* the request with this number fails (the first is 1; 0: none does) ... */
    size_t fail_count; /* ... and so many after it, itself included */
};

struct ss_mem heap_mem(struct heap *heap);

/* Checks that everything was given back, and with the right sizes. */
void heap_check_empty(const struct heap *heap);

#endif
