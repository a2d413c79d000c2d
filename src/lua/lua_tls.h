/* What the files of ssocket.tls share. Each function of the module has the state as upvalue 1. */
#ifndef LSS_TLS_H
#define LSS_TLS_H

#include "lua/lua_base.h"
#include "tls/tls_ctx.h"
#include "tls/tls_stream.h"

#pragma GCC visibility push(hidden)

#define LSS_CONTEXT LSS_PREFIX "context"

/* The state of the running function; raises if the Lua state is closing. */
struct sstls_state *lss_tls_state(lua_State *L);

/* Argument 1, a stream socket; raises for other values. */
struct lss_socket *lss_check_stream(lua_State *L, const struct sstls_state *state);

/* The context at `arg`; raises for other values. */
struct sstls_ctx *lss_check_context(lua_State *L, int arg);

/* The same, but nil and none are NULL. */
struct sstls_ctx *lss_opt_context(lua_State *L, int arg);

/* Register metatables, when the module is loaded. */
void lss_open_tls_contexts(lua_State *L);
void lss_open_tls_info(lua_State *L);

/* Functions of the module. */
int lss_tls_context(lua_State *L);
int lss_tls_info(lua_State *L);
int lss_tls_export(lua_State *L);
int lss_tls_binding(lua_State *L);

/* The name of a server, as it is verified. */
struct lss_server_name {
    char text[SS_HOST_MAX + 1]; /* in lower case */
    bool is_address;
};

/* Reads a name of `len` bytes. NULL, or what is wrong with it. */
const char *lss_read_server_name(struct lss_server_name *name, const char *text, size_t len);

#pragma GCC visibility pop

#endif
