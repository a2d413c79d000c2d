#include "os/os_net.h"
#include "os/os_poll.h"
#include "os/os_refused.h"

#include <errno.h>
#include <fcntl.h>     /* fcntl */
#include <limits.h>    /* IOV_MAX */
#include <stdlib.h>    /* strtol */
#include <string.h>    /* memset */
#include <sys/ioctl.h> /* FIONBIO, TIOCOUTQ */
#include <sys/socket.h>
#include <sys/time.h> /* struct timeval */
#include <unistd.h>   /* close, read */

#ifndef IOV_MAX
#define IOV_MAX 16 /* _XOPEN_IOV_MAX, the minimum of POSIX */
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE is set on each socket instead */
#endif

static enum ss_status fail_call(struct ss_error *err, int code)
{
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

static enum ss_status call_result(int value, struct ss_error *err)
{
    return value == -1 ? fail_call(err, errno) : SS_OK;
}

static bool would_block(int code)
{
    return code == EAGAIN || code == EWOULDBLOCK;
}

/* A broken stream is an error, not a signal. */
static void disable_sigpipe(int fd)
{
#ifdef SO_NOSIGPIPE
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    (void)fd;
}

/* Opening and closing */

/* Without SOCK_CLOEXEC a fork in another thread may inherit the descriptor before F_SETFD. fcntl(2) cannot fail for a
 * new descriptor. */
static int prepare_descriptor(int fd, bool nonblock)
{
    if (fd == -1)
        return fd;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, nonblock ? O_NONBLOCK : 0);
    disable_sigpipe(fd);
    return fd;
}

static int open_socket_fallback(int family, int type, bool nonblock)
{
    return prepare_descriptor(socket(family, type, 0), nonblock);
}

static int open_pair_fallback(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1)
        return -1;
    prepare_descriptor(fds[0], false);
    prepare_descriptor(fds[1], false);
    return 0;
}

static int accept_fallback(int fd)
{
    return prepare_descriptor(accept(fd, NULL, NULL), false);
}

#ifdef SOCK_CLOEXEC
static int open_socket(int family, int type, bool nonblock)
{
    int fd = socket(family, type | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0);
    return fd == -1 && os_is_refused(errno) ? open_socket_fallback(family, type, nonblock) : fd;
}

static int open_pair(int fds[2])
{
    int made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
    return made == -1 && os_is_refused(errno) ? open_pair_fallback(fds) : made;
}

static int accept_socket(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    return fd == -1 && os_is_refused(errno) ? accept_fallback(listener) : fd;
}
#else /* macOS */
static int open_socket(int family, int type, bool nonblock)
{
    return open_socket_fallback(family, type, nonblock);
}

static int open_pair(int fds[2])
{
    return open_pair_fallback(fds);
}

static int accept_socket(int fd)
{
    return accept_fallback(fd);
}
#endif

enum ss_status os_socketpair(int fds[2], struct ss_error *err)
{
    return call_result(open_pair(fds), err);
}

enum ss_status os_socket(int family, int type, bool nonblock, int *fd, struct ss_error *err)
{
    int made = open_socket(family, type, nonblock);
    if (made == -1)
        return fail_call(err, errno);
    *fd = made;
    return SS_OK;
}

enum ss_status os_close(int fd, struct ss_error *err)
{
    if (close(fd) == -1 && errno != EINTR && errno != EINPROGRESS)
        return fail_call(err, errno);
    return SS_OK;
}

static int nonblock_fallback(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    return flags == -1 ? -1 : fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

enum ss_status os_nonblock(int fd, bool on, struct ss_error *err)
{
    int value = on;
    if (ioctl(fd, FIONBIO, &value) == 0) /* one call; fcntl(2) takes two */
        return SS_OK;
    return os_is_refused(errno) || errno == ENOTTY ? call_result(nonblock_fallback(fd, on), err)
                                                   : fail_call(err, errno);
}

enum ss_status os_kernel_timeout(int fd, bool sending, int32_t ms, struct ss_error *err)
{
    struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
    return call_result(setsockopt(fd, SOL_SOCKET, sending ? SO_SNDTIMEO : SO_RCVTIMEO, &tv, sizeof tv), err);
}

#ifdef __linux__
const bool os_kernel_bounds_calls = true;
#else
const bool os_kernel_bounds_calls = false;
#endif

enum ss_status os_describe(int fd, struct os_kind *kind, struct ss_error *err)
{
    int type = 0;
    struct ss_addr name;
    socklen_t len = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1)
        return fail_call(err, errno);
    if (type != SOCK_STREAM && type != SOCK_DGRAM)
        return fail_call(err, EPROTOTYPE);
    enum ss_status st = os_local(fd, &name, err);
    if (st != SS_OK)
        return st;
    int family = name.sa.any.sa_family;
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
        return fail_call(err, EAFNOSUPPORT);
    *kind = (struct os_kind){ .family = family, .dgram = type == SOCK_DGRAM };
    disable_sigpipe(fd);
    return call_result(fcntl(fd, F_SETFD, FD_CLOEXEC), err);
}

