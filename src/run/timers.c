#include "run/timers.h"

void ss_timers_init(struct ss_timers *t, struct ss_mem mem)
{
    *t = (struct ss_timers){ .mem = mem };
}

void ss_timers_fini(struct ss_timers *t)
{
    ss_mem_free(&t->mem, t->heap, t->room * sizeof(struct ss_timer *));
    t->heap = NULL;
    t->n = t->room = 0;
}

void ss_timer_init(struct ss_timer *timer)
{
    *timer = (struct ss_timer){ .due_ns = SS_NEVER };
}

static void place_timer(struct ss_timers *t, size_t i, struct ss_timer *timer)
{
    t->heap[i] = timer;
    timer->place = i + 1;
}

static void sift_up(struct ss_timers *t, size_t i, struct ss_timer *timer)
{
    for (; i > 0 && t->heap[(i - 1) / 2]->at_ns > timer->at_ns; i = (i - 1) / 2)
        place_timer(t, i, t->heap[(i - 1) / 2]);
    place_timer(t, i, timer);
}

static size_t earlier_child(const struct ss_timers *t, size_t i)
{
    size_t child = 2 * i + 1;
    return child + 1 < t->n && t->heap[child + 1]->at_ns < t->heap[child]->at_ns ? child + 1 : child;
}

static void sift_down(struct ss_timers *t, size_t i, struct ss_timer *timer)
{
    while (2 * i + 1 < t->n) {
        size_t child = earlier_child(t, i);
        if (t->heap[child]->at_ns >= timer->at_ns)
            break;
        place_timer(t, i, t->heap[child]);
        i = child;
    }
    place_timer(t, i, timer);
}

static bool reserve_heap(struct ss_timers *t)
{
    enum { FIRST = 16 };
    if (t->n < t->room)
        return true;
    size_t room = t->room == 0 ? FIRST : 2 * t->room, size = sizeof(struct ss_timer *);
    struct ss_timer **grown = ss_mem_resize(&t->mem, t->heap, t->room * size, room * size);
    if (!grown)
        return false;
    t->heap = grown;
    t->room = room;
    return true;
}

bool ss_timer_set(struct ss_timers *t, struct ss_timer *timer, int64_t due_ns)
{
    bool is_in = timer->place > 0;
    if (!is_in && !reserve_heap(t))
        return false;
    timer->due_ns = due_ns;
    if (is_in && timer->at_ns <= due_ns)
        return true;
    timer->at_ns = due_ns;
    sift_up(t, is_in ? timer->place - 1 : t->n++, timer);
    return true;
}

void ss_timer_clear(struct ss_timer *timer)
{
    timer->due_ns = SS_NEVER;
}

void ss_timer_remove(struct ss_timers *t, struct ss_timer *timer)
{
    if (timer->place == 0 || t->n == 0) /* n is 0 after ss_timers_fini */
        return;
    size_t i = timer->place - 1;
    struct ss_timer *last = t->heap[--t->n];
    timer->place = 0;
    if (last == timer)
        return;
    if (i > 0 && t->heap[(i - 1) / 2]->at_ns > last->at_ns)
        sift_up(t, i, last);
    else
        sift_down(t, i, last);
}

/* The earliest due timer. Moves postponed timers with an old key to their place, and removes cleared ones. */
static struct ss_timer *first_due(struct ss_timers *t, int64_t now_ns)
{
    while (t->n > 0 && t->heap[0]->at_ns <= now_ns) {
        struct ss_timer *timer = t->heap[0];
        if (timer->at_ns == timer->due_ns)
            return timer;
        if (timer->due_ns == SS_NEVER) {
            ss_timer_remove(t, timer);
        } else {
            timer->at_ns = timer->due_ns;
            sift_down(t, 0, timer);
        }
    }
    return NULL;
}

void ss_timers_prune(struct ss_timers *t)
{
    first_due(t, SS_NEVER);
}

int64_t ss_timers_next(const struct ss_timers *t)
{
    return t->n > 0 ? t->heap[0]->at_ns : SS_NEVER;
}

struct ss_timer *ss_timers_take(struct ss_timers *t, int64_t now_ns)
{
    struct ss_timer *timer = first_due(t, now_ns);
    if (!timer)
        return NULL;
    ss_timer_remove(t, timer);
    return timer;
}
