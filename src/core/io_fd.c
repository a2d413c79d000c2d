#include "core/io.h"
#include "os/os_net.h"
#include "os/os_poller.h"

#include <errno.h>

/* After a receive of fewer bytes than requested, the next receive would find nothing, and an edge-triggered poller
 * reports new data (epoll(7), "Questions and answers" 9). */
static void note_drained(struct ss_io *io, enum ss_status st, bool all_there)
{
    io->drained = os_poller_is_edged && !io->recheck && (st == SS_WANT || (st == SS_OK && all_there));
}

void ss_io_set_conn_error(struct ss_io *io, int code)
{
    switch (code) {
    case EPIPE: /* a receive reports the cause */
    case EMSGSIZE:
    case ENOBUFS:
    case ENOMEM:
    case ENOTCONN:
        return;
    default: /* a reset, a timeout or an ICMP error (icmp(7)) ends the connection */
        io->conn_error = (uint16_t)code;
    }
}

enum ss_status ss_io_end_stream(struct ss_io *io, struct ss_error *err)
{
    if (io->conn_error == 0)
        return SS_EOF;
    *err = (struct ss_error){ SS_SYSTEM, io->conn_error };
    if (io->conn_error != ECONNRESET)
        io->conn_error = 0; /* a second read returns the end of the stream */
    return SS_ERROR;
}

static enum ss_status fd_recv(struct ss_io *io, void *buf, size_t len, bool all, size_t *got, struct ss_error *err)
{
    bool edge = io->mode == SS_NO_WAIT_EDGE;
    enum ss_mode mode = ss_io_take_mode(io);
    if (mode == SS_NO_CALL || (edge && io->drained))
        return SS_WANT;
    enum ss_status st = os_recv(io->fd, buf, len, mode == SS_NO_WAIT ? OS_DONTWAIT : all ? OS_ALL : 0, got, err);
    if (st == SS_OK)
        ss_io_count_bytes(io, *got);
    if (mode == SS_WAIT_ALWAYS && all && st == SS_OK && *got < len)
        ss_io_stop_waits(io);
    if (edge)
        note_drained(io, st, st == SS_OK && *got < len);
    return st == SS_EOF ? ss_io_end_stream(io, err) : st;
}

/* Number of leading buffers that fit into one call; 0: the first alone is too large. */
static size_t count_whole_buffers(const struct iovec *iov, size_t n)
{
    size_t i = 0;
    for (size_t left = SS_BYTES_PER_CALL; i < n && iov[i].iov_len <= left; i++)
        left -= iov[i].iov_len;
    return i;
}

/* The bytes that one call with the buffers sends if nothing interrupts it. */
static size_t count_bytes_of_call(const struct iovec *iov, size_t n)
{
    enum { BUFFERS_PER_CALL = 1024 }; /* IOV_MAX of Linux */
    size_t bytes = 0;
    for (size_t i = 0; i < n && i < BUFFERS_PER_CALL; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

static inline enum ss_status send_in_one_call(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent,
                                              struct ss_error *err)
{
    enum ss_mode mode = ss_io_take_mode(io);
    if (mode == SS_NO_CALL)
        return SS_WANT;
    enum ss_status st = os_send(io->fd, iov, n, mode == SS_NO_WAIT ? OS_DONTWAIT : 0, sent, err);
    if (st == SS_OK) {
        ss_io_count_bytes(io, *sent);
        if (io->mode == SS_WAIT_ALWAYS && *sent < (n == 1 ? iov->iov_len : count_bytes_of_call(iov, n)))
            ss_io_stop_waits(io);
    } else if (st == SS_ERROR) {
        ss_io_set_conn_error(io, err->code);
    }
    return st;
}

/* Inlined, it would make the usual send slower: more registers to save. */
__attribute__((noinline)) static enum ss_status send_many(struct ss_io *io, const struct iovec *iov, size_t n,
                                                          size_t *sent, struct ss_error *err)
{
    struct iovec part = { .iov_base = iov->iov_base, .iov_len = SS_BYTES_PER_CALL };
    size_t whole = count_whole_buffers(iov, n);
    return send_in_one_call(io, whole > 0 ? iov : &part, whole > 0 ? whole : 1, sent, err);
}

static enum ss_status fd_send(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent, struct ss_error *err)
{
    if (n == 1 && iov->iov_len <= SS_BYTES_PER_CALL)
        return send_in_one_call(io, iov, 1, sent, err);
    return send_many(io, iov, n, sent, err);
}

const struct ss_transport ss_fd_transport = { .recv = fd_recv, .send = fd_send };
