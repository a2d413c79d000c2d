/* An operation: progress as data, and a step function that advances the progress as far as possible.
 *
 * A step waits only in a system call that the mode of its io permits to wait. A step reads no clock and does not use
 * Lua. With SS_WANT the step has stored what it wants; a driver (run/) waits for that and steps again. Extra steps are
 * harmless. */
#ifndef SS_CORE_OP_H
#define SS_CORE_OP_H

#include "core/io.h"
#include "base/status.h"

#include <stdint.h>

#pragma GCC visibility push(hidden)

enum { SS_READABLE = 1, SS_WRITABLE = 2 };

/* A descriptor and the events to wait for. */
struct ss_interest {
    int fd;
    int events; /* SS_READABLE | SS_WRITABLE; 0: none, the operation waits for after_ms alone */
};

static inline bool ss_interest_is_usable(const struct ss_interest *want)
{
    return want->fd >= 0 && want->events != 0;
}

/* The socket timeout (socket(7)) that bounds the operation's calls. */
enum ss_kernel_timeout {
    SS_BY_RCVTIMEO,    /* SO_RCVTIMEO */
    SS_BY_SNDTIMEO,    /* SO_SNDTIMEO */
    SS_BY_OP_SNDTIMEO, /* SO_SNDTIMEO, which the operation sets to io->kernel_timeout_ms on its descriptors */
    SS_BY_NONE         /* none: the calls must not wait */
};

struct ss_op {
    enum ss_status (*step)(struct ss_op *op);
    struct ss_io *io;
    struct ss_error error;           /* valid with SS_ERROR */
    const struct ss_interest *wants; /* valid with SS_WANT: array of `nwants`, in the operation; NULL: only `want` */
    struct ss_interest want;
    unsigned nwants;
    uint16_t after_ms; /* valid with SS_WANT: step again after this time at the latest; 0: no limit; `shares`: number
                               of waits among which the time to the deadline is shared out, this one included */
    uint8_t kernel_timeout; /* enum ss_kernel_timeout */
    bool due : 1;           /* set by the driver: after_ms > 0, or the share, has passed since the last step */
    bool tried : 1;         /* set before the driver starts: a try (run/try.h) has just returned SS_WANT */
    bool waits : 1;         /* the operation looks up a name, and therefore always waits */
    bool reads : 1;         /* the operation is a struct ss_reading; never with `closes` */
    bool closes : 1;        /* the operation closes the descriptors in its wants, except a socket's */
    bool restarted : 1;     /* for the caller's use: the operation has failed and was begun again */
    bool shares : 1;        /* after_ms is a number of waits */
    bool polls : 1;      /* set by the driver: a wait in the kernel has ended early, poll(2) has to wait for the rest */
    int64_t deadline_ns; /* on the clock of os_now_ns; set by the driver, valid also in a second run; 0: not set */
};

/* Ends a step that wants `events` on the descriptor of its io. */
static inline enum ss_status ss_op_want(struct ss_op *op, int events)
{
    op->want.fd = op->io->fd;
    op->want.events = events;
    return SS_WANT;
}

/* Ends a step whose send has returned SS_WANT: for room. A layer may have to receive first. Another call may take that input, and
 * no event tells what it has made of it, so the operation looks again at growing intervals, too. */
static inline enum ss_status ss_op_want_to_send(struct ss_op *op)
{
    enum { LONGEST_MS = 32 };
    const bool lacks_input = op->io->lacks_input;
    op->io->lacks_input = false;
    if (!lacks_input)
        op->after_ms = 0;
    else if (op->after_ms < LONGEST_MS)
        op->after_ms = op->after_ms ? (uint16_t)(2 * op->after_ms) : 1;
    return ss_op_want(op, lacks_input ? SS_READABLE : SS_WRITABLE);
}

#pragma GCC visibility pop

#endif
