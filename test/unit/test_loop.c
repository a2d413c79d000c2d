/* The driver of tasks without tasks: waiters that nobody knows, operations that do as a script says, a clock and pollers that
 * do as a plan says (fake_poller.h). */
#include "check.h"
#include "core/codes.h"
#include "core/op_read.h"
#include "fake_poller.h"
#include "heap.h"
#include "run/loop.h"

#include <errno.h>
#include <stddef.h> /* offsetof */
#include <stdio.h>  /* snprintf */
#include <stdlib.h> /* strtol */
#include <string.h>
#include <sys/socket.h> /* AF_INET */

enum { CALLS = 6, OURS = 20, TURNS = 60 }; /* descriptors from OURS on are those of sockets of ours */

enum { R = SS_READABLE, W = SS_WRITABLE, RW = SS_READABLE | SS_WRITABLE };

struct bench;

/* A call that waits. A step does what the next letter of the script says, the last one again and again:
 *     o(k), e(nd), x (error)
 *     w: wants `events` of `fd`; m: of that, the other direction; 2: of `fd` and the next one; n: nothing
 *     g: as w, after as many calls as it may make; t: the same, and it takes a millisecond
 *     a: calls `act`, then as w; f: calls `act`, then as o */
struct call {
    struct ss_op op;
    struct ss_waiter waiter;
    struct ss_io io; /* where it has no socket */
    struct ss_interest wants[2];
    struct bench *b;
    const char *script;
    void (*act)(struct call *call);
    int fd, events;
    uint16_t after_ms;
    char name;
    bool gone; /* nobody waits any more, and its operation is no memory of anybody's */
};

struct bench {
    struct heap heap;
    struct ss_env env;
    struct ss_loop loop;
    struct ss_sock socks[FAKE_POLL_FDS];
    struct call calls[CALLS];
    int ncalls, ended;
    char log
        [512]; /* "5a": a was stepped at 5 ms; "5a!": and told that its time had come; "5a=ok": it had ended by then */
};

static struct call *call_of(const struct ss_waiter *w)
{
    return (struct call *)((char *)w - offsetof(struct call, waiter));
}

static bool is_suspended(const struct ss_waiter *w)
{
    return !call_of(w)->gone;
}

static void bench_open(struct bench *b, const char *plan)
{
    fake_poll_begin(plan);
    memset(b, 0, sizeof *b);
    ss_env_init(&b->env, heap_mem(&b->heap));
    os_fork_mark_fini(&b->env.mark); /* without the page the plan is asked */
    ss_loop_init(&b->loop, &b->env, is_suspended);
    for (int fd = 0; fd < FAKE_POLL_FDS; fd++)
        ss_sock_init(&b->socks[fd], &b->env, SOCK_STREAM);
}

static struct ss_sock *adopt(struct bench *b, int fd)
{
    struct ss_error err;
    if (b->socks[fd].io.fd < 0)
        CHECK(ss_sock_adopt(&b->socks[fd], fd, AF_INET, false, &err) == SS_OK);
    return &b->socks[fd];
}

/* Nothing is left: no waiter anywhere, no foreign descriptor in a poller, no memory. */
static void bench_close(struct bench *b)
{
    for (int i = 0; i < b->ncalls; i++)
        ss_loop_drop(&b->loop, &b->calls[i].waiter);
    CHECK(b->loop.watches.n == 0 && b->loop.timers.n == 0);
    CHECK(!ss_queue_first(&b->loop.watches.ready) && !ss_queue_first(&b->loop.done));
    CHECK(!ss_queue_first(&b->loop.to_step) && !ss_queue_first(&b->loop.to_take));
    for (int fd = 0; b->loop.watches.poller && fd < FAKE_POLL_FDS; fd++)
        CHECKF(!b->loop.watches.poller->fds[fd].known || ss_env_find(&b->env, fd), "%d is not forgotten", fd);
    for (int fd = 0; fd < FAKE_POLL_FDS; fd++)
        ss_sock_release(&b->socks[fd], true);
    for (int fd = 0; b->loop.watches.poller && fd < FAKE_POLL_FDS; fd++)
        CHECKF(!b->loop.watches.poller->fds[fd].known, "%d is not forgotten", fd);
    ss_loop_fini(&b->loop);
    ss_env_fini(&b->env);
    heap_check_empty(&b->heap);
    for (int i = 0; i < FAKE_POLLERS; i++)
        CHECK(!polling.pollers[i].open);
}

/* Texts differ from one C library to another. */
static const char *code_name(int code)
{
    return code == ENOMEM ? "ENOMEM" : code == EMFILE ? "EMFILE" : strerror(code);
}

static void note(struct bench *b, char name, const char *what)
{
    size_t len = strlen(b->log);
    snprintf(b->log + len, sizeof b->log - len, "%s%d%c%s", len > 0 ? " " : "", (int)(fake.now_ns / 1000000), name,
             what);
}

static void check_log(const struct bench *b, const char *title, const char *log)
{
    CHECKF(strcmp(b->log, log) == 0, "%s: %s, not %s", title, b->log, log);
}

/* Calls */

static void use_up(struct ss_io *io)
{
    while (ss_io_take_mode(io) != SS_NO_CALL)
        ;
}

static enum ss_status want(struct call *c, char how)
{
    int events = how == 'm' ? RW - c->events : c->events;
    c->op.after_ms = c->after_ms;
    c->op.wants = how == '2' ? c->wants : NULL;
    c->op.nwants = 2;
    c->op.want = (struct ss_interest){ .fd = how == 'n' ? -1 : c->fd, .events = events };
    for (int i = 0; i < 2; i++)
        c->wants[i] = (struct ss_interest){ .fd = c->fd + i, .events = c->events };
    if (how == 'g' || how == 't')
        use_up(c->op.io);
    return SS_WANT;
}

static enum ss_status act_out(struct call *c, char letter)
{
    switch (letter) {
    case 'o':
        return SS_OK;
    case 'e':
        return SS_EOF;
    case 'x':
        c->op.error = (struct ss_error){ SS_SYSTEM, ECONNRESET };
        return SS_ERROR;
    case 'f':
        c->act(c);
        return SS_OK;
    case 'a':
        c->act(c);
        return want(c, 'w');
    case 't':
        fake.now_ns += fake_ms(1);
        return want(c, 't');
    default:
        return want(c, letter);
    }
}

/* It takes what is there, as a real one would. */
static enum ss_status call_step(struct ss_op *op)
{
    struct call *c = (struct call *)op;
    char letter = *c->script;
    if (c->script[1] != '\0')
        c->script++;
    note(c->b, c->name, op->due ? "!" : "");
    bool is_last = c->b->loop.stepping == &c->waiter && c->waiter.expired;
    CHECK(op->io->mode == (is_last ? SS_NO_WAIT : SS_NO_WAIT_EDGE));
    CHECK(op->io->calls_left == SS_CALLS_PER_STEP);
    for (int i = 0; op->wants && i < 2; i++)
        fake_poll_take(c->wants[i].fd, c->wants[i].events);
    fake_poll_take(op->want.fd, op->want.events);
    return act_out(c, letter);
}

/* A new call that nobody has begun yet; with a descriptor of OURS it has the socket of that. */
static struct call *make_call(struct bench *b, const char *script, int fd, int events)
{
    struct call *c = &b->calls[b->ncalls];
    *c = (struct call){ .b = b, .script = script, .fd = fd, .events = events, .io = { .fd = -1 } };
    c->name = (char)('a' + b->ncalls++);
    c->op = (struct ss_op){ .step = script ? call_step : NULL, .io = fd >= OURS ? &adopt(b, fd)->io : &c->io };
    ss_waiter_init(&c->waiter, true);
    return c;
}

static int64_t deadline(double ms)
{
    return ms < 0 ? SS_NEVER : fake_ms(ms);
}

/* As a task does it: tries, and waits if it must. */
static void begin(struct call *c, double deadline_ms)
{
    ss_io_set_mode(c->op.io, SS_NO_WAIT_EDGE);
    CHECK(c->op.step(&c->op) == SS_WANT);
    ss_loop_wait(&c->b->loop, &c->waiter, &c->op, deadline(deadline_ms));
}

static struct call *start(struct bench *b, const char *script, int fd, int events, double deadline_ms)
{
    struct call *c = make_call(b, script, fd, events);
    begin(c, deadline_ms);
    return c;
}

/* One without a step: it waits for its time, for a turn, or for somebody who ends it. */
static struct call *start_standing(struct bench *b, double deadline_ms)
{
    struct call *c = make_call(b, NULL, -1, 0);
    c->op.io = NULL;
    ss_loop_wait(&b->loop, &c->waiter, &c->op, deadline(deadline_ms));
    return c;
}

static void hold(struct call *c)
{
    for (int i = 0; i < 2; i++)
        if (c->events & (1 << i))
            adopt(c->b, c->fd)->waiters[i] = &c->waiter;
}

static void detach_socket(struct call *c)
{
    for (int fd = 0; fd < FAKE_POLL_FDS; fd++)
        for (int i = 0; i < 2; i++)
            if (c->b->socks[fd].waiters[i] == &c->waiter)
                c->b->socks[fd].waiters[i] = NULL;
}

/* Running */

