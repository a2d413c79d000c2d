/* The blocking driver with an operation that does as a script says: which turns it gets, on what it is waited for, and that
 * the deadline holds. */
#include "check.h"
#include "os/os_net.h"
#include "pair.h"
#include "run/block.h"
#include "run/deadline.h"
#include "run/wait.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h> /* struct timeval */
#include <unistd.h>

enum {
    STEPS = 32,
    LONG_MS = 1000000000 /* what the kernel gets where there is no deadline */
};

/* How much later than its deadline a wait may end before we say that it does not know about it. */
static const double LATE_MS = 400;

static int64_t ns(double ms)
{
    return (int64_t)(ms * 1e6);
}

/* A wait that fails, when it is told to. */
static int wait_failure;

__typeof__(ss_wait_any) __real_ss_wait_any, __wrap_ss_wait_any;
enum ss_status __wrap_ss_wait_any(struct pollfd *set, size_t n, struct pollfd *spare, int64_t timeout_ns,
                                  struct ss_error *err)
{
    if (wait_failure == 0)
        return __real_ss_wait_any(set, n, spare, timeout_ns, err);
    *err = (struct ss_error){ SS_SYSTEM, wait_failure };
    return SS_ERROR;
}

/* An operation that keeps a log of its steps: a letter for the turn, "!" when it is told that its time has come. */
struct fake {
    struct ss_op op;
    const char *script; /* what the steps say: w(ant), g(reedy: want, after as many calls as it may make), o(k), e(nd),
                         * x (error); the last one again and again */
    int events;         /* what it wants */
    uint16_t after_ms;
    char log[2 * STEPS + 1];
    unsigned steps, calls;
    int32_t kernel_timeout_ms; /* as it was in the latest step */
};

static enum ss_status fake_result(struct fake *fake)
{
    char result = *fake->script;
    if (fake->script[1] != '\0')
        fake->script++;
    switch (result) {
    case 'o':
        return SS_OK;
    case 'e':
        return SS_EOF;
    case 'x':
        fake->op.error = (struct ss_error){ SS_SYSTEM, ECONNRESET };
        return SS_ERROR;
    default:
        fake->op.after_ms = fake->after_ms;
        return ss_op_want(&fake->op, fake->events);
    }
}

/* As the caller does: after each wait it may run a hook, and then goes on. */
static enum ss_status run_to_end(struct ss_op *op, struct ss_sock *s, int64_t timeout_ns)
{
    enum ss_status st;
    do
        st = ss_block_run(op, s, timeout_ns);
    while (st == SS_WANT);
    return st;
}

static void note(struct fake *fake, char c)
{
    fake->log[strlen(fake->log)] = c;
}

static enum ss_status fake_step(struct ss_op *op)
{
    struct fake *fake = (struct fake *)op;
    enum ss_mode turn = ss_io_take_mode(op->io);
    if (fake->steps++ < STEPS) {
        note(fake, "HOFT"[turn]);
        if (op->due)
            note(fake, '!');
    }
    fake->kernel_timeout_ms = op->io->kernel_timeout_ms;
    for (; *fake->script == 'g' && turn != SS_NO_CALL; turn = ss_io_take_mode(op->io))
        fake->calls++;
    return fake_result(fake);
}

/* Memory has something, which may not be enough. */
static void give_input(struct ss_sock *s)
{
    struct ss_error err;
    CHECK(ss_inbuf_borrow(&s->in, 1, &err) == SS_OK);
    s->in.block->end = 1;
}

static struct fake make_fake(struct pair *pair, enum ss_kernel_timeout kernel_timeout, const char *script)
{
    struct fake fake = { .script = script, .events = SS_READABLE };
    give_input(&pair->sock);
    fake.op = (struct ss_op){ .step = fake_step, .io = &pair->sock.io, .kernel_timeout = (uint8_t)kernel_timeout };
    return fake;
}

static void check_time(double begin, double least_ms)
{
    double took = now_ms() - begin;
    CHECKF(took >= least_ms && took < least_ms + LATE_MS, "took %.2f ms, not %.0f", took, least_ms);
}

/* Turns */

struct row {
    const char *name;
    enum ss_kernel_timeout kernel_timeout;
    double timeout_ms;
    const char *script;
    enum ss_status status;
    const char *log;
    bool silent;           /* nothing to read: there is a wait */
    int32_t kernel_before; /* what the kernel's timeout is known to be */
};

