/* Linux. A socket's descriptor is registered once, for both directions and edge-triggered: a wait begins and ends
 * without a system call. */
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
    int outer;                /* os_poller_fd: an epoll that watches `fd` and wake[0]; -1: not open */
    int wake[2];              /* [0] is polled, [1] written to; an eventfd: both the same; -1: not open */
    bool is_awake;            /* wake[0] is readable */
    bool no_pwait2;           /* epoll_pwait2(2) is refused, as before Linux 5.11 */
    struct os_fd_table table; /* owner and generation */
    size_t registered;        /* descriptors */
    size_t stale_reports;     /* reports of past registrations, whose open file description lives on */
};

/* The mark of a descriptor: the owner while registered (0: not registered), and a generation, incremented by each
 * registration, that epoll returns with each report. */
enum { OURS = 1, FOREIGN = 2, OWNER = OURS | FOREIGN, GENERATION = OWNER + 1 };

static struct epoll_event epoll_event_for(int fd, unsigned char mark)
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

static void close_epoll_wake(const int wake_fds[2])
{
    if (wake_fds[0] != -1)
        close(wake_fds[0]);
    if (wake_fds[1] != wake_fds[0])
        close(wake_fds[1]);
}

void os_poller_close(struct os_poller *p)
{
    if (!p)
        return;
    close(p->fd);
    if (p->outer != -1)
        close(p->outer);
    close_epoll_wake(p->wake);
    const struct ss_mem mem = p->mem;
    ss_mem_free(&mem, p->table.mark, p->table.n);
    ss_mem_free(&mem, p, sizeof *p);
}

/* The parent's copies of the descriptors keep the epoll instance open. */
void os_poller_abandon(struct os_poller *p)
{
    os_poller_close(p);
}

enum ss_status os_poller_watch(struct os_poller *p, int fd, int events, bool foreign, struct ss_error *err)
{
    (void)events;
    if (!os_fd_table_reserve(&p->table, &p->mem, (size_t)fd))
        return fail_epoll(err, ENOMEM);
    unsigned char *mark = &p->table.mark[fd];
    if ((*mark & OWNER) == OURS && !foreign)
        return SS_OK;
    const unsigned char next = (unsigned char)(((*mark & ~OWNER) + GENERATION) | (foreign ? FOREIGN : OURS));
    struct epoll_event event = epoll_event_for(fd, next);
    int value = epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &event);
    if (value == -1 && errno == EEXIST) /* reports present events again */
        value = epoll_ctl(p->fd, EPOLL_CTL_MOD, fd, &event);
    if (value == -1)
        return fail_epoll(err, errno);
    p->registered += (*mark & OWNER) == 0;
    *mark = next;
    return SS_OK;
}

/* A closed descriptor leaves the epoll, unless another process has a copy (epoll(7), "Questions and answers" 6): then
 * its reports are stale. */
void os_poller_forget(struct os_poller *p, int fd, bool closing)
{
    if ((size_t)fd >= p->table.n || (p->table.mark[fd] & OWNER) == 0)
        return;
    p->table.mark[fd] &= (unsigned char)~OWNER;
    p->registered--;
    if (!closing)
        epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, NULL);
}

static int epoll_wait_ms(struct os_poller *p, struct epoll_event *found, int64_t timeout_ns)
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
    return epoll_wait_ms(p, found, timeout_ns);
}

static void clear_epoll_wake(struct os_poller *p)
{
    uint64_t count;
    if (p->is_awake)
        p->is_awake = read(p->wake[0], &count, sizeof count) == -1 && errno == EINTR;
}

static int event_fd(const struct epoll_event *e)
{
    return (int)(uint32_t)e->data.u64;
}

static bool is_stale_report(const struct os_poller *p, const struct epoll_event *e)
{
    size_t fd = (size_t)event_fd(e);
    return fd >= p->table.n || p->table.mark[fd] != (unsigned char)(e->data.u64 >> 32);
}

