/* Looking for a delimiter in a stream that comes in pieces, each byte looked at a constant number of times. */
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

/* How far a search has come. Starts as {0, 0}. */
struct ss_scan {
    size_t seen;  /* bytes looked at */
    size_t match; /* so many of the last of them may be the start of the delimiter */
};

/* Bytes of memory that `border` must have for a pattern of `len` bytes. */
size_t ss_find_border_size(size_t len);

/* Fills in find->border. */
void ss_find_init(struct ss_find *find);

/* Goes on with the search in data[0..len), of which the first scan->seen bytes are as they were.
 * True: the first delimiter begins at *at. */
bool ss_find_next(const struct ss_find *find, struct ss_scan *scan, const unsigned char *data, size_t len, size_t *at);

#pragma GCC visibility pop

#endif
