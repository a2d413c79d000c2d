/* ssocket.tls, a shared object of its own. */
#include "lua/lua_build.h"
#include "lua/lua_stream.h"
#include "lua/lua_tls.h"
#include "os/os_lookup.h"
#include "os/os_net.h"
#include "tls/op_shake.h"
#include "tls/tls_session.h"

#include <math.h> /* floor */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h> /* memset, strlen */

#define STATE LSS_PREFIX "tls" /* registry: the state, a userdata */
#define SHAKE LSS_PREFIX "tls_handshake"
#define HELLO LSS_PREFIX "tls_hello"

LSS_EXPORT int luaopen_ssocket_tls(lua_State *L);

/* Arguments */

struct sstls_state *lss_tls_state(lua_State *L)
{
    struct sstls_state *state = lua_touserdata(L, lua_upvalueindex(1));
    if (state->ended)
        luaL_error(L, "the Lua state is being closed");
    lss_check_live(L, state->env);
    return state;
}

struct lss_socket *lss_check_stream(lua_State *L, const struct sstls_state *state)
{
    struct lss_socket *s = lss_test_socket(L, 1, state->env);
    if (!s || s->sock.type != SOCK_STREAM)
        lss_type_error(L, 1, "tcpsock");
    return s;
}

/* A state in which a handshake cannot begin, as results; 0: it can. */
static int push_unfit(lua_State *L, const struct lss_socket *s)
{
    if (s->sock.io.fd < 0)
        return lss_push_closed(L);
    const struct sstls_conn *conn = sstls_conn_of(&s->sock);
    if (!conn)
        return 0;
    if (conn->kept)
        return lss_push_failure(L, 1, SS_ERROR, &sstls_unfinished);
    return lss_push_failure(L, 1, conn->established ? SS_ERROR : SS_BUSY, &sstls_already);
}

/* A connection's memory is OpenSSL's: the collector is told of as much, or a loop that drops connections would grow without
 * bound. A client with its server's certificate takes 23 KB when it is idle, a server 18 KB, and each more in the handshake. */
static void account_connection(lua_State *L)
{
    enum { KILOBYTES = 32 };
    if (LUA_VERSION_NUM >= 503) {
        if (lss_gc_runs(L))
            lss_gc_step(L, KILOBYTES);
        return;
    }
    lss_newuserdata(L, KILOBYTES * 1024); /* a step there works although none is due */
    lua_pop(L, 1);
}

/* Handshakes. The operation is a userdata, whose finalizer frees what an unfinished one holds. */

struct shake {
    struct sstls_shake op;
    const struct sstls_state *state;
};

/* Whatever has gone wrong, the socket is closed: no program goes on in plain text by mistake. */
static void end_failed_shake(struct shake *shake, bool begun)
{
    struct sstls_shake *op = &shake->op;
    struct ss_error ignored;
    if (!op->conn || shake->state->ended)
        return;
    bool owns = !op->installed, same = op->sock->in.stream == op->stream;
    struct sstls_conn *conn = op->conn;
    if (!begun && !owns && sstls_shake_leave(op))
        return;
    op->conn = NULL;
    if (owns)
        sstls_conn_free(conn);
    if (!begun || !same || op->sock->io.fd < 0 || (owns && ss_io_has_layer(&op->sock->io)))
        return; /* the layer: of another call, in the turn before the first step of this one */
    if (ss_io_has_layer(&op->sock->io))
        op->sock->io.via->leave(&op->sock->io); /* or unread bytes would have the kernel drop the alert */
    ss_sock_close_quietly(op->sock, &ignored);
}

static void drop_shake(lua_State *L, int kept, struct ss_op *op)
{
    (void)L, (void)kept;
    end_failed_shake((struct shake *)op, true);
}

static int shake_gc(lua_State *L)
{
    end_failed_shake(lua_touserdata(L, 1), true);
    return 0;
}

/* A handshake whose time is over, and with which a later call goes on. The results first, as below. */
static int leave_shake(lua_State *L, struct shake *shake)
{
    lss_push_failure(L, 1, SS_TIMEOUT, NULL);
    lua_pushstring(L, sstls_shake_awaits(&shake->op) == SS_WRITABLE ? "write" : "read");
    if (!sstls_shake_leave(&shake->op))
        end_failed_shake(shake, true);
    return 3;
}