static void note_end(struct call *c)
{
    static const char *const names[] = { [SS_OK] = "ok",
                                         [SS_EOF] = "end",
                                         [SS_CLOSED] = "closed",
                                         [SS_BUSY] = "busy",
                                         [SS_CANCELLED] = "cancelled",
                                         [SS_TIMEOUT] = "timeout",
                                         [SS_WANT] = "waiting?",
                                         [SS_ERROR] = "error" };
    char text[32];
    snprintf(text, sizeof text, "=%s", names[c->waiter.status]);
    if (c->waiter.status == SS_ERROR)
        snprintf(text, sizeof text, "=%s", code_name(c->op.error.code));
    note(c->b, c->name, text);
}

static void take_all(struct bench *b)
{
    for (struct ss_waiter *w; (w = ss_loop_take(&b->loop)) != NULL; b->ended++) {
        struct call *c = call_of(w);
        note_end(c);
        detach_socket(c);
    }
}

static void turn(struct bench *b, double timeout_ms)
{
    struct ss_error err = { SS_SYSTEM, 0 };
    enum ss_status st = ss_loop_turn(&b->loop, fake_ms(timeout_ms), &err);
    CHECKF(st == SS_OK || st == SS_WANT, "turn ended with %d, error %d", st, err.code);
    take_all(b);
}

/* Until all have ended, or nothing can happen any more. */
static void run(struct bench *b)
{
    int turns = 0;
    while (b->ended < b->ncalls && !ss_loop_is_stuck(&b->loop, NULL) && turns++ < TURNS)
        turn(b, -1);
    CHECKF(turns < TURNS, "it does not end: %s", b->log);
}

/* Tables */

struct row {
    const char *title;
    struct {
        const char *script;
        int fd, events;
        uint16_t after_ms;
        double deadline_ms;
    } calls[CALLS];
    const char *plan, *log;
};

/* The plan with other descriptors. */
static const char *moved(const char *plan, int by)
{
    static char text[256];
    char *out = text;
    for (char *at = (char *)plan; *at != '\0'; at += *at == ' ') {
        int ms = (int)strtol(at, &at, 10);
        char what = *at++;
        int fd = what == 's' ? -by : (int)strtol(at, &at, 10);
        out += snprintf(out, 16, "%d%c%d ", ms, what, fd + by);
    }
    *out = '\0';
    return text;
}

static void check_row(const struct row *row, int by)
{
    struct bench b;
    bench_open(&b, moved(row->plan, by));
    for (int i = 0; i < CALLS && row->calls[i].script; i++) {
        int fd = row->calls[i].fd;
        struct call *c = make_call(&b, row->calls[i].script, fd < 0 ? fd : fd + by, row->calls[i].events);
        c->after_ms = row->calls[i].after_ms;
        begin(c, row->calls[i].deadline_ms);
    }
    run(&b);
    check_log(&b, row->title, row->log);
    bench_close(&b);
}

/* With foreign descriptors and with ours. */
static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int by = 0; by <= OURS; by += OURS)
            check_row(&rows[i], by);
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

static void test_what_is_wanted(void)
{
    static const struct row rows[] = {
        { "later", { { "wo", 3, R, 0, -1 } }, "5r3", "0a 5a 5a=ok" },
        { "writing", { { "wo", 3, W, 0, -1 } }, "5w3", "0a 5a 5a=ok" },
        { "at once", { { "wo", 3, R, 0, -1 } }, "0r3", "0a 0a 0a=ok" },
        { "either", { { "wo", 3, RW, 0, -1 } }, "5w3", "0a 5a 5a=ok" },
        { "not enough", { { "wwwo", 3, R, 0, -1 } }, "5r3 6r3 7r3", "0a 5a 6a 7a 7a=ok" },
        { "another one", { { "wo", 3, R, 0, -1 } }, "4r4 5r3", "0a 5a 5a=ok" },
        { "another direction", { { "wo", 3, R, 0, -1 } }, "4w3 5r3", "0a 5a 5a=ok" },
        { "that nobody asked for", { { "wo", 3, R, 0, -1 } }, "3W3 4W3 5r3", "0a 5a 5a=ok" },
        { "told for nothing", { { "wwo", 3, R, 0, -1 } }, "3R3 5r3", "0a 3a 5a 5a=ok" },
        { "end", { { "we", 3, R, 0, -1 } }, "5r3", "0a 5a 5a=end" },
        { "error", { { "wx", 3, R, 0, -1 } }, "5r3", "0a 5a 5a=Connection reset by peer" },
        { "hang-up", { { "wo", 3, W, 0, -1 } }, "5h3", "0a 5a 5a=ok" },
        { "not open", { { "wo", 3, W, 0, -1 } }, "5c3", "0a 5a 5a=ok" },
        { "a signal", { { "wo", 3, R, 0, -1 } }, "3s 4s 5r3", "0a 5a 5a=ok" },
        { "nothing", { { "n", 3, R, 0, -1 } }, "5r3", "0a" },
        { "no event", { { "w", 3, 0, 0, -1 } }, "5r3", "0a" },
    };
    CHECK_ROWS(rows);
}

static void test_order(void)
{
    static const struct row rows[] = {
        { "as they become ready",
          { { "wo", 3, R, 0, -1 }, { "wo", 4, R, 0, -1 }, { "wo", 5, W, 0, -1 } },
          "3r4 5w5 7r3",
          "0a 0b 0c 3b 3b=ok 5c 5c=ok 7a 7a=ok" },
        { "as they are reported",
          { { "wo", 5, R, 0, -1 }, { "wo", 4, R, 0, -1 }, { "wo", 3, R, 0, -1 } },
          "5r3 5r4 5r5",
          "0a 0b 0c 5c 5c=ok 5b 5b=ok 5a 5a=ok" },
        { "reader and writer of one",
          { { "wo", 3, R, 0, -1 }, { "wo", 3, W, 0, -1 } },
          "3w3 5r3",
          "0a 0b 3b 3b=ok 5a 5a=ok" },
    };
    CHECK_ROWS(rows);
}

/* All who wait for it are told; trouble concerns everybody. */
static void check_both(const char *plan, int events)
{
    for (int fd = 3; fd < 3 + 2 * OURS; fd += OURS) {
        struct bench b;
        bench_open(&b, moved(plan, fd));
        start(&b, "wo", fd, R, 9);
        start(&b, "wwo", fd, events, 9);
        turn(&b, -1);
        CHECKF(b.ended == 1 && b.calls[0].waiter.status == SS_OK && b.calls[1].script[1] == '\0', "%s", b.log);
        run(&b);
        CHECKF(b.calls[1].waiter.status == SS_OK && fake.now_ns / 1000000 == 5, "%s", b.log);
        bench_close(&b);
    }
}

static void test_two_who_wait_for_the_same(void)
{
    check_both("3r0 5r0", R);
    check_both("3h0 5w0", W);
    check_both("3c0 5h0", W);
}

static void test_deadlines(void)
{
    static const struct row rows[] = {
        { "in vain", { { "w", 3, R, 0, 8 } }, "", "0a 8a=timeout" },
        { "has passed", { { "w", 3, R, 0, 0 } }, "", "0a 0a=timeout" },
        { "has passed, and it is ready", { { "wo", 3, R, 0, 0 } }, "0r3", "0a 0a 0a=ok" },
        { "in the last moment", { { "wo", 3, R, 0, 8 } }, "8r3", "0a 8a 8a=ok" },
        { "after it", { { "wo", 3, R, 0, 8 } }, "9r3", "0a 8a=timeout" },
        { "not enough", { { "w", 3, R, 0, 8 } }, "3r3 6r3", "0a 3a 6a 8a=timeout" },
        { "signals", { { "w", 3, R, 0, 8 } }, "3s 4s 5s", "0a 8a=timeout" },
        { "of several",
          { { "w", 3, R, 0, 9 }, { "w", 4, R, 0, 4 }, { "wo", 5, R, 0, 6 }, { "w", 3, R, 0, 6 } },
          "5r5",
          "0a 0b 0c 0d 4b=timeout 5c 5c=ok 6d=timeout 9a=timeout" },
        { "with nothing to wait for", { { "n", -1, 0, 0, 8 } }, "", "0a 8a=timeout" },
    };
    CHECK_ROWS(rows);
}

/* Nobody has made a turn for a while. */
static void test_a_deadline_long_ago(void)
{
    struct bench b;
    bench_open(&b, "");
    start(&b, "w", 3, R, 5);
    fake.now_ns = fake_ms(8);
    turn(&b, -1);
    check_log(&b, "long ago", "0a 8a=timeout");
    bench_close(&b);
}

