/* Systems that refuse newer calls and flags: an old kernel, an emulator, the profile of a container. What they are for is done
 * in the plain way, and where that fails as well its answer is told. The calls are the ones below. */
#include "check.h"
#include "core/op_dgram.h"
#include "heap.h"
#include "os/os_many.h"
#include "os/os_net.h"
#include "os/os_opt.h"
#include "os/os_poller.h"
#include "pair.h"
#include "run/deadline.h"
#include "run/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <signal.h> /* sigset_t */
#include <stdarg.h>
#include <stdlib.h> /* abort */
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h> /* setrlimit */
#include <time.h>
#include <unistd.h>

static const int codes[] = { ENOSYS, EPERM, EINVAL, EOPNOTSUPP };

enum { CODES = sizeof codes / sizeof *codes };

/* The calls that are refused, by name, and with what. */
static const char *refused = "";
static int code, refusals;

static bool is_refused(const char *call)
{
    if (!strstr(refused, call))
        return false;
    refusals++;
    errno = code;
    return true;
}

static void refuse(const char *calls, int with)
{
    refused = calls;
    code = with;
    refusals = 0;
}

/* What the network has said, and the kernel says once. */
static int pending;

static bool is_told(void)
{
    int told = pending;
    pending = 0;
    errno = told ? told : errno;
    return told != 0;
}

#define FAKE(function) __typeof__(function) __real_##function, __wrap_##function

int __real_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    return is_refused("accept4") ? -1 : __real_accept4(fd, addr, len, flags);
}

FAKE(epoll_create1);
int __wrap_epoll_create1(int flags)
{
    return is_refused("epoll_create1") ? -1 : __real_epoll_create1(flags);
}

/* Not every libc has the real one. */
static struct timespec longest;
int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int n, const struct timespec *timeout,
                        const sigset_t *mask);
int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int n, const struct timespec *timeout, const sigset_t *mask)
{
    longest = *timeout;
    if (is_refused("epoll_pwait2"))
        return -1;
    return epoll_pwait(fd, events, n, (int)(timeout->tv_sec * 1000 + timeout->tv_nsec / 1000000), mask);
}

FAKE(eventfd);
int __wrap_eventfd(unsigned count, int flags)
{
    return is_refused("eventfd") ? -1 : __real_eventfd(count, flags);
}

int __real_ioctl(int fd, unsigned long request, ...), __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    int *value = va_arg(args, int *);
    va_end(args);
    return is_refused("ioctl") ? -1 : __real_ioctl(fd, request, value);
}

FAKE(poll);
int __wrap_poll(struct pollfd *set, nfds_t n, int timeout_ms)
{
    return is_refused("plain poll") ? -1 : __real_poll(set, n, timeout_ms);
}

static bool is_over_at_once; /* the wait of ppoll */

FAKE(ppoll);
int __wrap_ppoll(struct pollfd *set, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    if (timeout)
        longest = *timeout;
    if (is_refused("ppoll"))
        return -1;
    bool over = is_over_at_once;
    is_over_at_once = false;
    return over ? 0 : __real_ppoll(set, n, timeout, mask);
}

__typeof__(recv) __real_recv, __wrap_recv;
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
    return ((flags & MSG_TRUNC) && is_refused("truncated")) || is_told() ? -1 : __real_recv(fd, buf, len, flags);
}

ssize_t __real_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *fromlen);
ssize_t __wrap_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *fromlen);
ssize_t __wrap_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *fromlen)
{
    if (is_told())
        return -1;
    return (flags & MSG_TRUNC) && is_refused("truncated") ? -1 : __real_recvfrom(fd, buf, len, flags, from, fromlen);
}

#if defined(__linux__) && !defined(__GLIBC__)
typedef unsigned message_flags; /* musl */
#else
typedef int message_flags;
#endif

FAKE(recvmmsg);
int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, message_flags flags, struct timespec *timeout)
{
    return is_refused("recvmmsg") || is_told() ? -1 : __real_recvmmsg(fd, msgs, n, flags, timeout);
}

