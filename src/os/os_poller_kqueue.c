/* BSD and macOS. A socket's descriptor is registered once for both directions (EV_CLEAR). */
#include "os/os_poller.h"
#include "os/os_fd_table.h"
#include "os/os_net.h"

#if SS_POLLER == SS_KQUEUE
#include <errno.h>
#include <fcntl.h> /* fcntl */
#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h> /* struct timespec */
#include <unistd.h>   /* close */

const bool os_poller_is_edged = false;

struct os_poller {
    struct ss_mem mem;
    int fd;
    int wake[2];              /* without EVFILT_USER: [0] is polled, [1] written to; -1: not open */
    bool is_awake;            /* a wake event is pending */
    struct os_fd_table table; /* 1: registered and not foreign */
};

static enum ss_status fail_kqueue(struct ss_error *err, int code)
{
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

enum ss_status os_poller_open(struct os_poller **poller, const struct ss_mem *mem, struct ss_error *err)
{
    struct os_poller *p = ss_mem_resize(mem, NULL, 0, sizeof *p);
    if (!p)
        return fail_kqueue(err, ENOMEM);
    *p = (struct os_poller){ .mem = *mem, .fd = kqueue(), .wake = { -1, -1 } };
    if (p->fd == -1) {
        int code = errno;
        ss_mem_free(mem, p, sizeof *p);
        return fail_kqueue(err, code);
    }
    fcntl(p->fd, F_SETFD, FD_CLOEXEC);
    *poller = p;
    return SS_OK;
}

/* A child does not inherit the queue (kqueue(2)). */
void os_poller_abandon(struct os_poller *p)
{
    if (!p)
        return;
    for (int i = 0; i < 2 && p->wake[i] != -1; i++)
        close(p->wake[i]);
    const struct ss_mem mem = p->mem;
    ss_mem_free(&mem, p->table.mark, p->table.n);
    ss_mem_free(&mem, p, sizeof *p);
}

void os_poller_close(struct os_poller *p)
{
    if (!p)
        return;
    close(p->fd);
    os_poller_abandon(p);
}

static int change_filter(struct os_poller *p, int fd, int filter, int flags)
{
    struct kevent event;
    const struct timespec none = { 0, 0 };
    EV_SET(&event, fd, filter, flags, 0, 0, NULL);
    return kevent(p->fd, &event, 1, NULL, 0, &none);
}

/* Some kinds of descriptors support one filter only. */
enum ss_status os_poller_watch(struct os_poller *p, int fd, int events, bool foreign, struct ss_error *err)
{
    (void)events;
    if (!os_fd_table_reserve(&p->table, &p->mem, (size_t)fd))
        return fail_kqueue(err, ENOMEM);
    if (p->table.mark[fd] && !foreign)
        return SS_OK;
    int reading = change_filter(p, fd, EVFILT_READ, EV_ADD | EV_CLEAR), code = errno;
    int writing = change_filter(p, fd, EVFILT_WRITE, EV_ADD | EV_CLEAR);
    if (reading == -1 && writing == -1)
        return fail_kqueue(err, code);
    p->table.mark[fd] = !foreign;
    return SS_OK;
}

/* Closing a descriptor removes its events (kqueue(2)). */
void os_poller_forget(struct os_poller *p, int fd, bool closing)
{
    if ((size_t)fd >= p->table.n)
        return;
    p->table.mark[fd] = false;
    if (closing)
        return;
    change_filter(p, fd, EVFILT_READ, EV_DELETE);
    change_filter(p, fd, EVFILT_WRITE, EV_DELETE);
}

static struct os_event report_kqueue(const struct kevent *e)
{
    return (struct os_event){
        .fd = (int)e->ident,
        .found = (e->filter == EVFILT_READ ? OS_CAN_READ : OS_CAN_WRITE) | (e->flags & EV_EOF ? OS_TROUBLE : 0),
        .recheck = true,
    };
}

#ifdef EVFILT_USER
static enum ss_status prepare_wake(struct os_poller *p, struct ss_error *err)
{
    (void)p, (void)err;
    return SS_OK;
}

static void clear_kqueue_wake(struct os_poller *p)
{
    p->is_awake = false;
}

static bool is_wake(const struct os_poller *p, const struct kevent *e)
{
    (void)p;
    return e->filter == EVFILT_USER;
}

void os_poller_wake(struct os_poller *p)
{
    enum { WAKE = 0 }; /* an EVFILT_USER identifier, not a descriptor */
    struct kevent event;
    const struct timespec none = { 0, 0 };
    if (p->is_awake)
        return;
    EV_SET(&event, WAKE, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER, 0, NULL);
    p->is_awake = kevent(p->fd, &event, 1, NULL, 0, &none) == 0;
}
#else /* OpenBSD, older NetBSD: a socket pair */
static enum ss_status prepare_wake(struct os_poller *p, struct ss_error *err)
{
    int wake_fds[2];
    if (p->wake[0] != -1)
        return SS_OK;
    enum ss_status st = os_socketpair(wake_fds, err);
    if (st != SS_OK)
        return st;
    for (int i = 0; i < 2; i++)
        fcntl(wake_fds[i], F_SETFL, O_NONBLOCK);
    if (change_filter(p, wake_fds[0], EVFILT_READ, EV_ADD | EV_CLEAR) == -1) {
        fail_kqueue(err, errno);
        close(wake_fds[0]);
        close(wake_fds[1]);
        return SS_ERROR;
    }
    p->wake[0] = wake_fds[0];
    p->wake[1] = wake_fds[1];
    return SS_OK;
}

static void clear_kqueue_wake(struct os_poller *p)
{
    char byte;
    if (p->is_awake)
        p->is_awake = read(p->wake[0], &byte, 1) == -1 && errno == EINTR;
}

static bool is_wake(const struct os_poller *p, const struct kevent *e)
{
    return p->wake[0] != -1 && e->ident == (uintptr_t)p->wake[0];
}

void os_poller_wake(struct os_poller *p)
{
    struct ss_error ignored;
    if (!p->is_awake && prepare_wake(p, &ignored) == SS_OK)
        p->is_awake = write(p->wake[1], "", 1) == 1;
}
#endif

enum ss_status os_poller_wait(struct os_poller *p, int64_t timeout_ns, struct os_event events[OS_EVENTS], size_t *n,
                              struct ss_error *err)
{
    struct kevent found[OS_EVENTS];
    timeout_ns = p->is_awake ? 0 : os_wait_bound(timeout_ns);
    struct timespec ts = { .tv_sec = (time_t)(timeout_ns / 1000000000), .tv_nsec = (long)(timeout_ns % 1000000000) };
    int got = kevent(p->fd, NULL, 0, found, OS_EVENTS, timeout_ns < 0 ? NULL : &ts);
    int code = errno;
    if (got != -1 || code == EINTR)
        clear_kqueue_wake(p);
    if (got == -1)
        return code == EINTR ? SS_WANT : fail_kqueue(err, code);
    *n = 0;
    for (int i = 0; i < got; i++)
        if (!is_wake(p, &found[i]))
            events[(*n)++] = report_kqueue(&found[i]);
    return *n > 0 ? SS_OK : SS_TIMEOUT;
}

enum ss_status os_poller_fd(struct os_poller *p, int *fd, struct ss_error *err)
{
    *fd = p->fd;
    return prepare_wake(p, err);
}
#endif
