#include "fake_os.h"
#include "check.h"
#include "os/os_clock.h"
#include "os/os_lookup.h"
#include "os/os_name.h"
#include "os/os_net.h"
#include "os/os_opt.h"
#include "os/os_poll.h"

#include <errno.h>
#include <stdio.h>  /* snprintf */
#include <stdlib.h> /* abort, strtol */
#include <string.h>

/* The linker's --wrap sends calls here; the type is the real one's. */
#define FAKE(function) __typeof__(function) __wrap_##function

enum { FIRST_FD = 100, LOOKUP_FD = 99 };

static const int64_t NEVER = INT64_MAX;

struct fake_os fake;

int64_t fake_ms(double ms)
{
    return ms < 0 ? -1 : (int64_t)(ms * 1e6);
}

/* A wait without end, a descriptor that is not open: the code under test does not go on from here. */
static void give_up(const char *why, int fd)
{
    printf("%s (%d) at %lld ns, %s\n", why, fd, (long long)fake.now_ns, fake.log);
    fflush(stdout);
    abort();
}

static void note(const char *what, int address)
{
    size_t len = strlen(fake.log);
    if (!fake.silent)
        snprintf(fake.log + len, sizeof fake.log - len, "%s%d%s%c", len > 0 ? " " : "", (int)(fake.now_ns / 1000000),
                 what, 'a' + address);
}

static enum ss_status fail(struct ss_error *err, int code)
{
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

static enum ss_status result(int code, struct ss_error *err)
{
    return code == 0 ? SS_OK : fail(err, code);
}

/* Addresses and what becomes of them */

static int code_of(char how)
{
    static const struct {
        char how;
        int code;
    } codes[] = {
        { '+', 0 },
        { 'n', 0 },
        { 'r', ECONNREFUSED },
        { 's', ECONNRESET },
        { 't', ETIMEDOUT },
        { 'a', EACCES },
        { 'u', ENETUNREACH },
        { 'h', EHOSTUNREACH },
        { 'v', EINVAL },
        { 'l', EADDRNOTAVAIL },
        { 'f', EAFNOSUPPORT },
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].how == how)
            return codes[i].code;
    abort();
}

static struct fate fate_of(char how, const char *after_ms)
{
    struct fate fate = { .code = code_of(how), .later = how == 'n' || *after_ms != '\0' };
    fate.after_ns = how == 'n' ? NEVER : fake_ms((double)strtol(after_ms, NULL, 10));
    return fate;
}

static void set_name(int i, int family)
{
    union ss_sockaddr *name = &fake.names[i];
    name->any.sa_family = (sa_family_t)family;
    if (family == AF_INET)
        name->in.sin_addr.s_addr = htonl((uint32_t)i);
    else
        name->in6.sin6_addr.s6_addr[15] = (unsigned char)i;
    fake.infos[i] = (struct addrinfo){ .ai_family = family, .ai_addr = &name->any };
    fake.infos[i].ai_addrlen = family == AF_INET ? sizeof name->in : sizeof name->in6;
    if (i > 0)
        fake.infos[i - 1].ai_next = &fake.infos[i];
}

void fake_begin(const char *addresses)
{
    char text[256], *rest = NULL;
    memset(&fake, 0, sizeof fake);
    fake.now_ns = 1;
    snprintf(text, sizeof text, "%s", addresses);
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        int i = fake.naddresses++;
        fake.fates[i] = fate_of(word[1], word + 2);
        set_name(i, word[0] == '6' ? AF_INET6 : AF_INET);
    }
}

/* An IPv4 address may come as an IPv6 one; a Unix address is the first. */
static int index_of(const struct ss_addr *addr)
{
    if (addr->sa.any.sa_family == AF_INET)
        return (int)ntohl(addr->sa.in.sin_addr.s_addr);
    return addr->sa.any.sa_family == AF_INET6 ? addr->sa.in6.sin6_addr.s6_addr[15] : 0;
}

/* Descriptors */

struct fake_fd *fake_fd(int fd)
{
    int i = fd - FIRST_FD;
    if (i < 0 || i >= fake.nfds || !fake.fds[i].open)
        give_up("no open descriptor", fd);
    return &fake.fds[i];
}

int fake_count_open(void)
{
    int n = 0;
    for (int i = 0; i < fake.nfds; i++)
        n += fake.fds[i].open;
    return n;
}

