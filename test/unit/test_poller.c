/* The contract of os/os_poller.h with real descriptors. The Makefile builds this once for each poller. */
#include "check.h"
#include "os/os_poller.h"
#include "pair.h"
#include "rng.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h> /* abort */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h> /* setrlimit */
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000, MANY = 1000, AT_ONCE = 16 };

static const double LATE_MS = 400;

static void check_time(struct os_poller *p, double timeout_ms);
static int fd_of(struct os_poller *p);
static bool is_readable(int fd, int timeout_ms);

static int64_t ns(double ms)
{
    return (int64_t)(ms * 1e6);
}

static int good(int value)
{
    if (value == -1)
        abort();
    return value;
}

static void *resize(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    (void)ud, (void)old_size;
    if (new_size > 0)
        return realloc(ptr, new_size);
    free(ptr);
    return NULL;
}

static const struct ss_mem memory = { .resize = resize };

static struct os_poller *open_poller(void)
{
    struct os_poller *p = NULL;
    struct ss_error err;
    if (os_poller_open(&p, &memory, &err) != SS_OK)
        abort();
    return p;
}

static void watch(struct os_poller *p, int fd, int events, bool foreign)
{
    struct ss_error err = { SS_SYSTEM, 0 };
    enum ss_status st = os_poller_watch(p, fd, events, foreign, &err);
    CHECKF(st == SS_OK, "%d is not watched: error %d", fd, err.code);
}

/* What the reports of some time said of a descriptor. */
struct seen {
    int found;
    bool recheck;
};

static void note(struct seen *seen, const struct os_event *event)
{
    seen->found |= event->found;
    seen->recheck = seen->recheck || event->recheck;
}

/* One wait; the reports of `fd` are noted. Returns their number, of all. */
static size_t wait_once(struct os_poller *p, double timeout_ms, int fd, struct seen *seen)
{
    struct os_event events[OS_EVENTS];
    struct ss_error err = { SS_SYSTEM, 0 };
    size_t n = 0;
    enum ss_status st = os_poller_wait(p, ns(timeout_ms), events, &n, &err);
    CHECKF(st == SS_OK || st == SS_TIMEOUT, "wait ended with %d, error %d", st, err.code);
    if (st != SS_OK)
        return 0;
    CHECKF(n > 0 && n <= OS_EVENTS, "%zu reports", n);
    for (size_t i = 0; i < n; i++)
        if (events[i].fd == fd)
            note(seen, &events[i]);
    return n;
}

/* What is reported of `fd` without waiting. Reports end: nothing is reported again and again, whoever fails to take it. */
static struct seen settle(struct os_poller *p, int fd)
{
    struct seen seen = { 0 };
    int waits = 0;
    while (waits < AT_ONCE && wait_once(p, 0, fd, &seen) > 0)
        waits++;
    CHECKF(waits < AT_ONCE, "reports do not end");
    return seen;
}

static struct seen await(struct os_poller *p, int fd, int events)
{
    struct seen seen = { 0 };
    double end = now_ms() + PATIENCE_MS;
    while (!(seen.found & events) && now_ms() < end)
        wait_once(p, 20, fd, &seen);
    return seen;
}

#define CHECK_REPORTED(title, p, fd, events)                                                                        \
    do {                                                                                                            \
        struct seen seen_ = await(p, fd, events);                                                                   \
        CHECKF(seen_.found &(events), "%s: %d is not reported for %d, but for %d", title, fd, events, seen_.found); \
    } while (0)

/* Kinds of descriptors: how one becomes ready, and ceases to be so. */

struct ends {
    int fd;    /* watched */
    int other; /* what makes it ready */
    int extra; /* or -1 */
};

struct kind {
    const char *name;
    int event;
    void (*open)(struct ends *ends);
    void (*provoke)(struct ends *ends);
    void (*take)(struct ends *ends);
};

static void nonblock(int fd)
{
    good(fcntl(fd, F_SETFL, O_NONBLOCK));
}

static void pass(int fds[2], struct ends *ends)
{
    *ends = (struct ends){ .fd = fds[0], .other = fds[1], .extra = -1 };
    nonblock(ends->fd);
    nonblock(ends->other);
}

static void close_ends(struct ends *ends)
{
    if (ends->fd >= 0)
        close(ends->fd);
    if (ends->other >= 0 && ends->other != ends->fd)
        close(ends->other);
    if (ends->extra >= 0)
        close(ends->extra);
}

static void open_pipe(struct ends *ends)
{
    int fds[2];
    good(pipe(fds));
    pass(fds, ends);
}

