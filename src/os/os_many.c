#include "os/os_many.h"
#include "os/os_net.h"
#include "os/os_refused.h"

#include <errno.h>
#include <netinet/in.h>  /* IPPROTO_UDP */
#include <netinet/udp.h> /* UDP_SEGMENT, UDP_GRO */
#include <string.h>      /* memset */
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

#if defined(__linux__) || defined(__FreeBSD__) || defined(__NetBSD__)
#define HAVE_MANY
typedef struct mmsghdr message;
#else
typedef struct {
    struct msghdr msg_hdr;
    unsigned msg_len;
} message;
#endif

/* An error after the first message cannot be returned to the kernel: the caller keeps *pending_error. */
static int receive_batch_singly(int fd, message *msgs, size_t n, bool dontwait, int *pending_error)
{
    for (size_t i = 0; i < n; i++) {
        ssize_t got = recvmsg(fd, &msgs[i].msg_hdr, dontwait || i > 0 ? MSG_DONTWAIT : 0);
        if (got == -1 && i > 0)
            *pending_error = errno;
        if (got == -1)
            return i == 0 ? -1 : (int)i;
        msgs[i].msg_len = (unsigned)got;
    }
    return (int)n;
}

static int send_batch_singly(int fd, message *msgs, size_t n, bool dontwait)
{
    for (size_t i = 0; i < n; i++)
        if (sendmsg(fd, &msgs[i].msg_hdr, (dontwait || i > 0 ? MSG_DONTWAIT : 0) | MSG_NOSIGNAL) == -1)
            return i == 0 ? -1 : (int)i;
    return (int)n;
}

#ifdef HAVE_MANY
/* EOPNOTSUPP may also be a pending ICMP error (source route failed), which the kernel reports once: a second call, for
 * 0 messages, tells the two apart. Outside Linux a call for 0 messages may transfer one. */
static bool batch_is_refused(int fd, message *msgs, bool sending)
{
    int code = errno, none = -1;
#ifdef __linux__
    if (code == EOPNOTSUPP)
        none = sending ? sendmmsg(fd, msgs, 0, MSG_DONTWAIT) : recvmmsg(fd, msgs, 0, MSG_DONTWAIT, NULL);
#else
    (void)fd, (void)msgs, (void)sending;
#endif
    errno = code;
    return none == -1 && os_is_refused(code);
}

static int receive_batch(int fd, message *msgs, size_t n, bool dontwait, int *pending_error)
{
    int got = recvmmsg(fd, msgs, (unsigned)n, dontwait ? MSG_WAITFORONE | MSG_DONTWAIT : MSG_WAITFORONE, NULL);
    return got == -1 && batch_is_refused(fd, msgs, false) ? receive_batch_singly(fd, msgs, n, dontwait, pending_error)
                                                          : got;
}

static int send_batch(int fd, message *msgs, size_t n, bool dontwait)
{
    int sent = sendmmsg(fd, msgs, (unsigned)n, dontwait ? MSG_NOSIGNAL | MSG_DONTWAIT : MSG_NOSIGNAL);
    return sent == -1 && batch_is_refused(fd, msgs, true) ? send_batch_singly(fd, msgs, n, dontwait) : sent;
}
#else
static int receive_batch(int fd, message *msgs, size_t n, bool dontwait, int *pending_error)
{
    return receive_batch_singly(fd, msgs, n, dontwait, pending_error);
}

static int send_batch(int fd, message *msgs, size_t n, bool dontwait)
{
    return send_batch_singly(fd, msgs, n, dontwait);
}
#endif

/* Control messages, aligned for struct cmsghdr. UDP_GRO needs one, with an int; options that a program sets by number
 * (SO_TIMESTAMPING) add others, which precede it. */
union control {
    struct cmsghdr header;
    unsigned char room[256];
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

static bool is_transient(int code)
{
    return code == EAGAIN || code == EWOULDBLOCK || code == EINTR;
}

/* Converts the result of a batch call, the number of messages. EINTR means that none was transferred: after the first
 * message the call returns the number. */
static enum ss_status batch_result(int value, int code, size_t *count, struct ss_error *err)
{
    if (value > 0) {
        *count = (size_t)value;
        return SS_OK;
    }
    if (value == 0 || is_transient(code))
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
        if (!(flags & OS_JOINS)) /* no room for descriptors that a peer sends (unix(7), SCM_RIGHTS) */
            continue;
        hdr->msg_control = &controls[i];
        hdr->msg_controllen = sizeof controls[i].room;
    }
    batch->pending_error = 0;
    int received = receive_batch(fd, msgs, batch->n, flags & OS_DONTWAIT, &batch->pending_error);
    enum ss_status st = batch_result(received, errno, got, err);
    if (batch->pending_error != 0 && is_transient(batch->pending_error))
        batch->pending_error = 0;
    return st;
}

