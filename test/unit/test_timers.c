/* The lazy heap of timers beside a naive model of it, and what its laziness is for: a deadline that is set and taken back
 * with every call costs nothing. */
#include "check.h"
#include "heap.h"
#include "rng.h"
#include "run/timers.h"

#include <string.h>

enum { SOME = 64, MANY = 20000 };

/* A heap with its timers, and what each of them is set to according to the plain rules. */
struct bench {
    struct heap heap;
    struct ss_timers timers;
    struct ss_timer timer[SOME];
    int64_t due_ns[SOME]; /* the model: SS_NEVER: it is not set */
};

static void bench_open(struct bench *b)
{
    b->heap = (struct heap){ 0 };
    ss_timers_init(&b->timers, heap_mem(&b->heap));
    for (int i = 0; i < SOME; i++) {
        ss_timer_init(&b->timer[i]);
        b->due_ns[i] = SS_NEVER;
    }
}

static void bench_close(struct bench *b)
{
    ss_timers_fini(&b->timers);
    heap_check_empty(&b->heap);
}

static void set(struct bench *b, size_t i, int64_t due_ns)
{
    CHECK(ss_timer_set(&b->timers, &b->timer[i], due_ns));
    b->due_ns[i] = due_ns;
}

static void clear(struct bench *b, size_t i)
{
    ss_timer_clear(&b->timer[i]);
    b->due_ns[i] = SS_NEVER;
}

static void drop(struct bench *b, size_t i)
{
    ss_timer_remove(&b->timers, &b->timer[i]);
    CHECK(b->timer[i].place == 0);
    b->due_ns[i] = SS_NEVER;
}

static int64_t earliest(const struct bench *b)
{
    int64_t least_ns = SS_NEVER;
    for (int i = 0; i < SOME; i++)
        least_ns = b->due_ns[i] < least_ns ? b->due_ns[i] : least_ns;
    return least_ns;
}

static void check_next(struct bench *b)
{
    int64_t early_ns = ss_timers_next(&b->timers);
    ss_timers_prune(&b->timers);
    int64_t next_ns = ss_timers_next(&b->timers);
    CHECKF(early_ns <= next_ns, "to be looked at by %lld, due at %lld", (long long)early_ns, (long long)next_ns);
    CHECKF(next_ns == earliest(b), "next is %lld, not %lld", (long long)next_ns, (long long)earliest(b));
}

/* One of those that are due first, and none when none is due. */
static bool take(struct bench *b, int64_t now_ns)
{
    int64_t first_ns = earliest(b);
    struct ss_timer *taken = ss_timers_take(&b->timers, now_ns);
    CHECKF((taken != NULL) == (first_ns <= now_ns), "at %lld: %s was taken, the first is due at %lld",
           (long long)now_ns, taken ? "one" : "none", (long long)first_ns);
    if (!taken)
        return false;
    size_t i = (size_t)(taken - b->timer);
    CHECKF(b->due_ns[i] == first_ns, "taken is one that is due at %lld, not %lld", (long long)b->due_ns[i],
           (long long)first_ns);
    CHECK(taken->place == 0);
    b->due_ns[i] = SS_NEVER;
    return true;
}

static void check_shape(const struct ss_timers *t)
{
    for (size_t i = 0; i < t->n; i++) {
        CHECK(t->heap[i]->place == i + 1 && t->heap[i]->at_ns <= t->heap[i]->due_ns);
        CHECK(i == 0 || t->heap[(i - 1) / 2]->at_ns <= t->heap[i]->at_ns);
    }
}

/* The plain rules */

static void test_none(void)
{
    struct bench b;
    bench_open(&b);
    CHECK(ss_timers_next(&b.timers) == SS_NEVER);
    CHECK(ss_timers_take(&b.timers, INT64_MAX - 1) == NULL);
    clear(&b, 0);
    drop(&b, 0);
    CHECK(b.heap.requests == 0);
    bench_close(&b);
}

static void test_one(void)
{
    struct bench b;
    bench_open(&b);
    set(&b, 0, 100);
    check_next(&b);
    CHECK(!take(&b, 99) && take(&b, 100) && !take(&b, 100));
    set(&b, 0, 50); /* what was taken can be set again */
    CHECK(take(&b, 1000) && !take(&b, 1000));
    set(&b, 0, -7); /* and moments need not be positive */
    check_next(&b);
    CHECK(take(&b, 0));
    bench_close(&b);
}

static void test_moving(void)
{
    struct bench b;
    bench_open(&b);
    set(&b, 0, 100);
    set(&b, 1, 200);
    set(&b, 1, 50); /* before the other */
    check_next(&b);
    set(&b, 1, 300); /* and behind it */
    check_next(&b);
    CHECK(take(&b, 100) && !take(&b, 299) && take(&b, 300));
    set(&b, 0, 10); /* to later, and back to where it was, and between */
    set(&b, 0, 90);
    set(&b, 0, 10);
    check_next(&b);
    set(&b, 0, 90);
    set(&b, 0, 40);
    check_next(&b);
    CHECK(!take(&b, 39) && take(&b, 40));
    bench_close(&b);
}

