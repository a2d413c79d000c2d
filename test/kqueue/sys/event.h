/* The part of kqueue(2) that src/os/os_poller_kqueue.c uses; kqueue.c says what it is good for. The names are those of the
 * manual page, the numbers are our own. */
#ifndef SYS_EVENT_H
#define SYS_EVENT_H

#include <stdint.h>
#include <time.h> /* struct timespec */

enum { EVFILT_READ = -1, EVFILT_WRITE = -2, EVFILT_USER = -3 };
#ifndef KQUEUE_WITHOUT_USER /* OpenBSD */
#define EVFILT_USER EVFILT_USER
#endif
enum { EV_ADD = 1, EV_DELETE = 2, EV_CLEAR = 4, EV_EOF = 8, EV_ONESHOT = 16 };
enum { NOTE_TRIGGER = 1 };

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned fflags;
    int64_t data;
    void *udata;
};

#define EV_SET(event, id, filt, flag, fflag, datum, user)         \
    (*(event) = (struct kevent){ .ident = (uintptr_t)(id),        \
                                 .filter = (short)(filt),         \
                                 .flags = (unsigned short)(flag), \
                                 .fflags = (fflag),               \
                                 .data = (datum),                 \
                                 .udata = (user) })

int kqueue(void);

/* Either changes or events, not both in one call. */
int kevent(int kq, const struct kevent *changes, int nchanges, struct kevent *events, int nevents,
           const struct timespec *timeout);

#endif
