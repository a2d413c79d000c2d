/* One mark for each descriptor: what a poller keeps of those that are registered. */
#ifndef SS_OS_KNOWN_H
#define SS_OS_KNOWN_H

#include <stdbool.h>
#include <stddef.h> /* size_t */
#include <stdlib.h> /* realloc */
#include <string.h> /* memset */

struct os_known {
    unsigned char *is; /* by descriptor, [0, n) */
    size_t n;
};

static inline bool os_known_has_room(struct os_known *known, size_t fd)
{
    if (fd < known->n)
        return true;
    size_t n = fd < 64 ? 128 : fd * 2;
    unsigned char *grown = realloc(known->is, n);
    if (!grown)
        return false;
    memset(grown + known->n, 0, n - known->n);
    *known = (struct os_known){ .is = grown, .n = n };
    return true;
}

#endif
