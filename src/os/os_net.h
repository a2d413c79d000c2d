/* System calls on sockets, one function each. Here alone errno is read, directly after the call; here alone
 * interrupted calls are made again, and what differs between systems is decided.
 *
 * Unless stated: SS_OK, or SS_ERROR with the cause in *err; results are stored only with SS_OK. */
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
    OS_DONTWAIT = 1, /* SS_WANT at once when the call would wait */
    OS_ALL = 2,      /* wait for the whole length (MSG_WAITALL) */
    OS_JOINS = 4     /* os_recv_many: the kernel may join datagrams */
};

/* Descriptors are close-on-exec; `nonblock` sets O_NONBLOCK. type: SOCK_STREAM or SOCK_DGRAM. */
enum ss_status os_socket(int family, int type, bool nonblock, int *fd, struct ss_error *err);
enum ss_status os_socketpair(int fds[2], struct ss_error *err);

/* The descriptor is gone after this, whatever it says (close(2), "Dealing with error returns"). */
enum ss_status os_close(int fd, struct ss_error *err);

enum ss_status os_nonblock(int fd, bool on, struct ss_error *err);

/* Bounds each waiting call in the kernel: SO_SNDTIMEO or SO_RCVTIMEO (socket(7)); 0: no bound. */
enum ss_status os_kernel_timeout(int fd, bool sending, int32_t ms, struct ss_error *err);

/* Whether these timeouts bound a call as a whole, connect(2) included: on Linux they do; elsewhere they count from the last
 * piece. */
extern const bool os_kernel_bounds_calls;

/* What an open descriptor is. SS_ERROR with EBADF, ENOTSOCK, EPROTOTYPE (neither stream nor datagram), EAFNOSUPPORT.
 * Sets close-on-exec, and that sending raises no signal where that is the socket's to say. */
struct os_kind {
    int family;
    bool dgram;
};
enum ss_status os_describe(int fd, struct os_kind *kind, struct ss_error *err);

/* SS_WANT: under way, os_connected tells the end. *later: nothing is under way (the queue of a Unix
 * listener is full), try again later. */
enum ss_status os_connect(int fd, const struct ss_addr *addr, bool *later, struct ss_error *err);

/* How a connect that was under way stands; never waits. SS_OK | SS_WANT | SS_ERROR. */
enum ss_status os_connected(int fd, struct ss_error *err);

/* Dissolves the association (connect(2), AF_UNSPEC). */
enum ss_status os_disconnect(int fd, struct ss_error *err);

enum ss_status os_bind(int fd, const struct ss_addr *addr, struct ss_error *err);

/* backlog < 0: the system's maximum. */
enum ss_status os_listen(int fd, int backlog, struct ss_error *err);

/* SS_WANT: none there; *again: the one that was there is gone, or the call was interrupted, and others may be there. */
enum ss_status os_accept(int fd, int *accepted, bool *again, struct ss_error *err);

/* Whether the peer has confirmed all that was written, its end as well, or never will, since the connection is broken; also
 * true where the system can't tell. */
bool os_is_delivered(int fd);

enum ss_status os_shutdown(int fd, int how, struct ss_error *err);

/* Streams. SS_WANT: would wait, was interrupted while it did, or the kernel's timeout ended it. SS_EOF. */
enum ss_status os_recv(int fd, void *buf, size_t len, int flags, size_t *got, struct ss_error *err);
enum ss_status os_send(int fd, const struct iovec *iov, size_t n, int flags, size_t *sent, struct ss_error *err);

/* Datagrams. `from` and `to` may be NULL. SS_TRUNCATED: *got = len bytes, and the rest of the datagram is gone. */
enum ss_status os_recvfrom(int fd, void *buf, size_t len, int flags, struct ss_addr *from, size_t *got,
                           struct ss_error *err);
enum ss_status os_sendto(int fd, const void *buf, size_t len, int flags, const struct ss_addr *to,
                         struct ss_error *err);

/* Why a call that sends or connects has failed with `code`. A socket over IP gets its port then, and Linux says EAGAIN when none
 * is free: there is nothing to wait for, and it is EADDRNOTAVAIL, as connect(2) says of a stream. To a full queue of a Unix
 * datagram socket the BSDs and macOS say ENOBUFS: that is EAGAIN. */
int os_unsent(int fd, int code);

/* Whether poll(2) knows of the room that the peer of a Unix datagram socket has: on Linux it does, elsewhere of our own buffer
 * only, through which nothing goes. */
extern const bool os_polls_room;

/* The length of the datagram that is received next, which stays where it is. SS_OK | SS_WANT | SS_ERROR. */
enum ss_status os_next_length(int fd, int flags, size_t *len, struct ss_error *err);

/* Takes the first entry out of the error queue of a socket over IP: for as long as there is one, poll(2) reports an error, also
 * after that was told (ip(7), IP_RECVERR; the kernel's networking/timestamping.rst). The error of the next one is pending then. */
void os_drop_report(int fd);

/* Whether something to receive is there. */
bool os_has_input(int fd);

/* The local or the peer's address. */
enum ss_status os_local(int fd, struct ss_addr *addr, struct ss_error *err);
enum ss_status os_peer(int fd, struct ss_addr *addr, struct ss_error *err);

/* Joins or leaves a multicast group (RFC 3678 section 5.1); iface 0: the system chooses. */
enum ss_status os_group(int fd, bool join, const struct ss_addr *group, uint32_t iface, struct ss_error *err);

#pragma GCC visibility pop

#endif