static void open_stream(struct ends *ends)
{
    int fds[2];
    good(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    pass(fds, ends);
}

static void open_dgram(struct ends *ends)
{
    int fds[2];
    good(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
    pass(fds, ends);
}

/* On loopback, with a port that the system has chosen. */
static int bound(int type, struct sockaddr_in *address)
{
    socklen_t len = sizeof *address;
    int fd = good(socket(AF_INET, type, 0));
    *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    good(bind(fd, (struct sockaddr *)address, sizeof *address));
    good(getsockname(fd, (struct sockaddr *)address, &len));
    return fd;
}

static int connected(int type, const struct sockaddr_in *address)
{
    int fd = good(socket(AF_INET, type, 0));
    good(connect(fd, (const struct sockaddr *)address, sizeof *address));
    return fd;
}

static void open_tcp(struct ends *ends)
{
    struct sockaddr_in address;
    int listener = bound(SOCK_STREAM, &address), fds[2];
    good(listen(listener, 1));
    fds[0] = connected(SOCK_STREAM, &address);
    fds[1] = good(accept(listener, NULL, NULL));
    close(listener);
    pass(fds, ends);
}

static void open_udp(struct ends *ends)
{
    struct sockaddr_in address;
    int fds[2];
    fds[0] = bound(SOCK_DGRAM, &address);
    fds[1] = connected(SOCK_DGRAM, &address);
    pass(fds, ends);
}

static void open_listener(struct ends *ends)
{
    struct sockaddr_in address;
    *ends = (struct ends){ .fd = bound(SOCK_STREAM, &address), .other = -1, .extra = -1 };
    good(listen(ends->fd, 8));
    nonblock(ends->fd);
}

static void come(struct ends *ends)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    good(getsockname(ends->fd, (struct sockaddr *)&address, &len));
    if (ends->other >= 0)
        close(ends->other);
    ends->other = connected(SOCK_STREAM, &address);
}

static void accept_all(struct ends *ends)
{
    for (int fd; (fd = accept(ends->fd, NULL, NULL)) != -1;)
        close(fd);
}

static void open_eventfd(struct ends *ends)
{
    int fd = good(eventfd(0, EFD_NONBLOCK));
    *ends = (struct ends){ .fd = fd, .other = fd, .extra = -1 };
}

static void drain_fd(int fd)
{
    static char buf[65536];
    while (read(fd, buf, sizeof buf) > 0)
        ;
}

static void fill_fd(int fd)
{
    static const char buf[4096];
    while (write(fd, buf, sizeof buf) > 0)
        ;
    while (write(fd, buf, 1) > 0)
        ;
}

static void give(struct ends *ends)
{
    const uint64_t one = 1; /* an eventfd wants as many bytes */
    CHECK(write(ends->other, &one, sizeof one) == sizeof one);
}

static void take_in(struct ends *ends)
{
    drain_fd(ends->fd);
}

static void fill(struct ends *ends)
{
    fill_fd(ends->fd);
}

static void make_room(struct ends *ends)
{
    drain_fd(ends->other);
}

/* The end of a pipe that is written to. */
static void open_full_pipe(struct ends *ends)
{
    struct ends pipe;
    open_pipe(&pipe);
    *ends = (struct ends){ .fd = pipe.other, .other = pipe.fd, .extra = -1 };
    fill(ends);
}

static void open_full_stream(struct ends *ends)
{
    open_stream(ends);
    fill(ends);
}

static void open_full_tcp(struct ends *ends)
{
    const int size = 4096;
    open_tcp(ends);
    good(setsockopt(ends->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    fill(ends);
}

static void open_full_dgram(struct ends *ends)
{
    open_dgram(ends);
    fill(ends);
}

static const struct kind kinds[] = {
    { "pipe", OS_CAN_READ, open_pipe, give, take_in },
    { "Unix stream", OS_CAN_READ, open_stream, give, take_in },
    { "Unix datagrams", OS_CAN_READ, open_dgram, give, take_in },
    { "TCP", OS_CAN_READ, open_tcp, give, take_in },
    { "UDP", OS_CAN_READ, open_udp, give, take_in },
    { "listener", OS_CAN_READ, open_listener, come, accept_all },
    { "eventfd", OS_CAN_READ, open_eventfd, give, take_in },
    { "full pipe", OS_CAN_WRITE, open_full_pipe, make_room, fill },
    { "full Unix stream", OS_CAN_WRITE, open_full_stream, make_room, fill },
    { "full Unix datagrams", OS_CAN_WRITE, open_full_dgram, make_room, fill },
    { "full TCP", OS_CAN_WRITE, open_full_tcp, make_room, fill },
};

/* A poller and a descriptor of some kind. */
struct bench {
    const struct kind *kind;
    struct os_poller *p;
    struct ends ends;
    bool foreign;
};

static void watch_it(struct bench *b)
{
    watch(b->p, b->ends.fd, b->kind->event, b->foreign);
}

static void check_reported(struct bench *b)
{
    CHECK_REPORTED(b->kind->name, b->p, b->ends.fd, b->kind->event);
}

/* That which is asked for; it may report other things. */
static void check_silent(struct bench *b)
{
    struct seen seen = settle(b->p, b->ends.fd);
    CHECKF(!(seen.found & b->kind->event), "%s: it is reported", b->kind->name);
}

/* Runs a test with each kind, as one of ours and as a foreign one. */
static void for_each_kind(void (*test)(struct bench *b))
{
    for (size_t i = 0; i < 2 * sizeof kinds / sizeof *kinds; i++) {
        struct bench b = { .kind = &kinds[i / 2], .foreign = i % 2, .p = open_poller() };
        b.kind->open(&b.ends);
        test(&b);
        os_poller_close(b.p);
        close_ends(&b.ends);
    }
}

/* What is reported */

static void before(struct bench *b)
{
    b->kind->provoke(&b->ends);
    watch_it(b);
    check_reported(b);
}

static void test_what_is_there_before(void)
{
    for_each_kind(before);
}

static void after(struct bench *b)
{
    watch_it(b);
    check_silent(b);
    b->kind->provoke(&b->ends);
    check_reported(b);
    settle(b->p, b->ends.fd);
}

static void test_what_comes_after(void)
{
    for_each_kind(after);
}

static void again(struct bench *b)
{
    for (int round = 0; round < 100; round++) {
        watch_it(b);
        b->kind->provoke(&b->ends);
        check_reported(b);
        b->kind->take(&b->ends);
    }
    watch_it(b);
    check_silent(b);
}

static void test_again_and_again(void)
{
    for_each_kind(again);
}

/* Between the last try and the watch. */
static void meanwhile(struct bench *b)
{
    for (int round = 0; round < 100; round++) {
        b->kind->provoke(&b->ends);
        watch_it(b);
        check_reported(b);
        b->kind->take(&b->ends);
    }
}

static void test_what_comes_before_it_is_watched_again(void)
{
    for_each_kind(meanwhile);
}

/* Also one that nobody has taken is reported to each who asks for it as a foreign one. */
static void untaken(struct bench *b)
{
    watch_it(b);
    b->kind->provoke(&b->ends);
    check_reported(b);
    settle(b->p, b->ends.fd);
    for (int round = 0; round < 10; round++) {
        watch(b->p, b->ends.fd, b->kind->event, true);
        check_reported(b);
        settle(b->p, b->ends.fd);
    }
}

static void test_a_foreign_one_is_reported_to_each_who_asks(void)
{
    for_each_kind(untaken);
}

/* A connect's descriptor, which becomes a socket's. */
static void adopted(struct bench *b)
{
    b->foreign = true;
    watch_it(b);
    b->kind->provoke(&b->ends);
    check_reported(b);
    settle(b->p, b->ends.fd);
    b->foreign = false;
    watch_it(b);
    check_reported(b); /* nobody has taken it */
    b->kind->take(&b->ends);
    for (int round = 0; round < 10; round++) {
        watch_it(b);
        b->kind->provoke(&b->ends);
        check_reported(b);
        b->kind->take(&b->ends);
    }
}

static void test_a_foreign_one_becomes_ours(void)
{
    for_each_kind(adopted);
}

/* Forgetting */

static void forgotten(struct bench *b)
{
    watch_it(b);
    settle(b->p, b->ends.fd);
    os_poller_forget(b->p, b->ends.fd, false);
    b->kind->provoke(&b->ends);
    struct seen seen = settle(b->p, b->ends.fd);
    CHECKF(seen.found == 0, "%s: %d is reported", b->kind->name, seen.found);
    watch_it(b);
    check_reported(b);
}

static void test_what_is_forgotten_is_not_reported(void)
{
    for_each_kind(forgotten);
}

/* What has happened by then, and is not reported yet, is not. */
static void forgotten_late(struct bench *b)
{
    watch_it(b);
    settle(b->p, b->ends.fd);
    b->kind->provoke(&b->ends);
    os_poller_forget(b->p, b->ends.fd, false);
    os_poller_forget(b->p, b->ends.fd, false);
    struct seen seen = settle(b->p, b->ends.fd);
    CHECKF(seen.found == 0, "%s: %d is reported", b->kind->name, seen.found);
}

static void test_what_is_forgotten_before_its_report(void)
{
    for_each_kind(forgotten_late);
}

/* In any order, and the others stay. */
static void test_forgetting_some(void)
{
    enum { N = 6 };
    struct os_poller *p = open_poller();
    struct ends ends[N];
    for (int i = 0; i < N; i++) {
        open_stream(&ends[i]);
        watch(p, ends[i].fd, OS_CAN_READ, true);
    }
    settle(p, -1);
    for (int first = 0; first < N / 2; first++) { /* the first, then the last */
        os_poller_forget(p, ends[first].fd, false);
        os_poller_forget(p, ends[N - 1 - first].fd, false);
        for (int i = 0; i < N; i++) {
            bool there = i > first && i < N - 1 - first;
            give(&ends[i]);
            struct seen seen = settle(p, ends[i].fd);
            CHECKF(there == (seen.found != 0), "%d of %d is %sreported", i, N, there ? "not " : "");
            take_in(&ends[i]);
            if (there)
                watch(p, ends[i].fd, OS_CAN_READ, true);
        }
    }
    os_poller_close(p);
    for (int i = 0; i < N; i++)
        close_ends(&ends[i]);
}

/* The number of what is closed goes to the next one. */
static void reused(struct bench *b)
{
    for (int round = 0; round < 5; round++) {
        int fd = b->ends.fd;
        watch_it(b);
        b->kind->provoke(&b->ends);
        if (round % 2)
            check_reported(b);
        os_poller_forget(b->p, fd, true);
        close_ends(&b->ends);
        struct seen seen = settle(b->p, fd);
        CHECKF(seen.found == 0, "%s: %d is reported of what is closed", b->kind->name, seen.found);
        b->kind->open(&b->ends);
        watch_it(b);
        check_silent(b);
        b->kind->provoke(&b->ends);
        check_reported(b);
        os_poller_forget(b->p, b->ends.fd, true);
        close_ends(&b->ends);
        b->kind->open(&b->ends);
    }
}

static void test_a_number_is_used_again(void)
{
    for_each_kind(reused);
}

/* Foreign ones are closed without a word. */
static void closed(struct bench *b)
{
    int fd = b->ends.fd;
    if (!b->foreign)
        return;
    watch_it(b);
    settle(b->p, fd);
    close_ends(&b->ends);
    settle(b->p, fd);
    os_poller_forget(b->p, fd, false);
    b->kind->open(&b->ends);
    watch_it(b);
    b->kind->provoke(&b->ends);
    check_reported(b);
}

static void test_a_foreign_one_is_closed_behind_our_back(void)
{
    for_each_kind(closed);
}

static void test_forgetting_what_was_never_watched(void)
{
    struct os_poller *p = open_poller();
    struct ends ends;
    open_pipe(&ends);
    os_poller_forget(p, ends.fd, false);
    os_poller_forget(p, 100000, true);
    watch(p, ends.fd, OS_CAN_READ, true);
    os_poller_forget(p, ends.other, false);
    os_poller_forget(p, ends.other, true);
    os_poller_forget(p, 100000, false);
    give(&ends);
    CHECK_REPORTED("the other", p, ends.fd, OS_CAN_READ);
    os_poller_close(p);
    os_poller_close(NULL);
    close_ends(&ends);
}

/* No descriptor: watching it fails, or it is reported as none. */
static void test_what_is_not_open(void)
{
    struct os_poller *p = open_poller();
    struct ss_error err = { SS_SYSTEM, 0 };
    int fds[2];
    good(pipe(fds));
    close(fds[0]);
    close(fds[1]);
    for (int round = 0; round < 2; round++) {
        enum ss_status st = os_poller_watch(p, fds[0], OS_CAN_READ, true, &err);
        CHECK(st == SS_OK || (st == SS_ERROR && err.code == EBADF));
        if (st == SS_OK)
            CHECK_REPORTED("not open", p, fds[0], OS_NOT_OPEN);
    }
    settle(p, fds[0]);
    os_poller_close(p);
}

/* Both directions */

/* A reader and a writer of one descriptor: what was reported to the one does not take away the other's. */
static void test_two_who_wait_for_one(void)
{
    struct os_poller *p = open_poller();
    struct ends ends;
    open_full_stream(&ends);
    for (int round = 0; round < 20; round++) {
        watch(p, ends.fd, OS_CAN_READ, false);
        watch(p, ends.fd, OS_CAN_WRITE, false);
        CHECK(settle(p, ends.fd).found == 0);
        if (round % 2)
            give(&ends);
        else
            make_room(&ends);
        CHECK_REPORTED("the first", p, ends.fd, round % 2 ? OS_CAN_READ : OS_CAN_WRITE);
        if (round % 2)
            make_room(&ends);
        else
            give(&ends);
        CHECK_REPORTED("the second", p, ends.fd, round % 2 ? OS_CAN_WRITE : OS_CAN_READ);
        take_in(&ends);
        fill(&ends);
    }
    os_poller_close(p);
    close_ends(&ends);
}

static void test_one_who_wants_both(void)
{
    struct os_poller *p = open_poller();
    struct ends ends;
    open_full_stream(&ends);
    watch(p, ends.fd, OS_CAN_READ | OS_CAN_WRITE, false);
    CHECK(settle(p, ends.fd).found == 0);
    give(&ends);
    CHECK_REPORTED("reading", p, ends.fd, OS_CAN_READ);
    take_in(&ends);
    watch(p, ends.fd, OS_CAN_READ | OS_CAN_WRITE, false);
    make_room(&ends);
    CHECK_REPORTED("writing", p, ends.fd, OS_CAN_WRITE);
    os_poller_close(p);
    close_ends(&ends);
}

/* Ends and errors */

static void end_by_close(struct ends *ends)
{
    close(ends->other);
    ends->other = -1;
}

static void end_by_shutdown(struct ends *ends)
{
    good(shutdown(ends->other, SHUT_WR));
}

static void end_by_reset(struct ends *ends)
{
    const struct linger at_once = { .l_onoff = 1 };
    good(setsockopt(ends->other, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    end_by_close(ends);
}

static void end_with_data(struct ends *ends)
{
    give(ends);
    end_by_close(ends);
}

static void end_of_ours(struct ends *ends)
{
    good(shutdown(ends->fd, SHUT_RD));
}

static const struct end {
    const char *name;
    void (*open)(struct ends *ends);
    void (*end)(struct ends *ends);
    int event;
} ended[] = {
    { "pipe", open_pipe, end_by_close, OS_CAN_READ },
    { "pipe with data", open_pipe, end_with_data, OS_CAN_READ },
    { "Unix stream", open_stream, end_by_close, OS_CAN_READ },
    { "Unix stream with data", open_stream, end_with_data, OS_CAN_READ },
    { "Unix stream, half", open_stream, end_by_shutdown, OS_CAN_READ },
    { "Unix stream, our half", open_stream, end_of_ours, OS_CAN_READ },
    { "TCP", open_tcp, end_by_close, OS_CAN_READ },
    { "TCP with data", open_tcp, end_with_data, OS_CAN_READ },
    { "TCP, half", open_tcp, end_by_shutdown, OS_CAN_READ },
    { "TCP reset", open_tcp, end_by_reset, OS_CAN_READ },
    { "pipe without a reader", open_full_pipe, end_by_close, OS_CAN_WRITE },
    { "full Unix stream", open_full_stream, end_by_close, OS_CAN_WRITE },
    { "full TCP reset", open_full_tcp, end_by_reset, OS_CAN_WRITE },
};

/* It is told of to whoever waits, and as something that no receive shows. */
static void check_end_of(const struct end *e, bool before, bool foreign)
{
    struct os_poller *p = open_poller();
    struct ends ends;
    e->open(&ends);
    if (!before)
        watch(p, ends.fd, e->event, foreign);
    settle(p, ends.fd);
    e->end(&ends);
    if (before)
        watch(p, ends.fd, e->event, foreign);
    struct seen seen = await(p, ends.fd, e->event | OS_TROUBLE);
    struct seen more = settle(p, ends.fd);
    CHECKF(seen.found & (e->event | OS_TROUBLE), "%s: the end is not reported", e->name);
    CHECKF(seen.recheck || more.recheck, "%s: the end is not recheck", e->name);
    os_poller_close(p);
    close_ends(&ends);
}

static void test_ends(void)
{
    for (size_t i = 0; i < 4 * sizeof ended / sizeof *ended; i++)
        check_end_of(&ended[i / 4], i % 2, i / 2 % 2);
}

static void check_connect(bool refused)
{
    struct os_poller *p = open_poller();
    struct sockaddr_in address;
    int listener = bound(SOCK_STREAM, &address), fd = good(socket(AF_INET, SOCK_STREAM, 0)), code = -1;
    socklen_t len = sizeof code;
    if (!refused)
        good(listen(listener, 1));
    nonblock(fd);
    int value = connect(fd, (struct sockaddr *)&address, sizeof address);
    CHECK(value == 0 || errno == EINPROGRESS || errno == ECONNREFUSED);
    watch(p, fd, OS_CAN_WRITE, true);
    CHECK_REPORTED("connect", p, fd, OS_CAN_WRITE | OS_TROUBLE);
    if (value == -1 && errno == EINPROGRESS)
        CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) == 0 && code == (refused ? ECONNREFUSED : 0));
    os_poller_close(p);
    close(fd);
    close(listener);
}

static void test_connecting(void)
{
    check_connect(false);
    check_connect(true);
}

/* The refusal of a datagram that was sent before. */
static void test_a_pending_error(void)
{
    struct os_poller *p = open_poller();
    struct sockaddr_in address;
    close(bound(SOCK_DGRAM, &address));
    int fd = connected(SOCK_DGRAM, &address);
    nonblock(fd);
    watch(p, fd, OS_CAN_READ, false);
    settle(p, fd);
    good((int)send(fd, "x", 1, 0));
    CHECK_REPORTED("refusal", p, fd, OS_CAN_READ | OS_TROUBLE);
    CHECK(recv(fd, &address, 1, 0) == -1 && errno == ECONNREFUSED);
    os_poller_close(p);
    close(fd);
}

/* Each arrival, after a receive that was not full */

static size_t receive(int fd)
{
    char buf[256];
    ssize_t got = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
    CHECKF(got > 0 && (size_t)got < sizeof buf, "received %zd", got);
    return got > 0 ? (size_t)got : 0;
}

/* One that is edged tells of it without being asked again. Nor is anything recheck as long as there are only data. */
static void test_each_arrival_is_reported(void)
{
    struct os_poller *p = open_poller();
    struct ends ends;
    open_tcp(&ends);
    watch(p, ends.fd, OS_CAN_READ, false);
    for (int round = 0; round < 500; round++) {
        give(&ends);
        struct seen seen = await(p, ends.fd, OS_CAN_READ);
        CHECK(seen.found & OS_CAN_READ);
        CHECK(!os_poller_is_edged || !seen.recheck);
        if (round % 3 == 0) /* between the report and the receive */
            give(&ends);
        CHECK(receive(ends.fd) > 0);
        if (!os_poller_is_edged)
            watch(p, ends.fd, OS_CAN_READ, false);
    }
    give(&ends);
    CHECK_REPORTED("data", p, ends.fd, OS_CAN_READ);
    end_by_close(&ends); /* after the report: that must be told of anew */
    receive(ends.fd);
    if (!os_poller_is_edged)
        watch(p, ends.fd, OS_CAN_READ, false);
    struct seen seen = await(p, ends.fd, OS_CAN_READ | OS_TROUBLE);
    CHECK(seen.recheck && (seen.found & (OS_CAN_READ | OS_TROUBLE)));
    os_poller_close(p);
    close_ends(&ends);
}

/* A receive ends at urgent data, whatever comes behind them. */
static void test_urgent_data_are_sticky(void)
{
    struct os_poller *p = open_poller();
    struct ends ends;
    open_tcp(&ends);
    watch(p, ends.fd, OS_CAN_READ, false);
    settle(p, ends.fd);
    CHECK(send(ends.other, "a", 1, 0) == 1 && send(ends.other, "!", 1, MSG_OOB) == 1);
    CHECK(send(ends.other, "b", 1, 0) == 1);
    struct seen seen = await(p, ends.fd, OS_CAN_READ), more = settle(p, ends.fd);
    CHECK(seen.recheck || more.recheck);
    os_poller_close(p);
    close_ends(&ends);
}

/* Many */

struct many {
    struct os_poller *p;
    struct ends ends[MANY];
    bool seen[MANY * 4]; /* by descriptor */
    uint32_t seed;
};

static void many_open(struct many *m)
{
    const struct rlimit room = { .rlim_cur = MANY * 4, .rlim_max = MANY * 4 };
    struct rlimit now;
    good(getrlimit(RLIMIT_NOFILE, &now));
    if (now.rlim_cur < MANY * 4)
        good(setrlimit(RLIMIT_NOFILE, &room));
    *m = (struct many){ .p = open_poller(), .seed = 1 };
    for (int i = 0; i < MANY; i++) {
        open_stream(&m->ends[i]);
        watch(m->p, m->ends[i].fd, OS_CAN_READ, i % 7 == 0);
    }
    settle(m->p, -1);
}

static void many_close(struct many *m)
{
    os_poller_close(m->p);
    for (int i = 0; i < MANY; i++)
        close_ends(&m->ends[i]);
}

/* Marks those that can be read, and empties and watches them. */
static size_t look(struct many *m, double timeout_ms)
{
    struct os_event events[OS_EVENTS];
    struct ss_error err;
    size_t n = 0;
    enum ss_status st = os_poller_wait(m->p, ns(timeout_ms), events, &n, &err);
    CHECK(st == SS_OK || st == SS_TIMEOUT);
    for (size_t i = 0; st == SS_OK && i < n; i++)
        if (events[i].found & OS_CAN_READ) {
            CHECK(!m->seen[events[i].fd]);
            m->seen[events[i].fd] = true;
        }
    return st == SS_OK ? n : 0;
}

static void check_many(struct many *m, size_t part)
{
    bool given[MANY] = { false };
    memset(m->seen, 0, sizeof m->seen);
    for (int i = 0; i < MANY; i++) {
        given[i] = rng_below(&m->seed, part) == 0;
        if (given[i])
            give(&m->ends[i]);
    }
    while (look(m, 0) > 0)
        ;
    for (int i = 0; i < MANY; i++) {
        CHECKF(m->seen[m->ends[i].fd] == given[i], "%d of %d is %sreported", i, MANY, given[i] ? "not " : "");
        take_in(&m->ends[i]);
        watch(m->p, m->ends[i].fd, OS_CAN_READ, i % 7 == 0);
    }
}

/* Those that are ready, all of them and no others, though more than one wait can tell of. */
static void test_many(void)
{
    static struct many m;
    many_open(&m);
    for (int round = 0; round < 10; round++)
        check_many(&m, round % 2 ? 1 : 1 + (size_t)round);
    many_close(&m);
}

/* Its number is closed, or another's by now, and what it stood for goes on elsewhere: in a child process, say. What comes there is
 * nothing to us, and after a few times it does not end a wait any more. */
static void check_closed_here_only(bool reused)
{
    struct os_poller *p = open_poller();
    struct ends gone, other;
    struct seen seen = { 0 };
    open_stream(&gone);
    open_stream(&other);
    for (int i = 0; i < 2 * AT_ONCE; i++) { /* of which nothing is left */
        watch(p, other.fd, OS_CAN_READ, true);
        os_poller_forget(p, other.fd, false);
    }
    watch(p, gone.fd, OS_CAN_READ, false);
    settle(p, gone.fd);
    int elsewhere = good(dup(gone.fd));
    os_poller_forget(p, gone.fd, true);
    close(gone.fd);
    if (reused) {
        good(dup2(other.fd, gone.fd));
        watch(p, gone.fd, OS_CAN_READ, false);
        settle(p, gone.fd);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        give(&gone);
        wait_once(p, 0, gone.fd, &seen);
    }
    CHECKF(!(seen.found & OS_CAN_READ), "%d is reported for what it was before", gone.fd);
    give(&gone);
    check_time(p, 20);
    if (reused) {
        give(&other);
        CHECK_REPORTED("the other one", p, gone.fd, OS_CAN_READ);
        close(gone.fd);
    }
    os_poller_close(p);
    gone.fd = elsewhere;
    close_ends(&gone);
    close_ends(&other);
}

static void test_what_goes_on_elsewhere(void)
{
    if (SS_POLLER == SS_KQUEUE) /* where it leaves with its number, unlike the stand-in's */
        return;
    check_closed_here_only(false);
    check_closed_here_only(true);
}

/* Also for those that are watched besides, of both kinds; and whoever waits for the poller keeps his descriptor. */
static void check_others_beside_it(bool told)
{
    struct os_poller *p = open_poller();
    struct ends gone, ours, foreign;
    struct seen seen = { 0 };
    open_stream(&gone);
    open_stream(&ours);
    open_stream(&foreign);
    int fd = told ? fd_of(p) : -1;
    watch(p, gone.fd, OS_CAN_READ, false);
    watch(p, ours.fd, OS_CAN_READ, false);
    watch(p, foreign.fd, OS_CAN_READ, true);
    settle(p, gone.fd);
    int elsewhere = good(dup(gone.fd));
    os_poller_forget(p, gone.fd, true);
    close(gone.fd);
    for (int i = 0; i < AT_ONCE; i++) {
        give(&gone);
        wait_once(p, 0, gone.fd, &seen);
    }
    CHECK(!told || fd == fd_of(p));
    give(&ours);
    CHECK_REPORTED("ours", p, ours.fd, OS_CAN_READ);
    watch(p, foreign.fd, OS_CAN_READ, true);
    give(&foreign);
    CHECK_REPORTED("foreign", p, foreign.fd, OS_CAN_READ);
    os_poller_wake(p);
    CHECK(fd == -1 || is_readable(fd, 0));
    os_poller_close(p);
    gone.fd = elsewhere;
    close_ends(&gone);
    close_ends(&ours);
    close_ends(&foreign);
}

static void test_others_beside_what_goes_on_elsewhere(void)
{
    check_others_beside_it(false);
    check_others_beside_it(true);
}

/* As soon as one is reported it is ready again. Nobody is left out for the sake of those. */
static void test_many_that_are_always_ready(void)
{
    static struct many m;
    static bool ever[MANY * 4];
    int left = 0;
    many_open(&m);
    memset(ever, 0, sizeof ever);
    for (int i = 0; i < MANY; i++)
        give(&m.ends[i]);
    for (int waits = 0; waits < 20; waits++) {
        memset(m.seen, 0, sizeof m.seen);
        look(&m, 0);
        for (int i = 0; i < MANY; i++)
            if (m.seen[m.ends[i].fd]) {
                ever[m.ends[i].fd] = true;
                take_in(&m.ends[i]);
                give(&m.ends[i]);
                watch(m.p, m.ends[i].fd, OS_CAN_READ, i % 7 == 0);
            }
    }
    for (int i = 0; i < MANY; i++)
        left += !ever[m.ends[i].fd];
    CHECKF(left == 0, "%d of %d were never reported", left, MANY);
    many_close(&m);
}

/* Time */

static void check_time(struct os_poller *p, double timeout_ms)
{
    struct os_event events[OS_EVENTS];
    struct ss_error err;
    size_t n = 0;
    double begin = now_ms();
    enum ss_status st = os_poller_wait(p, ns(timeout_ms), events, &n, &err);
    double took = now_ms() - begin;
    CHECKF(st == SS_TIMEOUT, "%g ms: ended with %d", timeout_ms, st);
    CHECKF(took >= timeout_ms && took < timeout_ms + LATE_MS, "took %g ms, not %g", took, timeout_ms);
}

static void test_times(void)
{
    static const double times[] = { 0, 1e-6, 0.3, 1, 20.7 };
    struct ends ends;
    open_stream(&ends);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct os_poller *p = open_poller();
        check_time(p, times[i]); /* with nothing to wait for */
        watch(p, ends.fd, OS_CAN_READ, false);
        settle(p, ends.fd);
        check_time(p, times[i]);
        os_poller_close(p);
    }
    close_ends(&ends);
}

static void check_interrupted(struct os_poller *p, int64_t timeout_ns)
{
    struct os_event events[OS_EVENTS];
    struct ss_error err = { SS_SYSTEM, 0 };
    size_t n = 0;
    ticks_start(5, -1);
    enum ss_status st = os_poller_wait(p, timeout_ns, events, &n, &err);
    CHECK(ticks_stop() > 0);
    CHECKF(st == SS_WANT, "%lld ns: ended with %d, error %d", (long long)timeout_ns, st, err.code);
}

static void test_signals_end_a_wait(void)
{
    struct os_poller *p = open_poller();
    check_interrupted(p, -1);
    check_interrupted(p, INT64_MIN);
    check_interrupted(p, ns(PATIENCE_MS));
    os_poller_close(p);
}

/* Years, as a deadline that was never meant gives them. */
static void test_very_long_times(void)
{
    static const int64_t times[] = { (int64_t)100000001 * 1000000000, (int64_t)3000000000 * 1000000000, INT64_MAX };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct os_poller *p = open_poller();
        struct os_event events[OS_EVENTS];
        struct ss_error err = { SS_SYSTEM, 0 };
        struct ends ends;
        size_t n = 0;
        check_interrupted(p, times[i]);
        open_stream(&ends);
        give(&ends);
        watch(p, ends.fd, OS_CAN_READ, false);
        enum ss_status st = os_poller_wait(p, times[i], events, &n, &err);
        CHECKF(st == SS_OK && n >= 1, "ended with %d, error %d", st, err.code);
        os_poller_close(p);
        close_ends(&ends);
    }
}

static void give_late(int fd)
{
    wait_ms(30);
    if (write(fd, "x", 1) != 1)
        _exit(1);
}

static void test_a_wait_without_end(void)
{
    struct os_poller *p = open_poller();
    struct seen seen = { 0 };
    struct ends ends;
    open_stream(&ends);
    watch(p, ends.fd, OS_CAN_READ, false);
    settle(p, ends.fd);
    double begin = now_ms();
    pid_t pid = child_start(give_late, ends.other);
    CHECK(wait_once(p, -1, ends.fd, &seen) == 1 && (seen.found & OS_CAN_READ));
    CHECKF(now_ms() - begin > 25, "no wait: %.1f ms", now_ms() - begin);
    CHECK(child_succeeds(pid));
    os_poller_close(p);
    close_ends(&ends);
}

/* The whole */

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd one = { .fd = fd, .events = POLLIN };
    return poll(&one, 1, timeout_ms) == 1;
}