static int good_receives = -1; /* so many, and then this one fails once: */
static int late_code;

FAKE(recvmsg);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
    if (good_receives-- != 0)
        return __real_recvmsg(fd, msg, flags);
    errno = late_code;
    return -1;
}

FAKE(sendmmsg);
int __wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, message_flags flags)
{
    return is_refused("sendmmsg") || is_told() ? -1 : __real_sendmmsg(fd, msgs, n, flags);
}

static bool takes_bytes; /* the multicast options are bytes, as on OpenBSD */
static bool joins_none;  /* what was asked to be joined is not: the message that tells of it does not come */

static int unsignalled; /* how often SO_NOSIGPIPE was set */

FAKE(setsockopt);
int __wrap_setsockopt(int fd, int level, int opt, const void *value, socklen_t len)
{
    bool is_multicast = level == IPPROTO_IP && (opt == IP_MULTICAST_TTL || opt == IP_MULTICAST_LOOP);
    unsignalled += level == SOL_SOCKET && opt == SO_NOSIGPIPE && *(const int *)value == 1;
    if (joins_none && level == IPPROTO_UDP && opt == UDP_GRO)
        return 0;
    if (!takes_bytes || !is_multicast || len == 1)
        return __real_setsockopt(fd, level, opt, value, len);
    errno = EINVAL;
    return -1;
}

