/* System calls on sockets, one function each. src/os alone reads errno, directly after the call, restarts interrupted
 * calls and handles differences between systems.
 *
 * Results, unless stated otherwise: SS_OK, or SS_ERROR with errno in *err. Outputs are set with SS_OK only. */
#ifndef SS_OS_NET_H
#define SS_OS_NET_H

#include "base/sockaddr.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h> /* size_t */
#include <stdint.h>
#include <sys/uio.h> /* struct iovec */

#pragma GCC visibility push(hidden)

enum {
    OS_DONTWAIT = 1, /* SS_WANT instead of waiting (MSG_DONTWAIT) */
    OS_ALL = 2,      /* wait for the whole length (MSG_WAITALL) */
    OS_JOINS = 4     /* os_recv_many: the kernel may join datagrams */
};

/* New descriptors are close-on-exec; `nonblock` sets O_NONBLOCK. type: SOCK_STREAM or SOCK_DGRAM. */
enum ss_status os_socket(int family, int type, bool nonblock, int *fd, struct ss_error *err);
enum ss_status os_socketpair(int fds[2], struct ss_error *err);

/* Closes the descriptor also when reporting an error (close(2), "Dealing with error returns"). */
enum ss_status os_close(int fd, struct ss_error *err);

enum ss_status os_nonblock(int fd, bool on, struct ss_error *err);

/* Timeouts: sets SO_SNDTIMEO or SO_RCVTIMEO (socket(7)) to `ms` milliseconds; 0: none. */
enum ss_status os_kernel_timeout(int fd, bool sending, int32_t ms, struct ss_error *err);

/* Whether these timeouts bound a whole call, connect(2) included. Linux only: elsewhere each transfer restarts them. */
extern const bool os_kernel_bounds_calls;

/* Gets family and type of an open descriptor. SS_ERROR: EBADF, ENOTSOCK, EPROTOTYPE (neither stream nor datagram),
 * EAFNOSUPPORT. Sets close-on-exec and, on systems that have the option, SO_NOSIGPIPE. */
struct os_kind {
    int family;
    bool dgram;
};
enum ss_status os_describe(int fd, struct os_kind *kind, struct ss_error *err);

/* SS_OK | SS_ERROR | SS_WANT: in progress, os_connected has the result; with *later nothing is in progress (Unix: the
 * listener's queue is full, or a signal came): connect again later. */
enum ss_status os_connect(int fd, const struct ss_addr *addr, bool *later, struct ss_error *err);

/* The result of a connect in progress (SO_ERROR); never waits. SS_OK | SS_WANT | SS_ERROR. */
enum ss_status os_connected(int fd, struct ss_error *err);

/* Dissolves an association, or ends a connect that failed or is in progress (connect(2), AF_UNSPEC). */
enum ss_status os_disconnect(int fd, struct ss_error *err);

/* The first port that the system chooses by itself for a socket without one: as it was set when asked. */
uint16_t os_first_local_port(void);

enum ss_status os_bind(int fd, const struct ss_addr *addr, struct ss_error *err);

/* backlog < 0: the system's maximum. */
enum ss_status os_listen(int fd, int backlog, struct ss_error *err);

/* SS_OK | SS_ERROR | SS_WANT: no connection; with *again the call was interrupted or the connection was lost before the
 * accept: call again, since others may be pending. */
enum ss_status os_accept(int fd, int *accepted, bool *again, struct ss_error *err);

/* Whether the peer has acknowledged all bytes, and the end of the stream if it was sent. True on systems that do not know. */
bool os_is_acknowledged(int fd);

/* The same, or it never will: the connection is broken, and *left bytes are lost, the end of the stream among them if it
 * was sent. */
bool os_is_delivered(int fd, int *left);

enum ss_status os_shutdown(int fd, int how, struct ss_error *err);

/* Streams. SS_OK | SS_EOF | SS_ERROR | SS_WANT: would wait, was interrupted, or reached the kernel's timeout. */
enum ss_status os_recv(int fd, void *buf, size_t len, int flags, size_t *got, struct ss_error *err);
enum ss_status os_send(int fd, const struct iovec *iov, size_t n, int flags, size_t *sent, struct ss_error *err);

/* Datagrams; SS_WANT as for streams. `from`, `to`: NULL allowed. SS_TRUNCATED: *got = len, the rest is lost. */
enum ss_status os_recvfrom(int fd, void *buf, size_t len, int flags, struct ss_addr *from, size_t *got,
                           struct ss_error *err);
enum ss_status os_sendto(int fd, const void *buf, size_t len, int flags, const struct ss_addr *to,
                         struct ss_error *err);

/* Normalizes the errno `code` of a send or connect. EAGAIN of an IP socket without a port becomes EADDRNOTAVAIL: Linux
 * found no free port, so waiting is useless. ENOBUFS of a Unix socket on BSD and macOS (full queue) becomes EAGAIN. */
int os_unsent(int fd, int code);

/* Whether poll(2) reports room in the receive queue of a Unix datagram socket's peer: Linux only. Other systems report
 * the sender's own buffer, which such datagrams do not use. */
extern const bool os_polls_room;

/* The length of the next datagram, which stays queued (MSG_PEEK). SS_OK | SS_WANT | SS_ERROR. */
enum ss_status os_next_length(int fd, int flags, size_t *len, struct ss_error *err);

/* Removes one entry from an IP socket's error queue; the next entry's error becomes pending. Until the queue is empty,
 * poll(2) reports POLLERR, also for reported errors (ip(7), IP_RECVERR; Linux, networking/timestamping.rst). */
void os_drop_report(int fd);

/* Whether input, an end or an error is pending; true if poll(2) fails. */
bool os_has_input(int fd);

/* getsockname(2), getpeername(2). */
enum ss_status os_local(int fd, struct ss_addr *addr, struct ss_error *err);
enum ss_status os_peer(int fd, struct ss_addr *addr, struct ss_error *err);

#pragma GCC visibility pop

#endif