static int fd_of(struct os_poller *p)
{
    struct ss_error err;
    int fd = -2;
    CHECK(os_poller_fd(p, &fd, &err) == SS_OK);
    return fd;
}

static void telling(struct bench *b)
{
    int fd = fd_of(b->p);
    if (fd == -1)
        return;
    CHECK(!is_readable(fd, 0));
    watch_it(b);
    for (int round = 0; round < 3; round++) {
        settle(b->p, b->ends.fd);
        CHECKF(!is_readable(fd, 0), "%s: readable for nothing", b->kind->name);
        b->kind->provoke(&b->ends);
        CHECKF(is_readable(fd, PATIENCE_MS), "%s: not readable", b->kind->name);
        check_reported(b);
        b->kind->take(&b->ends);
        watch_it(b);
    }
}

/* For those who wait for it with a loop of their own. */
static void test_its_descriptor_tells_of_reports(void)
{
    for_each_kind(telling);
    struct os_poller *p = open_poller();
    CHECK(fd_of(p) == -1 || fcntl(fd_of(p), F_GETFD) == FD_CLOEXEC);
    CHECK((fd_of(p) == -1) == (SS_POLLER == SS_POLL));
    os_poller_close(p);
}

/* Until the next wait, which ends at once and may report what there is besides. */
static void woken(struct bench *b)
{
    int fd = fd_of(b->p);
    if (fd == -1)
        return;
    watch_it(b);
    for (int round = 0; round < 4; round++) {
        struct seen seen = { 0 };
        os_poller_wake(b->p);
        os_poller_wake(b->p);
        CHECK(is_readable(fd, 0));
        if (round % 2)
            b->kind->provoke(&b->ends);
        double begin = now_ms();
        wait_once(b->p, PATIENCE_MS, b->ends.fd, &seen);
        CHECKF(now_ms() - begin < LATE_MS, "%s: it waits", b->kind->name);
        if (round % 2 && !(seen.found & b->kind->event))
            check_reported(b);
        settle(b->p, b->ends.fd);
        CHECK(!is_readable(fd, 0));
        b->kind->take(&b->ends);
        watch_it(b);
    }
    os_poller_forget(b->p, b->ends.fd, false);
    check_time(b->p, 20); /* and those after it wait again */
}

