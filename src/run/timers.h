/* Timers: a lazy binary heap, earliest first. Each waiting call sets and clears a deadline, which rarely expires. A
 * timer that is postponed or cleared therefore keeps its place in the heap until its old time, at no cost. */
#ifndef SS_RUN_TIMERS_H
#define SS_RUN_TIMERS_H

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#define SS_NEVER INT64_MAX

struct ss_timer {
    int64_t due_ns; /* the deadline, or SS_NEVER */
    int64_t at_ns;  /* the key in the heap, at most due_ns */
    size_t place;   /* index in the heap + 1; 0: not in the heap */
};

struct ss_timers {
    struct ss_mem mem;
    struct ss_timer **heap;
    size_t n, room;
};

void ss_timers_init(struct ss_timers *timers, struct ss_mem mem);
void ss_timers_fini(struct ss_timers *timers);

void ss_timer_init(struct ss_timer *timer);

/* Sets or moves the deadline. False: no memory, the timer is unchanged. */
bool ss_timer_set(struct ss_timers *timers, struct ss_timer *timer, int64_t due_ns);
void ss_timer_clear(struct ss_timer *timer);

/* Removes a timer from the heap; required before the timer's memory is freed. */
void ss_timer_remove(struct ss_timers *timers, struct ss_timer *timer);

/* The time of the next ss_timers_take, at most the earliest deadline: postponed and cleared timers count with their old
 * time. SS_NEVER: the heap is empty. */
int64_t ss_timers_next(const struct ss_timers *timers);

/* Makes ss_timers_next exact. */
void ss_timers_prune(struct ss_timers *timers);

/* Removes and returns the earliest timer due at `now_ns`, or NULL. */
struct ss_timer *ss_timers_take(struct ss_timers *timers, int64_t now_ns);

#pragma GCC visibility pop

#endif
