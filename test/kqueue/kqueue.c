/* A stand-in for kqueue(2) on Linux, for tests: as much of it as src/os/os_poller_kqueue.c uses, on top of epoll(7), after
 * FreeBSD's manual page.
 *
 * What a test on it shows: that the poller compiles, calls kqueue as the page describes it, and keeps its contract with
 * any kqueue that behaves like this one: the two filters of a descriptor are separate, with EV_CLEAR what was retrieved
 * comes again only when something happens, EV_ADD of what is there already looks anew, EV_DELETE of what is not there
 * is ENOENT, EV_EOF comes with an end or an error, the last close of a descriptor takes its filters along, and a
 * child process has no queue.
 *
 * What it does not show: how a kernel that has kqueue behaves. When a filter fires is decided by Linux here; `data` and
 * `fflags` are 0 but for EV_EOF; regular files can't be watched. Only a run on such a system shows that.
 *
 * A queue is an epoll that watches two others, one for each filter: so it is itself readable when there is something to
 * retrieve. close(2) is wrapped by the linker (--wrap=close) so that they go with it. */
#include "sys/event.h"

#include <errno.h>
#include <poll.h>    /* ppoll */
#include <pthread.h> /* pthread_atfork */
#include <stdbool.h>
#include <stdlib.h> /* abort */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int __real_close(int fd);
int __wrap_close(int fd);

enum { QUEUES = 16, READING = 0, WRITING = 1, NONE = -1 };

struct queue {
    bool open;
    int outer, inner[2]; /* epolls */
    int user;  /* an eventfd: the one event of EVFILT_USER, which is triggered as it is added, and reported once */
    int first; /* the filter that is retrieved first; they take turns */
};

static struct queue queues[QUEUES];
static pthread_once_t atfork = PTHREAD_ONCE_INIT;

static struct queue *find(int kq)
{
    for (int i = 0; i < QUEUES; i++)
        if (queues[i].open && queues[i].outer == kq)
            return &queues[i];
    return NULL;
}

static struct queue *find_free(void)
{
    for (int i = 0; i < QUEUES; i++)
        if (!queues[i].open)
            return &queues[i];
    abort();
}

static void close_if(int fd)
{
    if (fd != NONE)
        __real_close(fd);
}

static int make_inner(int outer)
{
    struct epoll_event event = { .events = EPOLLIN };
    int fd = outer == NONE ? NONE : epoll_create1(EPOLL_CLOEXEC);
    if (fd != NONE && epoll_ctl(outer, EPOLL_CTL_ADD, fd, &event) == 0)
        return fd;
    close_if(fd);
    return NONE;
}

static int add(int epoll, int fd, uint32_t wanted)
{
    struct epoll_event event = { .events = wanted, .data.fd = fd };
    int value = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    return value == -1 && errno == EEXIST ? epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) : value;
}

static void close_queue(struct queue *q)
{
    __real_close(q->outer);
    __real_close(q->inner[READING]);
    __real_close(q->inner[WRITING]);
    __real_close(q->user);
    q->open = false;
}

static void lose_queues(void)
{
    for (int i = 0; i < QUEUES; i++)
        if (queues[i].open)
            close_queue(&queues[i]);
}

static void watch_forks(void)
{
    if (pthread_atfork(NULL, NULL, lose_queues) != 0)
        abort();
}