static void test_clearing(void)
{
    struct bench b;
    bench_open(&b);
    set(&b, 0, 100);
    set(&b, 1, 200);
    clear(&b, 0);
    clear(&b, 0);
    check_next(&b);
    CHECK(!take(&b, 199) && b.timer[0].place == 0); /* it left when its old moment would have come */
    clear(&b, 1);
    set(&b, 1, 150); /* cleared and set before it left */
    check_next(&b);
    CHECK(take(&b, 150));
    bench_close(&b);
}

static void test_removing(void)
{
    struct bench b;
    bench_open(&b);
    for (size_t i = 0; i < SOME; i++)
        set(&b, i, (int64_t)(i * 7919 % 101));
    for (size_t i = 0; i < SOME; i += 3) {
        drop(&b, i);
        drop(&b, i);
        check_shape(&b.timers);
        check_next(&b);
    }
    while (take(&b, 1000))
        ;
    CHECK(b.timers.n == 0);
    bench_close(&b);
}

/* All that are due at one moment are taken at it. */
static void test_ties(void)
{
    struct bench b;
    int taken = 0;
    bench_open(&b);
    for (size_t i = 0; i < SOME; i++)
        set(&b, i, i % 2 ? 500 : 20);
    for (size_t i = 0; i < SOME; i += 2) /* by way of later */
        set(&b, i, 500);
    CHECK(!take(&b, 499));
    while (take(&b, 500))
        taken++;
    CHECKF(taken == SOME, "%d of %d", taken, SOME);
    bench_close(&b);
}

/* One that is moved to later costs nothing until its old moment has come. */
static void test_moved_to_later(void)
{
    struct bench b;
    bench_open(&b);
    for (int64_t due_ns = 10; due_ns <= 50; due_ns += 20) {
        set(&b, 0, due_ns);
        CHECK(ss_timers_next(&b.timers) == 10 && b.timer[0].at_ns == 10);
    }
    CHECK(!take(&b, 9) && b.timer[0].at_ns == 10);
    CHECK(!take(&b, 10) && ss_timers_next(&b.timers) == 50);
    CHECK(take(&b, 50) && ss_timers_next(&b.timers) == SS_NEVER);
    bench_close(&b);
}

static void test_as_late_as_can_be(void)
{
    struct bench b;
    bench_open(&b);
    set(&b, 0, SS_NEVER - 1);
    check_next(&b);
    CHECK(!take(&b, SS_NEVER - 2) && take(&b, SS_NEVER - 1));
    CHECK(ss_timer_set(&b.timers, &b.timer[0], SS_NEVER)); /* that is as good as cleared */
    CHECK(ss_timers_take(&b.timers, SS_NEVER - 1) == NULL);
    check_next(&b);
    bench_close(&b);
}

/* Anything at all, thousands of times. */

static void act(struct bench *b, uint32_t *seed, int64_t now_ns)
{
    size_t i = rng_below(seed, SOME);
    int64_t due_ns = now_ns + (int64_t)rng_below(seed, 60) - 10; /* many ties, and some that are late already */
    switch (rng_below(seed, 16)) {
    case 0:
        clear(b, i);
        break;
    case 1:
        drop(b, i);
        break;
    case 2:
    case 3:
        take(b, now_ns);
        break;
    default:
        set(b, i, due_ns);
    }
}

static void test_anything(void)
{
    struct bench b;
    for (uint32_t round = 1; round <= 40; round++) {
        uint32_t seed = round;
        bench_open(&b);
        for (int64_t step = 0; step < 2000; step++) {
            act(&b, &seed, step / 8);
            check_shape(&b.timers);
            if (round % 2) /* looking puts things right: not looking must be as good */
                check_next(&b);
        }
        while (take(&b, 5000))
            ;
        CHECK(earliest(&b) == SS_NEVER && b.timers.n == 0);
        bench_close(&b);
    }
}

/* What it costs */

struct snapshot {
    struct ss_timer *heap[SOME];
    struct ss_timer timer[SOME];
    size_t requests;
};

static void look(struct snapshot *s, const struct bench *b)
{
    memcpy(s->heap, b->timers.heap, SOME * sizeof *s->heap);
    memcpy(s->timer, b->timer, sizeof s->timer);
    s->requests = b->heap.requests;
}

static size_t count_moved(const struct snapshot *s, const struct bench *b)
{
    size_t n = b->heap.requests != s->requests;
    for (size_t i = 0; i < SOME; i++)
        n += s->heap[i] != b->timers.heap[i] || s->timer[i].at_ns != b->timer[i].at_ns ||
             s->timer[i].place != b->timer[i].place;
    return n;
}