FAKE(os_socket);
enum ss_status __wrap_os_socket(int family, int type, bool nonblock, int *fd, struct ss_error *err)
{
    if (fake.nfds == FAKE_FDS)
        give_up("too many descriptors", type);
    int i = fake.nfds++;
    bool fails = fake.nfds == fake.failing_socket;
    fake.fds[i] = (struct fake_fd){ .open = !fails, .nonblock = nonblock, .family = family, .address = -1 };
    *fd = FIRST_FD + i;
    if (fake_count_open() > fake.most_open)
        fake.most_open = fake_count_open();
    return result(fails ? EMFILE : 0, err);
}

FAKE(os_close);
enum ss_status __wrap_os_close(int fd, struct ss_error *err)
{
    struct fake_fd *f = fake_fd(fd);
    if (f->address >= 0)
        note("-", f->address);
    f->open = f->connecting = false;
    return result(0, err);
}

FAKE(os_nonblock);
enum ss_status __wrap_os_nonblock(int fd, bool on, struct ss_error *err)
{
    fake_fd(fd)->nonblock = on;
    return result(0, err);
}

FAKE(os_kernel_timeout);
enum ss_status __wrap_os_kernel_timeout(int fd, bool sending, int32_t ms, struct ss_error *err)
{
    CHECK(sending);
    if (fake.no_bounds)
        return fail(err, EPERM);
    fake_fd(fd)->bound_ms = ms;
    return result(0, err);
}

FAKE(os_opt_set_raw);
enum ss_status __wrap_os_opt_set_raw(int fd, int level, int opt, int value, struct ss_error *err)
{
    CHECK(level == FAKE_TTL_LEVEL && opt == FAKE_TTL);
    if (++fake.noptions == fake.failing_option)
        return fail(err, ENOPROTOOPT);
    fake_fd(fd)->ttl = value;
    return SS_OK;
}

/* Connecting */

static enum ss_status end_of(struct fake_fd *f, struct ss_error *err)
{
    int code = fake.fates[f->address].code;
    f->connecting = false;
    f->connected = code == 0;
    return result(code, err);
}

/* On a microsecond: what is to end together does so, whoever has looked at the clock meanwhile. */
static int64_t end_after(int64_t after_ns)
{
    if (after_ns == 0 || after_ns == NEVER)
        return after_ns == 0 ? fake.now_ns : NEVER;
    return ((fake.now_ns + after_ns) / 1000 + 1) * 1000;
}

/* connect(2) on a descriptor in blocking mode: until the end, or as long as SO_SNDTIMEO lets it. */
static enum ss_status wait_in_kernel(struct fake_fd *f, int fd, struct ss_error *err)
{
    int64_t bound_ns = f->bound_ms > 0 ? fake.now_ns + fake_ms(f->bound_ms) : NEVER;
    if (f->end_ns == NEVER && bound_ns == NEVER)
        give_up("a connect without end", fd);
    fake.now_ns = f->end_ns < bound_ns ? f->end_ns : bound_ns;
    f->told = f->end_ns <= bound_ns;
    return f->told ? end_of(f, err) : SS_WANT;
}

/* A Unix listener's queue is full, and nothing goes on behind the call. */
static enum ss_status wait_for_room(const struct fake_fd *f, bool *later)
{
    *later = true;
    fake.queue_full--;
    fake.now_ns += f->nonblock ? 0 : fake_ms(f->bound_ms);
    return SS_WANT;
}

/* As on Linux: a connection that was in progress when connect(2) returned is news to the next one. */
static enum ss_status connect_again(struct fake_fd *f, struct ss_error *err)
{
    bool told = f->told;
    f->told = true;
    return result(told ? EISCONN : 0, err);
}

FAKE(os_connect);
enum ss_status __wrap_os_connect(int fd, const struct ss_addr *addr, bool *later, struct ss_error *err)
{
    struct fake_fd *f = fake_fd(fd);
    CHECKF(!f->connecting, "a second attempt on a descriptor");
    CHECK(addr->sa.any.sa_family == f->family);
    *later = false;
    if (f->connected)
        return connect_again(f, err);
    f->address = index_of(addr);
    note("", f->address);
    if (fake.queue_full > 0)
        return wait_for_room(f, later);
    const struct fate *fate = &fake.fates[f->address];
    if (!fate->later) {
        f->told = true;
        return end_of(f, err);
    }
    f->connecting = true;
    f->end_ns = end_after(fate->after_ns);
    return f->nonblock ? SS_WANT : wait_in_kernel(f, fd, err);
}

FAKE(os_connected);
enum ss_status __wrap_os_connected(int fd, struct ss_error *err)
{
    struct fake_fd *f = fake_fd(fd);
    CHECKF(f->connecting, "nothing is under way on this descriptor");
    if (f->end_ns > fake.now_ns)
        return SS_WANT;
    enum ss_status st = end_of(f, err);
    f->stuck = st == SS_ERROR;
    return st;
}

