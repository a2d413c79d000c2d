#include "heap.h"
#include "check.h"

#include <limits.h> /* INT_MAX */
#include <stdlib.h>
#include <string.h> /* memcpy, memset */

enum { HEAD = 16 }; /* in front of each block: its size */

static size_t size_of(const unsigned char *block)
{
    size_t size;
    memcpy(&size, block - HEAD, sizeof size);
    return size;
}

/* The last large block that was freed serves the next one of its size, filled anew: musl gives such blocks back to the system,
 * and fresh memory is dear on some machines. Not with sanitizers, which watch freed memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
enum { KEPT_FROM = INT_MAX };
#else
enum { KEPT_FROM = 4096 };
#endif
static unsigned char *kept_raw;

static unsigned char *take_raw(size_t size)
{
    unsigned char *raw = kept_raw;
    if (raw && size_of(raw + HEAD) == size) {
        kept_raw = NULL;
        return raw;
    }
    raw = malloc(HEAD + size);
    if (!raw)
        abort();
    return raw;
}

static void keep_raw(unsigned char *raw)
{
    if (size_of(raw + HEAD) < KEPT_FROM) {
        free(raw);
        return;
    }
    free(kept_raw);
    kept_raw = raw;
}

static unsigned char *make(struct heap *heap, size_t size)
{
    unsigned char *raw = take_raw(size);
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
    keep_raw(block - HEAD);
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
