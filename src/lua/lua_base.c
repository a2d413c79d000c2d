#include "lua/lua_base.h"
#include "core/codes.h"
#include "core/tls_codes.h"
#include "lua/lua_interrupt.h"
#include "lua/lua_sched.h"
#include "lua/lua_wait.h"
#include "os/os_clock.h"
#include "os/os_text.h"
#include "run/block.h"

#include <limits.h> /* INT_MAX */
#include <math.h>   /* floor */
#include <string.h> /* strlen */

#define ENV_KEY LSS_PREFIX "env"
#define LASTING LSS_PREFIX "sockets" /* table of userdata */
#define MADE_IN_FINALIZERS LSS_PREFIX "made_in_finalizers"
#define PUSH_TAKEN_OUT LSS_PREFIX "push_taken_out"

struct shared_state {
    struct lss_shared head;          /* first: all that other files know */
    struct lss_socket *free_list[2]; /* streams, datagram sockets */
    size_t unreported;               /* bytes that the collector does not know of yet */
    int64_t collect_ns;              /* earliest time of the next collection for a descriptor */
    bool has_kept_sockets;           /* the table MADE_IN_FINALIZERS is not empty */
};
const size_t lss_shared_size = sizeof(struct shared_state);

void lss_add_holding(struct ss_env *env, struct lss_holding *holding)
{
    struct lss_holding **first = &((struct lss_shared *)env)->holdings;
    holding->next = *first;
    holding->link = first;
    if (*first)
        (*first)->link = &holding->next;
    *first = holding;
}

void lss_remove_holding(struct lss_holding *holding)
{
    if (!holding->link)
        return;
    *holding->link = holding->next;
    if (holding->next)
        holding->next->link = holding->link;
    holding->link = NULL;
}

static void release_holdings(struct lss_shared *shared)
{
    struct lss_holding *holding;
    while ((holding = shared->holdings) != NULL) {
        lss_remove_holding(holding);
        holding->release(holding);
    }
}

/* Closes all sockets: in Lua 5.4, objects that finalizers create while the state closes get no finalizer. */
static int env_gc(lua_State *L)
{
    struct ss_env *env = lua_touserdata(L, 1);
    struct ss_loop *loop = env->loop;
    release_holdings((struct lss_shared *)env);
    ss_env_fini(env);
    if (loop)
        lss_end_tasks(L, loop);
    return 0;
}

static int push_taken_out(lua_State *L);

/* Pops a new environment and registers it, unless a finalizer has registered one; returns the registered one. */
static struct ss_env *install_env(lua_State *L, struct ss_env *env)
{
    lua_getfield(L, LUA_REGISTRYINDEX, ENV_KEY);
    struct ss_env *other = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (other)
        lua_pop(L, 1);
    else
        lua_setfield(L, LUA_REGISTRYINDEX, ENV_KEY);
    return other ? other : env;
}

void lss_set_registry_once(lua_State *L, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, name);
    bool is_set = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (is_set)
        lua_pop(L, 1);
    else
        lua_setfield(L, LUA_REGISTRYINDEX, name);
}

struct ss_env *lss_env(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, ENV_KEY);
    struct ss_env *env = lua_touserdata(L, -1);
    if (!env) {
        void *ud;
        lua_Alloc alloc = lua_getallocf(L, &ud);
        lua_pushcfunction(L, push_taken_out);
        lua_setfield(L, LUA_REGISTRYINDEX, PUSH_TAKEN_OUT);
        lua_newtable(L);
        lss_set_registry_once(L, LASTING); /* a finalizer may have loaded the module and created sockets */
        env = lss_newuserdata(L, sizeof(struct shared_state));
        memset(env, 0, sizeof(struct shared_state));
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, env_gc);
        lua_setfield(L, -2, "__gc");
        lua_setmetatable(L, -2);
        ss_env_init(env, (struct ss_mem){ .resize = alloc, .ud = ud });
        env = install_env(L, env);
    }
    lua_pop(L, 1);
    return env;
}

struct ss_env *lss_live_env(lua_State *L)
{
    struct ss_env *env = lss_env(L);
    lss_check_live(L, env);
    return env;
}

void lss_check_live(lua_State *L, const struct ss_env *env)
{
    if (env->has_ended)
        luaL_error(L, "the Lua state is being closed");
}

/* Classes */

/* Lua 5.4 gives no finalizer to an object that a finalizer creates while the state closes, and has no query for that. A
 * socket created in a finalizer is therefore kept alive until a socket is created elsewhere, or env_gc closes it. */
