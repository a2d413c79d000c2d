#include "os/os_many.h"
#include "os/os_net.h"

#include <errno.h>
#include <netinet/in.h>  /* IPPROTO_UDP */
#include <netinet/udp.h> /* UDP_SEGMENT, UDP_GRO */
#include <string.h>      /* memset */
#include <sys/socket.h>

#if defined(__linux__) || defined(__FreeBSD__) || defined(__NetBSD__)
typedef struct mmsghdr message;

static int receive(int fd, message *msgs, size_t n, int flags)
{
    return recvmmsg(fd, msgs, (unsigned)n, flags | MSG_WAITFORONE, NULL);
}

static int transmit(int fd, message *msgs, size_t n, int flags)
{
    return sendmmsg(fd, msgs, (unsigned)n, flags);
}
#else
typedef struct {
    struct msghdr msg_hdr;
    unsigned msg_len;
} message;

static int receive(int fd, message *msgs, size_t n, int flags)
{
    for (size_t i = 0; i < n; i++) {
        ssize_t got = recvmsg(fd, &msgs[i].msg_hdr, i == 0 ? flags : flags | MSG_DONTWAIT);
        if (got == -1)
            return i == 0 ? -1 : (int)i;
        msgs[i].msg_len = (unsigned)got;
    }
    return (int)n;
}

static int transmit(int fd, message *msgs, size_t n, int flags)
{
    for (size_t i = 0; i < n; i++)
        if (sendmsg(fd, &msgs[i].msg_hdr, i == 0 ? flags : flags | MSG_DONTWAIT) == -1)
            return i == 0 ? -1 : (int)i;
    return (int)n;
}
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* Room for one control message with an int, aligned as struct cmsghdr has to be. */
union control {
    struct cmsghdr header;
    unsigned char room[CMSG_SPACE(sizeof(int))];
};

size_t os_batch_memory(size_t n, size_t size)
{
    return n * (sizeof(message) + sizeof(union control) + sizeof(struct iovec) + sizeof(union ss_sockaddr) + size);
}

void os_batch_init(struct os_batch *batch, void *memory, size_t n, size_t size)
{
    message *msgs = memory;
    union control *controls = (void *)(msgs + n);
    struct iovec *iovs = (void *)(controls + n);
    union ss_sockaddr *names = (void *)(iovs + n);
    *batch = (struct os_batch){ .n = n, .size = size, .msgs = msgs, .controls = controls, .iovs = iovs };
    batch->names = names;
    batch->buffers = (unsigned char *)(names + n);
}

/* The result of a call that says how many messages went through. An interrupted call had not begun: once one has
 * gone through, the number comes back instead. */
static enum ss_status result(int value, size_t *count, struct ss_error *err)
{
    if (value > 0) {
        *count = (size_t)value;
        return SS_OK;
    }
    int code = value == 0 ? EAGAIN : errno;
    if (code == EAGAIN || code == EWOULDBLOCK || code == EINTR)
        return SS_WANT;
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

/* Receiving */

bool os_join_received(int fd, bool on)
{
#ifdef UDP_GRO
    int value = on;
    return setsockopt(fd, IPPROTO_UDP, UDP_GRO, &value, sizeof value) == 0;
#else
    (void)fd, (void)on;
    return false;
#endif
}

enum ss_status os_recv_many(int fd, struct os_batch *batch, int flags, size_t *got, struct ss_error *err)
{
    message *msgs = batch->msgs;
    union control *controls = batch->controls;
    memset(msgs, 0, batch->n * sizeof *msgs);
    for (size_t i = 0; i < batch->n; i++) {
        struct msghdr *hdr = &msgs[i].msg_hdr;
        batch->iovs[i] = (struct iovec){ .iov_base = batch->buffers + i * batch->size, .iov_len = batch->size };
        hdr->msg_iov = &batch->iovs[i];
        hdr->msg_iovlen = 1;
        hdr->msg_name = &batch->names[i];
        hdr->msg_namelen = sizeof batch->names[i];
        hdr->msg_control = &controls[i];
        hdr->msg_controllen = sizeof controls[i].room;
    }
    return result(receive(fd, msgs, batch->n, flags & OS_DONTWAIT ? MSG_DONTWAIT : 0), got, err);
}

static size_t segment_of(struct msghdr *hdr)
{
#ifdef UDP_GRO
    for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
        int segment;
        if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO)
            continue;
        memcpy(&segment, CMSG_DATA(c), sizeof segment);
        return (size_t)segment;
    }