FAKE(os_peer);
enum ss_status __wrap_os_peer(int fd, struct ss_addr *addr, struct ss_error *err)
{
    addr->len = 0;
    return result(fake_fd(fd)->connected ? 0 : ENOTCONN, err);
}

FAKE(os_disconnect);
enum ss_status __wrap_os_disconnect(int fd, struct ss_error *err)
{
    struct fake_fd *f = fake_fd(fd);
    CHECK(f->connecting || f->stuck);
    f->connecting = f->stuck = false;
    f->address = -1;
    return result(0, err);
}

/* Names */

static enum ss_status found(struct os_answer *answer, struct ss_error *err)
{
    if (fake.lookup_error) {
        *err = (struct ss_error){ SS_RESOLVER, fake.lookup_error };
        return SS_ERROR;
    }
    fake.lists++;
    *answer = (struct os_answer){ .list = fake.infos };
    return SS_OK;
}

FAKE(os_ask);
enum ss_status __wrap_os_ask(const struct os_query *query, struct os_answer *answer, struct ss_error *err)
{
    CHECK(strcmp(query->host, "name") == 0);
    fake.direct = true;
    fake.now_ns += fake.lookup_ns;
    return found(answer, err);
}

FAKE(os_answer_free);
void __wrap_os_answer_free(struct os_answer *answer)
{
    if (!answer->list)
        return;
    CHECK(answer->list == fake.infos && fake.lists == 1);
    answer->list = NULL;
    fake.lists--;
}

FAKE(os_lookup_start);
enum ss_status __wrap_os_lookup_start(struct os_resolver **resolver, const struct os_query *query,
                                      struct os_lookup **lookup, int *fd, struct ss_error *err)
{
    CHECK(!*resolver && strcmp(query->host, "name") == 0 && fake.lookups == 0);
    if (fake.no_threads)
        return result(EAGAIN, err);
    fake.lookups++;
    fake.lookup_end_ns = fake.now_ns + fake.lookup_ns;
    *lookup = (struct os_lookup *)&fake;
    *fd = LOOKUP_FD;
    return result(0, err);
}

FAKE(os_lookup_take);
enum ss_status __wrap_os_lookup_take(struct os_lookup *lookup, struct os_answer *answer, struct ss_error *err)
{
    CHECK(lookup == (struct os_lookup *)&fake && fake.lookups == 1);
    if (fake.lost_lookups > 0) {
        fake.lost_lookups--;
        return SS_CLOSED;
    }
    return fake.lookup_end_ns <= fake.now_ns ? found(answer, err) : SS_WANT;
}

FAKE(os_lookup_drop);
void __wrap_os_lookup_drop(struct os_lookup *lookup)
{
    CHECK(lookup == (struct os_lookup *)&fake && fake.lookups == 1);
    fake.lookups--;
}

/* Time and waiting */

/* Whoever looks at the clock all the time sees it move. */
FAKE(os_now_ns);
int64_t __wrap_os_now_ns(void)
{
    return fake.now_ns += 10;
}

static int64_t ready_ns(const struct pollfd *p)
{
    if (p->fd == LOOKUP_FD) {
        CHECK(fake.lookups == 1 && p->events == POLLIN);
        return fake.lookup_end_ns;
    }
    const struct fake_fd *f = fake_fd(p->fd);
    CHECK(f->connecting && p->events == POLLOUT);
    return f->end_ns;
}

static int64_t next_signal_ns(void)
{
    return fake.signal_ns > 0 ? (fake.now_ns / fake.signal_ns + 1) * fake.signal_ns : NEVER;
}

static enum ss_status wake_at(int64_t at_ns, enum ss_status st)
{
    if (at_ns == NEVER)
        give_up("a wait without end", (int)st);
    if (at_ns > fake.now_ns)
        fake.now_ns = at_ns;
    return st;
}

FAKE(os_poll);
enum ss_status __wrap_os_poll(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready, struct ss_error *err)
{
    int64_t end_ns = timeout_ns < 0 ? NEVER : fake.now_ns + timeout_ns, first_ns = NEVER, signal_ns = next_signal_ns();
    if (fake.poll)
        return fake.poll(set, n, timeout_ns, ready, err);
    for (size_t i = 0; i < n; i++)
        first_ns = ready_ns(&set[i]) < first_ns ? ready_ns(&set[i]) : first_ns;
    *ready = 1;
    if (first_ns <= signal_ns && first_ns <= end_ns)
        return wake_at(first_ns, SS_OK);
    return signal_ns < end_ns ? wake_at(signal_ns, SS_WANT) : wake_at(end_ns, SS_TIMEOUT);
}
