/* The clients of the servers that are measured: many connections, on each of them one message at a time. tls_client is the same over
 * TLS.
 *
 *   client echo|http HOST PORT CONNECTIONS OPERATIONS SECONDS PID...
 *
 * Every connection has one answer before anything is measured. Then
 *   with OPERATIONS: so many (something else counts); prints "done"
 *   with SECONDS: a third of the time unmeasured; prints "OPERATIONS SECONDS PROCESSOR-SECONDS P99-SECONDS", where the
 *      processor time is that of the server, the processes PID
 *   with neither: nothing goes on; prints "idle BYTES RESIDENT": by how much the server's resident memory grew, a connection, and
 *      how much it is
 * The connections stay until standard input ends. An answer that is wrong, or takes longer than ten seconds, ends it with a failure. */
#include "common.h"
#include "wire.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { POOL = 1 << 20, ANSWER = 4096, EVENTS = 512, LIMIT_MS = 10000, GROUP = 250 };

struct args {
    const char *host;
    int port;
    size_t connections;
    long operations;
    double seconds;
    char **pids; /* up to a NULL */
};

struct conn {
    struct wire wire;
    const char *sent;
    int64_t sent_ns;
    char *part; /* of an answer that has not come whole */
    size_t part_len;
};

/* What is sent, and when an answer to it is whole. */
struct protocol {
    const char *name;
    void (*send_next)(struct conn *c);
    bool (*is_whole)(const struct conn *c, const char *data, size_t len);
};

static const struct protocol *protocol;
static char request[200];
static size_t message_len = 64;

__attribute__((noreturn)) static void fail(const char *what)
{
    fprintf(stderr, "client: %s\n", what);
    exit(1);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    must(clock_gettime(clock, &t), "clock_gettime");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- protocols --- */

static void send_message(struct conn *c)
{
    static char *pool;
    static size_t at;
    if (!pool) {
        pool = get_memory(POOL);
        fill_random(pool, POOL);
    }
    at = at + message_len <= POOL - message_len ? at + message_len : 0;
    c->sent = pool + at;
    wire_send(&c->wire, c->sent, message_len);
}

static bool is_echo(const struct conn *c, const char *data, size_t len)
{
    if (len > message_len || memcmp(data, c->sent, len) != 0)
        fail("this is no echo");
    return len == message_len;
}

static void send_request(struct conn *c)
{
    wire_send(&c->wire, request, strlen(request));
}

static size_t body_len(const char *head, size_t len)
{
    static const char field[] = "\r\nContent-Length: ";
    const char *found = memmem(head, len, field, sizeof field - 1);
    if (!found)
        fail("an answer without a length");
    return strtoul(found + sizeof field - 1, NULL, 10);
}

static bool is_page(const struct conn *c, const char *data, size_t len)
{
    static const char status[] = "HTTP/1.1 200 OK\r\n", page[] = "Hello, world!\n";
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    (void)c;
    if (!end)
        return false;
    size_t head_len = (size_t)(end + 4 - data), want = head_len + body_len(data, head_len);
    if (strncmp(data, status, sizeof status - 1) != 0 || want != head_len + sizeof page - 1 || len > want)
        fail("this is not the page");
    if (len == want && memcmp(end + 4, page, sizeof page - 1) != 0)
        fail("the page says something else");
    return len == want;
}

static const struct protocol protocols[] = { { "echo", send_message, is_echo }, { "http", send_request, is_page } };

/* --- one connection --- */

static void keep_part(struct conn *c, const char *data, size_t len)
{
    if (!c->part)
        c->part = get_memory(ANSWER);
    memcpy(c->part, data, len);
    c->part_len = len;
}

/* Receives once. True: the answer is whole. */
static bool take(struct conn *c, bool waits)
{
    static char buffer[ANSWER];
    size_t have = c->part_len;
    if (have > 0)
        memcpy(buffer, c->part, have);
    ssize_t got = wire_recv(&c->wire, buffer + have, ANSWER - have, waits);
    if (got == -1 && errno == EAGAIN && !waits)
        return false;
    if (must(got, "recv") == 0)
        fail("the server has closed a connection, or its answer is too long");
    have += (size_t)got;
    c->part_len = 0;
    if (protocol->is_whole(c, buffer, have))
        return true;
    keep_part(c, buffer, have);
    return false;
}

/* Each with one answer, so that the server has taken it; so many at a time as its queue can hold. */
static void open_some(struct conn *conns, size_t n, const struct args *a)
{
    for (size_t i = 0; i < n; i++) {
        conns[i] = (struct conn){ .wire = wire_open(a->host, a->port) };
        protocol->send_next(&conns[i]);
    }
    for (size_t i = 0; i < n; i++)
        while (!take(&conns[i], true))
            ;
}

static struct conn *open_all(size_t n, const struct args *a)
{
    struct conn *conns = get_memory(n * sizeof *conns);
    for (size_t i = 0; i < n; i += GROUP)
        open_some(conns + i, n - i < GROUP ? n - i : GROUP, a);
    return conns;
}

/* --- what is measured --- */

/* User and system time of the server. */
static int64_t server_ns(const struct args *a)
{
    int64_t sum = 0;
    for (char **pid = a->pids; *pid; pid++) {
        clockid_t clock;
        if (clock_getcpuclockid((pid_t)atoi(*pid), &clock) != 0)
            fail("the server has ended");
        sum += now_ns(clock);
    }
    return sum;
}

/* Resident memory of the server (proc(5), statm). */
static double server_bytes(const struct args *a)
{
    double sum = 0;
    for (char **pid = a->pids; *pid; pid++) {
        char name[64];
        double pages;
        snprintf(name, sizeof name, "/proc/%s/statm", *pid);
        FILE *f = fopen(name, "r");
        if (!f || fscanf(f, "%*s %lf", &pages) != 1)
            die(name);
        fclose(f);
        sum += pages * (double)sysconf(_SC_PAGESIZE);
    }
    return sum;
}

/* How often each time was seen: buckets that are 1/128 of their value wide. */
enum { FINE = 128 };
static long seen[64 * FINE];

static size_t bucket_of(int64_t ns)
{
    int shift = 0;
    while (ns >> shift >= 2 * FINE)
        shift++;
    return (size_t)shift * FINE + (size_t)(ns >> shift);
}

static double bucket_seconds(size_t bucket)
{
    size_t shift = bucket < 2 * FINE ? 0 : bucket / FINE - 1;
    return (double)((bucket - shift * FINE) << shift) / 1e9;
}

static double percentile_99(long all)
{
    size_t bucket = 0;
    for (long left = all - all / 100; bucket < sizeof seen / sizeof *seen; bucket++)
        if ((left -= seen[bucket]) <= 0)
            break;
    return bucket_seconds(bucket);
}

/* --- the ways to use it --- */

static void send_next(struct conn *c)
{
    c->sent_ns = now_ns(CLOCK_MONOTONIC);
    protocol->send_next(c);
}

static int watch_all(struct conn *conns, size_t n)
{
    int poller = (int)must(epoll_create1(0), "epoll_create1");
    for (size_t i = 0; i < n; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &conns[i] };
        must(epoll_ctl(poller, EPOLL_CTL_ADD, conns[i].wire.fd, &event), "epoll_ctl");
    }
    return poller;
}

