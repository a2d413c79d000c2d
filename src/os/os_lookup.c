#include "os/os_lookup.h"
#include "os/os_name.h"

#include <dlfcn.h> /* dladdr, dlopen */
#include <errno.h>
#include <fcntl.h> /* fcntl */
#include <pthread.h>
#include <signal.h> /* sigfillset */
#include <stdlib.h> /* malloc: this memory outlives the Lua state */
#include <string.h> /* memcpy */
#include <unistd.h> /* write, close, getpid */
#ifdef __linux__
#include <sys/eventfd.h>
#endif

enum progress { QUEUED, RUNNING, ENDED };

/* Belongs to the caller until it drops it, and to a thread while that runs it: the last of both frees it. */
struct os_lookup {
    struct os_resolver *resolver;
    struct os_lookup *next; /* in the queue */
    enum progress progress;
    bool dropped;
    int ends[2]; /* what is waited for, and what wakes it (the same for an eventfd) */
    struct addrinfo *list;
    enum ss_status status;
    struct ss_error error;
    char host[];
};

/* Belongs to the Lua state, to each thread and to each look-up: the last frees it. */
struct os_resolver {
    pthread_mutex_t lock; /* guards everything here and in the look-ups */
    pid_t process;
    unsigned users;
    unsigned threads;
    struct os_lookup *first, **last; /* the queue */
};

static enum ss_status fail(struct ss_error *err, int code)
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
    *r = (struct os_resolver){ .process = getpid(), .users = 1 };
    r->last = &r->first;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

/* After a fork its threads are gone and its lock may be held by one of them: what is left of it is never touched again. */
static bool is_stale(const struct os_resolver *r)
{
    return r->process != getpid();
}

/* Called with the lock held, which is given up. */
static void leave(struct os_resolver *r)
{
    bool last = --r->users == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void os_resolver_free(struct os_resolver *r)
{
    if (!r || is_stale(r))
        return;
    pthread_mutex_lock(&r->lock);
    leave(r);
}

/* With the lock held, which is given up. */
static void free_lookup(struct os_lookup *l)
{
    struct os_resolver *r = l->resolver;
    if (l->list)
        os_names_free(l->list);
    free(l);
    leave(r);
}

/* The waking end: an eventfd, or a pipe where there is none */

static bool open_ends(int ends[2])
{
#ifdef __linux__
    ends[0] = ends[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return ends[0] != -1;
#else
    if (pipe(ends) == -1)
        return false;
    for (int i = 0; i < 2; i++)
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    return true;
#endif
}

static void close_ends(const int ends[2])
{
    close(ends[0]);
    if (ends[1] != ends[0])
        close(ends[1]);
}

static void wake(const int ends[2])
{
    const uint64_t one = 1;
    ssize_t written = write(ends[1], &one, sizeof one); /* room for one is always there */
    (void)written;
}

/* On the threads */

static struct os_lookup *next_in_queue(struct os_resolver *r)
{
    struct os_lookup *l = r->first;
    if (!l)
        return NULL;
    r->first = l->next;
    if (!r->first)
        r->last = &r->first;
    l->progress = RUNNING;
    return l;
}

/* Called and left with the lock held. */
static void run(struct os_resolver *r, struct os_lookup *l)
{
    struct addrinfo *list = NULL;
    struct ss_error error = { SS_RESOLVER, 0 };
    pthread_mutex_unlock(&r->lock);
    enum ss_status st = os_names(l->host, &list, &error);
    pthread_mutex_lock(&r->lock);
    l->progress = ENDED;
    l->status = st;
    l->error = error;
    l->list = st == SS_OK ? list : NULL;
    if (!l->dropped) {
        wake(l->ends);
        return;
    }
    free_lookup(l); /* the thread is a user of the resolver, which therefore stays */
    pthread_mutex_lock(&r->lock);
}

static void *work(void *arg)
{
    struct os_resolver *r = arg;
    struct os_lookup *l;
    pthread_mutex_lock(&r->lock);
    while ((l = next_in_queue(r)))
        run(r, l);
    r->threads--;
    leave(r);
    return NULL;
}

void os_stay_loaded(void)
{
    Dl_info self;
    if (dladdr((const void *)(uintptr_t)work, &self) && self.dli_fname)
        dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/* The program's signals are for the program's threads. */
static int start_thread(struct os_resolver *r)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, own;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &own);
    int code = pthread_create(&thread, &attr, work, r);
    pthread_sigmask(SIG_SETMASK, &own, NULL);
    pthread_attr_destroy(&attr);
    return code;
}

/* For the caller */

static struct os_lookup *new_lookup(struct os_resolver *r, const char *host)
{
    size_t size = strlen(host) + 1;
    struct os_lookup *l = malloc(sizeof *l + size);
    if (!l)
        return NULL;
    *l = (struct os_lookup){ .resolver = r };
    memcpy(l->host, host, size);
    if (open_ends(l->ends))
        return l;
    int code = errno;
    free(l);
    errno = code;
    return NULL;
}

static void enqueue(struct os_resolver *r, struct os_lookup *l)
{
    *r->last = l;
    r->last = &l->next;
    r->users++;
}

static void unqueue(struct os_resolver *r, struct os_lookup *l)
{
    struct os_lookup **at = &r->first;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    if (!l->next)
        r->last = at;
}

/* With the lock held. A thread more, if there may be one; without any the look-up would wait for ever. */
static int serve(struct os_resolver *r)
{
    if (r->threads == OS_LOOKUPS)
        return 0;
    int code = start_thread(r);
    if (code == 0) {
        r->threads++;
        r->users++;
    }
    return r->threads > 0 ? 0 : code;
}

enum ss_status os_lookup_start(struct os_resolver **resolver, const char *host, struct os_lookup **lookup, int *fd,
                               struct ss_error *err)
{
    if (!*resolver || is_stale(*resolver))
        *resolver = new_resolver();
    struct os_resolver *r = *resolver;
    struct os_lookup *l = r ? new_lookup(r, host) : NULL;
    if (!l)
        return fail(err, errno);
    pthread_mutex_lock(&r->lock);
    enqueue(r, l);
    int code = serve(r);
    if (code != 0) {
        unqueue(r, l);
        close_ends(l->ends);
        free_lookup(l);
        return fail(err, code);
    }
    pthread_mutex_unlock(&r->lock);
    *lookup = l;
    *fd = l->ends[0];
    return SS_OK;
}

enum ss_status os_lookup_take(struct os_lookup *l, struct addrinfo **list, struct ss_error *err)
{
    struct os_resolver *r = l->resolver;
    if (is_stale(r))
        return fail(err, ECANCELED); /* its thread has stayed in the other process */
    pthread_mutex_lock(&r->lock);
    enum ss_status st = l->progress == ENDED ? l->status : SS_WANT;
    *err = l->error;
    *list = l->list;
    if (st == SS_OK)
        l->list = NULL;
    pthread_mutex_unlock(&r->lock);
    return st;
}

void os_lookup_drop(struct os_lookup *l)
{
    struct os_resolver *r = l->resolver;
    if (is_stale(r)) {
        close_ends(l->ends);
        return;
    }
    pthread_mutex_lock(&r->lock);
    l->dropped = true; /* from here on its thread does not wake it: the number may be somebody else's descriptor soon */
    close_ends(l->ends);
    if (l->progress == RUNNING) {
        pthread_mutex_unlock(&r->lock);
        return;
    }
    if (l->progress == QUEUED)
        unqueue(r, l);
    free_lookup(l);
}