static void check_row(const struct row *row)
{
    struct pair pair;
    pair_open(&pair);
    if (!row->silent && write(pair.other, "x", 1) != 1)
        CHECK(false);
    pair.sock.kernel_ms[0] = pair.sock.kernel_ms[1] = row->kernel_before;
    struct fake fake = make_fake(&pair, row->kernel_timeout, row->script);
    double begin = now_ms();
    enum ss_status st = run_to_end(&fake.op, &pair.sock, ns(row->timeout_ms));
    CHECKF(st == row->status, "%s: status %d", row->name, st);
    CHECKF(strcmp(fake.log, row->log) == 0, "%s: %s, not %s", row->name, fake.log, row->log);
    check_time(begin, row->silent ? row->timeout_ms : 0);
    pair_close(&pair);
}

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_row(&rows[i]);
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

/* Timeout 0: one try. */
static void test_no_time(void)
{
    static const struct row rows[] = {
        { "done", SS_BY_RCVTIMEO, 0, "o", SS_OK, "T", false, 0 },
        { "end", SS_BY_RCVTIMEO, 0, "e", SS_EOF, "T", false, 0 },
        { "error", SS_BY_SNDTIMEO, 0, "x", SS_ERROR, "T", false, 0 },
        { "not done", SS_BY_RCVTIMEO, 0, "wo", SS_TIMEOUT, "T", false, 0 },
        { "not done, by poll", SS_BY_NONE, 0, "wo", SS_TIMEOUT, "T", false, 0 },
        { "not done, by its own", SS_BY_OP_SNDTIMEO, 0, "wo", SS_TIMEOUT, "T", false, 0 },
    };
    CHECK_ROWS(rows);
}

/* Too short for the kernel's timeouts: memory, one try, then poll. The last try comes when the time is over. */
static void test_a_short_time(void)
{
    static const struct row rows[] = {
        { "from memory", SS_BY_RCVTIMEO, 95, "o", SS_OK, "H", false, 0 },
        { "error from memory", SS_BY_RCVTIMEO, 95, "x", SS_ERROR, "H", false, 0 },
        { "at once", SS_BY_RCVTIMEO, 95, "wo", SS_OK, "HT", false, 0 },
        { "end at once", SS_BY_RCVTIMEO, 95, "we", SS_EOF, "HT", false, 0 },
        { "after a wait", SS_BY_RCVTIMEO, 95, "wwo", SS_OK, "HTT", false, 0 },
        { "after two", SS_BY_RCVTIMEO, 95, "wwwo", SS_OK, "HTTT", false, 0 },
        { "error after a wait", SS_BY_SNDTIMEO, 95, "wwx", SS_ERROR, "HTT", false, 0 },
        { "never", SS_BY_RCVTIMEO, 40, "w", SS_TIMEOUT, "HTT", true, 0 },
        { "never, its own time being longer", SS_BY_RCVTIMEO, 40, "w", SS_TIMEOUT, "HTT", true, 1000 },
        { "in the last moment", SS_BY_RCVTIMEO, 30, "wwo", SS_OK, "HTT", true, 0 },
        { "by poll", SS_BY_NONE, 95, "wwo", SS_OK, "HTT", false, 0 },
        { "by its own", SS_BY_OP_SNDTIMEO, 95, "wo", SS_OK, "TT", false, 0 },
        { "by its own, never", SS_BY_OP_SNDTIMEO, 30, "w", SS_TIMEOUT, "TT", true, 0 },
    };
    CHECK_ROWS(rows);
}

/* Long enough: a call waits in the kernel, once, and what is left is waited for with poll. */
static void test_a_long_time(void)
{
    static const struct row rows[] = {
        { "from memory", SS_BY_RCVTIMEO, 1000, "o", SS_OK, "H", false, 0 },
        { "at once", SS_BY_RCVTIMEO, 1000, "wo", SS_OK, "HT", false, 0 },
        { "in the kernel", SS_BY_RCVTIMEO, 1000, "wwo", SS_OK, "HTO", false, 0 },
        { "in the kernel, sending to a Unix socket", SS_BY_SNDTIMEO, 1000, "wwo", SS_OK, "HTT", false, 0 },
        { "after a wait", SS_BY_RCVTIMEO, 1000, "wwwo", SS_OK, "HTOT", false, 0 },
        { "kernel's timeout unknown", SS_BY_RCVTIMEO, 1000, "wwo", SS_OK, "HTO", false, -1 },
        { "kernel's timeout another", SS_BY_RCVTIMEO, 1000, "wwo", SS_OK, "HTO", false, 5 },
        { "never", SS_BY_RCVTIMEO, 120, "w", SS_TIMEOUT, "HTOT", true, 0 },
        { "by poll", SS_BY_NONE, 1000, "wwo", SS_OK, "HTT", false, 0 },
        { "by its own", SS_BY_OP_SNDTIMEO, 1000, "o", SS_OK, "O", false, 0 },
        { "by its own, after a wait", SS_BY_OP_SNDTIMEO, 1000, "wo", SS_OK, "OT", false, 0 },
    };
    if (os_kernel_bounds_calls)
        CHECK_ROWS(rows);
}

