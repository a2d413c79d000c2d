/* Pollers that report what a test has planned, for tests that are linked with the Makefile's FAKED; the clock is that of
 * fake_os.h, and moves when somebody waits. They keep no more than the contract of os/os_poller.h: what was reported is not
 * reported again until somebody watches it again. os_recv and the question whether this is a child process are
 * answered here as well. */
#ifndef FAKE_POLLER_H
#define FAKE_POLLER_H

#include "fake_os.h"

enum { FAKE_POLL_FDS = 64, FAKE_POLLERS = 8, FAKE_PLANS = 32 };

struct os_poller {
    bool open, of_parent;
    struct {
        bool known; /* watched, and not forgotten since */
        bool foreign;
        int armed; /* what the next wait is to look for */
    } fds[FAKE_POLL_FDS];
};

/* Something that happens to a descriptor. */
struct fake_plan {
    int64_t at_ns;
    char what;
    int fd;
};

struct fake_polling {
    struct os_poller pollers[FAKE_POLLERS];
    struct fake_plan plans[FAKE_PLANS];
    int nplans, done;
    int ready[FAKE_POLL_FDS]; /* until somebody takes it: fake_poll_take */
    bool recheck[FAKE_POLL_FDS];
    bool child;       /* the next who asks is told that it is one */
    bool signal;      /* the next wait ends for it */
    int64_t late_ns;  /* so long after it has looked the next wait returns */
    int64_t early_ns; /* the next one looks no longer */

    int opens, closes, abandons, watches, forgets, closings, waits, wakes; /* how often they were called */
    int failing_open, failing_watch, failing_wait,
        failure;             /* the call with this number fails, with that errno; -1: all */
    int polls, failing_poll; /* the same of os_poll and os_poll_select, which see what is planned, too */

    int tells, failing_tell; /* the same of os_poller_fd */

    int recvs;        /* calls of os_recv */
    size_t available; /* bytes that they get */
    char recv_end;    /* what is said when there are none: w(ant), e(nd), x: an error */
};

extern struct fake_polling polling;

/* Everything anew. The plan: "5r3 7w4" is: descriptor 3 becomes readable at 5 ms, 4 writable at 7 ms; h: it hangs up, c: it is
 * not open, R and W: reported without being asked for, once, u: recheck, as by urgent data, d: four bytes come, s: a signal. */
void fake_poll_begin(const char *plan);
void fake_poll_plan(const char *plan);

/* What an operation that tries a descriptor takes of it. */
void fake_poll_take(int fd, int events);

/* The poller in use. */
struct os_poller *fake_poll_now(void);

#endif
