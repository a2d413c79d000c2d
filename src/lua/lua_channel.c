/* Channels: FIFO queues of values between tasks. */
#include "lua/lua_sched.h"
#include "lua/lua_source.h"
#include "lua/lua_suspend.h"
#include "lua/lua_wait.h"

#include <limits.h> /* INT_MAX */
#include <stddef.h> /* offsetof */

#define CHANNEL LSS_PREFIX "channel"

/* A call of channel:get that waits for a value. */
struct getter {
    struct lss_parked parked;    /* first */
    struct channel *reserved_in; /* the channel that reserves a value for this call, or NULL */
    struct getter *next;         /* next call with a reservation in that channel */
};

/* A channel keeps a table. Key 0: the ring buffer, a table of the values that were put. Key -ticket: the value of a
 * waiting channel:put. A value for a waiting channel:get is put in the ring and reserved; if that call never resumes,
 * the next call gets the value. A larger ring is a new table, and no key is an array index: Lua 5.1 may not find the
 * entries of a table whose growing has failed for want of memory (luaH_resize). */
struct channel {
    struct lss_tasks *tasks;
    size_t capacity;
    size_t n, first, ring_size; /* of the ring: number of values, index of the oldest, number of slots */
    size_t nreserved;
    struct getter *reservations;
    int last_ticket;
    bool closed;
    struct ss_queue putters, getters;
    struct ss_queue readers, writers; /* stand-ins of selects that wait until get, or put, would not wait */
};

static struct channel *self_channel(lua_State *L)
{
    struct channel *ch = lss_self(L);
    lss_check_open(L, ch->tasks);
    return ch;
}

int lss_channel(lua_State *L)
{
    int capacity = lua_isnoneornil(L, 1) ? 0 : lss_check_int(L, 1, "capacity", 0, INT_MAX - 1);
    struct lss_tasks *tasks = lss_tasks(L);
    struct channel *ch = lss_newuserdata_keeping(L, sizeof *ch);
    *ch = (struct channel){ .tasks = tasks, .capacity = (size_t)capacity };
    ss_queue_init(&ch->putters);
    ss_queue_init(&ch->getters);
    ss_queue_init(&ch->readers);
    ss_queue_init(&ch->writers);
    lua_newtable(L);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, 0);
    lss_keep(L, lua_gettop(L) - 1);
    luaL_getmetatable(L, CHANNEL);
    lua_setmetatable(L, -2);
    return 1;
}

/* The ring buffer. `values`: stack index of the channel's table. */

static void grow_ring(lua_State *L, struct channel *ch, int values)
{
    size_t before = ch->ring_size, ring_size = before == 0 ? 4 : 2 * before;
    lua_createtable(L, (int)ring_size, 0);
    if (ch->ring_size != before) { /* a finalizer has grown the ring */
        lua_pop(L, 1);
        return;
    }
    lua_rawgeti(L, values, 0);
    for (size_t i = 0; i < ch->n; i++) {
        lua_rawgeti(L, -1, (int)((ch->first + i) % ch->ring_size) + 1);
        lua_rawseti(L, -3, (int)i + 1);
    }
    lua_pop(L, 1);
    lua_rawseti(L, values, 0);
    ch->first = 0;
    ch->ring_size = ring_size;
}

/* Grows a full ring. True: finalizers may have changed the channel. False: the ring had a free slot. */
static bool grow_full_ring(lua_State *L, struct channel *ch, int values)
{
    if (ch->n < ch->ring_size)
        return false;
    grow_ring(L, ch, values);
    return true;
}

/* Moves the value on top of the stack to a free slot of the ring. Runs no finalizers. */
static void append_to_ring(lua_State *L, struct channel *ch, int values)
{
    lua_rawgeti(L, values, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (int)((ch->first + ch->n) % ch->ring_size) + 1);
    lua_pop(L, 1);
    ch->n++;
}

static int ring_index(const struct channel *ch, size_t i)
{
    return (int)((ch->first + i) % ch->ring_size) + 1;
}

/* Pushes value `i`, counted from the oldest (0), and removes the value from the ring. */
static void push_from_ring(lua_State *L, struct channel *ch, int values, size_t i)
{
    lua_rawgeti(L, values, 0);
    lua_rawgeti(L, -1, ring_index(ch, i));
    for (; i > 0; i--) {
        lua_rawgeti(L, -2, ring_index(ch, i - 1));
        lua_rawseti(L, -3, ring_index(ch, i));
    }
    lua_pushnil(L);
    lua_rawseti(L, -3, ring_index(ch, 0));
    lua_remove(L, -2);
    ch->first = (ch->first + 1) % ch->ring_size;
    ch->n--;
}

