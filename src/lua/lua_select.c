/* select: poll(2) over two Lua arrays. */
#include "core/codes.h"
#include "core/inbuf.h"
#include "lua/lua_base.h"
#include "run/wait.h"

#include <limits.h> /* INT_MAX */

enum {
    READERS = 1, /* argument and, by chance, result positions */
    WRITERS = 2,
    AT_ONCE = 8, /* elements on the stack before they are dropped, as each drop costs */
};

static int check_descriptor(lua_State *L, int list, int i)
{
    lua_Number n = lua_tonumber(L, -1);
    if (!(n >= INT_MIN && n <= INT_MAX) || n != (lua_Number)(int)n)
        luaL_argerror(L, list, lua_pushfstring(L, "element %d: descriptor must be an integer", i));
    return (int)n;
}

/* The socket on top of the stack. What another userdata holds is only compared. */
static struct lss_socket *find_socket(lua_State *L, const struct ss_env *env)
{
    const struct lss_socket_handle *box = lua_touserdata(L, -1);
    return box && lua_rawlen(L, -1) == sizeof *box && box->tag == lss_tag(env) ? box->socket : NULL;
}

/* The descriptor of the element on top of the stack; *sock is the stream or datagram socket that has it, if any. */
static int check_element(lua_State *L, const struct ss_env *env, int list, int i, struct ss_sock **sock)
{
    struct lss_socket *s = find_socket(L, env);
    if (!s && lua_type(L, -1) != LUA_TNUMBER)
        luaL_argerror(L, list,
                      lua_pushfstring(L, "element %d: socket or descriptor expected, got %s", i, luaL_typename(L, -1)));
    int fd = s ? s->sock.io.fd : check_descriptor(L, list, i);
    *sock = s ? &s->sock : ss_env_find(env, fd);
    return fd;
}

static bool has_input(const struct ss_sock *sock)
{
    return sock && ss_sock_has_input(sock);
}

/* An operation of its own, since a task waits in it like in any other. */
struct selecting {
    struct ss_op op;
    struct pollfd *set;        /* of both lists, one after the other */
    struct pollfd *scratch;    /* as much again, or NULL */
    struct ss_interest *wants; /* or NULL, where no task waits */
    size_t n[3];               /* lengths, by argument */
    bool buffered;             /* somebody's input waits already */
    bool not_open;
    struct ss_env *env;
    struct ss_io io; /* stands in for a socket's */
};

static void check_list(lua_State *L, int list, struct selecting *all)
{
    struct pollfd *set = all->set + (list == WRITERS ? all->n[READERS] : 0);
    int top = lua_gettop(L);
    for (size_t i = 0; i < all->n[list]; i++) {
        struct ss_sock *sock;
        if (i % AT_ONCE == 0)
            lua_settop(L, top);
        lua_rawgeti(L, list, (int)i + 1);
        int fd = check_element(L, all->env, list, (int)i + 1, &sock);
        set[i] = os_poll_for(fd, list == READERS, list == WRITERS);
        all->not_open = all->not_open || fd < 0;
        all->buffered = all->buffered || (list == READERS && has_input(sock));
    }
    lua_settop(L, top);
}

static size_t list_length(lua_State *L, int list)
{
    if (lua_isnoneornil(L, list))
        return 0;
    return lss_check_length(L, list);
}

/* What there is of `list` in an entry that belongs to it: 0 is nothing. */
static int found_of(const struct selecting *all, int list, const struct pollfd *p)
{
    int found = os_poll_found(p);
    if (all->buffered && list == READERS && has_input(ss_env_find(all->env, p->fd)))
        found |= OS_CAN_READ;
    return found & ((list == READERS ? OS_CAN_READ : OS_CAN_WRITE) | OS_TROUBLE | OS_NOT_OPEN);
}

