/* What the plain transport hands to one system call. os_send is the one below: it takes all that it gets. */
#include "check.h"
#include "core/io.h"
#include "os/os_net.h"

static size_t buffers, bytes;

enum ss_status __wrap_os_send(int fd, const struct iovec *iov, size_t n, int flags, size_t *sent, struct ss_error *err);
enum ss_status __wrap_os_send(int fd, const struct iovec *iov, size_t n, int flags, size_t *sent, struct ss_error *err)
{
    (void)fd, (void)flags, (void)err;
    buffers = n;
    bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += iov[i].iov_len;
    *sent = bytes;
    return SS_OK;
}

static void check_send(const size_t *lengths, size_t n, size_t expected_buffers, size_t expected_bytes)
{
    struct ss_io io = { .via = &ss_fd_transport, .fd = 4711 };
    struct iovec iov[4] = { { .iov_base = NULL } };
    struct ss_error err;
    size_t sent = 0;
    for (size_t i = 0; i < n; i++)
        iov[i].iov_len = lengths[i];
    ss_io_set_mode(&io, SS_NO_WAIT);
    CHECK(io.via->send(&io, iov, n, &sent, &err) == SS_OK && sent == expected_bytes);
    CHECKF(buffers == expected_buffers && bytes == expected_bytes, "%zu bytes in %zu buffers", bytes, buffers);
    CHECK(ss_io_is_spent(&io) == (expected_bytes >> 20 >= SS_CALLS_PER_STEP - 1));
}

/* Whoever receives as fast as we send must not keep one call for long, whatever the buffers. */
static void test_one_send_is_not_endless(void)
{
    const size_t most = SS_BYTES_PER_CALL, large = (size_t)100 << 20;
    check_send((size_t[]){ 64 }, 1, 1, 64);
    check_send((size_t[]){ most }, 1, 1, most);
    check_send((size_t[]){ large }, 1, 1, most);
    check_send((size_t[]){ 1, 2, 3 }, 3, 3, 6);
    check_send((size_t[]){ 1, large, 3 }, 3, 1, 1);
    check_send((size_t[]){ most / 2, most / 2, 1, 1 }, 4, 2, most);
    check_send((size_t[]){ large, 1 }, 2, 1, most);
}

int main(void)
{
    RUN(test_one_send_is_not_endless);
    return check_end();
}
