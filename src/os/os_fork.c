#include "os/os_fork.h"

#include <sys/mman.h>
#include <unistd.h> /* getpid, sysconf */

#ifdef MADV_WIPEONFORK
static unsigned char *map_wiped_page(size_t size)
{
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, size, MADV_WIPEONFORK) == 0)
        return page;
    munmap(page, size);
    return NULL;
}
#else
static unsigned char *map_wiped_page(size_t size)
{
    (void)size;
    return NULL;
}
#endif

void os_fork_mark_init(struct os_fork_mark *mark)
{
    mark->process = (int)getpid();
    mark->size = (size_t)sysconf(_SC_PAGESIZE);
    mark->page = map_wiped_page(mark->size);
    if (mark->page)
        *mark->page = 1;
}

void os_fork_mark_fini(struct os_fork_mark *mark)
{
    if (mark->page)
        munmap(mark->page, mark->size);
    mark->page = NULL;
}

bool os_fork_mark_is_new(struct os_fork_mark *mark)
{
    bool same = mark->page ? *mark->page == 1 : mark->process == (int)getpid();
    if (same)
        return false;
    if (mark->page)
        *mark->page = 1;
    mark->process = (int)getpid();
    return true;
}
