/* What a program may know of a connection: tls.info, tls.binding, tls.export. */
#include "core/codes.h"
#include "lua/lua_tls.h"
#include "tls/tls_cert.h"

#include <string.h> /* memchr, memset, strcmp, strlen */

#define INFO LSS_PREFIX "tls_info"

/* The description is in a userdata while results are made of it: Lua may raise an error meanwhile. */
static int info_gc(lua_State *L)
{
    sstls_info_fini(lua_touserdata(L, 1));
    return 0;
}

void lss_open_tls_info(lua_State *L)
{
    luaL_newmetatable(L, INFO);
    lua_pushcfunction(L, info_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

static struct sstls_info *push_description(lua_State *L)
{
    struct sstls_info *info = lss_newuserdata(L, sizeof *info);
    memset(info, 0, sizeof *info);
    luaL_getmetatable(L, INFO);
    lua_setmetatable(L, -2);
    return info;
}

/* The following set fields of the table on top of the stack. */

static void set_text(lua_State *L, const char *name, const char *text)
{
    if (text)
        lss_set_string(L, name, text);
}

static void set_bio(lua_State *L, const char *name, BIO *bio)
{
    size_t len;
    const char *text = sstls_text_of(bio, &len);
    lua_pushlstring(L, text, len);
    lua_setfield(L, -2, name);
}

static void set_flag_field(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

static void set_time(lua_State *L, const char *name, int64_t seconds)
{
    if (seconds == SSTLS_NO_TIME)
        return;
    if (sizeof(lua_Integer) >= sizeof seconds)
        lua_pushinteger(L, (lua_Integer)seconds);
    else
        lua_pushnumber(L, (lua_Number)seconds);
    lua_setfield(L, -2, name);
}

static void set_names(lua_State *L, BIO *names)
{
    size_t len;
    const char *at = sstls_text_of(names, &len), *end = at + len, *stop;
    lua_newtable(L);
    for (int n = 1; at < end && (stop = memchr(at, '\n', (size_t)(end - at))) != NULL; n++, at = stop + 1) {
        lua_pushlstring(L, at, (size_t)(stop - at));
        lua_rawseti(L, -2, n);
    }
    lua_setfield(L, -2, "names");
}

static void set_peer_table(lua_State *L, const struct sstls_cert *cert)
{
    lua_createtable(L, 0, 8);
    set_bio(L, "pem", cert->pem);
    set_text(L, "sha256", cert->sha256);
    set_bio(L, "subject", cert->subject);
    set_bio(L, "issuer", cert->issuer);
    set_bio(L, "serial", cert->serial);
    set_names(L, cert->names);
    set_time(L, "notbefore", cert->notbefore);
    set_time(L, "notafter", cert->notafter);
    lua_setfield(L, -2, "peer");
}

static void set_chain(lua_State *L, const struct sstls_info *info)
{
    lua_createtable(L, (int)info->nchain, 0);
    for (size_t i = 0; i < info->nchain; i++) {
        size_t len;
        const char *text = sstls_text_of(info->chain[i], &len);
        lua_pushlstring(L, text, len);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "chain");
}

static void set_errors(lua_State *L, const struct sstls_info *info)
{
    if (info->nerrors == 0)
        return;
    lua_createtable(L, (int)info->nerrors, 0);
    for (size_t i = 0; i < info->nerrors; i++) {
        lua_pushfstring(L, "%s (depth %d)", sstls_verify_text(info->errors[i].error), info->errors[i].depth);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "errors");
}

static void push_info(lua_State *L, const struct sstls_info *info)
{
    lua_createtable(L, 0, 13);
    set_text(L, "version", info->version);
    set_text(L, "cipher", info->cipher);
    set_text(L, "group", *info->group ? info->group : NULL);
    if (info->alpn_len > 0) {
        lua_pushlstring(L, info->alpn, info->alpn_len);
        lua_setfield(L, -2, "alpn");
    }
    set_text(L, "name", *info->name ? info->name : NULL);
    set_text(L, "reason", *info->reason ? info->reason : NULL);
    set_flag_field(L, "server", info->server);
    set_flag_field(L, "resumed", info->resumed);
    set_flag_field(L, "verified", info->verified);
    set_text(L, "unverified", *info->unverified ? info->unverified : NULL);
    set_errors(L, info);
    if (!info->has_peer)
        return;
    set_peer_table(L, &info->peer);
    set_chain(L, info);
}

int lss_tls_info(lua_State *L)
{
    struct sstls_state *state = lss_tls_state(L);
    struct lss_socket *s = lss_check_stream(L, state);
    lua_settop(L, 1);
    struct sstls_info *info = push_description(L);
    lss_recheck_self(L, s);
    struct sstls_conn *conn = sstls_conn_of(&s->sock);
    if (!conn || !conn->established) {
        lua_pushnil(L);
        return 1;
    }
    if (!sstls_info_init(info, conn))
        return luaL_error(L, "not enough memory");
    push_info(L, info);
    sstls_info_fini(info);
    return 1;
}

/* Keys */

/* The connection of argument 1. NULL: a failure is pushed. */
static struct sstls_conn *connection_of(lua_State *L, const struct lss_socket *s)
{
    struct sstls_conn *conn = sstls_conn_of(&s->sock);
    if (s->sock.io.fd < 0)
        lss_push_closed(L);
    else if (!conn || !conn->established)
        lss_push_failure(L, 1, SS_ERROR, &ss_not_supported);
    return s->sock.io.fd >= 0 && conn && conn->established ? conn : NULL;
}

static enum sstls_binding check_kind(lua_State *L, int arg)
{
    static const char *const kinds[] = { [SSTLS_EXPORTER] = "tls-exporter",
                                         [SSTLS_SERVER_END_POINT] = "tls-server-end-point",
                                         [SSTLS_UNIQUE] = "tls-unique",
                                         [SSTLS_FINISHED] = "finished",
                                         [SSTLS_PEER_FINISHED] = "peer-finished" };
    if (lua_type(L, arg) != LUA_TSTRING)
        lss_type_error(L, arg, "kind (a string)");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i], lua_tostring(L, arg)) == 0 && strlen(kinds[i]) == lua_rawlen(L, arg))
            return (enum sstls_binding)i;
    luaL_argerror(L, arg,
                  "kind must be \"tls-exporter\", \"tls-server-end-point\", \"tls-unique\", \"finished\" or "
                  "\"peer-finished\"");
    return SSTLS_EXPORTER;
}

