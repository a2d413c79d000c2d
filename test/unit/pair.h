/* A socket with a real descriptor for the drivers to wait on, somebody at its other end, and signals. */
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
    int other;           /* the other one, or -1 */
};

void pair_open(struct pair *pair);

/* Checks that nothing is left. */
void pair_close(struct pair *pair);

/* Milliseconds, monotonic. */
double now_ms(void);

/* Waits; for those who are to be late. */
void wait_ms(int ms);

/* A process that runs `act` with a descriptor. Either it is stopped, or it comes to its own end, which should be good. */
pid_t child_start(void (*act)(int fd), int fd);
void child_stop(pid_t pid);
bool child_succeeds(pid_t pid);

/* A signal every `ms` milliseconds, without SA_RESTART. At the third one a byte is written to `fd` (-1: none). More than
 * a thousand end the program: then something hangs. */
void ticks_start(int ms, int fd);

/* How many there were. */
int ticks_stop(void);

#endif
