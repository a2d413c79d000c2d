/* setopt and getopt: an option by name, or any option of the system by level and number. */
#include "lua/lua_base.h"
#include "os/os_opt.h"

#include <limits.h> /* INT_MAX */
#include <string.h> /* strlen */

enum { MAX_OPTION_BYTES = 65536 };

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

/* A string at `arg`, whose bytes stay valid while it is on the stack. */
static void check_bytes(lua_State *L, int arg, const char *expected, struct ss_setting *setting)
{
    size_t len;
    if (lua_type(L, arg) != LUA_TSTRING)
        lss_type_error(L, arg, expected);
    setting->bytes = lua_tolstring(L, arg, &len);
    luaL_argcheck(L, len <= MAX_OPTION_BYTES, arg, "value must have 65536 bytes or less");
    setting->value = (int)len;
}

static void check_interface_name(lua_State *L, int arg, const char *expected, struct ss_setting *setting)
{
    check_bytes(L, arg, expected, setting);
    if (strlen(setting->bytes) != (size_t)setting->value)
        luaL_argerror(L, arg, "interface must not contain a NUL byte");
}

/* The value of an option by level and number: an integer, or the bytes of any other type of the system. */
static void check_raw_value(lua_State *L, int arg, struct ss_setting *setting)
{
    if (os_opt_is_timeout(setting->level, setting->number))
        luaL_argerror(L, 3, "the module sets this option itself: use settimeout");
    if (lua_type(L, arg) == LUA_TNUMBER)
        setting->value = lss_check_int(L, arg, "value", INT_MIN, INT_MAX);
    else
        check_bytes(L, arg, "integer or string", setting);
}

static int check_boolean(lua_State *L, int arg)
{
    luaL_checktype(L, arg, LUA_TBOOLEAN);
    return lua_toboolean(L, arg);
}

static void check_named_value(lua_State *L, int arg, struct ss_setting *setting)
{
    switch (setting->opt->type) {
    case OS_OPT_SPIN:
        setting->value = lss_check_int(L, arg, "value", 0, SS_SPIN_MAX_US);
        break;
    case OS_OPT_INT:
        setting->value = lss_check_int(L, arg, "value", INT_MIN, INT_MAX);
        break;
    case OS_OPT_LINGER:
        setting->value = check_seconds_or_false(L, arg);
        break;
    case OS_OPT_IFACE:
        if (lua_type(L, arg) == LUA_TNUMBER)
            setting->value = lss_check_int(L, arg, "interface", 0, INT_MAX);
        else
            check_interface_name(L, arg, "interface's name or index", setting);
        break;
    case OS_OPT_DEVICE:
        check_interface_name(L, arg, "interface's name", setting);
        break;
    case OS_OPT_FLAG:
    case OS_OPT_CRED: /* can only be read */
        setting->value = check_boolean(L, arg);
        break;
    }
}

int lss_setopt(lua_State *L)
{
    struct lss_socket *s = lss_self_socket(L);
    struct ss_error err;
    struct ss_setting setting = check_option(L, s);
    if (setting.opt && (setting.opt->use & OS_OPT_READONLY))
        luaL_argerror(L, 2, lua_pushfstring(L, "option '%s' can only be read", setting.opt->name));
    if (setting.opt)
        check_named_value(L, 3, &setting);
    else
        check_raw_value(L, 4, &setting);
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

/* What was set, while there is no descriptor. */
static int push_kept_value(lua_State *L, const struct ss_setting *kept)
{
    if (!kept->bytes)
        return push_option_value(L, kept->opt, kept->value);
    lua_pushlstring(L, kept->bytes, (size_t)kept->value);
    return 1;
}

static int get_integer(lua_State *L, struct ss_sock *s, const struct ss_setting *option)
{
    struct ss_error err;
    int value = 0;
    enum ss_status st = ss_sock_get(s, option, &value, &err);
    return st == SS_OK ? push_option_value(L, option->opt, value) : lss_push_failure(L, 1, st, &err);
}

static int get_text(lua_State *L, const struct ss_sock *s, const struct os_opt *opt)
{
    char text[OS_OPT_TEXT];
    struct ss_error err;
    enum ss_status st = os_opt_get_text(s->io.fd, opt, text, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    lua_pushstring(L, text);
    return 1;
}

/* t[name] = number; t is on top of the stack. With a 32-bit lua_Integer an ID may be too large for one. */
static void set_id(lua_State *L, const char *name, size_t id)
{
    lss_push_size(L, id);
    lua_setfield(L, -2, name);
}

static int get_cred(lua_State *L, const struct ss_sock *s, const struct os_opt *opt)
{
    struct os_cred cred;
    struct ss_error err;
    enum ss_status st = os_opt_get_cred(s->io.fd, opt, &cred, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    lua_createtable(L, 0, 3);
    set_id(L, "pid", (size_t)cred.pid);
    set_id(L, "uid", (size_t)cred.uid);
    set_id(L, "gid", (size_t)cred.gid);
    return 1;
}

/* The memory comes first: a finalizer in its allocation may close the socket. */
static int get_bytes(lua_State *L, struct ss_sock *s, const struct ss_setting *option, size_t size)
{
    struct ss_error err;
    void *bytes = lss_newuserdata(L, size);
    enum ss_status st = s->io.fd >= 0 ? ss_sock_get_bytes(s, option, bytes, &size, &err) : SS_CLOSED;
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    lua_pushlstring(L, bytes, size);
    return 1;
}

static int get_open(lua_State *L, struct ss_sock *s, const struct ss_setting *option, size_t size)
{
    const struct os_opt *opt = option->opt;
    if (size > 0)
        return get_bytes(L, s, option, size);
    if (opt && opt->type == OS_OPT_CRED)
        return get_cred(L, s, opt);
    if (opt && (opt->type == OS_OPT_DEVICE || (opt->type == OS_OPT_IFACE && s->family != AF_INET6)))
        return get_text(L, s, opt);
    return get_integer(L, s, option);
}

/* The third argument of an option by level and number: how many bytes; 0: none, the option is an integer. */
static size_t check_option_size(lua_State *L, const struct ss_setting *option)
{
    if (option->opt || lua_isnoneornil(L, 4))
        return 0;
    return (size_t)lss_check_int(L, 4, "size", 1, MAX_OPTION_BYTES);
}

int lss_getopt(lua_State *L)
{
    struct lss_socket *s = lss_self_socket(L);
    const struct ss_setting option = check_option(L, s);
    size_t size = check_option_size(L, &option);
    if (option.opt && option.opt->type == OS_OPT_SPIN)
        return push_option_value(L, option.opt, s->sock.spin_us);
    if (s->sock.io.fd >= 0)
        return get_open(L, &s->sock, &option, size);
    const struct ss_setting *kept = ss_optlist_get(&s->sock.opts, &option);
    return kept ? push_kept_value(L, kept) : lss_push_closed(L);
}
