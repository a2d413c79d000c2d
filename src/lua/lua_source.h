/* What socket.select waits for beside descriptors: tasks and channels. A select may wait for many of them and a waiter is in one
 * queue at most, so a stand-in for it is in the queue of each. */
#ifndef LSS_SOURCE_H
#define LSS_SOURCE_H

#include "lua/lua_task.h"

#pragma GCC visibility push(hidden)

/* A task or a channel as an element of socket.select, which keeps it alive. */
struct lss_source {
    const void *object;
    bool (*is_ready)(const void *object);
    bool stays_ready;       /* once it is: nobody wakes its stand-ins any more */
    struct ss_queue *queue; /* its stand-ins */
    size_t index;           /* for the select's own use */
};

/* Whether the element at `index` is such an object, described in *source then. Raises when the Lua state is closing. */
bool lss_is_task_source(lua_State *L, int index, struct lss_source *source);
bool lss_is_channel_source(lua_State *L, int index, bool writes, struct lss_source *source);

/* Stands in for a waiter in a queue of waiters. */
struct lss_stand_in {
    struct ss_waiter waiter; /* first; waits for nothing itself, and has no operation */
    struct ss_waiter *of;
};

/* Queues a stand-in of `w` with each source that may still wake it. NULL: no memory. The sources' objects may be collected before
 * the stand-ins are freed. */
struct lss_stand_in *lss_new_stand_ins(const struct ss_mem *mem, struct ss_waiter *w, const struct lss_source *sources,
                                       size_t n);
void lss_free_stand_ins(const struct ss_mem *mem, struct lss_stand_in *stand_ins, size_t n);

/* Has all waiters with a stand-in in the queue look again at the next turn. lss_release_stand_ins: the last time. */
void lss_wake_stand_ins(struct ss_loop *loop, const struct ss_queue *queue);
void lss_release_stand_ins(struct ss_loop *loop, struct ss_queue *queue);

/* lss_release_stand_ins for one. False: `w` is a waiter itself. */
bool lss_release_stand_in(struct ss_loop *loop, struct ss_waiter *w);

#pragma GCC visibility pop

#endif
