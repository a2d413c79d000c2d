/* The module's look-ups: of names, and of addresses. */
#include "core/codes.h"
#include "lua/lua_base.h"

#include <string.h> /* strchr, strcmp, strncmp */

static int run_resolve(lua_State *L, const struct ss_target *target, int64_t timeout_ns, const struct lss_call *call)
{
    struct ss_env *env = lss_env(L);
    struct ss_resolve *op = lss_push_lookup(L, env, sizeof *op);
    ss_resolve_init(op, env, target);
    return lss_run_for(L, env, NULL, timeout_ns, &op->lookup.op, call);
}

/* Addresses of names */

static void push_addresses(lua_State *L, struct ss_lookup *lookup)
{
    struct ss_addr addr;
    ss_lookup_rewind(lookup); /* from the start: an error may have interrupted an earlier run */
    lua_newtable(L);
    for (int i = 1; ss_lookup_next_listed(lookup, &addr); i++) {
        lss_push_addr(L, &addr, 0);
        lua_rawseti(L, -2, i);
    }
}

/* array.canonical = the canonical name; of a numeric host its address. The array is on top of the stack. */
static void set_canonical(lua_State *L, const struct ss_lookup *lookup)
{
    const char *name = os_answer_canonical(&lookup->answer);
    if (lookup->target.addr.len > 0) {
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -1, 1);
        lua_remove(L, -2);
    } else {
        lua_pushstring(L, name ? name : lookup->target.host);
    }
    lua_setfield(L, -2, "canonical");
}

/* `true` in the third place: the host exists. */
static int push_resolve_failure(lua_State *L, enum ss_status st, const struct ss_error *err)
{
    bool exists = st == SS_ERROR && err->space == ss_no_address.space && err->code == ss_no_address.code;
    int n = lss_push_failure(L, 1, st, err);
    if (exists)
        lua_pushboolean(L, 1);
    return n + exists;
}

static int finish_resolve(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_lookup *lookup = (struct ss_lookup *)base;
    if (st == SS_OK) {
        push_addresses(L, lookup);
        set_canonical(L, lookup);
    }
    ss_lookup_fini(lookup);
    return st == SS_OK ? 1 : push_resolve_failure(L, st, &base->error);
}

static int check_family(lua_State *L, int arg)
{
    static const char *const names[] = { "inet", "inet6", NULL };
    static const int families[] = { AF_INET, AF_INET6 };
    if (lua_isnoneornil(L, arg))
        return AF_UNSPEC;
    if (lua_type(L, arg) != LUA_TSTRING)
        lss_type_error(L, arg, "\"inet\" or \"inet6\"");
    size_t len;
    const char *family = lua_tolstring(L, arg, &len);
    for (int i = 0; names[i]; i++)
        if (strcmp(family, names[i]) == 0 && strlen(family) == len)
            return families[i];
    return luaL_argerror(L, arg, "family must be \"inet\" or \"inet6\"");
}

/* The name of a service at `arg`, or NULL: a port number stays there, 0 if there was none. The stack holds the name. */
static const char *check_service(lua_State *L, int arg)
{
    size_t len;
    if (lua_isnil(L, arg)) {
        lua_pushinteger(L, 0);
        lua_replace(L, arg);
    }
    if (lua_type(L, arg) != LUA_TSTRING || lua_isnumber(L, arg))
        return NULL;
    const char *service = lua_tolstring(L, arg, &len);
    luaL_argcheck(L, len > 0 && strlen(service) == len, arg, "port (0 to 65535) or the name of a service expected");
    lua_pushinteger(L, 0);
    lua_insert(L, arg);
    return service;
}

static bool is_of_family(const struct ss_addr *original, int family)
{
    struct ss_addr addr = *original;
    ss_addr_unmap(&addr); /* as it is pushed */
    return family == AF_UNSPEC || addr.len == 0 || addr.sa.any.sa_family == family;
}

/* Reads host and port at 1 and 2. */
static enum ss_status check_question(lua_State *L, struct ss_target *target, struct ss_error *err)
{
    if (lua_type(L, 1) != LUA_TSTRING)
        lss_type_error(L, 1, "host");
    luaL_argcheck(L, strncmp(lua_tostring(L, 1), "unix:", 5) != 0, 1, "host expected, got a Unix address");
    lua_settop(L, 2);
    const char *service = check_service(L, 2);
    enum ss_status st = lss_check_target(L, 1, 0, target, err);
    target->service = service;
    target->wants_canonical = true;
    return st;
}

int lss_resolve(lua_State *L)
{
    struct ss_target target;
    struct ss_error err;
    int64_t timeout_ns = lss_check_timeout(L, 3);
    int family = check_family(L, 4);
    enum ss_status st = check_question(L, &target, &err);
    if (st == SS_OK && !is_of_family(&target.addr, family)) {
        err = ss_no_address;
        st = SS_ERROR;
    }
    if (st != SS_OK)
        return push_resolve_failure(L, st, &err);
    target.family = family;
    static const struct lss_call call = { .finish = finish_resolve,
                                          .drop = lss_drop_lookup,
                                          .restart = ss_lookup_restart };
    return run_resolve(L, &target, timeout_ns, &call);
}

/* Names of addresses */

static int finish_nameinfo(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct ss_lookup *lookup = (struct ss_lookup *)base;
    if (st == SS_OK) {
        lua_pushstring(L, lookup->answer.reverse->host);
        lua_pushstring(L, lookup->answer.reverse->service);
    }
    ss_lookup_fini(lookup);
    return st == SS_OK ? 2 : lss_push_failure(L, 1, st, &base->error);
}

static bool is_unix_text(const char *text)
{
    return strncmp(text, "unix:", 5) == 0 || strchr(text, '/');
}

/* Reads the address at 1: an address value, a Unix address, or a host alone. */
static enum ss_status check_numeric(lua_State *L, struct ss_target *target, struct ss_error *err)
{
    if (lua_type(L, 1) != LUA_TSTRING && lua_type(L, 1) != LUA_TTABLE)
        lss_type_error(L, 1, "address");
    lua_settop(L, 1);
    if (lua_type(L, 1) == LUA_TSTRING && !is_unix_text(lua_tostring(L, 1)))
        lua_pushinteger(L, 0); /* the port */
    enum ss_status st = lss_check_target(L, 1, 0, target, err);
    if (st != SS_OK)
        return st;
    luaL_argcheck(L, target->addr.len > 0, 1, "numeric host expected; socket.resolve looks names up");
    if (target->addr.sa.any.sa_family != AF_UNIX)
        return SS_OK;
    *err = ss_wrong_family;
    return SS_ERROR;
}

int lss_nameinfo(lua_State *L)
{
    struct ss_target target;
    struct ss_error err;
    int64_t timeout_ns = lss_check_timeout(L, 2);
    enum ss_status st = check_numeric(L, &target, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    ss_addr_unmap(&target.addr);
    target.wants_name = true;
    static const struct lss_call call = { .finish = finish_nameinfo,
                                          .drop = lss_drop_lookup,
                                          .restart = ss_lookup_restart };
    return run_resolve(L, &target, timeout_ns, &call);
}
