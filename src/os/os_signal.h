/* Taking signals for the program. The dispositions of a process are one for all its threads and Lua states. */
#ifndef SS_OS_SIGNAL_H
#define SS_OS_SIGNAL_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

enum { OS_SIGNALS = 32 }; /* kinds that one holder takes, at most */

/* A holder of signals, in the caller's memory. */
struct os_signals {
    int fds[2];  /* [0] is readable when a signal has come; -1: closed */
    int process; /* getpid(2) of the process that takes them */
    unsigned char numbers[OS_SIGNALS];
    unsigned n;
};

/* The number of a signal by its name without "SIG", or 0; its name, or NULL. Signals that nothing can take, or whose
 * handler must not return (SIGSEGV), have none. */
int os_signal_number(const char *name);
const char *os_signal_name(int number);

/* Takes the signals in `numbers`. SS_ERROR, nothing is taken: EBUSY, another holder has one | no descriptor. */
enum ss_status os_signals_open(struct os_signals *held, struct ss_error *err);

/* The next kind that has come; signals of one kind that come before that are one. SS_OK | SS_WANT | SS_CLOSED, also in a
 * child process, whose signals are not those of its parent. */
enum ss_status os_signals_take(struct os_signals *held, int *number);

/* Puts back the former dispositions, unless others have set new ones. A second call is harmless. */
void os_signals_close(struct os_signals *held);

#pragma GCC visibility pop

#endif