static void test_it_can_be_woken(void)
{
    for_each_kind(woken);
}

static void two(struct bench *b)
{
    struct os_poller *other = open_poller(), *own = b->p;
    watch(other, b->ends.fd, b->kind->event, b->foreign);
    watch_it(b);
    b->kind->provoke(&b->ends);
    check_reported(b);
    CHECK_REPORTED("the other poller", other, b->ends.fd, b->kind->event);
    b->kind->take(&b->ends);
    watch_it(b);
    os_poller_forget(other, b->ends.fd, false);
    b->kind->provoke(&b->ends);
    CHECK(settle(other, b->ends.fd).found == 0);
    check_reported(b);
    b->p = other;
    watch_it(b);
    check_reported(b);
    b->p = own;
    os_poller_close(other);
    b->kind->take(&b->ends);
    watch_it(b);
    b->kind->provoke(&b->ends);
    check_reported(b);
}

static void test_two_pollers(void)
{
    for_each_kind(two);
}

static struct os_poller *inherited;

static int inherited_fd;

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

/* Where the child has not inherited the descriptor, its number is another's. */
static void abandon_inherited(int fd)
{
    bool was_open = is_open(inherited_fd);
    if (!was_open && inherited_fd >= 0)
        good(dup2(fd, inherited_fd));
    os_poller_abandon(inherited);
    os_poller_abandon(NULL);
    if (inherited_fd >= 0 && is_open(inherited_fd) == was_open)
        _exit(1);
}

