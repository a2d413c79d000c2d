/*
 * The descriptors of this process, for hosts that see whether some are left. A thread of a look-up that was given up may
 * still be on its way to its end, with a descriptor of the C library's; one that is left for good is left after ten seconds.
 */
#ifndef LEFT_H
#define LEFT_H

#include <dirent.h>
#include <poll.h>
#include <stddef.h>

static int count_descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/dev/fd");
    if (!dir)
        return -1;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* Their number, as soon as it is that expected or else at the end of the time. */
static int wait_for_descriptors(int expected)
{
    int n = count_descriptors();
    for (int i = 0; i < 1000 && n != expected; i++) {
        poll(NULL, 0, 10);
        n = count_descriptors();
    }
    return n;
}

#endif
