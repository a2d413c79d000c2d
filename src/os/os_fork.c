#include "os/os_fork.h"

#include <stdlib.h> /* malloc */
#include <sys/mman.h>
#include <unistd.h> /* getpid, sysconf */

/* Where the kernel wipes a page in the child (madvise(2), MADV_WIPEONFORK), looking costs no system call. */
struct os_fork_mark {
    pid_t process;
    unsigned char *page; /* its first byte is 1, and 0 in a child; NULL: there is no such page */
    size_t size;
};

static void prepare(struct os_fork_mark *mark)
{
    mark->process = getpid();
    mark->page = NULL;
#ifdef MADV_WIPEONFORK
    mark->size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, mark->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    if (madvise(page, mark->size, MADV_WIPEONFORK) == -1) {
        munmap(page, mark->size);
        return;
    }
    mark->page = page;
    *mark->page = 1;
#endif
}

struct os_fork_mark *os_fork_mark_new(void)
{
    struct os_fork_mark *mark = malloc(sizeof *mark);
    if (mark)
        prepare(mark);
    return mark;
}

void os_fork_mark_free(struct os_fork_mark *mark)
{
    if (mark && mark->page)
        munmap(mark->page, mark->size);
    free(mark);
}

bool os_fork_mark_is_new(struct os_fork_mark *mark)
{
    bool same = mark->page ? *mark->page == 1 : mark->process == getpid();
    if (same)
        return false;
    if (mark->page)
        *mark->page = 1;
    mark->process = getpid();
    return true;
}
