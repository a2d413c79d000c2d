/* Preloaded when instructions are counted: Lua seeds its hashes with the time, and so the length of a search in a
 * table would be another in each run. */
#include <time.h>

time_t time(time_t *t)
{
    if (t)
        *t = 1;
    return 1;
}
