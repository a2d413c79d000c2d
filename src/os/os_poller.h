/* Waiting for very many descriptors: epoll(7), kqueue(2) or poll(2), chosen when the module is built. One contract:
 *
 * after os_poller_watch, os_poller_wait reports the descriptor when one of the events is there, also if it was there
 * before; at least once. It may report more than was asked for, and after it was asked for: whoever gets a report tries
 * the thing itself, and watches again before it waits again. */
#ifndef SS_OS_POLLER_H
#define SS_OS_POLLER_H

#include "base/mem.h"
#include "base/status.h"
#include "os/os_poll.h" /* OS_CAN_READ, OS_CAN_WRITE, OS_TROUBLE */

#pragma GCC visibility push(hidden)

#define SS_EPOLL 1
#define SS_KQUEUE 2
#define SS_POLL 3

#ifndef SS_POLLER
#if defined(__linux__)
#define SS_POLLER SS_EPOLL
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
    defined(__DragonFly__)
#define SS_POLLER SS_KQUEUE
#else
#define SS_POLLER SS_POLL
#endif
#endif

struct os_poller;

struct os_event {
    int fd;
    int found; /* OS_CAN_READ | OS_CAN_WRITE | OS_TROUBLE */
    bool
        recheck; /* an end, an error or urgent data: a receive that got less than it could does not mean that there is no more */
};

enum { OS_EVENTS = 256 }; /* reports of one wait, at most */

/* Whether a new report comes for each arrival of data after a receive that took in all there was, unless `sticky`. */
extern const bool os_poller_is_edged;

/* SS_OK | SS_ERROR. */
enum ss_status os_poller_open(struct os_poller **poller, const struct ss_mem *mem, struct ss_error *err);
void os_poller_close(struct os_poller *poller); /* NULL is allowed */

/* The same in a child process, for the poller of its parent, which goes on with it undisturbed. A descriptor of the poller
 * that the child did not inherit is not closed: its number may be another's by now. */
void os_poller_abandon(struct os_poller *poller);

/* events: OS_CAN_READ | OS_CAN_WRITE. `foreign`: others may close the descriptor behind our back, or watch it as well; it is
 * forgotten after each wait. SS_OK | SS_ERROR. */
enum ss_status os_poller_watch(struct os_poller *poller, int fd, int events, bool foreign, struct ss_error *err);

/* The descriptor is not ours any more, and nothing of it is to be reported; `closing`: it ceases to exist. */
void os_poller_forget(struct os_poller *poller, int fd, bool closing);

/* Waits until something is to be reported, timeout_ns at most (negative: without end); a very long wait may end early.
 * SS_OK and *n > 0 | SS_TIMEOUT | SS_WANT: a signal came | SS_ERROR. */
enum ss_status os_poller_wait(struct os_poller *poller, int64_t timeout_ns, struct os_event events[OS_EVENTS],
                              size_t *n, struct ss_error *err);

/* A descriptor that is readable when there is something to report, or -1: the system has none. SS_OK | SS_ERROR. */
enum ss_status os_poller_fd(struct os_poller *poller, int *fd, struct ss_error *err);

/* Makes that readable until the next wait, which then does not wait. */
void os_poller_wake(struct os_poller *poller);

#pragma GCC visibility pop

#endif
