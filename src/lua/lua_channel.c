/* Channels: values handed from task to task, in order. */
#include "lua/lua_task.h"

#include <limits.h> /* INT_MAX */

#define CHANNEL LSS_PREFIX "channel"

/* Values are in the table that the channel keeps: those that were put in a ring, under 1 to capacity; what is on its way from or
 * to a waiter under the negative of its ticket. */
struct channel {
    struct lss_tasks *tasks;
    int capacity, n;
    int first; /* where the oldest is */
    int tickets;
    bool closed;
    struct ss_line givers, takers;
};

static struct channel *self(lua_State *L)
{
    return lss_self(L);
}

int lss_channel(lua_State *L)
{
    int capacity = lua_isnoneornil(L, 1) ? 0 : lss_check_int(L, 1, "capacity", 0, INT_MAX - 1);
    struct lss_tasks *tasks = lss_tasks(L);
    struct channel *ch = lss_newuserdata_keeping(L, sizeof *ch);
    *ch = (struct channel){ .tasks = tasks, .capacity = capacity };
    ss_line_init(&ch->givers);
    ss_line_init(&ch->takers);
    lua_newtable(L);
    lss_keep(L, lua_gettop(L) - 1);
    luaL_getmetatable(L, CHANNEL);
    lua_setmetatable(L, -2);
    return 1;
}

/* The table of values. `values` is its stack index. */

static int ticket_of(const struct ss_waiter *w)
{
    return ((const struct lss_standing *)w->op)->ticket;
}

static int new_ticket(struct channel *ch)
{
    ch->tickets = ch->tickets % INT_MAX + 1;
    return ch->tickets;
}

/* Pushes what is under a ticket, and takes it out. */
static void take_of(lua_State *L, int values, int ticket)
{
    lua_rawgeti(L, values, -ticket);
    lua_pushnil(L);
    lua_rawseti(L, values, -ticket);
}

static void append(lua_State *L, struct channel *ch, int values)
{
    lua_rawseti(L, values, (ch->first + ch->n) % ch->capacity + 1);
    ch->n++;
}

static void push_oldest(lua_State *L, struct channel *ch, int values)
{
    lua_rawgeti(L, values, ch->first + 1);
    lua_pushnil(L);
    lua_rawseti(L, values, ch->first + 1);
    ch->first = (ch->first + 1) % ch->capacity;
    ch->n--;
}

static void wake(struct channel *ch, struct ss_waiter *w, enum ss_status st)
{
    ss_loop_end(&ch->tasks->loop, w, st);
}

/* Giving */

/* Hands over the value on top of the stack, if there is somebody who takes it or room for it. */
static bool give(lua_State *L, struct channel *ch, int values)
{
    struct ss_waiter *taker = ss_line_first(&ch->takers);
    if (taker) {
        lua_rawseti(L, values, -ticket_of(taker));
        wake(ch, taker, SS_OK);
        return true;
    }
    if (ch->n == ch->capacity)
        return false;
    append(L, ch, values);
    return true;
}

/* The channel is on top of the stack. What was not taken is withdrawn; unless it had no time at all and somebody has come
 * meanwhile. */
static int finish_put(lua_State *L, struct ss_op *base, enum ss_status st)
{
    const struct lss_standing *standing = (const struct lss_standing *)base;
    struct channel *ch = lua_touserdata(L, -1);
    if (st != SS_OK) {
        lss_push_kept(L, lua_gettop(L));
        int values = lua_gettop(L);
        take_of(L, values, standing->ticket);
        if (st == SS_TIMEOUT && !ch->closed && !ss_line_first(&ch->givers) && give(L, ch, values))
            st = SS_OK;
    }
    return lss_push_done(L, st, &base->error);
}

static int channel_put(lua_State *L)
{
    static const struct lss_way way = { finish_put, sizeof(struct lss_standing), NULL, 1, 0 };
    struct channel *ch = self(L);
    struct lss_standing standing = { .line = &ch->givers };
    enum { VALUES = 3 };
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "a value other than nil expected");
    int64_t timeout_ns = lss_check_timeout(L, 3);
    lua_settop(L, 2);
    if (ch->closed)
        return lss_push_failure(L, 1, SS_CLOSED, NULL);
    lss_push_kept(L, 1);
    lua_pushvalue(L, 2);
    if (!give(L, ch, VALUES)) {
        standing.ticket = new_ticket(ch);
        lua_rawseti(L, VALUES, -standing.ticket);
        lua_pushvalue(L, 1);
        return lss_stand(L, ch->tasks, timeout_ns, &standing, &way);
    }
    lua_pushboolean(L, 1);
    return lss_pass(L, ch->tasks);
}

/* Taking */

/* Pushes the next value, if there is one, and lets the first of those who wait with theirs go on. */
static bool push_next(lua_State *L, struct channel *ch, int values)
{
    struct ss_waiter *giver = ss_line_first(&ch->givers);
    if (ch->n > 0)
        push_oldest(L, ch, values);
    else if (giver)
        take_of(L, values, ticket_of(giver));
    else
        return false;
    if (giver && ch->n < ch->capacity) {
        take_of(L, values, ticket_of(giver));
        append(L, ch, values);
    }
    if (giver)
        wake(ch, giver, SS_OK);
    return true;
}

static int finish_get(lua_State *L, struct ss_op *base, enum ss_status st)
{
    const struct lss_standing *standing = (const struct lss_standing *)base;
    struct channel *ch = lua_touserdata(L, -1);
    lss_push_kept(L, lua_gettop(L));
    if (st == SS_OK)
        take_of(L, lua_gettop(L), standing->ticket);
    else if (st != SS_TIMEOUT || !push_next(L, ch, lua_gettop(L)))
        return lss_push_failure(L, 1, st, &base->error);
    return 1;
}

static int channel_get(lua_State *L)
{
    static const struct lss_way way = { finish_get, sizeof(struct lss_standing), NULL, 1, 0 };
    struct channel *ch = self(L);
    struct lss_standing standing = { .line = &ch->takers, .ticket = new_ticket(ch) };
    int64_t timeout_ns = lss_check_timeout(L, 2);
    lua_settop(L, 1);
    lss_push_kept(L, 1);
    if (push_next(L, ch, 2))
        return lss_pass(L, ch->tasks);
    if (ch->closed)
        return lss_push_failure(L, 1, SS_CLOSED, NULL);
    lua_pushvalue(L, 1);
    return lss_stand(L, ch->tasks, timeout_ns, &standing, &way);
}

/* What was put can still be taken; what somebody waits with was not. */
static int channel_close(lua_State *L)
{
    struct channel *ch = self(L);
    struct ss_waiter *w;
    ch->closed = true;
    while ((w = ss_line_first(&ch->takers)) != NULL || (w = ss_line_first(&ch->givers)) != NULL)
        wake(ch, w, SS_CLOSED);
    lua_pushinteger(L, 1);
    return 1;
}

/* Those who wait at a channel that is nobody's any more are not there either. */
static int channel_gc(lua_State *L)
{
    struct channel *ch = self(L);
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
    const struct channel *ch = self(L);
    lua_pushfstring(L, "<channel: %d of %d>", ch->n, ch->capacity);
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
    lss_class(L, CHANNEL, events, methods);
}
