/* Whether this process is a child that fork(2) has made since. */
#ifndef SS_OS_FORK_H
#define SS_OS_FORK_H

#include <stdbool.h>
#include <stddef.h> /* size_t */

#pragma GCC visibility push(hidden)

/* Where the kernel wipes a page in the child (madvise(2), MADV_WIPEONFORK), looking costs no system call. */
struct os_fork_mark {
    int process;
    unsigned char *page; /* its first byte is 1, and 0 in a child; NULL: there is no such page */
    size_t size;
};

void os_fork_mark_init(struct os_fork_mark *mark);
void os_fork_mark_fini(struct os_fork_mark *mark);

/* True once in a child. */
bool os_fork_mark_is_new(struct os_fork_mark *mark);

/* The same, said at once where that is possible. */
static inline bool os_fork_mark_is_old(const struct os_fork_mark *mark)
{
    return mark->page && *mark->page == 1;
}

#pragma GCC visibility pop

#endif
