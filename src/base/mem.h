/* Memory: the host's allocator, so that the host's limits and accounting include the module. */
#ifndef SS_BASE_MEM_H
#define SS_BASE_MEM_H

#include <stddef.h> /* size_t */

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

static inline size_t ss_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

#endif
