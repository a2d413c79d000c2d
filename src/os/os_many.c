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

/* A failure behind some that came can't be given back to the kernel: it is the caller's to keep. */
static int receive_batch_plainly(int fd, message *msgs, size_t n, bool dontwait, int *pending_error)
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

static int send_batch_plainly(int fd, message *msgs, size_t n, bool dontwait)
{
    for (size_t i = 0; i < n; i++)
        if (sendmsg(fd, &msgs[i].msg_hdr, (dontwait || i > 0 ? MSG_DONTWAIT : 0) | MSG_NOSIGNAL) == -1)
            return i == 0 ? -1 : (int)i;
    return (int)n;
}

#ifdef HAVE_MANY
/* EOPNOTSUPP is the network's answer as well (ICMP, a source route failed), which the kernel gives once: a call for no message
 * tells. Elsewhere than on Linux that may be a call for one. */
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
    return got == -1 && batch_is_refused(fd, msgs, false) ? receive_batch_plainly(fd, msgs, n, dontwait, pending_error)
                                                          : got;
}

static int send_batch(int fd, message *msgs, size_t n, bool dontwait)
{
    int sent = sendmmsg(fd, msgs, (unsigned)n, dontwait ? MSG_NOSIGNAL | MSG_DONTWAIT : MSG_NOSIGNAL);
    return sent == -1 && batch_is_refused(fd, msgs, true) ? send_batch_plainly(fd, msgs, n, dontwait) : sent;
}
#else
static int receive_batch(int fd, message *msgs, size_t n, bool dontwait, int *pending_error)
{
    return receive_batch_plainly(fd, msgs, n, dontwait, pending_error);
}

static int send_batch(int fd, message *msgs, size_t n, bool dontwait)
{
    return send_batch_plainly(fd, msgs, n, dontwait);
}
#endif

/* Room for control messages, aligned as struct cmsghdr has to be. Of ours there is one, with an int; a program may have asked
 * for others by number (socket(7), SO_TIMESTAMPING), which come before it. */
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

static bool is_no_failure(int code)
{
    return code == EAGAIN || code == EWOULDBLOCK || code == EINTR;
}

/* The result of a call that says how many messages went through. An interrupted call had not begun: once one has
 * gone through, the number comes back instead. */
static enum ss_status batch_result(int value, int code, size_t *count, struct ss_error *err)
{
    if (value > 0) {
        *count = (size_t)value;
        return SS_OK;
    }
    if (value == 0 || is_no_failure(code))
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
        if (!(flags & OS_JOINS)) /* who sends descriptors along (unix(7), SCM_RIGHTS) must not get them in */
            continue;
        hdr->msg_control = &controls[i];
        hdr->msg_controllen = sizeof controls[i].room;
    }
    batch->pending_error = 0;
    int received = receive_batch(fd, msgs, batch->n, flags & OS_DONTWAIT, &batch->pending_error);
    enum ss_status st = batch_result(received, errno, got, err);
    if (batch->pending_error != 0 && is_no_failure(batch->pending_error))
        batch->pending_error = 0;
    return st;
}

/* The macros of some systems convert between signed and unsigned (musl). */
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

/* A datagram longer than the path takes in one piece, or a device without checksums (udp_send_skb in the kernel). EOPNOTSUPP is
 * none of its answers: that has come from the network, and is not said again. */
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

/* How many datagrams from the first on have its length; the last of them may be shorter. */
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
        uint16_t run = split ? run_length(data + i, n - i) : 1; /* msg_iovlen is an int, or a size_t */
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
    return st;
}

/* Trying it */

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

static enum ss_status prove(int from, int into)
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

enum ss_status os_prove_joined(void)
{
    struct ss_error ignored;
    int from, into;
    if (os_socket(AF_INET, SOCK_DGRAM, true, &from, &ignored) != SS_OK)
        return SS_WANT;
    enum ss_status st = SS_WANT;
    if (os_socket(AF_INET, SOCK_DGRAM, true, &into, &ignored) == SS_OK) {
        st = prove(from, into);
        os_close(into, &ignored);
    }
    os_close(from, &ignored);
    return st;
}
