#include "check.h"

#include <fcntl.h> /* F_GETFD */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h> /* strlen */
#include <unistd.h> /* alarm, write */

enum { LINES_OF_ONE_TEST = 20, LIMIT_S = 60, DESCRIPTORS = 256 };

static int passed, failed, failures;
static const char *running;

void check_failed(const char *file, int line, const char *format, ...)
{
    va_list args;
    if (++failures > LINES_OF_ONE_TEST)
        return;
    printf("%s:%d: %s: ", file, line, running);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

static void too_long(int signal)
{
    static const char text[] = ": takes too long\n";
    (void)signal;
    if (write(STDOUT_FILENO, running, strlen(running)) < 0 || write(STDOUT_FILENO, text, sizeof text - 1) < 0)
        _exit(2);
    _exit(1);
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

void check_run(const char *name, void (*test)(void))
{
    int descriptors = open_descriptors();
    running = name;
    failures = 0;
    signal(SIGALRM, too_long);
    alarm(LIMIT_S);
    test();
    alarm(0);
    CHECKF(open_descriptors() == descriptors, "%d descriptors more than before", open_descriptors() - descriptors);
    if (failures == 0)
        passed++;
    else
        failed++;
    if (failures > LINES_OF_ONE_TEST)
        printf("%s: and %d more\n", name, failures - LINES_OF_ONE_TEST);
}

int check_end(void)
{
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
