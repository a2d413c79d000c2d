/* Linux. A descriptor of ours is registered once, for both directions and edge-triggered: no system call when a wait
 * begins, none when it ends. */
#include "os/os_poller.h"
#include "os/os_fd_table.h"
#include "os/os_net.h"
#include "os/os_refused.h"

#if SS_POLLER == SS_EPOLL
#include <errno.h>
#include <fcntl.h> /* fcntl */
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h> /* close, read, write */

const bool os_poller_is_edged = true;

struct os_poller {
    struct ss_mem mem;
    int fd;
    int outer;      /* for those who wait for this one: a poller that watches `fd` and wake[0]; -1: not made yet */
    int wake[2];    /* what is readable, and what makes it so (the same for an eventfd); -1: not made yet */
    bool is_awake;  /* it is readable */
    bool no_pwait2; /* a kernel before 5.11, or it is refused */
    struct os_fd_table table; /* marks */
    size_t registered;        /* how many are */
    size_t strays;            /* reports of what is not, any more: its description goes on elsewhere */
};

/* The mark of a descriptor: whose it is while it is registered, and the number of that registration, which comes back with its
 * reports. */
enum { OURS = 1, FOREIGN = 2, WHOSE = OURS | FOREIGN, NEXT = WHOSE + 1 };

static struct epoll_event event_for(int fd, unsigned char mark)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET };
    event.data.u64 = (uint64_t)mark << 32 | (uint32_t)fd;
    return event;
}

static enum ss_status fail_epoll(struct ss_error *err, int code)
{
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

static int open_epoll(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd != -1 || !os_is_refused(errno))
        return fd;
    fd = epoll_create(1);
    if (fd != -1)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

enum ss_status os_poller_open(struct os_poller **poller, const struct ss_mem *mem, struct ss_error *err)
{
    struct os_poller *p = ss_mem_resize(mem, NULL, 0, sizeof *p);
    if (!p)
        return fail_epoll(err, ENOMEM);
    *p = (struct os_poller){ .mem = *mem, .fd = open_epoll(), .outer = -1, .wake = { -1, -1 } };
    if (p->fd == -1) {
        int code = errno;
        ss_mem_free(mem, p, sizeof *p);
        return fail_epoll(err, code);
    }
    *poller = p;
    return SS_OK;
}

static void close_epolls(const int ends[2])
{
    if (ends[0] != -1)
        close(ends[0]);
    if (ends[1] != ends[0])
        close(ends[1]);
}

void os_poller_close(struct os_poller *p)
{
    if (!p)
        return;
    close(p->fd);
    if (p->outer != -1)
        close(p->outer);
    close_epolls(p->wake);
    const struct ss_mem mem = p->mem;
    ss_mem_free(&mem, p->table.mark, p->table.n);
    ss_mem_free(&mem, p, sizeof *p);
}

/* The child has inherited the descriptors, and what they stand for lives on as long as the parent has them. */
void os_poller_abandon(struct os_poller *p)
{
    os_poller_close(p);
}

enum ss_status os_poller_watch(struct os_poller *p, int fd, int events, bool foreign, struct ss_error *err)
{
    (void)events;
    if (!os_fd_table_has_room(&p->table, &p->mem, (size_t)fd))
        return fail_epoll(err, ENOMEM);
    unsigned char *mark = &p->table.mark[fd];
    if ((*mark & WHOSE) == OURS && !foreign)
        return SS_OK;
    const unsigned char next = (unsigned char)(((*mark & ~WHOSE) + NEXT) | (foreign ? FOREIGN : OURS));
    struct epoll_event event = event_for(fd, next);
    int value = epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &event);
    if (value == -1 && errno == EEXIST) /* reports anew what is there */
        value = epoll_ctl(p->fd, EPOLL_CTL_MOD, fd, &event);
    if (value == -1)
        return fail_epoll(err, errno);
    p->registered += (*mark & WHOSE) == 0;
    *mark = next;
    return SS_OK;
}

/* What is closed leaves by itself (epoll(7), "Questions and answers" 6), or others have it as well, and then its reports
 * are strays. */
void os_poller_forget(struct os_poller *p, int fd, bool closing)
{
    if ((size_t)fd >= p->table.n || (p->table.mark[fd] & WHOSE) == 0)
        return;
    p->table.mark[fd] &= (unsigned char)~WHOSE;
    p->registered--;
    if (!closing)
        epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, NULL);
}

static int wait_ms(struct os_poller *p, struct epoll_event *found, int64_t timeout_ns)
{
    int64_t ms = timeout_ns < 0 ? -1 : timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    return epoll_wait(p->fd, found, OS_EVENTS, (int)ms);
}

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
#define HAVE_EPOLL_PWAIT2
#endif
#endif

static int wait_for_epoll_events(struct os_poller *p, struct epoll_event *found, int64_t timeout_ns)
{
#ifdef HAVE_EPOLL_PWAIT2
    if (timeout_ns > 0 && !p->no_pwait2) {
        struct timespec ts = { .tv_sec = (time_t)(timeout_ns / 1000000000),
                               .tv_nsec = (long)(timeout_ns % 1000000000) };
        int n = epoll_pwait2(p->fd, found, OS_EVENTS, &ts, NULL);
        if (n != -1 || !os_is_refused(errno))
            return n;
        p->no_pwait2 = true;
    }
#endif
    return wait_ms(p, found, timeout_ns);
}

