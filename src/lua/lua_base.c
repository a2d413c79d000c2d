#include "lua/lua_base.h"
#include "core/codes.h"
#include "lua/lua_sched.h"
#include "lua/lua_wait.h"
#include "os/os_text.h"
#include "run/block.h"

#include <limits.h> /* INT_MAX */
#include <math.h>   /* floor */
#include <string.h> /* strlen */

#define ENV_KEY LSS_PREFIX "env"
#define SOCKETS LSS_PREFIX "sockets" /* the memory of all */
#define MADE_IN_FINALIZERS LSS_PREFIX "made_in_finalizers"
#define PUSH_OUTSIDE LSS_PREFIX "push_outside"

struct shared {
    struct ss_env env;               /* first: the rest of the module knows this */
    struct lss_socket *free_list[2]; /* memory for streams and datagram sockets */
    size_t uncounted;                /* bytes to report to the collector */
    bool keeps_sockets;              /* the table MADE_IN_FINALIZERS has some */
};
const size_t lss_shared_size = sizeof(struct shared);

/* What finalizers make while the state is being closed has none itself in Lua 5.4: it ends here. */
static int env_gc(lua_State *L)
{
    struct ss_env *env = lua_touserdata(L, 1);
    struct ss_loop *loop = env->loop;
    ss_env_fini(env);
    if (loop)
        lss_end_tasks(L, loop);
    return 0;
}

static int push_outside(lua_State *L);

/* The one on top of the stack, unless a finalizer has loaded the module as well meanwhile. */
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

void lss_set_unless_there(lua_State *L, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, name);
    bool there = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (there)
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
        lua_pushcfunction(L, push_outside);
        lua_setfield(L, LUA_REGISTRYINDEX, PUSH_OUTSIDE);
        lua_newtable(L);
        lss_set_unless_there(L,
                             SOCKETS); /* a finalizer may have loaded the module as well meanwhile, and made sockets */
        env = lss_newuserdata(L, sizeof(struct shared));
        memset(env, 0, sizeof(struct shared));
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

/* Lua 5.4 gives no finalizer to what is made in another one while the state is being closed, and cannot be asked. A socket that is
 * made in a finalizer is therefore kept alive: until one is made elsewhere, or the module ends and closes it. */