static size_t count_available(const struct channel *ch)
{
    return ch->n - ch->nreserved;
}

/* Waiters */

static int ticket_of(const struct ss_waiter *w)
{
    return ((const struct lss_parked *)w->op)->ticket;
}

/* A task's ticket is fixed: a value that stays after an error in lua_yield (Lua 5.1, 5.2) is replaced by the next. */
static int new_ticket(struct channel *ch)
{
    enum { FIRST = 1 << 30 }; /* above every task's anchor */
    if (ch->tasks->runs)
        return ch->tasks->runs->anchor;
    ch->last_ticket = (ch->last_ticket + 1) % (INT_MAX - FIRST);
    return FIRST + ch->last_ticket;
}

/* Removes the value of a waiting channel:put from the channel's table. */
static void remove_waiting_value(lua_State *L, int values, int ticket)
{
    lua_pushnil(L);
    lua_rawseti(L, values, -ticket);
}

static void wake_waiter(struct channel *ch, struct ss_waiter *w, enum ss_status st)
{
    ss_loop_end(&ch->tasks->loop, w, st);
}

/* The first waiter whose task can be resumed; cancels waiters whose coroutine the program has resumed or closed. */
static struct ss_waiter *first_live_waiter(struct channel *ch, struct ss_queue *queue)
{
    struct ss_waiter *w;
    while ((w = ss_queue_first(queue)) != NULL && w->of_task && !lss_is_suspended(w))
        wake_waiter(ch, w, SS_CANCELLED);
    return w;
}

/* first_live_waiter of the putters; the values of cancelled waiters are removed. */
static struct ss_waiter *first_live_putter(lua_State *L, struct channel *ch, int values)
{
    struct ss_waiter *w;
    while ((w = ss_queue_first(&ch->putters)) != NULL && w->of_task && !lss_is_suspended(w)) {
        remove_waiting_value(L, values, ticket_of(w));
        wake_waiter(ch, w, SS_CANCELLED);
    }
    return w;
}

static void wake_readers(struct channel *ch)
{
    lss_wake_stand_ins(&ch->tasks->loop, &ch->readers);
}

static void wake_writers(struct channel *ch)
{
    lss_wake_stand_ins(&ch->tasks->loop, &ch->writers);
}

/* Reserves available values for the waiting getters, and resumes the getters. Selects are told of what is left. */
static void reserve_for_getters(struct channel *ch)
{
    struct ss_waiter *w;
    while (count_available(ch) > 0 && (w = first_live_waiter(ch, &ch->getters)) != NULL) {
        struct getter *getter = (struct getter *)w->op;
        getter->reserved_in = ch;
        getter->next = ch->reservations;
        ch->reservations = getter;
        ch->nreserved++;
        wake_waiter(ch, w, SS_OK);
    }
    if (count_available(ch) > 0)
        wake_readers(ch);
}

static void cancel_reservation(struct getter *getter)
{
    struct channel *ch = getter->reserved_in;
    struct getter **at = &ch->reservations;
    while (*at != getter)
        at = &(*at)->next;
    *at = getter->next;
    getter->reserved_in = NULL;
    ch->nreserved--;
}

static void drop_get(lua_State *L, int kept, struct ss_op *op)
{
    struct getter *getter = (struct getter *)op;
    struct channel *ch = getter->reserved_in;
    (void)L, (void)kept;
    if (!ch)
        return;
    cancel_reservation(getter);
    reserve_for_getters(ch);
}

/* channel:put */

/* Puts the value on top of the stack in the ring if the capacity permits or a getter waits. */
static bool put_value(lua_State *L, struct channel *ch, int values)
{
    do
        if (ch->closed || (count_available(ch) >= ch->capacity && !first_live_waiter(ch, &ch->getters)))
            return false;
    while (grow_full_ring(L, ch, values));
    append_to_ring(L, ch, values);
    reserve_for_getters(ch);
    return true;
}

/* The channel is on top of the stack. After a timeout, perhaps of 0, the value is put after all if no other putter
 * waits and the ring or a getter can take the value. Otherwise the value is dropped. */
