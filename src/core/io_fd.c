/* The plain transport: recv(2) and send(2) on the descriptor. */
#include "core/io.h"
#include "os/os_net.h"

static enum ss_status fd_recv(struct ss_io *io, void *buf, size_t len, bool all, size_t *got, struct ss_error *err)
{
    enum ss_turn turn = ss_io_turn(io);
    if (turn == SS_HOLD)
        return SS_WANT;
    return os_recv(io->fd, buf, len, turn == SS_TRY ? OS_DONTWAIT : all ? OS_ALL : 0, got, err);
}

static enum ss_status fd_send(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent, struct ss_error *err)
{
    enum ss_turn turn = ss_io_turn(io);
    if (turn == SS_HOLD)
        return SS_WANT;
    return os_send(io->fd, iov, n, turn == SS_TRY ? OS_DONTWAIT : 0, sent, err);
}

const struct ss_transport ss_fd_transport = { .recv = fd_recv, .send = fd_send };