static void keep_finalizer_socket(lua_State *L, struct shared_state *shared)
{
    bool in_finalizer = LSS_HAS_CLOSE && lua_gc(L, LUA_GCCOUNT, 0) < 0;
    if (!in_finalizer && !shared->has_kept_sockets)
        return;
    shared->has_kept_sockets = in_finalizer;
    lua_getfield(L, LUA_REGISTRYINDEX, MADE_IN_FINALIZERS);
    if (!in_finalizer || !lua_istable(L, -1)) {
        lua_newtable(L);
        lua_replace(L, -2);
    }
    if (in_finalizer) {
        lua_pushvalue(L, -2);
        lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
    }
    lua_setfield(L, LUA_REGISTRYINDEX, MADE_IN_FINALIZERS);
}

/* A userdata in the registry, which Lua frees with the state. */
void *lss_new_lasting(lua_State *L, size_t size)
{
    void *memory = lss_newuserdata(L, size);
    lua_getfield(L, LUA_REGISTRYINDEX, LASTING);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
    return memory;
}

/* Adds sockets of `size` bytes to the free list. */
static void add_socket_slab(lua_State *L, struct lss_socket **free_list, size_t size)
{
    enum { SLAB_SOCKETS = 16 };
    char *memory = lss_new_lasting(L, SLAB_SOCKETS * size);
    memset(memory, 0, SLAB_SOCKETS * size);
    for (int i = 0; i < SLAB_SOCKETS; i++) {
        struct lss_socket *s = (struct lss_socket *)(void *)(memory + (size_t)i * size);
        s->timeout.next_free = *free_list;
        *free_list = s;
    }
}

/* Reports memory for each new socket: its own, which the collector counts only at the first use, and the kernel's.
 * Unreachable sockets are then closed before descriptors run out. */
static void account_socket(lua_State *L, struct shared_state *shared, size_t size)
{
    enum { REPORT_BYTES = 8192, WEIGHT = 4 };
    shared->unreported += WEIGHT * size;
    if (shared->unreported < REPORT_BYTES)
        return;
    shared->unreported = 0;
    lss_newuserdata(L, REPORT_BYTES);
    lua_pop(L, 1);
}

static struct lss_socket **free_list_of_type(struct ss_env *env, int type)
{
    return &((struct shared_state *)env)->free_list[type == SOCK_DGRAM];
}

static struct lss_socket *pop_free_socket(struct lss_socket **free_list, struct ss_env *env, int type)
{
    struct lss_socket *s = *free_list;
    *free_list = s->timeout.next_free;
    ss_sock_reinit(&s->sock, env, type);
    s->timeout_ns = -1;
    s->timeout.integer = -1;
    s->sock.timeout_is_integer = true;
    return s;
}

struct lss_socket *lss_new_socket(lua_State *L, struct ss_env *env, const char *class_name, size_t size, int type)
{
    struct lss_socket **free_list = free_list_of_type(env, type);
    lss_check_live(L, env);
    account_socket(L, (struct shared_state *)env, size);
    struct lss_socket_handle *handle = lss_newuserdata(L, sizeof *handle);
    *handle = (struct lss_socket_handle){ NULL, 0 };
    if (class_name)
        luaL_getmetatable(L, class_name);
    else
        lua_pushvalue(L, lua_upvalueindex(1));
    while (!*free_list)
        add_socket_slab(L, free_list, size);
    *handle = (struct lss_socket_handle){ pop_free_socket(free_list, env, type), lss_tag(env) };
    lua_setmetatable(L, -2);
    keep_finalizer_socket(L, (struct shared_state *)env);
    return handle->socket;
}

static int socket_gc(lua_State *L)
{
    struct lss_socket_handle *handle = lss_self(L);
    struct lss_socket *s = handle->socket;
    if (!s) /* debug.setmetatable has restored the metatable */
        return 0;
    struct lss_socket **free_list = free_list_of_type(s->sock.env, s->sock.type);
    ss_sock_fini(&s->sock);
    lua_pushnil(L); /* a later finalizer cannot open the socket again */
    lua_setmetatable(L, 1);
    *handle = (struct lss_socket_handle){ NULL, 0 };
    s->timeout.next_free = *free_list;
    *free_list = s;
    return 0;
}

static int socket_tostring(lua_State *L)
{
    struct lss_socket *s = lss_self_socket(L);
    lua_pushfstring(L, "<%s: %d>", lua_tostring(L, lua_upvalueindex(2)), s->sock.io.fd);
    return 1;
}

