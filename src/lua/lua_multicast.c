/* udpsock:join and udpsock:leave. */
#include "core/codes.h"
#include "core/iface.h"
#include "lua/lua_base.h"
#include "os/os_group.h"

#include <string.h> /* memchr */

/* Arguments of join and leave */

static const char *check_group_text(lua_State *L, int arg, const char *message, size_t *len)
{
    const char *text = luaL_checklstring(L, arg, len);
    luaL_argcheck(L, !memchr(text, '\0', *len), arg, message);
    return text;
}

/* An address in digits, of a group or of a host. */
static enum ss_status parse_host(const char *text, size_t len, bool group, struct ss_addr *addr, struct ss_error *err)
{
    if (ss_addr_parse(addr, text, len, 0) == SS_HOST_NUMERIC && ss_addr_is_multicast(addr) == group)
        return SS_OK;
    *err = ss_not_found;
    return SS_ERROR;
}

static enum ss_status find_interface(lua_State *L, const char *text, size_t len, struct os_iface *iface,
                                     struct ss_error *err)
{
    enum ss_status st = ss_iface_find(text, len, iface, err);
    if (st != SS_OK && lss_collect_descriptors(L, lss_env(L), err))
        st = ss_iface_find(text, len, iface, err);
    return st;
}

static enum ss_status check_interface(lua_State *L, int arg, uint32_t *index, struct ss_error *err)
{
    struct os_iface iface = { .index = 0 };
    enum ss_status st = SS_OK;
    if (lua_type(L, arg) == LUA_TNUMBER) {
        iface.index = (uint32_t)lss_check_int(L, arg, "interface", 1, INT32_MAX);
    } else if (!lua_isnoneornil(L, arg)) {
        size_t len;
        const char *text = luaL_checklstring(L, arg, &len);
        st = find_interface(L, text, len, &iface, err);
    }
    *index = iface.index;
    return st;
}

/* Misuse raises in each argument before the first failure counts. */
static enum ss_status check_membership(lua_State *L, struct os_membership *m, struct ss_error *err)
{
    size_t len, source_len = 0;
    struct ss_error no_iface;
    const char *text = check_group_text(L, 2, "group must not contain a NUL byte", &len);
    bool has_source = !lua_isnoneornil(L, 4);
    const char *source = has_source ? check_group_text(L, 4, "source must not contain a NUL byte", &source_len) : NULL;
    enum ss_status found = check_interface(L, 3, &m->iface, &no_iface);
    enum ss_status st = parse_host(text, len, true, &m->group, err);
    if (st == SS_OK && has_source)
        st = parse_host(source, source_len, false, &m->source, err);
    if (st == SS_OK && found != SS_OK)
        *err = no_iface;
    if (st == SS_OK && m->iface == 0 && m->group.sa.any.sa_family == AF_INET6)
        m->iface = m->group.sa.in6.sin6_scope_id;
    return st == SS_OK ? found : st;
}

/* A finalizer in the collection may have opened the socket. */
static enum ss_status open_for_join(lua_State *L, struct lss_socket *s, int family, bool *opened, struct ss_error *err)
{
    struct ss_env *env = lss_live_env(L);
    enum ss_status st = ss_sock_open(&s->sock, family, err);
    if (st != SS_OK && lss_collect_descriptors(L, env, err)) {
        lss_recheck_self(L, s);
        if (s->sock.io.fd >= 0)
            return SS_OK;
        st = ss_sock_open(&s->sock, family, err);
    }
    *opened = st == SS_OK;
    return st;
}

static int run_membership(lua_State *L, bool join)
{
    struct lss_socket *s = lss_self_socket(L);
    struct os_membership membership = { .source = { .len = 0 } };
    struct ss_error err;
    enum ss_status st = check_membership(L, &membership, &err);
    lss_recheck_self(L, s);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    bool opened = false;
    if (s->sock.io.fd < 0)
        st = join ? open_for_join(L, s, membership.group.sa.any.sa_family, &opened, &err) : SS_CLOSED;
    if (st != SS_OK)
        return lss_push_done(L, st, &err);
    st = os_group(s->sock.io.fd, join, &membership, &err);
    if (st == SS_OK)
        s->sock.bound = true; /* connect must not replace the descriptor of a member */
    else if (opened)
        ss_sock_close(&s->sock, &(struct ss_error){ SS_SYSTEM, 0 });
    return lss_push_done(L, st, &err);
}

int lss_join(lua_State *L)
{
    return run_membership(L, true);
}

int lss_leave(lua_State *L)
{
    return run_membership(L, false);
}
