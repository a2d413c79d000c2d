#include "core/find.h"

#include <string.h> /* memchr, memmem (POSIX.1-2024) */

size_t ss_find_border_size(size_t len)
{
    return len > 2 ? len * sizeof(size_t) : 0;
}

/* The match length after one more byte. */
static size_t extend_match(const struct ss_find *find, size_t match, unsigned char byte)
{
    while (match > 0 && find->pattern[match] != byte)
        match = find->border[match - 1];
    return find->pattern[match] == byte ? match + 1 : match;
}

void ss_find_init(struct ss_find *find)
{
    if (find->len <= 2)
        return;
    find->border[0] = 0;
    for (size_t i = 1; i < find->len; i++)
        find->border[i] = extend_match(find, find->border[i - 1], find->pattern[i]);
}

static bool next_1(const struct ss_find *find, struct ss_scan *scan, const unsigned char *data, size_t len, size_t *at)
{
    const unsigned char *hit = memchr(data + scan->seen, find->pattern[0], len - scan->seen);
    scan->seen = len;
    if (hit)
        *at = (size_t)(hit - data);
    return hit != NULL;
}

/* Searches the second byte and compares the byte before: for CR LF faster than memmem. */
static bool next_2(const struct ss_find *find, struct ss_scan *scan, const unsigned char *data, size_t len, size_t *at)
{
    const unsigned char *from = data + (scan->seen > 0 ? scan->seen : 1), *end = data + len;
    while (from < end) {
        const unsigned char *hit = memchr(from, find->pattern[1], (size_t)(end - from));
        if (!hit)
            break;
        if (hit[-1] == find->pattern[0]) {
            *at = (size_t)(hit - 1 - data);
            return true;
        }
        from = hit + 1;
    }
    scan->seen = len;
    scan->match = len > 0 && data[len - 1] == find->pattern[0];
    return false;
}

/* Knuth-Morris-Pratt, from scan->seen to `len`. */
static bool next_bytewise(const struct ss_find *find, struct ss_scan *scan, const unsigned char *data, size_t len,
                          size_t *at)
{
    while (scan->seen < len) {
        scan->match = extend_match(find, scan->match, data[scan->seen++]);
        if (scan->match == find->len) {
            *at = scan->seen - find->len;
            return true;
        }
    }
    return false;
}

/* Uses memmem, and searches the last len - 1 bytes, which may begin a delimiter, byte by byte as well. Pieces shorter
 * than the pattern are searched byte by byte only. */
static bool next_long(const struct ss_find *find, struct ss_scan *scan, const unsigned char *data, size_t len,
                      size_t *at)
{
    if (len - scan->seen < find->len)
        return next_bytewise(find, scan, data, len, at);
    size_t from = scan->seen - scan->match;
    const unsigned char *hit = memmem(data + from, len - from, find->pattern, find->len);
    if (hit) {
        *at = (size_t)(hit - data);
        return true;
    }
    scan->seen = len - (find->len - 1);
    scan->match = 0;
    return next_bytewise(find, scan, data, len, at);
}

bool ss_find_next(const struct ss_find *find, struct ss_scan *scan, const unsigned char *data, size_t len, size_t *at)
{
    if (scan->seen >= len)
        return false;
    if (find->len == 1)
        return next_1(find, scan, data, len, at);
    if (find->len == 2)
        return next_2(find, scan, data, len, at);
    return next_long(find, scan, data, len, at);
}