static void keep_socket(lua_State *L, struct shared *shared)
{
    bool in_finalizer = LSS_HAS_CLOSE && lua_gc(L, LUA_GCCOUNT, 0) < 0;
    if (!in_finalizer && !shared->keeps_sockets)
        return;
    shared->keeps_sockets = in_finalizer;
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

/* Memory for a few more sockets of that size, as a userdata, so that Lua frees it with the state. */
static void add_slab(lua_State *L, struct lss_socket **free_list, size_t size)
{
    enum { AT_ONCE = 16 };
    char *memory = lss_newuserdata(L, AT_ONCE * size);
    memset(memory, 0, AT_ONCE * size);
    lua_getfield(L, LUA_REGISTRYINDEX, SOCKETS);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
    for (int i = 0; i < AT_ONCE; i++) {
        struct lss_socket *s = (struct lss_socket *)(void *)(memory + (size_t)i * size);
        s->timeout.next = *free_list;
        *free_list = s;
    }
}

/* Tells the collector that each socket costs memory: of ours, which it counts only the first time, and of the kernel. What a
 * program leaves to it is closed before descriptors run out. */
static void account_socket(lua_State *L, struct shared *shared, size_t size)
{
    enum { AT_ONCE = 8192, WEIGHT = 4 };
    shared->uncounted += WEIGHT * size;
    if (shared->uncounted < AT_ONCE)
        return;
    shared->uncounted = 0;
    lss_newuserdata(L, AT_ONCE);
    lua_pop(L, 1);
}

static struct lss_socket **free_list_of(struct ss_env *env, int type)
{
    return &((struct shared *)env)->free_list[type == SOCK_DGRAM];
}

static struct lss_socket *take_free(struct lss_socket **free_list, struct ss_env *env, int type)
{
    struct lss_socket *s = *free_list;
    *free_list = s->timeout.next;
    ss_sock_reinit(&s->sock, env, type);
    s->timeout_ns = -1;
    s->timeout.integer = -1;
    s->sock.timeout_is_integer = true;
    return s;
}

struct lss_socket *lss_new(lua_State *L, struct ss_env *env, const char *kind, size_t size, int type)
{
    struct lss_socket **free_list = free_list_of(env, type);
    lss_check_live(L, env);
    account_socket(L, (struct shared *)env, size);
    struct lss_box *box = lss_newuserdata(L, sizeof *box);
    *box = (struct lss_box){ NULL, 0 };
    if (kind)
        luaL_getmetatable(L, kind);
    else
        lua_pushvalue(L, lua_upvalueindex(1));
    while (!*free_list)
        add_slab(L, free_list, size);
    *box = (struct lss_box){ take_free(free_list, env, type), lss_tag(env) };
    lua_setmetatable(L, -2);
    keep_socket(L, (struct shared *)env);
    return box->socket;
}

static int socket_gc(lua_State *L)
{
    struct lss_box *box = lss_self(L);
    struct lss_socket *s = box->socket;
    if (!s) /* the debug library has set the metatable again */
        return 0;
    struct lss_socket **free_list = free_list_of(s->sock.env, s->sock.type);
    ss_sock_fini(&s->sock);
    lua_pushnil(L); /* a finalizer that runs later finds no socket that it could open again */
    lua_setmetatable(L, 1);
    *box = (struct lss_box){ NULL, 0 };
    s->timeout.next = *free_list;
    *free_list = s;
    return 0;
}

static int socket_tostring(lua_State *L)
{
    struct lss_socket *s = lss_self_socket(L);
    lua_pushfstring(L, "<%s: %d>", lua_tostring(L, lua_upvalueindex(2)), s->sock.io.fd);
    return 1;
}

/* Sets t[name] = f with the metatable (index mt) and the class's name as upvalues; t is on top. */
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

void lss_class(lua_State *L, const char *kind, const luaL_Reg *events, const luaL_Reg *methods)
{
    luaL_newmetatable(L, kind); /* filled in also when it is there: memory may have failed in the middle */
    int mt = lua_gettop(L);
    const char *name = kind + sizeof LSS_PREFIX - 1;
    set_methods(L, mt, name, events);
    lss_set_string(L, "__name", name);
    lss_set_string(L, "__metatable", name);
    lua_newtable(L);
    set_methods(L, mt, name, methods);
    lua_setfield(L, mt, "__index");
    lua_pop(L, 1);
}

const luaL_Reg lss_socket_events[] = {
    { "__close", lss_close },
    { "__gc", socket_gc },
    { "__tostring", socket_tostring },
    { NULL, NULL },
};

/* The userdata at `index` if its metatable is the one at `mt`, or NULL. */
static void *userdata_of(lua_State *L, int index, int mt)
{
    void *ud = lua_touserdata(L, index);
    const void *class = lua_topointer(L, mt);
    if (!ud || !lua_getmetatable(L, index))
        return NULL;
    bool same = lua_topointer(L, -1) == class; /* as lua_rawequal, in fewer instructions */
    lua_pop(L, 1);
    return same ? ud : NULL;
}

void *lss_self(lua_State *L)
{
    void *ud = userdata_of(L, 1, lua_upvalueindex(1));
    if (!ud)
        lss_type_error(L, 1, lua_tostring(L, lua_upvalueindex(2)));
    return ud;
}

static void *userdata_of_kind(lua_State *L, int index, const char *kind)
{
    luaL_getmetatable(L, kind);
    void *ud = userdata_of(L, index, lua_gettop(L));
    lua_pop(L, 1);
    return ud;
}

struct lss_socket *lss_test(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA)
        return NULL;
    if (index < 0)
        index += lua_gettop(L) + 1;
    const struct lss_box *box = userdata_of_kind(L, index, LSS_TCP);
    if (!box)
        box = userdata_of_kind(L, index, LSS_UDP);
    return box ? box->socket : NULL;
}

/* Arguments */

static const char *type_name(lua_State *L, int arg)
{
    const char *name = luaL_typename(L, arg);
    if (luaL_getmetafield(L, arg, "__name")) {
        if (lua_type(L, -1) == LUA_TSTRING)
            name = lua_tostring(L, -1); /* stays: the metatable holds it */
        lua_pop(L, 1);
    }
    return name;
}

int lss_type_error(lua_State *L, int arg, const char *expected)
{
    return luaL_argerror(L, arg, lua_pushfstring(L, "%s expected, got %s", expected, type_name(L, arg)));
}

/* A number; `name` is what error messages call it. */
static lua_Number check_number(lua_State *L, int arg, const char *name)
{
    if (lua_isnone(L, arg))
        luaL_argerror(L, arg, lua_pushfstring(L, "%s (a number) expected, got no value", name));
    if (!lua_isnumber(L, arg))
        lss_type_error(L, arg, lua_pushfstring(L, "%s (a number)", name));
    return lua_tonumber(L, arg);
}

