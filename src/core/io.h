/* The transport under the stream operations: two functions, and the permission to wait inside them. */
#ifndef SS_CORE_IO_H
#define SS_CORE_IO_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h> /* size_t */
#include <stdint.h>
#include <sys/uio.h> /* struct iovec */

#pragma GCC visibility push(hidden)

/* What the driver lets the next system call of a step do. */
enum ss_mode {
    SS_NO_CALL,     /* make no call: finish from memory or say SS_WANT */
    SS_WAIT_ONCE,   /* one call may wait in the kernel, which keeps the time; then as SS_NO_WAIT */
    SS_WAIT_ALWAYS, /* every call may wait: there is no deadline */
    SS_NO_WAIT,     /* do what can be done without waiting; from here on: no call waits */
    SS_NO_WAIT_EDGE /* as SS_NO_WAIT; an edge-triggered poller reports new data */
};

struct ss_io;

struct ss_transport {
    /* Up to `len` bytes, at least one; `all`: a call that may wait should wait for all of them.
     * SS_OK and *got | SS_EOF | SS_WANT | SS_ERROR. */
    enum ss_status (*recv)(struct ss_io *io, void *buf, size_t len, bool all, size_t *got, struct ss_error *err);
    /* Some of the bytes of `n` buffers, in order. SS_OK and *sent | SS_WANT | SS_ERROR. */
    enum ss_status (*send)(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent, struct ss_error *err);
};

struct ss_io {
    const struct ss_transport *via;
    int fd;             /* -1: none */
    uint8_t mode;       /* enum ss_mode */
    uint8_t calls_left; /* in modes that do not wait: the number of calls that the step may still make */
    bool drained;       /* never with `recheck`: everything is received, and the poller will report more */
    bool recheck;       /* no report may come, for example at the end of the stream: `drained` is not set */
    uint16_t broken;    /* errno(3) number of the error that ended the connection, to report to a reader; 0: none */
    int32_t kernel_timeout_ms; /* in SS_WAIT_ONCE and SS_WAIT_ALWAYS: limit of a wait in the kernel; 0: none */
};

/* A peer that sends or takes as fast as we do must not keep a step from ever ending: after so many calls, or as many MiB, it
 * says SS_WANT, and the driver looks at its clock. A call with more bytes than SS_AT_ONCE could go on for as long itself. */
enum { SS_CALLS_A_STEP = 16, SS_AT_ONCE = 8 * 1024 * 1024 };

static inline void ss_io_set_mode(struct ss_io *io, enum ss_mode mode)
{
    io->mode = (uint8_t)mode;
    io->calls_left = SS_CALLS_A_STEP;
}

/* The mode of the next call, SS_NO_WAIT for both modes that do not wait. Asking uses the permission up. */
static inline enum ss_mode ss_io_take_mode(struct ss_io *io)
{
    enum ss_mode mode = (enum ss_mode)io->mode;
    if (mode == SS_WAIT_ONCE)
        io->mode = SS_NO_WAIT;
    if (mode < SS_NO_WAIT)
        return mode;
    if (io->calls_left == 0)
        return SS_NO_CALL;
    io->calls_left--;
    return SS_NO_WAIT;
}

/* So many bytes have gone through a call: each MiB counts as a call. */
static inline void ss_io_took(struct ss_io *io, size_t n)
{
    size_t calls = n >> 20;
    io->calls_left = calls < io->calls_left ? (uint8_t)(io->calls_left - calls) : 0;
}

/* Whether a step may have ended for want of calls, not of anything else. */
static inline bool ss_io_is_spent(const struct ss_io *io)
{
    return io->mode >= SS_NO_WAIT && io->calls_left == 0;
}

/* The kernel has told a writer or getsockopt(2) of an error. It tells each once, and readers get an end of stream after that: if the
 * error is one that ends a connection, it is kept for them. */
void ss_io_broke(struct ss_io *io, int code);

/* A plain descriptor as transport. */
extern const struct ss_transport ss_fd_transport;

#pragma GCC visibility pop

#endif
