/* Many datagrams with one system call (recvmmsg(2), sendmmsg(2)), several of them in one message where the kernel splits and
 * joins (udp(7), UDP_SEGMENT and UDP_GRO); one after another where there is none of that. */
#ifndef SS_OS_MANY_H
#define SS_OS_MANY_H

#include "base/sockaddr.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>  /* size_t */
#include <sys/uio.h> /* struct iovec */

#pragma GCC visibility push(hidden)

enum { OS_MANY = 1024 }; /* messages a call, at most (UIO_MAXIOV) */

/* Room for `n` messages, in memory that the caller gives: the system's headers, one array after another, and for
 * receiving a buffer of `size` bytes each. */
struct os_batch {
    size_t n, size;
    void *msgs, *controls;
    struct iovec *iovs;
    union ss_sockaddr *names;
    unsigned char *buffers;
    int pending_error; /* how a receive failed, as errno says, behind the messages that it got; 0: it did not */
};

size_t os_batch_memory(size_t n, size_t size);
void os_batch_init(struct os_batch *batch, void *memory, size_t n, size_t size);

/* Lets the kernel join datagrams of one sender and one length in what is received from now on, or not any more. Every
 * receive on that descriptor must then go through a batch whose buffers hold OS_JOINED bytes. False: it can't. Only where
 * os_prove_joined says SS_OK can they be told apart. */
enum { OS_JOINED = 65536 };
bool os_join_received(int fd, bool on);

/* Whether the length of joined datagrams comes with them, as it does not through some emulators: who got them could not tell
 * them apart. Two are sent to ourselves. SS_OK: it does | SS_ERROR: no | SS_WANT: that could not be found out now. */
enum ss_status os_prove_joined(void);

/* Whether the kernel splits what is sent, and whether an error means that it did not want to split this. */
bool os_splits_sent(int fd);
bool os_is_refused_split(const struct ss_error *err);

/* Receives what is there, waiting for the first only (flags: OS_DONTWAIT, OS_JOINS). SS_OK and *got > 0 | SS_WANT | SS_ERROR. */
enum ss_status os_recv_many(int fd, struct os_batch *batch, int flags, size_t *got, struct ss_error *err);

/* One of the messages received. */
struct os_message {
    const unsigned char *data;
    size_t len;
    size_t segment; /* it is datagrams of that length, the last may be shorter; 0: it is one */
    bool cut;
    struct ss_addr from;
};
void os_batch_get(const struct os_batch *batch, size_t i, struct os_message *message);

/* Sends the first of `data` (`n` datagrams, as many as the batch holds messages for) to the peer (`to` NULL) or an
 * address; `split`: joins runs of equal length. SS_OK and *sent > 0 datagrams | SS_WANT | SS_ERROR. */
enum ss_status os_send_many(int fd, struct os_batch *batch, const struct iovec *data, size_t n, int flags,
                            const struct ss_addr *to, bool split, size_t *sent, struct ss_error *err);

#pragma GCC visibility pop

#endif
