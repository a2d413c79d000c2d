#include "lua/lua_source.h"

#include <stddef.h> /* offsetof */

struct lss_stand_in *lss_new_stand_ins(const struct ss_mem *mem, struct ss_waiter *w, const struct lss_source *sources,
                                       size_t n)
{
    struct lss_stand_in *stand_ins = ss_mem_resize(mem, NULL, 0, n * sizeof *stand_ins);
    for (size_t i = 0; stand_ins && i < n; i++) {
        ss_waiter_init(&stand_ins[i].waiter, false);
        stand_ins[i].of = w;
        if (!sources[i].stays_ready || !sources[i].is_ready(sources[i].object))
            ss_queue_add(sources[i].queue, &stand_ins[i].waiter);
    }
    return stand_ins;
}

void lss_free_stand_ins(const struct ss_mem *mem, struct lss_stand_in *stand_ins, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ss_waiter_unqueue(&stand_ins[i].waiter);
    ss_mem_free(mem, stand_ins, n * sizeof *stand_ins);
}

/* A wait that has ended is not begun again, though its call may not have been finished yet. */
static void wake_stand_in(struct ss_loop *loop, const struct ss_waiter *stand_in)
{
    struct ss_waiter *w = ((const struct lss_stand_in *)stand_in)->of;
    if (w->status == SS_WANT)
        ss_watches_make_ready(&loop->watches, w);
}

void lss_wake_stand_ins(struct ss_loop *loop, const struct ss_queue *queue)
{
    for (const struct ss_queue *link = queue->next; link != queue; link = link->next)
        wake_stand_in(loop, (const struct ss_waiter *)((const char *)link - offsetof(struct ss_waiter, link)));
}

bool lss_release_stand_in(struct ss_loop *loop, struct ss_waiter *w)
{
    if (w->op)
        return false;
    ss_waiter_unqueue(w);
    wake_stand_in(loop, w);
    return true;
}

void lss_release_stand_ins(struct ss_loop *loop, struct ss_queue *queue)
{
    struct ss_waiter *stand_in;
    while ((stand_in = ss_queue_first(queue)) != NULL)
        lss_release_stand_in(loop, stand_in);
}
