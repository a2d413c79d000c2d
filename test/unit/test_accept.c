/* Accepting: what happens when a connection is gone before it is taken. accept4(2) is the one below. */
#include "check.h"
#include "core/op_accept.h"
#include "heap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the system says, one call after another; 0: a connection, and that is the end. */
static const int *script;
static int calls;

int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    (void)fd, (void)addr, (void)len, (void)flags;
    calls++;
    errno = *script;
    return *script != 0 ? (script++, -1) : socket(AF_UNIX, SOCK_STREAM, 0);
}

struct state {
    struct heap heap;
    struct ss_env env;
    struct ss_sock listener, into;
    struct ss_accept op;
};

static void begin(struct state *state, const int *says)
{
    struct ss_error err;
    state->heap = (struct heap){ 0 };
    ss_env_init(&state->env, heap_mem(&state->heap));
    ss_sock_init(&state->listener, &state->env, SOCK_STREAM);
    ss_sock_init(&state->into, &state->env, SOCK_STREAM);
    if (ss_sock_open(&state->listener, AF_UNIX, &err) != SS_OK)
        abort();
    state->op = (struct ss_accept){ .listener = &state->listener, .into = &state->into };
    state->op.op.io = &state->listener.io;
    script = says;
    calls = 0;
}

static enum ss_status step(struct state *state, enum ss_mode turn)
{
    ss_io_set_mode(state->op.op.io, turn);
    return ss_accept_step(&state->op.op);
}

static void end(struct state *state)
{
    ss_sock_fini(&state->listener);
    ss_sock_fini(&state->into);
    ss_env_fini(&state->env);
    heap_check_empty(&state->heap);
}

/* An edge-triggered poller has told of all of them at once, and tells no more. */
static void test_the_one_behind_those_that_vanished_is_taken(void)
{
    static const int says[] = { ECONNABORTED, EINTR, EPROTO, 0 };
    struct state state;
    for (enum ss_mode turn = SS_WAIT_ONCE; turn <= SS_NO_WAIT_EDGE; turn++) {
        begin(&state, says);
        CHECKF(step(&state, turn) == SS_OK && calls == 4, "turn %d: %d calls", (int)turn, calls);
        CHECK(state.into.io.fd >= 0);
        end(&state);
    }
}

static void test_nothing_is_there_behind_one_that_vanished(void)
{
    static const int says[] = { ECONNABORTED, EAGAIN, 0 };
    struct state state;
    begin(&state, says);
    CHECK(step(&state, SS_NO_WAIT_EDGE) == SS_WANT && calls == 2);
    CHECK(state.op.op.want.fd == state.listener.io.fd && state.op.op.want.events == SS_READABLE);
    CHECK(!ss_io_is_spent(&state.listener.io));
    end(&state);
}

/* Whoever connects and goes as fast as we take does not keep us from our clock. */
static void test_a_flood_of_those_that_vanish_ends_the_step(void)
{
    int says[SS_CALLS_PER_STEP + 2];
    struct state state;
    for (int i = 0; i < SS_CALLS_PER_STEP + 1; i++)
        says[i] = ECONNABORTED;
    says[SS_CALLS_PER_STEP + 1] = 0;
    begin(&state, says);
    CHECK(step(&state, SS_NO_WAIT_EDGE) == SS_WANT && calls == SS_CALLS_PER_STEP);
    CHECK(ss_io_is_spent(&state.listener.io));
    CHECK(step(&state, SS_NO_WAIT_EDGE) == SS_OK);
    end(&state);
}

static void test_another_error_is_told(void)
{
    static const int says[] = { EMFILE, 0 };
    struct state state;
    begin(&state, says);
    CHECK(step(&state, SS_NO_WAIT) == SS_ERROR && state.op.op.error.code == EMFILE && calls == 1);
    end(&state);
}

/* Its memory is another socket's, which is closed as well. The connection is nobody's. */
static void test_the_socket_for_it_has_ended(void)
{
    static const int says[] = { 0 };
    struct state state;
    begin(&state, says);
    ss_sock_fini(&state.into);
    ss_sock_reinit(&state.into, &state.env, SOCK_STREAM);
    state.listener.may_linger = true;
    int next = dup(state.listener.io.fd);
    close(next);
    CHECK(step(&state, SS_NO_WAIT) == SS_ERROR && state.op.op.error.code == ECANCELED && calls == 1);
    CHECK(state.into.io.fd == -1 && !state.into.may_linger && fcntl(next, F_GETFD) == -1);
    end(&state);
}

int main(void)
{
    RUN(test_the_socket_for_it_has_ended);
    RUN(test_the_one_behind_those_that_vanished_is_taken);
    RUN(test_nothing_is_there_behind_one_that_vanished);
    RUN(test_a_flood_of_those_that_vanish_ends_the_step);
    RUN(test_another_error_is_told);
    return check_end();
}
