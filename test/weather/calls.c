/* The C library's functions through which the module asks the system, in front of the real ones. */
#include "weather.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

static void *find(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

/* Makes `real_NAME` the library's function. */
#define REAL(name)                        \
    static __typeof__(&name) real_##name; \
    if (!real_##name)                     \
    *(void **)&real_##name = find(#name)

/* To begin each function: others' calls pass, and the one that is to fail fails. */
#define ENTER(name, arguments, failed) \
    REAL(name);                        \
    OURS(name, arguments, failed)
#define OURS(name, arguments, failed)                                   \
    int struck;                                                         \
    if (!weather_is_module(__builtin_return_address(0)))                \
        return real_##name arguments;                                   \
    if (weather_strikes(#name, __builtin_return_address(0), &struck)) { \
        errno = struck;                                                 \
        return failed;                                                  \
    }

/* The same for transfers: what the one that fails has not taken comes later. */
#define TRANSFER(name, arguments) ENTER(name, arguments, (comes_later(fd), -1))

static void comes_later(int fd);

static int fail(int code)
{
    errno = code;
    return -1;
}

/* Questions about a descriptor, which leave errno alone */

static int socket_type(int fd)
{
    REAL(getsockopt);
    int type = -1, code = errno;
    socklen_t len = sizeof type;
    real_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
    errno = code;
    return type;
}

static bool is_unix(int fd)
{
    REAL(getsockopt);
    int family = -1, code = errno;
    socklen_t len = sizeof family;
    real_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    errno = code;
    return family == AF_UNIX;
}

static bool may_wait(int fd, int flags)
{
    REAL(fcntl);
    int code = errno, mode = real_fcntl(fd, F_GETFL);
    errno = code;
    return !(flags & MSG_DONTWAIT) && mode != -1 && !(mode & O_NONBLOCK);
}

/* A stream that is not connected is told so at once, by a call that waits for nothing. */
static bool is_at_rest(int fd)
{
    REAL(getpeername);
    struct sockaddr peer;
    const __SOCKADDR_ARG at = { .__sockaddr__ = &peer };
    socklen_t len = sizeof peer;
    int code = errno;
    bool at_rest = socket_type(fd) == SOCK_STREAM && real_getpeername(fd, at, &len) == -1;
    errno = code;
    return at_rest;
}

/* What was kept back comes later, or finds room later, and then an edge-triggered poller tells of it, as the kernel does
 * after a transfer of less than was asked for (epoll(7), "Questions and answers" 9): EPOLL_CTL_MOD reports what is there. */
static void comes_later(int fd)
{
    REAL(epoll_ctl);
    int code = errno;
    struct watch *watch = &weather_known(fd)->watch;
    if (watch->is)
        real_epoll_ctl(watch->poller, EPOLL_CTL_MOD, fd, &watch->event);
    errno = code;
}

/* To a socket over IP without a port EAGAIN says that none is free, which does not pass by itself. */
static bool has_no_port(int fd)
{
    REAL(getsockname);
    struct sockaddr_in name = { .sin_port = 1 };
    const __SOCKADDR_ARG at = { .__sockaddr_in__ = &name };
    socklen_t len = sizeof name;
    int code = errno, done = real_getsockname(fd, at, &len);
    errno = code;
    return done == 0 && (name.sin_family == AF_INET || name.sin_family == AF_INET6) && name.sin_port == 0;
}

/* Whether a call that transfers something ends with an error instead. */
static bool spoilt(int fd, int flags, int direction)
{
    struct known *known = weather_known(fd);
    bool reported = known->reported & direction;
    known->reported &= (unsigned char)~direction;
    if (may_wait(fd, flags)) {
        bool interrupted = !is_at_rest(fd) && weather_is(INTR);
        errno = interrupted ? EINTR : errno;
        return interrupted;
    }
    if (!reported || (direction == CAN_WRITE && has_no_port(fd)) || !weather_is(FALSE))
        return false;
    comes_later(fd);
    errno = EAGAIN;
    return true;
}

static size_t cut(int fd, size_t len)
{
    return len > 1 && socket_type(fd) == SOCK_STREAM && weather_is(SHORT) ? weather_piece(len) : len;
}

/* Transfers */

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    TRANSFER(recv, (fd, buf, len, flags))
    if (spoilt(fd, flags, CAN_READ))
        return -1;
    size_t some = cut(fd, len);
    ssize_t n = real_recv(fd, buf, some, flags);
    if (some < len)
        comes_later(fd);
    return n;
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    TRANSFER(send, (fd, buf, len, flags))
    if (spoilt(fd, flags, CAN_WRITE))
        return -1;
    size_t some = cut(fd, len);
    ssize_t n = real_send(fd, buf, some, flags);
    if (some < len)
        comes_later(fd);
    return n;
}

/* The last of the buffers that are sent is a whole one, or a piece of the first. */
static ssize_t send_some(int fd, const struct msghdr *msg, int flags)
{
    REAL(sendmsg);
    struct iovec piece = *msg->msg_iov;
    struct msghdr some = *msg;
    some.msg_iovlen = (size_t)weather_random(msg->msg_iovlen);
    if (some.msg_iovlen == 0) {
        piece.iov_len = piece.iov_len > 0 ? weather_piece(piece.iov_len) : 0;
        some.msg_iov = &piece;
        some.msg_iovlen = 1;
    }
    ssize_t n = real_sendmsg(fd, &some, flags);
    comes_later(fd);
    return n;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    TRANSFER(sendmsg, (fd, msg, flags))
    if (spoilt(fd, flags, CAN_WRITE))
        return -1;
    bool whole = msg->msg_iovlen < 2 || socket_type(fd) != SOCK_STREAM || !weather_is(SHORT);
    return whole ? real_sendmsg(fd, msg, flags) : send_some(fd, msg, flags);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    TRANSFER(recvmsg, (fd, msg, flags))
    return spoilt(fd, flags, CAN_READ) ? -1 : real_recvmsg(fd, msg, flags);
}

/* Of datagrams only, which come whole. */
ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags, __SOCKADDR_ARG from, socklen_t *restrict fromlen)
{
    TRANSFER(recvfrom, (fd, buf, len, flags, from, fromlen))
    return spoilt(fd, flags, CAN_READ) ? -1 : real_recvfrom(fd, buf, len, flags, from, fromlen);
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, __CONST_SOCKADDR_ARG to, socklen_t tolen)
{
    TRANSFER(sendto, (fd, buf, len, flags, to, tolen))
    return spoilt(fd, flags, CAN_WRITE) ? -1 : real_sendto(fd, buf, len, flags, to, tolen);
}

int recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout)
{
    TRANSFER(recvmmsg, (fd, msgs, n, flags, timeout))
    if (spoilt(fd, flags, CAN_READ))
        return -1;
    unsigned some = n > 1 && weather_is(FEW) ? (unsigned)weather_piece(n) : n;
    int got = real_recvmmsg(fd, msgs, some, flags, timeout);
    if (some < n)
        comes_later(fd);
    return got;
}

int sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
    TRANSFER(sendmmsg, (fd, msgs, n, flags))
    if (spoilt(fd, flags, CAN_WRITE))
        return -1;
    if (msgs->msg_hdr.msg_controllen > 0 && weather_is(UNSPLIT))
        return fail(weather_random(2) ? EIO : EINVAL);
    return real_sendmmsg(fd, msgs, n > 1 && weather_is(FEW) ? (unsigned)weather_piece(n) : n, flags);
}

ssize_t write(int fd, const void *buf, size_t len)
{
    ENTER(write, (fd, buf, len), -1)
    return real_write(fd, buf, len);
}

/* Connections */

int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *len, int flags)
{
    static const int vanished[] = { ECONNABORTED, EPROTO,       ENETDOWN, ENETUNREACH,
                                    EHOSTDOWN,    EHOSTUNREACH, ENONET,   ENOPROTOOPT };
    TRANSFER(accept4, (fd, addr, len, flags))
    if (spoilt(fd, 0, CAN_READ))
        return -1;
    if (weather_is(VANISHED))
        return fail(vanished[weather_random(sizeof vanished / sizeof *vanished)]);
    return real_accept4(fd, addr, len, flags);
}

/* An interrupted connect goes on behind the call (POSIX, connect()): here one that does not wait is made, and told as if a
 * signal had come. The one on a Unix socket waits for room only, and nothing goes on. */
