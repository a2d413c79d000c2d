#include "run/wait.h"

#include <errno.h>  /* EINVAL */
#include <stdlib.h> /* qsort, bsearch */
#include <string.h> /* memcpy */

static int by_fd(const void *a, const void *b)
{
    int x = ((const struct pollfd *)a)->fd, y = ((const struct pollfd *)b)->fd;
    return (x > y) - (x < y);
}

/* Merges the events of duplicates: one entry for each descriptor. Returns the number of entries. */
static size_t merge_by_fd(struct pollfd *set, size_t n)
{
    size_t last = 0;
    qsort(set, n, sizeof *set, by_fd);
    for (size_t i = 1; i < n; i++) {
        if (set[i].fd == set[last].fd)
            set[last].events |= set[i].events;
        else
            set[++last] = set[i];
    }
    return last + 1;
}

static void copy_revents(struct pollfd *set, size_t n, const struct pollfd *merged, size_t nmerged)
{
    for (size_t i = 0; i < n; i++) {
        const struct pollfd *found = bsearch(&set[i], merged, nmerged, sizeof *merged, by_fd);
        set[i].revents = found ? found->revents : 0;
    }
}

enum ss_status ss_wait_any(struct pollfd *set, size_t n, struct pollfd *scratch, int64_t timeout_ns,
                           struct ss_error *err)
{
    unsigned ready;
    enum ss_status st = os_poll(set, n, timeout_ns, &ready, err);
    if (st != SS_ERROR || err->code != EINVAL || n == 0)
        return st;
    if (!scratch)
        return SS_LIMIT;
    memcpy(scratch, set, n * sizeof *set);
    size_t nmerged = merge_by_fd(scratch, n), skipped = scratch->fd < 0;
    st = os_poll_any(scratch + skipped, nmerged - skipped, timeout_ns, &ready, err);
    if (st == SS_OK)
        copy_revents(set, n, scratch + skipped, nmerged - skipped);
    return st;
}
