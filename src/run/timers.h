/* Moments in time, the earliest first: a binary heap that is lazy. Deadlines are set and taken back with every call that
 * waits, and nearly never reached; so a timer that is moved to later, or cleared, stays where it is in the heap until
 * its old moment comes, and costs nothing until then. */
#ifndef SS_RUN_TIMERS_H
#define SS_RUN_TIMERS_H

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#define SS_NEVER INT64_MAX

struct ss_timer {
    int64_t due_ns; /* when it is due, or SS_NEVER */
    int64_t at_ns;  /* where it is in the heap: not later than that */
    size_t place;   /* its index in the heap + 1; 0: it is not there */
};

struct ss_timers {
    struct ss_mem mem;
    struct ss_timer **heap;
    size_t n, room;
};

void ss_timers_init(struct ss_timers *timers, struct ss_mem mem);
void ss_timers_fini(struct ss_timers *timers);

void ss_timer_init(struct ss_timer *timer);

/* False: no memory, and it is as it was. */
bool ss_timer_set(struct ss_timers *timers, struct ss_timer *timer, int64_t due_ns);
void ss_timer_clear(struct ss_timer *timer);

/* The heap forgets it, before its memory goes. */
void ss_timer_remove(struct ss_timers *timers, struct ss_timer *timer);

/* When to look for one that is due, not later than the first is: moved or cleared ones may still count where they were.
 * SS_NEVER: there is none. */
int64_t ss_timers_next(const struct ss_timers *timers);

/* Makes ss_timers_next exact. */
void ss_timers_prune(struct ss_timers *timers);

/* Takes out one that is due, or NULL. */
struct ss_timer *ss_timers_take(struct ss_timers *timers, int64_t now_ns);

#pragma GCC visibility pop

#endif
