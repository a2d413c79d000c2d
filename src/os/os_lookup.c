#include "os/os_lookup.h"
#include "os/os_fork.h"
#include "os/os_name.h"
#include "os/os_net.h"

#include <dlfcn.h> /* dladdr, dlopen */
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

/* glibc's getaddrinfo(3) needs 16 KiB, thread-local variables included; what is plugged into it (nsswitch.conf(5)) more. */
enum { STACK = 256 * 1024 };

/* The first two stand in a queue. */
enum progress {
    ARRIVED, /* nobody has looked yet whether its name needs a server */
    QUEUED,  /* it does */
    RUNNING,
    ENDED
};

/* Belongs to the caller until it drops it, and to a thread while that has it: the last of both frees it. */
struct os_lookup {
    struct os_resolver *resolver;
    struct os_lookup *next; /* in its queue */
    enum progress progress;
    bool counted; /* it runs, and is one of those awaited or given up */
    bool dropped;
    int ends[2]; /* what is waited for, and what wakes it (the same for an eventfd) */
    struct addrinfo *list;
    enum ss_status status;
    struct ss_error error;
    char host[];
};

struct queue {
    struct os_lookup *first, **last;
};

/* Belongs to the Lua state, to each thread and to each look-up: the last frees it. */
struct os_resolver {
    struct os_fork_mark mark; /* this and the next are the caller's, no thread's */
    bool is_stale;            /* a fork(2) has left the threads behind */
    pthread_mutex_t lock;     /* guards everything below and in the look-ups */
    unsigned users;
    unsigned threads, starting; /* all; those that have not taken a look-up yet */
    unsigned awaited, given_up; /* look-ups that run, each on its thread */
    bool sorts;                 /* a thread looks through those that have arrived */
    struct queue queues[2];     /* ARRIVED, QUEUED: those in the second came before those in the first */
};

