/* Delimiter search in a stream that arrives in pieces, in linear time. */
#ifndef SS_CORE_FIND_H
#define SS_CORE_FIND_H

#include <stdbool.h>
#include <stddef.h> /* size_t */

#pragma GCC visibility push(hidden)

struct ss_find {
    const unsigned char *pattern;
    size_t len; /* 1 or more */
    /* For each prefix of the pattern the length of its longest proper prefix that is also its suffix
     * (Knuth, Morris, Pratt 1977); unused for patterns of one or two bytes. */
    size_t *border;
};

/* The state of a search, initially {0, 0}. */
struct ss_scan {
    size_t seen;  /* bytes searched */
    size_t match; /* length of the delimiter's longest prefix that the searched bytes end with */
};

/* The size of `border` in bytes for a pattern of `len` bytes. */
size_t ss_find_border_size(size_t len);

/* Fills find->border; the caller has set the other members and owns the memory. */
void ss_find_init(struct ss_find *find);

/* Continues the search in data[0..len), whose first scan->seen bytes are unchanged.
 * True: the first delimiter begins at index *at. False: none yet. */
bool ss_find_next(const struct ss_find *find, struct ss_scan *scan, const unsigned char *data, size_t len, size_t *at);

#pragma GCC visibility pop

#endif
