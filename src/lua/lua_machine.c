/* What the module tells of the machine it runs on: clock, name, texts of errors. */
#include "core/codes.h"
#include "lua/lua_base.h"
#include "os/os_clock.h"
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
