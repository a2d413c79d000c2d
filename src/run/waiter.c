#include "run/waiter.h"

void ss_waiter_init(struct ss_waiter *w, bool of_task)
{
    *w = (struct ss_waiter){ .status = SS_OK, .of_task = of_task };
    ss_timer_init(&w->timer);
    w->watches = &w->one;
    w->room = 1;
}

static void insert_after(struct ss_queue *before, struct ss_waiter *w)
{
    w->link = (struct ss_queue){ .next = before->next, .prev = before };
    before->next = before->next->prev = &w->link;
}

void ss_queue_add(struct ss_queue *queue, struct ss_waiter *w)
{
    insert_after(queue->prev, w);
}

void ss_queue_add_first(struct ss_queue *queue, struct ss_waiter *w)
{
    insert_after(queue, w);
}

void ss_waiter_unqueue(struct ss_waiter *w)
{
    if (!ss_waiter_is_queued(w))
        return;
    w->link.prev->next = w->link.next;
    w->link.next->prev = w->link.prev;
    w->link.next = NULL;
}

void ss_queue_append(struct ss_queue *queue, struct ss_queue *from)
{
    if (ss_queue_is_empty(from))
        return;
    from->next->prev = queue->prev;
    from->prev->next = queue;
    queue->prev->next = from->next;
    queue->prev = from->prev;
    ss_queue_init(from);
}

struct ss_waiter *ss_queue_take(struct ss_queue *queue)
{
    struct ss_waiter *w = ss_queue_first(queue);
    if (w)
        ss_waiter_unqueue(w);
    return w;
}
