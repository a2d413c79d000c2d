/* The mark that tells a child process: with a page that the kernel wipes, and where it does not. */
#include "check.h"
#include "os/os_fork.h"

#include <errno.h>
#include <stdlib.h> /* abort */
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum kernel { HAS_PAGES, NO_MEMORY, NO_WIPING };
static enum kernel kernel;
static int mapped;

__typeof__(mmap) __real_mmap, __wrap_mmap;
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (kernel == NO_MEMORY) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    mapped++;
    return __real_mmap(addr, len, prot, flags, fd, offset);
}

__typeof__(munmap) __real_munmap, __wrap_munmap;
int __wrap_munmap(void *addr, size_t len)
{
    mapped--;
    return __real_munmap(addr, len);
}

/* Linux before 4.14 does not know the advice. */
__typeof__(madvise) __real_madvise, __wrap_madvise;
int __wrap_madvise(void *addr, size_t len, int advice)
{
    if (kernel != NO_WIPING)
        return __real_madvise(addr, len, advice);
    errno = EINVAL;
    return -1;
}

/* In a child and in its child, each of which learns it once; exit() lets a coverage build write its counts. */
static int tell(struct os_fork_mark *mark, int generations)
{
    int status = -1;
    pid_t child = fork();
    if (child == -1)
        abort();
    if (child != 0)
        return waitpid(child, &status, 0) == child && status == 0;
    int told = os_fork_mark_is_new(mark) && !os_fork_mark_is_new(mark);
    exit(told && (generations == 1 || tell(mark, generations - 1)) ? 0 : 1);
}

static void check_kernel(enum kernel which)
{
    struct os_fork_mark mark;
    mapped = 0;
    kernel = which;
    os_fork_mark_init(&mark);
    CHECKF(mapped == (which == HAS_PAGES), "%d pages", mapped);
    CHECK(!os_fork_mark_is_new(&mark));
    CHECK(tell(&mark, 2));
    CHECK(!os_fork_mark_is_new(&mark));
    os_fork_mark_fini(&mark);
    os_fork_mark_fini(&mark);
    CHECKF(mapped == 0, "%d pages are left", mapped);
    kernel = HAS_PAGES;
}

static void test_with_a_page(void)
{
    check_kernel(HAS_PAGES);
}

static void test_without_memory_for_it(void)
{
    check_kernel(NO_MEMORY);
}

static void test_a_kernel_that_does_not_wipe(void)
{
    check_kernel(NO_WIPING);
}

int main(void)
{
    RUN(test_with_a_page);
    RUN(test_without_memory_for_it);
    RUN(test_a_kernel_that_does_not_wipe);
    return check_end();
}
