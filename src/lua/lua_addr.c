/* Addresses as Lua values. */
#include "core/codes.h"
#include "lua/lua_base.h"
#include "run/loop.h"

#include <string.h> /* memchr, strncmp */

#define ADDR LSS_PREFIX "addr"
#define UNIX_PREFIX "unix:"
enum { UNIX_PREFIX_LEN = sizeof UNIX_PREFIX - 1 };

static int addr_tostring(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_rawgeti(L, 1, 1);
    lua_rawgeti(L, 1, 2);
    const char *host = lua_tostring(L, -2), *port = lua_tostring(L, -1);
    if (!host || !port)
        return luaL_argerror(L, 1, "address expected");
    lua_pushfstring(L, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    return 1;
}

#define LOOKUP LSS_PREFIX "lookup"

static int lookup_gc(lua_State *L)
{
    struct ss_lookup *lookup = lua_touserdata(L, 1);
    if (!lookup->env) /* the call has raised before it initialized this */
        return 0;
    if (lookup->env->loop)
        ss_loop_end_op(lookup->env->loop, &lookup->op);
    ss_lookup_fini(lookup);
    return 0;
}

void lss_open_addr(lua_State *L)
{
    luaL_newmetatable(L, LOOKUP);
    lua_pushcfunction(L, lookup_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newmetatable(L, ADDR);
    lua_pushcfunction(L, addr_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "address");
    lua_setfield(L, -2, "__name");
    lua_pop(L, 2);
}

static void push_unix(lua_State *L, const struct ss_addr *addr)
{
    char text[sizeof(struct sockaddr_un)];
    size_t len;
    const char *path = ss_addr_path(addr, text, &len);
    lua_pushliteral(L, UNIX_PREFIX);
    lua_pushlstring(L, path, len);
    lua_concat(L, 2);
}

static void push_inet(lua_State *L, const struct ss_addr *original)
{
    char host[SS_HOST_TEXT];
    struct ss_addr addr = *original;
    ss_addr_unmap(&addr);
    uint16_t port = ss_addr_host(&addr, host);
    lua_createtable(L, 2, 1);
    lua_pushstring(L, host);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, port);
    lua_rawseti(L, -2, 2);
    lua_pushstring(L, addr.sa.any.sa_family == AF_INET ? "inet" : "inet6");
    lua_setfield(L, -2, "family");
    luaL_getmetatable(L, ADDR);
    lua_setmetatable(L, -2);
}

void lss_push_addr(lua_State *L, const struct ss_addr *addr, int family)
{
    if (addr->len >= sizeof(sa_family_t)) /* otherwise left empty by the system: an unnamed peer (unix(7)) */
        family = addr->sa.any.sa_family;
    if (family == AF_UNIX)
        push_unix(L, addr);
    else if (addr->len >= sizeof(struct sockaddr_in))
        push_inet(L, addr);
    else
        lua_pushnil(L);
}

static enum ss_status check_host(lua_State *L, int arg, int flags, uint16_t port, struct ss_target *target,
                                 struct ss_error *err)
{
    size_t len;
    const char *host = lua_tolstring(L, arg, &len);
    luaL_argcheck(L, !memchr(host, '\0', len), arg, "host must not contain a NUL byte");
    target->host = host;
    target->port = port;
    target->any = (flags & LSS_BIND) && strcmp(host, "*") == 0;
    if (target->any)
        return SS_OK;
    enum ss_host kind = strcmp(host, "*") == 0 ? SS_HOST_BAD : ss_addr_parse(&target->addr, host, len, port);
    if (kind != SS_HOST_BAD)
        return SS_OK;
    *err = ss_not_found;
    return SS_ERROR;
}

static enum ss_status check_unix(lua_State *L, int arg, const char *path, size_t len, struct ss_target *target,
                                 struct ss_error *err)
{
    bool abstract = len > 0 && path[0] == '@';
    luaL_argcheck(L, abstract || !memchr(path, '\0', len), arg, "path must not contain a NUL byte");
    return ss_addr_unix(&target->addr, path, len, err);
}

/* The length of the host in "host:port", where an IPv6 host is in brackets; 0: the text has another form. */
static size_t host_before_port(const char *text, size_t len)
{
    size_t end = len;
    while (end > 0 && text[end - 1] >= '0' && text[end - 1] <= '9')
        end--;
    if (end == len || end < 2 || text[end - 1] != ':')
        return 0;
    end--;
    bool bracketed = text[0] == '[' && text[end - 1] == ']';
    return bracketed || !memchr(text, ':', end) ? end : 0;
}

/* Whether the text alone names a Unix socket: "unix:…", or a path. */
static bool is_unix_text(const char *text, size_t len)
{
    return memchr(text, '/', len) || (len >= UNIX_PREFIX_LEN && memcmp(text, UNIX_PREFIX, UNIX_PREFIX_LEN) == 0);
}

bool lss_is_whole_address(lua_State *L, int arg)
{
    size_t len;
    if (lua_type(L, arg) != LUA_TSTRING)
        return lua_type(L, arg) == LUA_TTABLE;
    const char *text = lua_tolstring(L, arg, &len);
    return is_unix_text(text, len) || host_before_port(text, len) > 0;
}

/* 65536: the digits are a larger number. */
static uint32_t parse_port(const char *digits, size_t len)
{
    uint32_t port = 0;
    for (size_t i = 0; i < len && port <= 65535; i++)
        port = port * 10 + (uint32_t)(digits[i] - '0');
    return port <= 65535 ? port : 65536;
}

/* "host:port". The host replaces the text on the stack, which keeps the string valid. */
static enum ss_status check_host_and_port(lua_State *L, int arg, int flags, size_t host_len, struct ss_target *target,
                                          struct ss_error *err)
{
    size_t len;
    const char *text = lua_tolstring(L, arg, &len);
    uint32_t port = parse_port(text + host_len + 1, len - host_len - 1);
    luaL_argcheck(L, port <= 65535, arg, "port must be 0 to 65535");
    lua_pushlstring(L, text, host_len);
    lua_replace(L, arg);
    return check_host(L, arg, flags, (uint16_t)port, target, err);
}

/* One string, no port: "host:port", or a Unix address. */
static enum ss_status check_single(lua_State *L, int arg, int flags, struct ss_target *target, struct ss_error *err)
{
    size_t len;
    const char *text = lua_tolstring(L, arg, &len);
    size_t prefix = len >= UNIX_PREFIX_LEN && memcmp(text, UNIX_PREFIX, UNIX_PREFIX_LEN) == 0 ? UNIX_PREFIX_LEN : 0;
    if (is_unix_text(text, len))
        return check_unix(L, arg, text + prefix, len - prefix, target, err);
    size_t host_len = host_before_port(text, len);
    luaL_argcheck(L, host_len > 0, arg + 1,
                  "port expected (0 to 65535), got no value; a path has a \"/\" in it or \"unix:\" before it, and one "
                  "string with both is \"host:port\" or \"[::1]:port\"");
    return check_host_and_port(L, arg, flags, host_len, target, err);
}

/* An address value. The host replaces the value on the stack, which keeps the string valid. */
static enum ss_status check_address_value(lua_State *L, int arg, int flags, struct ss_target *target,
                                          struct ss_error *err)
{
    luaL_argcheck(L, lua_isnoneornil(L, arg + 1), arg + 1, "an address value takes no port");
    lua_rawgeti(L, arg, 1);
    lua_rawgeti(L, arg, 2);
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TNUMBER)
        luaL_argerror(L, arg, "address value expected: { host, port }");
    lua_Number port = lua_tonumber(L, -1);
    luaL_argcheck(L, port >= 0 && port <= 65535 && port == (uint16_t)port, arg, "port must be 0 to 65535");
    lua_pop(L, 1);
    lua_replace(L, arg);
    return check_host(L, arg, flags, (uint16_t)port, target, err);
}

