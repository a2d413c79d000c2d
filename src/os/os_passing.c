#include "os/os_passing.h"
#include "os/os_net.h"

#include <errno.h>
#include <fcntl.h>  /* fcntl */
#include <string.h> /* memcpy */
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE is set on each socket instead */
#endif

#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0 /* macOS: fcntl(2) follows, and a fork in another thread may come between */
#endif

/* As other transfers: a signal ends a call that may wait, and a call that does not wait is restarted. */
static enum ss_status passing_result(ssize_t value, size_t *count, struct ss_error *err)
{
    if (value >= 0) {
        *count = (size_t)value;
        return SS_OK;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return SS_WANT;
    *err = (struct ss_error){ SS_SYSTEM, errno };
    return SS_ERROR;
}

static bool was_interrupted(ssize_t value, int flags)
{
    return value == -1 && errno == EINTR && (flags & OS_DONTWAIT);
}

/* Aligned for the header; one descriptor. */
union outgoing_control {
    struct cmsghdr header;
    unsigned char room[CMSG_SPACE(sizeof(int))];
};

static void attach_descriptor(struct msghdr *msg, union outgoing_control *control, int passed)
{
    memset(control, 0, sizeof *control);
    msg->msg_control = control;
    msg->msg_controllen = sizeof control->room;
    control->header.cmsg_level = SOL_SOCKET;
    control->header.cmsg_type = SCM_RIGHTS;
    control->header.cmsg_len = CMSG_LEN(sizeof passed);
    memcpy(CMSG_DATA(&control->header), &passed, sizeof passed);
}

enum ss_status os_send_fd(int fd, const void *data, size_t len, int passed, int flags, size_t *sent,
                          struct ss_error *err)
{
    struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    union outgoing_control control;
    ssize_t n;
    attach_descriptor(&msg, &control, passed);
    do
        n = sendmsg(fd, &msg, MSG_NOSIGNAL | (flags & OS_DONTWAIT ? MSG_DONTWAIT : 0));
    while (was_interrupted(n, flags));
    return passing_result(n, sent, err);
}

/* Room for all that a message can hold (Linux: SCM_MAX_FD, 253 descriptors), beside what options that a program sets by
 * number may add (SO_PASSCRED): macOS leaves open what is cut off. */
union incoming_control {
    struct cmsghdr header;
    unsigned char room[2048];
};

#if defined(__linux__) && !defined(SCM_PIDFD)
#define SCM_PIDFD 0x04 /* with SO_PASSPIDFD (Linux 6.5): a descriptor of the sender's process */
#endif

static bool holds_descriptors(const struct cmsghdr *c)
{
#ifdef SCM_PIDFD
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_PIDFD)
        return true;
#endif
    return c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS;
}

/* Keeps the first passed descriptor in *passed and closes every other one. */
static void take_descriptors(struct cmsghdr *c, int *passed)
{
    struct ss_error ignored;
    const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        if (*passed != OS_NOTHING_PASSED || c->cmsg_type != SCM_RIGHTS)
            os_close(fd, &ignored);
        else
            *passed = fd;
    }
}

/* musl's CMSG macros convert between signed and unsigned. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wsign-conversion"
static int passed_with(struct msghdr *msg)
{
    int passed = OS_NOTHING_PASSED;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
        if (holds_descriptors(c))
            take_descriptors(c, &passed);
    return passed == OS_NOTHING_PASSED && (msg->msg_flags & MSG_CTRUNC) ? OS_PASSED_LOST : passed;
}
#pragma GCC diagnostic pop

static void set_close_on_exec(int passed)
{
    if (MSG_CMSG_CLOEXEC == 0 && passed >= 0)
        fcntl(passed, F_SETFD, FD_CLOEXEC);
}

enum ss_status os_recv_fd(int fd, void *buf, size_t len, int flags, size_t *got, int *passed, struct ss_error *err)
{
    struct iovec iov = { .iov_base = buf, .iov_len = len };
    union incoming_control control;
    struct msghdr msg;
    ssize_t n;
    do {
        msg = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
        msg.msg_controllen = sizeof control;
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | (flags & OS_DONTWAIT ? MSG_DONTWAIT : 0));
    } while (was_interrupted(n, flags));
    if (n <= 0)
        return n == 0 ? SS_EOF : passing_result(n, got, err);
    *passed = passed_with(&msg);
    set_close_on_exec(*passed);
    return passing_result(n, got, err);
}