static void sleep_in_epoll(struct os_poller *p)
{
    uint64_t count;
    if (p->is_awake)
        p->is_awake = read(p->wake[0], &count, sizeof count) == -1 && errno == EINTR;
}

static int fd_of(const struct epoll_event *e)
{
    return (int)(uint32_t)e->data.u64;
}

static bool is_stray(const struct os_poller *p, const struct epoll_event *e)
{
    size_t fd = (size_t)fd_of(e);
    return fd >= p->table.n || p->table.mark[fd] != (unsigned char)(e->data.u64 >> 32);
}

static struct os_event report_epoll(const struct epoll_event *e)
{
    return (struct os_event){
        .fd = fd_of(e),
        .found = (e->events & EPOLLIN ? OS_CAN_READ : 0) | (e->events & EPOLLOUT ? OS_CAN_WRITE : 0) |
                 (e->events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLPRI) ? OS_TROUBLE : 0),
        .recheck = (e->events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLPRI)) != 0,
    };
}

/* One that was closed behind our back is left out. */
static bool register_all(const struct os_poller *p, int epoll)
{
    for (size_t fd = 0; fd < p->table.n; fd++) {
        struct epoll_event event = event_for((int)fd, p->table.mark[fd]);
        bool is = (p->table.mark[fd] & WHOSE) != 0;
        if (is && epoll_ctl(epoll, EPOLL_CTL_ADD, (int)fd, &event) == -1 && errno != EBADF)
            return false;
    }
    return true;
}

static int add_inner(int outer, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    return epoll_ctl(outer, EPOLL_CTL_ADD, fd, &event);
}

/* In the place of the one that was watched. */
static bool takes_place(struct os_poller *p, int epoll)
{
    if (!register_all(p, epoll) || (p->outer != -1 && add_inner(p->outer, epoll) == -1))
        return false;
    if (p->outer != -1)
        epoll_ctl(p->outer, EPOLL_CTL_DEL, p->fd, NULL);
    close(p->fd);
    p->fd = epoll;
    return true;
}

/* Nobody can take a registration back whose descriptor is closed (epoll(7), "Questions and answers" 6), but a new poller has none
 * of them. It is made when there were as many strays as there are descriptors to be registered: it costs no more than they do. */
static void end_strays(struct os_poller *p)
{
    int epoll = open_epoll();
    p->strays = 0;
    if (epoll != -1 && !takes_place(p, epoll))
        close(epoll);
}

enum ss_status os_poller_wait(struct os_poller *p, int64_t timeout_ns, struct os_event events[OS_EVENTS], size_t *n,
                              struct ss_error *err)
{
    struct epoll_event found[OS_EVENTS];
    int got = wait_for_epoll_events(p, found, p->is_awake ? 0 : os_wait_bound(timeout_ns));
    int code = errno;
    sleep_in_epoll(p);
    if (got == -1)
        return code == EINTR ? SS_WANT : fail_epoll(err, code);
    *n = 0;
    for (int i = 0; i < got; i++) {
        if (is_stray(p, &found[i]))
            p->strays++;
        else
            events[(*n)++] = report_epoll(&found[i]);
    }
    if (p->strays > p->registered)
        end_strays(p);
    return *n > 0 ? SS_OK : SS_TIMEOUT;
}

static bool open_epolls(int ends[2])
{
    ends[0] = ends[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ends[0] != -1 || !os_is_refused(errno))
        return ends[0] != -1;
    struct ss_error err;
    if (os_socketpair(ends, &err) != SS_OK) {
        errno = err.code;
        return false;
    }
    for (int i = 0; i < 2; i++)
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    return true;
}

static bool watch_both(int outer, int inner, int wake)
{
    return outer != -1 && add_inner(outer, inner) == 0 && add_inner(outer, wake) == 0;
}

static bool has_outer(struct os_poller *p, struct ss_error *err)
{
    int ends[2];
    if (p->outer != -1)
        return true;
    if (!open_epolls(ends)) {
        fail_epoll(err, errno);
        return false;
    }
    int outer = open_epoll();
    if (!watch_both(outer, p->fd, ends[0])) {
        fail_epoll(err, errno);
        close_epolls(ends);
        if (outer != -1)
            close(outer);
        return false;
    }
    p->outer = outer;
    p->wake[0] = ends[0];
    p->wake[1] = ends[1];
    return true;
}

enum ss_status os_poller_fd(struct os_poller *p, int *fd, struct ss_error *err)
{
    if (!has_outer(p, err))
        return SS_ERROR;
    *fd = p->outer;
    return SS_OK;
}

void os_poller_wake(struct os_poller *p)
{
    const uint64_t one = 1;
    struct ss_error ignored;
    if (!p->is_awake && has_outer(p, &ignored))
        p->is_awake = write(p->wake[1], &one, sizeof one) == sizeof one;
}
#endif
