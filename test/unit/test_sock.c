/* A socket and its descriptor: who has it, who closes it, and that no failure on the way leaves one behind. */
#include "check.h"
#include "core/sock.h"
#include "heap.h"
#include "os/os_net.h"
#include "os/os_opt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct state {
    struct heap heap;
    struct ss_env env;
};

static void open_state(struct state *state)
{
    state->heap = (struct heap){ 0 };
    ss_env_init(&state->env, heap_mem(&state->heap));
}

static void close_state(struct state *state)
{
    ss_env_fini(&state->env);
    heap_check_empty(&state->heap);
}

static void fail_next(struct state *state)
{
    state->heap.fail_from = state->heap.requests + 1;
    state->heap.fail_count = 1;
}

static int new_descriptor(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd == -1)
        abort();
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static void check_closed(const struct ss_sock *s)
{
    CHECK(s->io.fd == -1 && s->family == 0 && !s->bound && !s->nonblock && !s->shared);
    CHECK(!s->io.drained && !s->io.recheck && s->io.conn_error == 0);
    CHECK(ss_inbuf_len(&s->in) == 0 && s->in.block == NULL);
}

static void test_a_new_socket(void)
{
    struct state state;
    struct ss_sock s;
    struct ss_error err;
    open_state(&state);
    ss_sock_init(&s, &state.env, SOCK_STREAM);
    check_closed(&s);
    CHECK(ss_sock_close(&s, &err) == SS_OK && ss_sock_release(&s, false) == -1);
    ss_sock_fini(&s);
    close_state(&state);
}

static void test_the_table_knows_who_has_a_descriptor(void)
{
    struct state state;
    struct ss_sock a, b;
    struct ss_error err;
    open_state(&state);
    ss_sock_init(&a, &state.env, SOCK_STREAM);
    ss_sock_init(&b, &state.env, SOCK_STREAM);
    int low = new_descriptor(), high = fcntl(low, F_DUPFD, 200);
    CHECK(ss_env_find(&state.env, low) == NULL);
    CHECK(ss_sock_adopt(&a, low, AF_UNIX, false, &err) == SS_OK &&
          ss_sock_adopt(&b, high, AF_UNIX, true, &err) == SS_OK);
    CHECK(ss_env_find(&state.env, low) == &a && ss_env_find(&state.env, high) == &b);
    CHECK(ss_env_find(&state.env, low + 1) == NULL && ss_env_find(&state.env, high + 1) == NULL);
    CHECK(ss_env_find(&state.env, -1) == NULL && ss_env_find(&state.env, 1 << 30) == NULL);
    CHECK(b.nonblock && !a.nonblock && a.family == AF_UNIX && a.kernel_ms[0] == 0 && a.kernel_ms[1] == 0);
    CHECK(ss_sock_close(&a, &err) == SS_OK && !is_open(low) && ss_env_find(&state.env, low) == NULL);
    check_closed(&a);
    CHECK(ss_sock_release(&b, false) == high && is_open(high) && ss_env_find(&state.env, high) == NULL);
    check_closed(&b);
    close(high);
    ss_sock_fini(&a);
    ss_sock_fini(&b);
    close_state(&state);
}

/* One descriptor after another, in any order: memory for the table grows by more than one at a time. */
static void test_the_table_grows_fast_enough(void)
{
    enum { MANY = 200 };
    static struct ss_sock socks[MANY];
    struct state state;
    struct ss_error err;
    open_state(&state);
    for (size_t i = 0; i < MANY; i++) {
        ss_sock_init(&socks[i], &state.env, SOCK_STREAM);
        CHECK(ss_sock_adopt(&socks[i], new_descriptor(), AF_UNIX, false, &err) == SS_OK);
    }
    for (size_t i = 0; i < MANY; i++)
        CHECK(ss_env_find(&state.env, socks[i].io.fd) == &socks[i]);
    CHECKF(state.heap.requests < 20, "%zu allocations for %d descriptors", state.heap.requests, MANY);
    for (size_t i = 0; i < MANY; i++)
        ss_sock_fini(&socks[i]);
    close_state(&state);
}

