/* An operation: progress as data, and a step that pushes it as far as it goes.
 *
 * A step never waits by itself (unless the turn of its io lets the kernel do it), never asks the time
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
    struct ss_error error;
    const struct ss_interest *wants; /* after SS_WANT: several (`nwants` of them) that the operation owns, or NULL: */
    struct ss_interest want;         /* this one */
    unsigned nwants;
    uint16_t after_ms;      /* 0, or: step again so many milliseconds after this step, whatever happens */
    uint8_t kernel_timeout; /* enum ss_kernel_timeout */
    bool due : 1;           /* set by the driver: after_ms has passed since the last step */
    bool tried : 1;         /* what needs no waiting has been tried just now, in vain */
    bool reads : 1;         /* a stream: it is a struct ss_reading */
    bool closes : 1;        /* it has opened what it waits for, unless that is a socket's, and closes it */
    int64_t deadline_ns;    /* of the driver: 0: none is known yet; or when it ends, also when it is run once more */
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
