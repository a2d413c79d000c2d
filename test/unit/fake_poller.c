#include "fake_poller.h"
#include "check.h"
#include "os/os_fork.h"
#include "os/os_net.h"
#include "os/os_poller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h> /* abort, strtol */
#include <string.h>

#define FAKE(function) __typeof__(function) __wrap_##function

enum { ARRIVAL = 4, FIRST_POLLER_FD = 40, UNASKED = 64 };

struct fake_polling polling;

static void give_up(const char *why)
{
    printf("%s at %lld ns\n", why, (long long)fake.now_ns);
    fflush(stdout);
    abort();
}

void fake_poll_plan(const char *plan)
{
    for (char *rest = (char *)plan; *rest != '\0'; rest += *rest == ' ') {
        if (polling.nplans == FAKE_PLANS)
            give_up("the plan is too long");
        struct fake_plan *p = &polling.plans[polling.nplans++];
        p->at_ns = fake_ms((double)strtol(rest, &rest, 10));
        p->what = *rest++;
        p->fd = *rest == ' ' || *rest == '\0' ? 0 : (int)strtol(rest, &rest, 10);
    }
}

static enum ss_status poll_planned(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready,
                                   struct ss_error *err);

void fake_poll_begin(const char *plan)
{
    memset(&polling, 0, sizeof polling);
    polling.recv_end = 'w';
    fake_begin("");
    fake.poll = poll_planned;
    fake_poll_plan(plan);
}

void fake_poll_take(int fd, int events)
{
    if (fd >= 0)
        polling.ready[fd] &= ~(events | OS_TROUBLE | OS_NOT_OPEN);
}

struct os_poller *fake_poll_now(void)
{
    return &polling.pollers[polling.opens - 1];
}

static bool fails(int *calls, int failing, struct ss_error *err)
{
    if (++*calls != failing && failing != -1)
        return false;
    *err = (struct ss_error){ SS_SYSTEM, polling.failure };
    return true;
}

static void check_ours(const struct os_poller *p)
{
    CHECKF(p->open && !p->inherited, "the poller %s", p->open ? "is the parent's" : "is closed");
}

FAKE(os_fork_mark_is_new);
bool __wrap_os_fork_mark_is_new(struct os_fork_mark *mark)
{
    bool child = polling.child;
    (void)mark;
    polling.child = false;
    for (int i = 0; child && i < FAKE_POLLERS; i++)
        polling.pollers[i].inherited = polling.pollers[i].open;
    return child;
}

FAKE(os_poller_open);
enum ss_status __wrap_os_poller_open(struct os_poller **poller, const struct ss_mem *mem, struct ss_error *err)
{
    CHECK(mem->resize != NULL);
    if (fails(&polling.opens, polling.failing_open, err))
        return SS_ERROR;
    if (polling.opens > FAKE_POLLERS)
        give_up("too many pollers");
    *poller = fake_poll_now();
    (*poller)->open = true;
    return SS_OK;
}

FAKE(os_poller_close);
void __wrap_os_poller_close(struct os_poller *p)
{
    if (!p)
        return;
    check_ours(p);
    p->open = false;
    polling.closes++;
}

FAKE(os_poller_abandon);
void __wrap_os_poller_abandon(struct os_poller *p)
{
    if (!p)
        return;
    CHECK(p->open && p->inherited);
    p->open = p->inherited = false;
    polling.abandons++;
}

FAKE(os_poller_watch);
enum ss_status __wrap_os_poller_watch(struct os_poller *p, int fd, int events, bool foreign, struct ss_error *err)
{
    check_ours(p);
    CHECK(fd >= 0 && fd < FAKE_POLL_FDS && events != 0);
    if (fails(&polling.watches, polling.failing_watch, err))
        return SS_ERROR;
    p->fds[fd].known = true;
    p->fds[fd].foreign = foreign;
    p->fds[fd].armed |= events;
    return SS_OK;
}

FAKE(os_poller_forget);
void __wrap_os_poller_forget(struct os_poller *p, int fd, bool closing)
{
    check_ours(p);
    polling.forgets++;
    polling.closings += closing;
    p->fds[fd].known = false;
    p->fds[fd].armed = 0;
}

FAKE(os_poller_fd);
enum ss_status __wrap_os_poller_fd(struct os_poller *p, int *fd, struct ss_error *err)
{
    check_ours(p);
    if (fails(&polling.tells, polling.failing_tell, err))
        return SS_ERROR;
    *fd = FIRST_POLLER_FD + (int)(p - polling.pollers);
    return SS_OK;
}

FAKE(os_poller_wake);
void __wrap_os_poller_wake(struct os_poller *p)
{
    check_ours(p);
    polling.wakes++;
}

/* What is planned */

static void happen(const struct fake_plan *plan)
{
    static const struct {
        char what;
        int ready;
    } all[] = {
        { 'r', OS_CAN_READ }, { 'w', OS_CAN_WRITE },          { 'h', OS_TROUBLE },
        { 'c', OS_NOT_OPEN }, { 'R', OS_CAN_READ | UNASKED }, { 'W', OS_CAN_WRITE | UNASKED },
        { 'u', OS_CAN_READ }, { 'd', OS_CAN_READ },           { 's', 0 },
    };
    size_t i = 0;
    while (all[i].what != plan->what)
        if (++i == sizeof all / sizeof *all)
            give_up("no such plan");
    polling.ready[plan->fd] |= all[i].ready;
    polling.recheck[plan->fd] = polling.recheck[plan->fd] || plan->what == 'u' || plan->what == 'h';
    polling.available += plan->what == 'd' ? ARRIVAL : 0;
    polling.signal = polling.signal || plan->what == 's';
}

