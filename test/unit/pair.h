/* A connected socket with a real descriptor, peer processes, and signals. */
#ifndef PAIR_H
#define PAIR_H

#include "core/sock.h"
#include "heap.h"

#include <stdbool.h>
#include <sys/types.h> /* pid_t */

struct pair {
    struct heap heap;
    struct ss_env env;
    struct ss_sock sock; /* one end of a socketpair */
    int other;           /* the other end, or -1 */
};

void pair_open(struct pair *pair);

/* Checks that no memory is left. */
void pair_close(struct pair *pair);

/* Milliseconds, monotonic. */
double now_ms(void);

/* Sleeps. */
void wait_ms(int ms);

/* Starts a process that calls act(fd). The caller stops the process, or waits for success. */
pid_t child_start(void (*act)(int fd), int fd);
void child_stop(pid_t pid);
bool child_succeeds(pid_t pid);

/* Sends a signal every `ms` milliseconds, without SA_RESTART. The third writes a byte to `fd` (-1: none). After a
 * thousand the program ends, since a test hangs. */
void ticks_start(int ms, int fd);

/* Stops the signals and returns their number. */
int ticks_stop(void);

#endif