/* The results first: an error in making them leaves the operation for a second attempt. */
static int finish_shake_call(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct shake *shake = (struct shake *)base;
    if (st == SS_OK) {
        shake->op.conn = NULL;
        lua_pushboolean(L, 1);
        return 1;
    }
    if (st == SS_TIMEOUT && shake->op.keeps)
        return leave_shake(L, shake);
    const struct sstls_conn *conn = shake->op.conn ? sstls_shake_conn(&shake->op) : NULL;
    int results = lss_push_failure(L, 1, st, &base->error);
    if (st == SS_ERROR && conn && *conn->reason) {
        lua_pushstring(L, conn->reason);
        results++;
    }
    end_failed_shake(shake, st != SS_BUSY);
    return results;
}

static struct shake *push_shake(lua_State *L, const struct sstls_state *state)
{
    struct shake *shake = lss_newuserdata(L, sizeof *shake);
    memset(shake, 0, sizeof *shake);
    shake->state = state;
    luaL_getmetatable(L, SHAKE);
    lua_setmetatable(L, -2);
    return shake;
}

/* Nothing has begun, and the socket is closed all the same: first, since Lua may raise an error. */
static int fail_at_once(lua_State *L, struct lss_socket *s, const char *why)
{
    struct ss_error ignored;
    ss_sock_close_quietly(&s->sock, &ignored);
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static int fail_without_memory(lua_State *L, struct lss_socket *s)
{
    struct ss_error ignored;
    ss_sock_close_quietly(&s->sock, &ignored);
    return lss_push_failure(L, 1, SS_ERROR, &ss_no_memory);
}

/* Another call that waits on the socket comes first: it would be ended by a failure here. */
static bool is_busy(const struct ss_sock *s)
{
    return s->waiters[0] || s->waiters[1];
}

static uint16_t port_of_peer(const struct ss_sock *s)
{
    struct ss_addr addr;
    struct ss_error ignored;
    return os_peer(s->io.fd, &addr, &ignored) == SS_OK && addr.len >= sizeof addr.sa.in ? ss_addr_port(&addr) : 0;
}

static bool name_peer(struct sstls_conn *conn, const struct lss_server_name *name)
{
    if (!sstls_conn_set_name(conn, name->text, name->is_address))
        return false;
    conn->port = conn->ctx->max_sessions > 0 ? port_of_peer(conn->sock) : 0;
    sstls_session_offer(conn);
    return true;
}

/* What a call of tls.client or tls.server is to do. */
struct wish {
    struct sstls_state *state;
    const struct lss_server_name *name; /* NULL: as a server */
    int ctx;                            /* the argument; nil: none */
    bool keeps;
};

/* The handshake that an earlier call with the same wish has kept, or NULL. */
static struct sstls_conn *kept_handshake(lua_State *L, const struct lss_socket *s, const struct wish *wish)
{
    struct sstls_conn *conn = sstls_conn_of(&s->sock);
    if (!conn || !conn->kept)
        return NULL;
    const struct sstls_ctx *ctx = lss_opt_context(L, wish->ctx);
    const struct lss_server_name *name = wish->name;
    if (conn->server != !name || !(ctx ? ctx == conn->ctx : conn->ctx->is_standard))
        return NULL;
    bool same = !name || (conn->is_address == name->is_address && strcmp(conn->name, name->text) == 0);
    return same ? conn : NULL;
}

/* Begins a handshake. 0, or the number of results: it has failed. */
static int begin_handshake(lua_State *L, struct lss_socket *s, struct shake *shake, const struct wish *wish)
{
    struct sstls_problem problem;
    struct sstls_ctx *ctx = lss_opt_context(L, wish->ctx);
    if (!ctx && (ctx = sstls_ctx_standard(wish->state, &problem)) == NULL)
        return fail_at_once(L, s, problem.text);
    struct sstls_conn *conn = sstls_conn_new(&s->sock, ctx, !wish->name);
    if (!conn)
        return fail_without_memory(L, s);
    sstls_shake_init(&shake->op, conn);
    if (!wish->name || name_peer(conn, wish->name))
        return 0;
    end_failed_shake(shake, false);
    return fail_without_memory(L, s);
}

/* The operation is on top of the stack, and the arguments stay below it: finalizers may have closed the socket, or begun a handshake. */
static int run_handshake(lua_State *L, struct lss_socket *s, struct shake *shake, const struct wish *wish)
{
    static const struct lss_call call = { .finish = finish_shake_call,
                                          .drop = drop_shake,
                                          .directions = LSS_READING | LSS_WRITING };
    struct sstls_conn *kept = kept_handshake(L, s, wish);
    int failed = kept ? 0 : push_unfit(L, s);
    if (failed == 0 && is_busy(&s->sock))
        failed = lss_push_failure(L, 1, SS_BUSY, NULL);
    if (failed == 0 && kept)
        sstls_shake_resume(&shake->op, kept);
    else if (failed == 0)
        failed = begin_handshake(L, s, shake, wish);
    shake->op.keeps = wish->keeps;
    return failed > 0 ? failed : lss_run(L, s, &shake->op.op, &call);
}

static int shake_hands(lua_State *L, struct lss_socket *s, const struct wish *wish)
{
    bool fresh = !kept_handshake(L, s, wish);
    int unfit = fresh ? push_unfit(L, s) : 0;
    if (unfit > 0)
        return unfit;
    if (fresh)
        account_connection(L);
    struct shake *shake = push_shake(L, wish->state);
    lss_recheck_self(L, s);
    return run_handshake(L, s, shake, wish);
}

static bool check_keep(lua_State *L, int arg)
{
    if (!lua_isnoneornil(L, arg) && !lua_isboolean(L, arg))
        lss_type_error(L, arg, "keep (a boolean)");
    return lua_toboolean(L, arg);
}

static int tls_client(lua_State *L)
{
    struct sstls_state *state = lss_tls_state(L);
    struct lss_socket *s = lss_check_stream(L, state);
    struct lss_server_name name;
    size_t len;
    if (lua_type(L, 2) != LUA_TSTRING)
        lss_type_error(L, 2, "name (a string)");
    const char *text = lua_tolstring(L, 2, &len);
    const char *wrong = lss_read_server_name(&name, text, len);
    if (wrong)
        luaL_argerror(L, 2, wrong);
    lss_opt_context(L, 3);
    const struct wish wish = { .state = state, .name = &name, .ctx = 3, .keeps = check_keep(L, 4) };
    lua_settop(L, 3);
    return shake_hands(L, s, &wish);
}

static int tls_server(lua_State *L)
{
    struct sstls_state *state = lss_tls_state(L);
    struct lss_socket *s = lss_check_stream(L, state);
    const struct sstls_ctx *ctx = lss_check_context(L, 2);
    luaL_argcheck(L, ctx->ncerts > 0, 2, "a server needs a context with a certificate: tls.context{ cert = path }");
    const struct wish wish = { .state = state, .ctx = 2, .keeps = check_keep(L, 3) };
    lua_settop(L, 2);
    return shake_hands(L, s, &wish);
}

/* The ClientHello */

struct hello {
    struct sstls_hello op;
    const struct sstls_state *state;
};

static int hello_gc(lua_State *L)
{
    struct hello *hello = lua_touserdata(L, 1);
    if (!hello->state->ended)
        sstls_hello_fini(&hello->op);
    return 0;
}

static void drop_hello(lua_State *L, int kept, struct ss_op *op)
{
    (void)L, (void)kept;
    sstls_hello_fini((struct sstls_hello *)op);
}

static enum ss_status look_at_hello_again(lua_State *L, struct ss_op *op)
{
    (void)L;
    sstls_hello_restart((struct sstls_hello *)op);
    return SS_WANT;
}

/* t.alpn; t is on top of the stack. */
static void set_offered_protocols(lua_State *L, const struct sstls_hello *op)
{
    int n = 0;
    if (op->alpn_len == 0)
        return;
    lua_newtable(L);
    for (size_t at = 0; at < op->alpn_len; at += 1 + (size_t)op->alpn[at]) {
        lua_pushlstring(L, (const char *)op->alpn + at + 1, op->alpn[at]);
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "alpn");
}

static void add_version(lua_State *L, bool offered, const char *version)
{
    if (!offered)
        return;
    lua_pushstring(L, version);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
}

static void push_hello(lua_State *L, const struct sstls_hello *op)
{
    lua_createtable(L, 0, 3);
    if (*op->name)
        lss_set_string(L, "name", op->name);
    set_offered_protocols(L, op);
    lua_newtable(L);
    add_version(L, op->version12, "TLSv1.2");
    add_version(L, op->version13, "TLSv1.3");
    lua_setfield(L, -2, "versions");
}

static int finish_hello(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct sstls_hello *op = (struct sstls_hello *)base;
    int results = 1;
    if (st == SS_OK)
        push_hello(L, op);
    else
        results = lss_push_failure(L, 1, st, &base->error);
    sstls_hello_fini(op);
    return results;
}

static struct hello *push_hello_op(lua_State *L, const struct sstls_state *state)
{
    struct hello *hello = lss_newuserdata(L, sizeof *hello);
    memset(hello, 0, sizeof *hello);
    hello->state = state;
    luaL_getmetatable(L, HELLO);
    lua_setmetatable(L, -2);
    return hello;
}

static SSL_CTX *hello_ctx(struct sstls_state *state)
{
    ERR_clear_error();
    if (!state->hello)
        state->hello = sstls_hello_ctx_new();
    ERR_clear_error();
    return state->hello;
}

static int tls_hello(lua_State *L)
{
    static const struct lss_call call = {
        .finish = finish_hello, .drop = drop_hello, .look_again = look_at_hello_again, .directions = LSS_READING
    };
    struct sstls_state *state = lss_tls_state(L);
    struct lss_socket *s = lss_check_stream(L, state);
    lua_settop(L, 1);
    struct hello *hello = push_hello_op(L, state);
    lss_recheck_self(L, s);
    int unfit = push_unfit(L, s);
    if (unfit > 0)
        return unfit;
    if (!hello_ctx(state))
        return lss_push_failure(L, 1, SS_ERROR, &ss_no_memory);
    sstls_hello_init(&hello->op, &s->sock, state->hello);
    return lss_run(L, s, &hello->op.op, &call);
}

/* tls.connect, in Lua, so that it can wait in tasks of every Lua */

static const char CONNECT[] = "local tcp, check, client, now = ...\n"
                              "return function(host, port, ctx, timeout)\n"
                              "    check(host, port, ctx, timeout)\n"
                              "    local limit = timeout and timeout >= 0 and now() + timeout\n"
                              "    local function left()\n"
                              "        local rest = limit - now()\n"
                              "        return rest > 0 and rest or 0\n"
                              "    end\n"
                              "    local s = tcp()\n"
                              "    if limit then s:settimeout(timeout) end\n"
                              "    local ok, err, reason = s:connect(host, port)\n"
                              "    if ok and limit then s:settimeout(left()) end\n"
                              "    if ok then ok, err, reason = client(s, host, ctx) end\n"
                              "    if not ok then\n"
                              "        s:close()\n"
                              "        return nil, err, reason\n"
                              "    end\n"
                              "    if timeout then s:settimeout(timeout) end\n"
                              "    return s\n"
                              "end\n";

/* The arguments of tls.connect, checked for the line that has called it. */
static int check_connect(lua_State *L)
{
    static const char name_of_call[] = "connect";
    struct lss_server_name name;
    size_t len;
    lss_tls_state(L);
    if (lua_type(L, 1) != LUA_TSTRING)
        lss_raise_type_above(L, 1, name_of_call, "host (a string)");
    const char *text = lua_tolstring(L, 1, &len);
    const char *wrong = lss_read_server_name(&name, text, len);
    if (wrong)
        lss_raise_misuse_above(L, 1, name_of_call, wrong);
    lua_Number port = lua_tonumber(L, 2);
    if (!lua_isnumber(L, 2))
        lss_raise_type_above(L, 2, name_of_call, "port (a number)");
    if (!(port >= 0 && port <= 65535 && port == floor(port)))
        lss_raise_misuse_above(L, 2, name_of_call, "port must be a whole number from 0 to 65535");
    if (!lua_isnoneornil(L, 3) && !lss_test_class(L, 3, LSS_CONTEXT))
        lss_raise_type_above(L, 3, name_of_call, "context");
    lua_Number timeout = lua_tonumber(L, 4);
    if (!lua_isnoneornil(L, 4) && lua_type(L, 4) != LUA_TNUMBER)
        lss_raise_type_above(L, 4, name_of_call, "timeout (a number)");
    if (timeout != timeout)
        lss_raise_misuse_above(L, 4, name_of_call, "timeout must not be NaN");
    return 0;
}

/* The module */

static const luaL_Reg functions_of_tls[] = {
    { "binding", lss_tls_binding }, { "client", tls_client }, { "context", lss_tls_context },
    { "export", lss_tls_export },   { "hello", tls_hello },   { "info", lss_tls_info },
    { "server", tls_server },       { NULL, NULL },
};

static void push_with_state(lua_State *L, lua_CFunction f)
{
    lua_getfield(L, LUA_REGISTRYINDEX, STATE);
    lua_pushcclosure(L, f, 1);
}

/* t.connect; t is on top of the stack, and the module ssocket below it. */
static void set_connect(lua_State *L)
{
    if (luaL_loadbuffer(L, CONNECT, sizeof CONNECT - 1, "=ssocket.tls") != 0)
        lua_error(L);
    lua_getfield(L, -3, "tcp");
    push_with_state(L, check_connect);
    push_with_state(L, tls_client);
    lua_getfield(L, -6, "now");
    lua_call(L, 4, 1);
    lua_setfield(L, -2, "connect");
}

/* Lua may unload this file before the environment closes the sockets that are left: the state's finalizer closes those with TLS. */
static int state_gc(lua_State *L)
{
    sstls_state_fini(lua_touserdata(L, 1));
    return 0;
}

static void make_state(lua_State *L)
{
    struct sstls_state *state = lss_newuserdata(L, sizeof *state);
    memset(state, 0, sizeof *state);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, state_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    if (!sstls_state_init(state, lss_live_env(L)))
        luaL_error(L, "not enough memory");
    lss_set_registry_once(L, STATE);
}

static void register_finalizer(lua_State *L, const char *name, lua_CFunction f)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, f);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