static lua_Number check_whole(lua_State *L, int arg, const char *name, int min, lua_Number max)
{
    lua_Number n = check_number(L, arg, name);
    if (n != floor(n) || n - n != 0) /* NaN is not equal to itself, infinity less itself is NaN */
        luaL_argerror(L, arg, lua_pushfstring(L, "%s must be a whole number", name));
    if (n < min)
        luaL_argerror(L, arg, lua_pushfstring(L, "%s must be %d or more", name, min));
    if (n > max)
        luaL_argerror(L, arg, lua_pushfstring(L, "%s must be %d or less", name, (int)max));
    return n;
}

size_t lss_check_size(lua_State *L, int arg, const char *name, int min)
{
    const lua_Number most = (lua_Number)(SIZE_MAX / 4); /* no memory is larger */
    lua_Number n = lua_tonumber(L, arg);
    if (n >= 1 && n >= min && n < INT_MAX && n == (lua_Number)(int)n) /* the usual ones; 0 may be none */
        return (size_t)n;
    n = check_whole(L, arg, name, min, HUGE_VAL);
    return n < most ? (size_t)n : SIZE_MAX / 4;
}

int lss_check_int(lua_State *L, int arg, const char *name, int min, int max)
{
    return (int)check_whole(L, arg, name, min, max);
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

/* Where size_t has 32 bits the memory for so many could not be counted in bytes. */
size_t lss_check_length(lua_State *L, int arg)
{
    const uint64_t most = SIZE_MAX / 64 < INT32_MAX ? SIZE_MAX / 64 : INT32_MAX - 1;
    luaL_checktype(L, arg, LUA_TTABLE);
    const uint64_t n = lua_rawlen(L, arg);
    luaL_argcheck(L, n <= most, arg, "too many elements");
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

struct outside {
    struct ss_inbuf own;
    const void *data;
    size_t n;
};

static int push_outside(lua_State *L)
{
    const struct outside *o = lua_touserdata(L, 1);
    lua_pushlstring(L, o->data, o->n);
    return 1;
}

bool lss_try_push_all(lua_State *L, struct ss_inbuf *in, const void *data, size_t n, enum lss_left what)
{
    struct outside o = { .data = data, .n = n };
    lua_getfield(L, LUA_REGISTRYINDEX, PUSH_OUTSIDE); /* a new function might run finalizers */
    lua_pushlightuserdata(L, &o);
    ss_inbuf_take_out(in, &o.own);
    int status = lua_pcall(L, 1, 1, 0);
    if (what == LSS_STAYS ? ss_inbuf_len(in) == 0 : status != 0)
        ss_inbuf_put_back(in, &o.own);
    else
        ss_inbuf_clear(&o.own);
    return status == 0;
}

void lss_push_all(lua_State *L, struct ss_inbuf *in, const void *data, size_t n, enum lss_left what)
{
    if (!lss_try_push_all(L, in, data, n, what))
        lua_error(L);
}

bool lss_push_bytes_safely(lua_State *L, const struct ss_inbuf *in, const void *data, size_t n)
{
    char small[2048];
    unsigned epoch = in->epoch;
    void *copy = n <= sizeof small ? small : lss_newuserdata(L, n);
    if (in->epoch != epoch) { /* changed by a finalizer, within that allocation */
        lua_pop(L, 1);
        return false;
    }
    memcpy(copy, data, n);
    lua_pushlstring(L, copy, n);
    if (copy != small)
        lua_remove(L, -2);
    return true;
}

void lss_account_growth(lua_State *L, struct ss_pool *pool)
{
    size_t kilobytes = pool->grown / 1024;
    pool->grown = 0;
    if (lss_gc_runs(L))
        lss_gc_step(L, kilobytes);
}

int lss_run_for(lua_State *L, struct ss_env *env, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                const struct lss_call *call)
{
    unsigned stream = lss_stream(s);
    int results;
    if (env->loop)
        return lss_run_with_tasks(L, env->loop, s, timeout_ns, op, call);
    do
        results = call->finish(L, op, ss_block_run(op, s, timeout_ns));
    while (results == LSS_RETRY && lss_stream(s) == stream);
    return results == LSS_RETRY ? call->finish(L, op, SS_CLOSED) : results;
}

int lss_run(lua_State *L, struct lss_socket *s, struct ss_op *op, const struct lss_call *call)
{
    return lss_run_for(L, s->sock.env, &s->sock, s->timeout_ns, op, call);
}