/* The usual life of a deadline: to later with each call, or taken back after it. Nothing in the heap moves. */
static void test_later_costs_nothing(void)
{
    struct snapshot before;
    struct bench b;
    bench_open(&b);
    for (size_t i = 0; i < SOME; i++)
        set(&b, i, (int64_t)(1000 + i * 7919 % 101));
    look(&before, &b);
    for (int64_t call = 0; call < 100000; call++) {
        size_t i = (size_t)call % SOME;
        if (call % 2)
            clear(&b, i);
        set(&b, i, 1101 + call);
    }
    CHECKF(count_moved(&before, &b) == 0, "%zu moved", count_moved(&before, &b));
    check_next(&b); /* now each is put where it belongs, once */
    CHECK(count_moved(&before, &b) > 0);
    while (take(&b, SS_NEVER - 1))
        ;
    bench_close(&b);
}

/* To earlier is where it moves, and only up. */
static void test_earlier_moves(void)
{
    struct snapshot before;
    struct bench b;
    bench_open(&b);
    for (size_t i = 0; i < SOME; i++)
        set(&b, i, (int64_t)(1000 + i));
    look(&before, &b);
    set(&b, SOME - 1, 500);
    size_t moved = count_moved(&before, &b);
    CHECKF(moved > 1 && moved <= 16, "%zu moved", moved); /* twice its depth at most: as timers and as places */
    CHECK(b.timers.heap[0] == &b.timer[SOME - 1]);
    check_shape(&b.timers);
    bench_close(&b);
}

/* Those that are set and taken back all the time do not pile up. */
static void test_room_is_used_again(void)
{
    struct bench b;
    bench_open(&b);
    for (int64_t call = 0; call < 100000; call++) {
        set(&b, (size_t)call % SOME, call + 10);
        clear(&b, (size_t)call % SOME);
        if (call % 5 == 0)
            check_next(&b);
    }
    CHECK(b.timers.n <= SOME && b.timers.room <= 2 * SOME);
    bench_close(&b);
}

static void test_many_in_order(void)
{
    static struct ss_timer timer[MANY];
    struct heap heap = { 0 };
    struct ss_timers timers;
    uint32_t seed = 1;
    int64_t last_ns = -1;
    size_t n = 0;
    ss_timers_init(&timers, heap_mem(&heap));
    for (size_t i = 0; i < MANY; i++) {
        ss_timer_init(&timer[i]);
        CHECK(ss_timer_set(&timers, &timer[i], (int64_t)rng_below(&seed, 1000000)));
        CHECK(ss_timer_set(&timers, &timer[i], (int64_t)rng_below(&seed, 1000000)));
    }
    for (const struct ss_timer *t; (t = ss_timers_take(&timers, SS_NEVER - 1)) != NULL; n++) {
        CHECK(t->due_ns >= last_ns);
        last_ns = t->due_ns;
    }
    CHECKF(n == MANY, "%zu taken", n);
    ss_timers_fini(&timers);
    heap_check_empty(&heap);
}

/* No memory: it says so, and everything is as it was. What is in the heap already needs none. */
static void test_no_memory(void)
{
    struct bench b;
    size_t n = 0;
    bench_open(&b);
    b.heap.fail_from = 2;
    b.heap.fail_count = SIZE_MAX;
    while (n < SOME && ss_timer_set(&b.timers, &b.timer[n], (int64_t)(1000 - n))) {
        b.due_ns[n] = (int64_t)(1000 - n);
        n++;
    }
    CHECKF(n > 0 && n < SOME, "%zu of %d were set", n, SOME);
    CHECK(b.timer[n].place == 0 && b.timer[n].due_ns == SS_NEVER);
    check_shape(&b.timers);
    check_next(&b);
    set(&b, 0, 5);
    set(&b, 0, 2000);
    check_next(&b);
    CHECK(take(&b, 1000));
    set(&b, n, 7); /* there is a place now */
    b.heap.fail_from = 0;
    set(&b, n + 1, 6);
    set(&b, n + 2, 5);
    while (take(&b, 3000))
        ;
    CHECK(earliest(&b) == SS_NEVER);
    bench_close(&b);
}

int main(void)
{
    RUN(test_none);
    RUN(test_one);
    RUN(test_moving);
    RUN(test_clearing);
    RUN(test_removing);
    RUN(test_ties);
    RUN(test_moved_to_later);
    RUN(test_as_late_as_can_be);
    RUN(test_anything);
    RUN(test_later_costs_nothing);
    RUN(test_earlier_moves);
    RUN(test_room_is_used_again);
    RUN(test_many_in_order);
    RUN(test_no_memory);
    return check_end();
}
