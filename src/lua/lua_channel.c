/* Channels: values handed from task to task, in order. */
#include "lua/lua_sched.h"
#include "lua/lua_suspend.h"
#include "lua/lua_wait.h"

#include <limits.h> /* INT_MAX */

#define CHANNEL LSS_PREFIX "channel"

/* A call that waits to take a value. */
struct taking {
    struct lss_parked parked;    /* first */
    struct channel *promised_by; /* has a value for it that it has not come to take yet, or NULL */
    struct taking *next;         /* of those */
};

/* The channel keeps a table: under 0 a ring of what was put, itself a table; under its ticket, which is negative, what somebody
 * waits to put. A value for somebody who waits to take is put in the ring and promised: should that one never come, it is there
 * for the next. The ring is made anew to grow, and 0 and tickets are no array indices: without memory Lua 5.1 might not find what
 * is in a table that grows (luaH_resize). */
struct channel {
    struct lss_tasks *tasks;
    size_t capacity;
    size_t n, first, room; /* of the ring */
    size_t npromised;
    struct taking *promised;
    int tickets;
    bool closed;
    struct ss_queue givers, takers;
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
    ss_queue_init(&ch->givers);
    ss_queue_init(&ch->takers);
    lua_newtable(L);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, 0);
    lss_keep(L, lua_gettop(L) - 1);
    luaL_getmetatable(L, CHANNEL);
    lua_setmetatable(L, -2);
    return 1;
}

/* The ring. `values` is the stack index of the channel's table. */

static void grow(lua_State *L, struct channel *ch, int values)
{
    size_t before = ch->room, room = before == 0 ? 4 : 2 * before;
    lua_createtable(L, (int)room, 0);
    if (ch->room != before) { /* a finalizer has put something there */
        lua_pop(L, 1);
        return;
    }
    lua_rawgeti(L, values, 0);
    for (size_t i = 0; i < ch->n; i++) {
        lua_rawgeti(L, -1, (int)((ch->first + i) % ch->room) + 1);
        lua_rawseti(L, -3, (int)i + 1);
    }
    lua_pop(L, 1);
    lua_rawseti(L, values, 0);
    ch->first = 0;
    ch->room = room;
}

/* Makes room in the ring, and runs finalizers perhaps, which may change everything here. False: there was room. */
static bool has_grown(lua_State *L, struct channel *ch, int values)
{
    if (ch->n < ch->room)
        return false;
    grow(L, ch, values);
    return true;
}

/* Puts the value on top of the stack in the ring, where there is room. Runs nothing. */
static void append(lua_State *L, struct channel *ch, int values)
{
    lua_rawgeti(L, values, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (int)((ch->first + ch->n) % ch->room) + 1);
    lua_pop(L, 1);
    ch->n++;
}

static int index_of(const struct channel *ch, size_t i)
{
    return (int)((ch->first + i) % ch->room) + 1;
}

/* Pushes the oldest value behind the first `promised`, and takes it out. */
static void push_oldest(lua_State *L, struct channel *ch, int values, size_t promised)
{
    lua_rawgeti(L, values, 0);
    lua_rawgeti(L, -1, index_of(ch, promised));
    for (size_t i = promised; i > 0; i--) {
        lua_rawgeti(L, -2, index_of(ch, i - 1));
        lua_rawseti(L, -3, index_of(ch, i));
    }
    lua_pushnil(L);
    lua_rawseti(L, -3, index_of(ch, 0));
    lua_remove(L, -2);
    ch->first = (ch->first + 1) % ch->room;
    ch->n--;
}

static size_t available(const struct channel *ch)
{
    return ch->n - ch->npromised;
}

/* Those who wait */

static int ticket_of(const struct ss_waiter *w)
{
    return ((const struct lss_parked *)w->op)->ticket;
}

/* A task's is always the same: where lua_yield raises (Lua 5.1 and 5.2), its value is left, and the next takes the place. */
static int new_ticket(struct channel *ch)
{
    enum { FIRST = 1 << 30 }; /* no task's */
    if (ch->tasks->runs)
        return ch->tasks->runs->anchor;
    ch->tickets = (ch->tickets + 1) % (INT_MAX - FIRST);
    return FIRST + ch->tickets;
}