/* A call that began with the socket before sees another stream, and cannot put a descriptor over this one's. */
static void test_memory_that_was_another_sockets(void)
{
    static const struct os_kind kind = { .family = AF_UNIX };
    struct state state;
    struct ss_sock s;
    struct ss_error err;
    open_state(&state);
    ss_sock_init(&s, &state.env, SOCK_STREAM);
    CHECK(ss_sock_adopt(&s, new_descriptor(), AF_UNIX, true, &err) == SS_OK);
    ss_sock_fini(&s);
    const struct ss_sock before = s;
    ss_sock_reinit(&s, &state.env, SOCK_STREAM);
    check_closed(&s);
    CHECK(!s.finalized && s.env == &state.env && s.type == SOCK_STREAM && s.in.pool == &state.env.pool);
    CHECK(s.in.stream == before.in.stream + 1 && s.in.epoch == before.in.epoch + 1 && s.attempt == before.attempt + 1);
    int own = new_descriptor(), late = new_descriptor();
    CHECK(ss_sock_adopt(&s, own, AF_UNIX, false, &err) == SS_OK);
    CHECK(ss_sock_import(&s, late, &kind, &err) == SS_ERROR && err.code == ECANCELED && is_open(late));
    CHECK(ss_sock_adopt(&s, late, AF_UNIX, false, &err) == SS_ERROR && err.code == ECANCELED && !is_open(late));
    CHECK(s.io.fd == own && is_open(own) && ss_env_find(&state.env, own) == &s);
    ss_sock_fini(&s);
    close_state(&state);
}

/* What was made for the socket is closed, what was given to it stays the giver's. */
static void test_no_memory_for_a_descriptor(void)
{
    static const struct os_kind kind = { .family = AF_UNIX };
    struct state state;
    struct ss_sock s;
    struct ss_error err = { SS_RESOLVER, 0 };
    open_state(&state);
    ss_sock_init(&s, &state.env, SOCK_STREAM);
    int fd = new_descriptor();
    fail_next(&state);
    CHECK(ss_sock_import(&s, fd, &kind, &err) == SS_ERROR && err.space == SS_SYSTEM && err.code == ENOMEM);
    CHECK(is_open(fd) && ss_env_find(&state.env, fd) == NULL);
    check_closed(&s);
    fail_next(&state);
    CHECK(ss_sock_adopt(&s, fd, AF_UNIX, false, &err) == SS_ERROR && err.code == ENOMEM);
    CHECK(!is_open(fd));
    check_closed(&s);
    fail_next(&state);
    CHECK(ss_sock_open(&s, AF_UNIX, &err) == SS_ERROR && err.code == ENOMEM);
    check_closed(&s);
    ss_sock_fini(&s);
    close_state(&state);
}

/* A socket with a descriptor that was somebody else's. */
static int take_descriptor(struct ss_sock *s, struct state *state)
{
    static const struct os_kind kind = { .family = AF_UNIX };
    struct ss_error err;
    int fd = new_descriptor();
    ss_sock_init(s, &state->env, SOCK_STREAM);
    CHECK(ss_sock_import(s, fd, &kind, &err) == SS_OK && s->io.fd == fd);
    return fd;
}

static void test_taking_over(void)
{
    struct state state;
    struct ss_sock s;
    open_state(&state);
    int fd = take_descriptor(&s, &state);
    CHECK(s.family == AF_UNIX);
    CHECK(s.shared); /* somebody else may set its timeouts and its mode */
    ss_sock_fini(&s);
    CHECK(!is_open(fd));
    close_state(&state);
}

