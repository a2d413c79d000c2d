/* The race of addresses (RFC 8305), run by the real driver on a system without sockets or time. fake_os.h says how
 * addresses and logs are written. */
#include "check.h"
#include "core/op_connect.h"
#include "fake_os.h"
#include "heap.h"
#include "run/block.h"

#include <errno.h>
#include <stdio.h> /* snprintf */
#include <string.h>

enum { TIMED_OUT = -1, TTL = 7 };

struct race {
    struct heap heap;
    struct ss_env env;
    struct ss_sock sock;
    struct ss_connect op;
};

static void race_open(struct race *r, const char *addresses)
{
    const struct ss_setting ttl = { .level = FAKE_TTL_LEVEL, .number = FAKE_TTL, .value = TTL };
    struct ss_error err;
    fake_begin(addresses);
    *r = (struct race){ .heap = { 0 } };
    ss_env_init(&r->env, heap_mem(&r->heap));
    ss_sock_init(&r->sock, &r->env, SOCK_STREAM);
    CHECK(ss_sock_set(&r->sock, &ttl, &err) == SS_OK);
}

/* What the socket remembers of its descriptor is what the system has. */
static void check_socket(const struct ss_sock *s)
{
    const struct fake_fd *f = fake_fd(s->io.fd);
    CHECK(s->family == f->family && !f->connecting);
    CHECKF(!f->nonblock && !s->nonblock, "it is not left in blocking mode");
    CHECKF(s->kernel_ms[1] == f->bound_ms, "its SO_SNDTIMEO is %d, remembered is %d", (int)f->bound_ms,
           (int)s->kernel_ms[1]);
    CHECKF(f->ttl == TTL, "its option is %d", f->ttl);
}

/* An operation that has ended leaves the socket's own descriptor, and nothing under way. */
static void check_nothing_left(const struct race *r)
{
    for (int i = 0; i < fake.nfds; i++) {
        CHECKF(!fake.fds[i].connecting, "attempt %c is under way", 'a' + fake.fds[i].address);
        CHECKF(fake.fds[i].ttl == TTL || i + 1 == fake.failing_socket || i + 1 == fake.failing_option,
               "descriptor %d without options", i);
    }
    CHECKF(fake_count_open() == (r->sock.io.fd >= 0), "%d descriptors are open", fake_count_open());
    CHECK(fake.most_open <= SS_DIALS);
    CHECK(fake.lookups == 0 && fake.lists == 0);
    if (r->sock.io.fd >= 0)
        check_socket(&r->sock);
}

static void race_close(struct race *r)
{
    ss_sock_fini(&r->sock);
    ss_env_fini(&r->env);
    CHECK(fake_count_open() == 0);
    heap_check_empty(&r->heap);
}

static void log_winner(const struct race *r)
{
    size_t len = strlen(fake.log);
    snprintf(fake.log + len, sizeof fake.log - len, " %d=%c", (int)(fake.now_ns / 1000000),
             'a' + fake_fd(r->sock.io.fd)->address);
}

/* Connects and returns how that ended: 0, an errno or EAI_ number, or TIMED_OUT. */
static enum ss_status run_connect(struct race *r, double timeout_ms)
{
    enum ss_status st;
    do
        st = ss_block_run(&r->op.lookup.op, &r->sock, fake_ms(timeout_ms));
    while (st == SS_WANT);
    return st;
}

static int race_to(struct race *r, const struct ss_target *target, double timeout_ms)
{
    ss_connect_init(&r->op, &r->sock, target);
    enum ss_status st = run_connect(r, timeout_ms);
    int code = st == SS_OK ? 0 : st == SS_TIMEOUT ? TIMED_OUT : r->op.lookup.op.error.code;
    CHECK(st == SS_OK || st == SS_TIMEOUT || st == SS_ERROR);
    if (st == SS_OK)
        log_winner(r);
    fake.silent = true;
    ss_lookup_fini(&r->op.lookup);
    ss_lookup_fini(&r->op.lookup);
    check_nothing_left(r);
    return code;
}

static int race_by_name(struct race *r, double timeout_ms)
{
    const struct ss_target name = { .host = "name", .port = 80 };
    return race_to(r, &name, timeout_ms);
}

/* To address a, an IPv4 one, by its number. */
static int race_by_number(struct race *r, double timeout_ms)
{
    struct ss_target number = { .port = 0 };
    ss_addr_any(&number.addr, AF_INET, 80);
    return race_to(r, &number, timeout_ms);
}

