/* Whether this process is a child that fork(2) has made since. */
#ifndef SS_OS_FORK_H
#define SS_OS_FORK_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

struct os_fork_mark;

struct os_fork_mark *os_fork_mark_new(void); /* NULL: no memory */
void os_fork_mark_free(struct os_fork_mark *mark);

/* True once in a child. */
bool os_fork_mark_is_new(struct os_fork_mark *mark);

#pragma GCC visibility pop

#endif