#endif
    (void)hdr;
    return 0;
}

void os_batch_get(const struct os_batch *batch, size_t i, struct os_message *m)
{
    message *msg = (message *)batch->msgs + i;
    m->data = batch->buffers + i * batch->size;
    m->len = msg->msg_len < batch->size ? msg->msg_len : batch->size;
    m->segment = segment_of(&msg->msg_hdr);
    m->cut = (msg->msg_hdr.msg_flags & MSG_TRUNC) != 0;
    m->from.sa = batch->names[i];
    m->from.len =
        msg->msg_hdr.msg_namelen > sizeof m->from.sa ? (socklen_t)sizeof m->from.sa : msg->msg_hdr.msg_namelen;
}

/* Sending */

enum {
    SEGMENTS = 64,      /* UDP_MAX_SEGMENTS of the kernels that began with it */
    JOINED_MAX = 65000, /* bytes: what an IP datagram holds, with or without extension headers */
};

bool os_splits_sent(int fd)
{
#ifdef UDP_SEGMENT
    int none;
    socklen_t len = sizeof none;
    return getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &none, &len) == 0;
#else
    (void)fd;
    return false;
#endif
}

/* A datagram longer than the path takes in one piece, or a device without checksums (udp_send_skb in the kernel). */
bool os_is_refused_split(const struct ss_error *err)
{
    switch (err->code) {
    case EINVAL:
    case EIO:
    case EMSGSIZE:
    case EOPNOTSUPP:
        return true;
    default:
        return false;
    }
}

/* How many datagrams from the first on have its length; the last of them may be shorter. */
static size_t run_length(const struct iovec *data, size_t n)
{
    size_t len = data->iov_len, run = 1;
    if (len == 0)
        return 1;
    while (run < n && run < SEGMENTS && (run + 1) * len <= JOINED_MAX && data[run].iov_len == len)
        run++;
    bool shorter = run < n && run < SEGMENTS && data[run].iov_len > 0 && data[run].iov_len < len;
    return shorter && run * len + data[run].iov_len <= JOINED_MAX ? run + 1 : run;
}

static void set_segment(struct msghdr *hdr, union control *control, size_t segment)
{
#ifdef UDP_SEGMENT
    uint16_t value = (uint16_t)segment;
    memset(control, 0, sizeof *control);
    hdr->msg_control = control;
    hdr->msg_controllen = CMSG_SPACE(sizeof value);
    struct cmsghdr *c = CMSG_FIRSTHDR(hdr);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(c), &value, sizeof value);
#else
    (void)hdr, (void)control, (void)segment;
#endif
}

enum ss_status os_send_many(int fd, struct os_batch *batch, const struct iovec *data, size_t n, int flags,
                            const struct ss_addr *to, bool split, size_t *sent, struct ss_error *err)
{
    message *msgs = batch->msgs;
    union control *controls = batch->controls;
    size_t used = 0;
    for (size_t i = 0; i < n && used < batch->n; used++) {
        size_t run = split ? run_length(data + i, n - i) : 1;
        struct msghdr *hdr = &msgs[used].msg_hdr;
        *hdr = (struct msghdr){ .msg_iov = (struct iovec *)&data[i], .msg_name = to ? (void *)&to->sa : NULL };
        hdr->msg_iovlen = run;
        hdr->msg_namelen = to ? to->len : 0;
        if (run > 1)
            set_segment(hdr, &controls[used], data[i].iov_len);
        i += run;
    }
    size_t through = 0;
    enum ss_status st =
        result(transmit(fd, msgs, used, (flags & OS_DONTWAIT ? MSG_DONTWAIT : 0) | MSG_NOSIGNAL), &through, err);
    for (size_t i = 0; i < through; i++)
        *sent += msgs[i].msg_hdr.msg_iovlen;
    return st;
}
