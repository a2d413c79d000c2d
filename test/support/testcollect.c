/* A collector that is at work all the time, for the specs: at each allocation of Lua's, or each n-th, all that is garbage
 * by then goes, and finalizers run as soon as Lua lets them.
 *
 * It stands between Lua and its allocator. Lua collects when an allocation is refused, right there, and tries again (5.2 and
 * later); and it does a step of its collector, here always a whole cycle, where it checks whether one is due. Each has its
 * turn. The module under test has its own way to the allocator, which it took before: what it allocates is
 * not refused. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h> /* strcmp */

static struct {
    lua_Alloc alloc; /* stays: since Lua 5.5 a string may be freed by the allocator that there was when it was made */
    void *ud;
    int works;
    lua_State *L; /* a coroutine: any one will do for lua_gc */
    int kept;     /* where the registry keeps it */
    long every, count, forced;
    int again; /* the attempt after one that was refused */
} at;

static int is_running(void)
{
#if LUA_VERSION_NUM >= 502
    return lua_gc(at.L, LUA_GCISRUNNING, 0) == 1;
#else
    return 1;
#endif
}

/* Whether Lua collects and tries again. 5.1 and LuaJIT never do; 5.2 does where its collector is not stopped, as it is in
 * finalizers; since 5.3 lauxlib's buffers do not, so that only new objects are refused, whose kind stands for the old size.
 * In 5.5 a step after which a finalizer has collected begins another cycle: with finalizers that leave others, without end. */
static int may_refuse(const void *ptr, size_t osize)
{
    if (LUA_VERSION_NUM >= 505 && !is_running())
        return 0;
    if (LUA_VERSION_NUM >= 503)
        return !ptr && osize > 0;
    return LUA_VERSION_NUM == 502 && is_running();
}

/* A step is due from now on. Nothing but the collector's accounts changes, so that this may be done here. */
static void make_due(void)
{
    if (is_running())
        lua_gc(at.L, LUA_GCRESTART, 0);
}

/* Whether the allocation is refused. */
static int interfere(const void *ptr, size_t osize)
{
    if (at.again) {
        at.again = 0;
        return 0;
    }
    if (++at.count % at.every != 0)
        return 0;
    at.forced++;
    at.again = may_refuse(ptr, osize) && at.count / at.every % 2 == 0;
    if (!at.again)
        make_due();
    return at.again;
}

static void *resize(void *ud, void *ptr, size_t osize, size_t nsize)
{
    (void)ud;
    if (at.works && nsize > (ptr ? osize : 0) && interfere(ptr, osize))
        return NULL;
    return at.alloc(at.ud, ptr, osize, nsize);
}

/* With each step a whole cycle is done. */
static void set_pace(lua_State *L, int generational)
{
#if LUA_VERSION_NUM >= 505
    lua_gc(L, generational ? LUA_GCGEN : LUA_GCINC);
    lua_gc(L, LUA_GCPARAM, LUA_GCPSTEPMUL, 0); /* no limit */
#elif LUA_VERSION_NUM >= 504
    if (generational)
        lua_gc(L, LUA_GCGEN, 0, 0);
    else
        lua_gc(L, LUA_GCINC, 0, 1000, 40);
#elif LUA_VERSION_NUM >= 502
    (void)generational;
    lua_gc(L, LUA_GCSETSTEPMUL, 1000000000);
#else
    (void)generational;
    lua_gc(L, LUA_GCSETSTEPMUL, 0); /* no limit */
#endif
}

/* start(every[, mode]): the collector works at each `every`-th allocation; mode "generational" counts since Lua 5.4. */
static int collect_start(lua_State *L)
{
    long every = (long)luaL_checkinteger(L, 1);
    const char *mode = luaL_optstring(L, 2, "incremental");
    luaL_argcheck(L, every > 0, 1, "a positive number expected");
    luaL_argcheck(L, !at.works, 1, "it is at work already");
    set_pace(L, strcmp(mode, "generational") == 0);
    at.L = lua_newthread(L);
    at.kept = luaL_ref(L, LUA_REGISTRYINDEX);
    at.every = every;
    at.count = at.forced = at.again = 0;
    at.alloc = lua_getallocf(L, &at.ud);
    at.works = 1;
    lua_setallocf(L, resize, NULL);
    return 0;
}

/* stop() -> how often it was made to work. What it allocated goes back through the allocator that was there before. */
static int collect_stop(lua_State *L)
{
    luaL_argcheck(L, at.works, 1, "it is not at work");
    lua_setallocf(L, at.alloc, at.ud);
    at.works = 0;
    luaL_unref(L, LUA_REGISTRYINDEX, at.kept);
    lua_pushinteger(L, (lua_Integer)at.forced);
    return 1;
}

/* due(): the collector works where Lua checks for the first time whether a step is due. Lua 5.1 and LuaJIT check before they
 * allocate: start(1) is too late for the check of the first allocation. */
static int collect_due(lua_State *L)
{
    set_pace(L, 0);
    lua_gc(L, LUA_GCRESTART, 0);
    return 0;
}

int luaopen_testcollect(lua_State *L);
int luaopen_testcollect(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, collect_start);
    lua_setfield(L, -2, "start");
    lua_pushcfunction(L, collect_stop);
    lua_setfield(L, -2, "stop");
    lua_pushcfunction(L, collect_due);
    lua_setfield(L, -2, "due");
    return 1;
}
