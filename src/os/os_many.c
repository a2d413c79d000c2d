#include "os/os_many.h"
#include "os/os_net.h"

#include <errno.h>
#include <string.h> /* memset */
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

size_t os_batch_memory(size_t n, size_t size)
{
    return n * (sizeof(message) + sizeof(struct iovec) + sizeof(union ss_sockaddr) + size);
}

void os_batch_init(struct os_batch *batch, void *memory, size_t n, size_t size)
{
    message *msgs = memory;
    struct iovec *iovs = (struct iovec *)(void *)(msgs + n);
    union ss_sockaddr *names = (union ss_sockaddr *)(void *)(iovs + n);
    *batch = (struct os_batch){ .n = n, .size = size, .msgs = msgs, .iovs = iovs, .names = names };
    batch->buffers = (unsigned char *)(names + n);
}

/* The result of a call that says how many datagrams went through. An interrupted call had not begun: once one has
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

enum ss_status os_recv_many(int fd, struct os_batch *batch, int flags, size_t *got, struct ss_error *err)
{
    message *msgs = batch->msgs;
    memset(msgs, 0, batch->n * sizeof *msgs);
    for (size_t i = 0; i < batch->n; i++) {
        struct msghdr *hdr = &msgs[i].msg_hdr;
        batch->iovs[i] = (struct iovec){ .iov_base = batch->buffers + i * batch->size, .iov_len = batch->size };
        hdr->msg_iov = &batch->iovs[i];
        hdr->msg_iovlen = 1;
        hdr->msg_name = &batch->names[i];
        hdr->msg_namelen = sizeof batch->names[i];
    }
    return result(receive(fd, msgs, batch->n, flags & OS_DONTWAIT ? MSG_DONTWAIT : 0), got, err);
}

const void *os_batch_get(const struct os_batch *batch, size_t i, size_t *len, bool *cut, struct ss_addr *from)
{
    const message *msg = (const message *)batch->msgs + i;
    *len = msg->msg_len < batch->size ? msg->msg_len : batch->size;
    *cut = (msg->msg_hdr.msg_flags & MSG_TRUNC) != 0;
    from->sa = batch->names[i];
    from->len = msg->msg_hdr.msg_namelen > sizeof from->sa ? (socklen_t)sizeof from->sa : msg->msg_hdr.msg_namelen;
    return batch->buffers + i * batch->size;
}

enum ss_status os_send_many(int fd, struct os_batch *batch, const struct iovec *data, size_t n, int flags,
                            const struct ss_addr *to, size_t *sent, struct ss_error *err)
{
    message *msgs = batch->msgs;
    if (n > batch->n)
        n = batch->n;
    memset(msgs, 0, n * sizeof *msgs);
    for (size_t i = 0; i < n; i++) {
        struct msghdr *hdr = &msgs[i].msg_hdr;
        hdr->msg_iov = (struct iovec *)&data[i];
        hdr->msg_iovlen = 1;
        hdr->msg_name = to ? (void *)&to->sa : NULL;
        hdr->msg_namelen = to ? to->len : 0;
    }
    return result(transmit(fd, msgs, n, (flags & OS_DONTWAIT ? MSG_DONTWAIT : 0) | MSG_NOSIGNAL), sent, err);
}
