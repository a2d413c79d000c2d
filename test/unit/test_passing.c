/* A passed descriptor is the socket's until it is given away: whatever happens to its bytes, it is closed once. */
#include "check.h"
#include "core/op_passing.h"
#include "os/os_net.h"
#include "os/os_passing.h"
#include "pair.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

/* Sends `text` with a descriptor from the other end, and receives both into the pair's socket: the descriptor. */
static int receive_descriptor(struct pair *pair, const char *text, size_t len)
{
    struct ss_recvfd op = { .op = { .io = &pair->sock.io }, .sock = &pair->sock, .max = 100 };
    struct ss_error err;
    size_t sent;
    if (os_send_fd(pair->other, text, len, 0, OS_DONTWAIT, &sent, &err) != SS_OK)
        abort();
    ss_io_set_mode(op.op.io, SS_NO_WAIT);
    CHECK(ss_recvfd_step(&op.op) == SS_OK && ss_inbuf_len(&pair->sock.in) == len);
    return ss_sock_passed(&pair->sock);
}

static void test_it_stays_with_its_bytes(void)
{
    struct pair pair;
    pair_open(&pair);
    int fd = receive_descriptor(&pair, "abc", 3);
    CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) && ss_sock_passed(&pair.sock) == fd);
    ss_sock_give_passed(&pair.sock);
    ss_inbuf_consume(&pair.sock.in, 3);
    CHECK(ss_sock_passed(&pair.sock) == OS_NOTHING_PASSED && is_open(fd));
    close(fd);
    pair_close(&pair);
}

static void test_another_call_reads_its_bytes(void)
{
    struct pair pair;
    pair_open(&pair);
    int fd = receive_descriptor(&pair, "abc", 3);
    ss_inbuf_consume(&pair.sock.in, 1);
    CHECK(ss_sock_passed(&pair.sock) == OS_NOTHING_PASSED && is_open(fd));
    ss_inbuf_consume(&pair.sock.in, 2);
    int next = receive_descriptor(&pair, "d", 1);
    CHECK(next >= 0 && next != fd && is_open(next) && !is_open(fd));
    pair_close(&pair);
    CHECK(!is_open(next));
}

static void test_a_closed_socket_closes_it(void)
{
    struct pair pair;
    struct ss_error err;
    pair_open(&pair);
    int fd = receive_descriptor(&pair, "abc", 3);
    CHECK(ss_sock_close(&pair.sock, &err) == SS_OK && !is_open(fd));
    CHECK(ss_sock_passed(&pair.sock) == OS_NOTHING_PASSED);
    pair_close(&pair);
}

static void test_nothing_is_there(void)
{
    struct pair pair;
    pair_open(&pair);
    struct ss_recvfd op = { .op = { .io = &pair.sock.io }, .sock = &pair.sock, .max = 100 };
    ss_io_set_mode(op.op.io, SS_NO_WAIT);
    CHECK(ss_recvfd_step(&op.op) == SS_WANT && op.op.want.events == SS_READABLE && !pair.sock.in.block);
    ss_io_set_mode(op.op.io, SS_NO_CALL);
    CHECK(ss_recvfd_step(&op.op) == SS_WANT);
    close(pair.other);
    pair.other = -1;
    ss_io_set_mode(op.op.io, SS_NO_WAIT);
    CHECK(ss_recvfd_step(&op.op) == SS_EOF);
    pair_close(&pair);
}

int main(void)
{
    RUN(test_it_stays_with_its_bytes);
    RUN(test_another_call_reads_its_bytes);
    RUN(test_a_closed_socket_closes_it);
    RUN(test_nothing_is_there);
    return check_end();
}