/* One connection whose answer has come, and when that was. */
static struct conn *next_answer(int poller, int64_t *ns)
{
    static struct epoll_event events[EVENTS];
    static int at, n;
    for (;;) {
        while (at < n) {
            struct conn *c = events[at++].data.ptr;
            if (take(c, false)) {
                *ns = now_ns(CLOCK_MONOTONIC);
                return c;
            }
        }
        at = 0;
        n = (int)must(epoll_wait(poller, events, EVENTS, LIMIT_MS), "epoll_wait");
        if (n == 0)
            fail("no answer in ten seconds");
    }
}

/* Goes on until the moment has come; how many answers came before it. */
static long exchange_until(int poller, int64_t end_ns)
{
    int64_t ns;
    for (long n = 0;; n++) {
        struct conn *c = next_answer(poller, &ns);
        seen[bucket_of(ns - c->sent_ns)]++;
        send_next(c);
        if (ns >= end_ns)
            return n + 1;
    }
}

static void exchange_for(int poller, const struct args *a)
{
    int64_t lap_ns = (int64_t)(a->seconds * 1e9);
    exchange_until(poller, now_ns(CLOCK_MONOTONIC) + lap_ns / 3);
    memset(seen, 0, sizeof seen);
    int64_t cpu_ns = server_ns(a), start_ns = now_ns(CLOCK_MONOTONIC);
    long n = exchange_until(poller, start_ns + lap_ns);
    int64_t wall_ns = now_ns(CLOCK_MONOTONIC) - start_ns;
    cpu_ns = server_ns(a) - cpu_ns;
    printf("%ld %.9f %.9f %.9f\n", n, (double)wall_ns / 1e9, (double)cpu_ns / 1e9, percentile_99(n));
}

static void exchange_times(int poller, long sent, long operations)
{
    int64_t ns;
    for (long n = 0; n < operations; n++) {
        struct conn *c = next_answer(poller, &ns);
        if (sent++ < operations)
            send_next(c);
    }
}

static void work(const struct args *a)
{
    struct conn *conns = open_all(a->connections, a);
    size_t first = a->connections;
    if (a->operations > 0 && (size_t)a->operations < first)
        first = (size_t)a->operations;
    int poller = watch_all(conns, a->connections);
    for (size_t i = 0; i < first; i++)
        send_next(&conns[i]);
    if (a->operations == 0) {
        exchange_for(poller, a);
        return;
    }
    exchange_times(poller, (long)first, a->operations);
    puts("done");
}

/* One connection before, after which the server has what it needs for any, and one after, so that it can tell when
 * all others are idle. Messages are as short as can be, since a program may keep the last one. */
static void idle(const struct args *a)
{
    message_len = 1;
    open_all(1, a);
    double before = server_bytes(a);
    open_all(a->connections, a);
    open_all(1, a);
    double after = server_bytes(a);
    printf("idle %.1f %.0f\n", (after - before) / (double)(a->connections + 1), after);
}

int main(int argc, char **argv)
{
    if (argc < 7)
        return 2;
    struct args a = { .host = argv[2],
                      .port = atoi(argv[3]),
                      .connections = strtoul(argv[4], NULL, 10),
                      .operations = atol(argv[5]),
                      .seconds = atof(argv[6]),
                      .pids = argv + 7 };
    protocol = &protocols[strcmp(argv[1], "http") == 0];
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s:%d\r\n\r\n", a.host, a.port);
    if (a.operations > 0 || a.seconds > 0)
        work(&a);
    else
        idle(&a);
    fflush(stdout);
    must(read(STDIN_FILENO, request, 1), "read");
    return 0;
}