/* Memory has no part of a connection. */
static void test_nothing_is_done_on_hold(void)
{
    struct race r;
    const struct ss_target name = { .host = "name", .port = 80 };
    race_open(&r, "4+");
    ss_connect_init(&r.op, &r.sock, &name);
    ss_io_set_mode(r.op.lookup.op.io, SS_NO_CALL);
    CHECK(ss_connect_step(&r.op.lookup.op) == SS_WANT && fake.log[0] == '\0' && fake.lookups == 0 &&
          r.sock.io.fd == -1);
    ss_lookup_fini(&r.op.lookup);
    race_close(&r);
}

static void check_outcome(const char *title, int code, int expected, const char *log)
{
    CHECKF(code == expected, "%s: ended with %d, not %d", title, code, expected);
    CHECKF(strcmp(fake.log, log) == 0, "%s: %s, not %s", title, fake.log, log);
}

/* Tables */

struct row {
    const char *title, *addresses;
    const char *log;
    int code;
};

typedef int race_by(struct race *r, double timeout_ms);

static void check_row(const struct row *row, race_by *race, double timeout_ms)
{
    struct race r;
    race_open(&r, row->addresses);
    int code = race(&r, timeout_ms);
    check_outcome(row->title, code, row->code, row->log);
    race_close(&r);
}

/* Without a deadline, and with one that is far away: the same race. */
static void check_rows(const struct row *rows, size_t n, race_by *race)
{
    for (size_t i = 0; i < n; i++) {
        check_row(&rows[i], race, -1);
        check_row(&rows[i], race, 600000);
    }
}

#define CHECK_ROWS(rows, race) check_rows(rows, sizeof(rows) / sizeof *(rows), race)

static void test_one_address(void)
{
    static const struct row rows[] = {
        { "at once", "4+", "0a 0=a", 0 },
        { "in progress, and there", "4+0", "0a 0=a", 0 },
        { "later", "4+700", "0a 700=a", 0 },
        { "much later", "4+400000", "0a 400000=a", 0 },
        { "refused", "4r", "0a 0-a", ECONNREFUSED },
        { "refused later", "4r40", "0a 40-a", ECONNREFUSED },
        { "the system gives up", "4t130000", "0a 130000-a", ETIMEDOUT },
    };
    CHECK_ROWS(rows, race_by_name);
    CHECK_ROWS(rows, race_by_number);
}

static void test_the_first_address_is_good(void)
{
    static const struct row rows[] = {
        { "at once", "6+ 4+", "0a 0=a", 0 },
        { "in progress, and there", "4+0 6+", "0a 0=a", 0 },
        { "soon", "6+40 4+", "0a 40=a", 0 },
        { "just in time", "6+249 4+", "0a 249=a", 0 },
        { "too late, and still first", "6+300 4+60", "0a 250b 300=a", 0 },
        { "too late", "6+300 4+40", "0a 250b 290=b", 0 },
    };
    CHECK_ROWS(rows, race_by_name);
}

static void test_a_dead_family(void)
{
    static const struct row rows[] = {
        { "IPv6", "6n 4+", "0a 250b 250=b", 0 },
        { "IPv6, IPv4 in progress and there", "6n 4+0", "0a 250b 250=b", 0 },
        { "IPv6, IPv4 takes a while", "6n 4+400", "0a 250b 650=b", 0 },
        { "IPv4", "4n 6+10", "0a 250b 260=b", 0 },
        { "refused at once", "6r 4+5", "0a 0-a 0b 5=b", 0 },
        { "refused", "4r20 6+5", "0a 20-a 20b 25=b", 0 },
        { "not reached at once", "6u 4+5", "0a 0-a 0b 5=b", 0 },
        { "not reached", "6h100 4+5", "0a 100-a 100b 105=b", 0 },
        { "refused after the other has begun", "6r300 4+100", "0a 250b 300-a 350=b", 0 },
    };
    CHECK_ROWS(rows, race_by_name);
}

/* RFC 8305 section 4: families in turn, each in its own order; what is left when one has no more. */
static void test_families_take_turns(void)
{
    static const struct row rows[] = {
        { "three dead IPv6", "6n 6n 6n 4+", "0a 250d 250=d", 0 },
        { "three dead IPv4", "4n 4n 4n 6+", "0a 250d 250=d", 0 },
        { "in turn", "6r 6r 6r 4r 4r 4+", "0a 0-a 0d 0-d 0b 0-b 0e 0-e 0c 0-c 0f 0=f", 0 },
        { "in turn already", "4r 6r 4r 6+", "0a 0-a 0b 0-b 0c 0-c 0d 0=d", 0 },
        { "few IPv4", "6r 6r 4r 6r 6+", "0a 0-a 0c 0-c 0b 0-b 0d 0-d 0e 0=e", 0 },
        { "few IPv6", "6r 4r 4r 4+", "0a 0-a 0b 0-b 0c 0-c 0d 0=d", 0 },
        { "one family", "4r 4r 4+", "0a 0-a 0b 0-b 0c 0=c", 0 },
    };
    CHECK_ROWS(rows, race_by_name);
}