int lss_tls_binding(lua_State *L)
{
    struct lss_socket *s = lss_check_stream(L, lss_tls_state(L));
    unsigned char bytes[SSTLS_BINDING_MAX];
    size_t len;
    enum sstls_binding kind = check_kind(L, 2);
    struct sstls_conn *conn = connection_of(L, s);
    if (!conn)
        return 2;
    if (!sstls_binding(conn, kind, bytes, &len))
        return lss_push_failure(L, 1, SS_ERROR, &ss_not_supported);
    lua_pushlstring(L, (const char *)bytes, len);
    return 1;
}

int lss_tls_export(lua_State *L)
{
    enum { MOST = 8160 }; /* 255 hashes of 32 bytes (RFC 5869 section 2.3) */
    struct lss_socket *s = lss_check_stream(L, lss_tls_state(L));
    unsigned char bytes[MOST];
    size_t label_len, context_len = 0;
    if (lua_type(L, 2) != LUA_TSTRING)
        lss_type_error(L, 2, "label (a string)");
    const char *label = lua_tolstring(L, 2, &label_len), *context = NULL;
    luaL_argcheck(L, label_len > 0 && label_len <= 249, 2, "label has 1 to 249 bytes");
    size_t len = (size_t)lss_check_int(L, 3, "length", 1, MOST);
    if (!lua_isnoneornil(L, 4) && lua_type(L, 4) != LUA_TSTRING)
        lss_type_error(L, 4, "context (a string)");
    if (!lua_isnoneornil(L, 4))
        context = lua_tolstring(L, 4, &context_len);
    struct sstls_conn *conn = connection_of(L, s);
    if (!conn)
        return 2;
    if (!sstls_export(conn, label, label_len, (const unsigned char *)context, context_len, bytes, len))
        return lss_push_failure(L, 1, SS_ERROR, &ss_not_supported);
    lua_pushlstring(L, (const char *)bytes, len);
    return 1;
}