/* Connecting and naming */

#ifdef __linux__
const bool os_polls_room = true;
#else
const bool os_polls_room = false;
#endif

static bool is_unix(int fd)
{
    struct ss_addr name;
    struct ss_error ignored;
    return os_local(fd, &name, &ignored) == SS_OK && name.sa.any.sa_family == AF_UNIX;
}

static bool has_no_port(int fd)
{
    struct ss_addr name;
    struct ss_error ignored;
    if (os_local(fd, &name, &ignored) != SS_OK)
        return false;
    switch (name.sa.any.sa_family) {
    case AF_INET:
        return name.sa.in.sin_port == 0;
    case AF_INET6:
        return name.sa.in6.sin6_port == 0;
    default:
        return false;
    }
}

int os_unsent(int fd, int code)
{
    if (code == ENOBUFS && !os_polls_room && is_unix(fd))
        return EAGAIN;
    return would_block(code) && has_no_port(fd) ? EADDRNOTAVAIL : code;
}

enum ss_status os_connect(int fd, const struct ss_addr *addr, bool *later, struct ss_error *err)
{
    *later = false;
    if (connect(fd, &addr->sa.any, addr->len) == 0)
        return SS_OK;
    int code = errno;
    /* A Unix connect succeeds at once or waits for the listener's queue; it never continues in the background. */
    *later = addr->sa.any.sa_family == AF_UNIX && (would_block(code) || code == EINTR);
    if (*later || code == EINPROGRESS || code == EINTR) /* others continue after EINTR (POSIX, connect()) */
        return SS_WANT;
    return fail_call(err, os_unsent(fd, code));
}

enum ss_status os_connected(int fd, struct ss_error *err)
{
    struct pollfd pfd = { .fd = fd, .events = POLLOUT };
    enum ss_status st = os_poll_now(&pfd, err);
    if (st != SS_OK)
        return st == SS_TIMEOUT ? SS_WANT : st;
    int code = 0;
    socklen_t len = sizeof code;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) == -1)
        code = errno;
    return code == 0 ? SS_OK : fail_call(err, code);
}

enum ss_status os_disconnect(int fd, struct ss_error *err)
{
    struct sockaddr none;
    memset(&none, 0, sizeof none);
    none.sa_family = AF_UNSPEC;
    if (connect(fd, &none, sizeof none) == 0 || errno == EAFNOSUPPORT || errno == EINVAL)
        return SS_OK; /* macOS and BSD dissolve the association and return an error all the same */
    return fail_call(err, errno);
}

#ifdef __linux__
#define LOCAL_PORT_RANGE "/proc/sys/net/ipv4/ip_local_port_range" /* ip(7); of IPv6 too */
#else
#define LOCAL_PORT_RANGE "" /* sysctl(3) has other names everywhere */
#endif

uint16_t os_first_local_port(void)
{
    enum { UNPRIVILEGED = 1024 };
    char text[32] = "";
    int fd = open(LOCAL_PORT_RANGE, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd == -1 ? 0 : read(fd, text, sizeof text - 1);
    if (fd != -1)
        close(fd);
    long port = n > 0 ? strtol(text, NULL, 10) : 0;
    return port > 0 && port <= UINT16_MAX ? (uint16_t)port : UNPRIVILEGED;
}

enum ss_status os_bind(int fd, const struct ss_addr *addr, struct ss_error *err)
{
    return call_result(bind(fd, &addr->sa.any, addr->len), err);
}

enum ss_status os_listen(int fd, int backlog, struct ss_error *err)
{
    /* Linux limits the value to net.core.somaxconn (listen(2)), which may exceed SOMAXCONN. */
    return call_result(listen(fd, backlog < 0 ? INT_MAX : backlog), err);
}

/* Pending network errors of the new connection, to be treated like EAGAIN (accept(2), "Error handling"). */
static bool is_lost_connection(int code)
{
    switch (code) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
#ifdef ENONET
    case ENONET:
#endif
        return true;
    default:
        return false;
    }
}