/* No deadline: no look at the clock, all calls may wait once the kernel has a timeout with which signals end its waits. */
static void test_endless_time(void)
{
    static const struct row rows[] = {
        { "at once", SS_BY_RCVTIMEO, -1, "o", SS_OK, "F", false, LONG_MS },
        { "sending", SS_BY_SNDTIMEO, -1, "o", SS_OK, "F", false, LONG_MS },
        { "error", SS_BY_RCVTIMEO, -1, "x", SS_ERROR, "F", false, LONG_MS },
        { "interrupted", SS_BY_RCVTIMEO, -1, "wo", SS_OK, "FT", false, LONG_MS },
        { "interrupted twice", SS_BY_RCVTIMEO, -1, "wwo", SS_OK, "FTT", false, LONG_MS },
        { "all calls used up", SS_BY_RCVTIMEO, -1, "ggo", SS_OK, "FFF", false, LONG_MS },
        { "the kernel has no timeout", SS_BY_RCVTIMEO, -1, "wo", SS_OK, "TF", false, 0 },
        { "kernel's timeout unknown", SS_BY_RCVTIMEO, -1, "wo", SS_OK, "TF", false, -1 },
        { "kernel's timeout another", SS_BY_RCVTIMEO, -1, "wo", SS_OK, "TF", false, 5 },
        { "and not needed", SS_BY_RCVTIMEO, -1, "o", SS_OK, "T", false, 5 },
        { "any negative time", SS_BY_RCVTIMEO, -77, "o", SS_OK, "F", false, LONG_MS },
        { "by poll", SS_BY_NONE, -1, "wwo", SS_OK, "TTT", false, 0 },
        { "by its own", SS_BY_OP_SNDTIMEO, -1, "o", SS_OK, "F", false, 0 },
    };
    if (os_kernel_bounds_calls)
        CHECK_ROWS(rows);
}

static void test_times_at_the_edge(void)
{
    struct pair pair;
    pair_open(&pair);
    struct fake fake = make_fake(&pair, SS_BY_RCVTIMEO, "w");
    CHECK(run_to_end(&fake.op, &pair.sock, 1) == SS_TIMEOUT);
    CHECK(write(pair.other, "x", 1) == 1);
    fake = make_fake(&pair, SS_BY_RCVTIMEO, "wwwo");
    CHECK(run_to_end(&fake.op, &pair.sock, INT64_MAX) == SS_OK);
    pair_close(&pair);
}

/* The permission to wait */

static void test_once_is_once(void)
{
    struct ss_io io;
    ss_io_set_mode(&io, SS_WAIT_ONCE);
    CHECK(ss_io_take_mode(&io) == SS_WAIT_ONCE && ss_io_take_mode(&io) == SS_NO_WAIT &&
          ss_io_take_mode(&io) == SS_NO_WAIT);
    for (int round = 0; round < 1000; round++) {
        ss_io_set_mode(&io, SS_WAIT_ALWAYS);
        CHECK(ss_io_take_mode(&io) == SS_WAIT_ALWAYS && ss_io_take_mode(&io) == SS_WAIT_ALWAYS);
        ss_io_stop_waits(&io);
        CHECK(ss_io_take_mode(&io) == SS_NO_WAIT);
        ss_io_set_mode(&io, SS_NO_CALL);
        CHECK(ss_io_take_mode(&io) == SS_NO_CALL && ss_io_take_mode(&io) == SS_NO_CALL);
    }
}

/* Calls of a step are counted, also of one whose first call may wait; when they are used up, that is no reason to wait. */
static void test_calls_are_counted(void)
{
    static const enum ss_mode turns[] = { SS_NO_WAIT, SS_WAIT_ALWAYS, SS_WAIT_ONCE };
    struct ss_io io;
    for (int i = 0; i < 3; i++) {
        enum ss_mode later = turns[i] == SS_WAIT_ALWAYS ? SS_WAIT_ALWAYS : SS_NO_WAIT;
        ss_io_set_mode(&io, turns[i]);
        CHECK(ss_io_take_mode(&io) == turns[i]);
        for (int calls = turns[i] == SS_WAIT_ONCE ? 0 : 1; calls < SS_CALLS_PER_STEP; calls++)
            CHECK(!ss_io_is_spent(&io) && ss_io_take_mode(&io) == later);
        for (int more = 0; more < 600; more++)
            CHECK(ss_io_is_spent(&io) && ss_io_take_mode(&io) == SS_NO_CALL);
    }
    ss_io_set_mode(&io, SS_NO_CALL);
    CHECK(!ss_io_is_spent(&io));
}