/* However late this thread sees that: the deadline of what has come in time does not count. */
static void test_a_wait_that_returns_late(void)
{
    static const struct {
        const char *plan, *log;
        double first; /* a deadline */
    } all[] = {
        { "5r3 6r4", "0a 0b 15a 15a=ok 15b 15b=ok", 20 },
        { "6r4", "0a 0b 15a=timeout 15b 15b=ok", 5 },
        { "5s 6r4 7r3", "0a 0b 15a 15a=ok 15b 15b=ok", 20 },
        { "5r3 16r4", "0a 0b 15a 15a=ok 15b=timeout", 20 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct bench b;
        bench_open(&b, all[i].plan);
        start(&b, "wo", 3, R, all[i].first);
        start(&b, "wo", 4, R, 7);
        polling.late_ns = fake_ms(10);
        run(&b);
        check_log(&b, all[i].plan, all[i].log);
        bench_close(&b);
    }
}

/* A turn without end that ends early, for what it does not tell, has reached no deadline. */
static void test_a_wait_that_returns_early(void)
{
    struct bench b;
    bench_open(&b, "");
    start(&b, "w", 3, R, 5);
    polling.early_ns = fake_ms(3);
    turn(&b, -1);
    check_log(&b, "early", "0a");
    turn(&b, -1);
    check_log(&b, "early", "0a 5a=timeout");
    bench_close(&b);
}

/* Counted from the latest step, whatever that was for. */
static void test_times_of_operations(void)
{
    static const struct row rows[] = {
        { "again and again", { { "wwwo", 3, R, 10, -1 } }, "", "0a 10a! 20a! 30a! 30a=ok" },
        { "ready before", { { "wwo", 3, R, 10, -1 } }, "6r3", "0a 6a 16a! 16a=ok" },
        { "told for nothing", { { "wwwo", 3, R, 10, -1 } }, "6R3 8R3", "0a 6a 8a 18a! 18a=ok" },
        { "within a deadline", { { "w", 3, R, 10, 25 } }, "", "0a 10a! 20a! 25a=timeout" },
        { "at the deadline", { { "w", 3, R, 10, 10 } }, "", "0a 10a=timeout" },
        { "longer than the deadline", { { "w", 3, R, 10, 5 } }, "", "0a 5a=timeout" },
        { "with nothing to wait for", { { "nno", -1, 0, 10, -1 } }, "", "0a 10a! 20a! 20a=ok" },
        { "of several", { { "wwo", 3, R, 4, -1 }, { "wwo", 4, R, 6, -1 } }, "", "0a 0b 4a! 6b! 8a! 8a=ok 12b! 12b=ok" },
    };
    CHECK_ROWS(rows);
}

static void test_several_and_others(void)
{
    static const struct row rows[] = {
        { "the first of two", { { "2o", 3, R, 0, -1 } }, "5r3", "0a 5a 5a=ok" },
        { "the second of two", { { "2o", 3, R, 0, -1 } }, "5r4", "0a 5a 5a=ok" },
        { "both at once", { { "2o", 3, R, 0, -1 } }, "5r3 5r4", "0a 5a 5a=ok" },
        { "one after the other", { { "222o", 3, R, 0, -1 } }, "3r3 5r4 7r3", "0a 3a 5a 7a 7a=ok" },
        { "two, then one", { { "2wo", 3, R, 0, -1 } }, "3r4 5r4 7r3", "0a 3a 7a 7a=ok" },
        { "one, then two", { { "w2o", 3, R, 0, -1 } }, "3r4 5r3 7r4", "0a 5a 5a 5a=ok" },
        { "one, then nothing", { { "wn", 3, R, 0, 9 } }, "5r3 7r3", "0a 5a 9a=timeout" },
        { "nothing, then one", { { "nwo", 3, R, 4, 9 } }, "5r3", "0a 4a! 5a 5a=ok" },
        { "the other direction", { { "wmo", 3, R, 0, -1 } }, "3r3 5r3 7w3", "0a 3a 7a 7a=ok" },
        { "and back", { { "wmwo", 3, R, 0, -1 } }, "3r3 5w3 7w3 9r3", "0a 3a 5a 9a 9a=ok" },
        { "beside another",
          { { "22o", 3, R, 0, -1 }, { "wo", 5, R, 0, -1 } },
          "3r3 5r5 7r4",
          "0a 0b 3a 5b 5b=ok 7a 7a=ok" },
    };
    CHECK_ROWS(rows);
}

/* Who has used up its calls goes on without waiting, but not before the others had their turn. */
static void test_calls_used_up(void)
{
    static const struct row rows[] = {
        { "alone", { { "gggo", 3, R, 0, -1 } }, "", "0a 0a 0a 0a 0a=ok" },
        { "at the end it waits", { { "ggwo", 3, R, 0, -1 } }, "5r3", "0a 0a 0a 5a 5a=ok" },
        { "after a wait", { { "wggo", 3, R, 0, -1 } }, "5r3", "0a 5a 5a 5a 5a=ok" },
        { "others meanwhile",
          { { "gggo", 3, R, 0, -1 }, { "wo", 4, R, 0, -1 } },
          "0r4",
          "0a 0b 0a 0b 0b=ok 0a 0a 0a=ok" },
        { "two of them", { { "ggo", 3, R, 0, -1 }, { "go", 4, R, 0, -1 } }, "", "0a 0b 0a 0b 0b=ok 0a 0a=ok" },
        { "reported as well", { { "ggo", 3, R, 0, -1 } }, "0r3", "0a 0a 0a 0a=ok" },
        { "others' deadlines hold",
          { { "ttttto", 3, R, 0, -1 }, { "w", 4, R, 0, 3 } },
          "",
          "0a 1b 1a 2a 3b=timeout 3a 4a 5a 5a=ok" },
        { "its own time has not come", { { "ggwo", 3, R, 5, -1 } }, "", "0a 0a 0a 5a! 5a=ok" },
    };
    CHECK_ROWS(rows);
}

/* A reader that takes in what comes between two of its steps, of which the poller reports nothing to those beside it. */
static void test_beside_a_reader(void)
{
    struct bench b;
    bench_open(&b, "");
    struct call *reader = make_call(&b, "ggo", OURS + 3, R), *writer = NULL;
    reader->op.reads = true;
    hold(reader);
    begin(reader, -1);
    start(&b, "wo", OURS + 3, R, -1);
    writer = start(&b, "w", OURS + 3, W, -1);
    turn(&b, 0);
    turn(&b, 0);
    check_log(&b, "beside a reader", "0a 0b 0c 0a 0b 0b=ok 0a 0a=ok");
    detach_socket(writer);
    bench_close(&b);
}

static void check_flood(const char *script, void (*act)(struct call *))
{
    struct bench b;
    bench_open(&b, "");
    struct call *c = make_call(&b, script, 23, R);
    c->act = act;
    begin(c, 3);
    run(&b);
    CHECK(c->waiter.status == SS_TIMEOUT);
    CHECKF(fake.now_ns >= fake_ms(3) && fake.now_ns < fake_ms(5), "ended at %d ms", (int)(fake.now_ns / 1000000));
    bench_close(&b);
}

static void send_more(struct call *c)
{
    polling.ready[c->fd] = R;
    fake.now_ns += fake_ms(1);
}

/* A peer that sends as fast as we take, or always a little, does not move the deadline. */
static void test_floods(void)
{
    check_flood("t", NULL);
    check_flood("a", send_more);
}

/* Turns */

static void wait_turn(struct call *c, double deadline_ms)
{
    ss_loop_wait_turn(&c->b->loop, &c->waiter, &c->op, deadline(deadline_ms));
}

static void test_waiting_for_a_turn(void)
{
    struct bench b;
    bench_open(&b, "5r3");
    wait_turn(make_call(&b, "wo", 3, R), 20);
    wait_turn(make_call(&b, NULL, -1, 0), -1);
    wait_turn(make_call(&b, "o", 3, R), 0); /* whose deadline has passed: it gets its turn all the same */
    CHECK(ss_loop_next_ns(&b.loop) == 0 && !ss_loop_is_stuck(&b.loop, NULL));
    CHECK(polling.watches == 0);
    run(&b);
    check_log(&b, "turns", "0a 0b=timeout 0c 0c=ok 5a 5a=ok");
    bench_close(&b);
}

/* Who waits for the next one while a turn is made waits for the next one. */
static void wait_again(struct call *c)
{
    struct call *next = &c->b->calls[1];
    ss_loop_wait_turn(&c->b->loop, &next->waiter, &next->op, SS_NEVER);
}

static void test_a_turn_has_an_end(void)
{
    struct bench b;
    bench_open(&b, "");
    struct call *a = make_call(&b, "f", 3, R);
    make_call(&b, "o", 4, R);
    a->act = wait_again;
    wait_turn(a, -1);
    turn(&b, -1);
    check_log(&b, "the first turn", "0a 0a=ok");
    turn(&b, -1);
    check_log(&b, "the second turn", "0a 0a=ok 0b 0b=ok");
    bench_close(&b);
}

/* The same goes for who is ended meanwhile. */
static void test_who_is_ended_meanwhile(void)
{
    struct bench b;
    struct ss_error err;
    bench_open(&b, "");
    start_standing(&b, -1);
    start_standing(&b, -1);
    ss_loop_end(&b.loop, &b.calls[0].waiter, SS_OK);
    for (int i = 0; i < 2; i++) {
        CHECK(ss_loop_turn(&b.loop, -1, &err) == SS_OK);
        CHECK(ss_loop_take(&b.loop) == &b.calls[i].waiter);
        ss_loop_end(&b.loop, &b.calls[1].waiter, SS_OK);
        CHECK(!ss_loop_take(&b.loop));
    }
    bench_close(&b);
}

/* A turn waits as long as it may, and no longer than until something is to be done. */
static void test_how_long_a_turn_lasts(void)
{
    struct bench b;
    bench_open(&b, "50r3");
    start(&b, "wo", 3, R, 90);
    turn(&b, 0);
    CHECK(fake.now_ns < fake_ms(1));
    turn(&b, 7);
    CHECK(fake.now_ns / 1000000 == 7);
    start_standing(&b, 10);
    turn(&b, 100);
    check_log(&b, "until the deadline", "0a 10b=timeout");
    turn(&b, 20);
    CHECK(fake.now_ns / 1000000 == 30);
    turn(&b, 1000);
    check_log(&b, "until the report", "0a 10b=timeout 50a 50a=ok");
    bench_close(&b);
}

static void test_what_comes_next(void)
{
    struct bench b;
    bench_open(&b, "");
    CHECK(ss_loop_next_ns(&b.loop) == SS_NEVER && ss_loop_is_stuck(&b.loop, NULL));
    struct call *a = start(&b, "w", 3, R, -1);
    CHECK(ss_loop_next_ns(&b.loop) == SS_NEVER && !ss_loop_is_stuck(&b.loop, NULL));
    struct call *standing = start_standing(&b, 30);
    start_standing(&b, -1);
    CHECK(ss_loop_next_ns(&b.loop) == fake_ms(30));
    ss_loop_end(&b.loop, &standing->waiter, SS_OK);
    CHECK(ss_loop_next_ns(&b.loop) == 0 && !ss_loop_is_stuck(&b.loop, NULL)); /* somebody is to be taken */
    turn(&b, 0);
    CHECK(ss_loop_next_ns(&b.loop) == SS_NEVER && !ss_loop_is_stuck(&b.loop, NULL));
    ss_loop_drop(&b.loop, &a->waiter);
    CHECK(ss_loop_is_stuck(&b.loop, NULL)); /* the one that stands is waked by nobody that the loop knows */
    start_standing(&b, 40);
    CHECK(ss_loop_next_ns(&b.loop) == fake_ms(40) && !ss_loop_is_stuck(&b.loop, NULL));
    bench_close(&b);
}

static const struct ss_waiter *left_out;

static bool is_left_out(const struct ss_waiter *w)
{
    return w == left_out;
}

/* A wait that does not count is served like the others. */
static void test_stuck_but_for_one(void)
{
    struct bench b;
    bench_open(&b, "");
    left_out = &start(&b, "w", 3, R, 50)->waiter;
    CHECK(ss_loop_is_stuck(&b.loop, is_left_out) && !ss_loop_is_stuck(&b.loop, NULL));
    struct call *watching = start(&b, "w", 3, R, -1);
    CHECK(!ss_loop_is_stuck(&b.loop, is_left_out));
    ss_loop_drop(&b.loop, &watching->waiter);
    CHECK(ss_loop_is_stuck(&b.loop, is_left_out));
    struct call *standing = start_standing(&b, 30);
    CHECK(!ss_loop_is_stuck(&b.loop, is_left_out));
    ss_timer_clear(&standing->waiter.timer); /* its place in the heap stays taken */
    CHECK(b.loop.timers.n == 2 && ss_loop_is_stuck(&b.loop, is_left_out));
    ss_loop_end(&b.loop, &b.calls[0].waiter, SS_OK);
    CHECK(!ss_loop_is_stuck(&b.loop, is_left_out)); /* it is to be taken, and may wake others */
    turn(&b, 0);
    CHECK(ss_loop_is_stuck(&b.loop, is_left_out));
    bench_close(&b);
}

/* A program may have one that does nothing but wait for its own time. */
static void test_standing(void)
{
    struct bench b;
    bench_open(&b, "");
    start_standing(&b, 9);
    start_standing(&b, 5);
    start_standing(&b, -1);
    start_standing(&b, 0);
    run(&b);
    check_log(&b, "standing", "0d=timeout 5b=timeout 9a=timeout");
    CHECK(polling.watches == 0 && b.calls[2].waiter.status == SS_WANT);
    bench_close(&b);
}

/* Ended from outside */

static void test_ended_from_outside(void)
{
    struct bench b;
    bench_open(&b, "5r3 5r23");
    start(&b, "wo", 3, R, 50);
    start(&b, "wo", 23, R, 60);
    start(&b, "go", 24, R, -1);
    start_standing(&b, 70);
    start(&b, "2o", 5, R, -1);
    for (int i = b.ncalls; i-- > 0;) {
        ss_loop_end(&b.loop, &b.calls[i].waiter, i % 2 ? SS_CANCELLED : SS_OK);
        ss_loop_end(&b.loop, &b.calls[i].waiter, SS_TIMEOUT); /* it has ended already */
    }
    CHECK(b.loop.watches.n == 0 && !ss_queue_first(&b.loop.watches.ready) && ss_loop_next_ns(&b.loop) == 0);
    CHECK(!fake_poll_now()->fds[3].known && !fake_poll_now()->fds[5].known && !fake_poll_now()->fds[6].known);
    CHECK(fake_poll_now()->fds[23].known); /* ours */
    turn(&b, 0);
    check_log(&b, "ended", "0a 0b 0c 0e 0e=ok 0d=cancelled 0c=ok 0b=cancelled 0a=ok");
    turn(&b, 100); /* of which nothing comes any more */
    CHECK(b.ended == b.ncalls);
    ss_loop_end(&b.loop, &b.calls[0].waiter, SS_CANCELLED); /* nor if it was taken */
    CHECK(!ss_loop_take(&b.loop));
    bench_close(&b);
}

/* A call on descriptor 3 that has ended begins again on 4. */
static struct call *start_again(struct bench *b, const char *ready, double turn_ms, const char *script)
{
    bench_open(b, ready);
    struct call *c = start(b, "wo", 3, R, 5);
    fake.now_ns = fake_ms(turn_ms);
    run(b);
    c->script = script;
    c->fd = 4;
    begin(c, -1);
    return c;
}

/* A waiter can wait again and again; nothing of an earlier wait is left in it. */
static void test_again(void)
{
    struct bench b;
    struct call *c = start_again(&b, "3r3 20r4", 0, "2o");
    turn(&b, 10); /* the first deadline passes */
    check_log(&b, "again", "0a 3a 3a=ok 3a");
    b.ended = 0;
    run(&b);
    check_log(&b, "again", "0a 3a 3a=ok 3a 20a 20a=ok");
    c->script = "w";
    begin(c, 30);
    ss_loop_end(&b.loop, &c->waiter, SS_CANCELLED);
    turn(&b, 0);
    CHECK(c->waiter.status == SS_CANCELLED);
    bench_close(&b);
}

/* One that was ready when its deadline came was not given up, and has more time the next time. */
static void test_again_after_the_last_moment(void)
{
    struct bench b;
    start_again(&b, "5r3 7r4 9r4", 5, "wwo");
    b.ended = 0;
    run(&b);
    check_log(&b, "again", "0a 5a 5a=ok 5a 7a 9a 9a=ok");
    bench_close(&b);
}

static void test_taking_and_putting_back(void)
{
    struct bench b;
    struct ss_error err;
    bench_open(&b, "");
    for (int i = 0; i < 3; i++)
        ss_loop_end(&b.loop, &start_standing(&b, -1)->waiter, SS_OK);
    CHECK(ss_loop_turn(&b.loop, 0, &err) == SS_OK);
    struct ss_waiter *first = ss_loop_take(&b.loop);
    CHECK(first == &b.calls[0].waiter && ss_queue_first(&b.loop.to_take) == &b.calls[1].waiter);
    ss_loop_untake(&b.loop, first);
    CHECK(ss_loop_next_ns(&b.loop) == 0 && ss_loop_turn(&b.loop, 0, &err) == SS_OK);
    CHECK(ss_loop_take(&b.loop) == first);
    CHECK(ss_loop_take(&b.loop) == &b.calls[1].waiter && ss_loop_take(&b.loop) == &b.calls[2].waiter);
    CHECK(!ss_loop_take(&b.loop));
    ss_loop_untake(&b.loop, first); /* into an empty queue, which goes on at its end */
    ss_loop_end(&b.loop, &start_standing(&b, -1)->waiter, SS_OK);
    turn(&b, 0);
    check_log(&b, "put back", "0a=ok 0d=ok");
    bench_close(&b);
}

static void check_ready(struct bench *b, struct call *c)
{
    struct ss_error err;
    CHECK(ss_loop_turn(&b->loop, fake_ms(-1), &err) == SS_OK);
    CHECK(ss_loop_take(&b->loop) == &c->waiter && !ss_loop_take(&b->loop));
    CHECK(c->waiter.is_ready && c->waiter.status == SS_WANT);
}

static void test_stepped_by_the_owner(void)
{
    struct bench b;
    bench_open(&b, "5r3 10r3 15r4");
    struct call *c = start(&b, "wwo", 3, R, -1);
    c->waiter.owner_steps = true;
    check_ready(&b, c);
    ss_loop_step(&b.loop, &c->waiter);
    CHECK(!c->waiter.is_ready && c->waiter.status == SS_WANT);
    check_ready(&b, c);
    ss_loop_step(&b.loop, &c->waiter);
    CHECK(!c->waiter.is_ready && c->waiter.status == SS_OK);
    turn(&b, 0);
    /* The deadline passes before the owner has stepped it: that step is the last. */
    struct call *late = start(&b, "ww", 4, R, 20);
    late->waiter.owner_steps = true;
    check_ready(&b, late);
    turn(&b, 50);
    CHECK(late->waiter.status == SS_WANT && late->waiter.is_ready);
    ss_loop_step(&b.loop, &late->waiter);
    CHECK(late->waiter.status == SS_TIMEOUT);
    bench_close(&b);
}

/* Forgotten in every state: not begun, waiting in each way, ended, taken. */
static void test_dropped(void)
{
    struct bench b;
    bench_open(&b, "5r3 5r4 5r23");
    ss_loop_end(&b.loop, &start_standing(&b, 4)->waiter, SS_OK);
    turn(&b, 0);
    make_call(&b, "wo", 3, R);
    start(&b, "2o", 3, R, 50);
    start(&b, "go", 23, R, -1);
    start_standing(&b, 4);
    ss_loop_end(&b.loop, &start_standing(&b, 4)->waiter, SS_OK);
    for (int i = 0; i < b.ncalls; i++) {
        ss_loop_drop(&b.loop, &b.calls[i].waiter);
        ss_loop_drop(&b.loop, &b.calls[i].waiter);
        CHECK(b.calls[i].waiter.status == SS_OK);
    }
    CHECK(b.loop.timers.n == 0 && ss_loop_is_stuck(&b.loop, NULL));
    turn(&b, 100);
    check_log(&b, "dropped", "0a=ok 0c 0d");
    bench_close(&b);
}

/* For somebody else's loop */

/* Who waits for the loop's descriptor is told when something is to be done that no descriptor tells of. */
static void test_waking_who_watches_the_loop(void)
{
    struct bench b;
    struct ss_error err;
    int fd;
    bench_open(&b, "");
    struct call *standing[] = { start_standing(&b, -1), start_standing(&b, -1), start_standing(&b, -1) };
    ss_loop_end(&b.loop, &standing[0]->waiter, SS_OK);
    wait_turn(make_call(&b, "wo", 3, R), -1);
    CHECKF(polling.wakes == 0, "nobody watches");
    CHECK(ss_loop_fd(&b.loop, &fd, &err) == SS_OK && polling.wakes > 0); /* there is something already */
    turn(&b, 0);
    polling.wakes = 0;
    CHECK(ss_loop_fd(&b.loop, &fd, &err) == SS_OK && polling.wakes == 0);
    ss_loop_end(&b.loop, &standing[1]->waiter, SS_OK);
    CHECK(polling.wakes > 0);
    turn(&b, 0);
    polling.wakes = 0;
    wait_turn(standing[1], -1);
    CHECK(polling.wakes > 0);
    turn(&b, 0);
    polling.child = true; /* where nobody watches the old one */
    CHECK(ss_env_forked(&b.env));
    ss_loop_end(&b.loop, &standing[2]->waiter, SS_OK);
    bench_close(&b);
}

/* Nobody there any more */

static void leave(struct call *c)
{
    c->gone = true;
    c->waiter.op = NULL; /* whoever touches it is found out */
}

/* Whoever waited is gone and has not said so: its operation is not touched, and the waiter ends in one way or another. */
static void test_those_who_are_gone(void)
{
    struct bench b;
    bench_open(&b, "3r3");
    start(&b, "w", 3, R, -1);  /* reported */
    start(&b, "w", 4, R, 5);   /* its deadline comes */
    start(&b, "g", 5, R, -1);  /* it would go on without waiting */
    start(&b, "w", 23, R, -1); /* its socket is closed */
    start(&b, "w", 24, R, -1); /* it is ended from outside */
    hold(&b.calls[4]);         /* and still holds a socket that is closed as well */
    struct call *timed = make_call(&b, "w", 25, R);
    timed->after_ms = 7; /* its own time comes */
    begin(timed, -1);
    for (int i = 0; i < b.ncalls; i++)
        leave(&b.calls[i]);
    ss_sock_release(&b.socks[23], true);
    ss_loop_end(&b.loop, &b.calls[4].waiter, SS_CANCELLED);
    ss_sock_release(&b.socks[24], true);
    for (struct ss_error err; b.ended < b.ncalls && !ss_loop_is_stuck(&b.loop, NULL);) {
        CHECK(ss_loop_turn(&b.loop, -1, &err) == SS_OK);
        for (struct ss_waiter *w; (w = ss_loop_take(&b.loop)) != NULL; b.ended++)
            CHECK(w->status != SS_WANT && w->status != SS_OK);
    }
    CHECKF(b.ended == b.ncalls && fake.now_ns / 1000000 == 7, "%d of %d have ended", b.ended, b.ncalls);
    bench_close(&b);
}

/* Lines */

static void test_queues(void)
{
    struct bench b;
    struct ss_queue queue;
    bench_open(&b, "");
    ss_queue_init(&queue);
    for (int i = 0; i < 5; i++)
        ss_queue_add(&queue, &start_standing(&b, i == 3 ? 7 : -1)->waiter);
    CHECK(ss_queue_first(&queue) == &b.calls[0].waiter);
    ss_loop_end(&b.loop, &b.calls[2].waiter, SS_CANCELLED); /* from the middle */
    ss_loop_drop(&b.loop, &b.calls[4].waiter);              /* from the end */
    ss_loop_end(&b.loop, ss_queue_first(&queue), SS_OK);
    CHECK(ss_queue_first(&queue) == &b.calls[1].waiter);
    turn(&b, 0);
    turn(&b, 100); /* by its deadline */
    ss_queue_add(&queue, &start_standing(&b, -1)->waiter);
    ss_loop_drop(&b.loop, &b.calls[2].waiter); /* which has left already */
    CHECK(queue.next == &b.calls[1].waiter.link && queue.prev == &b.calls[5].waiter.link);
    CHECK(queue.next->next == queue.prev && queue.prev->prev == queue.next);
    ss_loop_end(&b.loop, ss_queue_first(&queue), SS_OK);
    ss_loop_end(&b.loop, ss_queue_first(&queue), SS_OK);
    CHECK(!ss_queue_first(&queue) && queue.prev == &queue);
    turn(&b, 0);
    check_log(&b, "lines", "0c=cancelled 0a=ok 7d=timeout 7b=ok 7f=ok");
    bench_close(&b);
}

/* Sockets that give their descriptor away */

static void check_status(const struct bench *b, int i, enum ss_status status)
{
    CHECKF(b->calls[i].waiter.status == status, "%c ended with %d", b->calls[i].name, b->calls[i].waiter.status);
}

/* Reader and writer are told so; who watches the descriptor without holding the socket, that it is none. */
static void check_leaving(bool closing, bool shared)
{
    struct bench b;
    bench_open(&b, "");
    hold(start(&b, "wo", 23, R, 50));
    hold(start(&b, "wo", 23, W, -1));
    start(&b, "2o", 23, R, 60); /* as select does */
    start(&b, "2o", 22, RW, -1);
    start(&b, "wo", 24, R, -1);
    b.socks[23].shared = shared;
    CHECK(ss_sock_release(&b.socks[23], closing) == 23);
    CHECK(!fake_poll_now()->fds[23].known && polling.forgets == 1 && polling.closings == (closing && !shared));
    CHECK(b.loop.watches.n == 1);
    turn(&b, 0);
    for (int i = 0; i < 4; i++) {
        check_status(&b, i, i < 2 ? SS_CLOSED : SS_ERROR);
        CHECK(i < 2 || b.calls[i].op.error.code == EBADF);
    }
    adopt(&b, 23); /* the next one with that number, and the one that was not concerned */
    fake_poll_plan("3r23 5r24");
    hold(start(&b, "wo", 23, R, -1));
    run(&b);
    check_status(&b, 4, SS_OK);
    check_status(&b, 5, SS_OK);
    bench_close(&b);
}

static void test_leaving(void)
{
    for (int shared = 0; shared < 2; shared++) {
        check_leaving(true, shared);
        check_leaving(false, shared);
    }
}

/* Whatever a call waits for at the time, it holds the socket. */
static void test_leaving_with_calls_that_do_not_watch_it(void)
{
    struct bench b;
    bench_open(&b, "");
    struct call *spent = start(&b, "gw", 23, R, 9);
    hold(spent);
    struct call *lookup = start(&b, "w", 3, R, 9); /* a send that looks a name up for a socket */
    lookup->fd = 23;
    lookup->events = W;
    hold(lookup);
    struct call *turning = make_call(&b, "o", 24, R);
    hold(turning);
    wait_turn(turning, -1);
    ss_sock_release(&b.socks[23], true);
    ss_sock_release(&b.socks[24], true);
    CHECK(!fake_poll_now()->fds[3].known && !ss_queue_first(&b.loop.watches.ready) && b.loop.watches.n == 0);
    turn(&b, 100);
    check_log(&b, "closed", "0a 0b 0a=closed 0b=closed 0c=closed");
    bench_close(&b);
}

static void test_leaving_without_anybody(void)
{
    struct bench b;
    bench_open(&b, "");
    ss_sock_release(adopt(&b, 60), true); /* before there is a poller */
    hold(start(&b, "w", 23, R, -1));
    ss_sock_release(adopt(&b, 61), true);
    ss_sock_release(&b.socks[62], true); /* it has no descriptor */
    CHECK(b.calls[0].waiter.status == SS_WANT);
    bench_close(&b);
}

/* What steps do to others */

static void close_23(struct call *c)
{
    ss_sock_release(&c->b->socks[23], true);
}

/* The call that closes its own socket ends as it says, the other one as closed. */
static void test_a_step_closes_its_socket(void)
{
    struct bench b;
    bench_open(&b, "5r23");
    struct call *reader = start(&b, "wf", 23, R, -1);
    reader->act = close_23;
    hold(reader);
    hold(start(&b, "wo", 23, W, -1));
    start(&b, "wo", 23, W, -1);
    run(&b);
    check_status(&b, 0, SS_OK);
    check_status(&b, 1, SS_CLOSED);
    check_status(&b, 2, SS_ERROR);
    CHECK(!fake_poll_now()->fds[23].known);
    bench_close(&b);
}

static void reopen_23(struct call *c)
{
    close_23(c);
    adopt(c->b, 23);
}

/* And one that opens it anew, by chance with the same number, waits for that. */
static void test_a_step_opens_its_socket_anew(void)
{
    struct bench b;
    bench_open(&b, "5r23 7r23");
    struct call *reader = start(&b, "wao", 23, R, -1);
    reader->act = reopen_23;
    hold(reader);
    run(&b);
    check_log(&b, "anew", "0a 5a 7a 7a=ok");
    bench_close(&b);
}

/* Both were reported, and the first one's step ends the second before its turn. */
static void check_ended_by_a_step(void (*act)(struct call *), const char *log)
{
    struct bench b;
    bench_open(&b, "5r22 5r23");
    start(&b, "wf", 22, R, -1)->act = act;
    hold(start(&b, "wo", 23, R, 50));
    start(&b, "wo", 3, R, 8);
    run(&b);
    check_log(&b, "by a step", log);
    bench_close(&b);
}

static void cancel_b(struct call *c)
{
    ss_loop_end(&c->b->loop, &c->b->calls[1].waiter, SS_CANCELLED);
}

static void drop_b(struct call *c)
{
    ss_loop_drop(&c->b->loop, &c->b->calls[1].waiter);
    detach_socket(&c->b->calls[1]);
    c->b->ended++;
}

static void cancel_itself(struct call *c)
{
    ss_loop_end(&c->b->loop, &c->waiter, SS_CANCELLED);
}

static void test_a_step_ends_another(void)
{
    check_ended_by_a_step(close_23, "0a 0b 0c 5a 5a=ok 5b=closed 8c=timeout");
    check_ended_by_a_step(cancel_b, "0a 0b 0c 5a 5a=ok 5b=cancelled 8c=timeout");
    check_ended_by_a_step(drop_b, "0a 0b 0c 5a 5a=ok 8c=timeout");
    check_ended_by_a_step(cancel_itself, "0a 0b 0c 5a 5a=cancelled 5b 5b=ok 8c=timeout");
}

static void start_another(struct call *c)
{
    start(c->b, "wo", 4, R, 30);
}

static void test_a_step_begins_another(void)
{
    struct bench b;
    bench_open(&b, "5r3 7r4");
    start(&b, "wf", 3, R, -1)->act = start_another;
    run(&b);
    check_log(&b, "begun by a step", "0a 5a 5b 5a=ok 7b 7b=ok");
    bench_close(&b);
}

/* Foreign descriptors */

static void test_foreign_ones_are_forgotten(void)
{
    struct bench b;
    bench_open(&b, "5r3 7r23 9r3");
    start(&b, "wo", 3, R, -1);
    start(&b, "wo", 23, R, -1);
    start(&b, "wo", 3, R, -1);
    CHECK(fake_poll_now()->fds[3].foreign && !fake_poll_now()->fds[23].foreign);
    ss_loop_end(&b.loop, &b.calls[0].waiter, SS_CANCELLED);
    CHECKF(fake_poll_now()->fds[3].known, "forgotten while somebody waits for it");
    run(&b);
    check_log(&b, "forgotten", "0a 0b 0c 0a=cancelled 5c 5c=ok 7b 7b=ok");
    CHECK(!fake_poll_now()->fds[3].known && fake_poll_now()->fds[23].known);
    CHECK(polling.forgets == 1 && polling.closings == 0);
    bench_close(&b);
}

/* It is closed by now, and another thread may have a descriptor of that number. */
static void test_one_that_its_operation_closes_is_not_touched(void)
{
    struct bench b;
    bench_open(&b, "5r3");
    struct call *c = make_call(&b, "wo", 3, R);
    c->op.closes = true;
    begin(c, -1);
    run(&b);
    check_log(&b, "closed", "0a 5a 5a=ok");
    CHECK(polling.forgets == 1 && polling.closings == 1);
    bench_close(&b);
}

/* The descriptor that has connected becomes the socket's while it is watched. */
static void adopt_it(struct call *c)
{
    struct ss_error err;
    CHECK(ss_sock_adopt(&c->b->socks[c->fd], c->fd, AF_INET, false, &err) == SS_OK);
}

static void test_a_foreign_one_becomes_ours(void)
{
    struct bench b;
    bench_open(&b, "5w3 7r3");
    start(&b, "wf", 3, W, -1)->act = adopt_it;
    run(&b);
    CHECK(polling.forgets == 0 && fake_poll_now()->fds[3].known);
    struct call *reader = &b.calls[b.ncalls];
    make_call(&b, "wo", 3, R)->op.io = &b.socks[3].io;
    begin(reader, -1);
    CHECK(!fake_poll_now()->fds[3].foreign);
    run(&b);
    check_log(&b, "adopted", "0a 5a 5a=ok 5b 7b 7b=ok");
    ss_sock_release(&b.socks[3], true);
    CHECK(!fake_poll_now()->fds[3].known && polling.closings == 1);
    bench_close(&b);
}

/* Errors */

static void check_failed_wait(struct bench *b, const struct call *c, int code)
{
    CHECKF(c->waiter.status == SS_ERROR && c->op.error.code == code, "ended with %d, error %d", c->waiter.status,
           c->op.error.code);
    turn(b, 0);
}

/* Those whose descriptor cannot be watched are told so at once. */
static void test_what_cannot_be_watched(void)
{
    for (int failing = 1; failing <= 3; failing++) {
        struct bench b;
        bench_open(&b, "5r3 6r23 7r24");
        polling.failing_watch = failing;
        polling.failure = EPERM;
        struct call *several = start(&b, "2o", 3, R, 50), *again = start(&b, "wwo", 23, R, 50);
        if (failing < 3)
            check_failed_wait(&b, several, EPERM);
        else
            check_failed_wait(&b, again, EPERM);
        start(&b, "wo", 24, R, 50);
        run(&b);
        check_status(&b, 2, SS_OK);
        bench_close(&b);
    }
}

static void test_what_cannot_be_watched_again(void)
{
    struct bench b;
    bench_open(&b, "5r23 6r24");
    polling.failing_watch = 3;
    polling.failure = ENOMEM;
    start(&b, "wwo", 23, R, 50);
    start(&b, "wo", 24, R, 50);
    run(&b);
    check_log(&b, "again", "0a 0b 5a 5a=ENOMEM 6b 6b=ok");
    bench_close(&b);
}

/* Who waits for a descriptor is told by poll(2) then, until there is one for a poller. */
static void test_no_poller(void)
{
    struct bench b;
    struct ss_error err = { SS_SYSTEM, 0 };
    int fd = -1;
    bench_open(&b, "5r3 6r3 7w23 7r24 9r4");
    CHECK(polling.opens == 0);
    polling.failure = EMFILE;
    polling.failing_open = -1;
    CHECK(ss_loop_fd(&b.loop, &fd, &err) == SS_ERROR && err.code == EMFILE && fd == -1);
    start(&b, "wwo", 3, R, -1);
    start(&b, "2o", 23, R | W, -1);
    start_standing(&b, 6);
    run(&b);
    check_log(&b, "no poller", "0a 0b 5a 6a 6a=ok 6c=timeout 7b 7b=ok");
    polling.failing_open = polling.opens = 0;
    start(&b, "wo", 4, R, -1);
    run(&b);
    polling.failing_tell = 1;
    CHECK(ss_loop_fd(&b.loop, &fd, &err) == SS_ERROR && err.code == EMFILE && fd == -1);
    CHECK(ss_loop_fd(&b.loop, &fd, &err) == SS_OK && fd >= 0 && fake_poll_now()->open);
    bench_close(&b);
}

/* More descriptors than the limit allows are too many for poll(2), and not for select(2). */
static void test_no_poller_and_too_many_for_poll(void)
{
    struct bench b;
    bench_open(&b, "5r3 7r24");
    polling.failing_open = -1;
    polling.failing_poll = 1;
    polling.failure = EINVAL;
    start(&b, "wo", 3, R, -1);
    start(&b, "wo", 24, R, -1);
    run(&b);
    check_log(&b, "by select", "0a 0b 5a 5a=ok 7b 7b=ok");
    bench_close(&b);
}

/* And where poll(2) fails as well, they are told why. */
static void test_neither_poller_nor_poll(void)
{
    struct bench b;
    bench_open(&b, "");
    polling.failing_open = polling.failing_poll = -1;
    polling.failure = EINVAL;
    struct call *one = start(&b, "wo", 3, R, -1), *other = start(&b, "2o", 23, R, 50);
    turn(&b, -1);
    CHECK(one->waiter.status == SS_ERROR && one->op.error.code == EINVAL);
    CHECK(other->waiter.status == SS_ERROR && other->op.error.code == EINVAL);
    bench_close(&b);
}

static void test_a_wait_that_fails(void)
{
    struct bench b;
    struct ss_error err = { SS_SYSTEM, 0 };
    bench_open(&b, "5r3");
    polling.failing_wait = 1;
    polling.failure = EIO;
    start(&b, "wo", 3, R, 50);
    CHECK(ss_loop_turn(&b.loop, -1, &err) == SS_ERROR && err.code == EIO);
    run(&b);
    check_log(&b, "after the error", "0a 5a 5a=ok");
    bench_close(&b);
}

/* Each request for memory fails once. Who can't wait for want of it is told so, the others do not notice. */
static size_t run_short_of_memory(size_t n)
{
    struct bench b;
    int failed = 0;
    bench_open(&b, "5r3 6r41 6r23 7r50");
    adopt(&b, 63);
    size_t before = b.heap.requests;
    b.heap.fail_from = n == 0 ? 0 : before + n;
    b.heap.fail_count = 1;
    adopt(&b, 23);
    start(&b, "2o", 3, R, 50);
    start(&b, "2o", 40, R, 60);
    start(&b, "wo", 23, R, -1);
    start(&b, "wo", 50, R, 9);
    wait_turn(make_call(&b, "o", 51, R), 70);
    start_standing(&b, 8);
    run(&b);
    CHECKF(b.ended == CALLS, "request %zu: %s", n, b.log);
    for (int i = 0; i < CALLS; i++) {
        enum ss_status expected = i == 5 ? SS_TIMEOUT : SS_OK;
        CHECK(b.calls[i].waiter.status == expected || b.calls[i].waiter.status == SS_ERROR);
        failed += b.calls[i].waiter.status == SS_ERROR && b.calls[i].op.error.code == ENOMEM;
    }
    CHECKF(failed == (n > 0), "request %zu: %d have failed: %s", n, failed, b.log);
    size_t requests = b.heap.requests - before;
    bench_close(&b);
    return requests;
}

static void test_no_memory(void)
{
    size_t requests = run_short_of_memory(0);
    CHECKF(requests > 3, "%zu requests", requests);
    for (size_t n = 1; n <= requests; n++)
        run_short_of_memory(n);
}

/* Child processes */

static void check_new_poller(const struct bench *b, int opens)
{
    CHECKF(polling.opens == opens && polling.closes == 0, "%d pollers were made, %d closed", polling.opens,
           polling.closes);
    CHECKF(polling.abandons == opens - 1, "%d were given up", polling.abandons);
    CHECK(b->loop.watches.poller == fake_poll_now());
}

/* A new poller with all that was watched in the old one, to which nothing is done but to abandon it (fake_poller.c). */
static void test_a_child_process(void)
{
    struct bench b;
    bench_open(&b, "5r23 6w4 7r3");
    hold(start(&b, "wo", 23, R, 50));
    start(&b, "2o", 3, W, 50);
    start(&b, "wo", 3, R, 50);
    start_standing(&b, 9);
    polling.child = true;
    run(&b);
    check_new_poller(&b, 2);
    check_log(&b, "in the child", "0a 0b 0c 5a 5a=ok 6b 6b=ok 7c 7c=ok 9d=timeout");
    bench_close(&b);
}

static void move_on(struct call *c)
{
    c->fd = 5;
}

/* What a call has opened for itself may be of use to the parent alone: it is stepped at once, and is not watched before. */
static void test_what_a_call_has_opened_in_a_child_process(void)
{
    struct bench b;
    bench_open(&b, "6r4 9r5");
    struct call *own = make_call(&b, "wao", 3, R);
    own->op.closes = true;
    own->act = move_on;
    begin(own, 50);
    start(&b, "wo", 4, R, 50);
    int watches = polling.watches;
    polling.child = true;
    run(&b);
    CHECKF(polling.watches == watches + 2, "%d are watched anew", polling.watches - watches);
    check_new_poller(&b, 2);
    check_log(&b, "in the child", "0a 0b 0a 6b 6b=ok 9a 9a=ok");
    bench_close(&b);
}

/* What is closed there first, is closed there only. */
static void test_a_child_process_closes_first(void)
{
    struct bench b;
    struct ss_error err;
    int fd = -1;
    bench_open(&b, "5r24");
    hold(start(&b, "wo", 23, R, 50));
    hold(start(&b, "wo", 24, R, 50));
    start(&b, "wo", 3, R, 50);
    CHECK(ss_loop_fd(&b.loop, &fd, &err) == SS_OK);
    int before = fd;
    polling.child = true;
    ss_sock_release(&b.socks[23], true);
    ss_loop_end(&b.loop, &b.calls[2].waiter, SS_CANCELLED);
    CHECK(ss_loop_fd(&b.loop, &fd, &err) == SS_OK && fd != before);
    run(&b);
    check_new_poller(&b, 2);
    check_log(&b, "in the child", "0a 0b 0c 0a=closed 0c=cancelled 5b 5b=ok");
    bench_close(&b);
}

static void test_a_grandchild(void)
{
    struct bench b;
    bench_open(&b, "5r23 6r24 7r3");
    start(&b, "wo", 23, R, 50);
    start(&b, "wo", 24, R, 50);
    start(&b, "wo", 3, R, 50);
    polling.child = true;
    turn(&b, -1);
    polling.child = true;
    run(&b);
    check_new_poller(&b, 3);
    check_log(&b, "in the grandchild", "0a 0b 0c 5a 5a=ok 6b 6b=ok 7c 7c=ok");
    bench_close(&b);
}

/* One that does nothing with it but to end. */
static void test_a_child_process_that_only_ends(void)
{
    struct bench b;
    struct ss_error err;
    int fd;
    bench_open(&b, "");
    CHECK(ss_loop_fd(&b.loop, &fd, &err) == SS_OK);
    polling.child = true;
    bench_close(&b);
    CHECKF(polling.closes == 0 && polling.abandons == 1, "%d closed", polling.closes);
}

/* Nor does it wake whoever waits for the parent's. */
static void test_a_child_process_wakes_nobody(void)
{
    struct bench b;
    struct ss_error err;
    int fd;
    bench_open(&b, "");
    struct call *standing = start_standing(&b, -1);
    CHECK(ss_loop_fd(&b.loop, &fd, &err) == SS_OK);
    polling.child = true;
    ss_loop_end(&b.loop, &standing->waiter, SS_OK);
    CHECKF(polling.wakes == 0, "%d wakes", polling.wakes);
    bench_close(&b);
}

static void test_no_poller_in_a_child_process(void)
{
    struct bench b;
    bench_open(&b, "5r23");
    start(&b, "wo", 23, R, 50);
    polling.child = true;
    polling.failing_open = 2;
    polling.failure = EMFILE;
    run(&b);
    CHECK(polling.opens == 2 && polling.polls == 1);
    check_log(&b, "in the child", "0a 5a 5a=ok");
    bench_close(&b);
}

/* One that can't be watched there (a foreign one may be closed by now) does not take the others along. */
static void check_one_unwatched_in_a_child(int failing, bool by_closing)
{
    struct bench b;
    struct ss_error err = { SS_SYSTEM, 0 };
    bench_open(&b, "5r21 5r22 5r23 5r3");
    for (int fd = 21; fd <= 23; fd++)
        start(&b, "wo", fd, R, 50);
    start(&b, "wo", 3, R, 50);
    hold(start(&b, "w", 24, R, -1));
    polling.child = true;
    polling.failing_watch = polling.watches + failing;
    polling.failure = EBADF;
    if (by_closing) /* which has nobody to tell of an error */
        ss_sock_release(&b.socks[24], true);
    for (int turns = 0; turns < 20 && b.ended < b.ncalls && fake.now_ns < fake_ms(60); turns++) {
        ss_loop_turn(&b.loop, fake_ms(1), &err);
        take_all(&b);
    }
    for (int i = 0; i < 4; i++)
        CHECKF(b.calls[i].waiter.status == SS_OK ||
                   (b.calls[i].waiter.status == SS_ERROR && b.calls[i].op.error.code == EBADF),
               "the one that fails is number %d, by %s: %s", failing, by_closing ? "closing" : "a turn", b.log);
    bench_close(&b);
}

static void test_one_that_cannot_be_watched_in_a_child_process(void)
{
    for (int failing = 1; failing <= 4; failing++) {
        check_one_unwatched_in_a_child(failing, false);
        check_one_unwatched_in_a_child(failing, true);
    }
}

/* Receives that are spared (core/io_fd.c) */

static enum ss_status receive(struct ss_sock *s, enum ss_mode how, size_t len)
{
    char buf[16];
    size_t got = 0;
    struct ss_error err;
    ss_io_set_mode(&s->io, how);
    return s->io.via->recv(&s->io, buf, len, false, &got, &err);
}

/* Whether the next receive in a task is spared: then it makes no call and wants to wait. */
static bool is_spared(struct ss_sock *s)
{
    int before = polling.recvs;
    enum ss_status st = receive(s, SS_NO_WAIT_EDGE, 1);
    CHECK(polling.recvs > before || st == SS_WANT);
    return polling.recvs == before;
}

static void test_what_spares_a_receive(void)
{
    static const struct {
        const char *title;
        size_t available, len;
        char end;
        bool recheck, spared;
        enum ss_mode how;
    } rows[] = {
        { "less than asked for", 5, 10, 'w', false, true, SS_NO_WAIT_EDGE },
        { "nothing", 0, 10, 'w', false, true, SS_NO_WAIT_EDGE },
        { "as much as asked for", 10, 10, 'w', false, false, SS_NO_WAIT_EDGE },
        { "end", 0, 10, 'e', false, false, SS_NO_WAIT_EDGE },
        { "error", 0, 10, 'x', false, false, SS_NO_WAIT_EDGE },
        { "less, recheck", 5, 10, 'w', true, false, SS_NO_WAIT_EDGE },
        { "nothing, recheck", 0, 10, 'w', true, false, SS_NO_WAIT_EDGE },
        { "less, outside of tasks", 5, 10, 'w', false, false, SS_NO_WAIT },
        { "nothing, outside of tasks", 0, 10, 'w', false, false, SS_NO_WAIT },
        { "less, in the kernel", 5, 10, 'w', false, false, SS_WAIT_ONCE },
        { "less, without end", 5, 10, 'w', false, false, SS_WAIT_ALWAYS },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench b;
        bench_open(&b, "");
        struct ss_sock *s = adopt(&b, 23);
        s->io.recheck = rows[i].recheck;
        polling.available = rows[i].available;
        polling.recv_end = rows[i].end;
        receive(s, rows[i].how, rows[i].len);
        bool spared = is_spared(s);
        CHECKF(spared == (rows[i].spared && os_poller_is_edged), "%s: %s", rows[i].title, spared ? "spared" : "made");
        bench_close(&b);
    }
}

/* Outside of tasks every receive is made: nobody would hear of what has come. */
static void test_none_is_spared_outside_of_tasks(void)
{
    static const enum ss_mode others[] = { SS_NO_WAIT, SS_WAIT_ONCE, SS_WAIT_ALWAYS };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct bench b;
        bench_open(&b, "");
        struct ss_sock *s = adopt(&b, 23);
        receive(s, SS_NO_WAIT_EDGE, 10);
        CHECK(is_spared(s) == os_poller_is_edged);
        int before = polling.recvs;
        polling.available = 1;
        CHECK(receive(s, others[i], 10) == SS_OK && polling.recvs == before + 1);
        bench_close(&b);
    }
}

