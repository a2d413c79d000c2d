/* An operation: progress as data, and a step that pushes it as far as it goes.
 *
 * A step never waits by itself (unless the mode of its io lets the kernel do it), never asks the time
 * and never touches Lua. When it says SS_WANT, it has filled in what it wants; whoever runs it (a driver, see
 * run/) waits for that and steps again. Steps may be made more often than needed. */
#ifndef SS_CORE_OP_H
#define SS_CORE_OP_H

#include "core/io.h"
#include "base/status.h"

#include <stdint.h>

#pragma GCC visibility push(hidden)

enum { SS_READABLE = 1, SS_WRITABLE = 2 };

/* A descriptor and what to wait for on it. */
struct ss_interest {
    int fd;
    int events; /* SS_READABLE | SS_WRITABLE; 0: nothing, only the timer counts */
};

static inline bool ss_interest_is_usable(const struct ss_interest *want)
{
    return want->fd >= 0 && want->events != 0;
}

/* Which of the kernel's own timeouts bounds the operation's calls. */
enum ss_kernel_timeout {
    SS_BY_RCVTIMEO,     /* SO_RCVTIMEO */
    SS_BY_SNDTIMEO,     /* SO_SNDTIMEO */
    SS_BY_OWN_SNDTIMEO, /* it makes its own descriptors, and sets SO_SNDTIMEO to io->kernel_timeout_ms on them */
    SS_BY_NONE          /* none: its calls must not wait */
};

struct ss_op {
    enum ss_status (*step)(struct ss_op *op);
    struct ss_io *io;
    struct ss_error error;           /* valid with SS_ERROR */
    const struct ss_interest *wants; /* valid with SS_WANT: `nwants` of them, of the operation; NULL: only `want` */
    struct ss_interest want;
    unsigned nwants;
    uint16_t after_ms;      /* valid with SS_WANT: step again after this time, whatever happens; 0: no such time */
    uint8_t kernel_timeout; /* enum ss_kernel_timeout */
    bool due : 1;           /* set by the driver, only where after_ms > 0: that time has passed since the last step */
    bool tried : 1;         /* before a driver runs it: a try (run/try.h) has just ended with SS_WANT */
    bool waits : 1;         /* it has to wait whenever it begins (a name is to be looked up) */
    bool reads : 1;         /* it is a struct ss_reading; not with `closes` */
    bool closes : 1;        /* it opens the descriptors it waits for, unless a socket owns them, and closes them */
    int64_t deadline_ns;    /* set by the driver, and kept when the operation is run again; 0: not set yet */
};

/* The common end of a step that must wait for its own descriptor. */
static inline enum ss_status ss_op_want(struct ss_op *op, int events)
{
    op->want.fd = op->io->fd;
    op->want.events = events;
    return SS_WANT;
}

#pragma GCC visibility pop

#endif
