/* All other systems. poll(2) is level-triggered: a report removes the event until the next os_poller_watch. */
#include "os/os_poller.h"

#if SS_POLLER == SS_POLL
#include <errno.h>

const bool os_poller_is_edged = false;

enum { NONE = -1 };

struct os_poller {
    struct ss_mem mem;
    struct pollfd *set;
    size_t n, room;
    size_t last_scanned; /* index where the last scan for ready entries ended, for fairness */
    int *place;          /* by descriptor: index in the set, or NONE */
    size_t nplaces;
};

static enum ss_status fail_poll(struct ss_error *err, int code)
{
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

enum ss_status os_poller_open(struct os_poller **poller, const struct ss_mem *mem, struct ss_error *err)
{
    *poller = ss_mem_resize(mem, NULL, 0, sizeof **poller);
    if (!*poller)
        return fail_poll(err, ENOMEM);
    **poller = (struct os_poller){ .mem = *mem };
    return SS_OK;
}

void os_poller_close(struct os_poller *p)
{
    if (!p)
        return;
    const struct ss_mem mem = p->mem;
    ss_mem_free(&mem, p->set, p->room * sizeof *p->set);
    ss_mem_free(&mem, p->place, p->nplaces * sizeof *p->place);
    ss_mem_free(&mem, p, sizeof *p);
}

void os_poller_abandon(struct os_poller *p)
{
    os_poller_close(p);
}

static bool reserve_places(struct os_poller *p, size_t fd)
{
    size_t before = p->nplaces;
    int *place = ss_mem_reserve_fd(&p->mem, p->place, &p->nplaces, sizeof *place, fd);
    if (!place)
        return false;
    for (size_t i = before; i < p->nplaces; i++)
        place[i] = NONE;
    p->place = place;
    return true;
}

static bool reserve_poll_set(struct os_poller *p)
{
    if (p->n < p->room)
        return true;
    size_t room = p->room == 0 ? 64 : 2 * p->room;
    struct pollfd *grown = ss_mem_resize(&p->mem, p->set, p->room * sizeof *grown, room * sizeof *grown);
    if (!grown)
        return false;
    p->set = grown;
    p->room = room;
    return true;
}

enum ss_status os_poller_watch(struct os_poller *p, int fd, int events, bool foreign, struct ss_error *err)
{
    (void)foreign;
    if (!reserve_places(p, (size_t)fd) || !reserve_poll_set(p))
        return fail_poll(err, ENOMEM);
    const struct pollfd wanted = os_poll_for(fd, events & OS_CAN_READ, events & OS_CAN_WRITE);
    if (p->place[fd] == NONE) {
        p->place[fd] = (int)p->n;
        p->set[p->n++] = wanted;
    } else {
        p->set[p->place[fd]].events |= wanted.events;
    }
    return SS_OK;
}

static void remove_poll_entry(struct os_poller *p, int i)
{
    p->place[p->set[i].fd] = NONE;
    if ((size_t)i != --p->n) {
        p->set[i] = p->set[p->n];
        p->place[p->set[i].fd] = i;
    }
}

void os_poller_forget(struct os_poller *p, int fd, bool closing)
{
    (void)closing;
    if ((size_t)fd < p->nplaces && p->place[fd] != NONE)
        remove_poll_entry(p, p->place[fd]);
}

/* Reports entry `i` and removes the reported events from it. */
static struct os_event report_poll(struct os_poller *p, int i)
{
    struct pollfd *entry = &p->set[i];
    int found = os_poll_found(entry);
    struct os_event event = { .fd = entry->fd, .found = found, .recheck = true };
    entry->events = (short)(entry->events & ~entry->revents);
    if (entry->events == 0 || (found & (OS_TROUBLE | OS_NOT_OPEN)))
        remove_poll_entry(p, i);
    return event;
}

static void collect_ready(struct os_poller *p, struct os_event *events, size_t *n)
{
    for (size_t left = p->n; left > 0 && *n < OS_EVENTS; left--) {
        p->last_scanned = p->last_scanned + 1 < p->n ? p->last_scanned + 1 : 0;
        if (p->set[p->last_scanned].revents != 0)
            events[(*n)++].fd = p->set[p->last_scanned].fd;
    }
}

enum ss_status os_poller_wait(struct os_poller *p, int64_t timeout_ns, struct os_event events[OS_EVENTS], size_t *n,
                              struct ss_error *err)
{
    unsigned ready;
    *n = 0;
    enum ss_status st = os_poll_any(p->set, p->n, timeout_ns, &ready, err);
    if (st != SS_OK)
        return st;
    collect_ready(p, events, n);
    for (size_t i = 0; i < *n; i++) /* in a second pass: removal moves entries */
        events[i] = report_poll(p, p->place[events[i].fd]);
    return *n > 0 ? SS_OK : SS_TIMEOUT;
}

enum ss_status os_poller_fd(struct os_poller *p, int *fd, struct ss_error *err)
{
    (void)p, (void)err;
    *fd = -1;
    return SS_OK;
}

void os_poller_wake(struct os_poller *p)
{
    (void)p; /* os_poller_fd has none */
}
#endif