/* Each failure starts the next attempt, and 250 ms count from the latest. */
static void test_when_attempts_begin(void)
{
    static const struct row rows[] = {
        { "one every 250 ms", "6n 4n 6n 4n 6+5", "0a 250b 500c 750d 1000e 1005=e", 0 },
        { "a failure brings the next forward", "6n 4r10 6n 4+", "0a 250b 260-b 260c 510d 510=d", 0 },
        { "of an older attempt as well", "6r300 4n 6+10", "0a 250b 300-a 300c 310=c", 0 },
        { "two at the same time", "6r300 4r50 6n 4+", "0a 250b 300-a 300-b 300c 550d 550=d", 0 },
        { "two that arrive together: the one that began first", "6+300 4+50", "0a 250b 300=a", 0 },
        { "failures at once count for nothing", "6n 4r 6u 4r 6+20", "0a 250b 250-b 250c 250-c 250d 250-d 250e 270=e",
          0 },
        { "the last two, together", "6n 4r20 6r280 4+", "0a 250b 270-b 270c 520d 520=d", 0 },
        { "ten, the last is good", "6n 6n 6n 6n 6n 4n 4n 4n 4n 4+3",
          "0a 250f 500b 750g 1000c 1250h 1500d 1750i 2000e 2250j 2253=j", 0 },
        { "ten, nine refuse", "6r1 6r1 6r1 6r1 6r1 4r1 4r1 4r1 4r1 4+1",
          "0a 1-a 1f 2-f 2b 3-b 3g 4-g 4c 5-c 5h 6-h 6d 7-d 7i 8-i 8e 9-e 9j 10=j", 0 },
    };
    CHECK_ROWS(rows, race_by_name);
}

/* When all fail, the error is that of the attempt that came closest. */
static void test_the_error_that_tells_most(void)
{
    static const struct row rows[] = {
        { "refused, both", "6r 4r5", "0a 0-a 0b 5-b", ECONNREFUSED },
        { "refused before unreachable", "6u 4r", "0a 0-a 0b 0-b", ECONNREFUSED },
        { "refused after unreachable", "6r 4u", "0a 0-a 0b 0-b", ECONNREFUSED },
        { "refused before no route", "6h 4r", "0a 0-a 0b 0-b", ECONNREFUSED },
        { "refused before given up", "6r 4t", "0a 0-a 0b 0-b", ECONNREFUSED },
        { "refused after given up", "6t 4r", "0a 0-a 0b 0-b", ECONNREFUSED },
        { "reset tells as much as refused", "6s 4u", "0a 0-a 0b 0-b", ECONNRESET },
        { "given up before unreachable", "6u 4t", "0a 0-a 0b 0-b", ETIMEDOUT },
        { "forbidden before unreachable", "6u 4a", "0a 0-a 0b 0-b", EACCES },
        { "forbidden, then unreachable", "6a 4h", "0a 0-a 0b 0-b", EACCES },
        { "a hole in the routes before unreachable", "6l 4v", "0a 0-a 0b 0-b", EINVAL },
        { "the family is not there", "6f 4r", "0a 0-a 0b 0-b", ECONNREFUSED },
        { "of equals the first", "6u 4h", "0a 0-a 0b 0-b", ENETUNREACH },
        { "of equals the first to fail", "6u400 4h10", "0a 250b 260-b 400-a", EHOSTUNREACH },
        { "whichever comes last", "6r300 4u400", "0a 250b 300-a 650-b", ECONNREFUSED },
        { "among many", "6u 6u 4u 4r 4u", "0a 0-a 0c 0-c 0b 0-b 0d 0-d 0e 0-e", ECONNREFUSED },
    };
    CHECK_ROWS(rows, race_by_name);
}

/* With more than SS_DIALS under way the next waits until one fails. */
static void test_so_many_at_once_at_most(void)
{
    struct race r;
    race_open(&r, "6r9000 6n 6n 6n 6n 6n 6n 6n 6n 6n 6n 6n 6n 6n 6n 6n 6+7 6n");
    int code = race_by_name(&r, -1);
    check_outcome("seventeen", code, 0,
                  "0a 250b 500c 750d 1000e 1250f 1500g 1750h 2000i 2250j 2500k 2750l 3000m 3250n 3500o 3750p "
                  "9000-a 9000q 9007=q");
    CHECK(fake.most_open == SS_DIALS);
    race_close(&r);
}

/* Deadlines */