static void receive_in_vain(struct call *c)
{
    receive(&c->b->socks[c->fd], SS_NO_WAIT_EDGE, 10);
}

/* Nobody tells of what comes to a descriptor that cannot be watched: it is tried again. */
static void test_none_is_spared_that_cannot_be_watched(void)
{
    for (int failing = 1; failing <= 2; failing++) {
        struct bench b;
        bench_open(&b, "5r23");
        adopt(&b, 23);
        polling.recv_end = 'w';
        polling.failing_watch = failing;
        polling.failure = ENOSPC;
        struct call *c = make_call(&b, failing == 1 ? "a" : "wa", 23, R);
        c->act = receive_in_vain;
        begin(c, 50);
        run(&b);
        CHECK(c->waiter.status == SS_ERROR && c->op.error.code == ENOSPC && polling.recvs == 1);
        CHECK(!is_spared(&b.socks[23]));
        bench_close(&b);
    }
}

/* A receive on a Unix socket may end before what is there does. */
static void test_none_is_spared_on_a_unix_socket(void)
{
    struct bench b;
    struct ss_error err;
    bench_open(&b, "");
    CHECK(ss_sock_adopt(&b.socks[23], 23, AF_UNIX, false, &err) == SS_OK);
    polling.available = 5;
    receive(&b.socks[23], SS_NO_WAIT_EDGE, 10);
    CHECK(!is_spared(&b.socks[23]) && !is_spared(&b.socks[23]));
    bench_close(&b);
}