enum ss_status os_accept(int fd, int *accepted, bool *again, struct ss_error *err)
{
    int made = accept_socket(fd);
    int code = errno;
    *again = made == -1 && (code == EINTR || is_lost_connection(code));
    if (made == -1)
        return *again || would_block(code) ? SS_WANT : fail_call(err, code);
    *accepted = made;
    return SS_OK;
}

/* Bytes that the peer has not acknowledged; the end of the stream, once sent, is one of them. 0 where nobody knows. */
static int count_unacknowledged(int fd)
{
    int left = 0;
#if defined(__linux__) /* SIOCOUTQ (tcp(7)) */
    return ioctl(fd, TIOCOUTQ, &left) == -1 ? 0 : left;
#elif defined(FIONWRITE) /* FreeBSD */
    return ioctl(fd, FIONWRITE, &left) == -1 ? 0 : left;
#elif defined(SO_NWRITE) /* macOS */
    socklen_t len = sizeof left;
    return getsockopt(fd, SOL_SOCKET, SO_NWRITE, &left, &len) == -1 ? 0 : left;
#else
    (void)fd;
    return left;
#endif
}

bool os_is_acknowledged(int fd)
{
    return count_unacknowledged(fd) == 0;
}

/* After a reset the unacknowledged bytes still count as queued. */
static bool is_disconnected(int fd)
{
    struct ss_addr peer;
    struct ss_error err;
    return os_peer(fd, &peer, &err) == SS_ERROR && err.code == ENOTCONN;
}

bool os_is_delivered(int fd, int *left)
{
    *left = count_unacknowledged(fd);
    return *left == 0 || is_disconnected(fd);
}

enum ss_status os_shutdown(int fd, int how, struct ss_error *err)
{
    return call_result(shutdown(fd, how), err);
}

typedef int name_call(int, struct sockaddr *, socklen_t *);

static enum ss_status get_socket_name(name_call *call, int fd, struct ss_addr *addr, struct ss_error *err)
{
    socklen_t len = sizeof addr->sa;
    if (call(fd, &addr->sa.any, &len) == -1)
        return fail_call(err, errno);
    addr->len =
        len > sizeof addr->sa ? (socklen_t)sizeof addr->sa : len; /* unix(7), BUGS: may exceed the buffer by one */
    return SS_OK;
}

enum ss_status os_local(int fd, struct ss_addr *addr, struct ss_error *err)
{
    return get_socket_name(getsockname, fd, addr, err);
}

enum ss_status os_peer(int fd, struct ss_addr *addr, struct ss_error *err)
{
    return get_socket_name(getpeername, fd, addr, err);
}

/* Streams and datagrams. A signal ends a call that may wait: only the driver knows the remaining time. A non-blocking
 * call is restarted (Linux never interrupts one). */

static int native_flags(int flags)
{
    return (flags & OS_DONTWAIT ? MSG_DONTWAIT : 0) | (flags & OS_ALL ? MSG_WAITALL : 0);
}

static bool must_retry(ssize_t value, int flags)
{
    return value == -1 && errno == EINTR && (flags & OS_DONTWAIT);
}

static enum ss_status transfer_failure(int code, struct ss_error *err)
{
    return would_block(code) || code == EINTR ? SS_WANT : fail_call(err, code);
}

static enum ss_status transfer_result(ssize_t value, size_t *count, struct ss_error *err)
{
    if (value < 0)
        return transfer_failure(errno, err);
    *count = (size_t)value;
    return SS_OK;
}

enum ss_status os_recv(int fd, void *buf, size_t len, int flags, size_t *got, struct ss_error *err)
{
    ssize_t n;
    do
        n = recv(fd, buf, len, native_flags(flags));
    while (must_retry(n, flags));
    return n == 0 ? SS_EOF : transfer_result(n, got, err);
}

static ssize_t send_gathered(int fd, const struct iovec *iov, size_t n, int flags)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)iov };
    const uint16_t count = (uint16_t)(n < IOV_MAX ? n : IOV_MAX);
    msg.msg_iovlen = count; /* an int or a size_t */
    return sendmsg(fd, &msg, flags);
}

enum ss_status os_send(int fd, const struct iovec *iov, size_t n, int flags, size_t *sent, struct ss_error *err)
{
    int native = MSG_NOSIGNAL | (flags & OS_DONTWAIT ? MSG_DONTWAIT : 0);
    ssize_t done;
    do
        done = n == 1 ? send(fd, iov->iov_base, iov->iov_len, native) : send_gathered(fd, iov, n, native);
    while (must_retry(done, flags));
    return transfer_result(done, sent, err);
}