static void check_timeout(race_by *race, const char *addresses, double timeout_ms, const char *log)
{
    struct race r;
    race_open(&r, addresses);
    int code = race(&r, timeout_ms);
    check_outcome(addresses, code, TIMED_OUT, log);
    CHECKF(fake.now_ns / 1000000 == (int64_t)timeout_ms, "%s: %.3f ms, not %.0f", addresses, (double)fake.now_ns / 1e6,
           timeout_ms);
    race_close(&r);
}

static void test_the_deadline_ends_it(void)
{
    check_timeout(race_by_name, "4n", 50, "0a");
    check_timeout(race_by_name, "4n", 400, "0a");
    check_timeout(race_by_name, "6+401", 400, "0a");
    check_timeout(race_by_number, "4n", 50, "0a");
    check_timeout(race_by_number, "4n", 400, "0a");
    check_timeout(race_by_number, "4+401", 400, "0a");
    check_timeout(race_by_name, "6n 4n", 400, "0a 250b");
    check_timeout(race_by_name, "6n 4+200", 400, "0a 250b");
    check_timeout(race_by_name, "6r100 4n 6n 4n", 700, "0a 100-a 100b 350c 600d");
    check_timeout(race_by_name, "6r100 4n", 5000, "0a 100-a 100b");
    check_timeout(race_by_name, "6n 4r 6n", 3000, "0a 250b 250-b 250c");
}

/* An attempt is due when its time has come, not when that of the call is over. */
static void test_no_attempt_comes_early(void)
{
    check_timeout(race_by_name, "6n 4+", 100, "0a");
    check_timeout(race_by_name, "6n 4n 6n", 300, "0a 250b");
}

/* An address that needs no look-up, and no time: what can be connected at once. */
static void test_no_time_at_all(void)
{
    static const struct row rows[] = {
        { "connected", "4+", "0a 0=a", 0 },          { "in progress, and there", "4+0", "0a 0=a", 0 },
        { "in progress", "4+1", "0a", TIMED_OUT },   { "never", "4n", "0a", TIMED_OUT },
        { "refused", "4r", "0a 0-a", ECONNREFUSED }, { "refused, already", "4r0", "0a 0-a", ECONNREFUSED },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_row(&rows[i], race_by_number, 0);
}

/* Signals end waits; they neither delay attempts nor bring them forward. */
static void test_signals(void)
{
    static const struct row rows[] = {
        { "the next attempt", "6n 4+10", "0a 250b 260=b", 0 },
        { "and the one after it", "6n 4n 6+10", "0a 250b 500c 510=c", 0 },
        { "an arrival", "6n 4+120", "0a 250b 370=b", 0 },
        { "a failure", "6r30 4+120", "0a 30-a 30b 150=b", 0 },
    };
    for (int64_t every_ms = 7; every_ms < 300; every_ms += 93)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct race r;
            race_open(&r, rows[i].addresses);
            fake.signal_ns = every_ms * 1000000;
            check_outcome(rows[i].title, race_by_name(&r, 60000), rows[i].code, rows[i].log);
            race_close(&r);
        }
}