/* A peer that sends as fast as we take: with no time there is an end to it, and the deadline holds. */
static void test_a_flood(void)
{
    struct pair pair;
    pair_open(&pair);
    struct fake fake = make_fake(&pair, SS_BY_NONE, "g");
    CHECK(run_to_end(&fake.op, &pair.sock, 0) == SS_TIMEOUT);
    CHECKF(fake.calls > SS_CALLS_PER_STEP && fake.calls < 10000, "%u calls", fake.calls);
    fake = make_fake(&pair, SS_BY_NONE, "ggggo");
    CHECK(run_to_end(&fake.op, &pair.sock, 0) == SS_OK && fake.steps == 5);
    double begin = now_ms();
    fake = make_fake(&pair, SS_BY_NONE, "g");
    CHECK(run_to_end(&fake.op, &pair.sock, ns(30)) == SS_TIMEOUT);
    check_time(begin, 30);
    CHECK(fake.steps > 10);
    fake = make_fake(&pair, SS_BY_NONE, "ggggo"); /* there is nothing to read: a wait would last */
    begin = now_ms();
    CHECK(run_to_end(&fake.op, &pair.sock, ns(2000)) == SS_OK);
    check_time(begin, 0);
    pair_close(&pair);
}

/* OPT_SPIN: tries for a while before it sleeps, and again after each wait. */
static void test_spinning(void)
{
    struct pair pair;
    pair_open(&pair);
    pair.sock.spin_us = SS_SPIN_MAX_US;
    for (double timeout_ms = 20; timeout_ms < 130; timeout_ms += 100) {
        struct fake fake = make_fake(&pair, SS_BY_RCVTIMEO, "w");
        double begin = now_ms();
        CHECK(run_to_end(&fake.op, &pair.sock, ns(timeout_ms)) == SS_TIMEOUT);
        check_time(begin, timeout_ms);
        CHECKF(fake.steps > 6, "%u steps", fake.steps);
    }
    struct fake fake = make_fake(&pair, SS_BY_RCVTIMEO, "w");
    CHECK(run_to_end(&fake.op, &pair.sock, 0) == SS_TIMEOUT && fake.steps == 1);
    fake = make_fake(&pair, SS_BY_RCVTIMEO, "wo");
    CHECK(run_to_end(&fake.op, &pair.sock, ns(1000)) == SS_OK && strcmp(fake.log, "HT") == 0);
    pair.sock.kernel_ms[0] = 0; /* a wait in the kernel could be had at once */
    fake = make_fake(&pair, SS_BY_RCVTIMEO, "o");
    CHECK(run_to_end(&fake.op, &pair.sock, -1) == SS_OK && strcmp(fake.log, "T") == 0);
    pair_close(&pair);
}

/* Bytes count as well as calls: a receive may take very many. */
static void test_large_calls_count_as_many(void)
{
    struct ss_io io = { .fd = -1 };
    ss_io_set_mode(&io, SS_NO_WAIT);
    ss_io_count_bytes(&io, 1000000);
    CHECK(io.calls_left == SS_CALLS_PER_STEP);
    ss_io_count_bytes(&io, 3 << 20);
    CHECK(io.calls_left == SS_CALLS_PER_STEP - 3);
    ss_io_count_bytes(&io, (size_t)100 << 20);
    CHECK(ss_io_is_spent(&io) && ss_io_take_mode(&io) == SS_NO_CALL);
}

static void check_first_steps(bool input, double timeout_ms, const char *script, const char *log)
{
    struct pair pair;
    pair_open(&pair);
    CHECK(write(pair.other, "x", 1) == 1);
    struct fake fake = make_fake(&pair, SS_BY_RCVTIMEO, script);
    pair.sock.kernel_ms[0] = timeout_ms < 0 ? LONG_MS : 0;
    if (!input)
        ss_inbuf_clear(&pair.sock.in);
    CHECK(run_to_end(&fake.op, &pair.sock, ns(timeout_ms)) == SS_OK);
    CHECKF(strcmp(fake.log, log) == 0, "%s with %.0f ms: %s, not %s", script, timeout_ms, fake.log, log);
    pair_close(&pair);
}