static int finish_put(lua_State *L, struct ss_op *base, enum ss_status st)
{
    const struct lss_parked *parked = (const struct lss_parked *)base;
    struct channel *ch = lua_touserdata(L, -1);
    if (st == SS_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lss_push_kept(L, lua_gettop(L));
    int values = lua_gettop(L);
    int results =
        lss_push_failure(L, 1, st, &base->error); /* may raise, so first: the caller then repeats this function */
    lua_rawgeti(L, values, -parked->ticket);
    bool was_put = st == SS_TIMEOUT && !first_live_putter(L, ch, values) && put_value(L, ch, values);
    remove_waiting_value(L, values, parked->ticket);
    if (was_put) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_settop(L, values + results);
    return results;
}

/* finish_put puts the value at a timeout, if it can. */
static enum ss_status may_put_now(lua_State *L, struct ss_op *op)
{
    struct channel *ch = lua_touserdata(L, -1);
    (void)op;
    if (ch->closed)
        return SS_CLOSED;
    bool has_room = count_available(ch) < ch->capacity || first_live_waiter(ch, &ch->getters);
    return has_room && ss_queue_is_empty(&ch->putters) ? SS_TIMEOUT : SS_WANT;
}

static void drop_put(lua_State *L, int kept, struct ss_op *op)
{
    if (!kept)
        return;
    lss_push_kept(L, kept);
    remove_waiting_value(L, lua_gettop(L), ((const struct lss_parked *)op)->ticket);
    lua_pop(L, 1);
}

static int channel_put(lua_State *L)
{
    static const struct lss_call call = {
        .finish = finish_put, .drop = drop_put, .look_again = may_put_now, .size = sizeof(struct lss_parked), .keep = 1
    };
    struct channel *ch = self_channel(L);
    struct lss_parked parked = { .queue = &ch->putters };
    enum { VALUES = 3 };
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "a value other than nil expected");
    int64_t timeout_ns = lss_check_timeout(L, 3);
    lua_settop(L, 2);
    lss_run_due_turn(L, ch->tasks);
    lss_push_kept(L, 1);
    lua_pushvalue(L, 2);
    if (!put_value(L, ch, VALUES)) {
        if (ch->closed)
            return lss_push_failure(L, 1, SS_CLOSED, NULL);
        if (lss_limit_timeout(L, ch->tasks->loop.env, timeout_ns, &parked.op.deadline_ns) != 0)
            lss_check_can_wait(L, ch->tasks);
        parked.ticket = new_ticket(ch);
        lua_rawseti(L, VALUES, -parked.ticket);
        lua_pushvalue(L, 1);
        if (timeout_ns != 0)
            wake_readers(ch);
        return lss_park(L, ch->tasks, timeout_ns, &parked, &call);
    }
    lua_pushboolean(L, 1);
    return lss_return_after_turn(L, ch->tasks);
}

/* channel:get */

/* Moves the value of a waiting putter to the ring, and resumes the putter. */
static void take_from_putter(lua_State *L, struct channel *ch, int values, struct ss_waiter *putter)
{
    int ticket = ticket_of(putter);
    lua_rawgeti(L, values, -ticket);
    append_to_ring(L, ch, values);
    remove_waiting_value(L, values, ticket);
    wake_waiter(ch, putter, SS_OK);
}

/* Pushes the next value, if any. The first waiting putter's value takes the free slot. */
static bool push_next_value(lua_State *L, struct channel *ch, int values)
{
    struct ss_waiter *putter;
    do
        putter = first_live_putter(L, ch, values);
    while (putter && grow_full_ring(L, ch, values));
    if (putter)
        take_from_putter(L, ch, values, putter);
    else if (count_available(ch) == 0)
        return false;
    push_from_ring(L, ch, values, ch->nreserved);
    if (count_available(ch) < ch->capacity)
        wake_writers(ch);
    return true;
}

static int finish_get(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct getter *getter = (struct getter *)base;
    struct channel *ch = lua_touserdata(L, -1);
    lss_push_kept(L, lua_gettop(L));
    if (getter->reserved_in) {
        cancel_reservation(getter);
        push_from_ring(L, ch, lua_gettop(L), 0);
        return 1;
    }
    if (st == SS_TIMEOUT && push_next_value(L, ch, lua_gettop(L)))
        return 1;
    return lss_push_failure(L, 1, st, &base->error);
}

/* finish_get takes a value at a timeout, if there is one. */
static enum ss_status may_get_now(lua_State *L, struct ss_op *op)
{
    struct channel *ch = lua_touserdata(L, -1);
    (void)op;
    lss_push_kept(L, lua_gettop(L));
    bool has_value = count_available(ch) > 0 || first_live_putter(L, ch, lua_gettop(L));
    lua_pop(L, 1);
    return has_value ? SS_TIMEOUT : ch->closed ? SS_CLOSED : SS_WANT;
}

