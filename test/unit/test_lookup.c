/* Look-ups on helper threads, with a resolver and a hosts file of our own: names that begin with "b" (blocked) find their
 * address when the gate lets them through, others at once; those that begin with "4" have no address of IPv6. The linker
 * sends getaddrinfo, getnameinfo, fopen and pthread_create here. */
#include "check.h"
#include "os/os_hosts.h"
#include "os/os_lookup.h"
#include "os/os_name.h"
#include "pair.h"

#include <arpa/inet.h> /* inet_pton */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h> /* fcntl */
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The resolver */

struct counts {
    int permits; /* so many blocked ones may go on */
    int running, most;
    int lists;   /* that were not given back */
    int readers; /* of the hosts file, which wait while it is shut */
    int reads;   /* of it, in all */
    bool shut;
    bool late; /* threads do not begin yet */
    bool takes_signals;
    char asked[4096]; /* first two letters of the names, in order */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct counts is;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void pass_gate(const char *host)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    pthread_mutex_lock(&gate.lock);
    struct counts *is = &gate.is;
    is->takes_signals = is->takes_signals || !sigismember(&mask, SIGUSR1) || !sigismember(&mask, SIGALRM);
    is->most = ++is->running > is->most ? is->running : is->most;
    if (strlen(is->asked) + 3 < sizeof is->asked)
        strncat(is->asked, host, 2);
    while (*host == 'b' && is->permits == 0)
        pthread_cond_wait(&gate.changed, &gate.lock);
    is->permits -= *host == 'b';
    is->running--;
    pthread_mutex_unlock(&gate.lock);
}

static void count_lists(int n)
{
    pthread_mutex_lock(&gate.lock);
    gate.is.lists += n;
    pthread_mutex_unlock(&gate.lock);
}

__typeof__(getaddrinfo) __wrap_getaddrinfo;
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    static struct sockaddr_in address = { .sin_family = AF_INET };
    static struct addrinfo found = { .ai_family = AF_INET, .ai_addrlen = sizeof address };
    host = host ? host : service;
    pass_gate(host);
    if (*host == 'n' || (*host == '4' && hints->ai_family == AF_INET6))
        return EAI_NONAME;
    errno = ENFILE;
    if (*host == 's')
        return EAI_SYSTEM;
    *list = malloc(sizeof found);
    if (!*list)
        abort();
    **list = found;
    (*list)->ai_addr = (struct sockaddr *)&address;
    count_lists(1);
    return 0;
}

__typeof__(freeaddrinfo) __wrap_freeaddrinfo;
void __wrap_freeaddrinfo(struct addrinfo *list)
{
    count_lists(-1);
    free(list);
}

/* Asked for "r1", and so on: the last number of the address. */
__typeof__(getnameinfo) __wrap_getnameinfo;
int __wrap_getnameinfo(const struct sockaddr *sa, socklen_t len, char *host, socklen_t host_size, char *service,
                       socklen_t service_size, int flags)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    struct sockaddr_in in = { .sin_family = AF_INET };
    memcpy(sa->sa_family == AF_INET6 ? (void *)&in6 : (void *)&in, sa, len);
    unsigned last = sa->sa_family == AF_INET6 ? in6.sin6_addr.s6_addr[15] : ntohl(in.sin_addr.s_addr) & 255;
    CHECK(flags == NI_NAMEREQD);
    snprintf(host, host_size, "r%u", last);
    snprintf(service, service_size, "0");
    pass_gate(host);
    return 0;
}

static const char *hosts_text = "127.0.0.1 localhost\n192.0.2.1 local l1\n";

__typeof__(fopen) __real_fopen, __wrap_fopen;
FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (strcmp(path, "/etc/hosts") != 0)
        return __real_fopen(path, mode);
    pthread_mutex_lock(&gate.lock);
    gate.is.readers++;
    gate.is.reads++;
    while (gate.is.shut)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.is.readers--;
    pthread_mutex_unlock(&gate.lock);
    errno = EMFILE;
    return hosts_text ? fmemopen((void *)(uintptr_t)hosts_text, strlen(hosts_text), "r") : NULL;
}

/* A thread that begins only when it is let, like one that gets no processor. */
struct beginning {
    void *(*start)(void *);
    void *arg;
};

static void *begin_late(void *arg)
{
    struct beginning is = *(struct beginning *)arg;
    free(arg);
    pthread_mutex_lock(&gate.lock);
    while (gate.is.late)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    return is.start(is.arg);
}

static int no_threads;   /* so many calls of pthread_create fail */
static size_t big_stack; /* and those with a stack smaller than that */

__typeof__(pthread_create) __real_pthread_create, __wrap_pthread_create;
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    size_t stack = 0;
    if (no_threads > 0) {
        no_threads--;
        return EAGAIN;
    }
    if (attr && pthread_attr_getstacksize(attr, &stack) == 0 && stack < big_stack)
        return EINVAL;
    struct beginning *b = malloc(sizeof *b);
    if (!b)
        return EAGAIN;
    *b = (struct beginning){ start, arg };
    int code = __real_pthread_create(thread, attr, begin_late, b);
    if (code != 0)
        free(b);
    return code;
}

