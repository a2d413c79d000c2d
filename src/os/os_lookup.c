#include "os/os_lookup.h"
#include "os/os_fork.h"
#include "os/os_hosts.h"
#include "os/os_name.h"
#include "os/os_net.h"

#include <arpa/inet.h> /* inet_ntop */
#include <dlfcn.h>     /* dladdr, dlopen */
#include <errno.h>
#include <netdb.h> /* EAI_AGAIN */
#include <pthread.h>
#include <signal.h> /* sigfillset */
#include <stdlib.h> /* malloc: this memory outlives the Lua state */
#include <string.h> /* memcpy */
#include <unistd.h> /* write, close */
#ifdef __linux__
#include <sys/eventfd.h>
#endif

/* glibc's getaddrinfo(3) needs 16 KiB, thread-local variables included; NSS plug-ins (nsswitch.conf(5)) need more. */
enum { STACK_SIZE = 256 * 1024 };

/* Each of the first two has a queue. */
enum progress {
    UNCLASSIFIED, /* whether the name needs a server is unknown */
    NEEDS_SERVER, /* the name does, or the classifier could not start */
    RUNNING,      /* or being classified */
    ENDED
};

/* Owned by the caller until os_lookup_drop, and by a thread while running: the last owner frees the look-up. */
struct os_lookup {
    struct os_resolver *resolver;
    struct os_lookup *next, **link; /* in a queue: the next one; the pointer to this one */
    struct os_hosts_name name;      /* used by the classifier, without the lock */
    char address[INET6_ADDRSTRLEN]; /* of a reverse query: the name */
    enum progress progress;
    bool counted; /* running, and counted in `awaited` or `abandoned` */
    bool dropped;
    int wake_fds[2]; /* the caller polls [0], the thread writes to [1]; an eventfd: both the same */
    struct os_answer answer;
    enum ss_status status;
    struct ss_error error;
    struct os_query query;
    char texts[]; /* of the query */
};

struct queue {
    struct os_lookup *first, **last;
};

/* Reference counted (`users`): the Lua state, each thread and each look-up; the last one frees it. */
struct os_resolver {
    struct os_fork_mark mark; /* this and `inherited` are used by callers only, without the lock */
    bool inherited;           /* copied by fork(2): the threads exist in the parent only */
    pthread_mutex_t lock;     /* guards the members below and the look-ups */
    unsigned users;
    unsigned threads, starting;  /* all threads; new workers that have not run yet */
    unsigned awaited, abandoned; /* running look-ups, each on a thread */
    bool has_classifier;         /* a thread serves the UNCLASSIFIED queue */
    struct queue queues[2];      /* UNCLASSIFIED; NEEDS_SERVER, whose look-ups are older */
};

