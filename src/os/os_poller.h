/* Polling of large sets of descriptors: epoll(7), kqueue(2) or poll(2), chosen at build time. The contract:
 *
 * After os_poller_watch, os_poller_wait reports the descriptor at least once when one of the events holds, also if the
 * event held before. Spurious reports are permitted. The caller tries the operation itself, and calls os_poller_watch
 * again before the next wait. */
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
    int found;    /* OS_CAN_READ | OS_CAN_WRITE | OS_TROUBLE */
    bool recheck; /* possible end, error or urgent data: a short receive does not mean a drained socket */
};

enum { OS_EVENTS = 256 }; /* reports for each wait, at most */

/* Whether data that arrives after a receive drained the socket causes a new report, except after `recheck`. */
extern const bool os_poller_is_edged;

/* SS_OK, the caller owns *poller | SS_ERROR. */
enum ss_status os_poller_open(struct os_poller **poller, const struct ss_mem *mem, struct ss_error *err);
void os_poller_close(struct os_poller *poller); /* NULL is allowed */

/* Fork: closes the parent's poller in a child process without effect on the parent. A descriptor that the child did not
 * inherit (kqueue) is not closed: the number may have been reused. */
void os_poller_abandon(struct os_poller *poller);

/* events: OS_CAN_READ | OS_CAN_WRITE. `foreign`: code outside the module may close or watch the descriptor, so the
 * caller forgets the descriptor after each wait. SS_OK | SS_ERROR. */
enum ss_status os_poller_watch(struct os_poller *poller, int fd, int events, bool foreign, struct ss_error *err);

/* Ends the reports of a descriptor. `closing`: the caller closes the descriptor next. */
void os_poller_forget(struct os_poller *poller, int fd, bool closing);

/* Waits for reports, timeout_ns at most (negative: no limit); a very long wait may end early.
 * SS_OK and *n > 0 | SS_TIMEOUT | SS_WANT: interrupted by a signal | SS_ERROR. */
enum ss_status os_poller_wait(struct os_poller *poller, int64_t timeout_ns, struct os_event events[OS_EVENTS],
                              size_t *n, struct ss_error *err);

/* *fd is readable while the poller has reports and belongs to the poller; -1: none with poll(2). SS_OK | SS_ERROR. */
enum ss_status os_poller_fd(struct os_poller *poller, int *fd, struct ss_error *err);

/* Makes the descriptor of os_poller_fd readable until the next os_poller_wait, which then returns at once. */
void os_poller_wake(struct os_poller *poller);

#pragma GCC visibility pop

#endif