/* musl's CMSG macros convert between signed and unsigned. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
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
#pragma GCC diagnostic pop

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
    SEGMENTS = 64,      /* UDP_MAX_SEGMENTS of the first kernels with UDP_SEGMENT */
    JOINED_MAX = 65000, /* bytes: fits an IP datagram, extension headers included */
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

/* The segment exceeds the path MTU, or the device has no checksum offload (udp_send_skb in the kernel). EOPNOTSUPP
 * comes from the network instead, and only once. */
bool os_is_refused_split(const struct ss_error *err)
{
    switch (err->code) {
    case EINVAL:
    case EIO:
    case EMSGSIZE:
        return true;
    default:
        return false;
    }
}

/* The number of leading datagrams that one message may join: equal lengths, the last may be shorter. */
static uint16_t run_length(const struct iovec *data, size_t n)
{
    size_t len = data->iov_len;
    uint16_t run = 1;
    if (len == 0)
        return 1;
    while (run < n && run < SEGMENTS && (run + 1) * len <= JOINED_MAX && data[run].iov_len == len)
        run++;
    bool shorter = run < n && run < SEGMENTS && data[run].iov_len > 0 && data[run].iov_len < len;
    if (shorter && run * len + data[run].iov_len <= JOINED_MAX)
        run++;
    return run;
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
        uint16_t run = split ? run_length(data + i, n - i) : 1; /* msg_iovlen is an int or a size_t */
        struct msghdr *hdr = &msgs[used].msg_hdr;
        *hdr = (struct msghdr){ .msg_iov = (struct iovec *)&data[i], .msg_name = to ? (void *)&to->sa : NULL };
        hdr->msg_iovlen = run;
        hdr->msg_namelen = to ? to->len : 0;
        if (run > 1)
            set_segment(hdr, &controls[used], data[i].iov_len);
        i += run;
    }
    size_t through = 0;
    int done = send_batch(fd, msgs, used, flags & OS_DONTWAIT);
    enum ss_status st = batch_result(done, done == -1 ? os_unsent(fd, errno) : 0, &through, err);
    for (size_t i = 0; i < through; i++)
        *sent += (size_t)msgs[i].msg_hdr.msg_iovlen;
    batch->cut_short = through < used;
    return st;
}

/* Probing UDP_GRO */

enum { PROBE_LENGTH = 8, PROBE_DATAGRAMS = 2 };

union probe_memory {
    message aligned;
    unsigned char room[2048];
};

static bool is_probe(const struct os_batch *batch, size_t got)
{
    struct os_message m;
    if (got != 1)
        return false;
    os_batch_get(batch, 0, &m);
    return m.len == PROBE_LENGTH * PROBE_DATAGRAMS && m.segment == PROBE_LENGTH;
}

static enum ss_status receive_probe(int fd)
{
    union probe_memory memory;
    struct os_batch batch;
    struct ss_error ignored;
    size_t got = 0;
    os_batch_init(&batch, &memory, PROBE_DATAGRAMS, PROBE_LENGTH * PROBE_DATAGRAMS);
    enum ss_status st = os_recv_many(fd, &batch, OS_DONTWAIT | OS_JOINS, &got, &ignored);
    return st == SS_OK && !is_probe(&batch, got) ? SS_ERROR : st;
}

static enum ss_status probe_joining(int from, int into)
{
    static char bytes[PROBE_LENGTH];
    const struct iovec data[PROBE_DATAGRAMS] = { { bytes, sizeof bytes }, { bytes, sizeof bytes } };
    union probe_memory memory;
    struct os_batch batch;
    struct ss_addr addr = { .len = sizeof addr.sa.in };
    struct ss_error ignored;
    size_t sent = 0;
    addr.sa.in.sin_family = AF_INET;
    addr.sa.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!os_join_received(into, true))
        return SS_ERROR;
    if (os_bind(into, &addr, &ignored) != SS_OK || os_local(into, &addr, &ignored) != SS_OK)
        return SS_WANT;
    os_batch_init(&batch, &memory, 1, 0);
    if (os_send_many(from, &batch, data, PROBE_DATAGRAMS, OS_DONTWAIT, &addr, true, &sent, &ignored) != SS_OK)
        return SS_WANT;
    return receive_probe(into);
}

enum ss_status os_probe_joined(void)
{
    struct ss_error ignored;
    int from, into;
    if (os_socket(AF_INET, SOCK_DGRAM, true, &from, &ignored) != SS_OK)
        return SS_WANT;
    enum ss_status st = SS_WANT;
    if (os_socket(AF_INET, SOCK_DGRAM, true, &into, &ignored) == SS_OK) {
        st = probe_joining(from, into);
        os_close(into, &ignored);
    }
    os_close(from, &ignored);
    return st;
}