static int connect_interrupted(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
    REAL(connect);
    REAL(ioctl);
    int on = 1, mode = !may_wait(fd, 0);
    real_ioctl(fd, FIONBIO, &on);
    int value = real_connect(fd, addr, len), code = errno;
    real_ioctl(fd, FIONBIO, &mode);
    errno = code == EINPROGRESS ? EINTR : code;
    return value;
}

/* In the place of accept4. */
int accept(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
    TRANSFER(accept, (fd, addr, len))
    return spoilt(fd, 0, CAN_READ) ? -1 : real_accept(fd, addr, len);
}

int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
    bool goes_on = socket_type(fd) == SOCK_STREAM && !is_unix(fd);
    ENTER(connect, (fd, addr, len), goes_on && struck == EINTR ? connect_interrupted(fd, addr, len) : -1)
    if (socket_type(fd) != SOCK_STREAM || !may_wait(fd, 0) || !weather_is(INTR))
        return real_connect(fd, addr, len);
    return goes_on ? connect_interrupted(fd, addr, len) : fail(EINTR);
}

/* Waiting */

static void note(int fd, bool readable, bool writable)
{
    weather_known(fd)->reported |= (unsigned char)((readable ? CAN_READ : 0) | (writable ? CAN_WRITE : 0));
}

/* Says that one of those to be read is ready. */
static int lie(struct pollfd *set, nfds_t n)
{
    nfds_t one = (nfds_t)weather_random(n);
    if (!(set[one].events & POLLIN) || set[one].fd < 0 || !weather_is(SPURIOUS))
        return 0;
    for (nfds_t i = 0; i < n; i++)
        set[i].revents = i == one ? POLLIN : 0;
    return 1;
}

int ppoll(struct pollfd *set, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    ENTER(ppoll, (set, n, timeout, mask), -1)
    if (weather_is(INTR))
        return fail(EINTR);
    if (n > 0 && lie(set, n))
        return 1;
    int found = real_ppoll(set, n, timeout, mask);
    for (nfds_t i = 0; found > 0 && i < n; i++)
        note(set[i].fd, set[i].revents & POLLIN, set[i].revents & POLLOUT);
    return found;
}

/* Never waits here: a signal ends it only if nothing was there (poll(2) of the BSDs says so, and Linux does it). */
int poll(struct pollfd *set, nfds_t n, int timeout)
{
    ENTER(poll, (set, n, timeout), -1)
    int found = real_poll(set, n, timeout);
    return found == 0 && weather_is(INTR) ? fail(EINTR) : found;
}

int pselect(int n, fd_set *restrict in, fd_set *restrict out, fd_set *restrict other,
            const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
    ENTER(pselect, (n, in, out, other, timeout, mask), -1)
    return weather_is(INTR) ? fail(EINTR) : real_pselect(n, in, out, other, timeout, mask);
}

int epoll_ctl(int poller, int op, int fd, struct epoll_event *event)
{
    ENTER(epoll_ctl, (poller, op, fd, event), -1)
    int value = real_epoll_ctl(poller, op, fd, event);
    struct watch *watch = &weather_known(fd)->watch;
    if (value == 0 && op == EPOLL_CTL_DEL)
        watch->is = false;
    else if (value == 0)
        *watch = (struct watch){ .is = true, .poller = poller, .event = *event };
    return value;
}

