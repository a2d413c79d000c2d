/* The transport of stream operations: receive and send, and whether these system calls may wait. */
#ifndef SS_CORE_IO_H
#define SS_CORE_IO_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h> /* size_t */
#include <stdint.h>
#include <sys/uio.h> /* struct iovec */

#pragma GCC visibility push(hidden)

/* What the driver permits the next system call of a step. */
enum ss_mode {
    SS_NO_CALL,     /* no call: finish from memory or return SS_WANT */
    SS_WAIT_ONCE,   /* one call may wait, up to `kernel_timeout_ms`; later calls: SS_NO_WAIT_NOW */
    SS_WAIT_ALWAYS, /* every call may wait, until a signal has ended one (ss_io_stop_waits): no deadline */
    SS_NO_WAIT,     /* no call waits; also true of every later value of this enum */
    SS_NO_WAIT_NOW, /* as SS_NO_WAIT; after SS_WANT the driver waits for what is wanted, or finds that it is there */
    SS_NO_WAIT_EDGE /* as SS_NO_WAIT; an edge-triggered poller reports new data */
};

struct ss_io;

struct ss_transport {
    /* Receives 1 to `len` bytes; `all`: a call that may wait should wait for `len` bytes (recv(2), MSG_WAITALL).
     * SS_OK: *got is set | SS_EOF | SS_WANT | SS_ERROR: *err is set. */
    enum ss_status (*recv)(struct ss_io *io, void *buf, size_t len, bool all, size_t *got, struct ss_error *err);
    /* Sends some bytes of `n` >= 1 buffers, in order. SS_OK: *sent is set | SS_WANT | SS_ERROR: *err is set. Only a layer
     * sets *sent in the latter two cases too: to the bytes that it has taken, and may hold. */
    enum ss_status (*send)(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent, struct ss_error *err);

    /* The rest only of a layer over the descriptor, such as TLS, which holds bytes back in both directions; else NULL.
     * Such a transport is the beginning of the layer's own state. A receive of a layer waits for nothing but input, a
     * send or flush for nothing but room, unless a send or end has set io->lacks_input; what else they have to send or
     * receive must not wait. SS_WANT means that nothing more can be done from memory. After a fork(2), the layer's calls
     * fail in the child and touch nothing. */

    /* Sends what is held of the bytes that `send` has taken, which has tried the same. SS_OK: nothing is left | SS_WANT |
     * SS_ERROR. */
    enum ss_status (*flush)(struct ss_io *io, struct ss_error *err);
    /* Whether a receive would return bytes, the end or an error without a system call. */
    bool (*is_ready)(const struct ss_io *io);
    /* Ends a direction (SHUT_*, shutdown(2)), the output after a flush, and before the input; again after that: SS_OK.
     * SS_OK: the caller shuts the descriptor down next | SS_WANT: for room, not with SHUT_RD | SS_EOF: the peer takes
     * nothing any more, and lacks nothing of what `send` has taken but the end; *err is set | SS_ERROR: *err is set. After
     * the last three the descriptor must not be shut down. */
    enum ss_status (*end)(struct ss_io *io, int how, struct ss_error *err);
    /* The program is about to close the socket: tells the peer, if that needs no waiting. Mode: SS_NO_WAIT. */
    void (*leave)(struct ss_io *io);
    /* A call is about to wait, or has not got what it wanted: gives back memory that is not in use. */
    void (*settle)(struct ss_io *io);
    /* Frees the layer. The descriptor is not the socket's any more. */
    void (*free)(struct ss_io *io);
    size_t end_size; /* bytes that `end` has made to tell the peer */
};

struct ss_io {
    const struct ss_transport *via;
    int fd;                    /* -1: none */
    uint8_t mode;              /* enum ss_mode */
    uint8_t calls_left;        /* number of calls that the step may still make; not in SS_WAIT_ONCE */
    bool drained;              /* all input is received and the poller reports more; false if `recheck` */
    bool recheck : 1;          /* the poller may not report more, for example at the end of the stream */
    bool lacks_input : 1;      /* set by a layer's send or end with SS_WANT: for input, in the middle of a message */
    uint16_t conn_error;       /* errno(3) number of the error that ended the connection, for readers; 0: none */
    uint16_t taken_error;      /* the same of a connect in progress, whose error getopt has consumed; 0: none */
    int32_t kernel_timeout_ms; /* milliseconds, limit of a wait in modes that may wait */
};

/* Limits for a peer that sends or receives as fast as this process: without them a step might never end. After so many
 * calls, or as many MiB, a step returns SS_WANT, and the driver reads the clock, or looks for a signal. A call with more
 * bytes than SS_BYTES_PER_CALL might not end either. */
enum { SS_CALLS_PER_STEP = 16, SS_BYTES_PER_CALL = 8 * 1024 * 1024 };

static inline void ss_io_set_mode(struct ss_io *io, enum ss_mode mode)
{
    io->mode = (uint8_t)mode;
    io->calls_left = SS_CALLS_PER_STEP;
}

/* Takes the permission for the next call: SS_NO_WAIT in both modes that do not wait; SS_NO_CALL if no call is left. */
static inline enum ss_mode ss_io_take_mode(struct ss_io *io)
{
    enum ss_mode mode = (enum ss_mode)io->mode;
    if (mode == SS_WAIT_ONCE)
        io->mode = SS_NO_WAIT_NOW;
    if (mode < SS_WAIT_ALWAYS)
        return mode;
    if (io->calls_left == 0)
        return SS_NO_CALL;
    io->calls_left--;
    return mode == SS_WAIT_ALWAYS ? mode : SS_NO_WAIT;
}

/* After a call that waited and transferred less than it was to: a signal has ended the wait, or the stream has. The
 * step's next call tells which, and must not wait again before the driver knows. */
static inline void ss_io_stop_waits(struct ss_io *io)
{
    io->mode = SS_NO_WAIT;
}

/* Counts the `n` bytes of a call: each MiB counts as a call. */
static inline void ss_io_count_bytes(struct ss_io *io, size_t n)
{
    size_t calls = n >> 20;
    io->calls_left = calls < io->calls_left ? (uint8_t)(io->calls_left - calls) : 0;
}

/* Whether the step may have ended because its number of calls was used up. */
static inline bool ss_io_is_spent(const struct ss_io *io)
{
    return io->mode >= SS_WAIT_ALWAYS && io->calls_left == 0;
}

/* Keeps `code`, the errno(3) number of a send or SO_ERROR (socket(7)), for readers if such an error ends a connection.
 * The kernel reports an error once; a later recv(2) returns the end of the stream. */
void ss_io_set_conn_error(struct ss_io *io, int code);

/* The outcome of a receive that found the end of the stream. SS_EOF | SS_ERROR: the error that ended the connection. */
enum ss_status ss_io_end_stream(struct ss_io *io, struct ss_error *err);

/* The transport of a plain descriptor: recv(2) and send(2). */
extern const struct ss_transport ss_fd_transport;

static inline bool ss_io_has_layer(const struct ss_io *io)
{
    return io->via->flush != NULL;
}

#pragma GCC visibility pop

#endif
