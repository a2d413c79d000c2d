/* A system without sockets or time, for tests that are linked with the Makefile's FAKED: there the calls of src/os that
 * fake_os.c has go to it. The clock moves when somebody waits, and attempts to connect end as their address says:
 *
 *     6+      IPv6, connected by connect(2) itself          4r      IPv4, refused by connect(2) itself
 *     6+30    connected 30 ms after it                      4r30    refused 30 ms after it
 *     6n      never
 *
 * What happens is logged: at how many milliseconds address a, b, c ... was tried ("250b"), and at how many the
 * descriptor of one was closed ("250-b"). */
#ifndef FAKE_OS_H
#define FAKE_OS_H

#include "core/addr.h"

#include <netdb.h> /* struct addrinfo */
#include <poll.h>  /* struct pollfd */
#include <stdbool.h>
#include <stdint.h>

enum { FAKE_ADDRESSES = 26, FAKE_FDS = 64, FAKE_TTL_LEVEL = 7001, FAKE_TTL = 7002 };

/* How attempts with an address end. */
struct fate {
    int code;   /* errno; 0: connected */
    bool later; /* not by connect(2) itself, but */
    int64_t after_ns;
};

struct fake_fd {
    bool open, nonblock, connecting, connected;
    bool told;           /* connect(2) has said that it is connected */
    bool stuck;          /* it failed while it was under way: as on Linux, it can't listen */
    int family, address; /* -1: not connected to any */
    int ttl;             /* the one option there is */
    int32_t bound_ms;    /* SO_SNDTIMEO */
    int64_t end_ns;      /* when it will be connected, or not */
};

struct fake_os {
    int64_t now_ns;
    int64_t signal_ns; /* a signal comes each so many nanoseconds; 0: never */

    struct fate fates[FAKE_ADDRESSES];
    struct addrinfo infos[FAKE_ADDRESSES];
    union ss_sockaddr names[FAKE_ADDRESSES];
    int naddresses;

    struct fake_fd fds[FAKE_FDS]; /* in the order in which they were made; a number is never used again */
    int nfds, most_open;
    int failing_socket; /* the socket(2) with this number fails (the first is 1; 0: none does) */
    int failing_option; /* the same for setsockopt(2) */
    int noptions;
    bool no_bounds; /* SO_SNDTIMEO is refused */

    int64_t lookup_ns;     /* how long a look-up takes */
    int lookup_error;      /* EAI_*; 0: it finds the addresses */
    int64_t lookup_end_ns; /* of the one that is under way */
    int lookups, lists;    /* that are under way; that were not given back */
    int lost_lookups;      /* so many, from the next one that is taken, have stayed in a parent process */
    bool direct;           /* the resolver was called directly */

    int queue_full; /* so many connects find the queue of a Unix listener full */

    /* What os_poll does instead, where a test has other plans; or NULL. */
    enum ss_status (*poll)(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready, struct ss_error *err);

    bool silent; /* no log any more */
    char log[512];
};

extern struct fake_os fake;

int64_t fake_ms(double ms);

/* Everything anew, with these addresses. */
void fake_begin(const char *addresses);

struct fake_fd *fake_fd(int fd);
int fake_count_open(void);

#endif