/* Says that one of those that are watched can be read. */
static int lie_of_watched(int poller, struct epoll_event *found)
{
    int first = (int)weather_random(64);
    if (!weather_is(SPURIOUS))
        return 0;
    for (int i = 0; i < DESCRIPTORS; i++) {
        const struct watch *watch = &weather_known((first + i) % DESCRIPTORS)->watch;
        if (watch->is && watch->poller == poller && (watch->event.events & EPOLLIN)) {
            found->events = EPOLLIN;
            found->data = watch->event.data;
            return 1;
        }
    }
    return 0;
}

/* Whatever wakes the loop has a descriptor of its own, and what is kept of that is its own data. */
static int note_found(const struct epoll_event *found, int n)
{
    for (int i = 0; i < n; i++)
        note(found[i].data.fd, found[i].events & EPOLLIN, found[i].events & EPOLLOUT);
    return n;
}

/* A wait of no time is not interrupted. */
static int before_wait(int poller, struct epoll_event *found, bool waits)
{
    if (waits && weather_is(INTR))
        return fail(EINTR);
    return lie_of_watched(poller, found);
}

int epoll_wait(int poller, struct epoll_event *found, int n, int timeout)
{
    ENTER(epoll_wait, (poller, found, n, timeout), -1)
    int value = before_wait(poller, found, timeout != 0);
    return value != 0 ? value : note_found(found, real_epoll_wait(poller, found, n, timeout));
}

int epoll_pwait2(int poller, struct epoll_event *found, int n, const struct timespec *timeout, const sigset_t *mask)
{
    ENTER(epoll_pwait2, (poller, found, n, timeout, mask), -1)
    if (weather_is(OLD))
        return fail(ENOSYS);
    int value = before_wait(poller, found, true);
    return value != 0 ? value : note_found(found, real_epoll_pwait2(poller, found, n, timeout, mask));
}

/* Options */

static bool is_refused(int level, int opt)
{
    int code = 0;
    bool is = (level == IPPROTO_UDP && opt == UDP_GRO && weather_refuses("UDP_GRO", &code)) ||
              (level == IPPROTO_UDP && opt == UDP_SEGMENT && weather_refuses("UDP_SEGMENT", &code)) ||
              (level == SOL_SOCKET && opt == SO_RCVTIMEO && weather_refuses("SO_RCVTIMEO", &code)) ||
              (level == SOL_SOCKET && opt == SO_SNDTIMEO && weather_refuses("SO_SNDTIMEO", &code));
    errno = is ? code : errno;
    return is;
}

int setsockopt(int fd, int level, int opt, const void *value, socklen_t len)
{
    ENTER(setsockopt, (fd, level, opt, value, len), -1)
    if (level == SOL_SOCKET && opt == SO_RCVTIMEO && weather_is(REFUSED))
        return fail(weather_random(2) ? ENOMEM : ENOBUFS);
    if (level == IPPROTO_UDP && opt == UDP_GRO && weather_is(OLD))
        return fail(ENOPROTOOPT);
    return is_refused(level, opt) ? -1 : real_setsockopt(fd, level, opt, value, len);
}

/* To ask for a pending error of an open socket can't fail. */
int getsockopt(int fd, int level, int opt, void *value, socklen_t *len)
{
    REAL(getsockopt);
    if (level == SOL_SOCKET && opt == SO_ERROR)
        return real_getsockopt(fd, level, opt, value, len);
    OURS(getsockopt, (fd, level, opt, value, len), -1)
    if (level == IPPROTO_UDP && opt == UDP_SEGMENT && weather_is(OLD))
        return fail(ENOPROTOOPT);
    return is_refused(level, opt) ? -1 : real_getsockopt(fd, level, opt, value, len);
}

