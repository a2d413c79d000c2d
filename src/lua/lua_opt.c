/* setopt and getopt: an option by name, or any integer option by level and number. */
#include "lua/lua_base.h"
#include "os/os_opt.h"

#include <limits.h> /* INT_MAX */
#include <string.h> /* strlen */

static bool is_option_by_name(lua_State *L)
{
    return lua_type(L, 2) == LUA_TSTRING;
}

static int required_use(const struct lss_socket *s)
{
    return s->sock.type == SOCK_DGRAM ? OS_OPT_DGRAM : OS_OPT_STREAM;
}

/* The option that the arguments from 2 on select, without a value. */
static struct ss_setting check_option(lua_State *L, const struct lss_socket *s)
{
    struct ss_setting setting = { .opt = NULL };
    if (!is_option_by_name(L)) {
        if (lua_type(L, 2) != LUA_TNUMBER)
            lss_type_error(L, 2, "option"); /* nil: a constant that this system lacks */
        setting.level = lss_check_int(L, 2, "level", INT_MIN, INT_MAX);
        setting.number = lss_check_int(L, 3, "option number", INT_MIN, INT_MAX);
        return setting;
    }
    size_t len;
    const char *name = lua_tolstring(L, 2, &len);
    setting.opt = strlen(name) == len ? os_opt_find(name) : NULL;
    if (!setting.opt)
        luaL_argerror(L, 2, lua_pushfstring(L, "unknown option '%s'", name));
    if (!(setting.opt->use & required_use(s)))
        luaL_argerror(L, 2, lua_pushfstring(L, "option '%s' is not for this kind of socket", name));
    return setting;
}

static int check_seconds_or_false(lua_State *L, int arg)
{
    if (lua_isboolean(L, arg) && !lua_toboolean(L, arg))
        return -1;
    if (lua_type(L, arg) != LUA_TNUMBER)
        lss_type_error(L, arg, "seconds or false");
    return lss_check_int(L, arg, "seconds", 0, INT_MAX);
}

static int check_option_value(lua_State *L, int arg, const struct os_opt *opt)
{
    if (opt && opt->type == OS_OPT_SPIN)
        return lss_check_int(L, arg, "value", 0, SS_SPIN_MAX_US);
    if (!opt || opt->type == OS_OPT_INT)
        return lss_check_int(L, arg, "value", INT_MIN, INT_MAX);
    if (opt->type == OS_OPT_LINGER)
        return check_seconds_or_false(L, arg);
    luaL_checktype(L, arg, LUA_TBOOLEAN);
    return lua_toboolean(L, arg);
}

int lss_setopt(lua_State *L)
{
    struct lss_socket *s = lss_self_socket(L);
    struct ss_error err;
    struct ss_setting setting = check_option(L, s);
    if (setting.opt && (setting.opt->use & OS_OPT_READONLY))
        luaL_argerror(L, 2, lua_pushfstring(L, "option '%s' can only be read", setting.opt->name));
    setting.value = check_option_value(L, is_option_by_name(L) ? 3 : 4, setting.opt);
    return lss_push_done(L, ss_sock_set(&s->sock, &setting, &err), &err);
}

static int push_option_value(lua_State *L, const struct os_opt *opt, int value)
{
    if (opt && opt->type == OS_OPT_FLAG)
        lua_pushboolean(L, value);
    else if (opt && opt->type == OS_OPT_LINGER && value < 0)
        lua_pushboolean(L, 0);
    else
        lua_pushinteger(L, value);
    return 1;
}

int lss_getopt(lua_State *L)
{
    struct lss_socket *s = lss_self_socket(L);
    struct ss_error err;
    int value = 0;
    const struct ss_setting option = check_option(L, s);
    enum ss_status st = SS_CLOSED;
    if (option.opt && option.opt->type == OS_OPT_SPIN)
        return push_option_value(L, option.opt, s->sock.spin_us);
    const struct ss_setting *kept = ss_optlist_get(&s->sock.opts, &option);
    if (s->sock.io.fd >= 0)
        st = ss_sock_get(&s->sock, &option, &value, &err);
    else if (kept)
        return push_option_value(L, option.opt, kept->value);
    return st == SS_OK ? push_option_value(L, option.opt, value) : lss_push_failure(L, 1, st, &err);
}
