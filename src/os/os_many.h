/* Several datagrams with one system call (recvmmsg(2), sendmmsg(2)), or one after another where there is no
 * such call. */
#ifndef SS_OS_MANY_H
#define SS_OS_MANY_H

#include "core/addr.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>  /* size_t */
#include <sys/uio.h> /* struct iovec */

#pragma GCC visibility push(hidden)

enum { OS_MANY = 1024 }; /* at most so many a call (UIO_MAXIOV) */

/* Room for `n` datagrams of up to `size` bytes, in memory that the caller gives: the system's headers, one
 * array after another, and the buffers. */
struct os_batch {
    size_t n, size;
    void *msgs;
    struct iovec *iovs;
    union ss_sockaddr *names;
    unsigned char *buffers;
};

/* Bytes of memory that a batch needs. */
size_t os_batch_memory(size_t n, size_t size);
void os_batch_init(struct os_batch *batch, void *memory, size_t n, size_t size);

/* Receives what is there, waiting for the first only (flags: OS_DONTWAIT). SS_OK and *got > 0 | SS_WANT | SS_ERROR. */
enum ss_status os_recv_many(int fd, struct os_batch *batch, int flags, size_t *got, struct ss_error *err);

/* Datagram `i` of those received: its bytes, how many, whether it was cut, and its sender. */
const void *os_batch_get(const struct os_batch *batch, size_t i, size_t *len, bool *cut, struct ss_addr *from);

/* Sends the first batch->n of `data` or fewer, to the peer (`to` NULL) or an address. SS_OK and *sent > 0 |
 * SS_WANT | SS_ERROR. A batch for sending has buffers of 0 bytes. */
enum ss_status os_send_many(int fd, struct os_batch *batch, const struct iovec *data, size_t n, int flags,
                            const struct ss_addr *to, size_t *sent, struct ss_error *err);

#pragma GCC visibility pop

#endif