/* Options outlive the descriptor; bytes that wait do not, nor what is known of its time in the kernel and of its stream. */
static void test_what_outlives_a_descriptor(void)
{
    const struct ss_setting keepalive = { .opt = os_opt_find("tcp_keepalive"), .value = 1 };
    struct state state;
    struct ss_sock s;
    struct ss_error err;
    int value = 0;
    open_state(&state);
    ss_sock_init(&s, &state.env, SOCK_STREAM);
    CHECK(ss_sock_set(&s, &keepalive, &err) == SS_OK);
    for (int round = 0; round < 2; round++) {
        CHECK(ss_sock_open(&s, AF_UNIX, &err) == SS_OK && s.kernel_ms[0] == 0 && s.kernel_ms[1] == 0);
        s.kernel_ms[0] = s.kernel_ms[1] = 1000;
        s.io.drained = true;
        s.io.conn_error = ECONNRESET;
        CHECK(os_opt_get(s.io.fd, AF_UNIX, keepalive.opt, &value, &err) == SS_OK && value == 1);
        CHECK(ss_inbuf_borrow(&s.in, 100, &err) == SS_OK);
        s.in.block->end = 100;
        CHECK(ss_sock_close(&s, &err) == SS_OK);
        check_closed(&s);
    }
    ss_sock_fini(&s);
    close_state(&state);
}

/* A setting that the system refuses is not kept either: the next descriptor would fail with it. */
static void test_a_refused_setting_is_forgotten(void)
{
    const struct ss_setting bad = { .level = SOL_SOCKET, .number = 0x7fff, .value = 1 };
    const struct ss_setting first = { .opt = os_opt_find("tcp_keepalive"), .value = 1 };
    struct state state;
    struct ss_sock s;
    struct ss_error err;
    open_state(&state);
    ss_sock_init(&s, &state.env, SOCK_STREAM);
    CHECK(ss_sock_set(&s, &first, &err) == SS_OK && ss_sock_open(&s, AF_UNIX, &err) == SS_OK);
    CHECK(ss_sock_set(&s, &bad, &err) == SS_ERROR && err.code == ENOPROTOOPT);
    CHECK(ss_optlist_get(&s.opts, &bad) == NULL && ss_optlist_get(&s.opts, &first)->value == 1);
    CHECK(ss_sock_close(&s, &err) == SS_OK && ss_sock_open(&s, AF_UNIX, &err) == SS_OK);
    ss_sock_fini(&s);
    close_state(&state);
}

/* Of two values of one option the one that was taken stays. */
static void test_a_refused_value_leaves_the_earlier_one(void)
{
    const struct ss_setting good = { .opt = os_opt_find("ip_ttl"), .value = 10 };
    const struct ss_setting bad = { .opt = good.opt, .value = 300 };
    struct state state;
    struct ss_sock s;
    struct ss_error err;
    open_state(&state);
    ss_sock_init(&s, &state.env, SOCK_DGRAM);
    CHECK(ss_sock_set(&s, &good, &err) == SS_OK && ss_sock_open(&s, AF_INET, &err) == SS_OK);
    CHECK(ss_sock_set(&s, &bad, &err) == SS_ERROR && err.code == EINVAL);
    CHECK(ss_optlist_get(&s.opts, &good)->value == 10);
    ss_sock_fini(&s);
    close_state(&state);
}

/* A descriptor that cannot take the kept options is not left behind. */
static void test_options_that_fail_on_the_next_descriptor(void)
{
    const struct ss_setting bad = { .level = SOL_SOCKET, .number = 0x7fff, .value = 1 };
    struct state state;
    struct ss_sock s;
    struct ss_error err;
    open_state(&state);
    ss_sock_init(&s, &state.env, SOCK_STREAM);
    CHECK(ss_sock_set(&s, &bad, &err) == SS_OK);
    CHECK(ss_sock_open(&s, AF_UNIX, &err) == SS_ERROR && err.code == ENOPROTOOPT);
    check_closed(&s);
    ss_sock_fini(&s);
    close_state(&state);
}

/* A system without IPv6. */
static bool no_ipv6;
static int ipv6_asked;

__typeof__(socket) __real_socket, __wrap_socket;
int __wrap_socket(int family, int type, int protocol)
{
    ipv6_asked += family == AF_INET6;
    if (!no_ipv6 || family != AF_INET6)
        return __real_socket(family, type, protocol);
    errno = EAFNOSUPPORT;
    return -1;
}

