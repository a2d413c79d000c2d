/* Look-ups on helper threads, with a resolver of our own: names that begin with "b" (blocked) find their address when
 * the gate lets them through, others at once. The linker sends getaddrinfo and pthread_create here. */
#include "check.h"
#include "os/os_lookup.h"
#include "os/os_name.h"
#include "pair.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h> /* fcntl */
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The resolver */

struct counts {
    int permits; /* so many blocked ones may go on */
    int running, most;
    int lists; /* that were not given back */
    bool takes_signals;
    char asked[256]; /* first two letters of the names, in order */
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
    is->lists += *host != 'n' && *host != 's';
    pthread_mutex_unlock(&gate.lock);
}

__typeof__(getaddrinfo) __wrap_getaddrinfo;
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    static struct sockaddr_in address = { .sin_family = AF_INET };
    static struct addrinfo found = { .ai_family = AF_INET, .ai_addrlen = sizeof address };
    pass_gate(host);
    (void)service;
    (void)hints;
    if (*host == 'n')
        return EAI_NONAME;
    errno = ENFILE;
    if (*host == 's')
        return EAI_SYSTEM;
    *list = malloc(sizeof found);
    if (!*list)
        abort();
    **list = found;
    (*list)->ai_addr = (struct sockaddr *)&address;
    return 0;
}

__typeof__(freeaddrinfo) __wrap_freeaddrinfo;
void __wrap_freeaddrinfo(struct addrinfo *list)
{
    pthread_mutex_lock(&gate.lock);
    gate.is.lists--;
    pthread_mutex_unlock(&gate.lock);
    free(list);
}

static int no_threads; /* so many calls of pthread_create fail */

__typeof__(pthread_create) __real_pthread_create, __wrap_pthread_create;
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    if (no_threads == 0)
        return __real_pthread_create(thread, attr, start, arg);
    no_threads--;
    return EAGAIN;
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

enum { LOOKUPS = OS_LOOKUPS + 8 };

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

static int start(struct rig *rig, const char *host)
{
    struct ss_error err;
    int i = rig->n++;
    CHECK(os_lookup_start(&rig->resolver, host, &rig->lookups[i], &rig->fds[i], &err) == SS_OK);
    CHECK(fcntl(rig->fds[i], F_GETFD) == FD_CLOEXEC);
    return i;
}

/* "b0", "b1" and so on, until as many run as may. */
static void start_blocked(struct rig *rig, int n)
{
    for (int i = 0; i < n; i++) {
        const char name[] = { 'b', (char)('0' + i), '\0' };
        start(rig, name);
    }
    wait_until(running, n < OS_LOOKUPS ? n : OS_LOOKUPS);
}

static bool has_ended(const struct rig *rig, int i, int limit_ms)
{
    struct pollfd p = { .fd = rig->fds[i], .events = POLLIN };
    return poll(&p, 1, limit_ms) == 1 && p.revents == POLLIN;
}

static enum ss_status take(const struct rig *rig, int i, struct ss_error *err)
{
    struct addrinfo *list = NULL;
    enum ss_status st = os_lookup_take(rig->lookups[i], &list, err);
    CHECK((st == SS_OK) == (list != NULL));
    if (list)
        os_names_free(list);
    return st;
}

static void check_found(const struct rig *rig, int i)
{
    struct ss_error err;
    CHECKF(has_ended(rig, i, 20000), "look-up %d does not end", i);
    CHECK(take(rig, i, &err) == SS_OK);
}

static void drop(struct rig *rig, int i)
{
    os_lookup_drop(rig->lookups[i]);
    rig->lookups[i] = NULL;
}

/* Everything given up, in some order, leaves nothing. */
static void rig_close(struct rig *rig)
{
    for (int i = 0; i < rig->n; i++)
        if (rig->lookups[i])
            drop(rig, i);
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
    struct ss_error err;
    rig_open(&rig);
    start(&rig, "n");
    CHECK(has_ended(&rig, 0, 20000));
    CHECK(take(&rig, 0, &err) == SS_ERROR && err.space == SS_RESOLVER && err.code == EAI_NONAME);
    start(&rig, "s");
    CHECK(has_ended(&rig, 1, 20000));
    CHECK(take(&rig, 1, &err) == SS_ERROR && err.space == SS_SYSTEM && err.code == ENFILE);
    rig_close(&rig);
}

