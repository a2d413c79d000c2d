/* Memory between two inaccessible pages: an access of one byte outside ends the program. */
#ifndef GUARD_H
#define GUARD_H

#include <stddef.h> /* size_t */

struct guard {
    unsigned char *low, *high; /* the usable bytes are [low, high) */
};

/* Maps at least `size` bytes, until the program ends. */
void guard_open(struct guard *guard, size_t size);

/* Copies `len` bytes to the end, before the inaccessible page. Valid until the next copy. */
unsigned char *guard_copy(const struct guard *guard, const void *bytes, size_t len);

/* Copies `len` bytes to the start, behind the inaccessible page. */
unsigned char *guard_copy_low(const struct guard *guard, const void *bytes, size_t len);

#endif