static void happen_until(int64_t now_ns)
{
    while (polling.done < polling.nplans && polling.plans[polling.done].at_ns <= now_ns)
        happen(&polling.plans[polling.done++]);
}

/* Trouble is reported to all who watch. */
static bool is_to_be_reported(const struct os_poller *p, int fd)
{
    int ready = polling.ready[fd], armed = p->fds[fd].armed;
    return p->fds[fd].known && ((ready & UNASKED) || (armed && (ready & (armed | OS_TROUBLE | OS_NOT_OPEN))));
}

static size_t report_all(struct os_poller *p, struct os_event *events)
{
    size_t n = 0;
    for (int fd = 0; fd < FAKE_POLL_FDS; fd++)
        if (is_to_be_reported(p, fd)) {
            events[n++] = (struct os_event){ fd, polling.ready[fd] & ~UNASKED, polling.recheck[fd] };
            p->fds[fd].armed &= polling.ready[fd] & (OS_TROUBLE | OS_NOT_OPEN) ? 0 : ~polling.ready[fd];
            polling.ready[fd] &= polling.ready[fd] & UNASKED ? 0 : ~0;
            polling.recheck[fd] = false;
        }
    return n;
}

/* The next thing that happens, or the end of the wait. */
static bool go_on_until(int64_t end_ns)
{
    int64_t next_ns = polling.done < polling.nplans ? polling.plans[polling.done].at_ns : INT64_MAX;
    bool more = polling.done < polling.nplans && next_ns <= end_ns;
    if (!more && end_ns == INT64_MAX)
        give_up("a wait without end");
    next_ns = more ? next_ns : end_ns;
    fake.now_ns = next_ns > fake.now_ns ? next_ns : fake.now_ns;
    return more;
}

static unsigned mark_ready(struct pollfd *set, size_t n)
{
    unsigned found = 0;
    for (size_t i = 0; i < n; i++) {
        int ready = polling.ready[set[i].fd];
        int wanted = (set[i].events & POLLIN ? OS_CAN_READ : 0) | (set[i].events & POLLOUT ? OS_CAN_WRITE : 0);
        set[i].revents =
            (short)((ready & wanted & OS_CAN_READ ? POLLIN : 0) | (ready & wanted & OS_CAN_WRITE ? POLLOUT : 0) |
                    (ready & OS_TROUBLE ? POLLHUP : 0) | (ready & OS_NOT_OPEN ? POLLNVAL : 0));
        found += set[i].revents != 0;
    }
    return found;
}

static enum ss_status poll_planned(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready,
                                   struct ss_error *err)
{
    int64_t end_ns = timeout_ns < 0 ? INT64_MAX : fake.now_ns + timeout_ns;
    if (fails(&polling.polls, polling.failing_poll, err))
        return SS_ERROR;
    do {
        happen_until(fake.now_ns);
        *ready = mark_ready(set, n);
        if (*ready > 0)
            return SS_OK;
    } while (go_on_until(end_ns));
    return SS_TIMEOUT;
}

FAKE(os_poll_select);
enum ss_status __wrap_os_poll_select(struct pollfd *set, size_t n, int64_t timeout_ns, unsigned *ready,
                                     struct ss_error *err)
{
    return poll_planned(set, n, timeout_ns, ready, err);
}

static enum ss_status late(enum ss_status st)
{
    fake.now_ns += polling.late_ns;
    polling.late_ns = 0;
    return st;
}

FAKE(os_poller_wait);
enum ss_status __wrap_os_poller_wait(struct os_poller *p, int64_t timeout_ns, struct os_event events[OS_EVENTS],
                                     size_t *n, struct ss_error *err)
{
    int64_t end_ns = timeout_ns < 0 ? INT64_MAX : fake.now_ns + timeout_ns;
    end_ns = polling.early_ns > 0 ? fake.now_ns + polling.early_ns : end_ns;
    polling.early_ns = 0;
    check_ours(p);
    if (fails(&polling.waits, polling.failing_wait, err))
        return SS_ERROR;
    do {
        happen_until(fake.now_ns);
        *n = report_all(p, events);
        if (*n > 0)
            return late(SS_OK);
        if (polling.signal) {
            polling.signal = false;
            return late(SS_WANT);
        }
    } while (go_on_until(end_ns));
    return late(SS_TIMEOUT);
}

FAKE(os_recv);
enum ss_status __wrap_os_recv(int fd, void *buf, size_t len, int flags, size_t *got, struct ss_error *err)
{
    (void)fd;
    (void)flags;
    polling.recvs++;
    *got = len < polling.available ? len : polling.available;
    memset(buf, 'x', *got);
    polling.available -= *got;
    if (*got > 0)
        return SS_OK;
    *err = (struct ss_error){ SS_SYSTEM, ECONNRESET };
    return polling.recv_end == 'w' ? SS_WANT : polling.recv_end == 'e' ? SS_EOF : SS_ERROR;
}