/* The length of the datagram, or len + 1 if longer than `len`. */
static ssize_t receive_datagram_fallback(int fd, void *buf, size_t len, int flags, struct ss_addr *from)
{
    struct iovec iov = { .iov_base = buf, .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (from) {
        msg.msg_name = &from->sa;
        msg.msg_namelen = sizeof from->sa;
    }
    ssize_t n = recvmsg(fd, &msg, flags);
    if (n >= 0 && from)
        from->len = msg.msg_namelen > sizeof from->sa ? (socklen_t)sizeof from->sa : msg.msg_namelen;
    return n >= 0 && (msg.msg_flags & MSG_TRUNC) ? (ssize_t)len + 1 : n;
}

#ifdef __linux__ /* MSG_TRUNC returns the full length (recv(2)) */
/* EOPNOTSUPP may also be a pending ICMP error (source route failed), which the kernel reports once. */
static bool receive_is_refused(int fd)
{
    char byte;
    int code = errno;
    bool once = code == EOPNOTSUPP && (recv(fd, &byte, 1, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT) != -1 || errno != code);
    errno = code;
    return !once && os_is_refused(code);
}

static ssize_t receive_datagram(int fd, void *buf, size_t len, int flags, struct ss_addr *from)
{
    socklen_t namelen = sizeof from->sa;
    ssize_t n = recvfrom(fd, buf, len, flags | MSG_TRUNC, from ? &from->sa.any : NULL, from ? &namelen : NULL);
    if (n == -1 && receive_is_refused(fd))
        return receive_datagram_fallback(fd, buf, len, flags, from);
    if (n >= 0 && from)
        from->len = namelen > sizeof from->sa ? (socklen_t)sizeof from->sa : namelen;
    return n;
}
#else
static ssize_t receive_datagram(int fd, void *buf, size_t len, int flags, struct ss_addr *from)
{
    return receive_datagram_fallback(fd, buf, len, flags, from);
}
#endif

enum ss_status os_recvfrom(int fd, void *buf, size_t len, int flags, struct ss_addr *from, size_t *got,
                           struct ss_error *err)
{
    ssize_t n;
    do
        n = receive_datagram(fd, buf, len, native_flags(flags), from);
    while (must_retry(n, flags));
    enum ss_status st = transfer_result(n, got, err);
    if (st != SS_OK || *got <= len)
        return st;
    *got = len;
    return SS_TRUNCATED;
}

enum ss_status os_sendto(int fd, const void *buf, size_t len, int flags, const struct ss_addr *to, struct ss_error *err)
{
    ssize_t n;
    do
        n = sendto(fd, buf, len, native_flags(flags) | MSG_NOSIGNAL, to ? &to->sa.any : NULL, to ? to->len : 0);
    while (must_retry(n, flags));
    return n == -1 ? transfer_failure(os_unsent(fd, errno), err) : SS_OK;
}

/* Without MSG_TRUNC: an upper bound of the length of any datagram. */
static ssize_t peek_maximum(int fd, char *byte, int flags)
{
    return recv(fd, byte, 1, flags | MSG_PEEK) == -1 ? -1 : 262144;
}

#ifdef __linux__ /* recv(2) */
static ssize_t peek_length(int fd, char *byte, int flags)
{
    ssize_t n = recv(fd, byte, 1, flags | MSG_PEEK | MSG_TRUNC);
    return n == -1 && receive_is_refused(fd) ? peek_maximum(fd, byte, flags) : n;
}
#else
static ssize_t peek_length(int fd, char *byte, int flags)
{
    return peek_maximum(fd, byte, flags);
}
#endif

enum ss_status os_next_length(int fd, int flags, size_t *len, struct ss_error *err)
{
    ssize_t n;
    char byte;
    do
        n = peek_length(fd, &byte, native_flags(flags));
    while (must_retry(n, flags));
    return transfer_result(n, len, err);
}

void os_drop_report(int fd)
{
#ifdef MSG_ERRQUEUE /* Linux */
    struct msghdr msg = { .msg_iovlen = 0 };
    recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);
#else
    (void)fd;
#endif
}

bool os_has_input(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };
    struct ss_error ignored;
    return os_poll_now(&pfd, &ignored) != SS_TIMEOUT;
}