/* Takes out what is under a ticket. */
static void withdraw(lua_State *L, int values, int ticket)
{
    lua_pushnil(L);
    lua_rawseti(L, values, -ticket);
}

static void wake_waiter(struct channel *ch, struct ss_waiter *w, enum ss_status st)
{
    ss_loop_end(&ch->tasks->loop, w, st);
}

/* The first of them that can still go on: the program may have closed the coroutine of a task. */
static struct ss_waiter *first_of(struct channel *ch, struct ss_queue *queue)
{
    struct ss_waiter *w;
    while ((w = ss_queue_first(queue)) != NULL && w->of_task && !lss_is_suspended(w))
        wake_waiter(ch, w, SS_CANCELLED);
    return w;
}

/* What one of the others waits to put is not put any more. */
static struct ss_waiter *first_giver(lua_State *L, struct channel *ch, int values)
{
    struct ss_waiter *w;
    while ((w = ss_queue_first(&ch->givers)) != NULL && w->of_task && !lss_is_suspended(w)) {
        withdraw(L, values, ticket_of(w));
        wake_waiter(ch, w, SS_CANCELLED);
    }
    return w;
}

/* Promises what is available. */
static void serve_takers(struct channel *ch)
{
    struct ss_waiter *w;
    while (available(ch) > 0 && (w = first_of(ch, &ch->takers)) != NULL) {
        struct taking *taking = (struct taking *)w->op;
        taking->promised_by = ch;
        taking->next = ch->promised;
        ch->promised = taking;
        ch->npromised++;
        wake_waiter(ch, w, SS_OK);
    }
}

static void take_back_promise(struct taking *taking)
{
    struct channel *ch = taking->promised_by;
    struct taking **at = &ch->promised;
    while (*at != taking)
        at = &(*at)->next;
    *at = taking->next;
    taking->promised_by = NULL;
    ch->npromised--;
}

static void drop_get(lua_State *L, int kept, struct ss_op *op)
{
    struct taking *taking = (struct taking *)op;
    struct channel *ch = taking->promised_by;
    (void)L, (void)kept;
    if (!ch)
        return;
    take_back_promise(taking);
    serve_takers(ch);
}

/* Giving */

/* Hands over the value on top of the stack, if there is somebody who takes it or room for it. */
static bool give(lua_State *L, struct channel *ch, int values)
{
    do
        if (ch->closed || (available(ch) >= ch->capacity && !first_of(ch, &ch->takers)))
            return false;
    while (has_grown(L, ch, values));
    append(L, ch, values);
    serve_takers(ch);
    return true;
}

/* The channel is on top of the stack. What was not taken is withdrawn; unless it had no time at all and somebody has come
 * meanwhile. */
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
    int results = lss_push_failure(L, 1, st, &base->error); /* what may raise comes first: it is done once more then */
    lua_rawgeti(L, values, -parked->ticket);
    bool given = st == SS_TIMEOUT && !first_giver(L, ch, values) && give(L, ch, values);
    withdraw(L, values, parked->ticket);
    if (given) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_settop(L, values + results);
    return results;
}

static void drop_put(lua_State *L, int kept, struct ss_op *op)
{
    if (!kept)
        return;
    lss_push_kept(L, kept);
    withdraw(L, lua_gettop(L), ((const struct lss_parked *)op)->ticket);
    lua_pop(L, 1);
}

static int channel_put(lua_State *L)
{
    static const struct lss_call call = {
        .finish = finish_put, .drop = drop_put, .size = sizeof(struct lss_parked), .keep = 1
    };
    struct channel *ch = self_channel(L);
    struct lss_parked parked = { .queue = &ch->givers };
    enum { VALUES = 3 };
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "a value other than nil expected");
    int64_t timeout_ns = lss_check_timeout(L, 3);
    lua_settop(L, 2);
    lss_run_due_turn(L, ch->tasks);
    lss_push_kept(L, 1);
    lua_pushvalue(L, 2);
    if (!give(L, ch, VALUES)) {
        if (ch->closed)
            return lss_push_failure(L, 1, SS_CLOSED, NULL);
        if (timeout_ns != 0)
            lss_check_can_wait(L, ch->tasks);
        parked.ticket = new_ticket(ch);
        lua_rawseti(L, VALUES, -parked.ticket);
        lua_pushvalue(L, 1);
        return lss_park(L, ch->tasks, timeout_ns, &parked, &call);
    }
    lua_pushboolean(L, 1);
    return lss_return_after_turn(L, ch->tasks);
}

