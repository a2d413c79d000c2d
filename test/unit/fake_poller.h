/* Simulated pollers that report a test's plan (Makefile: FAKED), with the clock of fake_os.h. They guarantee only the
 * contract of os/os_poller.h: an event is reported once for each os_poller_watch. Also simulates os_recv and the fork
 * mark. */
#ifndef FAKE_POLLER_H
#define FAKE_POLLER_H

#include "fake_os.h"

enum { FAKE_POLL_FDS = 64, FAKE_POLLERS = 8, FAKE_PLANS = 32 };

struct os_poller {
    bool open, inherited;
    struct {
        bool known; /* watched and not forgotten */
        bool foreign;
        int armed; /* events for the next wait */
    } fds[FAKE_POLL_FDS];
};

/* An event of the plan. */
struct fake_plan {
    int64_t at_ns;
    char what;
    int fd;
};

struct fake_polling {
    struct os_poller pollers[FAKE_POLLERS];
    struct fake_plan plans[FAKE_PLANS];
    int nplans, done;
    int ready[FAKE_POLL_FDS]; /* until fake_poll_take */
    bool recheck[FAKE_POLL_FDS];
    bool child;       /* the next os_fork_mark_is_new reports a fork */
    bool signal;      /* a signal ends the next wait */
    int64_t late_ns;  /* the delay between the next wait's check and its return */
    int64_t early_ns; /* the longest duration of the next wait */

    int opens, closes, abandons, watches, forgets, closings, waits, wakes; /* numbers of calls */
    int failing_open, failing_watch, failing_wait, failure; /* the number of the call that fails, and errno; -1: all */
    int polls, failing_poll;                                /* the same for os_poll and os_poll_select */

    int tells, failing_tell; /* the same for os_poller_fd */

    int recvs;        /* calls of os_recv */
    size_t available; /* bytes for os_recv */
    char recv_end;    /* os_recv without bytes: w: SS_WANT, e: SS_EOF, x: SS_ERROR */
};

extern struct fake_polling polling;

/* Resets the simulation. Plan "5r3 7w4": descriptor 3 becomes readable at 5 ms, 4 writable at 7 ms. h: hang-up; c: not
 * open; R, W: one spurious report; u: recheck, as for urgent data; d: four bytes arrive; s: signal. */
void fake_poll_begin(const char *plan);
void fake_poll_plan(const char *plan);

/* Clears events, as an operation on the descriptor does. */
void fake_poll_take(int fd, int events);

/* The latest poller. */
struct os_poller *fake_poll_now(void);

#endif