/* A report ends that, whether somebody waits for it or not, until there is nothing any more; one that is recheck does for
 * good, that is as long as the socket has the descriptor. */
static void test_reports_and_spared_receives(void)
{
    struct bench b;
    bench_open(&b, "5W23 6R23 7u23 8R23");
    struct ss_sock *s = adopt(&b, 23);
    start(&b, "wo", 23, R, 4); /* so that the poller knows it */
    receive(s, SS_NO_WAIT_EDGE, 10);
    CHECK(is_spared(s) == os_poller_is_edged);
    run(&b);
    for (int ms = 5; ms <= 8; ms++) {
        fake_poll_now()->fds[23].armed = R;
        turn(&b, 1.2);
        CHECKF(!is_spared(s), "spared after the report at %d ms", ms);
        CHECKF(is_spared(s) == (os_poller_is_edged && ms < 7), "at %d ms", ms);
        polling.ready[23] = 0;
    }
    ss_sock_release(s, true);
    adopt(&b, 23);
    receive(s, SS_NO_WAIT_EDGE, 10);
    CHECK(is_spared(s) == os_poller_is_edged);
    ss_sock_release(s, false);
    adopt(&b, 23);
    CHECK(!is_spared(s));
    bench_close(&b);
}

/* What it is for: a call that needs three arrivals makes a receive for each, and the one that it began with. */
static void test_one_receive_for_each_arrival(void)
{
    struct bench b;
    bench_open(&b, "5d23 6d23 7d23");
    struct ss_sock *s = adopt(&b, 23);
    struct ss_read op = { .op = { .step = ss_readn_step, .io = &s->io }, .in = &s->in, .want = 12 };
    struct ss_waiter w;
    ss_waiter_init(&w, false);
    ss_io_set_mode(&s->io, SS_NO_WAIT_EDGE);
    CHECK(op.op.step(&op.op) == SS_WANT);
    ss_loop_wait(&b.loop, &w, &op.op, SS_NEVER);
    for (int arrival = 1; arrival <= 3; arrival++) {
        struct ss_error err;
        polling.ready[23] = 0; /* each report is for one */
        CHECK(ss_loop_turn(&b.loop, -1, &err) == SS_OK);
        CHECK(ss_loop_take(&b.loop) == (arrival == 3 ? &w : NULL));
    }
    CHECK(w.status == SS_OK && op.len == 12);
    CHECKF(polling.recvs == (os_poller_is_edged ? 4 : 6), "%d receives", polling.recvs);
    ss_loop_drop(&b.loop, &w);
    bench_close(&b);
}