enum ss_status lss_check_target(lua_State *L, int arg, int flags, struct ss_target *target, struct ss_error *err)
{
    *target = (struct ss_target){ .host = NULL };
    if (lua_type(L, arg) == LUA_TTABLE)
        return check_address_value(L, arg, flags, target, err);
    if (lua_type(L, arg) != LUA_TSTRING)
        lss_type_error(L, arg, "host, \"host:port\", \"unix:/path\" or address");
    if (lua_isnoneornil(L, arg + 1))
        return check_single(L, arg, flags, target, err);
    luaL_argcheck(L, strncmp(lua_tostring(L, arg), UNIX_PREFIX, UNIX_PREFIX_LEN) != 0, arg + 1,
                  "a Unix address takes no port");
    return check_host(L, arg, flags, (uint16_t)lss_check_int(L, arg + 1, "port", 0, 65535), target, err);
}

/* Operations that begin with a look-up */

int lss_finish_lookup(lua_State *L, struct ss_op *op, enum ss_status st)
{
    ss_lookup_fini((struct ss_lookup *)op);
    return lss_push_done(L, st, &op->error);
}

void lss_drop_lookup(lua_State *L, int kept, struct ss_op *op)
{
    (void)L, (void)kept;
    ss_lookup_fini((struct ss_lookup *)op);
}

void *lss_push_lookup(lua_State *L, const struct ss_env *env, size_t size)
{
    lss_check_live(L, env);
    struct ss_lookup *lookup = lss_newuserdata(L, size);
    lookup->env = NULL;
    luaL_getmetatable(L, LOOKUP);
    lua_setmetatable(L, -2);
    return lookup;
}