/* So many run at once, and threads end when there is nothing to do. */
static void test_the_number_of_threads(void)
{
    struct rig rig;
    rig_open(&rig);
    start_blocked(&rig, LOOKUPS);
    CHECKF(count_threads() == OS_LOOKUPS, "%d threads", count_threads());
    let_through(LOOKUPS);
    for (int i = 0; i < LOOKUPS; i++)
        check_found(&rig, i);
    CHECKF(seen().most == OS_LOOKUPS, "%d at once", seen().most);
    wait_until(count_threads, 0);
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
    let_through(1); /* so that one thread has them all */
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

/* Means run short */

static void test_no_thread(void)
{
    struct rig rig;
    struct os_lookup *none;
    struct ss_error err;
    int fd;
    rig_open(&rig);
    no_threads = 1;
    CHECK(os_lookup_start(&rig.resolver, "f", &none, &fd, &err) == SS_ERROR && err.code == EAGAIN);
    start_blocked(&rig, 1);
    no_threads = 1;
    int i = start(&rig, "f"); /* the one thread there is will do it */
    CHECK(no_threads == 0);
    let_through(1);
    check_found(&rig, i);
    check_asked(1, "f");
    rig_close(&rig);
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
    CHECK(os_lookup_start(&rig.resolver, "f", &none, &fd, &err) == SS_ERROR && err.code == EMFILE);
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
        CHECK(os_lookup_start(&rig.resolver, "f", &none, &fd, &err) == SS_ERROR && err.code == ENOMEM);
        CHECK(memory == 0);
        start(&rig, "f");
        check_found(&rig, 0);
        rig_close(&rig);
    }
}

/* After fork(2) there are no threads: what was under way is lost there, and new look-ups have a new resolver. */

static bool forked_succeeds(struct rig *rig)
{
    struct ss_error err;
    struct addrinfo *list = NULL;
    struct os_resolver *old = rig->resolver;
    if (os_lookup_take(rig->lookups[0], &list, &err) != SS_ERROR)
        return false;
    drop(rig, 0);
    int i = start(rig, "f");
    if (rig->resolver == old || !has_ended(rig, i, 20000) || take(rig, i, &err) != SS_OK)
        return false;
    drop(rig, i);
    os_resolver_free(rig->resolver);
    os_resolver_free(old);
    return count_entries("/dev/fd") == rig->descriptors;
}

static void test_fork(void)
{
    struct rig rig;
    int status = -1;
    rig_open(&rig);
    start_blocked(&rig, 1);
    pthread_mutex_lock(&gate.lock); /* whole in the child as well */
    pid_t pid = fork();
    pthread_mutex_unlock(&gate.lock);
    if (pid == 0) {
        alarm(30);
        _exit(forked_succeeds(&rig) ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    let_through(1);
    check_found(&rig, 0);
    rig_close(&rig);
}

/* Many callers, each with a resolver, look up, wait or give up at any moment: for the thread sanitizer. */

static void *hammer(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    struct os_resolver *resolver = NULL;
    struct ss_error err;
    for (int i = 0; i < 400; i++) {
        struct os_lookup *lookup;
        struct addrinfo *list = NULL;
        struct pollfd p = { .events = POLLIN };
        if (os_lookup_start(&resolver, "f", &lookup, &p.fd, &err) != SS_OK)
            return arg;
        if (rand_r(&seed) % 4 > 0 && poll(&p, 1, rand_r(&seed) % 2 ? 20000 : 0) == 1 &&
            os_lookup_take(lookup, &list, &err) == SS_OK)
            os_names_free(list);
        os_lookup_drop(lookup);
        if (rand_r(&seed) % 16 == 0) {
            os_resolver_free(resolver);
            resolver = NULL;
        }
    }
    os_resolver_free(resolver);
    return NULL;
}

static void test_many_callers(void)
{
    enum { CALLERS = 3 };
    struct rig rig;
    pthread_t threads[CALLERS];
    unsigned seeds[CALLERS] = { 1, 2, 3 };
    rig_open(&rig);
    for (int i = 0; i < CALLERS; i++)
        CHECK(pthread_create(&threads[i], NULL, hammer, &seeds[i]) == 0);
    for (int i = 0; i < CALLERS; i++) {
        void *failed = NULL;
        CHECK(pthread_join(threads[i], &failed) == 0 && !failed);
    }
    rig_close(&rig);
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
    RUN(test_the_queue);
    RUN(test_a_queue_that_is_given_up);
    RUN(test_giving_up);
    RUN(test_giving_up_too_late);
    RUN(test_the_owner_goes_first);
    RUN(test_no_thread);
    RUN(test_no_descriptor);
    RUN(test_no_memory);
    RUN(test_fork);
    RUN(test_many_callers);
    return check_end();
}