static void check_any(bool has_ipv6)
{
    struct state state;
    struct ss_sock s;
    struct ss_error err;
    struct ss_addr addr;
    open_state(&state);
    ss_sock_init(&s, &state.env, SOCK_STREAM);
    no_ipv6 = !has_ipv6;
    ipv6_asked = 0;
    CHECK(ss_sock_bind_any(&s, 0, &err) == SS_OK && ipv6_asked == 1);
    CHECK(os_local(s.io.fd, &addr, &err) == SS_OK && addr.sa.any.sa_family == s.family);
    CHECK(s.family == (has_ipv6 ? AF_INET6 : AF_INET) && s.bound);
    CHECK(ss_sock_bind_any(&s, 0, &err) == SS_ERROR && err.code == EINVAL && s.io.fd >= 0); /* it has a name */
    no_ipv6 = false;
    ss_sock_fini(&s);
    close_state(&state);
}

static void test_any_address_without_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd >= 0) { /* this system has it */
        close(fd);
        check_any(true);
    }
    check_any(false);
}

static void test_modes(void)
{
    struct state state;
    struct ss_sock s;
    struct ss_error err;
    open_state(&state);
    ss_sock_init(&s, &state.env, SOCK_STREAM);
    CHECK(ss_sock_open(&s, AF_UNIX, &err) == SS_OK);
    CHECK(fcntl(s.io.fd, F_GETFD) & FD_CLOEXEC);
    for (int round = 0; round < 4; round++) {
        bool nonblock = round % 2 == 0;
        CHECK(ss_sock_set_nonblock(&s, nonblock, &err) == SS_OK && ss_sock_set_nonblock(&s, nonblock, &err) == SS_OK);
        CHECK(s.nonblock == nonblock && ((fcntl(s.io.fd, F_GETFL) & O_NONBLOCK) != 0) == nonblock);
    }
    ss_sock_fini(&s);
    close_state(&state);
}

/* Others may change the mode of what they share. */
static void test_the_mode_of_a_shared_descriptor(void)
{
    struct state state;
    struct ss_sock s;
    struct ss_error err;
    open_state(&state);
    take_descriptor(&s, &state);
    CHECK(ss_sock_set_nonblock(&s, true, &err) == SS_OK);
    CHECK(fcntl(s.io.fd, F_SETFL, fcntl(s.io.fd, F_GETFL) & ~O_NONBLOCK) == 0);
    CHECK(ss_sock_set_nonblock(&s, true, &err) == SS_OK && (fcntl(s.io.fd, F_GETFL) & O_NONBLOCK) != 0);
    ss_sock_fini(&s);
    close_state(&state);
}

/* exit() lets a coverage build write its counts. */
static void test_a_child_process_shares_descriptors(void)
{
    struct state state;
    struct ss_sock s;
    struct ss_error err;
    int status = -1;
    open_state(&state);
    ss_sock_init(&s, &state.env, SOCK_STREAM);
    CHECK(ss_sock_open(&s, AF_UNIX, &err) == SS_OK && !ss_env_check_fork(&state.env) && !s.shared);
    pid_t child = fork();
    if (child == -1)
        abort();
    if (child == 0)
        exit(ss_env_check_fork(&state.env) && s.shared && state.env.forks == 1 ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    ss_sock_fini(&s);
    close_state(&state);
}

int main(void)
{
    RUN(test_a_new_socket);
    RUN(test_the_table_knows_who_has_a_descriptor);
    RUN(test_the_table_grows_fast_enough);
    RUN(test_memory_that_was_another_sockets);
    RUN(test_no_memory_for_a_descriptor);
    RUN(test_taking_over);
    RUN(test_what_outlives_a_descriptor);
    RUN(test_a_refused_setting_is_forgotten);
    RUN(test_a_refused_value_leaves_the_earlier_one);
    RUN(test_options_that_fail_on_the_next_descriptor);
    RUN(test_any_address_without_ipv6);
    RUN(test_modes);
    RUN(test_the_mode_of_a_shared_descriptor);
    RUN(test_a_child_process_shares_descriptors);
    return check_end();
}