static enum ss_status fail_lookup(struct ss_error *err, int code)
{
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

/* Resolver and locking */

static struct os_resolver *new_resolver(void)
{
    struct os_resolver *r = malloc(sizeof *r);
    if (!r)
        return NULL;
    *r = (struct os_resolver){ .users = 1 };
    for (int i = 0; i < 2; i++)
        r->queues[i].last = &r->queues[i].first;
    os_fork_mark_init(&r->mark);
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

/* In a child a vanished thread may hold the lock, so os_lookup_start creates a new resolver there. */
static bool resolver_is_inherited(struct os_resolver *r)
{
    r->inherited = r->inherited || os_fork_mark_is_new(&r->mark);
    return r->inherited;
}

static void lock_resolver(struct os_resolver *r)
{
    pthread_mutex_lock(&r->lock);
}

static void unlock_resolver(struct os_resolver *r)
{
    bool is_unused = r->users == 0;
    pthread_mutex_unlock(&r->lock);
    if (!is_unused)
        return;
    pthread_mutex_destroy(&r->lock);
    os_fork_mark_fini(&r->mark);
    free(r);
}

/* In a child: what a thread had locked at the fork stays locked, and is leaked. */
static bool try_lock_inherited(struct os_resolver *r)
{
    return pthread_mutex_trylock(&r->lock) == 0;
}

void os_resolver_free(struct os_resolver *r)
{
    if (!r)
        return;
    if (!resolver_is_inherited(r))
        lock_resolver(r);
    else if (!try_lock_inherited(r))
        return;
    r->users--;
    unlock_resolver(r);
}

/* Callers of all functions below hold the lock, unless stated otherwise. */

static void free_lookup(struct os_lookup *l)
{
    l->resolver->users--;
    os_answer_free(&l->answer);
    free(l);
}

static void append_lookup(struct queue *q, struct os_lookup *l)
{
    l->next = NULL;
    l->link = q->last;
    *q->last = l;
    q->last = &l->next;
}

static void remove_lookup(struct queue *q, struct os_lookup *l)
{
    *l->link = l->next;
    if (l->next)
        l->next->link = l->link;
    else
        q->last = l->link;
}

static void enqueue_lookup(struct os_lookup *l, enum progress where)
{
    l->progress = where;
    append_lookup(&l->resolver->queues[where], l);
}

static void unqueue_lookup(struct os_lookup *l)
{
    remove_lookup(&l->resolver->queues[l->progress], l);
}

/* Wake descriptors: an eventfd, or a socket pair. Needs no lock. */

static bool open_wake_pair(int wake_fds[2])
{
    struct ss_error err;
    enum ss_status st = os_socketpair(wake_fds, &err);
    if (st != SS_OK)
        errno = err.code;
    return st == SS_OK;
}

#ifdef __linux__
/* A seccomp(2) filter may refuse eventfd(2), and pipe2(2), with which a libc may implement pipe(2). */
static bool open_wake_fds(int wake_fds[2])
{
    wake_fds[0] = wake_fds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return wake_fds[0] != -1 || open_wake_pair(wake_fds);
}
#else
static bool open_wake_fds(int wake_fds[2])
{
    return open_wake_pair(wake_fds);
}
#endif

static void close_wake_fds(const int wake_fds[2])
{
    close(wake_fds[0]);
    if (wake_fds[1] != wake_fds[0])
        close(wake_fds[1]);
}

static void wake_caller(const int wake_fds[2])
{
    const uint64_t one = 1;
    ssize_t written = write(wake_fds[1], &one, sizeof one); /* never full: one write for each look-up */
    (void)written;
}

/* Threads */

static void complete_lookup(struct os_lookup *l, enum ss_status st, const struct os_answer *answer,
                            const struct ss_error *err)
{
    struct os_resolver *r = l->resolver;
    if (l->counted)
        --*(l->dropped ? &r->abandoned : &r->awaited);
    l->progress = ENDED;
    l->status = st;
    l->error = *err;
    l->answer = *answer;
    if (l->dropped)
        free_lookup(l);
    else
        wake_caller(l->wake_fds);
}

static void run_lookup(struct os_lookup *l)
{
    struct os_answer answer;
    struct ss_error error = { SS_RESOLVER, 0 };
    pthread_mutex_t *mutex = &l->resolver->lock;
    pthread_mutex_unlock(mutex);
    enum ss_status st = os_ask(&l->query, &answer, &error);
    pthread_mutex_lock(mutex);
    complete_lookup(l, st, &answer, &error);
}

static bool has_queued(const struct os_resolver *r)
{
    return r->queues[NEEDS_SERVER].first || r->queues[UNCLASSIFIED].first;
}

/* Dequeues the next look-up, if the limits permit. */
static struct os_lookup *next_to_run(struct os_resolver *r)
{
    if (!has_queued(r) || r->awaited >= OS_LOOKUPS || r->abandoned >= OS_LOOKUPS_ABANDONED)
        return NULL;
    struct os_lookup *l = r->queues[NEEDS_SERVER].first ? r->queues[NEEDS_SERVER].first : r->queues[UNCLASSIFIED].first;
    unqueue_lookup(l);
    l->progress = RUNNING;
    l->counted = true;
    r->awaited++;
    return l;
}

/* Runs look-ups until none is permitted, then ends the thread's use of the resolver and unlocks. */
static void run_queued(struct os_resolver *r)
{
    struct os_lookup *l;
    while ((l = next_to_run(r)) != NULL)
        run_lookup(l);
    r->threads--;
    r->users--;
    unlock_resolver(r);
}

static void *run_worker(void *arg)
{
    struct os_resolver *r = arg;
    os_begin_names();
    lock_resolver(r);
    r->starting--;
    run_queued(r);
    return NULL;
}

void os_stay_loaded(void)
{
    Dl_info self;
    if (dladdr((const void *)(uintptr_t)run_worker, &self) && self.dli_fname)
        dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

static int serve_queues(struct os_resolver *r);

static const char *write_address(const union ss_sockaddr *sa, char text[INET6_ADDRSTRLEN])
{
    if (sa->any.sa_family == AF_INET)
        return inet_ntop(AF_INET, &sa->in.sin_addr, text, INET6_ADDRSTRLEN);
    return inet_ntop(AF_INET6, &sa->in6.sin6_addr, text, INET6_ADDRSTRLEN);
}

/* What the hosts file has to have. Without a host the resolver needs no server. */
static void add_hosts_name(struct os_hosts_names *names, struct os_lookup *l)
{
    const struct os_query *q = &l->query;
    l->name = (struct os_hosts_name){ .host = q->host, .family = q->family, .is_local = !q->host };
    if (q->reverse.len > 0)
        l->name = (struct os_hosts_name){ .host = write_address(&q->reverse.sa, l->address), .family = AF_UNSPEC };
    if (l->name.host)
        os_hosts_add(names, &l->name);
}

/* Moves the UNCLASSIFIED queue to `batch`. */
static void take_batch(struct os_resolver *r, struct queue *batch, struct os_hosts_names *names)
{
    struct os_lookup *l;
    while ((l = r->queues[UNCLASSIFIED].first) != NULL) {
        unqueue_lookup(l);
        append_lookup(batch, l);
        l->progress = RUNNING;
        add_hosts_name(names, l);
    }
}

/* Look-ups that need no server stay in `batch`. */
static void queue_for_servers(struct os_resolver *r, struct queue *batch)
{
    struct os_lookup *l, *next;
    for (l = batch->first; l; l = next) {
        next = l->next;
        if (l->name.is_local || l->dropped)
            continue;
        remove_lookup(batch, l);
        enqueue_lookup(l, NEEDS_SERVER);
        serve_queues(r); /* on failure this thread serves the queue */
    }
}

/* Outside the limits. Releases the lock meanwhile. */
static void run_batch(struct queue *batch)
{
    struct os_lookup *l;
    while ((l = batch->first) != NULL) {
        remove_lookup(batch, l);
        l->query.is_local = true;
        if (l->dropped)
            free_lookup(l);
        else
            run_lookup(l);
    }
}

/* Runs the look-ups whose names need no server; queues the others. The hosts file may be large, so it is read once for
 * all that are queued. Releases the lock meanwhile. */
static void classify_queued(struct os_resolver *r)
{
    struct os_hosts_names names = { { NULL } };
    struct queue batch = { .last = &batch.first };
    take_batch(r, &batch, &names);
    pthread_mutex_unlock(&r->lock);
    os_hosts_read(&names);
    pthread_mutex_lock(&r->lock);
    queue_for_servers(r, &batch);
    run_batch(&batch);
}

static void *run_classifier(void *arg)
{
    struct os_resolver *r = arg;
    os_begin_names();
    lock_resolver(r);
    while (r->queues[UNCLASSIFIED].first)
        classify_queued(r);
    r->has_classifier = false;
    run_queued(r);
    return NULL;
}

/* The thread blocks all signals: handlers run on the program's threads. Needs no lock. */
static int create_thread(void *(*begin)(void *), struct os_resolver *r, size_t stack)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, own;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack > 0)
        pthread_attr_setstacksize(&attr, stack);
    pthread_sigmask(SIG_SETMASK, &all, &own);
    int code = pthread_create(&thread, &attr, begin, r);
    pthread_sigmask(SIG_SETMASK, &own, NULL);
    pthread_attr_destroy(&attr);
    return code;
}

static int start_thread(void *(*begin)(void *), struct os_resolver *r)
{
    int code = create_thread(begin, r, STACK_SIZE);
    if (code == EINVAL) /* glibc puts the program's thread-local variables on the stack */
        code = create_thread(begin, r, 0);
    if (code == 0) {
        r->threads++;
        r->users++;
    }
    return code;
}

/* Queues */

static void start_classifier(struct os_resolver *r)
{
    struct os_lookup *l;
    if (r->has_classifier || !r->queues[UNCLASSIFIED].first)
        return;
    r->has_classifier = start_thread(run_classifier, r) == 0;
    while (!r->has_classifier && (l = r->queues[UNCLASSIFIED].first) != NULL) {
        unqueue_lookup(l);
        enqueue_lookup(l, NEEDS_SERVER);
    }
}

static void fail_queued(struct os_resolver *r)
{
    const struct ss_error again = { SS_RESOLVER, EAI_AGAIN };
    const struct os_answer none = { .list = NULL };
    struct os_lookup *l;
    while ((l = r->queues[NEEDS_SERVER].first) != NULL) {
        unqueue_lookup(l);
        complete_lookup(l, SS_ERROR, &none, &again);
    }
}

/* Called when a look-up is queued or a slot becomes free. 0, or the errno of a permitted thread that did not start. */
static int serve_queues(struct os_resolver *r)
{
    bool is_full = r->abandoned >= OS_LOOKUPS_ABANDONED;
    if (!has_queued(r))
        return 0;
    if (!is_full && r->awaited + r->starting < OS_LOOKUPS) {
        int code = start_thread(run_worker, r);
        r->starting += code == 0;
        return code;
    }
    start_classifier(r);
    if (is_full)
        fail_queued(r);
    return 0;
}

/* Interface: the caller does not hold the lock */

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* The query's texts belong to the caller. */
static void copy_query(struct os_lookup *l, const struct os_query *query)
{
    size_t host = text_size(query->host), service = text_size(query->service);
    l->query = *query;
    l->query.host = host > 0 ? memcpy(l->texts, query->host, host) : NULL;
    l->query.service = service > 0 ? memcpy(l->texts + host, query->service, service) : NULL;
}

static struct os_lookup *new_lookup(struct os_resolver *r, const struct os_query *query)
{
    struct os_lookup *l = malloc(sizeof *l + text_size(query->host) + text_size(query->service));
    if (!l)
        return NULL;
    *l = (struct os_lookup){ .resolver = r };
    copy_query(l, query);
    if (open_wake_fds(l->wake_fds))
        return l;
    int code = errno;
    free(l);
    errno = code;
    return NULL;
}

enum ss_status os_lookup_start(struct os_resolver **resolver, const struct os_query *query, struct os_lookup **lookup,
                               int *fd, struct ss_error *err)
{
    if (*resolver && resolver_is_inherited(*resolver)) {
        os_resolver_free(*resolver);
        *resolver = NULL;
    }
    if (!*resolver)
        *resolver = new_resolver();
    struct os_resolver *r = *resolver;
    struct os_lookup *l = r ? new_lookup(r, query) : NULL;
    if (!l)
        return fail_lookup(err, errno);
    lock_resolver(r);
    r->users++;
    enqueue_lookup(l, UNCLASSIFIED);
    int code = serve_queues(r);
    if (code != 0 && r->threads == 0) { /* no thread would ever run the look-up */
        unqueue_lookup(l);
        close_wake_fds(l->wake_fds);
        free_lookup(l);
        unlock_resolver(r);
        return fail_lookup(err, code);
    }
    unlock_resolver(r);
    *lookup = l;
    *fd = l->wake_fds[0];
    return SS_OK;
}

enum ss_status os_lookup_take(struct os_lookup *l, struct os_answer *answer, struct ss_error *err)
{
    struct os_resolver *r = l->resolver;
    if (resolver_is_inherited(r))
        return SS_CLOSED;
    lock_resolver(r);
    enum ss_status st = l->progress == ENDED ? l->status : SS_WANT;
    *err = l->error;
    *answer = l->answer;
    l->answer = (struct os_answer){ .list = NULL };
    unlock_resolver(r);
    return st;
}

static void drop_inherited_lookup(struct os_lookup *l)
{
    struct os_resolver *r = l->resolver;
    close_wake_fds(l->wake_fds);
    if (try_lock_inherited(r)) {
        free_lookup(l);
        unlock_resolver(r);
    }
}

void os_lookup_drop(struct os_lookup *l)
{
    struct os_resolver *r = l->resolver;
    if (resolver_is_inherited(r)) {
        drop_inherited_lookup(l);
        return;
    }
    lock_resolver(r);
    l->dropped = true; /* the thread must not write to wake_fds, whose numbers may be reused after the close */
    close_wake_fds(l->wake_fds);
    if (l->progress < RUNNING)
        unqueue_lookup(l);
    if (l->progress != RUNNING)
        free_lookup(l);
    else if (l->counted) {
        r->awaited--;
        r->abandoned++;
        serve_queues(r); /* on failure the look-up's thread serves the queue at its end */
    }
    unlock_resolver(r);
}