int main(void)
{
    RUN(test_what_is_wanted);
    RUN(test_order);
    RUN(test_two_who_wait_for_the_same);
    RUN(test_deadlines);
    RUN(test_a_deadline_long_ago);
    RUN(test_a_wait_that_returns_late);
    RUN(test_a_wait_that_returns_early);
    RUN(test_times_of_operations);
    RUN(test_several_and_others);
    RUN(test_calls_used_up);
    RUN(test_beside_a_reader);
    RUN(test_floods);
    RUN(test_waiting_for_a_turn);
    RUN(test_a_turn_has_an_end);
    RUN(test_who_is_ended_meanwhile);
    RUN(test_how_long_a_turn_lasts);
    RUN(test_what_comes_next);
    RUN(test_stuck_but_for_one);
    RUN(test_standing);
    RUN(test_ended_from_outside);
    RUN(test_again);
    RUN(test_again_after_the_last_moment);
    RUN(test_taking_and_putting_back);
    RUN(test_stepped_by_the_owner);
    RUN(test_dropped);
    RUN(test_waking_who_watches_the_loop);
    RUN(test_those_who_are_gone);
    RUN(test_queues);
    RUN(test_leaving);
    RUN(test_leaving_with_calls_that_do_not_watch_it);
    RUN(test_leaving_without_anybody);
    RUN(test_a_step_closes_its_socket);
    RUN(test_a_step_opens_its_socket_anew);
    RUN(test_a_step_ends_another);
    RUN(test_a_step_begins_another);
    RUN(test_foreign_ones_are_forgotten);
    RUN(test_one_that_its_operation_closes_is_not_touched);
    RUN(test_a_foreign_one_becomes_ours);
    RUN(test_what_cannot_be_watched);
    RUN(test_what_cannot_be_watched_again);
    RUN(test_no_poller);
    RUN(test_no_poller_and_too_many_for_poll);
    RUN(test_neither_poller_nor_poll);
    RUN(test_a_wait_that_fails);
    RUN(test_no_memory);
    RUN(test_a_child_process);
    RUN(test_what_a_call_has_opened_in_a_child_process);
    RUN(test_a_child_process_closes_first);
    RUN(test_a_grandchild);
    RUN(test_a_child_process_that_only_ends);
    RUN(test_a_child_process_wakes_nobody);
    RUN(test_no_poller_in_a_child_process);
    RUN(test_one_that_cannot_be_watched_in_a_child_process);
    RUN(test_what_spares_a_receive);
    RUN(test_none_is_spared_outside_of_tasks);
    RUN(test_none_is_spared_that_cannot_be_watched);
    RUN(test_none_is_spared_on_a_unix_socket);
    RUN(test_reports_and_spared_receives);
    RUN(test_one_receive_for_each_arrival);
    return check_end();
}
