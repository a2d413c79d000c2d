/* The least that lines can cost in Lua: recv, memchr and lua_pushlstring in C, with a buffer of 64 KiB.
 *
 *   local reader = require "lines_module".open(host, port, crlf)
 *   reader:skip(n)      makes n strings, one after the other, without ever going back to Lua
 *   reader:next()       one line for one call from Lua */
#include "common.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

struct reader {
    int fd;
    bool crlf;
    size_t start, end;
    char buf[65536];
};

static void receive_more(struct reader *r)
{
    memmove(r->buf, r->buf + r->start, r->end - r->start);
    r->end -= r->start;
    r->start = 0;
    r->end += (size_t)must(recv(r->fd, r->buf + r->end, sizeof r->buf - r->end, 0), "recv");
}

static void push_line(lua_State *L, struct reader *r)
{
    size_t seen = 0;
    for (;;) {
        char *line = r->buf + r->start;
        size_t len = r->end - r->start;
        char *hit = memchr(line + seen, '\n', len - seen);
        if (hit && (!r->crlf || (hit > line && hit[-1] == '\r'))) {
            lua_pushlstring(L, line, (size_t)(hit - line) - (r->crlf ? 1 : 0));
            r->start += (size_t)(hit - line) + 1;
            return;
        }
        seen = hit ? (size_t)(hit - line) + 1 : len;
        if (!hit)
            receive_more(r);
    }
}

static int skip(lua_State *L)
{
    struct reader *r = lua_touserdata(L, 1);
    for (lua_Integer n = luaL_checkinteger(L, 2); n > 0; n--) {
        push_line(L, r);
        lua_pop(L, 1);
    }
    return 0;
}

static int next_line(lua_State *L)
{
    push_line(L, lua_touserdata(L, 1));
    return 1;
}

static int open_reader(lua_State *L)
{
    struct reader *r = lua_newuserdata(L, sizeof *r);
    *r = (struct reader){ .crlf = lua_toboolean(L, 3) };
    r->fd = dial(luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2));
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, skip);
    lua_setfield(L, -2, "skip");
    lua_pushcfunction(L, next_line);
    lua_setfield(L, -2, "next");
    lua_setmetatable(L, -2);
    return 1;
}

__attribute__((visibility("default"))) int luaopen_lines_module(lua_State *L);

int luaopen_lines_module(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, open_reader);
    lua_setfield(L, -2, "open");
    return 1;
}
