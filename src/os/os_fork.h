/* Fork: detects in a child process that fork(2) has been called. */
#ifndef SS_OS_FORK_H
#define SS_OS_FORK_H

#include <stdbool.h>
#include <stddef.h> /* size_t */

#pragma GCC visibility push(hidden)

/* Linux zeroes `page` in a child (madvise(2), MADV_WIPEONFORK): a check costs no system call. */
struct os_fork_mark {
    int process;         /* getpid(2) */
    unsigned char *page; /* first byte 1, in a child 0; NULL: there is none, `process` decides */
    size_t size;
};

void os_fork_mark_init(struct os_fork_mark *mark);
void os_fork_mark_fini(struct os_fork_mark *mark);

/* True in the first call after a fork, in the child. */
bool os_fork_mark_is_new(struct os_fork_mark *mark);

/* True: no fork since the last check. False: a fork, or unknown because there is no page. */
static inline bool os_fork_mark_is_old(const struct os_fork_mark *mark)
{
    return mark->page && *mark->page == 1;
}

#pragma GCC visibility pop

#endif