/* Pushes the module ssocket. */
static void require_ssocket(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "ssocket");
    lua_call(L, 1, 1);
    if (lss_loaded_build(L) != LSS_SAME_BUILD)
        luaL_error(L,
                   "ssocket.tls " LSS_VERSION " is of another build than the ssocket that is loaded; install both from "
                   "one build, and see package.cpath");
}

/* The library that is loaded must be of the version whose headers this was built with. */
static void check_openssl(lua_State *L)
{
    if (OpenSSL_version_num() >> 28 != (unsigned long)OPENSSL_VERSION_NUMBER >> 28 ||
        OpenSSL_version_num() < 0x1010100fUL)
        luaL_error(L, "ssocket.tls was built with %s, but the library that is loaded is %s; build it again",
                   OPENSSL_VERSION_TEXT, OpenSSL_version(OPENSSL_VERSION));
}

static void set_tls_constants(lua_State *L)
{
    for (int i = 0; i < SS_TLS_CODES; i++)
        lss_set_string(L, ss_tls_codes[i].name, ss_tls_codes[i].text);
    lss_set_string(L, "_OPENSSL", OpenSSL_version(OPENSSL_VERSION));
}

int luaopen_ssocket_tls(lua_State *L)
{
    require_ssocket(L);
    check_openssl(L);
    os_stay_loaded();
    lss_open_tls_contexts(L);
    lss_open_tls_info(L);
    register_finalizer(L, SHAKE, shake_gc);
    register_finalizer(L, HELLO, hello_gc);
    lua_getfield(L, LUA_REGISTRYINDEX, STATE);
    bool first = lua_isnil(L, -1);
    lua_pop(L, 1);
    if (first)
        make_state(L);
    lua_createtable(L, 0, 16);
    for (const luaL_Reg *f = functions_of_tls; f->name; f++) {
        push_with_state(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    set_tls_constants(L);
    set_connect(L);
    return 1;
}