/* t[name] = f with upvalues: the metatable at index mt, the class's name; t is on top of the stack. */
static void set_method(lua_State *L, int mt, const char *class, const char *name, lua_CFunction f)
{
    lua_pushvalue(L, mt);
    lua_pushstring(L, class);
    lua_pushcclosure(L, f, 2);
    lua_setfield(L, -2, name);
}

void lss_set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void set_methods(lua_State *L, int mt, const char *class, const luaL_Reg *methods)
{
    for (; methods->name; methods++)
        set_method(L, mt, class, methods->name, methods->func);
}

void lss_register_class(lua_State *L, const char *class_name, const luaL_Reg *metamethods, const luaL_Reg *methods)
{
    luaL_newmetatable(L, class_name); /* fill in an existing one too: a memory error may have interrupted this */
    int mt = lua_gettop(L);
    const char *name = class_name + sizeof LSS_PREFIX - 1;
    set_methods(L, mt, name, metamethods);
    lss_set_string(L, "__name", name);
    lss_set_string(L, "__metatable", name);
    lua_createtable(L, 0, 64);
    set_methods(L, mt, name, methods);
    lua_setfield(L, mt, "__index");
    lua_pop(L, 1);
}

const luaL_Reg lss_socket_metamethods[] = {
    { "__close", lss_close_variable },
    { "__gc", socket_gc },
    { "__tostring", socket_tostring },
    { NULL, NULL },
};

/* The userdata at `index` if its metatable is the value at `mt`, or NULL. */
static inline void *test_userdata(lua_State *L, int index, int mt)
{
    void *ud = lua_touserdata(L, index);
    const void *class = lua_topointer(L, mt);
    if (!ud || !lua_getmetatable(L, index))
        return NULL;
    bool same = lua_topointer(L, -1) == class; /* as lua_rawequal, in fewer instructions */
    lua_pop(L, 1);
    return same ? ud : NULL;
}

void *lss_test_class(lua_State *L, int index, const char *class_name)
{
    luaL_getmetatable(L, class_name);
    void *ud = test_userdata(L, index < 0 ? index - 1 : index, lua_gettop(L));
    lua_pop(L, 1);
    return ud;
}

void *lss_self(lua_State *L)
{
    void *ud = test_userdata(L, 1, lua_upvalueindex(1));
    if (!ud)
        lss_type_error(L, 1, lua_tostring(L, lua_upvalueindex(2)));
    return ud;
}

/* Arguments */

static const char *type_name(lua_State *L, int arg)
{
    const char *name = luaL_typename(L, arg);
    if (luaL_getmetafield(L, arg, "__name")) {
        if (lua_type(L, -1) == LUA_TSTRING)
            name = lua_tostring(L, -1); /* valid after the pop: the metatable holds the string */
        lua_pop(L, 1);
    }
    return name;
}

int lss_type_error(lua_State *L, int arg, const char *expected)
{
    return luaL_argerror(L, arg, lua_pushfstring(L, "%s expected, got %s", expected, type_name(L, arg)));
}

int lss_raise_misuse_above(lua_State *L, int arg, const char *name, const char *why)
{
    luaL_where(L, 2);
    lua_pushfstring(L, "bad argument #%d to '%s' (%s)", arg, name, why);
    lua_concat(L, 2);
    return lua_error(L);
}

int lss_raise_type_above(lua_State *L, int arg, const char *name, const char *expected)
{
    const char *got = lua_isnone(L, arg) ? "no value" : type_name(L, arg);
    return lss_raise_misuse_above(L, arg, name, lua_pushfstring(L, "%s expected, got %s", expected, got));
}

/* A number; raises for other values, with `name` in the message. */
static lua_Number check_number(lua_State *L, int arg, const char *name)
{
    if (lua_isnone(L, arg))
        luaL_argerror(L, arg, lua_pushfstring(L, "%s (a number) expected, got no value", name));
    if (!lua_isnumber(L, arg))
        lss_type_error(L, arg, lua_pushfstring(L, "%s (a number)", name));
    return lua_tonumber(L, arg);
}

static lua_Number check_whole_number(lua_State *L, int arg, const char *name, int min, lua_Number max)
{
    lua_Number n = check_number(L, arg, name);
    if (n != floor(n) || n - n != 0) /* NaN differs from itself; infinity - infinity is NaN */
        luaL_argerror(L, arg, lua_pushfstring(L, "%s must be a whole number", name));
    if (n < min)
        luaL_argerror(L, arg, lua_pushfstring(L, "%s must be %d or more", name, min));
    if (n > max)
        luaL_argerror(L, arg, lua_pushfstring(L, "%s must be %d or less", name, (int)max));
    return n;
}