/* Trying for a while before sleeping (OPT_SPIN) makes no more attempts. */
static void test_spinning(void)
{
    static const struct row rows[] = {
        { "dead", "6n 4n 6+10", "0a 250b 500c 510=c", 0 },
        { "refused", "6r 4n 6+10", "0a 0-a 0b 250c 260=c", 0 },
        { "one", "6+30", "0a 30=a", 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct race r;
        race_open(&r, rows[i].addresses);
        r.sock.spin_us = 50;
        check_outcome(rows[i].title, race_by_name(&r, 60000), rows[i].code, rows[i].log);
        race_close(&r);
    }
}

/* Look-up */

static void check_lookup(const char *addresses, double lookup_ms, int error, double timeout_ms, int code,
                         const char *log)
{
    struct race r;
    race_open(&r, addresses);
    fake.lookup_ns = fake_ms(lookup_ms);
    fake.lookup_error = error;
    check_outcome(addresses, race_by_name(&r, timeout_ms), code, log);
    CHECKF(!fake.direct, "the resolver was called directly");
    race_close(&r);
}

/* Its time is part of the call's. */
static void test_lookup(void)
{
    check_lookup("6n 4+10", 100, 0, -1, 0, "100a 350b 360=b");
    check_lookup("6n 4+10", 100, 0, 400, 0, "100a 350b 360=b");
    check_lookup("6n 4+10", 100, 0, 355, TIMED_OUT, "100a 350b");
    check_lookup("4+10", 100, 0, -1, 0, "100a 110=a");
    check_lookup("4+10", 100, 0, 5000, 0, "100a 110=a");
    check_lookup("4+10", 100, 0, 50, TIMED_OUT, "");
    check_lookup("4+10", 100, 0, 0, TIMED_OUT, "");
    check_lookup("4+", 0, 0, 0, TIMED_OUT, ""); /* however quick */
    check_lookup("4+", 0, 0, 1, 0, "0a 0=a");
    check_lookup("4+", 100, EAI_NONAME, -1, EAI_NONAME, "");
    check_lookup("4+", 100, EAI_NONAME, 5000, EAI_NONAME, "");
    check_lookup("4+", 100, EAI_AGAIN, 5000, EAI_AGAIN, "");
    check_lookup("4+", 0, EAI_NONAME, 5000, EAI_NONAME, "");
    check_lookup("", 10, 0, -1, EAI_NONAME, "");
}

/* Without a thread for it a look-up runs here, if it may take as long as it likes. */
static void test_lookup_without_threads(void)
{
    for (double timeout_ms = -1; timeout_ms < 6000; timeout_ms += 5001) {
        struct race r;
        race_open(&r, "4+10");
        fake.lookup_ns = fake_ms(100);
        fake.no_threads = true;
        bool endless = timeout_ms < 0;
        check_outcome("no threads", race_by_name(&r, timeout_ms), endless ? 0 : EAGAIN, endless ? "100a 110=a" : "");
        CHECK(fake.direct == endless);
        race_close(&r);
    }
}

/* A look-up that has stayed behind at a fork is begun anew, within the same deadline. */
static void test_lookup_begun_anew(void)
{
    static const struct {
        int lost;
        double timeout_ms;
        int code;
        const char *log;
    } rows[] = { { 1, 5000, 0, "200a 210=a" },
                 { 2, 5000, 0, "300a 310=a" },
                 { 1, 150, TIMED_OUT, "" },
                 { 1, 205, TIMED_OUT, "200a" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct race r;
        race_open(&r, "4+10");
        fake.lookup_ns = fake_ms(100);
        fake.lost_lookups = rows[i].lost;
        check_outcome("begun anew", race_by_name(&r, rows[i].timeout_ms), rows[i].code, rows[i].log);
        race_close(&r);
    }
}

/* The socket's own descriptor, which the program has bound: one address after another, none in parallel. */

static void check_own(int family, const char *addresses, double timeout_ms, int code, const char *log)
{
    struct race r;
    struct ss_error err;
    race_open(&r, addresses);
    CHECK(ss_sock_open(&r.sock, family, &err) == SS_OK);
    r.sock.bound = true;
    int fd = r.sock.io.fd;
    check_outcome(addresses, race_by_name(&r, timeout_ms), code, log);
    CHECKF(r.sock.io.fd == fd && fake.nfds == 1, "it has another descriptor");
    CHECKF(!fake_fd(fd)->stuck, "it can do nothing any more");
    race_close(&r);
}

static void test_a_bound_socket(void)
{
    check_own(AF_INET, "4+20", -1, 0, "0a 20=a");
    check_own(AF_INET, "4+20", 5000, 0, "0a 20=a");
    check_own(AF_INET, "4r20 4r 4+5", -1, 0, "0a 20b 20c 25=c");
    check_own(AF_INET, "4r20 4r 4+5", 5000, 0, "0a 20b 20c 25=c");
    check_own(AF_INET, "6+ 4+7", 5000, 0, "0b 7=b");
    check_own(AF_INET, "6+ 6+", 5000, EAFNOSUPPORT, "");
    check_own(AF_INET, "6+ 4r", 5000, ECONNREFUSED, "0b");
    check_own(AF_INET6, "6r 4+7", 5000, 0, "0a 0b 7=b"); /* IPv4 through an IPv6 socket */
    check_own(AF_INET, "4r 4u", -1, ECONNREFUSED, "0a 0b");
    check_own(AF_INET, "4r20 4r20", 5000, ECONNREFUSED, "0a 20b");
}

/* A silent address has its time as in a race, and in a second round, if none was reached, a share of what is left. */
static void test_a_bound_socket_and_silence(void)
{
    check_own(AF_INET, "4n 4+", 5000, 0, "0a 250b 250=b");
    check_own(AF_INET, "4n 4+", -1, 0, "0a 250b 250=b");
    check_own(AF_INET, "4+400 4n", 10000, 0, "0a 250b 500a 900=a");
    check_own(AF_INET, "4+400 4n", -1, 0, "0a 250b 500a 900=a");
    check_own(AF_INET, "4n 4n 4+600", 9000, 0, "0a 250b 500c 750a 3500b 6250c 6850=c");
    check_own(AF_INET, "4n 4+600", 3000, TIMED_OUT, "0a 250b 500a 2500b"); /* two seconds at least */
    check_own(AF_INET, "4n 4n", 1000, TIMED_OUT, "0a 250b 500a");
    check_own(AF_INET, "4n 4r", 5000, ECONNREFUSED, "0a 250b 250a 2625b");
    check_own(AF_INET, "4r20 4n", 5000, TIMED_OUT, "0a 20b");
    check_own(AF_INET, "6+ 4+700", 5000, 0, "0b 700=b");
    check_own(AF_INET, "4t100 4t100", 5000, ETIMEDOUT, "0a 100b");
}

static void test_an_extra_step_gives_no_dial_up(void)
{
    struct race r;
    struct ss_error err;
    const struct ss_target name = { .host = "name", .port = 80 };
    race_open(&r, "4n 4n");
    CHECK(ss_sock_open(&r.sock, AF_INET, &err) == SS_OK);
    ss_connect_init(&r.op, &r.sock, &name);
    for (int i = 0; i < 3; i++) {
        ss_io_set_mode(r.op.lookup.op.io, SS_WAIT_ALWAYS);
        CHECK(ss_connect_step(&r.op.lookup.op) == SS_WANT);
    }
    CHECKF(strcmp(fake.log, "0a") == 0, "%s", fake.log);
    r.op.lookup.op.due = true;
    CHECK(ss_connect_step(&r.op.lookup.op) == SS_WANT);
    CHECKF(strcmp(fake.log, "0a 0b") == 0, "%s", fake.log);
    ss_lookup_fini(&r.op.lookup);
    race_close(&r);
}

/* A socket that was opened: the dial outlives the operation. */

/* One call of connect to an address of 127.0.0.1 with that port. How it ended. */
static int connect_opened(struct race *r, uint16_t port, double timeout_ms)
{
    struct ss_target number = { .port = 0 };
    ss_addr_any(&number.addr, AF_INET, port);
    ss_connect_init(&r->op, &r->sock, &number);
    enum ss_status st = run_connect(r, timeout_ms);
    ss_lookup_fini(&r->op.lookup);
    CHECKF(!fake_fd(r->sock.io.fd)->nonblock, "it is not left in blocking mode");
    return st == SS_OK ? 0 : st == SS_TIMEOUT ? TIMED_OUT : r->op.lookup.op.error.code;
}

static void open_for_program(struct race *r, const char *addresses)
{
    struct ss_error err;
    race_open(r, addresses);
    CHECK(ss_sock_open_for_program(&r->sock, AF_INET, &err) == SS_OK && r->sock.bound);
    CHECK(ss_sock_open_for_program(&r->sock, AF_INET, &err) == SS_ERROR && err.code == EISCONN);
}

static void test_an_opened_socket_goes_on(void)
{
    static const double timeouts_ms[] = { 0, 30, 150 };
    for (size_t i = 0; i < 3; i++) {
        struct race r;
        open_for_program(&r, "4+400");
        int fd = r.sock.io.fd;
        CHECK(connect_opened(&r, 80, timeouts_ms[i]) == TIMED_OUT && fake_fd(fd)->connecting && r.sock.goal);
        CHECK(connect_opened(&r, 80, timeouts_ms[i]) == TIMED_OUT && fake_fd(fd)->connecting && r.sock.goal);
        CHECK(connect_opened(&r, 81, 5000) == EALREADY && fake_fd(fd)->connecting && r.sock.goal);
        CHECK(connect_opened(&r, 80, i == 0 ? -1 : 5000) == 0 && r.sock.io.fd == fd && !r.sock.goal);
        CHECKF(strcmp(fake.log, "0a") == 0, "%s", fake.log);
        CHECK(connect_opened(&r, 80, 5000) == EISCONN && !r.sock.goal);
        race_close(&r);
    }
}

static void test_an_opened_socket_is_refused(void)
{
    struct race r;
    open_for_program(&r, "4r40");
    int fd = r.sock.io.fd;
    CHECK(connect_opened(&r, 80, 10) == TIMED_OUT && r.sock.goal);
    CHECK(connect_opened(&r, 80, 5000) == ECONNREFUSED && r.sock.io.fd == fd && !r.sock.goal);
    CHECK(!fake_fd(fd)->stuck);
    CHECK(connect_opened(&r, 81, 5000) == ECONNREFUSED); /* another address: nothing is under way */
    race_close(&r);
}

static void test_an_opened_socket_that_is_closed(void)
{
    struct race r;
    struct ss_error err;
    open_for_program(&r, "4n");
    CHECK(connect_opened(&r, 80, 10) == TIMED_OUT && r.sock.goal);
    CHECK(ss_sock_close(&r.sock, &err) == SS_OK && !r.sock.goal && !r.sock.opened);
    race_close(&r);
}

/* Without memory for the address nothing is begun. */
static void test_an_opened_socket_without_memory(void)
{
    struct race r;
    open_for_program(&r, "4+5");
    r.heap.fail_from = r.heap.requests + 1;
    r.heap.fail_count = 1;
    CHECK(connect_opened(&r, 80, 5000) == ENOMEM && fake.log[0] == '\0' && !r.sock.goal);
    CHECK(connect_opened(&r, 80, 5000) == 0);
    race_close(&r);
}

/* Closed while it connects: the number of its descriptor may be another's by then. */
static void test_a_bound_socket_that_is_closed(void)
{
    struct race r;
    struct ss_error err;
    struct ss_target number = { .port = 0 };
    race_open(&r, "4+20");
    CHECK(ss_sock_open(&r.sock, AF_INET, &err) == SS_OK);
    r.sock.bound = true;
    ss_addr_any(&number.addr, AF_INET, 80);
    ss_connect_init(&r.op, &r.sock, &number);
    ss_io_set_mode(r.op.lookup.op.io, SS_NO_WAIT);
    CHECK(ss_connect_step(&r.op.lookup.op) == SS_WANT && fake_fd(r.sock.io.fd)->connecting);
    CHECK(ss_sock_close(&r.sock, &err) == SS_OK);
    ss_lookup_fini(&r.op.lookup);
    race_close(&r);
}

/* However it came to be connected, it stays so. */
static void check_connected(const char *addresses, double timeout_ms)
{
    struct race r;
    race_open(&r, addresses);
    CHECK(race_by_name(&r, timeout_ms) == 0);
    int fd = r.sock.io.fd, address = fake_fd(fd)->address;
    for (int i = 0; i < 2; i++) {
        int code = race_by_name(&r, timeout_ms);
        CHECKF(code == EISCONN, "%s again with %.0f ms: ended with %d", addresses, timeout_ms, code);
        CHECK(r.sock.io.fd == fd && fake_fd(fd)->address == address);
    }
    race_close(&r);
}

static void test_a_connected_socket(void)
{
    check_connected("4+5", -1);
    check_connected("4+5", 60000);
    check_connected("4+5", 50);
    check_connected("4+", 50);
    check_connected("6n 4+", -1);
    check_connected("6n 4+5", 60000);
    check_connected("6r 4+5", 60000);
}

/* The kernel */

/* A descriptor gets a timeout of its own only if it alone may wait there, and the socket knows of it. */
static void check_bound(race_by *race, const char *addresses, double timeout_ms, bool bound)
{
    struct race r;
    race_open(&r, addresses);
    CHECK(race(&r, timeout_ms) == 0);
    int32_t ms = fake_fd(r.sock.io.fd)->bound_ms;
    CHECKF((ms > 0) == bound && ms < timeout_ms, "%s: %d", addresses, (int)ms);
    race_close(&r);
}

static void test_the_kernel_waits_for_one_address(void)
{
    check_bound(race_by_number, "4+5", 1000, true);
    check_bound(race_by_number, "4+990", 1000, true);
    check_bound(race_by_number, "4+5", 80, false);
    check_bound(race_by_name, "4+5", 1000, false); /* some of the time has gone by */
    check_bound(race_by_name, "6n 4+5", 1000, false);
}

/* Where it can't be told how long, it does not wait, and the deadline holds all the same. */
static void test_a_kernel_that_takes_no_bound(void)
{
    static const struct row rows[] = {
        { "connected", "4+5", NULL, 0 },
        { "at once", "4+", NULL, 0 },
        { "refused", "4r5", NULL, ECONNREFUSED },
        { "never", "4n", NULL, TIMED_OUT },
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i / 2];
        bool own = i % 2;
        struct race r;
        struct ss_error err;
        race_open(&r, row->addresses);
        fake.no_bounds = true;
        if (own)
            CHECK(ss_sock_open(&r.sock, AF_INET, &err) == SS_OK);
        r.sock.bound = own;
        int code = race_by_number(&r, 1000);
        CHECKF(code == row->code && fake.now_ns < fake_ms(1001), "%s: %d, %s", row->title, code, fake.log);
        if (code == 0)
            CHECK(!fake_fd(r.sock.io.fd)->nonblock && !r.sock.nonblock && r.sock.kernel_ms[1] == 0);
        race_close(&r);
    }
}

static void unix_target(struct ss_target *target)
{
    struct ss_error err;
    *target = (struct ss_target){ .port = 0 };
    CHECK(ss_addr_unix(&target->addr, "/path", 5, &err) == SS_OK);
}

/* A Unix listener's queue is full: tried again and again, each time with a new descriptor, of which the socket knows
 * what it has. */
static void test_a_full_queue(void)
{
    for (int full = 1; full <= 3; full++)
        for (double timeout_ms = 50; timeout_ms < 2000; timeout_ms += 950) {
            struct race r;
            struct ss_target target;
            race_open(&r, "4+");
            unix_target(&target);
            fake.queue_full = full;
            int code = race_to(&r, &target, timeout_ms);
            CHECKF(code == 0, "ended with %d: %s", code, fake.log);
            CHECKF(fake.nfds == full + 1, "%d attempts: %s", fake.nfds, fake.log);
            race_close(&r);
        }
}

/* A bound one keeps its descriptor and what it has set there. */
static void test_a_full_queue_and_a_bound_socket(void)
{
    struct race r;
    struct ss_target target;
    struct ss_error err;
    race_open(&r, "4+");
    unix_target(&target);
    CHECK(ss_sock_open(&r.sock, AF_UNIX, &err) == SS_OK);
    fake.queue_full = 3;
    CHECK(race_to(&r, &target, 2000) == 0);
    CHECKF(fake.nfds == 1 && strcmp(fake.log, "0a 1732a 1734a 1736a 1736=a") == 0, "%s", fake.log);
    race_close(&r);
}

/* Means run short */

static void check_short(int failing_socket, int failing_option, const char *addresses, int code, const char *log)
{
    struct race r;
    race_open(&r, addresses);
    fake.failing_socket = failing_socket;
    fake.failing_option = failing_option;
    check_outcome(addresses, race_by_name(&r, 60000), code, log);
    race_close(&r);
}

/* An attempt that cannot even begin has failed like any other. */
static void test_no_descriptor_and_no_option(void)
{
    check_short(1, 0, "4+", EMFILE, "");
    check_short(1, 0, "6+ 4+", 0, "0b 0=b");
    check_short(2, 0, "6n 4+ 6+9", 0, "0a 250c 259=c");
    check_short(2, 0, "6r 4+", ECONNREFUSED, "0a 0-a");
    check_short(2, 0, "6u 4+", EMFILE, "0a 0-a");
    check_short(0, 1, "4+", ENOPROTOOPT, "");
    check_short(0, 1, "6+ 4+9", 0, "0b 9=b");
}

static void test_no_memory_for_the_winner(void)
{
    struct race r;
    race_open(&r, "6n 4+5");
    r.heap.fail_from = r.heap.requests + 1;
    r.heap.fail_count = 1;
    int code = race_by_name(&r, 60000);
    CHECKF(code == ENOMEM && r.sock.io.fd == -1, "ended with %d: %s", code, fake.log);
    race_close(&r);
}

/* After a failure the socket can do it again. */
static void test_again(void)
{
    struct race r;
    race_open(&r, "6n 4n");
    CHECK(race_by_name(&r, 400) == TIMED_OUT);
    fake.fates[1] = (struct fate){ .later = true, .after_ns = fake_ms(5) };
    CHECK(race_by_name(&r, 400) == 0);
    CHECK(fake_fd(r.sock.io.fd)->address == 1);
    race_close(&r);
}

int main(void)
{
    RUN(test_nothing_is_done_on_hold);
    RUN(test_one_address);
    RUN(test_the_first_address_is_good);
    RUN(test_a_dead_family);
    RUN(test_families_take_turns);
    RUN(test_when_attempts_begin);
    RUN(test_the_error_that_tells_most);
    RUN(test_so_many_at_once_at_most);
    RUN(test_the_deadline_ends_it);
    RUN(test_no_attempt_comes_early);
    RUN(test_no_time_at_all);
    RUN(test_signals);
    RUN(test_spinning);
    RUN(test_lookup);
    RUN(test_lookup_without_threads);
    RUN(test_lookup_begun_anew);
    RUN(test_a_bound_socket);
    RUN(test_a_bound_socket_and_silence);
    RUN(test_an_extra_step_gives_no_dial_up);
    RUN(test_an_opened_socket_goes_on);
    RUN(test_an_opened_socket_is_refused);
    RUN(test_an_opened_socket_that_is_closed);
    RUN(test_an_opened_socket_without_memory);
    RUN(test_a_bound_socket_that_is_closed);
    RUN(test_a_connected_socket);
    RUN(test_the_kernel_waits_for_one_address);
    RUN(test_a_kernel_that_takes_no_bound);
    RUN(test_a_full_queue);
    RUN(test_a_full_queue_and_a_bound_socket);
    RUN(test_no_descriptor_and_no_option);
    RUN(test_no_memory_for_the_winner);
    RUN(test_again);
    return check_end();
}