/* Those of the list at stack index `at` that are ready; false: one is not open. */
static bool push_ready(lua_State *L, int list, int at, const struct selecting *all)
{
    const struct pollfd *set = all->set + (list == WRITERS ? all->n[READERS] : 0), *end = set + all->n[list];
    int n = 0;
    lua_newtable(L);
    for (const struct pollfd *p = set; p < end; p++) {
        int found = p->revents || all->buffered ? found_of(all, list, p) : 0;
        if (found & OS_NOT_OPEN)
            return false;
        if (found) {
            lua_rawgeti(L, at, (int)(p - set) + 1);
            lua_rawseti(L, -2, ++n);
        }
    }
    return true;
}

static enum ss_status poll_now(struct selecting *all, int64_t timeout_ns)
{
    size_t n = all->n[READERS] + all->n[WRITERS];
    return ss_wait_any(all->set, n, all->scratch, timeout_ns, &all->op.error);
}

static enum ss_status select_step(struct ss_op *base)
{
    struct selecting *all = (struct selecting *)base;
    enum ss_status st = poll_now(all, 0);
    if (st != SS_TIMEOUT || all->buffered)
        return st == SS_ERROR ? st : SS_OK;
    base->wants = all->wants;
    base->nwants = (unsigned)(all->n[READERS] + all->n[WRITERS]);
    for (size_t i = 0; i < base->nwants; i++)
        all->wants[i] =
            (struct ss_interest){ .fd = all->set[i].fd, .events = i < all->n[READERS] ? SS_READABLE : SS_WRITABLE };
    return SS_WANT;
}

/* Both lists are on top of the stack. */
static int finish_select(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct selecting *all = (struct selecting *)base;
    int writers = lua_gettop(L);
    if (st != SS_OK)
        return lss_push_failure(L, 2, st, &base->error);
    if (!push_ready(L, READERS, writers - 1, all) || !push_ready(L, WRITERS, writers, all))
        return lss_push_failure(L, 2, SS_ERROR, &ss_not_open);
    return 2;
}

static struct pollfd *new_set(lua_State *L, const struct selecting *all)
{
    return lss_newuserdata(L, (all->n[READERS] + all->n[WRITERS] + 1) * sizeof *all->set);
}

/* Without tasks one poll(2) does it all. It takes no more entries than a process may have descriptors: then those that are
 * there twice are put together. */
static int select_alone(lua_State *L, struct selecting *all, int64_t timeout_ns)
{
    enum ss_status st = poll_now(all, all->buffered ? 0 : timeout_ns);
    if (st == SS_LIMIT) {
        all->scratch = new_set(L, all);
        lua_insert(L, -3); /* both lists stay on top */
        st = poll_now(all, all->buffered ? 0 : timeout_ns);
    }
    return finish_select(L, &all->op, st == SS_TIMEOUT && all->buffered ? SS_OK : st);
}

int lss_select(lua_State *L)
{
    static const struct lss_call call = { .finish = finish_select, .keep = 2 };
    size_t readers = list_length(L, READERS), writers = list_length(L, WRITERS), n = readers + writers;
    int64_t timeout_ns = lss_check_timeout(L, 3);
    lua_settop(L, 2);
    struct selecting *all = lss_newuserdata(L, sizeof *all);
    *all = (struct selecting){ .n = { 0, readers, writers }, .env = lss_env(L) };
    all->op = (struct ss_op){ .step = select_step, .io = &all->io, .kernel_timeout = SS_BY_NONE };
    all->set = new_set(L, all);
    if (all->env->loop) {
        all->scratch = new_set(L, all);
        all->wants = lss_newuserdata(L, (n + 1) * sizeof *all->wants);
    }
    check_list(L, READERS, all);
    check_list(L, WRITERS, all);
    if (all->not_open)
        return lss_push_failure(L, 2, SS_ERROR, &ss_not_open);
    lua_pushvalue(L, READERS);
    lua_pushvalue(L, WRITERS);
    if (!all->env->loop)
        return select_alone(L, all, timeout_ns);
    return lss_run_for(L, all->env, NULL, timeout_ns, &all->op, &call);
}
