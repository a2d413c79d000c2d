/* Memory: the host's allocator, so that the host's limits and accounting include the module. */
#ifndef SS_BASE_MEM_H
#define SS_BASE_MEM_H

#include <stddef.h> /* size_t */
#include <string.h> /* memset */

/* The signature of lua_Alloc. new_size 0 frees; NULL: no memory, `ptr` is unchanged. */
struct ss_mem {
    void *(*resize)(void *ud, void *ptr, size_t old_size, size_t new_size);
    void *ud;
};

static inline void *ss_mem_resize(const struct ss_mem *mem, void *ptr, size_t old_size, size_t new_size)
{
    return mem->resize(mem->ud, ptr, old_size, new_size);
}

static inline void ss_mem_free(const struct ss_mem *mem, void *ptr, size_t size)
{
    if (ptr)
        mem->resize(mem->ud, ptr, size, 0);
}

/* Grows a table with an entry of `size` bytes for each descriptor until it has one for `fd`. *n: number of entries; new ones are
 * zero. Returns the table; NULL: no memory, the table is unchanged. */
static inline void *ss_mem_reserve_fd(const struct ss_mem *mem, void *table, size_t *n, size_t size, size_t fd)
{
    if (fd < *n)
        return table;
    size_t more = fd < 64 ? 128 : fd * 2;
    unsigned char *grown = ss_mem_resize(mem, table, *n * size, more * size);
    if (!grown)
        return NULL;
    memset(grown + *n * size, 0, (more - *n) * size);
    *n = more;
    return grown;
}

static inline size_t ss_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

#endif