static int no_eventfd; /* 0, or why there is none */

__typeof__(eventfd) __real_eventfd, __wrap_eventfd;
int __wrap_eventfd(unsigned count, int flags)
{
    if (no_eventfd == 0)
        return __real_eventfd(count, flags);
    errno = no_eventfd;
    return -1;
}

static int memory; /* so many allocations from the one that fails; 0: none does */

__typeof__(malloc) __real_malloc, __wrap_malloc;
void *__wrap_malloc(size_t size)
{
    if (memory > 0 && --memory == 0) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_malloc(size);
}

/* Looking and waiting */

static int threads_before;

static int count_entries(const char *path)
{
    int n = 0;
    DIR *dir = opendir(path);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static int count_threads(void)
{
    return count_entries("/proc/self/task") - threads_before;
}

static struct counts seen(void)
{
    pthread_mutex_lock(&gate.lock);
    struct counts copy = gate.is;
    pthread_mutex_unlock(&gate.lock);
    return copy;
}

static int running(void)
{
    return seen().running;
}

static int readers(void)
{
    return seen().readers;
}

static void hold_threads(bool late)
{
    pthread_mutex_lock(&gate.lock);
    gate.is.late = late;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void shut_hosts(bool shut)
{
    pthread_mutex_lock(&gate.lock);
    gate.is.shut = shut;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

/* After `blocked` ones, which come in any order: these. */
static void check_asked(int blocked, const char *names)
{
    struct counts is = seen();
    CHECKF(strcmp(is.asked + 2 * blocked, names) == 0, "%s", is.asked);
}

static void wait_until(int (*count)(void), int expected)
{
    double limit = now_ms() + 20000;
    while (count() != expected) {
        if (now_ms() > limit) {
            CHECKF(false, "%d, and not %d", count(), expected);
            return;
        }
        wait_ms(1);
    }
}

static void let_through(int n)
{
    pthread_mutex_lock(&gate.lock);
    gate.is.permits += n;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

/* A resolver, look-ups of it, and their descriptors. */

enum { LOOKUPS = OS_LOOKUPS + OS_LOOKUPS_ABANDONED + 128 };

struct rig {
    struct os_resolver *resolver;
    struct os_lookup *lookups[LOOKUPS];
    int fds[LOOKUPS];
    int n, descriptors;
};

static void rig_open(struct rig *rig)
{
    *rig = (struct rig){ .descriptors = count_entries("/dev/fd") };
    pthread_mutex_lock(&gate.lock);
    gate.is = (struct counts){ .permits = 0 };
    pthread_mutex_unlock(&gate.lock);
}

static enum ss_status start_lookup(struct os_resolver **resolver, const char *host, struct os_lookup **lookup, int *fd,
                                   struct ss_error *err)
{
    const struct os_query query = { .host = host };
    return os_lookup_start(resolver, &query, lookup, fd, err);
}

static int start_query(struct rig *rig, const struct os_query *query)
{
    struct ss_error err;
    int i = rig->n++;
    CHECK(os_lookup_start(&rig->resolver, query, &rig->lookups[i], &rig->fds[i], &err) == SS_OK);
    CHECK(fcntl(rig->fds[i], F_GETFD) == FD_CLOEXEC);
    return i;
}

static int start(struct rig *rig, const char *host)
{
    return start_query(rig, &(struct os_query){ .host = host });
}

static int start_family(struct rig *rig, const char *host, int family)
{
    return start_query(rig, &(struct os_query){ .host = host, .family = family });
}

static int start_reverse(struct rig *rig, const char *address)
{
    struct os_query query = { .family = AF_UNSPEC };
    struct ss_addr *addr = &query.reverse;
    if (inet_pton(AF_INET, address, &addr->sa.in.sin_addr) == 1) {
        addr->len = sizeof addr->sa.in;
        addr->sa.in.sin_family = AF_INET;
    } else {
        CHECK(inet_pton(AF_INET6, address, &addr->sa.in6.sin6_addr) == 1);
        addr->len = sizeof addr->sa.in6;
        addr->sa.in6.sin6_family = AF_INET6;
    }
    return start_query(rig, &query);
}

/* "b0", "b1" and so on, until as many run as may, and the rest has been sorted. */
static void start_blocked(struct rig *rig, int n)
{
    int others = running();
    for (int i = 0; i < n; i++) {
        const char name[] = { 'b', (char)('0' + i % 64), '\0' };
        start(rig, name);
    }
    wait_until(running, others + (n < OS_LOOKUPS ? n : OS_LOOKUPS));
    wait_until(count_threads, running());
}

static bool has_ended(const struct rig *rig, int i, int limit_ms)
{
    struct pollfd p = { .fd = rig->fds[i], .events = POLLIN };
    return poll(&p, 1, limit_ms) == 1 && p.revents == POLLIN;
}

static enum ss_status take(const struct rig *rig, int i, struct ss_error *err)
{
    struct os_answer answer = { .list = NULL };
    enum ss_status st = os_lookup_take(rig->lookups[i], &answer, err);
    CHECK((st == SS_OK) == (answer.list != NULL || answer.reverse != NULL));
    os_answer_free(&answer);
    return st;
}

static void check_found(const struct rig *rig, int i)
{
    struct ss_error err;
    CHECKF(has_ended(rig, i, 20000), "look-up %d does not end", i);
    CHECK(take(rig, i, &err) == SS_OK);
}

static void check_fails(const struct rig *rig, int i, enum ss_space space, int code)
{
    struct ss_error err;
    CHECKF(has_ended(rig, i, 20000), "look-up %d does not end", i);
    CHECK(take(rig, i, &err) == SS_ERROR && err.space == space && err.code == code);
}

static void drop(struct rig *rig, int i)
{
    os_lookup_drop(rig->lookups[i]);
    rig->lookups[i] = NULL;
}

/* The queue first, so that none of it comes to run. */
static void drop_all(struct rig *rig)
{
    for (int i = rig->n - 1; i >= 0; i--)
        if (rig->lookups[i])
            drop(rig, i);
}

/* As many as there may be that nobody waits for, and that go on. */
static void give_up(struct rig *rig, int n)
{
    for (; n > 0; n -= OS_LOOKUPS) {
        start_blocked(rig, n < OS_LOOKUPS ? n : OS_LOOKUPS);
        drop_all(rig);
    }
}

/* Everything given up leaves nothing. */
static void rig_close(struct rig *rig)
{
    drop_all(rig);
    os_resolver_free(rig->resolver);
    let_through(LOOKUPS);
    wait_until(count_threads, 0);
    struct counts is = seen();
    CHECKF(is.lists == 0, "%d lists were not given back", is.lists);
    CHECKF(!is.takes_signals, "a thread takes the program's signals");
    int left = count_entries("/dev/fd") - rig->descriptors;
    CHECKF(left == 0, "%d descriptors are left", left);
}

/* Tests */

static void test_one_after_another(void)
{
    struct rig rig;
    struct ss_error err;
    rig_open(&rig);
    for (int i = 0; i < 3; i++) {
        start(&rig, "b0");
        CHECK(take(&rig, i, &err) == SS_WANT && !has_ended(&rig, i, 0));
        let_through(1);
        check_found(&rig, i);
        wait_until(count_threads, 0);
    }
    rig_close(&rig);
}

static void test_failures(void)
{
    struct rig rig;
    rig_open(&rig);
    check_fails(&rig, start(&rig, "n"), SS_RESOLVER, EAI_NONAME);
    check_fails(&rig, start(&rig, "s"), SS_SYSTEM, ENFILE);
    rig_close(&rig);
}

/* So many run at once, and threads end when there is nothing to do. */
static void test_the_number_of_threads(void)
{
    struct rig rig;
    rig_open(&rig);
    start_blocked(&rig, OS_LOOKUPS + 20);
    CHECKF(count_threads() == OS_LOOKUPS, "%d threads", count_threads());
    let_through(LOOKUPS);
    for (int i = 0; i < rig.n; i++)
        check_found(&rig, i);
    CHECKF(seen().most == OS_LOOKUPS, "%d at once", seen().most);
    wait_until(count_threads, 0);
    rig_close(&rig);
}

/* Those that have not begun count as well: the machine may be slow to do that. The last is for the hosts file. */
static void test_threads_that_begin_late(void)
{
    struct rig rig;
    rig_open(&rig);
    hold_threads(true);
    for (int i = 0; i < OS_LOOKUPS + 20; i++)
        start(&rig, "f");
    CHECKF(count_threads() == OS_LOOKUPS + 1, "%d threads", count_threads());
    for (int i = 0; i < 10; i++)
        drop(&rig, i);
    hold_threads(false);
    for (int i = 10; i < rig.n; i++)
        check_found(&rig, i);
    rig_close(&rig);
}

/* The rest waits in the order in which it came; what is given up in the queue is never asked for. */
static void test_the_queue(void)
{
    struct rig rig;
    struct ss_error err;
    rig_open(&rig);
    start_blocked(&rig, OS_LOOKUPS);
    int first = start(&rig, "f0"), none = start(&rig, "f1"), second = start(&rig, "f2"), last = start(&rig, "f3");
    drop(&rig, none);
    drop(&rig, last);
    CHECK(take(&rig, first, &err) == SS_WANT);
    int third = start(&rig, "f4");
    wait_until(count_threads, OS_LOOKUPS); /* all are sorted */
    let_through(1);                        /* so that one thread has them all */
    check_found(&rig, third);
    check_found(&rig, second);
    check_found(&rig, first);
    check_asked(OS_LOOKUPS, "f0f2f4");
    rig_close(&rig);
}

static void test_a_queue_that_is_given_up(void)
{
    struct rig rig;
    rig_open(&rig);
    start_blocked(&rig, OS_LOOKUPS);
    int i = start(&rig, "f0"), j = start(&rig, "f1");
    drop(&rig, i);
    drop(&rig, j);
    i = start(&rig, "f2");
    let_through(1);
    check_found(&rig, i);
    check_asked(OS_LOOKUPS, "f2");
    rig_close(&rig);
}

/* Given up while it runs, it frees itself; the number of its descriptor is somebody else's by then. */
static void test_giving_up(void)
{
    struct rig rig;
    int ends[2];
    rig_open(&rig);
    start_blocked(&rig, 1);
    int fd = rig.fds[0];
    drop(&rig, 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && ends[0] == fd);
    let_through(1);
    wait_until(count_threads, 0);
    struct pollfd other = { .fd = ends[1], .events = POLLIN };
    CHECKF(poll(&other, 1, 0) == 0, "it has woken somebody else");
    close(ends[0]);
    close(ends[1]);
    rig_close(&rig);
}

/* Ended, and nobody has taken it. */
static void test_giving_up_too_late(void)
{
    struct rig rig;
    rig_open(&rig);
    start(&rig, "f");
    CHECK(has_ended(&rig, 0, 20000));
    drop(&rig, 0);
    rig_close(&rig);
}

/* The Lua state is closed: look-ups and threads may outlive the resolver's owner, who does not wait. */
static void test_the_owner_goes_first(void)
{
    struct rig rig;
    rig_open(&rig);
    start_blocked(&rig, OS_LOOKUPS);
    start(&rig, "f");
    os_resolver_free(rig.resolver);
    rig.resolver = NULL;
    CHECK(running() == OS_LOOKUPS);
    let_through(1);
    check_found(&rig, OS_LOOKUPS);
    rig_close(&rig);
    os_resolver_free(NULL);
}

/* One that is given up makes place for the next, though its thread is still busy with it. */
static void test_a_place_that_is_given_up(void)
{
    struct rig rig;
    struct ss_error err;
    rig_open(&rig);
    start_blocked(&rig, OS_LOOKUPS);
    int i = start(&rig, "f0"), j = start(&rig, "f1");
    CHECK(!has_ended(&rig, i, 10) && take(&rig, i, &err) == SS_WANT);
    drop(&rig, 0);
    check_found(&rig, i);
    check_found(&rig, j);
    check_asked(OS_LOOKUPS, "f0f1");
    wait_until(count_threads, OS_LOOKUPS);
    rig_close(&rig);
}

/* When there are too many that go on for nobody, one more is refused, and so is what is in the queue. */
static void test_too_many_given_up(void)
{
    struct rig rig;
    rig_open(&rig);
    give_up(&rig, OS_LOOKUPS_ABANDONED - 1);
    start_blocked(&rig, OS_LOOKUPS);
    int queued = start(&rig, "f0"), first = rig.n - 1 - OS_LOOKUPS;
    CHECK(!has_ended(&rig, queued, 10));
    drop(&rig, first);
    check_fails(&rig, queued, SS_RESOLVER, EAI_AGAIN);
    check_fails(&rig, start(&rig, "f1"), SS_RESOLVER, EAI_AGAIN);
    check_asked(OS_LOOKUPS_ABANDONED - 1 + OS_LOOKUPS, "");
    drop_all(&rig);
    wait_until(count_threads, OS_LOOKUPS_ABANDONED - 1 + OS_LOOKUPS); /* there are never more */
    check_fails(&rig, start(&rig, "f2"), SS_RESOLVER, EAI_AGAIN);
    let_through(OS_LOOKUPS);
    wait_until(count_threads, OS_LOOKUPS_ABANDONED - 1);
    check_found(&rig, start(&rig, "f3"));
    rig_close(&rig);
}

/* What the hosts file has does not stand in line, whatever the others do. */
static void test_names_that_need_no_server(void)
{
    struct rig rig;
    rig_open(&rig);
    start_blocked(&rig, OS_LOOKUPS + 20);
    check_found(&rig, start(&rig, "local"));
    check_found(&rig, start(&rig, "L1"));
    drop_all(&rig);
    give_up(&rig, OS_LOOKUPS_ABANDONED - running());
    check_found(&rig, start(&rig, "LocalHost"));
    check_fails(&rig, start(&rig, "f"), SS_RESOLVER, EAI_AGAIN);
    check_found(&rig, start(&rig, "local"));
    rig_close(&rig);
}

/* As long as there is a thread for each, nobody reads the file. */
static void test_the_hosts_file_is_asked_only_in_need(void)
{
    struct rig rig;
    rig_open(&rig);
    shut_hosts(true);
    start_blocked(&rig, OS_LOOKUPS - 1);
    check_found(&rig, start(&rig, "f"));
    start_blocked(&rig, 1);
    CHECK(readers() == 0);
    int i = start(&rig, "local"), j = start(&rig, "f");
    wait_until(readers, 1);
    drop(&rig, i); /* while the file is read for it */
    shut_hosts(false);
    wait_until(count_threads, OS_LOOKUPS);
    let_through(1);
    check_found(&rig, j);
    CHECKF(!strstr(seen().asked, "lo"), "what was dropped is asked for");
    rig_close(&rig);
}

/* It may be large, and a name in it must not wait for as many reads as there are others. */
static void test_the_hosts_file_is_read_once_for_all(void)
{
    struct rig rig;
    rig_open(&rig);
    shut_hosts(true);
    start_blocked(&rig, OS_LOOKUPS);
    int first = start(&rig, "f0");
    wait_until(readers, 1);
    int dropped = start(&rig, "local"), local = start(&rig, "local"), other = start(&rig, "l1");
    for (int i = 1; i < 100; i++)
        start(&rig, i % 2 == 0 ? "f1" : "f2");
    int last = start(&rig, "f3");
    drop(&rig, dropped); /* in the queue */
    drop(&rig, first);   /* while the file is read */
    shut_hosts(false);
    check_found(&rig, local);
    check_found(&rig, other);
    wait_until(count_threads, OS_LOOKUPS);
    CHECKF(seen().reads == 2, "%d times", seen().reads);
    check_asked(OS_LOOKUPS, "lol1");
    let_through(1);
    check_found(&rig, last);
    CHECKF(!strstr(seen().asked, "f0"), "what was dropped is asked for");
    rig_close(&rig);
}

/* Several are in the file, some twice, and each is dropped when another is being asked for. */
static void test_dropping_names_of_the_hosts_file(void)
{
    struct rig rig;
    const char *before = hosts_text;
    rig_open(&rig);
    hosts_text = "192.0.2.1 b1 b2\n192.0.2.2 B2 b3\n";
    start_blocked(&rig, OS_LOOKUPS);
    shut_hosts(true);
    start(&rig, "f");
    wait_until(readers, 1);
    int first = start(&rig, "b1"), second = start(&rig, "b2"), third = start(&rig, "b2"), last = start(&rig, "b3");
    shut_hosts(false);
    wait_until(running, OS_LOOKUPS + 1);
    drop(&rig, second);
    drop(&rig, last);
    let_through(LOOKUPS);
    check_found(&rig, first);
    check_found(&rig, third);
    hosts_text = before;
    rig_close(&rig);
}

/* The text that the hosts file has is restored by the caller. */
static void open_full(struct rig *rig, const char *text)
{
    hosts_text = text;
    rig_open(rig);
    start_blocked(rig, OS_LOOKUPS);
}

/* Look-ups that wait for a place, which is so when one that began later has ended. */
static void close_full(struct rig *rig, const int *waiting, int n)
{
    for (int i = 0; i < n; i++)
        CHECKF(!has_ended(rig, waiting[i], 0), "look-up %d needs no server", waiting[i]);
    CHECKF(running() == OS_LOOKUPS, "%d run", running());
    let_through(LOOKUPS);
    for (int i = 0; i < n; i++)
        check_found(rig, waiting[i]);
    rig_close(rig);
}

/* Names of addresses in the file, and services, need no server either. */
static void test_other_queries_that_need_no_server(void)
{
    struct rig rig;
    const char *before = hosts_text;
    open_full(&rig, "192.0.2.1 f\n2001:DB8::2 f\n192.0.2.3\n2001:db8::4\t# f\n");
    int waiting[] = { start_reverse(&rig, "192.0.2.3"), start_reverse(&rig, "2001:db8::4"),
                      start_reverse(&rig, "192.0.2.5"), start_reverse(&rig, "2001:db8::6") };
    check_found(&rig, start_reverse(&rig, "192.0.2.1"));
    check_found(&rig, start_reverse(&rig, "2001:db8::2"));
    check_found(&rig, start_query(&rig, &(struct os_query){ .service = "http", .family = AF_INET6 }));
    check_asked(OS_LOOKUPS, "r1r2ht");
    close_full(&rig, waiting, 4);
    hosts_text = before;
}

/* For addresses of the other family the resolver asks a server, and others of the file would wait for it. */
static void test_the_hosts_file_and_families(void)
{
    struct rig rig;
    const char *before = hosts_text;
    open_full(&rig, "192.0.2.1 b4 f4 two localhost\n2001:db8::1 b6 f6 two\n");
    int waiting[] = { start_family(&rig, "b4", AF_INET6), start_family(&rig, "b6", AF_INET),
                      start_family(&rig, "localhost", AF_INET6) };
    check_found(&rig, start_family(&rig, "f4", AF_INET));
    check_found(&rig, start_family(&rig, "f6", AF_INET6));
    check_found(&rig, start_family(&rig, "two", AF_INET));
    check_found(&rig, start_family(&rig, "TWO", AF_INET6));
    check_found(&rig, start_family(&rig, "f6", AF_UNSPEC));
    check_found(&rig, start_family(&rig, "localhost", AF_INET));
    check_asked(OS_LOOKUPS, "f4f6twTWf6lo");
    close_full(&rig, waiting, 3);
    open_full(&rig, NULL);
    waiting[0] = start_family(&rig, "localhost", AF_INET);
    check_found(&rig, start_family(&rig, "localhost", AF_UNSPEC));
    close_full(&rig, waiting, 1);
    hosts_text = before;
}

/* To tell whether a host has an address at all, the resolver is asked again: not by the thread of the hosts file. */
static void test_who_asks_again(void)
{
    struct rig rig;
    const char *before = hosts_text;
    rig_open(&rig);
    check_fails(&rig, start_family(&rig, "4a", AF_INET6), SS_RESOLVER, OS_NO_ADDRESS);
    check_fails(&rig, start_family(&rig, "n0", AF_INET6), SS_RESOLVER, EAI_NONAME);
    check_fails(&rig, start_family(&rig, "n1", AF_UNSPEC), SS_RESOLVER, EAI_NONAME);
    check_asked(0, "4a4an0n0n1");
    rig_close(&rig);
    open_full(&rig, "2001:db8::1 4a\n");
    check_fails(&rig, start_family(&rig, "4a", AF_INET6), SS_RESOLVER, EAI_NONAME);
    check_asked(OS_LOOKUPS, "4a");
    close_full(&rig, NULL, 0);
    hosts_text = before;
}

static void check_local(const char *text, const char *host, bool expected)
{
    static const char *const others[] = { "one", "two", "elsewhere", "localhost" };
    struct os_hosts_names names = { { NULL } };
    struct os_hosts_name name = { .host = host }, more[4] = { { .host = NULL } };
    hosts_text = text;
    for (size_t i = 0; i < 4; i++) {
        more[i].host = others[i];
        os_hosts_add(&names, &more[i]);
        if (i == 1)
            os_hosts_add(&names, &name);
    }
    os_hosts_read(&names);
    CHECKF(name.is_local == expected, "%s in: %s", host, text ? text : "no file");
    CHECK(more[0].is_local == (text != NULL) && more[1].is_local == (text != NULL));
    CHECK(!more[2].is_local && more[3].is_local);
}

static void test_the_hosts_file(void)
{
    static const char text[] = "# ::1 comment\n"
                               "\n"
                               " \t \n"
                               "192.0.2.1\n"
                               "192.0.2.2 one\r\n"
                               "\t192.0.2.3\ttwo \t three#four\n"
                               "192.0.2.4 five # six\n"
                               "192.0.2.5 last";
    static const char *const there[] = { "one",  "two",       "three",     "five",      "last",
                                         "LAST", "localhost", "LOCALHOST", "192.0.2.2", "192.0.2.3" };
    static const char *const missing[] = { "comment", "192.0.2.1", "192.0.2.20", "four",      "six",
                                           "on",      "onee",      "las",        "",          "three#four",
                                           "#",       "one.",      "localhost.", "localhosts" };
    const char *before = hosts_text;
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        check_local(text, there[i], true);
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        check_local(text, missing[i], false);
    check_local(NULL, "one", false);
    check_local(NULL, "localhost", true);
    hosts_text = before;
}

/* Means run short */

static void test_no_thread(void)
{
    struct rig rig;
    struct os_lookup *none;
    struct ss_error err;
    int fd;
    rig_open(&rig);
    no_threads = 1;
    CHECK(start_lookup(&rig.resolver, "f", &none, &fd, &err) == SS_ERROR && err.code == EAGAIN);
    start_blocked(&rig, 1);
    no_threads = 1;
    int i = start(&rig, "f"); /* the one thread there is will do it */
    CHECK(no_threads == 0);
    let_through(1);
    check_found(&rig, i);
    check_asked(1, "f");
    rig_close(&rig);
}

/* The one that would have run when another was given up has the thread of whichever ends first. */
static void test_no_thread_for_a_place(void)
{
    struct rig rig;
    rig_open(&rig);
    start_blocked(&rig, OS_LOOKUPS);
    int i = start(&rig, "f0");
    wait_until(count_threads, OS_LOOKUPS);
    no_threads = 1;
    drop(&rig, 0);
    CHECK(no_threads == 0 && !has_ended(&rig, i, 10));
    let_through(1);
    check_found(&rig, i);
    rig_close(&rig);
}

/* Then no name is known to need no server. */
static void test_no_thread_to_sort(void)
{
    struct rig rig;
    rig_open(&rig);
    start_blocked(&rig, OS_LOOKUPS);
    no_threads = 1;
    int i = start(&rig, "local");
    CHECK(no_threads == 0 && !has_ended(&rig, i, 10));
    let_through(1);
    check_found(&rig, i);
    drop_all(&rig);
    give_up(&rig, OS_LOOKUPS_ABANDONED - running());
    no_threads = 1;
    check_fails(&rig, start(&rig, "local"), SS_RESOLVER, EAI_AGAIN);
    CHECK(no_threads == 0);
    rig_close(&rig);
}

/* All others have ended while it sorted, and there is no other for what it has found. */
static void test_no_thread_but_the_one_that_sorts(void)
{
    struct rig rig;
    rig_open(&rig);
    start_blocked(&rig, OS_LOOKUPS);
    shut_hosts(true);
    int i = start(&rig, "f0");
    wait_until(readers, 1);
    let_through(OS_LOOKUPS);
    wait_until(count_threads, 1);
    no_threads = 1;
    shut_hosts(false);
    check_found(&rig, i);
    CHECK(no_threads == 0);
    rig_close(&rig);
}

static size_t default_stack(void)
{
    size_t size = 0;
    pthread_attr_t attr;
    CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_getstacksize(&attr, &size) == 0);
    pthread_attr_destroy(&attr);
    return size;
}

/* glibc takes the thread-local variables of the whole program from the stack. musl does not, and has small stacks. */
static void test_a_stack_that_is_too_small(void)
{
    struct rig rig;
    if (default_stack() < 1024 * 1024)
        return;
    rig_open(&rig);
    big_stack = 1024 * 1024;
    check_found(&rig, start(&rig, "f"));
    big_stack = 0;
    rig_close(&rig);
}

/* Then there is a pair of sockets. */
static void test_no_eventfd(void)
{
    static const int causes[] = { EPERM, ENOSYS, EINVAL };
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
        struct rig rig;
        struct ss_error err;
        rig_open(&rig);
        no_eventfd = causes[i];
        start_blocked(&rig, 2);
        CHECK(take(&rig, 0, &err) == SS_WANT && !has_ended(&rig, 0, 0));
        drop(&rig, 1);
        let_through(2);
        check_found(&rig, 0);
        no_eventfd = 0;
        rig_close(&rig);
    }
}

static void test_no_descriptor(void)
{
    struct rig rig;
    struct os_lookup *none;
    struct ss_error err;
    struct rlimit limit, low;
    int fd;
    rig_open(&rig);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    low = limit;
    low.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    CHECK(start_lookup(&rig.resolver, "f", &none, &fd, &err) == SS_ERROR && err.code == EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    start(&rig, "f");
    check_found(&rig, 0);
    rig_close(&rig);
}

static void test_no_memory(void)
{
    for (int i = 1; i <= 2; i++) {
        struct rig rig;
        struct os_lookup *none;
        struct ss_error err;
        int fd;
        rig_open(&rig);
        memory = i; /* the first is the resolver, the second the look-up */
        CHECK(start_lookup(&rig.resolver, "f", &none, &fd, &err) == SS_ERROR && err.code == ENOMEM);
        CHECK(memory == 0);
        start(&rig, "f");
        check_found(&rig, 0);
        rig_close(&rig);
    }
}

/* After fork(2) there are no threads: what was under way is lost there, and new look-ups have a new resolver. */

/* At its end no thread is left that a fork could catch with a lock of the sanitizer's. */
static bool finds_anew(struct rig *rig)
{
    struct ss_error err;
    int i = start(rig, "f");
    if (!has_ended(rig, i, 20000) || take(rig, i, &err) != SS_OK)
        return false;
    drop(rig, i);
    wait_until(count_threads, 0);
    return true;
}

static bool forked_succeeds(struct rig *rig)
{
    struct ss_error err;
    struct os_answer answer = { .list = NULL };
    for (int i = 0, n = rig->n; i < n; i++) {
        if (!rig->lookups[i])
            continue;
        if (os_lookup_take(rig->lookups[i], &answer, &err) != SS_CLOSED || answer.list)
            return false;
        drop(rig, i);
    }
    if (!finds_anew(rig))
        return false;
    os_resolver_free(rig->resolver);
    return count_entries("/dev/fd") == rig->descriptors;
}

static int run_forked(bool (*f)(struct rig *rig), struct rig *rig)
{
    int status = -1;
    pthread_mutex_lock(&gate.lock); /* whole in the child as well */
    pid_t pid = fork();
    pthread_mutex_unlock(&gate.lock);
    if (pid == 0) {
        alarm(30);
        threads_before = count_entries("/proc/self/task");
        _exit(f(rig) ? 0 : 1);
    }
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

static bool forks_again(struct rig *rig)
{
    return finds_anew(rig) && run_forked(finds_anew, rig) == 0 && run_forked(forked_succeeds, rig) == 0;
}

/* One has ended, some run, and some are in the queue. */
static void test_fork(void)
{
    struct rig rig;
    rig_open(&rig);
    start(&rig, "f");
    wait_until(count_threads, 0);
    start_blocked(&rig, OS_LOOKUPS + 2);
    CHECK(run_forked(forked_succeeds, &rig) == 0);
    let_through(LOOKUPS);
    for (int i = 0; i < rig.n; i++)
        check_found(&rig, i);
    rig_close(&rig);
}

static void test_fork_of_a_fork(void)
{
    struct rig rig;
    rig_open(&rig);
    CHECK(run_forked(forks_again, &rig) == 0);
    check_found(&rig, start(&rig, "f"));
    wait_until(count_threads, 0);
    CHECK(run_forked(forks_again, &rig) == 0);
    rig_close(&rig);
}

/* Nothing that the child does with its copy wakes anybody in the parent, nor the other way round. */
static bool hears_nothing(struct rig *rig)
{
    drop(rig, 0);
    int i = start(rig, "b1");
    wait_until(running, 2); /* its copy of the count has the parent's one */
    return !has_ended(rig, i, 0);
}

static void test_fork_and_wake(void)
{
    struct rig rig;
    rig_open(&rig);
    start_blocked(&rig, 1);
    CHECK(run_forked(hears_nothing, &rig) == 0);
    CHECK(!has_ended(&rig, 0, 0));
    let_through(1);
    check_found(&rig, 0);
    rig_close(&rig);
}

/* Many callers, each with a resolver, look up, wait or give up at any moment: for the thread sanitizer. */

struct caller {
    unsigned seed;
    bool is_crowded; /* as many as may run do so already */
};

static bool look_up_somehow(struct os_resolver **resolver, unsigned *seed)
{
    struct ss_error err;
    struct os_lookup *lookup;
    struct os_answer answer = { .list = NULL };
    struct pollfd p = { .events = POLLIN };
    if (start_lookup(resolver, rand_r(seed) % 2 ? "f" : "local", &lookup, &p.fd, &err) != SS_OK)
        return false;
    int limit_ms = rand_r(seed) % 2 ? rand_r(seed) % 3 : 0;
    if (rand_r(seed) % 4 > 0 && poll(&p, 1, limit_ms) == 1 && os_lookup_take(lookup, &answer, &err) == SS_OK)
        os_answer_free(&answer);
    os_lookup_drop(lookup);
    return true;
}

static bool hammer_once(const struct caller *caller, unsigned *seed)
{
    enum { CROWD = OS_LOOKUPS, CALLS = 50 };
    struct os_resolver *resolver = NULL;
    struct os_lookup *crowd[CROWD];
    struct ss_error err;
    int fd, n = 0;
    bool ok = true;
    while (caller->is_crowded && n < CROWD && start_lookup(&resolver, "b", &crowd[n], &fd, &err) == SS_OK)
        n++;
    for (int i = 0; i < CALLS && ok; i++) {
        ok = look_up_somehow(&resolver, seed);
        if (n > 0 && rand_r(seed) % 2 == 0)
            os_lookup_drop(crowd[--n]);
    }
    while (n > 0)
        os_lookup_drop(crowd[--n]);
    os_resolver_free(resolver);
    return ok;
}

static void *hammer(void *arg)
{
    struct caller *caller = arg;
    unsigned seed = caller->seed;
    for (int i = 0; i < (caller->is_crowded ? 2 : 8); i++)
        if (!hammer_once(caller, &seed))
            return arg;
    return NULL;
}

static void hammer_all(bool is_crowded)
{
    enum { CALLERS = 3 };
    struct rig rig;
    pthread_t threads[CALLERS];
    struct caller callers[CALLERS];
    rig_open(&rig);
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){ .seed = i + 1, .is_crowded = is_crowded };
        CHECK(pthread_create(&threads[i], NULL, hammer, &callers[i]) == 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        void *failed = NULL;
        CHECK(pthread_join(threads[i], &failed) == 0 && !failed);
    }
    rig_close(&rig);
}

static void test_many_callers(void)
{
    hammer_all(false);
    hammer_all(true);
}

static void *nothing(void *arg)
{
    return arg;
}

int main(void)
{
    pthread_t first; /* with it comes a sanitizer's own */
    if (pthread_create(&first, NULL, nothing, NULL) != 0 || pthread_join(first, NULL) != 0)
        return 2;
    threads_before = count_entries("/proc/self/task");
    RUN(test_one_after_another);
    RUN(test_failures);
    RUN(test_the_number_of_threads);
    RUN(test_threads_that_begin_late);
    RUN(test_the_queue);
    RUN(test_a_queue_that_is_given_up);
    RUN(test_giving_up);
    RUN(test_giving_up_too_late);
    RUN(test_the_owner_goes_first);
    RUN(test_a_place_that_is_given_up);
    RUN(test_too_many_given_up);
    RUN(test_names_that_need_no_server);
    RUN(test_the_hosts_file_is_asked_only_in_need);
    RUN(test_the_hosts_file_is_read_once_for_all);
    RUN(test_dropping_names_of_the_hosts_file);
    RUN(test_other_queries_that_need_no_server);
    RUN(test_the_hosts_file_and_families);
    RUN(test_who_asks_again);
    RUN(test_the_hosts_file);
    RUN(test_no_thread);
    RUN(test_no_thread_for_a_place);
    RUN(test_no_thread_to_sort);
    RUN(test_no_thread_but_the_one_that_sorts);
    RUN(test_a_stack_that_is_too_small);
    RUN(test_no_eventfd);
    RUN(test_no_descriptor);
    RUN(test_no_memory);
    RUN(test_fork);
    RUN(test_fork_of_a_fork);
    RUN(test_fork_and_wake);
    RUN(test_many_callers);
    return check_end();
}