/* Memory is not asked when it has nothing. */
static void test_before_the_clock(void)
{
    check_first_steps(false, 95, "wo", "TT");
    check_first_steps(true, 95, "wo", "HT");
    check_first_steps(true, 95, "o", "H");
    check_first_steps(false, -1, "o", "F");
}

/* What was tried in vain just now is not tried again where there is no time. */
static void test_tried_before(void)
{
    struct pair pair;
    pair_open(&pair);
    struct fake fake = make_fake(&pair, SS_BY_SNDTIMEO, "oo");
    fake.op.tried = true;
    CHECK(run_to_end(&fake.op, &pair.sock, 0) == SS_TIMEOUT);
    CHECKF(strcmp(fake.log, "") == 0, "%s", fake.log);
    fake.op.tried = false;
    CHECK(run_to_end(&fake.op, &pair.sock, 0) == SS_OK);
    pair_close(&pair);
}

/* What the kernel really has, in milliseconds. */
static int64_t kernel_timeout(int fd, int option)
{
    struct timeval tv = { .tv_sec = -1 };
    socklen_t len = sizeof tv;
    CHECK(getsockopt(fd, SOL_SOCKET, option, &tv, &len) == 0);
    return (int64_t)tv.tv_sec * 1000 + (int64_t)tv.tv_usec / 1000;
}

/* The kernel rounds up to its ticks. */
static void check_kernel(const struct pair *pair, int which, int32_t expected)
{
    int64_t is = kernel_timeout(pair->sock.io.fd, which == 0 ? SO_RCVTIMEO : SO_SNDTIMEO);
    CHECKF(pair->sock.kernel_ms[which] == expected, "noted %d", (int)pair->sock.kernel_ms[which]);
    CHECKF(is >= expected && is <= expected + 20, "is %d, noted %d", (int)is, (int)expected);
}

static void run_fake(struct pair *pair, enum ss_kernel_timeout kernel_timeout, const char *script, double timeout_ms,
                     const char *log)
{
    struct fake fake = make_fake(pair, kernel_timeout, script);
    CHECK(run_to_end(&fake.op, &pair->sock, ns(timeout_ms)) == SS_OK);
    CHECKF(strcmp(fake.log, log) == 0, "%s with %.0f ms: %s, not %s", script, timeout_ms, fake.log, log);
    bool endless = timeout_ms < 0 && !pair->sock.shared;
    CHECKF(endless ? fake.kernel_timeout_ms == LONG_MS : timeout_ms < 0 || fake.kernel_timeout_ms < timeout_ms,
           "the kernel is given %d", (int)fake.kernel_timeout_ms);
}

/* It is set when it has to be another one, and then the usual call is one. It ends before the deadline, being late. */
static void test_the_kernel_is_told_once(void)
{
    struct pair pair;
    if (!os_kernel_bounds_calls)
        return;
    pair_open(&pair);
    CHECK(write(pair.other, "x", 1) == 1); /* a wait that should not be ends at once */
    run_fake(&pair, SS_BY_RCVTIMEO, "wwo", 1000, "HTO");
    int32_t share = pair.sock.kernel_ms[0];
    CHECKF(share > 500 && share < 1000, "the kernel is given %d", (int)share);
    check_kernel(&pair, 0, share);
    check_kernel(&pair, 1, 0);
    run_fake(&pair, SS_BY_RCVTIMEO, "wo", 1000, "HO");
    pair.sock.family = AF_INET; /* those of a Unix socket do not bound a whole write */
    run_fake(&pair, SS_BY_SNDTIMEO, "wwo", 2000, "HTO");
    pair.sock.family = AF_UNIX;
    CHECK(pair.sock.kernel_ms[1] > 1000 && pair.sock.kernel_ms[1] < 2000);
    check_kernel(&pair, 1, pair.sock.kernel_ms[1]);
    check_kernel(&pair, 0, share);
    run_fake(&pair, SS_BY_RCVTIMEO, "wo", -1, "TF");
    check_kernel(&pair, 0, LONG_MS);
    run_fake(&pair, SS_BY_RCVTIMEO, "o", -1, "F");
    pair_close(&pair);
}

/* Who else has the descriptor may tell the kernel another time. */
static void test_a_shared_descriptor(void)
{
    struct pair pair;
    pair_open(&pair);
    CHECK(write(pair.other, "x", 1) == 1);
    pair.sock.shared = true;
    run_fake(&pair, SS_BY_RCVTIMEO, "wwo", 1000, "HTT");
    run_fake(&pair, SS_BY_RCVTIMEO, "wo", -1, "TT");
    check_kernel(&pair, 0, 0);
    pair_close(&pair);
}