int madvise(void *at, size_t len, int advice)
{
    ENTER(madvise, (at, len, advice), -1)
    return advice == MADV_WIPEONFORK && weather_is(OLD) ? fail(EINVAL) : real_madvise(at, len, advice);
}

/* The descriptor is gone, whatever close says (close(2), "Dealing with error returns"). */
int close(int fd)
{
    REAL(close);
    int struck, value = real_close(fd);
    if (!weather_is_module(__builtin_return_address(0)))
        return value;
    *weather_known(fd) = (struct known){ .reported = 0 };
    if (weather_strikes("close", __builtin_return_address(0), &struck))
        return fail(struck);
    return value == 0 && weather_is(INTR) ? fail(EINTR) : value;
}

/* Those that can only fail. */

#define PLAIN(type, name, parameters, arguments, failed) \
    type name parameters                                 \
    {                                                    \
        ENTER(name, arguments, failed)                   \
        return real_##name arguments;                    \
    }

PLAIN(int, socket, (int family, int type, int protocol), (family, type, protocol), -1)
PLAIN(int, socketpair, (int family, int type, int protocol, int fds[2]), (family, type, protocol, fds), -1)
PLAIN(int, bind, (int fd, __CONST_SOCKADDR_ARG addr, socklen_t len), (fd, addr, len), -1)
PLAIN(int, listen, (int fd, int backlog), (fd, backlog), -1)
PLAIN(int, shutdown, (int fd, int how), (fd, how), -1)
PLAIN(int, getsockname, (int fd, __SOCKADDR_ARG addr, socklen_t *len), (fd, addr, len), -1)
PLAIN(int, getpeername, (int fd, __SOCKADDR_ARG addr, socklen_t *len), (fd, addr, len), -1)
PLAIN(int, epoll_create1, (int flags), (flags), -1)
PLAIN(int, nanosleep, (const struct timespec *wanted, struct timespec *left), (wanted, left), -1)
PLAIN(int, epoll_create, (int size), (size), -1)
PLAIN(int, pipe, (int ends[2]), (ends), -1)
PLAIN(int, pipe2, (int ends[2], int flags), (ends, flags), -1)
PLAIN(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len), -1)
PLAIN(int, eventfd, (unsigned count, int flags), (count, flags), -1)
PLAIN(int, eventfd_read, (int fd, eventfd_t *value), (fd, value), -1)
PLAIN(int, eventfd_write, (int fd, eventfd_t value), (fd, value), -1)
PLAIN(int, munmap, (void *at, size_t len), (at, len), -1)
PLAIN(void *, mmap, (void *at, size_t len, int prot, int flags, int fd, off_t offset),
      (at, len, prot, flags, fd, offset), MAP_FAILED)
PLAIN(unsigned, if_nametoindex, (const char *name), (name), 0)
PLAIN(char *, if_indextoname, (unsigned index, char name[IF_NAMESIZE]), (index, name), NULL)

/* These return their error. EAI_SYSTEM has its cause in errno. */
PLAIN(int, pthread_create,
      (pthread_t *restrict thread, const pthread_attr_t *restrict attr, void *(*start)(void *), void *restrict arg),
      (thread, attr, start, arg), struck)
PLAIN(int, getaddrinfo,
      (const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
       struct addrinfo **restrict list),
      (host, service, hints, list), struck == EAI_SYSTEM ? (errno = EMFILE, struck) : struck)

/* With one argument more, as the module uses them. */

int ioctl(int fd, unsigned long request, ...)
{
    va_list more;
    va_start(more, request);
    void *arg = va_arg(more, void *);
    va_end(more);
    ENTER(ioctl, (fd, request, arg), -1)
    return real_ioctl(fd, request, arg);
}

int fcntl(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    void *arg = va_arg(more, void *);
    va_end(more);
    ENTER(fcntl, (fd, command, arg), -1)
    return real_fcntl(fd, command, arg);
}