/* A child process gives up its copy, and that is all. */
static void test_a_child_abandons_it(void)
{
    struct ends ends;
    open_stream(&ends);
    inherited = open_poller();
    watch(inherited, ends.fd, OS_CAN_READ, false);
    settle(inherited, ends.fd);
    inherited_fd = fd_of(inherited);
    CHECK(child_succeeds(child_start(abandon_inherited, ends.other)));
    give(&ends);
    CHECK_REPORTED("afterwards", inherited, ends.fd, OS_CAN_READ);
    os_poller_close(inherited);
    close_ends(&ends);
}

static void test_no_descriptor_for_it(void)
{
    struct os_poller *p = NULL;
    struct ss_error err = { SS_SYSTEM, 0 };
    struct rlimit now, none;
    good(getrlimit(RLIMIT_NOFILE, &now));
    none = (struct rlimit){ .rlim_cur = 3, .rlim_max = now.rlim_max };
    good(setrlimit(RLIMIT_NOFILE, &none));
    enum ss_status st = os_poller_open(&p, &memory, &err);
    good(setrlimit(RLIMIT_NOFILE, &now));
    if (SS_POLLER == SS_POLL)
        CHECK(st == SS_OK);
    else
        CHECK(st == SS_ERROR && err.space == SS_SYSTEM && err.code == EMFILE && p == NULL);
    os_poller_close(p);
}