/* Taking */

/* Puts the value of one who waits to put it in the ring. */
static void take_from_giver(lua_State *L, struct channel *ch, int values, struct ss_waiter *giver)
{
    int ticket = ticket_of(giver);
    lua_rawgeti(L, values, -ticket);
    append(L, ch, values);
    withdraw(L, values, ticket);
    wake_waiter(ch, giver, SS_OK);
}

/* Pushes the next value, if there is one, and lets the first of those who wait with theirs go on. */
static bool push_next(lua_State *L, struct channel *ch, int values)
{
    struct ss_waiter *giver;
    do
        giver = first_giver(L, ch, values);
    while (giver && has_grown(L, ch, values));
    if (giver)
        take_from_giver(L, ch, values, giver);
    else if (available(ch) == 0)
        return false;
    push_oldest(L, ch, values, ch->npromised);
    return true;
}

static int finish_get(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct taking *taking = (struct taking *)base;
    struct channel *ch = lua_touserdata(L, -1);
    lss_push_kept(L, lua_gettop(L));
    if (taking->promised_by) {
        take_back_promise(taking);
        push_oldest(L, ch, lua_gettop(L), 0);
        return 1;
    }
    if (st == SS_TIMEOUT && push_next(L, ch, lua_gettop(L)))
        return 1;
    return lss_push_failure(L, 1, st, &base->error);
}

static int channel_get(lua_State *L)
{
    static const struct lss_call call = {
        .finish = finish_get, .drop = drop_get, .size = sizeof(struct taking), .keep = 1
    };
    struct channel *ch = self_channel(L);
    struct taking taking = { .parked.queue = &ch->takers };
    int64_t timeout_ns = lss_check_timeout(L, 2);
    lua_settop(L, 1);
    lss_run_due_turn(L, ch->tasks);
    lss_push_kept(L, 1);
    if (push_next(L, ch, 2))
        return lss_return_after_turn(L, ch->tasks);
    if (ch->closed)
        return lss_push_failure(L, 1, SS_CLOSED, NULL);
    lua_pushvalue(L, 1);
    return lss_park(L, ch->tasks, timeout_ns, &taking.parked, &call);
}

/* What was put can still be taken; what somebody waits with was not. */
static int channel_close(lua_State *L)
{
    struct channel *ch = lss_self(L);
    struct ss_waiter *w;
    ch->closed = true;
    while ((w = ss_queue_first(&ch->takers)) != NULL || (w = ss_queue_first(&ch->givers)) != NULL)
        wake_waiter(ch, w, SS_CLOSED);
    lua_pushinteger(L, 1);
    return 1;
}

/* Those who wait at a channel that is nobody's any more are not there either. */
static int channel_gc(lua_State *L)
{
    struct channel *ch = lss_self(L);
    while (ch->promised)
        take_back_promise(ch->promised);
    if (!ch->tasks->closed) {
        channel_close(L);
        return 0;
    }
    lua_pushnil(L); /* finalizers that run later find no channel */
    lua_setmetatable(L, 1);
    return 0;
}

static int channel_tostring(lua_State *L)
{
    const struct channel *ch = lss_self(L);
    lua_pushfstring(L, "<channel: %d of %d>", (int)available(ch), (int)ch->capacity);
    return 1;
}

static const luaL_Reg events[] = {
    { "__close", channel_close },
    { "__gc", channel_gc },
    { "__tostring", channel_tostring },
    { NULL, NULL },
};
static const luaL_Reg methods[] = {
    { "close", channel_close },
    { "get", channel_get },
    { "put", channel_put },
    { NULL, NULL },
};

void lss_open_channel(lua_State *L)
{
    lss_register_class(L, CHANNEL, events, methods);
}
