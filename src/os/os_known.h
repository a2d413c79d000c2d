/* One mark for each descriptor: what a poller keeps of those that are registered. */
#ifndef SS_OS_KNOWN_H
#define SS_OS_KNOWN_H

#include "base/mem.h"

#include <stdbool.h>
#include <string.h> /* memset */

struct os_known {
    unsigned char *is; /* by descriptor, [0, n) */
    size_t n;
};

static inline bool os_known_has_room(struct os_known *known, const struct ss_mem *mem, size_t fd)
{
    if (fd < known->n)
        return true;
    size_t n = fd < 64 ? 128 : fd * 2;
    unsigned char *grown = ss_mem_resize(mem, known->is, known->n, n);
    if (!grown)
        return false;
    memset(grown + known->n, 0, n - known->n);
    *known = (struct os_known){ .is = grown, .n = n };
    return true;
}

#endif
