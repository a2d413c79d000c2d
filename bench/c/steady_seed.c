/* Preloaded when instructions are counted: Lua seeds its hashes with the time, and so the length of a search in a
 * table would be another in each run. Lua asks first; later, OpenSSL compares it with the dates of certificates. */
#include <time.h>

time_t time(time_t *t)
{
    static int asked;
    struct timespec now = { .tv_sec = 1 };
    if (asked++ > 0)
        clock_gettime(CLOCK_REALTIME, &now);
    if (t)
        *t = now.tv_sec;
    return now.tv_sec;
}