/* Allocations of its own fail one after another. */
struct scarce {
    long left; /* so many succeed */
};

static void *scarce_resize(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    struct scarce *scarce = ud;
    if (new_size > old_size && scarce->left-- <= 0)
        return NULL;
    return resize(NULL, ptr, old_size, new_size);
}

/* Whether an error was one of memory; false: there was none. */
static bool lacks_memory(enum ss_status st, const struct ss_error *err)
{
    CHECK(st == SS_OK || (st == SS_ERROR && err->space == SS_SYSTEM && err->code == ENOMEM));
    return st != SS_OK;
}

/* Opens one and has it watch a low descriptor and a high one, with `left` allocations; true when these were enough. */
static bool watches_with(long left, int low, int high)
{
    struct scarce scarce = { .left = left };
    const struct ss_mem mem = { .resize = scarce_resize, .ud = &scarce };
    struct os_poller *p = NULL;
    struct ss_error err;
    if (lacks_memory(os_poller_open(&p, &mem, &err), &err))
        return false;
    bool lacks = lacks_memory(os_poller_watch(p, low, OS_CAN_READ, false, &err), &err);
    lacks = lacks_memory(os_poller_watch(p, high, OS_CAN_READ, false, &err), &err) || lacks;
    scarce.left = 100;
    watch(p, low, OS_CAN_READ, false);
    watch(p, high, OS_CAN_READ, false);
    settle(p, high);
    os_poller_close(p);
    return !lacks;
}

