/* Bad weather: a shared object to be preloaded, through which the module's system calls go. It leaves those of all others
 * alone. What it does to them is decided by
 *
 *   a seed (environment WEATHER=1, 2, ...): each call may misbehave, as a real kernel may; what a program must be told of comes
 *   only where it has asked for it (scarce in Lua);
 *   a name and a number (fail in Lua): that one call of this function fails, and no other;
 *   a list (environment REFUSE="1 accept4 UDP_GRO"): all calls of these functions, and with these options, fail with that
 *   errno, as under a seccomp profile.
 */
#ifndef WEATHER_H
#define WEATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/* Ways to misbehave. Each is one that the manual page named grants to the kernel. */
enum kind {
    SHORT, /* streams: fewer bytes than could be (recv(2), send(2): "may be less"; signal(7): interrupted half-way) */
    INTR, /* a signal came while the call waited or was about to: EINTR (signal(7)); close(2) has closed all the same */
    FALSE,    /* poll said ready, and yet EAGAIN (select(2), BUGS: the data had a wrong checksum) */
    SPURIOUS, /* poll and epoll say ready, and nothing is there (the same; poll(2), BUGS) */
    VANISHED, /* accept finds a connection that is gone already (accept(2), "Error handling") */
    FEW,      /* recvmmsg and sendmmsg pass on fewer datagrams than they could (sendmmsg(2), recvmmsg(2)) */
    REFUSED,  /* SO_RCVTIMEO can't be set for want of memory (POSIX, setsockopt(): ENOMEM, ENOBUFS) */
    SCARCE,   /* no descriptors, no memory: EMFILE, ENFILE, ENOBUFS, ENOMEM (socket(2), accept(2), send(2), recv(2)) */
    UNSPLIT,  /* the path takes no joined datagrams: EIO, EINVAL (udp(7), UDP_SEGMENT) */
    OLD, /* the whole run on an older kernel: no UDP_GRO and UDP_SEGMENT (before 5.0 and 4.18), no epoll_pwait2 (before
                 5.11), no MADV_WIPEONFORK (before 4.14) */
    KINDS
};

extern const char *const weather_names[KINDS];

/* Whether this call is to misbehave so. Counted. */
bool weather_is(enum kind kind);
uint64_t weather_random(uint64_t below);
size_t weather_piece(size_t len); /* 1..len, what a short transfer is cut to */

/* Whether an address is in the module. */
bool weather_is_module(const void *address);

/* One more call of the module, from there: whether it is the one that is to fail. Its code is in *code then. */
bool weather_strikes(const char *name, const void *from, int *code);

/* Whether that function or option is on the list of those that are refused. Its code is in *code then. */
bool weather_refuses(const char *name, int *code);

/* What is known of a descriptor. */
struct watch {
    bool is;
    int poller;
    struct epoll_event event;
};
enum { DESCRIPTORS = 4096, CAN_READ = 1, CAN_WRITE = 2 };
struct known {
    struct watch watch;
    unsigned char reported; /* poll or epoll said so, and nothing was tried since: CAN_READ | CAN_WRITE */
};
struct known *weather_known(int fd); /* never NULL */

#endif
