/* select: poll(2) over two Lua arrays. */
#include "core/codes.h"
#include "core/inbuf.h"
#include "lua/lua_base.h"
#include "lua/lua_interrupt.h"
#include "run/deadline.h"
#include "run/wait.h"

#include <limits.h> /* INT_MAX */

enum {
    READERS = 1, /* argument indexes */
    WRITERS = 2,
    POP_INTERVAL = 8, /* elements that stay on the stack until one lua_settop removes them */
};

static int check_descriptor(lua_State *L, int list, int i)
{
    lua_Number n = lua_tonumber(L, -1);
    if (!(n >= INT_MIN && n <= INT_MAX) || n != (lua_Number)(int)n)
        luaL_argerror(L, list, lua_pushfstring(L, "element %d: descriptor must be an integer", i));
    return (int)n;
}

/* The descriptor of element `i`, which is on top of the stack; *sock: the socket that owns the descriptor, or NULL. */
static int check_element(lua_State *L, const struct ss_env *env, int list, int i, struct ss_sock **sock)
{
    struct lss_socket *s = lss_test_socket(L, -1, env);
    int fd;
    *sock = NULL;
    if (!s && lss_test_signals(L, -1, &fd))
        return fd;
    if (!s && lua_type(L, -1) != LUA_TNUMBER)
        luaL_argerror(L, list,
                      lua_pushfstring(L, "element %d: socket or descriptor expected, got %s", i, luaL_typename(L, -1)));
    fd = s ? s->sock.io.fd : check_descriptor(L, list, i);
    *sock = s ? &s->sock : ss_env_find(env, fd);
    return fd;
}

static bool has_input(const struct ss_sock *sock)
{
    return sock && ss_sock_has_input(sock);
}

/* An operation, so that a task can wait in it. */
struct select_call {
    struct ss_op op;
    struct pollfd *pollfds;    /* of both lists, readers first */
    struct pollfd *scratch;    /* for ss_wait_any: as many entries, or NULL */
    struct ss_interest *wants; /* as many; NULL without tasks */
    size_t n[3];               /* lengths of the lists, by argument */
    bool buffered;             /* a reader has unread input in memory */
    bool has_closed;
    struct ss_env *env;
    struct ss_io io; /* only for the driver */
};

static void check_list(lua_State *L, int list, struct select_call *sel)
{
    struct pollfd *pollfds = sel->pollfds + (list == WRITERS ? sel->n[READERS] : 0);
    int top = lua_gettop(L);
    for (size_t i = 0; i < sel->n[list]; i++) {
        struct ss_sock *sock;
        if (i % POP_INTERVAL == 0)
            lua_settop(L, top);
        lua_rawgeti(L, list, (int)i + 1);
        int fd = check_element(L, sel->env, list, (int)i + 1, &sock);
        pollfds[i] = os_poll_for(fd, list == READERS, list == WRITERS);
        sel->has_closed = sel->has_closed || fd < 0;
        sel->buffered = sel->buffered || (list == READERS && has_input(sock));
    }
    lua_settop(L, top);
}

static size_t check_list_length(lua_State *L, int list)
{
    if (lua_isnoneornil(L, list))
        return 0;
    return lss_check_length(L, list);
}

/* The events of an entry of `list`, OS_… bits; 0: not ready. */
static int ready_events(const struct select_call *sel, int list, const struct pollfd *p)
{
    int found = os_poll_found(p);
    if (sel->buffered && list == READERS && has_input(ss_env_find(sel->env, p->fd)))
        found |= OS_CAN_READ;
    return found & ((list == READERS ? OS_CAN_READ : OS_CAN_WRITE) | OS_TROUBLE | OS_NOT_OPEN);
}

/* Pushes an array of the ready elements of the list at stack index `at`. False: a descriptor is not open. */
static bool push_ready(lua_State *L, int list, int at, const struct select_call *sel)
{
    const struct pollfd *pollfds = sel->pollfds + (list == WRITERS ? sel->n[READERS] : 0),
                        *end = pollfds + sel->n[list];
    int n = 0;
    lua_newtable(L);
    for (const struct pollfd *p = pollfds; p < end; p++) {
        int found = p->revents || sel->buffered ? ready_events(sel, list, p) : 0;
        if (found & OS_NOT_OPEN)
            return false;
        if (found) {
            lua_rawgeti(L, at, (int)(p - pollfds) + 1);
            lua_rawseti(L, -2, ++n);
        }
    }
    return true;
}

static enum ss_status poll_lists(struct select_call *sel, int64_t timeout_ns)
{
    size_t n = sel->n[READERS] + sel->n[WRITERS];
    return ss_wait_any(sel->pollfds, n, sel->scratch, timeout_ns, &sel->op.error);
}

static enum ss_status select_step(struct ss_op *base)
{
    struct select_call *sel = (struct select_call *)base;
    base->error = ss_not_open;
    if (sel->has_closed)
        return SS_ERROR;
    enum ss_status st = poll_lists(sel, 0);
    if (st != SS_TIMEOUT || sel->buffered)
        return st == SS_ERROR ? st : SS_OK;
    base->wants = sel->wants;
    base->nwants = (unsigned)(sel->n[READERS] + sel->n[WRITERS]);
    for (size_t i = 0; i < base->nwants; i++)
        sel->wants[i] =
            (struct ss_interest){ .fd = sel->pollfds[i].fd, .events = i < sel->n[READERS] ? SS_READABLE : SS_WRITABLE };
    return SS_WANT;
}