/* It takes one descriptor of the process where the real one does, and three more. */
int kqueue(void)
{
    pthread_once(&atfork, watch_forks);
    struct queue *q = find_free();
    *q = (struct queue){ .outer = epoll_create1(0),
                         .inner = { NONE, NONE },
                         .user = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
    for (int i = READING; i <= WRITING; i++)
        q->inner[i] = make_inner(q->outer);
    q->open = q->inner[READING] != NONE && q->inner[WRITING] != NONE && add(q->outer, q->user, EPOLLIN) == 0;
    if (q->open)
        return q->outer;
    int code = errno;
    close_if(q->inner[READING]);
    close_if(q->inner[WRITING]);
    close_if(q->user);
    close_if(q->outer);
    errno = code;
    return NONE;
}

int __wrap_close(int fd)
{
    struct queue *q = find(fd);
    if (!q)
        return __real_close(fd);
    close_queue(q);
    return 0;
}

/* Changes */

static int change(const struct queue *q, const struct kevent *c)
{
    bool reading = c->filter == EVFILT_READ;
    if (c->filter == EVFILT_USER) {
        if (c->flags != (EV_ADD | EV_ONESHOT) || c->fflags != NOTE_TRIGGER)
            abort();
        return eventfd_write(q->user, 1);
    }
    int epoll = q->inner[reading ? READING : WRITING];
    if (c->flags == EV_DELETE)
        return epoll_ctl(epoll, EPOLL_CTL_DEL, (int)c->ident, NULL);
    if ((c->flags & ~EV_CLEAR) != EV_ADD)
        abort();
    return add(epoll, (int)c->ident, (reading ? EPOLLIN | EPOLLRDHUP : EPOLLOUT) | (c->flags & EV_CLEAR ? EPOLLET : 0));
}

/* Events */

static struct kevent event_of(const struct epoll_event *e, int which)
{
    uint32_t end = EPOLLHUP | EPOLLERR | (which == READING ? EPOLLRDHUP : 0);
    struct kevent event;
    EV_SET(&event, e->data.fd, which == READING ? EVFILT_READ : EVFILT_WRITE, e->events & end ? EV_EOF : 0, 0, 0, NULL);
    return event;
}

static int retrieve(const struct queue *q, int which, struct kevent *events, int room)
{
    enum { AT_ONCE = 64 };
    struct epoll_event found[AT_ONCE];
    int n = 0, got = AT_ONCE;
    while (got == AT_ONCE && n < room) {
        got = epoll_wait(q->inner[which], found, room - n < AT_ONCE ? room - n : AT_ONCE, 0);
        for (int i = 0; i < got; i++)
            events[n++] = event_of(&found[i], which);
    }
    return n;
}

static int retrieve_user(const struct queue *q, struct kevent *events)
{
    eventfd_t count;
    if (eventfd_read(q->user, &count) == -1)
        return 0;
    EV_SET(events, 0, EVFILT_USER, 0, 0, 0, NULL);
    return 1;
}

static int retrieve_all(struct queue *q, struct kevent *events, int room)
{
    int first = q->first;
    int n = retrieve_user(q, events);
    n += retrieve(q, first, events + n, room - n);
    q->first = !first;
    return n + retrieve(q, !first, events + n, room - n);
}

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Until one of the filters has fired. */
static int wait_until(const struct queue *q, int64_t end_ns)
{
    struct pollfd outer = { .fd = q->outer, .events = POLLIN };
    int64_t left_ns = end_ns - now_ns();
    struct timespec left = { .tv_sec = (time_t)(left_ns / 1000000000), .tv_nsec = (long)(left_ns % 1000000000) };
    if (left_ns < 0)
        left = (struct timespec){ 0, 0 };
    return ppoll(&outer, 1, end_ns == INT64_MAX ? NULL : &left, NULL);
}

static int wait_for_events(struct queue *q, struct kevent *events, int room, int64_t end_ns)
{
    for (;;) {
        int found = wait_until(q, end_ns);
        int n = found > 0 ? retrieve_all(q, events, room) : found;
        if (n != 0 || now_ns() >= end_ns)
            return n;
    }
}

/* macOS refuses what its itimerfix() does; others have done so too. */
static bool is_too_long(const struct timespec *t)
{
    return t->tv_sec > 100000000;
}

int kevent(int kq, const struct kevent *changes, int nchanges, struct kevent *events, int nevents,
           const struct timespec *timeout)
{
    struct queue *q = find(kq);
    int value = 0;
    if (!q || (nchanges > 0 && nevents > 0))
        abort();
    if (timeout &&
        (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999 || is_too_long(timeout))) {
        errno = EINVAL;
        return -1;
    }
    for (int i = 0; i < nchanges && value == 0; i++)
        value = change(q, &changes[i]);
    if (nevents == 0)
        return value;
    int64_t end_ns = timeout ? now_ns() + (int64_t)timeout->tv_sec * 1000000000 + timeout->tv_nsec : INT64_MAX;
    return wait_for_events(q, events, nevents, end_ns);
}