/* Takes the oldest value of the channel, which is alone on the stack. */
static int get_value(lua_State *L, struct channel *ch, int64_t timeout_ns)
{
    static const struct lss_call call = {
        .finish = finish_get, .drop = drop_get, .look_again = may_get_now, .size = sizeof(struct getter), .keep = 1
    };
    struct getter getter = { .parked.queue = &ch->getters };
    lss_run_due_turn(L, ch->tasks);
    lss_push_kept(L, 1);
    if (push_next_value(L, ch, 2))
        return lss_return_after_turn(L, ch->tasks);
    if (ch->closed)
        return lss_push_failure(L, 1, SS_CLOSED, NULL);
    lua_pushvalue(L, 1);
    if (timeout_ns != 0)
        wake_writers(ch);
    return lss_park(L, ch->tasks, timeout_ns, &getter.parked, &call);
}

static int channel_get(lua_State *L)
{
    struct channel *ch = self_channel(L);
    int64_t timeout_ns = lss_check_timeout(L, 2);
    lua_settop(L, 1);
    return get_value(L, ch, timeout_ns);
}

/* channel:values */

/* Upvalue 1: the channel. A for loop passes two arguments, which are not ours. */
static int next_value(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    struct channel *ch = lss_test_class(L, 1, CHANNEL); /* the debug library may put anything there */
    if (!ch)
        return luaL_error(L, "the iterator of channel:values has lost its channel");
    lss_check_open(L, ch->tasks);
    return get_value(L, ch, -1);
}

static int channel_values(lua_State *L)
{
    self_channel(L);
    lua_settop(L, 1);
    lua_pushcclosure(L, next_value, 1);
    return 1;
}

/* Values in the ring stay available; values of waiting putters were not put. */
static int channel_close(lua_State *L)
{
    struct channel *ch = lss_self(L);
    struct ss_waiter *w;
    ch->closed = true;
    while ((w = ss_queue_first(&ch->getters)) != NULL || (w = ss_queue_first(&ch->putters)) != NULL)
        wake_waiter(ch, w, SS_CLOSED);
    lss_release_stand_ins(&ch->tasks->loop, &ch->readers);
    lss_release_stand_ins(&ch->tasks->loop, &ch->writers);
    lua_pushinteger(L, 1);
    return 1;
}

/* select */

static bool has_live_waiter(const struct ss_queue *queue)
{
    for (const struct ss_queue *link = queue->next; link != queue; link = link->next) {
        const struct ss_waiter *w = (const struct ss_waiter *)((const char *)link - offsetof(struct ss_waiter, link));
        if (!w->of_task || lss_is_suspended(w))
            return true;
    }
    return false;
}

static bool can_get(const void *object)
{
    const struct channel *ch = object;
    return ch->closed || count_available(ch) > 0 || has_live_waiter(&ch->putters);
}

static bool can_put(const void *object)
{
    const struct channel *ch = object;
    return ch->closed || count_available(ch) < ch->capacity || has_live_waiter(&ch->getters);
}

bool lss_is_channel_source(lua_State *L, int index, bool writes, struct lss_source *source)
{
    struct channel *ch = lss_test_class(L, index, CHANNEL);
    if (!ch)
        return false;
    lss_check_open(L, ch->tasks);
    *source = (struct lss_source){ .object = ch,
                                   .is_ready = writes ? can_put : can_get,
                                   .queue = writes ? &ch->writers : &ch->readers };
    return true;
}

/* A waiting call keeps its channel alive, so the tasks of these waiters are garbage too. */
static int channel_gc(lua_State *L)
{
    struct channel *ch = lss_self(L);
    while (ch->reservations)
        cancel_reservation(ch->reservations);
    if (!ch->tasks->closed) {
        channel_close(L);
        return 0;
    }
    lua_pushnil(L); /* methods in later finalizers raise an error */
    lua_setmetatable(L, 1);
    return 0;
}

static int channel_tostring(lua_State *L)
{
    const struct channel *ch = lss_self(L);
    lua_pushfstring(L, "<channel: %d of %d>", (int)count_available(ch), (int)ch->capacity);
    return 1;
}

static const luaL_Reg events[] = {
    { "__close", channel_close },
    { "__gc", channel_gc },
    { "__tostring", channel_tostring },
    { NULL, NULL },
};
static const luaL_Reg methods[] = {
    { "close", channel_close },   { "get", channel_get }, { "put", channel_put },
    { "values", channel_values }, { NULL, NULL },
};

void lss_open_channel(lua_State *L)
{
    lss_register_class(L, CHANNEL, events, methods);
}
