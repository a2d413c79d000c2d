/* Memory between two forbidden pages: a single byte read or written beside it ends the program. */
#ifndef GUARD_H
#define GUARD_H

#include <stddef.h> /* size_t */

struct guard {
    unsigned char *low, *high; /* the usable bytes are [low, high) */
};

/* At least `size` bytes. They stay until the program ends. */
void guard_open(struct guard *guard, size_t size);

/* A copy of `len` bytes that ends at the forbidden page, good until the next one. */
unsigned char *guard_copy(const struct guard *guard, const void *bytes, size_t len);

/* A copy that begins directly behind a forbidden page. */
unsigned char *guard_copy_low(const struct guard *guard, const void *bytes, size_t len);

#endif
