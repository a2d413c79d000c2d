/* A table with one byte for each descriptor: the poller's registration state. 0: not registered. */
#ifndef SS_OS_FD_TABLE_H
#define SS_OS_FD_TABLE_H

#include "base/mem.h"

#include <stdbool.h>

struct os_fd_table {
    unsigned char *mark; /* by descriptor, [0, n) */
    size_t n;
};

/* Grows the table until it has an entry for `fd`. False: no memory; the table is unchanged. */
static inline bool os_fd_table_reserve(struct os_fd_table *table, const struct ss_mem *mem, size_t fd)
{
    unsigned char *mark = ss_mem_reserve_fd(mem, table->mark, &table->n, 1, fd);
    table->mark = mark ? mark : table->mark;
    return mark != NULL;
}

#endif