size_t lss_check_size(lua_State *L, int arg, const char *name, int min)
{
    const lua_Number max = (lua_Number)(SIZE_MAX / 4); /* no allocation is larger */
    lua_Number n = lua_tonumber(L, arg);
    if (n >= 1 && n >= min && n < INT_MAX && n == (lua_Number)(int)n) /* the usual case; 0 may be no number */
        return (size_t)n;
    n = check_whole_number(L, arg, name, min, HUGE_VAL);
    return n < max ? (size_t)n : SIZE_MAX / 4;
}

int lss_check_int(lua_State *L, int arg, const char *name, int min, int max)
{
    return (int)check_whole_number(L, arg, name, min, max);
}

/* A position in a string of `len` bytes: negative ones count from its end, -1 is the last byte. */
static lua_Number check_position(lua_State *L, int arg, const char *name, size_t len, lua_Number otherwise)
{
    lua_Number n = lua_isnoneornil(L, arg) ? otherwise : check_number(L, arg, name);
    if (n != floor(n) || n - n != 0)
        luaL_argerror(L, arg, lua_pushfstring(L, "%s must be a whole number", name));
    return n < 0 ? n + (lua_Number)len + 1 : n;
}

size_t lss_check_part(lua_State *L, int arg, size_t *len)
{
    lua_Number first = check_position(L, arg, "i", *len, 1);
    lua_Number last = check_position(L, arg + 1, "j", *len, -1);
    first = first < 1 ? 1 : first;
    last = last > (lua_Number)*len ? (lua_Number)*len : last;
    *len = first <= last ? (size_t)(last - first) + 1 : 0;
    return *len > 0 ? (size_t)first - 1 : 0;
}

lua_Number lss_check_seconds(lua_State *L, int arg)
{
    lua_Number seconds = check_number(L, arg, "seconds");
    luaL_argcheck(L, seconds == seconds, arg, "seconds must not be NaN");
    return seconds;
}

int64_t lss_nanoseconds(lua_Number seconds)
{
    if (seconds < 0 || seconds >= 9e9) /* 285 years: no limit */
        return -1;
    return (int64_t)ceil(seconds * 1e9);
}

int64_t lss_check_timeout(lua_State *L, int arg)
{
    return lua_isnoneornil(L, arg) ? -1 : lss_nanoseconds(lss_check_seconds(L, arg));
}

/* With a 32-bit size_t, the size in bytes of the memory for more elements would overflow. */
size_t lss_check_length(lua_State *L, int arg)
{
    const uint64_t max = SIZE_MAX / 64 < INT32_MAX ? SIZE_MAX / 64 : INT32_MAX - 1;
    luaL_checktype(L, arg, LUA_TTABLE);
    const uint64_t n = lua_rawlen(L, arg);
    luaL_argcheck(L, n <= max, arg, "too many elements");
    return (size_t)n;
}

struct iovec *lss_check_strings(lua_State *L, int arg, size_t *n)
{
    *n = lss_check_length(L, arg);
    lua_createtable(L, (int)*n, 0);
    struct iovec *iov = lss_newuserdata(L, (*n + 1) * sizeof *iov);
    for (size_t i = 0; i < *n; i++) {
        lua_rawgeti(L, arg, (int)i + 1);
        if (!lua_isstring(L, -1))
            luaL_argerror(L, arg,
                          lua_pushfstring(L, "element %d: string expected, got %s", (int)i + 1, luaL_typename(L, -1)));
        iov[i].iov_base = (void *)lua_tolstring(L, -1, &iov[i].iov_len);
        lua_rawseti(L, -3, (int)i + 1);
    }
    return iov;
}

/* Results */

void lss_push_size(lua_State *L, size_t n)
{
    if (n <= PTRDIFF_MAX)
        lua_pushinteger(L, (lua_Integer)n);
    else
        lua_pushnumber(L, (lua_Number)n);
}

int lss_push_failure(lua_State *L, int nils, enum ss_status st, const struct ss_error *err)
{
    char text[256];
    enum ss_code code = ss_code_of(st, err);
    for (int i = 0; i < nils; i++)
        lua_pushnil(L);
    if (st == SS_ERROR && err->space == SS_TLS)
        lua_pushstring(L, ss_tls_codes[err->code].text);
    else
        lua_pushstring(L, code < SS_CODES ? ss_codes[code].text : os_error_text(err, text, sizeof text));
    return nils + 1;
}

