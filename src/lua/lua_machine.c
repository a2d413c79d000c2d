/* What the module tells of the machine it runs on: clock, name, interfaces, texts of errors. */
#include "core/codes.h"
#include "lua/lua_base.h"
#include "os/os_clock.h"
#include "os/os_iface.h"
#include "os/os_name.h"
#include "os/os_text.h"

#include <string.h> /* strlen, strcmp */

int lss_time(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)os_wall_ns() / 1e9);
    return 1;
}

int lss_hostname(lua_State *L)
{
    char name[257]; /* POSIX: at most 255 bytes */
    struct ss_error err;
    enum ss_status st = os_hostname(name, sizeof name, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    lua_pushstring(L, name);
    return 1;
}

int lss_strerror(lua_State *L)
{
    const struct ss_error err = { SS_SYSTEM, lss_check_int(L, 1, "error number", 0, INT32_MAX) };
    return lss_push_failure(L, 0, SS_ERROR, &err);
}

static const char *symbol_of_text(const char *text)
{
    for (int i = 0; i < SS_CODES; i++)
        if (strcmp(ss_codes[i].text, text) == 0)
            return ss_codes[i].symbol;
    return os_error_symbol(text);
}

int lss_errname(lua_State *L)
{
    size_t len;
    if (lua_type(L, 1) != LUA_TSTRING)
        lss_type_error(L, 1, "error text");
    const char *text = lua_tolstring(L, 1, &len);
    lua_pushstring(L, strlen(text) == len ? symbol_of_text(text) : NULL); /* NULL: nil */
    return 1;
}

/* Interfaces */

static void set_boolean(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

static void set_host(lua_State *L, const char *name, const struct ss_addr *addr)
{
    char host[SS_HOST_TEXT];
    if (addr->len == 0)
        return;
    ss_addr_host(addr, host);
    lss_set_string(L, name, host);
}

static void push_iface(lua_State *L, const struct os_iface_entry *iface)
{
    lua_createtable(L, 0, 9);
    lss_set_string(L, "name", iface->name);
    lua_pushinteger(L, (lua_Integer)iface->index);
    lua_setfield(L, -2, "index");
    if (iface->address.len > 0)
        lss_set_string(L, "family", iface->address.sa.any.sa_family == AF_INET ? "inet" : "inet6");
    set_host(L, "address", &iface->address);
    set_host(L, "netmask", &iface->netmask);
    set_host(L, "broadcast", &iface->broadcast);
    set_boolean(L, "up", iface->up);
    set_boolean(L, "loopback", iface->loopback);
    set_boolean(L, "multicast", iface->multicast);
}

/* Pushes a userdata with the list, which an error cannot leak. */
static struct os_iface_entry *push_iface_list(lua_State *L, size_t *n, enum ss_status *st, struct ss_error *err)
{
    enum { USUAL_IFACES = 16 };
    for (size_t room = USUAL_IFACES;; room = *n) {
        struct os_iface_entry *list = lss_newuserdata(L, room * sizeof *list);
        *st = os_ifaces(list, room, n, err);
        if (*st != SS_OK || *n <= room)
            return list;
        lua_pop(L, 1);
    }
}

int lss_interfaces(lua_State *L)
{
    enum ss_status st;
    struct ss_error err;
    size_t n;
    const struct os_iface_entry *list = push_iface_list(L, &n, &st, &err);
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, &err);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        push_iface(L, &list[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}
