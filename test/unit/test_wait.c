/* Deadlines, pauses, and waiting for any of many descriptors. */
#include "check.h"
#include "pair.h"
#include "run/deadline.h"
#include "run/wait.h"

#include <errno.h>
#include <stdint.h>
#include <sys/resource.h> /* setrlimit */
#include <unistd.h>

static const double LATE_MS = 400;

static int64_t ns(double ms)
{
    return (int64_t)(ms * 1e6);
}

static void check_time(double begin, double least_ms)
{
    double took = now_ms() - begin;
    CHECKF(took >= least_ms && took < least_ms + LATE_MS, "took %.2f ms, not %.0f", took, least_ms);
}

static void test_shares_of_a_deadline(void)
{
    const int64_t second = 1000000000;
    struct ss_op op = { .after_ms = 3 };
    CHECK(ss_step_timeout(&op, second) == 3000000);
    CHECK(ss_step_timeout(&op, -1) == 3000000);
    op.shares = true;
    CHECK(ss_step_timeout(&op, 9 * second) == 3 * second);
    CHECK(ss_step_timeout(&op, 6 * second) == 2 * second);
    CHECK(ss_step_timeout(&op, 5 * second) == 2 * second);
    CHECK(ss_step_timeout(&op, second) == second);
    CHECK(ss_step_timeout(&op, 0) == 0);
    CHECK(ss_step_timeout(&op, -1) < 0);
}

static void test_deadlines(void)
{
    CHECK(ss_deadline_left(ss_deadline_after(ns(1000))) <= ns(1000));
    CHECK(ss_deadline_left(ss_deadline_after(ns(1000))) > ns(500));
    CHECK(ss_deadline_left(ss_deadline_after(0)) == 0);
    CHECK(ss_deadline_left(ss_deadline_after(1) - ns(10)) == 0);
    CHECK(ss_deadline_left(INT64_MIN / 2) == 0);
    for (int64_t less = 0; less < ns(10); less = 2 * less + 1) /* no end comes before its beginning */
        CHECK(ss_deadline_after(INT64_MAX - less) > ss_deadline_after(ns(1000)));
}

static void test_pauses(void)
{
    static const double times[] = { 0, 0.5, 30 };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        ticks_start(4, -1);
        double begin = now_ms();
        int64_t deadline_ns = ss_deadline_after(ns(times[i]));
        unsigned ended_early = 0;
        while (!ss_pause(deadline_ns))
            ended_early++;
        check_time(begin, times[i]);
        CHECK(ended_early > 0 || times[i] < 30);
        CHECK(ticks_stop() > 0 || times[i] < 30);
    }
}

static enum ss_status wait_any(struct pollfd *set, size_t n, double timeout_ms, struct ss_error *err)
{
    static struct pollfd spare[512];
    return ss_wait_any(set, n, spare, timeout_ms < 0 ? -1 : ns(timeout_ms), err);
}

static void test_those_that_are_ready(void)
{
    struct pair a, b;
    struct ss_error err;
    pair_open(&a);
    pair_open(&b);
    CHECK(write(b.other, "x", 1) == 1);
    struct pollfd set[] = { os_poll_for(a.sock.io.fd, true, false), os_poll_for(b.sock.io.fd, true, false),
                            os_poll_for(a.sock.io.fd, false, true), os_poll_for(b.sock.io.fd, true, true) };
    CHECK(wait_any(set, 4, -1, &err) == SS_OK);
    CHECK(os_poll_found(&set[0]) == 0 && os_poll_found(&set[1]) == OS_CAN_READ);
    CHECK(os_poll_found(&set[2]) == OS_CAN_WRITE && os_poll_found(&set[3]) == (OS_CAN_READ | OS_CAN_WRITE));
    pair_close(&b);
    CHECK(wait_any(set + 1, 1, -1, &err) == SS_OK && os_poll_found(&set[1]) == OS_NOT_OPEN);
    close(a.other);
    a.other = -1;
    CHECK(wait_any(set, 1, -1, &err) == SS_OK && os_poll_found(&set[0]) == (OS_CAN_READ | OS_TROUBLE));
    pair_close(&a);
}

static void test_nothing_is_ready(void)
{
    static const double times[] = { 0, 0.5, 30 };
    struct pair pair;
    struct ss_error err;
    pair_open(&pair);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        for (size_t n = 0; n < 2; n++) {
            struct pollfd set[] = { os_poll_for(pair.sock.io.fd, true, false) };
            double begin = now_ms();
            CHECK(wait_any(set, n, times[i], &err) == SS_TIMEOUT);
            check_time(begin, times[i]);
        }
    pair_close(&pair);
}

/* Whoever waits is to hear of it, and goes on. */
static void test_signals_end_a_wait(void)
{
    struct pair pair;
    struct ss_error err;
    unsigned ended = 0;
    enum ss_status st;
    pair_open(&pair);
    struct pollfd set[] = { os_poll_for(pair.sock.io.fd, true, false) };
    ticks_start(4, pair.other); /* a byte comes with the third one */
    while ((st = wait_any(set, 1, -1, &err)) == SS_WANT)
        ended++;
    CHECK(st == SS_OK && os_poll_found(&set[0]) == OS_CAN_READ);
    CHECK(ticks_stop() >= 3 && ended >= 1);
    pair_close(&pair);
}

/* Longer than there can be descriptors, because it names them many times: poll(2) alone refuses that. */
static void test_sets_longer_than_the_limit(void)
{
    enum { LIMIT = 64, ENTRIES = 300 };
    struct rlimit before, limit;
    struct pollfd set[ENTRIES];
    struct pair a, b;
    struct ss_error err;
    pair_open(&a);
    pair_open(&b);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(write(b.other, "x", 1) == 1);
    limit = before;
    limit.rlim_cur = LIMIT;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (size_t i = 0; i < ENTRIES; i++)
        set[i] = os_poll_for(i % 2 ? b.sock.io.fd : a.sock.io.fd, i % 3 == 0, i % 3 == 1);
    CHECK(wait_any(set, ENTRIES, -1, &err) == SS_OK);
    for (size_t i = 0; i < ENTRIES; i++) {
        int wanted = i % 3 == 0 ? OS_CAN_READ : i % 3 == 1 ? OS_CAN_WRITE : 0;
        int expected = i % 3 == 0 && i % 2 == 0 ? 0 : wanted;
        CHECKF((os_poll_found(&set[i]) & wanted) == expected, "entry %zu: %d", i, os_poll_found(&set[i]));
        set[i] = os_poll_for(a.sock.io.fd, true, false);
    }
    CHECK(wait_any(set, ENTRIES, 5, &err) == SS_TIMEOUT);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    pair_close(&b);
    pair_close(&a);
}

int main(void)
{
    RUN(test_deadlines);
    RUN(test_shares_of_a_deadline);
    RUN(test_pauses);
    RUN(test_those_that_are_ready);
    RUN(test_nothing_is_ready);
    RUN(test_signals_end_a_wait);
    RUN(test_sets_longer_than_the_limit);
    return check_end();
}