static enum ss_status fail_lookup(struct ss_error *err, int code)
{
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

/* Shared by both */

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

/* After a fork its threads are gone and its lock may be held by one of them: what is left of it is not used again. */
static bool is_stale(struct os_resolver *r)
{
    r->is_stale = r->is_stale || os_fork_mark_is_new(&r->mark);
    return r->is_stale;
}

static void lock(struct os_resolver *r)
{
    pthread_mutex_lock(&r->lock);
}

static void unlock(struct os_resolver *r)
{
    bool is_left = r->users == 0;
    pthread_mutex_unlock(&r->lock);
    if (!is_left)
        return;
    pthread_mutex_destroy(&r->lock);
    os_fork_mark_fini(&r->mark);
    free(r);
}

void os_resolver_free(struct os_resolver *r)
{
    if (!r || is_stale(r))
        return;
    lock(r);
    r->users--;
    unlock(r);
}

/* From here on everything is called with the lock held, unless it says otherwise. */

static void free_lookup(struct os_lookup *l)
{
    l->resolver->users--;
    if (l->list)
        os_names_free(l->list);
    free(l);
}

static void enqueue(struct os_lookup *l, enum progress where)
{
    struct queue *q = &l->resolver->queues[where];
    l->progress = where;
    l->next = NULL;
    *q->last = l;
    q->last = &l->next;
}

static void unqueue(struct os_lookup *l)
{
    struct queue *q = &l->resolver->queues[l->progress];
    struct os_lookup **at = &q->first;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    if (!l->next)
        q->last = at;
}

/* What is waited for: an eventfd, or a pair of sockets where there is none. Needs no lock. */

static bool open_wake_pair(int ends[2])
{
    struct ss_error err;
    enum ss_status st = os_socketpair(ends, &err);
    if (st != SS_OK)
        errno = err.code;
    return st == SS_OK;
}

#ifdef __linux__
/* A filter of system calls (seccomp(2)) may refuse an eventfd, and pipe2(2), which pipe(2) may be in a libc. */
static bool open_wake_ends(int ends[2])
{
    ends[0] = ends[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return ends[0] != -1 || open_wake_pair(ends);
}
#else
static bool open_wake_ends(int ends[2])
{
    return open_wake_pair(ends);
}
#endif

static void close_wake_ends(const int ends[2])
{
    close(ends[0]);
    if (ends[1] != ends[0])
        close(ends[1]);
}

static void wake_caller(const int ends[2])
{
    const uint64_t one = 1;
    ssize_t written = write(ends[1], &one, sizeof one); /* room for one is always there */
    (void)written;
}

/* On the threads */

static void end(struct os_lookup *l, enum ss_status st, struct addrinfo *list, const struct ss_error *err)
{
    struct os_resolver *r = l->resolver;
    if (l->counted)
        --*(l->dropped ? &r->given_up : &r->awaited);
    l->progress = ENDED;
    l->status = st;
    l->error = *err;
    l->list = list;
    if (l->dropped)
        free_lookup(l);
    else
        wake_caller(l->ends);
}

static void run(struct os_lookup *l)
{
    struct addrinfo *list = NULL;
    struct ss_error error = { SS_RESOLVER, 0 };
    pthread_mutex_t *mutex = &l->resolver->lock;
    pthread_mutex_unlock(mutex);
    enum ss_status st = os_names(l->host, &list, &error);
    pthread_mutex_lock(mutex);
    end(l, st, st == SS_OK ? list : NULL, &error);
}

static bool has_queue(const struct os_resolver *r)
{
    return r->queues[QUEUED].first || r->queues[ARRIVED].first;
}

/* The next one of the queues to be run, if one more may run. */
static struct os_lookup *next_to_run(struct os_resolver *r)
{
    if (!has_queue(r) || r->awaited >= OS_LOOKUPS || r->given_up >= OS_LOOKUPS_GIVEN_UP)
        return NULL;
    struct os_lookup *l = r->queues[QUEUED].first ? r->queues[QUEUED].first : r->queues[ARRIVED].first;
    unqueue(l);
    l->progress = RUNNING;
    l->counted = true;
    r->awaited++;
    return l;
}

/* The rest of a thread's life; the lock is given up. */
static void run_all(struct os_resolver *r)
{
    struct os_lookup *l;
    while ((l = next_to_run(r)) != NULL)
        run(l);
    r->threads--;
    r->users--;
    unlock(r);
}

static void *work(void *arg)
{
    struct os_resolver *r = arg;
    lock(r);
    r->starting--;
    run_all(r);
    return NULL;
}

void os_stay_loaded(void)
{
    Dl_info self;
    if (dladdr((const void *)(uintptr_t)work, &self) && self.dli_fname)
        dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

static int serve_queues(struct os_resolver *r);

/* One that has arrived while no thread may be had for it: run at once, uncounted, if its name needs no server. */
static void sort_one(struct os_lookup *l)
{
    struct os_resolver *r = l->resolver;
    unqueue(l);
    l->progress = RUNNING;
    pthread_mutex_unlock(&r->lock);
    bool is_local = os_name_is_local(l->host);
    pthread_mutex_lock(&r->lock);
    if (l->dropped) {
        free_lookup(l);
    } else if (is_local) {
        run(l);
    } else {
        enqueue(l, QUEUED);
        serve_queues(r); /* if that fails this thread will do it */
    }
}

static void *sort(void *arg)
{
    struct os_resolver *r = arg;
    lock(r);
    while (r->queues[ARRIVED].first)
        sort_one(r->queues[ARRIVED].first);
    r->sorts = false;
    run_all(r);
    return NULL;
}

/* The program's signals are for the program's threads. Needs no lock. */
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
    int code = create_thread(begin, r, STACK);
    if (code == EINVAL) /* the program's thread-local variables, which glibc puts there, need more */
        code = create_thread(begin, r, 0);
    if (code == 0) {
        r->threads++;
        r->users++;
    }
    return code;
}

/* Who runs what is queued */

static void start_sorting(struct os_resolver *r)
{
    struct os_lookup *l;
    if (r->sorts || !r->queues[ARRIVED].first)
        return;
    r->sorts = start_thread(sort, r) == 0;
    while (!r->sorts && (l = r->queues[ARRIVED].first) != NULL) {
        unqueue(l);
        enqueue(l, QUEUED);
    }
}

static void refuse_all(struct os_resolver *r)
{
    const struct ss_error again = { SS_RESOLVER, EAI_AGAIN };
    struct os_lookup *l;
    while ((l = r->queues[QUEUED].first) != NULL) {
        unqueue(l);
        end(l, SS_ERROR, NULL, &again);
    }
}

/* Called whenever one more is queued or one more may run. It fails when a thread that there may be cannot be had. */
static int serve_queues(struct os_resolver *r)
{
    bool is_full = r->given_up >= OS_LOOKUPS_GIVEN_UP;
    if (!has_queue(r))
        return 0;
    if (!is_full && r->awaited + r->starting < OS_LOOKUPS) {
        int code = start_thread(work, r);
        r->starting += code == 0;
        return code;
    }
    start_sorting(r);
    if (is_full)
        refuse_all(r);
    return 0;
}

/* For the caller, who has not the lock */

static struct os_lookup *new_lookup(struct os_resolver *r, const char *host)
{
    size_t size = strlen(host) + 1;
    struct os_lookup *l = malloc(sizeof *l + size);
    if (!l)
        return NULL;
    *l = (struct os_lookup){ .resolver = r };
    memcpy(l->host, host, size);
    if (open_wake_ends(l->ends))
        return l;
    int code = errno;
    free(l);
    errno = code;
    return NULL;
}

enum ss_status os_lookup_start(struct os_resolver **resolver, const char *host, struct os_lookup **lookup, int *fd,
                               struct ss_error *err)
{
    if (!*resolver || is_stale(*resolver))
        *resolver = new_resolver();
    struct os_resolver *r = *resolver;
    struct os_lookup *l = r ? new_lookup(r, host) : NULL;
    if (!l)
        return fail_lookup(err, errno);
    lock(r);
    r->users++;
    enqueue(l, ARRIVED);
    int code = serve_queues(r);
    if (code != 0 && r->threads == 0) { /* it would wait for ever */
        unqueue(l);
        close_wake_ends(l->ends);
        free_lookup(l);
        unlock(r);
        return fail_lookup(err, code);
    }
    unlock(r);
    *lookup = l;
    *fd = l->ends[0];
    return SS_OK;
}

enum ss_status os_lookup_take(struct os_lookup *l, struct addrinfo **list, struct ss_error *err)
{
    struct os_resolver *r = l->resolver;
    if (is_stale(r))
        return SS_CLOSED;
    lock(r);
    enum ss_status st = l->progress == ENDED ? l->status : SS_WANT;
    *err = l->error;
    *list = l->list;
    l->list = NULL;
    unlock(r);
    return st;
}

static void drop_stale(struct os_lookup *l)
{
    struct os_resolver *r = l->resolver;
    close_wake_ends(l->ends);
    if (pthread_mutex_trylock(&r->lock) == 0) { /* otherwise a thread was about to change something at the fork */
        free_lookup(l);
        unlock(r);
    }
}

void os_lookup_drop(struct os_lookup *l)
{
    struct os_resolver *r = l->resolver;
    if (is_stale(r)) {
        drop_stale(l);
        return;
    }
    lock(r);
    l->dropped = true; /* from here on its thread does not wake it: the number may be somebody else's descriptor soon */
    close_wake_ends(l->ends);
    if (l->progress < RUNNING)
        unqueue(l);
    if (l->progress != RUNNING)
        free_lookup(l);
    else if (l->counted) {
        r->awaited--;
        r->given_up++;
        serve_queues(r); /* the next one has its place; if that fails its thread goes on with the queue */
    }
    unlock(r);
}
