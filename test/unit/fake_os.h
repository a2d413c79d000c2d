/* A simulated system, with sockets and a clock. The Makefile's FAKED links calls of src/os to fake_os.c. Only waiting
 * advances the clock. The address determines the result of a connect:
 *
 *     6+      IPv6, connected by connect(2) itself          4r      IPv4, refused by connect(2) itself
 *     6+30    connected 30 ms after it                      4r30    refused 30 ms after it
 *     6n      never
 *
 * The log has the time in milliseconds of each connect to address a, b, c ... ("250b") and of each close of the
 * address's descriptor ("250-b"). */
#ifndef FAKE_OS_H
#define FAKE_OS_H

#include "core/addr.h"

#include <netdb.h> /* struct addrinfo */
#include <poll.h>  /* struct pollfd */
#include <stdbool.h>
#include <stdint.h>

enum { FAKE_ADDRESSES = 26, FAKE_FDS = 64, FAKE_TTL_LEVEL = 7001, FAKE_TTL = 7002 };

/* The result of a connect to an address. */
struct fate {
    int code;         /* errno; 0: connected */
    bool later;       /* connect(2) says EINPROGRESS; the result comes ... */
    int64_t after_ns; /* ... so much later */
};

struct fake_fd {
    bool open, nonblock, connecting, connected;
    bool told;           /* connect(2) has returned the result */
    bool stuck;          /* a connect in progress failed: as on Linux, listen(2) fails */
    int family, address; /* address: -1: not connected */
    int ttl;             /* the only option */
    int32_t bound_ms;    /* SO_SNDTIMEO */
    int64_t end_ns;      /* the time of the connect's result */
};

struct fake_os {
    int64_t now_ns;
    int64_t signal_ns; /* the interval between signals; 0: none */

    struct fate fates[FAKE_ADDRESSES];
    struct addrinfo infos[FAKE_ADDRESSES];
    union ss_sockaddr names[FAKE_ADDRESSES];
    int naddresses;

    struct fake_fd fds[FAKE_FDS]; /* in the order of creation; numbers are not reused */
    int nfds, most_open;
    int failing_socket; /* the number of the socket(2) call that fails, from 1; 0: none */
    int failing_option; /* the same for setsockopt(2) */
    int noptions;
    bool no_bounds; /* SO_SNDTIMEO is refused */

    int64_t lookup_ns;     /* the duration of a look-up */
    int lookup_error;      /* EAI_*; 0: success */
    int64_t lookup_end_ns; /* the end of the running look-up */
    int lookups, lists;    /* running look-ups; lists not freed */
    bool no_threads;       /* none can be had for look-ups */
    int lost_lookups;      /* the number of next takes that report a look-up of the parent process */
    bool direct;           /* os_ask was called */

    int queue_full; /* the number of connects that find a Unix listener's queue full */

    /* Replaces os_poll; NULL: the default. */
    enum ss_status (*poll)(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready, struct ss_error *err);

    bool silent; /* disables the log */
    char log[512];
};

extern struct fake_os fake;

int64_t fake_ms(double ms);

/* Resets the simulation, with these addresses. */
void fake_begin(const char *addresses);

struct fake_fd *fake_fd(int fd);
int fake_count_open(void);

#endif