/* An operation that makes its own descriptors sets them itself. */
static void test_an_operation_with_its_own_descriptors(void)
{
    struct pair pair;
    pair_open(&pair);
    struct fake fake = make_fake(&pair, SS_BY_OP_SNDTIMEO, "o");
    CHECK(run_to_end(&fake.op, &pair.sock, ns(1000)) == SS_OK);
    CHECK(fake.kernel_timeout_ms > 500 && fake.kernel_timeout_ms < 1000);
    check_kernel(&pair, 0, 0);
    check_kernel(&pair, 1, 0);
    pair_close(&pair);
}

/* Nor does it need a socket: a mere look-up has none. */
static void test_an_operation_without_a_socket(void)
{
    struct pair pair;
    pair_open(&pair);
    struct ss_io io = { .fd = -1 };
    static const struct row rows[] = {
        { "endless", SS_BY_OP_SNDTIMEO, -1, "o", SS_OK, "F", false, 0 },
        { "long", SS_BY_OP_SNDTIMEO, 1000, "o", SS_OK, "O", false, 0 },
        { "short", SS_BY_OP_SNDTIMEO, 40, "o", SS_OK, "T", false, 0 },
        { "none", SS_BY_NONE, 0, "o", SS_OK, "T", false, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake fake = make_fake(&pair, rows[i].kernel_timeout, rows[i].script);
        fake.op.io = &io;
        CHECK(run_to_end(&fake.op, NULL, ns(rows[i].timeout_ms)) == SS_OK);
        CHECKF(strcmp(fake.log, rows[i].log) == 0, "%s: %s, not %s", rows[i].name, fake.log, rows[i].log);
    }
    pair_close(&pair);
}

/* No kernel timeout on a descriptor that has none: poll does it. */
static void test_a_descriptor_without_kernel_timeouts(void)
{
    int fds[2];
    struct pair pair;
    struct ss_error err;
    pair_open(&pair);
    CHECK(pipe(fds) == 0 && write(fds[1], "x", 1) == 1);
    ss_sock_close(&pair.sock, &err);
    CHECK(ss_sock_adopt(&pair.sock, fds[0], AF_UNIX, false, &err) == SS_OK);
    struct fake fake = make_fake(&pair, SS_BY_RCVTIMEO, "wwo");
    CHECK(run_to_end(&fake.op, &pair.sock, ns(1000)) == SS_OK);
    CHECKF(strcmp(fake.log, "HTT") == 0, "%s", fake.log);
    CHECK(pair.sock.kernel_ms[0] == 0);
    close(fds[1]);
    pair_close(&pair);
}

/* Waiting */

static void write_late(int fd)
{
    wait_ms(30);
    if (write(fd, "x", 1) != 1)
        _exit(1);
}

static void read_late(int fd)
{
    char buf[65536];
    wait_ms(30);
    while (read(fd, buf, sizeof buf) > 0)
        ;
}

static void fill_up(int fd)
{
    char buf[65536] = { 0 };
    while (send(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
        ;
}

/* The wait ends when what is wanted is there, and not before. */
static void check_wake(int events, bool full, void (*act)(int), double timeout_ms, const char *log)
{
    struct pair pair;
    pair_open(&pair);
    if (full)
        fill_up(pair.sock.io.fd);
    struct fake fake = make_fake(&pair, SS_BY_NONE, timeout_ms < 0 ? "wo" : "wwo");
    fake.events = events;
    double begin = now_ms();
    pid_t pid = child_start(act, pair.other);
    CHECK(run_to_end(&fake.op, &pair.sock, ns(timeout_ms)) == SS_OK);
    CHECKF(strcmp(fake.log, log) == 0, "%s, not %s", fake.log, log);
    CHECKF(now_ms() - begin > 25, "no wait: %.1f ms", now_ms() - begin);
    child_stop(pid);
    pair_close(&pair);
}

static void test_waiting_for_bytes(void)
{
    check_wake(SS_READABLE, false, write_late, 10000, "HTT");
    check_wake(SS_READABLE, false, write_late, -1, "TT");
}

static void test_waiting_for_room(void)
{
    check_wake(SS_WRITABLE, true, read_late, 10000, "HTT");
    check_wake(SS_WRITABLE, true, read_late, -1, "TT");
}

/* Writable and not readable, then the other way round: it is what is wanted that counts. */
static void test_only_what_is_wanted_counts(void)
{
    struct pair pair;
    pair_open(&pair);
    struct fake fake = make_fake(&pair, SS_BY_RCVTIMEO, "w");
    double begin = now_ms();
    CHECK(run_to_end(&fake.op, &pair.sock, ns(20)) == SS_TIMEOUT && fake.steps == 3);
    check_time(begin, 20);
    fill_up(pair.sock.io.fd);
    CHECK(write(pair.other, "x", 1) == 1);
    fake = make_fake(&pair, SS_BY_SNDTIMEO, "w");
    fake.events = SS_WRITABLE;
    begin = now_ms();
    CHECK(run_to_end(&fake.op, &pair.sock, ns(20)) == SS_TIMEOUT && fake.steps == 3);
    check_time(begin, 20);
    fake = make_fake(&pair, SS_BY_RCVTIMEO, "wwo");
    fake.events = SS_READABLE | SS_WRITABLE;
    begin = now_ms();
    CHECK(run_to_end(&fake.op, &pair.sock, ns(90)) == SS_OK);
    CHECK(now_ms() - begin < 80);
    pair_close(&pair);
}

/* The other side's end is something to read. */
static void test_a_hang_up_ends_the_wait(void)
{
    struct pair pair;
    pair_open(&pair);
    close(pair.other);
    pair.other = -1;
    struct fake fake = make_fake(&pair, SS_BY_NONE, "wo");
    CHECK(run_to_end(&fake.op, &pair.sock, -1) == SS_OK);
    pair_close(&pair);
}

/* Several descriptors, some of them not to be waited for. */
static void check_several(unsigned ready, unsigned n)
{
    struct ss_interest wants[40];
    struct pair pair, mute;
    pair_open(&pair);
    pair_open(&mute);
    CHECK(write(pair.other, "x", 1) == 1);
    for (unsigned i = 0; i < n; i++)
        wants[i] = (struct ss_interest){ .fd = i % 2 ? -1 : mute.sock.io.fd, .events = SS_READABLE };
    wants[ready] = (struct ss_interest){ .fd = pair.sock.io.fd, .events = SS_READABLE };
    struct fake fake = make_fake(&mute, SS_BY_NONE, "wo");
    fake.op.wants = wants;
    fake.op.nwants = (uint8_t)n;
    CHECK(run_to_end(&fake.op, &mute.sock, -1) == SS_OK);
    pair_close(&mute);
    pair_close(&pair);
}

static void test_waiting_for_several(void)
{
    check_several(0, 1);
    check_several(0, 3);
    check_several(2, 3);
    check_several(15, 16);
    check_several(19, 20);
    check_several(3, 40); /* more than it waits for at a time */
}

/* Timers of the operation's own */

static void check_timer(double timeout_ms, enum ss_kernel_timeout kernel_timeout, int events, const char *script,
                        const char *log, double least_ms)
{
    struct pair pair;
    pair_open(&pair);
    if (events == 0) { /* a hang-up that nobody asks for */
        close(pair.other);
        pair.other = -1;
    }
    struct fake fake = make_fake(&pair, kernel_timeout, script);
    fake.after_ms = 10;
    fake.events = events;
    double begin = now_ms();
    CHECK(run_to_end(&fake.op, &pair.sock, ns(timeout_ms)) == SS_OK);
    CHECKF(strcmp(fake.log, log) == 0, "%s with %.0f ms: %s, not %s", script, timeout_ms, fake.log, log);
    check_time(begin, least_ms);
    pair_close(&pair);
}

static void test_steps_after_a_time(void)
{
    check_timer(-1, SS_BY_NONE, SS_READABLE, "wo", "TT!", 10);
    check_timer(-1, SS_BY_NONE, SS_READABLE, "wwwo", "TT!T!T!", 30);
    check_timer(2000, SS_BY_NONE, SS_READABLE, "wwwo", "HTT!T!", 20);
    check_timer(2000, SS_BY_NONE, 0, "wwwo", "HTT!T!", 20);
    check_timer(-1, SS_BY_OP_SNDTIMEO, SS_READABLE, "wwo", "FT!T!", 20);
}

/* What is wanted comes first, or there was only no call left: then it is not yet time. */
static void test_no_timer_when_it_is_ready(void)
{
    check_timer(-1, SS_BY_NONE, SS_WRITABLE, "wwo", "TTT", 0);
    check_timer(2000, SS_BY_NONE, SS_WRITABLE, "wwo", "HTT", 0);
    check_timer(-1, SS_BY_NONE, SS_READABLE, "wgo", "TT!T", 10);
}

/* There is something to do all the time, and never enough: no reason to go on for ever. */
static void test_progress_does_not_move_the_deadline(void)
{
    struct pair pair;
    pair_open(&pair);
    for (double timeout_ms = 30; timeout_ms < 150; timeout_ms += 90) {
        struct fake fake = make_fake(&pair, SS_BY_RCVTIMEO, "w");
        fake.events = SS_WRITABLE;
        double begin = now_ms();
        CHECK(run_to_end(&fake.op, &pair.sock, ns(timeout_ms)) == SS_TIMEOUT);
        CHECK(fake.steps > 10);
        check_time(begin, timeout_ms);
    }
    pair_close(&pair);
}

/* A call that is made once more has the deadline that it had. */
static void test_a_deadline_from_before(void)
{
    struct pair pair;
    pair_open(&pair);
    for (double left_ms = 30; left_ms < 150; left_ms += 90) {
        struct fake fake = make_fake(&pair, SS_BY_RCVTIMEO, "w");
        double begin = now_ms();
        fake.op.deadline_ns = ss_deadline_after(ns(left_ms));
        CHECK(run_to_end(&fake.op, &pair.sock, ns(2000)) == SS_TIMEOUT);
        check_time(begin, left_ms);
    }
    pair_close(&pair);
}

static void test_timers_do_not_move_the_deadline(void)
{
    struct pair pair;
    pair_open(&pair);
    struct fake fake = make_fake(&pair, SS_BY_NONE, "w");
    fake.after_ms = 4;
    double begin = now_ms();
    CHECK(run_to_end(&fake.op, &pair.sock, ns(30)) == SS_TIMEOUT);
    CHECKF(strncmp(fake.log, "HTT!", 4) == 0, "%s", fake.log);
    check_time(begin, 30);
    pair_close(&pair);
}

static void test_signals_do_not_move_the_deadline(void)
{
    struct pair pair;
    pair_open(&pair);
    for (double timeout_ms = 40; timeout_ms < 150; timeout_ms += 80) {
        struct fake fake = make_fake(&pair, SS_BY_RCVTIMEO, "w");
        ticks_start(4, -1);
        double begin = now_ms();
        CHECK(run_to_end(&fake.op, &pair.sock, ns(timeout_ms)) == SS_TIMEOUT);
        check_time(begin, timeout_ms);
        CHECKF(ticks_stop() > 0, "no signals came");
    }
    pair_close(&pair);
}

/* It would fail again and again: the call ends with it. */
static void test_a_wait_that_fails(void)
{
    struct pair pair;
    pair_open(&pair);
    wait_failure = ENOMEM;
    for (double timeout_ms = -1; timeout_ms < 200; timeout_ms += 90) {
        struct fake fake = make_fake(&pair, SS_BY_NONE, "w");
        enum ss_status st = run_to_end(&fake.op, &pair.sock, ns(timeout_ms));
        CHECKF(st == SS_ERROR && fake.op.error.code == ENOMEM, "status %d, error %d", st, fake.op.error.code);
        CHECK(fake.steps <= 2);
    }
    wait_failure = 0;
    pair_close(&pair);
}

int main(void)
{
    RUN(test_no_time);
    RUN(test_a_short_time);
    RUN(test_a_long_time);
    RUN(test_endless_time);
    RUN(test_large_calls_count_as_many);
    RUN(test_before_the_clock);
    RUN(test_tried_before);
    RUN(test_times_at_the_edge);
    RUN(test_once_is_once);
    RUN(test_calls_are_counted);
    RUN(test_a_flood);
    RUN(test_spinning);
    RUN(test_the_kernel_is_told_once);
    RUN(test_a_shared_descriptor);
    RUN(test_an_operation_with_its_own_descriptors);
    RUN(test_an_operation_without_a_socket);
    RUN(test_a_descriptor_without_kernel_timeouts);
    RUN(test_a_wait_that_fails);
    RUN(test_waiting_for_bytes);
    RUN(test_waiting_for_room);
    RUN(test_only_what_is_wanted_counts);
    RUN(test_a_hang_up_ends_the_wait);
    RUN(test_waiting_for_several);
    RUN(test_steps_after_a_time);
    RUN(test_no_timer_when_it_is_ready);
    RUN(test_progress_does_not_move_the_deadline);
    RUN(test_a_deadline_from_before);
    RUN(test_timers_do_not_move_the_deadline);
    RUN(test_signals_do_not_move_the_deadline);
    return check_end();
}
