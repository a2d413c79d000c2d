/*
 * layers: runs a Lua program whose sockets may have a layer over the descriptor (test/unit/layer.h). The module is linked into
 * this program, which thereby knows what a socket is.
 *
 *     layers SCRIPT [ARGUMENT]
 *
 * The script gets a table of functions and the argument:
 *
 *     open(socket)              puts a layer over an open socket; returns its number
 *     calls(number)             how often that layer's functions were called, by name
 *     encode(position, bytes)   the bytes in a frame, as they are at a position of the stream
 *
 * Exit status 0 if it raised nothing, and each layer was freed once and without memory left.
 */
#include "../unit/layer.h"
#include "lua/lua_base.h"

#include <stdio.h>
#include <string.h>

#include <lualib.h>

enum { LAYERS = 64 };

static struct layer_calls calls[LAYERS];
static int opened;

int luaopen_ssocket(lua_State *L);

static int open_over(lua_State *L)
{
    struct ss_env *env = lss_env(L);
    struct lss_socket *s = lss_test_socket(L, 1, env);
    if (!s || s->sock.io.fd < 0 || ss_io_has_layer(&s->sock.io) || opened == LAYERS)
        return luaL_error(L, "an open socket without a layer expected");
    layer_open(&s->sock.io, &env->pool, env, &calls[opened]);
    lua_pushinteger(L, opened++);
    return 1;
}

static void set_count(lua_State *L, const char *name, int count)
{
    lua_pushinteger(L, count);
    lua_setfield(L, -2, name);
}

static int count_calls(lua_State *L)
{
    const struct layer_calls *c = &calls[luaL_checkinteger(L, 1)];
    lua_newtable(L);
    set_count(L, "flush", c->flush);
    set_count(L, "is_ready", c->is_ready);
    set_count(L, "end", c->end);
    set_count(L, "leave", c->leave);
    set_count(L, "settle", c->settle);
    set_count(L, "free", c->free);
    return 1;
}

static int encode(lua_State *L)
{
    unsigned char raw[LAYER_FRAME];
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, len <= LAYER_MOST, 2, "too long");
    len = len > 0 ? layer_encode(raw, (size_t)luaL_checkinteger(L, 1), bytes, len, LAYER_MOST) : layer_encode_end(raw);
    lua_pushlstring(L, (const char *)raw, len);
    return 1;
}

static void push_functions(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, open_over);
    lua_setfield(L, -2, "open");
    lua_pushcfunction(L, count_calls);
    lua_setfield(L, -2, "calls");
    lua_pushcfunction(L, encode);
    lua_setfield(L, -2, "encode");
}

static void preload_module(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, luaopen_ssocket);
    lua_setfield(L, -2, "ssocket");
    lua_settop(L, 0);
}

static int run(lua_State *L, const char *script, const char *argument)
{
    preload_module(L);
    if (luaL_loadfile(L, script) == 0) {
        push_functions(L);
        lua_pushstring(L, argument);
        if (lua_pcall(L, 2, 0, 0) == 0)
            return 0;
    }
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    int failed = run(L, argv[1], argc > 2 ? argv[2] : NULL);
    lua_close(L);
    for (int i = 0; i < opened; i++)
        if (calls[i].free != 1) {
            fprintf(stderr, "layer %d was freed %d times\n", i, calls[i].free);
            failed = 1;
        }
    return failed;
}
