/* Giving a datagram socket its peer. connect(2) is the one below. */
#include "check.h"
#include "core/op_set_peer.h"
#include "heap.h"

#include <errno.h>
#include <sys/socket.h>

static int calls;

/* Interrupted the first time; nothing goes on behind the call as it does with a stream. */
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    (void)fd, (void)addr, (void)len;
    errno = EINTR;
    return calls++ == 0 ? -1 : 0;
}

static void set_peer(struct ss_sock *s)
{
    struct ss_set_peer op;
    struct ss_target target = { .port = 9 };
    ss_addr_any(&target.addr, AF_INET, 9);
    ss_set_peer_init(&op, s, &target);
    ss_io_set_mode(&s->io, SS_NO_WAIT);
    calls = 0;
    CHECK(op.lookup.op.step(&op.lookup.op) == SS_OK && calls == 2 && s->io.fd >= 0);
    ss_lookup_fini(&op.lookup);
}

static void test_a_signal_does_not_end_it(void)
{
    struct heap heap = { 0 };
    struct ss_env env;
    struct ss_sock fresh, bound;
    struct ss_error err;
    ss_env_init(&env, heap_mem(&heap));
    ss_sock_init(&fresh, &env, SOCK_DGRAM);
    set_peer(&fresh);
    ss_sock_init(&bound, &env, SOCK_DGRAM);
    CHECK(ss_sock_bind_any(&bound, 0, &err) == SS_OK);
    set_peer(&bound);
    calls = 1; /* what dissolves it is not interrupted */
    ss_sock_fini(&fresh);
    ss_sock_fini(&bound);
    ss_env_fini(&env);
    heap_check_empty(&heap);
}

int main(void)
{
    RUN(test_a_signal_does_not_end_it);
    return check_end();
}
