/* Batches of datagrams: many for each system call (recvmmsg(2), sendmmsg(2)), and several in one message with
 * UDP_SEGMENT and UDP_GRO (udp(7)). Systems without these calls transfer one datagram at a time. */
#ifndef SS_OS_MANY_H
#define SS_OS_MANY_H

#include "base/sockaddr.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>  /* size_t */
#include <sys/uio.h> /* struct iovec */

#pragma GCC visibility push(hidden)

enum { OS_MANY = 1024 }; /* messages for each call, at most (UIO_MAXIOV) */

/* `n` messages in memory that the caller owns (os_batch_memory bytes): arrays of the system's headers and, for
 * receiving, a buffer of `size` bytes for each message. */
struct os_batch {
    size_t n, size;
    void *msgs, *controls;
    struct iovec *iovs;
    union ss_sockaddr *names;
    unsigned char *buffers;
    int pending_error; /* errno of a receive that failed after this batch's messages; 0: none */
    bool cut_short;    /* the latest send took less than the messages of one call */
};

size_t os_batch_memory(size_t n, size_t size);
void os_batch_init(struct os_batch *batch, void *memory, size_t n, size_t size);

/* Switches UDP_GRO: the kernel may join received datagrams of one sender and one length. While on, each receive needs a
 * batch with buffers of OS_JOINED bytes, and OS_JOINS. False: the kernel cannot. Requires SS_OK of os_probe_joined. */
enum { OS_JOINED = 65536 };
bool os_join_received(int fd, bool on);

/* Whether joined datagrams arrive with their segment length; some emulators lose the length, and a receiver could not
 * separate the datagrams. Sends two over loopback. SS_OK: yes | SS_ERROR: no | SS_WANT: unknown, try again later. */
enum ss_status os_probe_joined(void);

/* Whether a socket supports UDP_SEGMENT; whether a send failed because the kernel cannot split that message. */
bool os_splits_sent(int fd);
bool os_is_refused_split(const struct ss_error *err);

/* Receives up to batch->n datagrams; may wait for the first only (flags: OS_DONTWAIT, OS_JOINS).
 * SS_OK and *got > 0 messages | SS_WANT | SS_ERROR. */
enum ss_status os_recv_many(int fd, struct os_batch *batch, int flags, size_t *got, struct ss_error *err);

/* A received message; `data` points into the batch. */
struct os_message {
    const unsigned char *data;
    size_t len;
    size_t segment; /* length of each joined datagram, the last may be shorter; 0: a single datagram */
    bool cut;       /* longer than the buffer */
    struct ss_addr from;
};
void os_batch_get(const struct os_batch *batch, size_t i, struct os_message *message);

/* Sends datagrams from the front of data[0..n), at most one message for each of the batch, to `to` (NULL: the connected
 * peer). `split`: uses UDP_SEGMENT for runs of equal length. SS_OK and *sent increased | SS_WANT | SS_ERROR. */
enum ss_status os_send_many(int fd, struct os_batch *batch, const struct iovec *data, size_t n, int flags,
                            const struct ss_addr *to, bool split, size_t *sent, struct ss_error *err);

#pragma GCC visibility pop

#endif