int lss_push_done(lua_State *L, enum ss_status st, const struct ss_error *err)
{
    if (st != SS_OK)
        return lss_push_failure(L, 1, st, err);
    lua_pushboolean(L, 1);
    return 1;
}

struct taken_out {
    struct ss_inbuf inbuf;
    const void *data;
    size_t n;
};

static int push_taken_out(lua_State *L)
{
    const struct taken_out *o = lua_touserdata(L, 1);
    lua_pushlstring(L, o->data, o->n);
    return 1;
}

bool lss_try_push_inbuf(lua_State *L, struct ss_inbuf *in, const void *data, size_t n, enum lss_restore restore)
{
    struct taken_out o = { .data = data, .n = n };
    lua_getfield(L, LUA_REGISTRYINDEX, PUSH_TAKEN_OUT); /* a new function might run finalizers */
    lua_pushlightuserdata(L, &o);
    ss_inbuf_take_out(in, &o.inbuf);
    int status = lua_pcall(L, 1, 1, 0);
    if (restore == LSS_RESTORE_ALWAYS ? ss_inbuf_len(in) == 0 : status != 0)
        ss_inbuf_put_back(in, &o.inbuf);
    else
        ss_inbuf_clear(&o.inbuf);
    return status == 0;
}

void lss_push_inbuf(lua_State *L, struct ss_inbuf *in, const void *data, size_t n, enum lss_restore restore)
{
    if (!lss_try_push_inbuf(L, in, data, n, restore))
        lua_error(L);
}

bool lss_push_bytes_safely(lua_State *L, const struct ss_inbuf *in, const void *data, size_t n)
{
    char small[2048];
    unsigned epoch = in->epoch;
    void *copy = n <= sizeof small ? small : lss_newuserdata(L, n);
    if (in->epoch != epoch) { /* a finalizer in that allocation has changed the buffer */
        lua_pop(L, 1);
        return false;
    }
    memcpy(copy, data, n);
    lua_pushlstring(L, copy, n);
    if (copy != small)
        lua_remove(L, -2);
    return true;
}

void lss_account_memory_now(lua_State *L, struct ss_pool *pool)
{
    size_t kilobytes = pool->grown / 1024;
    pool->grown = 0;
    if (lss_gc_runs(L))
        lss_gc_step(L, kilobytes);
}

bool lss_collect_descriptors(lua_State *L, struct ss_env *env, const struct ss_error *err)
{
    enum { INTERVAL_NS = 1000000000 };
    struct shared_state *shared = (struct shared_state *)env;
    if (!ss_lacks_descriptor(err) || lss_gc_is_stopped(L))
        return false;
    int64_t now_ns = os_now_ns();
    if (now_ns < shared->collect_ns)
        return false;
    shared->collect_ns = now_ns + INTERVAL_NS;
    lua_gc(L, LUA_GCCOLLECT, 0);
    return true;
}

bool lss_restart_for_descriptor(lua_State *L, struct ss_env *env, struct ss_op *op, const struct lss_call *call)
{
    if (op->restarted || !lss_collect_descriptors(L, env, &op->error))
        return false;
    op->restarted = true;
    call->restart(op);
    return true;
}

void lss_restart_step(struct ss_op *op)
{
    (void)op;
}

int lss_run_for(lua_State *L, struct ss_env *env, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                const struct lss_call *call)
{
    unsigned stream = lss_stream(s);
    timeout_ns = lss_limit_timeout(L, env, timeout_ns, &op->deadline_ns);
    for (;;) {
        if (env->loop) /* perhaps since a hook has run */
            return lss_run_with_tasks(L, env->loop, s, timeout_ns, op, call);
        enum ss_status st = ss_block_run(op, s, timeout_ns);
        if (st == SS_WANT && (st = lss_run_hook_in_call(L, s, op, call)) == SS_WANT)
            continue;
        int results = lss_end_call(L, env, op, call, st);
        if (results != LSS_RETRY)
            return results;
        if (lss_stream(s) != stream)
            return call->finish(L, op, SS_CLOSED);
        op->polls = false; /* it is tried before it waits */
    }
}

int lss_run(lua_State *L, struct lss_socket *s, struct ss_op *op, const struct lss_call *call)
{
    return lss_run_for(L, s->sock.env, &s->sock, s->timeout_ns, op, call);
}