static struct os_event report_epoll(const struct epoll_event *e)
{
    return (struct os_event){
        .fd = event_fd(e),
        .found = (e->events & EPOLLIN ? OS_CAN_READ : 0) | (e->events & EPOLLOUT ? OS_CAN_WRITE : 0) |
                 (e->events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLPRI) ? OS_TROUBLE : 0),
        .recheck = (e->events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLPRI)) != 0,
    };
}

/* EBADF: code outside the module has closed the descriptor; skip it. */
static bool copy_registrations(const struct os_poller *p, int epoll)
{
    for (size_t fd = 0; fd < p->table.n; fd++) {
        struct epoll_event event = epoll_event_for((int)fd, p->table.mark[fd]);
        bool is = (p->table.mark[fd] & OWNER) != 0;
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

/* Replaces the epoll instance, also in the outer one. */
static bool replace_epoll(struct os_poller *p, int epoll)
{
    if (!copy_registrations(p, epoll) || (p->outer != -1 && add_inner(p->outer, epoll) == -1))
        return false;
    if (p->outer != -1)
        epoll_ctl(p->outer, EPOLL_CTL_DEL, p->fd, NULL);
    close(p->fd);
    p->fd = epoll;
    return true;
}

/* A registration whose descriptor is closed cannot be removed (epoll(7), "Questions and answers" 6); a new epoll has
 * none. One is opened after more stale reports than registered descriptors, so the cost is amortized. */
static void renew_epoll(struct os_poller *p)
{
    int epoll = open_epoll();
    p->stale_reports = 0;
    if (epoll != -1 && !replace_epoll(p, epoll))
        close(epoll);
}

enum ss_status os_poller_wait(struct os_poller *p, int64_t timeout_ns, struct os_event events[OS_EVENTS], size_t *n,
                              struct ss_error *err)
{
    struct epoll_event found[OS_EVENTS];
    int got = wait_for_epoll_events(p, found, p->is_awake ? 0 : os_wait_bound(timeout_ns));
    int code = errno;
    clear_epoll_wake(p);
    if (got == -1)
        return code == EINTR ? SS_WANT : fail_epoll(err, code);
    *n = 0;
    for (int i = 0; i < got; i++) {
        if (is_stale_report(p, &found[i]))
            p->stale_reports++;
        else
            events[(*n)++] = report_epoll(&found[i]);
    }
    if (p->stale_reports > p->registered)
        renew_epoll(p);
    return *n > 0 ? SS_OK : SS_TIMEOUT;
}

static bool open_epoll_wake(int wake_fds[2])
{
    wake_fds[0] = wake_fds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fds[0] != -1 || !os_is_refused(errno))
        return wake_fds[0] != -1;
    struct ss_error err;
    if (os_socketpair(wake_fds, &err) != SS_OK) {
        errno = err.code;
        return false;
    }
    for (int i = 0; i < 2; i++)
        fcntl(wake_fds[i], F_SETFL, O_NONBLOCK);
    return true;
}

static bool watch_both(int outer, int inner, int wake)
{
    return outer != -1 && add_inner(outer, inner) == 0 && add_inner(outer, wake) == 0;
}

static bool open_outer(struct os_poller *p, struct ss_error *err)
{
    int wake_fds[2];
    if (p->outer != -1)
        return true;
    if (!open_epoll_wake(wake_fds)) {
        fail_epoll(err, errno);
        return false;
    }
    int outer = open_epoll();
    if (!watch_both(outer, p->fd, wake_fds[0])) {
        fail_epoll(err, errno);
        close_epoll_wake(wake_fds);
        if (outer != -1)
            close(outer);
        return false;
    }
    p->outer = outer;
    p->wake[0] = wake_fds[0];
    p->wake[1] = wake_fds[1];
    return true;
}

enum ss_status os_poller_fd(struct os_poller *p, int *fd, struct ss_error *err)
{
    if (!open_outer(p, err))
        return SS_ERROR;
    *fd = p->outer;
    return SS_OK;
}

void os_poller_wake(struct os_poller *p)
{
    const uint64_t one = 1;
    struct ss_error ignored;
    if (!p->is_awake && open_outer(p, &ignored))
        p->is_awake = write(p->wake[1], &one, sizeof one) == sizeof one;
}
#endif
