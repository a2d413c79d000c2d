/* A table with one byte for each descriptor: the poller's registration state. 0: not registered. */
#ifndef SS_OS_FD_TABLE_H
#define SS_OS_FD_TABLE_H

#include "base/mem.h"

#include <stdbool.h>
#include <string.h> /* memset */

struct os_fd_table {
    unsigned char *mark; /* by descriptor, [0, n) */
    size_t n;
};

/* Grows the table until it has an entry for `fd`. False: no memory; the table is unchanged. */
static inline bool os_fd_table_reserve(struct os_fd_table *table, const struct ss_mem *mem, size_t fd)
{
    if (fd < table->n)
        return true;
    size_t n = fd < 64 ? 128 : fd * 2;
    unsigned char *grown = ss_mem_resize(mem, table->mark, table->n, n);
    if (!grown)
        return false;
    memset(grown + table->n, 0, n - table->n);
    *table = (struct os_fd_table){ .mark = grown, .n = n };
    return true;
}

#endif
