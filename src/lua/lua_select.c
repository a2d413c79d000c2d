/* select: poll(2) over two Lua arrays. */
#include "core/codes.h"
#include "core/inbuf.h"
#include "lua/lua_base.h"
#include "run/wait.h"

#include <limits.h> /* INT_MAX */

enum { READERS = 1, WRITERS = 2 }; /* argument and, by chance, result positions */

static int check_descriptor(lua_State *L, int list, int i)
{
    lua_Number n = lua_tonumber(L, -1);
    if (!(n >= INT_MIN && n <= INT_MAX) || n != (lua_Number)(int)n)
        luaL_argerror(L, list, lua_pushfstring(L, "element %d: descriptor must be an integer", i));
    return (int)n;
}

/* The descriptor of the element on top of the stack; *sock is the stream or datagram socket that has it, if any. */
static int check_element(lua_State *L, const struct ss_env *env, int list, int i, struct ss_sock **sock)
{
    struct lss_socket *s = lss_test(L, -1);
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

struct lists {
    struct pollfd *set; /* of both lists, one after the other */
    size_t n[3];        /* lengths, by argument */
    bool buffered;      /* somebody's input waits already */
    bool not_open;
};

static void check_list(lua_State *L, const struct ss_env *env, int list, struct lists *all)
{
    struct pollfd *set = all->set + (list == WRITERS ? all->n[READERS] : 0);
    for (size_t i = 0; i < all->n[list]; i++) {
        struct ss_sock *sock;
        lua_rawgeti(L, list, (int)i + 1);
        int fd = check_element(L, env, list, (int)i + 1, &sock);
        lua_pop(L, 1);
        set[i] = os_poll_for(fd, list == READERS, list == WRITERS);
        all->not_open = all->not_open || fd < 0;
        all->buffered = all->buffered || (list == READERS && has_input(sock));
    }
}

static size_t list_length(lua_State *L, int list)
{
    if (lua_isnoneornil(L, list))
        return 0;
    luaL_checktype(L, list, LUA_TTABLE);
    return lua_rawlen(L, list);
}

static bool is_ready(lua_State *L, const struct ss_env *env, int list, const struct pollfd *p)
{
    int wanted = list == READERS ? OS_CAN_READ : OS_CAN_WRITE;
    (void)L;
    return (os_poll_found(p) & (wanted | OS_TROUBLE)) || (list == READERS && has_input(ss_env_find(env, p->fd)));
}

static void push_ready(lua_State *L, const struct ss_env *env, int list, const struct lists *all)
{
    const struct pollfd *set = all->set + (list == WRITERS ? all->n[READERS] : 0);
    int found = 0;
    lua_newtable(L);
    for (size_t i = 0; i < all->n[list]; i++)
        if (is_ready(L, env, list, &set[i])) {
            lua_rawgeti(L, list, (int)i + 1);
            lua_rawseti(L, -2, ++found);
        }
}

static bool any_not_open(const struct lists *all)
{
    for (size_t i = 0; i < all->n[READERS] + all->n[WRITERS]; i++)
        if (os_poll_found(&all->set[i]) & OS_NOT_OPEN)
            return true;
    return false;
}

static int fail_not_open(lua_State *L)
{
    return lss_push_failure(L, 2, SS_ERROR, &ss_not_open);
}

int lss_select(lua_State *L)
{
    const struct ss_env *env = lss_env(L);
    struct lists all = { .n = { 0, list_length(L, READERS), list_length(L, WRITERS) } };
    lua_Number timeout = lua_isnoneornil(L, 3) ? -1 : lss_check_seconds(L, 3);
    struct ss_error err;
    lua_settop(L, 3);
    size_t n = all.n[READERS] + all.n[WRITERS];
    all.set = lss_newuserdata(L, (2 * n + 1) * sizeof *all.set);
    check_list(L, env, READERS, &all);
    check_list(L, env, WRITERS, &all);
    if (all.not_open)
        return fail_not_open(L);
    int64_t timeout_ns = all.buffered ? 0 : lss_nanoseconds(timeout);
    enum ss_status st = ss_wait_any(all.set, n, all.set + n, timeout_ns, &err);
    if (st == SS_ERROR || (st == SS_TIMEOUT && !all.buffered))
        return lss_push_failure(L, 2, st, &err);
    if (any_not_open(&all))
        return fail_not_open(L);
    push_ready(L, env, READERS, &all);
    push_ready(L, env, WRITERS, &all);
    return 2;
}