FAKE(socket);
int __wrap_socket(int family, int type, int protocol)
{
    bool has_flags = (type & (SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0;
    return has_flags && is_refused("flags") ? -1 : __real_socket(family, type, protocol);
}

FAKE(socketpair);
int __wrap_socketpair(int family, int type, int protocol, int fds[2])
{
    return (type & SOCK_CLOEXEC) && is_refused("flags") ? -1 : __real_socketpair(family, type, protocol, fds);
}

/* Descriptors */

static bool is_nonblock(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

static bool is_cloexec(int fd)
{
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static int open_socket(int family, int type, bool nonblock)
{
    struct ss_error err;
    int fd = -1;
    if (os_socket(family, type, nonblock, &fd, &err) != SS_OK)
        abort();
    return fd;
}

static void check_made(int fd, bool nonblock)
{
    CHECKF(is_cloexec(fd) && is_nonblock(fd) == nonblock, "refused with %d", code);
    close(fd);
}

static void test_flags_of_sockets(void)
{
    struct ss_error err;
    for (int i = 0; i < CODES; i++) {
        int fds[2] = { -1, -1 };
        refuse("flags", codes[i]);
        for (int nonblock = 0; nonblock < 2; nonblock++)
            check_made(open_socket(AF_INET, SOCK_STREAM, nonblock), nonblock);
        CHECK(os_socketpair(fds, &err) == SS_OK && refusals == 3);
        check_made(fds[0], false);
        check_made(fds[1], false);
    }
    refuse("", 0);
}

/* The plain call's, which is not always the same. */
static void test_the_answer_of_the_plain_call(void)
{
    struct ss_error err;
    int fd = -1;
    refuse("flags", EPERM);
    CHECK(os_socket(-1, SOCK_STREAM, false, &fd, &err) == SS_ERROR && err.code == EAFNOSUPPORT);
    refuse("flags", EMFILE);
    CHECK(os_socket(AF_INET, SOCK_STREAM, false, &fd, &err) == SS_ERROR && err.code == EMFILE);
    refuse("", 0);
}

/* Where that is the socket's to say, and also of one that somebody else has made. */
static void test_no_signal_for_a_broken_stream(void)
{
    struct ss_error err;
    struct os_kind kind;
    int fds[2];
    refuse("flags", ENOSYS);
    unsignalled = 0;
    CHECK(os_socketpair(fds, &err) == SS_OK && unsignalled == 2);
    CHECK(os_describe(fds[0], &kind, &err) == SS_OK && kind.family == AF_UNIX && unsignalled == 3);
    close(fds[0]);
    close(fds[1]);
    check_made(open_socket(AF_INET, SOCK_STREAM, false), false);
    CHECKF(unsignalled == 4, "%d", unsignalled);
    refuse("", 0);
}

static int listen_anywhere(struct ss_addr *addr)
{
    struct ss_error err;
    int fd = open_socket(AF_INET, SOCK_STREAM, true);
    ss_addr_any(addr, AF_INET, 0);
    addr->sa.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(os_bind(fd, addr, &err) == SS_OK && os_listen(fd, 5, &err) == SS_OK && os_local(fd, addr, &err) == SS_OK);
    return fd;
}

static void test_accept4(void)
{
    struct ss_addr addr;
    struct ss_error err;
    bool again, later;
    for (int i = 0; i < CODES; i++) {
        int listener = listen_anywhere(&addr), client = open_socket(AF_INET, SOCK_STREAM, false), fd = -1;
        refuse("accept4", codes[i]);
        CHECK(os_accept(listener, &fd, &again, &err) == SS_WANT && !again);
        CHECK(os_connect(client, &addr, &later, &err) == SS_OK);
        CHECKF(os_accept(listener, &fd, &again, &err) == SS_OK, "refused with %d", code);
        CHECK(refusals == 2 && is_cloexec(fd) && !is_nonblock(fd));
        close(fd);
        CHECK(os_accept(client, &fd, &again, &err) == SS_ERROR && err.code == EINVAL); /* it does not listen */
        close(client);
        close(listener);
    }
    refuse("", 0);
}

static void test_the_mode_of_a_descriptor(void)
{
    struct ss_error err;
    int fd = open_socket(AF_INET, SOCK_STREAM, false);
    for (int i = 0; i <= CODES; i++) {
        refuse("ioctl", i < CODES ? codes[i] : ENOTTY);
        for (int on = 1; on >= 0; on--)
            CHECKF(os_nonblock(fd, on, &err) == SS_OK && is_nonblock(fd) == on, "refused with %d", code);
    }
    refuse("", 0);
    close(fd);
    CHECK(os_nonblock(fd, true, &err) == SS_ERROR && err.code == EBADF);
}

/* Datagrams */

enum { SENT = 4, ROOM = 6, LENGTH = 5 };

struct dgrams {
    int out, in;
    struct ss_addr addr;
    struct os_batch batch;
    union {
        struct mmsghdr aligned;
        unsigned char room[8192];
    } memory;
};

static void dgrams_open(struct dgrams *d)
{
    struct ss_error err;
    d->out = open_socket(AF_INET, SOCK_DGRAM, false);
    d->in = open_socket(AF_INET, SOCK_DGRAM, false);
    ss_addr_any(&d->addr, AF_INET, 0);
    d->addr.sa.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(os_bind(d->in, &d->addr, &err) == SS_OK && os_local(d->in, &d->addr, &err) == SS_OK);
    CHECK(os_batch_memory(ROOM, LENGTH) <= sizeof d->memory);
}

static void dgrams_close(struct dgrams *d)
{
    close(d->out);
    close(d->in);
}

static enum ss_status send_all(struct dgrams *d, size_t *sent, struct ss_error *err)
{
    struct iovec data[SENT];
    for (int i = 0; i < SENT; i++)
        data[i] = (struct iovec){ .iov_base = "abcd", .iov_len = (size_t)i + 1 };
    *sent = 0;
    os_batch_init(&d->batch, &d->memory, SENT, 0);
    return os_send_many(d->out, &d->batch, data, SENT, OS_DONTWAIT, &d->addr, false, sent, err);
}

static enum ss_status receive_all(struct dgrams *d, size_t *got, struct ss_error *err)
{
    *got = 0;
    os_batch_init(&d->batch, &d->memory, ROOM, LENGTH);
    return os_recv_many(d->in, &d->batch, OS_DONTWAIT, got, err);
}

static void check_all(struct dgrams *d)
{
    struct ss_error err = { SS_SYSTEM, 0 };
    struct os_message message;
    size_t n;
    CHECKF(send_all(d, &n, &err) == SS_OK && n == SENT, "%zu sent, error %d", n, err.code);
    CHECKF(receive_all(d, &n, &err) == SS_OK && n == SENT, "%zu received, error %d", n, err.code);
    for (size_t i = 0; i < n; i++) {
        os_batch_get(&d->batch, i, &message);
        CHECK(message.len == i + 1 && memcmp(message.data, "abcd", i + 1) == 0 && !message.cut);
    }
    CHECK(d->batch.pending_error == 0 && receive_all(d, &n, &err) == SS_WANT && n == 0);
}

static void test_many_datagrams(void)
{
    struct dgrams d;
    dgrams_open(&d);
    for (int i = 0; i < CODES; i++) {
        refuse("recvmmsg sendmmsg", codes[i]);
        check_all(&d);
        CHECK(refusals == (codes[i] == EOPNOTSUPP ? 6 : 3)); /* that may be no refusal, and is asked for again */
    }
    refuse("", 0);
    dgrams_close(&d);
}

static void test_the_length_of_a_datagram(void)
{
    struct dgrams d;
    struct ss_addr from;
    struct ss_error err;
    char buf[8];
    size_t n = 0;
    dgrams_open(&d);
    for (int i = 0; i < CODES; i++) {
        refuse("truncated", codes[i]);
        CHECK(os_next_length(d.in, OS_DONTWAIT, &n, &err) == SS_WANT);
        CHECK(os_recvfrom(d.in, buf, 4, OS_DONTWAIT, &from, &n, &err) == SS_WANT);
        for (int len = 4; len < 6; len++) {
            CHECK(os_sendto(d.out, "abcde", (size_t)len, OS_DONTWAIT, &d.addr, &err) == SS_OK);
            CHECK(os_next_length(d.in, OS_DONTWAIT, &n, &err) == SS_OK && n >= (size_t)len);
            enum ss_status st = os_recvfrom(d.in, buf, 4, OS_DONTWAIT, &from, &n, &err);
            CHECK(st == (len > 4 ? SS_TRUNCATED : SS_OK) && n == 4 && memcmp(buf, "abcd", 4) == 0);
            CHECK(from.len == sizeof from.sa.in && from.sa.in.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
        }
        CHECK(refusals == (codes[i] == EOPNOTSUPP ? 12 : 6));
    }
    refuse("", 0);
    dgrams_close(&d);
}

/* Whether a datagram is there or not, it is told, and nothing is taken. */
static void test_the_network_does_not_support_it(void)
{
    struct dgrams d;
    struct ss_error err;
    char buf[8];
    size_t n;
    dgrams_open(&d);
    for (int there = 0; there < 2; there++) {
        pending = EOPNOTSUPP;
        CHECK(os_recvfrom(d.in, buf, 4, OS_DONTWAIT, NULL, &n, &err) == SS_ERROR && err.code == EOPNOTSUPP);
        err.code = 0;
        pending = EOPNOTSUPP;
        CHECK(os_next_length(d.in, OS_DONTWAIT, &n, &err) == SS_ERROR && err.code == EOPNOTSUPP);
        err.code = 0;
        pending = EOPNOTSUPP;
        CHECK(receive_all(&d, &n, &err) == SS_ERROR && err.code == EOPNOTSUPP);
        err.code = 0;
        pending = EOPNOTSUPP;
        CHECK(send_all(&d, &n, &err) == SS_ERROR && err.code == EOPNOTSUPP && pending == 0);
        CHECK(os_recvfrom(d.in, buf, 4, OS_DONTWAIT, NULL, &n, &err) == (there ? SS_OK : SS_WANT));
        CHECK(os_sendto(d.out, "abc", 3, OS_DONTWAIT, &d.addr, &err) == SS_OK);
    }
    dgrams_close(&d);
}

/* What failed behind some that came is kept, since the kernel does not say it again. */
static void test_a_late_failure_of_receiving_plainly(void)
{
    struct dgrams d;
    struct ss_error err;
    size_t n;
    dgrams_open(&d);
    refuse("recvmmsg", ENOSYS);
    CHECK(send_all(&d, &n, &err) == SS_OK);
    good_receives = 2;
    late_code = ECONNREFUSED;
    CHECK(receive_all(&d, &n, &err) == SS_OK && n == 2 && d.batch.pending_error == ECONNREFUSED);
    good_receives = 1;
    late_code = EINTR;
    CHECK(receive_all(&d, &n, &err) == SS_OK && n == 1 && d.batch.pending_error == 0);
    CHECK(receive_all(&d, &n, &err) == SS_OK && n == 1);
    good_receives = 0;
    late_code = ECONNREFUSED;
    CHECK(receive_all(&d, &n, &err) == SS_ERROR && err.code == ECONNREFUSED && d.batch.pending_error == 0);
    good_receives = -1;
    refuse("", 0);
    dgrams_close(&d);
}

static struct ss_sock *open_in(struct ss_env *env, struct ss_sock *s)
{
    struct ss_error err;
    ss_sock_init(s, env, SOCK_DGRAM);
    CHECK(ss_sock_open(s, AF_INET, &err) == SS_OK);
    return s;
}

static enum ss_status receive_many(struct ss_sock *s, struct ss_dgram_state *state)
{
    struct ss_recvmany op = { .sock = s, .state = state, .count = ROOM, .size = LENGTH };
    op.op = (struct ss_op){ .step = ss_recvmany_step, .io = &s->io };
    ss_io_set_mode(op.op.io, SS_NO_WAIT);
    return ss_recvmany_step(&op.op);
}

/* By the next call. */
static void test_a_late_failure_is_told(void)
{
    struct heap heap = { 0 };
    struct ss_env env;
    struct ss_sock s;
    struct ss_dgram_state state = { .stream = 0 };
    struct dgrams d;
    struct ss_error err;
    size_t n;
    dgrams_open(&d);
    ss_env_init(&env, heap_mem(&heap));
    env.join_probe.outcome = SS_ERROR;
    open_in(&env, &s);
    CHECK(os_bind(s.io.fd, &(struct ss_addr){ .len = sizeof d.addr.sa.in, .sa.in.sin_family = AF_INET }, &err) ==
          SS_OK);
    CHECK(os_local(s.io.fd, &d.addr, &err) == SS_OK);
    d.addr.sa.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    refuse("recvmmsg", ENOSYS);
    CHECK(send_all(&d, &n, &err) == SS_OK);
    good_receives = SENT;
    late_code = ECONNREFUSED;
    CHECK(receive_many(&s, &state) == SS_OK && state.queue.n == SENT && state.pending_error == ECONNREFUSED);
    good_receives = -1;
    refuse("", 0);
    ss_sock_fini(&s);
    ss_env_fini(&env);
    heap_check_empty(&heap);
    dgrams_close(&d);
}

/* Joined datagrams whose length does not come along would be handed out as one. */
static void check_joining(bool works)
{
    struct heap heap = { 0 };
    struct ss_env env;
    struct ss_sock s[2];
    struct ss_dgram_state state[2] = { { .stream = 0 } };
    ss_env_init(&env, heap_mem(&heap));
    for (int i = 0; i < 2; i++) {
        open_in(&env, &s[i]);
        CHECK(receive_many(&s[i], &state[i]) == SS_WANT);
        CHECK(state[i].joining == (works ? SS_OFFLOAD_ON : SS_OFFLOAD_OFF));
        CHECKF(env.join_probe.attempts == 1, "%d probes", env.join_probe.attempts);
    }
    for (int i = 0; i < 2; i++)
        ss_sock_fini(&s[i]);
    ss_env_fini(&env);
    heap_check_empty(&heap);
}

static bool kernel_joins(void)
{
    int on = 1, fd = open_socket(AF_INET, SOCK_DGRAM, false);
    int joins = __real_setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    close(fd);
    return joins == 0;
}

static void test_joined_datagrams_that_cannot_be_told_apart(void)
{
    check_joining(kernel_joins());
    joins_none = true;
    check_joining(false);
    joins_none = false;
}

/* Not for ever, where it can't be found out. */
static void test_how_often_joining_is_tried(void)
{
    enum { MANY = 5 };
    struct heap heap = { 0 };
    struct ss_env env;
    ss_env_init(&env, heap_mem(&heap));
    for (int i = 0; i < MANY; i++) {
        struct ss_sock s;
        struct ss_dgram_state state = { .stream = 0 };
        open_in(&env, &s);
        good_receives = 0;
        late_code = EAGAIN;
        refuse("recvmmsg", EPERM);
        CHECK(receive_many(&s, &state) == SS_WANT && state.joining == SS_OFFLOAD_OFF);
        ss_sock_fini(&s);
    }
    CHECKF(env.join_probe.attempts == 3 && env.join_probe.outcome == SS_WANT, "%d probes", env.join_probe.attempts);
    good_receives = -1;
    refuse("", 0);
    ss_env_fini(&env);
    heap_check_empty(&heap);
}

/* Options */

static void check_option(int fd, int opt, int value)
{
    struct ss_error err;
    int is = -1;
    CHECK(os_opt_set_raw(fd, IPPROTO_IP, opt, value, &err) == SS_OK);
    CHECKF(os_opt_get_raw(fd, IPPROTO_IP, opt, &is, &err) == SS_OK && is == value, "%d is %d", opt, is);
}

static void test_options_that_are_bytes(void)
{
    struct ss_error err;
    int fd = open_socket(AF_INET, SOCK_DGRAM, false);
    for (int bytes = 0; bytes < 2; bytes++) {
        takes_bytes = bytes;
        check_option(fd, IP_MULTICAST_TTL, 255);
        check_option(fd, IP_MULTICAST_TTL, 7);
        check_option(fd, IP_MULTICAST_LOOP, 0);
        check_option(fd, IP_TTL, 9);
        CHECK(os_opt_set_raw(fd, IPPROTO_IP, IP_MULTICAST_TTL, 256, &err) == SS_ERROR && err.code == EINVAL);
        CHECK(os_opt_set_raw(fd, IPPROTO_IP, IP_TTL, 256, &err) == SS_ERROR && err.code == EINVAL);
    }
    takes_bytes = false;
    close(fd);
}

/* Waiting */

static int64_t ns(double ms)
{
    return (int64_t)(ms * 1e6);
}

static void check_time(double begin, double least_ms)
{
    double took = now_ms() - begin;
    CHECKF(took >= least_ms && took < least_ms + 400, "took %.2f ms, not %.0f", took, least_ms);
}

static enum ss_status wait_readable(int fd, double timeout_ms, struct ss_error *err)
{
    struct pollfd set[2] = { os_poll_for(fd, true, false) };
    return ss_wait_any(set, 1, set + 1, timeout_ms < 0 ? -1 : ns(timeout_ms), err);
}

static void check_waits(void)
{
    struct pair pair;
    struct ss_error err = { SS_SYSTEM, 0 };
    pair_open(&pair);
    for (double ms = 0.5; ms < 31; ms += 30) {
        double begin = now_ms();
        CHECKF(wait_readable(pair.sock.io.fd, ms, &err) == SS_TIMEOUT, "error %d", err.code);
        check_time(begin, ms);
        begin = now_ms();
        CHECK(ss_pause(ss_deadline_after(ns(ms))));
        check_time(begin, ms);
    }
    CHECK(write(pair.other, "x", 1) == 1);
    CHECKF(wait_readable(pair.sock.io.fd, -1, &err) == SS_OK, "error %d", err.code);
    CHECK(os_has_input(pair.sock.io.fd) && os_connected(pair.sock.io.fd, &err) == SS_OK);
    pair_close(&pair);
}

static void test_ppoll(void)
{
    for (int i = 0; i < CODES; i++) {
        refuse("ppoll", codes[i]);
        check_waits();
        CHECK(refusals > 0);
    }
    refuse("", 0);
}

/* No wait goes on for ever, and none ends as if its time were over. */
static void test_no_poll_at_all(void)
{
    struct pair pair;
    struct ss_error err = { SS_SYSTEM, 0 };
    pair_open(&pair);
    refuse("ppoll plain poll", EPERM);
    CHECK(wait_readable(pair.sock.io.fd, -1, &err) == SS_ERROR && err.code == EPERM);
    CHECK(os_connected(pair.sock.io.fd, &err) == SS_ERROR && err.code == EPERM);
    double begin = now_ms();
    CHECK(ss_pause(ss_deadline_after(ns(30)))); /* sleeping needs none */
    check_time(begin, 30);
    refuse("", 0);
    pair_close(&pair);
}

static void forbid_descriptors(struct rlimit *before)
{
    CHECK(getrlimit(RLIMIT_NOFILE, before) == 0);
    const struct rlimit none = { .rlim_cur = 0, .rlim_max = before->rlim_max };
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
}

/* poll(2) then takes no descriptor at all. */
static void test_waiting_without_a_right_to_descriptors(void)
{
    struct pair pair, other;
    struct ss_error err;
    struct rlimit before;
    pair_open(&pair);
    pair_open(&other);
    CHECK(write(pair.other, "x", 1) == 1);
    int in = pair.sock.io.fd, idle = other.sock.io.fd, closed = fcntl(in, F_DUPFD, 0);
    close(closed);
    forbid_descriptors(&before);
    struct pollfd set[5] = { os_poll_for(in, true, true), os_poll_for(idle, true, false),
                             os_poll_for(in, false, true) };
    struct pollfd spare[5];
    CHECK(ss_wait_any(set, 3, spare, -1, &err) == SS_OK);
    CHECK(set[0].revents == (POLLIN | POLLOUT) && set[1].revents == 0 && (set[2].revents & POLLOUT));
    double begin = now_ms();
    CHECK(wait_readable(idle, 30, &err) == SS_TIMEOUT);
    check_time(begin, 30);
    CHECK(os_has_input(in) && !os_has_input(idle) && os_connected(in, &err) == SS_OK);
    set[3] = os_poll_for(closed, true, false);
    CHECK(ss_wait_any(set, 4, spare, -1, &err) == SS_OK && set[3].revents == POLLNVAL && set[0].revents == 0);
    set[0] = os_poll_for(FD_SETSIZE, true, false);
    CHECK(ss_wait_any(set, 1, spare, -1, &err) == SS_ERROR && err.code == EINVAL);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    pair_close(&other);
    pair_close(&pair);
}

/* Where time_t has 32 bits it would wrap: a system is asked for less, and again. */
static void test_very_long_waits(void)
{
    const int64_t long_ns = (int64_t)5000000000 * 1000000000;
    struct pair pair;
    struct ss_error err;
    unsigned ready;
    pair_open(&pair);
    struct pollfd set[2] = { os_poll_for(pair.sock.io.fd, true, false) };
    is_over_at_once = true;
    CHECK(os_poll(set, 1, long_ns, &ready, &err) == SS_WANT && longest.tv_sec > 0 && longest.tv_sec < INT32_MAX);
    CHECK(write(pair.other, "x", 1) == 1);
    is_over_at_once = true;
    CHECK(ss_wait_any(set, 1, set + 1, long_ns, &err) == SS_WANT && !is_over_at_once);
    CHECK(ss_wait_any(set, 1, set + 1, long_ns, &err) == SS_OK);
    pair_close(&pair);
}

/* The poller */

static struct os_poller *open_poller(struct heap *heap)
{
    struct os_poller *p = NULL;
    struct ss_error err;
    const struct ss_mem mem = heap_mem(heap);
    if (os_poller_open(&p, &mem, &err) != SS_OK)
        abort();
    return p;
}

static enum ss_status wait_once(struct os_poller *p, double timeout_ms)
{
    struct os_event events[OS_EVENTS];
    struct ss_error err;
    size_t n;
    return os_poller_wait(p, ns(timeout_ms), events, &n, &err);
}

static void test_epoll_pwait2(void)
{
    for (int i = 0; i < CODES; i++) {
        struct heap heap = { 0 };
        struct os_poller *p = open_poller(&heap);
        refuse("epoll_pwait2", codes[i]);
        double begin = now_ms();
        CHECKF(wait_once(p, 20) == SS_TIMEOUT, "refused with %d", code);
        check_time(begin, 20);
        CHECK(wait_once(p, 1) == SS_TIMEOUT && refusals <= 1); /* for good */
        refuse("", 0);
        os_poller_close(p);
        heap_check_empty(&heap);
    }
}

static void test_a_very_long_wait_of_the_poller(void)
{
    struct heap heap = { 0 };
    struct pair pair;
    struct ss_error err;
    struct os_poller *p = open_poller(&heap);
    pair_open(&pair);
    longest.tv_sec = 0;
    CHECK(write(pair.other, "x", 1) == 1);
    CHECK(os_poller_watch(p, pair.sock.io.fd, OS_CAN_READ, false, &err) == SS_OK);
    CHECK(wait_once(p, 5e15 / 1000) == SS_OK && longest.tv_sec < INT32_MAX);
    os_poller_close(p);
    pair_close(&pair);
    heap_check_empty(&heap);
}

static bool is_readable(int fd)
{
    struct pollfd p = os_poll_for(fd, true, false);
    return __real_poll(&p, 1, 0) == 1;
}

static void test_epoll_create1_and_eventfd(void)
{
    for (int i = 0; i < CODES; i++) {
        struct heap heap = { 0 };
        refuse("epoll_create1 eventfd", codes[i]);
        struct os_poller *p = open_poller(&heap);
        struct ss_error err;
        int fd = -1;
        CHECK(os_poller_fd(p, &fd, &err) == SS_OK && refusals == 3 && is_cloexec(fd) && !is_readable(fd));
        for (int round = 0; round < 3; round++) {
            os_poller_wake(p);
            os_poller_wake(p);
            CHECK(is_readable(fd));
            CHECK(wait_once(p, 10000) == SS_TIMEOUT && !is_readable(fd));
        }
        refuse("", 0);
        os_poller_close(p);
        heap_check_empty(&heap);
    }
}

/* Who waits for a descriptor that nobody can make readable would wait for ever. */
static void test_no_descriptor_to_wake_the_poller(void)
{
    struct heap heap = { 0 };
    struct ss_error err;
    int fd = -1;
    struct os_poller *p = open_poller(&heap);
    refuse("eventfd", EMFILE);
    CHECK(os_poller_fd(p, &fd, &err) == SS_ERROR && err.code == EMFILE && fd == -1);
    refuse("", 0);
    CHECK(os_poller_fd(p, &fd, &err) == SS_OK && fd >= 0);
    os_poller_wake(p);
    CHECK(is_readable(fd));
    os_poller_close(p);
    heap_check_empty(&heap);
}

int main(void)
{
    RUN(test_flags_of_sockets);
    RUN(test_the_answer_of_the_plain_call);
    RUN(test_no_signal_for_a_broken_stream);
    RUN(test_accept4);
    RUN(test_the_mode_of_a_descriptor);
    RUN(test_many_datagrams);
    RUN(test_the_length_of_a_datagram);
    RUN(test_the_network_does_not_support_it);
    RUN(test_a_late_failure_of_receiving_plainly);
    RUN(test_a_late_failure_is_told);
    RUN(test_joined_datagrams_that_cannot_be_told_apart);
    RUN(test_how_often_joining_is_tried);
    RUN(test_options_that_are_bytes);
    RUN(test_ppoll);
    RUN(test_no_poll_at_all);
    RUN(test_waiting_without_a_right_to_descriptors);
    RUN(test_very_long_waits);
    RUN(test_epoll_pwait2);
    RUN(test_a_very_long_wait_of_the_poller);
    RUN(test_epoll_create1_and_eventfd);
    RUN(test_no_descriptor_to_wake_the_poller);
    return check_end();
}