static void test_no_memory(void)
{
    struct ends ends;
    long left = 0;
    open_stream(&ends);
    int high = good(fcntl(ends.fd, F_DUPFD, 300));
    while (!watches_with(left, ends.fd, high) && left < 20)
        left++;
    CHECKF(left >= 3 && left < 20, "%ld allocations", left);
    close(high);
    close_ends(&ends);
}

int main(void)
{
    RUN(test_what_is_there_before);
    RUN(test_what_comes_after);
    RUN(test_again_and_again);
    RUN(test_what_comes_before_it_is_watched_again);
    RUN(test_a_foreign_one_is_reported_to_each_who_asks);
    RUN(test_a_foreign_one_becomes_ours);
    RUN(test_what_is_forgotten_is_not_reported);
    RUN(test_what_is_forgotten_before_its_report);
    RUN(test_forgetting_some);
    RUN(test_a_number_is_used_again);
    RUN(test_a_foreign_one_is_closed_behind_our_back);
    RUN(test_forgetting_what_was_never_watched);
    RUN(test_what_is_not_open);
    RUN(test_two_who_wait_for_one);
    RUN(test_one_who_wants_both);
    RUN(test_ends);
    RUN(test_connecting);
    RUN(test_a_pending_error);
    RUN(test_each_arrival_is_reported);
    RUN(test_urgent_data_are_sticky);
    RUN(test_many);
    RUN(test_many_that_are_always_ready);
    RUN(test_what_goes_on_elsewhere);
    RUN(test_others_beside_what_goes_on_elsewhere);
    RUN(test_times);
    RUN(test_signals_end_a_wait);
    RUN(test_very_long_times);
    RUN(test_a_wait_without_end);
    RUN(test_its_descriptor_tells_of_reports);
    RUN(test_it_can_be_woken);
    RUN(test_two_pollers);
    RUN(test_a_child_abandons_it);
    RUN(test_no_descriptor_for_it);
    RUN(test_no_memory);
    return check_end();
}
