#include "guard.h"

#include <stdlib.h> /* abort */
#include <string.h> /* memcpy */
#include <sys/mman.h>
#include <unistd.h> /* sysconf */

void guard_open(struct guard *guard, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size = (size + page - 1) / page * page;
    unsigned char *map = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + page, size, PROT_READ | PROT_WRITE) != 0)
        abort();
    guard->low = map + page;
    guard->high = guard->low + size;
}

unsigned char *guard_copy(const struct guard *guard, const void *bytes, size_t len)
{
    return memcpy(guard->high - len, bytes, len);
}

unsigned char *guard_copy_low(const struct guard *guard, const void *bytes, size_t len)
{
    return memcpy(guard->low, bytes, len);
}