/* Both lists are on top of the stack. */
static int finish_select(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct select_call *sel = (struct select_call *)base;
    int writers = lua_gettop(L);
    if (st != SS_OK)
        return lss_push_failure(L, 2, st, &base->error);
    if (!push_ready(L, READERS, writers - 1, sel) || !push_ready(L, WRITERS, writers, sel))
        return lss_push_failure(L, 2, SS_ERROR, &ss_not_open);
    return 2;
}

static struct pollfd *new_pollfds(lua_State *L, const struct select_call *sel)
{
    return lss_newuserdata(L, (sel->n[READERS] + sel->n[WRITERS] + 1) * sizeof *sel->pollfds);
}

/* Polls until a hook is to run after a signal: SS_WANT. */
static enum ss_status poll_lists_until(lua_State *L, struct select_call *sel, int64_t deadline_ns)
{
    enum ss_status st;
    do
        st = poll_lists(sel, sel->buffered ? 0 : deadline_ns > 0 ? ss_deadline_left(deadline_ns) : deadline_ns);
    while (st == SS_WANT && !lua_gethook(L));
    return st;
}

/* Without tasks: one poll(2). With more entries than RLIMIT_NOFILE, which poll(2) refuses, duplicates are merged. */
static int select_without_tasks(lua_State *L, struct select_call *sel, int64_t deadline_ns)
{
    enum ss_status st = poll_lists_until(L, sel, deadline_ns);
    if (st == SS_LIMIT) {
        sel->scratch = new_pollfds(L, sel);
        lua_insert(L, -3); /* both lists stay on top */
        st = poll_lists_until(L, sel, deadline_ns);
    }
    if (st == SS_WANT)
        return LSS_RETRY;
    return finish_select(L, &sel->op, st == SS_TIMEOUT && sel->buffered ? SS_OK : st);
}

/* A hook may have closed sockets of the lists, on top of the stack, or have received into them. */
static enum ss_status check_lists_again(lua_State *L, struct ss_op *base)
{
    struct select_call *sel = (struct select_call *)base;
    int writers = lua_gettop(L);
    for (size_t i = 0; i < sel->n[READERS] + sel->n[WRITERS]; i++) {
        bool reading = i < sel->n[READERS];
        lua_rawgeti(L, reading ? writers - 1 : writers, (int)(reading ? i : i - sel->n[READERS]) + 1);
        const struct lss_socket *s = lss_test_socket(L, -1, sel->env);
        sel->has_closed = sel->has_closed || (s && s->sock.io.fd != sel->pollfds[i].fd);
        sel->buffered = sel->buffered || (reading && s && ss_sock_has_input(&s->sock));
        lua_pop(L, 1);
    }
    return SS_WANT;
}

/* LSS_RETRY: a hook is to run, then the same once more. */
static int select_lists(lua_State *L, const size_t n[3], int64_t timeout_ns, int64_t deadline_ns)
{
    static const struct lss_call call = { .finish = finish_select, .keep = 2, .look_again = check_lists_again };
    struct select_call *sel = lss_newuserdata(L, sizeof *sel);
    *sel = (struct select_call){ .n = { 0, n[READERS], n[WRITERS] }, .env = lss_env(L) };
    sel->op = (struct ss_op){ .step = select_step, .io = &sel->io, .kernel_timeout = SS_BY_NONE };
    sel->pollfds = new_pollfds(L, sel);
    if (sel->env->loop) {
        sel->scratch = new_pollfds(L, sel);
        sel->wants = lss_newuserdata(L, (n[READERS] + n[WRITERS] + 1) * sizeof *sel->wants);
    }
    check_list(L, READERS, sel);
    check_list(L, WRITERS, sel);
    if (sel->has_closed)
        return lss_push_failure(L, 2, SS_ERROR, &ss_not_open);
    lua_pushvalue(L, READERS);
    lua_pushvalue(L, WRITERS);
    if (!sel->env->loop)
        return select_without_tasks(L, sel, deadline_ns);
    return lss_run_for(L, sel->env, NULL, timeout_ns, &sel->op, &call);
}

int lss_select(lua_State *L)
{
    const size_t n[3] = { 0, check_list_length(L, READERS), check_list_length(L, WRITERS) };
    int64_t timeout_ns = lss_check_timeout(L, 3);
    int64_t deadline_ns = timeout_ns > 0 ? ss_deadline_after(timeout_ns) : timeout_ns;
    int results;
    lua_settop(L, 2);
    while ((results = select_lists(L, n, timeout_ns, deadline_ns)) == LSS_RETRY) {
        lua_settop(L, 2);
        lss_run_hook(L);
        timeout_ns = deadline_ns > 0 ? ss_deadline_left(deadline_ns) : deadline_ns;
    }
    return results;
}
