#include "heap.h"
#include "check.h"

#include <stdlib.h>
#include <string.h> /* memcpy, memset */

enum { HEAD = 16 }; /* in front of each block: its size */

static size_t size_of(const unsigned char *block)
{
    size_t size;
    memcpy(&size, block - HEAD, sizeof size);
    return size;
}

static unsigned char *make(struct heap *heap, size_t size)
{
    unsigned char *raw = malloc(HEAD + size);
    if (!raw)
        abort();
    memcpy(raw, &size, sizeof size);
    memset(raw + HEAD, 0xa5, size);
    heap->blocks++;
    heap->live += size;
    heap->peak = heap->live > heap->peak ? heap->live : heap->peak;
    return raw + HEAD;
}

static void drop(struct heap *heap, unsigned char *block)
{
    if (!block)
        return;
    heap->blocks--;
    heap->live -= size_of(block);
    free(block - HEAD);
}

static bool refuses(struct heap *heap)
{
    heap->requests++;
    return heap->fail_from > 0 && heap->requests >= heap->fail_from &&
           heap->requests - heap->fail_from < heap->fail_count;
}

static void *resize(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    struct heap *heap = ud;
    unsigned char *moved = NULL;
    if (old_size != (ptr ? size_of(ptr) : 0))
        heap->wrong++;
    if (new_size > 0) {
        if (refuses(heap))
            return NULL;
        moved = make(heap, new_size);
    }
    if (ptr && moved) {
        size_t kept = old_size < new_size ? old_size : new_size;
        memcpy(moved, ptr, kept);
        heap->copied += kept;
    }
    drop(heap, ptr);
    return moved;
}

struct ss_mem heap_mem(struct heap *heap)
{
    return (struct ss_mem){ .resize = resize, .ud = heap };
}

void heap_check_empty(const struct heap *heap)
{
    CHECKF(heap->live == 0 && heap->blocks == 0, "%zu bytes in %zu blocks were not given back", heap->live,
           heap->blocks);
    CHECKF(heap->wrong == 0, "%zu calls of the allocator told a wrong old size", heap->wrong);
}
